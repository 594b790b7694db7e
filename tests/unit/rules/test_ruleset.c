/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above. */
#include <cmocka.h>
#include <string.h>

#include "rules/ruleset.h"
#include "tests/unit/support/eal.h"

/* Three rules and one inspect profile, by hand: what reading a file would make. */
static struct sp_policy *small_policy(const char *pattern)
{
	struct sp_policy *policy = sp_policy_new();

	assert_non_null(policy);
	policy->file = "small.rules";
	policy->default_action = SP_ACTION_REJECT;
	policy->default_log = SP_LOG_END;
	policy->builtin_arp = true;
	policy->rules = sp_policy_alloc(policy, 3 * sizeof(*policy->rules));
	policy->profiles = sp_policy_alloc(policy, sizeof(*policy->profiles));
	assert_true(policy->rules != NULL && policy->profiles != NULL);
	policy->profiles[0].patterns = sp_policy_alloc(policy, sizeof(struct sp_pattern));
	assert_non_null(policy->profiles[0].patterns);
	policy->profiles[0].patterns[0] = (struct sp_pattern){.id = 900, .line = 4, .msg = "m", .pattern = pattern};
	policy->profiles[0].n_patterns = 1;
	policy->profiles[0].name = "web";
	policy->n_profiles = 1;
	policy->n_rules = 3;
	for (uint32_t i = 0; i < 3; i++)
		policy->rules[i] = (struct sp_rule){.id = 10 * (i + 1),
			.file = "small.rules",
			.line = (int)i + 10,
			.enabled = true,
			.inspect = -1,
			.from = SP_ZONE_ANY,
			.to = SP_ZONE_ANY,
			.src = -1,
			.dst = -1,
			.content_hash = 1000 + i};
	policy->rules[0].monitor = true;
	policy->rules[0].log = SP_LOG_BOTH;
	policy->rules[1].has_residual = true;
	policy->rules[1].action = SP_ACTION_DROP;
	policy->rules[1].limit = (struct sp_limit){.unit = SP_LIMIT_OPENS, .rate = 5, .burst = 5};
	policy->rules[2].stateless = true;
	policy->rules[2].inspect = 0;
	policy->rules[2].mss = 1400;
	policy->rules[2].timeout_sec = 60;
	policy->rules[2].max_sessions = 7;
	policy->rules[2].max_per_source = 3;
	return policy;
}

static void carries_what_the_packet_path_needs(void **unused)
{
	struct sp_policy *policy = small_policy("evil");
	struct sp_diags diags = {0};
	struct sp_ruleset *ruleset = sp_ruleset_build(policy, &diags);
	const struct sp_hot_rule *hot;

	(void)unused;
	assert_non_null(ruleset);
	assert_int_equal(diags.n, 0);
	assert_ptr_equal(ruleset->policy, policy);
	assert_int_equal(ruleset->generation, 0);
	assert_int_equal(ruleset->n_rules, 3);
	assert_int_equal(ruleset->default_action, SP_ACTION_REJECT);
	assert_int_equal(ruleset->default_log, SP_LOG_END);
	assert_true(ruleset->builtin_arp && !ruleset->builtin_nd);
	assert_int_equal(ruleset->n_inspectors, 1);
	assert_ptr_equal(ruleset->inspectors[0].profile, &policy->profiles[0]);
	hot = ruleset->rules;
	assert_int_equal((uintptr_t)hot % 64, 0);
	assert_int_equal(hot[0].id, 10);
	assert_int_equal(hot[0].content_hash, 1000);
	assert_int_equal(hot[0].flags, SP_HOT_MONITOR);
	assert_int_equal(hot[0].log, SP_LOG_BOTH);
	assert_int_equal(hot[0].inspect, -1);
	assert_null(hot[0].residual);
	assert_null(hot[0].limit);
	assert_int_equal(hot[1].action, SP_ACTION_DROP);
	assert_ptr_equal(hot[1].residual, &policy->rules[1].residual);
	assert_ptr_equal(hot[1].limit, &policy->rules[1].limit);
	assert_int_equal(hot[2].flags, SP_HOT_STATELESS);
	assert_int_equal(hot[2].inspect, 0);
	assert_int_equal(hot[2].mss, 1400);
	assert_int_equal(hot[2].timeout_sec, 60);
	assert_int_equal(hot[2].max_sessions, 7);
	assert_int_equal(hot[2].max_per_source, 3);
	sp_ruleset_free(ruleset);
}

/* The policy stays the caller's, whole: the same one builds once it is mended. */
static void a_failure_leaves_the_policy_to_the_caller(void **unused)
{
	struct sp_policy *policy = small_policy("(evil");
	struct sp_diags diags = {0};
	struct sp_ruleset *ruleset;

	(void)unused;
	assert_null(sp_ruleset_build(policy, &diags));
	assert_int_equal(diags.errors, 1);
	assert_int_equal(diags.v[0].line, 4);
	sp_diags_clear(&diags);
	policy->profiles[0].patterns[0].pattern = "evil";
	ruleset = sp_ruleset_build(policy, &diags);
	assert_non_null(ruleset);
	sp_ruleset_free(ruleset);
	sp_ruleset_free(NULL);
}

/* As a reload does: the old and the new exist side by side. */
static void two_live_at_the_same_time(void **unused)
{
	struct sp_diags diags = {0};
	struct sp_ruleset *first = sp_ruleset_build(small_policy("evil"), &diags), *second = sp_ruleset_build(small_policy("bad"), &diags);
	const struct sp_match match = {.family = SP_FAMILY_IPV4,
		.proto = 17,
		.ethertype = 0x0800,
		.src = {.family = SP_FAMILY_IPV4},
		.dst = {.family = SP_FAMILY_IPV4}};
	const struct sp_match *key = &match;
	uint32_t from = 0, result;

	(void)unused;
	assert_true(first != NULL && second != NULL);
	sp_ruleset_free(first);
	sp_classifier_lookup(second->classifier, &key, &from, &result, 1);
	assert_int_equal(result, 0);
	sp_ruleset_free(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_what_the_packet_path_needs),
		cmocka_unit_test(a_failure_leaves_the_policy_to_the_caller),
		cmocka_unit_test(two_live_at_the_same_time),
	};

	sp_test_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
