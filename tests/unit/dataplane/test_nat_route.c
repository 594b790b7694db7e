/* SPDX-License-Identifier: BSD-3-Clause */
/* Translation in route mode: addresses of links, which come and go, and the way back through the outside. */
#include "tests/unit/dataplane/route_fixture.h"

#include "tests/unit/dataplane/nat_fixture.h"

#define INSIDE   "192.0.2.1"
#define OTHER    "192.0.2.9"
#define OUTSIDE  "198.51.100.2"
#define EXTERNAL "198.51.100.254"

static const char rules[] = NAT_RULES(
	"{ id = 1; type = \"source\"; from = \"inside\"; to = \"outside\"; src = \"192.0.2.0/24\"; address = \"interface\"; filtering = "
	"\"endpoint\"; },"
	"{ id = 2; type = \"destination\"; proto = \"tcp\"; dst = \"interface\"; dport = 8080; address = \"192.0.2.1\"; port = 80; }");

static int setup(void **unused)
{
	(void)unused;
	route_defaults();
	route_start(&(struct lab_options){0}, rules);
	route_neighbour(LINK_IN, OTHER, 9);
	return 0;
}

static int cleanup(void **unused)
{
	(void)unused;
	if (lab.dataplane != NULL)
		lab_free();
	return 0;
}

static struct sp_frame_spec udp(const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	return (struct sp_frame_spec){.proto = IPPROTO_UDP, .src = src, .dst = dst, .sport = sport, .dport = dport};
}

/* In by one port, out by another (or the same). */
static void routed(unsigned int in, const struct sp_frame_spec *spec, unsigned int out, struct seen *seen)
{
	lab_send(in, spec);
	lab_run();
	assert_true(nat_see(out, seen));
	assert_int_equal(seen->bytes[22], 63); /* one hop */
	assert_int_equal(lab_count(IN) + lab_count(OUT), 0);
}

static void the_link_lends_its_address(void **unused)
{
	struct sp_frame_spec out = udp(INSIDE, 1000, OUTSIDE, 53);
	struct seen seen;

	(void)unused;
	routed(IN, &out, OUT, &seen);
	assert_string_equal(seen.src, EXTERNAL);
	out = seen_answer(&seen);
	routed(OUT, &out, IN, &seen);
	assert_seen(&seen, OUTSIDE, 53, INSIDE, 1000);
	/* what is nobody's goes up to Linux */
	out = (struct sp_frame_spec){.proto = IPPROTO_ICMP, .icmp_type = 8, .icmp_id = 40000, .src = OUTSIDE, .dst = EXTERNAL};
	lab_send(OUT, &out);
	lab_run();
	assert_int_equal(route_count_up(), 1);
}

static void ports_of_the_router_are_forwarded(void **unused)
{
	struct sp_frame_spec in = {.src = OUTSIDE, .dst = EXTERNAL, .sport = 1000, .dport = 8080};
	struct seen seen;

	(void)unused;
	routed(OUT, &in, IN, &seen);
	assert_seen(&seen, OUTSIDE, 1000, INSIDE, 80);
	in = seen_answer(&seen);
	routed(IN, &in, OUT, &seen);
	assert_seen(&seen, EXTERNAL, 8080, OUTSIDE, 1000);
}

/* RFC 4787 REQ-9: the server sees the external address, and so its answer comes back this way. */
static void an_inside_host_reaches_the_forwarded_port(void **unused)
{
	struct sp_frame_spec in = {.src = OTHER, .dst = EXTERNAL, .sport = 1000, .dport = 8080};
	struct seen seen;

	(void)unused;
	routed(IN, &in, IN, &seen);
	assert_string_equal(seen.src, EXTERNAL);
	assert_string_equal(seen.dst, INSIDE);
	assert_int_equal(seen.dport, 80);
	in = seen_answer(&seen);
	routed(IN, &in, IN, &seen);
	assert_seen(&seen, EXTERNAL, 8080, OTHER, 1000);
}

static void two_inside_hosts_meet_outside(void **unused)
{
	struct sp_frame_spec one = udp(INSIDE, 1000, OUTSIDE, 53), two = udp(OTHER, 2000, OUTSIDE, 53);
	struct seen first, second, seen;

	(void)unused;
	routed(IN, &one, OUT, &first);
	routed(IN, &two, OUT, &second);
	two.dst = EXTERNAL;
	two.dport = first.sport;
	routed(IN, &two, IN, &seen);
	assert_seen(&seen, EXTERNAL, second.sport, INSIDE, 1000);
	two = seen_answer(&seen);
	routed(IN, &two, IN, &seen);
	assert_seen(&seen, EXTERNAL, first.sport, OTHER, 2000);
}

/* Sessions of an address that is gone end: what repeats itself opens new ones. */
static void a_new_address_takes_over(void **unused)
{
	struct sp_frame_spec out = udp(INSIDE, 1000, OUTSIDE, 53), next = udp(INSIDE, 1000, OUTSIDE, 54);
	struct seen first, seen;

	(void)unused;
	routed(IN, &out, OUT, &first);
	route_addresses(LINK_OUT, "198.51.100.253", NULL, NULL);
	lab_run();
	assert_int_equal(lab_active(), 0);
	routed(IN, &out, OUT, &seen);
	assert_string_equal(seen.src, "198.51.100.253");
	routed(IN, &next, OUT, &seen);
	assert_string_equal(seen.src, "198.51.100.253");
	/* back again: what it had is found */
	route_addresses(LINK_OUT, EXTERNAL, NULL, NULL);
	next.dport = 55;
	routed(IN, &next, OUT, &seen);
	assert_seen(&seen, EXTERNAL, first.sport, OUTSIDE, 55);
}

/* An address that is not the first any more keeps its sessions. */
static void a_second_address_keeps_its_sessions(void **unused)
{
	struct sp_frame_spec out = udp(INSIDE, 1000, OUTSIDE, 53), next = udp(INSIDE, 1000, OUTSIDE, 54);
	struct sp_link_addresses both = {.n4 = 2};
	struct seen first, seen;
	uint8_t address[16];

	(void)unused;
	routed(IN, &out, OUT, &first);
	route_parse("198.51.100.253", address);
	memcpy(&both.v4[0], address, 4);
	route_parse(EXTERNAL, address);
	memcpy(&both.v4[1], address, 4);
	assert_int_equal(sp_link_set_addresses(lab.dataplane->routing, LINK_OUT, &both), 0);
	lab_run();
	routed(IN, &out, OUT, &seen);
	assert_seen(&seen, EXTERNAL, first.sport, OUTSIDE, 53);
	out = seen_answer(&first);
	routed(OUT, &out, IN, &seen);
	assert_seen(&seen, OUTSIDE, 53, INSIDE, 1000);
	routed(IN, &next, OUT, &seen);
	assert_string_equal(seen.src, "198.51.100.253");
}

static void without_an_address_nothing_leaves(void **unused)
{
	struct sp_frame_spec out = udp(INSIDE, 1000, OUTSIDE, 53);

	(void)unused;
	route_addresses(LINK_OUT, NULL, NULL, NULL);
	lab_send(IN, &out);
	lab_run();
	assert_int_equal(lab_count(OUT), 0);
	assert_int_equal(lab_drops(SP_DROP_NAT_NO_ADDRESS), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_link_lends_its_address, setup, cleanup),
		cmocka_unit_test_setup_teardown(ports_of_the_router_are_forwarded, setup, cleanup),
		cmocka_unit_test_setup_teardown(an_inside_host_reaches_the_forwarded_port, setup, cleanup),
		cmocka_unit_test_setup_teardown(two_inside_hosts_meet_outside, setup, cleanup),
		cmocka_unit_test_setup_teardown(a_new_address_takes_over, setup, cleanup),
		cmocka_unit_test_setup_teardown(a_second_address_keeps_its_sessions, setup, cleanup),
		cmocka_unit_test_setup_teardown(without_an_address_nothing_leaves, setup, cleanup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
