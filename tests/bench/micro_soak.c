/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A soak of the session table: fill it to the last entry, hit sessions at random in both directions, let all of them expire; and a table of
 * a thousand beside it.
 *
 * A hit on a table that no cache holds cannot cost what it costs on a small one. What memory itself takes is measured by a touch: the same
 * random choice of sessions, and no more of a hit than its cache lines, in arrays of the same sizes and from the same pages (a bucket, the
 * record that the bucket names, the counters beside the record), each prefetched a burst ahead. What a hit costs beyond the difference of
 * the two touches is the table's own.
 */
#include <inttypes.h>
#include <netinet/in.h>
#include <rte_eal.h>
#include <rte_prefetch.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/alloc.h"
#include "dataplane/session_table.h"
#include "tests/bench/micro.h"

#define HITS      (1u << 18) /* of one pass */
#define SMALL     1000u
#define FRAME     64u
#define FILL_RATE 200u /* sessions opened in a millisecond of the table's clock */

/* The table's clock in a pass of hits goes on by this: sessions then end in another order than they began in. */
#define PASS_MS 977u

/* What the age stage of a worker's turn may look at. */
#define AGE_BUDGET 64

/* Touched lines, laid out as a hit's. */
struct touched {
	struct line {
		uint32_t record;
	} __attribute__((aligned(64))) * line;
	uint8_t *record;
	struct sp_session_cold *cold;
	uint32_t n_lines;
};

struct soak {
	uint8_t family;
	uint32_t n;
	size_t record_bytes;
	struct sp_sessions *table;
	struct touched touched;
	struct sp_burst burst;
	uint64_t random;
	uint32_t now_ms;
	uint64_t missing; /* sessions that were not found, ever */
};

/* Both sizes, so that their passes take turns. */
struct job {
	struct soak large, small;
};

/* Session i of the soak, as its opener sends or as it is answered. */
static void make_key(const struct soak *soak, uint32_t i, bool reply, struct sp_key *key)
{
	const rte_be16_t port[2] = {rte_cpu_to_be_16((uint16_t)(1024 + (i & 0x7fff))), rte_cpu_to_be_16(443)};

	*key = (struct sp_key){.family = soak->family, .proto = IPPROTO_UDP, .sport = port[reply], .dport = port[!reply]};
	if (soak->family == SP_FAMILY_IPV4) {
		const rte_be32_t address[2] = {rte_cpu_to_be_32(0x0a000000u + i), rte_cpu_to_be_32(0xc6120000u | (i * 0x9e3779b1u >> 16))};

		key->v4.src = address[reply];
		key->v4.dst = address[!reply];
	} else {
		const uint64_t address[2][2] = {{rte_cpu_to_be_64(0x20010db800000000), rte_cpu_to_be_64(i)},
			{rte_cpu_to_be_64(0x20010db800000001), rte_cpu_to_be_64((uint64_t)i * 0x9e3779b1u)}};

		memcpy(key->v6.src, address[reply], sizeof(address[0]));
		memcpy(key->v6.dst, address[!reply], sizeof(address[0]));
	}
}

static uint32_t draw(struct soak *soak, bool *reply)
{
	uint64_t r = micro_random(&soak->random);

	*reply = r & 1;
	return (uint32_t)((r >> 32) * soak->n >> 32);
}

/* A burst of packets of sessions drawn at random: what each kind of pass begins with, and what a pass of its own measures. */
static inline void make_burst(struct soak *soak)
{
	struct sp_burst *burst = &soak->burst;

	burst->n = SP_BURST_MAX;
	memset(burst->verdict, SP_VERDICT_GOING, sizeof(burst->verdict));
	for (unsigned int k = 0; k < SP_BURST_MAX; k++) {
		struct sp_packet *packet = &burst->packet[k];
		bool reply;
		uint32_t i = draw(soak, &reply);

		make_key(soak, i, reply, &packet->key);
		packet->kind = SP_KIND_FLOW;
		packet->hash = (uint32_t)sp_key_hash(&packet->key);
	}
}

static bool open_session(struct soak *soak, uint32_t i)
{
	const struct sp_session_state init = {.state = SP_STATE_UDP_REPLIED};
	struct sp_key key, reply;
	uint32_t hash;

	make_key(soak, i, false, &key);
	make_key(soak, i, true, &reply);
	hash = (uint32_t)sp_key_hash(&key);
	return sp_session_insert(soak->table, &key, hash, &reply, hash, &init, 0, soak->now_ms) != SP_SESSION_NONE;
}

/* Cycles an insertion. The table is full afterwards, and refuses one more. */
static double fill(struct soak *soak)
{
	uint64_t begin = micro_cycles();
	double cycles;

	for (uint32_t i = 0; i < soak->n; i++) {
		soak->now_ms += i % FILL_RATE == 0;
		if (!open_session(soak, i))
			micro_die("session %u of %u does not fit", i + 1, soak->n);
	}
	cycles = (double)(micro_cycles() - begin) / soak->n;
	if (open_session(soak, soak->n))
		micro_die("a table of %u took one more", soak->n);
	return cycles;
}

static uint64_t make(struct soak *soak)
{
	uint64_t sum = 0;

	for (unsigned int at = 0; at < HITS; at += SP_BURST_MAX) {
		make_burst(soak);
		sum += soak->burst.packet[at / SP_BURST_MAX % SP_BURST_MAX].hash;
	}
	return sum;
}

static uint64_t hit(struct soak *soak)
{
	struct sp_burst *burst = &soak->burst;
	uint64_t found = 0;

	soak->now_ms += PASS_MS;
	for (unsigned int at = 0; at < HITS; at += SP_BURST_MAX) {
		make_burst(soak);
		sp_sessions_lookup_burst(soak->table, burst);
		for (unsigned int k = 0; k < SP_BURST_MAX; k++) {
			uint32_t ref = burst->session[k];
			struct sp_session_cold *cold;

			if (ref == SP_SESSION_NONE)
				continue;
			found++;
			sp_session_state(soak->table, ref)->last_ms = soak->now_ms;
			cold = sp_session_cold(soak->table, ref);
			cold->packets[(ref & SP_SESSION_REPLY) != 0]++;
			cold->bytes[(ref & SP_SESSION_REPLY) != 0] += FRAME;
		}
	}
	soak->missing += HITS - found;
	return found;
}

static uint64_t touch(struct soak *soak)
{
	struct touched *touched = &soak->touched;
	const struct sp_packet *packets = soak->burst.packet;
	uint64_t sum = 0;

	for (unsigned int at = 0; at < HITS; at += SP_BURST_MAX) {
		const struct line *line[SP_BURST_MAX];
		uint8_t *record[SP_BURST_MAX];
		struct sp_session_cold *cold[SP_BURST_MAX];

		make_burst(soak);
		for (unsigned int k = 0; k < SP_BURST_MAX; k++) {
			line[k] = &touched->line[(uint64_t)packets[k].hash * touched->n_lines >> 32];
			rte_prefetch0(line[k]);
		}
		for (unsigned int k = 0; k < SP_BURST_MAX; k++) {
			record[k] = touched->record + line[k]->record * soak->record_bytes;
			cold[k] = &touched->cold[line[k]->record];
			for (size_t offset = 0; offset < soak->record_bytes; offset += 64)
				rte_prefetch0(record[k] + offset);
			rte_prefetch0(cold[k]);
		}
		for (unsigned int k = 0; k < SP_BURST_MAX; k++) {
			uint32_t *last = (uint32_t *)(void *)(record[k] + soak->record_bytes - 16);

			sum += record[k][0];
			*last = at;
			cold[k]->packets[k & 1]++;
			cold[k]->bytes[k & 1] += FRAME;
		}
	}
	return sum;
}

static uint64_t pass_hit_large(void *arg)
{
	return hit(&((struct job *)arg)->large);
}

static uint64_t pass_hit_small(void *arg)
{
	return hit(&((struct job *)arg)->small);
}

static uint64_t pass_touch_large(void *arg)
{
	return touch(&((struct job *)arg)->large);
}

static uint64_t pass_touch_small(void *arg)
{
	return touch(&((struct job *)arg)->small);
}

static uint64_t pass_make(void *arg)
{
	return make(&((struct job *)arg)->small);
}

/* Cycles a session: every one ends, by the table's own clock and in a worker's portions, put off in between when it was used. */
static double expire(struct soak *soak)
{
	const struct sp_sessions_counters *counters = sp_sessions_counters(soak->table);
	uint64_t expired = counters->expired, begin = micro_cycles();
	uint32_t timeout_ms = sp_state_default_sec[SP_STATE_UDP_REPLIED] * 1000;
	double cycles;

	for (uint32_t end = soak->now_ms + timeout_ms + 2000; soak->now_ms != end; soak->now_ms += 10)
		while (sp_sessions_age(soak->table, soak->now_ms, AGE_BUDGET) == AGE_BUDGET)
			;
	cycles = (double)(micro_cycles() - begin) / soak->n;
	if (counters->expired - expired != soak->n || counters->active4 + counters->active6 != 0)
		micro_die("%" PRIu64 " of %u sessions expired", counters->expired - expired, soak->n);
	return cycles;
}

static void *allocate(const char *name, size_t bytes)
{
	void *p = sp_alloc(name, bytes, 64, SOCKET_ID_ANY);

	if (p == NULL)
		micro_die("no memory for %zu MB more", bytes >> 20);
	return p;
}

static void make_touched(struct soak *soak)
{
	struct touched *touched = &soak->touched;

	touched->n_lines = soak->table->index.n;
	touched->line = allocate("touched", touched->n_lines * sizeof(touched->line[0]));
	touched->record = allocate("touched", soak->n * soak->record_bytes);
	touched->cold = allocate("touched", soak->n * sizeof(touched->cold[0]));
	/* Written, so that no page is given or taken from the kernel's page of zeros while time is measured. */
	memset(touched->record, 0xff, soak->n * soak->record_bytes);
	memset(touched->cold, 0, soak->n * sizeof(touched->cold[0]));
	for (uint32_t i = 0; i < touched->n_lines; i++)
		touched->line[i].record = (uint32_t)((micro_random(&soak->random) >> 32) * soak->n >> 32);
}

static void make_soak(struct soak *soak, uint8_t family, uint32_t n)
{
	struct sp_sessions_config config = {.socket = SOCKET_ID_ANY};

	soak->family = family;
	soak->n = n;
	soak->random = n;
	soak->record_bytes = family == SP_FAMILY_IPV4 ? sizeof(struct sp_session4) : sizeof(struct sp_session6);
	config.max4 = family == SP_FAMILY_IPV4 ? n : 64;
	config.max6 = family == SP_FAMILY_IPV6 ? n : 64;
	memcpy(config.timeout_sec, sp_state_default_sec, sizeof(config.timeout_sec));
	soak->table = sp_sessions_create(&config);
	if (soak->table == NULL)
		micro_die("no memory for %u sessions", n);
	make_touched(soak);
}

static void free_soak(struct soak *soak)
{
	sp_sessions_free(soak->table);
	sp_free(soak->touched.line);
	sp_free(soak->touched.record);
	sp_free(soak->touched.cold);
}

/* Bytes a session, by what they are for; "other" is what nobody here knows of, and would be an extension that was not named. */
static json_t *bytes_of(const struct soak *soak)
{
	const double n = soak->n;
	const struct sp_session_pool *cold = NULL;
	double record = (double)soak->record_bytes + sizeof(cold->cold[0]) + sizeof(cold->freed[0]) + 1.0 / 8;
	double index = (double)sp_index_bytes(&soak->table->index) / n, tcp = sizeof(cold->tcp[0]), inspect = sizeof(cold->inspect[0]);
	double all = ((double)sp_sessions_bytes(soak->table) - sizeof(struct sp_sessions)) / n;

	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "record", record, "index", index, "tcp", tcp, "inspect", inspect, "other",
		all - record - index - tcp - inspect, "all", all);
}

void micro_soak(json_t *out, const struct micro_options *options, int argc, char **argv)
{
	struct micro contenders[] = {{.name = "hit", .unit = "hit", .pass = pass_hit_large, .count = HITS},
		{.name = "touch", .unit = "hit", .pass = pass_touch_large, .count = HITS},
		{.name = "hit_small", .unit = "hit", .pass = pass_hit_small, .count = HITS},
		{.name = "touch_small", .unit = "hit", .pass = pass_touch_small, .count = HITS},
		{.name = "make", .unit = "packet", .pass = pass_make, .count = HITS}};
	const unsigned int n_contenders = sizeof(contenders) / sizeof(contenders[0]);
	struct job *job = aligned_alloc(64, sizeof(*job));
	uint32_t n = (uint32_t)strtoul(argv[0], NULL, 10);
	uint8_t family = strcmp(argv[1], "6") == 0 ? SP_FAMILY_IPV6 : SP_FAMILY_IPV4;
	double inserted, ended;
	json_t *told;

	(void)argc;
	if (job == NULL)
		micro_die("no memory");
	if (n < SMALL || n > 1u << 24)
		micro_die("sessions must be from %u to %u", SMALL, 1u << 24);
	memset(job, 0, sizeof(*job));
	make_soak(&job->large, family, n);
	make_soak(&job->small, family, SMALL);
	inserted = fill(&job->large);
	fill(&job->small);
	micro_run(contenders, n_contenders, options, job);
	ended = expire(&job->large);
	if (job->large.missing + job->small.missing != 0)
		micro_die("%" PRIu64 " lookups of live sessions found none", job->large.missing + job->small.missing);
	told = json_pack("{s:s, s:I, s:b, s:o, s:f, s:f}", "family", family == SP_FAMILY_IPV6 ? "IPv6" : "IPv4", "sessions", (json_int_t)n,
		"huge", rte_eal_has_hugepages(), "bytes", bytes_of(&job->large), "insert", inserted, "expire", ended);
	for (unsigned int c = 0; c < n_contenders; c++) {
		json_t *samples = json_array();

		for (unsigned int r = 0; r < options->repeats; r++)
			json_array_append_new(samples, json_real(contenders[c].cycles_per_unit[r]));
		json_object_set_new(told, contenders[c].name, samples);
	}
	json_array_append_new(out, told);
	free_soak(&job->large);
	free_soak(&job->small);
	free(job);
}
