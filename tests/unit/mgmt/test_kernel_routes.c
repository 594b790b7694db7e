/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/mgmt/kernel_fixture.h"

/* --- kinds ------------------------------------------------------------------------------------------------------------------------------
 */

static void test_kinds(void **state)
{
	static const struct {
		uint8_t type;
		enum sp_nexthop_kind kind;
	} kinds[] = {{RTN_LOCAL, SP_NEXTHOP_SELF}, {RTN_BROADCAST, SP_NEXTHOP_SELF}, {RTN_ANYCAST, SP_NEXTHOP_SELF},
		{RTN_BLACKHOLE, SP_NEXTHOP_BLACKHOLE}, {RTN_PROHIBIT, SP_NEXTHOP_PROHIBIT}, {RTN_UNREACHABLE, SP_NEXTHOP_UNREACHABLE},
		{RTN_MULTICAST, SP_NEXTHOP_BLACKHOLE}};

	(void)state;
	take(make_route(&message, RTM_NEWROUTE, "0.0.0.0/0", RT_TABLE_MAIN, RTN_BLACKHOLE), NLM_F_CREATE);
	for (size_t i = 0; i < RTE_DIM(kinds); i++) {
		uint32_t table = kinds[i].kind == SP_NEXTHOP_SELF ? RT_TABLE_LOCAL : RT_TABLE_MAIN;

		take(make_route(&message, RTM_NEWROUTE, "192.0.2.1/32", table, kinds[i].type), NLM_F_CREATE);
		is_kind("192.0.2.1", kinds[i].kind);
		take(make_route(&message, RTM_DELROUTE, "192.0.2.1/32", table, kinds[i].type), 0);
		is_kind("192.0.2.1", SP_NEXTHOP_BLACKHOLE);
	}
}

static void test_what_does_not_concern_us(void **state)
{
	struct nlmsghdr *header;

	(void)state;
	header = make_route(&message, RTM_NEWROUTE, "192.0.2.0/24", 100, RTN_UNICAST);
	put_hop(header, WAN, NULL);
	take(header, NLM_F_CREATE);
	header = make_route(&message, RTM_NEWROUTE, "192.0.2.0/24", RT_TABLE_MAIN, RTN_UNICAST);
	((struct rtmsg *)mnl_nlmsg_get_payload(header))->rtm_flags = RTM_F_CLONED;
	put_hop(header, WAN, NULL);
	take(header, NLM_F_CREATE);
	header = make_route(&message, RTM_NEWROUTE, "192.0.2.0/24", RT_TABLE_MAIN, RTN_UNICAST);
	((struct rtmsg *)mnl_nlmsg_get_payload(header))->rtm_tos = 4;
	put_hop(header, WAN, NULL);
	take(header, NLM_F_CREATE);
	add_route("fe80::/64", WAN, NULL, 256);
	add_route("192.0.2.0/24", OUR, NULL, 0);
	take(make_route(&message, RTM_NEWROUTE, "127.0.0.0/8", RT_TABLE_LOCAL, RTN_LOCAL), NLM_F_CREATE);
	is_kind("127.0.0.1", SP_NEXTHOP_UNREACHABLE);
	is_kind("192.0.2.9", SP_NEXTHOP_UNREACHABLE);
	is_kind("fe80::9", SP_NEXTHOP_UNREACHABLE);
	assert_int_equal(sp_routing_counters(dataplane.routing)->routes4, 0);
	assert_int_equal(sp_routing_counters(dataplane.routing)->routes6, 0);
}

static void test_connected_and_gateway(void **state)
{
	(void)state;
	add_route("192.0.2.0/24", WAN, NULL, 0);
	is_kind("192.0.2.77", SP_NEXTHOP_GLEAN);
	assert_int_equal(way("192.0.2.77")->link, 0);
	add_route("0.0.0.0/0", WAN, "192.0.2.1", 0);
	goes_to("198.51.100.1", 0, "192.0.2.1");
	goes_to("192.0.2.1", 0, "192.0.2.1"); /* a neighbour of a connected prefix has a route of its own */
	is_kind("192.0.2.2", SP_NEXTHOP_GLEAN);
	add_route("2001:db8::/32", LAN, "fe80::1", 1024);
	goes_to("2001:db8::77", 1, "fe80::1");
	is_kind("fe80::1", SP_NEXTHOP_UNREACHABLE);
	delete_route("0.0.0.0/0", WAN, "192.0.2.1", 0);
	is_kind("198.51.100.1", SP_NEXTHOP_UNREACHABLE);
}

static void test_ipv4_by_an_ipv6_gateway(void **state)
{
	struct nlmsghdr *header = make_route(&message, RTM_NEWROUTE, "198.51.100.0/24", RT_TABLE_MAIN, RTN_UNICAST);
	uint8_t via[18] = {AF_INET6, 0, 0xfe, 0x80, [17] = 1};

	(void)state;
	mnl_attr_put_u32(header, RTA_OIF, WAN);
	mnl_attr_put(header, RTA_VIA, sizeof(via), via);
	take(header, NLM_F_CREATE);
	goes_to("198.51.100.9", 0, "fe80::1");
	assert_int_equal(way("198.51.100.9")->family, SP_FAMILY_IPV6);
}

/* --- several routes to one prefix
 * ---------------------------------------------------------------------------------------------------------- */

static void test_the_lowest_metric_counts(void **state)
{
	(void)state;
	add_route("198.51.100.0/24", WAN, "192.0.2.2", 20);
	add_route("198.51.100.0/24", WAN, "192.0.2.1", 10);
	add_route("198.51.100.0/24", LAN, "192.0.2.3", 30);
	goes_to("198.51.100.9", 0, "192.0.2.1");
	delete_route("198.51.100.0/24", WAN, "192.0.2.1", 10);
	goes_to("198.51.100.9", 0, "192.0.2.2");
	delete_route("198.51.100.0/24", WAN, "192.0.2.2", 20);
	goes_to("198.51.100.9", 1, "192.0.2.3");
	delete_route("198.51.100.0/24", LAN, "192.0.2.3", 30);
	is_kind("198.51.100.9", SP_NEXTHOP_UNREACHABLE);
	assert_int_equal(kernel->n_routes[0], 0);
	assert_int_equal(kernel->prefixes.n, 0);
}

static void test_one_that_cannot_be_used_is_passed_over(void **state)
{
	static const struct hop dead[] = {{WAN, "192.0.2.1", 1, RTNH_F_LINKDOWN}};
	struct nlmsghdr *header = make_route(&message, RTM_NEWROUTE, "198.51.100.0/24", RT_TABLE_MAIN, RTN_UNICAST);

	(void)state;
	put_hops(header, dead, 1);
	take(header, NLM_F_CREATE);
	is_kind("198.51.100.9", SP_NEXTHOP_UNREACHABLE);
	add_route("198.51.100.0/24", LAN, "192.0.2.3", 30);
	goes_to("198.51.100.9", 1, "192.0.2.3");
	/* it lives again: Linux tells of it as it would of a new one */
	add_route("198.51.100.0/24", WAN, "192.0.2.1", 0);
	goes_to("198.51.100.9", 0, "192.0.2.1");
	assert_int_equal(kernel->n_routes[0], 2);
}

static void test_the_local_table_comes_first(void **state)
{
	(void)state;
	add_route("192.0.2.1/32", WAN, "198.51.100.1", 0);
	take(make_route(&message, RTM_NEWROUTE, "192.0.2.1/32", RT_TABLE_LOCAL, RTN_LOCAL), NLM_F_CREATE);
	is_kind("192.0.2.1", SP_NEXTHOP_SELF);
	take(make_route(&message, RTM_DELROUTE, "192.0.2.1/32", RT_TABLE_LOCAL, RTN_LOCAL), 0);
	goes_to("192.0.2.1", 0, "198.51.100.1");
}

static void test_ipv4_order_of_equals(void **state)
{
	(void)state;
	add_route("198.51.100.0/24", WAN, "192.0.2.1", 0);
	route(RTM_NEWROUTE, "198.51.100.0/24", WAN, "192.0.2.2", 0, NLM_F_CREATE | NLM_F_APPEND);
	goes_to("198.51.100.9", 0, "192.0.2.1");
	route(RTM_NEWROUTE, "198.51.100.0/24", WAN, "192.0.2.3", 0, NLM_F_CREATE);
	goes_to("198.51.100.9", 0, "192.0.2.3");
	delete_route("198.51.100.0/24", WAN, "192.0.2.3", 0);
	goes_to("198.51.100.9", 0, "192.0.2.1");
	route(RTM_NEWROUTE, "198.51.100.0/24", WAN, "192.0.2.4", 0, NLM_F_REPLACE);
	goes_to("198.51.100.9", 0, "192.0.2.4");
	assert_int_equal(kernel->n_routes[0], 2);
	delete_route("198.51.100.0/24", WAN, "192.0.2.4", 0);
	goes_to("198.51.100.9", 0, "192.0.2.2");
}

/* --- several hops
 * --------------------------------------------------------------------------------------------------------------------------- */

static unsigned int members(const struct sp_nexthop *group, const char *gateway)
{
	uint8_t bytes[16] = {0};
	unsigned int n = 0;

	assert_int_equal(group->kind, SP_NEXTHOP_GROUP);
	assert_int_equal(inet_pton(af_of(gateway), gateway, bytes), 1);
	for (unsigned int i = 0; i < group->n; i++)
		n += memcmp(dataplane.routing->nexthops[group->members[i]].address, bytes, 16) == 0;
	return n;
}

static void multipath(uint16_t type, const char *prefix, const struct hop *hops, size_t n, unsigned int flags)
{
	struct nlmsghdr *header = make_route(&message, type, prefix, RT_TABLE_MAIN, RTN_UNICAST);

	put_hops(header, hops, n);
	take(header, flags);
}

static void test_multipath_by_weight(void **state)
{
	static const struct hop hops[] = {{WAN, "192.0.2.1", 10, 0}, {LAN, "192.0.2.129", 30, 0}};
	static const struct hop skew[] = {{WAN, "192.0.2.1", 1, 0}, {LAN, "192.0.2.129", 255, 0}};
	uint32_t before;

	(void)state;
	multipath(RTM_NEWROUTE, "198.51.100.0/24", hops, 2, NLM_F_CREATE);
	assert_int_equal(way("198.51.100.9")->n, 4);
	assert_int_equal(members(way("198.51.100.9"), "192.0.2.129"), 3);
	before = lookup("198.51.100.9");
	multipath(RTM_NEWROUTE, "203.0.113.0/24", hops, 2, NLM_F_CREATE);
	assert_int_equal(lookup("203.0.113.9"), before); /* the same hops are the same group */
	multipath(RTM_NEWROUTE, "203.0.113.0/24", skew, 2, NLM_F_REPLACE);
	assert_true(way("203.0.113.9")->n <= SP_GROUP_MAX);
	assert_int_equal(members(way("203.0.113.9"), "192.0.2.1"), 1); /* the small one is not forgotten */
	assert_true(members(way("203.0.113.9"), "192.0.2.129") > 50);
}

static void test_dead_and_foreign_members_are_left_out(void **state)
{
	static const struct hop hops[] = {{WAN, "192.0.2.1", 1, RTNH_F_DEAD}, {LAN, "192.0.2.129", 1, 0}, {OUR, "203.0.113.1", 1, 0}};

	(void)state;
	multipath(RTM_NEWROUTE, "198.51.100.0/24", hops, 3, NLM_F_CREATE);
	goes_to("198.51.100.9", 1, "192.0.2.129");
}

/* Linux adds hops to a route of IPv6 and takes them out one by one. */
static void test_ipv6_siblings(void **state)
{
	static const struct hop both[] = {{WAN, "fe80::1", 1, 0}, {LAN, "fe80::2", 1, 0}};

	(void)state;
	add_route("2001:db8::/32", WAN, "fe80::1", 0);
	multipath(RTM_NEWROUTE, "2001:db8::/32", both, 2, NLM_F_CREATE | NLM_F_APPEND);
	assert_int_equal(kernel->n_routes[1], 1);
	assert_int_equal(way("2001:db8::9")->n, 2);
	delete_route("2001:db8::/32", WAN, "fe80::1", 0);
	goes_to("2001:db8::9", 1, "fe80::2");
	delete_route("2001:db8::/32", LAN, "fe80::2", 0);
	is_kind("2001:db8::9", SP_NEXTHOP_UNREACHABLE);
	assert_int_equal(kernel->n_routes[1], 0);
}

static void test_ipv6_connected_on_two_links(void **state)
{
	(void)state;
	add_route("2001:db8::/64", WAN, NULL, 256);
	add_route("2001:db8::/64", LAN, NULL, 256);
	assert_int_equal(way("2001:db8::9")->link, 0);
	delete_route("2001:db8::/64", WAN, NULL, 256);
	assert_int_equal(way("2001:db8::9")->link, 1);
}

static void test_router_preference(void **state)
{
	struct nlmsghdr *header;

	(void)state;
	header = make_route(&message, RTM_NEWROUTE, "::/0", RT_TABLE_MAIN, RTN_UNICAST);
	put_hop(header, WAN, "fe80::1");
	mnl_attr_put_u8(header, RTA_PREF, 3); /* low */
	take(header, NLM_F_CREATE);
	header = make_route(&message, RTM_NEWROUTE, "::/0", RT_TABLE_MAIN, RTN_UNICAST);
	put_hop(header, LAN, "fe80::2");
	mnl_attr_put_u8(header, RTA_PREF, 0);
	take(header, NLM_F_CREATE);
	goes_to("2001:db8::9", 1, "fe80::2");
}

/* --- nexthop objects
 * ------------------------------------------------------------------------------------------------------------------------ */

static void route_by(uint16_t type, const char *prefix, uint32_t id)
{
	struct nlmsghdr *header = make_route(&message, type, prefix, RT_TABLE_MAIN, RTN_UNICAST);

	mnl_attr_put_u32(header, RTA_NH_ID, id);
	take(header, type == RTM_NEWROUTE ? NLM_F_CREATE : 0);
}

static void test_objects(void **state)
{
	(void)state;
	route_by(RTM_NEWROUTE, "198.51.100.0/24", 3); /* before Linux has told of it */
	is_kind("198.51.100.9", SP_NEXTHOP_UNREACHABLE);
	take(make_nexthop(&message, RTM_NEWNEXTHOP, 3, WAN, "192.0.2.1"), NLM_F_CREATE);
	goes_to("198.51.100.9", 0, "192.0.2.1");
	route_by(RTM_NEWROUTE, "203.0.113.0/24", 3);
	take(make_nexthop(&message, RTM_NEWNEXTHOP, 3, LAN, "192.0.2.129"), NLM_F_REPLACE);
	goes_to("198.51.100.9", 1, "192.0.2.129");
	goes_to("203.0.113.9", 1, "192.0.2.129");
	route_by(RTM_DELROUTE, "198.51.100.0/24", 3);
	is_kind("198.51.100.9", SP_NEXTHOP_UNREACHABLE);
	/* with the object Linux removes its routes, and does not say so */
	take(make_nexthop(&message, RTM_DELNEXTHOP, 3, 0, NULL), 0);
	is_kind("203.0.113.9", SP_NEXTHOP_UNREACHABLE);
	assert_int_equal(kernel->n_routes[0], 0);
	assert_int_equal(kernel->objects.n, 0);
	/* another of the same number has nothing to do with those */
	take(make_nexthop(&message, RTM_NEWNEXTHOP, 3, WAN, "192.0.2.1"), NLM_F_CREATE);
	is_kind("203.0.113.9", SP_NEXTHOP_UNREACHABLE);
}

static void test_groups_of_objects(void **state)
{
	static const struct nexthop_grp both[] = {{.id = 3, .weight = 0}, {.id = 4, .weight = 2}};

	(void)state;
	take(make_group(&message, 5, both, 2), NLM_F_CREATE); /* in a dump a group may come before its members */
	route_by(RTM_NEWROUTE, "198.51.100.0/24", 5);
	is_kind("198.51.100.9", SP_NEXTHOP_UNREACHABLE);
	take(make_nexthop(&message, RTM_NEWNEXTHOP, 3, WAN, "192.0.2.1"), NLM_F_CREATE);
	goes_to("198.51.100.9", 0, "192.0.2.1");
	take(make_nexthop(&message, RTM_NEWNEXTHOP, 4, LAN, "192.0.2.129"), NLM_F_CREATE);
	assert_int_equal(members(way("198.51.100.9"), "192.0.2.1"), 1);
	assert_int_equal(members(way("198.51.100.9"), "192.0.2.129"), 3);
	take(make_nexthop(&message, RTM_NEWNEXTHOP, 4, LAN, "192.0.2.130"), NLM_F_REPLACE);
	assert_int_equal(members(way("198.51.100.9"), "192.0.2.130"), 3);
	take(make_group(&message, 5, &both[0], 1), NLM_F_REPLACE);
	goes_to("198.51.100.9", 0, "192.0.2.1");
}

static void test_object_that_is_a_blackhole(void **state)
{
	struct nlmsghdr *header = make_nexthop(&message, RTM_NEWNEXTHOP, 3, 0, NULL);

	(void)state;
	mnl_attr_put(header, NHA_BLACKHOLE, 0, NULL);
	take(header, NLM_F_CREATE);
	route_by(RTM_NEWROUTE, "198.51.100.0/24", 3);
	is_kind("198.51.100.9", SP_NEXTHOP_BLACKHOLE);
}

/* --- mark and sweep, bounds
 * ------------------------------------------------------------------------------------------------------------------ */

static void test_what_a_dump_does_not_have_goes(void **state)
{
	uint64_t cursor = 0;

	(void)state;
	add_route("198.51.100.0/24", WAN, "192.0.2.1", 10);
	add_route("198.51.100.0/24", LAN, "192.0.2.129", 20);
	add_route("203.0.113.0/24", LAN, "192.0.2.129", 20);
	add_route("2001:db8::/32", WAN, "fe80::1", 1024);
	kernel->epoch++;
	route(RTM_NEWROUTE, "198.51.100.0/24", LAN, "192.0.2.129", 20, NLM_F_MULTI);
	while (!sp_kroutes_sweep(kernel, SP_FAMILY_IPV4, &cursor))
		;
	goes_to("198.51.100.9", 1, "192.0.2.129");
	is_kind("203.0.113.9", SP_NEXTHOP_UNREACHABLE);
	goes_to("2001:db8::9", 0, "fe80::1"); /* of the other family: its dump is not in */
	assert_int_equal(kernel->n_routes[0], 1);
}

static void test_more_routes_than_fit(void **state)
{
	char prefix[32];

	(void)state;
	for (unsigned int i = 0; i < 1024 + 5; i++) {
		snprintf(prefix, sizeof(prefix), "10.%u.%u.0/24", i / 256, i % 256);
		add_route(prefix, WAN, "192.0.2.1", 0);
	}
	assert_int_equal(kernel->n_routes[0], 1024);
	assert_int_equal(kernel->counters.refused_routes, 5);
	goes_to("10.3.255.1", 0, "192.0.2.1");
	is_kind("10.4.4.1", SP_NEXTHOP_UNREACHABLE);
	/* one goes, another comes */
	delete_route("10.0.0.0/24", WAN, "192.0.2.1", 0);
	add_route("10.4.4.0/24", WAN, "192.0.2.1", 0);
	goes_to("10.4.4.1", 0, "192.0.2.1");
}

static void test_next_hops_are_given_back(void **state)
{
	static const struct hop hops[] = {{WAN, "192.0.2.1", 1, 0}, {LAN, "192.0.2.129", 1, 0}};
	uint64_t before = sp_routing_counters(dataplane.routing)->nexthops;

	(void)state;
	for (unsigned int i = 0; i < 3 * SP_NEXTHOP_GROUPS_MAX; i++) {
		struct hop changed[2] = {hops[0], hops[1]};

		changed[0].weight = (uint8_t)(1 + i % 200);
		multipath(RTM_NEWROUTE, "198.51.100.0/24", changed, 2, NLM_F_REPLACE | NLM_F_CREATE);
		is_kind("198.51.100.9", SP_NEXTHOP_GROUP);
	}
	multipath(RTM_DELROUTE, "198.51.100.0/24", hops, 2, 0);
	for (unsigned int i = 0; i < 20; i++) { /* the gateways have no use any more */
		kernel->now_ms += 11000;
		sp_kneighbours_tick(kernel);
	}
	assert_int_equal(kernel->neighbours.n, 0);
	assert_int_equal(kernel->hopsets.n, 0);
	route(RTM_NEWROUTE, "198.51.100.0/24", WAN, NULL, 0, NLM_F_CREATE);
	assert_true(sp_routing_counters(dataplane.routing)->nexthops <= before + 4096);
}

static void test_listing(void **state)
{
	struct sp_kernel_filter filter = {.link = SP_NO_LINK};
	struct sp_kroute_row rows[7];
	char prefix[32];
	uint64_t cursor = 0;
	unsigned int n = 0, used = 0;

	(void)state;
	for (unsigned int i = 0; i < 500; i++) {
		snprintf(prefix, sizeof(prefix), "10.%u.%u.0/24", i / 256, i % 256);
		add_route(prefix, WAN, "192.0.2.1", 0);
		add_route(prefix, LAN, "192.0.2.129", 7);
	}
	while (cursor != UINT64_MAX) {
		size_t got = sp_kernel_routes(kernel, &filter, &cursor, rows, 7);

		for (size_t i = 0; i < got; i++)
			used += rows[i].used;
		n += got;
	}
	assert_int_equal(n, 1000);
	assert_int_equal(used, 500);
	filter.has_covers = true;
	filter.covers.lo = (struct sp_addr){SP_FAMILY_IPV4, {10, 1, 7, 9}};
	cursor = 0;
	assert_int_equal(sp_kernel_routes(kernel, &filter, &cursor, rows, 7), 2);
	assert_int_equal(rows[0].address[2], 7);
	assert_true(rows[0].used && !rows[1].used);
	assert_int_equal(rows[0].hops[0].link, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_kinds),
		TEST(test_what_does_not_concern_us),
		TEST(test_connected_and_gateway),
		TEST(test_ipv4_by_an_ipv6_gateway),
		TEST(test_the_lowest_metric_counts),
		TEST(test_one_that_cannot_be_used_is_passed_over),
		TEST(test_the_local_table_comes_first),
		TEST(test_ipv4_order_of_equals),
		TEST(test_multipath_by_weight),
		TEST(test_dead_and_foreign_members_are_left_out),
		TEST(test_ipv6_siblings),
		TEST(test_ipv6_connected_on_two_links),
		TEST(test_router_preference),
		TEST(test_objects),
		TEST(test_groups_of_objects),
		TEST(test_object_that_is_a_blackhole),
		TEST(test_what_a_dump_does_not_have_goes),
		TEST(test_more_routes_than_fit),
		TEST(test_next_hops_are_given_back),
		TEST(test_listing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
