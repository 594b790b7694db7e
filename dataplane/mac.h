/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A MAC address as one word, so that it can change under threads that read it: the lower 48 bits, first byte lowest, as in
 * sp_nexthop.mac.
 */
#ifndef SP_DATAPLANE_MAC_H
#define SP_DATAPLANE_MAC_H

#include <rte_byteorder.h>
#include <stdint.h>
#include <string.h>

#define SP_MAC_BITS 0xffffffffffffull

/* `word` is a mac_word, which lies over its bytes. Any thread. */
static inline uint64_t sp_mac_load(const uint64_t *word)
{
	return rte_le_to_cpu_64(__atomic_load_n(word, __ATOMIC_RELAXED)) & SP_MAC_BITS;
}

static inline void sp_mac_store(uint64_t *word, const uint8_t mac[6])
{
	uint64_t bytes = 0;

	memcpy(&bytes, mac, 6);
	__atomic_store_n(word, bytes, __ATOMIC_RELAXED);
}

/* The six bytes of a mac_word, which another thread may be changing. */
static inline void sp_mac_copy(uint8_t mac[6], const uint64_t *word)
{
	uint64_t bytes = __atomic_load_n(word, __ATOMIC_RELAXED);

	memcpy(mac, &bytes, 6);
}

#endif
