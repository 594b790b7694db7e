/* SPDX-License-Identifier: BSD-3-Clause */
/* The conditions of protocols that meet the first packet of a flow beside the rules. */
#include <netinet/in.h>

#include "rules/explain_internal.h"
#include "rules/icmp_types.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_URG 0x20

/* Errors that quote a packet; they belong to its session, and without one have a drop reason of their own. */
bool sp_first_packet_is_error(const struct sp_match *match)
{
	if (match->family == SP_FAMILY_IPV4 && match->proto == IPPROTO_ICMP)
		return match->sport == 3 || match->sport == 11 || match->sport == 12;
	return match->family == SP_FAMILY_IPV6 && match->proto == IPPROTO_ICMPV6 && match->sport >= 1 && match->sport <= 4;
}

/* Replies to echo and timestamp requests. */
static bool is_icmp_reply(const struct sp_match *match)
{
	if (match->family == SP_FAMILY_IPV4 && match->proto == IPPROTO_ICMP)
		return match->sport == 0 || match->sport == 14;
	return match->family == SP_FAMILY_IPV6 && match->proto == IPPROTO_ICMPV6 && match->sport == 129;
}

static bool is_tcp(const struct sp_match *match)
{
	return match->family != SP_FAMILY_NONE && match->proto == IPPROTO_TCP;
}

/* As dataplane/session_tcp.c has it: one of SYN, FIN, RST at most; ACK in all but a SYN and a RST; URG neither with RST nor in an answer.
 */
bool sp_first_packet_valid(const struct sp_packet_text *packet)
{
	uint8_t flags = packet->view.tcp_flags;

	if (!is_tcp(&packet->match))
		return true;
	switch (flags & (TCP_SYN | TCP_FIN | TCP_RST)) {
	case TCP_SYN:
		return (flags & (TCP_ACK | TCP_URG)) != (TCP_ACK | TCP_URG);
	case TCP_RST:
		return (flags & TCP_URG) == 0;
	case TCP_FIN:
	case 0:
		return (flags & TCP_ACK) != 0;
	default:
		return false;
	}
}

/* Why a packet that is allowed by a rule that keeps sessions may not pass without one; NULL: it may. As dataplane/admit.c has it. */
static const char *no_session_reason(const struct sp_packet_text *packet)
{
	const struct sp_match *match = &packet->match;

	if (is_tcp(match) && (packet->view.tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN)
		return "tcp_no_session";
	return is_icmp_reply(match) ? "icmp_no_session" : NULL;
}

bool sp_first_packet_opens(const struct sp_packet_text *packet)
{
	return no_session_reason(packet) == NULL;
}

bool sp_first_packet_named(const struct sp_rule *rule, const struct sp_packet_text *packet)
{
	const struct sp_match *match = &packet->match;

	if (match->proto != (match->family == SP_FAMILY_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6) || match->family == SP_FAMILY_NONE)
		return true;
	return (rule != NULL && rule->icmp_type.n != 0) || !sp_icmp_needs_name(match->family, (uint8_t)match->sport);
}

void sp_first_packet_judge(const struct sp_policy *policy, const struct sp_packet_text *packet, struct sp_explain *out)
{
	const struct sp_rule *rule = out->rule != SP_RULE_NONE ? &policy->rules[out->rule] : NULL;
	bool stateless = out->builtin || (rule != NULL && rule->stateless);

	if (out->invalid) {
		out->reason = "tcp_flags";
	} else if (out->action == SP_ACTION_ALLOW) {
		if (!out->builtin && !sp_first_packet_named(rule, packet))
			out->reason = "icmp_type";
		else
			out->reason = stateless ? NULL : no_session_reason(packet);
		out->no_session = out->reason != NULL;
		if (out->no_session)
			out->action = SP_ACTION_DROP;
	} else if (out->rule != SP_RULE_NONE) {
		out->reason = "rule";
	} else if (packet->match.family == SP_FAMILY_NONE) {
		out->reason = "route_non_ip";
	} else {
		out->reason = sp_first_packet_is_error(&packet->match) ? "icmp_no_session" : "default";
	}
}
