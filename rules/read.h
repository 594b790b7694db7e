/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a rule file to a policy: scan, libconfig, then every field by name. The only maker of policies.
 * May take long for large files: control thread, API dry runs and commands only; blocks on files.
 */
#ifndef SP_RULES_READ_H
#define SP_RULES_READ_H

#include <stddef.h>

#include "rules/diag.h"
#include "rules/policy.h"

struct sp_read_options {
	const char *file;             /* name for messages and `file:` and `@include` resolution (its folder) */
	const char *folder;           /* rule folder that `file:` paths must stay below after resolution; NULL: folder of `file` */
	bool api_body;                /* text came over the API: `@include` is refused, `file:` only if that file exists in the folder */
	const struct sp_zones *zones; /* zones of a configuration; NULL: taken from the rules as they appear */
};

/*
 * Reads a policy from bytes (not necessarily NUL-terminated). Returns it with diags->errors == 0 (warnings possible), or
 * NULL with at least one error in diags. Does not run `expect` lines: sp_policy_expect does, after sp_policy_check.
 */
struct sp_policy *sp_policy_read(const char *bytes, size_t size, const struct sp_read_options *options, struct sp_diags *diags);

/* Whole load as every command does it: read, check, expect. NULL when any of them found an error. _file reads the file first. */
struct sp_policy *sp_policy_load(const char *bytes, size_t size, const struct sp_read_options *options, struct sp_diags *diags);
struct sp_policy *sp_policy_load_file(const char *path, const struct sp_zones *zones, struct sp_diags *diags);

#endif
