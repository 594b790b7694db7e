/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The short way of most packets. A session is settled when its next packet can change nothing but its clock and counters: admitted by the
 * live ruleset, without inspection, limits or MSS clamping, in a state that a packet of this direction leaves as it is. Such packets need
 * none of the stages from rematch to inspection. Whatever is not recognised here goes the long way, which decides the same.
 */
#include "dataplane/session_table.h"
#include "dataplane/stages.h"

#define STATE(s)   (1u << SP_STATE_##s)
#define LONG_FLAGS (SP_SESSION_INSPECT | SP_SESSION_LIMITED | SP_SESSION_MSS)

static_assert(SP_STATE_COUNT <= 32, "a bit a state");

/* States that a packet does not change, by its direction. TCP and SCTP look at each packet. */
static const uint32_t steady[2] = {
	STATE(UDP_NEW) | STATE(UDP_REPLIED) | STATE(ICMP) | STATE(OTHER_NEW) | STATE(OTHER_REPLIED),
	STATE(UDP_REPLIED) | STATE(ICMP) | STATE(OTHER_REPLIED),
};

bool sp_settled_burst(struct sp_worker *worker)
{
	struct sp_burst *burst = &worker->burst;
	struct sp_session_pool *pools = worker->sessions->pool;
	const uint32_t generation = worker->live->ruleset->generation, now_ms = burst->now_ms;
	unsigned int left = 0;

	for (unsigned int i = 0; i < burst->n; i++) {
		const struct sp_packet *packet = &burst->packet[i];
		uint32_t ref = burst->session[i], index = ref & SP_SESSION_INDEX;
		unsigned int which = sp_ref_pool(ref), reply = (ref & SP_SESSION_REPLY) != 0;
		struct sp_session_state *state;
		struct sp_session_cold *cold;

		if (burst->verdict[i] != SP_VERDICT_GOING)
			continue;
		if (ref == SP_SESSION_NONE) {
			left++;
			continue;
		}
		state = sp_pool_state(&pools[which], which, index);
		if (state->generation != generation || !(steady[reply] >> state->state & 1) || (state->flags & LONG_FLAGS) != 0 ||
			packet->kind != SP_KIND_FLOW || packet->zone_from != (reply ? state->zone_to : state->zone_from)) {
			left++;
			continue;
		}
		cold = &pools[which].cold[index];
		cold->packets[reply]++;
		cold->bytes[reply] += burst->length[i];
		state->last_ms = now_ms;
		burst->slot[i] = state->slot;
		burst->verdict[i] = SP_VERDICT_SETTLED;
	}
	return left == 0;
}
