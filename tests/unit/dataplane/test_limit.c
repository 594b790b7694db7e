/* SPDX-License-Identifier: BSD-3-Clause */
/* Rates and counts: exact numbers in simulated time, and four threads on one table. */
/* The source itself: the meeting of two inserters is a matter of nanoseconds and is staged by hand below. */
#include "dataplane/limit.c" /* NOLINT(bugprone-suspicious-include) */

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEC     ((uint64_t)1000 * 1000 * 1000)
#define THREADS 4

static struct sp_limit_table *table;

static int setup(void **state)
{
	(void)state;
	table = sp_limit_table_create(4096);
	return table ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	sp_limit_table_free(table);
	return 0;
}

static struct sp_addr addr4(uint32_t a)
{
	return (struct sp_addr){.family = SP_FAMILY_IPV4, .b = {a >> 24, (uint8_t)(a >> 16), (uint8_t)(a >> 8), (uint8_t)a}};
}

/* What a bucket admits when asked every `step_ns` during `span_ns`. */
static uint64_t admitted(const struct sp_limit *limit, struct sp_rule_shared *shared, const struct sp_addr *src, uint64_t units,
	uint64_t start_ns, uint64_t step_ns, uint64_t span_ns)
{
	uint64_t n = 0;

	for (uint64_t t = 0; t < span_ns; t += step_ns)
		n += sp_limit_take(table, shared, 5, limit, src, units, start_ns + t) == SP_DROP_NONE;
	return n * units;
}

static void rate_and_burst_are_exact(void **state)
{
	static const struct {
		uint64_t rate, burst, units, step_ns, span_ns;
		uint32_t period_sec;
	} cases[] = {
		{100, 200, 1, SEC / 1000, 20 * SEC, 1},
		{1, 1, 1, SEC / 10, 100 * SEC, 1},
		{1000000, 1000, 1, 100, SEC / 10, 1},
		{10 * SEC, 10 * SEC / 100, 512, 10, SEC / 100, 1},   /* 10 Gbit/s of 64-byte frames */
		{100 * SEC, 100 * SEC / 1000, 512, 2, SEC / 200, 1}, /* 100 Gbit/s */
		{10 * SEC, 10 * SEC / 100, 12144, 100, SEC / 10, 1}, /* of 1,518-byte frames */
		{3, 10, 1, SEC / 50, 100 * SEC, 1},                  /* an interval that is no whole number */
		{20, 5, 1, SEC / 10, 1000 * SEC, 60},                /* 20 a minute */
		{7, 3, 1, SEC, 10000 * SEC, 3600},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int per_src = 0; per_src < 2; per_src++) {
			struct sp_rule_shared shared = {0};
			struct sp_limit limit = {.per_src = per_src,
				.src_bits4 = 32,
				.src_bits6 = 64,
				.rate = cases[i].rate,
				.burst = cases[i].burst,
				.period_sec = cases[i].period_sec};
			struct sp_addr src = addr4(0xc0000200u + (uint32_t)i);
			uint64_t got = admitted(&limit, &shared, &src, cases[i].units, 5 * SEC, cases[i].step_ns, cases[i].span_ns);
			double periods = (double)cases[i].span_ns / SEC / (cases[i].period_sec ? cases[i].period_sec : 1);
			double want = (double)cases[i].rate * periods + (double)cases[i].burst;

			assert_true((double)got >= want * 0.999 - (double)cases[i].units);
			assert_true((double)got <= want * 1.001 + (double)cases[i].units);
		}
}

static void a_full_bucket_gives_its_burst_at_once(void **state)
{
	struct sp_rule_shared shared = {0};
	struct sp_limit limit = {.rate = 10, .burst = 25};
	struct sp_addr src = addr4(1);

	(void)state;
	for (int i = 0; i < 25; i++)
		assert_int_equal(sp_limit_take(table, &shared, 1, &limit, &src, 1, SEC), SP_DROP_NONE);
	assert_int_equal(sp_limit_take(table, &shared, 1, &limit, &src, 1, SEC), SP_DROP_LIMIT);
	assert_int_equal(sp_limit_take(table, &shared, 1, &limit, &src, 1, SEC + SEC / 10), SP_DROP_NONE);
	assert_int_equal(sp_limit_take(table, &shared, 1, &limit, &src, 1, SEC + SEC / 10), SP_DROP_LIMIT);
	/* More than the burst never fits. */
	assert_int_equal(sp_limit_take(table, &shared, 1, &limit, &src, 26, 100 * SEC), SP_DROP_LIMIT);
	assert_int_equal(sp_limit_take(table, &shared, 1, &limit, &src, 25, 100 * SEC), SP_DROP_NONE);
}

static void a_reload_to_a_faster_rate_does_not_wait_for_the_old_one(void **state)
{
	struct sp_limit slow = {.rate = 1, .burst = 100000}, fast = {.rate = 100, .burst = 100};
	struct sp_addr src = addr4(1);

	(void)state;
	for (int per_src = 0; per_src < 2; per_src++) {
		struct sp_rule_shared shared = {0};

		slow.per_src = fast.per_src = per_src;
		slow.src_bits4 = fast.src_bits4 = 32;
		assert_int_equal(sp_limit_take(table, &shared, 1, &slow, &src, 100000, SEC), SP_DROP_NONE);
		assert_int_equal(sp_limit_take(table, &shared, 1, &fast, &src, 1, 2 * SEC), SP_DROP_LIMIT);
		assert_int_equal(sp_limit_take(table, &shared, 1, &fast, &src, 50, 3 * SEC), SP_DROP_NONE);
	}
}

static void extreme_numbers_do_not_overflow(void **state)
{
	struct sp_rule_shared shared = {0};
	struct sp_limit limit = {.rate = 1, .burst = UINT64_MAX};
	struct sp_addr src = addr4(1);

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(sp_limit_take(table, &shared, 1, &limit, &src, 1500, SEC), SP_DROP_NONE);
	assert_int_equal(sp_limit_take(table, &shared, 1, &limit, &src, UINT64_MAX / 2, SEC) == SP_DROP_NONE, 0);
	limit = (struct sp_limit){.rate = UINT64_MAX, .burst = UINT64_MAX};
	shared.limit_tat = 0;
	assert_int_equal(sp_limit_take(table, &shared, 1, &limit, &src, 12000, UINT64_MAX), SP_DROP_NONE);
	limit = (struct sp_limit){.rate = 0, .burst = 1};
	assert_int_equal(sp_limit_take(table, &shared, 1, &limit, &src, 1, SEC), SP_DROP_LIMIT);
	/* The clock of the bucket wraps after years: nothing sticks. */
	limit = (struct sp_limit){.rate = 10, .burst = 10};
	shared.limit_tat = 0;
	for (uint64_t year = 0; year < 40; year++)
		assert_int_equal(sp_limit_take(table, &shared, 1, &limit, &src, 10, year * 366 * 86400 * SEC / 3), SP_DROP_NONE);
}

static void sources_are_what_the_prefix_says(void **state)
{
	struct sp_limit limit = {.per_src = true, .src_bits4 = 20, .src_bits6 = 60, .rate = 1, .burst = 1};
	struct sp_addr a = addr4(0xc6336401), same = addr4(0xc6336fff), other = addr4(0xc6337001);
	struct sp_addr a6 = {.family = SP_FAMILY_IPV6, .b = {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0x10, 1}}, same6 = a6, other6 = a6;

	(void)state;
	same6.b[7] = 0x1f;
	same6.b[15] = 9;
	other6.b[7] = 0x20;
	assert_int_equal(sp_limit_take(table, NULL, 1, &limit, &a, 1, SEC), SP_DROP_NONE);
	assert_int_equal(sp_limit_take(table, NULL, 1, &limit, &same, 1, SEC), SP_DROP_LIMIT);
	assert_int_equal(sp_limit_take(table, NULL, 1, &limit, &other, 1, SEC), SP_DROP_NONE);
	assert_int_equal(sp_limit_take(table, NULL, 2, &limit, &same, 1, SEC), SP_DROP_NONE);
	assert_int_equal(sp_limit_take(table, NULL, 1, &limit, &a6, 1, SEC), SP_DROP_NONE);
	assert_int_equal(sp_limit_take(table, NULL, 1, &limit, &same6, 1, SEC), SP_DROP_LIMIT);
	assert_int_equal(sp_limit_take(table, NULL, 1, &limit, &other6, 1, SEC), SP_DROP_NONE);
}

static void counts_are_per_source_and_given_back(void **state)
{
	struct sp_addr a = addr4(0xc0000201), b = addr4(0xc0000202);
	struct sp_addr a6 = {.family = SP_FAMILY_IPV6, .b = {0x20, 1, 0x0d, 0xb8, 1}}, same6 = a6;

	(void)state;
	same6.b[8] = 0xff; /* the same /64 */
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 10; i++)
			assert_int_equal(sp_source_acquire(table, 3, &a, 10), SP_DROP_NONE);
		assert_int_equal(sp_source_acquire(table, 3, &a, 10), SP_DROP_LIMIT);
		assert_int_equal(sp_source_acquire(table, 3, &b, 10), SP_DROP_NONE);
		assert_int_equal(sp_source_acquire(table, 4, &a, 10), SP_DROP_NONE);
		sp_source_release(table, 3, &a);
		assert_int_equal(sp_source_acquire(table, 3, &a, 10), SP_DROP_NONE);
		for (int i = 0; i < 10; i++)
			sp_source_release(table, 3, &a);
		sp_source_release(table, 3, &b);
		sp_source_release(table, 4, &a);
	}
	/* A release too many takes nothing from anyone. */
	sp_source_release(table, 3, &a);
	assert_int_equal(sp_source_acquire(table, 3, &a, 1), SP_DROP_NONE);
	assert_int_equal(sp_source_acquire(table, 3, &a, 1), SP_DROP_LIMIT);
	assert_int_equal(sp_source_acquire(table, 3, &a6, 1), SP_DROP_NONE);
	assert_int_equal(sp_source_acquire(table, 3, &same6, 1), SP_DROP_LIMIT);
}

static void a_full_table_refuses_and_recovers(void **state)
{
	struct sp_limit_table *small = sp_limit_table_create(64);
	struct sp_limit limit = {.per_src = true, .src_bits4 = 32, .src_bits6 = 64, .rate = 1, .burst = 2};
	uint32_t in = 0, full = 0, rates = 0, held[4096];

	(void)state;
	assert_non_null(small);
	for (uint32_t i = 0; i < 4096; i++) {
		struct sp_addr src = addr4(0x0a000000 + i);
		uint8_t got = sp_source_acquire(small, 1, &src, 5);

		assert_true(got == SP_DROP_NONE || got == SP_DROP_TABLE_LIMITS_FULL);
		if (got == SP_DROP_NONE)
			held[in++] = i;
		else
			full++;
		rates += sp_limit_take(small, NULL, 1, &limit, &src, 1, SEC) == SP_DROP_NONE;
	}
	assert_in_range(in, 64, 256);
	assert_in_range(rates, 64, 256);
	assert_int_equal(in + full, 4096);
	for (uint32_t i = 0; i < in; i++) {
		struct sp_addr src = addr4(0x0a000000 + held[i]);

		sp_source_release(small, 1, &src);
	}
	/* Everything is free again: counts by their release, rates because a second and a half filled their buckets. */
	for (uint32_t i = 0; i < 64; i++) {
		struct sp_addr src = addr4(0xc6330000 + i);

		assert_int_equal(sp_source_acquire(small, 1, &src, 5), SP_DROP_NONE);
		assert_int_equal(sp_limit_take(small, NULL, 1, &limit, &src, 1, 3 * SEC), SP_DROP_NONE);
	}
	sp_limit_table_free(small);
}

static void as_many_sources_fit_as_were_asked_for(void **state)
{
	uint32_t refused = 0;

	(void)state;
	for (uint32_t i = 0; i < 4096; i++) {
		struct sp_addr src = addr4(0x0a000000 + i * 65537);

		refused += sp_source_acquire(table, 1, &src, 5) != SP_DROP_NONE;
	}
	assert_int_equal(refused, 0);
}

static void bad_sizes(void **state)
{
	(void)state;
	assert_null(sp_limit_table_create(0));
	assert_int_equal(errno, EINVAL);
	assert_null(sp_limit_table_create(UINT32_MAX));
	sp_limit_table_free(NULL);
}

/* --- threads ----------------------------------------------------------------------------------------------------------------- */

struct job {
	pthread_t thread;
	unsigned int index;
	bool per_src;
	struct sp_rule_shared *shared;
	pthread_barrier_t *barrier;
	uint64_t admitted;
	bool over;
};

static void run_jobs(struct job jobs[THREADS], void *(*fn)(void *))
{
	pthread_barrier_t barrier;

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (unsigned int i = 0; i < THREADS; i++) {
		jobs[i].index = i;
		jobs[i].barrier = &barrier;
		assert_int_equal(pthread_create(&jobs[i].thread, NULL, fn, &jobs[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(jobs[i].thread, NULL);
	pthread_barrier_destroy(&barrier);
}

/* The clock of all threads: it goes on with every take, whoever makes it. */
static uint64_t clock_ns;

static void *take_job(void *arg)
{
	struct job *job = arg;
	struct sp_limit limit = {.per_src = job->per_src, .src_bits4 = 32, .rate = 100000, .burst = 1000};
	struct sp_addr src = addr4(0xc0000201);

	pthread_barrier_wait(job->barrier);
	for (int i = 0; i < 500000; i++) {
		uint64_t now_ns = __atomic_add_fetch(&clock_ns, 500, __ATOMIC_RELAXED);

		job->admitted += sp_limit_take(table, job->shared, 9, &limit, &src, 1, now_ns) == SP_DROP_NONE;
	}
	return NULL;
}

static void four_threads_share_one_rate(void **state)
{
	(void)state;
	for (int per_src = 0; per_src < 2; per_src++) {
		struct sp_rule_shared shared = {0};
		struct job jobs[THREADS] = {0};
		uint64_t total = 0;

		clock_ns = SEC;
		for (unsigned int i = 0; i < THREADS; i++) {
			jobs[i].per_src = per_src;
			jobs[i].shared = &shared;
		}
		run_jobs(jobs, take_job);
		for (unsigned int i = 0; i < THREADS; i++)
			total += jobs[i].admitted;
		/* One simulated second: 100,000 and the burst of 1,000. */
		assert_in_range(total, 101000 * 0.99, 101000 * 1.01);
	}
}

/* Few sources in a table with little room: entries come and go all the time, and two threads often insert the same source at once. */
#define CHURN_SOURCES 24
#define CHURN_MAX     2
static struct sp_limit_table *churn_table;
static int32_t churn_held[CHURN_SOURCES];

static void *churn_job(void *arg)
{
	struct job *job = arg;
	unsigned int seed = job->index * 7919 + 1;

	pthread_barrier_wait(job->barrier);
	for (int i = 0; i < 400000; i++) {
		unsigned int s = (unsigned int)rand_r(&seed) % CHURN_SOURCES;
		struct sp_addr src = addr4(0x0a000000 + s);

		if (sp_source_acquire(churn_table, 1, &src, CHURN_MAX) != SP_DROP_NONE)
			continue;
		job->over |= __atomic_add_fetch(&churn_held[s], 1, __ATOMIC_SEQ_CST) > CHURN_MAX;
		job->admitted++;
		__atomic_sub_fetch(&churn_held[s], 1, __ATOMIC_SEQ_CST);
		sp_source_release(churn_table, 1, &src);
	}
	return NULL;
}

static void four_threads_count_exactly(void **state)
{
	struct job jobs[THREADS] = {0};

	(void)state;
	churn_table = sp_limit_table_create(4);
	assert_non_null(churn_table);
	run_jobs(jobs, churn_job);
	for (unsigned int i = 0; i < THREADS; i++) {
		assert_false(jobs[i].over);
		assert_true(jobs[i].admitted > 1000);
	}
	/* All counts are back at zero: each source gets its whole maximum, and not one more. */
	for (unsigned int s = 0; s < CHURN_SOURCES; s++) {
		struct sp_addr src = addr4(0x0a000000 + s);

		for (int i = 0; i < CHURN_MAX; i++)
			assert_int_equal(sp_source_acquire(churn_table, 1, &src, CHURN_MAX), SP_DROP_NONE);
		assert_int_equal(sp_source_acquire(churn_table, 1, &src, CHURN_MAX), SP_DROP_LIMIT);
		for (int i = 0; i < CHURN_MAX; i++)
			sp_source_release(churn_table, 1, &src);
	}
	sp_limit_table_free(churn_table);
}

/* Fresh sources, inserted by all threads at the same moment: each admits exactly its burst over all of them. */
#define RACE_ROUNDS 20000
static pthread_barrier_t race_step;
static uint32_t race_admitted[RACE_ROUNDS];

static void *race_job(void *arg)
{
	struct job *job = arg;
	struct sp_limit limit = {.per_src = true, .src_bits4 = 32, .rate = 1, .burst = 2};

	pthread_barrier_wait(job->barrier);
	for (uint32_t i = 0; i < RACE_ROUNDS; i++) {
		struct sp_addr src = addr4(0x0a000000 + i);

		if (i % 64 == 0)
			pthread_barrier_wait(&race_step);
		for (int k = 0; k < 2; k++)
			if (sp_limit_take(churn_table, NULL, 1, &limit, &src, 1, (1 + (uint64_t)i / 64 * 4) * SEC) == SP_DROP_NONE)
				__atomic_add_fetch(&race_admitted[i], 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void a_source_is_never_inserted_twice(void **state)
{
	struct job jobs[THREADS] = {0};

	(void)state;
	memset(race_admitted, 0, sizeof(race_admitted));
	churn_table = sp_limit_table_create(128);
	assert_non_null(churn_table);
	pthread_barrier_init(&race_step, NULL, THREADS);
	run_jobs(jobs, race_job);
	for (uint32_t i = 0; i < RACE_ROUNDS; i++)
		assert_int_equal(race_admitted[i], 2);
	pthread_barrier_destroy(&race_step);
	sp_limit_table_free(churn_table);
}

/* The other inserter's entry, tentative or settled, before or after the place that this one gets. */
static void two_inserters_leave_one_entry(void **state)
{
	static const struct {
		int rival, mine;
		bool settled;
		enum inserted want;
	} cases[] = {
		{0, 1, false, LOST},
		{1, 0, false, INSERTED},
		{0, 1, true, LOST},
		{1, 0, true, LOST},
		{2, 6, false, LOST},
		{6, 2, false, INSERTED},
		{6, 2, true, LOST},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_limit_table *t = sp_limit_table_create(64);
		struct sp_addr src = addr4(0xc0000201);
		uint64_t print = fingerprint(t, 1, &src, 32, 64), was = cases[i].settled ? print : print | TENTATIVE;
		rte_int128_t *mine = place(&t->counts, print, (unsigned int)cases[i].mine);
		rte_int128_t *rival = place(&t->counts, print, (unsigned int)cases[i].rival);

		/* Every other place belongs to somebody. */
		for (unsigned int k = 0; k < PLACES; k++)
			assert_true(swap(place(&t->counts, print, k), 0, 0, 1000 + 2 * k, 1));
		assert_true(swap(mine, load(mine, 0), 1, 0, 0));
		assert_true(swap(rival, load(rival, 0), 1, was, 1));
		assert_int_equal(insert(t, &t->counts, print, 1, 0), cases[i].want);
		assert_true(load(mine, 0) == (cases[i].want == INSERTED ? print : 0));
		assert_true(load(rival, 0) == (cases[i].want == INSERTED ? 0 : was));
		sp_limit_table_free(t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rate_and_burst_are_exact, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_bucket_gives_its_burst_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reload_to_a_faster_rate_does_not_wait_for_the_old_one, setup, teardown),
		cmocka_unit_test_setup_teardown(extreme_numbers_do_not_overflow, setup, teardown),
		cmocka_unit_test_setup_teardown(sources_are_what_the_prefix_says, setup, teardown),
		cmocka_unit_test_setup_teardown(counts_are_per_source_and_given_back, setup, teardown),
		cmocka_unit_test(a_full_table_refuses_and_recovers),
		cmocka_unit_test_setup_teardown(as_many_sources_fit_as_were_asked_for, setup, teardown),
		cmocka_unit_test(bad_sizes),
		cmocka_unit_test(two_inserters_leave_one_entry),
		cmocka_unit_test_setup_teardown(four_threads_share_one_rate, setup, teardown),
		cmocka_unit_test(four_threads_count_exactly),
		cmocka_unit_test(a_source_is_never_inserted_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
