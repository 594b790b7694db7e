/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The TCP header of a parsed packet. Bounds were checked by the parser; what is read here is inside the header that it measured.
 */
#include "dataplane/bytes.h"
#include "dataplane/session_tcp.h"

#define TCP_BYTES         20
#define TCP_HEADER_MAX    60
#define TCP_SEQ_OFFSET    4
#define TCP_ACK_OFFSET    8
#define TCP_WINDOW_OFFSET 14

#define SYN 0x02

#define OPTION_END          0
#define OPTION_NOP          1
#define OPTION_SCALE        3
#define OPTION_SCALE_LENGTH 3

/* The window scale option among `length` bytes of options; those after a malformed one are not looked at (RFC 9293 3.1). */
static int8_t find_scale(const uint8_t *options, unsigned int length)
{
	unsigned int at = 0;

	while (at < length && options[at] != OPTION_END) {
		if (options[at] == OPTION_NOP) {
			at++;
			continue;
		}
		if (at + 1 >= length || options[at + 1] < 2 || options[at + 1] > length - at)
			break;
		if (options[at] == OPTION_SCALE && options[at + 1] == OPTION_SCALE_LENGTH)
			return (int8_t)RTE_MIN(options[at + 2], SP_TCP_SCALE_MAX);
		at += options[at + 1];
	}
	return SP_TCP_SCALE_NONE;
}

static __rte_noinline int8_t read_scale(const struct rte_mbuf *mbuf, const struct sp_packet *packet)
{
	const unsigned int length = packet->payload_off - packet->l4_off - TCP_BYTES;
	uint8_t copy[TCP_HEADER_MAX - TCP_BYTES];
	const uint8_t *options;

	if (length == 0 || length > sizeof(copy))
		return SP_TCP_SCALE_NONE;
	options = rte_pktmbuf_read(mbuf, packet->l4_off + TCP_BYTES, length, copy);
	return options == NULL ? SP_TCP_SCALE_NONE : find_scale(options, length);
}

bool sp_tcp_read(const struct rte_mbuf *mbuf, const struct sp_packet *packet, struct sp_tcp_segment *out)
{
	uint8_t copy[TCP_BYTES];
	const uint8_t *tcp = rte_pktmbuf_read(mbuf, packet->l4_off, TCP_BYTES, copy);

	if (unlikely(tcp == NULL || packet->payload_off < packet->l4_off + TCP_BYTES))
		return false;
	out->seq = sp_read_be32(tcp + TCP_SEQ_OFFSET);
	out->ack = sp_read_be32(tcp + TCP_ACK_OFFSET);
	out->window = sp_read_be16(tcp + TCP_WINDOW_OFFSET);
	out->payload = packet->payload_len;
	out->flags = packet->tcp_flags;
	out->scale = unlikely(packet->tcp_flags & SYN) ? read_scale(mbuf, packet) : SP_TCP_SCALE_NONE;
	return true;
}
