/* SPDX-License-Identifier: BSD-3-Clause */
/* The event ring: order, content, and what happens when it is full. */
#include "dataplane/event.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/eal.h"

static struct sp_event_ring ring;

static int setup(void **state)
{
	(void)state;
	return sp_event_ring_init(&ring, 0, SOCKET_ID_ANY);
}

static int teardown(void **state)
{
	(void)state;
	sp_event_ring_free(&ring);
	return 0;
}

static void events_come_out_as_they_went_in(void **state)
{
	struct sp_event in, out[4];

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		memset(&in, (int)(0x11 * (i + 1)), sizeof(in));
		sp_event_post(&ring, &in);
	}
	assert_int_equal(sp_event_take(&ring, out, 4), 3);
	for (unsigned int i = 0; i < 3; i++) {
		memset(&in, (int)(0x11 * (i + 1)), sizeof(in));
		assert_memory_equal(&in, &out[i], sizeof(in));
	}
	assert_int_equal(sp_event_take(&ring, out, 4), 0);
	assert_int_equal(ring.posted, 3);
	assert_int_equal(ring.lost, 0);
}

static void a_full_ring_loses_and_counts(void **state)
{
	struct sp_event event = {0}, out[64];
	uint64_t taken = 0, n;

	(void)state;
	for (uint64_t i = 0; i < SP_EVENT_RING_SIZE + 100; i++) {
		event.flow_id = i;
		sp_event_post(&ring, &event);
	}
	assert_int_equal(ring.posted + ring.lost, SP_EVENT_RING_SIZE + 100);
	assert_true(ring.lost >= 100);
	while ((n = sp_event_take(&ring, out, 64)) > 0)
		for (uint64_t i = 0; i < n; i++)
			assert_int_equal(out[i].flow_id, taken++); /* the oldest are kept */
	assert_int_equal(taken, ring.posted);
	sp_event_post(&ring, &event);
	assert_int_equal(sp_event_take(&ring, out, 64), 1);
}

static void several_rings_of_one_worker_number(void **state)
{
	struct sp_event_ring other;

	(void)state;
	assert_int_equal(sp_event_ring_init(&other, 0, SOCKET_ID_ANY), 0);
	sp_event_ring_free(&other);
}

#define PASSED 200000

static void *post_job(void *arg)
{
	struct sp_event event = {0};

	(void)arg;
	for (uint64_t i = 1; i <= PASSED; i++) {
		event.flow_id = i;
		event.bytes[1] = ~i;
		sp_event_post(&ring, &event);
	}
	return NULL;
}

static void a_reader_beside_the_writer_sees_whole_events_in_order(void **state)
{
	struct sp_event out[32];
	pthread_t thread;
	uint64_t last = 0, taken = 0, n;
	bool done = false;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, post_job, NULL), 0);
	do {
		done = __atomic_load_n(&ring.posted, __ATOMIC_ACQUIRE) + __atomic_load_n(&ring.lost, __ATOMIC_ACQUIRE) == PASSED;
		while ((n = sp_event_take(&ring, out, 32)) > 0)
			for (uint64_t i = 0; i < n; i++, taken++) {
				assert_true(out[i].flow_id > last);
				assert_true(out[i].bytes[1] == ~out[i].flow_id);
				last = out[i].flow_id;
			}
	} while (!done);
	pthread_join(thread, NULL);
	assert_int_equal(taken, ring.posted);
}

static void every_end_has_a_name(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < SP_END_COUNT; i++)
		assert_non_null(sp_flow_end_names[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(events_come_out_as_they_went_in, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_ring_loses_and_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(several_rings_of_one_worker_number, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reader_beside_the_writer_sees_whole_events_in_order, setup, teardown),
		cmocka_unit_test(every_end_has_a_name),
	};

	sp_test_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
