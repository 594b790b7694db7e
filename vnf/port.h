/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bring-up of one port: device, queues, offloads, filters. Main thread, before workers start and after they ended, but for restart and
 * detach.
 */
#ifndef SP_VNF_PORT_H
#define SP_VNF_PORT_H

#include <rte_mempool.h>
#include <stdio.h>

#include "dataplane/dataplane.h"
#include "vnf/config.h"
#include "vnf/eal.h"
#include "vnf/quirks.h"

#define SP_PORT_DESCRIPTORS 1024 /* of a queue, unless the configuration says so */

struct sp_port_plan {                            /* what a port needs, known once its device is open */
	uint16_t rx_descriptors, tx_descriptors; /* of each queue */
	uint32_t buffers;                        /* mbufs that its queues can hold */
	const struct sp_quirks *quirks;          /* of its driver */
	uint64_t vlans[4096 / 64];               /* bit set: a VLAN of the configuration on this device */
	bool filters_vlans;                      /* the device lets only those in that it is asked for */
};

/*
 * Fills what of *port does not depend on its device: name and text of the device, domain, zones, what is done with checksums and links.
 * Workers read it of a paused port, too: once, before they run.
 */
void sp_port_describe(struct sp_port *port, const struct sp_config *config, const struct sp_config_port *from);

/*
 * Opens and configures the device of a port that is described, for n_workers: fills the rest of *port but peer, and *plan. What the device
 * lacks of what is wished is warned of on stderr and done without. 0, or -errno with a sentence in why (SP_WHY_MAX) that names port and
 * device. May be called again for a port without a device, while it is paused.
 */
int sp_port_open(struct sp_port *port, const struct sp_config *config, const struct sp_config_port *from, unsigned int n_workers,
	struct sp_port_plan *plan, char *why);

/*
 * Sets port->zone of every VLAN as the configuration says for this device: without VLANs of its own all frames are of the port's zone; with
 * some, untagged frames are, and those of a VLAN that is not defined have none (SP_MATCH_NO_ZONE).
 */
void sp_port_zones(struct sp_port *port, const struct sp_config *config, const struct sp_config_port *from);

/*
 * Sets up queues with buffers from the pool, starts the port and opens its filters. port->mtu is what is in force then, and may be less
 * than what was wished. 0, or -errno with a sentence in why.
 */
int sp_port_start(
	struct sp_port *port, const struct sp_config_port *from, const struct sp_port_plan *plan, struct rte_mempool *pool, char *why);

/*
 * Stops, resets, configures and starts a port that was started before, with the queues it has. Its filters are as after a start; mac and
 * mtu are what the device has now. 0, or -errno with a sentence in why; then it is stopped and may be restarted again. No worker may use
 * the device. Control thread; blocks as long as the driver does.
 */
int sp_port_restart(
	struct sp_port *port, const struct sp_config_port *from, const struct sp_port_plan *plan, struct rte_mempool *pool, char *why);

/* Gives the device back to its bus: the port is without one, and its link is down. No worker may use it. Control thread. */
void sp_port_detach(struct sp_port *port);

/* Prints the one line about the port that the start-up log has. */
void sp_port_print(const struct sp_port *port, FILE *out);

/* Stops and closes the device; a virtual one is gone afterwards. */
void sp_port_close(struct sp_port *port);

#endif
