/* SPDX-License-Identifier: BSD-3-Clause */
/* Readers of live events: what they get, what they lose, and that one does not feel another. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mgmt/event_stream.h"

#define SEC ((uint64_t)1000 * 1000 * 1000)

static struct sp_streams *streams;

struct client {
	struct sp_stream_reader *reader;
	unsigned int slept, woken;
	char rest[4096]; /* a line that has not come whole */
	size_t n_rest;
	unsigned int next, lines, lost; /* the number that must come next; what came */
};

static void on_sleep(void *context)
{
	((struct client *)context)->slept++;
}

static void on_wake(void *context)
{
	((struct client *)context)->woken++;
}

static int setup(void **state)
{
	(void)state;
	streams = sp_streams_create();
	return streams ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(sp_streams_readers(streams), 0);
	sp_streams_free(streams);
	return 0;
}

static void begin(struct client *client, const struct sp_stream_filter *filter)
{
	static const struct sp_stream_filter all;
	const struct sp_stream_wait wait = {on_sleep, on_wake, client};

	*client = (struct client){0};
	client->reader = sp_stream_open(streams, filter ? filter : &all, &wait);
	assert_non_null(client->reader);
}

/* A line with a number, padded to `len` bytes. */
static void put(unsigned int number, size_t len)
{
	char text[2048];
	const struct sp_line line = {.text = text, .len = len, .types = SP_LINE_BIT(SP_LINE_AUDIT)};
	int n = snprintf(text, sizeof(text), "{\"n\":%u,\"pad\":\"", number);

	memset(text + n, 'x', len - (size_t)n - 3);
	memcpy(text + len - 3, "\"}\n", 3);
	sp_streams_put(streams, &line);
}

static void see(struct client *client, char *line)
{
	const char *lost = strstr(line, "\"lost\":");

	if (lost) {
		assert_non_null(strstr(line, "\"where\":\"reader\"}"));
		assert_true(atoi(lost + 7) > 0);
		client->lost += (unsigned int)atoi(lost + 7);
		client->next += (unsigned int)atoi(lost + 7);
		return;
	}
	assert_int_equal(strncmp(line, "{\"n\":", 5), 0);
	assert_int_equal(atoi(line + 5), client->next); /* nothing is missing that a lost line has not told */
	assert_string_equal(line + strlen(line) - 2, "\"}");
	client->next++;
	client->lines++;
}

/* Takes up to `calls` pieces of at most `piece` bytes; false when there was nothing or the end. */
static bool drain(struct client *client, size_t piece, unsigned int calls)
{
	char buf[4096];

	for (unsigned int i = 0; i < calls; i++) {
		ssize_t n = sp_stream_take(client->reader, buf, piece);

		if (n <= 0)
			return false;
		for (ssize_t k = 0; k < n; k++) {
			assert_true(client->n_rest < sizeof(client->rest) - 1);
			client->rest[client->n_rest++] = buf[k];
			if (buf[k] != '\n')
				continue;
			client->rest[client->n_rest - 1] = '\0';
			see(client, client->rest);
			client->n_rest = 0;
		}
	}
	return true;
}

static void lines_come_whole_and_in_order(void **state)
{
	struct client client;
	unsigned int n = 0;

	(void)state;
	begin(&client, NULL);
	/* several times around the ring, in pieces that fit nothing */
	for (unsigned int round = 0; round < 40; round++) {
		for (unsigned int i = 0; i < 100; i++, n++)
			put(n, 200 + n % 700);
		drain(&client, 1 + round * 101, UINT32_MAX);
		assert_int_equal(client.lines, n);
	}
	assert_int_equal(client.lost, 0);
	sp_stream_close(client.reader);
}

static void a_reader_that_stalls_loses_lines_and_is_told_where(void **state)
{
	struct client stalled, slow, quick;
	const unsigned int n = 20000;

	(void)state;
	begin(&stalled, NULL);
	begin(&slow, NULL);
	begin(&quick, NULL);
	for (unsigned int i = 0; i < n; i++) {
		put(i, 300);
		drain(&quick, 4096, 4);
		if (i % 8 == 0)
			drain(&slow, 1000, 1);
	}
	assert_int_equal(quick.lines, n);
	assert_int_equal(quick.lost, 0);
	drain(&stalled, 4096, UINT32_MAX);
	drain(&slow, 4096, UINT32_MAX);
	/* The stalled one has its oldest lines, then one gap to the end. */
	assert_in_range(stalled.lines, SP_STREAM_QUEUE_BYTES / 300 - 2, SP_STREAM_QUEUE_BYTES / 300);
	assert_int_equal(stalled.lines + stalled.lost, n);
	assert_true(slow.lines > stalled.lines);
	assert_true(slow.lost > 0);
	assert_int_equal(slow.lines + slow.lost, n);
	assert_int_equal(sp_streams_shed(streams), stalled.lost + slow.lost);
	/* Once read, it has all again. */
	for (unsigned int i = n; i < n + 100; i++)
		put(i, 300);
	drain(&stalled, 4096, UINT32_MAX);
	assert_int_equal(stalled.next, n + 100);
	sp_stream_close(stalled.reader);
	sp_stream_close(quick.reader);
	sp_stream_close(slow.reader);
}

static void who_waits_is_woken_once(void **state)
{
	struct client client;

	(void)state;
	begin(&client, NULL);
	sp_streams_wake(streams, SEC);
	assert_int_equal(client.woken, 0); /* it does not wait */
	assert_false(drain(&client, 100, 1));
	assert_int_equal(client.slept, 1);
	sp_streams_wake(streams, SEC + SEC / 2);
	assert_int_equal(client.woken, 0); /* nothing to take */
	put(0, 100);
	sp_streams_wake(streams, SEC + SEC / 2);
	sp_streams_wake(streams, SEC + SEC / 2);
	assert_int_equal(client.woken, 1);
	assert_true(drain(&client, 100, 1));
	assert_false(drain(&client, 100, 1));
	sp_streams_wake(streams, 2 * SEC);
	assert_int_equal(client.woken, 1);
	sp_streams_wake(streams, 4 * SEC); /* to see whether its client has left */
	assert_int_equal(client.woken, 2);
	sp_stream_close(client.reader);
}

static struct client waiting;

/* The API thread: woken, it takes what is there and ends. */
static void *serve(void *arg)
{
	(void)arg;
	while (__atomic_load_n(&waiting.woken, __ATOMIC_ACQUIRE) == 0)
		;
	assert_false(drain(&waiting, 4096, UINT32_MAX));
	sp_stream_close(waiting.reader);
	return NULL;
}

static void closing_ends_readers_after_what_is_queued(void **state)
{
	const struct sp_stream_wait wait = {on_sleep, on_wake, NULL};
	const struct sp_stream_filter all = {0};
	struct client stalled;
	pthread_t thread;

	(void)state;
	begin(&waiting, NULL);
	begin(&stalled, NULL);
	assert_false(drain(&waiting, 100, 1));
	put(0, 100);
	assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
	sp_streams_close(streams); /* does not wait for the stalled one for ever */
	pthread_join(thread, NULL);
	assert_int_equal(waiting.lines, 1);
	assert_null(sp_stream_open(streams, &all, &wait));
	assert_int_equal(errno, ESHUTDOWN);
	drain(&stalled, 4096, 1);
	assert_int_equal(stalled.lines, 1);
	assert_int_equal(sp_stream_take(stalled.reader, stalled.rest, 10), -1);
	assert_int_equal(stalled.slept, 0);
	sp_stream_close(stalled.reader);
}

static void readers_are_bounded(void **state)
{
	const struct sp_stream_wait wait = {on_sleep, on_wake, NULL};
	const struct sp_stream_filter all = {0};
	struct client clients[SP_STREAM_READERS_MAX];

	(void)state;
	for (unsigned int i = 0; i < SP_STREAM_READERS_MAX; i++)
		begin(&clients[i], NULL);
	assert_null(sp_stream_open(streams, &all, &wait));
	assert_int_equal(errno, EAGAIN);
	sp_stream_close(clients[3].reader);
	begin(&clients[3], NULL);
	put(0, 50);
	for (unsigned int i = 0; i < SP_STREAM_READERS_MAX; i++) {
		drain(&clients[i], 100, 1);
		assert_int_equal(clients[i].lines, 1);
		sp_stream_close(clients[i].reader);
	}
}

static struct sp_event event_of(const char *src, const char *dst, uint32_t rule)
{
	struct sp_event event = {.rule = rule, .key = {.family = SP_FAMILY_IPV4}};

	if (strchr(src, ':')) {
		event.key.family = SP_FAMILY_IPV6;
		inet_pton(AF_INET6, src, event.key.v6.src);
		inet_pton(AF_INET6, dst, event.key.v6.dst);
	} else {
		inet_pton(AF_INET, src, &event.key.v4.src);
		inet_pton(AF_INET, dst, &event.key.v4.dst);
	}
	return event;
}

static void filters(void **state)
{
	static const struct {
		uint32_t types;
		int rule; /* -1: none asked for */
		const char *addr;
		bool drop10, flow0, drop6, stats;
	} cases[] = {
		{0, -1, NULL, true, true, true, true},
		{SP_LINE_BIT(SP_LINE_DROP), -1, NULL, true, false, true, false},
		{SP_LINE_BIT(SP_LINE_DROP) | SP_LINE_BIT(SP_LINE_STATS), -1, NULL, true, false, true, true},
		{0, 10, NULL, true, false, false, false},
		{0, 0, NULL, false, true, false, false},
		{0, 99, NULL, false, false, false, false},
		{0, -1, "192.0.2.1", true, false, false, false},
		{0, -1, "198.51.100.0/24", true, true, false, false},
		{0, -1, "192.0.2.2-192.0.2.9", false, true, false, false},
		{0, -1, "2001:db8::/32", false, false, true, false},
		{0, -1, "0.0.0.0/0", true, true, false, false},
		{SP_LINE_BIT(SP_LINE_FLOW), 10, NULL, false, false, false, false},
	};
	const struct sp_event drop10 = event_of("192.0.2.1", "198.51.100.7", 10), flow0 = event_of("198.51.100.7", "192.0.2.2", 0),
			      drop6 = event_of("2001:db8::1", "2001:db8::2", 11);
	const struct sp_line lines[] = {{"\n", 1, SP_LINE_BIT(SP_LINE_DROP), &drop10}, {"\n", 1, SP_LINE_BIT(SP_LINE_FLOW), &flow0},
		{"\n", 1, SP_LINE_BIT(SP_LINE_DROP), &drop6}, {"\n", 1, SP_LINE_BIT(SP_LINE_STATS), NULL}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const bool want[] = {cases[i].drop10, cases[i].flow0, cases[i].drop6, cases[i].stats};
		struct sp_stream_filter filter = {.types = cases[i].types, .has_rule = cases[i].rule >= 0, .rule = (uint32_t)cases[i].rule};
		const char *why;

		filter.has_addr = cases[i].addr != NULL;
		if (filter.has_addr)
			assert_int_equal(sp_addr_range_parse(cases[i].addr, strlen(cases[i].addr), &filter.addr, &why), 0);
		for (size_t k = 0; k < 4; k++)
			if (sp_stream_filter_matches(&filter, &lines[k]) != want[k])
				fail_msg("case %zu, line %zu", i, k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_come_whole_and_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reader_that_stalls_loses_lines_and_is_told_where, setup, teardown),
		cmocka_unit_test_setup_teardown(who_waits_is_woken_once, setup, teardown),
		cmocka_unit_test_setup_teardown(closing_ends_readers_after_what_is_queued, setup, teardown),
		cmocka_unit_test_setup_teardown(readers_are_bounded, setup, teardown),
		cmocka_unit_test(filters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
