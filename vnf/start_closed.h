/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --fail-closed: whatever is missing, the firewall comes up with what there is, drops what it cannot judge, and says on its socket what is
 * wrong and what to do. Only what makes even a socket impossible ends it.
 */
#ifndef SP_VNF_START_CLOSED_H
#define SP_VNF_START_CLOSED_H

#include "vnf/start.h"

/* DPDK starts once in a process: what fails there, or later for want of memory, is tried again by the process begun anew with less. */
enum sp_attempt {
	SP_ATTEMPT_AS_CONFIGURED,
	SP_ATTEMPT_SMALL, /* ordinary pages, and small tables */
	SP_ATTEMPT_BARE,  /* small tables, and no ports */
	SP_ATTEMPTS
};

/* At the very start of the process: which attempt it is, and with what note. */
void sp_closed_begin(struct sp_start *start);

/*
 * The configuration does not read, for the errors in diags: puts the empty one in its place, with what can be read of the group `api`.
 * Diags stay. SP_EXIT_GOOD or SP_EXIT_UNRUN.
 */
int sp_closed_config(struct sp_start *start, const struct sp_diags *diags);

/* Makes the configuration as small as the attempt says. */
void sp_closed_shrink(struct sp_start *start);

/* Begins the process anew with less, for start->why; returns only when there is no less, or it cannot. */
void sp_closed_again(const struct sp_start *start);

/* The first error, with its place, into text. */
void sp_closed_first(const struct sp_diags *diags, char *text, size_t size);

#endif
