/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes of translated packets: addresses, ports and identifiers in place, checksums by what changed (RFC 1624), so that a checksum that
 * was wrong stays wrong. SCTP's CRC covers the ports and is computed anew, when it was right before (RFC 9260 6.8).
 */
#include <netinet/in.h>

#include "dataplane/bytes.h"
#include "dataplane/checksum.h"
#include "dataplane/nat_internal.h"
#include "dataplane/parse_internal.h"
#include "dataplane/stages.h"

#define TCP_SUM_OFFSET  16
#define ICMP_SUM_OFFSET 2

#define PROTO_DCCP    33  /* RFC 4340: the checksum stands where UDP's does */
#define PROTO_UDPLITE 136 /* RFC 3828 */

/* Both halves of a word of addresses. */
static inline uint64_t halves(uint64_t word)
{
	return (word & UINT32_MAX) + (word >> 32);
}

/*
 * RFC 1624 3 eqn. 3 for a running sum of what changed, ~m + m', below 2^48. A word added to itself with its halves swapped has their sum,
 * carry included, in the upper half.
 */
static inline uint16_t mended(uint16_t checksum, uint64_t change)
{
	uint32_t half;

	change += (uint16_t)~checksum;
	half = (uint32_t)((change + (change << 32 | change >> 32)) >> 32);
	return (uint16_t) ~((half + (half << 16 | half >> 16)) >> 16);
}

/*
 * What a change adds to a sum of 16-bit words: new words and the complements of old ones (RFC 1624 3, eqn. 3). In memory order, carries not
 * folded; below 2^40, so that a few more can be added.
 */
static inline uint64_t delta_sums(uint64_t old, uint64_t new)
{
	return (uint64_t)sp_checksum_fold(new) + (uint16_t)~sp_checksum_fold(old);
}

static inline uint64_t delta_addresses(const struct sp_key *from, const struct sp_key *to)
{
	uint64_t old, new;

	if (unlikely(from->family != SP_FAMILY_IPV4))
		return delta_sums(sp_checksum_add(0, &from->v6, sizeof(from->v6)), sp_checksum_add(0, &to->v6, sizeof(to->v6)));
	memcpy(&old, &from->v4, sizeof(old));
	memcpy(&new, &to->v4, sizeof(new));
	return halves(~old) + halves(new);
}

static inline uint64_t delta_ports(const struct sp_key *from, const struct sp_key *to)
{
	return (uint64_t)to->sport + to->dport + (uint16_t)~from->sport + (uint16_t)~from->dport;
}

static inline void mend(uint8_t *checksum, uint64_t delta)
{
	const uint16_t after = mended(sp_read_u16(checksum), delta);

	memcpy(checksum, &after, sizeof(after));
}

/* 0 says that there is none: it stays so, and is never made (RFC 768). */
static inline void mend_udp(uint8_t *checksum, uint64_t delta)
{
	uint16_t after;

	if (sp_read_u16(checksum) == 0)
		return;
	after = mended(sp_read_u16(checksum), delta);
	if (after == 0)
		after = 0xffff;
	memcpy(checksum, &after, sizeof(after));
}

static inline bool same_ports(const struct sp_key *a, const struct sp_key *b)
{
	return a->sport == b->sport && a->dport == b->dport;
}

/* Whether the checksum of ICMP covers a pseudo-header. */
static inline bool is_icmp6(const struct sp_key *key)
{
	return key->family == SP_FAMILY_IPV6 && key->proto == IPPROTO_ICMPV6;
}

/* How many bytes of layer 4 are written at most. */
static inline uint32_t l4_bytes(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return TCP_SUM_OFFSET + 2;
	case IPPROTO_UDP:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
	case PROTO_DCCP:
	case PROTO_UDPLITE:
		return SP_UDP_BYTES;
	case IPPROTO_SCTP:
		return SP_SCTP_BYTES;
	default:
		return 0;
	}
}

/*
 * Ports or identifier, and the checksum; SCTP's is the caller's. `have`: bytes of layer 4 at hand, as many as l4_bytes says or (of a quoted
 * packet) fewer. `delta`: of the addresses.
 */
static inline void write_l4(uint8_t *l4, uint32_t have, const struct sp_key *from, const struct sp_key *to, uint64_t delta)
{
	switch (from->proto) {
	case IPPROTO_TCP:
		memcpy(l4, to, 2 * sizeof(to->sport));
		if (likely(have >= TCP_SUM_OFFSET + 2))
			mend(l4 + TCP_SUM_OFFSET, delta + delta_ports(from, to));
		break;
	case IPPROTO_UDP:
		memcpy(l4, to, 2 * sizeof(to->sport));
		mend_udp(l4 + SP_UDP_CHECKSUM_OFFSET, delta + delta_ports(from, to));
		break;
	case IPPROTO_SCTP:
		memcpy(l4, to, 2 * sizeof(to->sport));
		break;
	case PROTO_DCCP:
	case PROTO_UDPLITE:
		mend(l4 + SP_UDP_CHECKSUM_OFFSET, delta);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (sp_nat_proto_of(from) == SP_NAT_PROTO_ICMP)
			memcpy(l4 + SP_ICMP_ID_OFFSET, &to->sport, sizeof(to->sport));
		if (is_icmp6(from))
			mend(l4 + ICMP_SUM_OFFSET, delta + to->sport + (uint16_t)~from->sport);
		else if (from->family == SP_FAMILY_IPV4 && from->proto == IPPROTO_ICMP)
			mend(l4 + ICMP_SUM_OFFSET, (uint64_t)to->sport + (uint16_t)~from->sport);
		break;
	default:
		break;
	}
}

/* Both addresses of an IP header, and its checksum. */
static inline void write_ip(uint8_t *ip, const struct sp_key *from, const struct sp_key *to, uint64_t delta)
{
	if (likely(from->family == SP_FAMILY_IPV4)) {
		memcpy(ip + SP_IPV4_SRC_OFFSET, &to->v4, sizeof(to->v4));
		mend(ip + SP_IPV4_SUM_OFFSET, delta);
	} else {
		memcpy(ip + SP_IPV6_SRC_OFFSET, &to->v6, sizeof(to->v6));
	}
}

/* --- whole packets ---------------------------------------------------------------------------------------------------------------------
 */

/* The first `len` bytes in one segment that is this packet's alone; NULL, and the packet dropped, when that cannot be. */
static inline uint8_t *writable(struct sp_worker *worker, unsigned int i, uint32_t len)
{
	struct sp_burst *burst = &worker->burst;
	struct rte_mbuf *copy = NULL;

	if (likely(len <= rte_pktmbuf_data_len(burst->mbuf[i]) && sp_mbuf_is_sole_owner(burst->mbuf[i])))
		return rte_pktmbuf_mtod(burst->mbuf[i], uint8_t *);
	/* A reassembled datagram consists of copies already, each with its headers in front. */
	if (!(burst->datagrams >> i & 1))
		copy = rte_pktmbuf_copy(burst->mbuf[i], worker->pool, 0, UINT32_MAX);
	if (copy == NULL || len > rte_pktmbuf_data_len(copy)) {
		rte_pktmbuf_free(copy);
		sp_burst_drop(burst, i, SP_DROP_QUEUE_MBUF);
		return NULL;
	}
	copy->port = burst->mbuf[i]->port;
	rte_pktmbuf_free(burst->mbuf[i]);
	burst->mbuf[i] = copy;
	return rte_pktmbuf_mtod(copy, uint8_t *);
}

/* Behind a routing header that is not used up the destination is not where the packet goes in the end. */
static bool is_source_routed(const uint8_t *bytes, const struct sp_packet *packet)
{
	uint32_t off = packet->l3_off + SP_IPV6_BYTES;
	uint8_t next = bytes[packet->l3_off + SP_IPV6_NEXT_OFFSET];

	for (unsigned int i = 0; i < SP_IPV6_EXTENSIONS_MAX && off + 8 <= packet->l4_off; i++) {
		if (next == IPPROTO_ROUTING && bytes[off + SP_ROUTING_LEFT_OFFSET] != 0)
			return true;
		if (next == IPPROTO_FRAGMENT) {
			next = bytes[off];
			off += SP_FRAGMENT_BYTES;
			continue;
		}
		if (next == IPPROTO_AH) {
			next = bytes[off];
			off += (bytes[off + 1] + 2u) * 4;
			continue;
		}
		next = bytes[off];
		off += (bytes[off + 1] + 1u) * 8;
	}
	return false;
}

/* The CRC after the ports have changed; false, and nothing done, when it was wrong before. */
static bool write_sctp(struct rte_mbuf *mbuf, uint8_t *bytes, const struct sp_packet *packet, const struct sp_key *to)
{
	const uint32_t len = (uint32_t)packet->payload_off - packet->l4_off + packet->payload_len;
	uint32_t crc;

	if (!sp_checksum_l4_ok(mbuf, packet))
		return false;
	memcpy(bytes + packet->l4_off, to, 2 * sizeof(to->sport));
	crc = rte_cpu_to_le_32(sp_checksum_sctp(mbuf, packet->l4_off, len));
	memcpy(bytes + packet->l4_off + SP_SCTP_CHECKSUM_OFFSET, &crc, sizeof(crc));
	return true;
}

static __rte_noinline void rewrite_rare(struct sp_worker *worker, unsigned int i, uint8_t *bytes)
{
	struct sp_burst *burst = &worker->burst;
	const struct sp_packet *packet = &burst->packet[i];
	const struct sp_key *from = &packet->key, *to = &burst->leaves[i];
	const uint64_t delta = delta_addresses(from, to);

	if (from->family == SP_FAMILY_IPV6 && packet->l4_off > packet->l3_off + SP_IPV6_BYTES && is_source_routed(bytes, packet)) {
		sp_burst_drop(burst, i, SP_DROP_NAT_UNTRANSLATABLE);
		return;
	}
	if (from->proto != IPPROTO_SCTP) {
		write_l4(bytes + packet->l4_off, l4_bytes(from->proto), from, to, delta);
	} else if (!same_ports(from, to) && !write_sctp(burst->mbuf[i], bytes, packet, to)) {
		sp_burst_drop(burst, i, SP_DROP_NAT_UNTRANSLATABLE);
		return;
	}
	/* Each piece of a datagram gets its addresses when it leaves. */
	if (!(burst->datagrams >> i & 1))
		write_ip(bytes + packet->l3_off, from, to, delta);
}

/* TCP and UDP over IPv4, by one sum of the change for both checksums: the same bytes as write_l4 and write_ip write. */
static inline void rewrite_ipv4(uint8_t *ip, uint8_t *l4, const struct sp_key *from, const struct sp_key *to)
{
	uint8_t *l4_sum = l4 + (from->proto == IPPROTO_TCP ? TCP_SUM_OFFSET : SP_UDP_CHECKSUM_OFFSET);
	const uint16_t old = sp_read_u16(l4_sum);
	uint64_t was, is, change;
	uint32_t was_ports, is_ports;
	uint16_t sum;

	memcpy(&was, &from->v4, sizeof(was));
	memcpy(&is, &to->v4, sizeof(is));
	memcpy(&was_ports, from, sizeof(was_ports));
	memcpy(&is_ports, to, sizeof(is_ports));
	change = halves(~was) + halves(is);
	sum = mended(sp_read_u16(ip + SP_IPV4_SUM_OFFSET), change);
	memcpy(ip + SP_IPV4_SUM_OFFSET, &sum, sizeof(sum));
	memcpy(ip + SP_IPV4_SRC_OFFSET, &is, sizeof(is));
	memcpy(l4, &is_ports, sizeof(is_ports));
	sum = mended(old, change + (uint32_t)~was_ports + is_ports);
	if (from->proto == IPPROTO_UDP) {
		sum = sum == 0 ? 0xffff : sum;
		sum = old == 0 ? 0 : sum; /* no checksum stays none (RFC 768) */
	}
	memcpy(l4_sum, &sum, sizeof(sum));
}

/* Whether all that would be written lies in a segment that is this packet's alone, and is what rewrite_ipv4 knows. */
static inline bool is_common4(const struct sp_burst *burst, unsigned int i)
{
	const struct sp_packet *packet = &burst->packet[i];
	const struct rte_mbuf *mbuf = burst->mbuf[i];
	const uint32_t need = packet->key.proto == IPPROTO_UDP ? SP_UDP_BYTES : TCP_SUM_OFFSET + 2;

	return packet->key.family == SP_FAMILY_IPV4 && (packet->key.proto == IPPROTO_TCP || packet->key.proto == IPPROTO_UDP) &&
	       packet->l4_off + need <= mbuf->data_len && !(mbuf->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) &&
	       rte_mbuf_refcnt_read(mbuf) == 1 && !(burst->datagrams >> i & 1);
}

static inline void rewrite(struct sp_worker *worker, unsigned int i)
{
	struct sp_burst *burst = &worker->burst;
	const struct sp_packet *packet = &burst->packet[i];
	const struct sp_key *from = &packet->key, *to = &burst->leaves[i];
	uint32_t need;
	uint8_t *bytes;

	if (likely(is_common4(burst, i))) {
		bytes = rte_pktmbuf_mtod(burst->mbuf[i], uint8_t *);
		rewrite_ipv4(bytes + packet->l3_off, bytes + packet->l4_off, from, to);
		return;
	}
	need = packet->l4_off + l4_bytes(from->proto);
	/* What is shorter than the headers that would be written: an unknown protocol's few bytes. */
	if (unlikely(need > burst->mbuf[i]->pkt_len)) {
		sp_burst_drop(burst, i, SP_DROP_NAT_UNTRANSLATABLE);
		return;
	}
	bytes = writable(worker, i, need);
	if (unlikely(bytes == NULL))
		return;
	if (likely(packet->l4_off - packet->l3_off <= SP_IPV6_BYTES && from->proto != IPPROTO_SCTP && !(burst->datagrams >> i & 1))) {
		const uint64_t delta = delta_addresses(from, to);

		write_l4(bytes + packet->l4_off, TCP_SUM_OFFSET + 2, from, to, delta);
		write_ip(bytes + packet->l3_off, from, to, delta);
		return;
	}
	rewrite_rare(worker, i, bytes);
}

/* --- ICMP errors -----------------------------------------------------------------------------------------------------------------------
 */

/* Where layer 4 of the quoted packet begins; 0 when it cannot be told. The parser has walked the same headers. */
static uint32_t quoted_l4(const struct rte_mbuf *mbuf, const struct sp_packet *packet)
{
	uint8_t gathered[SP_PARSE_GATHER_BYTES];
	struct sp_parse parse = {.frame = rte_pktmbuf_mtod(mbuf, const uint8_t *),
		.have = mbuf->data_len,
		.end = (uint32_t)packet->payload_off + packet->payload_len,
		.mbuf = mbuf,
		.gathered = gathered};
	const uint32_t off = packet->payload_off;
	struct sp_extensions chain;
	const uint8_t *ip;

	if (packet->key.family == SP_FAMILY_IPV4) {
		ip = sp_parse_at(&parse, off, SP_IPV4_BYTES);
		return ip == NULL ? 0 : off + (ip[0] & 0xf) * 4u;
	}
	ip = sp_parse_at(&parse, off, SP_IPV6_BYTES);
	if (ip == NULL || sp_parse_extensions(&parse, off + SP_IPV6_BYTES, ip[SP_IPV6_NEXT_OFFSET], &chain) != SP_DROP_NONE || chain.later)
		return 0;
	return chain.off;
}

/*
 * RFC 5508 REQ-4 and REQ-5. The quoted packet gets the addresses and ports that the receiver of the error knows it by; the error goes to
 * its source. Who sent the error stays, unless the quoted destination is translated: then the error is from an address behind that, and
 * the receiver knows nothing of what is there.
 */
static __rte_noinline void rewrite_error(struct sp_worker *worker, unsigned int i)
{
	struct sp_burst *burst = &worker->burst;
	const struct sp_packet *packet = &burst->packet[i];
	const struct sp_key *from = &packet->key, *to = &burst->leaves[i];
	const bool v4 = from->family == SP_FAMILY_IPV4;
	const uint32_t end = (uint32_t)packet->payload_off + packet->payload_len, quoted = packet->payload_off;
	const uint32_t l4 = quoted_l4(burst->mbuf[i], packet);
	struct sp_key outer = {.family = from->family, .proto = v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6}, outer_to;
	uint32_t have = l4 != 0 && l4 < end ? RTE_MIN(end - l4, l4_bytes(from->proto)) : 0, covered;
	uint64_t before, after, delta;
	uint8_t *bytes;

	if (have < RTE_MIN(l4_bytes(from->proto), (uint32_t)SP_QUOTED_L4_BYTES)) {
		sp_burst_drop(burst, i, SP_DROP_NAT_UNTRANSLATABLE);
		return;
	}
	bytes = writable(worker, i, l4 + have);
	if (bytes == NULL)
		return;
	memcpy(&outer.v6, bytes + packet->l3_off + (v4 ? SP_IPV4_SRC_OFFSET : SP_IPV6_SRC_OFFSET),
		v4 ? sizeof(outer.v4) : sizeof(outer.v6));
	outer_to = outer;
	if (v4) {
		outer_to.v4.dst = to->v4.src;
		if (to->v4.dst != from->v4.dst)
			outer_to.v4.src = to->v4.dst;
	} else {
		memcpy(outer_to.v6.dst, to->v6.src, sizeof(to->v6.src));
		if (memcmp(to->v6.dst, from->v6.dst, sizeof(to->v6.dst)) != 0)
			memcpy(outer_to.v6.src, to->v6.dst, sizeof(to->v6.dst));
	}
	/* The quoted headers begin at an even byte of the ICMP message, and what is written of them ends at one. */
	covered = (l4 + have - quoted) & ~1u;
	before = sp_checksum_add(0, bytes + quoted, covered);
	if (have != 0)
		write_l4(bytes + l4, have, from, to, delta_addresses(from, to));
	write_ip(bytes + quoted, from, to, delta_addresses(from, to));
	after = sp_checksum_add(0, bytes + quoted, covered);
	/* ICMPv6 has a pseudo-header. */
	delta = delta_addresses(&outer, &outer_to);
	mend(bytes + packet->l4_off + ICMP_SUM_OFFSET, delta_sums(before, after) + (v4 ? 0 : delta));
	write_ip(bytes + packet->l3_off, &outer, &outer_to, delta);
}

/* --- the stage -------------------------------------------------------------------------------------------------------------------------
 */

void sp_nat_rewrite_burst(struct sp_worker *worker)
{
	struct sp_burst *burst = &worker->burst;

	for (uint32_t left = burst->translated; left != 0; left &= left - 1) {
		unsigned int i = (unsigned int)__builtin_ctz(left);

		if (unlikely(burst->verdict[i] != SP_VERDICT_GOING && burst->verdict[i] != SP_VERDICT_SETTLED))
			continue;
		if (likely(burst->packet[i].kind == SP_KIND_FLOW))
			rewrite(worker, i);
		else
			rewrite_error(worker, i);
	}
}

void sp_nat_rewrite_piece(struct sp_worker *worker, unsigned int i)
{
	struct sp_burst *burst = &worker->burst;
	const struct sp_packet *packet = &burst->packet[i];

	/* A copy made here, with its headers in the first segment: the join has read them there. */
	assert(packet->l3_off + SP_IPV6_BYTES <= rte_pktmbuf_data_len(burst->mbuf[i]));
	write_ip(rte_pktmbuf_mtod_offset(burst->mbuf[i], uint8_t *, packet->l3_off), &packet->key, &burst->leaves[i],
		delta_addresses(&packet->key, &burst->leaves[i]));
}

void sp_nat_rewrite_tcp(uint8_t *frame, unsigned int l3_off, const struct sp_key *from, const struct sp_key *to)
{
	const unsigned int l4_off = l3_off + (from->family == SP_FAMILY_IPV4 ? SP_IPV4_BYTES : SP_IPV6_BYTES);

	write_l4(frame + l4_off, SP_TCP_BYTES, from, to, delta_addresses(from, to));
	write_ip(frame + l3_off, from, to, delta_addresses(from, to));
}
