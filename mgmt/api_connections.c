/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A connection is cut by shutting its socket down: the thread that serves it finds it closed, whatever it waited for. Closing it is
 * libmicrohttpd's.
 */
#define _GNU_SOURCE /* explicit_bzero */
#include "mgmt/api_connections.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static void set_place(struct sp_connection *connection, const struct sockaddr *from)
{
	/* copied out: what is given is only as aligned as a struct sockaddr */
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (from == NULL)
		return;
	connection->family = (uint8_t)from->sa_family;
	if (from->sa_family == AF_INET) {
		memcpy(&v4, from, sizeof(v4));
		memcpy(connection->from, &v4.sin_addr, sizeof(v4.sin_addr));
	} else if (from->sa_family == AF_INET6) {
		memcpy(&v6, from, sizeof(v6));
		memcpy(connection->from, &v6.sin6_addr, sizeof(connection->from));
	}
}

struct sp_connection *sp_connection_add(struct sp_connection **list, int fd, const struct sockaddr *from, int64_t end_ms)
{
	struct sp_connection *connection = calloc(1, sizeof(*connection));

	if (connection == NULL)
		return NULL;
	connection->fd = fd;
	connection->end_ms = end_ms;
	set_place(connection, from);
	connection->next = *list;
	*list = connection;
	return connection;
}

void sp_connection_remove(struct sp_connection **list, struct sp_connection *connection)
{
	while (*list != connection)
		list = &(*list)->next;
	*list = connection->next;
	explicit_bzero(connection, sizeof(*connection));
	free(connection);
}

unsigned int sp_connections_from(const struct sp_connection *list, const struct sockaddr *from)
{
	struct sp_connection wanted = {0};
	unsigned int n = 0;

	set_place(&wanted, from);
	for (; list != NULL; list = list->next)
		n += list->family == wanted.family && memcmp(list->from, wanted.from, sizeof(wanted.from)) == 0;
	return n;
}

static void cut(struct sp_connection *connection)
{
	connection->cut = true;
	(void)shutdown(connection->fd, SHUT_RDWR); /* fails when the peer was faster */
}

void sp_connections_expire(struct sp_connection *list, int64_t now_ms)
{
	for (; list != NULL; list = list->next)
		if (!list->cut && now_ms >= list->end_ms)
			cut(list);
}

void sp_connections_revoke(struct sp_connection *list, const struct sp_tls *tls)
{
	for (; list != NULL; list = list->next)
		if (!list->cut && list->has_token && !sp_tls_has(tls, &list->token))
			cut(list);
}
