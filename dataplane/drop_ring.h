/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The drop ring: of each drop reason the last headers, always on, so that "why was it dropped" has an answer after the fact. One ring a
 * worker, overwritten in place by that worker; others copy records out under a sequence counter and never hold it up.
 */
#ifndef SP_DATAPLANE_DROP_RING_H
#define SP_DATAPLANE_DROP_RING_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/burst.h"
#include "dataplane/key.h"
#include "dataplane/verdict.h"

#define SP_DROP_RING_DEPTH   16  /* records a reason and worker; a power of two */
#define SP_DROP_HEADER_BYTES 128 /* of the frame */

struct sp_worker;

/* One dropped packet. */
struct sp_drop_record {
	uint32_t sequence;          /* odd while the worker writes; even and above 0: whole */
	uint32_t rule;              /* rule id, 0: the default; only with has_rule */
	uint64_t tsc;               /* of the burst, in TSC cycles */
	uint32_t length;            /* frame bytes, without FCS */
	uint16_t header_len;        /* bytes of header[] */
	uint16_t port;              /* index of the ingress port, of the egress port for queue_tx */
	uint8_t reason;             /* enum sp_drop_reason */
	uint8_t verdict;            /* enum sp_verdict: DROP or REJECT */
	uint8_t zone_from, zone_to; /* SP_MATCH_NO_ZONE: unknown */
	uint8_t tcp_flags;
	uint8_t kind; /* enum sp_kind */
	bool has_rule;
	uint8_t reserved;
	struct sp_key key; /* as far as the parser came; family NONE: no addresses */
	uint8_t pad[48];
	uint8_t header[SP_DROP_HEADER_BYTES];
} __attribute__((aligned(64)));
static_assert(sizeof(struct sp_drop_record) == 256, "four lines a record, the header on two of its own");

struct sp_drop_ring {
	uint32_t next[SP_DROP_COUNT]; /* records written; the worker's */
	struct sp_drop_record record[SP_DROP_COUNT][SP_DROP_RING_DEPTH];
};

/* Remembers packet i of the worker's burst, whose verdict is DROP or REJECT and whose mbuf still stands. Worker only. */
void sp_drop_note(struct sp_worker *worker, unsigned int i);

/* Remembers a packet that is dropped outside a burst. Worker only. */
void sp_drop_note_mbuf(struct sp_worker *worker, const struct rte_mbuf *mbuf, uint16_t port, enum sp_drop_reason reason);

/* The same for one that was in a burst before, as parsed then. Worker only. */
void sp_drop_note_packet(
	struct sp_worker *worker, const struct rte_mbuf *mbuf, const struct sp_packet *packet, uint16_t port, enum sp_drop_reason reason);

/* Remembers a fragment that waited; `key` holds what all fragments of its datagram have in common. Worker only. */
void sp_drop_note_fragment(struct sp_worker *worker, const struct rte_mbuf *mbuf, const struct sp_key *key, uint8_t zone, uint16_t port,
	enum sp_drop_reason reason);

/* Copies one record. False when there is none yet, or the worker overwrites it just now. Any thread; does not block. */
bool sp_drop_read(const struct sp_drop_ring *ring, enum sp_drop_reason reason, unsigned int index, struct sp_drop_record *out);

#endif
