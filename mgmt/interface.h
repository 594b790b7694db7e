/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One question to Linux about one of its network interfaces, in the process's network namespace. Any thread.
 */
#ifndef SP_MGMT_INTERFACE_H
#define SP_MGMT_INTERFACE_H

#include <stdbool.h>

struct ifreq;

/*
 * Has ioctl `what` (SIOCGIFFLAGS, SIOCGIFHWADDR) fill *out for the interface of that index. 0; -ENODEV when there is none, or it was
 * moved away; another -errno when it is not known, for want of a descriptor: *out is worthless then.
 */
int sp_interface_ask(unsigned int index, unsigned long what, struct ifreq *out);

/* By its name. For those to whom Linux's own headers deny <net/if.h>. */
bool sp_interface_exists(const char *name);

#endif
