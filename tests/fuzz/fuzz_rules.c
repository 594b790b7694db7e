/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target of rule files: any bytes, as a body of the API would bring them, so that no file is opened. Whatever is read must be
 * free of faults; what is formatted must read again to the same and be its own format.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rules/fmt.h"
#include "rules/read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sp_policy *read_body(const char *bytes, size_t size)
{
	struct sp_read_options options = {.file = "fuzz.rules", .api_body = true};
	struct sp_diags diags = {0};
	struct sp_policy *policy = sp_policy_read(bytes, size, &options, &diags);

	if (!policy != (diags.errors > 0))
		abort();
	sp_diags_clear(&diags);
	return policy;
}

static void compare(const struct sp_policy *a, const struct sp_policy *b)
{
	if (!a != !b)
		abort();
	if (!a)
		return;
	if (a->n_rules != b->n_rules || a->n_sets != b->n_sets || a->n_profiles != b->n_profiles || a->n_expects != b->n_expects)
		abort();
	for (size_t i = 0; i < a->n_rules; i++) {
		if (a->rules[i].id != b->rules[i].id || a->rules[i].content_hash != b->rules[i].content_hash)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	struct sp_policy *policy = read_body(bytes, size);
	struct sp_diags diags = {0};
	char *once = sp_fmt(bytes, size, "fuzz.rules", &diags);

	if (policy && !once)
		abort();
	if (once) {
		char *twice = sp_fmt(once, strlen(once), "fuzz.rules", &diags);
		struct sp_policy *formatted = read_body(once, strlen(once));

		if (!twice || strcmp(once, twice) != 0)
			abort();
		compare(policy, formatted);
		sp_policy_free(formatted);
		free(twice);
	}
	sp_diags_clear(&diags);
	sp_policy_free(policy);
	free(once);
	return 0;
}
