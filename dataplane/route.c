/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a packet goes in route mode: by the destination with which it leaves, which destination NAT may have chosen. Runs when the session
 * is known, and before rules are asked, which want to know the zone. What no router forwards ends here, with an ICMP error where there is
 * one.
 */
#include <netinet/in.h>
#include <rte_ether.h>

#include "dataplane/fib_compat.h"
#include "dataplane/fragmenting.h"
#include "dataplane/parse_internal.h"
#include "dataplane/routing.h"
#include "dataplane/stages.h"

#define IPV4_TTL_OFFSET  8
#define IPV6_HOPS_OFFSET 7

static_assert(SP_FIB6_BULK >= SP_BURST_MAX, "one lookup takes a burst");

static void refuse(struct sp_burst *burst, unsigned int i, enum sp_drop_reason reason)
{
	burst->verdict[i] = SP_VERDICT_REJECT;
	burst->reason[i] = reason;
}

/* The destination with which the packet leaves; network byte order, 4 or 16 bytes. */
static inline const uint8_t *destination(const struct sp_burst *burst, unsigned int i, uint8_t copy[16])
{
	const struct sp_packet *packet = &burst->packet[i];
	const bool v4 = packet->key.family == SP_FAMILY_IPV4;
	const uint8_t *ip;

	if (unlikely(packet->kind == SP_KIND_ICMP_ERROR)) {
		/* An error goes to the sender of the packet that it quotes; the key is that packet's. */
		if (burst->translated >> i & 1)
			return v4 ? (const uint8_t *)&burst->leaves[i].v4.src : burst->leaves[i].v6.src;
		ip = rte_pktmbuf_read(burst->mbuf[i], packet->l3_off + (v4 ? 16u : 24u), v4 ? 4 : 16, copy);
		return ip;
	}
	if (unlikely(burst->translated >> i & 1))
		return v4 ? (const uint8_t *)&burst->leaves[i].v4.dst : burst->leaves[i].v6.dst;
	return v4 ? (const uint8_t *)&packet->key.v4.dst : packet->key.v6.dst;
}

static inline bool is_going(const struct sp_burst *burst, unsigned int i)
{
	return burst->verdict[i] == SP_VERDICT_GOING || burst->verdict[i] == SP_VERDICT_SETTLED;
}

/* look_up of a burst of IPv4 in which every packet goes on and none is an ICMP error; false, with nothing done, for any other. */
static bool look_up_common4(struct sp_worker *worker)
{
	struct sp_burst *burst = &worker->burst;
	uint32_t address[SP_BURST_MAX];
	uint64_t ids[SP_BURST_MAX];

	for (unsigned int i = 0; i < burst->n; i++) {
		const struct sp_packet *packet = &burst->packet[i];
		const struct sp_key *key = burst->translated >> i & 1 ? &burst->leaves[i] : &packet->key;

		if (packet->key.family != SP_FAMILY_IPV4 || packet->kind != SP_KIND_FLOW || !is_going(burst, i) ||
			burst->nexthop[i] != SP_NEXTHOP_ID_NONE)
			return false;
		address[i] = rte_be_to_cpu_32(key->v4.dst);
	}
	sp_route_lookup4_burst(worker->dataplane->routing, address, ids, burst->n);
	for (unsigned int i = 0; i < burst->n; i++)
		burst->nexthop[i] = sp_nexthop_of_flow(worker->dataplane->routing, (uint32_t)ids[i], burst->packet[i].hash);
	return true;
}

static void look_up(struct sp_worker *worker)
{
	const struct sp_routing *routing = worker->dataplane->routing;
	struct sp_burst *burst = &worker->burst;
	uint32_t address4[SP_BURST_MAX];
	uint8_t address6[SP_BURST_MAX][16], copy[16];
	uint8_t of4[SP_BURST_MAX], of6[SP_BURST_MAX];
	uint64_t ids[SP_BURST_MAX];
	unsigned int n4 = 0, n6 = 0;

	for (unsigned int i = 0; i < burst->n; i++) {
		const uint8_t *address;

		if (!is_going(burst, i) || burst->nexthop[i] != SP_NEXTHOP_ID_NONE)
			continue;
		address = destination(burst, i, copy);
		if (burst->packet[i].key.family == SP_FAMILY_IPV4) {
			address4[n4] = rte_be_to_cpu_32(sp_read_u32(address));
			of4[n4++] = (uint8_t)i;
		} else {
			memcpy(address6[n6], address, sizeof(address6[n6]));
			of6[n6++] = (uint8_t)i;
		}
	}
	if (n4 > 0)
		sp_route_lookup4_burst(routing, address4, ids, n4);
	for (unsigned int k = 0; k < n4; k++)
		burst->nexthop[of4[k]] = sp_nexthop_of_flow(routing, (uint32_t)ids[k], burst->packet[of4[k]].hash);
	if (n6 > 0)
		sp_fib6_lookup_burst(routing->fib6, address6, ids, n6);
	for (unsigned int k = 0; k < n6; k++)
		burst->nexthop[of6[k]] = sp_nexthop_of_flow(routing, (uint32_t)ids[k], burst->packet[of6[k]].hash);
}

static bool is_link_local(const struct sp_key *key, bool source)
{
	const uint8_t *address;

	if (key->family == SP_FAMILY_IPV4)
		return (rte_be_to_cpu_32(source ? key->v4.src : key->v4.dst) >> 16) == 0xa9fe; /* RFC 3927 */
	address = source ? key->v6.src : key->v6.dst;
	return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

/* Sources that no router forwards: this network, and one that is only a host's without an address (RFC 1812 5.3.7, RFC 4291 2.5.2). */
static bool is_unspecified(const struct sp_key *key)
{
	static const uint8_t zero[16];

	return key->family == SP_FAMILY_IPV4 ? (rte_be_to_cpu_32(key->v4.src) >> 24) == 0 : memcmp(key->v6.src, zero, sizeof(zero)) == 0;
}

static bool leads_to(const struct sp_routing *routing, uint32_t id, uint16_t link)
{
	const struct sp_nexthop *nexthop = &routing->nexthops[id];

	if (nexthop->kind != SP_NEXTHOP_GROUP)
		return nexthop->link == link;
	for (unsigned int m = 0; m < nexthop->n; m++)
		if (routing->nexthops[nexthop->members[m]].link == link)
			return true;
	return false;
}

/* The source that stands in the packet: the key of an ICMP error is that of the packet which it quotes. */
static const uint8_t *source(const struct sp_burst *burst, unsigned int i)
{
	const struct sp_packet *packet = &burst->packet[i];
	const bool v4 = packet->key.family == SP_FAMILY_IPV4;

	if (unlikely(packet->kind == SP_KIND_ICMP_ERROR))
		return rte_pktmbuf_mtod_offset(
			burst->mbuf[i], const uint8_t *, packet->l3_off + (v4 ? SP_IPV4_SRC_OFFSET : SP_IPV6_SRC_OFFSET));
	return v4 ? (const uint8_t *)&packet->key.v4.src : packet->key.v6.src;
}

/* Whether a packet that may open a session can come from where it says (RFC 3704). A session's packets are held to its zones instead. */
static enum sp_drop_reason check_source(const struct sp_routing *routing, const struct sp_burst *burst, unsigned int i)
{
	const uint16_t link = burst->link[i];
	const uint8_t rpf = routing->links[link].rpf;
	uint32_t id = sp_route_lookup(routing, burst->packet[i].key.family, source(burst, i));

	if (routing->nexthops[id].kind == SP_NEXTHOP_SELF)
		return SP_DROP_ROUTE_MARTIAN;
	if (rpf == SP_RPF_OFF)
		return SP_DROP_NONE;
	if (routing->nexthops[id].kind < SP_NEXTHOP_GLEAN)
		return SP_DROP_ROUTE_RPF;
	return rpf == SP_RPF_LOOSE || leads_to(routing, id, link) ? SP_DROP_NONE : SP_DROP_ROUTE_RPF;
}

/* TTL or hop limit, as received. */
static inline uint8_t hops(const struct sp_burst *burst, unsigned int i)
{
	const struct sp_packet *packet = &burst->packet[i];
	const uint8_t *ip = rte_pktmbuf_mtod_offset(burst->mbuf[i], const uint8_t *, packet->l3_off);

	return packet->key.family == SP_FAMILY_IPV4 ? ip[IPV4_TTL_OFFSET] : ip[IPV6_HOPS_OFFSET];
}

/* Whether the packet must not leave by a link of this MTU: longer, and not to be fragmented on the way (RFC 791, RFC 8200 5). */
static inline bool is_too_long(const struct sp_burst *burst, unsigned int i, uint16_t mtu)
{
	const uint8_t l3_off = burst->packet[i].l3_off;

	return unlikely(burst->length[i] > (uint32_t)mtu + l3_off) && sp_exceeds_mtu(burst->mbuf[i], l3_off, mtu);
}

/* A session goes on between the zones that the rules judged: a route that now leads elsewhere does not take it along. */
static bool zone_holds(struct sp_worker *worker, unsigned int i, uint8_t zone)
{
	const struct sp_burst *burst = &worker->burst;
	const struct sp_session_state *state;
	bool to_opener;

	if (!sp_burst_has_session(burst, i))
		return true;
	state = sp_session_state(worker->sessions, burst->session[i]);
	to_opener = ((burst->session[i] & SP_SESSION_REPLY) != 0) != (burst->packet[i].kind == SP_KIND_ICMP_ERROR);
	return zone == (to_opener ? state->zone_from : state->zone_to);
}

/* The packet is forwarded to a neighbour. */
static void forward(struct sp_worker *worker, unsigned int i, const struct sp_nexthop *nexthop)
{
	const struct sp_routing *routing = worker->dataplane->routing;
	struct sp_burst *burst = &worker->burst;
	struct sp_packet *packet = &burst->packet[i];
	const struct sp_link *link = &routing->links[nexthop->link];
	enum sp_drop_reason reason = SP_DROP_NONE;

	packet->zone_to = link->zone;
	burst->egress[i] = link->port;
	if (burst->session[i] == SP_SESSION_NONE) {
		if (is_unspecified(&packet->key))
			reason = SP_DROP_ROUTE_MARTIAN;
		else if (is_link_local(&packet->key, true) || is_link_local(&packet->key, false))
			reason = SP_DROP_ROUTE_LINK_LOCAL;
		else
			reason = check_source(routing, burst, i);
	} else if (unlikely(!zone_holds(worker, i, link->zone))) {
		reason = SP_DROP_ROUTE_ZONE_CHANGED;
	}
	if (unlikely(reason != SP_DROP_NONE))
		sp_burst_drop(burst, i, reason);
	else if (unlikely(hops(burst, i) <= 1))
		refuse(burst, i, SP_DROP_ROUTE_TTL);
	else if (unlikely(!__atomic_load_n(&link->up, __ATOMIC_RELAXED)))
		refuse(burst, i, SP_DROP_ROUTE_LINK_DOWN);
	else if (unlikely(is_too_long(burst, i, __atomic_load_n(&link->mtu, __ATOMIC_RELAXED))))
		refuse(burst, i, SP_DROP_ROUTE_MTU);
}

/* To the firewall itself: into the TAP of the link that it came by. */
static void deliver(struct sp_worker *worker, unsigned int i)
{
	const struct sp_routing *routing = worker->dataplane->routing;
	struct sp_burst *burst = &worker->burst;
	struct sp_packet *packet = &burst->packet[i];
	enum sp_drop_reason reason;

	packet->zone_to = worker->dataplane->zone_self;
	burst->egress[i] = (uint16_t)(SP_PORTS_MAX + burst->link[i]);
	if (burst->verdict[i] == SP_VERDICT_SETTLED && burst->session[i] == SP_SESSION_NONE)
		return; /* the link stage has passed it */
	if (unlikely(burst->session[i] != SP_SESSION_NONE && !zone_holds(worker, i, packet->zone_to))) {
		sp_burst_drop(burst, i, SP_DROP_ROUTE_ZONE_CHANGED);
		return;
	}
	if (burst->session[i] == SP_SESSION_NONE && !is_unspecified(&packet->key) && !is_link_local(&packet->key, true)) {
		reason = check_source(routing, burst, i);
		if (reason != SP_DROP_NONE)
			sp_burst_drop(burst, i, reason);
	}
}

/* The packet is not forwarded to a neighbour that a route names. */
static void stay(struct sp_worker *worker, unsigned int i, const struct sp_nexthop *nexthop)
{
	const struct sp_routing *routing = worker->dataplane->routing;
	struct sp_burst *burst = &worker->burst;

	if (burst->nexthop[i] == SP_NEXTHOP_ID_LINUX) {
		burst->egress[i] = routing->links[burst->link[i]].port;
		return;
	}
	switch (nexthop->kind) {
	case SP_NEXTHOP_SELF:
		deliver(worker, i);
		break;
	case SP_NEXTHOP_BLACKHOLE:
		sp_burst_drop(burst, i, SP_DROP_ROUTE_BLACKHOLE);
		break;
	case SP_NEXTHOP_PROHIBIT:
		refuse(burst, i, SP_DROP_ROUTE_PROHIBIT);
		break;
	default:
		if (is_link_local(&burst->packet[i].key, false))
			sp_burst_drop(burst, i, SP_DROP_ROUTE_LINK_LOCAL);
		else
			refuse(burst, i, SP_DROP_ROUTE_UNREACHABLE);
	}
}

/* What a link asks of every packet, once for a run of packets. */
struct way {
	uint16_t link, port;
	uint8_t zone;
	bool up;
	uint32_t mtu;
};

static inline void load_way(const struct sp_routing *routing, uint16_t index, struct way *way)
{
	const struct sp_link *link = &routing->links[index];

	way->link = index;
	way->port = link->port;
	way->zone = link->zone;
	way->up = __atomic_load_n(&link->up, __ATOMIC_RELAXED);
	way->mtu = __atomic_load_n(&link->mtu, __ATOMIC_RELAXED);
}

/* Whether a packet of a settled session leaves by this way without more ado; forward decides about the others, and the same about these. */
static inline bool passes(const struct sp_burst *burst, unsigned int i, const struct way *way)
{
	const struct sp_packet *packet = &burst->packet[i];

	return burst->verdict[i] == SP_VERDICT_SETTLED && packet->zone_to == way->zone && way->up &&
	       burst->length[i] <= way->mtu + packet->l3_off && hops(burst, i) > 1;
}

void sp_route_burst(struct sp_worker *worker)
{
	const struct sp_routing *routing = worker->dataplane->routing;
	struct sp_burst *burst = &worker->burst;
	struct way way = {.link = SP_NO_LINK};

	if (!look_up_common4(worker))
		look_up(worker);
	for (unsigned int i = 0; i < burst->n; i++) {
		const struct sp_nexthop *nexthop;

		if (unlikely(!is_going(burst, i)))
			continue;
		nexthop = &routing->nexthops[burst->nexthop[i]];
		if (unlikely(nexthop->kind < SP_NEXTHOP_GLEAN)) {
			stay(worker, i, nexthop);
			continue;
		}
		if (nexthop->link != way.link)
			load_way(routing, nexthop->link, &way);
		if (likely(passes(burst, i, &way)))
			burst->egress[i] = way.port;
		else
			forward(worker, i, nexthop);
	}
}
