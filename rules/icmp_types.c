/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/icmp_types.h"

#include <stddef.h>

#include "rules/addr.h"

struct range {
	uint8_t first, last;
};

static const struct range icmp[] = {
	{4, 4},     /* source quench: RFC 6633 has it dropped */
	{5, 5},     /* redirect: from the first router on the link (RFC 1122 3.2.2.2), which no firewall is behind */
	{6, 6},     /* alternate host address: RFC 6918 */
	{15, 18},   /* information, address mask: RFC 6918 */
	{30, 39},   /* traceroute to SKIP: RFC 6918 */
	{41, 41},   /* experimental: RFC 4065 */
	{253, 255}, /* experimental: RFC 4727; reserved */
};

/*
 * RFC 4890 4.3. What is not here: errors 1 to 4 (4.3.1, 4.3.2) pass with their session or by a rule; echo 128 and 129 (4.3.1) open one;
 * 144 to 147 (mobile IPv6, 4.3.2), MLD 130 to 132 and 143, MRD 151 to 153, SEND 148 and 149, inverse discovery 141 and 142 (4.3.3: a router
 * drops them anyway), 150 and unassigned informational types (4.3.4) are what rules say; 133 to 136 are builtin and must be from the link.
 */
static const struct range icmp6[] = {
	{5, 99},    /* unassigned errors: 4.3.4 */
	{100, 101}, /* experimental errors: 4.3.5 */
	{102, 126}, /* unassigned errors: 4.3.4 */
	{127, 127}, /* reserved for expansion of errors: 4.3.5 */
	{137, 137}, /* redirect: 4.3.3 and 4.4.1, on the link only */
	{138, 138}, /* router renumbering: 4.3.5 */
	{139, 140}, /* node information: 4.3.5 */
	{200, 201}, /* experimental: 4.3.5 */
	{255, 255}, /* reserved for expansion: 4.3.5 */
};

static bool in_any(const struct range *ranges, size_t n, uint8_t type)
{
	for (size_t i = 0; i < n; i++)
		if (ranges[i].first <= type && type <= ranges[i].last)
			return true;
	return false;
}

bool sp_icmp_needs_name(uint8_t family, uint8_t type)
{
	if (family == SP_FAMILY_IPV4)
		return in_any(icmp, sizeof(icmp) / sizeof(icmp[0]), type);
	return in_any(icmp6, sizeof(icmp6) / sizeof(icmp6[0]), type);
}
