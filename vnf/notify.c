/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/notify.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BEATS   4                                 /* within the limit */
#define WAIT_US (UINT64_C(15) * 60 * 1000 * 1000) /* for the largest rule file there may be */

void sp_notify_manager(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = path == NULL ? 0 : strlen(path);
	int fd;

	if (len < 2 || len >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(address.sun_path, path, len);
	if (path[0] == '@') /* abstract: the name begins after a NUL and is not terminated */
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

/* --- the watchdog ------------------------------------------------------------------------------------------------------------------ */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sp_watchdog_begin(struct sp_watchdog *watchdog)
{
	const char *limit = getenv("WATCHDOG_USEC"), *process = getenv("WATCHDOG_PID");

	watchdog->limit_us = 0;
	watchdog->beat_ms = 0;
	if (limit != NULL && (process == NULL || strtol(process, NULL, 10) == getpid()))
		watchdog->limit_us = strtoull(limit, NULL, 10);
}

void sp_watchdog_beat(struct sp_watchdog *watchdog)
{
	int64_t now = now_ms();

	if (watchdog->limit_us == 0 || (watchdog->beat_ms != 0 && now - watchdog->beat_ms < (int64_t)(watchdog->limit_us / 1000 / BEATS)))
		return;
	watchdog->beat_ms = now;
	sp_notify_manager("WATCHDOG=1");
}

void sp_watchdog_wait(struct sp_watchdog *watchdog, bool begins)
{
	char text[64];

	if (watchdog->limit_us == 0)
		return;
	snprintf(text, sizeof(text), "WATCHDOG_USEC=%" PRIu64 "\nWATCHDOG=1", begins ? WAIT_US : watchdog->limit_us);
	sp_notify_manager(text);
	watchdog->beat_ms = now_ms();
}
