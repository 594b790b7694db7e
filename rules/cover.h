/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which packets a rule can match, as far as two rules can be compared: families, and whether one rule matches all that another does.
 */
#ifndef SP_RULES_COVER_H
#define SP_RULES_COVER_H

#include "rules/match.h"
#include "rules/policy.h"

#define SP_COVER_IPV4   1u
#define SP_COVER_IPV6   2u
#define SP_COVER_NON_IP 4u

/* Families of frames that the rule's fields leave possible, bits SP_COVER_*; 0: it can never match. */
unsigned int sp_rule_families(const struct sp_policy *policy, const struct sp_rule *rule);

/* Whether `outer` matches every frame that `inner` matches; exact field by field, without regard to enabled or monitor. */
bool sp_rule_covers(const struct sp_policy *policy, const struct sp_rule *outer, const struct sp_rule *inner);

/* What finds the covering rule among many: one summary a rule. */
struct sp_cover_index;

/* NULL on ENOMEM. The policy must outlive it. */
struct sp_cover_index *sp_cover_index_new(const struct sp_policy *policy);

/*
 * First enabled, deciding (not monitor) rule in [first, before) that covers rule `before`; SP_RULE_NONE without one. Costs a few
 * nanoseconds a rule looked at.
 */
uint32_t sp_cover_find(const struct sp_cover_index *index, uint32_t first, uint32_t before);

void sp_cover_index_free(struct sp_cover_index *index);

#endif
