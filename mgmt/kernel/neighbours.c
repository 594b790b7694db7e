/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Neighbours: Linux finds them, workers send to them. Each that workers may need has a next hop of its own: those that Linux knows, the
 * gateways of routes, and those that a worker has a packet for. Where the longest prefix that covers a neighbour is its own link's, a
 * route of its one address leads to it.
 */
#include <linux/neighbour.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/kernel/internal.h"

#define RESOLVE_MAX    64   /* requests of one turn */
#define HOSTS_MAX      1024 /* neighbours looked at in one turn */
#define SWEEP_CHAINS   4096
#define TICKS          10    /* a second */
#define ASK_AGAIN_MS   1000  /* between two requests for one that is not found */
#define STALE_AGAIN_MS 5000  /* the same for one that is to be made sure of */
#define ANSWER_MS      5000  /* Linux gives up after three; should it not say so, this is the end */
#define FAILED_MS      3000  /* one that did not answer is remembered for so long */
#define UNUSED_MS      10000 /* one that nobody names is, too */

#define NUD_USABLE (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)

const char *const sp_kneighbour_state_names[SP_KNEIGHBOUR_STATES] = {
	[SP_KNEIGHBOUR_UNKNOWN] = "unknown", [SP_KNEIGHBOUR_RESOLVED] = "resolved", [SP_KNEIGHBOUR_FAILED] = "failed"};

struct key {
	uint8_t address[16];
	uint16_t link;
	uint8_t family, pad[5];
};

static bool same(const struct sp_map_node *node, const void *wanted)
{
	const struct sp_kneighbour *neighbour = SP_CONTAINER(node, const struct sp_kneighbour, node);
	const struct key *key = wanted;

	return neighbour->link == key->link && neighbour->family == key->family && memcmp(neighbour->address, key->address, 16) == 0;
}

static uint32_t hash_of(const struct sp_kernel *kernel, struct key *key, uint16_t link, uint8_t family, const uint8_t *address)
{
	memset(key, 0, sizeof(*key));
	memcpy(key->address, address, SP_FAMILY_BITS(family) / 8);
	key->link = link;
	key->family = family;
	return sp_map_hash(&kernel->neighbours, key, sizeof(*key));
}

static struct sp_kneighbour *find(const struct sp_kernel *kernel, uint16_t link, uint8_t family, const uint8_t *address)
{
	struct key key;
	uint32_t hash = hash_of(kernel, &key, link, family, address);
	struct sp_map_node *node = sp_map_find(&kernel->neighbours, hash, same, &key);

	return node != NULL ? SP_CONTAINER(node, struct sp_kneighbour, node) : NULL;
}

/* --- a route of its own ----------------------------------------------------------------------------------------------------------- */

/* Whether an address is to be looked for on the link itself. */
static bool is_on_link(const struct sp_kernel *kernel, uint16_t link, uint8_t family, const uint8_t *address)
{
	const struct sp_kprefix *prefix = sp_kprefix_lookup(kernel, family, address);

	return prefix != NULL && prefix->best == kernel->links[link].glean[SP_FAMILY_INDEX(family)];
}

/* Brings it in line with the prefixes. The FIB follows when the prefix's turn comes. */
static void set_host(struct sp_kernel *kernel, struct sp_kneighbour *neighbour)
{
	bool wanted = is_on_link(kernel, neighbour->link, neighbour->family, neighbour->address);
	struct sp_kprefix *prefix = neighbour->host;

	if (wanted == (prefix != NULL))
		return;
	if (wanted)
		prefix = sp_kprefix_get(kernel, neighbour->family, neighbour->address, SP_FAMILY_BITS(neighbour->family));
	if (prefix == NULL || (wanted && prefix->host != NULL)) /* that of another link goes first */
		return;
	prefix->host = wanted ? neighbour : NULL;
	neighbour->host = wanted ? prefix : NULL;
	sp_kprefix_queue(kernel, prefix);
}

bool sp_kneighbours_hosts(struct sp_kernel *kernel)
{
	unsigned int n = 0;

	if (!kernel->hosts_dirty && kernel->hosts_cursor == 0)
		return false;
	/* what changes while they are walked is for the next walk, so that each one ends */
	if (kernel->hosts_cursor == 0)
		kernel->hosts_dirty = false;
	for (; n < HOSTS_MAX && kernel->hosts_cursor <= kernel->neighbours.mask; kernel->hosts_cursor++) {
		struct sp_map_node *node = kernel->neighbours.chains[kernel->hosts_cursor];

		for (; node != NULL; node = node->next, n++)
			set_host(kernel, SP_CONTAINER(node, struct sp_kneighbour, node));
	}
	if (kernel->hosts_cursor > kernel->neighbours.mask)
		kernel->hosts_cursor = 0;
	return true;
}

/* --- life ------------------------------------------------------------------------------------------------------------------------- */

struct sp_kneighbour *sp_kneighbour_get(struct sp_kernel *kernel, uint16_t link, uint8_t family, const uint8_t *address)
{
	struct sp_kneighbour *neighbour = find(kernel, link, family, address);
	struct key key;

	if (neighbour != NULL)
		return neighbour;
	if (kernel->neighbours.n < kernel->routing->config.neighbours)
		neighbour = calloc(1, sizeof(*neighbour));
	if (neighbour == NULL || sp_nexthop_create(kernel->routing, link, family, address, &neighbour->nexthop) != 0) {
		free(neighbour);
		sp_count(&kernel->counters.refused_neighbours, 1);
		sp_klog(kernel, "no room for another neighbour (%u there are): raise route.neighbours", kernel->neighbours.n);
		return NULL;
	}
	neighbour->link = link;
	neighbour->family = family;
	neighbour->since_ms = kernel->now_ms;
	sp_map_add(&kernel->neighbours, &neighbour->node, hash_of(kernel, &key, link, family, address));
	memcpy(neighbour->address, key.address, sizeof(neighbour->address));
	kernel->n_neighbours[SP_KNEIGHBOUR_UNKNOWN]++;
	set_host(kernel, neighbour);
	return neighbour;
}

void sp_kneighbour_put(struct sp_kernel *kernel, struct sp_kneighbour *neighbour)
{
	/* the tick frees it: here somebody may be at work on the prefix that leads to it */
	if (--neighbour->refs == 0)
		neighbour->since_ms = kernel->now_ms;
}

void sp_kneighbour_free(struct sp_kernel *kernel, struct sp_kneighbour *neighbour)
{
	struct sp_kprefix *prefix = neighbour->host;

	if (prefix != NULL) {
		prefix->host = NULL;
		sp_kprefix_settle(kernel, prefix);
	}
	sp_map_remove(&kernel->neighbours, &neighbour->node);
	kernel->n_neighbours[neighbour->state]--;
	sp_nexthop_retire(kernel->routing, neighbour->nexthop);
	free(neighbour);
}

static void set_state(struct sp_kernel *kernel, struct sp_kneighbour *neighbour, enum sp_kneighbour_state state)
{
	kernel->n_neighbours[neighbour->state]--;
	kernel->n_neighbours[state]++;
	neighbour->state = state;
	neighbour->since_ms = kernel->now_ms;
	if (state == SP_KNEIGHBOUR_RESOLVED)
		sp_nexthop_resolved(kernel->routing, neighbour->nexthop, neighbour->mac);
	else if (state == SP_KNEIGHBOUR_FAILED)
		sp_nexthop_failed(kernel->routing, neighbour->nexthop);
	else
		sp_nexthop_unknown(kernel->routing, neighbour->nexthop);
}

/* --- what Linux says -------------------------------------------------------------------------------------------------------------- */

static void lost(struct sp_kernel *kernel, struct sp_kneighbour *neighbour)
{
	neighbour->nud = 0;
	if (neighbour->refs == 0)
		sp_kneighbour_free(kernel, neighbour);
	else
		set_state(kernel, neighbour, SP_KNEIGHBOUR_UNKNOWN);
}

static bool is_multicast(const struct sp_nl_neighbour *it)
{
	return it->family == SP_FAMILY_IPV4 ? it->address[0] >= 224 : it->address[0] == 0xff;
}

static void found(struct sp_kernel *kernel, struct sp_kneighbour *neighbour, const struct sp_nl_neighbour *it)
{
	if (it->state == NUD_STALE && neighbour->nud != NUD_STALE)
		neighbour->stale_sec = sp_kclock_sec(kernel);
	if (neighbour->state == SP_KNEIGHBOUR_RESOLVED && memcmp(neighbour->mac, it->mac, sizeof(it->mac)) == 0)
		return;
	memcpy(neighbour->mac, it->mac, sizeof(it->mac));
	set_state(kernel, neighbour, SP_KNEIGHBOUR_RESOLVED);
}

void sp_kneighbours_take(struct sp_kernel *kernel, const struct sp_nl_neighbour *it)
{
	const struct sp_klink *link = sp_klink_of(kernel, it->ifindex);
	bool usable = (it->state & NUD_USABLE) != 0 && it->has_mac && (it->mac[0] & 1) == 0;
	struct sp_kneighbour *neighbour;

	if (link == NULL || it->proxy || is_multicast(it))
		return;
	neighbour = find(kernel, link->link->index, it->family, it->address);
	if (neighbour == NULL && usable && !it->gone)
		neighbour = sp_kneighbour_get(kernel, link->link->index, it->family, it->address);
	if (neighbour == NULL)
		return;
	if (it->gone) {
		lost(kernel, neighbour);
		return;
	}
	neighbour->epoch = kernel->epoch;
	if (usable)
		found(kernel, neighbour, it);
	else if (it->state & NUD_FAILED)
		set_state(kernel, neighbour, SP_KNEIGHBOUR_FAILED);
	else if (neighbour->state == SP_KNEIGHBOUR_RESOLVED)
		set_state(kernel, neighbour, SP_KNEIGHBOUR_UNKNOWN);
	neighbour->nud = it->state;
}

/* --- what workers ask for --------------------------------------------------------------------------------------------------------- */

static struct sp_kneighbour *wanted_by(struct sp_kernel *kernel, const struct sp_resolve *it)
{
	const struct sp_nexthop *nexthop;

	if (it->nexthop != SP_NEXTHOP_ID_UNREACHABLE) {
		if (it->nexthop >= kernel->routing->n_nexthops)
			return NULL;
		nexthop = &kernel->routing->nexthops[it->nexthop];
		if (nexthop->kind != SP_NEXTHOP_NEIGHBOUR || nexthop->link >= kernel->n_links)
			return NULL;
		return find(kernel, nexthop->link, nexthop->family, nexthop->address);
	}
	if (it->link >= kernel->n_links || (it->family != SP_FAMILY_IPV4 && it->family != SP_FAMILY_IPV6))
		return NULL;
	/* the FIB may have changed since the worker looked */
	if (!is_on_link(kernel, it->link, it->family, it->address))
		return NULL;
	return sp_kneighbour_get(kernel, it->link, it->family, it->address);
}

bool sp_kneighbours_resolve(struct sp_kernel *kernel)
{
	struct sp_resolve requests[RESOLVE_MAX];
	unsigned int n = rte_ring_dequeue_burst_elem(kernel->routing->resolve, requests, sizeof(requests[0]), RESOLVE_MAX, NULL);

	for (unsigned int i = 0; i < n; i++) {
		struct sp_kneighbour *neighbour = wanted_by(kernel, &requests[i]);

		if (neighbour == NULL || neighbour->state == SP_KNEIGHBOUR_RESOLVED)
			continue;
		if (neighbour->asked_ms != 0 && kernel->now_ms - neighbour->asked_ms < ASK_AGAIN_MS)
			continue;
		if (neighbour->state == SP_KNEIGHBOUR_FAILED)
			set_state(kernel, neighbour, SP_KNEIGHBOUR_UNKNOWN);
		sp_knetlink_ask(kernel, neighbour);
	}
	return n > 0;
}

/* --- what time brings ------------------------------------------------------------------------------------------------------------- */

/* May free it. */
static void age(struct sp_kernel *kernel, struct sp_kneighbour *neighbour)
{
	int64_t in_state = kernel->now_ms - neighbour->since_ms, since_asked = kernel->now_ms - neighbour->asked_ms;
	uint32_t used;

	switch (neighbour->state) {
	case SP_KNEIGHBOUR_UNKNOWN:
		if (neighbour->asked_ms != 0 && since_asked >= ANSWER_MS && in_state >= ANSWER_MS)
			set_state(kernel, neighbour, SP_KNEIGHBOUR_FAILED);
		else if (neighbour->refs == 0 && neighbour->asked_ms == 0 && in_state >= UNUSED_MS)
			goto free;
		return;
	case SP_KNEIGHBOUR_FAILED:
		if (neighbour->refs == 0 && in_state >= FAILED_MS)
			goto free;
		return;
	default:
		break;
	}
	if (neighbour->nud == 0 && neighbour->refs == 0)
		goto free;
	used = __atomic_load_n(&kernel->routing->nexthops[neighbour->nexthop].used, __ATOMIC_RELAXED);
	if (neighbour->nud == NUD_STALE && used != 0 && used >= neighbour->stale_sec && since_asked >= STALE_AGAIN_MS)
		sp_knetlink_ask(kernel, neighbour);
	return;

free:
	sp_kneighbour_free(kernel, neighbour);
}

void sp_kneighbours_tick(struct sp_kernel *kernel)
{
	uint64_t chains = kernel->neighbours.mask / TICKS + 1;

	for (uint64_t n = 0; n < chains; n++) {
		struct sp_map_node *node = kernel->neighbours.chains[kernel->tick_cursor], *next;

		for (; node != NULL; node = next) {
			next = node->next;
			age(kernel, SP_CONTAINER(node, struct sp_kneighbour, node));
		}
		kernel->tick_cursor = (kernel->tick_cursor + 1) & kernel->neighbours.mask;
	}
}

bool sp_kneighbours_sweep(struct sp_kernel *kernel, uint64_t *cursor)
{
	for (unsigned int n = 0; n < SWEEP_CHAINS && *cursor <= kernel->neighbours.mask; n++, ++*cursor) {
		struct sp_map_node *node = kernel->neighbours.chains[*cursor], *next;

		for (; node != NULL; node = next) {
			struct sp_kneighbour *neighbour = SP_CONTAINER(node, struct sp_kneighbour, node);

			next = node->next;
			if (neighbour->nud != 0 && neighbour->epoch != kernel->epoch)
				lost(kernel, neighbour);
		}
	}
	return *cursor > kernel->neighbours.mask;
}
