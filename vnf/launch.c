/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Owner: the main thread, which is also the control thread. Ports are appended before workers run (replay, which turns its one worker
 * itself, may add some later). The order of freeing is the reverse of that of making, and every part tolerates not having been made.
 */
#define _GNU_SOURCE 1 /* CPU_ISSET */
#include "vnf/launch.h"

#include <errno.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/alloc.h"
#include "dataplane/kernel_way.h"
#include "dataplane/key.h"
#include "dataplane/nat.h"
#include "dataplane/routing.h"
#include "dataplane/syn_proxy.h"
#include "dataplane/waiting.h"
#include "mgmt/port_state.h"
#include "mgmt/publish.h"
#include "vnf/launch_internal.h"
#include "vnf/port_attach.h"

/* mbufs that an lcore may keep in its cache of the pool; the pool counts them on top. */
#define POOL_CACHE 256

#define FRAME_BYTES 2048 /* room in a packet buffer when no port's mtu asks for more */

__attribute__((format(printf, 3, 4))) static int fail(int rc, char *why, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, SP_WHY_MAX, fmt, args);
	va_end(args);
	return rc < 0 ? rc : -EIO;
}

static int no_memory(char *why, const char *what)
{
	return fail(-ENOMEM, why, "no memory for %s; set a larger memory.mb, or a smaller sessions.max", what);
}

static int make_qsbr(struct sp_dataplane *dataplane)
{
	size_t bytes = rte_rcu_qsbr_get_memsize(dataplane->n_workers);

	dataplane->qsbr = sp_alloc("qsbr", bytes, RTE_CACHE_LINE_SIZE, SOCKET_ID_ANY);
	if (dataplane->qsbr == NULL)
		return -ENOMEM;
	return rte_rcu_qsbr_init(dataplane->qsbr, dataplane->n_workers) == 0 ? 0 : -EINVAL;
}

static void start_clock(struct sp_dataplane *dataplane)
{
	struct timespec now;

	dataplane->tsc_hz = rte_get_tsc_hz();
	dataplane->tsc_start = rte_rdtsc();
	clock_gettime(CLOCK_REALTIME, &now);
	dataplane->wall_start_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int sp_launch_begin(struct sp_launch *launch, const struct sp_launch_options *options, char *why)
{
	struct sp_dataplane *dataplane = sp_alloc("dataplane", sizeof(*dataplane), RTE_CACHE_LINE_SIZE, SOCKET_ID_ANY);
	int rc;

	memset(launch, 0, sizeof(*launch));
	launch->dataplane = dataplane;
	if (dataplane == NULL)
		return no_memory(why, "the dataplane");
	dataplane->n_workers = options->n_workers;
	dataplane->floods = sp_flood_share(&options->floods, options->n_workers);
	dataplane->reject_rate = options->reject_rate;
	dataplane->tcp = options->tcp;
	dataplane->log_rate = options->log_rate;
	dataplane->icmp_error_rate = options->icmp_error_rate;
	dataplane->adaptive = options->adaptive;
	launch->absent_ports = options->absent_ports;
	if (options->zones != NULL)
		dataplane->zones = *options->zones;
	start_clock(dataplane);
	rc = sp_key_seed();
	if (rc != 0)
		return fail(rc, why, "the kernel gives no random numbers: %s", strerror(-rc));
	if (make_qsbr(dataplane) != 0 || sp_rule_table_init(&dataplane->rule_table, dataplane->n_workers) != 0)
		return no_memory(why, "the rule table");
	dataplane->limits = sp_limit_table_create(options->limit_sources);
	if (dataplane->limits == NULL)
		return no_memory(why, "the limit table; set a smaller limits.sources");
	return 0;
}

int sp_launch_pool(struct sp_launch *launch, uint32_t buffers, uint32_t frame_bytes, char *why)
{
	unsigned int workers = launch->dataplane->n_workers;
	uint32_t held = POOL_CACHE * 2 + SP_BURST_MAX + SP_TX_BUFFER * SP_PORTS_MAX + SP_HANDOVER_RING * (workers - 1);

	launch->pool = rte_pktmbuf_pool_create(
		"sp_packets", buffers + workers * held, POOL_CACHE, 0, (uint16_t)(RTE_PKTMBUF_HEADROOM + frame_bytes), SOCKET_ID_ANY);
	if (launch->pool == NULL)
		return fail(-rte_errno, why,
			"no memory for %u packet buffers of %u bytes; set a larger memory.mb, or fewer queues or descriptors",
			buffers + workers * held, frame_bytes);
	return 0;
}

static const struct sp_config_port *device_port(const struct sp_config *config, unsigned int index)
{
	for (unsigned int i = 0; i < config->n_ports; i++)
		if (config->ports[i].parent < 0 && index-- == 0)
			return &config->ports[i];
	return NULL;
}

uint16_t sp_launch_device_index(const struct sp_config *config, unsigned int of)
{
	uint16_t index = 0;

	for (unsigned int i = 0; i < of; i++)
		index += config->ports[i].parent < 0;
	return index;
}

/* Packets that wait: for the rest of their datagram, for a neighbour, for Linux and from it. They never take the buffers of the ports. */
static uint32_t held_buffers(const struct sp_config *config, unsigned int n_workers)
{
	uint32_t buffers = sp_fragments_share(&config->fragments, n_workers).buffers * n_workers;

	if (config->mode == SP_MODE_ROUTE)
		buffers += config->route.waiting * n_workers + 2 * SP_KERNEL_RING;
	return buffers;
}

static uint32_t frame_bytes(const struct sp_config *config)
{
	uint32_t bytes = FRAME_BYTES;

	/* Ethernet header, two tags, FCS; in whole cache lines. */
	for (unsigned int i = 0; i < config->n_ports; i++)
		bytes = RTE_MAX(bytes, RTE_ALIGN_CEIL(config->ports[i].mtu + 26u, 64u));
	return bytes;
}

/* What went wrong with a port's device, or 0 when the firewall does without it. */
static int without_device(struct sp_launch *launch, const struct sp_config_port *from, unsigned int index, int rc, const char *why)
{
	if (!launch->absent_ports)
		return rc;
	fprintf(stderr, "sallyport: %s\n", why);
	sp_port_absent(launch, from, index, why);
	return 0;
}

static int open_ports(struct sp_launch *launch, const struct sp_config *config, uint32_t *buffers, char *why)
{
	struct sp_dataplane *dataplane = launch->dataplane;
	const struct sp_config_port *from;
	int rc;

	for (unsigned int i = 0; (from = device_port(config, i)) != NULL; i++) {
		struct sp_port *port = &dataplane->ports[i];

		port->index = i;
		port->peer = from->peer < 0 ? SP_NO_PORT : sp_launch_device_index(config, (unsigned int)from->peer);
		port->first_worker = from->domain;
		sp_port_describe(port, config, from);
		dataplane->n_ports++;
		rc = sp_port_open(port, config, from, dataplane->n_workers, &launch->plans[i], why);
		if (rc != 0)
			rc = without_device(launch, from, i, rc, why);
		if (rc != 0)
			return rc;
		*buffers += launch->plans[i].buffers;
	}
	return 0;
}

int sp_launch_ports(struct sp_launch *launch, const struct sp_config *config, char *why)
{
	struct sp_dataplane *dataplane = launch->dataplane;
	uint32_t buffers = 0;
	int rc = open_ports(launch, config, &buffers, why);

	if (rc != 0)
		return rc;
	sp_port_release_others();
	buffers = RTE_MAX(buffers, config->buffers) + held_buffers(config, dataplane->n_workers);
	rc = sp_launch_pool(launch, buffers, frame_bytes(config), why);
	for (unsigned int i = 0; rc == 0 && i < dataplane->n_ports; i++) {
		const struct sp_config_port *from = device_port(config, i);

		if (sp_port_state(&dataplane->ports[i]) == SP_PORT_ABSENT)
			continue;
		rc = sp_port_start(&dataplane->ports[i], from, &launch->plans[i], launch->pool, why);
		if (rc != 0)
			rc = without_device(launch, from, i, rc, why);
	}
	return rc == 0 ? sp_launch_routing(launch, config, why) : rc;
}

/* That the lcore is pinned to. DPDK's own function tells its core in the package. */
static unsigned int first_cpu(unsigned int lcore)
{
	rte_cpuset_t set = rte_lcore_cpuset(lcore);
	unsigned int cpu = 0;

	while (cpu < CPU_SETSIZE && !CPU_ISSET(cpu, &set))
		cpu++;
	return cpu;
}

int sp_launch_workers(struct sp_launch *launch, const struct sp_launch_options *options, char *why)
{
	struct sp_dataplane *dataplane = launch->dataplane;
	struct sp_worker_config config = {0};
	uint32_t n = options->n_workers;

	/* Sessions fall on workers by a hash: each gets an eighth more than its share, so that chance does not fill one early. */
	config.sessions.max4 = options->sessions4 / n + (n > 1 ? options->sessions4 / n / 8 : 0);
	config.sessions.max6 = options->sessions6 / n + (n > 1 ? options->sessions6 / n / 8 : 0);
	config.sessions.max4 = RTE_MAX(config.sessions.max4, 64u);
	config.sessions.max6 = RTE_MAX(config.sessions.max6, 64u);
	memcpy(config.sessions.timeout_sec, options->timeout_sec, sizeof(config.sessions.timeout_sec));
	config.fragments = sp_fragments_share(&options->fragments, n);
	config.sessions.pressure = options->pressure;
	for (uint32_t w = 0; w < n; w++) {
		/* lcore w + 1 is the worker's; a command has none and takes any memory. */
		int socket = rte_lcore_is_enabled(w + 1) ? (int)rte_lcore_to_socket_id(w + 1) : SOCKET_ID_ANY;

		config.socket = config.sessions.socket = socket;
		dataplane->workers[w] = sp_worker_create(dataplane, w, launch->pool, &config);
		if (dataplane->workers[w] == NULL)
			return errno == ENOMEM ? no_memory(why, "the tables of sessions and fragments")
					       : fail(-errno, why, "worker %u cannot be made: %s", w, strerror(errno));
		if (rte_lcore_is_enabled(w + 1))
			dataplane->workers[w]->core = first_cpu(w + 1);
	}
	return 0;
}

/* Workers that run wait, when they leave, until all have stopped and drained: those that never will are counted here. */
static void not_coming(struct sp_dataplane *dataplane, unsigned int n)
{
	__atomic_fetch_add(&dataplane->stopped, n, __ATOMIC_ACQ_REL);
	__atomic_fetch_add(&dataplane->drained, n, __ATOMIC_ACQ_REL);
}

int sp_launch_go(struct sp_launch *launch, char *why)
{
	struct sp_dataplane *dataplane = launch->dataplane;

	for (unsigned int w = 0; w < dataplane->n_workers; w++) {
		int rc = rte_eal_remote_launch(sp_worker_run, dataplane->workers[w], w + 1);

		if (rc != 0) {
			not_coming(dataplane, dataplane->n_workers - w);
			return fail(rc, why, "worker %u does not start: %s", w, strerror(-rc));
		}
	}
	return 0;
}

bool sp_launch_polls(const struct sp_launch *launch)
{
	const struct sp_dataplane *dataplane = launch->dataplane;

	for (unsigned int w = 0; w < dataplane->n_workers; w++) {
		const struct sp_stats *stats = &dataplane->workers[w]->stats;

		if ((sp_read(&stats->busy_cycles) | sp_read(&stats->idle_cycles)) == 0)
			return false;
	}
	return true;
}

void sp_launch_halt(struct sp_launch *launch)
{
	__atomic_store_n(&launch->dataplane->stop, 1, __ATOMIC_RELAXED);
	rte_eal_mp_wait_lcore();
}

bool sp_launch_halt_within(struct sp_launch *launch, unsigned int ms)
{
	static const struct timespec pause = {.tv_nsec = 1000000};
	const struct sp_dataplane *dataplane = launch->dataplane;
	unsigned int running;

	__atomic_store_n(&launch->dataplane->stop, 1, __ATOMIC_RELAXED);
	for (;; ms--) {
		running = 0;
		for (unsigned int w = 0; w < dataplane->n_workers; w++)
			running += rte_eal_get_lcore_state(w + 1) == RUNNING;
		if (running == 0 || ms == 0)
			return running == 0;
		nanosleep(&pause, NULL);
	}
}

void sp_launch_end(struct sp_launch *launch)
{
	struct sp_dataplane *dataplane = launch->dataplane;

	if (dataplane == NULL)
		return;
	for (unsigned int w = 0; w < dataplane->n_workers; w++)
		sp_worker_free(dataplane->workers[w]);
	sp_publish_end(dataplane);
	sp_nat_free(dataplane->nat);
	sp_kernel_ports_free(dataplane);
	sp_routing_free(dataplane->routing);
	for (unsigned int p = 0; p < dataplane->n_ports; p++)
		sp_port_close(&dataplane->ports[p]);
	rte_mempool_free(launch->pool);
	if (dataplane->limits != NULL)
		sp_limit_table_free(dataplane->limits);
	if (dataplane->rule_table.n_workers > 0)
		sp_rule_table_free(&dataplane->rule_table);
	sp_free(dataplane->qsbr);
	sp_free(dataplane);
	launch->dataplane = NULL;
}

/* Bytes of one session with its share of index and extension (session.h), rounded up. */
#define SESSION4_BYTES 160u
#define SESSION6_BYTES 240u

/* Bytes of one unfinished datagram (fragment_table.h), without the packets, rounded up. */
#define FRAGMENT_DATAGRAM_BYTES 1280u

/* Bytes of one server that the SYN proxy waits for (syn_proxy.c), rounded up. */
#define OPENING_BYTES 160u

uint32_t sp_launch_need_mb(const struct sp_config *config, unsigned int n_workers, size_t n_rules)
{
	uint64_t devices = 0, queues = 0, buffers, bytes;

	for (unsigned int i = 0; i < config->n_ports; i++) {
		const struct sp_config_port *port = &config->ports[i];
		unsigned int length = port->descriptors != 0 ? port->descriptors : SP_PORT_DESCRIPTORS;

		if (port->parent >= 0)
			continue;
		devices++;
		queues += (uint64_t)length * (port->queues != 0 ? port->queues : n_workers) + (uint64_t)length * n_workers;
	}
	buffers = RTE_MAX(queues, (uint64_t)config->buffers) + (uint64_t)n_workers * (4096 + SP_HANDOVER_RING * (n_workers - 1));
	buffers += held_buffers(config, n_workers);
	bytes = buffers * (frame_bytes(config) + 512) + devices * (4u << 20) + (uint64_t)n_workers * (8u << 20);
	bytes += (uint64_t)sp_fragments_share(&config->fragments, 1).datagrams * FRAGMENT_DATAGRAM_BYTES;
	if (config->floods.syn_proxy != SP_SYN_PROXY_OFF)
		bytes += (uint64_t)RTE_MIN(config->floods.embryonic_high, n_workers * SP_SYN_PROXY_OPENING_MAX) * OPENING_BYTES;
	if (config->mode == SP_MODE_ROUTE)
		bytes += sp_routing_need(&config->route) + n_workers * sp_waiting_bytes(&config->route) +
			 config->n_ports * sizeof(struct sp_port);
	bytes += ((uint64_t)config->sessions4 * SESSION4_BYTES + (uint64_t)config->sessions6 * SESSION6_BYTES) * 9 / 8;
	/* Two rulesets: the one in force, and the one that a reload builds meanwhile. */
	return (uint32_t)(bytes >> 20) + 2 * sp_eal_rules_mb(n_rules);
}
