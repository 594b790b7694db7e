/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session that was admitted by older rules is judged by its opener's tuple and zones. Fields that only a packet can answer count as
 * matched while the rule that admitted the session is unchanged, and as not matched in any other rule.
 *
 * recheck: what the rules allow now stays, under the rule that allows it. kill: only what the same rule, unchanged, allows still. keep:
 * nobody is judged; yet a session whose rule had it inspected, and inspects no more, is, for what was scanned must not pass unseen.
 */
#include "dataplane/rematch.h"

#include "dataplane/stages.h"
#include "rules/self.h"

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
		/* What this worker has not told yet may be of this slot: no reader shall see fewer than none. */
		sp_admit_settle(worker);
		__atomic_fetch_sub(&shared[state->slot].sessions, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&shared[slot].sessions, 1, __ATOMIC_RELAXED);
		state->slot = slot;
	}
	state->flags = (state->flags & ~SP_SESSION_FROM_RULE) | sp_admit_flags(rule, worker->live->ruleset);
	sp_session_cold(worker->sessions, ref)->rule_hash = rule == NULL ? 0 : (uint32_t)rule->content_hash;
	state->generation = worker->live->ruleset->generation;
	sp_count(&worker->stats.rematched, 1);
}

/* Whether the rule (NULL: the default) is the one that admitted the session, and says what it said then. */
static bool same_rule(struct sp_worker *worker, uint32_t ref, const struct sp_hot_rule *rule)
{
	uint32_t slot = sp_session_state(worker->sessions, ref)->slot;

	if (rule == NULL)
		return slot == SP_RULE_SLOT_DEFAULT;
	return slot == rule->slot && sp_session_cold(worker->sessions, ref)->rule_hash == (uint32_t)rule->content_hash;
}

/* What the default says of a session; of the firewall's own it has no say. */
static uint8_t default_action(struct sp_worker *worker, uint32_t ref)
{
	const struct sp_ruleset *ruleset = worker->live->ruleset;
	struct sp_match match;

	if (worker->dataplane->routing == NULL)
		return ruleset->default_action;
	sp_match_from_session(worker->sessions, ref, &match);
	switch (sp_self_default(&match, worker->dataplane->zone_self)) {
	case SP_SELF_ALLOWS:
		return SP_ACTION_ALLOW;
	case SP_SELF_DROPS:
		return SP_ACTION_DROP;
	default:
		return ruleset->default_action;
	}
}

/* Judges the session: it is kept, or ended and gone. Returns whether it lives. */
static bool rematch(struct sp_worker *worker, uint32_t ref)
{
	const struct sp_ruleset *ruleset = worker->live->ruleset;
	uint32_t index = judge(worker, ref);
	const struct sp_hot_rule *rule = index == SP_RULE_NONE ? NULL : &ruleset->rules[index];
	uint8_t action = rule == NULL ? default_action(worker, ref) : rule->action;

	if (action == SP_ACTION_ALLOW && (rule == NULL || !(rule->flags & SP_HOT_STATELESS)) &&
		(!worker->live->strict || same_rule(worker, ref, rule))) {
		keep(worker, ref, rule);
		return true;
	}
	sp_session_remove(worker->sessions, ref, SP_END_RULES);
	sp_count(&worker->stats.rematch_killed, 1);
	return false;
}

/* Whether a session of another generation than the live one has to be judged. */
static bool is_due(const struct sp_live *live, const struct sp_session_state *state)
{
	const struct sp_hot_rule *rule;

	if ((int32_t)(state->generation - live->keep_from) < 0)
		return true;
	if (!(state->flags & SP_SESSION_INSPECT))
		return false;
	rule = sp_live_rule(live, state->slot);
	return rule == NULL || rule->inspect < 0;
}

void sp_rematch_burst(struct sp_worker *worker)
{
	struct sp_burst *burst = &worker->burst;
	uint32_t generation = worker->live->ruleset->generation;

	for (unsigned int i = 0; i < burst->n; i++) {
		const struct sp_session_state *state;
		uint32_t ref = burst->session[i];

		if (burst->verdict[i] != SP_VERDICT_GOING || !sp_burst_has_session(burst, i))
			continue;
		state = sp_session_state(worker->sessions, ref);
		if (likely(state->generation == generation) || !is_due(worker->live, state))
			continue;
		if (!rematch(worker, ref))
			sp_burst_forget(burst, ref, 0);
	}
}

struct visit {
	struct sp_worker *worker;
	struct sp_rematch_walk *walk;
};

static void visit_session(void *context, uint32_t ref)
{
	struct visit *visit = context;
	struct sp_worker *worker = visit->worker;
	const struct sp_session_state *state = sp_session_state(worker->sessions, ref);

	if (state->generation == worker->live->ruleset->generation || !is_due(worker->live, state))
		return;
	visit->walk->judged++;
	visit->walk->killed += !rematch(worker, ref);
}

/* On the worker, between two bursts. */
static void run_walk(struct sp_worker *worker, struct sp_request *request)
{
	struct sp_rematch_walk *walk = (struct sp_rematch_walk *)(void *)request;
	struct visit visit = {worker, walk};

	walk->more = sp_sessions_walk(worker->sessions, &walk->cursor, SP_REMATCH_STEP, visit_session, &visit);
}

void sp_rematch_walk_init(struct sp_rematch_walk *walk)
{
	*walk = (struct sp_rematch_walk){.request = {.run = run_walk}, .more = true};
}
