/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Judges a policy: rules that can never match (hidden by an earlier one, contradictory), expectations that fail.
 */
#ifndef SP_RULES_CHECK_H
#define SP_RULES_CHECK_H

#include "rules/policy.h"

/*
 * Adds a warning for each rule that can never match, naming the rule that hides it (one earlier enabled rule, not a monitor, that matches
 * all that it matches: residual fields count when both rules ask them, and a limit drops its excess, so it hides too), or the contradiction
 * in it; for fields without effect, for a limit that no full frame fits in, for sets and profiles that no rule uses, and for very many
 * rules that pass packets on. Bounded: of policies with more than 20,000 rules each is compared with the nearest 1,000 before it only.
 */
void sp_policy_check(const struct sp_policy *policy, struct sp_diags *diags);

/* Expect lines times rules that a load may cost: about two seconds. */
#define SP_EXPECT_WORK_MAX 40000000u

/* Runs every `expect` line ("allow 10: PACKET"; the id may be left out, or be `default` or `builtin`) through explain's engine; a failing
 * one is an error with its line, naming what decided instead. */
void sp_policy_expect(const struct sp_policy *policy, struct sp_diags *diags);

#endif
