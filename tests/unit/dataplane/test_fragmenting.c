/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets cut for an MTU, put together again by a slow assembler of the test's own; through the whole path, and the accounts.
 */
#include "tests/unit/dataplane/route_fixture.h"

static uint8_t payload[4096 - 100];

/* RFC 791: one option that is copied into every fragment, one that is not, and padding. */
static const uint8_t options[] = {0x07, 7, 4, 0, 0, 0, 0, 0x94, 4, 0, 0, 0x88, 4, 0x12, 0x34, 0x01};
static const uint8_t copied[] = {0x94, 4, 0, 0, 0x88, 4, 0x12, 0x34};

static int setup(void **unused)
{
	(void)unused;
	route_defaults();
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + (i >> 8));
	route_start(&(struct lab_options){0}, ROUTE_ALL);
	return 0;
}

static int cleanup(void **unused)
{
	(void)unused;
	if (lab.dataplane != NULL)
		lab_free();
	return 0;
}

/* Sets or clears "don't fragment" of an IPv4 frame. */
static void say(struct sp_frame *frame, bool dont_fragment)
{
	uint8_t *ip = frame->bytes + frame->l3;
	uint16_t sum;

	ip[6] = (uint8_t)((ip[6] & ~0x40) | (dont_fragment ? 0x40 : 0));
	memset(ip + 10, 0, 2);
	sum = (uint16_t)~sp_checksum_fold(sp_checksum_add(0, ip, (ip[0] & 0xfu) * 4));
	memcpy(ip + 10, &sum, 2);
}

/* What the pieces say together; each byte is there once. */
struct whole {
	uint8_t bytes[65536];
	uint8_t seen[65536];
	size_t n, end;
	bool more; /* of the last one */
};

static struct whole whole;

static void add_piece(const struct sp_frame *frame, const struct rte_mbuf *piece, uint16_t mtu)
{
	const uint8_t *ip = route_bytes(piece) + frame->l3, *original = frame->bytes + frame->l3;
	size_t header = (ip[0] & 0xfu) * 4, length = sp_read_be16(ip + 2), n = length - header;
	uint16_t word = sp_read_be16(ip + 6);
	size_t at = (word & 0x1fffu) * 8;

	assert_int_equal(piece->pkt_len, frame->l3 + length);
	assert_in_range(length, header + 1, mtu);
	assert_int_equal(sp_checksum_fold(sp_checksum_add(0, ip, header)), 0xffff);
	assert_int_equal(ip[0] >> 4, 4);
	assert_int_equal(ip[1], original[1]);
	assert_memory_equal(ip + 4, original + 4, 2);
	assert_memory_equal(ip + 8, original + 8, 2);
	assert_memory_equal(ip + 12, original + 12, 8);
	assert_int_equal(word & 0xc000, 0);
	if (word & 0x2000)
		assert_int_equal(n % 8, 0);
	assert_in_range(at + n, 1, 65535);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(whole.seen[at + i], 0);
		whole.seen[at + i] = 1;
		whole.bytes[at + i] = ip[header + i];
	}
	whole.n += n;
	if (at + n >= whole.end) {
		whole.end = at + n;
		whole.more = word & 0x2000;
	}
}

static void check_options(const struct sp_frame *frame, const struct rte_mbuf *piece, bool first)
{
	const uint8_t *ip = route_bytes(piece) + frame->l3;

	if (first) {
		assert_int_equal(ip[0], frame->bytes[frame->l3]);
		assert_memory_equal(ip + 20, frame->bytes + frame->l3 + 20, (ip[0] & 0xfu) * 4 - 20);
	} else if (frame->bytes[frame->l3] == 0x45) {
		assert_int_equal(ip[0], 0x45);
	} else {
		assert_int_equal(ip[0], 0x40 + 5 + sizeof(copied) / 4);
		assert_memory_equal(ip + 20, copied, sizeof(copied));
	}
}

static void cut_and_join(const struct sp_frame *frame, uint16_t mtu, size_t first, size_t rest)
{
	struct sp_worker *worker = lab.dataplane->workers[0];
	struct rte_mbuf *pieces[SP_FRAGMENTING_MAX];
	const uint8_t *ip = frame->bytes + frame->l3;
	size_t header = (ip[0] & 0xfu) * 4, n_data = sp_read_be16(ip + 2) - header, start = (sp_read_be16(ip + 6) & 0x1fffu) * 8;
	int64_t delta = worker->stats.fragment_delta;
	struct rte_mbuf *mbuf = sp_frame_mbuf_exact(lab_pool, frame->bytes, frame->len, first, rest);
	unsigned int n = sp_fragment_to_mtu(worker, mbuf, (uint32_t)frame->l3, mtu, pieces, SP_FRAGMENTING_MAX);

	assert_int_not_equal(n, 0);
	assert_int_equal(worker->stats.fragment_delta, delta + n - 1);
	memset(&whole, 0, sizeof(whole));
	for (unsigned int i = 0; i < n; i++) {
		assert_memory_equal(route_bytes(pieces[i]), frame->bytes, frame->l3);
		add_piece(frame, pieces[i], mtu);
		check_options(frame, pieces[i], i == 0);
		rte_pktmbuf_free(pieces[i]);
	}
	assert_int_equal(whole.n, n_data);
	assert_int_equal(whole.end, start + n_data);
	assert_int_equal(whole.more, (sp_read_be16(ip + 6) & 0x2000) != 0);
	assert_memory_equal(whole.bytes + start, ip + header, n_data);
	__atomic_store_n(&worker->stats.fragment_delta, delta, __ATOMIC_RELAXED);
}

static void any_length_and_mtu(void **unused)
{
	uint32_t random = 1;

	(void)unused;
	for (unsigned int round = 0; round < 1500; round++) {
		struct sp_frame_spec spec = {.proto = IPPROTO_UDP, .payload = payload, .n_tags = round % 3, .tci = {20, 30}};
		struct sp_frame frame;
		uint16_t mtu;

		random = random * 1103515245 + 12345;
		mtu = (uint16_t)(120 + (random >> 16) % 1500);
		spec.payload_len = (random >> 8) % 3500;
		spec.options = round % 2 ? options : NULL;
		spec.options_len = round % 2 ? sizeof(options) : 0;
		spec.padding = round % 5;
		if (spec.payload_len / (mtu - 60u) > 40)
			continue;
		sp_frame_build(&frame, &spec);
		say(&frame, false);
		cut_and_join(&frame, mtu, round % 4 == 0 ? 0 : round % 60 + 1, round % 700);
	}
}

/* A fragment becomes fragments at its place, and only the last one of a last one is the last. */
static void fragments_of_fragments(void **unused)
{
	struct sp_frame_spec spec = {.proto = IPPROTO_UDP, .payload = payload, .payload_len = 3000};
	struct sp_frame all, fragment;

	(void)unused;
	sp_frame_build(&all, &spec);
	for (size_t at = 0; at < 3008; at += 1504) {
		sp_frame_cut(&fragment, &all, 77, at, 1504, false);
		for (uint16_t mtu = 68; mtu < 1600; mtu += 9)
			cut_and_join(&fragment, mtu, 0, 0);
	}
}

static void what_may_not_be_cut(void **unused)
{
	struct sp_worker *worker = lab.dataplane->workers[0];
	struct rte_mbuf *pieces[SP_FRAGMENTING_MAX], *taken[LAB_MBUFS];
	struct sp_frame_spec spec = {.proto = IPPROTO_UDP, .payload = payload, .payload_len = 3000}, spec6 = spec;
	struct sp_frame frame, frame6, wanting;
	unsigned int left;

	(void)unused;
	sp_frame_build(&frame, &spec);
	say(&frame, false);
	spec6.family = 6;
	sp_frame_build(&frame6, &spec6);
	assert_int_equal(
		sp_fragment_to_mtu(worker, sp_frame_mbuf_exact(lab_pool, frame6.bytes, frame6.len, 0, 0), 14, 1500, pieces, 64), 0);
	assert_int_equal(lab_drops(SP_DROP_ROUTE_MTU), 1);
	wanting = frame;
	say(&wanting, true);
	assert_int_equal(
		sp_fragment_to_mtu(worker, sp_frame_mbuf_exact(lab_pool, wanting.bytes, wanting.len, 0, 0), 14, 1500, pieces, 64), 0);
	assert_int_equal(lab_drops(SP_DROP_ROUTE_MTU), 2);
	/* nothing fits */
	assert_int_equal(sp_fragment_to_mtu(worker, sp_frame_mbuf_exact(lab_pool, frame.bytes, frame.len, 0, 0), 14, 27, pieces, 64), 0);
	assert_int_equal(lab_drops(SP_DROP_ROUTE_MTU), 3);
	/* too many: 3,008 bytes are 63 times 48, and one unit */
	assert_int_equal(sp_fragment_to_mtu(worker, sp_frame_mbuf_exact(lab_pool, frame.bytes, frame.len, 0, 0), 14, 68, pieces, 62), 0);
	assert_int_equal(lab_drops(SP_DROP_FRAG_TOO_MANY), 1);
	assert_int_equal(sp_fragment_to_mtu(worker, sp_frame_mbuf_exact(lab_pool, frame.bytes, frame.len, 0, 0), 14, 68, pieces, 63), 63);
	rte_pktmbuf_free_bulk(pieces, 63);
	/* no buffers: not for the first, not for the last */
	for (unsigned int n = 0; n < 3; n++) {
		struct rte_mbuf *mbuf = sp_frame_mbuf_exact(lab_pool, frame.bytes, frame.len, 0, 0);

		left = rte_mempool_avail_count(lab_pool);
		assert_int_equal(rte_pktmbuf_alloc_bulk(lab_pool, taken, left - n), 0);
		assert_int_equal(sp_fragment_to_mtu(worker, mbuf, 14, 1500, pieces, 64), 0);
		assert_int_equal(lab_drops(SP_DROP_QUEUE_MBUF), n + 1);
		rte_pktmbuf_free_bulk(taken, left - n);
	}
	assert_int_equal(rte_mempool_avail_count(lab_pool), lab.mbufs);
}

/* Lengths in headers that lie are the parser's, but nothing here believes them either. */
static void headers_that_lie(void **unused)
{
	struct sp_worker *worker = lab.dataplane->workers[0];
	struct sp_frame_spec spec = {.proto = IPPROTO_UDP, .payload = payload, .payload_len = 900, .options = options, .options_len = 16};
	struct rte_mbuf *pieces[SP_FRAGMENTING_MAX];
	uint32_t random = 7;

	(void)unused;
	for (unsigned int round = 0; round < 20000; round++) {
		struct sp_frame frame;
		struct rte_mbuf *mbuf;
		unsigned int n;

		sp_frame_build(&frame, &spec);
		say(&frame, false);
		for (unsigned int k = 0; k < 1 + round % 3; k++) {
			random = random * 1103515245 + 12345;
			frame.bytes[14 + (random >> 16) % 36] = (uint8_t)(random >> 8);
		}
		mbuf = sp_frame_mbuf_exact(lab_pool, frame.bytes, frame.len - (random >> 4) % 900, round % 50, round % 300);
		sp_exceeds_mtu(mbuf, 14, 400);
		n = sp_fragment_to_mtu(worker, mbuf, 14, (uint16_t)(60 + (random >> 9) % 500), pieces, 1 + round % SP_FRAGMENTING_MAX);
		assert_in_range(n, 0, 1 + round % SP_FRAGMENTING_MAX);
		rte_pktmbuf_free_bulk(pieces, n);
	}
	assert_int_equal(rte_mempool_avail_count(lab_pool), lab.mbufs);
}

/* --- through the whole path ------------------------------------------------------------------------------------------------------- */

static void collect(const struct sp_frame *frame, uint16_t mtu, unsigned int expected)
{
	struct rte_mbuf *mbuf;
	unsigned int n = 0;

	memset(&whole, 0, sizeof(whole));
	for (; (mbuf = lab_take(OUT)) != NULL; n++) {
		add_piece(frame, mbuf, mtu);
		rte_pktmbuf_free(mbuf);
	}
	assert_int_equal(n, expected);
	assert_int_equal(whole.n, whole.end);
	assert_false(whole.more);
	assert_memory_equal(whole.bytes, frame->bytes + frame->l4, whole.n);
}

static void longer_than_the_link(void **unused)
{
	struct sp_frame_spec spec = {.proto = IPPROTO_UDP, .payload = payload, .payload_len = 1472, .padding = 4};
	struct sp_frame frame, out;

	(void)unused;
	lab.dataplane->routing->links[LINK_OUT].mtu = 600;
	sp_frame_build(&frame, &spec);
	say(&frame, false);
	out = frame;
	out.bytes[14 + 8]--; /* TTL */
	lab_send_frame(IN, 0, &frame);
	lab_run();
	collect(&out, 600, 3);
	assert_int_equal(lab_stats().fragment_delta, 2);
	lab_balance(0);
	/* only what lies behind the packet is too much */
	spec.payload_len = 572;
	sp_frame_build(&frame, &spec);
	say(&frame, false);
	out = frame;
	out.bytes[14 + 8]--;
	lab_send_frame(IN, 0, &frame);
	lab_run();
	collect(&out, 600, 1);
	assert_int_equal(lab_stats().fragment_delta, 2);
	lab_stop();
}

/* What came in fragments leaves in those, cut further where they do not fit. */
static void fragments_longer_than_the_link(void **unused)
{
	struct sp_frame_spec spec = {.proto = IPPROTO_UDP, .payload = payload, .payload_len = 3000};
	struct sp_frame frame, out, fragment;

	(void)unused;
	lab.dataplane->routing->links[LINK_OUT].mtu = 1000;
	sp_frame_build(&frame, &spec);
	for (size_t at = 0; at < 3008; at += 1400) {
		sp_frame_cut(&fragment, &frame, 5, at, RTE_MIN((size_t)1400, 3008 - at), false);
		lab_send_frame(IN, 0, &fragment);
	}
	lab_run();
	out = fragment;
	memcpy(out.bytes + 34, frame.bytes + 34, 3008);
	out.bytes[14 + 8]--;
	out.l4 = 34;
	collect(&out, 1000, 5);
	assert_int_equal(lab_stats().fragment_delta, 2);
	lab_balance(0);
	lab_stop();
}

/* IPv6, and IPv4 that says so, is never cut: one such piece and the datagram's sender is told. */
static void a_datagram_that_exceeds(void **unused)
{
	(void)unused;
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		struct sp_frame_spec spec = {.family = v6 ? 6 : 4, .proto = IPPROTO_UDP, .payload = payload, .payload_len = 2992};
		struct sp_frame frame, fragment;

		lab.dataplane->routing->links[LINK_OUT].mtu = 1400;
		sp_frame_build(&frame, &spec);
		for (size_t at = 0; at < 3000; at += 1000) {
			sp_frame_cut(&fragment, &frame, 5 + v6, at, 1000, false);
			if (!v6)
				say(&fragment, true);
			lab_send_frame(IN, 0, &fragment);
		}
		lab_run();
		assert_int_equal(lab_count(OUT), 3);
		lab.dataplane->routing->links[LINK_OUT].mtu = 900;
		for (size_t at = 0; at < 3000; at += 1000) {
			sp_frame_cut(&fragment, &frame, 9 + v6, at, 1000, false);
			if (!v6)
				say(&fragment, true);
			lab_send_frame(IN, 0, &fragment);
		}
		lab_run();
		assert_int_equal(lab_count(OUT), 0);
		assert_int_equal(lab_count(IN), 1);
	}
	assert_int_equal(lab_drops(SP_DROP_ROUTE_MTU), 2);
	lab_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(any_length_and_mtu, setup, cleanup),
		cmocka_unit_test_setup_teardown(fragments_of_fragments, setup, cleanup),
		cmocka_unit_test_setup_teardown(what_may_not_be_cut, setup, cleanup),
		cmocka_unit_test_setup_teardown(headers_that_lie, setup, cleanup),
		cmocka_unit_test_setup_teardown(longer_than_the_link, setup, cleanup),
		cmocka_unit_test_setup_teardown(fragments_longer_than_the_link, setup, cleanup),
		cmocka_unit_test_setup_teardown(a_datagram_that_exceeds, setup, cleanup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
