/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A first configuration. Sizes are those at which `run` would take at most half of the memory; the rest is Linux's.
 */
#define _GNU_SOURCE 1
#include <stdlib.h>
#include <string.h>

#include "vnf/doctor.h"
#include "vnf/launch.h"

#define SESSIONS_MAX (1u << 22)
#define SESSIONS_MIN (1u << 14)
#define SMALL_MB     1536 /* a machine with less has small tables of routes */

/* Whether a port is made of it: VFs and other devices that Linux does not use. A host offers its VFs only. */
static bool is_offered(const struct sp_facts *facts, const struct sp_nic *nic)
{
	if (sp_nic_is_busy(nic))
		return false;
	if (nic->kind == SP_NIC_VF)
		return true;
	return !facts->host && (nic->kind != SP_NIC_VIRTIO || sp_driver_is_vfio(nic->driver) || sp_driver_is_uio(nic->driver));
}

/* VFs first, then by PCI address. */
static unsigned int choose(const struct sp_facts *facts, const struct sp_nic **out, unsigned int max)
{
	unsigned int n = 0;

	for (int pass = 0; pass < 2; pass++)
		for (unsigned int i = 0; i < facts->n_nics && n < max; i++)
			if (is_offered(facts, &facts->nics[i]) && (facts->nics[i].kind == SP_NIC_VF) == (pass == 0))
				out[n++] = &facts->nics[i];
	return n;
}

/* A MAC address says which device it is even where the VM's slots change; but not one that is another at the next start. */
static void name_device(char out[20], const struct sp_nic *nic)
{
	static const uint8_t zero[6];
	const uint8_t *mac = nic->has_mac && !nic->random_mac ? nic->mac : nic->state.mac;

	if (memcmp(mac, zero, sizeof(zero)) == 0)
		snprintf(out, 20, "%s", nic->pci);
	else
		snprintf(out, 20, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void print_port(FILE *out, const struct sp_nic *nic, unsigned int i, bool last)
{
	static const char *const names[] = {"wan", "lan"}, *const zones[] = {"outside", "inside"};
	char device[20], name[16], zone[16];

	name_device(device, nic);
	if (i < 2) {
		snprintf(name, sizeof(name), "%s", names[i]);
		snprintf(zone, sizeof(zone), "%s", zones[i]);
	} else {
		snprintf(name, sizeof(name), "dmz%u", i - 1);
		snprintf(zone, sizeof(zone), "dmz%u", i - 1);
	}
	fprintf(out, "    { name = \"%s\"; device = \"%s\"; zone = \"%s\"; }%s    # %s, %s\n", name, device, zone, last ? "" : ",",
		nic->pci, nic->driver[0] != '\0' ? nic->driver : "no driver");
}

static void print_ports(FILE *out, const struct sp_nic *const *nics, unsigned int n)
{
	if (n == 0)
		fputs("# There is no VF: give the VM two (on the host, `sallyport-vf create PF 2`), and let `sallyport doctor --conf` "
		      "write this "
		      "file again.\n"
		      "# Until then the firewall has no port, and says so.\n",
			out);
	else if (n == 1)
		fputs("# There is one VF only. A second one belongs here; or let VLANs of the one be ports:\n"
		      "#   { name = \"lan\"; parent = \"wan\"; vlan = 10; zone = \"inside\"; }\n",
			out);
	fputs("ports = (\n", out);
	for (unsigned int i = 0; i < n; i++)
		print_port(out, nics[i], i, i + 1 == n);
	fputs(");\n", out);
}

static void print_others(FILE *out, const struct sp_facts *facts)
{
	/* What no VF does, other devices can, only slower: but which of them Linux is to keep is not for a guess. */
	for (unsigned int i = 0; i < facts->n_nics && !facts->host; i++)
		if (facts->nics[i].kind == SP_NIC_VIRTIO && !is_offered(facts, &facts->nics[i]) && !sp_nic_is_busy(&facts->nics[i]))
			fprintf(out, "# Could be a port, too: { name = \"virtio\"; device = \"%s\"; zone = \"inside\"; }\n",
				facts->nics[i].pci);
	for (unsigned int i = 0; i < facts->n_nics && !facts->host; i++)
		if (!is_offered(facts, &facts->nics[i]))
			fprintf(out, "# Left to Linux, for management: %s (%s, %s)\n", facts->nics[i].pci,
				facts->nics[i].netdev[0] != '\0' ? facts->nics[i].netdev : "no interface",
				facts->nics[i].driver[0] != '\0' ? facts->nics[i].driver : "no driver");
}

/* Workers belong to the node of the devices, where there are several. */
static void print_workers(FILE *out, const struct sp_facts *facts, const struct sp_nic *const *nics, unsigned int n)
{
	int node = n > 0 ? nics[0]->numa : -1;
	const char *comma = "";

	for (unsigned int i = 0; i < n; i++)
		node = nics[i]->numa == node ? node : -1;
	if (node < 0 || facts->n_nodes < 2) {
		fputs("# workers = [ 1 ];    # CPUs that poll; by default all but the first\n", out);
		return;
	}
	for (unsigned int cpu = 1, made = 0; cpu < SP_FACTS_CPUS && made < SP_WORKERS_MAX; cpu++) {
		if (!facts->cpus[cpu].online || facts->cpus[cpu].node != node)
			continue;
		fprintf(out, "%s%u", made == 0 ? "workers = [ " : ", ", cpu);
		comma = " ];    # of the devices' NUMA node\n";
		made++;
	}
	fputs(comma, out);
}

/* The whole text, for so many sessions and routes. */
static char *write_text(const struct sp_facts *facts, const struct sp_nic *const *nics, unsigned int n, uint32_t sessions, bool small)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return NULL;
	fputs("# Sallyport's first configuration, by `sallyport doctor --conf`. Linux has an interface of each port's name: addresses, "
	      "routes and\n"
	      "# daemons are its own (ip address add 192.0.2.2/24 dev wan). `sallyport check FILE` says what is wrong; see "
	      "sallyport.conf(5).\n"
	      "mode = \"route\";    # serves VFs that their PF does not trust, too; \"wire\" joins trusted ones in pairs\n",
		out);
	print_workers(out, facts, nics, n);
	print_ports(out, nics, n);
	print_others(out, facts);
	if (!facts->conf.default_rules)
		fputs("# This file is not here yet; `sallyport doctor` says how to begin one.\n", out);
	fputs("rules = \"" SP_CONFIG_DEFAULT_RULES "\";\n"
	      "api = { socket = \"" SP_CONFIG_DEFAULT_SOCKET "\"; };\n"
	      "log = { eve = \"/var/log/sallyport/eve.json\"; };\n",
		out);
	fprintf(out, "sessions = { max = %u; };    # as many as half of %llu MB have room for, with all else\n", sessions,
		(unsigned long long)(facts->memory_kb / 1024));
	if (small)
		fputs("route = { max4 = 16384; max6 = 4096; neighbours = 2048; };    # a small machine's\n", out);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

uint32_t sp_doctor_conf_need(const struct sp_facts *facts, const char *text)
{
	struct sp_diags diags = {0};
	struct sp_config *config = sp_config_read(text, strlen(text), SP_CONFIG_DEFAULT_PATH, &diags);
	uint32_t mb = config != NULL ? sp_launch_need_mb(config, facts->conf.n_workers, 0) : 0;

	sp_config_free(config);
	sp_diags_clear(&diags);
	return mb;
}

char *sp_doctor_conf(const struct sp_facts *facts, unsigned int *n_ports)
{
	const struct sp_nic *nics[SP_PORTS_MAX];
	bool small = facts->memory_kb / 1024 < SMALL_MB;
	char *text = NULL;

	*n_ports = choose(facts, nics, SP_PORTS_MAX);
	for (uint32_t sessions = SESSIONS_MAX; sessions >= SESSIONS_MIN; sessions /= 2) {
		free(text);
		text = write_text(facts, nics, *n_ports, sessions, small);
		if (text == NULL || sp_doctor_conf_need(facts, text) <= facts->memory_kb / 1024 / 2)
			break;
	}
	return text;
}
