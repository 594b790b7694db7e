/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a worker defends itself: the SYN proxy takes over once too many connections are half open, and gives back when the flood is over;
 * time outs shrink while the session table fills. Both tell when they begin and end.
 *
 * A worker decides for itself, once a second and at each half-open connection too many: sessions fall on workers by a keyed hash, so a
 * flood meets all of them alike.
 */
#ifndef SP_DATAPLANE_DEFENCE_H
#define SP_DATAPLANE_DEFENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/session.h"

/* Whether SYNs are answered by cookies. */
enum sp_syn_proxy_mode { SP_SYN_PROXY_OFF, SP_SYN_PROXY_AUTO, SP_SYN_PROXY_ALWAYS, SP_SYN_PROXY_MODES };

extern const char *const sp_syn_proxy_mode_names[SP_SYN_PROXY_MODES]; /* "off", "auto", "always" */

/* What the configuration does not say. */
#define SP_FLOOD_EMBRYONIC_SHARE  8 /* of all sessions, one in so many may be half open */
#define SP_FLOOD_CALM_SEC         10
#define SP_FLOOD_MSS4             1460
#define SP_FLOOD_MSS6             1440
#define SP_FLOOD_WSCALE           7
#define SP_FLOOD_PRESSURE_START   60
#define SP_FLOOD_PRESSURE_END     95
#define SP_FLOOD_PRESSURE_MIN_SEC 2

/* The same for every worker; set before they are made, read-only afterwards. All zero: no proxy. */
struct sp_flood_config {
	uint8_t syn_proxy;       /* enum sp_syn_proxy_mode */
	uint8_t wscale;          /* window scale that the proxy offers to clients, 0..14 */
	uint16_t mss4, mss6;     /* segment sizes that it offers to clients */
	uint32_t embryonic_high; /* half-open connections of a worker at which the proxy engages (auto) */
	uint32_t embryonic_low;  /* below which it may disengage; less than embryonic_high */
	uint32_t calm_sec;       /* for how long it must have been calm */
};

/* A worker's part of what all may have half open together. */
struct sp_flood_config sp_flood_share(const struct sp_flood_config *all, unsigned int n_workers);

/* What an event of type SP_EVENT_DEFENCE tells of. */
enum sp_defence { SP_DEFENCE_SYN_PROXY, SP_DEFENCE_PRESSURE, SP_DEFENCE_COUNT };

extern const char *const sp_defence_names[SP_DEFENCE_COUNT]; /* "syn_proxy", "pressure" */

struct sp_defence_counters {                /* all 64-bit: one writer, summed as an array */
	uint64_t engaged[SP_DEFENCE_COUNT]; /* gauges: 1 while engaged; summed: so many workers */
	uint64_t engagements[SP_DEFENCE_COUNT];
	uint64_t cookies_sent, cookies_valid, cookies_invalid;
	uint64_t opening;         /* gauge: clients are verified, and their servers have not answered yet */
	uint64_t opened, refused; /* servers that accepted and refused what the proxy passed on */
	uint64_t unanswered;      /* servers that did neither in time */
	uint64_t syn_retries;     /* SYNs sent again to servers */
};

/* One worker's own. */
struct sp_defence_state {
	bool proxying;                   /* SYNs are answered by cookies */
	bool expecting;                  /* cookies may come back: misses are looked at for them */
	uint32_t second_ms;              /* when this second began */
	uint64_t sent, valid;            /* cookies, at that moment */
	uint32_t calm[SP_DEFENCE_COUNT]; /* seconds */
};

struct sp_worker;

/* Before the worker runs: `always` engages at once. */
void sp_defence_init(struct sp_worker *worker);

/* Whether so many connections are half open that the proxy should engage; called for each new one. */
void sp_defence_opened(struct sp_worker *worker);

/* Once a turn: what has to be done each second. */
void sp_defence_turn(struct sp_worker *worker, uint32_t now_ms);

/* Connections of a worker that are half open. */
uint64_t sp_defence_embryonic(const struct sp_worker *worker);

#endif
