/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Neighbour discovery (RFC 4861) that a host would take: the checks of its receivers, made before a message crosses the firewall.
 */
#ifndef SP_DATAPLANE_ND_H
#define SP_DATAPLANE_ND_H

#include "dataplane/burst.h"

/* Whether the packet is an ICMPv6 message of type 133 to 137. */
bool sp_nd_is(const struct sp_packet *packet);

/*
 * Whether a message for which sp_nd_is holds is valid by RFC 4861 6.1, 7.1 and 8.1: hop limit 255 (no router has forwarded it), code 0,
 * whole, with addresses and options as they must be. The checksum is the parser's, and that it came in no fragments (RFC 6980) the
 * reassembly's. Any thread; bounded.
 */
bool sp_nd_valid(const struct rte_mbuf *mbuf, const struct sp_packet *packet);

#endif
