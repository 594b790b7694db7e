/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/mgmt/kernel_fixture.h"

static void neighbour(uint16_t type, int ifindex, const char *address, uint16_t state, const uint8_t *at)
{
	take(make_neighbour(&message, type, ifindex, address, state, at), 0);
}

static bool is_resolved(const char *address)
{
	return (way(address)->mac & SP_NEIGHBOUR_RESOLVED) != 0;
}

static bool is_failed(const char *address)
{
	return (way(address)->mac & SP_NEIGHBOUR_FAILED) != 0;
}

/* A worker asks for an address on a link. */
static void ask(uint16_t link, const char *address)
{
	struct sp_resolve request = {.link = link, .family = af_of(address) == AF_INET ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6};

	assert_int_equal(inet_pton(af_of(address), address, request.address), 1);
	assert_int_equal(rte_ring_enqueue_elem(dataplane.routing->resolve, &request, sizeof(request)), 0);
	sp_kneighbours_resolve(kernel);
	settle();
}

static void wait_ms(int64_t ms)
{
	kernel->now_ms += ms;
	for (unsigned int i = 0; i < 16; i++) /* each looks at a part */
		sp_kneighbours_tick(kernel);
	settle();
}

/* --- what Linux says --------------------------------------------------------------------------------------------------------------------
 */

static void test_states(void **state)
{
	static const uint16_t good[] = {NUD_REACHABLE, NUD_STALE, NUD_DELAY, NUD_PROBE, NUD_PERMANENT, NUD_NOARP};

	(void)state;
	add_route("192.0.2.0/24", WAN, NULL, 0);
	for (size_t i = 0; i < RTE_DIM(good); i++) {
		neighbour(RTM_NEWNEIGH, WAN, "192.0.2.7", good[i], mac);
		goes_to("192.0.2.7", 0, "192.0.2.7");
		assert_true(is_resolved("192.0.2.7"));
		assert_int_equal(way("192.0.2.7")->mac & 0xffffffffffff, 0x070000000002);
		neighbour(RTM_NEWNEIGH, WAN, "192.0.2.7", NUD_FAILED, NULL);
		assert_true(is_failed("192.0.2.7"));
		neighbour(RTM_NEWNEIGH, WAN, "192.0.2.7", NUD_INCOMPLETE, NULL);
		assert_false(is_resolved("192.0.2.7"));
	}
	neighbour(RTM_NEWNEIGH, WAN, "192.0.2.7", NUD_REACHABLE, mac);
	neighbour(RTM_DELNEIGH, WAN, "192.0.2.7", NUD_REACHABLE, mac);
	is_kind("192.0.2.7", SP_NEXTHOP_GLEAN);
	assert_int_equal(kernel->neighbours.n, 0);
}

static void test_another_mac(void **state)
{
	static const uint8_t other[6] = {2, 0, 0, 0, 0, 8};

	(void)state;
	add_route("2001:db8::/64", LAN, NULL, 256);
	neighbour(RTM_NEWNEIGH, LAN, "2001:db8::7", NUD_REACHABLE, mac);
	neighbour(RTM_NEWNEIGH, LAN, "2001:db8::7", NUD_REACHABLE, other);
	assert_int_equal(way("2001:db8::7")->mac & 0xffffffffffff, 0x080000000002);
}

static void test_what_is_no_neighbour(void **state)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct nlmsghdr *header;

	(void)state;
	add_route("192.0.2.0/24", WAN, NULL, 0);
	neighbour(RTM_NEWNEIGH, OUR, "192.0.2.7", NUD_REACHABLE, mac);
	neighbour(RTM_NEWNEIGH, WAN, "224.0.0.5", NUD_NOARP, mac);
	neighbour(RTM_NEWNEIGH, WAN, "192.0.2.255", NUD_NOARP, broadcast);
	neighbour(RTM_NEWNEIGH, WAN, "ff02::1", NUD_NOARP, mac);
	neighbour(RTM_NEWNEIGH, WAN, "192.0.2.9", NUD_FAILED, NULL);
	header = make_neighbour(&message, RTM_NEWNEIGH, WAN, "192.0.2.7", NUD_PERMANENT, mac);
	((struct ndmsg *)mnl_nlmsg_get_payload(header))->ndm_flags = NTF_PROXY;
	take(header, 0);
	assert_int_equal(kernel->neighbours.n, 0);
}

/* --- routes of their own
 * ------------------------------------------------------------------------------------------------------------------ */

static void test_host_routes_follow_the_longest_prefix(void **state)
{
	(void)state;
	neighbour(RTM_NEWNEIGH, WAN, "192.0.2.200", NUD_REACHABLE, mac);
	is_kind("192.0.2.200", SP_NEXTHOP_UNREACHABLE); /* of no connected prefix */
	add_route("192.0.2.0/24", WAN, NULL, 0);
	goes_to("192.0.2.200", 0, "192.0.2.200");
	add_route("192.0.2.128/25", LAN, "198.51.100.1", 0); /* that half is elsewhere now */
	goes_to("192.0.2.200", 1, "198.51.100.1");
	delete_route("192.0.2.128/25", LAN, "198.51.100.1", 0);
	goes_to("192.0.2.200", 0, "192.0.2.200");
	add_route("192.0.2.200/32", LAN, "198.51.100.1", 0); /* what Linux says of this one address goes first */
	goes_to("192.0.2.200", 1, "198.51.100.1");
	delete_route("192.0.2.200/32", LAN, "198.51.100.1", 0);
	goes_to("192.0.2.200", 0, "192.0.2.200");
	delete_route("192.0.2.0/24", WAN, NULL, 0);
	is_kind("192.0.2.200", SP_NEXTHOP_UNREACHABLE);
}

static void test_a_connected_route_of_one_address(void **state)
{
	(void)state;
	add_route("192.0.2.200/32", WAN, NULL, 0);
	is_kind("192.0.2.200", SP_NEXTHOP_GLEAN);
	ask(0, "192.0.2.200");
	goes_to("192.0.2.200", 0, "192.0.2.200");
	neighbour(RTM_NEWNEIGH, WAN, "192.0.2.200", NUD_REACHABLE, mac);
	assert_true(is_resolved("192.0.2.200"));
	neighbour(RTM_DELNEIGH, WAN, "192.0.2.200", NUD_REACHABLE, mac);
	is_kind("192.0.2.200", SP_NEXTHOP_GLEAN);
}

static void test_a_neighbour_on_the_wrong_link(void **state)
{
	(void)state;
	add_route("192.0.2.0/24", WAN, NULL, 0);
	neighbour(RTM_NEWNEIGH, LAN, "192.0.2.7", NUD_REACHABLE, mac);
	is_kind("192.0.2.7", SP_NEXTHOP_GLEAN);
	assert_int_equal(way("192.0.2.7")->link, 0);
}

static void test_gateways_share_the_neighbour(void **state)
{
	(void)state;
	add_route("192.0.2.0/24", WAN, NULL, 0);
	add_route("198.51.100.0/24", WAN, "192.0.2.1", 0);
	add_route("203.0.113.0/24", WAN, "192.0.2.1", 9);
	assert_int_equal(lookup("198.51.100.1"), lookup("192.0.2.1"));
	assert_int_equal(lookup("203.0.113.1"), lookup("192.0.2.1"));
	neighbour(RTM_NEWNEIGH, WAN, "192.0.2.1", NUD_REACHABLE, mac);
	assert_true(is_resolved("203.0.113.1"));
	neighbour(RTM_DELNEIGH, WAN, "192.0.2.1", NUD_REACHABLE, mac); /* Linux forgets it, the routes do not */
	goes_to("203.0.113.1", 0, "192.0.2.1");
	assert_false(is_resolved("203.0.113.1"));
}

/* --- asking
 * ------------------------------------------------------------------------------------------------------------------------------- */

static void test_a_neighbour_that_never_answers(void **state)
{
	(void)state;
	add_route("192.0.2.0/24", WAN, NULL, 0);
	ask(0, "192.0.2.7");
	goes_to("192.0.2.7", 0, "192.0.2.7");
	assert_false(is_resolved("192.0.2.7") || is_failed("192.0.2.7"));
	neighbour(RTM_NEWNEIGH, WAN, "192.0.2.7", NUD_INCOMPLETE, NULL);
	wait_ms(4000);
	assert_false(is_failed("192.0.2.7"));
	wait_ms(1001); /* not even Linux has said a word */
	assert_true(is_failed("192.0.2.7"));
	ask(0, "192.0.2.7"); /* somebody wants it again */
	assert_false(is_failed("192.0.2.7"));
	neighbour(RTM_NEWNEIGH, WAN, "192.0.2.7", NUD_FAILED, NULL);
	assert_true(is_failed("192.0.2.7"));
	wait_ms(3001);
	is_kind("192.0.2.7", SP_NEXTHOP_GLEAN);
	assert_int_equal(kernel->neighbours.n, 0);
}

static void test_only_what_is_on_the_link_is_asked_for(void **state)
{
	(void)state;
	add_route("192.0.2.0/24", WAN, NULL, 0);
	ask(1, "192.0.2.7");
	ask(0, "198.51.100.7");
	ask(17, "192.0.2.7");
	assert_int_equal(kernel->neighbours.n, 0);
	assert_int_equal(kernel->counters.refused_neighbours, 0);
}

/* Somebody scans a prefix: memory stays bounded, the FIB as well, and all is well again when it is over. */
static void test_a_scan(void **state)
{
	char address[32];

	(void)state;
	add_route("10.0.0.0/8", WAN, NULL, 0);
	for (unsigned int i = 1; i <= 200; i++) {
		snprintf(address, sizeof(address), "10.0.0.%u", i);
		ask(0, address);
	}
	assert_int_equal(kernel->neighbours.n, 64);
	assert_int_equal(kernel->counters.refused_neighbours, 200 - 64);
	assert_int_equal(sp_routing_counters(dataplane.routing)->routes4, 65);
	wait_ms(6000);
	wait_ms(4000);
	assert_int_equal(kernel->neighbours.n, 0);
	assert_int_equal(sp_routing_counters(dataplane.routing)->routes4, 1);
	ask(0, "10.0.0.200");
	goes_to("10.0.0.200", 0, "10.0.0.200");
}

static void test_what_a_dump_does_not_have_goes(void **state)
{
	uint64_t cursor = 0;

	(void)state;
	add_route("192.0.2.0/24", WAN, NULL, 0);
	neighbour(RTM_NEWNEIGH, WAN, "192.0.2.7", NUD_REACHABLE, mac);
	neighbour(RTM_NEWNEIGH, WAN, "192.0.2.8", NUD_REACHABLE, mac);
	ask(0, "192.0.2.9");
	kernel->epoch++;
	neighbour(RTM_NEWNEIGH, WAN, "192.0.2.8", NUD_REACHABLE, mac);
	while (!sp_kneighbours_sweep(kernel, &cursor))
		;
	settle();
	is_kind("192.0.2.7", SP_NEXTHOP_GLEAN);
	goes_to("192.0.2.8", 0, "192.0.2.8");
	goes_to("192.0.2.9", 0, "192.0.2.9"); /* Linux is about to look for it */
}

/* --- links and addresses
 * ------------------------------------------------------------------------------------------------------------------- */

static const struct sp_link_addresses *addresses(uint16_t link)
{
	return sp_link_addresses(&dataplane.routing->links[link]);
}

static void address(uint16_t type, int ifindex, const char *text, uint8_t bits, uint32_t flags)
{
	take(make_address(&message, type, ifindex, text, bits, flags), 0);
}

static void test_addresses(void **state)
{
	static const uint8_t primary[4] = {192, 0, 2, 1};

	(void)state;
	address(RTM_NEWADDR, WAN, "192.0.2.2", 24, IFA_F_SECONDARY);
	address(RTM_NEWADDR, WAN, "192.0.2.1", 24, 0);
	assert_int_equal(addresses(0)->n4, 2);
	assert_memory_equal(&addresses(0)->v4[0], primary, 4);
	address(RTM_NEWADDR, WAN, "2001:db8::1", 64, IFA_F_DEPRECATED);
	address(RTM_NEWADDR, WAN, "2001:db8::2", 64, 0);
	address(RTM_NEWADDR, WAN, "fe80::1", 64, 0);
	assert_int_equal(addresses(0)->n6, 2);
	assert_int_equal(addresses(0)->v6[0][15], 2);
	assert_int_equal(addresses(0)->link_local[0], 0xfe);
	assert_int_equal(addresses(1)->n4 + addresses(1)->n6, 0);
	address(RTM_DELADDR, WAN, "192.0.2.1", 24, 0);
	address(RTM_DELADDR, WAN, "2001:db8::2", 64, 0);
	assert_int_equal(addresses(0)->n4, 1);
	assert_int_equal(addresses(0)->n6, 1);
}

static void test_address_conflict(void **state)
{
	(void)state;
	address(RTM_NEWADDR, WAN, "2001:db8::1", 64, IFA_F_TENTATIVE);
	assert_int_equal(addresses(0)->n6, 0);
	address(RTM_NEWADDR, WAN, "2001:db8::1", 64, IFA_F_TENTATIVE | IFA_F_DADFAILED);
	address(RTM_NEWADDR, WAN, "2001:db8::1", 64, IFA_F_TENTATIVE | IFA_F_DADFAILED);
	assert_int_equal(addresses(0)->n6, 0);
	assert_int_equal(kernel->counters.conflicts, 1);
	address(RTM_NEWADDR, WAN, "2001:db8::1", 64, 0);
	assert_int_equal(addresses(0)->n6, 1);
	address(RTM_NEWADDR, WAN, "2001:db8::1", 64, IFA_F_DADFAILED | IFA_F_OPTIMISTIC);
	assert_int_equal(addresses(0)->n6, 0);
}

static void test_more_addresses_than_fit(void **state)
{
	char text[32];

	(void)state;
	for (unsigned int i = 1; i <= SP_KADDRESSES_MAX + 10; i++) {
		snprintf(text, sizeof(text), "192.0.2.%u", i);
		address(RTM_NEWADDR, WAN, text, 24, 0);
	}
	assert_int_equal(addresses(0)->n4, SP_LINK_ADDRESSES);
}

static void test_links(void **state)
{
	struct sp_link *link = &dataplane.routing->links[0];
	struct nlmsghdr *header;

	(void)state;
	take(make_link(&message, RTM_NEWLINK, WAN, "wan", IFF_UP), 0);
	assert_int_equal(link->up, 1);
	assert_string_equal(sp_kernel_tap_down(kernel), "lan"); /* of which Linux has not told yet */
	header = make_link(&message, RTM_NEWLINK, WAN, "wan", IFF_UP);
	mnl_attr_put_u32(header, IFLA_MTU, 1400);
	mnl_attr_put(header, IFLA_ADDRESS, 6, mac);
	take(header, 0);
	assert_int_equal(link->mtu, 1400);
	assert_memory_equal(link->mac, mac, 6);
	header = make_link(&message, RTM_NEWLINK, WAN, "wan", IFF_UP);
	mnl_attr_put_u32(header, IFLA_MTU, 9000);
	take(header, 0);
	assert_int_equal(link->mtu, 1500); /* what the port takes */
	kernel->netlink.wanted_ms = INT64_MAX;
	take(make_link(&message, RTM_NEWLINK, WAN, "wan", IFF_UP | IFF_RUNNING), 0);
	assert_true(kernel->netlink.wanted_ms < INT64_MAX);
	kernel->netlink.wanted_ms = INT64_MAX;
	take(make_link(&message, RTM_NEWLINK, WAN, "wan", 0), 0);
	assert_int_equal(link->up, 0);
	assert_true(kernel->netlink.wanted_ms < INT64_MAX); /* Linux has taken routes away without a word */
	assert_string_equal(sp_kernel_tap_down(kernel), "wan");
	take(make_link(&message, RTM_NEWLINK, WAN, "wan", IFF_UP), 0);
	assert_int_equal(link->up, 1);
	dataplane.ports[0].link_up = 0;
	sp_klinks_tick(kernel);
	assert_int_equal(link->up, 0);
	dataplane.ports[0].link_up = 1;
	sp_klinks_tick(kernel);
	assert_int_equal(link->up, 1);
	take(make_link(&message, RTM_DELLINK, WAN, "wan", 0), 0);
	assert_int_equal(link->up, 0);
	assert_null(sp_klink_of(kernel, WAN));
	assert_ptr_equal(sp_klink_of(kernel, LAN), &kernel->links[1]);
	address(RTM_NEWADDR, WAN, "192.0.2.1", 24, 0); /* of an interface that is no more */
	assert_int_equal(addresses(0)->n4, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_states),
		TEST(test_another_mac),
		TEST(test_what_is_no_neighbour),
		TEST(test_host_routes_follow_the_longest_prefix),
		TEST(test_a_connected_route_of_one_address),
		TEST(test_a_neighbour_on_the_wrong_link),
		TEST(test_gateways_share_the_neighbour),
		TEST(test_a_neighbour_that_never_answers),
		TEST(test_only_what_is_on_the_link_is_asked_for),
		TEST(test_a_scan),
		TEST(test_what_a_dump_does_not_have_goes),
		TEST(test_addresses),
		TEST(test_address_conflict),
		TEST(test_more_addresses_than_fit),
		TEST(test_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
