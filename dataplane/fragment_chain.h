/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A datagram as a chain of mbufs: joining pieces and taking them apart again. For fragment.c.
 */
#ifndef SP_DATAPLANE_FRAGMENT_CHAIN_H
#define SP_DATAPLANE_FRAGMENT_CHAIN_H

#include "dataplane/burst.h"
#include "dataplane/fragment_table.h"

/* Reserves flag and field in mbufs; more than once is fine. 0 or -errno. Control thread. */
int sp_datagram_register(void);

/*
 * Copies a fragment, parsed as `packet`, into buffers of `pool`, dynamic fields included; `wire` is the length to be counted. Padding is
 * kept up to the shortest Ethernet frame; what lies behind that is no part of the packet and goes. NULL when the pool is empty.
 */
struct rte_mbuf *sp_piece_copy(const struct rte_mbuf *mbuf, struct rte_mempool *pool, const struct sp_packet *packet, uint32_t wire);

/* Whether the piece's data are the same bytes as those at `off` of another packet. */
bool sp_piece_same(const struct sp_piece *piece, const struct rte_mbuf *mbuf, uint32_t off, uint32_t bytes);

/* Chains n pieces (sorted and without a gap) to a datagram. Takes the mbufs. */
struct rte_mbuf *sp_datagram_join(const struct sp_piece *piece, unsigned int n);

/* Takes the first piece off the chain, as it was copied; *rest is the chain of the others, or NULL. */
struct rte_mbuf *sp_datagram_split(struct rte_mbuf *chain, struct rte_mbuf **rest);

/* Whether a piece of the datagram is longer than `mtu` and may not be fragmented further: IPv6, or "don't fragment". */
bool sp_datagram_exceeds_mtu(const struct rte_mbuf *chain, uint16_t mtu);

/* Bytes of layer 3 before the piece's data. */
uint32_t sp_piece_headers(const struct sp_piece *piece);

#endif
