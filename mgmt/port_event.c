/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happens to a port, as an EVE line.
 */
#include <stdio.h>

#include "mgmt/events.h"
#include "mgmt/mgmt.h"
#include "mgmt/port_state.h"
#include "mgmt/reply.h"
#include "mgmt/state.h"

static const char *const names[SP_PORT_EVENTS] = {[SP_PORT_LINK_UP] = "link-up",
	[SP_PORT_LINK_DOWN] = "link-down",
	[SP_PORT_RESET] = "reset",
	[SP_PORT_RESTARTED] = "restarted",
	[SP_PORT_GONE] = "absent",
	[SP_PORT_ATTACHED] = "attached",
	[SP_PORT_MAC_CHANGED] = "mac-changed"};

void sp_mgmt_port_event(struct sp_mgmt *mgmt, const struct sp_port *port, enum sp_port_event what, const char *reason)
{
	json_t *fields = json_object();
	uint8_t mac[6];
	char text[18];

	sp_mac_copy(mac, &port->mac_word);
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	json_object_set_new(fields, "name", sp_json_text(port->name));
	json_object_set_new(fields, "device", sp_json_text(port->device));
	json_object_set_new(fields, "what", json_string(names[what]));
	json_object_set_new(fields, "reason", sp_json_text(reason));
	json_object_set_new(fields, "state", json_string(sp_port_state_names[sp_port_state(port)]));
	json_object_set_new(fields, "link", json_string(sp_port_link_name(port)));
	json_object_set_new(fields, "mac", json_string(text));
	sp_events_port(mgmt->events, fields);
}
