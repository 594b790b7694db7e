/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ageing of the session table: a wheel of one slot a second and a family, each a list through the cold records.
 *
 * A packet only writes its session's last_ms. The session stays in the slot it was put into, is looked at when that slot comes up, and is
 * put off if it was used since. So a session's slot is never later than its due time, and each link or unlink costs a few cache lines,
 * whatever the number of sessions.
 */
#include <rte_branch_prediction.h>
#include <rte_prefetch.h>

#include "dataplane/session_table.h"
#include "dataplane/stats.h"

/* A step back of the clock up to this is taken as standing still: workers' clocks differ a little, and captures are not in order. */
#define BACKWARD_MAX_MS 60000u

/* The longest time-out, the longest wait for being looked at, and the step back fit into the 32-bit clock together. */
static_assert((uint64_t)SP_SESSION_TIMEOUT_CAP_SEC * 1000 + (uint64_t)SP_WHEEL_SLOTS * SP_WHEEL_TICK_MS + BACKWARD_MAX_MS < UINT32_MAX,
	"idle time is told from the wrapping clock");

static uint32_t elapsed_ms(uint32_t now_ms, uint32_t then_ms)
{
	uint32_t ms = now_ms - then_ms;

	return ms > UINT32_MAX - BACKWARD_MAX_MS ? 0 : ms;
}

/* Brings the 64-bit clock up to now_ms. */
static void advance(struct sp_sessions *sessions, uint32_t now_ms)
{
	uint32_t ms;

	if (!sessions->started) {
		sessions->started = true;
		sessions->seen_ms = now_ms;
	}
	ms = elapsed_ms(now_ms, sessions->seen_ms);
	sessions->clock_ms += ms;
	sessions->seen_ms += ms;
}

void sp_wheel_link(struct sp_sessions *sessions, uint32_t ref, uint32_t remaining_ms, uint32_t now_ms)
{
	struct sp_session_pool *pool = &sessions->pool[sp_ref_pool(ref)];
	uint32_t i = ref & SP_SESSION_INDEX, slot, next;
	uint64_t due;

	advance(sessions, now_ms);
	due = (sessions->clock_ms + remaining_ms + SP_WHEEL_TICK_MS - 1) / SP_WHEEL_TICK_MS;
	if (due < sessions->tick)
		due = sessions->tick;
	if (due > sessions->tick + SP_WHEEL_SLOTS - 1)
		due = sessions->tick + SP_WHEEL_SLOTS - 1;
	slot = (uint32_t)(due % SP_WHEEL_SLOTS);
	if (sp_session_yields(pool, sp_ref_pool(ref), i)) {
		pool->yielding[slot / 64] |= 1ull << slot % 64;
		slot += SP_WHEEL_YIELDING;
	}
	next = pool->head[slot];
	pool->cold[i].prev = SP_WHEEL_HEAD | slot;
	pool->cold[i].next = next;
	if (next != SP_SESSION_NONE)
		pool->cold[next].prev = i;
	pool->head[slot] = i;
}

void sp_wheel_unlink(struct sp_sessions *sessions, uint32_t ref)
{
	struct sp_session_pool *pool = &sessions->pool[sp_ref_pool(ref)];
	const struct sp_session_cold *cold = &pool->cold[ref & SP_SESSION_INDEX];

	if (unlikely(pool->pressure.sweep_at == (ref & SP_SESSION_INDEX)))
		pool->pressure.sweep_at = cold->next;
	if (cold->prev & SP_WHEEL_HEAD) {
		uint32_t slot = cold->prev & ~SP_WHEEL_HEAD;

		pool->head[slot] = cold->next;
		if (slot >= SP_WHEEL_YIELDING && cold->next == SP_SESSION_NONE)
			pool->yielding[(slot - SP_WHEEL_YIELDING) / 64] &= ~(1ull << slot % 64);
	} else {
		pool->cold[cold->prev].next = cold->next;
	}
	if (cold->next != SP_SESSION_NONE)
		pool->cold[cold->next].prev = cold->prev;
}

static bool rule_overrides(uint8_t state)
{
	switch ((enum sp_session_state_id)state) {
	case SP_STATE_UDP_REPLIED:
	case SP_STATE_ICMP:
	case SP_STATE_OTHER_REPLIED:
	case SP_STATE_SCTP_ESTABLISHED:
	case SP_STATE_TCP_ESTABLISHED:
		return true;
	default:
		return false;
	}
}

uint32_t sp_sessions_base_timeout_ms(const struct sp_sessions *sessions, uint8_t state)
{
	return sessions->timeout_ms[state];
}

uint32_t sp_session_timeout_ms(const struct sp_sessions *sessions, uint32_t ref)
{
	unsigned int which = sp_ref_pool(ref);
	const struct sp_session_state *state = sp_pool_state(&sessions->pool[which], which, ref & SP_SESSION_INDEX);
	uint32_t sec = 0, ms;

	if (sessions->rule_timeout_sec != NULL && rule_overrides(state->state))
		sec = __atomic_load_n(&sessions->rule_timeout_sec[state->slot], __ATOMIC_RELAXED);
	if (sec == 0)
		ms = sessions->timeout_ms[state->state];
	else
		ms = (sec < SP_SESSION_TIMEOUT_CAP_SEC ? sec : SP_SESSION_TIMEOUT_CAP_SEC) * 1000;
	if (unlikely(sessions->pool[which].pressure.left != SP_PRESSURE_NONE) &&
		sp_session_yields(&sessions->pool[which], which, ref & SP_SESSION_INDEX))
		ms = sp_pressure_timeout_ms(sessions, which, ms);
	return ms;
}

void sp_session_set_state(struct sp_sessions *sessions, uint32_t ref, uint8_t state, uint32_t now_ms)
{
	struct sp_session_state *s = sp_session_state(sessions, ref);
	uint32_t before = sp_session_timeout_ms(sessions, ref), after;

	assert(state < SP_STATE_COUNT);
	sp_count(&sessions->counters.active_state[s->state], -1ull);
	sp_count(&sessions->counters.active_state[state], 1);
	s->state = state;
	s->last_ms = now_ms;
	after = sp_session_timeout_ms(sessions, ref);
	if (after >= before)
		return;
	sp_wheel_unlink(sessions, ref);
	sp_wheel_link(sessions, ref, after, now_ms);
}

static enum sp_flow_end end_of(uint8_t state)
{
	switch ((enum sp_session_state_id)state) {
	case SP_STATE_BLOCKED:
		return SP_END_INSPECTION;
	case SP_STATE_TCP_CLOSING:
	case SP_STATE_TCP_TIME_WAIT:
	case SP_STATE_TCP_CLOSED:
		return SP_END_TCP;
	default:
		return SP_END_TIMEOUT;
	}
}

void sp_wheel_move(struct sp_sessions *sessions, uint32_t ref, uint32_t now_ms)
{
	uint32_t idle = elapsed_ms(now_ms, sp_session_state(sessions, ref)->last_ms), timeout = sp_session_timeout_ms(sessions, ref);

	sp_wheel_unlink(sessions, ref);
	sp_wheel_link(sessions, ref, idle < timeout ? timeout - idle : 0, now_ms);
}

/*
 * What looking at the sessions after this one will read: the bucket of the next, whose record came when this one was the next, and the
 * record of the one after it.
 */
static void look_ahead(const struct sp_sessions *sessions, unsigned int which, uint32_t next)
{
	const struct sp_session_pool *pool = &sessions->pool[which];
	uint32_t after = pool->cold[next].next;
	struct sp_key key;

	sp_session_original(sessions, next | (which == 0 ? 0 : SP_SESSION_IPV6), &key);
	rte_prefetch0(&sessions->index.bucket[sp_index_primary(&sessions->index, (uint32_t)sp_key_hash(&key))]);
	if (after == SP_SESSION_NONE)
		return;
	rte_prefetch0(&pool->cold[after]);
	rte_prefetch0(sp_pool_state(pool, which, after));
}

void sp_wheel_look(struct sp_sessions *sessions, uint32_t ref, uint32_t now_ms)
{
	unsigned int which = sp_ref_pool(ref);
	struct sp_session_pool *pool = &sessions->pool[which];
	const struct sp_session_state *state = sp_pool_state(pool, which, ref & SP_SESSION_INDEX);
	uint32_t idle = elapsed_ms(now_ms, state->last_ms), timeout = sp_session_timeout_ms(sessions, ref);
	uint32_t next = pool->cold[ref & SP_SESSION_INDEX].next;

	if (next != SP_SESSION_NONE)
		look_ahead(sessions, which, next);
	if (idle >= timeout) {
		sp_session_remove(sessions, ref, end_of(state->state));
		return;
	}
	sp_wheel_unlink(sessions, ref);
	sp_wheel_link(sessions, ref, timeout - idle, now_ms);
}

/* Whether nobody waits in the slot of the current tick any more. */
static bool slot_empty(const struct sp_sessions *sessions)
{
	const uint32_t slot = (uint32_t)(sessions->tick % SP_WHEEL_SLOTS);

	for (unsigned int which = 0; which < 2; which++)
		if (sessions->pool[which].head[slot] != SP_SESSION_NONE ||
			sessions->pool[which].head[SP_WHEEL_YIELDING + slot] != SP_SESSION_NONE)
			return false;
	return true;
}

/* Empties the slot of the current tick in both families and both wheels, as far as the budget goes. A session that is put off is due after
 * the clock's tick, so it never lands in this slot again. */
static unsigned int empty_slot(struct sp_sessions *sessions, uint32_t now_ms, unsigned int budget)
{
	const uint32_t slot = (uint32_t)(sessions->tick % SP_WHEEL_SLOTS);

	for (unsigned int list = 0; list < 4; list++) {
		const uint32_t *head = &sessions->pool[list % 2].head[slot + (list < 2 ? SP_WHEEL_YIELDING : 0)];

		for (; *head != SP_SESSION_NONE && budget > 0; budget--)
			sp_wheel_look(sessions, *head | (list % 2 == 0 ? 0 : SP_SESSION_IPV6), now_ms);
	}
	return budget;
}

unsigned int sp_sessions_age(struct sp_sessions *sessions, uint32_t now_ms, unsigned int budget)
{
	const unsigned int given = budget;
	uint64_t last;

	advance(sessions, now_ms);
	last = sessions->clock_ms / SP_WHEEL_TICK_MS;
	/* After a jump over the whole wheel, once through every slot is enough. */
	if (last >= sessions->tick + SP_WHEEL_SLOTS)
		sessions->tick = last - (SP_WHEEL_SLOTS - 1);
	while (sessions->tick <= last) {
		budget = empty_slot(sessions, now_ms, budget);
		if (!slot_empty(sessions))
			break;
		sessions->tick++;
	}
	return given - sp_pressure_age(sessions, now_ms, budget);
}
