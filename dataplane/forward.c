/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a packet leaves, and the tx buffers. In wire mode a frame leaves by the peer of the port it came from, unchanged.
 */
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <stdio.h>

#include "dataplane/kernel_way.h"
#include "dataplane/output.h"
#include "dataplane/stages.h"

/* Bursts that a NIC may refuse to take whole before the rest is dropped: a link that stalls must not stall the worker. */
#define TX_TRIES 8

void sp_egress_burst(struct sp_worker *worker, const struct sp_port *port)
{
	struct sp_burst *burst = &worker->burst;
	const struct sp_port *peer = port->peer == SP_NO_PORT ? NULL : &worker->dataplane->ports[port->peer];

	for (unsigned int i = 0; i < SP_BURST_MAX; i++)
		burst->egress[i] = port->peer;
	for (unsigned int i = 0; i < burst->n && peer != NULL; i++)
		if (burst->verdict[i] == SP_VERDICT_GOING)
			burst->packet[i].zone_to = peer->zone[burst->packet[i].key.vlan & 0xfff];
}

/* Why packets cannot leave by a port now; SP_DROP_NONE when they can. */
static enum sp_drop_reason closed(const struct sp_dataplane *dataplane, uint16_t egress)
{
	const struct sp_port *port;

	if (egress == SP_NO_PORT)
		return SP_DROP_ROUTE_NO_EGRESS;
	port = &dataplane->ports[egress];
	if ((port->pass_link && !__atomic_load_n(&port->link_up, __ATOMIC_RELAXED)) || __atomic_load_n(&port->paused, __ATOMIC_RELAXED))
		return SP_DROP_ROUTE_LINK_DOWN;
	return SP_DROP_NONE;
}

/* The packets of `run` leave by one port. */
static void forward_run(struct sp_worker *worker, uint16_t egress, const uint8_t *run, unsigned int n)
{
	struct sp_burst *burst = &worker->burst;
	enum sp_drop_reason reason = closed(worker->dataplane, egress);
	struct sp_tx_buffer *tx;
	struct rte_mbuf **to;
	uint32_t bytes = 0;

	for (unsigned int i = 0; i < n && reason != SP_DROP_NONE; i++)
		sp_burst_drop(burst, run[i], reason);
	if (reason != SP_DROP_NONE)
		return;
	tx = &worker->tx[egress];
	if (tx->n + n > SP_TX_BUFFER)
		sp_tx_flush(worker, egress);
	to = &tx->mbuf[tx->n];
	for (unsigned int i = 0; i < n; i++) {
		burst->verdict[run[i]] = SP_VERDICT_ALLOW;
		to[i] = burst->mbuf[run[i]];
		bytes += burst->length[run[i]];
	}
	for (unsigned int i = 0; i < n && unlikely(worker->captures != NULL); i++)
		sp_capture_packet(worker, run[i], SP_CAPTURE_TX, egress);
	tx->n += n;
	tx->bytes += bytes;
	sp_count(&worker->stats.tx_held, n);
}

static void send_piece(struct sp_worker *worker, unsigned int i)
{
	struct sp_burst *burst = &worker->burst;

	if (worker->captures != NULL)
		sp_capture_packet(worker, i, SP_CAPTURE_TX, burst->egress[i]);
	sp_tx_queue(worker, burst->egress[i], burst->mbuf[i]);
}

/* What was put together leaves in the pieces that it came in. */
static void forward_datagram(struct sp_worker *worker, unsigned int i)
{
	struct sp_burst *burst = &worker->burst;
	enum sp_drop_reason reason = closed(worker->dataplane, burst->egress[i]);

	if (reason != SP_DROP_NONE) {
		sp_burst_drop(burst, i, reason);
		return;
	}
	burst->verdict[i] = SP_VERDICT_ALLOW;
	sp_fragments_send(worker, i, send_piece);
}

static void forward_wired(struct sp_worker *worker)
{
	struct sp_burst *burst = &worker->burst;
	uint8_t run[SP_BURST_MAX];
	unsigned int n = 0;

	for (unsigned int i = 0; i < burst->n; i++) {
		bool datagram;

		if (burst->verdict[i] != SP_VERDICT_GOING && burst->verdict[i] != SP_VERDICT_SETTLED)
			continue;
		datagram = burst->datagrams >> i & 1;
		if (n > 0 && (unlikely(datagram) || burst->egress[i] != burst->egress[run[0]])) {
			forward_run(worker, burst->egress[run[0]], run, n);
			n = 0;
		}
		if (unlikely(datagram))
			forward_datagram(worker, i);
		else
			run[n++] = (uint8_t)i;
	}
	if (n > 0)
		forward_run(worker, burst->egress[run[0]], run, n);
}

void sp_forward_burst(struct sp_worker *worker)
{
	if (worker->dataplane->routing != NULL)
		sp_output_burst(worker);
	else
		forward_wired(worker);
}

void sp_tx_queue(struct sp_worker *worker, unsigned int port, struct rte_mbuf *mbuf)
{
	struct sp_tx_buffer *tx = &worker->tx[port];

	if (unlikely(port == SP_WAY_ROUTE)) {
		sp_output_built(worker, mbuf);
		return;
	}
	if (unlikely(port >= SP_PORTS_MAX)) {
		sp_kernel_send_up(worker, (uint16_t)(port - SP_PORTS_MAX), mbuf);
		return;
	}
	if (tx->n == SP_TX_BUFFER)
		sp_tx_flush(worker, port);
	tx->bytes += mbuf->pkt_len;
	tx->mbuf[tx->n++] = mbuf;
	sp_count(&worker->stats.tx_held, 1);
}

int sp_port_share_tx(struct sp_port *port, int socket)
{
	char name[RTE_RING_NAMESIZE];
	struct rte_ring *ring;

	snprintf(name, sizeof(name), "sp_tx_%u", port->index);
	ring = rte_ring_create(name, SP_HANDOVER_RING, socket, RING_F_SC_DEQ);
	if (ring == NULL)
		return -rte_errno;
	__atomic_store_n(&port->tx_ring, ring, __ATOMIC_RELEASE);
	return 0;
}

/* A worker without a tx queue on this port passes its packets to worker 0. */
static uint16_t pass_to_sender(struct sp_worker *worker, struct sp_port *port, struct rte_mbuf **mbufs, uint16_t n)
{
	uint16_t passed = rte_ring_mp_enqueue_burst(port->tx_ring, (void **)mbufs, n, NULL);

	sp_count(&worker->stats.handed_out, passed);
	return passed;
}

static uint16_t send_burst(struct sp_worker *worker, struct sp_port *port, struct rte_mbuf **mbufs, uint16_t n, uint64_t bytes)
{
	struct sp_port_counters *counters = &worker->stats.ports[port->index];
	uint16_t sent = 0;

	for (unsigned int t = 0; t < TX_TRIES && sent < n; t++)
		sent += rte_eth_tx_burst(port->ethdev, worker->index, mbufs + sent, n - sent);
	for (uint16_t i = sent; i < n; i++)
		bytes -= mbufs[i]->pkt_len;
	sp_count(&worker->stats.tx, sent);
	sp_count(&worker->stats.tx_bytes, bytes);
	sp_count(&counters->tx, sent);
	sp_count(&counters->tx_bytes, bytes);
	return sent;
}

/* The eyes' view of packets that the NIC or the ring to the sender did not take. */
static void note_unsent(struct sp_worker *worker, struct rte_mbuf *const *mbufs, uint16_t n, uint16_t port, enum sp_drop_reason reason)
{
	for (uint16_t i = 0; i < n; i++) {
		sp_drop_note_mbuf(worker, mbufs[i], port, reason);
		if (worker->captures != NULL)
			sp_capture_mbuf(worker, mbufs[i], SP_CAPTURE_DROP, port, reason);
	}
}

void sp_tx_flush(struct sp_worker *worker, unsigned int index)
{
	struct sp_port *port = &worker->dataplane->ports[index];
	struct sp_tx_buffer *tx = &worker->tx[index];
	enum sp_drop_reason reason = SP_DROP_QUEUE_TX;
	uint16_t n = tx->n, done = 0;

	if (unlikely(__atomic_load_n(&port->paused, __ATOMIC_ACQUIRE)))
		reason = SP_DROP_ROUTE_LINK_DOWN;
	else if (worker->index < port->n_tx_queues)
		done = send_burst(worker, port, tx->mbuf, n, tx->bytes);
	else
		done = pass_to_sender(worker, port, tx->mbuf, n);
	if (done < n) {
		note_unsent(worker, &tx->mbuf[done], n - done, port->index, reason);
		rte_pktmbuf_free_bulk(&tx->mbuf[done], n - done);
		sp_count(&worker->stats.drops[reason], n - done);
	}
	sp_count(&worker->stats.tx_held, -(uint64_t)n);
	tx->n = 0;
	tx->bytes = 0;
}

void sp_tx_collect(struct sp_worker *worker, unsigned int index)
{
	struct rte_ring *ring = worker->dataplane->ports[index].tx_ring;
	struct rte_mbuf *mbufs[SP_TX_BUFFER];
	unsigned int left, n;

	/* All that waits now: several workers fill the ring between two turns of this one, and after a drain nothing may stay in it. */
	for (left = rte_ring_count(ring); left > 0; left -= n) {
		n = rte_ring_sc_dequeue_burst(ring, (void **)mbufs, RTE_MIN(left, (unsigned int)SP_TX_BUFFER), NULL);
		if (n == 0)
			return;
		sp_count(&worker->stats.handed_in, n);
		for (unsigned int i = 0; i < n; i++)
			sp_tx_queue(worker, index, mbufs[i]);
	}
}
