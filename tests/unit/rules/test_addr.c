/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses and sets of them: text to ranges and back, and set arithmetic against a plain model over a small space. */
#include "rules/addr.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct sp_addr_range range_of(const char *text)
{
	struct sp_addr_range range;
	const char *why = NULL;

	if (sp_addr_range_parse(text, strlen(text), &range, &why))
		fail_msg("%s: %s", text, why);
	return range;
}

static void test_parse_and_format(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"192.0.2.1", "192.0.2.1"},
		{"192.0.2.0/24", "192.0.2.0/24"},
		{"192.0.2.1/32", "192.0.2.1"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"0.0.0.0-255.255.255.255", "0.0.0.0/0"},
		{"192.0.2.16-192.0.2.31", "192.0.2.16/28"},
		{"192.0.2.10-192.0.2.20", "192.0.2.10-192.0.2.20"},
		{"192.0.2.10-192.0.2.10", "192.0.2.10"},
		{"2001:DB8::1", "2001:db8::1"},
		{"2001:db8::/32", "2001:db8::/32"},
		{"2001:db8::/127", "2001:db8::/127"},
		{"::/0", "::/0"},
		{"2001:db8::1-2001:db8::3", "2001:db8::1-2001:db8::3"},
	};
	char buf[96];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_addr_range range = range_of(cases[i].in);

		assert_string_equal(sp_addr_range_format(&range, buf, sizeof(buf)), cases[i].out);
	}
}

static void test_parse_refuses(void **state)
{
	static const struct {
		const char *in, *why;
	} cases[] = {
		{"", "not an IPv4"},
		{"192.0.2", "not an IPv4"},
		{"192.0.2.256", "not an IPv4"},
		{"192.0.2.01", "not an IPv4"},
		{"192.0.2.1 ", "not an IPv4"},
		{"192.0.2.0/33", "over 32"},
		{"2001:db8::/129", "over 128"},
		{"192.0.2.0/", "not a number"},
		{"192.0.2.0/+8", "not a number"},
		{"192.0.2.0/024", "not a number"},
		{"192.0.2.0/24/8", "not a number"},
		{"192.0.2.1/24", "bits are set"},
		{"2001:db8::1/64", "bits are set"},
		{"/24", "before the /"},
		{"192.0.2.9-192.0.2.1", "ends before"},
		{"192.0.2.9-2001:db8::1", "in the other"},
		{"192.0.2.9-", "each side"},
		{"-", "each side"},
		{"2001:db8:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:1", "not an IPv4"},
		{"@lan", "not an IPv4"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_addr_range range;
		const char *why = "";

		assert_int_equal(sp_addr_range_parse(cases[i].in, strlen(cases[i].in), &range, &why), -EINVAL);
		if (!strstr(why, cases[i].why))
			fail_msg("%s: %s", cases[i].in, why);
	}
}

static void test_nul_and_length(void **state)
{
	struct sp_addr addr;

	(void)state;
	assert_int_equal(sp_addr_parse("192.0.2.1\0x", 11, &addr), -EINVAL);
	assert_int_equal(sp_addr_parse("192.0.2.123", 9, &addr), 0);
	assert_int_equal(addr.b[3], 1);
}

static struct sp_addrset set_of(const char *const *texts)
{
	struct sp_addrset set = {0};

	for (; *texts; texts++) {
		struct sp_addr_range range = range_of(*texts);

		assert_int_equal(sp_addrset_add(&set, &range), 0);
	}
	sp_addrset_normalize(&set);
	return set;
}

static void assert_set(const struct sp_addrset *set, const char *expected)
{
	char text[1024] = "", buf[96];

	for (size_t i = 0; i < set->n; i++) {
		if (i)
			strcat(text, " ");
		strcat(text, sp_addr_range_format(&set->v[i], buf, sizeof(buf)));
	}
	assert_string_equal(text, expected);
}

static void test_normalize(void **state)
{
	struct sp_addrset set = set_of((const char *const[]){"2001:db8::/64", "192.0.2.128/25", "192.0.2.0/25", "255.255.255.255",
		"10.0.0.0/8", "10.1.0.0/16", "0.0.0.0", "::", "2001:db8:0:1::/64", NULL});

	(void)state;
	assert_set(&set, "0.0.0.0 10.0.0.0/8 192.0.2.0/24 255.255.255.255 :: 2001:db8::/63");
	assert_int_equal(set.n4, 4);
	sp_addrset_free(&set);
}

static void test_subtract(void **state)
{
	static const struct {
		const char *set[4], *minus[4], *result;
	} cases[] = {
		{{"10.0.0.0/8"}, {"10.0.0.0/8"}, ""},
		{{"10.0.0.0/8"}, {"0.0.0.0/0"}, ""},
		{{"10.0.0.0/8"}, {"11.0.0.0/8", "9.0.0.0/8"}, "10.0.0.0/8"},
		{{"10.0.0.0/8"}, {"10.0.0.0/9"}, "10.128.0.0/9"},
		{{"10.0.0.0/30"}, {"10.0.0.1", "10.0.0.2"}, "10.0.0.0 10.0.0.3"},
		{{"0.0.0.0/0"}, {"0.0.0.0", "255.255.255.255"}, "0.0.0.1-255.255.255.254"},
		{{"10.0.0.0", "10.0.0.2", "10.0.0.4"}, {"10.0.0.1-10.0.0.3"}, "10.0.0.0 10.0.0.4"},
		{{"::/0", "0.0.0.0/0"}, {"::/1", "128.0.0.0/1"}, "0.0.0.0/1 8000::/1"},
		{{"::/0"}, {"0.0.0.0/0"}, "::/0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_addrset set = set_of(cases[i].set), minus = set_of(cases[i].minus);

		assert_int_equal(sp_addrset_subtract(&set, &minus), 0);
		assert_set(&set, cases[i].result);
		sp_addrset_free(&set);
		sp_addrset_free(&minus);
	}
}

/* Addresses 192.0.2.0..255 as a bit each: what every operation must agree with. */
static struct sp_addrset random_set(bool model[256])
{
	struct sp_addrset set = {0};
	int n = rand() % 12;

	memset(model, 0, 256 * sizeof(*model));
	for (int i = 0; i < n; i++) {
		int lo = rand() % 256, hi = lo + rand() % 24;
		struct sp_addr_range range = {.lo = {.family = 4, .b = {192, 0, 2}}, .hi = {.family = 4, .b = {192, 0, 2}}};

		hi = hi > 255 ? 255 : hi;
		range.lo.b[3] = (uint8_t)lo;
		range.hi.b[3] = (uint8_t)hi;
		memset(model + lo, 1, (size_t)(hi - lo + 1) * sizeof(*model));
		assert_int_equal(sp_addrset_add(&set, &range), 0);
	}
	sp_addrset_normalize(&set);
	return set;
}

static void assert_model(const struct sp_addrset *set, const bool model[256])
{
	for (int i = 0; i < 256; i++) {
		struct sp_addr addr = {.family = 4, .b = {192, 0, 2, (uint8_t)i}};

		assert_int_equal(sp_addrset_contains(set, &addr), model[i]);
	}
	for (size_t i = 1; i < set->n; i++) /* disjoint and not adjacent */
		assert_true(set->v[i].lo.b[3] > set->v[i - 1].hi.b[3] + 1);
}

static void test_random_against_model(void **state)
{
	(void)state;
	srand(1);
	for (int round = 0; round < 3000; round++) {
		bool a_model[256], b_model[256];
		struct sp_addrset a = random_set(a_model), b = random_set(b_model);
		bool covers = true;

		assert_model(&a, a_model);
		for (int i = 0; i < 256; i++)
			covers &= a_model[i] || !b_model[i];
		assert_int_equal(sp_addrset_covers(&a, &b), covers);
		assert_int_equal(sp_addrset_subtract(&a, &b), 0);
		for (int i = 0; i < 256; i++)
			a_model[i] &= !b_model[i];
		assert_model(&a, a_model);
		assert_int_equal(a.n4, a.n);
		sp_addrset_free(&a);
		sp_addrset_free(&b);
	}
}

static void test_all(void **state)
{
	struct sp_addrset all = {0}, some = set_of((const char *const[]){"255.255.255.255", "::", "2001:db8::/32", NULL});
	struct sp_addr none = {0};

	(void)state;
	assert_int_equal(sp_addrset_all(&all), 0);
	assert_int_equal(all.n, 2);
	assert_int_equal(all.n4, 1);
	assert_true(sp_addrset_covers(&all, &some));
	assert_false(sp_addrset_covers(&some, &all));
	assert_false(sp_addrset_contains(&all, &none));
	sp_addrset_free(&all);
	sp_addrset_free(&some);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_and_format),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_nul_and_length),
		cmocka_unit_test(test_normalize),
		cmocka_unit_test(test_subtract),
		cmocka_unit_test(test_random_against_model),
		cmocka_unit_test(test_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
