/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the text of a configuration to struct sp_config: defaults, the scan, libconfig, then each key by its table (config_keys.c), and the
 * cross-checks (config.c).
 */
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules/scan.h"
#include "vnf/config_values.h"

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
	sp_config_route_defaults(config);
}

static void set_folder(struct sp_config_reader *reader, const char *file)
{
	const char *slash = strrchr(file, '/');

	if (slash == NULL)
		reader->folder[0] = '\0';
	else
		snprintf(reader->folder, sizeof(reader->folder), "%.*s", (int)(slash == file ? 1 : slash - file), file);
}

static void read_root(struct sp_config_reader *reader, const config_setting_t *root)
{
	const config_setting_t *route = config_setting_get_member(root, "route");

	sp_config_read_keys(reader, root, "in the configuration", sp_config_keys, sp_config_n_keys, reader->config);
	if (route != NULL && reader->config->mode != SP_MODE_ROUTE)
		sp_config_error(reader, route, "\"route\" means nothing in wire mode; set mode = \"route\", or remove it");
}

static void parse(struct sp_config_reader *reader)
{
	config_t libconfig;

	config_init(&libconfig);
	if (config_read_string(&libconfig, reader->scan.text) != CONFIG_TRUE) {
		const char *file = reader->file;
		int line = config_error_line(&libconfig);

		sp_scan_locate(&reader->scan, line, &file, &line);
		sp_diag_error(reader->diags, file, line, "%s; a setting is written: name = value;", config_error_text(&libconfig));
	} else {
		read_root(reader, config_root_setting(&libconfig));
	}
	config_destroy(&libconfig);
}

struct sp_config *sp_config_read(const char *bytes, size_t size, const char *file, struct sp_diags *diags)
{
	struct sp_config_reader reader = {.config = calloc(1, sizeof(struct sp_config)), .diags = diags, .file = file};
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

/* The group `api` of a text that libconfig reads. */
static void rescue_api(struct sp_config_reader *reader, const char *bytes, size_t size)
{
	struct sp_scan_options options = {.file = reader->file, .include_dir = reader->folder[0] != '\0' ? reader->folder : "."};
	const config_setting_t *api;
	config_t libconfig;

	if (sp_scan(bytes, size, &options, &reader->scan, reader->diags) != 0)
		return;
	config_init(&libconfig);
	if (config_read_string(&libconfig, reader->scan.text) == CONFIG_TRUE &&
		(api = config_setting_get_member(config_root_setting(&libconfig), "api")) != NULL)
		for (size_t i = 0; i < sp_config_n_keys; i++)
			if (strcmp(sp_config_keys[i].name, "api") == 0)
				sp_config_keys[i].read(reader, api, &sp_config_keys[i], reader->config);
	config_destroy(&libconfig);
	sp_scan_free(&reader->scan);
}

struct sp_config *sp_config_rescue(const char *file)
{
	struct sp_diags ignored = {0};
	struct sp_config_reader reader = {.config = calloc(1, sizeof(struct sp_config)), .diags = &ignored, .file = file};
	char *bytes;
	size_t size;

	if (reader.config == NULL)
		return NULL;
	set_folder(&reader, file);
	set_defaults(reader.config, file);
	if (sp_file_read(file, &bytes, &size, &ignored) == 0) {
		rescue_api(&reader, bytes, size);
		free(bytes);
	}
	/* A listener over TCP may be what is wrong. */
	reader.config->tls = (struct sp_tls_config){0};
	reader.config->adaptive = true;
	if (reader.config->socket == NULL)
		reader.config->socket = SP_CONFIG_DEFAULT_SOCKET;
	reader.config->zones.closed = true;
	reader.config->floods.embryonic_high = 2;
	reader.config->floods.embryonic_low = 1;
	reader.config->zone_self = SP_MATCH_NO_ZONE;
	sp_diags_clear(&ignored);
	return reader.config;
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
