/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Challenge ACKs in whole workers: where they leave, how often they are made, and that every packet is accounted for. What they say:
 * tests/packet/test_tcp_answers.py.
 */
#include "tests/unit/dataplane/worker_fixture.h"

#include "dataplane/tcp_challenge.h"

#define ALLOWED RULES("\"10 allow tcp from inside to outside\"")

static void start(const struct lab_options *options)
{
	lab_start(options, ALLOWED);
	lab.dataplane->tcp.challenges = 1000;
}

static void open_flow(const struct sp_frame_spec *flow)
{
	static const struct {
		unsigned int port;
		uint8_t flags;
	} steps[] = {{IN, SYN}, {OUT, SYN | ACK}, {IN, ACK}};

	for (size_t i = 0; i < RTE_DIM(steps); i++) {
		lab_send_tcp(steps[i].port, flow, steps[i].flags, NULL);
		lab_run();
		assert_int_equal(lab_count(!steps[i].port), 1);
	}
}

/* A RST far from the exact number, from the port's side. */
static void send_reset(unsigned int port, const struct sp_frame_spec *flow)
{
	struct sp_frame_spec spec = port == IN ? *flow : lab_reply(flow);

	spec.tcp_flags = RST;
	spec.seq = 4000;
	lab_send(port, &spec);
}

/* Back by the port that the offence came from, whichever worker owns the session and whichever may send. */
static void answers_leave_where_the_offence_came_in(void **unused)
{
	(void)unused;
	for (unsigned int workers = 1; workers <= 3; workers++)
		for (unsigned int one_queue = 0; one_queue < 2; one_queue++) {
			start(&(struct lab_options){.n_workers = workers, .one_tx_queue = one_queue});
			for (unsigned int i = 0; i < 40; i++) {
				const struct sp_frame_spec flow = {.family = i & 1 ? 6 : 4, .sport = (uint16_t)(2000 + i)};
				const unsigned int port = i >> 1 & 1 ? IN : OUT;

				open_flow(&flow);
				send_reset(port, &flow);
				lab_run();
				assert_int_equal(lab_count(port), 1);
				assert_int_equal(lab_count(!port), 0);
			}
			assert_int_equal(lab_drops(SP_DROP_TCP_RST), 40);
			assert_int_equal(lab_stats().challenges_built, 40);
			assert_int_equal(lab_stats().built, 40);
			assert_int_equal(lab_active(), 40);
			lab_balance(0);
			lab_stop();
		}
}

/* One a session and half a second; the next tick brings another. */
static void a_session_waits_for_the_next_one(void **unused)
{
	const struct sp_frame_spec flow = {.sport = 2000};
	(void)unused;

	start(&(struct lab_options){0});
	open_flow(&flow);
	for (unsigned int half_sec = 0; half_sec < 10; half_sec++) {
		for (unsigned int i = 0; i < 20; i++) {
			send_reset(OUT, &flow);
			lab_run();
		}
		assert_int_equal(lab_count(OUT), 1);
		lab.ms += 512;
	}
	assert_int_equal(lab_stats().challenges_built, 10);
	assert_int_equal(lab_stats().challenges_suppressed, 190);
	lab_balance(0);
	lab_stop();
}

/* A worker's rate, drawn anew each second around the one that was set. */
static void a_worker_has_a_rate(void **unused)
{
	unsigned int sum = 0, least = UINT32_MAX, most = 0;
	(void)unused;

	start(&(struct lab_options){0});
	lab.dataplane->tcp.challenges = 20;
	for (unsigned int i = 0; i < 60; i++)
		open_flow(&(struct sp_frame_spec){.sport = (uint16_t)(2000 + i)});
	for (unsigned int sec = 0; sec < 40; sec++) {
		unsigned int built;

		for (unsigned int i = 0; i < 60; i++)
			send_reset(OUT, &(struct sp_frame_spec){.sport = (uint16_t)(2000 + i)});
		lab_run();
		built = lab_count(OUT);
		assert_in_range(built, 10, 30);
		sum += built;
		least = RTE_MIN(least, built);
		most = RTE_MAX(most, built);
		lab.ms += 1000;
	}
	assert_in_range(sum, 40 * 15, 40 * 25);
	assert_int_not_equal(least, most);
	lab.dataplane->tcp.challenges = 0;
	lab.ms += 1000;
	send_reset(OUT, &(struct sp_frame_spec){.sport = 2000});
	lab_run();
	assert_int_equal(lab_count(OUT), 0);
	lab_balance(0);
	lab_stop();
}

/* Without a free mbuf the offence is dropped all the same. */
static void without_buffers_nothing_is_built(void **unused)
{
	const struct sp_frame_spec flow = {.sport = 2000};
	static struct rte_mbuf *taken[LAB_MBUFS];
	struct sp_frame_spec spec = lab_reply(&flow);
	struct rte_mbuf *mbuf;
	struct sp_frame frame;
	unsigned int n = 0;
	(void)unused;

	start(&(struct lab_options){0});
	open_flow(&flow);
	spec.tcp_flags = SYN;
	spec.seq = 77777;
	sp_frame_build(&frame, &spec);
	mbuf = sp_frame_mbuf(lab_pool, frame.bytes, frame.len);
	while (n < LAB_MBUFS && (taken[n] = rte_pktmbuf_alloc(lab_pool)) != NULL)
		n++;
	lab_send_mbuf(OUT, 0, mbuf);
	lab_run();
	rte_pktmbuf_free_bulk(taken, n);
	assert_int_equal(lab_drops(SP_DROP_TCP_SYN), 1);
	assert_int_equal(lab_stats().challenges_built, 0);
	assert_int_equal(lab_stats().challenges_suppressed, 1);
	lab_balance(0);
	lab_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_leave_where_the_offence_came_in),
		cmocka_unit_test(a_session_waits_for_the_next_one),
		cmocka_unit_test(a_worker_has_a_rate),
		cmocka_unit_test(without_buffers_nothing_is_built),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
