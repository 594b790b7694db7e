/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices by name. Virtual devices are made here, one by one, and not by EAL's --vdev: EAL gives up as a whole and does not say which one
 * failed.
 */
#include "vnf/device.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <rte_bus.h>
#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_pci.h>
#include <rte_vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rules/diag.h"
#include "vnf/eal.h"
#include "vnf/pci_devices.h"
#include "vnf/quirks.h"

static const char *const drivers[] = {
	"net_af_packet", "net_af_xdp", "net_tap", "net_pcap", "net_ring", "net_null", "net_memif", "net_virtio_user", "virtio_user"};

#define N_DRIVERS (sizeof(drivers) / sizeof(drivers[0]))

#define PCI_DEVICE_MAX 31 /* a bus has no more; DPDK's parser does not mind */

/* The text without what must not reach a log or whoever may only read: memif's secret, as often as it is given. */
static void hide_secrets(char *out, size_t size, const char *text)
{
	static const char name[] = "secret=";
	size_t n = 0;

	while (*text != '\0' && n + sizeof(name) + 3 < size) {
		if (strncmp(text, name, sizeof(name) - 1) == 0) {
			n += (size_t)snprintf(out + n, size - n, "%s...", name);
			text += strcspn(text, ",");
		} else {
			out[n++] = *text++;
		}
	}
	out[n] = '\0';
}

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
		snprintf(why, why_size, "device \"%.80s\" names no driver; did you mean \"%s\"?", out->shown, near);
	else
		snprintf(why, why_size,
			"device \"%.80s\" is neither a PCI address (0000:00:06.0), a MAC address, nor a DPDK vdev "
			"(net_af_packet0,iface=eth0)",
			out->shown);
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
	hide_secrets(device.shown, sizeof(device.shown), text);
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

/* Marks devices that are ports; only others are looked at by RTE_ETH_FOREACH_DEV. One of the process's few globals. */
static struct rte_eth_dev_owner ours = {.name = "sallyport"};

static void own(uint16_t ethdev)
{
	if (ours.id == RTE_ETH_DEV_NO_OWNER && rte_eth_dev_owner_new(&ours.id) != 0)
		return;
	rte_eth_dev_owner_set(ethdev, &ours);
}

/* Has DPDK open a PCI device; what it says about one that it does not open goes into said. */
static void probe(const char *address, char *said, size_t said_size)
{
	struct sp_eal_capture capture;

	/* DPDK looks for VFIO's module once, at its start; the module may have come since. */
	if (!rte_vfio_is_enabled("vfio_pci"))
		rte_vfio_enable("vfio_pci");
	sp_eal_capture_begin(&capture);
	rte_dev_probe(address);
	sp_eal_capture_end(&capture, said, said_size);
}

/* A device that DPDK cannot have, as the kernel's driver keeps it, or none has it. */
static void explain_unlent(const char *address, const char *driver, char *why, size_t why_size)
{
	if (sp_pci_has_iommu())
		snprintf(why, why_size,
			"PCI device %s is held by %s; give it to DPDK: `modprobe vfio-pci && driverctl --nosave set-override %s vfio-pci`",
			address, driver[0] != '\0' ? driver : "no driver", address);
	else
		snprintf(why, why_size,
			"PCI device %s is held by %s, and this machine has no IOMMU; give a VM one (libvirt: <iommu model='intel'/>, QEMU: "
			"-device "
			"intel-iommu), or do without: `modprobe uio_pci_generic && driverctl --nosave set-override %s uio_pci_generic` (or "
			"igb_uio)",
			address, driver[0] != '\0' ? driver : "no driver", address);
}

/* A device that DPDK may have, and that does not open. */
static void explain_unopened(const char *address, const char *driver, const char *said, char *why, size_t why_size)
{
	const struct sp_quirks *quirks = sp_quirks_of_kernel(driver);
	const char *check = "its whole IOMMU group is bound to vfio-pci, that /dev/vfio is readable";

	if (quirks != NULL && quirks->bind == SP_BIND_KERNEL)
		check = "mlx5_ib is loaded and /dev/infiniband is readable; the device stays with this driver";
	else if (strstr(driver, "uio") != NULL)
		check = "/dev/uio* is readable, that memory.huge is not false (without an IOMMU devices need physical addresses)";
	snprintf(why, why_size, "PCI device %s (%s) could not be opened%s%s; check that %s, and that no other process has it", address,
		driver, said[0] != '\0' ? ": " : "", said, check);
}

static int open_pci(const struct sp_device *device, uint16_t *ethdev, char *why, size_t why_size)
{
	char driver[SP_PCI_DRIVER_MAX], said[160];

	if (rte_eth_dev_get_port_by_name(device->name, ethdev) == 0)
		return 0;
	if (sp_pci_driver(device->name, driver) != 0) {
		snprintf(why, why_size, "there is no PCI network device %s; `lspci -D | grep -i eth` lists them", device->name);
		return -ENODEV;
	}
	if (!sp_pci_driver_lends(driver)) {
		explain_unlent(device->name, driver, why, why_size);
		return -ENODEV;
	}
	probe(device->name, said, sizeof(said));
	if (rte_eth_dev_get_port_by_name(device->name, ethdev) == 0)
		return 0;
	explain_unopened(device->name, driver, said, why, why_size);
	return -ENODEV;
}

/* Among the devices that DPDK has open and that are nobody's. */
static bool find_mac(const struct rte_ether_addr *wanted, uint16_t *ethdev)
{
	uint16_t port;

	RTE_ETH_FOREACH_DEV (port) {
		struct rte_ether_addr mac;

		if (rte_eth_macaddr_get(port, &mac) == 0 && rte_is_same_ether_addr(&mac, wanted)) {
			*ethdev = port;
			return true;
		}
	}
	return false;
}

/* A device tells its MAC only when it is open: those that can be are opened one by one. */
static int open_mac(const struct sp_device *device, uint16_t *ethdev, char *why, size_t why_size)
{
	char lent[SP_PCI_DEVICES_MAX][SP_PCI_NAME_MAX], said[160] = "";
	unsigned int n;
	uint16_t known;

	if (find_mac(&device->mac, ethdev))
		return 0;
	n = sp_pci_lent(lent, SP_PCI_DEVICES_MAX);
	for (unsigned int i = 0; i < n; i++) {
		if (rte_eth_dev_get_port_by_name(lent[i], &known) == 0)
			continue;
		probe(lent[i], said, sizeof(said));
		if (find_mac(&device->mac, ethdev))
			return 0;
	}
	snprintf(why, why_size,
		"none of the %u devices that DPDK may open has the MAC address %s%s%s%s; bind the one that has it to %s (`driverctl "
		"--nosave "
		"set-override ADDRESS %s`), or name its PCI address",
		n, device->name, said[0] != '\0' ? " (" : "", said, said[0] != '\0' ? ")" : "",
		sp_pci_has_iommu() ? "vfio-pci" : "uio_pci_generic", sp_pci_has_iommu() ? "vfio-pci" : "uio_pci_generic");
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
			said[0] != '\0' ? said : strerror(-rc), device->shown + RTE_MIN(strlen(device->shown), strlen(device->name) + 1));
	return -ENODEV;
}

/* --- whether it is there ------------------------------------------------------------------------------------------------------------ */

static uint64_t look(const struct sp_device *device)
{
	char interface[IF_NAMESIZE];

	if (device->kind == SP_DEVICE_PCI)
		return sp_pci_sight(device->name);
	if (device->kind == SP_DEVICE_MAC)
		return sp_pci_sight_all();
	if (!vdev_makes_interface(device->name) && vdev_interface(device->args, interface))
		return if_nametoindex(interface);
	return 1;
}

static uint64_t look_open(const struct sp_device *device, const char *bus_name)
{
	return device->kind == SP_DEVICE_MAC ? sp_pci_sight(bus_name) : look(device);
}

/* Whether there is a descriptor left: all looks take one, and see nothing without. */
static bool can_look(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

uint64_t sp_device_sight(const struct sp_device *device)
{
	uint64_t sight = look(device);

	if (sight != 0)
		return sight;
	return can_look() ? look(device) : SP_SIGHT_UNKNOWN;
}

uint64_t sp_device_sight_open(const struct sp_device *device, const char *bus_name)
{
	uint64_t sight = look_open(device, bus_name);

	if (sight != 0)
		return sight;
	return can_look() ? look_open(device, bus_name) : SP_SIGHT_UNKNOWN;
}

static int open_kind(const struct sp_device *device, uint16_t *ethdev, char *why, size_t why_size)
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

int sp_device_open(const struct sp_device *device, uint16_t *ethdev, char *why, size_t why_size)
{
	int rc = open_kind(device, ethdev, why, why_size);

	if (rc == 0)
		own(*ethdev);
	return rc;
}
