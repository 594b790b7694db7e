/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inspection of payload by Hyperscan: block mode, one packet at a time, over all segments of the packet. The interface takes a packet of a
 * session so that stream mode can replace the inside.
 */
#ifndef SP_DATAPLANE_INSPECT_H
#define SP_DATAPLANE_INSPECT_H

#include "dataplane/burst.h"
#include "dataplane/session.h"
#include "rules/inspector.h"

/* A payload of several segments is copied into the worker's buffer of this size before the scan; one frame fits. */
#define SP_INSPECT_BUFFER_BYTES 65536

struct sp_inspect_counters {     /* one writer; relaxed readers */
	uint64_t packets, bytes; /* scanned */
	uint64_t matches, alerts, drops, errors;
	uint64_t past_depth; /* packets not scanned because the direction's depth was reached */
};

struct sp_inspect_result {
	bool drop;  /* a drop pattern matched in a blocking profile */
	bool error; /* Hyperscan failed: fail closed */
	uint8_t n;  /* ids in signature[], at most SP_SIGNATURES_MAX; each once */
	uint32_t signature[SP_SIGNATURES_MAX];
};

/*
 * Scans the payload of packet i (TCP, UDP, SCTP, others after their header) of a session with `profile`'s inspector. `ext` holds the bytes
 * scanned so far, the direction is 0 (original) or 1; ext is advanced. `buffer` is the worker's scratch of SP_INSPECT_BUFFER_BYTES. Worker
 * only.
 */
void sp_inspect_packet(const struct sp_inspector *inspector, hs_scratch_t *scratch, uint8_t *buffer, const struct rte_mbuf *mbuf,
	const struct sp_packet *packet, struct sp_session_inspect *ext, unsigned int direction, struct sp_inspect_counters *counters,
	struct sp_inspect_result *result);

#endif
