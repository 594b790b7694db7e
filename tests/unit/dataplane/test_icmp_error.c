/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP errors about sessions: the table of types and values is tests/packet/test_icmp.py; here are segmentation, truncation and random
 * bytes under AddressSanitizer, and the bound a session.
 */
#include "tests/unit/dataplane/worker_fixture.h"

#define UNREACHABLE 3
#define RULE        RULES("\"10 allow udp,tcp from inside to outside\"")

static const struct sp_frame_spec dns = {.proto = IPPROTO_UDP, .dport = 53, .payload_len = 100},
				  dns6 = {.family = 6, .proto = IPPROTO_UDP, .dport = 53, .payload_len = 100}, web, web6 = {.family = 6};

static void open_sessions(void)
{
	lab_start(&(struct lab_options){0}, RULE);
	lab_send(IN, &dns);
	lab_send(IN, &dns6);
	lab_send(IN, &web);
	lab_send(IN, &web6);
	lab_run();
	assert_int_equal(lab_count(OUT), 4);
}

static void error_about(struct sp_frame *error, const struct sp_frame_spec *spec)
{
	struct sp_frame about;

	sp_frame_build(&about, spec);
	sp_frame_build_error(error, &about, spec->family == 6 ? 1 : UNREACHABLE, spec->family == 6 ? 0 : 1, 256);
}

/* Good errors pass, however they are cut in segments. */
static void segmentation_does_not_matter(void **unused)
{
	const struct sp_frame_spec *flows[] = {&dns, &dns6, &web, &web6};

	(void)unused;
	open_sessions();
	for (unsigned int f = 0; f < RTE_DIM(flows); f++) {
		struct sp_frame error;

		error_about(&error, flows[f]);
		for (size_t first = 1; first < error.len; first += 3) {
			lab_send_mbuf(OUT, 0, sp_frame_mbuf_exact(lab_pool, error.bytes, error.len, first, 1 + first % 13));
			lab_run();
			assert_int_equal(lab_count(IN), 1);
		}
	}
	lab_balance(0);
	lab_stop();
}

/* Any byte of the quoted packet changed, any length: a verdict, and nothing read that is not there. */
static void damaged_errors_get_a_verdict(void **unused)
{
	const struct sp_frame_spec *flows[] = {&dns, &dns6, &web, &web6};
	uint64_t before;

	(void)unused;
	open_sessions();
	for (unsigned int f = 0; f < RTE_DIM(flows); f++) {
		struct sp_frame error, damaged;

		error_about(&error, flows[f]);
		for (size_t at = error.l4; at < error.len; at++)
			for (unsigned int bit = 0; bit < 8; bit++) {
				damaged = error;
				damaged.bytes[at] ^= (uint8_t)(1u << bit);
				sp_frame_checksums(&damaged);
				lab_send_mbuf(OUT, 0, sp_frame_mbuf_exact(lab_pool, damaged.bytes, damaged.len, 1 + at / 2, 7));
				lab_run();
				lab_count(IN);
			}
	}
	before = lab_drops(SP_DROP_ICMP_IMPLAUSIBLE);
	assert_in_range(before, 80, 200); /* 32 bits of two sequence numbers, the lengths */
	assert_true(lab_drops(SP_DROP_ICMP_ERROR_TYPE) > 0);
	assert_true(lab_drops(SP_DROP_ICMP_NO_SESSION) > 0);
	lab_balance(0);
	lab_stop();
}

static void only_numbers_in_flight_pass(void **unused)
{
	struct sp_frame_spec syn = web;
	struct sp_frame error;

	(void)unused;
	open_sessions();
	for (uint32_t seq = 1; seq != 0; seq <<= 1) {
		syn.seq = seq + 1;
		error_about(&error, &syn);
		lab_send_frame(OUT, 0, &error);
	}
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_ICMP_IMPLAUSIBLE), 32);
	lab_stop();
}

static void each_session_has_its_share(void **unused)
{
	struct sp_icmp_errors *errors = test_calloc(1, sizeof(*errors));

	(void)unused;
	for (uint32_t second = 5; second < 8; second++)
		for (uint32_t ref = 0; ref < 2; ref++)
			for (unsigned int n = 0; n < 5; n++) {
				assert_int_equal(sp_icmp_error_take(errors, ref, 3, second * 1000 + n), n < 3);
				assert_int_equal(sp_icmp_error_take(errors, ref | SP_SESSION_IPV6, 3, second * 1000 + n), n < 3);
			}
	for (unsigned int n = 0; n < 100; n++)
		assert_true(sp_icmp_error_take(errors, 7, 0, 1000));
	test_free(errors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segmentation_does_not_matter),
		cmocka_unit_test(damaged_errors_get_a_verdict),
		cmocka_unit_test(only_numbers_in_flight_pass),
		cmocka_unit_test(each_session_has_its_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
