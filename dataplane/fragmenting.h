/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IPv4 packets in pieces for a link that takes no longer ones (RFC 791 3.2). What a router may not do, to IPv6 and to packets that say
 * "don't fragment", is looked for before (sp_exceeds_mtu), so that the sender can be told.
 */
#ifndef SP_DATAPLANE_FRAGMENTING_H
#define SP_DATAPLANE_FRAGMENTING_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#define SP_FRAGMENTING_MAX 64 /* pieces of one packet */

struct sp_worker;

/*
 * Cuts a packet, whose IPv4 header is l3_off bytes into the frame, into n pieces of at most `mtu` bytes each, fresh mbufs of the worker's
 * pool with the same l3_off and the bytes before it copied; a fragment becomes fragments of the same datagram. A packet of any kind that is
 * not too long itself loses the padding behind it, and is the one piece. Owns the mbuf, the pieces are the caller's; the accounts know of
 * them. 0: the packet was dropped and counted: FRAG_TOO_MANY beyond n_max pieces, QUEUE_MBUF, or ROUTE_MTU when it may not be fragmented.
 * Worker only.
 */
unsigned int sp_fragment_to_mtu(
	struct sp_worker *worker, struct rte_mbuf *mbuf, uint32_t l3_off, uint16_t mtu, struct rte_mbuf **out, unsigned int n_max);

/*
 * Whether a packet, whose IP header is l3_off bytes into the frame, is longer than `mtu` and may not be fragmented; of a reassembled
 * datagram, whether one of the fragments is in which it leaves.
 */
bool sp_exceeds_mtu(const struct rte_mbuf *mbuf, uint32_t l3_off, uint16_t mtu);

#endif
