/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Policies out of test tables: a rule file around the rules at hand, read by the real reader.
 */
#ifndef SP_TESTS_POLICY_OF_H
#define SP_TESTS_POLICY_OF_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* asprintf */
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rules/read.h"

#define SETS                                                                              \
	"sets = { lan = [ \"10.0.0.0/8\", \"2001:db8:10::/48\" ]; web = \"192.0.2.80\"; " \
	"ports = \"80,443\"; names = \".example.com\"; };\n"
#define INSPECT                                                                                                                          \
	"inspect = { attacks = { mode = \"block\"; patterns = ( { id = 1; msg = \"m\"; pattern = \"union\"; action = \"drop\"; } ); }; " \
	"};\n"

/* The policy of a file whose `rules` (and `expect`, when not NULL) are the given libconfig text; NULL with diagnostics. */
static inline struct sp_policy *policy_of(const char *head, const char *rules, const char *expect, struct sp_diags *diags)
{
	struct sp_read_options options = {.file = "test.rules"};
	struct sp_policy *policy;
	char *text = NULL;
	int len = asprintf(&text, "version = 1;\n%s default = { action = \"drop\"; };\nrules = (\n%s\n);\n%s%s%s", head, rules,
		expect ? "expect = (\n" : "", expect ? expect : "", expect ? "\n);\n" : "");

	assert_true(len > 0);
	policy = sp_policy_read(text, (size_t)len, &options, diags);
	free(text);
	return policy;
}

/* The policy of one rule string that must be good. */
static inline struct sp_policy *policy_of_rule(const char *rule)
{
	struct sp_diags diags = {0};
	struct sp_policy *policy;
	char text[4400];

	snprintf(text, sizeof(text), "\"%s\"", rule);
	policy = policy_of(SETS INSPECT, text, NULL, &diags);
	if (policy == NULL)
		sp_diags_print(&diags, stderr);
	assert_non_null(policy);
	assert_int_equal(diags.errors, 0);
	sp_diags_clear(&diags);
	return policy;
}

/* Whether one of the diagnostics of this level contains the text. */
static inline int said(const struct sp_diags *diags, enum sp_diag_level level, const char *text)
{
	for (size_t i = 0; i < diags->n; i++)
		if (diags->v[i].level == level && strstr(diags->v[i].text, text) != NULL)
			return 1;
	return 0;
}

/* The rule must be refused with a message that contains `says`, at its line. */
static inline void refuse_rule(const char *rule, const char *says)
{
	struct sp_diags diags = {0};
	struct sp_policy *policy;
	char text[4400];

	snprintf(text, sizeof(text), "\"%s\"", rule);
	policy = policy_of(SETS INSPECT, text, NULL, &diags);
	if (policy != NULL)
		fail_msg("'%s' was taken", rule);
	assert_true(diags.errors > 0);
	if (!said(&diags, SP_DIAG_ERROR, says)) {
		sp_diags_print(&diags, stderr);
		fail_msg("'%s' was not refused with '%s'", rule, says);
	}
	assert_string_equal(diags.v[0].file, "test.rules");
	assert_int_equal(diags.v[0].line, 6);
	sp_diags_clear(&diags);
}

#endif
