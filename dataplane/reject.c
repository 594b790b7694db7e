/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers to refused packets. Everything is written into a fresh mbuf of one segment; the refused packet is read with bounds checked,
 * whatever its segmentation.
 */
#include "dataplane/reject.h"

#include <netinet/in.h>
#include <rte_ether.h>

#include "dataplane/checksum.h"
#include "dataplane/parse_internal.h"

#define IPV4_GROUPS       0xe0000000u /* 224.0.0.0: from here on multicast, then reserved and broadcast addresses */
#define ANSWER_HOPS       64
#define ANSWER4_BYTES_MAX 576  /* RFC 1812 4.3.2.3 */
#define ANSWER6_BYTES_MAX 1280 /* RFC 4443 2.4 (c) */

#define ICMP_UNREACHABLE  3
#define ICMP_PROHIBITED   13
#define ICMP6_UNREACHABLE 1
#define ICMP6_PROHIBITED  1
#define ICMP6_INFORMATION 128 /* types from here on are not errors */
#define ICMP6_ND_FIRST    133 /* router and neighbour discovery, redirect last */
#define ICMP6_ND_LAST     137

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define TCP_SEQ_OFFSET    4
#define TCP_ACK_OFFSET    8
#define TCP_WINDOW_OFFSET 14
#define TCP_SUM_OFFSET    16

/* An answer while it is built. */
struct answer {
	struct rte_mbuf *mbuf;
	const struct rte_mbuf *refused;
	const struct sp_packet *packet;
	const struct sp_icmp_answer *error; /* NULL: in the name of the packet's receiver */
	uint8_t *l3, *l4;
	uint32_t l3_header, l4_bytes;
};

static bool icmp_answerable(const struct sp_key *key)
{
	uint8_t type = (uint8_t)(key->aux >> 8);

	if (key->family == SP_FAMILY_IPV4)
		return sp_icmp_is_query(SP_FAMILY_IPV4, type) || sp_icmp_is_reply(SP_FAMILY_IPV4, type);
	return type >= ICMP6_INFORMATION && (type < ICMP6_ND_FIRST || type > ICMP6_ND_LAST);
}

/* Whether the addresses allow an answer: one sender, one receiver. */
static bool addresses_answerable(const struct sp_key *key)
{
	static const uint8_t unspecified[SP_IPV6_ADDRESS_BYTES];
	uint32_t src, dst;

	if (key->family == SP_FAMILY_IPV6)
		return key->v6.dst[0] != 0xff && key->v6.src[0] != 0xff && memcmp(key->v6.src, unspecified, sizeof(unspecified)) != 0;
	src = rte_be_to_cpu_32(key->v4.src);
	dst = rte_be_to_cpu_32(key->v4.dst);
	return src != 0 && src < IPV4_GROUPS && dst < IPV4_GROUPS;
}

/* RFC 1122 3.2.2 and RFC 4443 2.4 (e), as far as the parsed packet tells. */
bool sp_reject_is_answerable(const struct sp_packet *packet)
{
	const struct sp_key *key = &packet->key;

	if (packet->kind != SP_KIND_FLOW || !addresses_answerable(key))
		return false;
	if (key->proto == IPPROTO_TCP)
		return (packet->tcp_flags & TCP_RST) == 0;
	if (key->proto == (key->family == SP_FAMILY_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return icmp_answerable(key);
	return true;
}

/* Layer 2 as it was said. */
static bool copy_ether(struct answer *answer)
{
	uint8_t *to = (uint8_t *)rte_pktmbuf_append(answer->mbuf, answer->error->ether_len);

	if (to == NULL)
		return false;
	memcpy(to, answer->error->ether, answer->error->ether_len);
	return true;
}

/* Layer 2: the refused frame's header with its tags, addresses swapped. False when either address is a group's. */
static bool mirror_ether(struct answer *answer)
{
	uint8_t copy[SP_ETHER_BYTES + SP_VLAN_TAGS_MAX * SP_VLAN_BYTES];
	uint32_t len = answer->packet->l3_off;
	const uint8_t *from;
	uint8_t *to;

	if (len < SP_ETHER_BYTES || len > sizeof(copy))
		return false;
	from = rte_pktmbuf_read(answer->refused, 0, len, copy);
	if (from == NULL || from[0] & RTE_ETHER_GROUP_ADDR || from[RTE_ETHER_ADDR_LEN] & RTE_ETHER_GROUP_ADDR)
		return false;
	to = (uint8_t *)rte_pktmbuf_append(answer->mbuf, (uint16_t)len);
	if (to == NULL)
		return false;
	memcpy(to, from + RTE_ETHER_ADDR_LEN, RTE_ETHER_ADDR_LEN);
	memcpy(to + RTE_ETHER_ADDR_LEN, from, RTE_ETHER_ADDR_LEN);
	memcpy(to + SP_ETHER_TYPE_OFFSET, from + SP_ETHER_TYPE_OFFSET, len - SP_ETHER_TYPE_OFFSET);
	return true;
}

static bool write_ether(struct answer *answer)
{
	return answer->error != NULL && answer->error->ether != NULL ? copy_ether(answer) : mirror_ether(answer);
}

/* Appends layers 3 and 4, the latter zeroed and of l4_bytes; the IP header is whole afterwards. */
static bool write_ip(struct answer *answer, uint8_t proto, uint32_t l4_bytes)
{
	const struct sp_key *key = &answer->packet->key;
	bool v4 = key->family == SP_FAMILY_IPV4;
	const uint8_t *source = v4 ? (const uint8_t *)&key->v4.dst : key->v6.dst;
	uint8_t *ip;

	if (answer->error != NULL)
		source = answer->error->source;
	answer->l3_header = v4 ? SP_IPV4_BYTES : SP_IPV6_BYTES;
	answer->l4_bytes = l4_bytes;
	ip = (uint8_t *)rte_pktmbuf_append(answer->mbuf, (uint16_t)(answer->l3_header + l4_bytes));
	if (ip == NULL)
		return false;
	memset(ip, 0, answer->l3_header + l4_bytes);
	answer->l3 = ip;
	answer->l4 = ip + answer->l3_header;
	if (v4) {
		const rte_be16_t length = rte_cpu_to_be_16((uint16_t)(SP_IPV4_BYTES + l4_bytes));
		uint16_t sum;

		ip[0] = 0x45;
		memcpy(ip + SP_IPV4_LENGTH_OFFSET, &length, sizeof(length));
		ip[SP_IPV4_FRAG_OFFSET] = 0x40; /* never fragmented, so that identification 0 is right (RFC 6864 4) */
		ip[8] = ANSWER_HOPS;
		ip[SP_IPV4_PROTO_OFFSET] = proto;
		memcpy(ip + SP_IPV4_SRC_OFFSET, source, SP_IPV4_ADDRESS_BYTES);
		memcpy(ip + SP_IPV4_SRC_OFFSET + SP_IPV4_ADDRESS_BYTES, &key->v4.src, sizeof(key->v4.src));
		sum = (uint16_t)~sp_checksum_fold(sp_checksum_add(0, ip, SP_IPV4_BYTES));
		memcpy(ip + SP_IPV4_SUM_OFFSET, &sum, sizeof(sum));
	} else {
		const rte_be16_t length = rte_cpu_to_be_16((uint16_t)l4_bytes);

		ip[0] = 0x60;
		memcpy(ip + SP_IPV6_LENGTH_OFFSET, &length, sizeof(length));
		ip[SP_IPV6_NEXT_OFFSET] = proto;
		ip[7] = ANSWER_HOPS;
		memcpy(ip + SP_IPV6_SRC_OFFSET, source, SP_IPV6_ADDRESS_BYTES);
		memcpy(ip + SP_IPV6_DST_OFFSET, key->v6.src, sizeof(key->v6.src));
	}
	return true;
}

/* Sets the checksum of layer 4, whose field lies at `at` and is zero yet. */
static void write_checksum(struct answer *answer, uint8_t proto, uint32_t at)
{
	uint64_t sum = 0;
	uint16_t checksum;

	if (answer->packet->key.family == SP_FAMILY_IPV6)
		sum = sp_checksum_add_pseudo(sum, answer->l3 + SP_IPV6_SRC_OFFSET, SP_IPV6_ADDRESS_BYTES, proto, answer->l4_bytes);
	else if (proto != IPPROTO_ICMP)
		sum = sp_checksum_add_pseudo(sum, answer->l3 + SP_IPV4_SRC_OFFSET, SP_IPV4_ADDRESS_BYTES, proto, answer->l4_bytes);
	checksum = (uint16_t)~sp_checksum_fold(sp_checksum_add(sum, answer->l4, answer->l4_bytes));
	memcpy(answer->l4 + at, &checksum, sizeof(checksum));
}

/* RFC 9293 3.5.2: takes its sequence number from the ACK, or acknowledges everything the segment occupied. */
static bool write_reset(struct answer *answer)
{
	const struct sp_packet *packet = answer->packet;
	uint8_t copy[SP_TCP_BYTES];
	const uint8_t *from = rte_pktmbuf_read(answer->refused, packet->l4_off, sizeof(copy), copy);
	uint8_t *to;

	if (from == NULL || !write_ip(answer, IPPROTO_TCP, SP_TCP_BYTES))
		return false;
	to = answer->l4;
	memcpy(to, &packet->key.dport, sizeof(packet->key.dport));
	memcpy(to + sizeof(packet->key.dport), &packet->key.sport, sizeof(packet->key.sport));
	to[SP_TCP_DATA_OFFSET] = SP_TCP_BYTES / 4 << 4;
	if (packet->tcp_flags & TCP_ACK) {
		memcpy(to + TCP_SEQ_OFFSET, from + TCP_ACK_OFFSET, sizeof(uint32_t));
		to[SP_TCP_FLAGS_OFFSET] = TCP_RST;
	} else {
		uint32_t after = rte_be_to_cpu_32(sp_read_u32(from + TCP_SEQ_OFFSET)) + packet->payload_len;
		rte_be32_t ack;

		after += ((packet->tcp_flags & TCP_SYN) != 0) + ((packet->tcp_flags & TCP_FIN) != 0);
		ack = rte_cpu_to_be_32(after);
		memcpy(to + TCP_ACK_OFFSET, &ack, sizeof(ack));
		to[SP_TCP_FLAGS_OFFSET] = TCP_RST | TCP_ACK;
	}
	write_checksum(answer, IPPROTO_TCP, TCP_SUM_OFFSET);
	return true;
}

/* A bare segment with the given numbers. */
static bool write_segment(struct answer *answer, const struct sp_tcp_answer *numbers)
{
	const struct sp_key *key = &answer->packet->key;
	const rte_be32_t seq = rte_cpu_to_be_32(numbers->seq), ack = rte_cpu_to_be_32(numbers->ack);
	const rte_be16_t window = rte_cpu_to_be_16(numbers->window);
	uint8_t *to;

	if (!write_ip(answer, IPPROTO_TCP, SP_TCP_BYTES))
		return false;
	to = answer->l4;
	memcpy(to, &key->dport, sizeof(key->dport));
	memcpy(to + sizeof(key->dport), &key->sport, sizeof(key->sport));
	memcpy(to + TCP_SEQ_OFFSET, &seq, sizeof(seq));
	memcpy(to + TCP_ACK_OFFSET, &ack, sizeof(ack));
	to[SP_TCP_DATA_OFFSET] = SP_TCP_BYTES / 4 << 4;
	to[SP_TCP_FLAGS_OFFSET] = numbers->flags;
	memcpy(to + TCP_WINDOW_OFFSET, &window, sizeof(window));
	write_checksum(answer, IPPROTO_TCP, TCP_SUM_OFFSET);
	return true;
}

/* Bytes of the refused IP packet; 0 when there is no answer to it: a fragment but the first, or it cannot be read any more. */
static uint32_t refused_bytes(const struct answer *answer)
{
	uint32_t off = answer->packet->l3_off, len;
	uint8_t copy[SP_IPV4_BYTES];
	const uint8_t *ip = rte_pktmbuf_read(answer->refused, off, sizeof(copy), copy);

	if (ip == NULL)
		return 0;
	if (answer->packet->key.family == SP_FAMILY_IPV6) {
		len = SP_IPV6_BYTES + sp_read_be16(ip + SP_IPV6_LENGTH_OFFSET);
	} else {
		if (sp_read_be16(ip + SP_IPV4_FRAG_OFFSET) & SP_IPV4_POSITION)
			return 0;
		len = sp_read_be16(ip + SP_IPV4_LENGTH_OFFSET);
	}
	return RTE_MIN(len, answer->refused->pkt_len - off);
}

/* The quoted header with the TTL that the packet came with. */
static void restore_hops(uint8_t *ip, bool v4, uint8_t hops)
{
	uint8_t before[2], *ttl = ip + (v4 ? 8 : 7);

	if (hops == 0)
		return;
	/* TTL and protocol are a word of the checksum */
	memcpy(before, ttl, sizeof(before));
	*ttl = (uint8_t)(*ttl + hops);
	if (v4) {
		uint16_t sum = sp_read_u16(ip + SP_IPV4_SUM_OFFSET);

		sum = sp_checksum_mend(sum, sp_checksum_add(0, before, sizeof(before)), sp_checksum_add(0, ttl, sizeof(before)));
		memcpy(ip + SP_IPV4_SUM_OFFSET, &sum, sizeof(sum));
	}
}

/* What the error says, into the zeroed header of ICMP. */
static void write_error(const struct answer *answer, bool v4)
{
	const struct sp_icmp_answer *error = answer->error;
	const rte_be16_t mtu = rte_cpu_to_be_16(error->mtu);

	answer->l4[0] = error->type;
	answer->l4[1] = error->code;
	/* RFC 1191 4 and RFC 4443 3.2: the lower half of the second word */
	memcpy(answer->l4 + 6, &mtu, sizeof(mtu));
	restore_hops(answer->l4 + SP_ICMP_BYTES, v4, error->hops);
}

/* An error, administratively prohibited unless something else is said, quoting as much of the refused packet as the size allows. */
static bool write_unreachable(struct answer *answer)
{
	bool v4 = answer->packet->key.family == SP_FAMILY_IPV4;
	uint8_t proto = v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	uint32_t room = v4 ? ANSWER4_BYTES_MAX - SP_IPV4_BYTES - SP_ICMP_BYTES : ANSWER6_BYTES_MAX - SP_IPV6_BYTES - SP_ICMP_BYTES;
	uint32_t quote = RTE_MIN(refused_bytes(answer), room);
	const void *from;
	uint8_t *to;

	if (quote == 0 || !write_ip(answer, proto, SP_ICMP_BYTES + quote))
		return false;
	to = answer->l4 + SP_ICMP_BYTES;
	from = rte_pktmbuf_read(answer->refused, answer->packet->l3_off, quote, to);
	if (from == NULL)
		return false;
	if (from != to)
		memcpy(to, from, quote);
	answer->l4[0] = v4 ? ICMP_UNREACHABLE : ICMP6_UNREACHABLE;
	answer->l4[1] = v4 ? ICMP_PROHIBITED : ICMP6_PROHIBITED;
	if (answer->error != NULL)
		write_error(answer, v4);
	write_checksum(answer, proto, 2);
	return true;
}

static struct rte_mbuf *build(struct rte_mempool *pool, struct answer *answer, bool (*write)(struct answer *))
{
	if (!sp_reject_is_answerable(answer->packet))
		return NULL;
	answer->mbuf = rte_pktmbuf_alloc(pool);
	if (answer->mbuf == NULL)
		return NULL;
	if (write_ether(answer) && write(answer))
		return answer->mbuf;
	rte_pktmbuf_free(answer->mbuf);
	return NULL;
}

struct rte_mbuf *sp_reject_build(struct rte_mempool *pool, const struct rte_mbuf *mbuf, const struct sp_packet *packet)
{
	struct answer answer = {.refused = mbuf, .packet = packet};

	return build(pool, &answer, packet->key.proto == IPPROTO_TCP ? write_reset : write_unreachable);
}

struct rte_mbuf *sp_reject_build_error(
	struct rte_mempool *pool, const struct rte_mbuf *mbuf, const struct sp_packet *packet, const struct sp_icmp_answer *error)
{
	struct answer answer = {.refused = mbuf, .packet = packet, .error = error};

	return build(pool, &answer, write_unreachable);
}

struct rte_mbuf *sp_reject_build_tcp(
	struct rte_mempool *pool, const struct rte_mbuf *mbuf, const struct sp_packet *packet, const struct sp_tcp_answer *numbers)
{
	struct answer answer = {.refused = mbuf, .packet = packet};

	if (packet->kind != SP_KIND_FLOW || packet->key.proto != IPPROTO_TCP || !addresses_answerable(&packet->key))
		return NULL;
	answer.mbuf = rte_pktmbuf_alloc(pool);
	if (answer.mbuf == NULL)
		return NULL;
	if (write_ether(&answer) && write_segment(&answer, numbers))
		return answer.mbuf;
	rte_pktmbuf_free(answer.mbuf);
	return NULL;
}
