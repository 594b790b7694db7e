/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cookies out, ACKs in, and the handshake with the server. Translation is in syn_translate.c.
 *
 * Servers that are asked have an entry each in a table that is allocated once. Entries wait in four queues, one for each time that the SYN
 * was sent: those of a queue were put there in the order in which they are due, so only its head has to be looked at. While a session's
 * state is TCP_SYN_SENT its reply_delta holds the number of its entry.
 */
#include "dataplane/syn_proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_tcp.h>
#include <string.h>

#include "dataplane/alloc.h"
#include "dataplane/bytes.h"
#include "dataplane/nat.h"
#include "dataplane/session_tcp.h"
#include "dataplane/stages.h"
#include "dataplane/tcp_frame.h"

#define NONE UINT32_MAX

#define TRIES         4 /* a SYN is sent so often, and waited for 1, 2, 4 and 8 seconds */
#define FIRST_WAIT_MS 1000u
#define RETRY_BUDGET  32 /* entries a turn */

/* A server that is asked. */
struct opening {
	uint32_t ref;        /* its session */
	uint32_t prev, next; /* in its queue; next also of free entries */
	uint32_t due_ms;
	uint32_t cookie;          /* the number that the client knows the server by */
	uint32_t isn;             /* the client's */
	uint16_t window;          /* of the client's ACK, as it stood there */
	uint16_t ingress, egress; /* port indexes: the client's side, the server's */
	uint8_t tries, len, l3_off;
	uint8_t wscale; /* of the client, or SP_SYN_NO_WSCALE */
	uint8_t frame[SP_TCP_FRAME_BYTES];
};

struct queue {
	uint32_t first, last;
};

struct sp_syn_proxy {
	struct sp_syn_cookies cookies;
	uint64_t until_ns; /* a cookie that was sent may be good so long */

	/* Of the burst at hand: a bit a packet, and what the cookies of valid ones said. */
	uint32_t made, forged;
	struct {
		uint32_t cookie, isn;
		uint16_t window;
		uint8_t wscale;
	} ack[SP_BURST_MAX];

	struct queue waiting[TRIES];
	uint32_t free, n_free, max;
	struct opening entry[];
};

struct sp_syn_proxy *sp_syn_proxy_create(uint32_t opening, int socket)
{
	struct sp_syn_proxy *proxy;
	int rc;

	opening = RTE_MIN(RTE_MAX(opening, 1u), SP_SYN_PROXY_OPENING_MAX);
	proxy = sp_alloc("syn_proxy", sizeof(*proxy) + (size_t)opening * sizeof(proxy->entry[0]), 64, socket);
	if (proxy == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	rc = sp_syn_cookies_init(&proxy->cookies);
	if (rc < 0) {
		sp_free(proxy);
		errno = -rc;
		return NULL;
	}
	for (unsigned int t = 0; t < TRIES; t++)
		proxy->waiting[t] = (struct queue){NONE, NONE};
	proxy->max = proxy->n_free = opening;
	for (uint32_t e = 0; e < opening; e++) {
		proxy->entry[e].ref = SP_SESSION_NONE;
		proxy->entry[e].next = e + 1 < opening ? e + 1 : NONE;
	}
	return proxy;
}

void sp_syn_proxy_free(struct sp_syn_proxy *proxy)
{
	sp_free(proxy);
}

/* --- entries ------------------------------------------------------------------------------------------------------------------------ */

static void enqueue(struct sp_syn_proxy *proxy, uint32_t e, uint32_t now_ms)
{
	struct opening *opening = &proxy->entry[e];
	struct queue *queue = &proxy->waiting[opening->tries - 1];

	opening->due_ms = now_ms + (FIRST_WAIT_MS << (opening->tries - 1));
	opening->prev = queue->last;
	opening->next = NONE;
	if (queue->last != NONE)
		proxy->entry[queue->last].next = e;
	else
		queue->first = e;
	queue->last = e;
}

static void dequeue(struct sp_syn_proxy *proxy, uint32_t e)
{
	const struct opening *opening = &proxy->entry[e];
	struct queue *queue = &proxy->waiting[opening->tries - 1];

	if (opening->prev != NONE)
		proxy->entry[opening->prev].next = opening->next;
	else
		queue->first = opening->next;
	if (opening->next != NONE)
		proxy->entry[opening->next].prev = opening->prev;
	else
		queue->last = opening->prev;
}

static void forget(struct sp_worker *worker, uint32_t e)
{
	struct sp_syn_proxy *proxy = worker->syn_proxy;

	dequeue(proxy, e);
	proxy->entry[e].ref = SP_SESSION_NONE;
	proxy->entry[e].next = proxy->free;
	proxy->free = e;
	proxy->n_free++;
	sp_count(&worker->stats.defence.opening, -1ull);
}

/* The entry of a session whose server is asked, or NONE. */
static uint32_t entry_of(struct sp_worker *worker, uint32_t ref)
{
	const struct sp_syn_proxy *proxy = worker->syn_proxy;
	const uint32_t e = sp_session_tcp(worker->sessions, ref)->reply_delta;

	return proxy != NULL && e < proxy->max && proxy->entry[e].ref == (ref & ~SP_SESSION_REPLY) ? e : NONE;
}

bool sp_syn_proxy_has_room(const struct sp_worker *worker)
{
	return worker->syn_proxy->n_free > 0;
}

/* --- frames ------------------------------------------------------------------------------------------------------------------------- */

static bool send_bytes(struct sp_worker *worker, uint16_t way, const uint8_t *bytes, unsigned int len)
{
	struct rte_mbuf *mbuf = sp_tcp_frame_mbuf(worker->pool, bytes, len);

	if (mbuf == NULL)
		return false;
	sp_count(&worker->stats.built, 1);
	if (unlikely(worker->captures != NULL && way < SP_PORTS_MAX))
		sp_capture_mbuf(worker, mbuf, SP_CAPTURE_TX, way, SP_DROP_NONE);
	sp_tx_queue(worker, way, mbuf);
	return true;
}

static bool send_frame(struct sp_worker *worker, uint16_t way, const struct sp_tcp_frame *frame)
{
	uint8_t bytes[SP_TCP_FRAME_BYTES];

	return send_bytes(worker, way, bytes, sp_tcp_frame_write(frame, bytes));
}

static bool is_group(const struct sp_key *key)
{
	return key->family == SP_FAMILY_IPV6 ? key->v6.dst[0] == 0xff : rte_be_to_cpu_32(key->v4.dst) >= 0xe0000000u;
}

static bool is_datagram(const struct sp_burst *burst, unsigned int i)
{
	return burst->datagrams >> i & 1;
}

/* --- the client: cookie and ACK ------------------------------------------------------------------------------------------------------- */

/* What the answer offers, knowing nothing of the server: no more than the client does. */
static void offer(const struct sp_worker *worker, const struct sp_key *key, const struct sp_syn_options *client, uint16_t max_mss,
	struct sp_syn_options *out)
{
	const struct sp_flood_config *floods = &worker->dataplane->floods;

	*out = *client;
	out->mss = key->family == SP_FAMILY_IPV6 ? floods->mss6 : floods->mss4;
	if (max_mss != 0)
		out->mss = RTE_MIN(out->mss, max_mss);
	if (client->wscale != SP_SYN_NO_WSCALE)
		out->wscale = floods->wscale;
}

void sp_syn_proxy_answer(struct sp_worker *worker, unsigned int i, uint16_t max_mss)
{
	struct sp_burst *burst = &worker->burst;
	struct sp_syn_proxy *proxy = worker->syn_proxy;
	const struct sp_packet *packet = &burst->packet[i];
	const unsigned int header_len = packet->payload_off - packet->l4_off;
	const uint64_t now_ns = sp_burst_ns(worker);
	struct sp_tcp_frame frame = {.flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG};
	struct sp_syn_options client, ours;
	struct sp_key key;
	uint8_t copy[60];
	const uint8_t *tcp = header_len <= sizeof(copy) ? rte_pktmbuf_read(burst->mbuf[i], packet->l4_off, header_len, copy) : NULL;

	if (tcp == NULL || is_group(&packet->key) || is_datagram(burst, i) ||
		!sp_tcp_frame_ether(&frame, burst->mbuf[i], packet->l3_off, true)) {
		sp_burst_drop(burst, i, SP_DROP_TCP_STATE);
		return;
	}
	sp_syn_options_read(tcp + sizeof(struct rte_tcp_hdr), header_len - sizeof(struct rte_tcp_hdr), packet->key.family, &client);
	offer(worker, &packet->key, &client, max_mss, &ours);
	sp_key_reverse(&packet->key, &key);
	frame.key = &key;
	frame.ack = sp_read_be32(tcp + offsetof(struct rte_tcp_hdr, sent_seq)) + 1;
	frame.seq = sp_syn_cookie_make(&proxy->cookies, &packet->key, frame.ack - 1, &client, now_ns);
	frame.options_len = (uint8_t)sp_syn_options_write(&ours, frame.options);
	if (!send_frame(worker, burst->way, &frame)) {
		sp_burst_drop(burst, i, SP_DROP_QUEUE_MBUF);
		return;
	}
	sp_count(&worker->stats.defence.cookies_sent, 1);
	proxy->until_ns = now_ns + (2ull << SP_SYN_COOKIE_SLOT_BITS);
	worker->defence.expecting = true;
	burst->verdict[i] = SP_VERDICT_CONSUMED;
}

void sp_syn_proxy_begin(struct sp_worker *worker)
{
	worker->syn_proxy->made = worker->syn_proxy->forged = 0;
}

bool sp_syn_proxy_expects(const struct sp_worker *worker)
{
	return worker->syn_proxy != NULL && sp_burst_ns(worker) < worker->syn_proxy->until_ns;
}

bool sp_syn_proxy_is_made(const struct sp_worker *worker, unsigned int i)
{
	return worker->syn_proxy != NULL && (worker->syn_proxy->made >> i & 1);
}

bool sp_syn_proxy_is_forged(const struct sp_worker *worker, unsigned int i)
{
	return worker->syn_proxy != NULL && (worker->syn_proxy->forged >> i & 1);
}

/*
 * The first segment after the handshake has the number after the SYN. One below come keep-alives, as some stacks probe a closed window (RFC
 * 9293 3.8.4): they count when the ACK itself was lost.
 */
static bool check_cookie(
	struct sp_worker *worker, unsigned int i, const struct sp_tcp_segment *segment, uint32_t *isn, struct sp_syn_options *options)
{
	struct sp_syn_cookies *cookies = &worker->syn_proxy->cookies;
	const struct sp_key *key = &worker->burst.packet[i].key;
	const uint64_t now_ns = sp_burst_ns(worker);

	*isn = segment->seq - 1;
	if (sp_syn_cookie_check(cookies, key, *isn, segment->ack - 1, now_ns, options))
		return true;
	*isn = segment->seq;
	return segment->payload <= 1 && sp_syn_cookie_check(cookies, key, *isn, segment->ack - 1, now_ns, options);
}

/* Puts the SYN in the place of the ACK. */
static bool make_syn(
	struct sp_worker *worker, unsigned int i, const struct sp_tcp_segment *segment, uint32_t isn, const struct sp_syn_options *options)
{
	struct sp_burst *burst = &worker->burst;
	struct sp_packet *packet = &burst->packet[i];
	const unsigned int shift = options->wscale == SP_SYN_NO_WSCALE ? 0 : options->wscale;
	struct sp_tcp_frame frame = {.key = &packet->key, .seq = isn, .flags = RTE_TCP_SYN_FLAG};
	uint8_t bytes[SP_TCP_FRAME_BYTES];
	struct rte_mbuf *syn = NULL;
	unsigned int len = 0;

	/* A SYN's window is never scaled (RFC 7323 2.2). */
	frame.window = (uint16_t)RTE_MIN((uint32_t)segment->window << shift, (uint32_t)UINT16_MAX);
	frame.options_len = (uint8_t)sp_syn_options_write(options, frame.options);
	if (sp_tcp_frame_ether(&frame, burst->mbuf[i], packet->l3_off, false)) {
		len = sp_tcp_frame_write(&frame, bytes);
		syn = sp_tcp_frame_mbuf(worker->pool, bytes, len);
	}
	if (syn == NULL)
		return false;
	syn->port = burst->mbuf[i]->port;
	rte_pktmbuf_free(burst->mbuf[i]);
	sp_count(&worker->stats.consumed, 1);
	sp_count(&worker->stats.built, 1);
	burst->mbuf[i] = syn;
	burst->length[i] = len;
	packet->l4_off = (uint16_t)(packet->l3_off + (packet->key.family == SP_FAMILY_IPV6 ? 40 : 20));
	packet->payload_off = (uint16_t)len;
	packet->payload_len = 0;
	packet->tcp_flags = RTE_TCP_SYN_FLAG;
	packet->dscp = 0;
	return true;
}

void sp_syn_proxy_ack(struct sp_worker *worker, unsigned int i)
{
	struct sp_burst *burst = &worker->burst;
	struct sp_syn_proxy *proxy = worker->syn_proxy;
	struct sp_syn_options options;
	struct sp_tcp_segment segment;
	uint32_t isn;

	if (is_datagram(burst, i) || !sp_tcp_read(burst->mbuf[i], &burst->packet[i], &segment))
		return;
	if (!check_cookie(worker, i, &segment, &isn, &options)) {
		proxy->forged |= 1u << i;
		sp_count(&worker->stats.defence.cookies_invalid, 1);
		return;
	}
	if (!make_syn(worker, i, &segment, isn, &options)) {
		sp_burst_drop(burst, i, SP_DROP_QUEUE_MBUF);
		return;
	}
	proxy->made |= 1u << i;
	proxy->ack[i].cookie = segment.ack - 1;
	proxy->ack[i].isn = isn;
	proxy->ack[i].window = segment.window;
	proxy->ack[i].wscale = options.wscale;
}

/* --- the server ----------------------------------------------------------------------------------------------------------------------- */

void sp_syn_proxy_opened(struct sp_worker *worker, unsigned int i, uint32_t ref)
{
	const struct sp_burst *burst = &worker->burst;
	struct sp_syn_proxy *proxy = worker->syn_proxy;
	const uint32_t e = proxy->free;
	struct opening *opening = &proxy->entry[e];
	const uint8_t *frame;

	proxy->free = opening->next;
	proxy->n_free--;
	opening->ref = ref;
	opening->cookie = proxy->ack[i].cookie;
	opening->isn = proxy->ack[i].isn;
	opening->window = proxy->ack[i].window;
	opening->wscale = proxy->ack[i].wscale;
	opening->ingress = burst->way;
	opening->egress = worker->dataplane->routing == NULL ? burst->egress[i] : SP_WAY_ROUTE;
	opening->l3_off = burst->packet[i].l3_off;
	opening->tries = 1;
	/* One segment of at most so many bytes: it was made here, and clamped at most. */
	opening->len = (uint8_t)burst->mbuf[i]->pkt_len;
	frame = rte_pktmbuf_mtod(burst->mbuf[i], const uint8_t *);
	memcpy(opening->frame, frame, opening->len);
	/* The packet itself is translated last of all; this one is sent again as it stands. */
	if (burst->translated >> i & 1)
		sp_nat_rewrite_tcp(opening->frame, opening->l3_off, &burst->packet[i].key, &burst->leaves[i]);
	enqueue(proxy, e, burst->now_ms);
	sp_session_tcp(worker->sessions, ref)->reply_delta = e;
	sp_count(&worker->stats.defence.cookies_valid, 1);
	sp_count(&worker->stats.defence.opening, 1);
}

/* The keys of what each end of a session gets: the reverse of what it sends, on either side of a translation. */
static void key_to_client(const struct sp_worker *worker, uint32_t ref, struct sp_key *out)
{
	struct sp_key original;

	sp_session_original(worker->sessions, ref, &original);
	sp_key_reverse(&original, out);
}

static void key_to_server(const struct sp_worker *worker, uint32_t ref, struct sp_key *out)
{
	struct sp_key reply;

	sp_session_reply(worker->sessions, ref, &reply);
	sp_key_reverse(&reply, out);
}

/* The Ethernet header for frames to the client, from that of the SYN to the server. */
static void ether_to_client(struct sp_tcp_frame *frame, const struct opening *opening)
{
	frame->ether_len = opening->l3_off;
	memcpy(frame->ether, opening->frame, opening->l3_off);
	memcpy(frame->ether, opening->frame + RTE_ETHER_ADDR_LEN, RTE_ETHER_ADDR_LEN);
	memcpy(frame->ether + RTE_ETHER_ADDR_LEN, opening->frame, RTE_ETHER_ADDR_LEN);
}

/* In the server's name, at the number that the client expects (RFC 5961 3.2). */
static void reset_client(struct sp_worker *worker, const struct opening *opening)
{
	struct sp_tcp_frame frame = {.seq = opening->cookie + 1, .ack = opening->isn + 1, .flags = RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG};
	struct sp_key key;

	key_to_client(worker, opening->ref, &key);
	frame.key = &key;
	ether_to_client(&frame, opening);
	if (!send_frame(worker, opening->ingress, &frame))
		sp_count(&worker->stats.rejects_suppressed, 1);
}

/* What the two ends scale by: the client by its own SYN and the proxy's answer, the server by its answer to the same SYN. */
static void agree_scales(struct sp_session_tcp *tcp, const struct opening *opening, int8_t server, uint8_t ours)
{
	if (opening->wscale == SP_SYN_NO_WSCALE)
		return;
	if (server != SP_TCP_SCALE_NONE) {
		tcp->reply_shift = (int8_t)(ours - server);
		return;
	}
	/* The client scales and the server does not. */
	tcp->reply_shift = (int8_t)ours;
	tcp->scale = opening->wscale;
	tcp->flags |= SP_TCP_UNSCALED;
}

static uint16_t shift_window(uint32_t window, int right)
{
	window = right >= 0 ? window >> right : window << -right;
	return (uint16_t)RTE_MIN(window, (uint32_t)UINT16_MAX);
}

/* The client's ACK, as the server gets it: to the state machine, too. */
static void acknowledge(
	const struct opening *opening, const struct sp_session_tcp *tcp, uint32_t server_isn, struct sp_tcp_segment *segment)
{
	*segment = (struct sp_tcp_segment){.seq = opening->isn + 1,
		.ack = server_isn + 1 + tcp->reply_delta,
		.window = opening->window,
		.flags = RTE_TCP_ACK_FLAG,
		.scale = SP_TCP_SCALE_NONE};
}

/* The server accepted: both ends get their last segment of the handshake. */
static void complete(struct sp_worker *worker, unsigned int i, uint32_t ref, uint32_t e, const struct sp_tcp_segment *synack)
{
	struct sp_burst *burst = &worker->burst;
	const struct opening *opening = &worker->syn_proxy->entry[e];
	struct sp_session_tcp *tcp = sp_session_tcp(worker->sessions, ref);
	struct sp_tcp_frame to_server = {.flags = RTE_TCP_ACK_FLAG}, to_client = {.flags = RTE_TCP_ACK_FLAG};
	const uint8_t ours = opening->wscale == SP_SYN_NO_WSCALE ? 0 : worker->dataplane->floods.wscale;
	struct sp_tcp_segment segment;
	struct sp_key key, reply;
	enum sp_tcp_next next;

	tcp->reply_delta = opening->cookie - synack->seq;
	agree_scales(tcp, opening, synack->scale, ours);
	acknowledge(opening, tcp, synack->seq, &segment);
	sp_tcp_update(worker->sessions, ref & ~SP_SESSION_REPLY, &segment, burst->now_ms, &next);

	key_to_server(worker, ref, &key);
	key_to_client(worker, ref, &reply);
	to_server.key = &key;
	to_server.seq = opening->isn + 1;
	to_server.ack = synack->seq + 1;
	to_server.window = tcp->flags & SP_TCP_UNSCALED ? shift_window(opening->window, -opening->wscale) : opening->window;
	to_client.key = &reply;
	to_client.seq = opening->cookie + 1;
	to_client.ack = opening->isn + 1;
	to_client.window = shift_window(synack->window, ours); /* a SYN+ACK's is not scaled */
	ether_to_client(&to_client, opening);
	to_server.ether_len = opening->l3_off;
	memcpy(to_server.ether, opening->frame, opening->l3_off);
	/* Without buffers both ends repeat themselves: the server its SYN+ACK, the client its probe of the closed window. */
	send_frame(worker, opening->egress, &to_server);
	send_frame(worker, opening->ingress, &to_client);
	sp_count(&worker->stats.defence.opened, 1);
	forget(worker, e);
	burst->verdict[i] = SP_VERDICT_CONSUMED;
}

/*
 * A server that still has an old connection of this tuple answers the SYN with an ACK (RFC 5961 4.2), or with the SYN+ACK of another SYN:
 * the RST that the client would send (RFC 9293 3.10.7.3) makes it forget that, and the next SYN opens anew.
 */
static void reset_stale(struct sp_worker *worker, unsigned int i, uint32_t e, const struct sp_tcp_segment *ack)
{
	const struct opening *opening = &worker->syn_proxy->entry[e];
	struct sp_tcp_frame frame = {.seq = ack->ack, .flags = RTE_TCP_RST_FLAG, .ether_len = opening->l3_off};
	struct sp_key key;

	key_to_server(worker, opening->ref, &key);
	frame.key = &key;
	memcpy(frame.ether, opening->frame, opening->l3_off);
	if (send_frame(worker, opening->egress, &frame))
		worker->burst.verdict[i] = SP_VERDICT_CONSUMED;
	else
		sp_burst_drop(&worker->burst, i, SP_DROP_QUEUE_MBUF);
}

static bool from_server(struct sp_worker *worker, unsigned int i, uint32_t ref, uint32_t e, const struct sp_tcp_segment *segment)
{
	struct sp_burst *burst = &worker->burst;
	const uint8_t kind = segment->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG | RTE_TCP_FIN_FLAG);
	enum sp_tcp_next next = SP_TCP_GO_ON;
	enum sp_drop_reason reason;

	if (kind == RTE_TCP_ACK_FLAG ||
		(kind == (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG) && segment->ack != worker->syn_proxy->entry[e].isn + 1)) {
		reset_stale(worker, i, e, segment);
		return false;
	}
	/* A bare SYN would be a simultaneous open, and the client has had its SYN+ACK already. */
	if (kind != (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG) && !(kind & RTE_TCP_RST_FLAG)) {
		sp_burst_drop(burst, i, SP_DROP_TCP_STATE);
		return false;
	}
	reason = sp_tcp_update(worker->sessions, ref, segment, burst->now_ms, &next);
	if (reason != SP_DROP_NONE || next != SP_TCP_GO_ON) {
		sp_burst_drop(burst, i, reason != SP_DROP_NONE ? reason : SP_DROP_TCP_STATE);
		return false;
	}
	sp_session_state(worker->sessions, ref)->last_ms = burst->now_ms;
	if (!(kind & RTE_TCP_RST_FLAG)) {
		complete(worker, i, ref, e, segment);
		return false;
	}
	reset_client(worker, &worker->syn_proxy->entry[e]);
	sp_count(&worker->stats.defence.refused, 1);
	sp_session_tcp(worker->sessions, ref)->reply_delta = worker->syn_proxy->entry[e].cookie + 1 - segment->seq;
	forget(worker, e);
	burst->verdict[i] = SP_VERDICT_CONSUMED;
	return false;
}

bool sp_syn_proxy_opening(struct sp_worker *worker, unsigned int i, uint32_t ref)
{
	struct sp_burst *burst = &worker->burst;
	const uint32_t e = entry_of(worker, ref);
	struct sp_tcp_segment segment;

	if (e == NONE || !sp_tcp_read(burst->mbuf[i], &burst->packet[i], &segment)) {
		sp_burst_drop(burst, i, SP_DROP_TCP_SYN_PROXY);
		return false;
	}
	if (ref & SP_SESSION_REPLY)
		return from_server(worker, i, ref, e, &segment);
	/* The client gave up: so must the server. Whatever else it sends comes again when its window has opened. */
	if (segment.flags & RTE_TCP_RST_FLAG) {
		if (segment.seq != worker->syn_proxy->entry[e].isn + 1) {
			sp_burst_drop(burst, i, SP_DROP_TCP_STATE);
			return false;
		}
		sp_session_tcp(worker->sessions, ref)->reply_delta = 0;
		forget(worker, e);
		return true;
	}
	sp_burst_drop(burst, i, SP_DROP_TCP_SYN_PROXY);
	return false;
}

void sp_syn_proxy_ended(struct sp_worker *worker, uint32_t ref, enum sp_flow_end why)
{
	uint32_t e;

	if (sp_session_state(worker->sessions, ref)->state != SP_STATE_TCP_SYN_SENT)
		return;
	e = entry_of(worker, ref);
	if (e == NONE)
		return;
	reset_client(worker, &worker->syn_proxy->entry[e]);
	if (why == SP_END_TIMEOUT)
		sp_count(&worker->stats.defence.unanswered, 1);
	forget(worker, e);
}

void sp_syn_proxy_retry(struct sp_worker *worker, uint32_t now_ms)
{
	struct sp_syn_proxy *proxy = worker->syn_proxy;
	unsigned int budget = RETRY_BUDGET;

	for (unsigned int t = 0; t < TRIES; t++) {
		uint32_t e;

		while (budget > 0 && (e = proxy->waiting[t].first) != NONE && (int32_t)(now_ms - proxy->entry[e].due_ms) >= 0) {
			struct opening *opening = &proxy->entry[e];

			budget--;
			if (t == TRIES - 1) {
				sp_session_remove(worker->sessions, opening->ref, SP_END_TIMEOUT);
				continue;
			}
			dequeue(proxy, e);
			opening->tries++;
			enqueue(proxy, e, now_ms);
			if (send_bytes(worker, opening->egress, opening->frame, opening->len))
				sp_count(&worker->stats.defence.syn_retries, 1);
		}
	}
}
