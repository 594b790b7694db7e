/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capabilities and no_new_privs belong to a thread in Linux, and EAL has started threads by the time they can go. So each thread is sent a
 * real-time signal whose handler gives them up in its own name, as libpsx does; the main thread waits until all have answered.
 */
#define _GNU_SOURCE 1
#include "vnf/harden.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_WAIT_MS 1000
#define ROUNDS_MAX     8 /* a thread started meanwhile by one not yet reached is found in the next round */

/* Written before the signals are sent; the handler only reads it, and counts. */
static struct {
	uint64_t keep;
	uint32_t answered, failed;
} order;

void sp_harden_early(void)
{
	struct rlimit none = {0, 0}, lock;

	setrlimit(RLIMIT_CORE, &none);
	if (getrlimit(RLIMIT_MEMLOCK, &lock) == 0) {
		struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};

		lock.rlim_cur = lock.rlim_max;
		if (setrlimit(RLIMIT_MEMLOCK, &all) != 0)
			setrlimit(RLIMIT_MEMLOCK, &lock);
	}
}

/* Async-signal-safe: system calls only. */
static int give_up(uint64_t keep)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	for (unsigned long cap = 0; cap < 64; cap++)
		if (!(keep & (UINT64_C(1) << cap)) && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
			/* Needs CAP_SETPCAP; who lacks it cannot gain anything by execve either, after no_new_privs. */
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	if (syscall(SYS_capget, &header, data) != 0)
		return -errno;
	for (int half = 0; half < 2; half++) {
		uint32_t mask = (uint32_t)(keep >> (32 * half));

		data[half].effective &= mask;
		data[half].permitted &= mask;
		data[half].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) == 0 ? 0 : -errno;
}

static void on_order(int signal_number)
{
	int saved = errno;

	(void)signal_number;
	if (give_up(order.keep) != 0)
		__atomic_fetch_add(&order.failed, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&order.answered, 1, __ATOMIC_RELEASE);
	errno = saved;
}

/* Effective capabilities and NoNewPrivs of a thread, from /proc. False when the thread is gone. */
static bool thread_is_done(pid_t thread, uint64_t keep, bool *done)
{
	char path[64], line[256];
	unsigned long long caps = ~0ull;
	int no_new = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)thread);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	while (fgets(line, sizeof(line), file) != NULL) {
		sscanf(line, "CapPrm: %llx", &caps);
		sscanf(line, "NoNewPrivs: %d", &no_new);
	}
	fclose(file);
	*done = no_new == 1 && (caps & ~keep) == 0;
	return true;
}

/* Signals every thread that has not given up yet; returns how many, or -errno. */
static int signal_threads(void)
{
	DIR *folder = opendir("/proc/self/task");
	int sent = 0;

	if (folder == NULL)
		return -errno;
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		pid_t thread = (pid_t)atoi(entry->d_name);
		bool done = false;

		if (thread <= 0 || !thread_is_done(thread, order.keep, &done) || done)
			continue;
		if (syscall(SYS_tgkill, getpid(), thread, SIGRTMAX) == 0)
			sent++;
	}
	closedir(folder);
	return sent;
}

static bool wait_answers(uint32_t n)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	for (int ms = 0; ms < ANSWER_WAIT_MS; ms++) {
		if (__atomic_load_n(&order.answered, __ATOMIC_ACQUIRE) >= n)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

int sp_harden_apply(const struct sp_harden_needs *needs, char *why, size_t why_size)
{
	struct sigaction action = {.sa_handler = on_order, .sa_flags = SA_RESTART}, old;
	int sent = 0;
	bool answered = true;

	order.keep = UINT64_C(1) << CAP_IPC_LOCK; /* memory for DMA, also that taken later */
	if (needs->net_admin)
		order.keep |= UINT64_C(1) << CAP_NET_ADMIN;
	if (needs->net_raw)
		order.keep |= UINT64_C(1) << CAP_NET_RAW;
	if (needs->physical)
		order.keep |= UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_SYS_RAWIO;
	if (needs->chown)
		order.keep |= UINT64_C(1) << CAP_CHOWN;
	if (needs->bind_service)
		order.keep |= UINT64_C(1) << CAP_NET_BIND_SERVICE;
	order.failed = 0;
	sigemptyset(&action.sa_mask);
	sigaction(SIGRTMAX, &action, &old);
	for (int round = 0; round < ROUNDS_MAX && answered; round++) {
		__atomic_store_n(&order.answered, 0, __ATOMIC_RELEASE);
		sent = signal_threads();
		if (sent <= 0)
			break;
		answered = wait_answers((uint32_t)sent);
	}
	sigaction(SIGRTMAX, &old, NULL);
	if (sent == 0 && order.failed == 0)
		return 0;
	snprintf(why, why_size, "privileges could not be given up in every thread (%s); set hardening = false to run with them",
		sent < 0 ? strerror(-sent) : "a thread did not answer, or the kernel refused");
	return sent < 0 ? sent : -EPERM;
}
