/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Route mode, the way in at layer 2: which link a frame came by, whether it is for the router, and what goes up to Linux without being a
 * matter of rules: ARP, neighbour and router discovery, and what a DHCP server answers to Linux. What Linux sends of these leaves at once.
 */
#include <netinet/in.h>
#include <rte_ether.h>

#include "dataplane/kernel_way.h"
#include "dataplane/nd.h"
#include "dataplane/parse_internal.h"
#include "dataplane/routing.h"
#include "dataplane/stages.h"

#define DHCP_SERVER   67
#define DHCP_CLIENT   68
#define DHCP6_SERVER  547
#define DHCP6_CLIENT  546
#define DHCP_WAITS_MS 120000 /* for an answer to what Linux last sent: DHCP clients retry for about a minute (RFC 2131 4.1) */
#define DHCP_AHEAD_MS 1000   /* that the asking worker's clock, rounded up, may be ahead of this one's */

#define TCI_VLAN    0x0fff
#define ND_FIRST    133
#define ND_REDIRECT 137

/* The first six bytes of a frame. */
static inline uint64_t mac_word(const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return rte_le_to_cpu_64(word) & SP_MAC_BITS;
}

/* The VLAN that the frame's tag names; of two that name one, as no link has, TCI_VLAN, which is reserved (802.1Q 9.6). */
static uint16_t frame_vlan(const struct rte_mbuf *mbuf, uint8_t l3_off)
{
	const uint8_t *frame = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	uint16_t vlan = 0;

	for (unsigned int off = SP_ETHER_BYTES; off < l3_off && off + 2 <= mbuf->data_len; off += SP_VLAN_BYTES) {
		uint16_t id = sp_read_be16(frame + off) & TCI_VLAN;

		if (id != 0 && vlan != 0)
			return TCI_VLAN;
		vlan |= id;
	}
	return vlan;
}

static bool is_group_address(const struct sp_key *key)
{
	if (key->family == SP_FAMILY_IPV6)
		return key->v6.dst[0] == 0xff;
	return rte_be_to_cpu_32(key->v4.dst) >> 28 >= 0xe;
}

static bool is_discovery(const struct sp_packet *packet)
{
	return packet->kind == SP_KIND_FLOW && packet->key.proto == IPPROTO_ICMPV6 && packet->key.family == SP_FAMILY_IPV6 &&
	       sp_nd_is(packet) && packet->key.aux >> 8 != ND_REDIRECT;
}

/* Which DHCP, 0 or 1 for IPv6, goes between these ports; -1: none. */
static int dhcp_between(const struct sp_packet *packet, uint16_t server4, uint16_t server6)
{
	const struct sp_key *key = &packet->key;
	const uint16_t sport = rte_be_to_cpu_16(key->sport), dport = rte_be_to_cpu_16(key->dport);

	if (key->proto != IPPROTO_UDP || packet->kind != SP_KIND_FLOW)
		return -1;
	if (key->family == SP_FAMILY_IPV4)
		return sport == server4 && dport == DHCP_SERVER + DHCP_CLIENT - server4 ? 0 : -1;
	return sport == server6 && dport == DHCP6_SERVER + DHCP6_CLIENT - server6 ? 1 : -1;
}

static bool dhcp_expected(const struct sp_worker *worker, const struct sp_link *link, int which)
{
	uint32_t asked = __atomic_load_n(&link->dhcp_ms[which], __ATOMIC_RELAXED);

	return asked != 0 && worker->burst.now_ms + DHCP_AHEAD_MS - asked < DHCP_WAITS_MS + DHCP_AHEAD_MS;
}

/* Whether the destination is a group, or an address of the firewall's own: of anything else Linux might become the router, around the
 * rules. */
static bool is_for_linux(const struct sp_routing *routing, const struct sp_key *key)
{
	const uint8_t *address = key->family == SP_FAMILY_IPV4 ? (const uint8_t *)&key->v4.dst : key->v6.dst;

	return is_group_address(key) || routing->nexthops[sp_route_lookup(routing, key->family, address)].kind == SP_NEXTHOP_SELF;
}

/* Whether it is the broadcast address of a network of this link: the FIB knows it as the firewall's own, and it is none of its addresses.
 */
static bool is_links_broadcast(const struct sp_routing *routing, const struct sp_link *link, const struct sp_key *key)
{
	const struct sp_link_addresses *addresses = __atomic_load_n(&link->addresses, __ATOMIC_ACQUIRE);
	uint32_t id;

	if (key->family != SP_FAMILY_IPV4)
		return false;
	for (unsigned int n = 0; n < addresses->n4; n++)
		if (addresses->v4[n] == key->v4.dst)
			return false;
	id = sp_route_lookup(routing, SP_FAMILY_IPV4, (const uint8_t *)&key->v4.dst);
	return routing->nexthops[id].kind == SP_NEXTHOP_SELF;
}

/* A DHCP server may answer to the address that it offers, which is nobody's yet. Linux shows a broadcast frame to clients, and never
 * forwards what is in it. */
static void make_broadcast(struct rte_mbuf *mbuf)
{
	memset(rte_pktmbuf_mtod(mbuf, uint8_t *), 0xff, RTE_ETHER_ADDR_LEN);
}

static void to_kernel(struct sp_worker *worker, unsigned int i, enum sp_self_class class)
{
	struct sp_burst *burst = &worker->burst;
	enum sp_drop_reason reason = sp_kernel_admit(worker, class);

	if (reason != SP_DROP_NONE) {
		sp_burst_drop(burst, i, reason);
		return;
	}
	burst->verdict[i] = SP_VERDICT_SETTLED;
	burst->nexthop[i] = SP_NEXTHOP_ID_SELF;
}

/*
 * Whether a frame of a neighbour is for the router and nothing else is to be said about it, as of nearly all; take decides about the rest,
 * and the same about these.
 */
static inline bool is_plain(const struct sp_burst *burst, unsigned int i, uint64_t mac)
{
	const struct sp_packet *packet = &burst->packet[i];
	const struct rte_mbuf *mbuf = burst->mbuf[i];
	const uint8_t proto = packet->key.proto;

	/* Without branches that are hard to foretell: all of this holds, or the packet is a rare one. */
	if (mbuf->data_len < SP_ETHER_BYTES + SP_IPV6_BYTES)
		return false;
	if ((packet->l3_off ^ SP_ETHER_BYTES) | (packet->kind ^ SP_KIND_FLOW) | (mac_word(rte_pktmbuf_mtod(mbuf, const uint8_t *)) != mac))
		return false;
	if (proto == IPPROTO_UDP && (packet->key.dport == RTE_BE16(DHCP_CLIENT) || packet->key.dport == RTE_BE16(DHCP6_CLIENT)))
		return false;
	return (proto == IPPROTO_UDP || proto == IPPROTO_TCP) && !is_group_address(&packet->key);
}

/* The headers of layer 2 and 3 must lie together: the stages from here on read and write them in place. */
static bool bring_together(struct rte_mbuf *mbuf, const struct sp_packet *packet)
{
	static const uint8_t header[] = {[SP_FAMILY_IPV4] = SP_IPV4_BYTES, [SP_FAMILY_IPV6] = SP_IPV6_BYTES};
	const uint32_t need = packet->l3_off + header[packet->key.family];

	return likely(mbuf->data_len >= need) || (sp_mbuf_is_sole_owner(mbuf) && rte_pktmbuf_linearize(mbuf) == 0);
}

/* Whether an interface of Linux on the port's TAPs has this address of its own (macvlan, as VRRP's virtual router). */
static __rte_noinline bool is_another_of_ours(const struct sp_port *port, uint64_t mac)
{
	for (unsigned int i = 0; i < SP_PORT_MACS_MAX; i++)
		if (sp_mac_load(&port->more_macs[i]) == mac)
			return mac != 0;
	return false;
}

/* A frame of a neighbour. */
static void take(struct sp_worker *worker, const struct sp_port *port, unsigned int i)
{
	struct sp_burst *burst = &worker->burst;
	const struct sp_packet *packet = &burst->packet[i];
	const uint8_t *frame = rte_pktmbuf_mtod(burst->mbuf[i], const uint8_t *);
	const struct sp_link *link;
	const uint8_t l3_off = packet->l3_off;
	uint16_t index;
	bool group;
	int dhcp;

	if (unlikely(!bring_together(burst->mbuf[i], packet))) {
		sp_burst_drop(burst, i, SP_DROP_QUEUE_MBUF);
		return;
	}
	index = port->link[likely(l3_off == SP_ETHER_BYTES) ? 0 : frame_vlan(burst->mbuf[i], l3_off)];
	if (unlikely(index == SP_NO_LINK)) {
		sp_burst_drop(burst, i, SP_DROP_ROUTE_NO_LINK);
		return;
	}
	burst->link[i] = index;
	link = &worker->dataplane->routing->links[index];
	group = frame[0] & RTE_ETHER_GROUP_ADDR;
	if (unlikely(!group && mac_word(frame) != sp_mac_load(&link->mac_word) && !is_another_of_ours(port, mac_word(frame)))) {
		sp_burst_drop(burst, i, SP_DROP_ROUTE_NOT_OURS);
		return;
	}
	if (unlikely(group && mac_word(frame + RTE_ETHER_ADDR_LEN) == sp_mac_load(&link->mac_word))) {
		sp_burst_drop(burst, i, SP_DROP_ROUTE_OWN);
		return;
	}
	if (unlikely(packet->kind == SP_KIND_NON_IP)) {
		if (packet->key.aux == RTE_ETHER_TYPE_ARP)
			to_kernel(worker, i, SP_SELF_ARP);
		else
			sp_burst_drop(burst, i, SP_DROP_ROUTE_NON_IP);
		return;
	}
	if (unlikely(is_discovery(packet))) {
		if (is_for_linux(worker->dataplane->routing, &packet->key) && sp_nd_valid(burst->mbuf[i], packet))
			to_kernel(worker, i, SP_SELF_ND);
		else
			sp_burst_drop(burst, i, SP_DROP_ICMP_ND);
		return;
	}
	dhcp = dhcp_between(packet, DHCP_SERVER, DHCP6_SERVER);
	if (unlikely(dhcp >= 0) && dhcp_expected(worker, link, dhcp)) {
		if (!is_for_linux(worker->dataplane->routing, &packet->key))
			make_broadcast(burst->mbuf[i]);
		to_kernel(worker, i, SP_SELF_DHCP);
		return;
	}
	if (packet->kind != SP_KIND_ICMP_ERROR && unlikely(is_group_address(&packet->key)))
		burst->nexthop[i] = SP_NEXTHOP_ID_SELF;
	else if (unlikely(group) && !is_links_broadcast(worker->dataplane->routing, link, &packet->key)) /* RFC 1122 3.3.6 */
		sp_burst_drop(burst, i, SP_DROP_ROUTE_MULTICAST);
}

/* A frame of Linux. It has chosen link and neighbour. */
static void take_from_linux(struct sp_worker *worker, struct sp_link *link, unsigned int i)
{
	struct sp_burst *burst = &worker->burst;
	const struct sp_packet *packet = &burst->packet[i];
	int dhcp = dhcp_between(packet, DHCP_CLIENT, DHCP6_CLIENT);

	burst->link[i] = link->index;
	burst->nexthop[i] = SP_NEXTHOP_ID_LINUX;
	burst->packet[i].zone_to = link->zone;
	if (dhcp >= 0)
		__atomic_store_n(&link->dhcp_ms[dhcp], burst->now_ms | 1, __ATOMIC_RELAXED);
	if (packet->kind == SP_KIND_NON_IP || is_discovery(packet))
		burst->verdict[i] = SP_VERDICT_SETTLED;
}

static void take_all(struct sp_worker *worker, const struct sp_port *port)
{
	struct sp_burst *burst = &worker->burst;
	const uint16_t untagged = port->link[0];
	const uint64_t mac = untagged != SP_NO_LINK ? sp_mac_load(&worker->dataplane->routing->links[untagged].mac_word) : 0;

	for (unsigned int i = 0; i < burst->n; i++) {
		if (unlikely(burst->verdict[i] != SP_VERDICT_GOING))
			continue;
		if (likely(untagged != SP_NO_LINK && is_plain(burst, i, mac)))
			burst->link[i] = untagged;
		else
			take(worker, port, i);
	}
}

void sp_link_burst(struct sp_worker *worker, const struct sp_port *port)
{
	struct sp_burst *burst = &worker->burst;

	memset(burst->nexthop, 0xff, sizeof(burst->nexthop));
	if (likely(!port->kernel)) {
		take_all(worker, port);
		return;
	}
	for (unsigned int i = 0; i < burst->n; i++)
		if (likely(burst->verdict[i] == SP_VERDICT_GOING))
			take_from_linux(worker, &worker->dataplane->routing->links[port->link[0]], i);
}
