/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/explain.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "rules/explain_internal.h"
#include "rules/fields.h"
#include "rules/miss.h"
#include "rules/names.h"
#include "rules/rule_text.h"
#include "rules/self.h"

static void add_step(struct sp_explain *out, uint32_t rule, int field, enum sp_answer answer)
{
	if (out->n_steps < SP_EXPLAIN_STEPS_MAX)
		out->steps[out->n_steps++] = (struct sp_explain_step){.rule = rule, .field = field, .answer = answer};
}

/* Answer of the rule's residual fields; *field gets the one that failed, or else the first that is not known. */
static enum sp_answer residual_answer(const struct sp_rule *rule, const struct sp_packet_view *view, int *field)
{
	enum sp_answer result = SP_YES;

	for (size_t i = 0; rule->has_residual && i < SP_RESIDUAL_FIELDS; i++) {
		enum sp_answer one = sp_residual_field(&rule->residual, view, sp_residual_fields[i]);

		if (one == SP_YES || (one == SP_UNKNOWN && result == SP_UNKNOWN))
			continue;
		*field = sp_residual_fields[i];
		result = one;
		if (one == SP_NO)
			break;
	}
	return result;
}

static uint8_t zone_self(const struct sp_policy *policy)
{
	int self = sp_self_zone(&policy->zones);

	return self >= 0 ? (uint8_t)self : SP_MATCH_NO_ZONE;
}

/* Without a rule, what the firewall itself sends and receives does not meet the policy's default. */
static void decide_self(const struct sp_policy *policy, const struct sp_packet_text *packet, struct sp_explain *out)
{
	enum sp_self_default answer = sp_self_default(&packet->match, zone_self(policy));

	out->self = answer != SP_SELF_NOT;
	if (out->self)
		out->action = answer == SP_SELF_ALLOWS ? SP_ACTION_ALLOW : SP_ACTION_DROP;
}

/* The packet's way through the rules, up to the one that decides. ND passes before them; ARP when no rule that names its ethertype decides.
 */
static void decide(const struct sp_policy *policy, const struct sp_packet_text *packet, struct sp_explain *out)
{
	bool builtin = sp_match_builtin(policy, &packet->match);
	uint32_t next = 0;

	if (sp_self_builtin(&packet->match, zone_self(policy))) {
		out->builtin = out->self = true;
		out->action = SP_ACTION_ALLOW;
		return;
	}
	while (!builtin || packet->match.family == SP_FAMILY_NONE) {
		uint32_t index = sp_match_linear(policy, &packet->match, next);
		const struct sp_rule *rule;
		enum sp_answer answer;
		int field = -1;

		if (index == SP_RULE_NONE)
			break;
		rule = &policy->rules[index];
		answer = residual_answer(rule, &packet->view, &field);
		next = index + 1;
		if (answer == SP_NO || rule->monitor) {
			add_step(out, index, field, answer);
			continue;
		}
		out->rule = index;
		out->action = rule->action;
		out->pending = answer == SP_UNKNOWN;
		if (out->pending) {
			/* The last step always names the field that is waited for. */
			if (out->n_steps == SP_EXPLAIN_STEPS_MAX)
				out->n_steps--;
			add_step(out, index, field, answer);
		}
		return;
	}
	out->builtin = builtin;
	out->action = builtin ? SP_ACTION_ALLOW : policy->default_action;
	if (!builtin)
		decide_self(policy, packet, out);
}

/* Fields by which the rule misses the packet; being switched off is one, too. Unknown residual fields are no miss. */
static uint64_t all_misses(const struct sp_policy *policy, const struct sp_rule *rule, const struct sp_packet_text *packet)
{
	uint64_t misses = sp_rule_misses(policy, rule, &packet->match);

	if (!rule->enabled)
		misses |= UINT64_C(1) << SP_FIELD_ENABLED;
	for (size_t i = 0; rule->has_residual && i < SP_RESIDUAL_FIELDS; i++)
		if (sp_residual_field(&rule->residual, &packet->view, sp_residual_fields[i]) == SP_NO)
			misses |= UINT64_C(1) << sp_residual_fields[i];
	return misses;
}

/* Only a rule before the deciding one could have changed the outcome; one that keeps sessions allows what opens one. */
static void find_near_miss(const struct sp_policy *policy, const struct sp_packet_text *packet, struct sp_explain *out)
{
	size_t end = out->rule != SP_RULE_NONE ? out->rule : policy->n_rules;
	bool allowed = out->action == SP_ACTION_ALLOW, opens = sp_first_packet_opens(packet);

	for (size_t i = 0; i < end && !out->builtin && !out->invalid && out->untranslatable == NULL; i++) {
		const struct sp_rule *rule = &policy->rules[i];
		uint64_t misses;

		if (rule->monitor || (rule->action == SP_ACTION_ALLOW) == allowed || (!allowed && !opens && !rule->stateless))
			continue;
		if (!allowed && !sp_first_packet_named(rule, packet))
			continue;
		misses = all_misses(policy, rule, packet);
		if (misses == 0 || (misses & (misses - 1)) != 0)
			continue;
		/* A rule for LLDP is not "nearly" one for this TCP packet, although only the EtherType differs. */
		if (misses == UINT64_C(1) << SP_FIELD_ETHERTYPE && packet->match.family != SP_FAMILY_NONE)
			continue;
		out->near_miss = (uint32_t)i;
		out->near_field = __builtin_ctzll(misses);
		return;
	}
}

/* Rules may tell the servers of an entry apart, and which one gets a session hangs on a hash: an answer must say so. */
static void ask_other_servers(const struct sp_policy *policy, struct sp_explain *out)
{
	const struct sp_nat_entry *entry = out->dnat != SP_NAT_NO_ENTRY ? &policy->nat->v[out->dnat] : NULL;

	out->walks = 1;
	for (uint32_t k = 1; entry != NULL && k < entry->n_hosts && k < SP_EXPLAIN_SERVERS_MAX && out->other_server == 0; k++) {
		struct sp_explain other = {.rule = SP_RULE_NONE};
		struct sp_packet_text packet = out->seen;

		packet.match.dst = sp_nat_host(entry, k);
		decide(policy, &packet, &other);
		out->walks++;
		if (other.rule == out->rule && other.pending == out->pending)
			continue;
		out->other_server = k;
		out->other_rule = other.rule;
	}
}

void sp_explain(const struct sp_policy *policy, const struct sp_packet_text *packet, struct sp_explain *out)
{
	*out = (struct sp_explain){.rule = SP_RULE_NONE, .near_miss = SP_RULE_NONE, .near_field = -1};
	out->invalid = !sp_first_packet_valid(packet);
	sp_explain_nat_destination(policy, packet, out);
	if (out->invalid || out->untranslatable != NULL)
		out->action = SP_ACTION_DROP;
	else
		decide(policy, &out->seen, out);
	if (!out->invalid && out->untranslatable == NULL)
		ask_other_servers(policy, out);
	sp_first_packet_judge(policy, &out->seen, out);
	find_near_miss(policy, &out->seen, out);
	sp_explain_nat_source(policy, out);
	if (out->untranslatable != NULL) {
		out->action = SP_ACTION_DROP;
		out->reason = "nat_untranslatable";
	}
}

static void zone_text(const struct sp_policy *policy, uint8_t zone, char *buf, size_t size)
{
	snprintf(buf, size, "%s", zone < policy->zones.n ? policy->zones.name[zone] : "no zone");
}

static void icmp_type_text(const struct sp_match *match, char *buf, size_t size)
{
	const char *name = sp_icmp_type_name(match->family == SP_FAMILY_IPV6, (uint8_t)match->sport);

	snprintf(buf, size, name != NULL ? "%u (%s)" : "%u", match->sport, name);
}

void sp_explain_got(const struct sp_policy *policy, const struct sp_packet_text *packet, int field, char *buf, size_t size)
{
	const struct sp_match *match = &packet->match;
	const uint8_t *mac = packet->view.src_mac;
	char name[48];

	switch (field) {
	case SP_FIELD_PROTO:
		snprintf(buf, size, "%s", match->family != SP_FAMILY_NONE ? sp_proto_name(match->proto, name) : "no IP packet");
		break;
	case SP_FIELD_FROM:
		zone_text(policy, match->from, buf, size);
		break;
	case SP_FIELD_TO:
		zone_text(policy, match->to, buf, size);
		break;
	case SP_FIELD_SRC:
		sp_addr_format(&match->src, buf, size);
		break;
	case SP_FIELD_DST:
		if (packet->local)
			snprintf(buf, size, "interface");
		else
			sp_addr_format(&match->dst, buf, size);
		break;
	case SP_FIELD_SPORT:
		snprintf(buf, size, "%u", match->sport);
		break;
	case SP_FIELD_DPORT:
	case SP_FIELD_ICMP_CODE:
		snprintf(buf, size, "%u", match->dport);
		break;
	case SP_FIELD_ICMP_TYPE:
		icmp_type_text(match, buf, size);
		break;
	case SP_FIELD_TCP_FLAGS:
		snprintf(buf, size, "%s", sp_tcp_flags_format(packet->view.tcp_flags, name, sizeof(name)));
		break;
	case SP_FIELD_VLAN:
		snprintf(buf, size, match->vlan != 0 ? "%u" : "%u (untagged)", match->vlan);
		break;
	case SP_FIELD_ETHERTYPE:
		snprintf(buf, size, "%s", sp_ethertype_name(match->ethertype, name));
		break;
	case SP_FIELD_SRC_MAC:
		snprintf(buf, size, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
		break;
	case SP_FIELD_LENGTH:
		snprintf(buf, size, "%u", packet->view.wire_len);
		break;
	case SP_FIELD_DSCP:
		snprintf(buf, size, "%u", packet->view.dscp);
		break;
	default:
		snprintf(buf, size, "another");
		break;
	}
}

const char *sp_explain_wanted(const struct sp_rule *rule, int field)
{
	if (rule->value[field] != NULL)
		return rule->value[field];
	/* Not written, and yet asked: ports imply the protocols that have them, a rule is for IP unless it says otherwise, and not for the
	 * firewall itself. */
	if (field == SP_FIELD_FROM || field == SP_FIELD_TO)
		return "any zone but self";
	return field == SP_FIELD_PROTO ? "tcp,udp,sctp" : field == SP_FIELD_ETHERTYPE ? "ipv4,ipv6" : "";
}

void sp_explain_no_session(const struct sp_packet_text *packet, const struct sp_explain *explain, char *buf, size_t size)
{
	if (strcmp(explain->reason, "icmp_type") == 0) {
		snprintf(buf, size, "would allow it, but lets this ICMP type through only when it names it by icmp_type (icmp_type)");
		return;
	}
	snprintf(buf, size, "would allow it, but it opens no session (%s): only %s does", explain->reason,
		packet->match.proto == IPPROTO_TCP ? "a SYN" : "its request");
}

static void print_rule(const struct sp_rule *rule, FILE *out)
{
	const char *name = rule->value[SP_FIELD_NAME];

	fprintf(out, "rule %u", rule->id);
	if (name != NULL)
		fprintf(out, " '%s'", name);
	if (rule->file != NULL)
		fprintf(out, " (%s:%d)", rule->file, rule->line);
}

static void print_verdict(const struct sp_policy *policy, const struct sp_packet_text *packet, const struct sp_explain *explain, FILE *out)
{
	const char *action = sp_action_name(explain->action);
	char but[128];

	if (explain->builtin) {
		fprintf(out, "%s: builtin %s\n", action,
			packet->match.family != SP_FAMILY_NONE ? "nd, before the rules"
			: explain->self                        ? "arp, before the rules"
							       : "arp, because no rule names its ethertype");
		return;
	}
	if (explain->invalid) {
		fprintf(out, "%s: no stack sends these TCP flags (%s), so the rules are not asked\n", action, explain->reason);
		return;
	}
	if (explain->untranslatable != NULL) {
		fprintf(out, "%s: %s (%s)\n", action, explain->untranslatable, explain->reason);
		return;
	}
	fprintf(out, "%s%s: ", explain->pending ? "pending, would " : "", action);
	if (explain->self)
		fprintf(out, "the default of the firewall itself%s",
			explain->no_session ? "" : ", because no rule that names self matches");
	else if (explain->rule != SP_RULE_NONE)
		print_rule(&policy->rules[explain->rule], out);
	else
		fprintf(out, "the default%s", explain->no_session ? "" : ", because no rule matches");
	if (explain->rule == SP_RULE_NONE && !explain->self && policy->file != NULL && policy->default_line > 0)
		fprintf(out, " (%s:%d)", policy->file, policy->default_line);
	if (explain->no_session) {
		sp_explain_no_session(packet, explain, but, sizeof(but));
		fprintf(out, " %s", but);
	}
	fputc('\n', out);
}

/* A rule as one line; longer ones than fit are cut with dots. */
static void print_rule_text(const struct sp_rule *rule, FILE *out)
{
	char text[512];
	size_t len = sp_rule_text_format(rule, false, text, sizeof(text));

	fprintf(out, "  rule     %s%s\n", text, len >= sizeof(text) ? "..." : "");
}

static void print_step(const struct sp_policy *policy, const struct sp_packet_text *packet, const struct sp_explain_step *step, FILE *out)
{
	const struct sp_rule *rule = &policy->rules[step->rule];
	char got[96];

	fprintf(out, "  step     ");
	print_rule(rule, out);
	if (step->answer == SP_NO && step->field == SP_FIELD_BPF) {
		fprintf(out, ": bpf '%s' does not match: went on\n", sp_explain_wanted(rule, step->field));
	} else if (step->answer == SP_NO) {
		sp_explain_got(policy, packet, step->field, got, sizeof(got));
		fprintf(out, ": %s wants %s, the packet has %s: went on\n", sp_field_names[step->field],
			sp_explain_wanted(rule, step->field), got);
	} else if (step->answer == SP_UNKNOWN) {
		fprintf(out, ": %s '%s' cannot be told from the description%s\n", sp_field_names[step->field],
			sp_explain_wanted(rule, step->field), rule->monitor ? ": a monitor rule, goes on either way" : "");
	} else {
		fprintf(out, ": monitor, would %s: counted and went on\n", sp_action_name(rule->action));
	}
}

static void print_near_miss(
	const struct sp_policy *policy, const struct sp_packet_text *packet, const struct sp_explain *explain, FILE *out)
{
	const struct sp_rule *rule = &policy->rules[explain->near_miss];
	int field = explain->near_field;
	char got[96];

	fprintf(out, "  nearest  ");
	print_rule(rule, out);
	if (field == SP_FIELD_ENABLED) {
		fprintf(out, " would %s, but is not enabled\n", sp_action_name(rule->action));
		return;
	}
	sp_explain_got(policy, packet, field, got, sizeof(got));
	fprintf(out, " would %s, but %s wants %s and the packet has %s\n", sp_action_name(rule->action), sp_field_names[field],
		sp_explain_wanted(rule, field), got);
}

void sp_explain_print(const struct sp_policy *policy, const struct sp_packet_text *packet, const struct sp_explain *explain, FILE *out)
{
	char text[512];

	print_verdict(policy, &explain->seen, explain, out);
	sp_packet_text_format(packet, &policy->zones, text, sizeof(text));
	fprintf(out, "  packet   %s\n", text);
	sp_explain_nat_print_destination(policy, packet, explain, out);
	if (explain->rule != SP_RULE_NONE)
		print_rule_text(&policy->rules[explain->rule], out);
	for (size_t i = 0; i < explain->n_steps; i++)
		print_step(policy, &explain->seen, &explain->steps[i], out);
	if (explain->near_miss != SP_RULE_NONE)
		print_near_miss(policy, &explain->seen, explain, out);
	sp_explain_nat_print_source(policy, explain, out);
	if (explain->self && !explain->builtin)
		fprintf(out,
			"  note     to self pass echo requests, and answers that its DHCP client waits for; from self everything passes\n");
	/* The commonest reason for a surprising answer, and no near miss tells it: both zones are missing. */
	if (!explain->builtin && !explain->invalid && policy->zones.n != 0 && packet->match.from == SP_MATCH_NO_ZONE &&
		packet->match.to == SP_MATCH_NO_ZONE)
		fprintf(out, "  note     the rules name zones and the description none: add 'from ZONE to ZONE'\n");
}
