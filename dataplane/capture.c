/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Made and freed on the management side, filled by workers, emptied by the capture writer. Copies go into slots of one size, so that a
 * worker's share is a memcpy of a bounded length.
 */
#include "dataplane/capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/prefix.h"
#include "dataplane/stages.h"

#define RING_BYTES (2u << 20) /* a worker and capture, unless that is less than SLOTS_MIN */
#define SLOTS_MIN  32u
#define SLOTS_MAX  4096u

/* --- rings --------------------------------------------------------------------------------------------------------------------- */

static int ring_init(struct sp_capture_ring *ring, uint32_t snaplen)
{
	uint32_t slots;

	ring->slot_bytes = RTE_ALIGN_CEIL((uint32_t)sizeof(struct sp_capture_packet) + snaplen, 64u);
	slots = RTE_MIN(RTE_MAX(RING_BYTES / ring->slot_bytes, SLOTS_MIN), SLOTS_MAX);
	ring->n_slots = rte_align32prevpow2(slots);
	ring->slots = aligned_alloc(64, (size_t)ring->n_slots * ring->slot_bytes);
	if (ring->slots == NULL)
		return -ENOMEM;
	/* Touched here, so that no worker takes a page fault. */
	memset(ring->slots, 0, (size_t)ring->n_slots * ring->slot_bytes);
	return 0;
}

struct sp_capture *sp_capture_create(const struct sp_capture_config *config, unsigned int n_workers)
{
	struct sp_capture *capture = calloc(1, sizeof(*capture));
	int rc = 0;

	if (capture == NULL)
		goto err;
	capture->points = config->points;
	capture->trace = config->trace;
	capture->snaplen = config->snaplen;
	capture->rings = aligned_alloc(64, n_workers * sizeof(capture->rings[0]));
	if (capture->rings == NULL)
		goto err;
	memset(capture->rings, 0, n_workers * sizeof(capture->rings[0]));
	capture->n_rings = n_workers;
	for (unsigned int w = 0; w < n_workers && rc == 0; w++)
		rc = ring_init(&capture->rings[w], config->snaplen);
	if (rc != 0)
		goto err;
	capture->filter = config->filter;
	return capture;
err:
	sp_capture_free(capture);
	errno = ENOMEM;
	return NULL;
}

void sp_capture_free(struct sp_capture *capture)
{
	if (capture == NULL)
		return;
	for (unsigned int w = 0; w < capture->n_rings; w++)
		free(capture->rings[w].slots);
	free(capture->rings);
	pcap_freecode(&capture->filter);
	free(capture);
}

static struct sp_capture_packet *slot_at(const struct sp_capture_ring *ring, uint64_t index)
{
	return (struct sp_capture_packet *)(void *)(ring->slots + (size_t)(index & (ring->n_slots - 1)) * ring->slot_bytes);
}

const struct sp_capture_packet *sp_capture_peek(const struct sp_capture_ring *ring)
{
	return __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) == ring->tail ? NULL : slot_at(ring, ring->tail);
}

void sp_capture_next(struct sp_capture_ring *ring)
{
	__atomic_store_n(&ring->tail, ring->tail + 1, __ATOMIC_RELEASE);
}

/* --- on the worker --------------------------------------------------------------------------------------------------------------- */

/* The slot to fill; NULL when the ring is full, which is counted. */
static struct sp_capture_packet *reserve(struct sp_capture_ring *ring)
{
	if (ring->head - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) < ring->n_slots)
		return slot_at(ring, ring->head);
	sp_count(&ring->lost, 1);
	return NULL;
}

struct frame {
	const uint8_t *bytes; /* contiguous */
	uint32_t have, length;
};

static void read_frame(struct sp_worker *worker, const struct rte_mbuf *mbuf, struct frame *frame)
{
	frame->length = mbuf->pkt_len;
	frame->bytes = sp_prefix_read(mbuf, SP_INSPECT_BUFFER_BYTES, worker->inspect_buffer, &frame->have);
}

static bool wants(const struct sp_capture *capture, const struct frame *frame)
{
	const struct pcap_pkthdr header = {.len = frame->length, .caplen = frame->have};

	return capture->filter.bf_insns == NULL || pcap_offline_filter(&capture->filter, &header, frame->bytes) != 0;
}

/* Copies the frame with `about` (all but captured and data) into each capture of this point whose filter it passes. */
static void copy(struct sp_worker *worker, const struct frame *frame, struct sp_capture_packet *about, unsigned int traced)
{
	const struct sp_capture_set *set = worker->captures;

	for (unsigned int c = 0; c < set->n; c++) {
		struct sp_capture *capture = set->capture[c];
		struct sp_capture_ring *ring = &capture->rings[worker->index];
		struct sp_capture_packet *packet;

		if (!(capture->points & about->point) || !wants(capture, frame))
			continue;
		packet = reserve(ring);
		if (packet == NULL)
			continue;
		*packet = *about;
		packet->captured = RTE_MIN(frame->have, capture->snaplen);
		packet->n_trace = capture->trace && traced < SP_BURST_MAX ? worker->trace.n[traced] : 0;
		if (packet->n_trace > 0)
			memcpy(packet->trace, worker->trace.item[traced], packet->n_trace * sizeof(packet->trace[0]));
		memcpy(packet->data, frame->bytes, packet->captured);
		__atomic_store_n(&ring->head, ring->head + 1, __ATOMIC_RELEASE);
	}
}

void sp_capture_packet(struct sp_worker *worker, unsigned int i, enum sp_capture_point point, uint16_t port)
{
	const struct sp_burst *burst = &worker->burst;
	bool traced = (worker->trace.packets >> i) & 1;
	struct sp_capture_packet about = {.tsc = burst->now, .port = port, .point = (uint8_t)point};
	struct frame frame;

	if (!(worker->captures->points & point))
		return;
	read_frame(worker, burst->mbuf[i], &frame);
	about.length = frame.length;
	if (point != SP_CAPTURE_RX) {
		about.reason = burst->reason[i];
		about.rejected = burst->verdict[i] == SP_VERDICT_REJECT;
		about.has_rule = burst->slot[i] != SP_SLOT_NONE;
		about.rule = about.has_rule ? worker->dataplane->rule_table.ids[burst->slot[i]] : 0;
	}
	copy(worker, &frame, &about, traced && point != SP_CAPTURE_RX ? i : SP_BURST_MAX);
}

void sp_capture_mbuf(
	struct sp_worker *worker, const struct rte_mbuf *mbuf, enum sp_capture_point point, uint16_t port, enum sp_drop_reason reason)
{
	struct sp_capture_packet about = {.tsc = worker->burst.now,
		.port = port,
		.point = (uint8_t)point,
		.reason = (uint8_t)reason,
		.built = point == SP_CAPTURE_TX};
	struct frame frame;

	if (!(worker->captures->points & point))
		return;
	read_frame(worker, mbuf, &frame);
	about.length = frame.length;
	copy(worker, &frame, &about, SP_BURST_MAX);
}

static void start_traces(struct sp_worker *worker)
{
	const struct sp_capture_set *set = worker->captures;

	for (unsigned int i = 0; i < worker->burst.n; i++) {
		struct frame frame;
		bool traced = false;

		read_frame(worker, worker->burst.mbuf[i], &frame);
		for (unsigned int c = 0; c < set->n && !traced; c++)
			traced = set->capture[c]->trace && wants(set->capture[c], &frame);
		if (traced)
			sp_trace_start(&worker->trace, i);
	}
}

void sp_capture_parsed(struct sp_worker *worker, bool handed)
{
	if (!handed && worker->captures->points & SP_CAPTURE_RX)
		for (unsigned int i = 0; i < worker->burst.n; i++)
			sp_capture_packet(worker, i, SP_CAPTURE_RX, worker->burst.port);
	if (worker->captures->trace)
		start_traces(worker);
}
