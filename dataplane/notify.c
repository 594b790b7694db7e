/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "dataplane/stages.h"

/* The same for a session's whole life: who opened it, where, and when. */
static uint64_t flow_id(const struct sp_worker *worker, uint32_t ref)
{
	uint32_t created_ms = sp_session_cold(worker->sessions, ref)->created_ms;

	return (uint64_t)created_ms << 32 ^ (uint64_t)worker->index << 56 ^ (ref & ~SP_SESSION_REPLY);
}

static void start_event(struct sp_worker *worker, struct sp_event *event, uint8_t type, uint32_t rule_id)
{
	memset(event, 0, sizeof(*event));
	event->tsc = worker->burst.now;
	event->type = type;
	event->rule = rule_id;
	event->worker = worker->index;
}

static void notify_packet(struct sp_worker *worker, unsigned int i, uint8_t type, uint32_t rule_id, uint32_t signature)
{
	struct sp_burst *burst = &worker->burst;
	struct sp_event event;

	start_event(worker, &event, type, rule_id);
	event.key = burst->packet[i].key;
	event.signature = signature;
	event.reason = burst->reason[i];
	event.verdict = burst->verdict[i];
	event.length = RTE_MIN(burst->length[i], (uint32_t)UINT16_MAX);
	event.port = burst->port;
	if (sp_burst_has_session(burst, i))
		event.flow_id = flow_id(worker, burst->session[i]);
	sp_event_post(&worker->events, &event);
}

void sp_notify_drop(struct sp_worker *worker, unsigned int i, uint32_t rule_id)
{
	notify_packet(worker, i, SP_EVENT_DROP, rule_id, 0);
}

void sp_notify_alert(struct sp_worker *worker, unsigned int i, uint32_t rule_id, uint32_t signature)
{
	notify_packet(worker, i, SP_EVENT_ALERT, rule_id, signature);
}

void sp_notify_flow(struct sp_worker *worker, uint32_t ref, uint8_t type, enum sp_flow_end why)
{
	const struct sp_session_state *state = sp_session_state(worker->sessions, ref);
	const struct sp_session_cold *cold = sp_session_cold(worker->sessions, ref);
	struct sp_event event;

	start_event(worker, &event, type, worker->dataplane->rule_table.ids[state->slot]);
	sp_session_original(worker->sessions, ref, &event.key);
	event.flow_id = flow_id(worker, ref);
	event.why = why;
	event.state = state->state;
	event.age_ms = worker->burst.now_ms - cold->created_ms;
	for (unsigned int d = 0; d < 2; d++) {
		event.bytes[d] = cold->bytes[d];
		event.packets[d] = cold->packets[d];
	}
	/* A session ends between bursts, too: only its start knows the port. */
	event.port = type == SP_EVENT_FLOW_START ? worker->burst.port : SP_NO_PORT;
	sp_event_post(&worker->events, &event);
}
