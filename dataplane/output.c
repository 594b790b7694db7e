/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/output.h"

#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_malloc.h>

#include "dataplane/checksum.h"
#include "dataplane/fragment.h"
#include "dataplane/fragmenting.h"
#include "dataplane/kernel_way.h"
#include "dataplane/parse_internal.h"
#include "dataplane/stages.h"
#include "dataplane/waiting.h"

#define IPV4_TTL_OFFSET  8
#define IPV6_HOPS_OFFSET 7

uint32_t sp_frame_l3_off(const struct rte_mbuf *mbuf)
{
	const uint8_t *frame = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	uint32_t off = SP_ETHER_BYTES;

	while (off < SP_ETHER_BYTES + SP_VLAN_TAGS_MAX * SP_VLAN_BYTES && off + SP_VLAN_BYTES <= mbuf->data_len) {
		uint16_t type = sp_read_be16(frame + off - 2);

		if (type == RTE_ETHER_TYPE_IPV4 || type == RTE_ETHER_TYPE_IPV6)
			break;
		off += SP_VLAN_BYTES;
	}
	return off;
}

static void drop(struct sp_worker *worker, struct rte_mbuf *mbuf, uint16_t port, enum sp_drop_reason reason)
{
	sp_drop_note_mbuf(worker, mbuf, port, reason);
	if (worker->captures != NULL)
		sp_capture_mbuf(worker, mbuf, SP_CAPTURE_DROP, port, reason);
	rte_pktmbuf_free(mbuf);
	sp_count(&worker->stats.drops[reason], 1);
}

/* Makes the room before the IP header what the link's header needs. The frame, or NULL. */
static uint8_t *fit_header(struct rte_mbuf *mbuf, uint32_t l3_off, uint32_t header)
{
	if (likely(l3_off == header))
		return rte_pktmbuf_mtod(mbuf, uint8_t *);
	if (l3_off > header)
		return (uint8_t *)rte_pktmbuf_adj(mbuf, (uint16_t)(l3_off - header));
	return (uint8_t *)rte_pktmbuf_prepend(mbuf, (uint16_t)(header - l3_off));
}

static inline void write_mac(uint8_t *to, uint64_t mac)
{
	const uint64_t le = rte_cpu_to_le_64(mac);

	memcpy(to, &le, RTE_ETHER_ADDR_LEN);
}

/* The link's header for what follows at its end. False when there is no room. */
static bool write_header(struct rte_mbuf *mbuf, uint32_t l3_off, const struct sp_link *link, uint64_t mac)
{
	const uint32_t header = SP_ETHER_BYTES + (link->vlan != 0 ? SP_VLAN_BYTES : 0);
	const uint8_t version = *rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, l3_off) >> 4;
	const rte_be16_t type = version == 4 ? RTE_BE16(RTE_ETHER_TYPE_IPV4) : RTE_BE16(RTE_ETHER_TYPE_IPV6);
	uint8_t *frame = fit_header(mbuf, l3_off, header);

	if (unlikely(frame == NULL))
		return false;
	write_mac(frame, mac);
	sp_mac_copy(frame + RTE_ETHER_ADDR_LEN, &link->mac_word);
	if (link->vlan != 0) {
		const rte_be16_t tag[2] = {RTE_BE16(RTE_ETHER_TYPE_VLAN), rte_cpu_to_be_16(link->vlan)};

		memcpy(frame + SP_ETHER_TYPE_OFFSET, tag, sizeof(tag));
	}
	memcpy(frame + header - sizeof(type), &type, sizeof(type));
	return true;
}

void sp_output_frame(struct sp_worker *worker, struct rte_mbuf *mbuf, uint32_t l3_off, const struct sp_link *link, uint64_t mac)
{
	if (unlikely(!write_header(mbuf, l3_off, link, mac))) {
		drop(worker, mbuf, link->port, SP_DROP_QUEUE_MBUF);
		return;
	}
	if (unlikely(worker->captures != NULL))
		sp_capture_mbuf(worker, mbuf, SP_CAPTURE_TX, link->port, SP_DROP_NONE);
	sp_tx_queue(worker, link->port, mbuf);
}

/* One hop less. IPv4: the checksum follows (RFC 1624, eqn. 3, of a word that becomes smaller by 0x0100). */
static inline void count_hop(uint8_t *ip)
{
	rte_be16_t sum;
	uint32_t host;

	if (unlikely(ip[0] >> 4 != 4)) {
		ip[IPV6_HOPS_OFFSET]--;
		return;
	}
	ip[IPV4_TTL_OFFSET]--;
	host = sp_read_be16(ip + SP_IPV4_SUM_OFFSET) + 0x100u;
	sum = rte_cpu_to_be_16((uint16_t)(host + (host >> 16)));
	memcpy(ip + SP_IPV4_SUM_OFFSET, &sum, sizeof(sum));
}

/* Which neighbour: the next hop's own address, or of a connected prefix the destination itself. */
static const uint8_t *neighbour_address(const struct sp_nexthop *nexthop, const struct rte_mbuf *mbuf, uint32_t l3_off, uint8_t *family)
{
	const uint8_t *ip = rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, l3_off);

	if (nexthop->kind == SP_NEXTHOP_NEIGHBOUR) {
		*family = nexthop->family;
		return nexthop->address;
	}
	*family = ip[0] >> 4 == 4 ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6;
	return *family == SP_FAMILY_IPV4 ? ip + SP_IPV4_SRC_OFFSET + SP_IPV4_ADDRESS_BYTES
					 : ip + SP_IPV6_SRC_OFFSET + SP_IPV6_ADDRESS_BYTES;
}

/* A frame with its hop counted goes to a neighbour, or waits for it. */
static void to_neighbour(struct sp_worker *worker, struct rte_mbuf *mbuf, uint32_t l3_off, uint32_t id, uint16_t ingress)
{
	const struct sp_routing *routing = worker->dataplane->routing;
	struct sp_nexthop *nexthop = &routing->nexthops[id];
	const struct sp_link *link = &routing->links[nexthop->link];
	const uint64_t mac = __atomic_load_n(&nexthop->mac, __ATOMIC_RELAXED);
	const uint32_t second = worker->burst.now_ms / 1000;
	const uint8_t *address;
	uint8_t family;

	if (unlikely(__atomic_load_n(&nexthop->used, __ATOMIC_RELAXED) != second))
		__atomic_store_n(&nexthop->used, second, __ATOMIC_RELAXED);
	if (likely(mac & SP_NEIGHBOUR_RESOLVED)) {
		sp_output_frame(worker, mbuf, l3_off, link, mac);
		return;
	}
	address = neighbour_address(nexthop, mbuf, l3_off, &family);
	sp_waiting_add(worker, mbuf, l3_off, id, nexthop->link, family, address, ingress);
}

/* IPv4 without "don't fragment" that is longer than the link takes. */
static void in_pieces(struct sp_worker *worker, struct rte_mbuf *mbuf, uint32_t l3_off, uint32_t id, uint16_t ingress, uint16_t mtu)
{
	struct rte_mbuf *pieces[SP_FRAGMENTING_MAX];
	unsigned int n = sp_fragment_to_mtu(worker, mbuf, l3_off, mtu, pieces, SP_FRAGMENTING_MAX);

	for (unsigned int p = 0; p < n; p++)
		to_neighbour(worker, pieces[p], l3_off, id, ingress);
}

static void forward_one(struct sp_worker *worker, struct rte_mbuf *mbuf, uint32_t l3_off, uint32_t id, uint16_t ingress)
{
	const struct sp_routing *routing = worker->dataplane->routing;
	const struct sp_link *link = &routing->links[routing->nexthops[id].link];
	const uint16_t mtu = __atomic_load_n(&link->mtu, __ATOMIC_RELAXED);

	count_hop(rte_pktmbuf_mtod_offset(mbuf, uint8_t *, l3_off));
	if (unlikely(mbuf->pkt_len > l3_off + mtu))
		in_pieces(worker, mbuf, l3_off, id, ingress, mtu);
	else
		to_neighbour(worker, mbuf, l3_off, id, ingress);
}

/* A frame that Linux made for a link, untagged. */
static void from_linux(struct sp_worker *worker, struct rte_mbuf *mbuf, const struct sp_link *link)
{
	if (link->vlan != 0) {
		uint8_t *frame = sp_mbuf_is_sole_owner(mbuf) ? (uint8_t *)rte_pktmbuf_prepend(mbuf, SP_VLAN_BYTES) : NULL;
		const rte_be16_t tag[2] = {RTE_BE16(RTE_ETHER_TYPE_VLAN), rte_cpu_to_be_16(link->vlan)};

		if (frame == NULL) {
			drop(worker, mbuf, link->port, SP_DROP_QUEUE_MBUF);
			return;
		}
		memmove(frame, frame + SP_VLAN_BYTES, SP_ETHER_TYPE_OFFSET);
		memcpy(frame + SP_ETHER_TYPE_OFFSET, tag, sizeof(tag));
	}
	if (unlikely(worker->captures != NULL))
		sp_capture_mbuf(worker, mbuf, SP_CAPTURE_TX, link->port, SP_DROP_NONE);
	sp_tx_queue(worker, link->port, mbuf);
}

static void send_one(struct sp_worker *worker, struct rte_mbuf *mbuf, uint32_t l3_off, uint32_t id, uint16_t link)
{
	const struct sp_routing *routing = worker->dataplane->routing;

	if (likely(routing->nexthops[id].kind >= SP_NEXTHOP_GLEAN))
		forward_one(worker, mbuf, l3_off, id, routing->links[link].port);
	else if (id == SP_NEXTHOP_ID_SELF)
		sp_kernel_send_up(worker, link, mbuf);
	else
		from_linux(worker, mbuf, &routing->links[link]);
}

static void send_piece(struct sp_worker *worker, unsigned int i)
{
	const struct sp_burst *burst = &worker->burst;

	send_one(worker, burst->mbuf[i], sp_frame_l3_off(burst->mbuf[i]), burst->nexthop[i], burst->link[i]);
}

/* Whether one more packet may go up to Linux; what the link stage passed has been counted there. */
static bool may_go_up(struct sp_worker *worker, unsigned int i)
{
	struct sp_burst *burst = &worker->burst;
	const uint8_t proto = burst->packet[i].key.proto;
	const bool icmp = proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6 || burst->packet[i].kind == SP_KIND_ICMP_ERROR;
	enum sp_drop_reason reason;

	if (burst->verdict[i] == SP_VERDICT_SETTLED && burst->session[i] == SP_SESSION_NONE)
		return true;
	reason = sp_kernel_admit(worker, icmp ? SP_SELF_ICMP : SP_SELF_OTHER);
	if (reason != SP_DROP_NONE)
		sp_burst_drop(burst, i, reason);
	return reason == SP_DROP_NONE;
}

static void output_packet(struct sp_worker *worker, unsigned int i)
{
	struct sp_burst *burst = &worker->burst;
	const uint32_t id = burst->nexthop[i];

	if (unlikely(id == SP_NEXTHOP_ID_SELF) && !may_go_up(worker, i))
		return;
	burst->verdict[i] = SP_VERDICT_ALLOW;
	if (likely(!(burst->datagrams >> i & 1)))
		send_one(worker, burst->mbuf[i], burst->packet[i].l3_off, id, burst->link[i]);
	else
		sp_fragments_send(worker, i, send_piece);
}

/* Packets that leave by one link, one after the other. */
struct run {
	const struct sp_link *link;
	struct sp_tx_buffer *tx;
	struct rte_mbuf **to;
	unsigned int n;
	uint32_t bytes, mtu;
	uint64_t source_head; /* the first two bytes of the link's MAC, where they are in the header's first word */
	uint32_t source_tail; /* the other four */
	uint16_t index;
};

static inline void end_run(struct sp_worker *worker, struct run *run)
{
	/* even of a run without packets: what comes in between may take its place in the buffer */
	run->index = SP_NO_LINK;
	if (run->n == 0)
		return;
	run->tx->n += (uint16_t)run->n;
	run->tx->bytes += run->bytes;
	sp_count(&worker->stats.tx_held, run->n);
	run->n = 0;
	run->bytes = 0;
}

static inline void begin_run(struct sp_worker *worker, struct run *run, uint16_t index)
{
	const struct sp_link *link = &worker->dataplane->routing->links[index];
	const uint64_t mac = sp_mac_load(&link->mac_word);

	run->index = index;
	run->tx = &worker->tx[link->port];
	if (run->tx->n + SP_BURST_MAX > SP_TX_BUFFER)
		sp_tx_flush(worker, link->port);
	run->to = &run->tx->mbuf[run->tx->n];
	run->mtu = link->vlan == 0 ? __atomic_load_n(&link->mtu, __ATOMIC_RELAXED) : 0;
	run->source_tail = rte_cpu_to_le_32((uint32_t)(mac >> 16));
	run->source_head = mac << 48;
}

void sp_output_burst(struct sp_worker *worker)
{
	struct sp_nexthop *nexthops = worker->dataplane->routing->nexthops;
	struct sp_burst *burst = &worker->burst;
	const uint32_t second = burst->now_ms / 1000;
	const bool captured = worker->captures != NULL;
	struct run run = {.index = SP_NO_LINK};

	for (unsigned int i = 0; i < burst->n; i++) {
		struct sp_nexthop *nexthop;
		uint64_t mac, word;
		uint8_t *frame;

		if (unlikely(burst->verdict[i] != SP_VERDICT_GOING && burst->verdict[i] != SP_VERDICT_SETTLED))
			continue;
		nexthop = &nexthops[burst->nexthop[i]];
		mac = __atomic_load_n(&nexthop->mac, __ATOMIC_RELAXED);
		if (nexthop->link != run.index && (mac & SP_NEIGHBOUR_RESOLVED)) {
			end_run(worker, &run);
			begin_run(worker, &run, nexthop->link);
		}
		frame = rte_pktmbuf_mtod(burst->mbuf[i], uint8_t *);
		if (unlikely(!(mac & SP_NEIGHBOUR_RESOLVED) || burst->packet[i].l3_off != SP_ETHER_BYTES || (burst->datagrams >> i & 1) ||
			     burst->length[i] > SP_ETHER_BYTES + run.mtu || captured)) {
			end_run(worker, &run);
			output_packet(worker, i);
			continue;
		}
		if (unlikely(__atomic_load_n(&nexthop->used, __ATOMIC_RELAXED) != second))
			__atomic_store_n(&nexthop->used, second, __ATOMIC_RELAXED);
		count_hop(frame + SP_ETHER_BYTES);
		word = rte_cpu_to_le_64((mac & (SP_NEIGHBOUR_RESOLVED - 1)) | run.source_head);
		memcpy(frame, &word, sizeof(word));
		memcpy(frame + sizeof(word), &run.source_tail, sizeof(run.source_tail));
		burst->verdict[i] = SP_VERDICT_ALLOW;
		run.to[run.n++] = burst->mbuf[i];
		run.bytes += burst->length[i];
	}
	end_run(worker, &run);
}

void sp_output_built(struct sp_worker *worker, struct rte_mbuf *mbuf)
{
	const struct sp_routing *routing = worker->dataplane->routing;
	const uint32_t l3_off = sp_frame_l3_off(mbuf);
	const uint8_t *ip = rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, l3_off);
	const bool v4 = ip[0] >> 4 == 4;
	uint32_t id = sp_route_lookup(routing, v4 ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6,
		v4 ? ip + SP_IPV4_SRC_OFFSET + SP_IPV4_ADDRESS_BYTES : ip + SP_IPV6_SRC_OFFSET + SP_IPV6_ADDRESS_BYTES);

	id = sp_nexthop_of_flow(routing, id, 0);
	if (routing->nexthops[id].kind >= SP_NEXTHOP_GLEAN)
		to_neighbour(worker, mbuf, l3_off, id, routing->links[routing->nexthops[id].link].port);
	else
		drop(worker, mbuf, worker->burst.port < SP_PORTS_MAX ? worker->burst.port : 0, SP_DROP_ROUTE_UNREACHABLE);
}
