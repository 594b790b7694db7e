/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/fmt_tree.h"

#include <errno.h>
#include <string.h>

/* What stood last on the present line, to which a comment after it belongs. */
enum last { NOTHING, BRACKET, MEMBER };

struct builder {
	struct sp_policy *arena;
	struct sp_fmt_node *at;     /* the container that is open */
	struct sp_fmt_node *member; /* the last member of it that is no comment */
	const char *name;           /* of the setting whose value comes next */
	size_t name_len;
	bool name_blank; /* an empty line stands before that name */
	enum last last;
	int token_line;  /* on which the last token but comments ended */
	int attach_line; /* on which a comment belongs to what stood last: that line, or the last line of such a comment */
	int line;        /* on which the last token ended, comments included */
};

static void append(struct sp_fmt_node **first, struct sp_fmt_node **last, struct sp_fmt_node *node)
{
	if (*last)
		(*last)->next = node;
	else
		*first = node;
	*last = node;
}

static struct sp_fmt_node *new_node(struct builder *b, enum sp_fmt_kind kind, const struct sp_token *token)
{
	struct sp_fmt_node *node = sp_policy_alloc(b->arena, sizeof(*node));

	if (!node)
		return NULL;
	node->kind = kind;
	node->text = token->text;
	node->len = token->len;
	node->parent = b->at;
	node->blank_before = b->line && token->line > b->line + 1;
	return node;
}

static bool is_line_comment(const struct sp_fmt_node *comment)
{
	return comment && (comment->len < 2 || comment->text[1] != '*');
}

static int take_comment(struct builder *b, const struct sp_token *token)
{
	struct sp_fmt_node *comment = new_node(b, SP_FMT_COMMENT, token);
	bool same_line = token->line == b->attach_line && !b->name;

	if (!comment)
		return -ENOMEM;
	/* nothing may follow a comment that ends with its line */
	if (same_line && b->last == BRACKET && !is_line_comment(b->at->last_opening)) {
		append(&b->at->open_comments, &b->at->last_opening, comment);
	} else if (same_line && b->last == MEMBER && !is_line_comment(b->member->last_trailing)) {
		append(&b->member->trailing, &b->member->last_trailing, comment);
	} else {
		append(&b->at->first, &b->at->last, comment);
		return 0;
	}
	b->attach_line = token->end_line;
	return 0;
}

static struct sp_fmt_node *take_member(struct builder *b, enum sp_fmt_kind kind, const struct sp_token *token)
{
	struct sp_fmt_node *node = new_node(b, kind, token);

	if (!node)
		return NULL;
	node->name = b->name;
	if (b->name) {
		node->name_len = b->name_len;
		node->blank_before = b->name_blank;
	}
	b->name = NULL;
	if (b->last == BRACKET && token->line > b->token_line)
		b->at->broken = true;
	append(&b->at->first, &b->at->last, node);
	b->member = node;
	b->last = MEMBER;
	return node;
}

static bool holds_rules(const struct sp_fmt_node *list)
{
	const struct sp_fmt_node *parent = list->parent;

	if (list->open != '(' || !list->name || list->name_len != 5 || memcmp(list->name, "rules", 5) != 0)
		return false;
	return !parent->parent || (parent->open == '{' && parent->parent->rules);
}

static int take_open(struct builder *b, const struct sp_token *token)
{
	struct sp_fmt_node *node = take_member(b, SP_FMT_CONTAINER, token);

	if (!node)
		return -ENOMEM;
	node->open = token->text[0];
	node->rules = holds_rules(node);
	b->at = node;
	b->member = NULL;
	b->last = BRACKET;
	return 0;
}

static void take_name(struct builder *b, const struct sp_token *token)
{
	if (b->last == BRACKET && token->line > b->token_line)
		b->at->broken = true;
	b->name = token->text;
	b->name_len = token->len;
	b->name_blank = b->line && token->line > b->line + 1;
}

static int take_token(struct builder *b, const struct sp_token *token)
{
	int rc = 0;

	switch (token->kind) {
	case SP_TOKEN_COMMENT:
		rc = take_comment(b, token);
		break;
	case SP_TOKEN_NAME:
		take_name(b, token);
		break;
	case SP_TOKEN_OPEN:
		rc = take_open(b, token);
		break;
	case SP_TOKEN_CLOSE:
		b->member = b->at;
		b->at = b->at->parent;
		b->last = MEMBER;
		break;
	case SP_TOKEN_COMMA:
		b->member->comma = true;
		break;
	case SP_TOKEN_STRING:
	case SP_TOKEN_INTEGER:
	case SP_TOKEN_BOOLEAN:
		rc = take_member(b, SP_FMT_SCALAR, token) ? 0 : -ENOMEM;
		break;
	case SP_TOKEN_INCLUDE:
		rc = take_member(b, SP_FMT_INCLUDE, token) ? 0 : -ENOMEM;
		break;
	default:
		break;
	}
	b->line = token->end_line;
	if (token->kind != SP_TOKEN_COMMENT) {
		b->token_line = token->end_line;
		b->attach_line = token->end_line;
	}
	return rc;
}

struct sp_fmt_node *sp_fmt_tree(struct sp_policy *policy, const char *bytes, size_t size, const char *file, struct sp_diags *diags)
{
	struct sp_fmt_node *root = sp_policy_alloc(policy, sizeof(*root));
	struct builder b = {.arena = policy, .at = root};
	struct sp_grammar grammar;
	struct sp_token token;
	struct sp_lex lex;
	int rc = root ? 0 : -ENOMEM;

	sp_lex_init(&lex, bytes, size, file, diags);
	sp_grammar_init(&grammar, diags);
	do {
		rc = rc ? rc : sp_lex_next(&lex, &token);
		if (!rc && token.kind != SP_TOKEN_COMMENT)
			rc = sp_grammar_feed(&grammar, &token, file);
		if (!rc && token.kind != SP_TOKEN_END)
			rc = take_token(&b, &token);
	} while (!rc && token.kind != SP_TOKEN_END);
	if (rc == -ENOMEM)
		sp_diag_error(diags, file, 0, "out of memory");
	if (rc || lex.faults)
		return NULL;
	root->kind = SP_FMT_CONTAINER;
	return root;
}
