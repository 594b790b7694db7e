/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The event writer: a thread that empties the workers' event rings and writes EVE JSON lines (eve.h) to a file and to whoever reads along,
 * with statistics and audit lines among them. It never makes a worker wait: what it cannot keep up with is lost in the ring and counted
 * there.
 */
#ifndef SP_MGMT_EVENTS_H
#define SP_MGMT_EVENTS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/dataplane.h"
#include "mgmt/event_stream.h"
#include "rules/ruleset.h"

struct sp_events;
struct sp_mgmt;

struct sp_events_counters {
	uint64_t written, bytes; /* lines that reached the file */
	uint64_t lost;           /* events that found a worker's ring full */
	uint64_t unwritten;      /* lines that the file did not take: disk full, I/O error */
	uint64_t write_errors;   /* failed attempts to write, open or rotate */
	uint64_t rotated;        /* files that were full */
	uint64_t audit_lost;     /* audit and port lines that found the queue full */
	uint64_t readers;        /* gauge: those who read along (event_stream.h) */
	uint64_t shed;           /* lines that such readers did not take in time */
};

struct sp_events_config {
	const char *path;      /* appended to, made with mode 0640; NULL: no file */
	uint64_t rotate_bytes; /* as for sp_eve_file_open */
	unsigned int keep;
	unsigned int stats_interval_sec; /* a stats line so often, once sp_events_set_stats has said what goes into it; 0: never */
};

/*
 * Opens the file and starts the thread, which must not run on a worker's core: it inherits the caller's affinity. The dataplane must
 * outlive it. NULL with a one-line reason that says what to do in why. Control thread.
 */
struct sp_events *sp_events_start(struct sp_dataplane *dataplane, const struct sp_events_config *config, char *why, size_t why_size);

/* Where readers of live events come in; sp_streams_close before sp_events_stop. */
struct sp_streams *sp_events_streams(struct sp_events *events);

/* The errno for which the file takes no lines at present; 0 when it does, and for NULL. Any thread. */
int sp_events_failing(const struct sp_events *events);

/*
 * `stats` makes the object of each stats line: sp_stats_json with its sp_mgmt as context. It is called on the event thread until
 * sp_events_stop returns; NULL from it leaves the line out. Control thread, once, right after start.
 */
void sp_events_set_stats(struct sp_events *events, json_t *(*stats)(struct sp_mgmt *mgmt), struct sp_mgmt *mgmt);

/* Takes what is in the rings and the queue, writes it, ends the thread, frees. NULL is fine. Blocks; no event may be posted any more. */
void sp_events_stop(struct sp_events *events);

/* Asks the thread to open the file anew, after a rotation. Any thread, async-signal-safe. NULL is fine. */
void sp_events_reopen(struct sp_events *events);

/*
 * Adds an audit line, {"timestamp", "event_type": "audit", "audit": fields}: who changed what. Steals the reference to `fields`, a JSON
 * object. Any thread but a worker; a full queue (1,024 lines) loses the line and counts it. Both may be NULL: nothing happens.
 */
void sp_events_audit(struct sp_events *events, json_t *fields);

/* The same for what happened to a port: event_type "port". */
void sp_events_port(struct sp_events *events, json_t *fields);

/*
 * Copies the pattern ids, messages and profile names that alert lines carry; call it after a publish, while the ruleset lives. Ids that
 * were known and are no longer keep their text, for their alerts may still be in a ring, until the call after this one. 0 or -ENOMEM: the
 * former ones stay. Control thread.
 */
int sp_events_set_signatures(struct sp_events *events, const struct sp_ruleset *ruleset);

/* Any thread. NULL gives zeroes. */
void sp_events_counters(const struct sp_events *events, struct sp_events_counters *out);

#endif
