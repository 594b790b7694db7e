/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prefixes: what Linux has of each, and what the workers' FIB has in consequence. A route of Linux comes before a neighbour, but for the
 * route of one address on its own link, which is what the neighbour is for.
 */
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/kernel/internal.h"

#define TURN_MAX 1024 /* queued prefixes of one turn */

struct key {
	uint8_t address[16];
	uint8_t family, bits, pad[6];
};

static bool same(const struct sp_map_node *node, const void *wanted)
{
	const struct sp_kprefix *prefix = SP_CONTAINER(node, const struct sp_kprefix, node);
	const struct key *key = wanted;

	return prefix->family == key->family && prefix->bits == key->bits && memcmp(prefix->address, key->address, 16) == 0;
}

static uint32_t hash_of(const struct sp_kernel *kernel, struct key *key, uint8_t family, const uint8_t *address, uint8_t bits)
{
	memset(key, 0, sizeof(*key));
	memcpy(key->address, address, SP_FAMILY_BITS(family) / 8);
	key->family = family;
	key->bits = bits;
	return sp_map_hash(&kernel->prefixes, key, sizeof(*key));
}

struct sp_kprefix *sp_kprefix_find(const struct sp_kernel *kernel, uint8_t family, const uint8_t *address, uint8_t bits)
{
	struct key key;
	uint32_t hash = hash_of(kernel, &key, family, address, bits);
	struct sp_map_node *node = sp_map_find(&kernel->prefixes, hash, same, &key);

	return node != NULL ? SP_CONTAINER(node, struct sp_kprefix, node) : NULL;
}

struct sp_kprefix *sp_kprefix_get(struct sp_kernel *kernel, uint8_t family, const uint8_t *address, uint8_t bits)
{
	struct sp_kprefix *prefix = sp_kprefix_find(kernel, family, address, bits);
	struct key key;

	if (prefix != NULL)
		return prefix;
	prefix = calloc(1, sizeof(*prefix));
	if (prefix == NULL)
		return NULL;
	prefix->family = family;
	prefix->bits = bits;
	prefix->best = prefix->fib = SP_NO_NEXTHOP;
	sp_map_add(&kernel->prefixes, &prefix->node, hash_of(kernel, &key, family, address, bits));
	memcpy(prefix->address, key.address, sizeof(prefix->address));
	kernel->lengths[SP_FAMILY_INDEX(family)][bits]++;
	return prefix;
}

struct sp_kprefix *sp_kprefix_lookup(const struct sp_kernel *kernel, uint8_t family, const uint8_t *address)
{
	uint8_t masked[16] = {0};

	memcpy(masked, address, SP_FAMILY_BITS(family) / 8);
	for (int bits = SP_FAMILY_BITS(family); bits >= 0; bits--) {
		struct sp_kprefix *prefix;

		if (bits < SP_FAMILY_BITS(family))
			masked[bits / 8] &= (uint8_t)(0xff00 >> bits % 8);
		if (kernel->lengths[SP_FAMILY_INDEX(family)][bits] == 0)
			continue;
		prefix = sp_kprefix_find(kernel, family, masked, (uint8_t)bits);
		if (prefix != NULL && prefix->best != SP_NO_NEXTHOP)
			return prefix;
	}
	return NULL;
}

/* --- the best route --------------------------------------------------------------------------------------------------------------- */

/* The next hop of a route, SP_NO_NEXTHOP when it cannot be used, and the set that must stay as long as the FIB leads there. */
static uint32_t nexthop_of(struct sp_kernel *kernel, const struct sp_kroute *route, struct sp_hopset **set)
{
	*set = NULL;
	switch (route->type) {
	case RTN_LOCAL:
	case RTN_BROADCAST:
	case RTN_ANYCAST:
		return SP_NEXTHOP_ID_SELF;
	case RTN_BLACKHOLE:
		return SP_NEXTHOP_ID_BLACKHOLE;
	case RTN_PROHIBIT:
		return SP_NEXTHOP_ID_PROHIBIT;
	case RTN_UNREACHABLE:
		return SP_NEXTHOP_ID_UNREACHABLE;
	default:
		break;
	}
	if (route->object != NULL && route->object->orphan)
		return SP_NO_NEXTHOP;
	if (route->object != NULL && route->object->blackhole)
		return SP_NEXTHOP_ID_BLACKHOLE;
	*set = route->object != NULL ? sp_kobject_set(kernel, route->object, route->prefix->family) : route->set;
	return *set != NULL ? (*set)->nexthop : SP_NO_NEXTHOP;
}

static bool is_glean(const struct sp_kernel *kernel, uint32_t nexthop)
{
	return nexthop != SP_NO_NEXTHOP && kernel->routing->nexthops[nexthop].kind == SP_NEXTHOP_GLEAN;
}

static bool covers(const struct sp_kprefix *outer, const struct sp_kprefix *inner)
{
	unsigned int whole = outer->bits / 8, rest = outer->bits % 8;

	if (outer->family != inner->family || outer->bits > inner->bits || memcmp(outer->address, inner->address, whole) != 0)
		return false;
	return rest == 0 || ((outer->address[whole] ^ inner->address[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

static void set_connected(struct sp_kernel *kernel, struct sp_kprefix *prefix, bool connected)
{
	unsigned int i = 0;

	while (i < kernel->n_connected && kernel->connected[i] != prefix)
		i++;
	if (!connected && i < kernel->n_connected)
		kernel->connected[i] = kernel->connected[--kernel->n_connected];
	else if (connected && i == kernel->n_connected && i < SP_KCONNECTED_MAX)
		kernel->connected[kernel->n_connected++] = prefix;
	else if (connected && i == kernel->n_connected)
		kernel->connected_lost = true;
}

/* Neighbours have routes of their own where the longest prefix that covers them is their link's: has this change a part in that? */
static void mind_hosts(struct sp_kernel *kernel, struct sp_kprefix *prefix, uint32_t before)
{
	bool was = is_glean(kernel, before), is = is_glean(kernel, prefix->best), touched;

	if (was || is)
		set_connected(kernel, prefix, is);
	touched = was || is || kernel->connected_lost;
	for (unsigned int i = 0; i < kernel->n_connected && !touched; i++)
		touched = covers(kernel->connected[i], prefix);
	kernel->hosts_dirty |= touched;
}

/* --- the FIB ---------------------------------------------------------------------------------------------------------------------- */

static void refused(struct sp_kernel *kernel, const struct sp_kprefix *prefix)
{
	struct sp_addr address = {.family = prefix->family};
	char text[48];

	memcpy(address.b, prefix->address, sizeof(address.b));
	sp_count(&kernel->counters.refused_routes, 1);
	sp_klog(kernel, "no room for the route to %s/%u; raise route.max%u", sp_addr_format(&address, text, sizeof(text)), prefix->bits,
		prefix->family);
}

/* Where the FIB leads around a prefix: by the longest shorter one. */
static uint32_t led_around(const struct sp_kernel *kernel, const struct sp_kprefix *prefix)
{
	uint8_t masked[16];

	memcpy(masked, prefix->address, sizeof(masked));
	for (int bits = prefix->bits - 1; bits >= 0; bits--) {
		const struct sp_kprefix *outer;

		masked[bits / 8] &= (uint8_t)(0xff00 >> bits % 8);
		if (kernel->lengths[SP_FAMILY_INDEX(prefix->family)][bits] == 0)
			continue;
		outer = sp_kprefix_find(kernel, prefix->family, masked, (uint8_t)bits);
		if (outer != NULL && outer->fib != SP_NO_NEXTHOP)
			return outer->fib;
	}
	return SP_NO_NEXTHOP;
}

/*
 * rte_fib does not count a new IPv4 prefix of more than 24 bits that leads where the one around it does, but counts it out when it goes;
 * its count turns below zero then, and it takes no more of them. So such a one leads elsewhere for an instant, and is counted.
 */
static void have_it_counted(struct sp_kernel *kernel, const struct sp_kprefix *prefix, uint32_t nexthop)
{
	uint32_t other = nexthop == SP_NEXTHOP_ID_BLACKHOLE ? SP_NEXTHOP_ID_PROHIBIT : SP_NEXTHOP_ID_BLACKHOLE;

	if (prefix->family == SP_FAMILY_IPV4 && prefix->bits > 24 && prefix->fib == SP_NO_NEXTHOP && led_around(kernel, prefix) == nexthop)
		(void)sp_route_set(kernel->routing, prefix->family, prefix->address, prefix->bits, other);
}

/* The FIB leads there afterwards, or, when that fails, nowhere. */
static void lead(struct sp_kernel *kernel, struct sp_kprefix *prefix, uint32_t nexthop)
{
	if (nexthop != SP_NO_NEXTHOP)
		have_it_counted(kernel, prefix, nexthop);
	if (nexthop != SP_NO_NEXTHOP && sp_route_set(kernel->routing, prefix->family, prefix->address, prefix->bits, nexthop) == 0) {
		prefix->fib = nexthop;
		return;
	}
	if (nexthop != SP_NO_NEXTHOP)
		refused(kernel, prefix);
	if (prefix->fib != SP_NO_NEXTHOP)
		sp_route_delete(kernel->routing, prefix->family, prefix->address, prefix->bits);
	prefix->fib = SP_NO_NEXTHOP;
}

static void release(struct sp_kernel *kernel, struct sp_kprefix *prefix)
{
	kernel->lengths[SP_FAMILY_INDEX(prefix->family)][prefix->bits]--;
	sp_map_remove(&kernel->prefixes, &prefix->node);
	free(prefix);
}

void sp_kprefix_settle(struct sp_kernel *kernel, struct sp_kprefix *prefix)
{
	struct sp_hopset *set = NULL, *old = prefix->installed;
	uint32_t best = SP_NO_NEXTHOP, before = prefix->best, wanted;
	struct sp_kroute *route;

	for (route = prefix->routes; route != NULL; route = route->next) {
		best = nexthop_of(kernel, route, &set);
		if (best != SP_NO_NEXTHOP)
			break;
	}
	prefix->used = route;
	prefix->best = best;
	wanted = best;
	if (prefix->host != NULL &&
		(best == SP_NO_NEXTHOP || best == kernel->links[prefix->host->link].glean[SP_FAMILY_INDEX(prefix->family)]))
		wanted = prefix->host->nexthop;
	if (set != NULL)
		set->refs++;
	if (wanted != prefix->fib)
		lead(kernel, prefix, wanted);
	prefix->installed = set;
	sp_hopset_put(kernel, old);
	if (best != before)
		mind_hosts(kernel, prefix, before);
	if (prefix->routes == NULL && prefix->host == NULL && prefix->fib == SP_NO_NEXTHOP && !prefix->queued)
		release(kernel, prefix);
}

/* --- later ------------------------------------------------------------------------------------------------------------------------- */

void sp_kprefix_queue(struct sp_kernel *kernel, struct sp_kprefix *prefix)
{
	if (prefix->queued)
		return;
	prefix->queued = true;
	prefix->dirty_next = NULL;
	*kernel->dirty_end = prefix;
	kernel->dirty_end = &prefix->dirty_next;
}

bool sp_kprefixes_turn(struct sp_kernel *kernel)
{
	unsigned int n = 0;

	for (; kernel->dirty != NULL && n < TURN_MAX; n++) {
		struct sp_kprefix *prefix = kernel->dirty;

		kernel->dirty = prefix->dirty_next;
		if (kernel->dirty == NULL)
			kernel->dirty_end = &kernel->dirty;
		prefix->queued = false;
		sp_kroutes_drop_orphans(kernel, prefix);
		sp_kprefix_settle(kernel, prefix);
	}
	return n > 0;
}
