/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices by name. Virtual devices are made here, one by one, and not by EAL's --vdev: EAL gives up as a whole and does not say which one
 * failed.
 */
#include "vnf/device.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <rte_bus_vdev.h>
#include <rte_ethdev.h>
#include <rte_pci.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rules/diag.h"
#include "vnf/eal.h"

static const char *const drivers[] = {
	"net_af_packet", "net_af_xdp", "net_tap", "net_pcap", "net_ring", "net_null", "net_memif", "net_virtio_user", "virtio_user"};

#define N_DRIVERS (sizeof(drivers) / sizeof(drivers[0]))

#define PCI_DEVICE_MAX 31 /* a bus has no more; DPDK's parser does not mind */

static int parse_vdev(const char *text, struct sp_device *out, char *why, size_t why_size)
{
	size_t name_len = strcspn(text, ",");
	size_t driver_len = name_len;
	const char *near;

	while (driver_len > 0 && text[driver_len - 1] >= '0' && text[driver_len - 1] <= '9')
		driver_len--;
	if (name_len >= sizeof(out->name)) {
		snprintf(why, why_size, "device name of %zu bytes; %zu are the most", name_len, sizeof(out->name) - 1);
		return -EINVAL;
	}
	for (size_t i = 0; i < N_DRIVERS; i++) {
		if (strlen(drivers[i]) != driver_len || memcmp(drivers[i], text, driver_len) != 0)
			continue;
		out->kind = SP_DEVICE_VDEV;
		snprintf(out->name, sizeof(out->name), "%.*s", (int)name_len, text);
		snprintf(out->args, sizeof(out->args), "%s", text[name_len] == ',' ? text + name_len + 1 : "");
		return 0;
	}
	near = sp_diag_nearest(text, driver_len, drivers, N_DRIVERS);
	if (near != NULL)
		snprintf(why, why_size, "device \"%.80s\" names no driver; did you mean \"%s\"?", text, near);
	else
		snprintf(why, why_size,
			"device \"%.80s\" is neither a PCI address (0000:00:06.0), a MAC address, nor a DPDK vdev "
			"(net_af_packet0,iface=eth0)",
			text);
	return -EINVAL;
}

int sp_device_parse(const char *text, struct sp_device *out, char *why, size_t why_size)
{
	struct sp_device device = {.kind = SP_DEVICE_NONE};
	struct rte_pci_addr pci;
	int rc = 0;

	if (strlen(text) >= sizeof(device.text)) {
		snprintf(why, why_size, "device text of %zu bytes; %zu are the most", strlen(text), sizeof(device.text) - 1);
		return -EINVAL;
	}
	snprintf(device.text, sizeof(device.text), "%s", text);
	if (rte_ether_unformat_addr(text, &device.mac) == 0) {
		if (!rte_is_valid_assigned_ether_addr(&device.mac)) {
			snprintf(why, why_size, "MAC address \"%s\" belongs to no device: it is zero, multicast or broadcast", text);
			return -EINVAL;
		}
		device.kind = SP_DEVICE_MAC;
		rte_ether_format_addr(device.name, sizeof(device.name), &device.mac);
	} else if (rte_pci_addr_parse(text, &pci) == 0 && pci.devid <= PCI_DEVICE_MAX) {
		device.kind = SP_DEVICE_PCI;
		rte_pci_device_name(&pci, device.name, sizeof(device.name));
	} else {
		rc = parse_vdev(text, &device, why, why_size);
	}
	if (rc == 0)
		*out = device;
	return rc;
}

/* --- finding ------------------------------------------------------------------------------------------------------------------- */

/* The name of the kernel driver that holds a PCI device, "" when none does, NULL when there is no such device. */
static const char *pci_driver(const char *address, char buf[PATH_MAX])
{
	char path[128];
	const char *slash;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
	if (access(path, F_OK) != 0)
		return NULL;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", address);
	n = readlink(path, buf, PATH_MAX - 1);
	if (n < 0)
		return "";
	buf[n] = '\0';
	slash = strrchr(buf, '/');
	return slash == NULL ? buf : slash + 1;
}

static int open_pci(const struct sp_device *device, uint16_t *ethdev, char *why, size_t why_size)
{
	char buf[PATH_MAX];
	const char *driver;

	if (rte_eth_dev_get_port_by_name(device->name, ethdev) == 0)
		return 0;
	driver = pci_driver(device->name, buf);
	if (driver == NULL)
		snprintf(why, why_size, "there is no PCI device %s; `lspci -D | grep -i eth` lists them", device->name);
	else if (strncmp(driver, "vfio", 4) != 0 && strstr(driver, "uio") == NULL)
		snprintf(why, why_size,
			"PCI device %s is held by %s; give it to DPDK: `modprobe vfio-pci && dpdk-devbind.py -b vfio-pci %s`", device->name,
			driver[0] != '\0' ? driver : "no driver", device->name);
	else
		snprintf(why, why_size,
			"PCI device %s (%s) could not be opened; check that its whole IOMMU group is bound to vfio-pci, that /dev/vfio is "
			"readable, "
			"and that no other process has it",
			device->name, driver);
	return -ENODEV;
}

static int open_mac(const struct sp_device *device, uint16_t *ethdev, char *why, size_t why_size)
{
	uint16_t port;

	RTE_ETH_FOREACH_DEV (port) {
		struct rte_ether_addr mac;

		if (rte_eth_macaddr_get(port, &mac) == 0 && rte_is_same_ether_addr(&mac, &device->mac)) {
			*ethdev = port;
			return 0;
		}
	}
	snprintf(why, why_size,
		"no device with the MAC address %s; bind it to vfio-pci (`dpdk-devbind.py -b vfio-pci ADDRESS`) or name its PCI address",
		device->name);
	return -ENODEV;
}

/* The value of `iface=` in vdev arguments, when there is one. */
static bool vdev_interface(const char *args, char out[IF_NAMESIZE])
{
	const char *at = args;

	while (at != NULL && strncmp(at, "iface=", 6) != 0) {
		at = strchr(at, ',');
		at = at == NULL ? NULL : at + 1;
	}
	if (at == NULL)
		return false;
	snprintf(out, IF_NAMESIZE, "%.*s", (int)strcspn(at + 6, ","), at + 6);
	return true;
}

static bool vdev_makes_interface(const char *name)
{
	return strncmp(name, "net_tap", 7) == 0 || strncmp(name, "net_virtio_user", 15) == 0 || strncmp(name, "virtio_user", 11) == 0;
}

static int open_vdev(const struct sp_device *device, uint16_t *ethdev, char *why, size_t why_size)
{
	struct sp_eal_capture capture;
	char interface[IF_NAMESIZE], said[256];
	int rc;

	if (!vdev_makes_interface(device->name) && vdev_interface(device->args, interface) && if_nametoindex(interface) == 0) {
		snprintf(why, why_size, "there is no network interface \"%s\"; `ip link` lists them", interface);
		return -ENODEV;
	}
	sp_eal_capture_begin(&capture);
	rc = rte_vdev_init(device->name, device->args);
	sp_eal_capture_end(&capture, said, sizeof(said));
	if (rc == 0)
		rc = rte_eth_dev_get_port_by_name(device->name, ethdev);
	if (rc == 0)
		return 0;
	if ((rc == -EPERM || rc == -EACCES || said[0] != '\0') && geteuid() != 0)
		snprintf(why, why_size, "%s could not be opened: this needs root, or CAP_NET_ADMIN and CAP_NET_RAW (%s)", device->name,
			said);
	else
		snprintf(why, why_size, "%s could not be opened (%s); check its arguments \"%s\"", device->name,
			said[0] != '\0' ? said : strerror(-rc), device->args);
	return -ENODEV;
}

int sp_device_open(const struct sp_device *device, uint16_t *ethdev, char *why, size_t why_size)
{
	switch (device->kind) {
	case SP_DEVICE_PCI:
		return open_pci(device, ethdev, why, why_size);
	case SP_DEVICE_MAC:
		return open_mac(device, ethdev, why, why_size);
	case SP_DEVICE_VDEV:
		return open_vdev(device, ethdev, why, why_size);
	default:
		snprintf(why, why_size, "no device is given");
		return -ENODEV;
	}
}
