/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Challenge ACKs. A worker's own; the rate starts anew each second.
 */
#include "dataplane/tcp_challenge.h"

#include <rte_random.h>

#include "dataplane/reject.h"
#include "dataplane/stages.h"
#include "dataplane/tcp_window.h"

#define TCP_ACK 0x10

/* Ticks of 512 ms, modulo 256: after two minutes of silence a session may wait for one tick longer. */
static uint8_t tick_of(uint32_t now_ms)
{
	return (uint8_t)(now_ms >> 9);
}

/* Between half and one and a half times the rate, on average the rate. */
static void refill(struct sp_tcp_challenges *challenges, uint32_t rate, uint32_t now_ms)
{
	uint32_t second = now_ms / 1000 + 1;

	if (challenges->second == second)
		return;
	challenges->second = second;
	challenges->left = rate == 0 ? 0 : rate - rate / 2 + (uint32_t)rte_rand_max(rate / 2 * 2 + 1);
}

static bool may_challenge(struct sp_worker *worker, struct sp_session_tcp *tcp)
{
	const uint32_t now_ms = worker->burst.now_ms;

	if ((tcp->flags & SP_TCP_CHALLENGED) && tcp->challenged == tick_of(now_ms))
		return false;
	refill(&worker->challenges, worker->dataplane->tcp.challenges, now_ms);
	if (worker->challenges.left == 0)
		return false;
	worker->challenges.left--;
	tcp->flags |= SP_TCP_CHALLENGED;
	tcp->challenged = tick_of(now_ms);
	return true;
}

/* What the other end would say: where it is, what it has, and what it permits. Towards the opener in the SYN proxy's numbers and windows.
 */
static void numbers_for(const struct sp_session_tcp *tcp, unsigned int sender, struct sp_tcp_answer *out)
{
	const struct sp_tcp_peer *self = &tcp->peer[sender], *other = &tcp->peer[1 - sender];
	const int32_t open = sp_tcp_diff(self->limit, other->ack);
	int shift = tcp->scale >> 4 * (1 - sender) & 0xf;

	out->flags = TCP_ACK;
	out->seq = other->end + (sender == 0 ? tcp->reply_delta : 0);
	out->ack = other->ack + (sender == 0 ? 0 : tcp->reply_delta);
	if (sender == 0)
		shift += tcp->reply_shift;
	out->window = open <= 0 ? 0 : (uint16_t)RTE_MIN((uint32_t)open >> RTE_MAX(shift, 0), (uint32_t)UINT16_MAX);
}

void sp_tcp_challenge(struct sp_worker *worker, unsigned int i, uint32_t ref)
{
	struct sp_burst *burst = &worker->burst;
	struct sp_session_tcp *tcp = sp_session_tcp(worker->sessions, ref);
	const unsigned int sender = (ref & SP_SESSION_REPLY) != 0;
	struct rte_mbuf *built = NULL;
	struct sp_tcp_answer answer;

	if (sp_tcp_seen(tcp, 1 - sender) && sp_tcp_acked(tcp, 1 - sender) && may_challenge(worker, tcp)) {
		numbers_for(tcp, sender, &answer);
		built = sp_reject_build_tcp(worker->pool, burst->mbuf[i], &burst->packet[i], &answer);
	}
	if (built == NULL) {
		sp_count(&worker->stats.challenges_suppressed, 1);
		return;
	}
	sp_count(&worker->stats.built, 1);
	sp_count(&worker->stats.challenges_built, 1);
	if (unlikely(worker->captures != NULL))
		sp_capture_mbuf(worker, built, SP_CAPTURE_TX, burst->port, SP_DROP_NONE);
	sp_tx_queue(worker, burst->way, built);
}
