/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VF without trust takes its own unicast, broadcast, and groups and VLANs that it has asked its PF for by their names. So nothing is
 * asked for in route mode that trust would be needed for, where the driver can do with less.
 */
#include "vnf/port_filters.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <rte_ethdev.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/routing.h"
#include "mgmt/mgmt.h"
#include "mgmt/ports.h"
#include "vnf/launch.h"
#include "vnf/port_configure.h"

#define COMMAND_MAX 160
#define SILENCE_MS  200 /* from which on a mailbox was waited for in vain */

/* --- when a device starts ---------------------------------------------------------------------------------------------------------- */

/* Name of the first entry of a folder; false when there is none. */
static bool first_entry(const char *path, char *name, size_t size)
{
	DIR *folder = opendir(path);
	bool found = false;

	for (struct dirent *entry; folder != NULL && !found && (entry = readdir(folder)) != NULL;) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, size, "%.*s", (int)size - 1, entry->d_name);
		found = true;
	}
	if (folder != NULL)
		closedir(folder);
	return found;
}

/* Where the PF can be seen, as on a host: its interface and this VF's number there. */
static bool vf_of(const char *address, char *pf, size_t size, unsigned int *number)
{
	char path[PATH_MAX], target[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.32s/physfn/net", address);
	if (!first_entry(path, pf, size))
		return false;
	for (*number = 0; *number < 256; (*number)++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.32s/physfn/virtfn%u", address, *number);
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			return false;
		target[n] = '\0';
		if (strcmp(strrchr(target, '/') != NULL ? strrchr(target, '/') + 1 : target, address) == 0)
			return true;
	}
	return false;
}

/* The command by which the host gives this VF the trust of its PF. */
static void trust_command(const struct sp_port *port, char out[COMMAND_MAX])
{
	struct rte_eth_dev_info info = {0};
	char pf[64], mac[RTE_ETHER_ADDR_FMT_SIZE];
	struct rte_ether_addr address;
	unsigned int number;

	memcpy(address.addr_bytes, port->mac, sizeof(address.addr_bytes));
	rte_ether_format_addr(mac, sizeof(mac), &address);
	if (rte_eth_dev_info_get(port->ethdev, &info) == 0 && info.device != NULL &&
		vf_of(rte_dev_name(info.device), pf, sizeof(pf), &number))
		snprintf(out, COMMAND_MAX, "`ip link set %s vf %u trust on spoofchk off` on this machine", pf, number);
	else
		snprintf(out, COMMAND_MAX,
			"`ip link set PF vf N trust on spoofchk off` on the host, where `ip link show PF` has %s as vf N", mac);
}

static void warn_of_promiscuous(const struct sp_port *port, const struct sp_quirks *quirks, int rc)
{
	char mend[COMMAND_MAX];

	if (quirks->promiscuous == SP_PROMISC_NO)
		snprintf(mend, sizeof(mend), "%s never gives them; use mode = \"route\"", quirks->driver);
	else if (quirks->promiscuous == SP_PROMISC_HOST)
		snprintf(mend, sizeof(mend), "let the host's switch port have promiscuous mode and MAC spoofing");
	else
		trust_command(port, mend);
	sp_port_warn(port, "promiscuous mode is refused (%s): frames to other MAC addresses will not arrive; %s", strerror(-rc), mend);
}

static void open_wire(const struct sp_port *port, const struct sp_port_plan *plan, bool first)
{
	int rc = rte_eth_promiscuous_enable(port->ethdev);

	if (first && rc != 0 && (rc != -ENOTSUP || plan->quirks->vf))
		warn_of_promiscuous(port, plan->quirks, rc);
	rc = rte_eth_allmulticast_enable(port->ethdev);
	if (first && rc != 0 && rc != -ENOTSUP) {
		char mend[COMMAND_MAX];

		trust_command(port, mend);
		sp_port_warn(port, "all-multicast mode is refused (%s): ND and VRRP may not pass; %s", strerror(-rc), mend);
	}
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * Each VLAN of the configuration, and 0: frames of a priority and no VLAN. A PF that has refused one keeps its frames away, but 0, which
 * some pass without being asked, and then refuse to be asked for. A PF that does not answer is not asked on: each answer is waited for.
 */
static void open_vlans(const struct sp_port *port, const struct sp_port_plan *plan, bool first)
{
	unsigned int refused = 0;
	uint16_t example = 0;
	int error = 0;

	for (uint16_t vlan = 0; vlan < 4095 && plan->filters_vlans; vlan++) {
		int64_t began = now_ms();
		bool wanted = vlan == 0 || (plan->vlans[vlan / 64] >> vlan % 64 & 1) != 0;
		int rc = wanted ? rte_eth_dev_vlan_filter(port->ethdev, vlan, 1) : 0;

		if (rc != 0 && vlan != 0) {
			error = rc;
			example = vlan;
			refused++;
		}
		if (rc != 0 && now_ms() - began >= SILENCE_MS)
			break;
	}
	if (first && refused != 0) {
		char mend[COMMAND_MAX];

		trust_command(port, mend);
		sp_port_warn(port,
			"VLAN %u%s is refused (%s): its frames will not arrive; a VF without trust has few, and none when the PF gives it "
			"one: %s",
			example, refused > 1 ? ", and others," : "", strerror(-error), mend);
	}
}

void sp_port_filters_open(const struct sp_port *port, const struct sp_port_plan *plan)
{
	bool first = port->starts <= 1;

	open_vlans(port, plan, first);
	if (port->all_frames)
		open_wire(port, plan, first);
	else if (plan->quirks->groups == SP_GROUPS_ALL)
		rte_eth_allmulticast_enable(port->ethdev); /* refused: sp_port_filters_tick tries a list, and tells */
}

/* --- while it runs ----------------------------------------------------------------------------------------------------------------- */

int sp_port_multicast(const struct sp_port *port, const struct sp_quirks *quirks, const struct rte_ether_addr *groups, unsigned int n)
{
	unsigned int most = quirks->groups_max != 0 ? RTE_MIN(quirks->groups_max, SP_PORT_GROUPS_MAX) : SP_PORT_GROUPS_MAX;
	bool all = rte_eth_allmulticast_get(port->ethdev) == 1;
	int rc = -ENOSPC;

	/* Where all groups come, and are meant to, there is nothing to name. */
	if (all && quirks->groups == SP_GROUPS_ALL)
		return 0;
	/* DPDK's parameter is not const, its drivers only read. */
	if (n <= most)
		rc = rte_eth_dev_set_mc_addr_list(port->ethdev, (struct rte_ether_addr *)(uintptr_t)groups, n);
	if (rc == 0 && all)
		rte_eth_allmulticast_disable(port->ethdev);
	if (rc == 0)
		return 0;
	return all ? 0 : rte_eth_allmulticast_enable(port->ethdev);
}

struct followed {
	uint32_t starts; /* of the port, when its filters were last set */
	struct sp_kernel_groups groups;
	bool told_groups, told_addresses, told_cut;
};

struct sp_port_filters {
	struct sp_launch *launch;
	struct sp_kernel *kernel;
	struct sp_kernel_groups now;
	unsigned int first; /* of the next turn */
	struct followed ports[SP_PORTS_MAX];
};

struct sp_port_filters *sp_port_filters_begin(struct sp_launch *launch, struct sp_kernel *kernel)
{
	struct sp_port_filters *filters = calloc(1, sizeof(*filters));

	if (filters != NULL) {
		filters->launch = launch;
		filters->kernel = kernel;
	}
	return filters;
}

void sp_port_filters_end(struct sp_port_filters *filters)
{
	free(filters);
}

static void set_groups(
	const struct sp_port *port, const struct sp_quirks *quirks, struct followed *followed, const struct sp_kernel_groups *now)
{
	/* Linux had more than fit: as more than any device takes */
	unsigned int n = now->cut ? SP_PORT_GROUPS_MAX + 1 : now->n_groups;
	int rc = sp_port_multicast(port, quirks, (const struct rte_ether_addr *)now->groups, n);

	if (rc != 0 && !followed->told_groups)
		sp_port_warn(port,
			"the device takes neither a list of %u groups nor all (%s): ND, VRRP and other multicast will not arrive", n,
			strerror(-rc));
	followed->told_groups = rc != 0;
}

static bool has(const uint8_t (*addresses)[6], unsigned int n, const uint8_t *address)
{
	for (unsigned int i = 0; i < n; i++)
		if (memcmp(addresses[i], address, 6) == 0)
			return true;
	return false;
}

/* A device that takes no further addresses may take all: what is not for the firewall is dropped by workers. */
static int without_list(const struct sp_port *port, const struct sp_quirks *quirks, int rc, bool needed)
{
	if (rc == 0 || !needed) {
		if (rte_eth_promiscuous_get(port->ethdev) == 1)
			rte_eth_promiscuous_disable(port->ethdev);
		return rc;
	}
	if (quirks->promiscuous != SP_PROMISC_YES)
		return rc;
	rc = rte_eth_promiscuous_enable(port->ethdev);
	return rc == -ENOTSUP && quirks->bind == SP_BIND_NONE ? 0 : rc; /* software without filters */
}

/* Frames to these are for Linux as well: it has interfaces of its own on the TAP (macvlan, as keepalived's use_vmac). */
static void set_addresses(
	struct sp_port *port, const struct sp_quirks *quirks, struct followed *followed, const struct sp_kernel_groups *now, bool anew)
{
	const struct sp_kernel_groups *before = &followed->groups;
	int rc = 0;

	if (!anew && memcmp(now->addresses, before->addresses, sizeof(now->addresses)) == 0)
		return;
	for (unsigned int i = 0; i < before->n_addresses && !anew; i++)
		if (!has(now->addresses, now->n_addresses, before->addresses[i]))
			rte_eth_dev_mac_addr_remove(port->ethdev, (struct rte_ether_addr *)(uintptr_t)before->addresses[i]);
	/* One that the device has already costs nothing, and one that it refused before is refused again. */
	for (unsigned int i = 0; rc == 0 && i < now->n_addresses; i++)
		rc = rte_eth_dev_mac_addr_add(port->ethdev, (struct rte_ether_addr *)(uintptr_t)now->addresses[i], 0);
	for (unsigned int i = 0; i < SP_PORT_MACS_MAX; i++) {
		static const uint8_t none[6];

		sp_mac_store(&port->more_macs[i], i < now->n_addresses ? now->addresses[i] : none);
	}
	rc = without_list(port, quirks, rc, now->n_addresses != 0);
	if (rc != 0 && !followed->told_addresses)
		sp_port_warn(port,
			"the device takes no further MAC address (%s): frames to interfaces of Linux with one of their own (macvlan, "
			"use_vmac) will not arrive",
			strerror(-rc));
	followed->told_addresses = rc != 0;
}

/* A TAP may have been given a MAC of its own in Linux. */
static void add_links(const struct sp_routing *routing, const struct sp_port *port, struct sp_kernel_groups *now)
{
	for (unsigned int i = 0; i < routing->n_links; i++) {
		uint8_t mac[6];

		sp_mac_copy(mac, &routing->links[i].mac_word);
		if (routing->links[i].port != port->index || memcmp(mac, port->mac, sizeof(mac)) == 0 ||
			has(now->addresses, now->n_addresses, mac))
			continue;
		if (now->n_addresses < SP_KERNEL_ADDRESSES_MAX)
			memcpy(now->addresses[now->n_addresses++], mac, sizeof(mac));
		else
			now->cut_addresses = true;
	}
}

/* Workers compare each frame's address with all of them, so there are few. */
static void tell_cut(const struct sp_port *port, struct followed *followed, const struct sp_kernel_groups *now)
{
	if (now->cut_addresses && !followed->told_cut)
		sp_port_warn(port,
			"Linux's interfaces on it have more than %d MAC addresses of their own (macvlan, use_vmac): frames to the others "
			"will not arrive; have several of them share a MAC address, or a port",
			SP_KERNEL_ADDRESSES_MAX);
	followed->told_cut = now->cut_addresses;
}

/* Whether the port's device had to be asked for something. */
static bool follow(struct sp_port_filters *filters, unsigned int p, struct sp_mgmt *mgmt)
{
	struct sp_port *port = &filters->launch->dataplane->ports[p];
	const struct sp_quirks *quirks = filters->launch->plans[p].quirks;
	struct followed *followed = &filters->ports[p];
	struct sp_kernel_groups *now = &filters->now;
	bool anew = followed->starts != port->starts, waits;

	if (__atomic_load_n(&port->paused, __ATOMIC_RELAXED) || !rte_eth_dev_is_valid_port(port->ethdev))
		return false;
	if (sp_kernel_groups(filters->kernel, (uint16_t)p, now) != 0)
		return false;
	add_links(filters->launch->dataplane->routing, port, now);
	if (!anew && memcmp(now, &followed->groups, sizeof(*now)) == 0)
		return false;
	tell_cut(port, followed, now);
	waits = sp_mgmt_wait_begin(mgmt);
	sp_port_lock(port);
	if (anew || now->cut != followed->groups.cut || now->n_groups != followed->groups.n_groups ||
		memcmp(now->groups, followed->groups.groups, sizeof(now->groups)) != 0)
		set_groups(port, quirks, followed, now);
	set_addresses(port, quirks, followed, now, anew);
	sp_port_unlock(port);
	sp_mgmt_wait_end(mgmt, waits);
	followed->groups = *now;
	followed->starts = port->starts;
	return true;
}

void sp_port_filters_tick(struct sp_port_filters *filters, struct sp_mgmt *mgmt)
{
	const unsigned int n = filters->launch->dataplane->n_ports;
	bool asked = false;

	for (unsigned int i = 0; filters->kernel != NULL && i < n && !asked; i++) {
		unsigned int p = (filters->first + i) % n;

		asked = follow(filters, p, mgmt);
		if (asked)
			filters->first = p + 1;
	}
}
