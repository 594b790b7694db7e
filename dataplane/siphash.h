/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SipHash (Aumasson, Bernstein 2012): a keyed hash that stays unforgeable when the attacker chooses messages and sees results. For what
 * is seen outside; the session table's own hash (key.h) is not, and is cheaper.
 */
#ifndef SP_DATAPLANE_SIPHASH_H
#define SP_DATAPLANE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t sp_siphash_rotate(uint64_t x, unsigned int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void sp_siphash_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = sp_siphash_rotate(v[1], 13) ^ v[0];
	v[0] = sp_siphash_rotate(v[0], 32);
	v[2] += v[3];
	v[3] = sp_siphash_rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = sp_siphash_rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = sp_siphash_rotate(v[1], 17) ^ v[2];
	v[2] = sp_siphash_rotate(v[2], 32);
}

/*
 * SipHash-c-d of n whole words, as of their 8 n bytes in little endian. n below 32; c rounds a word and d in the end: 2 and 4 as its
 * authors propose it; 1 and 3 where nobody outside sees results.
 */
static inline uint64_t sp_siphash_rounds(const uint64_t key[2], const uint64_t *words, size_t n, unsigned int c, unsigned int d)
{
	uint64_t v[4] = {
		key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};

	for (size_t i = 0; i <= n; i++) {
		uint64_t word = i < n ? words[i] : (uint64_t)(8 * n) << 56;

		v[3] ^= word;
		for (unsigned int r = 0; r < c; r++)
			sp_siphash_round(v);
		v[0] ^= word;
	}
	v[2] ^= 0xff;
	for (unsigned int r = 0; r < d; r++)
		sp_siphash_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* SipHash-2-4. */
static inline uint64_t sp_siphash(const uint64_t key[2], const uint64_t *words, size_t n)
{
	return sp_siphash_rounds(key, words, n, 2, 4);
}

#endif
