/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers read of a paused port what does not depend on its device: zones, domain, links. The rest they look at only after the pause, which
 * ends with a release.
 */
#include "vnf/port_attach.h"

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_ring.h>
#include <stdio.h>
#include <string.h>

#include "mgmt/port_state.h"
#include "mgmt/ports.h"

/* As many as the port might take of what it may ask for: the pool of buffers is made once. */
static void plan_most(struct sp_port_plan *plan, const struct sp_config_port *from, unsigned int n_workers)
{
	const uint32_t length = from->descriptors != 0 ? from->descriptors : SP_PORT_DESCRIPTORS;

	memset(plan, 0, sizeof(*plan));
	plan->buffers =
		length * (from->queues != 0 ? from->queues : n_workers) + length * n_workers + (n_workers > 1 ? SP_HANDOVER_RING : 0);
}

void sp_port_absent(struct sp_launch *launch, const struct sp_config_port *from, unsigned int index, const char *why)
{
	struct sp_port *port = &launch->dataplane->ports[index];

	sp_port_detach(port);
	plan_most(&launch->plans[index], from, launch->dataplane->n_workers);
	port->paused = 1;
	port->link_up = 0;
	port->n_queues = 0;
	port->n_tx_queues = 1;
	port->mtu = from->mtu != 0 ? from->mtu : RTE_ETHER_MTU;
	port->mac_word = 0;
	sp_port_state_set(port, SP_PORT_ABSENT, why);
}

void sp_port_release_others(void)
{
	struct rte_eth_dev_info info;
	uint16_t ethdev;

	/* Those that belong to somebody are left out. */
	RTE_ETH_FOREACH_DEV (ethdev) {
		memset(&info, 0, sizeof(info));
		if (rte_eth_dev_info_get(ethdev, &info) != 0 || info.device == NULL ||
			strcmp(rte_bus_name(rte_dev_bus(info.device)), "vdev") == 0)
			continue;
		rte_eth_dev_close(ethdev);
		rte_dev_remove(info.device);
	}
}

int sp_port_attach(
	struct sp_launch *launch, const struct sp_config *config, const struct sp_config_port *from, unsigned int index, char *why)
{
	struct sp_port *port = &launch->dataplane->ports[index];
	const uint64_t mac_word = port->mac_word;
	struct sp_port_plan plan = {0};
	int rc;

	sp_port_lock(port);
	rc = sp_port_open(port, config, from, launch->dataplane->n_workers, &plan, why);
	if (rc == 0)
		rc = sp_port_start(port, from, &plan, launch->pool, why);
	if (rc == 0) {
		launch->plans[index] = plan;
	} else {
		sp_port_detach(port);
		__atomic_store_n(&port->mac_word, mac_word, __ATOMIC_RELAXED);
	}
	if (from->device.kind == SP_DEVICE_MAC)
		sp_port_release_others();
	sp_port_unlock(port);
	return rc;
}
