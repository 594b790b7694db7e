/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One lock guards everything and is held for a copy, never for I/O. It may be held while libmicrohttpd's own locks are taken (sleep and
 * wake suspend and resume a connection); libmicrohttpd holds none of these while it calls us, so the order is always this one.
 */
#define _GNU_SOURCE
#include "mgmt/event_stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/stats.h"
#include "mgmt/eve.h"

#define NS_PER_SEC ((uint64_t)1000 * 1000 * 1000)
#define PROBE_NS   NS_PER_SEC
#define CLOSE_NS   (NS_PER_SEC / 2)

struct sp_stream_reader {
	struct sp_streams *streams;
	struct sp_stream_filter filter;
	struct sp_stream_wait wait;
	char *queue; /* ring of bytes: used ones from head on */
	size_t head, used;
	uint64_t shed;     /* lines lost since the last that was queued */
	uint64_t probe_ns; /* when to wake it although there is nothing */
	bool asleep;
};

struct sp_streams {
	pthread_mutex_t lock;
	pthread_cond_t left; /* a reader has gone */
	struct sp_stream_reader *readers[SP_STREAM_READERS_MAX];
	unsigned int n; /* also read without the lock */
	bool closed;
	uint64_t shed;
};

const char *const sp_line_type_names[SP_LINE_TYPES] = {
	[SP_LINE_FLOW] = "flow",
	[SP_LINE_DROP] = "drop",
	[SP_LINE_ALERT] = "alert",
	[SP_LINE_STATS] = "stats",
	[SP_LINE_AUDIT] = "audit",
	[SP_LINE_DEFENCE] = "defence",
	[SP_LINE_NAT] = "nat",
	[SP_LINE_PORT] = "port",
};

struct sp_streams *sp_streams_create(void)
{
	struct sp_streams *streams = calloc(1, sizeof(*streams));
	pthread_condattr_t attr;

	if (!streams)
		return NULL;
	pthread_mutex_init(&streams->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&streams->left, &attr);
	pthread_condattr_destroy(&attr);
	return streams;
}

void sp_streams_free(struct sp_streams *streams)
{
	if (!streams)
		return;
	pthread_cond_destroy(&streams->left);
	pthread_mutex_destroy(&streams->lock);
	free(streams);
}

unsigned int sp_streams_readers(const struct sp_streams *streams)
{
	return __atomic_load_n(&streams->n, __ATOMIC_RELAXED);
}

uint64_t sp_streams_shed(const struct sp_streams *streams)
{
	return sp_read(&streams->shed);
}

/* --- the filter -------------------------------------------------------------------------------------------------------------- */

static bool in_range(const struct sp_addr_range *range, uint8_t family, const void *address)
{
	size_t bytes = family == SP_FAMILY_IPV4 ? 4 : 16;

	return range->lo.family == family && memcmp(range->lo.b, address, bytes) <= 0 && memcmp(address, range->hi.b, bytes) <= 0;
}

static bool has_address(const struct sp_key *key, const struct sp_addr_range *range)
{
	if (key->family == SP_FAMILY_IPV4)
		return in_range(range, key->family, &key->v4.src) || in_range(range, key->family, &key->v4.dst);
	if (key->family == SP_FAMILY_IPV6)
		return in_range(range, key->family, key->v6.src) || in_range(range, key->family, key->v6.dst);
	return false;
}

bool sp_stream_filter_matches(const struct sp_stream_filter *filter, const struct sp_line *line)
{
	if (filter->types != 0 && (filter->types & line->types) == 0)
		return false;
	if (filter->has_rule && (!line->event || line->event->rule != filter->rule))
		return false;
	return !filter->has_addr || (line->event && has_address(&line->event->key, &filter->addr));
}

/* --- the queue; with the lock held ------------------------------------------------------------------------------------------- */

static void append(struct sp_stream_reader *reader, const char *text, size_t len)
{
	size_t tail = (reader->head + reader->used) % SP_STREAM_QUEUE_BYTES;
	size_t first = len < SP_STREAM_QUEUE_BYTES - tail ? len : SP_STREAM_QUEUE_BYTES - tail;

	memcpy(reader->queue + tail, text, first);
	memcpy(reader->queue, text + first, len - first);
	reader->used += len;
}

/* Says how many are missing. There is room: it is called with half of the queue free. */
static void tell_shed(struct sp_stream_reader *reader)
{
	char line[SP_EVE_LOST_MAX];

	append(reader, line, sp_eve_lost(reader->shed, "reader", line));
	reader->shed = 0;
}

/*
 * Once full, a queue stays closed until half of it is free: a reader gets long stretches with few gaps instead of a gap after every line.
 */
static void enqueue(struct sp_stream_reader *reader, const struct sp_line *line)
{
	bool shedding = reader->shed > 0 && reader->used > SP_STREAM_QUEUE_BYTES / 2;

	if (shedding || line->len > SP_STREAM_QUEUE_BYTES - SP_EVE_LOST_MAX ||
		reader->used > SP_STREAM_QUEUE_BYTES - SP_EVE_LOST_MAX - line->len) {
		reader->shed++;
		sp_count(&reader->streams->shed, 1);
		return;
	}
	/* Lines leave room for this one. */
	if (reader->shed > 0)
		tell_shed(reader);
	append(reader, line->text, line->len);
}

/* --- the writer's side ------------------------------------------------------------------------------------------------------- */

void sp_streams_put(struct sp_streams *streams, const struct sp_line *line)
{
	if (sp_streams_readers(streams) == 0)
		return;
	pthread_mutex_lock(&streams->lock);
	for (unsigned int i = 0; i < streams->n; i++)
		if (sp_stream_filter_matches(&streams->readers[i]->filter, line))
			enqueue(streams->readers[i], line);
	pthread_mutex_unlock(&streams->lock);
}

static void wake(struct sp_stream_reader *reader)
{
	if (!reader->asleep)
		return;
	reader->asleep = false;
	reader->wait.wake(reader->wait.context);
}

void sp_streams_wake(struct sp_streams *streams, uint64_t now_ns)
{
	if (sp_streams_readers(streams) == 0)
		return;
	pthread_mutex_lock(&streams->lock);
	for (unsigned int i = 0; i < streams->n; i++) {
		struct sp_stream_reader *reader = streams->readers[i];

		if (reader->used == 0 && reader->shed == 0 && now_ns < reader->probe_ns)
			continue;
		reader->probe_ns = now_ns + PROBE_NS;
		wake(reader);
	}
	pthread_mutex_unlock(&streams->lock);
}

void sp_streams_close(struct sp_streams *streams)
{
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += CLOSE_NS;
	if (until.tv_nsec >= (long)NS_PER_SEC) {
		until.tv_nsec -= NS_PER_SEC;
		until.tv_sec++;
	}
	pthread_mutex_lock(&streams->lock);
	streams->closed = true;
	for (unsigned int i = 0; i < streams->n; i++)
		wake(streams->readers[i]);
	while (streams->n > 0 && err == 0)
		err = pthread_cond_timedwait(&streams->left, &streams->lock, &until);
	pthread_mutex_unlock(&streams->lock);
}

/* --- the reader's side ------------------------------------------------------------------------------------------------------- */

struct sp_stream_reader *sp_stream_open(
	struct sp_streams *streams, const struct sp_stream_filter *filter, const struct sp_stream_wait *wait)
{
	struct sp_stream_reader *reader = calloc(1, sizeof(*reader));
	char *queue = malloc(SP_STREAM_QUEUE_BYTES);
	int err = ENOMEM;

	if (!reader || !queue)
		goto err_free;
	*reader = (struct sp_stream_reader){.streams = streams, .filter = *filter, .wait = *wait, .queue = queue};
	pthread_mutex_lock(&streams->lock);
	err = streams->closed ? ESHUTDOWN : streams->n == SP_STREAM_READERS_MAX ? EAGAIN : 0;
	if (err == 0) {
		streams->readers[streams->n] = reader;
		__atomic_store_n(&streams->n, streams->n + 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&streams->lock);
	if (err == 0)
		return reader;

err_free:
	free(queue);
	free(reader);
	errno = err;
	return NULL;
}

void sp_stream_close(struct sp_stream_reader *reader)
{
	struct sp_streams *streams = reader->streams;
	unsigned int i = 0;

	pthread_mutex_lock(&streams->lock);
	while (streams->readers[i] != reader)
		i++;
	streams->readers[i] = streams->readers[streams->n - 1];
	__atomic_store_n(&streams->n, streams->n - 1, __ATOMIC_RELAXED);
	pthread_cond_signal(&streams->left);
	pthread_mutex_unlock(&streams->lock);
	free(reader->queue);
	free(reader);
}

ssize_t sp_stream_take(struct sp_stream_reader *reader, char *buf, size_t max)
{
	struct sp_streams *streams = reader->streams;
	size_t n, first;
	ssize_t result;

	pthread_mutex_lock(&streams->lock);
	/* The loss that nothing followed yet. */
	if (reader->used == 0 && reader->shed > 0)
		tell_shed(reader);
	n = reader->used < max ? reader->used : max;
	first = n < SP_STREAM_QUEUE_BYTES - reader->head ? n : SP_STREAM_QUEUE_BYTES - reader->head;
	memcpy(buf, reader->queue + reader->head, first);
	memcpy(buf + first, reader->queue, n - first);
	reader->head = (reader->head + n) % SP_STREAM_QUEUE_BYTES;
	reader->used -= n;
	result = (ssize_t)n;
	if (n == 0 && streams->closed) {
		result = -1;
	} else if (n == 0) {
		/* In this order: wake must find a connection that sleeps. */
		reader->wait.sleep(reader->wait.context);
		reader->asleep = true;
	}
	pthread_mutex_unlock(&streams->lock);
	return result;
}
