/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PCI network devices as sysfs shows them: which are there, and which of them DPDK may open. Any thread; each call reads a few small files.
 */
#ifndef SP_VNF_PCI_DEVICES_H
#define SP_VNF_PCI_DEVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SP_PCI_NAME_MAX    16 /* "0000:00:06.0" */
#define SP_PCI_DRIVER_MAX  64
#define SP_PCI_DEVICES_MAX 256 /* that a listing has at most */

/* The kernel driver that holds the network device, "" when none does, into driver. -ENODEV: there is no network device of this address. */
int sp_pci_driver(const char *address, char driver[SP_PCI_DRIVER_MAX]);

/* Whether DPDK can open what this driver holds: one that lends devices (vfio-pci, uio), or one beside which DPDK works. */
bool sp_pci_driver_lends(const char *driver);

/* Whether the kernel has an IOMMU in use. */
bool sp_pci_has_iommu(void);

/* Addresses of the network devices that DPDK can open; how many, at most max. */
unsigned int sp_pci_lent(char (*addresses)[SP_PCI_NAME_MAX], unsigned int max);

/* A number that changes when the device comes, goes or gets another driver; 0 when it cannot be opened. */
uint64_t sp_pci_sight(const char *address);

/* The same of all devices together. */
uint64_t sp_pci_sight_all(void);

#endif
