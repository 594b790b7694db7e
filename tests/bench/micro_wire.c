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

/*
 * The table's clock goes on by this at each burst while each packet opens a session. With a time-out of a second sessions then end, by the
 * wheel, before their flow comes again, if the capture has 100,000.
 */
#define BURST_MS 2

/* What the age stage of a worker's turn may look at. */
#define AGE_BUDGET 64

/* Bursts after which all sessions are open that the capture can open, when none was. */
#define LEARN_BURSTS 8192

/* Before the first window: caches and tables are warm. */
#define WARM_MS 200

#define WINDOWS_MAX 64
#define ROUTES_MAX  1000000

struct loop {
	struct sp_dataplane *dataplane;
	struct sp_worker *worker;
	uint64_t (*turn)(struct loop *loop);
	unsigned int windows, window_ms;
	uint32_t now_ms;        /* the table's clock when each packet opens a session */
	uint64_t ending_cycles; /* TSC spent on sessions' ends */
	struct sp_key *answers; /* of the sessions that were learned */
	size_t n_answers;
	uint64_t dropped; /* in all windows */
	struct window {
		uint64_t packets, cycles, opened;
	} window[WINDOWS_MAX];
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

/* The whole way of the worker, on one port, with a clock that lets each session end before its flow comes again. */
static uint64_t turn_new(struct loop *loop)
{
	struct sp_worker *worker = loop->worker;
	struct sp_burst *burst = &worker->burst;
	unsigned int n = receive(loop, &loop->dataplane->ports[0]);
	uint64_t ending;

	burst->now = rte_rdtsc();
	burst->now_ms = loop->now_ms += BURST_MS;
	worker->live = __atomic_load_n(&loop->dataplane->live, __ATOMIC_ACQUIRE);
	sp_worker_burst(worker, &loop->dataplane->ports[0], 0);
	for (unsigned int p = 0; p < loop->dataplane->n_ports; p++)
		if (worker->tx[p].n > 0)
			sp_tx_flush(worker, p);
	ending = rte_rdtsc();
	sp_sessions_age(worker->sessions, burst->now_ms, AGE_BUDGET);
	sp_admit_settle(worker);
	loop->ending_cycles += rte_rdtsc() - ending;
	return n;
}

/* The worker's own turn: what `sallyport run` does, in a process that a profiler can start. */
static uint64_t turn_whole(struct loop *loop)
{
	uint64_t now = rte_rdtsc();

	return sp_worker_turn(loop->worker, now, (uint32_t)((now - loop->dataplane->tsc_start) / (loop->dataplane->tsc_hz / 1000)));
}

/* A burst of the first port alone. */
static void take_first(struct loop *loop)
{
	struct sp_worker *worker = loop->worker;

	receive(loop, &loop->dataplane->ports[0]);
	worker->burst.now = rte_rdtsc();
	worker->burst.now_ms = (uint32_t)((worker->burst.now - loop->dataplane->tsc_start) / (loop->dataplane->tsc_hz / 1000));
	worker->live = __atomic_load_n(&loop->dataplane->live, __ATOMIC_ACQUIRE);
	sp_worker_burst(worker, &loop->dataplane->ports[0], 0);
	for (unsigned int p = 0; p < loop->dataplane->n_ports; p++)
		if (worker->tx[p].n > 0)
			sp_tx_flush(worker, p);
	sp_admit_settle(worker);
}

static uint64_t turn_for(struct loop *loop, unsigned int ms)
{
	uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / 1000 * ms, packets = 0;

	while (rte_rdtsc() < end)
		for (unsigned int i = 0; i < 256; i++)
			packets += loop->turn(loop);
	return packets;
}

/* Opens the sessions of the first port's capture, and notes what answers each. */
static int learn(void *arg)
{
	struct loop *loop = arg;
	struct sp_worker *worker = loop->worker;
	const struct sp_sessions_counters *counters = sp_sessions_counters(worker->sessions);
	uint64_t before;

	do {
		before = counters->created;
		for (unsigned int b = 0; b < LEARN_BURSTS; b++)
			take_first(loop);
	} while (counters->created != before);
	loop->answers = calloc(before, sizeof(*loop->answers));
	/* The capture goes in circles, a packet a session: as many packets in a row are all of them. */
	while (loop->answers != NULL && loop->n_answers < before) {
		take_first(loop);
		for (unsigned int i = 0; i < worker->burst.n && loop->n_answers < before; i++)
			if (sp_burst_has_session(&worker->burst, i))
				sp_session_reply(worker->sessions, worker->burst.session[i], &loop->answers[loop->n_answers++]);
	}
	return 0;
}

static uint64_t drops(const struct sp_worker *worker)
{
	uint64_t sum = 0;

	for (unsigned int r = 0; r < SP_DROP_COUNT; r++)
		sum += worker->stats.drops[r];
	return sum;
}

static int measure(void *arg)
{
	struct loop *loop = arg;
	const struct sp_sessions_counters *counters = sp_sessions_counters(loop->worker->sessions);

	turn_for(loop, WARM_MS);
	loop->ending_cycles = 0;
	memset(loop->worker->stats.stage_cycles, 0, sizeof(loop->worker->stats.stage_cycles));
	loop->worker->stats.stage_packets = 0;
	loop->dropped = -drops(loop->worker);
	for (unsigned int w = 0; w < loop->windows; w++) {
		uint64_t created = counters->created, begin = micro_cycles();

		loop->window[w].packets = turn_for(loop, loop->window_ms);
		loop->window[w].cycles = micro_cycles() - begin;
		loop->window[w].opened = counters->created - created;
	}
	loop->dropped += drops(loop->worker);
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
		.tcp = config->tcp,
		.zones = &config->zones};
	struct sp_diags diags = {0};
	char why[SP_WHY_MAX];

	micro_eal(config->workers[0], config->memory_mb, true);
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

/* Cycles a packet of each stage, by the clock: of the bursts that the worker timed, and of the sessions' ends. */
static void print_stages(const struct loop *loop, uint64_t packets)
{
	const struct sp_stats *stats = &loop->worker->stats;

	printf("\"stages\": {");
	for (unsigned int s = 0; s < SP_STAGE_COUNT && stats->stage_packets > 0; s++)
		printf("\"%s\": %.1f, ", sp_stage_names[s], (double)stats->stage_cycles[s] / (double)stats->stage_packets);
	printf("\"ending\": %.1f}", packets > 0 ? (double)loop->ending_cycles / (double)packets : 0.0);
}

static void print_windows(const struct loop *loop)
{
	uint64_t packets = 0;

	printf("{\"tsc_hz\": %lu, \"windows\": [", rte_get_tsc_hz());
	for (unsigned int w = 0; w < loop->windows; w++) {
		printf("%s{\"packets\": %lu, \"cycles\": %lu, \"opened\": %lu}", w > 0 ? ", " : "", loop->window[w].packets,
			loop->window[w].cycles, loop->window[w].opened);
		packets += loop->window[w].packets;
	}
	printf("], ");
	print_stages(loop, packets);
	printf(", \"dropped\": %lu}\n", loop->dropped);
}

static void run_on_worker(int (*function)(void *), struct loop *loop)
{
	if (rte_eal_remote_launch(function, loop, 1) != 0)
		micro_die("the worker core does not start");
	rte_eal_mp_wait_lcore();
}

int micro_wire(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint64_t (*turn)(struct loop *loop);
	} modes[] = {{"io", turn_io}, {"parse", turn_parse}, {"new", turn_new}, {"whole", turn_whole}, {"answers", turn_whole}};
	struct loop *loop = calloc(1, sizeof(*loop));
	struct sp_config *config = read_config(argv[0]);
	uint32_t others = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0;
	struct sp_launch launched;

	if (loop == NULL)
		micro_die("no memory");
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(argv[1], modes[i].name) == 0)
			loop->turn = modes[i].turn;
	loop->windows = (unsigned int)strtoul(argv[2], NULL, 10);
	loop->window_ms = (unsigned int)strtoul(argv[3], NULL, 10);
	if (loop->turn == NULL || loop->windows == 0 || loop->windows > WINDOWS_MAX || loop->window_ms == 0 || others > ROUTES_MAX)
		micro_die("wire CONFIG io|parse|new|whole|answers WINDOWS MS [ROUTES]; at most %u windows and %u routes", WINDOWS_MAX,
			ROUTES_MAX);
	launch(&launched, config);
	loop->dataplane = launched.dataplane;
	if (loop->dataplane->routing != NULL)
		micro_route_fill(loop->dataplane->routing, others);
	loop->worker = launched.dataplane->workers[0];
	if (strcmp(argv[1], "answers") == 0) {
		run_on_worker(learn, loop);
		micro_answers(&launched, config, argv[0], loop->answers, loop->n_answers);
	}
	run_on_worker(measure, loop);
	print_windows(loop);
	sp_launch_end(&launched);
	sp_config_free(config);
	free(loop->answers);
	free(loop);
	sp_eal_stop();
	return 0;
}
