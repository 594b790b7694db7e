/* SPDX-License-Identifier: BSD-3-Clause */
/* Slots of rule ids: kept over reloads, recycled only when nobody can refer to them. */
#include "dataplane/rule_table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct sp_rule_table table;

/* A ruleset with the ids first, first + 1, …; only what the table looks at. */
static struct sp_ruleset ruleset_of(uint32_t first, uint32_t n)
{
	struct sp_ruleset ruleset = {.n_rules = n};

	ruleset.rules = aligned_alloc(64, (size_t)n * sizeof(*ruleset.rules));
	assert_non_null(ruleset.rules);
	memset(ruleset.rules, 0, (size_t)n * sizeof(*ruleset.rules));
	for (uint32_t i = 0; i < n; i++) {
		ruleset.rules[i].id = first + i;
		ruleset.rules[i].slot = UINT32_MAX;
	}
	return ruleset;
}

/* Assigns a throw-away ruleset and returns the result. */
static int assign(uint32_t first, uint32_t n)
{
	struct sp_ruleset ruleset = ruleset_of(first, n);
	struct sp_diags diags = {0};
	int err = sp_rule_table_assign(&table, &ruleset, &diags);

	assert_int_equal(diags.errors, err != 0);
	for (uint32_t i = 0; i < n; i++)
		assert_true(err ? ruleset.rules[i].slot == UINT32_MAX : ruleset.rules[i].slot < SP_RULE_SLOTS_MAX);
	sp_diags_clear(&diags);
	free(ruleset.rules);
	return err;
}

static int setup(void **state)
{
	(void)state;
	return sp_rule_table_init(&table, 2);
}

static int teardown(void **state)
{
	(void)state;
	sp_rule_table_free(&table);
	return 0;
}

static void known_ids_keep_their_slot(void **state)
{
	uint32_t slot10, slot11;

	(void)state;
	assert_int_equal(assign(10, 2), 0);
	slot10 = sp_rule_table_slot(&table, 10);
	slot11 = sp_rule_table_slot(&table, 11);
	assert_int_not_equal(slot10, SP_RULE_SLOT_DEFAULT);
	assert_int_not_equal(slot11, SP_RULE_SLOT_DEFAULT);
	assert_int_not_equal(slot10, slot11);
	assert_int_equal(table.ids[slot10], 10);

	assert_int_equal(assign(11, 5), 0);
	assert_int_equal(sp_rule_table_slot(&table, 11), slot11);
	assert_int_equal(sp_rule_table_slot(&table, 10), slot10);
	assert_true(sp_rule_table_slot(&table, 99) == UINT32_MAX);
	assert_true(sp_rule_table_slot(&table, 0) == UINT32_MAX);
}

static void timeouts_follow_the_ruleset(void **state)
{
	struct sp_ruleset ruleset = ruleset_of(1, 2);
	struct sp_diags diags = {0};

	(void)state;
	ruleset.rules[1].timeout_sec = 60;
	assert_int_equal(sp_rule_table_assign(&table, &ruleset, &diags), 0);
	assert_int_equal(table.timeout_sec[ruleset.rules[0].slot], 0);
	assert_int_equal(table.timeout_sec[ruleset.rules[1].slot], 60);
	ruleset.rules[1].timeout_sec = 0;
	assert_int_equal(sp_rule_table_assign(&table, &ruleset, &diags), 0);
	assert_int_equal(table.timeout_sec[ruleset.rules[1].slot], 0);
	free(ruleset.rules);
}

static void sums_over_workers(void **state)
{
	struct sp_rule_counters sum;

	(void)state;
	table.counters[0][3] = (struct sp_rule_counters){.packets = 5, .bytes = 500, .hits = 1, .last_ns = 70, .first_ns = 60};
	table.counters[1][3] = (struct sp_rule_counters){.packets = 7, .bytes = 900, .hits = 2, .last_ns = 65, .first_ns = 50};
	sp_rule_table_sum(&table, 3, &sum);
	assert_int_equal(sum.packets, 12);
	assert_int_equal(sum.bytes, 1400);
	assert_int_equal(sum.hits, 3);
	assert_int_equal(sum.last_ns, 70);
	assert_int_equal(sum.first_ns, 50);
	table.counters[1][3].first_ns = 0;
	sp_rule_table_sum(&table, 3, &sum);
	assert_int_equal(sum.first_ns, 60);
	sp_rule_table_sum(&table, UINT32_MAX, &sum);
	assert_int_equal(sum.packets, 0);
}

/* Fills every slot but `spare`, with rulesets that do not overlap. The newest one has the highest ids. */
static uint32_t fill(uint32_t spare)
{
	uint32_t left = SP_RULE_SLOTS_MAX - 1 - spare, next = 1;

	while (left > 0) {
		uint32_t n = left < SP_RULES_MAX ? left : SP_RULES_MAX;

		assert_int_equal(assign(next, n), 0);
		next += n;
		left -= n;
	}
	return next;
}

static void the_largest_ruleset_can_be_replaced_whole(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(assign(1 + i * SP_RULES_MAX, SP_RULES_MAX), 0);
	for (uint32_t i = 0; i < SP_RULES_MAX; i += 7)
		assert_int_equal(table.ids[sp_rule_table_slot(&table, 1 + 5 * SP_RULES_MAX + i)], 1 + 5 * SP_RULES_MAX + i);
	assert_true(sp_rule_table_slot(&table, 1) == UINT32_MAX);
}

static void recycled_slots_start_at_zero(void **state)
{
	uint32_t next, slot;
	struct sp_rule_counters sum;

	(void)state;
	assert_int_equal(assign(1, 1), 0);
	slot = sp_rule_table_slot(&table, 1);
	next = fill(0);
	table.counters[0][slot] = (struct sp_rule_counters){1, 2, 3, 4, 5};
	table.counters[1][slot] = (struct sp_rule_counters){1, 2, 3, 4, 5};
	table.shared[slot].limit_tat = 77;
	assert_int_equal(assign(next, 1), 0);
	assert_true(sp_rule_table_slot(&table, 1) == UINT32_MAX);
	assert_int_equal(sp_rule_table_slot(&table, next), slot);
	sp_rule_table_sum(&table, slot, &sum);
	assert_int_equal(sum.packets + sum.bytes + sum.hits + sum.last_ns + sum.first_ns, 0);
	assert_int_equal(table.shared[slot].limit_tat, 0);
}

static void slots_with_sessions_are_kept(void **state)
{
	uint32_t next, slot;

	(void)state;
	assert_int_equal(assign(1, 2), 0);
	slot = sp_rule_table_slot(&table, 1);
	next = fill(0);
	table.shared[slot].sessions = 1;
	assert_int_equal(assign(next, 1), 0);
	assert_int_equal(sp_rule_table_slot(&table, 1), slot);
	assert_int_not_equal(sp_rule_table_slot(&table, next), slot);
}

static void rulesets_that_may_live_keep_their_slots(void **state)
{
	const uint32_t half = SP_RULES_MAX / 2;
	uint32_t last;

	(void)state;
	last = fill(0) - 1;
	/* Of the newest two rulesets every id must survive an assignment that takes all that can be taken. */
	assert_int_equal(assign(last + 1, half), 0);
	assert_int_equal(assign(last + 1 + half, half), 0);
	assert_int_equal(assign(last + 1 + 2 * half, SP_RULES_MAX), 0);
	for (uint32_t id = last + 1; id < last + 1 + 2 * half + SP_RULES_MAX; id++)
		assert_int_equal(table.ids[sp_rule_table_slot(&table, id)], id);
}

static void without_room_nothing_changes(void **state)
{
	uint32_t next;

	(void)state;
	next = fill(0);
	for (uint32_t slot = 1; slot < SP_RULE_SLOTS_MAX; slot++)
		table.shared[slot].sessions = 1;
	assert_int_equal(assign(next - 1, 3), -ENOSPC);
	assert_true(sp_rule_table_slot(&table, next) == UINT32_MAX);
	table.shared[5].sessions = 0;
	table.shared[6].sessions = 0;
	assert_int_equal(assign(next - 1, 3), 0);
	assert_int_equal(table.ids[sp_rule_table_slot(&table, next + 1)], next + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(known_ids_keep_their_slot, setup, teardown),
		cmocka_unit_test_setup_teardown(timeouts_follow_the_ruleset, setup, teardown),
		cmocka_unit_test_setup_teardown(sums_over_workers, setup, teardown),
		cmocka_unit_test_setup_teardown(the_largest_ruleset_can_be_replaced_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(recycled_slots_start_at_zero, setup, teardown),
		cmocka_unit_test_setup_teardown(slots_with_sessions_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(rulesets_that_may_live_keep_their_slots, setup, teardown),
		cmocka_unit_test_setup_teardown(without_room_nothing_changes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
