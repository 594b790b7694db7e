/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* asprintf */
#include "rules/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rules/scan.h"

static int regular_file_size(int fd, size_t *size, char *why)
{
	struct stat st;

	if (fstat(fd, &st)) {
		snprintf(why, SP_FILE_WHY_BYTES, "cannot be read: %s", strerror(errno));
		return -errno;
	}
	if (S_ISDIR(st.st_mode)) {
		snprintf(why, SP_FILE_WHY_BYTES, "is a directory, not a file");
		return -EISDIR;
	}
	if (!S_ISREG(st.st_mode)) {
		snprintf(why, SP_FILE_WHY_BYTES, "is not a regular file");
		return -EINVAL;
	}
	if (st.st_size > (off_t)SP_SCAN_SIZE_MAX) {
		snprintf(why, SP_FILE_WHY_BYTES, "is larger than %u MB", SP_SCAN_SIZE_MAX >> 20);
		return -EFBIG;
	}
	*size = (size_t)st.st_size;
	return 0;
}

/* Reads to the end of the file, which may have grown or shrunk since fstat: what came is what counts, up to `room`. */
static ssize_t read_all(int fd, char *buf, size_t room)
{
	size_t have = 0;

	while (have < room) {
		ssize_t n = read(fd, buf + have, room - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

int sp_file_load(const char *path, char **bytes, size_t *size, char why[SP_FILE_WHY_BYTES])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	size_t expected = 0;
	ssize_t have;
	char *buf;
	int rc;

	if (fd < 0) {
		rc = -errno;
		snprintf(why, SP_FILE_WHY_BYTES, "cannot be opened: %s", strerror(errno));
		return rc;
	}
	rc = regular_file_size(fd, &expected, why);
	if (rc)
		goto out;
	buf = malloc(expected + 2);
	if (!buf) {
		snprintf(why, SP_FILE_WHY_BYTES, "cannot be read: out of memory");
		rc = -ENOMEM;
		goto out;
	}
	have = read_all(fd, buf, expected + 1);
	if (have < 0 || (size_t)have > expected) {
		rc = have < 0 ? (int)have : -EBUSY;
		snprintf(why, SP_FILE_WHY_BYTES, "cannot be read: %s", have < 0 ? strerror(-rc) : "it grows while it is read");
		free(buf);
		goto out;
	}
	buf[have] = '\0';
	*bytes = buf;
	*size = (size_t)have;
out:
	close(fd);
	return rc;
}

int sp_file_read(const char *path, char **bytes, size_t *size, struct sp_diags *diags)
{
	char why[SP_FILE_WHY_BYTES];
	int rc = sp_file_load(path, bytes, size, why);

	if (rc)
		sp_diag_error(diags, path, 0, "%s", why);
	return rc;
}

char *sp_file_folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

char *sp_file_join(const char *from, const char *name)
{
	char *path;

	if (name[0] == '/' || strcmp(from, ".") == 0)
		return strdup(name);
	return asprintf(&path, "%s/%s", from, name) < 0 ? NULL : path;
}

static bool lies_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	if (strcmp(folder, "/") == 0)
		return path[1] != '\0';
	return strncmp(path, folder, len) == 0 && path[len] == '/';
}

char *sp_file_resolve(const char *folder, const char *from, const char *name, char why[SP_FILE_WHY_BYTES])
{
	char *real_folder = realpath(folder, NULL);
	char *path = sp_file_join(from, name);
	char *real = path ? realpath(path, NULL) : NULL;

	if (!real_folder || !real || !lies_below(real, real_folder)) {
		snprintf(why, SP_FILE_WHY_BYTES, "no such file below the folder of the rules");
		free(real);
		real = NULL;
	}
	free(path);
	free(real_folder);
	return real;
}
