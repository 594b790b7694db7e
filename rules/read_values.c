/* SPDX-License-Identifier: BSD-3-Clause */
/* Values of rules and nat entries as one text each, whatever form they have in the file: "80,443" and ( 80, 443 ) are the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules/read_internal.h"

#define LIST_BYTES_MAX 65536 /* text of one list; longer ones belong into a set */

/* Text of a string, number or truth value in `number` or libconfig's; NULL when it is none of these. */
static const char *scalar_text(const config_setting_t *setting, char number[16])
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_STRING:
		return sp_reader_text(setting);
	case CONFIG_TYPE_INT:
		snprintf(number, 16, "%d", config_setting_get_int(setting));
		return number;
	case CONFIG_TYPE_BOOL:
		return config_setting_get_bool(setting) ? "true" : "false";
	default:
		return NULL;
	}
}

/* The members with commas between them, as the string form of a rule has it, in the arena. */
static const char *list_text(struct sp_reader *reader, const config_setting_t *list)
{
	int n = config_setting_length(list);
	size_t used = 0;
	char number[16];
	char *buf, *text;

	if (n == 0) {
		sp_reader_error(reader, list, "'%s' is an empty list: name members, or leave it out to match everything",
			config_setting_name(list));
		return NULL;
	}
	buf = malloc(LIST_BYTES_MAX);
	for (int i = 0; buf && i < n; i++) {
		const config_setting_t *member = config_setting_get_elem(list, (unsigned int)i);
		const char *part = config_setting_type(member) == CONFIG_TYPE_BOOL ? NULL : scalar_text(member, number);
		size_t len = part ? strlen(part) : 0;

		if (len == 0 || len + 1 > LIST_BYTES_MAX - used) {
			if (len == 0)
				sp_reader_error(reader, member, "a list holds strings that are not empty, or numbers");
			else
				sp_reader_error(
					reader, member, "list of more than %d bytes: make it a set and write \"@name\"", LIST_BYTES_MAX);
			free(buf);
			return NULL;
		}
		if (used)
			buf[used++] = ',';
		memcpy(buf + used, part, len);
		used += len;
	}
	text = buf ? sp_policy_strndup(reader->policy, buf, used) : NULL;
	if (!text)
		sp_reader_no_memory(reader);
	free(buf);
	return text;
}

const char *sp_reader_value(struct sp_reader *reader, const config_setting_t *setting)
{
	char number[16];
	const char *text;
	char *copy;

	if (config_setting_is_list(setting) || config_setting_is_array(setting))
		return list_text(reader, setting);
	text = scalar_text(setting, number);
	if (!text || !*text) {
		sp_reader_error(reader, setting, "'%s' must be a string that is not empty, a number, true or false, or a list of these",
			config_setting_name(setting));
		return NULL;
	}
	copy = sp_policy_strndup(reader->policy, text, strlen(text));
	if (!copy)
		sp_reader_no_memory(reader);
	return copy;
}
