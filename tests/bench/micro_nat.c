/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What translation costs packets of established sessions: lookup and the short way alone, and with new addresses and ports. As many
 * sessions of either kind, UDP over IPv4, in an order that no prefetcher guesses; headers are in the cache, as behind the parser.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/nat.h"
#include "dataplane/stages.h"
#include "mgmt/publish.h"
#include "rules/read.h"
#include "tests/bench/micro.h"
#include "vnf/config.h"
#include "vnf/launch.h"

#define L3_OFF      14
#define L4_OFF      34
#define FRAME_BYTES 60

struct job {
	struct sp_launch launch;
	struct sp_worker *worker;
	struct sp_packet *plain, *translated;
	struct rte_mbuf *mbuf[MICRO_BURST];
	unsigned int n; /* of each */
};

static void launch(struct job *job)
{
	static const char rules[] = "version = 1; default = { action = \"allow\"; }; rules = ();";
	const struct sp_read_options read = {.file = "nat.rules"};
	struct sp_diags diags = {0};
	struct sp_policy *policy = sp_policy_load(rules, strlen(rules), &read, &diags);
	struct sp_launch_options options = {.n_workers = 1,
		.sessions4 = 2 * job->n + 64,
		.sessions6 = 64,
		.timeout_sec = sp_state_default_sec,
		.limit_sources = SP_CONFIG_DEFAULT_SOURCES};
	struct sp_ruleset *ruleset = policy != NULL ? sp_ruleset_build(policy, &diags) : NULL;
	char why[SP_WHY_MAX];

	if (ruleset == NULL)
		micro_die("the rules cannot be used");
	if (sp_launch_begin(&job->launch, &options, why) != 0 || sp_launch_pool(&job->launch, 1024, 2048, why) != 0 ||
		sp_launch_workers(&job->launch, &options, why) != 0)
		micro_die("%s", why);
	if (sp_publish(job->launch.dataplane, ruleset, &diags) != 0)
		micro_die("the rules cannot be put into force");
	job->worker = job->launch.dataplane->workers[0];
	job->worker->live = job->launch.dataplane->live;
	for (unsigned int i = 0; i < MICRO_BURST; i++) {
		job->mbuf[i] = rte_pktmbuf_alloc(job->launch.pool);
		if (job->mbuf[i] == NULL)
			micro_die("no buffers");
		memset(rte_pktmbuf_append(job->mbuf[i], FRAME_BYTES), 0x45, FRAME_BYTES);
	}
}

/* Packet i of n, in either direction of its session. */
static void make(struct job *job, struct sp_packet *packet, unsigned int i, bool translated)
{
	struct sp_session_state init = {.slot = SP_RULE_SLOT_DEFAULT,
		.state = SP_STATE_UDP_REPLIED,
		.zone_to = 1,
		.flags = translated ? SP_SESSION_NAT : 0,
		.generation = job->worker->live->ruleset->generation};
	struct sp_key reply;

	memset(packet, 0, sizeof(*packet));
	packet->kind = SP_KIND_FLOW;
	packet->l3_off = L3_OFF;
	packet->l4_off = L4_OFF;
	packet->payload_off = L4_OFF + 8;
	packet->payload_len = FRAME_BYTES - packet->payload_off;
	packet->zone_to = 1;
	packet->key.family = SP_FAMILY_IPV4;
	packet->key.proto = IPPROTO_UDP;
	packet->key.v4.src = rte_cpu_to_be_32((translated ? 0x0a000000u : 0x0b000000u) + i);
	packet->key.v4.dst = rte_cpu_to_be_32(0xc6336400u + i % 200);
	packet->key.sport = rte_cpu_to_be_16((uint16_t)(1024 + i % 60000));
	packet->key.dport = rte_cpu_to_be_16(53);
	packet->hash = (uint32_t)sp_key_hash4(&packet->key);
	sp_key_reverse(&packet->key, &reply);
	if (translated) {
		reply.v4.dst = rte_cpu_to_be_32(0xcb007100u + i / 60000);
		reply.dport = rte_cpu_to_be_16((uint16_t)(1024 + i % 60000));
	}
	if (sp_session_insert(job->worker->sessions, &packet->key, packet->hash, &reply, (uint32_t)sp_key_hash4(&reply), &init, 0, 0) ==
		SP_SESSION_NONE)
		micro_die("session %u does not fit", i);
	if (i & 1) {
		packet->key = reply;
		packet->hash = (uint32_t)sp_key_hash4(&reply);
		packet->zone_from = 1;
		packet->zone_to = 0;
	}
}

static struct sp_packet *fill(struct job *job, bool translated)
{
	struct sp_packet *packets = calloc(job->n, sizeof(packets[0])), packet;
	uint64_t state = 5;

	if (packets == NULL)
		micro_die("no memory for %u packets", job->n);
	for (unsigned int i = 0; i < job->n; i++)
		make(job, &packets[i], i, translated);
	for (unsigned int i = job->n - 1; i > 0; i--) {
		unsigned int j = (unsigned int)(micro_random(&state) % (i + 1));

		packet = packets[i];
		packets[i] = packets[j];
		packets[j] = packet;
	}
	return packets;
}

static uint64_t pass(struct job *job, const struct sp_packet *packets)
{
	struct sp_worker *worker = job->worker;
	struct sp_burst *burst = &worker->burst;
	uint64_t settled = 0;

	for (unsigned int i = 0; i + MICRO_BURST <= job->n; i += MICRO_BURST) {
		burst->n = MICRO_BURST;
		burst->translated = 0;
		memset(burst->verdict, SP_VERDICT_GOING, sizeof(burst->verdict));
		memcpy(burst->packet, &packets[i], MICRO_BURST * sizeof(burst->packet[0]));
		memcpy(burst->mbuf, job->mbuf, sizeof(job->mbuf));
		sp_sessions_lookup_burst(worker->sessions, burst);
		settled += sp_settled_burst(worker) ? MICRO_BURST : 0;
		if (worker->live->nat != NULL || burst->translated != 0)
			sp_nat_burst(worker);
		if (burst->translated != 0)
			sp_nat_rewrite_burst(worker);
	}
	return settled;
}

static uint64_t pass_plain(void *arg)
{
	struct job *job = arg;

	return pass(job, job->plain);
}

static uint64_t pass_translated(void *arg)
{
	struct job *job = arg;

	return pass(job, job->translated);
}

void micro_nat(json_t *out, const struct micro_options *options, int argc, char **argv)
{
	struct job job = {.n = argc == 1 ? (unsigned int)atoi(argv[0]) / MICRO_BURST * MICRO_BURST : 0};
	struct micro contenders[] = {{.name = "plain", .unit = "packet", .pass = pass_plain, .count = job.n},
		{.name = "translated", .unit = "packet", .pass = pass_translated, .count = job.n}};
	char set[64];

	if (job.n == 0)
		micro_die("nat takes a number of sessions from %u", MICRO_BURST);
	launch(&job);
	job.plain = fill(&job, false);
	job.translated = fill(&job, true);
	micro_run(contenders, 2, options, &job);
	for (unsigned int c = 0; c < 2; c++)
		if (contenders[c].proof != job.n)
			micro_die("%s: %lu of %u packets settled", contenders[c].name, contenders[c].proof, job.n);
	snprintf(set, sizeof(set), "%u sessions", job.n);
	micro_report(out, set, contenders, 2, options);
	free(job.plain);
	free(job.translated);
	sp_launch_end(&job.launch);
}
