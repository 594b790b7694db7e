/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/support/frames.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t macs[12] = {0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01};

static void fail(const char *what)
{
	fprintf(stderr, "frames: %s\n", what);
	abort();
}

static void put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static unsigned int get16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

/* RFC 1071, a byte at a time. */
static uint32_t sum16(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

/* RFC 9260 appendix A, a bit at a time. */
static uint32_t crc32c(const uint8_t *p, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static uint8_t *append(struct sp_frame *frame, size_t len)
{
	uint8_t *p = frame->bytes + frame->len;

	if (frame->len + len > sizeof(frame->bytes))
		fail("too long");
	memset(p, 0, len);
	frame->len += len;
	return p;
}

static void append_pattern(struct sp_frame *frame, const void *payload, size_t len)
{
	uint8_t *p = append(frame, len);

	if (payload != NULL)
		memcpy(p, payload, len);
	else
		for (size_t i = 0; i < len; i++)
			p[i] = (uint8_t)('a' + i % 26);
}

static void append_ether(struct sp_frame *frame, const struct sp_frame_spec *spec, uint16_t type)
{
	frame->len = 0;
	memcpy(append(frame, sizeof(macs)), macs, sizeof(macs));
	for (unsigned int i = 0; i < spec->n_tags; i++) {
		uint8_t *tag = append(frame, 4);

		put16(tag, spec->tpid[i] != 0 ? spec->tpid[i] : 0x8100);
		put16(tag + 2, spec->tci[i]);
	}
	put16(append(frame, 2), type);
	frame->l3 = frame->len;
	frame->l4 = frame->payload = 0;
}

static void address(int family, const char *text, const char *otherwise, uint8_t *out)
{
	if (inet_pton(family, text != NULL ? text : otherwise, out) != 1)
		fail("not an address");
}

static void append_ip(struct sp_frame *frame, const struct sp_frame_spec *spec, uint8_t proto)
{
	uint8_t *ip;

	if (spec->family == 6) {
		ip = append(frame, 40);
		ip[0] = (uint8_t)(0x60 | spec->tos >> 4);
		ip[1] = (uint8_t)(spec->tos << 4);
		ip[6] = spec->options_len != 0 ? spec->extension : proto;
		ip[7] = spec->ttl != 0 ? spec->ttl : 64;
		address(AF_INET6, spec->src, "2001:db8:1::1", ip + 8);
		address(AF_INET6, spec->dst, "2001:db8:2::2", ip + 24);
	} else {
		ip = append(frame, 20);
		ip[0] = (uint8_t)(0x45 + spec->options_len / 4);
		ip[1] = spec->tos;
		ip[6] = 0x40;
		ip[8] = spec->ttl != 0 ? spec->ttl : 64;
		ip[9] = proto;
		address(AF_INET, spec->src, "192.0.2.1", ip + 12);
		address(AF_INET, spec->dst, "198.51.100.2", ip + 16);
	}
	if (spec->options_len != 0)
		append_pattern(frame, spec->options, spec->options_len);
	frame->l4 = frame->len;
}

static void append_l4(struct sp_frame *frame, const struct sp_frame_spec *spec, uint8_t proto)
{
	unsigned int sport = spec->sport != 0 ? spec->sport : 40000, dport = spec->dport != 0 ? spec->dport : 443;
	uint8_t *p;

	switch (proto) {
	case IPPROTO_TCP:
		p = append(frame, 20);
		put32(p + 4, spec->seq);
		put32(p + 8, spec->ack);
		p[12] = (uint8_t)((5 + spec->tcp_options_len / 4) << 4);
		p[13] = spec->tcp_flags != 0 ? spec->tcp_flags : 0x02;
		put16(p + 14, 0xffff);
		if (spec->tcp_options_len != 0)
			append_pattern(frame, spec->tcp_options, spec->tcp_options_len);
		break;
	case IPPROTO_UDP:
		p = append(frame, 8);
		put16(p + 4, (unsigned int)(8 + spec->payload_len));
		break;
	case IPPROTO_SCTP:
		p = append(frame, 12);
		put32(p + 4, 0x01020304);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		p = append(frame, 8);
		p[0] = spec->icmp_type;
		p[1] = spec->icmp_code;
		put16(p + 4, spec->icmp_id);
		break;
	default:
		p = NULL;
	}
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP) {
		put16(p, sport);
		put16(p + 2, dport);
	}
	frame->payload = frame->len;
}

void sp_frame_build(struct sp_frame *frame, const struct sp_frame_spec *spec)
{
	uint8_t proto = spec->proto != 0 ? spec->proto : IPPROTO_TCP;
	size_t length;

	append_ether(frame, spec, spec->family == 6 ? 0x86dd : 0x0800);
	append_ip(frame, spec, proto);
	append_l4(frame, spec, proto);
	append_pattern(frame, spec->payload, spec->payload_len);
	length = frame->len - frame->l3;
	if (spec->family == 6)
		put16(frame->bytes + frame->l3 + 4, (unsigned int)(length - 40));
	else
		put16(frame->bytes + frame->l3 + 2, (unsigned int)length);
	sp_frame_checksums(frame);
	memset(append(frame, spec->padding), 0xee, spec->padding);
}

void sp_frame_build_ether(struct sp_frame *frame, uint16_t type, size_t len)
{
	static const struct sp_frame_spec untagged;

	append_ether(frame, &untagged, type);
	append_pattern(frame, NULL, len);
}

void sp_frame_build_error(struct sp_frame *frame, const struct sp_frame *about, uint8_t type, uint8_t code, size_t quote)
{
	const uint8_t *ip = about->bytes + about->l3;
	bool v6 = ip[0] >> 4 == 6;
	char sender[INET6_ADDRSTRLEN];
	struct sp_frame_spec spec = {
		.family = v6 ? 6 : 4, .proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, .icmp_type = type, .icmp_code = code};
	size_t whole = v6 ? 40 + get16(ip + 4) : get16(ip + 2);

	inet_ntop(v6 ? AF_INET6 : AF_INET, ip + (v6 ? 8 : 12), sender, sizeof(sender));
	spec.src = v6 ? "2001:db8:ffff::1" : "203.0.113.1";
	spec.dst = sender;
	spec.payload = ip;
	spec.payload_len = whole < quote ? whole : quote;
	sp_frame_build(frame, &spec);
}

static bool is_tpid(uint16_t type)
{
	return type == 0x8100 || type == 0x88a8 || type == 0x9100 || type == 0x9200 || type == 0x9300;
}

/* Where things lie in a frame of one IP packet without IPv6 extension headers. */
struct layout {
	const uint8_t *ip;
	size_t l4, l4_len;
	bool v6;
	uint8_t proto;
};

static bool find(const uint8_t *bytes, size_t len, struct layout *out)
{
	size_t off = 12, header;

	while (off + 4 <= len && is_tpid(get16(bytes + off)))
		off += 4;
	if (off + 2 + 20 > len || (get16(bytes + off) != 0x0800 && get16(bytes + off) != 0x86dd))
		return false;
	out->v6 = get16(bytes + off) == 0x86dd;
	off += 2;
	if (out->v6 && off + 40 > len)
		return false;
	out->ip = bytes + off;
	header = out->v6 ? 40 : (out->ip[0] & 0xf) * 4u;
	out->l4 = off + header;
	out->l4_len = out->v6 ? get16(out->ip + 4) : get16(out->ip + 2) - header;
	out->proto = out->ip[out->v6 ? 6 : 9];
	return out->l4 + out->l4_len <= len;
}

static uint32_t sum_l4(const struct layout *at, const uint8_t *l4, size_t len, uint8_t proto)
{
	uint32_t sum = 0;

	if (at->v6)
		sum = sum16(sum, at->ip + 8, 32);
	else if (proto != IPPROTO_ICMP)
		sum = sum16(sum, at->ip + 12, 8);
	if (at->v6 || proto != IPPROTO_ICMP)
		sum += proto + (uint32_t)len;
	return sum16(sum, l4, len);
}

/* Offset of the 16-bit checksum in the header of a protocol; 0: it has none. */
static size_t checksum_at(uint8_t proto, bool v6)
{
	if (proto == IPPROTO_TCP)
		return 16;
	if (proto == IPPROTO_UDP)
		return 6;
	return proto == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) ? 2 : 0;
}

static uint8_t upper_proto(const struct sp_frame *frame)
{
	const uint8_t *ip = frame->bytes + frame->l3;
	size_t off = frame->l3 + 40;
	uint8_t next = ip[6];

	if (ip[0] >> 4 == 4)
		return ip[9];
	while (off < frame->l4) {
		const uint8_t *p = frame->bytes + off;

		off += next == IPPROTO_AH ? (p[1] + 2u) * 4 : next == IPPROTO_FRAGMENT ? 8 : (p[1] + 1u) * 8;
		next = p[0];
	}
	return next;
}

void sp_frame_checksums(struct sp_frame *frame)
{
	struct layout at = {.ip = frame->bytes + frame->l3};
	uint8_t *ip = frame->bytes + frame->l3, *l4 = frame->bytes + frame->l4, proto = upper_proto(frame);
	size_t end, len, field;

	at.v6 = ip[0] >> 4 == 6;
	end = frame->l3 + (at.v6 ? 40 + get16(ip + 4) : get16(ip + 2));
	len = end - frame->l4;
	if (!at.v6) {
		put16(ip + 10, 0);
		put16(ip + 10, ~sum16(0, ip, frame->l4 - frame->l3) & 0xffff);
	}
	if (proto == IPPROTO_SCTP && len >= 12) {
		uint32_t crc;

		memset(l4 + 8, 0, 4);
		crc = crc32c(l4, len);
		for (int i = 0; i < 4; i++)
			l4[8 + i] = (uint8_t)(crc >> 8 * i);
	}
	field = checksum_at(proto, at.v6);
	if (field != 0 && len >= field + 2) {
		put16(l4 + field, 0);
		put16(l4 + field, ~sum_l4(&at, l4, len, proto) & 0xffff);
		if (proto == IPPROTO_UDP && get16(l4 + field) == 0)
			put16(l4 + field, 0xffff);
	}
}

size_t sp_frame_ip_payload(const struct sp_frame *frame)
{
	const uint8_t *ip = frame->bytes + frame->l3;

	return ip[0] >> 4 == 6 ? get16(ip + 4) : get16(ip + 2) - (ip[0] & 0xf) * 4u;
}

void sp_frame_cut(struct sp_frame *fragment, const struct sp_frame *whole, uint32_t id, size_t from, size_t n, bool more)
{
	bool v6 = whole->bytes[whole->l3] >> 4 == 6;
	size_t header = v6 ? 40 : (whole->bytes[whole->l3] & 0xf) * 4u, at = whole->l3 + header;
	uint8_t *ip = fragment->bytes + whole->l3;

	more |= from + n < sp_frame_ip_payload(whole);
	*fragment = (struct sp_frame){.l3 = whole->l3};
	memcpy(fragment->bytes, whole->bytes, at);
	if (v6) {
		put16(ip + 4, (unsigned int)(8 + n));
		ip[40] = ip[6];
		ip[6] = IPPROTO_FRAGMENT;
		ip[41] = 0;
		put16(ip + 42, (unsigned int)(from | more));
		put16(ip + 44, id >> 16);
		put16(ip + 46, id & 0xffff);
		header += 8;
	} else {
		put16(ip + 2, (unsigned int)(header + n));
		put16(ip + 4, id & 0xffff);
		put16(ip + 6, (unsigned int)(from / 8 | (more ? 0x2000u : 0)));
		put16(ip + 10, 0);
		put16(ip + 10, ~sum16(0, ip, header) & 0xffff);
	}
	fragment->l4 = fragment->payload = fragment->l3 + header;
	memcpy(fragment->bytes + fragment->l4, whole->bytes + at + from, n);
	fragment->len = fragment->l4 + n;
}

bool sp_frame_checksums_ok(const uint8_t *bytes, size_t len)
{
	struct layout at;
	size_t field;

	if (!find(bytes, len, &at))
		return false;
	if (!at.v6 && sum16(0, at.ip, (at.ip[0] & 0xf) * 4u) != 0xffff)
		return false;
	field = checksum_at(at.proto, at.v6);
	if (field == 0)
		return true;
	if (at.proto == IPPROTO_UDP && get16(bytes + at.l4 + field) == 0)
		return !at.v6;
	return sum_l4(&at, bytes + at.l4, at.l4_len, at.proto) == 0xffff;
}

/* Router alert as IGMP carries it, then nothing. */
static const uint8_t router_alert[] = {148, 4, 0, 0};
/* Timestamps, no-operations, a route record, end of list and what follows it. */
static const uint8_t many_options[] = {1, 1, 68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 4, 4, 0, 0, 99};
static const uint8_t mss_option[] = {2, 4, 5, 0xb4, 1, 3, 3, 7};
/* Hop-by-hop with a router alert before MLD. */
static const uint8_t hop_by_hop_mld[] = {58, 0, 5, 2, 0, 0, 1, 0};
/* Hop-by-hop, destination options of 16 bytes, authentication (24 bytes), destination options, then TCP. */
static const uint8_t long_chain[] = {
	60, 0, 1, 4, 0, 0, 0, 0,                                                    /* hop-by-hop → destination options */
	51, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,                           /* → authentication */
	60, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, /* → destination options */
	6, 0, 1, 4, 0, 0, 0, 0,                                                     /* → TCP */
};
/* A mobility routing header whose segment is used up, before UDP. */
static const uint8_t routing_mobile[] = {17, 2, 2, 0, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9};

#define TAGGED1      .n_tags = 1, .tci = {0x2064}
#define TAGGED2      .n_tags = 2, .tpid = {0x88a8, 0x8100}, .tci = {200, 300}
#define BYTES(array) .options = (array), .options_len = sizeof(array)

static const struct {
	const char *name;
	struct sp_frame_spec spec;
} samples[] = {
	{"tcp4", {.payload_len = 10}},
	{"tcp4 syn with options", {.tcp_options = mss_option, .tcp_options_len = sizeof(mss_option)}},
	{"tcp4 tagged", {TAGGED1, .tcp_flags = 0x18, .payload_len = 33}},
	{"tcp4 double tagged", {TAGGED2, .tcp_flags = 0x10, .payload_len = 5}},
	{"tcp4 ip options", {BYTES(many_options), .payload_len = 7}},
	{"tcp4 padded", {.tcp_flags = 0x10, .padding = 6}},
	{"udp4", {.proto = IPPROTO_UDP, .payload_len = 12}},
	{"udp4 tagged", {.proto = IPPROTO_UDP, TAGGED1, .payload_len = 1}},
	{"udp4 empty", {.proto = IPPROTO_UDP, .padding = 18}},
	{"udp4 dhcp", {.proto = IPPROTO_UDP, .src = "0.0.0.0", .dst = "255.255.255.255", .sport = 68, .dport = 67, .payload_len = 40}},
	{"udp4 multicast", {.proto = IPPROTO_UDP, .dst = "239.1.2.3", .payload_len = 4}},
	{"icmp4 echo", {.proto = IPPROTO_ICMP, .icmp_type = 8, .icmp_id = 0x1234, .payload_len = 16}},
	{"icmp4 echo reply", {.proto = IPPROTO_ICMP, .icmp_type = 0, .icmp_id = 0x1234, .payload_len = 16}},
	{"icmp4 timestamp", {.proto = IPPROTO_ICMP, .icmp_type = 13, .icmp_id = 7, .payload_len = 12}},
	{"icmp4 redirect", {.proto = IPPROTO_ICMP, .icmp_type = 5, .icmp_code = 1, .payload_len = 28}},
	{"igmp", {.proto = IPPROTO_IGMP, .dst = "224.0.0.22", BYTES(router_alert), .payload_len = 8, .ttl = 1}},
	{"sctp4", {.proto = IPPROTO_SCTP, .payload_len = 20}},
	{"gre4", {.proto = IPPROTO_GRE, .payload_len = 24}},
	{"udplite4", {.proto = IPPROTO_UDPLITE, .payload_len = 12}},
	{"tcp6", {.family = 6, .payload_len = 10}},
	{"tcp6 tagged", {.family = 6, TAGGED1, .tcp_flags = 0x11}},
	{"tcp6 long chain", {.family = 6, BYTES(long_chain), .extension = IPPROTO_HOPOPTS, .payload_len = 3}},
	{"udp6", {.family = 6, .proto = IPPROTO_UDP, .tos = 0xb8, .payload_len = 9}},
	{"udp6 routing", {.family = 6, .proto = IPPROTO_UDP, BYTES(routing_mobile), .extension = IPPROTO_ROUTING, .payload_len = 9}},
	{"udp6 dhcp",
		{.family = 6, .proto = IPPROTO_UDP, .src = "fe80::1", .dst = "ff02::1:2", .sport = 546, .dport = 547, .payload_len = 20}},
	{"icmp6 echo", {.family = 6, .proto = IPPROTO_ICMPV6, .icmp_type = 128, .icmp_id = 0x4321, .payload_len = 16}},
	{"icmp6 duplicate address detection", {.family = 6,
						      .proto = IPPROTO_ICMPV6,
						      .src = "::",
						      .dst = "ff02::1:ff00:2",
						      .icmp_type = 135,
						      .payload_len = 16,
						      .ttl = 255}},
	{"icmp6 router advertisement",
		{.family = 6, .proto = IPPROTO_ICMPV6, .src = "fe80::1", .dst = "ff02::1", .icmp_type = 134, .payload_len = 8}},
	{"icmp6 mld", {.family = 6,
			      .proto = IPPROTO_ICMPV6,
			      .src = "::",
			      .dst = "ff02::16",
			      BYTES(hop_by_hop_mld),
			      .extension = IPPROTO_HOPOPTS,
			      .icmp_type = 143,
			      .payload_len = 20}},
	{"sctp6", {.family = 6, .proto = IPPROTO_SCTP, .payload_len = 301}},
	{"esp6", {.family = 6, .proto = IPPROTO_ESP, .payload_len = 24}},
	{"no next header", {.family = 6, .proto = IPPROTO_NONE}},
};

/* Errors about samples: index of the sample in `samples`. */
static const struct {
	const char *name, *about;
	uint8_t type, code;
	size_t quote;
} errors[] = {
	{"icmp4 unreachable about tcp", "tcp4", 3, 1, 28},
	{"icmp4 time exceeded about udp", "udp4", 11, 0, 128},
	{"icmp4 fragmentation needed about options", "tcp4 ip options", 3, 4, 128},
	{"icmp4 parameter problem about echo", "icmp4 echo", 12, 0, 28},
	{"icmp4 unreachable about sctp", "sctp4", 3, 3, 128},
	{"icmp4 unreachable about gre", "gre4", 3, 2, 128},
	{"icmp6 too big about tcp", "tcp6", 2, 0, 1232},
	{"icmp6 unreachable about a chain", "tcp6 long chain", 1, 4, 1232},
	{"icmp6 time exceeded about echo", "icmp6 echo", 3, 0, 48},
};

static const struct {
	const char *name;
	uint16_t type;
	size_t len;
} others[] = {{"arp", 0x0806, 46}, {"lldp", 0x88cc, 46}, {"802.3 stp", 38, 46}};

bool sp_frame_sample(unsigned int index, struct sp_frame *frame, const char **name)
{
	struct sp_frame about;

	if (index < RTE_DIM(samples)) {
		*name = samples[index].name;
		sp_frame_build(frame, &samples[index].spec);
		return true;
	}
	index -= RTE_DIM(samples);
	if (index < RTE_DIM(errors)) {
		*name = errors[index].name;
		for (unsigned int i = 0; i < RTE_DIM(samples); i++)
			if (strcmp(samples[i].name, errors[index].about) == 0)
				sp_frame_build(&about, &samples[i].spec);
		sp_frame_build_error(frame, &about, errors[index].type, errors[index].code, errors[index].quote);
		return true;
	}
	index -= RTE_DIM(errors);
	if (index >= RTE_DIM(others))
		return false;
	*name = others[index].name;
	sp_frame_build_ether(frame, others[index].type, others[index].len);
	return true;
}

struct rte_mempool *sp_frame_pool(unsigned int n)
{
	static unsigned int pools;
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *pool;

	snprintf(name, sizeof(name), "frames%u", pools++);
	pool = rte_pktmbuf_pool_create(name, n, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (pool == NULL)
		fail("no mempool");
	return pool;
}

/* One segment's memory, given back with the segment. */
struct exact {
	struct rte_mbuf_ext_shared_info info;
	void *memory;
};

static void free_exact(void *address_unused, void *opaque)
{
	struct exact *exact = opaque;

	(void)address_unused;
	free(exact->memory);
	free(exact);
}

static struct rte_mbuf *exact_segment(struct rte_mempool *pool, const uint8_t *bytes, size_t len)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
	struct exact *exact = malloc(sizeof(*exact));

	if (mbuf == NULL || exact == NULL)
		fail("no memory for a segment");
	exact->memory = malloc(len != 0 ? len : 1);
	if (exact->memory == NULL)
		fail("no memory for a segment");
	if (len != 0)
		memcpy(exact->memory, bytes, len);
	exact->info.free_cb = free_exact;
	exact->info.fcb_opaque = exact;
	rte_mbuf_ext_refcnt_set(&exact->info, 1);
	rte_pktmbuf_attach_extbuf(mbuf, exact->memory, RTE_BAD_IOVA, (uint16_t)(len != 0 ? len : 1), &exact->info);
	mbuf->data_off = 0;
	mbuf->data_len = (uint16_t)len;
	mbuf->pkt_len = (uint32_t)len;
	return mbuf;
}

struct rte_mbuf *sp_frame_mbuf_exact(struct rte_mempool *pool, const void *bytes, size_t len, size_t first, size_t rest)
{
	const uint8_t *p = bytes;
	size_t done = first == 0 || first > len ? len : first;
	struct rte_mbuf *head = exact_segment(pool, p, done), *tail = head;

	while (done < len) {
		size_t part = rest == 0 || rest > len - done ? len - done : rest;

		tail->next = exact_segment(pool, p + done, part);
		tail = tail->next;
		head->nb_segs++;
		done += part;
	}
	head->pkt_len = (uint32_t)len;
	return head;
}

struct rte_mbuf *sp_frame_mbuf(struct rte_mempool *pool, const void *bytes, size_t len)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
	char *p = mbuf != NULL ? rte_pktmbuf_append(mbuf, (uint16_t)len) : NULL;

	if (p == NULL)
		fail("no mbuf");
	memcpy(p, bytes, len);
	return mbuf;
}
