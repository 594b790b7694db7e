/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pcapng blocks (draft-ietf-opsawg-pcapng) into memory: section header, interface descriptions, enhanced packets with direction and
 * comment. Bytes in this machine's order, which the section header tells. Pure functions: any thread.
 *
 * Each returns the length of its block, a multiple of 4, or 0 when it does not fit in `room` bytes; then nothing that counts was written.
 */
#ifndef SP_MGMT_PCAPNG_H
#define SP_MGMT_PCAPNG_H

#include <stddef.h>
#include <stdint.h>

#define SP_PCAPNG_TYPE         "application/x-pcapng"
#define SP_PCAPNG_COMMENT_MAX  1024 /* longer ones are cut */
#define SP_PCAPNG_PACKET_EXTRA 1088 /* a packet block is at most this much longer than its data */

enum sp_pcapng_direction { SP_PCAPNG_UNKNOWN = 0, SP_PCAPNG_INBOUND = 1, SP_PCAPNG_OUTBOUND = 2 };

struct sp_pcapng_packet {
	uint32_t interface; /* number of its description, in the order in which they stand in the file */
	uint64_t time_ns;   /* since the epoch */
	const uint8_t *data;
	uint32_t captured; /* bytes of data, at most length */
	uint32_t length;   /* bytes of the frame on the wire */
	enum sp_pcapng_direction direction;
	const char *comment; /* UTF-8; NULL or "": none */
};

size_t sp_pcapng_section(uint8_t *out, size_t room);

/* Ethernet, with nanoseconds. `filter` is a pcap-filter expression, NULL for none. */
size_t sp_pcapng_interface(uint8_t *out, size_t room, const char *name, uint32_t snaplen, const char *filter);

size_t sp_pcapng_packet(uint8_t *out, size_t room, const struct sp_pcapng_packet *packet);

#endif
