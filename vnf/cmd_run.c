/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sallyport run: the firewall in the foreground. Start-up goes from what fails cheaply to what touches devices: configuration, rules,
 * memory, ports, workers, management; shutdown goes the other way.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/mgmt.h"
#include "mgmt/publish.h"
#include "rules/read.h"
#include "rules/scan.h"
#include "vnf/commands.h"
#include "vnf/eal.h"
#include "vnf/harden.h"
#include "vnf/launch.h"
#include "vnf/notify.h"

static const char help[] =
	"Usage: sallyport run [-c FILE]\n"
	"Run the firewall in the foreground until SIGTERM or SIGINT; SIGHUP loads the rule file again.\n\n"
	"Options:\n"
	"  -c, --config FILE  the configuration (default " SP_CONFIG_DEFAULT_PATH ")\n"
	"  -h, --help         show this help\n\n"
	"Exit codes: 0 ended by a signal; 1 the configuration or the rules have errors; 2 could not run (a device is missing,\n"
	"no permission, no memory, the socket is taken).\n\n"
	"Example:\n"
	"  sallyport check /etc/sallyport/sallyport.conf && sallyport run\n";

/* One of the process's few globals: where signals go. */
static struct {
	struct sp_mgmt *volatile mgmt;
	volatile sig_atomic_t quit;
} signals;

struct firewall {
	struct sp_config *config;
	struct sp_policy *policy;   /* until it is compiled */
	struct sp_ruleset *ruleset; /* until it is published */
	char *source;               /* text of the rule file, until it is the ruleset's */
	size_t source_size;
	unsigned int workers[SP_WORKERS_MAX], n_workers;
	struct sp_launch launch;
	struct sp_mgmt *mgmt;
	bool eal, launched;
};

static void on_signal(int number)
{
	struct sp_mgmt *mgmt = signals.mgmt;
	int saved = errno;

	if (number != SIGHUP)
		signals.quit = 1;
	if (mgmt != NULL && number == SIGHUP)
		sp_mgmt_reload(mgmt);
	else if (mgmt != NULL)
		sp_mgmt_quit(mgmt);
	errno = saved;
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	sigemptyset(&action.sa_mask);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* --- before EAL ------------------------------------------------------------------------------------------------------------------ */

static int read_files(struct firewall *firewall, const char *config_path)
{
	struct sp_diags diags = {0};
	struct sp_read_options options = {0};

	firewall->config = sp_config_read_file(config_path, &diags);
	if (sp_cmd_report(&diags))
		return SP_EXIT_NO;
	options.file = firewall->config->rules;
	options.zones = &firewall->config->zones;
	if (sp_file_read(firewall->config->rules, &firewall->source, &firewall->source_size, &diags) == 0)
		firewall->policy = sp_policy_load(firewall->source, firewall->source_size, &options, &diags);
	return sp_cmd_report(&diags) ? SP_EXIT_NO : SP_EXIT_GOOD;
}

static int choose_workers(struct firewall *firewall)
{
	const struct sp_config *config = firewall->config;
	unsigned int cpus[SP_CPUS_MAX], n = sp_eal_cpus(cpus, SP_CPUS_MAX);

	if (n == 0)
		return sp_cmd_fail("the process may run on no CPU that DPDK knows");
	if (config->n_workers == 0) {
		unsigned int first = n > 1 ? 1 : 0;

		while (first + firewall->n_workers < n && firewall->n_workers < SP_WORKERS_MAX) {
			firewall->workers[firewall->n_workers] = cpus[first + firewall->n_workers];
			firewall->n_workers++;
		}
		return SP_EXIT_GOOD;
	}
	for (unsigned int w = 0; w < config->n_workers; w++) {
		unsigned int i = 0;

		while (i < n && cpus[i] != config->workers[w])
			i++;
		if (i == n)
			return sp_cmd_fail("%s: \"workers\" names CPU %u, but this process may only run on CPUs %u to %u (%u of them)",
				config->file, config->workers[w], cpus[0], cpus[n - 1], n);
		firewall->workers[firewall->n_workers++] = config->workers[w];
	}
	return SP_EXIT_GOOD;
}

/* --- EAL ------------------------------------------------------------------------------------------------------------------------- */

static bool choose_memory(const struct firewall *firewall, struct sp_eal_options *options, uint32_t need_mb)
{
	const struct sp_config *config = firewall->config;
	uint64_t free_mb = sp_eal_huge_free_mb();

	options->memory_mb = config->memory_mb != 0 ? config->memory_mb : need_mb;
	options->huge = config->huge != SP_HUGE_NO && free_mb >= options->memory_mb;
	if (config->huge == SP_HUGE_YES && !options->huge) {
		sp_cmd_fail("memory.huge is true, but %llu of the %u MB needed are free in huge pages; `echo %u > "
			    "/proc/sys/vm/nr_hugepages`, or set "
			    "memory.huge = false",
			(unsigned long long)free_mb, options->memory_mb, options->memory_mb / 2 + 64);
		return false;
	}
	return true;
}

static int start_eal(struct firewall *firewall)
{
	const struct sp_config *config = firewall->config;
	struct sp_eal_options options = {.workers = firewall->workers, .n_workers = firewall->n_workers};
	uint32_t need_mb = sp_launch_need_mb(config, firewall->n_workers, firewall->policy->n_rules);
	const char *pci[SP_PORTS_MAX];
	char why[SP_WHY_MAX];

	for (unsigned int i = 0; i < config->n_ports; i++) {
		if (config->ports[i].device.kind == SP_DEVICE_PCI)
			pci[options.n_pci++] = config->ports[i].device.name;
		options.pci_all |= config->ports[i].device.kind == SP_DEVICE_MAC;
	}
	options.pci = pci;
	if (!choose_memory(firewall, &options, need_mb))
		return SP_EXIT_UNRUN;
	if (sp_eal_start(&options, why, sizeof(why)) != 0)
		return sp_cmd_fail("%s", why);
	firewall->eal = true;
	fprintf(stderr, "sallyport: memory: %u MB of %s pages%s\n", options.memory_mb, options.huge ? "huge" : "ordinary",
		options.huge ? "" : " (huge pages are faster)");
	return SP_EXIT_GOOD;
}

static int compile(struct firewall *firewall)
{
	struct sp_diags diags = {0};

	firewall->ruleset = sp_ruleset_build(firewall->policy, &diags);
	if (sp_cmd_report(&diags) || firewall->ruleset == NULL)
		return SP_EXIT_NO;
	firewall->policy = NULL;
	firewall->ruleset->source = firewall->source;
	firewall->ruleset->source_size = firewall->source_size;
	firewall->source = NULL;
	return SP_EXIT_GOOD;
}

/* --- the dataplane --------------------------------------------------------------------------------------------------------------- */

static int build(struct firewall *firewall)
{
	const struct sp_config *config = firewall->config;
	struct sp_launch_options options = {.n_workers = firewall->n_workers,
		.sessions4 = config->sessions4,
		.sessions6 = config->sessions6,
		.timeout_sec = config->timeout_sec,
		.limit_sources = config->limit_sources,
		.reject_rate = config->reject_rate,
		.log_rate = config->log_rate,
		.adaptive = config->adaptive,
		.zones = &config->zones};
	char why[SP_WHY_MAX] = "";
	int rc;

	firewall->launched = true;
	rc = sp_launch_begin(&firewall->launch, &options, why);
	if (rc == 0)
		rc = sp_launch_ports(&firewall->launch, config, why);
	if (rc == 0)
		rc = sp_launch_workers(&firewall->launch, &options, why);
	return rc == 0 ? SP_EXIT_GOOD : sp_cmd_fail("%s", why);
}

static int publish(struct firewall *firewall)
{
	struct sp_diags diags = {0};
	const struct sp_policy *policy = firewall->ruleset->policy;
	int rc = sp_publish(firewall->launch.dataplane, firewall->ruleset, &diags);

	if (rc != 0 && rc != -ETIMEDOUT) {
		sp_cmd_report(&diags);
		return sp_cmd_fail("the rules cannot be put into force: %s", strerror(-rc));
	}
	firewall->ruleset = NULL;
	sp_diags_clear(&diags);
	fprintf(stderr, "sallyport: rules: %s, %zu rules in force\n", policy->file, policy->n_rules);
	return SP_EXIT_GOOD;
}

static void print_start(const struct firewall *firewall)
{
	const struct sp_dataplane *dataplane = firewall->launch.dataplane;
	size_t bytes = 0;

	for (unsigned int p = 0; p < dataplane->n_ports; p++)
		sp_port_print(&dataplane->ports[p], stderr);
	for (unsigned int w = 0; w < dataplane->n_workers; w++)
		bytes += sp_sessions_bytes(dataplane->workers[w]->sessions);
	fprintf(stderr, "sallyport: sessions: %u IPv4 and %u IPv6 in %zu MB\n", firewall->config->sessions4, firewall->config->sessions6,
		bytes >> 20);
	fprintf(stderr, "sallyport: workers: %u on CPU", dataplane->n_workers);
	for (unsigned int w = 0; w < dataplane->n_workers; w++)
		fprintf(stderr, "%s %u", w > 0 ? "," : "", firewall->workers[w]);
	fprintf(stderr, ", %s polling\n", dataplane->adaptive ? "adaptive" : "busy");
}

static int start_management(struct firewall *firewall)
{
	const struct sp_config *config = firewall->config;
	struct sp_mgmt_config mgmt = {.socket_path = config->socket,
		.socket_mode = config->socket_mode,
		.socket_group = config->group,
		.rules_path = config->rules,
		.captures_folder = config->captures,
		.eve_path = config->eve,
		.eve_rotate_bytes = (uint64_t)config->rotate_mb << 20,
		.eve_keep = config->keep,
		.config_path = config->file,
		.mode = "wire",
		.stats_interval_sec = config->stats_interval_sec};
	char why[SP_WHY_MAX];

	firewall->mgmt = sp_mgmt_start(firewall->launch.dataplane, &mgmt, why, sizeof(why));
	if (firewall->mgmt == NULL)
		return sp_cmd_fail("%s", why);
	signals.mgmt = firewall->mgmt;
	return SP_EXIT_GOOD;
}

static int harden(const struct firewall *firewall)
{
	const struct sp_config *config = firewall->config;
	struct sp_harden_needs needs = {.physical = sp_eal_uses_physical(), .chown = config->group != NULL};
	char why[SP_WHY_MAX];

	if (!config->hardening)
		return SP_EXIT_GOOD;
	for (unsigned int i = 0; i < config->n_ports; i++) {
		const char *name = config->ports[i].device.name;

		needs.net_admin |=
			strncmp(name, "net_tap", 7) == 0 || strncmp(name, "net_af_xdp", 10) == 0 || strstr(name, "virtio_user") != NULL;
	}
	if (sp_harden_apply(&needs, why, sizeof(why)) != 0)
		return sp_cmd_fail("%s", why);
	return SP_EXIT_GOOD;
}

/* Everything from nothing to packets. */
static int start(struct firewall *firewall, const char *config_path)
{
	char why[SP_WHY_MAX];
	int code = read_files(firewall, config_path);

	if (code == SP_EXIT_GOOD)
		code = choose_workers(firewall);
	if (code == SP_EXIT_GOOD)
		code = start_eal(firewall);
	if (code == SP_EXIT_GOOD)
		code = compile(firewall);
	if (code == SP_EXIT_GOOD)
		code = build(firewall);
	if (code == SP_EXIT_GOOD)
		code = publish(firewall);
	/* Before there are threads that listen to anyone: these inherit what is left. */
	if (code == SP_EXIT_GOOD)
		code = harden(firewall);
	if (code != SP_EXIT_GOOD)
		return code;
	print_start(firewall);
	/* The socket before the workers: packets move only in a firewall that can be asked. */
	code = start_management(firewall);
	if (code == SP_EXIT_GOOD && sp_launch_go(&firewall->launch, why) != 0)
		code = sp_cmd_fail("%s", why);
	return code;
}

static void stop(struct firewall *firewall)
{
	if (firewall->launched && firewall->launch.dataplane != NULL)
		sp_launch_halt(&firewall->launch);
	signals.mgmt = NULL;
	if (firewall->mgmt != NULL)
		sp_mgmt_stop(firewall->mgmt);
	if (firewall->launched)
		sp_launch_end(&firewall->launch);
	sp_ruleset_free(firewall->ruleset);
	sp_policy_free(firewall->policy);
	free(firewall->source);
	sp_config_free(firewall->config);
	if (firewall->eal)
		sp_eal_stop();
}

static int run(const char *config_path)
{
	struct firewall firewall = {0};
	int code;

	sp_harden_early();
	catch_signals();
	code = start(&firewall, config_path);
	if (code == SP_EXIT_GOOD && !signals.quit) {
		fprintf(stderr, "sallyport: ready\n");
		sp_notify_manager("READY=1");
		sp_mgmt_control(firewall.mgmt);
	}
	sp_notify_manager("STOPPING=1");
	if (code == SP_EXIT_GOOD)
		fprintf(stderr, "sallyport: leaving\n");
	stop(&firewall);
	return code;
}

int sp_cmd_run(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	const char *config_path = SP_CONFIG_DEFAULT_PATH;
	int option;

	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			config_path = optarg;
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
	return run(config_path);
}
