/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a port's `device` names: a PCI address, a MAC address, or a DPDK virtual device; and which ethdev that is.
 */
#ifndef SP_VNF_DEVICE_H
#define SP_VNF_DEVICE_H

#include <rte_ether.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sp_device_kind { SP_DEVICE_NONE, SP_DEVICE_PCI, SP_DEVICE_MAC, SP_DEVICE_VDEV };

struct sp_device {
	enum sp_device_kind kind;
	char text[256];            /* as configured: for DPDK only, since memif's holds a secret */
	char shown[384];           /* the same for people, without secrets */
	char name[64];             /* PCI: full address; vdev: name before the first comma; MAC: canonical text */
	char args[256];            /* vdev: what follows the first comma */
	struct rte_ether_addr mac; /* MAC only */
};

/* Parses the text. 0, or -EINVAL with a sentence in why. Needs no EAL. */
int sp_device_parse(const char *text, struct sp_device *out, char *why, size_t why_size);

/*
 * Brings the device to life (vdev), or finds it among those that DPDK has open, or opens it (PCI, MAC), and stores its ethdev port id; it
 * belongs to the caller then. 0, or -ENODEV with a sentence in why that says what to do. Control thread; may take as long as a driver
 * takes for its device.
 */
int sp_device_open(const struct sp_device *device, uint16_t *ethdev, char *why, size_t why_size);

#define SP_SIGHT_UNKNOWN UINT64_MAX /* there was no descriptor left to look with */

/*
 * A number that changes whenever what the device names comes, goes, or could be opened where it could not before; 0 when it is certainly
 * not there. Costs a look at sysfs, or a call about a network interface. Any thread of the process's network namespace.
 */
uint64_t sp_device_sight(const struct sp_device *device);

/* The same for one that is open, by what its bus calls it. */
uint64_t sp_device_sight_open(const struct sp_device *device, const char *bus_name);

#endif
