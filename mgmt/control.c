/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control loop: the only thread that compiles and publishes rules. Others hand jobs in through a short bounded queue and are told by
 * `done`; signal handlers only set a flag and wake it.
 */
#include "mgmt/control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "mgmt/apply.h"
#include "mgmt/events.h"
#include "mgmt/ports.h"
#include "mgmt/problem.h"
#include "mgmt/publish.h"
#include "mgmt/state.h"

#define TICK_MS 250 /* between two looks at links and workers */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int sp_control_init(struct sp_control *control)
{
	memset(control, 0, sizeof(*control));
	control->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control->wake < 0)
		return -errno;
	pthread_mutex_init(&control->lock, NULL);
	return 0;
}

void sp_control_free(struct sp_control *control)
{
	close(control->wake);
	pthread_mutex_destroy(&control->lock);
}

/* Async-signal-safe. A full eventfd is awake already. */
static void wake(struct sp_control *control)
{
	const uint64_t one = 1;
	int saved_errno = errno;
	ssize_t n = write(control->wake, &one, sizeof(one));

	(void)n;
	errno = saved_errno;
}

int sp_control_submit(struct sp_control *control, struct sp_job *job)
{
	int rc = 0;

	pthread_mutex_lock(&control->lock);
	if (control->closed)
		rc = -ESHUTDOWN;
	else if (control->n_jobs == SP_JOBS_MAX)
		rc = -EAGAIN;
	else
		control->jobs[control->n_jobs++] = job;
	pthread_mutex_unlock(&control->lock);
	if (rc == 0)
		wake(control);
	return rc;
}

static struct sp_job *take_job(struct sp_control *control)
{
	struct sp_job *job = NULL;

	pthread_mutex_lock(&control->lock);
	if (control->n_jobs != 0) {
		job = control->jobs[0];
		control->n_jobs--;
		memmove(&control->jobs[0], &control->jobs[1], control->n_jobs * sizeof(control->jobs[0]));
	}
	pthread_mutex_unlock(&control->lock);
	return job;
}

void sp_control_close(struct sp_control *control)
{
	struct sp_job *job;

	pthread_mutex_lock(&control->lock);
	control->closed = true;
	pthread_mutex_unlock(&control->lock);
	while ((job = take_job(control)) != NULL) {
		sp_problem(&job->reply, 503, "leaving", "the firewall is shutting down");
		job->done(job);
	}
}

bool sp_control_quitting(const struct sp_control *control)
{
	return __atomic_load_n(&control->quit, __ATOMIC_RELAXED) != 0;
}

json_t *sp_peer_json(const struct sp_peer *peer)
{
	if (peer == NULL || !peer->known)
		return json_null();
	if (peer->remote)
		return json_pack("{s:s, s:s}", "token", peer->token, "address", peer->address);
	return json_pack("{s:I, s:I, s:I}", "uid", (json_int_t)peer->uid, "gid", (json_int_t)peer->gid, "pid", (json_int_t)peer->pid);
}

/* SIGHUP and POST /v1/reload are one: logs are opened and certificates read anew, whatever becomes of the rules. */
static void reload(struct sp_mgmt *mgmt, const struct sp_peer *by, uint8_t on_change, struct sp_reply *reply)
{
	sp_events_reopen(mgmt->events);
	if (mgmt->api != NULL)
		sp_api_reload(mgmt->api);
	sp_apply_reload(mgmt, by, on_change, reply);
}

/* A large rule file keeps the loop busy for minutes: whoever watches it is told. */
static void working(const struct sp_mgmt *mgmt, bool begins)
{
	if (mgmt->working != NULL)
		mgmt->working(mgmt->tick_context, begins);
}

static void run_job(struct sp_mgmt *mgmt, struct sp_job *job)
{
	working(mgmt, true);
	if (job->kind == SP_JOB_PUT_RULES)
		sp_apply_put(mgmt, job);
	else
		reload(mgmt, &job->by, job->has_on_change ? job->on_change : mgmt->on_change, &job->reply);
	working(mgmt, false);
	job->done(job);
}

static void tick(struct sp_mgmt *mgmt)
{
	struct sp_reply reply = {0};

	sp_ports_watch(mgmt->dataplane);
	if (mgmt->api != NULL)
		sp_api_tick(mgmt->api);
	sp_pulse_take(&mgmt->pulse, mgmt->dataplane, now_ms());
	if (mgmt->tick != NULL)
		mgmt->tick(mgmt->tick_context);
	if ((__atomic_load_n(&mgmt->degraded, __ATOMIC_RELAXED) & (1u << SP_DEGRADED_NOT_RETIRED)) != 0 &&
		sp_publish_retire(mgmt->dataplane) == 0)
		sp_degraded_set(mgmt, SP_DEGRADED_NOT_RETIRED, false);
	if (__atomic_exchange_n(&mgmt->control.reload, 0, __ATOMIC_RELAXED) != 0) {
		working(mgmt, true);
		reload(mgmt, NULL, mgmt->on_change, &reply);
		working(mgmt, false);
		sp_reply_clear(&reply);
	}
}

void sp_mgmt_control(struct sp_mgmt *mgmt)
{
	struct sp_control *control = &mgmt->control;
	struct pollfd pollfd = {.fd = control->wake, .events = POLLIN};

	while (!sp_control_quitting(control)) {
		struct sp_job *job;
		uint64_t count;
		ssize_t n;

		tick(mgmt);
		while (!sp_control_quitting(control) && (job = take_job(control)) != NULL)
			run_job(mgmt, job);
		if (poll(&pollfd, 1, TICK_MS) > 0) {
			n = read(control->wake, &count, sizeof(count));
			(void)n;
		}
	}
}

bool sp_mgmt_wait_begin(struct sp_mgmt *mgmt)
{
	bool told = mgmt != NULL && sp_mgmt_workers_beat(mgmt);

	if (told)
		working(mgmt, true);
	return told;
}

void sp_mgmt_wait_end(struct sp_mgmt *mgmt, bool told)
{
	if (told)
		working(mgmt, false);
}

void sp_mgmt_wake(struct sp_mgmt *mgmt)
{
	wake(&mgmt->control);
}

void sp_mgmt_quit(struct sp_mgmt *mgmt)
{
	__atomic_store_n(&mgmt->control.quit, 1, __ATOMIC_RELAXED);
	wake(&mgmt->control);
}

void sp_mgmt_reload(struct sp_mgmt *mgmt)
{
	__atomic_store_n(&mgmt->control.reload, 1, __ATOMIC_RELAXED);
	wake(&mgmt->control);
}
