/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Backends are asked over real sockets of the loopback interface, by servers that answer as servers do and as they should not. Nothing is
 * judged by how long it takes: tests wait for what must come to be, and fail only when it does not for very long.
 */
#define _GNU_SOURCE 1
#include "mgmt/health.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mgmt/health_set.h"

#define PATIENCE_MS 60000
#define ENTRIES     4
#define MANY        1024

/* --- servers --------------------------------------------------------------------------------------------------------------------- */

enum manner {
	ANSWERS, /* with `answer`, then closes */
	SILENT,  /* takes the connection and the request */
	DRIPS,   /* `answer`, and then a byte of a reason phrase every 5 ms, as long as anybody listens */
	RESETS,  /* after it has read the request */
	CLOSES,
	BY_TURNS, /* closes, answers, closes, ... */
};

struct server {
	int listener;
	uint16_t port;
	pthread_t thread;
	enum manner manner; /* atomic */
	const char *answer;
	int stop; /* atomic */
	unsigned int connections;
	pthread_mutex_t lock;
	char request[1024]; /* the last whole one; under lock */
};

static void pause_ms(long ms)
{
	const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&pause, NULL);
}

/* Binds, but does not listen: who connects is refused, and nobody else can have the port meanwhile. */
static void reserve(struct server *server, int family)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	socklen_t size = family == AF_INET ? sizeof(in) : sizeof(in6);
	struct sockaddr *address = family == AF_INET ? (struct sockaddr *)&in : (struct sockaddr *)&in6;

	*server = (struct server){.manner = CLOSES};
	server->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(server->listener >= 0);
	assert_int_equal(bind(server->listener, address, size), 0);
	assert_int_equal(getsockname(server->listener, address, &size), 0);
	server->port = ntohs(family == AF_INET ? in.sin_port : in6.sin6_port);
}

static void take_request(struct server *server, int fd)
{
	char request[sizeof(server->request)] = "";
	size_t n = 0;

	while (n < sizeof(request) - 1 && strstr(request, "\r\n\r\n") == NULL) {
		ssize_t got = recv(fd, request + n, sizeof(request) - 1 - n, 0);

		if (got <= 0)
			return;
		n += (size_t)got;
		request[n] = '\0';
	}
	pthread_mutex_lock(&server->lock);
	strcpy(server->request, request);
	pthread_mutex_unlock(&server->lock);
}

static void answer(struct server *server, int fd)
{
	const struct linger reset = {.l_onoff = 1};
	enum manner manner = __atomic_load_n(&server->manner, __ATOMIC_ACQUIRE);
	char byte;

	if (manner == BY_TURNS)
		manner = server->connections++ % 2 == 0 ? CLOSES : ANSWERS;
	if (manner == CLOSES)
		return;
	take_request(server, fd);
	if (manner == RESETS)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (manner == ANSWERS || manner == DRIPS)
		send(fd, server->answer, strlen(server->answer), MSG_NOSIGNAL);
	while (manner == DRIPS && send(fd, "x", 1, MSG_NOSIGNAL) == 1)
		pause_ms(5);
	while (manner == SILENT && recv(fd, &byte, 1, 0) > 0)
		;
}

static void *serve(void *arg)
{
	struct server *server = arg;

	while (!__atomic_load_n(&server->stop, __ATOMIC_ACQUIRE)) {
		int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		answer(server, fd);
		close(fd);
	}
	return NULL;
}

/* Has a reserved port answer. */
static void begin(struct server *server, enum manner manner, const char *text)
{
	server->manner = manner;
	server->answer = text;
	pthread_mutex_init(&server->lock, NULL);
	assert_int_equal(listen(server->listener, 128), 0);
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void start_server(struct server *server, int family, enum manner manner, const char *text)
{
	reserve(server, family);
	begin(server, manner, text);
}

static void stop_server(struct server *server)
{
	__atomic_store_n(&server->stop, 1, __ATOMIC_RELEASE);
	shutdown(server->listener, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->listener);
	pthread_mutex_destroy(&server->lock);
}

/* --- entries --------------------------------------------------------------------------------------------------------------------- */

static struct sp_health *health;
static struct sp_addr_range ranges[ENTRIES][4];
static struct sp_range ports[ENTRIES];
static struct sp_nat_entry entries[ENTRIES];
static struct sp_nat_list list;

/* The last call for each entry, and how many there were. */
static struct {
	pthread_mutex_t lock;
	unsigned int calls[ENTRIES + 1];
	size_t n[ENTRIES + 1];
	bool live[ENTRIES + 1][SP_NAT_BACKENDS_MAX];
	uint64_t asked, failed; /* of the first backend, at the last call */
	pthread_t thread;
	unsigned int refusals; /* so many calls are refused */
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool changed(void *context, uint32_t entry, const bool *live, size_t n)
{
	struct sp_health_report report;
	bool told;

	assert_ptr_equal(context, &seen);
	assert_in_range(entry, 1, ENTRIES);
	/* no lock is held */
	if (sp_health_reports(health, 0, &report, 1) == 1) {
		seen.asked = report.asked;
		seen.failed = report.failed;
	}
	pthread_mutex_lock(&seen.lock);
	seen.calls[entry]++;
	seen.n[entry] = n;
	memcpy(seen.live[entry], live, n * sizeof(*live));
	seen.thread = pthread_self();
	told = seen.refusals == 0;
	seen.refusals -= !told;
	pthread_mutex_unlock(&seen.lock);
	return told;
}

static struct sp_addr_range range(const char *text)
{
	struct sp_addr_range range;
	const char *why;

	assert_int_equal(sp_addr_range_parse(text, strlen(text), &range, &why), 0);
	return range;
}

/* Adds an entry for these addresses and this port, asked every 20 ms. */
static struct sp_nat_entry *add(const char *addresses, uint16_t port, enum sp_health_type type)
{
	struct sp_nat_entry *entry = &entries[list.n];
	char copy[256], *rest = copy, *word;

	*entry = (struct sp_nat_entry){.id = (uint32_t)list.n + 1,
		.enabled = true,
		.type = SP_NAT_DESTINATION,
		.method = SP_NAT_METHOD_MAGLEV,
		.address = ranges[list.n],
		.health = {.type = (uint8_t)type, .up = 2, .down = 3, .interval_ms = 20, .timeout_ms = 20000, .path = "/"}};
	strcpy(copy, addresses);
	while ((word = strsep(&rest, ",")) != NULL)
		entry->address[entry->n_address++] = range(word);
	ports[list.n] = (struct sp_range){port, port};
	entry->port = (struct sp_rangelist){&ports[list.n], 1};
	list.v = entries;
	list.n++;
	return entry;
}

static void watch(void)
{
	assert_int_equal(sp_health_watch(health, &list), 0);
}

static struct sp_health_report report(size_t n)
{
	struct sp_health_report report;

	assert_int_equal(sp_health_reports(health, n, &report, 1), 1);
	return report;
}

#define wait_for(condition)                                            \
	do {                                                           \
		int waited = 0;                                        \
                                                                       \
		for (; !(condition) && waited < PATIENCE_MS; waited++) \
			pause_ms(1);                                   \
		if (waited == PATIENCE_MS)                             \
			fail_msg("waited in vain for %s", #condition); \
	} while (0)

static unsigned int calls(uint32_t entry)
{
	unsigned int n;

	pthread_mutex_lock(&seen.lock);
	n = seen.calls[entry];
	pthread_mutex_unlock(&seen.lock);
	return n;
}

static bool told_live(uint32_t entry, size_t k)
{
	bool live;

	pthread_mutex_lock(&seen.lock);
	live = k < seen.n[entry] && seen.live[entry][k];
	pthread_mutex_unlock(&seen.lock);
	return live;
}

static void start_health(void)
{
	char why[256] = "";

	health = sp_health_start(NULL, why, sizeof(why));
	if (health == NULL)
		fail_msg("%s", why);
	sp_health_connect(health, changed, &seen);
}

static int setup(void **state)
{
	(void)state;
	memset(entries, 0, sizeof(entries));
	memset(seen.calls, 0, sizeof(seen.calls));
	memset(seen.n, 0, sizeof(seen.n));
	memset(seen.live, 0, sizeof(seen.live));
	list = (struct sp_nat_list){.v = entries};
	start_health();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sp_health_stop(health);
	health = NULL;
	return 0;
}

/* --- the tests ------------------------------------------------------------------------------------------------------------------- */

static void a_listening_backend_lives(void **state)
{
	struct sp_health_report got;
	struct server server;

	(void)state;
	start_server(&server, AF_INET, CLOSES, NULL);
	add("127.0.0.1", server.port, SP_HEALTH_TCP);
	watch();
	wait_for(report(0).asked >= 5);
	got = report(0);
	assert_true(got.live && got.checked && !got.drained);
	assert_int_equal(got.entry, 1);
	assert_int_equal(got.port, server.port);
	assert_int_equal(got.failed, 0);
	assert_int_equal(got.since_ms, 0);
	assert_string_equal(got.why, "");
	wait_for(calls(1) == 1);
	assert_true(told_live(1, 0));
	assert_false(pthread_equal(seen.thread, pthread_self()));
	stop_server(&server);
}

/* Every way not to answer: dead after three failures, for the reason that is told. */
static void what_does_not_answer_well_dies(void **state)
{
	static char endless[8192];
	static const struct {
		enum sp_health_type type;
		enum manner manner;
		uint16_t status;
		const char *answer; /* NULL: nobody listens */
		const char *why;
	} cases[] = {
		{SP_HEALTH_TCP, CLOSES, 0, NULL, "no connection: Connection refused"},
		{SP_HEALTH_HTTP, CLOSES, 0, NULL, "no connection: Connection refused"},
		{SP_HEALTH_HTTP, ANSWERS, 0, "", "closed without a status line"},
		{SP_HEALTH_HTTP, RESETS, 0, "", "no answer: Connection reset by peer"},
		{SP_HEALTH_HTTP, SILENT, 0, "", "no whole status line within 50 ms"},
		{SP_HEALTH_HTTP, DRIPS, 0, "HTTP/1.1 200 OK", "no whole status line within 50 ms"},
		{SP_HEALTH_HTTP, DRIPS, 0, "", "the answer is not HTTP/1"},
		{SP_HEALTH_HTTP, ANSWERS, 0, "HTTP/1.1 503 Service Unavailable\r\n\r\n", "status 503"},
		{SP_HEALTH_HTTP, ANSWERS, 0, "HTTP/1.1 404 Not Found\r\n\r\n", "status 404"},
		{SP_HEALTH_HTTP, ANSWERS, 0, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "status 100"},
		{SP_HEALTH_HTTP, ANSWERS, 0, "HTTP/1.1 400\r\n\r\n", "status 400"},
		{SP_HEALTH_HTTP, ANSWERS, 200, "HTTP/1.1 204 No Content\r\n\r\n", "status 204"},
		{SP_HEALTH_HTTP, ANSWERS, 0, "SSH-2.0-OpenSSH_9.2\r\n", "the answer is not HTTP/1"},
		{SP_HEALTH_HTTP, ANSWERS, 0, "HTTP/2.0 200 OK\r\n", "the answer is not HTTP/1"},
		{SP_HEALTH_HTTP, ANSWERS, 0, "HTTP/1.1 20\r\n", "the answer is not HTTP/1"},
		{SP_HEALTH_HTTP, ANSWERS, 0, "HTTP/1.1 2000 OK\r\n", "the answer is not HTTP/1"},
		{SP_HEALTH_HTTP, ANSWERS, 0, "HTTP/1.1  200 OK\r\n", "the answer is not HTTP/1"},
		{SP_HEALTH_HTTP, ANSWERS, 0, "HTTP/1.x 200 OK\r\n", "the answer is not HTTP/1"},
		{SP_HEALTH_HTTP, ANSWERS, 0, "HTTP/1.1 -20 OK\r\n", "the answer is not HTTP/1"},
		{SP_HEALTH_HTTP, ANSWERS, 0, "\r\nHTTP/1.1 200 OK\r\n", "the answer is not HTTP/1"},
		{SP_HEALTH_HTTP, ANSWERS, 0, "\n", "the answer is not HTTP/1"},
		{SP_HEALTH_HTTP, ANSWERS, 0, "HTTP/1.1 200", "closed without a status line"},
		{SP_HEALTH_HTTP, ANSWERS, 0, endless, "the status line has no end"},
	};

	(void)state;
	memset(endless, 'x', sizeof(endless) - 1);
	memcpy(endless, "HTTP/1.1 200 ", 13);
	for (unsigned int c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct sp_health_report got;
		struct sp_nat_entry *entry;
		struct server server;

		if (cases[c].answer != NULL)
			start_server(&server, AF_INET, cases[c].manner, cases[c].answer);
		else
			reserve(&server, AF_INET);
		list.n = 0;
		entry = add("127.0.0.1", server.port, cases[c].type);
		entry->health.status = cases[c].status;
		if (strstr(cases[c].why, " 50 ms") != NULL)
			entry->health.timeout_ms = 50;
		watch();
		wait_for(!report(0).live);
		got = report(0);
		if (strcmp(got.why, cases[c].why) != 0)
			fail_msg("case %u: \"%s\" instead of \"%s\"", c, got.why, cases[c].why);
		assert_true(got.failed >= 3 && got.failed == got.asked);
		assert_true(got.since_ms != 0);
		wait_for(!told_live(1, 0));
		/* the next case begins from nothing */
		assert_int_equal(sp_health_watch(health, NULL), 0);
		if (cases[c].answer != NULL)
			stop_server(&server);
		else
			close(server.listener);
	}
}

static void good_answers_are_good(void **state)
{
	static const struct {
		uint16_t status;
		const char *answer;
	} cases[] = {
		{0, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{0, "HTTP/1.0 200 \r\n\r\n"},
		{0, "HTTP/1.1 200\r\n\r\n"},
		{0, "HTTP/1.1 204\n"},
		{0, "HTTP/1.1 399 Odd\r\n\r\n"},
		{401, "HTTP/1.1 401 Unauthorized\r\n\r\n"},
		{503, "HTTP/1.1 503 Service Unavailable\r\n\r\n"},
	};

	(void)state;
	for (unsigned int c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct server server;

		start_server(&server, AF_INET, ANSWERS, cases[c].answer);
		list.n = 0;
		add("127.0.0.1", server.port, SP_HEALTH_HTTP)->health.status = cases[c].status;
		watch();
		wait_for(report(0).asked >= 4);
		if (report(0).failed != 0)
			fail_msg("case %u: %s", c, report(0).why);
		assert_int_equal(sp_health_watch(health, NULL), 0);
		stop_server(&server);
	}
}

static void last_request(struct server *server, char *out)
{
	pthread_mutex_lock(&server->lock);
	strcpy(out, server->request);
	pthread_mutex_unlock(&server->lock);
}

static void the_request_says_what_is_asked(void **state)
{
	struct server v4, v6;
	char want[512], got[1024];
	struct sp_nat_entry *entry;

	(void)state;
	start_server(&v4, AF_INET, ANSWERS, "HTTP/1.1 200 OK\r\n\r\n");
	start_server(&v6, AF_INET6, ANSWERS, "HTTP/1.1 200 OK\r\n\r\n");
	entry = add("127.0.0.1", 9, SP_HEALTH_HTTP);
	entry->health.port = v4.port; /* another one than clients are sent to */
	entry->health.path = "/health?deep=1";
	entry->health.host = "shop.example";
	add("::1", v6.port, SP_HEALTH_HTTP);
	watch();
	wait_for(report(0).asked != 0 && report(1).asked != 0);
	assert_true(report(0).failed == 0 && report(1).failed == 0);
	assert_int_equal(report(0).port, 9);
	last_request(&v4, got);
	assert_string_equal(got,
		"GET /health?deep=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: sallyport\r\nAccept: */*\r\nConnection: close\r\n\r\n");
	last_request(&v6, got);
	snprintf(want, sizeof(want), "GET / HTTP/1.1\r\nHost: [::1]:%u\r\n", v6.port);
	assert_memory_equal(got, want, strlen(want));
	assert_int_equal(sp_health_watch(health, NULL), 0);
	stop_server(&v4);
	stop_server(&v6);
}

/* Dead after `down` failures in a row and not before, alive after `up` good answers in a row. */
static void rows_of_answers_count(void **state)
{
	struct server server;
	struct sp_nat_entry *entry;
	uint64_t good;

	(void)state;
	start_server(&server, AF_INET, ANSWERS, "HTTP/1.1 200 OK\r\n\r\n");
	entry = add("127.0.0.1", server.port, SP_HEALTH_HTTP);
	entry->health.down = 4;
	entry->health.up = 3;
	watch();
	wait_for(calls(1) == 1 && report(0).asked >= 2);
	__atomic_store_n(&server.manner, CLOSES, __ATOMIC_RELEASE);
	wait_for(calls(1) == 2);
	assert_false(told_live(1, 0));
	assert_int_equal(seen.failed, 4);
	good = seen.asked - seen.failed;
	wait_for(report(0).failed >= 6);
	__atomic_store_n(&server.manner, ANSWERS, __ATOMIC_RELEASE);
	wait_for(calls(1) == 3);
	assert_true(told_live(1, 0));
	assert_int_equal(seen.asked - seen.failed, good + 3);
	assert_string_equal(report(0).why, "");
	assert_int_equal(sp_health_watch(health, NULL), 0);
	stop_server(&server);
}

/* Good and bad answers by turns are no row of two. */
static void an_answer_between_ends_a_row(void **state)
{
	struct server server;
	struct sp_nat_entry *entry;

	(void)state;
	start_server(&server, AF_INET, BY_TURNS, "HTTP/1.1 200 OK\r\n\r\n");
	entry = add("127.0.0.1", server.port, SP_HEALTH_HTTP);
	entry->health.down = 2;
	watch();
	wait_for(report(0).asked >= 20);
	assert_int_equal(report(0).since_ms, 0);
	entry->health.down = 1;
	watch();
	wait_for(!report(0).live);
	wait_for(report(0).asked >= 40);
	assert_false(report(0).live);
	assert_int_equal(sp_health_watch(health, NULL), 0);
	stop_server(&server);
}

/* --- from one list to the next ------------------------------------------------------------------------------------------------------ */

static void state_outlives_a_change_of_rules(void **state)
{
	struct server good, bad;
	struct sp_health_report before;

	(void)state;
	start_server(&good, AF_INET, ANSWERS, "HTTP/1.1 200 OK\r\n\r\n");
	reserve(&bad, AF_INET);
	add("127.0.0.1,127.0.0.2", bad.port, SP_HEALTH_HTTP);
	add("127.0.0.1", good.port, SP_HEALTH_HTTP);
	watch();
	wait_for(!told_live(1, 0) && !told_live(1, 1) && calls(2) == 1);
	before = report(1);
	/* another order, one more address, other times: 127.0.0.2 is as dead as it was */
	entries[0].n_address = 0;
	entries[0].address[entries[0].n_address++] = range("127.0.0.9");
	entries[0].address[entries[0].n_address++] = range("127.0.0.2");
	entries[0].health.interval_ms = 20000;
	watch();
	wait_for(calls(2) == 2);
	assert_false(report(1).live);
	assert_int_equal(report(1).since_ms, before.since_ms);
	assert_true(report(1).failed >= before.failed);
	assert_true(report(0).live);
	assert_false(told_live(1, 1));
	/* what is asked is another thing: what was known of it is not */
	entries[0].health.path = "/other";
	watch();
	wait_for(calls(2) == 3);
	assert_true(report(1).live && report(1).asked <= 1);
	wait_for(told_live(1, 1));
	assert_true(report(2).live && report(2).asked != 0);
	close(bad.listener);
	assert_int_equal(sp_health_watch(health, NULL), 0);
	stop_server(&good);
}

/* Rules that change faster than a backend fails to answer do not keep it alive. */
static void a_check_outlives_a_change_of_rules(void **state)
{
	struct server server;
	struct sp_nat_entry *entry;

	(void)state;
	start_server(&server, AF_INET, SILENT, NULL);
	entry = add("127.0.0.1", server.port, SP_HEALTH_HTTP);
	entry->health.interval_ms = entry->health.timeout_ms = 200;
	for (int ms = 0; ms < PATIENCE_MS && (ms == 0 || report(0).live); ms++) {
		watch();
		pause_ms(1);
	}
	assert_false(report(0).live);
	assert_int_equal(sp_health_watch(health, NULL), 0);
	stop_server(&server);
}

/* A check that is under way when another backend takes the place of its own in the list is still its own's. */
static void a_check_finds_its_backend_again(void **state)
{
	struct server silent, good;
	char request[1024] = "";

	(void)state;
	start_server(&silent, AF_INET, SILENT, NULL);
	start_server(&good, AF_INET, CLOSES, NULL);
	add("127.0.0.1", good.port, SP_HEALTH_TCP)->enabled = false;
	add("127.0.0.1", silent.port, SP_HEALTH_HTTP);
	entries[1].health.interval_ms = entries[1].health.timeout_ms = 500;
	entries[1].health.down = 1;
	watch();
	while (request[0] == '\0')
		last_request(&silent, request);
	entries[0].enabled = true;
	watch();
	wait_for(!report(1).live && report(0).asked != 0);
	assert_int_equal(report(1).failed, report(1).asked);
	assert_int_equal(report(0).failed, 0);
	assert_int_equal(sp_health_watch(health, NULL), 0);
	stop_server(&silent);
	stop_server(&good);
}

static void what_is_not_watched_is_not_asked(void **state)
{
	struct server server;
	struct sp_health_report got;

	(void)state;
	reserve(&server, AF_INET);
	add("127.0.0.1", server.port, SP_HEALTH_TCP)->enabled = false;
	add("127.0.0.2", server.port, SP_HEALTH_TCP)->type = SP_NAT_SOURCE;
	add("127.0.0.3,127.0.0.4", server.port, SP_HEALTH_NONE); /* spread over, and not checked */
	add("127.0.0.5", server.port, SP_HEALTH_NONE)->method = SP_NAT_METHOD_NONE;
	watch();
	wait_for(calls(3) == 1);
	assert_int_equal(sp_health_reports(health, 2, &got, 1), 0);
	for (unsigned int b = 0; b < 2; b++) {
		got = report(b);
		assert_int_equal(got.entry, 3);
		assert_true(got.live && !got.checked && got.asked == 0);
		assert_true(told_live(3, b));
	}
	/* an entry of one address with a check */
	entries[3].health.type = SP_HEALTH_TCP;
	watch();
	wait_for(calls(4) == 2);
	assert_false(report(2).live);
	assert_int_equal(calls(1) + calls(2), 0);
	close(server.listener);
}

static void a_list_beyond_bounds_is_refused(void **state)
{
	static struct sp_nat_entry many[SP_NAT_MAX + 1];
	static const char *const paths[] = {NULL, "", "no-slash", "/a b", "/a\r\nX: y", "/\x7f", "/\xc3\xa9"};
	static const char *const hosts[] = {"", "a\nb", "a b"};
	struct sp_nat_list long_list = {many, SP_NAT_MAX + 1};
	struct server server;

	(void)state;
	start_server(&server, AF_INET, ANSWERS, "HTTP/1.1 200 OK\r\n\r\n");
	add("127.0.0.1", server.port, SP_HEALTH_HTTP);
	watch();
	assert_int_equal(sp_health_watch(health, &long_list), -EINVAL);
	add("127.0.8.0/22,127.0.12.0", server.port, SP_HEALTH_TCP);
	assert_int_equal(sp_health_watch(health, &list), -EINVAL);
	ranges[1][0] = range("::/0");
	assert_int_equal(sp_health_watch(health, &list), -EINVAL);
	list.n = 1;
	for (unsigned int i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		entries[0].health.path = paths[i];
		assert_int_equal(sp_health_watch(health, &list), -EINVAL);
	}
	entries[0].health.path = "/";
	for (unsigned int i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		entries[0].health.host = hosts[i];
		assert_int_equal(sp_health_watch(health, &list), -EINVAL);
	}
	/* the one that was watched still is */
	wait_for(report(0).asked >= 3);
	assert_int_equal(calls(1), 1);
	assert_int_equal(sp_health_watch(health, NULL), 0);
	stop_server(&server);
}

/* --- draining ------------------------------------------------------------------------------------------------------------------------ */

static unsigned int drain(uint32_t entry, const char *text, bool drained, unsigned int found)
{
	struct sp_addr address;
	unsigned int got = 99, n;

	assert_int_equal(sp_addr_parse(text, strlen(text), &address), 0);
	n = sp_health_drain(health, entry, &address, drained, &got);
	assert_int_equal(got, found);
	return n;
}

static void a_drained_backend_takes_no_new_flows(void **state)
{
	struct sp_health_sum sums[3];
	struct server server;

	(void)state;
	start_server(&server, AF_INET, CLOSES, NULL);
	add("127.0.0.1,127.0.0.2", server.port, SP_HEALTH_TCP);
	add("127.0.0.2", server.port, SP_HEALTH_NONE);
	watch();
	wait_for(told_live(1, 0) && told_live(1, 1) && told_live(2, 0));
	assert_int_equal(drain(0, "127.0.0.7", true, 0), 0);
	assert_int_equal(drain(2, "127.0.0.1", true, 0), 0);
	assert_int_equal(drain(1, "127.0.0.2", true, 1), 1);
	wait_for(!told_live(1, 1));
	assert_true(told_live(1, 0) && told_live(2, 0));
	assert_true(report(1).drained && report(1).live && report(1).since_ms != 0);
	assert_int_equal(sp_health_sums(health, sums, 1), 1);
	assert_int_equal(sp_health_sums(health, sums, 3), 2);
	assert_int_equal(sums[0].entry, 1);
	assert_true(sums[0].live == 1 && sums[0].drained == 1 && sums[0].dead == 0);
	assert_true(sums[1].live == 1 && sums[1].drained == 0 && sums[1].asked == 0);
	assert_int_equal(drain(0, "127.0.0.2", true, 2), 1); /* one was already */
	wait_for(!told_live(2, 0));
	/* it is asked on, and stays drained whatever becomes of the check */
	entries[0].health.type = SP_HEALTH_HTTP;
	watch();
	wait_for(report(1).asked != 0 && !report(0).live && !report(1).live);
	assert_int_equal(sp_health_sums(health, sums, 3), 2);
	assert_true(sums[0].live == 0 && sums[0].dead == 1 && sums[0].drained == 1 && sums[0].failed >= 6);
	assert_true(report(1).drained && !report(0).drained);
	entries[0].health.type = SP_HEALTH_TCP;
	watch();
	wait_for(told_live(1, 0));
	assert_int_equal(drain(0, "127.0.0.2", false, 2), 2);
	wait_for(told_live(1, 1) && told_live(2, 0));
	assert_int_equal(drain(0, "127.0.0.2", false, 2), 0);
	stop_server(&server);
}

/* What could not be put into force is told again, as it is by then. */
static void what_was_refused_is_told_again(void **state)
{
	(void)state;
	add("127.0.0.1,127.0.0.2", 80, SP_HEALTH_NONE);
	seen.refusals = 2;
	watch();
	wait_for(calls(1) == 1);
	assert_int_equal(drain(0, "127.0.0.2", true, 1), 1);
	wait_for(calls(1) == 3);
	assert_true(told_live(1, 0) && !told_live(1, 1));
	assert_int_equal(seen.refusals, 0);
}

/* --- many ----------------------------------------------------------------------------------------------------------------------------- */

/* 1,024 addresses in three ranges, in file order in reports and calls: all die, and all come to life when somebody listens. */
static void a_thousand_backends(void **state)
{
	static struct sp_health_report reports[MANY];
	struct server server;
	struct sp_nat_entry *entry;
	char text[48];

	(void)state;
	reserve(&server, AF_INET);
	entry = add("127.0.4.250-127.0.5.3,127.0.64.0/23,127.0.8.0-127.0.9.245", server.port, SP_HEALTH_TCP);
	entry->health.interval_ms = 500;
	watch();
	wait_for(calls(1) != 0);
	for (unsigned int b = 0; b < MANY; b++)
		wait_for(!told_live(1, b));
	assert_int_equal(seen.n[1], MANY);
	begin(&server, CLOSES, NULL);
	for (unsigned int b = 0; b < MANY; b++)
		wait_for(told_live(1, b));
	assert_int_equal(sp_health_reports(health, 0, reports, MANY), MANY);
	for (unsigned int b = 0; b < MANY; b++)
		assert_true(reports[b].live && reports[b].asked >= 5 && reports[b].failed >= 3);
	assert_string_equal(sp_addr_format(&reports[0].address, text, sizeof(text)), "127.0.4.250");
	assert_string_equal(sp_addr_format(&reports[6].address, text, sizeof(text)), "127.0.5.0");
	assert_string_equal(sp_addr_format(&reports[10].address, text, sizeof(text)), "127.0.64.0");
	assert_string_equal(sp_addr_format(&reports[MANY - 1].address, text, sizeof(text)), "127.0.9.245");
	assert_int_equal(sp_health_watch(health, NULL), 0);
	stop_server(&server);
}

/* More backends that say nothing than checks may be under way: each has its turn all the same. */
static void silence_of_many(void **state)
{
	struct server server;
	struct sp_nat_entry *entry;

	(void)state;
	reserve(&server, AF_INET);
	assert_int_equal(listen(server.listener, 4096), 0);
	entry = add("127.0.4.0/23,127.0.7.0-127.0.7.100", server.port, SP_HEALTH_HTTP);
	entry->health.interval_ms = entry->health.timeout_ms = 200;
	watch();
	wait_for(calls(1) != 0);
	for (unsigned int b = 0; b < 512 + 101; b++)
		wait_for(!told_live(1, b));
	assert_int_equal(sp_health_watch(health, NULL), 0);
	close(server.listener);
}

/* Of new backends none is asked at the same time as another, as long as their interval leaves room for it. */
static void first_checks_are_spread(void **state)
{
	struct sp_health_set *set, *more;
	struct sp_nat_entry *entry;
	int64_t last = 0;

	(void)state;
	entry = add("127.0.4.0/22", 80, SP_HEALTH_TCP);
	entry->health.interval_ms = 3000;
	assert_int_equal(sp_health_set_make(&list, &set), 0);
	sp_health_set_adopt(set, NULL, 1000);
	assert_int_equal(set->n_queue, MANY);
	for (unsigned int b = 0; b < MANY; b++) {
		uint32_t taken = sp_health_queue_take(set);

		assert_true(set->backends[taken].due_ms > last && set->backends[taken].due_ms <= 1000 + 3000);
		last = set->backends[taken].due_ms;
	}
	assert_true(last > 1000 + 2900);
	/* one more does not disturb them, and need not wait */
	entry->address[entry->n_address++] = range("127.0.9.9");
	entry->address[0] = range("127.0.4.0/23");
	assert_int_equal(sp_health_set_make(&list, &more), 0);
	sp_health_set_adopt(more, set, 2000);
	assert_int_equal(more->n_queue, 513);
	for (unsigned int b = 0; b < 512; b++)
		assert_int_equal(more->backends[b].due_ms, set->backends[b].due_ms);
	assert_int_equal(more->backends[512].due_ms, 2000);
	sp_health_set_free(more);
	sp_health_set_free(set);
}

/* The queue gives out in order whatever goes in. */
static void the_queue_is_in_order(void **state)
{
	struct sp_health_set *set;
	uint32_t random = 1;
	int64_t last = -1;

	(void)state;
	add("127.0.4.0/22", 80, SP_HEALTH_TCP);
	assert_int_equal(sp_health_set_make(&list, &set), 0);
	for (unsigned int b = 0; b < MANY; b++) {
		random = random * 1664525u + 1013904223u;
		set->backends[b].due_ms = random >> 20;
		sp_health_queue_add(set, b);
	}
	assert_int_equal(sp_health_queue_first(set)->due_ms, set->backends[set->queue[0]].due_ms);
	for (unsigned int b = 0; b < MANY; b++) {
		int64_t due = set->backends[sp_health_queue_take(set)].due_ms;

		assert_true(due >= last);
		last = due;
	}
	assert_null(sp_health_queue_first(set));
	sp_health_set_free(set);
}

/* --- trouble ----------------------------------------------------------------------------------------------------------------------------
 */

static unsigned int descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(folder);
	while (readdir(folder) != NULL)
		n++;
	closedir(folder);
	return n;
}

/* That the firewall cannot ask says nothing about a backend. */
static void without_descriptors_nobody_dies(void **state)
{
	struct server server;
	struct rlimit before, none;

	(void)state;
	reserve(&server, AF_INET);
	add("127.0.0.1", server.port, SP_HEALTH_TCP);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	watch();
	wait_for(calls(1) == 1);
	pause_ms(100); /* in which it would have died */
	assert_true(report(0).live);
	assert_int_equal(report(0).asked, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	wait_for(!report(0).live);
	close(server.listener);
}

static void nothing_is_left_open(void **state)
{
	struct server silent, good;
	unsigned int before;

	(void)state;
	start_server(&silent, AF_INET, SILENT, NULL);
	start_server(&good, AF_INET, ANSWERS, "HTTP/1.1 200 OK\r\n\r\n");
	wait_for(calls(1) == 0);
	before = descriptors();
	add("127.0.0.1", silent.port, SP_HEALTH_HTTP)->health.timeout_ms = 60000;
	add("127.0.0.1", good.port, SP_HEALTH_HTTP);
	watch();
	wait_for(report(1).asked >= 5);
	assert_true(descriptors() > before); /* the silent one is under way */
	assert_int_equal(report(0).asked, 0);
	assert_int_equal(sp_health_watch(health, NULL), 0);
	wait_for(descriptors() <= before);
	/* and when it ends with a check under way */
	watch();
	wait_for(report(1).asked >= 5);
	sp_health_stop(health);
	wait_for(descriptors() <= before - 2); /* epoll and eventfd are gone, too */
	start_health();
	stop_server(&silent);
	stop_server(&good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_listening_backend_lives, setup, teardown),
		cmocka_unit_test_setup_teardown(what_does_not_answer_well_dies, setup, teardown),
		cmocka_unit_test_setup_teardown(good_answers_are_good, setup, teardown),
		cmocka_unit_test_setup_teardown(the_request_says_what_is_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(rows_of_answers_count, setup, teardown),
		cmocka_unit_test_setup_teardown(an_answer_between_ends_a_row, setup, teardown),
		cmocka_unit_test_setup_teardown(state_outlives_a_change_of_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(a_check_outlives_a_change_of_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(a_check_finds_its_backend_again, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_watched_is_not_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(a_list_beyond_bounds_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_drained_backend_takes_no_new_flows, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_refused_is_told_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_thousand_backends, setup, teardown),
		cmocka_unit_test_setup_teardown(silence_of_many, setup, teardown),
		cmocka_unit_test_setup_teardown(first_checks_are_spread, setup, teardown),
		cmocka_unit_test_setup_teardown(the_queue_is_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(without_descriptors_nobody_dies, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_left_open, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
