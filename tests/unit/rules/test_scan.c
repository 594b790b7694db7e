/* SPDX-License-Identifier: BSD-3-Clause */
/* The scan before libconfig: what it refuses and where, what it passes on, and that its marks are libconfig's tree. */
#include "rules/scan.h"

#include <errno.h>
#include <libconfig.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void assert_diag(const struct sp_diags *diags, const char *input, int line, const char *text)
{
	if (diags->n == 0)
		fail_msg("%.60s: no error", input);
	if (diags->v[0].line != line || !strstr(diags->v[0].text, text))
		fail_msg("%.60s: line %d: %s", input, diags->v[0].line, diags->v[0].text);
}

static void assert_refused(const char *input, size_t size, int line, const char *text)
{
	struct sp_scan_options options = {.file = "test.rules"};
	struct sp_diags diags = {0};
	struct sp_scan scan;
	char *exact = malloc(size); /* so that ASan sees a read past its end */

	assert_non_null(exact);
	memcpy(exact, input, size);
	if (sp_scan(exact, size, &options, &scan, &diags) != -EINVAL)
		fail_msg("%.60s: not refused", input);
	assert_diag(&diags, input, line, text);
	sp_diags_clear(&diags);
	free(exact);
}

static void test_refuses(void **state)
{
	static const struct {
		const char *input;
		int line;
		const char *text;
	} cases[] = {
		{"a = 1;\n/* open\n\n", 2, "never closed"},
		{"a = 1;\nb = \"open\nc = 2;\n", 2, "not closed on its line"},
		{"a = \"open", 1, "not closed on its line"},
		{"a = \"open\\", 1, "not closed on its line"},
		{"a = \"open\\\n\";", 1, "not closed on its line"},
		{"a = \"x\\x41\";", 1, "\\x escapes"},
		{"\na = \"x\\bc\";", 2, "write \\\\b"},
		{"a = ( \"1\"\n  \"2\" );", 2, "a comma is missing before this string"},
		{"a = [ \"1\" /* , */ \"2\" ];", 1, "a comma is missing"},
		{"a = \"1\"\n\"2\";", 2, "two strings without a separator"},
		{"a = ( 1 2 );", 1, "a comma is missing before '2'"},
		{"a = ( {} {} );", 1, "a comma is missing before '{'"},
		{"\xef\xbb\xbf"
		 "a = 1;",
			1, "byte order mark"},
		{"\xff\xfe"
		 "a",
			1, "UTF-16"},
		{"a = 1;\n@include \"x.inc\"\n", 2, "cannot be included here"},
		{"a = 1; @include \"x.inc\"\n", 1, "alone on its line"},
		{"@include x\n", 1, "path in double quotes"},
		{"a = @lan;", 1, "inside of a string"},
		{"a = 2147483648;", 1, "does not fit in 32 bits"},
		{"a = -2147483649;", 1, "does not fit in 32 bits"},
		{"a = 0x80000000;", 1, "does not fit in 32 bits"},
		{"a = 99999999999999999999999999;", 1, "does not fit in 32 bits"},
		{"a = 1L;", 1, "not a whole number"},
		{"a = 1.5;", 1, "not a whole number"},
		{"a = 10.0.0.0/8;", 1, "'10.0.0.0/8' is not a whole number: put it in double quotes"},
		{"a = 0x;", 1, "not a whole number"},
		{"a = +1;", 1, "not a whole number"},
		{"a = -;", 1, "not a whole number"},
		{"a = 010;", 1, "begins with 0"},
		{"a = drop;", 1, "'drop' is a bare word"},
		{"a = ;", 1, "a value is missing"},
		{"a 1;", 1, "'=' is missing"},
		{"a = 1;;", 1, "cannot stand here"},
		{"= 1;", 1, "cannot stand here"},
		{"true = 1;", 1, "where a name"},
		{"_a = 1;", 1, "'_' cannot stand here"},
		{"a = ( 1; 2 );", 1, "separated by ','"},
		{"a = ( 1,, 2 );", 1, "a member is missing"},
		{"a = ( , 2 );", 1, "a member is missing"},
		{"a = ( b = 1 );", 1, "bare word"},
		{"a = [ 1, \"x\" ];", 1, "list ( ) to mix"},
		{"a = [ 1, true ];", 1, "list ( ) to mix"},
		{"a = [ [ 1 ] ];", 1, "list ( ) to mix"},
		{"a = {\n b = ( 1 };\n", 2, "does not close the '(' of line 2"},
		{"a = {\n b = 1;\n", 3, "'{' of line 1 is closed"},
		{"a = 1; }", 1, "closes nothing"},
		{"a = { b = }", 1, "without a value"},
		{"a = ", 1, "ends after a name"},
		{"a", 1, "ends after a name"},
		{"a = (((((((((((((((((1)))))))))))))))));", 1, "more than 16 deep"},
		{"a = 1; \x01", 1, "byte 0x01"},
		{"a = \xc3\xa4;", 1, "byte 0xc3"},
		{"a = \"\xc3\";", 1, "not UTF-8"},
		{"a = \"\xed\xa0\x80\";", 1, "not UTF-8"},
		{"a = \"\xc0\xaf\";", 1, "not UTF-8"},
		{"a = \"\x1b[31m\";", 1, "control character 0x1b"},
		{"a = 1; / b", 1, "'/' cannot stand here"},
		{"a = 'x';", 1, "double quotes"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_refused(cases[i].input, strlen(cases[i].input), cases[i].line, cases[i].text);
	assert_refused("a = \"x\0y\";", 10, 1, "NUL byte");
	assert_refused("a = 1;\n\0", 8, 2, "NUL byte");
	assert_refused("# x\0y\n", 6, 1, "NUL byte");
	assert_refused("/* x\0y */", 9, 1, "NUL byte");
	assert_refused("a = \"\\\0\";", 9, 1, "NUL byte");
}

/* `head`, then `unit` over and over until there are `size` bytes. */
static void assert_large_refused(const char *head, const char *unit, size_t size, const char *text)
{
	size_t head_len = strlen(head), unit_len = strlen(unit);
	char *input = malloc(size);

	assert_non_null(input);
	memcpy(input, head, head_len);
	for (size_t i = head_len; i < size; i++)
		input[i] = unit[(i - head_len) % unit_len];
	assert_refused(input, size, 1, text);
	free(input);
}

static void test_large_refused(void **state)
{
	const size_t size = 10u << 20;

	(void)state;
	assert_large_refused("", "(", size, "where a name");
	assert_large_refused("a=", "(", size, "more than 16 deep");
	assert_large_refused("a=\"", "x", size, "more than 4096 bytes");
	assert_large_refused("/*", "x", size, "never closed");
	assert_large_refused("a=(", "1,", size, "more than 1310720 values");
	assert_large_refused("a=(", "{},", size, "more than 1310720 values");
	assert_large_refused("a=(", "{a=1},", size, "more than 1310720 values");
	assert_large_refused("a=[", "\"\",", size, "more than 1310720 values");
	assert_large_refused("a", "a", size, "more than 64 bytes");
	assert_large_refused("a=", "1", size, "32 bits");
	assert_large_refused("a=\"", "\\q", 3000, "unknown escape");
	assert_large_refused("a=1;", "\1", size, "byte 0x01");
}

/* Every group is within bounds, all together are what libconfig takes minutes for. */
static void test_many_large_groups(void **state)
{
	enum { GROUPS = 40, MEMBERS = 4000 };
	char *input = malloc(GROUPS * (MEMBERS * 8 + 8));
	char *p = input;

	(void)state;
	assert_non_null(input);
	p += sprintf(p, "a=(");
	for (int i = 0; i < GROUPS; i++) {
		*p++ = '{';
		for (int j = 0; j < MEMBERS; j++)
			p += sprintf(p, "b%04d=1;", j);
		p += sprintf(p, "},");
	}
	p += sprintf(p, ");");
	assert_refused(input, (size_t)(p - input), 1, "too many large groups");
	free(input);
}

/* `count` times the text, %d in it the number of the time, between head and tail. */
static char *repeated(const char *head, const char *format, int count, const char *tail)
{
	char *text = malloc(strlen(head) + strlen(tail) + (size_t)count * (strlen(format) + 16) + 1);
	char *p = text;

	assert_non_null(text);
	p += sprintf(p, "%s", head);
	for (int i = 0; i < count; i++)
		p += sprintf(p, format, i, i, i);
	strcpy(p, tail);
	return text;
}

/* What libconfig would read for long, and refuse or see refused, ends in the scan. */
static void test_refused_before_libconfig(void **state)
{
	static const struct {
		const char *head, *format, *tail, *says;
		int taken, refused; /* times; taken 0: not tried */
	} cases[] = {
		{"a={", "b%d=1;", "};", "group of more than 4096 members", 4096, 4097},
		{"a=(", "{a%d=1;b%d=2;c%d=3;},", ");", "more than 786432 settings", 1 << 17, (1 << 18) + 1},
		{"rules=(", "\"%d\",", ");", "too many rules: at most 131072", 131072, 131073},
		{"rules=(", "%d,", ");", "too many rules", 131072, 131073},
		{"rules=[", "%d,", "];", "too many rules", 131072, 131073}, /* an array is refused later, and must not cost more */
		{"rules=(", "{id=%d;},", ");", "too many rules", 131072, 131073},
		{"rules=({rules=(", "\"%d\",", ");});", "too many rules", 131072, 131073},
		{"rules=(\"1\",{group=\"g\";rules=(", "\"%d\",", ");});", "too many rules", 131071, 131072},
		{"rules=(", "{rules=(\"%d\",\"%d\");},", ");", "too many rules", 65536, 65537},
		{"sets={rules=(", "\"%d\",", ");};", NULL, 131073, 0},
		{"a=(", "\"%d\",", ");", NULL, 131073, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_scan_options options = {.file = "test.rules"};
		char *text = repeated(cases[i].head, cases[i].format, cases[i].taken, cases[i].tail);
		struct sp_diags diags = {0};
		struct sp_scan scan;

		if (sp_scan(text, strlen(text), &options, &scan, &diags) != 0)
			fail_msg("case %zu: %s", i, diags.v[0].text);
		sp_scan_free(&scan);
		free(text);
		if (cases[i].refused == 0)
			continue;
		text = repeated(cases[i].head, cases[i].format, cases[i].refused, cases[i].tail);
		assert_refused(text, strlen(text), 1, cases[i].says);
		free(text);
	}
}

/* Strings apart from the text mean what libconfig would have read. */
static void test_strings_apart(void **state)
{
	static const char input[] =
		"a = \"\"; b = [ \"x\", \"\\\\s \\\"q\\\" \\n\\t\\r\\f/ \\\\n caf\xc3\xa9\" ]; c = 7; d = ( { e = \"last\\\\\" } );";
	struct sp_scan_options options = {.file = "test.rules"};
	struct sp_diags diags = {0};
	struct sp_scan plain, apart;
	config_t config;

	(void)state;
	assert_int_equal(sp_scan(input, strlen(input), &options, &plain, &diags), 0);
	options.strings_apart = true;
	assert_int_equal(sp_scan(input, strlen(input), &options, &apart, &diags), 0);
	assert_null(strstr(apart.text, "last"));
	config_init(&config);
	assert_true(config_read_string(&config, plain.text));
	assert_int_equal(apart.n_marks, 8);
	assert_string_equal(apart.marks[0].string, "");
	assert_null(apart.marks[1].string);
	assert_string_equal(apart.marks[2].string, "x");
	assert_string_equal(apart.marks[3].string, config_setting_get_string_elem(config_lookup(&config, "b"), 1));
	assert_null(apart.marks[4].string);
	assert_string_equal(apart.marks[7].string, "last\\");
	assert_null(plain.marks[3].string);
	config_destroy(&config);
	assert_true(config_read_string(&config, apart.text));
	assert_string_equal(config_setting_get_string_elem(config_lookup(&config, "b"), 1), "");
	config_destroy(&config);
	sp_scan_free(&plain);
	sp_scan_free(&apart);
}

/* A name is its group's own: what libconfig would refuse is refused, and nothing else. */
static void test_names_twice(void **state)
{
	static const char *const good[] = {
		"a=1;b={a=1;};c={a=1;};", "a={a={a={};};};", "a=({b=1;},{b=2;});b=1;", "a=1;A=2;", "a={b=1;};c={b=1;d=({b=1;});e=1;};"};
	static const char *const bad[] = {
		"a=1;a=2;", "a={b=1;};a=2;", "a={b={c=1;};b=1;};", "a=({b=1;b=2;});", "x=1;a={b=1;};x=2;", "a={c=({b=1;});c=1;};"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct sp_scan_options options = {.file = "test.rules"};
		struct sp_diags diags = {0};
		struct sp_scan scan;

		if (sp_scan(good[i], strlen(good[i]), &options, &scan, &diags) != 0)
			fail_msg("%s: %s", good[i], diags.v[0].text);
		sp_scan_free(&scan);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_refused(bad[i], strlen(bad[i]), 1, "is given twice in one group");
}

static void test_longest_string(void **state)
{
	char input[SP_SCAN_STRING_MAX + 16];
	struct sp_scan_options options = {.file = "test.rules"};
	struct sp_diags diags = {0};
	struct sp_scan scan;

	(void)state;
	memset(input, 'x', sizeof(input));
	memcpy(input, "a=\"", 3);
	memcpy(input + 3 + SP_SCAN_STRING_MAX, "\";", 2);
	assert_int_equal(sp_scan(input, SP_SCAN_STRING_MAX + 5, &options, &scan, &diags), 0);
	sp_scan_free(&scan);
	input[3 + SP_SCAN_STRING_MAX] = 'x';
	input[4 + SP_SCAN_STRING_MAX] = '"';
	assert_refused(input, SP_SCAN_STRING_MAX + 5, 1, "more than 4096 bytes");
}

static enum sp_mark_kind kind_of(const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_STRING:
		return SP_MARK_STRING;
	case CONFIG_TYPE_GROUP:
		return SP_MARK_GROUP;
	case CONFIG_TYPE_LIST:
		return SP_MARK_LIST;
	case CONFIG_TYPE_ARRAY:
		return SP_MARK_ARRAY;
	default:
		return SP_MARK_SETTING;
	}
}

static void walk(const struct sp_scan *scan, const config_setting_t *parent, size_t *next)
{
	for (int i = 0; i < config_setting_length(parent); i++) {
		const config_setting_t *setting = config_setting_get_elem(parent, (unsigned int)i);

		assert_true(*next < scan->n_marks);
		assert_int_equal(scan->marks[*next].kind, kind_of(setting));
		/* strings and numbers of the text below tell their own line */
		if (scan->marks[*next].kind == SP_MARK_STRING)
			assert_int_equal(atoi(config_setting_get_string(setting)), scan->marks[*next].line);
		if (config_setting_type(setting) == CONFIG_TYPE_INT)
			assert_int_equal(config_setting_get_int(setting), scan->marks[*next].line);
		(*next)++;
		if (config_setting_is_aggregate(setting))
			walk(scan, setting, next);
	}
}

static void test_marks_are_the_tree(void **state)
{
	static const char text[] = "a = 1; b : \"1\"; // comment \"\n"
				   "/* two\n"
				   "lines */ c = ( \"3\",\n"
				   "  4, { d = \"4\", e = [ 4, 4, ],\n"
				   "  }, ( ), [ ], { },\n"
				   "  ( \"6\", true,\n"
				   "    False ), \"7 \\\"q\\\" \\\\ \", );\n"
				   "f = { g = 8 h = \"8\" i = { }\r\n"
				   "  j = 9, };\n"
				   "k = \"10\"";
	struct sp_scan_options options = {.file = "test.rules"};
	struct sp_diags diags = {0};
	struct sp_scan scan;
	config_t config;
	size_t next = 0;

	(void)state;
	assert_int_equal(sp_scan(text, strlen(text), &options, &scan, &diags), 0);
	config_init(&config);
	if (!config_read_string(&config, scan.text))
		fail_msg("libconfig: %s, line %d", config_error_text(&config), config_error_line(&config));
	walk(&scan, config_root_setting(&config), &next);
	assert_int_equal(next, scan.n_marks);
	assert_int_equal(scan.text[scan.size - 1], '\n');
	assert_int_equal(strlen(scan.text), scan.size);
	config_destroy(&config);
	sp_scan_free(&scan);
}

/* --- includes ----------------------------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/sp-test-scan-XXXXXX";

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
	char path[256];

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/rules", folder);
	return mkdir(path, 0700);
}

static int remove_folder(void **state)
{
	char command[256];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static int scan_main(const char *text, struct sp_scan *scan, struct sp_diags *diags)
{
	char file[256], dir[256];
	struct sp_scan_options options = {.file = file, .include_dir = dir};

	snprintf(dir, sizeof(dir), "%s/rules", folder);
	snprintf(file, sizeof(file), "%s/rules/main.rules", folder);
	write_file("rules/main.rules", text);
	return sp_scan(text, strlen(text), &options, scan, diags);
}

static void test_include(void **state)
{
	struct sp_diags diags = {0};
	struct sp_scan scan;
	const char *file;
	config_t config;
	int line;

	(void)state;
	write_file("rules/list.inc", "# comment\n\"from list\", // no newline");
	write_file("rules/settings.inc", "b = 1;\nc = 1");
	assert_int_equal(scan_main("a = ( \"one\",\n@include \"list.inc\"\n\"three\" );\n  @include \"settings.inc\"  # here\nd = 2;\n",
				 &scan, &diags),
		0);
	assert_int_equal(scan.n_marks, 7);
	assert_int_equal(scan.marks[2].line, 2);
	assert_non_null(strstr(scan.marks[2].file, "/list.inc"));
	assert_int_equal(scan.marks[3].line, 3);
	assert_non_null(strstr(scan.marks[3].file, "/main.rules"));
	assert_int_equal(scan.marks[5].line, 2);
	assert_non_null(strstr(scan.marks[5].file, "/settings.inc"));
	config_init(&config);
	assert_true(config_read_string(&config, scan.text));
	sp_scan_locate(&scan, (int)config_setting_source_line(config_lookup(&config, "d")), &file, &line);
	assert_int_equal(line, 5);
	assert_non_null(strstr(file, "/main.rules"));
	config_destroy(&config);
	sp_scan_free(&scan);
}

static void test_include_refused(void **state)
{
	static const struct {
		const char *main, *inc;
		int line;
		const char *file, *text;
	} cases[] = {
		{"a = 1;\n@include \"inc.inc\"\n", "b = (\n", 2, "inc.inc", "ends before the '(' of line 1"},
		{"a = (\n@include \"inc.inc\"\n", "1 )\n", 1, "inc.inc", "closes a bracket of the file that includes"},
		{"@include \"inc.inc\"\n", "b =\n", 2, "inc.inc", "after a name without a value"},
		{"a =\n@include \"inc.inc\"\n", "1;\n", 2, "main.rules", "inside of a setting"},
		{"@include \"inc.inc\"\n", "\n@include \"main.rules\"\n", 2, "inc.inc", "includes itself"},
		{"@include \"inc.inc\"\n", "\n@include \"inc.inc\"\n", 2, "inc.inc", "includes itself"},
		{"@include \"main.rules\"\n", "", 1, "main.rules", "includes itself"},
		{"\n@include \"none.inc\"\n", "", 2, "main.rules", "no such file"},
		{"@include \"../outside.inc\"\n", "", 1, "main.rules", "no such file"},
		{"@include \"/etc/passwd\"\n", "", 1, "main.rules", "no such file"},
		{"@include \"link.inc\"\n", "", 1, "main.rules", "no such file"},
		{"@include \".\"\n", "", 1, "main.rules", "no such file"},
		{"@include \"sub\"\n", "", 1, "main.rules", "is a directory"},
		{"@include \"fifo\"\n", "", 1, "main.rules", "not a regular file"},
		{"@include \"inc.inc\"\n", "a = \"\n", 1, "inc.inc", "not closed"},
		{"@include \"inc.inc\" @include \"inc.inc\"\n", "", 1, "main.rules", "alone on its line"},
		{"@include \"inc.inc\" a = 1;\n", "", 1, "main.rules", "alone on its line"},
	};
	char path[256], target[256];

	(void)state;
	write_file("outside.inc", "x = 1;\n");
	snprintf(path, sizeof(path), "%s/rules/link.inc", folder);
	snprintf(target, sizeof(target), "%s/outside.inc", folder);
	assert_int_equal(symlink(target, path), 0);
	snprintf(path, sizeof(path), "%s/rules/sub", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/rules/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_diags diags = {0};
		struct sp_scan scan;

		write_file("rules/inc.inc", cases[i].inc);
		assert_int_equal(scan_main(cases[i].main, &scan, &diags), -EINVAL);
		assert_diag(&diags, cases[i].main, cases[i].line, cases[i].text);
		if (!strstr(diags.v[0].file, cases[i].file))
			fail_msg("%s: file %s", cases[i].main, diags.v[0].file);
		sp_diags_clear(&diags);
	}
}

/* Each file includes the next one many times: 30^8 files if nothing stopped it. */
static void test_include_explosion(void **state)
{
	struct sp_diags diags = {0};
	struct sp_scan scan;

	(void)state;
	for (int level = 0; level < 8; level++) {
		char name[32], text[1024] = "";

		for (int i = 0; level < 7 && i < 30; i++)
			sprintf(text + strlen(text), "@include \"level%d.inc\"\n", level + 1);
		snprintf(name, sizeof(name), "rules/level%d.inc", level);
		write_file(name, text);
	}
	assert_int_equal(scan_main("@include \"level0.inc\"\n", &scan, &diags), -EINVAL);
	assert_non_null(strstr(diags.v[0].text, "too many includes"));
	sp_diags_clear(&diags);
}

static void test_file_read(void **state)
{
	static const struct {
		const char *name, *text;
	} cases[] = {{"none", "No such file"}, {"rules", "is a directory"}, {"rules/fifo", "not a regular file"},
		{"large", "larger than 64 MB"}};
	char path[256];
	char *bytes;
	size_t size;

	(void)state;
	snprintf(path, sizeof(path), "%s/large", folder);
	write_file("large", "");
	assert_int_equal(truncate(path, (64 << 20) + 1), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_diags diags = {0};

		snprintf(path, sizeof(path), "%s/%s", folder, cases[i].name);
		assert_true(sp_file_read(path, &bytes, &size, &diags) < 0);
		assert_diag(&diags, path, 0, cases[i].text);
		assert_string_equal(diags.v[0].file, path);
		sp_diags_clear(&diags);
	}
	snprintf(path, sizeof(path), "%s/outside.inc", folder);
	assert_int_equal(sp_file_read(path, &bytes, &size, NULL), 0);
	assert_string_equal(bytes, "x = 1;\n");
	assert_int_equal(size, 7);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_large_refused),
		cmocka_unit_test(test_many_large_groups),
		cmocka_unit_test(test_refused_before_libconfig),
		cmocka_unit_test(test_names_twice),
		cmocka_unit_test(test_strings_apart),
		cmocka_unit_test(test_longest_string),
		cmocka_unit_test(test_marks_are_the_tree),
		cmocka_unit_test(test_include),
		cmocka_unit_test(test_include_refused),
		cmocka_unit_test(test_include_explosion),
		cmocka_unit_test(test_file_read),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
