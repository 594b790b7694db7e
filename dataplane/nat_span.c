/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Spans of addresses that tell a worker at once what an address is to the translator: made by the control thread from all ranges of the
 * list, by a sweep over their ends; immutable afterwards.
 */
#include <errno.h>
#include <stdlib.h>

#include "dataplane/nat_internal.h"

/* A range of addresses, or its end, on the way to spans. */
struct edge {
	sp_nat_number at; /* the first address behind, for an end */
	uint16_t entry;
	uint8_t flag;
	bool end;
	bool wrapped; /* an end behind the last address of all */
};

struct edges {
	struct edge *v;
	size_t n, room;
	bool failed;
};

static sp_nat_number number_of(const struct sp_addr *addr)
{
	sp_nat_number number = 0;

	for (unsigned int i = 0; i < (addr->family == SP_FAMILY_IPV4 ? 4u : 16u); i++)
		number = number << 8 | addr->b[i];
	return number;
}

static void add_edge(struct edges *edges, const struct edge *edge)
{
	if (edges->n == edges->room) {
		size_t room = edges->room == 0 ? 64 : edges->room * 2;
		struct edge *v = realloc(edges->v, room * sizeof(v[0]));

		if (v == NULL) {
			edges->failed = true;
			return;
		}
		edges->v = v;
		edges->room = room;
	}
	edges->v[edges->n++] = *edge;
}

static void add_numbers(struct edges *edges, sp_nat_number lo, sp_nat_number hi, uint32_t entry, uint8_t flag)
{
	add_edge(edges, &(struct edge){.at = lo, .entry = (uint16_t)entry, .flag = flag});
	add_edge(edges, &(struct edge){.at = hi + 1, .entry = (uint16_t)entry, .flag = flag, .end = true, .wrapped = hi + 1 == 0});
}

static void add_range(struct edges edges[2], const struct sp_addr_range *range, uint32_t entry, uint8_t flag)
{
	add_numbers(&edges[range->lo.family == SP_FAMILY_IPV6], number_of(&range->lo), number_of(&range->hi), entry, flag);
}

/* An address set of the policy; -1: all addresses. */
static void add_set(struct edges edges[2], const struct sp_policy *policy, int32_t set, uint32_t entry, uint8_t flag)
{
	if (set < 0) {
		add_numbers(&edges[0], 0, UINT32_MAX, entry, flag);
		add_numbers(&edges[1], 0, ~(sp_nat_number)0, entry, flag);
		return;
	}
	for (size_t i = 0; i < policy->addrsets[set].n; i++)
		add_range(edges, &policy->addrsets[set].v[i], entry, flag);
}

static void add_entry(struct edges edges[2], const struct sp_policy *policy, uint32_t i)
{
	const struct sp_nat_entry *entry = &policy->nat->v[i];

	if (!entry->enabled || entry->none)
		return;
	switch (entry->type) {
	case SP_NAT_SOURCE:
		add_set(edges, policy, entry->src, i, SP_NAT_SPAN_SOURCE);
		for (size_t a = 0; a < entry->n_address; a++)
			add_range(edges, &entry->address[a], i, SP_NAT_SPAN_POOL);
		break;
	case SP_NAT_DESTINATION:
		if (!entry->dst_interface)
			add_set(edges, policy, entry->dst, i, SP_NAT_SPAN_VIP);
		for (size_t a = 0; a < entry->n_address; a++)
			add_range(edges, &entry->address[a], i, SP_NAT_SPAN_BACKEND);
		break;
	default:
		add_range(edges, &entry->inside, i, SP_NAT_SPAN_SOURCE);
		add_range(edges, &entry->outside, i, SP_NAT_SPAN_OUTSIDE);
	}
}

static int compare_edges(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	if (x->wrapped != y->wrapped)
		return x->wrapped ? 1 : -1;
	return x->at != y->at ? (x->at < y->at ? -1 : 1) : 0;
}

/* What holds at the place that the sweep has reached. */
struct sweep {
	uint32_t pools, sources;
	struct sp_nat_ref *active; /* entries that are worth looking at */
	uint32_t n_active;
	struct sp_nat_rules *rules;
	uint32_t n_refs, room;
};

static void pass_edge(struct sweep *sweep, const struct edge *edge)
{
	const uint32_t change = edge->end ? UINT32_MAX : 1;

	if (edge->flag == SP_NAT_SPAN_POOL) {
		sweep->pools += change;
	} else if (edge->flag == SP_NAT_SPAN_SOURCE) {
		sweep->sources += change;
	} else if (!edge->end) {
		sweep->active[sweep->n_active++] = (struct sp_nat_ref){.entry = edge->entry, .flag = edge->flag};
	} else {
		for (uint32_t a = 0; a < sweep->n_active; a++)
			if (sweep->active[a].entry == edge->entry && sweep->active[a].flag == edge->flag) {
				sweep->active[a] = sweep->active[--sweep->n_active];
				break;
			}
	}
}

static int emit_span(struct sweep *sweep, struct sp_nat_span *span, sp_nat_number lo, sp_nat_number hi)
{
	struct sp_nat_rules *rules = sweep->rules;

	*span = (struct sp_nat_span){.lo = lo, .hi = hi, .first = sweep->n_refs, .n = sweep->n_active};
	span->flags = (sweep->pools != 0 ? SP_NAT_SPAN_POOL : 0) | (sweep->sources != 0 ? SP_NAT_SPAN_SOURCE : 0);
	if (sweep->n_refs + sweep->n_active > sweep->room) {
		uint32_t room = (sweep->n_refs + sweep->n_active) * 2;
		struct sp_nat_ref *ref = realloc(rules->ref, room * sizeof(ref[0]));

		if (ref == NULL)
			return -ENOMEM;
		rules->ref = ref;
		sweep->room = room;
	}
	for (uint32_t a = 0; a < sweep->n_active; a++) {
		span->flags |= sweep->active[a].flag;
		rules->ref[sweep->n_refs++] = sweep->active[a];
	}
	return 0;
}

static int make_spans(struct sweep *sweep, struct edges *edges, unsigned int family)
{
	struct sp_nat_rules *rules = sweep->rules;
	struct sp_nat_span *spans = calloc(edges->n + 1, sizeof(spans[0]));
	uint32_t n = 0;
	int rc = 0;

	rules->span[family] = spans;
	if (spans == NULL)
		return -ENOMEM;
	if (edges->n != 0)
		qsort(edges->v, edges->n, sizeof(edges->v[0]), compare_edges);
	for (size_t e = 0; e < edges->n && rc == 0; e++) {
		const struct edge *edge = &edges->v[e];

		if (e > 0 && (edge->at != edges->v[e - 1].at || edge->wrapped != edges->v[e - 1].wrapped) &&
			(sweep->pools | sweep->sources | sweep->n_active) != 0)
			rc = emit_span(sweep, &spans[n++], edges->v[e - 1].at, edge->at - 1);
		pass_edge(sweep, edge);
	}
	rules->n_spans[family] = n;
	return rc;
}

int sp_nat_spans_compile(struct sp_nat_rules *rules)
{
	struct edges edges[2] = {{0}, {0}};
	struct sweep sweep = {.rules = rules};
	int rc = 0;

	for (uint32_t i = 0; i < rules->n; i++)
		add_entry(edges, rules->policy, i);
	sweep.active = malloc((edges[0].n + edges[1].n + 1) * sizeof(sweep.active[0]));
	if (sweep.active == NULL || edges[0].failed || edges[1].failed)
		rc = -ENOMEM;
	for (unsigned int f = 0; f < 2 && rc == 0; f++)
		rc = make_spans(&sweep, &edges[f], f);
	free(sweep.active);
	free(edges[0].v);
	free(edges[1].v);
	return rc;
}

const struct sp_nat_span *sp_nat_span(const struct sp_nat_rules *rules, const struct sp_addr *addr)
{
	const unsigned int family = addr->family == SP_FAMILY_IPV6;
	const struct sp_nat_span *spans = rules->span[family];
	uint32_t lo = 0, hi = rules->n_spans[family];
	sp_nat_number number;

	if (hi == 0)
		return NULL;
	number = number_of(addr);
	while (lo < hi) {
		uint32_t middle = lo + (hi - lo) / 2;

		if (number > spans[middle].hi)
			lo = middle + 1;
		else
			hi = middle;
	}
	return lo < rules->n_spans[family] && number >= spans[lo].lo ? &spans[lo] : NULL;
}
