/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions that outlive their rules: after a reload each is kept, moved or ended, and the quotas tell the truth throughout.
 */
#include "dataplane/rematch.h"
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
		lab.on_change = (uint8_t)(round / 3 % SP_ON_CHANGE_COUNT);
		lab_rules(rules[(round + 1) % RTE_DIM(rules)]);
		if (round % 5 == 4)
			lab_pass(20);
	}
	lab_stop();
}

/* --- keep and kill ---------------------------------------------------------------------------------------------------------------- */

static void change(enum sp_on_change on_change, const char *rules)
{
	lab.on_change = on_change;
	lab_rules(rules);
}

static void keep_leaves_sessions_as_they_are(void **unused)
{
	struct sp_frame_spec other = dns;

	(void)unused;
	start(RULES("\"10 allow udp from inside max_per_source 2\""));
	other.sport = 5000;
	assert_true(passes(&dns));
	change(SP_ON_CHANGE_KEEP, RULES("\"20 drop udp\""));
	assert_true(passes(&dns));
	assert_true(comes_back(&dns));
	assert_false(passes(&other)); /* new ones meet the new rules */
	/* its rule is gone, but its quota, its counters and its slot are not */
	assert_int_equal(lab_quota(10), 1);
	assert_int_equal(lab_rule(10).packets, 3);
	assert_int_equal(lab_stats().rematched + lab_stats().rematch_killed, 0);
	change(SP_ON_CHANGE_KEEP, RULES("\"10 drop udp\"")); /* nor does it matter that the id has another meaning now */
	assert_true(passes(&dns));
	/* the next recheck judges what was kept */
	change(SP_ON_CHANGE_RECHECK, RULES("\"20 drop udp\""));
	assert_false(passes(&dns));
	assert_int_equal(lab_stats().rematch_killed, 1);
	assert_int_equal(lab_quota(10), 0);
	lab_stop();
}

/* Whom a recheck has found guilty stays so, also when his next packet comes only after a change that keeps. */
static void keep_forgives_nothing(void **unused)
{
	(void)unused;
	start(RULES("\"10 allow udp from inside\""));
	assert_true(passes(&dns));
	change(SP_ON_CHANGE_RECHECK, RULES("\"20 drop udp\""));
	change(SP_ON_CHANGE_KEEP, RULES("\"21 drop udp\""));
	assert_false(passes(&dns));
	assert_int_equal(lab_active(), 0);
	/* and the same after kill: a rule that allows it, too, is not enough */
	change(SP_ON_CHANGE_RECHECK, RULES("\"10 allow udp from inside\""));
	assert_true(passes(&dns));
	change(SP_ON_CHANGE_KILL, RULES("\"11 allow udp from inside\""));
	change(SP_ON_CHANGE_KEEP, RULES("\"11 allow udp from inside\""));
	assert_false(comes_back(&dns));
	assert_int_equal(lab_stats().rematch_killed, 2);
	lab_stop();
}

/* What was scanned must not pass unseen because its rule is kept and its patterns are not. */
static void keep_does_not_end_inspection(void **unused)
{
	static const char inspected[] =
		"version = 1; default = { action = \"drop\"; }; inspect = { p = { mode = \"block\"; patterns = ( { id = 7; msg = \"m\"; "
		"pattern = \"attack\"; action = \"drop\"; } ); }; }; rules = ( \"10 allow udp from inside inspect p\" );";
	struct sp_frame_spec attack = dns;

	(void)unused;
	attack.payload = "an attack";
	attack.payload_len = 9;
	start(inspected);
	assert_true(passes(&dns));
	change(SP_ON_CHANGE_KEEP, RULES("\"20 drop udp\""));
	assert_false(passes(&dns));
	assert_int_equal(lab_stats().rematch_killed, 1);
	/* while the rule inspects, it stays and is inspected */
	change(SP_ON_CHANGE_RECHECK, inspected);
	assert_true(passes(&dns));
	change(SP_ON_CHANGE_KEEP, inspected);
	assert_true(passes(&dns));
	assert_false(passes(&attack));
	assert_int_equal(lab_drops(SP_DROP_INSPECT_MATCH), 1);
	lab_stop();
}

/* By the packet path: what kill has not come to yet. */
static void kill_spares_only_unchanged_rules(void **unused)
{
	(void)unused;
	start(RULES("\"10 allow udp from inside\""));
	assert_true(passes(&dns));
	change(SP_ON_CHANGE_KILL,
		RULES("\"5 drop tcp\", \"10 allow udp from inside name 'dns'\", \"11 allow udp from inside\"")); /* a name is no change */
	assert_true(comes_back(&dns));
	assert_int_equal(lab_stats().rematched, 1);
	change(SP_ON_CHANGE_KILL, RULES("\"10 allow udp from inside dport 53\"")); /* it would still allow it */
	assert_false(comes_back(&dns));
	assert_int_equal(lab_stats().rematch_killed, 1);
	assert_true(passes(&dns));
	change(SP_ON_CHANGE_KILL, RULES("\"9 allow udp from inside\", \"10 allow udp from inside dport 53\"")); /* another decides now */
	assert_false(comes_back(&dns));
	change(SP_ON_CHANGE_RECHECK, RULES_ALLOWED("\"20 drop tcp\""));
	assert_true(passes(&dns));
	change(SP_ON_CHANGE_KILL, RULES_ALLOWED("\"21 drop tcp\"")); /* the default's */
	assert_true(comes_back(&dns));
	change(SP_ON_CHANGE_KILL, RULES("\"21 drop tcp\""));
	assert_false(comes_back(&dns));
	assert_int_equal(lab_stats().rematch_killed, 3);
	lab_stop();
}

#define MANY 900

/* Opens MANY UDP sessions, alternately IPv4 and IPv6, to ports 53 and 54. */
static void open_many(void)
{
	for (unsigned int i = 0; i < MANY; i++) {
		struct sp_frame_spec spec = {
			.proto = IPPROTO_UDP, .family = i % 2 ? 6 : 4, .sport = (uint16_t)(10000 + i), .dport = (uint16_t)(53 + i % 3 % 2)};

		lab_send(IN, &spec);
		if (i % 100 == 99)
			lab_run();
	}
	lab_run();
	assert_int_equal(lab_count(OUT), MANY);
	assert_int_equal(lab_active(), MANY);
}

/* What mgmt/judge.c does by mail. Returns the sessions judged. */
static uint64_t walk_all(uint64_t *killed)
{
	uint64_t judged = 0;

	*killed = 0;
	lab_run(); /* workers see the new rules */
	for (unsigned int w = 0; w < lab.dataplane->n_workers; w++) {
		struct sp_rematch_walk walk;
		uint64_t before = 0;

		sp_rematch_walk_init(&walk);
		while (walk.more) {
			walk.request.run(lab.dataplane->workers[w], &walk.request);
			assert_in_range(walk.judged - before, 0, SP_REMATCH_STEP);
			before = walk.judged;
		}
		judged += walk.judged;
		*killed += walk.killed;
	}
	return judged;
}

static void kill_judges_all_at_once(void **unused)
{
	static const char before[] = RULES("\"10 allow udp dport 53 log\", \"11 allow udp dport 54\"");
	uint64_t killed;

	(void)unused;
	lab_start(&(struct lab_options){.n_workers = 2}, before);
	open_many();
	/* nothing changed: all are judged, none goes, and not again */
	change(SP_ON_CHANGE_KILL, before);
	assert_int_equal(walk_all(&killed), MANY);
	assert_int_equal(killed, 0);
	assert_int_equal(walk_all(&killed), 0);
	/* one rule changed: its sessions go, with their quotas and events */
	change(SP_ON_CHANGE_KILL, RULES("\"10 allow udp dport 53-54 log\", \"11 allow udp dport 54\""));
	assert_int_equal(walk_all(&killed), MANY);
	assert_int_equal(killed, MANY); /* rule 11 is unchanged, but 10 decides for its sessions now */
	assert_int_equal(lab_quota(10) + lab_quota(11), 0);
	assert_int_equal(lab_active(), 0);
	open_many();
	change(SP_ON_CHANGE_KILL, RULES("\"10 allow udp dport 53-54 log\""));
	assert_int_equal(walk_all(&killed), MANY);
	assert_int_equal(killed, 0);
	/* by keep nobody is judged */
	change(SP_ON_CHANGE_KEEP, RULES("\"20 drop udp\""));
	assert_int_equal(walk_all(&killed), 0);
	assert_int_equal(lab_active(), MANY);
	change(SP_ON_CHANGE_KILL, RULES("\"20 drop udp\""));
	assert_int_equal(walk_all(&killed), MANY);
	assert_int_equal(killed, MANY);
	lab_balance(0);
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
		cmocka_unit_test(keep_leaves_sessions_as_they_are),
		cmocka_unit_test(keep_forgives_nothing),
		cmocka_unit_test(keep_does_not_end_inspection),
		cmocka_unit_test(kill_spares_only_unchanged_rules),
		cmocka_unit_test(kill_judges_all_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
