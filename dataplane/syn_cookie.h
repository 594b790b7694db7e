/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SYN cookies (RFC 4987 3.6): the initial sequence number of an answer to a SYN carries, authenticated, what an ACK must bring back for a
 * session to be opened without having remembered anything.
 *
 *   31        8 7      4 3     2    0
 *   |   MAC    | wscale | SACK | MSS |   the lower eight bits masked by eight more of the MAC
 *
 * The MAC is SipHash over tuple and client's sequence number, under a key that is derived from a secret of this worker for each time slot:
 * a cookie is good in its own slot and the next. Whoever does not see the cookie guesses it with one in 2^23.
 */
#ifndef SP_DATAPLANE_SYN_COOKIE_H
#define SP_DATAPLANE_SYN_COOKIE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/key.h"

/* Time slots are 2^36 ns: 68.7 seconds. */
#define SP_SYN_COOKIE_SLOT_BITS 36

#define SP_SYN_NO_WSCALE  15 /* the SYN had no window scale option */
#define SP_SYN_WSCALE_MAX 14 /* RFC 7323 2.3 */

/* What a SYN offers and a cookie keeps. */
struct sp_syn_options {
	uint16_t mss;   /* of a cookie: the largest of eight sizes that is not larger, or the smallest */
	uint8_t wscale; /* 0..14, or SP_SYN_NO_WSCALE */
	bool sack;
};

/* One worker's keys; its own. */
struct sp_syn_cookies {
	uint64_t secret[2];
	uint64_t slot;      /* of which, and of the one before, there are keys */
	uint64_t key[2][2]; /* of even and odd slots */
};

/* Draws the secret from the kernel. 0 or -errno. Control thread. */
int sp_syn_cookies_init(struct sp_syn_cookies *cookies);

/* The cookie for a SYN of `key` (client to server) with sequence number isn (host byte order), now, in ns of a steady clock. */
uint32_t sp_syn_cookie_make(
	struct sp_syn_cookies *cookies, const struct sp_key *key, uint32_t isn, const struct sp_syn_options *options, uint64_t now_ns);

/* Whether `cookie` was made for this tuple and sequence number in this time slot or the one before; *options are the SYN's then. */
bool sp_syn_cookie_check(struct sp_syn_cookies *cookies, const struct sp_key *key, uint32_t isn, uint32_t cookie, uint64_t now_ns,
	struct sp_syn_options *options);

/*
 * Reads the options of a SYN: `bytes` are those behind the fixed TCP header, of any content. What is malformed ends the reading. Without an
 * MSS option it is 536 or 1,220 (RFC 9293 3.7.1).
 */
void sp_syn_options_read(const uint8_t *bytes, unsigned int len, uint8_t family, struct sp_syn_options *options);

/* Writes them for a SYN or SYN+ACK, padded to whole words, at most SP_SYN_OPTIONS_BYTES; returns the length. */
#define SP_SYN_OPTIONS_BYTES 12
unsigned int sp_syn_options_write(const struct sp_syn_options *options, uint8_t *bytes);

#endif
