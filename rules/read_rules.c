/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rules/fields.h"
#include "rules/read_internal.h"
#include "rules/rule_text.h"

/* What a group gives its rules. */
struct group {
	const char *name; /* the policy's; NULL outside of groups */
	struct sp_rule_value values[SP_RULE_VALUES_MAX];
	int n;
};

struct rules_reader {
	struct sp_reader *reader;
	uint32_t *ids; /* open addressing, at most half full: index into policy->rules + 1 */
	size_t mask;
	size_t room; /* rules that policy->rules has room for */
};

static bool is_group_of_rules(const config_setting_t *setting)
{
	return config_setting_is_group(setting) &&
	       (config_setting_get_member(setting, "rules") || config_setting_get_member(setting, "group"));
}

/* An upper bound of the number of rules; the scan has seen to it that it is at most SP_RULES_MAX. */
static size_t count_rules(const config_setting_t *list)
{
	size_t n = 0;

	for (int i = 0; i < config_setting_length(list); i++) {
		const config_setting_t *member = config_setting_get_elem(list, (unsigned int)i);
		const config_setting_t *inner = config_setting_is_group(member) ? config_setting_get_member(member, "rules") : NULL;

		n += inner ? (size_t)config_setting_length(inner) : 1;
	}
	return n;
}

static void unknown_field(struct sp_reader *reader, const config_setting_t *member)
{
	const char *name = config_setting_name(member);
	const char *nearest = sp_diag_nearest(name, strlen(name), sp_field_names, SP_FIELD_COUNT);

	if (strcmp(name, "port") == 0)
		sp_reader_error(reader, member, "unknown field 'port': write 'sport' for the source's or 'dport' for the destination's");
	else if (nearest)
		sp_reader_error(reader, member, "unknown field '%s': did you mean '%s'?", name, nearest);
	else
		sp_reader_error(reader, member, "unknown field '%s'", name);
}

/* The group's fields as pairs; `rules` and `group` left out. Returns how many, or -EINVAL with diagnostics. */
static int read_values(struct rules_reader *r, const config_setting_t *group, struct sp_rule_value values[SP_RULE_VALUES_MAX])
{
	bool failed = false;
	int n = 0;

	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *member = config_setting_get_elem(group, (unsigned int)i);
		const char *name = config_setting_name(member);
		int field = sp_field_by_name(name, strlen(name));
		const char *text;

		if (strcmp(name, "rules") == 0 || strcmp(name, "group") == 0)
			continue;
		if (field < 0) {
			unknown_field(r->reader, member);
			failed = true;
			continue;
		}
		text = sp_reader_value(r->reader, member);
		failed |= !text;
		if (text && n < SP_RULE_VALUES_MAX) /* always: the scan refuses a name that comes twice */
			values[n++] = (struct sp_rule_value){.field = field, .value = text};
	}
	return failed ? -EINVAL : n;
}

static bool has_field(const struct sp_rule_value *values, int n, int field)
{
	for (int i = 0; i < n; i++) {
		if (values[i].field == field)
			return true;
	}
	return false;
}

static void check_id(struct rules_reader *r, const config_setting_t *setting, size_t index)
{
	struct sp_rule *rules = r->reader->policy->rules;
	uint32_t id = rules[index].id;
	size_t at = (id * 0x9e3779b1u) & r->mask;

	if (id == 0)
		return; /* not resolved: reported */
	for (; r->ids[at]; at = (at + 1) & r->mask) {
		const struct sp_rule *other = &rules[r->ids[at] - 1];

		if (other->id == id) {
			sp_diag_add(r->reader->diags, SP_DIAG_ERROR, sp_reader_mark(setting)->file, sp_reader_mark(setting)->line,
				sp_reader_mark(setting)->column, id, "rule id %u is already used at %s:%d: ids are unique", id, other->file,
				other->line);
			return;
		}
	}
	r->ids[at] = (uint32_t)index + 1;
}

/* Resolves one rule from its own values and what its group gives besides. */
static void add_rule(
	struct rules_reader *r, const config_setting_t *setting, const struct group *group, const struct sp_rule_value *own, int n_own)
{
	struct sp_policy *policy = r->reader->policy;
	struct sp_rule_value values[SP_RULE_VALUES_MAX];
	struct sp_rule *rule;
	int n = 0, first_own;

	if (policy->n_rules >= r->room) /* cannot be: room was counted */
		return;
	rule = &policy->rules[policy->n_rules];
	rule->file = sp_reader_file(r->reader, setting);
	rule->line = sp_reader_mark(setting)->line;
	rule->group = group->name;
	for (int i = 0; i < group->n; i++) {
		if (!has_field(own, n_own, group->values[i].field))
			values[n++] = group->values[i];
	}
	first_own = n;
	for (int i = 0; i < n_own && n < SP_RULE_VALUES_MAX; i++)
		values[n++] = own[i];
	/* counted even when it fails, so that what it owns is freed with the policy */
	policy->n_rules++;
	sp_rule_resolve(policy, rule, values, n, first_own, r->reader->diags);
	check_id(r, setting, policy->n_rules - 1);
}

static void read_text_rule(struct rules_reader *r, const config_setting_t *setting, const struct group *group)
{
	const char *text = sp_reader_text(setting);
	struct sp_rule_value own[SP_RULE_VALUES_MAX];
	int n;

	n = sp_rule_text_parse(
		r->reader->policy, text, sp_reader_file(r->reader, setting), sp_reader_mark(setting)->line, own, r->reader->diags);
	if (n >= 0)
		add_rule(r, setting, group, own, n);
}

static void read_group_rule(struct rules_reader *r, const config_setting_t *setting, const struct group *group)
{
	struct sp_rule_value own[SP_RULE_VALUES_MAX];
	int n = read_values(r, setting, own);

	if (n < 0)
		return;
	if (!has_field(own, n, SP_FIELD_ID))
		sp_reader_error(r->reader, setting, "a rule needs an id");
	else if (!has_field(own, n, SP_FIELD_ACTION) && !has_field(group->values, group->n, SP_FIELD_ACTION))
		sp_reader_error(r->reader, setting, "a rule needs action = \"allow\", \"drop\" or \"reject\"");
	else
		add_rule(r, setting, group, own, n);
}

static bool too_many_errors(const struct rules_reader *r)
{
	return r->reader->diags->errors > SP_DIAGS_MAX;
}

static void read_list(struct rules_reader *r, const config_setting_t *list, const struct group *group);

static bool read_group_head(struct rules_reader *r, const config_setting_t *setting, struct group *group)
{
	struct sp_reader *reader = r->reader;
	const config_setting_t *name = config_setting_get_member(setting, "group");
	const config_setting_t *rules = config_setting_get_member(setting, "rules");
	const char *text = name ? sp_reader_string(reader, name) : NULL;

	if (!name)
		sp_reader_error(reader, setting, "a group of rules needs a name: group = \"…\"");
	if (!rules)
		sp_reader_error(reader, setting, "a group of rules needs rules = ( )");
	if (!text || !rules || !sp_reader_is_list(reader, rules))
		return false;
	if (config_setting_get_member(setting, "id") || config_setting_get_member(setting, "name")) {
		sp_reader_error(reader, setting, "a group gives its rules neither 'id' nor 'name': write them in each rule");
		return false;
	}
	group->name = sp_policy_strndup(reader->policy, text, strlen(text));
	if (!group->name)
		sp_reader_no_memory(reader);
	group->n = read_values(r, setting, group->values);
	return group->name && group->n >= 0;
}

static void read_group(struct rules_reader *r, const config_setting_t *setting)
{
	struct group group;

	if (read_group_head(r, setting, &group))
		read_list(r, config_setting_get_member(setting, "rules"), &group);
}

static void read_list(struct rules_reader *r, const config_setting_t *list, const struct group *group)
{
	int n = config_setting_length(list);

	for (int i = 0; i < n && !too_many_errors(r); i++) {
		const config_setting_t *member = config_setting_get_elem(list, (unsigned int)i);

		if (config_setting_type(member) == CONFIG_TYPE_STRING)
			read_text_rule(r, member, group);
		else if (!config_setting_is_group(member))
			sp_reader_error(r->reader, member, "a rule is a string or a group { }");
		else if (!is_group_of_rules(member))
			read_group_rule(r, member, group);
		else if (group->name)
			sp_reader_error(r->reader, member, "groups do not nest: end group '%s' first", group->name);
		else
			read_group(r, member);
	}
}

void sp_read_rules(struct sp_reader *reader, const config_setting_t *section)
{
	struct rules_reader r = {.reader = reader, .mask = 15};
	static const struct group none;

	if (!sp_reader_is_list(reader, section))
		return;
	r.room = count_rules(section);
	while (r.mask < r.room * 2)
		r.mask = r.mask * 2 + 1;
	r.ids = calloc(r.mask + 1, sizeof(*r.ids));
	reader->policy->rules = sp_policy_alloc(reader->policy, r.room * sizeof(*reader->policy->rules));
	if (r.ids && reader->policy->rules)
		read_list(&r, section, &none);
	else
		sp_reader_no_memory(reader);
	free(r.ids);
}
