/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lookup in bulk. Keys of one family go through the segments together: those that ask from a segment's start in one rte_acl call, those
 * that ask from inside it by a walk to the segment's end, which ACL_TAIL_RULES bounds for every caller that continues after a rule that
 * passed the packet on.
 */
#include "rules/acl.h"

#include <assert.h>
#include <string.h>

static void key_fill(const struct sp_classifier *classifier, enum acl_family family, const struct sp_match *match, struct acl_key *key)
{
	memset(key, 0, sizeof(*key));
	key->proto = match->proto;
	key->from = acl_zone_place(classifier, match->from);
	key->to = acl_zone_place(classifier, match->to);
	key->vlan = rte_cpu_to_be_16(match->vlan);
	key->src_class = rte_cpu_to_be_16(acl_classes_lookup(&classifier->src[family], family, match->src.b));
	key->dst_class = rte_cpu_to_be_16(acl_classes_lookup(&classifier->dst[family], family, match->dst.b));
	memcpy(key->src, match->src.b, sizeof(key->src));
	memcpy(key->dst, match->dst.b, sizeof(key->dst));
	key->sport = rte_cpu_to_be_16(match->sport);
	key->dport = rte_cpu_to_be_16(match->dport);
}

/* Segment that holds rule i; n_segments when i is past the last rule. */
static uint32_t segment_of(const struct sp_classifier *classifier, uint32_t i)
{
	uint32_t base = 0, n = (uint32_t)classifier->n_segments;

	if (i >= classifier->policy->n_rules)
		return n;
	while (n > 1) {
		uint32_t half = n / 2;

		if (classifier->segments[base + half].first <= i)
			base += half;
		n -= half;
	}
	return base;
}

static uint32_t walk(const struct sp_policy *policy, const struct sp_match *match, uint32_t first, uint32_t last)
{
	for (uint32_t i = first; i <= last; i++)
		if (policy->rules[i].enabled && sp_rule_match_indexed(policy, &policy->rules[i], match, NULL))
			return i;
	return SP_RULE_NONE;
}

static uint32_t lookup_non_ip(const struct sp_classifier *classifier, const struct sp_match *match, uint32_t from)
{
	for (size_t i = 0; i < classifier->n_non_ip; i++) {
		uint32_t rule = classifier->non_ip[i];

		if (rule >= from && sp_rule_match_indexed(classifier->policy, &classifier->policy->rules[rule], match, NULL))
			return rule;
	}
	return SP_RULE_NONE;
}

/* Keys of one family that have no answer yet. */
struct open_keys {
	struct acl_key keys[SP_CLASSIFY_MAX];
	uint32_t start[SP_CLASSIFY_MAX];   /* first rule that may answer; by position in the caller's arrays */
	uint32_t segment[SP_CLASSIFY_MAX]; /* where that rule is */
	uint8_t open[SP_CLASSIFY_MAX];     /* positions without an answer */
	unsigned int n_open;
};

/* Asks segment s for every open key that stands there; found ones leave, the others go on to s + 1. */
static void ask_segment(const struct sp_classifier *classifier, enum acl_family family, struct open_keys *set, uint32_t s,
	const struct sp_match *const keys[], uint32_t result[])
{
	const struct acl_segment *segment = &classifier->segments[s];
	const uint8_t *data[SP_CLASSIFY_MAX];
	uint32_t answers[SP_CLASSIFY_MAX];
	uint8_t asked[SP_CLASSIFY_MAX];
	unsigned int n = 0, left = 0;

	for (unsigned int i = 0; i < set->n_open; i++) {
		uint8_t k = set->open[i];

		if (set->segment[k] != s)
			continue;
		set->segment[k] = s + 1;
		if (segment->linear || set->start[k] > segment->first) {
			result[k] = walk(classifier->policy, keys[k], set->start[k] > segment->first ? set->start[k] : segment->first,
				segment->last);
		} else if (segment->context[family] != NULL) {
			asked[n] = k;
			data[n++] = (const uint8_t *)&set->keys[k];
		}
	}
	if (n > 0 && rte_acl_classify(segment->context[family], data, answers, n, 1) == 0) {
		for (unsigned int i = 0; i < n; i++)
			result[asked[i]] = answers[i] == 0 ? SP_RULE_NONE : answers[i] - 1;
	} else { /* it refuses only bad arguments; should it ever, no rule is lost */
		for (unsigned int i = 0; i < n; i++)
			result[asked[i]] = walk(classifier->policy, keys[asked[i]], segment->first, segment->last);
	}
	for (unsigned int i = 0; i < set->n_open; i++)
		if (result[set->open[i]] == SP_RULE_NONE)
			set->open[left++] = set->open[i];
	set->n_open = left;
}

static void lookup_family(const struct sp_classifier *classifier, enum acl_family family, struct open_keys *set,
	const struct sp_match *const keys[], uint32_t result[])
{
	uint32_t s = UINT32_MAX;

	for (unsigned int i = 0; i < set->n_open; i++) {
		uint8_t k = set->open[i];

		set->segment[k] = segment_of(classifier, set->start[k]);
		if (set->segment[k] < s)
			s = set->segment[k];
		key_fill(classifier, family, keys[k], &set->keys[k]);
	}
	for (; s < classifier->n_segments && set->n_open > 0; s++)
		ask_segment(classifier, family, set, s, keys, result);
}

void sp_classifier_lookup(const struct sp_classifier *classifier, const struct sp_match *const keys[], const uint32_t from[],
	uint32_t result[], unsigned int n)
{
	struct open_keys set;
	uint8_t family_of[SP_CLASSIFY_MAX];

	assert(n <= SP_CLASSIFY_MAX);
	for (unsigned int k = 0; k < n; k++) {
		family_of[k] = keys[k]->family;
		set.start[k] = from[k];
	}
	for (unsigned int k = 0; k < n; k++)
		result[k] = family_of[k] == SP_FAMILY_IPV4 || family_of[k] == SP_FAMILY_IPV6
				    ? SP_RULE_NONE
				    : lookup_non_ip(classifier, keys[k], set.start[k]);
	for (int family = 0; family < ACL_FAMILIES; family++) {
		set.n_open = 0;
		for (unsigned int k = 0; k < n; k++)
			if (family_of[k] == acl_family_wire((enum acl_family)family))
				set.open[set.n_open++] = (uint8_t)k;
		if (set.n_open > 0)
			lookup_family(classifier, (enum acl_family)family, &set, keys, result);
	}
}
