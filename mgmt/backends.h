/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backends of the rules in force: has health.c watch them, and tells the dataplane which take new flows.
 */
#ifndef SP_MGMT_BACKENDS_H
#define SP_MGMT_BACKENDS_H

#include <jansson.h>
#include <stddef.h>

struct sp_mgmt;

/* Watches the backends of the rules in force by mgmt->health, which is started when there is none. 0, or -1 with a one-line reason in why.
 */
int sp_backends_start(struct sp_mgmt *mgmt, char *why, size_t why_size);

/* After a publish: watches the backends of the rules in force. When that fails the old ones stay, and the log tells. Control thread. */
void sp_backends_watch(struct sp_mgmt *mgmt);

/* [{entry, address, port, checked, live, drained, asked, failed, since, why}] of the first backends; how many were left out. NULL on
 * ENOMEM. Any thread but a worker. */
json_t *sp_backends_json(struct sp_mgmt *mgmt, size_t *left_out);

#endif
