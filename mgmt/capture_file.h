/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file that grows by whole blocks: what a full disk takes of a block is cut off again, so that the file always ends well.
 */
#ifndef SP_MGMT_CAPTURE_FILE_H
#define SP_MGMT_CAPTURE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SP_CAPTURE_FILE_BUFFER ((size_t)256 * 1024)

struct sp_capture_file {
	int fd;
	char *path;              /* owned */
	uint8_t *buf;            /* owned, SP_CAPTURE_FILE_BUFFER bytes; whole blocks not yet written */
	size_t used;             /* bytes in buf */
	uint32_t buffered;       /* packets in buf */
	uint64_t bytes, packets; /* on disk; relaxed readers */
};

/* Makes folder (and its parent) and the new file, for nobody but this user. 0 or -errno. Blocks on the disk. */
int sp_capture_file_open(struct sp_capture_file *file, const char *folder, const char *name);

/* Bytes of room behind buf + used, where the next block is made. */
static inline size_t sp_capture_file_room(const struct sp_capture_file *file)
{
	return SP_CAPTURE_FILE_BUFFER - file->used;
}

/* The block of `bytes` bytes made there belongs to the file; `packets` is 1 when it is a packet's. */
static inline void sp_capture_file_commit(struct sp_capture_file *file, size_t bytes, unsigned int packets)
{
	file->used += bytes;
	file->buffered += packets;
}

/* Writes what is buffered. 0, or -errno: then the buffer is thrown away, its packets are in *lost, and the file ends as before. */
int sp_capture_file_flush(struct sp_capture_file *file, uint64_t *lost);

/* Closes the descriptor and frees the buffer; path and counters stay until sp_capture_file_free. */
void sp_capture_file_close(struct sp_capture_file *file);
void sp_capture_file_free(struct sp_capture_file *file);

#endif
