/* SPDX-License-Identifier: BSD-3-Clause */
/* The validator against an encoder: each character is one, whatever is no character's encoding is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rules/utf8.h"

static size_t encode(uint32_t code, unsigned char out[4])
{
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

	for (size_t i = n; i-- > 1; code >>= 6)
		out[i] = (unsigned char)(0x80 | (code & 0x3f));
	out[0] = (unsigned char)(n == 1 ? code : (0xf00u >> n & 0xf0) | code);
	return n;
}

/* Every character and no surrogate; cut short it is none, and the byte behind the cut is not read (the copy has its exact size). */
static void test_characters(void **state)
{
	(void)state;
	for (uint32_t code = 0; code < 0x110000; code++) {
		unsigned char s[4];
		size_t n = encode(code, s);

		assert_int_equal(sp_utf8_bytes(s, n), code >= 0xd800 && code < 0xe000 ? 0 : n);
		if (code % 257 != 0)
			continue;
		for (size_t cut = 1; cut < n; cut++) {
			unsigned char *exact = malloc(cut);

			assert_non_null(exact);
			memcpy(exact, s, cut);
			assert_int_equal(sp_utf8_bytes(exact, cut), 0);
			free(exact);
		}
	}
}

/* All words of two bytes, and all of four whose last bytes are at an edge: as many are taken as there are characters. */
static void test_nothing_else(void **state)
{
	static const unsigned char edges[] = {0, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
	size_t taken[5] = {0};

	(void)state;
	for (unsigned int word = 0; word < 65536; word++) {
		for (size_t i = 0; i < 100; i++) {
			unsigned char s[4] = {(unsigned char)(word >> 8), (unsigned char)word, edges[i / 10], edges[i % 10]};

			taken[sp_utf8_bytes(s, 4)]++;
		}
	}
	assert_int_equal(taken[1], 128 * 256 * 100);
	assert_int_equal(taken[2], (0x800 - 0x80) * 100);
	/* of the ten edges, six are continuation bytes */
	assert_int_equal(taken[3], (0x10000 - 0x800 - 0x800) / 64 * 60);
	assert_int_equal(taken[4], (0x110000 - 0x10000) / 4096 * 36);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_characters),
		cmocka_unit_test(test_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
