/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a session under a rule: protocol conditions, limits, quotas, table; and the end of a session, which gives the quotas back.
 */
#include <netinet/in.h>
#include <rte_tcp.h>

#include "dataplane/nat.h"
#include "dataplane/nd.h"
#include "dataplane/session_sctp.h"
#include "dataplane/session_tcp.h"
#include "dataplane/stages.h"
#include "dataplane/syn_proxy.h"
#include "rules/icmp_types.h"

#define NAT_TRIES 8 /* ports that are tried for one session */

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

static uint8_t first_state(const struct sp_packet *packet)
{
	switch (packet->key.proto) {
	case IPPROTO_TCP:
		return packet->tcp_flags & RTE_TCP_SYN_FLAG ? SP_STATE_TCP_SYN_SENT : SP_STATE_TCP_SYN_RECEIVED;
	case IPPROTO_UDP:
		return SP_STATE_UDP_NEW;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return SP_STATE_ICMP;
	case IPPROTO_SCTP:
		return SP_STATE_SCTP_INIT;
	default:
		return SP_STATE_OTHER_NEW;
	}
}

/*
 * In route mode each link has its own groups: a session would take what another link sends to the same one for its own (DHCP clients all
 * have the addresses and ports 0.0.0.0:68 and 255.255.255.255:67), and no answer comes from a group.
 */
static bool is_for_a_links_group(const struct sp_worker *worker, const struct sp_key *key)
{
	if (worker->dataplane->routing == NULL)
		return false;
	return key->family == SP_FAMILY_IPV4 ? rte_be_to_cpu_32(key->v4.dst) >> 28 >= 0xe : key->v6.dst[0] == 0xff;
}

/* Linux answers, with an address of its own, what a group was asked. */
static bool is_of_linux(const struct sp_worker *worker, const struct sp_packet *packet)
{
	return worker->dataplane->routing != NULL && packet->zone_from == worker->dataplane->zone_self;
}

/* Whether a packet that a rule allows may open a session. What opens none may still pass: SP_DROP_NONE with *stateless. */
static enum sp_drop_reason may_open(const struct sp_worker *worker, unsigned int i, bool *stateless)
{
	const struct rte_mbuf *mbuf = worker->burst.mbuf[i];
	const struct sp_packet *packet = &worker->burst.packet[i];
	const uint8_t opening = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG | RTE_TCP_FIN_FLAG;
	const uint8_t flags = packet->tcp_flags & opening;
	const bool midstream = worker->dataplane->tcp.midstream && flags == RTE_TCP_ACK_FLAG;
	uint32_t tag;

	*stateless = packet->kind != SP_KIND_FLOW || is_for_a_links_group(worker, &packet->key);
	if (*stateless)
		return SP_DROP_NONE;
	if (packet->key.proto == IPPROTO_TCP && flags != RTE_TCP_SYN_FLAG && sp_syn_proxy_is_forged(worker, i))
		return SP_DROP_TCP_COOKIE;
	if (packet->key.proto == IPPROTO_TCP && flags != RTE_TCP_SYN_FLAG && !midstream)
		return SP_DROP_TCP_NO_SESSION;
	if (packet->key.proto == IPPROTO_SCTP)
		return sp_sctp_open(mbuf, packet, &tag);
	if (packet->key.proto == IPPROTO_ICMP || packet->key.proto == IPPROTO_ICMPV6) {
		if (sp_icmp_is_reply(packet->key.family, packet->key.aux >> 8) && !is_of_linux(worker, packet))
			return SP_DROP_ICMP_NO_SESSION;
		*stateless = !sp_icmp_is_query(packet->key.family, packet->key.aux >> 8);
	}
	return SP_DROP_NONE;
}

/* What no allowing rule lets through: types that a rule must name and does not, and neighbour discovery that is not from the link. */
static enum sp_drop_reason may_pass(const struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule)
{
	const struct sp_packet *packet = &worker->burst.packet[i];
	const uint8_t proto = packet->key.proto;

	if (packet->kind != SP_KIND_FLOW || (proto != IPPROTO_ICMP && proto != IPPROTO_ICMPV6))
		return SP_DROP_NONE;
	if ((rule == NULL || !(rule->flags & SP_HOT_ICMP_TYPE)) && sp_icmp_needs_name(packet->key.family, packet->key.aux >> 8) &&
		proto == (packet->key.family == SP_FAMILY_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return SP_DROP_ICMP_TYPE;
	if (sp_nd_is(packet) && !sp_nd_valid(worker->burst.mbuf[i], packet))
		return SP_DROP_ICMP_ND;
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

uint64_t sp_limit_units(const struct sp_limit *limit, const struct rte_mbuf *mbuf)
{
	uint32_t bytes = mbuf->pkt_len;
	unsigned int packets = 1;

	if (limit->unit == SP_LIMIT_OPENS)
		return 1;
	if (unlikely(sp_is_datagram(mbuf)))
		packets = sp_fragments_count(mbuf, &bytes);
	return limit->unit == SP_LIMIT_BITS ? (uint64_t)bytes * 8 : packets;
}

static enum sp_drop_reason take_limit(struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule)
{
	struct sp_dataplane *dataplane = worker->dataplane;
	struct sp_match match;

	if (rule == NULL || rule->limit == NULL)
		return SP_DROP_NONE;
	sp_match_from_packet(&worker->burst, i, &match);
	return sp_limit_take(dataplane->limits, &dataplane->rule_table.shared[rule->slot], rule->slot, rule->limit, &match.src,
		sp_limit_units(rule->limit, worker->burst.mbuf[i]), sp_burst_ns(worker));
}

void sp_admit_settle(struct sp_worker *worker)
{
	struct sp_rule_change *held = &worker->sessions_change;

	if (held->change == 0)
		return;
	__atomic_fetch_add(&worker->dataplane->rule_table.shared[held->slot].sessions, held->change, __ATOMIC_RELAXED);
	held->change = 0;
}

/* One session of the slot more (1) or fewer (UINT32_MAX). */
static void count_session(struct sp_worker *worker, uint32_t slot, uint32_t change)
{
	if (worker->sessions_change.slot != slot) {
		sp_admit_settle(worker);
		worker->sessions_change.slot = slot;
	}
	worker->sessions_change.change += change;
}

/* Counts the session against its rule's quotas; undone by release(). A rule with max_sessions is counted at once: the number is exact. */
static enum sp_drop_reason acquire(struct sp_worker *worker, const struct sp_hot_rule *rule, uint32_t slot, const struct sp_addr *src)
{
	uint8_t reason = SP_DROP_NONE;

	if (rule == NULL || rule->max_sessions == 0) {
		count_session(worker, slot, 1);
	} else {
		/* Ends of this turn are places, too. */
		sp_admit_settle(worker);
		if (__atomic_fetch_add(&worker->dataplane->rule_table.shared[slot].sessions, 1, __ATOMIC_RELAXED) >= rule->max_sessions)
			reason = SP_DROP_LIMIT;
	}
	if (reason == SP_DROP_NONE && rule != NULL && rule->max_per_source != 0)
		reason = sp_source_acquire(worker->dataplane->limits, slot, src, rule->max_per_source);
	if (reason != SP_DROP_NONE)
		count_session(worker, slot, UINT32_MAX);
	return reason;
}

static void release(struct sp_worker *worker, uint32_t slot, const struct sp_addr *src, bool source)
{
	count_session(worker, slot, UINT32_MAX);
	if (source)
		sp_source_release(worker->dataplane->limits, slot, src);
}

/* A full table gives up what yields. The victim may be the session of a packet of this burst, which has passed the state stage with it. */
static void make_room(struct sp_worker *worker, uint8_t family)
{
	uint32_t victim = sp_sessions_victim(worker->sessions, family, worker->burst.now_ms);

	if (victim == SP_SESSION_NONE)
		return;
	sp_session_remove(worker->sessions, victim, SP_END_EVICTED);
	sp_burst_forget(&worker->burst, victim, worker->burst.n);
}

/*
 * While the SYN proxy is engaged a SYN opens nothing. What limits openings counts when the client has answered, so that a flood of forged
 * addresses does not use it up; only a rule that has its sessions already, or that limits every packet, speaks now.
 */
static void answer_by_proxy(struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule)
{
	enum sp_drop_reason reason = SP_DROP_NONE;

	if (rule != NULL && rule->max_sessions != 0 &&
		__atomic_load_n(&worker->dataplane->rule_table.shared[rule->slot].sessions, __ATOMIC_RELAXED) >= rule->max_sessions)
		reason = SP_DROP_LIMIT;
	else if (rule != NULL && rule->limit != NULL && rule->limit->unit != SP_LIMIT_OPENS)
		reason = take_limit(worker, i, rule);
	if (reason != SP_DROP_NONE)
		refuse(worker, i, rule, reason);
	else
		sp_syn_proxy_answer(worker, i, rule == NULL ? 0 : rule->mss);
}

/* Enters the session of packet i, which leaves as burst->leaves says when it is translated. */
static enum sp_drop_reason insert(
	struct sp_worker *worker, unsigned int i, struct sp_session_state *init, const struct sp_hot_rule *rule, uint32_t *ref)
{
	const struct sp_burst *burst = &worker->burst;
	const struct sp_packet *packet = &burst->packet[i];
	/* Without translation the reply's hash is the original's: the hash is symmetric. */
	uint32_t reply_hash = packet->hash;
	struct sp_key reply;

	init->flags &= ~SP_SESSION_NAT;
	if (unlikely(burst->translated >> i & 1)) {
		sp_key_reverse(&burst->leaves[i], &reply);
		reply_hash = (uint32_t)sp_key_hash(&reply);
		init->flags |= SP_SESSION_NAT;
	} else {
		sp_key_reverse(&packet->key, &reply);
	}
	*ref = sp_session_insert(worker->sessions, &packet->key, packet->hash, &reply, reply_hash, init,
		rule == NULL ? 0 : (uint32_t)rule->content_hash, burst->now_ms);
	return *ref == SP_SESSION_NONE ? SP_DROP_TABLE_SESSIONS_FULL : SP_DROP_NONE;
}

/* The same when rules translate: the source is chosen here, and chosen again while a session has its answers already. */
static __rte_noinline enum sp_drop_reason insert_translated(
	struct sp_worker *worker, unsigned int i, struct sp_session_state *init, const struct sp_hot_rule *rule, uint32_t *ref)
{
	for (unsigned int t = 0; t < NAT_TRIES; t++) {
		enum sp_drop_reason reason = sp_nat_open(worker, i);

		if (reason != SP_DROP_NONE)
			return reason;
		reason = insert(worker, i, init, rule, ref);
		if (reason == SP_DROP_NONE) {
			if (init->flags & SP_SESSION_NAT)
				sp_nat_opened(worker, i, *ref);
			return reason;
		}
		if (!sp_nat_refused(worker, i))
			return reason;
	}
	return SP_DROP_NAT_PORTS_EXHAUSTED;
}

static void open_session(struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule, uint32_t slot)
{
	const bool proxied = sp_syn_proxy_is_made(worker, i);
	struct sp_burst *burst = &worker->burst;
	const struct sp_packet *packet = &burst->packet[i];
	struct sp_session_state init = {
		.last_ms = burst->now_ms,
		.generation = worker->live->ruleset->generation,
		.slot = slot,
		.state = first_state(packet),
		.flags = sp_admit_flags(rule, worker->live->ruleset),
		.zone_from = packet->zone_from,
		.zone_to = packet->zone_to,
	};
	struct sp_match match;
	struct sp_session_cold *cold;
	enum sp_drop_reason reason;
	uint32_t ref, tag;

	if (unlikely(proxied && !sp_syn_proxy_has_room(worker))) {
		refuse(worker, i, rule, SP_DROP_TABLE_SYN_PROXY_FULL);
		return;
	}
	if (rule != NULL && rule->max_per_source != 0)
		sp_match_from_packet(burst, i, &match);
	reason = acquire(worker, rule, slot, &match.src);
	if (reason != SP_DROP_NONE) {
		refuse(worker, i, rule, reason);
		return;
	}
	if (rule != NULL && rule->max_per_source != 0)
		init.flags |= SP_SESSION_SOURCE;
	if (unlikely(proxied))
		init.flags |= SP_SESSION_PROXY;
	if (unlikely(sp_sessions_full(worker->sessions, packet->key.family)))
		make_room(worker, packet->key.family);
	if (likely(worker->live->nat == NULL))
		reason = insert(worker, i, &init, rule, &ref);
	else
		reason = insert_translated(worker, i, &init, rule, &ref);
	if (reason != SP_DROP_NONE) {
		release(worker, slot, &match.src, init.flags & SP_SESSION_SOURCE);
		refuse(worker, i, rule, reason);
		return;
	}
	burst->session[i] = ref;
	if (packet->key.proto == IPPROTO_TCP)
		sp_tcp_open_packet(worker->sessions, ref, burst->mbuf[i], packet);
	if (packet->key.proto == IPPROTO_SCTP && sp_sctp_open(burst->mbuf[i], packet, &tag) == SP_DROP_NONE)
		sp_sctp_begin(worker->sessions, ref, tag);
	if (unlikely(proxied))
		sp_syn_proxy_opened(worker, i, ref);
	else if (init.state == SP_STATE_TCP_SYN_SENT)
		sp_defence_opened(worker);
	cold = sp_session_cold(worker->sessions, ref);
	cold->packets[0] = 1;
	cold->bytes[0] = burst->mbuf[i]->pkt_len;
	if (rule != NULL && (rule->log & SP_LOG_START))
		sp_notify_flow(worker, ref, SP_EVENT_FLOW_START, SP_END_TIMEOUT);
}

static bool is_syn(const struct sp_packet *packet)
{
	return packet->key.proto == IPPROTO_TCP && (packet->tcp_flags & RTE_TCP_SYN_FLAG);
}

void sp_admit_packet(struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule)
{
	struct sp_burst *burst = &worker->burst;
	bool stateless = false;
	enum sp_drop_reason reason = may_pass(worker, i, rule);

	if (rule != NULL && (rule->flags & SP_HOT_STATELESS))
		stateless = true;
	else if (reason == SP_DROP_NONE)
		reason = may_open(worker, i, &stateless);
	if (reason == SP_DROP_NONE && !stateless && unlikely(worker->defence.proxying) && is_syn(&burst->packet[i]) &&
		!sp_syn_proxy_is_made(worker, i)) {
		answer_by_proxy(worker, i, rule);
		return;
	}
	if (reason == SP_DROP_NONE)
		reason = take_limit(worker, i, rule);
	if (reason != SP_DROP_NONE) {
		refuse(worker, i, rule, reason);
		return;
	}
	if (rule != NULL && rule->mss != 0 && (burst->packet[i].tcp_flags & RTE_TCP_SYN_FLAG))
		sp_mss_clamp(burst->mbuf[i], &burst->packet[i], rule->mss);
	if (!stateless) {
		open_session(worker, i, rule, rule == NULL ? SP_RULE_SLOT_DEFAULT : rule->slot);
		return;
	}
	if (unlikely(worker->live->nat != NULL))
		reason = sp_nat_stateless(worker, i);
	if (unlikely(reason != SP_DROP_NONE))
		refuse(worker, i, rule, reason);
}

void sp_admit_ended(void *context, struct sp_sessions *sessions, uint32_t ref, enum sp_flow_end why)
{
	struct sp_worker *worker = context;
	const struct sp_session_state *state = sp_session_state(sessions, ref);
	struct sp_match match;

	if (state->flags & SP_SESSION_LOG_END)
		sp_notify_flow(worker, ref, SP_EVENT_FLOW_END, why);
	if (unlikely(state->flags & SP_SESSION_PROXY))
		sp_syn_proxy_ended(worker, ref, why);
	if (unlikely(state->flags & SP_SESSION_NAT))
		sp_nat_ended(worker, sessions, ref);
	if (state->flags & SP_SESSION_SOURCE)
		sp_match_from_session(sessions, ref, &match);
	release(worker, state->slot, &match.src, state->flags & SP_SESSION_SOURCE);
}
