/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The writer's side of the routing tables. Order of every change: what a worker may come to hold is whole before the FIB leads there, and
 * no route leads to a next hop any more when it is retired; a retired one rests until all workers have been quiescent.
 *
 * rte_fib takes a table of its second level back at once when a route goes, and may give it out again with the next route, while a worker
 * still looks into it. So the first addition after deletions waits for a grace period.
 */
#include "dataplane/routing.h"

#include <errno.h>
#include <rte_errno.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_malloc.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/alloc.h"
#include "dataplane/fib_compat.h"
#include "dataplane/stats.h"

#define IPV4_BITS 32
#define IPV6_BITS 128

/* What resting next hops and addresses wait for. */
#define RESTING_MAX 4096

enum resting_kind { RESTING_NEXTHOP, RESTING_MEMORY };

struct resting {
	uint64_t token; /* of rte_rcu_qsbr_start */
	enum resting_kind kind;
	uint32_t id;
	void *memory;
};

struct sp_routing_private {
	struct rte_rcu_qsbr *qsbr;
	struct sp_routing_counters counters;
	uint32_t *free; /* stack of next hop ids that nobody has */
	uint32_t n_free;
	struct resting resting[RESTING_MAX]; /* ring, oldest first: tokens grow */
	unsigned int first, n_resting;
	bool deleted; /* routes since the last grace period */
};

/* Tables of the second level: prefixes longer than 24 bits take one each, or share it; a route of IPv6 takes several in a row. */
static uint32_t tables4(const struct sp_route_config *config)
{
	return config->max4 / 8 + config->neighbours + 256;
}

static uint32_t tables6(const struct sp_route_config *config)
{
	return config->max6 * 2 + config->neighbours * 4 + 1024;
}

/* Each route and neighbour may be a group or a gateway of its own, at worst. */
static uint32_t nexthops_of(const struct sp_route_config *config)
{
	return SP_NEXTHOP_ID_FIRST + 2 * config->neighbours + 2 * SP_LINKS_MAX + SP_NEXTHOP_GROUPS_MAX;
}

/* Of rte_rib and rte_rib6 nodes with their mempool header; internal nodes are as many as routes. */
#define RIB_NODE_BYTES  192u
#define RIB6_NODE_BYTES 256u
#define FIRST_LEVEL     (1u << 24)
#define TABLE_BYTES     (256u * 4)

size_t sp_routing_need(const struct sp_route_config *config)
{
	size_t bytes = 2 * (size_t)FIRST_LEVEL * 4;

	bytes += (size_t)tables4(config) * TABLE_BYTES + (size_t)tables6(config) * TABLE_BYTES;
	bytes += 2 * ((size_t)config->max4 + config->neighbours) * RIB_NODE_BYTES;
	bytes += 2 * ((size_t)config->max6 + config->neighbours) * RIB6_NODE_BYTES;
	return bytes + nexthops_of(config) * sizeof(struct sp_nexthop) + (4u << 20);
}

size_t sp_routing_bytes(const struct sp_routing *routing)
{
	return sp_routing_need(&routing->config);
}

static int make_fibs(struct sp_routing *routing, int socket)
{
	const struct sp_route_config *config = &routing->config;
	struct rte_fib_conf conf4 = {.type = RTE_FIB_DIR24_8,
		.default_nh = SP_NEXTHOP_ID_UNREACHABLE,
		.max_routes = (int)(config->max4 + config->neighbours + 1024),
		.dir24_8 = {.nh_sz = RTE_FIB_DIR24_8_4B, .num_tbl8 = tables4(config)}};
	struct rte_fib6_conf conf6 = {.type = RTE_FIB6_TRIE,
		.default_nh = SP_NEXTHOP_ID_UNREACHABLE,
		.max_routes = (int)(config->max6 + config->neighbours + 1024),
		.trie = {.nh_sz = RTE_FIB6_TRIE_4B, .num_tbl8 = tables6(config)}};

	routing->fib4 = rte_fib_create("sp_fib4", socket, &conf4);
	routing->fib6 = routing->fib4 == NULL ? NULL : rte_fib6_create("sp_fib6", socket, &conf6);
	return routing->fib6 == NULL ? -rte_errno : 0;
}

static int make_rings(struct sp_routing *routing, int socket)
{
	routing->to_kernel = rte_ring_create("sp_to_kernel", SP_KERNEL_RING, socket, RING_F_SC_DEQ);
	routing->from_kernel = rte_ring_create("sp_from_kernel", SP_KERNEL_RING, socket, RING_F_SP_ENQ | RING_F_SC_DEQ);
	routing->resolve = rte_ring_create_elem("sp_resolve", sizeof(struct sp_resolve), SP_RESOLVE_RING, socket, RING_F_SC_DEQ);
	if (routing->to_kernel == NULL || routing->from_kernel == NULL || routing->resolve == NULL)
		return -rte_errno;
	return 0;
}

static int make_nexthops(struct sp_routing *routing, int socket)
{
	static const uint8_t always[SP_NEXTHOP_ID_FIRST] = {
		SP_NEXTHOP_UNREACHABLE, SP_NEXTHOP_BLACKHOLE, SP_NEXTHOP_PROHIBIT, SP_NEXTHOP_SELF, SP_NEXTHOP_BLACKHOLE};
	struct sp_routing_private *writer = routing->writer;

	routing->n_nexthops = nexthops_of(&routing->config);
	routing->nexthops = sp_alloc("nexthops", routing->n_nexthops * sizeof(*routing->nexthops), 64, socket);
	writer->free = malloc(routing->n_nexthops * sizeof(*writer->free));
	if (routing->nexthops == NULL || writer->free == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < SP_NEXTHOP_ID_FIRST; i++) {
		routing->nexthops[i].kind = always[i];
		routing->nexthops[i].link = SP_NO_LINK;
	}
	for (uint32_t id = routing->n_nexthops; id-- > SP_NEXTHOP_ID_FIRST;)
		writer->free[writer->n_free++] = id;
	return 0;
}

struct sp_routing *sp_routing_create(const struct sp_route_config *config, struct rte_rcu_qsbr *qsbr, int socket)
{
	struct sp_routing *routing = sp_alloc("routing", sizeof(*routing), 64, socket);
	int rc = -ENOMEM;

	if (routing == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	routing->config = *config;
	routing->writer = calloc(1, sizeof(*routing->writer));
	if (routing->writer != NULL) {
		routing->writer->qsbr = qsbr;
		rc = make_nexthops(routing, socket);
	}
	if (rc == 0)
		rc = make_fibs(routing, socket);
	if (rc == 0)
		rc = make_rings(routing, socket);
	if (rc == 0)
		return routing;
	sp_routing_free(routing);
	errno = -rc;
	return NULL;
}

/* --- what rests ------------------------------------------------------------------------------------------------------------------- */

static void release(struct sp_routing *routing, const struct resting *resting)
{
	struct sp_routing_private *writer = routing->writer;

	if (resting->kind == RESTING_MEMORY) {
		free(resting->memory);
		return;
	}
	free(routing->nexthops[resting->id].members);
	memset(&routing->nexthops[resting->id], 0, sizeof(routing->nexthops[resting->id]));
	writer->free[writer->n_free++] = resting->id;
	sp_count(&writer->counters.nexthops, -(uint64_t)1);
}

/* Releases what has rested for long enough; with `wait`, the oldest even if that takes a while. */
static void release_rested(struct sp_routing *routing, bool wait)
{
	struct sp_routing_private *writer = routing->writer;

	while (writer->n_resting > 0) {
		const struct resting *oldest = &writer->resting[writer->first];

		if (writer->qsbr != NULL && rte_rcu_qsbr_check(writer->qsbr, oldest->token, wait) != 1)
			return;
		wait = false;
		release(routing, oldest);
		writer->first = (writer->first + 1) % RESTING_MAX;
		writer->n_resting--;
	}
}

static void rest(struct sp_routing *routing, enum resting_kind kind, uint32_t id, void *memory)
{
	struct sp_routing_private *writer = routing->writer;

	release_rested(routing, writer->n_resting == RESTING_MAX);
	writer->resting[(writer->first + writer->n_resting) % RESTING_MAX] = (struct resting){
		.token = writer->qsbr == NULL ? 0 : rte_rcu_qsbr_start(writer->qsbr), .kind = kind, .id = id, .memory = memory};
	writer->n_resting++;
}

void sp_routing_free(struct sp_routing *routing)
{
	if (routing == NULL)
		return;
	if (routing->writer != NULL) {
		routing->writer->qsbr = NULL; /* no worker is left to wait for */
		if (routing->nexthops != NULL)
			release_rested(routing, false);
		free(routing->writer->free);
	}
	for (uint32_t id = 0; routing->nexthops != NULL && id < routing->n_nexthops; id++)
		free(routing->nexthops[id].members);
	for (unsigned int i = 0; i < routing->n_links; i++)
		free(routing->links[i].addresses);
	rte_fib_free(routing->fib4);
	rte_fib6_free(routing->fib6);
	rte_ring_free(routing->to_kernel);
	rte_ring_free(routing->from_kernel);
	rte_ring_free(routing->resolve);
	sp_free(routing->nexthops);
	free(routing->writer);
	sp_free(routing);
}

/* --- links ------------------------------------------------------------------------------------------------------------------------ */

int sp_routing_add_link(struct sp_routing *routing, const struct sp_link *link)
{
	struct sp_link *to = &routing->links[routing->n_links];
	struct sp_link_addresses *none;

	if (routing->n_links == SP_LINKS_MAX)
		return -ENOSPC;
	none = calloc(1, sizeof(*none));
	if (none == NULL)
		return -ENOMEM;
	*to = *link;
	to->index = (uint16_t)routing->n_links++;
	to->addresses = none;
	return 0;
}

int sp_link_set_addresses(struct sp_routing *routing, uint16_t link, const struct sp_link_addresses *addresses)
{
	struct sp_link_addresses *copy = malloc(sizeof(*copy)), *old = routing->links[link].addresses;

	if (copy == NULL)
		return -ENOMEM;
	*copy = *addresses;
	__atomic_store_n(&routing->links[link].addresses, copy, __ATOMIC_RELEASE);
	rest(routing, RESTING_MEMORY, 0, old);
	return 0;
}

/* --- next hops ---------------------------------------------------------------------------------------------------------------------- */

static int take_nexthop(struct sp_routing *routing, uint32_t *id)
{
	struct sp_routing_private *writer = routing->writer;

	release_rested(routing, writer->n_free == 0);
	if (writer->n_free == 0)
		return -ENOSPC;
	*id = writer->free[--writer->n_free];
	sp_count(&writer->counters.nexthops, 1);
	return 0;
}

int sp_nexthop_create(struct sp_routing *routing, uint16_t link, uint8_t family, const uint8_t *address, uint32_t *id)
{
	struct sp_nexthop *nexthop;
	int rc = take_nexthop(routing, id);

	if (rc != 0)
		return rc;
	nexthop = &routing->nexthops[*id];
	nexthop->link = link;
	nexthop->family = family;
	nexthop->kind = address == NULL ? SP_NEXTHOP_GLEAN : SP_NEXTHOP_NEIGHBOUR;
	if (address != NULL)
		memcpy(nexthop->address, address, family == SP_FAMILY_IPV4 ? 4 : 16);
	return 0;
}

int sp_nexthop_group(struct sp_routing *routing, const uint32_t *members, unsigned int n, uint32_t *id)
{
	struct sp_nexthop *nexthop;
	uint32_t *copy;
	int rc;

	if (n == 0 || n > SP_GROUP_MAX)
		return -EINVAL;
	copy = malloc(n * sizeof(*copy));
	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, members, n * sizeof(*copy));
	rc = take_nexthop(routing, id);
	if (rc != 0) {
		free(copy);
		return rc;
	}
	nexthop = &routing->nexthops[*id];
	nexthop->link = SP_NO_LINK;
	nexthop->members = copy;
	nexthop->n = (uint16_t)n;
	nexthop->kind = SP_NEXTHOP_GROUP;
	return 0;
}

void sp_nexthop_retire(struct sp_routing *routing, uint32_t id)
{
	rest(routing, RESTING_NEXTHOP, id, NULL);
}

static void set_mac(struct sp_routing *routing, uint32_t id, uint64_t word)
{
	__atomic_store_n(&routing->nexthops[id].mac, word, __ATOMIC_RELEASE);
}

void sp_nexthop_resolved(struct sp_routing *routing, uint32_t id, const uint8_t mac[6])
{
	uint64_t word = SP_NEIGHBOUR_RESOLVED;

	for (unsigned int i = 0; i < 6; i++)
		word |= (uint64_t)mac[i] << (8 * i);
	set_mac(routing, id, word);
}

void sp_nexthop_failed(struct sp_routing *routing, uint32_t id)
{
	set_mac(routing, id, SP_NEIGHBOUR_FAILED);
}

void sp_nexthop_unknown(struct sp_routing *routing, uint32_t id)
{
	set_mac(routing, id, 0);
}

/* --- routes ------------------------------------------------------------------------------------------------------------------------ */

static uint32_t host4(const uint8_t *address)
{
	return (uint32_t)address[0] << 24 | (uint32_t)address[1] << 16 | (uint32_t)address[2] << 8 | address[3];
}

static bool prefix_ok(uint8_t family, const uint8_t *address, uint8_t bits)
{
	unsigned int bytes = family == SP_FAMILY_IPV4 ? 4 : 16;

	if ((family != SP_FAMILY_IPV4 && family != SP_FAMILY_IPV6) || bits > bytes * 8)
		return false;
	for (unsigned int i = bits / 8; i < bytes; i++)
		if ((address[i] & (i == bits / 8 ? 0xffu >> bits % 8 : 0xffu)) != 0)
			return false;
	return true;
}

/* Whether the FIB has exactly this prefix. */
static bool has_route(const struct sp_routing *routing, uint8_t family, const uint8_t *address, uint8_t bits)
{
	if (family == SP_FAMILY_IPV4)
		return rte_rib_lookup_exact(rte_fib_get_rib(routing->fib4), host4(address), bits) != NULL;
	return sp_fib6_has(routing->fib6, address, bits);
}

int sp_route_set(struct sp_routing *routing, uint8_t family, const uint8_t *address, uint8_t bits, uint32_t nexthop)
{
	struct sp_routing_private *writer = routing->writer;
	bool is_new;
	int rc;

	if (!prefix_ok(family, address, bits) || nexthop >= routing->n_nexthops)
		return -EINVAL;
	is_new = !has_route(routing, family, address, bits);
	if (is_new && writer->deleted && writer->qsbr != NULL)
		rte_rcu_qsbr_synchronize(writer->qsbr, RTE_QSBR_THRID_INVALID);
	writer->deleted = writer->deleted && !is_new;
	if (family == SP_FAMILY_IPV4)
		rc = rte_fib_add(routing->fib4, host4(address), bits, nexthop);
	else
		rc = sp_fib6_add(routing->fib6, address, bits, nexthop);
	if (rc != 0) {
		sp_count(&writer->counters.refused, 1);
		return -ENOSPC;
	}
	if (is_new)
		sp_count(family == SP_FAMILY_IPV4 ? &writer->counters.routes4 : &writer->counters.routes6, 1);
	return 0;
}

int sp_route_delete(struct sp_routing *routing, uint8_t family, const uint8_t *address, uint8_t bits)
{
	struct sp_routing_private *writer = routing->writer;
	int rc;

	if (!prefix_ok(family, address, bits) || !has_route(routing, family, address, bits))
		return -ENOENT;
	if (family == SP_FAMILY_IPV4)
		rc = rte_fib_delete(routing->fib4, host4(address), bits);
	else
		rc = sp_fib6_delete(routing->fib6, address, bits);
	if (rc != 0)
		return -ENOENT;
	writer->deleted = true;
	sp_count(family == SP_FAMILY_IPV4 ? &writer->counters.routes4 : &writer->counters.routes6, -(uint64_t)1);
	return 0;
}

const struct sp_routing_counters *sp_routing_counters(const struct sp_routing *routing)
{
	return &routing->writer->counters;
}

/* --- workers ----------------------------------------------------------------------------------------------------------------------- */

uint32_t sp_route_lookup(const struct sp_routing *routing, uint8_t family, const uint8_t *address)
{
	uint64_t id = SP_NEXTHOP_ID_UNREACHABLE;

	if (family == SP_FAMILY_IPV4) {
		uint32_t host = host4(address);

		rte_fib_lookup_bulk(routing->fib4, &host, &id, 1);
	} else {
		id = sp_fib6_lookup(routing->fib6, address);
	}
	return (uint32_t)id;
}

void sp_route_lookup4_burst(const struct sp_routing *routing, uint32_t *addresses, uint64_t *ids, unsigned int n)
{
	rte_fib_lookup_bulk(routing->fib4, addresses, ids, (int)n);
}
