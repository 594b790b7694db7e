/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file that event lines go to: appended to in whole lines, rotated by size, opened anew on request, and never waited for: what it does
 * not take is lost, counted, and said in the file where it is missing, once it takes lines again. One thread; the counters and
 * sp_eve_file_failing are read by others.
 */
#ifndef SP_MGMT_EVE_FILE_H
#define SP_MGMT_EVE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sp_eve_file_counters {
	uint64_t written, bytes; /* lines and bytes that reached the file */
	uint64_t unwritten;      /* lines that it did not take: disk full, I/O error */
	uint64_t write_errors;   /* failed attempts to write, open or rotate */
	uint64_t rotated;
};

struct sp_eve_file {
	char *path; /* NULL: none; then lines go nowhere and nothing is counted */
	uint64_t rotate_bytes;
	unsigned int keep;
	struct sp_eve_file_counters counters; /* one writer, relaxed readers */
	uint32_t failing;                     /* the errno of the latest failure since which nothing was written, 0: none; atomic */

	int fd;
	bool regular; /* a file that can be rotated */
	bool cut;     /* it ends in a part of a line */
	uint64_t size;
	uint64_t gap; /* lines lost since the last that was written */
	uint64_t next_open_ns, next_rotate_ns, next_probe_ns, next_report_ns;
	uint64_t unreported; /* lines lost since the last report on stderr */
	int last_error;
};

/*
 * Opens `path` (appended to, made with mode 0640; NULL: no file). When a write would make it longer than rotate_bytes (0: never), it
 * becomes PATH.1, PATH.1 becomes PATH.2, and so on; PATH.keep is the last (0: the full file is removed). 0 or -errno.
 */
int sp_eve_file_open(struct sp_eve_file *file, const char *path, uint64_t rotate_bytes, unsigned int keep);
void sp_eve_file_close(struct sp_eve_file *file);

/* Opens the path anew, after somebody renamed the file; the former one stays in use when that fails, and it is tried again. */
void sp_eve_file_reopen(struct sp_eve_file *file, uint64_t now_ns);

/* Writes `lines` whole lines, or loses them. now_ns: monotonic, as everywhere here. */
void sp_eve_file_write(struct sp_eve_file *file, const char *buf, size_t size, uint64_t lines, uint64_t now_ns);

/* What is due: another try to open, or to write after a failure; a warning on stderr, at most one a minute unless `last`. */
void sp_eve_file_tick(struct sp_eve_file *file, uint64_t now_ns, bool last);

/* The errno for which lines are being lost, 0 when they are written. Any thread. */
int sp_eve_file_failing(const struct sp_eve_file *file);

#endif
