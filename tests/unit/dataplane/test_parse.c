/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <rte_ether.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/dataplane.h"
#include "dataplane/parse.h"
#include "rules/match.h"
#include "tests/unit/support/eal.h"
#include "tests/unit/support/frames.h"

static struct rte_mempool *pool;
static struct sp_port port;
static struct sp_burst burst;

#define ZONE_UNTAGGED 3
#define ZONE_100      7

static int setup(void **unused)
{
	(void)unused;
	sp_test_eal();
	pool = sp_frame_pool(8191);
	memset(port.zone, SP_MATCH_NO_ZONE, sizeof(port.zone));
	port.zone[0] = ZONE_UNTAGGED;
	port.zone[100] = ZONE_100;
	port.domain = 9;
	return 0;
}

/* Parses an mbuf alone in a burst and frees it; what was found stays in burst.packet[0]. */
static enum sp_drop_reason parse_mbuf(struct rte_mbuf *mbuf)
{
	burst.n = 1;
	burst.mbuf[0] = mbuf;
	burst.verdict[0] = SP_VERDICT_GOING;
	burst.reason[0] = SP_DROP_NONE;
	memset(&burst.packet[0], 0xa5, sizeof(burst.packet[0]));
	sp_parse_packet(&port, &burst, 0);
	rte_pktmbuf_free(mbuf);
	assert_int_equal(burst.verdict[0], burst.reason[0] == SP_DROP_NONE ? SP_VERDICT_GOING : SP_VERDICT_DROP);
	return burst.reason[0];
}

static enum sp_drop_reason parse_bytes(const void *bytes, size_t len, size_t first, size_t rest)
{
	return parse_mbuf(sp_frame_mbuf_exact(pool, bytes, len, first, rest));
}

static enum sp_drop_reason parse_frame(const struct sp_frame *frame)
{
	return parse_bytes(frame->bytes, frame->len, 0, 0);
}

static void check_reason(const char *name, enum sp_drop_reason reason, enum sp_drop_reason expected)
{
	if (reason != expected)
		fail_msg("%s: drop reason %d, expected %d", name, reason, expected);
}

/* Parses in every segmentation of interest; all must find the same. */
static enum sp_drop_reason parse_all_ways(const char *name, const uint8_t *bytes, size_t len, bool every_split)
{
	enum sp_drop_reason whole = parse_bytes(bytes, len, 0, 0), reason;
	struct sp_packet packet = burst.packet[0];
	size_t step = every_split ? 1 : 13;

	for (size_t split = 1; split <= len; split += step) {
		/* The last turn is one byte a segment. */
		reason = split + step > len ? parse_bytes(bytes, len, 1, 1) : parse_bytes(bytes, len, split, 0);
		check_reason(name, reason, whole);
		if (memcmp(&packet, &burst.packet[0], sizeof(packet)) != 0 && whole == SP_DROP_NONE)
			fail_msg("%s: %zu bytes split at %zu parse differently", name, len, split);
	}
	burst.packet[0] = packet;
	return whole;
}

static void test_samples_pass_under_every_policy(void **unused)
{
	struct sp_frame frame;
	const char *name;

	(void)unused;
	for (unsigned int i = 0; sp_frame_sample(i, &frame, &name); i++)
		for (port.checksum = SP_CHECKSUM_TRUST_NIC; port.checksum <= SP_CHECKSUM_OFF; port.checksum++)
			check_reason(name, parse_all_ways(name, frame.bytes, frame.len, true), SP_DROP_NONE);
	port.checksum = SP_CHECKSUM_TRUST_NIC;
}

/* Cut at every length: an IP packet must drop for a reason of its own, unless only padding is missing. */
static void test_truncation(void **unused)
{
	struct sp_frame frame;
	const char *name;

	(void)unused;
	for (unsigned int i = 0; sp_frame_sample(i, &frame, &name); i++) {
		const uint8_t *ip = frame.bytes + frame.l3;
		size_t whole = frame.l3;

		if (frame.l4 != 0)
			whole += ip[0] >> 4 == 6 ? 40 + (size_t)(ip[4] << 8 | ip[5]) : (size_t)(ip[2] << 8 | ip[3]);
		for (size_t len = 0; len < frame.len; len++) {
			enum sp_drop_reason reason = parse_all_ways(name, frame.bytes, len, len < 120);

			if (len < frame.l3)
				check_reason(name, reason, SP_DROP_PARSE_ETHER);
			else if (len >= whole)
				check_reason(name, reason, SP_DROP_NONE);
			else
				check_reason(name, reason, ip[0] >> 4 == 6 ? SP_DROP_PARSE_IPV6 : SP_DROP_PARSE_IPV4);
		}
	}
}

/* Cut at every length with the lengths of the IP header made to agree: the layers above must notice. */
static void test_truncation_with_lengths(void **unused)
{
	struct sp_frame frame;
	const char *name;

	(void)unused;
	port.checksum = SP_CHECKSUM_OFF;
	for (unsigned int i = 0; sp_frame_sample(i, &frame, &name); i++) {
		uint8_t *ip = frame.bytes + frame.l3;
		size_t header = ip[0] >> 4 == 6 ? 40 : (ip[0] & 0xf) * 4u;
		size_t whole = frame.l3 + (ip[0] >> 4 == 6 ? 40 + (size_t)(ip[4] << 8 | ip[5]) : (size_t)(ip[2] << 8 | ip[3]));
		uint8_t proto = ip[ip[0] >> 4 == 6 ? 6 : 9];

		if (frame.l4 == 0)
			continue;
		for (size_t len = frame.l3 + header; len < whole; len++) {
			size_t length = ip[0] >> 4 == 6 ? len - frame.l3 - 40 : len - frame.l3;
			enum sp_drop_reason reason;

			memcpy(ip + (ip[0] >> 4 == 6 ? 4 : 2), &(uint16_t){htons((uint16_t)length)}, 2);
			reason = parse_all_ways(name, frame.bytes, len, len < 120);
			if (len < frame.l4)
				assert_true(reason == SP_DROP_PARSE_IPV6_EXTENSION || reason == SP_DROP_PARSE_IPV6);
			else if (proto == IPPROTO_TCP && len < frame.payload)
				check_reason(name, reason, SP_DROP_PARSE_TCP);
			else if (proto == IPPROTO_UDP)
				check_reason(name, reason, SP_DROP_PARSE_UDP);
			else if (proto == IPPROTO_SCTP && len < frame.payload)
				check_reason(name, reason, SP_DROP_PARSE_SCTP);
			else if (len < frame.payload)
				assert_int_not_equal(reason, SP_DROP_NONE);
		}
	}
	port.checksum = SP_CHECKSUM_TRUST_NIC;
}

static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Whether the damage left the lengths in which checksums can be computed. */
static bool lengths_fit(const struct sp_frame *frame)
{
	const uint8_t *ip = frame->bytes + frame->l3;
	size_t l4 = frame->l4 - frame->l3;

	if (ip[0] == 0x60)
		return l4 == 40 && (size_t)(ip[4] << 8 | ip[5]) <= frame->len - frame->l4;
	return ip[0] == 0x45 && l4 == 20 && (size_t)(ip[2] << 8 | ip[3]) <= frame->len - frame->l3 && (ip[2] << 8 | ip[3]) >= 20;
}

/* Random damage: contiguous, split and shredded frames must fare the same, so the short way through the parser agrees with the long. */
static void test_mutations(void **unused)
{
	static struct sp_frame frame;
	const char *name;

	(void)unused;
	for (int round = 0; round < 400; round++) {
		for (unsigned int i = 0; sp_frame_sample(i, &frame, &name); i++) {
			unsigned int n = 1 + draw() % 3;
			size_t end = RTE_MIN(frame.len, (size_t)120), len = draw() % 4 == 0 ? draw() % (frame.len + 1) : frame.len;

			while (n-- > 0)
				frame.bytes[12 + draw() % (end - 12)] = draw() & 1 ? (uint8_t)draw() : (uint8_t)(draw() % 4 * 0x55);
			port.checksum = draw() & 1 ? SP_CHECKSUM_OFF : SP_CHECKSUM_VERIFY;
			/* Half of them with checksums that hide the damage from the first check. */
			if (draw() & 1 && frame.l4 != 0 && lengths_fit(&frame))
				sp_frame_checksums(&frame);
			parse_all_ways(name, frame.bytes, len, false);
		}
	}
	port.checksum = SP_CHECKSUM_TRUST_NIC;
}

/* What must be found in a frame: addresses as text, ports and aux as numbers. */
static const struct {
	const char *sample;
	uint8_t kind, family, proto;
	uint16_t sport, dport, aux;
	uint16_t vlan, vlan_inner;
	const char *src, *dst;
	int payload_len;
} found[] = {
	{"tcp4", SP_KIND_FLOW, 4, IPPROTO_TCP, 40000, 443, 0, 0, 0, "192.0.2.1", "198.51.100.2", 10},
	{"tcp4 syn with options", SP_KIND_FLOW, 4, IPPROTO_TCP, 40000, 443, 0, 0, 0, "192.0.2.1", "198.51.100.2", 0},
	{"tcp4 tagged", SP_KIND_FLOW, 4, IPPROTO_TCP, 40000, 443, 0, 100, 0, "192.0.2.1", "198.51.100.2", 33},
	{"tcp4 double tagged", SP_KIND_FLOW, 4, IPPROTO_TCP, 40000, 443, 0, 200, 300, "192.0.2.1", "198.51.100.2", 5},
	{"tcp4 ip options", SP_KIND_FLOW, 4, IPPROTO_TCP, 40000, 443, 0, 0, 0, "192.0.2.1", "198.51.100.2", 7},
	{"tcp4 padded", SP_KIND_FLOW, 4, IPPROTO_TCP, 40000, 443, 0, 0, 0, "192.0.2.1", "198.51.100.2", 0},
	{"udp4", SP_KIND_FLOW, 4, IPPROTO_UDP, 40000, 443, 0, 0, 0, "192.0.2.1", "198.51.100.2", 12},
	{"udp4 empty", SP_KIND_FLOW, 4, IPPROTO_UDP, 40000, 443, 0, 0, 0, "192.0.2.1", "198.51.100.2", 0},
	{"udp4 dhcp", SP_KIND_FLOW, 4, IPPROTO_UDP, 68, 67, 0, 0, 0, "0.0.0.0", "255.255.255.255", 40},
	{"icmp4 echo", SP_KIND_FLOW, 4, IPPROTO_ICMP, 0x1234, 0x1234, 0x0800, 0, 0, "192.0.2.1", "198.51.100.2", 16},
	{"icmp4 echo reply", SP_KIND_FLOW, 4, IPPROTO_ICMP, 0x1234, 0x1234, 0x0000, 0, 0, "192.0.2.1", "198.51.100.2", 16},
	{"icmp4 timestamp", SP_KIND_FLOW, 4, IPPROTO_ICMP, 7, 7, 0x0d00, 0, 0, "192.0.2.1", "198.51.100.2", 12},
	{"icmp4 redirect", SP_KIND_FLOW, 4, IPPROTO_ICMP, 0, 0, 0x0501, 0, 0, "192.0.2.1", "198.51.100.2", 28},
	{"igmp", SP_KIND_FLOW, 4, IPPROTO_IGMP, 0, 0, 0, 0, 0, "192.0.2.1", "224.0.0.22", 8},
	{"sctp4", SP_KIND_FLOW, 4, IPPROTO_SCTP, 40000, 443, 0, 0, 0, "192.0.2.1", "198.51.100.2", 20},
	{"gre4", SP_KIND_FLOW, 4, IPPROTO_GRE, 0, 0, 0, 0, 0, "192.0.2.1", "198.51.100.2", 24},
	{"udplite4", SP_KIND_FLOW, 4, IPPROTO_UDPLITE, 0, 0, 0, 0, 0, "192.0.2.1", "198.51.100.2", 12},
	{"tcp6", SP_KIND_FLOW, 6, IPPROTO_TCP, 40000, 443, 0, 0, 0, "2001:db8:1::1", "2001:db8:2::2", 10},
	{"tcp6 tagged", SP_KIND_FLOW, 6, IPPROTO_TCP, 40000, 443, 0, 100, 0, "2001:db8:1::1", "2001:db8:2::2", 0},
	{"tcp6 long chain", SP_KIND_FLOW, 6, IPPROTO_TCP, 40000, 443, 0, 0, 0, "2001:db8:1::1", "2001:db8:2::2", 3},
	{"udp6", SP_KIND_FLOW, 6, IPPROTO_UDP, 40000, 443, 0, 0, 0, "2001:db8:1::1", "2001:db8:2::2", 9},
	{"udp6 dhcp", SP_KIND_FLOW, 6, IPPROTO_UDP, 546, 547, 0, 0, 0, "fe80::1", "ff02::1:2", 20},
	{"icmp6 echo", SP_KIND_FLOW, 6, IPPROTO_ICMPV6, 0x4321, 0x4321, 0x8000, 0, 0, "2001:db8:1::1", "2001:db8:2::2", 16},
	{"icmp6 duplicate address detection", SP_KIND_FLOW, 6, IPPROTO_ICMPV6, 0, 0, 0x8700, 0, 0, "::", "ff02::1:ff00:2", 16},
	{"icmp6 mld", SP_KIND_FLOW, 6, IPPROTO_ICMPV6, 0, 0, 0x8f00, 0, 0, "::", "ff02::16", 20},
	{"esp6", SP_KIND_FLOW, 6, IPPROTO_ESP, 0, 0, 0, 0, 0, "2001:db8:1::1", "2001:db8:2::2", 24},
	{"no next header", SP_KIND_FLOW, 6, IPPROTO_NONE, 0, 0, 0, 0, 0, "2001:db8:1::1", "2001:db8:2::2", 0},
	{"icmp4 unreachable about tcp", SP_KIND_ICMP_ERROR, 4, IPPROTO_TCP, 40000, 443, 0, 0, 0, "192.0.2.1", "198.51.100.2", 28},
	{"icmp4 fragmentation needed about options", SP_KIND_ICMP_ERROR, 4, IPPROTO_TCP, 40000, 443, 0, 0, 0, "192.0.2.1", "198.51.100.2",
		67},
	{"icmp4 parameter problem about echo", SP_KIND_ICMP_ERROR, 4, IPPROTO_ICMP, 0x1234, 0x1234, 0x0800, 0, 0, "192.0.2.1",
		"198.51.100.2", 28},
	{"icmp4 unreachable about gre", SP_KIND_ICMP_ERROR, 4, IPPROTO_GRE, 0, 0, 0, 0, 0, "192.0.2.1", "198.51.100.2", 44},
	{"icmp6 unreachable about a chain", SP_KIND_ICMP_ERROR, 6, IPPROTO_TCP, 40000, 443, 0, 0, 0, "2001:db8:1::1", "2001:db8:2::2", 119},
	{"icmp6 time exceeded about echo", SP_KIND_ICMP_ERROR, 6, IPPROTO_ICMPV6, 0x4321, 0x4321, 0x8000, 0, 0, "2001:db8:1::1",
		"2001:db8:2::2", 48},
	{"arp", SP_KIND_NON_IP, 0, 0, 0, 0, 0x0806, 0, 0, NULL, NULL, 0},
	{"lldp", SP_KIND_NON_IP, 0, 0, 0, 0, 0x88cc, 0, 0, NULL, NULL, 0},
	{"802.3 stp", SP_KIND_NON_IP, 0, 0, 0, 0, 38, 0, 0, NULL, NULL, 0},
};

static void sample(const char *name, struct sp_frame *frame)
{
	const char *at;

	for (unsigned int i = 0; sp_frame_sample(i, frame, &at); i++)
		if (strcmp(at, name) == 0)
			return;
	fail_msg("no sample %s", name);
}

static void test_found(void **unused)
{
	struct sp_frame frame;

	(void)unused;
	for (size_t i = 0; i < RTE_DIM(found); i++) {
		const struct sp_packet *packet = &burst.packet[0];
		struct sp_key key = {.aux = found[i].aux};

		sample(found[i].sample, &frame);
		check_reason(found[i].sample, parse_frame(&frame), SP_DROP_NONE);
		key.sport = htons(found[i].sport);
		key.dport = htons(found[i].dport);
		key.vlan = found[i].vlan;
		key.vlan_inner = found[i].vlan_inner;
		key.domain = 9;
		key.family = found[i].family;
		key.proto = found[i].proto;
		if (found[i].family == 4) {
			assert_int_equal(inet_pton(AF_INET, found[i].src, &key.v4.src), 1);
			assert_int_equal(inet_pton(AF_INET, found[i].dst, &key.v4.dst), 1);
		} else if (found[i].family == 6) {
			assert_int_equal(inet_pton(AF_INET6, found[i].src, &key.v6.src), 1);
			assert_int_equal(inet_pton(AF_INET6, found[i].dst, &key.v6.dst), 1);
		}
		if (memcmp(&packet->key, &key, sizeof(key)) != 0)
			fail_msg("%s: another key", found[i].sample);
		assert_int_equal(packet->kind, found[i].kind);
		assert_int_equal(packet->l3_off, frame.l3);
		assert_int_equal(packet->l4_off, frame.l4);
		assert_int_equal(packet->payload_off, frame.payload);
		assert_int_equal(packet->payload_len, found[i].payload_len);
		assert_int_equal(packet->tcp_flags,
			frame.l4 != 0 && packet->kind == SP_KIND_FLOW && packet->key.proto == IPPROTO_TCP ? frame.bytes[frame.l4 + 13] : 0);
		assert_int_equal(packet->zone_from, found[i].vlan == 0     ? ZONE_UNTAGGED
						    : found[i].vlan == 100 ? ZONE_100
									   : SP_MATCH_NO_ZONE);
		assert_int_equal(packet->zone_to, SP_MATCH_NO_ZONE);
		assert_int_equal(packet->hash, found[i].family == 0 ? 0 : (uint32_t)sp_key_hash(&key));
		assert_int_equal(packet->dscp, strcmp(found[i].sample, "udp6") == 0 ? 46 : 0);
	}
}

#define L3 1 /* patch offsets count from here */
#define L4 2
#define IN 3 /* payload: the quoted packet of an ICMP error */

/* One sample with bytes changed, checksums made right again unless `raw`. */
static const struct {
	const char *name, *sample;
	struct {
		uint8_t from;
		uint16_t at;
		uint8_t n;
		uint8_t bytes[16];
	} patch[2];
	bool raw;
	enum sp_drop_reason reason;
} damaged[] = {
	{"version 5", "tcp4", {{L3, 0, 1, {0x55}}}, true, SP_DROP_PARSE_IPV4},
	{"version 6 in IPv4", "tcp4", {{L3, 0, 1, {0x65}}}, true, SP_DROP_PARSE_IPV4},
	{"header of 16 bytes", "tcp4", {{L3, 0, 1, {0x44}}}, true, SP_DROP_PARSE_IPV4},
	{"header past total length", "tcp4 padded", {{L3, 0, 1, {0x4f}}}, true, SP_DROP_PARSE_IPV4},
	{"total length 19", "tcp4", {{L3, 2, 2, {0, 19}}}, true, SP_DROP_PARSE_IPV4},
	{"total length past the frame", "tcp4", {{L3, 2, 2, {0, 51}}}, true, SP_DROP_PARSE_IPV4},
	{"header checksum", "tcp4", {{L3, 8, 1, {63}}}, true, SP_DROP_PARSE_IPV4_CHECKSUM},
	{"loose source route", "tcp4 ip options", {{L3, 20, 4, {131, 7, 4, 0}}}, false, SP_DROP_PARSE_IPV4_OPTIONS},
	{"strict source route behind others", "tcp4 ip options", {{L3, 34, 3, {137, 3, 4}}}, false, SP_DROP_PARSE_IPV4_OPTIONS},
	{"option of length 0", "tcp4 ip options", {{L3, 23, 1, {0}}}, false, SP_DROP_PARSE_IPV4_OPTIONS},
	{"option of length 1", "tcp4 ip options", {{L3, 22, 12, {68, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}}}, false, SP_DROP_PARSE_IPV4_OPTIONS},
	{"option past the header", "tcp4 ip options", {{L3, 23, 1, {19}}}, false, SP_DROP_PARSE_IPV4_OPTIONS},
	{"option without a length", "tcp4 ip options",
		{{L3, 20, 16, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}}, {L3, 36, 4, {1, 1, 1, 7}}}, false,
		SP_DROP_PARSE_IPV4_OPTIONS},
	{"option that ends with the header", "tcp4 ip options", {{L3, 23, 1, {18}}}, false, SP_DROP_NONE},
	{"first fragment of odd length", "udp4", {{L3, 6, 2, {0x20, 0}}}, false, SP_DROP_FRAG_LENGTH},
	{"last fragment", "udp4", {{L3, 6, 2, {0, 1}}}, false, SP_DROP_NONE},
	{"fragment past the end", "tcp4", {{L3, 6, 2, {0x1f, 0xff}}}, false, SP_DROP_FRAG_TOO_LONG},
	{"TCP fragment inside the header", "tcp4", {{L3, 6, 2, {0, 1}}}, false, SP_DROP_FRAG_TINY},
	{"first fragment of ICMP", "icmp4 echo", {{L3, 6, 2, {0x20, 0}}}, false, SP_DROP_NONE},
	{"first fragment of an ICMP error", "icmp4 unreachable about tcp", {{L3, 6, 2, {0x20, 0}}}, false, SP_DROP_FRAG_LENGTH},
	{"no DF", "tcp4", {{L3, 6, 2, {0, 0}}}, false, SP_DROP_NONE},
	{"TTL 0", "tcp4", {{L3, 8, 1, {0}}}, false, SP_DROP_NONE},
	{"multicast source", "udp4", {{L3, 12, 4, {224, 0, 0, 1}}}, false, SP_DROP_PARSE_ADDRESS},
	{"broadcast source", "udp4", {{L3, 12, 4, {255, 255, 255, 255}}}, false, SP_DROP_PARSE_ADDRESS},
	{"reserved source", "udp4", {{L3, 12, 4, {240, 0, 0, 1}}}, false, SP_DROP_PARSE_ADDRESS},
	{"reserved destination", "udp4", {{L3, 16, 4, {250, 0, 0, 1}}}, false, SP_DROP_PARSE_ADDRESS},
	{"lowest reserved destination", "udp4", {{L3, 16, 4, {240, 0, 0, 0}}}, false, SP_DROP_PARSE_ADDRESS},
	{"highest multicast destination", "udp4", {{L3, 16, 4, {239, 255, 255, 255}}}, false, SP_DROP_NONE},
	{"loopback source", "tcp4", {{L3, 12, 4, {127, 0, 0, 1}}}, false, SP_DROP_PARSE_ADDRESS},
	{"loopback destination", "tcp4", {{L3, 16, 4, {127, 9, 9, 9}}}, false, SP_DROP_PARSE_ADDRESS},
	{"itself", "tcp4", {{L3, 16, 4, {192, 0, 2, 1}}}, false, SP_DROP_PARSE_ADDRESS},
	{"destination 0.0.0.0", "tcp4", {{L3, 16, 4, {0, 0, 0, 0}}}, false, SP_DROP_PARSE_ADDRESS},
	{"source 0.0.0.0 to a host", "udp4", {{L3, 12, 4, {0, 0, 0, 0}}}, false, SP_DROP_PARSE_ADDRESS},
	{"source 0.0.0.0 by TCP", "tcp4", {{L3, 12, 8, {0, 0, 0, 0, 255, 255, 255, 255}}}, false, SP_DROP_PARSE_ADDRESS},
	{"source 0.0.0.1", "udp4 dhcp", {{L3, 12, 4, {0, 0, 0, 1}}}, false, SP_DROP_PARSE_ADDRESS},
	{"IGMP without a source", "igmp", {{L3, 12, 4, {0, 0, 0, 0}}}, false, SP_DROP_NONE},
	{"limited broadcast", "udp4", {{L3, 16, 4, {255, 255, 255, 255}}}, false, SP_DROP_NONE},
	{"lowest and highest unicast", "udp4", {{L3, 12, 8, {1, 0, 0, 0, 223, 255, 255, 255}}}, false, SP_DROP_NONE},
	{"TCP data offset 4", "tcp4", {{L4, 12, 1, {0x40}}}, false, SP_DROP_PARSE_TCP},
	{"TCP data offset past the packet", "tcp4", {{L4, 12, 1, {0x80}}}, false, SP_DROP_PARSE_TCP},
	{"TCP header up to the end", "tcp4", {{L4, 12, 1, {0x70}}}, false, SP_DROP_NONE},
	{"TCP over IPv6, data offset 15", "tcp6", {{L4, 12, 1, {0xf0}}}, false, SP_DROP_PARSE_TCP},
	{"UDP length 7", "udp4", {{L4, 4, 2, {0, 7}}}, false, SP_DROP_PARSE_UDP},
	{"UDP length 0", "udp6", {{L4, 4, 2, {0, 0}}}, false, SP_DROP_PARSE_UDP},
	{"UDP length past the packet", "udp4", {{L4, 4, 2, {0, 21}}}, false, SP_DROP_PARSE_UDP},
	{"UDP length 65535", "udp6", {{L4, 4, 2, {0xff, 0xff}}}, false, SP_DROP_PARSE_UDP},
	{"TCP source port 0", "tcp4", {{L4, 0, 2, {0, 0}}}, false, SP_DROP_PARSE_PORT_ZERO},
	{"TCP destination port 0", "tcp6", {{L4, 2, 2, {0, 0}}}, false, SP_DROP_PARSE_PORT_ZERO},
	{"UDP source port 0", "udp4", {{L4, 0, 2, {0, 0}}}, false, SP_DROP_PARSE_PORT_ZERO},
	{"UDP destination port 0", "udp6", {{L4, 2, 2, {0, 0}}}, false, SP_DROP_PARSE_PORT_ZERO},
	{"SCTP port 0", "sctp4", {{L4, 2, 2, {0, 0}}}, false, SP_DROP_PARSE_PORT_ZERO},
	{"port 256", "tcp4", {{L4, 0, 4, {1, 0, 1, 0}}}, false, SP_DROP_NONE},
	{"version 4 in IPv6", "tcp6", {{L3, 0, 1, {0x40}}}, true, SP_DROP_PARSE_IPV6},
	{"payload length past the frame", "tcp6", {{L3, 4, 2, {0, 31}}}, true, SP_DROP_PARSE_IPV6},
	{"jumbogram", "tcp6 long chain", {{L3, 4, 2, {0, 0}}}, true, SP_DROP_PARSE_IPV6},
	{"empty TCP", "tcp6", {{L3, 4, 2, {0, 0}}}, true, SP_DROP_PARSE_TCP},
	{"hop-by-hop second", "tcp6 long chain", {{L3, 40, 1, {0}}}, true, SP_DROP_PARSE_IPV6_EXTENSION},
	{"extension past the packet", "tcp6 long chain", {{L3, 41, 1, {20}}}, true, SP_DROP_PARSE_IPV6_EXTENSION},
	{"routing header of type 0", "udp6 routing", {{L4, -22 & 0xffff, 1, {0}}}, true, SP_DROP_PARSE_IPV6_EXTENSION},
	{"routing header of type 4", "udp6 routing", {{L4, -22 & 0xffff, 1, {4}}}, true, SP_DROP_NONE},
	{"atomic fragment", "tcp6 long chain", {{L3, 40, 1, {44}}, {L3, 48, 4, {6, 0, 0, 0}}}, true, SP_DROP_PARSE_TCP},
	{"later fragment", "tcp6 long chain", {{L3, 40, 1, {44}}, {L3, 48, 4, {6, 0, 0, 8}}}, true, SP_DROP_NONE},
	{"two fragment headers", "tcp6 long chain", {{L3, 40, 1, {44}}, {L3, 48, 16, {44, 0, 0, 1, 0, 0, 0, 0, 6, 0, 0, 1}}}, true,
		SP_DROP_FRAG_HEADERS},
	{"later fragment of a fragment header", "tcp6 long chain", {{L3, 40, 1, {44}}, {L3, 48, 4, {44, 0, 0, 8}}}, true,
		SP_DROP_FRAG_HEADERS},
	{"IPv6 multicast source", "udp6", {{L3, 8, 2, {0xff, 2}}}, false, SP_DROP_PARSE_ADDRESS},
	{"IPv6 loopback source", "udp6", {{L3, 8, 16, {[15] = 1}}}, false, SP_DROP_PARSE_ADDRESS},
	{"IPv6 loopback destination", "udp6", {{L3, 24, 16, {[15] = 1}}}, false, SP_DROP_PARSE_ADDRESS},
	{"IPv6 destination ::", "udp6", {{L3, 24, 16, {0}}}, false, SP_DROP_PARSE_ADDRESS},
	{"IPv6 source :: to a host", "udp6", {{L3, 8, 16, {0}}}, false, SP_DROP_PARSE_ADDRESS},
	{"IPv6 itself", "udp6", {{L3, 24, 16, {0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}}, false, SP_DROP_PARSE_ADDRESS},
	{"mapped source", "udp6", {{L3, 8, 16, {[10] = 0xff, 0xff, 192, 0, 2, 1}}}, false, SP_DROP_PARSE_ADDRESS},
	{"mapped destination", "udp6", {{L3, 24, 16, {[10] = 0xff, 0xff, 192, 0, 2, 1}}}, false, SP_DROP_PARSE_ADDRESS},
	{"64:ff9b:: is no mapped address", "udp6", {{L3, 24, 16, {0, 0x64, 0xff, 0x9b, [12] = 192, 0, 2, 1}}}, false, SP_DROP_NONE},
	{"quoted version", "icmp4 unreachable about tcp", {{IN, 0, 1, {0x65}}}, false, SP_DROP_PARSE_ICMP},
	{"quoted header of 16 bytes", "icmp4 unreachable about tcp", {{IN, 0, 1, {0x44}}}, false, SP_DROP_PARSE_ICMP},
	{"quoted header eats the ports", "icmp4 unreachable about tcp", {{IN, 0, 1, {0x46}}}, false, SP_DROP_PARSE_ICMP},
	{"quoted later fragment", "icmp4 unreachable about tcp", {{IN, 6, 2, {0, 1}}}, false, SP_DROP_PARSE_ICMP},
	{"quoted first fragment", "icmp4 unreachable about tcp", {{IN, 6, 2, {0x20, 0}}}, false, SP_DROP_NONE},
	{"quoted source is not the receiver", "icmp4 unreachable about tcp", {{IN, 12, 4, {192, 0, 2, 3}}}, false, SP_DROP_PARSE_ICMP},
	{"error about an error", "icmp4 parameter problem about echo", {{IN, 20, 1, {3}}}, false, SP_DROP_PARSE_ICMP},
	{"IPv6 quoted version", "icmp6 too big about tcp", {{IN, 0, 1, {0x45}}}, false, SP_DROP_PARSE_ICMP},
	{"IPv6 quoted source is not the receiver", "icmp6 too big about tcp", {{IN, 23, 1, {9}}}, false, SP_DROP_PARSE_ICMP},
	{"IPv6 error about an error", "icmp6 time exceeded about echo", {{IN, 40, 1, {1}}}, false, SP_DROP_PARSE_ICMP},
	{"IPv6 quoted later fragment", "icmp6 unreachable about a chain", {{IN, 40, 1, {44}}, {IN, 48, 4, {6, 0, 0, 8}}}, false,
		SP_DROP_PARSE_ICMP},
	{"IPv6 quoted chain past the end", "icmp6 unreachable about a chain", {{IN, 41, 1, {30}}}, false, SP_DROP_PARSE_ICMP},
};

static void test_damaged(void **unused)
{
	struct sp_frame frame;

	(void)unused;
	for (size_t i = 0; i < RTE_DIM(damaged); i++) {
		sample(damaged[i].sample, &frame);
		for (size_t p = 0; p < RTE_DIM(damaged[i].patch) && damaged[i].patch[p].n != 0; p++) {
			size_t base = damaged[i].patch[p].from == L3 ? frame.l3 : damaged[i].patch[p].from == L4 ? frame.l4 : frame.payload;

			memcpy(frame.bytes + base + (int16_t)damaged[i].patch[p].at, damaged[i].patch[p].bytes, damaged[i].patch[p].n);
		}
		if (!damaged[i].raw)
			sp_frame_checksums(&frame);
		check_reason(damaged[i].name, parse_all_ways(damaged[i].name, frame.bytes, frame.len, true), damaged[i].reason);
	}
}

/* Eight bytes behind the quoted IP header are what an error must bring, whatever the protocol. */
static void test_quote_length(void **unused)
{
	static const char *const about[] = {
		"tcp4", "udp4", "sctp4", "gre4", "icmp4 echo", "tcp4 ip options", "tcp6", "tcp6 long chain", "esp6"};
	struct sp_frame quoted, frame;

	(void)unused;
	for (size_t i = 0; i < RTE_DIM(about); i++) {
		size_t header;
		bool v6;

		sample(about[i], &quoted);
		v6 = quoted.bytes[quoted.l3] >> 4 == 6;
		header = quoted.l4 - quoted.l3;
		for (size_t quote = 0; quote < header + 12; quote++) {
			sp_frame_build_error(&frame, &quoted, v6 ? 1 : 3, 0, quote);
			check_reason(about[i], parse_all_ways(about[i], frame.bytes, frame.len, true),
				quote < header + 8 ? SP_DROP_PARSE_ICMP : SP_DROP_NONE);
		}
	}
}

static void test_vlan_depth(void **unused)
{
	struct sp_frame_spec spec = {.tpid = {0x9100, 0x8100, 0x88a8}, .tci = {5, 6, 7}};
	struct sp_frame frame;

	(void)unused;
	for (spec.n_tags = 0; spec.n_tags <= 3; spec.n_tags++) {
		sp_frame_build(&frame, &spec);
		check_reason("tags", parse_frame(&frame), spec.n_tags == 3 ? SP_DROP_PARSE_VLAN_DEPTH : SP_DROP_NONE);
		if (spec.n_tags == 2) {
			assert_int_equal(burst.packet[0].key.vlan, 5);
			assert_int_equal(burst.packet[0].key.vlan_inner, 6);
			assert_int_equal(burst.packet[0].l3_off, 22);
		}
	}
}

/* Chains of destination options and the like: eight headers and 512 bytes at most. */
static void test_extension_bounds(void **unused)
{
	static uint8_t chain[600];
	struct sp_frame_spec spec = {.family = 6, .options = chain, .extension = IPPROTO_DSTOPTS};
	struct sp_frame frame;

	(void)unused;
	memset(chain, 0, sizeof(chain));
	chain[0] = IPPROTO_TCP;
	chain[1] = 63;
	spec.options_len = 512;
	sp_frame_build(&frame, &spec);
	check_reason("512 bytes", parse_all_ways("512 bytes", frame.bytes, frame.len, true), SP_DROP_NONE);
	chain[1] = 64;
	spec.options_len = 520;
	sp_frame_build(&frame, &spec);
	check_reason("520 bytes", parse_frame(&frame), SP_DROP_PARSE_IPV6_EXTENSION);
	for (size_t n = 1; n <= 4; n++) {
		memset(chain, 0, sizeof(chain));
		for (size_t i = 0; i < n; i++)
			chain[8 * i] = i == n - 1 ? IPPROTO_TCP : IPPROTO_DSTOPTS;
		spec.options_len = 8 * n;
		sp_frame_build(&frame, &spec);
		check_reason("destination options", parse_frame(&frame), n <= 2 ? SP_DROP_NONE : SP_DROP_PARSE_IPV6_EXTENSION);
	}
}

static void test_checksum_policies(void **unused)
{
	struct sp_frame frame;
	const char *name;

	(void)unused;
	for (unsigned int i = 0; sp_frame_sample(i, &frame, &name); i++) {
		uint8_t proto = frame.l4 == 0 ? 0 : frame.bytes[frame.l3] >> 4 == 6 ? frame.bytes[frame.l3 + 6] : frame.bytes[frame.l3 + 9];
		bool covered = proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP || proto == IPPROTO_ICMP ||
			       proto == IPPROTO_ICMPV6;

		if (!covered || frame.payload == 0)
			continue;
		/* A byte that no header check looks at: the last of the checksummed part, or TCP's window. */
		frame.bytes[proto == IPPROTO_TCP ? frame.l4 + 14 : frame.payload < frame.len ? frame.len - 1 : frame.l4 + 7] ^= 0x10;
		if (strstr(name, "padded") == NULL && strstr(name, "empty") == NULL) {
			port.checksum = SP_CHECKSUM_VERIFY;
			check_reason(name, parse_all_ways(name, frame.bytes, frame.len, true), SP_DROP_PARSE_L4_CHECKSUM);
		}
		port.checksum = SP_CHECKSUM_TRUST_NIC;
		check_reason(name, parse_frame(&frame), SP_DROP_NONE);
	}
}

static void test_checksum_from_nic(void **unused)
{
	static const struct {
		uint64_t flags;
		uint8_t policy;
		enum sp_drop_reason reason;
	} table[] = {
		{RTE_MBUF_F_RX_L4_CKSUM_BAD, SP_CHECKSUM_TRUST_NIC, SP_DROP_PARSE_L4_CHECKSUM},
		{RTE_MBUF_F_RX_L4_CKSUM_GOOD, SP_CHECKSUM_TRUST_NIC, SP_DROP_NONE},
		{RTE_MBUF_F_RX_L4_CKSUM_NONE, SP_CHECKSUM_TRUST_NIC, SP_DROP_NONE},
		{RTE_MBUF_F_RX_L4_CKSUM_BAD, SP_CHECKSUM_OFF, SP_DROP_NONE},
		{RTE_MBUF_F_RX_L4_CKSUM_BAD, SP_CHECKSUM_VERIFY, SP_DROP_NONE},
	};
	struct sp_frame frame;

	(void)unused;
	sample("tcp4", &frame);
	for (size_t i = 0; i < RTE_DIM(table); i++) {
		for (size_t first = 0; first < 2; first++) {
			struct rte_mbuf *mbuf = sp_frame_mbuf_exact(pool, frame.bytes, frame.len, 20 * first, 0);

			mbuf->ol_flags |= table[i].flags;
			port.checksum = table[i].policy;
			check_reason("flags of the NIC", parse_mbuf(mbuf), table[i].reason);
		}
	}
	port.checksum = SP_CHECKSUM_OFF;
	frame.bytes[frame.l3 + 8]++;
	check_reason("policy off leaves the IPv4 header alone", parse_frame(&frame), SP_DROP_NONE);
	port.checksum = SP_CHECKSUM_TRUST_NIC;
}

static void test_udp_without_checksum(void **unused)
{
	struct sp_frame frame;

	(void)unused;
	port.checksum = SP_CHECKSUM_VERIFY;
	sample("udp4", &frame);
	memset(frame.bytes + frame.l4 + 6, 0, 2);
	check_reason("UDP over IPv4", parse_all_ways("UDP over IPv4", frame.bytes, frame.len, true), SP_DROP_NONE);
	sample("udp6", &frame);
	memset(frame.bytes + frame.l4 + 6, 0, 2);
	check_reason("UDP over IPv6", parse_all_ways("UDP over IPv6", frame.bytes, frame.len, true), SP_DROP_PARSE_L4_CHECKSUM);
	port.checksum = SP_CHECKSUM_TRUST_NIC;
}

/* Behind a routing header with segments left, the checksum is over the last stop. */
static void test_checksum_final_destination(void **unused)
{
	uint8_t routing[24] = {IPPROTO_UDP, 2, 2, 1, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8, [23] = 0x77};
	struct sp_frame_spec spec = {
		.family = 6, .proto = IPPROTO_UDP, .options = routing, .options_len = sizeof(routing), .payload_len = 9};
	struct sp_frame frame;

	(void)unused;
	spec.extension = IPPROTO_ROUTING;
	spec.dst = "2001:db8::77";
	sp_frame_build(&frame, &spec);
	/* Computed with the last stop as destination; on the way the header carries another. */
	frame.bytes[frame.l3 + 39] = 0x55;
	port.checksum = SP_CHECKSUM_VERIFY;
	check_reason("last stop", parse_all_ways("last stop", frame.bytes, frame.len, true), SP_DROP_NONE);
	frame.bytes[frame.l3 + 40 + 3] = 0;
	check_reason("no segments left", parse_frame(&frame), SP_DROP_PARSE_L4_CHECKSUM);
	frame.bytes[frame.l3 + 40 + 3] = 1;
	frame.bytes[frame.payload] ^= 1;
	check_reason("damaged", parse_frame(&frame), SP_DROP_PARSE_L4_CHECKSUM);
	port.checksum = SP_CHECKSUM_TRUST_NIC;
}

static struct rte_mbuf *stripped(const struct sp_frame *frame, uint64_t flags, uint16_t tci, uint16_t outer)
{
	struct rte_mbuf *mbuf = sp_frame_mbuf(pool, frame->bytes, frame->len);

	mbuf->ol_flags |= flags;
	mbuf->vlan_tci = tci;
	mbuf->vlan_tci_outer = outer;
	return mbuf;
}

#define ONE  (RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED)
#define BOTH (ONE | RTE_MBUF_F_RX_QINQ | RTE_MBUF_F_RX_QINQ_STRIPPED)

/* A tag that hardware took out must be in the frame again, once, as if it had never left. */
static void test_stripped_tags(void **unused)
{
	static const struct {
		uint64_t flags;
		struct sp_frame_spec as_if, in_frame;
	} table[] = {
		{ONE, {.n_tags = 1, .tci = {0x2064}}, {0}},
		{BOTH, {.n_tags = 2, .tpid = {0x88a8}, .tci = {0x4064, 0x2065}}, {0}},
		{BOTH & ~(uint64_t)RTE_MBUF_F_RX_VLAN_STRIPPED, {.n_tags = 2, .tpid = {0x88a8}, .tci = {0x4064, 0x2065}},
			{.n_tags = 1, .tci = {0x2065}}},
	};

	(void)unused;
	for (size_t i = 0; i < RTE_DIM(table); i++) {
		struct sp_frame want, frame;
		struct rte_mbuf *mbuf;
		const uint16_t *tci = table[i].as_if.tci;

		sp_frame_build(&want, &table[i].as_if);
		sp_frame_build(&frame, &table[i].in_frame);
		mbuf = stripped(&frame, table[i].flags, table[i].as_if.n_tags == 1 ? tci[0] : tci[1], tci[0]);
		burst.n = 1;
		for (int again = 0; again < 2; again++) {
			burst.mbuf[0] = mbuf;
			burst.verdict[0] = SP_VERDICT_GOING;
			burst.reason[0] = SP_DROP_NONE;
			sp_parse_burst(&port, &burst);
			assert_int_equal(burst.reason[0], SP_DROP_NONE);
			assert_int_equal(mbuf->pkt_len, want.len);
			assert_memory_equal(rte_pktmbuf_mtod(mbuf, void *), want.bytes, want.len);
			assert_int_equal(burst.packet[0].key.vlan, 100);
			assert_int_equal(burst.packet[0].key.vlan_inner, table[i].as_if.n_tags == 2 ? 101 : 0);
			assert_int_equal(burst.packet[0].zone_from, ZONE_100);
		}
		rte_pktmbuf_free(mbuf);
	}
}

/* A VF in a VLAN of its PF's: that tag is told, and is none of the port's. */
static void test_tag_of_the_pf(void **unused)
{
	static const struct {
		uint16_t asked, told; /* VLANs */
		bool tagged;
	} table[] = {{100, 100, true}, {100, 77, false}, {77, 100, false}};

	(void)unused;
	for (size_t i = 0; i < RTE_DIM(table); i++) {
		struct sp_frame frame;
		struct rte_mbuf *mbuf;

		sample("tcp4", &frame);
		mbuf = stripped(&frame, ONE, table[i].told, 0);
		memset(port.vlans, 0, sizeof(port.vlans));
		port.vlans[table[i].asked / 64] |= 1ull << table[i].asked % 64;
		port.filters_vlans = true;
		burst.n = 1;
		burst.mbuf[0] = mbuf;
		burst.verdict[0] = SP_VERDICT_GOING;
		burst.reason[0] = SP_DROP_NONE;
		sp_parse_burst(&port, &burst);
		port.filters_vlans = false;
		assert_int_equal(burst.reason[0], SP_DROP_NONE);
		assert_int_equal(burst.packet[0].key.vlan, table[i].tagged ? table[i].told : 0);
		assert_int_equal(mbuf->pkt_len, frame.len + (table[i].tagged ? 4 : 0));
		rte_pktmbuf_free(mbuf);
	}
}

static void test_stripped_tags_refused(void **unused)
{
	struct sp_frame frame, tagged;
	struct rte_mbuf *mbuf;

	(void)unused;
	sample("tcp4", &frame);
	mbuf = sp_frame_mbuf_exact(pool, frame.bytes, frame.len, 0, 0);
	mbuf->ol_flags |= ONE;
	check_reason("no headroom", parse_mbuf(mbuf), SP_DROP_PARSE_ETHER);
	mbuf = stripped(&frame, ONE, 5, 0);
	rte_mbuf_refcnt_update(mbuf, 1);
	check_reason("shared", parse_mbuf(mbuf), SP_DROP_PARSE_ETHER);
	rte_pktmbuf_free(mbuf);
	mbuf = sp_frame_mbuf(pool, frame.bytes, 11);
	mbuf->ol_flags |= ONE;
	check_reason("11 bytes", parse_mbuf(mbuf), SP_DROP_PARSE_ETHER);
	sample("tcp4 double tagged", &tagged);
	check_reason("third tag", parse_mbuf(stripped(&tagged, ONE, 5, 0)), SP_DROP_PARSE_VLAN_DEPTH);
}

/* Lengths in the mbuf that contradict each other. */
static void test_lying_mbufs(void **unused)
{
	struct sp_frame frame;

	(void)unused;
	sample("tcp4", &frame);
	for (int i = 0; i < 7; i++) {
		struct rte_mbuf *mbuf = sp_frame_mbuf_exact(pool, frame.bytes, frame.len, i < 4 ? 0 : 30, 0);
		struct rte_mbuf *last = mbuf->next != NULL ? mbuf->next : mbuf;
		struct rte_mbuf *next = mbuf->next;
		uint16_t segments = mbuf->nb_segs;

		if (i == 0)
			mbuf->pkt_len++;
		else if (i == 1)
			mbuf->pkt_len--;
		else if (i == 2)
			mbuf->data_len = (uint16_t)(mbuf->pkt_len = mbuf->buf_len + 1u);
		else if (i == 3)
			mbuf->pkt_len = 65536 + 40;
		else if (i == 4)
			mbuf->nb_segs = 3;
		else if (i == 5)
			mbuf->nb_segs = 1;
		else
			last->data_len--;
		burst.n = 1;
		burst.mbuf[0] = mbuf;
		burst.verdict[0] = SP_VERDICT_GOING;
		burst.reason[0] = SP_DROP_NONE;
		sp_parse_packet(&port, &burst, 0);
		check_reason("lying mbuf", burst.reason[0], SP_DROP_PARSE_ETHER);
		mbuf->nb_segs = segments;
		mbuf->next = next;
		rte_pktmbuf_free(mbuf);
	}
}

static void test_largest_frames(void **unused)
{
	static uint8_t bytes[65536];
	struct sp_frame frame;

	(void)unused;
	sample("arp", &frame);
	memcpy(bytes, frame.bytes, frame.len);
	check_reason("65535", parse_bytes(bytes, 65535, 32768, 0), SP_DROP_NONE);
	check_reason("65536", parse_bytes(bytes, 65536, 32768, 0), SP_DROP_PARSE_ETHER);
	/* An IPv4 packet as long as any: 65,535 bytes less the Ethernet header. */
	sample("udp4", &frame);
	memcpy(bytes, frame.bytes, frame.len);
	memcpy(bytes + 14 + 2, &(uint16_t){htons(65521)}, 2);
	memcpy(bytes + 34 + 4, &(uint16_t){htons(65501)}, 2);
	port.checksum = SP_CHECKSUM_OFF;
	check_reason("largest UDP", parse_bytes(bytes, 65535, 0, 0), SP_DROP_NONE);
	assert_int_equal(burst.packet[0].payload_len, 65493);
	port.checksum = SP_CHECKSUM_TRUST_NIC;
}

/* A whole burst at once finds what each packet alone would. */
static void test_burst(void **unused)
{
	static struct sp_burst whole;
	struct sp_frame frame;
	const char *name;
	unsigned int n = 0;

	(void)unused;
	for (; n < SP_BURST_MAX && sp_frame_sample(n, &frame, &name); n++)
		whole.mbuf[n] = sp_frame_mbuf_exact(pool, frame.bytes, n % 5 == 4 ? frame.len - 20 : frame.len, 0, 0);
	whole.n = (uint16_t)n;
	sp_parse_burst(&port, &whole);
	for (unsigned int i = 0; i < n; i++) {
		sp_frame_sample(i, &frame, &name);
		check_reason(name, parse_bytes(frame.bytes, i % 5 == 4 ? frame.len - 20 : frame.len, 0, 0), whole.reason[i]);
		assert_memory_equal(&whole.packet[i], &burst.packet[0], sizeof(burst.packet[0]));
		assert_int_equal(whole.verdict[i], burst.verdict[0]);
		rte_pktmbuf_free(whole.mbuf[i]);
	}
}

static void test_nothing_leaks(void **unused)
{
	(void)unused;
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples_pass_under_every_policy),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_truncation_with_lengths),
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_quote_length),
		cmocka_unit_test(test_vlan_depth),
		cmocka_unit_test(test_extension_bounds),
		cmocka_unit_test(test_checksum_policies),
		cmocka_unit_test(test_checksum_from_nic),
		cmocka_unit_test(test_udp_without_checksum),
		cmocka_unit_test(test_checksum_final_destination),
		cmocka_unit_test(test_stripped_tags),
		cmocka_unit_test(test_tag_of_the_pf),
		cmocka_unit_test(test_stripped_tags_refused),
		cmocka_unit_test(test_lying_mbufs),
		cmocka_unit_test(test_largest_frames),
		cmocka_unit_test(test_burst),
		cmocka_unit_test(test_nothing_leaks),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
