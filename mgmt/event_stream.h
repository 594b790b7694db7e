/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who reads events as they happen: each reader has a filter and a bounded queue of whole lines. The event writer puts lines in, the API
 * thread takes bytes out; a reader that does not keep up loses lines, is told how many at the place where they are missing, and costs
 * nobody else anything.
 */
#ifndef SP_MGMT_EVENT_STREAM_H
#define SP_MGMT_EVENT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "dataplane/event.h"
#include "rules/addr.h"

#define SP_STREAM_READERS_MAX 8
#define SP_STREAM_QUEUE_BYTES ((size_t)512 * 1024) /* of each reader */

enum sp_line_type {
	SP_LINE_FLOW,
	SP_LINE_DROP,
	SP_LINE_ALERT,
	SP_LINE_STATS,
	SP_LINE_AUDIT,
	SP_LINE_DEFENCE,
	SP_LINE_NAT,
	SP_LINE_PORT,
	SP_LINE_TYPES
};

extern const char *const sp_line_type_names[SP_LINE_TYPES]; /* as event_type says them */

#define SP_LINE_BIT(type) (1u << (type))

struct sp_line {
	const char *text; /* ends in a newline */
	size_t len;
	uint32_t types;               /* bits of what it is, or of what it tells the loss of */
	const struct sp_event *event; /* NULL: it has no rule and no address */
};

struct sp_stream_filter {
	uint32_t types; /* bits; 0: all */
	bool has_rule, has_addr;
	uint32_t rule;             /* id; 0: the default */
	struct sp_addr_range addr; /* source or destination */
};

struct sp_streams;
struct sp_stream_reader;

/* How a reader waits for lines. Both are called with the streams' lock held, and wake follows each sleep once. */
struct sp_stream_wait {
	void (*sleep)(void *context); /* on the thread of sp_stream_take */
	void (*wake)(void *context);  /* on any thread */
	void *context;
};

/* NULL without memory. */
struct sp_streams *sp_streams_create(void);

/* No reader may be left. NULL is fine. */
void sp_streams_free(struct sp_streams *streams);

/* How many read. Any thread. */
unsigned int sp_streams_readers(const struct sp_streams *streams);

/* Lines that readers lost since the start. Any thread. */
uint64_t sp_streams_shed(const struct sp_streams *streams);

/* Gives the line to each reader whose filter matches; never waits for one. */
void sp_streams_put(struct sp_streams *streams, const struct sp_line *line);

/* Wakes readers that wait and have something to take, and each once a second, so that it can look whether its client is still there. */
void sp_streams_wake(struct sp_streams *streams, uint64_t now_ns);

/* Takes no more readers, ends those there are once they have taken what is queued, and waits for that up to half a second. */
void sp_streams_close(struct sp_streams *streams);

/*
 * Adds a reader. NULL with errno: EAGAIN when SP_STREAM_READERS_MAX read, ESHUTDOWN after sp_streams_close, ENOMEM. API thread.
 */
struct sp_stream_reader *sp_stream_open(
	struct sp_streams *streams, const struct sp_stream_filter *filter, const struct sp_stream_wait *wait);

/* Removes it; neither sleep nor wake is called afterwards. API thread. */
void sp_stream_close(struct sp_stream_reader *reader);

/* Copies up to max bytes. 0: there is nothing, and sleep was called. -1: no more will come. API thread. */
ssize_t sp_stream_take(struct sp_stream_reader *reader, char *buf, size_t max);

/* Whether a line of this content passes the filter. */
bool sp_stream_filter_matches(const struct sp_stream_filter *filter, const struct sp_line *line);

#endif
