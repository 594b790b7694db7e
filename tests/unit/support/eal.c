/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* CPU_ISSET */
#include "tests/unit/support/eal.h"

#include <limits.h>
#include <rte_common.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The first core this process may run on: a container need not own core 0. */
static int first_core(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 0;
	for (int core = 0; core < CPU_SETSIZE; core++)
		if (CPU_ISSET(core, &set))
			return core;
	return 0;
}

static void cleanup(void)
{
	char folder[PATH_MAX];

	/* EAL makes its runtime folder even when it shares nothing, and leaves it. */
	snprintf(folder, sizeof(folder), "%s", rte_eal_get_runtime_dir());
	(void)rte_eal_cleanup();
	(void)rmdir(folder);
}

void sp_test_eal(void)
{
	static bool started;
	static char prefix[48], cores[24];

	if (started)
		return;
	snprintf(prefix, sizeof(prefix), "--file-prefix=sptest%ld", (long)getpid());
	snprintf(cores, sizeof(cores), "--lcores=0@%d", first_core());
	/* EAL reorders argv and wants it writable. */
	static char args[][32] = {"test", "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry", "-m", "1024", "--log-level=4"};
	static char *argv[RTE_DIM(args) + 3];
	int argc = 0;

	for (size_t i = 0; i < RTE_DIM(args); i++)
		argv[argc++] = args[i];
	argv[argc++] = prefix;
	argv[argc++] = cores;
	if (rte_eal_init(argc, argv) < 0) {
		fprintf(stderr, "EAL does not start: %s\n", rte_strerror(rte_errno));
		abort();
	}
	started = true;
	atexit(cleanup);
}
