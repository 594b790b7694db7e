/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How fast the CPU is at the moment: two loops that touch no memory. A chain of multiplications takes three clocks each on every x86 of the
 * last ten years, so it tells the clock in units of the TSC; independent additions fill the core's ports, so they slow down when another
 * thread runs on the same core, whether or not the machine admits that it is one core.
 */
#include "tests/bench/micro.h"

#define STEPS 100000

static uint64_t pass_chain(void *arg)
{
	uint64_t x = *(const uint64_t *)arg;

	for (unsigned int i = 0; i < STEPS; i += 10)
		__asm__ volatile("imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0\n"
				 "imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0\n"
				 : "+r"(x));
	return x;
}

static uint64_t pass_wide(void *arg)
{
	uint64_t a = *(const uint64_t *)arg, b = a, c = a, d = a, e = a;

	for (unsigned int i = 0; i < STEPS; i += 10)
		__asm__ volatile("add %0, %0\n add %1, %1\n add %2, %2\n add %3, %3\n add %4, %4\n"
				 "add %0, %0\n add %1, %1\n add %2, %2\n add %3, %3\n add %4, %4\n"
				 : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e));
	return a + b + c + d + e;
}

void micro_noise(json_t *out, const struct micro_options *options, int argc, char **argv)
{
	struct micro contenders[] = {{.name = "multiplications in a chain", .unit = "step", .pass = pass_chain, .count = STEPS},
		{.name = "additions side by side", .unit = "step", .pass = pass_wide, .count = STEPS}};
	uint64_t one = 3;

	(void)argc;
	(void)argv;
	micro_run(contenders, 2, options, &one);
	micro_report(out, "noise", contenders, 2, options);
}
