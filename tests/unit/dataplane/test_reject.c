/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/dataplane.h"
#include "dataplane/parse.h"
#include "dataplane/reject.h"
#include "tests/unit/support/eal.h"
#include "tests/unit/support/frames.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10

static struct rte_mempool *pool, *answers;
static struct sp_port port;
static struct sp_burst burst;

static int setup(void **unused)
{
	(void)unused;
	sp_test_eal();
	pool = sp_frame_pool(4095);
	answers = sp_frame_pool(15);
	port.domain = 4;
	port.checksum = SP_CHECKSUM_VERIFY;
	return 0;
}

static enum sp_drop_reason parse(struct rte_mbuf *mbuf)
{
	burst.n = 1;
	burst.mbuf[0] = mbuf;
	burst.verdict[0] = SP_VERDICT_GOING;
	burst.reason[0] = SP_DROP_NONE;
	sp_parse_packet(&port, &burst, 0);
	return burst.reason[0];
}

/* The answer to a frame in one segmentation, or NULL; the mbuf itself must stay as it was. */
static struct rte_mbuf *answer_to(const struct sp_frame *frame, size_t first, size_t rest, struct sp_packet *packet)
{
	struct rte_mbuf *mbuf = sp_frame_mbuf_exact(pool, frame->bytes, frame->len, first, rest), *answer;
	static uint8_t copy[SP_FRAME_MAX];
	const void *after;

	assert_int_equal(parse(mbuf), SP_DROP_NONE);
	*packet = burst.packet[0];
	answer = sp_reject_build(answers, mbuf, packet);
	after = rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, copy);
	assert_memory_equal(after, frame->bytes, frame->len);
	rte_pktmbuf_free(mbuf);
	return answer;
}

/* What every answer has in common. */
static void check_frame(const char *name, const struct sp_frame *frame, const struct rte_mbuf *answer)
{
	const uint8_t *p = rte_pktmbuf_mtod(answer, const uint8_t *), *ip = p + frame->l3;
	bool v6 = ip[0] >> 4 == 6;
	size_t limit = v6 ? 1280 : 576;

	if (!sp_frame_checksums_ok(p, answer->data_len))
		fail_msg("%s: a checksum of the answer is wrong", name);
	assert_int_equal(answer->nb_segs, 1);
	assert_int_equal(answer->pkt_len, answer->data_len);
	assert_memory_equal(p, frame->bytes + 6, 6);
	assert_memory_equal(p + 6, frame->bytes, 6);
	assert_memory_equal(p + 12, frame->bytes + 12, frame->l3 - 12);
	assert_in_range(answer->data_len - frame->l3, 40, limit);
	assert_int_equal(ip[v6 ? 7 : 8], 64);
	assert_memory_equal(ip + (v6 ? 8 : 12), frame->bytes + frame->l3 + (v6 ? 24 : 16), v6 ? 16 : 4);
	assert_memory_equal(ip + (v6 ? 24 : 16), frame->bytes + frame->l3 + (v6 ? 8 : 12), v6 ? 16 : 4);
}

/* The answer parsed again: a RST belongs to the reverse flow, an ICMP error to the very flow that it quotes. */
static void check_meaning(const char *name, const struct sp_frame *frame, struct rte_mbuf *answer, const struct sp_packet *packet)
{
	struct sp_key reverse;
	const struct sp_packet *back = &burst.packet[0];
	const uint8_t *p = rte_pktmbuf_mtod(answer, const uint8_t *);

	if (parse(answer) != SP_DROP_NONE)
		fail_msg("%s: the answer does not parse: %d", name, burst.reason[0]);
	sp_key_reverse(&packet->key, &reverse);
	if (packet->key.proto == IPPROTO_TCP) {
		assert_int_equal(back->kind, SP_KIND_FLOW);
		assert_memory_equal(&back->key, &reverse, sizeof(reverse));
		assert_true(back->tcp_flags & RST);
		assert_int_equal(back->payload_len, 0);
		return;
	}
	assert_int_equal(back->kind, SP_KIND_ICMP_ERROR);
	assert_memory_equal(&back->key, &packet->key, sizeof(packet->key));
	assert_int_equal(p[back->l4_off], packet->key.family == SP_FAMILY_IPV4 ? 3 : 1);
	assert_int_equal(p[back->l4_off + 1], packet->key.family == SP_FAMILY_IPV4 ? 13 : 1);
	assert_memory_equal(p + back->payload_off, frame->bytes + frame->l3, back->payload_len);
}

/* Samples that nobody may answer. */
static const char *const silent[] = {"udp4 dhcp", "udp4 multicast", "icmp4 redirect", "igmp", "udp6 dhcp",
	"icmp6 duplicate address detection", "icmp6 router advertisement", "icmp6 mld", "arp", "lldp", "802.3 stp"};

static bool is_silent(const char *name, const struct sp_packet *packet)
{
	for (size_t i = 0; i < RTE_DIM(silent); i++)
		if (strcmp(silent[i], name) == 0)
			return true;
	return packet->kind == SP_KIND_ICMP_ERROR;
}

static void test_samples(void **unused)
{
	struct sp_frame frame;
	const char *name;

	(void)unused;
	for (unsigned int i = 0; sp_frame_sample(i, &frame, &name); i++) {
		for (size_t first = 0; first <= frame.len; first++) {
			struct sp_packet packet;
			struct rte_mbuf *answer = answer_to(&frame, first, first == frame.len ? 1 : 0, &packet);

			if (is_silent(name, &packet)) {
				assert_null(answer);
				continue;
			}
			if (answer == NULL)
				fail_msg("%s: no answer", name);
			check_frame(name, &frame, answer);
			/* No next header: 0 bytes follow the IPv6 header, less than an error must quote. */
			if (strcmp(name, "no next header") != 0)
				check_meaning(name, &frame, answer, &packet);
			rte_pktmbuf_free(answer);
		}
	}
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* RFC 9293 3.5.2 and 3.10.7.1. */
static void test_reset_numbers(void **unused)
{
	static const struct {
		uint8_t flags, payload;
		uint32_t seq, ack;
		uint32_t reset_seq, reset_ack;
		uint8_t reset_flags;
	} table[] = {
		{SYN, 0, 1000, 0, 0, 1001, RST | ACK},
		{SYN, 5, 1000, 77, 0, 1006, RST | ACK},
		{SYN, 0, 0xffffffff, 0, 0, 0, RST | ACK},
		{SYN | ACK, 0, 1000, 5000, 5000, 0, RST},
		{ACK, 9, 1000, 5000, 5000, 0, RST},
		{PSH | ACK | FIN, 9, 1000, 0xfffffff0, 0xfffffff0, 0, RST},
		{FIN, 0, 1000, 5000, 0, 1001, RST | ACK},
		{PSH, 200, 0xffffff9c, 5000, 0, 100, RST | ACK},
	};

	(void)unused;
	for (size_t i = 0; i < 2 * RTE_DIM(table); i++) {
		size_t row = i / 2;
		struct sp_frame_spec spec = {.family = i & 1 ? 6 : 4, .tcp_flags = table[row].flags, .payload_len = table[row].payload};
		struct sp_frame frame;
		struct sp_packet packet;
		struct rte_mbuf *answer;
		const uint8_t *tcp;

		spec.seq = table[row].seq;
		spec.ack = table[row].ack;
		spec.padding = 3; /* is not data */
		sp_frame_build(&frame, &spec);
		answer = answer_to(&frame, i % 3 * 20, 0, &packet);
		assert_non_null(answer);
		tcp = rte_pktmbuf_mtod_offset(answer, const uint8_t *, frame.l4);
		assert_int_equal(answer->data_len, frame.l4 + 20);
		assert_int_equal(get32(tcp + 4), table[row].reset_seq);
		assert_int_equal(get32(tcp + 8), table[row].reset_ack);
		assert_int_equal(tcp[12], 0x50);
		assert_int_equal(tcp[13], table[row].reset_flags);
		rte_pktmbuf_free(answer);
	}
}

static void test_silence(void **unused)
{
	static const struct sp_frame_spec table[] = {
		{.tcp_flags = RST},
		{.tcp_flags = RST | ACK, .family = 6},
		{.proto = IPPROTO_UDP, .dst = "255.255.255.255"},
		{.proto = IPPROTO_UDP, .dst = "224.0.0.251"},
		{.proto = IPPROTO_UDP, .dst = "ff02::fb", .family = 6},
		{.proto = IPPROTO_ICMP, .icmp_type = 40},
		{.proto = IPPROTO_ICMPV6, .icmp_type = 137, .family = 6},
		{.proto = IPPROTO_ICMPV6, .icmp_type = 100, .family = 6},
	};
	struct sp_frame frame;
	struct sp_packet packet;
	struct sp_frame_spec udp = {.proto = IPPROTO_UDP};

	(void)unused;
	for (size_t i = 0; i < RTE_DIM(table); i++) {
		sp_frame_build(&frame, &table[i]);
		assert_null(answer_to(&frame, 0, 0, &packet));
	}
	sp_frame_build(&frame, &udp);
	frame.bytes[0] = 0xff;
	assert_null(answer_to(&frame, 0, 0, &packet));
	frame.bytes[0] = 2;
	frame.bytes[6] = 3;
	assert_null(answer_to(&frame, 0, 0, &packet));
}

static void test_quote_is_bounded(void **unused)
{
	(void)unused;
	for (size_t len = 500; len < 1500; len += 7) {
		for (unsigned int v6 = 0; v6 < 2; v6++) {
			struct sp_frame_spec spec = {.family = v6 ? 6 : 4, .proto = IPPROTO_UDP, .payload_len = len, .padding = 11};
			size_t header = v6 ? 40 : 20, limit = v6 ? 1280 : 576, all = 2 * header + 16 + len;
			struct sp_frame frame;
			struct sp_packet packet;
			struct rte_mbuf *answer;

			sp_frame_build(&frame, &spec);
			answer = answer_to(&frame, len % 3 * 400, 100, &packet);
			assert_non_null(answer);
			assert_int_equal(answer->data_len, 14 + (all < limit ? all : limit));
			check_frame("long", &frame, answer);
			check_meaning("long", &frame, answer, &packet);
			rte_pktmbuf_free(answer);
		}
	}
}

static void test_no_mbuf(void **unused)
{
	struct rte_mbuf *taken[15];
	struct sp_frame_spec spec = {.tcp_flags = SYN};
	struct sp_frame frame;
	struct sp_packet packet;

	(void)unused;
	sp_frame_build(&frame, &spec);
	assert_int_equal(rte_pktmbuf_alloc_bulk(answers, taken, RTE_DIM(taken)), 0);
	assert_null(answer_to(&frame, 0, 0, &packet));
	rte_pktmbuf_free_bulk(taken, RTE_DIM(taken));
	/* Mbufs too small for any answer are as good as none. */
	{
		struct rte_mempool *small = rte_pktmbuf_pool_create("small", 3, 0, 0, RTE_PKTMBUF_HEADROOM + 16, SOCKET_ID_ANY),
				   *usual = answers;

		assert_non_null(small);
		answers = small;
		assert_null(answer_to(&frame, 0, 0, &packet));
		assert_int_equal(rte_mempool_in_use_count(small), 0);
		answers = usual;
		rte_mempool_free(small);
	}
}

static void test_nothing_leaks(void **unused)
{
	(void)unused;
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
	assert_int_equal(rte_mempool_in_use_count(answers), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_reset_numbers),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_quote_is_bounded),
		cmocka_unit_test(test_no_mbuf),
		cmocka_unit_test(test_nothing_leaks),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
