/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The laboratory of worker_fixture.h in route mode: two ports, a VLAN on the first, connected networks on each, and what a kernel thread
 * would do in the test's own hands. Linux's end are the rings.
 *
 *   link 0 "in"     port IN            192.0.2.254/24     2001:db8:1::fe/64  fe80::fe   zone inside
 *   link 1 "out"    port OUT           198.51.100.254/24  2001:db8:2::fe/64             zone outside
 *   link 2 "guest"  port IN, VLAN 20   203.0.113.254/24                                 zone guest
 */
#ifndef SP_TESTS_UNIT_DATAPLANE_ROUTE_FIXTURE_H
#define SP_TESTS_UNIT_DATAPLANE_ROUTE_FIXTURE_H

#include "tests/unit/dataplane/worker_fixture.h"

#include <arpa/inet.h>

#include "dataplane/bytes.h"
#include "dataplane/checksum.h"
#include "dataplane/fragmenting.h"
#include "dataplane/output.h"
#include "dataplane/router_error.h"
#include "dataplane/routing.h"
#include "dataplane/waiting.h"

#define LINK_IN     0
#define LINK_OUT    1
#define LINK_GUEST  2
#define ROUTE_LINKS 3

#define ROUTE_ALL "version = 1; default = { action = \"allow\"; }; rules = ();"

static const uint8_t route_mac[6] = {0x02, 0, 0, 0, 0, 0x02};  /* of both ports: what sp_frame_build sends to */
static const uint8_t route_host[6] = {0x02, 0, 0, 0, 0, 0x01}; /* what it sends from */

static struct sp_route_config route_config;

/* Before each start; tests change what they need. */
static inline void route_defaults(void)
{
	route_config = (struct sp_route_config){.rpf = SP_RPF_STRICT,
		.max4 = 4096,
		.max6 = 1024,
		.neighbours = 512,
		.queue = 4,
		.waiting = 64,
		.self_rate = {1000, 1000, 1000, 1000, 1000},
		.errors = 1000};
}

static inline uint8_t route_parse(const char *text, uint8_t address[16])
{
	bool v6 = strchr(text, ':') != NULL;

	memset(address, 0, 16);
	assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, text, address), 1);
	return v6 ? SP_FAMILY_IPV6 : SP_FAMILY_IPV4;
}

static inline void route_set(const char *prefix, uint8_t bits, uint32_t nexthop)
{
	uint8_t address[16], family = route_parse(prefix, address);

	assert_int_equal(sp_route_set(lab.dataplane->routing, family, address, bits, nexthop), 0);
}

static inline uint32_t route_glean(uint16_t link, uint8_t family)
{
	uint32_t id;

	assert_int_equal(sp_nexthop_create(lab.dataplane->routing, link, family, NULL, &id), 0);
	return id;
}

/* A next hop on a link, not resolved and no host route yet. */
static inline uint32_t route_gateway(uint16_t link, const char *text)
{
	uint8_t address[16], family = route_parse(text, address);
	uint32_t id;

	assert_int_equal(sp_nexthop_create(lab.dataplane->routing, link, family, address, &id), 0);
	return id;
}

static inline void route_resolve(uint32_t id, uint8_t last)
{
	const uint8_t mac[6] = {0x02, 0, 0, 0, 0x99, last};

	sp_nexthop_resolved(lab.dataplane->routing, id, mac);
}

/* A neighbour that Linux has found, with its host route. */
static inline uint32_t route_neighbour(uint16_t link, const char *text, uint8_t last)
{
	uint32_t id = route_gateway(link, text);

	route_resolve(id, last);
	route_set(text, strchr(text, ':') != NULL ? 128 : 32, id);
	return id;
}

static inline void route_addresses(uint16_t link, const char *v4, const char *v6, const char *link_local)
{
	struct sp_link_addresses addresses = {0};
	uint8_t address[16];

	if (v4 != NULL) {
		route_parse(v4, address);
		memcpy(&addresses.v4[addresses.n4++], address, 4);
		route_set(v4, 32, SP_NEXTHOP_ID_SELF);
	}
	if (v6 != NULL) {
		route_parse(v6, addresses.v6[addresses.n6++]);
		route_set(v6, 128, SP_NEXTHOP_ID_SELF);
	}
	if (link_local != NULL)
		route_parse(link_local, addresses.link_local);
	assert_int_equal(sp_link_set_addresses(lab.dataplane->routing, link, &addresses), 0);
}

static inline void route_links(struct sp_dataplane *dataplane)
{
	static const struct sp_link links[ROUTE_LINKS] = {
		{.name = "in", .port = IN, .zone = 0},
		{.name = "out", .port = OUT, .zone = 1},
		{.name = "guest", .port = IN, .vlan = 20, .zone = 2},
	};

	for (unsigned int p = 0; p < dataplane->n_ports; p++) {
		struct sp_port *port = &dataplane->ports[p];

		port->peer = SP_NO_PORT;
		port->domain = 0;
		port->pass_link = false;
		port->vlan_apart = UINT16_MAX;
		memcpy(port->mac, route_mac, sizeof(route_mac));
		memset(port->link, 0xff, sizeof(port->link));
	}
	for (unsigned int l = 0; l < ROUTE_LINKS; l++) {
		struct sp_link link = links[l];

		link.mtu = 1500;
		link.up = 1;
		link.rpf = route_config.rpf;
		memcpy(link.mac, route_mac, sizeof(route_mac));
		dataplane->ports[link.port].link[link.vlan] = (uint16_t)l;
		dataplane->ports[link.port].zone[link.vlan] = link.zone;
		assert_int_equal(sp_routing_add_link(dataplane->routing, &link), 0);
	}
}

static inline void route_prepare(struct sp_dataplane *dataplane)
{
	int self;

	dataplane->zones.closed = false;
	self = sp_zone_index(&dataplane->zones, "self", 4);
	dataplane->zones.closed = true;
	assert_true(self >= 0);
	dataplane->zone_self = (uint8_t)self;
	dataplane->routing = sp_routing_create(&route_config, dataplane->qsbr, SOCKET_ID_ANY);
	assert_non_null(dataplane->routing);
	route_links(dataplane);
	assert_int_equal(sp_kernel_ports_make(dataplane), 0);
	route_set("192.0.2.0", 24, route_glean(LINK_IN, SP_FAMILY_IPV4));
	route_set("198.51.100.0", 24, route_glean(LINK_OUT, SP_FAMILY_IPV4));
	route_set("203.0.113.0", 24, route_glean(LINK_GUEST, SP_FAMILY_IPV4));
	route_set("2001:db8:1::", 64, route_glean(LINK_IN, SP_FAMILY_IPV6));
	route_set("2001:db8:2::", 64, route_glean(LINK_OUT, SP_FAMILY_IPV6));
	route_set("192.0.2.255", 32, SP_NEXTHOP_ID_SELF);
	route_set("198.51.100.255", 32, SP_NEXTHOP_ID_SELF);
	route_addresses(LINK_IN, "192.0.2.254", "2001:db8:1::fe", "fe80::fe");
	route_addresses(LINK_OUT, "198.51.100.254", "2001:db8:2::fe", NULL);
	route_addresses(LINK_GUEST, "203.0.113.254", NULL, NULL);
}

/* After route_defaults. The usual hosts of sp_frame_build are found neighbours. */
static inline void route_start(const struct lab_options *options, const char *rules)
{
	struct lab_options routed = *options;

	routed.prepare = route_prepare;
	lab_start(&routed, rules);
	route_neighbour(LINK_IN, "192.0.2.1", 1);
	route_neighbour(LINK_IN, "2001:db8:1::1", 1);
	route_neighbour(LINK_OUT, "198.51.100.2", 2);
	route_neighbour(LINK_OUT, "2001:db8:2::2", 2);
}

/* The next packet that went up to Linux; its link in mbuf->port. NULL without one. */
static inline struct rte_mbuf *route_take_up(void)
{
	void *mbuf;

	return rte_ring_dequeue(lab.dataplane->routing->to_kernel, &mbuf) == 0 ? mbuf : NULL;
}

static inline unsigned int route_count_up(void)
{
	struct rte_mbuf *mbuf;
	unsigned int n = 0;

	while ((mbuf = route_take_up()) != NULL) {
		rte_pktmbuf_free(mbuf);
		n++;
	}
	return n;
}

/* The next neighbour that workers ask for. */
static inline bool route_asked(struct sp_resolve *question)
{
	return rte_ring_sc_dequeue_elem(lab.dataplane->routing->resolve, question, sizeof(*question)) == 0;
}

/* A frame of Linux's, by the TAP of a link. */
static inline void route_send_down(uint16_t link, const struct sp_frame *frame)
{
	struct rte_mbuf *mbuf = sp_frame_mbuf(lab_pool, frame->bytes, frame->len);

	mbuf->port = (uint16_t)(SP_PORTS_MAX + link);
	assert_int_equal(rte_ring_enqueue(lab.dataplane->routing->from_kernel, mbuf), 0);
}

/* The bytes of a packet, whatever its segments; valid until the next call. */
static inline const uint8_t *route_bytes(const struct rte_mbuf *mbuf)
{
	static uint8_t copy[65536];
	const void *bytes = rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, copy);

	assert_non_null(bytes);
	if (bytes != copy)
		memcpy(copy, bytes, mbuf->pkt_len);
	return copy;
}

#endif
