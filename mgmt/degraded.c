/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is wrong, for GET /v1/status and /v1/ready: partly remembered (state.h, notes.h), partly read off the dataplane at this moment.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/events.h"
#include "mgmt/health.h"
#include "mgmt/kernel/kernel.h"
#include "mgmt/port_state.h"
#include "mgmt/publish.h"
#include "mgmt/res.h"
#include "mgmt/state.h"

const struct sp_degraded_text sp_degraded_texts[SP_DEGRADED_COUNT] = {
#define X(e, c, t, r) {c, t, r},
	SP_DEGRADED(X)
#undef X
};

static bool workers_poll(const struct sp_mgmt *mgmt)
{
	return __atomic_load_n(&mgmt->dataplane->stop, __ATOMIC_RELAXED) == 0 && sp_mgmt_workers_beat(mgmt);
}

static bool ports_are_up(const struct sp_dataplane *dataplane)
{
	for (unsigned int i = 0; i < dataplane->n_ports; i++)
		if (sp_port_state(&dataplane->ports[i]) != SP_PORT_RUNNING ||
			__atomic_load_n(&dataplane->ports[i].link_up, __ATOMIC_RELAXED) == 0)
			return false;
	return dataplane->n_ports > 0;
}

bool sp_is_ready(struct sp_mgmt *mgmt)
{
	for (unsigned int i = 0; i < mgmt->notes.n; i++)
		if (mgmt->notes.v[i].unready)
			return false;
	if ((__atomic_load_n(&mgmt->degraded, __ATOMIC_RELAXED) & (1u << SP_DEGRADED_NO_RULES)) != 0)
		return false;
	if (mgmt->kernel != NULL && !sp_kernel_synced(mgmt->kernel))
		return false;
	return ports_are_up(mgmt->dataplane) && sp_published_generation(mgmt->dataplane) != 0 && workers_poll(mgmt);
}

/* remedy NULL: the text says what to do after its first "; ", as messages of this program do, or there is nothing to do but wait. */
static void add(json_t *array, const char *code, const char *text, const char *remedy)
{
	json_t *entry = json_object();

	if (remedy == NULL && (remedy = strstr(text, "; ")) != NULL)
		remedy += 2;
	json_object_set_new(entry, "code", json_string(code));
	json_object_set_new(entry, "text", sp_json_text(text));
	json_object_set_new(entry, "remedy", sp_json_text(remedy));
	json_array_append_new(array, entry);
}

static void add_events(json_t *array, const struct sp_events *events)
{
	struct sp_events_counters counters;
	char text[160];

	sp_events_counters(events, &counters);
	snprintf(text, sizeof(text), "the event file takes no lines (%s); %llu were lost since the start",
		strerror(sp_events_failing(events)), (unsigned long long)counters.unwritten);
	add(array, "events-not-written", text, "make room on the disk, or its folder writable; it is tried again every few seconds");
}

/* One that is remembered, with the reason where there is one. */
static void add_known(json_t *array, const struct sp_mgmt *mgmt, unsigned int what)
{
	const struct sp_degraded_text *it = &sp_degraded_texts[what];
	const char *why = what == SP_DEGRADED_NO_RULES ? mgmt->no_rules : mgmt->api != NULL ? sp_api_why(mgmt->api, what) : "";
	char text[768];

	snprintf(text, sizeof(text), "%s%s%s", it->text, why[0] != '\0' ? ": " : "", why);
	add(array, it->code, text, it->remedy);
}

static void add_remembered(json_t *array, const struct sp_mgmt *mgmt)
{
	uint32_t degraded = __atomic_load_n(&mgmt->degraded, __ATOMIC_RELAXED);

	for (unsigned int i = 0; i < mgmt->notes.n; i++) {
		const struct sp_note *note = &mgmt->notes.v[i];

		add(array, note->code, note->text, note->remedy[0] != '\0' ? note->remedy : NULL);
	}
	for (unsigned int i = 0; i < SP_DEGRADED_COUNT; i++)
		if ((degraded & (1u << i)) != 0)
			add_known(array, mgmt, i);
}

static void add_port(json_t *array, const struct sp_port *port)
{
	char text[SP_PORT_WHY_MAX + 64], why[SP_PORT_WHY_MAX];
	enum sp_port_state state = sp_port_state_why(port, why);

	if (state != SP_PORT_RUNNING) {
		snprintf(text, sizeof(text), "%s", why);
		add(array, state == SP_PORT_ABSENT ? "port-absent" : "port-restarting", text, NULL);
	} else if (__atomic_load_n(&port->link_up, __ATOMIC_RELAXED) == 0) {
		snprintf(text, sizeof(text), "the link of port %s is down", port->name);
		add(array, "link-down", text, "check the cable, and on a VF that the PF's own link is up on the host");
	}
}

static void add_kernel(json_t *array, const struct sp_kernel *kernel)
{
	const char *down = sp_kernel_tap_down(kernel);
	char text[128], remedy[64];

	if (!sp_kernel_synced(kernel))
		add(array, "netlink-resync", "the tables of Linux have not been read yet: nothing is routed", NULL);
	else if (sp_kernel_resyncing(kernel))
		add(array, "netlink-resync", "the tables of Linux are read again: what changes there meanwhile is followed late", NULL);
	if (down == NULL)
		return;
	snprintf(text, sizeof(text), "the interface %s in Linux was removed or is down: `ip link set %s up`, or restart", down, down);
	snprintf(remedy, sizeof(remedy), "`ip link set %s up`, or restart", down);
	add(array, "tap-down", text, remedy);
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
		add(array, "no-backend", text, NULL);
	}
	free(sums);
}

json_t *sp_degraded_json(struct sp_mgmt *mgmt)
{
	const struct sp_dataplane *dataplane = mgmt->dataplane;
	json_t *array = json_array();

	add_remembered(array, mgmt);
	if (sp_events_failing(mgmt->events) != 0)
		add_events(array, mgmt->events);
	if (sp_published_generation(mgmt->dataplane) == 0)
		add(array, "no-rules", "no rules are in force", "put a rule file: `sallyctl rules put FILE`");
	if (!workers_poll(mgmt))
		add(array, "workers-not-polling", "not every worker polls its ports",
			"a worker that hangs ends only with the process: restart");
	if (dataplane->n_ports == 0)
		add(array, "no-ports", "the firewall has no ports and carries no traffic",
			"`sallyport doctor --conf` writes a configuration for the devices found");
	for (unsigned int i = 0; i < dataplane->n_ports; i++)
		add_port(array, &dataplane->ports[i]);
	if (mgmt->kernel != NULL)
		add_kernel(array, mgmt->kernel);
	add_backends(array, mgmt);
	return array;
}
