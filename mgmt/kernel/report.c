/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What others may see of the tables: copies made under the lock, so that nothing is half changed.
 */
#include <linux/neighbour.h>
#include <string.h>

#include "mgmt/kernel/internal.h"

#define CHAINS_MAX 65536 /* walked by one call: some milliseconds under the lock */

static void begin_reading(struct sp_kernel *kernel)
{
	__atomic_fetch_add(&kernel->waiting, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&kernel->lock);
	__atomic_fetch_sub(&kernel->waiting, 1, __ATOMIC_RELAXED);
}

static void end_reading(struct sp_kernel *kernel)
{
	pthread_mutex_unlock(&kernel->lock);
}

/* --- counters ----------------------------------------------------------------------------------------------------------------------- */

bool sp_kernel_synced(const struct sp_kernel *kernel)
{
	return __atomic_load_n(&kernel->synced, __ATOMIC_ACQUIRE) != 0;
}

bool sp_kernel_resyncing(const struct sp_kernel *kernel)
{
	return __atomic_load_n(&kernel->resyncing, __ATOMIC_RELAXED) != 0;
}

const char *sp_kernel_tap_down(const struct sp_kernel *kernel)
{
	for (unsigned int i = 0; i < kernel->n_links; i++)
		if (__atomic_load_n(&kernel->links[i].tap_up, __ATOMIC_RELAXED) == 0)
			return kernel->links[i].link->name;
	return NULL;
}

static void report_link(const struct sp_klink *link, struct sp_kernel_link_report *out)
{
	memcpy(out->name, link->link->name, sizeof(out->name));
	out->up = __atomic_load_n(&link->link->up, __ATOMIC_RELAXED) != 0;
	out->tap = link->ifindex != 0;
	out->to_kernel = sp_read(&link->to_kernel);
	out->from_kernel = sp_read(&link->from_kernel);
	out->write_errors = sp_read(&link->write_errors);
	out->read_drops = sp_read(&link->read_drops);
}

void sp_kernel_report(struct sp_kernel *kernel, struct sp_kernel_report *out)
{
	const struct sp_routing_counters *routing = sp_routing_counters(kernel->routing);
	const struct sp_kernel_counters *counters = &kernel->counters;

	memset(out, 0, sizeof(*out));
	begin_reading(kernel);
	out->n_links = kernel->n_links;
	for (unsigned int i = 0; i < kernel->n_links; i++)
		report_link(&kernel->links[i], &out->links[i]);
	out->messages = counters->messages;
	out->malformed = counters->malformed;
	out->overruns = counters->overruns;
	out->resyncs = counters->resyncs;
	out->asked = counters->asked;
	out->ask_errors = counters->ask_errors;
	out->refused_routes = counters->refused_routes;
	out->refused_neighbours = counters->refused_neighbours;
	out->conflicts = counters->conflicts;
	out->routes4 = kernel->n_routes[0];
	out->routes6 = kernel->n_routes[1];
	out->fib4 = routing->routes4;
	out->fib6 = routing->routes6;
	out->nexthops = routing->nexthops;
	for (unsigned int s = 0; s < SP_KNEIGHBOUR_STATES; s++)
		out->neighbours[s] = kernel->n_neighbours[s];
	end_reading(kernel);
}

/* --- routes ------------------------------------------------------------------------------------------------------------------------- */

/* First and last address of a prefix. */
static void ends_of(const struct sp_kprefix *prefix, uint8_t lo[16], uint8_t hi[16])
{
	unsigned int bytes = SP_FAMILY_BITS(prefix->family) / 8;

	memcpy(lo, prefix->address, 16);
	memcpy(hi, prefix->address, 16);
	for (unsigned int i = prefix->bits / 8; i < bytes; i++)
		hi[i] |= i == prefix->bits / 8 ? (uint8_t)(0xff >> prefix->bits % 8) : 0xff;
}

static bool wants_prefix(const struct sp_kernel_filter *filter, const struct sp_kprefix *prefix)
{
	uint8_t lo[16], hi[16];

	if (filter->family != SP_FAMILY_NONE && filter->family != prefix->family)
		return false;
	ends_of(prefix, lo, hi);
	if (filter->has_within && (filter->within.lo.family != prefix->family || memcmp(lo, filter->within.lo.b, 16) < 0 ||
					  memcmp(hi, filter->within.hi.b, 16) > 0))
		return false;
	return !filter->has_covers || (filter->covers.lo.family == prefix->family && memcmp(lo, filter->covers.lo.b, 16) <= 0 &&
					      memcmp(hi, filter->covers.lo.b, 16) >= 0);
}

static uint16_t link_index(const struct sp_kernel *kernel, uint32_t ifindex)
{
	const struct sp_klink *link = sp_klink_of(kernel, ifindex);

	return link != NULL ? link->link->index : SP_NO_LINK;
}

static void copy_route(struct sp_kernel *kernel, const struct sp_kroute *route, struct sp_kroute_row *row)
{
	const struct sp_kprefix *prefix = route->prefix;
	const struct sp_hopset *set = route->object != NULL ? sp_kobject_set(kernel, route->object, prefix->family) : route->set;

	memset(row, 0, sizeof(*row));
	row->family = prefix->family;
	row->bits = prefix->bits;
	memcpy(row->address, prefix->address, sizeof(row->address));
	row->type = route->type;
	row->protocol = route->protocol;
	row->local = route->local;
	row->used = prefix->used == route && prefix->fib != SP_NO_NEXTHOP;
	row->metric = route->metric;
	row->nexthop_object = route->object != NULL ? route->object->id : 0;
	row->n_hops = set != NULL ? set->n_hops : 0;
	for (unsigned int i = 0; i < row->n_hops && i < SP_KROUTE_HOPS; i++) {
		const struct sp_nl_hop *hop = &set->hops[i];

		row->hops[i].family = hop->family;
		row->hops[i].weight = hop->weight;
		row->hops[i].link = link_index(kernel, hop->ifindex);
		row->hops[i].usable = !hop->unusable && row->hops[i].link != SP_NO_LINK;
		memcpy(row->hops[i].gateway, hop->gateway, sizeof(hop->gateway));
	}
}

static unsigned int n_routes_of(const struct sp_kprefix *prefix)
{
	unsigned int n = 0;

	for (const struct sp_kroute *route = prefix->routes; route != NULL; route = route->next)
		n++;
	return n;
}

/* The cursor is a chain in its upper half, and how many rows of that chain are told in its lower. */
size_t sp_kernel_routes(
	struct sp_kernel *kernel, const struct sp_kernel_filter *filter, uint64_t *cursor, struct sp_kroute_row *rows, size_t n)
{
	uint64_t chain = *cursor >> 32, told = *cursor & UINT32_MAX, row = 0;
	size_t filled = 0;

	begin_reading(kernel);
	for (uint64_t end = chain + CHAINS_MAX; chain <= kernel->prefixes.mask && chain < end && filled < n; chain++, told = 0) {
		struct sp_map_node *node = kernel->prefixes.chains[chain];

		for (row = 0; node != NULL && filled < n; node = node->next) {
			const struct sp_kprefix *prefix = SP_CONTAINER(node, struct sp_kprefix, node);

			if (!wants_prefix(filter, prefix)) {
				row += n_routes_of(prefix);
				continue;
			}
			for (const struct sp_kroute *route = prefix->routes; route != NULL && filled < n; route = route->next)
				if (row++ >= told)
					copy_route(kernel, route, &rows[filled++]);
		}
		if (filled == n) /* the chain may have more */
			break;
	}
	*cursor = chain > kernel->prefixes.mask ? UINT64_MAX : chain << 32 | (filled == n ? row : 0);
	end_reading(kernel);
	return filled;
}

/* --- neighbours --------------------------------------------------------------------------------------------------------------------- */

static void copy_neighbour(
	const struct sp_kernel *kernel, const struct sp_kneighbour *neighbour, uint32_t now_sec, struct sp_kneighbour_row *row)
{
	uint32_t used = __atomic_load_n(&kernel->routing->nexthops[neighbour->nexthop].used, __ATOMIC_RELAXED);

	memset(row, 0, sizeof(*row));
	row->family = neighbour->family;
	row->link = neighbour->link;
	memcpy(row->address, neighbour->address, sizeof(row->address));
	row->state = neighbour->state;
	memcpy(row->mac, neighbour->mac, sizeof(row->mac));
	row->gateway = neighbour->refs > 0;
	row->nud = neighbour->nud;
	row->used_sec = used == 0 ? UINT32_MAX : now_sec > used ? now_sec - used : 0;
}

size_t sp_kernel_neighbours(
	struct sp_kernel *kernel, const struct sp_kernel_filter *filter, uint64_t *cursor, struct sp_kneighbour_row *rows, size_t n)
{
	uint64_t chain = *cursor >> 32, told = *cursor & UINT32_MAX, row = 0;
	uint32_t now_sec = sp_kclock_sec(kernel);
	size_t filled = 0;

	begin_reading(kernel);
	for (uint64_t end = chain + CHAINS_MAX; chain <= kernel->neighbours.mask && chain < end && filled < n; chain++, told = 0) {
		struct sp_map_node *node = kernel->neighbours.chains[chain];

		for (row = 0; node != NULL && filled < n; node = node->next) {
			const struct sp_kneighbour *neighbour = SP_CONTAINER(node, struct sp_kneighbour, node);
			bool wanted = (filter->family == SP_FAMILY_NONE || filter->family == neighbour->family) &&
				      (filter->link == SP_NO_LINK || filter->link == neighbour->link);

			if (row++ >= told && wanted)
				copy_neighbour(kernel, neighbour, now_sec, &rows[filled++]);
		}
		if (filled == n)
			break;
	}
	*cursor = chain > kernel->neighbours.mask ? UINT64_MAX : chain << 32 | (filled == n ? row : 0);
	end_reading(kernel);
	return filled;
}
