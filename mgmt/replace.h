/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replacing a file as a whole: readers, and a crash at any moment, see the old bytes or the new ones, never a mixture.
 */
#ifndef SP_MGMT_REPLACE_H
#define SP_MGMT_REPLACE_H

#include <stddef.h>

struct sp_replace {
	char *target; /* after symbolic links */
	char *temporary;
};

/*
 * Writes the bytes to a new file beside `path` (same owner and mode, where that is permitted) and syncs it to the disk. 0, or -errno with
 * nothing left behind. Blocks on the disk.
 */
int sp_replace_prepare(struct sp_replace *replace, const char *path, const char *bytes, size_t size);

/* Puts the prepared file in the place of the old one and syncs the folder. 0 or -errno (the old file stands). Frees the replace. */
int sp_replace_commit(struct sp_replace *replace);

/* Removes the prepared file. Frees the replace. Nothing to do after a failed prepare. */
void sp_replace_abort(struct sp_replace *replace);

#endif
