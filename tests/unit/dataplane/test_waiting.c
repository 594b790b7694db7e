/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets that wait for neighbours: they go on in order when the neighbour is found, whoever names it; they end as counted drops with an
 * error when it is not; and whatever comes, they are few.
 */
#include <pthread.h>
#include <unistd.h>

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

static void start(void)
{
	route_start(&(struct lab_options){0}, ROUTE_ALL);
	lab.ms = 10000;
}

static void send_udp(uint8_t family, const char *dst, uint16_t sport)
{
	lab_send(IN, &(struct sp_frame_spec){
			     .family = family, .proto = IPPROTO_UDP, .dst = dst, .sport = sport, .dport = 53, .payload_len = 40});
}

static uint64_t waiting(void)
{
	uint64_t held = lab_stats().waiting_held;

	lab_balance(held);
	return held;
}

/* The question that was asked, one and no other. */
static struct sp_resolve expect_question(uint16_t link, const char *address)
{
	struct sp_resolve question, more;
	uint8_t bytes[16];

	assert_true(route_asked(&question));
	assert_false(route_asked(&more));
	assert_int_equal(question.link, link);
	assert_int_equal(question.family, route_parse(address, bytes));
	assert_memory_equal(question.address, bytes, 16);
	return question;
}

/* Frames of this neighbour left in the order of their source ports, one hop less. */
static void expect_sent(uint8_t last, uint16_t first_port, unsigned int n)
{
	const uint8_t mac[6] = {0x02, 0, 0, 0, 0x99, last};

	for (unsigned int i = 0; i < n; i++) {
		struct rte_mbuf *mbuf = lab_take(OUT);
		const uint8_t *bytes;
		bool v6;

		assert_non_null(mbuf);
		bytes = route_bytes(mbuf);
		v6 = bytes[14] >> 4 == 6;
		assert_memory_equal(bytes, mac, 6);
		assert_memory_equal(bytes + 6, route_mac, 6);
		assert_int_equal(sp_read_be16(bytes + 12), v6 ? 0x86dd : 0x0800);
		assert_int_equal(bytes[v6 ? 21 : 22], 63);
		assert_int_equal(sp_read_be16(bytes + (v6 ? 54 : 34)), first_port + i);
		assert_true(sp_frame_checksums_ok(bytes, mbuf->pkt_len));
		rte_pktmbuf_free(mbuf);
	}
	assert_int_equal(lab_count(OUT), 0);
}

static void found_by_its_host_route(void **unused)
{
	(void)unused;
	start();
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		const char *address = v6 ? "2001:db8:2::77" : "198.51.100.77";

		for (uint16_t i = 0; i < 3; i++)
			send_udp(v6 ? 6 : 4, address, 7000 + i);
		lab_run();
		assert_int_equal(lab_count(OUT), 0);
		assert_int_equal(waiting(), 3);
		assert_int_equal(expect_question(LINK_OUT, address).nexthop, SP_NEXTHOP_ID_UNREACHABLE);
		route_neighbour(LINK_OUT, address, 0x77);
		lab_run();
		assert_int_equal(waiting(), 0);
		expect_sent(0x77, 7000, 3);
		send_udp(v6 ? 6 : 4, address, 7003);
		lab_run();
		expect_sent(0x77, 7003, 1);
	}
	assert_int_equal(lab_stats().waited, 6);
	lab_stop();
}

/* A gateway that no connected prefix has: only the next hop knows it. */
static void found_by_its_next_hop(void **unused)
{
	uint32_t id;

	(void)unused;
	start();
	id = route_gateway(LINK_OUT, "fe80::1");
	route_set("2001:db8:99::", 48, id);
	send_udp(6, "2001:db8:99::1", 7000);
	send_udp(6, "2001:db8:99::2", 7001);
	lab_run();
	assert_int_equal(waiting(), 2);
	assert_int_equal(expect_question(LINK_OUT, "fe80::1").nexthop, id);
	route_resolve(id, 5);
	lab_run();
	expect_sent(5, 7000, 2);
	lab_stop();
}

/* The record is another neighbour's by the time it has a MAC: that MAC is not taken. */
static void a_next_hop_that_was_given_away(void **unused)
{
	struct sp_nexthop *nexthop;
	uint8_t other[16];
	uint32_t id;

	(void)unused;
	start();
	id = route_gateway(LINK_OUT, "fe80::1");
	route_set("2001:db8:99::", 48, id);
	send_udp(6, "2001:db8:99::1", 7000);
	lab_run();
	nexthop = &lab.dataplane->routing->nexthops[id];
	route_parse("fe80::2", other);
	memcpy(nexthop->address, other, 16);
	route_resolve(id, 6);
	lab_run();
	assert_int_equal(lab_count(OUT), 0);
	assert_int_equal(waiting(), 1);
	route_parse("fe80::1", other);
	memcpy(nexthop->address, other, 16);
	nexthop->link = LINK_GUEST;
	lab_run();
	assert_int_equal(waiting(), 1);
	nexthop->link = LINK_OUT;
	lab_run();
	expect_sent(6, 7000, 1);
	lab_stop();
}

static void asked_once_a_second_and_given_up(void **unused)
{
	struct sp_resolve question;

	(void)unused;
	start();
	send_udp(4, "198.51.100.77", 7000);
	lab_run();
	expect_question(LINK_OUT, "198.51.100.77");
	for (unsigned int tenth = 1; tenth < 30; tenth++) {
		lab.ms += 100;
		send_udp(4, "198.51.100.77", 7000);
		lab_run();
		assert_int_equal(route_asked(&question), tenth % 10 == 0);
		assert_int_equal(lab_drops(SP_DROP_ROUTE_NEIGHBOUR), 0);
		assert_int_equal(waiting(), RTE_MIN(1 + tenth, 4u));
	}
	assert_int_equal(lab_drops(SP_DROP_ROUTE_WAITING_FULL), 26);
	lab.ms += 100;
	lab_run();
	assert_false(route_asked(&question));
	assert_int_equal(waiting(), 0);
	assert_int_equal(lab_drops(SP_DROP_ROUTE_NEIGHBOUR), 4);
	assert_int_equal(lab_stats().ports[IN].drops, 30);
	assert_int_equal(lab_count(IN), 4);
	lab_stop();
}

/* What Linux said before it was asked does not count, what it says then does. */
static void linux_says_that_it_failed(void **unused)
{
	uint32_t id;

	(void)unused;
	start();
	id = route_neighbour(LINK_OUT, "198.51.100.77", 1);
	sp_nexthop_failed(lab.dataplane->routing, id);
	send_udp(4, "198.51.100.77", 7000);
	lab_run();
	lab.ms += 999;
	lab_run();
	assert_int_equal(waiting(), 1);
	lab.ms++;
	lab_run();
	assert_int_equal(waiting(), 0);
	assert_int_equal(lab_drops(SP_DROP_ROUTE_NEIGHBOUR), 1);
	lab_count(IN);
	lab_stop();
}

/* Host unreachable, in the packet's own words: TTL and all as they came. */
static void the_sender_is_told(void **unused)
{
	(void)unused;
	start();
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		struct sp_frame_spec spec = {
			.family = v6 ? 6 : 4, .dst = v6 ? "2001:db8:2::77" : "198.51.100.77", .ttl = 9, .payload_len = 33};
		const uint8_t mac[6] = {0x02, 0, 0, 0, 0x99, 1};
		size_t header = v6 ? 40 : 20;
		uint8_t source[16];
		struct sp_frame frame;
		struct rte_mbuf *mbuf;
		const uint8_t *bytes;

		sp_frame_build(&frame, &spec);
		lab_send_frame(IN, 0, &frame);
		lab_run();
		lab.ms += SP_WAITING_MS;
		lab_run();
		mbuf = lab_take(IN);
		assert_non_null(mbuf);
		bytes = route_bytes(mbuf);
		assert_memory_equal(bytes, mac, 6);
		assert_true(sp_frame_checksums_ok(bytes, mbuf->pkt_len));
		assert_int_equal(mbuf->pkt_len, 14 + header + 8 + frame.len - 14);
		assert_int_equal(bytes[14 + header], v6 ? 1 : 3);
		assert_int_equal(bytes[14 + header + 1], v6 ? 3 : 1);
		route_parse(v6 ? "2001:db8:1::fe" : "192.0.2.254", source);
		assert_memory_equal(bytes + 14 + (v6 ? 8 : 12), source, v6 ? 16 : 4);
		assert_memory_equal(bytes + 14 + header + 8, frame.bytes + 14, frame.len - 14);
		rte_pktmbuf_free(mbuf);
	}
	assert_int_equal(lab_stats().errors_built, 2);
	lab_stop();
}

/* The error has to wait for a neighbour itself, and is given up without another error. */
static void an_error_waits_itself(void **unused)
{
	struct sp_resolve question;

	(void)unused;
	start();
	lab_send(IN, &(struct sp_frame_spec){.src = "192.0.2.99", .dst = "198.51.100.77"});
	lab_run();
	expect_question(LINK_OUT, "198.51.100.77");
	lab.ms += SP_WAITING_MS;
	lab_run();
	assert_int_equal(waiting(), 1);
	expect_question(LINK_IN, "192.0.2.99");
	lab.ms += SP_WAITING_MS;
	lab_run();
	assert_int_equal(waiting(), 0);
	assert_false(route_asked(&question));
	assert_int_equal(lab_drops(SP_DROP_ROUTE_NEIGHBOUR), 2);
	assert_int_equal(lab_stats().built, 1);
	lab_stop();
}

/* Fragments wait one by one; about the later ones nothing is said. */
static void fragments_wait(void **unused)
{
	(void)unused;
	start();
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		struct sp_frame_spec spec = {
			.family = v6 ? 6 : 4, .proto = IPPROTO_UDP, .dst = v6 ? "2001:db8:2::77" : "198.51.100.77", .payload_len = 2000};
		struct sp_frame whole, fragment;

		sp_frame_build(&whole, &spec);
		for (size_t at = 0; at < 2008; at += 1000) {
			sp_frame_cut(&fragment, &whole, 1 + v6, at, RTE_MIN((size_t)1000, 2008 - at), false);
			lab_send_frame(IN, 0, &fragment);
		}
		lab_run();
		assert_int_equal(waiting(), 3);
		lab.ms += SP_WAITING_MS;
		lab_run();
		assert_int_equal(waiting(), 0);
		assert_int_equal(lab_count(IN), 1);
	}
	assert_int_equal(lab_drops(SP_DROP_ROUTE_NEIGHBOUR), 6);
	lab_stop();
}

/* A translated packet waits as it leaves; its sender would not know it again, so nothing is said of it. */
static void translated_packets_wait(void **unused)
{
	const uint8_t outside[4] = {198, 51, 100, 200};
	struct rte_mbuf *mbuf;

	(void)unused;
	route_start(&(struct lab_options){0},
		"version = 1; default = { action = \"allow\"; }; rules = ();"
		"nat = ({ id = 1; type = \"source\"; from = \"inside\"; to = \"outside\"; address = \"198.51.100.200\"; });");
	lab.ms = 10000;
	send_udp(4, "198.51.100.77", 7000);
	lab_run();
	assert_int_equal(waiting(), 1);
	lab.ms += SP_WAITING_MS;
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_ROUTE_NEIGHBOUR), 1);
	assert_int_equal(lab_count(IN), 0);
	assert_int_equal(lab_stats().built, 0);
	send_udp(4, "198.51.100.77", 7000);
	lab_run();
	route_neighbour(LINK_OUT, "198.51.100.77", 0x77);
	lab_run();
	mbuf = lab_take(OUT);
	assert_non_null(mbuf);
	assert_memory_equal(route_bytes(mbuf) + 26, outside, 4);
	assert_true(sp_frame_checksums_ok(route_bytes(mbuf), mbuf->pkt_len));
	rte_pktmbuf_free(mbuf);
	lab_stop();
}

/* --- few -------------------------------------------------------------------------------------------------------------------------- */

/* Lets the time of all that waits pass. */
static void stop(void)
{
	lab.ms += SP_WAITING_MS;
	for (unsigned int turn = 0; turn < 16; turn++)
		lab_run();
	assert_int_equal(waiting(), 0);
	lab_stop();
}

static void a_scan_is_bounded(void **unused)
{
	struct sp_resolve question;
	unsigned int asked = 0;

	(void)unused;
	route_config.waiting = 512;
	start();
	route_set("10.0.0.0", 8, route_glean(LINK_OUT, SP_FAMILY_IPV4));
	for (unsigned int i = 0; i < 1000; i++) {
		char address[32];

		snprintf(address, sizeof(address), "10.0.%u.%u", i / 200, 1 + i % 200);
		send_udp(4, address, 7000);
		if (i % 32 == 0)
			lab_run();
		assert_in_range(waiting(), 0, SP_WAITING_NEIGHBOURS);
	}
	lab_run();
	assert_int_equal(waiting(), SP_WAITING_NEIGHBOURS);
	assert_int_equal(lab_drops(SP_DROP_ROUTE_WAITING_FULL), 1000 - SP_WAITING_NEIGHBOURS);
	while (route_asked(&question))
		asked++;
	assert_int_equal(asked, 1000);
	/* the newest is there yet and is found; its packet is the one that has not been pushed out */
	send_udp(4, "198.51.100.77", 7000);
	lab_run();
	route_neighbour(LINK_OUT, "198.51.100.77", 0x77);
	for (unsigned int turn = 0; turn < 16; turn++)
		lab_run();
	expect_sent(0x77, 7000, 1);
	stop();
}

/* The neighbours of a scanned network do not push out those that lead on. */
static void gateways_keep_their_place(void **unused)
{
	uint32_t id;

	(void)unused;
	for (unsigned int few = 0; few < 2; few++) {
		route_defaults();
		route_config.waiting = few ? 16 : 512; /* it is the buffers, or the neighbours, that are scarce */
		start();
		route_set("10.0.0.0", 8, route_glean(LINK_OUT, SP_FAMILY_IPV4));
		id = route_gateway(LINK_OUT, "198.51.100.30");
		route_set("10.7.0.0", 16, id);
		send_udp(4, "10.7.1.1", 7000);
		send_udp(4, "10.7.1.1", 7001);
		for (unsigned int i = 0; i < 600; i++) {
			char address[32];

			snprintf(address, sizeof(address), "10.0.%u.%u", i / 200, 1 + i % 200);
			send_udp(4, address, 7000);
			if (i % 32 == 0)
				lab_run();
		}
		lab_run();
		assert_int_equal(waiting(), few ? 16 : SP_WAITING_NEIGHBOURS + 1);
		route_resolve(id, 0x30);
		for (unsigned int turn = 0; turn < 16; turn++)
			lab_run();
		expect_sent(0x30, 7000, 2);
		stop();
	}
}

/* Gateways make room for each other, and nothing but them does when there is nothing else. */
static void gateways_alone(void **unused)
{
	uint32_t id[8];

	(void)unused;
	route_config.waiting = 4;
	start();
	for (unsigned int g = 0; g < 8; g++) {
		char address[32], network[32];

		snprintf(address, sizeof(address), "198.51.100.%u", 100 + g);
		snprintf(network, sizeof(network), "10.%u.0.0", g);
		id[g] = route_gateway(LINK_OUT, address);
		route_set(network, 16, id[g]);
		snprintf(network, sizeof(network), "10.%u.0.1", g);
		send_udp(4, network, (uint16_t)(7000 + g));
	}
	send_udp(4, "198.51.100.77", 7000); /* no gateway: there is no room for it */
	lab_run();
	assert_int_equal(waiting(), 4);
	assert_int_equal(lab_drops(SP_DROP_ROUTE_WAITING_FULL), 5);
	for (unsigned int g = 0; g < 8; g++) {
		route_resolve(id[g], (uint8_t)g);
		lab_run();
		if (g < 4)
			assert_int_equal(lab_count(OUT), 0);
		else
			expect_sent((uint8_t)g, (uint16_t)(7000 + g), 1);
	}
	stop();
}

static void buffers_are_bounded(void **unused)
{
	(void)unused;
	route_config.waiting = 8;
	start();
	for (unsigned int i = 0; i < 20; i++) {
		char address[32];

		snprintf(address, sizeof(address), "198.51.100.%u", 100 + i % 5);
		send_udp(4, address, 7000);
		lab_run();
		assert_in_range(waiting(), 1, 8);
	}
	assert_int_equal(waiting(), 8);
	assert_int_equal(lab_drops(SP_DROP_ROUTE_WAITING_FULL), 12);
	stop();
}

/* Questions that find the ring full are asked again. */
static void a_full_ring_is_tried_again(void **unused)
{
	struct sp_resolve filler = {.link = LINK_IN};
	struct sp_resolve question;
	unsigned int n = 0;

	(void)unused;
	start();
	while (rte_ring_mp_enqueue_elem(lab.dataplane->routing->resolve, &filler, sizeof(filler)) == 0)
		n++;
	send_udp(4, "198.51.100.77", 7000);
	lab_run();
	while (n-- > 0)
		assert_true(route_asked(&question));
	assert_false(route_asked(&question));
	lab_run();
	expect_question(LINK_OUT, "198.51.100.77");
	stop();
}

static void *worker_thread(void *worker)
{
	sp_worker_run(worker);
	return NULL;
}

static void drain_leaves_nothing(void **unused)
{
	pthread_t threads[2];

	(void)unused;
	route_start(&(struct lab_options){.n_workers = 2, .n_queues = 2}, ROUTE_ALL);
	lab.dataplane->adaptive = true;
	for (unsigned int i = 0; i < 40; i++) {
		struct sp_frame frame;

		sp_frame_build(&frame, &(struct sp_frame_spec){.dst = "198.51.100.77", .sport = (uint16_t)(7000 + i)});
		lab_send_frame(IN, i % 2, &frame);
	}
	for (unsigned int w = 0; w < 2; w++)
		assert_int_equal(pthread_create(&threads[w], NULL, worker_thread, lab.dataplane->workers[w]), 0);
	while (lab_stats().rx < 40)
		usleep(100);
	__atomic_store_n(&lab.dataplane->stop, 1, __ATOMIC_RELAXED);
	for (unsigned int w = 0; w < 2; w++)
		pthread_join(threads[w], NULL);
	lab_balance(0);
	assert_int_equal(lab_stats().waiting_held, 0);
	assert_int_equal(lab_drops(SP_DROP_ROUTE_NEIGHBOUR) + lab_drops(SP_DROP_ROUTE_WAITING_FULL), 40);
	lab_stop();
}

/* Frames that left: those of each network to its own gateway's MAC. */
static unsigned int collect_by_gateway(void)
{
	struct rte_mbuf *mbuf;
	unsigned int n = 0;

	while ((mbuf = lab_take(OUT)) != NULL) {
		const uint8_t *bytes = route_bytes(mbuf);

		assert_int_equal(sp_read_be16(bytes + 12), 0x86dd);
		assert_int_equal(bytes[5], bytes[14 + 24 + 5]); /* the last byte of the MAC, and of the /48 */
		rte_pktmbuf_free(mbuf);
		n++;
	}
	lab_count(IN);
	return n;
}

/* Gateways come and go, and take each other's records, while packets wait for them: none ever gets what is another's. */
static void gateways_come_and_go(void **unused)
{
	static const char *const gateway[2] = {"fe80::1", "fe80::2"}, *const network[2] = {"2001:db8:1001::", "2001:db8:1002::"};
	struct sp_dataplane *dataplane;
	struct sp_resolve question;
	unsigned int sent = 0;
	pthread_t thread;

	(void)unused;
	route_config.queue = 32;
	route_start(&(struct lab_options){0}, ROUTE_ALL);
	dataplane = lab.dataplane;
	dataplane->adaptive = true;
	assert_int_equal(pthread_create(&thread, NULL, worker_thread, dataplane->workers[0]), 0);
	for (unsigned int round = 0; round < 500; round++) {
		uint32_t id[2];

		for (unsigned int g = 0; g < 2; g++) {
			unsigned int k = (g + round) & 1;

			id[k] = route_gateway(LINK_OUT, gateway[k]);
			route_set(network[k], 48, id[k]);
		}
		for (unsigned int i = 0; i < 8; i++) {
			if (i == 4 && round % 3 != 0)
				for (unsigned int k = 0; k < 2; k++)
					route_resolve(id[k], (uint8_t)(1 + k));
			send_udp(6, i & 1 ? "2001:db8:1001::9" : "2001:db8:1002::9", (uint16_t)(round + 1));
			if (round % 4 == 0)
				usleep(30);
		}
		for (unsigned int k = 0; k < 2; k++) {
			uint8_t address[16], family = route_parse(network[k], address);

			if (round % 2 == 0)
				assert_int_equal(sp_route_delete(dataplane->routing, family, address, 48), 0);
			else
				route_set(network[k], 48, SP_NEXTHOP_ID_UNREACHABLE);
			sp_nexthop_retire(dataplane->routing, id[k]);
		}
		sent += collect_by_gateway();
		while (route_asked(&question))
			continue;
	}
	__atomic_store_n(&dataplane->stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	sent += collect_by_gateway();
	assert_in_range(sent, 100, 500 * 8);
	assert_int_not_equal(lab_stats().waited, 0);
	lab_balance(0);
	lab_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(found_by_its_host_route, setup, cleanup),
		cmocka_unit_test_setup_teardown(found_by_its_next_hop, setup, cleanup),
		cmocka_unit_test_setup_teardown(a_next_hop_that_was_given_away, setup, cleanup),
		cmocka_unit_test_setup_teardown(asked_once_a_second_and_given_up, setup, cleanup),
		cmocka_unit_test_setup_teardown(linux_says_that_it_failed, setup, cleanup),
		cmocka_unit_test_setup_teardown(the_sender_is_told, setup, cleanup),
		cmocka_unit_test_setup_teardown(an_error_waits_itself, setup, cleanup),
		cmocka_unit_test_setup_teardown(fragments_wait, setup, cleanup),
		cmocka_unit_test_setup_teardown(translated_packets_wait, setup, cleanup),
		cmocka_unit_test_setup_teardown(a_scan_is_bounded, setup, cleanup),
		cmocka_unit_test_setup_teardown(gateways_keep_their_place, setup, cleanup),
		cmocka_unit_test_setup_teardown(gateways_alone, setup, cleanup),
		cmocka_unit_test_setup_teardown(buffers_are_bounded, setup, cleanup),
		cmocka_unit_test_setup_teardown(a_full_ring_is_tried_again, setup, cleanup),
		cmocka_unit_test_setup_teardown(drain_leaves_nothing, setup, cleanup),
		cmocka_unit_test_setup_teardown(gateways_come_and_go, setup, cleanup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
