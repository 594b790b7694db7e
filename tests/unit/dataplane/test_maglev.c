/* SPDX-License-Identifier: BSD-3-Clause */
/* Shares, disruption and determinism of the table of backends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/maglev.h"

#define MANY  1024
#define POOLS 20 /* different pools in the tests that judge by numbers */

static struct sp_maglev table, other;

/* The n-th backend of a pool: an address of 198.18.0.0/15, or of 2001:db8::/32 for odd pools. */
static struct sp_maglev_backend backend(unsigned int pool, unsigned int n)
{
	struct sp_maglev_backend backend = {.port = (uint16_t)(pool % 3 == 0 ? 0 : 8000 + pool), .live = true};
	uint8_t *b = backend.address.b;

	if (pool % 2 == 0) {
		backend.address.family = SP_FAMILY_IPV4;
		memcpy(b, (const uint8_t[]){198, 18 + (pool >> 7 & 1), 0, 0}, 4);
		b[2] = (uint8_t)(pool << 2 | n >> 8);
		b[3] = (uint8_t)n;
		return backend;
	}
	backend.address.family = SP_FAMILY_IPV6;
	memcpy(b, (const uint8_t[]){0x20, 0x01, 0x0d, 0xb8}, 4);
	b[5] = (uint8_t)pool;
	b[14] = (uint8_t)(n >> 8);
	b[15] = (uint8_t)n;
	return backend;
}

static void fill(struct sp_maglev_backend *backends, unsigned int pool, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		backends[i] = backend(pool, i);
}

static void build(struct sp_maglev *out, const struct sp_maglev_backend *backends, unsigned int n)
{
	assert_int_equal(sp_maglev_build(out, backends, n), 0);
}

/* FNV-1a over the slots in their order, low byte first. */
static uint64_t digest(const struct sp_maglev *of)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (unsigned int s = 0; s < SP_MAGLEV_SLOTS; s++) {
		hash = (hash ^ (of->slot[s] & 0xff)) * 0x100000001b3u;
		hash = (hash ^ of->slot[s] >> 8) * 0x100000001b3u;
	}
	return hash;
}

/* 3.4 of the paper: turns make the shares even, up to one slot; with 100 slots a backend that is the 1 % it speaks of. */
static void shares_are_even(void **state)
{
	static const unsigned int sizes[] = {1, 2, 3, 10, 64, 100, 655, MANY};
	static struct sp_maglev_backend backends[MANY];
	unsigned int share[MANY];

	(void)state;
	for (unsigned int pool = 0; pool < POOLS; pool++)
		for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			unsigned int n = sizes[i];

			fill(backends, pool, n);
			build(&table, backends, n);
			memset(share, 0, sizeof(share));
			for (unsigned int s = 0; s < SP_MAGLEV_SLOTS; s++) {
				assert_in_range(table.slot[s], 0, n - 1);
				share[table.slot[s]]++;
			}
			for (unsigned int b = 0; b < n; b++)
				assert_in_range(share[b], SP_MAGLEV_SLOTS / n, (SP_MAGLEV_SLOTS + n - 1) / n);
		}
}

/* Flows of the backends but `gone` that the two tables send to different ones, and of how many. */
static unsigned int moved(unsigned int gone, unsigned int *of)
{
	unsigned int moves = 0;

	*of = 0;
	for (uint32_t flow = 0; flow < 200000; flow++) {
		uint32_t hash = flow * 2654435761u; /* of each stretch of hashes equally many */
		uint16_t before = sp_maglev_choose(&table, hash);

		if (before == gone)
			continue;
		++*of;
		moves += sp_maglev_choose(&other, hash) != before;
	}
	return moves;
}

/* One of ten goes, and comes back: at most 12 % of what the other nine had goes elsewhere, and all of it comes back. */
static void few_flows_move(void **state)
{
	struct sp_maglev_backend backends[10];
	unsigned int of, worst = 0;

	(void)state;
	for (unsigned int pool = 0; pool < POOLS; pool++) {
		fill(backends, pool, 10);
		build(&table, backends, 10);
		for (unsigned int gone = 0; gone < 10; gone++) {
			unsigned int moves;

			backends[gone].live = false;
			build(&other, backends, 10);
			moves = moved(gone, &of);
			assert_true(of > 150000);
			assert_true(moves * 100 <= of * 12);
			worst = moves * 1000 / of > worst ? moves * 1000 / of : worst;
			for (unsigned int s = 0; s < SP_MAGLEV_SLOTS; s++)
				assert_int_not_equal(other.slot[s], gone);
			backends[gone].live = true;
			build(&other, backends, 10);
			assert_memory_equal(&other, &table, sizeof(table));
		}
	}
	print_message("one of ten gone: at most %u.%u %% of the others' flows moved\n", worst / 10, worst % 10);
}

/* The eleventh takes its share; what does not go to it moves little. */
static void one_more_moves_few(void **state)
{
	struct sp_maglev_backend backends[11];
	unsigned int moves, taken;

	(void)state;
	for (unsigned int pool = 0; pool < POOLS; pool++) {
		fill(backends, pool, 11);
		build(&table, backends, 10);
		build(&other, backends, 11);
		moves = taken = 0;
		for (unsigned int s = 0; s < SP_MAGLEV_SLOTS; s++) {
			taken += other.slot[s] == 10;
			moves += other.slot[s] != 10 && other.slot[s] != table.slot[s];
		}
		assert_in_range(taken, SP_MAGLEV_SLOTS / 11, SP_MAGLEV_SLOTS / 11 + 1);
		assert_true(moves * 100 <= (SP_MAGLEV_SLOTS - taken) * 12);
	}
}

static void a_dead_one_is_as_one_not_named(void **state)
{
	struct sp_maglev_backend backends[10];

	(void)state;
	fill(backends, 4, 10);
	backends[9].live = false;
	build(&table, backends, 10);
	build(&other, backends, 9);
	assert_memory_equal(&table, &other, sizeof(table));
}

static void order_does_not_matter(void **state)
{
	static struct sp_maglev_backend backends[MANY], shuffled[MANY];
	unsigned int place[MANY];
	uint32_t random = 12345;

	(void)state;
	fill(backends, 1, 10);
	fill(backends + 10, 2, MANY - 10);
	for (unsigned int i = 0; i < MANY; i++)
		place[i] = i;
	for (unsigned int i = MANY - 1; i > 0; i--) {
		unsigned int j, kept = place[i];

		random = random * 1664525u + 1013904223u;
		j = (random >> 8) % (i + 1);
		place[i] = place[j];
		place[j] = kept;
	}
	for (unsigned int i = 0; i < MANY; i++)
		shuffled[place[i]] = backends[i];
	build(&table, backends, MANY);
	build(&other, shuffled, MANY);
	for (unsigned int s = 0; s < SP_MAGLEV_SLOTS; s++)
		assert_int_equal(other.slot[s], place[table.slot[s]]);
}

/* The tables were computed by a program of its own from the description in the paper and SipHash-2-4: two firewalls agree, of any version.
 */
static void answers_are_known(void **state)
{
	static const struct {
		unsigned int pool, n;
		uint16_t first[8];
		uint64_t digest;
	} known[] = {
		{0, 10, {9, 7, 9, 6, 9, 4, 1, 4}, 0x7e5d9f6ba512b303u},
		{3, 7, {4, 0, 1, 4, 5, 6, 5, 2}, 0x321714c4b4acfd46u},
		{2, 1024, {626, 1020, 696, 41, 304, 389, 1006, 811}, 0x4eda611b72c2ac21u},
	};
	static struct sp_maglev_backend backends[MANY];

	(void)state;
	for (unsigned int k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
		fill(backends, known[k].pool, known[k].n);
		build(&table, backends, known[k].n);
		for (unsigned int s = 0; s < 8; s++)
			assert_int_equal(table.slot[s], known[k].first[s]);
		assert_true(digest(&table) == known[k].digest);
	}
}

static void address_and_port_count(void **state)
{
	struct sp_maglev_backend backends[3];

	(void)state;
	fill(backends, 2, 3);
	build(&table, backends, 3);
	backends[1].port++;
	build(&other, backends, 3);
	assert_memory_not_equal(&table, &other, sizeof(table));
	backends[1].port--;
	build(&other, backends, 3);
	assert_memory_equal(&table, &other, sizeof(table));
	/* 198.18.8.0 and c612:800:: are not the same backend */
	backends[0].address.family = SP_FAMILY_IPV6;
	build(&other, backends, 3);
	assert_memory_not_equal(&table, &other, sizeof(table));
}

static void all_dead_is_none(void **state)
{
	struct sp_maglev_backend backends[10];

	(void)state;
	fill(backends, 6, 10);
	build(&table, backends, 10);
	for (unsigned int i = 0; i < 10; i++)
		backends[i].live = false;
	build(&table, backends, 10);
	for (unsigned int s = 0; s < SP_MAGLEV_SLOTS; s++)
		assert_int_equal(table.slot[s], SP_MAGLEV_NONE);
	assert_int_equal(sp_maglev_choose(&table, 0), SP_MAGLEV_NONE);
	assert_int_equal(sp_maglev_choose(&table, UINT32_MAX), SP_MAGLEV_NONE);
}

static void the_last_alive_takes_all(void **state)
{
	struct sp_maglev_backend backends[10];

	(void)state;
	fill(backends, 7, 10);
	for (unsigned int i = 0; i < 10; i++)
		backends[i].live = i == 7;
	build(&table, backends, 10);
	for (unsigned int s = 0; s < SP_MAGLEV_SLOTS; s++)
		assert_int_equal(table.slot[s], 7);
	assert_int_equal(sp_maglev_choose(&table, 0), 7);
	assert_int_equal(sp_maglev_choose(&table, UINT32_MAX), 7);
}

/* The same backend twice is two with one permutation: they share evenly all the same. */
static void the_same_backend_twice_shares(void **state)
{
	static struct sp_maglev_backend backends[MANY];
	unsigned int share[MANY] = {0};

	(void)state;
	for (unsigned int i = 0; i < MANY; i++)
		backends[i] = backend(2, 5);
	build(&table, backends, MANY);
	for (unsigned int s = 0; s < SP_MAGLEV_SLOTS; s++)
		share[table.slot[s]]++;
	for (unsigned int i = 0; i < MANY; i++)
		assert_in_range(share[i], SP_MAGLEV_SLOTS / MANY, SP_MAGLEV_SLOTS / MANY + 1);
}

/* Every slot is reached, none beyond the table. */
static void every_slot_is_chosen(void **state)
{
	static bool seen[SP_MAGLEV_SLOTS];

	(void)state;
	memset(&table, 0xff, sizeof(table));
	for (unsigned int s = 0; s < SP_MAGLEV_SLOTS; s++)
		table.slot[s] = (uint16_t)s; /* the last one wraps to 0 */
	for (uint64_t hash = 0; hash <= UINT32_MAX; hash += 32749) {
		uint16_t slot = sp_maglev_choose(&table, (uint32_t)hash);

		assert_true(hash < UINT32_MAX - 65536 ? slot == hash * SP_MAGLEV_SLOTS >> 32 : true);
		seen[slot] = true;
	}
	for (unsigned int s = 0; s < SP_MAGLEV_SLOTS - 1; s++)
		assert_true(seen[s]);
	table.slot[SP_MAGLEV_SLOTS - 1] = 4711;
	assert_int_equal(sp_maglev_choose(&table, UINT32_MAX), 4711);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares_are_even),
		cmocka_unit_test(few_flows_move),
		cmocka_unit_test(one_more_moves_few),
		cmocka_unit_test(a_dead_one_is_as_one_not_named),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(answers_are_known),
		cmocka_unit_test(address_and_port_count),
		cmocka_unit_test(all_dead_is_none),
		cmocka_unit_test(the_last_alive_takes_all),
		cmocka_unit_test(the_same_backend_twice_shares),
		cmocka_unit_test(every_slot_is_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
