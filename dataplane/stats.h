/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters of a worker: one writer, readers take relaxed loads and sums. The accounting equation holds over them at any quiet moment:
 * rx + from_kernel + built + fragment_delta = tx + to_kernel + consumed + Σ drops + held.
 */
#ifndef SP_DATAPLANE_STATS_H
#define SP_DATAPLANE_STATS_H

#include <stdint.h>

#include "dataplane/defence.h"
#include "dataplane/inspect.h"
#include "dataplane/session.h"
#include "dataplane/stage.h"
#include "dataplane/verdict.h"

#define SP_PORTS_MAX 32

struct sp_port_counters {
	uint64_t rx, tx, rx_bytes, tx_bytes, drops; /* drops by ingress port */
};

struct sp_stats {
	uint64_t rx, tx, built, to_kernel, from_kernel, consumed;
	int64_t fragment_delta;
	uint64_t rx_bytes, tx_bytes;
	uint64_t handed_out,
		handed_in;       /* packets given to and taken from other workers' rings; the difference over all workers is in rings */
	uint64_t tx_held;        /* gauge: packets in tx buffers */
	uint64_t fragments_held; /* gauge: fragments that wait for others */
	uint64_t waiting_held;   /* gauge: packets that wait for neighbours (waiting.h) */
	uint64_t waited;         /* packets that waited and went on */
	uint64_t fragments, datagrams; /* fragments that could be part of a datagram, and datagrams put together */
	uint64_t drops[SP_DROP_COUNT];
	uint64_t rejects_built, rejects_suppressed;       /* answers made, and not made: not answerable, over the rate, or no mbuf */
	uint64_t errors_built, errors_suppressed;         /* ICMP errors of the router (router_error.h), in the same way */
	uint64_t challenges_built, challenges_suppressed; /* challenge ACKs (tcp_challenge.h) */
	uint64_t rematched, rematch_killed;               /* stale sessions kept and ended after a reload */
	uint64_t busy_cycles, idle_cycles, busy_packets;
	uint64_t stage_cycles[SP_STAGE_COUNT]; /* of timed bursts, one in SP_STAGE_SAMPLE */
	uint64_t stage_packets;                /* packets in those bursts */
	struct sp_inspect_counters inspect;
	struct sp_defence_counters defence;
	struct sp_port_counters ports[SP_PORTS_MAX];
};

struct sp_dataplane;

/* Sums the workers' counters, `held` among them. Any thread. `sessions` gets the sum of the tables. */
void sp_stats_sum(const struct sp_dataplane *dataplane, struct sp_stats *out, struct sp_sessions_counters *sessions, uint64_t *held);

/* One writer's increment that a reader on another core can load whole. */
static inline void sp_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline uint64_t sp_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

#endif
