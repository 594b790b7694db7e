/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker: one core that takes bursts from its queues and carries each packet through every stage. Read sp_worker_run in worker.c to know
 * the packet's way.
 *
 * Everything here belongs to the worker's thread; others read stats, sessions counters and the event ring by their own rules.
 */
#ifndef SP_DATAPLANE_WORKER_H
#define SP_DATAPLANE_WORKER_H

#include "dataplane/burst.h"
#include "dataplane/capture.h"
#include "dataplane/dataplane.h"
#include "dataplane/defence.h"
#include "dataplane/drop_ring.h"
#include "dataplane/event.h"
#include "dataplane/fragment.h"
#include "dataplane/icmp_error.h"
#include "dataplane/mailbox.h"
#include "dataplane/router_error.h"
#include "dataplane/routing.h"
#include "dataplane/rss_sample.h"
#include "dataplane/session.h"
#include "dataplane/tcp_challenge.h"

#define SP_TX_BUFFER     64
#define SP_HANDOVER_RING 1024 /* packets waiting from one worker to another */

struct sp_tx_buffer {
	struct rte_mbuf *mbuf[SP_TX_BUFFER];
	uint16_t n;
	uint32_t bytes; /* of the mbufs held */
};

struct sp_worker {
	struct sp_dataplane *dataplane;
	unsigned int index; /* 0..n_workers-1 */
	unsigned int core;  /* CPU it is pinned to; set by launch */
	struct sp_sessions *sessions;
	struct sp_fragments *fragments;
	struct sp_syn_proxy *syn_proxy; /* NULL when it is off */
	struct sp_defence_state defence;
	struct rte_mempool *pool;                  /* for packets that the worker builds, and fragments that wait */
	struct rte_ring *handover[SP_WORKERS_MAX]; /* handover[from]: packets for this worker; single producer, single consumer */
	struct sp_mailbox mailbox;
	struct sp_event_ring events;
	struct sp_live *live;                      /* as loaded for the current burst */
	const struct sp_capture_set *captures;     /* the same; NULL: nobody captures */
	uint64_t stage_tsc;                        /* when the stage at hand began; 0: this burst is not timed */
	uint32_t stage_wait;                       /* bursts until the next timed one */
	bool watched;                              /* this burst is timed or traced */
	uint64_t reject_tat_ns;                    /* rate of built answers */
	uint64_t self_tat_ns[SP_SELF_CLASS_COUNT]; /* route mode: rates of packets up to Linux */
	struct sp_waiting *waiting;                /* route mode: packets that wait for a neighbour (waiting.h) */
	struct sp_tcp_challenges challenges;
	struct sp_burst burst;
	struct sp_tx_buffer tx[SP_PORTS_MAX];
	uint8_t *inspect_buffer;    /* SP_INSPECT_BUFFER_BYTES */
	struct sp_drop_ring *drops; /* owned; others read it by sp_drop_read */
	struct sp_icmp_errors icmp_errors;
	struct sp_error_rate error_rate; /* of the router's ICMP errors */
	struct sp_trace trace;
	struct sp_rule_change {
		uint32_t slot, change; /* modulo 2^32 */
	} sessions_change;             /* what its sessions of this rule became more or fewer since sp_admit_settle */
	struct sp_stats stats;
	struct sp_rss_samples rss;
} __attribute__((aligned(64)));

struct sp_worker_config {
	struct sp_sessions_config sessions;
	struct sp_fragments_config fragments;
	int socket;
};

/* Makes worker `index` of the dataplane; its handover rings are made for n_workers. NULL with errno. Control thread, before any worker
 * runs. */
struct sp_worker *sp_worker_create(
	struct sp_dataplane *dataplane, unsigned int index, struct rte_mempool *pool, const struct sp_worker_config *config);
void sp_worker_free(struct sp_worker *worker);

/* The loop, until dataplane->stop; then drains: rx queues are left, rings emptied, tx buffers flushed. Run on its core. Returns 0. */
int sp_worker_run(void *worker);

/*
 * One turn of the loop: every queue of this worker once, hand-over rings, mailbox, ageing, tx flush. Returns packets handled. replay and
 * tests call it directly, with `now_ms` taken from the capture's clock; the loop takes it from the TSC.
 */
unsigned int sp_worker_turn(struct sp_worker *worker, uint64_t now, uint32_t now_ms);

/*
 * Carries worker->burst (mbuf[0..n-1], measured, all from `port`) through parse to tx buffer or drop. `hops`: 0 when they come from the
 * port, 1 when another worker handed them over to their owner, 2 when that one handed them on to where their source is translated.
 */
void sp_worker_burst(struct sp_worker *worker, const struct sp_port *port, unsigned int hops);

/*
 * Takes one burst out of a ring whose mbufs tell by mbuf->port which way they came (dataplane.h), and carries it through the stages, runs
 * from the same port together. `handed`: another worker put them there. Adds to `counter`, and returns, how many.
 */
unsigned int sp_worker_take(struct sp_worker *worker, struct rte_ring *ring, uint64_t *counter, bool handed);

#endif
