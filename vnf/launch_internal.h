/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared by launch.c and launch_route.c.
 */
#ifndef SP_VNF_LAUNCH_INTERNAL_H
#define SP_VNF_LAUNCH_INTERNAL_H

#include "vnf/launch.h"

/* Index into dataplane->ports of the device that stands at config->ports[of]. */
uint16_t sp_launch_device_index(const struct sp_config *config, unsigned int of);

/* Route mode: links and tables. After the ports are open. 0, or -errno with a sentence in why. */
int sp_launch_routing(struct sp_launch *launch, const struct sp_config *config, char *why);

#endif
