/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of a burst: what was dropped is counted under its one reason and freed, what was rejected is answered, rules get their counts.
 */
#include <netinet/in.h>

#include "dataplane/reject.h"
#include "dataplane/router_error.h"
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

/* The answer of a rule, or of whoever judges as one. Linux is answered in the name of the packet's receiver: it takes nothing from itself.
 */
static struct rte_mbuf *refuse(struct sp_worker *worker, unsigned int i, const struct sp_port *port)
{
	const struct sp_burst *burst = &worker->burst;
	const struct sp_packet *packet = &burst->packet[i];

	if (!sp_reject_is_answerable(packet) || !may_answer(worker))
		return NULL;
	if (worker->dataplane->routing == NULL || port->kernel)
		return sp_reject_build(worker->pool, burst->mbuf[i], packet);
	if (packet->key.proto != IPPROTO_TCP)
		return sp_router_error_of(worker, i);
	return sp_router_may_answer(worker, &packet->key) ? sp_reject_build(worker->pool, burst->mbuf[i], packet) : NULL;
}

/* The error of a router that does not forward a packet. Linux has routed what it sends itself. */
static struct rte_mbuf *report(struct sp_worker *worker, unsigned int i, const struct sp_port *port)
{
	const struct sp_dataplane *dataplane = worker->dataplane;
	const struct sp_packet *packet = &worker->burst.packet[i];
	bool path_mtu = worker->burst.reason[i] == SP_DROP_ROUTE_MTU;

	if (port->kernel || !sp_reject_is_answerable(packet))
		return NULL;
	if (!sp_error_rate_take(&worker->error_rate, &packet->key, path_mtu, dataplane->routing->config.errors, dataplane->n_workers,
		    sp_burst_ns(worker)))
		return NULL;
	return sp_router_error_of(worker, i);
}

static void answer(struct sp_worker *worker, unsigned int i, const struct sp_port *port)
{
	struct sp_stats *stats = &worker->stats;
	bool is_error = worker->dataplane->routing != NULL && sp_is_router_error((enum sp_drop_reason)worker->burst.reason[i]);
	struct rte_mbuf *built = is_error ? report(worker, i, port) : refuse(worker, i, port);

	if (built == NULL) {
		sp_count(is_error ? &stats->errors_suppressed : &stats->rejects_suppressed, 1);
		return;
	}
	sp_count(&stats->built, 1);
	sp_count(is_error ? &stats->errors_built : &stats->rejects_built, 1);
	if (unlikely(worker->captures != NULL) && !port->kernel)
		sp_capture_mbuf(worker, built, SP_CAPTURE_TX, port->index, SP_DROP_NONE);
	sp_tx_queue(worker, sp_port_way(port), built);
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
