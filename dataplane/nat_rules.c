/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The `nat` list of rules about to go live, compiled: external addresses with their ports, backends with their tables, and spans of
 * addresses that tell a worker at once what an address is to the translator. Control thread, but for sp_nat_set_live.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "dataplane/nat_internal.h"
#include "dataplane/session_table.h"
#include "dataplane/stats.h"

#define GRACE_WAIT_MS 5000
#define GRACE_POLL_NS 500000

/* --- spans
 * ------------------------------------------------------------------------------------------------------------------------------------ */

/* A range of addresses, or its end, on the way to spans. */
struct edge {
	sp_nat_number at; /* the first address behind, for an end */
	uint16_t entry;
	uint8_t flag;
	bool end;
	bool wrapped; /* an end behind the last address of all */
};

struct edges {
	struct edge *v;
	size_t n, room;
	bool failed;
};

static sp_nat_number number_of(const struct sp_addr *addr)
{
	sp_nat_number number = 0;

	for (unsigned int i = 0; i < (addr->family == SP_FAMILY_IPV4 ? 4u : 16u); i++)
		number = number << 8 | addr->b[i];
	return number;
}

static void add_edge(struct edges *edges, const struct edge *edge)
{
	if (edges->n == edges->room) {
		size_t room = edges->room == 0 ? 64 : edges->room * 2;
		struct edge *v = realloc(edges->v, room * sizeof(v[0]));

		if (v == NULL) {
			edges->failed = true;
			return;
		}
		edges->v = v;
		edges->room = room;
	}
	edges->v[edges->n++] = *edge;
}

static void add_numbers(struct edges *edges, sp_nat_number lo, sp_nat_number hi, uint32_t entry, uint8_t flag)
{
	add_edge(edges, &(struct edge){.at = lo, .entry = (uint16_t)entry, .flag = flag});
	add_edge(edges, &(struct edge){.at = hi + 1, .entry = (uint16_t)entry, .flag = flag, .end = true, .wrapped = hi + 1 == 0});
}

static void add_range(struct edges edges[2], const struct sp_addr_range *range, uint32_t entry, uint8_t flag)
{
	add_numbers(&edges[range->lo.family == SP_FAMILY_IPV6], number_of(&range->lo), number_of(&range->hi), entry, flag);
}

/* An address set of the policy; -1: all addresses. */
static void add_set(struct edges edges[2], const struct sp_policy *policy, int32_t set, uint32_t entry, uint8_t flag)
{
	if (set < 0) {
		add_numbers(&edges[0], 0, UINT32_MAX, entry, flag);
		add_numbers(&edges[1], 0, ~(sp_nat_number)0, entry, flag);
		return;
	}
	for (size_t i = 0; i < policy->addrsets[set].n; i++)
		add_range(edges, &policy->addrsets[set].v[i], entry, flag);
}

static void add_entry(struct edges edges[2], const struct sp_policy *policy, uint32_t i)
{
	const struct sp_nat_entry *entry = &policy->nat->v[i];

	if (!entry->enabled || entry->none)
		return;
	switch (entry->type) {
	case SP_NAT_SOURCE:
		add_set(edges, policy, entry->src, i, SP_NAT_SPAN_SOURCE);
		for (size_t a = 0; a < entry->n_address; a++)
			add_range(edges, &entry->address[a], i, SP_NAT_SPAN_POOL);
		break;
	case SP_NAT_DESTINATION:
		if (!entry->dst_interface)
			add_set(edges, policy, entry->dst, i, SP_NAT_SPAN_VIP);
		for (size_t a = 0; a < entry->n_address; a++)
			add_range(edges, &entry->address[a], i, SP_NAT_SPAN_BACKEND);
		break;
	default:
		add_range(edges, &entry->inside, i, SP_NAT_SPAN_SOURCE);
		add_range(edges, &entry->outside, i, SP_NAT_SPAN_OUTSIDE);
	}
}

static int compare_edges(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	if (x->wrapped != y->wrapped)
		return x->wrapped ? 1 : -1;
	return x->at != y->at ? (x->at < y->at ? -1 : 1) : 0;
}

/* What holds at the place that the sweep has reached. */
struct sweep {
	uint32_t pools, sources;
	struct sp_nat_ref *active; /* entries that are worth looking at */
	uint32_t n_active;
	struct sp_nat_rules *rules;
	uint32_t n_refs, room;
};

static void pass_edge(struct sweep *sweep, const struct edge *edge)
{
	const uint32_t change = edge->end ? UINT32_MAX : 1;

	if (edge->flag == SP_NAT_SPAN_POOL) {
		sweep->pools += change;
	} else if (edge->flag == SP_NAT_SPAN_SOURCE) {
		sweep->sources += change;
	} else if (!edge->end) {
		sweep->active[sweep->n_active++] = (struct sp_nat_ref){.entry = edge->entry, .flag = edge->flag};
	} else {
		for (uint32_t a = 0; a < sweep->n_active; a++)
			if (sweep->active[a].entry == edge->entry && sweep->active[a].flag == edge->flag) {
				sweep->active[a] = sweep->active[--sweep->n_active];
				break;
			}
	}
}

static int emit_span(struct sweep *sweep, struct sp_nat_span *span, sp_nat_number lo, sp_nat_number hi)
{
	struct sp_nat_rules *rules = sweep->rules;

	*span = (struct sp_nat_span){.lo = lo, .hi = hi, .first = sweep->n_refs, .n = sweep->n_active};
	span->flags = (sweep->pools != 0 ? SP_NAT_SPAN_POOL : 0) | (sweep->sources != 0 ? SP_NAT_SPAN_SOURCE : 0);
	if (sweep->n_refs + sweep->n_active > sweep->room) {
		uint32_t room = (sweep->n_refs + sweep->n_active) * 2;
		struct sp_nat_ref *ref = realloc(rules->ref, room * sizeof(ref[0]));

		if (ref == NULL)
			return -ENOMEM;
		rules->ref = ref;
		sweep->room = room;
	}
	for (uint32_t a = 0; a < sweep->n_active; a++) {
		span->flags |= sweep->active[a].flag;
		rules->ref[sweep->n_refs++] = sweep->active[a];
	}
	return 0;
}

static int make_spans(struct sweep *sweep, struct edges *edges, unsigned int family)
{
	struct sp_nat_rules *rules = sweep->rules;
	struct sp_nat_span *spans = calloc(edges->n + 1, sizeof(spans[0]));
	uint32_t n = 0;
	int rc = 0;

	rules->span[family] = spans;
	if (spans == NULL)
		return -ENOMEM;
	if (edges->n != 0)
		qsort(edges->v, edges->n, sizeof(edges->v[0]), compare_edges);
	for (size_t e = 0; e < edges->n && rc == 0; e++) {
		const struct edge *edge = &edges->v[e];

		if (e > 0 && (edge->at != edges->v[e - 1].at || edge->wrapped != edges->v[e - 1].wrapped) &&
			(sweep->pools | sweep->sources | sweep->n_active) != 0)
			rc = emit_span(sweep, &spans[n++], edges->v[e - 1].at, edge->at - 1);
		pass_edge(sweep, edge);
	}
	rules->n_spans[family] = n;
	return rc;
}

static int compile_spans(struct sp_nat_rules *rules)
{
	struct edges edges[2] = {{0}, {0}};
	struct sweep sweep = {.rules = rules};
	int rc = 0;

	for (uint32_t i = 0; i < rules->n; i++)
		add_entry(edges, rules->policy, i);
	sweep.active = malloc((edges[0].n + edges[1].n + 1) * sizeof(sweep.active[0]));
	if (sweep.active == NULL || edges[0].failed || edges[1].failed)
		rc = -ENOMEM;
	for (unsigned int f = 0; f < 2 && rc == 0; f++)
		rc = make_spans(&sweep, &edges[f], f);
	free(sweep.active);
	free(edges[0].v);
	free(edges[1].v);
	return rc;
}

const struct sp_nat_span *sp_nat_span(const struct sp_nat_rules *rules, const struct sp_addr *addr)
{
	const unsigned int family = addr->family == SP_FAMILY_IPV6;
	const struct sp_nat_span *spans = rules->span[family];
	uint32_t lo = 0, hi = rules->n_spans[family];
	sp_nat_number number;

	if (hi == 0)
		return NULL;
	number = number_of(addr);
	while (lo < hi) {
		uint32_t middle = lo + (hi - lo) / 2;

		if (number > spans[middle].hi)
			lo = middle + 1;
		else
			hi = middle;
	}
	return lo < rules->n_spans[family] && number >= spans[lo].lo ? &spans[lo] : NULL;
}

/* --- external addresses
 * ------------------------------------------------------------------------------------------------------------------------ */

static void free_address(struct sp_nat *nat, struct sp_nat_address *address)
{
	for (unsigned int w = 0; w < nat->n_workers; w++) {
		if (address->slice[w] == NULL)
			continue;
		nat->bytes -= sp_nat_slice_bytes(address->slice[w]->n) + sizeof(*address->slice[w]);
		sp_nat_slice_fini(address->slice[w]);
		free(address->slice[w]);
	}
	free(address);
}

static struct sp_nat_address *make_address(struct sp_nat *nat, const struct sp_addr *addr)
{
	struct sp_nat_address *address = calloc(1, sizeof(*address));

	if (address == NULL)
		return NULL;
	address->address = *addr;
	for (unsigned int w = 0; w < nat->n_workers; w++) {
		struct sp_nat_slice *slice = aligned_alloc(64, RTE_ALIGN_CEIL(sizeof(*slice), 64));

		if (slice == NULL)
			goto err;
		memset(slice, 0, sizeof(*slice));
		if (sp_nat_slice_init(slice, SP_NAT_PORT_FIRST + w * nat->slice_ports, nat->slice_ports) != 0) {
			free(slice);
			goto err;
		}
		slice->address = *addr;
		address->slice[w] = slice;
		nat->bytes += sp_nat_slice_bytes(slice->n) + sizeof(*slice);
	}
	return address;
err:
	free_address(nat, address);
	return NULL;
}

/* Those that exist, sorted by address, so that thousands are found quickly. */
struct known {
	struct sp_nat_address **v;
	size_t n;
};

static int compare_known(const void *a, const void *b)
{
	const struct sp_nat_address *const *x = a, *const *y = b;

	return sp_addr_compare(&(*x)->address, &(*y)->address);
}

static int list_known(const struct sp_nat *nat, struct known *known)
{
	size_t n = 0;

	for (struct sp_nat_address *a = nat->addresses; a != NULL; a = a->next)
		n++;
	known->v = malloc((n + 1) * sizeof(known->v[0]));
	known->n = n;
	if (known->v == NULL)
		return -ENOMEM;
	n = 0;
	for (struct sp_nat_address *a = nat->addresses; a != NULL; a = a->next)
		known->v[n++] = a;
	if (n != 0)
		qsort(known->v, n, sizeof(known->v[0]), compare_known);
	return 0;
}

static struct sp_nat_address *find_address(struct sp_nat *nat, const struct known *known, const struct sp_addr *addr)
{
	struct sp_nat_address wanted = {.address = *addr}, *key = &wanted, **found;

	found = known->n == 0 ? NULL : bsearch(&key, known->v, known->n, sizeof(known->v[0]), compare_known);
	if (found != NULL)
		return *found;
	/* What was made since the list was is of this entry, whose addresses are disjoint. */
	key = make_address(nat, addr);
	if (key == NULL)
		return NULL;
	key->next = nat->addresses;
	nat->addresses = key;
	return key;
}

static int compile_pool(struct sp_nat_rules *rules, struct sp_nat_rule *rule)
{
	struct sp_nat *nat = rules->nat;
	struct known known;
	int rc = list_known(nat, &known);

	if (rc != 0)
		return rc;
	rule->pool = calloc(rule->entry->n_hosts + 1, sizeof(rule->pool[0]));
	if (rule->pool == NULL)
		rc = -ENOMEM;
	for (uint32_t k = 0; k < rule->entry->n_hosts && rc == 0; k++) {
		struct sp_addr addr = sp_nat_host(rule->entry, k);

		rule->pool[k] = find_address(nat, &known, &addr);
		if (rule->pool[k] == NULL)
			rc = -ENOMEM;
		else
			rule->n_pool++;
	}
	free(known.v);
	return rc;
}

bool sp_nat_rule_has(const struct sp_nat_rule *rule, const struct sp_nat_slice *slice)
{
	for (size_t i = 0; i < rule->entry->n_address; i++) {
		const struct sp_addr_range *range = &rule->entry->address[i];

		if (range->lo.family == slice->address.family && sp_addr_compare(&range->lo, &slice->address) <= 0 &&
			sp_addr_compare(&slice->address, &range->hi) <= 0)
			return !slice->interface;
	}
	return false;
}

/* --- backends
 * ------------------------------------------------------------------------------------------------------------------------------------ */

static struct sp_maglev *build_table(const struct sp_nat_rule *rule)
{
	const uint32_t n = rule->entry->n_hosts;
	struct sp_maglev_backend *backends = calloc(n, sizeof(backends[0]));
	struct sp_maglev *table = malloc(sizeof(*table));

	for (uint32_t k = 0; k < n && backends != NULL; k++)
		backends[k] = (struct sp_maglev_backend){.address = rule->backend[k],
			.port = rule->entry->port.n != 0 ? rule->entry->port.v[0].lo : 0,
			.live = rule->live[k]};
	if (backends == NULL || table == NULL || sp_maglev_build(table, backends, n) != 0) {
		free(table);
		table = NULL;
	}
	free(backends);
	return table;
}

static const struct sp_nat_health_state *health_of(const struct sp_nat *nat, uint32_t entry, size_t n)
{
	for (const struct sp_nat_health_state *state = nat->health; state != NULL; state = state->next)
		if (state->entry == entry && state->n == n)
			return state;
	return NULL;
}

static int compile_backends(struct sp_nat_rules *rules, struct sp_nat_rule *rule)
{
	const uint32_t n = rule->entry->n_hosts;
	const struct sp_nat_health_state *state = health_of(rules->nat, rule->entry->id, n);

	rule->backend = calloc(n + 1, sizeof(rule->backend[0]));
	rule->live = calloc(n + 1, sizeof(rule->live[0]));
	if (rule->backend == NULL || rule->live == NULL)
		return -ENOMEM;
	for (uint32_t k = 0; k < n; k++) {
		rule->backend[k] = sp_nat_host(rule->entry, k);
		rule->live[k] = state == NULL || state->live[k];
	}
	if (n == 1)
		rule->dead = !rule->live[0];
	if (n <= 1)
		return 0;
	rule->table = build_table(rule);
	return rule->table != NULL ? 0 : -ENOMEM;
}

/* --- the list
 * ------------------------------------------------------------------------------------------------------------------------------------- */

static int compile_rule(struct sp_nat_rules *rules, uint32_t i)
{
	struct sp_nat_rule *rule = &rules->rule[i];
	const struct sp_nat_entry *entry = rule->entry = &rules->policy->nat->v[i];

	if (!entry->enabled || entry->none)
		return 0;
	if (entry->type == SP_NAT_SOURCE) {
		rules->interface |= entry->interface;
		rules->pool_interface |= entry->interface;
		return compile_pool(rules, rule);
	}
	if (entry->type != SP_NAT_DESTINATION)
		return 0;
	if (entry->dst_interface) {
		rules->interface = true;
		rules->local[rules->n_local++] = (uint16_t)i;
	}
	return compile_backends(rules, rule);
}

/* A list of at most SP_NAT_MAX. */
static void sort_ids(struct sp_nat_rules *rules)
{
	for (uint32_t i = 0; i < rules->n; i++) {
		uint32_t k = i;

		for (; k > 0 && rules->rule[rules->by_id[k - 1]].entry->id > rules->rule[i].entry->id; k--)
			rules->by_id[k] = rules->by_id[k - 1];
		rules->by_id[k] = i;
	}
}

struct sp_nat_rule *sp_nat_rule_by_id(const struct sp_nat_rules *rules, uint32_t id)
{
	uint32_t lo = 0, hi = rules->n;

	while (lo < hi) {
		uint32_t middle = lo + (hi - lo) / 2;

		if (rules->rule[rules->by_id[middle]].entry->id < id)
			lo = middle + 1;
		else
			hi = middle;
	}
	return lo < rules->n && rules->rule[rules->by_id[lo]].entry->id == id ? &rules->rule[rules->by_id[lo]] : NULL;
}

/* Counters go on from those of the rules before. */
static void inherit(struct sp_nat_rules *rules, const struct sp_nat_rules *before)
{
	for (uint32_t i = 0; i < rules->n && before != NULL; i++) {
		const struct sp_nat_rule *old = sp_nat_rule_by_id(before, rules->rule[i].entry->id);

		for (unsigned int w = 0; w < SP_WORKERS_MAX && old != NULL; w++) {
			rules->rule[i].counters[w].sessions = sp_read(&old->counters[w].sessions);
			rules->rule[i].counters[w].exhausted = sp_read(&old->counters[w].exhausted);
			rules->rule[i].counters[w].refused = sp_read(&old->counters[w].refused);
		}
	}
}

static void free_rules(struct sp_nat_rules *rules)
{
	for (uint32_t i = 0; i < rules->n && rules->rule != NULL; i++) {
		free(rules->rule[i].pool);
		free(rules->rule[i].backend);
		free(rules->rule[i].live);
		free(rules->rule[i].table);
	}
	free(rules->rule);
	free(rules->by_id);
	free(rules->span[0]);
	free(rules->span[1]);
	free(rules->ref);
	free(rules->local);
	free(rules);
}

static struct sp_nat_rules *compile(struct sp_nat *nat, const struct sp_policy *policy)
{
	struct sp_nat_rules *rules = calloc(1, sizeof(*rules));
	int rc = 0;

	if (rules == NULL)
		return NULL;
	rules->nat = nat;
	rules->policy = policy;
	rules->generation = ++nat->generation;
	rules->n = (uint32_t)policy->nat->n;
	rules->rule = aligned_alloc(64, RTE_ALIGN_CEIL(rules->n * sizeof(rules->rule[0]), 64));
	rules->by_id = calloc(rules->n, sizeof(rules->by_id[0]));
	rules->local = calloc(rules->n, sizeof(rules->local[0]));
	if (rules->rule == NULL || rules->by_id == NULL || rules->local == NULL) {
		free(rules->rule);
		rules->rule = NULL;
		rc = -ENOMEM;
	} else {
		memset(rules->rule, 0, rules->n * sizeof(rules->rule[0]));
	}
	for (uint32_t i = 0; i < rules->n && rc == 0; i++)
		rc = compile_rule(rules, i);
	if (rc == 0)
		rc = compile_spans(rules);
	if (rc != 0) {
		free_rules(rules);
		return NULL;
	}
	sort_ids(rules);
	return rules;
}

/* --- what outlives rules
 * ---------------------------------------------------------------------------------------------------------------------------- */

static uint32_t capacity(const struct sp_worker *worker)
{
	const struct sp_session_pool *pool = worker->sessions->pool;

	return pool[0].max + pool[1].max;
}

static struct sp_nat *create(struct sp_dataplane *dataplane)
{
	struct sp_nat *nat = calloc(1, sizeof(*nat));

	if (nat == NULL)
		return NULL;
	nat->dataplane = dataplane;
	nat->n_workers = dataplane->n_workers;
	nat->slice_ports = SP_NAT_PORTS / dataplane->n_workers / SP_NAT_WORD * SP_NAT_WORD;
	nat->bytes = sizeof(*nat);
	pthread_mutex_init(&nat->lock, NULL);
	for (unsigned int w = 0; w < nat->n_workers; w++) {
		uint32_t max = capacity(dataplane->workers[w]);

		nat->worker[w] = sp_nat_worker_create(nat, w, max);
		if (nat->worker[w] == NULL) {
			sp_nat_free(nat);
			return NULL;
		}
		nat->bytes += sizeof(struct sp_nat_worker) +
			      (size_t)max * (sizeof(struct sp_nat_mapping) + sizeof(struct sp_nat_host) + sizeof(struct sp_nat_block) +
						    sizeof(struct sp_nat_permit)) +
			      4 * sizeof(uint32_t) * (nat->worker[w]->mask + (size_t)1);
	}
	return nat;
}

void sp_nat_free(struct sp_nat *nat)
{
	if (nat == NULL)
		return;
	for (unsigned int w = 0; w < nat->n_workers; w++)
		sp_nat_worker_free(nat->worker[w]);
	while (nat->addresses != NULL) {
		struct sp_nat_address *next = nat->addresses->next;

		free_address(nat, nat->addresses);
		nat->addresses = next;
	}
	while (nat->health != NULL) {
		struct sp_nat_health_state *next = nat->health->next;

		free(nat->health);
		nat->health = next;
	}
	pthread_mutex_destroy(&nat->lock);
	free(nat);
}

static bool is_unused(const struct sp_nat *nat, const struct sp_nat_address *address)
{
	for (unsigned int w = 0; w < nat->n_workers; w++)
		if (__atomic_load_n(&address->slice[w]->refs, __ATOMIC_ACQUIRE) != 0)
			return false;
	return true;
}

static void want_addresses(const struct sp_nat_rules *rules)
{
	for (uint32_t i = 0; rules != NULL && i < rules->n; i++)
		for (uint32_t k = 0; k < rules->rule[i].n_pool; k++)
			rules->rule[i].pool[k]->wanted = true;
}

/*
 * Addresses that neither the rules in force nor those about to be have, and that no session uses. Rules older than those in force are seen
 * by no worker any more when new ones are made: the publisher has waited for that.
 */
static void collect(struct sp_nat *nat, const struct sp_nat_rules *in_force, const struct sp_nat_rules *coming)
{
	for (struct sp_nat_address *a = nat->addresses; a != NULL; a = a->next)
		a->wanted = false;
	want_addresses(in_force);
	want_addresses(coming);
	for (struct sp_nat_address **link = &nat->addresses; *link != NULL;) {
		struct sp_nat_address *address = *link;

		if (address->wanted || !is_unused(nat, address)) {
			link = &address->next;
			continue;
		}
		*link = address->next;
		free_address(nat, address);
	}
}

static int attach_links(struct sp_nat *nat)
{
	const struct sp_routing *routing = nat->dataplane->routing;
	int rc = 0;

	for (unsigned int w = 0; w < nat->n_workers && rc == 0 && routing != NULL; w++)
		rc = sp_nat_links_init(nat->worker[w], routing->n_links, SP_NAT_PORT_FIRST + w * nat->slice_ports, nat->slice_ports);
	return rc;
}

int sp_nat_attach(struct sp_dataplane *dataplane, struct sp_live *live)
{
	const struct sp_policy *policy = live->ruleset->policy;
	const struct sp_nat_rules *before = dataplane->live != NULL ? dataplane->live->nat : NULL;
	struct sp_nat *nat = dataplane->nat;
	struct sp_nat_rules *rules;
	int rc = 0;

	if (policy->nat == NULL || policy->nat->n == 0)
		return 0;
	if (nat == NULL) {
		nat = create(dataplane);
		if (nat == NULL)
			return -ENOMEM;
		__atomic_store_n(&dataplane->nat, nat, __ATOMIC_RELEASE);
	}
	pthread_mutex_lock(&nat->lock);
	rules = compile(nat, policy);
	if (rules == NULL)
		rc = -ENOMEM;
	if (rc == 0 && rules->interface)
		rc = attach_links(nat);
	if (rc == 0) {
		inherit(rules, before);
		rules->next = nat->rules;
		nat->rules = rules;
	}
	collect(nat, before, rc == 0 ? rules : NULL);
	pthread_mutex_unlock(&nat->lock);
	if (rc != 0 && rules != NULL)
		free_rules(rules);
	if (rc == 0)
		live->nat = rules;
	return rc;
}

void sp_nat_rules_free(struct sp_nat_rules *rules)
{
	struct sp_nat *nat;

	if (rules == NULL)
		return;
	nat = rules->nat;
	pthread_mutex_lock(&nat->lock);
	for (struct sp_nat_rules **link = &nat->rules; *link != NULL; link = &(*link)->next)
		if (*link == rules) {
			*link = rules->next;
			break;
		}
	free_rules(rules);
	pthread_mutex_unlock(&nat->lock);
}

size_t sp_nat_bytes(const struct sp_dataplane *dataplane)
{
	const struct sp_nat *nat = __atomic_load_n(&dataplane->nat, __ATOMIC_ACQUIRE);

	return nat != NULL ? nat->bytes : 0;
}

/* --- health
 * ------------------------------------------------------------------------------------------------------------------------------------------
 */

static int keep_health(struct sp_nat *nat, uint32_t entry, const bool *live, size_t n)
{
	struct sp_nat_health_state **link = &nat->health, *state;

	while (*link != NULL && (*link)->entry != entry)
		link = &(*link)->next;
	state = *link;
	if (state == NULL || state->n != n) {
		struct sp_nat_health_state *made = malloc(sizeof(*made) + n * sizeof(made->live[0]));

		if (made == NULL)
			return -ENOMEM;
		made->next = state != NULL ? state->next : NULL;
		made->entry = entry;
		made->n = n;
		*link = made;
		free(state);
		state = made;
	}
	memcpy(state->live, live, n * sizeof(live[0]));
	return 0;
}

static int wait_for_workers(const struct sp_dataplane *dataplane)
{
	const struct timespec pause = {.tv_nsec = GRACE_POLL_NS};
	uint64_t token;

	if (dataplane->qsbr == NULL)
		return 0;
	token = rte_rcu_qsbr_start(dataplane->qsbr);
	for (unsigned int i = 0; i < GRACE_WAIT_MS * (1000000 / GRACE_POLL_NS); i++) {
		if (rte_rcu_qsbr_check(dataplane->qsbr, token, false) == 1)
			return 0;
		nanosleep(&pause, NULL);
	}
	return -ETIMEDOUT;
}

/* Applies it to one list of rules; *old gets the table that workers may still look at. */
static int set_live(struct sp_nat_rule *rule, const bool *live, size_t n, struct sp_maglev **old)
{
	struct sp_maglev *table;

	memcpy(rule->live, live, n * sizeof(live[0]));
	if (n == 1)
		__atomic_store_n(&rule->dead, !live[0], __ATOMIC_RELAXED);
	if (n <= 1)
		return 0;
	table = build_table(rule);
	if (table == NULL)
		return -ENOMEM;
	*old = rule->table;
	__atomic_store_n(&rule->table, table, __ATOMIC_RELEASE);
	return 0;
}

/* Rules that are about to go live get it, too. */
static int set_live_everywhere(struct sp_nat *nat, uint32_t entry, const bool *live, size_t n)
{
	int rc = -ENOENT;

	for (struct sp_nat_rules *rules = nat->rules; rules != NULL; rules = rules->next) {
		struct sp_nat_rule *rule = sp_nat_rule_by_id(rules, entry);
		struct sp_maglev *old = NULL;

		if (rule == NULL || rule->backend == NULL || rule->entry->n_hosts != n)
			continue;
		rc = set_live(rule, live, n, &old);
		/* A worker that does not answer may look at the old table for ever: it costs its memory. */
		if (rc == 0 && old != NULL && (rc = wait_for_workers(nat->dataplane)) == 0)
			free(old);
		if (rc != 0)
			return rc;
	}
	return rc;
}

int sp_nat_set_live(struct sp_dataplane *dataplane, uint32_t entry, const bool *live, size_t n)
{
	struct sp_nat *nat = __atomic_load_n(&dataplane->nat, __ATOMIC_ACQUIRE);
	int rc;

	if (nat == NULL || n == 0 || n > SP_NAT_BACKENDS_MAX)
		return -ENOENT;
	pthread_mutex_lock(&nat->lock);
	rc = keep_health(nat, entry, live, n);
	if (rc == 0)
		rc = set_live_everywhere(nat, entry, live, n);
	pthread_mutex_unlock(&nat->lock);
	return rc;
}
