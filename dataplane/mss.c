/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MSS clamping (RFC 9293 3.7.1): lowers option 2 of a SYN in place and mends the checksum incrementally (RFC 1624).
 */
#include <rte_tcp.h>

#include "dataplane/bytes.h"
#include "dataplane/checksum.h"
#include "dataplane/stages.h"

#define TCP_OPTION_END 0
#define TCP_OPTION_NOP 1
#define TCP_OPTION_MSS 2

static void lower(uint8_t *tcp, unsigned int offset, uint16_t mss)
{
	struct rte_tcp_hdr *header = (struct rte_tcp_hdr *)tcp;
	uint16_t old = sp_read_be16(tcp + offset);
	uint64_t old_sum, new_sum;

	if (old <= mss)
		return;
	old_sum = sp_checksum_at(rte_cpu_to_be_16(old), offset);
	new_sum = sp_checksum_at(rte_cpu_to_be_16(mss), offset);
	sp_write_be16(tcp + offset, mss);
	header->cksum = sp_checksum_mend(header->cksum, old_sum, new_sum);
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
