/* SPDX-License-Identifier: BSD-3-Clause */
/* The one-line form: what strings become, what is refused, and that formatting is its own inverse. */
#include "policy_of.h"

#include "rules/rule_text.h"

struct pair {
	int field;
	const char *value;
};

struct good {
	const char *text;
	struct pair pairs[12];
	const char *canonical; /* NULL: the text itself */
};

#define F(f, v)                 \
	{                       \
		SP_FIELD_##f, v \
	}

static const struct good goods[] = {
	{"10 allow tcp dport @web_ports inspect web-attacks log name 'lan to web'",
		{F(ID, "10"), F(ACTION, "allow"), F(PROTO, "tcp"), F(DPORT, "@web_ports"), F(INSPECT, "web-attacks"), F(LOG, "true"),
			F(NAME, "lan to web")},
		NULL},
	{"11 allow tcp,udp to @resolvers dport 53",
		{F(ID, "11"), F(ACTION, "allow"), F(PROTO, "tcp,udp"), F(DST, "@resolvers"), F(DPORT, "53")}, NULL},
	{"19 reject log", {F(ID, "19"), F(ACTION, "reject"), F(LOG, "true")}, NULL},
	{"20 reject tcp dport 23", {F(ID, "20"), F(ACTION, "reject"), F(PROTO, "tcp"), F(DPORT, "23")}, NULL},
	{"1 drop", {F(ID, "1"), F(ACTION, "drop")}, NULL},
	{"  1\tdrop  ", {F(ID, "1"), F(ACTION, "drop")}, "1 drop"},
	{"1 allow from inside to outside", {F(ID, "1"), F(ACTION, "allow"), F(FROM, "inside"), F(TO, "outside")}, NULL},
	{"1 allow from inside 10.0.0.0/8 to dmz,outside 192.0.2.1-192.0.2.9",
		{F(ID, "1"), F(ACTION, "allow"), F(FROM, "inside"), F(SRC, "10.0.0.0/8"), F(TO, "dmz,outside"),
			F(DST, "192.0.2.1-192.0.2.9")},
		NULL},
	{"1 allow from cafe::1 to fe80::/10", {F(ID, "1"), F(ACTION, "allow"), F(SRC, "cafe::1"), F(DST, "fe80::/10")}, NULL},
	{"1 allow from !10.0.0.0/8,@lan to interface", {F(ID, "1"), F(ACTION, "allow"), F(SRC, "!10.0.0.0/8,@lan"), F(DST, "interface")},
		NULL},
	{"1 allow from dmz2", {F(ID, "1"), F(ACTION, "allow"), F(FROM, "dmz2")}, NULL},
	{"1 allow to 192.0.2.1 from 192.0.2.2", {F(ID, "1"), F(ACTION, "allow"), F(DST, "192.0.2.1"), F(SRC, "192.0.2.2")},
		"1 allow from 192.0.2.2 to 192.0.2.1"},
	{"1 allow src 192.0.2.1 dst @web proto tcp", {F(ID, "1"), F(ACTION, "allow"), F(SRC, "192.0.2.1"), F(DST, "@web"), F(PROTO, "tcp")},
		"1 allow tcp from 192.0.2.1 to @web"},
	{"1 allow 47 monitor stateless over",
		{F(ID, "1"), F(ACTION, "allow"), F(PROTO, "47"), F(MONITOR, "true"), F(STATELESS, "true"), F(OVER, "true")},
		"1 allow 47 over stateless monitor"},
	{"1 allow log start stateless false", {F(ID, "1"), F(ACTION, "allow"), F(LOG, "start"), F(STATELESS, "false")}, NULL},
	{"1 allow log both", {F(ID, "1"), F(ACTION, "allow"), F(LOG, "both")}, NULL},
	{"1 allow log true", {F(ID, "1"), F(ACTION, "allow"), F(LOG, "true")}, "1 allow log"},
	{"1 allow log enabled false", {F(ID, "1"), F(ACTION, "allow"), F(LOG, "true"), F(ENABLED, "false")}, NULL},
	{"1 drop tcp dport '80, 443' limit '100/s burst 200 per src/24'",
		{F(ID, "1"), F(ACTION, "drop"), F(PROTO, "tcp"), F(DPORT, "80, 443"), F(LIMIT, "100/s burst 200 per src/24")}, NULL},
	{"1 drop name 'it''s mine' comment ''''", {F(ID, "1"), F(ACTION, "drop"), F(NAME, "it's mine"), F(COMMENT, "'")}, NULL},
	{"1 drop name 'log' comment 'port'", {F(ID, "1"), F(ACTION, "drop"), F(NAME, "log"), F(COMMENT, "port")},
		"1 drop name 'log' comment port"},
	{"1 drop bpf 'tcp[13] & 2 != 0'", {F(ID, "1"), F(ACTION, "drop"), F(BPF, "tcp[13] & 2 != 0")}, NULL},
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
		const struct good *g = &goods[i];
		struct sp_policy *policy = sp_policy_new();
		struct sp_rule_value values[SP_RULE_VALUES_MAX];
		struct sp_diags diags = {0};
		struct sp_rule rule = {0};
		size_t needed;
		char text[512];
		int n = sp_rule_text_parse(policy, g->text, "test.rules", 1, values, &diags), k = 0;

		sp_diags_print(&diags, stderr);
		assert_true(n > 0);
		for (; k < n; k++) {
			assert_non_null(g->pairs[k].value);
			assert_int_equal(values[k].field, g->pairs[k].field);
			assert_string_equal(values[k].value, g->pairs[k].value);
			assert_true(values[k].column >= 1);
			rule.value[values[k].field] = values[k].value;
		}
		assert_true(k == 12 || g->pairs[k].value == NULL);
		needed = sp_rule_text_format(&rule, false, text, sizeof(text));
		assert_int_equal(needed, strlen(text));
		assert_string_equal(text, g->canonical != NULL ? g->canonical : g->text);
		sp_policy_free(policy);
	}
}

static const struct {
	const char *text, *says;
	int column;
} bads[] = {
	{"", "the rule is empty", 0},
	{"   ", "the rule is empty", 0},
	{"allow tcp", "starts with its id", 1},
	{"'10' allow", "starts with its id", 1},
	{"-1 allow", "starts with its id", 1},
	{"10", "stands the action", 3},
	{"10 log", "stands the action", 4},
	{"10 allow tcp port 80", "write sport (of the sender) or dport", 14},
	{"10 allow port 80", "write sport", 10},
	{"10 allow tcp dport", "dport needs a value", 14},
	{"10 allow tcp dport log", "'log' is the next field", 14},
	{"10 allow tcp dport 80 dport 81", "dport is said twice", 29},
	{"10 allow tcp proto udp", "proto is said twice", 20},
	{"10 allow id 11", "id is said twice", 13},
	{"10 allow log log", "log is said twice", 14},
	{"10 allow from", "from needs a zone, an address, or both", 10},
	{"10 allow from to outside", "from needs a zone", 10},
	{"10 allow from 192.0.2.1 inside", "unknown word 'inside'", 25},
	{"10 allow from inside outside", "unknown word 'outside'", 22},
	{"10 allow from inside,10.0.0.0/8", "mixes zones and addresses", 15},
	{"10 allow from 10.0.0.0/8,inside", "mixes zones and addresses", 15},
	{"10 allow from inside from outside", "from is said twice", 27},
	{"10 allow src 192.0.2.1 from 192.0.2.2", "src is said twice", 29},
	{"10 allow tcp dprot 80", "did you mean dport", 14},
	{"10 allow any", "leave it out", 10},
	{"10 allow tcp sausage", "unknown word 'sausage'", 14},
	{"10 allow log tcp", "right behind the action", 14},
	{"10 allow 'tcp'", "stands behind no field", 10},
	{"10 allow name 'x", "opened and not closed", 15},
	{"10 allow name 'x'y", "a blank must follow", 15},
	{"10 allow name it's", "a quote inside a word", 17},
	{"10 allow name '\001'", "control character", 16},
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
		struct sp_policy *policy = sp_policy_new();
		struct sp_rule_value values[SP_RULE_VALUES_MAX];
		struct sp_diags diags = {0};

		if (sp_rule_text_parse(policy, bads[i].text, "test.rules", 7, values, &diags) >= 0)
			fail_msg("'%s' was taken", bads[i].text);
		assert_int_equal(diags.n, 1);
		assert_int_equal(diags.v[0].line, 7);
		if (strstr(diags.v[0].text, bads[i].says) == NULL || diags.v[0].column != bads[i].column)
			fail_msg("'%s': %d: %s", bads[i].text, diags.v[0].column, diags.v[0].text);
		sp_diags_clear(&diags);
		sp_policy_free(policy);
	}
}

/* A short buffer gets a cut, terminated text, and the length that was needed. */
static void test_format_cut(void **state)
{
	struct sp_rule rule = {.own = 1u << SP_FIELD_ID | 1u << SP_FIELD_ACTION};
	char text[8] = "xxxxxxx";

	(void)state;
	rule.value[SP_FIELD_ID] = "10";
	rule.value[SP_FIELD_ACTION] = "allow";
	rule.value[SP_FIELD_PROTO] = "tcp";
	assert_int_equal(sp_rule_text_format(&rule, false, text, sizeof(text)), 12);
	assert_string_equal(text, "10 allo");
	assert_int_equal(sp_rule_text_format(&rule, true, text, 0), 8);
	assert_int_equal(sp_rule_text_format(&rule, true, NULL, 0), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_format_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
