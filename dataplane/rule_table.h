/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What belongs to a rule id and survives reloads: its slot, hit counters, number of live sessions, time-out override.
 *
 * The control thread gives slots to ids when it publishes a ruleset; a slot is given anew only when its id is in no live ruleset and no
 * session refers to it. Counters are per worker, one writer each, and summed by readers (relaxed). Slot 0 is the default rule.
 */
#ifndef SP_DATAPLANE_RULE_TABLE_H
#define SP_DATAPLANE_RULE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "rules/ruleset.h"

/* Room for the new ruleset, the one in force and the one before it, which a late worker may still read, and for ids that only sessions
 * know. */
#define SP_RULE_SLOTS_MAX    (3 * SP_RULES_MAX + 4096)
#define SP_RULE_SLOT_DEFAULT 0u
#define SP_WORKERS_MAX       32

struct sp_rule_counters {        /* one a slot and worker */
	uint64_t packets, bytes; /* every packet that the rule decided, established ones included */
	uint64_t hits;           /* times the rule matched in classification */
	uint64_t last_ns,
		first_ns; /* wall clock of a classification hit, ns since the epoch (coarse: from the worker's clock base); 0 never */
};

struct sp_rule_shared {     /* one a slot, written by every worker with atomics */
	uint32_t sessions;  /* live sessions it admitted */
	uint64_t limit_tat; /* token bucket of a limit without `per src` (limit.h); 0: full */
} __attribute__((aligned(64)));

struct sp_rule_table {
	uint32_t *ids;         /* id of each slot; 0: free */
	uint32_t *timeout_sec; /* override of each slot, 0 none; relaxed */
	struct sp_rule_shared *shared;
	struct sp_rule_counters *counters[SP_WORKERS_MAX]; /* SP_RULE_SLOTS_MAX each */
	unsigned int n_workers;
	void *index; /* private: id → slot */
};

/* 0 or -ENOMEM. Memory for all slots is reserved at once and touched lazily. */
int sp_rule_table_init(struct sp_rule_table *table, unsigned int n_workers);
void sp_rule_table_free(struct sp_rule_table *table);

/*
 * Sets rules[i].slot for a ruleset about to be published, and the time-out overrides. 0, or -ENOSPC with a diagnostic (nothing assigned).
 * Known ids keep their slot, and with it counters and limits. A slot is taken from an id only when no unused one is left, no session refers
 * to it, and neither this ruleset nor the two assigned before it have the id: so call this as the last step that can fail. Control thread.
 */
int sp_rule_table_assign(struct sp_rule_table *table, struct sp_ruleset *ruleset, struct sp_diags *diags);

/* Slot of an id, or UINT32_MAX. Control and API threads under the publish lock. */
uint32_t sp_rule_table_slot(const struct sp_rule_table *table, uint32_t id);

/* Sums one slot over the workers. Any thread. */
void sp_rule_table_sum(const struct sp_rule_table *table, uint32_t slot, struct sp_rule_counters *out);

#endif
