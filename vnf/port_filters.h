/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which frames a device lets in: its own unicast (in wire mode all), the groups that Linux has joined, the VLANs of the configuration, and
 * further MAC addresses of Linux's interfaces on the TAPs. Control thread; the device's calls are made under the port's lock once
 * workers run.
 */
#ifndef SP_VNF_PORT_FILTERS_H
#define SP_VNF_PORT_FILTERS_H

#include <rte_ether.h>

#include "mgmt/kernel/kernel.h"
#include "vnf/port.h"

/* Groups that a port is asked to take one by one; more, or more than its device takes, and it is asked for all. */
#define SP_PORT_GROUPS_MAX SP_KERNEL_GROUPS_MAX

/*
 * Opens the filters of a device that was just started. In wire mode it is asked for every frame; in route mode for its own, and for all
 * groups where its driver takes no list of them. What is refused is warned of when the device starts for the first time, with the command
 * that mends it.
 */
void sp_port_filters_open(const struct sp_port *port, const struct sp_port_plan *plan);

/*
 * Has the device take frames to these n groups and no others, or to all groups when it cannot take a list of so many: of more than
 * SP_PORT_GROUPS_MAX only the number counts. 0, or -errno when
 * neither works; frames to groups then stay away, which the caller should tell.
 */
int sp_port_multicast(const struct sp_port *port, const struct sp_quirks *quirks, const struct rte_ether_addr *groups, unsigned int n);

struct sp_launch;
struct sp_mgmt;
struct sp_port_filters;

/*
 * What follows Linux, for the ports of the launch; both arguments must outlive it, and `kernel` may be NULL (wire mode): then there is
 * nothing to follow. NULL without memory. Main thread.
 */
struct sp_port_filters *sp_port_filters_begin(struct sp_launch *launch, struct sp_kernel *kernel);

/*
 * Asks Linux which groups and addresses it listens to on the TAPs of each port that runs, and sets the port's filters where something has
 * changed, or the device was started anew: of one port each time, so that whoever else waits for the control thread gets a turn between.
 * Some times a second; waits as long as a driver for its mailbox, and only after a change, of which `mgmt` (NULL: nobody) is told.
 */
void sp_port_filters_tick(struct sp_port_filters *filters, struct sp_mgmt *mgmt);

/* NULL is nothing. */
void sp_port_filters_end(struct sp_port_filters *filters);

#endif
