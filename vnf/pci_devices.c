/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/pci_devices.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vnf/quirks.h"

#define DEVICES       "/sys/bus/pci/devices"
#define CLASS_NETWORK 0x02 /* the upper byte of three */
#define FNV_OFFSET    UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME     UINT64_C(0x100000001b3)

static bool is_network(const char *address)
{
	char path[320];
	unsigned int class = 0;
	FILE *file;

	snprintf(path, sizeof(path), DEVICES "/%s/class", address);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	if (fscanf(file, "%x", &class) != 1)
		class = 0;
	fclose(file);
	return class >> 16 == CLASS_NETWORK;
}

int sp_pci_driver(const char *address, char driver[SP_PCI_DRIVER_MAX])
{
	char path[320], target[PATH_MAX];
	const char *slash;
	ssize_t n;

	if (!is_network(address))
		return -ENODEV;
	snprintf(path, sizeof(path), DEVICES "/%s/driver", address);
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	slash = strrchr(target, '/');
	snprintf(driver, SP_PCI_DRIVER_MAX, "%.*s", SP_PCI_DRIVER_MAX - 1, slash == NULL ? target : slash + 1);
	return 0;
}

bool sp_pci_driver_lends(const char *driver)
{
	const struct sp_quirks *quirks;

	if (strcmp(driver, "vfio-pci") == 0 || strcmp(driver, "uio_pci_generic") == 0 || strcmp(driver, "igb_uio") == 0)
		return true;
	quirks = sp_quirks_of_kernel(driver);
	return quirks != NULL && quirks->bind == SP_BIND_KERNEL;
}

bool sp_pci_has_iommu(void)
{
	DIR *groups = opendir("/sys/kernel/iommu_groups");
	unsigned int n = 0;

	for (struct dirent *entry; groups != NULL && n == 0 && (entry = readdir(groups)) != NULL;)
		n += entry->d_name[0] != '.';
	if (groups != NULL)
		closedir(groups);
	return n > 0;
}

unsigned int sp_pci_lent(char (*addresses)[SP_PCI_NAME_MAX], unsigned int max)
{
	DIR *folder = opendir(DEVICES);
	char driver[SP_PCI_DRIVER_MAX];
	unsigned int n = 0;

	for (struct dirent *entry; folder != NULL && n < max && (entry = readdir(folder)) != NULL;) {
		size_t len = strlen(entry->d_name);

		if (entry->d_name[0] == '.' || len >= SP_PCI_NAME_MAX)
			continue;
		if (sp_pci_driver(entry->d_name, driver) == 0 && sp_pci_driver_lends(driver))
			memcpy(addresses[n++], entry->d_name, len + 1);
	}
	if (folder != NULL)
		closedir(folder);
	return n;
}

static uint64_t hash(uint64_t seed, const char *text)
{
	for (; *text != '\0'; text++)
		seed = (seed ^ (uint8_t)*text) * FNV_PRIME;
	return seed * FNV_PRIME;
}

uint64_t sp_pci_sight(const char *address)
{
	char driver[SP_PCI_DRIVER_MAX];

	if (sp_pci_driver(address, driver) != 0 || !sp_pci_driver_lends(driver))
		return 0;
	return hash(FNV_OFFSET, driver) | 1;
}

/* A sum: the order in which the folder is read says nothing. */
uint64_t sp_pci_sight_all(void)
{
	char addresses[SP_PCI_DEVICES_MAX][SP_PCI_NAME_MAX];
	unsigned int n = sp_pci_lent(addresses, SP_PCI_DEVICES_MAX);
	uint64_t sum = 0;

	for (unsigned int i = 0; i < n; i++)
		sum += hash(FNV_OFFSET, addresses[i]);
	return n > 0 ? sum | 1 : 0;
}
