/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Captures: what workers copy goes through bounded rings to a writer thread and from there to pcapng files of bounded size and time. A
 * disk that is slow or full costs copies, which are counted, and never a packet.
 */
#ifndef SP_MGMT_CAPTURES_H
#define SP_MGMT_CAPTURES_H

#include <jansson.h>

#include "dataplane/capture.h"
#include "dataplane/dataplane.h"

#define SP_CAPTURES_MAX         16 /* running and stopped ones that are listed */
#define SP_CAPTURES_FILTER_MAX  1000
#define SP_CAPTURES_FOLDER      "/var/lib/sallyport/captures"
#define SP_CAPTURES_SNAPLEN     2048
#define SP_CAPTURES_BYTES       (64ull << 20)
#define SP_CAPTURES_BYTES_MIN   (64ull << 10) /* holds the head of every file */
#define SP_CAPTURES_BYTES_MAX   (4ull << 30)
#define SP_CAPTURES_SECONDS     60
#define SP_CAPTURES_SECONDS_MAX 86400
#define SP_CAPTURES_PACKETS_MAX 1000000000000ull

struct sp_captures_request {
	const char *filter; /* pcap-filter expression; NULL or "": every packet */
	uint8_t points;     /* bits enum sp_capture_point, at least one */
	bool trace;
	uint32_t snaplen;
	uint64_t max_packets; /* 0: no bound but the other two */
	uint64_t max_bytes;   /* of the file */
	uint32_t max_seconds;
};

struct sp_captures_counters {
	uint64_t packets, bytes; /* written to files, since the start */
	uint64_t lost;           /* copies that found a ring full, or that a file did not take */
	uint64_t write_errors;
};

struct sp_captures;

/* Starts the writer thread; `folder` is copied and made when the first capture needs it. NULL with a reason. Control thread. */
struct sp_captures *sp_captures_start(struct sp_dataplane *dataplane, const char *folder, char *why, size_t why_size);

/* Ends all captures and the thread; files stay. NULL is fine. When no worker runs any more and nobody calls. */
void sp_captures_stop(struct sp_captures *captures);

/*
 * Starts a capture. 0 with *id (from 1); -EINVAL: the filter does not compile; -EAGAIN: SP_CAPTURES_RUNNING run or SP_CAPTURES_MAX are
 * listed; another -errno: the file. `why` (at least 512 bytes) says so in a sentence. API thread; touches the disk.
 */
int sp_captures_create(struct sp_captures *captures, const struct sp_captures_request *request, uint32_t *id, char *why, size_t why_size);

/* One capture, or all as an array; NULL when there is no such one or no memory. API thread. */
json_t *sp_captures_one_json(struct sp_captures *captures, uint32_t id);
json_t *sp_captures_json(struct sp_captures *captures);

/* Stops a running capture (0), or forgets a stopped one and removes its file (1). -ENOENT: no such one. API thread. */
int sp_captures_delete(struct sp_captures *captures, uint32_t id);

/* The file for reading, and its bytes up to the last whole block. A descriptor that is the caller's, -ENOENT: no such capture, or -errno.
 */
int sp_captures_open(struct sp_captures *captures, uint32_t id, uint64_t *bytes);

/* Any thread. */
void sp_captures_counters(const struct sp_captures *captures, struct sp_captures_counters *out);

#endif
