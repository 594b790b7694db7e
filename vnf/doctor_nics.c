/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Facts of network devices on the PCI bus: what they are, who has them, what shares their IOMMU group.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <linux/netdevice.h>
#include <rte_ether.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vnf/doctor_facts.h"
#include "vnf/doctor_read.h"

#define CLASS_NETWORK   0x02
#define CLASS_BRIDGE    0x06
#define VENDOR_VIRTIO   0x1af4
#define VENDOR_MELLANOX 0x15b3
#define VFS_MAX         1024
#define MEMBERS_MAX     256 /* of an IOMMU group that are looked at */
#define PROCESSES_MAX   65536
#define FILES_MAX       4096   /* of a process */
#define ROUTE_REJECTS   0x0200 /* RTF_REJECT */
#define ROUTES_MAX      65536

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* In a guest a VF has no PF beside it, and only its number tells: the functions that are always virtual, and Linux's driver of each. */
static const struct {
	uint16_t vendor, device;
	const char *kernel;
} virtual_functions[] = {
	{0x8086, 0x10ca, "igbvf"},
	{0x8086, 0x152d, "igbvf"},
	{0x8086, 0x1520, "igbvf"},
	{0x8086, 0x152f, "igbvf"},
	{0x8086, 0x10ed, "ixgbevf"},
	{0x8086, 0x152e, "ixgbevf"},
	{0x8086, 0x1515, "ixgbevf"},
	{0x8086, 0x1530, "ixgbevf"},
	{0x8086, 0x1565, "ixgbevf"},
	{0x8086, 0x1564, "ixgbevf"},
	{0x8086, 0x15a8, "ixgbevf"},
	{0x8086, 0x15a9, "ixgbevf"},
	{0x8086, 0x15c5, "ixgbevf"},
	{0x8086, 0x15b4, "ixgbevf"},
	{0x8086, 0x57ad, "ixgbevf"},
	{0x8086, 0x154c, "iavf"},
	{0x8086, 0x1571, "iavf"},
	{0x8086, 0x37cd, "iavf"},
	{0x8086, 0x1889, "iavf"},
	{0x8086, 0x145c, "idpf"},
	{0x15b3, 0x1014, "mlx5_core"},
	{0x15b3, 0x1016, "mlx5_core"},
	{0x15b3, 0x1018, "mlx5_core"},
	{0x15b3, 0x101a, "mlx5_core"},
	{0x15b3, 0x101c, "mlx5_core"},
	{0x15b3, 0x101e, "mlx5_core"},
	{0x1d0f, 0x0ec2, "ena"},
	{0x1d0f, 0x1ec2, "ena"},
	{0x1d0f, 0xec20, "ena"},
	{0x1d0f, 0xec21, "ena"},
	{0x14e4, 0x1606, "bnxt_en"},
	{0x14e4, 0x1607, "bnxt_en"},
	{0x14e4, 0x1608, "bnxt_en"},
	{0x14e4, 0x1609, "bnxt_en"},
	{0x14e4, 0x16c1, "bnxt_en"},
	{0x14e4, 0x16c2, "bnxt_en"},
	{0x14e4, 0x16c3, "bnxt_en"},
	{0x14e4, 0x16c4, "bnxt_en"},
	{0x14e4, 0x16c5, "bnxt_en"},
	{0x14e4, 0x16cb, "bnxt_en"},
	{0x14e4, 0x16d3, "bnxt_en"},
	{0x14e4, 0x16dc, "bnxt_en"},
	{0x14e4, 0x16e1, "bnxt_en"},
	{0x14e4, 0x16e5, "bnxt_en"},
	{0x14e4, 0x16e6, "bnxt_en"},
	{0x14e4, 0x1806, "bnxt_en"},
	{0x14e4, 0x1807, "bnxt_en"},
	{0x14e4, 0x1808, "bnxt_en"},
	{0x14e4, 0x1809, "bnxt_en"},
	{0x14e4, 0x1819, "bnxt_en"},
};

static const char *kernel_of_vf(const struct sp_nic *nic)
{
	for (size_t i = 0; i < LENGTH(virtual_functions); i++)
		if (virtual_functions[i].vendor == nic->vendor && virtual_functions[i].device == nic->device)
			return virtual_functions[i].kernel;
	return NULL;
}

bool sp_driver_is_vfio(const char *driver)
{
	return strcmp(driver, "vfio-pci") == 0 || strcmp(driver, "mlx5_vfio_pci") == 0 || strcmp(driver, "ice-vfio-pci") == 0;
}

bool sp_driver_is_uio(const char *driver)
{
	return strcmp(driver, "uio_pci_generic") == 0 || strcmp(driver, "igb_uio") == 0;
}

bool sp_nic_is_bifurcated(const struct sp_nic *nic)
{
	return nic->vendor == VENDOR_MELLANOX;
}

bool sp_nic_is_busy(const struct sp_nic *nic)
{
	return nic->default_route || nic->master[0] != '\0';
}

struct sp_nic *sp_facts_nic(const struct sp_facts *facts, const char *pci)
{
	for (unsigned int i = 0; i < facts->n_nics; i++)
		if (strcmp(facts->nics[i].pci, pci) == 0)
			return &facts->nics[i];
	return NULL;
}

struct sp_nic *sp_facts_nic_of_mac(const struct sp_facts *facts, const uint8_t mac[6])
{
	for (unsigned int i = 0; i < facts->n_nics; i++)
		if (facts->nics[i].has_mac && memcmp(facts->nics[i].mac, mac, 6) == 0)
			return &facts->nics[i];
	for (unsigned int i = 0; i < facts->n_nics; i++)
		if (facts->nics[i].state.known && memcmp(facts->nics[i].state.mac, mac, 6) == 0)
			return &facts->nics[i];
	return NULL;
}

/* --- one device --------------------------------------------------------------------------------------------------------------------- */

static void read_interface(struct sp_nic *nic, const char *root, const char *folder, const char *name)
{
	struct rte_ether_addr mac;
	char line[32];

	snprintf(nic->netdev, sizeof(nic->netdev), "%.15s", name);
	sp_read_clean(nic->netdev);
	if (sp_read_line(root, line, sizeof(line), "%s/%s/address", folder, name) && rte_ether_unformat_addr(line, &mac) == 0) {
		memcpy(nic->mac, mac.addr_bytes, sizeof(nic->mac));
		nic->has_mac = true;
	}
	nic->random_mac = sp_read_number(root, 0, "%s/%s/addr_assign_type", folder, name) == NET_ADDR_RANDOM;
	nic->up = (sp_read_number(root, 0, "%s/%s/flags", folder, name) & IFF_UP) != 0;
	nic->carrier = sp_read_number(root, 0, "%s/%s/carrier", folder, name) == 1;
	sp_read_link(root, nic->master, sizeof(nic->master), "%s/%s/master", folder, name);
}

/* The interface of a device, which is below it or, of virtio, one deeper. */
static void find_interface(struct sp_nic *nic, const char *root)
{
	char path[512];
	DIR *folder;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/net", nic->pci);
	folder = sp_read_folder(root, "%s", path);
	if (folder == NULL) {
		DIR *device = sp_read_folder(root, "/sys/bus/pci/devices/%s", nic->pci);

		for (struct dirent *entry; device != NULL && (entry = readdir(device)) != NULL;)
			if (strncmp(entry->d_name, "virtio", 6) == 0 && sp_read_entry(entry, 32))
				snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s/net", nic->pci, entry->d_name);
		if (device != NULL)
			closedir(device);
		folder = sp_read_folder(root, "%s", path);
	}
	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL && nic->netdev[0] == '\0';)
		if (sp_read_entry(entry, IFNAMSIZ))
			read_interface(nic, root, path, entry->d_name);
	if (folder != NULL)
		closedir(folder);
}

static void read_group(struct sp_nic *nic, const char *root)
{
	char text[16], driver[32];
	unsigned int n = 0;
	bool strange;
	DIR *folder;

	nic->group = -1;
	if (!sp_read_link(root, text, sizeof(text), "/sys/bus/pci/devices/%s/iommu_group", nic->pci) || text[0] < '0' || text[0] > '9')
		return;
	nic->group = atoi(text);
	folder = sp_read_folder(root, "/sys/kernel/iommu_groups/%d/devices", nic->group);
	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL && n < MEMBERS_MAX; n++) {
		if (!sp_read_entry(entry, sizeof(nic->stranger)) || strcmp(entry->d_name, nic->pci) == 0)
			continue;
		if (sp_read_number(root, 0, "/sys/bus/pci/devices/%s/class", entry->d_name) >> 16 == CLASS_BRIDGE)
			continue;
		sp_read_link(root, driver, sizeof(driver), "/sys/bus/pci/devices/%s/driver", entry->d_name);
		/* A device without a driver does not keep the group from being given away. */
		strange = !sp_driver_is_vfio(driver) && driver[0] != '\0';
		if (nic->companions == 0 || (strange && nic->strangers == 0))
			snprintf(nic->stranger, sizeof(nic->stranger), "%.15s", entry->d_name);
		nic->companions++;
		nic->strangers += strange;
	}
	if (folder != NULL)
		closedir(folder);
	sp_read_clean(nic->stranger);
}

static enum sp_nic_kind kind_of(const struct sp_nic *nic)
{
	if (nic->vendor == VENDOR_VIRTIO)
		return SP_NIC_VIRTIO;
	if (nic->pf[0] != '\0')
		return SP_NIC_VF;
	if (kernel_of_vf(nic) != NULL)
		return SP_NIC_VF;
	return nic->total_vfs > 0 ? SP_NIC_PF : SP_NIC_NIC;
}

static unsigned int within(int64_t number, unsigned int max)
{
	return number < 0 ? 0 : number > max ? max : (unsigned int)number;
}

static void read_nic(struct sp_nic *nic, const char *root, const char *pci)
{
	memset(nic, 0, sizeof(*nic));
	snprintf(nic->pci, sizeof(nic->pci), "%.15s", pci);
	nic->vendor = (uint16_t)sp_read_number(root, 0, "/sys/bus/pci/devices/%s/vendor", pci);
	nic->device = (uint16_t)sp_read_number(root, 0, "/sys/bus/pci/devices/%s/device", pci);
	sp_read_link(root, nic->driver, sizeof(nic->driver), "/sys/bus/pci/devices/%s/driver", pci);
	if (sp_read_line(root, nic->override, sizeof(nic->override), "/sys/bus/pci/devices/%s/driver_override", pci) &&
		strcmp(nic->override, "(null)") == 0)
		nic->override[0] = '\0';
	nic->numa = (int)within(sp_read_number(root, -1, "/sys/bus/pci/devices/%s/numa_node", pci) + 1, 1024) - 1;
	nic->total_vfs = within(sp_read_number(root, 0, "/sys/bus/pci/devices/%s/sriov_totalvfs", pci), VFS_MAX);
	nic->vfs = within(sp_read_number(root, 0, "/sys/bus/pci/devices/%s/sriov_numvfs", pci), VFS_MAX);
	sp_read_link(root, nic->pf, sizeof(nic->pf), "/sys/bus/pci/devices/%s/physfn", pci);
	snprintf(nic->kernel, sizeof(nic->kernel), "%s",
		nic->driver[0] != '\0' && !sp_driver_is_vfio(nic->driver) && !sp_driver_is_uio(nic->driver) ? nic->driver
		: kernel_of_vf(nic) != NULL                                                                 ? kernel_of_vf(nic)
		: nic->vendor == VENDOR_VIRTIO                                                              ? "virtio-pci"
													    : "");
	nic->vf = -1;
	nic->kind = kind_of(nic);
	find_interface(nic, root);
	read_group(nic, root);
}

/* --- all --------------------------------------------------------------------------------------------------------------------------------
 */

static bool is_network(const char *root, const char *pci)
{
	return sp_read_number(root, 0, "/sys/bus/pci/devices/%s/class", pci) >> 16 == CLASS_NETWORK;
}

static int compare_nics(const void *a, const void *b)
{
	return strcmp(((const struct sp_nic *)a)->pci, ((const struct sp_nic *)b)->pci);
}

static void number_vfs(struct sp_facts *facts, const char *root)
{
	bool tool = sp_read_exists(root, "/usr/sbin/sallyport-vf");

	for (unsigned int i = 0; i < facts->n_nics; i++) {
		const struct sp_nic *pf = &facts->nics[i];

		/* A VM may be given a whole NIC, of which it makes no VFs: then it is one like any other, unless the tool for that is here.
		 */
		facts->host |= pf->vfs > 0 || pf->pf[0] != '\0' || (pf->total_vfs > 0 && tool);
		for (unsigned int n = 0; n < pf->vfs; n++) {
			struct sp_nic *vf;
			char pci[16];

			if (!sp_read_link(root, pci, sizeof(pci), "/sys/bus/pci/devices/%s/virtfn%u", pf->pci, n))
				continue;
			vf = sp_facts_nic(facts, pci);
			if (vf != NULL && strcmp(vf->pf, pf->pci) == 0)
				vf->vf = (int)n;
		}
	}
	facts->host |= facts->hypervisor[0] == '\0';
}

static void mark_route(struct sp_facts *facts, const char *netdev)
{
	for (unsigned int i = 0; i < facts->n_nics; i++)
		if (facts->nics[i].netdev[0] != '\0' && strcmp(facts->nics[i].netdev, netdev) == 0)
			facts->nics[i].default_route = true;
}

static void read_default_routes(struct sp_facts *facts, const char *root)
{
	FILE *file = sp_read_open(root, "/proc/net/route");
	char line[256], name[32], prefix[40];
	unsigned int to, bits, flags;

	for (unsigned int n = 0; file != NULL && n < ROUTES_MAX && fgets(line, sizeof(line), file) != NULL; n++)
		if (sscanf(line, "%31s %x", name, &to) == 2 && to == 0)
			mark_route(facts, name);
	if (file != NULL)
		fclose(file);
	file = sp_read_open(root, "/proc/net/ipv6_route");
	for (unsigned int n = 0; file != NULL && n < ROUTES_MAX && fgets(line, sizeof(line), file) != NULL; n++)
		if (sscanf(line, "%39s %x %*s %*x %*s %*x %*x %*x %x %31s", prefix, &bits, &flags, name) == 4 && bits == 0 &&
			strspn(prefix, "0") == strlen(prefix) && (flags & ROUTE_REJECTS) == 0)
			mark_route(facts, name);
	if (file != NULL)
		fclose(file);
}

static bool has_interface(const struct sp_facts *facts, const char *name)
{
	for (unsigned int i = 0; i < facts->n_nics; i++)
		if (strcmp(facts->nics[i].netdev, name) == 0)
			return true;
	return false;
}

static void count_others(struct sp_facts *facts, const char *root)
{
	DIR *folder = sp_read_folder(root, "/sys/class/net");

	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
		char bus[16];

		if (sp_read_entry(entry, IFNAMSIZ) && !has_interface(facts, entry->d_name) &&
			sp_read_link(root, bus, sizeof(bus), "/sys/class/net/%s/device/subsystem", entry->d_name) &&
			strcmp(bus, "pci") != 0 && facts->other_interfaces < SP_FACTS_NICS)
			facts->other_interfaces++;
	}
	if (folder != NULL)
		closedir(folder);
}

int sp_facts_nics(struct sp_facts *facts, const char *root)
{
	DIR *folder = sp_read_folder(root, "/sys/bus/pci/devices");

	facts->nics = calloc(SP_FACTS_NICS, sizeof(facts->nics[0]));
	if (facts->nics == NULL) {
		if (folder != NULL)
			closedir(folder);
		return -ENOMEM;
	}
	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
		if (!sp_read_entry(entry, sizeof(facts->nics[0].pci)) || !is_network(root, entry->d_name))
			continue;
		if (facts->n_nics == SP_FACTS_NICS)
			facts->more_nics++;
		else
			read_nic(&facts->nics[facts->n_nics++], root, entry->d_name);
	}
	if (folder != NULL)
		closedir(folder);
	qsort(facts->nics, facts->n_nics, sizeof(facts->nics[0]), compare_nics);
	number_vfs(facts, root);
	read_default_routes(facts, root);
	count_others(facts, root);
	return 0;
}

/* --- who has them -------------------------------------------------------------------------------------------------------------------- */

/* The names that a device has below /dev, by which a process opens it. */
struct handle {
	struct sp_nic *nic;
	char path[40];
};

struct handles {
	struct handle v[2 * SP_FACTS_NICS];
	unsigned int n;
};

static void add_handle(struct handles *handles, struct sp_nic *nic, const char *prefix, const char *name)
{
	struct handle *handle = &handles->v[handles->n];

	if (handles->n == LENGTH(handles->v))
		return;
	handle->nic = nic;
	if ((size_t)snprintf(handle->path, sizeof(handle->path), "%s%s", prefix, name) < sizeof(handle->path))
		handles->n++;
}

static void add_named(struct handles *handles, struct sp_nic *nic, const char *root, const char *below, const char *prefix)
{
	DIR *folder = sp_read_folder(root, "/sys/bus/pci/devices/%s/%s", nic->pci, below);

	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
		if (sp_read_entry(entry, 16))
			add_handle(handles, nic, prefix, entry->d_name);
	if (folder != NULL)
		closedir(folder);
}

static void list_handles(struct handles *handles, struct sp_facts *facts, const char *root)
{
	for (unsigned int i = 0; i < facts->n_nics; i++) {
		struct sp_nic *nic = &facts->nics[i];
		char group[16];

		if (sp_driver_is_vfio(nic->driver)) {
			snprintf(group, sizeof(group), "%d", nic->group);
			if (nic->group >= 0)
				add_handle(
					handles, nic, facts->noiommu && facts->n_iommus == 0 ? "/dev/vfio/noiommu-" : "/dev/vfio/", group);
			add_named(handles, nic, root, "vfio-dev", "/dev/vfio/devices/");
		} else if (sp_driver_is_uio(nic->driver)) {
			add_named(handles, nic, root, "uio", "/dev/");
		}
	}
}

static void look_at_files(const struct handles *handles, const char *root, int pid, const char *comm)
{
	DIR *folder = sp_read_folder(root, "/proc/%d/fd", pid);
	unsigned int n = 0;

	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL && n < FILES_MAX; n++) {
		char target[64];
		ssize_t got;

		got = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);
		if (got <= 0 || strncmp(target, "/dev/", got < 5 ? (size_t)got : 5) != 0)
			continue;
		target[got] = '\0';
		for (unsigned int h = 0; h < handles->n; h++) {
			if (strcmp(handles->v[h].path, target) != 0)
				continue;
			handles->v[h].nic->holder_pid = pid;
			snprintf(handles->v[h].nic->holder, sizeof(handles->v[h].nic->holder), "%s", comm);
		}
	}
	if (folder != NULL)
		closedir(folder);
}

static bool runs_firewall(const char *root, int pid, const char *comm)
{
	size_t size = 0;
	char *text;
	bool runs;

	if (strcmp(comm, "sallyport") != 0)
		return false;
	text = sp_read_all(root, 4096, &size, "/proc/%d/cmdline", pid);
	runs = text != NULL && strlen(text) + 1 < size && strcmp(text + strlen(text) + 1, "run") == 0;
	free(text);
	return runs;
}

void sp_facts_processes(struct sp_facts *facts, const char *root)
{
	struct handles *handles = calloc(1, sizeof(*handles));
	DIR *folder = sp_read_folder(root, "/proc");
	unsigned int n = 0;

	if (handles != NULL)
		list_handles(handles, facts, root);
	for (struct dirent *entry; handles != NULL && folder != NULL && (entry = readdir(folder)) != NULL && n < PROCESSES_MAX;) {
		char comm[32];
		int pid;

		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || !sp_read_entry(entry, 10))
			continue;
		n++;
		pid = atoi(entry->d_name);
		if (!sp_read_line(root, comm, sizeof(comm), "/proc/%d/comm", pid))
			continue;
		if (runs_firewall(root, pid, comm))
			facts->firewall_pid = pid;
		if (handles->n > 0)
			look_at_files(handles, root, pid, comm);
	}
	if (folder != NULL)
		closedir(folder);
	free(handles);
}
