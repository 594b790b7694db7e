/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the parser share: the reader that every header goes through, the layers, and the layout of the headers. Fields are read
 * by offset, because DPDK's struct rte_ipv6_hdr differs between 22.11 and 24.11 and header pointers may be misaligned.
 */
#ifndef SP_DATAPLANE_PARSE_INTERNAL_H
#define SP_DATAPLANE_PARSE_INTERNAL_H

#include <assert.h>
#include <rte_byteorder.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/bytes.h"
#include "dataplane/parse.h"

#define SP_FRAME_BYTES_MAX 65535u

/* A reassembled datagram: the longest IPv6 packet behind the longest layer 2. */
#define SP_DATAGRAM_BYTES_MAX (SP_ETHER_BYTES + SP_VLAN_TAGS_MAX * SP_VLAN_BYTES + SP_IPV6_BYTES + 65535u)

#define SP_ETHER_BYTES       14
#define SP_ETHER_TYPE_OFFSET 12
#define SP_VLAN_BYTES        4
#define SP_VLAN_TAGS_MAX     2

#define SP_IPV4_BYTES         20
#define SP_IPV4_BYTES_MAX     60
#define SP_IPV4_LENGTH_OFFSET 2
#define SP_IPV4_FRAG_OFFSET   6
#define SP_IPV4_PROTO_OFFSET  9
#define SP_IPV4_SUM_OFFSET    10
#define SP_IPV4_SRC_OFFSET    12
#define SP_IPV4_ADDRESS_BYTES 4
#define SP_IPV4_MORE          0x2000 /* more fragments follow */
#define SP_IPV4_POSITION      0x1fff /* fragment offset */

#define SP_IPV6_BYTES         40
#define SP_IPV6_LENGTH_OFFSET 4
#define SP_IPV6_NEXT_OFFSET   6
#define SP_IPV6_SRC_OFFSET    8
#define SP_IPV6_DST_OFFSET    24
#define SP_IPV6_ADDRESS_BYTES 16

#define SP_FRAGMENT_BYTES    8
#define SP_FRAGMENT_WORD     2      /* offset of position and flag, 16 bits */
#define SP_FRAGMENT_ID       4      /* offset of the identification, 32 bits */
#define SP_FRAGMENT_POSITION 0xfff8 /* in that word: where the data begins, in bytes */
#define SP_FRAGMENT_MORE     0x0001 /* more fragments follow */
#define SP_IPV4_ID_OFFSET    4      /* 16 bits */

#define SP_ROUTING_TYPE_OFFSET  2
#define SP_ROUTING_LEFT_OFFSET  3
#define SP_ROUTING_FIRST_OFFSET 8
#define SP_ROUTING_SOURCE       0 /* RFC 5095: deprecated, never forwarded */
#define SP_ROUTING_MOBILE       2
#define SP_ROUTING_SEGMENTS     4

#define SP_TCP_BYTES            20
#define SP_TCP_DATA_OFFSET      12 /* high nibble: header length in words */
#define SP_TCP_FLAGS_OFFSET     13
#define SP_UDP_BYTES            8
#define SP_UDP_LENGTH_OFFSET    4
#define SP_UDP_CHECKSUM_OFFSET  6
#define SP_SCTP_BYTES           12
#define SP_SCTP_CHECKSUM_OFFSET 8
#define SP_ICMP_BYTES           8
#define SP_ICMP_ID_OFFSET       4
#define SP_QUOTED_L4_BYTES      8 /* of the quoted packet's upper layer, the least an error carries (RFC 792) */

/* Bytes gathered from a packet whose headers span segments: more than the deepest chain of headers that the parser follows. */
#define SP_PARSE_GATHER_BYTES 1280
static_assert(SP_PARSE_GATHER_BYTES >= SP_ETHER_BYTES + SP_VLAN_TAGS_MAX * SP_VLAN_BYTES +
					       2 * (SP_IPV6_BYTES + SP_IPV6_EXTENSION_BYTES_MAX) + SP_ICMP_BYTES + SP_TCP_BYTES,
	"an ICMPv6 error with extension headers inside and out");

/* One packet while it is parsed. */
struct sp_parse {
	const uint8_t *frame; /* first `have` bytes of the frame, contiguous */
	uint32_t have;
	uint32_t end; /* no header may reach past this: the frame's end, later the IP packet's */
	const struct rte_mbuf *mbuf;
	struct sp_packet *packet;
	uint8_t *gathered; /* SP_PARSE_GATHER_BYTES of scratch */
	bool datagram;     /* reassembled: lengths are those of the mbuf, what the headers say of fragments is done with */
};

/* Brings the first bytes of a segmented frame together and tries again; NULL when they do not reach. */
const uint8_t *sp_parse_gather(struct sp_parse *parse, uint32_t off, uint32_t n);

/* The one way to a header: n bytes at off, or NULL when they reach past `end`. Valid as long as the frame and the scratch. */
static inline const uint8_t *sp_parse_at(struct sp_parse *parse, uint32_t off, uint32_t n)
{
	if (off + n > parse->end)
		return NULL;
	if (off + n <= parse->have)
		return parse->frame + off;
	return sp_parse_gather(parse, off, n);
}

/* Layer 3 at l3_off: fills family, addresses and everything above. SP_DROP_NONE or the reason. */
enum sp_drop_reason sp_parse_ipv4(struct sp_parse *parse, bool verify_checksum);
enum sp_drop_reason sp_parse_ipv6(struct sp_parse *parse);

/* The end of a chain of IPv6 extension headers. */
struct sp_extensions {
	uint32_t off;          /* of the upper layer */
	uint8_t proto;         /* upper layer */
	bool fragment;         /* a fragment header was met */
	bool later;            /* and not of the first fragment: there is no upper layer at off */
	uint32_t fragment_off; /* of that header */
	uint16_t word;         /* its SP_FRAGMENT_POSITION and SP_FRAGMENT_MORE; 0: it fragments nothing (RFC 6946) */
};

/*
 * Walks extension headers from off; `next` says what is there. SP_DROP_NONE, PARSE_IPV6_EXTENSION, FRAG_HEADERS for a second fragment
 * header, or FRAG_TINY when the chain goes on past the end of a first fragment (RFC 7112).
 */
enum sp_drop_reason sp_parse_extensions(struct sp_parse *parse, uint32_t off, uint8_t next, struct sp_extensions *out);

/* One fragment of either family, as its headers put it. */
struct sp_fragment_header {
	uint32_t off;   /* of its data */
	uint32_t upper; /* of layer 4 when it is the first; behind extension headers in its data */
	uint32_t
		headers; /* bytes that count towards the length of the whole besides the data (IPv4: the header; IPv6: extension headers) */
	uint16_t word;   /* SP_FRAGMENT_POSITION and SP_FRAGMENT_MORE */
	uint8_t proto;   /* of layer 4 as this fragment says */
};

/*
 * A fragment whose data ends at parse->end: fills kind, proto, l4_off (of its data) and payload. SP_DROP_NONE or what no fragment may be:
 * FRAG_LENGTH, FRAG_TOO_LONG, FRAG_TINY, FRAG_ICMP.
 */
enum sp_drop_reason sp_parse_fragment(struct sp_parse *parse, const struct sp_fragment_header *fragment);

/* Whether an ICMP or ICMPv6 type is an error about a packet that it quotes; whether it is neighbour discovery. */
bool sp_parse_is_icmp_error(uint8_t family, uint8_t type);
bool sp_parse_is_nd(uint8_t family, uint8_t proto, uint8_t type);

/* Layer 4 of `proto` at off, up to parse->end: fills ports, aux, kind, flags and payload. SP_DROP_NONE or the reason. */
enum sp_drop_reason sp_parse_l4(struct sp_parse *parse, uint32_t off, uint8_t proto);

static inline uint16_t sp_read_u16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t sp_read_u32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t sp_read_u64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

#endif
