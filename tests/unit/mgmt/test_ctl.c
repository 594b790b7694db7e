/* SPDX-License-Identifier: BSD-3-Clause */
/* sallyctl's parts: the HTTP client against a real socket whose other end says what servers say and what they should not; tables; numbers.
 */
/* They belong to no library: sallyctl is a program of its own. */
#include "mgmt/ctl/http.c"  /* NOLINT(bugprone-suspicious-include) */
#include "mgmt/ctl/human.c" /* NOLINT(bugprone-suspicious-include) */
#include "mgmt/ctl/table.c" /* NOLINT(bugprone-suspicious-include) */

#include <pthread.h>
#include <setjmp.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[] = "/tmp/sptest_ctl_XXXXXX", path[64];

/* A server for one connection: takes the request's head, sends `answer` in pieces of `piece` bytes, closes. */
struct server {
	pthread_t thread;
	int listener;
	const char *answer;
	size_t size, piece;
	size_t read_max;    /* stops reading the request after so many bytes; 0: reads the head */
	bool hang;          /* keeps the connection open until the client has gone */
	char request[8192]; /* as received */
	size_t received;
};

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd = accept(s->listener, NULL, NULL);
	char c;

	while (s->received < sizeof(s->request) - 1 && !strstr(s->request, "\r\n\r\n") && (s->read_max == 0 || s->received < s->read_max)) {
		ssize_t n = read(fd, s->request + s->received, 1);

		if (n <= 0)
			break;
		s->received++;
	}
	for (size_t done = 0; done < s->size;) {
		size_t n = s->size - done < s->piece ? s->size - done : s->piece;
		ssize_t sent = send(fd, s->answer + done, n, MSG_NOSIGNAL);

		if (sent <= 0)
			break;
		done += (size_t)sent;
	}
	if (s->hang)
		while (read(fd, &c, 1) > 0)
			;
	close(fd);
	return NULL;
}

static int setup(void **state)
{
	(void)state;
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/s", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static void start(struct server *s)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(address.sun_path, path);
	unlink(path);
	s->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_true(s->listener >= 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(s->listener, 1), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void finish(struct server *s)
{
	pthread_join(s->thread, NULL);
	close(s->listener);
}

static const struct sp_http_request get = {.method = "GET", .target = "/v1/stats", .timeout_sec = 20};

static int call(const char *text, size_t size, size_t piece, struct sp_http_answer *out, char why[256])
{
	struct server s = {.answer = text, .size = size, .piece = piece};
	int err;

	start(&s);
	err = sp_http_call(path, &get, out, why, 256);
	finish(&s);
	return err;
}

static void answers_are_read_whole(void **state)
{
	static const struct {
		const char *text;
		int status;
		const char *type, *body;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}", 200, "application/json",
			"{}"},
		{"HTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nhelloNOT THIS", 200, "", "hello"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", 200, "",
			"abc0123456789"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\nTrailer: x\r\n\r\n", 200, "", "\n"},
		{"HTTP/1.0 503 Not now\r\n\r\nto the end", 503, "", "to the end"},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, "", ""},
		{"HTTP/1.1 204 No Content\r\n\r\n", 204, "", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t piece = 1; piece < 200; piece += piece < 4 ? 1 : 60) {
			struct sp_http_answer answer;
			char why[256] = "";

			assert_int_equal(call(cases[i].text, strlen(cases[i].text), piece, &answer, why), 0);
			assert_int_equal(answer.status, cases[i].status);
			assert_string_equal(answer.type, cases[i].type);
			assert_string_equal(answer.body, cases[i].body);
			assert_int_equal(answer.size, strlen(cases[i].body));
			sp_http_clear(&answer);
		}
}

static void what_is_no_answer_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"HTTP/1.1 200 OK\r\n",
		"SSH-2.0-OpenSSH\r\n\r\n",
		"HTTP/1.1 abc\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nContent-Length: 300000000\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXY0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_http_answer answer;
		char why[256] = "";

		assert_true(call(cases[i], strlen(cases[i]), 1000, &answer, why) < 0);
		assert_true(why[0] != '\0');
		assert_null(strchr(why, '\n'));
		assert_null(answer.body);
	}
}

static void an_endless_head_is_refused(void **state)
{
	const size_t size = 4 * HEAD_MAX;
	char *text = malloc(size), why[256] = "";
	struct sp_http_answer answer;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', size);
	memcpy(text, "HTTP/1.1 200 OK\r\nX: ", 20);
	assert_int_equal(call(text, size, 4096, &answer, why), -EPROTO);
	free(text);
}

static void a_large_body_in_chunks(void **state)
{
	const size_t chunk = 100000, n = 50;
	char *text = malloc(n * (chunk + 16) + 200), *at = text, why[256] = "";
	struct sp_http_answer answer;

	(void)state;
	assert_non_null(text);
	at += sprintf(at, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (size_t i = 0; i < n; i++) {
		at += sprintf(at, "%zx\r\n", chunk);
		memset(at, 'a' + (int)(i % 26), chunk);
		at += chunk;
		at += sprintf(at, "\r\n");
	}
	at += sprintf(at, "0\r\n\r\n");
	assert_int_equal(call(text, (size_t)(at - text), 65536, &answer, why), 0);
	assert_int_equal(answer.size, n * chunk);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(answer.body[i * chunk + chunk - 1], 'a' + (int)(i % 26));
	sp_http_clear(&answer);
	free(text);
}

static void a_request_says_what_it_carries(void **state)
{
	static const char answer_text[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	const struct sp_http_request put = {.method = "PUT",
		.target = "/v1/rules?dry-run=1",
		.type = "text/plain",
		.match = "7",
		.body = "abc",
		.size = 3,
		.timeout_sec = 20};
	struct server s = {.answer = answer_text, .size = sizeof(answer_text) - 1, .piece = 100};
	struct sp_http_answer answer;
	char why[256];

	(void)state;
	start(&s);
	assert_int_equal(sp_http_call(path, &put, &answer, why, sizeof(why)), 0);
	finish(&s);
	assert_ptr_equal(strstr(s.request, "PUT /v1/rules?dry-run=1 HTTP/1.1\r\nHost: "), s.request);
	assert_non_null(strstr(s.request, "\r\nContent-Type: text/plain\r\n"));
	assert_non_null(strstr(s.request, "\r\nContent-Length: 3\r\n"));
	assert_non_null(strstr(s.request, "\r\nIf-Match: \"7\"\r\n"));
	sp_http_clear(&answer);
}

/* The server refuses by the head, closes, and never reads the body. */
static void a_refusal_during_the_body_is_heard(void **state)
{
	static const char answer_text[] = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig";
	const size_t size = 20 * 1024 * 1024;
	char *body = calloc(1, size), why[256] = "";
	const struct sp_http_request put = {.method = "PUT", .target = "/", .body = body, .size = size, .timeout_sec = 20};
	struct server s = {.answer = answer_text, .size = sizeof(answer_text) - 1, .piece = 100};
	struct sp_http_answer answer;

	(void)state;
	assert_non_null(body);
	start(&s);
	assert_int_equal(sp_http_call(path, &put, &answer, why, sizeof(why)), 0);
	finish(&s);
	assert_int_equal(answer.status, 413);
	sp_http_clear(&answer);
	free(body);
}

static void a_silent_server_is_left(void **state)
{
	const struct sp_http_request request = {.method = "GET", .target = "/", .timeout_sec = 1};
	struct server s = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", .size = 38, .piece = 100, .hang = true};
	struct sp_http_answer answer;
	char why[256] = "";

	(void)state;
	start(&s);
	assert_int_equal(sp_http_call(path, &request, &answer, why, sizeof(why)), -ETIMEDOUT);
	finish(&s);
}

#define STREAM "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"

struct heard {
	char text[256];
	unsigned int lines, stop_at;
};

static int hear(void *context, const char *line, size_t len)
{
	struct heard *heard = context;

	assert_int_equal(strlen(line), len);
	strcat(heard->text, line);
	strcat(heard->text, "|");
	return ++heard->lines == heard->stop_at ? 7 : 0;
}

static int follow(struct server *s, const char *text, size_t piece, struct heard *heard, struct sp_http_answer *answer, char why[256])
{
	const struct sp_http_follower follower = {.line = hear, .context = heard};
	int rc;

	s->answer = text;
	s->size = strlen(text);
	s->piece = piece;
	start(s);
	rc = sp_http_follow(path, &get, &follower, answer, why, 256);
	finish(s);
	return rc;
}

static void a_stream_is_followed_line_by_line(void **state)
{
	static const struct {
		const char *text;
		unsigned int stop_at;
		int rc;
		const char *lines;
	} cases[] = {
		{STREAM "4\r\nabc\n\r\n0\r\n\r\n", 0, 0, "abc|"},
		{STREAM "6\r\nab\ncd\n\r\n3\r\nef\n\r\n0\r\n\r\n", 0, 0, "ab|cd|ef|"},
		{STREAM "2\r\nab\r\n1\r\nc\r\n3\r\nd\ne\r\n1\r\n\n\r\n0\r\n\r\n", 0, 0, "abcd|e|"},
		{STREAM "6\r\nab\ncd\n\r\n3\r\nef\n\r\n0\r\n\r\n", 2, 7, "ab|cd|"},
		{STREAM "4\r\nabc\n\r\n", 0, -EPROTO, "abc|"},
		{STREAM "4\r\nabc\nXX0\r\n\r\n", 0, -EPROTO, ""},
		{STREAM "nonsense\r\n", 0, -EPROTO, ""},
		{STREAM "FFFFFFFFFFFFFFFF\r\nabc\n\r\n", 0, -EFBIG, ""},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 0, -EPROTO, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t piece = 1; piece < 200; piece += piece < 4 ? 1 : 60) {
			struct heard heard = {.stop_at = cases[i].stop_at};
			struct sp_http_answer answer;
			struct server s = {0};
			char why[256] = "";

			assert_int_equal(follow(&s, cases[i].text, piece, &heard, &answer, why), cases[i].rc);
			assert_string_equal(heard.text, cases[i].lines);
			assert_int_equal(why[0] != '\0', cases[i].rc < 0);
			sp_http_clear(&answer);
		}
}

static void a_refused_stream_is_an_answer(void **state)
{
	struct sp_http_answer answer;
	struct heard heard = {0};
	struct server s = {0};
	char why[256] = "";

	(void)state;
	assert_int_equal(follow(&s, "HTTP/1.1 503 No\r\nContent-Length: 7\r\n\r\n{\"a\":1}", 5, &heard, &answer, why), 0);
	assert_int_equal(answer.status, 503);
	assert_string_equal(answer.body, "{\"a\":1}");
	assert_int_equal(heard.lines, 0);
	sp_http_clear(&answer);
}

static void on_alarm(int number)
{
	(void)number;
}

/* A signal that is only let in while it waits ends it; one that came before is not missed. */
static void a_signal_ends_the_following(void **state)
{
	const struct sigaction action = {.sa_handler = on_alarm};
	struct server s = {.hang = true, .answer = STREAM "4\r\nabc\n\r\n", .size = sizeof(STREAM "4\r\nabc\n\r\n") - 1, .piece = 4096};
	struct heard heard = {0};
	sigset_t usr, before;
	const struct sp_http_follower follower = {.line = hear, .context = &heard, .mask = &before};
	struct sp_http_answer answer;
	char why[256] = "";

	(void)state;
	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&usr);
	sigaddset(&usr, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr, &before);
	start(&s);
	pthread_kill(pthread_self(), SIGUSR1);
	assert_int_equal(sp_http_follow(path, &get, &follower, &answer, why, sizeof(why)), -EINTR);
	finish(&s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void no_socket_says_what_to_do(void **state)
{
	struct sp_http_answer answer;
	char why[256] = "", longer[300];

	(void)state;
	assert_int_equal(sp_http_call(path, &get, &answer, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "systemctl start"));
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(sp_http_call(longer, &get, &answer, why, sizeof(why)), -ENAMETOOLONG);
}

static void numbers_for_people(void **state)
{
	char buf[SP_HUMAN_SIZE];

	(void)state;
	assert_string_equal(sp_human_count(0, buf), "0");
	assert_string_equal(sp_human_count(999, buf), "999");
	assert_string_equal(sp_human_count(1000, buf), "1,000");
	assert_string_equal(sp_human_count(12345678, buf), "12,345,678");
	assert_string_equal(sp_human_count(-1234, buf), "-1,234");
	assert_string_equal(sp_human_count(INT64_MAX, buf), "9,223,372,036,854,775,807");
	assert_string_equal(sp_human_count(INT64_MIN, buf), "-9,223,372,036,854,775,808");
	assert_string_equal(sp_human_bytes(0, buf), "0 B");
	assert_string_equal(sp_human_bytes(1023, buf), "1023 B");
	assert_string_equal(sp_human_bytes(1536, buf), "1.5 KiB");
	assert_string_equal(sp_human_bytes(1.2 * 1024 * 1024, buf), "1.2 MiB");
	assert_string_equal(sp_human_rate(950, "pps", buf), "950 pps");
	assert_string_equal(sp_human_rate(1200, "", buf), "1.2k");
	assert_string_equal(sp_human_rate(1e10, "bit/s", buf), "10.0G bit/s");
	assert_string_equal(sp_human_rate(-5, "", buf), "0");
	assert_string_equal(sp_human_duration(59.9, buf), "59s");
	assert_string_equal(sp_human_duration(725, buf), "12m 5s");
	assert_string_equal(sp_human_duration(86399, buf), "23h 59m");
	assert_string_equal(sp_human_duration(360000, buf), "4d 4h");
	assert_string_equal(sp_human_duration(-3, buf), "0s");
	assert_string_equal(sp_human_ago(NULL, buf), "never");
	assert_string_equal(sp_human_ago("soon", buf), "soon");
	assert_non_null(strstr(sp_human_ago("2020-01-01T00:00:00.000Z", buf), "d "));
}

/* The table as text. */
static char *printed(const struct sp_column *columns, size_t n, const char *const *cells, size_t n_cells, unsigned int width)
{
	struct sp_table table;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	sp_table_init(&table, columns, n);
	for (size_t i = 0; i < n_cells; i++)
		sp_table_add(&table, cells[i]);
	sp_table_print(&table, width, out);
	fclose(out);
	return text;
}

static void tables_fit(void **state)
{
	static const struct sp_column columns[] = {{"N", true, false}, {"NAME", false, false}, {"TEXT", false, true}};
	static const char *const cells[] = {"1", "a", "short", "1,000", "long name", "0123456789 0123456789 \xc3\xa4\xc3\xb6\xc3\xbc"};
	static const char *const hostile[] = {"1", "\x1b[2J\xc2\x9b", NULL};
	char *text = printed(columns, 3, cells, 6, 0);

	(void)state;
	assert_string_equal(text, "    N  NAME       TEXT\n"
				  "    1  a          short\n"
				  "1,000  long name  0123456789 0123456789 \xc3\xa4\xc3\xb6\xc3\xbc\n");
	free(text);
	text = printed(columns, 3, cells, 6, 32);
	assert_string_equal(text, "    N  NAME       TEXT\n"
				  "    1  a          short\n"
				  "1,000  long name  0123456789 01…\n");
	free(text);
	text = printed(columns, 3, cells, 6, 42);
	assert_non_null(strstr(text, "0123456789 0123456789 \xc3\xa4…\n"));
	free(text);
	text = printed(columns, 3, hostile, 3, 0);
	assert_string_equal(text, "N  NAME   TEXT\n1  ?[2J?  \n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers_are_read_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_answer_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(an_endless_head_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_large_body_in_chunks, setup, teardown),
		cmocka_unit_test_setup_teardown(a_request_says_what_it_carries, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refusal_during_the_body_is_heard, setup, teardown),
		cmocka_unit_test_setup_teardown(a_silent_server_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stream_is_followed_line_by_line, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refused_stream_is_an_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(a_signal_ends_the_following, setup, teardown),
		cmocka_unit_test_setup_teardown(no_socket_says_what_to_do, setup, teardown),
		cmocka_unit_test(numbers_for_people),
		cmocka_unit_test(tables_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
