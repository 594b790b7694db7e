/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events on their way from a worker to the event writer: a fixed record in a bounded single-producer ring a worker. A full ring loses the
 * event and counts it; the packet path never waits.
 */
#ifndef SP_DATAPLANE_EVENT_H
#define SP_DATAPLANE_EVENT_H

#include <rte_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/key.h"

enum sp_event_type { SP_EVENT_FLOW_START, SP_EVENT_FLOW_END, SP_EVENT_DROP, SP_EVENT_ALERT, SP_EVENT_DEFENCE, SP_EVENT_NAT };

enum sp_flow_end {
	SP_END_TIMEOUT,
	SP_END_TCP,
	SP_END_KILLED,
	SP_END_RULES,
	SP_END_INSPECTION,
	SP_END_REOPENED,
	SP_END_EVICTED,
	SP_END_COUNT
};

extern const char *const sp_flow_end_names[SP_END_COUNT]; /* "timeout", "tcp", "killed", "rules", "inspection", "reopened", "evicted" */

#define SP_EVENT_RING_SIZE 8192 /* records a worker */

struct sp_event {
	uint64_t tsc;        /* when, in TSC cycles */
	struct sp_key key;   /* the opener's tuple (flow), the packet's (drop, alert); nat: from the inside end to the external one */
	struct sp_key reply; /* flow: the tuple of answers; another one than key reversed when the session is translated */
	uint64_t flow_id;    /* stable over a session's life; 0 without one */
	uint32_t rule;       /* rule id; 0: the default or none; nat: id of the entry */
	uint32_t signature;  /* alert: pattern id */
	uint64_t bytes[2];   /* flow end; defence: what is measured, and its threshold; nat: ports of a block, 0 */
	uint32_t packets[2];
	uint32_t age_ms;     /* flow end */
	uint32_t suppressed; /* events of the same rule, kind and worker that its log rate withheld since the one before */
	uint16_t port;       /* ingress port index; SP_NO_PORT at flow end */
	uint8_t type;        /* enum sp_event_type */
	uint8_t reason;      /* enum sp_drop_reason */
	uint8_t verdict;     /* enum sp_verdict of the packet */
	uint8_t why;         /* flow end: enum sp_flow_end; defence: enum sp_defence; nat: enum sp_nat_event */
	uint16_t length;     /* frame bytes of the packet (drop, alert) */
	uint8_t state;       /* flow end: enum sp_session_state_id; defence: 1 engaged, 0 disengaged */
	uint8_t worker;
	uint8_t pad[14];
};
static_assert(sizeof(struct sp_event) % 16 == 0, "ring elements are multiples of 16 bytes here");

struct sp_event_ring {
	struct rte_ring *ring;
	uint64_t lost; /* one writer: the worker; relaxed readers */
	uint64_t posted;
	uint64_t suppressed; /* by the log rate of their rule */
};

/* 0 or -errno. */
int sp_event_ring_init(struct sp_event_ring *ring, unsigned int worker, int socket);
void sp_event_ring_free(struct sp_event_ring *ring);

/* Worker only; never blocks. False when the ring was full. */
bool sp_event_post(struct sp_event_ring *ring, const struct sp_event *event);

/* Takes up to n events; returns how many. The event writer only. */
unsigned int sp_event_take(struct sp_event_ring *ring, struct sp_event *events, unsigned int n);

#endif
