/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parser has found the quoted packet's key (parse_l4.c) and refused what is no error at all: one that quotes too little, another
 * error, or a packet that its receiver did not send. Here the session is known.
 */
#include "dataplane/icmp_error.h"

#include <netinet/in.h>
#include <rte_common.h>

#include "dataplane/parse_internal.h"
#include "dataplane/session_sctp.h"
#include "dataplane/session_tcp.h"

#define IPV4_UNREACHABLE   3
#define IPV4_TIME_EXCEEDED 11
#define IPV4_PARAMETER     12
#define IPV4_FRAG_NEEDED   4 /* code of unreachable */

#define IPV6_UNREACHABLE   1
#define IPV6_TOO_BIG       2
#define IPV6_TIME_EXCEEDED 3
#define IPV6_PARAMETER     4
#define IPV6_OPTION        2 /* code of parameter problem: unrecognized option */

#define IPV4_MTU_MIN    68   /* RFC 791 3.2: every link carries so much */
#define IPV6_MTU_MIN    1280 /* RFC 8200 5; less only made atomic fragments, which RFC 8021 took away */
#define IPV4_MTU_OFFSET 6
#define IPV6_MTU_OFFSET 4
#define POINTER_OFFSET  4

#define UDP_LENGTH_MIN 8
#define MULTICAST4     224 /* first byte: groups, reserved, and the limited broadcast above them */
#define MULTICAST6     0xff

/* Codes of a type that pass with a session, one bit each. */
#define CODES(first, last) (((1u << ((last) - (first) + 1)) - 1) << (first))

/* What an error says, and what it quotes. Lengths in bytes. */
struct error {
	uint8_t type, code;
	const uint8_t *icmp; /* SP_ICMP_BYTES */
	uint32_t quoted;     /* the quoted packet's length by its own header */
	uint32_t l4_bytes;   /* of it behind the IP headers */
	const uint8_t *l4;   /* SP_QUOTED_L4_BYTES */
	bool fragment;       /* the first of several: lengths above are the fragment's */
};

/*
 * IPv4. RFC 1122 3.2.2.1 and RFC 1812 5.2.7.1 give the codes of unreachable: 8 is obsolete, 14 and 15 tell hosts to change a precedence
 * that nobody uses. Source quench (4) is deprecated (RFC 6633); the parser makes it and redirects (5) flows of their own.
 */
static uint32_t codes4(uint8_t type)
{
	switch (type) {
	case IPV4_UNREACHABLE:
		return CODES(0, 7) | CODES(9, 13);
	case IPV4_TIME_EXCEEDED:
		return CODES(0, 1); /* RFC 792 */
	case IPV4_PARAMETER:
		return CODES(0, 2); /* RFC 792; 1: RFC 1108, 2: RFC 1122 3.2.2.5 */
	default:
		return 0;
	}
}

/* IPv6. RFC 4890 4.3.1 and 4.3.2: these errors must not, or normally should not, be dropped. */
static uint32_t codes6(uint8_t type)
{
	switch (type) {
	case IPV6_UNREACHABLE:
		return CODES(0, 8); /* RFC 4443 3.1; 7: RFC 6554, 8: RFC 8883 */
	case IPV6_TOO_BIG:
		return CODES(0, 0); /* RFC 4443 3.2 */
	case IPV6_TIME_EXCEEDED:
		return CODES(0, 1); /* RFC 4443 3.3 */
	case IPV6_PARAMETER:
		return CODES(0, 10); /* RFC 4443 3.4; 3: RFC 7112, 4: RFC 8754, 5 to 10: RFC 8883 */
	default:
		return 0;
	}
}

static bool type_passes(const struct error *error, uint8_t family)
{
	uint32_t codes = family == SP_FAMILY_IPV4 ? codes4(error->type) : codes6(error->type);

	return error->code < 32 && (codes >> error->code & 1) != 0;
}

/* The quoted IPv4 packet: version, header length and offset were checked when it was parsed. */
static bool read_quoted4(struct sp_parse *parse, uint32_t off, struct error *error)
{
	const uint8_t *ip = sp_parse_at(parse, off, SP_IPV4_BYTES);
	uint32_t header;

	if (ip == NULL)
		return false;
	header = (ip[0] & 0xf) * 4u;
	error->quoted = sp_read_be16(ip + SP_IPV4_LENGTH_OFFSET);
	error->fragment = (sp_read_be16(ip + SP_IPV4_FRAG_OFFSET) & SP_IPV4_MORE) != 0;
	if (error->quoted < header)
		return false;
	error->l4_bytes = error->quoted - header;
	error->l4 = sp_parse_at(parse, off + header, SP_QUOTED_L4_BYTES);
	return error->l4 != NULL;
}

static bool read_quoted6(struct sp_parse *parse, uint32_t off, struct error *error)
{
	const uint8_t *ip = sp_parse_at(parse, off, SP_IPV6_BYTES);
	struct sp_extensions chain;
	uint32_t extensions;

	if (ip == NULL)
		return false;
	error->quoted = SP_IPV6_BYTES + sp_read_be16(ip + SP_IPV6_LENGTH_OFFSET);
	if (sp_parse_extensions(parse, off + SP_IPV6_BYTES, ip[SP_IPV6_NEXT_OFFSET], &chain) != SP_DROP_NONE)
		return false;
	extensions = chain.off - (off + SP_IPV6_BYTES);
	error->fragment = chain.fragment;
	if (error->quoted < SP_IPV6_BYTES + extensions)
		return false;
	error->l4_bytes = error->quoted - SP_IPV6_BYTES - extensions;
	error->l4 = sp_parse_at(parse, chain.off, SP_QUOTED_L4_BYTES);
	return error->l4 != NULL;
}

/* RFC 1122 3.2.2 and RFC 4443 2.4 (e): nobody answers a packet to a group, but for two errors that path MTU and options need. */
static bool group_ok(const struct sp_key *key, const struct error *error)
{
	if (key->family == SP_FAMILY_IPV4) {
		uint8_t src, dst;

		memcpy(&src, &key->v4.src, 1);
		memcpy(&dst, &key->v4.dst, 1);
		return src < MULTICAST4 && dst < MULTICAST4;
	}
	if (key->v6.src[0] == MULTICAST6)
		return false;
	return key->v6.dst[0] != MULTICAST6 || error->type == IPV6_TOO_BIG || (error->type == IPV6_PARAMETER && error->code == IPV6_OPTION);
}

/* What the error adds to the quoted packet: an MTU that this packet exceeded, a place in it. RFC 5927 7.2, RFC 8201 4. */
static bool value_ok(const struct error *error, uint8_t family)
{
	uint32_t value;

	if (family == SP_FAMILY_IPV4) {
		value = sp_read_be16(error->icmp + IPV4_MTU_OFFSET);
		if (error->type == IPV4_UNREACHABLE && error->code == IPV4_FRAG_NEEDED)
			return value >= IPV4_MTU_MIN && value < error->quoted;
		return error->type != IPV4_PARAMETER || error->icmp[POINTER_OFFSET] < error->quoted;
	}
	value = rte_be_to_cpu_32(sp_read_u32(error->icmp + IPV6_MTU_OFFSET));
	if (error->type == IPV6_TOO_BIG)
		return value >= IPV6_MTU_MIN && value < error->quoted;
	return error->type != IPV6_PARAMETER || value < error->quoted;
}

/* Whether this session can have sent the quoted packet. Its ports, or its ICMP identifier, found the session. */
static bool was_sent(struct sp_sessions *sessions, uint32_t ref, const struct error *error, uint8_t proto)
{
	uint32_t length;

	switch (proto) {
	case IPPROTO_TCP:
		return (error->fragment || error->l4_bytes >= SP_TCP_BYTES) &&
		       sp_tcp_seq_plausible(sessions, ref, rte_be_to_cpu_32(sp_read_u32(error->l4 + 4)));
	case IPPROTO_UDP:
		length = sp_read_be16(error->l4 + SP_UDP_LENGTH_OFFSET);
		return length >= UDP_LENGTH_MIN && (error->fragment ? length >= error->l4_bytes : length <= error->l4_bytes);
	case IPPROTO_SCTP:
		return (error->fragment || error->l4_bytes >= SP_SCTP_BYTES) &&
		       sp_sctp_tag_plausible(sessions, ref, rte_be_to_cpu_32(sp_read_u32(error->l4 + 4)));
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return error->l4_bytes >= SP_ICMP_BYTES;
	default:
		return true;
	}
}

enum sp_drop_reason sp_icmp_error_judge(
	struct sp_sessions *sessions, uint32_t ref, const struct rte_mbuf *mbuf, const struct sp_packet *packet)
{
	const uint8_t family = packet->key.family;
	uint8_t gathered[SP_PARSE_GATHER_BYTES];
	struct sp_parse parse = {.frame = rte_pktmbuf_mtod(mbuf, const uint8_t *),
		.have = mbuf->data_len,
		.end = (uint32_t)packet->payload_off + packet->payload_len,
		.mbuf = mbuf,
		.gathered = gathered};
	const uint8_t *icmp = sp_parse_at(&parse, packet->l4_off, SP_ICMP_BYTES);
	struct error error;
	bool read;

	if (icmp == NULL)
		return SP_DROP_ICMP_IMPLAUSIBLE;
	error = (struct error){.type = icmp[0], .code = icmp[1], .icmp = icmp};
	if (!type_passes(&error, family))
		return SP_DROP_ICMP_ERROR_TYPE;
	/* RFC 4443 2.4 (c): the whole error fits the least MTU. */
	if (family == SP_FAMILY_IPV6 && parse.end - packet->l3_off > IPV6_MTU_MIN)
		return SP_DROP_ICMP_IMPLAUSIBLE;
	if (family == SP_FAMILY_IPV4)
		read = read_quoted4(&parse, packet->payload_off, &error);
	else
		read = read_quoted6(&parse, packet->payload_off, &error);
	if (!read || !group_ok(&packet->key, &error) || !value_ok(&error, family) || !was_sent(sessions, ref, &error, packet->key.proto))
		return SP_DROP_ICMP_IMPLAUSIBLE;
	return SP_DROP_NONE;
}

bool sp_icmp_error_take(struct sp_icmp_errors *errors, uint32_t ref, uint32_t rate, uint32_t now_ms)
{
	/* Neighbours in a pool are strangers, so any bits of the number do; the families do not meet. */
	uint32_t class = ((ref & SP_SESSION_INDEX) << 1 | ref >> 31) % SP_ICMP_ERROR_CLASSES, second = now_ms / 1000;

	if (errors->of[class].second != second) {
		errors->of[class].second = second;
		errors->of[class].n = 0;
	}
	if (rate != 0 && errors->of[class].n >= rate)
		return false;
	errors->of[class].n++;
	return true;
}
