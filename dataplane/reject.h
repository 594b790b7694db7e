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
 * when none may be sent (a RST, an ICMP error, a non-IP frame, a multicast or broadcast destination at either layer, a fragment, an
 * unspecified source: RFC 1122 3.2.2, RFC 4443 2.4) or no mbuf is free; the packet itself is untouched.
 */
struct rte_mbuf *sp_reject_build(struct rte_mempool *pool, const struct rte_mbuf *mbuf, const struct sp_packet *packet);

#endif
