/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * EAL as commands start it: quietly, without privileges, leaving nothing behind; and with a worker on a CPU of its own.
 *
 * EAL starts once in a process, so each start is made in a child.
 */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_vect.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vnf/eal.h"

/* Runs `body` in a child; its stderr is returned in `said`, its exit code by value. */
static int in_child(int (*body)(void), char *said, size_t size)
{
	int pipes[2], status;
	size_t used = 0;
	ssize_t n;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		_exit(body());
	}
	close(pipes[1]);
	while (used < size - 1 && (n = read(pipes[0], said + used, size - 1 - used)) > 0)
		used += (size_t)n;
	said[used] = '\0';
	close(pipes[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int command(void)
{
	char why[SP_WHY_MAX], folder[256];

	if (sp_eal_start_command(64, why, sizeof(why)) != 0) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	snprintf(folder, sizeof(folder), "%s", rte_eal_get_runtime_dir());
	if (access(folder, F_OK) == 0)
		return 2;
	if (rte_eal_has_hugepages() || rte_lcore_count() != 1 || rte_vect_get_max_simd_bitwidth() < RTE_VECT_SIMD_512)
		return 3;
	if (rte_malloc("x", 32u << 20, 64) == NULL)
		return 4;
	sp_eal_stop();
	return access(folder, F_OK) == 0 ? 5 : 0;
}

static void test_command(void **state)
{
	char said[4096];

	(void)state;
	assert_int_equal(in_child(command, said, sizeof(said)), 0);
	assert_string_equal(said, "");
}

static int unprivileged(void)
{
	if (geteuid() == 0 && (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0))
		return 9;
	return command();
}

static void test_unprivileged(void **state)
{
	char said[4096];

	(void)state;
	assert_int_equal(in_child(unprivileged, said, sizeof(said)), 0);
	assert_string_equal(said, "");
}

#ifndef SP_ASAN /* whose own address space fits into no limit */

static int no_memory(void)
{
	struct rlimit limit = {1u << 30, 1u << 30};
	char why[SP_WHY_MAX];

	if (setrlimit(RLIMIT_AS, &limit) != 0)
		return 9;
	if (sp_eal_start_command(4096, why, sizeof(why)) == 0)
		return 1;
	if (access(rte_eal_get_runtime_dir(), F_OK) == 0)
		return 3;
	return strstr(why, "4096 MB") != NULL && strchr(why, '\n') == NULL ? 0 : 2;
}

static void test_no_memory(void **state)
{
	char said[4096];

	(void)state;
	assert_int_equal(in_child(no_memory, said, sizeof(said)), 0);
	assert_string_equal(said, "");
}

#endif

static int cpu_of_worker(void *cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	return CPU_COUNT(&set) == 1 && CPU_ISSET(*(unsigned int *)cpu, &set) ? 0 : 1;
}

static int worker(void)
{
	unsigned int cpus[SP_CPUS_MAX], n = sp_eal_cpus(cpus, SP_CPUS_MAX);
	struct sp_eal_options options = {.memory_mb = 64, .workers = &cpus[n - 1], .n_workers = 1};
	char why[SP_WHY_MAX];
	cpu_set_t set;

	if (n == 0 || sp_eal_start(&options, why, sizeof(why)) != 0)
		return 1;
	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	if (n > 1 && CPU_ISSET(cpus[n - 1], &set))
		return 2; /* main shares the worker's CPU though there are others */
	if (!rte_lcore_is_enabled(1) || rte_eal_remote_launch(cpu_of_worker, &cpus[n - 1], 1) != 0 || rte_eal_wait_lcore(1) != 0)
		return 3;
	sp_eal_stop();
	return 0;
}

static void test_worker(void **state)
{
	char said[4096];

	(void)state;
	assert_int_equal(in_child(worker, said, sizeof(said)), 0);
	assert_string_equal(said, "");
}

static void test_capture(void **state)
{
	struct sp_eal_capture capture;
	char said[32];

	(void)state;
	sp_eal_capture_begin(&capture);
	fprintf(stderr, "EAL: first\nEAL: \x1b[2Jlast one...\n\n");
	sp_eal_capture_end(&capture, said, sizeof(said));
	assert_string_equal(said, " [2Jlast one");
	sp_eal_capture_begin(&capture);
	sp_eal_capture_end(&capture, said, sizeof(said));
	assert_string_equal(said, "");
	sp_eal_capture_begin(&capture);
	for (int i = 0; i < 5000; i++)
		fprintf(stderr, "line %d\n", i);
	sp_eal_capture_end(&capture, said, sizeof(said));
	assert_string_equal(said, "line 4999");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_unprivileged),
#ifndef SP_ASAN
		cmocka_unit_test(test_no_memory),
#endif
		cmocka_unit_test(test_worker),
		cmocka_unit_test(test_capture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
