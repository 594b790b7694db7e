/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/session_query.h"

#include <netinet/in.h>
#include <string.h>

#include "dataplane/worker.h"

struct run {
	struct sp_session_query *query;
	struct sp_sessions *sessions;
	uint32_t now_ms;
};

static bool in_range(const struct sp_addr_range *range, uint8_t family, const void *address)
{
	size_t bytes = family == SP_FAMILY_IPV4 ? 4 : 16;

	return range->lo.family == family && memcmp(range->lo.b, address, bytes) <= 0 && memcmp(address, range->hi.b, bytes) <= 0;
}

static bool has_address(const struct sp_key *key, const struct sp_addr_range *range)
{
	if (key->family == SP_FAMILY_IPV4)
		return in_range(range, key->family, &key->v4.src) || in_range(range, key->family, &key->v4.dst);
	return in_range(range, key->family, key->v6.src) || in_range(range, key->family, key->v6.dst);
}

static bool has_port(const struct sp_key *key, uint16_t port)
{
	const rte_be16_t wanted = rte_cpu_to_be_16(port);

	/* The port fields of ICMP hold its identifier. */
	if (key->proto != IPPROTO_TCP && key->proto != IPPROTO_UDP && key->proto != IPPROTO_SCTP)
		return false;
	return key->sport == wanted || key->dport == wanted;
}

static bool matches(const struct sp_session_filter *filter, const struct sp_session_row *row)
{
	const struct sp_key *original = &row->original, *reply = &row->reply;

	if (filter->has_addr && !has_address(original, &filter->addr) && !has_address(reply, &filter->addr))
		return false;
	if (filter->has_port && !has_port(original, filter->port) && !has_port(reply, filter->port))
		return false;
	if (filter->has_proto && original->proto != filter->proto)
		return false;
	if (filter->has_zone && row->state.zone_from != filter->zone && row->state.zone_to != filter->zone)
		return false;
	if (filter->states != 0 && (filter->states >> row->state.state & 1) == 0)
		return false;
	return !filter->has_rule || row->state.slot == filter->slot;
}

static void visit(void *context, uint32_t ref)
{
	struct run *run = context;
	struct sp_session_query *query = run->query;
	const struct sp_session_cold *cold = sp_session_cold(run->sessions, ref);
	struct sp_session_row row = {.state = *sp_session_state(run->sessions, ref)};

	sp_session_original(run->sessions, ref, &row.original);
	sp_session_reply(run->sessions, ref, &row.reply);
	if (!matches(&query->filter, &row))
		return;
	if (query->kill) {
		sp_session_remove(run->sessions, ref, SP_END_KILLED);
		query->killed++;
		return;
	}
	for (unsigned int i = 0; i < 2; i++) {
		row.bytes[i] = cold->bytes[i];
		row.packets[i] = cold->packets[i];
	}
	if (row.original.proto == IPPROTO_TCP)
		row.fins = sp_session_tcp(run->sessions, ref)->fins;
	row.age_ms = run->now_ms - cold->created_ms;
	row.idle_ms = run->now_ms - row.state.last_ms;
	row.timeout_ms = sp_session_timeout_ms(run->sessions, ref);
	query->rows[query->n_rows++] = row;
}

/* On the worker. */
static void run_query(struct sp_worker *worker, struct sp_request *request)
{
	struct sp_session_query *query = (struct sp_session_query *)(void *)request;
	struct run run = {query, worker->sessions, worker->burst.now_ms};
	unsigned int budget = SP_QUERY_WALK_MAX;

	query->n_rows = 0;
	query->killed = 0;
	query->more = true;
	/* A step looks at no more sessions than there are rows left, so that the cursor never passes a session without a row for it. */
	while (budget > 0 && query->more && query->n_rows < query->limit) {
		unsigned int rows = query->kill ? budget : query->limit - query->n_rows;
		unsigned int step = rows < budget ? rows : budget;

		query->more = sp_sessions_walk(worker->sessions, &query->cursor, step, visit, &run);
		budget -= step;
	}
}

void sp_session_query_init(struct sp_session_query *query, const struct sp_session_filter *filter, bool kill, uint32_t limit)
{
	query->request.run = run_query;
	query->filter = *filter;
	query->kill = kill;
	query->cursor = 0;
	query->limit = limit == 0 || limit > SP_QUERY_ROWS_MAX ? SP_QUERY_ROWS_MAX : limit;
	query->n_rows = 0;
	query->killed = 0;
	query->more = true;
}
