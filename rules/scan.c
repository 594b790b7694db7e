/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rules/file.h"
#include "rules/lex.h"

/* From text_line on, lines of the text are those of `file` from file_line on, until the next span. */
struct span {
	int text_line;
	const char *file;
	int file_line;
};

struct line_map {
	struct span *spans;
	size_t n_spans;
	char **files; /* names, owned */
	size_t n_files;
};

/* A file being read: a stack over the includes, newest first. */
struct source {
	const struct source *parent;
	const char *file;      /* for messages; the map's */
	const char *real_path; /* NULL when unknown; finds cycles */
	const char *folder;    /* what includes are relative to */
	unsigned int depth;
};

struct scanner {
	struct sp_grammar grammar;
	const char *include_dir;
	struct sp_diags *diags;
	struct line_map *map;
	char *text;
	size_t size, room;
	struct sp_mark *marks;
	size_t n_marks, marks_room;
	int text_line;      /* line of `text` being written */
	int source_line;    /* line of the present file that corresponds */
	bool comma;         /* a list's comma was read and not yet written: dropped when a bracket closes */
	size_t input_bytes; /* of all files */
	bool strings_apart;
	char *strings; /* texts, each with its NUL, in the order of their marks */
	size_t strings_size, strings_room;
	uint64_t *names; /* hashes of the names in the groups that are open, innermost last */
	size_t n_names, names_room;
	size_t names_from[SP_SCAN_NESTING_MAX + 1]; /* by depth: where the names of that level begin */
	unsigned int faults;                        /* errors that did not stop the scan */
	unsigned int includes;
};

static int scan_source(struct scanner *s, const char *bytes, size_t size, const struct source *source);

static int grow_text(struct scanner *s, size_t len)
{
	size_t room = s->room * 2 + len + 4096;
	char *text = realloc(s->text, room);

	if (!text)
		return -ENOMEM;
	s->text = text;
	s->room = room;
	return 0;
}

static inline int write_byte(struct scanner *s, char c)
{
	if (s->size == s->room && grow_text(s, 1))
		return -ENOMEM;
	s->text[s->size++] = c;
	return 0;
}

static int write_bytes(struct scanner *s, const char *bytes, size_t len)
{
	if (s->room - s->size < len && grow_text(s, len))
		return -ENOMEM;
	memcpy(s->text + s->size, bytes, len);
	s->size += len;
	return 0;
}

/* Keeps the text of a string for its mark. The lexer has seen to it that each backslash begins one of these escapes. */
static int keep_string(struct scanner *s, const struct sp_token *token)
{
	static const char escapes[] = "nrtf", meanings[] = "\n\r\t\f";
	const char *end = token->text + token->len - 1;

	if (s->strings_room - s->strings_size < token->len) {
		size_t room = s->strings_room * 2 + token->len + 4096;
		char *strings = realloc(s->strings, room);

		if (!strings)
			return -ENOMEM;
		s->strings = strings;
		s->strings_room = room;
	}
	for (const char *p = token->text + 1; p < end; p++) {
		const char *escape = *p == '\\' && ++p < end ? strchr(escapes, *p) : NULL;

		s->strings[s->strings_size++] = escape && *escape ? meanings[escape - escapes] : *p;
	}
	s->strings[s->strings_size++] = '\0';
	return 0;
}

static int write_newline(struct scanner *s)
{
	s->text_line++;
	s->source_line++;
	return write_byte(s, '\n');
}

/* Begins a line of text that stands for `line` of `file`. */
static int write_span(struct scanner *s, const char *file, int line)
{
	struct line_map *map = s->map;

	if (s->size && write_newline(s))
		return -ENOMEM;
	if ((map->n_spans & (map->n_spans - 1)) == 0) {
		struct span *spans = realloc(map->spans, (map->n_spans ? map->n_spans * 2 : 1) * sizeof(*spans));

		if (!spans)
			return -ENOMEM;
		map->spans = spans;
	}
	map->spans[map->n_spans++] = (struct span){.text_line = s->text_line, .file = file, .file_line = line};
	s->source_line = line;
	return 0;
}

/* Keeps the name as long as the scan lives. NULL on ENOMEM. */
static const char *keep_name(struct line_map *map, char *name)
{
	char **files = name ? realloc(map->files, (map->n_files + 1) * sizeof(*files)) : NULL;

	if (!files) {
		free(name);
		return NULL;
	}
	map->files = files;
	map->files[map->n_files++] = name;
	return name;
}

static int add_mark(struct scanner *s, const struct sp_token *token, const char *file)
{
	struct sp_mark mark = {.file = file, .line = token->line, .column = token->column};

	if (token->kind == SP_TOKEN_STRING)
		mark.kind = SP_MARK_STRING;
	else if (token->kind == SP_TOKEN_OPEN)
		mark.kind = token->text[0] == '{' ? SP_MARK_GROUP : token->text[0] == '(' ? SP_MARK_LIST : SP_MARK_ARRAY;
	else
		mark.kind = SP_MARK_SETTING;
	if (s->n_marks == s->marks_room) {
		size_t room = s->marks_room ? s->marks_room * 2 : 256;
		struct sp_mark *marks = realloc(s->marks, room * sizeof(*marks));

		if (!marks)
			return -ENOMEM;
		s->marks = marks;
		s->marks_room = room;
	}
	s->marks[s->n_marks++] = mark;
	return 0;
}

static uint64_t hash_name(const char *name, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a: two names of one file do not meet by accident */

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)name[i]) * 0x100000001b3u;
	return h;
}

/*
 * Refuses a name that its group has already: libconfig would, after it has read the file up to there. Looks at as many hashes as libconfig
 * compares names, which is bounded (SP_SCAN_COMPARISONS_MAX), and a fraction of its time.
 */
static int take_name(struct scanner *s, const struct sp_token *token, const char *file)
{
	uint64_t hash = hash_name(token->text, token->len);

	for (size_t i = s->names_from[s->grammar.depth]; i < s->n_names; i++) {
		if (s->names[i] != hash)
			continue;
		sp_diag_add(s->diags, SP_DIAG_ERROR, file, token->line, token->column, 0,
			"'%.*s' is given twice in one group: keep one of them", (int)token->len, token->text);
		return -EINVAL;
	}
	if (s->n_names == s->names_room) {
		size_t room = s->names_room ? s->names_room * 2 : 64;
		uint64_t *names = realloc(s->names, room * sizeof(*names));

		if (!names)
			return -ENOMEM;
		s->names = names;
		s->names_room = room;
	}
	s->names[s->n_names++] = hash;
	return 0;
}

static int write_token(struct scanner *s, const struct sp_token *token)
{
	bool comma = s->comma;

	s->comma = token->kind == SP_TOKEN_COMMA && !sp_grammar_in_group(&s->grammar);
	if (s->comma)
		return 0;
	if (comma && token->kind != SP_TOKEN_CLOSE && write_byte(s, ','))
		return -ENOMEM;
	while (s->source_line < token->line) {
		if (write_newline(s))
			return -ENOMEM;
	}
	switch (token->kind) {
	case SP_TOKEN_COMMA:
		return write_byte(s, ';');
	case SP_TOKEN_ASSIGN:
		return write_byte(s, '=');
	case SP_TOKEN_SEMICOLON:
	case SP_TOKEN_OPEN:
	case SP_TOKEN_CLOSE:
		return write_byte(s, token->text[0]);
	case SP_TOKEN_STRING:
		if (s->strings_apart)
			return keep_string(s, token) || write_bytes(s, "\"\" ", 3) ? -ENOMEM : 0;
		/* fall through */
	default:
		/* the blank keeps words apart that only a comment kept apart */
		return write_bytes(s, token->text, token->len) || write_byte(s, ' ') ? -ENOMEM : 0;
	}
}

static int take_token(struct scanner *s, const struct sp_token *token, const struct source *source, unsigned int base_depth)
{
	int rc;

	if (token->kind == SP_TOKEN_CLOSE && s->grammar.depth == base_depth && source->parent) {
		sp_diag_add(s->diags, SP_DIAG_ERROR, source->file, token->line, token->column, 0,
			"'%c' closes a bracket of the file that includes this one: open and close in one file", token->text[0]);
		return -EINVAL;
	}
	if (sp_grammar_feed(&s->grammar, token, source->file))
		return -EINVAL;
	switch (token->kind) {
	case SP_TOKEN_NAME:
		rc = take_name(s, token, source->file);
		if (rc)
			return rc;
		break;
	case SP_TOKEN_OPEN:
		s->names_from[s->grammar.depth] = s->n_names;
		/* fall through */
	case SP_TOKEN_STRING:
	case SP_TOKEN_INTEGER:
	case SP_TOKEN_BOOLEAN:
		if (add_mark(s, token, source->file))
			return -ENOMEM;
		break;
	case SP_TOKEN_CLOSE:
		s->n_names = s->names_from[s->grammar.depth + 1];
		break;
	default:
		break;
	}
	return write_token(s, token);
}

static bool is_being_read(const struct source *source, const char *real_path)
{
	for (; source; source = source->parent) {
		if (source->real_path && strcmp(source->real_path, real_path) == 0)
			return true;
	}
	return false;
}

static int include_refused(struct scanner *s, const struct sp_token *token, const struct source *source, const char *why)
{
	sp_diag_add(s->diags, SP_DIAG_ERROR, source->file, token->line, token->column, 0, "@include \"%.*s\": %s", (int)token->path_len,
		token->path, why);
	return -EINVAL;
}

static int read_included(
	struct scanner *s, const struct sp_token *token, const struct source *source, const char *name, const char *real_path)
{
	struct source inner = {.parent = source, .real_path = real_path, .depth = source->depth + 1};
	char why[SP_FILE_WHY_BYTES];
	char *bytes = NULL, *folder = NULL;
	size_t size;
	int rc;

	if (is_being_read(source, real_path))
		return include_refused(s, token, source, "the file includes itself");
	if (sp_file_load(real_path, &bytes, &size, why))
		return include_refused(s, token, source, why);
	inner.file = keep_name(s->map, sp_file_join(source->folder, name));
	folder = inner.file ? sp_file_folder(inner.file) : NULL;
	inner.folder = folder;
	rc = folder ? write_span(s, inner.file, 1) : -ENOMEM;
	if (!rc)
		rc = scan_source(s, bytes, size, &inner);
	if (!rc)
		rc = write_span(s, source->file, token->line);
	free(folder);
	free(bytes);
	return rc;
}

static int take_include(struct scanner *s, const struct sp_token *token, const struct source *source)
{
	char why[SP_FILE_WHY_BYTES];
	char *name, *real_path;
	int rc = -ENOMEM;

	if (!s->include_dir)
		return include_refused(s, token, source, "files cannot be included here: send the whole text");
	if (!sp_grammar_may_include(&s->grammar))
		return sp_grammar_feed(&s->grammar, token, source->file);
	if (source->depth >= SP_SCAN_INCLUDE_DEPTH_MAX)
		return include_refused(s, token, source, "includes are nested too deep");
	if (++s->includes > SP_SCAN_INCLUDES_MAX)
		return include_refused(s, token, source, "too many includes");
	name = strndup(token->path, token->path_len);
	if (!name)
		return -ENOMEM;
	real_path = sp_file_resolve(s->include_dir, source->folder, name, why);
	if (!real_path)
		rc = include_refused(s, token, source, why);
	else
		rc = read_included(s, token, source, name, real_path);
	free(real_path);
	free(name);
	return rc;
}

static int end_of_source(struct scanner *s, const struct sp_token *token, const struct source *source, unsigned int base_depth)
{
	if (!source->parent)
		return sp_grammar_feed(&s->grammar, token, source->file);
	if (s->grammar.depth != base_depth) {
		const struct sp_grammar_level *level = &s->grammar.level[s->grammar.depth];

		sp_diag_add(s->diags, SP_DIAG_ERROR, source->file, token->line, token->column, 0,
			"the included file ends before the '%c' of line %d is closed", level->open, level->line);
		return -EINVAL;
	}
	if (!sp_grammar_may_include(&s->grammar)) {
		sp_diag_add(s->diags, SP_DIAG_ERROR, source->file, token->line, token->column, 0,
			"the included file ends after a name without a value");
		return -EINVAL;
	}
	return 0;
}

static int scan_source(struct scanner *s, const char *bytes, size_t size, const struct source *source)
{
	unsigned int base_depth = s->grammar.depth;
	struct sp_token token;
	struct sp_lex lex;
	int rc;

	if (size > SP_SCAN_SIZE_MAX - s->input_bytes) {
		sp_diag_error(s->diags, source->file, 0, "the file with its includes is larger than %u MB", SP_SCAN_SIZE_MAX >> 20);
		return -EINVAL;
	}
	s->input_bytes += size;
	sp_lex_init(&lex, bytes, size, source->file, s->diags);
	do {
		rc = sp_lex_next(&lex, &token);
		if (!rc && token.kind == SP_TOKEN_END)
			rc = end_of_source(s, &token, source, base_depth);
		else if (!rc && token.kind == SP_TOKEN_INCLUDE)
			rc = take_include(s, &token, source);
		else if (!rc && token.kind != SP_TOKEN_COMMENT)
			rc = take_token(s, &token, source, base_depth);
	} while (!rc && token.kind != SP_TOKEN_END);
	s->faults += lex.faults;
	return rc;
}

static int scan_main(struct scanner *s, const char *bytes, size_t size, const struct sp_scan_options *options)
{
	struct source source = {0};
	char *folder = options->file ? sp_file_folder(options->file) : strdup(".");
	char *real_path = options->file && options->include_dir ? realpath(options->file, NULL) : NULL;
	int rc = -ENOMEM;

	source.folder = folder;
	source.real_path = real_path;
	source.file = keep_name(s->map, strdup(options->file ? options->file : "input"));
	if (folder && source.file)
		rc = write_span(s, source.file, 1);
	if (!rc)
		rc = scan_source(s, bytes, size, &source);
	if (!rc)
		rc = s->faults ? -EINVAL : write_newline(s);
	if (!rc)
		rc = write_byte(s, '\0');
	free(folder);
	free(real_path);
	return rc;
}

/* Once no string moves any more. */
static void attach_strings(struct scanner *s)
{
	const char *next = s->strings;

	for (size_t i = 0; s->strings_apart && i < s->n_marks; i++) {
		if (s->marks[i].kind != SP_MARK_STRING)
			continue;
		s->marks[i].string = next;
		next += strlen(next) + 1;
	}
}

static void free_map(struct line_map *map)
{
	if (!map)
		return;
	for (size_t i = 0; i < map->n_files; i++)
		free(map->files[i]);
	free(map->files);
	free(map->spans);
	free(map);
}

int sp_scan(const char *bytes, size_t size, const struct sp_scan_options *options, struct sp_scan *scan, struct sp_diags *diags)
{
	struct scanner s = {.include_dir = options->include_dir,
		.strings_apart = options->strings_apart,
		.diags = diags,
		.text_line = 1,
		.source_line = 1};
	int rc;

	sp_grammar_init(&s.grammar, diags);
	s.map = calloc(1, sizeof(*s.map));
	rc = s.map ? scan_main(&s, bytes, size, options) : -ENOMEM;
	free(s.names);
	if (rc) {
		if (rc == -ENOMEM)
			sp_diag_error(diags, options->file, 0, "out of memory");
		free_map(s.map);
		free(s.text);
		free(s.strings);
		free(s.marks);
		return rc;
	}
	attach_strings(&s);
	*scan = (struct sp_scan){
		.text = s.text, .size = s.size - 1, .marks = s.marks, .n_marks = s.n_marks, .strings = s.strings, .line_map = s.map};
	return 0;
}

void sp_scan_locate(const struct sp_scan *scan, int text_line, const char **file, int *line)
{
	const struct line_map *map = scan->line_map;
	size_t lo = 0, hi = map->n_spans;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (map->spans[mid].text_line <= text_line)
			lo = mid;
		else
			hi = mid;
	}
	*file = map->spans[lo].file;
	*line = map->spans[lo].file_line + (text_line - map->spans[lo].text_line);
}

void sp_scan_free(struct sp_scan *scan)
{
	free_map(scan->line_map);
	free(scan->text);
	free(scan->strings);
	free(scan->marks);
	memset(scan, 0, sizeof(*scan));
}
