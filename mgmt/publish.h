/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Putting a ruleset into force: build, swap, wait, retire. In that order, in one place, on the control thread.
 */
#ifndef SP_MGMT_PUBLISH_H
#define SP_MGMT_PUBLISH_H

#include "dataplane/dataplane.h"

/*
 * Publishes `ruleset` (ownership passes unless it failed): gives it the next generation and rule slots, makes scratch, swaps the pointer,
 * waits until every worker reported quiescent (polled, at most 5 s) and frees the old one. Works before the workers start, too. 0;
 * -ENOSPC, -ENOMEM, -EBUSY (a worker still holds a ruleset from before the current one) with a diagnostic: the running ruleset is
 * untouched and `ruleset` is still the caller's; -ETIMEDOUT: the new one is in force, the old one is kept and tried again at the next
 * publish.
 */
int sp_publish(struct sp_dataplane *dataplane, struct sp_ruleset *ruleset, struct sp_diags *diags);

/* Frees old rulesets that no worker holds any more, without waiting. Returns how many are left. Control thread. */
unsigned int sp_publish_retire(const struct sp_dataplane *dataplane);

/* Takes the live ruleset out of force and frees it with all retired ones. Only when no worker runs any more. */
void sp_publish_end(struct sp_dataplane *dataplane);

/*
 * The ruleset in force, valid until sp_published_put: until then no publish swaps it and rule slots keep their ids, so hold it only
 * shortly. NULL when none is in force; put it back then too. Any thread but a worker; may block while a publish swaps.
 */
const struct sp_ruleset *sp_published_get(const struct sp_dataplane *dataplane);
void sp_published_put(void);

/* The rule of that id as it is in force, NULL when there is none (any more). Between sp_published_get and _put only. */
const struct sp_rule *sp_published_rule(const struct sp_dataplane *dataplane, uint32_t id);

/* The generation in force, 0 without one. Any thread but a worker. */
uint32_t sp_published_generation(const struct sp_dataplane *dataplane);

#endif
