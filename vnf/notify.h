/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Telling the service manager how far the process is (sd_notify(3)), without its library.
 */
#ifndef SP_VNF_NOTIFY_H
#define SP_VNF_NOTIFY_H

/* Sends `state` ("READY=1") to $NOTIFY_SOCKET; does nothing when there is none. Does not block. */
void sp_notify_manager(const char *state);

#endif
