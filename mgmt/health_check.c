/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE 1 /* asprintf, SOCK_NONBLOCK */
#include "mgmt/health_check.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HTTP_PORT 80

static const char version[7] = "HTTP/1.";

/* --- the request ----------------------------------------------------------------------------------------------------------------- */

/* Visible ASCII only. */
static bool is_visible(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

bool sp_check_sound(const struct sp_nat_health *health)
{
	if (health->type != SP_HEALTH_HTTP)
		return true;
	return health->path != NULL && health->path[0] == '/' && is_visible(health->path) &&
	       (health->host == NULL || (health->host[0] != '\0' && is_visible(health->host)));
}

/* RFC 9112 3.2: the Host field names the port unless it is the scheme's own. */
static int make_request(struct sp_check *check, const struct sp_nat_health *health, const struct sp_addr *address, uint16_t port)
{
	char text[48], suffix[8] = "";
	bool brackets = health->host == NULL && address->family == SP_FAMILY_IPV6;
	int n;

	if (health->host == NULL && port != HTTP_PORT)
		snprintf(suffix, sizeof(suffix), ":%u", port);
	n = asprintf(&check->request,
		"GET %s HTTP/1.1\r\nHost: %s%s%s%s\r\nUser-Agent: sallyport\r\nAccept: */*\r\nConnection: close\r\n\r\n", health->path,
		brackets ? "[" : "", health->host != NULL ? health->host : sp_addr_format(address, text, sizeof(text)), brackets ? "]" : "",
		suffix);
	if (n < 0) {
		check->request = NULL;
		return -ENOMEM;
	}
	check->size = (size_t)n;
	return 0;
}

/* --- the steps ------------------------------------------------------------------------------------------------------------------- */

static enum sp_check_step fail(struct sp_check *check, enum sp_check_failure_kind kind, uint32_t detail)
{
	check->failure = (struct sp_check_failure){.kind = (uint8_t)kind, .detail = detail};
	return SP_CHECK_BAD;
}

static socklen_t make_address(const struct sp_addr *address, uint16_t port, struct sockaddr_storage *out)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	if (address->family == SP_FAMILY_IPV4) {
		memcpy(&in.sin_addr, address->b, sizeof(in.sin_addr));
		memcpy(out, &in, sizeof(in));
		return sizeof(in);
	}
	memcpy(&in6.sin6_addr, address->b, sizeof(in6.sin6_addr));
	memcpy(out, &in6, sizeof(in6));
	return sizeof(in6);
}

/* Without memory or a descriptor nothing was asked. */
static bool is_own_trouble(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

enum sp_check_step sp_check_begin(struct sp_check *check, const struct sp_nat_health *health, const struct sp_addr *address, uint16_t port)
{
	const struct linger reset = {.l_onoff = 1, .l_linger = 0};
	struct sockaddr_storage to;
	socklen_t size = make_address(address, port, &to);

	*check = (struct sp_check){.fd = -1, .status = health->status};
	if (health->type == SP_HEALTH_HTTP && make_request(check, health, address, port) != 0)
		return SP_CHECK_UNABLE;
	check->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (check->fd < 0)
		return is_own_trouble(errno) ? SP_CHECK_UNABLE : fail(check, SP_CHECK_FAILURE_CONNECT, (uint32_t)errno);
	/* a thousand backends asked each second would leave sixty thousand connections in TIME-WAIT */
	setsockopt(check->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (connect(check->fd, (const struct sockaddr *)&to, size) == 0 || errno == EINPROGRESS || errno == EINTR)
		return SP_CHECK_WRITABLE;
	return is_own_trouble(errno) ? SP_CHECK_UNABLE : fail(check, SP_CHECK_FAILURE_CONNECT, (uint32_t)errno);
}

/* "HTTP/1.1 200 OK": RFC 9112 4., of which the minor version may be any, and what stands behind the status be missing. */
static enum sp_check_step judge(struct sp_check *check)
{
	const char *head = check->head;
	uint32_t status = 0;

	if (check->received < sizeof(check->head) || memchr(" \r\n", head[12], 3) == NULL || head[7] < '0' || head[7] > '9' ||
		head[8] != ' ')
		return fail(check, SP_CHECK_FAILURE_NO_HTTP, 0);
	for (unsigned int i = 9; i < 12; i++) {
		if (head[i] < '0' || head[i] > '9')
			return fail(check, SP_CHECK_FAILURE_NO_HTTP, 0);
		status = status * 10 + (uint32_t)(head[i] - '0');
	}
	if (check->status != 0 ? status == check->status : status >= 200 && status <= 399)
		return SP_CHECK_GOOD;
	return fail(check, SP_CHECK_FAILURE_STATUS, status);
}

/* The next n bytes of the answer. What cannot become a status line is refused as soon as it is seen. */
static enum sp_check_step take(struct sp_check *check, const char *bytes, size_t n)
{
	size_t kept;

	for (size_t i = 0; i < n && check->received + i < sizeof(check->head); i++)
		check->head[check->received + i] = bytes[i];
	check->received += n;
	kept = check->received < sizeof(version) ? check->received : sizeof(version);
	if (memcmp(check->head, version, kept) != 0)
		return fail(check, SP_CHECK_FAILURE_NO_HTTP, 0);
	if (memchr(bytes, '\n', n) != NULL)
		return judge(check);
	return check->received < SP_CHECK_LINE_MAX ? SP_CHECK_READABLE : fail(check, SP_CHECK_FAILURE_LONG_LINE, 0);
}

static enum sp_check_step receive(struct sp_check *check)
{
	enum sp_check_step step = SP_CHECK_READABLE;
	char buf[1024];

	while (step == SP_CHECK_READABLE) {
		size_t room = SP_CHECK_LINE_MAX - check->received;
		ssize_t n = recv(check->fd, buf, room < sizeof(buf) ? room : sizeof(buf), 0);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
			return SP_CHECK_READABLE;
		if (n < 0)
			return fail(check, SP_CHECK_FAILURE_RECEIVE, (uint32_t)errno);
		if (n == 0)
			return fail(check, SP_CHECK_FAILURE_CLOSED, 0);
		step = take(check, buf, (size_t)n);
	}
	return step;
}

static enum sp_check_step send_request(struct sp_check *check)
{
	while (check->sent < check->size) {
		ssize_t n = send(check->fd, check->request + check->sent, check->size - check->sent, MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
			return SP_CHECK_WRITABLE;
		if (n < 0)
			return fail(check, SP_CHECK_FAILURE_SEND, (uint32_t)errno);
		check->sent += (size_t)n;
	}
	return receive(check);
}

enum sp_check_step sp_check_go(struct sp_check *check)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(int);
	int error = 0;

	if (check->connected)
		return send_request(check);
	if (getsockopt(check->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		error = errno;
	if (error != 0)
		return fail(check, SP_CHECK_FAILURE_CONNECT, (uint32_t)error);
	size = sizeof(peer);
	if (getpeername(check->fd, (struct sockaddr *)&peer, &size) != 0)
		return SP_CHECK_WRITABLE; /* woken too early */
	check->connected = true;
	return check->request != NULL ? send_request(check) : SP_CHECK_GOOD;
}

void sp_check_late(struct sp_check *check, uint32_t timeout_ms)
{
	fail(check, check->connected ? SP_CHECK_FAILURE_ANSWER_TIME : SP_CHECK_FAILURE_CONNECT_TIME, timeout_ms);
}

void sp_check_end(struct sp_check *check)
{
	if (check->fd >= 0)
		close(check->fd);
	check->fd = -1;
	free(check->request);
	check->request = NULL;
}

char *sp_check_failure_text(const struct sp_check_failure *failure, char *buf, size_t size)
{
	static const char *const texts[] = {
#define X(e, text) [SP_CHECK_FAILURE_##e] = text,
		SP_CHECK_FAILURES(X)
#undef X
	};
	const char *text = texts[failure->kind];
	char error[64];

	switch (failure->kind) {
	case SP_CHECK_FAILURE_CONNECT:
	case SP_CHECK_FAILURE_SEND:
	case SP_CHECK_FAILURE_RECEIVE:
		snprintf(buf, size, "%s%s", text, strerror_r((int)failure->detail, error, sizeof(error)));
		break;
	case SP_CHECK_FAILURE_CONNECT_TIME:
	case SP_CHECK_FAILURE_ANSWER_TIME:
		snprintf(buf, size, "%s%u ms", text, failure->detail);
		break;
	case SP_CHECK_FAILURE_STATUS:
		snprintf(buf, size, "%s%u", text, failure->detail);
		break;
	default:
		snprintf(buf, size, "%s", text);
	}
	return buf;
}
