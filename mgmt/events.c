/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One thread owns the file and the buffer. Others reach it through: the rings (workers), the audit queue and the signature tables (each
 * under the mutex, held for a copy or a search), two flags, and counters that it alone writes.
 */
#define _GNU_SOURCE /* pthread_setname_np */
#include "mgmt/events.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/worker.h"
#include "mgmt/eve.h"
#include "mgmt/reply.h"

#define BUFFER_BYTES    ((size_t)1024 * 1024)
#define BATCH           64 /* events taken from a ring at once */
#define AUDIT_MAX       1024
#define IDLE_NS         (10 * 1000 * 1000)
#define NS_PER_SEC      ((uint64_t)1000 * 1000 * 1000)
#define REPORT_NS       (60 * NS_PER_SEC) /* between two reports of a file that cannot be written */
#define REOPEN_RETRY_NS (10 * NS_PER_SEC)
#define DRAIN_ROUNDS    (4 * SP_EVENT_RING_SIZE / BATCH) /* at the end: more than a full ring needs */

struct signatures {
	struct sp_eve_signature *v; /* sorted by id; strings follow the array in the same allocation */
	size_t n;
};

struct sp_events {
	struct sp_dataplane *dataplane;
	char *path; /* NULL: none */
	uint64_t stats_ns;
	pthread_t thread;
	uint32_t stop, reopen; /* flags, atomic */

	pthread_mutex_t lock; /* guards what follows up to `fd` */
	struct signatures current, former;
	char *audit[AUDIT_MAX]; /* lines with their newline */
	unsigned int audit_head, audit_n;
	json_t *(*stats)(struct sp_mgmt *mgmt);
	struct sp_mgmt *mgmt;

	int fd;   /* from here on the thread's own; counters are read by others, relaxed */
	bool cut; /* the file ends in a part of a line */
	char *buf;
	size_t used;
	uint64_t lines; /* in buf */
	uint64_t next_stats_ns, next_report_ns, next_open_ns;
	uint64_t unreported; /* lines lost since the last report */
	int last_error;
	struct sp_events_counters counters;
};

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static uint64_t realtime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* --- the file ---------------------------------------------------------------------------------------------------------------- */

/* O_NONBLOCK: a pipe that nobody reads refuses instead of stopping the thread. */
static int open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

	return fd >= 0 ? fd : -errno;
}

static void note_error(struct sp_events *events, int err)
{
	events->last_error = err;
	sp_count(&events->counters.write_errors, 1);
}

/* On the way to systemd's journal; at most once a minute, so that a full disk does not fill another one. */
static void report(struct sp_events *events, uint64_t now_ns)
{
	if (events->last_error == 0 || now_ns < events->next_report_ns)
		return;
	fprintf(stderr, "sallyport: warning: %s: cannot write events: %s; %llu lines were lost; free space or mend the path, then reload\n",
		events->path, strerror(events->last_error), (unsigned long long)events->unreported);
	events->next_report_ns = now_ns + REPORT_NS;
	events->unreported = 0;
	events->last_error = 0;
}

/* Opens the path anew; the former file stays in use when that fails. */
static void reopen_file(struct sp_events *events, uint64_t now_ns)
{
	int fd;

	if (!events->path)
		return;
	fd = open_file(events->path);
	if (fd < 0) {
		note_error(events, -fd);
		events->next_open_ns = now_ns + REOPEN_RETRY_NS;
		return;
	}
	if (events->fd >= 0)
		close(events->fd);
	events->fd = fd;
	events->cut = false;
	events->next_open_ns = UINT64_MAX;
}

/* Writes all of it or says how far it came; 0 or errno. */
static int write_all(int fd, const char *buf, size_t size, size_t *done)
{
	*done = 0;
	while (*done < size) {
		ssize_t n = write(fd, buf + *done, size - *done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		*done += (size_t)n;
	}
	return 0;
}

static uint64_t count_lines(const char *buf, size_t size)
{
	uint64_t n = 0;

	for (const char *p = buf; (p = memchr(p, '\n', size - (size_t)(p - buf))) != NULL; p++)
		n++;
	return n;
}

/* Empties the buffer into the file, or loses it. */
static void flush(struct sp_events *events)
{
	size_t done = 0;
	uint64_t written;
	int err = EBADF;

	if (events->used == 0)
		return;
	if (events->fd >= 0) {
		/* A broken line is ended first, so that it spoils no other. */
		if (events->cut)
			events->cut = write(events->fd, "\n", 1) != 1;
		err = write_all(events->fd, events->buf, events->used, &done);
		if (done > 0)
			events->cut = events->buf[done - 1] != '\n';
	}
	written = done == events->used ? events->lines : count_lines(events->buf, done);
	sp_count(&events->counters.written, written);
	sp_count(&events->counters.bytes, done);
	if (events->path && err != 0) {
		/* Without a file the failed open has been counted already. */
		if (events->fd >= 0)
			note_error(events, err);
		sp_count(&events->counters.unwritten, events->lines - written);
		events->unreported += events->lines - written;
	}
	events->used = 0;
	events->lines = 0;
}

/* Adds a whole line to the buffer; longer ones than the buffer do not occur. */
static void put_line(struct sp_events *events, const char *line, size_t len)
{
	if (!events->path || len > BUFFER_BYTES)
		return;
	if (events->used + len > BUFFER_BYTES)
		flush(events);
	memcpy(events->buf + events->used, line, len);
	events->used += len;
	events->lines++;
}

/* --- signatures -------------------------------------------------------------------------------------------------------------- */

static int compare_id(const void *a, const void *b)
{
	const struct sp_eve_signature *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static const struct sp_eve_signature *search(const struct signatures *table, uint32_t id)
{
	struct sp_eve_signature key = {.id = id};

	return table->n > 0 ? bsearch(&key, table->v, table->n, sizeof(key), compare_id) : NULL;
}

static char *put_string(char **at, const char *s)
{
	char *start = *at;
	size_t size;

	if (!s)
		s = "";
	size = strlen(s) + 1;
	memcpy(start, s, size);
	*at += size;
	return start;
}

static size_t string_size(const char *s)
{
	return s ? strlen(s) + 1 : 1;
}

static int signatures_copy(const struct sp_policy *policy, struct signatures *out)
{
	size_t n = 0, bytes = 0;
	struct sp_eve_signature *v;
	char *at;

	for (size_t p = 0; p < policy->n_profiles; p++) {
		n += policy->profiles[p].n_patterns;
		bytes += string_size(policy->profiles[p].name);
		for (size_t i = 0; i < policy->profiles[p].n_patterns; i++)
			bytes += string_size(policy->profiles[p].patterns[i].msg);
	}
	v = malloc(n * sizeof(*v) + bytes + 1);
	if (!v)
		return -ENOMEM;
	at = (char *)(v + n);
	n = 0;
	for (size_t p = 0; p < policy->n_profiles; p++) {
		const struct sp_profile *profile = &policy->profiles[p];
		const char *category = put_string(&at, profile->name);

		for (size_t i = 0; i < profile->n_patterns; i++)
			v[n++] = (struct sp_eve_signature){profile->patterns[i].id, put_string(&at, profile->patterns[i].msg), category};
	}
	qsort(v, n, sizeof(*v), compare_id);
	*out = (struct signatures){v, n};
	return 0;
}

int sp_events_set_signatures(struct sp_events *events, const struct sp_ruleset *ruleset)
{
	struct signatures fresh, gone;
	int err;

	if (!events || !ruleset->policy)
		return 0;
	err = signatures_copy(ruleset->policy, &fresh);
	if (err != 0)
		return err;
	pthread_mutex_lock(&events->lock);
	gone = events->former;
	events->former = events->current;
	events->current = fresh;
	pthread_mutex_unlock(&events->lock);
	free(gone.v);
	return 0;
}

/* --- what is written --------------------------------------------------------------------------------------------------------- */

static void put_event(struct sp_events *events, const struct sp_event *event)
{
	const struct sp_dataplane *dataplane = events->dataplane;
	struct sp_eve_names names = {.port = event->port < dataplane->n_ports ? dataplane->ports[event->port].name : NULL};
	char line[SP_EVE_LINE_MAX];

	if (event->type == SP_EVENT_ALERT) {
		names.signature = search(&events->current, event->signature);
		if (!names.signature)
			names.signature = search(&events->former, event->signature);
	}
	put_line(events, line, sp_eve_format(event, &names, sp_wall_ns(dataplane, event->tsc), line));
}

/* One batch of every worker; how many there were. */
static unsigned int take_events(struct sp_events *events)
{
	struct sp_event batch[BATCH];
	unsigned int total = 0;
	uint64_t lost = 0;

	for (unsigned int w = 0; w < events->dataplane->n_workers; w++) {
		struct sp_event_ring *ring = &events->dataplane->workers[w]->events;
		unsigned int n = sp_event_take(ring, batch, BATCH);

		lost += sp_read(&ring->lost);
		total += n;
		if (n == 0 || !events->path)
			continue;
		/* Room first: nobody waits for the disk behind the lock, which keeps the signature tables in place. */
		if (BUFFER_BYTES - events->used < BATCH * SP_EVE_LINE_MAX)
			flush(events);
		pthread_mutex_lock(&events->lock);
		for (unsigned int i = 0; i < n; i++)
			put_event(events, &batch[i]);
		pthread_mutex_unlock(&events->lock);
	}
	__atomic_store_n(&events->counters.lost, lost, __ATOMIC_RELAXED);
	return total;
}

static unsigned int take_audit(struct sp_events *events)
{
	char *lines[BATCH];
	unsigned int n = 0;

	pthread_mutex_lock(&events->lock);
	while (n < BATCH && events->audit_n > 0) {
		lines[n++] = events->audit[events->audit_head];
		events->audit_head = (events->audit_head + 1) % AUDIT_MAX;
		events->audit_n--;
	}
	pthread_mutex_unlock(&events->lock);
	for (unsigned int i = 0; i < n; i++) {
		put_line(events, lines[i], strlen(lines[i]));
		free(lines[i]);
	}
	return n;
}

/* {"timestamp", "event_type": type, type: body} as a line; malloc'ed, NULL without memory. Takes the reference to body. */
static char *make_line(const char *type, json_t *body)
{
	char time[SP_EVE_TIME_SIZE], *text, *line;
	json_t *json = json_pack("{s:s, s:s, s:o}", "timestamp", sp_eve_time(realtime_ns(), time), "event_type", type, type, body);
	size_t len;

	text = json ? json_dumps(json, SP_JSON_FLAGS) : NULL;
	json_decref(json);
	if (!text)
		return NULL;
	len = strlen(text);
	line = realloc(text, len + 2);
	if (!line) {
		free(text);
		return NULL;
	}
	memcpy(line + len, "\n", 2);
	return line;
}

static void put_stats(struct sp_events *events, uint64_t now_ns)
{
	json_t *(*stats)(struct sp_mgmt * mgmt);
	struct sp_mgmt *mgmt;
	json_t *body;
	char *line;

	if (events->stats_ns == 0 || now_ns < events->next_stats_ns)
		return;
	events->next_stats_ns = now_ns + events->stats_ns;
	pthread_mutex_lock(&events->lock);
	stats = events->stats;
	mgmt = events->mgmt;
	pthread_mutex_unlock(&events->lock);
	body = stats && events->path ? stats(mgmt) : NULL;
	line = body ? make_line("stats", body) : NULL;
	if (line)
		put_line(events, line, strlen(line));
	free(line);
}

static void *run(void *arg)
{
	static const struct timespec idle = {.tv_nsec = IDLE_NS};
	struct sp_events *events = arg;

	events->next_stats_ns = monotonic_ns() + events->stats_ns;
	while (!__atomic_load_n(&events->stop, __ATOMIC_ACQUIRE)) {
		unsigned int n = take_events(events) + take_audit(events);
		uint64_t now_ns = monotonic_ns();

		put_stats(events, now_ns);
		flush(events);
		if (__atomic_exchange_n(&events->reopen, 0, __ATOMIC_ACQ_REL) || now_ns >= events->next_open_ns)
			reopen_file(events, now_ns);
		report(events, now_ns);
		if (n == 0)
			nanosleep(&idle, NULL);
	}
	for (unsigned int i = 0; i < DRAIN_ROUNDS && take_events(events) + take_audit(events) > 0; i++)
		;
	flush(events);
	events->next_report_ns = 0;
	report(events, monotonic_ns());
	return NULL;
}

/* --- what others call -------------------------------------------------------------------------------------------------------- */

static void release(struct sp_events *events)
{
	if (events->fd >= 0)
		close(events->fd);
	for (; events->audit_n > 0; events->audit_n--) {
		free(events->audit[events->audit_head]);
		events->audit_head = (events->audit_head + 1) % AUDIT_MAX;
	}
	free(events->current.v);
	free(events->former.v);
	pthread_mutex_destroy(&events->lock);
	free(events->buf);
	free(events->path);
	free(events);
}

/* Signals are for the control thread: this one starts with all of them blocked. */
static int start_thread(struct sp_events *events)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&events->thread, NULL, run, events);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err == 0)
		pthread_setname_np(events->thread, "events");
	return err;
}

struct sp_events *sp_events_start(
	struct sp_dataplane *dataplane, const char *path, unsigned int stats_interval_sec, char *why, size_t why_size)
{
	struct sp_events *events = calloc(1, sizeof(*events));
	int err;

	if (!events) {
		snprintf(why, why_size, "out of memory for the event writer");
		return NULL;
	}
	pthread_mutex_init(&events->lock, NULL);
	events->dataplane = dataplane;
	events->stats_ns = stats_interval_sec * NS_PER_SEC;
	events->next_open_ns = UINT64_MAX;
	events->fd = -1;
	events->buf = malloc(BUFFER_BYTES);
	events->path = path ? strdup(path) : NULL;
	if (!events->buf || (path && !events->path)) {
		snprintf(why, why_size, "out of memory for the event writer");
		goto err_release;
	}
	if (path) {
		events->fd = open_file(path);
		if (events->fd < 0) {
			snprintf(why, why_size,
				"%s: cannot write events: %s; make its folder writable, or set log.eve in the configuration", path,
				strerror(-events->fd));
			goto err_release;
		}
	}
	err = start_thread(events);
	if (err != 0) {
		snprintf(why, why_size, "cannot start the event writer: %s", strerror(err));
		goto err_release;
	}
	return events;

err_release:
	release(events);
	return NULL;
}

void sp_events_set_stats(struct sp_events *events, json_t *(*stats)(struct sp_mgmt *mgmt), struct sp_mgmt *mgmt)
{
	if (!events)
		return;
	pthread_mutex_lock(&events->lock);
	events->stats = stats;
	events->mgmt = mgmt;
	pthread_mutex_unlock(&events->lock);
}

void sp_events_stop(struct sp_events *events)
{
	if (!events)
		return;
	__atomic_store_n(&events->stop, 1, __ATOMIC_RELEASE);
	pthread_join(events->thread, NULL);
	release(events);
}

void sp_events_reopen(struct sp_events *events)
{
	if (events)
		__atomic_store_n(&events->reopen, 1, __ATOMIC_RELEASE);
}

void sp_events_audit(struct sp_events *events, json_t *fields)
{
	char *line;
	bool queued;

	if (!events || !fields) {
		json_decref(fields);
		return;
	}
	line = make_line("audit", fields);
	pthread_mutex_lock(&events->lock);
	queued = line && events->audit_n < AUDIT_MAX;
	if (queued)
		events->audit[(events->audit_head + events->audit_n++) % AUDIT_MAX] = line;
	pthread_mutex_unlock(&events->lock);
	if (!queued) {
		__atomic_fetch_add(&events->counters.audit_lost, 1, __ATOMIC_RELAXED);
		free(line);
	}
}

void sp_events_counters(const struct sp_events *events, struct sp_events_counters *out)
{
	memset(out, 0, sizeof(*out));
	if (!events)
		return;
	out->written = sp_read(&events->counters.written);
	out->bytes = sp_read(&events->counters.bytes);
	out->lost = sp_read(&events->counters.lost);
	out->unwritten = sp_read(&events->counters.unwritten);
	out->write_errors = sp_read(&events->counters.write_errors);
	out->audit_lost = sp_read(&events->counters.audit_lost);
}
