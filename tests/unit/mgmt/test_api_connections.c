/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections of the API: which are cut, and which count as one host's. */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "mgmt/api_connections.h"

#define LINKS 3

struct link {
	struct sp_connection *connection;
	int here, there;
};

static struct sp_connection *list;
static struct link links[LINKS];

static struct sockaddr_storage address(const char *text)
{
	struct sockaddr_storage made = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&made;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&made;

	if (strchr(text, ':') != NULL) {
		v6->sin6_family = AF_INET6;
		assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
	} else {
		v4->sin_family = AF_INET;
		assert_int_equal(inet_pton(AF_INET, text, &v4->sin_addr), 1);
	}
	return made;
}

static struct sp_connection *add(int fd, const char *from, int64_t end_ms)
{
	struct sockaddr_storage storage = address(from);

	return sp_connection_add(&list, fd, (const struct sockaddr *)&storage, end_ms);
}

static unsigned int count(const char *from)
{
	struct sockaddr_storage storage = address(from);

	return sp_connections_from(list, (const struct sockaddr *)&storage);
}

static int setup(void **state)
{
	int pair[2];

	(void)state;
	for (unsigned int i = 0; i < LINKS; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		links[i] = (struct link){.here = pair[0], .there = pair[1]};
		links[i].connection = add(pair[0], "192.0.2.1", SP_CONNECTION_NO_END);
		assert_non_null(links[i].connection);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	while (list != NULL)
		sp_connection_remove(&list, list);
	for (unsigned int i = 0; i < LINKS; i++) {
		close(links[i].here);
		close(links[i].there);
	}
	return 0;
}

/* Whether the other end sees it ended, and the list says so. */
static bool is_cut(const struct link *link)
{
	struct pollfd pollfd = {.fd = link->there};
	bool ended = poll(&pollfd, 1, 0) > 0 && (pollfd.revents & POLLHUP) != 0;

	assert_int_equal(link->connection->cut, ended);
	return ended;
}

static void those_whose_time_is_over_are_cut(void **state)
{
	(void)state;
	links[0].connection->end_ms = 1000;
	links[1].connection->end_ms = 1001;
	sp_connections_expire(list, 999);
	assert_false(is_cut(&links[0]));
	sp_connections_expire(list, 1000);
	assert_true(is_cut(&links[0]));
	assert_false(is_cut(&links[1]) || is_cut(&links[2]));
	sp_connections_expire(list, INT64_MAX - 1);
	assert_true(is_cut(&links[1]));
	assert_false(is_cut(&links[2]));
}

static struct sp_tls_token token(const char *name, bool write, const char *text)
{
	struct sp_tls_token made = {.write = write};

	snprintf(made.name, sizeof(made.name), "%s", name);
	snprintf(made.token, sizeof(made.token), "%s", text);
	return made;
}

static void those_of_tokens_that_changed_are_cut(void **state)
{
	static struct sp_tls tls;

	(void)state;
	links[0].connection->has_token = links[1].connection->has_token = true;
	links[0].connection->token = tls.tokens.v[0] = token("alice", true, "aaaa");
	links[1].connection->token = tls.tokens.v[1] = token("bob", true, "bbbb");
	tls.tokens.n = 2;
	sp_connections_revoke(list, &tls);
	assert_false(is_cut(&links[0]) || is_cut(&links[1]) || is_cut(&links[2]));
	tls.tokens.v[1].write = false;
	sp_connections_revoke(list, &tls);
	assert_true(is_cut(&links[1]));
	assert_false(is_cut(&links[0]) || is_cut(&links[2]));
	tls.tokens.n = 0;
	sp_connections_revoke(list, &tls);
	assert_true(is_cut(&links[0]));
	assert_false(is_cut(&links[2])); /* the unix socket needs none */
}

static void hosts_are_addresses_or_64s(void **state)
{
	(void)state;
	assert_int_equal(count("192.0.2.1"), LINKS);
	assert_int_equal(count("192.0.2.2"), 0);
	assert_int_equal(count("c000:201::"), 0); /* the same bytes */
	assert_non_null(add(-1, "2001:db8:0:1::1", SP_CONNECTION_NO_END));
	assert_non_null(add(-1, "2001:db8:0:1:ffff::2", SP_CONNECTION_NO_END));
	assert_int_equal(count("2001:db8:0:1::3"), 2);
	assert_int_equal(count("2001:db8:0:2::1"), 0);
	sp_connection_remove(&list, links[1].connection);
	assert_int_equal(count("192.0.2.1"), LINKS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(those_whose_time_is_over_are_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(those_of_tokens_that_changed_are_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(hosts_are_addresses_or_64s, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
