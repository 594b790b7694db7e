/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Internet checksum (RFC 1071) over memory and over the segments of a packet. DPDK's own sums read 16-bit words through misaligned
 * pointers when a segment starts at an odd byte; these do not.
 */
#ifndef SP_DATAPLANE_CHECKSUM_H
#define SP_DATAPLANE_CHECKSUM_H

#include <rte_byteorder.h>
#include <rte_mbuf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Adds two running sums. Carries wrap around, so a sum never overflows. */
static inline uint64_t sp_checksum_join(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

/*
 * Adds `len` bytes to a running sum (0 at first) of words in memory order; all parts but the last have an even length. The tail goes by
 * whole loads: a word put together from parts in memory would wait for its own stores.
 */
static inline uint64_t sp_checksum_add(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t word;
	uint32_t half;
	uint16_t quarter;

	for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum = sp_checksum_join(sum, word);
	}
	if (len & sizeof(half)) {
		memcpy(&half, p, sizeof(half));
		sum = sp_checksum_join(sum, half);
		p += sizeof(half);
	}
	if (len & sizeof(quarter)) {
		memcpy(&quarter, p, sizeof(quarter));
		sum = sp_checksum_join(sum, quarter);
		p += sizeof(quarter);
	}
	if (len & 1)
		sum = sp_checksum_join(sum, rte_cpu_to_be_16((uint16_t)(*p << 8)));
	return sum;
}

/* Folds a running sum to 16 bits, as it would stand in memory. 0xffff when the sum covered a right checksum; ~ of it is the checksum. */
static inline uint16_t sp_checksum_fold(uint64_t sum)
{
	sum = (sum >> 32) + (sum & UINT32_MAX);
	sum = (sum >> 32) + (sum & UINT32_MAX);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)sum;
}

/*
 * The running sum of bytes that begin `offset` bytes into what is summed, from their sum as if they began it: at an odd offset each byte is
 * in the other half of its word (RFC 1071 2 (B)).
 */
static inline uint64_t sp_checksum_at(uint64_t sum, size_t offset)
{
	return offset & 1 ? rte_bswap16(sp_checksum_fold(sum)) : sum;
}

/*
 * The checksum after part of what it covers was changed: RFC 1624 3 eqn. 3, HC' = ~(~HC + ~m + m'). `checksum` and the result as they stand
 * in memory; old_sum and new_sum are running sums (sp_checksum_add, sp_checksum_at) of the bytes before and after, which may be any that
 * changed, the pseudo-header's included.
 *
 * UDP over IPv4 says with 0 that there is no checksum, which must be left alone, and a result of 0 is sent as 0xffff (RFC 768).
 */
static inline uint16_t sp_checksum_mend(uint16_t checksum, uint64_t old_sum, uint64_t new_sum)
{
	uint64_t sum = sp_checksum_join(sp_checksum_join((uint16_t)~checksum, ~old_sum), new_sum);

	return (uint16_t)~sp_checksum_fold(sum);
}

/* Adds bytes [off, off + len) of a packet, whatever its segmentation; the range must lie inside. Any alignment, any segment length. */
uint64_t sp_checksum_add_mbuf(uint64_t sum, const struct rte_mbuf *mbuf, uint32_t off, uint32_t len);

/* The CRC32c of an SCTP packet of `len` bytes at `off`, its checksum field taken as zero; little endian in the packet (RFC 9260 A). */
uint32_t sp_checksum_sctp(const struct rte_mbuf *mbuf, uint32_t off, uint32_t len);

/*
 * Adds the pseudo-header of IPv4 (RFC 9293 3.1) or IPv6 (RFC 8200 8.1). `addresses` is source then destination as they stand in the
 * header, of address_bytes (4 or 16) each; len is that of the upper-layer packet.
 */
uint64_t sp_checksum_add_pseudo(uint64_t sum, const uint8_t *addresses, size_t address_bytes, uint8_t proto, uint32_t len);

#endif
