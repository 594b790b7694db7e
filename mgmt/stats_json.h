/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The counters as JSON: one shape for GET /v1/stats, the event file and `sallyport replay --json`.
 */
#ifndef SP_MGMT_STATS_JSON_H
#define SP_MGMT_STATS_JSON_H

#include <jansson.h>

#include "dataplane/dataplane.h"

/* All of /v1/stats. Any thread but a worker; the caller owns the reference. NULL on ENOMEM. */
json_t *sp_stats_json(const struct sp_dataplane *dataplane);

/* Its arrays `ports` and `workers`. The same. */
json_t *sp_ports_json(const struct sp_dataplane *dataplane);
json_t *sp_workers_json(const struct sp_dataplane *dataplane);

#endif
