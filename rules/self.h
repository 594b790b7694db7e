/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The zone `self`: the firewall, when it routes. What is sent to it or by it meets only rules (and `nat` entries) that name it: `to self`
 * is for what it receives, `from self` for what it sends, and a rule without zones is for neither.
 */
#ifndef SP_RULES_SELF_H
#define SP_RULES_SELF_H

#include "rules/match.h"
#include "rules/policy.h"

#define SP_SELF_ZONE "self"

/* Index of the zone, -1 when the table has none. */
int sp_self_zone(const struct sp_zones *zones);

/* Takes the zone out of every `from` and `to` that was not given: called once when everything that names zones has been read, so that all
 * who look at these masks agree. */
void sp_policy_narrow_self(struct sp_policy *policy);

enum sp_self_default { SP_SELF_NOT, SP_SELF_ALLOWS, SP_SELF_DROPS };

/*
 * What becomes of a packet that no rule decides when the firewall is one of its ends, whatever the policy's default says: it sends what it
 * likes, and receives echo requests (its own sessions' answers need no rule). NOT: it is no end, or zone_self is SP_MATCH_NO_ZONE. Any
 * thread.
 */
enum sp_self_default sp_self_default(const struct sp_match *match, uint8_t zone_self);

/* ARP, and valid router and neighbour discovery, between the firewall and its links: no matter of rules, whatever `builtin` says. (Nor are
 * the answers of DHCP that it waits for, which no description tells.) */
bool sp_self_builtin(const struct sp_match *match, uint8_t zone_self);

#endif
