/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of captures over running workers: many come and go, a worker that does not answer, shutdown in the midst. */
#include <dirent.h>
#include <rte_rcu_qsbr.h>
#include <time.h>

#include "mgmt/captures.h"
#include "tests/unit/mgmt/fixture.h"

static struct fixture fixture;
static struct sp_captures *captures;
static char folder[96];

static int setup(void **state)
{
	char why[256] = "";

	(void)state;
	fixture_begin(&fixture);
	fixture_publish(&fixture, RULES_GOOD);
	snprintf(folder, sizeof(folder), "%s/captures", fixture.folder);
	captures = sp_captures_start(&fixture.dataplane, folder, why, sizeof(why));
	assert_non_null(captures);
	return 0;
}

static void remove_files(void)
{
	DIR *dir = opendir(folder);

	for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		remove(path);
	}
	if (dir != NULL)
		closedir(dir);
	remove(folder);
}

static int teardown(void **state)
{
	(void)state;
	fixture_halt(&fixture);
	sp_captures_stop(captures);
	assert_null(fixture.dataplane.captures);
	remove_files();
	fixture_end(&fixture);
	return 0;
}

static uint32_t create(const char *filter)
{
	const struct sp_captures_request request = {.filter = filter,
		.points = SP_CAPTURE_RX | SP_CAPTURE_DROP,
		.snaplen = SP_CAPTURE_SNAPLEN_MIN,
		.max_bytes = SP_CAPTURES_BYTES,
		.max_seconds = 60};
	char why[768] = "";
	uint32_t id = 0;

	if (sp_captures_create(captures, &request, &id, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	return id;
}

static bool has_state(uint32_t id, const char *name)
{
	json_t *json = sp_captures_one_json(captures, id);
	bool is;

	assert_non_null(json);
	is = strcmp(json_string_value(json_object_get(json, "state")), name) == 0;
	json_decref(json);
	return is;
}

/* However long it takes; a capture that never ends hangs the test. */
static void await(uint32_t id, const char *name)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	while (!has_state(id, name))
		nanosleep(&pause, NULL);
}

static void captures_come_and_go(void **state)
{
	(void)state;
	fixture_go(&fixture);
	for (unsigned int round = 0; round < 40; round++) {
		uint32_t ids[SP_CAPTURES_RUNNING];

		for (unsigned int c = 0; c < SP_CAPTURES_RUNNING; c++)
			ids[c] = create(c % 2 ? "tcp port 80" : NULL);
		for (unsigned int c = SP_CAPTURES_RUNNING; c-- > 0;)
			assert_int_equal(sp_captures_delete(captures, ids[c]), 0);
		for (unsigned int c = 0; c < SP_CAPTURES_RUNNING; c++) {
			await(ids[c], "stopped");
			assert_int_equal(sp_captures_delete(captures, ids[c]), 1);
			assert_int_equal(sp_captures_delete(captures, ids[c]), -ENOENT);
		}
	}
	assert_null(fixture.dataplane.captures);
}

/* A worker that does not answer may still look at the capture: it is kept, and ends as soon as the worker does answer. */
static void grace_is_waited_for(void **state)
{
	struct rte_rcu_qsbr *qsbr = fixture.dataplane.qsbr;
	const struct timespec pause = {.tv_nsec = 100000000};
	uint32_t id = create(NULL);

	(void)state;
	assert_non_null(qsbr);
	rte_rcu_qsbr_thread_register(qsbr, 0);
	rte_rcu_qsbr_thread_online(qsbr, 0);
	assert_int_equal(sp_captures_delete(captures, id), 0);
	await(id, "stopping");
	nanosleep(&pause, NULL);
	assert_true(has_state(id, "stopping"));
	assert_int_equal(sp_captures_delete(captures, id), 0); /* not forgotten either */
	rte_rcu_qsbr_quiescent(qsbr, 0);
	await(id, "stopped");
	rte_rcu_qsbr_thread_offline(qsbr, 0);
	rte_rcu_qsbr_thread_unregister(qsbr, 0);
}

static void room_is_bounded(void **state)
{
	const struct sp_captures_request request = {
		.points = SP_CAPTURE_RX, .snaplen = 64, .max_bytes = SP_CAPTURES_BYTES, .max_seconds = 60};
	char why[768];
	uint32_t id;

	(void)state;
	for (unsigned int c = 0; c < SP_CAPTURES_MAX; c++) {
		id = create(NULL);
		sp_captures_delete(captures, id);
		await(id, "stopped");
	}
	assert_int_equal(sp_captures_create(captures, &request, &id, why, sizeof(why)), -EAGAIN);
	assert_int_equal(sp_captures_delete(captures, id), 1);
	create(NULL); /* stopped by teardown, in the midst */
}

static void folder_that_cannot_be_is_said(void **state)
{
	const struct sp_captures_request request = {
		.points = SP_CAPTURE_RX, .snaplen = 64, .max_bytes = SP_CAPTURES_BYTES, .max_seconds = 60};
	char why[768] = "";
	uint32_t id;

	(void)state;
	fixture_write(folder, "a file stands in the way");
	assert_int_equal(sp_captures_create(captures, &request, &id, why, sizeof(why)), -ENOTDIR);
	assert_non_null(strstr(why, folder));
	assert_null(fixture.dataplane.captures);
	remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(captures_come_and_go, setup, teardown),
		cmocka_unit_test_setup_teardown(grace_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(room_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(folder_that_cannot_be_is_said, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
