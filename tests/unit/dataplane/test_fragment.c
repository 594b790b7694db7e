/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fragments through real workers: whatever queue and order they come in, they leave as datagrams or as counted drops, memory is bounded,
 * and every packet is accounted for at any moment. What shapes of overlap do is in tests/packet/test_fragments.py.
 */
#include <pthread.h>
#include <unistd.h>

#include "dataplane/fragment_table.h"
#include "tests/unit/dataplane/worker_fixture.h"

#define RULES_DNS RULES("\"10 allow udp dport 53\"")

static uint8_t payload[3000];

/* A datagram of `bytes` from a source of its own for each `from`. */
static void build(struct sp_frame *frame, uint8_t family, unsigned int from, size_t bytes)
{
	static char source[64];
	struct sp_frame_spec spec = {.family = family, .proto = IPPROTO_UDP, .dport = 53, .payload = payload, .payload_len = bytes};

	if (family == 6)
		snprintf(source, sizeof(source), "2001:db8:%x:%x::1", from >> 16, from & 0xffff);
	else
		snprintf(source, sizeof(source), "10.%u.%u.%u", from >> 16 & 0xff, from >> 8 & 0xff, from & 0xff);
	spec.src = source;
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + from);
	sp_frame_build(frame, &spec);
}

static void send_piece(unsigned int queue, const struct sp_frame *whole, uint32_t id, size_t from, size_t n)
{
	struct sp_frame fragment;

	sp_frame_cut(&fragment, whole, id, from, RTE_MIN(n, sp_frame_ip_payload(whole) - from), false);
	lab_send_frame(IN, queue, &fragment);
}

/* The accounting equation at a moment when packets are held. */
static uint64_t balance(void)
{
	struct sp_sessions_counters sessions;
	struct sp_stats stats;
	uint64_t held;

	sp_stats_sum(lab.dataplane, &stats, &sessions, &held);
	lab_balance(held);
	return held;
}

static unsigned int in_use(void)
{
	return lab.mbufs - rte_mempool_avail_count(lab_pool);
}

/* --- several workers -------------------------------------------------------------------------------------------------------------- */

#define PIECES 5

/* Each datagram left whole, and its fragments one after the other in order. */
static void expect_datagrams(unsigned int n, unsigned int n_pieces)
{
	uint8_t bytes[SP_FRAME_MAX];
	struct sp_frame whole, fragment;
	struct rte_mbuf *mbuf;
	unsigned int seen = 0;

	for (unsigned int queue = 0; queue < lab.n_tx_queues; queue++) {
		void *got;

		while (rte_ring_dequeue(lab.tx[OUT][queue], &got) == 0) {
			unsigned int id, k = seen % n_pieces;
			static unsigned int current;

			mbuf = got;
			assert_int_equal(mbuf->nb_segs, 1);
			memcpy(bytes, rte_pktmbuf_mtod(mbuf, uint8_t *), mbuf->data_len);
			id = bytes[14] >> 4 == 6 ? (unsigned int)bytes[60] << 8 | bytes[61] : (unsigned int)bytes[18] << 8 | bytes[19];
			if (k == 0)
				current = id;
			assert_int_equal(id, current);
			build(&whole, bytes[14] >> 4, id, 2500);
			sp_frame_cut(&fragment, &whole, id, k * 512, RTE_MIN((size_t)512, sp_frame_ip_payload(&whole) - k * 512), false);
			assert_int_equal(mbuf->pkt_len, fragment.len);
			assert_memory_equal(bytes, fragment.bytes, fragment.len);
			rte_pktmbuf_free(mbuf);
			seen++;
		}
	}
	assert_int_equal(seen, n * n_pieces);
}

static void pieces_on_all_queues_meet(void **unused)
{
	const unsigned int n = 60;
	struct sp_stats stats;

	(void)unused;
	for (unsigned int n_workers = 1; n_workers <= 4; n_workers++) {
		uint32_t random = 1;

		lab_start(&(struct lab_options){.n_workers = n_workers, .n_queues = 4}, RULES_DNS);
		/* every datagram's pieces in another order, on queues by chance, all datagrams at once */
		for (unsigned int k = 0; k < PIECES; k++) {
			for (unsigned int d = 0; d < n; d++) {
				struct sp_frame whole;

				build(&whole, d % 2 ? 6 : 4, d, 2500);
				random = random * 1103515245 + 12345;
				send_piece(random >> 16 & 3, &whole, d, (k + d) % PIECES * 512, 512);
			}
			for (unsigned int w = 0; w < n_workers; w++) {
				lab_turn(w);
				balance();
			}
		}
		lab_run();
		lab_balance(0);
		expect_datagrams(n, PIECES);
		stats = lab_stats();
		assert_int_equal(stats.rx, n * PIECES);
		assert_int_equal(stats.tx, n * PIECES);
		assert_int_equal(stats.datagrams, n);
		assert_int_equal(stats.fragments, n * PIECES);
		assert_int_equal(stats.fragment_delta, 0);
		assert_int_equal(lab_active(), n);
		assert_int_equal(lab_rule(10).hits, n);
		assert_int_equal(lab_rule(10).packets, n);
		assert_int_equal(lab_rule(10).bytes, stats.rx_bytes);
		/* at most one way to the worker that puts it together, and one to the session's */
		assert_in_range(stats.handed_out, n_workers > 1 ? 1 : 0, n_workers > 1 ? n * PIECES + n : 0);
		lab_stop();
	}
}

/* A session that other packets opened has one owner; datagrams of it find it from whatever worker made them. */
static void datagrams_reach_the_owner_of_the_session(void **unused)
{
	const unsigned int n_workers = 4;
	unsigned int owners = 0;

	(void)unused;
	lab_start(&(struct lab_options){.n_workers = n_workers, .n_queues = n_workers}, RULES_DNS);
	for (unsigned int d = 0; d < 40; d++) {
		struct sp_frame whole;

		build(&whole, 4, 1, 2000);
		if (d == 0)
			lab_send_frame(IN, 0, &whole);
		send_piece(d % n_workers, &whole, d, 1024, 2000);
		send_piece((d + 1) % n_workers, &whole, d, 0, 1024);
		lab_run();
	}
	assert_int_equal(lab_active(), 1);
	for (unsigned int w = 0; w < n_workers; w++)
		owners += sp_sessions_counters(lab.dataplane->workers[w]->sessions)->active4 != 0;
	assert_int_equal(owners, 1);
	assert_int_equal(lab_rule(10).packets, 41);
	assert_int_equal(lab_count(OUT), 81);
	for (unsigned int w = 0; w < n_workers; w++)
		assert_in_range(lab.dataplane->workers[w]->stats.datagrams, 1, 39);
	lab_stop();
}

static void *worker_thread(void *worker)
{
	sp_worker_run(worker);
	return NULL;
}

/* Workers stop with datagrams half there: nothing is held afterwards, nothing lost. */
static void drain_leaves_nothing(void **unused)
{
	const unsigned int n_workers = 3;
	pthread_t threads[3];
	struct sp_frame whole;
	struct sp_stats stats;

	(void)unused;
	for (unsigned int round = 0; round < 20; round++) {
		lab_start(
			&(struct lab_options){.n_workers = n_workers, .n_queues = n_workers, .fragments = {.per_source = 1000}}, RULES_DNS);
		lab.dataplane->adaptive = true;
		for (unsigned int w = 0; w < n_workers; w++)
			assert_int_equal(pthread_create(&threads[w], NULL, worker_thread, lab.dataplane->workers[w]), 0);
		for (unsigned int d = 0; d < 200; d++) {
			build(&whole, d % 2 ? 6 : 4, d, 2000);
			send_piece(d % n_workers, &whole, d, 0, 1024);
			if (d % 3 == 0)
				usleep(round);
			if (d % 5 != 0)
				send_piece((d + 1) % n_workers, &whole, d, 1024, 2000);
		}
		__atomic_store_n(&lab.dataplane->stop, 1, __ATOMIC_RELAXED);
		for (unsigned int w = 0; w < n_workers; w++)
			pthread_join(threads[w], NULL);
		lab_balance(0);
		stats = lab_stats();
		assert_int_equal(stats.fragments_held, 0);
		assert_int_equal(stats.handed_out, stats.handed_in);
		assert_int_equal(stats.drops[SP_DROP_FRAG_TIMEOUT] + stats.tx, stats.rx);
		assert_int_equal(lab_count(OUT), stats.tx);
		assert_int_equal(stats.datagrams * 2, stats.tx);
		lab_stop();
	}
}

/* --- bounds ----------------------------------------------------------------------------------------------------------------------- */

#define FLOOD 1000000

/*
 * First fragments, each of a datagram of its own: one source's push out only each other, and those of many sources the oldest. Datagrams of
 * somebody else that come meanwhile pass.
 */
static void flood_takes_no_more(void **unused)
{
	const struct sp_fragments_config bounds = {.datagrams = 256, .buffers = 512, .per_source = 32};
	static const bool many_sources[] = {false, true};
	struct sp_frame first, fragment, legal;

	(void)unused;
	for (size_t m = 0; m < RTE_DIM(many_sources); m++) {
		unsigned int passed = 0, asked = 0, most = 0;
		uint64_t stats_held = 0;

		lab_start(&(struct lab_options){.fragments = bounds}, RULES_DNS);
		build(&first, 4, 0xffff, 40);
		sp_frame_cut(&fragment, &first, 0, 0, 24, true);
		build(&legal, 4, 7, 2000);
		for (uint32_t i = 0; i < FLOOD; i += 64) {
			if (i % 8192 == 0)
				send_piece(0, &legal, i / 8192, 1024, 2000);
			for (uint32_t k = i; k < i + 64; k++) {
				uint8_t *ip = fragment.bytes + fragment.l3;
				uint32_t source = many_sources[m] ? k : 0;

				ip[4] = (uint8_t)(k >> 8);
				ip[5] = (uint8_t)k;
				memcpy(ip + 13, &source, 3);
				ip[10] = ip[11] = 0;
				sp_frame_checksums(&fragment);
				lab_send_mbuf(IN, 0, sp_frame_mbuf(lab_pool, fragment.bytes, fragment.len));
			}
			if (i % 8192 == 0) {
				send_piece(0, &legal, i / 8192, 0, 1024);
				asked++;
			}
			lab_run();
			passed += lab_count(OUT);
			most = RTE_MAX(most, in_use());
			stats_held = balance();
		}
		assert_int_equal(passed, 2 * asked);
		assert_in_range(most, many_sources[m] ? 256 : 32, many_sources[m] ? 257 : 33);
		assert_int_equal(stats_held, most);
		assert_int_equal(lab_drops(many_sources[m] ? SP_DROP_TABLE_FRAGMENTS_FULL : SP_DROP_FRAG_SOURCE), FLOOD - stats_held);
		lab.ms += 30000;
		for (unsigned int turn = 0; turn < 20; turn++)
			lab_turn(0);
		assert_int_equal(lab_drops(SP_DROP_FRAG_TIMEOUT), stats_held);
		assert_int_equal(in_use(), 0);
		lab_stop();
	}
}

/* Few datagrams of many pieces: the bound is that of buffers, and the oldest datagram goes first, never the one that grows. */
static void buffers_are_bounded(void **unused)
{
	struct sp_frame whole;

	(void)unused;
	lab_start(&(struct lab_options){.fragments = {.datagrams = 64, .buffers = 128}}, RULES_DNS);
	for (unsigned int d = 0; d < 3; d++) {
		build(&whole, 6, d, 2000);
		for (unsigned int k = 1; k < 61; k++)
			send_piece(0, &whole, 5, k * 8, 8);
	}
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_TABLE_FRAGMENTS_FULL), 60);
	assert_int_equal(balance(), 120);
	/* the second goes on and completes; the first is as if it had never been there */
	build(&whole, 6, 1, 2000);
	send_piece(0, &whole, 5, 488, 2000);
	send_piece(0, &whole, 5, 0, 8);
	lab_run();
	assert_int_equal(lab_count(OUT), 62);
	build(&whole, 6, 0, 2000);
	send_piece(0, &whole, 5, 488, 2000);
	send_piece(0, &whole, 5, 0, 8);
	lab_run();
	assert_int_equal(lab_count(OUT), 0);
	lab.ms += 30000;
	lab_run();
	lab_stop();
}

static void no_buffer_drops_and_counts(void **unused)
{
	static struct rte_mbuf *taken[LAB_MBUFS];
	struct sp_frame whole;
	unsigned int n;

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES_DNS);
	build(&whole, 4, 1, 2000);
	send_piece(0, &whole, 1, 0, 1024);
	lab_run();
	send_piece(0, &whole, 1, 1024, 2000);
	send_piece(0, &whole, 2, 1024, 2000);
	n = rte_mempool_avail_count(lab_pool);
	assert_int_equal(rte_pktmbuf_alloc_bulk(lab_pool, taken, n), 0);
	lab_run();
	rte_pktmbuf_free_bulk(taken, n);
	assert_int_equal(lab_drops(SP_DROP_QUEUE_MBUF), 2);
	/* what waited before still waits, and of the datagram whose first piece found no buffer nothing is left */
	assert_int_equal(balance(), 1);
	assert_int_equal(lab.dataplane->workers[0]->fragments->n_free_datagrams, SP_FRAGMENT_DATAGRAMS_DEFAULT - 1);
	send_piece(0, &whole, 1, 1024, 2000);
	lab_run();
	assert_int_equal(lab_count(OUT), 2);
	lab.ms += 30000;
	lab_run();
	lab_stop();
}

/* --- time ------------------------------------------------------------------------------------------------------------------------- */

static void timeout_is_exact_and_ageing_bounded(void **unused)
{
	const unsigned int n = 200;
	struct sp_frame whole;

	(void)unused;
	/* the clock of 32 bits wraps on the way */
	lab_start(&(struct lab_options){.fragments = {.timeout_sec = 10, .per_source = 1000}}, RULES_DNS);
	lab.ms = UINT32_MAX - 5000;
	build(&whole, 4, 1, 2000);
	for (unsigned int d = 0; d < n; d++)
		send_piece(0, &whole, d, 0, 1024);
	lab_run();
	lab.ms += 9999;
	lab_run();
	assert_int_equal(balance(), n);
	lab.ms += 1;
	lab_turn(0);
	assert_in_range(balance(), 100, n - 1);
	/* what is overdue and not aged yet cannot be completed */
	send_piece(0, &whole, n - 1, 1024, 2000);
	lab_turn(0);
	assert_int_equal(lab_count(OUT), 0);
	while (balance() > 1)
		lab_turn(0);
	assert_int_equal(lab_drops(SP_DROP_FRAG_TIMEOUT), n);
	/* its second half waits with a time-out of its own */
	send_piece(0, &whole, n - 1, 0, 1024);
	lab_run();
	assert_int_equal(lab_count(OUT), 2);
	lab_stop();
}

/* The datagram that was refused stays so until its time-out, whatever comes; then its identification is as good as new. */
static void refusal_lasts_until_the_timeout(void **unused)
{
	struct sp_frame whole;

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES_DNS);
	build(&whole, 6, 1, 2000);
	send_piece(0, &whole, 9, 0, 1024);
	send_piece(0, &whole, 9, 1016, 2000);
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_FRAG_OVERLAP), 2);
	lab.ms += 29999;
	send_piece(0, &whole, 9, 0, 1024);
	send_piece(0, &whole, 9, 1024, 2000);
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_FRAG_OVERLAP), 4);
	lab_balance(0);
	lab.ms += 1;
	send_piece(0, &whole, 9, 0, 1024);
	send_piece(0, &whole, 9, 1024, 2000);
	lab_run();
	assert_int_equal(lab_count(OUT), 2);
	lab_stop();
}

/* --- who they are ------------------------------------------------------------------------------------------------------------------ */

/* Pieces of one datagram come from one port, VLAN, pair of addresses, protocol (IPv4) and identification. */
static void others_pieces_do_not_mix(void **unused)
{
	const struct sp_frame_spec base = {.proto = IPPROTO_UDP, .dport = 53, .payload = payload, .payload_len = 1500};
	struct sp_frame whole, other;

	(void)unused;
	for (unsigned int v = 0; v < 12; v++) {
		struct sp_frame_spec spec = base, changed;
		unsigned int port = IN;
		uint32_t id = 5;
		struct sp_frame fragment;

		spec.family = v % 2 ? 6 : 4;
		changed = spec;
		switch (v / 2) {
		case 0:
			changed.src = v % 2 ? "2001:db8:1::9" : "192.0.2.9";
			break;
		case 1:
			changed.dst = v % 2 ? "2001:db8:2::9" : "198.51.100.9";
			break;
		case 2:
			changed.n_tags = 1;
			changed.tci[0] = 5;
			break;
		case 3:
			id = 0x10005;
			break;
		case 4:
			port = OUT;
			break;
		default:
			changed.proto = IPPROTO_UDPLITE;
		}
		if (v == 6 || v == 11)
			continue; /* an IPv4 identification has 16 bits; IPv6's next header is the first fragment's */
		lab_start(&(struct lab_options){0}, RULES("\"10 allow\""));
		sp_frame_build(&whole, &spec);
		sp_frame_build(&other, &changed);
		send_piece(0, &whole, 5, 0, 800);
		sp_frame_cut(&fragment, &other, id, 800, sp_frame_ip_payload(&other) - 800, false);
		lab_send_frame(port, 0, &fragment);
		lab_run();
		assert_int_equal(lab_count(OUT), 0);
		assert_int_equal(balance(), 2);
		send_piece(0, &whole, 5, 800, 2000);
		lab_run();
		assert_int_equal(lab_count(OUT), 2);
		assert_int_equal(balance(), 1);
		lab.ms += 30000;
		lab_run();
		lab_stop();
	}
}

/* What waited and dropped can be looked up by its addresses. */
static void drop_ring_knows_the_addresses(void **unused)
{
	struct sp_drop_record record;
	struct sp_frame whole;

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES_DNS);
	build(&whole, 4, 0x010203, 2000);
	send_piece(0, &whole, 9, 1024, 2000);
	lab_run();
	lab.ms += 30000;
	lab_run();
	assert_true(sp_drop_read(lab.dataplane->workers[0]->drops, SP_DROP_FRAG_TIMEOUT, 0, &record));
	assert_int_equal(record.key.family, 4);
	assert_int_equal(record.key.proto, IPPROTO_UDP);
	assert_int_equal(rte_be_to_cpu_32(record.key.v4.src), 0x0a010203);
	assert_int_equal(record.zone_from, 0);
	assert_int_equal(record.port, IN);
	assert_int_equal(record.header_len, 128);
	assert_int_equal(record.kind, SP_KIND_FRAGMENT);
	lab_stop();
}

/* A datagram that cannot leave drops as one packet, whatever stands in its way. */
static void datagram_that_cannot_leave_is_one_drop(void **unused)
{
	struct sp_frame whole;

	(void)unused;
	for (unsigned int way = 0; way < 3; way++) {
		static const uint8_t reasons[] = {SP_DROP_ROUTE_LINK_DOWN, SP_DROP_ROUTE_NO_EGRESS, SP_DROP_QUEUE_TX};
		/* the NIC's queue is the last thing: there each fragment counts */
		static const unsigned int drops[] = {1, 1, 3};

		lab_start(&(struct lab_options){.tx_ring = way == 2 ? 4 : 0}, RULES_DNS);
		if (way == 0)
			lab.dataplane->ports[OUT].link_up = 0;
		if (way == 1)
			lab.dataplane->ports[IN].peer = SP_NO_PORT;
		build(&whole, 4, 1, 2500);
		for (unsigned int k = 0; k < 6; k++)
			send_piece(0, &whole, 1, (5 - k) * 456, 456);
		lab_run();
		assert_int_equal(lab_drops(reasons[way]), drops[way]);
		assert_int_equal(lab_stats().fragment_delta, way == 2 ? 0 : -5);
		assert_int_equal(lab_stats().ports[IN].drops, way == 2 ? 0 : 1);
		assert_int_equal(lab_count(OUT), way == 2 ? 3 : 0);
		lab_balance(0);
		lab_stop();
	}
}

/* --- eyes -------------------------------------------------------------------------------------------------------------------------- */

static unsigned int captured(struct sp_capture *capture, unsigned int point, uint32_t length, const char *trace)
{
	const struct sp_capture_packet *packet;
	unsigned int n = 0;

	while ((packet = sp_capture_peek(&capture->rings[0])) != NULL) {
		char text[SP_TRACE_TEXT_MAX];

		if (packet->point == point) {
			assert_in_range(packet->length, 20, length);
			sp_trace_format(lab.dataplane, packet->trace, packet->n_trace, text, sizeof(text));
			if (trace != NULL)
				assert_non_null(strstr(text, trace));
			n++;
		}
		sp_capture_next(&capture->rings[0]);
	}
	return n;
}

/* Captures show fragments as they came and as they left, traced through the stages; dropped datagrams in their pieces. */
static void captures_show_fragments(void **unused)
{
	static const unsigned int points[] = {SP_CAPTURE_RX, SP_CAPTURE_TX, SP_CAPTURE_DROP};
	struct sp_frame whole;

	(void)unused;
	for (size_t p = 0; p < RTE_DIM(points); p++)
		for (unsigned int allowed = 0; allowed < 2; allowed++) {
			const struct sp_capture_config config = {.points = (uint8_t)points[p], .trace = true, .snaplen = 2048};
			struct sp_capture_set set = {.n = 1, .points = (uint8_t)points[p], .trace = true};
			unsigned int expected = points[p] == SP_CAPTURE_RX || allowed == (points[p] == SP_CAPTURE_TX) ? 3 : 0;

			lab_start(&(struct lab_options){0}, allowed ? RULES_DNS : RULES("\"10 allow tcp\""));
			set.capture[0] = sp_capture_create(&config, 1);
			lab.dataplane->captures = &set;
			build(&whole, 6, 1, 2500);
			send_piece(0, &whole, 9, 2048, 2000);
			send_piece(0, &whole, 9, 1024, 1024);
			send_piece(0, &whole, 9, 0, 1024);
			lab_run();
			assert_int_equal(captured(set.capture[0], points[p], 1024 + 62,
						 points[p] == SP_CAPTURE_RX ? NULL : "fragment: together, payload 2500"),
				expected);
			lab.dataplane->captures = NULL;
			lab_count(OUT);
			sp_capture_free(set.capture[0]);
			lab_stop();
		}
}

/* Identifications that count up, as senders choose them, fall on workers and buckets as if by chance, under any secret. */
static void hash_spreads_identifications(void **unused)
{
	const unsigned int n = 8192, workers = 8, buckets = 256;

	(void)unused;
	sp_test_eal();
	for (unsigned int round = 0; round < 200; round++) {
		struct sp_datagram_key name = {.key = {.family = round % 2 ? SP_FAMILY_IPV6 : SP_FAMILY_IPV4}};
		unsigned int of_worker[8] = {0}, of_bucket[256] = {0};

		assert_int_equal(sp_key_seed(), 0);
		for (unsigned int i = 0; i < n; i++) {
			uint64_t hash;

			name.id = round % 3 == 0 ? rte_cpu_to_be_32(i) : i;
			hash = sp_datagram_hash(&name);
			of_worker[(hash >> 32) * workers >> 32]++;
			of_bucket[hash % buckets]++;
		}
		for (unsigned int w = 0; w < workers; w++)
			assert_in_range(of_worker[w], n / workers * 3 / 4, n / workers * 5 / 4);
		for (unsigned int b = 0; b < buckets; b++)
			assert_in_range(of_bucket[b], 1, n / buckets * 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_on_all_queues_meet),
		cmocka_unit_test(datagrams_reach_the_owner_of_the_session),
		cmocka_unit_test(drain_leaves_nothing),
		cmocka_unit_test(flood_takes_no_more),
		cmocka_unit_test(buffers_are_bounded),
		cmocka_unit_test(no_buffer_drops_and_counts),
		cmocka_unit_test(timeout_is_exact_and_ageing_bounded),
		cmocka_unit_test(refusal_lasts_until_the_timeout),
		cmocka_unit_test(others_pieces_do_not_mix),
		cmocka_unit_test(drop_ring_knows_the_addresses),
		cmocka_unit_test(datagram_that_cannot_leave_is_one_drop),
		cmocka_unit_test(captures_show_fragments),
		cmocka_unit_test(hash_spreads_identifications),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
