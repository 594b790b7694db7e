/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP segments without payload that the firewall itself writes.
 */
#ifndef SP_DATAPLANE_TCP_FRAME_H
#define SP_DATAPLANE_TCP_FRAME_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/key.h"

#define SP_TCP_FRAME_ETHER   22 /* two VLAN tags */
#define SP_TCP_FRAME_OPTIONS 12
#define SP_TCP_FRAME_BYTES   (SP_TCP_FRAME_ETHER + 40 + 20 + SP_TCP_FRAME_OPTIONS)

/* What is to be written. Numbers in host byte order. */
struct sp_tcp_frame {
	const struct sp_key *key; /* of the segment: its source first */
	uint32_t seq, ack;        /* ack is written as 0 without the flag */
	uint16_t window;          /* as it stands in the header */
	uint8_t flags;
	uint8_t options_len;                   /* a multiple of 4 */
	uint8_t options[SP_TCP_FRAME_OPTIONS]; /* whole */
	uint8_t ether_len;                     /* 14, 18 or 22 */
	uint8_t ether[SP_TCP_FRAME_ETHER];     /* as it will stand */
};

/*
 * Copies the Ethernet header of a received packet, tags included; `mirror` exchanges its addresses. False, with nothing changed, when
 * it does not reach, or when it is to be mirrored and either address is a group's.
 */
bool sp_tcp_frame_ether(struct sp_tcp_frame *frame, const struct rte_mbuf *mbuf, uint8_t l3_off, bool mirror);

/* Writes the frame, both checksums included, and returns its length. */
unsigned int sp_tcp_frame_write(const struct sp_tcp_frame *frame, uint8_t bytes[SP_TCP_FRAME_BYTES]);

/* The bytes in a fresh mbuf of one segment; NULL when none is free. */
struct rte_mbuf *sp_tcp_frame_mbuf(struct rte_mempool *pool, const uint8_t *bytes, unsigned int len);

#endif
