/* SPDX-License-Identifier: BSD-3-Clause */
/* Policies with a `nat` list: it stands from line 4 on. */
#ifndef SP_TESTS_NAT_OF_H
#define SP_TESTS_NAT_OF_H

#include "policy_of.h"

#define NAT_HEAD                                                                                                           \
	"version = 1; default = { action = \"drop\"; };\n"                                                                 \
	"sets = { lan = [ \"10.0.0.0/8\", \"2001:db8:10::/48\" ]; web = [ \"192.0.2.10-192.0.2.12\", \"192.0.2.80\" ]; "   \
	"one = \"192.0.2.80\"; mixed = [ \"192.0.2.80\", \"2001:db8::80\" ]; ports = \"80,443\"; void = [ \"192.0.2.1\", " \
	"\"!192.0.2.1\" ]; };\n"

/* The policy of a file with these entries and rules; NULL with diagnostics. */
static inline struct sp_policy *nat_of(const char *nat, const char *rules, struct sp_diags *diags)
{
	struct sp_read_options options = {.file = "test.rules", .api_body = true};
	struct sp_policy *policy;
	char *text = NULL;

	assert_true(asprintf(&text, NAT_HEAD "nat = (\n%s\n);\nrules = (\n%s\n);\n", nat, rules) > 0);
	policy = sp_policy_read(text, strlen(text), &options, diags);
	free(text);
	return policy;
}

static inline struct sp_policy *nat_good(const char *nat, const char *rules)
{
	struct sp_diags diags = {0};
	struct sp_policy *policy = nat_of(nat, rules, &diags);

	if (policy == NULL) {
		sp_diags_print(&diags, stderr);
		fail_msg("%s", nat);
	}
	sp_diags_clear(&diags);
	return policy;
}

#endif
