/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inspection of one packet beside a bare hs_scan with the same database and payload.
 */
#include <netinet/in.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/inspect.h"
#include "rules/inspector.h"
#include "rules/read.h"
#include "tests/bench/micro.h"

#define PAYLOADS 256

struct job {
	struct sp_inspector inspector;
	hs_scratch_t *scratch;
	struct rte_mbuf *mbuf[PAYLOADS];
	struct sp_packet packet;
	uint8_t *buffer;
	struct sp_inspect_counters counters;
};

static int count_match(unsigned int id, unsigned long long from, unsigned long long to, unsigned int flags, void *context)
{
	(void)id;
	(void)from;
	(void)to;
	(void)flags;
	++*(uint64_t *)context;
	return 0;
}

static uint64_t pass_raw(void *arg)
{
	struct job *job = arg;
	uint64_t matches = 0;

	for (unsigned int i = 0; i < PAYLOADS; i++)
		if (hs_scan(job->inspector.database, rte_pktmbuf_mtod(job->mbuf[i], const char *), job->packet.payload_len, 0, job->scratch,
			    count_match, &matches) != HS_SUCCESS)
			micro_die("hs_scan fails");
	return matches;
}

static uint64_t pass_inspect(void *arg)
{
	struct job *job = arg;
	uint64_t before = job->counters.matches;

	for (unsigned int i = 0; i < PAYLOADS; i++) {
		struct sp_session_inspect ext = {{0, 0}};
		struct sp_inspect_result result;

		sp_inspect_packet(&job->inspector, job->scratch, job->buffer, job->mbuf[i], &job->packet, &ext, 0, &job->counters, &result);
		if (result.error)
			micro_die("the inspection fails");
	}
	return job->counters.matches - before;
}

/* Text without a match, mostly: words of letters, as requests are. */
static void fill_payload(char *p, unsigned int len, uint64_t *state)
{
	for (unsigned int i = 0; i < len; i++) {
		uint64_t r = micro_random(state);

		p[i] = r % 7 == 0 ? ' ' : (char)('a' + r / 7 % 26);
	}
}

void micro_scan(json_t *out, const struct micro_options *options, int argc, char **argv)
{
	struct micro contenders[] = {{.name = "hs_scan", .unit = "scan", .pass = pass_raw, .count = PAYLOADS},
		{.name = "sallyport inspection", .unit = "scan", .pass = pass_inspect, .count = PAYLOADS}};
	struct job job = {.buffer = malloc(SP_INSPECT_BUFFER_BYTES)};
	unsigned int bytes = (unsigned int)strtoul(argv[1], NULL, 10);
	struct rte_mempool *pool = rte_pktmbuf_pool_create("payloads", PAYLOADS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	struct sp_diags diags = {0};
	struct sp_policy *policy = sp_policy_load_file(argv[0], NULL, &diags);
	uint64_t state = 4;
	char set[64];

	(void)argc;
	if (bytes == 0 || bytes > RTE_MBUF_DEFAULT_DATAROOM)
		micro_die("bytes must be from 1 to %u", RTE_MBUF_DEFAULT_DATAROOM);
	if (policy == NULL || policy->n_profiles == 0 || sp_inspector_build(&policy->profiles[0], argv[0], &job.inspector, &diags) != 0 ||
		sp_inspector_scratch(&job.inspector, &job.scratch) != 0 || pool == NULL || job.buffer == NULL) {
		sp_diags_print(&diags, stderr);
		micro_die("%s: no inspect profile that can be used", argv[0]);
	}
	job.packet.payload_len = (uint16_t)bytes;
	for (unsigned int i = 0; i < PAYLOADS; i++) {
		job.mbuf[i] = rte_pktmbuf_alloc(pool);
		if (job.mbuf[i] == NULL)
			micro_die("no memory");
		fill_payload(rte_pktmbuf_append(job.mbuf[i], (uint16_t)bytes), bytes, &state);
	}
	micro_run(contenders, 2, options, &job);
	snprintf(set, sizeof(set), "%zu patterns, %u B", policy->profiles[0].n_patterns, bytes);
	micro_report(out, set, contenders, 2, options);
	for (unsigned int i = 0; i < PAYLOADS; i++)
		rte_pktmbuf_free(job.mbuf[i]);
	hs_free_scratch(job.scratch);
	sp_inspector_free(&job.inspector);
	sp_policy_free(policy);
	rte_mempool_free(pool);
	free(job.buffer);
}
