/* SPDX-License-Identifier: BSD-3-Clause */
/* How the servers of a destination entry are asked whether they live. */
#include "rules/read_nat.h"

#include <errno.h>
#include <string.h>

#include "rules/fields.h"
#include "rules/names.h"

#define PATH_BYTES_MAX 1024
#define HOST_BYTES_MAX 255
#define INTERVAL_MAX   3600000
#define TIMEOUT_MAX    60000

static const char *const names[] = {"type", "path", "host", "status", "port", "interval", "timeout", "up", "down"};

static int read_type(struct sp_reader *reader, const config_setting_t *group, struct sp_nat_health *health)
{
	const config_setting_t *member = config_setting_get_member(group, "type");
	const char *text = member != NULL ? sp_reader_text(member) : NULL;

	if (text != NULL && strcmp(text, "tcp") == 0) {
		health->type = SP_HEALTH_TCP;
	} else if (text != NULL && strcmp(text, "http") == 0) {
		health->type = SP_HEALTH_HTTP;
	} else {
		sp_reader_error(reader, member != NULL ? member : group, "'health' needs type = \"tcp\" or \"http\"");
		return -EINVAL;
	}
	return 0;
}

/* A number that may be left out. */
static int read_number(
	struct sp_reader *reader, const config_setting_t *group, const char *name, int min, int max, int by_default, int *out)
{
	const config_setting_t *member = config_setting_get_member(group, name);

	*out = by_default;
	if (member == NULL)
		return 0;
	if (config_setting_type(member) != CONFIG_TYPE_INT || config_setting_get_int(member) < min ||
		config_setting_get_int(member) > max) {
		sp_reader_error(reader, member, "'%s' must be a number from %d to %d", name, min, max);
		return -EINVAL;
	}
	*out = config_setting_get_int(member);
	return 0;
}

/* "500ms", or a duration as everywhere; a bare number is seconds. -EINVAL: not one from min to max. */
static int parse_ms(const config_setting_t *member, uint32_t min, uint32_t max, uint32_t *out)
{
	const char *text = sp_reader_text(member);
	size_t len = text != NULL ? strlen(text) : 0;
	uint32_t sec;
	int64_t ms;

	if (config_setting_type(member) == CONFIG_TYPE_INT && config_setting_get_int(member) > 0)
		ms = (int64_t)config_setting_get_int(member) * 1000;
	else if (len > 2 && strcmp(text + len - 2, "ms") == 0)
		ms = sp_number_parse(text, len - 2, INTERVAL_MAX);
	else if (text != NULL && sp_duration_parse(text, &sec) == 0)
		ms = (int64_t)sec * 1000;
	else
		return -EINVAL;
	if (ms < min || ms > max)
		return -EINVAL;
	*out = (uint32_t)ms;
	return 0;
}

static int read_times(struct sp_reader *reader, const config_setting_t *group, struct sp_nat_health *health)
{
	const config_setting_t *interval = config_setting_get_member(group, "interval");
	const config_setting_t *timeout = config_setting_get_member(group, "timeout");

	health->interval_ms = 5000;
	if (interval != NULL && parse_ms(interval, 100, INTERVAL_MAX, &health->interval_ms) != 0) {
		sp_reader_error(reader, interval, "'interval' must be a duration from 100ms to 1h, such as \"5s\"");
		return -EINVAL;
	}
	health->timeout_ms = health->interval_ms < 2000 ? health->interval_ms : 2000;
	if (timeout != NULL && parse_ms(timeout, 50, TIMEOUT_MAX, &health->timeout_ms) != 0) {
		sp_reader_error(reader, timeout, "'timeout' must be a duration from 50ms to 60s, such as \"2s\"");
		return -EINVAL;
	}
	if (health->timeout_ms > health->interval_ms) {
		sp_reader_error(reader, timeout, "'timeout' is longer than interval: a check would not end before the next begins");
		return -EINVAL;
	}
	return 0;
}

/* What goes into a request as it stands: printable ASCII without blanks, which could end the line. */
static bool is_token(const char *text, size_t max)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return false;
	return len != 0 && len <= max;
}

static int copy_text(struct sp_reader *reader, const char *text, const char **out)
{
	*out = sp_policy_strndup(reader->policy, text, strlen(text));
	if (*out != NULL)
		return 0;
	sp_reader_no_memory(reader);
	return -ENOMEM;
}

static int read_http(struct sp_reader *reader, const config_setting_t *group, struct sp_nat_health *health)
{
	const config_setting_t *path = config_setting_get_member(group, "path"), *host = config_setting_get_member(group, "host");
	const char *text = path != NULL ? sp_reader_text(path) : "/";
	int status;

	if (text == NULL || text[0] != '/' || !is_token(text, PATH_BYTES_MAX)) {
		sp_reader_error(reader, path, "'path' must begin with / and have no blanks, as in path = \"/healthz\"");
		return -EINVAL;
	}
	if (copy_text(reader, text, &health->path) != 0)
		return -ENOMEM;
	if (host != NULL) {
		text = sp_reader_text(host);
		if (text == NULL || !is_token(text, HOST_BYTES_MAX)) {
			sp_reader_error(reader, host, "'host' must be a name without blanks, as in host = \"www.example.com\"");
			return -EINVAL;
		}
		if (copy_text(reader, text, &health->host) != 0)
			return -ENOMEM;
	}
	if (read_number(reader, group, "status", 100, 599, 0, &status) != 0)
		return -EINVAL;
	health->status = (uint16_t)status;
	return 0;
}

static int refuse_http(struct sp_reader *reader, const config_setting_t *group)
{
	static const char *const http[] = {"path", "host", "status"};

	for (size_t i = 0; i < sizeof(http) / sizeof(http[0]); i++) {
		const config_setting_t *member = config_setting_get_member(group, http[i]);

		if (member == NULL)
			continue;
		sp_reader_error(reader, member, "'%s' needs type = \"http\"", http[i]);
		return -EINVAL;
	}
	return 0;
}

int sp_nat_read_health(struct sp_reader *reader, const config_setting_t *group, struct sp_nat_health *out)
{
	struct sp_nat_health health = {0};
	size_t errors = reader->diags->errors;
	int port, up, down, rc;

	if (!sp_reader_is_group(reader, group))
		return -EINVAL;
	sp_reader_check_members(reader, group, names, sizeof(names) / sizeof(names[0]));
	rc = read_type(reader, group, &health);
	if (rc == 0)
		rc = health.type == SP_HEALTH_HTTP ? read_http(reader, group, &health) : refuse_http(reader, group);
	rc |= read_number(reader, group, "port", 1, 65535, 0, &port);
	rc |= read_number(reader, group, "up", 1, 10, 2, &up);
	rc |= read_number(reader, group, "down", 1, 10, 3, &down);
	rc |= read_times(reader, group, &health);
	if (rc != 0 || reader->diags->errors != errors)
		return -EINVAL;
	health.port = (uint16_t)port;
	health.up = (uint8_t)up;
	health.down = (uint8_t)down;
	*out = health;
	return 0;
}
