/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The TCP state machine as the middle sees it. It follows segments, not sequence numbers: a segment that could be legal is passed, for the
 * end systems judge its numbers, and one that no end in this state can send, or should still see, is dropped.
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
#define CLOSES 0xf3u /* a FIN: fin-wait after the first direction's, closing after both */

#define SYN_RECEIVED SP_STATE_TCP_SYN_RECEIVED
#define ESTABLISHED  SP_STATE_TCP_ESTABLISHED
#define TIME_WAIT    SP_STATE_TCP_TIME_WAIT
#define CLOSED       SP_STATE_TCP_CLOSED

#define STATE_FIRST SP_STATE_TCP_SYN_SENT
#define STATE_COUNT (SP_STATE_TCP_CLOSED - SP_STATE_TCP_SYN_SENT + 1)
static_assert(STATE_COUNT == 7 && SP_STATE_TCP_CLOSED + 1 == SP_STATE_COUNT, "the TCP states are the last seven");

/*
 * next[state][direction][segment]; sections are of RFC 9293.
 *
 * SYN_SENT      The original direction sent a SYN, the reply direction nothing yet. A repeated SYN is a retransmission (3.8.1); a RST from
 *               the opener ends a half-open connection (3.5.1, figure 8). A reply's SYN is a simultaneous open (3.5, figure 7); a reply's
 *               bare ACK comes from a half-open peer and makes the opener reset it (3.5.1), so it passes; RST refuses (3.10.7.3).
 * SYN_RECEIVED  Both sent SYN. Retransmissions of both pass; SYN+ACK of the opener belongs to a simultaneous open (figure 7). Only the
 *               opener's ACK establishes (3.10.7.4, fifth). The answering side may send data (RFC 7413 4.2) and close (3.6) before that.
 * ESTABLISHED   A SYN changes nothing and passes: the receiver answers it with a challenge ACK, by which a rebooted opener that uses its
 *               port again resets the old connection (3.10.7.4, fourth). A reply's SYN+ACK is repeated when the opener's ACK was lost
 *               behind us (3.8.1).
 * FIN_WAIT      One direction closed; the other may send as long as it wants (3.6, half-close).
 * CLOSING       Both closed; an ACK acknowledges the last FIN (3.6, figures 12 and 13).
 * TIME_WAIT     The last ACK passed. A repeated FIN and its ACK pass (3.10.7.4, eighth); RST does not shorten the wait (RFC 1337); a SYN of
 *               the opener starts anew (3.6.1, RFC 6191).
 * CLOSED        A RST passed (3.10.7.4, second). RST, bare ACK and FIN are what the ends still exchange to agree on it (3.5.2, 3.5.3);
 *               data is not; a SYN of the opener starts anew.
 */
/* clang-format off */
static const uint8_t next[STATE_COUNT][2][SEGMENT_COUNT] = {
	/*                                        SYN           SYN+ACK       ACK          DATA         FIN     RST */
	[SP_STATE_TCP_SYN_SENT - STATE_FIRST] = {
		/* original */                  { KEEP,         DROP,         DROP,        DROP,        DROP,   CLOSED },
		/* reply    */                  { SYN_RECEIVED, SYN_RECEIVED, KEEP,        DROP,        DROP,   CLOSED } },
	[SP_STATE_TCP_SYN_RECEIVED - STATE_FIRST] = {
		/* original */                  { KEEP,         KEEP,         ESTABLISHED, ESTABLISHED, CLOSES, CLOSED },
		/* reply    */                  { KEEP,         KEEP,         KEEP,        KEEP,        CLOSES, CLOSED } },
	[SP_STATE_TCP_ESTABLISHED - STATE_FIRST] = {
		/* original */                  { KEEP,         DROP,         KEEP,        KEEP,        CLOSES, CLOSED },
		/* reply    */                  { KEEP,         KEEP,         KEEP,        KEEP,        CLOSES, CLOSED } },
	[SP_STATE_TCP_FIN_WAIT - STATE_FIRST] = {
		/* original */                  { KEEP,         DROP,         KEEP,        KEEP,        CLOSES, CLOSED },
		/* reply    */                  { KEEP,         KEEP,         KEEP,        KEEP,        CLOSES, CLOSED } },
	[SP_STATE_TCP_CLOSING - STATE_FIRST] = {
		/* original */                  { KEEP,         DROP,         TIME_WAIT,   KEEP,        CLOSES, CLOSED },
		/* reply    */                  { KEEP,         DROP,         TIME_WAIT,   KEEP,        CLOSES, CLOSED } },
	[SP_STATE_TCP_TIME_WAIT - STATE_FIRST] = {
		/* original */                  { REOPEN,       DROP,         KEEP,        KEEP,        KEEP,   KEEP   },
		/* reply    */                  { DROP,         DROP,         KEEP,        KEEP,        KEEP,   KEEP   } },
	[SP_STATE_TCP_CLOSED - STATE_FIRST] = {
		/* original */                  { REOPEN,       DROP,         KEEP,        DROP,        KEEP,   KEEP   },
		/* reply    */                  { DROP,         DROP,         KEEP,        DROP,        KEEP,   KEEP   } },
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

/* Notes the direction's FIN and returns the state that follows. */
static uint8_t close_direction(struct sp_session_state *state, bool reply)
{
	const uint8_t both = SP_SESSION_FIN_ORIG | SP_SESSION_FIN_REPLY;

	state->flags |= reply ? SP_SESSION_FIN_REPLY : SP_SESSION_FIN_ORIG;
	return (state->flags & both) == both ? SP_STATE_TCP_CLOSING : SP_STATE_TCP_FIN_WAIT;
}

enum sp_drop_reason sp_tcp_update(struct sp_sessions *sessions, uint32_t ref, uint8_t flags, bool data, uint32_t now_ms, bool *reopen)
{
	struct sp_session_state *state = sp_session_state(sessions, ref);
	const bool reply = ref & SP_SESSION_REPLY;
	uint8_t to;

	*reopen = false;
	if (!sp_tcp_flags_valid(flags))
		return SP_DROP_TCP_FLAGS;
	assert(state->state >= STATE_FIRST && state->state < STATE_FIRST + STATE_COUNT);
	to = next[state->state - STATE_FIRST][reply][segment_of(flags, data)];
	if (to == CLOSES)
		to = close_direction(state, reply);
	switch (to) {
	case DROP:
		return SP_DROP_TCP_STATE;
	case REOPEN:
		*reopen = true;
		return SP_DROP_NONE;
	case KEEP:
		return SP_DROP_NONE;
	default:
		if (to != state->state)
			sp_session_set_state(sessions, ref, to, now_ms);
		return SP_DROP_NONE;
	}
}
