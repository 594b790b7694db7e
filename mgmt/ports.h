/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports as the management side sees them: link state, what we counted, what the device counted. ethdev's control calls are not
 * thread-safe, so all of them that happen while the firewall runs are made here, under one lock.
 */
#ifndef SP_MGMT_PORTS_H
#define SP_MGMT_PORTS_H

#include "dataplane/dataplane.h"

struct sp_port_report {
	struct sp_port_counters counters; /* summed over the workers */
	bool link_up;
	bool has_device; /* the device answered; the misses below are known */
	uint64_t imissed, rx_nombuf, oerrors;
	const char *zone; /* of untagged frames; NULL: none */
};

/* Held by whoever makes control calls to a device while the firewall runs. A paused port is asked nothing but under it. */
void sp_ports_lock(void);
void sp_ports_unlock(void);

/* Any thread but a worker. */
void sp_port_report(const struct sp_dataplane *dataplane, unsigned int port, struct sp_port_report *out);

/*
 * Asks the port's device for its link and writes it to link_up, which stays as it is when the device does not say. Of a kernel's interface
 * the kernel is asked: its drivers call every link up. Main thread before there are others, else with the lock held; does not wait for a
 * link.
 */
void sp_port_read_link(struct sp_port *port);

/* Asks every device that is not paused for its link and writes it to link_up. Control thread; does not wait for a link. */
void sp_ports_watch(struct sp_dataplane *dataplane);

#endif
