/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How packets of settled sessions leave in route mode: in runs that go by one link, each with a header of its own; and that the short way
 * refuses what the whole way refuses.
 */
#include "tests/unit/dataplane/route_fixture.h"

#define BURSTS 40

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

/* Where flows go, and the last byte of the MAC that they are sent to. */
static const struct way {
	struct sp_frame_spec spec;
	unsigned int port;
	uint8_t mac, l3_off;
} ways[] = {
	{{.proto = IPPROTO_UDP}, OUT, 2, 14},
	{{.proto = IPPROTO_UDP, .dst = "198.51.100.3"}, OUT, 3, 14},
	{{.proto = IPPROTO_UDP, .family = 6}, OUT, 2, 14},
	{{.proto = IPPROTO_UDP, .dst = "203.0.113.7"}, IN, 7, 18},
	{{.proto = IPPROTO_UDP, .dst = "203.0.113.8"}, IN, 8, 18},
	{{.proto = IPPROTO_UDP, .n_tags = 1, .tci = {0x2000}, .sport = 77}, OUT, 2, 14},
	{{.proto = IPPROTO_TCP, .sport = 78, .tcp_flags = ACK, .seq = 1, .ack = 1}, OUT, 2, 14},
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static void begin(void)
{
	route_start(&(struct lab_options){0}, ROUTE_ALL);
	lab.dataplane->tcp.midstream = true;
	route_neighbour(LINK_OUT, "198.51.100.3", 3);
	route_neighbour(LINK_GUEST, "203.0.113.7", 7);
	route_neighbour(LINK_GUEST, "203.0.113.8", 8);
}

/* A packet of a flow; its number is its payload. */
static void send_number(const struct way *way, uint16_t number)
{
	const rte_be16_t payload = rte_cpu_to_be_16(number);
	struct sp_frame_spec spec = way->spec;
	struct sp_frame frame;

	spec.payload = &payload;
	spec.payload_len = sizeof(payload);
	sp_frame_build(&frame, &spec);
	lab_send_mbuf(IN, 0, sp_frame_mbuf(lab_pool, frame.bytes, frame.len));
}

/* The next packet of a port: the number in it. It must have left as its way says. */
static uint16_t take_number(unsigned int port, const struct way *const *way_of)
{
	struct rte_mbuf *mbuf = lab_take(port);
	const struct way *way;
	const uint8_t *bytes;
	uint16_t number;

	assert_non_null(mbuf);
	bytes = route_bytes(mbuf);
	number = sp_read_be16(bytes + mbuf->pkt_len - 2);
	way = way_of[number];
	assert_int_equal(way->port, port);
	assert_int_equal(bytes[5], way->mac);
	assert_memory_equal(bytes + 6, route_mac, 6);
	assert_int_equal(sp_read_be16(bytes + way->l3_off - 2), way->spec.family == 6 ? 0x86dd : 0x0800);
	assert_int_equal(bytes[way->l3_off + (way->spec.family == 6 ? 7 : 8)], 63);
	assert_true(sp_frame_checksums_ok(bytes, mbuf->pkt_len));
	rte_pktmbuf_free(mbuf);
	return number;
}

static void runs_keep_order_and_headers(void **unused)
{
	const struct way *way_of[BURSTS * SP_BURST_MAX];
	uint32_t random = 1;

	(void)unused;
	begin();
	for (unsigned int b = 0; b < BURSTS; b++) {
		uint16_t first = (uint16_t)(b * SP_BURST_MAX), next = first, sent[2] = {0};

		for (unsigned int i = 0; i < SP_BURST_MAX; i++, next++) {
			/* Runs of one to four. */
			random = random * 1103515245 + 12345;
			way_of[next] = i > 0 && (random >> 16) % 4 != 0 ? way_of[next - 1] : &ways[(random >> 20) % WAYS];
			sent[way_of[next]->port]++;
			send_number(way_of[next], next);
		}
		lab_run();
		for (unsigned int port = IN; port <= OUT; port++)
			for (int last = -1; sent[port] > 0; sent[port]--) {
				uint16_t number = take_number(port, way_of);

				assert_true((int)number > last && number >= first);
				last = number;
			}
		assert_int_equal(lab_count(IN) + lab_count(OUT), 0);
		lab_balance(0);
	}
	assert_int_equal(lab_active(), WAYS);
	lab_stop();
}

/* What a settled packet meets on its way, one after the other; the last is good again. */
static void the_short_way_refuses_the_same(void **unused)
{
	struct sp_frame_spec spec = {.proto = IPPROTO_UDP, .payload_len = 600};
	struct sp_link *link;
	uint32_t guest;

	(void)unused;
	begin();
	link = &lab.dataplane->routing->links[LINK_OUT];
	lab_send(IN, &spec);
	lab_run();
	assert_int_equal(lab_count(OUT), 1);

	spec.ttl = 1;
	lab_send(IN, &spec);
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_ROUTE_TTL), 1);
	assert_int_equal(lab_count(IN), 1);
	spec.ttl = 0;

	link->up = 0;
	lab_send(IN, &spec);
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_ROUTE_LINK_DOWN), 1);
	link->up = 1;

	link->mtu = 600;
	spec.family = 6;
	lab_send(IN, &spec);
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_ROUTE_MTU), 1);
	spec.family = 4;
	link->mtu = 1500;

	guest = route_gateway(LINK_GUEST, "203.0.113.9");
	route_resolve(guest, 9);
	route_set("198.51.100.2", 32, guest);
	lab_send(IN, &spec);
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_ROUTE_ZONE_CHANGED), 1);
	route_set("198.51.100.2", 32, SP_NEXTHOP_ID_BLACKHOLE);
	lab_send(IN, &spec);
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_ROUTE_BLACKHOLE), 1);
	(void)lab_count(IN);

	route_neighbour(LINK_OUT, "198.51.100.2", 2);
	lab_send(IN, &spec);
	lab_run();
	assert_int_equal(lab_count(OUT), 1);
	lab_balance(0);
	lab_stop();
}

/* Frames whose headers are spread over segments are put together where there is room for that, and dropped where there is none. */
static void headers_in_pieces(void **unused)
{
	const struct sp_frame_spec spec = {.proto = IPPROTO_UDP};
	struct sp_frame frame;

	(void)unused;
	begin();
	sp_frame_build(&frame, &spec);
	for (uint16_t first = 1; first < frame.len; first++) {
		struct rte_mbuf *head = sp_frame_mbuf(lab_pool, frame.bytes, first),
				*tail = sp_frame_mbuf(lab_pool, frame.bytes + first, frame.len - first), *mbuf;

		assert_int_equal(rte_pktmbuf_chain(head, tail), 0);
		lab_send_mbuf(IN, 0, head);
		lab_run();
		mbuf = lab_take(OUT);
		assert_non_null(mbuf);
		assert_int_equal(route_bytes(mbuf)[5], 2);
		assert_int_equal(route_bytes(mbuf)[22], 63);
		rte_pktmbuf_free(mbuf);
	}
	lab_send_mbuf(IN, 0, sp_frame_mbuf_exact(lab_pool, frame.bytes, frame.len, 20, 0));
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_QUEUE_MBUF), 1);
	lab_balance(0);
	lab_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(runs_keep_order_and_headers, setup, cleanup),
		cmocka_unit_test_setup_teardown(the_short_way_refuses_the_same, setup, cleanup),
		cmocka_unit_test_setup_teardown(headers_in_pieces, setup, cleanup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
