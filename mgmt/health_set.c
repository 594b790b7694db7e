/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/health_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * The first checks of new backends are spread over their interval, at most over this time: a thousand are not asked in one millisecond, and
 * keep the distance that they begin with.
 */
#define SPREAD_MS 5000

/* What tells a backend from others; the index is no part of that. */
struct sp_health_key {
	uint32_t id;
	struct sp_addr address;
	uint32_t backend;
};

static int compare(const void *a, const void *b)
{
	const struct sp_health_key *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return sp_addr_compare(&x->address, &y->address);
}

/* --- from the policy --------------------------------------------------------------------------------------------------------------- */

static bool is_watched(const struct sp_nat_entry *entry)
{
	return entry->enabled && entry->type == SP_NAT_DESTINATION && !entry->none && entry->n_address != 0 &&
	       (entry->method != SP_NAT_METHOD_NONE || entry->health.type != SP_HEALTH_NONE);
}

/* The next address; false behind the last one of the range. */
static bool step(const struct sp_addr_range *range, struct sp_addr *address)
{
	int byte = (address->family == SP_FAMILY_IPV4 ? 4 : 16) - 1;

	if (memcmp(address->b, range->hi.b, sizeof(address->b)) >= 0)
		return false;
	while (byte >= 0 && ++address->b[byte] == 0)
		byte--;
	return true;
}

/* How many addresses the entry has; more than may be count as one too many. */
static uint32_t count(const struct sp_nat_entry *entry)
{
	uint32_t n = 0;

	for (size_t r = 0; r < entry->n_address; r++) {
		struct sp_addr address = entry->address[r].lo;

		do
			n++;
		while (n <= SP_NAT_BACKENDS_MAX && step(&entry->address[r], &address));
		if (n > SP_NAT_BACKENDS_MAX)
			break;
	}
	return n;
}

static int copy_health(struct sp_health_entry *to, const struct sp_nat_health *from)
{
	to->health = *from;
	to->health.path = to->health.host = NULL;
	if (from->path != NULL && (to->health.path = strdup(from->path)) == NULL)
		return -ENOMEM;
	if (from->host != NULL && (to->health.host = strdup(from->host)) == NULL)
		return -ENOMEM;
	return 0;
}

static int add(struct sp_health_set *set, const struct sp_nat_entry *from)
{
	const struct sp_rangelist *ports = from->port.n != 0 ? &from->port : &from->dport;
	struct sp_health_entry *entry = &set->entries[set->n_entries];
	int rc;

	if (!sp_check_sound(&from->health))
		return -EINVAL;
	entry->id = from->id;
	entry->first = set->n_backends;
	entry->port = ports->n == 1 && ports->v[0].lo == ports->v[0].hi ? (uint16_t)ports->v[0].lo : 0;
	set->n_entries++;
	rc = copy_health(entry, &from->health);
	if (rc != 0)
		return rc;
	if (from->health.type != SP_HEALTH_NONE)
		entry->asked_port = from->health.port != 0 || ports->n == 0 ? from->health.port : (uint16_t)ports->v[0].lo;
	for (size_t r = 0; r < from->n_address; r++) {
		struct sp_addr address = from->address[r].lo;

		do {
			set->keys[set->n_backends] = (struct sp_health_key){entry->id, address, set->n_backends};
			set->backends[set->n_backends++] = (struct sp_health_backend){
				.address = address, .live = true, .entry = set->n_entries - 1, .check = SP_HEALTH_NO_CHECK};
		} while (step(&from->address[r], &address));
	}
	entry->n = set->n_backends - entry->first;
	return 0;
}

int sp_health_set_make(const struct sp_nat_list *list, struct sp_health_set **out)
{
	size_t n = list != NULL ? list->n : 0, backends = 0, entries = 0;
	struct sp_health_set *set = calloc(1, sizeof(*set));
	int rc = -ENOMEM;

	if (set == NULL)
		return -ENOMEM;
	for (size_t e = 0; e < n; e++) {
		uint32_t addresses = is_watched(&list->v[e]) ? count(&list->v[e]) : 0;

		rc = addresses > SP_NAT_BACKENDS_MAX || e >= SP_NAT_MAX ? -EINVAL : rc;
		entries += addresses != 0;
		backends += addresses;
	}
	if (rc == -EINVAL)
		goto err_free;
	set->entries = calloc(entries + 1, sizeof(*set->entries));
	set->backends = calloc(backends + 1, sizeof(*set->backends));
	set->keys = calloc(backends + 1, sizeof(*set->keys));
	set->queue = calloc(backends + 1, sizeof(*set->queue));
	if (set->entries == NULL || set->backends == NULL || set->keys == NULL || set->queue == NULL)
		goto err_free;
	rc = 0;
	for (size_t e = 0; e < n && rc == 0; e++)
		if (is_watched(&list->v[e]))
			rc = add(set, &list->v[e]);
	if (rc != 0)
		goto err_free;
	qsort(set->keys, set->n_backends, sizeof(*set->keys), compare);
	*out = set;
	return 0;

err_free:
	sp_health_set_free(set);
	return rc;
}

void sp_health_set_free(struct sp_health_set *set)
{
	if (set == NULL)
		return;
	for (uint32_t e = 0; e < set->n_entries; e++) {
		free((void *)(uintptr_t)set->entries[e].health.path); /* strdup's, const in the policy's struct */
		free((void *)(uintptr_t)set->entries[e].health.host);
	}
	free(set->entries);
	free(set->backends);
	free(set->keys);
	free(set->queue);
	free(set);
}

/* --- from one set to the next ----------------------------------------------------------------------------------------------------------
 */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Whether an answer to one is an answer to the other. */
static bool asks_the_same(const struct sp_health_entry *a, const struct sp_health_entry *b)
{
	return a->health.type == b->health.type && a->asked_port == b->asked_port && a->health.status == b->health.status &&
	       same_text(a->health.path, b->health.path) && same_text(a->health.host, b->health.host);
}

/* Takes over what the backend was; whether its check goes on, too. */
static bool take_over(struct sp_health_set *set, struct sp_health_backend *to, struct sp_health_set *old, int64_t now_ms)
{
	const struct sp_health_entry *entry = &set->entries[to->entry];
	const struct sp_health_key wanted = {.id = entry->id, .address = to->address};
	const struct sp_health_key *key = old->n_backends != 0 ? bsearch(&wanted, old->keys, old->n_backends, sizeof(*key), compare) : NULL;
	struct sp_health_backend *from;
	int64_t latest = now_ms + entry->health.interval_ms;

	if (key == NULL)
		return false;
	from = &old->backends[key->backend];
	to->drained = from->drained;
	to->since_ms = from->since_ms;
	if (!asks_the_same(entry, &old->entries[from->entry]))
		return false;
	to->live = from->live;
	to->row = from->row;
	to->asked = from->asked;
	to->failed = from->failed;
	to->failure = from->failure;
	to->due_ms = from->due_ms < latest ? from->due_ms : latest;
	to->check = from->check;
	from->check = SP_HEALTH_NO_CHECK; /* an address that is named twice has it once */
	return true;
}

void sp_health_set_adopt(struct sp_health_set *set, struct sp_health_set *old, int64_t now_ms)
{
	uint32_t n = 0, fresh = 0;

	/* those that are to be spread are marked by a due time that none has */
	for (uint32_t b = 0; b < set->n_backends; b++) {
		set->backends[b].due_ms = -1;
		if ((old == NULL || !take_over(set, &set->backends[b], old, now_ms)) &&
			set->entries[set->backends[b].entry].asked_port != 0)
			n++;
	}
	for (uint32_t b = 0; b < set->n_backends; b++) {
		struct sp_health_backend *backend = &set->backends[b];
		const struct sp_health_entry *entry = &set->entries[backend->entry];
		uint32_t spread = entry->health.interval_ms < SPREAD_MS ? entry->health.interval_ms : SPREAD_MS;

		if (entry->asked_port == 0)
			continue;
		if (backend->due_ms < 0)
			backend->due_ms = now_ms + (int64_t)spread * fresh++ / n;
		if (backend->check == SP_HEALTH_NO_CHECK)
			sp_health_queue_add(set, b);
	}
}

/* --- the queue --------------------------------------------------------------------------------------------------------------------- */

static bool is_before(const struct sp_health_set *set, uint32_t a, uint32_t b)
{
	return set->backends[set->queue[a]].due_ms < set->backends[set->queue[b]].due_ms;
}

static void exchange(struct sp_health_set *set, uint32_t a, uint32_t b)
{
	uint32_t backend = set->queue[a];

	set->queue[a] = set->queue[b];
	set->queue[b] = backend;
}

void sp_health_queue_add(struct sp_health_set *set, uint32_t backend)
{
	uint32_t at = set->n_queue++;

	set->queue[at] = backend;
	for (; at != 0 && is_before(set, at, (at - 1) / 2); at = (at - 1) / 2)
		exchange(set, at, (at - 1) / 2);
}

uint32_t sp_health_queue_take(struct sp_health_set *set)
{
	uint32_t first = set->queue[0], at = 0;

	set->queue[0] = set->queue[--set->n_queue];
	for (;;) {
		uint32_t next = 2 * at + 1;

		if (next + 1 < set->n_queue && is_before(set, next + 1, next))
			next++;
		if (next >= set->n_queue || !is_before(set, next, at))
			return first;
		exchange(set, at, next);
		at = next;
	}
}
