/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stages between parser and wire, in the order in which sp_worker_burst runs them. Each works on worker->burst, looks only at packets
 * whose verdict is GOING, and runs on the worker's thread.
 */
#ifndef SP_DATAPLANE_STAGES_H
#define SP_DATAPLANE_STAGES_H

#include "dataplane/worker.h"

/* owner.c: hands packets (of those with a bit in `among`) whose session another worker owns to that worker; a full ring drops them
 * (queue_handover). */
void sp_owner_burst(struct sp_worker *worker, const struct sp_port *port, uint32_t among);

/* owner.c: the worker of a flow whose key has this hash; and hands packet i to another worker, for good (`on`) or as its owner. */
unsigned int sp_owner_by_hash(uint32_t hash, unsigned int n_workers);
void sp_owner_hand_over(struct sp_worker *worker, const struct sp_port *port, unsigned int i, unsigned int owner, bool on);

/* link.c, route mode: the link that each frame came by; frames for others are dropped, and what is no matter of rules is marked
 * SP_VERDICT_SETTLED with its next hop. */
void sp_link_burst(struct sp_worker *worker, const struct sp_port *port);

/*
 * nat.c, when rules translate or burst->translated is not 0: what packets of sessions leave with; destinations of misses. Before their
 * route is looked up.
 */
void sp_nat_burst(struct sp_worker *worker);

/* nat.c, when rules translate: the entry that translates the source of each miss, whose zone is known now. Those (of `among`) whose
 * mappings another worker has go to that one. */
void sp_nat_source_burst(struct sp_worker *worker, const struct sp_port *port, uint32_t among);

/* nat_rewrite.c, when burst->translated is not 0: packets that leave get their new addresses and ports. After all that looks at bytes. */
void sp_nat_rewrite_burst(struct sp_worker *worker);

/* forward.c, wire mode: names the egress port of each packet and with it the zone it goes to. */
void sp_egress_burst(struct sp_worker *worker, const struct sp_port *port);

/* route.c, route mode: next hop, egress port and zone of each packet, by the destination with which it leaves. */
void sp_route_burst(struct sp_worker *worker);

/*
 * settled.c: packets of sessions about which nothing is left to decide are counted and marked SP_VERDICT_SETTLED. True when no packet is
 * left to the stages between here and forward.
 */
bool sp_settled_burst(struct sp_worker *worker);

/* rematch.c: sessions admitted by an older ruleset are judged by the live one: kept, or ended and the packet denied. */
void sp_rematch_burst(struct sp_worker *worker);

/* state.c: packets of live sessions: protocol state, time, counters, per-packet limits. Leaves misses alone. */
void sp_state_burst(struct sp_worker *worker);

/*
 * The same for one packet with a session. A SYN that opens a closed connection anew ends the old session: burst->session[i] becomes
 * SP_SESSION_NONE, and packets from index `passed` on that had it become misses.
 */
void sp_state_packet(struct sp_worker *worker, unsigned int i, unsigned int passed);

/* classify.c: misses meet the rules; what is allowed opens a session (admit.c). */
void sp_classify_burst(struct sp_worker *worker);

/* admit.c: opens a session for packet i under `rule` (NULL: the default), after its limits. Drops the packet when it may not. */
void sp_admit_packet(struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule);

/* admit.c: what a packet takes from a limit: itself, its bits, or as many packets as it came in fragments. */
uint64_t sp_limit_units(const struct sp_limit *limit, const struct rte_mbuf *mbuf);

/* Session flags that come from a rule's options, and what they are for `rule` (NULL: the default). */
#define SP_SESSION_FROM_RULE (SP_SESSION_INSPECT | SP_SESSION_LOG_END | SP_SESSION_LIMITED | SP_SESSION_MSS)
uint8_t sp_admit_flags(const struct sp_hot_rule *rule, const struct sp_ruleset *ruleset);

/*
 * Tells the rule table how many sessions of which rule this worker has gained or lost: at the end of each turn, so that not each session
 * costs an atomic operation on a line that all workers write.
 */
void sp_admit_settle(struct sp_worker *worker);

/* The end hook of the session table: event, quotas. */
void sp_admit_ended(void *worker, struct sp_sessions *sessions, uint32_t ref, enum sp_flow_end why);

/* inspect_stage.c: payload of sessions whose rule inspects. */
void sp_inspect_burst(struct sp_worker *worker);

/* forward.c: into the egress port's tx buffer. */
void sp_forward_burst(struct sp_worker *worker);

/* finish.c: counts and frees what was dropped, builds answers to what was rejected, counts hits of rules. */
void sp_finish_burst(struct sp_worker *worker, const struct sp_port *port);

/*
 * forward.c: queues one mbuf for a port (or, in route mode, for the TAP of a link: SP_PORTS_MAX + link, or by its route: SP_WAY_ROUTE), and
 * sends what a port's buffer holds. What the NIC does not take is dropped (queue_tx).
 */
void sp_tx_queue(struct sp_worker *worker, unsigned int port, struct rte_mbuf *mbuf);
void sp_tx_flush(struct sp_worker *worker, unsigned int port);

/* forward.c: worker 0 takes what workers without a tx queue passed to it for this port. */
void sp_tx_collect(struct sp_worker *worker, unsigned int port);

/* match_key.c: what rules see of a key, of a parsed packet, and of a session's opener. The first: any thread. */
void sp_match_from_key(const struct sp_key *key, uint8_t zone_from, uint8_t zone_to, struct sp_match *match);
void sp_match_from_packet(const struct sp_burst *burst, unsigned int i, struct sp_match *match);
void sp_match_from_session(const struct sp_sessions *sessions, uint32_t ref, struct sp_match *match);

/* mss.c: lowers the MSS option of a SYN to `mss` and mends the checksum; leaves anything malformed alone. */
void sp_mss_clamp(struct rte_mbuf *mbuf, const struct sp_packet *packet, uint16_t mss);

/* notify.c: events of a packet and of a session, within the rate that each rule's log has. `rule` NULL: the default. */
void sp_notify_drop(struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule);
void sp_notify_alert(struct sp_worker *worker, unsigned int i, const struct sp_hot_rule *rule, uint32_t signature);
void sp_notify_flow(struct sp_worker *worker, uint32_t ref, uint8_t type, enum sp_flow_end why);

/* notify.c: a defence engages or disengages; what is measured, and the threshold it crossed. */
void sp_notify_defence(struct sp_worker *worker, enum sp_defence defence, bool engaged, uint64_t value, uint64_t threshold);

/* Monotonic ns of the burst since tsc_start, for limits. */
static inline uint64_t sp_burst_ns(const struct sp_worker *worker)
{
	const struct sp_dataplane *dataplane = worker->dataplane;

	return (uint64_t)((__uint128_t)(worker->burst.now - dataplane->tsc_start) * 1000000000u / dataplane->tsc_hz);
}

/* Counters of a slot, this worker's. */
static inline struct sp_rule_counters *sp_slot_counters(const struct sp_worker *worker, uint32_t slot)
{
	return &worker->dataplane->rule_table.counters[worker->index][slot];
}

#endif
