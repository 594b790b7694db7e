/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that rule files name: found below one folder, read whole, bounded. Blocks on the disk; any thread.
 */
#ifndef SP_RULES_FILE_H
#define SP_RULES_FILE_H

#include <stddef.h>

/* Room for the sentences below. */
#define SP_FILE_WHY_BYTES 256

/*
 * Reads a whole regular file of at most SP_SCAN_SIZE_MAX bytes. *bytes is malloc'ed, with a NUL past *size. 0, or -errno with `why` (not
 * NULL) a sentence without the path. Never waits on a FIFO.
 */
int sp_file_load(const char *path, char **bytes, size_t *size, char why[SP_FILE_WHY_BYTES]);

/*
 * The real path (malloc'ed) of `name`, taken relative to folder `from`, when it lies below `folder` after all symbolic links. NULL with
 * `why` otherwise; one sentence for both "absent" and "outside", so that strangers cannot probe for files.
 */
char *sp_file_resolve(const char *folder, const char *from, const char *name, char why[SP_FILE_WHY_BYTES]);

/* The folder part of a path, malloc'ed; "." when it has none. NULL on ENOMEM. */
char *sp_file_folder(const char *path);

/* `name` as seen from `from`: itself when absolute or `from` is ".", joined otherwise; malloc'ed. NULL on ENOMEM. */
char *sp_file_join(const char *from, const char *name);

#endif
