/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Network devices. On a host: PFs, and how they treat their VFs. In a guest: the VFs that it was given.
 */
#include <linux/if_link.h>
#include <string.h>

#include "vnf/doctor.h"

/* VFs of one PF, to be told together: what 64 of them have in common is one finding. */
struct vf_set {
	const struct sp_facts *facts;
	const struct sp_nic *pf;
	bool (*is)(const struct sp_facts *facts, const struct sp_nic *vf);
};

static const struct sp_nic *find_vf(const struct vf_set *set, unsigned int number)
{
	for (unsigned int i = 0; i < set->facts->n_nics; i++) {
		const struct sp_nic *nic = &set->facts->nics[i];

		if (nic->vf == (int)number && strcmp(nic->pf, set->pf->pci) == 0)
			return nic;
	}
	return NULL;
}

static bool in_set(const void *context, unsigned int number)
{
	const struct vf_set *set = context;
	const struct sp_nic *vf = find_vf(set, number);

	return vf != NULL && set->is(set->facts, vf);
}

static unsigned int count(const struct vf_set *set)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < set->pf->vfs; i++)
		n += in_set(set, i);
	return n;
}

/* The numbers as words of a shell's `for`. */
static void write_words(char *out, size_t size, const struct vf_set *set)
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned int i = 0; i < set->pf->vfs && used + 40 < size; i++) {
		unsigned int first = i;

		if (!in_set(set, i))
			continue;
		while (i + 1 < set->pf->vfs && in_set(set, i + 1))
			i++;
		if (first == i)
			used += (size_t)snprintf(out + used, size - used, "%s%u", used > 0 ? " " : "", first);
		else
			used += (size_t)snprintf(out + used, size - used, "%s$(seq %u %u)", used > 0 ? " " : "", first, i);
	}
}

/* `ip link set PF vf N ...` for each of the set. A MAC address is made of the PF's: of each VF another one, and local. */
static void fix_each(struct sp_finding *finding, const struct vf_set *set, const char *what)
{
	const uint8_t *mac = set->pf->mac;
	unsigned int n = count(set), only = 0;
	char words[400], value[40] = "";

	while (n == 1 && !in_set(set, only))
		only++;
	if (strcmp(what, "mac") == 0 && n == 1)
		snprintf(value, sizeof(value), " 02:%02x:%02x:%02x:%02x:%02x", mac[2], mac[3], mac[4], mac[5], only & 0xff);
	else if (strcmp(what, "mac") == 0)
		snprintf(value, sizeof(value), " 02:%02x:%02x:%02x:%02x:$(printf %%02x $v)", mac[2], mac[3], mac[4], mac[5]);
	if (n == 1) {
		sp_finding_fix(finding, "ip link set %s vf %u %s%s", set->pf->netdev, only, what, value);
		return;
	}
	write_words(words, sizeof(words), set);
	sp_finding_fix(finding, "for v in %s; do ip link set %s vf $v %s%s; done", words, set->pf->netdev, what, value);
}

static bool has_no_mac(const struct sp_facts *facts, const struct sp_nic *vf)
{
	static const uint8_t zero[6];

	(void)facts;
	return vf->state.known && memcmp(vf->state.mac, zero, sizeof(zero)) == 0;
}

static bool is_untrusted(const struct sp_facts *facts, const struct sp_nic *vf)
{
	(void)facts;
	return vf->state.known && vf->state.has_trust && !vf->state.trust;
}

static bool is_spoof_checked(const struct sp_facts *facts, const struct sp_nic *vf)
{
	(void)facts;
	return vf->state.known && vf->state.has_spoofchk && vf->state.spoofchk;
}

static bool is_cut(const struct sp_facts *facts, const struct sp_nic *vf)
{
	(void)facts;
	return vf->state.known && vf->state.link == IFLA_VF_LINK_STATE_DISABLE;
}

static bool is_tagged(const struct sp_facts *facts, const struct sp_nic *vf)
{
	(void)facts;
	return vf->state.known && vf->state.vlan != 0;
}

static bool is_limited(const struct sp_facts *facts, const struct sp_nic *vf)
{
	(void)facts;
	return vf->state.known && vf->state.rate != 0;
}

/* Another VF of any PF has the same address: no switch can tell them apart. */
static bool has_twin(const struct sp_facts *facts, const struct sp_nic *vf)
{
	if (!vf->state.known || has_no_mac(facts, vf))
		return false;
	for (unsigned int i = 0; i < facts->n_nics; i++) {
		const struct sp_nic *other = &facts->nics[i];

		if (other != vf && other->state.known && memcmp(other->state.mac, vf->state.mac, 6) == 0)
			return true;
	}
	return false;
}

/* Not given away, but free to be: Linux has an interface of the VF, by which this machine does not live. */
static bool is_kept(const struct sp_facts *facts, const struct sp_nic *vf)
{
	(void)facts;
	return vf->driver[0] != '\0' && !sp_driver_is_vfio(vf->driver) && !sp_driver_is_uio(vf->driver) && !sp_nic_is_bifurcated(vf) &&
	       !sp_nic_is_busy(vf);
}

/* What wire mode makes of a VF that a port here uses; routed mode does not mind. */
static bool wires(const struct sp_facts *facts, const struct vf_set *set)
{
	if (facts->conf.config == NULL || facts->conf.config->mode != SP_MODE_WIRE)
		return false;
	for (unsigned int i = 0; i < set->pf->vfs; i++) {
		const struct sp_nic *vf = find_vf(set, i);

		if (vf != NULL && set->is(facts, vf) && sp_doctor_port_of(facts, vf) != NULL)
			return true;
	}
	return false;
}

static void check_sets(const struct sp_facts *facts, struct sp_findings *findings, const struct sp_nic *pf)
{
	static const struct {
		bool (*is)(const struct sp_facts *, const struct sp_nic *);
		const char *id, *text, *what; /* what: for `ip link set PF vf N`; NULL: nothing to mend */
		enum sp_level level, wire_level;
	} sets[] = {
		{has_twin, "vf-same-mac", "have a MAC address that another VF has, too", "mac", SP_LEVEL_ERROR, SP_LEVEL_ERROR},
		{is_cut, "vf-link-off", "have their link switched off by the PF", "state auto", SP_LEVEL_WARNING, SP_LEVEL_ERROR},
		{has_no_mac, "vf-no-mac", "have no MAC address from the PF: the guest's is random, and another at each start", "mac",
			SP_LEVEL_WARNING, SP_LEVEL_WARNING},
		{is_spoof_checked, "vf-spoofchk",
			"drop what has a foreign source MAC (spoof check): right in routed mode, not in wire mode", "spoofchk off",
			SP_LEVEL_NOTE, SP_LEVEL_ERROR},
		{is_untrusted, "vf-untrusted",
			"are not trusted (no foreign MACs, no promiscuous mode): right in routed mode, not in wire mode", "trust on",
			SP_LEVEL_NOTE, SP_LEVEL_WARNING},
		{is_tagged, "vf-vlan", "are in a VLAN that the PF adds and takes off; the guest sees no tag", NULL, SP_LEVEL_NOTE,
			SP_LEVEL_NOTE},
		{is_limited, "vf-rate", "may send at a limited rate only", NULL, SP_LEVEL_NOTE, SP_LEVEL_NOTE},
	};

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		struct vf_set set = {.facts = facts, .pf = pf, .is = sets[i].is};
		struct sp_finding *finding;
		char numbers[80];

		if (count(&set) == 0)
			continue;
		sp_doctor_ranges(numbers, sizeof(numbers), pf->vfs, in_set, &set);
		finding = sp_finding_add(findings, SP_TOPIC_DEVICES, wires(facts, &set) ? sets[i].wire_level : sets[i].level, sets[i].id,
			pf->netdev, "VF %s %s", numbers, sets[i].text);
		if (sets[i].what != NULL)
			fix_each(finding, &set, sets[i].what);
	}
}

/* --- a host --------------------------------------------------------------------------------------------------------------------------- */

static void check_held(const struct sp_facts *facts, struct sp_findings *findings, const struct sp_nic *pf)
{
	struct vf_set set = {.facts = facts, .pf = pf, .is = is_kept};
	struct sp_finding *finding;
	char numbers[80], words[400];

	if (count(&set) == 0)
		return;
	sp_doctor_ranges(numbers, sizeof(numbers), pf->vfs, in_set, &set);
	finding = sp_finding_add(findings, SP_TOPIC_DEVICES, SP_LEVEL_NOTE, "vf-in-kernel", pf->netdev[0] != '\0' ? pf->netdev : pf->pci,
		"VF %s have a kernel driver: QEMU takes them only from vfio-pci (libvirt with managed='yes' does that itself)", numbers);
	write_words(words, sizeof(words), &set);
	sp_finding_fix(finding, "for v in %s; do sallyport-vf bind %s/$v; done", words, pf->netdev[0] != '\0' ? pf->netdev : pf->pci);
}

static void check_pf(const struct sp_facts *facts, struct sp_findings *findings, const struct sp_nic *pf)
{
	const char *name = pf->netdev[0] != '\0' ? pf->netdev : pf->pci;
	struct sp_finding *finding;

	if (pf->driver[0] == '\0') {
		finding = sp_finding_add(
			findings, SP_TOPIC_DEVICES, SP_LEVEL_WARNING, "pf-no-driver", name, "the PF has no driver, and so no VFs");
		sp_finding_fix(finding, "modprobe $(cat /sys/bus/pci/devices/%s/modalias) || apt install linux-image-amd64", pf->pci);
		return;
	}
	if (pf->vfs == 0) {
		finding = sp_finding_add(findings, SP_TOPIC_DEVICES, SP_LEVEL_NOTE, "pf-no-vfs", name, "%s, %s: no VFs of %u possible%s",
			pf->pci, pf->driver, pf->total_vfs, pf->default_route ? "; it has this host's default route" : "");
		sp_finding_fix(finding, "sallyport-vf create %s 2", name); /* which refuses what would cut the host off */
		return;
	}
	sp_finding_add(findings, SP_TOPIC_DEVICES, SP_LEVEL_OK, "pf", name, "%s, %s: %u VF%s of %u possible%s", pf->pci, pf->driver,
		pf->vfs, pf->vfs == 1 ? "" : "s", pf->total_vfs, pf->default_route ? "; it has this host's default route" : "");
	if (pf->netdev[0] != '\0' && !pf->up) {
		finding =
			sp_finding_add(findings, SP_TOPIC_DEVICES, SP_LEVEL_WARNING, "pf-down", name, "the PF is down, and so are its VFs");
		sp_finding_fix(finding, "ip link set %s up", pf->netdev);
	} else if (pf->netdev[0] != '\0' && !pf->carrier) {
		finding =
			sp_finding_add(findings, SP_TOPIC_DEVICES, SP_LEVEL_WARNING, "pf-no-carrier", name, "no carrier: is the cable in?");
		sp_finding_fix(finding, "ethtool %s", pf->netdev);
	}
	check_sets(facts, findings, pf);
	check_held(facts, findings, pf);
}

static void check_host(const struct sp_facts *facts, struct sp_findings *findings)
{
	struct sp_finding *finding;
	unsigned int n = 0;

	for (unsigned int i = 0; i < facts->n_nics; i++) {
		if (facts->nics[i].total_vfs == 0)
			continue;
		n++;
		check_pf(facts, findings, &facts->nics[i]);
	}
	if (n > 0)
		return;
	finding = sp_finding_add(
		findings, SP_TOPIC_DEVICES, SP_LEVEL_WARNING, "no-sriov", "SR-IOV", "no network device here can make virtual functions");
	sp_finding_fix(finding, "switch SR-IOV on in the firmware's set-up, or use a NIC that has it: lspci -vv | grep -A3 'Single Root'");
}

/* --- a guest -------------------------------------------------------------------------------------------------------------------------- */

/* What the firewall can use and nobody else does. */
static bool is_for_firewall(const struct sp_facts *facts, const struct sp_nic *nic)
{
	if (sp_doctor_port_of(facts, nic) != NULL || sp_driver_is_vfio(nic->driver) || sp_driver_is_uio(nic->driver))
		return true;
	return nic->kind != SP_NIC_VIRTIO && !sp_nic_is_busy(nic);
}

/* A MAC address that Linux made up: the PF gave none. */
static void check_random_mac(struct sp_findings *findings, const struct sp_nic *nic)
{
	struct sp_finding *finding;

	if (nic->kind != SP_NIC_VF || !nic->random_mac)
		return;
	finding = sp_finding_add(findings, SP_TOPIC_DEVICES, SP_LEVEL_WARNING, "random-mac", nic->netdev,
		"has no MAC address from its PF, and another random one at each start: neighbours have to learn it anew");
	sp_finding_fix(finding, "on the host: ip link set PF vf N mac %02x:%02x:%02x:%02x:%02x:%02x", nic->mac[0], nic->mac[1], nic->mac[2],
		nic->mac[3], nic->mac[4], nic->mac[5]);
}

static void check_guest(const struct sp_facts *facts, struct sp_findings *findings)
{
	unsigned int usable = 0, vfs = 0, management = facts->other_interfaces;
	struct sp_finding *finding;

	for (unsigned int i = 0; i < facts->n_nics; i++) {
		bool ours = is_for_firewall(facts, &facts->nics[i]);

		usable += ours;
		vfs += ours && facts->nics[i].kind == SP_NIC_VF;
		management += !ours;
		check_random_mac(findings, &facts->nics[i]);
	}
	if (usable == 0) {
		finding = sp_finding_add(findings, SP_TOPIC_DEVICES, SP_LEVEL_ERROR, "no-vf", "VFs",
			"this VM was given no VF, and no other device that the firewall could take");
		sp_finding_fix(finding,
			"on the host: sallyport-vf create PF 2 && sallyport-vf show PF --libvirt, which prints the VM's XML for them");
	} else if (usable == 1) {
		finding = sp_finding_add(findings, SP_TOPIC_DEVICES, SP_LEVEL_WARNING, "one-vf", "VFs",
			"one device only: nothing to forward to, but between VLANs of it");
		sp_finding_fix(finding, "on the host: sallyport-vf show PF --libvirt, which prints the VM's XML for each VF");
	} else {
		sp_finding_add(findings, SP_TOPIC_DEVICES, SP_LEVEL_OK, "vfs", "VFs", "%u device%s for the firewall, %u of them VFs",
			usable, usable == 1 ? "" : "s", vfs);
	}
	if (management == 0 && usable > 0) {
		finding = sp_finding_add(findings, SP_TOPIC_DEVICES, SP_LEVEL_NOTE, "no-management", "management",
			"no interface is left for SSH: the console is the only way in");
		sp_finding_fix(finding, "in the VM's XML:\n<interface type='network'>\n  <source network='default'/>\n  <model "
					"type='virtio'/>\n</interface>");
	}
	if (vfs > 0 && facts->conf.config != NULL && facts->conf.config->mode == SP_MODE_WIRE) {
		finding = sp_finding_add(findings, SP_TOPIC_DEVICES, SP_LEVEL_NOTE, "wire-needs-trust", "wire mode",
			"forwards frames of others, which a VF may do only when its PF trusts it; a guest cannot see whether it does");
		sp_finding_fix(finding, "on the host: ip link set PF vf N trust on spoofchk off; or here: mode = \"route\";");
	}
}

static void check_overrides(const struct sp_facts *facts, struct sp_findings *findings)
{
	for (unsigned int i = 0; i < facts->n_nics; i++) {
		const struct sp_nic *nic = &facts->nics[i];
		struct sp_finding *finding;

		if (nic->override[0] == '\0' || strcmp(nic->override, nic->driver) == 0)
			continue;
		finding = sp_finding_add(findings, SP_TOPIC_DEVICES, SP_LEVEL_WARNING, "override", nic->pci,
			"is to be bound to %s, but %s has it", nic->override, nic->driver[0] != '\0' ? nic->driver : "no driver");
		if (nic->driver[0] != '\0')
			sp_finding_fix(finding, "modprobe %s; echo %s >/sys/bus/pci/drivers/%s/unbind; echo %s >/sys/bus/pci/drivers_probe",
				nic->override, nic->pci, nic->driver, nic->pci);
		else
			sp_finding_fix(finding, "modprobe %s; echo %s >/sys/bus/pci/drivers_probe", nic->override, nic->pci);
	}
}

void sp_doctor_check_devices(const struct sp_facts *facts, struct sp_findings *findings)
{
	if (facts->host)
		check_host(facts, findings);
	else
		check_guest(facts, findings);
	check_overrides(facts, findings);
	if (!facts->root)
		sp_finding_add(findings, SP_TOPIC_DEVICES, SP_LEVEL_NOTE, "not-root", "doctor",
			"not run as root: who holds a device does not show");
}
