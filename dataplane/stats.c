/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/stats.h"

#include <string.h>

#include "dataplane/worker.h"

/* Every member of these structs is a 64-bit counter, so they are summed as arrays. */
static void sum_words(void *into, const void *from, size_t bytes)
{
	uint64_t *sum = into;
	const uint64_t *counters = from;

	for (size_t i = 0; i < bytes / sizeof(*sum); i++)
		sum[i] += sp_read(&counters[i]);
}

void sp_stats_sum(const struct sp_dataplane *dataplane, struct sp_stats *out, struct sp_sessions_counters *sessions, uint64_t *held)
{
	static_assert(sizeof(struct sp_stats) % sizeof(uint64_t) == 0, "counters only");

	memset(out, 0, sizeof(*out));
	memset(sessions, 0, sizeof(*sessions));
	for (unsigned int w = 0; w < dataplane->n_workers; w++) {
		const struct sp_worker *worker = dataplane->workers[w];

		sum_words(out, &worker->stats, sizeof(*out));
		sum_words(sessions, sp_sessions_counters(worker->sessions), sizeof(*sessions));
	}
	/* A reader between the two counters of a hand-over could see more taken than given; a gauge is never negative. */
	*held = out->tx_held + out->fragments_held + out->waiting_held +
		(out->handed_out > out->handed_in ? out->handed_out - out->handed_in : 0);
}
