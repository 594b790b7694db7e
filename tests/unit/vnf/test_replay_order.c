/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Verdicts are told in the order of the frames, each once, also when some are known late or the wait is longer than there is room for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "vnf/replay_order.h"

#define MANY (3 * SP_REPLAY_ORDER_MAX)

static struct {
	uint64_t n[MANY + 1];
	uint8_t reason[MANY + 1]; /* of frame n */
	unsigned int times[MANY + 1];
	unsigned int told;
	uint32_t signature;
	uint16_t dport;
	uint64_t ns;
} seen;

static void remember(void *context, const struct sp_replay_verdict *verdict)
{
	assert_ptr_equal(context, &seen);
	assert_in_range(verdict->n, 1, MANY);
	seen.n[seen.told++] = verdict->n;
	seen.reason[verdict->n] = verdict->reason;
	seen.times[verdict->n]++;
	seen.signature = verdict->n_signatures > 0 ? verdict->signatures[0] : 0;
	seen.dport = verdict->match->dport;
	seen.ns = verdict->ns;
}

static struct sp_replay_order *start(void)
{
	struct sp_replay_order *order = sp_replay_order_create(remember, &seen);

	memset(&seen, 0, sizeof(seen));
	assert_non_null(order);
	return order;
}

static void put(struct sp_replay_order *order, uint64_t n, bool open)
{
	struct sp_match match = {.dport = (uint16_t)n};

	sp_replay_order_put(order, &(struct sp_replay_verdict){.n = n, .ns = n * 10, .match = &match, .reason = SP_DROP_RULE}, open);
}

static void decide(struct sp_replay_order *order, uint64_t n, const struct sp_match *match)
{
	const uint32_t signature = 7;

	sp_replay_order_decide(
		order, &(struct sp_replay_verdict){
			       .n = n, .match = match, .reason = SP_DROP_FRAG_TIMEOUT, .n_signatures = 1, .signatures = &signature});
}

static void later_frames_wait_for_open_ones(void **unused)
{
	struct sp_replay_order *order = start();
	const struct sp_match match = {.dport = 53};

	(void)unused;
	put(order, 1, false);
	assert_int_equal(seen.told, 1);
	put(order, 2, true);
	put(order, 3, false);
	put(order, 4, true);
	put(order, 5, false);
	assert_int_equal(seen.told, 1);
	decide(order, 4, NULL);
	assert_int_equal(seen.told, 1);
	decide(order, 9, NULL);
	decide(order, 3, NULL); /* is decided */
	decide(order, 2, &match);
	assert_int_equal(seen.told, 5);
	assert_true(sp_replay_order_is_done(order));
	for (unsigned int n = 1; n <= 5; n++)
		assert_int_equal(seen.n[n - 1], n);
	assert_int_equal(seen.reason[2], SP_DROP_FRAG_TIMEOUT);
	assert_int_equal(seen.reason[3], SP_DROP_RULE);
	assert_int_equal(seen.reason[4], SP_DROP_FRAG_TIMEOUT);
	/* time and, where there is no other, match are those of the frame itself */
	put(order, 6, true);
	decide(order, 6, NULL);
	assert_int_equal(seen.dport, 6);
	assert_int_equal(seen.ns, 60);
	assert_int_equal(seen.signature, 7);
	put(order, 7, true);
	decide(order, 7, &match);
	assert_int_equal(seen.dport, 53);
	sp_replay_order_free(order);
}

/* More than there is room for wait behind open frames: the order is lost, nothing else. */
static void a_long_wait_loses_the_order_only(void **unused)
{
	struct sp_replay_order *order = start();

	(void)unused;
	for (uint64_t n = 1; n <= MANY; n++)
		put(order, n, n % 1000 == 1);
	assert_false(sp_replay_order_is_done(order));
	assert_in_range(seen.told, MANY - SP_REPLAY_ORDER_MAX, MANY - 1);
	for (uint64_t n = MANY; n >= 1; n--)
		if (n % 1000 == 1)
			decide(order, n, NULL);
	assert_true(sp_replay_order_is_done(order));
	assert_int_equal(seen.told, MANY);
	for (uint64_t n = 1; n <= MANY; n++) {
		assert_int_equal(seen.times[n], 1);
		assert_int_equal(seen.reason[n], n % 1000 == 1 ? SP_DROP_FRAG_TIMEOUT : SP_DROP_RULE);
	}
	sp_replay_order_free(order);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(later_frames_wait_for_open_ones),
		cmocka_unit_test(a_long_wait_loses_the_order_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
