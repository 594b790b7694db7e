/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What eyes see of packets: copies at rx, tx and drop, traces, the drop ring, stage counters. Packets go through whole workers.
 */
#define _GNU_SOURCE 1 /* pthread_setaffinity_np */
#include <pthread.h>
#include <sched.h>

#include "dataplane/prefix.h"
#include "tests/unit/dataplane/worker_fixture.h"

static struct sp_capture_set set;
static struct sp_capture *capture;

/* Workers see one capture from here on. */
static void start(const char *filter, uint8_t points, bool trace, uint32_t snaplen)
{
	struct sp_capture_config config = {.points = points, .trace = trace, .snaplen = snaplen};

	if (filter != NULL) {
		pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 65535);

		assert_int_equal(pcap_compile(pcap, &config.filter, filter, 1, PCAP_NETMASK_UNKNOWN), 0);
		pcap_close(pcap);
	}
	capture = sp_capture_create(&config, lab.dataplane->n_workers);
	assert_non_null(capture);
	set = (struct sp_capture_set){.n = 1, .points = points, .trace = trace, .capture = {capture}};
	lab.dataplane->captures = &set;
}

static void stop(void)
{
	lab.dataplane->captures = NULL;
	sp_capture_free(capture);
	capture = NULL;
	lab_stop();
}

/* The next copy of worker 0. */
static const struct sp_capture_packet *next(void)
{
	const struct sp_capture_packet *packet = sp_capture_peek(&capture->rings[0]);

	assert_non_null(packet);
	return packet;
}

static void done(void)
{
	sp_capture_next(&capture->rings[0]);
}

static void nothing_more(unsigned int worker)
{
	assert_null(sp_capture_peek(&capture->rings[worker]));
	assert_int_equal(capture->rings[worker].lost, 0);
}

static void each_point_is_copied_with_its_rule(void **unused)
{
	const struct sp_frame_spec good = {.dport = 443}, bad = {.dport = 444}, refused = {.dport = 445};
	struct sp_frame frame;

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES("\"10 allow tcp dport 443\", \"20 reject tcp dport 445\""));
	start(NULL, SP_CAPTURE_RX | SP_CAPTURE_TX | SP_CAPTURE_DROP, false, 2048);
	lab_send(IN, &good);
	lab_run();
	sp_frame_build(&frame, &good);
	assert_int_equal(next()->point, SP_CAPTURE_RX);
	assert_int_equal(next()->port, IN);
	assert_false(next()->has_rule);
	assert_int_equal(next()->length, frame.len);
	assert_int_equal(next()->captured, frame.len);
	assert_memory_equal(next()->data, frame.bytes, frame.len);
	done();
	assert_int_equal(next()->point, SP_CAPTURE_TX);
	assert_int_equal(next()->port, OUT);
	assert_true(next()->has_rule);
	assert_int_equal(next()->rule, 10);
	assert_false(next()->built);
	assert_memory_equal(next()->data, frame.bytes, frame.len);
	done();
	lab_send(IN, &bad);
	lab_run();
	done();
	assert_int_equal(next()->point, SP_CAPTURE_DROP);
	assert_int_equal(next()->port, IN);
	assert_int_equal(next()->reason, SP_DROP_DEFAULT);
	assert_true(next()->has_rule);
	assert_int_equal(next()->rule, 0);
	assert_false(next()->rejected);
	assert_int_equal(next()->n_trace, 0);
	done();
	lab_send(IN, &refused);
	lab_run();
	done();
	assert_int_equal(next()->point, SP_CAPTURE_TX); /* the answer */
	assert_int_equal(next()->port, IN);
	assert_true(next()->built);
	done();
	assert_int_equal(next()->reason, SP_DROP_RULE);
	assert_int_equal(next()->rule, 20);
	assert_true(next()->rejected);
	done();
	nothing_more(0);
	stop();
}

static void filter_snaplen_and_points_hold(void **unused)
{
	const struct sp_frame_spec wanted = {.proto = IPPROTO_UDP, .dport = 53, .payload_len = 500},
				   other = {.proto = IPPROTO_UDP, .dport = 54};

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES("\"10 allow udp\""));
	start("udp port 53", SP_CAPTURE_TX, false, 64);
	lab_send(IN, &wanted);
	lab_send(IN, &other);
	lab_run();
	assert_int_equal(next()->point, SP_CAPTURE_TX);
	assert_int_equal(next()->captured, 64);
	assert_int_equal(next()->length, 14 + 20 + 8 + 500);
	done();
	nothing_more(0);
	stop();
}

/* Frames in pieces are filtered and copied whole. */
static void segments_are_gathered(void **unused)
{
	const struct sp_frame_spec spec = {.proto = IPPROTO_UDP, .dport = 53, .payload_len = 300};
	struct sp_frame frame;

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES("\"10 allow udp\""));
	start("udp[8] = 0 or udp port 53", SP_CAPTURE_RX | SP_CAPTURE_TX, false, 2048);
	sp_frame_build(&frame, &spec);
	lab_send_mbuf(IN, 0, sp_frame_mbuf_exact(lab_pool, frame.bytes, frame.len, 30, 7));
	lab_run();
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(next()->captured, frame.len);
		assert_memory_equal(next()->data, frame.bytes, frame.len);
		done();
	}
	nothing_more(0);
	stop();
}

/* A ring that nobody empties loses copies, counts each, and no packet. */
static void full_ring_loses_copies_only(void **unused)
{
	const struct sp_frame_spec spec = {.proto = IPPROTO_UDP};
	uint32_t room;

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES("\"10 allow udp\""));
	start(NULL, SP_CAPTURE_RX, false, SP_CAPTURE_SNAPLEN_MAX);
	room = capture->rings[0].n_slots;
	for (uint32_t i = 0; i < room + 50; i++) {
		lab_send(IN, &spec);
		lab_run();
	}
	assert_int_equal(capture->rings[0].lost, 50);
	assert_int_equal(lab_count(OUT), room + 50);
	for (uint32_t i = 0; i < room; i++) {
		next();
		done();
	}
	assert_null(sp_capture_peek(&capture->rings[0]));
	stop();
}

/* Packets that change hands are copied once at rx, where they came in, and once where they leave. */
static void handed_packets_are_copied_once_a_point(void **unused)
{
	unsigned int copies[3] = {0};

	(void)unused;
	lab_start(&(struct lab_options){.n_workers = 2}, RULES("\"10 allow udp\""));
	start(NULL, SP_CAPTURE_RX | SP_CAPTURE_TX | SP_CAPTURE_DROP, true, 256);
	for (unsigned int flow = 0; flow < 40; flow++)
		lab_send(IN, &(struct sp_frame_spec){.proto = IPPROTO_UDP, .sport = (uint16_t)(1000 + flow)});
	lab_run();
	assert_in_range(lab_stats().handed_out, 1, 39);
	for (unsigned int w = 0; w < 2; w++) {
		const struct sp_capture_packet *packet;

		while ((packet = sp_capture_peek(&capture->rings[w])) != NULL) {
			copies[packet->point == SP_CAPTURE_RX ? 0 : packet->point == SP_CAPTURE_TX ? 1 : 2]++;
			if (packet->point == SP_CAPTURE_TX)
				assert_in_range(packet->n_trace, 4, SP_TRACE_ITEMS);
			sp_capture_next(&capture->rings[w]);
		}
		nothing_more(w);
	}
	assert_int_equal(copies[0], 40);
	assert_int_equal(copies[1], 40);
	assert_int_equal(copies[2], 0);
	stop();
}

static void trace_is(const char *expected)
{
	char text[SP_TRACE_TEXT_MAX];

	sp_trace_format(lab.dataplane, next()->trace, next()->n_trace, text, sizeof(text));
	assert_string_equal(text, expected);
	done();
}

static void trace_tells_each_stage(void **unused)
{
	const struct sp_frame_spec flow = {.dport = 443}, other = {.dport = 444};

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES("\"10 allow tcp dport 443\""));
	strcpy(lab.dataplane->ports[IN].name, "in");
	strcpy(lab.dataplane->ports[OUT].name, "out");
	start("tcp", SP_CAPTURE_TX | SP_CAPTURE_DROP, true, 256);
	lab_send_tcp(IN, &flow, SYN, NULL);
	lab_run();
	trace_is("parse: ipv4 tcp; session: miss; egress: by out; classify: rule 10, session opened (tcp_syn_sent)");
	lab_send_tcp(OUT, &flow, SYN | ACK, NULL);
	lab_run();
	trace_is("parse: ipv4 tcp; session: hit as reply (tcp_syn_sent) of rule 10; state: tcp_syn_received; egress: by in");
	lab_send_tcp(IN, &other, SYN, NULL);
	lab_run();
	trace_is("parse: ipv4 tcp; session: miss; egress: by out; classify: the default, dropped default");
	lab_send_tcp(IN, &other, SYN | FIN, NULL);
	lab_run();
	trace_is("parse: ipv4 tcp; session: miss; state: dropped tcp_flags");
	nothing_more(0);
	stop();
}

/* Text is cut where its room ends; items from nowhere harm nobody. */
static void trace_text_is_bounded(void **unused)
{
	struct sp_trace_item items[SP_TRACE_ITEMS];
	char text[SP_TRACE_TEXT_MAX];

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES("\"10 allow tcp dport 443\""));
	for (unsigned int kind = 0; kind < 40; kind++) {
		for (unsigned int k = 0; k < SP_TRACE_ITEMS; k++)
			items[k] = (struct sp_trace_item){(uint8_t)(k % 10), (uint8_t)kind, 0xffff, UINT32_MAX};
		for (size_t size = 1; size < sizeof(text); size++) {
			memset(text, 0x5a, sizeof(text));
			assert_in_range(sp_trace_format(lab.dataplane, items, SP_TRACE_ITEMS, text, size), 0, size - 1);
			assert_true(memchr(text, 0, size) != NULL);
			assert_int_equal(text[size], 0x5a);
		}
	}
	lab_stop();
}

/* --- the drop ring ----------------------------------------------------------------------------------------------------------------- */

static unsigned int drops_of(enum sp_drop_reason reason, struct sp_drop_record *last)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < SP_DROP_RING_DEPTH; i++) {
		struct sp_drop_record record;

		if (!sp_drop_read(lab.dataplane->workers[0]->drops, reason, i, &record))
			continue;
		assert_int_equal(record.reason, reason);
		*last = record;
		n++;
	}
	return n;
}

static void drop_ring_remembers_the_last(void **unused)
{
	struct sp_drop_record record;
	struct sp_frame frame;

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES("\"20 reject udp dport 445\""));
	assert_int_equal(drops_of(SP_DROP_RULE, &record), 0);
	sp_frame_build(&frame, &(struct sp_frame_spec){.proto = IPPROTO_UDP, .dport = 445, .payload_len = 400});
	lab_send_frame(IN, 0, &frame);
	lab_run();
	assert_int_equal(drops_of(SP_DROP_RULE, &record), 1);
	assert_true(record.has_rule);
	assert_int_equal(record.rule, 20);
	assert_int_equal(record.verdict, SP_VERDICT_REJECT);
	assert_int_equal(record.length, frame.len);
	assert_int_equal(record.header_len, SP_DROP_HEADER_BYTES);
	assert_memory_equal(record.header, frame.bytes, SP_DROP_HEADER_BYTES);
	assert_int_equal(record.key.family, SP_FAMILY_IPV4);
	assert_int_equal(record.key.dport, RTE_BE16(445));
	assert_int_equal(record.port, IN);
	/* of one reason the last so many stay, and those of others are not touched */
	for (unsigned int i = 0; i < 3 * SP_DROP_RING_DEPTH; i++)
		lab_send(IN, &(struct sp_frame_spec){.dport = (uint16_t)(1000 + i)});
	lab_run();
	assert_int_equal(drops_of(SP_DROP_RULE, &record), 1);
	assert_int_equal(drops_of(SP_DROP_DEFAULT, &record), SP_DROP_RING_DEPTH);
	for (unsigned int i = 0; i < SP_DROP_RING_DEPTH; i++) {
		assert_true(sp_drop_read(lab.dataplane->workers[0]->drops, SP_DROP_DEFAULT, i, &record));
		assert_in_range(rte_be_to_cpu_16(record.key.dport), 1000 + 2 * SP_DROP_RING_DEPTH, 1000 + 3 * SP_DROP_RING_DEPTH - 1);
	}
	lab_stop();
}

/* Frames of any length, in pieces, are remembered as far as they go. */
static void short_and_split_frames_are_remembered(void **unused)
{
	struct sp_drop_record record;
	struct sp_frame frame;

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES("\"20 drop udp\""));
	for (size_t len = 1; len < 14; len++) {
		sp_frame_build(&frame, &(struct sp_frame_spec){0});
		lab_send_mbuf(IN, 0, sp_frame_mbuf_exact(lab_pool, frame.bytes, len, 0, 0));
		lab_run();
		assert_true(sp_drop_read(lab.dataplane->workers[0]->drops, SP_DROP_PARSE_ETHER, (unsigned int)len - 1, &record));
		assert_int_equal(record.header_len, len);
		assert_int_equal(record.key.family, SP_FAMILY_NONE);
		assert_memory_equal(record.header, frame.bytes, len);
	}
	sp_frame_build(&frame, &(struct sp_frame_spec){.proto = IPPROTO_UDP, .payload_len = 200});
	lab_send_mbuf(IN, 0, sp_frame_mbuf_exact(lab_pool, frame.bytes, frame.len, 20, 5));
	lab_run();
	assert_int_equal(drops_of(SP_DROP_RULE, &record), 1);
	assert_int_equal(record.header_len, SP_DROP_HEADER_BYTES);
	assert_memory_equal(record.header, frame.bytes, SP_DROP_HEADER_BYTES);
	lab_stop();
}

/* An mbuf whose lengths lie is read as far as its segments truly go. */
static void prefix_trusts_no_length(void **unused)
{
	uint8_t buffer[256], bytes[100];
	struct rte_mbuf *mbuf;
	uint32_t have;

	(void)unused;
	sp_test_eal();
	memset(bytes, 7, sizeof(bytes));
	if (lab_pool == NULL)
		lab_pool = sp_frame_pool(LAB_MBUFS);
	mbuf = sp_frame_mbuf_exact(lab_pool, bytes, sizeof(bytes), 40, 30);
	mbuf->pkt_len = 10000;
	assert_ptr_equal(sp_prefix_read(mbuf, sizeof(buffer), buffer, &have), buffer);
	assert_int_equal(have, 100);
	mbuf->next->data_len = 60000;
	sp_prefix_read(mbuf, sizeof(buffer), buffer, &have);
	assert_int_equal(have, 70);
	mbuf->next->data_len = 30;
	mbuf->pkt_len = 100;
	rte_pktmbuf_free(mbuf);
}

struct hammer {
	struct sp_drop_ring *ring;
	uint32_t stop;
	unsigned int torn, read;
};

/* Reads while the worker overwrites: whole records or none. */
static void *read_drops(void *arg)
{
	struct hammer *hammer = arg;
	struct sp_drop_record record;
	cpu_set_t all;

	/* EAL has pinned the thread that made this one: away from there, so that both run at once */
	memset(&all, 0xff, sizeof(all));
	pthread_setaffinity_np(pthread_self(), sizeof(all), &all);

	while (!__atomic_load_n(&hammer->stop, __ATOMIC_RELAXED)) {
		for (unsigned int i = 0; i < SP_DROP_RING_DEPTH; i++) {
			uint8_t mark;

			if (!sp_drop_read(hammer->ring, SP_DROP_QUEUE_TX, i, &record))
				continue;
			mark = (uint8_t)record.length;
			__atomic_fetch_add(&hammer->read, 1, __ATOMIC_RELAXED);
			for (unsigned int b = 0; b < record.header_len; b++)
				hammer->torn += record.header[b] != mark;
		}
	}
	return NULL;
}

static void readers_see_whole_records(void **unused)
{
	struct hammer hammer = {0};
	struct sp_drop_record record;
	struct rte_mbuf *mbuf;
	pthread_t thread;

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES("\"20 drop udp\""));
	hammer.ring = lab.dataplane->workers[0]->drops;
	mbuf = rte_pktmbuf_alloc(lab_pool);
	assert_non_null(rte_pktmbuf_append(mbuf, 256));
	assert_int_equal(pthread_create(&thread, NULL, read_drops, &hammer), 0);
	/* until the reader has met the writer often, whatever else the machine does */
	for (unsigned int i = 0; i < 50000000 && __atomic_load_n(&hammer.read, __ATOMIC_RELAXED) < 4000000; i++) {
		mbuf->pkt_len = mbuf->data_len = (uint16_t)(128 + i % 100);
		memset(rte_pktmbuf_mtod(mbuf, void *), (uint8_t)mbuf->pkt_len, mbuf->pkt_len);
		sp_drop_note_mbuf(lab.dataplane->workers[0], mbuf, OUT, SP_DROP_QUEUE_TX);
	}
	__atomic_store_n(&hammer.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_int_equal(hammer.torn, 0);
	/* one that is being written is no record */
	assert_true(sp_drop_read(hammer.ring, SP_DROP_QUEUE_TX, 0, &record));
	hammer.ring->record[SP_DROP_QUEUE_TX][0].sequence++;
	assert_false(sp_drop_read(hammer.ring, SP_DROP_QUEUE_TX, 0, &record));
	hammer.ring->record[SP_DROP_QUEUE_TX][0].sequence++;
	rte_pktmbuf_free(mbuf);
	lab_stop();
}

static void unsent_packets_are_remembered(void **unused)
{
	struct sp_drop_record record;

	(void)unused;
	lab_start(&(struct lab_options){.tx_ring = 8}, RULES("\"10 allow udp\""));
	start(NULL, SP_CAPTURE_DROP, false, 256);
	for (unsigned int i = 0; i < 20; i++)
		lab_send(IN, &(struct sp_frame_spec){.proto = IPPROTO_UDP});
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_QUEUE_TX), 20 - 7);
	assert_int_equal(drops_of(SP_DROP_QUEUE_TX, &record), 20 - 7);
	assert_int_equal(record.port, OUT);
	for (unsigned int i = 0; i < 20 - 7; i++) {
		assert_int_equal(next()->reason, SP_DROP_QUEUE_TX);
		assert_int_equal(next()->port, OUT);
		done();
	}
	nothing_more(0);
	stop();
}

static void stages_are_timed(void **unused)
{
	struct sp_stats stats;

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES("\"10 allow udp\""));
	for (unsigned int i = 0; i < 4 * SP_STAGE_SAMPLE; i++) {
		lab_send(IN, &(struct sp_frame_spec){.proto = IPPROTO_UDP});
		lab_run();
	}
	stats = lab_stats();
	assert_int_equal(stats.stage_packets, 4);
	for (unsigned int s = 0; s < SP_STAGE_COUNT; s++)
		assert_in_range(stats.stage_cycles[s], 1, UINT32_MAX);
	lab_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_point_is_copied_with_its_rule),
		cmocka_unit_test(filter_snaplen_and_points_hold),
		cmocka_unit_test(segments_are_gathered),
		cmocka_unit_test(full_ring_loses_copies_only),
		cmocka_unit_test(handed_packets_are_copied_once_a_point),
		cmocka_unit_test(trace_tells_each_stage),
		cmocka_unit_test(trace_text_is_bounded),
		cmocka_unit_test(drop_ring_remembers_the_last),
		cmocka_unit_test(short_and_split_frames_are_remembered),
		cmocka_unit_test(prefix_trusts_no_length),
		cmocka_unit_test(readers_see_whole_records),
		cmocka_unit_test(unsent_packets_are_remembered),
		cmocka_unit_test(stages_are_timed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
