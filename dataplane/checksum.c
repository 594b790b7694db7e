/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/checksum.h"

#include <netinet/in.h>
#include <rte_hash_crc.h>
#include <stddef.h>

#include "dataplane/parse.h"
#include "dataplane/parse_internal.h"

uint64_t sp_checksum_add_mbuf(uint64_t sum, const struct rte_mbuf *mbuf, uint32_t off, uint32_t len)
{
	uint32_t done = 0;

	while (mbuf != NULL && off >= mbuf->data_len) {
		off -= mbuf->data_len;
		mbuf = mbuf->next;
	}
	for (; mbuf != NULL && done < len; mbuf = mbuf->next, off = 0) {
		uint32_t part = RTE_MIN(len - done, (uint32_t)mbuf->data_len - off);
		uint16_t partial = sp_checksum_fold(sp_checksum_add(0, rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, off), part));

		/* A part that begins at an odd byte has its words swapped (RFC 1071 section 2 B). */
		sum = sp_checksum_join(sum, done & 1 ? rte_bswap16(partial) : partial);
		done += part;
	}
	return sum;
}

uint64_t sp_checksum_add_pseudo(uint64_t sum, const uint8_t *addresses, size_t address_bytes, uint8_t proto, uint32_t len)
{
	const rte_be32_t tail[2] = {rte_cpu_to_be_32(len), rte_cpu_to_be_32(proto)};

	return sp_checksum_add(sp_checksum_add(sum, addresses, 2 * address_bytes), tail, sizeof(tail));
}

/* CRC32c over a range of the packet, read as zero in the four bytes at `skip` (the checksum field itself), RFC 9260 appendix A. */
static uint32_t crc32c(const struct rte_mbuf *mbuf, uint32_t off, uint32_t len, uint32_t skip)
{
	uint32_t crc = UINT32_MAX, done = 0;
	uint8_t copy[256];

	while (done < len) {
		uint32_t part = RTE_MIN(len - done, (uint32_t)sizeof(copy)), i = 0;
		const uint8_t *p = rte_pktmbuf_read(mbuf, off + done, part, copy);

		if (p == NULL)
			return 0;
		if (p != copy)
			memcpy(copy, p, part);
		if (done == 0)
			memset(copy + skip, 0, sizeof(uint32_t));
		for (; i + sizeof(uint64_t) <= part; i += sizeof(uint64_t)) {
			uint64_t word;

			memcpy(&word, copy + i, sizeof(word));
			crc = rte_hash_crc_8byte(word, crc);
		}
		for (; i < part; i++)
			crc = rte_hash_crc_1byte(copy[i], crc);
		done += part;
	}
	return ~crc;
}

uint32_t sp_checksum_sctp(const struct rte_mbuf *mbuf, uint32_t off, uint32_t len)
{
	return crc32c(mbuf, off, len, SP_SCTP_CHECKSUM_OFFSET);
}

static bool sctp_ok(const struct rte_mbuf *mbuf, uint32_t off, uint32_t len)
{
	uint32_t copy, carried;
	const void *p = rte_pktmbuf_read(mbuf, off + SP_SCTP_CHECKSUM_OFFSET, sizeof(copy), &copy);

	if (p == NULL)
		return false;
	memcpy(&carried, p, sizeof(carried));
	return rte_le_to_cpu_32(carried) == crc32c(mbuf, off, len, SP_SCTP_CHECKSUM_OFFSET);
}

/*
 * The addresses that the pseudo-header takes: those of the header, but behind a routing header that is not used up the destination is its
 * last stop (RFC 8200 8.1). Type 2 (RFC 6275) and type 4 (RFC 8754) keep that one in their first address. False when it cannot be told.
 */
static bool pseudo_addresses6(const struct rte_mbuf *mbuf, const struct sp_packet *packet, const uint8_t *header, uint8_t *addresses)
{
	uint32_t off = packet->l3_off + SP_IPV6_BYTES;
	uint8_t next = header[SP_IPV6_NEXT_OFFSET], copy[SP_ROUTING_FIRST_OFFSET + SP_IPV6_ADDRESS_BYTES];

	memcpy(addresses, header + SP_IPV6_SRC_OFFSET, 2 * SP_IPV6_ADDRESS_BYTES);
	for (unsigned int i = 0; i < SP_IPV6_EXTENSIONS_MAX && off < packet->l4_off; i++) {
		const uint8_t *p = rte_pktmbuf_read(mbuf, off, 8, copy);

		if (p == NULL)
			return false;
		if (next == IPPROTO_ROUTING && p[SP_ROUTING_LEFT_OFFSET] != 0) {
			if (p[SP_ROUTING_TYPE_OFFSET] != SP_ROUTING_MOBILE && p[SP_ROUTING_TYPE_OFFSET] != SP_ROUTING_SEGMENTS)
				return false;
			p = rte_pktmbuf_read(mbuf, off, sizeof(copy), copy);
			if (p == NULL || off + sizeof(copy) > packet->l4_off)
				return false;
			memcpy(addresses + SP_IPV6_ADDRESS_BYTES, p + SP_ROUTING_FIRST_OFFSET, SP_IPV6_ADDRESS_BYTES);
			return true;
		}
		if (next == IPPROTO_FRAGMENT)
			off += SP_FRAGMENT_BYTES;
		else
			off += next == IPPROTO_AH ? (p[1] + 2u) * 4 : (p[1] + 1u) * 8;
		next = p[0];
	}
	return true;
}

static uint8_t l4_proto(const struct sp_packet *packet)
{
	/* The key of an ICMP error is the quoted packet's. */
	if (packet->kind == SP_KIND_ICMP_ERROR)
		return packet->key.family == SP_FAMILY_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	return packet->key.proto;
}

static bool udp_absent(const struct rte_mbuf *mbuf, const struct sp_packet *packet)
{
	uint16_t copy, checksum;
	const void *p = rte_pktmbuf_read(mbuf, packet->l4_off + SP_UDP_CHECKSUM_OFFSET, sizeof(copy), &copy);

	if (p == NULL)
		return false;
	memcpy(&checksum, p, sizeof(checksum));
	return checksum == 0;
}

/* TCP, UDP, ICMP or ICMPv6 of `len` bytes at l4_off. */
static bool internet_ok(const struct rte_mbuf *mbuf, const struct sp_packet *packet, uint8_t proto, uint32_t len)
{
	uint8_t copy[SP_IPV6_BYTES], addresses[2 * SP_IPV6_ADDRESS_BYTES];
	bool v4 = packet->key.family == SP_FAMILY_IPV4;
	const uint8_t *header = rte_pktmbuf_read(mbuf, packet->l3_off, v4 ? SP_IPV4_BYTES : SP_IPV6_BYTES, copy);
	uint64_t sum = 0;

	if (header == NULL)
		return false;
	if (proto == IPPROTO_UDP && udp_absent(mbuf, packet))
		return v4; /* RFC 8200 8.1: UDP over IPv6 must have one */
	if (v4 && proto != IPPROTO_ICMP)
		sum = sp_checksum_add_pseudo(sum, header + SP_IPV4_SRC_OFFSET, SP_IPV4_ADDRESS_BYTES, proto, len);
	if (!v4) {
		if (!pseudo_addresses6(mbuf, packet, header, addresses))
			return true;
		sum = sp_checksum_add_pseudo(sum, addresses, SP_IPV6_ADDRESS_BYTES, proto, len);
	}
	return sp_checksum_fold(sp_checksum_add_mbuf(sum, mbuf, packet->l4_off, len)) == 0xffff;
}

bool sp_checksum_l4_ok(const struct rte_mbuf *mbuf, const struct sp_packet *packet)
{
	uint8_t proto = l4_proto(packet);
	uint32_t len = (uint32_t)packet->payload_off - packet->l4_off + packet->payload_len;

	if (packet->kind == SP_KIND_NON_IP || packet->kind == SP_KIND_FRAGMENT)
		return true;
	if (proto == IPPROTO_SCTP)
		return sctp_ok(mbuf, packet->l4_off, len);
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP || (proto == IPPROTO_ICMP && packet->key.family == SP_FAMILY_IPV4) ||
		(proto == IPPROTO_ICMPV6 && packet->key.family == SP_FAMILY_IPV6))
		return internet_ok(mbuf, packet, proto, len);
	return true;
}
