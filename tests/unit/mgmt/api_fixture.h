/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole management side over the dataplane of fixture.h, and calls to it.
 */
#ifndef SP_TESTS_UNIT_MGMT_API_FIXTURE_H
#define SP_TESTS_UNIT_MGMT_API_FIXTURE_H

#include "tests/unit/mgmt/fixture.h"

#include "mgmt/mgmt.h"
#include "tests/unit/mgmt/client.h"

static struct fixture fixture;
static struct sp_mgmt *mgmt;
static pthread_t control;

static inline void *run_control(void *arg)
{
	sp_mgmt_control(arg);
	return NULL;
}

static inline void start_mgmt(void)
{
	const struct sp_mgmt_config config = {
		.socket_path = fixture.socket, .rules_path = fixture.rules, .eve_path = fixture.eve, .mode = "wire"};
	char why[256] = "";

	mgmt = sp_mgmt_start(&fixture.dataplane, &config, why, sizeof(why));
	if (mgmt == NULL)
		fail_msg("%s", why);
	assert_int_equal(pthread_create(&control, NULL, run_control, mgmt), 0);
}

/* As at the end of run: workers first, for events may come until then. */
static inline void stop_all(void)
{
	sp_mgmt_quit(mgmt);
	pthread_join(control, NULL);
	fixture_halt(&fixture);
	sp_mgmt_stop(mgmt);
	mgmt = NULL;
	fixture_end(&fixture);
}

static inline int setup(void **state)
{
	(void)state;
	fixture_begin(&fixture);
	fixture_publish(&fixture, RULES_GOOD);
	start_mgmt();
	return 0;
}

static inline int setup_running(void **state)
{
	setup(state);
	fixture_go(&fixture);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	stop_all();
	return 0;
}

static inline json_t *call(const char *method, const char *target, const char *headers, const char *body, int status)
{
	return client_json(fixture.socket, method, target, headers, body, status);
}

static inline json_t *get(const char *target)
{
	return call("GET", target, "", NULL, 200);
}

static inline json_int_t integer(const json_t *json, const char *name)
{
	json_t *value = json_object_get(json, name);

	if (!json_is_integer(value))
		fail_msg("%s is no integer", name);
	return json_integer_value(value);
}

static inline const char *string(const json_t *json, const char *name)
{
	json_t *value = json_object_get(json, name);

	if (!json_is_string(value))
		fail_msg("%s is no string", name);
	return json_string_value(value);
}

/* The status must be this, and the problem of this kind. */
static inline void refused(const char *method, const char *target, const char *headers, const char *body, int status, const char *code)
{
	json_t *json = call(method, target, headers, body, status);
	const char *type = string(json, "type");

	if (strncmp(type, "urn:sallyport:problem:", 22) != 0 || strcmp(type + 22, code) != 0)
		fail_msg("%s %s: %s instead of %s", method, target, type, code);
	assert_int_equal(integer(json, "status"), status);
	assert_true(strlen(string(json, "detail")) > 0);
	json_decref(json);
}

static inline void still_answers(void)
{
	json_decref(get("/v1/status"));
}

/* Whether the status lists this; NULL when not. */
static inline json_t *degraded_code(const char *code)
{
	json_t *json = get("/v1/status"), *entry, *found = NULL;
	size_t i;

	json_array_foreach (json_object_get(json, "degraded"), i, entry) {
		if (strcmp(string(entry, "code"), code) == 0)
			found = json_true();
	}
	json_decref(json);
	return found;
}

#define RULES_OTHER RULES_OF("  \"10 allow udp dport 53\"")

/* A thread that puts RULES_OTHER and leaves the status in *arg. */
static inline void *put_one(void *arg)
{
	struct answer answer = client_call(fixture.socket, "PUT", "/v1/rules?force=1", "", RULES_OTHER, strlen(RULES_OTHER));

	*(int *)arg = answer.status;
	answer_free(&answer);
	return NULL;
}

#endif
