/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What belongs to a rule id and survives reloads: its slot, hit counters, number of live sessions, time-out override.
 *
 * The control thread gives slots to ids when it publishes a ruleset; a slot is given anew only when its id is in no live ruleset and no
 * session refers to it. Counters are per worker, one writer each, and summed by readers (relaxed). Slot 0 is the default rule.
 */
#ifndef SP_DATAPLANE_RULE_TABLE_H
#define SP_DATAPLANE_RULE_TABLE_H

#include <stdbool.h>
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

enum sp_log_kind { SP_LOG_KIND_FLOW, SP_LOG_KIND_DROP, SP_LOG_KIND_ALERT, SP_LOG_KINDS };

struct sp_log_window {
	uint32_t second; /* of the worker's clock, that the counts are of */
	uint32_t taken;
	uint32_t withheld; /* since the last that was posted */
};

struct sp_rule_log { /* one a slot and worker: how much of its log a rule has used */
	struct sp_log_window window[SP_LOG_KINDS];
	uint64_t suppressed; /* withheld since the start; relaxed readers */
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
	struct sp_rule_log *log[SP_WORKERS_MAX];           /* the same */
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

/* Whether one more event of this kind may be posted in this second, of which `rate` may (0: any number); if not, it is counted. Worker. */
bool sp_rule_log_take(struct sp_rule_log *log, enum sp_log_kind kind, uint32_t rate, uint32_t second);

/* Events of a slot that were withheld, summed over the workers. Any thread. */
uint64_t sp_rule_table_suppressed(const struct sp_rule_table *table, uint32_t slot);

/* Sums one slot over the workers. Any thread. */
void sp_rule_table_sum(const struct sp_rule_table *table, uint32_t slot, struct sp_rule_counters *out);

#endif
