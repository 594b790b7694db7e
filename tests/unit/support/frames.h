/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Valid frames for tests, built byte by byte from a description, and mbufs that hold them so that AddressSanitizer sees every read past a
 * segment. Shares no code with the dataplane: checksums are computed here once more, slowly.
 */
#ifndef SP_TESTS_UNIT_SUPPORT_FRAMES_H
#define SP_TESTS_UNIT_SUPPORT_FRAMES_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SP_FRAME_MAX 4096

struct sp_frame {
	size_t len;
	size_t l3, l4, payload; /* offsets; l4 and payload 0 for frames without IP */
	uint8_t bytes[SP_FRAME_MAX];
};

/* Everything left zero has a default that makes a valid frame: a TCP SYN over IPv4 from 192.0.2.1:40000 to 198.51.100.2:443. */
struct sp_frame_spec {
	uint8_t family;        /* 4 (default) or 6: 2001:db8:1::1 to 2001:db8:2::2 */
	uint8_t proto;         /* default TCP */
	const char *src, *dst; /* as text */
	uint16_t sport, dport; /* host byte order; TCP, UDP and SCTP */
	uint8_t tcp_flags;     /* default SYN */
	uint32_t seq, ack;     /* host byte order */
	uint8_t icmp_type, icmp_code;
	uint16_t icmp_id;           /* host byte order; bytes 4 and 5 of the ICMP header */
	uint8_t tos, ttl;           /* ttl 0: 64 */
	unsigned int n_tags;        /* VLAN tags, outermost first */
	uint16_t tpid[4], tci[4];   /* tpid 0: 0x8100 */
	const uint8_t *options;     /* IPv4 options or TCP-free IPv6 extension headers, whole; the last next header must be `proto` */
	size_t options_len;         /* IPv4: a multiple of 4, at most 40 */
	uint8_t extension;          /* IPv6: what the first extension header is */
	const uint8_t *tcp_options; /* a multiple of 4 bytes, at most 40 */
	size_t tcp_options_len;
	const void *payload; /* NULL: a pattern */
	size_t payload_len;
	size_t padding; /* bytes of 0xee behind the IP packet */
};

/* Builds the frame; aborts on a description that does not fit. */
void sp_frame_build(struct sp_frame *frame, const struct sp_frame_spec *spec);

/* A frame without IP: `type` (or an 802.3 length) and a payload of `len` pattern bytes. */
void sp_frame_build_ether(struct sp_frame *frame, uint16_t type, size_t len);

/* An ICMP or ICMPv6 error about `about` (an IP frame of one family), from a router back to its sender, quoting at most `quote` bytes. */
void sp_frame_build_error(struct sp_frame *frame, const struct sp_frame *about, uint8_t type, uint8_t code, size_t quote);

/*
 * A fragment of the frame's IP packet: bytes [from, from + n) of what follows its IP header (`from` a multiple of 8), flagged as the last
 * when it ends with them and `more` is not set. IPv6 gets a fragment header behind the fixed one.
 */
void sp_frame_cut(struct sp_frame *fragment, const struct sp_frame *whole, uint32_t id, size_t from, size_t n, bool more);

/* Bytes behind the IP header of the frame's packet. */
size_t sp_frame_ip_payload(const struct sp_frame *frame);

/* Makes the IPv4 header checksum and that of layer 4 right again after bytes were changed. */
void sp_frame_checksums(struct sp_frame *frame);

/* Whether both are right, by a slow computation of its own; for frames without extension headers. UDP without one counts as right. */
bool sp_frame_checksums_ok(const uint8_t *bytes, size_t len);

/* Valid frames of every protocol the parser knows, from index 0 on; false when there are no more. */
bool sp_frame_sample(unsigned int index, struct sp_frame *frame, const char **name);

/* A mempool of n mbufs with 2 KB rooms. Aborts on failure. */
struct rte_mempool *sp_frame_pool(unsigned int n);

/*
 * The bytes in an mbuf chain: `first` bytes in the first segment (0: all of them), then `rest` bytes in each other (0: one more segment).
 * Every segment lies in memory of malloc of exactly its length, with no headroom and no tailroom.
 */
struct rte_mbuf *sp_frame_mbuf_exact(struct rte_mempool *pool, const void *bytes, size_t len, size_t first, size_t rest);

/* The bytes in one ordinary mbuf with headroom; at most 2,048. */
struct rte_mbuf *sp_frame_mbuf(struct rte_mempool *pool, const void *bytes, size_t len);

#endif
