/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Slots are handed out from the bottom and keep their id until they are needed for another one. The index from id to slot is a linear
 * probing table of slot numbers, written by the control thread only; readers of it hold the publish lock. Workers touch shared and
 * counters of slots that their ruleset or a session names, and these are never recycled.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "dataplane/rule_table.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "dataplane/stats.h"

#define INDEX_SIZE (1u << 20) /* at most 38 % full */
static_assert(SP_RULE_SLOTS_MAX < INDEX_SIZE / 2, "the index stays sparse");

/* Rulesets after whose assignment an id that they do not have may lose its slot: the one in force and one that is still being retired. */
#define KEEP_EPOCHS 2

struct index {
	uint32_t used;                     /* slots [0, used) have or had an id */
	uint32_t epoch;                    /* of the latest assignment, from 1 */
	uint32_t slots[INDEX_SIZE];        /* 0: empty; slot 0 is never in it */
	uint32_t seen[SP_RULE_SLOTS_MAX];  /* epoch of the latest ruleset that had the id */
	uint8_t wanted[SP_RULE_SLOTS_MAX]; /* of the ruleset being assigned; all 0 between assignments */
};

/* Zeroed memory whose pages cost nothing until they are written. */
static void *reserve(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void unreserve(void *p, size_t size)
{
	if (p)
		munmap(p, size);
}

int sp_rule_table_init(struct sp_rule_table *table, unsigned int n_workers)
{
	struct index *index;

	memset(table, 0, sizeof(*table));
	if (n_workers == 0 || n_workers > SP_WORKERS_MAX)
		return -EINVAL;
	table->n_workers = n_workers;
	table->ids = reserve(SP_RULE_SLOTS_MAX * sizeof(*table->ids));
	table->timeout_sec = reserve(SP_RULE_SLOTS_MAX * sizeof(*table->timeout_sec));
	table->shared = reserve(SP_RULE_SLOTS_MAX * sizeof(*table->shared));
	table->index = reserve(sizeof(struct index));
	if (!table->ids || !table->timeout_sec || !table->shared || !table->index)
		goto err_free;
	for (unsigned int w = 0; w < n_workers; w++) {
		table->counters[w] = reserve(SP_RULE_SLOTS_MAX * sizeof(*table->counters[w]));
		table->log[w] = reserve(SP_RULE_SLOTS_MAX * sizeof(*table->log[w]));
		if (!table->counters[w] || !table->log[w])
			goto err_free;
	}
	index = table->index;
	index->used = SP_RULE_SLOT_DEFAULT + 1;
	return 0;

err_free:
	sp_rule_table_free(table);
	return -ENOMEM;
}

void sp_rule_table_free(struct sp_rule_table *table)
{
	for (unsigned int w = 0; w < SP_WORKERS_MAX; w++)
		unreserve(table->counters[w], SP_RULE_SLOTS_MAX * sizeof(*table->counters[w]));
	for (unsigned int w = 0; w < SP_WORKERS_MAX; w++)
		unreserve(table->log[w], SP_RULE_SLOTS_MAX * sizeof(*table->log[w]));
	unreserve(table->index, sizeof(struct index));
	unreserve(table->shared, SP_RULE_SLOTS_MAX * sizeof(*table->shared));
	unreserve(table->timeout_sec, SP_RULE_SLOTS_MAX * sizeof(*table->timeout_sec));
	unreserve(table->ids, SP_RULE_SLOTS_MAX * sizeof(*table->ids));
	memset(table, 0, sizeof(*table));
}

/* Where the id stands or would stand. Ends: the index is never full. */
static uint32_t index_position(const struct sp_rule_table *table, uint32_t id)
{
	const struct index *index = table->index;
	uint32_t at = (uint32_t)(((uint64_t)id * 0x9e3779b97f4a7c15u) >> 44) & (INDEX_SIZE - 1);

	while (index->slots[at] != 0 && table->ids[index->slots[at]] != id)
		at = (at + 1) & (INDEX_SIZE - 1);
	return at;
}

static void index_rebuild(struct sp_rule_table *table)
{
	struct index *index = table->index;

	memset(index->slots, 0, sizeof(index->slots));
	for (uint32_t slot = 1; slot < index->used; slot++)
		index->slots[index_position(table, table->ids[slot])] = slot;
}

uint32_t sp_rule_table_slot(const struct sp_rule_table *table, uint32_t id)
{
	const struct index *index = table->index;
	uint32_t slot;

	if (id == 0)
		return UINT32_MAX;
	slot = index->slots[index_position(table, id)];
	return slot != 0 ? slot : UINT32_MAX;
}

static bool recyclable(const struct sp_rule_table *table, uint32_t slot)
{
	const struct index *index = table->index;

	return !index->wanted[slot] && index->epoch + 1 - index->seen[slot] > KEEP_EPOCHS &&
	       __atomic_load_n(&table->shared[slot].sessions, __ATOMIC_ACQUIRE) == 0;
}

/* Everything of the slot's former id goes; nobody refers to it any more. */
static void slot_reset(struct sp_rule_table *table, uint32_t slot)
{
	__atomic_store_n(&table->shared[slot].limit_tat, 0, __ATOMIC_RELAXED);
	for (unsigned int w = 0; w < table->n_workers; w++) {
		struct sp_rule_counters *c = &table->counters[w][slot];

		__atomic_store_n(&c->packets, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&c->bytes, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&c->hits, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&c->last_ns, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&c->first_ns, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&table->log[w][slot].suppressed, 0, __ATOMIC_RELAXED);
		memset(table->log[w][slot].window, 0, sizeof(table->log[w][slot].window));
	}
}

/* Marks the slots that the ruleset's known ids have; returns how many ids have none. */
static uint32_t mark_wanted(struct sp_rule_table *table, const struct sp_ruleset *ruleset)
{
	struct index *index = table->index;
	uint32_t missing = 0;

	for (uint32_t i = 0; i < ruleset->n_rules; i++) {
		uint32_t slot = sp_rule_table_slot(table, ruleset->rules[i].id);

		if (slot == UINT32_MAX)
			missing++;
		else
			index->wanted[slot] = 1;
	}
	return missing;
}

/* Whether `missing` ids find a slot each. */
static bool enough(const struct sp_rule_table *table, uint32_t missing)
{
	const struct index *index = table->index;
	uint32_t room = SP_RULE_SLOTS_MAX - index->used;

	for (uint32_t slot = 1; slot < index->used && room < missing; slot++)
		room += recyclable(table, slot);
	return room >= missing;
}

/* Gives every id of the ruleset that has no slot one. enough() said that there are. */
static void assign_missing(struct sp_rule_table *table, const struct sp_ruleset *ruleset)
{
	struct index *index = table->index;
	uint32_t reuse = 0;

	for (uint32_t i = 0; i < ruleset->n_rules; i++) {
		uint32_t id = ruleset->rules[i].id, at = index_position(table, id), slot;

		if (index->slots[at] != 0)
			continue;
		if (index->used < SP_RULE_SLOTS_MAX) {
			slot = index->used++;
			index->slots[at] = slot;
		} else {
			do
				reuse++;
			while (reuse < SP_RULE_SLOTS_MAX - 1 && !recyclable(table, reuse));
			slot = reuse;
			slot_reset(table, slot);
		}
		__atomic_store_n(&table->ids[slot], id, __ATOMIC_RELAXED);
		index->wanted[slot] = 1;
	}
	/* Positions of the ids that lost their slots would cut the chains of others: the whole index is made anew. */
	if (reuse != 0)
		index_rebuild(table);
}

int sp_rule_table_assign(struct sp_rule_table *table, struct sp_ruleset *ruleset, struct sp_diags *diags)
{
	struct index *index = table->index;
	uint32_t missing = mark_wanted(table, ruleset);

	if (!enough(table, missing)) {
		memset(index->wanted, 0, index->used);
		sp_diag_error(diags, ruleset->policy ? ruleset->policy->file : NULL, 0,
			"%u new rule ids find no room among %u; keep the ids of rules that stay, or wait until sessions of removed rules "
			"end",
			missing, SP_RULE_SLOTS_MAX);
		return -ENOSPC;
	}
	assign_missing(table, ruleset);
	index->epoch++;
	for (uint32_t i = 0; i < ruleset->n_rules; i++) {
		struct sp_hot_rule *rule = &ruleset->rules[i];

		rule->slot = sp_rule_table_slot(table, rule->id);
		index->seen[rule->slot] = index->epoch;
		__atomic_store_n(&table->timeout_sec[rule->slot], rule->timeout_sec, __ATOMIC_RELAXED);
	}
	memset(index->wanted, 0, index->used);
	return 0;
}

void sp_rule_table_sum(const struct sp_rule_table *table, uint32_t slot, struct sp_rule_counters *out)
{
	memset(out, 0, sizeof(*out));
	if (slot >= SP_RULE_SLOTS_MAX)
		return;
	for (unsigned int w = 0; w < table->n_workers; w++) {
		const struct sp_rule_counters *c = &table->counters[w][slot];
		uint64_t first_ns = sp_read(&c->first_ns), last_ns = sp_read(&c->last_ns);

		out->packets += sp_read(&c->packets);
		out->bytes += sp_read(&c->bytes);
		out->hits += sp_read(&c->hits);
		if (last_ns > out->last_ns)
			out->last_ns = last_ns;
		if (first_ns != 0 && (out->first_ns == 0 || first_ns < out->first_ns))
			out->first_ns = first_ns;
	}
}

bool sp_rule_log_take(struct sp_rule_log *log, enum sp_log_kind kind, uint32_t rate, uint32_t second)
{
	struct sp_log_window *window = &log->window[kind];

	if (window->second != second) {
		window->second = second;
		window->taken = 0;
	}
	if (rate != 0 && window->taken >= rate) {
		window->withheld += window->withheld < UINT32_MAX;
		sp_count(&log->suppressed, 1);
		return false;
	}
	window->taken++;
	return true;
}

uint64_t sp_rule_table_suppressed(const struct sp_rule_table *table, uint32_t slot)
{
	uint64_t sum = 0;

	for (unsigned int w = 0; w < table->n_workers && slot < SP_RULE_SLOTS_MAX; w++)
		sum += sp_read(&table->log[w][slot].suppressed);
	return sum;
}
