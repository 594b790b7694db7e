/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/pulse.h"

#include "dataplane/worker.h"

static uint64_t cycles_of(const struct sp_dataplane *dataplane, unsigned int worker)
{
	const struct sp_worker *it = dataplane->workers[worker];

	return it != NULL ? sp_read(&it->stats.busy_cycles) + sp_read(&it->stats.idle_cycles) : 0;
}

void sp_pulse_take(struct sp_pulse *pulse, const struct sp_dataplane *dataplane, int64_t now_ms)
{
	for (unsigned int w = 0; w < dataplane->n_workers; w++) {
		uint64_t cycles = cycles_of(dataplane, w);

		if (cycles != pulse->cycles[w] || pulse->moved_ms[w] == 0) {
			pulse->cycles[w] = cycles;
			pulse->moved_ms[w] = now_ms;
		}
		__atomic_store_n(&pulse->still[w], now_ms - pulse->moved_ms[w] >= SP_PULSE_MS, __ATOMIC_RELAXED);
	}
}

bool sp_pulse_beats(const struct sp_pulse *pulse, const struct sp_dataplane *dataplane, unsigned int worker)
{
	return cycles_of(dataplane, worker) != 0 && __atomic_load_n(&pulse->still[worker], __ATOMIC_RELAXED) == 0;
}
