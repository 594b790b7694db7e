/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target of rule files: any bytes, as a body of the API would bring them, so that no file is opened. Whatever is read must be
 * free of faults; what is formatted must read again to the same and be its own format.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rules/check.h"
#include "rules/explain.h"
#include "rules/fmt.h"
#include "rules/nat.h"
#include "rules/read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sp_policy *read_body(const char *bytes, size_t size)
{
	struct sp_read_options options = {.file = "fuzz.rules", .api_body = true};
	struct sp_diags diags = {0};
	struct sp_policy *policy = sp_policy_read(bytes, size, &options, &diags);

	if (!policy != (diags.errors > 0))
		abort();
	sp_diags_clear(&diags);
	return policy;
}

static void compare_nat(const struct sp_nat_list *a, const struct sp_nat_list *b)
{
	if (!a != !b || (a && a->n != b->n))
		abort();
	for (size_t i = 0; a && i < a->n; i++) {
		json_t *x = sp_nat_entry_json(&a->v[i]), *y = sp_nat_entry_json(&b->v[i]);

		if (!x || !y || !json_equal(json_object_get(x, "fields"), json_object_get(y, "fields")) ||
			a->v[i].n_hosts != b->v[i].n_hosts)
			abort();
		json_decref(x);
		json_decref(y);
	}
}

static void compare(const struct sp_policy *a, const struct sp_policy *b)
{
	if (!a != !b)
		abort();
	if (!a)
		return;
	if (a->n_rules != b->n_rules || a->n_sets != b->n_sets || a->n_profiles != b->n_profiles || a->n_expects != b->n_expects)
		abort();
	for (size_t i = 0; i < a->n_rules; i++) {
		if (a->rules[i].id != b->rules[i].id || a->rules[i].content_hash != b->rules[i].content_hash)
			abort();
	}
	compare_nat(a->nat, b->nat);
}

/* What is in force of it is looked at by every command: nothing of that may depend on more than what was read. */
static void use(struct sp_policy *policy)
{
	struct sp_packet_text packet = {.match = {.family = SP_FAMILY_IPV4, .proto = 6, .sport = 1, .dport = 80, .ethertype = 0x0800}};
	struct sp_diags diags = {0};
	struct sp_explain explain;

	packet.match.src = (struct sp_addr){.family = SP_FAMILY_IPV4, .b = {10, 0, 0, 1}};
	packet.match.dst = (struct sp_addr){.family = SP_FAMILY_IPV4, .b = {203, 0, 113, 1}};
	packet.local = true;
	sp_explain(policy, &packet, &explain);
	json_decref(sp_explain_json(policy, &packet, &explain));
	if (policy->n_rules < 1000)
		sp_policy_check(policy, &diags);
	if (policy->n_rules * policy->n_expects < 1000)
		sp_policy_expect(policy, &diags);
	for (size_t i = 0; policy->nat && i < policy->nat->n; i++) {
		const struct sp_nat_entry *entry = &policy->nat->v[i];
		struct sp_addr there, back;

		if (entry->type != SP_NAT_STATIC && entry->type != SP_NAT_PREFIX)
			continue;
		if (sp_nat_counterpart(entry, &entry->inside.hi, true, &there) &&
			(!sp_nat_counterpart(entry, &there, false, &back) || sp_addr_compare(&back, &entry->inside.hi) != 0))
			abort();
	}
	sp_diags_clear(&diags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	struct sp_policy *policy = read_body(bytes, size);
	struct sp_diags diags = {0};
	char *once = sp_fmt(bytes, size, "fuzz.rules", &diags);

	if (policy && !once)
		abort();
	if (policy)
		use(policy);
	if (once) {
		char *twice = sp_fmt(once, strlen(once), "fuzz.rules", &diags);
		struct sp_policy *formatted = read_body(once, strlen(once));

		if (!twice || strcmp(once, twice) != 0)
			abort();
		compare(policy, formatted);
		sp_policy_free(formatted);
		free(twice);
	}
	sp_diags_clear(&diags);
	sp_policy_free(policy);
	free(once);
	return 0;
}
