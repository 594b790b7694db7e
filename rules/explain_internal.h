/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Words that explain*.c, nat_json.c and expect.c share; nobody else includes this.
 */
#ifndef SP_RULES_EXPLAIN_INTERNAL_H
#define SP_RULES_EXPLAIN_INTERNAL_H

#include "rules/explain.h"

/* What the packet has in the field, for a person (buf at least 96 bytes). */
void sp_explain_got(const struct sp_policy *policy, const struct sp_packet_text *packet, int field, char *buf, size_t size);

/* What the rule asks in the field; lives as long as the policy. */
const char *sp_explain_wanted(const struct sp_rule *rule, int field);

/* A text as JSON, null for NULL: file names need not be UTF-8, and bytes that would make jansson refuse become question marks. */
json_t *sp_explain_text_json(const char *text);

/* With no_session: "would allow it, but it opens no session (tcp_no_session): only a SYN does", or that its ICMP type must be named (buf at
 * least 128 bytes). */
void sp_explain_no_session(const struct sp_packet_text *packet, const struct sp_explain *explain, char *buf, size_t size);

/* The stages of the `nat` list: the first sets out->seen, dnat and dnat_if_local, and comes before the rules; the second sets snat. Either
 * may find that there is no translation. */
void sp_explain_nat_destination(const struct sp_policy *policy, const struct sp_packet_text *packet, struct sp_explain *out);
void sp_explain_nat_source(const struct sp_policy *policy, struct sp_explain *out);

/* The same for a person, a line each or none, and as JSON (the caller owns it; NULL on ENOMEM). */
void sp_explain_nat_print_destination(
	const struct sp_policy *policy, const struct sp_packet_text *packet, const struct sp_explain *explain, FILE *out);
void sp_explain_nat_print_source(const struct sp_policy *policy, const struct sp_explain *explain, FILE *out);
json_t *sp_explain_nat_json(const struct sp_policy *policy, const struct sp_explain *explain);

/* Whether the packet can occur at all: its TCP flags go together. */
bool sp_first_packet_valid(const struct sp_packet_text *packet);

/* Whether it is an ICMP error, which belongs to the session that it quotes. */
bool sp_first_packet_is_error(const struct sp_match *match);

/* Whether a rule that keeps sessions lets it pass as the first packet of a flow: it opens a session, or needs none. */
bool sp_first_packet_opens(const struct sp_packet_text *packet);

/* Whether a rule that allows it (NULL: the default) lets a packet of this ICMP type through: it names the type, or need not. */
bool sp_first_packet_named(const struct sp_rule *rule, const struct sp_packet_text *packet);

/* From what rule or default say to what becomes of the packet: sets reason and no_session, and the action with it. */
void sp_first_packet_judge(const struct sp_policy *policy, const struct sp_packet_text *packet, struct sp_explain *out);

#endif
