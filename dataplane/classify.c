/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets without a session meet the rules, in bulk: the classifier answers "the first match at or after rule i"; a rule whose packet-only
 * fields fail, and a monitor rule, pass the packet on to the next.
 */
#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_tcp.h>
#include <string.h>

#include "dataplane/nat.h"
#include "dataplane/nd.h"
#include "dataplane/session_tcp.h"
#include "dataplane/stages.h"
#include "dataplane/syn_proxy.h"
#include "rules/miss.h"
#include "rules/self.h"

static void view_packet(struct sp_worker *worker, unsigned int i, struct sp_packet_view *view)
{
	struct sp_burst *burst = &worker->burst;
	struct rte_mbuf *mbuf = burst->mbuf[i];
	uint32_t length = RTE_MIN(mbuf->pkt_len, (uint32_t)SP_INSPECT_BUFFER_BYTES);
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(mbuf, const struct rte_ether_hdr *);

	memset(view, 0, sizeof(*view));
	view->frame = rte_pktmbuf_read(mbuf, 0, length, worker->inspect_buffer);
	view->frame_len = view->frame == NULL ? 0 : length;
	view->wire_len = mbuf->pkt_len;
	view->known = SP_VIEW_FRAME | SP_VIEW_LENGTH | SP_VIEW_SRC_MAC;
	if (view->frame != NULL)
		ether = (const struct rte_ether_hdr *)view->frame;
	memcpy(view->src_mac, &ether->src_addr, sizeof(view->src_mac));
	if (burst->packet[i].key.family != SP_FAMILY_NONE) {
		view->dscp = burst->packet[i].dscp;
		view->known |= SP_VIEW_DSCP;
	}
	if (burst->packet[i].key.proto == IPPROTO_TCP && burst->packet[i].kind == SP_KIND_FLOW) {
		view->tcp_flags = burst->packet[i].tcp_flags;
		view->known |= SP_VIEW_TCP_FLAGS;
	}
}

static void count_hit(struct sp_worker *worker, uint32_t slot)
{
	struct sp_rule_counters *counters = sp_slot_counters(worker, slot);
	uint64_t now_ns = sp_wall_ns(worker->dataplane, worker->burst.now);

	sp_count(&counters->hits, 1);
	if (counters->first_ns == 0)
		sp_count(&counters->first_ns, now_ns);
	__atomic_store_n(&counters->last_ns, now_ns, __ATOMIC_RELAXED);
}

static bool residual_matches(struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule)
{
	struct sp_packet_view view;

	if (rule->residual == NULL)
		return true;
	view_packet(worker, i, &view);
	return sp_residual_match(rule->residual, &view) == SP_YES;
}

/* Counts and logs the monitor rules before rule `end` (SP_RULE_NONE: all) that match the packet. */
static void watch(struct sp_worker *worker, unsigned int i, const struct sp_match *match, uint32_t end)
{
	const struct sp_ruleset *ruleset = worker->live->ruleset;
	uint32_t index;

	for (uint32_t from = 0;; from = index + 1) {
		const struct sp_hot_rule *rule;

		sp_classifier_lookup(ruleset->classifier, &match, &from, &index, 1);
		if (index >= end)
			return;
		rule = &ruleset->rules[index];
		if (!(rule->flags & SP_HOT_MONITOR) || !residual_matches(worker, i, rule))
			continue;
		count_hit(worker, rule->slot);
		if (rule->log != SP_LOG_NONE)
			sp_notify_drop(worker, i, rule);
	}
}

static void deny(
	struct sp_worker *worker, unsigned int i, uint8_t action, enum sp_drop_reason reason, const struct sp_hot_rule *rule, uint8_t log)
{
	struct sp_burst *burst = &worker->burst;

	burst->verdict[i] = action == SP_ACTION_REJECT ? SP_VERDICT_REJECT : SP_VERDICT_DROP;
	burst->reason[i] = reason;
	if (log & SP_LOG_END)
		sp_notify_drop(worker, i, rule);
}

/* What the default says; frames that are not IP, and ICMP errors of no session, have reasons of their own. */
static void decide_default(struct sp_worker *worker, unsigned int i, const struct sp_match *match)
{
	const struct sp_ruleset *ruleset = worker->live->ruleset;
	const struct sp_packet *packet = &worker->burst.packet[i];
	enum sp_drop_reason reason = SP_DROP_DEFAULT;
	enum sp_self_default self = SP_SELF_NOT;

	worker->burst.slot[i] = SP_RULE_SLOT_DEFAULT;
	count_hit(worker, SP_RULE_SLOT_DEFAULT);
	if (worker->dataplane->routing != NULL)
		self = sp_self_default(match, worker->dataplane->zone_self);
	if (self == SP_SELF_ALLOWS || (self == SP_SELF_NOT && ruleset->default_action == SP_ACTION_ALLOW)) {
		sp_admit_packet(worker, i, NULL);
		return;
	}
	if (packet->kind == SP_KIND_NON_IP)
		reason = SP_DROP_ROUTE_NON_IP;
	else if (packet->kind == SP_KIND_ICMP_ERROR)
		reason = SP_DROP_ICMP_NO_SESSION;
	deny(worker, i, self == SP_SELF_DROPS ? SP_ACTION_DROP : ruleset->default_action, reason, NULL, ruleset->default_log);
}

static void decide_rule(struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule)
{
	worker->burst.slot[i] = rule->slot;
	count_hit(worker, rule->slot);
	if (rule->action == SP_ACTION_ALLOW)
		sp_admit_packet(worker, i, rule);
	else
		deny(worker, i, rule->action, SP_DROP_RULE, rule, rule->log);
}

/*
 * An earlier packet of this burst may have opened the session of this one: then it is no miss any more. In order, so that verdicts do not
 * depend on how packets fall into bursts.
 */
static bool has_session_now(struct sp_worker *worker, unsigned int i)
{
	struct sp_burst *burst = &worker->burst;
	const struct sp_packet *packet = &burst->packet[i];

	if (packet->kind == SP_KIND_NON_IP)
		return false;
	burst->session[i] = sp_session_find_packet(worker->sessions, packet);
	if (burst->session[i] == SP_SESSION_NONE)
		return false;
	sp_state_packet(worker, i, burst->n);
	if (burst->session[i] == SP_SESSION_NONE)
		return false;
	if (unlikely(worker->live->nat != NULL))
		sp_nat_hit(worker, i);
	return true;
}

/* What the search for the rule that decides a miss found. */
struct answer {
	uint32_t index; /* of that rule, or SP_RULE_NONE */
	bool watched;   /* monitor rules before it may match */
};

/* ND passes before the rules, ARP when no rule decides it. */
static bool builtin_passes(
	const struct sp_ruleset *ruleset, const struct sp_burst *burst, unsigned int i, const struct sp_match *match, uint32_t index)
{
	if (burst->packet[i].kind == SP_KIND_ICMP_ERROR || !sp_match_builtin(ruleset->policy, match))
		return false;
	return match->family == SP_FAMILY_NONE ? index == SP_RULE_NONE : sp_nd_valid(burst->mbuf[i], &burst->packet[i]);
}

static void decide(struct sp_worker *worker, unsigned int i, const struct sp_match *match, const struct answer *answer)
{
	const struct sp_ruleset *ruleset = worker->live->ruleset;
	bool builtin = builtin_passes(ruleset, &worker->burst, i, match, answer->index);

	if (builtin ? match->family != SP_FAMILY_NONE : has_session_now(worker, i))
		return;
	if (answer->watched)
		watch(worker, i, match, answer->index);
	if (builtin)
		return;
	if (answer->index == SP_RULE_NONE)
		decide_default(worker, i, match);
	else
		decide_rule(worker, i, &ruleset->rules[answer->index]);
}

/*
 * Finds the rules that decide n misses; matches[k] is the view of packet packet_of[k]. Each turn answers every open miss; those that a rule
 * passes on stay open. `from` grows, so the number of rules bounds the turns.
 */
static void search(
	struct sp_worker *worker, const uint8_t *packet_of, const struct sp_match *matches, unsigned int n, struct answer *answers)
{
	const struct sp_ruleset *ruleset = worker->live->ruleset;
	const struct sp_match *keys[SP_BURST_MAX];
	uint32_t from[SP_BURST_MAX], found[SP_BURST_MAX];
	uint8_t open[SP_BURST_MAX];
	unsigned int n_open = n;

	for (unsigned int k = 0; k < n; k++) {
		keys[k] = &matches[k];
		from[k] = 0;
		open[k] = (uint8_t)k;
		answers[k].watched = false;
	}
	while (n_open > 0) {
		unsigned int still_open = 0;

		sp_classifier_lookup(ruleset->classifier, keys, from, found, n_open);
		for (unsigned int o = 0; o < n_open; o++) {
			unsigned int k = open[o];
			const struct sp_hot_rule *rule = found[o] == SP_RULE_NONE ? NULL : &ruleset->rules[found[o]];
			bool monitor = rule != NULL && (rule->flags & SP_HOT_MONITOR);

			answers[k].index = found[o];
			answers[k].watched |= monitor;
			if (rule == NULL || (!monitor && residual_matches(worker, packet_of[k], rule)))
				continue;
			keys[still_open] = keys[o];
			from[still_open] = found[o] + 1;
			open[still_open++] = (uint8_t)k;
		}
		n_open = still_open;
	}
}

/* A segment that answers a SYN+ACK of the SYN proxy becomes the SYN that the server gets, and meets the rules as that. */
static __rte_noinline void take_cookies(struct sp_worker *worker)
{
	struct sp_burst *burst = &worker->burst;
	const uint8_t answering = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG;

	sp_syn_proxy_begin(worker);
	for (unsigned int i = 0; i < burst->n; i++)
		if (burst->verdict[i] == SP_VERDICT_GOING && burst->session[i] == SP_SESSION_NONE &&
			burst->packet[i].kind == SP_KIND_FLOW && burst->packet[i].key.proto == IPPROTO_TCP &&
			(burst->packet[i].tcp_flags & answering) == RTE_TCP_ACK_FLAG)
			sp_syn_proxy_ack(worker, i);
}

void sp_classify_burst(struct sp_worker *worker)
{
	struct sp_burst *burst = &worker->burst;
	struct sp_match matches[SP_BURST_MAX];
	struct answer answers[SP_BURST_MAX];
	uint8_t packet_of[SP_BURST_MAX];
	unsigned int n = 0;

	if (unlikely(worker->defence.expecting))
		take_cookies(worker);
	for (unsigned int i = 0; i < burst->n; i++) {
		if (burst->verdict[i] != SP_VERDICT_GOING || burst->session[i] != SP_SESSION_NONE)
			continue;
		sp_match_from_packet(burst, i, &matches[n]);
		packet_of[n++] = (uint8_t)i;
	}
	search(worker, packet_of, matches, n, answers);
	for (unsigned int k = 0; k < n; k++)
		decide(worker, packet_of[k], &matches[k], &answers[k]);
}
