/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From bytes to rules in force: what PUT /v1/rules and a reload do, on the control thread.
 */
#ifndef SP_MGMT_APPLY_H
#define SP_MGMT_APPLY_H

#include "mgmt/control.h"

/* Reads, compiles and, unless it is a dry run, publishes and saves the body of a PUT job. Fills job->reply. */
void sp_apply_put(struct sp_mgmt *mgmt, struct sp_job *job);

/*
 * Reads the rule file again and publishes it; with errors the running rules stay. Fills the reply and writes errors to stderr. `by` is who
 * asked for it, NULL: a signal; `on_change` (enum sp_on_change) says what becomes of live sessions.
 */
void sp_apply_reload(struct sp_mgmt *mgmt, const struct sp_peer *by, uint8_t on_change, struct sp_reply *reply);

/* Remembers what the rule file holds, as the rules in force were loaded from it. At start. */
void sp_apply_baseline(struct sp_mgmt *mgmt);

/* Tells the event writer the patterns of the rules in force. */
void sp_apply_signatures(struct sp_mgmt *mgmt);

#endif
