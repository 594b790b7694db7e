/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * micro [-c CPU] [-m MB] [-n] [-r REPEATS] [-t MS] COMMAND ARGUMENT...: in-process measurements, printed as one JSON object.
 */
#include "tests/bench/micro.h"

#include <rte_cycles.h>
#include <rte_launch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vnf/eal.h"

static const char usage[] =
	"Usage: micro [-c CPU] [-m MB] [-n] [-r REPEATS] [-t MS] COMMAND ARGUMENT...\n"
	"Measure parts of Sallyport beside the libraries under them; prints JSON. -n: on ordinary pages even where there are huge ones.\n\n"
	"  acl RULES FILTERS             the classifier of a rule file and rte_acl with the same rules as ClassBench filters\n"
	"  hash FLOWS                    the session table and rte_hash\n"
	"  scan RULES BYTES              the first inspect profile of a rule file, and hs_scan with its patterns\n"
	"  soak SESSIONS 4|6             a session table filled, hit and emptied; hits beside one of a thousand\n"
	"  rematch RULES SESSIONS        sessions judged by new rules: first packets beside later ones, and the walk of `kill`\n"
	"  flood GBIT                    what a SYN flood at 90 % of what a worker answers leaves of a download\n"
	"  nat SESSIONS                  packets of established sessions, with and without translation\n"
	"  noise                         the core's clock and ports at the moment\n"
	"  wire CONFIG MODE WINDOWS MS [ROUTES]\n"
	"                                a loop over the ports of a configuration; MODE io: receive and send; parse: that, and parse;\n"
	"                                new: a session for each packet; whole: the worker's own turn; answers: that, when the\n"
	"                                second port gets what answers the sessions that the first one opened. In route mode routes\n"
	"                                are put in by hand, ROUTES more than the captures need, and no TAPs are made\n";

struct task {
	void (*measure)(json_t *out, const struct micro_options *options, int argc, char **argv);
	json_t *out;
	const struct micro_options *options;
	int argc;
	char **argv;
};

void micro_die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("micro: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	exit(2);
}

void micro_eal(unsigned int cpu, uint32_t memory_mb, bool huge)
{
	struct sp_eal_options options = {.workers = &cpu, .n_workers = 1, .memory_mb = memory_mb};
	char why[SP_WHY_MAX];

	options.huge = huge && sp_eal_huge_free_mb() >= memory_mb;
	if (sp_eal_start(&options, why, sizeof(why)) != 0)
		micro_die("%s", why);
}

uint64_t micro_cycles(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)(((__uint128_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec) * rte_get_tsc_hz() / 1000000000u);
}

/* SplitMix64 (Steele, Lea and Flood, 2014). */
uint64_t micro_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static void sample(struct micro *contender, unsigned int repeat, const struct micro_options *options, void *job)
{
	uint64_t least = rte_get_tsc_hz() / 1000 * options->sample_ms, begin = micro_cycles(), spent, passes = 0;

	do {
		contender->proof = contender->pass(job);
		passes++;
		spent = micro_cycles() - begin;
	} while (spent < least);
	contender->cycles_per_unit[repeat] = (double)spent / (double)(passes * contender->count);
}

void micro_run(struct micro *contenders, unsigned int n, const struct micro_options *options, void *job)
{
	for (unsigned int c = 0; c < n; c++)
		contenders[c].pass(job);
	for (unsigned int r = 0; r < options->repeats; r++)
		for (unsigned int c = 0; c < n; c++)
			sample(&contenders[c], r, options, job);
}

void micro_report(json_t *out, const char *set, const struct micro *contenders, unsigned int n, const struct micro_options *options)
{
	for (unsigned int c = 0; c < n; c++) {
		json_t *samples = json_array();

		for (unsigned int r = 0; r < options->repeats; r++)
			json_array_append_new(samples, json_real(contenders[c].cycles_per_unit[r]));
		json_array_append_new(out, json_pack("{s:s, s:s, s:s, s:o}", "name", contenders[c].name, "set", set, "unit",
						   contenders[c].unit, "cycles", samples));
	}
}

static int run_task(void *arg)
{
	struct task *task = arg;

	task->measure(task->out, task->options, task->argc, task->argv);
	return 0;
}

static unsigned long number(const char *text, unsigned long min, unsigned long max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value < min || value > max)
		micro_die("\"%s\" is not a number from %lu to %lu", text, min, max);
	return value;
}

static void run(unsigned int cpu, uint32_t memory_mb, bool huge, struct task *task)
{
	json_t *json;

	micro_eal(cpu, memory_mb, huge);
	task->out = json_array();
	if (rte_eal_remote_launch(run_task, task, 1) != 0)
		micro_die("the worker core does not start");
	rte_eal_mp_wait_lcore();
	json = json_pack("{s:I, s:o}", "tsc_hz", (json_int_t)rte_get_tsc_hz(), "results", task->out);
	json_dumpf(json, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(json);
	sp_eal_stop();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*measure)(json_t *out, const struct micro_options *options, int argc, char **argv);
		int argc;
	} commands[] = {{"acl", micro_acl, 2}, {"hash", micro_hash, 1}, {"scan", micro_scan, 2}, {"soak", micro_soak, 2},
		{"rematch", micro_rematch, 2}, {"noise", micro_noise, 0}, {"flood", micro_flood, 1}, {"nat", micro_nat, 1}};
	struct micro_options options = {.repeats = 5, .sample_ms = 50};
	struct task task = {.options = &options};
	unsigned int cpu = 1;
	uint32_t memory_mb = 1024;
	bool huge = true;
	int option;

	while ((option = getopt(argc, argv, "c:m:nr:t:h")) != -1) {
		if (option == 'c')
			cpu = (unsigned int)number(optarg, 0, SP_CPUS_MAX - 1);
		else if (option == 'm')
			memory_mb = (uint32_t)number(optarg, 64, 65536);
		else if (option == 'n')
			huge = false;
		else if (option == 'r')
			options.repeats = (unsigned int)number(optarg, 1, MICRO_REPEATS_MAX);
		else if (option == 't')
			options.sample_ms = (unsigned int)number(optarg, 1, 10000);
		else
			return fputs(usage, option == 'h' ? stdout : stderr) < 0 || option != 'h' ? 2 : 0;
	}
	argc -= optind;
	argv += optind;
	if ((argc == 5 || argc == 6) && strcmp(argv[0], "wire") == 0)
		return micro_wire(argc - 1, argv + 1);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (argc != commands[i].argc + 1 || strcmp(argv[0], commands[i].name) != 0)
			continue;
		task.measure = commands[i].measure;
		task.argc = argc - 1;
		task.argv = argv + 1;
		run(cpu, memory_mb, huge, &task);
		return 0;
	}
	fputs(usage, stderr);
	return 2;
}
