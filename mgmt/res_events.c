/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /v1/events: an answer without an end, made of the lines that the event writer puts into this reader's queue. While there are none the
 * connection is suspended, so the API thread never waits; libmicrohttpd does not watch a suspended connection, so the writer wakes each
 * once a second and the callback looks whether the client is still there.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/event_stream.h"
#include "mgmt/events.h"
#include "mgmt/problem.h"
#include "mgmt/res.h"
#include "mgmt/state.h"

#define BLOCK_BYTES 16384
#define STALL_SEC   300 /* a client that takes nothing for this long gives its place to another */

struct follower {
	struct sp_stream_reader *reader;
	struct MHD_Connection *connection;
	int fd; /* libmicrohttpd's */
};

/* --- the filter -------------------------------------------------------------------------------------------------------------- */

/* One word of the list; 0 when there is no such type. */
static uint32_t type_bit(const char *text, size_t len)
{
	for (unsigned int type = 0; type < SP_LINE_TYPES; type++)
		if (strlen(sp_line_type_names[type]) == len && memcmp(sp_line_type_names[type], text, len) == 0)
			return SP_LINE_BIT(type);
	return 0;
}

static bool filter_type(struct sp_call *call, struct sp_stream_filter *filter)
{
	const char *text = sp_call_param(call, "type");

	while (text != NULL) {
		size_t len = strcspn(text, ",");
		uint32_t bit = type_bit(text, len);

		if (bit == 0) {
			sp_problem(&call->reply, 400, "bad-parameter",
				"type takes flow, drop, alert, stats, audit, defence, nat or port, several by comma; not \"%.*s\"",
				(int)(len < 32 ? len : 32), text);
			return false;
		}
		filter->types |= bit;
		text = text[len] == ',' ? text + len + 1 : NULL;
	}
	return true;
}

static bool filter_rule(struct sp_call *call, struct sp_stream_filter *filter)
{
	const char *text = sp_call_param(call, "rule");
	uint64_t id = 0;

	if (text == NULL)
		return true;
	if (strcmp(text, "default") != 0 && (sp_call_parse_number(text, INT32_MAX, &id) != 0 || id == 0)) {
		sp_problem(&call->reply, 400, "bad-parameter", "rule takes the id of a rule, or default");
		return false;
	}
	filter->has_rule = true;
	filter->rule = (uint32_t)id;
	return true;
}

/* --- the answer; all on the API thread but wake_follower ----------------------------------------------------------------------- */

static void suspend_follower(void *context)
{
	struct follower *follower = context;

	MHD_suspend_connection(follower->connection);
}

static void wake_follower(void *context)
{
	struct follower *follower = context;

	MHD_resume_connection(follower->connection);
}

/* A client that only closed its sending half still reads. */
static bool has_left(const struct follower *follower)
{
	struct pollfd pollfd = {.fd = follower->fd};

	return poll(&pollfd, 1, 0) > 0 && (pollfd.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

static ssize_t give(void *context, uint64_t position, char *buf, size_t max)
{
	struct follower *follower = context;
	ssize_t n;

	(void)position;
	if (has_left(follower))
		return MHD_CONTENT_READER_END_WITH_ERROR;
	n = sp_stream_take(follower->reader, buf, max);
	return n >= 0 ? n : MHD_CONTENT_READER_END_OF_STREAM;
}

static void release(void *context)
{
	struct follower *follower = context;

	sp_stream_close(follower->reader);
	free(follower);
}

static void refuse(struct sp_call *call, int err)
{
	if (err == EAGAIN)
		sp_problem(&call->reply, 503, "too-many-readers", "%u clients read events already; end one of them, or read the event file",
			SP_STREAM_READERS_MAX);
	else if (err == ESHUTDOWN)
		sp_problem(&call->reply, 503, "leaving", "the firewall is shutting down");
	if (err == EAGAIN)
		call->reply.retry_after = 1;
}

void sp_res_events(struct sp_call *call)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct sp_stream_filter filter = {0};
	struct sp_stream_wait wait = {.sleep = suspend_follower, .wake = wake_follower};
	struct follower *follower;

	if (!filter_type(call, &filter) || !filter_rule(call, &filter) || !sp_call_address(call, &filter.has_addr, &filter.addr))
		return;
	follower = calloc(1, sizeof(*follower));
	if (follower == NULL || info == NULL)
		goto err_free;
	follower->connection = call->connection;
	follower->fd = info->connect_fd;
	wait.context = follower;
	follower->reader = sp_stream_open(sp_events_streams(call->mgmt->events), &filter, &wait);
	if (follower->reader == NULL) {
		refuse(call, errno);
		goto err_free;
	}
	call->stream = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, give, follower, release);
	if (call->stream == NULL) {
		release(follower);
		return;
	}
	(void)MHD_add_response_header(call->stream, MHD_HTTP_HEADER_CONTENT_TYPE, "application/x-ndjson");
	(void)MHD_add_response_header(call->stream, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	(void)MHD_set_connection_option(call->connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned int)STALL_SEC);
	return;

err_free:
	free(follower);
}
