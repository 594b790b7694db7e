/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/dataplane/session_fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/unit/support/eal.h"

static void wrong_configurations_are_refused(void **unused)
{
	struct sp_sessions_config config;
	(void)unused;

	config = config_of(63, 64);
	assert_null(sp_sessions_create(&config));
	assert_int_equal(errno, EINVAL);
	config = config_of(64, 63);
	assert_null(sp_sessions_create(&config));
	config = config_of(UINT32_MAX, 64);
	assert_null(sp_sessions_create(&config));
	assert_int_equal(errno, EINVAL);
	config = config_of(64, 64);
	config.timeout_sec[SP_STATE_TCP_CLOSED] = 0;
	assert_null(sp_sessions_create(&config));
	config.timeout_sec[SP_STATE_TCP_CLOSED] = 31536001;
	assert_null(sp_sessions_create(&config));
	config.timeout_sec[SP_STATE_TCP_CLOSED] = 31536000;
	struct sp_sessions *sessions = sp_sessions_create(&config);
	assert_non_null(sessions);
	sp_sessions_free(sessions);
	sp_sessions_free(NULL);
}

static void memory_is_within_its_bounds(void **unused)
{
	const size_t fixed = sizeof(struct sp_sessions);
	const size_t extensions = sizeof(struct sp_session_inspect) + sizeof(struct sp_session_tcp) + sizeof(struct sp_session_nat);
	struct sp_sessions *only4 = table_of(100000, 64), *only6 = table_of(64, 100000);
	(void)unused;

	assert_in_range(sp_sessions_bytes(only4) - fixed - 100000 * extensions, 1, 100000 * 128);
	assert_in_range(sp_sessions_bytes(only6) - fixed - 100000 * extensions, 1, 100000 * 192);
	sp_sessions_free(only4);
	sp_sessions_free(only6);
}

static void both_directions_are_found(uint8_t family)
{
	struct sp_sessions *sessions = table_of(64, 64);
	struct sp_key key = key_of(family, IPPROTO_UDP, 7), reply, out;
	struct sp_session_state init = {.state = SP_STATE_UDP_NEW, .generation = 3, .slot = 5, .zone_from = 1, .zone_to = 2, .last_ms = 1};
	uint32_t ref;

	sp_key_reverse(&key, &reply);
	assert_int_equal(find_key(sessions, &key), SP_SESSION_NONE);
	ref = sp_session_insert(sessions, &key, hash_of(&key), &reply, hash_of(&reply), &init, 0xabcd, 5000);
	assert_int_not_equal(ref, SP_SESSION_NONE);
	assert_int_equal(!!(ref & SP_SESSION_IPV6), family == SP_FAMILY_IPV6);
	assert_int_equal(ref & SP_SESSION_REPLY, 0);
	assert_int_equal(find_key(sessions, &key), ref);
	assert_int_equal(find_key(sessions, &reply), ref | SP_SESSION_REPLY);

	sp_session_original(sessions, ref | SP_SESSION_REPLY, &out);
	assert_memory_equal(&out, &key, sizeof(key));
	sp_session_reply(sessions, ref, &out);
	assert_memory_equal(&out, &reply, sizeof(reply));
	assert_ptr_equal(sp_session_state(sessions, ref), sp_session_state(sessions, ref | SP_SESSION_REPLY));
	assert_int_equal(sp_session_state(sessions, ref)->generation, 3);
	assert_int_equal(sp_session_state(sessions, ref)->slot, 5);
	assert_int_equal(sp_session_state(sessions, ref)->last_ms, 5000);
	assert_int_equal(sp_session_state(sessions, ref)->zone_to, 2);
	assert_int_equal(sp_session_cold(sessions, ref)->rule_hash, 0xabcd);
	assert_int_equal(sp_session_cold(sessions, ref)->created_ms, 5000);

	sp_session_cold(sessions, ref)->packets[1] = 9;
	sp_session_inspect(sessions, ref)->scanned_bytes[0] = 9;
	sp_session_remove(sessions, ref | SP_SESSION_REPLY, SP_END_KILLED);
	assert_int_equal(find_key(sessions, &key), SP_SESSION_NONE);
	assert_int_equal(find_key(sessions, &reply), SP_SESSION_NONE);
	assert_consistent(sessions);
	assert_int_equal(entries_of(&sessions->index), 0);

	ref = insert_key(sessions, &key, SP_STATE_UDP_NEW, 6000);
	assert_int_equal(sp_session_cold(sessions, ref)->packets[1], 0);
	assert_int_equal(sp_session_inspect(sessions, ref)->scanned_bytes[0], 0);
	sp_sessions_free(sessions);
}

static void both_directions_are_found4(void **unused)
{
	(void)unused;
	both_directions_are_found(SP_FAMILY_IPV4);
}

static void both_directions_are_found6(void **unused)
{
	(void)unused;
	both_directions_are_found(SP_FAMILY_IPV6);
}

/* Each differs from the session's key in one field only, and shares its hash by force. */
static void every_field_of_the_key_counts(void **unused)
{
	struct sp_sessions *sessions = table_of(64, 64);
	(void)unused;

	for (unsigned int f = 0; f < 2; f++) {
		struct sp_key key = key_of(f == 0 ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6, IPPROTO_TCP, 1);
		unsigned int bytes = f == 0 ? SP_KEY4_BYTES : SP_KEY6_BYTES;
		uint32_t ref = insert_key(sessions, &key, SP_STATE_TCP_SYN_SENT, 0);

		assert_int_equal(sp_session_find(sessions, &key, hash_of(&key)), ref);
		for (unsigned int i = 0; i < bytes; i++) {
			struct sp_key other = key;

			((uint8_t *)&other)[i] ^= 0x80;
			assert_int_equal(sp_session_find(sessions, &other, hash_of(&key)), SP_SESSION_NONE);
		}
		/* What follows an IPv4 key is not part of it. */
		if (f == 0) {
			struct sp_key other = key;

			memset((uint8_t *)&other + SP_KEY4_BYTES, 0x5a, sizeof(other) - SP_KEY4_BYTES);
			assert_int_equal(sp_session_find(sessions, &other, hash_of(&key)), ref);
		}
	}
	sp_sessions_free(sessions);
}

static void insertion_is_all_or_nothing(void **unused)
{
	struct sp_sessions *sessions = table_of(64, 64);
	struct sp_key a = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, 1), b = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, 2);
	struct sp_key c = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, 3), six = key_of(SP_FAMILY_IPV6, IPPROTO_TCP, 1), none = {0};
	struct sp_session_state init = {.state = SP_STATE_TCP_SYN_SENT};
	uint32_t ref = sp_session_insert(sessions, &a, hash_of(&a), &b, hash_of(&b), &init, 0, 0);
	const struct {
		const struct sp_key *original, *reply;
	} wrong[] = {
		{&a, &c}, {&c, &a}, {&b, &c}, {&c, &b}, {&a, &b}, {&b, &a}, {&c, &c}, {&c, &six}, {&six, &c}, {&none, &none}, {&none, &c}};
	(void)unused;

	assert_int_not_equal(ref, SP_SESSION_NONE);
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(sp_session_insert(sessions, wrong[i].original, hash_of(wrong[i].original), wrong[i].reply,
					 hash_of(wrong[i].reply), &init, 0, 0),
			SP_SESSION_NONE);
		assert_int_equal(sp_sessions_counters(sessions)->refused, i + 1);
		assert_consistent(sessions);
	}
	assert_int_equal(find_key(sessions, &c), SP_SESSION_NONE);
	assert_int_equal(find_key(sessions, &a), ref);
	sp_sessions_free(sessions);
}

/* Source NAT: the reply is no mirror of the original, and the mirror of neither is known. */
static void tuples_are_independent(void **unused)
{
	struct sp_sessions *sessions = table_of(64, 64);
	struct sp_key original = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, 1), reply = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, 70000);
	struct sp_session_state init = {.state = SP_STATE_TCP_SYN_SENT};
	uint32_t ref = sp_session_insert(sessions, &original, hash_of(&original), &reply, hash_of(&reply), &init, 0, 0);
	(void)unused;

	assert_int_equal(find_key(sessions, &original), ref);
	assert_int_equal(find_key(sessions, &reply), ref | SP_SESSION_REPLY);
	assert_int_equal(find_reply(sessions, &original), SP_SESSION_NONE);
	assert_int_equal(find_reply(sessions, &reply), SP_SESSION_NONE);
	sp_session_remove(sessions, ref, SP_END_KILLED);
	assert_int_equal(entries_of(&sessions->index), 0);
	sp_sessions_free(sessions);
}

static void echo_and_its_answer_are_one_session(void **unused)
{
	struct sp_sessions *sessions = table_of(64, 64);
	struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_ICMP, 1), other;
	uint32_t ref;
	(void)unused;

	key.sport = key.dport = rte_cpu_to_be_16(77);
	key.aux = 8 << 8;
	ref = insert_key(sessions, &key, SP_STATE_ICMP, 0);
	assert_int_equal(find_reply(sessions, &key), ref | SP_SESSION_REPLY);
	other = key;
	other.aux = 0;
	assert_int_equal(find_key(sessions, &other), SP_SESSION_NONE);
	sp_key_reverse(&key, &other);
	other.aux = 8 << 8;
	assert_int_equal(find_key(sessions, &other), SP_SESSION_NONE);
	sp_sessions_free(sessions);
}

/* Every ICMP type and code has the same hash: one host must not fill its pair of buckets with them. */
static void icmp_types_do_not_crowd_a_bucket(void **unused)
{
	struct sp_sessions *sessions = table_of(4096, 64);
	struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_ICMP, 1);
	(void)unused;

	for (unsigned int i = 0; i < 2048; i++) {
		key.aux = (uint16_t)((16 << 8) + i * 29);
		assert_int_not_equal(insert_key(sessions, &key, SP_STATE_ICMP, 0), SP_SESSION_NONE);
	}
	for (unsigned int i = 0; i < 2048; i++) {
		key.aux = (uint16_t)((16 << 8) + i * 29);
		assert_int_not_equal(find_key(sessions, &key), SP_SESSION_NONE);
		assert_int_not_equal(find_reply(sessions, &key), SP_SESSION_NONE);
	}
	assert_consistent(sessions);
	sp_sessions_free(sessions);
}

static void a_full_table_refuses_and_recovers(void **unused)
{
	enum { MAX4 = 5000, MAX6 = 1000 };
	struct sp_sessions *sessions = table_of(MAX4, MAX6);
	uint32_t *refs = test_calloc(MAX4, sizeof(refs[0]));
	struct sp_key key;
	(void)unused;

	for (unsigned int i = 0; i < MAX4; i++) {
		key = key_of(SP_FAMILY_IPV4, IPPROTO_UDP, i);
		refs[i] = insert_key(sessions, &key, SP_STATE_UDP_NEW, 0);
		assert_int_not_equal(refs[i], SP_SESSION_NONE);
	}
	for (unsigned int i = 0; i < 100; i++) {
		key = key_of(SP_FAMILY_IPV4, IPPROTO_UDP, MAX4 + i);
		assert_int_equal(insert_key(sessions, &key, SP_STATE_UDP_NEW, 0), SP_SESSION_NONE);
	}
	assert_int_equal(sp_sessions_counters(sessions)->refused, 100);
	assert_int_equal(sp_sessions_counters(sessions)->active4, MAX4);
	for (unsigned int i = 0; i < MAX6; i++) {
		key = key_of(SP_FAMILY_IPV6, IPPROTO_UDP, i);
		assert_int_not_equal(insert_key(sessions, &key, SP_STATE_UDP_NEW, 0), SP_SESSION_NONE);
	}
	assert_consistent(sessions);
	sp_session_remove(sessions, refs[17], SP_END_KILLED);
	key = key_of(SP_FAMILY_IPV4, IPPROTO_UDP, MAX4 + 1);
	assert_int_not_equal(insert_key(sessions, &key, SP_STATE_UDP_NEW, 0), SP_SESSION_NONE);
	key = key_of(SP_FAMILY_IPV4, IPPROTO_UDP, 18);
	assert_int_equal(find_key(sessions, &key), refs[18]);
	assert_consistent(sessions);
	test_free(refs);
	sp_sessions_free(sessions);
}

static void removing_twice_does_nothing(void **unused)
{
	struct sp_sessions *sessions = table_of(64, 64);
	struct sp_key a = key_of(SP_FAMILY_IPV4, IPPROTO_UDP, 1), b = key_of(SP_FAMILY_IPV4, IPPROTO_UDP, 2);
	uint32_t ref = insert_key(sessions, &a, SP_STATE_UDP_NEW, 0);
	(void)unused;

	insert_key(sessions, &b, SP_STATE_UDP_NEW, 0);
	sp_session_remove(sessions, ref, SP_END_KILLED);
	sp_session_remove(sessions, ref, SP_END_KILLED);
	sp_session_remove(sessions, SP_SESSION_NONE, SP_END_KILLED);
	sp_session_remove(sessions, 63, SP_END_KILLED);
	sp_session_remove(sessions, 64, SP_END_KILLED);
	assert_int_equal(sp_sessions_counters(sessions)->killed, 1);
	assert_consistent(sessions);
	sp_sessions_free(sessions);
}

/* Keys found to share one bucket under a known secret fill a few buckets, harm no other session, and are scattered by another secret. */
static void chosen_collisions_are_contained(void **unused)
{
	enum { CHOSEN = 150 };
	struct sp_sessions *sessions = table_of(1000, 1000);
	struct sp_key *chosen = test_calloc(CHOSEN, sizeof(chosen[0])), other;
	unsigned int n = 0, same = 0, inserted = 0;
	(void)unused;

	for (uint32_t i = 0; n < CHOSEN; i++) {
		struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_TCP, i);

		if (sp_index_primary(&sessions->index, hash_of(&key)) == 5)
			chosen[n++] = key;
	}
	for (unsigned int i = 0; i < CHOSEN; i++)
		inserted += insert_key(sessions, &chosen[i], SP_STATE_TCP_SYN_SENT, 0) != SP_SESSION_NONE;
	assert_int_equal(sp_sessions_counters(sessions)->created, inserted);
	assert_int_equal(sp_sessions_counters(sessions)->refused, CHOSEN - inserted);
	assert_consistent(sessions);
	for (unsigned int i = 0; i < 500; i++) {
		other = key_of(SP_FAMILY_IPV6, IPPROTO_TCP, i);
		assert_int_not_equal(insert_key(sessions, &other, SP_STATE_TCP_SYN_SENT, 0), SP_SESSION_NONE);
		assert_int_not_equal(find_key(sessions, &other), SP_SESSION_NONE);
	}
	sp_sessions_free(sessions);

	assert_int_equal(sp_key_seed(), 0);
	sessions = table_of(1000, 1000);
	for (unsigned int i = 0; i < CHOSEN; i++)
		same += sp_index_primary(&sessions->index, hash_of(&chosen[i])) == sp_index_primary(&sessions->index, hash_of(&chosen[0]));
	assert_true(same < CHOSEN / 4);
	test_free(chosen);
	sp_sessions_free(sessions);
}

/* At the intended fill nothing is refused; far beyond it still nearly nothing, and the counts stay exact through all moves. */
static void the_index_fills_beyond_its_plan(void **unused)
{
	enum { ENTRIES = 70000 };
	struct sp_index index = {0};
	uint32_t *hash = test_calloc(ENTRIES * 2, sizeof(hash[0]));
	unsigned int n = 0, capacity, elsewhere = 0;
	(void)unused;

	assert_int_equal(sp_index_init(&index, ENTRIES, SOCKET_ID_ANY), 0);
	capacity = index.n * SP_INDEX_WAYS;
	for (; n < capacity; n++) {
		hash[n] = (uint32_t)next_random();
		if (!sp_index_add(&index, sp_index_primary(&index, hash[n]), (uint16_t)hash[n] | 1, n))
			break;
		if (n == ENTRIES - 1)
			for (uint32_t b = 0; b < index.n; b++)
				elsewhere += index.bucket[b].overflow;
	}
	print_message("filled to %.1f %%, at the plan %.1f %% of the entries live in their second bucket\n", 100.0 * n / capacity,
		100.0 * elsewhere / ENTRIES);
	assert_true(n > capacity / 100 * 95);
	assert_in_range(elsewhere, 1, ENTRIES / 10);
	assert_int_equal(entries_of(&index), n);
	for (unsigned int i = 0; i < n; i++) {
		assert_true(sp_index_remove(&index, sp_index_primary(&index, hash[i]), (uint16_t)hash[i] | 1, i));
		assert_false(sp_index_remove(&index, sp_index_primary(&index, hash[i]), (uint16_t)hash[i] | 1, i));
		if (i == n / 2)
			assert_int_equal(entries_of(&index), n - n / 2 - 1);
	}
	assert_int_equal(entries_of(&index), 0);
	test_free(hash);
	sp_index_free(&index);
}

/* Removals and additions in a crowded index: entries are moved away and back home, and the counts stay exact. */
static void the_index_stays_exact_under_churn(void **unused)
{
	enum { ENTRIES = 9000, STEPS = 100000 };
	struct sp_index index = {0};
	uint32_t *hash = test_calloc(ENTRIES, sizeof(hash[0]));
	unsigned int n = 0, capacity;
	(void)unused;

	assert_int_equal(sp_index_init(&index, 7000, SOCKET_ID_ANY), 0);
	capacity = index.n * SP_INDEX_WAYS;
	for (unsigned int step = 0; step < STEPS; step++) {
		if (n < capacity / 100 * 88) {
			hash[n] = (uint32_t)next_random();
			assert_true(sp_index_add(&index, sp_index_primary(&index, hash[n]), (uint16_t)hash[n] | 1, hash[n] >> 4));
			n++;
		} else {
			unsigned int i = (unsigned int)(next_random() % n);

			assert_true(sp_index_remove(&index, sp_index_primary(&index, hash[i]), (uint16_t)hash[i] | 1, hash[i] >> 4));
			hash[i] = hash[--n];
		}
		if (step % 500 == 0)
			assert_int_equal(entries_of(&index), n);
	}
	test_free(hash);
	sp_index_free(&index);
}

/* Sessions of one forced hash: more of one tag than a bucket holds, so that a burst meets foreign keys under its tag first. */
static void equal_tags_in_both_buckets_are_told_apart(void **unused)
{
	const uint32_t hash = 0x12345678;
	struct sp_sessions *sessions = table_of(1000, 64);
	struct sp_burst *burst = test_calloc(1, sizeof(*burst));
	uint32_t ref[12];
	(void)unused;

	burst->n = 24;
	for (uint32_t i = 0; i < 12; i++) {
		struct sp_session_state init = {.state = SP_STATE_UDP_NEW};
		struct sp_key *key = &burst->packet[i].key, *reply = &burst->packet[12 + i].key;

		*key = key_of(SP_FAMILY_IPV4, IPPROTO_UDP, i);
		sp_key_reverse(key, reply);
		burst->packet[i].hash = burst->packet[12 + i].hash = hash;
		burst->packet[i].kind = burst->packet[12 + i].kind = SP_KIND_FLOW;
		ref[i] = sp_session_insert(sessions, key, hash, reply, hash, &init, 0, 0);
		assert_int_not_equal(ref[i], SP_SESSION_NONE);
	}
	sp_sessions_lookup_burst(sessions, burst);
	for (uint32_t i = 0; i < 12; i++) {
		assert_int_equal(burst->session[i], ref[i]);
		assert_int_equal(burst->session[12 + i], ref[i] | SP_SESSION_REPLY);
	}
	test_free(burst);
	sp_sessions_free(sessions);
}

/* The original tuple finds room and the reply does not: nothing stays behind. */
static void a_reply_without_room_takes_the_original_back(void **unused)
{
	const uint32_t hash = 0x12345678;
	struct sp_sessions *sessions = table_of(1000, 64);
	const struct sp_sessions_counters *counters = sp_sessions_counters(sessions);
	(void)unused;

	for (uint32_t i = 0; i < 200 && counters->refused < 50; i++) {
		struct sp_session_state init = {.state = SP_STATE_UDP_NEW};
		struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_UDP, i), reply;
		uint32_t ref;

		sp_key_reverse(&key, &reply);
		ref = sp_session_insert(sessions, &key, hash_of(&key), &reply, hash, &init, 0, 0);
		assert_int_equal(find_key(sessions, &key), ref);
		assert_consistent(sessions);
	}
	assert_in_range(counters->created, 2 * SP_INDEX_WAYS - 4, 2 * SP_INDEX_WAYS);
	assert_int_equal(counters->refused, 50);
	sp_sessions_free(sessions);
}

static void the_alternative_is_its_own_inverse(void **unused)
{
	(void)unused;

	for (unsigned int i = 0; i < 200000; i++) {
		struct sp_index index = {.n = (uint32_t)(2 + next_random() % (i % 2 ? 50 : 1u << 31))};
		uint32_t bucket = (uint32_t)(next_random() % index.n);
		uint16_t tag = (uint16_t)next_random();
		uint32_t other = sp_index_alternative(&index, bucket, tag);

		assert_in_range(other, 0, index.n - 1);
		assert_int_equal(sp_index_alternative(&index, other, tag), bucket);
	}
}

static void every_way_of_a_bucket_is_matched(void **unused)
{
	struct sp_index_bucket bucket = {0};
	(void)unused;

	assert_int_equal(sp_index_match(&bucket, 0), 0x3ff);
	bucket.overflow = 0x70007;
	for (unsigned int bits = 0; bits < 1024; bits++) {
		for (unsigned int way = 0; way < SP_INDEX_WAYS; way++) {
			bucket.tag[way] = bits >> way & 1 ? 7 : 0x8007;
			bucket.ref[way] = 0x70007;
		}
		assert_int_equal(sp_index_match(&bucket, 7), bits);
		assert_int_equal(sp_index_match(&bucket, 0x8007), ~bits & 0x3ff);
	}
}

/* Bursts of hits, misses and packets that are not looked up, in a table so full that many entries are displaced. */
static void bursts_agree_with_single_lookups(void **unused)
{
	enum { MAX = 4096, ROUNDS = 2000 };
	struct sp_sessions *sessions = table_of(MAX, MAX);
	struct sp_burst *burst = test_calloc(1, sizeof(*burst));
	unsigned int hits = 0, misses = 0;
	(void)unused;

	for (uint32_t i = 0; i < MAX; i++)
		for (unsigned int f = 0; f < 2; f++) {
			struct sp_key key = key_of(f == 0 ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6, IPPROTO_UDP, i);

			assert_int_not_equal(insert_key(sessions, &key, SP_STATE_UDP_NEW, 0), SP_SESSION_NONE);
		}
	for (unsigned int round = 0; round < ROUNDS; round++) {
		burst->n = (uint16_t)(next_random() % (SP_BURST_MAX + 1));
		memset(burst->session, 0x55, sizeof(burst->session));
		for (unsigned int i = 0; i < burst->n; i++) {
			uint64_t r = next_random();
			struct sp_key key =
				key_of(r & 1 ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6, IPPROTO_UDP, (uint32_t)(r >> 32) % (MAX * 5 / 4));

			if (r & 2)
				sp_key_reverse(&key, &key);
			burst->packet[i].key = key;
			burst->packet[i].hash = hash_of(&key);
			burst->packet[i].kind = (uint8_t)((r >> 8) % 8 == 0   ? SP_KIND_NON_IP
							  : (r >> 8) % 8 == 1 ? SP_KIND_ICMP_ERROR
									      : SP_KIND_FLOW);
			burst->verdict[i] = (r >> 16) % 8 == 0 ? SP_VERDICT_DROP : SP_VERDICT_GOING;
		}
		sp_sessions_lookup_burst(sessions, burst);
		for (unsigned int i = 0; i < burst->n; i++) {
			bool looked = burst->verdict[i] == SP_VERDICT_GOING && burst->packet[i].kind != SP_KIND_NON_IP;
			uint32_t expected = looked ? find_key(sessions, &burst->packet[i].key) : SP_SESSION_NONE;

			assert_int_equal(burst->session[i], expected);
			hits += looked && expected != SP_SESSION_NONE;
			misses += looked && expected == SP_SESSION_NONE;
		}
		for (unsigned int i = burst->n; i < SP_BURST_MAX; i++)
			assert_int_equal(burst->session[i], 0x55555555);
	}
	assert_true(hits > ROUNDS && misses > ROUNDS);
	test_free(burst);
	sp_sessions_free(sessions);
}

static void collect(void *context, uint32_t ref)
{
	uint32_t *seen = context;

	seen[ref & SP_SESSION_IPV6 ? 1 : 0]++;
}

struct killer {
	struct sp_sessions *sessions;
	unsigned int n;
};

static void kill_even(void *context, uint32_t ref)
{
	struct killer *killer = context;

	if (ref % 2 == 0)
		sp_session_remove(killer->sessions, ref, SP_END_KILLED);
	killer->n++;
}

static void walks_see_each_session_once(void **unused)
{
	struct sp_sessions *sessions = table_of(1000, 500);
	uint32_t seen[2] = {0};
	uint64_t cursor = 0;
	struct killer killer = {sessions, 0};
	(void)unused;

	assert_false(sp_sessions_walk(sessions, &cursor, 1, collect, seen));
	for (uint32_t i = 0; i < 1000; i++) {
		struct sp_key key = key_of(SP_FAMILY_IPV4, IPPROTO_UDP, i);

		insert_key(sessions, &key, SP_STATE_UDP_NEW, 0);
		key = key_of(SP_FAMILY_IPV6, IPPROTO_UDP, i);
		insert_key(sessions, &key, SP_STATE_UDP_NEW, 0);
	}
	cursor = 0;
	for (unsigned int steps = 0; sp_sessions_walk(sessions, &cursor, 7, collect, seen); steps++)
		assert_in_range(steps, 0, 1500 / 7 + 1);
	assert_int_equal(seen[0], 1000);
	assert_int_equal(seen[1], 500);
	cursor = 0;
	while (sp_sessions_walk(sessions, &cursor, 13, kill_even, &killer))
		;
	assert_int_equal(killer.n, 1500);
	assert_int_equal(sp_sessions_counters(sessions)->killed, 750);
	assert_consistent(sessions);
	for (unsigned int i = 0; i < 1000; i++) {
		cursor = i < 100 ? UINT64_MAX - i : next_random() << (i % 40);
		sp_sessions_walk(sessions, &cursor, 50, collect, seen);
	}
	sp_sessions_free(sessions);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_configurations_are_refused),
		cmocka_unit_test(memory_is_within_its_bounds),
		cmocka_unit_test(both_directions_are_found4),
		cmocka_unit_test(both_directions_are_found6),
		cmocka_unit_test(every_field_of_the_key_counts),
		cmocka_unit_test(insertion_is_all_or_nothing),
		cmocka_unit_test(tuples_are_independent),
		cmocka_unit_test(echo_and_its_answer_are_one_session),
		cmocka_unit_test(icmp_types_do_not_crowd_a_bucket),
		cmocka_unit_test(a_full_table_refuses_and_recovers),
		cmocka_unit_test(removing_twice_does_nothing),
		cmocka_unit_test(the_index_fills_beyond_its_plan),
		cmocka_unit_test(the_index_stays_exact_under_churn),
		cmocka_unit_test(equal_tags_in_both_buckets_are_told_apart),
		cmocka_unit_test(a_reply_without_room_takes_the_original_back),
		cmocka_unit_test(the_alternative_is_its_own_inverse),
		cmocka_unit_test(every_way_of_a_bucket_is_matched),
		cmocka_unit_test(bursts_agree_with_single_lookups),
		cmocka_unit_test(walks_see_each_session_once),
		cmocka_unit_test(chosen_collisions_are_contained),
	};

	sp_test_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
