/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list `ports` of a configuration: what each entry says by itself. What concerns several is checked afterwards in config.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules/match.h"
#include "rules/self.h"
#include "vnf/config_values.h"

#define NAME_BYTES sizeof(((struct sp_config_port *)NULL)->name)

static bool identifier(const char *text)
{
	size_t n = strlen(text);

	if (n == 0 || n >= NAME_BYTES || strspn(text, "0123456789") > 0)
		return false;
	return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n && text[0] != '-';
}

static void set_name(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	const char *text = sp_config_string(reader, s);

	if (text == NULL)
		return;
	if (!identifier(text))
		sp_config_error(reader, s, "\"%s\" is no name: use 1 to 31 letters, digits, _ and -, beginning with a letter", text);
	else
		snprintf((char *)into + key->offset, key->size, "%s", text);
}

static void set_device(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	struct sp_config_port *port = into;
	const char *text = sp_config_string(reader, s);
	char why[256];

	(void)key;
	if (text != NULL && sp_device_parse(text, &port->device, why, sizeof(why)) != 0)
		sp_config_error(reader, s, "%s", why);
}

static void set_zone(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	struct sp_config_port *port = into;
	const char *text = sp_config_string(reader, s);
	int index;

	(void)key;
	if (text == NULL)
		return;
	if (strcmp(text, SP_SELF_ZONE) == 0) {
		sp_config_error(reader, s, "zone \"self\" is the firewall itself; choose another name");
		return;
	}
	index = sp_zone_index(&reader->config->zones, text, strlen(text));
	if (index == -ENOSPC)
		sp_config_error(reader, s, "more than %d zones; let ports share zones", SP_ZONES_MAX);
	else if (index < 0)
		sp_config_error(reader, s,
			"\"%s\" is no zone name: use 1 to 31 letters, digits, _ and -, beginning with a letter, and no rule field's name",
			text);
	else
		port->zone = (uint8_t)index;
}

#define SP_KEY_NAME(name, member)                                                           \
	{                                                                                   \
		name, set_name, SP_KEY_OF(struct sp_config_port, member), 0, 0, "", NULL, 0 \
	}

static const char *const checksum_names[] = {
	[SP_CHECKSUM_TRUST_NIC] = "trust-nic", [SP_CHECKSUM_VERIFY] = "verify", [SP_CHECKSUM_OFF] = "off"};

static const struct sp_config_key port_keys[] = {
	SP_KEY_NAME("name", name),
	SP_KEY("device", set_device),
	SP_KEY("zone", set_zone),
	SP_KEY_NAME("peer", peer_name),
	SP_KEY_NAME("parent", parent_name),
	SP_KEY_NUMBER("vlan", struct sp_config_port, vlan, 1, 4094, ""),
	SP_KEY_NUMBER("queues", struct sp_config_port, queues, 1, SP_WORKERS_MAX, ""),
	SP_KEY_NUMBER("descriptors", struct sp_config_port, descriptors, 64, 8192, ""),
	SP_KEY_NUMBER("mtu", struct sp_config_port, mtu, 576, 9600, "bytes"),
	SP_KEY_CHOICE("checksum", struct sp_config_port, checksum, checksum_names, SP_CONFIG_LENGTH(checksum_names)),
	SP_KEY_CHOICE("rpf", struct sp_config_port, rpf, sp_config_rpf_names, SP_CONFIG_RPF_NAMES),
};

void sp_config_read_ports(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	struct sp_config *config = into;
	int n = config_setting_length(s);

	(void)key;
	if (config_setting_type(s) != CONFIG_TYPE_LIST) {
		sp_config_error(reader, s, "\"ports\" must be a list: ports = ( { name = \"in\"; ... }, { ... } );");
		return;
	}
	if (n > SP_CONFIG_PORTS_MAX) {
		sp_config_error(reader, s, "%d ports; %d are the most", n, SP_CONFIG_PORTS_MAX);
		return;
	}
	config->ports = calloc(n > 0 ? (size_t)n : 1, sizeof(config->ports[0]));
	if (config->ports == NULL) {
		sp_config_error(reader, s, "out of memory");
		return;
	}
	for (int i = 0; i < n; i++) {
		const config_setting_t *elem = config_setting_get_elem(s, (unsigned int)i);
		struct sp_config_port *port = &config->ports[config->n_ports];
		const char *file;

		if (config_setting_type(elem) != CONFIG_TYPE_GROUP) {
			sp_config_error(
				reader, elem, "a port is a group: { name = \"in\"; device = \"...\"; zone = \"inside\"; peer = \"out\"; }");
			continue;
		}
		config->n_ports++;
		sp_config_place(reader, elem, &file, &port->line);
		port->file = sp_config_strdup(config, file);
		port->peer = port->parent = -1;
		port->zone = SP_MATCH_NO_ZONE;
		port->checksum = SP_CHECKSUM_TRUST_NIC;
		port->rpf = SP_CONFIG_RPF_UNSET;
		sp_config_read_keys(reader, elem, "in a port", port_keys, SP_CONFIG_LENGTH(port_keys), port);
	}
}
