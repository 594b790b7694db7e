/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables of the kernel thread over the workers' real ones, two links, and messages as Linux sends them. No thread, TAP or socket.
 */
#ifndef SP_TESTS_UNIT_MGMT_KERNEL_FIXTURE_H
#define SP_TESTS_UNIT_MGMT_KERNEL_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mgmt/kernel/internal.h"
#include "tests/unit/mgmt/netlink_make.h"
#include "tests/unit/support/eal.h"

#define WAN 7 /* ifindex */
#define LAN 8
#define OUR 9 /* an interface of Linux that is none of the firewall's */

static struct sp_dataplane dataplane;
static struct sp_kernel *kernel;
static struct message message;
static const uint8_t mac[6] = {2, 0, 0, 0, 0, 7};

static inline void add_link(const char *name)
{
	struct sp_link link = {.mtu = 1500, .port = 0};

	snprintf(link.name, sizeof(link.name), "%s", name);
	assert_int_equal(sp_routing_add_link(dataplane.routing, &link), 0);
}

static inline int setup(void **state)
{
	const struct sp_route_config config = {.max4 = 1024, .max6 = 1024, .neighbours = 64};

	(void)state;
	sp_test_eal();
	memset(&dataplane, 0, sizeof(dataplane));
	dataplane.routing = sp_routing_create(&config, NULL, SOCKET_ID_ANY);
	assert_non_null(dataplane.routing);
	dataplane.n_ports = 1;
	dataplane.ports[0].mtu = 1500;
	dataplane.ports[0].ethdev = UINT16_MAX;
	dataplane.ports[0].link_up = 1;
	add_link("wan");
	add_link("lan");
	kernel = sp_kernel_make(&dataplane, NULL);
	assert_non_null(kernel);
	kernel->links[0].ifindex = WAN;
	kernel->links[1].ifindex = LAN;
	kernel->links[0].carrier = kernel->links[1].carrier = true;
	kernel->netlink.wanted_ms = INT64_MAX;
	sp_klinks_index(kernel);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	sp_kernel_free(kernel);
	sp_routing_free(dataplane.routing);
	return 0;
}

/* What the thread does until there is nothing to do. */
static inline void settle(void)
{
	sp_kobjects_settle(kernel);
	while (sp_kprefixes_turn(kernel) || sp_kneighbours_hosts(kernel))
		;
}

static inline void take(struct nlmsghdr *header, unsigned int flags)
{
	uint64_t malformed = kernel->counters.malformed;

	header->nlmsg_flags |= (uint16_t)flags;
	sp_knetlink_take(kernel, header);
	assert_int_equal(kernel->counters.malformed, malformed);
	settle();
}

static inline uint32_t lookup(const char *address)
{
	uint8_t bytes[16] = {0};

	assert_int_equal(inet_pton(af_of(address), address, bytes), 1);
	return sp_route_lookup(dataplane.routing, af_of(address) == AF_INET ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6, bytes);
}

static inline const struct sp_nexthop *way(const char *address)
{
	return &dataplane.routing->nexthops[lookup(address)];
}

/* The address goes to this neighbour. */
static inline void goes_to(const char *address, uint16_t link, const char *gateway)
{
	const struct sp_nexthop *nexthop = way(address);
	uint8_t bytes[16] = {0};

	assert_int_equal(inet_pton(af_of(gateway), gateway, bytes), 1);
	assert_int_equal(nexthop->kind, SP_NEXTHOP_NEIGHBOUR);
	assert_int_equal(nexthop->link, link);
	assert_memory_equal(nexthop->address, bytes, 16);
}

static inline void is_kind(const char *address, enum sp_nexthop_kind kind)
{
	assert_int_equal(way(address)->kind, kind);
}

/* A route by one hop; gateway NULL: on the link. */
static inline void route(uint16_t type, const char *prefix, int ifindex, const char *gateway, uint32_t metric, unsigned int flags)
{
	struct nlmsghdr *header = make_route(&message, type, prefix, RT_TABLE_MAIN, RTN_UNICAST);

	put_hop(header, ifindex, gateway);
	if (metric != 0)
		mnl_attr_put_u32(header, RTA_PRIORITY, metric);
	take(header, flags);
}

static inline void add_route(const char *prefix, int ifindex, const char *gateway, uint32_t metric)
{
	route(RTM_NEWROUTE, prefix, ifindex, gateway, metric, NLM_F_CREATE);
}

static inline void delete_route(const char *prefix, int ifindex, const char *gateway, uint32_t metric)
{
	route(RTM_DELROUTE, prefix, ifindex, gateway, metric, 0);
}

#endif
