/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sallyport: which command?
 */
#include <hs/hs.h>
#include <rte_version.h>
#include <stdio.h>
#include <string.h>

#include "rules/diag.h"
#include "vnf/commands.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{"run", sp_cmd_run, "the firewall: packets from the configured ports, under the rules"},
	{"check", sp_cmd_check, "what is wrong with rule files or a configuration"},
	{"replay", sp_cmd_replay, "send a capture through the packet path: a verdict per packet, and statistics"},
	{"explain", sp_cmd_explain, "why a packet would pass or not; every reason for a drop"},
	{"fmt", sp_cmd_fmt, "canonical text of a rule file, comments kept"},
	{"doctor", sp_cmd_doctor, "what on this machine, or its host, keeps the firewall from working well, and what mends it"},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void help(FILE *out)
{
	fprintf(out, "Usage: sallyport COMMAND [OPTION]...\n"
		     "A virtual firewall: packets go from port to port by DPDK, under rules that you can prove beforehand.\n\n"
		     "Commands:\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\nOptions:\n"
		     "  -h, --help     show this help; `sallyport COMMAND --help` shows a command's\n"
		     "  -V, --version  show the version, and those of DPDK and Hyperscan\n\n"
		     "Exit codes: 0 good; 1 says no (errors found, not allowed); 2 could not run.\n\n"
		     "Example:\n"
		     "  sallyport check /etc/sallyport/rules.d/main.rules && sallyport run\n");
}

static int unknown(const char *name)
{
	const char *names[N_COMMANDS], *near;

	for (size_t i = 0; i < N_COMMANDS; i++)
		names[i] = commands[i].name;
	near = sp_diag_nearest(name, strlen(name), names, N_COMMANDS);
	fprintf(stderr, "sallyport: unknown command \"%s\"", name);
	if (near != NULL)
		fprintf(stderr, "; did you mean \"%s\"?", near);
	fprintf(stderr, "\nTry 'sallyport --help'.\n");
	return SP_EXIT_UNRUN;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		help(stderr);
		return SP_EXIT_UNRUN;
	}
	for (size_t i = 0; i < N_COMMANDS; i++) {
		char name[32];

		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		snprintf(name, sizeof(name), "sallyport %s", commands[i].name);
		argv[1] = name; /* getopt begins its messages with it */
		return commands[i].run(argc - 1, argv + 1);
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		help(stdout);
		return sp_cmd_finish(SP_EXIT_GOOD);
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("sallyport " SP_VERSION " (%s, Hyperscan %s)\n", rte_version(), hs_version());
		return sp_cmd_finish(SP_EXIT_GOOD);
	}
	return unknown(argv[1]);
}
