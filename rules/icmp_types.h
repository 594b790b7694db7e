/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP types that a rule must name: the path and explain ask the same table.
 */
#ifndef SP_RULES_ICMP_TYPES_H
#define SP_RULES_ICMP_TYPES_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether messages of this type pass only by a rule that gives icmp_type: they steer hosts, tell about them, or are deprecated,
 * experimental or unassigned errors (RFC 4890 4.3.4 and 4.3.5 for ICMPv6; RFC 6633 and 6918 for ICMP). `family`: enum sp_family.
 */
bool sp_icmp_needs_name(uint8_t family, uint8_t type);

#endif
