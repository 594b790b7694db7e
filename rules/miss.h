/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a rule misses a packet: the same tests as match.h, told field by field. explain uses it for steps and near misses.
 */
#ifndef SP_RULES_MISS_H
#define SP_RULES_MISS_H

#include "rules/match.h"

/* Whether one of the ranges holds the value; an empty list holds none. */
static inline bool sp_rangelist_holds(const struct sp_rangelist *list, uint32_t value)
{
	for (size_t i = 0; i < list->n; i++)
		if (value >= list->v[i].lo && value <= list->v[i].hi)
			return true;
	return false;
}

/* One field alone; `proto` as in struct sp_rule, `set` an index into policy->addrsets. */
bool sp_match_zone(uint32_t mask, uint8_t zone);
bool sp_match_proto(const uint64_t proto[4], const struct sp_match *match);
bool sp_match_address(const struct sp_policy *policy, int32_t set, const struct sp_match *match, const struct sp_addr *addr);
bool sp_match_ports(const struct sp_rangelist *list, const struct sp_match *match, uint16_t port);

/* Bit f of the result: the indexed field f of the rule does not match. 0: all match. */
uint64_t sp_rule_misses(const struct sp_policy *policy, const struct sp_rule *rule, const struct sp_match *match);

/* Answer of one residual field (tcp_flags, length, dscp, src_mac, bpf); YES for one that is not asked. */
enum sp_answer sp_residual_field(const struct sp_residual *residual, const struct sp_packet_view *view, int field);

/* The residual fields in the order in which they are checked. */
#define SP_RESIDUAL_FIELDS 5
extern const int sp_residual_fields[SP_RESIDUAL_FIELDS];

/*
 * Whether builtin ARP, or builtin neighbour discovery (RFC 4861: ICMPv6 types 133 to 136 with code 0; the caller also wants hop limit
 * 255 where it has a packet), passes this: ND before the rules, ARP when no rule decides it. Redirects (137) pass by rule only.
 */
bool sp_match_builtin(const struct sp_policy *policy, const struct sp_match *match);

#endif
