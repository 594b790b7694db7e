/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The HTTP server on the unix socket, and over TLS when it is asked for: takes requests, judges method, path, parameters, type and size,
 * and calls the resource.
 */
#ifndef SP_MGMT_API_H
#define SP_MGMT_API_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "mgmt/api_tls.h"
#include "mgmt/control.h"
#include "mgmt/reply.h"
#include "rules/addr.h"

#define SP_API_PARAMS_MAX  8
#define SP_API_CONNECTIONS 512

struct sp_mgmt;
struct sp_api;
struct sp_connection;
struct sp_route;

/* One request, from its first header to its last answered byte. API thread, except for `job` while the control thread has it. */
struct sp_call {
	struct sp_mgmt *mgmt;
	struct MHD_Connection *connection;
	const struct sp_route *route;
	const char *argument; /* what follows the route's path, as in /v1/rules/ID; "" otherwise */
	char *body;           /* NUL-terminated past size; NULL when there is none */
	size_t size;
	struct sp_reply reply;
	struct MHD_Response *stream; /* owned; set by a resource whose answer is made as it is sent, instead of a reply */
	struct sp_job job;           /* set job.kind to have the control thread make the reply */

	/* the server's */
	size_t capacity, wasted;
	int64_t started_ms;
	struct sp_connection *link; /* that it came over; under the lock of the API, as in a resource */
	bool bad_uri, too_large, no_memory, judged, waiting;
};

struct sp_route {
	const char *path; /* exact, or up to and with its last slash when `prefix` */
	bool prefix;
	const char *method;
	bool asks;                            /* changes nothing, whatever the method: a token that may only read will do */
	void (*handle)(struct sp_call *call); /* fills call->reply or call->job; API thread: must not wait longer than a second */
	size_t body_max;                      /* 0: takes no body */
	const char *params[SP_API_PARAMS_MAX + 1];
};

struct sp_api_config {
	const char *path;  /* of the unix socket */
	mode_t mode;       /* of its file */
	const char *group; /* that owns it; NULL: as the process */
	struct sp_tls_config tls;
	bool fail_closed; /* a fault of TLS does not end the start: the status tells of it (no-tls), and each reload tries again */
};

/*
 * Binds the sockets, starts the API threads and sets mgmt->api. 0, or -errno with a one-line reason in why; then nothing is left of it.
 * Control thread.
 */
int sp_api_start(struct sp_mgmt *mgmt, const struct sp_api_config *config, char *why, size_t why_size);

/*
 * Reads tokens, certificate and key again. After that only tokens that the file has now are in force, none if it could not be read, and
 * connections of others are cut; a certificate or key with a fault leaves the former ones. What is wrong is told in the status. Control
 * thread.
 */
void sp_api_reload(struct sp_api *api);

/* Cuts connections whose time is over; to be called some times a second. Control thread; does not wait. */
void sp_api_tick(struct sp_api *api);

/* The reason of a degraded code that is the API's, "" when it has none. In a resource only. */
const char *sp_api_why(const struct sp_api *api, unsigned int degraded);

/* Answers or cuts what is under way, ends the thread, removes the socket. After sp_control_close. */
void sp_api_stop(struct sp_api *api);

/* Removes the socket, and leaves the rest to the end of the process. Any thread. */
void sp_api_abandon(const struct sp_api *api);

/* Value of a query parameter, NULL when it is absent. Belongs to the call. */
const char *sp_call_param(const struct sp_call *call, const char *name);

/* The parameter `ip` as a range: *has says whether it is there. False when it is no address; then the reply is the problem. */
bool sp_call_address(struct sp_call *call, bool *has, struct sp_addr_range *range);

/* The body as a JSON object, {} for an empty one; the caller's reference. NULL with a 400 problem, which shows `example`. */
json_t *sp_call_object(struct sp_call *call, const char *example);

/* Who called. */
struct sp_peer sp_call_peer(const struct sp_call *call);

/* Value of a request header, NULL when it is absent. */
const char *sp_call_header(const struct sp_call *call, const char *name);

/* The boolean parameter `name`: 1 or true, 0 or false; false when absent. False with a 400 problem in the reply for anything else. */
bool sp_call_bool(struct sp_call *call, const char *name, bool *value);

/* A decimal parameter in lo..hi; *value is untouched when it is absent. False with a 400 problem. */
bool sp_call_number(struct sp_call *call, const char *name, uint64_t lo, uint64_t hi, uint64_t *value);

/* Decimal digits only, at most max. 0 or -EINVAL. */
int sp_call_parse_number(const char *text, uint64_t max, uint64_t *value);

/* The media type of the request in lower case without its parameters, "" when none is given. buf is at least 64 bytes. */
const char *sp_call_type(const struct sp_call *call, char *buf, size_t size);

/* Whether the client would rather have text/plain than JSON. */
bool sp_call_wants_text(const struct sp_call *call);

#endif
