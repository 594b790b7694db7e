/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sallyport check: everything `run` would say about rule files and configurations, without running. Policies are compiled, too: what is
 * accepted here is accepted there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rules/nat.h"
#include "rules/read.h"
#include "rules/scan.h"
#include "vnf/commands.h"
#include "vnf/eal.h"

static const char help[] =
	"Usage: sallyport check [OPTION]... FILE...\n"
	"Say what is wrong with rule files or configurations, one line each: FILE:LINE: error: text.\n"
	"Which of the two a file is shows from its content. Rules are compiled as the firewall does, `expect` lines are run,\n"
	"and rules that can never match are warned of. A configuration's rule file is checked with it.\n\n"
	"Options:\n"
	"  -c, --config FILE  take the zones of this configuration: rules that name others are errors\n"
	"      --strict       warnings count as errors\n"
	"  -h, --help         show this help\n\n"
	"Exit codes: 0 no errors; 1 errors (or warnings with --strict); 2 could not run.\n\n"
	"Example:\n"
	"  sallyport check --strict -c /etc/sallyport/sallyport.conf new.rules\n";

/* One file to judge; a configuration brings its rule file as a second one. */
struct subject {
	const char *path;
	struct sp_diags diags;
	struct sp_config *config; /* of a configuration */
	struct sp_policy *policy; /* of a rule file, until it is compiled */
	bool has_rules;
	size_t n_rules, n_sets, n_profiles, n_nat; /* of a rule file that could be read */
};

static void count(FILE *out, size_t n, const char *what)
{
	fprintf(out, "%zu %s%s", n, what, n == 1 ? "" : "s");
}

static void summarize(const struct subject *subject)
{
	printf("%s: ", subject->path);
	if (subject->has_rules) {
		count(stdout, subject->n_rules, "rule");
		printf(", ");
		count(stdout, subject->n_sets, "set");
		printf(", ");
		count(stdout, subject->n_profiles, "profile");
		if (subject->n_nat != 0) {
			printf(", ");
			count(stdout, subject->n_nat, "translation");
		}
		printf(": ");
	} else if (subject->config != NULL) {
		count(stdout, subject->config->n_ports, "port");
		printf(", ");
		count(stdout, subject->config->zones.n, "zone");
		printf(": ");
	}
	if (subject->diags.errors == 0)
		printf("no errors");
	else
		count(stdout, subject->diags.errors, "error");
	printf(", ");
	if (subject->diags.warnings == 0)
		printf("no warnings\n");
	else {
		count(stdout, subject->diags.warnings, "warning");
		putchar('\n');
	}
}

static void read_subject(struct subject *subject, const struct sp_zones *zones)
{
	struct sp_read_options options = {.file = subject->path, .zones = zones};
	char *bytes;
	size_t size;

	if (sp_file_read(subject->path, &bytes, &size, &subject->diags) != 0)
		return;
	if (sp_config_is(bytes, size))
		subject->config = sp_config_read(bytes, size, subject->path, &subject->diags);
	else
		subject->policy = sp_policy_load(bytes, size, &options, &subject->diags);
	free(bytes);
	if (subject->policy == NULL)
		return;
	subject->has_rules = true;
	subject->n_rules = subject->policy->n_rules;
	subject->n_sets = subject->policy->n_sets;
	subject->n_profiles = subject->policy->n_profiles;
	subject->n_nat = subject->policy->nat != NULL ? subject->policy->nat->n : 0;
}

/* Reads all files; a configuration's rule file follows it. Returns how many subjects there are; subjects has room for 2 * n. */
static size_t read_all(struct subject *subjects, char **paths, size_t n, const struct sp_zones *zones)
{
	size_t n_subjects = 0;

	for (size_t i = 0; i < n; i++) {
		struct subject *subject = &subjects[n_subjects++];

		subject->path = paths[i];
		read_subject(subject, zones);
		if (subject->config == NULL)
			continue;
		if (access(subject->config->rules, F_OK) != 0 && errno == ENOENT) {
			sp_diag_warning(&subject->diags, subject->path, 0,
				"the rule file %s is not here; without it `run` refuses to start", subject->config->rules);
			continue;
		}
		subjects[n_subjects].path = subject->config->rules;
		read_subject(&subjects[n_subjects], &subject->config->zones);
		n_subjects++;
	}
	return n_subjects;
}

/* Compiles every policy that was read; the largest says how much memory that takes. */
static int compile_all(struct subject *subjects, size_t n)
{
	char why[SP_WHY_MAX];
	size_t most = 0, policies = 0;

	for (size_t i = 0; i < n; i++) {
		if (subjects[i].policy == NULL)
			continue;
		policies++;
		if (subjects[i].policy->n_rules > most)
			most = subjects[i].policy->n_rules;
	}
	if (policies == 0)
		return SP_EXIT_GOOD;
	if (sp_eal_start_command(sp_eal_rules_mb(most), why, sizeof(why)) != 0)
		return sp_cmd_fail("%s", why);
	for (size_t i = 0; i < n; i++) {
		struct sp_ruleset *ruleset;

		if (subjects[i].policy == NULL)
			continue;
		ruleset = sp_ruleset_build(subjects[i].policy, &subjects[i].diags);
		if (ruleset != NULL)
			subjects[i].policy = NULL; /* it is the ruleset's now */
		sp_ruleset_free(ruleset);
	}
	return SP_EXIT_GOOD;
}

static int judge(struct subject *subjects, size_t n, bool strict)
{
	int code = compile_all(subjects, n);

	if (code != SP_EXIT_GOOD)
		return code;
	for (size_t i = 0; i < n; i++) {
		sp_diags_print(&subjects[i].diags, stderr);
		if (subjects[i].diags.errors > 0 || (strict && subjects[i].diags.warnings > 0))
			code = SP_EXIT_NO;
	}
	for (size_t i = 0; i < n; i++)
		summarize(&subjects[i]);
	return code;
}

static int check(char **paths, size_t n, const struct sp_zones *zones, bool strict)
{
	struct subject *subjects = calloc(2 * n, sizeof(*subjects));
	size_t n_subjects;
	int code;

	if (subjects == NULL)
		return sp_cmd_fail("out of memory");
	n_subjects = read_all(subjects, paths, n, zones);
	code = judge(subjects, n_subjects, strict);
	for (size_t i = 0; i < n_subjects; i++) {
		sp_policy_free(subjects[i].policy);
		sp_diags_clear(&subjects[i].diags);
	}
	for (size_t i = 0; i < n_subjects; i++)
		sp_config_free(subjects[i].config);
	free(subjects);
	return code;
}

int sp_cmd_check(int argc, char **argv)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"strict", no_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	struct sp_config *config = NULL;
	struct sp_diags diags = {0};
	const char *config_path = NULL;
	bool strict = false;
	int option, code;

	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			config_path = optarg;
			break;
		case 's':
			strict = true;
			break;
		case 'h':
			fputs(help, stdout);
			return sp_cmd_finish(SP_EXIT_GOOD);
		default:
			return sp_cmd_usage("check", NULL);
		}
	}
	if (optind == argc)
		return sp_cmd_usage("check", "which file?");
	if (config_path != NULL) {
		config = sp_config_read_file(config_path, &diags);
		if (sp_cmd_report(&diags)) {
			sp_config_free(config);
			return SP_EXIT_NO;
		}
	}
	code = check(argv + optind, (size_t)(argc - optind), config != NULL ? &config->zones : NULL, strict);
	sp_config_free(config);
	return sp_cmd_finish(code);
}
