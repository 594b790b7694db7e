/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "rules/names.h"
#include "rules/read_internal.h"

#define VERSION 1 /* of rule files, that this release reads */

void sp_read_version(struct sp_reader *reader, const config_setting_t *version)
{
	int value = config_setting_get_int(version);

	if (config_setting_type(version) != CONFIG_TYPE_INT || value < 1)
		sp_reader_error(reader, version, "'version' must be a number: write version = %d", VERSION);
	else if (value != VERSION)
		sp_reader_error(reader, version, "version %d of rule files needs a release of Sallyport after %s, which reads version %d",
			value, SP_VERSION, VERSION);
}

static void read_default_log(struct sp_reader *reader, const config_setting_t *log)
{
	const char *text = sp_reader_text(log);

	if (config_setting_type(log) == CONFIG_TYPE_BOOL)
		reader->policy->default_log = config_setting_get_bool(log) ? SP_LOG_END : SP_LOG_NONE;
	else if (text && strcmp(text, "start") == 0)
		reader->policy->default_log = SP_LOG_START;
	else if (text && strcmp(text, "both") == 0)
		reader->policy->default_log = SP_LOG_BOTH;
	else
		sp_reader_error(reader, log, "'log' must be true, false, \"start\" or \"both\"");
}

void sp_read_default(struct sp_reader *reader, const config_setting_t *section)
{
	static const char *const names[] = {"action", "log"};
	const config_setting_t *action, *log;
	const char *text;
	int value;

	if (!sp_reader_is_group(reader, section))
		return;
	sp_reader_check_members(reader, section, names, sizeof(names) / sizeof(names[0]));
	reader->policy->default_line = sp_reader_mark(section)->line;
	action = config_setting_get_member(section, "action");
	log = config_setting_get_member(section, "log");
	text = action ? sp_reader_text(action) : NULL;
	value = text ? sp_action_parse(text, strlen(text)) : -1;
	if (value < 0)
		sp_reader_error(reader, action ? action : section, "'default' needs action = \"drop\", \"reject\" or \"allow\"");
	else
		reader->policy->default_action = (uint8_t)value;
	if (log)
		read_default_log(reader, log);
}

static void read_bool(struct sp_reader *reader, const config_setting_t *group, const char *name, bool *out)
{
	const config_setting_t *member = config_setting_get_member(group, name);

	if (member && config_setting_type(member) != CONFIG_TYPE_BOOL)
		sp_reader_error(reader, member, "'%s' must be true or false", name);
	else if (member)
		*out = config_setting_get_bool(member);
}

void sp_read_builtin(struct sp_reader *reader, const config_setting_t *section)
{
	static const char *const names[] = {"arp", "nd"};

	if (!sp_reader_is_group(reader, section))
		return;
	sp_reader_check_members(reader, section, names, sizeof(names) / sizeof(names[0]));
	read_bool(reader, section, "arp", &reader->policy->builtin_arp);
	read_bool(reader, section, "nd", &reader->policy->builtin_nd);
}

void sp_read_expect(struct sp_reader *reader, const config_setting_t *section)
{
	struct sp_policy *policy = reader->policy;
	size_t errors = reader->diags->errors;
	int n;

	if (!sp_reader_is_sequence(reader, section))
		return;
	n = config_setting_length(section);
	policy->expects = sp_policy_alloc(policy, (size_t)n * sizeof(*policy->expects));
	for (int i = 0; policy->expects && i < n; i++) {
		const config_setting_t *member = config_setting_get_elem(section, (unsigned int)i);
		const char *text = sp_reader_string(reader, member);
		struct sp_expect *expect = &policy->expects[policy->n_expects];

		if (!text)
			continue;
		expect->text = sp_policy_strndup(policy, text, strlen(text));
		expect->line = sp_reader_mark(member)->line;
		if (!expect->text)
			break;
		policy->n_expects++;
	}
	if (!policy->expects || (policy->n_expects < (size_t)n && reader->diags->errors == errors))
		sp_reader_no_memory(reader);
}

/* A section of a later capability: an empty one asks for nothing and passes. */
void sp_read_later(struct sp_reader *reader, const config_setting_t *section)
{
	if (!config_setting_is_aggregate(section) || config_setting_length(section))
		sp_reader_error(reader, section, "'%s' is not supported yet: take it out", config_setting_name(section));
}
