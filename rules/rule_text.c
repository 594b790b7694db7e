/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/rule_text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "rules/fields.h"

/* One word of the string, or a quoted value with its quotes taken off. */
struct token {
	char *text; /* in the arena; NULL: the string has ended */
	size_t len;
	int column;
	bool quoted;
};

struct parser {
	struct sp_policy *policy;
	struct sp_diags *diags;
	const char *file;
	int line;
	uint32_t rule;
	const char *start, *next; /* the string, and what of it is not read yet */
	struct token token;       /* the one at hand */
	struct sp_rule_value *out;
	int n;
	uint64_t given;
};

#define FAIL(p, column, ...) (sp_diag_add((p)->diags, SP_DIAG_ERROR, (p)->file, (p)->line, (column), (p)->rule, __VA_ARGS__), -EINVAL)

/* Bytes of the user's text that a message repeats. */
#define SHOWN(len) ((int)((len) < 48 ? (len) : 48))

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* 'a value, it''s quoted': two quotes inside stand for one. */
static int read_quoted(struct parser *p)
{
	const char *s = p->next + 1;
	char *out = sp_policy_alloc(p->policy, strlen(s) + 1), *end = out;

	if (out == NULL)
		return FAIL(p, p->token.column, "out of memory");
	for (;; s++) {
		if (*s == '\0')
			return FAIL(p, p->token.column, "a single quote is opened and not closed");
		if (*s == '\'' && *++s != '\'')
			break;
		*end++ = *s;
	}
	if (*s != '\0' && !blank(*s))
		return FAIL(p, p->token.column, "a blank must follow the closing quote; a quote inside a value is written twice");
	p->token.text = out;
	p->token.len = (size_t)(end - out);
	p->token.quoted = true;
	p->next = s;
	return 0;
}

/* Reads the next token into p->token; text NULL at the end. */
static int advance(struct parser *p)
{
	const char *end;

	while (blank(*p->next))
		p->next++;
	p->token = (struct token){.column = (int)(p->next - p->start) + 1};
	if (*p->next == '\0')
		return 0;
	if (*p->next == '\'')
		return read_quoted(p);
	for (end = p->next; *end != '\0' && !blank(*end); end++)
		if (*end == '\'')
			return FAIL(p, (int)(end - p->start) + 1, "a quote inside a word: quote the whole value");
	p->token.len = (size_t)(end - p->next);
	p->token.text = sp_policy_strndup(p->policy, p->next, p->token.len);
	if (p->token.text == NULL)
		return FAIL(p, p->token.column, "out of memory");
	p->next = end;
	return 0;
}

/* Field that the token names, -1: none. A quoted word is always a value. */
static int token_field(const struct token *token)
{
	return token->text == NULL || token->quoted ? -1 : sp_field_by_name(token->text, token->len);
}

static int give(struct parser *p, int field, const char *value, int column)
{
	if (p->given >> field & 1)
		return FAIL(p, column, "%s is said twice", sp_field_names[field]);
	p->given |= UINT64_C(1) << field;
	p->out[p->n++] = (struct sp_rule_value){.field = field, .value = value, .column = column};
	return 0;
}

/* Gives the token at hand to the field and goes on to the next. */
static int give_token(struct parser *p, int field)
{
	int result = give(p, field, p->token.text, p->token.column);

	return result != 0 ? result : advance(p);
}

/* Whether a list reads as addresses rather than as zones: by its first member, because zone names are identifiers. */
static bool reads_as_addresses(const char *text)
{
	size_t len = strcspn(text, ", \t");

	if (text[0] == '@' || text[0] == '!' || isdigit((unsigned char)text[0]))
		return true;
	if (memchr(text, ':', len) != NULL || memchr(text, '.', len) != NULL || memchr(text, '/', len) != NULL)
		return true;
	return len == 9 && memcmp(text, "interface", 9) == 0;
}

/* A list is one kind or the other throughout: "inside,10.0.0.0/8" is a slip of the comma key. */
static int check_one_kind(struct parser *p, const char *what)
{
	bool addresses = reads_as_addresses(p->token.text);

	for (const char *s = strchr(p->token.text, ','); s != NULL; s = strchr(s + 1, ',')) {
		const char *member = s + 1;

		while (blank(*member))
			member++;
		if (*member != '\0' && *member != ',' && reads_as_addresses(member) != addresses)
			return FAIL(p, p->token.column, "%s: '%.*s' mixes zones and addresses: separate them with a blank, zones first",
				what, SHOWN(p->token.len), p->token.text);
	}
	return 0;
}

/* "from [ZONES] [ADDRESSES]" behind its keyword. */
static int parse_end(struct parser *p, int zones, int addresses)
{
	int column = p->token.column, result = advance(p);
	bool any = false;

	for (int turn = 0; turn < 2 && result == 0; turn++) {
		bool take = p->token.text != NULL && token_field(&p->token) < 0 && reads_as_addresses(p->token.text) == (turn == 1);

		if (!take)
			continue;
		any = true;
		result = check_one_kind(p, sp_field_names[zones]);
		if (result == 0)
			result = give_token(p, turn == 1 ? addresses : zones);
	}
	if (result == 0 && !any && token_field(&p->token) >= 0)
		result =
			FAIL(p, column, "%s needs a zone, an address, or both behind it, and '%s' is a field, which no zone is named after",
				sp_field_names[zones], p->token.text);
	else if (result == 0 && !any)
		result = FAIL(p, column, "%s needs a zone, an address, or both behind it", sp_field_names[zones]);
	return result;
}

static bool takes_no_value(int field)
{
	return field == SP_FIELD_LOG || field == SP_FIELD_STATELESS || field == SP_FIELD_MONITOR || field == SP_FIELD_OVER;
}

/* A flag, and the word that may follow it: "log", "log start", "stateless false". */
static int parse_flag(struct parser *p, int field)
{
	static const char *const words[] = {"true", "false", "start", "end", "both"};
	size_t n = field == SP_FIELD_LOG ? 5 : 2;
	int column = p->token.column, result = advance(p);

	if (result != 0)
		return result;
	for (size_t i = 0; p->token.text != NULL && i < n; i++)
		if (strcmp(p->token.text, words[i]) == 0)
			return give_token(p, field);
	return give(p, field, "true", column);
}

static int parse_value(struct parser *p, int field)
{
	const char *name = sp_field_names[field];
	int column = p->token.column, result = advance(p);

	if (result != 0)
		return result;
	if (p->token.text == NULL)
		return FAIL(p, column, "%s needs a value behind it", name);
	if (token_field(&p->token) >= 0)
		return FAIL(p, column,
			"%s needs a value behind it, and '%s' is the next field (a value of that name stands in single quotes)", name,
			p->token.text);
	return give_token(p, field);
}

static int unknown_word(struct parser *p)
{
	const struct token *token = &p->token;
	const char *near;

	if (token->quoted)
		return FAIL(p, token->column, "the quoted value '%.*s' stands behind no field", SHOWN(token->len), token->text);
	if (strcmp(token->text, "port") == 0 || strcmp(token->text, "ports") == 0)
		return FAIL(
			p, token->column, "'%s' does not say whose: write sport (of the sender) or dport (of the receiver)", token->text);
	if (strcmp(token->text, "any") == 0 || strcmp(token->text, "all") == 0)
		return FAIL(p, token->column, "'%s' is what a rule means that leaves the field out: leave it out", token->text);
	if (sp_proto_parse(token->text, strcspn(token->text, ",")) >= 0)
		return FAIL(p, token->column, "'%.*s': the protocol stands right behind the action, or behind the word proto",
			SHOWN(token->len), token->text);
	near = sp_diag_nearest(token->text, token->len, sp_field_names, SP_FIELD_COUNT);
	if (near != NULL)
		return FAIL(p, token->column, "unknown word '%.*s': did you mean %s?", SHOWN(token->len), token->text, near);
	return FAIL(p, token->column, "unknown word '%.*s': neither a field nor a flag (values with blanks stand in single quotes)",
		SHOWN(token->len), token->text);
}

static int parse_fields(struct parser *p)
{
	int result = 0;

	while (result == 0 && p->token.text != NULL) {
		int field = token_field(&p->token);

		if (field < 0)
			result = unknown_word(p);
		else if (field == SP_FIELD_FROM)
			result = parse_end(p, SP_FIELD_FROM, SP_FIELD_SRC);
		else if (field == SP_FIELD_TO)
			result = parse_end(p, SP_FIELD_TO, SP_FIELD_DST);
		else if (takes_no_value(field))
			result = parse_flag(p, field);
		else
			result = parse_value(p, field);
	}
	return result;
}

/* Whether the word stands where a protocol list may stand and its first member is one; the rest is for fields.c to judge. */
static bool reads_as_protos(const struct token *token)
{
	size_t len = strcspn(token->text, ",");

	return len < token->len || sp_proto_parse(token->text, len) >= 0 || (len > 0 && strspn(token->text, "0123456789") == len) ||
	       (len == 2 && memcmp(token->text, "ip", 2) == 0) || (len == 4 && memcmp(token->text, "ipv", 3) == 0) ||
	       strcmp(token->text, "icmp6") == 0;
}

/* ID ACTION [PROTO]: what stands before the first field. */
static int parse_head(struct parser *p)
{
	uint32_t id = 0;
	int result;

	if (p->token.text == NULL)
		return FAIL(p, 0, "the rule is empty: a rule is ID ACTION and what it matches, such as '10 allow tcp dport 443'");
	for (size_t i = 0; i < p->token.len; i++) {
		if (p->token.quoted || !isdigit((unsigned char)p->token.text[i]))
			return FAIL(p, p->token.column, "a rule starts with its id, a number, and not with '%.*s'", SHOWN(p->token.len),
				p->token.text);
		id = id > INT32_MAX / 10 ? 0 : id * 10 + (uint32_t)(p->token.text[i] - '0');
	}
	p->rule = id <= INT32_MAX ? id : 0;
	result = give_token(p, SP_FIELD_ID);
	if (result != 0)
		return result;
	if (p->token.text == NULL || token_field(&p->token) >= 0)
		return FAIL(p, p->token.column, "behind the id stands the action: allow, drop or reject");
	result = give_token(p, SP_FIELD_ACTION);
	if (result == 0 && p->token.text != NULL && !p->token.quoted && token_field(&p->token) < 0 && reads_as_protos(&p->token))
		result = give_token(p, SP_FIELD_PROTO);
	return result;
}

int sp_rule_text_parse(struct sp_policy *policy, const char *text, const char *file, int line, struct sp_rule_value out[SP_RULE_VALUES_MAX],
	struct sp_diags *diags)
{
	struct parser p = {.policy = policy, .diags = diags, .file = file, .line = line, .start = text, .next = text, .out = out};

	for (const char *s = text; *s != '\0'; s++)
		if (((unsigned char)*s < 0x20 || *s == 0x7f) && !blank(*s))
			return FAIL(&p, (int)(s - text) + 1, "a control character (0x%02x) in the rule", (unsigned char)*s);
	if (advance(&p) != 0 || parse_head(&p) != 0 || parse_fields(&p) != 0)
		return -EINVAL;
	return p.n;
}

/* Text that grows past the end of its buffer without being written there. */
struct writer {
	char *buf;
	size_t size, len;
};

static void put_char(struct writer *w, char c)
{
	if (w->len + 1 < w->size)
		w->buf[w->len] = c;
	w->len++;
}

static void put(struct writer *w, const char *text)
{
	while (*text != '\0')
		put_char(w, *text++);
}

static bool needs_quotes(const char *value)
{
	if (value[0] == '\0' || sp_field_by_name(value, strlen(value)) >= 0)
		return true;
	for (const char *s = value; *s != '\0'; s++)
		if (blank(*s) || *s == '\'')
			return true;
	return false;
}

static void put_value(struct writer *w, const char *value)
{
	if (w->len != 0)
		put_char(w, ' ');
	if (!needs_quotes(value)) {
		put(w, value);
		return;
	}
	put_char(w, '\'');
	for (; *value != '\0'; value++) {
		if (*value == '\'')
			put_char(w, '\'');
		put_char(w, *value);
	}
	put_char(w, '\'');
}

static void put_word(struct writer *w, const char *word)
{
	if (w->len != 0)
		put_char(w, ' ');
	put(w, word);
}

/* from or to with what follows it; an address list that would read as zones is written by its field's name. */
static void put_end(struct writer *w, const char *const value[SP_FIELD_COUNT], int zones, int addresses)
{
	const char *list = value[addresses];
	bool inline_list = list != NULL && reads_as_addresses(list);

	if (value[zones] != NULL || inline_list)
		put_word(w, sp_field_names[zones]);
	if (value[zones] != NULL)
		put_value(w, value[zones]);
	if (inline_list)
		put_value(w, list);
	if (list != NULL && !inline_list) {
		put_word(w, sp_field_names[addresses]);
		put_value(w, list);
	}
}

static void put_field(struct writer *w, int field, const char *value)
{
	/* The id and the action stand without their names; a protocol list too, when it would be read as one. */
	struct token token = {.text = (char *)(uintptr_t)value, .len = strlen(value)};

	if (field == SP_FIELD_ID || field == SP_FIELD_ACTION ||
		(field == SP_FIELD_PROTO && !needs_quotes(value) && reads_as_protos(&token))) {
		put_value(w, value);
		return;
	}
	put_word(w, sp_field_names[field]);
	if (!takes_no_value(field) || strcmp(value, "true") != 0)
		put_value(w, value);
}

size_t sp_rule_text_format(const struct sp_rule *rule, bool only_own, char *buf, size_t size)
{
	struct writer w = {.buf = buf, .size = size};
	const char *value[SP_FIELD_COUNT];

	for (int field = 0; field < SP_FIELD_COUNT; field++)
		value[field] = only_own && !(rule->own >> field & 1) ? NULL : rule->value[field];
	for (int field = 0; field < SP_FIELD_COUNT; field++) {
		if (field == SP_FIELD_FROM)
			put_end(&w, value, SP_FIELD_FROM, SP_FIELD_SRC);
		else if (field == SP_FIELD_TO)
			put_end(&w, value, SP_FIELD_TO, SP_FIELD_DST);
		else if (field != SP_FIELD_SRC && field != SP_FIELD_DST && value[field] != NULL)
			put_field(&w, field, value[field]);
	}
	if (size != 0)
		buf[w.len < size ? w.len : size - 1] = '\0';
	return w.len;
}
