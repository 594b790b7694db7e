/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The short way of most packets. A session is settled when its next packet can change nothing but its clock, counters and TCP windows:
 * admitted by the live ruleset, without inspection, limits, MSS clamping or SYN proxy, in a state that this packet leaves as it is. Such
 * packets need none of the stages from rematch to inspection. Whatever is not recognised here goes the long way, which decides the same.
 */
#include <rte_tcp.h>

#include "dataplane/session_table.h"
#include "dataplane/session_tcp.h"
#include "dataplane/stages.h"

#define STATE(s)   (1u << SP_STATE_##s)
#define LONG_FLAGS (SP_SESSION_INSPECT | SP_SESSION_LIMITED | SP_SESSION_MSS | SP_SESSION_PROXY)

static_assert(SP_STATE_COUNT <= 32, "a bit a state");

/* States that no packet of this direction changes. */
static const uint32_t steady[2] = {
	STATE(UDP_NEW) | STATE(UDP_REPLIED) | STATE(ICMP) | STATE(OTHER_NEW) | STATE(OTHER_REPLIED),
	STATE(UDP_REPLIED) | STATE(ICMP) | STATE(OTHER_REPLIED),
};

/* Whether one of the packets in `left`, which go the long way after this one, came before it on the same connection. */
static bool overtakes(const struct sp_burst *burst, uint32_t ref, uint32_t left)
{
	for (; left != 0; left &= left - 1)
		if (((burst->session[__builtin_ctz(left)] ^ ref) & ~SP_SESSION_REPLY) == 0)
			return true;
	return false;
}

/* A segment of an established connection that only moves its windows on: done when true. */
static inline bool follow_tcp(struct sp_session_pool *pool, const struct sp_burst *burst, unsigned int i, uint32_t ref, uint32_t left)
{
	const struct sp_packet *packet = &burst->packet[i];
	struct sp_tcp_segment segment;

	if ((packet->tcp_flags & 0x3f & ~RTE_TCP_PSH_FLAG) != RTE_TCP_ACK_FLAG || unlikely(left != 0 && overtakes(burst, ref, left)))
		return false;
	return sp_tcp_read(burst->mbuf[i], packet, &segment) &&
	       sp_tcp_follow(&pool->tcp[ref & SP_SESSION_INDEX], (ref & SP_SESSION_REPLY) != 0, &segment);
}

bool sp_settled_burst(struct sp_worker *worker)
{
	struct sp_burst *burst = &worker->burst;
	struct sp_session_pool *pools = worker->sessions->pool;
	const uint32_t generation = worker->live->ruleset->generation, now_ms = burst->now_ms;
	uint32_t left = 0;       /* a bit a packet that goes the long way */
	uint32_t translated = 0; /* a bit a packet of a translated session */

	for (unsigned int i = 0; i < burst->n; i++) {
		const struct sp_packet *packet = &burst->packet[i];
		uint32_t ref = burst->session[i], index = ref & SP_SESSION_INDEX;
		unsigned int which = sp_ref_pool(ref), reply = (ref & SP_SESSION_REPLY) != 0;
		struct sp_session_state *state;
		struct sp_session_cold *cold;

		if (burst->verdict[i] != SP_VERDICT_GOING)
			continue;
		if (ref == SP_SESSION_NONE) {
			left |= 1u << i;
			continue;
		}
		state = sp_pool_state(&pools[which], which, index);
		translated |= (uint32_t)((state->flags & SP_SESSION_NAT) != 0) << i;
		if (state->generation != generation || (state->flags & LONG_FLAGS) != 0 || packet->kind != SP_KIND_FLOW ||
			packet->zone_from != (reply ? state->zone_to : state->zone_from) ||
			!(steady[reply] >> state->state & 1 ||
				(state->state == SP_STATE_TCP_ESTABLISHED && follow_tcp(&pools[which], burst, i, ref, left)))) {
			left |= 1u << i;
			continue;
		}
		cold = &pools[which].cold[index];
		cold->packets[reply]++;
		cold->bytes[reply] += burst->length[i];
		state->last_ms = now_ms;
		burst->slot[i] = state->slot;
		burst->packet[i].zone_to = reply ? state->zone_from : state->zone_to;
		burst->verdict[i] = SP_VERDICT_SETTLED;
	}
	burst->translated = translated;
	return left == 0;
}
