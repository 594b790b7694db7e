/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is asked of a device before it starts: queues, RSS, offloads, MTU. What it refuses is asked for again, one thing at a time with
 * less, until it agrees.
 */
#ifndef SP_VNF_PORT_CONFIGURE_H
#define SP_VNF_PORT_CONFIGURE_H

#include "vnf/port.h"

/*
 * Chooses port->n_queues and n_tx_queues for n_workers by what the device says it has, and configures it. With less of them when that is
 * what the device wants. Sets port->mtu and port->rss. Each wish that is not met costs a line on stderr, the first time. 0, or -errno with
 * a sentence in why. The device is stopped; main or control thread.
 */
int sp_port_configure(
	struct sp_port *port, const struct sp_config_port *from, const struct sp_port_plan *plan, unsigned int n_workers, char *why);

/* The same with the queues that the port has, and hardly a word about what it has to do without: that was said before. */
int sp_port_configure_again(struct sp_port *port, const struct sp_config_port *from, const struct sp_port_plan *plan, char *why);

/*
 * The same with the next MTU below port->mtu that is worth trying, after a device has refused to start with this one. -ERANGE when there is
 * none, and nothing was done.
 */
int sp_port_configure_lower(struct sp_port *port, const struct sp_config_port *from, const struct sp_port_plan *plan, char *why);

/* The next lower MTU worth trying; 0: none. */
uint16_t sp_port_lower_mtu(uint16_t mtu);

/* "port NAME (DEVICE): ..." into why (SP_WHY_MAX). Returns rc when that is an error, else -EIO. */
int sp_port_fail(const struct sp_port *port, int rc, char *why, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* A warning about a port, one line on stderr. */
void sp_port_warn(const struct sp_port *port, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * The same, unless the port was warned of that in these words before: its device is opened and started again and again while it does not
 * run as it should. Main or control thread.
 */
void sp_port_warn_once(struct sp_port *port, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The key with which the Toeplitz hash is the same for both directions of a flow. */
#define SP_RSS_KEY_MAX 64
extern const uint8_t sp_rss_key[SP_RSS_KEY_MAX];

#endif
