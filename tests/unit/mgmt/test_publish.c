/* SPDX-License-Identifier: BSD-3-Clause */
/* Swap, wait, retire: with real workers, with readers that hold on, and with one that never lets go. */
#include "tests/unit/mgmt/fixture.h"

#include <sched.h>

static struct fixture fixture;

static int setup(void **state)
{
	(void)state;
	fixture_begin(&fixture);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_end(&fixture);
	return 0;
}

static void the_first_needs_no_worker(void **state)
{
	(void)state;
	assert_int_equal(sp_published_generation(&fixture.dataplane), 0);
	assert_null(sp_published_get(&fixture.dataplane));
	sp_published_put();
	fixture_publish(&fixture, RULES_GOOD);
	assert_int_equal(sp_published_generation(&fixture.dataplane), 1);
	fixture_publish(&fixture, RULES_GOOD);
	assert_int_equal(sp_published_generation(&fixture.dataplane), 2);
	assert_int_equal(sp_publish_retire(&fixture.dataplane), 0);
}

static void counters_follow_the_id(void **state)
{
	struct sp_rule_table *table = &fixture.dataplane.rule_table;
	struct sp_rule_counters sum;
	uint32_t slot;

	(void)state;
	fixture_publish(&fixture, RULES_GOOD);
	slot = fixture.dataplane.live->ruleset->rules[0].slot;
	table->counters[1][slot].hits = 5;
	fixture_publish(&fixture, RULES_OF("\"7 drop udp\", \"10 allow icmp\""));
	assert_int_equal(fixture.dataplane.live->ruleset->rules[1].id, 10);
	assert_int_equal(fixture.dataplane.live->ruleset->rules[1].slot, slot);
	sp_rule_table_sum(table, slot, &sum);
	assert_int_equal(sum.hits, 5);
}

static void running_workers_let_go(void **state)
{
	(void)state;
	fixture_publish(&fixture, RULES_GOOD);
	fixture_go(&fixture);
	for (unsigned int i = 2; i < 50; i++) {
		fixture_publish(&fixture, RULES_GOOD);
		assert_int_equal(sp_published_generation(&fixture.dataplane), i);
		assert_int_equal(sp_publish_retire(&fixture.dataplane), 0);
	}
}

struct reader {
	int stop;
	uint64_t rounds, sum;
};

/* A reader as a worker is one: loads the pointer, uses it for a while, then reports. ASan sees it if the ruleset is freed too early. */
static void *run_reader(void *arg)
{
	struct sp_dataplane *dataplane = &fixture.dataplane;
	struct reader *reader = arg;

	rte_rcu_qsbr_thread_register(dataplane->qsbr, 0);
	rte_rcu_qsbr_thread_online(dataplane->qsbr, 0);
	while (__atomic_load_n(&reader->stop, __ATOMIC_RELAXED) == 0) {
		const struct sp_live *live = __atomic_load_n(&dataplane->live, __ATOMIC_ACQUIRE);

		for (unsigned int i = 0; i < 2000; i++)
			reader->sum += live->ruleset->rules[i % live->ruleset->n_rules].id;
		rte_rcu_qsbr_quiescent(dataplane->qsbr, 0);
		__atomic_fetch_add(&reader->rounds, 1, __ATOMIC_RELEASE);
	}
	rte_rcu_qsbr_thread_offline(dataplane->qsbr, 0);
	rte_rcu_qsbr_thread_unregister(dataplane->qsbr, 0);
	return NULL;
}

static void readers_never_see_freed_rules(void **state)
{
	struct reader reader = {0};
	pthread_t thread;

	(void)state;
	fixture_publish(&fixture, RULES_GOOD);
	assert_int_equal(pthread_create(&thread, NULL, run_reader, &reader), 0);
	while (__atomic_load_n(&reader.rounds, __ATOMIC_ACQUIRE) == 0)
		sched_yield();
	for (unsigned int i = 0; i < 50; i++) {
		fixture_publish(&fixture, RULES_GOOD);
		assert_int_equal(sp_publish_retire(&fixture.dataplane), 0);
	}
	__atomic_store_n(&reader.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	/* each publish waited for at least one round */
	assert_true(reader.rounds > 50 && reader.sum != 0);
}

static void a_stuck_worker_costs_memory_only(void **state)
{
	struct sp_dataplane *dataplane = &fixture.dataplane;
	struct sp_diags diags = {0};
	struct sp_ruleset *third;
	const struct sp_live *held;

	(void)state;
	fixture_publish(&fixture, RULES_GOOD);
	rte_rcu_qsbr_thread_register(dataplane->qsbr, 0);
	rte_rcu_qsbr_thread_online(dataplane->qsbr, 0);
	held = dataplane->live;
	assert_int_equal(sp_publish(dataplane, fixture_ruleset(&fixture, RULES_GOOD), &diags), -ETIMEDOUT);
	assert_int_equal(diags.errors, 0);
	assert_int_equal(sp_published_generation(dataplane), 2);
	assert_int_equal(held->ruleset->generation, 1); /* still there for the one who holds it */
	/* a third is refused, stays ours, and the second stays in force */
	third = fixture_ruleset(&fixture, RULES_GOOD);
	assert_int_equal(sp_publish(dataplane, third, &diags), -EBUSY);
	assert_int_equal(diags.errors, 1);
	sp_diags_clear(&diags);
	assert_int_equal(sp_published_generation(dataplane), 2);
	assert_int_equal(sp_publish_retire(dataplane), 1);
	rte_rcu_qsbr_quiescent(dataplane->qsbr, 0);
	assert_int_equal(sp_publish_retire(dataplane), 0);
	rte_rcu_qsbr_thread_offline(dataplane->qsbr, 0);
	assert_int_equal(sp_publish(dataplane, third, &diags), 0);
	assert_int_equal(sp_published_generation(dataplane), 3);
	rte_rcu_qsbr_thread_unregister(dataplane->qsbr, 0);
}

static void no_slots_no_change(void **state)
{
	struct sp_dataplane *dataplane = &fixture.dataplane;
	struct sp_diags diags = {0};
	struct sp_ruleset *ruleset, *other;

	(void)state;
	fixture_publish(&fixture, RULES_GOOD);
	/* more ids than there are slots: the table refuses before anything is swapped */
	other = fixture_ruleset(&fixture, RULES_GOOD);
	ruleset = calloc(1, sizeof(*ruleset));
	assert_non_null(ruleset);
	ruleset->n_rules = SP_RULE_SLOTS_MAX + 1;
	ruleset->rules = aligned_alloc(64, ruleset->n_rules * sizeof(*ruleset->rules));
	assert_non_null(ruleset->rules);
	memset(ruleset->rules, 0, ruleset->n_rules * sizeof(*ruleset->rules));
	for (uint32_t i = 0; i < ruleset->n_rules; i++)
		ruleset->rules[i].id = 1000 + i;
	assert_int_equal(sp_publish(dataplane, ruleset, &diags), -ENOSPC);
	assert_true(diags.errors > 0);
	assert_int_equal(sp_published_generation(dataplane), 1);
	free(ruleset->rules);
	free(ruleset);
	sp_diags_clear(&diags);
	assert_int_equal(sp_publish(dataplane, other, &diags), 0);
	assert_int_equal(sp_published_generation(dataplane), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_first_needs_no_worker, setup, teardown),
		cmocka_unit_test_setup_teardown(counters_follow_the_id, setup, teardown),
		cmocka_unit_test_setup_teardown(running_workers_let_go, setup, teardown),
		cmocka_unit_test_setup_teardown(readers_never_see_freed_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stuck_worker_costs_memory_only, setup, teardown),
		cmocka_unit_test_setup_teardown(no_slots_no_change, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
