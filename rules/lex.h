/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Words of a libconfig text and the order they may stand in, stricter than libconfig: whatever passes here, libconfig reads as
 * it is meant. Used by scan.c, which feeds libconfig, and fmt.c, which writes the text anew. Linear time, no allocation.
 */
#ifndef SP_RULES_LEX_H
#define SP_RULES_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rules/diag.h"
#include "rules/scan.h"

enum sp_token_kind {
	SP_TOKEN_END,
	SP_TOKEN_NAME,
	SP_TOKEN_STRING,  /* with its quotes, escapes as written */
	SP_TOKEN_INTEGER, /* decimal or 0x, fits 32 bits */
	SP_TOKEN_BOOLEAN,
	SP_TOKEN_OPEN,   /* { ( [ */
	SP_TOKEN_CLOSE,  /* } ) ] */
	SP_TOKEN_ASSIGN, /* = or : */
	SP_TOKEN_COMMA,
	SP_TOKEN_SEMICOLON,
	SP_TOKEN_COMMENT, /* with its marks, without the newline that ends it */
	SP_TOKEN_INCLUDE  /* the whole directive; path is what stands in its quotes */
};

struct sp_token {
	enum sp_token_kind kind;
	const char *text; /* into the input */
	size_t len;
	int line, column; /* of its first byte, from 1 */
	int end_line;     /* of its last byte */
	const char *path; /* SP_TOKEN_INCLUDE only */
	size_t path_len;
};

struct sp_lex {
	const char *p, *end;
	const char *line_start;
	const char *file; /* for messages */
	int line;
	int last_line;       /* line on which the last token but comments ended; 0 before the first */
	int include_line;    /* line of the last `@include`; 0: none */
	unsigned int faults; /* errors that did not stop it */
	struct sp_diags *diags;
};

void sp_lex_init(struct sp_lex *lex, const char *bytes, size_t size, const char *file, struct sp_diags *diags);

/*
 * The next token, SP_TOKEN_END at the end. 0, or -EINVAL with a diagnostic when reading on makes no sense. Faults inside of one
 * string or number are diagnosed, counted in `faults`, and the token is returned all the same.
 */
int sp_lex_next(struct sp_lex *lex, struct sp_token *token);

struct sp_grammar_level {
	char open;       /* '{', '(' or '[' */
	uint8_t role;    /* in a rule file; private to grammar.c */
	bool rules_next; /* the setting whose value comes next is named `rules` */
	uint8_t state;   /* private to lex.c */
	uint8_t element; /* kind of the first member of an array */
	uint32_t members;
	int line;
};

/* Brackets, separators and bounds over the tokens of a text with its includes. */
struct sp_grammar {
	struct sp_grammar_level level[SP_SCAN_NESTING_MAX + 1]; /* level[0] is the file itself, a group without braces */
	unsigned int depth;
	size_t values;
	size_t settings;
	size_t rules;
	size_t comparisons; /* that libconfig will make to find names that come twice */
	struct sp_diags *diags;
};

void sp_grammar_init(struct sp_grammar *grammar, struct sp_diags *diags);

/* Takes every token but comments. 0, or -EINVAL with a diagnostic. An include that is not spliced in may stand for any number of
 * members with or without the last separator. */
int sp_grammar_feed(struct sp_grammar *grammar, const struct sp_token *token, const char *file);

/* Whether an `@include` may stand here: where a setting or a member of a list may. */
bool sp_grammar_may_include(const struct sp_grammar *grammar);

static inline bool sp_grammar_in_group(const struct sp_grammar *grammar)
{
	return grammar->level[grammar->depth].open == '{';
}

#endif
