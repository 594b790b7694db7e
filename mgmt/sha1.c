/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/sha1.h"

#include <string.h>

#define BLOCK 64

static inline uint32_t rotate(uint32_t x, unsigned int bits)
{
	return x << bits | x >> (32 - bits);
}

static uint32_t read_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void write_be32(uint8_t *p, uint32_t x)
{
	p[0] = (uint8_t)(x >> 24);
	p[1] = (uint8_t)(x >> 16);
	p[2] = (uint8_t)(x >> 8);
	p[3] = (uint8_t)x;
}

/* RFC 3174 section 5: f and K of each of the four rounds of twenty steps. */
static void step_of(unsigned int t, const uint32_t v[5], uint32_t *f, uint32_t *k)
{
	switch (t / 20) {
	case 0:
		*f = (v[1] & v[2]) | (~v[1] & v[3]);
		*k = 0x5a827999;
		break;
	case 1:
		*f = v[1] ^ v[2] ^ v[3];
		*k = 0x6ed9eba1;
		break;
	case 2:
		*f = (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3]);
		*k = 0x8f1bbcdc;
		break;
	default:
		*f = v[1] ^ v[2] ^ v[3];
		*k = 0xca62c1d6;
		break;
	}
}

static void add_block(uint32_t h[5], const uint8_t block[BLOCK])
{
	uint32_t w[80], v[5];

	for (unsigned int t = 0; t < 16; t++)
		w[t] = read_be32(block + 4 * t);
	for (unsigned int t = 16; t < 80; t++)
		w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
	memcpy(v, h, sizeof(v));
	for (unsigned int t = 0; t < 80; t++) {
		uint32_t f, k, next;

		step_of(t, v, &f, &k);
		next = rotate(v[0], 5) + f + v[4] + w[t] + k;
		v[4] = v[3];
		v[3] = v[2];
		v[2] = rotate(v[1], 30);
		v[1] = v[0];
		v[0] = next;
	}
	for (unsigned int i = 0; i < 5; i++)
		h[i] += v[i];
}

void sp_sha1(const void *data, size_t len, uint8_t out[SP_SHA1_BYTES])
{
	uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	uint8_t tail[2 * BLOCK] = {0};
	const uint8_t *p = data;
	size_t left = len, padded;

	for (; left >= BLOCK; left -= BLOCK, p += BLOCK)
		add_block(h, p);
	if (left > 0)
		memcpy(tail, p, left);
	tail[left] = 0x80;
	padded = left < BLOCK - 8 ? BLOCK : 2 * BLOCK;
	write_be32(tail + padded - 8, (uint32_t)((uint64_t)len >> 29));
	write_be32(tail + padded - 4, (uint32_t)len << 3);
	for (size_t at = 0; at < padded; at += BLOCK)
		add_block(h, tail + at);
	for (unsigned int i = 0; i < 5; i++)
		write_be32(out + 4 * i, h[i]);
}
