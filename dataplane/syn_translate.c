/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The translation of a session that the SYN proxy opened: in place, checksums incrementally (RFC 1624).
 */
#include <netinet/in.h>
#include <rte_tcp.h>
#include <string.h>

#include "dataplane/bytes.h"
#include "dataplane/checksum.h"
#include "dataplane/reject.h"
#include "dataplane/session_tcp.h"
#include "dataplane/stages.h"
#include "dataplane/syn_proxy.h"

#define TCP_BYTES     20
#define SEQ_OFFSET    4
#define ACK_OFFSET    8
#define WINDOW_OFFSET 14
#define SUM_OFFSET    16

#define OPTION_END  0
#define OPTION_NOP  1
#define OPTION_SACK 5

#define ICMP_BYTES      8
#define ICMP_SUM_OFFSET 2

/* The bytes up to `len` in one segment that is this packet's alone; NULL, and the packet dropped, when that cannot be. */
static uint8_t *writable(struct sp_burst *burst, unsigned int i, struct rte_mempool *pool, uint32_t len)
{
	struct rte_mbuf *copy;

	if (likely(len <= rte_pktmbuf_data_len(burst->mbuf[i]) && sp_mbuf_is_sole_owner(burst->mbuf[i])))
		return rte_pktmbuf_mtod(burst->mbuf[i], uint8_t *);
	/* A reassembled datagram consists of copies already, each with its headers in front. */
	copy = burst->datagrams >> i & 1 ? NULL : rte_pktmbuf_copy(burst->mbuf[i], pool, 0, UINT32_MAX);
	if (copy == NULL || len > rte_pktmbuf_data_len(copy)) {
		rte_pktmbuf_free(copy);
		sp_burst_drop(burst, i, SP_DROP_QUEUE_MBUF);
		return NULL;
	}
	rte_pktmbuf_free(burst->mbuf[i]);
	burst->mbuf[i] = copy;
	return rte_pktmbuf_mtod(copy, uint8_t *);
}

/* A number of the segment, `at` bytes into what the checksum covers, is another now. */
static void mend(uint8_t *checksum, size_t at, uint32_t old, uint32_t new)
{
	const uint64_t old_sum = sp_checksum_at(rte_cpu_to_be_32(old), at), new_sum = sp_checksum_at(rte_cpu_to_be_32(new), at);
	uint16_t sum;

	memcpy(&sum, checksum, sizeof(sum));
	sum = sp_checksum_mend(sum, old_sum, new_sum);
	memcpy(checksum, &sum, sizeof(sum));
}

/* Adds to a 32-bit number of the segment. */
static void shift_number(uint8_t *tcp, unsigned int at, uint32_t add)
{
	const uint32_t old = sp_read_be32(tcp + at), new = old + add;

	sp_write_be32(tcp + at, new);
	mend(tcp + SUM_OFFSET, at, old, new);
}

static void set_window(uint8_t *tcp, uint32_t window)
{
	const uint16_t old = sp_read_be16(tcp + WINDOW_OFFSET);
	const uint16_t new = (uint16_t)RTE_MIN(window, (uint32_t)UINT16_MAX);

	sp_write_be16(tcp + WINDOW_OFFSET, new);
	mend(tcp + SUM_OFFSET, WINDOW_OFFSET, old, new);
}

static uint32_t window_of(const uint8_t *tcp)
{
	return sp_read_be16(tcp + WINDOW_OFFSET);
}

/* SACK blocks (RFC 2018 3) count the peer's bytes as acknowledgements do. */
static void shift_sack(uint8_t *tcp, unsigned int header_len, uint32_t add)
{
	for (unsigned int at = TCP_BYTES; at < header_len && tcp[at] != OPTION_END;) {
		if (tcp[at] == OPTION_NOP) {
			at++;
			continue;
		}
		if (at + 1 >= header_len || tcp[at + 1] < 2 || tcp[at + 1] > header_len - at)
			return;
		if (tcp[at] == OPTION_SACK)
			for (unsigned int edge = 2; edge + 4 <= tcp[at + 1]; edge += 4)
				shift_number(tcp, at + edge, add);
		at += tcp[at + 1];
	}
}

static void to_server(const struct sp_session_tcp *tcp, uint8_t flags, uint8_t *header, unsigned int header_len)
{
	if (flags & RTE_TCP_ACK_FLAG) {
		shift_number(header, ACK_OFFSET, -tcp->reply_delta);
		if (header_len > TCP_BYTES)
			shift_sack(header, header_len, -tcp->reply_delta);
	}
	if (unlikely(tcp->flags & SP_TCP_UNSCALED))
		set_window(header, window_of(header) << (tcp->scale & 0xf));
}

static void to_client(const struct sp_session_tcp *tcp, uint8_t *header)
{
	shift_number(header, SEQ_OFFSET, tcp->reply_delta);
	if (tcp->reply_shift > 0)
		set_window(header, window_of(header) >> tcp->reply_shift);
	else if (tcp->reply_shift < 0)
		set_window(header, window_of(header) << -tcp->reply_shift);
}

/* The server has not got the last segment of the handshake: it gets it again, and the client nothing. */
static void acknowledge_again(struct sp_worker *worker, unsigned int i, const struct sp_session_tcp *tcp)
{
	struct sp_burst *burst = &worker->burst;
	const unsigned int scale = tcp->flags & SP_TCP_UNSCALED ? 0 : tcp->scale & 0xf;
	struct sp_tcp_answer answer = {.flags = RTE_TCP_ACK_FLAG};
	struct sp_tcp_segment segment;
	struct rte_mbuf *built = NULL;
	uint32_t open;

	if (sp_tcp_read(burst->mbuf[i], &burst->packet[i], &segment)) {
		open = tcp->peer[1].limit - (segment.seq + 1);
		answer.seq = segment.ack;
		answer.ack = segment.seq + 1;
		answer.window = (int32_t)open <= 0 ? 0 : (uint16_t)RTE_MIN(open >> scale, (uint32_t)UINT16_MAX);
		if (!(burst->datagrams >> i & 1))
			built = sp_reject_build_tcp(worker->pool, burst->mbuf[i], &burst->packet[i], &answer);
	}
	if (built == NULL) {
		sp_burst_drop(burst, i, SP_DROP_QUEUE_MBUF);
		return;
	}
	sp_count(&worker->stats.built, 1);
	if (unlikely(worker->captures != NULL))
		sp_capture_mbuf(worker, built, SP_CAPTURE_TX, burst->port, SP_DROP_NONE);
	sp_tx_queue(worker, burst->way, built);
	burst->verdict[i] = SP_VERDICT_CONSUMED;
}

bool sp_syn_proxy_translate(struct sp_worker *worker, unsigned int i, uint32_t ref)
{
	struct sp_burst *burst = &worker->burst;
	const struct sp_packet *packet = &burst->packet[i];
	const struct sp_session_tcp *tcp = sp_session_tcp(worker->sessions, ref);
	uint8_t *bytes;

	if ((ref & SP_SESSION_REPLY) && (packet->tcp_flags & RTE_TCP_SYN_FLAG)) {
		acknowledge_again(worker, i, tcp);
		return false;
	}
	bytes = writable(burst, i, worker->pool, packet->payload_off);
	if (bytes == NULL)
		return false;
	if (ref & SP_SESSION_REPLY)
		to_client(tcp, bytes + packet->l4_off);
	else
		to_server(tcp, packet->tcp_flags, bytes + packet->l4_off, packet->payload_off - packet->l4_off);
	return true;
}

/* Where the quoted TCP header begins, behind an IP header without extensions; 0 when it is not there. */
static uint32_t quoted_tcp(const struct rte_mbuf *mbuf, const struct sp_packet *packet)
{
	const uint32_t off = packet->l4_off + ICMP_BYTES;
	uint8_t copy[40];
	const uint8_t *ip = rte_pktmbuf_read(mbuf, off, packet->key.family == SP_FAMILY_IPV6 ? 40 : 20, copy);

	if (ip == NULL)
		return 0;
	if (packet->key.family == SP_FAMILY_IPV6)
		return ip[6] == IPPROTO_TCP ? off + 40 : 0;
	return ip[9] == IPPROTO_TCP ? off + (ip[0] & 0xf) * 4u : 0;
}

bool sp_syn_proxy_translate_error(struct sp_worker *worker, unsigned int i, uint32_t ref)
{
	struct sp_burst *burst = &worker->burst;
	const struct sp_packet *packet = &burst->packet[i];
	const struct sp_session_tcp *tcp = sp_session_tcp(worker->sessions, ref);
	const uint32_t at = quoted_tcp(burst->mbuf[i], packet), l4 = packet->l4_off;
	uint8_t *bytes;
	uint32_t old, new;

	/* The client's numbers are the server's. */
	if (!(ref & SP_SESSION_REPLY) || at == 0 || at + SEQ_OFFSET + 4 > burst->mbuf[i]->pkt_len)
		return true;
	bytes = writable(burst, i, worker->pool, at + SEQ_OFFSET + 4);
	if (bytes == NULL)
		return false;
	old = sp_read_be32(bytes + at + SEQ_OFFSET);
	new = old - tcp->reply_delta;
	sp_write_be32(bytes + at + SEQ_OFFSET, new);
	mend(bytes + l4 + ICMP_SUM_OFFSET, at + SEQ_OFFSET - l4, old, new);
	return true;
}
