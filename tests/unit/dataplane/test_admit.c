/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an allowing rule asks before and after it opens a session: limits, quotas, room in the tables; and the events that tell of it.
 */
#include "tests/unit/dataplane/worker_fixture.h"

static struct sp_frame_spec udp_from(unsigned int source, uint16_t sport)
{
	static char text[64][INET_ADDRSTRLEN];

	snprintf(text[source % 64], sizeof(text[0]), "198.18.0.%u", source + 1);
	return (struct sp_frame_spec){.proto = IPPROTO_UDP, .src = text[source % 64], .sport = sport, .dport = 53};
}

static struct sp_frame_spec udp6_from(unsigned int source, uint16_t sport)
{
	static char text[64][INET6_ADDRSTRLEN];

	snprintf(text[source % 64], sizeof(text[0]), "2001:db8:0:%x::1", source + 1);
	return (struct sp_frame_spec){.family = 6, .proto = IPPROTO_UDP, .src = text[source % 64], .sport = sport, .dport = 53};
}

/* Sends n flows of one source; returns how many passed. */
static unsigned int open_flows(unsigned int source, unsigned int n, uint16_t first_port)
{
	for (unsigned int i = 0; i < n; i++) {
		struct sp_frame_spec spec = udp_from(source, (uint16_t)(first_port + i));

		lab_send(IN, &spec);
	}
	lab_run();
	lab_balance(0);
	return lab_count(OUT);
}

/* Answers n flows of a source, so that their sessions yield to nobody. */
static void answer_flows(unsigned int source, unsigned int n, uint16_t first)
{
	for (unsigned int i = 0; i < n; i++) {
		struct sp_frame_spec spec = udp_from(source, (uint16_t)(first + i)), reply = lab_reply(&spec);

		lab_send(OUT, &reply);
	}
	lab_run();
	assert_int_equal(lab_count(IN), n);
}

static void full_table_refuses_and_counts(void **unused)
{
	(void)unused;
	lab_start(&(struct lab_options){.max4 = 64, .max6 = 64}, RULES("\"10 allow udp\""));
	assert_int_equal(open_flows(0, 64, 2000), 64);
	answer_flows(0, 64, 2000);
	assert_int_equal(open_flows(0, 36, 2064), 0);
	assert_int_equal(lab_drops(SP_DROP_TABLE_SESSIONS_FULL), 36);
	assert_int_equal(lab_sessions().refused, 36);
	assert_int_equal(lab_quota(10), 64); /* a refused session holds no quota */
	for (unsigned int i = 0; i < 70; i++) {
		struct sp_frame_spec spec = udp6_from(0, (uint16_t)(2000 + i));

		lab_send(IN, &spec);
	}
	lab_run();
	assert_int_equal(lab_count(OUT), 70); /* of the other family, whose sessions nobody answered: they give way */
	assert_int_equal(lab_sessions().evicted, 6);
	assert_int_equal(lab_quota(10), 128);
	assert_int_equal(open_flows(0, 64, 2000), 64); /* those that are in go on */
	lab_pass(190);
	assert_int_equal(lab_active(), 0);
	assert_int_equal(open_flows(0, 10, 2000), 10);
	lab_stop();
}

/*
 * A session is evicted while a packet of it is on its way through the same burst. The newcomer takes its place in the pool, and what
 * inspection finds in the packet must not be held against it.
 */
static void eviction_within_a_burst_blames_nobody(void **unused)
{
	struct sp_frame_spec oldest = udp_from(0, 2000), newcomer = udp_from(1, 9000);
	(void)unused;

	lab_start(&(struct lab_options){.max4 = 64, .max6 = 64},
		"version = 1; default = { action = \"drop\"; }; inspect = { p = { mode = \"block\"; patterns = ( { id = 7; msg = \"m\"; "
		"pattern = \"attack\"; action = \"drop\"; } ); }; }; rules = ( \"10 allow udp inspect p\" );");
	assert_int_equal(open_flows(0, 64, 2000), 64);
	oldest.payload = "attack";
	oldest.payload_len = 6;
	for (unsigned int i = 0; i < 64; i++) {
		oldest.sport = (uint16_t)(2000 + i);
		newcomer.sport = (uint16_t)(9000 + i);
		lab_send(IN, &oldest);
		lab_send(IN, &newcomer);
	}
	lab_run();
	assert_true(lab_sessions().evicted >= 64);
	lab_count(OUT);
	/* Whoever is in the table now is not blocked, and who was blocked is gone or alone. */
	assert_int_equal(lab_drops(SP_DROP_INSPECT_BLOCKED), 0);
	for (unsigned int i = 0; i < 64; i++) {
		newcomer.sport = (uint16_t)(9000 + i);
		lab_send(IN, &newcomer);
	}
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_INSPECT_BLOCKED), 0);
	assert_int_equal(lab_count(OUT), 64);
	lab_stop();
}

static void max_sessions_and_max_per_source_hold_exactly(void **unused)
{
	(void)unused;
	for (unsigned int workers = 1; workers <= 3; workers++) {
		lab_start(&(struct lab_options){.n_workers = workers}, RULES("\"10 allow udp max_sessions 20 max_per_source 8\""));
		assert_int_equal(open_flows(1, 30, 3000), 8);
		assert_int_equal(open_flows(2, 30, 3000), 8);
		assert_int_equal(open_flows(3, 30, 3000), 4);
		assert_int_equal(lab_drops(SP_DROP_LIMIT), 90 - 20);
		assert_int_equal(lab_quota(10), 20);
		lab_pass(40);
		assert_int_equal(lab_quota(10), 0);
		assert_int_equal(open_flows(3, 30, 4000), 8);
		lab_stop();
	}
}

static void source_table_full_fails_closed(void **unused)
{
	unsigned int passed = 0;

	(void)unused;
	lab_start(&(struct lab_options){.sources = 1}, RULES("\"10 allow udp max_per_source 1\""));
	for (unsigned int source = 0; source < 60; source++)
		passed += open_flows(source, 1, 3000);
	assert_in_range(passed, 1, 59);
	assert_int_equal(lab_drops(SP_DROP_TABLE_LIMITS_FULL), 60 - passed);
	assert_int_equal(lab_quota(10), passed);
	lab_stop();
}

static void rate_of_openings_is_kept(void **unused)
{
	(void)unused;
	lab_start(&(struct lab_options){.n_workers = 2}, RULES("\"10 allow udp limit '10/s burst 10'\""));
	assert_int_equal(open_flows(0, 40, 3000), 10);
	lab.ms += 500;
	assert_int_equal(open_flows(0, 40, 4000), 5);
	/* packets of open sessions are not counted by it */
	assert_int_equal(open_flows(0, 40, 3000), 10);
	assert_int_equal(lab_drops(SP_DROP_LIMIT), 95);
	lab_stop();
}

static void rate_of_packets_counts_both_directions(void **unused)
{
	struct sp_frame_spec spec = udp_from(0, 3000), back = lab_reply(&spec);

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES("\"10 allow udp from inside limit '10 pps burst 10 per src'\""));
	assert_int_equal(open_flows(0, 1, 3000), 1);
	for (unsigned int i = 0; i < 20; i++)
		lab_send(OUT, &back);
	lab_run();
	assert_int_equal(lab_count(IN), 9); /* the opener is the source, whoever sends */
	assert_int_equal(open_flows(0, 1, 3000), 0);
	assert_int_equal(open_flows(1, 1, 3000), 1);
	assert_int_equal(lab_drops(SP_DROP_LIMIT), 12);
	lab_stop();
}

static void rate_of_bits_counts_frames(void **unused)
{
	struct sp_frame_spec spec = udp_from(0, 3000);

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES("\"10 allow udp limit '1 Mbit/s burst 1'\""));
	spec.payload_len = 1208; /* frames of 1,250 bytes: 10,000 bits */
	for (unsigned int i = 0; i < 150; i++)
		lab_send(IN, &spec);
	lab_run();
	assert_int_equal(lab_count(OUT), 100);
	assert_int_equal(lab_drops(SP_DROP_LIMIT), 50);
	lab_balance(0);
	lab_stop();
}

static void rule_time_out_replaces_the_tables(void **unused)
{
	struct sp_frame_spec spec = udp_from(0, 3000), back = lab_reply(&spec);

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES("\"10 allow udp from inside timeout 5s\""));
	assert_int_equal(open_flows(0, 1, 3000), 1);
	lab_send(OUT, &back);
	lab_run();
	lab_pass(4);
	assert_int_equal(lab_active(), 1);
	lab_pass(4);
	assert_int_equal(lab_active(), 0);
	lab_stop();
}

/* --- events ------------------------------------------------------------------------------------------------------------------------- */

static void events_tell_of_start_and_end(void **unused)
{
	const struct sp_frame_spec web = {.dport = 80};
	struct sp_event started, ended;
	uint64_t bytes_out = 0;

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES("\"10 allow tcp from inside log both\""));
	lab.ms = 5000;
	lab_send(IN, &web);
	lab_run();
	assert_true(lab_event(0, &started));
	assert_int_equal(started.type, SP_EVENT_FLOW_START);
	assert_int_equal(started.rule, 10);
	assert_int_equal(started.port, IN);
	assert_int_equal(started.worker, 0);
	assert_int_equal(started.key.proto, IPPROTO_TCP);
	assert_int_equal(started.key.family, SP_FAMILY_IPV4);
	assert_int_equal(rte_be_to_cpu_16(started.key.sport), 40000);
	assert_int_equal(rte_be_to_cpu_16(started.key.dport), 80);
	assert_int_equal(rte_be_to_cpu_32(started.key.v4.src), 0xc0000201);
	assert_int_equal(started.tsc, lab.dataplane->tsc_start + 5 * lab.dataplane->tsc_hz);
	assert_int_not_equal(started.flow_id, 0);
	bytes_out = lab_stats().rx_bytes;
	lab.ms = 7000;
	lab_send_tcp(OUT, &web, RST | ACK, NULL);
	lab_run();
	lab_pass(20);
	assert_true(lab_event(0, &ended));
	assert_int_equal(ended.type, SP_EVENT_FLOW_END);
	assert_int_equal(ended.why, SP_END_TCP);
	assert_int_equal(ended.state, SP_STATE_TCP_CLOSED);
	assert_int_equal(ended.flow_id, started.flow_id);
	assert_memory_equal(&ended.key, &started.key, sizeof(ended.key));
	assert_int_equal(ended.packets[0], 1);
	assert_int_equal(ended.packets[1], 1);
	assert_int_equal(ended.bytes[0], bytes_out);
	assert_int_equal(ended.bytes[0] + ended.bytes[1], lab_stats().rx_bytes);
	assert_in_range(ended.age_ms, 12000, 14000);
	assert_false(lab_event(0, &ended));
	lab_count(OUT);
	lab_count(IN);
	lab_stop();
}

static void events_tell_of_evictions(void **unused)
{
	struct sp_event event;
	unsigned int n = 0;
	(void)unused;

	lab_start(&(struct lab_options){.max4 = 64, .max6 = 64}, RULES("\"10 allow udp log\""));
	assert_int_equal(open_flows(0, 70, 2000), 70);
	for (; lab_event(0, &event); n++) {
		assert_int_equal(event.type, SP_EVENT_FLOW_END);
		assert_int_equal(event.why, SP_END_EVICTED);
		assert_int_equal(event.state, SP_STATE_UDP_NEW);
		assert_int_equal(event.rule, 10);
	}
	assert_int_equal(n, 6);
	lab_stop();
}

static void events_tell_of_denials(void **unused)
{
	const struct sp_frame_spec web = {.dport = 80}, dns = {.proto = IPPROTO_UDP, .dport = 53}, ping = {.proto = IPPROTO_GRE};
	struct sp_event event;

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES_LOGGED("\"10 reject tcp log\", \"11 drop udp\""));
	lab_send(IN, &web);
	lab_send(IN, &dns);
	lab_send(IN, &ping);
	lab_run();
	assert_true(lab_event(0, &event));
	assert_int_equal(event.type, SP_EVENT_DROP);
	assert_int_equal(event.rule, 10);
	assert_int_equal(event.reason, SP_DROP_RULE);
	assert_int_equal(event.verdict, SP_VERDICT_REJECT);
	assert_int_equal(event.length, 54);
	assert_int_equal(event.flow_id, 0);
	assert_true(lab_event(0, &event)); /* rule 11 does not log */
	assert_int_equal(event.rule, 0);
	assert_int_equal(event.reason, SP_DROP_DEFAULT);
	assert_int_equal(event.verdict, SP_VERDICT_DROP);
	assert_int_equal(event.key.proto, IPPROTO_GRE);
	assert_false(lab_event(0, &event));
	lab_stop();
}

/* A ring that nobody reads loses events and says how many; packets are not held up. */
static void full_event_ring_loses_events_and_counts_them(void **unused)
{
	const struct sp_frame_spec dns = {.proto = IPPROTO_UDP, .dport = 53};
	const unsigned int n = SP_EVENT_RING_SIZE + 500;
	struct sp_event event;
	unsigned int taken = 0;

	(void)unused;
	lab_start(&(struct lab_options){0}, RULES("\"10 drop udp log\""));
	for (unsigned int i = 0; i < n; i++) {
		lab_send(IN, &dns);
		if (i % 1000 == 999)
			lab_run();
	}
	lab_run();
	while (lab_event(0, &event))
		taken++;
	assert_int_equal(taken, SP_EVENT_RING_SIZE - 1);
	assert_int_equal(lab.dataplane->workers[0]->events.posted, taken);
	assert_int_equal(lab.dataplane->workers[0]->events.lost, n - taken);
	assert_int_equal(lab_drops(SP_DROP_RULE), n);
	lab_balance(0);
	lab_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_table_refuses_and_counts),
		cmocka_unit_test(eviction_within_a_burst_blames_nobody),
		cmocka_unit_test(max_sessions_and_max_per_source_hold_exactly),
		cmocka_unit_test(source_table_full_fails_closed),
		cmocka_unit_test(rate_of_openings_is_kept),
		cmocka_unit_test(rate_of_packets_counts_both_directions),
		cmocka_unit_test(rate_of_bits_counts_frames),
		cmocka_unit_test(rule_time_out_replaces_the_tables),
		cmocka_unit_test(events_tell_of_start_and_end),
		cmocka_unit_test(events_tell_of_evictions),
		cmocka_unit_test(events_tell_of_denials),
		cmocka_unit_test(full_event_ring_loses_events_and_counts_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
