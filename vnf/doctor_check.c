/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of findings, and what several checks share.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "vnf/doctor.h"

const char *const sp_level_names[SP_LEVELS] = {
	[SP_LEVEL_OK] = "ok", [SP_LEVEL_NOTE] = "note", [SP_LEVEL_WARNING] = "warning", [SP_LEVEL_ERROR] = "error"};

const char *const sp_topic_names[SP_TOPICS] = {
	[SP_TOPIC_CONFIG] = "Configuration",
	[SP_TOPIC_DEVICES] = "Network devices",
	[SP_TOPIC_IOMMU] = "IOMMU and VFIO",
	[SP_TOPIC_MEMORY] = "Memory",
	[SP_TOPIC_CPU] = "CPUs",
	[SP_TOPIC_BOOT] = "First boot",
};

struct sp_finding *sp_finding_add(
	struct sp_findings *findings, enum sp_topic topic, enum sp_level level, const char *id, const char *about, const char *fmt, ...)
{
	struct sp_finding *finding;
	va_list args;

	findings->count[level]++;
	if (findings->n == SP_FINDINGS_MAX) {
		findings->left_out++;
		return NULL;
	}
	finding = &findings->v[findings->n++];
	*finding = (struct sp_finding){.topic = topic, .level = level, .id = id};
	snprintf(finding->about, sizeof(finding->about), "%s", about);
	va_start(args, fmt);
	vsnprintf(finding->text, sizeof(finding->text), fmt, args);
	va_end(args);
	return finding;
}

void sp_finding_fix(struct sp_finding *finding, const char *fmt, ...)
{
	va_list args;

	if (finding == NULL)
		return;
	va_start(args, fmt);
	vsnprintf(finding->fix, sizeof(finding->fix), fmt, args);
	va_end(args);
}

void sp_finding_fix_kernel(const struct sp_facts *facts, struct sp_finding *finding, const char *name, const char *args)
{
	if (facts->update_grub)
		sp_finding_fix(finding,
			"echo 'GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX %s\"' >/etc/default/grub.d/80-%s.cfg && update-grub && reboot",
			args, name);
	else if (facts->grub_cfg)
		sp_finding_fix(finding, "sed -i '/^[[:space:]]*linux /s/$/ %s/' /boot/grub/grub.cfg && reboot", args);
	else
		sp_finding_fix(finding, "add to the kernel's command line and boot anew: %s", args);
}

struct sp_findings *sp_doctor_check(const struct sp_facts *facts)
{
	struct sp_findings *findings = calloc(1, sizeof(*findings));

	if (findings == NULL)
		return NULL;
	sp_doctor_check_config(facts, findings);
	sp_doctor_check_devices(facts, findings);
	sp_doctor_check_iommu(facts, findings);
	sp_doctor_check_memory(facts, findings);
	sp_doctor_check_cpu(facts, findings);
	sp_doctor_check_boot(facts, findings);
	return findings;
}

/* --- shared ------------------------------------------------------------------------------------------------------------------------- */

const struct sp_config_port *sp_doctor_port_of(const struct sp_facts *facts, const struct sp_nic *nic)
{
	const struct sp_config *config = facts->conf.config;

	for (unsigned int i = 0; config != NULL && i < config->n_ports; i++) {
		const struct sp_device *device = &config->ports[i].device;

		if (device->kind == SP_DEVICE_PCI && strcmp(device->name, nic->pci) == 0)
			return &config->ports[i];
		if (device->kind == SP_DEVICE_MAC && sp_facts_nic_of_mac(facts, device->mac.addr_bytes) == nic)
			return &config->ports[i];
	}
	return NULL;
}

const char *sp_doctor_driver_for(const struct sp_facts *facts, const struct sp_nic *nic)
{
	if (sp_nic_is_bifurcated(nic))
		return "mlx5_core";
	if (nic->group >= 0 || facts->noiommu)
		return "vfio-pci";
	return facts->modules[SP_MODULE_IGB_UIO] == SP_MODULE_LOADED ? "igb_uio" : "uio_pci_generic";
}

void sp_doctor_binding(char out[SP_BINDING_MAX], const char *driver, const struct sp_nic *nic)
{
	int used = snprintf(
		out, SP_BINDING_MAX, "modprobe %s && echo %s >/sys/bus/pci/devices/%s/driver_override && ", driver, driver, nic->pci);

	if (nic->driver[0] != '\0')
		used += snprintf(out + used, (size_t)(SP_BINDING_MAX - used), "echo %s >/sys/bus/pci/devices/%s/driver/unbind && ",
			nic->pci, nic->pci);
	snprintf(out + used, (size_t)(SP_BINDING_MAX - used), "echo %s >/sys/bus/pci/drivers_probe", nic->pci);
}

void sp_doctor_ranges(char *out, size_t size, unsigned int n, bool (*is)(const void *context, unsigned int i), const void *context)
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned int i = 0; i < n; i++) {
		unsigned int first = i;
		char range[32];
		size_t len;

		if (!is(context, i))
			continue;
		while (i + 1 < n && is(context, i + 1))
			i++;
		len = (size_t)snprintf(range, sizeof(range), first == i ? "%s%u" : "%s%u-%u", used > 0 ? "," : "", first, i);
		if (used + len + sizeof(",...") > size) {
			snprintf(out + used, size - used, ",...");
			return;
		}
		memcpy(out + used, range, len + 1);
		used += len;
	}
}
