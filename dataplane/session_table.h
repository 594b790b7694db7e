/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of the session table, for session.c, session_age.c and session_pressure.c only.
 */
#ifndef SP_DATAPLANE_SESSION_TABLE_H
#define SP_DATAPLANE_SESSION_TABLE_H

#include "dataplane/session.h"
#include "dataplane/session_index.h"

/*
 * One slot a second. A session that is due later than the wheel reaches is looked at once a turn and put off: a thousandth of all sessions
 * a second, at most.
 */
#define SP_WHEEL_SLOTS   1024
#define SP_WHEEL_TICK_MS 1000

/* Two wheels, one after the other in `head`: sessions that are kept, and sessions that yielded when they were put there. */
#define SP_WHEEL_YIELDING SP_WHEEL_SLOTS
#define SP_WHEEL_HEADS    (2 * SP_WHEEL_SLOTS)

/* In cold.prev of the first session of a slot: this bit and the slot's place in `head`. */
#define SP_WHEEL_HEAD 0x80000000u

/* How far the time-outs of one family's yielding sessions are shortened; owned by session_pressure.c. */
struct sp_session_pressure {
	uint32_t left;                /* SP_PRESSURE_NONE: all of them; 0: the minimum */
	uint32_t band_low, band_high; /* sessions between which `left` stays what it is */
	uint32_t swept;               /* `left` when the last sweep began */
	uint32_t sweep;               /* slots of the yielding wheel that the sweep has still to look at */
	uint32_t sweep_slot;          /* the next of them */
	uint32_t sweep_at; /* the session of the slot before that it looks at next, or SP_SESSION_NONE; sp_wheel_unlink moves it on */
};

/* The sessions of one family. */
struct sp_session_pool {
	uint8_t *hot; /* of struct sp_session4 or struct sp_session6 */
	struct sp_session_cold *cold;
	struct sp_session_inspect *inspect;
	struct sp_session_tcp *tcp;
	struct sp_session_nat *nat;
	uint64_t *live;                         /* a bit an entry */
	uint32_t *freed;                        /* stack of entries that were live once and are free now */
	uint32_t n_freed, n_touched, max;       /* entries from n_touched on were never used */
	uint32_t head[SP_WHEEL_HEADS];          /* first session of each slot of the wheels, or SP_SESSION_NONE */
	uint64_t yielding[SP_WHEEL_SLOTS / 64]; /* a bit for each slot of the yielding wheel that has a session */
	struct sp_session_pressure pressure;
};

struct sp_sessions {
	struct sp_index index;
	struct sp_session_pool pool[2]; /* IPv4, IPv6 */
	uint32_t timeout_ms[SP_STATE_COUNT];
	struct sp_pressure_config pressure;
	const uint32_t *rule_timeout_sec;
	sp_session_end_fn end_fn;
	void *end_context;

	/* The wheel's clock: 64 bits made from the 32 that callers have. `tick` is the first whose slot is not done. */
	uint64_t clock_ms, tick;
	uint32_t seen_ms;
	bool started;

	size_t bytes;
	/* Written here, read by others: a line of its own. */
	struct sp_sessions_counters counters __attribute__((aligned(64)));
};

static inline unsigned int sp_ref_pool(uint32_t ref)
{
	return ref >> 31;
}

static inline struct sp_session_state *sp_pool_state(const struct sp_session_pool *pool, unsigned int which, uint32_t i)
{
	return which == 0 ? &((struct sp_session4 *)(void *)pool->hot)[i].s : &((struct sp_session6 *)(void *)pool->hot)[i].s;
}

static inline bool sp_pool_live(const struct sp_session_pool *pool, uint32_t i)
{
	return i < pool->max && (pool->live[i / 64] >> i % 64 & 1);
}

/* Puts a session that is in no slot into the one where it is due: `remaining_ms` after now_ms. */
void sp_wheel_link(struct sp_sessions *sessions, uint32_t ref, uint32_t remaining_ms, uint32_t now_ms);

/* Takes a session out of its slot. */
void sp_wheel_unlink(struct sp_sessions *sessions, uint32_t ref);

/* Puts a session on the wheel and into the slot where it belongs by its state and its last packet; at once when its time is over. */
void sp_wheel_move(struct sp_sessions *sessions, uint32_t ref, uint32_t now_ms);

/* Ends a session whose time is over, or moves it. */
void sp_wheel_look(struct sp_sessions *sessions, uint32_t ref, uint32_t now_ms);

/* Whether the session is one that a full table may evict. */
bool sp_session_yields(const struct sp_session_pool *pool, unsigned int which, uint32_t i);

/* What pressure makes of a yielding session's time-out. */
uint32_t sp_pressure_timeout_ms(const struct sp_sessions *sessions, unsigned int which, uint32_t timeout_ms);

/* Before the first session: pressure as configured. */
void sp_pressure_init(struct sp_sessions *sessions, const struct sp_pressure_config *config);

/*
 * Follows the filling of both families; when their time-outs have become shorter, looks again at those who still wait by the longer ones,
 * at no more than `budget`. Returns what is left of it.
 */
unsigned int sp_pressure_age(struct sp_sessions *sessions, uint32_t now_ms, unsigned int budget);

#endif
