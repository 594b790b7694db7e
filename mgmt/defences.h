/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the firewall defends itself against floods, as JSON: for /v1/stats and /v1/status.
 */
#ifndef SP_MGMT_DEFENCES_H
#define SP_MGMT_DEFENCES_H

#include <jansson.h>

#include "dataplane/dataplane.h"
#include "dataplane/session.h"
#include "dataplane/stats.h"

/* The member `defences` of /v1/stats, from the sums of sp_stats_sum. The caller owns the reference. */
json_t *sp_defences_json(const struct sp_dataplane *dataplane, const struct sp_stats *stats, const struct sp_sessions_counters *sessions);

/* The member `defending` of /v1/status: {code, text} of each defence that some worker has engaged. Any thread but a worker. */
json_t *sp_defending_json(const struct sp_dataplane *dataplane);

/* Connections half open. */
uint64_t sp_defences_embryonic(const struct sp_sessions_counters *sessions);

/* Counters of states as an object by name; those at zero are there, too. */
json_t *sp_states_json(const uint64_t counters[SP_STATE_COUNT]);

#endif
