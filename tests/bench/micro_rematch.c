/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a reload costs: the first packet of each session after it (recheck), beside later ones; and the walk that `kill` does. All sessions
 * stay, so that every pass does the same.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/rematch.h"
#include "dataplane/stages.h"
#include "mgmt/publish.h"
#include "rules/read.h"
#include "tests/bench/micro.h"
#include "vnf/config.h"
#include "vnf/launch.h"

struct job {
	struct sp_launch launch;
	struct sp_worker *worker;
	struct sp_packet *packets; /* of sessions, in an order that no prefetcher guesses */
	unsigned int n;
};

static struct sp_ruleset *compile(const char *path)
{
	struct sp_diags diags = {0};
	struct sp_policy *policy = sp_policy_load_file(path, NULL, &diags);
	struct sp_ruleset *ruleset = policy == NULL ? NULL : sp_ruleset_build(policy, &diags);

	if (ruleset == NULL) {
		sp_diags_print(&diags, stderr);
		micro_die("%s: cannot be used", path);
	}
	sp_diags_clear(&diags);
	return ruleset;
}

static void launch(struct job *job, const char *rules)
{
	struct sp_ruleset *ruleset = compile(rules);
	struct sp_launch_options options = {.n_workers = 1,
		.sessions4 = job->n < 64 ? 64 : job->n,
		.sessions6 = 64,
		.timeout_sec = sp_state_default_sec,
		.limit_sources = SP_CONFIG_DEFAULT_SOURCES,
		.zones = &ruleset->policy->zones};
	struct sp_diags diags = {0};
	char why[SP_WHY_MAX];

	if (sp_launch_begin(&job->launch, &options, why) != 0 || sp_launch_pool(&job->launch, 256, 2048, why) != 0 ||
		sp_launch_workers(&job->launch, &options, why) != 0)
		micro_die("%s", why);
	if (sp_publish(job->launch.dataplane, ruleset, &diags) != 0)
		micro_die("the rules cannot be put into force");
	job->worker = job->launch.dataplane->workers[0];
	job->worker->live = job->launch.dataplane->live;
}

/* A packet that a rule which keeps sessions allows, from random ones. Its rule, NULL: the default. */
static const struct sp_hot_rule *draw(struct job *job, struct sp_packet *packet, uint64_t *state)
{
	const struct sp_ruleset *ruleset = job->worker->live->ruleset;

	for (unsigned int tries = 0; tries < 100000; tries++) {
		struct sp_match match;
		const struct sp_match *keys[1] = {&match};
		uint32_t from = 0, index;
		uint64_t bits = micro_random(state);

		memset(packet, 0, sizeof(*packet));
		packet->kind = SP_KIND_FLOW;
		packet->key.family = SP_FAMILY_IPV4;
		packet->key.proto = bits & 1 ? IPPROTO_UDP : IPPROTO_TCP;
		packet->key.v4.src = rte_cpu_to_be_32(0x0a000000u | (uint32_t)(bits >> 8 & 0xffffff));
		packet->key.v4.dst = rte_cpu_to_be_32(0xc0000200u | (uint32_t)(bits >> 1 & 0x7f));
		packet->key.sport = rte_cpu_to_be_16((uint16_t)(1024 + (bits >> 32) % 60000));
		packet->key.dport = rte_cpu_to_be_16((uint16_t)(bits & 2 ? 443 : 1 + (bits >> 48) % 9000));
		packet->zone_to = 1;
		packet->hash = (uint32_t)sp_key_hash4(&packet->key);
		sp_match_from_key(&packet->key, packet->zone_from, packet->zone_to, &match);
		sp_classifier_lookup(ruleset->classifier, keys, &from, &index, 1);
		if (index == SP_RULE_NONE && ruleset->default_action == SP_ACTION_ALLOW)
			return NULL;
		if (index != SP_RULE_NONE && ruleset->rules[index].action == SP_ACTION_ALLOW && ruleset->rules[index].residual == NULL &&
			!(ruleset->rules[index].flags & (SP_HOT_STATELESS | SP_HOT_MONITOR)))
			return &ruleset->rules[index];
	}
	micro_die("the rules allow next to nothing");
}

static void fill(struct job *job)
{
	uint64_t state = 5;

	job->packets = calloc(job->n, sizeof(job->packets[0]));
	if (job->packets == NULL)
		micro_die("no memory for %u packets", job->n);
	for (unsigned int i = 0; i < job->n;) {
		const struct sp_hot_rule *rule = draw(job, &job->packets[i], &state);
		struct sp_session_state init = {.slot = rule == NULL ? SP_RULE_SLOT_DEFAULT : rule->slot,
			.state = SP_STATE_UDP_REPLIED,
			.zone_to = 1,
			.generation = job->worker->live->ruleset->generation};
		struct sp_key reply;

		sp_key_reverse(&job->packets[i].key, &reply);
		if (sp_session_insert(job->worker->sessions, &job->packets[i].key, job->packets[i].hash, &reply, job->packets[i].hash,
			    &init, rule == NULL ? 0 : (uint32_t)rule->content_hash, 0) == SP_SESSION_NONE)
			continue; /* drawn twice */
		__atomic_fetch_add(&job->launch.dataplane->rule_table.shared[init.slot].sessions, 1, __ATOMIC_RELAXED);
		i++;
	}
	for (unsigned int i = job->n - 1; i > 0; i--) {
		unsigned int j = (unsigned int)(micro_random(&state) % (i + 1));
		struct sp_packet packet = job->packets[i];

		job->packets[i] = job->packets[j];
		job->packets[j] = packet;
	}
}

/* As a publish of the same rules would have it. */
static void next_generation(struct job *job)
{
	job->worker->live->ruleset->generation++;
	job->worker->live->keep_from = job->worker->live->ruleset->generation;
}

/* Looks every session up, and judges it where it is due; returns how many live. */
static uint64_t hit_all(struct job *job)
{
	struct sp_burst *burst = &job->worker->burst;
	uint64_t live = 0;

	for (unsigned int i = 0; i + MICRO_BURST <= job->n; i += MICRO_BURST) {
		burst->n = MICRO_BURST;
		memset(burst->verdict, SP_VERDICT_GOING, sizeof(burst->verdict));
		memcpy(burst->packet, &job->packets[i], MICRO_BURST * sizeof(burst->packet[0]));
		sp_sessions_lookup_burst(job->worker->sessions, burst);
		sp_rematch_burst(job->worker);
		for (unsigned int k = 0; k < MICRO_BURST; k++)
			live += sp_burst_has_session(burst, k);
	}
	return live;
}

static uint64_t pass_hit(void *arg)
{
	return hit_all(arg);
}

static uint64_t pass_first(void *arg)
{
	next_generation(arg);
	return hit_all(arg);
}

static uint64_t walk(struct job *job)
{
	struct sp_rematch_walk walk;

	sp_rematch_walk_init(&walk);
	while (walk.more)
		walk.request.run(job->worker, &walk.request);
	return walk.judged - walk.killed;
}

static uint64_t pass_walk(void *arg)
{
	next_generation(arg);
	return walk(arg);
}

void micro_rematch(json_t *out, const struct micro_options *options, int argc, char **argv)
{
	struct job job = {.n = argc == 2 ? (unsigned int)atoi(argv[1]) / MICRO_BURST * MICRO_BURST : 0};
	struct micro contenders[] = {{.name = "later packets", .unit = "session", .pass = pass_hit, .count = job.n},
		{.name = "first packets", .unit = "session", .pass = pass_first, .count = job.n},
		{.name = "walk of kill", .unit = "session", .pass = pass_walk, .count = job.n}};
	char set[64];

	if (job.n == 0)
		micro_die("rematch takes a rule file and a number of sessions from %u", MICRO_BURST);
	launch(&job, argv[0]);
	fill(&job);
	micro_run(contenders, 3, options, &job);
	for (unsigned int c = 0; c < 3; c++)
		if (contenders[c].proof != job.n)
			micro_die("%s: %lu of %u sessions live", contenders[c].name, contenders[c].proof, job.n);
	snprintf(set, sizeof(set), "%u sessions", job.n);
	micro_report(out, set, contenders, 3, options);
	free(job.packets);
	sp_launch_end(&job.launch);
}
