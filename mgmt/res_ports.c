/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /v1/ports: each port with its peer, link, our counters, and the device's misses, which precede rx.
 */
#include <stdio.h>
#include <stdlib.h>

#include "mgmt/kernel/kernel.h"
#include "mgmt/port_state.h"
#include "mgmt/ports.h"
#include "mgmt/res.h"
#include "mgmt/state.h"
#include "mgmt/stats_json.h"

static const char *const rss_names[SP_RSS_STATES] = {
	[SP_RSS_NONE] = "none", [SP_RSS_UNVERIFIED] = "unverified", [SP_RSS_SYMMETRIC] = "symmetric", [SP_RSS_ASYMMETRIC] = "asymmetric"};

/* null while it is not known: the port never had a device. */
static json_t *mac_json(const uint64_t *word)
{
	uint8_t mac[6];
	char text[18];

	if (sp_mac_load(word) == 0)
		return json_null();
	sp_mac_copy(mac, word);
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return json_string(text);
}

static json_t *port_json(const struct sp_dataplane *dataplane, unsigned int index)
{
	const struct sp_port *port = &dataplane->ports[index];
	char why[SP_PORT_WHY_MAX];
	enum sp_port_state state = sp_port_state_why(port, why);
	struct sp_port_report report;
	json_t *json = json_object();

	sp_port_report(dataplane, index, &report);
	json_object_set_new(json, "name", sp_json_text(port->name));
	json_object_set_new(json, "device", sp_json_text(port->device));
	json_object_set_new(json, "driver", sp_json_text(report.driver));
	json_object_set_new(json, "zone", sp_json_text(report.zone));
	json_object_set_new(json, "peer", port->peer < dataplane->n_ports ? sp_json_text(dataplane->ports[port->peer].name) : json_null());
	json_object_set_new(json, "link", json_string(report.link_up ? "up" : "down"));
	json_object_set_new(json, "state", json_string(sp_port_state_names[state]));
	json_object_set_new(json, "why", why[0] != '\0' ? sp_json_text(why) : json_null());
	json_object_set_new(json, "mac", mac_json(&port->mac_word));
	json_object_set_new(json, "mtu", json_integer(port->mtu));
	json_object_set_new(json, "rss", json_string(rss_names[__atomic_load_n(&port->rss, __ATOMIC_RELAXED) % SP_RSS_STATES]));
	json_object_set_new(json, "rx", sp_json_u64(report.counters.rx));
	json_object_set_new(json, "tx", sp_json_u64(report.counters.tx));
	json_object_set_new(json, "rx_bytes", sp_json_u64(report.counters.rx_bytes));
	json_object_set_new(json, "tx_bytes", sp_json_u64(report.counters.tx_bytes));
	json_object_set_new(json, "drops", sp_json_u64(report.counters.drops));
	json_object_set_new(json, "imissed", report.has_device ? sp_json_u64(report.imissed) : json_null());
	json_object_set_new(json, "rx_nombuf", report.has_device ? sp_json_u64(report.rx_nombuf) : json_null());
	json_object_set_new(json, "oerrors", report.has_device ? sp_json_u64(report.oerrors) : json_null());
	return json;
}

json_t *sp_ports_json(const struct sp_dataplane *dataplane)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < dataplane->n_ports; i++)
		json_array_append_new(array, port_json(dataplane, i));
	return array;
}

static json_t *kernel_json(const struct sp_kernel_link_report *report)
{
	json_t *json = json_object();

	json_object_set_new(json, "tap", json_string(report->tap ? "present" : "gone"));
	json_object_set_new(json, "to_kernel", sp_json_u64(report->to_kernel));
	json_object_set_new(json, "from_kernel", sp_json_u64(report->from_kernel));
	json_object_set_new(json, "write_errors", sp_json_u64(report->write_errors));
	json_object_set_new(json, "read_drops", sp_json_u64(report->read_drops));
	return json;
}

/* Route mode: what Linux has an interface for, ports and their VLANs. */
static json_t *links_json(const struct sp_mgmt *mgmt)
{
	const struct sp_routing *routing = mgmt->dataplane->routing;
	struct sp_kernel_report *report = malloc(sizeof(*report));
	json_t *array = json_array();

	if (report != NULL)
		sp_kernel_report(mgmt->kernel, report);
	for (unsigned int i = 0; report != NULL && i < report->n_links; i++) {
		const struct sp_link *link = &routing->links[i];
		json_t *json = json_object();

		json_object_set_new(json, "name", sp_json_text(link->name));
		json_object_set_new(json, "port", sp_json_text(mgmt->dataplane->ports[link->port].name));
		json_object_set_new(json, "vlan", link->vlan != 0 ? json_integer(link->vlan) : json_null());
		json_object_set_new(json, "zone",
			link->zone < mgmt->dataplane->zones.n ? sp_json_text(mgmt->dataplane->zones.name[link->zone]) : json_null());
		json_object_set_new(json, "link", json_string(report->links[i].up ? "up" : "down"));
		json_object_set_new(json, "mac", mac_json(&link->mac_word));
		json_object_set_new(json, "mtu", json_integer(__atomic_load_n(&link->mtu, __ATOMIC_RELAXED)));
		json_object_set_new(json, "kernel", kernel_json(&report->links[i]));
		json_array_append_new(array, json);
	}
	free(report);
	return array;
}

void sp_res_ports(struct sp_call *call)
{
	json_t *json = json_object();

	json_object_set_new(json, "ports", sp_ports_json(call->mgmt->dataplane));
	if (call->mgmt->kernel != NULL)
		json_object_set_new(json, "links", links_json(call->mgmt));
	sp_reply_json(&call->reply, 200, SP_TYPE_JSON, json);
}
