/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP and ICMPv6 errors about sessions: which pass with the session that they quote, and how many a second.
 *
 * Whoever knows a session's addresses and ports can forge an error about it (RFC 5927). So an error passes only when its type and code are
 * ones that routers and hosts send about such a packet, and when the quoted packet can be one that this session sent: lengths, TCP sequence
 * number, SCTP verification tag. The quoted checksums are not looked at: a translator on the way changed what they cover.
 */
#ifndef SP_DATAPLANE_ICMP_ERROR_H
#define SP_DATAPLANE_ICMP_ERROR_H

#include "dataplane/session.h"

/* Sessions are counted in as many classes; two that fall into one class share its errors. */
#define SP_ICMP_ERROR_CLASSES 2048

/* Errors that passed, by session: the owner's alone. All zero at first. */
struct sp_icmp_errors {
	struct {
		uint32_t second; /* of the worker's clock, that `n` is of */
		uint32_t n;
	} of[SP_ICMP_ERROR_CLASSES];
};

/*
 * Judges an error (packet->kind is ICMP_ERROR, parsed from mbuf) about the live session `ref`, whose direction is the quoted packet's.
 * SP_DROP_NONE, ICMP_ERROR_TYPE or ICMP_IMPLAUSIBLE. Changes nothing. The table's owner.
 */
enum sp_drop_reason sp_icmp_error_judge(
	struct sp_sessions *sessions, uint32_t ref, const struct rte_mbuf *mbuf, const struct sp_packet *packet);

/*
 * Whether one more error about the session may pass in this second, of which `rate` may (0: any number); it is counted then. Only errors
 * that were judged good are asked for, so that forged ones do not use up the session's share. The owner.
 */
bool sp_icmp_error_take(struct sp_icmp_errors *errors, uint32_t ref, uint32_t rate, uint32_t now_ms);

#endif
