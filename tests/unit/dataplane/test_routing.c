/* SPDX-License-Identifier: BSD-3-Clause */
/* The routing tables against a plain list of prefixes, and that nothing is used again while a worker may hold it. */
#include "dataplane/routing.h"

#include <arpa/inet.h>
#include <errno.h>
#include <rte_malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/eal.h"

#define ROUTES_MAX 2048
#define PROBES     20000

static struct sp_routing *routing;
static struct rte_rcu_qsbr *qsbr;

static const struct sp_route_config small = {.max4 = 4096, .max6 = 2048, .neighbours = 256, .queue = 4, .waiting = 64};

static int setup(void **state)
{
	const struct sp_link link = {.name = "in", .mtu = 1500};

	(void)state;
	sp_test_eal();
	qsbr = rte_zmalloc("qsbr", rte_rcu_qsbr_get_memsize(1), 64);
	if (qsbr == NULL || rte_rcu_qsbr_init(qsbr, 1) != 0)
		return -1;
	routing = sp_routing_create(&small, qsbr, SOCKET_ID_ANY);
	return routing == NULL ? -1 : sp_routing_add_link(routing, &link);
}

static int teardown(void **state)
{
	(void)state;
	sp_routing_free(routing);
	rte_free(qsbr);
	return 0;
}

static void parse(const char *text, uint8_t *family, uint8_t address[16])
{
	memset(address, 0, 16);
	*family = strchr(text, ':') != NULL ? SP_FAMILY_IPV6 : SP_FAMILY_IPV4;
	assert_int_equal(inet_pton(*family == SP_FAMILY_IPV4 ? AF_INET : AF_INET6, text, address), 1);
}

static void set(const char *text, uint8_t bits, uint32_t id)
{
	uint8_t family, address[16];

	parse(text, &family, address);
	assert_int_equal(sp_route_set(routing, family, address, bits, id), 0);
}

static int drop(const char *text, uint8_t bits)
{
	uint8_t family, address[16];

	parse(text, &family, address);
	return sp_route_delete(routing, family, address, bits);
}

static uint32_t at(const char *text)
{
	uint8_t family, address[16];

	parse(text, &family, address);
	return sp_route_lookup(routing, family, address);
}

static uint32_t glean(void)
{
	uint32_t id;

	assert_int_equal(sp_nexthop_create(routing, 0, SP_FAMILY_IPV4, NULL, &id), 0);
	return id;
}

static void longest_prefix_wins(void **state)
{
	uint32_t a = glean(), b = glean(), c = glean();

	(void)state;
	assert_int_equal(at("192.0.2.1"), SP_NEXTHOP_ID_UNREACHABLE);
	set("0.0.0.0", 0, a);
	set("192.0.2.0", 24, b);
	set("192.0.2.1", 32, SP_NEXTHOP_ID_SELF);
	set("::", 0, a);
	set("2001:db8::", 32, c);
	set("2001:db8::1", 128, SP_NEXTHOP_ID_SELF);
	assert_int_equal(at("192.0.2.1"), SP_NEXTHOP_ID_SELF);
	assert_int_equal(at("192.0.2.2"), b);
	assert_int_equal(at("198.51.100.1"), a);
	assert_int_equal(at("2001:db8::1"), SP_NEXTHOP_ID_SELF);
	assert_int_equal(at("2001:db8::2"), c);
	assert_int_equal(at("2001:db9::2"), a);
	set("192.0.2.0", 24, c);
	assert_int_equal(at("192.0.2.2"), c);
	assert_int_equal(sp_routing_counters(routing)->routes4, 3);
	assert_int_equal(sp_routing_counters(routing)->routes6, 3);
	assert_int_equal(drop("192.0.2.0", 24), 0);
	assert_int_equal(drop("192.0.2.0", 24), -ENOENT);
	assert_int_equal(drop("192.0.2.0", 25), -ENOENT);
	assert_int_equal(at("192.0.2.2"), a);
	assert_int_equal(at("192.0.2.1"), SP_NEXTHOP_ID_SELF);
	assert_int_equal(drop("0.0.0.0", 0), 0);
	assert_int_equal(at("192.0.2.2"), SP_NEXTHOP_ID_UNREACHABLE);
	assert_int_equal(drop("2001:db8::", 32), 0);
	assert_int_equal(at("2001:db8::2"), a);
	assert_int_equal(sp_routing_counters(routing)->routes4, 1);
}

static void bad_prefixes_are_refused(void **state)
{
	static const uint8_t host[16] = {192, 0, 2, 1};

	(void)state;
	assert_int_equal(sp_route_set(routing, SP_FAMILY_IPV4, host, 24, SP_NEXTHOP_ID_SELF), -EINVAL);
	assert_int_equal(sp_route_set(routing, SP_FAMILY_IPV4, host, 33, SP_NEXTHOP_ID_SELF), -EINVAL);
	assert_int_equal(sp_route_set(routing, SP_FAMILY_IPV6, host, 31, SP_NEXTHOP_ID_SELF), -EINVAL);
	assert_int_equal(sp_route_set(routing, SP_FAMILY_NONE, host, 32, SP_NEXTHOP_ID_SELF), -EINVAL);
	assert_int_equal(sp_route_set(routing, SP_FAMILY_IPV4, host, 32, routing->n_nexthops), -EINVAL);
	assert_int_equal(at("192.0.2.1"), SP_NEXTHOP_ID_UNREACHABLE);
}

struct prefix {
	uint32_t address;
	uint8_t bits;
	uint32_t id;
	bool live;
};

static uint32_t mask(uint8_t bits)
{
	return bits == 0 ? 0 : UINT32_MAX << (32 - bits);
}

static uint32_t slow(const struct prefix *prefixes, unsigned int n, uint32_t address)
{
	uint32_t id = SP_NEXTHOP_ID_UNREACHABLE;
	int best = -1;

	for (unsigned int i = 0; i < n; i++)
		if (prefixes[i].live && (address & mask(prefixes[i].bits)) == prefixes[i].address && prefixes[i].bits > best) {
			best = prefixes[i].bits;
			id = prefixes[i].id;
		}
	return id;
}

/* Random prefixes in a small corner, so that they nest; random withdrawals. */
static void agrees_with_a_plain_list(void **state)
{
	struct prefix *prefixes = calloc(ROUTES_MAX, sizeof(*prefixes));
	unsigned int n = 0;

	(void)state;
	srandom(7);
	for (unsigned int step = 0; step < ROUTES_MAX; step++) {
		uint8_t bits = (uint8_t)(8 + random() % 25), bytes[16] = {0};
		uint32_t address = (UINT32_C(10) << 24 | (uint32_t)(random() & 0x3ffff)) & mask(bits), id = (uint32_t)(random() % 2000);
		rte_be32_t be = rte_cpu_to_be_32(address);
		unsigned int i = 0;

		while (i < n && (prefixes[i].address != address || prefixes[i].bits != bits))
			i++;
		memcpy(bytes, &be, sizeof(be));
		if (i < n && prefixes[i].live && random() % 2 == 0) {
			assert_int_equal(sp_route_delete(routing, SP_FAMILY_IPV4, bytes, bits), 0);
			prefixes[i].live = false;
			continue;
		}
		id %= routing->n_nexthops;
		assert_int_equal(sp_route_set(routing, SP_FAMILY_IPV4, bytes, bits, id), 0);
		prefixes[i] = (struct prefix){address, bits, id, true};
		n += i == n;
	}
	for (unsigned int probe = 0; probe < PROBES; probe++) {
		uint32_t address = UINT32_C(10) << 24 | (uint32_t)(random() & 0x3ffff);
		uint64_t id;

		sp_route_lookup4_burst(routing, &address, &id, 1);
		assert_int_equal(id, slow(prefixes, n, address));
	}
	free(prefixes);
}

/* A worker that has not been quiescent since may still hold what was retired. */
static void retired_next_hops_rest_for_a_grace_period(void **state)
{
	uint32_t first = glean(), again;

	(void)state;
	rte_rcu_qsbr_thread_register(qsbr, 0);
	rte_rcu_qsbr_thread_online(qsbr, 0);
	sp_nexthop_retire(routing, first);
	for (unsigned int i = 0; i < 100; i++) {
		again = glean();
		assert_int_not_equal(again, first);
	}
	rte_rcu_qsbr_quiescent(qsbr, 0);
	again = glean();
	assert_int_equal(again, first);
	assert_int_equal(routing->nexthops[again].mac, 0);
	rte_rcu_qsbr_thread_offline(qsbr, 0);
	rte_rcu_qsbr_thread_unregister(qsbr, 0);
}

static void next_hops_run_out_and_come_back(void **state)
{
	uint32_t *ids = calloc(routing->n_nexthops, sizeof(*ids));
	unsigned int n = 0;

	(void)state;
	while (sp_nexthop_create(routing, 0, SP_FAMILY_IPV4, NULL, &ids[n]) == 0)
		n++;
	assert_int_equal(n, routing->n_nexthops - SP_NEXTHOP_ID_FIRST);
	assert_int_equal(sp_nexthop_create(routing, 0, SP_FAMILY_IPV4, NULL, &ids[n]), -ENOSPC);
	for (unsigned int i = 0; i < n; i++)
		sp_nexthop_retire(routing, ids[i]);
	for (unsigned int i = 0; i < n; i++)
		glean();
	free(ids);
}

static void groups_spread_flows_and_keep_them(void **state)
{
	uint32_t members[3] = {glean(), glean(), glean()}, group, counts[3] = {0};

	(void)state;
	assert_int_equal(sp_nexthop_group(routing, members, 0, &group), -EINVAL);
	assert_int_equal(sp_nexthop_group(routing, members, SP_GROUP_MAX + 1, &group), -EINVAL);
	assert_int_equal(sp_nexthop_group(routing, members, 3, &group), 0);
	srandom(1);
	for (unsigned int i = 0; i < 30000; i++) {
		uint32_t hash = (uint32_t)random() * 2654435761u, id = sp_nexthop_of_flow(routing, group, hash);

		assert_int_equal(sp_nexthop_of_flow(routing, group, hash), id);
		for (unsigned int m = 0; m < 3; m++)
			counts[m] += members[m] == id;
	}
	for (unsigned int m = 0; m < 3; m++)
		assert_in_range(counts[m], 9500, 10500);
	assert_int_equal(sp_nexthop_of_flow(routing, members[0], 5), members[0]);
}

static void a_neighbour_is_one_word(void **state)
{
	static const uint8_t mac[6] = {2, 0x11, 0x22, 0x33, 0x44, 0xff}, address[4] = {192, 0, 2, 9};
	uint32_t id;

	(void)state;
	assert_int_equal(sp_nexthop_create(routing, 0, SP_FAMILY_IPV4, address, &id), 0);
	assert_int_equal(routing->nexthops[id].kind, SP_NEXTHOP_NEIGHBOUR);
	assert_memory_equal(routing->nexthops[id].address, address, 4);
	sp_nexthop_resolved(routing, id, mac);
	assert_int_equal(routing->nexthops[id].mac, SP_NEIGHBOUR_RESOLVED | UINT64_C(0xff4433221102));
	sp_nexthop_failed(routing, id);
	assert_int_equal(routing->nexthops[id].mac, SP_NEIGHBOUR_FAILED);
	sp_nexthop_unknown(routing, id);
	assert_int_equal(routing->nexthops[id].mac, 0);
}

static void addresses_are_replaced_as_a_whole(void **state)
{
	struct sp_link_addresses addresses = {.n4 = 1, .v4 = {RTE_BE32(0xc0000201)}};

	(void)state;
	assert_int_equal(sp_link_addresses(&routing->links[0])->n4, 0);
	assert_int_equal(sp_link_set_addresses(routing, 0, &addresses), 0);
	assert_int_equal(sp_link_addresses(&routing->links[0])->v4[0], RTE_BE32(0xc0000201));
	for (unsigned int i = 0; i < 10000; i++)
		assert_int_equal(sp_link_set_addresses(routing, 0, &addresses), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(longest_prefix_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_prefixes_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(agrees_with_a_plain_list, setup, teardown),
		cmocka_unit_test_setup_teardown(retired_next_hops_rest_for_a_grace_period, setup, teardown),
		cmocka_unit_test_setup_teardown(next_hops_run_out_and_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(groups_spread_flows_and_keep_them, setup, teardown),
		cmocka_unit_test_setup_teardown(a_neighbour_is_one_word, setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_are_replaced_as_a_whole, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
