/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Payload of packets whose rule inspects. A match that drops blocks the whole session: its later packets drop without a scan.
 */
#include <string.h>

#include "dataplane/stages.h"

static void report(struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule, const struct sp_inspect_result *result)
{
	struct sp_burst *burst = &worker->burst;

	burst->n_signatures[i] = result->n;
	memcpy(burst->signature[i], result->signature, result->n * sizeof(result->signature[0]));
	for (unsigned int s = 0; s < result->n; s++)
		sp_notify_alert(worker, i, rule, result->signature[s]);
}

static void inspect_packet(struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule)
{
	struct sp_burst *burst = &worker->burst;
	uint32_t ref = burst->session[i];
	struct sp_session_inspect once = {{0, 0}};
	/* An ICMP error about a session is scanned by itself: it is no part of the stream and must not end it. */
	bool of_session = sp_burst_has_session(burst, i) && burst->packet[i].kind == SP_KIND_FLOW;
	struct sp_session_inspect *ext = of_session ? sp_session_inspect(worker->sessions, ref) : &once;
	unsigned int direction = of_session && (ref & SP_SESSION_REPLY);
	struct sp_inspect_result result;

	sp_inspect_packet(&worker->live->ruleset->inspectors[rule->inspect], worker->live->scratch[worker->index], worker->inspect_buffer,
		burst->mbuf[i], &burst->packet[i], ext, direction, &worker->stats.inspect, &result);
	if (result.error) {
		sp_burst_drop(burst, i, SP_DROP_INSPECT_ERROR);
		return;
	}
	if (result.drop) {
		sp_burst_drop(burst, i, SP_DROP_INSPECT_MATCH);
		if (of_session)
			sp_session_set_state(worker->sessions, ref, SP_STATE_BLOCKED, burst->now_ms);
	}
	if (result.n > 0)
		report(worker, i, rule, &result);
}

void sp_inspect_burst(struct sp_worker *worker)
{
	struct sp_burst *burst = &worker->burst;

	if (worker->live->ruleset->n_inspectors == 0)
		return;
	for (unsigned int i = 0; i < burst->n; i++) {
		const struct sp_hot_rule *rule;

		if (burst->verdict[i] != SP_VERDICT_GOING || burst->slot[i] == SP_SLOT_NONE)
			continue;
		if (sp_burst_has_session(burst, i)) {
			const struct sp_session_state *state = sp_session_state(worker->sessions, burst->session[i]);

			/* A packet earlier in this burst may have blocked the session since the state stage: then nothing of it passes. */
			if (state->state == SP_STATE_BLOCKED) {
				sp_burst_drop(burst, i, SP_DROP_INSPECT_BLOCKED);
				continue;
			}
			if (!(state->flags & SP_SESSION_INSPECT))
				continue;
		}
		if (burst->packet[i].payload_len == 0)
			continue;
		rule = sp_live_rule(worker->live, burst->slot[i]);
		if (rule != NULL && rule->inspect >= 0)
			inspect_packet(worker, i, rule);
	}
}
