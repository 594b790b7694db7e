/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* strptime, timegm */
#include "mgmt/ctl/human.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

char *sp_human_count(int64_t n, char *buf)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n < 0 ? (uint64_t) - (n + 1) + 1 : (uint64_t)n);
	char *out = buf;

	if (n < 0)
		*out++ = '-';
	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			*out++ = ',';
		*out++ = digits[i];
	}
	*out = '\0';
	return buf;
}

static char *scaled(double n, double step, const char *const *units, size_t n_units, const char *tail, char *buf)
{
	size_t u = 0;

	while (n >= step * 0.9995 && u + 1 < n_units) {
		n /= step;
		u++;
	}
	snprintf(buf, SP_HUMAN_SIZE, u == 0 || n >= 99.95 ? "%.0f%s%s" : "%.1f%s%s", n, units[u], tail);
	return buf;
}

char *sp_human_bytes(double n, char *buf)
{
	static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB"};

	return scaled(n, 1024, units, sizeof(units) / sizeof(units[0]), "", buf);
}

char *sp_human_rate(double n, const char *unit, char *buf)
{
	static const char *const units[] = {"", "k", "M", "G", "T"};
	char tail[16];

	snprintf(tail, sizeof(tail), "%s%s", unit[0] ? " " : "", unit);
	return scaled(n > 0 ? n : 0, 1000, units, sizeof(units) / sizeof(units[0]), tail, buf);
}

char *sp_human_duration(double sec, char *buf)
{
	int64_t s = sec > 0 && sec < 1e15 ? (int64_t)sec : 0;

	if (s < 60)
		snprintf(buf, SP_HUMAN_SIZE, "%" PRId64 "s", s);
	else if (s < 3600)
		snprintf(buf, SP_HUMAN_SIZE, "%" PRId64 "m %" PRId64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, SP_HUMAN_SIZE, "%" PRId64 "h %" PRId64 "m", s / 3600, s % 3600 / 60);
	else
		snprintf(buf, SP_HUMAN_SIZE, "%" PRId64 "d %" PRId64 "h", s / 86400, s % 86400 / 3600);
	return buf;
}

char *sp_human_ago(const char *when, char *buf)
{
	struct tm tm = {0};
	time_t then;
	size_t len;

	if (!when) {
		snprintf(buf, SP_HUMAN_SIZE, "never");
		return buf;
	}
	if (!strptime(when, "%Y-%m-%dT%H:%M:%S", &tm) || (then = timegm(&tm)) == (time_t)-1) {
		snprintf(buf, SP_HUMAN_SIZE, "%s", when);
		return buf;
	}
	sp_human_duration(difftime(time(NULL), then), buf);
	len = strlen(buf);
	snprintf(buf + len, SP_HUMAN_SIZE - len, " ago");
	return buf;
}
