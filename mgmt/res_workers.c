/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /v1/workers: how busy each core is, and what a packet costs it.
 */
#include "dataplane/worker.h"
#include "mgmt/res.h"
#include "mgmt/state.h"
#include "mgmt/stats_json.h"

static json_t *ratio(uint64_t part, uint64_t whole)
{
	return whole != 0 ? json_real((double)part / (double)whole) : json_null();
}

/* Cycles a packet by stage, from the timed bursts. */
static json_t *stages_json(const struct sp_worker *worker)
{
	uint64_t packets = sp_read(&worker->stats.stage_packets);
	json_t *json = json_object();

	for (unsigned int s = 0; s < SP_STAGE_COUNT; s++)
		json_object_set_new(json, sp_stage_names[s], ratio(sp_read(&worker->stats.stage_cycles[s]), packets));
	return json;
}

static json_t *worker_json(const struct sp_worker *worker)
{
	uint64_t busy = sp_read(&worker->stats.busy_cycles), idle = sp_read(&worker->stats.idle_cycles);
	const struct sp_sessions_counters *sessions = sp_sessions_counters(worker->sessions);
	json_t *json = json_object();

	json_object_set_new(json, "index", json_integer(worker->index));
	json_object_set_new(json, "core", json_integer(worker->core));
	json_object_set_new(json, "busy_cycles", sp_json_u64(busy));
	json_object_set_new(json, "idle_cycles", sp_json_u64(idle));
	json_object_set_new(json, "busy_ratio", ratio(busy, busy + idle));
	json_object_set_new(json, "cycles_per_packet", ratio(busy, sp_read(&worker->stats.busy_packets)));
	json_object_set_new(json, "stages", stages_json(worker));
	json_object_set_new(json, "rx", sp_json_u64(sp_read(&worker->stats.rx)));
	json_object_set_new(json, "tx", sp_json_u64(sp_read(&worker->stats.tx)));
	json_object_set_new(json, "handed_out", sp_json_u64(sp_read(&worker->stats.handed_out)));
	json_object_set_new(json, "handed_in", sp_json_u64(sp_read(&worker->stats.handed_in)));
	json_object_set_new(json, "sessions", sp_json_u64(sp_read(&sessions->active4) + sp_read(&sessions->active6)));
	return json;
}

json_t *sp_workers_json(const struct sp_dataplane *dataplane)
{
	json_t *array = json_array();

	for (unsigned int w = 0; w < dataplane->n_workers; w++)
		json_array_append_new(array, worker_json(dataplane->workers[w]));
	return array;
}

void sp_res_workers(struct sp_call *call)
{
	json_t *json = json_object();

	json_object_set_new(json, "workers", sp_workers_json(call->mgmt->dataplane));
	sp_reply_json(&call->reply, 200, SP_TYPE_JSON, json);
}
