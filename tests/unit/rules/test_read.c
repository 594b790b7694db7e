/* SPDX-License-Identifier: BSD-3-Clause */
/* From text to policy: what a good file becomes, and the line and words for each fault of a bad one. */
#include "rules/read.h"

#include <errno.h>
#include <hs/hs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAD "version = 1; default = { action = \"drop\"; };\n"

static char folder[] = "/tmp/sp-test-read-XXXXXX";

static void write_file(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[256];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static struct sp_policy *read_text(const char *text, struct sp_diags *diags)
{
	struct sp_read_options options = {.file = "test.rules", .api_body = true};

	return sp_policy_read(text, strlen(text), &options, diags);
}

static struct sp_policy *read_good(const char *text)
{
	struct sp_diags diags = {0};
	struct sp_policy *policy = read_text(text, &diags);

	if (!policy)
		fail_msg("%s\nline %d: %s", text, diags.v[0].line, diags.v[0].text);
	assert_int_equal(diags.errors, 0);
	sp_diags_clear(&diags);
	return policy;
}

static const struct sp_rule *rule_of(const struct sp_policy *policy, uint32_t id)
{
	for (size_t i = 0; i < policy->n_rules; i++) {
		if (policy->rules[i].id == id)
			return &policy->rules[i];
	}
	fail_msg("no rule %u", id);
	return NULL;
}

static void test_whole_file(void **state)
{
	struct sp_policy *policy = read_good(
		"version = 1;\n"
		"sets = { lan = [ \"10.0.0.0/8\", \"2001:db8:10::/48\" ]; web_ports = \"80, 443,8000-8100\"; p = [ 1, 2 ]; one = 7; };\n"
		"inspect = { web = { mode = \"block\"; signatures = [ ]; depth = \"64K\"; patterns = (\n"
		"  { id = 9; msg = \"m\"; pattern = \"union\\\\s\"; flags = \"ism\"; action = \"drop\"; },\n"
		"  { id = 8; msg = \"n\"; pattern = \"x\"; action = \"alert\"; } ); };\n"
		" watch = { mode = \"detect\"; patterns = ( { id = 7; msg = \"m\"; pattern = \"x\"; action = \"drop\"; } ); }; };\n"
		"default = { action = \"reject\"; log = true; };\n"
		"builtin = { nd = false; };\n"
		"nat = ( );\n"
		"rules = (\n"
		"  { group = \"g\"; from = \"inside\"; src = \"@lan\"; proto = \"tcp\"; rules = (\n"
		"    \"10 allow to outside dport @web_ports\",\n"
		"    { id = 11; action = \"drop\"; proto = \"udp\"; dport = [ 53, 5353 ]; } ); },\n"
		"  \"20 reject tcp dport 23\",\n"
		"  { id = 30; action = \"allow\"; proto = ( \"tcp\", \"udp\" ); dport = 443; stateless = true; bpf = \"len > 5\"; }\n"
		");\n"
		"expect = ( \"allow 10: tcp 10.0.0.1 > 192.0.2.1:80 from inside to outside\", \"drop\" );\n");
	const struct sp_rule *rule;

	(void)state;
	assert_string_equal(policy->file, "test.rules");
	assert_int_equal(policy->n_sets, 4);
	assert_int_equal(policy->sets[1].ports.n, 3);
	assert_int_equal(policy->sets[2].ports.n, 1);
	assert_int_equal(policy->n_profiles, 2);
	assert_string_equal(policy->profiles[0].name, "web");
	assert_true(policy->profiles[0].block);
	assert_int_equal(policy->profiles[0].depth_bytes, 65536);
	assert_int_equal(policy->profiles[0].n_patterns, 2);
	assert_int_equal(policy->profiles[0].patterns[0].line, 4);
	assert_string_equal(policy->profiles[0].patterns[0].pattern, "union\\s");
	assert_int_equal(policy->profiles[0].patterns[0].flags, HS_FLAG_CASELESS | HS_FLAG_DOTALL | HS_FLAG_MULTILINE);
	assert_int_equal(policy->profiles[0].patterns[0].action, SP_PATTERN_DROP);
	assert_int_equal(policy->profiles[1].patterns[0].action, SP_PATTERN_ALERT);
	assert_int_equal(policy->default_action, SP_ACTION_REJECT);
	assert_int_equal(policy->default_log, SP_LOG_END);
	assert_int_equal(policy->default_line, 7);
	assert_true(policy->builtin_arp);
	assert_false(policy->builtin_nd);
	assert_int_equal(policy->n_rules, 4);
	assert_int_equal(policy->n_expects, 2);
	assert_int_equal(policy->expects[0].line, 17);

	rule = rule_of(policy, 10);
	assert_int_equal(rule->line, 12);
	assert_string_equal(rule->group, "g");
	assert_true(sp_rule_has_proto(rule, 6));
	assert_int_equal(rule->dport.n, 3);
	assert_true(rule->own & (1ull << SP_FIELD_DPORT));
	assert_false(rule->own & (1ull << SP_FIELD_PROTO));
	assert_false(rule->own & (1ull << SP_FIELD_SRC));
	rule = rule_of(policy, 11); /* its own proto wins over the group's */
	assert_int_equal(rule->line, 13);
	assert_true(sp_rule_has_proto(rule, 17));
	assert_false(sp_rule_has_proto(rule, 6));
	assert_true(rule->own & (1ull << SP_FIELD_PROTO));
	assert_int_equal(rule->dport.n, 2);
	assert_int_equal(rule->dport.v[1].lo, 5353);
	assert_true(rule->src >= 0);
	rule = rule_of(policy, 20);
	assert_null(rule->group);
	assert_int_equal(rule->src, -1);
	rule = rule_of(policy, 30);
	assert_int_equal(rule->line, 15);
	assert_true(rule->stateless);
	assert_true(sp_rule_has_proto(rule, 17) && sp_rule_has_proto(rule, 6));
	assert_non_null(rule->residual.bpf);
	sp_policy_free(policy);
}

static void test_same_rule_in_both_forms(void **state)
{
	struct sp_policy *a = read_good(HEAD "rules = ( \"1 allow tcp from a 10.0.0.0/8 to b dport 80,443 log start\" );");
	struct sp_policy *b = read_good(
		HEAD "rules = ( { id = 1; action = \"allow\"; dport = ( 80, \"443\" ); proto = \"tcp\"; from = \"a\"; to = \"b\"; "
		     "src = [ \"10.0.0.0/8\" ]; log = \"start\"; } );");
	struct sp_policy *c = read_good(
		HEAD "rules = ( { group = \"g\"; from = \"a\"; to = \"b\"; rules = ( \"1 allow tcp from 10.0.0.0/8 dport 80,443\" ); } );");

	(void)state;
	assert_true(a->rules[0].content_hash == b->rules[0].content_hash);
	assert_true(a->rules[0].content_hash == c->rules[0].content_hash);
	for (int f = 0; f < SP_FIELD_COUNT; f++) {
		assert_int_equal(!a->rules[0].value[f], !b->rules[0].value[f]);
		if (a->rules[0].value[f])
			assert_string_equal(a->rules[0].value[f], b->rules[0].value[f]);
	}
	sp_policy_free(a);
	sp_policy_free(b);
	sp_policy_free(c);
}

#define PROFILE "inspect = { p = {\n"
#define PATTERN "patterns = (\n { id = 1; msg = \"m\"; pattern = \"x\"; action = \"drop\"; }\n);"
#define RULE    HEAD "rules = (\n"

static void test_refuses(void **state)
{
	static const struct {
		const char *text;
		int line;
		const char *why;
	} cases[] = {
		{"", 0, "is empty"},
		{"\n", 0, "'version' is missing"},
		{"version = 1; rules = ( );", 0, "'default' is missing"},
		{HEAD, 0, "'rules' is missing"},
		{"\nversion = 2;", 2, "needs a release of Sallyport after"},
		{"version = 0;", 1, "write version = 1"},
		{"version = \"1\";", 1, "write version = 1"},
		{"version = ( 1 );", 1, "write version = 1"},
		{HEAD "rules = ( );\nrulez = ( );", 3, "unknown name 'rulez': did you mean 'rules'?"},
		{HEAD "rules = ( );\nxyzzy = ( );", 3, "unknown name 'xyzzy'"},
		{HEAD "rules = ( );\nversion = 1;", 3, "given twice"},
		{HEAD "rules = { };", 2, "'rules' must be a list ( )"},
		{HEAD "rules = [ \"1 allow\" ];", 2, "'rules' must be a list ( )"},
		{HEAD "rules = \"1 allow\";", 2, "'rules' must be a list ( )"},
		{"version = 1; rules = ( );\ndefault = \"drop\";", 2, "must be a group"},
		{"version = 1; rules = ( );\ndefault = { };", 2, "needs action"},
		{"version = 1; rules = ( );\ndefault = {\n action = \"deny\"; };", 3, "needs action"},
		{"version = 1; rules = ( );\ndefault = {\n action = 1; };", 3, "needs action"},
		{"version = 1; rules = ( );\ndefault = { action = \"drop\";\n log = 1; };", 3, "'log' must be"},
		{"version = 1; rules = ( );\ndefault = { action = \"drop\";\n logg = true; };", 3, "did you mean 'log'"},
		{HEAD "rules = ( ); builtin = {\n arp = 1; };", 3, "true or false"},
		{HEAD "rules = ( ); builtin = {\n dhcp = true; };", 3, "unknown name 'dhcp'"},
		{HEAD "rules = ( );\nnat = { };", 3, "'nat' must be a list"},
		{HEAD "rules = ( );\nschedules = { a = \"b\"; };", 3, "'schedules' is not supported yet"},
		{HEAD "rules = ( );\nexpect = \"allow\";", 3, "must be a list"},
		{HEAD "rules = ( );\nexpect = (\n 1 );", 4, "only strings"},
		{HEAD "rules = ( );\nexpect = (\n \"\" );", 4, "only strings"},
		/* rules */
		{RULE "1 );", 3, "a string or a group"},
		{RULE "( ) );", 3, "a string or a group"},
		{RULE "{ action = \"drop\"; } );", 3, "needs an id"},
		{RULE "{ id = 1; } );", 3, "needs action"},
		{RULE "{ id = 1; action = \"drop\";\n dprot = 80; } );", 4, "unknown field 'dprot': did you mean 'dport'?"},
		{RULE "{ id = 1; action = \"drop\";\n port = 80; } );", 4, "'sport'"},
		{RULE "{ id = 1; action = \"drop\";\n dport = [ ]; } );", 4, "empty list"},
		{RULE "{ id = 1; action = \"drop\";\n dport = \"\"; } );", 4, "not empty"},
		{RULE "{ id = 1; action = \"drop\";\n dport = { }; } );", 4, "or a list of these"},
		{RULE "{ id = 1; action = \"drop\"; dport = (\n 80, true ); } );", 4, "a list holds strings"},
		{RULE "{ id = 1; action = \"drop\"; dport = (\n ( 80 ) ); } );", 4, "a list holds strings"},
		{RULE "{ id = 1; action = \"drop\"; proto = \"tcp\";\n dport = 70000; } );", 3, "70000"},
		{RULE "{ id = 1; action = \"drop\"; proto = \"tcp\";\n proto = \"udp\"; } );", 4, "given twice"},
		{RULE "\"1 allow\",\n\"2 drop\",\n\"1 drop\" );", 5, "rule id 1 is already used at test.rules:3"},
		{RULE "\"1 allow\", { group = \"g\"; rules = (\n \"1 drop\" ); } );", 4, "rule id 1 is already used at test.rules:3"},
		{RULE "\"1 allow tcp port 80\" );", 3, "dport"},
		{RULE "\"1 allow tcp dport 70000\" );", 3, "70000"},
		{RULE "\"1 allow from @nowhere\" );", 3, "nowhere"},
		{RULE "\"1 allow from 10.0.0.0/40\" );", 3, "32"},
		{RULE "\"allow\" );", 3, ""},
		{RULE "\"1 allow bpf 'tcp['\" );", 3, ""},
		{RULE "{ group = \"g\"; } );", 3, "needs rules"},
		{RULE "{ rules = ( ); } );", 3, "needs a name"},
		{RULE "{ group = 1; rules = ( ); } );", 3, "'group' must be a string"},
		{RULE "{ group = \"g\";\n rules = \"x\"; } );", 4, "must be a list"},
		{RULE "{ group = \"g\"; id = 1; rules = ( ); } );", 3, "neither 'id' nor 'name'"},
		{RULE "{ group = \"g\"; rules = (\n { group = \"h\"; rules = ( ); } ); } );", 4, "groups do not nest: end group 'g'"},
		{RULE "{ group = \"g\";\n srcs = \"x\"; rules = ( ); } );", 4, "did you mean 'src'"},
		/* sets */
		{HEAD "rules = ( ); sets = ( );", 2, "must be a group"},
		{HEAD "rules = ( ); sets = {\n a = true; };", 3, "strings and numbers only"},
		{HEAD "rules = ( ); sets = {\n a = ( \"10.0.0.0/8\",\n { } ); };", 4, "strings and numbers only"},
		{HEAD "rules = ( ); sets = {\n a = [ \"10.0.0.0/8\",\n \"10.0.0.0/77\" ]; };", 4, "over 32"},
		{HEAD "rules = ( ); sets = {\n a = \"80,,90\"; };", 3, "empty member"},
		{HEAD "rules = ( ); sets = {\n a = \"80\";\n a = \"90\"; };", 4, "given twice"},
		{HEAD "rules = ( ); sets = {\n a = \"file:x.txt\"; };", 3, "cannot be read here"},
		/* inspect */
		{HEAD "rules = ( );\n" PROFILE PATTERN "}; };", 3, "needs mode"},
		{HEAD "rules = ( );\n" PROFILE "mode = \"stop\"; " PATTERN "}; };", 4, "needs mode"},
		{HEAD "rules = ( );\n" PROFILE "mode = \"block\"; }; };", 3, "has no patterns"},
		{HEAD "rules = ( );\n" PROFILE "mode = \"block\"; signatures = [ \"x\" ]; }; };", 4, "'signatures' is not supported yet"},
		{HEAD "rules = ( );\n" PROFILE "mode = \"block\"; depth = -1; " PATTERN "}; };", 4, "'depth' must be"},
		{HEAD "rules = ( );\n" PROFILE "mode = \"block\"; depth = \"many\"; " PATTERN "}; };", 4, "'depth' must be"},
		{HEAD "rules = ( );\n" PROFILE "mode = \"block\"; dept = 1; " PATTERN "}; };", 4, "did you mean 'depth'"},
		{HEAD "rules = ( );\n" PROFILE "mode = \"block\"; patterns = (\n 1 ); }; };", 5, "must be a group"},
		{HEAD "rules = ( );\n" PROFILE
		      "mode = \"block\"; patterns = (\n { msg = \"m\"; pattern = \"x\"; action = \"drop\"; } ); }; };",
			5, "needs id"},
		{HEAD "rules = ( );\n" PROFILE "mode = \"block\"; patterns = (\n { id = 1; pattern = \"x\"; action = \"drop\"; } ); }; };",
			5, "'msg' is missing"},
		{HEAD "rules = ( );\n" PROFILE "mode = \"block\"; patterns = (\n { id = 1; msg = \"m\"; action = \"drop\"; } ); }; };", 5,
			"'pattern' is missing"},
		{HEAD "rules = ( );\n" PROFILE
		      "mode = \"block\"; patterns = (\n { id = 1; msg = \"m\"; pattern = \"\"; action = \"drop\"; } ); }; };",
			5, "'pattern' must be a string"},
		{HEAD "rules = ( );\n" PROFILE "mode = \"block\"; patterns = (\n { id = 1; msg = \"m\"; pattern = \"x\"; } ); }; };", 5,
			"needs action"},
		{HEAD "rules = ( );\n" PROFILE "mode = \"block\"; patterns = (\n { id = 1; msg = \"m\"; pattern = \"x\"; action = "
		      "\"drop\"; flags = \"iq\"; } ); }; };",
			5, "'flags' is made of"},
		{HEAD "rules = ( );\n" PROFILE "mode = \"block\"; patterns = (\n { id = 1; msg = \"m\"; pattern = \"x\"; action = "
		      "\"drop\"; flags = \"ii\"; } ); }; };",
			5, "each once"},
		{HEAD "rules = ( );\n" PROFILE "mode = \"block\"; patterns = (\n { id = 1; msg = \"m\"; pattern = \"x\"; action = "
		      "\"drop\"; flags = \"iu\"; } ); }; };",
			5, "'flags' has u"},
		{HEAD "rules = ( );\n" PROFILE "mode = \"block\"; " PATTERN "}; q = { mode = \"block\"; " PATTERN "}; };", 7,
			"pattern id 1 is used twice"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_diags diags = {0};

		if (read_text(cases[i].text, &diags))
			fail_msg("%s\nwas not refused", cases[i].text);
		assert_true(diags.errors > 0);
		if (diags.v[0].line != cases[i].line || !strstr(diags.v[0].text, cases[i].why))
			fail_msg("%s\nline %d: %s", cases[i].text, diags.v[0].line, diags.v[0].text);
		sp_diags_clear(&diags);
	}
}

/* What a rule names may itself have been refused: the rule is read all the same, and must not trip over it. */
static void test_faults_that_rules_refer_to(void **state)
{
	static const char *const patterns[] = {"{ }", "1", "{ id = 1; msg = \"m\"; action = \"drop\"; }", "{ id = 1; pattern = \"p\"; }"};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		struct sp_diags diags = {0};

		snprintf(text, sizeof(text),
			HEAD "inspect = { p = { mode = \"block\"; patterns = ( %s ); }; q = 1; };\nrules = ( \"1 allow tcp inspect p\", "
			     "\"2 allow tcp inspect q\" );",
			patterns[i]);
		assert_null(read_text(text, &diags));
		assert_int_equal(diags.v[0].line, 2);
		sp_diags_clear(&diags);
	}
}

/* One run names every fault, not only the first. */
static void test_all_faults_at_once(void **state)
{
	struct sp_diags diags = {0};

	(void)state;
	assert_null(read_text(HEAD "rules = (\n \"1 allow tcp dport 99999\",\n { id = 2; action = \"drop\"; foo = 1; },\n \"3 drop\",\n "
				   "\"3 drop\" );\nnat = ( 1 );",
		&diags));
	assert_int_equal(diags.errors, 4);
	assert_int_equal(diags.v[0].line, 3);
	assert_int_equal(diags.v[1].line, 4);
	assert_int_equal(diags.v[2].line, 6);
	assert_int_equal(diags.v[3].line, 7);
	sp_diags_clear(&diags);
}

static void test_many_faults_bounded(void **state)
{
	enum { RULES = 20000 };
	struct sp_diags diags = {0};
	char *text = malloc(RULES * 16 + 256), *p = text;

	(void)state;
	assert_non_null(text);
	p += sprintf(p, HEAD "rules = (\n");
	for (int i = 0; i < RULES; i++)
		p += sprintf(p, "\"1 nonsense\",\n");
	sprintf(p, ");\n");
	assert_null(read_text(text, &diags));
	assert_int_equal(diags.n, SP_DIAGS_MAX);
	assert_true(diags.errors < 2 * SP_DIAGS_MAX);
	sp_diags_clear(&diags);
	free(text);
}

static void test_many_rules(void **state)
{
	enum { RULES = 100000 };
	char *text = malloc(RULES * 80 + 256), *p = text;
	struct sp_diags diags = {0};
	struct sp_policy *policy;

	(void)state;
	assert_non_null(text);
	p += sprintf(p, HEAD "rules = (\n");
	for (int i = 1; i <= RULES; i++)
		p += sprintf(p, "\"%d allow tcp from 10.%d.%d.%d dport %d\"%s\n", i, i >> 16, (i >> 8) & 255, i & 255, i % 65535 + 1,
			i < RULES ? "," : "");
	sprintf(p, ");\n");
	policy = read_good(text);
	assert_int_equal(policy->n_rules, RULES);
	assert_int_equal(policy->rules[RULES - 1].line, RULES + 2);
	assert_int_equal(policy->n_addrsets, RULES);
	sp_policy_free(policy);

	p = text + sprintf(text, HEAD "rules = (\n");
	for (int i = 0; i <= SP_RULES_MAX; i++)
		p += sprintf(p, "\"1\",");
	sprintf(p, ");\n");
	assert_null(read_text(text, &diags));
	assert_non_null(strstr(diags.v[0].text, "at most 131072"));
	sp_diags_clear(&diags);
	free(text);
}

static void test_zones(void **state)
{
	struct sp_zones zones = {.name = {"inside", "outside"}, .n = 2};
	struct sp_read_options options = {.file = "test.rules", .zones = &zones};
	static const char good[] = HEAD "rules = ( \"1 allow from outside to inside\" );";
	static const char bad[] = HEAD "rules = ( \"1 allow from inside to otside\" );";
	struct sp_diags diags = {0};
	struct sp_policy *policy;

	(void)state;
	policy = sp_policy_read(good, strlen(good), &options, &diags);
	assert_non_null(policy);
	assert_int_equal(policy->rules[0].from, 2);
	assert_int_equal(policy->rules[0].to, 1);
	sp_policy_free(policy);
	assert_null(sp_policy_read(bad, strlen(bad), &options, &diags));
	assert_non_null(strstr(diags.v[0].text, "otside"));
	sp_diags_clear(&diags);
	policy = read_good(bad);
	assert_int_equal(policy->zones.n, 2);
	sp_policy_free(policy);
}

static void test_zone_table(void **state)
{
	static const char *const bad[] = {"", "1a", "a b", "tcp_flags", "log", "a.b", "abcdefghijklmnopqrstuvwxyz012345"};
	struct sp_zones *zones = calloc(1, sizeof(*zones)); /* on the heap, so that ASan sees a write past its names */
	char name[16];

	(void)state;
	assert_non_null(zones);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(sp_zone_index(zones, bad[i], strlen(bad[i])), -EINVAL);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < SP_ZONES_MAX; i++) {
			snprintf(name, sizeof(name), "z%d", i);
			assert_int_equal(sp_zone_index(zones, name, strlen(name)), i);
		}
	}
	assert_int_equal(sp_zone_index(zones, "more", 4), -ENOSPC);
	zones->closed = true;
	assert_int_equal(sp_zone_index(zones, "more", 4), -ENOENT);
	assert_int_equal(sp_zone_index(zones, "z30", 3), 30);
	free(zones);
}

static void test_files(void **state)
{
	struct sp_diags diags = {0};
	struct sp_policy *policy;
	char path[256];

	(void)state;
	write_file("main.rules", "@include \"head.inc\"\nrules = (\n@include \"rules.inc\"\n);\n");
	write_file("head.inc", "version = 1;\ndefault = { action = \"drop\"; };\nsets = { bad = \"file:list.txt\"; };\n");
	write_file("rules.inc", "\"1 drop from @bad\",\n\"2 allow\",\n");
	write_file("list.txt", "192.0.2.0/24\n");
	snprintf(path, sizeof(path), "%s/main.rules", folder);
	policy = sp_policy_load_file(path, NULL, &diags);
	if (!policy)
		fail_msg("%s:%d: %s", diags.v[0].file, diags.v[0].line, diags.v[0].text);
	assert_int_equal(policy->n_rules, 2);
	assert_int_equal(policy->rules[1].line, 2);
	assert_non_null(strstr(policy->rules[1].file, "/rules.inc"));
	assert_int_equal(policy->sets[0].addrs.n, 1);
	sp_policy_free(policy);

	write_file("rules.inc", "\"1 drop\",\n\n\"1 allow\",\n");
	assert_null(sp_policy_load_file(path, NULL, &diags));
	assert_int_equal(diags.v[0].line, 3);
	assert_non_null(strstr(diags.v[0].file, "/rules.inc"));
	assert_non_null(strstr(diags.v[0].text, "/rules.inc:1"));
	sp_diags_clear(&diags);

	write_file("list.txt", "192.0.2.0/24\nfoo\n");
	assert_null(sp_policy_load_file(path, NULL, &diags));
	assert_int_equal(diags.v[0].line, 2);
	assert_non_null(strstr(diags.v[0].file, "/list.txt"));
	sp_diags_clear(&diags);

	assert_null(sp_policy_load_file(folder, NULL, &diags));
	assert_non_null(strstr(diags.v[0].text, "is a directory"));
	sp_diags_clear(&diags);
}

/* Over the API a list file may be named when it lies in the folder, and no other. */
static void test_api_body(void **state)
{
	static const char good[] = HEAD "sets = { bad = \"file:api.txt\"; }; rules = ( \"1 drop from @bad\" );";
	static const char outside[] = HEAD "sets = { bad = \"file:../etc/passwd\"; }; rules = ( );";
	static const char included[] = HEAD "@include \"api.txt\"\nrules = ( );";
	struct sp_read_options options = {.file = "request", .folder = folder, .api_body = true};
	struct sp_diags diags = {0};
	struct sp_policy *policy;

	(void)state;
	write_file("api.txt", "192.0.2.0/24\n");
	policy = sp_policy_read(good, strlen(good), &options, &diags);
	assert_non_null(policy);
	assert_int_equal(policy->sets[0].addrs.n, 1);
	sp_policy_free(policy);
	assert_null(sp_policy_read(outside, strlen(outside), &options, &diags));
	assert_non_null(strstr(diags.v[0].text, "no such file"));
	sp_diags_clear(&diags);
	/* What an error shows of a file, whoever sends the body can read: place and verdict, and none of its words. */
	write_file("api.txt", "192.0.2.0/24\npassword = hunter2\n");
	assert_null(sp_policy_read(good, strlen(good), &options, &diags));
	assert_int_equal(diags.n, 1);
	assert_int_equal(diags.v[0].line, 2);
	assert_non_null(strstr(diags.v[0].file, "/api.txt"));
	assert_non_null(strstr(diags.v[0].text, "is no address"));
	assert_null(strstr(diags.v[0].text, "password"));
	assert_null(strstr(diags.v[0].text, "hunter2"));
	sp_diags_clear(&diags);
	assert_null(sp_policy_read(included, strlen(included), &options, &diags));
	assert_non_null(strstr(diags.v[0].text, "cannot be included here"));
	sp_diags_clear(&diags);
}

/* A load also judges: a failing expectation refuses the file, a rule that can never match is a warning. */
static void test_load(void **state)
{
	static const char good[] = HEAD "rules = ( \"1 allow tcp dport 80\", \"2 drop tcp dport 80\" );\n"
					"expect = ( \"allow 1: tcp 192.0.2.1:999 > 192.0.2.2:80\" );";
	static const char bad[] =
		HEAD "rules = ( \"1 drop tcp dport 80\" );\nexpect = (\n \"allow 1: tcp 192.0.2.1:999 > 192.0.2.2:80\" );";
	struct sp_read_options options = {.file = "test.rules"};
	struct sp_diags diags = {0};
	struct sp_policy *policy;

	(void)state;
	policy = sp_policy_load(good, strlen(good), &options, &diags);
	if (!policy)
		fail_msg("line %d: %s", diags.v[0].line, diags.v[0].text);
	assert_int_equal(diags.errors, 0);
	assert_int_equal(diags.warnings, 1);
	sp_policy_free(policy);
	sp_diags_clear(&diags);
	assert_null(sp_policy_load(bad, strlen(bad), &options, &diags));
	assert_int_equal(diags.errors, 1);
	assert_int_equal(diags.v[0].line, 4);
	sp_diags_clear(&diags);
}

static void test_diags_print_safely(void **state)
{
	struct sp_diags diags = {0};
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	(void)state;
	for (int i = 0; i < SP_DIAGS_MAX + 5; i++)
		sp_diag_error(&diags, i ? "a\nb" : NULL, i, "x\033[31m%d", i);
	sp_diags_print(&diags, f);
	fclose(f);
	assert_int_equal(diags.errors, SP_DIAGS_MAX + 5);
	assert_memory_equal(out, "error: x?[31m0\na?b:1: error: x?[31m1\n", 36);
	assert_non_null(strstr(out, "\n5 more not shown\n"));
	free(out);
	sp_diags_clear(&diags);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_file),
		cmocka_unit_test(test_same_rule_in_both_forms),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_faults_that_rules_refer_to),
		cmocka_unit_test(test_all_faults_at_once),
		cmocka_unit_test(test_many_faults_bounded),
		cmocka_unit_test(test_many_rules),
		cmocka_unit_test(test_zones),
		cmocka_unit_test(test_zone_table),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_api_body),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_diags_print_safely),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
