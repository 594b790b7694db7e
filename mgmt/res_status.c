/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /v1/status, /v1/ready: who runs here since when, under which rules, and whether all is well.
 */
#include <rte_cycles.h>

#include "mgmt/defences.h"
#include "mgmt/port_state.h"
#include "mgmt/problem.h"
#include "mgmt/publish.h"
#include "mgmt/res.h"
#include "mgmt/state.h"

/* What readiness is about: each port with its link and state. */
static json_t *links_json(const struct sp_dataplane *dataplane)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < dataplane->n_ports; i++) {
		const struct sp_port *port = &dataplane->ports[i];
		json_t *json = json_object();

		json_object_set_new(json, "name", sp_json_text(port->name));
		json_object_set_new(json, "link", json_string(sp_port_link_name(port)));
		json_object_set_new(json, "state", json_string(sp_port_state_names[sp_port_state(port)]));
		json_array_append_new(array, json);
	}
	return array;
}

void sp_res_status(struct sp_call *call)
{
	struct sp_mgmt *mgmt = call->mgmt;
	const struct sp_dataplane *dataplane = mgmt->dataplane;
	uint64_t uptime = dataplane->tsc_hz != 0 ? (rte_rdtsc() - dataplane->tsc_start) / dataplane->tsc_hz : 0;
	json_t *json = json_object();

	json_object_set_new(json, "version", json_string(SP_VERSION));
	json_object_set_new(json, "uptime_sec", sp_json_u64(uptime));
	json_object_set_new(json, "mode", sp_json_text(mgmt->mode));
	json_object_set_new(json, "generation", json_integer(sp_published_generation(mgmt->dataplane)));
	json_object_set_new(json, "ready", json_boolean(sp_is_ready(mgmt)));
	json_object_set_new(json, "degraded", sp_degraded_json(mgmt));
	json_object_set_new(json, "defending", sp_defending_json(dataplane));
	json_object_set_new(json, "rules", sp_json_text(mgmt->rules_path));
	json_object_set_new(json, "config", sp_json_text(mgmt->config_path));
	sp_reply_json(&call->reply, 200, SP_TYPE_JSON, json);
}

void sp_res_ready(struct sp_call *call)
{
	json_t *json = json_object();

	if (sp_is_ready(call->mgmt)) {
		json_object_set_new(json, "ready", json_true());
		json_object_set_new(json, "ports", links_json(call->mgmt->dataplane));
		sp_reply_json(&call->reply, 200, SP_TYPE_JSON, json);
		return;
	}
	json_object_set_new(json, "type", json_string("urn:sallyport:problem:not-ready"));
	json_object_set_new(json, "title", json_string(sp_problem_title(503)));
	json_object_set_new(json, "status", json_integer(503));
	json_object_set_new(json, "detail", json_string("the firewall is not ready; `degraded` says why"));
	json_object_set_new(json, "ready", json_false());
	json_object_set_new(json, "ports", links_json(call->mgmt->dataplane));
	json_object_set_new(json, "degraded", sp_degraded_json(call->mgmt));
	sp_reply_json(&call->reply, 503, SP_TYPE_PROBLEM, json);
	call->reply.retry_after = 1;
}
