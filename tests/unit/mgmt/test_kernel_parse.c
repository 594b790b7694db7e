/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mgmt/kernel/netlink_parse.h"
#include "rules/addr.h"
#include "tests/unit/mgmt/netlink_make.h"

static struct message message;
static struct sp_nl_message it;
static const uint8_t mac[6] = {2, 0, 0, 0, 0, 7};

static int parse(const struct nlmsghdr *header)
{
	/* an exact copy, so that a read past its end is seen */
	struct nlmsghdr *copy = malloc(header->nlmsg_len);
	int rc;

	assert_non_null(copy);
	memcpy(copy, header, header->nlmsg_len);
	memset(&it, 0xaa, sizeof(it));
	rc = sp_nl_parse(copy, &it);
	free(copy);
	return rc;
}

/* --- what is right ---------------------------------------------------------------------------------------------------------------------
 */

static void test_route(void **state)
{
	static const uint8_t gateway[16] = {192, 0, 2, 1};
	struct nlmsghdr *header = make_route(&message, RTM_NEWROUTE, "198.51.100.0/24", RT_TABLE_MAIN, RTN_UNICAST);

	(void)state;
	put_hop(header, 7, "192.0.2.1");
	mnl_attr_put_u32(header, RTA_PRIORITY, 20);
	assert_int_equal(parse(header), 0);
	assert_int_equal(it.kind, SP_NL_ROUTE);
	assert_int_equal(it.route.family, SP_FAMILY_IPV4);
	assert_int_equal(it.route.bits, 24);
	assert_int_equal(it.route.metric, 20);
	assert_int_equal(it.route.table, RT_TABLE_MAIN);
	assert_int_equal(it.route.n_hops, 1);
	assert_int_equal(it.route.hops[0].ifindex, 7);
	assert_int_equal(it.route.hops[0].weight, 1);
	assert_memory_equal(it.route.hops[0].gateway, gateway, 16);
	assert_false(it.route.gone || it.route.cloned || it.route.foreign || it.route.hops[0].unusable);
}

static void test_default_route(void **state)
{
	struct nlmsghdr *header = make_route(&message, RTM_DELROUTE, "::/0", RT_TABLE_MAIN, RTN_UNICAST);

	(void)state;
	put_hop(header, 7, "fe80::1");
	mnl_attr_put_u8(header, RTA_PREF, 3);
	assert_int_equal(parse(header), 0);
	assert_int_equal(it.route.family, SP_FAMILY_IPV6);
	assert_int_equal(it.route.bits, 0);
	assert_int_equal(it.route.preference, 2);
	assert_true(it.route.gone);
}

static void test_multipath(void **state)
{
	static const struct hop hops[] = {{7, "192.0.2.1", 1, 0}, {8, "192.0.2.129", 200, RTNH_F_LINKDOWN}, {9, NULL, 3, 0}};
	struct nlmsghdr *header = make_route(&message, RTM_NEWROUTE, "198.51.100.0/24", RT_TABLE_MAIN, RTN_UNICAST);

	(void)state;
	put_hops(header, hops, 3);
	assert_int_equal(parse(header), 0);
	assert_int_equal(it.route.n_hops, 3);
	assert_int_equal(it.route.hops[1].weight, 200);
	assert_true(it.route.hops[1].unusable);
	assert_false(it.route.hops[0].unusable);
	assert_int_equal(it.route.hops[2].family, SP_FAMILY_NONE);
}

static void test_more_hops_than_fit(void **state)
{
	static struct hop hops[SP_NL_HOPS_MAX + 3];
	struct nlmsghdr *header = make_route(&message, RTM_NEWROUTE, "198.51.100.0/24", RT_TABLE_MAIN, RTN_UNICAST);

	(void)state;
	for (size_t i = 0; i < SP_NL_HOPS_MAX + 3; i++)
		hops[i] = (struct hop){7, "192.0.2.1", 1, 0};
	put_hops(header, hops, SP_NL_HOPS_MAX + 3);
	assert_int_equal(parse(header), 0);
	assert_int_equal(it.route.n_hops, SP_NL_HOPS_MAX);
	assert_true(it.route.cut);
}

static void test_via(void **state)
{
	struct nlmsghdr *header = make_route(&message, RTM_NEWROUTE, "198.51.100.0/24", RT_TABLE_MAIN, RTN_UNICAST);
	uint8_t via[18] = {AF_INET6, 0, 0xfe, 0x80, [17] = 1};

	(void)state;
	mnl_attr_put_u32(header, RTA_OIF, 7);
	mnl_attr_put(header, RTA_VIA, sizeof(via), via);
	assert_int_equal(parse(header), 0);
	/* without RTA_GATEWAY a route's family says nothing of its gateway's */
	assert_int_equal(it.route.family, SP_FAMILY_IPV4);
	assert_int_equal(it.route.hops[0].family, SP_FAMILY_IPV6);
	assert_memory_equal(it.route.hops[0].gateway, via + 2, 16);
}

static void test_encapsulation_is_unusable(void **state)
{
	struct nlmsghdr *header = make_route(&message, RTM_NEWROUTE, "198.51.100.0/24", RT_TABLE_MAIN, RTN_UNICAST);

	(void)state;
	put_hop(header, 7, "192.0.2.1");
	mnl_attr_put(header, RTA_ENCAP, 4, "mpls");
	assert_int_equal(parse(header), 0);
	assert_true(it.route.hops[0].unusable);
}

static void test_neighbour(void **state)
{
	(void)state;
	assert_int_equal(parse(make_neighbour(&message, RTM_NEWNEIGH, 7, "2001:db8::7", NUD_REACHABLE, mac)), 0);
	assert_int_equal(it.kind, SP_NL_NEIGHBOUR);
	assert_int_equal(it.neighbour.family, SP_FAMILY_IPV6);
	assert_int_equal(it.neighbour.state, NUD_REACHABLE);
	assert_true(it.neighbour.has_mac);
	assert_memory_equal(it.neighbour.mac, mac, 6);
	assert_int_equal(parse(make_neighbour(&message, RTM_DELNEIGH, 7, "192.0.2.7", NUD_FAILED, NULL)), 0);
	assert_true(it.neighbour.gone);
	assert_false(it.neighbour.has_mac);
}

static void test_address(void **state)
{
	struct nlmsghdr *header = make_address(&message, RTM_NEWADDR, 7, "192.0.2.9", 30, IFA_F_SECONDARY);
	static const uint8_t local[16] = {192, 0, 2, 10};

	(void)state;
	put_address(header, IFA_LOCAL, "192.0.2.10"); /* the other is the peer's */
	assert_int_equal(parse(header), 0);
	assert_int_equal(it.kind, SP_NL_ADDRESS);
	assert_memory_equal(it.address.address, local, 16);
	assert_int_equal(it.address.flags, IFA_F_SECONDARY);
	assert_int_equal(it.address.bits, 30);
}

static void test_link(void **state)
{
	struct nlmsghdr *header = make_link(&message, RTM_NEWLINK, 7, "wan", IFF_UP);

	(void)state;
	mnl_attr_put_u32(header, IFLA_MTU, 1400);
	mnl_attr_put(header, IFLA_ADDRESS, 6, mac);
	assert_int_equal(parse(header), 0);
	assert_int_equal(it.kind, SP_NL_LINK);
	assert_string_equal(it.link.name, "wan");
	assert_int_equal(it.link.mtu, 1400);
	assert_true(it.link.has_mac);
	/* Linux tells of a port of a bridge that it is gone when it leaves the bridge only */
	header = make_link(&message, RTM_DELLINK, 7, "wan", IFF_UP);
	((struct ifinfomsg *)mnl_nlmsg_get_payload(header))->ifi_family = AF_BRIDGE;
	assert_int_equal(parse(header), 0);
	assert_int_equal(it.kind, SP_NL_NONE);
}

static void test_nexthop(void **state)
{
	static const struct nexthop_grp members[] = {{.id = 3, .weight = 0}, {.id = 4, .weight = 9}};

	(void)state;
	assert_int_equal(parse(make_nexthop(&message, RTM_NEWNEXTHOP, 3, 7, "192.0.2.1")), 0);
	assert_int_equal(it.kind, SP_NL_NEXTHOP);
	assert_int_equal(it.nexthop.id, 3);
	assert_int_equal(it.nexthop.hop.ifindex, 7);
	assert_int_equal(parse(make_group(&message, 5, members, 2)), 0);
	assert_int_equal(it.nexthop.n_members, 2);
	assert_int_equal(it.nexthop.members[1].id, 4);
	assert_int_equal(it.nexthop.members[1].weight, 10);
}

static void test_others_are_left_alone(void **state)
{
	struct nlmsghdr *header = make(&message, RTM_NEWQDISC, 20);

	(void)state;
	assert_int_equal(parse(header), 0);
	assert_int_equal(it.kind, SP_NL_NONE);
	header = make_route(&message, RTM_NEWROUTE, "192.0.2.0/24", RT_TABLE_MAIN, RTN_UNICAST);
	((struct rtmsg *)mnl_nlmsg_get_payload(header))->rtm_family = AF_MPLS;
	assert_int_equal(parse(header), 0);
	assert_int_equal(it.kind, SP_NL_NONE);
}

/* --- what is wrong ---------------------------------------------------------------------------------------------------------------------
 */

static void test_impossible_values(void **state)
{
	struct nlmsghdr *header = make_route(&message, RTM_NEWROUTE, "192.0.2.0/24", RT_TABLE_MAIN, RTN_UNICAST);
	struct rtmsg *info = mnl_nlmsg_get_payload(header);

	(void)state;
	info->rtm_dst_len = 33;
	assert_int_equal(parse(header), -EBADMSG);
	info->rtm_dst_len = 22; /* host bits: 192.0.2.0 is not on a boundary of 2^10 */
	assert_int_equal(parse(header), -EBADMSG);
	info->rtm_dst_len = 23;
	assert_int_equal(parse(header), 0);
	info->rtm_family = AF_INET6; /* an address of four bytes */
	assert_int_equal(parse(header), -EBADMSG);
	header = make_route(&message, RTM_NEWROUTE, "0.0.0.0/0", RT_TABLE_MAIN, RTN_UNICAST);
	((struct rtmsg *)mnl_nlmsg_get_payload(header))->rtm_dst_len = 8; /* of what? */
	assert_int_equal(parse(header), -EBADMSG);
	header = make_nexthop(&message, RTM_NEWNEXTHOP, 0, 7, NULL);
	assert_int_equal(parse(header), -EBADMSG);
	header = make_address(&message, RTM_NEWADDR, 7, "192.0.2.9", 33, 0);
	assert_int_equal(parse(header), -EBADMSG);
	header = make_neighbour(&message, RTM_NEWNEIGH, -1, "192.0.2.7", NUD_REACHABLE, mac);
	assert_int_equal(parse(header), -EBADMSG);
}

static void test_numbers_of_another_size(void **state)
{
	struct nlmsghdr *header = make_route(&message, RTM_NEWROUTE, "192.0.2.0/24", RT_TABLE_MAIN, RTN_UNICAST);

	(void)state;
	mnl_attr_put_u16(header, RTA_PRIORITY, 5);
	assert_int_equal(parse(header), -EBADMSG);
	header = make_route(&message, RTM_NEWROUTE, "192.0.2.0/24", RT_TABLE_MAIN, RTN_UNICAST);
	mnl_attr_put(header, RTA_GATEWAY, 3, "abc");
	assert_int_equal(parse(header), -EBADMSG);
	header = make_route(&message, RTM_NEWROUTE, "192.0.2.0/24", RT_TABLE_MAIN, RTN_UNICAST);
	mnl_attr_put(header, RTA_VIA, 1, "a");
	mnl_attr_put_u32(header, RTA_OIF, 7);
	mnl_attr_put(header, RTA_GATEWAY, 4, "abcd");
	assert_int_equal(parse(header), -EBADMSG);
	header = make_link(&message, RTM_NEWLINK, 7, "a name of more than 15 characters", 0);
	assert_int_equal(parse(header), -EBADMSG);
	header = make(&message, RTM_NEWNEXTHOP, sizeof(struct nhmsg));
	mnl_attr_put_u32(header, NHA_ID, 3);
	mnl_attr_put(header, NHA_GROUP, 9, "123456789");
	assert_int_equal(parse(header), -EBADMSG);
}

/* The hop's length says more, or less, than there is. */
static void test_hops_that_lie(void **state)
{
	static const struct hop hops[] = {{7, "192.0.2.1", 1, 0}, {8, "192.0.2.129", 1, 0}};
	static const uint16_t lies[] = {0, 1, sizeof(struct rtnexthop) - 1, sizeof(struct rtnexthop) + 1, 15, 17, 33, 65535};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct nlmsghdr *header = make_route(&message, RTM_NEWROUTE, "192.0.2.0/24", RT_TABLE_MAIN, RTN_UNICAST);
		struct rtnexthop *hop = (struct rtnexthop *)((char *)mnl_nlmsg_get_payload_tail(header) + sizeof(struct nlattr));

		put_hops(header, hops, 2);
		hop->rtnh_len = lies[i];
		if (parse(header) == 0) /* cut short within padding: one hop less, never one more */
			assert_true(it.route.n_hops <= 2);
		else
			assert_true(lies[i] != 16);
		if (lies[i] < sizeof(*hop) || lies[i] > 32)
			assert_int_equal(parse(header), -EBADMSG);
	}
}

static struct nlmsghdr *sample(unsigned int i)
{
	static const struct hop hops[] = {{7, "192.0.2.1", 1, 0}, {8, "192.0.2.129", 200, 0}};
	static const struct nexthop_grp members[] = {{.id = 3, .weight = 0}, {.id = 4, .weight = 9}};
	struct nlmsghdr *header;

	switch (i) {
	case 0:
		header = make_route(&message, RTM_NEWROUTE, "198.51.100.0/24", RT_TABLE_MAIN, RTN_UNICAST);
		put_hops(header, hops, 2);
		return header;
	case 1:
		header = make_route(&message, RTM_NEWROUTE, "2001:db8::/32", RT_TABLE_MAIN, RTN_UNICAST);
		put_hop(header, 7, "fe80::1");
		return header;
	case 2:
		return make_neighbour(&message, RTM_NEWNEIGH, 7, "2001:db8::7", NUD_REACHABLE, mac);
	case 3:
		return make_address(&message, RTM_NEWADDR, 7, "192.0.2.9", 30, IFA_F_SECONDARY);
	case 4:
		header = make_link(&message, RTM_NEWLINK, 7, "wan", IFF_UP);
		mnl_attr_put(header, IFLA_ADDRESS, 6, mac);
		return header;
	case 5:
		return make_nexthop(&message, RTM_NEWNEXTHOP, 3, 7, "192.0.2.1");
	default:
		return make_group(&message, 5, members, 2);
	}
}

/* Each message cut at each byte, and with each byte made every bad thing: never a read beyond it (ASan), never a count out of bounds. */
static void test_cut_and_damaged(void **state)
{
	static const uint8_t damage[] = {0x00, 0x01, 0x03, 0x7f, 0x80, 0xff};

	(void)state;
	for (unsigned int i = 0; i < 7; i++) {
		uint32_t len = sample(i)->nlmsg_len;

		for (uint32_t cut = sizeof(struct nlmsghdr); cut < len; cut++) {
			struct nlmsghdr *header = sample(i);

			header->nlmsg_len = cut;
			if (cut < sizeof(*header) + 8)
				assert_int_not_equal(parse(header), 0);
			else
				(void)parse(header);
		}
		for (uint32_t at = sizeof(struct nlmsghdr); at < len; at++)
			for (size_t d = 0; d < sizeof(damage); d++) {
				struct nlmsghdr *header = sample(i);

				((uint8_t *)header)[at] = damage[d];
				if (parse(header) != 0)
					continue;
				if (it.kind == SP_NL_ROUTE)
					assert_true(it.route.n_hops <= SP_NL_HOPS_MAX && it.route.bits <= 128);
				if (it.kind == SP_NL_NEXTHOP)
					assert_true(it.nexthop.n_members <= SP_NL_HOPS_MAX);
			}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_route),
		cmocka_unit_test(test_default_route),
		cmocka_unit_test(test_multipath),
		cmocka_unit_test(test_more_hops_than_fit),
		cmocka_unit_test(test_via),
		cmocka_unit_test(test_encapsulation_is_unusable),
		cmocka_unit_test(test_neighbour),
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_nexthop),
		cmocka_unit_test(test_others_are_left_alone),
		cmocka_unit_test(test_impossible_values),
		cmocka_unit_test(test_numbers_of_another_size),
		cmocka_unit_test(test_hops_that_lie),
		cmocka_unit_test(test_cut_and_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
