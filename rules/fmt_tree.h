/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A rule file as a tree of its text: values, includes and comments in the order in which they stand. For fmt.c only.
 */
#ifndef SP_RULES_FMT_TREE_H
#define SP_RULES_FMT_TREE_H

#include "rules/lex.h"
#include "rules/policy.h"

/* How a container is written. */
enum sp_fmt_layout {
	SP_FMT_FLAT,  /* on one line */
	SP_FMT_LINES, /* a line for each member */
	SP_FMT_FILL,  /* scalars, as many on a line as fit */
	SP_FMT_HUG    /* a group of rules: its fields on the line of its bracket, then its rules */
};

enum sp_fmt_kind { SP_FMT_SCALAR, SP_FMT_CONTAINER, SP_FMT_INCLUDE, SP_FMT_COMMENT };

struct sp_fmt_node {
	enum sp_fmt_kind kind;
	const char *name; /* of a setting; NULL for members of lists */
	size_t name_len;
	const char *text; /* of a scalar, an include or a comment */
	size_t len;
	char open;                 /* of a container; 0 for the file itself */
	bool rules;                /* a list of rules */
	bool blank_before;         /* an empty line stands before it */
	bool comma;                /* a comma follows it */
	bool broken;               /* a container whose first member does not stand on the line of its bracket */
	enum sp_fmt_layout layout; /* fmt.c */
	size_t flat;               /* fmt.c: bytes of it on one line */
	struct sp_fmt_node *parent, *next;
	struct sp_fmt_node *first, *last;                 /* members and comments on lines of their own */
	struct sp_fmt_node *trailing, *last_trailing;     /* comments on the line where it ends */
	struct sp_fmt_node *open_comments, *last_opening; /* comments on the line of its bracket */
};

/* The tree of a text, in the policy's arena, pointing into `bytes`. NULL with diagnostics when the text does not scan. */
struct sp_fmt_node *sp_fmt_tree(struct sp_policy *policy, const char *bytes, size_t size, const char *file, struct sp_diags *diags);

#endif
