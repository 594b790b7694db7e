/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* mkostemp */
#include "mgmt/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, const char *bytes, size_t size)
{
	while (size != 0) {
		ssize_t n = write(fd, bytes, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		size -= (size_t)n;
	}
	return 0;
}

/* Where the file is or will be: a symbolic link keeps pointing at it, so its target is what is replaced. */
static char *resolve(const char *path)
{
	char *target = realpath(path, NULL);

	return target != NULL || errno != ENOENT ? target : strdup(path);
}

/* The hidden name beside the target: `.NAME.XXXXXX`. */
static char *temporary_name(const char *target)
{
	const char *slash = strrchr(target, '/');
	int folder = slash != NULL ? (int)(slash - target + 1) : 0;
	char *name;

	return asprintf(&name, "%.*s.%s.XXXXXX", folder, target, target + folder) < 0 ? NULL : name;
}

static int fill(int fd, const char *target, const char *bytes, size_t size)
{
	struct stat old;
	int rc;

	if (stat(target, &old) == 0) {
		if (!S_ISREG(old.st_mode))
			return -EINVAL;
		/* Without the right to give it away the file stays ours; its readers lose nothing, for the mode is the same. */
		if (fchown(fd, old.st_uid, old.st_gid) != 0 && errno != EPERM)
			return -errno;
		if (fchmod(fd, old.st_mode & 0777) != 0)
			return -errno;
	} else if (fchmod(fd, 0640) != 0) {
		return -errno;
	}
	rc = write_all(fd, bytes, size);
	if (rc == 0 && fsync(fd) != 0)
		rc = -errno;
	return rc;
}

int sp_replace_prepare(struct sp_replace *replace, const char *path, const char *bytes, size_t size)
{
	char *target = resolve(path), *temporary;
	int fd, rc;

	if (target == NULL)
		return -errno;
	temporary = temporary_name(target);
	if (temporary == NULL) {
		rc = -ENOMEM;
		goto err_target;
	}
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		rc = -errno;
		goto err_temporary;
	}
	rc = fill(fd, target, bytes, size);
	if (close(fd) != 0 && rc == 0)
		rc = -errno;
	if (rc != 0)
		goto err_unlink;
	replace->target = target;
	replace->temporary = temporary;
	return 0;

err_unlink:
	unlink(temporary);
err_temporary:
	free(temporary);
err_target:
	free(target);
	return rc;
}

static void release(struct sp_replace *replace)
{
	free(replace->target);
	free(replace->temporary);
	memset(replace, 0, sizeof(*replace));
}

static void sync_folder(const char *target)
{
	const char *slash = strrchr(target, '/');
	char folder[PATH_MAX];
	int fd;

	if (slash == NULL)
		snprintf(folder, sizeof(folder), ".");
	else
		snprintf(folder, sizeof(folder), "%.*s", slash == target ? 1 : (int)(slash - target), target);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	/* The rename stands already; some file systems cannot sync folders, and there is nothing better to do about it. */
	(void)fsync(fd);
	close(fd);
}

int sp_replace_commit(struct sp_replace *replace)
{
	if (rename(replace->temporary, replace->target) != 0) {
		int rc = -errno;

		sp_replace_abort(replace);
		return rc;
	}
	sync_folder(replace->target);
	release(replace);
	return 0;
}

void sp_replace_abort(struct sp_replace *replace)
{
	if (replace->temporary != NULL)
		unlink(replace->temporary);
	release(replace);
}
