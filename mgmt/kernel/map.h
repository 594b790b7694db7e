/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hash table of things that have a struct sp_map_node in them: chained, of a fixed number of chains, bounded by whoever adds. What is in
 * it comes from the network (routes, neighbours), so the hash is keyed. One thread at a time.
 */
#ifndef SP_MGMT_KERNEL_MAP_H
#define SP_MGMT_KERNEL_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sp_map_node {
	struct sp_map_node *next;
	uint32_t hash;
};

struct sp_map {
	struct sp_map_node **chains;
	uint32_t mask; /* chains - 1 */
	uint32_t n;    /* things in it */
	uint64_t key[2];
};

/* Whether the thing is the one that is looked for. */
typedef bool (*sp_map_same_fn)(const struct sp_map_node *node, const void *wanted);

/* For about `expected` things. 0 or -errno. */
int sp_map_init(struct sp_map *map, uint32_t expected);

/* Frees the chains; the things are their owner's. */
void sp_map_end(struct sp_map *map);

/* The hash of n bytes, a multiple of 8. */
uint32_t sp_map_hash(const struct sp_map *map, const void *bytes, size_t n);

struct sp_map_node *sp_map_find(const struct sp_map *map, uint32_t hash, sp_map_same_fn same, const void *wanted);

/* Sets node->hash. */
void sp_map_add(struct sp_map *map, struct sp_map_node *node, uint32_t hash);
void sp_map_remove(struct sp_map *map, struct sp_map_node *node);

#endif
