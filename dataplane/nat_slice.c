/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports of one external address that one worker gives out: a bitmap a protocol. Ports are told by their number in the slice.
 */
#include <errno.h>
#include <stdlib.h>

#include "dataplane/nat_internal.h"
#include "dataplane/stats.h"

static size_t words_of(uint32_t n)
{
	return n / SP_NAT_WORD;
}

size_t sp_nat_slice_bytes(uint32_t n)
{
	return words_of(n) * sizeof(uint64_t) * SP_NAT_PROTO_COUNT + (words_of(n) + 63) / 64 * sizeof(uint64_t);
}

int sp_nat_slice_init(struct sp_nat_slice *slice, uint32_t first, uint32_t n)
{
	uint64_t *bits = calloc(1, sp_nat_slice_bytes(n));

	if (bits == NULL)
		return -ENOMEM;
	slice->first = first;
	slice->n = n;
	for (unsigned int p = 0; p < SP_NAT_PROTO_COUNT; p++)
		slice->taken[p] = bits + p * words_of(n);
	slice->blocks = bits + SP_NAT_PROTO_COUNT * words_of(n);
	return 0;
}

void sp_nat_slice_fini(struct sp_nat_slice *slice)
{
	free(slice->taken[0]);
	slice->taken[0] = NULL;
}

/* Free ports of a word, from bit `from` on. */
static inline uint64_t free_bits(const struct sp_nat_slice *slice, unsigned int proto, uint32_t word, unsigned int from, bool loose)
{
	if (loose && (slice->blocks[word / 64] >> word % 64 & 1))
		return 0;
	return ~slice->taken[proto][word] & (UINT64_MAX << from);
}

uint32_t sp_nat_slice_find(const struct sp_nat_slice *slice, unsigned int proto, uint32_t lo, uint32_t hi, uint32_t start, bool loose)
{
	const uint32_t first = lo / SP_NAT_WORD, last = hi / SP_NAT_WORD;
	uint32_t word = start / SP_NAT_WORD;
	uint64_t bits = free_bits(slice, proto, word, start % SP_NAT_WORD, loose);

	/* The word of `start` comes twice: what lies behind it first, what lies before it last. */
	for (uint32_t w = first; w <= last; w++) {
		if (bits != 0)
			return word * SP_NAT_WORD + (uint32_t)__builtin_ctzll(bits);
		word = word + 1 == last ? first : word + 1;
		bits = free_bits(slice, proto, word, 0, loose);
	}
	return UINT32_MAX;
}

void sp_nat_slice_take(struct sp_nat_slice *slice, unsigned int proto, uint32_t k)
{
	slice->taken[proto][k / 64] |= 1ull << k % 64;
	__atomic_store_n(&slice->used[proto], slice->used[proto] + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&slice->refs, slice->refs + 1, __ATOMIC_RELEASE);
}

void sp_nat_slice_give(struct sp_nat_slice *slice, unsigned int proto, uint32_t k)
{
	slice->taken[proto][k / 64] &= ~(1ull << k % 64);
	__atomic_store_n(&slice->used[proto], slice->used[proto] - 1, __ATOMIC_RELAXED);
	__atomic_store_n(&slice->refs, slice->refs - 1, __ATOMIC_RELEASE);
}

static bool run_is_free(const struct sp_nat_slice *slice, uint32_t word, uint32_t n)
{
	for (uint32_t w = word; w < word + n; w++) {
		uint64_t taken = 0;

		for (unsigned int p = 0; p < SP_NAT_PROTO_COUNT; p++)
			taken |= slice->taken[p][w];
		if (taken != 0 || (slice->blocks[w / 64] >> w % 64 & 1))
			return false;
	}
	return true;
}

uint32_t sp_nat_slice_take_block(struct sp_nat_slice *slice, uint32_t ports, uint32_t start)
{
	const uint32_t runs = slice->n / ports, words = ports / SP_NAT_WORD;

	for (uint32_t r = 0; r < runs; r++) {
		uint32_t word = (start + r) % runs * words;

		if (!run_is_free(slice, word, words))
			continue;
		for (uint32_t w = word; w < word + words; w++)
			slice->blocks[w / 64] |= 1ull << w % 64;
		__atomic_store_n(&slice->refs, slice->refs + 1, __ATOMIC_RELEASE);
		return word * SP_NAT_WORD;
	}
	return UINT32_MAX;
}

void sp_nat_slice_give_block(struct sp_nat_slice *slice, uint32_t first, uint32_t ports)
{
	for (uint32_t w = first / SP_NAT_WORD; w < (first + ports) / SP_NAT_WORD; w++)
		slice->blocks[w / 64] &= ~(1ull << w % 64);
	__atomic_store_n(&slice->refs, slice->refs - 1, __ATOMIC_RELEASE);
}
