/* SPDX-License-Identifier: BSD-3-Clause */
/* What is strange about the `nat` list and yet has a meaning: warnings, each with the entry's line. */
#include "rules/nat.h"

#include <string.h>

#include "rules/cover.h"
#include "rules/self.h"

#define FEW_RANGES         64
#define ORIGINALS_WORK_MAX 4000000u /* entries times rules that are compared */

#define WARN(diags, entry, ...) sp_diag_add(diags, SP_DIAG_WARNING, (entry)->file, (entry)->line, 0, 0, __VA_ARGS__)

static bool both_ways(const struct sp_nat_entry *entry)
{
	return entry->type == SP_NAT_STATIC || entry->type == SP_NAT_PREFIX;
}

/* What the entry matches in its direction, or of one that translates both ways from inside, as a rule. */
static void as_rule(const struct sp_nat_entry *entry, struct sp_rule *rule)
{
	*rule = (struct sp_rule){.from = entry->from, .to = entry->to, .src = entry->src, .dst = entry->dst, .enabled = entry->enabled};
	memcpy(rule->proto, entry->proto, sizeof(rule->proto));
	rule->sport = entry->sport;
	rule->dport = entry->dport;
}

/* Families that the entry can translate; 0: it never matches. */
static unsigned int families(const struct sp_policy *policy, const struct sp_nat_entry *entry)
{
	unsigned int both = SP_COVER_IPV4 | SP_COVER_IPV6;
	struct sp_rule rule;

	as_rule(entry, &rule);
	if (sp_nat_family(entry) != SP_FAMILY_NONE)
		both = sp_nat_family(entry) == SP_FAMILY_IPV4 ? SP_COVER_IPV4 : SP_COVER_IPV6;
	return sp_rule_families(policy, &rule) & both;
}

static bool covers(const struct sp_policy *policy, const struct sp_nat_entry *outer, const struct sp_nat_entry *inner)
{
	struct sp_rule by, rule;

	if ((outer->type == SP_NAT_DESTINATION) != (inner->type == SP_NAT_DESTINATION))
		return false;
	if (outer->dst_interface && !inner->dst_interface)
		return false;
	if (inner->dst_interface && !outer->dst_interface && outer->dst >= 0)
		return false;
	if ((families(policy, inner) & ~families(policy, outer)) != 0)
		return false;
	as_rule(outer, &by);
	as_rule(inner, &rule);
	return sp_rule_covers(policy, &by, &rule);
}

/* An entry behind one that takes all of its packets. One that translates both ways is still there for those from outside. */
static void check_hidden(const struct sp_policy *policy, struct sp_diags *diags)
{
	const struct sp_nat_list *list = policy->nat;

	for (size_t i = 1; i < list->n; i++) {
		const struct sp_nat_entry *entry = &list->v[i];

		if (!entry->enabled || families(policy, entry) == 0)
			continue;
		for (size_t k = 0; k < i; k++) {
			const struct sp_nat_entry *by = &list->v[k];

			if (!by->enabled || !covers(policy, by, entry))
				continue;
			WARN(diags, entry, "nat entry %u %s: entry %u (%s:%d), before it, matches all that it matches", entry->id,
				both_ways(entry) ? "translates no source" : "can never match", by->id, by->file, by->line);
			break;
		}
	}
}

/* Zones of a configuration without the firewall itself: it does not route, and has no addresses. */
static void check_interface(const struct sp_policy *policy, const struct sp_nat_entry *entry, struct sp_diags *diags)
{
	if (!policy->zones.closed || sp_self_zone(&policy->zones) >= 0)
		return;
	if (entry->interface)
		WARN(diags, entry,
			"nat entry %u: ports have no addresses in wire mode, so what it matches is dropped: write the address itself",
			entry->id);
	if (entry->dst_interface)
		WARN(diags, entry, "nat entry %u can never match: ports have no addresses in wire mode: write the address itself",
			entry->id);
}

static void check_alone(const struct sp_policy *policy, const struct sp_nat_entry *entry, struct sp_diags *diags)
{
	if (families(policy, entry) == 0)
		WARN(diags, entry,
			"nat entry %u can never match: its src, dst, proto and address have no address family in common, or a set is empty",
			entry->id);
	else if (entry->type == SP_NAT_DESTINATION && !entry->none && entry->dst < 0 && !entry->dst_interface && entry->src < 0 &&
		 entry->dport.n == 0 && entry->proto[0] == 0 && entry->proto[1] == 0 && entry->proto[2] == 0 && entry->proto[3] == 0)
		WARN(diags, entry, "nat entry %u sends every packet%s to its address: name dst, proto or dport", entry->id,
			entry->value[SP_NAT_KEY_FROM] != NULL ? " of its zones" : "");
}

/* An exemption is from what stands behind it. */
static void check_exempts(const struct sp_nat_list *list, size_t i, struct sp_diags *diags)
{
	const struct sp_nat_entry *entry = &list->v[i];

	for (size_t k = i + 1; k < list->n; k++)
		if (list->v[k].enabled && (list->v[k].type == entry->type || both_ways(&list->v[k])))
			return;
	WARN(diags, entry, "nat entry %u exempts from nothing: no %s entry stands behind it", entry->id, sp_nat_type_names[entry->type]);
}

static bool overlap(const struct sp_addr_range *a, const struct sp_addr_range *b)
{
	return a->lo.family == b->lo.family && sp_addr_compare(&a->lo, &b->hi) <= 0 && sp_addr_compare(&b->lo, &a->hi) <= 0;
}

/* Whether the entry translates destinations to addresses of the set. */
static bool sends_into(const struct sp_policy *policy, const struct sp_nat_entry *entry, int32_t set)
{
	const struct sp_addrset *addrs = &policy->addrsets[set];

	if (addrs->n > FEW_RANGES)
		return true; /* better a warning less than long work */
	for (size_t i = 0; i < addrs->n; i++) {
		if (both_ways(entry) && overlap(&addrs->v[i], &entry->inside))
			return true;
		for (size_t k = 0; entry->type == SP_NAT_DESTINATION && k < entry->n_address; k++)
			if (overlap(&addrs->v[i], &entry->address[k]))
				return true;
	}
	return false;
}

/* An outside address that an entry has whole is not one whose ports another gives out, nor another's. */
static void check_shared(const struct sp_nat_list *list, size_t i, struct sp_diags *diags)
{
	const struct sp_nat_entry *entry = &list->v[i];
	char text[96];

	for (size_t k = 0; k < list->n; k++) {
		const struct sp_nat_entry *other = &list->v[k];

		if (k == i || !other->enabled || (both_ways(other) ? k > i : other->type != SP_NAT_SOURCE))
			continue;
		if (both_ways(other) && !((entry->to & other->to) != 0 && (entry->from & other->from) != 0))
			continue;
		for (size_t j = 0; j < other->n_address; j++) {
			if (!overlap(&other->address[j], &entry->outside))
				continue;
			WARN(diags, entry, "nat entry %u and entry %u (%s:%d) both give out addresses of %s: keep them apart", entry->id,
				other->id, other->file, other->line, sp_addr_range_format(&other->address[j], text, sizeof(text)));
			return;
		}
	}
}

/* Rules come after the destination is translated: one that names what clients write never sees it. */
static void warn_original(const struct sp_policy *policy, const struct sp_nat_entry *entry, struct sp_diags *diags)
{
	struct sp_rule translated;

	as_rule(entry, &translated);
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct sp_rule *rule = &policy->rules[i];
		bool reached = false;

		if (!rule->enabled || rule->dst < 0 || !sp_rule_covers(policy, &translated, rule))
			continue;
		/* the rule may yet be for what another entry, or this one, sends there */
		for (size_t k = 0; k < policy->nat->n && !reached; k++)
			reached = policy->nat->v[k].type != SP_NAT_SOURCE && sends_into(policy, &policy->nat->v[k], rule->dst);
		if (!reached)
			sp_diag_add(diags, SP_DIAG_WARNING, rule->file, rule->line, 0, rule->id,
				"rule %u can never match: nat entry %u (%s:%d) translates its dst %s before: write the server's address",
				rule->id, entry->id, entry->file, entry->line, rule->value[SP_FIELD_DST]);
	}
}

static void check_originals(const struct sp_policy *policy, struct sp_diags *diags)
{
	for (size_t i = 0; i < policy->nat->n; i++) {
		const struct sp_nat_entry *entry = &policy->nat->v[i];

		if (!entry->enabled || entry->type != SP_NAT_DESTINATION || entry->dst_interface || entry->dst < 0)
			continue;
		if (entry->none)
			return; /* what is exempt by it may meet the rule */
		if ((uint64_t)(i + 1) * policy->n_rules > ORIGINALS_WORK_MAX)
			return;
		warn_original(policy, entry, diags);
	}
}

void sp_nat_check(const struct sp_policy *policy, struct sp_diags *diags)
{
	const struct sp_nat_list *list = policy->nat;

	if (list == NULL)
		return;
	for (size_t i = 0; i < list->n; i++) {
		if (!list->v[i].enabled)
			continue;
		check_alone(policy, &list->v[i], diags);
		check_interface(policy, &list->v[i], diags);
		if (list->v[i].none)
			check_exempts(list, i, diags);
		if (both_ways(&list->v[i]))
			check_shared(list, i, diags);
	}
	check_hidden(policy, diags);
	check_originals(policy, diags);
}
