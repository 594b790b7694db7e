/* SPDX-License-Identifier: BSD-3-Clause */
/* Backends over the API: what rules name is listed and drained, and what is asked wrongly is refused. */
#include "tests/unit/mgmt/api_fixture.h"

#include <time.h>

#define PATIENCE_MS 60000

/* Entry 1 spreads over three, 7 is asked whether it lives, 9 is IPv6 and has an address list. */
#define NAT(entries) RULES_GOOD "\nnat = (\n" entries "\n);\n"
#define ENTRY_1                                                                                                         \
	"  { id = 1; type = \"destination\"; from = \"outside\"; proto = \"tcp\"; dst = \"198.51.100.1\"; dport = 443;" \
	" address = \"192.0.2.10-192.0.2.12\"; port = 8443; method = \"maglev\"; }"
#define ENTRY_7                                                                                                        \
	"  { id = 7; type = \"destination\"; from = \"outside\"; proto = \"tcp\"; dst = \"198.51.100.2\"; dport = 80;" \
	" address = \"192.0.2.10\"; health = { type = \"tcp\"; interval = \"100ms\"; }; }"
#define ENTRY_9                                                                               \
	"  { id = 9; type = \"destination\"; from = \"outside\"; dst = \"2001:db8:ffff::1\";" \
	" address = \"2001:db8::10, 2001:db8::20-2001:db8::21\"; method = \"maglev\"; }"
#define RULES_NAT NAT(ENTRY_1 ",\n" ENTRY_7 ",\n" ENTRY_9)

static void put(const char *rules)
{
	json_decref(call("PUT", "/v1/rules?force=1", "Content-Type: text/plain\r\n", rules, 200));
}

static json_int_t post(const char *body)
{
	json_t *json = call("POST", "/v1/nat/backends", "Content-Type: application/json\r\n", body, 200);
	json_int_t changed = integer(json, "changed");

	json_decref(json);
	return changed;
}

/* Whether a member of the n-th backend is true. */
static bool is(size_t n, const char *member)
{
	json_t *json = get("/v1/nat"), *value = json_object_get(json_array_get(json_object_get(json, "backends"), n), member);
	bool is_true = json_is_true(value);

	assert_true(json_is_boolean(value));
	json_decref(json);
	return is_true;
}

static void nothing_without_entries(void **state)
{
	json_t *json = get("/v1/nat");

	(void)state;
	assert_int_equal(json_array_size(json_object_get(json, "backends")), 0);
	assert_int_equal(integer(json, "backends_left_out"), 0);
	json_decref(json);
	refused("POST", "/v1/nat/backends", "", "{\"address\": \"192.0.2.10\", \"drain\": true}", 404, "no-such-backend");
}

static void pools_are_listed(void **state)
{
	json_t *json, *row;

	(void)state;
	put(NAT(ENTRY_1 ",\n  { id = 3; type = \"source\"; from = \"inside\"; to = \"outside\"; address = \"203.0.113.1-203.0.113.2\"; }"));
	json = get("/v1/nat?limit=5");
	assert_int_equal(json_array_size(json_object_get(json, "entries")), 2);
	row = json_array_get(json_object_get(json, "entries"), 1);
	assert_int_equal(integer(row, "entry"), 3);
	assert_string_equal(json_string_value(json_object_get(row, "type")), "source");
	assert_int_equal(integer(row, "sessions"), 0);
	assert_int_equal(json_array_size(json_object_get(json, "pools")), 2);
	row = json_array_get(json_object_get(json, "pools"), 1);
	assert_string_equal(json_string_value(json_object_get(row, "address")), "203.0.113.2");
	assert_in_range(integer(row, "ports"), 64512 - 64 * SP_WORKERS_MAX, 64512);
	assert_int_equal(integer(json_object_get(row, "used"), "udp"), 0);
	assert_int_equal(json_array_size(json_object_get(json, "mappings")), 0);
	assert_true(json_is_null(json_object_get(json, "next")));
	assert_true(json_is_true(json_object_get(json, "complete")));
	assert_in_range(integer(json_object_get(json, "counters"), "bytes"), 1, INT64_MAX);
	json_decref(json);
	refused("GET", "/v1/nat?limit=0", "", NULL, 400, "bad-parameter");
	refused("GET", "/v1/nat?cursor=99.0", "", NULL, 400, "bad-parameter");
	refused("GET", "/v1/nat?cursor=x", "", NULL, 400, "bad-parameter");
}

/* A firewall that is about to leave asks its workers no more. */
static void sums_without_some_workers_say_so(void **state)
{
	json_t *json;

	(void)state;
	sp_mgmt_quit(mgmt);
	json = get("/v1/nat");
	assert_true(json_is_false(json_object_get(json, "complete")));
	json_decref(json);
}

static void backends_are_listed(void **state)
{
	static const struct {
		json_int_t entry, port;
		const char *address;
		bool checked;
	} wanted[] = {
		{1, 8443, "192.0.2.10", false},
		{1, 8443, "192.0.2.11", false},
		{1, 8443, "192.0.2.12", false},
		{7, 80, "192.0.2.10", true},
		{9, 0, "2001:db8::10", false},
		{9, 0, "2001:db8::20", false},
		{9, 0, "2001:db8::21", false},
	};
	json_t *json, *array;

	(void)state;
	put(RULES_NAT);
	json = get("/v1/nat");
	array = json_object_get(json, "backends");
	assert_int_equal(json_array_size(array), sizeof(wanted) / sizeof(wanted[0]));
	for (size_t b = 0; b < sizeof(wanted) / sizeof(wanted[0]); b++) {
		json_t *backend = json_array_get(array, b);

		assert_int_equal(integer(backend, "entry"), wanted[b].entry);
		assert_string_equal(string(backend, "address"), wanted[b].address);
		if (wanted[b].port != 0)
			assert_int_equal(integer(backend, "port"), wanted[b].port);
		else
			assert_true(json_is_null(json_object_get(backend, "port")));
		assert_int_equal(json_is_true(json_object_get(backend, "checked")), wanted[b].checked);
		assert_true(json_is_false(json_object_get(backend, "drained")));
		if (wanted[b].checked)
			continue;
		assert_true(json_is_true(json_object_get(backend, "live")));
		assert_true(json_is_null(json_object_get(backend, "since")) && json_is_null(json_object_get(backend, "why")));
		assert_int_equal(integer(backend, "asked") + integer(backend, "failed"), 0);
	}
	json_decref(json);
}

/* Also those of the rules that were in force before there was an API. */
static void the_first_rules_are_watched(void **state)
{
	json_t *json;

	(void)state;
	fixture_begin(&fixture);
	fixture_publish(&fixture, RULES_NAT);
	start_mgmt();
	fixture_go(&fixture);
	json = get("/v1/nat");
	assert_int_equal(json_array_size(json_object_get(json, "backends")), 7);
	json_decref(json);
	stop_all();
}

static void a_check_is_made(void **state)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	json_int_t asked = 0;

	(void)state;
	put(NAT(ENTRY_7));
	for (int ms = 0; ms < PATIENCE_MS && asked < 2; ms++) {
		json_t *json = get("/v1/nat");

		asked = integer(json_array_get(json_object_get(json, "backends"), 0), "asked");
		json_decref(json);
		nanosleep(&pause, NULL);
	}
	assert_true(asked >= 2);
}

/* The line stands in the metrics. */
static void measured(const char *line)
{
	struct answer answer = client_call(fixture.socket, "GET", "/metrics", "", NULL, 0);

	assert_int_equal(answer.status, 200);
	if (strstr(answer.body, line) == NULL)
		fail_msg("no %s in the metrics", line);
	answer_free(&answer);
}

static void draining(void **state)
{
	(void)state;
	put(RULES_NAT);
	measured("\nsallyport_nat_backends{entry=\"1\",state=\"live\"} 3\n");
	measured("\nsallyport_nat_backend_checks_total{entry=\"9\"} 0\n");
	assert_int_equal(post("{\"address\": \"192.0.2.10\", \"drain\": true}"), 2);
	assert_true(is(0, "drained") && is(3, "drained") && !is(1, "drained"));
	measured("\nsallyport_nat_backends{entry=\"1\",state=\"live\"} 2\n");
	measured("\nsallyport_nat_backends{entry=\"1\",state=\"drained\"} 1\n");
	assert_int_equal(post("{\"address\": \"192.0.2.10\", \"drain\": true}"), 0);
	assert_int_equal(post("{\"address\": \"192.0.2.10\", \"entry\": 7, \"drain\": false}"), 1);
	assert_true(is(0, "drained") && !is(3, "drained"));
	assert_int_equal(post("{\"address\": \"2001:DB8:0::21\", \"drain\": true}"), 1);
	assert_true(is(6, "drained"));
	/* rules come and go: the address stays drained where it stays in its entry */
	put(NAT(ENTRY_9 ",\n" ENTRY_1));
	assert_true(is(2, "drained") && is(3, "drained") && !is(0, "drained") && !is(4, "drained"));
	put(RULES_GOOD);
	put(RULES_NAT);
	assert_false(is(0, "drained"));
	refused("POST", "/v1/nat/backends", "", "{\"address\": \"192.0.2.13\", \"drain\": true}", 404, "no-such-backend");
	refused("POST", "/v1/nat/backends", "", "{\"address\": \"192.0.2.11\", \"entry\": 7, \"drain\": true}", 404, "no-such-backend");
}

/* An entry whose backends are all drained is told of in the status, and the firewall is ready all the same. */
static void nobody_to_send_to_is_told(void **state)
{
	(void)state;
	put(NAT(ENTRY_1));
	assert_null(degraded_code("no-backend"));
	post("{\"address\": \"192.0.2.10\", \"drain\": true}");
	post("{\"address\": \"192.0.2.11\", \"drain\": true}");
	assert_null(degraded_code("no-backend"));
	post("{\"address\": \"192.0.2.12\", \"drain\": true}");
	assert_non_null(degraded_code("no-backend"));
	post("{\"address\": \"192.0.2.10\", \"drain\": false}");
	assert_null(degraded_code("no-backend"));
}

static void what_is_asked_wrongly_is_refused(void **state)
{
	static const char *const bodies[] = {
		"",
		"{}",
		"[]",
		"{",
		"{\"address\": \"192.0.2.10\"}",
		"{\"drain\": true}",
		"{\"address\": 1, \"drain\": true}",
		"{\"address\": null, \"drain\": true}",
		"{\"address\": \"\", \"drain\": true}",
		"{\"address\": \"192.0.2.10/32\", \"drain\": true}",
		"{\"address\": \"192.0.2\", \"drain\": true}",
		"{\"address\": \"192.0.2.10\", \"drain\": 1}",
		"{\"address\": \"192.0.2.10\", \"drain\": \"true\"}",
		"{\"address\": \"192.0.2.10\", \"drain\": null}",
		"{\"address\": \"192.0.2.10\", \"drain\": true, \"entry\": 0}",
		"{\"address\": \"192.0.2.10\", \"drain\": true, \"entry\": -1}",
		"{\"address\": \"192.0.2.10\", \"drain\": true, \"entry\": 2147483648}",
		"{\"address\": \"192.0.2.10\", \"drain\": true, \"entry\": 1.0}",
		"{\"address\": \"192.0.2.10\", \"drain\": true, \"entry\": \"1\"}",
		"{\"address\": \"192.0.2.10\", \"drain\": true, \"undo\": true}",
		"{\"address\": \"192.0.2.10\", \"drain\": true, \"drain\": false}",
	};

	(void)state;
	put(RULES_NAT);
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		refused("POST", "/v1/nat/backends", "Content-Type: application/json\r\n", bodies[i], 400, "bad-json");
	refused("GET", "/v1/nat?x=1", "", NULL, 400, "unknown-parameter");
	refused("GET", "/v1/nat/backends", "", NULL, 405, "method-not-allowed");
	assert_false(is(0, "drained"));
}

/* Who let it go is told, once. */
static void draining_leaves_a_trace(void **state)
{
	const char *text, *line;

	(void)state;
	put(RULES_NAT);
	post("{\"address\": \"192.0.2.11\", \"entry\": 1, \"drain\": true}");
	post("{\"address\": \"192.0.2.11\", \"entry\": 1, \"drain\": true}");
	post("{\"address\": \"192.0.2.11\", \"drain\": false}");
	sp_mgmt_quit(mgmt);
	pthread_join(control, NULL);
	fixture_halt(&fixture);
	sp_mgmt_stop(mgmt);
	mgmt = NULL;
	text = fixture_read(fixture.eve);
	line = strstr(text, "\"drain-backend\"");
	assert_non_null(line);
	assert_null(strstr(line + 1, "\"drain-backend\""));
	assert_non_null(strstr(line, "\"address\":\"192.0.2.11\",\"entry\":1,\"changed\":1"));
	line = strstr(line, "\"take-backend-back\"");
	assert_non_null(line);
	assert_non_null(strstr(line, "\"address\":\"192.0.2.11\",\"entry\":null,\"changed\":1"));
	fixture_end(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_without_entries, setup_running, teardown),
		cmocka_unit_test_setup_teardown(pools_are_listed, setup_running, teardown),
		cmocka_unit_test_setup_teardown(sums_without_some_workers_say_so, setup_running, teardown),
		cmocka_unit_test_setup_teardown(backends_are_listed, setup_running, teardown),
		cmocka_unit_test(the_first_rules_are_watched),
		cmocka_unit_test_setup_teardown(a_check_is_made, setup_running, teardown),
		cmocka_unit_test_setup_teardown(draining, setup_running, teardown),
		cmocka_unit_test_setup_teardown(nobody_to_send_to_is_told, setup_running, teardown),
		cmocka_unit_test_setup_teardown(what_is_asked_wrongly_is_refused, setup_running, teardown),
		cmocka_unit_test_setup(draining_leaves_a_trace, setup_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
