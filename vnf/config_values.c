/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/config_values.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "rules/fields.h"

#define KEYS_MAX 32 /* of one table */

void sp_config_place(const struct sp_config_reader *reader, const config_setting_t *setting, const char **file, int *line)
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

void sp_config_error(struct sp_config_reader *reader, const config_setting_t *s, const char *fmt, ...)
{
	const char *file;
	char text[1024];
	va_list args;
	int line;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	sp_config_place(reader, s, &file, &line);
	sp_diag_error(reader->diags, file, line, "%s", text);
}

/* --- values -------------------------------------------------------------------------------------------------------------------- */

bool sp_config_number(
	struct sp_config_reader *reader, const config_setting_t *s, uint64_t min, uint64_t max, const char *unit, uint64_t *out)
{
	uint64_t value = 0;
	bool ok = false;

	if (config_setting_type(s) == CONFIG_TYPE_INT || config_setting_type(s) == CONFIG_TYPE_INT64) {
		long long i = config_setting_get_int64(s);

		ok = i >= 0;
		value = (uint64_t)i;
	}
	if (!ok || value < min || value > max) {
		sp_config_error(reader, s, "\"%s\" must be a number from %llu to %llu%s%s", config_setting_name(s), (unsigned long long)min,
			(unsigned long long)max, unit[0] != '\0' ? ", in " : "", unit);
		return false;
	}
	*out = value;
	return true;
}

bool sp_config_bool(struct sp_config_reader *reader, const config_setting_t *s, bool *out)
{
	if (config_setting_type(s) != CONFIG_TYPE_BOOL) {
		sp_config_error(reader, s, "\"%s\" must be true or false", config_setting_name(s));
		return false;
	}
	*out = config_setting_get_bool(s) != 0;
	return true;
}

const char *sp_config_string(struct sp_config_reader *reader, const config_setting_t *s)
{
	if (config_setting_type(s) == CONFIG_TYPE_STRING)
		return config_setting_get_string(s);
	sp_config_error(reader, s, "\"%s\" must be a string in double quotes", config_setting_name(s));
	return NULL;
}

/* --- values into members ------------------------------------------------------------------------------------------------------- */

static void *member(const struct sp_config_key *key, void *into)
{
	return (char *)into + key->offset;
}

static void store(const struct sp_config_key *key, void *into, uint64_t value)
{
	switch (key->size) {
	case sizeof(uint8_t):
		*(uint8_t *)member(key, into) = (uint8_t)value;
		break;
	case sizeof(uint16_t):
		*(uint16_t *)member(key, into) = (uint16_t)value;
		break;
	case sizeof(uint32_t):
		*(uint32_t *)member(key, into) = (uint32_t)value;
		break;
	default:
		*(uint64_t *)member(key, into) = value;
	}
}

void sp_config_set_number(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	uint64_t value;

	if (sp_config_number(reader, s, key->min, key->max, key->unit, &value))
		store(key, into, value);
}

void sp_config_set_duration(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	uint64_t value;
	uint32_t sec;

	if (config_setting_type(s) != CONFIG_TYPE_STRING) {
		if (sp_config_number(reader, s, key->min, key->max, key->unit, &value))
			store(key, into, value);
	} else if (sp_duration_parse(config_setting_get_string(s), &sec) != 0) {
		sp_config_error(
			reader, s, "\"%s\" must be a duration such as \"30s\", \"5m\" or \"8h\", up to 365 days", config_setting_name(s));
	} else if (sec < key->min || sec > key->max) {
		sp_config_error(reader, s, "\"%s\" is \"%s\", but must be from %llu to %llu seconds", config_setting_name(s),
			config_setting_get_string(s), (unsigned long long)key->min, (unsigned long long)key->max);
	} else {
		store(key, into, sec);
	}
}

void sp_config_set_bool(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	sp_config_bool(reader, s, member(key, into));
}

void sp_config_set_choice(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	const char *const *names = key->names, *text = sp_config_string(reader, s);
	char list[128] = "";
	size_t used = 0;

	if (text == NULL)
		return;
	for (size_t i = 0; i < key->n; i++)
		if (strcmp(text, names[i]) == 0) {
			store(key, into, i);
			return;
		}
	for (size_t i = 0; i < key->n && used < sizeof(list); i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s\"%s\"", i == 0 ? "" : " or ", names[i]);
	sp_config_error(reader, s, "\"%s\" is \"%s\", but must be %s", config_setting_name(s), text, list);
}

void sp_config_set_path(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	const char *text = sp_config_string(reader, s), **out = member(key, into);
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
	if (strlen(full) >= key->max) {
		sp_config_error(reader, s, "\"%s\" is a path of %zu bytes; %zu are the most", config_setting_name(s), strlen(full),
			(size_t)key->max - 1);
		return;
	}
	copy = sp_config_strdup(reader->config, full);
	if (copy == NULL)
		sp_config_error(reader, s, "out of memory");
	else
		*out = copy;
}

/* --- groups -------------------------------------------------------------------------------------------------------------------- */

static void unknown_key(
	struct sp_config_reader *reader, const config_setting_t *s, const char *where, const struct sp_config_key *keys, size_t n)
{
	const char *names[KEYS_MAX], *name = config_setting_name(s), *near;

	n = n < KEYS_MAX ? n : KEYS_MAX;
	for (size_t i = 0; i < n; i++)
		names[i] = keys[i].name;
	near = sp_diag_nearest(name, strlen(name), names, n);
	if (near != NULL)
		sp_config_error(reader, s, "unknown key \"%s\" %s; did you mean \"%s\"?", name, where, near);
	else
		sp_config_error(reader, s, "unknown key \"%s\" %s; remove it", name, where);
}

void sp_config_read_keys(struct sp_config_reader *reader, const config_setting_t *group, const char *where,
	const struct sp_config_key *keys, size_t n, void *into)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *s = config_setting_get_elem(group, (unsigned int)i);
		size_t k = 0;

		while (k < n && strcmp(keys[k].name, config_setting_name(s)) != 0)
			k++;
		if (k == n)
			unknown_key(reader, s, where, keys, n);
		else
			keys[k].read(reader, s, &keys[k], into);
	}
}

void sp_config_set_group(struct sp_config_reader *reader, const config_setting_t *s, const struct sp_config_key *key, void *into)
{
	char where[64];

	snprintf(where, sizeof(where), "in \"%s\"", config_setting_name(s));
	if (config_setting_type(s) != CONFIG_TYPE_GROUP)
		sp_config_error(reader, s, "\"%s\" must be a group: %s = { ... };", config_setting_name(s), config_setting_name(s));
	else
		sp_config_read_keys(reader, s, where, key->names, key->n, into);
}
