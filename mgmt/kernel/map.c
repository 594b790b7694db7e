/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/kernel/map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "dataplane/siphash.h"

#define CHAINS_MIN 64u
#define WORDS_MAX  31 /* of sp_siphash */
#define WORD_BYTES 8

int sp_map_init(struct sp_map *map, uint32_t expected)
{
	uint32_t chains = CHAINS_MIN;

	while (chains < expected && chains < 1u << 24)
		chains *= 2;
	memset(map, 0, sizeof(*map));
	if (getrandom(map->key, sizeof(map->key), 0) != sizeof(map->key))
		return -errno;
	map->chains = calloc(chains, sizeof(struct sp_map_node *));
	map->mask = chains - 1;
	return map->chains != NULL ? 0 : -ENOMEM;
}

void sp_map_end(struct sp_map *map)
{
	free(map->chains);
	map->chains = NULL;
}

uint32_t sp_map_hash(const struct sp_map *map, const void *bytes, size_t n)
{
	uint64_t words[WORDS_MAX], hash = 0;
	const char *at = bytes;

	/* longer ones in pieces: the hash of each begins with the hash of those before it */
	for (size_t done = 0; done < n || done == 0;) {
		size_t take = n - done < (WORDS_MAX - 1) * WORD_BYTES ? n - done : (WORDS_MAX - 1) * WORD_BYTES;

		words[0] = hash;
		memcpy(&words[1], at + done, take);
		hash = sp_siphash(map->key, words, 1 + take / WORD_BYTES);
		done += take;
		if (take == 0)
			break;
	}
	return (uint32_t)hash;
}

struct sp_map_node *sp_map_find(const struct sp_map *map, uint32_t hash, sp_map_same_fn same, const void *wanted)
{
	struct sp_map_node *node = map->chains[hash & map->mask];

	while (node != NULL && (node->hash != hash || !same(node, wanted)))
		node = node->next;
	return node;
}

void sp_map_add(struct sp_map *map, struct sp_map_node *node, uint32_t hash)
{
	struct sp_map_node **chain = &map->chains[hash & map->mask];

	node->hash = hash;
	node->next = *chain;
	*chain = node;
	map->n++;
}

void sp_map_remove(struct sp_map *map, struct sp_map_node *node)
{
	struct sp_map_node **at = &map->chains[node->hash & map->mask];

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	node->next = NULL;
	map->n--;
}
