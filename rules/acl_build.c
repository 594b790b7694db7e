/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Builds the classifier: classes, segments, then an rte_acl context a segment and family.
 *
 * rte_acl can refuse a set of rules that mixes too many dimensions (it makes at most eight tries) or run out of memory. Its segment is then
 * halved and each half built apart, which is always right and costs one traversal more.
 */
#include "rules/acl.h"

#include <errno.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY_BATCH 64

/* Entries on their way into a context. */
struct feed {
	struct rte_acl_ctx *context;
	uint32_t rule_size;
	uint32_t n;
	uint8_t batch[ENTRY_BATCH * sizeof(struct acl_entry)] __attribute__((aligned(8)));
};

static int feed_flush(struct feed *feed)
{
	int rc = feed->n == 0 ? 0 : rte_acl_add_rules(feed->context, (const struct rte_acl_rule *)(const void *)feed->batch, feed->n);

	feed->n = 0;
	return rc;
}

static int feed_entry(const struct acl_entry *entry, void *data)
{
	struct feed *feed = data;

	memcpy(feed->batch + (size_t)feed->n * feed->rule_size, entry, feed->rule_size);
	feed->n++;
	return feed->n == ENTRY_BATCH ? feed_flush(feed) : 0;
}

static int add_entries(const struct sp_classifier *classifier, const struct acl_segment *segment, enum acl_family family, struct feed *feed)
{
	struct acl_entry entry;
	int rc = 0;

	for (uint32_t i = segment->first; i <= segment->last && rc == 0; i++) {
		memset(&entry, 0, sizeof(entry));
		entry.data.category_mask = 1;
		entry.data.priority = (int32_t)(RTE_ACL_MAX_PRIORITY - (i - segment->first));
		entry.data.userdata = i + 1; /* 0 is rte_acl's "no match" */
		rc = acl_rule_emit(classifier, &classifier->policy->rules[i], family, &entry, feed_entry, feed);
	}
	return rc == 0 ? feed_flush(feed) : rc;
}

static struct rte_acl_ctx *context_create(uint32_t entries, uint32_t rule_size)
{
	static atomic_uint serial;
	char name[RTE_ACL_NAMESIZE];
	struct rte_acl_param param = {.name = name, .socket_id = SOCKET_ID_ANY, .rule_size = rule_size, .max_rule_num = entries};

	/* rte_acl_create hands out an existing context of the same name, so each has its own. */
	snprintf(name, sizeof(name), "rules%u", atomic_fetch_add(&serial, 1));
	return rte_acl_create(&param);
}

/*
 * No size limit is given (max_size 0), which makes rte_acl split into tries early. With a limit it would first try large tries: twice as
 * fast to look up in some sets of 1,000 rules, but 5 to 10 times the memory and time to build, without a bound for sets that overlap a lot.
 */
static int context_build(const struct sp_classifier *classifier, struct acl_segment *segment, enum acl_family family, uint32_t entries)
{
	struct rte_acl_config config = {.num_categories = 1};
	struct feed feed = {0};
	int rc;

	config.num_fields = acl_field_defs(family, config.defs);
	feed.rule_size = RTE_ACL_RULE_SZ(config.num_fields);
	feed.context = context_create(entries, feed.rule_size);
	if (feed.context == NULL)
		return -ENOMEM;
	rc = add_entries(classifier, segment, family, &feed);
	if (rc == 0)
		rc = rte_acl_build(feed.context, &config);
	if (rc != 0) {
		rte_acl_free(feed.context);
		return rc < 0 ? rc : -EINVAL;
	}
	/* Refused when the CPU or EAL's --force-max-simd-bitwidth does not allow it: then rte_acl's own choice stands. */
	(void)rte_acl_set_ctx_classify(feed.context, RTE_ACL_CLASSIFY_AVX512X32);
	segment->context[family] = feed.context;
	return 0;
}

static void segment_free(struct acl_segment *segment)
{
	for (int family = 0; family < ACL_FAMILIES; family++) {
		rte_acl_free(segment->context[family]);
		segment->context[family] = NULL;
	}
}

static int segment_build(const struct sp_classifier *classifier, struct acl_segment *segment)
{
	int rc = 0;

	if (segment->linear)
		return 0;
	for (int family = 0; family < ACL_FAMILIES && rc == 0; family++) {
		uint32_t entries = 0;

		for (uint32_t i = segment->first; i <= segment->last; i++)
			entries += acl_rule_entries(classifier, &classifier->policy->rules[i], (enum acl_family)family);
		if (entries > 0)
			rc = context_build(classifier, segment, (enum acl_family)family, entries);
	}
	if (rc != 0)
		segment_free(segment);
	return rc;
}

static size_t heap_used(void)
{
	struct rte_malloc_socket_stats stats;
	size_t used = 0;

	for (unsigned int i = 0; i < rte_socket_count(); i++)
		if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(i), &stats) == 0)
			used += stats.heap_allocsz_bytes;
	return used;
}

static int segments_build(struct sp_classifier *classifier, struct sp_diags *diags)
{
	const struct sp_policy *policy = classifier->policy;
	size_t before = heap_used(), after;
	unsigned int splits = 0;

	for (size_t i = 0; i < classifier->n_segments;) {
		int rc = segment_build(classifier, &classifier->segments[i]);

		if (rc == 0) {
			i++;
			continue;
		}
		if (splits++ < ACL_SPLITS_MAX && acl_segment_split(classifier, i) == 0)
			continue;
		sp_diag_error(diags, policy->file, policy->rules[classifier->segments[i].first].line,
			"the rules from here on cannot be compiled (rte_acl: %s); give the process more memory or use fewer rules",
			strerror(-rc));
		return rc;
	}
	after = heap_used();
	classifier->bytes += after > before ? after - before : 0;
	return 0;
}

/* One direction and family; `wanted` is n_addrsets long. */
static int classes_build(struct sp_classifier *classifier, struct acl_classes *out, const bool *wanted, int family, struct sp_diags *diags)
{
	const struct sp_policy *policy = classifier->policy;
	int rc = acl_classes_build(out, policy->addrsets, policy->n_addrsets, wanted, (enum acl_family)family);

	if (rc == -E2BIG)
		sp_diag_error(diags, policy->file, 0,
			"the address sets of the rules overlap in more than 65,535 ways; use fewer or simpler sets");
	else if (rc != 0)
		sp_diag_error(diags, policy->file, 0, "cannot compile the address sets: %s", strerror(-rc));
	classifier->bytes += out->bytes;
	return rc;
}

static int all_classes_build(struct sp_classifier *classifier, struct sp_diags *diags)
{
	size_t n = classifier->policy->n_addrsets;
	bool *wanted = calloc(2 * n + 1, sizeof(*wanted));
	int rc = 0;

	if (wanted == NULL) {
		sp_diag_error(diags, classifier->policy->file, 0, "out of memory");
		return -ENOMEM;
	}
	for (int family = 0; family < ACL_FAMILIES && rc == 0; family++) {
		memset(wanted, 0, 2 * n * sizeof(*wanted));
		acl_choose_classes(classifier->policy, (enum acl_family)family, wanted, wanted + n);
		rc = classes_build(classifier, &classifier->src[family], wanted, family, diags);
		if (rc == 0)
			rc = classes_build(classifier, &classifier->dst[family], wanted + n, family, diags);
	}
	free(wanted);
	return rc;
}

/* Entries of each rule for its costlier family, cut at one more than a rule may have. */
static uint16_t *count_entries(const struct sp_classifier *classifier)
{
	const struct sp_policy *policy = classifier->policy;
	uint16_t *entries = calloc(policy->n_rules + 1, sizeof(*entries));

	for (size_t i = 0; entries != NULL && i < policy->n_rules; i++) {
		uint32_t n4 = acl_rule_entries(classifier, &policy->rules[i], ACL_V4);
		uint32_t n6 = acl_rule_entries(classifier, &policy->rules[i], ACL_V6);

		entries[i] = (uint16_t)RTE_MIN(RTE_MAX(n4, n6), ACL_RULE_ENTRIES_MAX + 1u);
	}
	return entries;
}

/* A frame that is not IP has no protocol, addresses or ports to ask for. */
static bool concerns_non_ip(const struct sp_rule *rule)
{
	return rule->enabled && rule->ethertype.n > 0 && sp_rule_any_proto(rule) && rule->src < 0 && rule->dst < 0 && rule->sport.n == 0 &&
	       rule->dport.n == 0 && rule->icmp_type.n == 0 && rule->icmp_code.n == 0;
}

static int list_non_ip(struct sp_classifier *classifier)
{
	const struct sp_policy *policy = classifier->policy;

	classifier->non_ip = calloc(policy->n_rules + 1, sizeof(*classifier->non_ip));
	if (classifier->non_ip == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < policy->n_rules; i++)
		if (concerns_non_ip(&policy->rules[i]))
			classifier->non_ip[classifier->n_non_ip++] = (uint32_t)i;
	classifier->bytes += (policy->n_rules + 1) * sizeof(*classifier->non_ip);
	return 0;
}

static int cut(struct sp_classifier *classifier, struct sp_diags *diags)
{
	const struct sp_policy *policy = classifier->policy;
	uint16_t *entries = count_entries(classifier);
	int rc = entries == NULL ? -ENOMEM : acl_segments_cut(classifier, entries);

	free(entries);
	if (rc == 0)
		rc = list_non_ip(classifier);
	if (rc == -E2BIG)
		sp_diag_error(diags, policy->file, policy->rules[classifier->segments[SP_SEGMENTS_MAX - 1].last].line,
			"up to here the policy falls into %d parts, the most there can be; a part ends soon after a rule with packet-only "
			"fields "
			"(tcp_flags, length, dscp, src_mac, bpf) or a monitor, around rules whose lists multiply to over %d combinations, "
			"and after "
			"%d combinations in all; use fewer such rules",
			SP_SEGMENTS_MAX, ACL_RULE_ENTRIES_MAX, ACL_SEGMENT_ENTRIES_MAX);
	else if (rc != 0)
		sp_diag_error(diags, policy->file, 0, "out of memory");
	return rc;
}

struct sp_classifier *sp_classifier_build(const struct sp_policy *policy, struct sp_diags *diags)
{
	struct sp_classifier *classifier = calloc(1, sizeof(*classifier));

	if (classifier == NULL) {
		sp_diag_error(diags, policy->file, 0, "out of memory");
		return NULL;
	}
	/* It reports what it refuses as errors; here that is mended or told in the caller's diagnostics. */
	(void)rte_log_set_level_pattern("lib.acl", RTE_LOG_EMERG);
	classifier->policy = policy;
	classifier->zone_shift = acl_zone_shift(policy);
	classifier->bytes = sizeof(*classifier);
	if (all_classes_build(classifier, diags) != 0 || cut(classifier, diags) != 0 || segments_build(classifier, diags) != 0) {
		sp_classifier_free(classifier);
		return NULL;
	}
	classifier->bytes += classifier->n_segments * sizeof(*classifier->segments);
	return classifier;
}

size_t sp_classifier_bytes(const struct sp_classifier *classifier)
{
	return classifier->bytes;
}

void sp_classifier_free(struct sp_classifier *classifier)
{
	if (classifier == NULL)
		return;
	for (size_t i = 0; i < classifier->n_segments; i++)
		segment_free(&classifier->segments[i]);
	free(classifier->segments);
	for (int family = 0; family < ACL_FAMILIES; family++) {
		acl_classes_free(&classifier->src[family]);
		acl_classes_free(&classifier->dst[family]);
	}
	free(classifier->non_ip);
	free(classifier);
}
