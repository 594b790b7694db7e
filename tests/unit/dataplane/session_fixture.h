/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the session tests share: keys from numbers, tables, and a look inside that proves a table consistent.
 */
#ifndef SP_TESTS_UNIT_DATAPLANE_SESSION_FIXTURE_H
#define SP_TESTS_UNIT_DATAPLANE_SESSION_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <rte_memory.h>
#include <string.h>

#include "dataplane/session_table.h"

static inline uint64_t next_random(void)
{
	static uint64_t state = 0x853c49e6748fea9bull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1dull >> 16;
}

static inline uint32_t hash_of(const struct sp_key *key)
{
	return (uint32_t)sp_key_hash(key);
}

/* An IPv4 key of 198.18.0.0/15 (RFC 2544), or the IPv6 one of 2001:db8::/32, that differs for each number. */
static inline struct sp_key key_of(uint8_t family, uint8_t proto, uint32_t number)
{
	struct sp_key key = {.family = family, .proto = proto, .dport = rte_cpu_to_be_16(443)};

	key.sport = rte_cpu_to_be_16((uint16_t)(1024 + number % 50000));
	if (family == SP_FAMILY_IPV4) {
		key.v4.src = rte_cpu_to_be_32(0xc6120000u + number / 50000);
		key.v4.dst = rte_cpu_to_be_32(0xc6130001u);
	} else {
		const uint8_t prefix[] = {0x20, 0x01, 0x0d, 0xb8};

		memcpy(key.v6.src, prefix, sizeof(prefix));
		memcpy(key.v6.dst, prefix, sizeof(prefix));
		memcpy(&key.v6.src[8], &number, sizeof(number));
		key.v6.dst[15] = 1;
	}
	return key;
}

static inline struct sp_sessions_config config_of(uint32_t max4, uint32_t max6)
{
	struct sp_sessions_config config = {.max4 = max4, .max6 = max6, .socket = SOCKET_ID_ANY};

	memcpy(config.timeout_sec, sp_state_default_sec, sizeof(config.timeout_sec));
	return config;
}

static inline struct sp_sessions *table_of(uint32_t max4, uint32_t max6)
{
	struct sp_sessions_config config = config_of(max4, max6);
	struct sp_sessions *sessions = sp_sessions_create(&config);

	assert_non_null(sessions);
	return sessions;
}

/* Inserts a session of the key and its mirror. */
static inline uint32_t insert_key(struct sp_sessions *sessions, const struct sp_key *key, uint8_t state, uint32_t now_ms)
{
	struct sp_session_state init = {.state = state};
	struct sp_key reply;

	sp_key_reverse(key, &reply);
	return sp_session_insert(sessions, key, hash_of(key), &reply, hash_of(&reply), &init, 0, now_ms);
}

static inline uint32_t find_key(const struct sp_sessions *sessions, const struct sp_key *key)
{
	return sp_session_find(sessions, key, hash_of(key));
}

static inline uint32_t find_reply(const struct sp_sessions *sessions, const struct sp_key *key)
{
	struct sp_key reply;

	sp_key_reverse(key, &reply);
	return find_key(sessions, &reply);
}

/* Entries in the index, after a proof that each bucket counts exactly its entries that live elsewhere. */
static inline unsigned int entries_of(const struct sp_index *index)
{
	uint32_t *overflow = test_calloc(index->n, sizeof(overflow[0]));
	unsigned int n = 0;

	for (uint32_t b = 0; b < index->n; b++)
		for (unsigned int way = 0; way < SP_INDEX_WAYS; way++) {
			uint16_t tag = index->bucket[b].tag[way];

			if (tag == 0)
				continue;
			n++;
			if (index->bucket[b].ref[way] & SP_INDEX_MOVED)
				overflow[sp_index_alternative(index, b, tag)]++;
		}
	for (uint32_t b = 0; b < index->n; b++)
		assert_int_equal(index->bucket[b].overflow, overflow[b]);
	test_free(overflow);
	return n;
}

/* Sessions on the wheels, after a proof that their lists are linked both ways and hold live sessions only, and that bits say which slots of
 * the yielding one are in use. */
static inline unsigned int on_wheel(const struct sp_sessions *sessions)
{
	unsigned int n = 0;

	for (unsigned int which = 0; which < 2; which++) {
		const struct sp_session_pool *pool = &sessions->pool[which];

		for (uint32_t slot = 0; slot < SP_WHEEL_HEADS; slot++) {
			uint32_t before = SP_WHEEL_HEAD | slot;

			if (slot >= SP_WHEEL_YIELDING)
				assert_int_equal(pool->yielding[(slot - SP_WHEEL_YIELDING) / 64] >> slot % 64 & 1,
					pool->head[slot] != SP_SESSION_NONE);
			for (uint32_t i = pool->head[slot]; i != SP_SESSION_NONE; i = pool->cold[i].next) {
				assert_true(sp_pool_live(pool, i));
				assert_int_equal(pool->cold[i].prev, before);
				before = i;
				n++;
			}
		}
	}
	return n;
}

/* Index, wheel, pools and counters tell of the same number of sessions. */
static inline void assert_consistent(const struct sp_sessions *sessions)
{
	const struct sp_sessions_counters *counters = sp_sessions_counters(sessions);
	uint64_t active = counters->active4 + counters->active6;
	uint64_t used4 = sessions->pool[0].n_touched - sessions->pool[0].n_freed;
	uint64_t used6 = sessions->pool[1].n_touched - sessions->pool[1].n_freed;

	uint64_t by_proto = 0, by_state = 0, evicted = 0;

	for (unsigned int p = 0; p < SP_SESSION_PROTO_COUNT; p++)
		by_proto += counters->active_proto[p];
	for (unsigned int state = 0; state < SP_STATE_COUNT; state++) {
		by_state += counters->active_state[state];
		evicted += counters->evicted_state[state];
	}
	assert_int_equal(by_proto, active);
	assert_int_equal(by_state, active);
	assert_int_equal(evicted, counters->evicted);
	assert_int_equal(active, counters->created - counters->expired - counters->killed - counters->evicted);
	assert_int_equal(entries_of(&sessions->index), 2 * active);
	assert_int_equal(on_wheel(sessions), active);
	assert_int_equal(used4, counters->active4);
	assert_int_equal(used6, counters->active6);
}

#endif
