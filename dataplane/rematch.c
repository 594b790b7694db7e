/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * After a reload each session is judged once more, by its opener's tuple and zones, when its next packet comes. Fields that only a packet
 * can answer count as matched while the rule that admitted the session is unchanged, and as not matched in any other rule.
 */
#include "dataplane/stages.h"

/* Index of the rule that now decides the session, SP_RULE_NONE for the default. */
static uint32_t judge(struct sp_worker *worker, uint32_t ref)
{
	const struct sp_ruleset *ruleset = worker->live->ruleset;
	const struct sp_session_state *state = sp_session_state(worker->sessions, ref);
	uint32_t rule_hash = sp_session_cold(worker->sessions, ref)->rule_hash;
	struct sp_match match;
	const struct sp_match *keys[1] = {&match};
	uint32_t index = 0;

	sp_match_from_session(worker->sessions, ref, &match);
	for (uint32_t from = 0;; from = index + 1) {
		const struct sp_hot_rule *rule;

		sp_classifier_lookup(ruleset->classifier, keys, &from, &index, 1);
		if (index == SP_RULE_NONE)
			return index;
		rule = &ruleset->rules[index];
		if (rule->flags & SP_HOT_MONITOR)
			continue;
		if (rule->residual == NULL || (rule->slot == state->slot && (uint32_t)rule->content_hash == rule_hash))
			return index;
	}
}

/* A session moves to the rule that now admits it, with that rule's options; its quota of the old rule goes back. */
static void keep(struct sp_worker *worker, uint32_t ref, const struct sp_hot_rule *rule)
{
	struct sp_session_state *state = sp_session_state(worker->sessions, ref);
	uint32_t slot = rule == NULL ? SP_RULE_SLOT_DEFAULT : rule->slot;
	struct sp_rule_shared *shared = worker->dataplane->rule_table.shared;

	if (slot != state->slot) {
		if (state->flags & SP_SESSION_SOURCE) {
			struct sp_match match;

			sp_match_from_session(worker->sessions, ref, &match);
			sp_source_release(worker->dataplane->limits, state->slot, &match.src);
			state->flags &= ~SP_SESSION_SOURCE;
		}
		__atomic_fetch_sub(&shared[state->slot].sessions, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&shared[slot].sessions, 1, __ATOMIC_RELAXED);
		state->slot = slot;
	}
	state->flags = (state->flags & ~SP_SESSION_FROM_RULE) | sp_admit_flags(rule, worker->live->ruleset);
	sp_session_cold(worker->sessions, ref)->rule_hash = rule == NULL ? 0 : (uint32_t)rule->content_hash;
	state->generation = worker->live->ruleset->generation;
	sp_count(&worker->stats.rematched, 1);
}

static void rematch_packet(struct sp_worker *worker, unsigned int i)
{
	struct sp_burst *burst = &worker->burst;
	const struct sp_ruleset *ruleset = worker->live->ruleset;
	uint32_t ref = burst->session[i];
	uint32_t index = judge(worker, ref);
	const struct sp_hot_rule *rule = index == SP_RULE_NONE ? NULL : &ruleset->rules[index];
	uint8_t action = rule == NULL ? ruleset->default_action : rule->action;

	if (action == SP_ACTION_ALLOW && (rule == NULL || !(rule->flags & SP_HOT_STATELESS))) {
		keep(worker, ref, rule);
		return;
	}
	sp_session_remove(worker->sessions, ref, SP_END_RULES);
	sp_burst_forget(burst, ref, 0);
	sp_count(&worker->stats.rematch_killed, 1);
}

void sp_rematch_burst(struct sp_worker *worker)
{
	struct sp_burst *burst = &worker->burst;
	uint32_t generation = worker->live->ruleset->generation;

	for (unsigned int i = 0; i < burst->n; i++) {
		if (burst->verdict[i] != SP_VERDICT_GOING || !sp_burst_has_session(burst, i))
			continue;
		if (unlikely(sp_session_state(worker->sessions, burst->session[i])->generation != generation))
			rematch_packet(worker, i);
	}
}
