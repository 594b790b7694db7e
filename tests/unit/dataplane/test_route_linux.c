/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Route mode: what goes up without a rule must be nothing that Linux would forward in its turn, and what is for all on a link makes no
 * session that another link's packets could take for theirs.
 */
#include "tests/unit/dataplane/route_fixture.h"

static int setup(void **unused)
{
	(void)unused;
	route_defaults();
	return 0;
}

static int cleanup(void **unused)
{
	(void)unused;
	if (lab.dataplane != NULL)
		lab_free();
	return 0;
}

static void send_as(uint16_t port, const struct sp_frame_spec *spec, bool broadcast)
{
	struct sp_frame frame;

	sp_frame_build(&frame, spec);
	if (broadcast)
		memset(frame.bytes, 0xff, 6);
	lab_send_frame(port, 0, &frame);
	lab_run();
}

/* Whether one packet went up by a link, as a broadcast frame or not. */
static void assert_up(uint16_t link, bool broadcast)
{
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct rte_mbuf *mbuf = route_take_up();

	assert_non_null(mbuf);
	assert_int_equal(mbuf->port, link);
	assert_memory_equal(route_bytes(mbuf), broadcast ? all : route_mac, 6);
	rte_pktmbuf_free(mbuf);
	assert_null(route_take_up());
	lab_balance(0);
}

static void assert_lost(enum sp_drop_reason reason, uint64_t n)
{
	assert_null(route_take_up());
	assert_null(lab_take(OUT));
	assert_null(lab_take(IN));
	assert_int_equal(lab_drops(reason), n);
	lab_balance(0);
}

/* Discovery for a host behind the firewall, which a neighbour has no reason to send. */
static void discovery_is_for_us_or_for_all(void **unused)
{
	uint8_t target[16];
	struct sp_frame_spec spec = {.family = 6,
		.proto = IPPROTO_ICMPV6,
		.icmp_type = 135,
		.src = "2001:db8:1::1",
		.ttl = 255,
		.payload = target,
		.payload_len = sizeof(target)};

	(void)unused;
	route_start(&(struct lab_options){0}, ROUTE_ALL);
	route_parse("2001:db8:1::fe", target);
	spec.dst = "2001:db8:1::fe";
	send_as(IN, &spec, false);
	assert_up(LINK_IN, false);
	spec.dst = "fe80::1:2";
	route_set("fe80::1:2", 128, SP_NEXTHOP_ID_SELF);
	send_as(IN, &spec, false);
	assert_up(LINK_IN, false);
	spec.dst = "2001:db8:2::2";
	route_parse("2001:db8:2::2", target);
	send_as(IN, &spec, false);
	assert_lost(SP_DROP_ICMP_ND, 1);
	lab_stop();
}

/* A DHCP server's answer to an address that is not there yet goes up in a frame that Linux never forwards. */
static void answers_of_dhcp_are_nothing_to_forward(void **unused)
{
	struct sp_frame_spec ask = {.proto = IPPROTO_UDP, .src = "0.0.0.0", .dst = "255.255.255.255", .sport = 68, .dport = 67};
	struct sp_frame_spec offer = {.proto = IPPROTO_UDP, .src = "198.51.100.2", .dst = "192.0.2.1", .sport = 67, .dport = 68};
	struct sp_frame frame;

	(void)unused;
	route_start(&(struct lab_options){0}, RULES(""));
	send_as(OUT, &offer, false);
	assert_lost(SP_DROP_DEFAULT, 1);
	sp_frame_build(&frame, &ask);
	route_send_down(LINK_OUT, &frame);
	lab_run();
	assert_int_equal(lab_count(OUT), 1);
	send_as(OUT, &offer, false);
	assert_up(LINK_OUT, true);
	offer.dst = "198.51.100.254";
	send_as(OUT, &offer, false);
	assert_up(LINK_OUT, false);
	lab_stop();
}

/* Two links' DHCP clients have the same addresses and ports, and so has Linux' own. */
static void groups_make_no_sessions(void **unused)
{
	struct sp_frame_spec ask = {.proto = IPPROTO_UDP, .src = "0.0.0.0", .dst = "255.255.255.255", .sport = 68, .dport = 67};
	struct sp_frame_spec hello = {.family = 6, .proto = 89, .src = "fe80::1", .dst = "ff02::5", .payload_len = 24, .ttl = 1};
	struct sp_frame frame;

	(void)unused;
	route_start(&(struct lab_options){0}, RULES("\"10 allow udp to self dport 67\", \"11 allow ospf to self\""));
	sp_frame_build(&frame, &ask);
	route_send_down(LINK_OUT, &frame);
	lab_run();
	assert_int_equal(lab_count(OUT), 1);
	send_as(IN, &ask, true);
	assert_up(LINK_IN, true);
	send_as(OUT, &ask, true);
	assert_up(LINK_OUT, true);
	send_as(IN, &hello, false);
	assert_up(LINK_IN, false);
	send_as(OUT, &hello, false);
	assert_up(LINK_OUT, false);
	assert_int_equal(lab_active(), 0);
	lab_stop();
}

/* The broadcast address of the link's network, as against a host's address in a broadcast frame. */
static void broadcast_of_a_link(void **unused)
{
	struct sp_frame_spec ping = {.proto = IPPROTO_ICMP, .icmp_type = 8, .dst = "192.0.2.255"};

	(void)unused;
	route_start(&(struct lab_options){0}, RULES(""));
	send_as(IN, &ping, true);
	assert_up(LINK_IN, true);
	ping.dst = "192.0.2.254";
	send_as(IN, &ping, true);
	assert_lost(SP_DROP_ROUTE_MULTICAST, 1);
	ping.dst = "198.51.100.2";
	send_as(IN, &ping, true);
	assert_lost(SP_DROP_ROUTE_MULTICAST, 2);
	lab_stop();
}

/* Linux answers with an address of its own what all were asked; nobody else's answer passes without its question. */
static void linux_answers_for_a_group(void **unused)
{
	struct sp_frame_spec reply = {.proto = IPPROTO_ICMP, .icmp_type = 0, .src = "192.0.2.254", .dst = "192.0.2.1"};
	struct sp_frame frame;

	(void)unused;
	route_start(&(struct lab_options){0}, ROUTE_ALL);
	sp_frame_build(&frame, &reply);
	route_send_down(LINK_IN, &frame);
	lab_run();
	assert_int_equal(lab_count(IN), 1);
	assert_int_equal(lab_active(), 0);
	reply.src = "192.0.2.1";
	reply.dst = "198.51.100.2";
	send_as(IN, &reply, false);
	assert_lost(SP_DROP_ICMP_NO_SESSION, 1);
	lab_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(discovery_is_for_us_or_for_all, setup, cleanup),
		cmocka_unit_test_setup_teardown(answers_of_dhcp_are_nothing_to_forward, setup, cleanup),
		cmocka_unit_test_setup_teardown(groups_make_no_sessions, setup, cleanup),
		cmocka_unit_test_setup_teardown(broadcast_of_a_link, setup, cleanup),
		cmocka_unit_test_setup_teardown(linux_answers_for_a_group, setup, cleanup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
