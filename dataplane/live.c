/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What workers load once a turn: a ruleset, the scratch of its databases a worker, and the way from a slot back to a rule. Immutable
 * between create and free.
 */
#include <errno.h>
#include <rte_cycles.h>
#include <stdlib.h>

#include "dataplane/dataplane.h"
#include "dataplane/nat.h"

static int make_slot_map(struct sp_live *live)
{
	const struct sp_ruleset *ruleset = live->ruleset;

	live->n_slots = 1;
	for (uint32_t i = 0; i < ruleset->n_rules; i++)
		if (ruleset->rules[i].slot >= live->n_slots)
			live->n_slots = ruleset->rules[i].slot + 1;
	live->rule_of_slot = malloc(live->n_slots * sizeof(live->rule_of_slot[0]));
	if (live->rule_of_slot == NULL)
		return -ENOMEM;
	for (uint32_t s = 0; s < live->n_slots; s++)
		live->rule_of_slot[s] = SP_RULE_NONE;
	for (uint32_t i = 0; i < ruleset->n_rules; i++)
		live->rule_of_slot[ruleset->rules[i].slot] = i;
	return 0;
}

struct sp_live *sp_live_create(struct sp_ruleset *ruleset, unsigned int n_workers)
{
	struct sp_live *live = calloc(1, sizeof(*live));
	int rc;

	if (live == NULL)
		return NULL;
	live->ruleset = ruleset;
	live->n_workers = n_workers;
	rc = make_slot_map(live);
	for (unsigned int w = 0; rc == 0 && w < n_workers; w++)
		for (size_t i = 0; rc == 0 && i < ruleset->n_inspectors; i++)
			rc = sp_inspector_scratch(&ruleset->inspectors[i], &live->scratch[w]);
	if (rc != 0) {
		live->ruleset = NULL;
		sp_live_free(live);
		errno = -rc;
		return NULL;
	}
	return live;
}

void sp_live_follow(struct sp_live *live, const struct sp_live *before)
{
	struct sp_ruleset *ruleset = live->ruleset;

	ruleset->generation = before != NULL ? before->ruleset->generation + 1 : 1;
	if (ruleset->generation == 0) /* 0 means "never published" */
		ruleset->generation = 1;
	if (before != NULL && ruleset->on_change == SP_ON_CHANGE_KEEP) {
		/* Who was not judged yet under an earlier change is still to be. */
		live->keep_from = before->keep_from;
		live->strict = before->strict;
	} else {
		live->keep_from = ruleset->generation;
		live->strict = ruleset->on_change == SP_ON_CHANGE_KILL;
	}
}

void sp_live_free(struct sp_live *live)
{
	if (live == NULL)
		return;
	for (unsigned int w = 0; w < live->n_workers; w++)
		hs_free_scratch(live->scratch[w]);
	sp_nat_rules_free(live->nat);
	free(live->rule_of_slot);
	sp_ruleset_free(live->ruleset);
	free(live);
}

uint64_t sp_wall_ns(const struct sp_dataplane *dataplane, uint64_t tsc)
{
	return dataplane->wall_start_ns + (uint64_t)((__uint128_t)(tsc - dataplane->tsc_start) * 1000000000u / dataplane->tsc_hz);
}
