/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether a port has a device that runs, and if not, why. The control thread writes it, any thread reads it.
 */
#ifndef SP_MGMT_PORT_STATE_H
#define SP_MGMT_PORT_STATE_H

#include <stddef.h>

#include "dataplane/dataplane.h"

extern const char *const sp_port_state_names[SP_PORT_STATES];

/* `why` says what is wrong and, after the first "; ", what to do; NULL for a port that runs. Control thread. */
void sp_port_state_set(struct sp_port *port, enum sp_port_state state, const char *why);

/* Any thread. */
enum sp_port_state sp_port_state(const struct sp_port *port);

/* The same, with why; "" when there is nothing to say. Any thread but a worker. */
enum sp_port_state sp_port_state_why(const struct sp_port *port, char why[SP_PORT_WHY_MAX]);

/* A port's link as it is reported: "up" or "down". Any thread. */
const char *sp_port_link_name(const struct sp_port *port);

#endif
