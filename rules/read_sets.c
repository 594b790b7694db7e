/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* strchrnul */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules/read_internal.h"
#include "rules/sets.h"

/* Members of all sets, as the file gives them, in arrays that grow together; each set is a slice. */
struct collector {
	struct sp_reader *reader;
	struct sp_set_source *sources;
	size_t *first; /* index of each source's first member: the arrays move while they grow */
	size_t n;
	const char **members;
	int *lines;
	size_t n_members, room;
};

static bool add_member(struct collector *c, const char *text, size_t len, int line)
{
	char *copy;

	if (c->n_members == c->room) {
		size_t room = c->room ? c->room * 2 : 64;
		const char **members = realloc(c->members, room * sizeof(*members));
		int *lines;

		if (!members)
			return false;
		c->members = members;
		lines = realloc(c->lines, room * sizeof(*lines));
		if (!lines)
			return false;
		c->lines = lines;
		c->room = room;
	}
	copy = sp_policy_strndup(c->reader->policy, text, len);
	if (!copy)
		return false;
	c->members[c->n_members] = copy;
	c->lines[c->n_members++] = line;
	return true;
}

/* A string holds one member, or several with commas between them. */
static bool add_text(struct collector *c, const char *text, int line)
{
	for (;;) {
		const char *comma = strchrnul(text, ',');
		const char *end = comma;

		while (*text == ' ')
			text++;
		while (end > text && end[-1] == ' ')
			end--;
		if (!add_member(c, text, (size_t)(end - text), line))
			return false;
		if (!*comma)
			return true;
		text = comma + 1;
	}
}

static bool add_scalar(struct collector *c, const config_setting_t *setting)
{
	int line = sp_reader_mark(setting)->line;
	char number[16];

	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_STRING:
		return add_text(c, sp_reader_text(setting), line);
	case CONFIG_TYPE_INT:
		snprintf(number, sizeof(number), "%d", config_setting_get_int(setting));
		return add_text(c, number, line);
	default:
		sp_reader_error(c->reader, setting, "a set holds strings and numbers only");
		return true;
	}
}

static bool add_set(struct collector *c, const config_setting_t *setting)
{
	struct sp_set_source *source = &c->sources[c->n];
	bool sequence = config_setting_is_list(setting) || config_setting_is_array(setting);
	int n = sequence ? config_setting_length(setting) : 1;

	source->name = config_setting_name(setting);
	source->file = sp_reader_file(c->reader, setting);
	source->line = sp_reader_mark(setting)->line;
	c->first[c->n++] = c->n_members;
	for (int i = 0; i < n; i++) {
		if (!add_scalar(c, sequence ? config_setting_get_elem(setting, (unsigned int)i) : setting))
			return false;
	}
	source->n = c->n_members - c->first[c->n - 1];
	return true;
}

void sp_read_sets(struct sp_reader *reader, const config_setting_t *section)
{
	struct collector c = {.reader = reader};
	size_t errors = reader->diags->errors;
	int n;

	if (!sp_reader_is_group(reader, section))
		return;
	n = config_setting_length(section);
	c.sources = calloc((size_t)n + 1, sizeof(*c.sources));
	c.first = calloc((size_t)n + 1, sizeof(*c.first));
	if (!c.sources || !c.first)
		goto err_memory;
	for (int i = 0; i < n; i++) {
		if (!add_set(&c, config_setting_get_elem(section, (unsigned int)i)))
			goto err_memory;
	}
	for (size_t i = 0; i < c.n; i++) {
		c.sources[i].members = c.members ? c.members + c.first[i] : NULL;
		c.sources[i].lines = c.lines ? c.lines + c.first[i] : NULL;
	}
	if (reader->diags->errors == errors)
		sp_sets_resolve(reader->policy, c.sources, c.n, reader->options, reader->diags);
	goto out;

err_memory:
	sp_reader_no_memory(reader);
out:
	free(c.sources);
	free(c.first);
	free(c.members);
	free(c.lines);
}
