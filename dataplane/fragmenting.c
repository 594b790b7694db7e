/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packet is read as it stands, whatever its segmentation; nothing of it is changed until all pieces are there.
 */
#include "dataplane/fragmenting.h"

#include "dataplane/checksum.h"
#include "dataplane/fragment.h"
#include "dataplane/fragment_chain.h"
#include "dataplane/parse_internal.h"
#include "dataplane/stages.h"

#define IPV4_DONT_FRAGMENT 0x4000
#define OPTION_END         0
#define OPTION_NOP         1
#define OPTION_COPIED      0x80 /* goes into every fragment */
#define UNIT_BYTES         8u

/* Layers 2 and 3 of a piece. */
struct headers {
	uint8_t bytes[SP_ETHER_BYTES + SP_VLAN_TAGS_MAX * SP_VLAN_BYTES + SP_IPV4_BYTES_MAX];
	uint32_t l3_off;
	uint32_t ip_bytes;
};

/* A packet that is cut. */
struct cut {
	struct headers first, later;
	uint32_t data_off, data_bytes; /* in the mbuf */
	uint32_t first_bytes;          /* data of the first piece, and of the others but the last */
	uint32_t later_bytes;
	uint16_t word; /* position and flags as the packet has them */
};

/* The options that later pieces carry, padded to whole words; returns their length. Malformed ones end the list. */
static uint32_t copy_options(const uint8_t *from, uint32_t bytes, uint8_t *to)
{
	uint32_t at = 0, n = 0;

	while (at < bytes && from[at] != OPTION_END) {
		uint32_t len = 1;

		if (from[at] != OPTION_NOP) {
			if (at + 1 >= bytes || from[at + 1] < 2 || from[at + 1] > bytes - at)
				break;
			len = from[at + 1];
		}
		if (from[at] & OPTION_COPIED) {
			memcpy(to + n, from + at, len);
			n += len;
		}
		at += len;
	}
	while (n % 4 != 0)
		to[n++] = OPTION_END;
	return n;
}

/* Bytes of data that fit under the MTU, in whole units. */
static uint32_t room(const struct headers *headers, uint16_t mtu)
{
	return mtu <= headers->ip_bytes ? 0 : (mtu - headers->ip_bytes) / UNIT_BYTES * UNIT_BYTES;
}

/* False when the packet is no IPv4 packet that may be fragmented, or nothing fits under the MTU. */
static bool plan(const struct rte_mbuf *mbuf, uint32_t l3_off, uint16_t mtu, struct cut *cut)
{
	uint8_t copy[sizeof(cut->first.bytes)];
	const uint8_t *frame;
	uint32_t header, length;

	if (l3_off > sizeof(cut->first.bytes) - SP_IPV4_BYTES_MAX)
		return false;
	frame = rte_pktmbuf_read(mbuf, 0, l3_off + SP_IPV4_BYTES, copy);
	if (frame == NULL || frame[l3_off] >> 4 != 4)
		return false;
	header = (frame[l3_off] & 0xfu) * 4;
	length = sp_read_be16(frame + l3_off + SP_IPV4_LENGTH_OFFSET);
	cut->word = sp_read_be16(frame + l3_off + SP_IPV4_FRAG_OFFSET);
	if (header < SP_IPV4_BYTES || length <= header || length > mbuf->pkt_len - l3_off || cut->word & IPV4_DONT_FRAGMENT)
		return false;
	frame = rte_pktmbuf_read(mbuf, 0, l3_off + header, copy);
	memcpy(cut->first.bytes, frame, l3_off + header);
	memcpy(cut->later.bytes, frame, l3_off + SP_IPV4_BYTES);
	cut->first.l3_off = cut->later.l3_off = l3_off;
	cut->first.ip_bytes = header;
	cut->later.ip_bytes = SP_IPV4_BYTES + copy_options(frame + l3_off + SP_IPV4_BYTES, header - SP_IPV4_BYTES,
						      cut->later.bytes + l3_off + SP_IPV4_BYTES);
	cut->later.bytes[l3_off] = (uint8_t)(0x40 | cut->later.ip_bytes / 4);
	cut->data_off = l3_off + header;
	cut->data_bytes = length - header;
	cut->first_bytes = RTE_MIN(room(&cut->first, mtu), cut->data_bytes);
	cut->later_bytes = room(&cut->later, mtu);
	return cut->first_bytes > 0 && cut->later_bytes > 0;
}

/* Of the last piece's data less than a unit may lie over the whole units that fit: `at` is where the piece begins. */
static uint32_t piece_bytes(const struct cut *cut, uint32_t at, uint16_t mtu)
{
	uint32_t left = cut->data_bytes - at;

	if (at == 0)
		return cut->first_bytes;
	return left + cut->later.ip_bytes <= mtu ? left : cut->later_bytes;
}

static unsigned int count_pieces(const struct cut *cut, uint16_t mtu, unsigned int n_max)
{
	unsigned int n = 0;

	for (uint32_t at = 0; at < cut->data_bytes && n <= n_max; n++)
		at += piece_bytes(cut, at, mtu);
	return n;
}

static struct rte_mbuf *make_piece(
	const struct sp_worker *worker, const struct rte_mbuf *mbuf, const struct cut *cut, uint32_t at, uint32_t bytes)
{
	const struct headers *headers = at == 0 ? &cut->first : &cut->later;
	uint16_t word = (uint16_t)((cut->word & ~SP_IPV4_POSITION) | ((cut->word & SP_IPV4_POSITION) + at / UNIT_BYTES)), sum;
	struct rte_mbuf *piece = rte_pktmbuf_copy(mbuf, worker->pool, cut->data_off + at, bytes);
	uint8_t *ip;

	if (piece == NULL)
		return NULL;
	ip = (uint8_t *)rte_pktmbuf_prepend(piece, (uint16_t)(headers->l3_off + headers->ip_bytes));
	if (ip == NULL) {
		rte_pktmbuf_free(piece);
		return NULL;
	}
	memcpy(ip, headers->bytes, headers->l3_off + headers->ip_bytes);
	ip += headers->l3_off;
	if (at + bytes < cut->data_bytes)
		word |= SP_IPV4_MORE;
	sp_write_be16(ip + SP_IPV4_LENGTH_OFFSET, (uint16_t)(headers->ip_bytes + bytes));
	sp_write_be16(ip + SP_IPV4_FRAG_OFFSET, word);
	memset(ip + SP_IPV4_SUM_OFFSET, 0, sizeof(sum));
	sum = (uint16_t)~sp_checksum_fold(sp_checksum_add(0, ip, headers->ip_bytes));
	memcpy(ip + SP_IPV4_SUM_OFFSET, &sum, sizeof(sum));
	return piece;
}

/* Bytes of the IP packet by its own word; 0 when its header does not reach. */
static uint32_t ip_length(const struct rte_mbuf *mbuf, uint32_t l3_off, bool *may_fragment)
{
	uint8_t copy[SP_IPV4_BYTES];
	const uint8_t *ip = rte_pktmbuf_read(mbuf, l3_off, sizeof(copy), copy);

	*may_fragment = false;
	if (ip == NULL)
		return 0;
	if (ip[0] >> 4 == 6)
		return SP_IPV6_BYTES + (uint32_t)sp_read_be16(ip + SP_IPV6_LENGTH_OFFSET);
	*may_fragment = (sp_read_be16(ip + SP_IPV4_FRAG_OFFSET) & IPV4_DONT_FRAGMENT) == 0;
	return sp_read_be16(ip + SP_IPV4_LENGTH_OFFSET);
}

/* Shortens the frame to `bytes`, of which it has more. */
static void cut_off(struct rte_mbuf *mbuf, uint32_t bytes)
{
	struct rte_mbuf *segment = mbuf;
	uint32_t at = segment->data_len;
	uint16_t n = 1;

	for (; at < bytes; n++) {
		segment = segment->next;
		at += segment->data_len;
	}
	segment->data_len -= (uint16_t)(at - bytes);
	rte_pktmbuf_free(segment->next);
	segment->next = NULL;
	mbuf->nb_segs = n;
	mbuf->pkt_len = bytes;
}

/* Whether it is not the packet that is too long, but what lies behind it, which goes. */
static bool only_padded(struct rte_mbuf *mbuf, uint32_t l3_off, uint16_t mtu)
{
	bool may_fragment;
	uint32_t length = ip_length(mbuf, l3_off, &may_fragment);

	if (length == 0 || length > mtu || length > mbuf->pkt_len - l3_off)
		return false;
	if (l3_off + length < mbuf->pkt_len)
		cut_off(mbuf, l3_off + length);
	return true;
}

static unsigned int drop(struct sp_worker *worker, struct rte_mbuf *mbuf, enum sp_drop_reason reason)
{
	sp_count(&worker->stats.drops[reason], 1);
	sp_count(&worker->stats.ports[worker->burst.port].drops, 1);
	sp_drop_note_mbuf(worker, mbuf, worker->burst.port, reason);
	if (worker->captures != NULL)
		sp_capture_mbuf(worker, mbuf, SP_CAPTURE_DROP, worker->burst.port, reason);
	rte_pktmbuf_free(mbuf);
	return 0;
}

unsigned int sp_fragment_to_mtu(
	struct sp_worker *worker, struct rte_mbuf *mbuf, uint32_t l3_off, uint16_t mtu, struct rte_mbuf **out, unsigned int n_max)
{
	struct cut cut;
	unsigned int n = 0;
	uint32_t bytes;

	if (only_padded(mbuf, l3_off, mtu)) {
		out[0] = mbuf;
		return 1;
	}
	if (!plan(mbuf, l3_off, mtu, &cut))
		return drop(worker, mbuf, SP_DROP_ROUTE_MTU);
	if (count_pieces(&cut, mtu, n_max) > n_max)
		return drop(worker, mbuf, SP_DROP_FRAG_TOO_MANY);
	for (uint32_t at = 0; at < cut.data_bytes; at += bytes) {
		bytes = piece_bytes(&cut, at, mtu);
		out[n] = make_piece(worker, mbuf, &cut, at, bytes);
		if (out[n] == NULL) {
			rte_pktmbuf_free_bulk(out, n);
			return drop(worker, mbuf, SP_DROP_QUEUE_MBUF);
		}
		n++;
	}
	rte_pktmbuf_free(mbuf);
	__atomic_store_n(&worker->stats.fragment_delta, worker->stats.fragment_delta + (int64_t)n - 1, __ATOMIC_RELAXED);
	return n;
}

bool sp_exceeds_mtu(const struct rte_mbuf *mbuf, uint32_t l3_off, uint16_t mtu)
{
	bool may_fragment;

	if (sp_is_datagram(mbuf))
		return sp_datagram_exceeds_mtu(mbuf, mtu);
	return ip_length(mbuf, l3_off, &may_fragment) > mtu && !may_fragment;
}
