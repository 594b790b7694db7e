/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which worker has the session of a packet, when addresses are translated: a function of the two ends that gives the same worker for every
 * packet of a session, on either side of the translation. In this order:
 *
 *  1. One end is where clients of a destination entry go: the worker of the other end, the client.
 *  2. One end is an external address: the worker whose slice has its port. Behind static and prefix entries: the worker of the inside end.
 *  3. One end is a backend: the worker of the other end, the client.
 *  4. One end may be translated as a source: that end's worker. Both ends: the lower address's. A source entry that then turns out to
 *     translate the other one has the packet handed on (sp_nat_source_burst).
 *  5. Otherwise as without translation: any function of both ends.
 *
 * Nothing else of an entry is asked than addresses, protocol and ports, of both ends: zones are seen by one direction only.
 */
#include <netinet/in.h>

#include "dataplane/nat_internal.h"
#include "dataplane/stages.h"
#include "rules/miss.h"

static uint64_t hash_address(const struct sp_addr *addr)
{
	uint64_t word[2];

	memcpy(word, addr->b, sizeof(word));
	/*
	 * Not the session table's hash of it: the bits that choose a worker choose no bucket. Folded twice: after one product the hosts of
	 * a network go round the workers in even steps, which with some secrets never come to one of them.
	 */
	word[0] = sp_key_fold(word[0] ^ sp_key_secret.endpoint[1], sp_key_secret.factor + (word[1] ^ sp_key_secret.sum));
	return sp_key_fold(word[0] ^ sp_key_secret.meta, sp_key_secret.port);
}

unsigned int sp_nat_owner_of(const struct sp_nat *nat, const struct sp_addr *addr)
{
	return (unsigned int)((hash_address(addr) >> 32) * nat->n_workers >> 32);
}

/* One end of a packet as the owner's rules see it. */
struct end {
	struct sp_addr addr;
	uint16_t port; /* host byte order; ICMP: the identifier */
	const struct sp_nat_span *span;
	bool own; /* the router's own address, where rules ask for these */
	uint32_t flags;
};

static void look(const struct sp_nat_rules *rules, const struct sp_nat_worker *nat, const struct sp_key *key, bool source, struct end *end)
{
	end->addr = sp_nat_key_addr(key, source);
	end->port = rte_be_to_cpu_16(source ? key->sport : key->dport);
	end->span = sp_nat_span(rules, &end->addr);
	end->own = rules->interface && sp_nat_is_own(nat, &end->addr);
	end->flags = end->span != NULL ? end->span->flags : 0;
	if (!end->own)
		return;
	if (rules->n_local != 0)
		end->flags |= SP_NAT_SPAN_VIP;
	if (rules->pool_interface && sp_nat_own_slice(nat, &end->addr) != NULL)
		end->flags |= SP_NAT_SPAN_POOL;
}

/* The packet from `client` to `server`, as entries match it. */
static void match_of(const struct sp_key *key, const struct end *client, const struct end *server, struct sp_match *match)
{
	*match = (struct sp_match){.family = key->family,
		.proto = key->proto,
		.sport = client->port,
		.dport = server->port,
		.src = client->addr,
		.dst = server->addr};
}

static bool is_vip_of(const struct sp_policy *policy, const struct sp_nat_entry *entry, const struct sp_match *match)
{
	return sp_match_proto(entry->proto, match) && sp_match_ports(&entry->sport, match, match->sport) &&
	       sp_match_ports(&entry->dport, match, match->dport) && sp_match_address(policy, entry->src, match, &match->src) &&
	       (entry->dst_interface || sp_match_address(policy, entry->dst, match, &match->dst));
}

static bool is_backend_of(const struct sp_policy *policy, const struct sp_nat_entry *entry, const struct sp_match *match)
{
	const struct sp_rangelist *ports = entry->port.n != 0 ? &entry->port : &entry->dport;

	return sp_match_proto(entry->proto, match) && sp_match_ports(&entry->sport, match, match->sport) &&
	       sp_match_ports(ports, match, match->dport) && sp_match_address(policy, entry->src, match, &match->src);
}

/* Whether `server` is the far end (SP_NAT_SPAN_VIP) or a backend (SP_NAT_SPAN_BACKEND) of an entry for `client`. */
static bool serves(
	const struct sp_nat_rules *rules, const struct sp_key *key, const struct end *client, const struct end *server, uint8_t flag)
{
	struct sp_match match;

	if (!(server->flags & flag))
		return false;
	match_of(key, client, server, &match);
	for (uint32_t r = 0; server->span != NULL && r < server->span->n; r++) {
		const struct sp_nat_ref *ref = &rules->ref[server->span->first + r];
		const struct sp_nat_entry *entry = rules->rule[ref->entry].entry;

		if (ref->flag == flag &&
			(flag == SP_NAT_SPAN_VIP ? is_vip_of(rules->policy, entry, &match) : is_backend_of(rules->policy, entry, &match)))
			return true;
	}
	for (uint32_t l = 0; l < rules->n_local && server->own && flag == SP_NAT_SPAN_VIP; l++)
		if (is_vip_of(rules->policy, rules->rule[rules->local[l]].entry, &match))
			return true;
	return false;
}

/* The worker by the external address at this end; -1: it is none. */
static int owner_outside(const struct sp_nat *nat, const struct sp_nat_rules *rules, const struct sp_key *key, const struct end *end)
{
	struct sp_addr inside;

	if ((end->flags & SP_NAT_SPAN_POOL) && end->port >= SP_NAT_PORT_FIRST && sp_nat_proto_of(key) >= 0) {
		unsigned int w = (end->port - SP_NAT_PORT_FIRST) / nat->slice_ports;

		return w < nat->n_workers ? (int)w : -1;
	}
	if (!(end->flags & SP_NAT_SPAN_OUTSIDE))
		return -1;
	for (uint32_t r = 0; r < end->span->n; r++) {
		const struct sp_nat_ref *ref = &rules->ref[end->span->first + r];

		if (ref->flag == SP_NAT_SPAN_OUTSIDE && sp_nat_counterpart(rules->rule[ref->entry].entry, &end->addr, false, &inside))
			return (int)sp_nat_owner_of(nat, &inside);
	}
	return -1;
}

static unsigned int owner_of_lower(const struct sp_nat *nat, const struct end *a, const struct end *b)
{
	return sp_nat_owner_of(nat, sp_addr_compare(&a->addr, &b->addr) <= 0 ? &a->addr : &b->addr);
}

unsigned int sp_nat_owner(const struct sp_worker *worker, const struct sp_packet *packet)
{
	const struct sp_nat_rules *rules = worker->live->nat;
	const struct sp_nat *nat = rules->nat;
	const struct sp_key *key = &packet->key;
	struct end src, dst;
	bool of_src, of_dst;
	int owner[2];

	look(rules, nat->worker[worker->index], key, true, &src);
	look(rules, nat->worker[worker->index], key, false, &dst);
	of_dst = serves(rules, key, &src, &dst, SP_NAT_SPAN_VIP);
	of_src = serves(rules, key, &dst, &src, SP_NAT_SPAN_VIP);
	if (of_src != of_dst)
		return sp_nat_owner_of(nat, of_dst ? &src.addr : &dst.addr);
	owner[0] = owner_outside(nat, rules, key, &src);
	owner[1] = owner_outside(nat, rules, key, &dst);
	if (owner[0] >= 0 || owner[1] >= 0)
		return (unsigned int)(owner[0] < 0 ? owner[1] : owner[1] < 0 ? owner[0] : RTE_MIN(owner[0], owner[1]));
	of_dst = serves(rules, key, &src, &dst, SP_NAT_SPAN_BACKEND);
	of_src = serves(rules, key, &dst, &src, SP_NAT_SPAN_BACKEND);
	if (of_src != of_dst)
		return sp_nat_owner_of(nat, of_dst ? &src.addr : &dst.addr);
	of_src = src.flags & SP_NAT_SPAN_SOURCE;
	of_dst = dst.flags & SP_NAT_SPAN_SOURCE;
	if (of_src != of_dst)
		return sp_nat_owner_of(nat, of_src ? &src.addr : &dst.addr);
	return of_src ? owner_of_lower(nat, &src, &dst) : sp_owner_by_hash(packet->hash, nat->n_workers);
}

static bool has_port(const struct sp_nat_entry *entry, uint8_t proto, uint16_t port)
{
	const struct sp_match match = {.family = SP_FAMILY_IPV4, .proto = proto};

	return sp_match_proto(entry->proto, &match) && sp_match_ports(&entry->dport, &match, port);
}

bool sp_nat_is_vip_port(
	const struct sp_nat_rules *rules, const struct sp_nat_worker *nat, const struct sp_addr *addr, uint8_t proto, uint16_t port)
{
	const struct sp_nat_span *span = sp_nat_span(rules, addr);

	for (uint32_t r = 0; span != NULL && (span->flags & SP_NAT_SPAN_VIP) && r < span->n; r++)
		if (rules->ref[span->first + r].flag == SP_NAT_SPAN_VIP &&
			has_port(rules->rule[rules->ref[span->first + r].entry].entry, proto, port))
			return true;
	if (rules->n_local == 0 || !sp_nat_is_own(nat, addr))
		return false;
	for (uint32_t l = 0; l < rules->n_local; l++)
		if (has_port(rules->rule[rules->local[l]].entry, proto, port))
			return true;
	return false;
}
