/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What route mode adds to the dataplane: a link for each port and each VLAN, the tables that lead to them, and Linux's side of each.
 */
#include <errno.h>
#include <rte_errno.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/kernel_way.h"
#include "dataplane/routing.h"
#include "rules/match.h"
#include "vnf/launch.h"
#include "vnf/launch_internal.h"

/* The device port that a configuration's port is, or is a VLAN of. */
static struct sp_port *device_of(struct sp_dataplane *dataplane, const struct sp_config *config, const struct sp_config_port *port)
{
	unsigned int device = port->parent >= 0 ? (unsigned int)port->parent : (unsigned int)(port - config->ports);

	return &dataplane->ports[sp_launch_device_index(config, device)];
}

static int add_link(struct sp_dataplane *dataplane, const struct sp_config *config, const struct sp_config_port *from)
{
	struct sp_port *port = device_of(dataplane, config, from);
	struct sp_link link = {
		.port = port->index, .vlan = from->parent >= 0 ? from->vlan : 0, .zone = from->zone, .rpf = from->rpf, .mtu = port->mtu};

	snprintf(link.name, sizeof(link.name), "%.15s", from->name);
	link.mac_word = port->mac_word;
	port->link[link.vlan] = (uint16_t)dataplane->routing->n_links;
	return sp_routing_add_link(dataplane->routing, &link);
}

int sp_launch_routing(struct sp_launch *launch, const struct sp_config *config, char *why)
{
	struct sp_dataplane *dataplane = launch->dataplane;
	int rc = 0;

	if (config->mode != SP_MODE_ROUTE)
		return 0;
	dataplane->routing = sp_routing_create(&config->route, dataplane->qsbr, SOCKET_ID_ANY);
	if (dataplane->routing == NULL) {
		snprintf(why, SP_WHY_MAX, "no memory for the routing tables; set a larger memory.mb, or smaller route.max4 and route.max6");
		return -errno;
	}
	dataplane->zone_self = config->zone_self;
	for (unsigned int p = 0; p < dataplane->n_ports; p++) {
		struct sp_port *port = &dataplane->ports[p];

		port->peer = SP_NO_PORT;
		port->pass_link = false;
		port->vlan_apart = UINT16_MAX;
		port->first_worker = (uint16_t)p;
		memset(port->link, 0xff, sizeof(port->link));
	}
	for (unsigned int i = 0; rc == 0 && i < config->n_ports; i++)
		rc = add_link(dataplane, config, &config->ports[i]);
	if (rc == 0)
		rc = sp_kernel_ports_make(dataplane);
	if (rc != 0)
		snprintf(why, SP_WHY_MAX, "no memory for the links; set a larger memory.mb");
	return rc;
}
