/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker's loop: read sp_worker_burst to follow a packet.
 *
 * A worker owns its rx and tx queues, session table, tx buffers and counters. It loads the live ruleset once a turn and reports quiescent
 * between turns, when it holds no pointer into it; sessions keep slots and ids, never pointers.
 */
#include "dataplane/worker.h"

#include <errno.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/alloc.h"
#include "dataplane/kernel_way.h"
#include "dataplane/nat.h"
#include "dataplane/stages.h"
#include "dataplane/syn_proxy.h"
#include "dataplane/waiting.h"

/* Sessions that one turn of the loop may look at for ageing: keeps a turn short, and empties 10 M sessions in seconds. */
#define AGE_BUDGET 64

/* Unfinished datagrams that one turn may drop for their age. */
#define FRAGMENT_BUDGET 16

/* Adaptive polling: empty turns before the first nap, and how long naps are. */
#define IDLE_TURNS 1024
#define NAP_MIN_US 20
#define NAP_MAX_US 200

/* One burst in SP_STAGE_SAMPLE is timed: the others pay a decrement and a branch a stage. */
static inline void watch_begin(struct sp_worker *worker)
{
	worker->watched = false;
	worker->stage_tsc = 0;
	if (likely(worker->stage_wait-- != 0))
		return;
	worker->stage_wait = SP_STAGE_SAMPLE - 1;
	sp_count(&worker->stats.stage_packets, worker->burst.n);
	worker->watched = true;
	worker->stage_tsc = rte_rdtsc();
}

static __rte_noinline void capture_begin(struct sp_worker *worker, bool handed)
{
	worker->trace.packets = 0;
	sp_capture_parsed(worker, handed);
	worker->watched |= worker->trace.packets != 0;
}

static __rte_noinline void stage_watch(struct sp_worker *worker, enum sp_stage stage)
{
	if (worker->captures != NULL && worker->trace.packets != 0)
		sp_trace_stage(worker, stage);
	if (worker->stage_tsc != 0) {
		uint64_t now = rte_rdtsc();

		sp_count(&worker->stats.stage_cycles[stage], now - worker->stage_tsc);
		worker->stage_tsc = now;
	}
}

static inline void stage_done(struct sp_worker *worker, enum sp_stage stage)
{
	if (unlikely(worker->watched))
		stage_watch(worker, stage);
}

void sp_worker_burst(struct sp_worker *worker, const struct sp_port *port, unsigned int hops)
{
	const bool handed = hops != 0;
	struct sp_burst *burst = &worker->burst;
	const bool routing = worker->dataplane->routing != NULL;
	uint32_t ownerless = handed ? 0 : UINT32_MAX; /* packets that may belong to another worker */
	bool settled;

	/* Whole arrays: a few wide stores, where the length of a burst would make each a call. */
	memset(burst->verdict, SP_VERDICT_GOING, sizeof(burst->verdict));
	memset(burst->reason, SP_DROP_NONE, sizeof(burst->reason));
	memset(burst->n_signatures, 0, sizeof(burst->n_signatures));
	memset(burst->slot, 0xff, sizeof(burst->slot));
	memset(burst->session, 0xff, sizeof(burst->session));
	burst->port = port->index;
	burst->way = sp_port_way(port);
	burst->translated = 0;

	watch_begin(worker);
	sp_parse_burst(port, burst);
	if (unlikely(worker->captures != NULL))
		capture_begin(worker, handed);
	if (unlikely(worker->watched)) {
		stage_watch(worker, SP_STAGE_PARSE);
		if (!handed)
			sp_rss_sample(worker, port, burst->queue);
	}
	if (routing)
		sp_link_burst(worker, port);
	if (unlikely((burst->fragments | burst->datagrams) != 0))
		ownerless |= sp_fragments_burst(worker, port, handed);
	stage_done(worker, SP_STAGE_FRAGMENT);
	if (ownerless != 0 && worker->dataplane->n_workers > 1)
		sp_owner_burst(worker, port, ownerless);
	stage_done(worker, SP_STAGE_OWNER);
	sp_sessions_lookup_burst(worker->sessions, burst);
	stage_done(worker, SP_STAGE_SESSION);
	settled = sp_settled_burst(worker);
	if (!settled) {
		sp_rematch_burst(worker);
		sp_state_burst(worker);
	}
	stage_done(worker, SP_STAGE_STATE);
	if (unlikely(worker->live->nat != NULL || burst->translated != 0))
		sp_nat_burst(worker);
	if (routing)
		sp_route_burst(worker);
	else
		sp_egress_burst(worker, port);
	if (unlikely(worker->live->nat != NULL && !settled))
		sp_nat_source_burst(worker, port, hops < 2 ? UINT32_MAX : ownerless);
	stage_done(worker, SP_STAGE_EGRESS);
	if (!settled) {
		sp_classify_burst(worker);
		stage_done(worker, SP_STAGE_CLASSIFY);
		sp_inspect_burst(worker);
		stage_done(worker, SP_STAGE_INSPECT);
	}
	if (unlikely(burst->translated != 0))
		sp_nat_rewrite_burst(worker);
	sp_forward_burst(worker);
	stage_done(worker, SP_STAGE_FORWARD);
	sp_finish_burst(worker, port);
	stage_done(worker, SP_STAGE_FINISH);
}

static unsigned int poll_queue(struct sp_worker *worker, const struct sp_port *port, uint16_t queue)
{
	struct sp_burst *burst = &worker->burst;
	struct sp_port_counters *counters = &worker->stats.ports[port->index];
	uint64_t bytes;
	uint16_t n = rte_eth_rx_burst(port->ethdev, queue, burst->mbuf, SP_BURST_MAX);

	if (n == 0)
		return 0;
	burst->n = n;
	burst->queue = queue;
	bytes = sp_burst_measure(burst);
	sp_count(&worker->stats.rx, n);
	sp_count(&worker->stats.rx_bytes, bytes);
	sp_count(&counters->rx, n);
	sp_count(&counters->rx_bytes, bytes);
	sp_worker_burst(worker, port, 0);
	return n;
}

/* Both halves of a wire pair start at the same worker; in route mode ports are spread. */
static unsigned int poll_ports(struct sp_worker *worker)
{
	struct sp_dataplane *dataplane = worker->dataplane;
	unsigned int handled = 0;

	for (unsigned int p = 0; p < dataplane->n_ports; p++) {
		const struct sp_port *port = &dataplane->ports[p];
		unsigned int first =
			(worker->index + dataplane->n_workers - port->first_worker % dataplane->n_workers) % dataplane->n_workers;

		if (unlikely(__atomic_load_n(&port->paused, __ATOMIC_ACQUIRE)))
			continue;
		for (unsigned int q = first; q < port->n_queues; q += dataplane->n_workers)
			handled += poll_queue(worker, port, q);
	}
	return handled;
}

unsigned int sp_worker_take(struct sp_worker *worker, struct rte_ring *ring, uint64_t *counter, bool handed)
{
	struct rte_mbuf *mbufs[SP_BURST_MAX];
	unsigned int n = rte_ring_sc_dequeue_burst(ring, (void **)mbufs, SP_BURST_MAX, NULL), start = 0;

	sp_count(counter, n);
	for (unsigned int i = 1; i <= n; i++) {
		const uint16_t way = mbufs[start]->port;

		if (i < n && mbufs[i]->port == way)
			continue;
		memcpy(worker->burst.mbuf, &mbufs[start], (i - start) * sizeof(mbufs[0]));
		worker->burst.n = i - start;
		sp_burst_measure(&worker->burst);
		sp_worker_burst(worker, sp_way_port(worker->dataplane, way & ~SP_WAY_ON), !handed ? 0 : way & SP_WAY_ON ? 2 : 1);
		start = i;
	}
	return n;
}

/* A worker may hand over a burst of each port a turn: as many are taken, or the rings would fill while there is time to empty them. */
static unsigned int poll_handover(struct sp_worker *worker)
{
	const struct sp_dataplane *dataplane = worker->dataplane;
	unsigned int handled = 0;

	for (unsigned int from = 0; from < dataplane->n_workers; from++) {
		unsigned int n = SP_BURST_MAX;

		for (unsigned int b = 0; from != worker->index && b < dataplane->n_ports && n == SP_BURST_MAX; b++) {
			n = sp_worker_take(worker, worker->handover[from], &worker->stats.handed_in, true);
			handled += n;
		}
	}
	return handled;
}

/* Route mode: what Linux sent, and neighbours that packets wait for. */
static unsigned int poll_linux(struct sp_worker *worker, uint32_t now_ms)
{
	sp_waiting_turn(worker, now_ms);
	return worker->index == 0 ? sp_kernel_poll(worker) : 0;
}

static void flush_all(struct sp_worker *worker)
{
	sp_admit_settle(worker);
	for (unsigned int p = 0; p < worker->dataplane->n_ports; p++) {
		if (worker->index == 0 && worker->dataplane->ports[p].tx_ring != NULL)
			sp_tx_collect(worker, p);
		if (worker->tx[p].n > 0)
			sp_tx_flush(worker, p);
	}
}

static void begin_turn(struct sp_worker *worker, uint64_t now, uint32_t now_ms)
{
	worker->burst.now = now;
	worker->burst.now_ms = now_ms;
	worker->live = __atomic_load_n(&worker->dataplane->live, __ATOMIC_ACQUIRE);
	worker->captures = __atomic_load_n(&worker->dataplane->captures, __ATOMIC_ACQUIRE);
}

unsigned int sp_worker_turn(struct sp_worker *worker, uint64_t now, uint32_t now_ms)
{
	unsigned int handled;

	begin_turn(worker, now, now_ms);
	if (unlikely(worker->dataplane->nat != NULL))
		sp_nat_turn(worker);
	handled = poll_ports(worker);
	if (worker->dataplane->routing != NULL)
		handled += poll_linux(worker, now_ms);
	if (worker->dataplane->n_workers > 1)
		handled += poll_handover(worker);
	sp_mailbox_poll(&worker->mailbox, worker);
	sp_sessions_age(worker->sessions, now_ms, AGE_BUDGET);
	sp_defence_turn(worker, now_ms);
	sp_fragments_age(worker, FRAGMENT_BUDGET);
	flush_all(worker);
	return handled;
}

static uint32_t tsc_to_ms(const struct sp_dataplane *dataplane, uint64_t tsc)
{
	return (uint32_t)((tsc - dataplane->tsc_start) / (dataplane->tsc_hz / 1000));
}

/* Sleeps with the worker offline, so that a publisher never waits for a sleeper. */
static void nap(struct sp_worker *worker, unsigned int us)
{
	rte_rcu_qsbr_thread_offline(worker->dataplane->qsbr, worker->index);
	usleep(us);
	rte_rcu_qsbr_thread_online(worker->dataplane->qsbr, worker->index);
}

/*
 * After `stop`, rx queues are left. Once every worker has left its own, no hand-over ring can fill again; once every worker has emptied its
 * rings, no tx ring can either.
 */
static void drain(struct sp_worker *worker)
{
	struct sp_dataplane *dataplane = worker->dataplane;
	bool empty = false, all_empty;
	uint64_t left = rte_rdtsc();

	/* Before the others count on it that nothing more comes from here: a datagram may have its owner elsewhere. */
	begin_turn(worker, left, tsc_to_ms(dataplane, left));
	sp_fragments_close(worker);
	sp_waiting_close(worker);
	__atomic_fetch_add(&dataplane->stopped, 1, __ATOMIC_ACQ_REL);
	do {
		bool all_stopped = __atomic_load_n(&dataplane->stopped, __ATOMIC_ACQUIRE) == dataplane->n_workers;
		uint64_t now = rte_rdtsc();

		all_empty = __atomic_load_n(&dataplane->drained, __ATOMIC_ACQUIRE) == dataplane->n_workers;
		begin_turn(worker, now, tsc_to_ms(dataplane, now));
		while (dataplane->n_workers > 1 && poll_handover(worker) > 0)
			flush_all(worker);
		flush_all(worker);
		if (all_stopped && !empty) {
			empty = true;
			__atomic_fetch_add(&dataplane->drained, 1, __ATOMIC_ACQ_REL);
		}
		rte_rcu_qsbr_quiescent(dataplane->qsbr, worker->index);
	} while (!all_empty);
}

int sp_worker_run(void *arg)
{
	struct sp_worker *worker = arg;
	struct sp_dataplane *dataplane = worker->dataplane;
	uint64_t before = rte_rdtsc();
	unsigned int idle_turns = 0, nap_us = NAP_MIN_US;

	rte_rcu_qsbr_thread_register(dataplane->qsbr, worker->index);
	rte_rcu_qsbr_thread_online(dataplane->qsbr, worker->index);
	while (!__atomic_load_n(&dataplane->stop, __ATOMIC_RELAXED)) {
		unsigned int handled = sp_worker_turn(worker, before, tsc_to_ms(dataplane, before));
		uint64_t after = rte_rdtsc();

		rte_rcu_qsbr_quiescent(dataplane->qsbr, worker->index);
		if (handled > 0) {
			sp_count(&worker->stats.busy_cycles, after - before);
			sp_count(&worker->stats.busy_packets, handled);
			idle_turns = 0;
			nap_us = NAP_MIN_US;
		} else {
			if (dataplane->adaptive && ++idle_turns > IDLE_TURNS) {
				nap(worker, nap_us);
				nap_us = RTE_MIN(nap_us * 2, (unsigned int)NAP_MAX_US);
				after = rte_rdtsc();
			}
			sp_count(&worker->stats.idle_cycles, after - before);
		}
		before = after;
	}
	drain(worker);
	rte_rcu_qsbr_thread_offline(dataplane->qsbr, worker->index);
	rte_rcu_qsbr_thread_unregister(dataplane->qsbr, worker->index);
	return 0;
}

static int create_handover(struct sp_worker *worker, int socket)
{
	for (unsigned int from = 0; from < worker->dataplane->n_workers; from++) {
		char name[RTE_RING_NAMESIZE];

		if (from == worker->index)
			continue;
		snprintf(name, sizeof(name), "sp_handover_%u_%u", from, worker->index);
		worker->handover[from] = rte_ring_create(name, SP_HANDOVER_RING, socket, RING_F_SP_ENQ | RING_F_SC_DEQ);
		if (worker->handover[from] == NULL)
			return -rte_errno;
	}
	return 0;
}

struct sp_worker *sp_worker_create(
	struct sp_dataplane *dataplane, unsigned int index, struct rte_mempool *pool, const struct sp_worker_config *config)
{
	struct sp_worker *worker = sp_alloc("worker", sizeof(*worker), 64, config->socket);
	int rc = -ENOMEM;

	if (worker == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	worker->dataplane = dataplane;
	worker->index = index;
	worker->rss.n = SP_RSS_SAMPLES; /* nobody asks */
	worker->pool = pool;
	worker->fragments = sp_fragments_create(&config->fragments, config->socket);
	worker->inspect_buffer = sp_alloc("inspect", SP_INSPECT_BUFFER_BYTES, 64, config->socket);
	worker->sessions = sp_sessions_create(&config->sessions);
	worker->drops = sp_alloc("drops", sizeof(*worker->drops), 64, config->socket);
	if (worker->inspect_buffer == NULL || worker->sessions == NULL || worker->fragments == NULL || worker->drops == NULL)
		goto err;
	if (dataplane->floods.syn_proxy != SP_SYN_PROXY_OFF) {
		worker->syn_proxy = sp_syn_proxy_create(dataplane->floods.embryonic_high, config->socket);
		if (worker->syn_proxy == NULL) {
			rc = -errno;
			goto err;
		}
	}
	if (dataplane->routing != NULL) {
		worker->waiting = sp_waiting_create(&dataplane->routing->config, config->socket);
		if (worker->waiting == NULL)
			goto err;
	}
	sp_defence_init(worker);
	sp_sessions_set_rule_timeouts(worker->sessions, dataplane->rule_table.timeout_sec);
	sp_sessions_on_end(worker->sessions, sp_admit_ended, worker);
	rc = create_handover(worker, config->socket);
	if (rc == 0)
		rc = sp_mailbox_init(&worker->mailbox, index, config->socket);
	if (rc == 0)
		rc = sp_event_ring_init(&worker->events, index, config->socket);
	if (rc == 0)
		return worker;
err:
	sp_worker_free(worker);
	errno = -rc;
	return NULL;
}

void sp_worker_free(struct sp_worker *worker)
{
	if (worker == NULL)
		return;
	for (unsigned int from = 0; from < SP_WORKERS_MAX; from++)
		rte_ring_free(worker->handover[from]);
	if (worker->mailbox.ring != NULL)
		sp_mailbox_free(&worker->mailbox);
	if (worker->events.ring != NULL)
		sp_event_ring_free(&worker->events);
	sp_sessions_free(worker->sessions);
	sp_syn_proxy_free(worker->syn_proxy);
	sp_fragments_free(worker->fragments);
	sp_waiting_free(worker->waiting);
	sp_free(worker->drops);
	sp_free(worker->inspect_buffer);
	sp_free(worker);
}
