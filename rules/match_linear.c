/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a rule's indexed fields mean, said as plainly as can be:
 *
 * - a rule without `ethertype` is for IP packets only, all of them when it asks nothing else;
 * - a rule with `ethertype` is for those frames, IP ones included when their type is named;
 * - a frame that is not IP has no addresses, protocol or ports: a rule that asks for one does not match it;
 * - icmp is ICMP over IPv4 and icmpv6 over IPv6; ports are those of TCP, UDP and SCTP;
 * - a port without a zone matches only rules that name no zone;
 * - the zone of the firewall itself matches only where it is named: a rule without zones has been narrowed (rules/self.h).
 */
#include "rules/miss.h"

#include <netinet/in.h>

#include "rules/names.h"

#define ETHERTYPE_ARP 0x0806

/* Router and neighbour solicitations and advertisements. A redirect (137) steers hosts: RFC 4890 4.4.1 leaves it to the rules. */
#define ICMP6_ND_FIRST 133
#define ICMP6_ND_LAST  136

bool sp_match_zone(uint32_t mask, uint8_t zone)
{
	return mask >> (zone < SP_ZONES_MAX ? zone : SP_ZONES_MAX) & 1;
}

bool sp_match_address(const struct sp_policy *policy, int32_t set, const struct sp_match *match, const struct sp_addr *addr)
{
	return set < 0 || (match->family != SP_FAMILY_NONE && sp_addrset_contains(&policy->addrsets[set], addr));
}

/* ICMP's number in an IPv6 packet, or the reverse, is not that protocol. */
static bool is_icmp(const struct sp_match *match)
{
	return (match->family == SP_FAMILY_IPV4 && match->proto == IPPROTO_ICMP) ||
	       (match->family == SP_FAMILY_IPV6 && match->proto == IPPROTO_ICMPV6);
}

bool sp_match_proto(const uint64_t proto[4], const struct sp_match *match)
{
	if ((proto[0] | proto[1] | proto[2] | proto[3]) == 0)
		return true;
	if (match->family == SP_FAMILY_NONE || !(proto[match->proto >> 6] >> (match->proto & 63) & 1))
		return false;
	return (match->proto != IPPROTO_ICMP && match->proto != IPPROTO_ICMPV6) || is_icmp(match);
}

bool sp_match_ports(const struct sp_rangelist *list, const struct sp_match *match, uint16_t port)
{
	return list->n == 0 || (match->family != SP_FAMILY_NONE && sp_proto_has_ports(match->proto) && sp_rangelist_holds(list, port));
}

static bool icmp_matches(const struct sp_rangelist *list, const struct sp_match *match, uint16_t value)
{
	return list->n == 0 || (is_icmp(match) && sp_rangelist_holds(list, value));
}

static bool ethertype_matches(const struct sp_rule *rule, const struct sp_match *match)
{
	if (rule->ethertype.n == 0)
		return match->family != SP_FAMILY_NONE;
	return sp_rangelist_holds(&rule->ethertype, match->ethertype);
}

static bool field_matches(const struct sp_policy *policy, const struct sp_rule *rule, const struct sp_match *match, int field)
{
	switch (field) {
	case SP_FIELD_PROTO:
		return sp_match_proto(rule->proto, match);
	case SP_FIELD_FROM:
		return sp_match_zone(rule->from, match->from);
	case SP_FIELD_SRC:
		return sp_match_address(policy, rule->src, match, &match->src);
	case SP_FIELD_TO:
		return sp_match_zone(rule->to, match->to);
	case SP_FIELD_DST:
		return sp_match_address(policy, rule->dst, match, &match->dst);
	case SP_FIELD_SPORT:
		return sp_match_ports(&rule->sport, match, match->sport);
	case SP_FIELD_DPORT:
		return sp_match_ports(&rule->dport, match, match->dport);
	case SP_FIELD_ICMP_TYPE:
		return icmp_matches(&rule->icmp_type, match, match->sport);
	case SP_FIELD_ICMP_CODE:
		return icmp_matches(&rule->icmp_code, match, match->dport);
	case SP_FIELD_VLAN:
		return rule->vlan.n == 0 || sp_rangelist_holds(&rule->vlan, match->vlan);
	case SP_FIELD_ETHERTYPE:
		return ethertype_matches(rule, match);
	default:
		return true;
	}
}

/* Cheapest and most telling first. */
static const int indexed_fields[] = {SP_FIELD_ETHERTYPE, SP_FIELD_PROTO, SP_FIELD_FROM, SP_FIELD_TO, SP_FIELD_SPORT, SP_FIELD_DPORT,
	SP_FIELD_ICMP_TYPE, SP_FIELD_ICMP_CODE, SP_FIELD_VLAN, SP_FIELD_SRC, SP_FIELD_DST};

#define INDEXED_FIELDS (sizeof(indexed_fields) / sizeof(indexed_fields[0]))

bool sp_rule_match_indexed(const struct sp_policy *policy, const struct sp_rule *rule, const struct sp_match *match, int *failed)
{
	for (size_t i = 0; i < INDEXED_FIELDS; i++) {
		if (field_matches(policy, rule, match, indexed_fields[i]))
			continue;
		if (failed != NULL)
			*failed = indexed_fields[i];
		return false;
	}
	return true;
}

uint64_t sp_rule_misses(const struct sp_policy *policy, const struct sp_rule *rule, const struct sp_match *match)
{
	uint64_t misses = 0;

	for (size_t i = 0; i < INDEXED_FIELDS; i++)
		if (!field_matches(policy, rule, match, indexed_fields[i]))
			misses |= UINT64_C(1) << indexed_fields[i];
	return misses;
}

uint32_t sp_match_linear(const struct sp_policy *policy, const struct sp_match *match, uint32_t from)
{
	for (size_t i = from; i < policy->n_rules; i++)
		if (policy->rules[i].enabled && sp_rule_match_indexed(policy, &policy->rules[i], match, NULL))
			return (uint32_t)i;
	return SP_RULE_NONE;
}

bool sp_match_builtin(const struct sp_policy *policy, const struct sp_match *match)
{
	if (match->family == SP_FAMILY_NONE)
		return policy->builtin_arp && match->ethertype == ETHERTYPE_ARP;
	return policy->builtin_nd && match->family == SP_FAMILY_IPV6 && match->proto == IPPROTO_ICMPV6 && match->sport >= ICMP6_ND_FIRST &&
	       match->sport <= ICMP6_ND_LAST && match->dport == 0;
}
