/* SPDX-License-Identifier: BSD-3-Clause */
/* The real server on a real socket over a real dataplane: every way to ask it wrongly, and who may have its socket. */
#include "tests/unit/mgmt/api_fixture.h"

static void wrong_requests_are_problems(void **state)
{
	static const struct {
		const char *method, *target, *headers, *body;
		int status;
		const char *code;
	} cases[] = {
		{"GET", "/", "", NULL, 404, "no-such-resource"},
		{"GET", "/v1", "", NULL, 404, "no-such-resource"},
		{"GET", "/v1/status/", "", NULL, 404, "no-such-resource"},
		{"GET", "/v1/rules/1/2", "", NULL, 404, "no-such-resource"},
		{"GET", "/v1/nothing", "", NULL, 404, "no-such-resource"},
		{"GET", "/../etc/passwd", "", NULL, 404, "no-such-resource"},
		{"GET", "/v1/rules/", "", NULL, 404, "no-such-resource"},
		{"GET", "/v1/rules/11", "", NULL, 404, "no-such-rule"},
		{"GET", "/v1/rules/x", "", NULL, 404, "no-such-rule"},
		{"GET", "/v1/rules/99999999999999999999", "", NULL, 404, "no-such-rule"},
		{"POST", "/v1/status", "", "x", 405, "method-not-allowed"},
		{"DELETE", "/v1/rules", "", NULL, 405, "method-not-allowed"},
		{"BREW", "/v1/status", "", NULL, 405, "method-not-allowed"},
		{"GET", "/v1/explain", "", NULL, 405, "method-not-allowed"},
		{"GET", "/v1/status?verbose=1", "", NULL, 400, "unknown-parameter"},
		{"PUT", "/v1/rules?dryrun=1", "", RULES_GOOD, 400, "unknown-parameter"},
		{"PUT", "/v1/rules?dry-run", "", RULES_GOOD, 400, "bad-parameter"},
		{"PUT", "/v1/rules?dry-run=", "", RULES_GOOD, 400, "bad-parameter"},
		{"PUT", "/v1/rules?dry-run=yes", "", RULES_GOOD, 400, "bad-parameter"},
		{"PUT", "/v1/rules?dry-run=1&dry-run=0", "", RULES_GOOD, 400, "bad-parameter"},
		{"PUT", "/v1/rules?confirm=60", "", RULES_GOOD, 501, "not-supported"},
		{"PUT", "/v1/rules", "Content-Type: application/x-www-form-urlencoded\r\n", RULES_GOOD, 415, "content-type"},
		{"PUT", "/v1/rules", "Content-Type: application/json\r\n", "{}", 415, "content-type"},
		{"PUT", "/v1/rules", "Content-Encoding: gzip\r\n", RULES_GOOD, 415, "content-encoding"},
		{"PUT", "/v1/rules", "If-Match: \"7\"\r\n", RULES_GOOD, 412, "stale-generation"},
		{"PUT", "/v1/rules", "If-Match: seven\r\n", RULES_GOOD, 400, "bad-request"},
		{"PUT", "/v1/rules", "If-Match: \"11111111111111111111\"\r\n", RULES_GOOD, 400, "bad-request"},
		{"PUT", "/v1/rules", "", "", 400, "empty-body"},
		{"PUT", "/v1/rules", "", "not a rule file", 422, "invalid-rules"},
		{"GET", "/v1/status", "", "a body", 413, "too-large"},
		{"GET", "/v1/status?x=%00", "", NULL, 400, "bad-request"},
		{"GET", "/v1/status%00", "", NULL, 400, "bad-request"},
		{"GET", "/metrics?rules=some", "", NULL, 400, "bad-parameter"},
		{"GET", "/v1/sessions?ip=10.0.0.300", "", NULL, 400, "bad-parameter"},
		{"GET", "/v1/sessions?ip=10.0.0.1/8", "", NULL, 400, "bad-parameter"},
		{"GET", "/v1/sessions?port=65536", "", NULL, 400, "bad-parameter"},
		{"GET", "/v1/sessions?port=-1", "", NULL, 400, "bad-parameter"},
		{"GET", "/v1/sessions?proto=tpc", "", NULL, 400, "bad-parameter"},
		{"GET", "/v1/sessions?rule=0", "", NULL, 400, "bad-parameter"},
		{"GET", "/v1/sessions?rule=first", "", NULL, 400, "bad-parameter"},
		{"GET", "/v1/sessions?limit=0", "", NULL, 400, "bad-parameter"},
		{"GET", "/v1/sessions?limit=1001", "", NULL, 400, "bad-parameter"},
		{"GET", "/v1/sessions?cursor=2.0", "", NULL, 400, "bad-parameter"},
		{"GET", "/v1/sessions?cursor=0", "", NULL, 400, "bad-parameter"},
		{"GET", "/v1/sessions?cursor=0.0.0", "", NULL, 400, "bad-parameter"},
		{"GET", "/v1/sessions?cursor=-1.0", "", NULL, 400, "bad-parameter"},
		{"DELETE", "/v1/sessions", "", NULL, 400, "bad-parameter"},
		{"DELETE", "/v1/sessions?all=0", "", NULL, 400, "bad-parameter"},
		{"DELETE", "/v1/sessions?all=1&port=80", "", NULL, 400, "bad-parameter"},
		{"DELETE", "/v1/sessions?limit=1", "", NULL, 400, "unknown-parameter"},
		{"POST", "/v1/explain", "", "", 400, "bad-packet"},
		{"POST", "/v1/explain", "", "gibberish", 400, "bad-packet"},
		{"POST", "/v1/explain", "", "tcp 10.0.0.1:1 > 10.0.0.2:80 from nowhere", 400, "bad-packet"},
		{"POST", "/v1/explain", "Content-Type: image/png\r\n", "x", 415, "content-type"},
		{"POST", "/v1/explain", "Content-Type: application/json\r\n", "{", 400, "bad-json"},
		{"POST", "/v1/explain", "Content-Type: application/json\r\n", "[]", 400, "bad-json"},
		{"POST", "/v1/explain", "Content-Type: application/json\r\n", "{\"packet\": 1}", 400, "bad-json"},
		{"POST", "/v1/explain", "Content-Type: application/json\r\n", "{\"packet\": \"tcp 10.0.0.1:1 > 10.0.0.2:80\", \"x\": 1}",
			400, "bad-json"},
		{"POST", "/v1/explain", "Content-Type: application/json\r\n", "{\"packet\": \"a\", \"packet\": \"b\"}", 400, "bad-json"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refused(cases[i].method, cases[i].target, cases[i].headers, cases[i].body, cases[i].status, cases[i].code);
	assert_int_equal(sp_published_generation(&fixture.dataplane), 1);
	assert_string_equal(fixture_read(fixture.rules), RULES_GOOD);
}

static void a_405_says_what_is_allowed(void **state)
{
	struct answer answer = client_call(fixture.socket, "PATCH", "/v1/rules", "", NULL, 0);

	(void)state;
	assert_int_equal(answer.status, 405);
	assert_non_null(strstr(answer.head, "\r\nAllow: GET, HEAD, PUT"));
	answer_free(&answer);
}

static void head_is_get_without_a_body(void **state)
{
	struct answer answer = client_call(fixture.socket, "HEAD", "/v1/rules", "", NULL, 0);

	(void)state;
	assert_int_equal(answer.status, 200);
	assert_non_null(strstr(answer.head, "ETag: \"1\""));
	assert_int_equal(answer.size, 0);
	answer_free(&answer);
}

/* What is no HTTP at all is answered 4xx or cut, and the next one is served. */
static void garbage_hurts_nobody(void **state)
{
	static char big[200000];
	static const char *const garbage[] = {"\x16\x03\x01\x02", "\r\n\r\n\r\n\r\n", "GET\r\n\r\n", "GET /v1/status HTTP/9.9\r\n\r\n",
		"GET /v1/status HTTP/1.1\r\n\r\n", "PUT /v1/rules HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"PUT /v1/rules HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"PUT /v1/rules HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"PUT /v1/rules HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", ": : :\r\n\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		int fd = client_connect(fixture.socket);
		struct answer answer;

		client_send(fd, garbage[i], strlen(garbage[i]));
		shutdown(fd, SHUT_WR);
		answer = client_receive(fd);
		if (answer.status != 0 && (answer.status < 400 || answer.status > 505))
			fail_msg("garbage %zu was answered %d", i, answer.status);
		answer_free(&answer);
		still_answers();
	}
	memset(big, 'a', sizeof(big));
	memcpy(big, "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: ", 38);
	for (int in_uri = 0; in_uri < 2; in_uri++) {
		int fd = client_connect(fixture.socket);
		struct answer answer;

		if (in_uri)
			memcpy(big, "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 38);
		client_send(fd, big, sizeof(big));
		shutdown(fd, SHUT_WR);
		answer = client_receive(fd);
		assert_true(answer.status == 0 || (answer.status >= 400 && answer.status < 500));
		answer_free(&answer);
		still_answers();
	}
}

static void half_sent_requests_block_nobody(void **state)
{
	static const char *const halves[] = {"", "GE", "GET /v1/st", "GET /v1/status HTTP/1.1\r\nHost: x\r\n",
		"PUT /v1/rules HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nversion"};
	int fds[40];

	(void)state;
	for (size_t i = 0; i < 40; i++) {
		fds[i] = client_connect(fixture.socket);
		client_send(fds[i], halves[i % 5], strlen(halves[i % 5]));
	}
	still_answers();
	for (size_t i = 0; i < 40; i++)
		close(fds[i]);
	still_answers();
}

static void too_many_connections_only_wait(void **state)
{
	int fds[90];

	(void)state;
	for (size_t i = 0; i < 90; i++)
		fds[i] = client_connect(fixture.socket);
	for (size_t i = 0; i < 90; i++)
		close(fds[i]);
	still_answers();
}

/* 64 MiB and more: refused at the header, before the body is sent. */
static void oversized_bodies_are_refused(void **state)
{
	static const char head[] = "PUT /v1/rules HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 67108865\r\n\r\n";
	static const char chunked[] = "POST /v1/explain HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
	char chunk[1100];
	struct answer answer;
	int fd;

	(void)state;
	fd = client_connect(fixture.socket);
	client_send(fd, head, strlen(head));
	answer = client_receive(fd);
	assert_int_equal(answer.status, 413);
	answer_free(&answer);
	/* without a length the bound holds all the same */
	fd = client_connect(fixture.socket);
	client_send(fd, chunked, strlen(chunked));
	snprintf(chunk, sizeof(chunk), "400\r\n%01024d\r\n", 0);
	for (int i = 0; i < 20; i++)
		client_send(fd, chunk, strlen(chunk));
	client_send(fd, "0\r\n\r\n", 5);
	answer = client_receive(fd);
	assert_int_equal(answer.status, 413);
	answer_free(&answer);
	still_answers();
}

static struct sp_mgmt *second(const char *path, const char *group, char *why, size_t size)
{
	const struct sp_mgmt_config config = {.socket_path = path, .socket_group = group, .mode = "wire"};

	return sp_mgmt_start(&fixture.dataplane, &config, why, size);
}

static void the_socket_is_taken_only_when_free(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char path[100], long_path[200], why[256];
	struct sp_mgmt *other;
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(stat(fixture.socket, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_null(second(fixture.socket, NULL, why, sizeof(why)));
	assert_non_null(strstr(why, "in use by another process"));
	assert_null(second(fixture.rules, NULL, why, sizeof(why)));
	assert_non_null(strstr(why, "is not a socket"));
	memset(long_path, 'a', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_null(second(long_path, NULL, why, sizeof(why)));
	assert_non_null(strstr(why, "shorter"));
	assert_null(second("", NULL, why, sizeof(why)));
	snprintf(path, sizeof(path), "%s/a/b/c.sock", fixture.folder);
	assert_null(second(path, NULL, why, sizeof(why)));
	assert_non_null(strstr(why, "make its folder"));
	snprintf(path, sizeof(path), "%s/other.sock", fixture.folder);
	assert_null(second(path, "no-such-group", why, sizeof(why)));
	assert_non_null(strstr(why, "no group no-such-group"));
	assert_int_equal(access(path, F_OK), -1);
	/* a file that a process left behind */
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	other = second(path, NULL, why, sizeof(why));
	assert_non_null(other);
	sp_mgmt_stop(other);
	assert_int_equal(access(path, F_OK), -1);
	still_answers();
}

/* Connections in every state, and a job that nobody does any more: stopping ends all the same. */
static void stop_waits_for_nobody(void **state)
{
	pthread_t thread;
	int fds[3], status;

	(void)state;
	sp_mgmt_quit(mgmt);
	pthread_join(control, NULL);
	for (size_t i = 0; i < 3; i++) {
		fds[i] = client_connect(fixture.socket);
		client_send(fds[i], "PUT /v1/rules HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", i * 20);
	}
	assert_int_equal(pthread_create(&thread, NULL, put_one, &status), 0);
	usleep(100000);
	fixture_halt(&fixture);
	sp_mgmt_stop(mgmt);
	pthread_join(thread, NULL);
	assert_true(status == 503 || status == 0);
	for (size_t i = 0; i < 3; i++)
		close(fds[i]);
	assert_int_equal(access(fixture.socket, F_OK), -1);
	start_mgmt();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(wrong_requests_are_problems, setup_running, teardown),
		cmocka_unit_test_setup_teardown(a_405_says_what_is_allowed, setup, teardown),
		cmocka_unit_test_setup_teardown(head_is_get_without_a_body, setup, teardown),
		cmocka_unit_test_setup_teardown(garbage_hurts_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(half_sent_requests_block_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_connections_only_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(oversized_bodies_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(the_socket_is_taken_only_when_free, setup, teardown),
		cmocka_unit_test_setup_teardown(stop_waits_for_nobody, setup_running, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
