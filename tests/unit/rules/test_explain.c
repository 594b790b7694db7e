/* SPDX-License-Identifier: BSD-3-Clause */
/* What decides, what was considered before, the nearest miss; and how it is told to people and as JSON. */
#include "policy_of.h"

#include "rules/explain.h"

static struct sp_policy *policy_read(const char *rules)
{
	struct sp_diags diags = {0};
	struct sp_policy *policy = policy_of(SETS, rules, NULL, &diags);

	sp_diags_print(&diags, stderr);
	assert_non_null(policy);
	policy->builtin_arp = policy->builtin_nd = true;
	return policy;
}

static struct sp_packet_text packet_of(const struct sp_policy *policy, const char *text)
{
	struct sp_packet_text packet;
	char why[160];

	if (sp_packet_text_parse(text, &policy->zones, &packet, why, sizeof(why)) != 0)
		fail_msg("'%s': %s", text, why);
	return packet;
}

#define RULES                                                                     \
	"\"5 drop tcp dport 23 monitor name watch\",\n"                           \
	"\"10 allow tcp from inside @lan to outside dport 443 name 'to web'\",\n" \
	"\"15 drop udp dscp ef\",\n"                                              \
	"\"20 reject tcp\",\n"                                                    \
	"\"25 allow udp dport 53 enabled false\",\n"                              \
	"\"30 allow udp dport 123 bpf 'ip[8] < 5'\""

#define NONE SP_RULE_NONE

static const struct {
	const char *packet;
	uint8_t action;
	uint32_t rule; /* index */
	bool builtin, pending;
	size_t n_steps;
	uint32_t near_miss;
	int near_field;
} rows[] = {
	{"tcp 10.0.0.1:9 > 192.0.2.1:443 from inside to outside", SP_ACTION_ALLOW, 1, false, false, 0, NONE, -1},
	{"tcp 10.0.0.1:9 > 192.0.2.1:444 from inside to outside", SP_ACTION_REJECT, 3, false, false, 0, 1, SP_FIELD_DPORT},
	{"tcp 192.0.2.7:9 > 192.0.2.1:443 from inside to outside", SP_ACTION_REJECT, 3, false, false, 0, 1, SP_FIELD_SRC},
	{"tcp 10.0.0.1:9 > 192.0.2.1:443 from outside to outside", SP_ACTION_REJECT, 3, false, false, 0, 1, SP_FIELD_FROM},
	{"tcp 10.0.0.1:9 > 192.0.2.1:443", SP_ACTION_REJECT, 3, false, false, 0, NONE, -1}, /* misses by from and to */
	{"tcp 10.0.0.1:9 > 192.0.2.1:23", SP_ACTION_REJECT, 3, false, false, 1, NONE, -1},
	{"udp 10.0.0.1:9 > 192.0.2.1:443 from inside to outside dscp=ef", SP_ACTION_DROP, 2, false, false, 0, 1, SP_FIELD_PROTO},
	{"udp 10.0.0.1:9 > 192.0.2.1:53 dscp=0", SP_ACTION_DROP, NONE, false, false, 1, 4, SP_FIELD_ENABLED},
	{"udp 10.0.0.1:9 > 192.0.2.1:123 dscp=0", SP_ACTION_ALLOW, 5, false, true, 2, 2, SP_FIELD_DSCP},
	{"udp 10.0.0.1:9 > 192.0.2.1:124", SP_ACTION_DROP, 2, false, true, 1, NONE, -1},
	{"icmp 10.0.0.1 > 192.0.2.1", SP_ACTION_DROP, NONE, false, false, 0, NONE, -1},
	{"arp", SP_ACTION_ALLOW, NONE, true, false, 0, NONE, -1},
	{"icmpv6 fe80::1 > ff02::1:ff00:1 type=neighbour-solicitation", SP_ACTION_ALLOW, NONE, true, false, 0, NONE, -1},
	{"ethertype=lldp", SP_ACTION_DROP, NONE, false, false, 0, NONE, -1},
};

static void test_decisions(void **state)
{
	struct sp_policy *policy = policy_read(RULES);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sp_packet_text packet = packet_of(policy, rows[i].packet);
		struct sp_explain e;

		sp_explain(policy, &packet, &e);
		if (e.action != rows[i].action || e.rule != rows[i].rule || e.builtin != rows[i].builtin || e.pending != rows[i].pending ||
			e.n_steps != rows[i].n_steps || e.near_miss != rows[i].near_miss || e.near_field != rows[i].near_field) {
			sp_explain_print(policy, &packet, &e, stderr);
			fail_msg("'%s'", rows[i].packet);
		}
	}
	sp_policy_free(policy);
}

static void test_steps(void **state)
{
	struct sp_policy *policy = policy_read(RULES);
	struct sp_packet_text packet = packet_of(policy, "tcp 10.0.0.1:9 > 192.0.2.1:23");
	struct sp_explain e;

	(void)state;
	sp_explain(policy, &packet, &e);
	assert_int_equal(e.steps[0].rule, 0);
	assert_int_equal(e.steps[0].field, -1);
	assert_int_equal(e.steps[0].answer, SP_YES);
	packet = packet_of(policy, "udp 10.0.0.1:9 > 192.0.2.1:123 dscp=0");
	sp_explain(policy, &packet, &e);
	assert_int_equal(e.steps[0].rule, 2);
	assert_int_equal(e.steps[0].field, SP_FIELD_DSCP);
	assert_int_equal(e.steps[0].answer, SP_NO);
	assert_int_equal(e.steps[1].rule, 5);
	assert_int_equal(e.steps[1].field, SP_FIELD_BPF);
	assert_int_equal(e.steps[1].answer, SP_UNKNOWN);
	sp_policy_free(policy);
}

/* More steps than are kept change nothing about the decision, and the one waited for is always the last. */
static void test_many_steps(void **state)
{
	char rules[4096] = "", rule[64];
	struct sp_policy *policy;
	struct sp_packet_text packet;
	struct sp_explain e;

	(void)state;
	for (int i = 1; i <= 40; i++) {
		snprintf(rule, sizeof(rule), "\"%d drop monitor\",", i);
		strcat(rules, rule);
	}
	strcat(rules, "\"99 allow dscp ef\"");
	policy = policy_read(rules);
	packet = packet_of(policy, "udp 10.0.0.1:9 > 192.0.2.1:53");
	sp_explain(policy, &packet, &e);
	assert_int_equal(e.n_steps, SP_EXPLAIN_STEPS_MAX);
	assert_true(e.pending);
	assert_int_equal(e.rule, 40);
	assert_int_equal(e.steps[e.n_steps - 1].rule, 40);
	assert_int_equal(e.steps[e.n_steps - 1].field, SP_FIELD_DSCP);
	sp_policy_free(policy);
}

static char *printed(const struct sp_policy *policy, const char *text)
{
	struct sp_packet_text packet = packet_of(policy, text);
	struct sp_explain e;
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	assert_non_null(f);
	sp_explain(policy, &packet, &e);
	sp_explain_print(policy, &packet, &e, f);
	fclose(f);
	return out;
}

static const struct {
	const char *packet, *text;
} prints[] = {
	{"tcp 10.0.0.1:9 > 192.0.2.1:23", "reject: rule 20 (test.rules:8)\n"
					  "  packet   tcp 10.0.0.1:9 > 192.0.2.1:23 flags=syn\n"
					  "  rule     20 reject tcp\n"
					  "  step     rule 5 'watch' (test.rules:5): monitor, would drop: counted and went on\n"
					  "  note     the rules name zones and the description none: add 'from ZONE to ZONE'\n"},
	{"tcp 10.0.0.1:9 > 192.0.2.1:444 from inside to outside",
		"reject: rule 20 (test.rules:8)\n"
		"  packet   tcp 10.0.0.1:9 > 192.0.2.1:444 from inside to outside flags=syn\n"
		"  rule     20 reject tcp\n"
		"  nearest  rule 10 'to web' (test.rules:6) would allow, but dport wants 443 and the packet has 444\n"},
	{"udp 10.0.0.1:9 > 192.0.2.1:123 dscp=0",
		"pending, would allow: rule 30 (test.rules:10)\n"
		"  packet   udp 10.0.0.1:9 > 192.0.2.1:123 dscp=0\n"
		"  rule     30 allow udp dport 123 bpf 'ip[8] < 5'\n"
		"  step     rule 15 (test.rules:7): dscp wants ef, the packet has 0: went on\n"
		"  step     rule 30 (test.rules:10): bpf 'ip[8] < 5' cannot be told from the description\n"
		"  nearest  rule 15 (test.rules:7) would drop, but dscp wants ef and the packet has 0\n"
		"  note     the rules name zones and the description none: add 'from ZONE to ZONE'\n"},
	{"udp 10.0.0.1:9 > 192.0.2.1:53 dscp=1", "drop: the default, because no rule matches (test.rules:3)\n"
						 "  packet   udp 10.0.0.1:9 > 192.0.2.1:53 dscp=1\n"
						 "  step     rule 15 (test.rules:7): dscp wants ef, the packet has 1: went on\n"
						 "  nearest  rule 25 (test.rules:9) would allow, but is not enabled\n"
						 "  note     the rules name zones and the description none: add 'from ZONE to ZONE'\n"},
	{"arp", "allow: builtin arp, because no rule names its ethertype\n  packet   arp\n"},
	{"tcp 10.0.0.1:9 > 192.0.2.1:443 from inside to outside flags=syn,ack",
		"drop: rule 10 'to web' (test.rules:6) would allow it, but it opens no session (tcp_no_session): only a SYN does\n"
		"  packet   tcp 10.0.0.1:9 > 192.0.2.1:443 from inside to outside flags=syn,ack\n"
		"  rule     10 allow tcp from inside @lan to outside dport 443 name 'to web'\n"},
};

static void test_print(void **state)
{
	struct sp_policy *policy = policy_read(RULES);

	(void)state;
	for (size_t i = 0; i < sizeof(prints) / sizeof(prints[0]); i++) {
		char *text = printed(policy, prints[i].packet);

		assert_string_equal(text, prints[i].text);
		free(text);
	}
	sp_policy_free(policy);
}

/* What each field says of the packet when it is the one that misses. */
static void test_got(void **state)
{
	static const struct {
		const char *rule, *packet, *says;
	} cases[] = {
		{"1 allow udp", "tcp 192.0.2.1 > 192.0.2.2", "proto wants udp and the packet has tcp"},
		{"1 allow dport 5", "icmp 192.0.2.1 > 192.0.2.2 code=5", NULL},
		{"1 allow from inside", "tcp 192.0.2.1 > 192.0.2.2", "from wants inside and the packet has no zone"},
		{"1 allow to inside", "tcp 192.0.2.1 > 192.0.2.2", "to wants inside and the packet has no zone"},
		{"1 allow from @lan", "tcp 192.0.2.1 > 192.0.2.2", "src wants @lan and the packet has 192.0.2.1"},
		{"1 allow to 2001:db8::1", "tcp 2001:db8::3 > 2001:db8::2", "dst wants 2001:db8::1 and the packet has 2001:db8::2"},
		{"1 allow tcp sport 5", "tcp 192.0.2.1:7 > 192.0.2.2", "sport wants 5 and the packet has 7"},
		{"1 allow icmp icmp_type 0", "icmp 192.0.2.1 > 192.0.2.2", "icmp_type wants 0 and the packet has 8 (echo-request)"},
		{"1 allow icmp icmp_code 3", "icmp 192.0.2.1 > 192.0.2.2", "icmp_code wants 3 and the packet has 0"},
		{"1 allow vlan 5", "tcp 192.0.2.1 > 192.0.2.2", "vlan wants 5 and the packet has 0 (untagged)"},
		{"1 allow vlan 5", "tcp 192.0.2.1 > 192.0.2.2 vlan=6", "vlan wants 5 and the packet has 6"},
		{"1 allow", "ethertype=lldp", "ethertype wants ipv4,ipv6 and the packet has lldp"},
		{"1 allow ethertype lldp", "tcp 192.0.2.1 > 192.0.2.2", NULL},
		{"1 allow tcp tcp_flags ack", "tcp 192.0.2.1 > 192.0.2.2", "tcp_flags wants ack and the packet has syn"},
		{"1 allow length 5", "tcp 192.0.2.1 > 192.0.2.2 length=6", "length wants 5 and the packet has 6"},
		{"1 allow src_mac 02:00:5e:10:00:01", "arp src_mac=02:00:5e:10:00:01", NULL},
		{"1 allow src_mac 02:00:5e:10:00:01", "tcp 192.0.2.1 > 192.0.2.2 src_mac=02:00:5e:10:00:02",
			"src_mac wants 02:00:5e:10:00:01 and the packet has 02:00:5e:10:00:02"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_policy *policy = policy_of_rule(cases[i].rule);
		char *text = printed(policy, cases[i].packet);

		if (cases[i].says == NULL ? strstr(text, "nearest") != NULL && i != 15 : strstr(text, cases[i].says) == NULL)
			fail_msg("'%s', '%s': %s", cases[i].rule, cases[i].packet, text);
		free(text);
		sp_policy_free(policy);
	}
}

static void test_json(void **state)
{
	struct sp_policy *policy = policy_read(RULES);
	struct sp_packet_text packet = packet_of(policy, "tcp 10.0.0.1:9 > 192.0.2.1:444 from inside to outside");
	struct sp_explain e;
	json_t *json, *near;

	(void)state;
	sp_explain(policy, &packet, &e);
	json = sp_explain_json(policy, &packet, &e);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "verdict")), "reject");
	assert_int_equal(json_integer_value(json_object_get(json, "rule")), 20);
	assert_int_equal(json_integer_value(json_object_get(json, "line")), 8);
	assert_string_equal(json_string_value(json_object_get(json, "text")), "20 reject tcp");
	assert_true(json_is_null(json_object_get(json, "builtin")));
	assert_true(json_is_false(json_object_get(json, "default")));
	near = json_object_get(json, "near_miss");
	assert_int_equal(json_integer_value(json_object_get(near, "rule")), 10);
	assert_string_equal(json_string_value(json_object_get(near, "field")), "dport");
	assert_string_equal(json_string_value(json_object_get(near, "wanted")), "443");
	assert_string_equal(json_string_value(json_object_get(near, "got")), "444");
	json_decref(json);

	packet = packet_of(policy, "udp 10.0.0.1:9 > 192.0.2.1:123 dscp=0");
	sp_explain(policy, &packet, &e);
	json = sp_explain_json(policy, &packet, &e);
	assert_true(json_is_true(json_object_get(json, "pending")));
	assert_int_equal(json_array_size(json_object_get(json, "steps")), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(json, "steps"), 0), "result")), "no");
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(json, "steps"), 1), "result")), "unknown");
	json_decref(json);

	packet = packet_of(policy, "ethertype=lldp");
	sp_explain(policy, &packet, &e);
	json = sp_explain_json(policy, &packet, &e);
	assert_true(json_is_null(json_object_get(json, "rule")));
	assert_true(json_is_true(json_object_get(json, "default")));
	assert_true(json_is_null(json_object_get(json, "near_miss")));
	json_decref(json);

	packet = packet_of(policy, "arp");
	sp_explain(policy, &packet, &e);
	json = sp_explain_json(policy, &packet, &e);
	assert_string_equal(json_string_value(json_object_get(json, "builtin")), "arp");
	assert_true(json_is_false(json_object_get(json, "default")));
	json_decref(json);
	sp_policy_free(policy);
}

/* A stateful rule, or the default, allows what opens a session; the first packet of a flow that opens none is dropped all the same. */
static void test_no_session(void **state)
{
	static const struct {
		const char *rule, *packet;
		uint8_t action;
		const char *reason, *says;
	} cases[] = {
		{"1 allow", "tcp 192.0.2.1 > 192.0.2.2 flags=syn,ece,cwr,psh,urg", SP_ACTION_ALLOW, NULL, "allow: rule 1"},
		{"1 allow", "tcp 192.0.2.1 > 192.0.2.2 flags=ack", SP_ACTION_DROP, "tcp_no_session",
			"drop: rule 1 (test.rules:6) would allow it, but it opens no session (tcp_no_session): only a SYN does\n"},
		{"1 allow", "tcp 192.0.2.1 > 192.0.2.2 flags=syn,rst", SP_ACTION_DROP, "tcp_flags",
			"drop: no stack sends these TCP flags (tcp_flags)"},
		{"1 allow", "tcp 192.0.2.1 > 192.0.2.2 flags=rst", SP_ACTION_DROP, "tcp_no_session", "opens no session"},
		{"1 allow stateless", "tcp 192.0.2.1 > 192.0.2.2 flags=none", SP_ACTION_DROP, "tcp_flags", "drop: no stack"},
		{"1 allow stateless", "tcp 192.0.2.1 > 192.0.2.2 flags=ack", SP_ACTION_ALLOW, NULL, "allow: rule 1"},
		{"1 drop", "tcp 192.0.2.1 > 192.0.2.2 flags=ack", SP_ACTION_DROP, "rule", "drop: rule 1 (test.rules:6)\n"},
		{"1 reject", "tcp 192.0.2.1 > 192.0.2.2 flags=ack", SP_ACTION_REJECT, "rule", "reject: rule 1 (test.rules:6)\n"},
		{"1 allow", "icmp 192.0.2.1 > 192.0.2.2", SP_ACTION_ALLOW, NULL, "allow: rule 1"},
		{"1 allow", "icmp 192.0.2.1 > 192.0.2.2 type=timestamp-request", SP_ACTION_ALLOW, NULL, "allow: rule 1"},
		{"1 allow", "icmp 192.0.2.1 > 192.0.2.2 type=echo-reply", SP_ACTION_DROP, "icmp_no_session",
			"would allow it, but it opens no session (icmp_no_session): only its request does\n"},
		{"1 allow", "icmp 192.0.2.1 > 192.0.2.2 type=timestamp-reply", SP_ACTION_DROP, "icmp_no_session", "opens no session"},
		{"1 allow", "icmpv6 2001:db8::1 > 2001:db8::2 type=echo-reply", SP_ACTION_DROP, "icmp_no_session", "opens no session"},
		{"1 allow stateless", "icmp 192.0.2.1 > 192.0.2.2 type=echo-reply", SP_ACTION_ALLOW, NULL, "allow: rule 1"},
		{"1 allow", "icmp 192.0.2.1 > 192.0.2.2 type=3", SP_ACTION_ALLOW, NULL, "allow: rule 1"},
		{"1 allow udp", "icmp 192.0.2.1 > 192.0.2.2 type=3", SP_ACTION_DROP, "icmp_no_session", "drop: the default"},
		{"1 allow", "icmp 192.0.2.1 > 192.0.2.2 type=redirect", SP_ACTION_DROP, "icmp_type",
			"would allow it, but lets this ICMP type through only when it names it by icmp_type (icmp_type)\n"},
		{"1 allow stateless", "icmpv6 2001:db8::1 > 2001:db8::2 type=138", SP_ACTION_DROP, "icmp_type", "names it by icmp_type"},
		{"1 allow icmpv6 icmp_type redirect", "icmpv6 fe80::1 > 2001:db8::2 type=redirect", SP_ACTION_ALLOW, NULL, "allow: rule 1"},
		{"1 allow udp", "tcp 192.0.2.1 > 192.0.2.2", SP_ACTION_DROP, "default", "drop: the default"},
		{"1 allow udp", "ethertype=lldp", SP_ACTION_DROP, "route_non_ip", "drop: the default"},
		{"1 allow tcp dscp ef", "tcp 192.0.2.1 > 192.0.2.2 flags=ack", SP_ACTION_DROP, "tcp_no_session",
			"pending, would drop: rule 1 (test.rules:6) would allow it, but"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_policy *policy = policy_of_rule(cases[i].rule);
		struct sp_packet_text packet = packet_of(policy, cases[i].packet);
		char *text = printed(policy, cases[i].packet);
		struct sp_explain e;
		const char *reason;
		json_t *json;

		sp_explain(policy, &packet, &e);
		json = sp_explain_json(policy, &packet, &e);
		reason = json_string_value(json_object_get(json, "reason"));
		if (e.action != cases[i].action || strstr(text, cases[i].says) == NULL)
			fail_msg("'%s', '%s': %s", cases[i].rule, cases[i].packet, text);
		assert_non_null(json_object_get(json, "reason"));
		if (cases[i].reason == NULL ? reason != NULL : reason == NULL || strcmp(reason, cases[i].reason) != 0)
			fail_msg("'%s', '%s': reason %s", cases[i].rule, cases[i].packet, reason);
		json_decref(json);
		free(text);
		sp_policy_free(policy);
	}
}

static void test_no_session_by_default(void **state)
{
	struct sp_policy *policy = policy_of_rule("1 allow udp");
	char *text;

	(void)state;
	policy->default_action = SP_ACTION_ALLOW;
	text = printed(policy, "tcp 192.0.2.1 > 192.0.2.2 flags=ack");
	assert_non_null(strstr(
		text, "drop: the default (test.rules:4) would allow it, but it opens no session (tcp_no_session): only a SYN does\n"));
	free(text);
	text = printed(policy, "tcp 192.0.2.1 > 192.0.2.2");
	assert_non_null(strstr(text, "allow: the default"));
	free(text);
	sp_policy_free(policy);
}

/* A file name that is not UTF-8 still makes JSON. */
static void test_json_file_name(void **state)
{
	struct sp_policy *policy = policy_read("\"1 drop\"");
	struct sp_packet_text packet = packet_of(policy, "tcp 192.0.2.1 > 192.0.2.2");
	struct sp_explain e;
	json_t *json;

	(void)state;
	policy->rules[0].file = "caf\xe9.rules";
	sp_explain(policy, &packet, &e);
	json = sp_explain_json(policy, &packet, &e);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "file")), "caf?.rules");
	json_decref(json);
	sp_policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_many_steps),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_got),
		cmocka_unit_test(test_no_session),
		cmocka_unit_test(test_no_session_by_default),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_file_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
