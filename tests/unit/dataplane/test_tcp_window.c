/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/session_fixture.h"

#include "dataplane/parse.h"
#include "dataplane/session_tcp.h"
#include "tests/unit/support/eal.h"
#include "tests/unit/support/frames.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

static struct rte_mempool *pool;

/* --- the header ------------------------------------------------------------------------------------------------------------------- */

static bool read_frame(const struct sp_frame *frame, size_t first, size_t rest, struct sp_tcp_segment *out)
{
	struct rte_mbuf *mbuf = sp_frame_mbuf_exact(pool, frame->bytes, frame->len, first, rest);
	struct sp_packet packet = {.l4_off = (uint16_t)frame->l4,
		.payload_off = (uint16_t)(frame->l4 + (frame->bytes[frame->l4 + 12] >> 4) * 4u),
		.payload_len = (uint16_t)(frame->len - frame->l4 - (frame->bytes[frame->l4 + 12] >> 4) * 4u),
		.tcp_flags = frame->bytes[frame->l4 + 13]};
	bool read = sp_tcp_read(mbuf, &packet, out);

	rte_pktmbuf_free(mbuf);
	return read;
}

/* However the frame is cut into segments, the same is read, and nothing beyond them. */
static void header_is_read_across_segments(void **unused)
{
	static const uint8_t options[] = {2, 4, 5, 0xb4, 1, 3, 3, 9, 4, 2, 0, 0};
	struct sp_frame_spec spec = {
		.seq = 0x01020304, .ack = 0xfffefdfc, .tcp_options = options, .tcp_options_len = sizeof(options), .payload_len = 7};
	struct sp_tcp_segment segment;
	struct sp_frame frame;
	(void)unused;

	for (unsigned int v6 = 0; v6 < 2; v6++) {
		spec.family = v6 ? 6 : 4;
		sp_frame_build(&frame, &spec);
		for (size_t first = 0; first <= frame.len; first++) {
			const size_t rest = first % 3 == 0 ? 0 : first % 7 + 1;

			memset(&segment, 0xee, sizeof(segment));
			assert_true(read_frame(&frame, first, rest, &segment));
			assert_int_equal(segment.seq, 0x01020304);
			assert_int_equal(segment.ack, 0xfffefdfc);
			assert_int_equal(segment.window, 0xffff);
			assert_int_equal(segment.payload, 7);
			assert_int_equal(segment.flags, SYN);
			assert_int_equal(segment.scale, 9);
		}
	}
}

static void scale_is_found_among_options(void **unused)
{
	static const struct {
		uint8_t bytes[40], length;
		int scale;
	} rows[] = {
		{{0}, 0, SP_TCP_SCALE_NONE},
		{{3, 3, 7, 1}, 4, 7},
		{{1, 3, 3, 7}, 4, 7},
		{{3, 3, 0, 0}, 4, 0},
		{{3, 3, 14, 0}, 4, 14},
		{{3, 3, 15, 0}, 4, 14},
		{{3, 3, 255, 0}, 4, 14},
		{{2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 6}, 20, 6},
		{{0, 3, 3, 7}, 4, SP_TCP_SCALE_NONE}, /* behind the end */
		{{3, 4, 7, 1}, 4, SP_TCP_SCALE_NONE}, /* of another length: none */
		{{3, 2, 1, 1}, 4, SP_TCP_SCALE_NONE},
		{{3, 0, 3, 3}, 4, SP_TCP_SCALE_NONE}, /* lengths that lead nowhere */
		{{2, 1, 3, 3}, 4, SP_TCP_SCALE_NONE},
		{{1, 1, 1, 3}, 4, SP_TCP_SCALE_NONE}, /* cut off */
		{{1, 1, 3, 3}, 4, SP_TCP_SCALE_NONE},
		{{9, 5, 3, 3}, 4, SP_TCP_SCALE_NONE}, /* one that reaches too far */
		{{9, 255, 3, 3}, 4, SP_TCP_SCALE_NONE},
		{{3, 3, 5, 3, 3, 6, 1, 1}, 8, 5}, /* the first of two */
		{{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 8},
			40, 8},
	};
	(void)unused;

	for (size_t i = 0; i < RTE_DIM(rows); i++) {
		struct sp_frame_spec spec = {.tcp_options = rows[i].length ? rows[i].bytes : NULL, .tcp_options_len = rows[i].length};
		struct sp_tcp_segment segment;
		struct sp_frame frame;

		sp_frame_build(&frame, &spec);
		assert_true(read_frame(&frame, i * 3 % frame.len, 0, &segment));
		if (segment.scale != rows[i].scale)
			fail_msg("row %zu: %d", i, segment.scale);
		spec.tcp_flags = ACK;
		sp_frame_build(&frame, &spec);
		assert_true(read_frame(&frame, 0, 0, &segment));
		assert_int_equal(segment.scale, SP_TCP_SCALE_NONE);
	}
}

/* --- windows ---------------------------------------------------------------------------------------------------------------------- */

static struct sp_sessions *sessions;

static uint32_t new_session(uint32_t number)
{
	struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, number);
	uint32_t ref = insert_key(sessions, &key, SP_STATE_TCP_SYN_SENT, 0);

	assert_int_not_equal(ref, SP_SESSION_NONE);
	return ref;
}

static enum sp_drop_reason send_segment(uint32_t ref, bool reply, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t payload)
{
	const struct sp_tcp_segment segment = {
		.seq = seq, .ack = ack, .window = 8192, .payload = payload, .flags = flags, .scale = SP_TCP_SCALE_NONE};
	enum sp_tcp_next next;

	return sp_tcp_update(sessions, reply ? ref | SP_SESSION_REPLY : ref, &segment, 1, &next);
}

static uint32_t handshake(uint32_t number, uint32_t a, uint32_t b)
{
	uint32_t ref = new_session(number);

	sp_tcp_open(sessions, ref, &(struct sp_tcp_segment){.seq = a, .window = 8192, .flags = SYN, .scale = SP_TCP_SCALE_NONE});
	assert_int_equal(send_segment(ref, true, SYN | ACK, b, a + 1, 0), SP_DROP_NONE);
	assert_int_equal(send_segment(ref, false, ACK, a + 1, b + 1, 0), SP_DROP_NONE);
	return ref;
}

/* What a session says does not depend on where its numbers begin. */
static void numbers_may_begin_anywhere(void **unused)
{
	static const uint32_t begins[][2] = {
		{0, 0}, {UINT32_MAX, 0x7fffffff}, {0x7fffff00, UINT32_MAX - 300}, {0x80000000, 1}, {UINT32_MAX - 9000, 0x7fffe000}};
	(void)unused;

	for (unsigned int run = 0; run < 200; run++) {
		uint32_t refs[RTE_DIM(begins)];

		sessions = table_of(64, 64);
		for (unsigned int b = 0; b < RTE_DIM(begins); b++)
			refs[b] = handshake(b, begins[b][0], begins[b][1]);
		for (unsigned int step = 0; step < 60; step++) {
			static const uint8_t flags[] = {ACK, ACK, ACK, ACK, ACK | 8, ACK | FIN, RST, SYN, SYN | ACK};
			const uint8_t flag = flags[next_random() % RTE_DIM(flags)];
			const bool reply = next_random() & 1;
			const uint32_t spread = next_random() & 1 ? 300 : 20000, seq = (uint32_t)(next_random() % spread) - spread / 4,
				       ack = (uint32_t)(next_random() % spread) - spread / 4;
			const uint16_t payload = flag & (SYN | RST) ? 0 : (uint16_t)(next_random() % 200);
			enum sp_drop_reason first = send_segment(refs[0], reply, flag, seq, ack, payload);

			for (unsigned int b = 1; b < RTE_DIM(begins); b++) {
				enum sp_drop_reason reason =
					send_segment(refs[b], reply, flag, begins[b][reply] + seq, begins[b][!reply] + ack, payload);

				assert_int_equal(reason, first);
				assert_int_equal(sp_session_state(sessions, refs[b])->state, sp_session_state(sessions, refs[0])->state);
			}
		}
		sp_sessions_free(sessions);
	}
}

/* All ways in which two or three pieces on a grid cover a hundred octets, in any order: the same windows afterwards. */
static void overlaps_leave_the_same_windows(void **unused)
{
	const struct sp_session_tcp *tcp;
	struct sp_session_tcp whole;
	unsigned int n = 0;
	uint32_t ref;
	(void)unused;

	sessions = table_of(64, 64);
	ref = handshake(0, 1000, 5000);
	tcp = sp_session_tcp(sessions, ref);
	assert_int_equal(send_segment(ref, false, ACK | 8, 1001, 5001, 100), SP_DROP_NONE);
	whole = *tcp;
	sp_session_remove(sessions, ref, SP_END_TIMEOUT);
	for (unsigned int count = 2; count <= 3; count++)
		for (unsigned int pick = 0; pick < (count == 2 ? 10000u : 1000000u); pick++) {
			unsigned int spans[3] = {pick % 100, pick / 100 % 100, pick / 10000}, covered = 0;
			bool good = true;

			for (unsigned int p = 0; p < count; p++) {
				unsigned int from = spans[p] / 10, to = spans[p] % 10 + 1;

				good = good && from < to;
				for (unsigned int i = from; good && i < to; i++)
					covered |= 1u << i;
			}
			if (!good || covered != 0x3ff)
				continue;
			ref = handshake(0, 1000, 5000);
			for (unsigned int p = 0; p < count; p++) {
				unsigned int from = spans[p] / 10, to = spans[p] % 10 + 1;

				assert_int_equal(send_segment(ref, false, ACK | 8, 1001 + from * 10, 5001, (uint16_t)((to - from) * 10)),
					SP_DROP_NONE);
			}
			assert_memory_equal(sp_session_tcp(sessions, ref), &whole, sizeof(whole));
			sp_session_remove(sessions, ref, SP_END_TIMEOUT);
			n++;
		}
	print_message("%u orders\n", n);
	assert_in_range(n, 1000, 1000000);
	sp_sessions_free(sessions);
}

/* --- numbers that ICMP errors quote ----------------------------------------------------------------------------------------------- */

static void assert_plausible(uint32_t ref, uint32_t first, int32_t from, int32_t to)
{
	assert_true(sp_tcp_seq_plausible(sessions, ref, first + (uint32_t)from));
	assert_true(sp_tcp_seq_plausible(sessions, ref, first + (uint32_t)to));
	assert_false(sp_tcp_seq_plausible(sessions, ref, first + (uint32_t)from - 1));
	assert_false(sp_tcp_seq_plausible(sessions, ref, first + (uint32_t)to + 1));
	assert_false(sp_tcp_seq_plausible(sessions, ref, first + 0x80000000u));
}

static void quoted_numbers_are_those_on_their_way(void **unused)
{
	const uint32_t a = UINT32_MAX - 50, b = 0x7fffffd0;
	uint32_t ref;
	(void)unused;

	sessions = table_of(64, 64);
	ref = new_session(1);
	sp_tcp_open(sessions, ref, &(struct sp_tcp_segment){.seq = a, .window = 8192, .flags = SYN, .scale = SP_TCP_SCALE_NONE});
	assert_plausible(ref, a, 0, 1);
	assert_false(sp_tcp_seq_plausible(sessions, ref | SP_SESSION_REPLY, b));
	assert_int_equal(send_segment(ref, true, SYN | ACK, b, a + 1, 0), SP_DROP_NONE);
	assert_plausible(ref, a, 0, 1);
	assert_plausible(ref | SP_SESSION_REPLY, b, 0, 1);
	assert_int_equal(send_segment(ref, false, ACK, a + 1, b + 1, 0), SP_DROP_NONE);
	assert_int_equal(send_segment(ref, false, ACK, a + 1, b + 1, 300), SP_DROP_NONE);
	assert_int_equal(send_segment(ref, false, ACK, a + 301, b + 1, 300), SP_DROP_NONE);
	assert_plausible(ref, a, 0, 601);
	assert_int_equal(send_segment(ref, true, ACK, b + 1, a + 301, 0), SP_DROP_NONE);
	assert_plausible(ref, a, 300, 601);
	assert_int_equal(send_segment(ref, true, ACK, b + 1, a + 601, 1000), SP_DROP_NONE);
	assert_plausible(ref, a, 600, 601);
	assert_plausible(ref | SP_SESSION_REPLY, b, 0, 1001);
	/* A proxied reply is quoted in the numbers that the opener saw. */
	sp_session_tcp(sessions, ref)->reply_delta = 77777;
	assert_plausible(ref | SP_SESSION_REPLY, b + 77777, 0, 1001);
	sp_sessions_free(sessions);
}

/* The opener of a proxied connection acknowledges in numbers of its own; windows are kept in the server's. */
static void a_proxied_opener_acknowledges_by_its_own_numbers(void **unused)
{
	uint32_t ref;
	(void)unused;

	sessions = table_of(64, 64);
	ref = handshake(1, 1000, 5000);
	sp_session_tcp(sessions, ref)->reply_delta = 4000000000u;
	assert_int_equal(send_segment(ref, true, ACK, 5001, 1001, 500), SP_DROP_NONE);
	assert_int_equal(send_segment(ref, false, ACK, 1001, 5501, 0), SP_DROP_TCP_WINDOW);
	assert_int_equal(send_segment(ref, false, ACK, 1001, 5501 + 4000000000u, 0), SP_DROP_NONE);
	assert_int_equal(send_segment(ref, false, ACK, 1001, 5502 + 4000000000u, 0), SP_DROP_TCP_WINDOW);
	assert_int_equal(sp_session_tcp(sessions, ref)->peer[0].ack, 5501);
	sp_sessions_free(sessions);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_is_read_across_segments),
		cmocka_unit_test(scale_is_found_among_options),
		cmocka_unit_test(numbers_may_begin_anywhere),
		cmocka_unit_test(overlaps_leave_the_same_windows),
		cmocka_unit_test(quoted_numbers_are_those_on_their_way),
		cmocka_unit_test(a_proxied_opener_acknowledges_by_its_own_numbers),
	};

	sp_test_eal();
	pool = sp_frame_pool(511);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
