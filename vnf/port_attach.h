/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports without a device, and how they get one while the firewall runs.
 */
#ifndef SP_VNF_PORT_ATTACH_H
#define SP_VNF_PORT_ATTACH_H

#include "vnf/launch.h"

/*
 * Makes launch->dataplane->ports[index], whose sp_port_open or sp_port_start failed, a port without a device: paused, link down, state
 * absent for the reason `why`; its plan has buffers for any device that it may get. What it had open is given back. Before workers run.
 */
void sp_port_absent(struct sp_launch *launch, const struct sp_config_port *from, unsigned int index, const char *why);

/*
 * Opens the device of an absent port and starts it: what remains is to end the pause. 0, or -errno with a sentence in why; then the port is
 * as it was. Control thread; takes as long as a driver does.
 */
int sp_port_attach(
	struct sp_launch *launch, const struct sp_config *config, const struct sp_config_port *from, unsigned int index, char *why);

/* Gives back hardware that DPDK opened and that is no port's: whoever wants it back would wait for it for ever. Control thread. */
void sp_port_release_others(void);

#endif
