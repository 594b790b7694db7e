/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sums in parts, at odd places and mended in place, against the plain sum of RFC 1071 over the whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/bytes.h"
#include "dataplane/checksum.h"

#define ROUNDS 20000
#define BYTES  64

/* Word by word, as the RFC has it; of data whose checksum field is zero, the checksum as it stands in memory. */
static uint16_t plain(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += (uint32_t)data[i] << (i & 1 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return rte_cpu_to_be_16((uint16_t)~sum);
}

/* Bytes of which many are 0 and 0xff: where one's complement has its corners. */
static void draw(uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		int r = rand();

		data[i] = r % 3 == 0 ? 0 : r % 3 == 1 ? 0xff : (uint8_t)(r >> 8);
	}
}

static void parts_give_the_whole(void **state)
{
	uint8_t data[BYTES + 1];

	(void)state;
	for (unsigned int round = 0; round < ROUNDS; round++) {
		const size_t len = (size_t)rand() % BYTES, cut = len == 0 ? 0 : (size_t)rand() % len;
		uint8_t *p = data + (rand() & 1);
		uint64_t sum;

		draw(data, sizeof(data));
		sum = sp_checksum_join(sp_checksum_add(0, p, cut), sp_checksum_at(sp_checksum_add(0, p + cut, len - cut), cut));
		assert_int_equal((uint16_t)~sp_checksum_fold(sum), plain(p, len));
	}
}

/* Part of what is summed is changed, of any length at any place: the mended checksum is the one computed anew. */
static void mending_is_computing_anew(void **state)
{
	uint8_t data[BYTES], part[BYTES];

	(void)state;
	for (unsigned int round = 0; round < ROUNDS; round++) {
		const size_t at = (size_t)rand() % BYTES, len = (size_t)rand() % (BYTES - at);
		uint64_t old_sum, new_sum;
		uint16_t checksum;

		draw(data, sizeof(data));
		data[0] |= 1; /* all zero is the one case in which the sum has two forms */
		draw(part, sizeof(part));
		if (at == 0)
			part[0] |= 1;
		checksum = plain(data, sizeof(data));
		old_sum = sp_checksum_at(sp_checksum_add(0, data + at, len), at);
		new_sum = sp_checksum_at(sp_checksum_add(0, part, len), at);
		memcpy(data + at, part, len);
		assert_int_equal(sp_checksum_mend(checksum, old_sum, new_sum), plain(data, sizeof(data)));
	}
}

/* RFC 1624 4: where eqn. 1 of RFC 1141 gives 0xffff. */
static void the_example_of_the_rfc(void **state)
{
	(void)state;
	assert_int_equal(sp_checksum_mend(rte_cpu_to_be_16(0xdd2f), rte_cpu_to_be_16(0x5555), rte_cpu_to_be_16(0x3285)), 0);
}

static void numbers_come_back(void **state)
{
	uint8_t bytes[5] = {0};

	(void)state;
	sp_write_be32(bytes + 1, 0x01020304);
	assert_memory_equal(bytes, "\0\1\2\3\4", 5);
	assert_int_equal(sp_read_be32(bytes + 1), 0x01020304);
	assert_int_equal(sp_read_be16(bytes + 3), 0x0304);
	sp_write_be16(bytes + 1, 0xa0b0);
	assert_memory_equal(bytes, "\0\xa0\xb0\3\4", 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(parts_give_the_whole), cmocka_unit_test(mending_is_computing_anew),
		cmocka_unit_test(the_example_of_the_rfc), cmocka_unit_test(numbers_come_back)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
