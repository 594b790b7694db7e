/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A table that fills up: who gives way, in which order, and how time-outs shrink and come back.
 */
#include "tests/unit/dataplane/session_fixture.h"

#include <rte_common.h>

#include "tests/unit/support/eal.h"

#define PLENTY 1000000u

static const uint8_t yielding[] = {SP_STATE_TCP_SYN_SENT, SP_STATE_TCP_SYN_RECEIVED, SP_STATE_TCP_TIME_WAIT, SP_STATE_TCP_CLOSED,
	SP_STATE_SCTP_INIT, SP_STATE_SCTP_INIT_ACK, SP_STATE_SCTP_COOKIE, SP_STATE_SCTP_CLOSED, SP_STATE_UDP_NEW, SP_STATE_OTHER_NEW,
	SP_STATE_ICMP};

static bool yields(uint8_t state)
{
	for (size_t i = 0; i < RTE_DIM(yielding); i++)
		if (yielding[i] == state)
			return true;
	return false;
}

static struct sp_sessions *pressed_table(uint32_t max, uint32_t start, uint32_t end, uint32_t min_sec)
{
	struct sp_sessions_config config = config_of(max, max);
	struct sp_sessions *sessions;

	config.pressure = (struct sp_pressure_config){.start_percent = start, .end_percent = end, .min_sec = min_sec};
	sessions = sp_sessions_create(&config);
	assert_non_null(sessions);
	return sessions;
}

/* Inserts n sessions of a state, numbered from `first`. */
static void fill(struct sp_sessions *sessions, uint8_t family, uint8_t state, uint32_t first, uint32_t n, uint32_t now_ms)
{
	for (uint32_t i = 0; i < n; i++) {
		struct sp_key key = key_of(family, IPPROTO_TCP, first + i);

		assert_int_not_equal(insert_key(sessions, &key, state, now_ms), SP_SESSION_NONE);
	}
}

static bool is_live(struct sp_sessions *sessions, uint8_t family, uint32_t number)
{
	struct sp_key key = key_of(family, IPPROTO_TCP, number);

	return find_key(sessions, &key) != SP_SESSION_NONE;
}

static uint32_t evict(struct sp_sessions *sessions, uint8_t family, uint32_t now_ms)
{
	uint32_t victim = sp_sessions_victim(sessions, family, now_ms);

	if (victim != SP_SESSION_NONE)
		sp_session_remove(sessions, victim, SP_END_EVICTED);
	return victim;
}

/* In a full table of one state: those that yield are named to the last, the others never. */
static void each_state_yields_or_never_does(void **unused)
{
	(void)unused;
	for (unsigned int v = 0; v < 2; v++)
		for (uint8_t state = 0; state < SP_STATE_COUNT; state++) {
			const uint8_t family = v == 0 ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6;
			struct sp_sessions *sessions = table_of(64, 64);
			unsigned int n = 0;

			fill(sessions, family, state, 0, 64, 0);
			assert_true(sp_sessions_full(sessions, family));
			assert_false(sp_sessions_full(sessions, v == 0 ? SP_FAMILY_IPV6 : SP_FAMILY_IPV4));
			while (evict(sessions, family, 0) != SP_SESSION_NONE)
				n++;
			assert_int_equal(n, yields(state) ? 64 : 0);
			assert_int_equal(sp_sessions_counters(sessions)->evicted, n);
			assert_int_equal(sp_sessions_counters(sessions)->evicted_state[state], n);
			assert_consistent(sessions);
			sp_sessions_free(sessions);
		}
}

/* Whoever is due first goes first, whatever the order of arrival; of the same second any. */
static void the_first_due_goes_first(void **unused)
{
	enum { N = 600 };
	struct sp_sessions *sessions = table_of(N, 64);
	uint32_t last_due = 0;
	(void)unused;

	for (uint32_t i = 0; i < N; i++)
		fill(sessions, SP_FAMILY_IPV4, yielding[next_random() % RTE_DIM(yielding)], i, 1, i * 37);
	for (uint32_t i = 0; i < N; i++) {
		uint32_t victim = sp_sessions_victim(sessions, SP_FAMILY_IPV4, N * 37), due;

		assert_int_not_equal(victim, SP_SESSION_NONE);
		due = sp_session_state(sessions, victim)->last_ms + sp_session_timeout_ms(sessions, victim);
		assert_true(due / 1000 + 1 >= last_due / 1000);
		last_due = due;
		sp_session_remove(sessions, victim, SP_END_EVICTED);
		if (i % 50 == 0)
			assert_consistent(sessions);
	}
	sp_sessions_free(sessions);
}

/* One half-open session among a crowd that is established is found at once, wherever it is. */
static void the_one_among_many_is_found(void **unused)
{
	enum { N = 20000 };
	struct sp_sessions *sessions = table_of(N, 64);
	(void)unused;

	fill(sessions, SP_FAMILY_IPV4, SP_STATE_TCP_ESTABLISHED, 0, N - 1, 0);
	for (unsigned int n = 0; n < 100; n++) {
		uint32_t now_ms = n * 7001;

		sp_sessions_age(sessions, now_ms, PLENTY);
		fill(sessions, SP_FAMILY_IPV4, SP_STATE_TCP_SYN_SENT, N + n, 1, now_ms);
		assert_true(sp_sessions_full(sessions, SP_FAMILY_IPV4));
		assert_int_not_equal(evict(sessions, SP_FAMILY_IPV4, now_ms), SP_SESSION_NONE);
		assert_false(is_live(sessions, SP_FAMILY_IPV4, N + n));
	}
	assert_int_equal(evict(sessions, SP_FAMILY_IPV4, 700000), SP_SESSION_NONE);
	assert_int_equal(sp_sessions_counters(sessions)->active4, N - 1);
	sp_sessions_free(sessions);
}

/* Slots before the current one in its word of the bitmap are the latest of all, not the first. */
static void the_wheel_turns_through_its_words(void **unused)
{
	struct sp_sessions_config config = config_of(64, 64);
	struct sp_sessions *sessions;
	(void)unused;

	config.timeout_sec[SP_STATE_UDP_NEW] = 1010;
	sessions = sp_sessions_create(&config);
	assert_non_null(sessions);
	for (uint32_t sec = 1; sec < 3000; sec += 7) {
		uint32_t now_ms = sec * 1000;

		sp_sessions_age(sessions, now_ms, PLENTY);
		fill(sessions, SP_FAMILY_IPV4, SP_STATE_UDP_NEW, 2 * sec, 1, now_ms);
		fill(sessions, SP_FAMILY_IPV4, SP_STATE_TCP_SYN_SENT, 2 * sec + 1, 1, now_ms);
		assert_int_not_equal(evict(sessions, SP_FAMILY_IPV4, now_ms), SP_SESSION_NONE);
		assert_false(is_live(sessions, SP_FAMILY_IPV4, 2 * sec + 1));
		assert_int_not_equal(evict(sessions, SP_FAMILY_IPV4, now_ms), SP_SESSION_NONE);
		assert_false(is_live(sessions, SP_FAMILY_IPV4, 2 * sec));
	}
	sp_sessions_free(sessions);
}

/* Sessions that were answered since are passed by, a bounded number at a time, and then the wheel knows them. */
static void the_answered_are_passed_by(void **unused)
{
	enum { ANSWERED = 40 };
	struct sp_sessions *sessions = table_of(64, 64);
	unsigned int tries = 0;
	(void)unused;

	fill(sessions, SP_FAMILY_IPV4, SP_STATE_UDP_NEW, 0, ANSWERED, 0);
	fill(sessions, SP_FAMILY_IPV4, SP_STATE_UDP_NEW, 100, 1, 5000);
	for (uint32_t i = 0; i < ANSWERED; i++) {
		struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, i);

		sp_session_set_state(sessions, find_key(sessions, &key), SP_STATE_UDP_REPLIED, 5000);
	}
	while (evict(sessions, SP_FAMILY_IPV4, 6000) == SP_SESSION_NONE)
		assert_in_range(++tries, 1, ANSWERED / SP_SESSION_VICTIM_TRIES + 1);
	assert_false(is_live(sessions, SP_FAMILY_IPV4, 100));
	assert_int_equal(sp_sessions_counters(sessions)->active4, ANSWERED);
	assert_consistent(sessions);
	/* They live on by their own time-out. */
	sp_sessions_age(sessions, 5000 + 179000, PLENTY);
	assert_int_equal(sp_sessions_counters(sessions)->active4, ANSWERED);
	sp_sessions_age(sessions, 5000 + 182000, PLENTY);
	assert_int_equal(sp_sessions_counters(sessions)->active4, 0);
	sp_sessions_free(sessions);
}

/* A session that comes to yield later (its connection closed) is found, too. */
static void the_closed_yield(void **unused)
{
	struct sp_sessions *sessions = table_of(64, 64);
	struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, 1);
	uint32_t ref;
	(void)unused;

	fill(sessions, SP_FAMILY_IPV4, SP_STATE_TCP_ESTABLISHED, 0, 64, 0);
	ref = find_key(sessions, &key);
	sp_session_set_state(sessions, ref, SP_STATE_TCP_TIME_WAIT, 100);
	assert_int_equal(evict(sessions, SP_FAMILY_IPV4, 200), ref);
	assert_int_equal(evict(sessions, SP_FAMILY_IPV4, 200), SP_SESSION_NONE);
	sp_sessions_free(sessions);
}

static void wrong_pressure_is_refused(void **unused)
{
	static const struct sp_pressure_config wrong[] = {{50, 50, 1}, {60, 50, 1}, {0, 101, 1}, {50, 60, 0}, {50, 60, UINT32_MAX}};
	(void)unused;

	for (size_t i = 0; i < RTE_DIM(wrong); i++) {
		struct sp_sessions_config config = config_of(64, 64);

		config.pressure = wrong[i];
		assert_null(sp_sessions_create(&config));
	}
}

/* The share that is left falls with the filling, in steps, and comes back by the same. */
static void time_outs_follow_the_filling(void **unused)
{
	enum { MAX = 1000 };
	struct sp_sessions *sessions = pressed_table(MAX, 50, 90, 2);
	uint32_t before = SP_PRESSURE_NONE;
	(void)unused;

	for (uint32_t i = 0; i < MAX; i++) {
		uint32_t left;

		fill(sessions, SP_FAMILY_IPV4, SP_STATE_TCP_ESTABLISHED, i, 1, 0);
		sp_sessions_age(sessions, 0, PLENTY);
		left = sp_sessions_pressure(sessions);
		assert_true(left <= before);
		if (i + 1 < 500)
			assert_int_equal(left, SP_PRESSURE_NONE);
		else if (i + 1 >= 900)
			assert_int_equal(left, 0);
		else
			assert_true(left < SP_PRESSURE_NONE && abs((int)left - (int)(256 * (900 - i) / 400)) <= 40);
		before = left;
	}
	for (uint32_t i = 0; i < MAX; i++) {
		struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, i);

		sp_session_remove(sessions, find_key(sessions, &key), SP_END_KILLED);
		sp_sessions_age(sessions, 0, PLENTY);
		assert_true(sp_sessions_pressure(sessions) >= before);
		before = sp_sessions_pressure(sessions);
	}
	assert_int_equal(before, SP_PRESSURE_NONE);
	sp_sessions_free(sessions);
}

/* Time-outs of what yields, and of nothing else; the minimum is the least, and shorter ones stay. The families do not share pressure. */
static void only_what_yields_is_shortened(void **unused)
{
	struct sp_sessions *sessions = pressed_table(1000, 10, 50, 15);
	(void)unused;

	fill(sessions, SP_FAMILY_IPV4, SP_STATE_TCP_ESTABLISHED, 0, 900, 0);
	sp_sessions_age(sessions, 0, PLENTY);
	for (uint8_t state = 0; state < SP_STATE_COUNT; state++)
		for (unsigned int v = 0; v < 2; v++) {
			struct sp_key key = key_of(v == 0 ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6, IPPROTO_TCP, 5000u + state);
			uint32_t ref = insert_key(sessions, &key, state, 0), full = sp_state_default_sec[state] * 1000;
			bool pressed = v == 0 && yields(state);

			assert_int_not_equal(ref, SP_SESSION_NONE);
			assert_int_equal(sp_session_timeout_ms(sessions, ref), pressed ? RTE_MIN(full, 15000u) : full);
		}
	assert_consistent(sessions);
	sp_sessions_free(sessions);
}

/* Sessions from before the pressure are swept: those that are due by the shorter time-out go, the others are looked at when they are due.
 */
static void those_who_wait_are_swept(void **unused)
{
	static const unsigned int budgets[] = {7, 64, PLENTY};
	(void)unused;

	for (unsigned int b = 0; b < RTE_DIM(budgets); b++) {
		struct sp_sessions *sessions = pressed_table(1000, 50, 52, 2);
		unsigned int calls = 0;

		fill(sessions, SP_FAMILY_IPV6, SP_STATE_TCP_SYN_SENT, 0, 400, 0);
		fill(sessions, SP_FAMILY_IPV6, SP_STATE_TCP_SYN_RECEIVED, 1000, 100, 9000);
		sp_sessions_age(sessions, 10000, budgets[b]);
		assert_int_equal(sp_sessions_counters(sessions)->active6, 500);
		fill(sessions, SP_FAMILY_IPV6, SP_STATE_TCP_ESTABLISHED, 2000, 420, 10000);
		/* All that is left is two seconds: the first 400 have waited ten, the next one second. */
		for (; sp_sessions_age(sessions, 10000, budgets[b]) > 0; calls++)
			assert_in_range(calls, 0, 1000);
		assert_int_equal(sp_sessions_counters(sessions)->expired, 400);
		assert_int_equal(sp_sessions_counters(sessions)->active6, 520);
		assert_consistent(sessions);
		/* Time-outs are longer again, and nobody is late for that. */
		for (calls = 0; sp_sessions_age(sessions, 20000, budgets[b]) > 0; calls++)
			assert_in_range(calls, 0, 1000);
		assert_consistent(sessions);
		for (uint32_t ms = 21000; ms < 9000 + 62000; ms += 1000)
			while (sp_sessions_age(sessions, ms, budgets[b]) > 0)
				;
		assert_int_equal(sp_sessions_counters(sessions)->active6, 420);
		assert_consistent(sessions);
		sp_sessions_free(sessions);
	}
}

/* A sweep goes on over sessions that end or move while it is under way. */
static void a_sweep_survives_what_happens_meanwhile(void **unused)
{
	struct sp_sessions *sessions = pressed_table(2000, 30, 90, 1);
	uint32_t now_ms = 0, number = 0;
	(void)unused;

	for (unsigned int n = 0; n < 60000; n++) {
		struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, (uint32_t)next_random() % (number + 1));
		uint32_t ref = find_key(sessions, &key);

		switch (next_random() % 8) {
		case 0:
			if (ref != SP_SESSION_NONE)
				sp_session_remove(sessions, ref, SP_END_KILLED);
			break;
		case 1:
			if (ref != SP_SESSION_NONE)
				sp_session_set_state(sessions, ref, (uint8_t)(next_random() % SP_STATE_COUNT), now_ms);
			break;
		case 2:
			sp_sessions_age(sessions, now_ms, 3);
			break;
		case 3:
			if (sp_sessions_full(sessions, SP_FAMILY_IPV4))
				evict(sessions, SP_FAMILY_IPV4, now_ms);
			now_ms += (uint32_t)next_random() % 200;
			break;
		default:
			if (sp_sessions_full(sessions, SP_FAMILY_IPV4))
				break;
			key = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, ++number);
			insert_key(sessions, &key, (uint8_t)(next_random() % SP_STATE_COUNT), now_ms);
		}
		if (n % 500 == 0)
			assert_consistent(sessions);
	}
	assert_consistent(sessions);
	sp_sessions_free(sessions);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_state_yields_or_never_does),
		cmocka_unit_test(the_first_due_goes_first),
		cmocka_unit_test(the_one_among_many_is_found),
		cmocka_unit_test(the_wheel_turns_through_its_words),
		cmocka_unit_test(the_answered_are_passed_by),
		cmocka_unit_test(the_closed_yield),
		cmocka_unit_test(wrong_pressure_is_refused),
		cmocka_unit_test(time_outs_follow_the_filling),
		cmocka_unit_test(only_what_yields_is_shortened),
		cmocka_unit_test(those_who_wait_are_swept),
		cmocka_unit_test(a_sweep_survives_what_happens_meanwhile),
	};

	sp_test_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
