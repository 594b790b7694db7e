/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The classifier beside rte_acl with the same rules: what zones, classes, both families and "first at or after" cost over the bare library.
 * Both answer every key, and the answers must be the same.
 */
#include <inttypes.h>
#include <netinet/in.h>
#include <rte_acl.h>
#include <rte_cycles.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules/classifier.h"
#include "rules/match.h"
#include "rules/read.h"
#include "tests/bench/micro.h"

#define KEYS 65536

struct filter {
	uint32_t src, dst; /* host byte order */
	uint8_t src_len, dst_len, proto, proto_mask;
	uint16_t sport[2], dport[2];
};

/* As rte_acl reads it: one byte, then groups of four bytes in network byte order. */
struct tuple {
	uint8_t proto, pad[3];
	rte_be32_t src, dst;
	rte_be16_t sport, dport;
};

enum { FIELD_PROTO, FIELD_SRC, FIELD_DST, FIELD_SPORT, FIELD_DPORT, FIELDS };

static const struct rte_acl_field_def fields[FIELDS] = {
	{RTE_ACL_FIELD_TYPE_BITMASK, 1, FIELD_PROTO, 0, offsetof(struct tuple, proto)},
	{RTE_ACL_FIELD_TYPE_MASK, 4, FIELD_SRC, 1, offsetof(struct tuple, src)},
	{RTE_ACL_FIELD_TYPE_MASK, 4, FIELD_DST, 2, offsetof(struct tuple, dst)},
	{RTE_ACL_FIELD_TYPE_RANGE, 2, FIELD_SPORT, 3, offsetof(struct tuple, sport)},
	{RTE_ACL_FIELD_TYPE_RANGE, 2, FIELD_DPORT, 3, offsetof(struct tuple, dport)},
};

RTE_ACL_RULE_DEF(raw_rule, FIELDS);

struct job {
	struct filter *filters;
	size_t n;
	struct tuple *tuples;
	const uint8_t **tuple_at;
	struct sp_match *matches;
	const struct sp_match **match_at;
	uint32_t *raw_answer, *answer; /* KEYS */
	struct rte_acl_ctx *raw;
	struct sp_classifier *classifier;
};

static void *allocate(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (p == NULL)
		micro_die("no memory");
	return p;
}

static void read_filters(struct job *job, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[256];
	size_t room = 0;

	if (file == NULL)
		micro_die("%s: cannot be read", path);
	while (fgets(line, sizeof(line), file) != NULL) {
		unsigned int a[10], low[2], high[2], proto, mask;
		struct filter *filter;

		if (sscanf(line, "@%u.%u.%u.%u/%u %u.%u.%u.%u/%u %u : %u %u : %u %x/%x", &a[0], &a[1], &a[2], &a[3], &a[4], &a[5], &a[6],
			    &a[7], &a[8], &a[9], &low[0], &high[0], &low[1], &high[1], &proto, &mask) != 16)
			micro_die("%s: line %zu is no filter", path, job->n + 1);
		if (job->n == room) {
			room = room != 0 ? room * 2 : 1024;
			job->filters = realloc(job->filters, room * sizeof(job->filters[0]));
			if (job->filters == NULL)
				micro_die("no memory");
		}
		filter = &job->filters[job->n++];
		*filter = (struct filter){.src = a[0] << 24 | a[1] << 16 | a[2] << 8 | a[3],
			.dst = a[5] << 24 | a[6] << 16 | a[7] << 8 | a[8],
			.src_len = (uint8_t)a[4],
			.dst_len = (uint8_t)a[9],
			.proto = (uint8_t)proto,
			.proto_mask = (uint8_t)mask,
			.sport = {(uint16_t)low[0], (uint16_t)high[0]},
			.dport = {(uint16_t)low[1], (uint16_t)high[1]}};
	}
	fclose(file);
	if (job->n == 0)
		micro_die("%s: no filters", path);
}

static uint32_t mask_of(uint8_t len)
{
	return len == 0 ? 0 : UINT32_MAX << (32 - len);
}

static void set_rule(struct raw_rule *rule, const struct filter *filter, uint32_t index)
{
	memset(rule, 0, sizeof(*rule));
	rule->data.category_mask = 1;
	rule->data.priority = RTE_ACL_MAX_PRIORITY - (int32_t)index;
	rule->data.userdata = index + 1;
	rule->field[FIELD_PROTO].value.u8 = filter->proto;
	rule->field[FIELD_PROTO].mask_range.u8 = filter->proto_mask;
	rule->field[FIELD_SRC].value.u32 = filter->src;
	rule->field[FIELD_SRC].mask_range.u32 = filter->src_len;
	rule->field[FIELD_DST].value.u32 = filter->dst;
	rule->field[FIELD_DST].mask_range.u32 = filter->dst_len;
	rule->field[FIELD_SPORT].value.u16 = filter->sport[0];
	rule->field[FIELD_SPORT].mask_range.u16 = filter->sport[1];
	rule->field[FIELD_DPORT].value.u16 = filter->dport[0];
	rule->field[FIELD_DPORT].mask_range.u16 = filter->dport[1];
}

static void build_raw(struct job *job)
{
	const struct rte_acl_param param = {
		.name = "raw", .socket_id = SOCKET_ID_ANY, .rule_size = RTE_ACL_RULE_SZ(FIELDS), .max_rule_num = (uint32_t)job->n};
	struct rte_acl_config config = {.num_categories = 1, .num_fields = FIELDS};
	int rc = 0;

	job->raw = rte_acl_create(&param);
	if (job->raw == NULL)
		micro_die("rte_acl: no memory");
	for (uint32_t i = 0; rc == 0 && i < job->n; i++) {
		struct raw_rule rule;

		set_rule(&rule, &job->filters[i], i);
		rc = rte_acl_add_rules(job->raw, (struct rte_acl_rule *)&rule, 1);
	}
	memcpy(config.defs, fields, sizeof(fields));
	if (rc == 0)
		rc = rte_acl_build(job->raw, &config);
	if (rc != 0)
		micro_die("rte_acl: %s", strerror(-rc));
	/* The widest that CPU and EAL allow, as the classifier does. */
	(void)rte_acl_set_ctx_classify(job->raw, RTE_ACL_CLASSIFY_AVX512X32);
}

static uint16_t within(uint64_t *state, const uint16_t range[2])
{
	return (uint16_t)(range[0] + micro_random(state) % (range[1] - range[0] + 1u));
}

/* A packet of a rule drawn at random: headers of the kind that ClassBench's trace generator makes. */
static void make_key(struct job *job, size_t k, uint64_t *state)
{
	const struct filter *filter = &job->filters[micro_random(state) % job->n];
	uint32_t src = filter->src | ((uint32_t)micro_random(state) & ~mask_of(filter->src_len));
	uint32_t dst = filter->dst | ((uint32_t)micro_random(state) & ~mask_of(filter->dst_len));
	uint8_t proto = filter->proto_mask != 0 ? filter->proto : IPPROTO_TCP;
	uint16_t sport = within(state, filter->sport), dport = within(state, filter->dport);
	struct tuple *tuple = &job->tuples[k];
	struct sp_match *match = &job->matches[k];

	*tuple = (struct tuple){.proto = proto,
		.src = rte_cpu_to_be_32(src),
		.dst = rte_cpu_to_be_32(dst),
		.sport = rte_cpu_to_be_16(sport),
		.dport = rte_cpu_to_be_16(dport)};
	*match = (struct sp_match){.family = SP_FAMILY_IPV4,
		.proto = proto,
		.from = SP_MATCH_NO_ZONE,
		.to = SP_MATCH_NO_ZONE,
		.ethertype = 0x0800,
		.sport = sport,
		.dport = dport,
		.src.family = SP_FAMILY_IPV4,
		.dst.family = SP_FAMILY_IPV4};
	memcpy(match->src.b, &tuple->src, sizeof(tuple->src));
	memcpy(match->dst.b, &tuple->dst, sizeof(tuple->dst));
	job->tuple_at[k] = (const uint8_t *)tuple;
	job->match_at[k] = match;
}

static uint64_t pass_raw(void *arg)
{
	struct job *job = arg;

	for (unsigned int k = 0; k < KEYS; k += MICRO_BURST)
		rte_acl_classify(job->raw, &job->tuple_at[k], &job->raw_answer[k], MICRO_BURST, 1);
	return job->raw_answer[KEYS - 1];
}

static uint64_t pass_classifier(void *arg)
{
	struct job *job = arg;

	for (unsigned int k = 0; k < KEYS; k += MICRO_BURST) {
		uint32_t from[MICRO_BURST] = {0};

		sp_classifier_lookup(job->classifier, &job->match_at[k], from, &job->answer[k], MICRO_BURST);
	}
	return job->answer[KEYS - 1];
}

static struct sp_policy *load(const char *path)
{
	struct sp_diags diags = {0};
	struct sp_policy *policy = sp_policy_load_file(path, NULL, &diags);

	if (policy == NULL) {
		sp_diags_print(&diags, stderr);
		micro_die("%s: not a rule file that can be used", path);
	}
	sp_diags_clear(&diags);
	return policy;
}

static double seconds_since(uint64_t begin)
{
	return (double)(micro_cycles() - begin) / (double)rte_get_tsc_hz();
}

static void compare(const struct job *job)
{
	for (unsigned int k = 0; k < KEYS; k++)
		if (job->raw_answer[k] - 1 != job->answer[k])
			micro_die("key %u: rte_acl says rule %" PRIu32 ", the classifier %" PRIu32, k, job->raw_answer[k] - 1,
				job->answer[k]);
}

void micro_acl(json_t *out, const struct micro_options *options, int argc, char **argv)
{
	struct micro contenders[] = {{.name = "rte_acl", .unit = "lookup", .pass = pass_raw, .count = KEYS},
		{.name = "sallyport classifier", .unit = "lookup", .pass = pass_classifier, .count = KEYS}};
	struct job job = {0};
	struct sp_policy *policy = load(argv[0]);
	struct sp_diags diags = {0};
	uint64_t state = 1, begin;
	double raw_s, build_s;

	(void)argc;
	read_filters(&job, argv[1]);
	job.tuples = allocate(KEYS, sizeof(job.tuples[0]));
	job.tuple_at = allocate(KEYS, sizeof(job.tuple_at[0]));
	job.matches = allocate(KEYS, sizeof(job.matches[0]));
	job.match_at = allocate(KEYS, sizeof(job.match_at[0]));
	job.raw_answer = allocate(KEYS, sizeof(uint32_t));
	job.answer = allocate(KEYS, sizeof(uint32_t));
	for (size_t k = 0; k < KEYS; k++)
		make_key(&job, k, &state);
	begin = micro_cycles();
	job.classifier = sp_classifier_build(policy, &diags);
	build_s = seconds_since(begin);
	if (job.classifier == NULL) {
		sp_diags_print(&diags, stderr);
		micro_die("the classifier cannot be built");
	}
	begin = micro_cycles();
	build_raw(&job);
	raw_s = seconds_since(begin);
	micro_run(contenders, 2, options, &job);
	compare(&job);
	micro_report(out, argv[1], contenders, 2, options);
	json_object_set_new(json_array_get(out, 0), "build_s", json_real(raw_s));
	json_object_set_new(json_array_get(out, 1), "build_s", json_real(build_s));
	json_object_set_new(json_array_get(out, 1), "bytes", json_integer((json_int_t)sp_classifier_bytes(job.classifier)));
	sp_classifier_free(job.classifier);
	rte_acl_free(job.raw);
	sp_policy_free(policy);
	free(job.filters);
	free(job.tuples);
	free(job.tuple_at);
	free(job.matches);
	free(job.match_at);
	free(job.raw_answer);
	free(job.answer);
}
