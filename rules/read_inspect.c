/* SPDX-License-Identifier: BSD-3-Clause */
#include <hs/hs.h>
#include <string.h>

#include "rules/fields.h"
#include "rules/read_internal.h"

#define PATTERNS_MAX 65536      /* of one policy */
#define DEPTH_MAX    (1u << 31) /* bytes a direction */

/* Ids of the patterns read so far: open addressing, at most half full. */
struct pattern_ids {
	uint32_t *slots; /* in the arena; 0 is free */
	size_t mask;
};

static bool add_id(struct pattern_ids *ids, uint32_t id)
{
	size_t at = (id * 0x9e3779b1u) & ids->mask;

	while (ids->slots[at]) {
		if (ids->slots[at] == id)
			return false;
		at = (at + 1) & ids->mask;
	}
	ids->slots[at] = id;
	return true;
}

static void read_flags(struct sp_reader *reader, const config_setting_t *setting, struct sp_pattern *pattern)
{
	static const struct {
		char letter;
		unsigned int flag;
	} known[] = {{'i', HS_FLAG_CASELESS}, {'s', HS_FLAG_DOTALL}, {'m', HS_FLAG_MULTILINE}};
	const char *text = sp_reader_text(setting);

	/* What Hyperscan answers in its UTF-8 mode is undefined on bytes that are not UTF-8, and payload is whatever a peer sends. */
	if (text && strchr(text, 'u')) {
		sp_reader_error(reader, setting,
			"'flags' has u (UTF-8): payload is bytes from the network, not checked text; leave it out, characters of the "
			"pattern "
			"match as their bytes");
		return;
	}
	for (const char *p = text ? text : "?"; *p; p++) {
		unsigned int flag = 0;

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			flag |= known[i].letter == *p ? known[i].flag : 0;
		if (!flag || (pattern->flags & flag)) {
			sp_reader_error(
				reader, setting, "'flags' is made of i (caseless), s (. matches newlines) and m (multi-line), each once");
			return;
		}
		pattern->flags |= flag;
	}
}

/* Never NULL, even after a diagnostic: rules that name the profile are read and hashed all the same. */
static const char *copy_string(struct sp_reader *reader, const config_setting_t *group, const char *name)
{
	const config_setting_t *member = config_setting_get_member(group, name);
	const char *text = NULL, *copy;

	if (!member)
		sp_reader_error(reader, group, "'%s' is missing in this pattern", name);
	else
		text = sp_reader_string(reader, member);
	if (!text)
		return "";
	copy = sp_policy_strndup(reader->policy, text, strlen(text));
	if (!copy)
		sp_reader_no_memory(reader);
	return copy ? copy : "";
}

static void read_pattern_id(struct sp_reader *reader, const config_setting_t *group, struct sp_pattern *pattern, struct pattern_ids *ids)
{
	const config_setting_t *id = config_setting_get_member(group, "id");

	if (!id || config_setting_type(id) != CONFIG_TYPE_INT || config_setting_get_int(id) < 1) {
		sp_reader_error(reader, id ? id : group, "a pattern needs id = a number from 1 to 2147483647");
		return;
	}
	pattern->id = (uint32_t)config_setting_get_int(id);
	if (!add_id(ids, pattern->id))
		sp_reader_error(reader, id, "pattern id %u is used twice: ids are unique in the whole file", pattern->id);
}

static void read_pattern_action(struct sp_reader *reader, const config_setting_t *group, struct sp_pattern *pattern, bool block)
{
	const config_setting_t *action = config_setting_get_member(group, "action");
	const char *text = action ? sp_reader_text(action) : NULL;

	if (!action && !block)
		return; /* a "detect" profile only alerts */
	if (text && strcmp(text, "drop") == 0)
		pattern->action = block ? SP_PATTERN_DROP : SP_PATTERN_ALERT;
	else if (!text || strcmp(text, "alert") != 0)
		sp_reader_error(reader, action ? action : group, "a pattern needs action = \"alert\" or \"drop\"");
}

static void read_pattern(
	struct sp_reader *reader, const config_setting_t *group, bool block, struct sp_pattern *pattern, struct pattern_ids *ids)
{
	static const char *const names[] = {"id", "msg", "pattern", "flags", "action"};
	const config_setting_t *flags;

	pattern->msg = "";
	pattern->pattern = "";
	if (!sp_reader_is_group(reader, group))
		return;
	sp_reader_check_members(reader, group, names, sizeof(names) / sizeof(names[0]));
	pattern->line = sp_reader_mark(group)->line;
	pattern->action = SP_PATTERN_ALERT;
	read_pattern_id(reader, group, pattern, ids);
	read_pattern_action(reader, group, pattern, block);
	pattern->msg = copy_string(reader, group, "msg");
	pattern->pattern = copy_string(reader, group, "pattern");
	flags = config_setting_get_member(group, "flags");
	if (flags)
		read_flags(reader, flags, pattern);
}

static void read_patterns(struct sp_reader *reader, const config_setting_t *list, struct sp_profile *profile, struct pattern_ids *ids)
{
	size_t n;

	if (!sp_reader_is_list(reader, list))
		return;
	n = (size_t)config_setting_length(list);
	profile->patterns = sp_policy_alloc(reader->policy, n * sizeof(*profile->patterns));
	if (!profile->patterns) {
		sp_reader_no_memory(reader);
		return;
	}
	profile->n_patterns = n;
	for (size_t i = 0; i < n; i++)
		read_pattern(reader, config_setting_get_elem(list, (unsigned int)i), profile->block, &profile->patterns[i], ids);
}

static void read_depth(struct sp_reader *reader, const config_setting_t *setting, struct sp_profile *profile)
{
	const char *text = sp_reader_text(setting);
	uint64_t bytes = 0;
	bool good;

	if (text) {
		good = sp_size_parse(text, &bytes) == 0 && bytes <= DEPTH_MAX;
	} else {
		good = config_setting_type(setting) == CONFIG_TYPE_INT && config_setting_get_int(setting) >= 0;
		bytes = good ? (uint64_t)config_setting_get_int(setting) : 0;
	}
	if (!good)
		sp_reader_error(reader, setting, "'depth' must be bytes, such as 65536 or \"64K\"; 0 has no bound");
	else
		profile->depth_bytes = (uint32_t)bytes;
}

static void read_mode(struct sp_reader *reader, const config_setting_t *group, struct sp_profile *profile)
{
	const config_setting_t *mode = config_setting_get_member(group, "mode");
	const char *text = mode ? sp_reader_text(mode) : NULL;

	if (text && strcmp(text, "block") == 0)
		profile->block = true;
	else if (!text || strcmp(text, "detect") != 0)
		sp_reader_error(reader, mode ? mode : group, "profile '%s' needs mode = \"block\" or \"detect\"", profile->name);
}

static void read_profile(struct sp_reader *reader, const config_setting_t *group, struct sp_profile *profile, struct pattern_ids *ids)
{
	static const char *const names[] = {"mode", "signatures", "patterns", "depth"};
	const char *name = config_setting_name(group);
	const config_setting_t *signatures, *patterns, *depth;

	profile->name = sp_policy_strndup(reader->policy, name, strlen(name));
	profile->line = sp_reader_mark(group)->line;
	if (!profile->name) {
		profile->name = "";
		sp_reader_no_memory(reader);
	}
	if (!sp_reader_is_group(reader, group))
		return;
	sp_reader_check_members(reader, group, names, sizeof(names) / sizeof(names[0]));
	read_mode(reader, group, profile);
	signatures = config_setting_get_member(group, "signatures");
	patterns = config_setting_get_member(group, "patterns");
	depth = config_setting_get_member(group, "depth");
	if (signatures)
		sp_read_later(reader, signatures);
	if (patterns)
		read_patterns(reader, patterns, profile, ids);
	if (depth)
		read_depth(reader, depth, profile);
	if (profile->n_patterns == 0 && !(signatures && config_setting_length(signatures)))
		sp_reader_error(reader, group, "profile '%s' has no patterns: it would inspect for nothing", profile->name);
}

/* Patterns of all profiles, to size the table of ids. */
static size_t count_patterns(const config_setting_t *section)
{
	size_t n = 0;

	for (int i = 0; i < config_setting_length(section); i++) {
		const config_setting_t *profile = config_setting_get_elem(section, (unsigned int)i);
		const config_setting_t *patterns = config_setting_is_group(profile) ? config_setting_get_member(profile, "patterns") : NULL;

		if (patterns)
			n += (size_t)config_setting_length(patterns);
	}
	return n;
}

void sp_read_inspect(struct sp_reader *reader, const config_setting_t *section)
{
	struct sp_policy *policy = reader->policy;
	struct pattern_ids ids = {.mask = 15};
	size_t n, n_patterns;

	if (!sp_reader_is_group(reader, section))
		return;
	n = (size_t)config_setting_length(section);
	n_patterns = count_patterns(section);
	if (n > SP_PROFILES_MAX || n_patterns > PATTERNS_MAX) {
		sp_reader_error(reader, section, "at most %d profiles with %d patterns in all", SP_PROFILES_MAX, PATTERNS_MAX);
		return;
	}
	while (ids.mask < n_patterns * 2)
		ids.mask = ids.mask * 2 + 1;
	ids.slots = sp_policy_alloc(policy, (ids.mask + 1) * sizeof(*ids.slots));
	policy->profiles = sp_policy_alloc(policy, n * sizeof(*policy->profiles));
	if (!ids.slots || !policy->profiles) {
		sp_reader_no_memory(reader);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		read_profile(reader, config_setting_get_elem(section, (unsigned int)i), &policy->profiles[i], &ids);
		policy->n_profiles = i + 1;
	}
}
