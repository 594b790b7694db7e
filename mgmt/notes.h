/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the start had to do without, and says in the status for as long as the process runs.
 */
#ifndef SP_MGMT_NOTES_H
#define SP_MGMT_NOTES_H

#include <stdbool.h>

#define SP_NOTES_MAX 8

struct sp_note {
	const char *code; /* of GET /v1/status; a literal */
	bool unready;     /* the firewall is not ready as long as this is so */
	char text[768];
	char remedy[256]; /* "": the text has it */
};

struct sp_notes { /* zeroed at start */
	unsigned int n;
	struct sp_note v[SP_NOTES_MAX];
};

/* Adds one; more than SP_NOTES_MAX are left out. text and remedy are copied, what is longer is cut. */
void sp_notes_add(struct sp_notes *notes, const char *code, bool unready, const char *text, const char *remedy);

#endif
