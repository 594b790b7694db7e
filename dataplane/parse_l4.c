/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layer 4: ports, ICMP identifiers, and the packet that an ICMP error quotes.
 */
#include <netinet/in.h>

#include "dataplane/parse_internal.h"

#define ICMP_UNREACHABLE   3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER     12
#define ICMP6_ERROR_FIRST  1 /* RFC 4443: unreachable, too big, time exceeded, parameter problem */
#define ICMP6_ERROR_LAST   4

static void set_payload(struct sp_parse *parse, uint32_t off, uint32_t header, uint32_t l4_bytes)
{
	parse->packet->l4_off = (uint16_t)off;
	parse->packet->payload_off = (uint16_t)(off + header);
	parse->packet->payload_len = (uint16_t)(l4_bytes - header);
}

static void set_ports(struct sp_key *key, const uint8_t *header)
{
	memcpy(&key->sport, header, sizeof(key->sport));
	memcpy(&key->dport, header + sizeof(key->sport), sizeof(key->dport));
}

static bool port_zero(const struct sp_key *key)
{
	return key->sport == 0 || key->dport == 0;
}

static enum sp_drop_reason parse_tcp(struct sp_parse *parse, uint32_t off)
{
	const uint8_t *tcp = sp_parse_at(parse, off, SP_TCP_BYTES);
	uint32_t header;

	if (tcp == NULL)
		return SP_DROP_PARSE_TCP;
	header = (tcp[SP_TCP_DATA_OFFSET] >> 4) * 4u;
	if (header < SP_TCP_BYTES || header > parse->end - off)
		return SP_DROP_PARSE_TCP;
	set_ports(&parse->packet->key, tcp);
	if (port_zero(&parse->packet->key))
		return SP_DROP_PARSE_PORT_ZERO;
	parse->packet->tcp_flags = tcp[SP_TCP_FLAGS_OFFSET];
	set_payload(parse, off, header, parse->end - off);
	return SP_DROP_NONE;
}

static enum sp_drop_reason parse_udp(struct sp_parse *parse, uint32_t off)
{
	const uint8_t *udp = sp_parse_at(parse, off, SP_UDP_BYTES);
	uint32_t length;

	if (udp == NULL)
		return SP_DROP_PARSE_UDP;
	length = sp_read_be16(udp + SP_UDP_LENGTH_OFFSET);
	if (length < SP_UDP_BYTES || length > parse->end - off)
		return SP_DROP_PARSE_UDP;
	set_ports(&parse->packet->key, udp);
	if (port_zero(&parse->packet->key))
		return SP_DROP_PARSE_PORT_ZERO;
	set_payload(parse, off, SP_UDP_BYTES, length);
	return SP_DROP_NONE;
}

static enum sp_drop_reason parse_sctp(struct sp_parse *parse, uint32_t off)
{
	const uint8_t *sctp = sp_parse_at(parse, off, SP_SCTP_BYTES);

	if (sctp == NULL)
		return SP_DROP_PARSE_SCTP;
	set_ports(&parse->packet->key, sctp);
	if (port_zero(&parse->packet->key))
		return SP_DROP_PARSE_PORT_ZERO;
	set_payload(parse, off, SP_SCTP_BYTES, parse->end - off);
	return SP_DROP_NONE;
}

/*
 * Redirects (ICMP 5, ICMPv6 137) quote a packet too, but they change the host's routes and not the fate of the session: they count as
 * flows of their own, so that only a rule can let them through.
 */
bool sp_parse_is_icmp_error(uint8_t family, uint8_t type)
{
	if (family == SP_FAMILY_IPV4)
		return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER;
	return type >= ICMP6_ERROR_FIRST && type <= ICMP6_ERROR_LAST;
}

/* The part of the key that an ICMP header decides, of the packet itself or of a quoted one. */
static void set_icmp(struct sp_key *key, const uint8_t *icmp)
{
	key->aux = (uint16_t)(icmp[0] << 8 | icmp[1]);
	if (sp_icmp_is_query(key->family, icmp[0]) || sp_icmp_is_reply(key->family, icmp[0])) {
		memcpy(&key->sport, icmp + SP_ICMP_ID_OFFSET, sizeof(key->sport));
		key->dport = key->sport;
	}
}

/* What lies behind the quoted IP header; at least SP_QUOTED_L4_BYTES of it. */
static bool quoted_l4(struct sp_parse *parse, uint32_t off, uint8_t proto)
{
	struct sp_key *key = &parse->packet->key;
	const uint8_t *l4 = sp_parse_at(parse, off, SP_QUOTED_L4_BYTES);

	if (l4 == NULL)
		return false;
	key->proto = proto;
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP) {
		set_ports(key, l4);
	} else if (proto == (key->family == SP_FAMILY_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
		/* No error answers an error (RFC 1122 3.2.2, RFC 4443 2.4). */
		if (sp_parse_is_icmp_error(key->family, l4[0]))
			return false;
		set_icmp(key, l4);
	}
	return true;
}

/* The error must travel back to the quoted packet's sender. */
static bool quoted_ipv4(struct sp_parse *parse, uint32_t off)
{
	struct sp_key *key = &parse->packet->key;
	const uint8_t *ip = sp_parse_at(parse, off, SP_IPV4_BYTES);
	uint32_t header;

	if (ip == NULL || ip[0] >> 4 != 4)
		return false;
	header = (ip[0] & 0xf) * 4u;
	if (header < SP_IPV4_BYTES || (sp_read_be16(ip + SP_IPV4_FRAG_OFFSET) & SP_IPV4_POSITION) != 0)
		return false;
	if (sp_read_u32(ip + SP_IPV4_SRC_OFFSET) != key->v4.dst)
		return false;
	memcpy(&key->v4, ip + SP_IPV4_SRC_OFFSET, sizeof(key->v4));
	return quoted_l4(parse, off + header, ip[SP_IPV4_PROTO_OFFSET]);
}

static bool quoted_ipv6(struct sp_parse *parse, uint32_t off)
{
	struct sp_key *key = &parse->packet->key;
	const uint8_t *ip = sp_parse_at(parse, off, SP_IPV6_BYTES);
	struct sp_extensions chain;

	if (ip == NULL || ip[0] >> 4 != 6 || memcmp(ip + SP_IPV6_SRC_OFFSET, key->v6.dst, sizeof(key->v6.dst)) != 0)
		return false;
	memcpy(&key->v6, ip + SP_IPV6_SRC_OFFSET, sizeof(key->v6));
	if (sp_parse_extensions(parse, off + SP_IPV6_BYTES, ip[SP_IPV6_NEXT_OFFSET], &chain) != SP_DROP_NONE || chain.later)
		return false;
	return quoted_l4(parse, chain.off, chain.proto);
}

static enum sp_drop_reason parse_icmp(struct sp_parse *parse, uint32_t off)
{
	struct sp_packet *packet = parse->packet;
	const uint8_t *icmp = sp_parse_at(parse, off, SP_ICMP_BYTES);
	bool quoted;

	if (icmp == NULL)
		return SP_DROP_PARSE_ICMP;
	set_payload(parse, off, SP_ICMP_BYTES, parse->end - off);
	if (!sp_parse_is_icmp_error(packet->key.family, icmp[0])) {
		set_icmp(&packet->key, icmp);
		return SP_DROP_NONE;
	}
	packet->kind = SP_KIND_ICMP_ERROR;
	if (packet->key.family == SP_FAMILY_IPV4)
		quoted = quoted_ipv4(parse, off + SP_ICMP_BYTES);
	else
		quoted = quoted_ipv6(parse, off + SP_ICMP_BYTES);
	return quoted ? SP_DROP_NONE : SP_DROP_PARSE_ICMP;
}

enum sp_drop_reason sp_parse_l4(struct sp_parse *parse, uint32_t off, uint8_t proto)
{
	struct sp_packet *packet = parse->packet;

	packet->kind = SP_KIND_FLOW;
	packet->key.proto = proto;
	if (proto == IPPROTO_TCP)
		return parse_tcp(parse, off);
	if (proto == IPPROTO_UDP)
		return parse_udp(parse, off);
	if (proto == IPPROTO_SCTP)
		return parse_sctp(parse, off);
	if (proto == (packet->key.family == SP_FAMILY_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return parse_icmp(parse, off);
	set_payload(parse, off, 0, parse->end - off);
	return SP_DROP_NONE;
}
