/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/fmt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rules/fmt_tree.h"
#include "rules/rule_text.h"

#define INDENT     4
#define WIDTH_MAX  140
#define RULE_BYTES (2 * SP_SCAN_STRING_MAX)

struct writer {
	char *buf;
	size_t len, room;
	bool failed;
};

static void put(struct writer *w, const char *bytes, size_t len)
{
	if (w->failed)
		return;
	if (w->room - w->len < len + 1) {
		size_t room = w->room * 2 + len + 4096;
		char *buf = realloc(w->buf, room);

		if (!buf) {
			w->failed = true;
			return;
		}
		w->buf = buf;
		w->room = room;
	}
	memcpy(w->buf + w->len, bytes, len);
	w->len += len;
	w->buf[w->len] = '\0';
}

static void put_text(struct writer *w, const char *text)
{
	put(w, text, strlen(text));
}

static void put_indent(struct writer *w, size_t indent)
{
	static const char blanks[] = "                                                                ";

	for (; indent >= sizeof(blanks); indent -= sizeof(blanks) - 1)
		put(w, blanks, sizeof(blanks) - 1);
	put(w, blanks, indent);
}

/* --- canonical rule strings --------------------------------------------------------------------------------------------------- */

/* Takes the escapes out of a string token. Returns the length; out has room for len bytes. */
static size_t unescape(const char *text, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 1; i + 1 < len; i++) {
		char c = text[i];

		if (c == '\\') {
			c = text[++i];
			c = c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c == 'f' ? '\f' : c;
		}
		out[n++] = c;
	}
	out[n] = '\0';
	return n;
}

static char escape_letter(char c)
{
	switch (c) {
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	case '\f':
		return 'f';
	case '"':
	case '\\':
		return c;
	default:
		return 0;
	}
}

/* The string token of a text; 0 when it would be longer than a string may be. */
static size_t escape(const char *text, char out[SP_SCAN_STRING_MAX])
{
	size_t n = 0;

	out[n++] = '"';
	for (; *text; text++) {
		char letter = escape_letter(*text);

		if (n + 3 > SP_SCAN_STRING_MAX)
			return 0;
		if (letter)
			out[n++] = '\\';
		out[n++] = letter ? letter : *text;
	}
	out[n++] = '"';
	return n;
}

static int parse_rule(struct sp_policy *arena, const char *text, struct sp_rule_value values[SP_RULE_VALUES_MAX])
{
	struct sp_diags diags = {0};
	int n = sp_rule_text_parse(arena, text, NULL, 0, values, &diags);

	sp_diags_clear(&diags);
	return n;
}

static bool same_values(const struct sp_rule *rule, const struct sp_rule_value *values, int n, int expected)
{
	for (int i = 0; i < n; i++) {
		const char *value = rule->value[values[i].field];

		if (!value || strcmp(value, values[i].value) != 0)
			return false;
	}
	return n == expected;
}

/* Replaces the text of a rule string by its canonical form. A string that is no rule, or would not come back the same, stays. */
static int canonical_rule(struct sp_policy *arena, struct sp_fmt_node *node)
{
	char text[SP_SCAN_STRING_MAX + 1], canonical[RULE_BYTES], token[SP_SCAN_STRING_MAX];
	struct sp_rule_value values[SP_RULE_VALUES_MAX];
	struct sp_rule rule = {0};
	size_t len;
	int n;

	if (node->len > SP_SCAN_STRING_MAX)
		return 0;
	unescape(node->text, node->len, text);
	n = parse_rule(arena, text, values);
	if (n < 0)
		return 0;
	for (int i = 0; i < n; i++)
		rule.value[values[i].field] = values[i].value;
	if (sp_rule_text_format(&rule, false, canonical, sizeof(canonical)) >= sizeof(canonical))
		return 0;
	if (!same_values(&rule, values, parse_rule(arena, canonical, values), n))
		return 0;
	len = escape(canonical, token);
	if (len == 0)
		return 0;
	node->text = sp_policy_strndup(arena, token, len);
	node->len = len;
	return node->text ? 0 : -ENOMEM;
}

static int canonical_rules(struct sp_policy *arena, struct sp_fmt_node *container)
{
	int rc = 0;

	for (struct sp_fmt_node *node = container->first; node && !rc; node = node->next) {
		if (node->kind == SP_FMT_CONTAINER)
			rc = canonical_rules(arena, node);
		else if (container->rules && node->kind == SP_FMT_SCALAR && node->text[0] == '"')
			rc = canonical_rule(arena, node);
	}
	return rc;
}

/* --- where lines end ---------------------------------------------------------------------------------------------------------- */

static bool named(const struct sp_fmt_node *node, const char *name)
{
	return node->name && strlen(name) == node->name_len && memcmp(node->name, name, node->name_len) == 0;
}

/* Sections and lists of rules have a line for each member. */
static bool has_a_line_for_each(const struct sp_fmt_node *node)
{
	static const char *const sections[] = {"sets", "inspect", "rules", "nat", "expect", "schedules"};

	if (!node->first)
		return false;
	if (node->rules)
		return true;
	for (size_t i = 0; !node->parent->parent && i < sizeof(sections) / sizeof(sections[0]); i++) {
		if (named(node, sections[i]))
			return true;
	}
	return false;
}

/* A { } in a list (a rule, a pattern) is one line, whatever its length, unless a comment stands inside. */
static bool is_record(const struct sp_fmt_node *node)
{
	if (node->open != '{' || node->parent->open != '(')
		return false;
	for (const struct sp_fmt_node *member = node->first; member; member = member->next) {
		if (member->rules)
			return false;
	}
	return true;
}

/* Whether anything but members stands in a container, or any member takes more than a line; its last one left out when `but_last`. */
static bool is_plain(const struct sp_fmt_node *node, bool but_last)
{
	if (node->open_comments)
		return false;
	for (const struct sp_fmt_node *member = node->first; member; member = member->next) {
		if (member->kind == SP_FMT_COMMENT || member->kind == SP_FMT_INCLUDE || member->trailing)
			return false;
		if (member->layout != SP_FMT_FLAT && !(but_last && member == node->last))
			return false;
	}
	return true;
}

static bool is_hugged(const struct sp_fmt_node *node)
{
	return node->open == '{' && node->parent->rules && node->last && node->last->rules && node->last->layout == SP_FMT_LINES &&
	       is_plain(node, true);
}

static bool holds_scalars(const struct sp_fmt_node *node)
{
	if (node->open == '{')
		return false;
	for (const struct sp_fmt_node *member = node->first; member; member = member->next) {
		if (member->kind != SP_FMT_SCALAR)
			return false;
	}
	return true;
}

static enum sp_fmt_layout choose(const struct sp_fmt_node *node, size_t indent, bool joined)
{
	if (is_hugged(node))
		return SP_FMT_HUG;
	if (!is_plain(node, false) || has_a_line_for_each(node))
		return SP_FMT_LINES;
	if (joined || !node->first)
		return SP_FMT_FLAT;
	if (node->broken)
		return SP_FMT_LINES;
	if (indent + node->flat <= WIDTH_MAX)
		return SP_FMT_FLAT;
	return holds_scalars(node) ? SP_FMT_FILL : SP_FMT_LINES;
}

/* Decides how a node and all below it are written. `joined`: it is part of a record, which is one line. */
static void lay_out(struct sp_fmt_node *node, size_t indent, bool joined)
{
	node->flat = (node->name ? node->name_len + 3 : 0) + (node->kind == SP_FMT_CONTAINER ? 3 : node->len);
	if (node->kind != SP_FMT_CONTAINER)
		return;
	joined |= is_record(node);
	for (struct sp_fmt_node *member = node->first; member; member = member->next) {
		lay_out(member, indent + INDENT, joined);
		node->flat += member->flat + 2; /* a blank and a separator */
	}
	node->layout = choose(node, indent, joined);
}

/* --- output ------------------------------------------------------------------------------------------------------------------- */

static void put_comment(struct writer *w, const struct sp_fmt_node *comment)
{
	size_t len = comment->len;
	const char *p = comment->text;

	while (len && (p[len - 1] == ' ' || p[len - 1] == '\t' || p[len - 1] == '\r' || p[len - 1] == '\f'))
		len--;
	for (size_t i = 0; i < len; i++) {
		if (p[i] != '\r')
			put(w, p + i, 1);
	}
}

static void put_comments(struct writer *w, const struct sp_fmt_node *comment)
{
	for (; comment; comment = comment->next) {
		put_text(w, "  ");
		put_comment(w, comment);
	}
}

static const struct sp_fmt_node *next_member(const struct sp_fmt_node *node)
{
	do
		node = node->next;
	while (node && node->kind == SP_FMT_COMMENT);
	return node;
}

/* Between two members there is a comma. Around an include, only the author knows whether the included file brings it. */
static bool needs_comma(const struct sp_fmt_node *node)
{
	const struct sp_fmt_node *next = next_member(node);

	if (!next)
		return false;
	return node->kind == SP_FMT_INCLUDE || next->kind == SP_FMT_INCLUDE ? node->comma : true;
}

static void put_separator(struct writer *w, const struct sp_fmt_node *node)
{
	if (node->parent->open == '{' || node->parent->open == 0)
		put_text(w, ";");
	else if (needs_comma(node))
		put_text(w, ",");
}

static void put_value(struct writer *w, const struct sp_fmt_node *node, size_t indent);

static void put_lines(struct writer *w, const struct sp_fmt_node *container, size_t indent)
{
	for (const struct sp_fmt_node *node = container->first; node; node = node->next) {
		if (node->blank_before && node != container->first)
			put_text(w, "\n");
		put_indent(w, indent);
		if (node->kind == SP_FMT_COMMENT) {
			put_comment(w, node);
		} else if (node->kind == SP_FMT_INCLUDE) {
			put_text(w, "@include ");
			put(w, strchr(node->text, '"'), node->len - (size_t)(strchr(node->text, '"') - node->text));
			put_comments(w, node->trailing);
			if (container->open == '(' || container->open == '[') {
				if (needs_comma(node)) {
					put_text(w, "\n");
					put_indent(w, indent);
					put_text(w, ",");
				}
			}
		} else {
			put_value(w, node, indent);
			put_separator(w, node);
			put_comments(w, node->trailing);
		}
		put_text(w, "\n");
	}
}

/* Members one after another; a line that is full goes on below, indented. */
static void put_filled(struct writer *w, const struct sp_fmt_node *container, size_t indent)
{
	size_t column = indent + (container->name ? container->name_len + 3 : 0) + 1;

	for (const struct sp_fmt_node *member = container->first; member; member = member->next) {
		size_t need = member->len + 2 + (member == container->last ? 3 : 0);

		if (member != container->first && column + need > WIDTH_MAX) {
			put_text(w, "\n");
			put_indent(w, indent + INDENT);
			column = indent + INDENT;
		} else {
			put_text(w, " ");
			column++;
		}
		put_value(w, member, indent);
		put_separator(w, member);
		column += member->len + 1;
	}
	put_text(w, " ");
}

static void put_value(struct writer *w, const struct sp_fmt_node *node, size_t indent)
{
	char open[2] = {node->open}, close[2] = {node->open == '{' ? '}' : node->open == '(' ? ')' : ']'};

	if (node->name) {
		put(w, node->name, node->name_len);
		put_text(w, " = ");
	}
	if (node->kind == SP_FMT_SCALAR) {
		bool boolean = node->text[0] != '"' && (node->text[0] | 0x20) >= 'a';

		for (size_t i = 0; boolean && i < node->len; i++)
			put(w, (char[]){(char)(node->text[i] | 0x20)}, 1);
		if (!boolean)
			put(w, node->text, node->len);
		return;
	}
	put_text(w, open);
	switch (node->layout) {
	case SP_FMT_LINES:
		put_comments(w, node->open_comments);
		put_text(w, "\n");
		put_lines(w, node, indent + INDENT);
		put_indent(w, indent);
		break;
	case SP_FMT_FILL:
		put_filled(w, node, indent);
		break;
	case SP_FMT_HUG: /* the rules are indented as if the fields stood alone */
	case SP_FMT_FLAT:
		for (const struct sp_fmt_node *member = node->first; member; member = member->next) {
			put_text(w, " ");
			put_value(w, member, indent);
			put_separator(w, member);
		}
		if (node->first)
			put_text(w, " ");
		break;
	}
	put_text(w, close);
}

char *sp_fmt(const char *bytes, size_t size, const char *file, struct sp_diags *diags)
{
	struct sp_policy *arena = sp_policy_new();
	struct sp_fmt_node *root;
	struct writer w = {0};

	if (!arena)
		return NULL;
	root = sp_fmt_tree(arena, bytes, size, file, diags);
	if (!root)
		goto err_tree;
	if (canonical_rules(arena, root))
		goto err_memory;
	for (struct sp_fmt_node *node = root->first; node; node = node->next)
		lay_out(node, 0, false);
	put(&w, "", 0);
	put_lines(&w, root, 0);
	if (w.failed)
		goto err_memory;
	sp_policy_free(arena);
	return w.buf;

err_memory:
	sp_diag_error(diags, file, 0, "out of memory");
	free(w.buf);
err_tree:
	sp_policy_free(arena);
	if (diags->errors == 0)
		errno = ENOMEM;
	return NULL;
}
