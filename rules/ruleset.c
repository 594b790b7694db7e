/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Puts a ruleset together: hot rules, classifier, inspectors.
 */
#include "rules/ruleset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct sp_hot_rule) == 64, "a hot rule is one cache line");

const char *const sp_on_change_names[SP_ON_CHANGE_COUNT] = {
#define X(e, n) [SP_ON_CHANGE_##e] = n,
	SP_ON_CHANGE(X)
#undef X
};

int sp_on_change_parse(const char *text)
{
	for (int i = 0; i < SP_ON_CHANGE_COUNT; i++)
		if (strcmp(text, sp_on_change_names[i]) == 0)
			return i;
	return -EINVAL;
}

static void hot_fill(struct sp_hot_rule *hot, const struct sp_rule *rule)
{
	*hot = (struct sp_hot_rule){
		.id = rule->id,
		.content_hash = rule->content_hash,
		.action = rule->action,
		.log = rule->log,
		.flags = (uint8_t)((rule->monitor ? SP_HOT_MONITOR : 0) | (rule->stateless ? SP_HOT_STATELESS : 0) |
				   (rule->icmp_type.n != 0 ? SP_HOT_ICMP_TYPE : 0)),
		.inspect = rule->inspect,
		.mss = rule->mss,
		.timeout_sec = rule->timeout_sec,
		.max_sessions = rule->max_sessions,
		.max_per_source = rule->max_per_source,
		.residual = rule->has_residual ? &rule->residual : NULL,
		.limit = rule->limit.unit == SP_LIMIT_NONE ? NULL : &rule->limit,
	};
}

static int rules_build(struct sp_ruleset *ruleset, const struct sp_policy *policy)
{
	ruleset->rules = aligned_alloc(sizeof(*ruleset->rules), (policy->n_rules + 1) * sizeof(*ruleset->rules));
	if (ruleset->rules == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < policy->n_rules; i++)
		hot_fill(&ruleset->rules[i], &policy->rules[i]);
	ruleset->n_rules = (uint32_t)policy->n_rules;
	return 0;
}

/* Every profile is tried, so that one run names each bad pattern file. */
static int inspectors_build(struct sp_ruleset *ruleset, const struct sp_policy *policy, struct sp_diags *diags)
{
	int ret = 0;

	ruleset->inspectors = calloc(policy->n_profiles + 1, sizeof(*ruleset->inspectors));
	if (ruleset->inspectors == NULL)
		return -ENOMEM;
	ruleset->n_inspectors = policy->n_profiles;
	for (size_t i = 0; i < policy->n_profiles; i++) {
		int rc = sp_inspector_build(&policy->profiles[i], policy->file, &ruleset->inspectors[i], diags);

		if (rc != 0)
			ret = rc;
	}
	return ret;
}

struct sp_ruleset *sp_ruleset_build(struct sp_policy *policy, struct sp_diags *diags)
{
	struct sp_ruleset *ruleset = calloc(1, sizeof(*ruleset));
	size_t errors = diags->errors;
	int rc = ruleset == NULL ? -ENOMEM : rules_build(ruleset, policy);

	if (rc == 0)
		rc = inspectors_build(ruleset, policy, diags);
	if (rc == 0) {
		ruleset->classifier = sp_classifier_build(policy, diags);
		rc = ruleset->classifier == NULL ? -EINVAL : 0;
	}
	if (rc != 0) {
		if (diags->errors == errors)
			sp_diag_error(diags, policy->file, 0, "out of memory");
		sp_ruleset_free(ruleset);
		return NULL;
	}
	ruleset->default_action = policy->default_action;
	ruleset->default_log = policy->default_log;
	ruleset->builtin_arp = policy->builtin_arp;
	ruleset->builtin_nd = policy->builtin_nd;
	ruleset->policy = policy;
	return ruleset;
}

void sp_ruleset_free(struct sp_ruleset *ruleset)
{
	if (ruleset == NULL)
		return;
	sp_classifier_free(ruleset->classifier);
	for (size_t i = 0; i < ruleset->n_inspectors; i++)
		sp_inspector_free(&ruleset->inspectors[i]);
	free(ruleset->inspectors);
	free(ruleset->rules);
	sp_policy_free(ruleset->policy);
	free(ruleset->source);
	free(ruleset);
}
