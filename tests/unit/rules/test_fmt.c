/* SPDX-License-Identifier: BSD-3-Clause */
/* The canonical text: what becomes of a text, that it is its own canonical text, and that it means the same. */
#include "rules/fmt.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rules/read.h"
#include "rules/scan.h"

#define B20 "bbbbbbbbbbbbbbbbbbbb"

static char *format(const char *text)
{
	struct sp_diags diags = {0};
	char *out = sp_fmt(text, strlen(text), "test.rules", &diags);

	if (!out)
		fail_msg("%s\nline %d: %s", text, diags.v[0].line, diags.v[0].text);
	return out;
}

static void test_canonical_text(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"", ""},
		{"\n\n# only a comment", "# only a comment\n"},
		{"version:1", "version = 1;\n"},
		{"version=1,\n\n\n\ndefault={action=\"drop\"log=TRUE}", "version = 1;\n\ndefault = { action = \"drop\"; log = true; };\n"},
		{"a={\n};b=( );c=[\n];", "a = {};\nb = ();\nc = [];\n"},
		{"a = ( 1, 2, );", "a = ( 1, 2 );\n"},
		{"a = (\n 1, 2 );", "a = (\n    1,\n    2\n);\n"},
		{"sets={a=\"80\";};", "sets = {\n    a = \"80\";\n};\n"},
		{"rules=(\"1  allow   tcp   dport 80\")", "rules = (\n    \"1 allow tcp dport 80\"\n);\n"},
		{"rules=(\"1 allow tcp dport 80 from a\")", "rules = (\n    \"1 allow tcp from a dport 80\"\n);\n"},
		{"rules=(\"1 allow name 'a \\\"b\\\" \\\\ c'\")", "rules = (\n    \"1 allow name 'a \\\"b\\\" \\\\ c'\"\n);\n"},
		{"rules=(\"no  rule at  all\")", "rules = (\n    \"no  rule at  all\"\n);\n"},
		{"expect=(\"allow  1: tcp\")", "expect = (\n    \"allow  1: tcp\"\n);\n"},
		{"rules=({id=1;\n\n action=\"drop\";\n src=[\n \"10.0.0.0/8\" ] })",
			"rules = (\n    { id = 1; action = \"drop\"; src = [ \"10.0.0.0/8\" ]; }\n);\n"},
		{"rules=({group=\"g\";from=\"a\"rules=(\"1   allow\") } # t\n)",
			"rules = (\n    { group = \"g\"; from = \"a\"; rules = (\n        \"1 allow\"\n    ); }  # t\n);\n"},
		{"rules=({group=\"g\"; # x\nrules=(\"1   allow\")})", "rules = (\n    {\n        group = \"g\";  # x\n        rules = (\n  "
								      "          \"1 allow\"\n        );\n    }\n);\n"},
		{"rules=({rules=(\"1   allow\"); group=\"g\"})",
			"rules = (\n    {\n        rules = (\n            \"1 allow\"\n        );\n        group = \"g\";\n    }\n);\n"},
		{"rules=({group=\"g\";rules=()})", "rules = (\n    { group = \"g\"; rules = (); }\n);\n"},
		{"# a  \r\na = 1; /* b */ # c\n/* d\n e */ b = ( # f\n1 # g\n, # h\n2 /* i */ ) # j\n# k",
			"# a\na = 1;  /* b */  # c\n/* d\n e */\nb = (  # f\n    1,  # g\n    # h\n    2  /* i */\n);  # j\n# k\n"},
		{"a /* x */ = # y\n 1;", "/* x */\n# y\na = 1;\n"},
		{"a = { b = 1; // x\n};", "a = {\n    b = 1;  // x\n};\n"},
		{"rules=(\"1 allow\",\n@include \"a.inc\"\n\"2 drop\")",
			"rules = (\n    \"1 allow\",\n    @include \"a.inc\"\n    \"2 drop\"\n);\n"},
		{"rules=(\n@include   \"a.inc\" # x\n,\"2 drop\")", "rules = (\n    @include \"a.inc\"  # x\n    ,\n    \"2 drop\"\n);\n"},
		{"@include \"a.inc\"\na=1", "@include \"a.inc\"\na = 1;\n"},
		{"a = ( \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", "
		 "\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" B20 "\", 3 );",
			"a = ( \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\n"
			"    \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" B20 "\", 3 );\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *once = format(cases[i].in), *twice = format(once);

		assert_string_equal(once, cases[i].out);
		assert_string_equal(twice, once);
		free(once);
		free(twice);
	}
}

static void test_refuses(void **state)
{
	static const struct {
		const char *text;
		int line;
	} cases[] = {{"a = \"", 1}, {"a = (\n\"1\" \"2\")", 2}, {"a = {\n", 2}, {"\na = \"\\x41\";", 2}, {"a = ( /* ", 1}, {"a = @x", 1}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_diags diags = {0};

		assert_null(sp_fmt(cases[i].text, strlen(cases[i].text), "test.rules", &diags));
		assert_true(diags.errors > 0);
		assert_int_equal(diags.v[0].line, cases[i].line);
		sp_diags_clear(&diags);
	}
}

static struct sp_policy *read_text(const char *path, const char *text)
{
	struct sp_read_options options = {.file = path};
	struct sp_diags diags = {0};
	struct sp_policy *policy = sp_policy_read(text, strlen(text), &options, &diags);

	if (!policy)
		fail_msg("%s:%d: %s", path, diags.v[0].line, diags.v[0].text);
	sp_diags_clear(&diags);
	return policy;
}

static void check_example(const char *path)
{
	struct sp_policy *before, *after;
	struct sp_diags diags = {0};
	char *text, *once, *twice;
	size_t size;

	assert_int_equal(sp_file_read(path, &text, &size, &diags), 0);
	once = format(text);
	twice = format(once);
	assert_string_equal(once, twice);
	before = read_text(path, text);
	after = read_text(path, once);
	assert_int_equal(before->n_rules, after->n_rules);
	assert_int_equal(before->n_sets, after->n_sets);
	assert_int_equal(before->n_expects, after->n_expects);
	for (size_t i = 0; i < before->n_rules; i++) {
		assert_int_equal(before->rules[i].id, after->rules[i].id);
		assert_true(before->rules[i].content_hash == after->rules[i].content_hash);
		assert_true(before->rules[i].own == after->rules[i].own);
	}
	sp_policy_free(before);
	sp_policy_free(after);
	free(text);
	free(once);
	free(twice);
}

/* Run from the top of the project, as make does. */
static void test_examples(void **state)
{
	DIR *dir = opendir("rules/examples");
	struct dirent *entry;
	int n = 0;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		const char *end = strrchr(entry->d_name, '.');
		char path[512];

		if (!end || strcmp(end, ".rules") != 0)
			continue;
		snprintf(path, sizeof(path), "rules/examples/%s", entry->d_name);
		check_example(path);
		n++;
	}
	closedir(dir);
	assert_true(n >= 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canonical_text),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_examples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
