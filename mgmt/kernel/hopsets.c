/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hops as workers can use them: one gateway is its neighbour's next hop, a hop on the link itself the link's GLEAN, several of them a
 * group. Routes with the same hops share one set, so that a full table by two gateways takes three next hops and not a million.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/kernel/internal.h"

struct content {
	uint64_t family;
	struct sp_nl_hop hops[SP_NL_HOPS_MAX];
};

struct wanted {
	uint8_t family;
	unsigned int n;
	const struct sp_nl_hop *hops;
};

static bool same(const struct sp_map_node *node, const void *wanted)
{
	const struct sp_hopset *set = SP_CONTAINER(node, const struct sp_hopset, node);
	const struct wanted *it = wanted;

	return set->family == it->family && set->n_hops == it->n && memcmp(set->hops, it->hops, it->n * sizeof(*it->hops)) == 0;
}

/* --- what workers get ---------------------------------------------------------------------------------------------------------------- */

/* The next hop of one hop; SP_NO_NEXTHOP when it leads nowhere that is ours. Holds the gateway. */
static uint32_t nexthop_of(struct sp_kernel *kernel, struct sp_hopset *set, const struct sp_nl_hop *hop)
{
	const struct sp_klink *link = hop->unusable ? NULL : sp_klink_of(kernel, hop->ifindex);
	struct sp_kneighbour *gateway;

	if (link == NULL)
		return SP_NO_NEXTHOP;
	if (hop->family == SP_FAMILY_NONE)
		return link->glean[SP_FAMILY_INDEX(set->family)];
	gateway = sp_kneighbour_get(kernel, link->link->index, hop->family, hop->gateway);
	if (gateway == NULL)
		return SP_NO_NEXTHOP;
	gateway->refs++;
	set->gateways[set->n_gateways++] = gateway;
	if (gateway->nud == 0 && gateway->asked_ms == 0)
		sp_knetlink_ask(kernel, gateway);
	return gateway->nexthop;
}

struct member {
	uint32_t nexthop;
	uint32_t weight;
};

/* Members as often as their weights say, when need be in smaller numbers, none left out. At most SP_GROUP_MAX of them. */
static unsigned int spread(const struct member *members, unsigned int n, uint32_t *ids)
{
	uint64_t total = 0, room = SP_GROUP_MAX - n; /* one place is each member's */
	unsigned int filled = 0;
	uint32_t divisor = members[0].weight;

	for (unsigned int i = 0; i < n; i++) {
		uint32_t a = members[i].weight, b = divisor;

		while (b != 0) {
			uint32_t rest = a % b;

			a = b;
			b = rest;
		}
		divisor = a;
	}
	for (unsigned int i = 0; i < n; i++)
		total += members[i].weight / divisor;
	for (unsigned int i = 0; i < n; i++) {
		uint64_t share = members[i].weight / divisor;

		if (total > SP_GROUP_MAX)
			share = 1 + share * room / total;
		for (uint64_t k = 0; k < share && filled < SP_GROUP_MAX; k++)
			ids[filled++] = members[i].nexthop;
	}
	return filled;
}

static void realise(struct sp_kernel *kernel, struct sp_hopset *set)
{
	struct member members[SP_NL_HOPS_MAX];
	uint32_t ids[SP_GROUP_MAX];
	unsigned int n = 0;

	for (unsigned int i = 0; i < set->n_hops; i++) {
		members[n].nexthop = nexthop_of(kernel, set, &set->hops[i]);
		members[n].weight = set->hops[i].weight;
		n += members[n].nexthop != SP_NO_NEXTHOP;
	}
	set->nexthop = n == 0 ? SP_NO_NEXTHOP : members[0].nexthop;
	if (n < 2)
		return;
	/* without room for a group, its first member serves */
	set->own = sp_nexthop_group(kernel->routing, ids, spread(members, n, ids), &set->nexthop) == 0;
	if (!set->own) {
		set->nexthop = members[0].nexthop;
		sp_klog(kernel, "no room for another group of next hops (%u are the most): a route uses one of its gateways only",
			SP_NEXTHOP_GROUPS_MAX);
	}
}

/* --- sets ------------------------------------------------------------------------------------------------------------------------- */

struct sp_hopset *sp_hopset_get(struct sp_kernel *kernel, uint8_t family, const struct sp_nl_hop *hops, unsigned int n)
{
	const struct wanted wanted = {family, n, hops};
	struct content content;
	struct sp_map_node *node;
	struct sp_hopset *set;
	uint32_t hash;

	if (n == 0)
		return NULL;
	content.family = family;
	memcpy(content.hops, hops, n * sizeof(*hops));
	hash = sp_map_hash(&kernel->hopsets, &content, sizeof(content.family) + n * sizeof(*hops));
	node = sp_map_find(&kernel->hopsets, hash, same, &wanted);
	if (node != NULL) {
		set = SP_CONTAINER(node, struct sp_hopset, node);
		set->refs++;
		/* nothing to lose: there may be room for its gateway by now */
		if (set->nexthop == SP_NO_NEXTHOP && set->n_gateways == 0)
			realise(kernel, set);
		return set;
	}
	set = calloc(1, sizeof(*set) + n * sizeof(*hops));
	if (set == NULL)
		return NULL;
	set->refs = 1;
	set->family = family;
	set->n_hops = n;
	memcpy(set->hops, hops, n * sizeof(*hops));
	sp_map_add(&kernel->hopsets, &set->node, hash);
	realise(kernel, set);
	return set;
}

void sp_hopset_put(struct sp_kernel *kernel, struct sp_hopset *set)
{
	if (set == NULL || --set->refs > 0)
		return;
	sp_map_remove(&kernel->hopsets, &set->node);
	if (set->own)
		sp_nexthop_retire(kernel->routing, set->nexthop);
	for (unsigned int i = 0; i < set->n_gateways; i++)
		sp_kneighbour_put(kernel, set->gateways[i]);
	free(set);
}
