/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mappings of one worker: which external address and port an inside address and port have, whatever they speak to. A mapping lives as long
 * as sessions use it, and is then held for a while. All tables are made once, in ordinary memory; what is never used is never touched.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "dataplane/nat_internal.h"
#include "dataplane/siphash.h"
#include "dataplane/stats.h"

#define BLOCKS_MAX   64 /* of one inside address */
#define POOL_TRIES   16 /* external addresses that are looked into for a new inside address */
#define VIP_TRIES    64 /* ports passed over because a destination entry has them */
#define BLOCK_ROUNDS 2

/* --- memory ------------------------------------------------------------------------------------------------------------------------------
 */

static uint32_t *make_heads(uint32_t n)
{
	uint32_t *heads = malloc(n * sizeof(heads[0]));

	for (uint32_t i = 0; heads != NULL && i < n; i++)
		heads[i] = SP_NAT_NONE;
	return heads;
}

static uint32_t power_of_two(uint32_t n)
{
	uint32_t power = 64;

	while (power < n && power < 1u << 30)
		power *= 2;
	return power;
}

struct sp_nat_worker *sp_nat_worker_create(struct sp_nat *nat, unsigned int index, uint32_t max)
{
	struct sp_nat_worker *worker = aligned_alloc(64, sizeof(*worker));
	uint32_t n_heads = power_of_two(max);

	if (worker == NULL)
		return NULL;
	memset(worker, 0, sizeof(*worker));
	worker->nat = nat;
	worker->index = index;
	worker->max = max;
	worker->mask = n_heads - 1;
	worker->mapping = calloc(max, sizeof(worker->mapping[0]));
	worker->host = calloc(max, sizeof(worker->host[0]));
	worker->block = calloc(max, sizeof(worker->block[0]));
	worker->permit = calloc(max, sizeof(worker->permit[0]));
	worker->inside = make_heads(n_heads);
	worker->outside = make_heads(n_heads);
	worker->hosts = make_heads(n_heads);
	worker->permits = make_heads(n_heads);
	worker->free_mapping = worker->free_host = worker->free_block = worker->free_permit = SP_NAT_NONE;
	for (unsigned int p = 0; p < SP_NAT_PROTO_COUNT; p++)
		worker->held[p] = (struct sp_nat_held){SP_NAT_NONE, SP_NAT_NONE};
	if (worker->mapping == NULL || worker->host == NULL || worker->block == NULL || worker->permit == NULL || worker->inside == NULL ||
		worker->outside == NULL || worker->hosts == NULL || worker->permits == NULL ||
		getrandom(worker->secret, sizeof(worker->secret), 0) != sizeof(worker->secret)) {
		sp_nat_worker_free(worker);
		return NULL;
	}
	return worker;
}

void sp_nat_worker_free(struct sp_nat_worker *worker)
{
	if (worker == NULL)
		return;
	sp_nat_links_fini(worker);
	free(worker->mapping);
	free(worker->host);
	free(worker->block);
	free(worker->permit);
	free(worker->inside);
	free(worker->outside);
	free(worker->hosts);
	free(worker->permits);
	free(worker);
}

uint64_t sp_nat_draw(struct sp_nat_worker *nat)
{
	/* A counter under a secret: nobody who sees ports can tell the next (RFC 6056 3.3.1). */
	nat->drawn++;
	return sp_siphash(nat->secret, &nat->drawn, 1);
}

/* Takes an entry off a list of free ones that is linked by `next`, or one that was never used; SP_NAT_NONE when all are in use. */
#define TAKE_FREE(nat, table, free_one, n_used, next)                \
	({                                                           \
		uint32_t taken_ = (nat)->free_one;                   \
                                                                     \
		if (taken_ != SP_NAT_NONE)                           \
			(nat)->free_one = (nat)->table[taken_].next; \
		else if ((nat)->n_used < (nat)->max)                 \
			taken_ = (nat)->n_used++;                    \
		taken_;                                              \
	})

#define GIVE_FREE(nat, table, free_one, next, i)        \
	do {                                            \
		(nat)->table[i].next = (nat)->free_one; \
		(nat)->free_one = (i);                  \
	} while (0)

/* --- hashes ----------------------------------------------------------------------------------------------------------------------------
 */

static uint32_t hash_of(const struct sp_nat_worker *nat, const struct sp_addr *addr, uint64_t rest)
{
	uint64_t words[3];

	memcpy(words, addr->b, 16);
	words[2] = rest << 3 | addr->family;
	return (uint32_t)sp_siphash_rounds(nat->secret, words, 3, 1, 3) & nat->mask;
}

static uint32_t *inside_head(struct sp_nat_worker *nat, uint32_t entry, const struct sp_addr *addr, rte_be16_t port, unsigned int proto)
{
	return &nat->inside[hash_of(nat, addr, (uint64_t)entry << 20 | (uint64_t)port << 4 | proto)];
}

static uint32_t *outside_head(const struct sp_nat_worker *nat, const struct sp_addr *addr, rte_be16_t port, unsigned int proto)
{
	return &nat->outside[hash_of(nat, addr, (uint64_t)port << 4 | proto)];
}

static uint32_t *host_head(struct sp_nat_worker *nat, uint32_t entry, const struct sp_addr *addr)
{
	return &nat->hosts[hash_of(nat, addr, (uint64_t)entry << 4 | 0xf)];
}

static uint32_t *permit_head(const struct sp_nat_worker *nat, uint32_t mapping, const struct sp_addr *remote)
{
	return &nat->permits[hash_of(nat, remote, (uint64_t)mapping << 4 | 0xe)];
}

/* --- inside addresses ------------------------------------------------------------------------------------------------------------------
 */

/* Whether an external address is the one that is wanted: by "interface" an inside end has one for each link. */
static bool is_for(const struct sp_nat_want *want, const struct sp_nat_slice *slice)
{
	return !want->rule->entry->interface || slice == want->interface;
}

static uint32_t find_host(struct sp_nat_worker *nat, const struct sp_nat_want *want)
{
	const uint32_t entry = want->rule->entry->id;

	for (uint32_t h = *host_head(nat, entry, &want->inside); h != SP_NAT_NONE; h = nat->host[h].next)
		if (nat->host[h].entry == entry && sp_nat_same_addr(&nat->host[h].address, &want->inside) &&
			is_for(want, nat->host[h].slice))
			return h;
	return SP_NAT_NONE;
}

static void unhash_host(struct sp_nat_worker *nat, uint32_t h)
{
	uint32_t *link = host_head(nat, nat->host[h].entry, &nat->host[h].address);

	while (*link != h)
		link = &nat->host[*link].next;
	*link = nat->host[h].next;
}

static uint32_t make_host(struct sp_nat_worker *nat, const struct sp_nat_want *want, struct sp_nat_slice *slice)
{
	uint32_t *head = host_head(nat, want->rule->entry->id, &want->inside);
	uint32_t h = TAKE_FREE(nat, host, free_host, n_hosts, next);

	if (h == SP_NAT_NONE)
		return h;
	nat->host[h] = (struct sp_nat_host){
		.address = want->inside, .entry = want->rule->entry->id, .next = *head, .block = SP_NAT_NONE, .slice = slice};
	*head = h;
	sp_count(&nat->counters.hosts, 1);
	return h;
}

/* An inside address without mappings is forgotten: it may get another external address next time. */
static void release_host(struct sp_nat_worker *nat, uint32_t h)
{
	if (nat->host[h].refs != 0)
		return;
	if (!nat->host[h].detached)
		unhash_host(nat, h);
	GIVE_FREE(nat, host, free_host, next, h);
	sp_count(&nat->counters.hosts, UINT64_MAX);
}

/* --- blocks of ports -------------------------------------------------------------------------------------------------------------------
 */

static uint32_t add_block(struct sp_worker *worker, uint32_t h, uint16_t ports)
{
	struct sp_nat_worker *nat = sp_nat_of(worker);
	struct sp_nat_host *host = &nat->host[h];
	uint32_t runs = host->slice->n / ports, b, first;

	if (runs == 0)
		return SP_NAT_NONE;
	b = TAKE_FREE(nat, block, free_block, n_blocks, next);
	if (b == SP_NAT_NONE)
		return b;
	first = sp_nat_slice_take_block(host->slice, ports, (uint32_t)(sp_nat_draw(nat) % runs));
	if (first == UINT32_MAX) {
		GIVE_FREE(nat, block, free_block, next, b);
		return SP_NAT_NONE;
	}
	nat->block[b] = (struct sp_nat_block){.next = host->block, .first = (uint16_t)(host->slice->first + first), .n = ports};
	host->block = b;
	sp_count(&nat->counters.blocks, 1);
	sp_nat_tell_block(worker, host, &nat->block[b], SP_NAT_EVENT_BLOCK);
	return b;
}

/* The link to the block of this port in the host's chain; NULL when it is in none. */
static uint32_t *block_of(struct sp_nat_worker *nat, struct sp_nat_host *host, uint16_t port)
{
	uint32_t *link = &host->block;

	for (unsigned int i = 0; i < BLOCKS_MAX && *link != SP_NAT_NONE; i++, link = &nat->block[*link].next)
		if (port >= nat->block[*link].first && port - nat->block[*link].first < nat->block[*link].n)
			return link;
	return NULL;
}

static void leave_block(struct sp_worker *worker, uint32_t h, uint16_t port)
{
	struct sp_nat_worker *nat = sp_nat_of(worker);
	struct sp_nat_host *host = &nat->host[h];
	uint32_t *link = block_of(nat, host, port), b;

	if (link == NULL || --nat->block[*link].refs != 0)
		return;
	b = *link;
	*link = nat->block[b].next;
	sp_nat_tell_block(worker, host, &nat->block[b], SP_NAT_EVENT_BLOCK_END);
	/* Last: a slice without references may go. */
	sp_nat_slice_give_block(host->slice, nat->block[b].first - host->slice->first, nat->block[b].n);
	GIVE_FREE(nat, block, free_block, next, b);
	sp_count(&nat->counters.blocks, UINT64_MAX);
}

/* --- ports -----------------------------------------------------------------------------------------------------------------------------
 */

static const uint8_t proto_numbers[SP_NAT_PROTO_COUNT] = {
	[SP_NAT_PROTO_TCP] = 6, [SP_NAT_PROTO_UDP] = 17, [SP_NAT_PROTO_ICMP] = 1, [SP_NAT_PROTO_SCTP] = 132};

/* A free port of [lo, hi) that no destination entry has, from a random one on. */
static uint32_t find_port(
	struct sp_nat_worker *nat, const struct sp_nat_want *want, const struct sp_nat_slice *slice, uint32_t lo, uint32_t hi, bool loose)
{
	uint32_t start = lo + (uint32_t)(sp_nat_draw(nat) % (hi - lo));

	for (unsigned int t = 0; t < VIP_TRIES; t++) {
		uint32_t k = sp_nat_slice_find(slice, want->proto, lo, hi, start, loose);

		if (k == UINT32_MAX || want->proto == SP_NAT_PROTO_ICMP ||
			!sp_nat_is_vip_port(want->rules, nat, &slice->address, proto_numbers[want->proto], (uint16_t)(slice->first + k)))
			return k;
		start = k + 1 < hi ? k + 1 : lo;
	}
	return UINT32_MAX;
}

static uint32_t find_in_blocks(struct sp_worker *worker, const struct sp_nat_want *want, uint32_t h)
{
	struct sp_nat_worker *nat = sp_nat_of(worker);
	struct sp_nat_host *host = &nat->host[h];
	unsigned int n = 0;
	uint32_t b;

	for (b = host->block; b != SP_NAT_NONE; b = nat->block[b].next, n++) {
		uint32_t lo = nat->block[b].first - host->slice->first, k;

		k = find_port(nat, want, host->slice, lo, lo + nat->block[b].n, false);
		if (k != UINT32_MAX) {
			nat->block[b].refs++;
			return k;
		}
	}
	for (unsigned int round = 0; round < BLOCK_ROUNDS && n + round < BLOCKS_MAX; round++) {
		uint32_t lo, k;

		b = add_block(worker, h, want->rule->entry->block_size);
		if (b == SP_NAT_NONE)
			return UINT32_MAX;
		nat->block[b].refs = 1;
		lo = nat->block[b].first - host->slice->first;
		k = find_port(nat, want, host->slice, lo, lo + nat->block[b].n, false);
		if (k != UINT32_MAX)
			return k;
		leave_block(worker, h, nat->block[b].first);
	}
	return UINT32_MAX;
}

static uint32_t find_for_host(struct sp_worker *worker, const struct sp_nat_want *want, uint32_t h)
{
	struct sp_nat_worker *nat = sp_nat_of(worker);
	const struct sp_nat_slice *slice = nat->host[h].slice;

	if (want->rule->entry->block_size != 0)
		return find_in_blocks(worker, want, h);
	return find_port(nat, want, slice, 0, slice->n, true);
}

/* --- mappings --------------------------------------------------------------------------------------------------------------------------
 */

static uint32_t hold_ms(unsigned int proto)
{
	return proto == SP_NAT_PROTO_UDP ? SP_NAT_HOLD_UDP_MS : proto == SP_NAT_PROTO_ICMP ? SP_NAT_HOLD_ICMP_MS : 0;
}

static void hold(struct sp_nat_worker *nat, uint32_t m, uint32_t due_ms)
{
	struct sp_nat_mapping *mapping = &nat->mapping[m];
	struct sp_nat_held *held = &nat->held[mapping->proto];

	mapping->held = true;
	mapping->due_ms = due_ms;
	mapping->held_prev = held->last;
	mapping->held_next = SP_NAT_NONE;
	if (held->last != SP_NAT_NONE)
		nat->mapping[held->last].held_next = m;
	else
		held->first = m;
	held->last = m;
}

static void unhold(struct sp_nat_worker *nat, uint32_t m)
{
	struct sp_nat_mapping *mapping = &nat->mapping[m];
	struct sp_nat_held *held = &nat->held[mapping->proto];

	if (!mapping->held)
		return;
	mapping->held = false;
	if (mapping->held_prev != SP_NAT_NONE)
		nat->mapping[mapping->held_prev].held_next = mapping->held_next;
	else
		held->first = mapping->held_next;
	if (mapping->held_next != SP_NAT_NONE)
		nat->mapping[mapping->held_next].held_prev = mapping->held_prev;
	else
		held->last = mapping->held_prev;
}

static void unhash_inside(struct sp_nat_worker *nat, uint32_t m)
{
	const struct sp_nat_mapping *mapping = &nat->mapping[m];
	uint32_t *link = inside_head(nat, mapping->entry, &mapping->inside, mapping->inside_port, mapping->proto);

	while (*link != m)
		link = &nat->mapping[*link].next_inside;
	*link = mapping->next_inside;
}

void sp_nat_mapping_drop(struct sp_worker *worker, uint32_t m)
{
	struct sp_nat_worker *nat = sp_nat_of(worker);
	struct sp_nat_mapping *mapping = &nat->mapping[m];
	struct sp_nat_host *host = &nat->host[mapping->host];
	const uint16_t port = rte_be_to_cpu_16(mapping->port);
	uint32_t *link;

	unhold(nat, m);
	if (!mapping->detached)
		unhash_inside(nat, m);
	link = outside_head(nat, &mapping->slice->address, mapping->port, mapping->proto);
	while (*link != m)
		link = &nat->mapping[*link].next_outside;
	*link = mapping->next_outside;
	sp_nat_tell_mapping(worker, mapping, SP_NAT_EVENT_MAPPING_END);
	leave_block(worker, mapping->host, port);
	/* Last: a slice without references may go. */
	sp_nat_slice_give(mapping->slice, mapping->proto, port - mapping->slice->first);
	host->ports[mapping->proto]--;
	host->refs--;
	release_host(nat, mapping->host);
	mapping->slice = NULL;
	GIVE_FREE(nat, mapping, free_mapping, next_outside, m);
	sp_count(&nat->counters.mappings, UINT64_MAX);
}

void sp_nat_mapping_take(struct sp_worker *worker, uint32_t m)
{
	struct sp_nat_worker *nat = sp_nat_of(worker);

	unhold(nat, m);
	nat->mapping[m].refs++;
}

void sp_nat_mapping_leave(struct sp_worker *worker, uint32_t m)
{
	struct sp_nat_worker *nat = sp_nat_of(worker);
	struct sp_nat_mapping *mapping = &nat->mapping[m];

	if (--mapping->refs != 0)
		return;
	if (mapping->detached || hold_ms(mapping->proto) == 0)
		sp_nat_mapping_drop(worker, m);
	else
		hold(nat, m, worker->burst.now_ms + hold_ms(mapping->proto));
}

void sp_nat_mappings_age(struct sp_worker *worker, unsigned int budget)
{
	struct sp_nat_worker *nat = sp_nat_of(worker);

	for (unsigned int p = 0; p < SP_NAT_PROTO_COUNT; p++)
		while (budget > 0 && nat->held[p].first != SP_NAT_NONE &&
			(int32_t)(worker->burst.now_ms - nat->mapping[nat->held[p].first].due_ms) >= 0) {
			sp_nat_mapping_drop(worker, nat->held[p].first);
			budget--;
		}
}

static uint32_t find_inside(struct sp_nat_worker *nat, const struct sp_nat_want *want)
{
	const uint32_t entry = want->rule->entry->id;

	for (uint32_t m = *inside_head(nat, entry, &want->inside, want->port, want->proto); m != SP_NAT_NONE;
		m = nat->mapping[m].next_inside) {
		const struct sp_nat_mapping *mapping = &nat->mapping[m];

		if (mapping->inside_port == want->port && mapping->proto == want->proto && mapping->entry == entry &&
			sp_nat_same_addr(&mapping->inside, &want->inside) && is_for(want, mapping->slice))
			return m;
	}
	return SP_NAT_NONE;
}

uint32_t sp_nat_mapping_at(const struct sp_nat_worker *nat, const struct sp_addr *address, rte_be16_t port, unsigned int proto)
{
	for (uint32_t m = *outside_head(nat, address, port, proto); m != SP_NAT_NONE; m = nat->mapping[m].next_outside) {
		const struct sp_nat_mapping *mapping = &nat->mapping[m];

		if (mapping->port == port && mapping->proto == proto && sp_nat_same_addr(&mapping->slice->address, address))
			return m;
	}
	return SP_NAT_NONE;
}

/* Whether new sessions may have this external address: the entry may name others now. */
static bool is_right(const struct sp_nat_want *want, const struct sp_nat_slice *slice)
{
	return want->rule->entry->interface || sp_nat_rule_has(want->rule, slice);
}

/* The inside address starts anew; its sessions stay as they are. */
static void detach_host(struct sp_nat_worker *nat, uint32_t h)
{
	nat->host[h].detached = true;
	unhash_host(nat, h);
}

static void detach(struct sp_worker *worker, uint32_t m)
{
	struct sp_nat_worker *nat = sp_nat_of(worker);

	unhash_inside(nat, m);
	nat->mapping[m].detached = true;
	if (!nat->host[nat->mapping[m].host].detached)
		detach_host(nat, nat->mapping[m].host);
	if (nat->mapping[m].refs == 0)
		sp_nat_mapping_drop(worker, m);
}

/* Room in the table of mappings: when it is full, that of the mapping which has been held longest. */
static uint32_t take_mapping(struct sp_worker *worker)
{
	struct sp_nat_worker *nat = sp_nat_of(worker);
	uint32_t m = TAKE_FREE(nat, mapping, free_mapping, n_mappings, next_outside);

	for (unsigned int p = 0; p < SP_NAT_PROTO_COUNT && m == SP_NAT_NONE; p++) {
		if (nat->held[p].first == SP_NAT_NONE)
			continue;
		sp_nat_mapping_drop(worker, nat->held[p].first);
		m = TAKE_FREE(nat, mapping, free_mapping, n_mappings, next_outside);
	}
	return m;
}

static void enter(struct sp_worker *worker, const struct sp_nat_want *want, uint32_t m, uint32_t h, uint32_t k)
{
	struct sp_nat_worker *nat = sp_nat_of(worker);
	struct sp_nat_slice *slice = nat->host[h].slice;
	const rte_be16_t port = rte_cpu_to_be_16((uint16_t)(slice->first + k));
	uint32_t *in = inside_head(nat, want->rule->entry->id, &want->inside, want->port, want->proto);
	uint32_t *out = outside_head(nat, &slice->address, port, want->proto);

	nat->mapping[m] = (struct sp_nat_mapping){.inside = want->inside,
		.proto = want->proto,
		.inside_port = want->port,
		.port = port,
		.entry = want->rule->entry->id,
		.generation = want->rules->generation,
		.host = h,
		.next_inside = *in,
		.next_outside = *out,
		.slice = slice};
	*in = m;
	*out = m;
	nat->host[h].refs++;
	nat->host[h].ports[want->proto]++;
	sp_nat_slice_take(slice, want->proto, k);
	sp_count(&nat->counters.mappings, 1);
	sp_count(&nat->counters.made, 1);
	sp_nat_tell_mapping(worker, &nat->mapping[m], SP_NAT_EVENT_MAPPING);
}

/* A mapping on the external address that the inside address has. */
static enum sp_drop_reason make_for_host(struct sp_worker *worker, const struct sp_nat_want *want, uint32_t h, uint32_t *mapping)
{
	struct sp_nat_worker *nat = sp_nat_of(worker);
	uint32_t m, k;

	if (want->rule->entry->max_per_source != 0 && nat->host[h].ports[want->proto] >= want->rule->entry->max_per_source)
		return SP_DROP_NAT_MAX_PER_SOURCE;
	/* The host must not go with its last mapping while room is made for another. */
	nat->host[h].refs++;
	m = take_mapping(worker);
	k = m == SP_NAT_NONE ? UINT32_MAX : find_for_host(worker, want, h);
	nat->host[h].refs--;
	if (k == UINT32_MAX) {
		if (m != SP_NAT_NONE)
			GIVE_FREE(nat, mapping, free_mapping, next_outside, m);
		return SP_DROP_NAT_PORTS_EXHAUSTED;
	}
	enter(worker, want, m, h, k);
	*mapping = m;
	return SP_DROP_NONE;
}

/* An inside address that has none gets an external address: by a hash of its own, so that it tends to be the same again. */
static enum sp_drop_reason make_with_host(struct sp_worker *worker, const struct sp_nat_want *want, uint32_t *mapping)
{
	struct sp_nat_worker *nat = sp_nat_of(worker);
	const struct sp_nat_rule *rule = want->rule;
	const bool interface = rule->entry->interface;
	const uint32_t n = interface ? 1 : rule->n_pool;
	uint32_t start = hash_of(nat, &want->inside, rule->entry->id);
	enum sp_drop_reason reason = SP_DROP_NAT_NO_ADDRESS;

	for (uint32_t t = 0; t < RTE_MIN(n, (uint32_t)POOL_TRIES); t++) {
		struct sp_nat_slice *slice = interface ? want->interface : rule->pool[(start + t) % n]->slice[nat->index];
		uint32_t h;

		if (slice == NULL || slice->address.family != want->inside.family)
			continue;
		h = make_host(nat, want, slice);
		if (h == SP_NAT_NONE)
			return SP_DROP_NAT_PORTS_EXHAUSTED;
		reason = make_for_host(worker, want, h, mapping);
		if (reason == SP_DROP_NONE)
			return reason;
		release_host(nat, h);
	}
	return reason;
}

enum sp_drop_reason sp_nat_map(struct sp_worker *worker, const struct sp_nat_want *want, uint32_t *mapping, bool *fresh)
{
	struct sp_nat_worker *nat = sp_nat_of(worker);
	uint32_t m = find_inside(nat, want), h;

	if (m != SP_NAT_NONE) {
		struct sp_nat_mapping *found = &nat->mapping[m];

		if (found->generation == want->rules->generation || is_right(want, found->slice)) {
			found->generation = want->rules->generation;
			*mapping = m;
			*fresh = false;
			return SP_DROP_NONE;
		}
		detach(worker, m);
	}
	*fresh = true;
	h = find_host(nat, want);
	if (h != SP_NAT_NONE && !is_right(want, nat->host[h].slice)) {
		detach_host(nat, h);
		h = SP_NAT_NONE;
	}
	return h != SP_NAT_NONE ? make_for_host(worker, want, h, mapping) : make_with_host(worker, want, mapping);
}

/* --- whom a mapping has sent to --------------------------------------------------------------------------------------------------------
 */

static uint32_t find_permit(const struct sp_nat_worker *nat, uint32_t mapping, const struct sp_addr *remote)
{
	for (uint32_t p = *permit_head(nat, mapping, remote); p != SP_NAT_NONE; p = nat->permit[p].next)
		if (nat->permit[p].mapping == mapping && sp_nat_same_addr(&nat->permit[p].remote, remote))
			return p;
	return SP_NAT_NONE;
}

uint32_t sp_nat_permit_take(struct sp_nat_worker *nat, uint32_t mapping, const struct sp_addr *remote)
{
	uint32_t p = find_permit(nat, mapping, remote), *head;

	if (p == SP_NAT_NONE) {
		p = TAKE_FREE(nat, permit, free_permit, n_permits, next);
		if (p == SP_NAT_NONE)
			return p;
		head = permit_head(nat, mapping, remote);
		nat->permit[p] = (struct sp_nat_permit){.remote = *remote, .mapping = mapping, .next = *head};
		*head = p;
	}
	nat->permit[p].refs++;
	return p;
}

bool sp_nat_permitted(const struct sp_nat_worker *nat, uint32_t mapping, const struct sp_addr *remote)
{
	return find_permit(nat, mapping, remote) != SP_NAT_NONE;
}

void sp_nat_permit_leave(struct sp_nat_worker *nat, uint32_t p)
{
	uint32_t *link;

	if (--nat->permit[p].refs != 0)
		return;
	link = permit_head(nat, nat->permit[p].mapping, &nat->permit[p].remote);
	while (*link != p)
		link = &nat->permit[*link].next;
	*link = nat->permit[p].next;
	GIVE_FREE(nat, permit, free_permit, next, p);
}
