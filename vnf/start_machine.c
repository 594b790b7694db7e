/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CPUs, memory, ports, privileges and management: what the machine gives the firewall, and what of that it gives up again.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mgmt/health.h"
#include "mgmt/kernel/kernel.h"
#include "mgmt/port_state.h"
#include "vnf/commands.h"
#include "vnf/eal.h"
#include "vnf/harden.h"
#include "vnf/pci_devices.h"
#include "vnf/port_events.h"
#include "vnf/signals.h"
#include "vnf/start.h"

#define PCI_HOST_BRIDGE "0000:00:00.0"

#define FIRST_FREE_PORT 1024 /* binding one below takes a capability */

#define POLLING_MS 2000 /* that workers get for their first poll before the start is called over */

/* --- CPUs ------------------------------------------------------------------------------------------------------------------------ */

static void all_but_the_first(struct sp_start *start)
{
	unsigned int first = start->n_cpus > 1 ? 1 : 0;

	for (start->n_workers = 0; first + start->n_workers < start->n_cpus && start->n_workers < SP_WORKERS_MAX; start->n_workers++)
		start->workers[start->n_workers] = start->cpus[first + start->n_workers];
}

/* A worker's CPU is not there: either the start is over, or it goes without that worker. */
static int without_cpu(struct sp_start *start, unsigned int cpu)
{
	char text[SP_WHY_MAX];

	snprintf(text, sizeof(text), "%s: \"workers\" names CPU %u, but this process may only run on CPUs %u to %u (%u of them)",
		start->config->file, cpu, start->cpus[0], start->cpus[start->n_cpus - 1], start->n_cpus);
	if (!start->fail_closed)
		return sp_start_fail(start, "%s", text);
	fprintf(stderr, "sallyport: %s\n", text);
	sp_notes_add(&start->notes, "other-cpus", false, text, "mend \"workers\", or leave it out: then all CPUs but the first work");
	return SP_EXIT_GOOD;
}

int sp_start_cpus(struct sp_start *start)
{
	const struct sp_config *config = start->config;

	if (start->n_cpus == 0)
		return sp_start_fail(start, "the process may run on no CPU that DPDK knows");
	for (unsigned int w = 0; w < config->n_workers; w++) {
		unsigned int i = 0;

		while (i < start->n_cpus && start->cpus[i] != config->workers[w])
			i++;
		if (i < start->n_cpus)
			start->workers[start->n_workers++] = config->workers[w];
		else if (without_cpu(start, config->workers[w]) != SP_EXIT_GOOD)
			return SP_EXIT_UNRUN;
	}
	if (start->n_workers == 0)
		all_but_the_first(start);
	return SP_EXIT_GOOD;
}

/* --- memory ---------------------------------------------------------------------------------------------------------------------- */

/* DPDK trips over what the kernel promises and then does not have. */
static int check_ordinary(struct sp_start *start, uint32_t memory_mb)
{
	uint64_t machine_mb = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) >> 20;

	if (memory_mb <= machine_mb / 8 * 7)
		return SP_EXIT_GOOD;
	return sp_start_fail(start,
		"%u MB of memory are needed, and the machine has %llu; set a smaller memory.mb or sessions.max, or give it more", memory_mb,
		(unsigned long long)machine_mb);
}

static int choose_memory(struct sp_start *start, struct sp_eal_options *options, uint32_t need_mb)
{
	const struct sp_config *config = start->config;
	unsigned long long free_mb = sp_eal_huge_free_mb();
	static const char remedy[] = "add some as `sallyport doctor` says, or set memory.huge = false";
	char text[SP_WHY_MAX];

	options->memory_mb = config->memory_mb != 0 ? config->memory_mb : need_mb;
	options->huge = config->huge != SP_HUGE_NO && free_mb >= options->memory_mb;
	if (config->huge != SP_HUGE_YES || options->huge)
		return options->huge ? SP_EXIT_GOOD : check_ordinary(start, options->memory_mb);
	snprintf(text, sizeof(text), "memory.huge is true, but %llu of the %u MB needed are free in huge pages", free_mb,
		options->memory_mb);
	if (!start->fail_closed)
		return sp_start_fail(start, "%s; %s", text, remedy);
	snprintf(text + strlen(text), sizeof(text) - strlen(text),
		": memory is in ordinary pages, which are slower, and which devices without an IOMMU cannot use");
	sp_notes_add(&start->notes, "no-huge-pages", false, text, remedy);
	return check_ordinary(start, options->memory_mb);
}

struct pci_list {
	const char *address[SP_PORTS_MAX + SP_PCI_DEVICES_MAX];
	unsigned int n;
	char lent[SP_PCI_DEVICES_MAX][SP_PCI_NAME_MAX];
};

/*
 * The devices that the ports name. Where one is named by MAC, all that can be opened, which decides with what addresses they work; and
 * when there are none, one that no driver of DPDK takes, so that the bus is there for those that come.
 */
static void choose_pci(const struct sp_config *config, struct pci_list *list)
{
	unsigned int n_lent;
	bool by_mac = false;

	list->n = 0;
	for (unsigned int i = 0; i < config->n_ports; i++) {
		if (config->ports[i].device.kind == SP_DEVICE_PCI)
			list->address[list->n++] = config->ports[i].device.name;
		by_mac |= config->ports[i].device.kind == SP_DEVICE_MAC;
	}
	if (!by_mac)
		return;
	n_lent = sp_pci_lent(list->lent, SP_PCI_DEVICES_MAX);
	for (unsigned int i = 0; i < n_lent; i++)
		list->address[list->n++] = list->lent[i];
	if (list->n == 0)
		list->address[list->n++] = PCI_HOST_BRIDGE;
}

int sp_start_eal(struct sp_start *start)
{
	const struct sp_config *config = start->config;
	struct sp_eal_options options = {.workers = start->workers, .n_workers = start->n_workers};
	size_t n_rules = RTE_MAX(start->policy->n_rules, start->rule_lines);
	uint32_t need_mb = sp_launch_need_mb(config, start->n_workers, RTE_MIN(n_rules, (size_t)SP_RULES_MAX));
	struct pci_list list;
	char why[SP_WHY_MAX];

	choose_pci(config, &list);
	options.pci = list.address;
	options.n_pci = list.n;
	if (choose_memory(start, &options, need_mb) != SP_EXIT_GOOD)
		return SP_EXIT_UNRUN;
	if (sp_eal_start(&options, why, sizeof(why)) != 0)
		return sp_start_fail(start, "%s", why);
	start->eal = true;
	fprintf(stderr, "sallyport: memory: %u MB of %s pages%s\n", options.memory_mb, options.huge ? "huge" : "ordinary",
		options.huge ? "" : " (huge pages are faster)");
	return SP_EXIT_GOOD;
}

/* --- the dataplane --------------------------------------------------------------------------------------------------------------- */

/* Linux's side of route mode. Without it nothing is routed. */
static int build_kernel(struct sp_start *start)
{
	char why[SP_WHY_MAX];

	start->kernel = sp_kernel_create(start->launch.dataplane, start->launch.pool, start->config->netns, why, sizeof(why));
	if (start->kernel != NULL)
		return SP_EXIT_GOOD;
	if (!start->fail_closed)
		return sp_start_fail(start, "%s", why);
	fprintf(stderr, "sallyport: %s; nothing is routed until the firewall is started anew\n", why);
	sp_notes_add(&start->notes, "no-linux", true, why, "");
	return SP_EXIT_GOOD;
}

/* The way to the servers is where the interfaces are, and there is no entering it later. */
static int build_health(struct sp_start *start)
{
	char why[SP_WHY_MAX];

	start->health = sp_health_start(start->config->netns, why, sizeof(why));
	return start->health != NULL || start->kernel == NULL ? SP_EXIT_GOOD : sp_start_fail(start, "%s", why);
}

int sp_start_build(struct sp_start *start)
{
	const struct sp_config *config = start->config;
	struct sp_launch_options options = {.n_workers = start->n_workers,
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
		.absent_ports = start->fail_closed,
		.zones = &config->zones};
	char why[SP_WHY_MAX] = "";
	int rc, code = SP_EXIT_GOOD;

	start->launched = true;
	rc = sp_launch_begin(&start->launch, &options, why);
	if (rc == 0)
		rc = sp_launch_ports(&start->launch, config, why);
	if (rc == 0)
		rc = sp_launch_workers(&start->launch, &options, why);
	if (rc != 0)
		return sp_start_fail(start, "%s", why);
	if (config->mode == SP_MODE_ROUTE)
		code = build_kernel(start);
	if (code == SP_EXIT_GOOD && config->mode == SP_MODE_ROUTE && config->netns != NULL)
		code = build_health(start);
	if (code != SP_EXIT_GOOD)
		return code;
	start->port_events = sp_port_events_begin(&start->launch, config, start->kernel);
	return start->port_events != NULL ? SP_EXIT_GOOD : sp_start_fail(start, "out of memory");
}

int sp_start_print(struct sp_start *start)
{
	const struct sp_dataplane *dataplane = start->launch.dataplane;
	const struct sp_config *config = start->config;
	size_t bytes = 0, fragment_bytes = 0;

	for (unsigned int p = 0; p < dataplane->n_ports; p++)
		if (sp_port_state(&dataplane->ports[p]) == SP_PORT_RUNNING)
			sp_port_print(&dataplane->ports[p], stderr);
		else
			fprintf(stderr, "sallyport: port %s: device %s is absent, and looked for\n", dataplane->ports[p].name,
				dataplane->ports[p].device);
	for (unsigned int w = 0; w < dataplane->n_workers; w++)
		bytes += sp_sessions_bytes(dataplane->workers[w]->sessions);
	for (unsigned int w = 0; w < dataplane->n_workers; w++)
		fragment_bytes += sp_fragments_bytes(dataplane->workers[w]->fragments);
	fprintf(stderr, "sallyport: sessions: %u IPv4 and %u IPv6 in %zu MB\n", config->sessions4, config->sessions6, bytes >> 20);
	fprintf(stderr, "sallyport: fragments: %u unfinished datagrams in %zu KB, %u packet buffers\n", config->fragments.datagrams,
		fragment_bytes >> 10, config->fragments.buffers);
	if (dataplane->routing != NULL)
		fprintf(stderr, "sallyport: routes: %u IPv4, %u IPv6 and %u neighbours in %zu MB\n", config->route.max4, config->route.max6,
			config->route.neighbours, sp_routing_bytes(dataplane->routing) >> 20);
	fprintf(stderr, "sallyport: workers: %u on CPU", dataplane->n_workers);
	for (unsigned int w = 0; w < dataplane->n_workers; w++)
		fprintf(stderr, "%s %u", w > 0 ? "," : "", start->workers[w]);
	fprintf(stderr, ", %s polling\n", dataplane->adaptive ? "adaptive" : "busy");
	return SP_EXIT_GOOD;
}

/* --- privileges ------------------------------------------------------------------------------------------------------------------ */

/* What a virtual device of this kind needs when it is closed or, being absent, opened later. PCI devices need files only. */
static void add_needs(struct sp_harden_needs *needs, const struct sp_device *device, bool fail_closed)
{
	const char *name = device->name;
	bool on_interface = strncmp(name, "net_af_packet", 13) == 0 || strncmp(name, "net_af_xdp", 10) == 0;

	if (device->kind != SP_DEVICE_VDEV)
		return;
	needs->net_admin |= strncmp(name, "net_tap", 7) == 0 || strncmp(name, "net_af_xdp", 10) == 0 || strstr(name, "virtio_user") != NULL;
	needs->net_admin |= on_interface && fail_closed;
	needs->net_raw |= on_interface && fail_closed;
}

int sp_start_harden(struct sp_start *start)
{
	const struct sp_config *config = start->config;
	struct sp_harden_needs needs = {.net_admin = config->mode == SP_MODE_ROUTE,
		.physical = sp_eal_uses_physical(),
		.chown = config->group != NULL,
		.bind_service = config->tls.listen != NULL && sp_tls_listen_port(config->tls.listen) < FIRST_FREE_PORT};
	char why[SP_WHY_MAX];

	if (!config->hardening)
		return SP_EXIT_GOOD;
	for (unsigned int i = 0; i < config->n_ports; i++)
		add_needs(&needs, &config->ports[i].device, start->fail_closed);
	if (sp_harden_apply(&needs, why, sizeof(why)) != 0)
		return sp_start_fail(start, "%s", why);
	return SP_EXIT_GOOD;
}

/* --- management ------------------------------------------------------------------------------------------------------------------ */

int sp_start_management(struct sp_start *start)
{
	const struct sp_config *config = start->config;
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
		.no_rules = start->closed[0] != '\0' ? start->closed : NULL,
		.on_change = config->on_change,
		.stats_interval_sec = config->stats_interval_sec,
		.tick = sp_start_tick,
		.working = sp_start_working,
		.tick_context = start,
		.notes = &start->notes,
		.fail_closed = start->fail_closed,
		.spare_socket = SP_CONFIG_DEFAULT_SOCKET,
		.health = start->health,
		.kernel = start->kernel};
	char why[SP_WHY_MAX];

	start->health = NULL;
	start->mgmt = sp_mgmt_start(start->launch.dataplane, &mgmt, why, sizeof(why));
	if (start->mgmt == NULL)
		return sp_start_fail(start, "%s", why);
	sp_signals_mgmt(start->mgmt);
	sp_port_events_wake(start->port_events, start->mgmt);
	return SP_EXIT_GOOD;
}

void sp_start_tick(void *context)
{
	struct sp_start *start = context;

	sp_port_events_tick(start->port_events);
	if (sp_mgmt_workers_beat(start->mgmt))
		sp_watchdog_beat(&start->watchdog);
}

void sp_start_working(void *context, bool begins)
{
	struct sp_start *start = context;

	sp_watchdog_wait(&start->watchdog, begins);
}

/* --- workers --------------------------------------------------------------------------------------------------------------------- */

int sp_start_go(struct sp_start *start)
{
	static const struct timespec pause = {.tv_nsec = 1000000};
	char why[SP_WHY_MAX];

	sp_signals_workers(&start->launch);
	if (sp_launch_go(&start->launch, why) != 0)
		return sp_start_fail(start, "%s", why);
	if (start->kernel != NULL) {
		int rc = sp_kernel_start(start->kernel);

		if (rc != 0)
			return sp_start_fail(start, "no thread for Linux's side: %s", strerror(-rc));
	}
	/* One that does not poll by then is told of in the status. */
	for (unsigned int ms = 0; ms < POLLING_MS && !sp_launch_polls(&start->launch) && !sp_signals_leaving(); ms++)
		nanosleep(&pause, NULL);
	return SP_EXIT_GOOD;
}
