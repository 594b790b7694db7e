/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parser: from mbuf to struct sp_packet. Trusts no length and no driver metadata beyond the port's checksum policy.
 */
#ifndef SP_DATAPLANE_PARSE_H
#define SP_DATAPLANE_PARSE_H

#include "dataplane/burst.h"

/* IPv6 extension headers walked before the packet is dropped, and the bytes they may take. */
#define SP_IPV6_EXTENSIONS_MAX      8
#define SP_IPV6_EXTENSION_BYTES_MAX 512

enum sp_checksum_policy {
	SP_CHECKSUM_TRUST_NIC, /* IPv4 header in software; layer 4 as the NIC flagged it (default) */
	SP_CHECKSUM_VERIFY,    /* all in software */
	SP_CHECKSUM_OFF,
};

struct sp_port;

/*
 * Parses packet i of the burst, whose mbuf arrived on `port` and whose verdict is GOING. Fills burst->packet[i] (key.domain and zones from
 * the port, hash by sp_key_hash) or drops it with a parse_ or frag_ reason. Restores a VLAN tag that hardware stripped
 * (RTE_MBUF_F_RX_VLAN_STRIPPED, QINQ) into the frame, so that later stages see the frame as on the wire. Headers may span segments: they
 * are read with bounds checked against pkt_len, whatever the segmentation. Frames are at most 65,535 bytes long.
 *
 * ICMP types 3, 11 and 12 and ICMPv6 types 1 to 4 become SP_KIND_ICMP_ERROR with the key of the packet they quote; their own type and code
 * are at l4_off. A redirect (5, 137) is a flow of its own, so that only a rule lets it pass. After a drop the packet holds as much of the
 * key as was read, the rest zero; its hash means nothing.
 */
void sp_parse_packet(const struct sp_port *port, struct sp_burst *burst, unsigned int i);

/* Parses every packet of the burst; all arrived on `port`. Prefetches SP_PARSE_PREFETCH packets ahead. */
void sp_parse_burst(const struct sp_port *port, struct sp_burst *burst);

/* Verifies the layer 4 checksum in software over all segments. True when right, absent (UDP over IPv4 with 0), or unknown protocol. */
bool sp_checksum_l4_ok(const struct rte_mbuf *mbuf, const struct sp_packet *packet);

#endif
