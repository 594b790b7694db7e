/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SYN proxy: answers SYNs in the name of the server by cookies (syn_cookie.h), and asks the server only when the client has proved by
 * its ACK that it is where it says (RFC 4987 3.6; the way of pf's synproxy and Linux's SYNPROXY).
 *
 *   client            firewall                                server
 *     SYN x      →      classify; nothing is remembered
 *                ←      SYN+ACK c, window 0                          c: the cookie
 *     ACK c+1    →      SYN x, with the options in the cookie  →     the ACK is consumed, the SYN goes the way of any opening SYN:
 *                                                                    rules, limits, session
 *                                                         ←   SYN+ACK s
 *                       consumed;  ACK s+1                →
 *                ←      ACK c+1, the server's window
 *     …          →      acknowledgements less c - s            →
 *                ←      sequence numbers plus c - s       ←
 *
 * The client's numbers are the server's from the beginning, so only what counts the server's bytes is translated: sequence numbers towards
 * the client, acknowledgements and SACK blocks towards the server. Windows are rescaled when the server scales otherwise than the SYN+ACK
 * said. Timestamps are not offered on either side; signatures of the header (RFC 2385, RFC 5925) do not survive the translation.
 *
 * While the server is asked, its SYN is kept, as bytes, to be repeated after 1, 2, 4 and 8 seconds; then the client gets a RST, as it does
 * when the server refuses.
 *
 * The worker's own. The state machine (session_tcp.h) sees the segments of both ends as they were sent, and those that the proxy sent in
 * the client's name as if they were the client's.
 */
#ifndef SP_DATAPLANE_SYN_PROXY_H
#define SP_DATAPLANE_SYN_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/dataplane.h"
#include "dataplane/session.h"
#include "dataplane/syn_cookie.h"

struct sp_worker;
struct sp_syn_proxy;

/* Servers that one worker asks at a time, at most. */
#define SP_SYN_PROXY_OPENING_MAX 65536u

/* NULL with errno. `opening`: servers that may be asked at a time, at least 1. Control thread. */
struct sp_syn_proxy *sp_syn_proxy_create(uint32_t opening, int socket);
void sp_syn_proxy_free(struct sp_syn_proxy *proxy);

/*
 * Packet i is a SYN that a rule lets open a session (max_mss: its clamp, 0 none): answers it with a cookie and consumes it, or drops it
 * (queue_mbuf; tcp_state when it is addressed to a group).
 */
void sp_syn_proxy_answer(struct sp_worker *worker, unsigned int i, uint16_t max_mss);

/*
 * Packet i is a TCP segment without SYN and RST that has no session. When it brings a cookie back, it becomes the SYN that the server gets:
 * the ACK is counted as consumed and freed, the SYN as built, and mbuf and packet of the burst are the SYN's from here on.
 */
void sp_syn_proxy_ack(struct sp_worker *worker, unsigned int i);

/* A burst begins whose misses sp_syn_proxy_ack will see: worker->defence.expecting is set. */
void sp_syn_proxy_begin(struct sp_worker *worker);

/* Whether a cookie that was sent may be good still. */
bool sp_syn_proxy_expects(const struct sp_worker *worker);

/* Whether packet i was made from an ACK with a valid cookie; whether it brought an invalid one. */
bool sp_syn_proxy_is_made(const struct sp_worker *worker, unsigned int i);
bool sp_syn_proxy_is_forged(const struct sp_worker *worker, unsigned int i);

/* Whether one more server may be asked. */
bool sp_syn_proxy_has_room(const struct sp_worker *worker);

/* The session of a SYN made by sp_syn_proxy_ack was inserted, with SP_SESSION_PROXY among its flags. After sp_tcp_open. */
void sp_syn_proxy_opened(struct sp_worker *worker, unsigned int i, uint32_t ref);

/*
 * Packet i belongs to a session of the proxy whose server has not answered yet (state TCP_SYN_SENT). True: it goes on to the state machine.
 * False: it was consumed or dropped.
 */
bool sp_syn_proxy_opening(struct sp_worker *worker, unsigned int i, uint32_t ref);

/*
 * Packet i has passed the state machine in a session of the proxy: translates it for its receiver. False: it was consumed (a SYN+ACK that
 * the server repeats) or dropped (queue_mbuf).
 */
bool sp_syn_proxy_translate(struct sp_worker *worker, unsigned int i, uint32_t ref);

/* The same for an ICMP error about such a session: what the quoted segment counts. */
bool sp_syn_proxy_translate_error(struct sp_worker *worker, unsigned int i, uint32_t ref);

/* A session of the proxy ends: what was kept is forgotten, and a client whose server never answered gets a RST. */
void sp_syn_proxy_ended(struct sp_worker *worker, uint32_t ref, enum sp_flow_end why);

/* Repeats SYNs that are due, and ends sessions whose server did not answer. */
void sp_syn_proxy_retry(struct sp_worker *worker, uint32_t now_ms);

#endif
