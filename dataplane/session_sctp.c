/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packet is walked chunk by chunk on a copy of the session's state, which is written back only when every chunk is good.
 *
 * Tags. tag[d] is what packets of direction d carry. An INIT or INIT ACK of one direction offers the tag of the other; before the
 * association is up, `tag` holds the offer before the last one, since a repeated INIT is answered with new tags and either may be taken up
 * (5.2.3). Once it is up, an offer belongs to a restart (5.2.2): packets may carry it, but only a COOKIE ACK under it ends the reign of the
 * old tag, and nothing under it closes the association. So a forged INIT opens nothing and closes nothing.
 */
#include "dataplane/session_sctp.h"

#include <rte_byteorder.h>
#include <string.h>

#include "dataplane/session_table.h"

#define COMMON_BYTES  12 /* ports, verification tag, checksum */
#define TAG_OFFSET    4
#define CHUNK_BYTES   4 /* type, flags, length */
#define INIT_BYTES    20
#define FLAG_REFLECTS 0x01u /* the T bit: the tag is the one of the other direction (8.5.1 B and C) */

#define TYPE_INIT              1
#define TYPE_INIT_ACK          2
#define TYPE_ABORT             6
#define TYPE_SHUTDOWN          7
#define TYPE_SHUTDOWN_ACK      8
#define TYPE_COOKIE_ECHO       10
#define TYPE_COOKIE_ACK        11
#define TYPE_SHUTDOWN_COMPLETE 14
#define TYPE_AUTH              15

/* What a chunk does in the table. */
enum chunk {
	CHUNK_INIT,
	CHUNK_INIT_ACK,
	CHUNK_COOKIE_ECHO,
	CHUNK_COOKIE_ACK,
	CHUNK_SHUTDOWN,
	CHUNK_SHUTDOWN_ACK,
	CHUNK_COMPLETE,
	CHUNK_ABORT,
	CHUNK_OTHER, /* the last of the table: DATA, SACK, HEARTBEAT, ERROR and all that RFCs add */
	CHUNK_COUNT,
	CHUNK_AUTH = CHUNK_COUNT /* vouches for the chunks behind it (RFC 4895), which are judged by themselves */
};

/* Besides a state to go to, a cell says: */
#define KEEP   0xf0u /* pass, state unchanged */
#define DROP   0xf1u /* drop as sctp_state */
#define REOPEN 0xf2u /* the caller ends this session and judges the packet as a first one */

#define INIT_ACK     SP_STATE_SCTP_INIT_ACK
#define COOKIE       SP_STATE_SCTP_COOKIE
#define ESTABLISHED  SP_STATE_SCTP_ESTABLISHED
#define SHUTDOWN     SP_STATE_SCTP_SHUTDOWN
#define SHUTDOWN_ACK SP_STATE_SCTP_SHUTDOWN_ACK
#define CLOSED       SP_STATE_SCTP_CLOSED

#define STATE_FIRST SP_STATE_SCTP_INIT
#define STATE_COUNT (SP_STATE_SCTP_CLOSED - SP_STATE_SCTP_INIT + 1)
static_assert(STATE_COUNT == 7, "the table has all SCTP states");

/*
 * next[state][direction][chunk]; sections are of RFC 9260.
 *
 * INIT          The opener's INIT passed (5.1 A). The peer answers with INIT ACK, or ABORT; its own INIT is a collision (5.2.1), which both
 *               answer with INIT ACK. Nothing else can be sent yet.
 * INIT_ACK      Answered (5.1 B). INIT and INIT ACK may be repeated; the COOKIE ECHO goes on (5.1 C), in a collision from either side.
 * COOKIE        The cookie was echoed. Data may ride behind it and, from the side that took it, before its COOKIE ACK was seen (5.1 D);
 * that side may shut down (9.2). An ERROR about a stale cookie begins anew with INIT (5.2.6). ESTABLISHED   Everything but the answer to a
 * SHUTDOWN that nobody sent. INIT to COOKIE ACK are a restart (5.2.2, 5.2.4). SHUTDOWN      One side closes; the other sends what it has
 * left (9.2). SHUTDOWN ACK follows. SHUTDOWN_ACK  SHUTDOWN COMPLETE ends it. An INIT is answered with the SHUTDOWN ACK repeated (9.2).
 * CLOSED        Repeated ends (8.4, 5 and 6) and ABORT pass; an INIT of the opener starts anew.
 */
/* clang-format off */
static const uint8_t next[STATE_COUNT][2][CHUNK_COUNT] = {
	/*                                       INIT    INIT ACK  C. ECHO C. ACK       SHUTDOWN  SHUTDOWN ACK  COMPLETE ABORT   OTHER */
	[SP_STATE_SCTP_INIT - STATE_FIRST] = {
		/* original */                 { KEEP,   INIT_ACK, DROP,   DROP,        DROP,     DROP,         DROP,    CLOSED, DROP },
		/* reply    */                 { KEEP,   INIT_ACK, DROP,   DROP,        DROP,     DROP,         DROP,    CLOSED, DROP } },
	[SP_STATE_SCTP_INIT_ACK - STATE_FIRST] = {
		/* original */                 { KEEP,   KEEP,     COOKIE, DROP,        DROP,     DROP,         DROP,    CLOSED, DROP },
		/* reply    */                 { KEEP,   KEEP,     COOKIE, DROP,        DROP,     DROP,         DROP,    CLOSED, DROP } },
	[SP_STATE_SCTP_COOKIE - STATE_FIRST] = {
		/* original */                 { KEEP,   KEEP,     KEEP,   ESTABLISHED, DROP,     DROP,         DROP,    CLOSED, KEEP },
		/* reply    */                 { KEEP,   KEEP,     KEEP,   ESTABLISHED, SHUTDOWN, DROP,         DROP,    CLOSED, KEEP } },
	[SP_STATE_SCTP_ESTABLISHED - STATE_FIRST] = {
		/* original */                 { KEEP,   KEEP,     KEEP,   KEEP,        SHUTDOWN, DROP,         DROP,    CLOSED, KEEP },
		/* reply    */                 { KEEP,   KEEP,     KEEP,   KEEP,        SHUTDOWN, DROP,         DROP,    CLOSED, KEEP } },
	[SP_STATE_SCTP_SHUTDOWN - STATE_FIRST] = {
		/* original */                 { KEEP,   KEEP,     KEEP,   KEEP,        KEEP,     SHUTDOWN_ACK, DROP,    CLOSED, KEEP },
		/* reply    */                 { KEEP,   KEEP,     KEEP,   KEEP,        KEEP,     SHUTDOWN_ACK, DROP,    CLOSED, KEEP } },
	[SP_STATE_SCTP_SHUTDOWN_ACK - STATE_FIRST] = {
		/* original */                 { KEEP,   KEEP,     KEEP,   KEEP,        KEEP,     KEEP,         CLOSED,  CLOSED, KEEP },
		/* reply    */                 { KEEP,   KEEP,     KEEP,   KEEP,        KEEP,     KEEP,         CLOSED,  CLOSED, KEEP } },
	[SP_STATE_SCTP_CLOSED - STATE_FIRST] = {
		/* original */                 { REOPEN, DROP,     DROP,   DROP,        DROP,     KEEP,         KEEP,    KEEP,   DROP },
		/* reply    */                 { DROP,   DROP,     DROP,   DROP,        DROP,     KEEP,         KEEP,    KEEP,   DROP } },
};
/* clang-format on */

/* --- the chunks of a packet ------------------------------------------------------------------------------------------------------- */

struct walk {
	const struct rte_mbuf *mbuf;
	uint32_t off, end; /* of the next chunk, of the packet */
	unsigned int n;    /* chunks so far */
	bool only_auth;    /* and all of them were AUTH */

	enum chunk chunk;
	uint8_t flags;
	uint32_t initiate; /* initiate tag of INIT and INIT ACK */
};

static enum chunk chunk_of(uint8_t type)
{
	switch (type) {
	case TYPE_INIT:
		return CHUNK_INIT;
	case TYPE_INIT_ACK:
		return CHUNK_INIT_ACK;
	case TYPE_ABORT:
		return CHUNK_ABORT;
	case TYPE_SHUTDOWN:
		return CHUNK_SHUTDOWN;
	case TYPE_SHUTDOWN_ACK:
		return CHUNK_SHUTDOWN_ACK;
	case TYPE_COOKIE_ECHO:
		return CHUNK_COOKIE_ECHO;
	case TYPE_COOKIE_ACK:
		return CHUNK_COOKIE_ACK;
	case TYPE_SHUTDOWN_COMPLETE:
		return CHUNK_COMPLETE;
	case TYPE_AUTH:
		return CHUNK_AUTH;
	default:
		return CHUNK_OTHER;
	}
}

/* 6.10 and 3.3.7: what must be alone, first, or last in its packet. */
static bool bundled_well(const struct walk *walk)
{
	switch (walk->chunk) {
	case CHUNK_INIT:
	case CHUNK_INIT_ACK:
	case CHUNK_COMPLETE:
		return walk->n == 1 && walk->off == walk->end;
	case CHUNK_COOKIE_ECHO:
	case CHUNK_COOKIE_ACK:
		return walk->n == 1 || walk->only_auth;
	case CHUNK_ABORT:
		return walk->off == walk->end;
	default:
		return true;
	}
}

/* Reads the next chunk; false when it is malformed. There is one: off is below end. */
static bool read_chunk(struct walk *walk)
{
	uint8_t buf[CHUNK_BYTES + sizeof(walk->initiate)];
	uint32_t room = walk->end - walk->off, length, padded;
	const uint8_t *p;

	if (room < CHUNK_BYTES || walk->n == SP_SCTP_CHUNKS_MAX)
		return false;
	p = rte_pktmbuf_read(walk->mbuf, walk->off, RTE_MIN(room, (uint32_t)sizeof(buf)), buf);
	if (p == NULL)
		return false;
	length = (uint32_t)p[2] << 8 | p[3];
	padded = (length + 3) & ~3u; /* 3.2: padding is not counted, and must be there */
	if (length < CHUNK_BYTES || padded > room)
		return false;
	walk->chunk = chunk_of(p[0]);
	walk->flags = p[1];
	walk->n++;
	walk->off += padded;
	if (walk->chunk == CHUNK_INIT || walk->chunk == CHUNK_INIT_ACK) {
		if (length < INIT_BYTES)
			return false;
		memcpy(&walk->initiate, p + CHUNK_BYTES, sizeof(walk->initiate));
		walk->initiate = rte_be_to_cpu_32(walk->initiate);
		if (walk->initiate == 0) /* 3.3.2 */
			return false;
	}
	if (!bundled_well(walk))
		return false;
	walk->only_auth = walk->only_auth && walk->chunk == CHUNK_AUTH;
	return true;
}

/* Begins at the first chunk; false when there is none. */
static bool begin_walk(struct walk *walk, const struct rte_mbuf *mbuf, const struct sp_packet *packet, uint32_t *tag)
{
	uint32_t buf;
	const uint32_t *p = rte_pktmbuf_read(mbuf, packet->l4_off + TAG_OFFSET, sizeof(buf), &buf);

	if (p == NULL || packet->payload_len == 0)
		return false;
	memcpy(&buf, p, sizeof(buf));
	*tag = rte_be_to_cpu_32(buf);
	*walk = (struct walk){
		.mbuf = mbuf, .off = packet->payload_off, .end = (uint32_t)packet->payload_off + packet->payload_len, .only_auth = true};
	return true;
}

enum sp_drop_reason sp_sctp_open(const struct rte_mbuf *mbuf, const struct sp_packet *packet, uint32_t *tag)
{
	struct walk walk;
	uint32_t carried;

	if (!begin_walk(&walk, mbuf, packet, &carried) || !read_chunk(&walk))
		return SP_DROP_SCTP_CHUNK;
	if (walk.chunk != CHUNK_INIT)
		return SP_DROP_SCTP_NO_SESSION;
	if (carried != 0)
		return SP_DROP_SCTP_TAG;
	*tag = walk.initiate;
	return SP_DROP_NONE;
}

struct sp_session_sctp *sp_session_sctp(struct sp_sessions *sessions, uint32_t ref)
{
	return (struct sp_session_sctp *)(void *)sp_session_tcp(sessions, ref);
}

/* --- the association ------------------------------------------------------------------------------------------------------------------ */

/* What a packet may change. */
struct association {
	struct sp_session_sctp tags;
	uint8_t state;
	bool reopen;
};

static bool is_up(const struct association *a)
{
	return a->state == ESTABLISHED || a->state == SHUTDOWN || a->state == SHUTDOWN_ACK;
}

static bool knows(const struct sp_session_sctp *tags, unsigned int direction, uint32_t tag)
{
	return tag != 0 && (tag == tags->tag[direction] || tag == tags->offered[direction]);
}

static void offer(struct association *a, unsigned int direction, uint32_t tag)
{
	struct sp_session_sctp *tags = &a->tags;

	if (tag == tags->tag[direction] || tag == tags->offered[direction])
		return;
	if (!is_up(a) && tags->offered[direction] != 0)
		tags->tag[direction] = tags->offered[direction];
	tags->offered[direction] = tag;
}

/* The cookie's sender has chosen the tag that its packets carry. */
static void choose(struct association *a, unsigned int direction, uint32_t tag)
{
	if (is_up(a))
		return;
	a->tags.tag[direction] = tag;
	a->tags.offered[direction] = 0;
}

/* A COOKIE ACK: the association is up under the tags that were offered last. Returns the state that follows. */
static uint8_t take_up(struct association *a, unsigned int direction, uint32_t tag, uint8_t to)
{
	struct sp_session_sctp *tags = &a->tags;
	const unsigned int other = !direction;

	if (is_up(a) && tag == tags->tag[direction])
		return to;
	tags->tag[direction] = tag;
	if (tags->offered[other] != 0)
		tags->tag[other] = tags->offered[other];
	tags->offered[0] = tags->offered[1] = 0;
	return ESTABLISHED;
}

/* Whether the chunk's packet carries a tag that it may (8.5, 8.5.1); *reign: the one that rules, not one only offered. */
static bool tag_ok(const struct association *a, const struct walk *walk, unsigned int direction, uint32_t tag, bool *reign)
{
	bool reflects = (walk->chunk == CHUNK_ABORT || walk->chunk == CHUNK_COMPLETE) && (walk->flags & FLAG_REFLECTS);
	unsigned int of = reflects ? !direction : direction;

	if (walk->chunk == CHUNK_INIT)
		return tag == 0;
	/* Before the association is up, a reflected tag may be one that a forged INIT offered: it closes nothing. */
	*reign = is_up(a) || a->state == CLOSED ? tag == a->tags.tag[of] : !reflects;
	return knows(&a->tags, of, tag);
}

static enum sp_drop_reason step(struct association *a, const struct walk *walk, unsigned int direction, uint32_t tag)
{
	uint8_t to = walk->chunk == CHUNK_AUTH ? KEEP : next[a->state - STATE_FIRST][direction][walk->chunk];
	bool reign = true;

	if (to == DROP)
		return SP_DROP_SCTP_STATE;
	if (to == REOPEN) {
		a->reopen = tag == 0;
		return a->reopen ? SP_DROP_NONE : SP_DROP_SCTP_TAG;
	}
	if (!tag_ok(a, walk, direction, tag, &reign))
		return SP_DROP_SCTP_TAG;
	switch (walk->chunk) {
	case CHUNK_INIT:
	case CHUNK_INIT_ACK:
		offer(a, !direction, walk->initiate);
		break;
	case CHUNK_COOKIE_ECHO:
		choose(a, direction, tag);
		break;
	case CHUNK_COOKIE_ACK:
		to = take_up(a, direction, tag, to);
		break;
	default:
		break;
	}
	if (to != KEEP && (reign || walk->chunk == CHUNK_COOKIE_ACK))
		a->state = to;
	return SP_DROP_NONE;
}

enum sp_drop_reason sp_sctp_update(struct sp_sessions *sessions, uint32_t ref, const struct rte_mbuf *mbuf, const struct sp_packet *packet,
	uint32_t now_ms, bool *reopen)
{
	struct sp_session_sctp *tags = sp_session_sctp(sessions, ref);
	const uint8_t before = sp_session_state(sessions, ref)->state;
	struct association a = {.tags = *tags, .state = before};
	unsigned int direction = (ref & SP_SESSION_REPLY) != 0;
	struct walk walk;
	uint32_t tag;

	*reopen = false;
	assert(before >= STATE_FIRST && before < STATE_FIRST + STATE_COUNT);
	if (!begin_walk(&walk, mbuf, packet, &tag))
		return SP_DROP_SCTP_CHUNK;
	while (walk.off < walk.end) {
		enum sp_drop_reason reason = read_chunk(&walk) ? step(&a, &walk, direction, tag) : SP_DROP_SCTP_CHUNK;

		if (reason != SP_DROP_NONE)
			return reason;
	}
	*reopen = a.reopen;
	if (a.reopen)
		return SP_DROP_NONE;
	*tags = a.tags;
	if (a.state != before)
		sp_session_set_state(sessions, ref, a.state, now_ms);
	return SP_DROP_NONE;
}

void sp_sctp_begin(struct sp_sessions *sessions, uint32_t ref, uint32_t tag)
{
	*sp_session_sctp(sessions, ref) = (struct sp_session_sctp){.offered = {[1] = tag}};
}

bool sp_sctp_tag_plausible(struct sp_sessions *sessions, uint32_t ref, uint32_t tag)
{
	const struct sp_session_sctp *tags = sp_session_sctp(sessions, ref);

	/* An INIT carries none; it can be quoted only while the association is not up. */
	if (tag == 0)
		return sp_session_state(sessions, ref)->state <= SP_STATE_SCTP_COOKIE;
	return knows(tags, (ref & SP_SESSION_REPLY) != 0, tag);
}
