/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Named sets: addresses, ports or names told by their members, nested, with `!` members taken out, and `file:` lists.
 */
#ifndef SP_RULES_SETS_H
#define SP_RULES_SETS_H

#include "rules/policy.h"
#include "rules/read.h"

/* One set as the file gives it: members in order, each with its line. */
struct sp_set_source {
	const char *name;
	const char *file;
	int line;
	const char **members; /* "10.0.0.0/8", "80-90", "@other", "!10.1.0.0/16", "file:list.txt" */
	int *lines;
	size_t n;
};

/* Resolves all sets of a file into policy->sets (any order of definition; a cycle is an error). 0 or -EINVAL. */
int sp_sets_resolve(struct sp_policy *policy, const struct sp_set_source *sources, size_t n, const struct sp_read_options *options,
	struct sp_diags *diags);

/* Set of that name (without the @), or NULL. */
const struct sp_set *sp_set_find(const struct sp_policy *policy, const char *name, size_t len);

#endif
