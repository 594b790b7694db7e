/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The last step of a forwarded packet in route mode: hop count, MTU, Ethernet header, and the egress port's tx buffer; or it waits for its
 * neighbour (waiting.h); or it goes up to Linux (kernel_way.h). All run on the worker's thread.
 */
#ifndef SP_DATAPLANE_OUTPUT_H
#define SP_DATAPLANE_OUTPUT_H

#include "dataplane/routing.h"
#include "dataplane/worker.h"

/* Sends the packets of the burst that are to leave as the route stage has decided, in their order. */
void sp_output_burst(struct sp_worker *worker);

/*
 * Writes the Ethernet header of `mbuf`, whose IP header is l3_off bytes into the frame, for a neighbour at `mac` (as in sp_nexthop.mac) of
 * a link, and queues it on the link's port. Owns the mbuf; drops it (queue_mbuf) when there is no room for the header. TTL and addresses
 * are as they are to be.
 */
void sp_output_frame(struct sp_worker *worker, struct rte_mbuf *mbuf, uint32_t l3_off, const struct sp_link *link, uint64_t mac);

/*
 * Routes a packet that the worker built itself, an Ethernet frame of any addresses without VLAN tags or with them: looks its destination up
 * and sends it there. Owns the mbuf; a packet that no route takes to a neighbour is dropped under its reason.
 */
void sp_output_built(struct sp_worker *worker, struct rte_mbuf *mbuf);

/* Where the IP header of a frame begins, whatever its tags: 14, 18 or 22. */
uint32_t sp_frame_l3_off(const struct rte_mbuf *mbuf);

#endif
