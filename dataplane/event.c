/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ring is made and freed by the control thread, filled by one worker, emptied by the event writer.
 */
#include "dataplane/event.h"

#include <errno.h>
#include <inttypes.h>
#include <rte_errno.h>
#include <rte_ring_elem.h>
#include <stdio.h>

#include "dataplane/stats.h"

const char *const sp_flow_end_names[SP_END_COUNT] = {
	[SP_END_TIMEOUT] = "timeout",
	[SP_END_TCP] = "tcp",
	[SP_END_KILLED] = "killed",
	[SP_END_RULES] = "rules",
	[SP_END_INSPECTION] = "inspection",
	[SP_END_REOPENED] = "reopened",
	[SP_END_EVICTED] = "evicted",
};

int sp_event_ring_init(struct sp_event_ring *ring, unsigned int worker, int socket)
{
	char name[RTE_RING_NAMESIZE];

	/* A process may have several dataplanes (tests): the address makes the name unique. */
	snprintf(name, sizeof(name), "ev%u_%" PRIxPTR, worker, (uintptr_t)ring);
	ring->lost = 0;
	ring->posted = 0;
	ring->suppressed = 0;
	ring->ring = rte_ring_create_elem(name, sizeof(struct sp_event), SP_EVENT_RING_SIZE, socket, RING_F_SP_ENQ | RING_F_SC_DEQ);
	return ring->ring ? 0 : -rte_errno;
}

void sp_event_ring_free(struct sp_event_ring *ring)
{
	rte_ring_free(ring->ring);
	ring->ring = NULL;
}

bool sp_event_post(struct sp_event_ring *ring, const struct sp_event *event)
{
	bool posted = rte_ring_sp_enqueue_elem(ring->ring, (void *)(uintptr_t)event, sizeof(*event)) == 0;

	sp_count(posted ? &ring->posted : &ring->lost, 1);
	return posted;
}

unsigned int sp_event_take(struct sp_event_ring *ring, struct sp_event *events, unsigned int n)
{
	return rte_ring_sc_dequeue_burst_elem(ring->ring, events, sizeof(*events), n, NULL);
}
