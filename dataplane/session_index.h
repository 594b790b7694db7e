/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The index of the session table, private to it: from a tuple's hash to the references that may carry this tuple.
 *
 * A bucket is one cache line of ten entries, each a 16-bit tag and a 32-bit reference. An entry lives in its primary bucket, or, when that
 * was full, in its alternative one; the primary counts the entries that live elsewhere, so that a lookup that misses reads one line unless
 * something did overflow. The alternative is found from the bucket and the tag alone, and the alternative of the alternative is the bucket
 * itself: an entry moves without its key.
 *
 * The owner of the session table is the only one who touches it.
 */
#ifndef SP_DATAPLANE_SESSION_INDEX_H
#define SP_DATAPLANE_SESSION_INDEX_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "dataplane/key.h"

#define SP_INDEX_WAYS 10

/* Entries a bucket is meant to hold when the table is full: 70 % of its ways, where a few entries in a hundred live in their alternative.
 */
#define SP_INDEX_FILL 7

/* Mark in a stored reference: this entry is in its alternative bucket. Between the index in the pool and the public bits. */
#define SP_INDEX_MOVED 0x20000000u

struct sp_index_bucket {
	uint16_t tag[SP_INDEX_WAYS]; /* 0: free */
	uint32_t overflow;           /* entries of which this is the primary bucket and that live in their alternative */
	uint32_t ref[SP_INDEX_WAYS];
} __attribute__((aligned(64)));
static_assert(sizeof(struct sp_index_bucket) == 64, "a bucket is one line");

struct sp_index {
	struct sp_index_bucket *bucket;
	uint32_t n; /* buckets; any number of at least 2 */
};

/* Room for `entries` at the intended fill. 0 or -ENOMEM. */
int sp_index_init(struct sp_index *index, uint64_t entries, int socket);
void sp_index_free(struct sp_index *index);
size_t sp_index_bytes(const struct sp_index *index);

/* Adds an entry, moving a bounded number of others when both its buckets are full. False: no room, and nothing was added. */
bool sp_index_add(struct sp_index *index, uint32_t primary, uint16_t tag, uint32_t ref);

/* Takes the entry out; false when it is not there. */
bool sp_index_remove(struct sp_index *index, uint32_t primary, uint16_t tag, uint32_t ref);

static inline uint32_t sp_index_primary(const struct sp_index *index, uint32_t hash)
{
	return (uint32_t)((uint64_t)hash * index->n >> 32);
}

/*
 * The alternative of a bucket for a tag, and back: b and s - b modulo n, with s spread over the buckets by the tag. It may be the same
 * bucket.
 */
static inline uint32_t sp_index_alternative(const struct sp_index *index, uint32_t bucket, uint16_t tag)
{
	uint32_t spread = (uint32_t)((uint64_t)(tag * 0x9e3779b1u) * index->n >> 32);

	return spread >= bucket ? spread - bucket : spread + (index->n - bucket);
}

/* Whether the first of two ends stands "above" the second: any order of addresses will do, as long as it turns around with them. */
static inline bool sp_index_order(const struct sp_key *key)
{
	uint64_t word, half[4];

	if (key->family == SP_FAMILY_IPV4) {
		memcpy(&word, &key->v4, sizeof(word));
		return word > (word << 32 | word >> 32);
	}
	memcpy(half, &key->v6, sizeof(half));
	return (half[0] ^ half[1]) > (half[2] ^ half[3]);
}

/*
 * The tag of a key with this hash. The hash is the same for both directions of a flow and for all ICMP types, so the order of the endpoints
 * and the type are put into the tag: a lookup then rarely reads the entry of the other direction, and one source's choice of ICMP types
 * does not fill one pair of buckets.
 */
static inline uint16_t sp_index_tag(const struct sp_key *key, uint32_t hash)
{
	uint16_t tag = (uint16_t)((hash ^ key->aux) << 1);

	tag |= sp_index_order(key);
	return tag != 0 ? tag : 1;
}

/* Ways of the bucket whose tag is `tag`, as bits. */
static inline uint32_t sp_index_match(const struct sp_index_bucket *bucket, uint16_t tag)
{
#ifdef __SSE2__
	const __m128i wanted = _mm_set1_epi16((short)tag);
	/* Two overlapping loads cover the ten tags: ways 0 to 7 and 2 to 9. */
	__m128i low = _mm_cmpeq_epi16(_mm_load_si128((const __m128i *)(const void *)&bucket->tag[0]), wanted);
	__m128i high = _mm_cmpeq_epi16(_mm_loadu_si128((const __m128i *)(const void *)&bucket->tag[2]), wanted);
	uint32_t bits = (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high));

	return (bits & 0xff) | (bits >> 6 & 0x300);
#else
	uint32_t bits = 0;

	for (unsigned int way = 0; way < SP_INDEX_WAYS; way++)
		bits |= (uint32_t)(bucket->tag[way] == tag) << way;
	return bits;
#endif
}

#endif
