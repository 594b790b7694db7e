/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fragments: bounded virtual reassembly. The pieces of a datagram wait, copied out of their rx buffers, until all are there; then the
 * datagram goes through the stages as one packet, and what is allowed leaves as the fragments that came, unchanged. So rules see ports
 * whatever order the pieces had, inspection sees the whole, and no host behind the firewall ever gets a piece of a datagram that is
 * incomplete or contradicts itself.
 *
 * Policy, the same for IPv4 and IPv6:
 * - Any overlap ends the datagram (RFC 5722): the pieces that wait drop, and so does every later one until the time-out. An exact copy of
 *   a piece that waits (same place, same bytes) drops alone, as RFC 8200 4.5 allows: networks duplicate packets.
 * - Pieces that contradict each other about the end, more than SP_FRAGMENT_PIECES of them, or more than 65,535 bytes end it likewise.
 * - A piece that is wrong by itself (parse_fragment.c) drops alone, and the datagram cannot complete without a right one in its place.
 * - A fragment header that fragments nothing is ignored (RFC 6946).
 * - A source with too many unfinished datagrams loses its own oldest; a full table loses the oldest of all.
 *
 * The table is a worker's. All pieces of a datagram meet at the worker that a keyed hash names; the datagram then goes to the owner of its
 * session as any packet does.
 *
 * A datagram is one chain of mbufs: the first piece whole, of each other only its data. The headers in front stay where they are, before
 * data_off, and so does padding behind; a dynamic field of each piece's first mbuf remembers how much of both.
 */
#ifndef SP_DATAPLANE_FRAGMENT_H
#define SP_DATAPLANE_FRAGMENT_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SP_FRAGMENT_PIECES 64 /* of one datagram: 65,535 bytes over an MTU of 1,280 are 54 */

#define SP_FRAGMENT_DATAGRAMS_MIN     16
#define SP_FRAGMENT_BUFFERS_MIN       128
#define SP_FRAGMENT_DATAGRAMS_DEFAULT 2048
#define SP_FRAGMENT_BUFFERS_DEFAULT   4096
#define SP_FRAGMENT_SOURCE_DEFAULT    64
#define SP_FRAGMENT_TIMEOUT_DEFAULT   30
#define SP_FRAGMENT_TIMEOUT_MAX       120

/* Of the whole dataplane, or of one worker. Zero: the default. */
struct sp_fragments_config {
	uint32_t datagrams;   /* unfinished at a time */
	uint32_t buffers;     /* packet buffers that waiting pieces may take, out of the worker's pool */
	uint32_t per_source;  /* unfinished datagrams of one source address (IPv6: /64) and port */
	uint32_t timeout_sec; /* from the first piece that came */
};

struct sp_fragments;
struct sp_worker;
struct sp_port;
struct sp_burst;

/* NULL with errno (ENOMEM, or what DPDK says of the dynamic field and flag). Control thread. */
struct sp_fragments *sp_fragments_create(const struct sp_fragments_config *config, int socket);

/* Frees the pieces that wait, too, without counting them. NULL is fine. Control thread, when no worker runs. */
void sp_fragments_free(struct sp_fragments *fragments);

/* A worker's part of what all have together; nothing left zero. */
struct sp_fragments_config sp_fragments_share(const struct sp_fragments_config *all, unsigned int n_workers);

/* Bytes that the table takes, without packet buffers. Any thread. */
size_t sp_fragments_bytes(const struct sp_fragments *fragments);

/*
 * After the parser, when burst->fragments or burst->datagrams is not 0: each fragment is handed to the worker that puts its datagram
 * together, waits (verdict HELD), drops, or completes a datagram, which takes its place in the burst, parsed as a whole. `handed`: they
 * came from another worker, so that this is the one. Returns the datagrams made here, a bit a packet: their owner is yet to be found.
 */
uint32_t sp_fragments_burst(struct sp_worker *worker, const struct sp_port *port, bool handed);

/* Drops what waited too long, `budget` datagrams at most. Worker only. */
void sp_fragments_age(struct sp_worker *worker, unsigned int budget);

/* Drops all that waits, and from here on every fragment: the worker leaves. Worker only. */
void sp_fragments_close(struct sp_worker *worker);

/* Whether the mbuf is a datagram made of fragments. Any thread that owns it. */
bool sp_is_datagram(const struct rte_mbuf *mbuf);

/* Fragments of a datagram; *wire gets the sum of the lengths of their frames as they came. Any thread that owns it. */
unsigned int sp_fragments_count(const struct rte_mbuf *datagram, uint32_t *wire);

/* Sends one fragment, which is burst->mbuf[i] for so long, and owns it. */
typedef void (*sp_fragment_send_fn)(struct sp_worker *worker, unsigned int i);

/* Sends the fragments of datagram i of the burst, in order and as they came. Worker only. */
void sp_fragments_send(struct sp_worker *worker, unsigned int i, sp_fragment_send_fn send);

/* Frees datagram i of the burst, which was counted as dropped or consumed. Worker only. */
void sp_fragments_discard(struct sp_worker *worker, unsigned int i);

/*
 * Told what became of each fragment that waited: of the packet it was part of (i in burst), or by itself (burst NULL), dropped under
 * `reason`. `piece` carries the dynamic fields of the mbuf it came in.
 */
typedef void (*sp_fragment_fate_fn)(
	void *context, const struct rte_mbuf *piece, const struct sp_burst *burst, unsigned int i, uint8_t reason);

/* Worker's thread, between turns; replay. */
void sp_fragments_watch(struct sp_fragments *fragments, sp_fragment_fate_fn fn, void *context);

#endif
