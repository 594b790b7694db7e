/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Address classes: which of the large sets hold an address, as one number.
 *
 * A sweep over the bounds of all wanted sets gives intervals of equal membership; intervals with the same membership share a class. The
 * sweep keeps a running 128-bit fingerprint of the membership (one random number a set, joined by XOR), so it never compares whole
 * memberships: two that differ meet with a probability of 2^-96 at 65,536 classes, and nobody can aim for it as the numbers are drawn
 * for each build. Members are listed once a class, to number the classes so that a set is few ranges of them.
 */
#include "rules/acl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

typedef unsigned __int128 u128;

#define CLASSES_MAX     65535              /* class numbers are 16 bits wide */
#define MEMBERSHIPS_MAX ((size_t)16 << 20) /* (class, set) pairs: 64 MB */
#define TOP4_FROM       256                /* intervals from which the table of /16 pays */
#define SAMPLE6         64                 /* intervals a sample stands for */
#define HASH_SLOTS      (1u << 17)
#define NO_CLASS        UINT32_MAX

/* A set begins or ends to hold addresses here. */
struct edge {
	u128 at;
	uint32_t set;
};

struct class_info {
	u128 print;
	uint32_t *members; /* ascending */
	uint32_t n_members;
	uint32_t order; /* its final number */
};

struct sweep {
	struct edge *edges;
	size_t n_edges;
	u128 *prints; /* random number of each set */
	uint32_t *in; /* sets that hold the current address, as a sparse set: members, and where each stands */
	uint32_t *place;
	uint32_t n_in;
	struct class_info *classes;
	uint32_t n_classes;
	uint32_t *slots; /* hash of prints to class */
	size_t memberships;
	u128 *lo; /* intervals */
	uint32_t *cls;
	size_t n;
};

static u128 addr_value(const uint8_t *b, enum acl_family family)
{
	rte_be32_t word;
	rte_be64_t half[2];

	if (family == ACL_V4) {
		memcpy(&word, b, sizeof(word));
		return rte_be_to_cpu_32(word);
	}
	memcpy(half, b, sizeof(half));
	return (u128)rte_be_to_cpu_64(half[0]) << 64 | rte_be_to_cpu_64(half[1]);
}

/* The part of a set's ranges that is of this family. */
static const struct sp_addr_range *family_ranges(const struct sp_addrset *set, enum acl_family family, size_t *n)
{
	*n = family == ACL_V4 ? set->n4 : set->n - set->n4;
	return family == ACL_V4 ? set->v : set->v + set->n4;
}

static int edge_compare(const void *pa, const void *pb)
{
	const struct edge *a = pa, *b = pb;

	return a->at < b->at ? -1 : a->at > b->at;
}

static int collect_edges(struct sweep *s, const struct sp_addrset *sets, size_t n_sets, const bool *wanted, enum acl_family family)
{
	u128 last = family == ACL_V4 ? UINT32_MAX : ~(u128)0;
	size_t total = 0, n;

	for (size_t i = 0; i < n_sets; i++) {
		if (!wanted[i])
			continue;
		(void)family_ranges(&sets[i], family, &n);
		total += n * 2;
	}
	s->edges = calloc(total + 1, sizeof(*s->edges));
	if (s->edges == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n_sets; i++) {
		const struct sp_addr_range *v;

		if (!wanted[i])
			continue;
		v = family_ranges(&sets[i], family, &n);
		for (size_t k = 0; k < n; k++) {
			u128 hi = addr_value(v[k].hi.b, family);

			s->edges[s->n_edges++] = (struct edge){.at = addr_value(v[k].lo.b, family), .set = (uint32_t)i};
			if (hi != last)
				s->edges[s->n_edges++] = (struct edge){.at = hi + 1, .set = (uint32_t)i};
		}
	}
	qsort(s->edges, s->n_edges, sizeof(*s->edges), edge_compare);
	return 0;
}

static int fill_random(void *buf, size_t size)
{
	uint8_t *p = buf;

	while (size > 0) {
		ssize_t got = getrandom(p, size, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -EIO;
		p += got;
		size -= (size_t)got;
	}
	return 0;
}

static void toggle(struct sweep *s, uint32_t set)
{
	if (s->place[set] == NO_CLASS) {
		s->place[set] = s->n_in;
		s->in[s->n_in++] = set;
	} else {
		uint32_t hole = s->place[set], moved = s->in[--s->n_in];

		s->in[hole] = moved;
		s->place[moved] = hole;
		s->place[set] = NO_CLASS;
	}
}

static int u32_compare(const void *pa, const void *pb)
{
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	return a < b ? -1 : a > b;
}

/* Class of the current membership, made when it is new. */
static int intern(struct sweep *s, u128 print, uint32_t *out)
{
	uint32_t slot = (uint32_t)print & (HASH_SLOTS - 1);
	struct class_info *info;

	for (; s->slots[slot] != NO_CLASS; slot = (slot + 1) & (HASH_SLOTS - 1)) {
		if (s->classes[s->slots[slot]].print == print) {
			*out = s->slots[slot];
			return 0;
		}
	}
	if (s->n_classes == CLASSES_MAX || s->n_in > MEMBERSHIPS_MAX - s->memberships)
		return -E2BIG;
	info = &s->classes[s->n_classes];
	info->print = print;
	if (s->n_in > 0) {
		info->members = malloc(s->n_in * sizeof(*info->members));
		if (info->members == NULL)
			return -ENOMEM;
		memcpy(info->members, s->in, s->n_in * sizeof(*info->members));
		qsort(info->members, s->n_in, sizeof(*info->members), u32_compare);
	}
	info->n_members = s->n_in;
	s->memberships += s->n_in;
	*out = s->slots[slot] = s->n_classes++;
	return 0;
}

static int sweep_run(struct sweep *s)
{
	u128 print = 0, at = 0;
	uint32_t cls;
	size_t e = 0;
	int rc = intern(s, 0, &cls); /* class 0: in no set */

	while (rc == 0) {
		for (; e < s->n_edges && s->edges[e].at == at; e++) {
			print ^= s->prints[s->edges[e].set];
			toggle(s, s->edges[e].set);
		}
		rc = intern(s, print, &cls);
		if (rc != 0)
			break;
		if (s->n == 0 || s->cls[s->n - 1] != cls) {
			s->lo[s->n] = at;
			s->cls[s->n++] = cls;
		}
		if (e == s->n_edges)
			break;
		at = s->edges[e].at;
	}
	return rc;
}

static int class_compare(const void *pa, const void *pb)
{
	const struct class_info *a = *(struct class_info *const *)pa, *b = *(struct class_info *const *)pb;

	for (uint32_t i = 0; i < a->n_members && i < b->n_members; i++)
		if (a->members[i] != b->members[i])
			return a->members[i] < b->members[i] ? -1 : 1;
	return a->n_members < b->n_members ? -1 : a->n_members > b->n_members;
}

/* Adds class `order`, above all before it, to a set's ranges. */
static int ranges_add(struct acl_class_ranges *ranges, uint16_t order)
{
	if (ranges->n > 0 && ranges->v[ranges->n - 1].hi + 1 == order) {
		ranges->v[ranges->n - 1].hi = order;
		return 0;
	}
	if ((ranges->n & (ranges->n - 1)) == 0) { /* grows at powers of two */
		struct sp_range *v = realloc(ranges->v, (ranges->n == 0 ? 1 : ranges->n * 2) * sizeof(*v));

		if (v == NULL)
			return -ENOMEM;
		ranges->v = v;
	}
	ranges->v[ranges->n++] = (struct sp_range){.lo = order, .hi = order};
	return 0;
}

/* Numbers the classes by their members, so that classes that share a set are neighbours, and lists each set's classes. */
static int number_classes(struct sweep *s, struct acl_classes *out)
{
	struct class_info **sorted = calloc(s->n_classes, sizeof(struct class_info *));
	int rc = 0;

	if (sorted == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->n_classes; i++)
		sorted[i] = &s->classes[i];
	qsort(sorted, s->n_classes, sizeof(struct class_info *), class_compare);
	for (uint32_t i = 0; i < s->n_classes && rc == 0; i++) {
		sorted[i]->order = i;
		for (uint32_t k = 0; k < sorted[i]->n_members && rc == 0; k++)
			rc = ranges_add(&out->ranges[sorted[i]->members[k]], (uint16_t)i);
	}
	free(sorted);
	return rc;
}

static int fill_top4(struct acl_classes *out)
{
	size_t interval = 0;

	out->top4 = calloc(65537, sizeof(*out->top4));
	if (out->top4 == NULL)
		return -ENOMEM;
	for (uint32_t net = 0; net < 65536; net++) {
		while (interval + 1 < out->n && out->lo4[interval + 1] <= net << 16)
			interval++;
		out->top4[net] = (uint32_t)interval;
	}
	out->top4[65536] = (uint32_t)(out->n - 1);
	out->bytes += 65537 * sizeof(*out->top4);
	return 0;
}

static int fill_sample6(struct acl_classes *out)
{
	size_t n = (out->n + SAMPLE6 - 1) / SAMPLE6;

	out->sample6 = aligned_alloc(sizeof(u128), n * sizeof(u128));
	if (out->sample6 == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		out->sample6[i] = out->lo6[i * SAMPLE6];
	out->bytes += n * sizeof(u128);
	return 0;
}

static int fill_intervals4(struct acl_classes *out, const struct sweep *s)
{
	out->lo4 = calloc(s->n, sizeof(*out->lo4));
	if (out->lo4 == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++)
		out->lo4[i] = (uint32_t)s->lo[i];
	out->bytes += s->n * sizeof(*out->lo4);
	return s->n >= TOP4_FROM ? fill_top4(out) : 0;
}

static int fill_intervals6(struct acl_classes *out, const struct sweep *s)
{
	out->lo6 = aligned_alloc(sizeof(u128), s->n * sizeof(u128));
	if (out->lo6 == NULL)
		return -ENOMEM;
	memcpy(out->lo6, s->lo, s->n * sizeof(u128));
	out->bytes += s->n * sizeof(u128);
	return fill_sample6(out);
}

static int fill_intervals(struct acl_classes *out, const struct sweep *s, enum acl_family family)
{
	out->n = s->n;
	out->class_of = calloc(s->n, sizeof(*out->class_of));
	if (out->class_of == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++)
		out->class_of[i] = (uint16_t)s->classes[s->cls[i]].order;
	out->bytes += s->n * sizeof(*out->class_of);
	return family == ACL_V4 ? fill_intervals4(out, s) : fill_intervals6(out, s);
}

static int sweep_init(struct sweep *s, size_t n_sets)
{
	s->prints = calloc(n_sets + 1, sizeof(*s->prints));
	s->in = calloc(n_sets + 1, sizeof(*s->in));
	s->place = malloc((n_sets + 1) * sizeof(*s->place));
	s->classes = calloc(CLASSES_MAX, sizeof(*s->classes));
	s->slots = malloc(HASH_SLOTS * sizeof(*s->slots));
	s->lo = calloc(s->n_edges + 1, sizeof(*s->lo));
	s->cls = calloc(s->n_edges + 1, sizeof(*s->cls));
	if (s->prints == NULL || s->in == NULL || s->place == NULL || s->classes == NULL || s->slots == NULL || s->lo == NULL ||
		s->cls == NULL)
		return -ENOMEM;
	memset(s->place, 0xff, (n_sets + 1) * sizeof(*s->place));
	memset(s->slots, 0xff, HASH_SLOTS * sizeof(*s->slots));
	return fill_random(s->prints, n_sets * sizeof(*s->prints));
}

static void sweep_free(struct sweep *s)
{
	for (uint32_t i = 0; i < s->n_classes; i++)
		free(s->classes[i].members);
	free(s->edges);
	free(s->prints);
	free(s->in);
	free(s->place);
	free(s->classes);
	free(s->slots);
	free(s->lo);
	free(s->cls);
}

int acl_classes_build(struct acl_classes *out, const struct sp_addrset *sets, size_t n_sets, const bool *wanted, enum acl_family family)
{
	struct sweep s = {0};
	int rc;

	memset(out, 0, sizeof(*out));
	rc = collect_edges(&s, sets, n_sets, wanted, family);
	if (rc != 0 || s.n_edges == 0) {
		sweep_free(&s);
		return rc;
	}
	out->ranges = calloc(n_sets, sizeof(*out->ranges));
	out->n_ranges = n_sets;
	rc = out->ranges == NULL ? -ENOMEM : sweep_init(&s, n_sets);
	if (rc == 0)
		rc = sweep_run(&s);
	if (rc == 0)
		rc = number_classes(&s, out);
	if (rc == 0)
		rc = fill_intervals(out, &s, family);
	sweep_free(&s);
	if (rc != 0)
		acl_classes_free(out);
	return rc;
}

static size_t search4(const struct acl_classes *classes, uint32_t address)
{
	size_t base = 0, n = classes->n;

	if (classes->top4 != NULL) {
		uint32_t net = address >> 16;

		base = classes->top4[net];
		n = classes->top4[net + 1] - base + 1;
	}
	while (n > 1) {
		size_t half = n / 2;

		base += half & -(size_t)(classes->lo4[base + half] <= address);
		n -= half;
	}
	return base;
}

/* Last of lo[0..n) that is at most the address; lo[0] is. Arithmetic in place of a branch that would be guessed wrong half the time. */
static size_t search_u128(const u128 *lo, size_t n, u128 address)
{
	size_t base = 0;

	while (n > 1) {
		size_t half = n / 2;

		base += half & -(size_t)(lo[base + half] <= address);
		n -= half;
	}
	return base;
}

static size_t search6(const struct acl_classes *classes, u128 address)
{
	size_t n = classes->n;
	size_t base = search_u128(classes->sample6, (n + SAMPLE6 - 1) / SAMPLE6, address) * SAMPLE6;

	return base + search_u128(classes->lo6 + base, n - base < SAMPLE6 ? n - base : SAMPLE6, address);
}

uint16_t acl_classes_lookup(const struct acl_classes *classes, enum acl_family family, const uint8_t address[16])
{
	if (classes->n == 0)
		return 0;
	if (family == ACL_V4)
		return classes->class_of[search4(classes, (uint32_t)addr_value(address, ACL_V4))];
	return classes->class_of[search6(classes, addr_value(address, ACL_V6))];
}

void acl_classes_free(struct acl_classes *classes)
{
	for (size_t i = 0; i < classes->n_ranges && classes->ranges != NULL; i++)
		free(classes->ranges[i].v);
	free(classes->ranges);
	free(classes->class_of);
	free(classes->lo4);
	free(classes->lo6);
	free(classes->sample6);
	free(classes->top4);
	memset(classes, 0, sizeof(*classes));
}
