/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The chain that gives a device to a process: IOMMU, interrupt remapping, groups, VFIO or uio.
 */
#include <string.h>

#include "vnf/doctor.h"

static const char viommu[] = "in the VM's XML on the host (machine type q35):\n"
			     "<features>\n"
			     "  <ioapic driver='qemu'/>\n"
			     "</features>\n"
			     "<devices>\n"
			     "  <iommu model='intel'><driver intremap='on' caching_mode='on'/></iommu>\n"
			     "</devices>";

static bool is_word(const char *cmdline, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = cmdline; (at = strstr(at, word)) != NULL; at += len)
		if ((at == cmdline || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0' || at[len] == ','))
			return true;
	return false;
}

static bool is_amd(const struct sp_facts *facts)
{
	return facts->acpi_ivrs || (!facts->acpi_dmar && strstr(facts->cpu_model, "AMD") != NULL);
}

static const char *kind_of_iommu(const struct sp_facts *facts)
{
	return strncmp(facts->iommus, "dmar", 4) == 0 ? "Intel VT-d" : strncmp(facts->iommus, "ivhd", 4) == 0 ? "AMD-Vi" : "IOMMU";
}

/* Whether a device here needs what is checked: it is given to user space, or a port names it. */
static bool is_given(const struct sp_facts *facts, const struct sp_nic *nic)
{
	return sp_driver_is_vfio(nic->driver) || sp_driver_is_uio(nic->driver) || sp_doctor_port_of(facts, nic) != NULL;
}

static void check_off(const struct sp_facts *facts, struct sp_findings *findings)
{
	const char *off = is_word(facts->cmdline, "intel_iommu=off") ? "intel_iommu=off"
			  : is_word(facts->cmdline, "amd_iommu=off") ? "amd_iommu=off"
			  : is_word(facts->cmdline, "iommu=off")     ? "iommu=off"
								     : NULL;
	struct sp_finding *finding;

	if (off != NULL) {
		finding = sp_finding_add(findings, SP_TOPIC_IOMMU, SP_LEVEL_ERROR, "iommu-off", "IOMMU",
			"is switched off by %s on the kernel's command line: devices reach all memory, and VFIO takes none", off);
		sp_finding_fix(finding, "take %s out of %s, then: %sreboot", off,
			facts->update_grub ? "/etc/default/grub" : "/boot/grub/grub.cfg", facts->update_grub ? "update-grub && " : "");
		return;
	}
	finding = sp_finding_add(findings, SP_TOPIC_IOMMU, SP_LEVEL_ERROR, "iommu-off", "IOMMU",
		"is there (ACPI table %s), but not switched on: devices reach all memory, and VFIO takes none%s",
		is_amd(facts) ? "IVRS" : "DMAR",
		is_amd(facts) ? ". Linux leaves one off that it takes for faulty (dmesg | grep AMD-Vi): newer firmware may mend it" : "");
	sp_finding_fix_kernel(facts, finding, "iommu", is_amd(facts) ? "amd_iommu=force_enable iommu=pt" : "intel_iommu=on iommu=pt");
}

static void check_absent(const struct sp_facts *facts, struct sp_findings *findings)
{
	struct sp_finding *finding;

	if (facts->hypervisor[0] == '\0') {
		finding = sp_finding_add(findings, SP_TOPIC_IOMMU, SP_LEVEL_ERROR, "no-iommu", "IOMMU",
			"the firmware shows none: no VF can be passed to a VM");
		sp_finding_fix(finding, "switch VT-d (Intel) or AMD-Vi / IOMMU (AMD) on in the firmware's set-up");
		return;
	}
	finding = sp_finding_add(findings, SP_TOPIC_IOMMU, SP_LEVEL_WARNING, "no-iommu", "IOMMU",
		"this VM has none: its devices reach all of its memory, and need %s instead of vfio-pci",
		facts->modules[SP_MODULE_IGB_UIO] == SP_MODULE_LOADED ? "igb_uio" : "uio_pci_generic");
	sp_finding_fix(finding, "%s", viommu);
}

static void check_iommu(const struct sp_facts *facts, struct sp_findings *findings)
{
	if (facts->n_iommus > 0)
		sp_finding_add(findings, SP_TOPIC_IOMMU, SP_LEVEL_OK, "iommu", "IOMMU", "%s is on (%s), %u groups", kind_of_iommu(facts),
			facts->iommus, facts->n_groups);
	else if (facts->acpi_dmar || facts->acpi_ivrs)
		check_off(facts, findings);
	else
		check_absent(facts, findings);
}

static void check_remapping(const struct sp_facts *facts, struct sp_findings *findings)
{
	struct sp_finding *finding;

	if (facts->n_iommus == 0)
		return;
	if (facts->remapping) {
		finding = sp_finding_add(findings, SP_TOPIC_IOMMU, facts->unsafe_interrupts ? SP_LEVEL_NOTE : SP_LEVEL_OK, "remapping",
			"interrupts", "are remapped%s",
			facts->unsafe_interrupts ? ", so that allow_unsafe_interrupts need not be set" : "");
		if (facts->unsafe_interrupts)
			sp_finding_fix(finding, "echo N >/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts");
		return;
	}
	finding = sp_finding_add(findings, SP_TOPIC_IOMMU, facts->unsafe_interrupts ? SP_LEVEL_WARNING : SP_LEVEL_ERROR, "no-remapping",
		"interrupts", "are not remapped: %s",
		facts->unsafe_interrupts ? "a device can raise any (allow_unsafe_interrupts is set)" : "VFIO opens no device");
	if (is_word(facts->cmdline, "intremap=off") || is_word(facts->cmdline, "nointremap"))
		sp_finding_fix(finding, "take intremap=off out of the kernel's command line and boot anew");
	else if (facts->hypervisor[0] != '\0')
		sp_finding_fix(finding, "%s", viommu);
	else
		sp_finding_fix(finding, "switch x2APIC and interrupt remapping on in the firmware's set-up; less safe: "
					"echo 'options vfio_iommu_type1 allow_unsafe_interrupts=1' >/etc/modprobe.d/vfio.conf");
}

/* --- modules -------------------------------------------------------------------------------------------------------------------------- */

static void check_module(const struct sp_facts *facts, struct sp_findings *findings, enum sp_module module, enum sp_level level)
{
	const char *name = sp_module_names[module];
	struct sp_finding *finding;

	switch (facts->modules[module]) {
	case SP_MODULE_LOADED:
		sp_finding_add(findings, SP_TOPIC_IOMMU, SP_LEVEL_OK, "module", name, "is loaded");
		return;
	case SP_MODULE_AVAILABLE:
		finding = sp_finding_add(findings, SP_TOPIC_IOMMU, level, "module", name, "is not loaded");
		sp_finding_fix(finding, "modprobe %s && echo %s >/etc/modules-load.d/%s.conf", name, name, name);
		return;
	default:
		finding = sp_finding_add(
			findings, SP_TOPIC_IOMMU, level, "module", name, "this kernel (%s) does not have it", facts->release);
		sp_finding_fix(finding, "apt install linux-image-amd64 && reboot");
	}
}

static void check_modules(const struct sp_facts *facts, struct sp_findings *findings)
{
	bool needed = false;

	for (unsigned int i = 0; i < facts->n_nics; i++)
		needed |= is_given(facts, &facts->nics[i]) && !sp_nic_is_bifurcated(&facts->nics[i]);
	if (facts->n_iommus > 0 || facts->noiommu) {
		check_module(facts, findings, SP_MODULE_VFIO_PCI, needed ? SP_LEVEL_ERROR : SP_LEVEL_NOTE);
		if (facts->modules[SP_MODULE_VFIO_PCI] == SP_MODULE_LOADED)
			check_module(facts, findings, SP_MODULE_VFIO_TYPE1, SP_LEVEL_NOTE);
	} else if (!facts->host && !facts->acpi_dmar && !facts->acpi_ivrs && facts->modules[SP_MODULE_IGB_UIO] != SP_MODULE_LOADED) {
		check_module(facts, findings, SP_MODULE_UIO_GENERIC, needed ? SP_LEVEL_ERROR : SP_LEVEL_WARNING);
	}
}

static void check_noiommu(const struct sp_facts *facts, struct sp_findings *findings)
{
	struct sp_finding *finding;

	if (!facts->noiommu)
		return;
	finding = sp_finding_add(findings, SP_TOPIC_IOMMU, SP_LEVEL_WARNING, "noiommu", "VFIO",
		"no-IOMMU mode is on: devices that are opened so reach all memory");
	if (facts->n_iommus > 0)
		sp_finding_fix(finding, "echo N >/sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
	else
		sp_finding_fix(finding, "%s", viommu);
}

/* Secure Boot's lockdown lets VFIO work, but not what maps a device's registers by sysfs. */
static void check_lockdown(const struct sp_facts *facts, struct sp_findings *findings)
{
	if (facts->lockdown[0] == '\0' || strcmp(facts->lockdown, "none") == 0)
		return;
	for (unsigned int i = 0; i < facts->n_nics; i++) {
		const struct sp_nic *nic = &facts->nics[i];
		struct sp_finding *finding;

		if (!sp_driver_is_uio(nic->driver))
			continue;
		finding = sp_finding_add(findings, SP_TOPIC_IOMMU, SP_LEVEL_ERROR, "lockdown", nic->pci,
			"is bound to %s, but the kernel is locked down (%s) and lets no process map its registers", nic->driver,
			facts->lockdown);
		sp_finding_fix(finding, "switch Secure Boot off; or %s", viommu);
	}
}

/* --- groups ----------------------------------------------------------------------------------------------------------------------------
 */

/* A guest's remedy: the group's other one goes to user space, too, but only a network device that nothing shows to be in use. */
static void fix_shared(const struct sp_facts *facts, struct sp_finding *finding, const struct sp_nic *nic)
{
	const struct sp_nic *stranger = sp_facts_nic(facts, nic->stranger);
	char binding[SP_BINDING_MAX] = "";

	if (stranger != NULL && stranger->kind != SP_NIC_VIRTIO && !sp_nic_is_busy(stranger) && !sp_nic_is_bifurcated(stranger))
		sp_doctor_binding(binding, "vfio-pci", stranger);
	sp_finding_fix(finding, "in the VM's XML: a pcie-root-port of its own for each device%s%s",
		binding[0] != '\0' ? "; or here:\n" : "", binding);
}

static void check_groups(const struct sp_facts *facts, struct sp_findings *findings)
{
	unsigned int vfs = 0, alone = 0;

	for (unsigned int i = 0; i < facts->n_nics; i++) {
		const struct sp_nic *nic = &facts->nics[i];
		struct sp_finding *finding;

		if (nic->group < 0 || (nic->kind != SP_NIC_VF && !is_given(facts, nic)))
			continue;
		vfs++;
		alone += nic->companions == 0;
		if (nic->strangers > 0) {
			finding = sp_finding_add(findings, SP_TOPIC_IOMMU, is_given(facts, nic) ? SP_LEVEL_ERROR : SP_LEVEL_WARNING,
				"group-shared", nic->pci, "shares IOMMU group %d with %s%s, which the kernel uses: VFIO opens none of them",
				nic->group, nic->stranger, nic->strangers > 1 ? " and more" : "");
			if (facts->host)
				sp_finding_fix(finding,
					"put the card into a slot below a port with ACS, or switch ACS on in the firmware's set-up");
			else
				fix_shared(facts, finding, nic);
		} else if (nic->companions > 0) {
			sp_finding_add(findings, SP_TOPIC_IOMMU, SP_LEVEL_NOTE, "group-shared", nic->pci,
				"shares IOMMU group %d with %s%s: they go to one VM or process only, and reach each other", nic->group,
				nic->stranger, nic->companions > 1 ? " and more" : "");
		}
	}
	if (vfs > 0 && alone == vfs)
		sp_finding_add(findings, SP_TOPIC_IOMMU, SP_LEVEL_OK, "groups", "groups", "%u device%s, each alone in its group", vfs,
			vfs == 1 ? "" : "s");
}

void sp_doctor_check_iommu(const struct sp_facts *facts, struct sp_findings *findings)
{
	check_iommu(facts, findings);
	check_remapping(facts, findings);
	check_modules(facts, findings);
	check_noiommu(facts, findings);
	check_lockdown(facts, findings);
	check_groups(facts, findings);
}
