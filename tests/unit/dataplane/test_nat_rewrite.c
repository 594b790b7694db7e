/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes of translated packets: every checksum against a full computation, in every shape that a packet can come in. */
#include "tests/unit/dataplane/nat_fixture.h"

#include "dataplane/checksum.h"
#include "dataplane/parse.h"

static const char rules[] = NAT_RULES("{ id = 1; type = \"destination\"; from = \"outside\"; proto = \"tcp\"; dst = \"203.0.113.80\"; "
				      "dport = 80; address = \"10.0.0.80\"; port = 8080; },"
				      "{ id = 2; type = \"source\"; from = \"inside\"; to = \"outside\"; address = \"203.0.113.1\"; },"
				      "{ id = 3; type = \"source\"; from = \"inside\"; to = \"outside\"; address = \"2001:db8:1::1\"; }");

static uint32_t drawn = 7;

static uint32_t draw(uint32_t n)
{
	drawn = drawn * 1664525 + 1013904223;
	return (drawn >> 8) % n;
}

/* Random headers and payloads of every length, in any segmentation. */
static void random_packets_keep_right_checksums(void **unused)
{
	static const uint8_t protos4[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP}, protos6[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6};

	(void)unused;
	lab_start(&(struct lab_options){.max4 = 4096, .max6 = 4096}, rules);
	for (unsigned int n = 0; n < 6000; n++) {
		const bool v6 = draw(2);
		uint8_t payload[256];
		char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
		struct sp_frame_spec out = {
			.family = v6 ? 6 : 4, .proto = v6 ? protos6[draw(3)] : protos4[draw(3)], .src = src, .dst = dst};
		struct sp_frame frame;
		struct seen seen;

		snprintf(src, sizeof(src), v6 ? "fd%02x::%x" : "10.%u.0.%u", draw(200), 1 + draw(200));
		snprintf(dst, sizeof(dst), v6 ? "2001:db8:%x::%x" : "198.51.%u.%u", 1 + draw(200), 1 + draw(200));
		out.sport = (uint16_t)(1 + draw(65535));
		out.dport = (uint16_t)(1 + draw(65535));
		out.icmp_id = (uint16_t)draw(65536);
		out.icmp_type = v6 ? 128 : 8;
		out.seq = draw(1u << 24);
		for (unsigned int b = 0; b < sizeof(payload); b++)
			payload[b] = draw(4) == 0 ? (uint8_t)draw(256) : draw(2) ? 0xff : 0;
		out.payload = payload;
		out.payload_len = out.proto == IPPROTO_TCP ? 0 : draw(sizeof(payload));
		sp_frame_build(&frame, &out);
		lab_send_mbuf(IN, 0, sp_frame_mbuf_exact(lab_pool, frame.bytes, frame.len, draw(3) == 0 ? 1 + draw(40) : 0, 1 + draw(60)));
		lab_run();
		assert_true(nat_see(OUT, &seen));
		assert_string_equal(seen.src, v6 ? "2001:db8:1::1" : "203.0.113.1");
		assert_string_equal(seen.dst, dst);
		assert_memory_equal(seen.bytes + seen.len - out.payload_len, payload, out.payload_len);
	}
	lab_stop();
}

/* A UDP packet over IPv4 without a checksum gets none (RFC 768). */
static void absent_checksum_stays_absent(void **unused)
{
	struct sp_frame_spec out = {.proto = IPPROTO_UDP, .src = "10.0.0.5", .dst = "198.51.100.7"};
	struct sp_frame frame;
	struct seen seen;

	(void)unused;
	lab_start(&(struct lab_options){0}, rules);
	sp_frame_build(&frame, &out);
	frame.bytes[frame.l4 + 6] = frame.bytes[frame.l4 + 7] = 0;
	lab_send_frame(IN, 0, &frame);
	lab_run();
	assert_true(nat_see(OUT, &seen));
	assert_int_equal(seen.bytes[seen.l4 + 6] | seen.bytes[seen.l4 + 7], 0);
	lab_stop();
}

/* A result of 0 is sent as 0xffff: one of 65,536 payload words makes it. */
static void no_checksum_becomes_absent(void **unused)
{
	unsigned int all_ones = 0;

	(void)unused;
	lab_start(&(struct lab_options){0}, rules);
	for (uint32_t word = 0; word < 65536; word++) {
		uint16_t payload = (uint16_t)word;
		struct sp_frame_spec out = {.proto = IPPROTO_UDP,
			.src = "10.0.0.5",
			.dst = "198.51.100.7",
			.payload = &payload,
			.payload_len = sizeof(payload)};
		struct sp_frame frame;

		sp_frame_build(&frame, &out);
		lab_send_mbuf(IN, 0, sp_frame_mbuf(lab_pool, frame.bytes, frame.len));
		if (word % 32 == 31) {
			struct seen seen;

			lab_run();
			while (nat_see(OUT, &seen)) {
				uint16_t sum = (uint16_t)(seen.bytes[seen.l4 + 6] << 8 | seen.bytes[seen.l4 + 7]);

				assert_int_not_equal(sum, 0);
				all_ones += sum == 0xffff;
			}
		}
	}
	assert_int_equal(all_ones, 1);
	lab_stop();
}

/* What was wrong stays wrong: nobody's errors are laundered. */
static void wrong_checksum_stays_wrong(void **unused)
{
	struct sp_frame_spec out = {.proto = IPPROTO_UDP, .src = "10.0.0.5", .dst = "198.51.100.7"};
	struct sp_frame frame;
	struct rte_mbuf *mbuf;
	uint8_t copy[2048];

	(void)unused;
	lab_start(&(struct lab_options){0}, rules);
	lab.dataplane->ports[IN].checksum = SP_CHECKSUM_OFF;
	sp_frame_build(&frame, &out);
	frame.bytes[frame.l4 + 6] ^= 0x10;
	lab_send_frame(IN, 0, &frame);
	lab_run();
	mbuf = lab_take(OUT);
	assert_non_null(mbuf);
	assert_false(sp_frame_checksums_ok(rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, copy), mbuf->pkt_len));
	rte_pktmbuf_free(mbuf);
	lab_stop();
}

/* Others look at the same bytes: they keep theirs. */
static void shared_bytes_are_copied(void **unused)
{
	struct sp_frame_spec out = {.proto = IPPROTO_UDP, .src = "10.0.0.5", .dst = "198.51.100.7"};
	struct sp_frame frame;
	struct rte_mbuf *mbuf, *clone;
	struct seen seen;

	(void)unused;
	lab_start(&(struct lab_options){0}, rules);
	sp_frame_build(&frame, &out);
	mbuf = sp_frame_mbuf(lab_pool, frame.bytes, frame.len);
	clone = rte_pktmbuf_clone(mbuf, lab_pool);
	assert_non_null(clone);
	lab_send_mbuf(IN, 0, clone);
	lab_run();
	assert_true(nat_see(OUT, &seen));
	assert_string_equal(seen.src, "203.0.113.1");
	assert_memory_equal(rte_pktmbuf_mtod(mbuf, void *), frame.bytes, frame.len);
	rte_pktmbuf_free(mbuf);
	lab_stop();
}

/* Each fragment leaves with the new addresses, the first with the new port and a checksum of the whole. */
static void fragments_are_translated(void **unused)
{
	static const size_t at[] = {0, 512, 1024, 1304};

	(void)unused;
	for (unsigned int v6 = 0; v6 < 2; v6++)
		for (unsigned int proto = 0; proto < 3; proto++) {
			struct sp_frame_spec out = {.family = v6 ? 6 : 4,
				.proto = proto == 0   ? IPPROTO_UDP
					 : proto == 1 ? IPPROTO_SCTP
					 : v6         ? IPPROTO_ICMPV6
						      : IPPROTO_ICMP,
				.src = v6 ? "fd00::5" : "10.0.0.5",
				.dst = v6 ? "2001:db8:2::2" : "198.51.100.7",
				.icmp_type = v6 ? 128 : 8,
				.icmp_id = 77,
				.payload_len = 1296 - (proto == 1 ? 4 : 0)};
			struct sp_frame whole, piece, made;
			size_t bytes;

			if (proto == 1)
				continue; /* INIT chunks never come in fragments: test_sctp has them */
			lab_start(&(struct lab_options){0}, rules);
			sp_frame_build(&whole, &out);
			assert_int_equal(sp_frame_ip_payload(&whole), 1304);
			for (unsigned int k = 3; k-- > 0;) {
				sp_frame_cut(&piece, &whole, 99, at[k], at[k + 1] - at[k], false);
				lab_send_frame(IN, 0, &piece);
			}
			lab_run();
			made = whole;
			bytes = 0;
			for (unsigned int k = 0; k < 3; k++) {
				struct rte_mbuf *mbuf = lab_take(OUT);
				uint8_t copy[2048];
				const uint8_t *p;
				size_t header = v6 ? 14 + 40 + 8 : 14 + 20;

				assert_non_null(mbuf);
				p = rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, copy);
				if (k == 0)
					memcpy(made.bytes + made.l3, p + made.l3, v6 ? 40 : 20);
				else
					assert_memory_equal(p + 14 + (v6 ? 8 : 12), made.bytes + made.l3 + (v6 ? 8 : 12), v6 ? 32 : 8);
				memcpy(made.bytes + made.l4 + at[k], p + header, at[k + 1] - at[k]);
				bytes += at[k + 1] - at[k];
				rte_pktmbuf_free(mbuf);
			}
			assert_int_equal(bytes, 1304);
			assert_null(lab_take(OUT));
			{
				struct seen seen;

				/* the headers of one that was never cut */
				if (v6) {
					made.bytes[made.l3 + 4] = (uint8_t)(bytes >> 8);
					made.bytes[made.l3 + 5] = (uint8_t)bytes;
					made.bytes[made.l3 + 6] = out.proto;
				} else {
					made.bytes[made.l3 + 2] = (uint8_t)((bytes + 20) >> 8);
					made.bytes[made.l3 + 3] = (uint8_t)(bytes + 20);
					made.bytes[made.l3 + 6] = made.bytes[made.l3 + 7] = 0;
				}
				seen_read(&seen, made.bytes, made.len);
				assert_string_equal(seen.src, v6 ? "2001:db8:1::1" : "203.0.113.1");
				if (!v6) { /* the header's own sum, by the first piece's */
					struct sp_frame right = made;

					sp_frame_checksums(&right);
					assert_memory_equal(right.bytes + right.l4, made.bytes + made.l4, bytes);
				} else {
					assert_true(sp_frame_checksums_ok(made.bytes, made.len));
				}
			}
			lab_stop();
		}
}

/* The whole packet's CRC is new, when it was right. */
static void sctp_gets_a_new_crc(void **unused)
{
	static const uint8_t init[] = {1, 0, 0, 20, 1, 2, 3, 4, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 9};
	struct sp_frame_spec out = {
		.proto = IPPROTO_SCTP, .src = "10.0.0.5", .dst = "198.51.100.7", .payload = init, .payload_len = sizeof(init)};
	struct sp_packet packet = {.l4_off = 34, .payload_off = 46, .payload_len = sizeof(init), .kind = SP_KIND_FLOW};
	struct sp_frame frame;
	struct rte_mbuf *mbuf;

	(void)unused;
	lab_start(&(struct lab_options){0}, rules);
	sp_frame_build(&frame, &out);
	memset(frame.bytes + frame.l4 + 4, 0, 4);
	mbuf = sp_frame_mbuf(lab_pool, frame.bytes, frame.len);
	{
		uint32_t crc = rte_cpu_to_le_32(sp_checksum_sctp(mbuf, (uint32_t)frame.l4, 12 + sizeof(init)));

		memcpy(rte_pktmbuf_mtod_offset(mbuf, uint8_t *, frame.l4 + 8), &crc, sizeof(crc));
	}
	lab_send_mbuf(IN, 0, mbuf);
	lab_run();
	mbuf = lab_take(OUT);
	assert_non_null(mbuf);
	packet.key.family = SP_FAMILY_IPV4;
	packet.key.proto = IPPROTO_SCTP;
	packet.l3_off = 14;
	assert_true(sp_checksum_l4_ok(mbuf, &packet));
	assert_memory_not_equal(rte_pktmbuf_mtod_offset(mbuf, uint8_t *, frame.l4), frame.bytes + frame.l4, 2);
	rte_pktmbuf_free(mbuf);
	lab_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_packets_keep_right_checksums),
		cmocka_unit_test(absent_checksum_stays_absent),
		cmocka_unit_test(no_checksum_becomes_absent),
		cmocka_unit_test(wrong_checksum_stays_wrong),
		cmocka_unit_test(shared_bytes_are_copied),
		cmocka_unit_test(fragments_are_translated),
		cmocka_unit_test(sctp_gets_a_new_crc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
