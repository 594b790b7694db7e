/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Telling the service manager how far the process is (sd_notify(3)), without its library; and that it is alive (WatchdogSec of its unit).
 */
#ifndef SP_VNF_NOTIFY_H
#define SP_VNF_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Sends `state` ("READY=1") to $NOTIFY_SOCKET; does nothing when there is none. Does not block. */
void sp_notify_manager(const char *state);

struct sp_watchdog {       /* control thread */
	uint64_t limit_us; /* without a beat for so long the manager ends the process; 0: nobody watches */
	int64_t beat_ms;   /* of the last one */
};

/* Whether this process is watched (sd_watchdog_enabled(3)). */
void sp_watchdog_begin(struct sp_watchdog *watchdog);

/* The process works as it should. Sent four times within the limit at most; call it at least as often. */
void sp_watchdog_beat(struct sp_watchdog *watchdog);

/* A piece of work begins that may rightly keep the control loop busy for long, or has ended. */
void sp_watchdog_wait(struct sp_watchdog *watchdog, bool begins);

#endif
