/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/eve_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/stats.h"
#include "mgmt/eve.h"

#define NS_PER_SEC ((uint64_t)1000 * 1000 * 1000)
#define REPORT_NS  (60 * NS_PER_SEC) /* between two reports of a file that cannot be written */
#define RETRY_NS   (10 * NS_PER_SEC) /* between two tries to open or to rotate */
#define PROBE_NS   NS_PER_SEC        /* between two tries to write after a failure */
#define SUFFIX_MAX 16                /* ".N" */

static void note_error(struct sp_eve_file *file, int err)
{
	file->last_error = err;
	sp_count(&file->counters.write_errors, 1);
}

/* O_NONBLOCK: a pipe that nobody reads refuses instead of stopping the thread. 0 or -errno, and then nothing has changed. */
static int open_path(struct sp_eve_file *file)
{
	int fd = open(file->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (file->fd >= 0)
		close(file->fd);
	file->fd = fd;
	file->cut = false;
	file->regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	file->size = file->regular ? (uint64_t)st.st_size : 0;
	file->next_open_ns = UINT64_MAX;
	return 0;
}

int sp_eve_file_open(struct sp_eve_file *file, const char *path, uint64_t rotate_bytes, unsigned int keep)
{
	int err;

	*file = (struct sp_eve_file){.fd = -1, .rotate_bytes = rotate_bytes, .keep = keep, .next_open_ns = UINT64_MAX};
	if (!path)
		return 0;
	file->path = strdup(path);
	if (!file->path)
		return -ENOMEM;
	err = open_path(file);
	if (err != 0)
		sp_eve_file_close(file);
	return err;
}

void sp_eve_file_close(struct sp_eve_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	free(file->path);
	file->path = NULL;
}

void sp_eve_file_reopen(struct sp_eve_file *file, uint64_t now_ns)
{
	int err = file->path ? open_path(file) : 0;

	if (err == 0)
		return;
	note_error(file, -err);
	file->next_open_ns = now_ns + RETRY_NS;
}

int sp_eve_file_failing(const struct sp_eve_file *file)
{
	return (int)__atomic_load_n(&file->failing, __ATOMIC_RELAXED);
}

/* --- rotation ---------------------------------------------------------------------------------------------------------------- */

/* PATH.keep-1 → PATH.keep, …, PATH → PATH.1. 0 or -errno: then the chain may have a hole, and nothing was overwritten. */
static int shift(const struct sp_eve_file *file)
{
	size_t size = strlen(file->path) + SUFFIX_MAX;
	char *from = malloc(size), *to = malloc(size);
	int err = from && to ? 0 : -ENOMEM;

	for (unsigned int n = file->keep; n > 0 && err == 0; n--) {
		snprintf(to, size, "%s.%u", file->path, n);
		if (n > 1)
			snprintf(from, size, "%s.%u", file->path, n - 1);
		else
			snprintf(from, size, "%s", file->path);
		if (rename(from, to) != 0 && errno != ENOENT)
			err = -errno;
	}
	if (err == 0 && file->keep == 0 && unlink(file->path) != 0 && errno != ENOENT)
		err = -errno;
	free(from);
	free(to);
	return err;
}

/* Whether the path still names the file that is open: if not, somebody else has rotated it and only opening is left to do. */
static bool is_ours(const struct sp_eve_file *file)
{
	struct stat open_file, named;

	return fstat(file->fd, &open_file) == 0 && lstat(file->path, &named) == 0 && open_file.st_dev == named.st_dev &&
	       open_file.st_ino == named.st_ino;
}

static void rotate(struct sp_eve_file *file, uint64_t now_ns)
{
	struct stat st;
	int err = 0;

	if (now_ns < file->next_rotate_ns)
		return;
	/* Somebody may have emptied it, as logrotate's copytruncate does. */
	if (fstat(file->fd, &st) == 0 && (uint64_t)st.st_size < file->size) {
		file->size = (uint64_t)st.st_size;
		return;
	}
	if (is_ours(file))
		err = shift(file);
	if (err == 0)
		err = open_path(file);
	if (err == 0) {
		sp_count(&file->counters.rotated, 1);
		return;
	}
	note_error(file, -err);
	file->next_rotate_ns = now_ns + RETRY_NS;
}

/* --- writing ----------------------------------------------------------------------------------------------------------------- */

/* Writes all of it or says how far it came; 0 or errno. */
static int write_all(struct sp_eve_file *file, const char *buf, size_t size, size_t *done)
{
	*done = 0;
	while (*done < size) {
		ssize_t n = write(file->fd, buf + *done, size - *done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		*done += (size_t)n;
	}
	return 0;
}

static uint64_t count_lines(const char *buf, size_t size)
{
	uint64_t n = 0;

	for (const char *p = buf; (p = memchr(p, '\n', size - (size_t)(p - buf))) != NULL; p++)
		n++;
	return n;
}

/* Whole lines, of which it says how many arrived. A line that was broken is ended first, so that it spoils no other. */
static int write_lines(struct sp_eve_file *file, const char *buf, size_t size, uint64_t lines, uint64_t *written)
{
	size_t done = 0;
	int err = 0;

	*written = 0;
	if (file->cut) {
		err = write_all(file, "\n", 1, &done);
		file->size += done;
		if (err != 0)
			return err;
		file->cut = false;
	}
	err = write_all(file, buf, size, &done);
	if (done > 0)
		file->cut = buf[done - 1] != '\n';
	*written = done == size ? lines : count_lines(buf, done);
	file->size += done;
	sp_count(&file->counters.written, *written);
	sp_count(&file->counters.bytes, done);
	return err;
}

static void lose(struct sp_eve_file *file, uint64_t lines)
{
	sp_count(&file->counters.unwritten, lines);
	file->unreported += lines;
	file->gap += lines;
}

static void set_failing(struct sp_eve_file *file, int err)
{
	__atomic_store_n(&file->failing, (uint32_t)err, __ATOMIC_RELAXED);
	if (err != 0)
		note_error(file, err);
}

/* After a failure: the line that tells of the gap goes first. 0 or errno. */
static int tell_gap(struct sp_eve_file *file)
{
	char line[SP_EVE_LOST_MAX];
	size_t len = sp_eve_lost(file->gap, "file", line);
	uint64_t written;
	int err;

	if (file->gap == 0)
		return 0;
	err = write_lines(file, line, len, 1, &written);
	if (err == 0)
		file->gap = 0;
	return err;
}

void sp_eve_file_write(struct sp_eve_file *file, const char *buf, size_t size, uint64_t lines, uint64_t now_ns)
{
	uint64_t written = 0;
	int err;

	if (!file->path || size == 0)
		return;
	if (file->regular && file->rotate_bytes > 0 && file->size > 0 && file->size + size > file->rotate_bytes)
		rotate(file, now_ns);
	err = tell_gap(file);
	if (err == 0)
		err = write_lines(file, buf, size, lines, &written);
	if (err != 0) {
		lose(file, lines - written);
		file->next_probe_ns = now_ns + PROBE_NS;
	}
	set_failing(file, err);
}

/* Without events nobody would notice that there is room again. */
static void probe(struct sp_eve_file *file, uint64_t now_ns)
{
	if (sp_eve_file_failing(file) == 0 || now_ns < file->next_probe_ns)
		return;
	file->next_probe_ns = now_ns + PROBE_NS;
	set_failing(file, tell_gap(file));
}

/* On the way to systemd's journal; rarely, so that a full disk does not fill another one. */
static void report(struct sp_eve_file *file, uint64_t now_ns, bool last)
{
	if (file->last_error == 0 || (now_ns < file->next_report_ns && !last))
		return;
	fprintf(stderr, "sallyport: warning: %s: cannot write events: %s; %llu lines were lost; free space or mend the path, then reload\n",
		file->path, strerror(file->last_error), (unsigned long long)file->unreported);
	file->next_report_ns = now_ns + REPORT_NS;
	file->unreported = 0;
	file->last_error = 0;
}

void sp_eve_file_tick(struct sp_eve_file *file, uint64_t now_ns, bool last)
{
	if (!file->path)
		return;
	if (now_ns >= file->next_open_ns)
		sp_eve_file_reopen(file, now_ns);
	probe(file, now_ns);
	report(file, now_ns, last);
}
