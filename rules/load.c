/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "rules/check.h"
#include "rules/read.h"
#include "rules/scan.h"

struct sp_policy *sp_policy_load(const char *bytes, size_t size, const struct sp_read_options *options, struct sp_diags *diags)
{
	struct sp_policy *policy = sp_policy_read(bytes, size, options, diags);
	size_t errors = diags->errors;

	if (!policy)
		return NULL;
	sp_policy_check(policy, diags);
	sp_policy_expect(policy, diags);
	if (diags->errors > errors) {
		sp_policy_free(policy);
		return NULL;
	}
	return policy;
}

struct sp_policy *sp_policy_load_file(const char *path, const struct sp_zones *zones, struct sp_diags *diags)
{
	struct sp_read_options options = {.file = path, .zones = zones};
	struct sp_policy *policy;
	char *bytes;
	size_t size;

	if (sp_file_read(path, &bytes, &size, diags))
		return NULL;
	policy = sp_policy_load(bytes, size, &options, diags);
	free(bytes);
	return policy;
}
