/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets that wait for their neighbour's MAC, in the form in which they leave but for the Ethernet header. Linux is asked for the
 * neighbour (routing.h); when it is found they go on in order, and when it does not answer they are dropped (route_neighbour), with an ICMP
 * error each to those senders who would know their packet again.
 *
 * The table is a worker's. It is bounded by packets for one neighbour, by neighbours, and by packet buffers in all; what is over goes from
 * where the wait was longest (route_waiting_full), as a neighbour that is there answers within milliseconds. A gateway makes room only for
 * another one. So a scan of an empty network does not keep others from being found.
 */
#ifndef SP_DATAPLANE_WAITING_H
#define SP_DATAPLANE_WAITING_H

#include <rte_mbuf.h>
#include <stddef.h>
#include <stdint.h>

#define SP_WAITING_NEIGHBOURS 256  /* at a time, of one worker */
#define SP_WAITING_MS         3000 /* then a neighbour does not answer */
#define SP_WAITING_ASK_MS     1000 /* between two questions for one; Linux's word that it failed counts from here on */

struct sp_route_config;
struct sp_waiting;
struct sp_worker;

/* Of one worker, bounded by config->queue and config->waiting (packet buffers). NULL with errno ENOMEM. Control thread. */
struct sp_waiting *sp_waiting_create(const struct sp_route_config *config, int socket);

/* Frees what waits, too, without counting it. NULL is fine. Control thread, when no worker runs. */
void sp_waiting_free(struct sp_waiting *waiting);

/*
 * A packet waits for a neighbour: `address` (4 or 16 bytes, network byte order) of the family on a link; `nexthop` is where the route led,
 * a NEIGHBOUR or GLEAN. Its IP header is l3_off bytes into the frame, its TTL is lowered by one already, addresses are as they leave.
 * `ingress`: index of the port that its drop is counted under. Owns the mbuf, and drops it (route_waiting_full) when there is no room.
 *
 * A packet that is in the worker's burst as it came, not translated, is answered when the neighbour does not. Worker only.
 */
void sp_waiting_add(struct sp_worker *worker, struct rte_mbuf *mbuf, uint32_t l3_off, uint32_t nexthop, uint16_t link, uint8_t family,
	const uint8_t *address, uint16_t ingress);

/* Looks after a bounded number of neighbours: sends on, asks again, gives up. Between bursts; costs a load when nothing waits. Worker only.
 */
void sp_waiting_turn(struct sp_worker *worker, uint32_t now_ms);

/* Drops all that waits, and from here on everything that would: the worker leaves. Worker only. */
void sp_waiting_close(struct sp_worker *worker);

/* Bytes that the table takes, without packet buffers. */
size_t sp_waiting_bytes(const struct sp_route_config *config);

#endif
