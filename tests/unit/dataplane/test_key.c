/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <rte_common.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/key.h"

/* xorshift64: the same keys in every run. */
static uint64_t state = 0x2545f4914f6cdd1d;

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static struct sp_key random_key(bool v6)
{
	struct sp_key key = {.family = v6 ? SP_FAMILY_IPV6 : SP_FAMILY_IPV4};

	key.proto = (uint8_t)draw();
	key.sport = (uint16_t)draw();
	key.dport = (uint16_t)draw();
	key.vlan = draw() & 0xfff;
	key.vlan_inner = draw() & 0xfff;
	key.domain = (uint16_t)draw();
	for (size_t i = 0; i < (v6 ? sizeof(key.v6) : sizeof(key.v4)); i++)
		((uint8_t *)&key.v6)[i] = (uint8_t)draw();
	return key;
}

static void test_symmetric(void **unused)
{
	(void)unused;
	for (int i = 0; i < 100000; i++) {
		struct sp_key key = random_key(i & 1), reverse, back;

		sp_key_reverse(&key, &reverse);
		assert_int_equal(sp_key_hash(&key), sp_key_hash(&reverse));
		sp_key_reverse(&reverse, &back);
		assert_memory_equal(&key, &back, sizeof(key));
		reverse.aux ^= 0x0800;
		assert_int_equal(sp_key_hash(&key), sp_key_hash(&reverse));
	}
}

/* Every field but aux and zero must count, ports belong to their address, and an IPv4 hash reads no more than SP_KEY4_BYTES. */
static void test_fields_count(void **unused)
{
	(void)unused;
	for (int i = 0; i < 2000; i++) {
		struct sp_key key = random_key(i & 1), other;
		size_t bytes = i & 1 ? SP_KEY6_BYTES : SP_KEY4_BYTES;

		for (size_t at = 0; at < sizeof(key); at++) {
			bool counts = at < bytes && (at < offsetof(struct sp_key, aux) || at >= offsetof(struct sp_key, v4));

			if (at == offsetof(struct sp_key, family))
				continue;
			other = key;
			((uint8_t *)&other)[at] ^= (uint8_t)(1 << i % 8);
			assert_int_equal(sp_key_hash(&key) != sp_key_hash(&other), counts);
		}
		other = key;
		other.sport = key.dport;
		other.dport = key.sport;
		assert_true(key.sport == key.dport || sp_key_hash(&key) != sp_key_hash(&other));
	}
}

#define BUCKETS (1u << 16)
#define PER     16u /* keys a bucket on average */

/* Chi-square over 2^16 buckets of the low and of the high bits; its mean is 65,535, its deviation 362: 8 deviations are allowed. */
static void check_spread(void (*make)(uint32_t i, struct sp_key *key))
{
	uint32_t *low = calloc(BUCKETS, sizeof(*low)), *high = calloc(BUCKETS, sizeof(*high));
	double chi_low = 0, chi_high = 0;

	assert_non_null(low);
	assert_non_null(high);
	for (uint32_t i = 0; i < BUCKETS * PER; i++) {
		struct sp_key key = {0};
		uint64_t hash;

		make(i, &key);
		hash = sp_key_hash(&key);
		low[hash & (BUCKETS - 1)]++;
		high[(uint32_t)hash >> 16]++;
	}
	for (uint32_t i = 0; i < BUCKETS; i++) {
		chi_low += ((double)low[i] - PER) * ((double)low[i] - PER) / PER;
		chi_high += ((double)high[i] - PER) * ((double)high[i] - PER) / PER;
	}
	assert_true(chi_low < 65535 + 8 * 362);
	assert_true(chi_high < 65535 + 8 * 362);
	/* Fewer collisions than chance would be as suspicious: a counter passed through. */
	assert_true(chi_low > 65535 - 8 * 362);
	free(low);
	free(high);
}

static void make_random4(uint32_t i, struct sp_key *key)
{
	(void)i;
	*key = random_key(false);
}

static void make_random6(uint32_t i, struct sp_key *key)
{
	(void)i;
	*key = random_key(true);
}

static void make_ports4(uint32_t i, struct sp_key *key)
{
	key->family = SP_FAMILY_IPV4;
	key->proto = IPPROTO_TCP;
	key->v4.src = RTE_BE32(0x0a000001);
	key->v4.dst = RTE_BE32(0xc0000201) + (i >> 16);
	key->sport = rte_cpu_to_be_16((uint16_t)i);
	key->dport = RTE_BE16(443);
}

static void make_addresses4(uint32_t i, struct sp_key *key)
{
	make_ports4(0, key);
	key->v4.src = rte_cpu_to_be_32(0x0a000000 + i);
}

static void make_pairs4(uint32_t i, struct sp_key *key)
{
	make_ports4(0, key);
	key->v4.src = rte_cpu_to_be_32(0x0a000000 + (i >> 10));
	key->v4.dst = rte_cpu_to_be_32(0x0a010000 + (i & 1023));
}

static void make_ports6(uint32_t i, struct sp_key *key)
{
	key->family = SP_FAMILY_IPV6;
	key->proto = IPPROTO_UDP;
	key->v6.src[0] = key->v6.dst[0] = 0x20;
	key->v6.src[15] = 1;
	key->v6.dst[15] = (uint8_t)(2 + (i >> 16));
	key->sport = rte_cpu_to_be_16((uint16_t)i);
	key->dport = RTE_BE16(53);
}

static void make_addresses6(uint32_t i, struct sp_key *key)
{
	make_ports6(0, key);
	i = rte_cpu_to_be_32(i);
	memcpy(key->v6.src + 12, &i, sizeof(i));
}

static void make_prefixes6(uint32_t i, struct sp_key *key)
{
	make_ports6(0, key);
	i = rte_cpu_to_be_32(i);
	memcpy(key->v6.src + 4, &i, sizeof(i));
}

static void test_spread(void **unused)
{
	(void)unused;
	check_spread(make_random4);
	check_spread(make_random6);
	check_spread(make_ports4);
	check_spread(make_addresses4);
	check_spread(make_pairs4);
	check_spread(make_ports6);
	check_spread(make_addresses6);
	check_spread(make_prefixes6);
}

/* One bit of input must flip half of the output bits, on average. */
static void test_avalanche(void **unused)
{
	uint64_t flips = 0, n = 0;

	(void)unused;
	for (int i = 0; i < 2000; i++) {
		struct sp_key key = random_key(i & 1), other;

		for (size_t bit = 0; bit < 32; bit++) {
			other = key;
			((uint8_t *)&other)[bit / 8] ^= (uint8_t)(1 << bit % 8);
			flips += (uint64_t)__builtin_popcountll(sp_key_hash(&key) ^ sp_key_hash(&other));
			n++;
		}
	}
	assert_in_range(flips * 100 / n, 3100, 3300);
}

static void test_seed_changes_hashes(void **unused)
{
	struct sp_key keys[64];
	uint64_t before[64];
	unsigned int same = 0;

	(void)unused;
	for (size_t i = 0; i < RTE_DIM(keys); i++) {
		keys[i] = random_key(i & 1);
		before[i] = sp_key_hash(&keys[i]);
	}
	assert_int_equal(sp_key_seed(), 0);
	for (size_t i = 0; i < RTE_DIM(keys); i++)
		same += sp_key_hash(&keys[i]) == before[i];
	assert_int_equal(same, 0);
}

static void test_reverse_icmp(void **unused)
{
	static const struct {
		uint8_t family, proto;
		uint16_t aux, reversed;
	} table[] = {
		{SP_FAMILY_IPV4, IPPROTO_ICMP, 8 << 8, 0},
		{SP_FAMILY_IPV4, IPPROTO_ICMP, 13 << 8, 14 << 8},
		{SP_FAMILY_IPV4, IPPROTO_ICMP, 0, 0},
		{SP_FAMILY_IPV4, IPPROTO_ICMP, 5 << 8 | 1, 5 << 8 | 1},
		{SP_FAMILY_IPV4, IPPROTO_ICMPV6, 8 << 8, 8 << 8},
		{SP_FAMILY_IPV4, IPPROTO_UDP, 8 << 8, 8 << 8},
		{SP_FAMILY_IPV6, IPPROTO_ICMPV6, 128 << 8, 129 << 8},
		{SP_FAMILY_IPV6, IPPROTO_ICMPV6, 135 << 8, 135 << 8},
		{SP_FAMILY_IPV6, IPPROTO_ICMP, 8 << 8, 8 << 8},
	};

	(void)unused;
	for (size_t i = 0; i < RTE_DIM(table); i++) {
		struct sp_key key = random_key(table[i].family == SP_FAMILY_IPV6), out;

		key.proto = table[i].proto;
		key.aux = table[i].aux;
		sp_key_reverse(&key, &out);
		assert_int_equal(out.aux, table[i].reversed);
		assert_int_equal(out.sport, key.dport);
		assert_int_equal(out.dport, key.sport);
		/* In place as well. */
		sp_key_reverse(&key, &key);
		assert_memory_equal(&key, &out, sizeof(key));
	}
	assert_true(sp_icmp_is_query(SP_FAMILY_IPV4, 8) && sp_icmp_is_reply(SP_FAMILY_IPV4, 14) && sp_icmp_is_query(SP_FAMILY_IPV6, 128));
	assert_false(sp_icmp_is_query(SP_FAMILY_IPV4, 128) || sp_icmp_is_reply(SP_FAMILY_IPV6, 0) || sp_icmp_is_query(SP_FAMILY_NONE, 8));
}

/*
 * Keys that an attacker found to collide under one secret, in all that bucket, tag and owner are made of (the low 32 bits of the hash, of
 * which 16 are asked for here), are spread under the next as any others are.
 */
static void test_collisions_do_not_outlive_the_seed(void **unused)
{
	enum { CHOSEN = 64 };
	(void)unused;

	for (int v6 = 0; v6 < 2; v6++) {
		static struct sp_key chosen[CHOSEN];
		unsigned int n = 0, same = 0;

		assert_int_equal(sp_key_seed(), 0);
		while (n < CHOSEN) {
			struct sp_key key = random_key(v6);

			if ((uint32_t)sp_key_hash(&key) >> 16 == 0x5a5a)
				chosen[n++] = key;
		}
		assert_int_equal(sp_key_seed(), 0);
		for (unsigned int i = 0; i < CHOSEN; i++)
			for (unsigned int j = 0; j < i; j++)
				same += (uint32_t)sp_key_hash(&chosen[i]) >> 16 == (uint32_t)sp_key_hash(&chosen[j]) >> 16;
		assert_in_range(same, 0, 3); /* of 2,016 pairs, with one in 65,536 each */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_symmetric),
		cmocka_unit_test(test_fields_count),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_avalanche),
		cmocka_unit_test(test_reverse_icmp),
		cmocka_unit_test(test_seed_changes_hashes),
		cmocka_unit_test(test_collisions_do_not_outlive_the_seed),
		cmocka_unit_test(test_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
