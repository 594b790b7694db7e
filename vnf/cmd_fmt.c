/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sallyport fmt: a rule file in canonical form, to stdout, in place, or only asked whether it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/replace.h"
#include "rules/fmt.h"
#include "rules/scan.h"
#include "vnf/commands.h"

static const char help[] = "Usage: sallyport fmt [OPTION]... FILE...\n"
			   "Print rule files in canonical form: four blanks a level, one rule a line, comments where they stand.\n\n"
			   "Options:\n"
			   "  -i, --in-place  replace the files instead, each at once or not at all\n"
			   "      --check     print nothing but the names of files that are not in canonical form\n"
			   "  -h, --help      show this help\n\n"
			   "Exit codes: 0 done; 1 a file has errors, or differs with --check; 2 could not run.\n\n"
			   "Example:\n"
			   "  sallyport fmt -i /etc/sallyport/rules.d/*.rules\n";

enum mode { TO_STDOUT, IN_PLACE, CHECK };

static int replace(const char *path, const char *text)
{
	struct sp_replace replace;
	int rc = sp_replace_prepare(&replace, path, text, strlen(text));

	return rc == 0 ? sp_replace_commit(&replace) : rc;
}

static int deliver(const char *path, const char *old, size_t old_size, const char *text, enum mode mode)
{
	bool same = strlen(text) == old_size && memcmp(text, old, old_size) == 0;
	int rc;

	if (mode == TO_STDOUT) {
		fputs(text, stdout);
		return SP_EXIT_GOOD;
	}
	if (same)
		return SP_EXIT_GOOD;
	if (mode == CHECK) {
		printf("%s: not in canonical form; `sallyport fmt -i` mends it\n", path);
		return SP_EXIT_NO;
	}
	rc = replace(path, text);
	return rc == 0 ? SP_EXIT_GOOD : sp_cmd_fail("cannot replace %s: %s", path, strerror(-rc));
}

static int format(const char *path, enum mode mode)
{
	struct sp_diags diags = {0};
	char *bytes = NULL, *text = NULL;
	size_t size;
	int code = SP_EXIT_NO;

	if (sp_file_read(path, &bytes, &size, &diags) == 0)
		text = sp_fmt(bytes, size, path, &diags);
	if (text != NULL)
		code = deliver(path, bytes, size, text, mode);
	else if (diags.errors == 0)
		code = sp_cmd_fail("out of memory");
	sp_cmd_report(&diags);
	free(text);
	free(bytes);
	return code;
}

int sp_cmd_fmt(int argc, char **argv)
{
	static const struct option options[] = {{"in-place", no_argument, NULL, 'i'}, {"check", no_argument, NULL, 'C'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	enum mode mode = TO_STDOUT;
	int option, code = SP_EXIT_GOOD;

	while ((option = getopt_long(argc, argv, "ih", options, NULL)) != -1) {
		enum mode asked = option == 'i' ? IN_PLACE : CHECK;

		if (option == 'h') {
			fputs(help, stdout);
			return sp_cmd_finish(SP_EXIT_GOOD);
		}
		if (option == '?')
			return sp_cmd_usage("fmt", NULL);
		if (mode != TO_STDOUT && mode != asked)
			return sp_cmd_usage("fmt", "--in-place or --check, not both");
		mode = asked;
	}
	if (optind == argc)
		return sp_cmd_usage("fmt", "which file?");
	for (int i = optind; i < argc; i++) {
		int one = format(argv[i], mode);

		if (one > code)
			code = one;
	}
	return sp_cmd_finish(code);
}
