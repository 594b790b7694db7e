/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The session table: memory, lookup, insertion, removal. Its index is in session_index.c, its time-outs are in session_age.c.
 *
 * A table belongs to one worker from its creation (by the control thread, before the worker runs) to its end (after the worker left).
 * Nothing is allocated in between.
 */
#include "dataplane/session.h"

#include <errno.h>
#include <netinet/in.h>
#include <rte_prefetch.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/alloc.h"
#include "dataplane/session_table.h"
#include "dataplane/stats.h"

#define SESSIONS_MIN    64
#define SESSIONS_MAX    (SP_INDEX_MOVED - 1)
#define TIMEOUT_MAX_SEC 31536000u
#define REF_BITS        (SP_SESSION_IPV6 | SP_SESSION_REPLY | (SP_INDEX_MOVED - 1))
#define IPV4            0
#define IPV6            1

static_assert(SP_INDEX_MOVED - 1 < SP_SESSION_INDEX, "the mark of the index is not part of any entry's number");

const char *const sp_state_names[SP_STATE_COUNT] = {
#define X(e, n, s) [SP_STATE_##e] = n,
	SP_SESSION_STATES(X)
#undef X
};

const char *const sp_session_proto_names[SP_SESSION_PROTO_COUNT] = {"tcp", "udp", "icmp", "sctp", "other"};

const uint32_t sp_state_default_sec[SP_STATE_COUNT] = {
#define X(e, n, s) [SP_STATE_##e] = s,
	SP_SESSION_STATES(X)
#undef X
};

static void *take(struct sp_sessions *sessions, const char *name, size_t bytes, int socket)
{
	void *memory = sp_alloc(name, bytes, 64, socket);

	if (memory != NULL)
		sessions->bytes += bytes;
	return memory;
}

static int pool_init(struct sp_sessions *sessions, unsigned int which, uint32_t max, int socket)
{
	struct sp_session_pool *pool = &sessions->pool[which];
	size_t record = which == IPV4 ? sizeof(struct sp_session4) : sizeof(struct sp_session6);

	pool->max = max;
	pool->hot = take(sessions, "session_hot", max * record, socket);
	pool->cold = take(sessions, "session_cold", max * sizeof(pool->cold[0]), socket);
	pool->inspect = take(sessions, "session_inspect", max * sizeof(pool->inspect[0]), socket);
	pool->tcp = take(sessions, "session_tcp", max * sizeof(pool->tcp[0]), socket);
	pool->nat = take(sessions, "session_nat", max * sizeof(pool->nat[0]), socket);
	pool->freed = take(sessions, "session_freed", max * sizeof(pool->freed[0]), socket);
	pool->live = take(sessions, "session_live", ((size_t)max + 63) / 64 * sizeof(pool->live[0]), socket);
	memset(pool->head, 0xff, sizeof(pool->head));
	return pool->hot && pool->cold && pool->inspect && pool->tcp && pool->nat && pool->freed && pool->live ? 0 : -ENOMEM;
}

static void pool_free(struct sp_session_pool *pool)
{
	sp_free(pool->hot);
	sp_free(pool->cold);
	sp_free(pool->inspect);
	sp_free(pool->tcp);
	sp_free(pool->nat);
	sp_free(pool->freed);
	sp_free(pool->live);
}

static bool config_valid(const struct sp_sessions_config *config)
{
	if (config->max4 < SESSIONS_MIN || config->max6 < SESSIONS_MIN || config->max4 > SESSIONS_MAX || config->max6 > SESSIONS_MAX)
		return false;
	for (unsigned int i = 0; i < SP_STATE_COUNT; i++)
		if (config->timeout_sec[i] == 0 || config->timeout_sec[i] > TIMEOUT_MAX_SEC)
			return false;
	if (config->pressure.end_percent == 0)
		return true;
	return config->pressure.start_percent < config->pressure.end_percent && config->pressure.end_percent <= 100 &&
	       config->pressure.min_sec >= 1 && config->pressure.min_sec <= SP_SESSION_TIMEOUT_CAP_SEC;
}

static uint32_t timeout_ms(uint32_t sec)
{
	return (sec < SP_SESSION_TIMEOUT_CAP_SEC ? sec : SP_SESSION_TIMEOUT_CAP_SEC) * 1000;
}

struct sp_sessions *sp_sessions_create(const struct sp_sessions_config *config)
{
	struct sp_sessions *sessions;
	int rc;

	if (!config_valid(config)) {
		errno = EINVAL;
		return NULL;
	}
	sessions = sp_alloc("sessions", sizeof(*sessions), 64, config->socket);
	if (sessions == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	sessions->bytes = sizeof(*sessions);
	for (unsigned int i = 0; i < SP_STATE_COUNT; i++)
		sessions->timeout_ms[i] = timeout_ms(config->timeout_sec[i]);
	rc = sp_index_init(&sessions->index, 2 * ((uint64_t)config->max4 + config->max6), config->socket);
	if (rc == 0)
		rc = pool_init(sessions, IPV4, config->max4, config->socket);
	if (rc == 0)
		rc = pool_init(sessions, IPV6, config->max6, config->socket);
	if (rc < 0) {
		sp_sessions_free(sessions);
		errno = -rc;
		return NULL;
	}
	sessions->bytes += sp_index_bytes(&sessions->index);
	sp_pressure_init(sessions, &config->pressure);
	return sessions;
}

void sp_sessions_free(struct sp_sessions *sessions)
{
	if (sessions == NULL)
		return;
	pool_free(&sessions->pool[IPV4]);
	pool_free(&sessions->pool[IPV6]);
	sp_index_free(&sessions->index);
	sp_free(sessions);
}

size_t sp_sessions_bytes(const struct sp_sessions *sessions)
{
	return sessions->bytes;
}

const struct sp_sessions_counters *sp_sessions_counters(const struct sp_sessions *sessions)
{
	return &sessions->counters;
}

/* --- tuples ------------------------------------------------------------------------------------------------------------------------- */

/* The stored tuple that a reference names by its direction bit. */
static inline const uint8_t *tuple(const struct sp_sessions *sessions, uint32_t ref)
{
	const uint32_t i = ref & (SP_INDEX_MOVED - 1), reply = (ref & SP_SESSION_REPLY) != 0;

	/* Arithmetic, where a choice would be a branch that nobody can predict: directions come mixed. */
	static_assert(offsetof(struct sp_session4, reply) == SP_KEY4_BYTES && offsetof(struct sp_session6, reply) == SP_KEY6_BYTES,
		"the tuples stand side by side, first of all");
	if (ref & SP_SESSION_IPV6)
		return sessions->pool[IPV6].hot + i * sizeof(struct sp_session6) + reply * SP_KEY6_BYTES;
	return sessions->pool[IPV4].hot + i * sizeof(struct sp_session4) + reply * SP_KEY4_BYTES;
}

/* Whether 24 bytes are the same; word by word, for memcmp and vectors take a detour through memory here. */
static inline bool same24(const void *a, const void *b)
{
	uint64_t x[3], y[3];

	memcpy(&x[0], a, 8);
	memcpy(&y[0], b, 8);
	memcpy(&x[1], (const uint8_t *)a + 8, 8);
	memcpy(&y[1], (const uint8_t *)b + 8, 8);
	memcpy(&x[2], (const uint8_t *)a + 16, 8);
	memcpy(&y[2], (const uint8_t *)b + 16, 8);
	return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2])) == 0;
}

/* The family is among the bytes compared, so a key never equals a tuple of the other family. */
static inline bool same_tuple(const uint8_t *stored, uint32_t ref, const struct sp_key *key)
{
	static_assert(SP_KEY4_BYTES == 24 && SP_KEY6_BYTES == 48, "halves of 24 bytes");

	if (!same24(stored, key))
		return false;
	return !(ref & SP_SESSION_IPV6) || same24(stored + 24, (const uint8_t *)key + 24);
}

static void copy_tuple(const struct sp_sessions *sessions, uint32_t ref, struct sp_key *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out, tuple(sessions, ref), ref & SP_SESSION_IPV6 ? SP_KEY6_BYTES : SP_KEY4_BYTES);
}

void sp_session_original(const struct sp_sessions *sessions, uint32_t ref, struct sp_key *out)
{
	copy_tuple(sessions, ref & ~SP_SESSION_REPLY, out);
}

void sp_session_reply(const struct sp_sessions *sessions, uint32_t ref, struct sp_key *out)
{
	copy_tuple(sessions, ref | SP_SESSION_REPLY, out);
}

/* --- lookup ------------------------------------------------------------------------------------------------------------------------- */

/* The reference among the ways of `bits` whose tuple is the key. */
static inline uint32_t confirm(
	const struct sp_sessions *sessions, const struct sp_index_bucket *bucket, uint32_t bits, const struct sp_key *key)
{
	for (; bits != 0; bits &= bits - 1) {
		uint32_t ref = bucket->ref[__builtin_ctz(bits)] & REF_BITS;

		if (same_tuple(tuple(sessions, ref), ref, key))
			return ref;
	}
	return SP_SESSION_NONE;
}

static inline uint32_t find(const struct sp_sessions *sessions, const struct sp_key *key, uint32_t primary, uint16_t tag)
{
	const struct sp_index_bucket *bucket = &sessions->index.bucket[primary];
	uint32_t ref = confirm(sessions, bucket, sp_index_match(bucket, tag), key);

	if (ref != SP_SESSION_NONE || bucket->overflow == 0)
		return ref;
	bucket = &sessions->index.bucket[sp_index_alternative(&sessions->index, primary, tag)];
	return confirm(sessions, bucket, sp_index_match(bucket, tag), key);
}

uint32_t sp_session_find(const struct sp_sessions *sessions, const struct sp_key *key, uint32_t hash)
{
	return find(sessions, key, sp_index_primary(&sessions->index, hash), sp_index_tag(key, hash));
}

uint32_t sp_session_find_packet(const struct sp_sessions *sessions, const struct sp_packet *packet)
{
	struct sp_key answered;
	uint32_t ref;

	if (likely(packet->kind != SP_KIND_ICMP_ERROR))
		return sp_session_find(sessions, &packet->key, packet->hash);
	sp_key_answered(&packet->key, &answered);
	ref = sp_session_find(sessions, &answered, packet->hash);
	return ref == SP_SESSION_NONE ? ref : ref ^ SP_SESSION_REPLY;
}

/* A lookup on its way through the passes of a burst. */
struct probe {
	const struct sp_key *key;
	const struct sp_index_bucket *bucket;
	const uint8_t *tuple; /* of the first way in `bits` */
	uint32_t ref;         /* of that way */
	uint32_t bits;        /* ways of `bucket` to compare */
	uint16_t tag;
	uint8_t packet;
	bool alternative; /* `bucket` is the second one */
};

/* Pass 1: the primary bucket of each packet that can have a session. */
static inline unsigned int start_probes(const struct sp_index *index, struct sp_burst *burst, struct probe *probes, struct sp_key *answered)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < burst->n; i++) {
		const struct sp_packet *packet = &burst->packet[i];
		struct probe *probe = &probes[n];

		burst->session[i] = SP_SESSION_NONE;
		if (burst->verdict[i] != SP_VERDICT_GOING || packet->kind == SP_KIND_NON_IP)
			continue;
		probe->bucket = &index->bucket[sp_index_primary(index, packet->hash)];
		rte_prefetch0(probe->bucket);
		probe->key = &packet->key;
		/* The hash is the same for the reverse. */
		if (unlikely(packet->kind == SP_KIND_ICMP_ERROR)) {
			sp_key_answered(&packet->key, &answered[n]);
			probe->key = &answered[n];
		}
		probe->tag = sp_index_tag(probe->key, packet->hash);
		probe->packet = (uint8_t)i;
		probe->alternative = false;
		n++;
	}
	return n;
}

static inline void match_tags(const struct sp_sessions *sessions, struct probe *probe)
{
	probe->bits = sp_index_match(probe->bucket, probe->tag);
	if (probe->bits == 0)
		return;
	probe->ref = probe->bucket->ref[__builtin_ctz(probe->bits)] & REF_BITS;
	probe->tuple = tuple(sessions, probe->ref);
	rte_prefetch0(probe->tuple);
	/* The other line of an IPv6 record has the rest of the tuple, or the state. */
	if (probe->ref & SP_SESSION_IPV6)
		rte_prefetch0(probe->tuple + 64);
}

/* Pass 2: tags; the record of the first match. Without a match, those with something in an alternative bucket go on to that. */
static inline unsigned int match_primaries(const struct sp_sessions *sessions, struct probe *probes, unsigned int n, uint8_t *overflowed)
{
	unsigned int n_overflowed = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct probe *probe = &probes[i];
		uint32_t primary;

		match_tags(sessions, probe);
		if (likely(probe->bits != 0 || probe->bucket->overflow == 0))
			continue;
		primary = (uint32_t)(probe->bucket - sessions->index.bucket);
		probe->bucket = &sessions->index.bucket[sp_index_alternative(&sessions->index, primary, probe->tag)];
		probe->alternative = true;
		rte_prefetch0(probe->bucket);
		overflowed[n_overflowed++] = (uint8_t)i;
	}
	return n_overflowed;
}

/* The first way had another tuple: rare, so what is read from here on was not asked for ahead. */
static __rte_noinline uint32_t search_on(const struct sp_sessions *sessions, const struct probe *probe)
{
	uint32_t ref = confirm(sessions, probe->bucket, probe->bits & (probe->bits - 1), probe->key);

	if (ref != SP_SESSION_NONE || probe->alternative || probe->bucket->overflow == 0)
		return ref;
	return find(sessions, probe->key, (uint32_t)(probe->bucket - sessions->index.bucket), probe->tag);
}

void sp_sessions_lookup_burst(struct sp_sessions *sessions, struct sp_burst *burst)
{
	struct probe probes[SP_BURST_MAX];
	struct sp_key answered[SP_BURST_MAX];
	uint8_t overflowed[SP_BURST_MAX];
	unsigned int n = start_probes(&sessions->index, burst, probes, answered);
	unsigned int n_overflowed = match_primaries(sessions, probes, n, overflowed);

	for (unsigned int i = 0; i < n_overflowed; i++)
		match_tags(sessions, &probes[overflowed[i]]);
	/* Pass 3: tuples; the cold record, and the TCP extension, of what was found. */
	for (unsigned int i = 0; i < n; i++) {
		const struct probe *probe = &probes[i];
		uint32_t ref = probe->ref;

		if (probe->bits == 0)
			continue;
		if (unlikely(!same_tuple(probe->tuple, ref, probe->key))) {
			ref = search_on(sessions, probe);
			if (ref == SP_SESSION_NONE)
				continue;
		}
		if (unlikely(burst->packet[probe->packet].kind == SP_KIND_ICMP_ERROR))
			burst->session[probe->packet] = ref ^ SP_SESSION_REPLY;
		else
			burst->session[probe->packet] = ref;
		rte_prefetch0(&sessions->pool[sp_ref_pool(ref)].cold[ref & SP_SESSION_INDEX]);
		if (probe->key->proto == IPPROTO_TCP)
			rte_prefetch0(&sessions->pool[sp_ref_pool(ref)].tcp[ref & SP_SESSION_INDEX]);
	}
}

/* --- life and death ----------------------------------------------------------------------------------------------------------------- */

static enum sp_session_proto proto_class(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return SP_PROTO_TCP;
	case IPPROTO_UDP:
		return SP_PROTO_UDP;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return SP_PROTO_ICMP;
	case IPPROTO_SCTP:
		return SP_PROTO_SCTP;
	default:
		return SP_PROTO_OTHER;
	}
}

static void count_active(struct sp_sessions *sessions, unsigned int which, uint8_t proto, uint8_t state, int64_t change)
{
	sp_count(which == IPV4 ? &sessions->counters.active4 : &sessions->counters.active6, (uint64_t)change);
	sp_count(&sessions->counters.active_proto[proto_class(proto)], (uint64_t)change);
	sp_count(&sessions->counters.active_state[state], (uint64_t)change);
}

static inline bool index_add(struct sp_sessions *sessions, const struct sp_key *key, uint32_t hash, uint32_t ref)
{
	return sp_index_add(&sessions->index, sp_index_primary(&sessions->index, hash), sp_index_tag(key, hash), ref);
}

static inline bool index_remove(struct sp_sessions *sessions, const struct sp_key *key, uint32_t hash, uint32_t ref)
{
	return sp_index_remove(&sessions->index, sp_index_primary(&sessions->index, hash), sp_index_tag(key, hash), ref);
}

/* Whether both tuples may be entered: of one family, different from each other, and both new. */
static bool tuples_new(
	const struct sp_sessions *sessions, const struct sp_key *original, uint32_t hash, const struct sp_key *reply, uint32_t reply_hash)
{
	unsigned int bytes = original->family == SP_FAMILY_IPV4 ? SP_KEY4_BYTES : SP_KEY6_BYTES;

	if ((original->family != SP_FAMILY_IPV4 && original->family != SP_FAMILY_IPV6) || original->family != reply->family)
		return false;
	if (memcmp(original, reply, bytes) == 0)
		return false;
	return sp_session_find(sessions, original, hash) == SP_SESSION_NONE &&
	       sp_session_find(sessions, reply, reply_hash) == SP_SESSION_NONE;
}

/* Enters both tuples, or none. */
static bool enter_tuples(struct sp_sessions *sessions, const struct sp_key *original, uint32_t hash, const struct sp_key *reply,
	uint32_t reply_hash, uint32_t ref)
{
	if (!index_add(sessions, original, hash, ref))
		return false;
	if (index_add(sessions, reply, reply_hash, ref | SP_SESSION_REPLY))
		return true;
	index_remove(sessions, original, hash, ref);
	return false;
}

static void write_record(
	struct sp_session_pool *pool, unsigned int which, uint32_t i, const struct sp_key *original, const struct sp_key *reply)
{
	if (which == IPV4) {
		struct sp_session4 *session = &((struct sp_session4 *)(void *)pool->hot)[i];

		memcpy(session->original, original, SP_KEY4_BYTES);
		memcpy(session->reply, reply, SP_KEY4_BYTES);
	} else {
		struct sp_session6 *session = &((struct sp_session6 *)(void *)pool->hot)[i];

		memcpy(session->original, original, SP_KEY6_BYTES);
		memcpy(session->reply, reply, SP_KEY6_BYTES);
	}
}

uint32_t sp_session_insert(struct sp_sessions *sessions, const struct sp_key *original, uint32_t hash, const struct sp_key *reply,
	uint32_t reply_hash, const struct sp_session_state *init, uint32_t rule_hash, uint32_t now_ms)
{
	unsigned int which = original->family == SP_FAMILY_IPV6 ? IPV6 : IPV4;
	struct sp_session_pool *pool = &sessions->pool[which];
	struct sp_session_state *state;
	uint32_t i, ref;

	assert(init->state < SP_STATE_COUNT);
	if ((pool->n_freed == 0 && pool->n_touched == pool->max) || !tuples_new(sessions, original, hash, reply, reply_hash))
		goto refused;
	i = pool->n_freed != 0 ? pool->freed[pool->n_freed - 1] : pool->n_touched;
	ref = i | (which == IPV6 ? SP_SESSION_IPV6 : 0);
	if (!enter_tuples(sessions, original, hash, reply, reply_hash, ref))
		goto refused;
	if (pool->n_freed != 0)
		pool->n_freed--;
	else
		pool->n_touched++;

	write_record(pool, which, i, original, reply);
	state = sp_pool_state(pool, which, i);
	*state = *init;
	state->last_ms = now_ms;
	pool->cold[i] = (struct sp_session_cold){.created_ms = now_ms, .rule_hash = rule_hash};
	pool->inspect[i] = (struct sp_session_inspect){{0}};
	/* Others have no use for it, and its line is one more to wait for. */
	if (original->proto == IPPROTO_TCP || original->proto == IPPROTO_SCTP)
		pool->tcp[i] = (struct sp_session_tcp){0};
	pool->live[i / 64] |= 1ull << i % 64;
	sp_wheel_link(sessions, ref, sp_session_timeout_ms(sessions, ref), now_ms);
	sp_count(&sessions->counters.created, 1);
	count_active(sessions, which, original->proto, init->state, 1);
	return ref;

refused:
	sp_count(&sessions->counters.refused, 1);
	return SP_SESSION_NONE;
}

static void count_end(struct sp_sessions_counters *counters, enum sp_flow_end why, uint8_t state)
{
	switch (why) {
	case SP_END_TIMEOUT:
	case SP_END_TCP:
	case SP_END_INSPECTION:
		sp_count(&counters->expired, 1);
		break;
	case SP_END_EVICTED:
		sp_count(&counters->evicted, 1);
		sp_count(&counters->evicted_state[state], 1);
		break;
	default:
		sp_count(&counters->killed, 1);
	}
}

void sp_session_remove(struct sp_sessions *sessions, uint32_t ref, enum sp_flow_end why)
{
	unsigned int which = sp_ref_pool(ref);
	struct sp_session_pool *pool = &sessions->pool[which];
	uint32_t i = ref & SP_SESSION_INDEX;
	struct sp_key key;
	bool found;

	if (!sp_pool_live(pool, i))
		return;
	ref &= ~SP_SESSION_REPLY;
	if (sessions->end_fn != NULL)
		sessions->end_fn(sessions->end_context, sessions, ref, why);

	sp_session_original(sessions, ref, &key);
	found = index_remove(sessions, &key, (uint32_t)sp_key_hash(&key), ref);
	sp_session_reply(sessions, ref, &key);
	found = index_remove(sessions, &key, (uint32_t)sp_key_hash(&key), ref | SP_SESSION_REPLY) && found;
	assert(found);
	(void)found;
	sp_wheel_unlink(sessions, ref);
	pool->live[i / 64] &= ~(1ull << i % 64);
	pool->freed[pool->n_freed++] = i;
	count_end(&sessions->counters, why, sp_pool_state(pool, which, i)->state);
	count_active(sessions, which, key.proto, sp_pool_state(pool, which, i)->state, -1);
}

/* --- views -------------------------------------------------------------------------------------------------------------------------- */

struct sp_session_state *sp_session_state(struct sp_sessions *sessions, uint32_t ref)
{
	unsigned int which = sp_ref_pool(ref);

	return sp_pool_state(&sessions->pool[which], which, ref & SP_SESSION_INDEX);
}

struct sp_session_cold *sp_session_cold(struct sp_sessions *sessions, uint32_t ref)
{
	return &sessions->pool[sp_ref_pool(ref)].cold[ref & SP_SESSION_INDEX];
}

struct sp_session_inspect *sp_session_inspect(struct sp_sessions *sessions, uint32_t ref)
{
	return &sessions->pool[sp_ref_pool(ref)].inspect[ref & SP_SESSION_INDEX];
}

struct sp_session_tcp *sp_session_tcp(struct sp_sessions *sessions, uint32_t ref)
{
	return &sessions->pool[sp_ref_pool(ref)].tcp[ref & SP_SESSION_INDEX];
}

struct sp_session_nat *sp_session_nat(struct sp_sessions *sessions, uint32_t ref)
{
	return &sessions->pool[sp_ref_pool(ref)].nat[ref & SP_SESSION_INDEX];
}

void sp_sessions_set_rule_timeouts(struct sp_sessions *sessions, const uint32_t *rule_timeout_sec)
{
	sessions->rule_timeout_sec = rule_timeout_sec;
}

void sp_sessions_on_end(struct sp_sessions *sessions, sp_session_end_fn fn, void *context)
{
	sessions->end_fn = fn;
	sessions->end_context = context;
}

/*
 * Calls fn for the live sessions of one pool from *i on. Costs one of the budget a session, and one a word of 64 entries without any: an
 * almost empty table is walked quickly.
 */
static unsigned int walk_pool(struct sp_sessions *sessions, unsigned int which, uint32_t *i, unsigned int budget,
	void (*fn)(void *context, uint32_t ref), void *context)
{
	const struct sp_session_pool *pool = &sessions->pool[which];

	while (*i < pool->n_touched && budget > 0) {
		uint64_t bits = pool->live[*i / 64] >> *i % 64;

		budget--;
		if (bits == 0) {
			*i = (*i / 64 + 1) * 64;
			continue;
		}
		*i += (uint32_t)__builtin_ctzll(bits);
		fn(context, *i | (which == IPV6 ? SP_SESSION_IPV6 : 0));
		++*i;
	}
	return budget;
}

bool sp_sessions_walk(
	struct sp_sessions *sessions, uint64_t *cursor, unsigned int budget, void (*fn)(void *context, uint32_t ref), void *context)
{
	const uint32_t max4 = sessions->pool[IPV4].max;
	uint32_t i;

	/* The cursor counts through the IPv4 pool, then through the IPv6 pool; it may come from outside, and any value is good. */
	if (*cursor < max4) {
		i = (uint32_t)*cursor;
		budget = walk_pool(sessions, IPV4, &i, budget, fn, context);
		*cursor = i < sessions->pool[IPV4].n_touched ? i : max4;
	}
	if (*cursor >= max4 && *cursor - max4 < sessions->pool[IPV6].max) {
		i = (uint32_t)(*cursor - max4);
		walk_pool(sessions, IPV6, &i, budget, fn, context);
		*cursor = (uint64_t)max4 + i;
		return i < sessions->pool[IPV6].n_touched;
	}
	return *cursor < max4;
}
