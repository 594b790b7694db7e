/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/session_index.h"

#include <errno.h>
#include <limits.h>

#include "dataplane/alloc.h"

/* Buckets that one insertion may look at while it seeks a chain of moves. */
#define SEARCH_MAX 64

#define NO_PARENT UINT8_MAX
static_assert(SEARCH_MAX < NO_PARENT, "nodes are numbered by bytes");

/* One bucket of the search: reached by moving the entry in `way` of the parent's bucket here. */
struct node {
	uint32_t bucket;
	uint8_t parent, way;
};

int sp_index_init(struct sp_index *index, uint64_t entries, int socket)
{
	uint64_t n = entries / SP_INDEX_FILL + 2;

	if (n > UINT32_MAX / 2)
		return -ENOMEM;
	index->bucket = sp_alloc("session_index", n * sizeof(index->bucket[0]), 64, socket);
	if (index->bucket == NULL)
		return -ENOMEM;
	index->n = (uint32_t)n;
	return 0;
}

void sp_index_free(struct sp_index *index)
{
	sp_free(index->bucket);
	index->bucket = NULL;
	index->n = 0;
}

size_t sp_index_bytes(const struct sp_index *index)
{
	return (size_t)index->n * sizeof(index->bucket[0]);
}

/* A free way of the bucket, or -1. */
static int free_way(const struct sp_index_bucket *bucket)
{
	uint32_t bits = sp_index_match(bucket, 0);

	return bits != 0 ? __builtin_ctz(bits) : -1;
}

static void put(struct sp_index *index, uint32_t bucket, int way, uint16_t tag, uint32_t ref)
{
	index->bucket[bucket].tag[way] = tag;
	index->bucket[bucket].ref[way] = ref;
}

/* Moves an entry to a free way of its alternative bucket, keeping the primary's count exact, and frees its way. */
static void move(struct sp_index *index, uint32_t from, int from_way, uint32_t to, int to_way)
{
	struct sp_index_bucket *source = &index->bucket[from];

	if (source->ref[from_way] & SP_INDEX_MOVED)
		index->bucket[to].overflow--;
	else
		source->overflow++;
	put(index, to, to_way, source->tag[from_way], source->ref[from_way] ^ SP_INDEX_MOVED);
	source->tag[from_way] = 0;
}

static bool seen(const struct node *nodes, unsigned int n, uint32_t bucket)
{
	for (unsigned int i = 0; i < n; i++)
		if (nodes[i].bucket == bucket)
			return true;
	return false;
}

/* Moves the entries along the path that ends with a free way of `last`; returns the root's bucket, whose freed way is *way. */
static uint32_t unwind(struct sp_index *index, const struct node *nodes, struct node last, int *way)
{
	uint32_t to = last.bucket;
	int to_way = *way;

	while (last.parent != NO_PARENT) {
		const struct node *parent = &nodes[last.parent];

		move(index, parent->bucket, last.way, to, to_way);
		to = parent->bucket;
		to_way = last.way;
		last = *parent;
	}
	*way = to_way;
	return to;
}

/*
 * Breadth first from both buckets of the new entry to the nearest bucket with a free way. No bucket is reached twice, so that the moves of
 * a path do not touch each other. Returns the bucket (one of the two) in which *way is free afterwards, or UINT32_MAX.
 */
static uint32_t make_room(struct sp_index *index, uint32_t primary, uint32_t alternative, int *way)
{
	struct node nodes[SEARCH_MAX];
	unsigned int n = 0;

	nodes[n++] = (struct node){primary, NO_PARENT, 0};
	if (alternative != primary)
		nodes[n++] = (struct node){alternative, NO_PARENT, 0};
	for (unsigned int at = 0; at < n; at++) {
		const struct sp_index_bucket *bucket = &index->bucket[nodes[at].bucket];

		for (uint8_t from = 0; from < SP_INDEX_WAYS; from++) {
			struct node next = {sp_index_alternative(index, nodes[at].bucket, bucket->tag[from]), (uint8_t)at, from};

			if (seen(nodes, n, next.bucket))
				continue;
			*way = free_way(&index->bucket[next.bucket]);
			if (*way >= 0)
				return unwind(index, nodes, next, way);
			if (n == SEARCH_MAX)
				return UINT32_MAX;
			nodes[n++] = next;
		}
	}
	return UINT32_MAX;
}

bool sp_index_add(struct sp_index *index, uint32_t primary, uint16_t tag, uint32_t ref)
{
	uint32_t alternative = sp_index_alternative(index, primary, tag), bucket = primary;
	int way = free_way(&index->bucket[primary]);

	if (way < 0) {
		bucket = alternative;
		way = free_way(&index->bucket[alternative]);
	}
	if (way < 0)
		bucket = make_room(index, primary, alternative, &way);
	if (bucket == UINT32_MAX)
		return false;
	if (bucket != primary) {
		index->bucket[primary].overflow++;
		ref |= SP_INDEX_MOVED;
	}
	put(index, bucket, way, tag, ref);
	return true;
}

static int find_way(const struct sp_index_bucket *bucket, uint16_t tag, uint32_t ref)
{
	for (uint32_t bits = sp_index_match(bucket, tag); bits != 0; bits &= bits - 1) {
		int way = __builtin_ctz(bits);

		if (bucket->ref[way] == ref)
			return way;
	}
	return -1;
}

bool sp_index_remove(struct sp_index *index, uint32_t primary, uint16_t tag, uint32_t ref)
{
	struct sp_index_bucket *home = &index->bucket[primary], *other;
	int way = find_way(home, tag, ref);

	if (way >= 0) {
		home->tag[way] = 0;
		return true;
	}
	other = &index->bucket[sp_index_alternative(index, primary, tag)];
	way = find_way(other, tag, ref | SP_INDEX_MOVED);
	if (way < 0)
		return false;
	other->tag[way] = 0;
	home->overflow--;
	return true;
}
