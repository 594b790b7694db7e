/* SPDX-License-Identifier: BSD-3-Clause */
/* The policies that people copy load without an error or a warning, prove themselves, and their strings are canonical. */
#include "policy_of.h"

#include "rules/fields.h"
#include "rules/inspector.h"
#include "rules/rule_text.h"

static const char *const examples[] = {"small-office", "web-farm", "micro-segmentation", "carrier-nat-edge", "industrial", "guest-network",
	"vpn-pass-through", "scrubbing", "ipv6-only", "migrated-from-iptables"};

static void test_load(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		struct sp_diags diags = {0};
		struct sp_policy *policy;
		char path[128];

		snprintf(path, sizeof(path), "rules/examples/%s.rules", examples[i]);
		policy = sp_policy_load_file(path, NULL, &diags);
		if (policy == NULL || diags.errors != 0 || diags.warnings != 0) {
			sp_diags_print(&diags, stderr);
			fail_msg("%s", path);
		}
		assert_true(policy->n_rules >= 5);
		assert_true(policy->n_expects >= 6);
		sp_policy_free(policy);
		sp_diags_clear(&diags);
	}
}

/* What the examples look for is something that Hyperscan can look for. */
static void test_patterns(void **state)
{
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		struct sp_diags diags = {0};
		struct sp_policy *policy;
		char path[128];

		snprintf(path, sizeof(path), "rules/examples/%s.rules", examples[i]);
		policy = sp_policy_load_file(path, NULL, &diags);
		assert_non_null(policy);
		for (size_t k = 0; k < policy->n_profiles; k++, n++) {
			struct sp_inspector inspector;

			if (sp_inspector_build(&policy->profiles[k], path, &inspector, &diags) != 0) {
				sp_diags_print(&diags, stderr);
				fail_msg("%s", path);
			}
			sp_inspector_free(&inspector);
		}
		sp_policy_free(policy);
	}
	assert_true(n >= 2);
}

/* A rule's canonical line means the same as the rule. */
static void test_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		struct sp_diags diags = {0};
		struct sp_policy *policy;
		char path[128];

		snprintf(path, sizeof(path), "rules/examples/%s.rules", examples[i]);
		policy = sp_policy_load_file(path, NULL, &diags);
		assert_non_null(policy);
		for (size_t k = 0; k < policy->n_rules; k++) {
			const struct sp_rule *rule = &policy->rules[k];
			struct sp_rule_value values[SP_RULE_VALUES_MAX];
			struct sp_rule again = {.file = rule->file, .line = rule->line};
			char text[4096];
			int n;

			assert_true(sp_rule_text_format(rule, false, text, sizeof(text)) < sizeof(text));
			n = sp_rule_text_parse(policy, text, path, 1, values, &diags);
			assert_true(n > 0);
			assert_int_equal(sp_rule_resolve(policy, &again, values, n, 0, &diags), 0);
			if (again.content_hash != rule->content_hash)
				fail_msg("%s: %s", path, text);
			if (again.residual.bpf != NULL)
				pcap_freecode(again.residual.bpf);
		}
		sp_policy_free(policy);
		sp_diags_clear(&diags);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
