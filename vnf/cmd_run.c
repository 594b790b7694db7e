/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sallyport run: the firewall in the foreground. Start-up goes from what fails cheaply to what touches devices: configuration, rules,
 * memory, ports, workers, management; shutdown goes the other way.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mgmt/health.h"
#include "mgmt/kernel/kernel.h"
#include "mgmt/mgmt.h"
#include "mgmt/publish.h"
#include "rules/read.h"
#include "rules/scan.h"
#include "vnf/commands.h"
#include "vnf/eal.h"
#include "vnf/harden.h"
#include "vnf/launch.h"
#include "vnf/notify.h"
#include "vnf/port_events.h"
#include "vnf/signals.h"

#define POLLING_MS 2000 /* that workers get for their first poll before the start is called over */

static const char help[] =
	"Usage: sallyport run [-c FILE] [--fail-closed]\n"
	"Run the firewall in the foreground until SIGTERM or SIGINT; SIGHUP loads the rule file again.\n\n"
	"Options:\n"
	"  -c, --config FILE  the configuration (default " SP_CONFIG_DEFAULT_PATH ")\n"
	"  -f, --fail-closed  when the rule file does not load, drop everything until a good one is put or loaded, instead of\n"
	"                     ending: the socket is served and the status says why\n"
	"  -h, --help         show this help\n\n"
	"Exit codes: 0 ended by a signal; 1 the configuration or the rules have errors; 2 could not run (a device is missing,\n"
	"no permission, no memory, the socket is taken).\n\n"
	"Example:\n"
	"  sallyport check /etc/sallyport/sallyport.conf && sallyport run\n";

/* In force when the rule file does not load and nothing may pass because of that. */
static const char drop_all[] = "version = 1;\nbuiltin = { arp = false; nd = false; };\ndefault = { action = \"drop\"; };\nrules = ( );\n";

struct firewall {
	struct sp_config *config;
	struct sp_policy *policy;   /* until it is compiled */
	struct sp_ruleset *ruleset; /* until it is published */
	char *source;               /* text of the rule file, until it is the ruleset's */
	size_t source_size;
	unsigned int workers[SP_WORKERS_MAX], n_workers;
	struct sp_launch launch;
	struct sp_kernel *kernel; /* NULL in wire mode */
	struct sp_health *health; /* until management takes it over; NULL: management starts its own */
	struct sp_port_events *port_events;
	struct sp_mgmt *mgmt;
	bool eal, launched;
	bool fail_closed;
	size_t rule_lines;       /* of a rule file that does not load: memory for it is set aside all the same */
	char closed[SP_WHY_MAX]; /* why drop_all is in force; "" when it is not */
};

/* --- before EAL ------------------------------------------------------------------------------------------------------------------ */

static size_t count_lines(const char *text, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		n += text[i] == '\n';
	return n;
}

/* The first error, with its place. */
static void remember_why(struct firewall *firewall, const struct sp_diags *diags)
{
	size_t i = 0;

	while (i < diags->n && diags->v[i].level != SP_DIAG_ERROR)
		i++;
	if (i < diags->n && diags->v[i].file != NULL)
		snprintf(firewall->closed, sizeof(firewall->closed), "%s:%d: %s", diags->v[i].file, diags->v[i].line, diags->v[i].text);
	else
		snprintf(firewall->closed, sizeof(firewall->closed), "%s", i < diags->n ? diags->v[i].text : "no memory for the rules");
}

/* The rule file does not load: reports why, and either the start is over, or drop_all takes the place of its policy. */
static int without_rules(struct firewall *firewall, struct sp_diags *diags)
{
	const struct sp_read_options options = {.file = firewall->config->rules, .zones = &firewall->config->zones};
	struct sp_diags ignored = {0};
	bool may = firewall->fail_closed && firewall->closed[0] == '\0';

	if (may)
		remember_why(firewall, diags);
	sp_cmd_report(diags);
	if (!may)
		return SP_EXIT_NO;
	firewall->rule_lines = count_lines(firewall->source, firewall->source_size);
	sp_policy_free(firewall->policy);
	free(firewall->source);
	firewall->source = NULL;
	firewall->source_size = 0;
	firewall->policy = sp_policy_load(drop_all, sizeof(drop_all) - 1, &options, &ignored);
	sp_diags_clear(&ignored);
	if (firewall->policy == NULL)
		return sp_cmd_fail("no memory for the rules");
	fprintf(stderr, "sallyport: the rule file does not load: everything is dropped until a good one is put or loaded\n");
	return SP_EXIT_GOOD;
}

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
	if (firewall->policy == NULL)
		return without_rules(firewall, &diags);
	sp_cmd_report(&diags);
	return SP_EXIT_GOOD;
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
	size_t n_rules = RTE_MAX(firewall->policy->n_rules, firewall->rule_lines);
	uint32_t need_mb = sp_launch_need_mb(config, firewall->n_workers, RTE_MIN(n_rules, (size_t)SP_RULES_MAX));
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

	while ((firewall->ruleset = sp_ruleset_build(firewall->policy, &diags)) == NULL) {
		int code = without_rules(firewall, &diags);

		if (code != SP_EXIT_GOOD)
			return code;
	}
	sp_cmd_report(&diags);
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
		.fragments = config->fragments,
		.floods = config->floods,
		.pressure = config->pressure,
		.reject_rate = config->reject_rate,
		.tcp = config->tcp,
		.log_rate = config->log_rate,
		.icmp_error_rate = config->icmp_error_rate,
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
	if (rc != 0)
		return sp_cmd_fail("%s", why);
	if (config->mode == SP_MODE_ROUTE) {
		firewall->kernel = sp_kernel_create(firewall->launch.dataplane, firewall->launch.pool, config->netns, why, sizeof(why));
		if (firewall->kernel == NULL)
			return sp_cmd_fail("%s", why);
	}
	/* the way to the servers is where the interfaces are, and there is no entering it later */
	if (config->mode == SP_MODE_ROUTE && config->netns != NULL) {
		firewall->health = sp_health_start(config->netns, why, sizeof(why));
		if (firewall->health == NULL)
			return sp_cmd_fail("%s", why);
	}
	firewall->port_events = sp_port_events_begin(&firewall->launch, config);
	return firewall->port_events != NULL ? SP_EXIT_GOOD : sp_cmd_fail("out of memory");
}

static int publish(struct firewall *firewall)
{
	struct sp_diags diags = {0};
	const struct sp_policy *policy;
	int rc = sp_publish(firewall->launch.dataplane, firewall->ruleset, &diags);

	while (rc != 0 && rc != -ETIMEDOUT) {
		sp_ruleset_free(firewall->ruleset);
		firewall->ruleset = NULL;
		if (without_rules(firewall, &diags) != SP_EXIT_GOOD || compile(firewall) != SP_EXIT_GOOD)
			return sp_cmd_fail("the rules cannot be put into force: %s", strerror(-rc));
		rc = sp_publish(firewall->launch.dataplane, firewall->ruleset, &diags);
	}
	policy = firewall->ruleset->policy;
	firewall->ruleset = NULL;
	sp_diags_clear(&diags);
	fprintf(stderr, "sallyport: rules: %s, %zu rules in force\n", policy->file, policy->n_rules);
	return SP_EXIT_GOOD;
}

static int print_start(struct firewall *firewall)
{
	const struct sp_dataplane *dataplane = firewall->launch.dataplane;
	const struct sp_fragments_config *fragments = &firewall->config->fragments;
	size_t bytes = 0, fragment_bytes = 0;

	for (unsigned int p = 0; p < dataplane->n_ports; p++)
		sp_port_print(&dataplane->ports[p], stderr);
	for (unsigned int w = 0; w < dataplane->n_workers; w++)
		bytes += sp_sessions_bytes(dataplane->workers[w]->sessions);
	for (unsigned int w = 0; w < dataplane->n_workers; w++)
		fragment_bytes += sp_fragments_bytes(dataplane->workers[w]->fragments);
	fprintf(stderr, "sallyport: sessions: %u IPv4 and %u IPv6 in %zu MB\n", firewall->config->sessions4, firewall->config->sessions6,
		bytes >> 20);
	fprintf(stderr, "sallyport: fragments: %u unfinished datagrams in %zu KB, %u packet buffers\n", fragments->datagrams,
		fragment_bytes >> 10, fragments->buffers);
	if (dataplane->routing != NULL)
		fprintf(stderr, "sallyport: routes: %u IPv4, %u IPv6 and %u neighbours in %zu MB\n", firewall->config->route.max4,
			firewall->config->route.max6, firewall->config->route.neighbours, sp_routing_bytes(dataplane->routing) >> 20);
	fprintf(stderr, "sallyport: workers: %u on CPU", dataplane->n_workers);
	for (unsigned int w = 0; w < dataplane->n_workers; w++)
		fprintf(stderr, "%s %u", w > 0 ? "," : "", firewall->workers[w]);
	fprintf(stderr, ", %s polling\n", dataplane->adaptive ? "adaptive" : "busy");
	return SP_EXIT_GOOD;
}

static int start_management(struct firewall *firewall)
{
	const struct sp_config *config = firewall->config;
	struct sp_mgmt_config mgmt = {.socket_path = config->socket,
		.socket_mode = config->socket_mode,
		.socket_group = config->group,
		.tls = config->tls,
		.rules_path = config->rules,
		.captures_folder = config->captures,
		.eve_path = config->eve,
		.eve_rotate_bytes = (uint64_t)config->rotate_mb << 20,
		.eve_keep = config->keep,
		.config_path = config->file,
		.mode = config->mode == SP_MODE_ROUTE ? "route" : "wire",
		.no_rules = firewall->closed[0] != '\0' ? firewall->closed : NULL,
		.on_change = config->on_change,
		.stats_interval_sec = config->stats_interval_sec,
		.tick = sp_port_events_tick,
		.tick_context = firewall->port_events,
		.kernel = firewall->kernel,
		.health = firewall->health};
	char why[SP_WHY_MAX];

	firewall->health = NULL;
	firewall->mgmt = sp_mgmt_start(firewall->launch.dataplane, &mgmt, why, sizeof(why));
	if (firewall->mgmt == NULL)
		return sp_cmd_fail("%s", why);
	sp_signals_mgmt(firewall->mgmt);
	sp_port_events_wake(firewall->port_events, firewall->mgmt);
	return SP_EXIT_GOOD;
}

static int harden(struct firewall *firewall)
{
	const struct sp_config *config = firewall->config;
	struct sp_harden_needs needs = {
		.net_admin = config->mode == SP_MODE_ROUTE, .physical = sp_eal_uses_physical(), .chown = config->group != NULL};
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

static int go(struct firewall *firewall)
{
	static const struct timespec pause = {.tv_nsec = 1000000};
	char why[SP_WHY_MAX];

	sp_signals_workers(&firewall->launch);
	if (sp_launch_go(&firewall->launch, why) != 0)
		return sp_cmd_fail("%s", why);
	if (firewall->kernel != NULL) {
		int rc = sp_kernel_start(firewall->kernel);

		if (rc != 0)
			return sp_cmd_fail("no thread for Linux's side: %s", strerror(-rc));
	}
	/* One that does not poll by then is told of in the status. */
	for (unsigned int ms = 0; ms < POLLING_MS && !sp_launch_polls(&firewall->launch) && !sp_signals_leaving(); ms++)
		nanosleep(&pause, NULL);
	return SP_EXIT_GOOD;
}

/* Everything from nothing to packets, or until the process is told to leave. */
static int start(struct firewall *firewall)
{
	/*
	 * Hardening comes before there are threads that listen to anyone: these inherit what is left. The socket comes before the workers:
	 * packets move only in a firewall that can be asked.
	 */
	static int (*const steps[])(struct firewall * firewall) = {
		choose_workers, start_eal, compile, build, publish, harden, print_start, start_management, go};
	int code = SP_EXIT_GOOD;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && code == SP_EXIT_GOOD && !sp_signals_leaving(); i++)
		code = steps[i](firewall);
	return code;
}

static void stop(struct firewall *firewall)
{
	if (firewall->launched && firewall->launch.dataplane != NULL)
		sp_launch_halt(&firewall->launch);
	sp_signals_workers(NULL);
	sp_signals_mgmt(NULL);
	sp_port_events_end(firewall->port_events);
	if (firewall->mgmt != NULL)
		sp_mgmt_stop(firewall->mgmt);
	sp_health_stop(firewall->health);
	sp_kernel_stop(firewall->kernel);
	if (firewall->launched)
		sp_launch_end(&firewall->launch);
	sp_ruleset_free(firewall->ruleset);
	sp_policy_free(firewall->policy);
	free(firewall->source);
	sp_config_free(firewall->config);
	if (firewall->eal)
		sp_eal_stop();
}

static int run(const char *config_path, bool fail_closed)
{
	struct firewall firewall = {.fail_closed = fail_closed};
	int code, rc;

	sp_harden_early();
	rc = sp_signals_start();
	if (rc != 0)
		return sp_cmd_fail("no thread for signals: %s", strerror(-rc));
	code = read_files(&firewall, config_path);
	if (code == SP_EXIT_GOOD)
		code = start(&firewall);
	sp_signals_phase(SP_PHASE_CONTROL);
	if (code == SP_EXIT_GOOD && !sp_signals_leaving()) {
		fprintf(stderr, "sallyport: ready\n");
		sp_notify_manager("READY=1");
		sp_mgmt_control(firewall.mgmt);
	}
	sp_signals_phase(SP_PHASE_CLOSING);
	sp_notify_manager("STOPPING=1");
	if (code == SP_EXIT_GOOD)
		fprintf(stderr, "sallyport: leaving\n");
	stop(&firewall);
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
