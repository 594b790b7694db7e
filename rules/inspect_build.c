/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Compiles an inspect profile to one Hyperscan block database. A match means "this pattern occurs": no start offsets, and once a packet.
 */
#include "rules/inspector.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

/* Hyperscan takes parallel arrays. */
struct arrays {
	const char **expressions;
	unsigned int *flags;
	unsigned int *ids;
};

static void arrays_free(struct arrays *arrays)
{
	free(arrays->expressions);
	free(arrays->flags);
	free(arrays->ids);
}

static int arrays_fill(struct arrays *arrays, const struct sp_profile *profile)
{
	size_t n = profile->n_patterns;

	arrays->expressions = calloc(n, sizeof(*arrays->expressions));
	arrays->flags = calloc(n, sizeof(*arrays->flags));
	arrays->ids = calloc(n, sizeof(*arrays->ids));
	if (arrays->expressions == NULL || arrays->flags == NULL || arrays->ids == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		arrays->expressions[i] = profile->patterns[i].pattern;
		arrays->flags[i] = profile->patterns[i].flags | HS_FLAG_SINGLEMATCH;
		arrays->ids[i] = (unsigned int)i;
	}
	return 0;
}

static void say_refusal(const struct sp_profile *profile, const char *file, const hs_compile_error_t *error, struct sp_diags *diags)
{
	const char *message = error == NULL || error->message == NULL ? "no reason given" : error->message;

	if (error != NULL && error->expression >= 0 && (size_t)error->expression < profile->n_patterns) {
		const struct sp_pattern *pattern = &profile->patterns[error->expression];

		sp_diag_error(diags, file, pattern->line, "pattern %u: hyperscan: %s", pattern->id, message);
	} else {
		sp_diag_error(diags, file, profile->line, "inspect profile %s: hyperscan: %s", profile->name, message);
	}
}

/* What cannot be compiled at all, before Hyperscan is asked. */
static int precheck(const struct sp_profile *profile, const char *file, struct sp_diags *diags)
{
	if (hs_valid_platform() != HS_SUCCESS) {
		sp_diag_error(diags, file, profile->line,
			"inspect profile %s: this CPU lacks SSSE3, which hyperscan needs; remove `inspect` or use another CPU model",
			profile->name);
		return -ENOTSUP;
	}
	if (profile->n_patterns == 0 || profile->n_patterns > UINT32_MAX) {
		sp_diag_error(diags, file, profile->line, "inspect profile %s has no patterns; give it at least one", profile->name);
		return -EINVAL;
	}
	return 0;
}

int sp_inspector_build(const struct sp_profile *profile, const char *file, struct sp_inspector *out, struct sp_diags *diags)
{
	struct arrays arrays = {0};
	hs_compile_error_t *error = NULL;
	hs_database_t *database = NULL;
	hs_error_t rc;
	int ret = precheck(profile, file, diags);

	if (ret != 0)
		return ret;
	ret = arrays_fill(&arrays, profile);
	if (ret != 0) {
		sp_diag_error(diags, file, profile->line, "inspect profile %s: out of memory", profile->name);
		goto out;
	}
	rc = hs_compile_multi(
		arrays.expressions, arrays.flags, arrays.ids, (unsigned int)profile->n_patterns, HS_MODE_BLOCK, NULL, &database, &error);
	if (rc != HS_SUCCESS) {
		say_refusal(profile, file, error, diags);
		hs_free_compile_error(error);
		ret = rc == HS_NOMEM ? -ENOMEM : -EINVAL;
		goto out;
	}
	*out = (struct sp_inspector){.database = database, .profile = profile};
out:
	arrays_free(&arrays);
	return ret;
}

int sp_inspector_scratch(const struct sp_inspector *inspector, hs_scratch_t **scratch)
{
	return hs_alloc_scratch(inspector->database, scratch) == HS_SUCCESS ? 0 : -ENOMEM;
}

void sp_inspector_free(struct sp_inspector *inspector)
{
	hs_free_database(inspector->database);
	*inspector = (struct sp_inspector){0};
}
