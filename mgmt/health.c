/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One thread owns the sockets of the checks that are under way. The set of backends is changed under `lock` by it, by sp_health_watch and
 * by sp_health_drain, and read under it by sp_health_reports. The lock is held for system calls that do not block, never while the thread
 * waits or tells of a change.
 */
#define _GNU_SOURCE 1 /* pthread_setname_np, setns */
#include "mgmt/health.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "mgmt/health_notes.h"
#include "mgmt/health_set.h"

#define STARTS_MAX  64                         /* checks begun between two looks at the sockets */
#define EVENTS_MAX  (SP_HEALTH_CHECKS_MAX + 1) /* all that can be: an answer in time is seen before its deadline is */
#define UNABLE_MS   1000                       /* until a check that the firewall could not make is tried again */
#define WAKE        UINT64_MAX
#define MS_PER_SEC  1000
#define NS_PER_MS   1000000
#define NO_DEADLINE INT64_MAX

/* A check under way. */
struct slot {
	struct sp_check check;
	bool busy;
	uint32_t use;     /* tells an event of this use from one of the last */
	uint32_t backend; /* index in the set */
	int64_t deadline_ms;
};

struct sp_health {
	pthread_t thread;
	int netns; /* to enter, -1: none */
	int enter_error;
	sem_t entered;
	int epoll, wake;

	pthread_mutex_t lock; /* guards the rest */
	sp_health_changed_fn changed;
	void *context;
	bool stop;
	struct sp_health_set *set;
	struct slot slots[SP_HEALTH_CHECKS_MAX];
	unsigned int n_busy;
	struct sp_health_notes notes;
};

static int64_t clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * MS_PER_SEC + now.tv_nsec / NS_PER_MS;
}

/* --- what an answer means ---------------------------------------------------------------------------------------------------------- */

static void judge(struct sp_health *health, struct sp_health_backend *backend, bool good, int64_t now_ms)
{
	struct sp_health_entry *entry = &health->set->entries[backend->entry];

	backend->asked++;
	backend->failed += !good;
	if (good == backend->live) {
		backend->row = 0;
		return;
	}
	if (++backend->row < (good ? entry->health.up : entry->health.down))
		return;
	backend->row = 0;
	backend->live = good;
	backend->since_ms = clock_ms(CLOCK_REALTIME);
	if (!backend->drained)
		entry->tell_ms = now_ms;
	sp_health_note(&health->notes, entry, backend, now_ms);
}

/* The check is over: what it says, and when the next one is due. */
static void finish(struct sp_health *health, struct slot *slot, enum sp_check_step step, int64_t now_ms)
{
	struct sp_health_backend *backend = &health->set->backends[slot->backend];

	if (step == SP_CHECK_UNABLE) {
		health->notes.unable++;
		backend->due_ms = now_ms + UNABLE_MS;
	} else {
		backend->failure = slot->check.failure;
		judge(health, backend, step == SP_CHECK_GOOD, now_ms);
		/* by the clock of its first check, so that it keeps its distance from others; what is late is not made up for */
		backend->due_ms += health->set->entries[backend->entry].health.interval_ms;
		if (backend->due_ms < now_ms)
			backend->due_ms = now_ms;
	}
	sp_check_end(&slot->check);
	slot->busy = false;
	health->n_busy--;
	backend->check = SP_HEALTH_NO_CHECK;
	sp_health_queue_add(health->set, (uint32_t)(backend - health->set->backends));
}

/* --- the checks under way ------------------------------------------------------------------------------------------------------------ */

static uint64_t event_key(const struct sp_health *health, const struct slot *slot)
{
	return (uint64_t)slot->use << 32 | (uint64_t)(slot - health->slots);
}

/* Has epoll wait for what the check needs next, or finishes it. `op` is of epoll_ctl. */
static void follow(struct sp_health *health, struct slot *slot, enum sp_check_step step, int op, int64_t now_ms)
{
	struct epoll_event event = {.events = step == SP_CHECK_READABLE ? EPOLLIN : EPOLLOUT, .data.u64 = event_key(health, slot)};

	if (step != SP_CHECK_WRITABLE && step != SP_CHECK_READABLE)
		finish(health, slot, step, now_ms);
	else if (epoll_ctl(health->epoll, op, slot->check.fd, &event) != 0)
		finish(health, slot, SP_CHECK_UNABLE, now_ms);
}

static void begin(struct sp_health *health, struct slot *slot, int64_t now_ms)
{
	uint32_t index = sp_health_queue_take(health->set);
	struct sp_health_backend *backend = &health->set->backends[index];
	const struct sp_health_entry *entry = &health->set->entries[backend->entry];

	slot->busy = true;
	slot->use++;
	slot->backend = index;
	slot->deadline_ms = now_ms + entry->health.timeout_ms;
	health->n_busy++;
	backend->check = (uint32_t)(slot - health->slots);
	follow(health, slot, sp_check_begin(&slot->check, &entry->health, &backend->address, entry->asked_port), EPOLL_CTL_ADD, now_ms);
}

static void begin_due(struct sp_health *health, int64_t now_ms)
{
	unsigned int s = 0;

	for (unsigned int n = 0; n < STARTS_MAX && health->n_busy < SP_HEALTH_CHECKS_MAX; n++) {
		const struct sp_health_backend *first = sp_health_queue_first(health->set);

		if (first == NULL || first->due_ms > now_ms)
			return;
		while (health->slots[s].busy)
			s = (s + 1) % SP_HEALTH_CHECKS_MAX;
		begin(health, &health->slots[s], now_ms);
	}
}

static void end_late(struct sp_health *health, int64_t now_ms)
{
	for (unsigned int s = 0; s < SP_HEALTH_CHECKS_MAX; s++) {
		struct slot *slot = &health->slots[s];

		if (!slot->busy || slot->deadline_ms > now_ms)
			continue;
		sp_check_late(&slot->check, health->set->entries[health->set->backends[slot->backend].entry].health.timeout_ms);
		finish(health, slot, SP_CHECK_BAD, now_ms);
	}
}

static void take_event(struct sp_health *health, const struct epoll_event *event, int64_t now_ms)
{
	struct slot *slot = &health->slots[(uint32_t)event->data.u64 % SP_HEALTH_CHECKS_MAX];
	uint64_t count;

	if (event->data.u64 == WAKE) {
		ssize_t n = read(health->wake, &count, sizeof(count));

		(void)n;
	} else if (slot->busy && event->data.u64 == event_key(health, slot)) {
		follow(health, slot, sp_check_go(&slot->check), EPOLL_CTL_MOD, now_ms);
	}
}

/* Until something is due; -1: nothing is. */
static int wait_ms(const struct sp_health *health, int64_t now_ms)
{
	const struct sp_health_backend *first = sp_health_queue_first(health->set);
	int64_t next = NO_DEADLINE;

	if (first != NULL && health->n_busy < SP_HEALTH_CHECKS_MAX)
		next = first->due_ms;
	for (unsigned int s = 0; s < SP_HEALTH_CHECKS_MAX; s++)
		if (health->slots[s].busy && health->slots[s].deadline_ms < next)
			next = health->slots[s].deadline_ms;
	for (uint32_t e = 0; e < health->set->n_entries; e++)
		if (health->set->entries[e].tell_ms < next)
			next = health->set->entries[e].tell_ms;
	if (next == NO_DEADLINE)
		return -1;
	return next <= now_ms ? 0 : next - now_ms > INT32_MAX ? INT32_MAX : (int)(next - now_ms);
}

/* --- telling ------------------------------------------------------------------------------------------------------------------------ */

/* Tells of one entry. Gives up the lock meanwhile: the set may be another one afterwards. */
static void tell(struct sp_health *health, uint32_t e, int64_t now_ms)
{
	struct sp_health_entry *entry = &health->set->entries[e];
	uint32_t id = entry->id, n = entry->n;
	sp_health_changed_fn changed = health->changed;
	void *context = health->context;
	bool live[SP_NAT_BACKENDS_MAX], told;

	entry->tell_ms = SP_HEALTH_TOLD;
	for (uint32_t b = 0; b < n; b++) {
		const struct sp_health_backend *backend = &health->set->backends[entry->first + b];

		live[b] = backend->live && !backend->drained;
	}
	pthread_mutex_unlock(&health->lock);
	told = changed(context, id, live, n);
	pthread_mutex_lock(&health->lock);
	entry = e < health->set->n_entries ? &health->set->entries[e] : NULL;
	if (!told && entry != NULL && entry->id == id && entry->tell_ms == SP_HEALTH_TOLD)
		entry->tell_ms = now_ms + UNABLE_MS;
}

static void tell_changes(struct sp_health *health, int64_t now_ms)
{
	for (uint32_t e = 0; e < health->set->n_entries && !health->stop; e++)
		if (health->set->entries[e].tell_ms <= now_ms)
			tell(health, e, now_ms);
}

/* The same of the log. */
static void print_notes(struct sp_health *health, int64_t now_ms)
{
	struct sp_health_notes notes;

	if (!sp_health_notes_take(&health->notes, now_ms, &notes))
		return;
	pthread_mutex_unlock(&health->lock);
	sp_health_notes_print(&notes);
	pthread_mutex_lock(&health->lock);
}

static void *run(void *arg)
{
	struct epoll_event events[EVENTS_MAX];
	struct sp_health *health = arg;

	if (health->netns >= 0 && setns(health->netns, CLONE_NEWNET) != 0)
		health->enter_error = errno;
	sem_post(&health->entered);
	if (health->enter_error != 0)
		return NULL;
	pthread_mutex_lock(&health->lock);
	while (!health->stop) {
		int64_t now_ms = clock_ms(CLOCK_MONOTONIC);
		int n, timeout;

		end_late(health, now_ms);
		begin_due(health, now_ms);
		tell_changes(health, now_ms);
		print_notes(health, now_ms);
		timeout = health->stop ? 0 : wait_ms(health, clock_ms(CLOCK_MONOTONIC));
		pthread_mutex_unlock(&health->lock);
		n = epoll_wait(health->epoll, events, EVENTS_MAX, timeout);
		pthread_mutex_lock(&health->lock);
		/* answers first: one that came in time is not late because this thread is */
		now_ms = clock_ms(CLOCK_MONOTONIC);
		for (int i = 0; i < n; i++)
			take_event(health, &events[i], now_ms);
	}
	pthread_mutex_unlock(&health->lock);
	return NULL;
}

/* --- what others call --------------------------------------------------------------------------------------------------------------- */

static void wake(const struct sp_health *health)
{
	const uint64_t one = 1;
	ssize_t n = write(health->wake, &one, sizeof(one));

	(void)n; /* a full eventfd is awake already */
}

static void release(struct sp_health *health)
{
	for (unsigned int s = 0; s < SP_HEALTH_CHECKS_MAX; s++)
		if (health->slots[s].busy)
			sp_check_end(&health->slots[s].check);
	if (health->netns >= 0)
		close(health->netns);
	if (health->epoll >= 0)
		close(health->epoll);
	if (health->wake >= 0)
		close(health->wake);
	sem_destroy(&health->entered);
	pthread_mutex_destroy(&health->lock);
	sp_health_set_free(health->set);
	free(health);
}

/*
 * Signals are for the control thread: this one starts with all of them blocked but that by which it may be told to give up privileges
 * (vnf/harden.c).
 */
static int start_thread(struct sp_health *health)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	sigdelset(&all, SIGRTMAX);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&health->thread, NULL, run, health);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err != 0)
		return err;
	pthread_setname_np(health->thread, "health");
	while (sem_wait(&health->entered) != 0)
		;
	if (health->enter_error != 0)
		pthread_join(health->thread, NULL);
	return health->enter_error;
}

static int open_all(struct sp_health *health)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKE};

	health->epoll = epoll_create1(EPOLL_CLOEXEC);
	health->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (health->epoll < 0 || health->wake < 0 || epoll_ctl(health->epoll, EPOLL_CTL_ADD, health->wake, &event) != 0)
		return errno;
	return -sp_health_set_make(NULL, &health->set);
}

struct sp_health *sp_health_start(const char *netns, char *why, size_t why_size)
{
	struct sp_health *health = calloc(1, sizeof(*health));
	int err;

	if (health == NULL) {
		snprintf(why, why_size, "out of memory for the health of backends");
		return NULL;
	}
	pthread_mutex_init(&health->lock, NULL);
	sem_init(&health->entered, 0, 0);
	health->netns = health->epoll = health->wake = -1;
	if (netns != NULL && (health->netns = open(netns, O_RDONLY | O_CLOEXEC)) < 0) {
		snprintf(why, why_size, "network namespace %s: %s; make it with `ip netns add`, or mend route.namespace", netns,
			strerror(errno));
		goto err_release;
	}
	err = open_all(health);
	if (err == 0)
		err = start_thread(health);
	if (err == 0)
		return health;
	snprintf(why, why_size, "cannot start the thread that asks backends%s%s: %s", netns != NULL ? " in network namespace " : "",
		netns != NULL ? netns : "", strerror(err));

err_release:
	release(health);
	return NULL;
}

void sp_health_connect(struct sp_health *health, sp_health_changed_fn changed, void *context)
{
	pthread_mutex_lock(&health->lock);
	health->changed = changed;
	health->context = context;
	pthread_mutex_unlock(&health->lock);
}

void sp_health_stop(struct sp_health *health)
{
	if (health == NULL)
		return;
	pthread_mutex_lock(&health->lock);
	health->stop = true;
	pthread_mutex_unlock(&health->lock);
	wake(health);
	pthread_join(health->thread, NULL);
	release(health);
}

/* Checks under way go on under their new indices, those that nobody asks for any more end. */
static void keep_checks(struct sp_health *health, const struct sp_health_set *set)
{
	bool kept[SP_HEALTH_CHECKS_MAX] = {false};

	for (uint32_t b = 0; b < set->n_backends; b++)
		if (set->backends[b].check != SP_HEALTH_NO_CHECK) {
			health->slots[set->backends[b].check].backend = b;
			kept[set->backends[b].check] = true;
		}
	for (unsigned int s = 0; s < SP_HEALTH_CHECKS_MAX; s++)
		if (health->slots[s].busy && !kept[s]) {
			sp_check_end(&health->slots[s].check);
			health->slots[s].busy = false;
			health->n_busy--;
		}
}

int sp_health_watch(struct sp_health *health, const struct sp_nat_list *list)
{
	struct sp_health_set *set, *old;
	int rc = sp_health_set_make(list, &set);

	if (rc != 0)
		return rc;
	pthread_mutex_lock(&health->lock);
	old = health->set;
	sp_health_set_adopt(set, old, clock_ms(CLOCK_MONOTONIC));
	keep_checks(health, set);
	health->set = set;
	pthread_mutex_unlock(&health->lock);
	wake(health);
	sp_health_set_free(old);
	return 0;
}

unsigned int sp_health_drain(struct sp_health *health, uint32_t entry, const struct sp_addr *address, bool drained, unsigned int *found)
{
	unsigned int changed = 0;

	*found = 0;
	pthread_mutex_lock(&health->lock);
	for (uint32_t b = 0; b < health->set->n_backends; b++) {
		struct sp_health_backend *backend = &health->set->backends[b];
		struct sp_health_entry *of = &health->set->entries[backend->entry];

		if ((entry != 0 && of->id != entry) || sp_addr_compare(&backend->address, address) != 0)
			continue;
		++*found;
		if (backend->drained == drained)
			continue;
		backend->drained = drained;
		backend->since_ms = clock_ms(CLOCK_REALTIME);
		if (backend->live)
			of->tell_ms = 0;
		changed++;
	}
	pthread_mutex_unlock(&health->lock);
	wake(health);
	return changed;
}

size_t sp_health_reports(struct sp_health *health, size_t first, struct sp_health_report *out, size_t n)
{
	size_t copied = 0;

	pthread_mutex_lock(&health->lock);
	for (size_t b = first; b < health->set->n_backends && copied < n; b++) {
		const struct sp_health_backend *backend = &health->set->backends[b];
		const struct sp_health_entry *entry = &health->set->entries[backend->entry];
		struct sp_health_report *report = &out[copied++];

		*report = (struct sp_health_report){.entry = entry->id,
			.address = backend->address,
			.port = entry->port,
			.checked = entry->asked_port != 0,
			.live = backend->live,
			.drained = backend->drained,
			.asked = backend->asked,
			.failed = backend->failed,
			.since_ms = backend->since_ms};
		sp_check_failure_text(&backend->failure, report->why, sizeof(report->why));
	}
	pthread_mutex_unlock(&health->lock);
	return copied;
}

size_t sp_health_sums(struct sp_health *health, struct sp_health_sum *out, size_t n)
{
	size_t copied = 0;

	pthread_mutex_lock(&health->lock);
	for (; copied < health->set->n_entries && copied < n; copied++) {
		const struct sp_health_entry *entry = &health->set->entries[copied];
		struct sp_health_sum *sum = &out[copied];

		*sum = (struct sp_health_sum){.entry = entry->id};
		for (uint32_t b = entry->first; b < entry->first + entry->n; b++) {
			const struct sp_health_backend *backend = &health->set->backends[b];

			sum->drained += backend->drained;
			sum->live += backend->live && !backend->drained;
			sum->dead += !backend->live && !backend->drained;
			sum->asked += backend->asked;
			sum->failed += backend->failed;
		}
	}
	pthread_mutex_unlock(&health->lock);
	return copied;
}
