/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layer 3: IPv4 with options, IPv6 with extension headers, and the addresses that no packet may carry.
 */
#include <netinet/in.h>

#include "dataplane/checksum.h"
#include "dataplane/parse_internal.h"

#define OPTION_END           0
#define OPTION_NOP           1
#define OPTION_LOOSE_SOURCE  131
#define OPTION_STRICT_SOURCE 137

#define IPV4_EVERYONE 0xffffffffu /* the limited broadcast address */

/* Walks the options of an IPv4 header: each well-formed, none that routes by the sender's will (RFC 7126). */
static bool ipv4_options_ok(const uint8_t *options, uint32_t len)
{
	uint32_t i = 0;

	while (i < len) {
		if (options[i] == OPTION_END)
			return true;
		if (options[i] == OPTION_NOP) {
			i++;
			continue;
		}
		if (options[i] == OPTION_LOOSE_SOURCE || options[i] == OPTION_STRICT_SOURCE)
			return false;
		if (len - i < 2 || options[i + 1] < 2 || options[i + 1] > len - i)
			return false;
		i += options[i + 1];
	}
	return true;
}

/*
 * The unspecified source: a host that has no address yet asks by DHCP, to everyone (RFC 2131 4.1), or reports its groups (RFC 3376
 * 4.2.13).
 */
static bool ipv4_no_source_ok(uint32_t dst, uint8_t proto)
{
	if (proto == IPPROTO_UDP)
		return dst == IPV4_EVERYONE;
	return proto == IPPROTO_IGMP && dst >> 28 == 0xe;
}

/* RFC 6890: neither "this network" nor loopback nor the reserved 240/4 may cross a firewall. */
static bool ipv4_addresses_ok(uint32_t src, uint32_t dst, uint8_t proto)
{
	if (src == dst || src >> 28 >= 0xe || src >> 24 == 127)
		return false;
	if (dst >> 24 == 0 || dst >> 24 == 127)
		return false;
	if (dst >> 28 == 0xf && dst != IPV4_EVERYONE)
		return false;
	if (src >> 24 == 0)
		return src == 0 && ipv4_no_source_ok(dst, proto);
	return true;
}

enum sp_drop_reason sp_parse_ipv4(struct sp_parse *parse, bool verify_checksum)
{
	struct sp_packet *packet = parse->packet;
	uint32_t off = packet->l3_off, header, length;
	const uint8_t *ip = sp_parse_at(parse, off, SP_IPV4_BYTES);
	uint16_t fragment;

	if (ip == NULL || ip[0] >> 4 != 4)
		return SP_DROP_PARSE_IPV4;
	header = (ip[0] & 0xf) * 4u;
	length = parse->datagram ? parse->end - off : sp_read_be16(ip + SP_IPV4_LENGTH_OFFSET);
	if (header < SP_IPV4_BYTES || length < header || length > parse->end - off)
		return SP_DROP_PARSE_IPV4;
	parse->end = off + length;
	ip = sp_parse_at(parse, off, header);
	if (ip == NULL)
		return SP_DROP_PARSE_IPV4;
	if (verify_checksum && sp_checksum_fold(sp_checksum_add(0, ip, header)) != 0xffff)
		return SP_DROP_PARSE_IPV4_CHECKSUM;
	if (!ipv4_options_ok(ip + SP_IPV4_BYTES, header - SP_IPV4_BYTES))
		return SP_DROP_PARSE_IPV4_OPTIONS;
	packet->key.family = SP_FAMILY_IPV4;
	packet->dscp = ip[1] >> 2;
	memcpy(&packet->key.v4, ip + SP_IPV4_SRC_OFFSET, sizeof(packet->key.v4));
	if (!ipv4_addresses_ok(rte_be_to_cpu_32(packet->key.v4.src), rte_be_to_cpu_32(packet->key.v4.dst), ip[SP_IPV4_PROTO_OFFSET]))
		return SP_DROP_PARSE_ADDRESS;
	fragment = sp_read_be16(ip + SP_IPV4_FRAG_OFFSET) & (SP_IPV4_MORE | SP_IPV4_POSITION);
	if (fragment != 0 && !parse->datagram) {
		const struct sp_fragment_header piece = {.off = off + header,
			.upper = off + header,
			.headers = header,
			.word = (uint16_t)(fragment << 3) | (fragment & SP_IPV4_MORE ? SP_FRAGMENT_MORE : 0),
			.proto = ip[SP_IPV4_PROTO_OFFSET]};

		return sp_parse_fragment(parse, &piece);
	}
	return sp_parse_l4(parse, off + header, ip[SP_IPV4_PROTO_OFFSET]);
}

/* RFC 4291 2.5 to 2.7. The unspecified source serves a host without an address (ND, MLD): only towards a group. */
static bool ipv6_addresses_ok(const uint8_t *src, const uint8_t *dst)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	static const uint8_t zero[16], loopback[16] = {[15] = 1};

	if (src[0] == 0xff || memcmp(src, dst, 16) == 0)
		return false;
	if (memcmp(dst, zero, 16) == 0 || memcmp(src, loopback, 16) == 0 || memcmp(dst, loopback, 16) == 0)
		return false;
	if (memcmp(src, mapped, sizeof(mapped)) == 0 || memcmp(dst, mapped, sizeof(mapped)) == 0)
		return false;
	return memcmp(src, zero, 16) != 0 || dst[0] == 0xff;
}

/* How often each extension header was met. RFC 8200 4.1: each once, destination options twice, hop-by-hop options first. */
struct seen {
	uint8_t headers, routing, destination, fragment, auth;
};

static bool extension_allowed(struct seen *seen, uint8_t next)
{
	switch (next) {
	case IPPROTO_HOPOPTS:
		return seen->headers == 0;
	case IPPROTO_ROUTING:
		return seen->routing++ == 0;
	case IPPROTO_DSTOPTS:
		return seen->destination++ < 2;
	case IPPROTO_FRAGMENT:
		return seen->fragment++ == 0;
	default:
		return seen->auth++ == 0;
	}
}

static bool is_extension(uint8_t next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS || next == IPPROTO_FRAGMENT ||
	       next == IPPROTO_AH;
}

/* Bytes of the extension header at p, eight of which can be read. */
static uint32_t extension_bytes(const uint8_t *p, uint8_t next)
{
	if (next == IPPROTO_FRAGMENT)
		return SP_FRAGMENT_BYTES;
	return next == IPPROTO_AH ? (p[1] + 2u) * 4 : (p[1] + 1u) * 8; /* RFC 4302 2.2 counts AH in words, less two */
}

enum sp_drop_reason sp_parse_extensions(struct sp_parse *parse, uint32_t off, uint8_t next, struct sp_extensions *out)
{
	uint32_t start = off;
	struct seen seen = {0};

	*out = (struct sp_extensions){0};
	while (is_extension(next)) {
		const uint8_t *p = sp_parse_at(parse, off, 8);
		uint32_t bytes = p == NULL ? 0 : extension_bytes(p, next);

		if (next == IPPROTO_FRAGMENT && seen.fragment > 0)
			return SP_DROP_FRAG_HEADERS;
		if (p == NULL || off + bytes > parse->end)
			return out->word & SP_FRAGMENT_MORE ? SP_DROP_FRAG_TINY : SP_DROP_PARSE_IPV6_EXTENSION;
		if (seen.headers == SP_IPV6_EXTENSIONS_MAX || !extension_allowed(&seen, next))
			return SP_DROP_PARSE_IPV6_EXTENSION;
		if (off + bytes - start > SP_IPV6_EXTENSION_BYTES_MAX)
			return SP_DROP_PARSE_IPV6_EXTENSION;
		if (next == IPPROTO_ROUTING && p[SP_ROUTING_TYPE_OFFSET] == SP_ROUTING_SOURCE)
			return SP_DROP_PARSE_IPV6_EXTENSION;
		seen.headers++;
		if (next == IPPROTO_FRAGMENT) {
			out->fragment = true;
			out->fragment_off = off;
			out->word = sp_read_be16(p + SP_FRAGMENT_WORD) & (SP_FRAGMENT_POSITION | SP_FRAGMENT_MORE);
			out->later = (out->word & SP_FRAGMENT_POSITION) != 0;
		}
		next = p[0];
		off += bytes;
		/* Behind a later fragment's header there is data, not headers. */
		if (out->later)
			break;
	}
	out->off = off;
	out->proto = next;
	return SP_DROP_NONE;
}

static enum sp_drop_reason ipv6_fragment(struct sp_parse *parse, const struct sp_extensions *chain)
{
	const struct sp_fragment_header piece = {.off = chain->fragment_off + SP_FRAGMENT_BYTES,
		.upper = chain->off,
		.headers = chain->fragment_off - parse->packet->l3_off - SP_IPV6_BYTES,
		.word = chain->word,
		.proto = chain->proto};

	return sp_parse_fragment(parse, &piece);
}

enum sp_drop_reason sp_parse_ipv6(struct sp_parse *parse)
{
	struct sp_packet *packet = parse->packet;
	uint32_t off = packet->l3_off, length;
	const uint8_t *ip = sp_parse_at(parse, off, SP_IPV6_BYTES);
	struct sp_extensions chain;
	enum sp_drop_reason reason;

	if (ip == NULL || ip[0] >> 4 != 6)
		return SP_DROP_PARSE_IPV6;
	length = parse->datagram ? parse->end - off - SP_IPV6_BYTES : sp_read_be16(ip + SP_IPV6_LENGTH_OFFSET);
	if (length > parse->end - off - SP_IPV6_BYTES)
		return SP_DROP_PARSE_IPV6;
	/* A jumbogram (RFC 2675): no frame here can hold one. */
	if (length == 0 && ip[SP_IPV6_NEXT_OFFSET] == IPPROTO_HOPOPTS)
		return SP_DROP_PARSE_IPV6;
	parse->end = off + SP_IPV6_BYTES + length;
	packet->key.family = SP_FAMILY_IPV6;
	packet->dscp = (uint8_t)((sp_read_be16(ip) >> 6) & 0x3f);
	memcpy(&packet->key.v6, ip + SP_IPV6_SRC_OFFSET, sizeof(packet->key.v6));
	if (!ipv6_addresses_ok(packet->key.v6.src, packet->key.v6.dst))
		return SP_DROP_PARSE_ADDRESS;
	reason = sp_parse_extensions(parse, off + SP_IPV6_BYTES, ip[SP_IPV6_NEXT_OFFSET], &chain);
	if (reason != SP_DROP_NONE)
		return reason;
	if (chain.later && chain.proto == IPPROTO_FRAGMENT)
		return SP_DROP_FRAG_HEADERS;
	if (chain.word != 0 && !parse->datagram)
		return ipv6_fragment(parse, &chain);
	reason = sp_parse_l4(parse, chain.off, chain.proto);
	if (reason == SP_DROP_NONE && chain.fragment && sp_parse_is_nd(SP_FAMILY_IPV6, packet->key.proto, (uint8_t)(packet->key.aux >> 8)))
		return SP_DROP_FRAG_ICMP;
	return reason;
}
