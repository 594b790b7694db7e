/* SPDX-License-Identifier: BSD-3-Clause */
/* Changing rules: put, dry run, reload, and the file that must say what is in force. */
#include "tests/unit/mgmt/api_fixture.h"

static void put_publishes_and_saves(void **state)
{
	json_t *json;

	(void)state;
	assert_int_equal(chmod(fixture.rules, 0604), 0);
	json = call("PUT", "/v1/rules", "If-Match: \"1\"\r\n", RULES_OTHER, 200);
	assert_int_equal(integer(json, "generation"), 2);
	assert_true(json_is_true(json_object_get(json, "persistent")));
	assert_true(json_is_null(json_object_get(json, "revision")));
	assert_int_equal(json_array_size(json_object_get(json, "warnings")), 0);
	json_decref(json);
	assert_string_equal(fixture_read(fixture.rules), RULES_OTHER);
	assert_int_equal(sp_published_generation(&fixture.dataplane), 2);
	/* again: the file is what was written, so it was not edited meanwhile */
	json_decref(call("PUT", "/v1/rules", "Content-Type: text/plain; charset=utf-8\r\n", RULES_GOOD, 200));
	assert_int_equal(sp_published_generation(&fixture.dataplane), 3);
}

static void a_dry_run_changes_nothing(void **state)
{
	json_t *json = call("PUT", "/v1/rules?dry-run=1", "", RULES_OTHER, 200);

	(void)state;
	assert_int_equal(integer(json, "generation"), 1);
	assert_true(json_is_true(json_object_get(json, "dry_run")));
	assert_true(json_is_false(json_object_get(json, "persistent")));
	json_decref(json);
	assert_string_equal(fixture_read(fixture.rules), RULES_GOOD);
	assert_int_equal(sp_published_generation(&fixture.dataplane), 1);
}

static void errors_come_with_their_line(void **state)
{
	json_t *json = call("PUT", "/v1/rules", "", RULES_OF("  \"10 allow tcp dport 70000\",\n  \"10 allow udp\""), 422);
	json_t *errors = json_object_get(json, "errors"), *error = json_array_get(errors, 0);

	(void)state;
	assert_true(json_array_size(errors) >= 1);
	assert_string_equal(string(error, "file"), "main.rules");
	assert_int_equal(integer(error, "line"), 4);
	assert_true(strlen(string(error, "message")) > 0);
	json_decref(json);
	assert_int_equal(sp_published_generation(&fixture.dataplane), 1);
	assert_string_equal(fixture_read(fixture.rules), RULES_GOOD);
}

static void warnings_come_with_success(void **state)
{
	json_t *json = call("PUT", "/v1/rules", "", RULES_OF("  \"10 allow tcp\",\n  \"11 drop tcp dport 80\""), 200);
	json_t *warnings = json_object_get(json, "warnings");

	(void)state;
	assert_int_equal(json_array_size(warnings), 1);
	assert_int_equal(integer(json_array_get(warnings, 0), "line"), 5);
	json_decref(json);
}

static void includes_and_foreign_files_are_refused(void **state)
{
	(void)state;
	refused("PUT", "/v1/rules", "", "@include \"main.rules\"\n", 422, "invalid-rules");
	refused("PUT", "/v1/rules", "", "sets = { x = \"file:/etc/passwd\"; };\n" RULES_OF("\"1 allow tcp from @x\""), 422,
		"invalid-rules");
	refused("PUT", "/v1/rules", "", "sets = { x = \"file:../../etc/passwd\"; };\n" RULES_OF("\"1 allow tcp from @x\""), 422,
		"invalid-rules");
}

static void an_edited_file_is_not_overwritten(void **state)
{
	(void)state;
	fixture_write(fixture.rules, RULES_OTHER);
	refused("PUT", "/v1/rules", "", RULES_GOOD, 409, "rules-changed");
	assert_string_equal(fixture_read(fixture.rules), RULES_OTHER);
	json_decref(call("PUT", "/v1/rules?dry-run=1", "", RULES_GOOD, 200));
	json_decref(call("PUT", "/v1/rules?force=1", "", RULES_GOOD, 200));
	assert_string_equal(fixture_read(fixture.rules), RULES_GOOD);
	unlink(fixture.rules);
	refused("PUT", "/v1/rules", "", RULES_GOOD, 409, "rules-changed");
	fixture_write(fixture.rules, RULES_OTHER);
	json_decref(call("POST", "/v1/reload", "", NULL, 200));
	json_decref(call("PUT", "/v1/rules", "", RULES_GOOD, 200));
}

static void rules_that_cannot_be_saved_are_told(void **state)
{
	json_t *json;

	(void)state;
	/* a folder in the file's place: it cannot be replaced, whoever we are */
	unlink(fixture.rules);
	assert_int_equal(mkdir(fixture.rules, 0700), 0);
	json = call("PUT", "/v1/rules?force=1", "", RULES_OTHER, 200);
	assert_true(json_is_false(json_object_get(json, "persistent")));
	assert_int_equal(json_array_size(json_object_get(json, "warnings")), 1);
	assert_int_equal(integer(json, "generation"), 2);
	json_decref(json);
	assert_non_null(degraded_code("rules-not-saved"));
	assert_int_equal(rmdir(fixture.rules), 0);
	fixture_write(fixture.rules, RULES_GOOD);
	json_decref(call("PUT", "/v1/rules?force=1", "", RULES_OTHER, 200));
	assert_null(degraded_code("rules-not-saved"));
}

static void reload_takes_the_file(void **state)
{
	json_t *json;

	(void)state;
	fixture_write(fixture.rules, RULES_OTHER);
	json = call("POST", "/v1/reload", "", NULL, 200);
	assert_int_equal(integer(json, "generation"), 2);
	json_decref(json);
	fixture_write(fixture.rules, RULES_OF("\"10 allow tpc\""));
	refused("POST", "/v1/reload", "", NULL, 422, "invalid-rules");
	assert_non_null(degraded_code("reload-failed"));
	assert_int_equal(sp_published_generation(&fixture.dataplane), 2);
	unlink(fixture.rules);
	refused("POST", "/v1/reload", "", NULL, 422, "invalid-rules");
	fixture_write(fixture.rules, RULES_GOOD);
	json_decref(call("POST", "/v1/reload", "", NULL, 200));
	assert_null(degraded_code("reload-failed"));
	assert_int_equal(sp_published_generation(&fixture.dataplane), 3);
}

static void a_signal_reloads_too(void **state)
{
	(void)state;
	fixture_write(fixture.rules, RULES_OTHER);
	sp_mgmt_reload(mgmt);
	while (sp_published_generation(&fixture.dataplane) != 2)
		usleep(1000);
	json_decref(call("PUT", "/v1/rules", "If-Match: 2\r\n", RULES_GOOD, 200));
}

/* More at once than the queue takes: each is either done or told to come again, and every one that was done counts. */
static void changes_at_once_are_done_or_refused(void **state)
{
	pthread_t threads[30];
	int status[30];
	uint32_t done = 0;

	(void)state;
	for (size_t i = 0; i < 30; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_one, &status[i]), 0);
	for (size_t i = 0; i < 30; i++) {
		pthread_join(threads[i], NULL);
		assert_true(status[i] == 200 || status[i] == 503);
		done += status[i] == 200;
	}
	assert_true(done >= 1);
	assert_int_equal(sp_published_generation(&fixture.dataplane), 1 + done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(put_publishes_and_saves, setup_running, teardown),
		cmocka_unit_test_setup_teardown(a_dry_run_changes_nothing, setup_running, teardown),
		cmocka_unit_test_setup_teardown(errors_come_with_their_line, setup_running, teardown),
		cmocka_unit_test_setup_teardown(warnings_come_with_success, setup_running, teardown),
		cmocka_unit_test_setup_teardown(includes_and_foreign_files_are_refused, setup_running, teardown),
		cmocka_unit_test_setup_teardown(an_edited_file_is_not_overwritten, setup_running, teardown),
		cmocka_unit_test_setup_teardown(rules_that_cannot_be_saved_are_told, setup_running, teardown),
		cmocka_unit_test_setup_teardown(reload_takes_the_file, setup_running, teardown),
		cmocka_unit_test_setup_teardown(a_signal_reloads_too, setup_running, teardown),
		cmocka_unit_test_setup_teardown(changes_at_once_are_done_or_refused, setup_running, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
