/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cookies: what they keep, how long, and that nobody else makes one; the options of SYNs; the hash below it all by its published values.
 */
#include "dataplane/siphash.h"
#include "dataplane/syn_cookie.h"
#include "tests/unit/dataplane/session_fixture.h"

#define SLOT (1ull << SP_SYN_COOKIE_SLOT_BITS)

static struct sp_syn_cookies fresh(void)
{
	struct sp_syn_cookies cookies;

	assert_int_equal(sp_syn_cookies_init(&cookies), 0);
	return cookies;
}

/* The test vectors of the reference implementation: key 00..0f, messages 00, 00 01, and so on, of which whole words are here. */
static void siphash_gives_the_published_values(void **unused)
{
	const uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
	const uint64_t words[4] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u, 0x1716151413121110u, 0x1f1e1d1c1b1a1918u};
	(void)unused;

	assert_true(sp_siphash(key, words, 0) == 0x726fdb47dd0e0e31u);
	assert_true(sp_siphash(key, words, 1) == 0x93f5f5799a932462u);
	assert_true(sp_siphash(key, words, 2) == 0x3f2acc7f57c29bdbu);
	assert_true(sp_siphash(key, words, 3) == 0xb8ad50c6f649af94u);
	assert_true(sp_siphash(key, words, 4) == 0x7127512f72f27cceu);
}

/* Fewer rounds, by what CPython's hash (SipHash-1-3) says of the same bytes under its key of zeros (PYTHONHASHSEED=0). */
static void siphash_1_3_gives_the_values_of_cpython(void **unused)
{
	const uint64_t key[2] = {0, 0};
	const uint64_t words[3] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u, 0x1716151413121110u};
	(void)unused;

	assert_true(sp_siphash_rounds(key, words, 1, 1, 3) == 0xead411e67ebe2eeau);
	assert_true(sp_siphash_rounds(key, words, 2, 1, 3) == 0x8972188433a5c5b7u);
	assert_true(sp_siphash_rounds(key, words, 3, 1, 3) == 0x31185a47af932f3au);
}

/* Every set of options comes back, the segment size as the next smaller of the table. */
static void options_come_back(void **unused)
{
	const uint16_t sizes[][2] = {{0, 216}, {215, 216}, {216, 216}, {535, 216}, {536, 536}, {1220, 1220}, {1460, 1460}, {1461, 1460},
		{8940, 8940}, {65535, 8940}};
	struct sp_syn_cookies cookies = fresh();
	(void)unused;

	for (unsigned int family = SP_FAMILY_IPV4; family <= SP_FAMILY_IPV6; family += SP_FAMILY_IPV6 - SP_FAMILY_IPV4)
		for (unsigned int size = 0; size < RTE_DIM(sizes); size++)
			for (uint8_t wscale = 0; wscale <= SP_SYN_NO_WSCALE; wscale++)
				for (unsigned int sack = 0; sack < 2; sack++) {
					struct sp_key key = key_of((uint8_t)family, IPPROTO_TCP, size);
					struct sp_syn_options options = {.mss = sizes[size][0], .wscale = wscale, .sack = sack}, got;
					uint32_t cookie = sp_syn_cookie_make(&cookies, &key, 7 + wscale, &options, 5 * SLOT);

					assert_true(sp_syn_cookie_check(&cookies, &key, 7 + wscale, cookie, 5 * SLOT, &got));
					assert_int_equal(got.mss, sizes[size][1]);
					assert_int_equal(got.wscale, wscale);
					assert_int_equal(got.sack, sack);
				}
}

/* Good in its slot and the next, from any moment in it; not before, not after, and not when time went back. */
static void cookies_age(void **unused)
{
	struct sp_syn_cookies cookies = fresh();
	struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, 1);
	struct sp_syn_options options = {.mss = 1460, .wscale = 7, .sack = true}, got;
	(void)unused;

	for (uint64_t slot = 2; slot < 20; slot++) {
		uint64_t made = slot * SLOT + slot * 1000003;
		uint32_t cookie = sp_syn_cookie_make(&cookies, &key, 1, &options, made);

		assert_true(sp_syn_cookie_check(&cookies, &key, 1, cookie, made, &got));
		assert_true(sp_syn_cookie_check(&cookies, &key, 1, cookie, (slot + 1) * SLOT - 1, &got));
		assert_true(sp_syn_cookie_check(&cookies, &key, 1, cookie, (slot + 2) * SLOT - 1, &got));
		assert_false(sp_syn_cookie_check(&cookies, &key, 1, cookie, (slot + 2) * SLOT, &got));
		assert_false(sp_syn_cookie_check(&cookies, &key, 1, cookie, (slot + 100) * SLOT, &got));
		assert_false(sp_syn_cookie_check(&cookies, &key, 1, cookie, slot * SLOT - 1, &got));
	}
}

/* Whatever of the tuple or the number differs, and whoever else's secret it is: not accepted, but for the odds of 24 bits. */
static void cookies_are_of_one_client(void **unused)
{
	struct sp_syn_cookies cookies = fresh(), others = fresh();
	struct sp_syn_options options = {.mss = 1460, .wscale = 7, .sack = true}, got;
	unsigned int accepted = 0;
	(void)unused;

	for (unsigned int family = SP_FAMILY_IPV4; family <= SP_FAMILY_IPV6; family += SP_FAMILY_IPV6 - SP_FAMILY_IPV4)
		for (uint32_t n = 0; n < 1000; n++) {
			struct sp_key key = key_of((uint8_t)family, IPPROTO_TCP, n), other = key;
			uint32_t cookie = sp_syn_cookie_make(&cookies, &key, n, &options, SLOT);
			unsigned int bytes = family == SP_FAMILY_IPV4 ? SP_KEY4_BYTES : SP_KEY6_BYTES;

			assert_true(sp_syn_cookie_check(&cookies, &key, n, cookie, SLOT, &got));
			accepted += sp_syn_cookie_check(&others, &key, n, cookie, SLOT, &got);
			accepted += sp_syn_cookie_check(&cookies, &key, n + 1, cookie, SLOT, &got);
			accepted += sp_syn_cookie_check(&cookies, &key, n, cookie ^ 0x100u << n % 24, SLOT, &got);
			((uint8_t *)&other)[n % bytes] ^= (uint8_t)(1u << n % 8);
			if (other.family != key.family)
				continue;
			accepted += sp_syn_cookie_check(&cookies, &other, n, cookie, SLOT, &got);
		}
	assert_in_range(accepted, 0, 1);
}

/* A guess succeeds with one in 2^23: two slots, 24 bits. Four million guesses meet half a success on average, never eight. */
static void guesses_fail(void **unused)
{
	struct sp_syn_cookies cookies = fresh();
	struct sp_syn_options got;
	unsigned int accepted = 0;
	(void)unused;

	for (uint32_t n = 0; n < 4000000; n++) {
		struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, n);

		accepted += sp_syn_cookie_check(&cookies, &key, n, (uint32_t)next_random(), SLOT, &got);
	}
	assert_in_range(accepted, 0, 7);
}

/* Nothing of the cookie shows what the SYN offered: over many clients each bit is set as often as not. */
static void cookies_look_random(void **unused)
{
	struct sp_syn_cookies cookies = fresh();
	struct sp_syn_options options = {.mss = 1460, .wscale = 7, .sack = true};
	unsigned int set[32] = {0};
	(void)unused;

	for (uint32_t n = 0; n < 10000; n++) {
		struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, n);
		uint32_t cookie = sp_syn_cookie_make(&cookies, &key, 1, &options, SLOT);

		for (unsigned int bit = 0; bit < 32; bit++)
			set[bit] += cookie >> bit & 1;
	}
	for (unsigned int bit = 0; bit < 32; bit++)
		assert_in_range(set[bit], 4600, 5400);
}

static void options_are_read_and_written(void **unused)
{
	uint8_t bytes[SP_SYN_OPTIONS_BYTES];
	struct sp_syn_options got;
	(void)unused;

	for (uint8_t wscale = 0; wscale <= SP_SYN_NO_WSCALE; wscale++)
		for (unsigned int sack = 0; sack < 2; sack++) {
			struct sp_syn_options options = {.mss = 1337, .wscale = wscale, .sack = sack};
			unsigned int len = sp_syn_options_write(&options, bytes);

			assert_in_range(len, 4, sizeof(bytes));
			assert_int_equal(len % 4, 0);
			sp_syn_options_read(bytes, len, SP_FAMILY_IPV4, &got);
			assert_int_equal(got.mss, 1337);
			assert_int_equal(got.wscale, wscale);
			assert_int_equal(got.sack, sack);
		}
}

struct options_case {
	const char *what;
	uint8_t bytes[12];
	unsigned int len;
	struct sp_syn_options options; /* of IPv4 */
};

static void odd_options_are_bounded(void **unused)
{
	static const struct options_case cases[] = {
		{"none", {0}, 0, {536, 15, false}},
		{"end first", {0, 2, 4, 5, 0xb4}, 5, {536, 15, false}},
		{"scale over 14 is 14", {3, 3, 200}, 3, {536, 14, false}},
		{"MSS cut off", {2, 4, 5}, 3, {536, 15, false}},
		{"length 0", {4, 0, 4, 2}, 4, {536, 15, false}},
		{"length 1", {4, 1, 4, 2}, 4, {536, 15, false}},
		{"length past the end", {8, 10, 0, 0}, 4, {536, 15, false}},
		{"kind without length", {1, 1, 2}, 3, {536, 15, false}},
		{"MSS of wrong length is not one", {2, 3, 9, 4, 2}, 5, {536, 15, true}},
		{"unknown options are passed over", {30, 4, 1, 2, 2, 4, 5, 0xb4, 3, 3, 7}, 11, {1460, 7, false}},
	};
	(void)unused;

	for (unsigned int c = 0; c < RTE_DIM(cases); c++) {
		/* Exactly so many bytes, so that a read past them is seen. */
		uint8_t *exact = test_malloc(cases[c].len + 1);
		struct sp_syn_options got;

		memcpy(exact, cases[c].bytes, cases[c].len);
		sp_syn_options_read(exact, cases[c].len, SP_FAMILY_IPV4, &got);
		if (got.mss != cases[c].options.mss || got.wscale != cases[c].options.wscale || got.sack != cases[c].options.sack)
			fail_msg("%s: %u %u %d", cases[c].what, got.mss, got.wscale, got.sack);
		test_free(exact);
	}
	for (unsigned int n = 0; n < 200000; n++) {
		uint8_t *exact = test_malloc(40);
		struct sp_syn_options got;
		unsigned int len = (unsigned int)(next_random() % 41);

		for (unsigned int i = 0; i < 40; i++)
			exact[i] = (uint8_t)(next_random() % 12);
		sp_syn_options_read(exact, len, SP_FAMILY_IPV6, &got);
		assert_in_range(got.wscale, 0, 15);
		test_free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_gives_the_published_values),
		cmocka_unit_test(siphash_1_3_gives_the_values_of_cpython),
		cmocka_unit_test(options_come_back),
		cmocka_unit_test(cookies_age),
		cmocka_unit_test(cookies_are_of_one_client),
		cmocka_unit_test(guesses_fail),
		cmocka_unit_test(cookies_look_random),
		cmocka_unit_test(options_are_read_and_written),
		cmocka_unit_test(odd_options_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
