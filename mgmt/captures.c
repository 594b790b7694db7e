/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two threads: the API thread makes captures and forgets stopped ones, the writer thread does everything in between. The list and what
 * workers see (dataplane->captures) change under `lock`, which is never held while anything is written; a capture's file and rings belong
 * to the writer until its state is STATE_STOPPED.
 *
 * A capture ends in this order: out of the set that workers load, grace (QSBR), the last copies out of its rings, file closed, rings freed.
 * A worker that never answers keeps the rings, and costs memory and not the firewall.
 */
#define _GNU_SOURCE 1 /* pthread_setname_np */
#include "mgmt/captures.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/worker.h"
#include "mgmt/capture_file.h"
#include "mgmt/packet_file.h"
#include "mgmt/publish.h"
#include "mgmt/reply.h"
#include "rules/fields.h"

#define BATCH      256     /* copies taken from a ring before the next one's turn */
#define IDLE_NS    2000000 /* between looks at rings that were empty */
#define NS_PER_SEC 1000000000u

enum state { STATE_RUNNING, STATE_STOPPING, STATE_STOPPED };

/* Why a capture ended: X(enumerator, name). */
#define WHYS(X)                   \
	X(NONE, NULL)             \
	X(PACKETS, "max_packets") \
	X(BYTES, "max_bytes")     \
	X(TIME, "max_seconds")    \
	X(REQUEST, "request")     \
	X(SHUTDOWN, "shutdown")   \
	X(DISK_FULL, "disk-full") \
	X(WRITE_ERROR, "write-error")

enum why {
#define X(e, n) WHY_##e,
	WHYS(X)
#undef X
};

static const char *const state_names[] = {[STATE_RUNNING] = "running", [STATE_STOPPING] = "stopping", [STATE_STOPPED] = "stopped"};
static const char *const why_names[] = {
#define X(e, n) [WHY_##e] = n,
	WHYS(X)
#undef X
};

struct entry {
	struct entry *next;
	uint32_t id;
	struct sp_captures_request request; /* filter is owned */
	uint64_t started_ns;                /* wall clock */
	uint64_t deadline_ns;               /* monotonic */
	struct sp_capture_file file;
	struct sp_capture *capture; /* NULL once stopped */
	uint64_t token;             /* of rte_rcu_qsbr_start, when STATE_STOPPING */
	uint64_t unwritten;         /* copies that the file did not take; the writer's */
	/* written by the writer, relaxed readers */
	uint64_t lost, ended_ns;
	uint32_t why;
	uint32_t state; /* enum state; the change to STATE_STOPPED is the writer's last touch (release) */
	uint32_t asked; /* DELETE wants it stopped */
};

/* A set that workers may still look at. */
struct retired {
	struct retired *next;
	struct sp_capture_set *set;
	uint64_t token;
};

struct sp_captures {
	struct sp_dataplane *dataplane;
	char *folder;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct entry *entries;                /* under lock */
	struct retired *retired;              /* under lock */
	uint32_t last_id;                     /* API thread */
	bool stop;                            /* under lock */
	struct sp_captures_counters counters; /* the writer's; relaxed readers */
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

/* --- what workers see ---------------------------------------------------------------------------------------------------------- */

static bool is_quiescent(const struct sp_captures *captures, uint64_t token)
{
	struct rte_rcu_qsbr *qsbr = captures->dataplane->qsbr;

	return qsbr == NULL || rte_rcu_qsbr_check(qsbr, token, false) == 1;
}

/*
 * Publishes the set of running captures, with `more` (may be NULL) at its end, and retires the old one. 0 with the token to wait for in
 * *token, or -ENOMEM: workers see what they saw. Under lock.
 */
static int publish(struct sp_captures *captures, struct sp_capture *more, uint64_t *token)
{
	struct sp_dataplane *dataplane = captures->dataplane;
	struct sp_capture_set *set = calloc(1, sizeof(*set)), *old = dataplane->captures;
	struct retired *retired = calloc(1, sizeof(*retired));

	if (set == NULL || retired == NULL) {
		free(set);
		free(retired);
		return -ENOMEM;
	}
	for (const struct entry *entry = captures->entries; entry != NULL; entry = entry->next)
		if (entry->state == STATE_RUNNING)
			set->capture[set->n++] = entry->capture;
	if (more != NULL)
		set->capture[set->n++] = more;
	for (unsigned int c = 0; c < set->n; c++) {
		set->points |= set->capture[c]->points;
		set->trace |= set->capture[c]->trace;
	}
	if (set->n == 0) {
		free(set);
		set = NULL;
	}
	__atomic_store_n(&dataplane->captures, set, __ATOMIC_RELEASE);
	*token = dataplane->qsbr != NULL ? rte_rcu_qsbr_start(dataplane->qsbr) : 0;
	*retired = (struct retired){captures->retired, old, *token};
	captures->retired = retired;
	return 0;
}

/* Frees sets that nobody looks at any more. Under lock. */
static void free_retired(struct sp_captures *captures, bool all)
{
	for (struct retired **link = &captures->retired; *link != NULL;) {
		struct retired *retired = *link;

		if (!all && !is_quiescent(captures, retired->token)) {
			link = &retired->next;
			continue;
		}
		*link = retired->next;
		free(retired->set);
		free(retired);
	}
}

/* --- the writer ------------------------------------------------------------------------------------------------------------------ */

static void set_why(struct entry *entry, enum why why)
{
	if (entry->why == WHY_NONE)
		__atomic_store_n(&entry->why, why, __ATOMIC_RELAXED);
}

/* Whether copies still go into the file: also those made before a request or the end of its time took effect. */
static bool accepts(const struct entry *entry)
{
	return entry->why == WHY_NONE || entry->why == WHY_TIME || entry->why == WHY_REQUEST || entry->why == WHY_SHUTDOWN;
}

static void flush(struct sp_captures *captures, struct entry *entry)
{
	uint64_t bytes = entry->file.bytes, packets = entry->file.packets, lost;
	int rc = sp_capture_file_flush(&entry->file, &lost);

	sp_count(&captures->counters.bytes, entry->file.bytes - bytes);
	sp_count(&captures->counters.packets, entry->file.packets - packets);
	if (rc == 0)
		return;
	entry->unwritten += lost;
	sp_count(&captures->counters.write_errors, 1);
	/* What ended it first stays the reason, unless copies were still to be written. */
	if (accepts(entry))
		__atomic_store_n(&entry->why, rc == -ENOSPC || rc == -EDQUOT ? WHY_DISK_FULL : WHY_WRITE_ERROR, __ATOMIC_RELAXED);
}

/* One copy into the file's buffer, where there is room for it, unless that would pass a bound. */
static void append(struct sp_captures *captures, struct entry *entry, const struct sp_capture_packet *copy)
{
	struct sp_capture_file *file = &entry->file;
	char comment[SP_PCAPNG_COMMENT_MAX + 1];
	const struct sp_pcapng_packet packet = {.interface = copy->port,
		.time_ns = sp_wall_ns(captures->dataplane, copy->tsc),
		.data = copy->data,
		.captured = copy->captured,
		.length = copy->length,
		.direction = copy->point == SP_CAPTURE_TX || copy->reason == SP_DROP_QUEUE_TX ? SP_PCAPNG_OUTBOUND : SP_PCAPNG_INBOUND,
		.comment = comment};
	size_t n;

	sp_packet_file_comment(captures->dataplane, copy, comment, sizeof(comment));
	n = sp_pcapng_packet(file->buf + file->used, sp_capture_file_room(file), &packet);
	if (file->bytes + file->used + n > entry->request.max_bytes) {
		set_why(entry, WHY_BYTES);
		return;
	}
	sp_capture_file_commit(file, n, 1);
	if (entry->request.max_packets != 0 && file->packets + file->buffered >= entry->request.max_packets)
		set_why(entry, WHY_PACKETS);
}

/* Takes at most BATCH copies of each ring; how many. */
static unsigned int take(struct sp_captures *captures, struct entry *entry)
{
	size_t block_max = entry->request.snaplen + SP_PCAPNG_PACKET_EXTRA;
	unsigned int taken = 0;
	uint64_t lost = 0;

	sp_published_get(captures->dataplane);
	for (unsigned int w = 0; w < entry->capture->n_rings; w++) {
		struct sp_capture_ring *ring = &entry->capture->rings[w];
		const struct sp_capture_packet *copy;

		for (unsigned int n = 0; n < BATCH && (copy = sp_capture_peek(ring)) != NULL; n++) {
			if (sp_capture_file_room(&entry->file) < block_max)
				break;
			if (accepts(entry))
				append(captures, entry, copy);
			else if (entry->why == WHY_DISK_FULL || entry->why == WHY_WRITE_ERROR)
				entry->unwritten++;
			sp_capture_next(ring);
			taken++;
		}
		lost += sp_read(&ring->lost);
	}
	sp_published_put();
	flush(captures, entry);
	lost += entry->unwritten;
	sp_count(&captures->counters.lost, lost - entry->lost);
	__atomic_store_n(&entry->lost, lost, __ATOMIC_RELAXED);
	return taken;
}

/* Takes the capture out of what workers see. Without memory it is tried again at the next look. */
static void unpublish(struct sp_captures *captures, struct entry *entry)
{
	pthread_mutex_lock(&captures->lock);
	entry->state = STATE_STOPPING;
	if (publish(captures, NULL, &entry->token) != 0)
		entry->state = STATE_RUNNING;
	pthread_mutex_unlock(&captures->lock);
}

/* No worker sees the capture any more. The API thread may free the entry once this returns. */
static void finish(struct sp_captures *captures, struct entry *entry)
{
	while (take(captures, entry) > 0)
		;
	sp_capture_file_close(&entry->file);
	sp_capture_free(entry->capture);
	entry->capture = NULL;
	__atomic_store_n(&entry->ended_ns, clock_ns(CLOCK_REALTIME), __ATOMIC_RELAXED);
	__atomic_store_n(&entry->state, STATE_STOPPED, __ATOMIC_RELEASE);
}

static unsigned int serve(struct sp_captures *captures, struct entry *entry, uint64_t now_ns)
{
	unsigned int taken = take(captures, entry);

	if (entry->state == STATE_RUNNING) {
		if (__atomic_load_n(&entry->asked, __ATOMIC_RELAXED) != 0)
			set_why(entry, WHY_REQUEST);
		else if (now_ns >= entry->deadline_ns)
			set_why(entry, WHY_TIME);
		if (entry->why != WHY_NONE)
			unpublish(captures, entry);
	} else if (is_quiescent(captures, entry->token)) {
		finish(captures, entry);
	}
	return taken;
}

/* The captures that are the writer's. */
static unsigned int collect(struct sp_captures *captures, struct entry **active)
{
	unsigned int n = 0;

	for (struct entry *entry = captures->entries; entry != NULL; entry = entry->next)
		if (entry->state != STATE_STOPPED)
			active[n++] = entry;
	return n;
}

static void *run(void *arg)
{
	static const struct timespec idle = {.tv_nsec = IDLE_NS};
	struct sp_captures *captures = arg;

	pthread_mutex_lock(&captures->lock);
	while (!captures->stop) {
		struct entry *active[SP_CAPTURES_MAX];
		unsigned int n = collect(captures, active), taken = 0;

		free_retired(captures, false);
		if (n == 0 && captures->retired == NULL) {
			pthread_cond_wait(&captures->wake, &captures->lock);
			continue;
		}
		pthread_mutex_unlock(&captures->lock);
		for (unsigned int i = 0; i < n; i++)
			taken += serve(captures, active[i], clock_ns(CLOCK_MONOTONIC));
		if (taken == 0)
			nanosleep(&idle, NULL);
		pthread_mutex_lock(&captures->lock);
	}
	pthread_mutex_unlock(&captures->lock);
	return NULL;
}

/* --- life ------------------------------------------------------------------------------------------------------------------------ */

static void free_entry(struct entry *entry)
{
	sp_capture_free(entry->capture);
	sp_capture_file_free(&entry->file);
	free((char *)(uintptr_t)entry->request.filter);
	free(entry);
}

struct sp_captures *sp_captures_start(struct sp_dataplane *dataplane, const char *folder, char *why, size_t why_size)
{
	struct sp_captures *captures = calloc(1, sizeof(*captures));
	sigset_t all, before;
	int err;

	if (captures == NULL || (captures->folder = strdup(folder)) == NULL) {
		snprintf(why, why_size, "out of memory for the capture writer");
		free(captures);
		return NULL;
	}
	captures->dataplane = dataplane;
	pthread_mutex_init(&captures->lock, NULL);
	pthread_cond_init(&captures->wake, NULL);
	/* Signals are for the control thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&captures->thread, NULL, run, captures);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err != 0) {
		snprintf(why, why_size, "cannot start the capture writer: %s", strerror(err));
		free(captures->folder);
		free(captures);
		return NULL;
	}
	pthread_setname_np(captures->thread, "captures");
	return captures;
}

void sp_captures_stop(struct sp_captures *captures)
{
	struct sp_capture_set *set;

	if (captures == NULL)
		return;
	pthread_mutex_lock(&captures->lock);
	captures->stop = true;
	pthread_cond_signal(&captures->wake);
	pthread_mutex_unlock(&captures->lock);
	pthread_join(captures->thread, NULL);
	set = captures->dataplane->captures;
	__atomic_store_n(&captures->dataplane->captures, NULL, __ATOMIC_RELEASE);
	free(set);
	free_retired(captures, true);
	while (captures->entries != NULL) {
		struct entry *entry = captures->entries;

		captures->entries = entry->next;
		if (entry->state != STATE_STOPPED) {
			set_why(entry, WHY_SHUTDOWN);
			finish(captures, entry);
		}
		free_entry(entry);
	}
	pthread_cond_destroy(&captures->wake);
	pthread_mutex_destroy(&captures->lock);
	free(captures->folder);
	free(captures);
}

/* --- for the API thread ------------------------------------------------------------------------------------------------------------ */

static int compile(const char *filter, struct bpf_program *program, char *why, size_t why_size)
{
	const struct sp_place place = {.file = "request"};
	struct sp_diags diags = {0};
	int rc;

	memset(program, 0, sizeof(*program));
	if (filter == NULL || filter[0] == '\0')
		return 0;
	if (strlen(filter) > SP_CAPTURES_FILTER_MAX) {
		snprintf(why, why_size, "the filter is over %u characters", SP_CAPTURES_FILTER_MAX);
		return -EINVAL;
	}
	rc = sp_bpf_compile(filter, &place, program, &diags);
	if (rc != 0)
		snprintf(why, why_size, "the filter does not compile: %s",
			diags.n > 0 ? diags.v[0].text + (strncmp(diags.v[0].text, "bpf: ", 5) == 0 ? 5 : 0) : "out of memory");
	sp_diags_clear(&diags);
	return rc;
}

static int open_file(struct sp_captures *captures, struct entry *entry, char *why, size_t why_size)
{
	char name[64], when[32];
	time_t sec = (time_t)(entry->started_ns / NS_PER_SEC);
	uint64_t lost;
	struct tm tm;
	size_t n;
	int rc;

	gmtime_r(&sec, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(name, sizeof(name), "%s-%u.pcapng", when, entry->id);
	rc = sp_capture_file_open(&entry->file, captures->folder, name);
	if (rc == 0) {
		n = sp_packet_file_head(captures->dataplane, entry->request.snaplen, entry->request.filter, entry->file.buf,
			RTE_MIN(SP_CAPTURE_FILE_BUFFER, SP_PACKET_FILE_HEAD_MAX));
		sp_capture_file_commit(&entry->file, n, 0);
		rc = sp_capture_file_flush(&entry->file, &lost);
		if (rc != 0)
			unlink(entry->file.path);
	}
	if (rc != 0)
		snprintf(why, why_size, "%s/%s cannot be written: %s; make room there, or set captures.folder in the configuration",
			captures->folder, name, strerror(-rc));
	return rc;
}

/* Whether one more may run and be listed. Under lock. */
static bool has_room(const struct sp_captures *captures)
{
	unsigned int listed = 0, running = 0;

	for (const struct entry *entry = captures->entries; entry != NULL; entry = entry->next) {
		listed++;
		running += __atomic_load_n(&entry->state, __ATOMIC_ACQUIRE) != STATE_STOPPED;
	}
	return listed < SP_CAPTURES_MAX && running < SP_CAPTURES_RUNNING;
}

static int fail_room(char *why, size_t why_size)
{
	snprintf(why, why_size, "%u captures run or %u are kept already: DELETE one", SP_CAPTURES_RUNNING, SP_CAPTURES_MAX);
	return -EAGAIN;
}

/* Lists the capture and lets workers see it. */
static int enlist(struct sp_captures *captures, struct entry *entry)
{
	struct entry **end = &captures->entries;
	uint64_t token;
	int rc;

	pthread_mutex_lock(&captures->lock);
	rc = publish(captures, entry->capture, &token);
	if (rc == 0) {
		while (*end != NULL)
			end = &(*end)->next;
		*end = entry;
		pthread_cond_signal(&captures->wake);
	}
	pthread_mutex_unlock(&captures->lock);
	return rc;
}

int sp_captures_create(struct sp_captures *captures, const struct sp_captures_request *request, uint32_t *id, char *why, size_t why_size)
{
	struct sp_capture_config config = {.points = request->points, .trace = request->trace, .snaplen = request->snaplen};
	struct entry *entry;
	bool room;
	int rc;

	pthread_mutex_lock(&captures->lock);
	room = has_room(captures);
	pthread_mutex_unlock(&captures->lock);
	if (!room)
		return fail_room(why, why_size);
	rc = compile(request->filter, &config.filter, why, why_size);
	if (rc != 0)
		return rc;
	snprintf(why, why_size, "out of memory for the capture");
	entry = calloc(1, sizeof(*entry));
	if (entry == NULL) {
		pcap_freecode(&config.filter);
		return -ENOMEM;
	}
	entry->file.fd = -1;
	entry->request = *request;
	entry->request.filter = request->filter != NULL && request->filter[0] != '\0' ? strdup(request->filter) : NULL;
	entry->id = captures->last_id + 1;
	entry->started_ns = clock_ns(CLOCK_REALTIME);
	entry->deadline_ns = clock_ns(CLOCK_MONOTONIC) + (uint64_t)request->max_seconds * NS_PER_SEC;
	entry->capture = sp_capture_create(&config, captures->dataplane->n_workers);
	if (entry->capture == NULL)
		pcap_freecode(&config.filter);
	if (entry->capture == NULL || (entry->request.filter == NULL && config.filter.bf_insns != NULL)) {
		rc = -ENOMEM;
		goto err_free;
	}
	rc = open_file(captures, entry, why, why_size);
	if (rc != 0)
		goto err_free;
	rc = enlist(captures, entry);
	if (rc != 0) {
		unlink(entry->file.path);
		goto err_free;
	}
	*id = captures->last_id = entry->id;
	return 0;

err_free:
	free_entry(entry);
	return rc;
}

static json_t *points_json(uint8_t points)
{
	json_t *array = json_array();

	if (points & SP_CAPTURE_RX)
		json_array_append_new(array, json_string("rx"));
	if (points & SP_CAPTURE_TX)
		json_array_append_new(array, json_string("tx"));
	if (points & SP_CAPTURE_DROP)
		json_array_append_new(array, json_string("drop"));
	return array;
}

static json_t *entry_json(const struct entry *entry)
{
	const struct sp_captures_request *request = &entry->request;
	enum why why = __atomic_load_n(&entry->why, __ATOMIC_RELAXED);
	json_t *json = json_object();

	json_object_set_new(json, "id", json_integer(entry->id));
	json_object_set_new(json, "state", json_string(state_names[__atomic_load_n(&entry->state, __ATOMIC_ACQUIRE)]));
	json_object_set_new(json, "why", sp_json_text(why_names[why]));
	json_object_set_new(json, "filter", sp_json_text(request->filter));
	json_object_set_new(json, "points", points_json(request->points));
	json_object_set_new(json, "trace", json_boolean(request->trace));
	json_object_set_new(json, "snaplen", json_integer(request->snaplen));
	json_object_set_new(json, "max_packets", request->max_packets != 0 ? sp_json_u64(request->max_packets) : json_null());
	json_object_set_new(json, "max_bytes", sp_json_u64(request->max_bytes));
	json_object_set_new(json, "max_seconds", json_integer(request->max_seconds));
	json_object_set_new(json, "file", sp_json_text(entry->file.path));
	json_object_set_new(json, "started", sp_json_time(entry->started_ns));
	json_object_set_new(json, "ended", sp_json_time(__atomic_load_n(&entry->ended_ns, __ATOMIC_RELAXED)));
	json_object_set_new(json, "packets", sp_json_u64(sp_read(&entry->file.packets)));
	json_object_set_new(json, "bytes", sp_json_u64(sp_read(&entry->file.bytes)));
	json_object_set_new(json, "lost", sp_json_u64(sp_read(&entry->lost)));
	return json;
}

/* Under lock. */
static struct entry **find(struct sp_captures *captures, uint32_t id)
{
	struct entry **link = &captures->entries;

	while (*link != NULL && (*link)->id != id)
		link = &(*link)->next;
	return link;
}

json_t *sp_captures_one_json(struct sp_captures *captures, uint32_t id)
{
	const struct entry *entry;
	json_t *json;

	pthread_mutex_lock(&captures->lock);
	entry = *find(captures, id);
	json = entry != NULL ? entry_json(entry) : NULL;
	pthread_mutex_unlock(&captures->lock);
	return json;
}

json_t *sp_captures_json(struct sp_captures *captures)
{
	json_t *array = json_array();

	pthread_mutex_lock(&captures->lock);
	for (const struct entry *entry = captures->entries; entry != NULL; entry = entry->next)
		json_array_append_new(array, entry_json(entry));
	pthread_mutex_unlock(&captures->lock);
	return array;
}

int sp_captures_delete(struct sp_captures *captures, uint32_t id)
{
	struct entry **link, *entry, *gone = NULL;
	int rc = -ENOENT;

	pthread_mutex_lock(&captures->lock);
	link = find(captures, id);
	entry = *link;
	if (entry != NULL && __atomic_load_n(&entry->state, __ATOMIC_ACQUIRE) == STATE_STOPPED) {
		*link = entry->next;
		gone = entry;
		rc = 1;
	} else if (entry != NULL) {
		__atomic_store_n(&entry->asked, 1, __ATOMIC_RELAXED);
		rc = 0;
	}
	pthread_mutex_unlock(&captures->lock);
	if (gone != NULL) {
		unlink(gone->file.path);
		free_entry(gone);
	}
	return rc;
}

int sp_captures_open(struct sp_captures *captures, uint32_t id, uint64_t *bytes)
{
	const struct entry *entry;
	int fd;

	pthread_mutex_lock(&captures->lock);
	entry = *find(captures, id);
	pthread_mutex_unlock(&captures->lock);
	/* Only this thread forgets entries. */
	if (entry == NULL)
		return -ENOENT;
	*bytes = sp_read(&entry->file.bytes);
	fd = open(entry->file.path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -EIO : -errno;
	return fd;
}

void sp_captures_counters(const struct sp_captures *captures, struct sp_captures_counters *out)
{
	memset(out, 0, sizeof(*out));
	if (captures == NULL)
		return;
	out->packets = sp_read(&captures->counters.packets);
	out->bytes = sp_read(&captures->counters.bytes);
	out->lost = sp_read(&captures->counters.lost);
	out->write_errors = sp_read(&captures->counters.write_errors);
}
