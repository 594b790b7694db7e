/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/tcp_frame.h"

#include <netinet/in.h>
#include <rte_ether.h>
#include <string.h>

#include "dataplane/checksum.h"
#include "dataplane/parse_internal.h"

#define HOPS 64

#define TCP_SEQ_OFFSET    4
#define TCP_ACK_OFFSET    8
#define TCP_WINDOW_OFFSET 14
#define TCP_SUM_OFFSET    16
#define TCP_ACK           0x10

bool sp_tcp_frame_ether(struct sp_tcp_frame *frame, const struct rte_mbuf *mbuf, uint8_t l3_off, bool mirror)
{
	uint8_t copy[SP_TCP_FRAME_ETHER];
	const uint8_t *from;

	if (l3_off < SP_ETHER_BYTES || l3_off > sizeof(copy))
		return false;
	from = rte_pktmbuf_read(mbuf, 0, l3_off, copy);
	if (from == NULL || (mirror && (from[0] & RTE_ETHER_GROUP_ADDR || from[RTE_ETHER_ADDR_LEN] & RTE_ETHER_GROUP_ADDR)))
		return false;
	memcpy(frame->ether, from, l3_off);
	if (mirror) {
		memcpy(frame->ether, from + RTE_ETHER_ADDR_LEN, RTE_ETHER_ADDR_LEN);
		memcpy(frame->ether + RTE_ETHER_ADDR_LEN, from, RTE_ETHER_ADDR_LEN);
	}
	frame->ether_len = l3_off;
	return true;
}

static void put16(uint8_t *to, uint16_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static void put32(uint8_t *to, uint32_t value)
{
	put16(to, (uint16_t)(value >> 16));
	put16(to + 2, (uint16_t)value);
}

static unsigned int write_ipv4(const struct sp_key *key, uint8_t *ip, unsigned int l4_bytes)
{
	uint16_t sum;

	memset(ip, 0, SP_IPV4_BYTES);
	ip[0] = 0x45;
	put16(ip + SP_IPV4_LENGTH_OFFSET, (uint16_t)(SP_IPV4_BYTES + l4_bytes));
	ip[SP_IPV4_FRAG_OFFSET] = 0x40; /* never fragmented, so that identification 0 is right (RFC 6864 4) */
	ip[8] = HOPS;
	ip[SP_IPV4_PROTO_OFFSET] = IPPROTO_TCP;
	memcpy(ip + SP_IPV4_SRC_OFFSET, &key->v4, sizeof(key->v4));
	sum = (uint16_t)~sp_checksum_fold(sp_checksum_add(0, ip, SP_IPV4_BYTES));
	memcpy(ip + SP_IPV4_SUM_OFFSET, &sum, sizeof(sum));
	return SP_IPV4_BYTES;
}

static unsigned int write_ipv6(const struct sp_key *key, uint8_t *ip, unsigned int l4_bytes)
{
	memset(ip, 0, SP_IPV6_BYTES);
	ip[0] = 0x60;
	put16(ip + SP_IPV6_LENGTH_OFFSET, (uint16_t)l4_bytes);
	ip[SP_IPV6_NEXT_OFFSET] = IPPROTO_TCP;
	ip[7] = HOPS;
	memcpy(ip + SP_IPV6_SRC_OFFSET, &key->v6, sizeof(key->v6));
	return SP_IPV6_BYTES;
}

unsigned int sp_tcp_frame_write(const struct sp_tcp_frame *frame, uint8_t bytes[SP_TCP_FRAME_BYTES])
{
	const struct sp_key *key = frame->key;
	const bool v6 = key->family == SP_FAMILY_IPV6;
	const unsigned int l4_bytes = SP_TCP_BYTES + frame->options_len;
	uint8_t *ip = bytes + frame->ether_len, *tcp;
	uint64_t sum;
	uint16_t checksum;

	memcpy(bytes, frame->ether, frame->ether_len);
	tcp = ip + (v6 ? write_ipv6(key, ip, l4_bytes) : write_ipv4(key, ip, l4_bytes));
	memset(tcp, 0, SP_TCP_BYTES);
	memcpy(tcp, &key->sport, sizeof(key->sport));
	memcpy(tcp + sizeof(key->sport), &key->dport, sizeof(key->dport));
	put32(tcp + TCP_SEQ_OFFSET, frame->seq);
	if (frame->flags & TCP_ACK)
		put32(tcp + TCP_ACK_OFFSET, frame->ack);
	tcp[SP_TCP_DATA_OFFSET] = (uint8_t)(l4_bytes / 4 << 4);
	tcp[SP_TCP_FLAGS_OFFSET] = frame->flags;
	put16(tcp + TCP_WINDOW_OFFSET, frame->window);
	memcpy(tcp + SP_TCP_BYTES, frame->options, frame->options_len);
	if (v6)
		sum = sp_checksum_add_pseudo(0, ip + SP_IPV6_SRC_OFFSET, SP_IPV6_ADDRESS_BYTES, IPPROTO_TCP, l4_bytes);
	else
		sum = sp_checksum_add_pseudo(0, ip + SP_IPV4_SRC_OFFSET, SP_IPV4_ADDRESS_BYTES, IPPROTO_TCP, l4_bytes);
	checksum = (uint16_t)~sp_checksum_fold(sp_checksum_add(sum, tcp, l4_bytes));
	memcpy(tcp + TCP_SUM_OFFSET, &checksum, sizeof(checksum));
	return (unsigned int)(tcp - bytes) + l4_bytes;
}

struct rte_mbuf *sp_tcp_frame_mbuf(struct rte_mempool *pool, const uint8_t *bytes, unsigned int len)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
	char *to;

	if (mbuf == NULL)
		return NULL;
	to = rte_pktmbuf_append(mbuf, (uint16_t)len);
	if (to == NULL) {
		rte_pktmbuf_free(mbuf);
		return NULL;
	}
	memcpy(to, bytes, len);
	return mbuf;
}
