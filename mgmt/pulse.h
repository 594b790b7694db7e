/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which workers are alive: one that turns its loop counts cycles, busy, idle or asleep, so a count that stands still is a worker that
 * hangs.
 */
#ifndef SP_MGMT_PULSE_H
#define SP_MGMT_PULSE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/dataplane.h"

#define SP_PULSE_MS 1000 /* a worker whose count stands still for so long does not poll */

struct sp_pulse { /* zeroed at start */
	uint64_t cycles[SP_WORKERS_MAX];
	int64_t moved_ms[SP_WORKERS_MAX]; /* when the count was last seen to have moved */
	uint8_t still[SP_WORKERS_MAX];    /* relaxed readers */
};

/* Looks at every worker's count. now_ms is of any steady clock. Control thread; rare calls are well, they only notice later. */
void sp_pulse_take(struct sp_pulse *pulse, const struct sp_dataplane *dataplane, int64_t now_ms);

/* Whether the worker has polled, and did not stand still at the last look. Any thread. */
bool sp_pulse_beats(const struct sp_pulse *pulse, const struct sp_dataplane *dataplane, unsigned int worker);

#endif
