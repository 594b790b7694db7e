/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "rules/lex.h"
#include "rules/policy.h"

#define SHOWN_MAX 40

/* What may come next on a level. */
enum state {
	GROUP_NAME,   /* a name, or the end */
	GROUP_ASSIGN, /* = */
	GROUP_VALUE,  /* a value */
	GROUP_AFTER,  /* a separator, a name, or the end */
	LIST_FIRST,   /* a value or the end */
	LIST_VALUE,   /* a value, or the end after a trailing comma */
	LIST_AFTER,   /* a comma or the end */
	LIST_INCLUDED /* after an include that is not spliced in: anything but two commas */
};

/* What a level is to a rule file: counting rules here spares libconfig a file that has too many. */
enum role { ROLE_OTHER, ROLE_RULES, ROLE_MEMBER };

#define feed_error(g, file, token, ...) sp_diag_add((g)->diags, SP_DIAG_ERROR, file, (token)->line, (token)->column, 0, __VA_ARGS__)

void sp_grammar_init(struct sp_grammar *grammar, struct sp_diags *diags)
{
	memset(grammar, 0, sizeof(*grammar));
	grammar->level[0].open = '{';
	grammar->level[0].state = GROUP_NAME;
	grammar->diags = diags;
}

static char closer(char open)
{
	return open == '{' ? '}' : open == '(' ? ')' : ']';
}

bool sp_grammar_may_include(const struct sp_grammar *grammar)
{
	uint8_t state = grammar->level[grammar->depth].state;

	return state != GROUP_ASSIGN && state != GROUP_VALUE;
}

static int shown(const struct sp_token *token)
{
	return token->len > SHOWN_MAX ? SHOWN_MAX : (int)token->len;
}

/* libconfig looks through all members of a group for each that is added: their sum is what must be bounded. */
static int count_group_member(struct sp_grammar *g, struct sp_grammar_level *level, const struct sp_token *token, const char *file)
{
	g->comparisons += level->members;
	if (++level->members > SP_SCAN_GROUP_MAX) {
		feed_error(g, file, token, "group of more than %d members: split it", SP_SCAN_GROUP_MAX);
		return -EINVAL;
	}
	if (++g->settings > SP_SCAN_SETTINGS_MAX) {
		feed_error(g, file, token, "more than %u settings in one file: write the rules as strings", SP_SCAN_SETTINGS_MAX);
		return -EINVAL;
	}
	if (g->comparisons > SP_SCAN_COMPARISONS_MAX) {
		feed_error(g, file, token, "too many large groups in one file: write the rules as strings, or split the file");
		return -EINVAL;
	}
	return 0;
}

/* The role of a level that opens below `parent`: the list `rules` of the file or of a group of rules, or a member of such a list. */
static enum role role_below(const struct sp_grammar *g, const struct sp_grammar_level *parent, char open)
{
	if (open == '{')
		return parent->role == ROLE_RULES ? ROLE_MEMBER : ROLE_OTHER;
	return parent->rules_next && (g->depth == 0 || parent->role == ROLE_MEMBER) ? ROLE_RULES : ROLE_OTHER;
}

/* Members of the lists of rules, without the groups that hold such a list themselves. */
static int count_rule(struct sp_grammar *g, const struct sp_token *token, const char *file)
{
	if (++g->rules <= SP_RULES_MAX)
		return 0;
	feed_error(g, file, token, "too many rules: at most %d in one policy", SP_RULES_MAX);
	return -EINVAL;
}

static int open_level(struct sp_grammar *g, const struct sp_token *token, const char *file)
{
	struct sp_grammar_level *level;
	enum role role;

	if (g->depth >= SP_SCAN_NESTING_MAX) {
		feed_error(g, file, token, "brackets nested more than %d deep", SP_SCAN_NESTING_MAX);
		return -EINVAL;
	}
	role = role_below(g, &g->level[g->depth], token->text[0]);
	if (role == ROLE_RULES && g->level[g->depth].role == ROLE_MEMBER && g->rules > 0)
		g->rules--;
	level = &g->level[++g->depth];
	memset(level, 0, sizeof(*level));
	level->role = (uint8_t)role;
	level->open = token->text[0];
	level->state = level->open == '{' ? GROUP_NAME : LIST_FIRST;
	level->line = token->line;
	return 0;
}

static int take_value(struct sp_grammar *g, const struct sp_token *token, const char *file)
{
	struct sp_grammar_level *level = &g->level[g->depth];

	if (++g->values > SP_SCAN_VALUES_MAX) {
		feed_error(g, file, token, "more than %u values in one file", SP_SCAN_VALUES_MAX);
		return -EINVAL;
	}
	if (level->role == ROLE_RULES && count_rule(g, token, file))
		return -EINVAL;
	if (level->open == '[') {
		if (token->kind == SP_TOKEN_OPEN || (level->members && token->kind != level->element)) {
			feed_error(g, file, token,
				"an array [ ] holds only strings, only numbers or only true and false: use a list ( ) to mix");
			return -EINVAL;
		}
		level->element = (uint8_t)token->kind;
	}
	if (level->open != '{') {
		level->members++; /* at most SP_SCAN_VALUES_MAX */
		level->state = LIST_AFTER;
	} else {
		level->state = GROUP_AFTER;
	}
	return token->kind == SP_TOKEN_OPEN ? open_level(g, token, file) : 0;
}

static int take_close(struct sp_grammar *g, const struct sp_token *token, const char *file)
{
	struct sp_grammar_level *level = &g->level[g->depth];

	if (g->depth == 0) {
		feed_error(g, file, token, "'%c' closes nothing", token->text[0]);
		return -EINVAL;
	}
	if (token->text[0] != closer(level->open)) {
		feed_error(g, file, token, "'%c' does not close the '%c' of line %d: '%c' is missing", token->text[0], level->open,
			level->line, closer(level->open));
		return -EINVAL;
	}
	if (level->state == GROUP_ASSIGN || level->state == GROUP_VALUE) {
		feed_error(g, file, token, "a name without a value before '%c'", token->text[0]);
		return -EINVAL;
	}
	g->depth--;
	return 0;
}

static int take_end(struct sp_grammar *g, const struct sp_token *token, const char *file)
{
	struct sp_grammar_level *level = &g->level[g->depth];

	if (g->depth) {
		feed_error(g, file, token, "the file ends before the '%c' of line %d is closed: '%c' is missing", level->open, level->line,
			closer(level->open));
		return -EINVAL;
	}
	if (level->state == GROUP_ASSIGN || level->state == GROUP_VALUE) {
		feed_error(g, file, token, "the file ends after a name without a value");
		return -EINVAL;
	}
	return 0;
}

static bool is_value(const struct sp_token *token)
{
	return token->kind == SP_TOKEN_STRING || token->kind == SP_TOKEN_INTEGER || token->kind == SP_TOKEN_BOOLEAN ||
	       token->kind == SP_TOKEN_OPEN;
}

/* A name or value where a separator should stand, or the reverse. */
static int refuse(struct sp_grammar *g, const struct sp_token *token, const char *file)
{
	const struct sp_grammar_level *level = &g->level[g->depth];
	bool group = level->open == '{';

	if (level->state == GROUP_AFTER && token->kind == SP_TOKEN_STRING)
		feed_error(g, file, token,
			"two strings without a separator: one setting holds one string; end it with ; or write a list ( \"…\", \"…\" )");
	else if (level->state == LIST_AFTER && token->kind == SP_TOKEN_STRING)
		feed_error(g, file, token, "a comma is missing before this string");
	else if (level->state == LIST_AFTER && is_value(token))
		feed_error(g, file, token, "a comma is missing before '%.*s'", shown(token), token->text);
	else if (level->state == GROUP_ASSIGN)
		feed_error(g, file, token, "'=' is missing before '%.*s'", shown(token), token->text);
	else if (token->kind == SP_TOKEN_NAME)
		feed_error(g, file, token, "'%.*s' is a bare word: put it in double quotes", shown(token), token->text);
	else if (group && (level->state == GROUP_NAME || level->state == GROUP_AFTER) && is_value(token))
		feed_error(g, file, token, "'%.*s' stands where a name and '=' should", shown(token), token->text);
	else if (level->state == GROUP_VALUE)
		feed_error(g, file, token, "a value is missing before '%.*s'", shown(token), token->text);
	else if (!group && token->kind == SP_TOKEN_SEMICOLON)
		feed_error(g, file, token, "';' inside of '%c': members of a list are separated by ','", level->open);
	else if (!group && token->kind == SP_TOKEN_COMMA)
		feed_error(g, file, token, "a member is missing before ','");
	else
		feed_error(g, file, token, "'%.*s' cannot stand here", shown(token), token->text);
	return -EINVAL;
}

static int feed_group(struct sp_grammar *g, const struct sp_token *token, const char *file)
{
	struct sp_grammar_level *level = &g->level[g->depth];

	switch ((enum state)level->state) {
	case GROUP_NAME:
	case GROUP_AFTER:
		if (token->kind == SP_TOKEN_NAME) {
			level->state = GROUP_ASSIGN;
			level->rules_next = token->len == 5 && memcmp(token->text, "rules", 5) == 0;
			return count_group_member(g, level, token, file);
		}
		if (level->state == GROUP_AFTER && (token->kind == SP_TOKEN_SEMICOLON || token->kind == SP_TOKEN_COMMA)) {
			level->state = GROUP_NAME;
			return 0;
		}
		return refuse(g, token, file);
	case GROUP_ASSIGN:
		if (token->kind != SP_TOKEN_ASSIGN)
			return refuse(g, token, file);
		level->state = GROUP_VALUE;
		return 0;
	default:
		return is_value(token) ? take_value(g, token, file) : refuse(g, token, file);
	}
}

static int feed_list(struct sp_grammar *g, const struct sp_token *token, const char *file)
{
	struct sp_grammar_level *level = &g->level[g->depth];

	if (token->kind == SP_TOKEN_COMMA && (level->state == LIST_AFTER || level->state == LIST_INCLUDED)) {
		level->state = LIST_VALUE;
		return 0;
	}
	if (is_value(token) && level->state != LIST_AFTER)
		return take_value(g, token, file);
	return refuse(g, token, file);
}

int sp_grammar_feed(struct sp_grammar *grammar, const struct sp_token *token, const char *file)
{
	struct sp_grammar_level *level = &grammar->level[grammar->depth];

	switch (token->kind) {
	case SP_TOKEN_END:
		return take_end(grammar, token, file);
	case SP_TOKEN_CLOSE:
		return take_close(grammar, token, file);
	case SP_TOKEN_INCLUDE:
		if (!sp_grammar_may_include(grammar)) {
			feed_error(grammar, file, token, "@include cannot stand inside of a setting: put it between settings or members");
			return -EINVAL;
		}
		level->state = level->open == '{' ? GROUP_NAME : LIST_INCLUDED;
		return 0;
	default:
		return level->open == '{' ? feed_group(grammar, token, file) : feed_list(grammar, token, file);
	}
}
