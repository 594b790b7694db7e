/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/prefix.h"

#include <string.h>

/* A chain that is longer than any driver makes one is taken for a loop. */
#define SEGMENTS_MAX 256

/* Bytes of the segment that lie inside its buffer. */
static uint32_t segment_bytes(const struct rte_mbuf *segment)
{
	return (uint32_t)segment->data_off + segment->data_len <= segment->buf_len ? segment->data_len : 0;
}

const uint8_t *sp_prefix_read(const struct rte_mbuf *mbuf, uint32_t want, uint8_t *buffer, uint32_t *have)
{
	uint32_t first = segment_bytes(mbuf), n = 0;

	want = RTE_MIN(want, mbuf->pkt_len);
	if (first >= want || mbuf->nb_segs == 1) {
		*have = RTE_MIN(first, want);
		return rte_pktmbuf_mtod(mbuf, const uint8_t *);
	}
	for (unsigned int s = 0; s < SEGMENTS_MAX && mbuf != NULL && n < want; s++, mbuf = mbuf->next) {
		uint32_t bytes = RTE_MIN(segment_bytes(mbuf), want - n);

		memcpy(buffer + n, rte_pktmbuf_mtod(mbuf, const uint8_t *), bytes);
		n += bytes;
	}
	*have = n;
	return buffer;
}
