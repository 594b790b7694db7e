/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sallyport run: the firewall in the foreground. Start-up goes from what fails cheaply to what touches devices: configuration, rules,
 * memory, ports, workers, management; shutdown goes the other way.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/health.h"
#include "mgmt/kernel/kernel.h"
#include "vnf/commands.h"
#include "vnf/harden.h"
#include "vnf/port_events.h"
#include "vnf/signals.h"
#include "vnf/start_closed.h"

static const char help[] =
	"Usage: sallyport run [-c FILE] [--fail-closed]\n"
	"Run the firewall in the foreground until SIGTERM or SIGINT; SIGHUP loads the rule file again.\n\n"
	"Options:\n"
	"  -c, --config FILE  the configuration (default " SP_CONFIG_DEFAULT_PATH ")\n"
	"  -f, --fail-closed  come up with whatever there is, and say on the socket what is missing: without rules that load\n"
	"                     everything is dropped; a port whose device is not there is looked for; without a configuration\n"
	"                     that reads there are no ports\n"
	"  -h, --help         show this help\n\n"
	"Exit codes: 0 ended by a signal; 1 the configuration or the rules have errors; 2 could not run (a device is missing,\n"
	"no permission, no memory, the socket is taken).\n\n"
	"Example:\n"
	"  sallyport check /etc/sallyport/sallyport.conf && sallyport run\n";

int sp_start_fail(struct sp_start *start, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(start->why, sizeof(start->why), fmt, args);
	va_end(args);
	return sp_cmd_fail("%s", start->why);
}

/* Everything from nothing to packets, or until the process is told to leave. */
static int begin(struct sp_start *start)
{
	/*
	 * Hardening comes before there are threads that listen to anyone: these inherit what is left. The socket comes before the workers:
	 * packets move only in a firewall that can be asked.
	 */
	static int (*const steps[])(struct sp_start * start) = {sp_start_read, sp_start_cpus, sp_start_eal, sp_start_compile,
		sp_start_build, sp_start_publish, sp_start_harden, sp_start_print, sp_start_management, sp_start_go};
	int code = SP_EXIT_GOOD;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && code == SP_EXIT_GOOD && !sp_signals_leaving(); i++) {
		code = steps[i](start);
		/* What was given up with the privileges cannot be had again; a signal to leave would be lost with this process image. */
		if (code != SP_EXIT_GOOD && !sp_signals_leaving() &&
			(steps[i] == sp_start_eal || steps[i] == sp_start_build || steps[i] == sp_start_publish))
			sp_closed_again(start);
	}
	return code;
}

static void end(struct sp_start *start)
{
	if (start->launched && start->launch.dataplane != NULL)
		sp_launch_halt(&start->launch);
	sp_signals_workers(NULL);
	sp_signals_mgmt(NULL);
	sp_port_events_end(start->port_events);
	if (start->mgmt != NULL)
		sp_mgmt_stop(start->mgmt);
	sp_health_stop(start->health);
	sp_kernel_stop(start->kernel);
	if (start->launched)
		sp_launch_end(&start->launch);
	sp_ruleset_free(start->ruleset);
	sp_policy_free(start->policy);
	free(start->source);
	sp_config_free(start->config);
	if (start->eal)
		sp_eal_stop();
}

static int run(const char *config_path, bool fail_closed)
{
	struct sp_start start = {.config_path = config_path, .fail_closed = fail_closed};
	int code, rc;

	sp_closed_begin(&start);
	sp_harden_early();
	rc = sp_signals_start();
	if (rc != 0)
		return sp_cmd_fail("no thread for signals: %s", strerror(-rc));
	code = begin(&start);
	sp_signals_phase(SP_PHASE_CONTROL);
	if (code == SP_EXIT_GOOD && !sp_signals_leaving()) {
		fprintf(stderr, "sallyport: ready\n");
		sp_watchdog_begin(&start.watchdog);
		sp_notify_manager("READY=1");
		sp_mgmt_control(start.mgmt);
	}
	sp_signals_phase(SP_PHASE_CLOSING);
	sp_notify_manager("STOPPING=1");
	if (code == SP_EXIT_GOOD)
		fprintf(stderr, "sallyport: leaving\n");
	end(&start);
	sp_signals_end();
	return code;
}

int sp_cmd_run(int argc, char **argv)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"fail-closed", no_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	const char *config_path = SP_CONFIG_DEFAULT_PATH;
	bool fail_closed = false;
	int option;

	while ((option = getopt_long(argc, argv, "c:fh", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			config_path = optarg;
			break;
		case 'f':
			fail_closed = true;
			break;
		case 'h':
			fputs(help, stdout);
			return sp_cmd_finish(SP_EXIT_GOOD);
		default:
			return sp_cmd_usage("run", NULL);
		}
	}
	if (optind < argc)
		return sp_cmd_usage("run", "unexpected argument \"%s\"", argv[optind]);
	return run(config_path, fail_closed);
}
