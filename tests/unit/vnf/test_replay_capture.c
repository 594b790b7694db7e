/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Captures of every link type as Ethernet frames, broken files, and that what is written is what is read again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pcap/pcap.h>
#include <unistd.h>

#include "vnf/replay_capture.h"

static char path[] = "/tmp/sp_capture_XXXXXX";

/* 20 bytes of IPv4 header (10.0.0.1 to 10.0.0.2) and 40 of IPv6 (2001:db8::1 to ff02::1). */
static const uint8_t ip4[20] = {0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
static const uint8_t ip6[40] = {0x60, [7] = 64, [8] = 0x20, 0x01, 0x0d, 0xb8, [23] = 1, [24] = 0xff, 0x02, [39] = 1};

static void write_file(int link_type, bool ns, const void *data, uint32_t len, uint32_t wire_len)
{
	pcap_t *pcap =
		pcap_open_dead_with_tstamp_precision(link_type, 262144, ns ? PCAP_TSTAMP_PRECISION_NANO : PCAP_TSTAMP_PRECISION_MICRO);
	struct pcap_pkthdr header = {.ts = {1000, 123456}, .caplen = len, .len = wire_len};
	pcap_dumper_t *dumper;

	assert_non_null(pcap);
	dumper = pcap_dump_open(pcap, path);
	assert_non_null(dumper);
	pcap_dump((u_char *)dumper, &header, data);
	pcap_dump_close(dumper);
	pcap_close(pcap);
}

static void first(int link_type, const void *data, uint32_t len, struct sp_replay_frame *frame, struct sp_replay_capture **capture)
{
	char why[256];

	write_file(link_type, false, data, len, len);
	*capture = sp_replay_capture_open(path, why, sizeof(why));
	if (*capture == NULL)
		fail_msg("%s", why);
	assert_int_equal(sp_replay_capture_next(*capture, frame, why, sizeof(why)), 1);
}

static void test_link_types(void **state)
{
	static const struct {
		int link_type;
		uint8_t head[20];
		uint32_t head_len;
		bool v6;
	} rows[] = {
		{DLT_RAW, {0}, 0, false},
		{DLT_RAW, {0}, 0, true},
		{DLT_IPV4, {0}, 0, false},
		{DLT_IPV6, {0}, 0, true},
		{DLT_NULL, {2}, 4, false},
		{DLT_NULL, {0, 0, 0, 30}, 4, true},
		{DLT_LOOP, {0, 0, 0, 2}, 4, false},
		{DLT_LINUX_SLL, {[14] = 0x08, 0x00}, 16, false},
		{DLT_LINUX_SLL, {[14] = 0x86, 0xdd}, 16, true},
		{DLT_LINUX_SLL2, {0x08, 0x00}, 20, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint8_t *ip = rows[i].v6 ? ip6 : ip4;
		uint32_t ip_len = rows[i].v6 ? sizeof(ip6) : sizeof(ip4);
		struct sp_replay_capture *capture;
		struct sp_replay_frame frame;
		uint8_t packet[64];

		memcpy(packet, rows[i].head, rows[i].head_len);
		memcpy(packet + rows[i].head_len, ip, ip_len);
		first(rows[i].link_type, packet, rows[i].head_len + ip_len, &frame, &capture);
		assert_int_equal(frame.len, 14 + ip_len);
		assert_int_equal(frame.data[12] << 8 | frame.data[13], rows[i].v6 ? 0x86dd : 0x0800);
		assert_memory_equal(frame.data + 14, ip, ip_len);
		/* A sender is one station; a multicast receiver keeps its group address. */
		assert_int_equal(frame.data[6] & 3, 2);
		if (rows[i].v6)
			assert_memory_equal(frame.data, "\x33\x33\0\0\0\1", 6);
		else
			assert_int_equal(frame.data[0] & 3, 2);
		assert_memory_not_equal(frame.data, frame.data + 6, 6);
		sp_replay_capture_close(capture);
	}
}

/* Packets that end within any header become short frames, without a read past their end. */
static void test_short_packets(void **state)
{
	static const int types[] = {DLT_EN10MB, DLT_RAW, DLT_IPV4, DLT_IPV6, DLT_NULL, DLT_LOOP, DLT_LINUX_SLL, DLT_LINUX_SLL2};
	uint8_t packet[64] = {0};

	(void)state;
	memcpy(packet + 20, ip6, sizeof(ip6));
	for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++)
		for (uint32_t len = 0; len < sizeof(packet); len++) {
			struct sp_replay_capture *capture;
			struct sp_replay_frame frame;

			first(types[t], packet, len, &frame, &capture);
			assert_true(types[t] == DLT_EN10MB ? frame.len == len : frame.len >= 14 && frame.len <= 14 + len);
			sp_replay_capture_close(capture);
		}
}

static void test_largest(void **state)
{
	static const int types[] = {DLT_EN10MB, DLT_RAW};
	uint8_t *packet = calloc(1, 100000);
	char why[256];

	(void)state;
	assert_non_null(packet);
	packet[0] = 0x45;
	for (size_t t = 0; t < 2; t++) {
		struct sp_replay_capture *capture;
		struct sp_replay_frame frame;

		write_file(types[t], false, packet, 100000, 100000);
		capture = sp_replay_capture_open(path, why, sizeof(why));
		assert_non_null(capture);
		assert_int_equal(sp_replay_capture_next(capture, &frame, why, sizeof(why)), 1);
		assert_int_equal(frame.len, SP_CAPTURED_MAX);
		assert_int_equal(sp_replay_capture_truncated(capture), 1);
		assert_int_equal(sp_replay_capture_next(capture, &frame, why, sizeof(why)), 0);
		sp_replay_capture_close(capture);
	}
	free(packet);
}

static void test_truncated_is_counted(void **state)
{
	struct sp_replay_capture *capture;
	struct sp_replay_frame frame;
	char why[256];
	uint8_t packet[60] = {0};

	(void)state;
	write_file(DLT_EN10MB, false, packet, 60, 1514);
	capture = sp_replay_capture_open(path, why, sizeof(why));
	assert_non_null(capture);
	assert_int_equal(sp_replay_capture_next(capture, &frame, why, sizeof(why)), 1);
	assert_int_equal(frame.len, 60);
	assert_int_equal(sp_replay_capture_truncated(capture), 1);
	sp_replay_capture_close(capture);
}

static void test_refused(void **state)
{
	uint8_t packet[60] = {0};
	char why[256];
	FILE *file;

	(void)state;
	assert_null(sp_replay_capture_open("/nonexistent.pcap", why, sizeof(why)));
	assert_non_null(strstr(why, "No such file"));
	assert_null(sp_replay_capture_open("/tmp", why, sizeof(why)));
	write_file(DLT_PPP, false, packet, 60, 60);
	assert_null(sp_replay_capture_open(path, why, sizeof(why)));
	assert_non_null(strstr(why, "link type PPP"));
	file = fopen(path, "w");
	assert_non_null(file);
	fclose(file);
	assert_null(sp_replay_capture_open(path, why, sizeof(why)));
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("no capture at all, but long enough to be one", file);
	fclose(file);
	assert_null(sp_replay_capture_open(path, why, sizeof(why)));
}

static void test_cut_file(void **state)
{
	struct sp_replay_capture *capture;
	struct sp_replay_frame frame;
	uint8_t packet[60] = {0};
	char why[256];

	(void)state;
	write_file(DLT_EN10MB, false, packet, 60, 60);
	assert_int_equal(truncate(path, 24 + 16 + 30), 0);
	capture = sp_replay_capture_open(path, why, sizeof(why));
	assert_non_null(capture);
	assert_true(sp_replay_capture_next(capture, &frame, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "broken"));
	sp_replay_capture_close(capture);
}

/* Times keep the resolution they came with, and frames their bytes. */
static void test_round_trip(void **state)
{
	char out[sizeof(path) + 4], why[256];
	uint8_t packet[60];

	(void)state;
	snprintf(out, sizeof(out), "%s.out", path);
	memset(packet, 0xa5, sizeof(packet));
	for (int ns = 0; ns <= 1; ns++) {
		struct sp_replay_capture *capture, *again;
		struct sp_replay_capture_writer *writer;
		struct sp_replay_frame frame, copy;

		write_file(DLT_EN10MB, ns, packet, 60, 60);
		capture = sp_replay_capture_open(path, why, sizeof(why));
		assert_non_null(capture);
		assert_int_equal(sp_replay_capture_next(capture, &frame, why, sizeof(why)), 1);
		assert_int_equal(frame.ns, UINT64_C(1000000000000) + (ns ? 123456 : 123456000));
		writer = sp_replay_capture_create(out, capture, why, sizeof(why));
		assert_non_null(writer);
		sp_replay_capture_write(writer, &frame);
		assert_int_equal(sp_replay_capture_finish(writer), 0);
		again = sp_replay_capture_open(out, why, sizeof(why));
		assert_non_null(again);
		assert_int_equal(sp_replay_capture_next(again, &copy, why, sizeof(why)), 1);
		assert_int_equal(copy.ns, frame.ns);
		assert_int_equal(copy.len, 60);
		assert_memory_equal(copy.data, packet, 60);
		sp_replay_capture_close(again);
		assert_null(sp_replay_capture_create("/nonexistent/out.pcap", capture, why, sizeof(why)));
		sp_replay_capture_close(capture);
	}
	unlink(out);
}

static int make_path(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link_types),
		cmocka_unit_test(test_short_packets),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_truncated_is_counted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_cut_file),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, make_path, remove_path);
}
