/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MSS clamping (RFC 9293 3.7.1): lowers option 2 of a SYN in place and mends the checksum incrementally (RFC 1624).
 */
#include <rte_byteorder.h>
#include <rte_tcp.h>
#include <string.h>

#include "dataplane/stages.h"

#define TCP_OPTION_END 0
#define TCP_OPTION_NOP 1
#define TCP_OPTION_MSS 2

/* ~(~sum + ~old + new), folded, on a word that may straddle: `odd` says it starts at an odd offset of the segment. */
static rte_be16_t mend_checksum(rte_be16_t checksum, uint16_t old, uint16_t new, bool odd)
{
	uint32_t sum;

	if (odd) {
		old = rte_bswap16(old);
		new = rte_bswap16(new);
	}
	sum = (uint16_t)~rte_be_to_cpu_16(checksum) + (uint16_t)~old + new;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return rte_cpu_to_be_16((uint16_t)~sum);
}

static void lower(uint8_t *tcp, unsigned int offset, uint16_t mss)
{
	struct rte_tcp_hdr *header = (struct rte_tcp_hdr *)tcp;
	uint16_t old = (uint16_t)(tcp[offset] << 8 | tcp[offset + 1]);

	if (old <= mss)
		return;
	tcp[offset] = mss >> 8;
	tcp[offset + 1] = mss & 0xff;
	header->cksum = mend_checksum(header->cksum, old, mss, offset & 1);
}

void sp_mss_clamp(struct rte_mbuf *mbuf, const struct sp_packet *packet, uint16_t mss)
{
	uint8_t *tcp;
	unsigned int header_len = packet->payload_off - packet->l4_off;
	unsigned int at = sizeof(struct rte_tcp_hdr);

	/* The whole header must be writable in the first segment; a SYN spread over segments is left alone. */
	if (packet->l4_off == 0 || packet->payload_off > rte_pktmbuf_data_len(mbuf) || !sp_mbuf_is_sole_owner(mbuf))
		return;
	tcp = rte_pktmbuf_mtod_offset(mbuf, uint8_t *, packet->l4_off);
	while (at < header_len && tcp[at] != TCP_OPTION_END) {
		if (tcp[at] == TCP_OPTION_NOP) {
			at++;
			continue;
		}
		if (at + 1 >= header_len || tcp[at + 1] < 2 || at + tcp[at + 1] > header_len)
			return;
		if (tcp[at] == TCP_OPTION_MSS && tcp[at + 1] == 4)
			lower(tcp, at + 2, mss);
		at += tcp[at + 1];
	}
}
