/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands of `sallyport`, one a file, and what they share. Each takes its own arguments (argv[0] is the command's name) and returns
 * the process's exit code.
 */
#ifndef SP_VNF_COMMANDS_H
#define SP_VNF_COMMANDS_H

#include <getopt.h>
#include <stdbool.h>

#include "rules/policy.h"
#include "rules/ruleset.h"
#include "vnf/config.h"

enum sp_exit {
	SP_EXIT_GOOD = 0,
	SP_EXIT_NO = 1,   /* errors found, not allowed, texts differ */
	SP_EXIT_UNRUN = 2 /* could not run: wrong usage, no permission, no memory, a device missing */
};

int sp_cmd_run(int argc, char **argv);
int sp_cmd_check(int argc, char **argv);
int sp_cmd_replay(int argc, char **argv);
int sp_cmd_explain(int argc, char **argv);
int sp_cmd_fmt(int argc, char **argv);
int sp_cmd_doctor(int argc, char **argv);

/* Prints `sallyport: error: ...` to stderr and returns SP_EXIT_UNRUN. */
int sp_cmd_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Prints what is wrong with the usage, when fmt is not NULL (getopt has said it otherwise), and where help is; returns SP_EXIT_UNRUN. */
int sp_cmd_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints the diagnostics to stderr, clears them, and tells whether there was an error. */
bool sp_cmd_report(struct sp_diags *diags);

/*
 * Reads a configuration and a policy for it, and reports what is wrong. Either path may be NULL: without a configuration zones are those
 * the rules name; without a rule file it is the configuration's. *config and *policy are the caller's on SP_EXIT_GOOD.
 */
int sp_cmd_load(const char *config_path, const char *rules_path, struct sp_config **config, struct sp_policy **policy);

/* Flushes stdout; SP_EXIT_UNRUN with a message when not all of it could be written (a full disk), else `code`. */
int sp_cmd_finish(int code);

#endif
