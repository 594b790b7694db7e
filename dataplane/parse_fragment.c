/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One fragment by itself: what its own headers say, and what no fragment may be whatever the others are. Whether it fits the others is the
 * matter of fragment.c. Nothing here reads past the fragment: `end` is where its data ends.
 */
#include <netinet/in.h>

#include "dataplane/parse_internal.h"

#define UNIT_BYTES 8u /* fragments begin and, but for the last, end at multiples of this */

#define ICMP6_ND_FIRST 133 /* router and neighbour discovery, redirect last */
#define ICMP6_ND_LAST  137

static bool is_icmp(uint8_t family, uint8_t proto)
{
	return proto == (family == SP_FAMILY_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

/* RFC 6980 5: neighbour discovery never comes with a fragment header, not even one that fragments nothing. */
bool sp_parse_is_nd(uint8_t family, uint8_t proto, uint8_t type)
{
	return family == SP_FAMILY_IPV6 && proto == IPPROTO_ICMPV6 && type >= ICMP6_ND_FIRST && type <= ICMP6_ND_LAST;
}

/*
 * The first fragment must hold the whole header of layer 4 (RFC 1858 3, RFC 7112 5): only then its ports are the datagram's for
 * everybody who looks at it. Other protocols have no header that matters here.
 */
static enum sp_drop_reason check_first(struct sp_parse *parse, uint32_t off, uint8_t proto)
{
	uint8_t family = parse->packet->key.family;
	uint32_t bytes = 0;
	const uint8_t *l4;

	if (proto == IPPROTO_TCP)
		bytes = SP_TCP_BYTES;
	else if (proto == IPPROTO_UDP)
		bytes = SP_UDP_BYTES;
	else if (proto == IPPROTO_SCTP)
		bytes = SP_SCTP_BYTES;
	else if (is_icmp(family, proto))
		bytes = SP_ICMP_BYTES;
	if (bytes == 0)
		return SP_DROP_NONE;
	l4 = sp_parse_at(parse, off, bytes);
	if (l4 == NULL)
		return SP_DROP_FRAG_TINY;
	if (proto == IPPROTO_TCP && (l4[SP_TCP_DATA_OFFSET] >> 4) * 4u > parse->end - off)
		return SP_DROP_FRAG_TINY;
	/* An error quotes so little that it never needs fragments (RFC 1812 4.3.2.3, RFC 4443 2.4 (c)). */
	if (is_icmp(family, proto) && (sp_parse_is_icmp_error(family, l4[0]) || sp_parse_is_nd(family, proto, l4[0])))
		return SP_DROP_FRAG_ICMP;
	return SP_DROP_NONE;
}

enum sp_drop_reason sp_parse_fragment(struct sp_parse *parse, const struct sp_fragment_header *fragment)
{
	struct sp_packet *packet = parse->packet;
	uint32_t start = fragment->word & SP_FRAGMENT_POSITION, len = parse->end - fragment->off;
	bool more = fragment->word & SP_FRAGMENT_MORE;

	packet->kind = SP_KIND_FRAGMENT;
	packet->key.proto = fragment->proto;
	packet->l4_off = packet->payload_off = (uint16_t)fragment->off;
	packet->payload_len = (uint16_t)len;
	if (len == 0 || (more && len % UNIT_BYTES != 0))
		return SP_DROP_FRAG_LENGTH;
	if (fragment->headers + start + len > UINT16_MAX)
		return SP_DROP_FRAG_TOO_LONG;
	if (start == 0)
		return check_first(parse, fragment->upper, fragment->proto);
	/* RFC 3128: a second fragment that begins inside the TCP header. */
	if (start == UNIT_BYTES && packet->key.family == SP_FAMILY_IPV4 && fragment->proto == IPPROTO_TCP)
		return SP_DROP_FRAG_TINY;
	return SP_DROP_NONE;
}
