/* SPDX-License-Identifier: BSD-3-Clause */
/* pcapng blocks: what was put in is read back, byte by byte and by libpcap. */
#include "mgmt/pcapng.h"

#include <pcap/pcap.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t file[65536];

static uint32_t word(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* Options begin at `at`: the value of the one with this code, its length in *n; NULL without one. Proves that they end within the block. */
static const uint8_t *option(const uint8_t *at, const uint8_t *end, uint16_t code, size_t *n)
{
	for (;;) {
		uint16_t this, length;

		assert_true(at + 4 <= end);
		memcpy(&this, at, 2);
		memcpy(&length, at + 2, 2);
		if (this == 0) {
			assert_int_equal(length, 0);
			assert_ptr_equal(at + 4, end);
			return NULL;
		}
		if (this == code) {
			*n = length;
			return at + 4;
		}
		at += 4 + ((length + 3u) & ~3u);
	}
}

/* Proves the frame around a block and returns where it ends before its second length. */
static const uint8_t *block_end(const uint8_t *block, size_t n, uint32_t type)
{
	assert_int_equal(n % 4, 0);
	assert_int_equal(word(block), type);
	assert_int_equal(word(block + 4), n);
	assert_int_equal(word(block + n - 4), n);
	return block + n - 4;
}

static void section_says_who_and_which_order(void **state)
{
	size_t n = sp_pcapng_section(file, sizeof(file)), length = 0;
	const uint8_t *end = block_end(file, n, 0x0a0d0d0a), *name;

	(void)state;
	assert_int_equal(word(file + 8), 0x1a2b3c4d);
	assert_int_equal(word(file + 12), 1); /* 1.0 */
	name = option(file + 24, end, 4, &length);
	assert_non_null(name);
	assert_memory_equal(name, "sallyport " SP_VERSION, length);
}

static void interface_has_name_filter_and_nanoseconds(void **state)
{
	size_t n = sp_pcapng_interface(file, sizeof(file), "in", 2048, "udp port 53"), length = 0;
	const uint8_t *end = block_end(file, n, 1), *value;

	(void)state;
	assert_int_equal(word(file + 8), 1); /* Ethernet */
	assert_int_equal(word(file + 12), 2048);
	value = option(file + 16, end, 2, &length);
	assert_int_equal(length, 2);
	assert_memory_equal(value, "in", 2);
	value = option(file + 16, end, 9, &length);
	assert_int_equal(length, 1);
	assert_int_equal(value[0], 9);
	value = option(file + 16, end, 11, &length);
	assert_int_equal(length, 12);
	assert_memory_equal(value, "\0udp port 53", 12);
	n = sp_pcapng_interface(file, sizeof(file), "in", 2048, NULL);
	assert_null(option(file + 16, block_end(file, n, 1), 11, &length));
}

static void packets_of_every_length_are_whole(void **state)
{
	static const char comments[] = "drop reason=default";
	uint8_t data[70];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i + 1);
	for (uint32_t captured = 0; captured <= sizeof(data); captured++) {
		for (size_t cut = 0; cut < sizeof(comments); cut++) {
			const struct sp_pcapng_packet packet = {.interface = 3,
				.time_ns = 0x123456789abcdef0u,
				.data = data,
				.captured = captured,
				.length = captured + 7,
				.direction = SP_PCAPNG_OUTBOUND,
				.comment = comments + cut};
			size_t n, length = 0, padded = (captured + 3u) & ~3u;
			const uint8_t *end, *value;

			memset(file, 0xaa, 1024);
			n = sp_pcapng_packet(file, sizeof(file), &packet);
			end = block_end(file, n, 6);
			assert_int_equal(word(file + 8), 3);
			assert_int_equal(word(file + 12), 0x12345678);
			assert_int_equal(word(file + 16), 0x9abcdef0);
			assert_int_equal(word(file + 20), captured);
			assert_int_equal(word(file + 24), captured + 7);
			assert_memory_equal(file + 28, data, captured);
			for (size_t i = captured; i < padded; i++)
				assert_int_equal(file[28 + i], 0);
			value = option(file + 28 + padded, end, 2, &length);
			assert_int_equal(word(value), 2);
			value = option(file + 28 + padded, end, 1, &length);
			if (comments[cut] == '\0')
				assert_null(value);
			else
				assert_int_equal(length, strlen(comments + cut));
			if (value != NULL)
				assert_memory_equal(value, comments + cut, length);
			assert_int_equal(file[n], 0xaa);
		}
	}
}

/* One byte less than a block needs is refused, and nothing is written past the room. */
static void no_room_is_refused(void **state)
{
	const struct sp_pcapng_packet packet = {.data = (const uint8_t *)"abcde", .captured = 5, .length = 5, .comment = "rx"};
	size_t n = sp_pcapng_packet(file, sizeof(file), &packet);

	(void)state;
	for (size_t room = 0; room < n; room++) {
		uint8_t *exact = malloc(room + 1);

		exact[room] = 0x5a;
		assert_int_equal(sp_pcapng_packet(exact, room, &packet), 0);
		assert_int_equal(exact[room], 0x5a);
		free(exact);
	}
	assert_int_equal(sp_pcapng_packet(file, n, &packet), n);
	assert_int_equal(sp_pcapng_section(file, 20), 0);
	assert_int_equal(sp_pcapng_interface(file, 20, "in", 64, NULL), 0);
}

/* A comment that is too long is cut between characters; the block is no longer than promised. */
static void long_comments_are_cut(void **state)
{
	char comment[3 * SP_PCAPNG_COMMENT_MAX];
	struct sp_pcapng_packet packet = {.data = file, .comment = comment};
	uint8_t out[SP_PCAPNG_PACKET_EXTRA];

	(void)state;
	for (size_t start = 0; start < 3; start++) {
		size_t n, length = 0;

		memset(comment, 'x', start);
		for (size_t i = start; i + 4 < sizeof(comment); i += 3)
			memcpy(comment + i, "\xe2\x82\xac", 4);
		n = sp_pcapng_packet(out, sizeof(out), &packet);
		assert_int_not_equal(n, 0);
		assert_non_null(option(out + 28, block_end(out, n, 6), 1, &length));
		assert_in_range(length, SP_PCAPNG_COMMENT_MAX - 2, SP_PCAPNG_COMMENT_MAX);
		assert_int_equal((length - start) % 3, 0);
	}
}

static void libpcap_reads_it(void **state)
{
	const struct sp_pcapng_packet packet = {.interface = 1,
		.time_ns = 1700000000123456789u,
		.data = (const uint8_t *)"0123456789abcdef",
		.captured = 16,
		.length = 60,
		.direction = SP_PCAPNG_INBOUND,
		.comment = "rx"};
	char path[] = "/tmp/sptestXXXXXX", error[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *header;
	const uint8_t *data;
	size_t n = 0;
	FILE *out;
	pcap_t *pcap;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	n += sp_pcapng_section(file + n, sizeof(file) - n);
	n += sp_pcapng_interface(file + n, sizeof(file) - n, "in", 2048, "tcp");
	n += sp_pcapng_interface(file + n, sizeof(file) - n, "out", 2048, "tcp");
	n += sp_pcapng_packet(file + n, sizeof(file) - n, &packet);
	out = fdopen(fd, "wb");
	assert_int_equal(fwrite(file, 1, n, out), n);
	assert_int_equal(fclose(out), 0);
	pcap = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, error);
	if (pcap == NULL)
		fail_msg("%s", error);
	assert_int_equal(pcap_datalink(pcap), DLT_EN10MB);
	assert_int_equal(pcap_next_ex(pcap, &header, &data), 1);
	assert_int_equal(header->caplen, 16);
	assert_int_equal(header->len, 60);
	assert_int_equal(header->ts.tv_sec, 1700000000);
	assert_int_equal(header->ts.tv_usec, 123456789);
	assert_memory_equal(data, "0123456789abcdef", 16);
	assert_int_equal(pcap_next_ex(pcap, &header, &data), PCAP_ERROR_BREAK);
	pcap_close(pcap);
	remove(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(section_says_who_and_which_order),
		cmocka_unit_test(interface_has_name_filter_and_nanoseconds),
		cmocka_unit_test(packets_of_every_length_are_whole),
		cmocka_unit_test(no_room_is_refused),
		cmocka_unit_test(long_comments_are_cut),
		cmocka_unit_test(libpcap_reads_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
