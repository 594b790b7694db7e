/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE 1 /* asprintf */
#include "mgmt/capture_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/stats.h"

/* Makes the folder, and its parent when that is missing. */
static int make_folder(const char *folder)
{
	char *parent, *slash;
	int rc = 0;

	if (mkdir(folder, 0700) == 0 || errno == EEXIST)
		return 0;
	if (errno != ENOENT)
		return -errno;
	parent = strdup(folder);
	if (parent == NULL)
		return -ENOMEM;
	slash = strrchr(parent, '/');
	if (slash != NULL && slash != parent) {
		*slash = '\0';
		if (mkdir(parent, 0755) != 0 && errno != EEXIST)
			rc = -errno;
	}
	free(parent);
	if (rc == 0 && mkdir(folder, 0700) != 0 && errno != EEXIST)
		rc = -errno;
	return rc;
}

int sp_capture_file_open(struct sp_capture_file *file, const char *folder, const char *name)
{
	int rc = make_folder(folder);

	memset(file, 0, sizeof(*file));
	file->fd = -1;
	if (rc != 0)
		return rc;
	if (asprintf(&file->path, "%s/%s", folder, name) < 0) {
		file->path = NULL;
		return -ENOMEM;
	}
	file->buf = malloc(SP_CAPTURE_FILE_BUFFER);
	if (file->buf == NULL) {
		rc = -ENOMEM;
		goto err_free;
	}
	file->fd = open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file->fd < 0) {
		rc = -errno;
		goto err_free;
	}
	return 0;

err_free:
	sp_capture_file_free(file);
	return rc;
}

static int write_all(int fd, const uint8_t *bytes, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, bytes, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		bytes += done;
		n -= (size_t)done;
	}
	return 0;
}

int sp_capture_file_flush(struct sp_capture_file *file, uint64_t *lost)
{
	int rc = file->used > 0 ? write_all(file->fd, file->buf, file->used) : 0;

	*lost = 0;
	if (rc == 0) {
		sp_count(&file->bytes, file->used);
		sp_count(&file->packets, file->buffered);
	} else {
		*lost = file->buffered;
		/* Should even this fail, readers of ours still stop at file->bytes. */
		if (ftruncate(file->fd, (off_t)file->bytes) != 0)
			rc = -EIO;
	}
	file->used = 0;
	file->buffered = 0;
	return rc;
}

void sp_capture_file_close(struct sp_capture_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	free(file->buf);
	file->buf = NULL;
}

void sp_capture_file_free(struct sp_capture_file *file)
{
	sp_capture_file_close(file);
	free(file->path);
	file->path = NULL;
}
