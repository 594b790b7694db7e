/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The symmetric key repeats after 16 bits, so that its Toeplitz hash depends only on the XOR of all 16-bit words of addresses and ports:
 * each bit of that adds the key's 32 bits from there on.
 */
#include "vnf/rss.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/worker.h"
#include "mgmt/ports.h"
#include "vnf/port_configure.h"

#define KEY      0x6d5a6d5au /* sp_rss_key, any 32 bits of it from a multiple of 16 on */
#define AGAIN_MS 60000       /* from a verdict to the next look */

/* --- one sample -------------------------------------------------------------------------------------------------------------------- */

static uint32_t toeplitz(uint16_t folded)
{
	uint32_t hash = 0;

	for (unsigned int bit = 0; bit < 16; bit++)
		if ((folded & 0x8000u >> bit) != 0)
			hash ^= KEY << bit | (bit == 0 ? 0 : KEY >> (32 - bit));
	return hash;
}

static uint16_t fold(const uint8_t *bytes, size_t n)
{
	uint16_t folded = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		folded ^= (uint16_t)(bytes[i] << 8 | bytes[i + 1]);
	return folded;
}

uint32_t sp_rss_hash(const struct sp_rss_sample *sample, bool ports)
{
	uint16_t folded = fold(sample->src, sizeof(sample->src)) ^ fold(sample->dst, sizeof(sample->dst));

	if (ports)
		folded ^= rte_be_to_cpu_16(sample->sport) ^ rte_be_to_cpu_16(sample->dport);
	return toeplitz(folded);
}

/* --- a round ----------------------------------------------------------------------------------------------------------------------- */

static bool went_by(const struct sp_rss_round *round, const struct sp_rss_sample *sample, uint32_t hash)
{
	return sample->hashed ? sample->hash == hash : round->reta[hash % round->reta_size] == sample->queue;
}

void sp_rss_count(struct sp_rss_round *round, const struct sp_rss_sample *sample)
{
	uint32_t by_ports = sp_rss_hash(sample, true), by_addresses = sp_rss_hash(sample, false);
	unsigned int family = sample->family == SP_FAMILY_IPV6, proto = sample->proto == IPPROTO_UDP;

	if (round->n_flows == SP_RSS_FLOWS || (!sample->hashed && round->reta_size == 0))
		return;
	for (unsigned int i = 0; i < round->n_flows; i++)
		if (round->flows[i] == by_ports)
			return;
	round->flows[round->n_flows++] = by_ports;
	round->kind[family][proto].n++;
	round->kind[family][proto].by_ports += went_by(round, sample, by_ports);
	round->kind[family][proto].by_addresses += went_by(round, sample, by_addresses);
}

enum sp_rss sp_rss_judge(const struct sp_rss_round *round)
{
	if (round->n_flows < SP_RSS_FLOWS)
		return SP_RSS_UNVERIFIED;
	for (unsigned int family = 0; family < 2; family++)
		for (unsigned int proto = 0; proto < 2; proto++)
			if (round->kind[family][proto].by_ports != round->kind[family][proto].n &&
				round->kind[family][proto].by_addresses != round->kind[family][proto].n)
				return SP_RSS_ASYMMETRIC;
	return SP_RSS_SYMMETRIC;
}

/* --- ports ------------------------------------------------------------------------------------------------------------------------- */

struct judged {
	uint32_t starts; /* of the port, when its round began */
	bool open;       /* a round is under way */
	int64_t again_ms;
	struct sp_rss_round round;
};

struct sp_rss_watch {
	struct sp_dataplane *dataplane;
	struct judged ports[SP_PORTS_MAX];
};

struct sp_rss_watch *sp_rss_begin(struct sp_dataplane *dataplane)
{
	struct sp_rss_watch *watch = calloc(1, sizeof(*watch));

	if (watch != NULL)
		watch->dataplane = dataplane;
	return watch;
}

void sp_rss_end(struct sp_rss_watch *watch)
{
	free(watch);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void read_reta(const struct sp_port *port, struct sp_rss_round *round)
{
	struct rte_eth_rss_reta_entry64 reta[SP_RSS_RETA_MAX / RTE_ETH_RETA_GROUP_SIZE];
	struct rte_eth_dev_info info;
	int rc;

	sp_port_lock(port);
	rc = rte_eth_dev_info_get(port->ethdev, &info);
	memset(reta, 0, sizeof(reta));
	for (unsigned int i = 0; i < SP_RSS_RETA_MAX / RTE_ETH_RETA_GROUP_SIZE; i++)
		reta[i].mask = UINT64_MAX;
	if (rc == 0 && info.reta_size > 0 && info.reta_size <= SP_RSS_RETA_MAX)
		rc = rte_eth_dev_rss_reta_query(port->ethdev, reta, info.reta_size);
	else
		rc = -ENOTSUP;
	sp_port_unlock(port);
	round->reta_size = rc == 0 ? info.reta_size : 0;
	for (unsigned int i = 0; i < round->reta_size; i++)
		round->reta[i] = reta[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
}

static void tell(struct sp_port *port, enum sp_rss verdict)
{
	enum sp_rss before = (enum sp_rss)__atomic_exchange_n(&port->rss, (uint32_t)verdict, __ATOMIC_RELAXED);

	if (verdict == before)
		return;
	if (verdict == SP_RSS_SYMMETRIC)
		fprintf(stderr, "sallyport: port %s (%s): RSS is symmetric, as %d flows have shown\n", port->name, port->device,
			SP_RSS_FLOWS);
	else if (verdict == SP_RSS_ASYMMETRIC)
		sp_port_warn(port, "RSS is not what was asked for (a VF may share the key of its PF): the directions of a flow may arrive "
				   "in different "
				   "queues, and are brought together by software");
}

/* Whether samples of the port are wanted now. */
static bool begin_or_end(struct sp_port *port, struct judged *judged, int64_t now)
{
	enum sp_rss verdict;

	if (__atomic_load_n(&port->paused, __ATOMIC_RELAXED) || port->n_queues < 2 ||
		__atomic_load_n(&port->rss, __ATOMIC_RELAXED) == SP_RSS_NONE)
		return false;
	if (judged->starts != port->starts || (!judged->open && now >= judged->again_ms)) {
		if (judged->starts != port->starts)
			__atomic_store_n(&port->rss, SP_RSS_UNVERIFIED, __ATOMIC_RELAXED);
		memset(&judged->round, 0, sizeof(judged->round));
		read_reta(port, &judged->round);
		judged->starts = port->starts;
		judged->open = true;
	}
	verdict = judged->open ? sp_rss_judge(&judged->round) : SP_RSS_UNVERIFIED;
	if (verdict != SP_RSS_UNVERIFIED) {
		tell(port, verdict);
		judged->open = false;
		judged->again_ms = now + AGAIN_MS;
	}
	return judged->open;
}

/* What a worker has sampled; it fills the samples anew when some port wants more. */
static void take(struct sp_rss_watch *watch, struct sp_rss_samples *samples, bool more)
{
	if (__atomic_load_n(&samples->n, __ATOMIC_ACQUIRE) < SP_RSS_SAMPLES)
		return;
	for (unsigned int i = 0; i < SP_RSS_SAMPLES; i++) {
		const struct sp_rss_sample *sample = &samples->v[i];

		/* What was sampled before a restart tells of another device, or of other settings. */
		if (sample->port < watch->dataplane->n_ports && watch->ports[sample->port].open &&
			sample->starts == watch->ports[sample->port].starts && sample->family != SP_FAMILY_NONE)
			sp_rss_count(&watch->ports[sample->port].round, sample);
		samples->v[i].family = SP_FAMILY_NONE;
	}
	if (more)
		__atomic_store_n(&samples->n, 0, __ATOMIC_RELEASE);
}

void sp_rss_tick(struct sp_rss_watch *watch)
{
	struct sp_dataplane *dataplane = watch->dataplane;
	int64_t now = now_ms();
	bool more = false;

	for (unsigned int p = 0; p < dataplane->n_ports; p++)
		more |= begin_or_end(&dataplane->ports[p], &watch->ports[p], now);
	for (unsigned int w = 0; w < dataplane->n_workers && dataplane->workers[w] != NULL; w++)
		take(watch, &dataplane->workers[w]->rss, more);
}
