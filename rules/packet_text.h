/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet grammar that explain, expect and POST /v1/explain share:
 * `PROTO SRC[:PORT] > DST[:PORT] [from ZONE] [to ZONE] [FIELD=VALUE …]`, IPv6 with a port in brackets;
 * DST may be `interface`. Fields: flags, vlan, type, code,
 * length, dscp, src_mac, and later sni, app. Protocol "arp" or "ethertype=0x…" describes a non-IP frame.
 */
#ifndef SP_RULES_PACKET_TEXT_H
#define SP_RULES_PACKET_TEXT_H

#include "rules/match.h"

struct sp_packet_text {
	struct sp_match match;
	struct sp_packet_view view; /* frame NULL; known tells which fields the text gave */
	bool local; /* the destination is `interface`: an address of the firewall's own, unknown here; match.dst is unspecified */
};

/*
 * Parses a description. Zones are looked up in `zones` and must exist there; a rule set without zones accepts none. Ports left out are
 * 0 for a protocol that has them; TCP flags left out are `syn`, an ICMP type left out is echo-request. 0, or -EINVAL with *why (at least
 * 160 bytes) a sentence.
 */
int sp_packet_text_parse(const char *text, const struct sp_zones *zones, struct sp_packet_text *out, char *why, size_t why_size);

/* The canonical text; returns the length it needs. */
size_t sp_packet_text_format(const struct sp_packet_text *packet, const struct sp_zones *zones, char *buf, size_t size);

#endif
