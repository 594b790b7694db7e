/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP connection state: a table of state × direction × flags (session_tcp.c) over windows (tcp_window.h).
 *
 * What passes was legal for the receiver in every state that it can be in, and what the firewall believes of a connection changes only by
 * segments that its ends must believe, too:
 *   - A RST closes only at the exact number (RFC 5961 3.2). Any other is dropped, so that no end acts on it, and answered to its sender
 * with a challenge ACK: a sender that means it repeats the RST at the number of that ACK.
 *   - A SYN inside a connection is dropped and answered with a challenge ACK (RFC 5961 4.2): a rebooted opener answers that with an exact
 * RST, which ends the old connection at the other end and here, and its next SYN opens anew.
 *   - Segments that overlap or repeat others pass while they lie inside the windows, whatever they carry. Their payload is not compared:
 *     which of two differing copies the receiver keeps is not known here.
 */
#ifndef SP_DATAPLANE_SESSION_TCP_H
#define SP_DATAPLANE_SESSION_TCP_H

#include "dataplane/session.h"
#include "dataplane/tcp_window.h"

/*
 * Whether a segment with these flags can occur at all: a SYN, a SYN+ACK, a RST, or anything with ACK; never two of SYN, FIN and RST, and no
 * FIN, PSH or URG without ACK except on a SYN (RFC 9293 3.10.7). The upper two bits are not looked at.
 */
bool sp_tcp_flags_valid(uint8_t flags);

/*
 * Reads the header of a parsed TCP packet (kind FLOW), whatever its segmentation; options only of a SYN. False, and *out undefined, when it
 * does not reach: never after the parser.
 */
bool sp_tcp_read(const struct rte_mbuf *mbuf, const struct sp_packet *packet, struct sp_tcp_segment *out);

/* What to do with a segment besides passing or dropping it. */
enum sp_tcp_next {
	SP_TCP_GO_ON,
	SP_TCP_REOPEN,    /* passes so far: the caller removes the session and treats the packet as a miss */
	SP_TCP_CHALLENGE, /* dropped: to be answered with a challenge ACK (tcp_challenge.h) */
};

/*
 * Starts the windows of a session that was just inserted: from its opening SYN (state TCP_SYN_SENT), or, when mid-stream pick-up is on,
 * from a segment with ACK (state TCP_SYN_RECEIVED; windows are open until the other direction was seen, and scales taken as the largest).
 */
void sp_tcp_open(struct sp_sessions *sessions, uint32_t ref, const struct sp_tcp_segment *segment);

/* The same from the packet. */
void sp_tcp_open_packet(struct sp_sessions *sessions, uint32_t ref, const struct rte_mbuf *mbuf, const struct sp_packet *packet);

/*
 * Judges a segment of a live TCP session (its state is one of TCP_*) and advances its state and windows. Returns SP_DROP_NONE to go on or a
 * reason of the family tcp_; a dropped segment changes nothing. The caller writes last_ms of what passes.
 *
 * A SYN proxy calls this with segments as they came from the wire, before it adds reply_delta to those of the reply direction and takes it
 * off acknowledgements of the original one.
 */
enum sp_drop_reason sp_tcp_update(
	struct sp_sessions *sessions, uint32_t ref, const struct sp_tcp_segment *segment, uint32_t now_ms, enum sp_tcp_next *next);

/*
 * Whether `seq` (host byte order, as quoted by an ICMP error) may be the number of a segment that the direction of `ref` has on its way:
 * from one below what the other end acknowledged (a keep-alive) to the end of what was sent (RFC 5927 4.1). A live TCP session. Takes
 * reply_delta into account: the number is as its sender, or for a proxied reply its receiver, knows it.
 */
bool sp_tcp_seq_plausible(struct sp_sessions *sessions, uint32_t ref, uint32_t seq);

#endif
