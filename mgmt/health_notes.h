/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the log is told about backends, and not more of it than a log can bear. Plain data of health.c, noted under its lock and printed
 * without it.
 */
#ifndef SP_MGMT_HEALTH_NOTES_H
#define SP_MGMT_HEALTH_NOTES_H

#include "mgmt/health_set.h"

#define SP_HEALTH_NOTES_MAX 16 /* lines a second; of more there is only the number */

struct sp_health_note {
	uint32_t entry;
	struct sp_addr address;
	uint16_t port;
	bool live;
	struct sp_check_failure failure;
};

struct sp_health_notes {
	struct sp_health_note v[SP_HEALTH_NOTES_MAX];
	unsigned int n, left; /* `left` of this second */
	unsigned int lost;    /* for which there was no room */
	unsigned int unable;  /* checks that could not be made */
	int64_t end_ms;       /* CLOCK_MONOTONIC: of this second */
};

/* The backend has come to life, or died. */
void sp_health_note(
	struct sp_health_notes *notes, const struct sp_health_entry *entry, const struct sp_health_backend *backend, int64_t now_ms);

/* Moves what is to be printed now to *out. False: nothing is. */
bool sp_health_notes_take(struct sp_health_notes *notes, int64_t now_ms, struct sp_health_notes *out);

void sp_health_notes_print(const struct sp_health_notes *notes);

#endif
