/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions that outlive their rules: after a reload each is kept, moved or ended, and the quotas tell the truth throughout.
 */
#include "tests/unit/dataplane/worker_fixture.h"

static const struct sp_frame_spec dns = {.proto = IPPROTO_UDP, .dport = 53}, web, web6 = {.family = 6};

static void start(const char *rules)
{
	lab_start(&(struct lab_options){0}, rules);
}

static bool passes(const struct sp_frame_spec *spec)
{
	lab_send(IN, spec);
	lab_run();
	lab_balance(0);
	return lab_count(OUT) == 1;
}

static bool comes_back(const struct sp_frame_spec *spec)
{
	struct sp_frame_spec back = lab_reply(spec);

	lab_send(OUT, &back);
	lab_run();
	lab_balance(0);
	return lab_count(IN) == 1;
}

static void open_tcp(const struct sp_frame_spec *flow)
{
	assert_true(passes(flow));
	lab_send_tcp(OUT, flow, SYN | ACK, NULL);
	lab_run();
	lab_send_tcp(IN, flow, ACK, NULL);
	lab_run();
	assert_int_equal(lab_count(IN) + lab_count(OUT), 2);
}

static bool data_passes(const struct sp_frame_spec *flow)
{
	lab_send_tcp(IN, flow, PSH | ACK, "data");
	lab_run();
	lab_balance(0);
	return lab_count(OUT) == 1;
}

static void kept_when_the_rules_still_allow_it(void **unused)
{
	(void)unused;
	start(RULES("\"10 allow tcp,udp from inside to outside\""));
	open_tcp(&web);
	open_tcp(&web6);
	assert_true(passes(&dns));
	lab_rules(RULES("\"5 drop icmp\", \"10 allow tcp,udp from inside to outside\""));
	assert_int_equal(lab_stats().rematched, 0); /* nobody is judged before the next packet */
	assert_true(data_passes(&web));
	assert_true(data_passes(&web6));
	assert_true(comes_back(&dns)); /* by the opener's tuple and zones, whichever direction comes */
	assert_int_equal(lab_stats().rematched, 3);
	assert_true(data_passes(&web));
	assert_int_equal(lab_stats().rematched, 3);
	assert_int_equal(lab_active(), 3);
	assert_int_equal(lab_quota(10), 3);
	lab_stop();
}

static void ended_when_the_rules_deny_it_now(void **unused)
{
	struct sp_event event;

	(void)unused;
	start(RULES("\"10 allow tcp,udp from inside log\""));
	open_tcp(&web);
	open_tcp(&web6);
	assert_true(passes(&dns));
	lab_rules(RULES("\"10 allow udp from inside log\", \"20 reject tcp from inside\""));
	assert_false(data_passes(&web)); /* it is a packet of no session now, and rule 20's */
	assert_int_equal(lab_drops(SP_DROP_RULE), 1);
	assert_int_equal(lab_count(IN), 1);
	assert_int_equal(lab_stats().rematch_killed, 1);
	assert_true(lab_event(0, &event));
	assert_int_equal(event.type, SP_EVENT_FLOW_END);
	assert_int_equal(event.why, SP_END_RULES);
	assert_int_equal(event.rule, 10);
	assert_int_equal(event.packets[0], 2);
	assert_int_equal(event.packets[1], 1);
	/* a reply ends it as well, and is denied */
	lab_send_tcp(OUT, &web6, ACK, NULL);
	lab_run();
	assert_int_equal(lab_count(IN), 0);
	assert_int_equal(lab_drops(SP_DROP_DEFAULT), 1);
	assert_true(passes(&dns));
	assert_int_equal(lab_active(), 1);
	assert_int_equal(lab_quota(10), 1);
	lab_stop();
}

/* Many packets of one session in the burst in which it ends: each is judged anew, and none touches what is gone. */
static void ended_in_the_middle_of_a_burst(void **unused)
{
	(void)unused;
	start(RULES("\"10 allow udp\""));
	assert_true(passes(&dns));
	lab_rules(RULES("\"20 drop udp\""));
	for (unsigned int i = 0; i < SP_BURST_MAX; i++) {
		struct sp_frame_spec back = lab_reply(&dns);

		lab_send(IN, i % 2 ? &dns : &back);
	}
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_RULE), SP_BURST_MAX);
	assert_int_equal(lab_stats().rematch_killed, 1);
	assert_int_equal(lab_active(), 0);
	lab_stop();
}

static void moved_to_the_rule_that_allows_it_now(void **unused)
{
	(void)unused;
	start(RULES("\"10 allow udp max_sessions 5 max_per_source 5 log\""));
	assert_true(passes(&dns));
	assert_int_equal(lab_quota(10), 1);
	lab_rules(RULES("\"7 allow udp dport 53\", \"10 allow udp max_sessions 5 max_per_source 5 log\""));
	assert_true(passes(&dns));
	assert_int_equal(lab_quota(7), 1);
	assert_int_equal(lab_quota(10), 0);
	assert_int_equal(lab_rule(7).packets, 1);
	assert_int_equal(lab_rule(7).hits, 0);
	assert_int_equal(lab_rule(10).packets, 1);
	/* to the default, when that allows */
	lab_rules(RULES_ALLOWED("\"20 drop tcp\""));
	assert_true(passes(&dns));
	assert_int_equal(lab_quota(0), 1);
	assert_int_equal(lab_quota(7), 0);
	/* and back to a rule */
	lab_rules(RULES("\"10 allow udp max_sessions 5 max_per_source 5 log\""));
	assert_true(comes_back(&dns));
	assert_int_equal(lab_quota(0), 0);
	assert_int_equal(lab_quota(10), 1);
	lab_pass(400);
	assert_int_equal(lab_active(), 0);
	assert_int_equal(lab_quota(10), 0);
	/* it moved without a place in the source's quota; five more fit, and not six */
	for (unsigned int i = 0; i < 6; i++) {
		struct sp_frame_spec other = {.proto = IPPROTO_UDP, .sport = (uint16_t)(5000 + i)};

		assert_int_equal(passes(&other), i < 5);
	}
	assert_int_equal(lab_drops(SP_DROP_LIMIT), 1);
	lab_stop();
}

/* The options of the rule that has it now hold: inspection begins, the log stops. */
static void options_follow_the_rule(void **unused)
{
	static const char inspected[] =
		"version = 1; default = { action = \"drop\"; }; inspect = { p = { mode = \"block\"; patterns = ( { id = 7; msg = \"m\"; "
		"pattern = \"attack\"; action = \"drop\"; } ); }; }; rules = ( \"10 allow tcp,udp inspect p\" );";
	struct sp_frame_spec attack = dns;
	struct sp_event event;

	(void)unused;
	start(RULES("\"10 allow tcp,udp log\""));
	attack.payload = "an attack";
	attack.payload_len = 9;
	assert_true(passes(&attack));
	lab_rules(inspected);
	assert_false(passes(&attack));
	assert_int_equal(lab_drops(SP_DROP_INSPECT_MATCH), 1);
	assert_true(lab_event(0, &event));
	assert_int_equal(event.type, SP_EVENT_ALERT);
	assert_int_equal(event.signature, 7);
	/* blocked it stays, also under rules that do not inspect */
	lab_rules(RULES("\"10 allow tcp,udp log\""));
	assert_false(passes(&dns));
	assert_int_equal(lab_drops(SP_DROP_INSPECT_BLOCKED), 1);
	lab_stop();
}

/* Packet-only fields: matched while the rule that admitted the session is unchanged, not matched in any other rule. */
static void residual_fields_count_while_the_rule_is_unchanged(void **unused)
{
	struct sp_frame_spec marked = dns;

	(void)unused;
	marked.tos = 46 << 2;
	start(RULES("\"10 allow udp from inside dscp 46\", \"20 drop udp\""));
	assert_true(passes(&marked));
	/* another name, another place: the same rule */
	lab_rules(RULES("\"5 drop icmp\", \"10 allow udp from inside dscp 46 name 'voice'\", \"20 drop udp\""));
	assert_true(comes_back(&marked));
	assert_int_equal(lab_stats().rematched, 1);
	/* a new rule before it that only a packet can answer is passed over */
	lab_rules(RULES("\"4 drop udp dscp 46\", \"10 allow udp from inside dscp 46\", \"20 drop udp\""));
	assert_true(comes_back(&marked));
	assert_int_equal(lab_quota(10), 1);
	/* changed: its fields say nothing of this session any more, so rule 20 has it */
	lab_rules(RULES("\"10 allow udp from inside dscp 46,34\", \"20 drop udp\""));
	assert_false(comes_back(&marked));
	assert_int_equal(lab_stats().rematch_killed, 1);
	assert_int_equal(lab_quota(10), 0);
	lab_stop();
}

static void monitor_rules_decide_no_session(void **unused)
{
	(void)unused;
	start(RULES("\"10 allow udp\""));
	assert_true(passes(&dns));
	lab_rules(RULES("\"5 drop udp monitor\", \"10 allow udp\""));
	assert_true(passes(&dns));
	assert_int_equal(lab_quota(10), 1);
	assert_int_equal(lab_rule(5).hits, 0);
	/* a stateless rule keeps no sessions: it judges the packets alone */
	lab_rules(RULES("\"10 allow udp stateless\""));
	assert_true(passes(&dns));
	assert_int_equal(lab_active(), 0);
	assert_int_equal(lab_quota(10), 0);
	lab_stop();
}

/* Many sessions of both families and two workers through many rulesets: the sums of the quotas are the sessions, and zero in the end. */
static void quotas_are_exact_through_many_reloads(void **unused)
{
	static const char *const rules[] = {
		RULES("\"10 allow udp max_per_source 40\", \"11 allow tcp\""),
		RULES("\"9 allow udp sport 0-20000 max_sessions 30\", \"10 allow udp max_per_source 40\", \"11 allow tcp\""),
		RULES("\"9 drop udp sport 0-10009\", \"10 allow udp\""),
		RULES_ALLOWED("\"12 allow udp sport 10010-10020 max_per_source 100\""),
	};
	const uint32_t ids[] = {0, 9, 10, 11, 12};

	(void)unused;
	lab_start(&(struct lab_options){.n_workers = 2}, rules[0]);
	for (unsigned int round = 0; round < 40; round++) {
		uint32_t sum = 0;

		for (unsigned int i = 0; i < 60; i++) {
			struct sp_frame_spec spec = {
				.proto = IPPROTO_UDP, .family = i % 2 ? 6 : 4, .sport = (uint16_t)(10000 + i + round % 7)};

			lab_send(IN, &spec);
		}
		lab_run();
		lab_count(OUT);
		lab_balance(0);
		for (size_t i = 0; i < RTE_DIM(ids); i++)
			if (ids[i] == 0 || sp_rule_table_slot(&lab.dataplane->rule_table, ids[i]) != UINT32_MAX)
				sum += lab_quota(ids[i]);
		assert_int_equal(sum, lab_active());
		assert_in_range(sum, 1, 200);
		lab_rules(rules[(round + 1) % RTE_DIM(rules)]);
		if (round % 5 == 4)
			lab_pass(20);
	}
	lab_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_when_the_rules_still_allow_it),
		cmocka_unit_test(ended_when_the_rules_deny_it_now),
		cmocka_unit_test(ended_in_the_middle_of_a_burst),
		cmocka_unit_test(moved_to_the_rule_that_allows_it_now),
		cmocka_unit_test(options_follow_the_rule),
		cmocka_unit_test(residual_fields_count_while_the_rule_is_unchanged),
		cmocka_unit_test(monitor_rules_decide_no_session),
		cmocka_unit_test(quotas_are_exact_through_many_reloads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
