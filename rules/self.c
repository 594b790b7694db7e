/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/self.h"

#include <netinet/in.h>
#include <string.h>

#include "rules/nat.h"

#define ECHO_REQUEST4 8
#define ECHO_REQUEST6 128
#define ND_FIRST      133 /* to 136: router and neighbour discovery; a redirect is 137 */
#define ND_LAST       136
#define ETHERTYPE_ARP 0x0806

int sp_self_zone(const struct sp_zones *zones)
{
	for (unsigned int i = 0; i < zones->n; i++)
		if (strcmp(zones->name[i], SP_SELF_ZONE) == 0)
			return (int)i;
	return -1;
}

static void narrow(uint32_t *mask, int self)
{
	if (*mask == SP_ZONE_ANY)
		*mask &= ~(UINT32_C(1) << self);
}

void sp_policy_narrow_self(struct sp_policy *policy)
{
	int self = sp_self_zone(&policy->zones);

	if (self < 0)
		return;
	for (size_t i = 0; i < policy->n_rules; i++) {
		narrow(&policy->rules[i].from, self);
		narrow(&policy->rules[i].to, self);
	}
	for (size_t i = 0; policy->nat != NULL && i < policy->nat->n; i++) {
		narrow(&policy->nat->v[i].from, self);
		narrow(&policy->nat->v[i].to, self);
	}
}

static bool is_echo_request(const struct sp_match *match)
{
	if (match->family == SP_FAMILY_IPV4)
		return match->proto == IPPROTO_ICMP && match->sport == ECHO_REQUEST4;
	return match->proto == IPPROTO_ICMPV6 && match->sport == ECHO_REQUEST6;
}

enum sp_self_default sp_self_default(const struct sp_match *match, uint8_t zone_self)
{
	if (zone_self == SP_MATCH_NO_ZONE)
		return SP_SELF_NOT;
	if (match->from == zone_self)
		return SP_SELF_ALLOWS;
	if (match->to != zone_self)
		return SP_SELF_NOT;
	return match->family != SP_FAMILY_NONE && is_echo_request(match) ? SP_SELF_ALLOWS : SP_SELF_DROPS;
}

bool sp_self_builtin(const struct sp_match *match, uint8_t zone_self)
{
	if (zone_self == SP_MATCH_NO_ZONE || (match->from != zone_self && match->to != zone_self))
		return false;
	if (match->family == SP_FAMILY_NONE)
		return match->ethertype == ETHERTYPE_ARP;
	return match->family == SP_FAMILY_IPV6 && match->proto == IPPROTO_ICMPV6 && match->sport >= ND_FIRST && match->sport <= ND_LAST;
}
