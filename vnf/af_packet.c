/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK's af_packet driver asks the kernel to put IPv4 fragments together before it hands them over (PACKET_FANOUT_FLAG_DEFRAG), and has no
 * argument for it. The firewall must see them as they were sent: what the kernel makes of fragments that contradict each other is its own
 * choice, and the whole is longer than the driver's frames, so that it would come cut off. The linker leads the driver's call here
 * (--wrap=setsockopt); all others pass as they are.
 */
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>

int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t len);

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	int fanout;

	if (level != SOL_PACKET || option != PACKET_FANOUT || len != sizeof(fanout))
		return __real_setsockopt(fd, level, option, value, len);
	/* the group's number in the low half, mode and flags in the high one */
	memcpy(&fanout, value, sizeof(fanout));
	fanout = (int)((unsigned int)fanout & ~((unsigned int)PACKET_FANOUT_FLAG_DEFRAG << 16));
	return __real_setsockopt(fd, level, option, &fanout, sizeof(fanout));
}
