/* SPDX-License-Identifier: BSD-3-Clause */
/* Problem details: shape, strange bytes, bounds. */
#include "mgmt/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *parsed(const struct sp_reply *reply)
{
	json_error_t error;
	json_t *json = json_loadb(reply->body != NULL ? reply->body : reply->fixed, reply->size, 0, &error);

	if (json == NULL)
		fail_msg("no JSON: %s", error.text);
	return json;
}

static const char *text_of(const json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name));
}

static void a_problem_has_its_members(void **state)
{
	struct sp_reply reply = {0};
	json_t *json;

	(void)state;
	sp_problem(&reply, 404, "no-such-rule", "no rule has the id %d", 7);
	assert_int_equal(reply.status, 404);
	assert_string_equal(reply.type, "application/problem+json");
	json = parsed(&reply);
	assert_string_equal(text_of(json, "type"), "urn:sallyport:problem:no-such-rule");
	assert_string_equal(text_of(json, "title"), "Not Found");
	assert_int_equal(json_integer_value(json_object_get(json, "status")), 404);
	assert_string_equal(text_of(json, "detail"), "no rule has the id 7");
	assert_null(json_object_get(json, "errors"));
	json_decref(json);
	sp_reply_clear(&reply);
}

static void diagnostics_become_errors(void **state)
{
	struct sp_diags diags = {0};
	struct sp_reply reply = {0};
	json_t *json, *errors, *first, *second;

	(void)state;
	sp_diag_add(&diags, SP_DIAG_ERROR, "/etc/x/main.rules", 12, 5, 40, "unknown field \"prot\"");
	sp_diag_add(&diags, SP_DIAG_WARNING, "/etc/x/main.rules", 13, 0, 0, "only a warning");
	sp_diag_add(&diags, SP_DIAG_ERROR, "/etc/x/other.inc", 1, 0, 0, "elsewhere");
	sp_problem_diags(&reply, 422, "invalid-rules", &diags, "/etc/x/main.rules", "two errors");
	json = parsed(&reply);
	errors = json_object_get(json, "errors");
	assert_int_equal(json_array_size(errors), 2);
	first = json_array_get(errors, 0);
	second = json_array_get(errors, 1);
	assert_string_equal(text_of(first, "file"), "main.rules");
	assert_int_equal(json_integer_value(json_object_get(first, "line")), 12);
	assert_int_equal(json_integer_value(json_object_get(first, "column")), 5);
	assert_int_equal(json_integer_value(json_object_get(first, "rule")), 40);
	assert_string_equal(text_of(first, "message"), "unknown field \"prot\"");
	assert_string_equal(text_of(second, "file"), "/etc/x/other.inc");
	assert_true(json_is_null(json_object_get(second, "column")));
	assert_true(json_is_null(json_object_get(second, "rule")));
	assert_null(json_object_get(json, "errors_left_out"));
	json_decref(json);
	sp_reply_clear(&reply);
	sp_diags_clear(&diags);
}

static void what_was_not_kept_is_counted(void **state)
{
	struct sp_diags diags = {0};
	struct sp_reply reply = {0};
	json_t *json;

	(void)state;
	for (int i = 0; i < SP_DIAGS_MAX + 10; i++)
		sp_diag_error(&diags, "f", i + 1, "wrong");
	sp_problem_diags(&reply, 422, "invalid-rules", &diags, NULL, "many");
	json = parsed(&reply);
	assert_int_equal(json_array_size(json_object_get(json, "errors")), SP_DIAGS_MAX);
	assert_int_equal(json_integer_value(json_object_get(json, "errors_left_out")), 10);
	json_decref(json);
	sp_reply_clear(&reply);
	sp_diags_clear(&diags);
}

static void any_bytes_become_text(void **state)
{
	static const struct {
		const char *bytes, *text;
	} cases[] = {
		{"plain", "plain"},
		{"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xaa", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xaa"},
		{"caf\xe9", "caf\xef\xbf\xbd"},                                           /* Latin-1 */
		{"\xc3\xa9\xe9", "\xc3\xa9\xef\xbf\xbd"},                                 /* good, then cut short */
		{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                                 /* overlong */
		{"\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong */
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},                 /* surrogate */
		{"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* past U+10FFFF */
		{"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},                                 /* cut by the end */
		{"\xff", "\xef\xbf\xbd"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* a copy of exactly its size, so that ASan sees a read past the end */
		char *exact = strdup(cases[i].bytes);
		json_t *json = sp_json_text(exact);

		assert_non_null(json);
		assert_string_equal(json_string_value(json), cases[i].text);
		json_decref(json);
		free(exact);
	}
	assert_true(json_is_null(sp_json_text(NULL)));
}

static void times_are_rfc_3339(void **state)
{
	json_t *json = sp_json_time(1700000000123456789u);

	(void)state;
	assert_string_equal(json_string_value(json), "2023-11-14T22:13:20.123Z");
	json_decref(json);
	assert_true(json_is_null(sp_json_time(0)));
}

static void counters_do_not_turn_negative(void **state)
{
	json_t *json = sp_json_u64(UINT64_MAX);

	(void)state;
	assert_true(json_integer_value(json) == INT64_MAX);
	json_decref(json);
}

static void no_memory_still_answers(void **state)
{
	struct sp_reply reply = {0};
	json_t *json;

	(void)state;
	sp_reply_json(&reply, 200, SP_TYPE_JSON, NULL);
	assert_int_equal(reply.status, 500);
	json = parsed(&reply);
	assert_int_equal(json_integer_value(json_object_get(json, "status")), 500);
	json_decref(json);
	sp_reply_clear(&reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_problem_has_its_members),
		cmocka_unit_test(diagnostics_become_errors),
		cmocka_unit_test(what_was_not_kept_is_counted),
		cmocka_unit_test(any_bytes_become_text),
		cmocka_unit_test(times_are_rfc_3339),
		cmocka_unit_test(counters_do_not_turn_negative),
		cmocka_unit_test(no_memory_still_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
