/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An HTTP/1.1 client for one request over a unix socket: enough for the API, bounded in size and time.
 */
#ifndef SP_MGMT_CTL_HTTP_H
#define SP_MGMT_CTL_HTTP_H

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

void sp_http_clear(struct sp_http_answer *answer);

#endif
