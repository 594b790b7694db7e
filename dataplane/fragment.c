/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stage of fragments: they wait in the worker's table (fragment_table.c), and leave it as a datagram (fragment_chain.c) or as counted
 * drops. Everything here belongs to the worker. Whatever an input does, it costs one look at a table, one copy of the frame, and a walk
 * over at most SP_FRAGMENT_PIECES pieces; what it pushes out is bounded by what came in before.
 *
 * Accounts: a waiting piece is held. n pieces that become a datagram are one packet (fragment_delta falls by n - 1), which is dropped as
 * one or becomes n packets again when they are sent.
 */
#include "dataplane/fragment.h"

#include "dataplane/fragment_chain.h"
#include "dataplane/nat.h"
#include "dataplane/parse_internal.h"
#include "dataplane/stages.h"

/* A fragment of the burst, as read off its headers, which the parser has checked. */
struct fragment {
	struct sp_datagram_key name;
	uint64_t hash;
	uint32_t start, bytes;
	bool more;
};

static void read_fragment(const struct sp_burst *burst, unsigned int i, bool routed, struct fragment *fragment)
{
	const struct sp_packet *packet = &burst->packet[i];
	uint8_t copy[SP_FRAGMENT_BYTES];
	uint16_t word;

	/* As the parser leaves it, the key has neither ports nor anything else that is not the same in all fragments, but for IPv6's next
	 * header, which only the first one's counts of (RFC 8200 4.5). */
	fragment->name.key = packet->key;
	fragment->name.key.domain = burst->port;
	if (routed) {
		fragment->name.key.vlan = burst->link[i];
		fragment->name.key.vlan_inner = burst->way != burst->port;
	}
	if (packet->key.family == SP_FAMILY_IPV4) {
		const uint8_t *p = rte_pktmbuf_read(burst->mbuf[i], packet->l3_off + SP_IPV4_ID_OFFSET, 4, copy);

		fragment->name.id = sp_read_be16(p);
		word = sp_read_be16(p + SP_IPV4_FRAG_OFFSET - SP_IPV4_ID_OFFSET);
		fragment->start = (word & SP_IPV4_POSITION) * 8u;
		fragment->more = word & SP_IPV4_MORE;
	} else {
		const uint8_t *p = rte_pktmbuf_read(burst->mbuf[i], packet->l4_off - SP_FRAGMENT_BYTES, SP_FRAGMENT_BYTES, copy);

		fragment->name.key.proto = 0;
		fragment->name.id = sp_read_u32(p + SP_FRAGMENT_ID);
		word = sp_read_be16(p + SP_FRAGMENT_WORD);
		fragment->start = word & SP_FRAGMENT_POSITION;
		fragment->more = word & SP_FRAGMENT_MORE;
	}
	fragment->bytes = packet->payload_len;
	fragment->hash = sp_datagram_hash(&fragment->name);
}

static void add_delta(struct sp_worker *worker, int64_t packets)
{
	__atomic_store_n(&worker->stats.fragment_delta, worker->stats.fragment_delta + packets, __ATOMIC_RELAXED);
}

/* --- drops ----------------------------------------------------------------------------------------------------------------------- */

static void drop_waiting(struct sp_worker *worker, const struct sp_datagram *datagram, struct rte_mbuf *mbuf, enum sp_drop_reason reason)
{
	struct sp_fragments *fragments = worker->fragments;
	uint16_t port = datagram->name.key.domain;
	struct sp_key key = datagram->name.key;

	key.domain = worker->dataplane->ports[port].domain;
	if (worker->dataplane->routing != NULL)
		key.vlan = key.vlan_inner = 0;
	sp_count(&worker->stats.drops[reason], 1);
	sp_count(&worker->stats.ports[port].drops, 1);
	sp_count(&worker->stats.fragments_held, -UINT64_C(1));
	sp_drop_note_fragment(worker, mbuf, &key, datagram->zone, port, reason);
	if (worker->captures != NULL)
		sp_capture_mbuf(worker, mbuf, SP_CAPTURE_DROP, port, reason);
	if (fragments->fate != NULL)
		fragments->fate(fragments->fate_context, mbuf, NULL, 0, (uint8_t)reason);
	fragments->buffers -= mbuf->nb_segs;
	rte_pktmbuf_free(mbuf);
}

static void drop_pieces(struct sp_worker *worker, struct sp_datagram *datagram, enum sp_drop_reason reason)
{
	for (unsigned int p = 0; p < datagram->n; p++)
		drop_waiting(worker, datagram, datagram->piece[p].mbuf, reason);
	datagram->n = 0;
	datagram->bytes = 0;
}

static void evict(struct sp_worker *worker, uint32_t index, enum sp_drop_reason reason)
{
	drop_pieces(worker, &worker->fragments->datagram[index], reason);
	sp_datagram_close(worker->fragments, index);
}

/* From here on until its time-out nothing of the datagram passes. */
static void refuse(struct sp_worker *worker, struct sp_datagram *datagram, enum sp_drop_reason reason)
{
	drop_pieces(worker, datagram, reason);
	datagram->refused = (uint8_t)reason;
}

/* --- putting together ------------------------------------------------------------------------------------------------------------ */

static bool is_late(const struct sp_datagram *datagram, uint32_t now_ms)
{
	return (int32_t)(now_ms - datagram->deadline_ms) >= 0;
}

/* The fragment's datagram, which is opened when it is not there. */
static uint32_t find_or_open(struct sp_worker *worker, unsigned int i, const struct fragment *fragment)
{
	struct sp_fragments *fragments = worker->fragments;
	uint32_t now_ms = worker->burst.now_ms, victim;
	uint32_t index = sp_datagram_find(fragments, &fragment->name, fragment->hash);
	uint8_t reason;

	/* Ageing may lag behind; an identification that comes back must not meet the pieces of its last use. */
	if (index != SP_DATAGRAM_NONE && is_late(&fragments->datagram[index], now_ms)) {
		evict(worker, index, SP_DROP_FRAG_TIMEOUT);
		index = SP_DATAGRAM_NONE;
	}
	if (index != SP_DATAGRAM_NONE)
		return index;
	victim = sp_datagram_victim(fragments, &fragment->name, &reason);
	if (victim != SP_DATAGRAM_NONE)
		evict(worker, victim, reason);
	return sp_datagram_open(fragments, &fragment->name, fragment->hash, now_ms, worker->burst.packet[i].zone_from);
}

/* Whether the fragment fits the pieces that wait: *at is its place among them. Fragments come mostly in order, so the search is from
 * behind. */
static enum sp_drop_reason fit(
	const struct sp_datagram *datagram, const struct fragment *fragment, const struct rte_mbuf *mbuf, uint32_t off, unsigned int *at)
{
	uint32_t end = fragment->start + fragment->bytes;
	unsigned int p = datagram->n;

	while (p > 0 && datagram->piece[p - 1].start >= fragment->start)
		p--;
	*at = p;
	if (p < datagram->n && datagram->piece[p].start < end) {
		const struct sp_piece *piece = &datagram->piece[p];
		bool is_last = datagram->end == end && p + 1u == datagram->n;

		if (piece->start == fragment->start && fragment->more != is_last && sp_piece_same(piece, mbuf, off, fragment->bytes))
			return SP_DROP_FRAG_DUPLICATE;
		return SP_DROP_FRAG_OVERLAP;
	}
	if (p > 0 && (uint32_t)datagram->piece[p - 1].start + datagram->piece[p - 1].bytes > fragment->start)
		return SP_DROP_FRAG_OVERLAP;
	/* No piece lies behind the last one, and there is one last. */
	if (datagram->end != 0 && (!fragment->more || end > datagram->end))
		return SP_DROP_FRAG_END;
	if (!fragment->more && p < datagram->n)
		return SP_DROP_FRAG_END;
	return datagram->n == SP_FRAGMENT_PIECES ? SP_DROP_FRAG_TOO_MANY : SP_DROP_NONE;
}

/* Copies the fragment out and makes room for it; NULL when there is no buffer. Other datagrams go before this one. */
static struct rte_mbuf *copy_out(struct sp_worker *worker, unsigned int i, uint32_t index)
{
	struct sp_fragments *fragments = worker->fragments;
	const struct sp_burst *burst = &worker->burst;
	struct rte_mbuf *copy = sp_piece_copy(burst->mbuf[i], worker->pool, &burst->packet[i], burst->length[i]);

	if (copy == NULL)
		return NULL;
	while (fragments->buffers + copy->nb_segs > fragments->config.buffers) {
		uint32_t victim = fragments->oldest;

		if (victim == index)
			victim = fragments->datagram[index].newer;
		if (victim == SP_DATAGRAM_NONE) {
			rte_pktmbuf_free(copy);
			return NULL;
		}
		evict(worker, victim, SP_DROP_TABLE_FRAGMENTS_FULL);
	}
	return copy;
}

static void insert(
	struct sp_worker *worker, struct sp_datagram *datagram, const struct fragment *fragment, unsigned int at, struct rte_mbuf *copy)
{
	memmove(&datagram->piece[at + 1], &datagram->piece[at], (datagram->n - at) * sizeof(datagram->piece[0]));
	datagram->piece[at] = (struct sp_piece){copy, (uint16_t)fragment->start, (uint16_t)fragment->bytes};
	datagram->n++;
	datagram->bytes += fragment->bytes;
	if (!fragment->more)
		datagram->end = fragment->start + fragment->bytes;
	worker->fragments->buffers += copy->nb_segs;
	sp_count(&worker->stats.fragments_held, 1);
}

/* What the length field of the whole has to count (RFC 791 3.2, RFC 8200 4.5); all pieces are there. */
static uint32_t whole_bytes(const struct sp_datagram *datagram)
{
	uint32_t headers = sp_piece_headers(&datagram->piece[0]);

	if (datagram->name.key.family == SP_FAMILY_IPV6)
		headers -= SP_IPV6_BYTES + SP_FRAGMENT_BYTES;
	return headers + datagram->end;
}

/* The pieces, all of them, become one packet in place of the burst's packet i, which was the last to come. */
static void complete(struct sp_worker *worker, const struct sp_port *port, unsigned int i, uint32_t index)
{
	struct sp_fragments *fragments = worker->fragments;
	struct sp_datagram *datagram = &fragments->datagram[index];
	struct sp_burst *burst = &worker->burst;
	unsigned int n = datagram->n;

	burst->mbuf[i] = sp_datagram_join(datagram->piece, n);
	fragments->buffers -= burst->mbuf[i]->nb_segs;
	datagram->n = 0;
	sp_datagram_close(fragments, index);
	sp_count(&worker->stats.fragments_held, -(uint64_t)n);
	sp_count(&worker->stats.datagrams, 1);
	add_delta(worker, 1 - (int64_t)n);
	sp_fragments_count(burst->mbuf[i], &burst->length[i]);
	burst->verdict[i] = SP_VERDICT_GOING;
	sp_parse_packet(port, burst, i);
}

/* True when it made a datagram of packet i. */
static bool add(struct sp_worker *worker, const struct sp_port *port, unsigned int i, const struct fragment *fragment)
{
	struct sp_fragments *fragments = worker->fragments;
	struct sp_burst *burst = &worker->burst;
	enum sp_drop_reason reason;
	struct sp_datagram *datagram;
	struct rte_mbuf *copy;
	unsigned int at;
	uint32_t index;

	if (fragments->closed) {
		sp_burst_drop(burst, i, SP_DROP_FRAG_TIMEOUT);
		return false;
	}
	index = find_or_open(worker, i, fragment);
	datagram = &fragments->datagram[index];
	reason = datagram->refused;
	if (reason == SP_DROP_NONE) {
		reason = fit(datagram, fragment, burst->mbuf[i], burst->packet[i].payload_off, &at);
		if (reason != SP_DROP_NONE && reason != SP_DROP_FRAG_DUPLICATE)
			refuse(worker, datagram, reason);
	}
	if (reason != SP_DROP_NONE) {
		sp_burst_drop(burst, i, reason);
		return false;
	}
	copy = copy_out(worker, i, index);
	if (copy == NULL) {
		sp_burst_drop(burst, i, SP_DROP_QUEUE_MBUF);
		if (datagram->n == 0)
			sp_datagram_close(fragments, index);
		return false;
	}
	insert(worker, datagram, fragment, at, copy);
	rte_pktmbuf_free(burst->mbuf[i]);
	burst->mbuf[i] = NULL;
	burst->verdict[i] = SP_VERDICT_HELD;
	if (datagram->end == 0 || datagram->bytes != datagram->end)
		return false;
	if (whole_bytes(datagram) > UINT16_MAX) {
		refuse(worker, datagram, SP_DROP_FRAG_TOO_LONG);
		return false;
	}
	complete(worker, port, i, index);
	return true;
}

/* --- the stage ------------------------------------------------------------------------------------------------------------------- */

static void hand_over(struct sp_worker *worker, const struct sp_port *port, unsigned int i, unsigned int to)
{
	struct sp_burst *burst = &worker->burst;

	burst->mbuf[i]->port = sp_port_way(port);
	if (rte_ring_sp_enqueue(worker->dataplane->workers[to]->handover[worker->index], burst->mbuf[i]) != 0) {
		sp_burst_drop(burst, i, SP_DROP_QUEUE_HANDOVER);
		return;
	}
	burst->verdict[i] = SP_VERDICT_HANDED;
	sp_count(&worker->stats.handed_out, 1);
}

uint32_t sp_fragments_burst(struct sp_worker *worker, const struct sp_port *port, bool handed)
{
	struct sp_burst *burst = &worker->burst;
	unsigned int n_workers = worker->dataplane->n_workers;
	uint32_t made = 0;

	/* Datagrams that another worker made: what came in were the fragments. */
	for (uint32_t left = burst->datagrams; left != 0; left &= left - 1) {
		unsigned int i = (unsigned int)__builtin_ctz(left);

		sp_fragments_count(burst->mbuf[i], &burst->length[i]);
	}
	for (uint32_t left = burst->fragments; left != 0; left &= left - 1) {
		unsigned int i = (unsigned int)__builtin_ctz(left), to;
		struct fragment fragment;

		if (burst->verdict[i] != SP_VERDICT_GOING)
			continue;
		read_fragment(burst, i, worker->dataplane->routing != NULL, &fragment);
		/* The table's buckets come from the low half. */
		to = (unsigned int)((fragment.hash >> 32) * n_workers >> 32);
		if (!handed && to != worker->index) {
			hand_over(worker, port, i, to);
			continue;
		}
		sp_count(&worker->stats.fragments, 1);
		made |= (uint32_t)add(worker, port, i, &fragment) << i;
	}
	burst->fragments = 0;
	return made;
}

void sp_fragments_age(struct sp_worker *worker, unsigned int budget)
{
	struct sp_fragments *fragments = worker->fragments;

	while (budget-- > 0 && fragments->oldest != SP_DATAGRAM_NONE &&
		is_late(&fragments->datagram[fragments->oldest], worker->burst.now_ms))
		evict(worker, fragments->oldest, SP_DROP_FRAG_TIMEOUT);
}

void sp_fragments_close(struct sp_worker *worker)
{
	struct sp_fragments *fragments = worker->fragments;

	fragments->closed = true;
	while (fragments->oldest != SP_DATAGRAM_NONE)
		evict(worker, fragments->oldest, SP_DROP_FRAG_TIMEOUT);
}

/* --- the way out ----------------------------------------------------------------------------------------------------------------- */

static void tell(struct sp_worker *worker, unsigned int i)
{
	const struct sp_fragments *fragments = worker->fragments;

	if (fragments->fate != NULL)
		fragments->fate(fragments->fate_context, worker->burst.mbuf[i], &worker->burst, i, worker->burst.reason[i]);
}

void sp_fragments_send(struct sp_worker *worker, unsigned int i, sp_fragment_send_fn send)
{
	struct sp_burst *burst = &worker->burst;
	struct rte_mbuf *rest = burst->mbuf[i];
	uint32_t wire;

	add_delta(worker, (int64_t)sp_fragments_count(rest, &wire) - 1);
	while (rest != NULL) {
		burst->mbuf[i] = sp_datagram_split(rest, &rest);
		tell(worker, i);
		if (unlikely(burst->translated >> i & 1))
			sp_nat_rewrite_piece(worker, i);
		send(worker, i);
	}
}

void sp_fragments_discard(struct sp_worker *worker, unsigned int i)
{
	struct sp_burst *burst = &worker->burst;
	struct rte_mbuf *rest = burst->mbuf[i];
	bool seen = worker->captures != NULL && burst->verdict[i] != SP_VERDICT_CONSUMED;

	while (rest != NULL) {
		burst->mbuf[i] = sp_datagram_split(rest, &rest);
		if (seen)
			sp_capture_packet(worker, i, SP_CAPTURE_DROP, burst->port);
		tell(worker, i);
		rte_pktmbuf_free(burst->mbuf[i]);
	}
	burst->mbuf[i] = NULL;
}
