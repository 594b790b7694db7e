/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A real dataplane without ports: two workers, each on a thread of its own when a test asks for it, rules read and published by the real
 * code, files in a folder of its own.
 */
#ifndef SP_TESTS_UNIT_MGMT_FIXTURE_H
#define SP_TESTS_UNIT_MGMT_FIXTURE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* asprintf, for includers */
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <rte_cycles.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/key.h"
#include "dataplane/nat.h"
#include "dataplane/worker.h"
#include "mgmt/publish.h"
#include "rules/read.h"
#include "tests/unit/support/eal.h"

#define FIXTURE_WORKERS 2

#define RULES_OF(rules) "version = 1;\ndefault = { action = \"drop\"; };\nrules = (\n" rules "\n);\n"
#define RULES_GOOD                                                                          \
	RULES_OF("  \"10 allow tcp from inside to outside dport 80,443 name 'the web'\",\n" \
		 "  \"20 reject tcp dport 23\"")

struct fixture {
	struct sp_dataplane dataplane;
	pthread_t threads[FIXTURE_WORKERS];
	bool running;
	char folder[64], rules[96], socket[96], eve[96];
};

static inline void fixture_write(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_int_equal(fputs(text, out) >= 0, 1);
	assert_int_equal(fclose(out), 0);
}

/* The file's text in a static buffer. */
static inline const char *fixture_read(const char *path)
{
	static char text[65536];
	FILE *in = fopen(path, "r");

	assert_non_null(in);
	text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
	fclose(in);
	return text;
}

static inline struct sp_ruleset *fixture_ruleset(const struct fixture *fixture, const char *text)
{
	const struct sp_read_options options = {.file = fixture->rules, .zones = &fixture->dataplane.zones};
	struct sp_diags diags = {0};
	struct sp_policy *policy = sp_policy_load(text, strlen(text), &options, &diags);
	struct sp_ruleset *ruleset;

	if (policy == NULL)
		sp_diags_print(&diags, stderr);
	assert_non_null(policy);
	ruleset = sp_ruleset_build(policy, &diags);
	assert_non_null(ruleset);
	ruleset->source = strdup(text);
	ruleset->source_size = strlen(text);
	sp_diags_clear(&diags);
	return ruleset;
}

static inline void fixture_zones(struct sp_zones *zones)
{
	assert_int_equal(sp_zone_index(zones, "inside", 6), 0);
	assert_int_equal(sp_zone_index(zones, "outside", 7), 1);
	zones->closed = true;
}

static inline void fixture_worker(struct sp_dataplane *dataplane, unsigned int w)
{
	struct sp_worker_config config = {.sessions = {.max4 = 8192, .max6 = 8192, .socket = SOCKET_ID_ANY}, .socket = SOCKET_ID_ANY};

	memcpy(config.sessions.timeout_sec, sp_state_default_sec, sizeof(config.sessions.timeout_sec));
	dataplane->workers[w] = sp_worker_create(dataplane, w, NULL, &config);
	assert_non_null(dataplane->workers[w]);
}

static inline void fixture_begin(struct fixture *fixture)
{
	struct sp_dataplane *dataplane = &fixture->dataplane;

	sp_test_eal();
	memset(fixture, 0, sizeof(*fixture));
	strcpy(fixture->folder, "/tmp/sptestXXXXXX");
	assert_non_null(mkdtemp(fixture->folder));
	snprintf(fixture->rules, sizeof(fixture->rules), "%s/main.rules", fixture->folder);
	snprintf(fixture->socket, sizeof(fixture->socket), "%s/api.sock", fixture->folder);
	snprintf(fixture->eve, sizeof(fixture->eve), "%s/eve.json", fixture->folder);
	fixture_write(fixture->rules, RULES_GOOD);
	assert_int_equal(sp_key_seed(), 0);
	dataplane->n_workers = FIXTURE_WORKERS;
	dataplane->adaptive = true;
	dataplane->tsc_hz = rte_get_tsc_hz();
	dataplane->tsc_start = rte_rdtsc();
	dataplane->wall_start_ns = 1700000000000000000u;
	fixture_zones(&dataplane->zones);
	dataplane->qsbr = aligned_alloc(64, RTE_ALIGN_CEIL(rte_rcu_qsbr_get_memsize(FIXTURE_WORKERS), 64u));
	assert_non_null(dataplane->qsbr);
	assert_int_equal(rte_rcu_qsbr_init(dataplane->qsbr, FIXTURE_WORKERS), 0);
	assert_int_equal(sp_rule_table_init(&dataplane->rule_table, FIXTURE_WORKERS), 0);
	dataplane->limits = sp_limit_table_create(1024);
	assert_non_null(dataplane->limits);
	for (unsigned int w = 0; w < FIXTURE_WORKERS; w++)
		fixture_worker(dataplane, w);
}

static inline void fixture_publish(struct fixture *fixture, const char *text)
{
	struct sp_diags diags = {0};

	assert_int_equal(sp_publish(&fixture->dataplane, fixture_ruleset(fixture, text), &diags), 0);
	sp_diags_clear(&diags);
}

static inline void *fixture_run_worker(void *worker)
{
	sp_worker_run(worker);
	return NULL;
}

static inline void fixture_go(struct fixture *fixture)
{
	for (unsigned int w = 0; w < FIXTURE_WORKERS; w++)
		assert_int_equal(pthread_create(&fixture->threads[w], NULL, fixture_run_worker, fixture->dataplane.workers[w]), 0);
	fixture->running = true;
}

static inline void fixture_halt(struct fixture *fixture)
{
	__atomic_store_n(&fixture->dataplane.stop, 1, __ATOMIC_RELAXED);
	for (unsigned int w = 0; fixture->running && w < FIXTURE_WORKERS; w++)
		pthread_join(fixture->threads[w], NULL);
	fixture->running = false;
}

static inline void fixture_end(struct fixture *fixture)
{
	struct sp_dataplane *dataplane = &fixture->dataplane;

	fixture_halt(fixture);
	for (unsigned int w = 0; w < FIXTURE_WORKERS; w++)
		sp_worker_free(dataplane->workers[w]);
	sp_publish_end(dataplane);
	sp_nat_free(dataplane->nat);
	sp_limit_table_free(dataplane->limits);
	sp_rule_table_free(&dataplane->rule_table);
	free(dataplane->qsbr);
	unlink(fixture->rules);
	unlink(fixture->socket);
	unlink(fixture->eve);
	assert_int_equal(rmdir(fixture->folder), 0);
}

/* A TCP session 192.0.2.HOST:SPORT to 198.51.100.1:DPORT of the worker, admitted by a slot. Before the workers run. */
static inline void fixture_session(
	struct fixture *fixture, unsigned int worker, uint8_t host, uint16_t sport, uint16_t dport, uint32_t slot)
{
	struct sp_key key = {.sport = htons(sport), .dport = htons(dport), .family = SP_FAMILY_IPV4, .proto = IPPROTO_TCP}, reply;
	struct sp_session_state init = {.generation = 1, .slot = slot, .state = SP_STATE_TCP_ESTABLISHED, .zone_from = 0, .zone_to = 1};
	uint32_t hash;

	key.v4.src = htonl(0xc0000200u + host);
	key.v4.dst = htonl(0xc6336401u);
	sp_key_reverse(&key, &reply);
	hash = (uint32_t)sp_key_hash(&key);
	assert_int_not_equal(
		sp_session_insert(fixture->dataplane.workers[worker]->sessions, &key, hash, &reply, hash, &init, 0, 0), SP_SESSION_NONE);
	/* as admission does: the end hook gives it back */
	__atomic_fetch_add(&fixture->dataplane.rule_table.shared[slot].sessions, 1, __ATOMIC_RELAXED);
}

#endif
