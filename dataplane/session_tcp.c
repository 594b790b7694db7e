/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The TCP state machine as the middle sees it: a segment that no end in this state can send, or should still see, is dropped, and so is one
 * whose numbers its receiver would not accept.
 */
#include "dataplane/session_tcp.h"

#define FIN 0x01u
#define SYN 0x02u
#define RST 0x04u
#define PSH 0x08u
#define ACK 0x10u
#define URG 0x20u

/* What a segment does in the table, by its flags, and for those without SYN, FIN and RST by whether it carries data. */
enum segment { SEGMENT_SYN, SEGMENT_SYNACK, SEGMENT_ACK, SEGMENT_DATA, SEGMENT_FIN, SEGMENT_RST, SEGMENT_COUNT };

/* Besides a state to go to, a cell says: */
#define KEEP   0xf0u /* pass, state unchanged */
#define DROP   0xf1u /* drop as tcp_state */
#define REOPEN 0xf2u /* the tuple is used anew: the caller ends this session and judges the packet as a first one */
#define NEWER  0xf3u /* the same for a number after all of the old connection, else CHALLENGE */
#define CLOSES 0xf4u /* a FIN: fin-wait after the first direction's, closing after both */
#define LAST   0xf5u /* time-wait when both FINs are acknowledged */
#define AGAIN  0xf6u /* a SYN that this direction sent before passes, another is CHALLENGE */
#define RETRY  0xf7u /* the same; another is REOPEN */
#define ANSWER 0xf8u /* the peer's SYN: to syn-received */
#define STRAY  0xf9u /* an ACK of no connection that is known here */
#define STARTS 0xfau /* the opener's ACK: established, when the peer's SYN+ACK was seen */
#define ALIEN  0xfbu /* CHALLENGE: drop as tcp_syn, to be answered */
#define RESET  0xfcu /* an exact RST: closed; another is dropped as tcp_rst and answered */
#define ENDED  0xfdu /* the same, unanswered */
#define ECHOED 0xfeu /* a RST after one: passes when it is near */

#define SYN_RECEIVED SP_STATE_TCP_SYN_RECEIVED
#define ESTABLISHED  SP_STATE_TCP_ESTABLISHED
#define TIME_WAIT    SP_STATE_TCP_TIME_WAIT
#define CLOSED       SP_STATE_TCP_CLOSED

#define STATE_FIRST SP_STATE_TCP_SYN_SENT
#define STATE_COUNT (SP_STATE_TCP_CLOSED - SP_STATE_TCP_SYN_SENT + 1)
static_assert(STATE_COUNT == 7 && SP_STATE_TCP_CLOSED + 1 == SP_STATE_COUNT, "the TCP states are the last seven");

/*
 * next[state][direction][segment]; sections are of RFC 9293. What passes by KEEP, CLOSES, LAST and STARTS lies inside the windows as well.
 *
 * SYN_SENT      The original direction sent a SYN, the reply direction nothing yet. A repeated SYN is a retransmission (3.8.1), one with
 *               another number another attempt of the opener, judged as a first packet; its RST ends a half-open connection (3.5.1, figure
 *               8). A reply's SYN is a simultaneous open (3.5, figure 7), its SYN+ACK must acknowledge the SYN (3.10.7.3, first); its bare
 *               ACK comes from a half-open peer and makes the opener reset it (3.5.1), so it passes; a RST that acknowledges the SYN
 *               refuses (3.10.7.3, second).
 * SYN_RECEIVED  Both sent SYN. Retransmissions of both pass; SYN+ACK of the opener belongs to a simultaneous open (figure 7). Only the
 *               opener's ACK establishes (3.10.7.4, fifth). The answering side may send data (RFC 7413 4.2) and close (3.6) before that.
 * ESTABLISHED   A SYN is stopped and challenged (RFC 5961 4.2, RFC 9293 3.10.7.4, fourth). But a reply's SYN+ACK is repeated when the
 *               opener's ACK was lost behind us (3.8.1). A RST closes at the exact number (RFC 5961 3.2; 3.10.7.4, second).
 * FIN_WAIT      One direction closed; the other may send as long as it wants (3.6, half-close).
 * CLOSING       Both closed; acknowledging both FINs ends it (3.6, figures 12 and 13).
 * TIME_WAIT     The last ACK passed. A repeated FIN and its ACK pass (3.10.7.4, eighth). A SYN of the opener starts anew when its number is
 *               later than all that was (3.6.1, RFC 6191 3); any other is challenged, and the exact RST by which an opener that forgot the
 *               old connection answers that ends the wait here. At the ends RFC 1337 decides what a RST does.
 * CLOSED        A RST passed (3.10.7.4, second). RST, bare ACK and FIN are what the ends still exchange to agree on it (3.5.2, 3.5.3);
 *               data is not; a SYN of the opener starts anew.
 */
/* clang-format off */
static const uint8_t next[STATE_COUNT][2][SEGMENT_COUNT] = {
	/*                                        SYN     SYN+ACK ACK     DATA    FIN     RST */
	[SP_STATE_TCP_SYN_SENT - STATE_FIRST] = {
		/* original */                  { RETRY,  DROP,   DROP,   DROP,   DROP,   ENDED  },
		/* reply    */                  { ANSWER, ANSWER, STRAY,  DROP,   DROP,   ENDED  } },
	[SP_STATE_TCP_SYN_RECEIVED - STATE_FIRST] = {
		/* original */                  { AGAIN,  AGAIN,  STARTS, STARTS, CLOSES, RESET  },
		/* reply    */                  { AGAIN,  AGAIN,  KEEP,   KEEP,   CLOSES, RESET  } },
	[SP_STATE_TCP_ESTABLISHED - STATE_FIRST] = {
		/* original */                  { ALIEN,  ALIEN,  KEEP,   KEEP,   CLOSES, RESET  },
		/* reply    */                  { ALIEN,  AGAIN,  KEEP,   KEEP,   CLOSES, RESET  } },
	[SP_STATE_TCP_FIN_WAIT - STATE_FIRST] = {
		/* original */                  { ALIEN,  ALIEN,  KEEP,   KEEP,   CLOSES, RESET  },
		/* reply    */                  { ALIEN,  AGAIN,  KEEP,   KEEP,   CLOSES, RESET  } },
	[SP_STATE_TCP_CLOSING - STATE_FIRST] = {
		/* original */                  { ALIEN,  ALIEN,  LAST,   LAST,   LAST,   RESET  },
		/* reply    */                  { ALIEN,  ALIEN,  LAST,   LAST,   LAST,   RESET  } },
	[SP_STATE_TCP_TIME_WAIT - STATE_FIRST] = {
		/* original */                  { NEWER,  DROP,   KEEP,   KEEP,   KEEP,   ENDED  },
		/* reply    */                  { DROP,   DROP,   KEEP,   KEEP,   KEEP,   ENDED  } },
	[SP_STATE_TCP_CLOSED - STATE_FIRST] = {
		/* original */                  { REOPEN, DROP,   KEEP,   DROP,   KEEP,   ECHOED },
		/* reply    */                  { DROP,   DROP,   KEEP,   DROP,   KEEP,   ECHOED } },
};
/* clang-format on */

#define FLAGS(f)        (1ull << (f))
#define FLAGS_OR_PSH(f) (FLAGS(f) | FLAGS((f) | PSH))

/* One bit a combination of the low six flags. Every segment but a SYN and a RST carries ACK (3.10.7); CWR, ECE and AE say nothing here. */
static const uint64_t valid_flags = FLAGS_OR_PSH(SYN) | FLAGS_OR_PSH(SYN | URG) | FLAGS_OR_PSH(SYN | ACK) | FLAGS_OR_PSH(RST) |
				    FLAGS_OR_PSH(RST | ACK) | FLAGS_OR_PSH(ACK) | FLAGS_OR_PSH(ACK | URG) | FLAGS_OR_PSH(FIN | ACK) |
				    FLAGS_OR_PSH(FIN | ACK | URG);

bool sp_tcp_flags_valid(uint8_t flags)
{
	return valid_flags >> (flags & 0x3f) & 1;
}

/* The flags are valid: at most one of SYN, FIN and RST. */
static enum segment segment_of(uint8_t flags, bool data)
{
	if (flags & RST)
		return SEGMENT_RST;
	if (flags & SYN)
		return flags & ACK ? SEGMENT_SYNACK : SEGMENT_SYN;
	if (flags & FIN)
		return SEGMENT_FIN;
	return data ? SEGMENT_DATA : SEGMENT_ACK;
}

/* One segment on its way through the table. */
struct judgement {
	struct sp_session_state *state;
	struct sp_session_tcp *tcp;
	const struct sp_tcp_segment *segment;
	unsigned int d;
	uint8_t to; /* state that follows */
	enum sp_tcp_next next;
};

static bool has_fin(const struct judgement *judgement)
{
	return judgement->tcp->fins >> judgement->d & 1;
}

static enum sp_drop_reason challenged(struct judgement *judgement, enum sp_drop_reason reason)
{
	judgement->next = SP_TCP_CHALLENGE;
	return reason;
}

/* After its FIN a direction has nothing more to send, and a FIN comes after everything sent (3.6). */
static bool fin_fits(const struct judgement *judgement)
{
	const struct sp_tcp_segment *segment = judgement->segment;
	const bool closed = has_fin(judgement);
	const int32_t beyond = sp_tcp_diff(sp_tcp_segment_end(segment), judgement->tcp->peer[judgement->d].end);

	if (segment->flags & FIN)
		return beyond == 0 || (beyond > 0 && !closed);
	return beyond <= 0 || !closed;
}

static enum sp_drop_reason take(struct judgement *judgement)
{
	if (!fin_fits(judgement) || !sp_tcp_window_take(judgement->tcp, judgement->d, judgement->segment))
		return SP_DROP_TCP_WINDOW;
	return SP_DROP_NONE;
}

static enum sp_drop_reason take_fin(struct judgement *judgement)
{
	enum sp_drop_reason reason = take(judgement);

	if (reason != SP_DROP_NONE)
		return reason;
	judgement->tcp->fins = (judgement->tcp->fins | 1u << judgement->d) & 3;
	judgement->to = judgement->tcp->fins == 3 ? SP_STATE_TCP_CLOSING : SP_STATE_TCP_FIN_WAIT;
	return SP_DROP_NONE;
}

static enum sp_drop_reason take_last(struct judgement *judgement)
{
	const struct sp_tcp_peer *peer = judgement->tcp->peer;
	enum sp_drop_reason reason = take(judgement);

	if (reason == SP_DROP_NONE && peer[0].ack == peer[1].end && peer[1].ack == peer[0].end)
		judgement->to = TIME_WAIT;
	return reason;
}

/* A SYN or SYN+ACK of a direction that sent one before. */
static enum sp_drop_reason take_syn(struct judgement *judgement, bool retry)
{
	if (!sp_tcp_window_same_syn(judgement->tcp, judgement->d, judgement->segment)) {
		if (!retry)
			return challenged(judgement, SP_DROP_TCP_SYN);
		judgement->next = SP_TCP_REOPEN;
		return SP_DROP_NONE;
	}
	return sp_tcp_window_repeat_syn(judgement->tcp, judgement->d, judgement->segment) ? SP_DROP_NONE : SP_DROP_TCP_WINDOW;
}

static enum sp_drop_reason take_reset(struct judgement *judgement, uint8_t cell)
{
	const bool fin = has_fin(judgement);

	if (cell == ECHOED)
		return sp_tcp_window_near_reset(judgement->tcp, judgement->d, judgement->segment) ? SP_DROP_NONE : SP_DROP_TCP_RST;
	if (sp_tcp_window_exact_reset(judgement->tcp, judgement->d, judgement->segment, fin)) {
		judgement->to = CLOSED;
		return SP_DROP_NONE;
	}
	return cell == RESET ? challenged(judgement, SP_DROP_TCP_RST) : SP_DROP_TCP_RST;
}

static enum sp_drop_reason take_start(struct judgement *judgement)
{
	enum sp_drop_reason reason = take(judgement);

	if (reason == SP_DROP_NONE && sp_tcp_seen(judgement->tcp, 1) && sp_tcp_acked(judgement->tcp, 1))
		judgement->to = ESTABLISHED;
	return reason;
}

static enum sp_drop_reason follow(struct judgement *judgement, uint8_t cell)
{
	const struct sp_tcp_segment *segment = judgement->segment;

	switch (cell) {
	case KEEP:
		return take(judgement);
	case CLOSES:
		return take_fin(judgement);
	case LAST:
		return take_last(judgement);
	case STARTS:
		return take_start(judgement);
	case AGAIN:
		return take_syn(judgement, false);
	case RETRY:
		return take_syn(judgement, true);
	case ANSWER:
		judgement->to = SYN_RECEIVED;
		return sp_tcp_window_answer(judgement->tcp, segment) ? SP_DROP_NONE : SP_DROP_TCP_WINDOW;
	case STRAY:
		sp_tcp_window_stray_ack(judgement->tcp, segment);
		return SP_DROP_NONE;
	case NEWER:
		if (sp_tcp_diff(segment->seq, judgement->tcp->peer[0].end) < 0)
			return challenged(judgement, SP_DROP_TCP_SYN);
		/* fallthrough */
	case REOPEN:
		judgement->next = SP_TCP_REOPEN;
		return SP_DROP_NONE;
	case ALIEN:
		return challenged(judgement, SP_DROP_TCP_SYN);
	case RESET:
	case ENDED:
	case ECHOED:
		return take_reset(judgement, cell);
	default:
		return SP_DROP_TCP_STATE;
	}
}

static __rte_noinline enum sp_drop_reason judge(
	struct sp_sessions *sessions, uint32_t ref, const struct sp_tcp_segment *segment, uint32_t now_ms, enum sp_tcp_next *next_out)
{
	struct judgement judgement = {
		.state = sp_session_state(sessions, ref),
		.tcp = sp_session_tcp(sessions, ref),
		.segment = segment,
		.d = (ref & SP_SESSION_REPLY) != 0,
	};
	uint8_t from = judgement.state->state;
	enum sp_drop_reason reason;

	*next_out = SP_TCP_GO_ON;
	if (!sp_tcp_flags_valid(segment->flags))
		return SP_DROP_TCP_FLAGS;
	assert(from >= STATE_FIRST && from < STATE_FIRST + STATE_COUNT);
	judgement.to = from;
	reason = follow(&judgement, next[from - STATE_FIRST][judgement.d][segment_of(segment->flags, segment->payload > 0)]);
	*next_out = judgement.next;
	if (reason == SP_DROP_NONE && judgement.to != from)
		sp_session_set_state(sessions, ref, judgement.to, now_ms);
	return reason;
}

enum sp_drop_reason sp_tcp_update(
	struct sp_sessions *sessions, uint32_t ref, const struct sp_tcp_segment *segment, uint32_t now_ms, enum sp_tcp_next *next_out)
{
	/* Almost every segment of a connection is this one. */
	if (likely((segment->flags & 0x3f & ~PSH) == ACK && sp_session_state(sessions, ref)->state == ESTABLISHED &&
		    sp_tcp_follow(sp_session_tcp(sessions, ref), (ref & SP_SESSION_REPLY) != 0, segment))) {
		*next_out = SP_TCP_GO_ON;
		return SP_DROP_NONE;
	}
	return judge(sessions, ref, segment, now_ms, next_out);
}

void sp_tcp_open(struct sp_sessions *sessions, uint32_t ref, const struct sp_tcp_segment *segment)
{
	sp_tcp_window_open(sp_session_tcp(sessions, ref), segment);
}

void sp_tcp_open_packet(struct sp_sessions *sessions, uint32_t ref, const struct rte_mbuf *mbuf, const struct sp_packet *packet)
{
	struct sp_tcp_segment segment;

	if (sp_tcp_read(mbuf, packet, &segment))
		sp_tcp_open(sessions, ref, &segment);
}
