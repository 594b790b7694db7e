/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above. */
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "rules/inspector.h"

static struct sp_pattern patterns[] = {
	{.id = 9000001,
		.line = 11,
		.msg = "SQL injection",
		.pattern = "union\\s+select",
		.flags = HS_FLAG_CASELESS,
		.action = SP_PATTERN_DROP},
	{.id = 9000002, .line = 12, .msg = "traversal", .pattern = "\\.\\./", .action = SP_PATTERN_ALERT},
	{.id = 9000003, .line = 13, .msg = "one line", .pattern = "a.b", .action = SP_PATTERN_ALERT},
	{.id = 9000004, .line = 14, .msg = "two lines", .pattern = "c.d", .flags = HS_FLAG_DOTALL, .action = SP_PATTERN_ALERT},
};

static const struct sp_profile profile = {.name = "web", .line = 10, .block = true, .patterns = patterns, .n_patterns = 4};

/* Matches of one scan: how often each pattern was told. */
struct seen {
	unsigned int count[4];
};

static int on_match(unsigned int id, unsigned long long from, unsigned long long to, unsigned int flags, void *data)
{
	struct seen *seen = data;

	(void)from;
	(void)to;
	(void)flags;
	assert_true(id < 4);
	seen->count[id]++;
	return 0;
}

static struct seen scan(const struct sp_inspector *inspector, hs_scratch_t *scratch, const char *payload, size_t size)
{
	struct seen seen = {0};

	assert_int_equal(hs_scan(inspector->database, payload, (unsigned int)size, 0, scratch, on_match, &seen), HS_SUCCESS);
	return seen;
}

static void finds_what_the_patterns_say(void **unused)
{
	static const struct {
		const char *payload;
		unsigned int count[4];
	} cases[] = {
		{"GET /?q=1 UNION  select 2", {1, 0, 0, 0}},
		{"GET /?q=unionselect", {0, 0, 0, 0}},
		{"../../../etc/passwd", {0, 1, 0, 0}}, /* told once a packet, not at each place */
		{"a\nb c\nd", {0, 0, 0, 1}},
		{"axb cxd ../ union\tselect", {1, 1, 1, 1}},
		{"", {0, 0, 0, 0}},
	};
	struct sp_inspector inspector = {0};
	struct sp_diags diags = {0};
	hs_scratch_t *scratch = NULL;

	(void)unused;
	assert_int_equal(sp_inspector_build(&profile, "x.rules", &inspector, &diags), 0);
	assert_int_equal(diags.n, 0);
	assert_ptr_equal(inspector.profile, &profile);
	assert_int_equal(sp_inspector_scratch(&inspector, &scratch), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct seen seen = scan(&inspector, scratch, cases[i].payload, strlen(cases[i].payload));

		assert_memory_equal(seen.count, cases[i].count, sizeof(seen.count));
	}
	hs_free_scratch(scratch);
	sp_inspector_free(&inspector);
	assert_null(inspector.database);
}

/* One scratch serves several inspectors, as a worker's does. */
static void scratch_grows_for_each(void **unused)
{
	static struct sp_pattern one = {.id = 1, .line = 2, .msg = "m", .pattern = "(foo|bar)[0-9]{2,40}baz"};
	const struct sp_profile second = {.name = "second", .line = 1, .patterns = &one, .n_patterns = 1};
	struct sp_inspector a = {0}, b = {0};
	struct sp_diags diags = {0};
	hs_scratch_t *scratch = NULL;

	(void)unused;
	assert_int_equal(sp_inspector_build(&profile, "x.rules", &a, &diags), 0);
	assert_int_equal(sp_inspector_build(&second, "x.rules", &b, &diags), 0);
	assert_int_equal(sp_inspector_scratch(&a, &scratch), 0);
	assert_int_equal(sp_inspector_scratch(&b, &scratch), 0);
	assert_int_equal(scan(&a, scratch, "../", 3).count[1], 1);
	assert_int_equal(scan(&b, scratch, "foo123baz", 9).count[0], 1);
	hs_free_scratch(scratch);
	sp_inspector_free(&a);
	sp_inspector_free(&b);
}

/* The last pattern is wrong: the message stands at its line and names it; nothing is handed out. */
static void a_refused_pattern_is_named(void **unused)
{
	static const struct {
		const char *pattern;
		unsigned int flags;
	} bad[] = {
		{"(unclosed", 0},
		{"back(ref)\\1", 0},
		{"a*", 0}, /* matches the empty string */
		{"x{1,2", HS_FLAG_CASELESS | (1u << 30)},
		{"[z-a]", 0},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sp_pattern two[] = {
			patterns[0], {.id = 9000009, .line = 77, .msg = "bad", .pattern = bad[i].pattern, .flags = bad[i].flags}};
		const struct sp_profile wrong = {.name = "wrong", .line = 10, .patterns = two, .n_patterns = 2};
		struct sp_inspector inspector = {.profile = &profile};
		struct sp_diags diags = {0};

		assert_int_equal(sp_inspector_build(&wrong, "x.rules", &inspector, &diags), -EINVAL);
		assert_int_equal(diags.errors, 1);
		assert_int_equal(diags.v[0].line, 77);
		assert_string_equal(diags.v[0].file, "x.rules");
		assert_ptr_equal(strstr(diags.v[0].text, "pattern 9000009: hyperscan: "), diags.v[0].text);
		assert_null(inspector.database);
		assert_ptr_equal(inspector.profile, &profile);
		sp_diags_clear(&diags);
	}
}

static void a_profile_without_patterns_is_refused(void **unused)
{
	const struct sp_profile none = {.name = "none", .line = 5};
	struct sp_inspector inspector = {0};
	struct sp_diags diags = {0};

	(void)unused;
	assert_int_equal(sp_inspector_build(&none, "x.rules", &inspector, &diags), -EINVAL);
	assert_int_equal(diags.errors, 1);
	assert_int_equal(diags.v[0].line, 5);
	sp_diags_clear(&diags);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_the_patterns_say),
		cmocka_unit_test(scratch_grows_for_each),
		cmocka_unit_test(a_refused_pattern_is_named),
		cmocka_unit_test(a_profile_without_patterns_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
