/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/commands.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "rules/read.h"

int sp_cmd_fail(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "sallyport: error: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return SP_EXIT_UNRUN;
}

int sp_cmd_usage(const char *command, const char *fmt, ...)
{
	va_list args;

	if (fmt != NULL) {
		fprintf(stderr, "sallyport %s: ", command);
		va_start(args, fmt);
		vfprintf(stderr, fmt, args);
		va_end(args);
		fputc('\n', stderr);
	}
	fprintf(stderr, "Try 'sallyport %s --help'.\n", command);
	return SP_EXIT_UNRUN;
}

bool sp_cmd_report(struct sp_diags *diags)
{
	bool errors = diags->errors > 0;

	sp_diags_print(diags, stderr);
	sp_diags_clear(diags);
	return errors;
}

int sp_cmd_load(const char *config_path, const char *rules_path, struct sp_config **config, struct sp_policy **policy)
{
	struct sp_diags diags = {0};
	struct sp_config *read = NULL;

	if (config_path != NULL) {
		read = sp_config_read_file(config_path, &diags);
		if (sp_cmd_report(&diags)) {
			sp_config_free(read);
			return SP_EXIT_NO;
		}
	}
	*policy = sp_policy_load_file(rules_path != NULL ? rules_path : read->rules, read != NULL ? &read->zones : NULL, &diags);
	if (sp_cmd_report(&diags)) {
		sp_policy_free(*policy);
		sp_config_free(read);
		return SP_EXIT_NO;
	}
	*config = read;
	return SP_EXIT_GOOD;
}

int sp_cmd_finish(int code)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return sp_cmd_fail("cannot write to standard output: %s", strerror(errno));
	return code;
}
