/* SPDX-License-Identifier: BSD-3-Clause */
/* What each resource tells. */
#include "mgmt/port_state.h"
#include "mgmt/pulse.h"
#include "tests/unit/mgmt/api_fixture.h"

static void status_tells_what_is_wrong(void **state)
{
	struct sp_port *port = &fixture.dataplane.ports[0];
	json_t *json, *degraded;
	struct answer answer;

	(void)state;
	assert_non_null(degraded_code("no-ports"));
	fixture.dataplane.n_ports = 1;
	port->ethdev = UINT16_MAX;
	port->peer = SP_NO_PORT;
	sp_port_state_set(port, SP_PORT_ABSENT, "no such device; plug it in");
	answer = client_call(fixture.socket, "GET", "/v1/ready", "", NULL, 0);
	assert_int_equal(answer.status, 503);
	assert_non_null(strstr(answer.body, "\"state\":\"absent\""));
	answer_free(&answer);
	json = get("/v1/status");
	degraded = json_array_get(json_object_get(json, "degraded"), 1);
	assert_string_equal(string(degraded, "code"), "port-absent");
	assert_string_equal(string(degraded, "text"), "no such device; plug it in");
	assert_string_equal(string(degraded, "remedy"), "plug it in");
	json_decref(json);
	sp_port_state_set(port, SP_PORT_RUNNING, NULL);
	port->link_up = 1;
	json = get("/v1/status");
	assert_string_equal(string(json, "version"), SP_VERSION);
	assert_string_equal(string(json, "mode"), "wire");
	assert_string_equal(string(json, "rules"), fixture.rules);
	assert_int_equal(integer(json, "generation"), 1);
	assert_true(json_is_false(json_object_get(json, "ready")));
	degraded = json_object_get(json, "degraded");
	assert_int_equal(json_array_size(degraded), 1);
	assert_string_equal(string(json_array_get(degraded, 0), "code"), "workers-not-polling");
	json_decref(json);
	refused("GET", "/v1/ready", "", NULL, 503, "not-ready");
	/* ready as soon as each worker has made a turn */
	fixture_go(&fixture);
	for (;;) {
		int status;

		answer = client_call(fixture.socket, "GET", "/v1/ready", "", NULL, 0);
		status = answer.status;
		answer_free(&answer);
		if (status == 200)
			break;
		assert_int_equal(status, 503);
	}
	json = get("/v1/status");
	assert_true(json_is_true(json_object_get(json, "ready")));
	assert_int_equal(json_array_size(json_object_get(json, "degraded")), 0);
	json_decref(json);
}

static void stats_list_every_reason(void **state)
{
	static const char *const members[] = {"rx", "tx", "built", "to_kernel", "from_kernel", "consumed", "held", "fragment_delta"};
	json_t *json, *drops, *packets;

	(void)state;
	fixture.dataplane.workers[0]->stats.rx = 7;
	fixture.dataplane.workers[1]->stats.rx = 5;
	fixture.dataplane.workers[1]->stats.drops[SP_DROP_TCP_FLAGS] = 3;
	json = get("/v1/stats");
	packets = json_object_get(json, "packets");
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		integer(packets, members[i]);
	assert_int_equal(integer(packets, "rx"), 12);
	drops = json_object_get(json, "drops");
	assert_int_equal(json_object_size(drops), SP_DROP_COUNT - 1);
	assert_int_equal(integer(drops, "tcp_flags"), 3);
	assert_int_equal(integer(drops, "table_sessions_full"), 0);
	assert_null(json_object_get(drops, "none"));
	assert_int_equal(json_array_size(json_object_get(json, "workers")), FIXTURE_WORKERS);
	assert_int_equal(json_array_size(json_object_get(json, "ports")), 0);
	integer(json_object_get(json, "sessions"), "active");
	integer(json_object_get(json, "inspection"), "matches");
	integer(json_object_get(json, "events"), "lost");
	json_decref(json);
	json_decref(get("/v1/ports"));
	json = get("/v1/workers");
	assert_int_equal(integer(json_array_get(json_object_get(json, "workers"), 1), "rx"), 5);
	json_decref(json);
}

static void rules_show_text_fields_and_hits(void **state)
{
	const struct sp_ruleset *ruleset = fixture.dataplane.live->ruleset;
	struct sp_rule_counters *counters = &fixture.dataplane.rule_table.counters[1][ruleset->rules[0].slot];
	json_t *json, *rule;

	(void)state;
	counters->hits = 3;
	counters->packets = 30;
	counters->bytes = 3000;
	counters->first_ns = counters->last_ns = 1700000000123000000u;
	json = get("/v1/rules");
	assert_int_equal(integer(json, "generation"), 1);
	assert_string_equal(string(json_object_get(json, "default"), "action"), "drop");
	assert_true(json_is_true(json_object_get(json_object_get(json, "builtin"), "arp")));
	assert_int_equal(json_array_size(json_object_get(json, "rules")), 2);
	rule = json_array_get(json_object_get(json, "rules"), 0);
	assert_int_equal(integer(rule, "id"), 10);
	assert_int_equal(integer(rule, "line"), 4);
	assert_string_equal(string(rule, "file"), fixture.rules);
	assert_string_equal(string(rule, "name"), "the web");
	assert_string_equal(string(rule, "text"), "10 allow tcp from inside to outside dport 80,443 name 'the web'");
	assert_string_equal(string(json_object_get(rule, "fields"), "dport"), "80,443");
	assert_int_equal(integer(rule, "hits"), 3);
	assert_int_equal(integer(rule, "packets"), 30);
	assert_int_equal(integer(rule, "bytes"), 3000);
	assert_string_equal(string(rule, "last_hit"), "2023-11-14T22:13:20.123Z");
	rule = json_array_get(json_object_get(json, "rules"), 1);
	assert_true(json_is_null(json_object_get(rule, "last_hit")));
	json_decref(json);
	json = get("/v1/rules/20");
	assert_string_equal(string(json, "action"), "reject");
	json_decref(json);
}

static void rules_as_text_are_the_file(void **state)
{
	struct answer answer = client_call(fixture.socket, "GET", "/v1/rules", "Accept: text/plain\r\n", NULL, 0);

	(void)state;
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer.body, RULES_GOOD);
	assert_non_null(strstr(answer.head, "Content-Type: text/plain"));
	answer_free(&answer);
}

static void nat_is_listed_and_explained(void **state)
{
	static const char rules[] =
		RULES_OF("\"20 allow tcp to 192.0.2.80 dport 8080\"") "nat = ( { id = 7; type = \"destination\"; name = \"web\"; "
								      "dst = \"203.0.113.1\"; dport = 80; address = \"192.0.2.80\"; port = "
								      "8080; } );\n";
	json_t *json, *entry;

	(void)state;
	json_decref(call("PUT", "/v1/rules", "", rules, 200));
	json = get("/v1/rules");
	assert_int_equal(json_array_size(json_object_get(json, "nat")), 1);
	entry = json_array_get(json_object_get(json, "nat"), 0);
	assert_int_equal(integer(entry, "id"), 7);
	assert_int_equal(integer(entry, "line"), 6);
	assert_string_equal(string(entry, "type"), "destination");
	assert_string_equal(string(json_object_get(entry, "fields"), "port"), "8080");
	json_decref(json);
	json = call("POST", "/v1/explain", "", "tcp 198.51.100.1:1 > 203.0.113.1:80", 200);
	assert_string_equal(string(json, "verdict"), "allow");
	entry = json_object_get(json_object_get(json, "nat"), "destination");
	assert_string_equal(string(entry, "address"), "192.0.2.80");
	assert_int_equal(integer(entry, "port"), 8080);
	assert_non_null(strstr(string(entry, "text"), "the destination becomes 192.0.2.80:8080"));
	json_decref(json);
}

static void explain_answers_from_the_rules_in_force(void **state)
{
	static const char packet[] = "tcp 10.1.2.3:40000 > 192.0.2.10:443 from inside to outside";
	json_t *plain, *json, *form;
	char body[128];

	(void)state;
	plain = call("POST", "/v1/explain", "Content-Type: text/plain\r\n", packet, 200);
	assert_string_equal(string(plain, "verdict"), "allow");
	assert_int_equal(integer(plain, "generation"), 1);
	snprintf(body, sizeof(body), "{\"packet\": \"%s\"}", packet);
	json = call("POST", "/v1/explain", "Content-Type: application/json\r\n", body, 200);
	form = call("POST", "/v1/explain", "Content-Type: application/x-www-form-urlencoded\r\n", packet, 200);
	assert_true(json_equal(plain, json));
	assert_true(json_equal(plain, form));
	json_decref(plain);
	json_decref(json);
	json_decref(form);
	json_decref(call("PUT", "/v1/rules", "", RULES_OF("\"20 reject tcp dport 23\""), 200));
	json = call("POST", "/v1/explain", "", packet, 200);
	assert_string_equal(string(json, "verdict"), "drop");
	json_decref(json);
}

static void metrics_are_well_formed(void **state)
{
	struct answer answer = client_call(fixture.socket, "GET", "/metrics", "", NULL, 0);
	char *line, *rest = answer.body, seen[64] = "";

	(void)state;
	assert_int_equal(answer.status, 200);
	assert_non_null(strstr(answer.head, "application/openmetrics-text"));
	assert_non_null(strstr(answer.body, "sallyport_build_info{version=\"" SP_VERSION "\"} 1\n"));
	assert_non_null(strstr(answer.body, "\nsallyport_drops_total{reason=\"parse_ether\"} 0\n"));
	assert_non_null(strstr(answer.body, "\nsallyport_rule_hits_total{rule=\"10\"} 0\n"));
	assert_true(answer.size > 6 && strcmp(answer.body + answer.size - 6, "# EOF\n") == 0);
	/* every sample belongs to the family above it */
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strncmp(line, "# TYPE ", 7) == 0)
			snprintf(seen, sizeof(seen), "%.*s", (int)strcspn(line + 7, " "), line + 7);
		else if (line[0] != '#' && line[0] != '\0' && strncmp(line, seen, strlen(seen)) != 0)
			fail_msg("%s stands below %s", line, seen);
	}
	answer_free(&answer);
}

static void the_description_is_served(void **state)
{
	struct answer answer = client_call(fixture.socket, "GET", "/openapi.yaml", "", NULL, 0);

	(void)state;
	assert_int_equal(answer.status, 200);
	assert_non_null(strstr(answer.body, "openapi: 3.1.0"));
	assert_non_null(strstr(answer.body, "/v1/sessions:"));
	assert_int_equal(strlen(answer.body), answer.size);
	answer_free(&answer);
}

/* Every path that is described exists: a method that none has is refused, but not for the path. */
static void what_is_described_exists(void **state)
{
	struct answer answer = client_call(fixture.socket, "GET", "/openapi.yaml", "", NULL, 0);
	unsigned int n = 0;
	char *line, *rest = answer.body;

	(void)state;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strncmp(line, "  /", 3) != 0)
			continue;
		line[strcspn(line, "{:")] = '\0';
		if (line[strlen(line) - 1] == '/')
			strcat(line, "1"); /* the bytes of {id} follow: there is room */
		refused("TRACE", line + 2, "", NULL, 405, "method-not-allowed");
		n++;
	}
	assert_true(n >= 10);
	answer_free(&answer);
}

static int setup_sessions_at_rest(void **state)
{
	uint32_t slot;

	setup(state);
	slot = fixture.dataplane.live->ruleset->rules[0].slot;
	for (unsigned int i = 0; i < 300; i++)
		fixture_session(&fixture, i % FIXTURE_WORKERS, (uint8_t)(1 + i % 3), (uint16_t)(10000 + i), i % 2 != 0 ? 443 : 80,
			i < 290 ? slot : SP_RULE_SLOT_DEFAULT);
	return 0;
}

static int setup_sessions(void **state)
{
	setup_sessions_at_rest(state);
	fixture_go(&fixture);
	return 0;
}

/* How many sessions a query lists, over all its pages. */
static size_t count(const char *query)
{
	char target[256], cursor[64] = "";
	bool seen[65536] = {false};
	size_t n = 0;

	do {
		json_t *json, *session, *next;
		size_t i;

		snprintf(target, sizeof(target), "/v1/sessions?%s%s%s", query, cursor[0] != '\0' ? "&cursor=" : "", cursor);
		json = get(target);
		json_array_foreach (json_object_get(json, "sessions"), i, session) {
			json_int_t port = integer(session, "sport");

			assert_false(seen[port]); /* none comes twice */
			seen[port] = true;
			n++;
		}
		next = json_object_get(json, "next");
		snprintf(cursor, sizeof(cursor), "%s", json_is_string(next) ? json_string_value(next) : "");
		json_decref(json);
	} while (cursor[0] != '\0');
	return n;
}

static void sessions_are_listed_in_pages(void **state)
{
	json_t *json, *session;

	(void)state;
	assert_int_equal(count("limit=1000"), 300);
	assert_int_equal(count("limit=7"), 300);
	assert_int_equal(count("limit=100&proto=tcp"), 300);
	assert_int_equal(count("proto=udp"), 0);
	assert_int_equal(count("ip=192.0.2.1"), 100);
	assert_int_equal(count("ip=192.0.2.0/24"), 300);
	assert_int_equal(count("ip=2001:db8::/32"), 0);
	assert_int_equal(count("port=443"), 150);
	assert_int_equal(count("port=10007"), 1);
	assert_int_equal(count("rule=10&limit=1000"), 290);
	assert_int_equal(count("rule=default"), 10);
	assert_int_equal(count("rule=77"), 0);
	assert_int_equal(count("state=tcp_established&limit=1000"), 300);
	assert_int_equal(count("state=udp_new,tcp_established&port=443"), 150);
	assert_int_equal(count("state=udp_new,udp_replied"), 0);
	assert_int_equal(count("zone=inside&limit=1000"), 300);
	assert_int_equal(count("zone=outside&ip=192.0.2.1"), 100);
	json = get("/v1/sessions?port=10001");
	session = json_array_get(json_object_get(json, "sessions"), 0);
	assert_string_equal(string(session, "proto"), "tcp");
	assert_string_equal(string(session, "src"), "192.0.2.2");
	assert_string_equal(string(session, "dst"), "198.51.100.1");
	assert_int_equal(integer(session, "dport"), 443);
	assert_string_equal(string(json_object_get(session, "reply"), "src"), "198.51.100.1");
	assert_int_equal(integer(json_object_get(session, "reply"), "sport"), 443);
	assert_string_equal(string(session, "state"), "tcp_established");
	assert_int_equal(integer(session, "rule"), 10);
	assert_true(json_is_array(json_object_get(session, "flags")));
	assert_non_null(json_object_get(session, "rule_name"));
	assert_int_equal(integer(session, "worker"), 1);
	assert_string_equal(string(session, "zone_from"), "inside");
	assert_string_equal(string(session, "zone_to"), "outside");
	assert_true(json_is_number(json_object_get(session, "idle_sec")));
	json_decref(json);
	json = get("/v1/rules/10");
	assert_int_equal(integer(json, "sessions"), 290);
	json_decref(json);
}

static void killed(const char *query, json_int_t n)
{
	char target[128];
	json_t *json;

	snprintf(target, sizeof(target), "/v1/sessions?%s", query);
	json = call("DELETE", target, "", NULL, 200);
	assert_int_equal(integer(json, "killed"), n);
	assert_true(json_is_true(json_object_get(json, "complete")));
	json_decref(json);
}

static void sessions_are_killed_by_filter(void **state)
{
	(void)state;
	killed("port=10007", 1);
	killed("port=10007", 0);
	killed("state=udp_replied", 0);
	assert_int_equal(count("limit=1000"), 299);
	killed("ip=192.0.2.1&port=443", 50);
	killed("rule=default", 8); /* two of the ten went with the filter before */
	killed("all=1", 299 - 50 - 8);
	assert_int_equal(count("limit=1000"), 0);
}

static void a_silent_worker_is_a_503(void **state)
{
	(void)state;
	refused("GET", "/v1/sessions", "", NULL, 503, "worker-silent");
	refused("DELETE", "/v1/sessions?all=1", "", NULL, 503, "worker-silent");
	still_answers();
}

/* The workers stop as one that hangs would: they turn no more, and nothing says so. */
static void a_worker_that_stands_still_is_told(void **state)
{
	(void)state;
	while (degraded_code("workers-not-polling") != NULL)
		usleep(10000);
	fixture_halt(&fixture);
	fixture.dataplane.stop = 0;
	while (degraded_code("workers-not-polling") == NULL)
		usleep(10000);
	refused("GET", "/v1/ready", "", NULL, 503, "not-ready");
	fixture.dataplane.stopped = fixture.dataplane.drained = 0;
	fixture_go(&fixture);
	while (degraded_code("workers-not-polling") != NULL)
		usleep(10000);
}

/* One look at counts that the test sets, on a clock that the test turns. */
static void a_pulse_is_a_count_that_moves(void **state)
{
	struct sp_pulse pulse = {0};
	struct sp_worker *first = fixture.dataplane.workers[0], *second = fixture.dataplane.workers[1];

	(void)state;
	assert_false(sp_pulse_beats(&pulse, &fixture.dataplane, 0));
	first->stats.idle_cycles = second->stats.busy_cycles = 5;
	assert_true(sp_pulse_beats(&pulse, &fixture.dataplane, 0));
	sp_pulse_take(&pulse, &fixture.dataplane, 100);
	first->stats.idle_cycles = 6;
	sp_pulse_take(&pulse, &fixture.dataplane, 100 + SP_PULSE_MS - 1);
	assert_true(sp_pulse_beats(&pulse, &fixture.dataplane, 1));
	sp_pulse_take(&pulse, &fixture.dataplane, 100 + SP_PULSE_MS);
	assert_true(sp_pulse_beats(&pulse, &fixture.dataplane, 0));
	assert_false(sp_pulse_beats(&pulse, &fixture.dataplane, 1));
	second->stats.idle_cycles = 1;
	sp_pulse_take(&pulse, &fixture.dataplane, 100 + SP_PULSE_MS + 1);
	assert_true(sp_pulse_beats(&pulse, &fixture.dataplane, 1));
}

/* One worker answers and one does not: what the first did is on record, though the call failed. */
static void what_was_killed_is_on_record(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, fixture_run_worker, fixture.dataplane.workers[0]), 0);
	refused("DELETE", "/v1/sessions?all=1", "", NULL, 503, "worker-silent");
	while (strstr(fixture_read(fixture.eve), "\"killed\":150") == NULL)
		usleep(10000);
	/* it leaves as if the other had come and gone */
	fixture.dataplane.stopped = fixture.dataplane.drained = 1;
	__atomic_store_n(&fixture.dataplane.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(status_tells_what_is_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(stats_list_every_reason, setup, teardown),
		cmocka_unit_test_setup_teardown(rules_show_text_fields_and_hits, setup, teardown),
		cmocka_unit_test_setup_teardown(rules_as_text_are_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(explain_answers_from_the_rules_in_force, setup_running, teardown),
		cmocka_unit_test_setup_teardown(nat_is_listed_and_explained, setup_running, teardown),
		cmocka_unit_test_setup_teardown(metrics_are_well_formed, setup, teardown),
		cmocka_unit_test_setup_teardown(the_description_is_served, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_described_exists, setup, teardown),
		cmocka_unit_test_setup_teardown(sessions_are_listed_in_pages, setup_sessions, teardown),
		cmocka_unit_test_setup_teardown(sessions_are_killed_by_filter, setup_sessions, teardown),
		cmocka_unit_test_setup_teardown(a_silent_worker_is_a_503, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_killed_is_on_record, setup_sessions_at_rest, teardown),
		cmocka_unit_test_setup_teardown(a_worker_that_stands_still_is_told, setup_running, teardown),
		cmocka_unit_test_setup_teardown(a_pulse_is_a_count_that_moves, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
