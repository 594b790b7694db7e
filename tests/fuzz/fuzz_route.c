/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target of the whole packet path in route mode: links, routes of every kind, neighbours that are found and that are not, an MTU
 * that needs fragments, and Linux on the other side, which sends, too. Besides what fuzz_packet asks for, what leaves is what a router may
 * send: from its own MAC, no longer than the link takes, with a TTL and a right header checksum.
 *
 * Input: that of fuzz_packet, its seeds included; bits 6 and 7 of the control byte mean more from the second record on. Bit 6: the frame is
 * Linux's, by the TAP of the port's link. Bit 7: neighbours are found before this frame, or with bit 0 lost.
 */
#include "tests/fuzz/worker_fuzz.h"

#include <arpa/inet.h>

#include "dataplane/checksum.h"
#include "dataplane/kernel_way.h"
#include "dataplane/parse_internal.h"
#include "dataplane/routing.h"

#define LINK_IN    0
#define LINK_OUT   1
#define LINK_GUEST 2 /* VLAN 100 of port 0, as hardware strips it */
#define OUT_MTU    600

#define CONTROL_LINUX      0x40
#define CONTROL_NEIGHBOURS 0x80

static const char rules[] =
	"version = 1;\n"
	"default = { action = \"drop\"; };\n"
	"rules = (\n"
	"  \"10 allow tcp from inside to outside dport 443 mss 1200\",\n"
	"  \"11 allow udp from inside,guest\",\n"
	"  \"12 reject tcp dport 23,25\",\n"
	"  \"13 allow icmp,icmpv6,sctp,gre\",\n"
	"  \"14 allow udp from outside stateless\",\n"
	"  \"15 reject udp to self dport 53\",\n"
	"  \"16 allow tcp,udp,ospf to self\",\n"
	"  \"17 reject src 192.0.2.0/24\"\n"
	");\n"
	"nat = (\n"
	"  { id = 1; type = \"source\"; from = \"inside\"; to = \"outside\"; src = \"192.0.2.128/25\"; address = \"198.51.100.200\"; },\n"
	"  { id = 2; type = \"destination\"; from = \"outside\"; proto = \"udp\"; dst = \"198.51.100.201\"; dport = 53;"
	" address = \"192.0.2.1\"; },\n"
	"  { id = 3; type = \"static\"; from = \"inside\"; to = \"outside\"; src = \"192.0.2.9\"; address = \"198.51.100.9\"; },\n"
	"  { id = 4; type = \"prefix\"; from = \"inside\"; to = \"outside\"; src = \"2001:db8:1:1::/64\";"
	" address = \"2001:db8:2:1::/64\"; }\n"
	");\n";

static uint32_t neighbour[4]; /* next hops whose state the input chooses */

static const char *fuzz_rules(void)
{
	return rules;
}

static uint8_t parse(const char *text, uint8_t address[16])
{
	bool v6 = strchr(text, ':') != NULL;

	memset(address, 0, 16);
	must(inet_pton(v6 ? AF_INET6 : AF_INET, text, address) == 1, text);
	return v6 ? SP_FAMILY_IPV6 : SP_FAMILY_IPV4;
}

static void set_route(const char *prefix, uint8_t bits, uint32_t nexthop)
{
	uint8_t address[16], family = parse(prefix, address);

	must(sp_route_set(dataplane.routing, family, address, bits, nexthop) == 0, prefix);
}

static uint32_t make_nexthop(uint16_t link, uint8_t family, const char *text)
{
	uint8_t address[16];
	uint32_t id;

	if (text != NULL)
		parse(text, address);
	must(sp_nexthop_create(dataplane.routing, link, family, text == NULL ? NULL : address, &id) == 0, "no next hop");
	return id;
}

static void set_addresses(uint16_t link, const char *v4, const char *v6)
{
	struct sp_link_addresses addresses = {.n4 = 1, .n6 = 1};
	uint8_t address[16];

	parse(v4, address);
	memcpy(&addresses.v4[0], address, 4);
	parse(v6, addresses.v6[0]);
	parse("fe80::fe", addresses.link_local);
	must(sp_link_set_addresses(dataplane.routing, link, &addresses) == 0, "no addresses");
	set_route(v4, 32, SP_NEXTHOP_ID_SELF);
	set_route(v6, 128, SP_NEXTHOP_ID_SELF);
}

static void make_links(void)
{
	static const uint8_t mac[6] = {0x02, 0, 0, 0, 0, 0x02};
	static const struct sp_link links[] = {
		{.name = "in", .port = 0, .rpf = SP_RPF_STRICT, .mtu = 1500},
		{.name = "out", .port = 1, .rpf = SP_RPF_LOOSE, .mtu = OUT_MTU},
		{.name = "guest", .port = 0, .vlan = 100, .rpf = SP_RPF_OFF, .mtu = 1500},
	};
	static const char *const zones[] = {"inside", "outside", "guest"};

	for (unsigned int p = 0; p < PORTS; p++) {
		dataplane.ports[p].peer = SP_NO_PORT;
		dataplane.ports[p].vlan_apart = UINT16_MAX;
		memcpy(dataplane.ports[p].mac, mac, sizeof(mac));
		memset(dataplane.ports[p].link, 0xff, sizeof(dataplane.ports[p].link));
	}
	for (size_t l = 0; l < RTE_DIM(links); l++) {
		struct sp_port *port = &dataplane.ports[links[l].port];
		struct sp_link link = links[l];

		link.up = 1;
		link.zone = (uint8_t)sp_zone_index(&dataplane.zones, zones[l], strlen(zones[l]));
		memcpy(link.mac, mac, sizeof(mac));
		port->link[link.vlan] = (uint16_t)l;
		port->zone[link.vlan] = link.zone;
		must(sp_routing_add_link(dataplane.routing, &link) == 0, "no link");
	}
}

static void make_routes(void)
{
	uint32_t members[2], group;

	set_addresses(LINK_IN, "192.0.2.254", "2001:db8:1::fe");
	set_addresses(LINK_OUT, "198.51.100.254", "2001:db8:2::fe");
	set_route("192.0.2.0", 24, make_nexthop(LINK_IN, SP_FAMILY_IPV4, NULL));
	set_route("198.51.100.0", 24, make_nexthop(LINK_OUT, SP_FAMILY_IPV4, NULL));
	set_route("203.0.113.0", 24, make_nexthop(LINK_GUEST, SP_FAMILY_IPV4, NULL));
	set_route("2001:db8:1::", 64, make_nexthop(LINK_IN, SP_FAMILY_IPV6, NULL));
	set_route("2001:db8:2::", 64, make_nexthop(LINK_OUT, SP_FAMILY_IPV6, NULL));
	neighbour[0] = make_nexthop(LINK_IN, SP_FAMILY_IPV4, "192.0.2.1");
	neighbour[1] = make_nexthop(LINK_IN, SP_FAMILY_IPV6, "2001:db8:1::1");
	neighbour[2] = make_nexthop(LINK_OUT, SP_FAMILY_IPV4, "198.51.100.2");
	neighbour[3] = make_nexthop(LINK_OUT, SP_FAMILY_IPV6, "fe80::2");
	set_route("192.0.2.1", 32, neighbour[0]);
	set_route("2001:db8:1::1", 128, neighbour[1]);
	set_route("198.51.100.2", 32, neighbour[2]);
	set_route("2001:db8:2::2", 128, neighbour[3]);
	members[0] = neighbour[2];
	members[1] = make_nexthop(LINK_GUEST, SP_FAMILY_IPV4, "203.0.113.3");
	must(sp_nexthop_group(dataplane.routing, members, 2, &group) == 0, "no group");
	set_route("0.0.0.0", 0, group);
	set_route("10.0.0.0", 8, SP_NEXTHOP_ID_PROHIBIT);
	set_route("172.16.0.0", 12, SP_NEXTHOP_ID_BLACKHOLE);
	set_route("192.168.0.0", 16, SP_NEXTHOP_ID_UNREACHABLE);
}

static void fuzz_prepare(void)
{
	/* fewer waiting packets than neighbours that one turn of the worker looks at */
	static const struct sp_route_config config = {.max4 = 1024,
		.max6 = 1024,
		.neighbours = 64,
		.queue = 4,
		.waiting = 24,
		.self_rate = {1000, 1000, 1000, 1000, 1000},
		.errors = 1000};

	dataplane.zone_self = (uint8_t)sp_zone_index(&dataplane.zones, "self", 4);
	dataplane.routing = sp_routing_create(&config, NULL, SOCKET_ID_ANY);
	must(dataplane.routing != NULL, "no routing");
	make_links();
	must(sp_kernel_ports_make(&dataplane) == 0, "no ports of Linux");
	make_routes();
}

static void set_neighbours(bool found)
{
	static const uint8_t mac[6] = {0x02, 0, 0, 0, 0, 0x01};

	for (size_t n = 0; n < RTE_DIM(neighbour); n++)
		if (found)
			sp_nexthop_resolved(dataplane.routing, neighbour[n], mac);
		else
			sp_nexthop_failed(dataplane.routing, neighbour[n]);
}

static bool first_frame;
static uint64_t went_up, came_down, up_before, down_before;

static void fuzz_begin(void)
{
	first_frame = true;
	set_neighbours(true);
}

static bool fuzz_give(uint8_t control, struct rte_mbuf *mbuf)
{
	bool first = first_frame;

	first_frame = false;
	if (first)
		return false;
	if (control & CONTROL_NEIGHBOURS)
		set_neighbours(!(control & CONTROL_PORT));
	/* the kernel thread reads whole frames into single buffers */
	if (!(control & CONTROL_LINUX) || mbuf->nb_segs > 1 || mbuf->ol_flags != 0)
		return false;
	mbuf->port = (uint16_t)(SP_PORTS_MAX + (control & CONTROL_PORT ? LINK_OUT : LINK_IN));
	must(rte_ring_enqueue(dataplane.routing->from_kernel, mbuf) == 0, "ring full");
	came_down++;
	return true;
}

static void fuzz_turned(void)
{
	const struct sp_stats *stats = &dataplane.workers[0]->stats;
	struct sp_resolve question;
	void *mbuf;

	while (rte_ring_dequeue(dataplane.routing->to_kernel, &mbuf) == 0) {
		must(((struct rte_mbuf *)mbuf)->port < dataplane.routing->n_links, "up to no link");
		rte_pktmbuf_free(mbuf);
		went_up++;
	}
	must(stats->to_kernel - up_before == went_up, "to_kernel is not what went up");
	must(stats->from_kernel - down_before <= came_down, "from_kernel is more than what came down");
	while (rte_ring_sc_dequeue_elem(dataplane.routing->resolve, &question, sizeof(question)) == 0)
		must(question.link < dataplane.routing->n_links && question.nexthop < dataplane.routing->n_nexthops, "asked for nothing");
}

/* What the router forwards; Linux's own frames are Linux's matter. */
static void fuzz_left(unsigned int port, const struct rte_mbuf *mbuf)
{
	static const uint8_t own[6] = {0x02, 0, 0, 0, 0, 0x02}, other[6] = {0x02, 0, 0, 0, 0, 0x01};
	uint8_t copy[2048];
	const uint8_t *frame = rte_pktmbuf_read(mbuf, 0, RTE_MIN(mbuf->pkt_len, 100u), copy), *ip;
	uint32_t l3 = 14, header;
	uint16_t sum;

	if (came_down > 0 || memcmp(frame, other, 6) != 0)
		return;
	must(memcmp(frame + 6, own, 6) == 0, "a frame from another's MAC");
	if (frame[12] == 0x81)
		l3 = 18;
	ip = frame + l3;
	must(mbuf->pkt_len >= l3 + 20u, "less than a header left");
	if (ip[0] >> 4 == 6) {
		must(mbuf->pkt_len <= l3 + (port == 1 ? OUT_MTU : 1500), "longer than the MTU, IPv6");
		must(ip[7] > 0, "hop limit 0 left");
		return;
	}
	header = (ip[0] & 0xfu) * 4;
	must(ip[0] >> 4 == 4 && header >= 20 && mbuf->pkt_len >= l3 + header, "no IP packet left");
	must(mbuf->pkt_len <= l3 + (port == 1 ? OUT_MTU : 1500), "longer than the MTU");
	must(ip[8] > 0, "TTL 0 left");
	sum = sp_checksum_fold(sp_checksum_add(0, ip, header));
	must(dataplane.ports[0].checksum == SP_CHECKSUM_OFF || sum == 0xffff, "a wrong IPv4 header checksum left");
}
