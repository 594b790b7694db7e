/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What concerns the configuration as a whole: life, cross-checks, and telling it from a rule file.
 */
#define _GNU_SOURCE 1
#include "vnf/config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "rules/match.h"
#include "vnf/config_values.h"

struct string_link {
	struct string_link *next;
	char text[];
};

char *sp_config_strdup(struct sp_config *config, const char *text)
{
	size_t size = strlen(text) + 1;
	struct string_link *link = malloc(sizeof(*link) + size);

	if (link == NULL)
		return NULL;
	link->next = config->strings;
	config->strings = link;
	return memcpy(link->text, text, size);
}

void sp_config_free(struct sp_config *config)
{
	if (config == NULL)
		return;
	for (struct string_link *link = config->strings, *next; link != NULL; link = next) {
		next = link->next;
		free(link);
	}
	free(config->ports);
	free(config);
}

/* --- cross-checks --------------------------------------------------------------------------------------------------------------- */

static int find_port(const struct sp_config *config, const char *name)
{
	for (unsigned int i = 0; i < config->n_ports; i++)
		if (strcmp(config->ports[i].name, name) == 0)
			return (int)i;
	return -1;
}

#define port_error(diags, port, ...) sp_diag_error(diags, (port)->file, (port)->line, __VA_ARGS__)

static void check_vlan(struct sp_config *config, unsigned int index, struct sp_diags *diags)
{
	struct sp_config_port *port = &config->ports[index];
	int parent = find_port(config, port->parent_name);

	if (port->device.kind != SP_DEVICE_NONE || port->peer_name[0] != '\0' || port->queues || port->mtu || port->descriptors ||
		port->checksum != SP_CHECKSUM_TRUST_NIC)
		port_error(diags, port, "port \"%s\" is a VLAN of \"%s\": give it only name, parent, vlan and zone", port->name,
			port->parent_name);
	if (port->vlan == 0)
		port_error(diags, port, "port \"%s\" has a parent but no vlan; add vlan = 1 to 4094", port->name);
	if (port->zone == SP_MATCH_NO_ZONE)
		port_error(diags, port, "port \"%s\" is a VLAN without a zone, which is all a VLAN is for; add zone = \"...\"", port->name);
	if (parent < 0 || (unsigned int)parent == index || config->ports[parent].parent_name[0] != '\0') {
		port_error(diags, port, "port \"%s\": parent \"%s\" is no port with a device; name one", port->name, port->parent_name);
		return;
	}
	port->parent = parent;
	for (unsigned int i = 0; i < index; i++)
		if (config->ports[i].parent == parent && config->ports[i].vlan == port->vlan)
			port_error(diags, port, "VLAN %u of \"%s\" is already port \"%s\"; remove one", port->vlan, port->parent_name,
				config->ports[i].name);
}

static void check_device(struct sp_config *config, unsigned int index, struct sp_diags *diags)
{
	struct sp_config_port *port = &config->ports[index];

	if (port->vlan != 0)
		port_error(diags, port, "port \"%s\" has a vlan but no parent; add parent = \"...\"", port->name);
	if (port->device.kind == SP_DEVICE_NONE) {
		port_error(diags, port, "port \"%s\" has no device; add device = a PCI address, a MAC address or a DPDK vdev", port->name);
		return;
	}
	for (unsigned int i = 0; i < index; i++)
		if (config->ports[i].device.kind == port->device.kind && strcmp(config->ports[i].device.name, port->device.name) == 0)
			port_error(diags, port, "ports \"%s\" and \"%s\" have the same device %s; each needs its own",
				config->ports[i].name, port->name, port->device.name);
}

/* The two ends of a wire name each other. */
static void check_peer(struct sp_config *config, unsigned int index, struct sp_diags *diags)
{
	struct sp_config_port *port = &config->ports[index];

	if (port->peer_name[0] == '\0') {
		port_error(
			diags, port, "port \"%s\" has no peer; in wire mode add peer = the name of the port it is joined to", port->name);
		return;
	}
	port->peer = find_port(config, port->peer_name);
	if (port->peer < 0)
		port_error(diags, port, "port \"%s\": there is no port \"%s\" to be its peer", port->name, port->peer_name);
	else if ((unsigned int)port->peer == index)
		port_error(diags, port, "port \"%s\" is its own peer; a wire has two ends", port->name);
	else if (config->ports[port->peer].parent_name[0] != '\0')
		port_error(
			diags, port, "port \"%s\": its peer \"%s\" is a VLAN; name the port with the device", port->name, port->peer_name);
	else if (strcmp(config->ports[port->peer].peer_name, port->name) != 0)
		port_error(diags, port, "port \"%s\" has the peer \"%s\", whose peer is \"%s\"; make them each other's", port->name,
			port->peer_name, config->ports[port->peer].peer_name);
}

static void check_names(struct sp_config *config, struct sp_diags *diags)
{
	for (unsigned int i = 0; i < config->n_ports; i++) {
		struct sp_config_port *port = &config->ports[i];
		int first;

		if (port->name[0] == '\0') {
			port_error(diags, port, "a port without a name; add name = \"...\"");
			continue;
		}
		first = find_port(config, port->name);
		if ((unsigned int)first != i)
			port_error(
				diags, port, "port name \"%s\" is taken at line %d; choose another", port->name, config->ports[first].line);
	}
}

static void number_pairs(struct sp_config *config)
{
	uint16_t pairs = 0;

	for (unsigned int i = 0; i < config->n_ports; i++) {
		struct sp_config_port *port = &config->ports[i];

		if (port->parent >= 0 || port->peer < (int)i)
			continue;
		port->domain = config->ports[port->peer].domain = pairs++;
	}
}

/* Thresholds that were not given follow from the others: an eighth of the sessions, and half of that. */
static void set_floods(struct sp_config *config, struct sp_diags *diags)
{
	struct sp_flood_config *floods = &config->floods;

	if (floods->embryonic_high == 0)
		floods->embryonic_high = RTE_MAX((config->sessions4 + config->sessions6) / SP_FLOOD_EMBRYONIC_SHARE, 2u);
	if (floods->embryonic_low == 0)
		floods->embryonic_low = floods->embryonic_high / 2;
	if (floods->embryonic_low >= floods->embryonic_high)
		sp_diag_error(diags, config->file, 0,
			"\"embryonic_low\" of \"floods\" is %u, but must be less than \"embryonic\", which is %u: the proxy would "
			"disengage where it "
			"engages",
			floods->embryonic_low, floods->embryonic_high);
}

void sp_config_resolve(struct sp_config *config, struct sp_diags *diags)
{
	size_t errors = diags->errors;
	unsigned int devices = 0;

	set_floods(config, diags);
	if (config->n_ports == 0 && config->ports != NULL)
		sp_diag_warning(diags, config->file, 0, "the list of ports is empty: the firewall carries no traffic");
	else if (config->n_ports == 0) {
		sp_diag_error(diags, config->file, 0,
			"no ports; add ports = ( { name = \"in\"; device = \"...\"; zone = \"inside\"; peer = \"out\"; }, ... );");
		return;
	}
	check_names(config, diags);
	if (diags->errors > errors)
		return;
	for (unsigned int i = 0; i < config->n_ports; i++) {
		if (config->ports[i].parent_name[0] != '\0') {
			check_vlan(config, i, diags);
		} else {
			check_device(config, i, diags);
			if (config->mode == SP_MODE_WIRE)
				check_peer(config, i, diags);
			devices++;
		}
		if (config->mode == SP_MODE_WIRE && config->ports[i].rpf != SP_CONFIG_RPF_UNSET)
			port_error(diags, &config->ports[i],
				"port \"%s\" has rpf, but in wire mode nothing is routed; remove it, or set mode = \"route\"",
				config->ports[i].name);
	}
	if (devices > SP_PORTS_MAX)
		sp_diag_error(diags, config->file, 0, "%u ports with a device; %d are the most", devices, SP_PORTS_MAX);
	if (config->mode == SP_MODE_ROUTE)
		sp_config_resolve_route(config, diags);
	config->zones.closed = true;
	if (diags->errors == errors && config->mode == SP_MODE_WIRE)
		number_pairs(config);
}

/* --- which kind of file ---------------------------------------------------------------------------------------------------------- */

/* End of the string, comment or single character at p: what cannot hold a setting's name is stepped over whole. */
static const char *step(const char *p, const char *end)
{
	if (*p == '"') {
		for (p++; p < end && *p != '"'; p++)
			if (*p == '\\')
				p++;
	} else if (*p == '#' || (*p == '/' && p + 1 < end && p[1] == '/')) {
		while (p < end && *p != '\n')
			p++;
	} else if (*p == '/' && p + 1 < end && p[1] == '*') {
		const char *close = memmem(p + 2, (size_t)(end - p - 2), "*/", 2);

		p = close == NULL ? end : close + 1;
	}
	return p < end ? p + 1 : end;
}

static bool word_is(const char *word, size_t len, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strlen(*names) == len && memcmp(*names, word, len) == 0)
			return true;
	return false;
}

bool sp_config_is(const char *bytes, size_t size)
{
	static const char *const ours[] = {"mode", "ports", "route", "workers", "memory", "api", "log", "captures", "sessions", "limits",
		"fragments", "floods", "tcp", "poll", "reject_rate", "hardening", NULL};
	static const char *const rules[] = {"version", "sets", "inspect", "default", "nat", "expect", "builtin", "schedules", NULL};
	const char *p = bytes, *end = bytes + size;
	int depth = 0;

	while (p < end) {
		const char *word = p;

		if (depth > 0 || !(isalpha((unsigned char)*p) || *p == '_')) {
			depth += *p == '{' || *p == '(' || *p == '[';
			depth -= *p == '}' || *p == ')' || *p == ']';
			p = step(p, end);
			continue;
		}
		while (p < end && (isalnum((unsigned char)*p) || *p == '_' || *p == '-'))
			p++;
		if (word_is(word, (size_t)(p - word), ours))
			return true;
		if (word_is(word, (size_t)(p - word), rules))
			return false;
		if (p - word == 5 && memcmp(word, "rules", 5) == 0) {
			while (p < end && (isspace((unsigned char)*p) || *p == '=' || *p == ':'))
				p++;
			return p < end && *p == '"';
		}
	}
	return false;
}
