/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which side and zone a frame of a capture comes from.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "rules/match.h"
#include "vnf/replay_wire.h"

/* A frame with these MAC addresses' last bytes (0xff: broadcast) and n VLAN tags before an EtherType and addresses. */
static struct sp_replay_frame frame(uint8_t *bytes, uint8_t dst, uint8_t src, unsigned int tags, const char *from, const char *to, bool arp)
{
	bool v6 = strchr(from, ':') != NULL;
	size_t off = 12;

	memset(bytes, 0, 128);
	memset(bytes, dst == 0xff ? 0xff : 0, 6);
	bytes[0] = dst == 0xff ? 0xff : 2;
	bytes[5] = dst;
	bytes[6] = 2;
	bytes[11] = src;
	for (unsigned int i = 0; i < tags; i++, off += 4)
		memcpy(bytes + off, i == 0 && tags == 2 ? "\x88\xa8\0\5" : "\x81\0\0\7", 4);
	memcpy(bytes + off, arp ? "\x08\x06" : v6 ? "\x86\xdd" : "\x08\0", 2);
	off += 2;
	if (arp) {
		inet_pton(AF_INET, from, bytes + off + 14);
		inet_pton(AF_INET, to, bytes + off + 24);
		return (struct sp_replay_frame){.data = bytes, .len = (uint32_t)off + 28};
	}
	inet_pton(v6 ? AF_INET6 : AF_INET, from, bytes + off + (v6 ? 8 : 12));
	inet_pton(v6 ? AF_INET6 : AF_INET, to, bytes + off + (v6 ? 24 : 16));
	return (struct sp_replay_frame){.data = bytes, .len = (uint32_t)off + (v6 ? 40 : 20)};
}

static void make_zones(struct sp_replay_zones *zones, struct sp_zones *table)
{
	char why[256];

	memset(zones, 0, sizeof(*zones));
	memset(table, 0, sizeof(*table));
	assert_int_equal(sp_replay_zones_add(zones, "outside=0.0.0.0/0,::/0", why, sizeof(why)), 0);
	assert_int_equal(sp_replay_zones_add(zones, "inside=10.0.0.0/8,2001:db8:10::/48", why, sizeof(why)), 0);
	assert_int_equal(sp_replay_zones_add(zones, "dmz=10.1.0.0/16,10.9.9.9", why, sizeof(why)), 0);
	assert_int_equal(sp_replay_zones_resolve(zones, table, why, sizeof(why)), 0);
	assert_int_equal(table->n, 3);
}

static void test_zones(void **state)
{
	enum { OUTSIDE, INSIDE, DMZ };
	static const struct {
		const char *from, *to;
		uint8_t zones[2];
	} rows[] = {
		{"10.2.3.4", "192.0.2.1", {INSIDE, OUTSIDE}},
		{"192.0.2.1", "10.2.3.4", {OUTSIDE, INSIDE}},
		{"10.1.3.4", "10.0.255.255", {DMZ, INSIDE}},
		{"10.9.9.9", "10.9.9.8", {DMZ, INSIDE}},
		{"2001:db8:10::1", "2001:db8:11::1", {INSIDE, OUTSIDE}},
	};
	struct sp_replay_zones zones;
	struct sp_zones table;
	uint8_t bytes[128], from, to;
	bool reverse, back;

	(void)state;
	make_zones(&zones, &table);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (unsigned int tags = 0; tags <= 2; tags++) {
			struct sp_replay_frame f = frame(bytes, 1, 2, tags, rows[i].from, rows[i].to, false);

			sp_replay_zones_find(&zones, &f, &from, &to, &reverse);
			assert_int_equal(from, rows[i].zones[0]);
			assert_int_equal(to, rows[i].zones[1]);
			f = frame(bytes, 1, 2, tags, rows[i].to, rows[i].from, false);
			sp_replay_zones_find(&zones, &f, &from, &to, &back);
			assert_int_equal(from, rows[i].zones[1]);
			assert_true(reverse != back);
		}
	}
}

static void test_zones_of_other_frames(void **state)
{
	struct sp_replay_zones zones;
	struct sp_zones table;
	uint8_t bytes[128], from, to;
	bool reverse;
	struct sp_replay_frame f;

	(void)state;
	make_zones(&zones, &table);
	f = frame(bytes, 0xff, 2, 0, "10.2.0.1", "192.0.2.7", true);
	sp_replay_zones_find(&zones, &f, &from, &to, &reverse);
	assert_int_equal(from, 1);
	assert_int_equal(to, 0);
	/* Every shorter frame has no address to go by, and none is read past its end (ASan). */
	f = frame(bytes, 1, 2, 1, "2001:db8:10::1", "192::1", false);
	for (uint32_t len = 0; len < f.len; len++) {
		uint8_t *copy = malloc(len + 1);
		struct sp_replay_frame shorter = {.data = copy + 1, .len = len};

		memcpy(copy + 1, bytes, len);
		sp_replay_zones_find(&zones, &shorter, &from, &to, &reverse);
		assert_int_equal(from, SP_MATCH_NO_ZONE);
		assert_int_equal(to, SP_MATCH_NO_ZONE);
		free(copy);
	}
	/* Three tags are more than the firewall reads. */
	memcpy(bytes + 12, "\x81\0\0\1\x81\0\0\1\x81\0\0\1\x08\0", 14);
	sp_replay_zones_find(&zones, &f, &from, &to, &reverse);
	assert_int_equal(from, SP_MATCH_NO_ZONE);
}

static void test_zone_texts(void **state)
{
	static const char *const bad[] = {"", "inside", "=10.0.0.0/8", "inside=", "inside=10.0.0.0/33", "inside=10.0.0.1/8",
		"inside=10.0.0.0/8,", "inside=10.0.0.0/8,,::/0", "inside=host", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=10.0.0.0/8"};
	struct sp_replay_zones zones;
	struct sp_zones table = {.n = 1, .closed = true, .name = {"inside"}};
	char why[256], *text = malloc(8192);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&zones, 0, sizeof(zones));
		if (sp_replay_zones_add(&zones, bad[i], why, sizeof(why)) == 0)
			fail_msg("\"%s\" is accepted", bad[i]);
	}
	memset(&zones, 0, sizeof(zones));
	assert_int_equal(sp_replay_zones_add(&zones, "inside=::/0", why, sizeof(why)), 0);
	assert_int_equal(sp_replay_zones_resolve(&zones, &table, why, sizeof(why)), 0);
	assert_int_equal(sp_replay_zones_add(&zones, "outside=10.0.0.0/8", why, sizeof(why)), 0);
	assert_true(sp_replay_zones_resolve(&zones, &table, why, sizeof(why)) < 0);
	assert_non_null(strstr(why, "outside"));
	/* One prefix more than there is room for. */
	memset(&zones, 0, sizeof(zones));
	assert_non_null(text);
	strcpy(text, "z=::1");
	for (int i = 1; i < SP_REPLAY_PREFIXES_MAX; i++)
		strcat(text, ",::1");
	assert_int_equal(sp_replay_zones_add(&zones, text, why, sizeof(why)), 0);
	assert_true(sp_replay_zones_add(&zones, "z=::2", why, sizeof(why)) < 0);
	free(text);
}

static void test_sides(void **state)
{
	static const struct {
		uint8_t dst, src, side;
	} rows[] = {
		{2, 1, 0},    /* the first sender is on the first side, its receiver on the other */
		{1, 2, 1},    /* which answers from there */
		{3, 2, 1},    /* 3 is opposite of 2 */
		{2, 3, 0},    /* */
		{0xff, 4, 0}, /* nothing known: first side */
		{4, 5, 1},    /* opposite of 4 */
		{2, 6, 0},    /* unknown sender, opposite of 2 */
		{1, 6, 0},    /* what was learnt stays */
	};
	struct sp_replay_sides *sides = sp_replay_sides_create();
	uint8_t bytes[128];

	(void)state;
	assert_non_null(sides);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sp_replay_frame f = frame(bytes, rows[i].dst, rows[i].src, 0, "192.0.2.1", "192.0.2.2", false);

		if (sp_replay_sides_learn(sides, &f) != rows[i].side)
			fail_msg("row %zu", i);
	}
	sp_replay_sides_free(sides);
}

static void test_sides_of_many(void **state)
{
	struct sp_replay_sides *sides = sp_replay_sides_create();
	uint8_t bytes[128];
	struct sp_replay_frame f = frame(bytes, 1, 2, 0, "192.0.2.1", "192.0.2.2", false), runt = {.data = bytes, .len = 11};

	(void)state;
	assert_non_null(sides);
	assert_int_equal(sp_replay_sides_learn(sides, &f), 0);
	/* More addresses than the table takes: it neither loops nor forgets. */
	for (uint32_t i = 0; i < 100000; i++) {
		memcpy(bytes + 8, &i, 4);
		bytes[6] = 0x06;
		sp_replay_sides_learn(sides, &f);
	}
	f = frame(bytes, 2, 1, 0, "192.0.2.1", "192.0.2.2", false);
	assert_int_equal(sp_replay_sides_learn(sides, &f), 1);
	assert_int_equal(sp_replay_sides_learn(sides, &runt), 0);
	sp_replay_sides_free(sides);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zones),
		cmocka_unit_test(test_zones_of_other_frames),
		cmocka_unit_test(test_zone_texts),
		cmocka_unit_test(test_sides),
		cmocka_unit_test(test_sides_of_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
