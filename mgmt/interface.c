/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/interface.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int sp_interface_ask(unsigned int index, unsigned long what, struct ifreq *out)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

	if (fd < 0)
		return -errno;
	memset(out, 0, sizeof(*out));
	out->ifr_ifindex = (int)index;
	if (ioctl(fd, SIOCGIFNAME, out) != 0 || ioctl(fd, what, out) != 0)
		rc = -errno;
	close(fd);
	return rc;
}

bool sp_interface_exists(const char *name)
{
	return if_nametoindex(name) != 0;
}
