/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Giving up what the process no longer needs once devices, files and sockets are open.
 */
#ifndef SP_VNF_HARDEN_H
#define SP_VNF_HARDEN_H

#include <stdbool.h>
#include <stddef.h>

/* What some configurations need for as long as they run. */
struct sp_harden_needs {
	bool net_admin;    /* TAP and AF_XDP undo what they did to the kernel when they close; a router asks it for neighbours */
	bool net_raw;      /* absent ports on interfaces of Linux are opened later */
	bool physical;     /* devices without an IOMMU: physical addresses and I/O ports */
	bool chown;        /* the API's socket is to be given to a group */
	bool bind_service; /* the API's port is a privileged one, and is bound later */
};

/*
 * At process start: no core files (they would hold packets and keys), memory may be locked for DMA as far as the hard limit lets it.
 */
void sp_harden_early(void);

/*
 * For every thread of the process: no new privileges by execve, and no capability but those needed. Threads made later inherit
 * that. A thread that blocks SIGRTMAX cannot be reached: call this before such threads are made. 0, or -errno with a
 * sentence in why; then some threads may have given up more than others. Main thread; blocks up to a second for threads to answer.
 */
int sp_harden_apply(const struct sp_harden_needs *needs, char *why, size_t why_size);

#endif
