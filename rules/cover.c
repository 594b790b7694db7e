/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/cover.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd

/* Whether one range of the outer list holds all of the inner range: lists are merged, so no two could do it together. */
static bool list_holds(const struct sp_rangelist *outer, struct sp_range inner)
{
	size_t lo = 0, hi = outer->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (outer->v[mid].hi < inner.lo)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < outer->n && outer->v[lo].lo <= inner.lo && inner.hi <= outer->v[lo].hi;
}

/* Lists that were not given mean every number up to max. */
static bool list_covers(const struct sp_rangelist *outer, const struct sp_rangelist *inner, uint16_t max)
{
	if (outer->n == 0)
		return true;
	if (inner->n == 0)
		return list_holds(outer, (struct sp_range){0, max});
	for (size_t i = 0; i < inner->n; i++)
		if (!list_holds(outer, inner->v[i]))
			return false;
	return true;
}

/* The part of a set that one family sees, as a set that shares its ranges. */
static struct sp_addrset family_part(const struct sp_addrset *set, unsigned int family)
{
	if (family == SP_COVER_IPV4)
		return (struct sp_addrset){.v = set->v, .n = set->n4, .n4 = set->n4};
	return (struct sp_addrset){.v = set->v + set->n4, .n = set->n - set->n4, .n4 = 0};
}

static bool part_is_all(const struct sp_addrset *part)
{
	size_t bytes;

	if (part->n != 1)
		return false;
	bytes = part->v[0].lo.family == SP_FAMILY_IPV4 ? 4 : 16;
	for (size_t i = 0; i < bytes; i++)
		if (part->v[0].lo.b[i] != 0 || part->v[0].hi.b[i] != 0xff)
			return false;
	return true;
}

static unsigned int set_families(const struct sp_policy *policy, int32_t index)
{
	const struct sp_addrset *set;

	if (index < 0)
		return SP_COVER_IPV4 | SP_COVER_IPV6 | SP_COVER_NON_IP;
	set = &policy->addrsets[index];
	return (set->n4 != 0 ? SP_COVER_IPV4 : 0) | (set->n > set->n4 ? SP_COVER_IPV6 : 0);
}

/* Families that the protocols are spoken in. */
static unsigned int proto_families(const struct sp_rule *rule)
{
	uint64_t rest[4];

	if (sp_rule_any_proto(rule))
		return SP_COVER_IPV4 | SP_COVER_IPV6 | SP_COVER_NON_IP;
	memcpy(rest, rule->proto, sizeof(rest));
	rest[0] &= ~(UINT64_C(1) << IPPROTO_ICMP | UINT64_C(1) << IPPROTO_ICMPV6);
	if ((rest[0] | rest[1] | rest[2] | rest[3]) != 0)
		return SP_COVER_IPV4 | SP_COVER_IPV6;
	return (sp_rule_has_proto(rule, IPPROTO_ICMP) ? SP_COVER_IPV4 : 0) | (sp_rule_has_proto(rule, IPPROTO_ICMPV6) ? SP_COVER_IPV6 : 0);
}

static unsigned int ethertype_families(const struct sp_rule *rule)
{
	unsigned int families = 0;

	if (rule->ethertype.n == 0)
		return SP_COVER_IPV4 | SP_COVER_IPV6;
	for (size_t i = 0; i < rule->ethertype.n; i++) {
		struct sp_range range = rule->ethertype.v[i];

		if (range.lo <= ETHERTYPE_IPV4 && ETHERTYPE_IPV4 <= range.hi)
			families |= SP_COVER_IPV4;
		if (range.lo <= ETHERTYPE_IPV6 && ETHERTYPE_IPV6 <= range.hi)
			families |= SP_COVER_IPV6;
		if (range.lo != range.hi || (range.lo != ETHERTYPE_IPV4 && range.lo != ETHERTYPE_IPV6))
			families |= SP_COVER_NON_IP;
	}
	return families;
}

unsigned int sp_rule_families(const struct sp_policy *policy, const struct sp_rule *rule)
{
	return set_families(policy, rule->src) & set_families(policy, rule->dst) & proto_families(rule) & ethertype_families(rule);
}

/* Within the families that the inner rule can match at all. */
static bool set_covers(const struct sp_policy *policy, int32_t outer, int32_t inner, unsigned int families)
{
	if (outer < 0 || outer == inner)
		return true;
	if (families & SP_COVER_NON_IP)
		return false;
	for (unsigned int family = SP_COVER_IPV4; family <= SP_COVER_IPV6; family <<= 1) {
		struct sp_addrset outer_part, inner_part;

		if (!(families & family))
			continue;
		outer_part = family_part(&policy->addrsets[outer], family);
		if (inner < 0) {
			if (!part_is_all(&outer_part))
				return false;
			continue;
		}
		inner_part = family_part(&policy->addrsets[inner], family);
		if (!sp_addrset_covers(&outer_part, &inner_part))
			return false;
	}
	return true;
}

/* The rule's protocols without those that its families rule out: ICMP over IPv6 is none. All zero still means any. */
static void possible_protos(const struct sp_rule *rule, unsigned int families, uint64_t out[4])
{
	memcpy(out, rule->proto, sizeof(rule->proto));
	if (!(families & SP_COVER_IPV4))
		out[0] &= ~(UINT64_C(1) << IPPROTO_ICMP);
	if (!(families & SP_COVER_IPV6))
		out[0] &= ~(UINT64_C(1) << IPPROTO_ICMPV6);
}

static bool proto_covers(const struct sp_rule *outer, const struct sp_rule *inner, unsigned int families)
{
	uint64_t possible[4];

	if (sp_rule_any_proto(outer))
		return true;
	if (sp_rule_any_proto(inner))
		return false;
	possible_protos(inner, families, possible);
	for (size_t i = 0; i < 4; i++)
		if (possible[i] & ~outer->proto[i])
			return false;
	return true;
}

static bool ethertype_covers(const struct sp_rule *outer, const struct sp_rule *inner, unsigned int families)
{
	if (inner->ethertype.n != 0 && (families & SP_COVER_NON_IP))
		return outer->ethertype.n != 0 && list_covers(&outer->ethertype, &inner->ethertype, UINT16_MAX);
	return (families & ~ethertype_families(outer)) == 0;
}

/* Every alternative of the inner rule must fix the flags that one of the outer's looks at, to the same values. */
static bool flags_cover(const struct sp_residual *outer, const struct sp_residual *inner)
{
	if (outer->n_tcp_flags == 0)
		return true;
	for (size_t i = 0; i < inner->n_tcp_flags; i++) {
		struct sp_tcp_flags want = inner->tcp_flags[i];
		bool held = false;

		for (size_t k = 0; k < outer->n_tcp_flags && !held; k++)
			held = (outer->tcp_flags[k].mask & ~want.mask) == 0 &&
			       (want.value & outer->tcp_flags[k].mask) == outer->tcp_flags[k].value;
		if (!held)
			return false;
	}
	return inner->n_tcp_flags != 0;
}

static bool macs_cover(const struct sp_residual *outer, const struct sp_residual *inner)
{
	if (outer->n_src_mac == 0)
		return true;
	for (size_t i = 0; i < inner->n_src_mac; i++) {
		bool held = false;

		for (size_t k = 0; k < outer->n_src_mac && !held; k++)
			held = memcmp(outer->src_mac[k], inner->src_mac[i], sizeof(outer->src_mac[k])) == 0;
		if (!held)
			return false;
	}
	return inner->n_src_mac != 0;
}

static bool residual_covers(const struct sp_rule *outer, const struct sp_rule *inner)
{
	const struct sp_residual *o = &outer->residual, *i = &inner->residual;

	if (!outer->has_residual)
		return true;
	if (o->bpf != NULL && (i->bpf == NULL || strcmp(outer->value[SP_FIELD_BPF], inner->value[SP_FIELD_BPF]) != 0))
		return false;
	return flags_cover(o, i) && macs_cover(o, i) && list_covers(&o->length, &i->length, UINT16_MAX) &&
	       list_covers(&o->dscp, &i->dscp, 63);
}

bool sp_rule_covers(const struct sp_policy *policy, const struct sp_rule *outer, const struct sp_rule *inner)
{
	unsigned int families = sp_rule_families(policy, inner);

	if ((families & ~sp_rule_families(policy, outer)) != 0 || (inner->from & ~outer->from) != 0 || (inner->to & ~outer->to) != 0)
		return false;
	return proto_covers(outer, inner, families) && ethertype_covers(outer, inner, families) &&
	       list_covers(&outer->sport, &inner->sport, UINT16_MAX) && list_covers(&outer->dport, &inner->dport, UINT16_MAX) &&
	       list_covers(&outer->icmp_type, &inner->icmp_type, UINT8_MAX) &&
	       list_covers(&outer->icmp_code, &inner->icmp_code, UINT8_MAX) && list_covers(&outer->vlan, &inner->vlan, 4095) &&
	       set_covers(policy, outer->src, inner->src, families) && set_covers(policy, outer->dst, inner->dst, families) &&
	       residual_covers(outer, inner);
}

/*
 * What a rule can match, folded so small that two rules are compared in a few instructions. Each part is a necessary condition: the
 * outer rule's must contain the inner's. Bits where a fold is a set, ends where it is the hull of ranges; IPv6 addresses count by their
 * upper half.
 */
struct summary {
	uint32_t from, to;
	uint64_t proto;  /* bit p % 64 */
	uint64_t lo6[2]; /* src, dst */
	uint64_t hi6[2];
	uint32_t lo4[2];
	uint32_t hi4[2];
	uint16_t sport[2], dport[2]; /* lo, hi */
	uint8_t families;
	bool decides; /* can hide another: enabled, not monitor, and possible */
	bool asks;    /* has residual fields */
};

struct sp_cover_index {
	const struct sp_policy *policy;
	struct summary v[];
};

static uint64_t load(const uint8_t *bytes, size_t n)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n; i++)
		value = value << 8 | bytes[i];
	return value;
}

/* Hull of the set in each family; of a family that the rule cannot match an empty one (lo above hi), which everything contains. */
static void sum_up_set(const struct sp_policy *policy, int32_t index, struct summary *s, int end)
{
	const struct sp_addrset *set = index >= 0 ? &policy->addrsets[index] : NULL;

	s->lo4[end] = UINT32_MAX;
	s->lo6[end] = UINT64_MAX;
	if (s->families & SP_COVER_IPV4) {
		s->lo4[end] = set != NULL ? (uint32_t)load(set->v[0].lo.b, 4) : 0;
		s->hi4[end] = set != NULL ? (uint32_t)load(set->v[set->n4 - 1].hi.b, 4) : UINT32_MAX;
	}
	if (s->families & SP_COVER_IPV6) {
		s->lo6[end] = set != NULL ? load(set->v[set->n4].lo.b, 8) : 0;
		s->hi6[end] = set != NULL ? load(set->v[set->n - 1].hi.b, 8) : UINT64_MAX;
	}
}

static void sum_up_ports(const struct sp_rangelist *list, uint16_t out[2])
{
	out[0] = list->n != 0 ? list->v[0].lo : 0;
	out[1] = list->n != 0 ? list->v[list->n - 1].hi : UINT16_MAX;
}

static void sum_up(const struct sp_policy *policy, const struct sp_rule *rule, struct summary *s)
{
	uint64_t protos[4];

	s->families = (uint8_t)sp_rule_families(policy, rule);
	possible_protos(rule, s->families, protos);
	s->from = rule->from;
	s->to = rule->to;
	s->proto = sp_rule_any_proto(rule) ? UINT64_MAX : protos[0] | protos[1] | protos[2] | protos[3];
	sum_up_set(policy, rule->src, s, 0);
	sum_up_set(policy, rule->dst, s, 1);
	sum_up_ports(&rule->sport, s->sport);
	sum_up_ports(&rule->dport, s->dport);
	s->decides = rule->enabled && !rule->monitor && s->families != 0;
	s->asks = rule->has_residual;
}

struct sp_cover_index *sp_cover_index_new(const struct sp_policy *policy)
{
	struct sp_cover_index *index = calloc(1, sizeof(*index) + policy->n_rules * sizeof(index->v[0]));

	if (index == NULL)
		return NULL;
	index->policy = policy;
	for (size_t i = 0; i < policy->n_rules; i++)
		sum_up(policy, &policy->rules[i], &index->v[i]);
	return index;
}

/* One wide condition without branches: almost every pair fails it. */
static bool may_cover(const struct summary *outer, const struct summary *inner)
{
	uint64_t out = (inner->from & ~outer->from) | (inner->to & ~outer->to) | (inner->proto & ~outer->proto) |
		       (uint64_t)(inner->families & ~outer->families);

	out |= (uint64_t)(outer->dport[0] > inner->dport[0]) | (uint64_t)(outer->dport[1] < inner->dport[1]);
	out |= (uint64_t)(outer->sport[0] > inner->sport[0]) | (uint64_t)(outer->sport[1] < inner->sport[1]);
	for (int end = 0; end < 2; end++) {
		out |= (uint64_t)(outer->lo4[end] > inner->lo4[end]) | (uint64_t)(outer->hi4[end] < inner->hi4[end]);
		out |= (uint64_t)(outer->lo6[end] > inner->lo6[end]) | (uint64_t)(outer->hi6[end] < inner->hi6[end]);
	}
	return out == 0 && outer->decides && (!outer->asks || inner->asks);
}

uint32_t sp_cover_find(const struct sp_cover_index *index, uint32_t first, uint32_t before)
{
	const struct sp_policy *policy = index->policy;
	const struct summary *inner = &index->v[before];

	for (uint32_t i = first; i < before; i++)
		if (may_cover(&index->v[i], inner) && sp_rule_covers(policy, &policy->rules[i], &policy->rules[before]))
			return i;
	return SP_RULE_NONE;
}

void sp_cover_index_free(struct sp_cover_index *index)
{
	free(index);
}
