/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Listing and killing sessions from other threads: bounded requests that the owning worker runs between two bursts.
 */
#ifndef SP_DATAPLANE_SESSION_QUERY_H
#define SP_DATAPLANE_SESSION_QUERY_H

#include "dataplane/mailbox.h"
#include "dataplane/session.h"
#include "rules/addr.h"

#define SP_QUERY_ROWS_MAX 256  /* rows of one answer */
#define SP_QUERY_WALK_MAX 4096 /* pool entries one request looks at: it holds a worker for microseconds, not longer */

struct sp_session_filter { /* every given condition must hold; none given: all sessions */
	bool has_addr, has_port, has_proto, has_rule, has_zone;
	struct sp_addr_range addr; /* either endpoint of either tuple */
	uint16_t port;             /* either endpoint of either tuple (TCP, UDP, SCTP), host byte order */
	uint8_t proto;
	uint8_t zone;    /* of either end */
	uint32_t slot;   /* rule slot */
	uint64_t states; /* bits 1 << enum sp_session_state_id, any of which; 0: any state */
};
static_assert(SP_STATE_COUNT <= 64, "a bit a state");

struct sp_session_row { /* a copy: safe to read after the request is done */
	struct sp_key original, reply;
	struct sp_session_state state;
	uint8_t fins; /* TCP: as in struct sp_session_tcp */
	uint64_t bytes[2];
	uint32_t packets[2];
	uint32_t age_ms, idle_ms, timeout_ms;
};

struct sp_session_query {
	struct sp_request request; /* post this; run is set by sp_session_query_init */
	struct sp_session_filter filter;
	bool kill;       /* remove the matching sessions instead of only listing them */
	uint64_t cursor; /* 0 at first; where to go on. Any value is safe */
	uint32_t limit;  /* rows of one run, 1 to SP_QUERY_ROWS_MAX; a kill has none */
	struct sp_session_row rows[SP_QUERY_ROWS_MAX];
	uint32_t n_rows; /* rows that the last run filled (list) */
	uint32_t killed; /* sessions that the last run removed (kill) */
	bool more;       /* the walk is not over: post again with the same cursor */
};

/*
 * Prepares a query for posting to a worker's mailbox. The asker posts it, takes rows or killed, and posts it again until `more` is false or
 * it has enough: each run starts its rows and its count anew, and goes on at the cursor. A run may find nothing although more is true. A
 * limit out of range becomes SP_QUERY_ROWS_MAX. Sessions that come or go between two runs may be missed; none is listed twice unless its
 * place in the table was taken anew.
 */
void sp_session_query_init(struct sp_session_query *query, const struct sp_session_filter *filter, bool kill, uint32_t limit);

#endif
