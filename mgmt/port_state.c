/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/port_state.h"

#include <pthread.h>
#include <stdio.h>

const char *const sp_port_state_names[SP_PORT_STATES] = {
	[SP_PORT_RUNNING] = "running", [SP_PORT_RESTARTING] = "restarting", [SP_PORT_ABSENT] = "absent"};

/* Of every port's `why`: held for a copy, never while a device is waited for. */
static pthread_mutex_t why_lock = PTHREAD_MUTEX_INITIALIZER;

void sp_port_state_set(struct sp_port *port, enum sp_port_state state, const char *why)
{
	pthread_mutex_lock(&why_lock);
	snprintf(port->why, sizeof(port->why), "%s", why != NULL ? why : "");
	__atomic_store_n(&port->state, state, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&why_lock);
}

enum sp_port_state sp_port_state(const struct sp_port *port)
{
	return __atomic_load_n(&port->state, __ATOMIC_RELAXED);
}

enum sp_port_state sp_port_state_why(const struct sp_port *port, char why[SP_PORT_WHY_MAX])
{
	enum sp_port_state state;

	pthread_mutex_lock(&why_lock);
	snprintf(why, SP_PORT_WHY_MAX, "%s", port->why);
	state = sp_port_state(port);
	pthread_mutex_unlock(&why_lock);
	return state;
}

const char *sp_port_link_name(const struct sp_port *port)
{
	return __atomic_load_n(&port->link_up, __ATOMIC_RELAXED) != 0 ? "up" : "down";
}
