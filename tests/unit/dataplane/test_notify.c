/* SPDX-License-Identifier: BSD-3-Clause */
/* How much of a rule's log leaves a worker: the rate of each rule and kind, and what is told of the rest. */
#include "tests/unit/dataplane/worker_fixture.h"

#define TWO_DENIALS RULES_LOGGED("\"10 drop udp dport 53 log\", \"11 drop tcp dport 23 log\", \"12 allow udp dport 99 log both\"")

/* Sends n datagrams of different flows to the port and runs them through. */
static void flood(unsigned int n, uint16_t dport)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct sp_frame_spec spec = {.proto = IPPROTO_UDP, .sport = (uint16_t)(1000 + i), .dport = dport};

		lab_send(IN, &spec);
		if (i % 500 == 499)
			lab_run();
	}
	lab_run();
	lab_count(OUT);
}

struct seen {
	unsigned int events, suppressed;
};

/* Takes all events and counts those of the rule. */
static struct seen take(uint32_t rule)
{
	struct seen seen = {0};
	struct sp_event event;

	while (lab_event(0, &event)) {
		if (event.rule != rule)
			continue;
		seen.events++;
		seen.suppressed += event.suppressed;
	}
	return seen;
}

static void begin(uint32_t rate)
{
	lab_start(&(struct lab_options){0}, TWO_DENIALS);
	lab.dataplane->log_rate = rate;
	lab.ms = 5000;
}

static void a_flood_is_cut_to_the_rate_and_the_rest_is_told(void **unused)
{
	struct seen seen;

	(void)unused;
	begin(10);
	flood(1000, 53);
	seen = take(10);
	assert_int_equal(seen.events, 10);
	assert_int_equal(seen.suppressed, 0);
	assert_int_equal(lab_drops(SP_DROP_RULE), 1000); /* packets are none of its business */
	assert_int_equal(lab.dataplane->workers[0]->events.suppressed, 990);
	assert_int_equal(sp_rule_table_suppressed(&lab.dataplane->rule_table, lab_slot(10)), 990);
	lab.ms = 6000;
	flood(15, 53);
	seen = take(10);
	assert_int_equal(seen.events, 10);
	assert_int_equal(seen.suppressed, 990);
	lab.ms = 9000;
	flood(1, 53);
	seen = take(10);
	assert_int_equal(seen.events, 1);
	assert_int_equal(seen.suppressed, 5);
	lab_stop();
}

static void one_rule_does_not_silence_another_nor_the_default(void **unused)
{
	const struct sp_frame_spec telnet = {.dport = 23};
	struct sp_event event;
	bool telnet_seen = false, default_seen = false;

	(void)unused;
	begin(5);
	flood(100, 53);
	flood(3, 7);
	lab_send(IN, &telnet);
	lab_run();
	while (lab_event(0, &event)) {
		telnet_seen |= event.rule == 11;
		default_seen |= event.rule == 0;
	}
	assert_true(telnet_seen && default_seen);
	assert_int_equal(sp_rule_table_suppressed(&lab.dataplane->rule_table, lab_slot(11)), 0);
	assert_int_equal(sp_rule_table_suppressed(&lab.dataplane->rule_table, SP_RULE_SLOT_DEFAULT), 0);
	lab_stop();
}

/* Starts and ends of flows are one kind: they share a rate, and each rule has it anew in the next second. */
static void flows_have_a_rate_too(void **unused)
{
	(void)unused;
	begin(7);
	flood(20, 99);
	assert_int_equal(take(12).events, 7);
	lab.ms = 6000;
	flood(20, 99); /* the same flows: no event */
	assert_int_equal(take(12).events, 0);
	lab_pass(120);
	assert_int_equal(lab_active(), 0);
	assert_in_range(take(12).events, 7, 20);
	lab_stop();
}

static void without_a_rate_all_are_posted(void **unused)
{
	(void)unused;
	begin(0);
	flood(2000, 53);
	assert_int_equal(take(10).events, 2000);
	assert_int_equal(lab.dataplane->workers[0]->events.suppressed, 0);
	lab_stop();
}

/* What the ring loses takes its count of withheld ones not with it. */
static void a_full_ring_keeps_the_count_of_withheld_ones(void **unused)
{
	struct seen seen;

	(void)unused;
	begin(SP_EVENT_RING_SIZE);
	flood(SP_EVENT_RING_SIZE + 300, 53); /* the ring holds one less than its size; 300 are withheld */
	assert_int_equal(lab.dataplane->workers[0]->events.lost, 1);
	lab.ms = 6000;
	flood(4, 53); /* lost, all of them */
	assert_int_equal(lab.dataplane->workers[0]->events.lost, 5);
	assert_int_equal(take(10).suppressed, 0);
	flood(1, 53);
	seen = take(10);
	assert_int_equal(seen.events, 1);
	assert_int_equal(seen.suppressed, 300);
	lab_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flood_is_cut_to_the_rate_and_the_rest_is_told),
		cmocka_unit_test(one_rule_does_not_silence_another_nor_the_default),
		cmocka_unit_test(flows_have_a_rate_too),
		cmocka_unit_test(without_a_rate_all_are_posted),
		cmocka_unit_test(a_full_ring_keeps_the_count_of_withheld_ones),
	};

	sp_test_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
