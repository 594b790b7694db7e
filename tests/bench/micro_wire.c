/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loops over real ports, set up as `sallyport run` sets them up, that stop short of the whole way or go a way that a capture which repeats
 * cannot make: every packet a new session.
 */
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/stages.h"
#include "mgmt/publish.h"
#include "rules/read.h"
#include "tests/bench/micro.h"
#include "vnf/launch.h"

/* Sessions that live at a time while each packet opens one: the oldest goes when a new one comes. Fewer than the capture has flows. */
#define LIVING 32768

/* Before the window: caches and tables are warm. */
#define WARM_MS 200

struct loop {
	struct sp_dataplane *dataplane;
	struct sp_worker *worker;
	uint64_t (*turn)(struct loop *loop);
	unsigned int window_ms;
	uint32_t living[LIVING]; /* references of the sessions that live, a ring */
	unsigned int next;
	uint64_t packets, cycles, opened;
};

static unsigned int receive(struct loop *loop, const struct sp_port *port)
{
	struct sp_burst *burst = &loop->worker->burst;

	burst->n = rte_eth_rx_burst(port->ethdev, 0, burst->mbuf, SP_BURST_MAX);
	sp_burst_measure(burst);
	return burst->n;
}

static void transmit(const struct sp_dataplane *dataplane, const struct sp_port *port, struct sp_burst *burst)
{
	uint16_t sent = rte_eth_tx_burst(dataplane->ports[port->peer].ethdev, 0, burst->mbuf, burst->n);

	rte_pktmbuf_free_bulk(burst->mbuf + sent, burst->n - sent);
}

static uint64_t turn_io(struct loop *loop)
{
	uint64_t n = 0;

	for (unsigned int p = 0; p < loop->dataplane->n_ports; p++) {
		const struct sp_port *port = &loop->dataplane->ports[p];

		n += receive(loop, port);
		transmit(loop->dataplane, port, &loop->worker->burst);
	}
	return n;
}

static uint64_t turn_parse(struct loop *loop)
{
	struct sp_burst *burst = &loop->worker->burst;
	uint64_t n = 0;

	for (unsigned int p = 0; p < loop->dataplane->n_ports; p++) {
		const struct sp_port *port = &loop->dataplane->ports[p];

		n += receive(loop, port);
		memset(burst->verdict, SP_VERDICT_GOING, burst->n);
		sp_parse_burst(port, burst);
		transmit(loop->dataplane, port, burst);
	}
	return n;
}

/* The whole way of the worker, on one port; each session that a packet opened takes the place of the oldest, which ends. */
static uint64_t turn_new(struct loop *loop)
{
	struct sp_worker *worker = loop->worker;
	struct sp_burst *burst = &worker->burst;
	unsigned int n = receive(loop, &loop->dataplane->ports[0]);

	burst->now = rte_rdtsc();
	burst->now_ms = (uint32_t)((burst->now - loop->dataplane->tsc_start) / (loop->dataplane->tsc_hz / 1000));
	worker->live = __atomic_load_n(&loop->dataplane->live, __ATOMIC_ACQUIRE);
	sp_worker_burst(worker, &loop->dataplane->ports[0], false);
	for (unsigned int i = 0; i < n; i++) {
		uint32_t *oldest = &loop->living[loop->next++ % LIVING];

		if (!sp_burst_has_session(burst, i))
			continue;
		if (*oldest != SP_SESSION_NONE)
			sp_session_remove(worker->sessions, *oldest, SP_END_KILLED);
		*oldest = burst->session[i];
	}
	for (unsigned int p = 0; p < loop->dataplane->n_ports; p++)
		if (worker->tx[p].n > 0)
			sp_tx_flush(worker, p);
	sp_sessions_age(worker->sessions, burst->now_ms, 64);
	return n;
}

/* The worker's own turn: what `sallyport run` does, in a process that a profiler can start. */
static uint64_t turn_whole(struct loop *loop)
{
	uint64_t now = rte_rdtsc();

	return sp_worker_turn(loop->worker, now, (uint32_t)((now - loop->dataplane->tsc_start) / (loop->dataplane->tsc_hz / 1000)));
}

static void turn_for(struct loop *loop, unsigned int ms)
{
	uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / 1000 * ms;

	while (rte_rdtsc() < end)
		for (unsigned int i = 0; i < 256; i++)
			loop->packets += loop->turn(loop);
}

static int measure(void *arg)
{
	struct loop *loop = arg;
	uint64_t begin, created;

	turn_for(loop, WARM_MS);
	created = sp_sessions_counters(loop->worker->sessions)->created;
	loop->packets = 0;
	begin = micro_cycles();
	turn_for(loop, loop->window_ms);
	loop->cycles = micro_cycles() - begin;
	loop->opened = sp_sessions_counters(loop->worker->sessions)->created - created;
	return 0;
}

static struct sp_ruleset *compile(const struct sp_config *config)
{
	struct sp_diags diags = {0};
	struct sp_policy *policy = sp_policy_load_file(config->rules, &config->zones, &diags);
	struct sp_ruleset *ruleset = policy == NULL ? NULL : sp_ruleset_build(policy, &diags);

	if (ruleset == NULL) {
		sp_diags_print(&diags, stderr);
		micro_die("%s: cannot be used", config->rules);
	}
	sp_diags_clear(&diags);
	return ruleset;
}

static void launch(struct sp_launch *launched, const struct sp_config *config)
{
	struct sp_launch_options options = {.n_workers = 1,
		.sessions4 = config->sessions4,
		.sessions6 = config->sessions6,
		.timeout_sec = config->timeout_sec,
		.limit_sources = config->limit_sources,
		.reject_rate = config->reject_rate,
		.zones = &config->zones};
	struct sp_diags diags = {0};
	char why[SP_WHY_MAX];

	micro_eal(config->workers[0], config->memory_mb);
	if (sp_launch_begin(launched, &options, why) != 0 || sp_launch_ports(launched, config, why) != 0 ||
		sp_launch_workers(launched, &options, why) != 0)
		micro_die("%s", why);
	if (sp_publish(launched->dataplane, compile(config), &diags) != 0)
		micro_die("the rules cannot be put into force");
}

static struct sp_config *read_config(const char *path)
{
	struct sp_diags diags = {0};
	struct sp_config *config = sp_config_read_file(path, &diags);

	if (config == NULL || config->n_workers != 1 || config->memory_mb == 0) {
		sp_diags_print(&diags, stderr);
		micro_die("%s: needs one worker and memory.mb", path);
	}
	sp_diags_clear(&diags);
	return config;
}

int micro_wire(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint64_t (*turn)(struct loop *loop);
	} modes[] = {{"io", turn_io}, {"parse", turn_parse}, {"new", turn_new}, {"whole", turn_whole}};
	struct loop *loop = calloc(1, sizeof(*loop));
	struct sp_config *config = read_config(argv[0]);
	struct sp_launch launched;

	(void)argc;
	if (loop == NULL)
		micro_die("no memory");
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(argv[1], modes[i].name) == 0)
			loop->turn = modes[i].turn;
	loop->window_ms = (unsigned int)strtoul(argv[2], NULL, 10);
	if (loop->turn == NULL || loop->window_ms == 0)
		micro_die("wire CONFIG io|parse|new|whole MS");
	memset(loop->living, 0xff, sizeof(loop->living));
	launch(&launched, config);
	loop->dataplane = launched.dataplane;
	loop->worker = launched.dataplane->workers[0];
	if (rte_eal_remote_launch(measure, loop, 1) != 0)
		micro_die("the worker core does not start");
	rte_eal_mp_wait_lcore();
	printf("{\"tsc_hz\": %lu, \"packets\": %lu, \"cycles\": %lu, \"opened\": %lu}\n", rte_get_tsc_hz(), loop->packets, loop->cycles,
		loop->opened);
	sp_launch_end(&launched);
	sp_config_free(config);
	free(loop);
	sp_eal_stop();
	return 0;
}
