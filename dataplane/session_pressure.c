/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a session table does when it fills up: it shortens the time-outs of sessions that yield, and names the one to evict.
 *
 * Sessions that yield are on a wheel of their own, with a bit for each slot in use, so that the one due first is found in a few steps
 * whatever else the table holds. A session is put on that wheel by its state of the moment and may have been answered since: it is moved
 * when somebody meets it.
 */
#include <rte_common.h>

#include "dataplane/session_table.h"

/* Steps in which the time-outs shrink and grow: so often at most are sessions looked at again while a table fills. */
#define STEPS 8

static_assert(SP_PRESSURE_NONE % STEPS == 0, "whole steps");

bool sp_session_yields(const struct sp_session_pool *pool, unsigned int which, uint32_t i)
{
	switch ((enum sp_session_state_id)sp_pool_state(pool, which, i)->state) {
	case SP_STATE_TCP_SYN_SENT:
	case SP_STATE_TCP_SYN_RECEIVED:
	case SP_STATE_TCP_TIME_WAIT:
	case SP_STATE_TCP_CLOSED:
	case SP_STATE_SCTP_INIT:
	case SP_STATE_SCTP_INIT_ACK:
	case SP_STATE_SCTP_COOKIE:
	case SP_STATE_SCTP_CLOSED:
	case SP_STATE_UDP_NEW:
	case SP_STATE_OTHER_NEW:
		return true;
	case SP_STATE_ICMP:
		return pool->cold[i].packets[1] == 0;
	default:
		return false;
	}
}

bool sp_sessions_full(const struct sp_sessions *sessions, uint8_t family)
{
	const struct sp_session_pool *pool = &sessions->pool[family == SP_FAMILY_IPV6];

	return pool->n_freed == 0 && pool->n_touched == pool->max;
}

/* --- eviction ----------------------------------------------------------------------------------------------------------------------- */

/* The first slot in use of the yielding wheel, from the current tick on; SP_WHEEL_SLOTS when there is none. */
static uint32_t first_yielding(const struct sp_session_pool *pool, uint64_t tick)
{
	const unsigned int words = RTE_DIM(pool->yielding);
	const uint32_t from = (uint32_t)(tick % SP_WHEEL_SLOTS);
	uint64_t bits = pool->yielding[from / 64] & (~0ull << from % 64);

	/* The word of `from` comes first and last: its slots before the tick are the latest. */
	for (unsigned int w = 0; w <= words; w++) {
		const uint32_t word = (from / 64 + w) % words;

		if (w > 0)
			bits = pool->yielding[word];
		if (bits != 0)
			return word * 64 + (uint32_t)__builtin_ctzll(bits);
	}
	return SP_WHEEL_SLOTS;
}

uint32_t sp_sessions_victim(struct sp_sessions *sessions, uint8_t family, uint32_t now_ms)
{
	const unsigned int which = family == SP_FAMILY_IPV6;
	struct sp_session_pool *pool = &sessions->pool[which];

	for (unsigned int tries = 0; tries < SP_SESSION_VICTIM_TRIES; tries++) {
		uint32_t slot = first_yielding(pool, sessions->tick), i, ref;

		if (slot == SP_WHEEL_SLOTS)
			return SP_SESSION_NONE;
		i = pool->head[SP_WHEEL_YIELDING + slot];
		ref = i | (which == 0 ? 0 : SP_SESSION_IPV6);
		if (sp_session_yields(pool, which, i))
			return ref;
		/* Answered since it was put here. It stays, even if its time is over: a burst on its way may hold its reference. */
		sp_wheel_move(sessions, ref, now_ms);
	}
	return SP_SESSION_NONE;
}

/* --- shorter time-outs ---------------------------------------------------------------------------------------------------------------- */

uint32_t sp_pressure_timeout_ms(const struct sp_sessions *sessions, unsigned int which, uint32_t timeout_ms)
{
	const uint32_t min_ms = sessions->pressure.min_sec * 1000;

	if (timeout_ms <= min_ms)
		return timeout_ms;
	return min_ms + (uint32_t)((uint64_t)(timeout_ms - min_ms) * sessions->pool[which].pressure.left / SP_PRESSURE_NONE);
}

uint32_t sp_sessions_pressure(const struct sp_sessions *sessions)
{
	return RTE_MIN(sessions->pool[0].pressure.left, sessions->pool[1].pressure.left);
}

/* Sets `left` for so many sessions, and the band around them in which it need not be looked at again: one step of the way. */
static void follow(struct sp_session_pool *pool, const struct sp_pressure_config *config, uint32_t active)
{
	const uint64_t start = (uint64_t)pool->max * config->start_percent / 100, end = (uint64_t)pool->max * config->end_percent / 100;
	const uint64_t width = RTE_MAX((end - start) / STEPS, 1u);
	uint64_t step = active < start ? 0 : (active - start) / width + 1;

	if (step == 0) {
		pool->pressure.left = SP_PRESSURE_NONE;
		pool->pressure.band_low = 0;
		pool->pressure.band_high = (uint32_t)start;
		return;
	}
	step = RTE_MIN(step, (uint64_t)STEPS);
	pool->pressure.left = SP_PRESSURE_NONE - (uint32_t)step * (SP_PRESSURE_NONE / STEPS);
	/* Half a step back before the time-outs grow again: a filling that trembles around a step does not switch. */
	pool->pressure.band_low = (uint32_t)(start + (step - 1) * width - RTE_MIN(width / 2, start + (step - 1) * width));
	pool->pressure.band_high = step == STEPS ? UINT32_MAX : (uint32_t)(start + step * width);
}

void sp_pressure_init(struct sp_sessions *sessions, const struct sp_pressure_config *config)
{
	sessions->pressure = *config;
	for (unsigned int which = 0; which < 2; which++) {
		struct sp_session_pressure *pressure = &sessions->pool[which].pressure;

		pressure->left = pressure->swept = SP_PRESSURE_NONE;
		pressure->sweep_at = SP_SESSION_NONE;
		pressure->band_high = UINT32_MAX;
		if (config->end_percent != 0)
			follow(&sessions->pool[which], config, 0);
	}
}

/*
 * Sessions that were put on the wheel by longer time-outs are due earlier now. One pass over the wheel from the current tick on puts each
 * where it is due, or ends it; what stays in its slot goes to the head of it, behind the pass.
 */
static unsigned int sweep(struct sp_sessions *sessions, unsigned int which, uint32_t now_ms, unsigned int budget)
{
	struct sp_session_pool *pool = &sessions->pool[which];
	struct sp_session_pressure *pressure = &pool->pressure;

	while (budget > 0) {
		if (pressure->sweep_at == SP_SESSION_NONE) {
			if (pressure->sweep == 0)
				break;
			pressure->sweep_at = pool->head[SP_WHEEL_YIELDING + pressure->sweep_slot];
			pressure->sweep_slot = (pressure->sweep_slot + 1) % SP_WHEEL_SLOTS;
			pressure->sweep--;
			continue;
		}
		/* Unlinking it moves sweep_at on. */
		sp_wheel_look(sessions, pressure->sweep_at | (which == 0 ? 0 : SP_SESSION_IPV6), now_ms);
		budget--;
	}
	return budget;
}

static void begin_sweep(const struct sp_sessions *sessions, struct sp_session_pressure *pressure)
{
	pressure->sweep = SP_WHEEL_SLOTS;
	pressure->sweep_slot = (uint32_t)(sessions->tick % SP_WHEEL_SLOTS);
	pressure->sweep_at = SP_SESSION_NONE;
}

unsigned int sp_pressure_age(struct sp_sessions *sessions, uint32_t now_ms, unsigned int budget)
{
	for (unsigned int which = 0; which < 2; which++) {
		struct sp_session_pool *pool = &sessions->pool[which];
		struct sp_session_pressure *pressure = &pool->pressure;
		const uint32_t active = pool->n_touched - pool->n_freed;

		if (unlikely(active < pressure->band_low || active >= pressure->band_high)) {
			follow(pool, &sessions->pressure, active);
			if (pressure->left < pressure->swept)
				begin_sweep(sessions, pressure);
			pressure->swept = pressure->left;
		}
		if (unlikely(pressure->sweep > 0 || pressure->sweep_at != SP_SESSION_NONE))
			budget = sweep(sessions, which, now_ms, budget);
	}
	return budget;
}
