/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets that a worker samples for the question how a device chooses queues. */
#include "tests/unit/dataplane/worker_fixture.h"

#define BURSTS 100 /* far more than are between two that are looked at closely */

static const struct sp_frame_spec web = {.sport = 40001}, ping = {.proto = IPPROTO_ICMP, .icmp_type = 8};

static void send_bursts(const struct sp_frame_spec *spec, unsigned int queue, unsigned int n)
{
	struct sp_frame frame;

	sp_frame_build(&frame, spec);
	for (unsigned int i = 0; i < n; i++) {
		lab_send_frame(IN, queue, &frame);
		lab_run();
	}
}

static void nobody_asks(void **unused)
{
	(void)unused;
	lab_start(&(struct lab_options){.n_workers = 1, .n_queues = 2}, RULES("\"10 allow tcp,icmp\""));
	send_bursts(&web, 1, BURSTS);
	assert_int_equal(lab.dataplane->workers[0]->rss.n, SP_RSS_SAMPLES);
	assert_int_equal(lab.dataplane->workers[0]->rss.v[0].family, SP_FAMILY_NONE);
	lab_stop();
}

static void addresses_ports_and_queue(void **unused)
{
	struct sp_rss_samples *samples;

	(void)unused;
	lab_start(&(struct lab_options){.n_workers = 1, .n_queues = 2}, RULES("\"10 allow tcp,icmp\""));
	samples = &lab.dataplane->workers[0]->rss;
	samples->n = 0;
	/* what is neither TCP nor UDP tells nothing */
	send_bursts(&ping, 1, BURSTS);
	assert_int_equal(samples->n, 0);
	send_bursts(&web, 1, BURSTS);
	assert_true(samples->n > 0 && samples->n < SP_RSS_SAMPLES);
	for (unsigned int i = 0; i < samples->n; i++) {
		static const uint8_t src[4] = {192, 0, 2, 1}, dst[4] = {198, 51, 100, 2};

		assert_int_equal(samples->v[i].port, IN);
		assert_int_equal(samples->v[i].queue, 1);
		assert_int_equal(samples->v[i].family, SP_FAMILY_IPV4);
		assert_int_equal(samples->v[i].proto, IPPROTO_TCP);
		assert_memory_equal(samples->v[i].src, src, 4);
		assert_memory_equal(samples->v[i].dst, dst, 4);
		assert_int_equal(samples->v[i].sport, RTE_BE16(40001));
		assert_int_equal(samples->v[i].dport, RTE_BE16(443));
		assert_false(samples->v[i].hashed);
	}
	lab_stop();
}

static void no_more_than_fit(void **unused)
{
	struct sp_rss_samples *samples;

	(void)unused;
	lab_start(&(struct lab_options){.n_workers = 1, .n_queues = 2}, RULES("\"10 allow tcp,icmp\""));
	samples = &lab.dataplane->workers[0]->rss;
	samples->n = SP_RSS_SAMPLES - 1;
	send_bursts(&web, 0, BURSTS);
	assert_int_equal(samples->n, SP_RSS_SAMPLES);
	lab_stop();
}

static void one_queue_tells_nothing(void **unused)
{
	(void)unused;
	lab_start(&(struct lab_options){.n_workers = 1, .n_queues = 1}, RULES("\"10 allow tcp,icmp\""));
	lab.dataplane->workers[0]->rss.n = 0;
	send_bursts(&web, 0, BURSTS);
	assert_int_equal(lab.dataplane->workers[0]->rss.n, 0);
	lab_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_asks),
		cmocka_unit_test(addresses_ports_and_queue),
		cmocka_unit_test(no_more_than_fit),
		cmocka_unit_test(one_queue_tells_nothing),
	};

	sp_test_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
