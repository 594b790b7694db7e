/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The beginnings of windows, and what a SYN and a RST may do to them. The record is the session's; the worker's thread alone touches it.
 */
#include "dataplane/tcp_window.h"

#include "dataplane/session_tcp.h"

#define ACK 0x10u
#define SYN 0x02u

/* Data that may come before the end of the handshake and makes the number of the SYN uncertain: no more than a first window. */
#define EARLY_MAX 65535

static uint32_t later(uint32_t a, uint32_t b)
{
	return sp_tcp_diff(a, b) > 0 ? a : b;
}

static uint32_t at_least_one(uint32_t window)
{
	return window == 0 ? 1 : window;
}

static void note_early(struct sp_session_tcp *tcp, const struct sp_tcp_segment *segment)
{
	if (segment->payload > 0)
		tcp->flags |= SP_TCP_EARLY;
}

void sp_tcp_window_open(struct sp_session_tcp *tcp, const struct sp_tcp_segment *segment)
{
	struct sp_tcp_peer *opener = &tcp->peer[0];

	opener->end = sp_tcp_segment_end(segment);
	tcp->flags = SP_TCP_SEEN;
	if (segment->flags & SYN) {
		/* Until the answer, `limit` is the number after the SYN: the least that a SYN+ACK acknowledges. */
		opener->limit = segment->seq + 1;
		opener->max_window = at_least_one(segment->window);
		note_early(tcp, segment);
		if (segment->scale != SP_TCP_SCALE_NONE) {
			tcp->scale = (uint8_t)segment->scale;
			tcp->flags |= SP_TCP_SCALES;
		}
		return;
	}
	/* Mid-stream: what the SYNs agreed on is unknown, so windows are taken for as large as they can be. */
	tcp->scale = SP_TCP_SCALE_MAX | SP_TCP_SCALE_MAX << 4;
	opener->limit = opener->end;
	opener->ack = sp_tcp_ack(tcp, 0, segment);
	opener->max_window = at_least_one(sp_tcp_offered(tcp, 0, segment));
	tcp->flags |= SP_TCP_ACKED;
}

bool sp_tcp_window_answer(struct sp_session_tcp *tcp, const struct sp_tcp_segment *segment)
{
	struct sp_tcp_peer *opener = &tcp->peer[0], *peer = &tcp->peer[1];
	const bool acks = segment->flags & ACK;
	const uint32_t acked = acks ? segment->ack : opener->limit;

	if (sp_tcp_diff(acked, opener->limit) < 0 || sp_tcp_diff(acked, opener->end) > 0)
		return false;
	/* Scaling is on when both SYNs carry the option (RFC 7323 2.2). */
	if ((tcp->flags & SP_TCP_SCALES) && segment->scale != SP_TCP_SCALE_NONE)
		tcp->scale = (uint8_t)((tcp->scale & 0xf) | segment->scale << 4);
	else
		tcp->scale = 0;
	peer->end = sp_tcp_segment_end(segment);
	peer->ack = acked;
	peer->max_window = at_least_one(segment->window);
	/* Until the opener acknowledges, this minus its window is the number after the peer's SYN. */
	peer->limit = segment->seq + 1 + opener->max_window;
	opener->limit = acked + peer->max_window;
	tcp->flags &= ~(SP_TCP_ACKED << 1);
	tcp->flags |= SP_TCP_SEEN << 1;
	if (acks)
		tcp->flags |= SP_TCP_ACKED << 1;
	note_early(tcp, segment);
	return true;
}

void sp_tcp_window_stray_ack(struct sp_session_tcp *tcp, const struct sp_tcp_segment *segment)
{
	tcp->peer[1].ack = segment->ack;
	tcp->flags |= SP_TCP_ACKED << 1;
}

bool sp_tcp_window_repeat_syn(struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment)
{
	struct sp_tcp_peer *self = &tcp->peer[d];

	if (segment->flags & ACK)
		return sp_tcp_window_take(tcp, d, segment);
	if (sp_tcp_seen(tcp, 1 - d))
		return sp_tcp_diff(sp_tcp_segment_end(segment), self->end) <= 0;
	self->end = later(self->end, sp_tcp_segment_end(segment));
	note_early(tcp, segment);
	return true;
}

/* A direction's segments before the other was seen: mid-stream pick-up. */
static void take_alone(struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment)
{
	struct sp_tcp_peer *self = &tcp->peer[d];

	self->end = later(self->end, sp_tcp_segment_end(segment));
	self->limit = self->end;
	self->ack = later(self->ack, sp_tcp_ack(tcp, d, segment));
	self->max_window = RTE_MAX(self->max_window, sp_tcp_offered(tcp, d, segment));
}

/* The first segment of the other direction: each has sent what the other acknowledges, whether it passed here or not. */
static void meet(struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment)
{
	struct sp_tcp_peer *self = &tcp->peer[d], *peer = &tcp->peer[1 - d];
	const uint32_t window = sp_tcp_offered(tcp, d, segment);

	self->end = later(sp_tcp_segment_end(segment), peer->ack);
	self->limit = later(self->end, peer->ack + peer->max_window);
	self->ack = sp_tcp_ack(tcp, d, segment);
	self->max_window = at_least_one(window);
	peer->end = later(peer->end, self->ack);
	peer->limit = later(peer->end, self->ack + window);
	tcp->flags |= (SP_TCP_SEEN | SP_TCP_ACKED) << d;
}

/* The first acknowledgement of a direction whose SYN had none: of the other's SYN at least. */
static bool first_ack(const struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment)
{
	const uint32_t after_syn = tcp->peer[1 - d].limit - tcp->peer[d].max_window;

	return sp_tcp_diff(sp_tcp_ack(tcp, d, segment), after_syn) >= 0;
}

bool sp_tcp_window_take(struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment)
{
	struct sp_session_tcp before = *tcp;

	if (!sp_tcp_seen(tcp, d)) {
		/* Nothing is known of an end that did not answer the opener's SYN. */
		if (!sp_tcp_acked(tcp, 1 - d))
			return false;
		meet(tcp, d, segment);
		return true;
	}
	if (!sp_tcp_seen(tcp, 1 - d)) {
		if (!sp_tcp_acked(tcp, d))
			return false;
		take_alone(tcp, d, segment);
		return true;
	}
	if (!sp_tcp_acked(tcp, d)) {
		if (!first_ack(tcp, d, segment))
			return false;
		tcp->peer[d].ack = sp_tcp_ack(tcp, d, segment);
		tcp->flags |= SP_TCP_ACKED << d;
	}
	if (!sp_tcp_inside(tcp, d, segment)) {
		*tcp = before;
		return false;
	}
	if (!sp_tcp_acked(tcp, 1 - d))
		note_early(tcp, segment);
	sp_tcp_advance(tcp, d, segment);
	return true;
}

bool sp_tcp_window_same_syn(const struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment)
{
	const struct sp_tcp_peer *self = &tcp->peer[d], *peer = &tcp->peer[1 - d];
	const uint32_t after_syn = segment->seq + 1;
	const int32_t sent_since = sp_tcp_diff(self->end, after_syn);

	if (d == 0 && !sp_tcp_seen(tcp, 1))
		return after_syn == self->limit;
	if (!sp_tcp_seen(tcp, d) || (segment->flags & ACK && sp_tcp_diff(sp_tcp_ack(tcp, d, segment), peer->end) > 0))
		return false;
	if (sent_since == 0 || (sp_tcp_acked(tcp, 1 - d) && after_syn == peer->ack))
		return true;
	return (tcp->flags & SP_TCP_EARLY) && sent_since > 0 && sent_since <= EARLY_MAX;
}

bool sp_tcp_window_exact_reset(const struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment, bool fin)
{
	const struct sp_tcp_peer *self = &tcp->peer[d], *peer = &tcp->peer[1 - d];

	if (sp_tcp_acked(tcp, 1 - d) && segment->seq == peer->ack)
		return true;
	if (!sp_tcp_seen(tcp, d)) {
		/* A refusal proves itself by what it acknowledges. */
		return (segment->flags & ACK) && sp_tcp_diff(segment->ack, peer->limit) >= 0 && sp_tcp_diff(segment->ack, peer->end) <= 0;
	}
	if (segment->seq == self->end || (!sp_tcp_seen(tcp, 1 - d) && segment->seq == self->limit))
		return true;
	/* Some stacks reset a closed connection at the number of their FIN, and others accept that. */
	return fin && segment->seq == self->end - 1;
}

bool sp_tcp_window_near_reset(const struct sp_session_tcp *tcp, unsigned int d, const struct sp_tcp_segment *segment)
{
	const struct sp_tcp_peer *self = &tcp->peer[d], *peer = &tcp->peer[1 - d];

	if (sp_tcp_window_exact_reset(tcp, d, segment, true))
		return true;
	return sp_tcp_seen(tcp, d) && sp_tcp_acked(tcp, 1 - d) && sp_tcp_diff(segment->seq, peer->ack) >= 0 &&
	       sp_tcp_diff(segment->seq, self->limit) <= 0;
}

bool sp_tcp_seq_plausible(struct sp_sessions *sessions, uint32_t ref, uint32_t seq)
{
	const struct sp_session_tcp *tcp = sp_session_tcp(sessions, ref);
	const unsigned int d = (ref & SP_SESSION_REPLY) != 0;
	const struct sp_tcp_peer *self = &tcp->peer[d];
	uint32_t oldest;

	if (!sp_tcp_seen(tcp, d))
		return false;
	if (d == 1)
		seq -= tcp->reply_delta;
	if (sp_tcp_acked(tcp, 1 - d) && sp_tcp_seen(tcp, 1 - d))
		oldest = tcp->peer[1 - d].ack;
	else if (d == 0 && !sp_tcp_seen(tcp, 1))
		oldest = self->limit;
	else
		oldest = self->end - (tcp->flags & SP_TCP_EARLY ? EARLY_MAX : 0);
	return sp_tcp_diff(seq, oldest - 1) >= 0 && sp_tcp_diff(seq, self->end) <= 0;
}
