/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The session key and its keyed hash.
 *
 * A key names one direction of a flow. The hash is symmetric (both directions of an untranslated flow have the same), keyed by a
 * secret drawn at start (so that nobody outside can construct collisions), and ignores `aux`.
 */
#ifndef SP_DATAPLANE_KEY_H
#define SP_DATAPLANE_KEY_H

#include <assert.h>
#include <rte_byteorder.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "rules/addr.h"

struct sp_key {
	rte_be16_t sport, dport; /* TCP, UDP, SCTP; ICMP queries: the identifier in both; otherwise 0 */
	uint16_t vlan;           /* outer VLAN id, 0: untagged */
	uint16_t vlan_inner;     /* QinQ: inner VLAN id */
	uint16_t domain;         /* wire pair or VRF */
	uint8_t family;          /* enum sp_family */
	uint8_t proto;
	/*
	 * ICMP and ICMPv6: type << 8 | code as this direction carries it. A frame without an IP header: its ethertype after VLAN tags, or
	 * the length of an 802.3 frame (below 0x600). Host byte order; compared, not hashed.
	 */
	uint16_t aux;
	uint16_t zero;
	union {
		struct {
			rte_be32_t src, dst;
		} v4;
		struct {
			uint8_t src[16], dst[16];
		} v6;
	};
};

/* An IPv4 key is its first 24 bytes, an IPv6 key all 48. */
#define SP_KEY4_BYTES 24
#define SP_KEY6_BYTES 48
static_assert(sizeof(struct sp_key) == SP_KEY6_BYTES, "key layout");
static_assert(offsetof(struct sp_key, v4) == 16, "key layout");

/* What the hash is keyed with. Written by sp_key_seed alone; before it, fixed values that only tests should live with. */
struct sp_key_secret {
	uint64_t endpoint[2]; /* hides the words that are multiplied */
	uint64_t factor;      /* odd: IPv4 endpoint */
	uint64_t port;        /* odd: IPv6 endpoint, port into address */
	uint64_t sum, meta;
} __attribute__((aligned(64)));

extern struct sp_key_secret sp_key_secret;

/* Draws the secret from the kernel (getrandom). Before any hash and any other thread; 0 or -errno. */
int sp_key_seed(void);

/* Both halves of the 128-bit product, folded: every bit of either factor reaches every bit of the result. */
static inline uint64_t sp_key_fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The last step: both endpoints in either order, and the bytes that are the same in both directions (vlan to proto). */
static inline uint64_t sp_key_finish(uint64_t one, uint64_t other, uint64_t meta)
{
	return sp_key_fold((one + other) ^ sp_key_secret.sum, meta ^ sp_key_secret.meta);
}

/* Offset of the eight bytes vlan, vlan_inner, domain, family, proto: one word of the hash. */
#define SP_KEY_META_OFFSET 4
static_assert(offsetof(struct sp_key, vlan) == SP_KEY_META_OFFSET && offsetof(struct sp_key, aux) == SP_KEY_META_OFFSET + 8, "key layout");

/* sp_key_hash of the IPv4 key with these words: ports, the eight bytes from vlan to proto, addresses, each as it stands in memory. */
static inline uint64_t sp_key_hash4_words(uint32_t ports, uint64_t meta, uint64_t addresses)
{
	uint64_t one, other;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	one = (addresses & UINT32_MAX) | (uint64_t)(ports & 0xffff) << 32;
	other = addresses >> 32 | (uint64_t)(ports >> 16) << 32;
#else
	one = addresses >> 32 | (uint64_t)(ports >> 16) << 32;
	other = (addresses & UINT32_MAX) | (uint64_t)(ports & 0xffff) << 32;
#endif
	return sp_key_finish(sp_key_fold(one ^ sp_key_secret.endpoint[0], sp_key_secret.factor),
		sp_key_fold(other ^ sp_key_secret.endpoint[0], sp_key_secret.factor), meta);
}

/* sp_key_hash of a key known to be IPv4. Reads its first SP_KEY4_BYTES only. */
static inline uint64_t sp_key_hash4(const struct sp_key *key)
{
	uint32_t ports;
	uint64_t meta, addresses;

	memcpy(&ports, key, sizeof(ports));
	memcpy(&meta, (const uint8_t *)key + SP_KEY_META_OFFSET, sizeof(meta));
	memcpy(&addresses, &key->v4, sizeof(addresses));
	return sp_key_hash4_words(ports, meta, addresses);
}

/* One IPv6 endpoint. The port is spread by a secret factor first: whoever chooses a whole /64 still cannot cancel it. */
static inline uint64_t sp_key_endpoint6(const uint8_t *address, uint64_t port)
{
	uint64_t high, low;

	memcpy(&high, address, sizeof(high));
	memcpy(&low, address + sizeof(high), sizeof(low));
	return sp_key_fold((high ^ sp_key_secret.endpoint[0]) + port * sp_key_secret.port, low ^ sp_key_secret.endpoint[1]);
}

/* sp_key_hash of a key known to be IPv6. */
static inline uint64_t sp_key_hash6(const struct sp_key *key)
{
	uint64_t meta;

	memcpy(&meta, (const uint8_t *)key + SP_KEY_META_OFFSET, sizeof(meta));
	return sp_key_finish(sp_key_endpoint6(key->v6.src, key->sport), sp_key_endpoint6(key->v6.dst, key->dport), meta);
}

/* Symmetric keyed hash of a key of family IPv4 or IPv6; 64 bits, all usable. Any thread after sp_key_seed. */
static inline uint64_t sp_key_hash(const struct sp_key *key)
{
	return key->family == SP_FAMILY_IPV4 ? sp_key_hash4(key) : sp_key_hash6(key);
}

/*
 * The key of packets that answer `key`: endpoints swapped, and for ICMP queries aux turned into the reply's type (echo-request 8 → 0,
 * timestamp 13 → 14, ICMPv6 128 → 129). Other aux values stay.
 */
void sp_key_reverse(const struct sp_key *key, struct sp_key *out);

/* The key of packets that `key` answers, or that answer it: as sp_key_reverse, and ICMP replies are turned into their queries, too. */
void sp_key_answered(const struct sp_key *key, struct sp_key *out);

/* Whether aux is an ICMP or ICMPv6 query that has a reply, and whether it is such a reply. */
bool sp_icmp_is_query(uint8_t family, uint8_t type);
bool sp_icmp_is_reply(uint8_t family, uint8_t type);

#endif
