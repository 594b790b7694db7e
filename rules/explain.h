/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why a described packet would pass or not: what decided, what was considered, and the nearest miss.
 */
#ifndef SP_RULES_EXPLAIN_H
#define SP_RULES_EXPLAIN_H

#include <jansson.h>
#include <stdio.h>

#include "rules/match.h"
#include "rules/nat.h"
#include "rules/packet_text.h"

#define SP_EXPLAIN_SERVERS_MAX 64 /* servers of one nat entry that are asked about */
#define SP_EXPLAIN_STEPS_MAX   16 /* further steps are not kept; the decision does not depend on them */

struct sp_explain_step { /* a rule that had a say before the deciding one: monitor, or a residual field that failed or is unknown */
	uint32_t rule;   /* index into policy->rules */
	int field;       /* enum sp_field that failed or is unknown; -1: monitor rule that matched */
	enum sp_answer answer;
};

struct sp_explain {
	uint8_t action;     /* enum sp_action */
	bool invalid;       /* TCP flags that no stack sends: dropped before the rules */
	bool no_session;    /* rule or default would allow it, but it opens no session, as its first packet must: dropped */
	const char *reason; /* the drop reason's name, as counters and replay have it (dataplane/verdict.h); NULL: allowed */
	uint32_t rule;      /* index of the deciding rule; SP_RULE_NONE: the default */
	bool builtin;       /* passed by builtin arp or nd before any rule */
	bool pending;       /* a field is not known: the answer holds only if rule `rule` matches in full */
	uint32_t near_miss; /* index of the rule that failed by one field only, the earliest such allow when denied (and deny when allowed);
			       NONE */
	int near_field;     /* enum sp_field that failed there */
	struct sp_explain_step steps[SP_EXPLAIN_STEPS_MAX];
	size_t n_steps;
	bool self; /* no rule decides, and the firewall is one of the packet's ends: its own default or builtin (rules/self.h) */
	struct sp_packet_text seen; /* as the rules see it: the destination translated */
	uint32_t dnat, snat;        /* index into policy->nat of what translates the destination and, once allowed, the source; NO_ENTRY */
	uint32_t dnat_if_local;     /* as dnat, were the destination an address of the firewall's own */
	const char *untranslatable; /* why the entries cannot translate the packet, which is dropped; NULL: they can */
	/* Of several servers the first stands for all; when another one meets another decision, its number from 1 and its rule. 0: none. */
	uint32_t other_server, other_rule;
	uint32_t walks; /* how often the rules were walked */
};

/* Decides as the firewall would for the first packet of a flow. Pure, bounded by the number of rules; any thread. */
void sp_explain(const struct sp_policy *policy, const struct sp_packet_text *packet, struct sp_explain *out);

/* Writes the explanation for a person, several lines, to `out`. */
void sp_explain_print(const struct sp_policy *policy, const struct sp_packet_text *packet, const struct sp_explain *explain, FILE *out);

/* The same as JSON (jansson); the caller owns the reference. NULL on ENOMEM. */
json_t *sp_explain_json(const struct sp_policy *policy, const struct sp_packet_text *packet, const struct sp_explain *explain);

/* The canonical one-line form of a rule as a JSON string, with what it has from its group; the caller owns it. NULL on ENOMEM. */
json_t *sp_rule_text_json(const struct sp_rule *rule);

#endif
