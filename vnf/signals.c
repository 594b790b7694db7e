/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Owner: the signal thread; what it shares with the main thread is under `lock`. A library call that compiles a large policy cannot be
 * interrupted, nor can a worker that hangs be waited for: so when the orderly way takes too long, the signal thread drains the workers,
 * removes the socket and ends the process. It keeps the lock meanwhile, which holds the main thread wherever it next would change a phase:
 * nothing is freed under the one by the other.
 */
#include "vnf/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "mgmt/mgmt.h"
#include "vnf/launch.h"
#include "vnf/notify.h"

#define CONTROL_MS 1200 /* from the signal until the control loop must have returned */
#define CLOSING_MS 1900 /* until the process must have ended */
#define DRAIN_MS   300

/* One of the process's few globals. */
static struct {
	pthread_mutex_t lock;
	pthread_t thread;
	struct sp_mgmt *mgmt;
	struct sp_launch *launch;
	enum sp_phase phase;
	bool reload; /* came while there was nobody to tell */
	bool over;
	int64_t told_ms; /* when the process was told to leave; 0: it was not. Atomic */
} signals = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1; /* never 0 */
}

static void taken(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

static void pass_on(int number)
{
	if (number == SIGHUP && signals.mgmt != NULL)
		sp_mgmt_reload(signals.mgmt);
	else if (number == SIGHUP)
		signals.reload = true;
	else if (!sp_signals_leaving())
		__atomic_store_n(&signals.told_ms, now_ms(), __ATOMIC_RELEASE);
	if (sp_signals_leaving() && signals.mgmt != NULL)
		sp_mgmt_quit(signals.mgmt);
}

/* Devices are given back by the kernel, as after a crash. */
static void leave_now(void)
{
	static const char *const why[] = {[SP_PHASE_STARTING] = "before the start was over",
		[SP_PHASE_CONTROL] = "while a rule file was being loaded",
		[SP_PHASE_CLOSING] = "before everything was closed"};

	sp_notify_manager("STOPPING=1");
	if (signals.launch != NULL)
		(void)sp_launch_halt_within(signals.launch, DRAIN_MS);
	if (signals.mgmt != NULL)
		sp_mgmt_abandon(signals.mgmt);
	fprintf(stderr, "sallyport: left %s\n", why[signals.phase]);
	_exit(0);
}

/* Milliseconds until the process must leave; -1 when it need not. */
static int64_t left_ms(void)
{
	int64_t told = __atomic_load_n(&signals.told_ms, __ATOMIC_RELAXED);
	int64_t left = told + (signals.phase == SP_PHASE_CLOSING ? CLOSING_MS : CONTROL_MS) - now_ms();

	if (told == 0)
		return -1;
	return left > 0 ? left : 0;
}

static void *run(void *arg)
{
	sigset_t set;

	(void)arg;
	taken(&set);
	pthread_mutex_lock(&signals.lock);
	while (!signals.over) {
		int64_t left = left_ms();
		struct timespec wait = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
		int number;

		if (left == 0)
			leave_now();
		pthread_mutex_unlock(&signals.lock);
		number = sigtimedwait(&set, NULL, left > 0 ? &wait : NULL);
		pthread_mutex_lock(&signals.lock);
		if (number > 0 && !signals.over)
			pass_on(number);
	}
	pthread_mutex_unlock(&signals.lock);
	return NULL;
}

int sp_signals_start(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	taken(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return -pthread_create(&signals.thread, NULL, run, NULL);
}

bool sp_signals_leaving(void)
{
	return __atomic_load_n(&signals.told_ms, __ATOMIC_ACQUIRE) != 0;
}

void sp_signals_phase(enum sp_phase phase)
{
	pthread_mutex_lock(&signals.lock);
	signals.phase = phase;
	pthread_mutex_unlock(&signals.lock);
}

void sp_signals_workers(struct sp_launch *launch)
{
	pthread_mutex_lock(&signals.lock);
	signals.launch = launch;
	pthread_mutex_unlock(&signals.lock);
}

void sp_signals_mgmt(struct sp_mgmt *mgmt)
{
	pthread_mutex_lock(&signals.lock);
	signals.mgmt = mgmt;
	if (mgmt != NULL && signals.reload)
		sp_mgmt_reload(mgmt);
	if (mgmt != NULL && sp_signals_leaving())
		sp_mgmt_quit(mgmt);
	signals.reload = false;
	pthread_mutex_unlock(&signals.lock);
}

void sp_signals_end(void)
{
	pthread_mutex_lock(&signals.lock);
	signals.over = true;
	pthread_mutex_unlock(&signals.lock);
	pthread_kill(signals.thread, SIGHUP);
	pthread_join(signals.thread, NULL);
}
