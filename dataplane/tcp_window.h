/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The windows of a TCP session as the middle sees them: what each direction has sent, what the other permitted and acknowledged
 * (van Rooij, "Real Stateful TCP Packet Filtering in IP Filter"; RFC 9293 3.10.7.4, RFC 7323 2, RFC 5961 5). All numbers are modulo 2^32
 * and compared by signed difference; windows are at most 2^30.
 *
 * Numbers are those of the two ends, also when a SYN proxy answered the opener with a number of its own: reply_delta is taken off the
 * opener's acknowledgements here. So a segment is given as its sender sent it, before anything is translated.
 */
#ifndef SP_DATAPLANE_TCP_WINDOW_H
#define SP_DATAPLANE_TCP_WINDOW_H

#include "dataplane/session.h"

/* struct sp_session_tcp flags. A bit of the reply direction is that of the original one shifted by 1. */
#define SP_TCP_SEEN       0x01u /* a segment of the original direction told its numbers */
#define SP_TCP_ACKED      0x04u /* peer[].ack of the original direction holds */
#define SP_TCP_EARLY      0x10u /* data came with a SYN or before the handshake was over (RFC 7413) */
#define SP_TCP_SCALES     0x20u /* the opener's SYN offered window scaling */
#define SP_TCP_CHALLENGED 0x40u /* `challenged` holds */
#define SP_TCP_UNSCALED   0x80u /* SYN proxy: the opener scales its windows by `scale`, and its peer does not know */

#define SP_TCP_SCALE_MAX  14 /* RFC 7323 2.3 */
#define SP_TCP_SCALE_NONE (-1)

/* A segment in host byte order, as its sender sent it. */
struct sp_tcp_segment {
	uint32_t seq, ack; /* ack: of no meaning without the flag */
	uint16_t window;   /* as it stands in the header, unscaled */
	uint16_t payload;  /* bytes */
	uint8_t flags;
	int8_t scale; /* of a SYN: its window scale option, 0..SP_TCP_SCALE_MAX; else SP_TCP_SCALE_NONE */
};

/* Distance from b to a, negative when a comes before b. */
static inline int32_t sp_tcp_diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

/* First number after the segment: a SYN and a FIN occupy one each (RFC 9293 3.4). */
static inline uint32_t sp_tcp_segment_end(const struct sp_tcp_segment *segment)
{
	return segment->seq + segment->payload + (segment->flags & 1) + (segment->flags >> 1 & 1);
}

static inline bool sp_tcp_seen(const struct sp_session_tcp *tcp, unsigned int d)
{
	return tcp->flags & SP_TCP_SEEN << d;
}

static inline bool sp_tcp_acked(const struct sp_session_tcp *tcp, unsigned int d)
{
	return tcp->flags & SP_TCP_ACKED << d;
}

/* The window that a segment of direction d offers, scaled; a SYN's never is (RFC 7323 2.2). */
static inline uint32_t sp_tcp_offered(const struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment)
{
	unsigned int shift = segment->flags & 2 ? 0 : tcp->scale >> 4 * d & 0xf;

	return (uint32_t)segment->window << shift;
}

/* The acknowledgement in the numbers of the end that it is for. */
static inline uint32_t sp_tcp_ack(const struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment)
{
	return d == 0 ? segment->ack - tcp->reply_delta : segment->ack;
}

/*
 * Whether an ACK segment without SYN and RST of direction d (0: opener) lies inside the windows, both directions being known:
 * nothing beyond what the peer permitted, but for one octet that probes a closed window (RFC 9293 3.8.6.1); nothing older than one window
 * and one number (a keep-alive, 3.8.4) below what was sent; no acknowledgement of what was never sent, or older than one window (RFC
 * 5961 5.2).
 */
static inline bool sp_tcp_inside(const struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment)
{
	const struct sp_tcp_peer *self = &tcp->peer[d], *peer = &tcp->peer[1 - d];
	const uint32_t end = sp_tcp_segment_end(segment), ack = sp_tcp_ack(tcp, d, segment);
	const int32_t over = sp_tcp_diff(end, self->limit);

	return (over <= 0 || (over == 1 && (segment->payload <= 1 || segment->flags & 1))) &&
	       sp_tcp_diff(segment->seq, self->end - peer->max_window - 1) >= 0 && sp_tcp_diff(ack, peer->end) <= 0 &&
	       sp_tcp_diff(ack, self->ack - self->max_window) >= 0;
}

/* Moves the windows on for a segment that passed sp_tcp_inside. */
static inline void sp_tcp_advance(struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment)
{
	struct sp_tcp_peer *self = &tcp->peer[d], *peer = &tcp->peer[1 - d];
	const uint32_t end = sp_tcp_segment_end(segment), ack = sp_tcp_ack(tcp, d, segment), window = sp_tcp_offered(tcp, d, segment);

	if (sp_tcp_diff(end, self->end) > 0)
		self->end = end;
	if (sp_tcp_diff(ack, self->ack) > 0)
		self->ack = ack;
	if (sp_tcp_diff(ack + window, peer->limit) > 0)
		peer->limit = ack + window;
	if (window > self->max_window)
		self->max_window = window;
}

/*
 * Header prediction: for an ACK segment without SYN, FIN and RST of an established connection, whether both directions are known and it
 * lies inside the windows, which are then moved on. False says nothing, and changes nothing.
 */
static inline bool sp_tcp_follow(struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment)
{
	const uint8_t known = SP_TCP_ACKED | SP_TCP_ACKED << 1 | SP_TCP_SEEN | SP_TCP_SEEN << 1;

	if ((tcp->flags & known) != known || !sp_tcp_inside(tcp, d, segment))
		return false;
	sp_tcp_advance(tcp, d, segment);
	return true;
}

/* What else happens to numbers, off the fast path; tcp_window.c. Each changes nothing when it returns false. */

/* The opening SYN of a session, or with ACK the first segment of one that is picked up in mid-stream. */
void sp_tcp_window_open(struct sp_session_tcp *tcp, const struct sp_tcp_segment *segment);

/* The peer's first SYN, with or without ACK, after the opener's: false when it acknowledges something else than that. */
bool sp_tcp_window_answer(struct sp_session_tcp *tcp, const struct sp_tcp_segment *segment);

/* A bare ACK of a peer that knows nothing of the opener's SYN: remembered, for the opener resets it at that number (RFC 9293 3.5.1). */
void sp_tcp_window_stray_ack(struct sp_session_tcp *tcp, const struct sp_tcp_segment *segment);

/* A SYN, with or without ACK, for which sp_tcp_window_same_syn is true. */
bool sp_tcp_window_repeat_syn(struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment);

/* A segment with ACK and without RST in whatever the session knows: sp_tcp_inside and sp_tcp_advance, and what leads up to them. */
bool sp_tcp_window_take(struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment);

/* Whether a SYN, with or without ACK, is the one that direction d sent already (RFC 9293 3.8.1). */
bool sp_tcp_window_same_syn(const struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment);

/* Whether a RST is at the number that the other end can be known to expect (RFC 5961 3.2; before an answer RFC 9293 3.10.7.3). `fin`: the
 * direction's FIN was seen. */
bool sp_tcp_window_exact_reset(const struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment, bool fin);

/* Whether a RST lies between what the other end acknowledged and what it permitted. */
bool sp_tcp_window_near_reset(const struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment);

#endif
