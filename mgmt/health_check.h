/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One question to one backend: a TCP connection, or an HTTP request on it whose status line is the answer. Never blocks; whoever owns it
 * waits for its socket and keeps its time. One thread at a time.
 */
#ifndef SP_MGMT_HEALTH_CHECK_H
#define SP_MGMT_HEALTH_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "rules/nat.h"

#define SP_CHECK_LINE_MAX 4096 /* bytes of a status line, its end included */

/* Why a check failed. X(enumerator, text before its detail) */
#define SP_CHECK_FAILURES(X)                           \
	X(NONE, "")                                    \
	X(CONNECT, "no connection: ")                  \
	X(CONNECT_TIME, "no connection within ")       \
	X(SEND, "the request cannot be sent: ")        \
	X(RECEIVE, "no answer: ")                      \
	X(ANSWER_TIME, "no whole status line within ") \
	X(CLOSED, "closed without a status line")      \
	X(NO_HTTP, "the answer is not HTTP/1")         \
	X(LONG_LINE, "the status line has no end")     \
	X(STATUS, "status ")

enum sp_check_failure_kind {
#define X(e, text) SP_CHECK_FAILURE_##e,
	SP_CHECK_FAILURES(X)
#undef X
};

struct sp_check_failure {
	uint8_t kind;    /* enum sp_check_failure_kind */
	uint32_t detail; /* an errno, milliseconds, or a status, as the kind says */
};

/* What a check waits for, or how it ended. */
enum sp_check_step {
	SP_CHECK_WRITABLE,
	SP_CHECK_READABLE,
	SP_CHECK_GOOD,
	SP_CHECK_BAD,   /* `failure` says why */
	SP_CHECK_UNABLE /* the firewall could not ask (no descriptor, no memory): that says nothing about the backend */
};

struct sp_check {
	int fd; /* -1: none */
	bool connected;
	uint16_t status; /* that is good; 0: 200..399 */
	char *request;   /* owned; NULL: a connection is all that is asked */
	size_t size, sent;
	char head[13]; /* of the answer, as far as it is received: up to the blank behind the status */
	size_t received;
	struct sp_check_failure failure;
};

/* Whether path and host can stand in a request: what would end a line or a field is in neither. */
bool sp_check_sound(const struct sp_nat_health *health);

/* Begins to ask `address` at `port` (host byte order). Unless it is over, the socket is check->fd, and sp_check_end closes it. */
enum sp_check_step sp_check_begin(struct sp_check *check, const struct sp_nat_health *health, const struct sp_addr *address, uint16_t port);

/* Goes on as far as the socket lets it. */
enum sp_check_step sp_check_go(struct sp_check *check);

/* Time is over: says in check->failure what was missing. */
void sp_check_late(struct sp_check *check, uint32_t timeout_ms);

/* Closes and frees. The connection is reset: neither side remembers it. */
void sp_check_end(struct sp_check *check);

/* "no connection: Connection refused", "" for NONE; returns buf. */
char *sp_check_failure_text(const struct sp_check_failure *failure, char *buf, size_t size);

#endif
