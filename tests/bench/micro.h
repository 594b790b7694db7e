/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-process measurements: Sallyport's parts beside the libraries under them, on the same input, in turns.
 *
 * A run times `contenders` one after the other, then again from the first, so that what the machine does meanwhile hits all alike. Time is
 * CPU time of the thread, in TSC cycles: being put off the core by others does not count.
 */
#ifndef SP_TESTS_BENCH_MICRO_H
#define SP_TESTS_BENCH_MICRO_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define MICRO_BURST       32
#define MICRO_REPEATS_MAX 64

struct micro {
	const char *name;
	const char *unit;                          /* what one of `count` is: "lookup", "scan" */
	uint64_t (*pass)(void *job);               /* one pass over all the input; returns what proves the work: its checksum */
	uint64_t count;                            /* units in a pass */
	uint64_t proof;                            /* set by micro_run: the last pass's checksum */
	double cycles_per_unit[MICRO_REPEATS_MAX]; /* set by micro_run */
};

struct micro_options {
	unsigned int repeats;   /* 1..MICRO_REPEATS_MAX */
	unsigned int sample_ms; /* of one sample, at least */
};

/* Prints a message to stderr and exits with 2. */
void micro_die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Starts EAL with memory_mb, on huge pages when they are wanted and there are enough; lcore 1 is on `cpu`. */
void micro_eal(unsigned int cpu, uint32_t memory_mb, bool huge);

/* Runs the jobs in turns on the calling thread. */
void micro_run(struct micro *contenders, unsigned int n, const struct micro_options *options, void *job);

/* {"name", "unit", "cycles": [...]} of each contender, with `set` naming the input, appended to the array `out`. */
void micro_report(json_t *out, const char *set, const struct micro *contenders, unsigned int n, const struct micro_options *options);

/* CPU time of this thread in TSC cycles. */
uint64_t micro_cycles(void);

/* The same numbers in every run. */
uint64_t micro_random(uint64_t *state);

/* Each measures on the calling thread and appends its results. argv are the words after the command. */
void micro_acl(json_t *out, const struct micro_options *options, int argc, char **argv);
void micro_hash(json_t *out, const struct micro_options *options, int argc, char **argv);
void micro_scan(json_t *out, const struct micro_options *options, int argc, char **argv);
void micro_soak(json_t *out, const struct micro_options *options, int argc, char **argv);
void micro_rematch(json_t *out, const struct micro_options *options, int argc, char **argv);
void micro_noise(json_t *out, const struct micro_options *options, int argc, char **argv);
void micro_flood(json_t *out, const struct micro_options *options, int argc, char **argv);
void micro_nat(json_t *out, const struct micro_options *options, int argc, char **argv);

/* The loop on a core of its own: `micro wire CONFIG MODE WINDOWS MS [ROUTES]`, MODE io, parse, new, whole or answers. Starts EAL by itself.
 * Returns an exit code. */
int micro_wire(int argc, char **argv);

/* Leads the captures' two networks to neighbours of the two links, by 512 routes, and `others` more that nobody takes (at most 1,000,000).
 */
struct sp_routing;
void micro_route_fill(struct sp_routing *routing, uint32_t others);

/*
 * Lets the second port receive the UDP packets with these keys in circles, in the place of its capture: what answers sessions whose
 * translation was chosen when they were opened. The capture is written to a file beside the configuration. No worker may run.
 */
struct sp_config;
struct sp_key;
struct sp_launch;
void micro_answers(struct sp_launch *launch, const struct sp_config *config, const char *config_path, const struct sp_key *keys, size_t n);

#endif
