/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An HTTP/1.1 client for one request over a unix socket: enough for the API, bounded in size and time.
 */
#ifndef SP_MGMT_CTL_HTTP_H
#define SP_MGMT_CTL_HTTP_H

#include <signal.h>
#include <stddef.h>

#define SP_HTTP_BODY_MAX ((size_t)256 * 1024 * 1024)

struct sp_http_request {
	const char *method, *target;
	const char *type;  /* media type of the body; NULL: none */
	const char *match; /* If-Match; NULL: none */
	const void *body;
	size_t size;
	unsigned int timeout_sec; /* for the whole exchange */
};

struct sp_http_answer {
	int status;    /* 200 and so on */
	char type[64]; /* media type without parameters; "" when the server names none */
	char *body;    /* malloc'ed, NUL behind its last byte */
	size_t size;
};

/*
 * Sends the request to the socket and reads the whole answer, with Content-Length, chunked, or up to the end of the connection. 0, or a
 * negative errno with a one-line reason that says what to do in why; *out is then empty. Blocks.
 */
int sp_http_call(const char *socket_path, const struct sp_http_request *request, struct sp_http_answer *out, char *why, size_t why_size);

/* What sp_http_follow hands over line by line. */
struct sp_http_follower {
	int (*line)(void *context, const char *line, size_t len); /* without its newline, NUL behind it; not 0 ends the following */
	void *context;
	const sigset_t *mask; /* signals blocked while it waits for lines, which so can end it; NULL: as they are */
};

/*
 * Makes the request and reads an answer without an end, as long as the server sends. An answer that is not 200 is read whole into *out.
 * 0 when the server ended it, what the follower's `line` returned if not 0, or a negative errno with a reason in why: -EINTR when a signal
 * was caught while it waited. The time-out holds until the answer begins.
 */
int sp_http_follow(const char *socket_path, const struct sp_http_request *request, const struct sp_http_follower *follower,
	struct sp_http_answer *out, char *why, size_t why_size);

void sp_http_clear(struct sp_http_answer *answer);

#endif
