/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sallyport doctor: what on this machine keeps the firewall from working well, and what mends it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vnf/commands.h"
#include "vnf/doctor.h"
#include "vnf/quirks.h"

#define ROOT_VARIABLE "SALLYPORT_ROOT"

static const char help[] =
	"Usage: sallyport doctor [OPTION]...\n"
	"Look at this machine, a VM with virtual functions or the host that makes them: devices, IOMMU, VFIO, memory, CPUs,\n"
	"configuration. Each finding that wants mending comes with the command, or the text for the VM's XML, that mends it.\n"
	"Changes nothing.\n\n"
	"Options:\n"
	"  -c, --config FILE  the configuration (default " SP_CONFIG_DEFAULT_PATH ")\n"
	"  -j, --json         one JSON object: findings and devices\n"
	"  -b, --brief        only what wants mending\n"
	"      --drivers      what is known of each DPDK driver: promiscuous mode, groups, VLANs, resets, RSS\n"
	"      --conf         print a first configuration for the virtual functions that are here\n"
	"  -h, --help         show this help\n\n"
	"Levels: error does not work; warning works, but slower or less safely than it could; note is worth knowing.\n"
	"Exit codes: 0 no errors; 1 errors (of --conf: no device to make a port of); 2 could not run.\n\n"
	"Example:\n"
	"  sallyport doctor --conf >/etc/sallyport/sallyport.conf && sallyport doctor\n";

enum output { TEXT, JSON, BRIEF, CONF };

static struct sp_doctor_style choose_style(void)
{
	struct sp_doctor_style style = {0};
	const char *terminal = getenv("TERM");
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return style;
	style.colour = getenv("NO_COLOR") == NULL && terminal != NULL && strcmp(terminal, "dumb") != 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		style.width = size.ws_col;
	return style;
}

static int print_conf(const struct sp_facts *facts)
{
	unsigned int n_ports;
	char *text = sp_doctor_conf(facts, &n_ports);

	if (text == NULL)
		return sp_cmd_fail("out of memory");
	fputs(text, stdout);
	free(text);
	return n_ports > 0 ? SP_EXIT_GOOD : SP_EXIT_NO;
}

static int examine(const struct sp_facts *facts, enum output output)
{
	struct sp_doctor_style style = choose_style();
	struct sp_findings *findings = sp_doctor_check(facts);
	int code;

	if (findings == NULL)
		return sp_cmd_fail("out of memory");
	code = findings->count[SP_LEVEL_ERROR] > 0 ? SP_EXIT_NO : SP_EXIT_GOOD;
	if (output == BRIEF)
		sp_doctor_print_brief(findings, &style, stdout);
	else if (output == TEXT)
		sp_doctor_print(facts, findings, &style, stdout);
	else if (sp_doctor_print_json(facts, findings, stdout) != 0)
		code = sp_cmd_fail("out of memory");
	free(findings);
	return code;
}

int sp_cmd_doctor(int argc, char **argv)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"json", no_argument, NULL, 'j'},
		{"brief", no_argument, NULL, 'b'}, {"conf", no_argument, NULL, 'f'}, {"drivers", no_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	const char *config = NULL, *root = getenv(ROOT_VARIABLE);
	enum output output = TEXT;
	struct sp_facts *facts;
	int option, code;

	while ((option = getopt_long(argc, argv, "c:jbh", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			config = optarg;
			break;
		case 'j':
			output = JSON;
			break;
		case 'b':
			output = BRIEF;
			break;
		case 'f':
			output = CONF;
			break;
		case 'd':
			sp_quirks_print(stdout);
			return sp_cmd_finish(SP_EXIT_GOOD);
		case 'h':
			fputs(help, stdout);
			return sp_cmd_finish(SP_EXIT_GOOD);
		default:
			return sp_cmd_usage("doctor", NULL);
		}
	}
	if (optind < argc)
		return sp_cmd_usage("doctor", "%s is one argument too many; a configuration is named by -c", argv[optind]);
	facts = sp_facts_gather(root != NULL ? root : "", config);
	if (facts == NULL)
		return sp_cmd_fail("out of memory");
	code = output == CONF ? print_conf(facts) : examine(facts, output);
	sp_facts_free(facts);
	return sp_cmd_finish(code);
}
