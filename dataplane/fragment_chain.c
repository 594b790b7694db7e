/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a piece needs to become itself again travels in a dynamic field of its first mbuf, because the chain may go to another worker. Flag
 * and field are of the process; both are registered before any worker runs and only read afterwards.
 */
#include "dataplane/fragment_chain.h"

#include <rte_errno.h>
#include <rte_mbuf_dyn.h>

#define FRAME_BYTES_MIN 60 /* of Ethernet, without FCS */
#define COMPARE_BYTES   256

#define IPV4_FLAGS_OFFSET  6
#define IPV4_DONT_FRAGMENT 0x40

/* In the first mbuf of each piece. */
struct note {
	uint16_t data;     /* where the piece's data begin in its frame */
	uint16_t segments; /* mbufs of the piece */
	uint16_t wire;     /* bytes of the frame as it came */
	uint8_t l3;        /* where layer 3 begins */
	uint8_t padding;   /* bytes behind the data: less than FRAME_BYTES_MIN */
};

static uint64_t datagram_flag;
static int note_offset = -1;

static struct note *note_of(const struct rte_mbuf *mbuf)
{
	return RTE_MBUF_DYNFIELD((uintptr_t)mbuf, note_offset, struct note *);
}

int sp_datagram_register(void)
{
	static const struct rte_mbuf_dynfield field = {
		.name = "sallyport_fragment", .size = sizeof(struct note), .align = __alignof__(struct note)};
	static const struct rte_mbuf_dynflag flag = {.name = "sallyport_datagram"};
	int bit = rte_mbuf_dynflag_register(&flag);

	note_offset = rte_mbuf_dynfield_register(&field);
	if (bit < 0 || note_offset < 0)
		return -rte_errno;
	datagram_flag = UINT64_C(1) << bit;
	return 0;
}

bool sp_is_datagram(const struct rte_mbuf *mbuf)
{
	return mbuf->ol_flags & datagram_flag;
}

uint32_t sp_piece_headers(const struct sp_piece *piece)
{
	return (uint32_t)note_of(piece->mbuf)->data - note_of(piece->mbuf)->l3;
}

struct rte_mbuf *sp_piece_copy(const struct rte_mbuf *mbuf, struct rte_mempool *pool, const struct sp_packet *packet, uint32_t wire)
{
	uint32_t end = (uint32_t)packet->payload_off + packet->payload_len;
	uint32_t len = RTE_MIN(mbuf->pkt_len, RTE_MAX(end, (uint32_t)FRAME_BYTES_MIN));
	struct rte_mbuf *copy = rte_pktmbuf_copy(mbuf, pool, 0, len);

	if (copy == NULL)
		return NULL;
	*note_of(copy) = (struct note){.data = packet->payload_off,
		.segments = copy->nb_segs,
		.wire = (uint16_t)RTE_MIN(wire, (uint32_t)UINT16_MAX),
		.l3 = packet->l3_off,
		.padding = (uint8_t)(len - end)};
	return copy;
}

bool sp_piece_same(const struct sp_piece *piece, const struct rte_mbuf *mbuf, uint32_t off, uint32_t bytes)
{
	uint8_t here[COMPARE_BYTES], there[COMPARE_BYTES];
	uint32_t at = note_of(piece->mbuf)->data;

	if (piece->bytes != bytes)
		return false;
	for (uint32_t done = 0; done < bytes; done += COMPARE_BYTES) {
		uint32_t part = RTE_MIN(bytes - done, (uint32_t)COMPARE_BYTES);
		const void *a = rte_pktmbuf_read(piece->mbuf, at + done, part, here);
		const void *b = rte_pktmbuf_read(mbuf, off + done, part, there);

		if (a == NULL || b == NULL || memcmp(a, b, part) != 0)
			return false;
	}
	return true;
}

/* Padding lies in the only mbuf of its piece: a frame that has any is short. */
static void hide(struct rte_mbuf *mbuf, const struct note *note, bool headers)
{
	uint16_t front = headers ? note->data : 0;

	mbuf->data_off += front;
	mbuf->data_len -= front + note->padding;
	mbuf->pkt_len -= (uint32_t)front + note->padding;
}

struct rte_mbuf *sp_datagram_join(const struct sp_piece *piece, unsigned int n)
{
	struct rte_mbuf *chain = piece[0].mbuf, *last = rte_pktmbuf_lastseg(chain);

	hide(chain, note_of(chain), false);
	for (unsigned int i = 1; i < n; i++) {
		struct rte_mbuf *mbuf = piece[i].mbuf;

		hide(mbuf, note_of(mbuf), true);
		last->next = mbuf;
		last = rte_pktmbuf_lastseg(mbuf);
		chain->nb_segs += mbuf->nb_segs;
		chain->pkt_len += mbuf->pkt_len;
	}
	chain->ol_flags |= datagram_flag;
	return chain;
}

/* What follows the first piece becomes a chain like it: flagged, with its headers in front. */
struct rte_mbuf *sp_datagram_split(struct rte_mbuf *chain, struct rte_mbuf **rest)
{
	struct note *note = note_of(chain);
	struct rte_mbuf *last = chain;
	uint32_t bytes = chain->data_len;

	for (unsigned int i = 1; i < note->segments; i++) {
		last = last->next;
		bytes += last->data_len;
	}
	*rest = last->next;
	if (*rest != NULL) {
		uint16_t data = note_of(*rest)->data;

		(*rest)->nb_segs = (uint16_t)(chain->nb_segs - note->segments);
		(*rest)->pkt_len = chain->pkt_len - bytes + data;
		(*rest)->data_off -= data;
		(*rest)->data_len += data;
		(*rest)->ol_flags |= datagram_flag;
	}
	last->next = NULL;
	chain->nb_segs = note->segments;
	chain->data_len += note->padding;
	chain->pkt_len = bytes + note->padding;
	chain->ol_flags &= ~datagram_flag;
	return chain;
}

unsigned int sp_fragments_count(const struct rte_mbuf *datagram, uint32_t *wire)
{
	const struct rte_mbuf *chain = datagram;
	unsigned int n = 0;

	*wire = 0;
	while (chain != NULL) {
		const struct note *note = note_of(chain);

		*wire += note->wire;
		n++;
		for (unsigned int i = 0; i < note->segments && chain != NULL; i++)
			chain = chain->next;
	}
	return n;
}

/* Later pieces have their headers before their data; they stay contiguous with it. */
bool sp_datagram_exceeds_mtu(const struct rte_mbuf *chain, uint16_t mtu)
{
	const struct rte_mbuf *piece = chain;

	while (piece != NULL) {
		const struct note *note = note_of(piece);
		const uint8_t *ip = rte_pktmbuf_mtod(piece, const uint8_t *) - (piece == chain ? 0 : note->data) + note->l3;
		uint32_t bytes = piece == chain ? 0 : (uint32_t)note->data;

		for (unsigned int i = 0; i < note->segments && piece != NULL; i++) {
			bytes += piece->data_len;
			piece = piece->next;
		}
		if (bytes - note->l3 > mtu && (ip[0] >> 4 == 6 || ip[IPV4_FLAGS_OFFSET] & IPV4_DONT_FRAGMENT))
			return true;
	}
	return false;
}
