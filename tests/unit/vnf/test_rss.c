/* SPDX-License-Identifier: BSD-3-Clause */
/* Verdicts about RSS, on flows that DPDK's own software Toeplitz hash spreads, with the symmetric key and with another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <rte_thash.h>

#include "dataplane/worker.h"
#include "vnf/port_configure.h"
#include "vnf/rss.h"

#define QUEUES 4

/* The key of the RSS specification: not symmetric. */
static const uint8_t asymmetric[SP_RSS_KEY_MAX] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f,
	0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe,
	0xac, 0x01, 0xfa};

struct device {
	const uint8_t *key;
	bool hashes_ports_of_udp, tells_hash;
	unsigned int reta_size;
};

static struct sp_rss_sample flow(unsigned int i, uint8_t family, uint8_t proto)
{
	struct sp_rss_sample sample = {.family = family, .proto = proto};
	unsigned int n = family == SP_FAMILY_IPV4 ? 4 : 16;

	for (unsigned int b = 0; b < n; b++) {
		sample.src[b] = (uint8_t)rand();
		sample.dst[b] = (uint8_t)rand();
	}
	sample.sport = rte_cpu_to_be_16((uint16_t)(1024 + rand() % 60000));
	sample.dport = rte_cpu_to_be_16((uint16_t)(i % 3 == 0 ? 443 : 53));
	return sample;
}

/* As rte_thash.h wants it: words in host byte order, ports last. */
static uint32_t hash_of(const struct sp_rss_sample *sample, const uint8_t *key, bool ports)
{
	unsigned int words = sample->family == SP_FAMILY_IPV4 ? 1 : 4, n = 0;
	uint32_t tuple[9], word;

	for (unsigned int w = 0; w < words; w++) {
		memcpy(&word, sample->src + 4 * w, 4);
		tuple[n++] = rte_be_to_cpu_32(word);
	}
	for (unsigned int w = 0; w < words; w++) {
		memcpy(&word, sample->dst + 4 * w, 4);
		tuple[n++] = rte_be_to_cpu_32(word);
	}
	if (ports)
		tuple[n++] = (uint32_t)rte_be_to_cpu_16(sample->sport) << 16 | rte_be_to_cpu_16(sample->dport);
	return rte_softrss(tuple, n, key);
}

static void arrive(const struct device *device, const struct sp_rss_round *round, struct sp_rss_sample *sample)
{
	uint32_t hash = hash_of(sample, device->key, sample->proto == IPPROTO_TCP || device->hashes_ports_of_udp);

	sample->hashed = device->tells_hash;
	sample->hash = device->tells_hash ? hash : 0;
	sample->queue = round->reta_size != 0 ? round->reta[hash % round->reta_size] : (uint16_t)(hash % QUEUES);
}

static enum sp_rss verdict_on(const struct device *device, unsigned int flows)
{
	static const uint8_t families[] = {SP_FAMILY_IPV4, SP_FAMILY_IPV6}, protos[] = {IPPROTO_TCP, IPPROTO_UDP};
	struct sp_rss_round round = {.reta_size = (uint16_t)device->reta_size};

	srand(7);
	for (unsigned int i = 0; i < device->reta_size; i++)
		round.reta[i] = (uint16_t)(rand() % QUEUES);
	for (unsigned int i = 0; i < flows; i++) {
		struct sp_rss_sample sample = flow(i, families[i % 2], protos[i / 2 % 2]);

		arrive(device, &round, &sample);
		sp_rss_count(&round, &sample);
	}
	return sp_rss_judge(&round);
}

static void test_hash_is_dpdks(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 1000; i++) {
		struct sp_rss_sample sample = flow(i, i % 2 == 0 ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6, IPPROTO_TCP), reverse = sample;

		assert_int_equal(sp_rss_hash(&sample, true), hash_of(&sample, sp_rss_key, true));
		assert_int_equal(sp_rss_hash(&sample, false), hash_of(&sample, sp_rss_key, false));
		memcpy(reverse.src, sample.dst, 16);
		memcpy(reverse.dst, sample.src, 16);
		reverse.sport = sample.dport;
		reverse.dport = sample.sport;
		assert_int_equal(hash_of(&reverse, sp_rss_key, true), hash_of(&sample, sp_rss_key, true));
	}
}

static void test_verdicts(void **state)
{
	static const struct {
		struct device device;
		enum sp_rss want;
	} cases[] = {
		{{sp_rss_key, true, false, 128}, SP_RSS_SYMMETRIC},
		{{sp_rss_key, true, false, 512}, SP_RSS_SYMMETRIC},
		{{sp_rss_key, true, true, 0}, SP_RSS_SYMMETRIC},
		/* UDP by addresses alone is symmetric as well */
		{{sp_rss_key, false, false, 128}, SP_RSS_SYMMETRIC},
		{{sp_rss_key, false, true, 128}, SP_RSS_SYMMETRIC},
		{{asymmetric, true, false, 128}, SP_RSS_ASYMMETRIC},
		{{asymmetric, true, true, 0}, SP_RSS_ASYMMETRIC},
		/* it tells neither its hash nor its table */
		{{sp_rss_key, true, false, 0}, SP_RSS_UNVERIFIED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(verdict_on(&cases[i].device, 200), cases[i].want);
		assert_int_equal(verdict_on(&cases[i].device, SP_RSS_FLOWS - 1), SP_RSS_UNVERIFIED);
	}
}

/* One that is not like the others is enough, whatever the rest did. */
static void test_one_stray_flow(void **state)
{
	const struct device device = {sp_rss_key, true, true, 128};
	struct sp_rss_round round = {.reta_size = 128};

	(void)state;
	for (unsigned int i = 0; i < SP_RSS_FLOWS; i++) {
		struct sp_rss_sample sample = flow(i, SP_FAMILY_IPV4, IPPROTO_TCP);

		arrive(&device, &round, &sample);
		sample.hash ^= i == 17;
		sp_rss_count(&round, &sample);
	}
	assert_int_equal(sp_rss_judge(&round), SP_RSS_ASYMMETRIC);
}

/* A flow says the same thing however often it is seen. */
static void test_one_flow_is_no_proof(void **state)
{
	const struct device device = {sp_rss_key, true, true, 128};
	struct sp_rss_sample sample = flow(0, SP_FAMILY_IPV4, IPPROTO_TCP);
	struct sp_rss_round round = {.reta_size = 128};

	(void)state;
	arrive(&device, &round, &sample);
	for (unsigned int i = 0; i < 1000; i++)
		sp_rss_count(&round, &sample);
	assert_int_equal(round.n_flows, 1);
	assert_int_equal(sp_rss_judge(&round), SP_RSS_UNVERIFIED);
}

/* As a worker that gets flows hashed with `key`, of a port that was started so many times. */
static void sampled(struct sp_worker *worker, const uint8_t *key, uint32_t starts)
{
	const struct device device = {key, true, true, 0};
	const struct sp_rss_round round = {.reta_size = 0};

	assert_int_equal(worker->rss.n, 0);
	for (unsigned int i = 0; i < SP_RSS_SAMPLES; i++) {
		worker->rss.v[i] = flow(i, SP_FAMILY_IPV4, IPPROTO_TCP);
		arrive(&device, &round, &worker->rss.v[i]);
		worker->rss.v[i].starts = starts;
	}
	worker->rss.n = SP_RSS_SAMPLES;
}

/* What a worker has sampled before a restart says nothing of the device as it is now. */
static void test_samples_of_before_a_restart(void **state)
{
	static struct sp_dataplane dataplane;
	struct sp_worker *worker = aligned_alloc(64, sizeof(*worker));
	struct sp_rss_watch *watch = sp_rss_begin(&dataplane);
	struct sp_port *port = &dataplane.ports[0];

	(void)state;
	assert_non_null(worker);
	assert_non_null(watch);
	memset(worker, 0, sizeof(*worker));
	worker->rss.n = SP_RSS_SAMPLES;
	dataplane.workers[0] = worker;
	dataplane.n_ports = dataplane.n_workers = 1;
	port->n_queues = QUEUES;
	port->ethdev = RTE_MAX_ETHPORTS;
	port->starts = 1;
	port->rss = SP_RSS_UNVERIFIED;
	sp_rss_tick(watch);
	sampled(worker, asymmetric, 1);
	port->starts = 2;
	for (unsigned int i = 0; i <= SP_RSS_FLOWS / SP_RSS_SAMPLES; i++) {
		sp_rss_tick(watch);
		assert_int_equal(port->rss, SP_RSS_UNVERIFIED);
		sampled(worker, sp_rss_key, 2);
	}
	sp_rss_tick(watch);
	assert_int_equal(port->rss, SP_RSS_SYMMETRIC);
	sp_rss_end(watch);
	free(worker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_is_dpdks),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_one_stray_flow),
		cmocka_unit_test(test_one_flow_is_no_proof),
		cmocka_unit_test(test_samples_of_before_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
