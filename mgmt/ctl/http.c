/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* memmem, strcasestr, ppoll */
#include "mgmt/ctl/http.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX       ((size_t)64 * 1024)
#define LINE_MAX_BYTES ((size_t)4 * 1024 * 1024) /* of a followed answer */
#define CHUNK_MAX      4096                      /* a chunk's size line, or a trailer */

/* What was received and not yet used is buf[at..len). */
struct connection {
	int fd;
	struct timespec deadline;
	bool endless;         /* the deadline is over and met */
	const sigset_t *mask; /* while it waits; NULL: as it is */
	char *buf;
	size_t at, len, size;
	char *why;
	size_t why_size;
};

static int fail(struct connection *c, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int fail(struct connection *c, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(c->why, c->why_size, fmt, args);
	va_end(args);
	return -err;
}

static struct timespec left(const struct connection *c)
{
	struct timespec now;
	int64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (int64_t)(c->deadline.tv_sec - now.tv_sec) * 1000000000 + (c->deadline.tv_nsec - now.tv_nsec);
	if (ns < 0)
		ns = 0;
	return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

/* Waits for the event; 0, or -ETIMEDOUT. A signal ends the wait with -EINTR, so that `top` can be left. */
static int wait_for(struct connection *c, short events)
{
	struct pollfd p = {.fd = c->fd, .events = events};
	struct timespec timeout = left(c);
	int n = ppoll(&p, 1, c->endless ? NULL : &timeout, c->mask);

	if (n < 0)
		return fail(c, errno, "waiting for the firewall: %s", strerror(errno));
	if (n == 0)
		return fail(c, ETIMEDOUT, "the firewall does not answer in time; see `systemctl status sallyport`");
	return 0;
}

static int connect_to(struct connection *c, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int err;

	if (strlen(path) >= sizeof(address.sun_path))
		return fail(c, ENAMETOOLONG, "%s: a socket's path has at most %zu characters", path, sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return fail(c, errno, "socket: %s", strerror(errno));
	if (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return 0;
	err = errno;
	if (err == ENOENT || err == ECONNREFUSED)
		return fail(c, err, "%s: %s; start the firewall (systemctl start sallyport) or name its socket with -s", path,
			err == ENOENT ? "no such socket" : "nobody listens there");
	if (err == EACCES)
		return fail(c, err, "%s: permission denied; be root or of the group that owns the socket", path);
	return fail(c, err, "%s: %s", path, strerror(err));
}

/* Sends everything, or as much as the server wants: one that has refused the request already stops reading, and its answer says why. */
static int send_all(struct connection *c, const char *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n;
		int err = wait_for(c, POLLOUT);

		if (err != 0)
			return err;
		n = send(c->fd, data + done, size - done, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return 0;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return fail(c, errno, "sending: %s", strerror(errno));
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Receives some bytes more: 1, 0 at the end, or a negative errno. */
static int fill(struct connection *c)
{
	ssize_t n;
	int err;

	if (c->len == c->size) {
		size_t size = c->size ? c->size * 2 : 16384;
		char *buf = realloc(c->buf, size);

		if (!buf)
			return fail(c, ENOMEM, "out of memory");
		c->buf = buf;
		c->size = size;
	}
	err = wait_for(c, POLLIN);
	if (err != 0)
		return err;
	n = recv(c->fd, c->buf + c->len, c->size - c->len, 0);
	if (n < 0)
		return fail(c, errno, "receiving: %s", strerror(errno));
	c->len += (size_t)n;
	return n > 0;
}

/* Receives until there are `n` unused bytes. */
static int need(struct connection *c, size_t n)
{
	while (c->len - c->at < n) {
		int got = fill(c);

		if (got < 0)
			return got;
		if (got == 0)
			return fail(c, EPROTO, "the firewall's answer breaks off");
	}
	return 0;
}

/* Length of the unused text up to and with `end`, receiving until it is there; more than `max` bytes is an error. */
static ssize_t need_until(struct connection *c, const char *end, size_t max)
{
	for (;;) {
		const char *start = c->buf ? c->buf + c->at : NULL, *hit;
		int got;

		hit = start ? memmem(start, c->len - c->at, end, strlen(end)) : NULL;
		if (hit)
			return hit - start + (ssize_t)strlen(end);
		if (c->len - c->at > max)
			return fail(c, EPROTO, "what answers is not the firewall's API");
		got = fill(c);
		if (got < 0)
			return got;
		if (got == 0)
			return fail(c, EPROTO, "the firewall's answer breaks off");
	}
}

struct head {
	int status;
	bool chunked, has_length;
	size_t length;
	char type[64];
};

static void read_header(struct head *head, char *line)
{
	char *value = strchr(line, ':');

	if (!value)
		return;
	*value++ = '\0';
	value += strspn(value, " \t");
	if (strcasecmp(line, "Content-Length") == 0 && isdigit((unsigned char)*value)) {
		head->has_length = true;
		head->length = strtoull(value, NULL, 10);
	} else if (strcasecmp(line, "Transfer-Encoding") == 0) {
		head->chunked = strcasestr(value, "chunked") != NULL;
	} else if (strcasecmp(line, "Content-Type") == 0) {
		snprintf(head->type, sizeof(head->type), "%.*s", (int)strcspn(value, "; \t"), value);
	}
}

static int read_head(struct connection *c, struct head *head)
{
	ssize_t size = need_until(c, "\r\n\r\n", HEAD_MAX);
	char *line, *next, *start;
	int minor;

	if (size < 0)
		return (int)size;
	*head = (struct head){0};
	start = c->buf + c->at;
	start[size - 2] = '\0';
	c->at += (size_t)size;
	if (memchr(start, '\0', (size_t)size - 2) != NULL || sscanf(start, "HTTP/1.%1d %3d", &minor, &head->status) != 2 ||
		head->status < 100)
		return fail(c, EPROTO, "what answers is not the firewall's API");
	for (line = strstr(start, "\r\n"); line && line[2] != '\0'; line = next) {
		line += 2;
		next = strstr(line, "\r\n");
		if (next)
			*next = '\0';
		read_header(head, line);
		if (next)
			*next = '\r';
	}
	return 0;
}

static int add_body(struct connection *c, struct sp_http_answer *out, size_t n)
{
	char *body;

	if (n > SP_HTTP_BODY_MAX - out->size)
		return fail(c, EFBIG, "the firewall's answer is over %zu MB; ask for less (--limit)", SP_HTTP_BODY_MAX >> 20);
	body = realloc(out->body, out->size + n + 1);
	if (!body)
		return fail(c, ENOMEM, "out of memory");
	memcpy(body + out->size, c->buf + c->at, n);
	out->body = body;
	out->size += n;
	body[out->size] = '\0';
	c->at += n;
	/* Used bytes are not kept: the buffer stays small whatever the body. */
	memmove(c->buf, c->buf + c->at, c->len - c->at);
	c->len -= c->at;
	c->at = 0;
	return 0;
}

/* Moves exactly n bytes of the connection into the body, piece by piece. */
static int read_exactly(struct connection *c, struct sp_http_answer *out, size_t n)
{
	int err = 0;

	if (n > SP_HTTP_BODY_MAX)
		return fail(c, EFBIG, "the firewall's answer is over %zu MB; ask for less (--limit)", SP_HTTP_BODY_MAX >> 20);
	while (n > 0 && err == 0) {
		size_t piece;

		err = need(c, 1);
		if (err != 0)
			break;
		piece = c->len - c->at < n ? c->len - c->at : n;
		err = add_body(c, out, piece);
		n -= piece;
	}
	return err;
}

static int read_to_end(struct connection *c, struct sp_http_answer *out)
{
	int got = 1, err = 0;

	while (err == 0 && (c->len > c->at || (got = fill(c)) > 0))
		err = add_body(c, out, c->len - c->at);
	return err != 0 ? err : got;
}

/* RFC 9112 section 7.1. */
static int read_chunks(struct connection *c, struct sp_http_answer *out)
{
	for (;;) {
		ssize_t line = need_until(c, "\r\n", CHUNK_MAX);
		char *end;
		size_t n;
		int err;

		if (line < 0)
			return (int)line;
		if (!isxdigit((unsigned char)c->buf[c->at]))
			return fail(c, EPROTO, "the firewall's answer is garbled");
		n = strtoull(c->buf + c->at, &end, 16);
		c->at += (size_t)line;
		if (n == 0)
			break;
		err = read_exactly(c, out, n);
		if (err == 0)
			err = need(c, 2);
		if (err != 0)
			return err;
		if (memcmp(c->buf + c->at, "\r\n", 2) != 0)
			return fail(c, EPROTO, "the firewall's answer is garbled");
		c->at += 2;
	}
	for (;;) { /* trailers, then an empty line */
		ssize_t line = need_until(c, "\r\n", CHUNK_MAX);

		if (line < 0)
			return (int)line;
		c->at += (size_t)line;
		if (line == 2)
			return 0;
	}
}

static int read_final_head(struct connection *c, struct head *head, struct sp_http_answer *out)
{
	int err;

	do {
		err = read_head(c, head);
	} while (err == 0 && head->status < 200);
	if (err == 0) {
		out->status = head->status;
		memcpy(out->type, head->type, sizeof(out->type));
	}
	return err;
}

static int read_body(struct connection *c, const struct head *head, struct sp_http_answer *out)
{
	if (head->status == 204 || head->status == 304)
		return 0;
	if (head->chunked)
		return read_chunks(c, out);
	return head->has_length ? read_exactly(c, out, head->length) : read_to_end(c, out);
}

static int read_answer(struct connection *c, struct sp_http_answer *out)
{
	struct head head;
	int err = read_final_head(c, &head, out);

	return err != 0 ? err : read_body(c, &head, out);
}

/* Connects and sends the request. */
static int ask(struct connection *c, const char *socket_path, const struct sp_http_request *request)
{
	char head[4096];
	int n, err;

	n = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s%s%s%s%s%s", request->method,
		request->target, request->type ? "Content-Type: " : "", request->type ? request->type : "", request->type ? "\r\n" : "",
		request->match ? "If-Match: \"" : "", request->match ? request->match : "", request->match ? "\"\r\n" : "");
	if (n > 0 && (size_t)n < sizeof(head))
		n += snprintf(head + n, sizeof(head) - (size_t)n, "Content-Length: %zu\r\n\r\n", request->size);
	if (n < 0 || (size_t)n >= sizeof(head))
		return fail(c, E2BIG, "the request is too long");
	err = connect_to(c, socket_path);
	if (err == 0)
		err = send_all(c, head, (size_t)n);
	if (err == 0)
		err = send_all(c, request->body, request->size);
	return err;
}

int sp_http_call(const char *socket_path, const struct sp_http_request *request, struct sp_http_answer *out, char *why, size_t why_size)
{
	struct connection c = {.fd = -1, .why = why, .why_size = why_size};
	int err;

	*out = (struct sp_http_answer){0};
	clock_gettime(CLOCK_MONOTONIC, &c.deadline);
	c.deadline.tv_sec += request->timeout_sec;
	err = ask(&c, socket_path, request);
	if (err == 0)
		err = read_answer(&c, out);
	if (err == 0 && !out->body) {
		out->body = calloc(1, 1);
		if (!out->body)
			err = fail(&c, ENOMEM, "out of memory");
	}
	if (err != 0)
		sp_http_clear(out);
	if (c.fd >= 0)
		close(c.fd);
	free(c.buf);
	return err;
}

/* Hands over the whole lines in out's body and keeps the rest of it. */
static int give_lines(struct connection *c, const struct sp_http_follower *follower, struct sp_http_answer *out)
{
	char *line = out->body, *end = out->body + out->size, *newline;
	int rc = 0;

	while (rc == 0 && (newline = memchr(line, '\n', (size_t)(end - line))) != NULL) {
		*newline = '\0';
		rc = follower->line(follower->context, line, (size_t)(newline - line));
		line = newline + 1;
	}
	out->size = (size_t)(end - line);
	memmove(out->body, line, out->size);
	if (rc == 0 && out->size > LINE_MAX_BYTES)
		return fail(c, EPROTO, "the firewall sends a line that does not end");
	return rc;
}

/* The chunks of an answer without an end, as they come. */
static int follow_chunks(struct connection *c, const struct sp_http_follower *follower, struct sp_http_answer *out)
{
	for (;;) {
		ssize_t line = need_until(c, "\r\n", CHUNK_MAX);
		size_t n;
		int err;

		if (line < 0)
			return (int)line;
		if (!isxdigit((unsigned char)c->buf[c->at]))
			return fail(c, EPROTO, "the firewall's answer is garbled");
		n = strtoull(c->buf + c->at, NULL, 16);
		c->at += (size_t)line;
		if (n == 0)
			return 0;
		err = read_exactly(c, out, n);
		if (err == 0)
			err = need(c, 2);
		if (err != 0)
			return err;
		if (memcmp(c->buf + c->at, "\r\n", 2) != 0)
			return fail(c, EPROTO, "the firewall's answer is garbled");
		c->at += 2;
		err = give_lines(c, follower, out);
		if (err != 0)
			return err;
	}
}

int sp_http_follow(const char *socket_path, const struct sp_http_request *request, const struct sp_http_follower *follower,
	struct sp_http_answer *out, char *why, size_t why_size)
{
	struct connection c = {.fd = -1, .why = why, .why_size = why_size, .mask = follower->mask};
	struct head head;
	int err;

	*out = (struct sp_http_answer){0};
	clock_gettime(CLOCK_MONOTONIC, &c.deadline);
	c.deadline.tv_sec += request->timeout_sec;
	err = ask(&c, socket_path, request);
	if (err == 0)
		err = read_final_head(&c, &head, out);
	if (err == 0 && out->status != 200) {
		err = read_body(&c, &head, out);
	} else if (err == 0 && !head.chunked) {
		err = fail(&c, EPROTO, "what answers is not the firewall's API");
	} else if (err == 0) {
		c.endless = true;
		err = follow_chunks(&c, follower, out);
	}
	if (err != 0)
		sp_http_clear(out);
	if (c.fd >= 0)
		close(c.fd);
	free(c.buf);
	return err;
}

void sp_http_clear(struct sp_http_answer *answer)
{
	free(answer->body);
	*answer = (struct sp_http_answer){0};
}
