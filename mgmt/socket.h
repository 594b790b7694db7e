/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The listening unix socket: made so that nobody can connect before its owner and mode are set, removed only while it is ours.
 */
#ifndef SP_MGMT_SOCKET_H
#define SP_MGMT_SOCKET_H

#include <stddef.h>
#include <sys/types.h>

struct sp_socket {
	int fd;
	char *path;
	dev_t dev;
	ino_t ino;
};

/*
 * Binds and listens. A socket file that nobody answers is replaced, and a missing last folder is made. `group` (name or number) may be
 * NULL. 0, or -errno with a one-line reason in why: taken by a live process, not a socket, no permission, path too long, no such group.
 */
int sp_socket_open(struct sp_socket *sock, const char *path, mode_t mode, const char *group, char *why, size_t why_size);

/* Removes the file if it is still ours. Reads only what open has set. */
void sp_socket_remove(const struct sp_socket *sock);

/* Closes the descriptor (if it is not -1: MHD may have closed it), removes the file if it is still ours, frees. */
void sp_socket_close(struct sp_socket *sock);

#endif
