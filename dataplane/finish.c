/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of a burst: what was dropped is counted under its one reason and freed, what was rejected is answered, rules get their counts.
 */
#include "dataplane/reject.h"
#include "dataplane/stages.h"

/* Answers are bounded a worker, so that a flood of rejected packets does not become a flood of answers (RFC 1812 4.3.2.8). */
static bool may_answer(struct sp_worker *worker)
{
	uint32_t rate = worker->dataplane->reject_rate;
	uint64_t now_ns = sp_burst_ns(worker), step_ns, tat_ns;

	if (rate == 0)
		return false;
	step_ns = 1000000000u / rate;
	tat_ns = RTE_MAX(worker->reject_tat_ns, now_ns);
	/* One second's worth may be built at once, and no answer more. */
	if (tat_ns - now_ns + step_ns > 1000000000u)
		return false;
	worker->reject_tat_ns = tat_ns + step_ns;
	return true;
}

static void answer(struct sp_worker *worker, unsigned int i, const struct sp_port *port)
{
	struct rte_mbuf *built = NULL;

	if (may_answer(worker))
		built = sp_reject_build(worker->pool, worker->burst.mbuf[i], &worker->burst.packet[i]);
	if (built == NULL) {
		sp_count(&worker->stats.rejects_suppressed, 1);
		return;
	}
	sp_count(&worker->stats.built, 1);
	sp_count(&worker->stats.rejects_built, 1);
	if (unlikely(worker->captures != NULL))
		sp_capture_mbuf(worker, built, SP_CAPTURE_TX, port->index, SP_DROP_NONE);
	sp_tx_queue(worker, port->index, built);
}

static inline void count_slot(struct sp_worker *worker, uint32_t slot, uint32_t packets, uint64_t bytes)
{
	struct sp_rule_counters *counters;

	if (slot == SP_SLOT_NONE)
		return;
	counters = sp_slot_counters(worker, slot);
	sp_count(&counters->packets, packets);
	sp_count(&counters->bytes, bytes);
}

/* Rules get their packets and bytes; runs of packets of one rule in one go. */
static void count_rules(struct sp_worker *worker, const struct sp_burst *burst)
{
	uint32_t slot = SP_SLOT_NONE, packets = 0;
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < burst->n; i++) {
		if (burst->slot[i] != slot) {
			count_slot(worker, slot, packets, bytes);
			slot = burst->slot[i];
			packets = 0;
			bytes = 0;
		}
		packets++;
		bytes += burst->length[i];
	}
	count_slot(worker, slot, packets, bytes);
}

void sp_finish_burst(struct sp_worker *worker, const struct sp_port *port)
{
	struct sp_burst *burst = &worker->burst;
	struct rte_mbuf *dropped[SP_BURST_MAX];
	unsigned int n_dropped = 0;

	count_rules(worker, burst);
	for (unsigned int i = 0; i < burst->n; i++) {
		uint8_t verdict = burst->verdict[i];

		if (unlikely(verdict == SP_VERDICT_CONSUMED)) {
			sp_count(&worker->stats.consumed, 1);
			if (burst->datagrams >> i & 1)
				sp_fragments_discard(worker, i);
			else
				rte_pktmbuf_free(burst->mbuf[i]);
			continue;
		}
		if (verdict != SP_VERDICT_DROP && verdict != SP_VERDICT_REJECT)
			continue;
		if (verdict == SP_VERDICT_REJECT)
			answer(worker, i, port);
		sp_count(&worker->stats.drops[burst->reason[i]], 1);
		sp_drop_note(worker, i);
		if (unlikely(burst->datagrams >> i & 1)) {
			sp_count(&worker->stats.ports[port->index].drops, 1);
			sp_fragments_discard(worker, i);
			continue;
		}
		if (unlikely(worker->captures != NULL))
			sp_capture_packet(worker, i, SP_CAPTURE_DROP, burst->port);
		dropped[n_dropped++] = burst->mbuf[i];
	}
	if (n_dropped > 0) {
		sp_count(&worker->stats.ports[port->index].drops, n_dropped);
		rte_pktmbuf_free_bulk(dropped, n_dropped);
	}
}
