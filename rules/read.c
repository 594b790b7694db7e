/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rules/file.h"
#include "rules/read_internal.h"
#include "rules/self.h"

/* Sections in the order in which they are read: what others refer to comes first. */
static const struct section {
	const char *name;
	void (*read)(struct sp_reader *reader, const config_setting_t *section);
	bool required;
} sections[] = {
	{"version", sp_read_version, true},
	{"sets", sp_read_sets, false},
	{"inspect", sp_read_inspect, false},
	{"schedules", sp_read_later, false},
	{"default", sp_read_default, true},
	{"builtin", sp_read_builtin, false},
	{"rules", sp_read_rules, true},
	{"nat", sp_read_nat, false},
	{"expect", sp_read_expect, false},
};

#define N_SECTIONS (sizeof(sections) / sizeof(sections[0]))

void sp_reader_no_memory(struct sp_reader *reader)
{
	sp_diag_error(reader->diags, reader->options->file, 0, "out of memory");
}

const char *sp_reader_file(struct sp_reader *reader, const config_setting_t *setting)
{
	const char *scanned = sp_reader_mark(setting)->file;
	struct sp_reader_file *files;
	char *kept;

	if (reader->n_files && reader->files[reader->last_file].scanned == scanned)
		return reader->files[reader->last_file].kept;
	for (size_t i = 0; i < reader->n_files; i++) {
		if (reader->files[i].scanned == scanned) {
			reader->last_file = i;
			return reader->files[i].kept;
		}
	}
	kept = sp_policy_strndup(reader->policy, scanned, strlen(scanned));
	files = realloc(reader->files, (reader->n_files + 1) * sizeof(*files));
	if (files)
		reader->files = files;
	if (!kept || !files) {
		sp_reader_no_memory(reader);
		return "";
	}
	files[reader->n_files] = (struct sp_reader_file){.scanned = scanned, .kept = kept};
	reader->last_file = reader->n_files++;
	return kept;
}

void sp_reader_check_members(struct sp_reader *reader, const config_setting_t *group, const char *const *names, size_t n)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *member = config_setting_get_elem(group, (unsigned int)i);
		const char *name = config_setting_name(member);
		bool known = false;

		for (size_t j = 0; j < n && !known; j++)
			known = strcmp(names[j], name) == 0;
		if (!known) {
			const char *nearest = sp_diag_nearest(name, strlen(name), names, n);

			sp_reader_error(reader, member, "unknown name '%s'%s%s%s", name, nearest ? ": did you mean '" : "",
				nearest ? nearest : "", nearest ? "'?" : "");
		}
	}
}

const char *sp_reader_string(struct sp_reader *reader, const config_setting_t *setting)
{
	const char *text = sp_reader_text(setting);

	if (text && *text)
		return text;
	if (config_setting_name(setting))
		sp_reader_error(reader, setting, "'%s' must be a string that is not empty", config_setting_name(setting));
	else
		sp_reader_error(reader, setting, "only strings that are not empty can stand here");
	return NULL;
}

static bool is_of_type(struct sp_reader *reader, const config_setting_t *setting, bool right, const char *wanted)
{
	const char *name = config_setting_name(setting);

	if (!right)
		sp_reader_error(reader, setting, "%s%s%smust be %s", name ? "'" : "", name ? name : "this ", name ? "' " : "", wanted);
	return right;
}

bool sp_reader_is_group(struct sp_reader *reader, const config_setting_t *setting)
{
	return is_of_type(reader, setting, config_setting_is_group(setting), "a group { }");
}

bool sp_reader_is_list(struct sp_reader *reader, const config_setting_t *setting)
{
	return is_of_type(reader, setting, config_setting_is_list(setting), "a list ( )");
}

bool sp_reader_is_sequence(struct sp_reader *reader, const config_setting_t *setting)
{
	return is_of_type(
		reader, setting, config_setting_is_list(setting) || config_setting_is_array(setting), "a list ( ) or an array [ ]");
}

static bool mark_fits(const struct sp_mark *mark, const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_STRING:
		return mark->kind == SP_MARK_STRING;
	case CONFIG_TYPE_GROUP:
		return mark->kind == SP_MARK_GROUP;
	case CONFIG_TYPE_LIST:
		return mark->kind == SP_MARK_LIST;
	case CONFIG_TYPE_ARRAY:
		return mark->kind == SP_MARK_ARRAY;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_BOOL:
		return mark->kind == SP_MARK_SETTING;
	default:
		return false;
	}
}

/* Hangs its mark on each value below `parent`. False when libconfig's tree is not what the scan saw. Depth: SP_SCAN_NESTING_MAX. */
static bool attach_marks(const struct sp_scan *scan, config_setting_t *parent, size_t *next)
{
	int n = config_setting_length(parent);

	for (int i = 0; i < n; i++) {
		config_setting_t *setting = config_setting_get_elem(parent, (unsigned int)i);

		if (!setting || *next >= scan->n_marks || !mark_fits(&scan->marks[*next], setting))
			return false;
		config_setting_set_hook(setting, &scan->marks[(*next)++]);
		if (config_setting_is_aggregate(setting) && !attach_marks(scan, setting, next))
			return false;
	}
	return true;
}

static void report_syntax(const config_t *config, const struct sp_scan *scan, struct sp_diags *diags)
{
	const char *text = config_error_text(config);
	const char *file;
	int line;

	sp_scan_locate(scan, config_error_line(config), &file, &line);
	sp_diag_error(diags, file, line, "%s", text ? text : "cannot be parsed");
}

static int parse(config_t *config, const struct sp_scan *scan, const struct sp_read_options *options, struct sp_diags *diags)
{
	size_t next = 0;

	if (config_read_string(config, scan->text) != CONFIG_TRUE) {
		report_syntax(config, scan, diags);
		return -EINVAL;
	}
	if (!attach_marks(scan, config_root_setting(config), &next) || next != scan->n_marks) {
		sp_diag_error(
			diags, options->file, 0, "libconfig reads this file otherwise than the scan before it: please report the file");
		return -EINVAL;
	}
	return 0;
}

static void read_sections(struct sp_reader *reader, const config_t *config)
{
	const config_setting_t *root = config_root_setting(config);
	const char *names[N_SECTIONS];

	for (size_t i = 0; i < N_SECTIONS; i++)
		names[i] = sections[i].name;
	sp_reader_check_members(reader, root, names, N_SECTIONS);
	for (size_t i = 0; i < N_SECTIONS; i++) {
		const config_setting_t *section = config_setting_get_member(root, names[i]);
		size_t errors = reader->diags->errors;

		if (section)
			sections[i].read(reader, section);
		else if (sections[i].required)
			sp_diag_error(reader->diags, reader->options->file, 0, "'%s' is missing", names[i]);
		/* another version may mean anything by the rest; without the sets, every rule that names one would be reported */
		if (reader->diags->errors > errors && (sections[i].read == sp_read_version || sections[i].read == sp_read_sets))
			return;
	}
	sp_policy_narrow_self(reader->policy);
}

static int prepare(struct sp_reader *reader)
{
	const struct sp_read_options *options = reader->options;
	const char *file = options->file ? options->file : "input";

	reader->policy = sp_policy_new();
	if (!reader->policy)
		return -ENOMEM;
	reader->policy->file = sp_policy_strndup(reader->policy, file, strlen(file));
	if (!reader->policy->file)
		return -ENOMEM;
	if (options->zones) {
		reader->policy->zones = *options->zones;
		reader->policy->zones.closed = true;
	}
	reader->policy->builtin_arp = true;
	reader->policy->builtin_nd = true;
	return 0;
}

static struct sp_policy *read_scanned(const struct sp_scan *scan, const struct sp_read_options *options, struct sp_diags *diags)
{
	struct sp_reader reader = {.options = options, .diags = diags};
	size_t errors = diags->errors;
	config_t config;

	config_init(&config);
	if (parse(&config, scan, options, diags))
		goto out;
	if (prepare(&reader))
		sp_reader_no_memory(&reader);
	else
		read_sections(&reader, &config);
out:
	if (diags->errors > errors) {
		sp_policy_free(reader.policy);
		reader.policy = NULL;
	}
	config_destroy(&config);
	free(reader.files);
	return reader.policy;
}

struct sp_policy *sp_policy_read(const char *bytes, size_t size, const struct sp_read_options *options, struct sp_diags *diags)
{
	struct sp_scan_options scan_options = {.file = options->file, .strings_apart = true};
	struct sp_policy *policy = NULL;
	char *folder = NULL;
	struct sp_scan scan;

	if (size == 0) {
		sp_diag_error(diags, options->file, 0, "is empty: a rule file has version, default and rules");
		return NULL;
	}
	if (!options->api_body) {
		folder = options->folder ? strdup(options->folder) : sp_file_folder(options->file ? options->file : "");
		if (!folder) {
			sp_diag_error(diags, options->file, 0, "out of memory");
			return NULL;
		}
		scan_options.include_dir = folder;
	}
	if (sp_scan(bytes, size, &scan_options, &scan, diags) == 0) {
		policy = read_scanned(&scan, options, diags);
		sp_scan_free(&scan);
	}
	free(folder);
	return policy;
}
