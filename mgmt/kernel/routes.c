/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Routes of Linux. What tells one from another differs by family:
 *  - IPv4: prefix, metric and hops. Several may have the same prefix and metric; the first of them counts.
 *  - IPv6: routes of one prefix and metric by gateways are one route with many hops; a message brings all hops it now has, but one that
 *    says it is gone names only those that are.
 */
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/kernel/internal.h"

#define SWEEP_CHAINS 4096
#define LOOPBACK4    127

/* --- which concern us ------------------------------------------------------------------------------------------------------------- */

static bool is_link_local(const uint8_t *address)
{
	return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

static bool is_loopback(const struct sp_nl_route *it)
{
	static const uint8_t one[16] = {[15] = 1};

	return it->family == SP_FAMILY_IPV4 ? it->address[0] == LOOPBACK4 && it->bits >= 8
					    : it->bits == 128 && memcmp(it->address, one, sizeof(one)) == 0;
}

static bool concerns_us(const struct sp_nl_route *it)
{
	if (it->cloned || it->foreign || (it->table != RT_TABLE_MAIN && it->table != RT_TABLE_LOCAL) || is_loopback(it))
		return false;
	switch (it->type) {
	case RTN_UNICAST: /* link-local destinations are on every link at once */
		return it->family != SP_FAMILY_IPV6 || it->bits < 10 || !is_link_local(it->address);
	case RTN_LOCAL:
	case RTN_BROADCAST:
	case RTN_ANYCAST:
	case RTN_BLACKHOLE:
	case RTN_UNREACHABLE:
	case RTN_PROHIBIT:
		return true;
	default:
		return false;
	}
}

/* --- which is which --------------------------------------------------------------------------------------------------------------- */

static bool same_key(const struct sp_kroute *route, const struct sp_nl_route *it)
{
	return route->local == (it->table == RT_TABLE_LOCAL) && route->metric == it->metric;
}

static bool same_hop(const struct sp_nl_hop *a, const struct sp_nl_hop *b)
{
	return a->ifindex == b->ifindex && a->family == b->family && memcmp(a->gateway, b->gateway, sizeof(a->gateway)) == 0;
}

/* Whether each of n hops is among m others. */
static bool among(const struct sp_nl_hop *hops, unsigned int n, const struct sp_nl_hop *others, unsigned int m)
{
	for (unsigned int i = 0; i < n; i++) {
		unsigned int k = 0;

		while (k < m && !same_hop(&hops[i], &others[k]))
			k++;
		if (k == m)
			return false;
	}
	return true;
}

static unsigned int n_hops(const struct sp_kroute *route)
{
	return route->set != NULL ? route->set->n_hops : 0;
}

static const struct sp_nl_hop *hops_of(const struct sp_kroute *route)
{
	return route->set != NULL ? route->set->hops : NULL;
}

/* The route as it would be told again. Hops of types that have none are Linux's affair. */
static bool same_way(const struct sp_kroute *route, const struct sp_nl_route *it)
{
	if (route->type != it->type || (route->object != NULL ? route->object->id : 0) != it->nexthop)
		return false;
	if (it->type != RTN_UNICAST || it->nexthop != 0)
		return true;
	return n_hops(route) == it->n_hops && among(hops_of(route), n_hops(route), it->hops, it->n_hops);
}

/* Whether the route is what the message tells of, in an older state. */
static bool superseded(const struct sp_kroute *route, const struct sp_nl_route *it)
{
	if (!same_key(route, it))
		return false;
	if (it->family == SP_FAMILY_IPV4 || route->object != NULL || it->nexthop != 0 || it->type != RTN_UNICAST)
		return same_way(route, it);
	return route->type == it->type && among(hops_of(route), n_hops(route), it->hops, it->n_hops);
}

static bool has_gateway(const struct sp_nl_hop *hops, unsigned int n)
{
	return n > 0 && hops[0].family != SP_FAMILY_NONE;
}

/* What a message with NLM_F_REPLACE takes the place of. */
static struct sp_kroute *find_replaced(const struct sp_kprefix *prefix, const struct sp_nl_route *it)
{
	struct sp_kroute *first = NULL;

	for (struct sp_kroute *route = prefix->routes; route != NULL; route = route->next) {
		if (!same_key(route, it))
			continue;
		if (it->family == SP_FAMILY_IPV4 ||
			has_gateway(hops_of(route), n_hops(route)) == has_gateway(it->hops, it->nexthop == 0 ? it->n_hops : 0))
			return route;
		first = first != NULL ? first : route;
	}
	return first;
}

static struct sp_kroute *find_superseded(const struct sp_kprefix *prefix, const struct sp_nl_route *it)
{
	struct sp_kroute *route = prefix->routes;

	while (route != NULL && !superseded(route, it))
		route = route->next;
	return route;
}

/* --- life ------------------------------------------------------------------------------------------------------------------------- */

static void let_go(struct sp_kernel *kernel, struct sp_kroute *route)
{
	sp_kobject_unlink(kernel, route);
	sp_hopset_put(kernel, route->set);
	route->set = NULL;
}

static void release(struct sp_kernel *kernel, struct sp_kroute *route)
{
	struct sp_kprefix *prefix = route->prefix;
	struct sp_kroute **at = &prefix->routes;

	while (*at != route)
		at = &(*at)->next;
	*at = route->next;
	if (prefix->used == route)
		prefix->used = NULL;
	kernel->n_routes[SP_FAMILY_INDEX(prefix->family)]--;
	let_go(kernel, route);
	free(route);
}

void sp_kroutes_free(struct sp_kernel *kernel, struct sp_kprefix *prefix)
{
	while (prefix->routes != NULL)
		release(kernel, prefix->routes);
}

void sp_kroutes_drop_orphans(struct sp_kernel *kernel, struct sp_kprefix *prefix)
{
	struct sp_kroute *route = prefix->routes, *next;

	for (; route != NULL; route = next) {
		next = route->next;
		if (route->object != NULL && route->object->orphan)
			release(kernel, route);
	}
}

/* Order: the local table, the lower metric, the more preferred router; equals before or behind those that are there. */
static void insert(struct sp_kprefix *prefix, struct sp_kroute *route, bool behind)
{
	struct sp_kroute **at = &prefix->routes;

	for (; *at != NULL; at = &(*at)->next) {
		const struct sp_kroute *it = *at;
		int order = it->local != route->local             ? (it->local ? -1 : 1)
			    : it->metric != route->metric         ? (it->metric < route->metric ? -1 : 1)
			    : it->preference != route->preference ? (it->preference < route->preference ? -1 : 1)
								  : 0;

		if (order > 0 || (order == 0 && !behind))
			break;
	}
	route->next = *at;
	*at = route;
}

static struct sp_kroute *add(struct sp_kernel *kernel, struct sp_kprefix *prefix, const struct sp_nl_route *it, unsigned int flags)
{
	const struct sp_route_config *config = &kernel->routing->config;
	uint32_t *n = &kernel->n_routes[SP_FAMILY_INDEX(it->family)];
	struct sp_kroute *route = NULL;

	if (*n < (it->family == SP_FAMILY_IPV4 ? config->max4 : config->max6))
		route = calloc(1, sizeof(*route));
	if (route == NULL) {
		sp_count(&kernel->counters.refused_routes, 1);
		sp_klog(kernel, "Linux has more than %u IPv%u routes: others are not used; raise route.max%u", *n, it->family, it->family);
		return NULL;
	}
	++*n;
	route->prefix = prefix;
	route->metric = it->metric;
	route->preference = it->preference;
	route->local = it->table == RT_TABLE_LOCAL;
	insert(prefix, route, it->family == SP_FAMILY_IPV6 || (flags & (NLM_F_APPEND | NLM_F_MULTI)) != 0);
	return route;
}

static void fill(struct sp_kernel *kernel, struct sp_kroute *route, const struct sp_nl_route *it)
{
	struct sp_kobject *object = it->nexthop != 0 ? sp_kobject_get(kernel, it->nexthop) : NULL;
	struct sp_hopset *set =
		it->type == RTN_UNICAST && it->nexthop == 0 ? sp_hopset_get(kernel, it->family, it->hops, it->n_hops) : NULL;

	if (route->object != object) {
		sp_kobject_unlink(kernel, route);
		if (object != NULL)
			sp_kobject_link(object, route);
	}
	sp_hopset_put(kernel, route->set);
	route->set = set;
	route->type = it->type;
	route->protocol = it->protocol;
	route->epoch = kernel->epoch;
}

/* --- messages --------------------------------------------------------------------------------------------------------------------- */

static void take_new(struct sp_kernel *kernel, const struct sp_nl_route *it, unsigned int flags)
{
	struct sp_kprefix *prefix = sp_kprefix_get(kernel, it->family, it->address, it->bits);
	struct sp_kroute *route = NULL, *other;

	if (prefix == NULL) {
		sp_count(&kernel->counters.refused_routes, 1);
		return;
	}
	if (flags & NLM_F_REPLACE)
		route = find_replaced(prefix, it);
	if (route == NULL)
		route = find_superseded(prefix, it);
	if (route == NULL)
		route = add(kernel, prefix, it, flags);
	if (route != NULL)
		fill(kernel, route, it);
	/* IPv6: what were routes of their own may be hops of this one now */
	for (struct sp_kroute *next = it->family == SP_FAMILY_IPV6 && route != NULL ? prefix->routes : NULL; (other = next) != NULL;) {
		next = other->next;
		if (other != route && superseded(other, it))
			release(kernel, other);
	}
	sp_kprefix_settle(kernel, prefix);
}

/* Takes these hops out; true when none is left. */
static bool subtract(struct sp_kernel *kernel, struct sp_kroute *route, const struct sp_nl_route *it)
{
	struct sp_nl_hop left[SP_NL_HOPS_MAX];
	unsigned int n = 0;

	for (unsigned int i = 0; i < n_hops(route); i++)
		if (!among(&route->set->hops[i], 1, it->hops, it->n_hops))
			left[n++] = route->set->hops[i];
	if (n > 0) {
		struct sp_hopset *set = sp_hopset_get(kernel, it->family, left, n);

		sp_hopset_put(kernel, route->set);
		route->set = set;
	}
	return n == 0;
}

static struct sp_kroute *find_gone(const struct sp_kprefix *prefix, const struct sp_nl_route *it)
{
	struct sp_kroute *route;

	for (route = prefix->routes; route != NULL; route = route->next)
		if (same_key(route, it) && same_way(route, it))
			return route;
	for (route = prefix->routes; route != NULL; route = route->next) {
		if (!same_key(route, it) || route->type != it->type || (route->object != NULL) != (it->nexthop != 0))
			continue;
		if (it->family == SP_FAMILY_IPV4 || (it->n_hops > 0 && among(it->hops, it->n_hops, hops_of(route), n_hops(route))))
			return route;
	}
	return NULL;
}

static void take_gone(struct sp_kernel *kernel, const struct sp_nl_route *it)
{
	struct sp_kprefix *prefix = sp_kprefix_find(kernel, it->family, it->address, it->bits);
	struct sp_kroute *route = prefix != NULL ? find_gone(prefix, it) : NULL;

	if (route == NULL)
		return;
	if (same_way(route, it) || it->family == SP_FAMILY_IPV4 || subtract(kernel, route, it))
		release(kernel, route);
	sp_kprefix_settle(kernel, prefix);
}

void sp_kroutes_take(struct sp_kernel *kernel, const struct sp_nl_route *it, unsigned int flags)
{
	if (!concerns_us(it))
		return;
	if (it->gone)
		take_gone(kernel, it);
	else
		take_new(kernel, it, flags);
}

bool sp_kroutes_sweep(struct sp_kernel *kernel, uint8_t family, uint64_t *cursor)
{
	for (unsigned int n = 0; n < SWEEP_CHAINS && *cursor <= kernel->prefixes.mask; n++, ++*cursor) {
		struct sp_map_node *node = kernel->prefixes.chains[*cursor], *next;

		for (; node != NULL; node = next) {
			struct sp_kprefix *prefix = SP_CONTAINER(node, struct sp_kprefix, node);
			struct sp_kroute *route = prefix->family == family ? prefix->routes : NULL, *behind;
			bool gone = false;

			next = node->next;
			for (; route != NULL; route = behind) {
				behind = route->next;
				if (route->epoch == kernel->epoch)
					continue;
				release(kernel, route);
				gone = true;
			}
			if (gone)
				sp_kprefix_settle(kernel, prefix);
		}
	}
	return *cursor > kernel->prefixes.mask;
}
