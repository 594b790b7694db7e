/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The session table beside rte_hash with the same keys, in bursts, in an order that no prefetcher guesses. Both hash the keys.
 */
#include <netinet/in.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/session.h"
#include "tests/bench/micro.h"

struct job {
	unsigned int n;
	struct sp_packet *packets; /* n, in the order of asking */
	const void **key_at;       /* n: where their keys are */
	struct rte_hash *hash;
	struct sp_sessions *sessions;
	struct sp_burst burst;
};

static void make_packets(struct job *job)
{
	uint64_t state = 2;

	for (unsigned int i = 0; i < job->n; i++) {
		struct sp_packet *packet = &job->packets[i];

		packet->kind = SP_KIND_FLOW;
		packet->key.family = SP_FAMILY_IPV4;
		packet->key.proto = IPPROTO_UDP;
		packet->key.v4.src = rte_cpu_to_be_32(0xc6120000u + (i & 0xffff));
		packet->key.v4.dst = rte_cpu_to_be_32(0xc6130000u + (i >> 16));
		packet->key.sport = rte_cpu_to_be_16((uint16_t)(1024 + i % 60000));
		packet->key.dport = rte_cpu_to_be_16(2000);
	}
	for (unsigned int i = job->n - 1; i > 0; i--) {
		unsigned int j = (unsigned int)(micro_random(&state) % (i + 1));
		struct sp_packet packet = job->packets[i];

		job->packets[i] = job->packets[j];
		job->packets[j] = packet;
	}
	for (unsigned int i = 0; i < job->n; i++)
		job->key_at[i] = &job->packets[i].key;
}

/* Inserted in another order than asked, so that records do not lie in the order of lookups. */
static void fill_tables(struct job *job)
{
	const struct sp_session_state init = {.state = SP_STATE_UDP_REPLIED};
	struct rte_hash_parameters parameters = {.name = "bench",
		.entries = job->n * 2 < 64 ? 64 : job->n * 2,
		.key_len = SP_KEY4_BYTES,
		.hash_func = rte_hash_crc,
		.socket_id = SOCKET_ID_ANY};
	struct sp_sessions_config config = {.max4 = job->n < 64 ? 64 : job->n, .max6 = 64, .socket = SOCKET_ID_ANY};
	uint64_t state = 3;

	memcpy(config.timeout_sec, sp_state_default_sec, sizeof(config.timeout_sec));
	job->hash = rte_hash_create(&parameters);
	job->sessions = sp_sessions_create(&config);
	if (job->hash == NULL || job->sessions == NULL)
		micro_die("no memory for %u flows", job->n);
	for (unsigned int i = 0, step = (unsigned int)(micro_random(&state) % job->n) | 1, at = 0; i < job->n; i++) {
		const struct sp_key *key;
		struct sp_key reply;
		uint32_t hash;

		at = (unsigned int)(((uint64_t)at + step) % job->n);
		key = &job->packets[at].key;
		sp_key_reverse(key, &reply);
		hash = (uint32_t)sp_key_hash4(key);
		/* The step need not reach every flow: what is left is added in order. */
		if (sp_session_find(job->sessions, key, hash) != SP_SESSION_NONE)
			continue;
		if (rte_hash_add_key_data(job->hash, key, (void *)(uintptr_t)(at + 1)) != 0 ||
			sp_session_insert(job->sessions, key, hash, &reply, hash, &init, 0, 0) == SP_SESSION_NONE)
			micro_die("flow %u does not fit", at);
	}
	for (unsigned int i = 0; i < job->n; i++) {
		const struct sp_key *key = &job->packets[i].key;
		uint32_t hash = (uint32_t)sp_key_hash4(key);
		struct sp_key reply;

		sp_key_reverse(key, &reply);
		if (sp_session_find(job->sessions, key, hash) != SP_SESSION_NONE)
			continue;
		if (rte_hash_add_key_data(job->hash, key, (void *)(uintptr_t)(i + 1)) != 0 ||
			sp_session_insert(job->sessions, key, hash, &reply, hash, &init, 0, 0) == SP_SESSION_NONE)
			micro_die("flow %u does not fit", i);
	}
}

/* The last, short burst of a pass is left out by both. */
static uint64_t pass_hash(void *arg)
{
	struct job *job = arg;
	uint64_t found = 0;

	for (unsigned int i = 0; i + MICRO_BURST <= job->n; i += MICRO_BURST) {
		void *data[MICRO_BURST];
		uint64_t hits;

		found += (uint64_t)rte_hash_lookup_bulk_data(job->hash, &job->key_at[i], MICRO_BURST, &hits, data);
	}
	return found;
}

static uint64_t pass_sessions(void *arg)
{
	struct job *job = arg;
	struct sp_burst *burst = &job->burst;
	uint64_t found = 0;

	burst->n = MICRO_BURST;
	memset(burst->verdict, SP_VERDICT_GOING, sizeof(burst->verdict));
	for (unsigned int i = 0; i + MICRO_BURST <= job->n; i += MICRO_BURST) {
		memcpy(burst->packet, &job->packets[i], MICRO_BURST * sizeof(burst->packet[0]));
		for (unsigned int k = 0; k < MICRO_BURST; k++)
			burst->packet[k].hash = (uint32_t)sp_key_hash4(&burst->packet[k].key);
		sp_sessions_lookup_burst(job->sessions, burst);
		for (unsigned int k = 0; k < MICRO_BURST; k++)
			found += burst->session[k] != SP_SESSION_NONE;
	}
	return found;
}

void micro_hash(json_t *out, const struct micro_options *options, int argc, char **argv)
{
	struct job *job = calloc(1, sizeof(*job));
	struct micro contenders[] = {{.name = "rte_hash", .unit = "lookup", .pass = pass_hash},
		{.name = "sallyport sessions", .unit = "lookup", .pass = pass_sessions}};
	char set[32];

	(void)argc;
	if (job == NULL)
		micro_die("no memory");
	job->n = (unsigned int)strtoul(argv[0], NULL, 10);
	if (job->n < MICRO_BURST || job->n > 16777216)
		micro_die("flows must be from %u to 16777216", MICRO_BURST);
	job->packets = aligned_alloc(64, job->n * sizeof(job->packets[0]));
	job->key_at = calloc(job->n, sizeof(job->key_at[0]));
	if (job->packets == NULL || job->key_at == NULL)
		micro_die("no memory");
	memset(job->packets, 0, job->n * sizeof(job->packets[0]));
	make_packets(job);
	fill_tables(job);
	for (unsigned int c = 0; c < 2; c++)
		contenders[c].count = job->n / MICRO_BURST * MICRO_BURST;
	micro_run(contenders, 2, options, job);
	for (unsigned int c = 0; c < 2; c++)
		if (contenders[c].proof != contenders[c].count)
			micro_die("%s found %lu of %lu", contenders[c].name, contenders[c].proof, contenders[c].count);
	snprintf(set, sizeof(set), "%u flows", job->n);
	micro_report(out, set, contenders, 2, options);
	rte_hash_free(job->hash);
	sp_sessions_free(job->sessions);
	free(job->packets);
	free(job->key_at);
	free(job);
}
