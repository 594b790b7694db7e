/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t family_bytes(uint8_t family)
{
	return family == SP_FAMILY_IPV4 ? 4 : 16;
}

int sp_addr_compare(const struct sp_addr *a, const struct sp_addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->b, b->b, sizeof(a->b));
}

/* False when there is no next address in the family. */
static bool addr_next(struct sp_addr *addr)
{
	for (size_t i = family_bytes(addr->family); i-- > 0;) {
		if (++addr->b[i] != 0)
			return true;
	}
	return false;
}

/* False when there is no previous address in the family. */
static bool addr_previous(struct sp_addr *addr)
{
	for (size_t i = family_bytes(addr->family); i-- > 0;) {
		if (addr->b[i]-- != 0)
			return true;
	}
	return false;
}

int sp_addr_parse(const char *text, size_t len, struct sp_addr *out)
{
	struct sp_addr addr = {0};
	char buf[INET6_ADDRSTRLEN];

	if (len == 0 || len >= sizeof(buf) || memchr(text, '\0', len))
		return -EINVAL;
	memcpy(buf, text, len);
	buf[len] = '\0';
	if (memchr(buf, ':', len))
		addr.family = SP_FAMILY_IPV6;
	else
		addr.family = SP_FAMILY_IPV4;
	if (inet_pton(addr.family == SP_FAMILY_IPV4 ? AF_INET : AF_INET6, buf, addr.b) != 1)
		return -EINVAL;
	*out = addr;
	return 0;
}

/* Decimal without sign or leading zeros, at most three digits. -1 when it is not. */
static int prefix_length(const char *text, size_t len)
{
	int value = 0;

	if (len == 0 || len > 3 || (len > 1 && text[0] == '0'))
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		value = value * 10 + (text[i] - '0');
	}
	return value;
}

static int prefix_parse(const char *text, size_t addr_len, size_t len, struct sp_addr_range *out, const char **why)
{
	struct sp_addr_range range;
	int bits = prefix_length(text + addr_len + 1, len - addr_len - 1);

	if (sp_addr_parse(text, addr_len, &range.lo)) {
		*why = "not an IPv4 or IPv6 address before the /";
		return -EINVAL;
	}
	if (bits < 0) {
		*why = "prefix length is not a number";
		return -EINVAL;
	}
	if (bits > (int)family_bytes(range.lo.family) * 8) {
		*why = range.lo.family == SP_FAMILY_IPV4 ? "prefix length over 32" : "prefix length over 128";
		return -EINVAL;
	}
	range.hi = range.lo;
	for (int bit = bits; bit < (int)family_bytes(range.lo.family) * 8; bit++) {
		uint8_t mask = 0x80 >> (bit & 7);

		if (range.lo.b[bit >> 3] & mask) {
			*why = "bits are set after the prefix length; write the network's first address";
			return -EINVAL;
		}
		range.hi.b[bit >> 3] |= mask;
	}
	*out = range;
	return 0;
}

static int pair_parse(const char *text, size_t lo_len, size_t len, struct sp_addr_range *out, const char **why)
{
	struct sp_addr_range range;

	if (sp_addr_parse(text, lo_len, &range.lo) || sp_addr_parse(text + lo_len + 1, len - lo_len - 1, &range.hi)) {
		*why = "not an IPv4 or IPv6 address on each side of the -";
		return -EINVAL;
	}
	if (range.lo.family != range.hi.family) {
		*why = "range begins in one family and ends in the other";
		return -EINVAL;
	}
	if (sp_addr_compare(&range.lo, &range.hi) > 0) {
		*why = "range ends before it begins";
		return -EINVAL;
	}
	*out = range;
	return 0;
}

int sp_addr_range_parse(const char *text, size_t len, struct sp_addr_range *out, const char **why)
{
	const char *slash = memchr(text, '/', len);
	const char *dash = memchr(text, '-', len);
	struct sp_addr addr;

	if (slash)
		return prefix_parse(text, (size_t)(slash - text), len, out, why);
	if (dash)
		return pair_parse(text, (size_t)(dash - text), len, out, why);
	if (sp_addr_parse(text, len, &addr)) {
		*why = "not an IPv4 or IPv6 address";
		return -EINVAL;
	}
	out->lo = addr;
	out->hi = addr;
	return 0;
}

char *sp_addr_format(const struct sp_addr *addr, char *buf, size_t size)
{
	if (addr->family != SP_FAMILY_IPV4 && addr->family != SP_FAMILY_IPV6)
		snprintf(buf, size, "none");
	else if (!inet_ntop(addr->family == SP_FAMILY_IPV4 ? AF_INET : AF_INET6, addr->b, buf, (socklen_t)size) && size)
		buf[0] = '\0';
	return buf;
}

int sp_addr_range_prefix(const struct sp_addr_range *range)
{
	int total = (int)family_bytes(range->lo.family) * 8;
	int bits = 0;

	while (bits < total && !((range->lo.b[bits >> 3] ^ range->hi.b[bits >> 3]) & (0x80 >> (bits & 7))))
		bits++;
	for (int bit = bits; bit < total; bit++) {
		uint8_t mask = 0x80 >> (bit & 7);

		if ((range->lo.b[bit >> 3] & mask) || !(range->hi.b[bit >> 3] & mask))
			return -1;
	}
	return bits;
}

char *sp_addr_range_format(const struct sp_addr_range *range, char *buf, size_t size)
{
	char lo[INET6_ADDRSTRLEN], hi[INET6_ADDRSTRLEN];
	int bits = sp_addr_range_prefix(range);

	sp_addr_format(&range->lo, lo, sizeof(lo));
	sp_addr_format(&range->hi, hi, sizeof(hi));
	if (bits == (int)family_bytes(range->lo.family) * 8)
		snprintf(buf, size, "%s", lo);
	else if (bits >= 0)
		snprintf(buf, size, "%s/%d", lo, bits);
	else
		snprintf(buf, size, "%s-%s", lo, hi);
	return buf;
}

/* Ranges a set of n has room for: a power of two, so that no capacity need be kept. */
static size_t capacity(size_t n)
{
	size_t room = 1;

	while (room < n)
		room *= 2;
	return room;
}

int sp_addrset_add(struct sp_addrset *set, const struct sp_addr_range *range)
{
	if (set->n == 0 || (set->n & (set->n - 1)) == 0) {
		struct sp_addr_range *v = realloc(set->v, capacity(set->n + 1) * sizeof(*v));

		if (!v)
			return -ENOMEM;
		set->v = v;
	}
	set->v[set->n++] = *range;
	return 0;
}

static int range_compare(const void *a, const void *b)
{
	return sp_addr_compare(&((const struct sp_addr_range *)a)->lo, &((const struct sp_addr_range *)b)->lo);
}

static void count_ipv4(struct sp_addrset *set)
{
	set->n4 = 0;
	while (set->n4 < set->n && set->v[set->n4].lo.family == SP_FAMILY_IPV4)
		set->n4++;
}

/* Whether b, which does not begin before a, touches or overlaps it. */
static bool joins(const struct sp_addr_range *a, const struct sp_addr_range *b)
{
	struct sp_addr after = a->hi;

	if (a->lo.family != b->lo.family)
		return false;
	return !addr_next(&after) || sp_addr_compare(&b->lo, &after) <= 0;
}

void sp_addrset_normalize(struct sp_addrset *set)
{
	size_t kept = 0;

	if (set->n > 1)
		qsort(set->v, set->n, sizeof(*set->v), range_compare);
	for (size_t i = 0; i < set->n; i++) {
		if (kept && joins(&set->v[kept - 1], &set->v[i])) {
			if (sp_addr_compare(&set->v[i].hi, &set->v[kept - 1].hi) > 0)
				set->v[kept - 1].hi = set->v[i].hi;
		} else {
			set->v[kept++] = set->v[i];
		}
	}
	set->n = kept;
	count_ipv4(set);
}

int sp_addrset_subtract(struct sp_addrset *set, const struct sp_addrset *minus)
{
	struct sp_addrset result = {0};
	size_t m = 0;

	if (set->n == 0 || minus->n == 0)
		return 0;
	for (size_t i = 0; i < set->n; i++) {
		struct sp_addr_range rest = set->v[i];
		bool left = true;

		while (m < minus->n && sp_addr_compare(&minus->v[m].hi, &rest.lo) < 0)
			m++;
		for (size_t j = m; left && j < minus->n && sp_addr_compare(&minus->v[j].lo, &rest.hi) <= 0; j++) {
			if (sp_addr_compare(&minus->v[j].lo, &rest.lo) > 0) {
				struct sp_addr_range part = {.lo = rest.lo, .hi = minus->v[j].lo};

				addr_previous(&part.hi);
				if (sp_addrset_add(&result, &part))
					goto err_memory;
			}
			rest.lo = minus->v[j].hi;
			left = addr_next(&rest.lo) && sp_addr_compare(&rest.lo, &rest.hi) <= 0;
			m = j;
		}
		if (left && sp_addrset_add(&result, &rest))
			goto err_memory;
	}
	count_ipv4(&result);
	free(set->v);
	*set = result;
	return 0;

err_memory:
	sp_addrset_free(&result);
	return -ENOMEM;
}

int sp_addrset_all(struct sp_addrset *set)
{
	struct sp_addr_range all4 = {.lo.family = SP_FAMILY_IPV4, .hi.family = SP_FAMILY_IPV4};
	struct sp_addr_range all6 = {.lo.family = SP_FAMILY_IPV6, .hi.family = SP_FAMILY_IPV6};

	memset(all4.hi.b, 0xff, 4);
	memset(all6.hi.b, 0xff, 16);
	if (sp_addrset_add(set, &all4) || sp_addrset_add(set, &all6)) {
		sp_addrset_free(set);
		return -ENOMEM;
	}
	count_ipv4(set);
	return 0;
}

/* The last range that does not begin after addr, or NULL. */
static const struct sp_addr_range *range_before(const struct sp_addrset *set, const struct sp_addr *addr)
{
	size_t lo = 0, hi = set->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (sp_addr_compare(&set->v[mid].lo, addr) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? &set->v[lo - 1] : NULL;
}

bool sp_addrset_contains(const struct sp_addrset *set, const struct sp_addr *addr)
{
	const struct sp_addr_range *range = range_before(set, addr);

	return range && sp_addr_compare(addr, &range->hi) <= 0;
}

bool sp_addrset_covers(const struct sp_addrset *outer, const struct sp_addrset *inner)
{
	for (size_t i = 0; i < inner->n; i++) {
		const struct sp_addr_range *range = range_before(outer, &inner->v[i].lo);

		if (!range || sp_addr_compare(&inner->v[i].hi, &range->hi) > 0)
			return false;
	}
	return true;
}

void sp_addrset_free(struct sp_addrset *set)
{
	free(set->v);
	memset(set, 0, sizeof(*set));
}
