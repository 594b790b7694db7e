/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The MSS option of SYNs: lowered where it stands, wherever that is, with a checksum that stays right; everything else left alone.
 */
#include "tests/unit/dataplane/worker_fixture.h"

#define RULE RULES("\"10 allow tcp mss 1200\"")

/* Sends a SYN with these options through the worker; the MSS that came out, 0 when nothing has one. Its checksums are checked. */
static unsigned int clamped(uint8_t family, uint8_t flags, const uint8_t *options, size_t len, const uint8_t *expected)
{
	static const uint8_t payload[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	const struct sp_frame_spec spec = {.family = family,
		.tcp_flags = flags,
		.tcp_options = options,
		.tcp_options_len = len,
		.payload = payload,
		.payload_len = sizeof(payload)};
	uint8_t bytes[SP_FRAME_MAX];
	const uint8_t *out;
	struct sp_frame frame;
	struct rte_mbuf *mbuf;
	unsigned int mss = 0;

	lab_start(&(struct lab_options){0}, RULE);
	sp_frame_build(&frame, &spec);
	lab_send_mbuf(IN, 0, sp_frame_mbuf(lab_pool, frame.bytes, frame.len));
	lab_run();
	mbuf = lab_take(OUT);
	assert_non_null(mbuf);
	assert_int_equal(mbuf->pkt_len, frame.len);
	out = rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, bytes);
	assert_true(sp_frame_checksums_ok(out, mbuf->pkt_len));
	assert_memory_equal(out + frame.l4 + 20, expected, len);
	assert_memory_equal(out + frame.payload, payload, sizeof(payload));
	for (size_t i = 0; i + 3 < len; i++)
		if (expected[i] == 2 && expected[i + 1] == 4)
			mss = (unsigned int)(out[frame.l4 + 20 + i + 2] << 8 | out[frame.l4 + 20 + i + 3]);
	rte_pktmbuf_free(mbuf);
	lab_stop();
	return mss;
}

static void option_is_lowered_wherever_it_stands(void **unused)
{
	static const struct {
		uint8_t options[16], expected[16];
		size_t len;
	} cases[] = {
		{{2, 4, 0x05, 0xb4}, {2, 4, 0x04, 0xb0}, 4},                                                  /* 1460 */
		{{2, 4, 0xff, 0xff}, {2, 4, 0x04, 0xb0}, 4},                                                  /* the most */
		{{1, 2, 4, 0x05, 0xb4, 1, 1, 1}, {1, 2, 4, 0x04, 0xb0, 1, 1, 1}, 8},                          /* at an odd offset */
		{{4, 2, 3, 3, 7, 2, 4, 0x05, 0xb4, 0, 0, 0}, {4, 2, 3, 3, 7, 2, 4, 0x04, 0xb0, 0, 0, 0}, 12}, /* after others */
		{{1, 1, 1, 1, 2, 4, 0x23, 0x28}, {1, 1, 1, 1, 2, 4, 0x04, 0xb0}, 8},                          /* 9000 */
	};

	(void)unused;
	for (size_t c = 0; c < RTE_DIM(cases); c++)
		for (uint8_t family = 4; family <= 6; family += 2)
			assert_int_equal(clamped(family, SYN, cases[c].options, cases[c].len, cases[c].expected), 1200);
}

static void lower_and_malformed_options_are_left_alone(void **unused)
{
	static const struct {
		uint8_t options[12];
		size_t len;
	} cases[] = {
		{{2, 4, 0x04, 0xb0}, 4},                /* 1200 itself */
		{{2, 4, 0x02, 0x18}, 4},                /* 536 */
		{{2, 3, 0xff, 2, 4, 0xff, 0xff, 0}, 4}, /* of a wrong length */
		{{2, 0, 0xff, 0xff}, 4},                /* of no length */
		{{8, 10, 0, 0}, 4},                     /* beyond the header */
		{{0, 2, 4, 0xff}, 4},                   /* after the end of options */
		{{1, 1, 1, 2}, 4},                      /* cut off at the kind */
		{{1, 1, 2, 4}, 4},                      /* cut off at the value */
	};

	(void)unused;
	for (size_t c = 0; c < RTE_DIM(cases); c++)
		clamped(4, SYN, cases[c].options, cases[c].len, cases[c].options);
}

/* Both SYNs of a connection, and nothing after them. */
static void answer_is_clamped_too_and_data_is_not(void **unused)
{
	static const uint8_t options[] = {2, 4, 0x05, 0xb4};
	struct sp_frame_spec syn = {.tcp_flags = SYN, .tcp_options = options, .tcp_options_len = 4}, synack = lab_reply(&syn), ack = syn;
	struct rte_mbuf *mbuf;
	struct sp_frame frame;

	(void)unused;
	synack.tcp_flags = SYN | ACK;
	ack.tcp_flags = ACK;
	lab_start(&(struct lab_options){0}, RULE);
	for (unsigned int i = 0; i < 3; i++) {
		const struct sp_frame_spec *const sent[] = {&syn, &synack, &ack};
		const uint8_t *option;

		lab_build(&frame, sent[i]);
		lab_send_mbuf(i == 1, 0, sp_frame_mbuf(lab_pool, frame.bytes, frame.len));
		lab_run();
		mbuf = lab_take(i != 1);
		assert_non_null(mbuf);
		option = rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, frame.l4 + 20);
		assert_int_equal(option[2] << 8 | option[3], i < 2 ? 1200 : 1460);
		assert_true(sp_frame_checksums_ok(rte_pktmbuf_mtod(mbuf, const uint8_t *), mbuf->pkt_len));
		rte_pktmbuf_free(mbuf);
	}
	lab_stop();
}

/* A header in several segments, or in memory that somebody else refers to, is passed as it is. */
static void segments_and_shared_memory_are_left_alone(void **unused)
{
	static const uint8_t options[] = {2, 4, 0x05, 0xb4};
	const struct sp_frame_spec syn = {.tcp_flags = SYN, .tcp_options = options, .tcp_options_len = 4};
	uint8_t bytes[SP_FRAME_MAX];
	struct rte_mbuf *mbuf, *original;
	struct sp_frame frame;

	(void)unused;
	sp_frame_build(&frame, &syn);
	for (size_t first = 1; first < frame.len; first++) {
		lab_start(&(struct lab_options){0}, RULE);
		lab_send_mbuf(IN, 0, sp_frame_mbuf_exact(lab_pool, frame.bytes, frame.len, first, 5));
		lab_run();
		mbuf = lab_take(OUT);
		assert_non_null(mbuf);
		assert_memory_equal(rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, bytes), frame.bytes, frame.len);
		rte_pktmbuf_free(mbuf);
		lab_stop();
	}
	for (unsigned int exact = 0; exact < 2; exact++) {
		lab_start(&(struct lab_options){0}, RULE);
		original = exact ? sp_frame_mbuf_exact(lab_pool, frame.bytes, frame.len, 0, 0)
				 : sp_frame_mbuf(lab_pool, frame.bytes, frame.len);
		mbuf = rte_pktmbuf_clone(original, lab_pool);
		assert_non_null(mbuf);
		lab_send_mbuf(IN, 0, mbuf);
		lab_run();
		assert_int_equal(lab_count(OUT), 1);
		assert_memory_equal(rte_pktmbuf_mtod(original, const uint8_t *), frame.bytes, frame.len);
		rte_pktmbuf_free(original);
		lab_stop();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(option_is_lowered_wherever_it_stands),
		cmocka_unit_test(lower_and_malformed_options_are_left_alone),
		cmocka_unit_test(answer_is_clamped_too_and_data_is_not),
		cmocka_unit_test(segments_and_shared_memory_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
