/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the text of a configuration to struct sp_config: one table of keys a group, one function a key. What concerns several keys is
 * checked afterwards in config.c.
 */
#include "vnf/config.h"

#include <errno.h>
#include <libconfig.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "rules/fields.h"
#include "rules/match.h"
#include "rules/scan.h"

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

struct reader {
	struct sp_config *config;
	struct sp_diags *diags;
	struct sp_scan scan;
	const char *file;
	char folder[PATH_MAX]; /* of the file, where relative paths begin; "": the working directory */
};

struct key {
	const char *name;
	void (*read)(struct reader *reader, const config_setting_t *setting, void *into);
};

static void place(const struct reader *reader, const config_setting_t *setting, const char **file, int *line)
{
	int text_line = 0;

	/* An element of a list has no line of its own in libconfig: its first member's, or its parent's, is nearest. */
	for (const config_setting_t *s = setting; s != NULL && text_line == 0;
		s = config_setting_is_aggregate(s) ? config_setting_get_elem(s, 0) : NULL)
		text_line = config_setting_source_line(s);
	for (const config_setting_t *s = setting; s != NULL && text_line == 0; s = config_setting_parent(s))
		text_line = config_setting_source_line(s);
	*file = reader->file;
	*line = text_line;
	if (text_line > 0)
		sp_scan_locate(&reader->scan, text_line, file, line);
}

__attribute__((format(printf, 3, 4))) static void error(struct reader *reader, const config_setting_t *setting, const char *fmt, ...)
{
	const char *file;
	char text[1024];
	va_list args;
	int line;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	place(reader, setting, &file, &line);
	sp_diag_error(reader->diags, file, line, "%s", text);
}

/* --- values -------------------------------------------------------------------------------------------------------------------- */

/* An integer, or text with a unit that `parse` understands. False with an error outside min..max. */
static bool number(struct reader *reader, const config_setting_t *s, uint64_t min, uint64_t max, const char *unit, uint64_t *out)
{
	uint64_t value = 0;
	bool ok = false;

	if (config_setting_type(s) == CONFIG_TYPE_INT || config_setting_type(s) == CONFIG_TYPE_INT64) {
		long long i = config_setting_get_int64(s);

		ok = i >= 0;
		value = (uint64_t)i;
	}
	if (!ok || value < min || value > max) {
		error(reader, s, "\"%s\" must be a number from %llu to %llu%s%s", config_setting_name(s), (unsigned long long)min,
			(unsigned long long)max, unit[0] != '\0' ? ", in " : "", unit);
		return false;
	}
	*out = value;
	return true;
}

static bool duration(struct reader *reader, const config_setting_t *s, uint32_t *sec)
{
	uint64_t value;

	if (config_setting_type(s) == CONFIG_TYPE_STRING) {
		if (sp_duration_parse(config_setting_get_string(s), sec) == 0)
			return true;
		error(reader, s, "\"%s\" must be a duration such as \"30s\", \"5m\" or \"8h\", up to 365 days", config_setting_name(s));
		return false;
	}
	if (!number(reader, s, 1, 31536000, "seconds", &value))
		return false;
	*sec = value;
	return true;
}

static bool boolean(struct reader *reader, const config_setting_t *s, bool *out)
{
	if (config_setting_type(s) != CONFIG_TYPE_BOOL) {
		error(reader, s, "\"%s\" must be true or false", config_setting_name(s));
		return false;
	}
	*out = config_setting_get_bool(s) != 0;
	return true;
}

static const char *string(struct reader *reader, const config_setting_t *s)
{
	if (config_setting_type(s) == CONFIG_TYPE_STRING)
		return config_setting_get_string(s);
	error(reader, s, "\"%s\" must be a string in double quotes", config_setting_name(s));
	return NULL;
}

/* Index of a string among the choices, -1 with an error that lists them. */
static int choice(struct reader *reader, const config_setting_t *s, const char *const *choices, size_t n)
{
	const char *text = string(reader, s);
	char list[128] = "";
	size_t used = 0;

	if (text == NULL)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (strcmp(text, choices[i]) == 0)
			return (int)i;
	for (size_t i = 0; i < n && used < sizeof(list); i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s\"%s\"", i == 0 ? "" : " or ", choices[i]);
	error(reader, s, "\"%s\" is \"%s\", but must be %s", config_setting_name(s), text, list);
	return -1;
}

/* A path; relative ones begin at the configuration's folder. "" gives NULL. */
static void path(struct reader *reader, const config_setting_t *s, size_t max, const char **out)
{
	const char *text = string(reader, s);
	char full[2 * PATH_MAX];
	char *copy;

	if (text == NULL)
		return;
	if (text[0] == '\0') {
		*out = NULL;
		return;
	}
	if (text[0] == '/' || reader->folder[0] == '\0')
		snprintf(full, sizeof(full), "%s", text);
	else
		snprintf(full, sizeof(full), "%s/%s", reader->folder, text);
	if (strlen(full) >= max) {
		error(reader, s, "\"%s\" is a path of %zu bytes; %zu are the most", config_setting_name(s), strlen(full), max - 1);
		return;
	}
	copy = sp_config_strdup(reader->config, full);
	if (copy == NULL)
		error(reader, s, "out of memory");
	else
		*out = copy;
}

/* --- groups -------------------------------------------------------------------------------------------------------------------- */

#define KEYS_MAX 32

static void unknown_key(struct reader *reader, const config_setting_t *s, const char *where, const struct key *keys, size_t n)
{
	const char *names[KEYS_MAX], *name = config_setting_name(s), *near;

	for (size_t i = 0; i < n; i++)
		names[i] = keys[i].name;
	near = sp_diag_nearest(name, strlen(name), names, n);
	if (near != NULL)
		error(reader, s, "unknown key \"%s\" %s; did you mean \"%s\"?", name, where, near);
	else
		error(reader, s, "unknown key \"%s\" %s; remove it", name, where);
}

static void read_keys(struct reader *reader, const config_setting_t *group, const char *where, const struct key *keys, size_t n, void *into)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *s = config_setting_get_elem(group, (unsigned int)i);
		size_t k = 0;

		while (k < n && strcmp(keys[k].name, config_setting_name(s)) != 0)
			k++;
		if (k == n)
			unknown_key(reader, s, where, keys, n);
		else
			keys[k].read(reader, s, into);
	}
}

static void read_group(struct reader *reader, const config_setting_t *s, const struct key *keys, size_t n)
{
	char where[64];

	snprintf(where, sizeof(where), "in \"%s\"", config_setting_name(s));
	if (config_setting_type(s) != CONFIG_TYPE_GROUP)
		error(reader, s, "\"%s\" must be a group: %s = { ... };", config_setting_name(s), config_setting_name(s));
	else
		read_keys(reader, s, where, keys, n, reader->config);
}

/* --- ports --------------------------------------------------------------------------------------------------------------------- */

static bool identifier(const char *text, size_t max)
{
	size_t n = strlen(text);

	if (n == 0 || n >= max || strspn(text, "0123456789") > 0)
		return false;
	return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n && text[0] != '-';
}

static void read_name(struct reader *reader, const config_setting_t *s, char out[32])
{
	const char *text = string(reader, s);

	if (text == NULL)
		return;
	if (!identifier(text, 32))
		error(reader, s, "\"%s\" is no name: use 1 to 31 letters, digits, _ and -, beginning with a letter", text);
	else
		snprintf(out, 32, "%s", text);
}

static void port_name(struct reader *reader, const config_setting_t *s, void *into)
{
	read_name(reader, s, ((struct sp_config_port *)into)->name);
}

static void port_peer(struct reader *reader, const config_setting_t *s, void *into)
{
	read_name(reader, s, ((struct sp_config_port *)into)->peer_name);
}

static void port_parent(struct reader *reader, const config_setting_t *s, void *into)
{
	read_name(reader, s, ((struct sp_config_port *)into)->parent_name);
}

static void port_device(struct reader *reader, const config_setting_t *s, void *into)
{
	struct sp_config_port *port = into;
	const char *text = string(reader, s);
	char why[256];

	if (text != NULL && sp_device_parse(text, &port->device, why, sizeof(why)) != 0)
		error(reader, s, "%s", why);
}

static void port_zone(struct reader *reader, const config_setting_t *s, void *into)
{
	struct sp_config_port *port = into;
	const char *text = string(reader, s);
	int index;

	if (text == NULL)
		return;
	index = sp_zone_index(&reader->config->zones, text, strlen(text));
	if (index == -ENOSPC)
		error(reader, s, "more than %d zones; let ports share zones", SP_ZONES_MAX);
	else if (index < 0)
		error(reader, s,
			"\"%s\" is no zone name: use 1 to 31 letters, digits, _ and -, beginning with a letter, and no rule field's name",
			text);
	else
		port->zone = (uint8_t)index;
}

static void port_vlan(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 1, 4094, "", &value))
		((struct sp_config_port *)into)->vlan = value;
}

static void port_queues(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 1, SP_WORKERS_MAX, "", &value))
		((struct sp_config_port *)into)->queues = value;
}

static void port_descriptors(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 64, 8192, "", &value))
		((struct sp_config_port *)into)->descriptors = value;
}

static void port_mtu(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 576, 9600, "bytes", &value))
		((struct sp_config_port *)into)->mtu = value;
}

static void port_checksum(struct reader *reader, const config_setting_t *s, void *into)
{
	static const char *const choices[] = {
		[SP_CHECKSUM_TRUST_NIC] = "trust-nic", [SP_CHECKSUM_VERIFY] = "verify", [SP_CHECKSUM_OFF] = "off"};
	int i = choice(reader, s, choices, ARRAY_LENGTH(choices));

	if (i >= 0)
		((struct sp_config_port *)into)->checksum = (uint8_t)i;
}

static const struct key port_keys[] = {
	{"name", port_name},
	{"device", port_device},
	{"zone", port_zone},
	{"peer", port_peer},
	{"parent", port_parent},
	{"vlan", port_vlan},
	{"queues", port_queues},
	{"descriptors", port_descriptors},
	{"mtu", port_mtu},
	{"checksum", port_checksum},
};

static void read_ports(struct reader *reader, const config_setting_t *s, void *into)
{
	struct sp_config *config = into;
	int n = config_setting_length(s);

	if (config_setting_type(s) != CONFIG_TYPE_LIST) {
		error(reader, s, "\"ports\" must be a list: ports = ( { name = \"in\"; ... }, { ... } );");
		return;
	}
	if (n > SP_CONFIG_PORTS_MAX) {
		error(reader, s, "%d ports; %d are the most", n, SP_CONFIG_PORTS_MAX);
		return;
	}
	config->ports = calloc(n > 0 ? (size_t)n : 1, sizeof(config->ports[0]));
	if (config->ports == NULL) {
		error(reader, s, "out of memory");
		return;
	}
	for (int i = 0; i < n; i++) {
		const config_setting_t *elem = config_setting_get_elem(s, (unsigned int)i);
		struct sp_config_port *port = &config->ports[config->n_ports];
		const char *file;

		if (config_setting_type(elem) != CONFIG_TYPE_GROUP) {
			error(reader, elem, "a port is a group: { name = \"in\"; device = \"...\"; zone = \"inside\"; peer = \"out\"; }");
			continue;
		}
		config->n_ports++;
		place(reader, elem, &file, &port->line);
		port->file = sp_config_strdup(config, file);
		port->peer = port->parent = -1;
		port->zone = SP_MATCH_NO_ZONE;
		port->checksum = SP_CHECKSUM_TRUST_NIC;
		read_keys(reader, elem, "in a port", port_keys, ARRAY_LENGTH(port_keys), port);
	}
}

/* --- the other keys ------------------------------------------------------------------------------------------------------------ */

static void read_mode(struct reader *reader, const config_setting_t *s, void *into)
{
	const char *text = string(reader, s);

	(void)into;
	if (text == NULL || strcmp(text, "wire") == 0)
		return;
	if (strcmp(text, "route") == 0)
		error(reader, s, "mode \"route\" is not supported yet; use \"wire\"");
	else
		error(reader, s, "\"mode\" is \"%s\", but must be \"wire\"", text);
}

static void read_workers(struct reader *reader, const config_setting_t *s, void *into)
{
	struct sp_config *config = into;
	int n = config_setting_length(s);

	if ((config_setting_type(s) != CONFIG_TYPE_ARRAY && config_setting_type(s) != CONFIG_TYPE_LIST) || n == 0) {
		error(reader, s, "\"workers\" must be a list of CPU numbers: workers = [ 1, 2 ];");
		return;
	}
	if (n > SP_WORKERS_MAX) {
		error(reader, s, "%d workers; %d are the most", n, SP_WORKERS_MAX);
		return;
	}
	for (int i = 0; i < n; i++) {
		const config_setting_t *elem = config_setting_get_elem(s, (unsigned int)i);
		long long cpu = config_setting_type(elem) == CONFIG_TYPE_INT ? config_setting_get_int(elem) : -1;

		if (cpu < 0 || cpu > 1023) {
			error(reader, elem, "a worker is a CPU number from 0 to 1023");
			return;
		}
		for (unsigned int w = 0; w < config->n_workers; w++)
			if (config->workers[w] == cpu) {
				error(reader, elem, "CPU %lld is named twice in \"workers\"; each worker needs its own", cpu);
				return;
			}
		config->workers[config->n_workers++] = (unsigned int)cpu;
	}
}

static void memory_huge(struct reader *reader, const config_setting_t *s, void *into)
{
	bool value;

	if (boolean(reader, s, &value))
		((struct sp_config *)into)->huge = value ? SP_HUGE_YES : SP_HUGE_NO;
}

static void memory_mb(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 64, 1048576, "MB", &value))
		((struct sp_config *)into)->memory_mb = value;
}

static void memory_buffers(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 1024, 16777216, "packets", &value))
		((struct sp_config *)into)->buffers = value;
}

static void read_memory(struct reader *reader, const config_setting_t *s, void *into)
{
	static const struct key keys[] = {{"huge", memory_huge}, {"mb", memory_mb}, {"buffers", memory_buffers}};

	(void)into;
	read_group(reader, s, keys, ARRAY_LENGTH(keys));
}

static void read_rules(struct reader *reader, const config_setting_t *s, void *into)
{
	struct sp_config *config = into;

	path(reader, s, PATH_MAX, &config->rules);
	if (config->rules == NULL)
		error(reader, s, "\"rules\" must name a rule file");
}

static void api_socket(struct reader *reader, const config_setting_t *s, void *into)
{
	path(reader, s, sizeof(((struct sockaddr_un *)NULL)->sun_path), &((struct sp_config *)into)->socket);
}

static void api_group(struct reader *reader, const config_setting_t *s, void *into)
{
	struct sp_config *config = into;
	const char *text = string(reader, s);

	if (text != NULL && text[0] != '\0')
		config->group = sp_config_strdup(config, text);
}

static void api_mode(struct reader *reader, const config_setting_t *s, void *into)
{
	const char *text = string(reader, s);

	if (text == NULL)
		return;
	if (strlen(text) < 3 || strlen(text) > 4 || strspn(text, "01234567") != strlen(text))
		error(reader, s, "\"mode\" must be an octal file mode in quotes, such as \"0660\"");
	else
		((struct sp_config *)into)->socket_mode = (mode_t)(strtoul(text, NULL, 8) & 0777);
}

static void read_api(struct reader *reader, const config_setting_t *s, void *into)
{
	static const struct key keys[] = {{"socket", api_socket}, {"group", api_group}, {"mode", api_mode}};

	(void)into;
	read_group(reader, s, keys, ARRAY_LENGTH(keys));
}

static void log_eve(struct reader *reader, const config_setting_t *s, void *into)
{
	path(reader, s, PATH_MAX, &((struct sp_config *)into)->eve);
}

static void log_stats_interval(struct reader *reader, const config_setting_t *s, void *into)
{
	uint32_t *sec = &((struct sp_config *)into)->stats_interval_sec;

	if (config_setting_type(s) == CONFIG_TYPE_INT && config_setting_get_int(s) == 0)
		*sec = 0;
	else
		duration(reader, s, sec);
}

static void log_rotate(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 0, 1048576, "MB (0: never)", &value))
		((struct sp_config *)into)->rotate_mb = (uint32_t)value;
}

static void log_keep(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 0, 1000, "files", &value))
		((struct sp_config *)into)->keep = (uint32_t)value;
}

static void log_rate(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 0, 1000000, "events a second (0: no limit)", &value))
		((struct sp_config *)into)->log_rate = (uint32_t)value;
}

static void read_log(struct reader *reader, const config_setting_t *s, void *into)
{
	static const struct key keys[] = {{"eve", log_eve}, {"rotate_mb", log_rotate}, {"keep", log_keep}, {"rate", log_rate},
		{"stats_interval", log_stats_interval}};

	(void)into;
	read_group(reader, s, keys, ARRAY_LENGTH(keys));
}

static void captures_folder(struct reader *reader, const config_setting_t *s, void *into)
{
	path(reader, s, PATH_MAX - 64, &((struct sp_config *)into)->captures);
}

static void read_captures(struct reader *reader, const config_setting_t *s, void *into)
{
	static const struct key keys[] = {{"folder", captures_folder}};

	(void)into;
	read_group(reader, s, keys, ARRAY_LENGTH(keys));
}

/* Sessions cost about 200 bytes each, so the bound is one of memory that a machine can have. */
#define SESSIONS_MIN 64
#define SESSIONS_MAX 134217728

static void sessions_max(struct reader *reader, const config_setting_t *s, void *into)
{
	struct sp_config *config = into;
	uint64_t value;

	if (!number(reader, s, 4 * SESSIONS_MIN, SESSIONS_MAX, "sessions", &value))
		return;
	config->sessions6 = value / 4;
	config->sessions4 = value - value / 4;
}

static void sessions_max4(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, SESSIONS_MIN, SESSIONS_MAX, "sessions", &value))
		((struct sp_config *)into)->sessions4 = value;
}

static void sessions_max6(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, SESSIONS_MIN, SESSIONS_MAX, "sessions", &value))
		((struct sp_config *)into)->sessions6 = value;
}

static void sessions_timeout(struct reader *reader, const config_setting_t *s, void *into)
{
	struct sp_config *config = into;

	for (int state = 0; state < SP_STATE_COUNT; state++)
		if (strcmp(sp_state_names[state], config_setting_name(s)) == 0)
			duration(reader, s, &config->timeout_sec[state]);
}

static void sessions_timeouts(struct reader *reader, const config_setting_t *s, void *into)
{
	static const struct key keys[] = {
#define X(e, n, sec) {n, sessions_timeout},
		SP_SESSION_STATES(X)
#undef X
	};

	(void)into;
	read_group(reader, s, keys, ARRAY_LENGTH(keys));
}

static void sessions_icmp_errors(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 0, 1000000, "errors a second", &value))
		((struct sp_config *)into)->icmp_error_rate = (uint32_t)value;
}

static void sessions_on_change(struct reader *reader, const config_setting_t *s, void *into)
{
	int i = choice(reader, s, sp_on_change_names, SP_ON_CHANGE_COUNT);

	if (i >= 0)
		((struct sp_config *)into)->on_change = (uint8_t)i;
}

static void read_sessions(struct reader *reader, const config_setting_t *s, void *into)
{
	static const struct key keys[] = {{"max", sessions_max}, {"max4", sessions_max4}, {"max6", sessions_max6},
		{"timeouts", sessions_timeouts}, {"icmp_errors", sessions_icmp_errors}, {"on_change", sessions_on_change}};

	(void)into;
	read_group(reader, s, keys, ARRAY_LENGTH(keys));
	if (config_setting_type(s) == CONFIG_TYPE_GROUP && config_setting_get_member(s, "max") != NULL &&
		(config_setting_get_member(s, "max4") != NULL || config_setting_get_member(s, "max6") != NULL))
		error(reader, config_setting_get_member(s, "max"),
			"\"max\" counts both families and excludes \"max4\" and \"max6\"; give the one or the others");
}

static void limits_sources(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 1024, 16777216, "sources", &value))
		((struct sp_config *)into)->limit_sources = value;
}

static void read_limits(struct reader *reader, const config_setting_t *s, void *into)
{
	static const struct key keys[] = {{"sources", limits_sources}};

	(void)into;
	read_group(reader, s, keys, ARRAY_LENGTH(keys));
}

static void fragments_datagrams(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, SP_FRAGMENT_DATAGRAMS_MIN, 1048576, "datagrams", &value))
		((struct sp_config *)into)->fragments.datagrams = (uint32_t)value;
}

static void fragments_buffers(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, SP_FRAGMENT_BUFFERS_MIN, 4194304, "packets", &value))
		((struct sp_config *)into)->fragments.buffers = (uint32_t)value;
}

static void fragments_per_source(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 1, 1048576, "datagrams", &value))
		((struct sp_config *)into)->fragments.per_source = (uint32_t)value;
}

/* Longer than RFC 8200's 60 seconds twice over, pieces only wait to be mixed up with those of a reused identification. */
static void fragments_timeout(struct reader *reader, const config_setting_t *s, void *into)
{
	uint32_t *sec = &((struct sp_config *)into)->fragments.timeout_sec, was = *sec;

	duration(reader, s, sec);
	if (*sec > SP_FRAGMENT_TIMEOUT_MAX) {
		error(reader, s, "fragments wait for at most %d seconds", SP_FRAGMENT_TIMEOUT_MAX);
		*sec = was;
	}
}

static void read_fragments(struct reader *reader, const config_setting_t *s, void *into)
{
	static const struct key keys[] = {{"datagrams", fragments_datagrams}, {"buffers", fragments_buffers},
		{"timeout", fragments_timeout}, {"per_source", fragments_per_source}};

	(void)into;
	read_group(reader, s, keys, ARRAY_LENGTH(keys));
}

static void floods_syn_proxy(struct reader *reader, const config_setting_t *s, void *into)
{
	int i = choice(reader, s, sp_syn_proxy_mode_names, SP_SYN_PROXY_MODES);

	if (i >= 0)
		((struct sp_config *)into)->floods.syn_proxy = (uint8_t)i;
}

static void floods_embryonic(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 2, SESSIONS_MAX, "half-open connections", &value))
		((struct sp_config *)into)->floods.embryonic_high = (uint32_t)value;
}

static void floods_embryonic_low(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 1, SESSIONS_MAX, "half-open connections", &value))
		((struct sp_config *)into)->floods.embryonic_low = (uint32_t)value;
}

static void floods_calm(struct reader *reader, const config_setting_t *s, void *into)
{
	duration(reader, s, &((struct sp_config *)into)->floods.calm_sec);
}

static void floods_mss(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 536, 65495, "bytes", &value))
		((struct sp_config *)into)->floods.mss4 = (uint16_t)value;
}

static void floods_mss6(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 1220, 65475, "bytes", &value))
		((struct sp_config *)into)->floods.mss6 = (uint16_t)value;
}

static void floods_window_scale(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 0, 14, "", &value))
		((struct sp_config *)into)->floods.wscale = (uint8_t)value;
}

static void floods_pressure_start(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 0, 99, "percent", &value))
		((struct sp_config *)into)->pressure.start_percent = (uint32_t)value;
}

static void floods_pressure_end(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 0, 100, "percent (0: never)", &value))
		((struct sp_config *)into)->pressure.end_percent = (uint32_t)value;
}

static void floods_pressure_min(struct reader *reader, const config_setting_t *s, void *into)
{
	uint32_t sec;

	if (duration(reader, s, &sec))
		((struct sp_config *)into)->pressure.min_sec = RTE_MIN(sec, SP_SESSION_TIMEOUT_CAP_SEC);
}

static void read_floods(struct reader *reader, const config_setting_t *s, void *into)
{
	static const struct key keys[] = {{"syn_proxy", floods_syn_proxy}, {"embryonic", floods_embryonic},
		{"embryonic_low", floods_embryonic_low}, {"calm", floods_calm}, {"mss", floods_mss}, {"mss6", floods_mss6},
		{"window_scale", floods_window_scale}, {"pressure_start", floods_pressure_start}, {"pressure_end", floods_pressure_end},
		{"pressure_min", floods_pressure_min}};
	const struct sp_config *config = into;

	read_group(reader, s, keys, ARRAY_LENGTH(keys));
	if (config->floods.embryonic_high != 0 && config->floods.embryonic_low >= config->floods.embryonic_high)
		error(reader, s, "\"embryonic_low\" must be less than \"embryonic\": the proxy would disengage where it engages");
	if (config->pressure.end_percent != 0 && config->pressure.start_percent >= config->pressure.end_percent)
		error(reader, s, "\"pressure_start\" must be less than \"pressure_end\"");
}

static void tcp_midstream(struct reader *reader, const config_setting_t *s, void *into)
{
	boolean(reader, s, &((struct sp_config *)into)->tcp.midstream);
}

static void tcp_challenges(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 0, 10000000, "challenge ACKs a second and worker", &value))
		((struct sp_config *)into)->tcp.challenges = (uint32_t)value;
}

static void read_tcp(struct reader *reader, const config_setting_t *s, void *into)
{
	static const struct key keys[] = {{"midstream", tcp_midstream}, {"challenges", tcp_challenges}};

	(void)into;
	read_group(reader, s, keys, ARRAY_LENGTH(keys));
}

static void read_poll(struct reader *reader, const config_setting_t *s, void *into)
{
	static const char *const choices[] = {"busy", "adaptive"};
	int i = choice(reader, s, choices, ARRAY_LENGTH(choices));

	if (i >= 0)
		((struct sp_config *)into)->adaptive = i == 1;
}

static void read_reject_rate(struct reader *reader, const config_setting_t *s, void *into)
{
	uint64_t value;

	if (number(reader, s, 0, 10000000, "answers a second and worker", &value))
		((struct sp_config *)into)->reject_rate = value;
}

static void read_hardening(struct reader *reader, const config_setting_t *s, void *into)
{
	boolean(reader, s, &((struct sp_config *)into)->hardening);
}

static const struct key top_keys[] = {
	{"mode", read_mode},
	{"workers", read_workers},
	{"memory", read_memory},
	{"ports", read_ports},
	{"rules", read_rules},
	{"api", read_api},
	{"log", read_log},
	{"captures", read_captures},
	{"sessions", read_sessions},
	{"limits", read_limits},
	{"fragments", read_fragments},
	{"floods", read_floods},
	{"tcp", read_tcp},
	{"poll", read_poll},
	{"reject_rate", read_reject_rate},
	{"hardening", read_hardening},
};

/* --- the whole file ------------------------------------------------------------------------------------------------------------ */

static void set_defaults(struct sp_config *config, const char *file)
{
	config->file = sp_config_strdup(config, file);
	config->rules = SP_CONFIG_DEFAULT_RULES;
	config->socket = SP_CONFIG_DEFAULT_SOCKET;
	config->socket_mode = 0660;
	config->sessions6 = SP_CONFIG_DEFAULT_SESSIONS / 4;
	config->sessions4 = SP_CONFIG_DEFAULT_SESSIONS - config->sessions6;
	memcpy(config->timeout_sec, sp_state_default_sec, sizeof(config->timeout_sec));
	config->icmp_error_rate = SP_CONFIG_DEFAULT_ICMP_ERRORS;
	config->limit_sources = SP_CONFIG_DEFAULT_SOURCES;
	config->fragments = sp_fragments_share(&config->fragments, 1);
	config->floods = (struct sp_flood_config){.syn_proxy = SP_SYN_PROXY_AUTO,
		.calm_sec = SP_FLOOD_CALM_SEC,
		.mss4 = SP_FLOOD_MSS4,
		.mss6 = SP_FLOOD_MSS6,
		.wscale = SP_FLOOD_WSCALE};
	config->pressure = (struct sp_pressure_config){
		.start_percent = SP_FLOOD_PRESSURE_START, .end_percent = SP_FLOOD_PRESSURE_END, .min_sec = SP_FLOOD_PRESSURE_MIN_SEC};
	config->reject_rate = SP_CONFIG_DEFAULT_REJECTS;
	config->tcp.challenges = SP_TCP_CHALLENGES;
	config->rotate_mb = SP_CONFIG_DEFAULT_ROTATE;
	config->keep = SP_CONFIG_DEFAULT_KEEP;
	config->log_rate = SP_CONFIG_DEFAULT_LOG_RATE;
	config->hardening = true;
}

static void set_folder(struct reader *reader, const char *file)
{
	const char *slash = strrchr(file, '/');

	if (slash == NULL)
		reader->folder[0] = '\0';
	else
		snprintf(reader->folder, sizeof(reader->folder), "%.*s", (int)(slash == file ? 1 : slash - file), file);
}

static void parse(struct reader *reader)
{
	config_t libconfig;

	config_init(&libconfig);
	if (config_read_string(&libconfig, reader->scan.text) != CONFIG_TRUE) {
		const char *file = reader->file;
		int line = config_error_line(&libconfig);

		sp_scan_locate(&reader->scan, line, &file, &line);
		sp_diag_error(reader->diags, file, line, "%s; a setting is written: name = value;", config_error_text(&libconfig));
	} else {
		read_keys(
			reader, config_root_setting(&libconfig), "in the configuration", top_keys, ARRAY_LENGTH(top_keys), reader->config);
	}
	config_destroy(&libconfig);
}

struct sp_config *sp_config_read(const char *bytes, size_t size, const char *file, struct sp_diags *diags)
{
	struct reader reader = {.config = calloc(1, sizeof(struct sp_config)), .diags = diags, .file = file};
	struct sp_scan_options options = {.file = file, .include_dir = "."};
	size_t errors = diags->errors;

	if (reader.config == NULL) {
		sp_diag_error(diags, file, 0, "out of memory");
		return NULL;
	}
	set_folder(&reader, file);
	if (reader.folder[0] != '\0')
		options.include_dir = reader.folder;
	set_defaults(reader.config, file);
	if (sp_scan(bytes, size, &options, &reader.scan, diags) != 0) {
		if (diags->errors == errors)
			sp_diag_error(diags, file, 0, "out of memory");
		sp_config_free(reader.config);
		return NULL;
	}
	parse(&reader);
	if (diags->errors == errors)
		sp_config_resolve(reader.config, diags);
	sp_scan_free(&reader.scan);
	if (diags->errors == errors)
		return reader.config;
	sp_config_free(reader.config);
	return NULL;
}

struct sp_config *sp_config_read_file(const char *file, struct sp_diags *diags)
{
	struct sp_config *config;
	char *bytes;
	size_t size;

	if (sp_file_read(file, &bytes, &size, diags) != 0)
		return NULL;
	config = sp_config_read(bytes, size, file, diags);
	free(bytes);
	return config;
}
