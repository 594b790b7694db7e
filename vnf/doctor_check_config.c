/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration, its rules, and whether the devices that it names are here and free. And what cloud-init made of its seed.
 */
#include <string.h>

#include "vnf/doctor.h"
#include "vnf/quirks.h"

#define DIAGS_SHOWN 16 /* of one file */

static void check_diags(struct sp_findings *findings, const struct sp_diags *diags, const char *id, const char *path)
{
	for (size_t i = 0; i < diags->n && i < DIAGS_SHOWN; i++) {
		const struct sp_diag *diag = &diags->v[i];
		enum sp_level level = diag->level == SP_DIAG_ERROR ? SP_LEVEL_ERROR : SP_LEVEL_WARNING;
		const char *slash = diag->file != NULL ? strrchr(diag->file, '/') : NULL;
		struct sp_finding *finding;
		char about[64];

		snprintf(about, sizeof(about), "%s:%d", slash != NULL ? slash + 1 : diag->file != NULL ? diag->file : "file", diag->line);
		finding = sp_finding_add(findings, SP_TOPIC_CONFIG, level, id, about, "%s", diag->text);
		if (level == SP_LEVEL_ERROR)
			sp_finding_fix(finding, "mend %s, then: sallyport check %s && systemctl restart sallyport",
				diag->file != NULL ? diag->file : path, path);
	}
	if (diags->n > DIAGS_SHOWN)
		sp_finding_add(findings, SP_TOPIC_CONFIG, diags->errors > 0 ? SP_LEVEL_ERROR : SP_LEVEL_WARNING, id, path,
			"%zu more; `sallyport check %s` tells all", diags->n - DIAGS_SHOWN, path);
}

static void check_files(const struct sp_facts *facts, struct sp_findings *findings)
{
	const struct sp_facts_config *conf = &facts->conf;
	struct sp_finding *finding;

	check_diags(findings, &conf->diags, "config", conf->path);
	if (conf->config == NULL)
		return;
	if (!conf->has_rules) {
		finding = sp_finding_add(findings, SP_TOPIC_CONFIG, SP_LEVEL_ERROR, "no-rules", "rules",
			"%s is not here: everything is dropped", conf->rules);
		sp_finding_fix(finding,
			"printf 'version = 1;\\ndefault = { action = \"drop\"; log = true; };\\nrules = ( );\\n' >%s && systemctl restart "
			"sallyport # examples: /usr/share/doc/sallyport/rules",
			conf->rules);
		return;
	}
	check_diags(findings, &conf->rule_diags, "rules", conf->rules);
	if (conf->diags.errors == 0 && conf->rule_diags.errors == 0)
		sp_finding_add(findings, SP_TOPIC_CONFIG, SP_LEVEL_OK, "config", "files", "%s mode, %u port%s, %zu rule%s in %s",
			conf->config->mode == SP_MODE_ROUTE ? "route" : "wire", conf->config->n_ports,
			conf->config->n_ports == 1 ? "" : "s", conf->n_rules, conf->n_rules == 1 ? "" : "s", conf->rules);
}

/* --- devices of ports --------------------------------------------------------------------------------------------------------------- */

static void fix_by_binding(struct sp_finding *finding, const struct sp_facts *facts, const struct sp_nic *nic)
{
	char binding[SP_BINDING_MAX];

	sp_doctor_binding(binding, sp_doctor_driver_for(facts, nic), nic);
	sp_finding_fix(finding, "%s", binding);
}

static void check_binding(
	const struct sp_facts *facts, struct sp_findings *findings, const struct sp_config_port *port, const struct sp_nic *nic)
{
	const char *wanted = sp_doctor_driver_for(facts, nic);
	bool vfio = sp_driver_is_vfio(nic->driver), uio = sp_driver_is_uio(nic->driver);
	struct sp_finding *finding;

	if (sp_nic_is_bifurcated(nic) ? strcmp(nic->driver, wanted) != 0 : !vfio && !uio) {
		finding = sp_finding_add(findings, SP_TOPIC_CONFIG, SP_LEVEL_ERROR, "not-bound", port->name,
			"%s is %s%s, but DPDK needs it bound to %s%s", nic->pci, nic->driver[0] != '\0' ? "held by the kernel's " : "",
			nic->driver[0] != '\0' ? nic->driver : "without a driver", wanted,
			sp_nic_is_busy(nic) ? "; Linux itself uses it: is it the right device?" : "");
		fix_by_binding(finding, facts, nic);
	} else if (vfio && nic->group < 0 && !facts->noiommu) {
		finding = sp_finding_add(findings, SP_TOPIC_CONFIG, SP_LEVEL_ERROR, "vfio-without-iommu", port->name,
			"%s is bound to %s, which opens nothing without an IOMMU", nic->pci, nic->driver);
		fix_by_binding(finding, facts, nic);
	} else if (nic->holder_pid != 0 && nic->holder_pid != facts->firewall_pid) {
		finding = sp_finding_add(findings, SP_TOPIC_CONFIG, SP_LEVEL_ERROR, "held", port->name,
			"%s is open in another process, %s (%d)", nic->pci, nic->holder, nic->holder_pid);
		sp_finding_fix(finding, "kill %d", nic->holder_pid);
	} else {
		sp_finding_add(findings, SP_TOPIC_CONFIG, SP_LEVEL_OK, "device", port->name, "%s, %s%s", nic->pci, nic->driver,
			nic->holder_pid != 0 ? ", in use by the firewall" : "");
	}
}

/* Devices that could be what a port names but does not find: given to user space, and named by no port. */
static unsigned int count_free(const struct sp_facts *facts, const struct sp_nic **first)
{
	unsigned int n = 0;

	for (unsigned int i = facts->n_nics; i-- > 0;) {
		const struct sp_nic *nic = &facts->nics[i];

		if ((nic->kind == SP_NIC_PF && facts->host) || sp_nic_is_busy(nic) || sp_doctor_port_of(facts, nic) != NULL ||
			(nic->kind == SP_NIC_VIRTIO && !sp_driver_is_vfio(nic->driver) && !sp_driver_is_uio(nic->driver)))
			continue;
		*first = nic;
		n++;
	}
	return n;
}

/* A MAC address shows of a device that Linux has or whose PF is here; of what user space has it does not. */
static unsigned int count_hidden(const struct sp_facts *facts)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < facts->n_nics; i++) {
		const struct sp_nic *nic = &facts->nics[i];

		n += !nic->has_mac && !nic->state.known && (sp_driver_is_vfio(nic->driver) || sp_driver_is_uio(nic->driver)) &&
		     sp_doctor_port_of(facts, nic) == NULL;
	}
	return n;
}

/* hidden: devices that may be what a MAC address names, each of one port. */
static void check_absent(
	const struct sp_facts *facts, struct sp_findings *findings, const struct sp_config_port *port, unsigned int *hidden)
{
	const struct sp_nic *other = NULL;
	unsigned int n_free = count_free(facts, &other);
	struct sp_finding *finding;

	if (port->device.kind == SP_DEVICE_MAC && *hidden > 0) {
		--*hidden;
		sp_finding_add(findings, SP_TOPIC_CONFIG, SP_LEVEL_NOTE, "mac-hidden", port->name,
			"%s: no interface has this address; a device that is already given to DPDK shows its own only to the firewall",
			port->device.name);
		return;
	}
	finding = sp_finding_add(findings, SP_TOPIC_CONFIG, SP_LEVEL_ERROR, "no-device", port->name, "there is no network device %s%s",
		port->device.name, n_free > 0 ? "" : ", nor another that is free");
	if (n_free > 0)
		sp_finding_fix(finding, "in %s, line %d: device = \"%s\";", facts->conf.path, port->line, other->pci);
	else
		sp_finding_fix(finding, "give the VM the VF, or correct %s, line %d: `lspci -D` lists what there is", facts->conf.path,
			port->line);
}

/* In wire mode a port takes frames for others, which not every VF is given. */
static void check_wire(
	const struct sp_facts *facts, struct sp_findings *findings, const struct sp_config_port *port, const struct sp_nic *nic)
{
	const struct sp_quirks *quirks = nic->kernel[0] != '\0' ? sp_quirks_of_kernel(nic->kernel) : NULL;
	struct sp_finding *finding;

	if (facts->conf.config->mode != SP_MODE_WIRE || quirks == NULL || quirks->promiscuous != SP_PROMISC_NO)
		return;
	finding = sp_finding_add(findings, SP_TOPIC_CONFIG, SP_LEVEL_WARNING, "wire-deaf", port->name,
		"a device of %s is given no frames for others, whatever its PF allows: a wire cannot end here", nic->kernel);
	sp_finding_fix(finding, "in %s: mode = \"route\"; and no peer in its ports", facts->conf.path);
}

static void check_ports(const struct sp_facts *facts, struct sp_findings *findings)
{
	const struct sp_config *config = facts->conf.config;
	unsigned int hidden = count_hidden(facts);

	for (unsigned int i = 0; config != NULL && i < config->n_ports; i++) {
		const struct sp_config_port *port = &config->ports[i];
		const struct sp_nic *nic;

		if (port->device.kind != SP_DEVICE_PCI && port->device.kind != SP_DEVICE_MAC)
			continue;
		nic = port->device.kind == SP_DEVICE_PCI ? sp_facts_nic(facts, port->device.name)
							 : sp_facts_nic_of_mac(facts, port->device.mac.addr_bytes);
		if (nic == NULL) {
			check_absent(facts, findings, port, &hidden);
			continue;
		}
		check_binding(facts, findings, port, nic);
		check_wire(facts, findings, port, nic);
	}
}

void sp_doctor_check_config(const struct sp_facts *facts, struct sp_findings *findings)
{
	const struct sp_facts_config *conf = &facts->conf;
	struct sp_finding *finding;

	if (!conf->there && conf->diags.errors == 0) {
		if (facts->host)
			return; /* a host needs none */
		finding = sp_finding_add(findings, SP_TOPIC_CONFIG, SP_LEVEL_ERROR, "no-config", "files",
			"there is no %s: the firewall has no ports", conf->path);
		sp_finding_fix(finding, "sallyport doctor --conf >%s && systemctl restart sallyport", conf->path);
		return;
	}
	check_files(facts, findings);
	check_ports(facts, findings);
	if (conf->n_down > 0) {
		finding = sp_finding_add(findings, SP_TOPIC_CONFIG, SP_LEVEL_WARNING, "interface-down", conf->down,
			"its interface in Linux is down%s: the port carries nothing", conf->n_down > 1 ? ", and others too" : "");
		sp_finding_fix(finding, "ip link set %s up", conf->down);
	}
	if (facts->firewall_pid != 0) {
		sp_finding_add(findings, SP_TOPIC_CONFIG, SP_LEVEL_OK, "running", "firewall", "runs (process %d)", facts->firewall_pid);
	} else if (conf->config != NULL) {
		finding = sp_finding_add(
			findings, SP_TOPIC_CONFIG, SP_LEVEL_WARNING, "not-running", "firewall", "does not run: nothing passes");
		sp_finding_fix(finding, "systemctl restart sallyport; journalctl -u sallyport -n 20");
	}
}

/* --- first boot ----------------------------------------------------------------------------------------------------------------------- */

static void check_seed(const struct sp_facts_cloud *cloud, struct sp_findings *findings)
{
	static const char again[] = "mend the seed, then: cloud-init schema --system; cloud-init clean --logs && reboot";
	struct sp_finding *finding;

	if (cloud->n_errors > 0) {
		finding = sp_finding_add(findings, SP_TOPIC_BOOT, SP_LEVEL_ERROR, "seed", "cloud-init", "%u error%s: %s", cloud->n_errors,
			cloud->n_errors == 1 ? "" : "s", cloud->error);
		sp_finding_fix(finding, "%s", again);
	} else if (cloud->n_warnings > 0) {
		finding = sp_finding_add(findings, SP_TOPIC_BOOT, SP_LEVEL_WARNING, "seed", "cloud-init", "%u complaint%s: %s",
			cloud->n_warnings, cloud->n_warnings == 1 ? "" : "s", cloud->warning);
		sp_finding_fix(finding, "%s", again);
	} else if (cloud->disabled && cloud->seeded) {
		sp_finding_add(findings, SP_TOPIC_BOOT, SP_LEVEL_OK, "seed", "cloud-init", "done at an earlier boot; there is no seed now");
	} else if (cloud->disabled || strncmp(cloud->datasource, "DataSourceNone", 14) == 0) {
		finding = sp_finding_add(
			findings, SP_TOPIC_BOOT, SP_LEVEL_NOTE, "no-seed", "cloud-init", "found no seed: no SSH key and no rules of yours");
		sp_finding_fix(
			finding, "give the VM a NoCloud seed (a disk labelled cidata with user-data and meta-data), and start it again");
	} else if (!cloud->done) {
		sp_finding_add(findings, SP_TOPIC_BOOT, SP_LEVEL_NOTE, "seed", "cloud-init", "is still at work");
	} else {
		sp_finding_add(findings, SP_TOPIC_BOOT, SP_LEVEL_OK, "seed", "cloud-init", "done from %s",
			cloud->datasource[0] != '\0' ? cloud->datasource : "a seed");
	}
}

void sp_doctor_check_boot(const struct sp_facts *facts, struct sp_findings *findings)
{
	const struct sp_facts_cloud *cloud = &facts->cloud;

	if (cloud->there || cloud->done || cloud->disabled)
		check_seed(cloud, findings);
	for (size_t i = 0; i < sizeof(cloud->notes) / sizeof(cloud->notes[0]) && cloud->notes[i][0] != '\0'; i++)
		sp_finding_add(findings, SP_TOPIC_BOOT, SP_LEVEL_NOTE, "boot", "boot", "%s", cloud->notes[i]);
}
