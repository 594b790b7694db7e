/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What becomes of a packet's addresses: of those with a session what it says, of misses what the entries and mappings say.
 */
#include "dataplane/nat.h"

#include <netinet/in.h>

#include "dataplane/nat_internal.h"
#include "dataplane/session_table.h"
#include "dataplane/siphash.h"
#include "dataplane/stages.h"
#include "dataplane/stats.h"

#define AGE_BUDGET 64 /* mappings a turn */

int sp_nat_proto_of(const struct sp_key *key)
{
	switch (key->proto) {
	case IPPROTO_TCP:
		return SP_NAT_PROTO_TCP;
	case IPPROTO_UDP:
		return SP_NAT_PROTO_UDP;
	case IPPROTO_SCTP:
		return SP_NAT_PROTO_SCTP;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (key->proto != (key->family == SP_FAMILY_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
			return -1;
		return sp_icmp_is_query(key->family, (uint8_t)(key->aux >> 8)) || sp_icmp_is_reply(key->family, (uint8_t)(key->aux >> 8))
			       ? SP_NAT_PROTO_ICMP
			       : -1;
	default:
		return -1;
	}
}

/* --- sessions --------------------------------------------------------------------------------------------------------------------------
 */

/* Fills leaves[i] from the session that the packet belongs to. */
static inline void leave_by_session(struct sp_worker *worker, unsigned int i)
{
	struct sp_burst *burst = &worker->burst;
	const struct sp_session_pool *pool = &worker->sessions->pool[sp_ref_pool(burst->session[i])];
	/* An error quotes a packet of the direction that the reference names: it is to be quoted as it came. */
	const bool error = burst->packet[i].kind == SP_KIND_ICMP_ERROR;
	const uint32_t index = burst->session[i] & SP_SESSION_INDEX;
	const bool reply = ((burst->session[i] & SP_SESSION_REPLY) != 0) == error;

	if (likely(!(burst->session[i] & SP_SESSION_IPV6))) {
		const struct sp_session4 *session = &((const struct sp_session4 *)(const void *)pool->hot)[index];
		const uint8_t *tuple = reply ? session->reply : session->original;

		if (likely(!error))
			sp_nat_leave4(tuple, &burst->leaves[i]);
		else
			memcpy(&burst->leaves[i], tuple, SP_KEY4_BYTES);
	} else {
		const struct sp_session6 *session = &((const struct sp_session6 *)(const void *)pool->hot)[index];
		const uint8_t *tuple = reply ? session->reply : session->original;

		if (likely(!error))
			sp_nat_leave6(tuple, &burst->leaves[i]);
		else
			memcpy(&burst->leaves[i], tuple, SP_KEY6_BYTES);
	}
}

void sp_nat_hit(struct sp_worker *worker, unsigned int i)
{
	struct sp_burst *burst = &worker->burst;

	burst->translated &= ~(1u << i);
	if (!sp_burst_has_session(burst, i) || !(sp_session_state(worker->sessions, burst->session[i])->flags & SP_SESSION_NAT))
		return;
	burst->translated |= 1u << i;
	leave_by_session(worker, i);
}

/* --- destinations ----------------------------------------------------------------------------------------------------------------------
 */

/* A fixed number for all packets of a flow: the same after a restart, and on another firewall with these rules. */
static uint32_t flow_hash(const struct sp_key *key)
{
	static const uint64_t fixed[2] = {0x666c6f7773206f66u, 0x20612066696c7465u};
	uint64_t words[5] = {0};

	memcpy(words, &key->v6, key->family == SP_FAMILY_IPV4 ? sizeof(key->v4) : sizeof(key->v6));
	words[4] = (uint64_t)key->sport << 32 | (uint64_t)key->dport << 16 | (uint64_t)key->proto << 8 | key->family;
	return (uint32_t)(sp_siphash_rounds(fixed, words, 5, 1, 3) >> 32);
}

/* The port in `to` (one, or a range in step) for a port of `from`. */
static rte_be16_t port_in_step(const struct sp_rangelist *from, const struct sp_rangelist *to, rte_be16_t port)
{
	const uint16_t was = rte_be_to_cpu_16(port);

	if (to->n == 0)
		return port;
	if (to->v[0].lo == to->v[0].hi || from->n == 0)
		return rte_cpu_to_be_16(to->v[0].lo);
	return rte_cpu_to_be_16((uint16_t)(to->v[0].lo + (was - from->v[0].lo)));
}

static enum sp_drop_reason to_backend(const struct sp_worker *worker, struct sp_nat_rule *rule, struct sp_key *leaves)
{
	const struct sp_maglev *table = __atomic_load_n(&rule->table, __ATOMIC_ACQUIRE);
	uint16_t k = 0;

	if (table != NULL)
		k = sp_maglev_choose(table, flow_hash(leaves));
	else if (__atomic_load_n(&rule->dead, __ATOMIC_RELAXED))
		k = SP_MAGLEV_NONE;
	if (k >= rule->entry->n_hosts) {
		sp_count(&rule->counters[worker->index].refused, 1);
		return SP_DROP_NAT_NO_BACKEND;
	}
	sp_nat_set_addr(leaves, false, &rule->backend[k]);
	if (leaves->proto == IPPROTO_TCP || leaves->proto == IPPROTO_UDP || leaves->proto == IPPROTO_SCTP)
		leaves->dport = port_in_step(&rule->entry->dport, &rule->entry->port, leaves->dport);
	return SP_DROP_NONE;
}

/* By the mapping that the destination is the outside of, for those that its entry lets in. */
static bool to_mapping(struct sp_worker *worker, unsigned int i, const struct sp_addr *dst)
{
	const struct sp_nat_rules *rules = worker->live->nat;
	struct sp_nat_worker *nat = sp_nat_of(worker);
	const struct sp_key *key = &worker->burst.packet[i].key;
	const struct sp_nat_rule *rule;
	const struct sp_nat_mapping *mapping;
	struct sp_key *leaves = &worker->burst.leaves[i];
	struct sp_addr src = sp_nat_key_addr(key, true);
	int proto = sp_nat_proto_of(key);
	uint32_t m;

	if (proto < 0)
		return false;
	m = sp_nat_mapping_at(nat, dst, key->dport, (unsigned int)proto);
	if (m == SP_NAT_NONE)
		return false;
	mapping = &nat->mapping[m];
	rule = sp_nat_rule_by_id(rules, mapping->entry);
	if (rule == NULL || rule->entry->type != SP_NAT_SOURCE || rule->entry->filtering == SP_NAT_FILTERING_SESSION ||
		(rule->entry->filtering == SP_NAT_FILTERING_ADDRESS && !sp_nat_permitted(nat, m, &src)))
		return false;
	/* A hairpin had it made away from its owner, for its own answers alone: what it sends goes out by another mapping. */
	if (rules->nat->n_workers > 1 && sp_nat_owner_of(rules->nat, &mapping->inside) != worker->index)
		return false;
	/* To itself through the outside: there is no such session that both ends could tell apart. */
	if (sp_nat_same_addr(&src, &mapping->inside) && key->sport == mapping->inside_port)
		return false;
	*leaves = *key;
	sp_nat_set_addr(leaves, false, &mapping->inside);
	leaves->dport = mapping->inside_port;
	if (proto == SP_NAT_PROTO_ICMP)
		leaves->sport = mapping->inside_port;
	nat->choice[i].inbound = m;
	worker->burst.translated |= 1u << i;
	return true;
}

static void choose_destination(struct sp_worker *worker, unsigned int i)
{
	const struct sp_nat_rules *rules = worker->live->nat;
	struct sp_nat_worker *nat = sp_nat_of(worker);
	struct sp_burst *burst = &worker->burst;
	const struct sp_packet *packet = &burst->packet[i];
	struct sp_nat_choice *choice = &nat->choice[i];
	enum sp_drop_reason reason = SP_DROP_NONE;
	struct sp_addr dst = sp_nat_key_addr(&packet->key, false), inside;
	struct sp_match match;
	uint32_t r;

	*choice = (struct sp_nat_choice){.destination = SP_NAT_NONE, .inbound = SP_NAT_NONE, .source = SP_NAT_NONE, .mapping = SP_NAT_NONE};
	if (packet->kind != SP_KIND_FLOW)
		return;
	sp_match_from_key(&packet->key, packet->zone_from, SP_MATCH_NO_ZONE, &match);
	r = sp_nat_match(rules->policy, &match, true, sp_nat_is_own(nat, &dst), 0);
	if (r == SP_NAT_NO_ENTRY) {
		to_mapping(worker, i, &dst);
		return;
	}
	if (rules->rule[r].entry->none)
		return;
	burst->leaves[i] = packet->key;
	if (rules->rule[r].entry->type == SP_NAT_DESTINATION)
		reason = to_backend(worker, &rules->rule[r], &burst->leaves[i]);
	else if (sp_nat_counterpart(rules->rule[r].entry, &dst, false, &inside))
		sp_nat_set_addr(&burst->leaves[i], false, &inside);
	else
		reason = SP_DROP_NAT_UNTRANSLATABLE;
	if (reason != SP_DROP_NONE) {
		sp_burst_drop(burst, i, reason);
		return;
	}
	choice->destination = r;
	burst->translated |= 1u << i;
}

void sp_nat_burst(struct sp_worker *worker)
{
	struct sp_burst *burst = &worker->burst;

	for (uint32_t left = burst->translated; left != 0; left &= left - 1) {
		unsigned int i = (unsigned int)__builtin_ctz(left);

		/* The long way may have ended the session since it was found. */
		if (likely((burst->verdict[i] == SP_VERDICT_GOING || burst->verdict[i] == SP_VERDICT_SETTLED) &&
			    sp_burst_has_session(burst, i)))
			leave_by_session(worker, i);
		else
			burst->translated &= ~(1u << i);
	}
	if (worker->live->nat == NULL)
		return;
	for (unsigned int i = 0; i < burst->n; i++)
		if (burst->verdict[i] == SP_VERDICT_GOING && burst->session[i] == SP_SESSION_NONE &&
			burst->packet[i].kind != SP_KIND_NON_IP)
			choose_destination(worker, i);
}

/* --- sources ---------------------------------------------------------------------------------------------------------------------------
 */

/*
 * Back to where it came from, by way of an external address: the answer must come back here, and the receiver is to see what any other host
 * would (RFC 4787 REQ-9). No entry is written for that: the first one that would translate the source on its way to any zone.
 */
static uint32_t hairpin_entry(const struct sp_worker *worker, struct sp_match *match)
{
	const struct sp_policy *policy = worker->live->nat->policy;
	uint32_t first = SP_NAT_NO_ENTRY;

	for (unsigned int zone = 0; zone < worker->dataplane->zones.n; zone++) {
		uint32_t r;

		match->to = (uint8_t)zone;
		r = sp_nat_match(policy, match, false, false, 0);
		first = RTE_MIN(first, r);
	}
	return first;
}

/* The entry for the source of a miss; of an error, for its own. */
static uint32_t choose_source(struct sp_worker *worker, unsigned int i)
{
	const struct sp_nat_rules *rules = worker->live->nat;
	const struct sp_packet *packet = &worker->burst.packet[i];
	struct sp_match match;
	uint32_t r;

	sp_match_from_packet(&worker->burst, i, &match);
	r = sp_nat_match(rules->policy, &match, false, false, 0);
	if (r == SP_NAT_NO_ENTRY && (worker->burst.translated >> i & 1) && packet->zone_from == packet->zone_to)
		r = hairpin_entry(worker, &match);
	return r == SP_NAT_NO_ENTRY || rules->rule[r].entry->none ? SP_NAT_NONE : r;
}

/* The worker that has the mappings of packet i's source, or of the source of the packet whose answer an error is about. */
static int source_owner(struct sp_worker *worker, unsigned int i, uint32_t source)
{
	const struct sp_nat_rules *rules = worker->live->nat;
	const struct sp_packet *packet = &worker->burst.packet[i];
	struct sp_match match;
	struct sp_key key;
	struct sp_addr addr;

	if (packet->kind != SP_KIND_ICMP_ERROR) {
		/* What comes in by a mapping stays with it, in a hairpin, too. */
		if (source == SP_NAT_NONE || sp_nat_of(worker)->choice[i].inbound != SP_NAT_NONE)
			return -1;
		addr = sp_nat_key_addr(&packet->key, true);
		return (int)sp_nat_owner_of(rules->nat, &addr);
	}
	sp_key_answered(&packet->key, &key);
	sp_match_from_key(&key, packet->zone_from, packet->zone_to, &match);
	source = sp_nat_match(rules->policy, &match, false, false, 0);
	if (source == SP_NAT_NO_ENTRY || rules->rule[source].entry->none)
		return -1;
	addr = sp_nat_key_addr(&key, true);
	return (int)sp_nat_owner_of(rules->nat, &addr);
}

void sp_nat_source_burst(struct sp_worker *worker, const struct sp_port *port, uint32_t among)
{
	struct sp_burst *burst = &worker->burst;

	for (unsigned int i = 0; i < burst->n; i++) {
		uint32_t *source = &sp_nat_of(worker)->choice[i].source;
		int owner;

		if (burst->verdict[i] != SP_VERDICT_GOING || burst->session[i] != SP_SESSION_NONE ||
			burst->packet[i].kind == SP_KIND_NON_IP)
			continue;
		*source = choose_source(worker, i);
		if (worker->dataplane->n_workers == 1 || !(among >> i & 1))
			continue;
		owner = source_owner(worker, i, *source);
		if (owner >= 0 && (unsigned int)owner != worker->index)
			sp_owner_hand_over(worker, port, i, (unsigned int)owner, true);
	}
}

/* The slice of the address of the link by which packet i leaves. */
static struct sp_nat_slice *egress_slice(const struct sp_worker *worker, unsigned int i)
{
	const struct sp_routing *routing = worker->dataplane->routing;
	const struct sp_burst *burst = &worker->burst;

	if (routing == NULL || burst->nexthop[i] >= routing->n_nexthops)
		return NULL;
	return sp_nat_link_slice(worker, routing->nexthops[burst->nexthop[i]].link, burst->packet[i].key.family);
}

/* In a hairpin the address that the packet was sent to, or else that of the link by which it leaves. */
static struct sp_nat_slice *interface_slice(const struct sp_worker *worker, unsigned int i)
{
	const struct sp_packet *packet = &worker->burst.packet[i];
	struct sp_addr dst = sp_nat_key_addr(&packet->key, false);
	struct sp_nat_slice *slice = NULL;

	if ((worker->burst.translated >> i & 1) && packet->zone_from == packet->zone_to)
		slice = sp_nat_own_slice(sp_nat_of(worker), &dst);
	return slice != NULL ? slice : egress_slice(worker, i);
}

/* By a source entry: leaves get the external end of a mapping. */
static enum sp_drop_reason map_source(struct sp_worker *worker, unsigned int i, struct sp_nat_rule *rule, struct sp_key *leaves)
{
	struct sp_nat_choice *choice = &sp_nat_of(worker)->choice[i];
	const struct sp_key *key = &worker->burst.packet[i].key;
	struct sp_nat_want want = {.rules = worker->live->nat, .rule = rule, .inside = sp_nat_key_addr(key, true), .port = key->sport};
	const struct sp_nat_mapping *mapping;
	int proto = sp_nat_proto_of(key);
	enum sp_drop_reason reason;

	if (proto < 0)
		return SP_DROP_NAT_UNTRANSLATABLE;
	want.proto = (uint8_t)proto;
	if (rule->entry->interface)
		want.interface = interface_slice(worker, i);
	reason = sp_nat_map(worker, &want, &choice->mapping, &choice->fresh);
	if (reason == SP_DROP_NAT_PORTS_EXHAUSTED)
		sp_nat_tell_exhausted(worker, rule, &want);
	else if (reason == SP_DROP_NAT_MAX_PER_SOURCE)
		sp_count(&rule->counters[worker->index].refused, 1);
	if (reason != SP_DROP_NONE)
		return reason;
	mapping = &sp_nat_of(worker)->mapping[choice->mapping];
	sp_nat_set_addr(leaves, true, &mapping->slice->address);
	leaves->sport = mapping->port;
	/* An ICMP query has one identifier: a hairpin to another mapping's would need two. */
	if (proto == SP_NAT_PROTO_ICMP) {
		if (choice->inbound != SP_NAT_NONE)
			return SP_DROP_NAT_UNTRANSLATABLE;
		leaves->dport = leaves->sport;
	}
	return SP_DROP_NONE;
}

/* The source of what leaves: unchanged, by a static or prefix entry, or by a mapping. */
static enum sp_drop_reason translate_source(struct sp_worker *worker, unsigned int i, struct sp_nat_rule *rule, struct sp_key *leaves)
{
	struct sp_addr inside = sp_nat_key_addr(&worker->burst.packet[i].key, true), outside;

	if (rule->entry->type == SP_NAT_SOURCE)
		return map_source(worker, i, rule, leaves);
	if (!sp_nat_counterpart(rule->entry, &inside, true, &outside))
		return SP_DROP_NAT_UNTRANSLATABLE;
	sp_nat_set_addr(leaves, true, &outside);
	return SP_DROP_NONE;
}

static void give_back(struct sp_worker *worker, unsigned int i)
{
	struct sp_nat_choice *choice = &sp_nat_of(worker)->choice[i];

	if (choice->mapping != SP_NAT_NONE && choice->fresh)
		sp_nat_mapping_drop(worker, choice->mapping);
	choice->mapping = SP_NAT_NONE;
}

enum sp_drop_reason sp_nat_open(struct sp_worker *worker, unsigned int i)
{
	struct sp_nat_choice *choice = &sp_nat_of(worker)->choice[i];
	struct sp_burst *burst = &worker->burst;
	struct sp_key leaves;
	enum sp_drop_reason reason;

	choice->mapping = SP_NAT_NONE;
	choice->fresh = false;
	if (choice->source == SP_NAT_NONE)
		return SP_DROP_NONE;
	leaves = burst->translated >> i & 1 ? burst->leaves[i] : burst->packet[i].key;
	reason = translate_source(worker, i, &worker->live->nat->rule[choice->source], &leaves);
	if (reason != SP_DROP_NONE) {
		give_back(worker, i);
		return reason;
	}
	burst->leaves[i] = leaves;
	burst->translated |= 1u << i;
	return SP_DROP_NONE;
}

static void count_session(const struct sp_worker *worker, uint32_t rule)
{
	if (rule != SP_NAT_NONE)
		sp_count(&worker->live->nat->rule[rule].counters[worker->index].sessions, 1);
}

void sp_nat_opened(struct sp_worker *worker, unsigned int i, uint32_t ref)
{
	struct sp_nat_worker *nat = sp_nat_of(worker);
	struct sp_nat_choice *choice = &nat->choice[i];
	struct sp_session_nat *kept = sp_session_nat(worker->sessions, ref);
	const struct sp_nat_rule *rule;

	*kept = (struct sp_session_nat){.mapping = {SP_NAT_NONE, SP_NAT_NONE}, .permit = SP_NAT_NONE};
	count_session(worker, choice->destination);
	count_session(worker, choice->source);
	sp_count(&nat->counters.translated, 1);
	if (choice->inbound != SP_NAT_NONE) {
		sp_nat_mapping_take(worker, choice->inbound);
		kept->mapping[1] = choice->inbound;
	}
	if (choice->mapping == SP_NAT_NONE)
		return;
	sp_nat_mapping_take(worker, choice->mapping);
	kept->mapping[0] = choice->mapping;
	rule = &worker->live->nat->rule[choice->source];
	if (rule->entry->filtering == SP_NAT_FILTERING_ADDRESS) {
		struct sp_addr remote = sp_nat_key_addr(&worker->burst.leaves[i], false);

		kept->permit = sp_nat_permit_take(nat, choice->mapping, &remote);
	}
}

bool sp_nat_refused(struct sp_worker *worker, unsigned int i)
{
	const struct sp_nat_choice *choice = &sp_nat_of(worker)->choice[i];
	const bool another = choice->mapping != SP_NAT_NONE && choice->fresh;
	struct sp_key reply;

	sp_key_reverse(&worker->burst.leaves[i], &reply);
	if (another && sp_session_find(worker->sessions, &reply, (uint32_t)sp_key_hash(&reply)) != SP_SESSION_NONE) {
		give_back(worker, i);
		return true;
	}
	give_back(worker, i);
	return false;
}

void sp_nat_ended(struct sp_worker *worker, struct sp_sessions *sessions, uint32_t ref)
{
	struct sp_session_nat *kept = sp_session_nat(sessions, ref);

	if (kept->permit != SP_NAT_NONE)
		sp_nat_permit_leave(sp_nat_of(worker), kept->permit);
	for (unsigned int m = 0; m < 2; m++)
		if (kept->mapping[m] != SP_NAT_NONE)
			sp_nat_mapping_leave(worker, kept->mapping[m]);
}

enum sp_drop_reason sp_nat_stateless(struct sp_worker *worker, unsigned int i)
{
	const struct sp_nat_choice *choice = &sp_nat_of(worker)->choice[i];
	const struct sp_nat_rule *rules = worker->live->nat->rule;
	struct sp_burst *burst = &worker->burst;
	struct sp_addr inside, outside;
	struct sp_key leaves;

	if (choice->inbound != SP_NAT_NONE ||
		(choice->destination != SP_NAT_NONE && rules[choice->destination].entry->type == SP_NAT_DESTINATION))
		return SP_DROP_NAT_UNTRANSLATABLE;
	if (choice->source == SP_NAT_NONE)
		return SP_DROP_NONE;
	if (rules[choice->source].entry->type == SP_NAT_SOURCE || burst->packet[i].kind != SP_KIND_FLOW)
		return SP_DROP_NAT_UNTRANSLATABLE;
	leaves = burst->translated >> i & 1 ? burst->leaves[i] : burst->packet[i].key;
	inside = sp_nat_key_addr(&burst->packet[i].key, true);
	if (!sp_nat_counterpart(rules[choice->source].entry, &inside, true, &outside))
		return SP_DROP_NAT_UNTRANSLATABLE;
	sp_nat_set_addr(&leaves, true, &outside);
	burst->leaves[i] = leaves;
	burst->translated |= 1u << i;
	return SP_DROP_NONE;
}

/* --- between bursts --------------------------------------------------------------------------------------------------------------------
 */

void sp_nat_turn(struct sp_worker *worker)
{
	struct sp_nat_worker *nat = sp_nat_of(worker);

	if (__atomic_load_n(&nat->own, __ATOMIC_ACQUIRE) != NULL && worker->dataplane->routing != NULL)
		sp_nat_links_turn(worker);
	sp_nat_mappings_age(worker, AGE_BUDGET);
}
