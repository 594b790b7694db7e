/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /v1/stats: every counter in one answer. The sums are read counter by counter while workers go on; at a quiet moment the accounting
 * equation holds over them exactly.
 */
#include "dataplane/worker.h"
#include "mgmt/defences.h"
#include "mgmt/events.h"
#include "mgmt/publish.h"
#include "mgmt/res.h"
#include "mgmt/state.h"
#include "mgmt/stats_json.h"

static void set_u64(json_t *object, const char *name, uint64_t value)
{
	json_object_set_new(object, name, sp_json_u64(value));
}

static json_t *packets_json(const struct sp_stats *stats, uint64_t held)
{
	json_t *json = json_object();

	set_u64(json, "rx", stats->rx);
	set_u64(json, "tx", stats->tx);
	set_u64(json, "built", stats->built);
	set_u64(json, "to_kernel", stats->to_kernel);
	set_u64(json, "from_kernel", stats->from_kernel);
	set_u64(json, "consumed", stats->consumed);
	set_u64(json, "held", held);
	json_object_set_new(json, "fragment_delta", json_integer(stats->fragment_delta));
	return json;
}

static json_t *bytes_json(const struct sp_stats *stats)
{
	json_t *json = json_object();

	set_u64(json, "rx", stats->rx_bytes);
	set_u64(json, "tx", stats->tx_bytes);
	return json;
}

/* Every reason is listed, also at zero, so that a reader knows the names and a rate can be taken from the first drop on. */
static json_t *drops_json(const struct sp_stats *stats)
{
	json_t *json = json_object();

	for (unsigned int r = SP_DROP_NONE + 1; r < SP_DROP_COUNT; r++)
		set_u64(json, sp_drop_texts[r].name, stats->drops[r]);
	return json;
}

static json_t *sessions_json(
	const struct sp_dataplane *dataplane, const struct sp_stats *stats, const struct sp_sessions_counters *sessions)
{
	json_t *json = json_object(), *protocols = json_object();
	uint64_t bytes = 0;

	for (unsigned int w = 0; w < dataplane->n_workers; w++)
		bytes += sp_sessions_bytes(dataplane->workers[w]->sessions);
	set_u64(json, "active", sessions->active4 + sessions->active6);
	set_u64(json, "active_ipv4", sessions->active4);
	set_u64(json, "active_ipv6", sessions->active6);
	for (unsigned int p = 0; p < SP_SESSION_PROTO_COUNT; p++)
		set_u64(protocols, sp_session_proto_names[p], sessions->active_proto[p]);
	json_object_set_new(json, "active_by_protocol", protocols);
	set_u64(json, "created", sessions->created);
	set_u64(json, "expired", sessions->expired);
	set_u64(json, "killed", sessions->killed);
	set_u64(json, "refused", sessions->refused);
	set_u64(json, "evicted", sessions->evicted);
	json_object_set_new(json, "active_by_state", sp_states_json(sessions->active_state));
	json_object_set_new(json, "evicted_by_state", sp_states_json(sessions->evicted_state));
	set_u64(json, "rematched", stats->rematched);
	set_u64(json, "rematch_killed", stats->rematch_killed);
	set_u64(json, "memory_bytes", bytes);
	return json;
}

static json_t *fragments_json(const struct sp_dataplane *dataplane, const struct sp_stats *stats)
{
	json_t *json = json_object();
	uint64_t bytes = 0;

	for (unsigned int w = 0; w < dataplane->n_workers; w++)
		bytes += sp_fragments_bytes(dataplane->workers[w]->fragments);
	set_u64(json, "received", stats->fragments);
	set_u64(json, "reassembled", stats->datagrams);
	set_u64(json, "waiting", stats->fragments_held);
	set_u64(json, "memory_bytes", bytes);
	return json;
}

static json_t *inspection_json(const struct sp_inspect_counters *inspect)
{
	json_t *json = json_object();

	set_u64(json, "packets", inspect->packets);
	set_u64(json, "bytes", inspect->bytes);
	set_u64(json, "matches", inspect->matches);
	set_u64(json, "alerts", inspect->alerts);
	set_u64(json, "drops", inspect->drops);
	set_u64(json, "errors", inspect->errors);
	set_u64(json, "past_depth", inspect->past_depth);
	return json;
}

static json_t *events_json(const struct sp_dataplane *dataplane)
{
	uint64_t posted = 0, lost = 0, suppressed = 0;
	json_t *json = json_object();

	for (unsigned int w = 0; w < dataplane->n_workers; w++) {
		posted += sp_read(&dataplane->workers[w]->events.posted);
		lost += sp_read(&dataplane->workers[w]->events.lost);
		suppressed += sp_read(&dataplane->workers[w]->events.suppressed);
	}
	set_u64(json, "posted", posted);
	set_u64(json, "lost", lost);
	set_u64(json, "suppressed", suppressed);
	return json;
}

/* Answers that the firewall builds by itself. */
static json_t *answers_json(uint64_t built, uint64_t suppressed)
{
	json_t *json = json_object();

	set_u64(json, "built", built);
	set_u64(json, "suppressed", suppressed);
	return json;
}

/* Packets that waited for neighbours. */
static json_t *neighbours_json(const struct sp_stats *stats)
{
	json_t *json = json_object();

	set_u64(json, "waiting", stats->waiting_held);
	set_u64(json, "waited", stats->waited);
	return json;
}

json_t *sp_stats_json(const struct sp_dataplane *dataplane)
{
	struct sp_sessions_counters sessions;
	json_t *json = json_object();
	struct sp_stats stats;
	uint64_t held;

	sp_stats_sum(dataplane, &stats, &sessions, &held);
	json_object_set_new(json, "generation", json_integer(sp_published_generation(dataplane)));
	json_object_set_new(json, "packets", packets_json(&stats, held));
	json_object_set_new(json, "bytes", bytes_json(&stats));
	json_object_set_new(json, "drops", drops_json(&stats));
	json_object_set_new(json, "sessions", sessions_json(dataplane, &stats, &sessions));
	json_object_set_new(json, "fragments", fragments_json(dataplane, &stats));
	json_object_set_new(json, "defences", sp_defences_json(dataplane, &stats, &sessions));
	json_object_set_new(json, "inspection", inspection_json(&stats.inspect));
	json_object_set_new(json, "rejects", answers_json(stats.rejects_built, stats.rejects_suppressed));
	json_object_set_new(json, "icmp_errors", answers_json(stats.errors_built, stats.errors_suppressed));
	json_object_set_new(json, "neighbours", neighbours_json(&stats));
	json_object_set_new(json, "challenges", answers_json(stats.challenges_built, stats.challenges_suppressed));
	json_object_set_new(json, "events", events_json(dataplane));
	json_object_set_new(json, "ports", sp_ports_json(dataplane));
	json_object_set_new(json, "workers", sp_workers_json(dataplane));
	return json;
}

json_t *sp_mgmt_stats_json(struct sp_mgmt *mgmt)
{
	json_t *json = sp_stats_json(mgmt->dataplane);
	json_t *events = json_object_get(json, "events");
	struct sp_events_counters counters;

	sp_events_counters(mgmt->events, &counters);
	set_u64(events, "written", counters.written);
	set_u64(events, "unwritten", counters.unwritten);
	set_u64(events, "rotated", counters.rotated);
	set_u64(events, "readers", counters.readers);
	set_u64(events, "shed", counters.shed);
	set_u64(events, "audit_lost", counters.audit_lost);
	return json;
}

void sp_res_stats(struct sp_call *call)
{
	sp_reply_json(&call->reply, 200, SP_TYPE_JSON, sp_mgmt_stats_json(call->mgmt));
}
