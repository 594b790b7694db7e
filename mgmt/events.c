/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One thread owns the file and the buffer. Others reach it through: the rings (workers), the audit queue and the signature tables (each
 * under the mutex, held for a copy or a search), the streams, two flags, and counters that it alone writes.
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
#include "mgmt/eve_file.h"
#include "mgmt/reply.h"

#define BUFFER_BYTES ((size_t)1024 * 1024)
#define BATCH        64 /* events taken from a ring at once */
#define AUDIT_MAX    1024
#define IDLE_NS      (10 * 1000 * 1000)
#define NS_PER_SEC   ((uint64_t)1000 * 1000 * 1000)
#define LOST_NS      NS_PER_SEC                       /* between two lines that tell of full rings */
#define DRAIN_ROUNDS (4 * SP_EVENT_RING_SIZE / BATCH) /* at the end: more than a full ring needs */

struct signatures {
	struct sp_eve_signature *v; /* sorted by id; strings follow the array in the same allocation */
	size_t n;
};

struct sp_events {
	struct sp_dataplane *dataplane;
	struct sp_streams *streams; /* has a lock of its own */
	uint64_t stats_ns;
	pthread_t thread;
	uint32_t stop, reopen; /* flags, atomic */

	pthread_mutex_t lock; /* guards what follows up to `file` */
	struct signatures current, former;
	struct told {
		char *text; /* with its newline */
		enum sp_line_type type;
	} audit[AUDIT_MAX];
	unsigned int audit_head, audit_n;
	json_t *(*stats)(struct sp_mgmt *mgmt);
	struct sp_mgmt *mgmt;

	struct sp_eve_file file; /* from here on the thread's own; counters are read by others, relaxed */
	char *buf;
	size_t used;
	uint64_t lines; /* in buf */
	uint64_t next_stats_ns, next_lost_ns;
	uint64_t told_lost; /* of `lost`, what a line has told */
	uint64_t lost, audit_lost;
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

/* --- lines ------------------------------------------------------------------------------------------------------------------- */

/* Empties the buffer into the file, or loses it. */
static void flush(struct sp_events *events)
{
	sp_eve_file_write(&events->file, events->buf, events->used, events->lines, monotonic_ns());
	events->used = 0;
	events->lines = 0;
}

/* Whether anybody wants lines. */
static bool is_read(const struct sp_events *events)
{
	return events->file.path || sp_streams_readers(events->streams) > 0;
}

/* Adds a whole line to the buffer, and to the queues of those who read along; longer ones than the buffer do not occur. */
static void put_line(struct sp_events *events, const struct sp_line *line)
{
	sp_streams_put(events->streams, line);
	if (!events->file.path || line->len > BUFFER_BYTES)
		return;
	if (events->used + line->len > BUFFER_BYTES)
		flush(events);
	memcpy(events->buf + events->used, line->text, line->len);
	events->used += line->len;
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
	static const uint32_t types[] = {[SP_EVENT_FLOW_START] = SP_LINE_BIT(SP_LINE_FLOW),
		[SP_EVENT_FLOW_END] = SP_LINE_BIT(SP_LINE_FLOW),
		[SP_EVENT_DROP] = SP_LINE_BIT(SP_LINE_DROP),
		[SP_EVENT_ALERT] = SP_LINE_BIT(SP_LINE_ALERT),
		[SP_EVENT_DEFENCE] = SP_LINE_BIT(SP_LINE_DEFENCE),
		[SP_EVENT_NAT] = SP_LINE_BIT(SP_LINE_NAT)};
	const struct sp_dataplane *dataplane = events->dataplane;
	struct sp_eve_names names = {.port = event->port < dataplane->n_ports ? dataplane->ports[event->port].name : NULL};
	char text[SP_EVE_LINE_MAX];
	struct sp_line line = {.text = text, .event = event};

	if (event->type >= sizeof(types) / sizeof(types[0]))
		return;
	if (event->type == SP_EVENT_ALERT) {
		names.signature = search(&events->current, event->signature);
		if (!names.signature)
			names.signature = search(&events->former, event->signature);
	}
	line.types = types[event->type];
	line.len = sp_eve_format(event, &names, sp_wall_ns(dataplane, event->tsc), text);
	put_line(events, &line);
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
		if (n == 0 || !is_read(events))
			continue;
		/* Room first: nobody waits for the disk behind the lock, which keeps the signature tables in place. */
		if (BUFFER_BYTES - events->used < BATCH * SP_EVE_LINE_MAX)
			flush(events);
		pthread_mutex_lock(&events->lock);
		for (unsigned int i = 0; i < n; i++)
			put_event(events, &batch[i]);
		pthread_mutex_unlock(&events->lock);
	}
	__atomic_store_n(&events->lost, lost, __ATOMIC_RELAXED);
	return total;
}

/* Rings that were full leave a gap: said once a second at most. */
static void tell_lost(struct sp_events *events, uint64_t now_ns)
{
	uint64_t n = events->lost - events->told_lost;
	char text[SP_EVE_LOST_MAX];
	struct sp_line line = {.text = text,
		.types = SP_LINE_BIT(SP_LINE_FLOW) | SP_LINE_BIT(SP_LINE_DROP) | SP_LINE_BIT(SP_LINE_ALERT) | SP_LINE_BIT(SP_LINE_DEFENCE) |
			 SP_LINE_BIT(SP_LINE_NAT)};

	if (n == 0 || now_ns < events->next_lost_ns || !is_read(events))
		return;
	line.len = sp_eve_lost(n, "ring", text);
	put_line(events, &line);
	events->told_lost += n;
	events->next_lost_ns = now_ns + LOST_NS;
}

static void put_text(struct sp_events *events, const char *text, enum sp_line_type type)
{
	const struct sp_line line = {.text = text, .len = strlen(text), .types = SP_LINE_BIT(type)};

	put_line(events, &line);
}

static unsigned int take_audit(struct sp_events *events)
{
	struct told lines[BATCH];
	unsigned int n = 0;

	pthread_mutex_lock(&events->lock);
	while (n < BATCH && events->audit_n > 0) {
		lines[n++] = events->audit[events->audit_head];
		events->audit_head = (events->audit_head + 1) % AUDIT_MAX;
		events->audit_n--;
	}
	pthread_mutex_unlock(&events->lock);
	for (unsigned int i = 0; i < n; i++) {
		put_text(events, lines[i].text, lines[i].type);
		free(lines[i].text);
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
	body = stats && is_read(events) ? stats(mgmt) : NULL;
	line = body ? make_line("stats", body) : NULL;
	if (line)
		put_text(events, line, SP_LINE_STATS);
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

		tell_lost(events, now_ns);
		put_stats(events, now_ns);
		sp_streams_wake(events->streams, now_ns);
		flush(events);
		if (__atomic_exchange_n(&events->reopen, 0, __ATOMIC_ACQ_REL))
			sp_eve_file_reopen(&events->file, now_ns);
		sp_eve_file_tick(&events->file, now_ns, false);
		if (n == 0)
			nanosleep(&idle, NULL);
	}
	for (unsigned int i = 0; i < DRAIN_ROUNDS && take_events(events) + take_audit(events) > 0; i++)
		;
	events->next_lost_ns = 0;
	tell_lost(events, monotonic_ns());
	flush(events);
	sp_eve_file_tick(&events->file, monotonic_ns(), true);
	return NULL;
}

/* --- what others call -------------------------------------------------------------------------------------------------------- */

static void release(struct sp_events *events)
{
	sp_eve_file_close(&events->file);
	for (; events->audit_n > 0; events->audit_n--) {
		free(events->audit[events->audit_head].text);
		events->audit_head = (events->audit_head + 1) % AUDIT_MAX;
	}
	free(events->current.v);
	free(events->former.v);
	pthread_mutex_destroy(&events->lock);
	free(events->buf);
	sp_streams_free(events->streams);
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

struct sp_events *sp_events_start(struct sp_dataplane *dataplane, const struct sp_events_config *config, char *why, size_t why_size)
{
	struct sp_events *events = calloc(1, sizeof(*events));
	int err;

	if (!events) {
		snprintf(why, why_size, "out of memory for the event writer");
		return NULL;
	}
	pthread_mutex_init(&events->lock, NULL);
	events->dataplane = dataplane;
	events->stats_ns = config->stats_interval_sec * NS_PER_SEC;
	events->file.fd = -1;
	events->buf = malloc(BUFFER_BYTES);
	events->streams = sp_streams_create();
	if (!events->buf || !events->streams) {
		snprintf(why, why_size, "out of memory for the event writer");
		goto err_release;
	}
	err = sp_eve_file_open(&events->file, config->path, config->rotate_bytes, config->keep);
	if (err != 0) {
		snprintf(why, why_size, "%s: cannot write events: %s; make its folder writable, or set log.eve in the configuration",
			config->path, strerror(-err));
		goto err_release;
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

struct sp_streams *sp_events_streams(struct sp_events *events)
{
	return events->streams;
}

int sp_events_failing(const struct sp_events *events)
{
	return events ? sp_eve_file_failing(&events->file) : 0;
}

void sp_events_reopen(struct sp_events *events)
{
	if (events)
		__atomic_store_n(&events->reopen, 1, __ATOMIC_RELEASE);
}

/* A line of its own, in the order in which such lines come; steals fields. */
static void tell(struct sp_events *events, enum sp_line_type type, json_t *fields)
{
	char *line;
	bool queued;

	if (!events || !fields) {
		json_decref(fields);
		return;
	}
	line = make_line(sp_line_type_names[type], fields);
	pthread_mutex_lock(&events->lock);
	queued = line && events->audit_n < AUDIT_MAX;
	if (queued)
		events->audit[(events->audit_head + events->audit_n++) % AUDIT_MAX] = (struct told){line, type};
	pthread_mutex_unlock(&events->lock);
	if (!queued) {
		__atomic_fetch_add(&events->audit_lost, 1, __ATOMIC_RELAXED);
		free(line);
	}
}

void sp_events_audit(struct sp_events *events, json_t *fields)
{
	tell(events, SP_LINE_AUDIT, fields);
}

void sp_events_port(struct sp_events *events, json_t *fields)
{
	tell(events, SP_LINE_PORT, fields);
}

void sp_events_counters(const struct sp_events *events, struct sp_events_counters *out)
{
	memset(out, 0, sizeof(*out));
	if (!events)
		return;
	out->written = sp_read(&events->file.counters.written);
	out->bytes = sp_read(&events->file.counters.bytes);
	out->unwritten = sp_read(&events->file.counters.unwritten);
	out->write_errors = sp_read(&events->file.counters.write_errors);
	out->rotated = sp_read(&events->file.counters.rotated);
	out->lost = sp_read(&events->lost);
	out->audit_lost = sp_read(&events->audit_lost);
	out->readers = sp_streams_readers(events->streams);
	out->shed = sp_streams_shed(events->streams);
}
