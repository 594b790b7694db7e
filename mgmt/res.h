/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The resources of the API: one function a call, one file a resource. All on the API thread; each fills call->reply or call->job.
 */
#ifndef SP_MGMT_RES_H
#define SP_MGMT_RES_H

#include "mgmt/api.h"

void sp_res_status(struct sp_call *call);
void sp_res_ready(struct sp_call *call);
void sp_res_stats(struct sp_call *call);
void sp_res_ports(struct sp_call *call);
void sp_res_workers(struct sp_call *call);
void sp_res_rules(struct sp_call *call);
void sp_res_rule(struct sp_call *call);
void sp_res_rules_put(struct sp_call *call);
void sp_res_reload(struct sp_call *call);
void sp_res_sessions(struct sp_call *call);
void sp_res_sessions_delete(struct sp_call *call);
void sp_res_explain(struct sp_call *call);
void sp_res_events(struct sp_call *call);
void sp_res_drops(struct sp_call *call);
void sp_res_captures(struct sp_call *call);
void sp_res_captures_post(struct sp_call *call);
void sp_res_capture(struct sp_call *call);
void sp_res_capture_delete(struct sp_call *call);
void sp_res_routes(struct sp_call *call);
void sp_res_neighbours(struct sp_call *call);
void sp_res_nat(struct sp_call *call);
void sp_res_nat_backends_post(struct sp_call *call);
void sp_res_metrics(struct sp_call *call);
void sp_res_openapi(struct sp_call *call);

/* sp_stats_json with what the event writer did. Any thread but a worker; NULL on ENOMEM. */
json_t *sp_mgmt_stats_json(struct sp_mgmt *mgmt);

/* Why the firewall is not as it should be: [{"code","text"}]; links that are down among them. NULL on ENOMEM. */
json_t *sp_degraded_json(struct sp_mgmt *mgmt);

/* Whether rules are in force, every worker polls and every link is up. */
bool sp_is_ready(struct sp_mgmt *mgmt);

#endif
