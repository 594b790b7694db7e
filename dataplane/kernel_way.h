/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way between workers and Linux: packets for the firewall itself go up into the TAP of the link that they came by, what Linux sends
 * comes down. The TAPs are the kernel thread's (mgmt/kernel); here are the rings to it, and the rates that keep a flood from reaching
 * Linux.
 */
#ifndef SP_DATAPLANE_KERNEL_WAY_H
#define SP_DATAPLANE_KERNEL_WAY_H

#include "dataplane/routing.h"
#include "dataplane/worker.h"

/* Whether one more packet of this kind may go up now: SP_DROP_NONE, or SP_DROP_ROUTE_SELF_RATE. */
enum sp_drop_reason sp_kernel_admit(struct sp_worker *worker, enum sp_self_class class);

/* Sends a frame up into a link's TAP, its VLAN tags taken off; owns the mbuf. A full ring drops it (queue_kernel). */
void sp_kernel_send_up(struct sp_worker *worker, uint16_t link, struct rte_mbuf *mbuf);

/* Worker 0: takes what Linux has sent and carries it through the stages. Returns packets handled. */
unsigned int sp_kernel_poll(struct sp_worker *worker);

/* Makes Linux's side of every link of dataplane->routing. 0 or -ENOMEM. Before workers run; freed with sp_kernel_ports_free. */
int sp_kernel_ports_make(struct sp_dataplane *dataplane);
void sp_kernel_ports_free(struct sp_dataplane *dataplane);

#endif
