/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The short way of settled sessions: what takes it is counted as on the long way, and what must not take it does not.
 */
#include "tests/unit/dataplane/worker_fixture.h"

static const struct sp_frame_spec udp = {.proto = IPPROTO_UDP, .payload_len = 20};

/* A session that both sides have used; both frames left. */
static void replied_session(const struct sp_frame_spec *flow)
{
	const struct sp_frame_spec back = lab_reply(flow);

	lab_send(IN, flow);
	lab_run();
	lab_send(OUT, &back);
	lab_run();
	assert_int_equal(lab_count(OUT), 1);
	assert_int_equal(lab_count(IN), 1);
}

static void test_counts(void **state)
{
	const struct sp_frame_spec flows[] = {udp, {.family = 6, .proto = IPPROTO_UDP, .payload_len = 20}};

	(void)state;
	for (size_t f = 0; f < RTE_DIM(flows); f++) {
		const struct sp_frame_spec back = lab_reply(&flows[f]);
		const struct sp_session_cold *cold;
		struct sp_sessions *sessions;
		struct sp_frame frame;
		uint32_t ref;

		lab_start(&(struct lab_options){0}, RULES("\"10 allow udp\""));
		sessions = lab.dataplane->workers[0]->sessions;
		replied_session(&flows[f]);
		lab.ms += 5000;
		for (unsigned int i = 0; i < 40; i++) {
			lab_send(IN, &flows[f]);
			if (i % 4 == 0)
				lab_send(OUT, &back);
		}
		lab_run();
		assert_int_equal(lab_count(OUT), 40);
		assert_int_equal(lab_count(IN), 10);
		sp_frame_build(&frame, &flows[f]);
		ref = lab_session_of(&flows[f]);
		cold = sp_session_cold(sessions, ref);
		assert_int_equal(cold->packets[0], 41);
		assert_int_equal(cold->packets[1], 11);
		assert_int_equal(cold->bytes[0], 41 * frame.len);
		assert_int_equal(cold->bytes[1], 11 * frame.len);
		assert_int_equal(sp_session_state(sessions, ref)->last_ms, 5000);
		assert_int_equal(lab_rule(10).packets, 52);
		assert_int_equal(lab_rule(10).bytes, 52 * frame.len);
		lab_stop();
	}
}

/* A packet with the tuple of a session, from where neither of its ends is. */
static void test_wrong_zone(void **state)
{
	const struct sp_frame_spec back = lab_reply(&udp);

	(void)state;
	lab_start(&(struct lab_options){0}, RULES("\"10 allow udp\""));
	replied_session(&udp);
	lab_send(IN, &back);
	lab_send(OUT, &udp);
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_ROUTE_WRONG_ZONE), 2);
	assert_int_equal(sp_session_cold(lab.dataplane->workers[0]->sessions, lab_session_of(&udp))->packets[0], 1);
	lab_stop();
}

/* An ICMP error passes with the session that it quotes, and is no packet of it. */
static void test_error_is_no_sign_of_life(void **state)
{
	const struct sp_session_cold *cold;
	struct sp_frame about, error;
	struct sp_sessions *sessions;
	uint32_t ref;

	(void)state;
	lab_start(&(struct lab_options){0}, RULES("\"10 allow udp\""));
	sessions = lab.dataplane->workers[0]->sessions;
	/* one zone on both sides, so that the zones do not tell the error from a packet of the session */
	memset(lab.dataplane->ports[OUT].zone, 0, sizeof(lab.dataplane->ports[OUT].zone));
	replied_session(&udp);
	lab.ms += 5000;
	sp_frame_build(&about, &udp);
	sp_frame_build_error(&error, &about, 3, 3, 64);
	lab_send_frame(OUT, 0, &error);
	lab_run();
	assert_int_equal(lab_count(IN), 1);
	ref = lab_session_of(&udp);
	cold = sp_session_cold(sessions, ref);
	assert_int_equal(cold->packets[0] + cold->packets[1], 2);
	assert_int_equal(sp_session_state(sessions, ref)->last_ms, 0);
	lab_stop();
}

/* A session of an older ruleset is judged anew, however settled it was. */
static void test_older_generation(void **state)
{
	(void)state;
	lab_start(&(struct lab_options){0}, RULES("\"10 allow udp\""));
	replied_session(&udp);
	lab_rules(RULES("\"10 drop udp\""));
	lab_send(IN, &udp);
	lab_run();
	assert_int_equal(lab_count(OUT), 0);
	assert_int_equal(lab_drops(SP_DROP_RULE), 1);
	assert_int_equal(lab_active(), 0);
	lab_stop();
}

static const struct sp_frame_spec tcp = {.proto = IPPROTO_TCP};

static void establish(void)
{
	lab_send_tcp(IN, &tcp, SYN, NULL);
	lab_run();
	lab_send_tcp(OUT, &tcp, SYN | ACK, NULL);
	lab_run();
	lab_send_tcp(IN, &tcp, ACK, NULL);
	lab_run();
	assert_int_equal(lab_count(OUT), 2);
	assert_int_equal(lab_count(IN), 1);
}

/* Segments that only move windows on do so here, too: what lies beyond them is dropped whichever way it takes. */
static void test_windows_move_on(void **state)
{
	struct sp_frame_spec beyond = tcp;
	const struct sp_session_tcp *windows;

	(void)state;
	lab_start(&(struct lab_options){0}, RULES("\"10 allow tcp\""));
	establish();
	for (unsigned int i = 0; i < 20; i++) {
		lab_send_tcp(IN, &tcp, PSH | ACK, "question");
		lab_run();
		lab_send_tcp(OUT, &tcp, ACK, "answer");
		lab_run();
	}
	assert_int_equal(lab_count(OUT), 20);
	assert_int_equal(lab_count(IN), 20);
	windows = sp_session_tcp(lab.dataplane->workers[0]->sessions, lab_session_of(&tcp));
	assert_int_equal(windows->peer[0].end, 1 + 20 * strlen("question"));
	assert_int_equal(windows->peer[1].end, 1 + 20 * strlen("answer"));
	beyond.tcp_flags = ACK;
	beyond.seq = windows->peer[0].limit + 10;
	beyond.ack = windows->peer[1].end;
	beyond.payload = "x";
	beyond.payload_len = 1;
	lab_send(IN, &beyond);
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_TCP_WINDOW), 1);
	lab_stop();
}

/* A segment does not overtake one before it in the burst that goes the long way. */
static void test_nothing_overtakes_a_reset(void **state)
{
	(void)state;
	lab_start(&(struct lab_options){0}, RULES("\"10 allow tcp\""));
	establish();
	lab_send_tcp(IN, &tcp, PSH | ACK, "question");
	lab_send_tcp(IN, &tcp, RST, NULL);
	lab_send_tcp(IN, &tcp, PSH | ACK, "late");
	lab_run();
	assert_int_equal(lab_count(OUT), 2);
	assert_int_equal(lab_drops(SP_DROP_TCP_STATE), 1);
	lab_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_wrong_zone),
		cmocka_unit_test(test_error_is_no_sign_of_life),
		cmocka_unit_test(test_older_generation),
		cmocka_unit_test(test_windows_move_on),
		cmocka_unit_test(test_nothing_overtakes_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
