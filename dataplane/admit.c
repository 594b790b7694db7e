/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a session under a rule: protocol conditions, limits, quotas, table; and the end of a session, which gives the quotas back.
 */
#include <netinet/in.h>
#include <rte_tcp.h>

#include "dataplane/session_tcp.h"
#include "dataplane/stages.h"

uint8_t sp_admit_flags(const struct sp_hot_rule *rule, const struct sp_ruleset *ruleset)
{
	uint8_t flags = 0;

	if (rule == NULL)
		return ruleset->default_log & SP_LOG_END ? SP_SESSION_LOG_END : 0;
	if (rule->inspect >= 0)
		flags |= SP_SESSION_INSPECT;
	if (rule->log & SP_LOG_END)
		flags |= SP_SESSION_LOG_END;
	if (rule->limit != NULL && rule->limit->unit != SP_LIMIT_OPENS)
		flags |= SP_SESSION_LIMITED;
	if (rule->mss != 0)
		flags |= SP_SESSION_MSS;
	return flags;
}

static uint8_t first_state(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return SP_STATE_TCP_SYN_SENT;
	case IPPROTO_UDP:
		return SP_STATE_UDP_NEW;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return SP_STATE_ICMP;
	case IPPROTO_SCTP:
		return SP_STATE_SCTP;
	default:
		return SP_STATE_OTHER_NEW;
	}
}

/* Whether a packet that a rule allows may open a session. What opens none may still pass: SP_DROP_NONE with *stateless. */
static enum sp_drop_reason may_open(const struct sp_packet *packet, bool *stateless)
{
	const uint8_t opening = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG | RTE_TCP_FIN_FLAG;

	*stateless = packet->kind != SP_KIND_FLOW;
	if (*stateless)
		return SP_DROP_NONE;
	if (packet->key.proto == IPPROTO_TCP && (packet->tcp_flags & opening) != RTE_TCP_SYN_FLAG)
		return SP_DROP_TCP_NO_SESSION;
	if (packet->key.proto == IPPROTO_ICMP || packet->key.proto == IPPROTO_ICMPV6) {
		if (sp_icmp_is_reply(packet->key.family, packet->key.aux >> 8))
			return SP_DROP_ICMP_NO_SESSION;
		*stateless = !sp_icmp_is_query(packet->key.family, packet->key.aux >> 8);
	}
	return SP_DROP_NONE;
}

/* A rule allows the packet, yet it may not pass: said when the rule logs denials. */
static void refuse(struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule, enum sp_drop_reason reason)
{
	uint8_t log = rule == NULL ? worker->live->ruleset->default_log : rule->log;

	sp_burst_drop(&worker->burst, i, reason);
	if (log & SP_LOG_END)
		sp_notify_drop(worker, i, rule);
}

static uint64_t limit_units(const struct sp_limit *limit, const struct rte_mbuf *mbuf)
{
	return limit->unit == SP_LIMIT_BITS ? (uint64_t)mbuf->pkt_len * 8 : 1;
}

static enum sp_drop_reason take_limit(struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule)
{
	struct sp_dataplane *dataplane = worker->dataplane;
	struct sp_match match;

	if (rule == NULL || rule->limit == NULL)
		return SP_DROP_NONE;
	sp_match_from_packet(&worker->burst, i, &match);
	return sp_limit_take(dataplane->limits, &dataplane->rule_table.shared[rule->slot], rule->slot, rule->limit, &match.src,
		limit_units(rule->limit, worker->burst.mbuf[i]), sp_burst_ns(worker));
}

/* Counts the session against its rule's quotas; undone by release(). */
static enum sp_drop_reason acquire(struct sp_worker *worker, const struct sp_hot_rule *rule, uint32_t slot, const struct sp_addr *src)
{
	uint32_t *sessions = &worker->dataplane->rule_table.shared[slot].sessions;
	uint32_t before = __atomic_fetch_add(sessions, 1, __ATOMIC_RELAXED);
	uint8_t reason = SP_DROP_NONE;

	if (rule != NULL && rule->max_sessions != 0 && before >= rule->max_sessions)
		reason = SP_DROP_LIMIT;
	else if (rule != NULL && rule->max_per_source != 0)
		reason = sp_source_acquire(worker->dataplane->limits, slot, src, rule->max_per_source);
	if (reason != SP_DROP_NONE)
		__atomic_fetch_sub(sessions, 1, __ATOMIC_RELAXED);
	return reason;
}

static void release(struct sp_worker *worker, uint32_t slot, const struct sp_addr *src, bool source)
{
	__atomic_fetch_sub(&worker->dataplane->rule_table.shared[slot].sessions, 1, __ATOMIC_RELAXED);
	if (source)
		sp_source_release(worker->dataplane->limits, slot, src);
}

static void open_session(struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule, uint32_t slot)
{
	struct sp_burst *burst = &worker->burst;
	const struct sp_packet *packet = &burst->packet[i];
	struct sp_session_state init = {
		.last_ms = burst->now_ms,
		.generation = worker->live->ruleset->generation,
		.slot = slot,
		.state = first_state(packet->key.proto),
		.flags = sp_admit_flags(rule, worker->live->ruleset),
		.zone_from = packet->zone_from,
		.zone_to = packet->zone_to,
	};
	struct sp_match match;
	struct sp_key reply;
	struct sp_session_cold *cold;
	enum sp_drop_reason reason;
	uint32_t ref;

	sp_match_from_packet(burst, i, &match);
	reason = acquire(worker, rule, slot, &match.src);
	if (reason != SP_DROP_NONE) {
		refuse(worker, i, rule, reason);
		return;
	}
	if (rule != NULL && rule->max_per_source != 0)
		init.flags |= SP_SESSION_SOURCE;
	sp_key_reverse(&packet->key, &reply);
	/* Without translation the reply's hash is the original's: the hash is symmetric. */
	ref = sp_session_insert(worker->sessions, &packet->key, packet->hash, &reply, packet->hash, &init,
		rule == NULL ? 0 : (uint32_t)rule->content_hash, burst->now_ms);
	if (ref == SP_SESSION_NONE) {
		release(worker, slot, &match.src, init.flags & SP_SESSION_SOURCE);
		refuse(worker, i, rule, SP_DROP_TABLE_SESSIONS_FULL);
		return;
	}
	burst->session[i] = ref;
	cold = sp_session_cold(worker->sessions, ref);
	cold->packets[0] = 1;
	cold->bytes[0] = burst->mbuf[i]->pkt_len;
	if (rule != NULL && (rule->log & SP_LOG_START))
		sp_notify_flow(worker, ref, SP_EVENT_FLOW_START, SP_END_TIMEOUT);
}

void sp_admit_packet(struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule)
{
	struct sp_burst *burst = &worker->burst;
	bool stateless = false;
	enum sp_drop_reason reason = SP_DROP_NONE;

	if (rule != NULL && (rule->flags & SP_HOT_STATELESS))
		stateless = true;
	else
		reason = may_open(&burst->packet[i], &stateless);
	if (reason == SP_DROP_NONE)
		reason = take_limit(worker, i, rule);
	if (reason != SP_DROP_NONE) {
		refuse(worker, i, rule, reason);
		return;
	}
	if (rule != NULL && rule->mss != 0 && (burst->packet[i].tcp_flags & RTE_TCP_SYN_FLAG))
		sp_mss_clamp(burst->mbuf[i], &burst->packet[i], rule->mss);
	if (!stateless)
		open_session(worker, i, rule, rule == NULL ? SP_RULE_SLOT_DEFAULT : rule->slot);
}

void sp_admit_ended(void *context, struct sp_sessions *sessions, uint32_t ref, enum sp_flow_end why)
{
	struct sp_worker *worker = context;
	const struct sp_session_state *state = sp_session_state(sessions, ref);
	struct sp_match match;

	if (state->flags & SP_SESSION_LOG_END)
		sp_notify_flow(worker, ref, SP_EVENT_FLOW_END, why);
	sp_match_from_session(sessions, ref, &match);
	release(worker, state->slot, &match.src, state->flags & SP_SESSION_SOURCE);
}
