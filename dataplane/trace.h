/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The live trace: what each stage made of a packet, as typed items, kept only for packets that a running capture with `trace` asks for.
 */
#ifndef SP_DATAPLANE_TRACE_H
#define SP_DATAPLANE_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/burst.h"
#include "dataplane/stage.h"

#define SP_TRACE_ITEMS    12  /* a packet */
#define SP_TRACE_TEXT_MAX 512 /* room that every trace's text fits in */

enum sp_trace_kind {
	SP_TRACE_PARSED,    /* small: family, value: protocol, or ethertype without a family */
	SP_TRACE_HANDED,    /* to the worker that owns the session, or puts the datagram together */
	SP_TRACE_HELD,      /* a fragment waits for the others */
	SP_TRACE_WHOLE,     /* a datagram is together, this fragment having been the last; value: bytes of layer 4's payload */
	SP_TRACE_EGRESS,    /* small: port index */
	SP_TRACE_HIT,       /* small: enum sp_session_state_id, value: id of the rule that admitted the session, 0 the default */
	SP_TRACE_HIT_REPLY, /* the same, in the reply's direction */
	SP_TRACE_MISS,
	SP_TRACE_ENDED,    /* the session ended at this packet */
	SP_TRACE_STATE,    /* small: the session's state from here on */
	SP_TRACE_RULE,     /* value: id of the rule that decided, 0 the default */
	SP_TRACE_NO_RULE,  /* passed without one: builtin */
	SP_TRACE_OPENED,   /* small: state of the new session */
	SP_TRACE_SCANNED,  /* small: patterns that matched, value: the first one's id */
	SP_TRACE_SENT,     /* small: port index */
	SP_TRACE_DROPPED,  /* small: enum sp_drop_reason */
	SP_TRACE_REJECTED, /* the same, and answered */
};

struct sp_trace_item {
	uint8_t stage; /* enum sp_stage */
	uint8_t kind;  /* enum sp_trace_kind */
	uint16_t small;
	uint32_t value;
};

/* Of the burst at hand; the worker's. */
struct sp_trace {
	uint32_t packets; /* bit i: packet i is traced */
	uint8_t n[SP_BURST_MAX];
	struct sp_trace_item item[SP_BURST_MAX][SP_TRACE_ITEMS];
};
static_assert(SP_BURST_MAX <= 32, "a bit a packet");

struct sp_worker;
struct sp_dataplane;

/* Starts the trace of packet i. Worker only. */
static inline void sp_trace_start(struct sp_trace *trace, unsigned int i)
{
	trace->packets |= 1u << i;
	trace->n[i] = 0;
}

/* Appends what the stage that just ran made of each traced packet, read off the burst. Worker only. */
void sp_trace_stage(struct sp_worker *worker, enum sp_stage stage);

/*
 * The items as one line, "parse ipv4 tcp; egress out; session miss; rule 10; …", cut where `size` ends. Returns its length. Items that make
 * no sense are left out. Any thread.
 */
size_t sp_trace_format(const struct sp_dataplane *dataplane, const struct sp_trace_item *items, unsigned int n, char *buf, size_t size);

#endif
