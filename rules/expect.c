/* SPDX-License-Identifier: BSD-3-Clause */
/* `expect` lines: "allow 10: PACKET", "drop: PACKET", "drop default: PACKET", "allow builtin: PACKET". */
#include "rules/check.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "rules/explain_internal.h"
#include "rules/names.h"

enum decider { BY_ANY, BY_RULE, BY_DEFAULT, BY_BUILTIN };

struct expectation {
	int action;
	enum decider by;
	uint32_t id;        /* with BY_RULE */
	const char *packet; /* rest of the text */
};

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t");
}

/* What stands before the colon. 0, or -EINVAL with *why. */
static int parse_expectation(const char *text, struct expectation *out, const char **why)
{
	size_t len;
	int64_t id;

	text = skip_blanks(text);
	len = strcspn(text, " \t:");
	out->action = sp_action_parse(text, len);
	*why = "an expectation starts with allow, drop or reject";
	if (out->action < 0)
		return -EINVAL;
	text = skip_blanks(text + len);
	len = strcspn(text, " \t:");
	if (len == 7 && memcmp(text, "default", 7) == 0) {
		out->by = BY_DEFAULT;
	} else if (len == 7 && memcmp(text, "builtin", 7) == 0) {
		out->by = BY_BUILTIN;
	} else if (len != 0) {
		id = sp_number_parse(text, len, INT32_MAX);
		*why = "behind the verdict stands a rule's id, default or builtin, and then a colon";
		if (id < 1)
			return -EINVAL;
		out->by = BY_RULE;
		out->id = (uint32_t)id;
	}
	text = skip_blanks(text + len);
	*why = "a colon separates the verdict from the packet: 'allow 10: tcp 192.0.2.1:1024 > 192.0.2.2:80'";
	if (*text != ':')
		return -EINVAL;
	out->packet = text + 1;
	return 0;
}

static bool met(const struct sp_policy *policy, const struct expectation *expected, const struct sp_explain *explain)
{
	if (explain->pending || explain->other_server != 0 || explain->action != expected->action)
		return false;
	switch (expected->by) {
	case BY_RULE:
		return explain->rule != SP_RULE_NONE && policy->rules[explain->rule].id == expected->id;
	case BY_DEFAULT:
		return explain->rule == SP_RULE_NONE && !explain->builtin && !explain->invalid && explain->untranslatable == NULL;
	case BY_BUILTIN:
		return explain->builtin;
	default:
		return true;
	}
}

static void decider_text(const struct sp_policy *policy, uint32_t rule, char buf[32])
{
	if (rule == SP_RULE_NONE)
		snprintf(buf, 32, "the default");
	else
		snprintf(buf, 32, "rule %u", policy->rules[rule].id);
}

static void describe_servers(const struct sp_policy *policy, const struct sp_explain *explain, char *buf, size_t size)
{
	const struct sp_nat_entry *entry = &policy->nat->v[explain->dnat];
	struct sp_addr server = sp_nat_host(entry, explain->other_server);
	char first[48], other[48], by[2][32];

	decider_text(policy, explain->rule, by[0]);
	decider_text(policy, explain->other_rule, by[1]);
	snprintf(buf, size, "%s decides for server %s of nat entry %u, and %s for server %s", by[0],
		sp_addr_format(&explain->seen.match.dst, first, sizeof(first)), entry->id, by[1],
		sp_addr_format(&server, other, sizeof(other)));
}

/* "rule 19 (main.rules:31) rejects it" */
static void describe(
	const struct sp_policy *policy, const struct sp_packet_text *packet, const struct sp_explain *explain, char *buf, size_t size)
{
	static const char *const does[] = {[SP_ACTION_ALLOW] = "allows", [SP_ACTION_DROP] = "drops", [SP_ACTION_REJECT] = "rejects"};
	const struct sp_rule *rule = explain->rule != SP_RULE_NONE ? &policy->rules[explain->rule] : NULL;
	char but[128];

	if (explain->no_session)
		sp_explain_no_session(packet, explain, but, sizeof(but));
	if (explain->invalid)
		snprintf(buf, size, "no stack sends these TCP flags (%s), so it is dropped before the rules", explain->reason);
	else if (explain->other_server != 0)
		describe_servers(policy, explain, buf, size);
	else if (explain->builtin)
		snprintf(buf, size, "a builtin allows it");
	else if (explain->untranslatable != NULL)
		snprintf(buf, size, "%s, so it is dropped (%s)", explain->untranslatable, explain->reason);
	else if (explain->self)
		snprintf(buf, size, "no rule that names self matches, and the default of the firewall itself %s it", does[explain->action]);
	else if (rule == NULL && explain->no_session)
		snprintf(buf, size, "the default %s", but);
	else if (rule == NULL)
		snprintf(buf, size, "no rule matches and the default %s it", does[explain->action]);
	else if (explain->pending)
		snprintf(buf, size, "rule %u (%s:%d) asks %s, which the description does not tell", rule->id, rule->file, rule->line,
			sp_field_names[explain->steps[explain->n_steps - 1].field]);
	else if (explain->no_session)
		snprintf(buf, size, "rule %u (%s:%d) %s", rule->id, rule->file, rule->line, but);
	else
		snprintf(buf, size, "rule %u (%s:%d) %s it", rule->id, rule->file, rule->line, does[explain->action]);
}

/* "; rule 10 would allow it, but dport wants 443 and the packet has 80", or nothing. */
static void describe_near(
	const struct sp_policy *policy, const struct sp_packet_text *packet, const struct sp_explain *explain, char *buf, size_t size)
{
	const struct sp_rule *rule;
	char got[96];

	buf[0] = '\0';
	if (explain->near_miss == SP_RULE_NONE)
		return;
	rule = &policy->rules[explain->near_miss];
	if (explain->near_field == SP_FIELD_ENABLED) {
		snprintf(buf, size, "; rule %u would %s it, but is not enabled", rule->id, sp_action_name(rule->action));
		return;
	}
	sp_explain_got(policy, packet, explain->near_field, got, sizeof(got));
	snprintf(buf, size, "; rule %u would %s it, but %s wants %.128s and the packet has %s", rule->id, sp_action_name(rule->action),
		sp_field_names[explain->near_field], sp_explain_wanted(rule, explain->near_field), got);
}

static bool has_rule(const struct sp_policy *policy, uint32_t id)
{
	for (size_t i = 0; i < policy->n_rules; i++)
		if (policy->rules[i].id == id)
			return true;
	return false;
}

static void report(const struct sp_policy *policy, const struct sp_expect *expect, const struct expectation *expected,
	const struct sp_explain *explain, struct sp_diags *diags)
{
	char what[256], near[512];

	describe(policy, &explain->seen, explain, what, sizeof(what));
	describe_near(policy, &explain->seen, explain, near, sizeof(near));
	if (expected->by == BY_RULE && !has_rule(policy, expected->id))
		snprintf(near, sizeof(near), "; there is no rule %u", expected->id);
	sp_diag_error(diags, policy->file, expect->line, "expect '%s' fails: %s%s", expect->text, what, near);
}

/* Returns how often the rules were walked. */
static uint32_t run_expect(const struct sp_policy *policy, const struct sp_expect *expect, struct sp_diags *diags)
{
	struct expectation expected = {0};
	struct sp_packet_text packet;
	struct sp_explain explain;
	const char *reason;
	char why[160];

	if (parse_expectation(expect->text, &expected, &reason) != 0) {
		sp_diag_error(diags, policy->file, expect->line, "expect '%s': %s", expect->text, reason);
		return 0;
	}
	if (sp_packet_text_parse(expected.packet, &policy->zones, &packet, why, sizeof(why)) != 0) {
		sp_diag_error(diags, policy->file, expect->line, "expect '%s': %s", expect->text, why);
		return 0;
	}
	sp_explain(policy, &packet, &explain);
	if (!met(policy, &expected, &explain))
		report(policy, expect, &expected, &explain, diags);
	return explain.walks;
}

/* Each walks the rules: a file must not buy minutes of the control thread with many of both. */
static void too_many(const struct sp_policy *policy, int line, struct sp_diags *diags)
{
	sp_diag_error(diags, policy->file, line,
		"%zu expect lines over %zu rules are too many to run at every load; keep their product below %u (a line counts once for "
		"each "
		"server that it may go to)",
		policy->n_expects, policy->n_rules, SP_EXPECT_WORK_MAX);
}

void sp_policy_expect(const struct sp_policy *policy, struct sp_diags *diags)
{
	uint64_t walks = 0;

	if (policy->n_expects != 0 && policy->n_rules > SP_EXPECT_WORK_MAX / policy->n_expects) {
		too_many(policy, policy->expects[0].line, diags);
		return;
	}
	for (size_t i = 0; i < policy->n_expects; i++) {
		walks += run_expect(policy, &policy->expects[i], diags);
		if (walks * policy->n_rules <= SP_EXPECT_WORK_MAX)
			continue;
		too_many(policy, policy->expects[i].line, diags);
		return;
	}
}
