/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compiled inspection: one Hyperscan block database an inspect profile. Built by inspect_build.c, scanned by dataplane/inspect.c.
 * Immutable; a scan needs scratch of the caller's own, grown with sp_inspector_scratch before the ruleset is published.
 */
#ifndef SP_RULES_INSPECTOR_H
#define SP_RULES_INSPECTOR_H

#include <hs/hs.h>

#include "rules/diag.h"
#include "rules/policy.h"

struct sp_inspector {
	hs_database_t *database;
	const struct sp_profile *profile; /* patterns[i] has Hyperscan id i */
};

/* Compiles one profile. 0; -EINVAL with a diagnostic at the line of the pattern that Hyperscan refuses (or of a profile without patterns);
 * -ENOTSUP: the CPU lacks SSSE3; -ENOMEM. Each failure has its diagnostic, and *out is untouched. May take seconds. */
int sp_inspector_build(const struct sp_profile *profile, const char *file, struct sp_inspector *out, struct sp_diags *diags);

/* Grows *scratch (NULL at first) so that it serves this inspector too. 0 or -ENOMEM. Not on a worker's path. */
int sp_inspector_scratch(const struct sp_inspector *inspector, hs_scratch_t **scratch);

void sp_inspector_free(struct sp_inspector *inspector);

#endif
