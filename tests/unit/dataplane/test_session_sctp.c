/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the packet table (tests/packet/test_sctp.py) cannot see: that a dropped packet changes nothing, that chunks may span segments, and
 * that no bytes make the walk read past a packet. Memory of the mbufs is exact, so that AddressSanitizer sees.
 */
#include "tests/unit/dataplane/session_fixture.h"

#include <rte_mbuf.h>

#include "dataplane/session_sctp.h"
#include "tests/unit/support/eal.h"
#include "tests/unit/support/frames.h"

#define COMMON 12
#define TAG_A  0x11111111u /* of packets to the opener */
#define TAG_B  0x22222222u

static struct rte_mempool *pool;

struct lab {
	struct sp_sessions *sessions;
	struct sp_key key;
	uint32_t ref;
};

static struct rte_mbuf *mbuf_of(uint32_t tag, const uint8_t *chunks, size_t len, size_t first, size_t rest)
{
	uint8_t bytes[2048] = {0};

	tag = rte_cpu_to_be_32(tag);
	memcpy(bytes + 4, &tag, sizeof(tag));
	memcpy(bytes + COMMON, chunks, len);
	return sp_frame_mbuf_exact(pool, bytes, COMMON + len, first, rest);
}

static struct sp_packet packet_of(size_t len)
{
	return (struct sp_packet){
		.key = {.proto = IPPROTO_SCTP}, .payload_off = COMMON, .payload_len = (uint16_t)len, .kind = SP_KIND_FLOW};
}

static enum sp_drop_reason update(struct lab *lab, bool reply, uint32_t tag, const void *chunks, size_t len)
{
	struct rte_mbuf *mbuf = mbuf_of(tag, chunks, len, 0, 0);
	struct sp_packet packet = packet_of(len);
	enum sp_drop_reason reason;
	bool reopen;

	reason = sp_sctp_update(lab->sessions, lab->ref | (reply ? SP_SESSION_REPLY : 0), mbuf, &packet, 0, &reopen);
	assert_false(reopen);
	rte_pktmbuf_free(mbuf);
	return reason;
}

static uint8_t state_of(struct lab *lab)
{
	return sp_session_state(lab->sessions, lab->ref)->state;
}

static const uint8_t echo[] = {10, 0, 0, 8, 1, 2, 3, 4}, cookie_ack[] = {11, 0, 0, 4}, data[] = {0, 3, 0, 20, [19] = 9},
		     shut[] = {7, 0, 0, 8, [7] = 1};

static void init_chunk(uint8_t chunk[20], uint8_t type, uint32_t tag)
{
	memset(chunk, 0, 20);
	chunk[0] = type;
	chunk[3] = 20;
	tag = rte_cpu_to_be_32(tag);
	memcpy(chunk + 4, &tag, sizeof(tag));
}

static int start(void **state)
{
	struct lab *lab = test_calloc(1, sizeof(*lab));

	sp_test_eal();
	if (pool == NULL)
		pool = sp_frame_pool(255);
	lab->sessions = table_of(64, 64);
	lab->key = key_of(SP_FAMILY_IPV4, IPPROTO_SCTP, 1);
	lab->ref = insert_key(lab->sessions, &lab->key, SP_STATE_SCTP_INIT, 0);
	sp_sctp_begin(lab->sessions, lab->ref, TAG_A);
	*state = lab;
	return 0;
}

static int stop(void **state)
{
	struct lab *lab = *state;

	assert_consistent(lab->sessions);
	sp_sessions_free(lab->sessions);
	test_free(lab);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	return 0;
}

static void establish(struct lab *lab)
{
	uint8_t chunk[20];

	init_chunk(chunk, 2, TAG_B);
	assert_int_equal(update(lab, true, TAG_A, chunk, sizeof(chunk)), SP_DROP_NONE);
	assert_int_equal(state_of(lab), SP_STATE_SCTP_INIT_ACK);
	assert_int_equal(update(lab, false, TAG_B, echo, sizeof(echo)), SP_DROP_NONE);
	assert_int_equal(state_of(lab), SP_STATE_SCTP_COOKIE);
	assert_int_equal(update(lab, true, TAG_A, cookie_ack, sizeof(cookie_ack)), SP_DROP_NONE);
	assert_int_equal(state_of(lab), SP_STATE_SCTP_ESTABLISHED);
}

static void a_dropped_packet_changes_nothing(void **state)
{
	struct lab *lab = *state;
	struct sp_session_sctp before;
	uint8_t bundle[sizeof(shut) + 4];

	establish(lab);
	before = *sp_session_sctp(lab->sessions, lab->ref);
	assert_int_equal(before.tag[0], TAG_B);
	assert_int_equal(before.tag[1], TAG_A);
	assert_int_equal(before.offered[0] | before.offered[1], 0);
	memcpy(bundle, shut, sizeof(shut));
	memcpy(bundle + sizeof(shut), (const uint8_t[]){0, 0, 0, 3}, 4);
	assert_int_equal(update(lab, false, TAG_B, bundle, sizeof(bundle)), SP_DROP_SCTP_CHUNK);
	assert_int_equal(update(lab, false, TAG_A, shut, sizeof(shut)), SP_DROP_SCTP_TAG);
	assert_int_equal(state_of(lab), SP_STATE_SCTP_ESTABLISHED);
	assert_memory_equal(&before, sp_session_sctp(lab->sessions, lab->ref), sizeof(before));
	assert_int_equal(update(lab, false, TAG_B, shut, sizeof(shut)), SP_DROP_NONE);
	assert_int_equal(state_of(lab), SP_STATE_SCTP_SHUTDOWN);
}

/* Every way to cut a packet in segments gives the same answer. */
static void chunks_may_span_segments(void **state)
{
	struct lab *lab = *state;
	uint8_t bundle[sizeof(data) * 3];
	struct sp_packet packet = packet_of(sizeof(bundle));

	establish(lab);
	for (unsigned int i = 0; i < 3; i++)
		memcpy(bundle + i * sizeof(data), data, sizeof(data));
	for (size_t first = 1; first < COMMON + sizeof(bundle); first++)
		for (size_t rest = 1; rest < 9; rest++) {
			struct rte_mbuf *mbuf = mbuf_of(TAG_B, bundle, sizeof(bundle), first, rest);
			bool reopen;

			assert_int_equal(sp_sctp_update(lab->sessions, lab->ref, mbuf, &packet, 0, &reopen), SP_DROP_NONE);
			rte_pktmbuf_free(mbuf);
		}
}

static void an_init_may_span_segments(void **state)
{
	uint8_t chunk[20];
	struct sp_packet packet = packet_of(sizeof(chunk));

	(void)state;
	init_chunk(chunk, 1, 0xabcdef01);
	for (size_t first = 1; first < COMMON + sizeof(chunk); first++) {
		struct rte_mbuf *mbuf = mbuf_of(0, chunk, sizeof(chunk), first, 1);
		uint32_t tag = 0;

		assert_int_equal(sp_sctp_open(mbuf, &packet, &tag), SP_DROP_NONE);
		assert_int_equal(tag, 0xabcdef01);
		rte_pktmbuf_free(mbuf);
	}
}

static bool is_verdict(enum sp_drop_reason reason)
{
	return reason == SP_DROP_NONE || reason == SP_DROP_SCTP_CHUNK || reason == SP_DROP_SCTP_STATE || reason == SP_DROP_SCTP_TAG;
}

/* Random bytes that often look like chunks, in every state: a verdict, and a state that there is. */
static void any_bytes_get_a_verdict(void **state)
{
	struct lab *lab = *state;
	const uint32_t tags[] = {0, TAG_A, TAG_B, 0x33333333};
	unsigned int passed = 0;

	for (unsigned int n = 0; n < 200000; n++) {
		uint8_t chunks[64] = {0};
		size_t len = 0, want = 1 + next_random() % sizeof(chunks);
		struct rte_mbuf *mbuf;
		struct sp_packet packet;
		enum sp_drop_reason reason;
		bool reopen;

		while (len < want && len + 4 <= sizeof(chunks)) {
			uint8_t length = (uint8_t)(next_random() % 8 == 0 ? next_random() : 4 + next_random() % 20);

			chunks[len] = (uint8_t)(next_random() % 17);
			chunks[len + 1] = (uint8_t)(next_random() % 2);
			chunks[len + 3] = length;
			if (len + 8 <= sizeof(chunks))
				memcpy(chunks + len + 4, &tags[next_random() % 4], 4);
			len += (length + 3u) & ~3u;
		}
		len = len < sizeof(chunks) && next_random() % 4 != 0 ? len : want;
		mbuf = mbuf_of(tags[next_random() % 4], chunks, len, 1 + next_random() % 40, 1 + next_random() % 40);
		packet = packet_of(len);
		sp_session_state(lab->sessions, lab->ref)->state = (uint8_t)(SP_STATE_SCTP_INIT + next_random() % 7);
		reason = sp_sctp_update(
			lab->sessions, lab->ref | (next_random() % 2 != 0 ? SP_SESSION_REPLY : 0), mbuf, &packet, 0, &reopen);
		assert_true(is_verdict(reason));
		assert_in_range(state_of(lab), SP_STATE_SCTP_INIT, SP_STATE_SCTP_CLOSED);
		passed += reason == SP_DROP_NONE;
		rte_pktmbuf_free(mbuf);
	}
	assert_in_range(passed, 1000, 199000); /* the bytes reach both ends */
	/* the counter of the first state was moved past the table: the session goes as it is */
	sp_session_state(lab->sessions, lab->ref)->state = SP_STATE_SCTP_INIT;
}

static void quoted_tags(void **state)
{
	struct lab *lab = *state;
	uint32_t reply = lab->ref | SP_SESSION_REPLY;

	assert_true(sp_sctp_tag_plausible(lab->sessions, lab->ref, 0)); /* its INIT */
	assert_false(sp_sctp_tag_plausible(lab->sessions, lab->ref, TAG_B));
	assert_true(sp_sctp_tag_plausible(lab->sessions, reply, TAG_A));
	establish(lab);
	assert_true(sp_sctp_tag_plausible(lab->sessions, lab->ref, TAG_B));
	assert_true(sp_sctp_tag_plausible(lab->sessions, reply, TAG_A));
	assert_false(sp_sctp_tag_plausible(lab->sessions, lab->ref, TAG_A));
	assert_false(sp_sctp_tag_plausible(lab->sessions, reply, TAG_B));
	assert_false(sp_sctp_tag_plausible(lab->sessions, lab->ref, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_dropped_packet_changes_nothing, start, stop),
		cmocka_unit_test_setup_teardown(chunks_may_span_segments, start, stop),
		cmocka_unit_test_setup_teardown(an_init_may_span_segments, start, stop),
		cmocka_unit_test_setup_teardown(any_bytes_get_a_verdict, start, stop),
		cmocka_unit_test_setup_teardown(quoted_tags, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
