/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small HTTP client for tests: sends the bytes it is given over the unix socket and reads the whole answer.
 */
#ifndef SP_TESTS_UNIT_MGMT_CLIENT_H
#define SP_TESTS_UNIT_MGMT_CLIENT_H

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct answer {
	int status; /* 0: the server closed without a word */
	char head[4096];
	char *body; /* NUL-terminated; free with answer_free */
	size_t size;
};

static inline int client_connect(const char *path)
{
	const struct timeval patience = {.tv_sec = 20};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	/* no test depends on how fast an answer comes, but none may hang for ever */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

/* Sends as much as the server takes; it may answer and close before it has read all. */
static inline void client_send(int fd, const char *bytes, size_t size)
{
	while (size != 0) {
		ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		bytes += n;
		size -= (size_t)n;
	}
}

/* Reads until the server closes, which "Connection: close" asks for. */
static inline struct answer client_receive(int fd)
{
	struct answer answer = {0};
	size_t size = 0, capacity = 1 << 16;
	char *all = malloc(capacity + 1), *end;
	ssize_t n;

	assert_non_null(all);
	while ((n = recv(fd, all + size, capacity - size, 0)) > 0) {
		size += (size_t)n;
		if (size == capacity) {
			capacity *= 2;
			all = realloc(all, capacity + 1);
			assert_non_null(all);
		}
	}
	close(fd);
	all[size] = '\0';
	end = strstr(all, "\r\n\r\n");
	if (end != NULL) {
		assert_int_equal(sscanf(all, "HTTP/1.1 %d", &answer.status), 1);
		snprintf(answer.head, sizeof(answer.head), "%.*s", (int)(end - all), all);
		answer.size = size - (size_t)(end + 4 - all);
		answer.body = malloc(answer.size + 1);
		assert_non_null(answer.body);
		memcpy(answer.body, end + 4, answer.size + 1);
	}
	free(all);
	return answer;
}

static inline void answer_free(struct answer *answer)
{
	free(answer->body);
	memset(answer, 0, sizeof(*answer));
}

/* One whole request; `headers` are whole lines with CRLF, or "". */
static inline struct answer client_call(
	const char *path, const char *method, const char *target, const char *headers, const char *body, size_t size)
{
	char head[8192];
	int fd = client_connect(path);
	int n = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s", method, target, headers);

	assert_true(n > 0 && (size_t)n < sizeof(head) - 64);
	if (body != NULL)
		n += snprintf(head + n, sizeof(head) - (size_t)n, "Content-Length: %zu\r\n", size);
	n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
	client_send(fd, head, (size_t)n);
	if (body != NULL)
		client_send(fd, body, size);
	return client_receive(fd);
}

/* Calls, checks the status, and returns the JSON of the body. */
static inline json_t *client_json(
	const char *path, const char *method, const char *target, const char *headers, const char *body, int status)
{
	struct answer answer = client_call(path, method, target, headers, body, body != NULL ? strlen(body) : 0);
	json_error_t error;
	json_t *json;

	if (answer.status != status)
		fail_msg("%s %s: %d instead of %d: %s", method, target, answer.status, status,
			answer.body != NULL ? answer.body : "no answer");
	json = json_loadb(answer.body, answer.size, 0, &error);
	if (json == NULL)
		fail_msg("%s %s: no JSON: %s", method, target, error.text);
	answer_free(&answer);
	return json;
}

#endif
