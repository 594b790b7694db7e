/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of the reader share: read.c (text to tree), read_sections.c, read_sets.c, read_inspect.c, read_rules.c, read_nat.c,
 * read_values.c.
 */
#ifndef SP_RULES_READ_INTERNAL_H
#define SP_RULES_READ_INTERNAL_H

#include <libconfig.h>

#include "rules/policy.h"
#include "rules/read.h"
#include "rules/scan.h"

/* A name of one of the scan's files, and the policy's copy of it, which outlives the scan. */
struct sp_reader_file {
	const char *scanned;
	const char *kept;
};

struct sp_reader {
	struct sp_policy *policy;
	const struct sp_read_options *options;
	struct sp_diags *diags;
	struct sp_reader_file *files;
	size_t n_files;
	size_t last_file; /* found last: most values stand in the same file as the one before */
};

/* The place of a value: every setting but the root carries its mark as libconfig's hook. */
static inline const struct sp_mark *sp_reader_mark(const config_setting_t *setting)
{
	return config_setting_get_hook(setting);
}

/* Text of a string, as long as the scan lives; NULL when the value is none. libconfig's own is empty. */
static inline const char *sp_reader_text(const config_setting_t *setting)
{
	return sp_reader_mark(setting)->string;
}

#define sp_reader_error(reader, setting, ...)                                                                     \
	sp_diag_add((reader)->diags, SP_DIAG_ERROR, sp_reader_mark(setting)->file, sp_reader_mark(setting)->line, \
		sp_reader_mark(setting)->column, 0, __VA_ARGS__)

/* The policy's copy of the name of the file a value stands in; "" on ENOMEM, with a diagnostic. */
const char *sp_reader_file(struct sp_reader *reader, const config_setting_t *setting);

/* "out of memory", as a diagnostic. */
void sp_reader_no_memory(struct sp_reader *reader);

/* Reports each member of the group that is none of n names, with the nearest of them. */
void sp_reader_check_members(struct sp_reader *reader, const config_setting_t *group, const char *const *names, size_t n);

/* The value's text (as long as the scan lives), or NULL with a diagnostic when it is no string or an empty one. */
const char *sp_reader_string(struct sp_reader *reader, const config_setting_t *setting);

/* Whether the value is a group (list, list or array), with a diagnostic when not. */
bool sp_reader_is_group(struct sp_reader *reader, const config_setting_t *setting);
bool sp_reader_is_list(struct sp_reader *reader, const config_setting_t *setting);
bool sp_reader_is_sequence(struct sp_reader *reader, const config_setting_t *setting);

/* The value as the one-line form of a rule has it, lists with commas between their members; in the arena. NULL with a diagnostic. */
const char *sp_reader_value(struct sp_reader *reader, const config_setting_t *setting);

/* Sections; each adds what it finds wrong to the diagnostics. */
void sp_read_version(struct sp_reader *reader, const config_setting_t *version);
void sp_read_default(struct sp_reader *reader, const config_setting_t *section);
void sp_read_builtin(struct sp_reader *reader, const config_setting_t *section);
void sp_read_expect(struct sp_reader *reader, const config_setting_t *section);
void sp_read_later(struct sp_reader *reader, const config_setting_t *section);
void sp_read_sets(struct sp_reader *reader, const config_setting_t *section);
void sp_read_inspect(struct sp_reader *reader, const config_setting_t *section);
void sp_read_rules(struct sp_reader *reader, const config_setting_t *section);
void sp_read_nat(struct sp_reader *reader, const config_setting_t *section);

#endif
