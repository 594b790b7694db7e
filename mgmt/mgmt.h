/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The management side of a running firewall: API thread, event writer, and the control loop on the caller's thread.
 */
#ifndef SP_MGMT_MGMT_H
#define SP_MGMT_MGMT_H

#include <stdbool.h>
#include <sys/types.h>

#include "dataplane/dataplane.h"
#include "mgmt/api_tls.h"
#include "mgmt/notes.h"

struct sp_health;
struct sp_kernel;

struct sp_mgmt_config {                  /* strings are copied */
	const char *socket_path;         /* unix socket of the API; NULL: none */
	mode_t socket_mode;              /* 0660 by default */
	const char *socket_group;        /* group that owns the socket; NULL: as the process */
	struct sp_tls_config tls;        /* the API over TCP; needs socket_path */
	const char *rules_path;          /* the file that PUT replaces and reload reads */
	const char *eve_path;            /* EVE JSON lines; NULL: none */
	uint64_t eve_rotate_bytes;       /* the file is rotated at this size; 0: never */
	unsigned int eve_keep;           /* rotated files that stay */
	const char *captures_folder;     /* where captures go; NULL: SP_CAPTURES_FOLDER */
	const char *config_path;         /* for status; may be NULL */
	const char *mode;                /* "wire" or "route" */
	const char *no_rules;            /* why the rules in force drop everything instead of being the file's; NULL: they are the file's */
	unsigned int stats_interval_sec; /* EVE stats events; 0: none */
	uint8_t on_change;               /* enum sp_on_change: what becomes of sessions by a change that does not say it */
	void (*tick)(void *context);     /* called by the control loop between jobs, some times a second; NULL: nothing is */
	void (*working)(void *context, bool begins); /* around jobs, which may take minutes; NULL: nothing is called */
	void *tick_context;                          /* of both */
	const struct sp_notes *notes;                /* what the start had to do without; copied. NULL: nothing */
	bool fail_closed;         /* of the event file, TLS and the socket, what cannot be had is told in the status and done without */
	const char *spare_socket; /* then: where the socket is instead, for the process's own group */
	struct sp_health *health; /* thread that asks backends; taken over, also when the start fails; NULL: one is started */
	struct sp_kernel *kernel; /* route mode: stays the caller's, and stays until sp_mgmt_stop; NULL in wire mode */
};

struct sp_mgmt;

/*
 * Opens the socket and starts the API thread and the event writer; the dataplane's workers may already run. NULL with a one-line reason
 * that says what to do in why (at least 256 bytes): socket path taken by a live process, no permission, event file not writable, no good
 * certificate (with fail_closed only what there is no way around). A stale socket is replaced.
 */
struct sp_mgmt *sp_mgmt_start(struct sp_dataplane *dataplane, const struct sp_mgmt_config *config, char *why, size_t why_size);

/*
 * The control loop: runs compile and publish jobs, SIGHUP reloads, the watch on ports. Returns when sp_mgmt_quit was called. On the thread
 * that started it.
 */
void sp_mgmt_control(struct sp_mgmt *mgmt);

/* Has the control loop look at links and call `tick` now. Any thread. */
void sp_mgmt_wake(struct sp_mgmt *mgmt);

/* Whether every worker polled at the last look, which is taken some times a second, before `tick`. Control thread. */
bool sp_mgmt_workers_beat(const struct sp_mgmt *mgmt);

/*
 * Around work of `tick` that may take longer than whoever watches the loop waits, as a driver with its device: calls `working`, unless a
 * worker does not poll, which is not to be covered by that. The end is told what the begin returned. NULL is nobody. Control thread.
 */
bool sp_mgmt_wait_begin(struct sp_mgmt *mgmt);
void sp_mgmt_wait_end(struct sp_mgmt *mgmt, bool told);

enum sp_port_event {
	SP_PORT_LINK_UP,
	SP_PORT_LINK_DOWN,
	SP_PORT_RESET,
	SP_PORT_RESTARTED,
	SP_PORT_GONE,
	SP_PORT_ATTACHED,
	SP_PORT_MAC_CHANGED,
	SP_PORT_EVENTS
};

/* Writes an event of type "port"; reason may be NULL. Any thread but a worker; does not wait. */
void sp_mgmt_port_event(struct sp_mgmt *mgmt, const struct sp_port *port, enum sp_port_event what, const char *reason);

/* Asks the control loop to return, or to reload rules and reopen logs. Async-signal-safe. */
void sp_mgmt_quit(struct sp_mgmt *mgmt);
void sp_mgmt_reload(struct sp_mgmt *mgmt);

/*
 * For a thread that ends the process while the control loop does not return, or before sp_mgmt_stop: removes the socket, and gives the
 * event writer a tenth of a second to take what stopped workers have posted. Nothing is freed or answered; sp_mgmt_stop must not follow.
 */
void sp_mgmt_abandon(struct sp_mgmt *mgmt);

/* Stops the threads (requests under way are answered or cut within a second), flushes events, removes the socket, frees. */
void sp_mgmt_stop(struct sp_mgmt *mgmt);

#endif
