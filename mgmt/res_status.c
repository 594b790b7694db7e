/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /v1/status, /v1/ready: who runs here since when, under which rules, and whether all is well.
 */
#include <rte_cycles.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/defences.h"
#include "mgmt/events.h"
#include "mgmt/health.h"
#include "mgmt/kernel/kernel.h"
#include "mgmt/problem.h"
#include "mgmt/publish.h"
#include "mgmt/res.h"
#include "mgmt/state.h"

const struct sp_degraded_text sp_degraded_texts[SP_DEGRADED_COUNT] = {
#define X(e, c, t) {c, t},
	SP_DEGRADED(X)
#undef X
};

static bool link_is_down(const struct sp_port *port)
{
	return __atomic_load_n(&port->link_up, __ATOMIC_RELAXED) == 0;
}

static bool workers_poll(const struct sp_mgmt *mgmt)
{
	const struct sp_dataplane *dataplane = mgmt->dataplane;

	if (__atomic_load_n(&dataplane->stop, __ATOMIC_RELAXED) != 0)
		return false;
	for (unsigned int w = 0; w < dataplane->n_workers; w++)
		if (!sp_pulse_beats(&mgmt->pulse, dataplane, w))
			return false;
	return true;
}

bool sp_is_ready(struct sp_mgmt *mgmt)
{
	const struct sp_dataplane *dataplane = mgmt->dataplane;

	for (unsigned int i = 0; i < dataplane->n_ports; i++)
		if (link_is_down(&dataplane->ports[i]))
			return false;
	if ((__atomic_load_n(&mgmt->degraded, __ATOMIC_RELAXED) & (1u << SP_DEGRADED_NO_RULES)) != 0)
		return false;
	if (mgmt->kernel != NULL && !sp_kernel_synced(mgmt->kernel))
		return false;
	return sp_published_generation(mgmt->dataplane) != 0 && workers_poll(mgmt);
}

static void add(json_t *array, const char *code, const char *text)
{
	json_t *entry = json_object();

	json_object_set_new(entry, "code", json_string(code));
	json_object_set_new(entry, "text", sp_json_text(text));
	json_array_append_new(array, entry);
}

static void add_events(json_t *array, const struct sp_events *events)
{
	struct sp_events_counters counters;
	char text[160];

	sp_events_counters(events, &counters);
	snprintf(text, sizeof(text), "the event file takes no lines (%s); %llu were lost since the start",
		strerror(sp_events_failing(events)), (unsigned long long)counters.unwritten);
	add(array, "events-not-written", text);
}

static void add_no_rules(json_t *array, const struct sp_mgmt *mgmt)
{
	const struct sp_degraded_text *it = &sp_degraded_texts[SP_DEGRADED_NO_RULES];
	char text[768];

	snprintf(text, sizeof(text), "%s: %s", it->text, mgmt->no_rules);
	add(array, it->code, text);
}

static void add_kernel(json_t *array, const struct sp_kernel *kernel)
{
	const char *down = sp_kernel_tap_down(kernel);
	char text[128];

	if (!sp_kernel_synced(kernel))
		add(array, "netlink-resync", "the tables of Linux have not been read yet: nothing is routed");
	else if (sp_kernel_resyncing(kernel))
		add(array, "netlink-resync", "the tables of Linux are read again: what changes there meanwhile is followed late");
	if (down == NULL)
		return;
	snprintf(text, sizeof(text), "the interface %s in Linux was removed or is down: `ip link set %s up`, or restart", down, down);
	add(array, "tap-down", text);
}

/* One line for all entries of the nat list that have nobody to send new flows to. */
static void add_backends(json_t *array, struct sp_mgmt *mgmt)
{
	struct sp_health_sum *sums = calloc(SP_NAT_MAX, sizeof(*sums));
	size_t n = sums != NULL ? sp_health_sums(mgmt->health, sums, SP_NAT_MAX) : 0, first = n, entries = 0;
	char text[192], more[64] = "";

	for (size_t i = n; i-- > 0;)
		if (sums[i].live == 0) {
			first = i;
			entries++;
		}
	if (entries > 1)
		snprintf(more, sizeof(more), ", nor does any of %zu more entries", entries - 1);
	if (entries != 0) {
		snprintf(text, sizeof(text), "no backend of nat entry %u takes new flows%s; `sallyctl nat` says why", sums[first].entry,
			more);
		add(array, "no-backend", text);
	}
	free(sums);
}

json_t *sp_degraded_json(struct sp_mgmt *mgmt)
{
	const struct sp_dataplane *dataplane = mgmt->dataplane;
	uint32_t degraded = __atomic_load_n(&mgmt->degraded, __ATOMIC_RELAXED);
	json_t *array = json_array();
	char text[128];

	for (unsigned int i = 0; i < SP_DEGRADED_COUNT; i++)
		if ((degraded & (1u << i)) != 0 && i == SP_DEGRADED_NO_RULES)
			add_no_rules(array, mgmt);
		else if ((degraded & (1u << i)) != 0)
			add(array, sp_degraded_texts[i].code, sp_degraded_texts[i].text);
	if (sp_events_failing(mgmt->events) != 0)
		add_events(array, mgmt->events);
	if (sp_published_generation(mgmt->dataplane) == 0)
		add(array, "no-rules", "no rules are in force");
	if (!workers_poll(mgmt))
		add(array, "workers-not-polling", "not every worker polls its ports");
	for (unsigned int i = 0; i < dataplane->n_ports; i++) {
		const struct sp_port *port = &dataplane->ports[i];

		if (!link_is_down(port))
			continue;
		snprintf(text, sizeof(text), "the link of port %s is down", port->name);
		add(array, "link-down", text);
	}
	if (mgmt->kernel != NULL)
		add_kernel(array, mgmt->kernel);
	add_backends(array, mgmt);
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
		sp_reply_json(&call->reply, 200, SP_TYPE_JSON, json);
		return;
	}
	json_object_set_new(json, "type", json_string("urn:sallyport:problem:not-ready"));
	json_object_set_new(json, "title", json_string(sp_problem_title(503)));
	json_object_set_new(json, "status", json_integer(503));
	json_object_set_new(json, "detail", json_string("the firewall is not ready; `degraded` says why"));
	json_object_set_new(json, "ready", json_false());
	json_object_set_new(json, "degraded", sp_degraded_json(call->mgmt));
	sp_reply_json(&call->reply, 503, SP_TYPE_PROBLEM, json);
	call->reply.retry_after = 1;
}
