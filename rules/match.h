/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What rules see of a packet, in one value: built by the dataplane from a parsed packet, by explain and expect from a description.
 */
#ifndef SP_RULES_MATCH_H
#define SP_RULES_MATCH_H

#include <stddef.h>
#include <stdint.h>

#include "rules/addr.h"
#include "rules/policy.h"

/* "No rule": the default decides. */
#define SP_RULE_NONE UINT32_MAX

/* Indexed fields: everything a session's opener still knows later. Ports in host byte order. */
struct sp_match {
	uint8_t family;        /* enum sp_family; NONE: not an IP frame */
	uint8_t proto;         /* IP protocol after extension headers */
	uint8_t from, to;      /* zone indexes; SP_MATCH_NO_ZONE when the port has none */
	uint16_t vlan;         /* outer VLAN id, 0: untagged */
	uint16_t ethertype;    /* after VLAN tags, host byte order */
	uint16_t sport, dport; /* TCP, UDP, SCTP; for ICMP and ICMPv6: type and code */
	struct sp_addr src, dst;
};

#define SP_MATCH_NO_ZONE 0xff

/* Packet-only fields, for residual checks. `frame` may be NULL when only a description is at hand: then bpf answers "unknown". */
struct sp_packet_view {
	const uint8_t *frame; /* contiguous prefix of the frame, VLAN tag restored, Ethernet header first */
	uint32_t frame_len;   /* bytes at frame */
	uint32_t wire_len;    /* bytes of the whole frame, without FCS */
	uint8_t tcp_flags;
	uint8_t dscp;
	uint8_t src_mac[6];
	/* Which of the above are known; a re-match of a session knows none. Bits SP_VIEW_*. */
	uint8_t known;
};

#define SP_VIEW_FRAME     1u
#define SP_VIEW_LENGTH    2u
#define SP_VIEW_TCP_FLAGS 4u
#define SP_VIEW_DSCP      8u
#define SP_VIEW_SRC_MAC   16u

enum sp_answer { SP_NO, SP_YES, SP_UNKNOWN };

/* Whether the rule's residual fields match. UNKNOWN when a field that is asked is not known. Any thread, bounded, no allocation. */
enum sp_answer sp_residual_match(const struct sp_residual *residual, const struct sp_packet_view *view);

/* Whether the rule's indexed fields match; *failed (may be NULL) gets the first enum sp_field that did not. */
bool sp_rule_match_indexed(const struct sp_policy *policy, const struct sp_rule *rule, const struct sp_match *match, int *failed);

/*
 * The oracle: index of the first enabled rule at or after `from` whose indexed fields match, SP_RULE_NONE without one. Slow and
 * obvious; the fast classifier must agree with it.
 */
uint32_t sp_match_linear(const struct sp_policy *policy, const struct sp_match *match, uint32_t from);

#endif
