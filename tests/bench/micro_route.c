/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Routing tables without Linux: what the kernel thread would have put there, so that the routed path can be measured where there are no
 * TAPs. The captures' networks lie behind neighbours of their ports, a /24 each, in turn.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/routing.h"
#include "tests/bench/micro.h"

#define NEIGHBOURS 8                           /* of each link */
#define NETWORK(l) (0xc6120000u + ((l) << 16)) /* 198.18.0.0/16 is behind link 0, 198.19.0.0/16 behind link 1 */
#define LINKS      2

/* Where the routes begin that no packet of the captures takes. */
#define OTHERS 0x14000000u /* 20.0.0.0 */

static void put(uint32_t value, uint8_t bytes[4])
{
	for (unsigned int i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void route(struct sp_routing *routing, uint32_t prefix, uint8_t bits, uint32_t nexthop)
{
	uint8_t address[4];

	put(prefix, address);
	if (sp_route_set(routing, SP_FAMILY_IPV4, address, bits, nexthop) != 0)
		micro_die("the routes do not fit: route.max4 is too small");
}

/* A neighbour that has been found, by its host route, too. */
static uint32_t neighbour(struct sp_routing *routing, uint16_t link, unsigned int n)
{
	const uint8_t mac[6] = {2, 0, 0, 1, (uint8_t)link, (uint8_t)n};
	uint8_t address[4] = {192, 0, 2, (uint8_t)(128 * link + 2 + n)};
	uint32_t id;

	if (sp_nexthop_create(routing, link, SP_FAMILY_IPV4, address, &id) != 0)
		micro_die("no next hop is left");
	sp_nexthop_resolved(routing, id, mac);
	if (sp_route_set(routing, SP_FAMILY_IPV4, address, 32, id) != 0)
		micro_die("no route is left for a neighbour");
	return id;
}

void micro_route_fill(struct sp_routing *routing, uint32_t others)
{
	uint32_t id[LINKS][NEIGHBOURS];

	if (routing->n_links != LINKS)
		micro_die("routed: %u links; the captures are for %u", routing->n_links, LINKS);
	for (uint16_t l = 0; l < LINKS; l++) {
		for (unsigned int n = 0; n < NEIGHBOURS; n++)
			id[l][n] = neighbour(routing, l, n);
		for (unsigned int net = 0; net < 256; net++)
			route(routing, NETWORK((uint32_t)l) + (net << 8), 24, id[l][net % NEIGHBOURS]);
		__atomic_store_n(&routing->links[l].up, 1, __ATOMIC_RELAXED);
	}
	for (uint32_t r = 0; r < others; r++)
		route(routing, OTHERS + (r << 8), 24, id[r % LINKS][r / LINKS % NEIGHBOURS]);
}
