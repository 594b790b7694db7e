/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports as the management side sees them: link state, what we counted, what the device counted. ethdev's control calls to one device are
 * not thread-safe: while the firewall runs they are made under the lock of their port, which the control thread holds for as long as a
 * driver restarts its device, half a minute and more. Devices are opened and closed by the control thread alone.
 */
#ifndef SP_MGMT_PORTS_H
#define SP_MGMT_PORTS_H

#include "dataplane/dataplane.h"

struct sp_port_report {
	struct sp_port_counters counters; /* summed over the workers */
	bool link_up;
	bool has_device; /* the device was asked and answered: the misses below are known */
	uint64_t imissed, rx_nombuf, oerrors;
	const char *driver; /* of the device, by DPDK's name; NULL: not known. Static text */
	const char *zone;   /* of untagged frames; NULL: none */
};

/*
 * Held by whoever makes control calls to the port's device, and by who changes port->ethdev, while the firewall runs. It is the innermost
 * lock: no other lock of the firewall is taken while it is held, nor that of another port. sp_port_lock is for the control thread while it
 * holds no lock that other threads wait for; everybody else takes it soon, or does without: false after some milliseconds.
 */
void sp_port_lock(const struct sp_port *port);
bool sp_port_lock_soon(const struct sp_port *port);
void sp_port_unlock(const struct sp_port *port);

/* Any thread but a worker. Does not wait for a device that is being restarted or opened: has_device is false then. */
void sp_port_report(const struct sp_dataplane *dataplane, unsigned int port, struct sp_port_report *out);

/*
 * Asks the port's device for its link and writes it to link_up, which stays as it is when the device does not say. Of a kernel's interface
 * the kernel is asked: its drivers call every link up. Main thread before there are others, else with the port's lock held; does not wait
 * for a link.
 */
void sp_port_read_link(struct sp_port *port);

/* Asks every port that is not paused for its link and writes it to link_up. Control thread; waits neither for a link nor for a lock. */
void sp_ports_watch(struct sp_dataplane *dataplane);

#endif
