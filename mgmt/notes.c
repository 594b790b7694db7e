/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/notes.h"

#include <stdio.h>

void sp_notes_add(struct sp_notes *notes, const char *code, bool unready, const char *text, const char *remedy)
{
	struct sp_note *note;

	if (notes->n == SP_NOTES_MAX)
		return;
	note = &notes->v[notes->n++];
	note->code = code;
	note->unready = unready;
	snprintf(note->text, sizeof(note->text), "%s", text);
	snprintf(note->remedy, sizeof(note->remedy), "%s", remedy);
}
