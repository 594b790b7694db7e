/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Captures on their way from the workers to a file: a set of captures that workers load once a turn, each with a bounded ring a worker.
 * A full ring loses the copy and counts it; the packet path never waits, and without a capture it pays one load a turn.
 */
#ifndef SP_DATAPLANE_CAPTURE_H
#define SP_DATAPLANE_CAPTURE_H

#include <pcap/pcap.h>
#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/trace.h"
#include "dataplane/verdict.h"

#define SP_CAPTURES_RUNNING    4 /* at once */
#define SP_CAPTURE_SNAPLEN_MIN 64
#define SP_CAPTURE_SNAPLEN_MAX 65535

/* Where a packet may be copied; bits of a capture's `points`. */
enum sp_capture_point {
	SP_CAPTURE_RX = 1,   /* as it came from the port, VLAN tag restored; before any stage judges it */
	SP_CAPTURE_TX = 2,   /* as it leaves; answers that the firewall builds among them */
	SP_CAPTURE_DROP = 4, /* as it was when it was dropped */
};

/* One copy in a ring. */
struct sp_capture_packet {
	uint64_t tsc;
	uint32_t length;   /* bytes of the frame, without FCS */
	uint32_t captured; /* bytes of data[] */
	uint32_t rule;     /* id of the rule that decided, 0: the default; only with has_rule */
	uint16_t port;     /* index: ingress (rx, drop) or egress (tx, drop with queue_tx) */
	uint8_t point;     /* enum sp_capture_point */
	uint8_t reason;    /* enum sp_drop_reason */
	bool has_rule, rejected, built;
	uint8_t n_trace;
	struct sp_trace_item trace[SP_TRACE_ITEMS];
	uint8_t data[];
};

struct sp_capture_ring {  /* one producer, the worker; one consumer, the writer */
	uint8_t *slots;   /* owned */
	uint32_t n_slots; /* a power of two */
	uint32_t slot_bytes;
	uint64_t head __attribute__((aligned(64))); /* the worker's */
	uint64_t lost;                              /* copies that found the ring full; relaxed readers */
	uint64_t tail __attribute__((aligned(64))); /* the writer's */
};

struct sp_capture_config {
	struct bpf_program filter; /* ownership passes; bf_insns NULL: every packet */
	uint8_t points;            /* bits enum sp_capture_point */
	bool trace;
	uint32_t snaplen; /* SP_CAPTURE_SNAPLEN_MIN to _MAX: bytes kept of a frame */
};

/* Immutable but for its rings. */
struct sp_capture {
	struct bpf_program filter; /* owned */
	uint8_t points;
	bool trace;
	uint32_t snaplen;
	unsigned int n_rings;
	struct sp_capture_ring *rings; /* one a worker; owned */
};

/* What workers load: immutable, replaced as a whole and freed after grace. Does not own the captures. */
struct sp_capture_set {
	unsigned int n;
	uint8_t points; /* of all of them */
	bool trace;     /* any of them */
	struct sp_capture *capture[SP_CAPTURES_RUNNING];
};

/* Rings for n_workers, their memory touched. On success the filter is the capture's. NULL with errno ENOMEM. Any thread but a worker. */
struct sp_capture *sp_capture_create(const struct sp_capture_config *config, unsigned int n_workers);

/* When no worker can see it any more; NULL is fine. */
void sp_capture_free(struct sp_capture *capture);

/* The oldest copy in the ring, NULL when it is empty; it stays valid until sp_capture_next. The writer only. */
const struct sp_capture_packet *sp_capture_peek(const struct sp_capture_ring *ring);

/* Gives the oldest copy's slot back. The writer only. */
void sp_capture_next(struct sp_capture_ring *ring);

struct sp_worker;

/*
 * After the parser, when worker->captures is not NULL: copies at rx, and starts traces. `handed` bursts were copied where they came in.
 * Worker only.
 */
void sp_capture_parsed(struct sp_worker *worker, bool handed);

/* Copies packet i of the burst at `point`, `port` being where it is, into every capture that wants it. Worker only. */
void sp_capture_packet(struct sp_worker *worker, unsigned int i, enum sp_capture_point point, uint16_t port);

/* The same for a packet outside the burst: one the worker built (tx), or could not send (drop). Worker only. */
void sp_capture_mbuf(
	struct sp_worker *worker, const struct rte_mbuf *mbuf, enum sp_capture_point point, uint16_t port, enum sp_drop_reason reason);

#endif
