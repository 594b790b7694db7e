/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happens to devices while the firewall runs: a link changes, the PF resets a VF or gives it another MAC, a device is taken away,
 * comes back, or comes for the first time. Workers leave a port alone while it is paused (struct sp_port); sessions, links and counters
 * stay as they are. Each is told by a line on stderr and an event of type "port".
 */
#ifndef SP_VNF_PORT_EVENTS_H
#define SP_VNF_PORT_EVENTS_H

#include "mgmt/mgmt.h"
#include "vnf/config.h"
#include "vnf/launch.h"

struct sp_kernel;
struct sp_port_events;

/*
 * Listens to the events of every port of the launch; all arguments must outlive it. `kernel` is told of new MACs and MTUs; NULL in wire
 * mode. NULL without memory. Main thread, after sp_launch_ports.
 */
struct sp_port_events *sp_port_events_begin(struct sp_launch *launch, const struct sp_config *config, struct sp_kernel *kernel);

/* From now on an event wakes the control loop of `mgmt`, instead of waiting for its next turn, and is written. */
void sp_port_events_wake(struct sp_port_events *events, struct sp_mgmt *mgmt);

/*
 * Does what the events ask for: pauses a port, restarts its device (stop, reset, configure, start), gives back one that is taken away,
 * looks for those of absent ports and opens them: of one port in each call, so that whoever waits for the control thread gets a turn
 * between. The argument is a struct sp_port_events. Control thread; may wait tens of milliseconds for the workers and as long as a driver
 * for its device, a second when a PF does not answer, half a minute and more when some reset it; the mgmt's `working` is told of that.
 */
void sp_port_events_tick(void *events);

/* Listens no more, and frees. Before the mgmt it wakes, and the launch, are gone. NULL is nothing. */
void sp_port_events_end(struct sp_port_events *events);

#endif
