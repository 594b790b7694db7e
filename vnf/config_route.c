/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The group `route`, and what a configuration must be for routed mode: each port is a link that Linux has an interface for.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "rules/match.h"
#include "rules/self.h"
#include "vnf/config_values.h"

#define INTERFACE_NAME_MAX 15 /* Linux's IFNAMSIZ with the final NUL is 16 */
#define NETNS_FOLDER       "/run/netns/"
#define NETNS_NAME_MAX     255
#define QUEUE_MAX          64 /* also the least that all neighbours together may have */

const char *const sp_config_rpf_names[SP_CONFIG_RPF_NAMES] = {[SP_RPF_STRICT] = "strict", [SP_RPF_LOOSE] = "loose", [SP_RPF_OFF] = "off"};

/* --- keys ----------------------------------------------------------------------------------------------------------------------- */

/* A name as `ip netns` has it, or the path of a namespace's file. */
static void set_namespace(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	struct sp_config *config = into;
	const char *text = sp_config_string(reader, s);
	char path[sizeof(NETNS_FOLDER) + NETNS_NAME_MAX];

	if (text == NULL)
		return;
	if (text[0] == '/' || text[0] == '\0') {
		sp_config_set_path(reader, s, key, into);
		return;
	}
	if (strchr(text, '/') != NULL || strcmp(text, ".") == 0 || strcmp(text, "..") == 0 || strlen(text) > NETNS_NAME_MAX) {
		sp_config_error(
			reader, s, "\"%s\" is no network namespace; give a name that `ip netns` lists, or the whole path of one", text);
		return;
	}
	snprintf(path, sizeof(path), NETNS_FOLDER "%s", text);
	config->netns = sp_config_strdup(config, path);
	if (config->netns == NULL)
		sp_config_error(reader, s, "out of memory");
}

static const struct sp_config_key self_keys[] = {
#define X(e, n, d) SP_KEY_NUMBER(n, struct sp_config, route.self_rate[SP_SELF_##e], 0, 10000000, "packets a second"),
	SP_SELF_CLASSES(X)
#undef X
};

const struct sp_config_key sp_config_route_keys[SP_CONFIG_ROUTE_KEYS] = {
	SP_KEY_CHOICE("rpf", struct sp_config, route.rpf, sp_config_rpf_names, SP_CONFIG_RPF_NAMES),
	SP_KEY_NUMBER("max4", struct sp_config, route.max4, 1024, 4000000, "routes"),
	SP_KEY_NUMBER("max6", struct sp_config, route.max6, 1024, 1000000, "routes"),
	SP_KEY_NUMBER("neighbours", struct sp_config, route.neighbours, 64, 262144, "neighbours"),
	SP_KEY_NUMBER("queue", struct sp_config, route.queue, 1, QUEUE_MAX, "packets for one neighbour"),
	SP_KEY_NUMBER("waiting", struct sp_config, route.waiting, QUEUE_MAX, 65536, "packets of each worker"),
	SP_KEY_GROUP("self_rate", sp_config_set_group, self_keys),
	SP_KEY_NUMBER("errors", struct sp_config, route.errors, 0, 1000000, "ICMP errors a second"),
	SP_KEY_PATH("namespace", set_namespace, struct sp_config, netns, PATH_MAX),
};

void sp_config_route_defaults(struct sp_config *config)
{
	config->route = (struct sp_route_config){
		.rpf = SP_RPF_STRICT,
		.max4 = SP_CONFIG_DEFAULT_ROUTES4,
		.max6 = SP_CONFIG_DEFAULT_ROUTES6,
		.neighbours = SP_CONFIG_DEFAULT_NEIGHBOURS,
		.queue = SP_CONFIG_DEFAULT_QUEUE,
		.waiting = SP_CONFIG_DEFAULT_WAITING,
		.self_rate =
			{
#define X(e, n, d) [SP_SELF_##e] = (d),
				SP_SELF_CLASSES(X)
#undef X
			},
		.errors = SP_CONFIG_DEFAULT_ERRORS,
	};
	config->zone_self = SP_MATCH_NO_ZONE;
}

/* --- cross-checks --------------------------------------------------------------------------------------------------------------- */

/* Names that Linux has taken, or that mean something else where an interface may be named (/proc/sys/net/ipv4/conf). */
static bool reserved(const char *name)
{
	return strcmp(name, "lo") == 0 || strcmp(name, "all") == 0 || strcmp(name, "default") == 0;
}

/* Whether a device is, or makes, the interface of that name in Linux. */
static bool uses_interface(const struct sp_device *device, const char *name)
{
	const char *iface = device->kind == SP_DEVICE_VDEV ? strstr(device->text, ",iface=") : NULL;
	size_t len = strlen(name);

	if (iface == NULL)
		return false;
	iface += strlen(",iface=");
	return strncmp(iface, name, len) == 0 && (iface[len] == '\0' || iface[len] == ',');
}

static void check_link(struct sp_config *config, struct sp_config_port *port, struct sp_diags *diags)
{
	if (strlen(port->name) > INTERFACE_NAME_MAX)
		sp_diag_error(diags, port->file, port->line,
			"port \"%s\": in route mode its interface in Linux has this name, and those have at most %d characters; shorten it",
			port->name, INTERFACE_NAME_MAX);
	else if (reserved(port->name))
		sp_diag_error(diags, port->file, port->line,
			"port \"%s\": in route mode its interface in Linux has this name, which Linux uses itself; choose another",
			port->name);
	for (unsigned int i = 0; config->netns == NULL && i < config->n_ports; i++)
		if (uses_interface(&config->ports[i].device, port->name))
			sp_diag_error(diags, port->file, port->line,
				"port \"%s\": in route mode its interface in Linux has this name, which the device %s has taken; choose "
				"another",
				port->name, config->ports[i].device.shown);
	if (port->peer_name[0] != '\0' && port->parent_name[0] == '\0')
		sp_diag_error(diags, port->file, port->line,
			"port \"%s\" has a peer, but in route mode routes say where packets go; remove peer", port->name);
	if (port->rpf == SP_CONFIG_RPF_UNSET)
		port->rpf = config->route.rpf;
}

void sp_config_resolve_route(struct sp_config *config, struct sp_diags *diags)
{
	int self;

	for (unsigned int i = 0; i < config->n_ports; i++)
		check_link(config, &config->ports[i], diags);
	if (config->n_ports > SP_LINKS_MAX)
		sp_diag_error(diags, config->file, 0, "%u ports and VLANs; in route mode %d are the most", config->n_ports, SP_LINKS_MAX);
	self = sp_zone_index(&config->zones, SP_SELF_ZONE, strlen(SP_SELF_ZONE));
	if (self < 0)
		sp_diag_error(diags, config->file, 0, "%u zones, and \"self\", the firewall; %d are the most: let ports share zones",
			config->zones.n, SP_ZONES_MAX);
	else
		config->zone_self = (uint8_t)self;
}
