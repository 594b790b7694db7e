/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* SOCK_CLOEXEC */
#include "mgmt/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

/* Whether somebody listens at the address: 1 yes, 0 no, -errno unknown. */
static int is_live(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc;

	if (fd < 0)
		return -errno;
	rc = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : -errno;
	close(fd);
	if (rc == 0 || rc == -EAGAIN) /* EAGAIN: somebody listens and its backlog is full */
		return 1;
	return rc == -ECONNREFUSED ? 0 : rc;
}

/* Removes a stale socket file; 0 when the path is free. */
static int make_room(const struct sockaddr_un *address, char *why, size_t why_size)
{
	struct stat st;
	int rc;

	if (lstat(address->sun_path, &st) != 0) {
		if (errno == ENOENT)
			return 0;
		rc = -errno;
		snprintf(why, why_size, "%s: %s", address->sun_path, strerror(-rc));
		return rc;
	}
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(why, why_size, "%s is not a socket: remove it or name another api.socket", address->sun_path);
		return -EEXIST;
	}
	rc = is_live(address);
	if (rc == 1) {
		snprintf(why, why_size, "%s is in use by another process: stop it or name another api.socket", address->sun_path);
		return -EADDRINUSE;
	}
	if (rc == 0 && unlink(address->sun_path) != 0 && errno != ENOENT)
		rc = -errno;
	if (rc != 0)
		snprintf(why, why_size, "%s cannot be replaced: %s", address->sun_path, strerror(-rc));
	return rc;
}

static int find_group(const char *name, gid_t *gid)
{
	struct group entry, *found = NULL;
	char *end, *buf;
	unsigned long number;
	size_t size = 65536;

	buf = malloc(size);
	if (buf == NULL)
		return -ENOMEM;
	if (getgrnam_r(name, &entry, buf, size, &found) == 0 && found != NULL)
		*gid = found->gr_gid;
	free(buf);
	if (found != NULL)
		return 0;
	errno = 0;
	number = strtoul(name, &end, 10);
	if (name[0] < '0' || name[0] > '9' || *end != '\0' || errno != 0 || number >= UINT32_MAX)
		return -ENOENT;
	*gid = (gid_t)number;
	return 0;
}

/* The last folder of the path, made when only that is missing, as /run is empty after a boot. */
static void make_folder(const char *path)
{
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *slash = strrchr(path, '/');

	if (slash == NULL || slash == path)
		return;
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	(void)mkdir(folder, 0755); /* bind tells what is wrong */
}

/* Owner and mode come between bind and listen: until then a connect is refused. */
static int expose(const struct sp_socket *sock, mode_t mode, const char *group, char *why, size_t why_size)
{
	gid_t gid = (gid_t)-1;
	int rc;

	if (group != NULL && find_group(group, &gid) != 0) {
		snprintf(why, why_size, "no group %s for %s: make it with groupadd, or name another api.group", group, sock->path);
		return -ENOENT;
	}
	if ((group != NULL && chown(sock->path, (uid_t)-1, gid) != 0) || chmod(sock->path, mode) != 0) {
		rc = -errno;
		snprintf(why, why_size, "%s cannot be given its group and mode: %s", sock->path, strerror(-rc));
		return rc;
	}
	if (listen(sock->fd, BACKLOG) != 0) {
		rc = -errno;
		snprintf(why, why_size, "%s: %s", sock->path, strerror(-rc));
		return rc;
	}
	return 0;
}

int sp_socket_open(struct sp_socket *sock, const char *path, mode_t mode, const char *group, char *why, size_t why_size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct sp_socket made = {.fd = -1};
	struct stat st;
	int rc;

	if (path[0] == '\0') {
		snprintf(why, why_size, "the socket path is empty: name an api.socket");
		return -EINVAL;
	}
	if (strlen(path) >= sizeof(address.sun_path)) {
		snprintf(
			why, why_size, "the socket path is longer than %zu bytes: name a shorter api.socket", sizeof(address.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(address.sun_path, path, strlen(path));
	make_folder(path);
	rc = make_room(&address, why, why_size);
	if (rc != 0)
		return rc;
	made.path = strdup(path);
	made.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (made.path == NULL || made.fd < 0 || bind(made.fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		rc = made.path == NULL ? -ENOMEM : -errno;
		snprintf(why, why_size, "%s cannot be made: %s%s", path, strerror(-rc),
			rc == -ENOENT   ? "; make its folder"
			: rc == -EACCES ? "; run as root, or name another api.socket"
					: "");
		goto err_free;
	}
	if (stat(path, &st) == 0) {
		made.dev = st.st_dev;
		made.ino = st.st_ino;
	}
	rc = expose(&made, mode, group, why, why_size);
	if (rc != 0) {
		sp_socket_close(&made);
		return rc;
	}
	*sock = made;
	return 0;

err_free:
	if (made.fd >= 0)
		close(made.fd);
	free(made.path);
	return rc;
}

void sp_socket_remove(const struct sp_socket *sock)
{
	struct stat st;

	if (lstat(sock->path, &st) == 0 && st.st_dev == sock->dev && st.st_ino == sock->ino)
		unlink(sock->path);
}

void sp_socket_close(struct sp_socket *sock)
{
	if (sock->fd >= 0)
		close(sock->fd);
	sp_socket_remove(sock);
	free(sock->path);
	memset(sock, 0, sizeof(*sock));
	sock->fd = -1;
}
