/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events as EVE JSON lines, with Suricata's names (docs.suricata.io, "EVE JSON Format"), so that what reads Suricata's eve.json reads
 * these. Pure formatting: no files, no threads.
 */
#ifndef SP_MGMT_EVE_H
#define SP_MGMT_EVE_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/event.h"

/* Every line of a flow, drop, alert or defence event fits, whatever the names in it: those are cut to SP_EVE_TEXT_MAX bytes of JSON. */
#define SP_EVE_LINE_MAX 4096
#define SP_EVE_TEXT_MAX 512

#define SP_EVE_TIME_SIZE 40
#define SP_EVE_LOST_MAX  160

struct sp_eve_signature {
	uint32_t id;
	const char *msg;
	const char *category; /* name of the inspect profile */
};

struct sp_eve_names {
	const char *port;                         /* name of the ingress port; NULL: unknown */
	const struct sp_eve_signature *signature; /* of an alert; NULL: unknown */
};

/*
 * Formats one event that happened at wall clock wall_ns (since the epoch) as a line with its newline into buf (at least SP_EVE_LINE_MAX
 * bytes). Returns its length; no terminating NUL counts.
 */
size_t sp_eve_format(const struct sp_event *event, const struct sp_eve_names *names, uint64_t wall_ns, char *buf);

/*
 * A line that says that `n` lines or events are missing here, {"timestamp", "event_type": "lost", "lost": n, "where": where}, at this
 * moment's time into buf (at least SP_EVE_LOST_MAX bytes). `where` is "ring" (a worker's, never made into lines), "file" or "reader".
 * Returns its length.
 */
size_t sp_eve_lost(uint64_t n, const char *where, char *buf);

/* "2025-01-31T12:00:00.123456+0100" in local time into buf (SP_EVE_TIME_SIZE); returns buf. */
char *sp_eve_time(uint64_t wall_ns, char *buf);

/*
 * Community ID version 1 with seed 0 (github.com/corelight/community-id-spec) of an IPv4 or IPv6 key into buf (at least 32 bytes): "1:" and
 * 28 characters. The same for both directions. Empty for other families.
 */
char *sp_community_id(const struct sp_key *key, char *buf);

#endif
