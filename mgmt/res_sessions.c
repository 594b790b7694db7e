/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* strchrnul */
/*
 * GET and DELETE /v1/sessions: each worker is asked by bounded requests through its mailbox, one after the other. A listing stops at its
 * limit, or when its time is up, with a cursor that names worker and place.
 */
#include <errno.h>
#include <rte_byteorder.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/session_query.h"
#include "dataplane/worker.h"
#include "mgmt/ask.h"
#include "mgmt/events.h"
#include "mgmt/problem.h"
#include "mgmt/publish.h"
#include "mgmt/res.h"
#include "mgmt/state.h"
#include "rules/fields.h"
#include "rules/match.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     1000

/* --- the filter --------------------------------------------------------------------------------------------------------------- */

static bool filter_port(struct sp_call *call, struct sp_session_filter *filter)
{
	uint64_t port;

	filter->has_port = sp_call_param(call, "port") != NULL;
	if (!sp_call_number(call, "port", 0, UINT16_MAX, &port))
		return false;
	if (filter->has_port)
		filter->port = (uint16_t)port;
	return true;
}

static bool filter_proto(struct sp_call *call, struct sp_session_filter *filter)
{
	const char *text = sp_call_param(call, "proto");
	int proto;

	if (text == NULL)
		return true;
	proto = sp_proto_parse(text, strlen(text));
	if (proto < 0) {
		sp_problem(&call->reply, 400, "bad-parameter", "proto takes a protocol's name or a number from 0 to 255");
		return false;
	}
	filter->has_proto = true;
	filter->proto = (uint8_t)proto;
	return true;
}

/* An id that no rule has or had gets a slot that no session has: nothing is found, which is true. */
static bool filter_rule(struct sp_call *call, struct sp_session_filter *filter)
{
	const char *text = sp_call_param(call, "rule");
	uint64_t id;

	if (text == NULL)
		return true;
	filter->has_rule = true;
	if (strcmp(text, "default") == 0) {
		filter->slot = SP_RULE_SLOT_DEFAULT;
		return true;
	}
	if (sp_call_parse_number(text, INT32_MAX, &id) != 0 || id == 0) {
		sp_problem(&call->reply, 400, "bad-parameter", "rule takes the id of a rule, or default");
		return false;
	}
	sp_published_get(call->mgmt->dataplane);
	filter->slot = sp_rule_table_slot(&call->mgmt->dataplane->rule_table, (uint32_t)id);
	sp_published_put();
	return true;
}

static bool filter_zone(struct sp_call *call, struct sp_session_filter *filter)
{
	const struct sp_zones *zones = &call->mgmt->dataplane->zones;
	const char *text = sp_call_param(call, "zone");

	if (text == NULL)
		return true;
	for (unsigned int zone = 0; zone < zones->n; zone++)
		if (strcmp(text, zones->name[zone]) == 0) {
			filter->has_zone = true;
			filter->zone = (uint8_t)zone;
			return true;
		}
	sp_problem(&call->reply, 400, "bad-parameter", "zone takes the name of a zone of the configuration");
	return false;
}

static bool add_state(struct sp_session_filter *filter, const char *name, size_t len)
{
	for (unsigned int state = 0; state < SP_STATE_COUNT; state++)
		if (strlen(sp_state_names[state]) == len && memcmp(sp_state_names[state], name, len) == 0) {
			filter->states |= UINT64_C(1) << state;
			return true;
		}
	return false;
}

/* States by comma. */
static bool filter_states(struct sp_call *call, struct sp_session_filter *filter)
{
	const char *text = sp_call_param(call, "state"), *comma;

	for (; text != NULL; text = comma[0] == ',' ? comma + 1 : NULL) {
		comma = strchrnul(text, ',');
		if (!add_state(filter, text, (size_t)(comma - text))) {
			sp_problem(&call->reply, 400, "bad-parameter",
				"state takes states by comma, as they stand in a session: tcp_established, udp_new, ...");
			return false;
		}
	}
	return true;
}

static bool filter_read(struct sp_call *call, struct sp_session_filter *filter)
{
	memset(filter, 0, sizeof(*filter));
	return sp_call_address(call, &filter->has_addr, &filter->addr) && filter_port(call, filter) && filter_proto(call, filter) &&
	       filter_rule(call, filter) && filter_zone(call, filter) && filter_states(call, filter);
}

static bool filter_given(const struct sp_session_filter *filter)
{
	return filter->has_addr || filter->has_port || filter->has_proto || filter->has_rule || filter->has_zone || filter->states != 0;
}

/* --- rows --------------------------------------------------------------------------------------------------------------------- */

static void set_endpoints(json_t *json, const struct sp_key *key)
{
	struct sp_addr src = {.family = key->family}, dst = {.family = key->family};
	char text[48];

	if (key->family == SP_FAMILY_IPV4) {
		memcpy(src.b, &key->v4.src, 4);
		memcpy(dst.b, &key->v4.dst, 4);
	} else {
		memcpy(src.b, key->v6.src, 16);
		memcpy(dst.b, key->v6.dst, 16);
	}
	json_object_set_new(json, "src", json_string(sp_addr_format(&src, text, sizeof(text))));
	json_object_set_new(json, "sport", json_integer(rte_be_to_cpu_16(key->sport)));
	json_object_set_new(json, "dst", json_string(sp_addr_format(&dst, text, sizeof(text))));
	json_object_set_new(json, "dport", json_integer(rte_be_to_cpu_16(key->dport)));
}

static json_t *pair_json(uint64_t original, uint64_t reply)
{
	json_t *array = json_array();

	json_array_append_new(array, sp_json_u64(original));
	json_array_append_new(array, sp_json_u64(reply));
	return array;
}

static json_t *zone_json(const struct sp_dataplane *dataplane, uint8_t zone)
{
	return zone < dataplane->zones.n ? sp_json_text(dataplane->zones.name[zone]) : json_null();
}

/* The id behind a slot; null for the default. A session holds its slot, so the id is still its rule's. */
static json_t *rule_json(const struct sp_dataplane *dataplane, uint32_t slot)
{
	if (slot == SP_RULE_SLOT_DEFAULT || slot >= SP_RULE_SLOTS_MAX)
		return json_null();
	return json_integer(__atomic_load_n(&dataplane->rule_table.ids[slot], __ATOMIC_RELAXED));
}

/* The name that the rule has now; null without one, and when the rule is gone. Under the publish lock. */
static json_t *rule_name_json(const struct sp_dataplane *dataplane, uint32_t slot)
{
	const struct sp_rule *rule = NULL;

	if (slot != SP_RULE_SLOT_DEFAULT && slot < SP_RULE_SLOTS_MAX)
		rule = sp_published_rule(dataplane, __atomic_load_n(&dataplane->rule_table.ids[slot], __ATOMIC_RELAXED));
	return rule != NULL ? sp_json_text(rule->value[SP_FIELD_NAME]) : json_null();
}

static json_t *flags_json(uint8_t flags, uint8_t fins)
{
	static const struct {
		uint8_t bit;
		const char *name;
	} names[] = {{SP_SESSION_INSPECT, "inspect"}, {SP_SESSION_LOG_END, "log"}, {SP_SESSION_SOURCE, "per_source"},
		{SP_SESSION_LIMITED, "limited"}, {SP_SESSION_MSS, "mss"}, {SP_SESSION_NAT, "translated"}, {SP_SESSION_PROXY, "proxied"}};
	static const char *const fin_names[] = {"fin", "fin_reply"};
	json_t *array = json_array();

	for (size_t i = 0; i < RTE_DIM(names); i++)
		if (flags & names[i].bit)
			json_array_append_new(array, json_string(names[i].name));
	for (size_t d = 0; d < RTE_DIM(fin_names); d++)
		if (fins >> d & 1)
			json_array_append_new(array, json_string(fin_names[d]));
	return array;
}

static json_t *row_json(const struct sp_dataplane *dataplane, const struct sp_session_row *row, unsigned int worker)
{
	json_t *json = json_object(), *reply = json_object();
	char proto[8];

	json_object_set_new(json, "proto", json_string(sp_proto_name(row->original.proto, proto)));
	set_endpoints(json, &row->original);
	if (sp_icmp_is_query(row->original.family, (uint8_t)(row->original.aux >> 8)) && row->original.aux != 0) {
		json_object_set_new(json, "icmp_type", json_integer(row->original.aux >> 8));
		json_object_set_new(json, "icmp_code", json_integer(row->original.aux & 0xff));
	}
	set_endpoints(reply, &row->reply);
	json_object_set_new(json, "reply", reply);
	json_object_set_new(json, "vlan", json_integer(row->original.vlan));
	json_object_set_new(json, "domain", json_integer(row->original.domain));
	json_object_set_new(json, "state", row->state.state < SP_STATE_COUNT ? json_string(sp_state_names[row->state.state]) : json_null());
	json_object_set_new(json, "rule", rule_json(dataplane, row->state.slot));
	json_object_set_new(json, "rule_name", rule_name_json(dataplane, row->state.slot));
	json_object_set_new(json, "generation", json_integer(row->state.generation));
	json_object_set_new(json, "flags", flags_json(row->state.flags, row->fins));
	json_object_set_new(json, "age_sec", json_real(row->age_ms / 1000.0));
	json_object_set_new(json, "idle_sec", json_real(row->idle_ms / 1000.0));
	json_object_set_new(json, "timeout_sec", json_real(row->timeout_ms / 1000.0));
	json_object_set_new(json, "packets", pair_json(row->packets[0], row->packets[1]));
	json_object_set_new(json, "bytes", pair_json(row->bytes[0], row->bytes[1]));
	json_object_set_new(json, "worker", json_integer(worker));
	json_object_set_new(json, "zone_from", zone_json(dataplane, row->state.zone_from));
	json_object_set_new(json, "zone_to", zone_json(dataplane, row->state.zone_to));
	return json;
}

/* --- asking the workers ------------------------------------------------------------------------------------------------------- */

/* Fills rows until the limit, its time or the end of the last table; *place is where to go on. False with a problem. */
static bool list(const struct sp_ask *ask, struct sp_session_query *query, const struct sp_session_filter *filter, uint64_t limit,
	struct sp_page_place *place, json_t *rows)
{
	const struct sp_dataplane *dataplane = ask->call->mgmt->dataplane;

	while (place->worker < dataplane->n_workers && json_array_size(rows) < limit) {
		uint64_t left = limit - json_array_size(rows);
		enum sp_asked answer;

		sp_session_query_init(query, filter, false, (uint32_t)RTE_MIN(left, (uint64_t)SP_QUERY_ROWS_MAX));
		query->cursor = place->cursor;
		answer = sp_ask_worker(ask, place->worker, &query->request);
		if (answer != SP_ASKED_ANSWERED)
			return answer == SP_ASKED_NO_TIME;
		sp_published_get(dataplane);
		for (uint32_t i = 0; i < query->n_rows; i++)
			json_array_append_new(rows, row_json(dataplane, &query->rows[i], place->worker));
		sp_published_put();
		sp_page_place_advance(place, query->more, query->cursor);
	}
	return true;
}

void sp_res_sessions(struct sp_call *call)
{
	const struct sp_ask ask = sp_ask_begin(call);
	uint64_t limit = LIMIT_DEFAULT;
	struct sp_session_query *query;
	struct sp_session_filter filter;
	struct sp_page_place place;
	json_t *json, *rows;

	if (!filter_read(call, &filter) || !sp_call_number(call, "limit", 1, LIMIT_MAX, &limit) || !sp_page_place_read(call, &place))
		return;
	query = calloc(1, sizeof(*query));
	rows = json_array();
	if (query != NULL && rows != NULL && list(&ask, query, &filter, limit, &place, rows)) {
		json = json_object();
		json_object_set(json, "sessions", rows);
		json_object_set_new(json, "next", sp_page_place_json(call, &place));
		sp_reply_json(&call->reply, 200, SP_TYPE_JSON, json);
	}
	json_decref(rows);
	free(query);
}

/* Removes what the filter matches from every worker. False with a problem when a worker was silent; *complete: time sufficed. */
static bool kill_all(
	const struct sp_ask *ask, struct sp_session_query *query, const struct sp_session_filter *filter, uint64_t *killed, bool *complete)
{
	struct sp_page_place place = {0};

	*complete = false;
	while (place.worker < ask->call->mgmt->dataplane->n_workers) {
		enum sp_asked answer;

		sp_session_query_init(query, filter, true, SP_QUERY_ROWS_MAX);
		query->cursor = place.cursor;
		answer = sp_ask_worker(ask, place.worker, &query->request);
		if (answer != SP_ASKED_ANSWERED)
			return answer == SP_ASKED_NO_TIME;
		*killed += query->killed;
		sp_page_place_advance(&place, query->more, query->cursor);
	}
	*complete = true;
	return true;
}

/* Leaves a trace with the filter as it was given. */
static void audit(struct sp_call *call, uint64_t killed)
{
	const struct sp_peer by = sp_call_peer(call);
	json_t *fields = json_object();

	json_object_set_new(fields, "action", json_string("kill-sessions"));
	json_object_set_new(fields, "by", sp_peer_json(&by));
	for (unsigned int i = 0; call->route->params[i] != NULL; i++)
		if (sp_call_param(call, call->route->params[i]) != NULL)
			json_object_set_new(fields, call->route->params[i], sp_json_text(sp_call_param(call, call->route->params[i])));
	json_object_set_new(fields, "killed", sp_json_u64(killed));
	sp_events_audit(call->mgmt->events, fields);
}

void sp_res_sessions_delete(struct sp_call *call)
{
	const struct sp_ask ask = sp_ask_begin(call);
	struct sp_session_query *query;
	struct sp_session_filter filter;
	bool all, filtered, complete, good;
	uint64_t killed = 0;
	json_t *json;

	if (!filter_read(call, &filter) || !sp_call_bool(call, "all", &all))
		return;
	filtered = filter_given(&filter);
	if (filtered == all) {
		sp_problem(&call->reply, 400, "bad-parameter",
			filtered ? "a filter and ?all=1 contradict each other"
				 : "name a filter (ip, port, proto, rule, state, zone), or ?all=1 for every session");
		return;
	}
	query = calloc(1, sizeof(*query));
	good = query != NULL && kill_all(&ask, query, &filter, &killed, &complete);
	if (good || killed != 0)
		audit(call, killed);
	if (good) {
		json = json_object();
		json_object_set_new(json, "killed", sp_json_u64(killed));
		json_object_set_new(json, "complete", json_boolean(complete));
		sp_reply_json(&call->reply, 200, SP_TYPE_JSON, json);
	}
	free(query);
}
