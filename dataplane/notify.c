/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "dataplane/stages.h"

/* The same for a session's whole life: who opened it, where, and when. */
static uint64_t flow_id(const struct sp_worker *worker, uint32_t ref)
{
	uint32_t created_ms = sp_session_cold(worker->sessions, ref)->created_ms;

	return (uint64_t)created_ms << 32 ^ (uint64_t)worker->index << 56 ^ (ref & ~SP_SESSION_REPLY);
}

/*
 * A flood that one rule logs must not fill ring and disk at the cost of all others: beyond the rate its events are counted only, before
 * anything is spent on them.
 */
static bool may_log(struct sp_worker *worker, uint32_t slot, enum sp_log_kind kind)
{
	const struct sp_dataplane *dataplane = worker->dataplane;
	struct sp_rule_log *log = &dataplane->rule_table.log[worker->index][slot];

	if (sp_rule_log_take(log, kind, dataplane->log_rate, worker->burst.now_ms / 1000))
		return true;
	sp_count(&worker->events.suppressed, 1);
	return false;
}

/* Takes what was withheld before it along; when the ring is full, the next one does. */
static void post(struct sp_worker *worker, uint32_t slot, enum sp_log_kind kind, struct sp_event *event)
{
	struct sp_log_window *window = &worker->dataplane->rule_table.log[worker->index][slot].window[kind];

	event->suppressed = window->withheld;
	if (sp_event_post(&worker->events, event))
		window->withheld = 0;
}

static void start_event(struct sp_worker *worker, struct sp_event *event, uint8_t type, uint32_t rule_id)
{
	memset(event, 0, sizeof(*event));
	event->tsc = worker->burst.now;
	event->type = type;
	event->rule = rule_id;
	event->worker = worker->index;
}

/* An ICMP error is told by its own header: its key is that of the packet it quotes, which may be anybody's. */
static void error_key(const struct sp_burst *burst, unsigned int i, struct sp_key *key)
{
	struct sp_match match;

	sp_match_from_packet(burst, i, &match);
	*key = (struct sp_key){.vlan = burst->packet[i].key.vlan,
		.vlan_inner = burst->packet[i].key.vlan_inner,
		.domain = burst->packet[i].key.domain,
		.family = match.family,
		.proto = match.proto,
		.aux = (uint16_t)(match.sport << 8 | match.dport)};
	if (match.family == SP_FAMILY_IPV4) {
		memcpy(&key->v4.src, match.src.b, 4);
		memcpy(&key->v4.dst, match.dst.b, 4);
	} else {
		memcpy(key->v6.src, match.src.b, 16);
		memcpy(key->v6.dst, match.dst.b, 16);
	}
}

static void notify_packet(struct sp_worker *worker, unsigned int i, enum sp_event_type type, enum sp_log_kind kind,
	const struct sp_hot_rule *rule, uint32_t signature)
{
	struct sp_burst *burst = &worker->burst;
	uint32_t slot = rule == NULL ? SP_RULE_SLOT_DEFAULT : rule->slot;
	struct sp_event event;

	if (!may_log(worker, slot, kind))
		return;
	start_event(worker, &event, type, rule == NULL ? 0 : rule->id);
	event.key = burst->packet[i].key;
	if (burst->packet[i].kind == SP_KIND_ICMP_ERROR)
		error_key(burst, i, &event.key);
	event.signature = signature;
	event.reason = burst->reason[i];
	event.verdict = burst->verdict[i];
	event.length = RTE_MIN(burst->length[i], (uint32_t)UINT16_MAX);
	event.port = burst->port;
	if (sp_burst_has_session(burst, i))
		event.flow_id = flow_id(worker, burst->session[i]);
	post(worker, slot, kind, &event);
}

void sp_notify_drop(struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule)
{
	notify_packet(worker, i, SP_EVENT_DROP, SP_LOG_KIND_DROP, rule, 0);
}

void sp_notify_alert(struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule, uint32_t signature)
{
	notify_packet(worker, i, SP_EVENT_ALERT, SP_LOG_KIND_ALERT, rule, signature);
}

void sp_notify_flow(struct sp_worker *worker, uint32_t ref, uint8_t type, enum sp_flow_end why)
{
	const struct sp_session_state *state = sp_session_state(worker->sessions, ref);
	const struct sp_session_cold *cold = sp_session_cold(worker->sessions, ref);
	struct sp_event event;

	if (!may_log(worker, state->slot, SP_LOG_KIND_FLOW))
		return;
	start_event(worker, &event, type, worker->dataplane->rule_table.ids[state->slot]);
	sp_session_original(worker->sessions, ref, &event.key);
	if (unlikely(state->flags & SP_SESSION_NAT))
		sp_session_reply(worker->sessions, ref, &event.reply);
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
	post(worker, state->slot, SP_LOG_KIND_FLOW, &event);
}

void sp_notify_defence(struct sp_worker *worker, enum sp_defence defence, bool engaged, uint64_t value, uint64_t threshold)
{
	struct sp_event event;

	/* Rare by itself: what disengages was calm for seconds. */
	start_event(worker, &event, SP_EVENT_DEFENCE, 0);
	event.why = (uint8_t)defence;
	event.state = engaged;
	event.bytes[0] = value;
	event.bytes[1] = threshold;
	event.port = SP_NO_PORT;
	sp_event_post(&worker->events, &event);
}
