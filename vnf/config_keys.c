/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keys of a configuration, section by section; those of ports and of routing have files of their own. What concerns several keys is
 * checked afterwards in config.c, or, within a section, right after it was read.
 */
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "vnf/config_values.h"

/* --- the machine --------------------------------------------------------------------------------------------------------------- */

static const char *const mode_names[] = {[SP_MODE_WIRE] = "wire", [SP_MODE_ROUTE] = "route"};

static void set_workers(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	struct sp_config *config = into;
	int n = config_setting_length(s);

	(void)key;
	if ((config_setting_type(s) != CONFIG_TYPE_ARRAY && config_setting_type(s) != CONFIG_TYPE_LIST) || n == 0) {
		sp_config_error(reader, s, "\"workers\" must be a list of CPU numbers: workers = [ 1, 2 ];");
		return;
	}
	if (n > SP_WORKERS_MAX) {
		sp_config_error(reader, s, "%d workers; %d are the most", n, SP_WORKERS_MAX);
		return;
	}
	for (int i = 0; i < n; i++) {
		const config_setting_t *elem = config_setting_get_elem(s, (unsigned int)i);
		long long cpu = config_setting_type(elem) == CONFIG_TYPE_INT ? config_setting_get_int(elem) : -1;

		if (cpu < 0 || cpu > 1023) {
			sp_config_error(reader, elem, "a worker is a CPU number from 0 to 1023");
			return;
		}
		for (unsigned int w = 0; w < config->n_workers; w++)
			if (config->workers[w] == cpu) {
				sp_config_error(reader, elem, "CPU %lld is named twice in \"workers\"; each worker needs its own", cpu);
				return;
			}
		config->workers[config->n_workers++] = (unsigned int)cpu;
	}
}

static void set_huge(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	bool value;

	(void)key;
	if (sp_config_bool(reader, s, &value))
		((struct sp_config *)into)->huge = value ? SP_HUGE_YES : SP_HUGE_NO;
}

static const struct sp_config_key memory_keys[] = {
	SP_KEY("huge", set_huge),
	SP_KEY_NUMBER("mb", struct sp_config, memory_mb, 64, 1048576, "MB"),
	SP_KEY_NUMBER("buffers", struct sp_config, buffers, 1024, 16777216, "packets"),
};

static const char *const poll_names[] = {"busy", "adaptive"}; /* index: bool adaptive */

/* --- rules, API and logs -------------------------------------------------------------------------------------------------------- */

static void set_rules(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	struct sp_config *config = into;

	sp_config_set_path(reader, s, key, into);
	if (config->rules == NULL)
		sp_config_error(reader, s, "\"rules\" must name a rule file");
}

static void set_socket_group(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	struct sp_config *config = into;
	const char *text = sp_config_string(reader, s);

	(void)key;
	if (text == NULL || text[0] == '\0')
		return;
	config->group = sp_config_strdup(config, text);
	if (config->group == NULL)
		sp_config_error(reader, s, "out of memory");
}

static void set_socket_mode(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	const char *text = sp_config_string(reader, s);

	(void)key;
	if (text == NULL)
		return;
	if (strlen(text) < 3 || strlen(text) > 4 || strspn(text, "01234567") != strlen(text))
		sp_config_error(reader, s, "\"mode\" must be an octal file mode in quotes, such as \"0660\"");
	else
		((struct sp_config *)into)->socket_mode = (mode_t)(strtoul(text, NULL, 8) & 0777);
}

static void set_listen(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	struct sp_config *config = into;
	const char *text = sp_config_string(reader, s);

	(void)key;
	if (text == NULL || text[0] == '\0')
		return;
	if (sp_tls_listen_port(text) == 0) {
		sp_config_error(reader, s, "\"listen\" must be an address and a port from 1 to 65535: \"0.0.0.0:8443\", \"[::]:8443\"");
		return;
	}
	config->tls.listen = sp_config_strdup(config, text);
	if (config->tls.listen == NULL)
		sp_config_error(reader, s, "out of memory");
}

static void set_device(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	struct sp_config *config = into;
	const char *text = sp_config_string(reader, s);

	(void)key;
	if (text == NULL || text[0] == '\0')
		return;
	if (strlen(text) >= IFNAMSIZ || strchr(text, '/') != NULL || strchr(text, ' ') != NULL) {
		sp_config_error(reader, s, "\"device\" must be the name of an interface or a VRF, such as \"mgmt\"");
		return;
	}
	config->tls.device = sp_config_strdup(config, text);
	if (config->tls.device == NULL)
		sp_config_error(reader, s, "out of memory");
}

static const struct sp_config_key api_keys[] = {
	SP_KEY_PATH("socket", sp_config_set_path, struct sp_config, socket, sizeof(((struct sockaddr_un *)NULL)->sun_path)),
	SP_KEY("group", set_socket_group),
	SP_KEY("mode", set_socket_mode),
	SP_KEY("listen", set_listen),
	SP_KEY("device", set_device),
	SP_KEY_PATH("certificate", sp_config_set_path, struct sp_config, tls.certificate, PATH_MAX),
	SP_KEY_PATH("key", sp_config_set_path, struct sp_config, tls.key, PATH_MAX),
	SP_KEY_PATH("tokens", sp_config_set_path, struct sp_config, tls.tokens, PATH_MAX),
};

/* The API over TCP is never without encryption and tokens. */
static void check_api(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config *config)
{
	const struct {
		const char *name, *value;
	} needed[] = {{"socket", config->socket}, {"certificate", config->tls.certificate}, {"key", config->tls.key},
		{"tokens", config->tls.tokens}};

	for (size_t i = 0; i < SP_CONFIG_LENGTH(needed); i++)
		if (config->tls.listen != NULL && needed[i].value == NULL)
			sp_config_error(reader, s, "\"listen\" needs \"%s\", the name of a file: see sallyport.conf(5)", needed[i].name);
}

static void read_api(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	sp_config_set_group(reader, s, key, into);
	check_api(reader, s, into);
}

static const struct sp_config_key log_keys[] = {
	SP_KEY_PATH("eve", sp_config_set_path, struct sp_config, eve, PATH_MAX),
	SP_KEY_NUMBER("rotate_mb", struct sp_config, rotate_mb, 0, 1048576, "MB (0: never)"),
	SP_KEY_NUMBER("keep", struct sp_config, keep, 0, 1000, "files"),
	SP_KEY_NUMBER("rate", struct sp_config, log_rate, 0, 1000000, "events a second (0: no limit)"),
	SP_KEY_SECONDS("stats_interval", struct sp_config, stats_interval_sec, 0, SP_CONFIG_DURATION_MAX),
};

static const struct sp_config_key captures_keys[] = {
	/* Less than a path may have, for the captures' names. */
	SP_KEY_PATH("folder", sp_config_set_path, struct sp_config, captures, PATH_MAX - 64),
};

static const struct sp_config_key limits_keys[] = {
	SP_KEY_NUMBER("sources", struct sp_config, limit_sources, 1024, 16777216, "sources"),
};

/* --- sessions ------------------------------------------------------------------------------------------------------------------- */

/* Sessions cost about 200 bytes each, so the bound is one of memory that a machine can have. */
#define SESSIONS_MIN 64
#define SESSIONS_MAX 134217728

static void set_max(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	struct sp_config *config = into;
	uint64_t value;

	if (!sp_config_number(reader, s, key->min, key->max, key->unit, &value))
		return;
	config->sessions6 = (uint32_t)(value / 4);
	config->sessions4 = (uint32_t)(value - value / 4);
}

static const struct sp_config_key timeout_keys[] = {
#define X(e, n, sec) SP_KEY_SECONDS(n, struct sp_config, timeout_sec[SP_STATE_##e], 1, SP_CONFIG_DURATION_MAX),
	SP_SESSION_STATES(X)
#undef X
};

static const struct sp_config_key session_keys[] = {
	SP_KEY_WITHIN("max", set_max, 4 * SESSIONS_MIN, SESSIONS_MAX, "sessions"),
	SP_KEY_NUMBER("max4", struct sp_config, sessions4, SESSIONS_MIN, SESSIONS_MAX, "sessions"),
	SP_KEY_NUMBER("max6", struct sp_config, sessions6, SESSIONS_MIN, SESSIONS_MAX, "sessions"),
	SP_KEY_GROUP("timeouts", sp_config_set_group, timeout_keys),
	SP_KEY_NUMBER("icmp_errors", struct sp_config, icmp_error_rate, 0, 1000000, "errors a second"),
	SP_KEY_CHOICE("on_change", struct sp_config, on_change, sp_on_change_names, SP_ON_CHANGE_COUNT),
};

static void set_sessions(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	sp_config_set_group(reader, s, key, into);
	if (config_setting_type(s) == CONFIG_TYPE_GROUP && config_setting_get_member(s, "max") != NULL &&
		(config_setting_get_member(s, "max4") != NULL || config_setting_get_member(s, "max6") != NULL))
		sp_config_error(reader, config_setting_get_member(s, "max"),
			"\"max\" counts both families and excludes \"max4\" and \"max6\"; give the one or the others");
}

/* --- fragments, TCP, floods ----------------------------------------------------------------------------------------------------- */

static const struct sp_config_key fragments_keys[] = {
	SP_KEY_NUMBER("datagrams", struct sp_config, fragments.datagrams, SP_FRAGMENT_DATAGRAMS_MIN, 1048576, "datagrams"),
	SP_KEY_NUMBER("buffers", struct sp_config, fragments.buffers, SP_FRAGMENT_BUFFERS_MIN, 4194304, "packets"),
	SP_KEY_SECONDS("timeout", struct sp_config, fragments.timeout_sec, 1, SP_FRAGMENT_TIMEOUT_MAX),
	SP_KEY_NUMBER("per_source", struct sp_config, fragments.per_source, 1, 1048576, "datagrams"),
};

static const struct sp_config_key tcp_keys[] = {
	SP_KEY_BOOL("midstream", struct sp_config, tcp.midstream),
	SP_KEY_NUMBER("challenges", struct sp_config, tcp.challenges, 0, 10000000, "challenge ACKs a second and worker"),
};

static const struct sp_config_key flood_keys[] = {
	SP_KEY_CHOICE("syn_proxy", struct sp_config, floods.syn_proxy, sp_syn_proxy_mode_names, SP_SYN_PROXY_MODES),
	SP_KEY_NUMBER("embryonic", struct sp_config, floods.embryonic_high, 2, SESSIONS_MAX, "half-open connections"),
	SP_KEY_NUMBER("embryonic_low", struct sp_config, floods.embryonic_low, 1, SESSIONS_MAX, "half-open connections"),
	SP_KEY_SECONDS("calm", struct sp_config, floods.calm_sec, 1, SP_CONFIG_DURATION_MAX),
	SP_KEY_NUMBER("mss", struct sp_config, floods.mss4, 536, 65495, "bytes"),
	SP_KEY_NUMBER("mss6", struct sp_config, floods.mss6, 1220, 65475, "bytes"),
	SP_KEY_NUMBER("window_scale", struct sp_config, floods.wscale, 0, 14, ""),
	SP_KEY_NUMBER("pressure_start", struct sp_config, pressure.start_percent, 0, 99, "percent"),
	SP_KEY_NUMBER("pressure_end", struct sp_config, pressure.end_percent, 0, 100, "percent (0: never)"),
	SP_KEY_SECONDS("pressure_min", struct sp_config, pressure.min_sec, 1, SP_SESSION_TIMEOUT_CAP_SEC),
};

static void set_floods(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	const struct sp_config *config = into;

	sp_config_set_group(reader, s, key, into);
	if (config->floods.embryonic_high != 0 && config->floods.embryonic_low >= config->floods.embryonic_high)
		sp_config_error(reader, s, "\"embryonic_low\" must be less than \"embryonic\": the proxy would disengage where it engages");
	if (config->pressure.end_percent != 0 && config->pressure.start_percent >= config->pressure.end_percent)
		sp_config_error(reader, s, "\"pressure_start\" must be less than \"pressure_end\"");
}

/* --- all of them ---------------------------------------------------------------------------------------------------------------- */

const struct sp_config_key sp_config_keys[] = {
	SP_KEY_CHOICE("mode", struct sp_config, mode, mode_names, SP_CONFIG_LENGTH(mode_names)),
	SP_KEY("workers", set_workers),
	SP_KEY_GROUP("memory", sp_config_set_group, memory_keys),
	SP_KEY("ports", sp_config_read_ports),
	SP_KEY_GROUP("route", sp_config_set_group, sp_config_route_keys),
	SP_KEY_PATH("rules", set_rules, struct sp_config, rules, PATH_MAX),
	SP_KEY_GROUP("api", read_api, api_keys),
	SP_KEY_GROUP("log", sp_config_set_group, log_keys),
	SP_KEY_GROUP("captures", sp_config_set_group, captures_keys),
	SP_KEY_GROUP("sessions", set_sessions, session_keys),
	SP_KEY_GROUP("limits", sp_config_set_group, limits_keys),
	SP_KEY_GROUP("fragments", sp_config_set_group, fragments_keys),
	SP_KEY_GROUP("floods", set_floods, flood_keys),
	SP_KEY_GROUP("tcp", sp_config_set_group, tcp_keys),
	SP_KEY_CHOICE("poll", struct sp_config, adaptive, poll_names, SP_CONFIG_LENGTH(poll_names)),
	SP_KEY_NUMBER("reject_rate", struct sp_config, reject_rate, 0, 10000000, "answers a second and worker"),
	SP_KEY_BOOL("hardening", struct sp_config, hardening),
};
const size_t sp_config_n_keys = SP_CONFIG_LENGTH(sp_config_keys);
