/* SPDX-License-Identifier: BSD-3-Clause */
/* Named sets: what members add up to, and every way to get them wrong. */
#include "rules/sets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MEMBERS_MAX 8

static char folder[] = "/tmp/sp-test-sets-XXXXXX";

struct definition {
	const char *name;
	const char *members[MEMBERS_MAX];
};

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

/* Set i stands on line 10 * (i + 1), its member j on the j-th line after it. */
static int resolve(struct sp_policy *policy, const struct definition *definitions, size_t n, struct sp_diags *diags)
{
	static int lines[64][MEMBERS_MAX];
	struct sp_set_source sources[64];
	char file[256];
	struct sp_read_options options = {.file = file};

	assert_true(n <= 64);
	snprintf(file, sizeof(file), "%s/rules/main.rules", folder);
	for (size_t i = 0; i < n; i++) {
		struct sp_set_source *source = &sources[i];

		*source = (struct sp_set_source){.name = definitions[i].name, .file = file, .line = 10 * (int)(i + 1)};
		source->members = (const char **)definitions[i].members;
		source->lines = lines[i];
		while (source->n < MEMBERS_MAX && source->members[source->n]) {
			lines[i][source->n] = source->line + (int)source->n + 1;
			source->n++;
		}
	}
	return sp_sets_resolve(policy, sources, n, &options, diags);
}

static void set_text(const struct sp_set *set, char *text)
{
	char buf[96];

	text[0] = '\0';
	for (size_t i = 0; i < set->addrs.n; i++) {
		strcat(text, i ? "," : "");
		strcat(text, sp_addr_range_format(&set->addrs.v[i], buf, sizeof(buf)));
	}
	for (size_t i = 0; i < set->ports.n; i++)
		sprintf(text + strlen(text), "%s%u-%u", i ? "," : "", set->ports.v[i].lo, set->ports.v[i].hi);
}

static void test_resolves(void **state)
{
	static const struct definition definitions[] = {
		{"both", {"@later", "@web", "!192.0.2.0/26"}},
		{"web", {"192.0.2.0/25", "192.0.2.128/25", "2001:db8::/32"}},
		{"later", {"198.51.100.7"}},
		{"ports", {"443", "80", "8000-8100", "8101", "!8050", "https"}},
		{"more", {"@ports", "1-100", "!@low"}},
		{"low", {"0-10"}},
		{"all", {"0-65535"}},
		{"list", {"file:list.txt", "!file:sub/minus.txt"}},
		{"empty", {"file:empty.txt"}},
		{"names", {"www.example.com", ".example.net", "*.example.org"}},
	};
	static const char *const expected[] = {
		"192.0.2.64-192.0.2.255,198.51.100.7,2001:db8::/32",
		"192.0.2.0/24,2001:db8::/32",
		"198.51.100.7",
		"80-80,443-443,8000-8049,8051-8101",
		"11-100,443-443,8000-8049,8051-8101",
		"0-10",
		"0-65535",
		"10.0.0.0/25,203.0.113.9-203.0.113.12",
		"",
		"",
	};
	const size_t n = sizeof(definitions) / sizeof(definitions[0]);
	struct sp_policy *policy = sp_policy_new();
	struct sp_diags diags = {0};
	char path[256], text[512];

	(void)state;
	snprintf(path, sizeof(path), "%s/rules/sub", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	write_file("rules/list.txt", "# head\n 10.0.0.0/24 # comment\r\n\n203.0.113.9-203.0.113.12");
	write_file("rules/sub/minus.txt", "10.0.0.128/25\n");
	write_file("rules/empty.txt", "");
	if (resolve(policy, definitions, n, &diags))
		fail_msg("line %d: %s", diags.v[0].line, diags.v[0].text);
	assert_int_equal(policy->n_sets, n);
	for (size_t i = 0; i < n; i++) {
		const struct sp_set *set = sp_set_find(policy, definitions[i].name, strlen(definitions[i].name));

		assert_ptr_equal(set, &policy->sets[i]);
		assert_int_equal(set->line, 10 * (i + 1));
		set_text(set, text);
		assert_string_equal(text, expected[i]);
	}
	assert_int_equal(policy->sets[0].addrs.n4, 2);
	assert_int_equal(policy->sets[9].kind, SP_SET_NAMES);
	assert_null(sp_set_find(policy, "we", 2));
	assert_null(sp_set_find(policy, "weba", 4));
	sp_policy_free(policy);
}

static void test_refuses(void **state)
{
	static const struct {
		struct definition definitions[3];
		int line;
		const char *file, *text;
	} cases[] = {
		{{{"a", {"192.0.2.1", "80"}}}, 12, "main.rules", "'80' is of ports, but the set holds addresses"},
		{{{"a", {"80", "192.0.2.1"}}}, 12, "main.rules", "is of addresses, but the set holds ports"},
		{{{"a", {"80", "@b"}}, {"b", {"192.0.2.1"}}}, 12, "main.rules", "is of addresses"},
		{{{"a", {"80", "file:list.txt"}}}, 12, "main.rules", "is of addresses"},
		{{{"a", {"80", "www.example.com"}}}, 12, "main.rules", "is of names"},
		{{{"a", {"@b"}}}, 11, "main.rules", "'@b' names no set"},
		{{{"a", {"@a"}}}, 11, "main.rules", "cannot form a cycle"},
		{{{"a", {"@b"}}, {"b", {"@c"}}, {"c", {"80", "@a"}}}, 32, "main.rules", "cannot form a cycle"},
		{{{"a", {"!@a"}}}, 11, "main.rules", "cannot form a cycle"},
		{{{"a", {NULL}}}, 10, "main.rules", "is empty"},
		{{{"a", {"!192.0.2.1"}}}, 10, "main.rules", "only takes out"},
		{{{"a", {"80", ""}}}, 12, "main.rules", "empty member"},
		{{{"a", {"80", "!"}}}, 12, "main.rules", "empty member"},
		{{{"a", {"70000"}}}, 11, "main.rules", "neither a port nor a range"},
		{{{"a", {"90-80"}}}, 11, "main.rules", "neither a port nor a range"},
		{{{"a", {"80-"}}}, 11, "main.rules", "neither a port nor a range"},
		{{{"a", {"10.0.0.0/33"}}}, 11, "main.rules", "prefix length over 32"},
		{{{"a", {"10.0.0.1/8"}}}, 11, "main.rules", "bits are set"},
		{{{"a", {"10.0.0.256"}}}, 11, "main.rules", "is no address"},
		{{{"a", {"no spaces"}}}, 11, "main.rules", "is no address"},
		{{{"a", {"80"}}, {"a", {"81"}}}, 20, "main.rules", "defined twice"},
		{{{"a", {"file:none.txt"}}}, 11, "main.rules", "no such file"},
		{{{"a", {"file:../outside.txt"}}}, 11, "main.rules", "no such file"},
		{{{"a", {"file:/etc/passwd"}}}, 11, "main.rules", "no such file"},
		{{{"a", {"file:link.txt"}}}, 11, "main.rules", "no such file"},
		{{{"a", {"file:."}}}, 11, "main.rules", "no such file"},
		{{{"a", {"file:bad.txt"}}}, 3, "bad.txt", "'10.0.0.0/99' is no address: prefix length over 32"},
		{{{"a", {"file:binary.txt"}}}, 1, "binary.txt", "is no address"},
	};
	char path[256], target[256];

	(void)state;
	write_file("outside.txt", "192.0.2.1\n");
	write_file("rules/bad.txt", "10.0.0.0/8\n# x\n10.0.0.0/99 # bad\n");
	write_file("rules/binary.txt", "\x7f"
				       "ELF\n");
	snprintf(target, sizeof(target), "%s/outside.txt", folder);
	snprintf(path, sizeof(path), "%s/rules/link.txt", folder);
	assert_int_equal(symlink(target, path), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_policy *policy = sp_policy_new();
		struct sp_diags diags = {0};
		size_t n = 0;

		while (n < 3 && cases[i].definitions[n].name)
			n++;
		assert_int_not_equal(resolve(policy, cases[i].definitions, n, &diags), 0);
		if (diags.n == 0 || diags.v[0].line != cases[i].line || !strstr(diags.v[0].text, cases[i].text) ||
			!strstr(diags.v[0].file, cases[i].file))
			fail_msg("case %zu: %s:%d: %s", i, diags.n ? diags.v[0].file : "", diags.n ? diags.v[0].line : 0,
				diags.n ? diags.v[0].text : "no error");
		sp_diags_clear(&diags);
		sp_policy_free(policy);
	}
}

/* Each set names the one before it four times: 4^30 ranges if nothing stopped it. */
static void test_doubling(void **state)
{
	static struct definition definitions[30];
	static char names[30][8], references[30][8];
	struct sp_policy *policy = sp_policy_new();
	struct sp_diags diags = {0};

	(void)state;
	for (int i = 0; i < 30; i++) {
		sprintf(names[i], "s%d", i);
		sprintf(references[i], "@s%d", i - 1);
		definitions[i].name = names[i];
		for (int j = 0; j < 4; j++)
			definitions[i].members[j] = i ? references[i] : "192.0.2.0/24";
	}
	assert_int_equal(resolve(policy, definitions, 30, &diags), 0);
	assert_int_equal(policy->sets[29].addrs.n, 1);
	sp_policy_free(policy);
}

/* A long list, named by sets that name each other, meets the bound on all ranges together. */
static void test_ranges_bounded(void **state)
{
	static const struct definition definitions[] = {
		{"a", {"file:long.txt"}},
		{"b", {"@a", "@a", "@a", "@a", "@a", "@a", "@a", "@a"}},
		{"c", {"@b", "@b", "@b", "@b", "@b", "@b", "@b", "@b"}},
	};
	struct sp_policy *policy = sp_policy_new();
	struct sp_diags diags = {0};
	char path[256];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/rules/long.txt", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	for (unsigned int i = 0; i < 300000; i++)
		fprintf(f, "10.%u.%u.%u\n", (i >> 15) & 255, (i >> 7) & 255, (i << 1) & 255);
	fclose(f);
	assert_int_not_equal(resolve(policy, definitions, 3, &diags), 0);
	assert_non_null(strstr(diags.v[0].text, "makes the sets too large"));
	sp_diags_clear(&diags);
	sp_policy_free(policy);
}

static void test_file_lines_bounded(void **state)
{
	static const struct definition definitions[] = {{"a", {"file:lines.txt"}}};
	struct sp_policy *policy = sp_policy_new();
	struct sp_diags diags = {0};
	char path[256];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/rules/lines.txt", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 1000001; i++)
		fputc('\n', f);
	fclose(f);
	assert_int_not_equal(resolve(policy, definitions, 1, &diags), 0);
	assert_non_null(strstr(diags.v[0].text, "more than 1000000 lines"));
	assert_int_equal(diags.v[0].line, 1000001);
	sp_diags_clear(&diags);
	sp_policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resolves),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_doubling),
		cmocka_unit_test(test_ranges_bounded),
		cmocka_unit_test(test_file_lines_bounded),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
