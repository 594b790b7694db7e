/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration and rules, from files to what is in force.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/publish.h"
#include "rules/read.h"
#include "rules/scan.h"
#include "vnf/commands.h"
#include "vnf/notify.h"
#include "vnf/start_closed.h"

#define COMPILE_SEC "600" /* that the service manager gives a large rule file, beyond its own time for a start */

/* In force when the rule file does not load and nothing may pass because of that. */
static const char drop_all[] = "version = 1;\nbuiltin = { arp = false; nd = false; };\ndefault = { action = \"drop\"; };\nrules = ( );\n";

static size_t count_lines(const char *text, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		n += text[i] == '\n';
	return n;
}

static int drop_everything(struct sp_start *start)
{
	const struct sp_read_options options = {
		.file = start->config->rules != NULL ? start->config->rules : "(none)", .zones = &start->config->zones};
	struct sp_diags ignored = {0};

	sp_policy_free(start->policy);
	free(start->source);
	start->source = NULL;
	start->source_size = 0;
	start->policy = sp_policy_load(drop_all, sizeof(drop_all) - 1, &options, &ignored);
	sp_diags_clear(&ignored);
	return start->policy != NULL ? SP_EXIT_GOOD : sp_start_fail(start, "no memory for the rules");
}

/* The rule file does not load: reports why, and either the start is over, or drop_all takes the place of its policy. */
static int without_rules(struct sp_start *start, struct sp_diags *diags)
{
	bool may = start->fail_closed && start->closed[0] == '\0';
	int code;

	if (may)
		sp_closed_first(diags, start->closed, sizeof(start->closed));
	sp_cmd_report(diags);
	if (!may)
		return SP_EXIT_NO;
	start->rule_lines = count_lines(start->source, start->source_size);
	code = drop_everything(start);
	if (code == SP_EXIT_GOOD)
		fprintf(stderr, "sallyport: the rule file does not load: everything is dropped until a good one is put or loaded\n");
	return code;
}

static int read_config(struct sp_start *start)
{
	struct sp_diags diags = {0};
	int code = SP_EXIT_GOOD;

	start->config = sp_config_read_file(start->config_path, &diags);
	if (start->config == NULL && start->fail_closed)
		code = sp_closed_config(start, &diags);
	if (sp_cmd_report(&diags) && !start->fail_closed)
		return SP_EXIT_NO;
	if (code == SP_EXIT_GOOD)
		sp_closed_shrink(start);
	return code;
}

int sp_start_read(struct sp_start *start)
{
	struct sp_diags diags = {0};
	struct sp_read_options options = {0};
	int code = read_config(start);

	if (code != SP_EXIT_GOOD)
		return code;
	if (start->config->rules == NULL)
		return drop_everything(start);
	options.file = start->config->rules;
	options.zones = &start->config->zones;
	if (sp_file_read(start->config->rules, &start->source, &start->source_size, &diags) == 0)
		start->policy = sp_policy_load(start->source, start->source_size, &options, &diags);
	if (start->policy == NULL)
		return without_rules(start, &diags);
	sp_cmd_report(&diags);
	return SP_EXIT_GOOD;
}

int sp_start_compile(struct sp_start *start)
{
	struct sp_diags diags = {0};

	sp_notify_manager("EXTEND_TIMEOUT_USEC=" COMPILE_SEC "000000");
	while ((start->ruleset = sp_ruleset_build(start->policy, &diags)) == NULL) {
		int code = without_rules(start, &diags);

		if (code != SP_EXIT_GOOD)
			return code;
	}
	sp_cmd_report(&diags);
	start->policy = NULL;
	start->ruleset->source = start->source;
	start->ruleset->source_size = start->source_size;
	start->source = NULL;
	return SP_EXIT_GOOD;
}

int sp_start_publish(struct sp_start *start)
{
	struct sp_diags diags = {0};
	const struct sp_policy *policy;
	int rc = sp_publish(start->launch.dataplane, start->ruleset, &diags);

	while (rc != 0 && rc != -ETIMEDOUT) {
		sp_ruleset_free(start->ruleset);
		start->ruleset = NULL;
		if (without_rules(start, &diags) != SP_EXIT_GOOD || sp_start_compile(start) != SP_EXIT_GOOD)
			return sp_start_fail(start, "the rules cannot be put into force: %s", strerror(-rc));
		rc = sp_publish(start->launch.dataplane, start->ruleset, &diags);
	}
	policy = start->ruleset->policy;
	start->ruleset = NULL;
	sp_diags_clear(&diags);
	fprintf(stderr, "sallyport: rules: %s, %zu rules in force\n", policy->file, policy->n_rules);
	return SP_EXIT_GOOD;
}
