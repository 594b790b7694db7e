/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/nat_json.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/nat_query.h"
#include "mgmt/ask.h"
#include "mgmt/publish.h"
#include "mgmt/state.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     10000
#define POOLS_MAX     1024

static json_t *address_json(const struct sp_addr *addr)
{
	char text[48];

	return json_string(sp_addr_format(addr, text, sizeof(text)));
}

static json_t *entry_json(const struct sp_nat_entry_row *row)
{
	json_t *json = json_object();

	json_object_set_new(json, "entry", json_integer(row->entry));
	json_object_set_new(json, "type", json_string(sp_nat_type_names[row->type]));
	json_object_set_new(json, "sessions", sp_json_u64(row->sessions));
	json_object_set_new(json, "exhausted", sp_json_u64(row->exhausted));
	json_object_set_new(json, "refused", sp_json_u64(row->refused));
	return json;
}

static json_t *pool_json(const struct sp_nat_pool_row *row)
{
	json_t *json = json_object(), *used = json_object();

	json_object_set_new(json, "entry", row->entry != 0 ? json_integer(row->entry) : json_null());
	json_object_set_new(json, "address", address_json(&row->address));
	json_object_set_new(json, "ports", json_integer(row->ports));
	for (unsigned int p = 0; p < SP_NAT_PROTO_COUNT; p++)
		json_object_set_new(used, sp_nat_proto_names[p], json_integer(row->used[p]));
	json_object_set_new(json, "used", used);
	return json;
}

static json_t *mapping_json(const struct sp_nat_mapping_row *row, unsigned int worker)
{
	json_t *json = json_object();

	json_object_set_new(json, "entry", json_integer(row->entry));
	json_object_set_new(json, "proto", json_string(sp_nat_proto_names[row->proto]));
	json_object_set_new(json, "inside", address_json(&row->inside));
	json_object_set_new(json, "inside_port", json_integer(row->inside_port));
	json_object_set_new(json, "outside", address_json(&row->outside));
	json_object_set_new(json, "outside_port", json_integer(row->outside_port));
	json_object_set_new(json, "sessions", json_integer(row->sessions));
	json_object_set_new(json, "held_sec", row->sessions == 0 ? json_real(row->held_ms / 1000.0) : json_null());
	json_object_set_new(json, "worker", json_integer(worker));
	return json;
}

/* Entries and the ports of addresses that they name. */
static void set_rules(struct sp_call *call, json_t *json, json_t *pools)
{
	const struct sp_dataplane *dataplane = call->mgmt->dataplane;
	struct sp_nat_entry_row *entries = calloc(SP_NAT_MAX, sizeof(entries[0]));
	struct sp_nat_pool_row *rows = calloc(POOLS_MAX, sizeof(rows[0]));
	json_t *array = json_array();
	size_t n = 0, n_pools = 0;

	if (entries != NULL && rows != NULL) {
		sp_published_get(dataplane);
		n = sp_nat_entries(dataplane, entries, 0, SP_NAT_MAX);
		n_pools = sp_nat_pools(dataplane, rows, 0, POOLS_MAX);
		sp_published_put();
	}
	for (size_t i = 0; i < n && i < SP_NAT_MAX; i++)
		json_array_append_new(array, entry_json(&entries[i]));
	for (size_t i = 0; i < n_pools && i < POOLS_MAX; i++)
		json_array_append_new(pools, pool_json(&rows[i]));
	json_object_set_new(json, "entries", array);
	json_object_set_new(json, "pools_left_out", json_integer(n_pools > POOLS_MAX ? (json_int_t)(n_pools - POOLS_MAX) : 0));
	free(entries);
	free(rows);
}

static void set_counters(const struct sp_dataplane *dataplane, json_t *json)
{
	json_t *counters = json_object();
	struct sp_nat_sum sum;

	sp_nat_sum(dataplane, &sum);
	json_object_set_new(counters, "mappings", sp_json_u64(sum.mappings));
	json_object_set_new(counters, "hosts", sp_json_u64(sum.hosts));
	json_object_set_new(counters, "blocks", sp_json_u64(sum.blocks));
	json_object_set_new(counters, "mappings_made", sp_json_u64(sum.made));
	json_object_set_new(counters, "sessions", sp_json_u64(sum.translated));
	json_object_set_new(counters, "exhausted", sp_json_u64(sum.exhausted));
	json_object_set_new(counters, "bytes", sp_json_u64(sp_nat_bytes(dataplane)));
	json_object_set_new(json, "counters", counters);
}

/* --- what workers have -----------------------------------------------------------------------------------------------------------------
 */

/* Addresses of links: each worker has its part of their ports. False when some found no place. */
static bool add_links(const struct sp_nat_query *query, struct sp_nat_pool_row *sums, size_t *n)
{
	bool complete = true;

	for (uint32_t i = 0; i < query->n_links; i++) {
		const struct sp_nat_pool_row *row = &query->links[i];
		size_t k = 0;

		while (k < *n && (sums[k].address.family != row->address.family ||
					 memcmp(sums[k].address.b, row->address.b, sizeof(row->address.b)) != 0))
			k++;
		if (k == SP_NAT_QUERY_LINKS) {
			complete = false;
			continue;
		}
		if (k == *n)
			sums[(*n)++] = (struct sp_nat_pool_row){.address = row->address};
		sums[k].ports += row->ports;
		for (unsigned int p = 0; p < SP_NAT_PROTO_COUNT; p++)
			sums[k].used[p] += row->used[p];
	}
	return complete;
}

/* False with a problem. Workers for which there is no time are left out of the sums, which are not `complete` then. */
static bool set_links(const struct sp_ask *ask, struct sp_nat_query *query, json_t *json, json_t *pools)
{
	struct sp_nat_pool_row *sums = calloc(SP_NAT_QUERY_LINKS, sizeof(sums[0]));
	enum sp_asked answer = SP_ASKED_ANSWERED;
	bool complete = true;
	size_t n = 0;

	for (unsigned int w = 0; sums != NULL && answer == SP_ASKED_ANSWERED && w < ask->call->mgmt->dataplane->n_workers; w++) {
		sp_nat_query_init(query, UINT64_MAX, 1);
		answer = sp_ask_worker(ask, w, &query->request);
		if (answer == SP_ASKED_ANSWERED)
			complete &= add_links(query, sums, &n);
	}
	for (size_t k = 0; k < n; k++)
		json_array_append_new(pools, pool_json(&sums[k]));
	json_object_set_new(json, "complete", json_boolean(complete && answer == SP_ASKED_ANSWERED));
	free(sums);
	return sums != NULL && answer != SP_ASKED_SILENT;
}

static bool set_mappings(const struct sp_ask *ask, struct sp_nat_query *query, json_t *json)
{
	uint64_t limit = LIMIT_DEFAULT;
	struct sp_page_place place;
	json_t *array;

	if (!sp_call_number(ask->call, "limit", 1, LIMIT_MAX, &limit) || !sp_page_place_read(ask->call, &place))
		return false;
	array = json_array();
	json_object_set_new(json, "mappings", array);
	while (place.worker < ask->call->mgmt->dataplane->n_workers && json_array_size(array) < limit) {
		uint64_t left = limit - json_array_size(array);
		enum sp_asked answer;

		sp_nat_query_init(query, place.cursor, left < SP_NAT_QUERY_ROWS ? (uint32_t)left : SP_NAT_QUERY_ROWS);
		answer = sp_ask_worker(ask, place.worker, &query->request);
		if (answer == SP_ASKED_SILENT)
			return false;
		if (answer == SP_ASKED_NO_TIME)
			break;
		for (uint32_t i = 0; i < query->n_rows; i++)
			json_array_append_new(array, mapping_json(&query->rows[i], place.worker));
		sp_page_place_advance(&place, query->more, query->cursor);
	}
	json_object_set_new(json, "next", sp_page_place_json(ask->call, &place));
	return true;
}

bool sp_nat_json(struct sp_call *call, json_t *json)
{
	struct sp_nat_query *query = calloc(1, sizeof(*query));
	json_t *pools = json_array();
	const struct sp_ask ask = sp_ask_begin(call);
	bool good = query != NULL && set_links(&ask, query, json, pools) && set_mappings(&ask, query, json);

	set_rules(call, json, pools);
	json_object_set_new(json, "pools", pools);
	set_counters(call->mgmt->dataplane, json);
	free(query);
	return good;
}
