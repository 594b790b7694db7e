/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ruleset: everything the packet path needs of a policy, compiled, immutable. run, check, replay and explain make the same one.
 *
 * Life: sp_ruleset_build on the control thread → published by pointer swap → retired after every worker reported quiescent →
 * sp_ruleset_free. What must survive a reload (counters, limiters, sessions) is keyed by rule id through `slot` and not owned here.
 */
#ifndef SP_RULES_RULESET_H
#define SP_RULES_RULESET_H

#include "rules/classifier.h"
#include "rules/inspector.h"
#include "rules/policy.h"

/* The hot view of one rule, one cache line. */
struct sp_hot_rule {
	uint32_t id;
	uint32_t slot; /* index into the persistent rule table (dataplane/rule_table.h); set by whoever publishes */
	uint64_t content_hash;
	uint8_t action; /* enum sp_action */
	uint8_t log;    /* enum sp_log */
	uint8_t flags;  /* SP_HOT_* */
	uint8_t reserved;
	int16_t inspect; /* index into inspectors, -1: none */
	uint16_t mss;
	uint32_t timeout_sec;
	uint32_t max_sessions;
	uint32_t max_per_source;
	const struct sp_residual *residual; /* NULL: none */
	const struct sp_limit *limit;       /* NULL: none */
} __attribute__((aligned(64)));

#define SP_HOT_MONITOR   1u
#define SP_HOT_STATELESS 2u
#define SP_HOT_ICMP_TYPE 4u /* it names its ICMP types: icmp_types.h */

/* What becomes of live sessions when rules change; X(enumerator, name). */
#define SP_ON_CHANGE(X)       \
	X(RECHECK, "recheck") \
	X(KEEP, "keep")       \
	X(KILL, "kill")

enum sp_on_change {
#define X(e, n) SP_ON_CHANGE_##e,
	SP_ON_CHANGE(X)
#undef X
		SP_ON_CHANGE_COUNT
};

extern const char *const sp_on_change_names[SP_ON_CHANGE_COUNT];

/* The value of a name, -EINVAL for any other text. */
int sp_on_change_parse(const char *text);

struct sp_ruleset {
	uint32_t generation;       /* set by whoever publishes; 0 before */
	uint8_t on_change;         /* enum sp_on_change: the same */
	struct sp_hot_rule *rules; /* n_rules, indexes as in policy->rules */
	uint32_t n_rules;
	uint8_t default_action;
	uint8_t default_log;
	bool builtin_arp, builtin_nd;
	struct sp_classifier *classifier;
	struct sp_inspector *inspectors; /* index as policy->profiles */
	size_t n_inspectors;
	struct sp_policy *policy; /* owned */
	char *source;             /* owned: the file's text as loaded, for GET and for revisions; may be NULL */
	size_t source_size;
};

/*
 * Compiles a checked policy. Takes ownership of `policy` on success only. NULL with a diagnostic. Needs EAL; may take seconds; control
 * thread or a command.
 */
struct sp_ruleset *sp_ruleset_build(struct sp_policy *policy, struct sp_diags *diags);

void sp_ruleset_free(struct sp_ruleset *ruleset);

#endif
