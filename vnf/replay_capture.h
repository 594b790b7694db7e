/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Captures as Ethernet frames, whatever they were taken on, and a capture to write frames to.
 */
#ifndef SP_VNF_REPLAY_CAPTURE_H
#define SP_VNF_REPLAY_CAPTURE_H

#include <stddef.h>
#include <stdint.h>

#define SP_CAPTURED_MAX 65535 /* bytes of a frame that the packet path takes */

struct sp_replay_frame {
	const uint8_t *data; /* Ethernet header first; the capture's, until the next call */
	uint32_t len;
	uint64_t ns; /* when it was captured, since the epoch */
};

struct sp_replay_capture;

/* Opens a pcap or pcapng file, "-" for standard input. NULL with a sentence in why: no such file, no capture, a link type that is not
 * understood. */
struct sp_replay_capture *sp_replay_capture_open(const char *path, char *why, size_t why_size);

/*
 * Next frame. Link types without an Ethernet header get one: MAC addresses made from the IP addresses, so that each host keeps its own.
 * 1; 0 at the end; -EIO with a sentence in why when the file is broken from here on.
 */
int sp_replay_capture_next(struct sp_replay_capture *capture, struct sp_replay_frame *frame, char *why, size_t why_size);

/* Frames of which the capture, or SP_CAPTURED_MAX, lacks the end. */
uint64_t sp_replay_capture_truncated(const struct sp_replay_capture *capture);

void sp_replay_capture_close(struct sp_replay_capture *capture);

struct sp_replay_capture_writer;

/* Creates a pcap file of Ethernet frames with the time resolution of the capture that was read. NULL with a sentence in why. */
struct sp_replay_capture_writer *sp_replay_capture_create(
	const char *path, const struct sp_replay_capture *like, char *why, size_t why_size);

void sp_replay_capture_write(struct sp_replay_capture_writer *writer, const struct sp_replay_frame *frame);

/* Closes the file. 0, or -errno when not all could be written. */
int sp_replay_capture_finish(struct sp_replay_capture_writer *writer);

#endif
