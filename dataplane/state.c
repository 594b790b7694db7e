/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets of live sessions: protocol state, time of last use, counters, limits on every packet. These sessions were admitted or re-matched
 * by the live ruleset (rematch.c runs before), so the rule behind a slot is the one that lets them pass.
 */
#include <netinet/in.h>
#include <rte_tcp.h>

#include "dataplane/session_sctp.h"
#include "dataplane/session_tcp.h"
#include "dataplane/stages.h"
#include "dataplane/syn_proxy.h"

static void advance_replied(struct sp_worker *worker, uint32_t ref, uint8_t state, uint8_t before, uint8_t after)
{
	if (state == before && (ref & SP_SESSION_REPLY))
		sp_session_set_state(worker->sessions, ref, after, worker->burst.now_ms);
}

static bool advance_sctp(struct sp_worker *worker, unsigned int i, uint32_t ref, unsigned int passed)
{
	struct sp_burst *burst = &worker->burst;
	bool reopen;
	enum sp_drop_reason reason = sp_sctp_update(worker->sessions, ref, burst->mbuf[i], &burst->packet[i], burst->now_ms, &reopen);

	if (reason != SP_DROP_NONE) {
		sp_burst_drop(burst, i, reason);
	} else if (reopen) {
		sp_session_remove(worker->sessions, ref, SP_END_REOPENED);
		sp_burst_forget(burst, ref, passed);
		burst->session[i] = SP_SESSION_NONE;
	}
	return reason == SP_DROP_NONE && !reopen;
}

static bool advance_tcp(struct sp_worker *worker, unsigned int i, uint32_t ref, unsigned int passed)
{
	struct sp_burst *burst = &worker->burst;
	enum sp_tcp_next next = SP_TCP_GO_ON;
	struct sp_tcp_segment segment;
	enum sp_drop_reason reason = SP_DROP_PARSE_TCP;

	if (likely(sp_tcp_read(burst->mbuf[i], &burst->packet[i], &segment)))
		reason = sp_tcp_update(worker->sessions, ref, &segment, burst->now_ms, &next);
	if (unlikely(reason != SP_DROP_NONE)) {
		sp_burst_drop(burst, i, reason);
		if (next == SP_TCP_CHALLENGE)
			sp_tcp_challenge(worker, i, ref);
	} else if (unlikely(next == SP_TCP_REOPEN)) {
		sp_session_remove(worker->sessions, ref, SP_END_REOPENED);
		sp_burst_forget(burst, ref, passed);
		burst->session[i] = SP_SESSION_NONE;
	}
	return reason == SP_DROP_NONE && next == SP_TCP_GO_ON;
}

/* An error about a session passes with it, but is no sign of life. */
static void judge_error(struct sp_worker *worker, unsigned int i, uint32_t ref)
{
	struct sp_burst *burst = &worker->burst;
	enum sp_drop_reason reason = sp_icmp_error_judge(worker->sessions, ref, burst->mbuf[i], &burst->packet[i]);

	if (reason == SP_DROP_NONE && !sp_icmp_error_take(&worker->icmp_errors, ref, worker->dataplane->icmp_error_rate, burst->now_ms))
		reason = SP_DROP_ICMP_ERROR_RATE;
	if (reason != SP_DROP_NONE)
		sp_burst_drop(burst, i, reason);
}

/* False when the packet does not fit the session's protocol state; its reason is set. */
static bool advance(struct sp_worker *worker, unsigned int i, uint32_t ref, const struct sp_session_state *state, unsigned int passed)
{
	struct sp_burst *burst = &worker->burst;
	const struct sp_packet *packet = &burst->packet[i];

	switch (packet->key.proto) {
	case IPPROTO_TCP:
		return advance_tcp(worker, i, ref, passed);
	case IPPROTO_UDP:
		advance_replied(worker, ref, state->state, SP_STATE_UDP_NEW, SP_STATE_UDP_REPLIED);
		return true;
	case IPPROTO_SCTP:
		return advance_sctp(worker, i, ref, passed);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return true;
	default:
		advance_replied(worker, ref, state->state, SP_STATE_OTHER_NEW, SP_STATE_OTHER_REPLIED);
		return true;
	}
}

/* What few rules ask of each packet of their sessions. */
static bool apply_rule(struct sp_worker *worker, unsigned int i, uint32_t ref, const struct sp_session_state *state)
{
	struct sp_burst *burst = &worker->burst;
	const struct sp_hot_rule *rule = sp_live_rule(worker->live, state->slot);

	if (rule == NULL)
		return true;
	if ((state->flags & SP_SESSION_LIMITED) && rule->limit != NULL) {
		struct sp_rule_shared *shared = &worker->dataplane->rule_table.shared[state->slot];
		uint64_t units = sp_limit_units(rule->limit, burst->mbuf[i]);
		struct sp_match match;
		uint8_t reason;

		sp_match_from_session(worker->sessions, ref, &match);
		reason = sp_limit_take(worker->dataplane->limits, shared, state->slot, rule->limit, &match.src, units, sp_burst_ns(worker));
		if (reason != SP_DROP_NONE) {
			sp_burst_drop(burst, i, reason);
			return false;
		}
	}
	if ((state->flags & SP_SESSION_MSS) && (burst->packet[i].tcp_flags & RTE_TCP_SYN_FLAG))
		sp_mss_clamp(burst->mbuf[i], &burst->packet[i], rule->mss);
	return true;
}

/*
 * Whether the packet comes from where its end of the session is: the opener's zone, or the one it opened to. An ICMP error travels against
 * the packet that it quotes.
 */
static bool from_right_zone(const struct sp_packet *packet, const struct sp_session_state *state, bool reply)
{
	bool from_opener = (packet->kind == SP_KIND_ICMP_ERROR) == reply;

	return packet->zone_from == (from_opener ? state->zone_from : state->zone_to);
}

void sp_state_packet(struct sp_worker *worker, unsigned int i, unsigned int passed)
{
	struct sp_burst *burst = &worker->burst;
	uint32_t ref = burst->session[i];
	struct sp_session_state *state = sp_session_state(worker->sessions, ref);
	struct sp_session_cold *cold;
	unsigned int direction = (ref & SP_SESSION_REPLY) != 0;

	if (unlikely(!from_right_zone(&burst->packet[i], state, direction))) {
		/* An error from elsewhere is nobody's: the rules judge it. Anything else claims to be an end that it is not. */
		if (burst->packet[i].kind == SP_KIND_ICMP_ERROR)
			burst->session[i] = SP_SESSION_NONE;
		else
			sp_burst_drop(burst, i, SP_DROP_ROUTE_WRONG_ZONE);
		return;
	}
	burst->slot[i] = state->slot;
	if (unlikely(state->state == SP_STATE_BLOCKED)) {
		state->last_ms = burst->now_ms;
		sp_burst_drop(burst, i, SP_DROP_INSPECT_BLOCKED);
		return;
	}
	if (burst->packet[i].kind == SP_KIND_ICMP_ERROR) {
		judge_error(worker, i, ref);
		if (unlikely(state->flags & SP_SESSION_PROXY) && burst->verdict[i] == SP_VERDICT_GOING)
			sp_syn_proxy_translate_error(worker, i, ref);
		return;
	}
	/* Limits first: a packet that they drop must not have changed the session's state. */
	if (unlikely((state->flags & (SP_SESSION_LIMITED | SP_SESSION_MSS)) && !apply_rule(worker, i, ref, state)))
		return;
	if (unlikely((state->flags & SP_SESSION_PROXY) && state->state == SP_STATE_TCP_SYN_SENT) && !sp_syn_proxy_opening(worker, i, ref))
		return;
	if (unlikely(!advance(worker, i, ref, state, passed)))
		return;
	if (unlikely(state->flags & SP_SESSION_PROXY) && !sp_syn_proxy_translate(worker, i, ref))
		return;
	state->last_ms = burst->now_ms;
	cold = sp_session_cold(worker->sessions, ref);
	cold->packets[direction]++;
	cold->bytes[direction] += burst->mbuf[i]->pkt_len;
}

void sp_state_burst(struct sp_worker *worker)
{
	struct sp_burst *burst = &worker->burst;

	for (unsigned int i = 0; i < burst->n; i++) {
		if (burst->verdict[i] != SP_VERDICT_GOING)
			continue;
		if (burst->packet[i].kind == SP_KIND_FLOW && burst->packet[i].key.proto == IPPROTO_TCP &&
			!sp_tcp_flags_valid(burst->packet[i].tcp_flags)) {
			sp_burst_drop(burst, i, SP_DROP_TCP_FLAGS);
			continue;
		}
		if (sp_burst_has_session(burst, i))
			sp_state_packet(worker, i, i);
	}
}
