/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The `nat` list of rules about to go live, compiled: external addresses with their ports, and backends with their tables. Control thread,
 * but for sp_nat_set_live.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "dataplane/nat_internal.h"
#include "dataplane/session_table.h"
#include "dataplane/stats.h"

#define GRACE_WAIT_MS 5000
#define GRACE_POLL_NS 500000

/* --- external addresses ----------------------------------------------------------------------------------------------------------------
 */

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

/* --- backends --------------------------------------------------------------------------------------------------------------------------
 */

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

/* --- the list --------------------------------------------------------------------------------------------------------------------------
 */

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
		rc = sp_nat_spans_compile(rules);
	if (rc != 0) {
		free_rules(rules);
		return NULL;
	}
	sort_ids(rules);
	return rules;
}

/* --- what outlives rules ---------------------------------------------------------------------------------------------------------------
 */

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
	int rc = -ENOENT, failed = 0;

	/* A list that cannot be told keeps the others from nothing. */
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
			failed = rc;
	}
	return failed != 0 ? failed : rc;
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
