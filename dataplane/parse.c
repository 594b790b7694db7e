/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layer 2 and the way through the parser. The common packet (one segment, at most one VLAN tag, IPv4 or IPv6 without options, TCP or UDP,
 * nothing strange) takes parse_fast, which only ever says yes; whatever it does not recognise goes the whole way, parse_whole, which
 * alone knows the reasons for a drop. Both must agree on every packet that parse_fast takes; test_parse compares them.
 */
#include "dataplane/parse.h"

#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_prefetch.h>

#include "dataplane/checksum.h"
#include "dataplane/dataplane.h"
#include "dataplane/fragment.h"
#include "dataplane/parse_internal.h"
#include "rules/match.h"

/* Packets ahead whose first line is asked for: about the time a line takes from L3, in packets. */
#define SP_PARSE_PREFETCH 4

#define TPID_QINQ_OLD  0x9100 /* and 0x9200, 0x9300: what switches used before 802.1ad */
#define STRIPPED       (RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_QINQ_STRIPPED)
#define TCI_VLAN       0x0fff
#define FIRST_GROUP    224 /* first byte of the IPv4 multicast addresses */
#define FIRST_RESERVED 240

const uint8_t *sp_parse_gather(struct sp_parse *parse, uint32_t off, uint32_t n)
{
	uint32_t want = RTE_MIN(parse->mbuf->pkt_len, (uint32_t)SP_PARSE_GATHER_BYTES);
	const uint8_t *p;

	if (parse->frame == parse->gathered)
		return NULL;
	p = rte_pktmbuf_read(parse->mbuf, 0, want, parse->gathered);
	/* Contiguous already, so that nothing was copied: what is asked for lies deeper than any header may. */
	if (p != parse->gathered)
		return NULL;
	parse->frame = parse->gathered;
	parse->have = want;
	return off + n <= want ? parse->frame + off : NULL;
}

/* Whether the mbuf's own lengths agree with each other and the frame has a length that can be. */
static bool segments_ok(const struct rte_mbuf *mbuf, uint32_t max)
{
	const struct rte_mbuf *segment = mbuf;
	uint32_t sum = 0;
	unsigned int n;

	if (mbuf->pkt_len > max)
		return false;
	for (n = 0; n < mbuf->nb_segs && segment != NULL; n++, segment = segment->next) {
		if ((uint32_t)segment->data_off + segment->data_len > segment->buf_len)
			return false;
		sum += segment->data_len;
	}
	return n == mbuf->nb_segs && sum == mbuf->pkt_len;
}

/* Opens room for a tag behind the MAC addresses. */
static bool insert_tag(struct rte_mbuf *mbuf, uint16_t tpid, uint16_t tci)
{
	const rte_be16_t tag[2] = {rte_cpu_to_be_16(tpid), rte_cpu_to_be_16(tci)};
	uint8_t *frame;

	if (mbuf->data_len < SP_ETHER_TYPE_OFFSET || mbuf->pkt_len + SP_VLAN_BYTES > SP_FRAME_BYTES_MAX)
		return false;
	if (!sp_mbuf_is_sole_owner(mbuf))
		return false;
	frame = (uint8_t *)rte_pktmbuf_prepend(mbuf, SP_VLAN_BYTES);
	if (frame == NULL)
		return false;
	memmove(frame, frame + SP_VLAN_BYTES, SP_ETHER_TYPE_OFFSET);
	memcpy(frame + SP_ETHER_TYPE_OFFSET, tag, sizeof(tag));
	return true;
}

/*
 * Puts stripped tags back, inner first. With QINQ_STRIPPED alone the inner tag is still in the frame (rte_mbuf_core.h). The flags go, so
 * that another worker that parses the packet again does not insert them twice.
 *
 * A VF that its PF keeps in a VLAN tells of that tag as well. It is none that was asked for, and nobody's here: the PF puts it on again.
 */
static bool restore_tags(const struct sp_port *port, struct rte_mbuf *mbuf)
{
	uint64_t flags = mbuf->ol_flags;

	if (flags & RTE_MBUF_F_RX_VLAN_STRIPPED && sp_port_has_vlan(port, mbuf->vlan_tci & TCI_VLAN) &&
		!insert_tag(mbuf, RTE_ETHER_TYPE_VLAN, mbuf->vlan_tci))
		return false;
	if (flags & RTE_MBUF_F_RX_QINQ_STRIPPED && !insert_tag(mbuf, RTE_ETHER_TYPE_QINQ, mbuf->vlan_tci_outer))
		return false;
	mbuf->ol_flags = flags & ~(uint64_t)(STRIPPED | RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_QINQ);
	return true;
}

static bool is_tpid(uint16_t type)
{
	return type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ || type == TPID_QINQ_OLD || type == TPID_QINQ_OLD + 0x100 ||
	       type == TPID_QINQ_OLD + 0x200;
}

/*
 * Ethernet and VLAN tags: fills vlan, vlan_inner and l3_off; *type gets what follows the tags. A tag with VLAN id 0 is a priority only
 * (802.1Q 6.9): a switch takes it off and delivers by the next one, so the VLAN is that of the first tag that names one.
 */
static enum sp_drop_reason parse_ether(struct sp_parse *parse, uint16_t *type)
{
	struct sp_packet *packet = parse->packet;
	const uint8_t *p = sp_parse_at(parse, 0, SP_ETHER_BYTES);
	uint32_t off = SP_ETHER_BYTES;

	if (p == NULL)
		return SP_DROP_PARSE_ETHER;
	*type = sp_read_be16(p + SP_ETHER_TYPE_OFFSET);
	for (unsigned int tags = 0; is_tpid(*type); tags++, off += SP_VLAN_BYTES) {
		if (tags == SP_VLAN_TAGS_MAX)
			return SP_DROP_PARSE_VLAN_DEPTH;
		p = sp_parse_at(parse, off, SP_VLAN_BYTES);
		if (p == NULL)
			return SP_DROP_PARSE_ETHER;
		if (packet->key.vlan == 0)
			packet->key.vlan = sp_read_be16(p) & TCI_VLAN;
		else
			packet->key.vlan_inner = sp_read_be16(p) & TCI_VLAN;
		*type = sp_read_be16(p + 2);
	}
	packet->l3_off = (uint8_t)off;
	return SP_DROP_NONE;
}

static enum sp_drop_reason parse_layers(const struct sp_port *port, struct sp_parse *parse)
{
	struct sp_packet *packet = parse->packet;
	enum sp_drop_reason reason;
	uint16_t type;

	reason = parse_ether(parse, &type);
	if (reason != SP_DROP_NONE)
		return reason;
	packet->key.domain = port->domain;
	packet->zone_from = port->zone[packet->key.vlan];
	packet->key.vlan &= (uint16_t)~port->vlan_apart;
	packet->key.vlan_inner &= (uint16_t)~port->vlan_apart;
	if (type != RTE_ETHER_TYPE_IPV4 && type != RTE_ETHER_TYPE_IPV6) {
		packet->kind = SP_KIND_NON_IP;
		packet->key.aux = type;
		return SP_DROP_NONE;
	}
	if (type == RTE_ETHER_TYPE_IPV4)
		reason = sp_parse_ipv4(parse, port->checksum != SP_CHECKSUM_OFF);
	else
		reason = sp_parse_ipv6(parse);
	if (reason == SP_DROP_NONE)
		packet->hash = (uint32_t)sp_key_hash(&packet->key);
	return reason;
}

/* Any packet. */
static __rte_noinline enum sp_drop_reason parse_whole(const struct sp_port *port, struct rte_mbuf *mbuf, struct sp_packet *packet)
{
	uint8_t gathered[SP_PARSE_GATHER_BYTES];
	struct sp_parse parse = {.mbuf = mbuf, .packet = packet, .gathered = gathered, .datagram = sp_is_datagram(mbuf)};

	memset(packet, 0, sizeof(*packet));
	packet->zone_from = packet->zone_to = SP_MATCH_NO_ZONE;
	if (!segments_ok(mbuf, parse.datagram ? SP_DATAGRAM_BYTES_MAX : SP_FRAME_BYTES_MAX) ||
		(mbuf->ol_flags & STRIPPED && !restore_tags(port, mbuf)))
		return SP_DROP_PARSE_ETHER;
	parse.frame = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	parse.have = mbuf->data_len;
	parse.end = mbuf->pkt_len;
	return parse_layers(port, &parse);
}

/* The eight bytes of the key from vlan to proto, as one word. */
static inline uint64_t fast_meta(uint16_t vlan, uint16_t domain, uint8_t family, uint8_t proto)
{
#if RTE_BYTE_ORDER == RTE_LITTLE_ENDIAN
	return vlan | (uint64_t)domain << 32 | (uint64_t)family << 48 | (uint64_t)proto << 56;
#else
	return (uint64_t)vlan << 48 | (uint64_t)domain << 16 | (uint64_t)family << 8 | proto;
#endif
}

/*
 * TCP and UDP of the common shape: `len` bytes at l4, which is l4_off bytes into the frame. Fills everything of the packet but key
 * addresses, dscp, zone_from and hash. Returns the ports as they stand in the key, 0 when the shape is another.
 */
static inline uint32_t fast_l4(const uint8_t *l4, uint32_t len, uint32_t l4_off, uint64_t meta, uint8_t proto, struct sp_packet *packet)
{
	uint32_t header, total, ports;
	uint8_t flags = 0;

	if (len < SP_UDP_BYTES)
		return 0;
	if (proto == IPPROTO_UDP) {
		header = SP_UDP_BYTES;
		total = sp_read_be16(l4 + SP_UDP_LENGTH_OFFSET);
		if (total < SP_UDP_BYTES || total > len)
			return 0;
	} else if (proto == IPPROTO_TCP) {
		if (len < SP_TCP_BYTES)
			return 0;
		header = (l4[SP_TCP_DATA_OFFSET] >> 4) * 4u;
		if (header < SP_TCP_BYTES || header > len)
			return 0;
		total = len;
		flags = l4[SP_TCP_FLAGS_OFFSET];
	} else {
		return 0;
	}
	ports = sp_read_u32(l4);
	if ((ports & 0xffff) == 0 || ports >> 16 == 0)
		return 0;
	/* Stored in the sizes in which the hash and the lookup read: a narrower store would hold the wider load up. */
	memcpy(&packet->key, &ports, sizeof(ports));
	memcpy((uint8_t *)&packet->key + SP_KEY_META_OFFSET, &meta, sizeof(meta));
	packet->key.aux = 0;
	packet->key.zero = 0;
	packet->l4_off = (uint16_t)l4_off;
	packet->payload_off = (uint16_t)(l4_off + header);
	packet->payload_len = (uint16_t)(total - header);
	packet->tcp_flags = flags;
	packet->kind = SP_KIND_FLOW;
	packet->zone_to = SP_MATCH_NO_ZONE;
	return ports;
}

/* The sum of a header without options, its own checksum included, is all ones. */
static inline bool fast_ipv4_sum_ok(const uint8_t *ip)
{
	uint64_t sum = (uint64_t)sp_read_u32(ip) + sp_read_u32(ip + 4) + sp_read_u32(ip + 8) + sp_read_u32(ip + 12) + sp_read_u32(ip + 16);

	return sp_checksum_fold(sum) == 0xffff;
}

/*
 * `have` bytes at ip, which is l3_off bytes into the frame. Not inlined: with more to keep in registers the compiler takes half as long
 * again over it (gcc 12: 62 cycles a packet received, parsed and sent become 98).
 */
static __rte_noinline bool fast_ipv4(
	const struct sp_port *port, const uint8_t *ip, uint32_t have, uint32_t l3_off, uint16_t vlan, struct sp_packet *packet)
{
	uint32_t total, src, dst, ports;
	uint64_t addresses, meta;
	uint8_t proto;

	if (have < SP_IPV4_BYTES || ip[0] != 0x45)
		return false;
	if (sp_read_u16(ip + SP_IPV4_FRAG_OFFSET) & RTE_BE16(SP_IPV4_MORE | SP_IPV4_POSITION))
		return false;
	total = sp_read_be16(ip + SP_IPV4_LENGTH_OFFSET);
	if (total < SP_IPV4_BYTES || total > have)
		return false;
	if (port->checksum != SP_CHECKSUM_OFF && !fast_ipv4_sum_ok(ip))
		return false;
	src = rte_be_to_cpu_32(sp_read_u32(ip + SP_IPV4_SRC_OFFSET));
	dst = rte_be_to_cpu_32(sp_read_u32(ip + SP_IPV4_SRC_OFFSET + SP_IPV4_ADDRESS_BYTES));
	/* Unicast from 1.0.0.0 to 223.255.255.255 but 127/8, to the same or a group. */
	if (src == dst || src >> 24 == 127 || dst >> 24 == 127 || (src >> 24) - 1 >= FIRST_GROUP - 1 ||
		(dst >> 24) - 1 >= FIRST_RESERVED - 1)
		return false;
	proto = ip[SP_IPV4_PROTO_OFFSET];
	meta = fast_meta(vlan & (uint16_t)~port->vlan_apart, port->domain, SP_FAMILY_IPV4, proto);
	ports = fast_l4(ip + SP_IPV4_BYTES, total - SP_IPV4_BYTES, l3_off + SP_IPV4_BYTES, meta, proto, packet);
	if (ports == 0)
		return false;
	addresses = sp_read_u64(ip + SP_IPV4_SRC_OFFSET);
	memcpy(&packet->key.v4, &addresses, sizeof(addresses));
	memset((uint8_t *)&packet->key + SP_KEY4_BYTES, 0, SP_KEY6_BYTES - SP_KEY4_BYTES);
	packet->l3_off = (uint8_t)l3_off;
	packet->dscp = ip[1] >> 2;
	packet->hash = (uint32_t)sp_key_hash4_words(ports, meta, addresses);
	return true;
}

static inline bool fast_ipv6(
	const struct sp_port *port, const uint8_t *ip, uint32_t have, uint32_t l3_off, uint16_t vlan, struct sp_packet *packet)
{
	uint64_t address[4];
	uint32_t length;
	uint8_t proto;

	if (have < SP_IPV6_BYTES || ip[0] >> 4 != 6)
		return false;
	proto = ip[SP_IPV6_NEXT_OFFSET];
	length = sp_read_be16(ip + SP_IPV6_LENGTH_OFFSET);
	if (length > have - SP_IPV6_BYTES)
		return false;
	memcpy(address, ip + SP_IPV6_SRC_OFFSET, sizeof(address));
	/* Every address that may not be here is multicast, or has eight zero bytes first. */
	if (ip[SP_IPV6_SRC_OFFSET] == 0xff || address[0] == 0 || address[2] == 0 || (address[0] == address[2] && address[1] == address[3]))
		return false;
	if (fast_l4(ip + SP_IPV6_BYTES, length, l3_off + SP_IPV6_BYTES,
		    fast_meta(vlan & (uint16_t)~port->vlan_apart, port->domain, SP_FAMILY_IPV6, proto), proto, packet) == 0)
		return false;
	memcpy(&packet->key.v6, address, sizeof(address));
	packet->l3_off = (uint8_t)l3_off;
	packet->dscp = (uint8_t)((sp_read_be16(ip) >> 6) & 0x3f);
	packet->hash = (uint32_t)sp_key_hash6(&packet->key);
	return true;
}

/* True when the packet was of the common shape and `packet` is filled whole; false says nothing but "look closer". */
static inline bool parse_fast(const struct sp_port *port, const struct rte_mbuf *mbuf, struct sp_packet *packet)
{
	/* Nothing here may read the second line of the mbuf, which is cold: so nb_segs counts, not `next`. */
	const uint8_t *frame = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	uint32_t len = mbuf->data_len, l3_off = SP_ETHER_BYTES;
	uint16_t type, vlan = 0;
	bool taken = false;

	if (mbuf->nb_segs != 1 || mbuf->pkt_len != len || mbuf->ol_flags & STRIPPED)
		return false;
	if ((uint32_t)mbuf->data_off + len > mbuf->buf_len || len < SP_ETHER_BYTES + SP_VLAN_BYTES)
		return false;
	type = sp_read_u16(frame + SP_ETHER_TYPE_OFFSET);
	if (type == RTE_BE16(RTE_ETHER_TYPE_VLAN)) {
		vlan = sp_read_be16(frame + SP_ETHER_BYTES) & TCI_VLAN;
		type = sp_read_u16(frame + SP_ETHER_BYTES + 2);
		l3_off += SP_VLAN_BYTES;
	}
	if (type == RTE_BE16(RTE_ETHER_TYPE_IPV4))
		taken = fast_ipv4(port, frame + l3_off, len - l3_off, l3_off, vlan, packet);
	else if (type == RTE_BE16(RTE_ETHER_TYPE_IPV6))
		taken = fast_ipv6(port, frame + l3_off, len - l3_off, l3_off, vlan, packet);
	packet->zone_from = port->zone[vlan];
	return taken;
}

/* The port's policy on what protects layer 4. No NIC has seen a whole datagram that came in fragments. */
static inline bool checksum_ok(const struct sp_port *port, const struct rte_mbuf *mbuf, const struct sp_packet *packet, bool datagram)
{
	if (unlikely(datagram) && port->checksum != SP_CHECKSUM_OFF)
		return sp_checksum_l4_ok(mbuf, packet);
	if (port->checksum == SP_CHECKSUM_VERIFY)
		return sp_checksum_l4_ok(mbuf, packet);
	if (port->checksum == SP_CHECKSUM_OFF || packet->kind == SP_KIND_NON_IP)
		return true;
	return (mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_BAD;
}

static __rte_always_inline void parse_one(const struct sp_port *port, struct sp_burst *burst, unsigned int i)
{
	struct rte_mbuf *mbuf = burst->mbuf[i];
	struct sp_packet *packet = &burst->packet[i];
	bool datagram = false;

	if (unlikely(!parse_fast(port, mbuf, packet))) {
		enum sp_drop_reason reason = parse_whole(port, mbuf, packet);

		datagram = sp_is_datagram(mbuf);
		burst->datagrams |= (uint32_t)datagram << i;
		if (reason != SP_DROP_NONE) {
			sp_burst_drop(burst, i, reason);
			return;
		}
		if (packet->kind == SP_KIND_FRAGMENT) {
			burst->fragments |= 1u << i;
			return;
		}
	}
	if (unlikely(!checksum_ok(port, mbuf, packet, datagram)))
		sp_burst_drop(burst, i, SP_DROP_PARSE_L4_CHECKSUM);
}

void sp_parse_packet(const struct sp_port *port, struct sp_burst *burst, unsigned int i)
{
	parse_one(port, burst, i);
}

void sp_parse_burst(const struct sp_port *port, struct sp_burst *burst)
{
	unsigned int i;

	burst->fragments = burst->datagrams = 0;
	for (i = 0; i < RTE_MIN((unsigned int)burst->n, SP_PARSE_PREFETCH); i++)
		rte_prefetch0(rte_pktmbuf_mtod(burst->mbuf[i], void *));
	for (i = 0; i < burst->n; i++) {
		if (i + SP_PARSE_PREFETCH < burst->n)
			rte_prefetch0(rte_pktmbuf_mtod(burst->mbuf[i + SP_PARSE_PREFETCH], void *));
		parse_one(port, burst, i);
	}
}
