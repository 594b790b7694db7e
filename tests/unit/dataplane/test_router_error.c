/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP errors of the router, through the whole path: which error for which reason, in whose name, what it quotes, when there is none, and
 * how many a second.
 */
#include "tests/unit/dataplane/route_fixture.h"

#define PROHIBITED \
	"version = 1; default = { action = \"allow\"; }; rules = (\"20 reject udp,tcp,icmp,icmpv6 dst 198.51.100.23,2001:db8:2::23\");"

static uint8_t payload[1600];

static int setup(void **unused)
{
	(void)unused;
	route_defaults();
	return 0;
}

/* Routes for every error but the neighbour's. */
static void start(const char *rules)
{
	route_start(&(struct lab_options){0}, rules);
	route_set("10.1.0.0", 16, SP_NEXTHOP_ID_PROHIBIT);
	route_set("10.2.0.0", 16, SP_NEXTHOP_ID_BLACKHOLE);
	route_set("2001:db8:a1::", 48, SP_NEXTHOP_ID_PROHIBIT);
}

struct expected {
	uint8_t type, code;
	const char *source;
	uint16_t mtu;
};

/* An error about the frame, addressed to its sender by layer 2 and 3. */
static void check_error(const struct rte_mbuf *mbuf, const struct sp_frame *frame, const struct expected *expected)
{
	const uint8_t *bytes = route_bytes(mbuf), *ip = bytes + frame->l3, *refused = frame->bytes + frame->l3;
	bool v6 = refused[0] >> 4 == 6;
	size_t header = v6 ? 40 : 20, limit = v6 ? 1280 : 576, quoted = mbuf->pkt_len - frame->l3 - header - 8;
	uint8_t source[16];

	route_parse(expected->source, source);
	assert_memory_equal(bytes, frame->bytes + 6, 6);
	assert_memory_equal(bytes + 6, frame->bytes, 6);
	assert_memory_equal(bytes + 12, frame->bytes + 12, frame->l3 - 12);
	assert_true(sp_frame_checksums_ok(bytes, mbuf->pkt_len));
	assert_int_equal(ip[v6 ? 6 : 9], v6 ? 58 : 1);
	assert_memory_equal(ip + (v6 ? 8 : 12), source, v6 ? 16 : 4);
	assert_memory_equal(ip + (v6 ? 24 : 16), refused + (v6 ? 8 : 12), v6 ? 16 : 4);
	assert_int_equal(ip[header], expected->type);
	assert_int_equal(ip[header + 1], expected->code);
	assert_int_equal(sp_read_be32(ip + header + 4), expected->mtu);
	assert_int_equal(quoted, RTE_MIN(frame->len - frame->l3, limit - header - 8));
	assert_memory_equal(ip + header + 8, refused, quoted);
}

static void expect_error(const struct sp_frame *frame, const struct expected *expected)
{
	struct rte_mbuf *mbuf;

	lab_send_frame(IN, 0, frame);
	lab_run();
	mbuf = lab_take(IN);
	if (mbuf == NULL)
		fail_msg("no error %u/%u", expected->type, expected->code);
	check_error(mbuf, frame, expected);
	rte_pktmbuf_free(mbuf);
	assert_int_equal(lab_count(IN), 0);
	assert_int_equal(lab_count(OUT), 0);
	lab_balance(0);
}

static void each_reason_has_its_error(void **unused)
{
	static const struct {
		struct sp_frame_spec spec;
		enum sp_drop_reason reason;
		struct expected expected;
	} table[] = {
		{{.ttl = 1}, SP_DROP_ROUTE_TTL, {11, 0, "192.0.2.254", 0}},
		{{.ttl = 1, .family = 6}, SP_DROP_ROUTE_TTL, {3, 0, "2001:db8:1::fe", 0}},
		{{.ttl = 1, .proto = IPPROTO_UDP}, SP_DROP_ROUTE_TTL, {11, 0, "192.0.2.254", 0}},
		{{.ttl = 1, .proto = IPPROTO_ICMP, .icmp_type = 8}, SP_DROP_ROUTE_TTL, {11, 0, "192.0.2.254", 0}},
		{{.ttl = 1, .proto = 47, .payload_len = 9}, SP_DROP_ROUTE_TTL, {11, 0, "192.0.2.254", 0}},
		{{.dst = "10.9.9.9"}, SP_DROP_ROUTE_UNREACHABLE, {3, 0, "192.0.2.254", 0}},
		{{.dst = "2001:db8:99::1", .family = 6}, SP_DROP_ROUTE_UNREACHABLE, {1, 0, "2001:db8:1::fe", 0}},
		{{.dst = "10.1.9.9"}, SP_DROP_ROUTE_PROHIBIT, {3, 13, "192.0.2.254", 0}},
		{{.dst = "2001:db8:a1::1", .family = 6}, SP_DROP_ROUTE_PROHIBIT, {1, 1, "2001:db8:1::fe", 0}},
		{{.dst = "198.51.100.23", .proto = IPPROTO_UDP}, SP_DROP_RULE, {3, 13, "192.0.2.254", 0}},
		{{.dst = "2001:db8:2::23", .proto = IPPROTO_UDP, .family = 6}, SP_DROP_RULE, {1, 1, "2001:db8:1::fe", 0}},
		{{.dst = "10.1.9.9", .src = "203.0.113.7", .n_tags = 1, .tci = {20}}, SP_DROP_ROUTE_PROHIBIT, {3, 13, "203.0.113.254", 0}},
		/* a link without global IPv6 address: another's */
		{{.dst = "2001:db8:99::1", .src = "2001:db8:3::7", .family = 6, .n_tags = 1, .tci = {20}}, SP_DROP_ROUTE_UNREACHABLE,
			{1, 0, "2001:db8:1::fe", 0}},
	};

	(void)unused;
	start(PROHIBITED);
	for (size_t i = 0; i < RTE_DIM(table); i++) {
		uint64_t before = lab_drops(table[i].reason);
		struct sp_frame frame;

		sp_frame_build(&frame, &table[i].spec);
		expect_error(&frame, &table[i].expected);
		assert_int_equal(lab_drops(table[i].reason), before + 1);
	}
	assert_int_equal(lab_stats().errors_built, RTE_DIM(table) - 2);
	assert_int_equal(lab_stats().rejects_built, 2);
	lab_stop();
}

static void the_mtu_is_told(void **unused)
{
	(void)unused;
	start(ROUTE_ALL);
	lab.dataplane->routing->links[LINK_OUT].mtu = 1400;
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		struct sp_frame_spec spec = {
			.family = v6 ? 6 : 4, .proto = IPPROTO_UDP, .dport = 53, .payload = payload, .payload_len = 1400 - (v6 ? 48 : 28)};
		struct expected expected = {v6 ? 2 : 3, v6 ? 0 : 4, v6 ? "2001:db8:1::fe" : "192.0.2.254", 1400};
		struct sp_frame frame;

		sp_frame_build(&frame, &spec);
		frame.bytes[20] |= v6 ? 0 : 0x40;
		sp_frame_checksums(&frame);
		lab_send_frame(IN, 0, &frame);
		lab_run();
		assert_int_equal(lab_count(OUT), 1);
		assert_int_equal(lab_count(IN), 0);
		spec.payload_len++;
		sp_frame_build(&frame, &spec);
		frame.bytes[20] |= v6 ? 0 : 0x40;
		sp_frame_checksums(&frame);
		expect_error(&frame, &expected);
	}
	assert_int_equal(lab_drops(SP_DROP_ROUTE_MTU), 2);
	lab_stop();
}

static void a_link_that_is_down(void **unused)
{
	struct expected expected = {3, 1, "192.0.2.254", 0}, expected6 = {1, 3, "2001:db8:1::fe", 0};
	struct sp_frame frame;

	(void)unused;
	start(ROUTE_ALL);
	lab.dataplane->routing->links[LINK_OUT].up = 0;
	sp_frame_build(&frame, &(struct sp_frame_spec){0});
	expect_error(&frame, &expected);
	sp_frame_build(&frame, &(struct sp_frame_spec){.family = 6});
	expect_error(&frame, &expected6);
	assert_int_equal(lab_drops(SP_DROP_ROUTE_LINK_DOWN), 2);
	lab_stop();
}

/* A TCP packet that a rule rejects gets a RST, one that the router cannot forward an ICMP error. */
static void a_rule_resets_tcp(void **unused)
{
	struct sp_frame frame;
	struct rte_mbuf *mbuf;

	(void)unused;
	start(PROHIBITED);
	sp_frame_build(&frame, &(struct sp_frame_spec){.dst = "198.51.100.23"});
	lab_send_frame(IN, 0, &frame);
	lab_run();
	mbuf = lab_take(IN);
	assert_non_null(mbuf);
	assert_int_equal(route_bytes(mbuf)[23], IPPROTO_TCP);
	assert_memory_equal(route_bytes(mbuf) + 26, frame.bytes + 30, 4);
	rte_pktmbuf_free(mbuf);
	lab_stop();
}

/* A packet to the firewall itself is answered from where it was sent to. */
static void own_addresses_answer_themselves(void **unused)
{
	struct expected expected = {3, 13, "198.51.100.254", 0};
	struct sp_frame frame;

	(void)unused;
	start("version = 1; default = { action = \"allow\"; }; rules = (\"20 reject udp to self\");");
	sp_frame_build(&frame, &(struct sp_frame_spec){.dst = "198.51.100.254", .proto = IPPROTO_UDP});
	expect_error(&frame, &expected);
	lab_stop();
}

static void some_are_never_answered(void **unused)
{
	static const struct sp_frame_spec table[] = {
		{.ttl = 1, .tcp_flags = RST},                                    /* no error about a reset */
		{.ttl = 1, .proto = IPPROTO_ICMP, .icmp_type = 5},               /* redirect */
		{.ttl = 1, .proto = IPPROTO_ICMP, .icmp_type = 40},              /* unknown: may be an error */
		{.dst = "10.2.9.9"},                                             /* blackhole */
		{.dst = "10.9.9.9", .src = "192.0.2.255", .proto = IPPROTO_UDP}, /* a broadcast address as source */
		{.dst = "10.9.9.9", .src = "192.0.2.254", .proto = IPPROTO_UDP}, /* ourselves as source */
		{.dst = "198.51.100.255", .proto = IPPROTO_UDP},                 /* a broadcast address */
		{.dst = "224.0.0.251", .proto = IPPROTO_UDP},
		{.dst = "255.255.255.255", .proto = IPPROTO_UDP},
		{.dst = "ff05::1", .proto = IPPROTO_UDP, .family = 6},
	};
	struct sp_frame frame, about, error;

	(void)unused;
	start("version = 1; default = { action = \"allow\"; }; rules = (\"20 reject udp\", \"21 reject udp to self\");");
	for (size_t i = 0; i < RTE_DIM(table); i++) {
		sp_frame_build(&frame, &table[i]);
		lab_send_frame(IN, 0, &frame);
		lab_run();
		if (lab_count(IN) != 0)
			fail_msg("row %zu was answered", i);
	}
	/* a frame to a group of MACs */
	sp_frame_build(&frame, &(struct sp_frame_spec){.dst = "10.9.9.9"});
	frame.bytes[0] |= 1;
	lab_send_frame(IN, 0, &frame);
	/* an ICMP error */
	sp_frame_build(&about, &(struct sp_frame_spec){.src = "10.9.9.9", .dst = "192.0.2.1"});
	sp_frame_build_error(&error, &about, 3, 1, 576);
	lab_send_frame(IN, 0, &error);
	lab_run();
	assert_int_equal(lab_count(IN), 0);
	assert_int_equal(lab_count(OUT), 0);
	assert_int_equal(lab_stats().errors_built, 0);
	assert_int_equal(lab_stats().built, 0);
	route_count_up();
	lab_stop();
}

/* No link has an address of the family. */
static void without_address_no_answer(void **unused)
{
	(void)unused;
	start(ROUTE_ALL);
	route_addresses(LINK_IN, NULL, "2001:db8:1::fe", NULL);
	lab_send(IN, &(struct sp_frame_spec){.dst = "10.9.9.9"});
	lab_run();
	assert_int_equal(lab_count(IN), 1); /* another link's */
	route_addresses(LINK_OUT, NULL, NULL, NULL);
	route_addresses(LINK_GUEST, NULL, NULL, NULL);
	lab_send(IN, &(struct sp_frame_spec){.dst = "10.9.9.9"});
	lab_run();
	assert_int_equal(lab_count(IN), 0);
	assert_int_equal(lab_stats().errors_suppressed, 1);
	lab_stop();
}

static void towards_link_local_from_link_local(void **unused)
{
	struct expected expected = {1, 1, "fe80::fe", 0};
	struct sp_frame frame;

	(void)unused;
	start("version = 1; default = { action = \"allow\"; }; rules = (\"20 reject udp to self\");");
	sp_frame_build(&frame, &(struct sp_frame_spec){.family = 6, .proto = IPPROTO_UDP, .src = "fe80::7", .dst = "2001:db8:1::fe"});
	expected.source = "2001:db8:1::fe"; /* it was asked */
	expect_error(&frame, &expected);
	route_set("2001:db8:1::ff", 128, SP_NEXTHOP_ID_PROHIBIT);
	sp_frame_build(&frame, &(struct sp_frame_spec){.family = 6, .proto = IPPROTO_UDP, .src = "fe80::7", .dst = "2001:db8:1::ff"});
	expected.source = "fe80::fe";
	expect_error(&frame, &expected);
	lab_stop();
}

/* What would have left with other addresses is quoted with those that it came with. */
static void translated_packets_are_quoted_as_they_came(void **unused)
{
	struct expected exceeded = {11, 0, "192.0.2.254", 0}, too_long = {3, 4, "192.0.2.254", 600};
	struct sp_frame frame;

	(void)unused;
	start("version = 1; default = { action = \"allow\"; }; rules = ();"
	      "nat = ({ id = 1; type = \"source\"; from = \"inside\"; to = \"outside\"; address = \"198.51.100.200\"; },"
	      "       { id = 2; type = \"destination\"; from = \"inside\"; dst = \"192.0.2.80\"; address = \"198.51.100.2\"; });");
	for (unsigned int hit = 0; hit < 2; hit++) {
		const char *dst = hit ? "192.0.2.80" : NULL;
		uint16_t sport = (uint16_t)(7000 + hit);

		sp_frame_build(&frame, &(struct sp_frame_spec){.proto = IPPROTO_UDP, .ttl = 1, .dst = dst, .sport = sport});
		expect_error(&frame, &exceeded);
		/* and when there is a session */
		lab_send(IN, &(struct sp_frame_spec){.proto = IPPROTO_UDP, .dst = dst, .sport = sport});
		lab_run();
		assert_int_equal(lab_count(OUT), 1);
		expect_error(&frame, &exceeded);
		lab.dataplane->routing->links[LINK_OUT].mtu = 600;
		sp_frame_build(&frame,
			&(struct sp_frame_spec){.proto = IPPROTO_UDP, .dst = dst, .sport = sport, .payload = payload, .payload_len = 800});
		expect_error(&frame, &too_long);
		lab.dataplane->routing->links[LINK_OUT].mtu = 1500;
	}
	lab_stop();
}

/* --- how many --------------------------------------------------------------------------------------------------------------------- */

static void rates_are_shared(void **unused)
{
	struct sp_error_rate *rates = calloc(1, sizeof(*rates));
	struct sp_key key = {.family = SP_FAMILY_IPV4};
	uint64_t now = 1000000000;
	unsigned int n;

	(void)unused;
	assert_non_null(rates);
	key.v4.src = RTE_BE32(0xc0000201);
	/* one host */
	for (n = 0; sp_error_rate_take(rates, &key, false, 1000, 1, now); n++)
		assert_in_range(n, 0, 1000);
	assert_int_equal(n, SP_ERROR_HOST_RATE);
	assert_false(sp_error_rate_take(rates, &key, false, 1000, 1, now + 1000000000 / SP_ERROR_HOST_RATE - 1));
	assert_true(sp_error_rate_take(rates, &key, false, 1000, 1, now + 1000000000 / SP_ERROR_HOST_RATE));
	/* does not use up what path MTU discovery and the others need */
	assert_true(sp_error_rate_take(rates, &key, true, 1000, 1, now));
	key.v4.src = RTE_BE32(0xc0000202);
	assert_true(sp_error_rate_take(rates, &key, false, 1000, 1, now));
	/* all together: a worker's share, a second's worth at once */
	memset(rates, 0, sizeof(*rates));
	for (n = 0; sp_error_rate_take(rates, &key, true, 100, 4, now); n++)
		assert_in_range(n, 0, 1000);
	assert_int_equal(n, 25);
	assert_false(sp_error_rate_take(rates, &key, true, 100, 4, now + 39999999));
	assert_true(sp_error_rate_take(rates, &key, true, 100, 4, now + 40000000));
	/* a flood of the others leaves a quarter to path MTU discovery, and takes nothing of it back */
	memset(rates, 0, sizeof(*rates));
	for (n = 0; n < 1000; n++) {
		key.v4.src = RTE_BE32(0x0a000000 + n);
		if (!sp_error_rate_take(rates, &key, false, 100, 1, now) && n > 200)
			break;
	}
	for (n = 0; sp_error_rate_take(rates, &key, true, 100, 1, now); n++)
		assert_in_range(n, 0, 1000);
	assert_int_equal(n, 25);
	assert_false(sp_error_rate_take(rates, &key, false, 100, 1, now + 250000000));
	assert_true(sp_error_rate_take(rates, &key, true, 100, 1, now + 250000000));
	/* fewer than workers: one in any case, and then slowly */
	memset(rates, 0, sizeof(*rates));
	assert_true(sp_error_rate_take(rates, &key, true, 1, 4, now));
	assert_false(sp_error_rate_take(rates, &key, true, 1, 4, now + 3999999999));
	assert_true(sp_error_rate_take(rates, &key, true, 1, 4, now + 4000000000));
	assert_false(sp_error_rate_take(rates, &key, true, 0, 1, now + 9000000000));
	free(rates);
}

static void a_flood_gets_few(void **unused)
{
	(void)unused;
	route_config.errors = 50;
	start(ROUTE_ALL);
	lab.ms = 5000;
	for (unsigned int i = 0; i < 200; i++) {
		char source[32];

		snprintf(source, sizeof(source), "192.0.2.%u", 1 + i % 100);
		lab_send(IN, &(struct sp_frame_spec){.src = source, .dst = "10.9.9.9"});
	}
	lab_run();
	assert_int_equal(lab_count(IN), 38);
	assert_int_equal(lab_stats().errors_built, 38);
	assert_int_equal(lab_stats().errors_suppressed, 162);
	assert_int_equal(lab_drops(SP_DROP_ROUTE_UNREACHABLE), 200);
	lab_stop();
}

static int cleanup(void **unused)
{
	(void)unused;
	if (lab.dataplane != NULL)
		lab_free();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_reason_has_its_error, setup, cleanup),
		cmocka_unit_test_setup_teardown(the_mtu_is_told, setup, cleanup),
		cmocka_unit_test_setup_teardown(a_link_that_is_down, setup, cleanup),
		cmocka_unit_test_setup_teardown(a_rule_resets_tcp, setup, cleanup),
		cmocka_unit_test_setup_teardown(own_addresses_answer_themselves, setup, cleanup),
		cmocka_unit_test_setup_teardown(some_are_never_answered, setup, cleanup),
		cmocka_unit_test_setup_teardown(without_address_no_answer, setup, cleanup),
		cmocka_unit_test_setup_teardown(towards_link_local_from_link_local, setup, cleanup),
		cmocka_unit_test_setup_teardown(translated_packets_are_quoted_as_they_came, setup, cleanup),
		cmocka_unit_test_setup_teardown(rates_are_shared, setup, cleanup),
		cmocka_unit_test_setup_teardown(a_flood_gets_few, setup, cleanup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
