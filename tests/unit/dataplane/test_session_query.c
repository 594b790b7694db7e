/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/session_fixture.h"

#include "dataplane/alloc.h"
#include "dataplane/session_query.h"
#include "dataplane/worker.h"
#include "tests/unit/support/eal.h"

#define MAX4 3000
#define MAX6 2000

struct fixture {
	struct sp_worker *worker;
	struct sp_session_query *query;
};

/* Sessions 0 to 2999 of IPv4 and 0 to 1999 of IPv6; every third is TCP, the rest UDP; rule slot is the number modulo 10. */
static int open_table(void **state)
{
	struct fixture *fixture = test_calloc(1, sizeof(*fixture));

	fixture->worker = sp_alloc("worker", sizeof(*fixture->worker), 64, SOCKET_ID_ANY);
	assert_non_null(fixture->worker);
	fixture->query = test_calloc(1, sizeof(*fixture->query));
	fixture->worker->sessions = table_of(MAX4, MAX6);
	fixture->worker->burst.now_ms = 5000;
	for (uint32_t i = 0; i < MAX4; i++)
		for (unsigned int f = 0; f < 2; f++) {
			uint8_t proto = i % 3 == 0 ? IPPROTO_TCP : IPPROTO_UDP;
			struct sp_key key = key_of(f == 0 ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6, proto, i);
			uint8_t first = proto == IPPROTO_TCP ? SP_STATE_TCP_ESTABLISHED : SP_STATE_UDP_NEW;
			uint32_t ref = f == 0 || i < MAX6 ? insert_key(fixture->worker->sessions, &key, first, 1000) : SP_SESSION_NONE;

			if (ref != SP_SESSION_NONE)
				sp_session_state(fixture->worker->sessions, ref)->slot = i % 10;
		}
	*state = fixture;
	return 0;
}

static int close_table(void **state)
{
	struct fixture *fixture = *state;

	assert_consistent(fixture->worker->sessions);
	sp_sessions_free(fixture->worker->sessions);
	test_free(fixture->query);
	sp_free(fixture->worker);
	test_free(fixture);
	return 0;
}

/* What an asker does: posts until the walk is over. Returns rows or kills in all. */
static unsigned int ask(struct fixture *fixture, const struct sp_session_filter *filter, bool kill, uint32_t limit)
{
	struct sp_session_query *query = fixture->query;
	unsigned int total = 0, runs = 0;

	sp_session_query_init(query, filter, kill, limit);
	while (query->more) {
		uint64_t before = query->cursor;

		query->request.run(fixture->worker, &query->request);
		assert_in_range(query->n_rows, 0, query->limit);
		assert_int_equal(kill ? query->n_rows : query->killed, 0);
		if (query->more)
			assert_true(query->cursor > before);
		total += kill ? query->killed : query->n_rows;
		assert_in_range(runs++, 0, MAX4 + MAX6);
	}
	return total;
}

static void all_are_listed_once_for_any_limit(void **state)
{
	const uint32_t limits[] = {1, 7, 255, 256, 0, 257, UINT32_MAX};
	struct sp_session_filter all = {0};

	for (unsigned int i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		assert_int_equal(ask(*state, &all, false, limits[i]), MAX4 + MAX6);
}

static void no_session_is_skipped_between_runs(void **state)
{
	struct fixture *fixture = *state;
	struct sp_session_query *query = fixture->query;
	struct sp_session_filter all = {0};
	uint8_t *seen = test_calloc(MAX4, 1);
	unsigned int n = 0;

	sp_session_query_init(query, &all, false, 100);
	while (query->more) {
		query->request.run(fixture->worker, &query->request);
		for (uint32_t i = 0; i < query->n_rows; i++)
			if (query->rows[i].original.family == SP_FAMILY_IPV4) {
				uint16_t number = (uint16_t)(rte_be_to_cpu_16(query->rows[i].original.sport) - 1024);

				assert_in_range(number, 0, MAX4 - 1);
				assert_int_equal(seen[number], 0);
				seen[number] = 1;
				n++;
			}
	}
	assert_int_equal(n, MAX4);
	test_free(seen);
}

/* A third is TCP and established, the rest is UDP and new. */
static void states_and_zones_filter(void **state)
{
	struct fixture *fixture = *state;
	struct sp_session_filter filter = {.states = UINT64_C(1) << SP_STATE_TCP_ESTABLISHED};
	struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_UDP, 1);
	const unsigned int tcp = (MAX4 + 2) / 3 + (MAX6 + 2) / 3;

	assert_int_equal(ask(fixture, &filter, false, 0), tcp);
	filter.states |= UINT64_C(1) << SP_STATE_UDP_NEW;
	assert_int_equal(ask(fixture, &filter, false, 0), MAX4 + MAX6);
	filter.states = UINT64_C(1) << SP_STATE_TCP_CLOSED;
	assert_int_equal(ask(fixture, &filter, false, 0), 0);
	sp_session_state(fixture->worker->sessions, find_key(fixture->worker->sessions, &key))->zone_to = 5;
	filter = (struct sp_session_filter){.has_zone = true, .zone = 5};
	assert_int_equal(ask(fixture, &filter, false, 0), 1);
	filter.zone = 0;
	assert_int_equal(ask(fixture, &filter, false, 0), MAX4 + MAX6);
	filter = (struct sp_session_filter){.states = UINT64_C(1) << SP_STATE_TCP_ESTABLISHED};
	assert_int_equal(ask(fixture, &filter, true, 0), tcp);
	assert_int_equal(ask(fixture, &(struct sp_session_filter){0}, false, 0), MAX4 + MAX6 - tcp);
}

static void a_row_tells_all_about_its_session(void **state)
{
	struct fixture *fixture = *state;
	struct sp_sessions *sessions = fixture->worker->sessions;
	struct sp_key key = key_of(SP_FAMILY_IPV6, IPPROTO_UDP, 1234), reply;
	struct sp_session_filter filter = {.has_port = true, .port = 1024 + 1234};
	struct sp_session_row *row = &fixture->query->rows[0]; /* of the last run */
	uint32_t ref = find_key(sessions, &key);

	sp_session_cold(sessions, ref)->bytes[1] = 77;
	sp_session_cold(sessions, ref)->packets[0] = 3;
	sp_session_set_state(sessions, ref, SP_STATE_UDP_REPLIED, 4500);
	assert_int_equal(ask(fixture, &filter, false, 0), 2);
	assert_int_equal(fixture->query->n_rows, 1);
	sp_key_reverse(&key, &reply);
	assert_memory_equal(&row->original, &key, sizeof(key));
	assert_memory_equal(&row->reply, &reply, sizeof(reply));
	assert_int_equal(row->bytes[1], 77);
	assert_int_equal(row->packets[0], 3);
	assert_int_equal(row->age_ms, 4000);
	assert_int_equal(row->idle_ms, 500);
	assert_int_equal(row->timeout_ms, 180000);
	assert_int_equal(row->state.state, SP_STATE_UDP_REPLIED);
}

static struct sp_addr_range range_of(const char *text)
{
	struct sp_addr_range range;
	const char *why;

	assert_int_equal(sp_addr_range_parse(text, strlen(text), &range, &why), 0);
	return range;
}

static void filters_pick_what_they_say(void **state)
{
	struct fixture *fixture = *state;
	struct sp_sessions *sessions = fixture->worker->sessions;
	struct sp_key nat = key_of(SP_FAMILY_IPV4, IPPROTO_ICMP, 0), nat_reply, key = key_of(SP_FAMILY_IPV4, IPPROTO_UDP, 1);
	struct sp_session_state init = {.state = SP_STATE_ICMP, .slot = 99};
	const struct {
		struct sp_session_filter filter;
		unsigned int n;
	} cases[] = {
		{{.has_proto = true, .proto = IPPROTO_TCP}, 1000 + 667},
		{{.has_proto = true, .proto = IPPROTO_SCTP}, 0},
		{{.has_rule = true, .slot = 3}, 300 + 200},
		{{.has_rule = true, .slot = 10}, 0},
		{{.has_rule = true, .slot = 99}, 1},
		{{.has_port = true, .port = 443}, MAX4 - 1 + MAX6},
		{{.has_port = true, .port = 1024 + 2500}, 1},
		{{.has_port = true, .port = 7}, 0},
		{{.has_port = true, .port = 1025, .has_proto = true, .proto = IPPROTO_TCP}, 0},
		{{.has_addr = true, .addr = range_of("198.18.0.0/16")}, MAX4 - 1},
		{{.has_addr = true, .addr = range_of("198.19.0.1")}, MAX4 - 1},
		{{.has_addr = true, .addr = range_of("198.19.0.2-198.19.255.255")}, 0},
		{{.has_addr = true, .addr = range_of("203.0.113.5")}, 1},
		{{.has_addr = true, .addr = range_of("192.0.2.9")}, 1},
		{{.has_addr = true, .addr = range_of("0.0.0.0/0")}, MAX4},
		{{.has_addr = true, .addr = range_of("::/0")}, MAX6},
		{{.has_addr = true, .addr = range_of("2001:db8::1"), .has_rule = true, .slot = 1}, 200},
		{{.has_addr = true, .addr = range_of("2001:db9::/32")}, 0},
	};

	/* One session makes room for a translated one, whose tuples have nothing in common. */
	sp_session_remove(sessions, find_key(sessions, &key), SP_END_KILLED);
	nat.v4.src = rte_cpu_to_be_32(0xc0000209u);
	nat.v4.dst = rte_cpu_to_be_32(0xc0000201u);
	nat.sport = nat.dport = rte_cpu_to_be_16(7);
	sp_key_reverse(&nat, &nat_reply);
	nat_reply.v4.dst = rte_cpu_to_be_32(0xcb007105u);
	sp_session_insert(sessions, &nat, hash_of(&nat), &nat_reply, hash_of(&nat_reply), &init, 0, 1000);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned int n = ask(fixture, &cases[i].filter, false, 64);

		if (n != cases[i].n)
			fail_msg("case %u: expected %u, got %u", i, cases[i].n, n);
	}
}

static void killing_removes_what_matches(void **state)
{
	struct fixture *fixture = *state;
	const struct sp_sessions_counters *counters = sp_sessions_counters(fixture->worker->sessions);
	struct sp_session_filter tcp = {.has_proto = true, .proto = IPPROTO_TCP}, all = {0};

	assert_int_equal(ask(fixture, &tcp, true, 1), 1667);
	assert_int_equal(counters->killed, 1667);
	assert_consistent(fixture->worker->sessions);
	assert_int_equal(ask(fixture, &tcp, false, 0), 0);
	assert_int_equal(ask(fixture, &all, true, 0), MAX4 + MAX6 - 1667);
	assert_int_equal(counters->active4 + counters->active6, 0);
	assert_int_equal(ask(fixture, &all, false, 0), 0);
}

/* One run is bounded, and an almost empty table takes few of them. */
static void a_run_looks_at_no_more_than_its_share(void **state)
{
	struct fixture *fixture = *state;
	struct sp_session_filter none = {.has_rule = true, .slot = 12345};

	sp_session_query_init(fixture->query, &none, false, 0);
	fixture->query->request.run(fixture->worker, &fixture->query->request);
	assert_true(fixture->query->more);
	assert_in_range(fixture->query->cursor, 1, SP_QUERY_WALK_MAX);
	fixture->query->request.run(fixture->worker, &fixture->query->request);
	assert_false(fixture->query->more);
	for (uint64_t cursor = UINT64_MAX; cursor != 0; cursor >>= 1) {
		fixture->query->cursor = cursor;
		fixture->query->request.run(fixture->worker, &fixture->query->request);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_are_listed_once_for_any_limit, open_table, close_table),
		cmocka_unit_test_setup_teardown(no_session_is_skipped_between_runs, open_table, close_table),
		cmocka_unit_test_setup_teardown(a_row_tells_all_about_its_session, open_table, close_table),
		cmocka_unit_test_setup_teardown(states_and_zones_filter, open_table, close_table),
		cmocka_unit_test_setup_teardown(filters_pick_what_they_say, open_table, close_table),
		cmocka_unit_test_setup_teardown(killing_removes_what_matches, open_table, close_table),
		cmocka_unit_test_setup_teardown(a_run_looks_at_no_more_than_its_share, open_table, close_table),
	};

	sp_test_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
