/* SPDX-License-Identifier: BSD-3-Clause */
/* Inspection of one packet: segments, depth, what is reported, and what drops. */
#include "dataplane/inspect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N_PATTERNS 12

/* Ten that alert, one that drops, one more that alerts; Hyperscan ids are their indexes. */
static struct sp_pattern patterns[N_PATTERNS] = {
	{.id = 100, .pattern = "a0", .action = SP_PATTERN_ALERT},
	{.id = 101, .pattern = "a1", .action = SP_PATTERN_ALERT},
	{.id = 102, .pattern = "a2", .action = SP_PATTERN_ALERT},
	{.id = 103, .pattern = "a3", .action = SP_PATTERN_ALERT},
	{.id = 104, .pattern = "a4", .action = SP_PATTERN_ALERT},
	{.id = 105, .pattern = "a5", .action = SP_PATTERN_ALERT},
	{.id = 106, .pattern = "a6", .action = SP_PATTERN_ALERT},
	{.id = 107, .pattern = "a7", .action = SP_PATTERN_ALERT},
	{.id = 108, .pattern = "a8", .action = SP_PATTERN_ALERT},
	{.id = 109, .pattern = "a9", .action = SP_PATTERN_ALERT},
	{.id = 666, .pattern = "evil", .action = SP_PATTERN_DROP},
	{.id = 200, .pattern = "hello", .action = SP_PATTERN_ALERT},
};

static struct sp_profile profile;
static struct sp_inspector inspector = {.profile = &profile};
static hs_scratch_t *scratch;
static uint8_t buffer[SP_INSPECT_BUFFER_BYTES];
static struct sp_inspect_counters counters;
static struct sp_session_inspect ext;
static struct sp_inspect_result result;

static int compile(void **state)
{
	const char *expressions[N_PATTERNS];
	unsigned int ids[N_PATTERNS], flags[N_PATTERNS] = {0};
	hs_compile_error_t *error;

	(void)state;
	for (unsigned int i = 0; i < N_PATTERNS; i++) {
		expressions[i] = patterns[i].pattern;
		ids[i] = i;
	}
	if (hs_compile_multi(expressions, flags, ids, N_PATTERNS, HS_MODE_BLOCK, NULL, &inspector.database, &error) != HS_SUCCESS)
		return -1;
	return hs_alloc_scratch(inspector.database, &scratch) == HS_SUCCESS ? 0 : -1;
}

static int release(void **state)
{
	(void)state;
	hs_free_scratch(scratch);
	hs_free_database(inspector.database);
	return 0;
}

static int reset(void **state)
{
	(void)state;
	profile = (struct sp_profile){.name = "web", .block = true, .patterns = patterns, .n_patterns = N_PATTERNS};
	memset(&counters, 0, sizeof(counters));
	memset(&ext, 0, sizeof(ext));
	memset(&result, 0xee, sizeof(result));
	return 0;
}

/* A frame of `header` bytes and the payload, cut into segments of at most `piece` bytes, each in memory of exactly its size. */
static struct rte_mbuf *frame_of(const char *payload, size_t len, unsigned int header, unsigned int piece)
{
	struct rte_mbuf *first = NULL, **link = &first;
	size_t total = header + len, at = 0;

	while (at < total) {
		size_t n = total - at < piece ? total - at : piece;
		struct rte_mbuf *m = aligned_alloc(64, sizeof(*m));
		uint8_t *data = malloc(n);

		assert_non_null(m);
		assert_non_null(data);
		memset(m, 0, sizeof(*m));
		for (size_t i = 0; i < n; i++)
			data[i] = at + i < header ? 'H' : (uint8_t)payload[at + i - header];
		m->buf_addr = data;
		m->data_len = (uint16_t)n;
		m->pkt_len = (uint32_t)total;
		*link = m;
		link = &m->next;
		at += n;
	}
	return first;
}

static void free_frame(struct rte_mbuf *m)
{
	while (m) {
		struct rte_mbuf *next = m->next;

		free(m->buf_addr);
		free(m);
		m = next;
	}
}

static void inspect(const char *payload, size_t len, unsigned int piece, unsigned int direction)
{
	struct sp_packet packet = {.payload_off = 54, .payload_len = (uint16_t)len};
	struct rte_mbuf *m = frame_of(payload, len, 54, piece);

	sp_inspect_packet(&inspector, scratch, buffer, m, &packet, &ext, direction, &counters, &result);
	free_frame(m);
}

static void a_match_drops_or_alerts(void **state)
{
	static const struct {
		const char *payload;
		bool block, drop;
		unsigned int n;
		uint32_t signature[2];
	} cases[] = {
		{"say hello", true, false, 1, {200}},
		{"be evil", true, true, 1, {666}},
		{"be evil", false, false, 1, {666}},
		{"hello evil hello hello", true, true, 2, {200, 666}},
		{"nothing of note", true, false, 0, {0}},
		{"HHHH", true, false, 0, {0}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		profile.block = cases[i].block;
		inspect(cases[i].payload, strlen(cases[i].payload), 2048, 0);
		assert_int_equal(result.drop, cases[i].drop);
		assert_false(result.error);
		assert_int_equal(result.n, cases[i].n);
		for (unsigned int k = 0; k < cases[i].n; k++)
			assert_int_equal(result.signature[k], cases[i].signature[k]);
	}
	assert_int_equal(counters.packets, 6);
	assert_int_equal(counters.matches, 5);
	assert_int_equal(counters.alerts, 3);
	assert_int_equal(counters.drops, 2);
	assert_int_equal(counters.errors, 0);
}

static void segments_do_not_hide_a_match(void **state)
{
	static const char payload[] = "some bytes, then evil, then more";

	(void)state;
	for (unsigned int piece = 1; piece < 90; piece++) {
		inspect(payload, sizeof(payload) - 1, piece, 0);
		assert_true(result.drop);
		assert_false(result.error);
	}
}

static void nothing_outside_the_payload_is_scanned(void **state)
{
	/* `evil` lies half in the payload, half in the padding behind it. */
	struct sp_packet packet = {.payload_off = 54, .payload_len = 6};
	struct rte_mbuf *m = frame_of("be evil", 7, 54, 2048);

	(void)state;
	sp_inspect_packet(&inspector, scratch, buffer, m, &packet, &ext, 0, &counters, &result);
	assert_int_equal(result.n, 0);
	packet.payload_off = 0;
	packet.payload_len = 0;
	sp_inspect_packet(&inspector, scratch, buffer, m, &packet, &ext, 0, &counters, &result);
	assert_int_equal(result.n, 0);
	assert_int_equal(counters.packets, 1);
	free_frame(m);
}

static void depth_is_per_direction(void **state)
{
	(void)state;
	profile.depth_bytes = 10;
	inspect("12345678", 8, 2048, 0);
	assert_int_equal(ext.scanned_bytes[0], 8);
	inspect("evil", 4, 2048, 0); /* only its first two bytes are within the depth */
	assert_false(result.drop);
	assert_int_equal(ext.scanned_bytes[0], 10);
	assert_int_equal(counters.past_depth, 0);
	inspect("evil", 4, 2048, 0);
	assert_false(result.drop);
	assert_int_equal(counters.past_depth, 1);
	inspect("evil", 4, 2048, 1);
	assert_true(result.drop);
	assert_int_equal(counters.bytes, 14);

	profile.depth_bytes = 0;
	ext.scanned_bytes[0] = UINT32_MAX - 2;
	inspect("evil", 4, 2048, 0);
	assert_true(result.drop);
	assert_true(ext.scanned_bytes[0] == UINT32_MAX);
	inspect("evil", 4, 2048, 0);
	assert_true(result.drop);
	assert_true(ext.scanned_bytes[0] == UINT32_MAX);
}

static void many_alerts_do_not_hide_a_drop(void **state)
{
	static const char payload[] = "a0a1a2a3a4a5a6a7a8a9 evil";

	(void)state;
	inspect(payload, sizeof(payload) - 1, 2048, 0);
	assert_true(result.drop);
	assert_int_equal(result.n, SP_SIGNATURES_MAX);
	assert_int_equal(result.signature[0], 100);
	assert_int_equal(result.signature[SP_SIGNATURES_MAX - 1], 666);

	profile.block = false;
	inspect(payload, sizeof(payload) - 1, 2048, 0);
	assert_false(result.drop);
	assert_int_equal(result.n, SP_SIGNATURES_MAX);
	assert_int_equal(result.signature[SP_SIGNATURES_MAX - 1], 107);
}

static void what_cannot_be_scanned_is_an_error(void **state)
{
	struct sp_packet packet = {.payload_off = 54, .payload_len = 100};
	struct rte_mbuf *m = frame_of("short", 5, 54, 16);
	struct sp_inspector broken = {.profile = &profile};

	(void)state;
	sp_inspect_packet(&inspector, scratch, buffer, m, &packet, &ext, 0, &counters, &result);
	assert_true(result.error);
	packet.payload_len = 5;
	sp_inspect_packet(&inspector, NULL, buffer, m, &packet, &ext, 0, &counters, &result);
	assert_true(result.error);
	sp_inspect_packet(&broken, scratch, buffer, m, &packet, &ext, 0, &counters, &result);
	assert_true(result.error);
	assert_int_equal(counters.errors, 3);
	assert_int_equal(counters.packets, 0);
	assert_int_equal(ext.scanned_bytes[0], 0);
	free_frame(m);
}

static void the_largest_payload_fits(void **state)
{
	const size_t len = UINT16_MAX - 54;
	char *payload = malloc(len);

	(void)state;
	assert_non_null(payload);
	memset(payload, '.', len);
	memcpy(payload + len - 4, "evil", 4);
	inspect(payload, len, 2048, 0);
	assert_true(result.drop);
	assert_int_equal(counters.bytes, len);
	free(payload);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_match_drops_or_alerts, reset),
		cmocka_unit_test_setup(segments_do_not_hide_a_match, reset),
		cmocka_unit_test_setup(nothing_outside_the_payload_is_scanned, reset),
		cmocka_unit_test_setup(depth_is_per_direction, reset),
		cmocka_unit_test_setup(many_alerts_do_not_hide_a_drop, reset),
		cmocka_unit_test_setup(what_cannot_be_scanned_is_an_error, reset),
		cmocka_unit_test_setup(the_largest_payload_fits, reset),
	};

	return cmocka_run_group_tests(tests, compile, release);
}
