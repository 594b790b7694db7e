/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What Linux calls a nexthop: hops that routes name by a number, alone or in groups of others. When one changes, all that go by it do.
 */
#include <stdlib.h>
#include <string.h>

#include "mgmt/kernel/internal.h"

#define SWEEP_CHAINS 4096

static bool same(const struct sp_map_node *node, const void *wanted)
{
	return SP_CONTAINER(node, const struct sp_kobject, node)->id == *(const uint32_t *)wanted;
}

static uint32_t hash_of(const struct sp_kernel *kernel, uint32_t id)
{
	uint64_t word = id;

	return sp_map_hash(&kernel->objects, &word, sizeof(word));
}

static struct sp_kobject *find(const struct sp_kernel *kernel, uint32_t id)
{
	struct sp_map_node *node = sp_map_find(&kernel->objects, hash_of(kernel, id), same, &id);

	return node != NULL ? SP_CONTAINER(node, struct sp_kobject, node) : NULL;
}

struct sp_kobject *sp_kobject_get(struct sp_kernel *kernel, uint32_t id)
{
	struct sp_kobject *object = find(kernel, id);

	if (object != NULL)
		return object;
	if (kernel->objects.n >= SP_KOBJECTS_MAX) {
		sp_klog(kernel, "Linux has more than %d nexthop objects: routes by others are not used", SP_KOBJECTS_MAX);
		return NULL;
	}
	object = calloc(1, sizeof(*object));
	if (object == NULL)
		return NULL;
	object->id = id;
	sp_map_add(&kernel->objects, &object->node, hash_of(kernel, id));
	return object;
}

static void forget_sets(struct sp_kernel *kernel, struct sp_kobject *object)
{
	for (unsigned int f = 0; f < 2; f++) {
		sp_hopset_put(kernel, object->sets[f]);
		object->sets[f] = NULL;
	}
}

void sp_kobject_free(struct sp_kernel *kernel, struct sp_kobject *object)
{
	if (!object->orphan)
		sp_map_remove(&kernel->objects, &object->node);
	forget_sets(kernel, object);
	free(object->members);
	free(object);
}

/* --- the routes that go by it ------------------------------------------------------------------------------------------------------- */

void sp_kobject_link(struct sp_kobject *object, struct sp_kroute *route)
{
	route->object = object;
	route->object_next = object->routes;
	route->object_at = &object->routes;
	if (object->routes != NULL)
		object->routes->object_at = &route->object_next;
	object->routes = route;
}

void sp_kobject_unlink(struct sp_kernel *kernel, struct sp_kroute *route)
{
	struct sp_kobject *object = route->object;

	if (object == NULL)
		return;
	*route->object_at = route->object_next;
	if (route->object_next != NULL)
		route->object_next->object_at = route->object_at;
	route->object = NULL;
	if (object->routes == NULL && (object->orphan || !object->known))
		sp_kobject_free(kernel, object);
}

static void queue_routes(struct sp_kernel *kernel, const struct sp_kobject *object)
{
	for (const struct sp_kroute *route = object->routes; route != NULL; route = route->object_next)
		sp_kprefix_queue(kernel, route->prefix);
}

/* --- what it holds ---------------------------------------------------------------------------------------------------------------- */

static unsigned int hops_of(const struct sp_kernel *kernel, const struct sp_kobject *object, struct sp_nl_hop *hops)
{
	unsigned int n = 0;

	if (object->n_members == 0) {
		hops[0] = object->hop;
		return 1;
	}
	for (unsigned int i = 0; i < object->n_members; i++) {
		const struct sp_kobject *member = find(kernel, object->members[i].id);

		if (member == NULL || !member->known || member->blackhole || member->n_members != 0)
			continue;
		hops[n] = member->hop;
		hops[n++].weight = object->members[i].weight;
	}
	return n;
}

struct sp_hopset *sp_kobject_set(struct sp_kernel *kernel, struct sp_kobject *object, uint8_t family)
{
	struct sp_hopset **set = &object->sets[SP_FAMILY_INDEX(family)];
	struct sp_nl_hop hops[SP_NL_HOPS_MAX];

	if (*set == NULL && object->known)
		*set = sp_hopset_get(kernel, family, hops, hops_of(kernel, object, hops));
	return *set;
}

/* Linux has removed it. */
static void orphan(struct sp_kernel *kernel, struct sp_kobject *object)
{
	if (object->routes == NULL) {
		sp_kobject_free(kernel, object);
		return;
	}
	sp_map_remove(&kernel->objects, &object->node);
	object->orphan = true;
	queue_routes(kernel, object);
}

static bool same_content(const struct sp_kobject *object, const struct sp_nl_nexthop *it)
{
	return object->known && object->blackhole == it->blackhole && object->n_members == it->n_members &&
	       memcmp(&object->hop, &it->hop, sizeof(it->hop)) == 0 &&
	       (it->n_members == 0 || memcmp(object->members, it->members, it->n_members * sizeof(it->members[0])) == 0);
}

void sp_kobjects_take(struct sp_kernel *kernel, const struct sp_nl_nexthop *it)
{
	struct sp_kobject *object = it->gone ? find(kernel, it->id) : it->foreign ? NULL : sp_kobject_get(kernel, it->id);
	struct sp_nl_member *members = NULL;

	if (object == NULL)
		return;
	if (it->gone) {
		orphan(kernel, object);
		return;
	}
	object->epoch = kernel->epoch;
	if (same_content(object, it))
		return;
	if (it->n_members > 0) {
		members = malloc(it->n_members * sizeof(*members));
		if (members == NULL)
			return;
		memcpy(members, it->members, it->n_members * sizeof(*members));
	}
	free(object->members);
	object->members = members;
	object->n_members = it->n_members;
	object->blackhole = it->blackhole;
	object->hop = it->hop;
	object->known = true;
	object->changed = true;
	kernel->objects_changed = true;
}

static bool has_changed(const struct sp_kernel *kernel, const struct sp_kobject *object)
{
	if (object->changed)
		return true;
	for (unsigned int i = 0; i < object->n_members; i++) {
		const struct sp_kobject *member = find(kernel, object->members[i].id);

		if (member != NULL && member->changed)
			return true;
	}
	return false;
}

#define FOR_EACH_OBJECT(kernel, chain, at)                                 \
	for (uint32_t chain = 0; chain <= (kernel)->objects.mask; chain++) \
		for (struct sp_map_node *at = (kernel)->objects.chains[chain]; at != NULL; at = at->next)

void sp_kobjects_settle(struct sp_kernel *kernel)
{
	if (!kernel->objects_changed)
		return;
	kernel->objects_changed = false;
	FOR_EACH_OBJECT(kernel, chain, at)
	{
		struct sp_kobject *object = SP_CONTAINER(at, struct sp_kobject, node);

		if (!has_changed(kernel, object))
			continue;
		forget_sets(kernel, object);
		queue_routes(kernel, object);
	}
	FOR_EACH_OBJECT(kernel, chain, at)
	SP_CONTAINER(at, struct sp_kobject, node)->changed = false;
}

bool sp_kobjects_sweep(struct sp_kernel *kernel, uint64_t *cursor)
{
	for (unsigned int n = 0; n < SWEEP_CHAINS && *cursor <= kernel->objects.mask; n++, ++*cursor) {
		struct sp_map_node *node = kernel->objects.chains[*cursor], *next;

		for (; node != NULL; node = next) {
			struct sp_kobject *object = SP_CONTAINER(node, struct sp_kobject, node);

			next = node->next;
			if (object->known && object->epoch != kernel->epoch)
				orphan(kernel, object);
		}
	}
	return *cursor > kernel->objects.mask;
}
