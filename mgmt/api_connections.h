/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The connections that the API has: how long each may take until something comes of it, whose token it showed, and how many come from one
 * place. All functions are for any thread under the API's lock, and do not wait.
 */
#ifndef SP_MGMT_API_CONNECTIONS_H
#define SP_MGMT_API_CONNECTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "mgmt/api_tls.h"

#define SP_CONNECTION_NO_END INT64_MAX

struct sp_connection {
	struct sp_connection *next;
	int fd;          /* libmicrohttpd's, open as long as the connection is in the list */
	int64_t end_ms;  /* it is cut then, by CLOCK_MONOTONIC; SP_CONNECTION_NO_END: it is not */
	bool cut;        /* nothing more is done for it */
	bool has_token;  /* over TLS, once a request of it was admitted */
	uint8_t family;  /* AF_INET, AF_INET6; others are in no place */
	uint8_t from[8]; /* the place: an IPv4 address, or the /64 of an IPv6 one */
	struct sp_tls_token token;
};

/* Adds one; NULL without memory. from may be NULL. */
struct sp_connection *sp_connection_add(struct sp_connection **list, int fd, const struct sockaddr *from, int64_t end_ms);

/* Takes it out and frees it; before its descriptor is closed. */
void sp_connection_remove(struct sp_connection **list, struct sp_connection *connection);

/* How many come from the place of this address. */
unsigned int sp_connections_from(const struct sp_connection *list, const struct sockaddr *from);

/* Cuts those whose time is over. */
void sp_connections_expire(struct sp_connection *list, int64_t now_ms);

/* Cuts those that showed a token which is not in force any more. */
void sp_connections_revoke(struct sp_connection *list, const struct sp_tls *tls);

#endif
