/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cuts the rules into segments, each answered by one rte_acl context a family.
 *
 * rte_acl tells the best rule of a context only. When that rule passes the packet on (a residual field fails, or it is a monitor), the
 * caller asks again from the next rule, inside the segment, and the rest of the segment is walked linearly. So a segment ends at most
 * ACL_TAIL_RULES rules after its first rule that may pass on. Rules whose lists multiply beyond measure stand in segments of their own,
 * which are walked too. Any cut is right; cuts only trade time for memory.
 */
#include "rules/acl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool acl_rule_passes_on(const struct sp_rule *rule)
{
	return rule->has_residual || rule->monitor;
}

static int append(struct sp_classifier *classifier, size_t *capacity, uint32_t first, uint32_t last, bool heavy)
{
	if (classifier->n_segments == SP_SEGMENTS_MAX)
		return -E2BIG;
	if (classifier->n_segments == *capacity) {
		size_t grown = *capacity == 0 ? 8 : *capacity * 2;
		struct acl_segment *v = realloc(classifier->segments, grown * sizeof(*v));

		if (v == NULL)
			return -ENOMEM;
		classifier->segments = v;
		*capacity = grown;
	}
	classifier->segments[classifier->n_segments++] = (struct acl_segment){.first = first, .last = last, .linear = heavy};
	return 0;
}

/* A segment that grows rule by rule. */
struct growing {
	uint32_t first;
	uint32_t entries;
	uint32_t stop; /* last rule it may hold, once one of its rules may pass on */
	bool heavy;    /* of rules that rte_acl shall not see */
};

static bool must_end(const struct growing *g, uint32_t i, uint16_t entries)
{
	bool heavy = entries > ACL_RULE_ENTRIES_MAX;

	if (heavy != g->heavy)
		return true;
	return heavy ? i - g->first == ACL_HEAVY_RULES : i > g->stop || g->entries + entries > ACL_SEGMENT_ENTRIES_MAX;
}

int acl_segments_cut(struct sp_classifier *classifier, const uint16_t *entries)
{
	const struct sp_policy *policy = classifier->policy;
	struct growing g = {.stop = UINT32_MAX, .heavy = policy->n_rules > 0 && entries[0] > ACL_RULE_ENTRIES_MAX};
	size_t capacity = 0;

	for (uint32_t i = 0; i < policy->n_rules; i++) {
		const struct sp_rule *rule = &policy->rules[i];

		if (i > g.first && must_end(&g, i, entries[i])) {
			int rc = append(classifier, &capacity, g.first, i - 1, g.heavy);

			if (rc != 0)
				return rc;
			g = (struct growing){.first = i, .stop = UINT32_MAX, .heavy = entries[i] > ACL_RULE_ENTRIES_MAX};
		}
		g.entries += entries[i];
		if (g.stop == UINT32_MAX && rule->enabled && acl_rule_passes_on(rule))
			g.stop = i + ACL_TAIL_RULES;
	}
	return policy->n_rules == 0 ? 0 : append(classifier, &capacity, g.first, (uint32_t)policy->n_rules - 1, g.heavy);
}

int acl_segment_split(struct sp_classifier *classifier, size_t i)
{
	struct acl_segment *v;
	uint32_t middle;

	if (classifier->n_segments == SP_SEGMENTS_MAX || classifier->segments[i].first == classifier->segments[i].last)
		return -E2BIG;
	v = realloc(classifier->segments, (classifier->n_segments + 1) * sizeof(*v));
	if (v == NULL)
		return -ENOMEM;
	classifier->segments = v;
	memmove(&v[i + 1], &v[i], (classifier->n_segments - i) * sizeof(*v));
	classifier->n_segments++;
	middle = v[i].first + (v[i].last - v[i].first) / 2;
	v[i].last = middle;
	v[i + 1].first = middle + 1;
	return 0;
}
