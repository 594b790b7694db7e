/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A paused port: workers neither take from its device nor send by it, and what waited for it is dropped and counted.
 */
#include "tests/unit/dataplane/worker_fixture.h"

static const struct sp_frame_spec web, dns = {.proto = IPPROTO_UDP, .dport = 53};

static void pause_port(unsigned int port, uint32_t paused)
{
	__atomic_store_n(&lab.dataplane->ports[port].paused, paused, __ATOMIC_SEQ_CST);
}

static void nothing_is_taken_from_it(void **unused)
{
	(void)unused;
	lab_start(&(struct lab_options){.n_workers = 1}, RULES("\"10 allow tcp,udp\""));
	pause_port(IN, 1);
	lab_send(IN, &dns);
	lab_run();
	assert_int_equal(lab_stats().rx, 0);
	pause_port(IN, 0);
	lab_run();
	assert_int_equal(lab_stats().rx, 1);
	assert_int_equal(lab_count(OUT), 1);
	lab_balance(0);
	lab_stop();
}

static void nothing_is_sent_by_it(void **unused)
{
	(void)unused;
	lab_start(&(struct lab_options){.n_workers = 1}, RULES("\"10 allow tcp,udp\""));
	lab_send(IN, &dns);
	lab_run();
	assert_int_equal(lab_count(OUT), 1);
	pause_port(OUT, 1);
	lab.dataplane->ports[OUT].pass_link = false; /* whatever is thought of its link */
	lab_send(IN, &dns);
	lab_send(IN, &web);
	lab_run();
	assert_int_equal(lab_count(OUT), 0);
	assert_int_equal(lab_drops(SP_DROP_ROUTE_LINK_DOWN), 2);
	lab_balance(0);
	/* the session that was there is there afterwards */
	pause_port(OUT, 0);
	lab_send(IN, &dns);
	lab_run();
	assert_int_equal(lab_count(OUT), 1);
	assert_int_equal(lab_rule(10).packets, 4);
	lab_balance(0);
	lab_stop();
}

static void what_waits_for_it_is_dropped(void **unused)
{
	struct sp_worker *worker;

	(void)unused;
	lab_start(&(struct lab_options){.n_workers = 1}, RULES("\"10 allow tcp,udp\""));
	worker = lab.dataplane->workers[0];
	sp_count(&worker->stats.built, 1); /* as an answer that the worker makes */
	sp_tx_queue(worker, OUT, rte_pktmbuf_alloc(lab_pool));
	pause_port(OUT, 1);
	sp_tx_flush(worker, OUT);
	assert_int_equal(worker->tx[OUT].n, 0);
	assert_int_equal(lab_drops(SP_DROP_ROUTE_LINK_DOWN), 1);
	assert_int_equal(lab_drops(SP_DROP_QUEUE_TX), 0);
	assert_int_equal(lab_count(OUT), 0);
	assert_int_equal(lab_stats().tx_held, 0);
	lab_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_taken_from_it),
		cmocka_unit_test(nothing_is_sent_by_it),
		cmocka_unit_test(what_waits_for_it_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
