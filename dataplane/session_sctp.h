/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SCTP associations (RFC 9260): the state as a table of state × direction × chunk, and the verification tags that every packet of an
 * association carries (8.5). One session is one path: the other addresses of a multi-homed host are sessions of nobody.
 */
#ifndef SP_DATAPLANE_SESSION_SCTP_H
#define SP_DATAPLANE_SESSION_SCTP_H

#include <rte_mbuf.h>

#include "dataplane/session.h"

/* Chunks of one packet that are looked at; a packet of more is dropped. */
#define SP_SCTP_CHUNKS_MAX 256

/*
 * Whether the packet (SCTP, parsed from mbuf) may open a session: it is an INIT alone, under the verification tag 0 (RFC 9260 8.5.1 A).
 * SP_DROP_NONE with its initiate tag in *tag; SCTP_NO_SESSION, SCTP_CHUNK or SCTP_TAG. Any thread.
 */
enum sp_drop_reason sp_sctp_open(const struct rte_mbuf *mbuf, const struct sp_packet *packet, uint32_t *tag);

/* Notes the initiate tag of the INIT that opened the session. The table's owner, after the insertion. */
void sp_sctp_begin(struct sp_sessions *sessions, uint32_t ref, uint32_t tag);

/*
 * Judges a packet of a live session (its state is one of SCTP_*) and advances state and tags. SP_DROP_NONE to go on, else SCTP_CHUNK,
 * SCTP_STATE or SCTP_TAG; a dropped packet changes nothing. An INIT in the original direction of a closed association returns SP_DROP_NONE
 * with *reopen true: the caller removes the session and treats the packet as a miss. The caller writes last_ms of what passes. The owner.
 */
enum sp_drop_reason sp_sctp_update(struct sp_sessions *sessions, uint32_t ref, const struct rte_mbuf *mbuf, const struct sp_packet *packet,
	uint32_t now_ms, bool *reopen);

/* Whether a packet in the direction of `ref` can have carried this verification tag: for one that an ICMP error quotes (10.1, ICMP7 and
 * ICMP8). Tags in host byte order. The owner. */
bool sp_sctp_tag_plausible(struct sp_sessions *sessions, uint32_t ref, uint32_t tag);

#endif
