/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Privileges are given up by every thread, also by those that were there before, and not by half.
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
#include <dirent.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vnf/harden.h"

#define THREADS 5

static pthread_barrier_t started, end;

static void *sleeper(void *blocked)
{
	if (blocked != NULL) {
		sigset_t all;

		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, NULL);
	}
	pthread_barrier_wait(&started);
	pthread_barrier_wait(&end);
	return NULL;
}

/* Number of threads, of those with a capability beyond `keep`, and of those that may gain some by execve. */
static void count(uint64_t keep, int *threads, int *capable, int *gaining)
{
	DIR *folder = opendir("/proc/self/task");

	*threads = *capable = *gaining = 0;
	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
		char path[300], line[256];
		unsigned long long caps = 0;
		int no_new = 0;
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		file = fopen(path, "r");
		if (file == NULL)
			continue;
		while (fgets(line, sizeof(line), file) != NULL) {
			unsigned long long set;

			if (sscanf(line, "CapPrm: %llx", &set) == 1 || sscanf(line, "CapEff: %llx", &set) == 1)
				caps |= set;
			sscanf(line, "NoNewPrivs: %d", &no_new);
		}
		fclose(file);
		++*threads;
		*capable += (caps & ~keep) != 0;
		*gaining += no_new == 0;
	}
	if (folder != NULL)
		closedir(folder);
}

static int every_thread(void)
{
	struct sp_harden_needs needs = {.net_admin = true};
	uint64_t keep = UINT64_C(1) << CAP_NET_ADMIN | UINT64_C(1) << CAP_IPC_LOCK;
	pthread_t threads[THREADS];
	int n, capable, gaining, before;
	char why[256];

	pthread_barrier_init(&started, NULL, THREADS + 1);
	pthread_barrier_init(&end, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, sleeper, NULL) != 0)
			return 1;
	pthread_barrier_wait(&started);
	count(keep, &n, &capable, &before);
	if (n < THREADS + 1 || before != n)
		return 2;
	for (int twice = 0; twice < 2; twice++) {
		if (sp_harden_apply(&needs, why, sizeof(why)) != 0)
			return 3;
		count(keep, &n, &capable, &gaining);
		if (n < THREADS + 1 || capable != 0 || gaining != 0)
			return 4;
	}
	pthread_barrier_wait(&end);
	return 0;
}

/* A thread that cannot be reached is an error, and told soon. */
static int deaf_thread(void)
{
	struct sp_harden_needs needs = {0};
	pthread_t thread;
	char why[256];

	pthread_barrier_init(&started, NULL, 2);
	pthread_barrier_init(&end, NULL, 2);
	if (pthread_create(&thread, NULL, sleeper, &needs) != 0)
		return 1;
	pthread_barrier_wait(&started);
	return sp_harden_apply(&needs, why, sizeof(why)) < 0 && strstr(why, "hardening = false") != NULL ? 0 : 2;
}

static int no_core_files(void)
{
	struct rlimit limit;

	sp_harden_early();
	return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0 ? 0 : 1;
}

static int in_child(int (*body)(void))
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(body());
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void test_every_thread(void **state)
{
	(void)state;
	assert_int_equal(in_child(every_thread), 0);
}

static void test_deaf_thread(void **state)
{
	(void)state;
	assert_int_equal(in_child(deaf_thread), 0);
}

static void test_no_core_files(void **state)
{
	(void)state;
	assert_int_equal(in_child(no_core_files), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_thread),
		cmocka_unit_test(test_deaf_thread),
		cmocka_unit_test(test_no_core_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
