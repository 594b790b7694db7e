/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers to rejected packets: TCP RST (RFC 9293 3.5.2), else ICMP (type 3 code 13) or ICMPv6 (type 1 code 1) administratively prohibited.
 */
#ifndef SP_DATAPLANE_REJECT_H
#define SP_DATAPLANE_REJECT_H

#include "dataplane/burst.h"

/*
 * Builds the answer to a parsed packet in a fresh mbuf from `pool`, ready to leave by the port the packet came from: MAC addresses and VLAN
 * tags mirrored, source address the packet's destination, all checksums filled in software, at most 576 (IPv4) or 1,280 (IPv6) bytes. NULL
 * when none may be sent (a RST, an ICMP error, a non-IP frame, a multicast or broadcast destination at either layer, a later fragment, an
 * unspecified source: RFC 1122 3.2.2, RFC 4443 2.4) or no mbuf is free; the packet itself is untouched.
 */
struct rte_mbuf *sp_reject_build(struct rte_mempool *pool, const struct rte_mbuf *mbuf, const struct sp_packet *packet);

/* Whether a packet of this kind may be answered by sp_reject_build and sp_reject_build_error at all. */
bool sp_reject_is_answerable(const struct sp_packet *packet);

/* An ICMP error in the name of a router. */
struct sp_icmp_answer {
	uint8_t type, code;
	uint16_t mtu;          /* that it tells, 0: none */
	const uint8_t *source; /* address of the packet's family, as it will stand */
	uint8_t hops;          /* by which the packet's TTL or hop limit was lowered already: the quote has it as it came */
	const uint8_t *ether;  /* Ethernet header, as it will stand, with its tags; NULL: mirrored */
	uint8_t ether_len;     /* of `ether`: 14, 18 or 22 */
};

/*
 * Builds an ICMP or ICMPv6 error about a parsed packet of any protocol, as sp_reject_build does but for what `error` says. NULL in the same
 * cases, for a TCP RST, too.
 */
struct rte_mbuf *sp_reject_build_error(
	struct rte_mempool *pool, const struct rte_mbuf *mbuf, const struct sp_packet *packet, const struct sp_icmp_answer *error);

/* What the firewall says in the name of a TCP end, to the sender of a segment; host byte order, window as in the header. */
struct sp_tcp_answer {
	uint32_t seq, ack;
	uint16_t window;
	uint8_t flags;
};

/*
 * Builds a segment without payload and options back to the sender of a parsed TCP packet (kind FLOW), addressed as sp_reject_build does; a
 * RST may be answered, too. NULL when the addresses allow no answer or no mbuf is free.
 */
struct rte_mbuf *sp_reject_build_tcp(
	struct rte_mempool *pool, const struct rte_mbuf *mbuf, const struct sp_packet *packet, const struct sp_tcp_answer *answer);

#endif
