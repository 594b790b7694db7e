/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/check.h"

#include <stdlib.h>
#include <string.h>

#include "rules/cover.h"
#include "rules/names.h"
#include "rules/nat.h"
#include "rules/sets.h"

/* Up to here every pair of rules is compared; above, each rule with the nearest before it only. */
#define ALL_PAIRS_MAX 20000
#define NEAREST_RULES 1000

/* So many rules that pass packets on are no reason for a warning. */
#define PASSING_ON_MAX 256

#define WARN(diags, rule, ...) sp_diag_add(diags, SP_DIAG_WARNING, (rule)->file, (rule)->line, 0, (rule)->id, __VA_ARGS__)

static bool set_empty(const struct sp_policy *policy, int32_t index)
{
	return index >= 0 && policy->addrsets[index].n == 0;
}

/* Says why no packet can have all that the rule asks. */
static void warn_impossible(const struct sp_policy *policy, const struct sp_rule *rule, struct sp_diags *diags)
{
	static const int ends[] = {SP_FIELD_SRC, SP_FIELD_DST};
	struct sp_rule other = *rule;

	for (size_t i = 0; i < 2; i++) {
		if (!set_empty(policy, i == 0 ? rule->src : rule->dst))
			continue;
		WARN(diags, rule, "rule %u can never match: %s %s holds no address at all", rule->id, sp_field_names[ends[i]],
			rule->value[ends[i]]);
		return;
	}
	other.proto[0] = other.proto[1] = other.proto[2] = other.proto[3] = 0;
	if (sp_rule_families(policy, &other) != 0) {
		WARN(diags, rule,
			"rule %u can never match: proto %s does not occur in the family of its addresses (icmp is IPv4's, icmpv6 IPv6's)",
			rule->id, rule->value[SP_FIELD_PROTO]);
		return;
	}
	other.dst = -1;
	if (rule->src >= 0 && rule->dst >= 0 && sp_rule_families(policy, &other) != 0)
		WARN(diags, rule, "rule %u can never match: src %s and dst %s have no address family in common", rule->id,
			rule->value[SP_FIELD_SRC], rule->value[SP_FIELD_DST]);
	else
		WARN(diags, rule, "rule %u can never match: ethertype %s is not the family of its addresses", rule->id,
			rule->value[SP_FIELD_ETHERTYPE]);
}

/* What a rule says that has no effect with its action. */
static void warn_effects(const struct sp_rule *rule, struct sp_diags *diags)
{
	static const int only_allow[] = {
		SP_FIELD_INSPECT, SP_FIELD_MAX_SESSIONS, SP_FIELD_MAX_PER_SOURCE, SP_FIELD_TIMEOUT, SP_FIELD_MSS, SP_FIELD_STATELESS};

	if (rule->action == SP_ACTION_ALLOW)
		return;
	for (size_t i = 0; i < sizeof(only_allow) / sizeof(only_allow[0]); i++) {
		int field = only_allow[i];

		/* What a group says for all its rules is not meant for its last `reject log`. */
		if (rule->value[field] == NULL || !(rule->own >> field & 1) || strcmp(rule->value[field], "false") == 0)
			continue;
		WARN(diags, rule, "%s has no effect in rule %u, which does not allow: take it out", sp_field_names[field], rule->id);
	}
}

/* A burst that is too small is always one that the file says: the one chosen here never is. */
static void warn_burst(const struct sp_rule *rule, struct sp_diags *diags)
{
	if (rule->limit.unit == SP_LIMIT_BITS && rule->limit.burst < SP_LIMIT_FRAME_BITS)
		WARN(diags, rule, "limit %s of rule %u never lets a frame of 1,518 bytes pass: write a burst of %d bits or more",
			rule->value[SP_FIELD_LIMIT], rule->id, SP_LIMIT_FRAME_BITS);
}

/* The classifier answers one rule at a time: one that passes a packet on makes it ask again. */
static void check_passing_on(const struct sp_policy *policy, struct sp_diags *diags)
{
	const struct sp_rule *first_over = NULL;
	size_t n = 0;

	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct sp_rule *rule = &policy->rules[i];

		if (rule->enabled && (rule->has_residual || rule->monitor) && ++n == PASSING_ON_MAX + 1)
			first_over = rule;
	}
	if (first_over != NULL)
		WARN(diags, first_over,
			"the policy has %zu rules that may pass a packet on to the next (bpf, tcp_flags, length, dscp, src_mac, monitor), "
			"more "
			"than %d: each costs time on every new flow that reaches it",
			n, PASSING_ON_MAX);
}

static void warn_hidden(const struct sp_rule *hidden, const struct sp_rule *by, struct sp_diags *diags)
{
	const char *same_file = hidden->file != NULL && by->file != NULL && strcmp(hidden->file, by->file) == 0 ? "line " : "";
	char place[512];

	if (*same_file != '\0' || by->file == NULL)
		snprintf(place, sizeof(place), "line %d", by->line);
	else
		snprintf(place, sizeof(place), "%s:%d", by->file, by->line);
	if (hidden->action == by->action)
		WARN(diags, hidden, "rule %u can never match: rule %u (%s), before it, matches all that it matches, and does the same (%s)",
			hidden->id, by->id, place, sp_action_name(by->action));
	else
		WARN(diags, hidden,
			"rule %u can never match: rule %u (%s), before it, matches all that it matches, and says %s instead of %s",
			hidden->id, by->id, place, sp_action_name(by->action), sp_action_name(hidden->action));
}

static void check_hidden(const struct sp_policy *policy, struct sp_diags *diags)
{
	struct sp_cover_index *index = sp_cover_index_new(policy);
	bool all = policy->n_rules <= ALL_PAIRS_MAX;

	if (index == NULL) {
		sp_diag_error(diags, policy->file, 0, "out of memory while looking for rules that can never match");
		return;
	}
	for (uint32_t i = 1; i < policy->n_rules; i++) {
		const struct sp_rule *rule = &policy->rules[i];
		uint32_t by;

		if (!rule->enabled || sp_rule_families(policy, rule) == 0)
			continue;
		by = sp_cover_find(index, all || i <= NEAREST_RULES ? 0 : i - NEAREST_RULES, i);
		if (by != SP_RULE_NONE)
			warn_hidden(rule, &policy->rules[by], diags);
	}
	sp_cover_index_free(index);
}

/* Marks the sets that a list names: "@lan,!@guests". */
static void mark_sets(const struct sp_policy *policy, const char *list, bool *used)
{
	while (list != NULL && (list = strchr(list, '@')) != NULL) {
		size_t len = strcspn(++list, ",");
		const struct sp_set *set = sp_set_find(policy, list, len);

		if (set != NULL)
			used[set - policy->sets] = true;
	}
}

/* Whether `set` may be a member of `other`, or one that `other` takes out of its members: what is left of nested sets. */
static bool may_be_part(const struct sp_set *set, const struct sp_set *other)
{
	struct sp_addr_range first, last;

	if (set == other || set->kind != other->kind)
		return false;
	if (set->kind == SP_SET_PORTS)
		return other->ports.n != 0 && set->ports.n != 0 && other->ports.v[0].lo <= set->ports.v[0].lo &&
		       set->ports.v[set->ports.n - 1].hi <= other->ports.v[other->ports.n - 1].hi;
	if (set->addrs.n == 0 || other->addrs.n == 0)
		return true;
	first = set->addrs.v[0];
	last = set->addrs.v[set->addrs.n - 1];
	return memcmp(&other->addrs.v[0].lo, &first.lo, sizeof(first.lo)) <= 0 &&
	       memcmp(&last.hi, &other->addrs.v[other->addrs.n - 1].hi, sizeof(last.hi)) <= 0;
}

/*
 * Sets that nothing uses are mostly misspelt somewhere. The policy keeps sets flattened, so a set that lies within another one counts as
 * its member: better a warning less than a false one.
 */
static void check_sets(const struct sp_policy *policy, struct sp_diags *diags)
{
	static const int fields[] = {SP_FIELD_SRC, SP_FIELD_DST, SP_FIELD_SPORT, SP_FIELD_DPORT};
	bool *used = calloc(policy->n_sets + 1, sizeof(*used));

	if (used == NULL)
		return;
	for (size_t i = 0; i < policy->n_rules; i++)
		for (size_t k = 0; k < sizeof(fields) / sizeof(fields[0]); k++)
			mark_sets(policy, policy->rules[i].value[fields[k]], used);
	for (size_t i = 0; policy->nat != NULL && i < policy->nat->n; i++)
		for (int key = 0; key < SP_NAT_KEY_COUNT; key++)
			if (key != SP_NAT_KEY_NAME && key != SP_NAT_KEY_COMMENT)
				mark_sets(policy, policy->nat->v[i].value[key], used);
	for (size_t i = 0; i < policy->n_sets; i++) {
		const struct sp_set *set = &policy->sets[i];
		bool part = set->kind == SP_SET_NAMES;

		for (size_t k = 0; k < policy->n_sets && !part && !used[i]; k++)
			part = may_be_part(set, &policy->sets[k]);
		if (!used[i] && !part)
			sp_diag_warning(diags, policy->file, set->line, "set '%s' is used by no rule", set->name);
	}
	free(used);
}

static void check_profiles(const struct sp_policy *policy, struct sp_diags *diags)
{
	uint64_t used = 0;

	_Static_assert(SP_PROFILES_MAX <= 64, "profiles are bits of one word");
	for (size_t i = 0; i < policy->n_rules; i++)
		if (policy->rules[i].inspect >= 0)
			used |= UINT64_C(1) << policy->rules[i].inspect;
	for (size_t i = 0; i < policy->n_profiles; i++)
		if (!(used >> i & 1))
			sp_diag_warning(diags, policy->file, policy->profiles[i].line, "inspect profile '%s' is used by no rule",
				policy->profiles[i].name);
}

void sp_policy_check(const struct sp_policy *policy, struct sp_diags *diags)
{
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct sp_rule *rule = &policy->rules[i];

		if (!rule->enabled)
			continue;
		if (sp_rule_families(policy, rule) == 0)
			warn_impossible(policy, rule, diags);
		warn_effects(rule, diags);
		warn_burst(rule, diags);
	}
	check_passing_on(policy, diags);
	check_hidden(policy, diags);
	check_sets(policy, diags);
	check_profiles(policy, diags);
	sp_nat_check(policy, diags);
}
