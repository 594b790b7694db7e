/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target of the parser: one frame in a segmentation and under a checksum policy that the first two bytes choose. Segments lie in
 * memory of exactly their length. What is found must be the same in one segment, offsets must lie inside the frame, and an answer must be a
 * valid packet.
 *
 * Input: byte 0: bits 0 and 1 checksum policy, bits 2 and 3 segmentation, bit 4 one VLAN tag stripped, bit 5 two, bit 6 the NIC found the
 * checksum bad, bit 7 the IP header's length is made to fit the frame, so that a cut frame gets past it; byte 1: a length for the
 * segmentation; then the frame.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/dataplane.h"
#include "dataplane/parse.h"
#include "dataplane/reject.h"
#include "tests/unit/support/eal.h"
#include "tests/unit/support/frames.h"

#define HEADER 2

#define FLAG_STRIPPED 0x10
#define FLAG_QINQ     0x20
#define FLAG_BAD      0x40
#define FLAG_FIT      0x80

#define FRAME_MAX 4096

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rte_mempool *pool;
static struct sp_port port;
static struct sp_burst burst;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	sp_test_eal();
	pool = sp_frame_pool(8191);
	port.domain = 1;
	return 0;
}

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void parse(struct rte_mbuf *mbuf)
{
	burst.n = 1;
	burst.mbuf[0] = mbuf;
	burst.verdict[0] = SP_VERDICT_GOING;
	burst.reason[0] = SP_DROP_NONE;
	sp_parse_packet(&port, &burst, 0);
	must((burst.verdict[0] == SP_VERDICT_GOING) == (burst.reason[0] == SP_DROP_NONE));
}

static struct rte_mbuf *segmented(const uint8_t *frame, size_t len, unsigned int how, size_t part)
{
	switch (how) {
	case 0:
		return sp_frame_mbuf_exact(pool, frame, len, part, 0);
	case 1:
		return sp_frame_mbuf_exact(pool, frame, len, part, part);
	case 2:
		return sp_frame_mbuf_exact(pool, frame, len, 1, 1);
	default:
		return sp_frame_mbuf_exact(pool, frame, len, part, 1);
	}
}

static void check_offsets(const struct rte_mbuf *mbuf, const struct sp_packet *packet)
{
	if (packet->kind == SP_KIND_NON_IP) {
		must(packet->key.family == SP_FAMILY_NONE && packet->l4_off == 0 && packet->payload_len == 0);
		return;
	}
	must(packet->key.family == SP_FAMILY_IPV4 || packet->key.family == SP_FAMILY_IPV6);
	must(packet->l3_off == 14 || packet->l3_off == 18 || packet->l3_off == 22);
	must(packet->l4_off >= packet->l3_off + (packet->key.family == SP_FAMILY_IPV4 ? 20 : 40));
	must(packet->payload_off >= packet->l4_off && (uint32_t)packet->payload_off + packet->payload_len <= mbuf->pkt_len);
	must(packet->hash == (uint32_t)sp_key_hash(&packet->key));
}

static void check_answer(const struct rte_mbuf *mbuf, const struct sp_packet *packet)
{
	struct rte_mbuf *answer = sp_reject_build(pool, mbuf, packet);

	if (answer == NULL)
		return;
	must(sp_frame_checksums_ok(rte_pktmbuf_mtod(answer, const uint8_t *), answer->data_len));
	must(answer->pkt_len - packet->l3_off <= (packet->key.family == SP_FAMILY_IPV4 ? 576 : 1280));
	rte_pktmbuf_free(answer);
}

/* A tag to restore needs headroom, so these frames come in an ordinary mbuf. */
static void try_stripped(const uint8_t *frame, size_t len, uint8_t flags, uint16_t tci)
{
	struct rte_mbuf *mbuf;

	if (len > RTE_MBUF_DEFAULT_DATAROOM)
		return;
	mbuf = sp_frame_mbuf(pool, frame, len);
	if (flags & FLAG_STRIPPED)
		mbuf->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	if (flags & FLAG_QINQ)
		mbuf->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_QINQ | RTE_MBUF_F_RX_QINQ_STRIPPED;
	mbuf->vlan_tci = mbuf->vlan_tci_outer = tci;
	parse(mbuf);
	if (burst.verdict[0] == SP_VERDICT_GOING) {
		check_offsets(mbuf, &burst.packet[0]);
		check_answer(mbuf, &burst.packet[0]);
	}
	rte_pktmbuf_free(mbuf);
}

static void fit_length(uint8_t *frame, size_t len)
{
	if (len >= 34 && frame[12] == 0x08 && frame[13] == 0x00) {
		frame[16] = (uint8_t)((len - 14) >> 8);
		frame[17] = (uint8_t)(len - 14);
	} else if (len >= 54 && frame[12] == 0x86 && frame[13] == 0xdd) {
		frame[18] = (uint8_t)((len - 54) >> 8);
		frame[19] = (uint8_t)(len - 54);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t frame[FRAME_MAX];
	struct rte_mbuf *whole, *parts;
	struct sp_packet packet;
	uint8_t reason;

	if (size < HEADER || size > HEADER + FRAME_MAX)
		return 0;
	size -= HEADER;
	memcpy(frame, data + HEADER, size);
	if (data[0] & FLAG_FIT)
		fit_length(frame, size);
	port.checksum = (data[0] & 3) % 3;
	if (data[0] & (FLAG_STRIPPED | FLAG_QINQ))
		try_stripped(frame, size, data[0], data[1]);
	whole = sp_frame_mbuf_exact(pool, frame, size, 0, 0);
	parts = segmented(frame, size, data[0] >> 2 & 3, data[1]);
	if (data[0] & FLAG_BAD) {
		whole->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_BAD;
		parts->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_BAD;
	}
	parse(whole);
	packet = burst.packet[0];
	reason = burst.reason[0];
	parse(parts);
	must(burst.reason[0] == reason);
	if (reason == SP_DROP_NONE) {
		must(memcmp(&packet, &burst.packet[0], sizeof(packet)) == 0);
		check_offsets(parts, &packet);
		must(sp_checksum_l4_ok(parts, &packet) == sp_checksum_l4_ok(whole, &packet));
		check_answer(parts, &packet);
	}
	rte_pktmbuf_free(whole);
	rte_pktmbuf_free(parts);
	must(rte_mempool_in_use_count(pool) == 0);
	return 0;
}
