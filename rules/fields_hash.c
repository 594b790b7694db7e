/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/fields_internal.h"

#include <string.h>

uint64_t sp_hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
	const unsigned char *s = bytes;
	uint64_t word;

	hash = sp_hash_mix(hash, size);
	for (; size >= sizeof(word); size -= sizeof(word), s += sizeof(word)) {
		memcpy(&word, s, sizeof(word));
		hash = sp_hash_mix(hash, word);
	}
	word = 0;
	if (size != 0) {
		memcpy(&word, s, size);
		hash = sp_hash_mix(hash, word);
	}
	return hash;
}

uint64_t sp_hash_text(uint64_t hash, const char *text)
{
	return sp_hash_bytes(hash, text, strlen(text));
}

/* struct sp_addr_range is bytes only, so it has no padding to keep out. */
_Static_assert(sizeof(struct sp_addr_range) == 34, "ranges are hashed and compared as bytes");

uint64_t sp_addrset_hash(const struct sp_addrset *set)
{
	uint64_t hash = sp_hash_mix(SP_HASH_SEED_SET, set->n);

	return set->n != 0 ? sp_hash_bytes(hash, set->v, set->n * sizeof(set->v[0])) : hash;
}

/* By name, and without regard to order: another load may number the zones otherwise. */
static uint64_t hash_zones(const struct sp_policy *policy, uint32_t mask)
{
	uint64_t sum = 0;

	if (mask == SP_ZONE_ANY)
		return UINT64_MAX;
	for (unsigned int i = 0; i < policy->zones.n; i++)
		if (mask >> i & 1)
			sum += sp_hash_text(SP_HASH_SEED_TEXT, policy->zones.name[i]);
	return sum;
}

static uint64_t hash_addrs(uint64_t hash, const struct sp_policy *policy, int32_t index)
{
	return sp_hash_mix(hash, index < 0 ? 0 : sp_addrs_hash(policy, index));
}

static uint64_t hash_ranges(uint64_t hash, const struct sp_rangelist *list)
{
	return list->n != 0 ? sp_hash_bytes(hash, list->v, list->n * sizeof(list->v[0])) : sp_hash_mix(hash, 0);
}

static uint64_t hash_profile(uint64_t hash, const struct sp_profile *profile)
{
	hash = sp_hash_mix(hash, profile->block);
	hash = sp_hash_mix(hash, profile->depth_bytes);
	hash = sp_hash_mix(hash, profile->n_patterns);
	for (size_t i = 0; i < profile->n_patterns; i++) {
		const struct sp_pattern *pattern = &profile->patterns[i];

		hash = sp_hash_mix(hash, (uint64_t)pattern->id << 32 | pattern->flags);
		hash = sp_hash_mix(hash, pattern->action);
		hash = sp_hash_text(hash, pattern->pattern);
	}
	return hash;
}

static uint64_t hash_residual(uint64_t hash, const struct sp_rule *rule)
{
	const struct sp_residual *residual = &rule->residual;

	hash = sp_hash_mix(hash, residual->n_tcp_flags);
	for (size_t i = 0; i < residual->n_tcp_flags; i++)
		hash = sp_hash_mix(hash, (uint64_t)residual->tcp_flags[i].value << 8 | residual->tcp_flags[i].mask);
	hash = hash_ranges(hash, &residual->length);
	hash = hash_ranges(hash, &residual->dscp);
	hash = sp_hash_mix(hash, residual->n_src_mac);
	if (residual->n_src_mac != 0)
		hash = sp_hash_bytes(hash, residual->src_mac, residual->n_src_mac * sizeof(residual->src_mac[0]));
	return residual->bpf != NULL ? sp_hash_text(hash, rule->value[SP_FIELD_BPF]) : sp_hash_mix(hash, 0);
}

static uint64_t hash_limit(uint64_t hash, const struct sp_limit *limit)
{
	hash = sp_hash_mix(hash, (uint64_t)limit->unit << 24 | limit->per_src << 16 | limit->src_bits4 << 8 | limit->src_bits6);
	hash = sp_hash_mix(hash, limit->rate);
	hash = sp_hash_mix(hash, limit->period_sec);
	return sp_hash_mix(hash, limit->burst);
}

uint64_t sp_rule_hash(const struct sp_policy *policy, const struct sp_rule *rule)
{
	uint64_t hash = sp_hash_mix(SP_HASH_SEED_RULE, rule->id);

	hash = sp_hash_mix(hash, (uint64_t)rule->action << 8 | rule->enabled << 2 | rule->monitor << 1 | rule->stateless);
	hash = sp_hash_mix(hash, hash_zones(policy, rule->from));
	hash = sp_hash_mix(hash, hash_zones(policy, rule->to));
	hash = hash_addrs(hash, policy, rule->src);
	hash = hash_addrs(hash, policy, rule->dst);
	for (size_t i = 0; i < 4; i++)
		hash = sp_hash_mix(hash, rule->proto[i]);
	hash = hash_ranges(hash, &rule->sport);
	hash = hash_ranges(hash, &rule->dport);
	hash = hash_ranges(hash, &rule->icmp_type);
	hash = hash_ranges(hash, &rule->icmp_code);
	hash = hash_ranges(hash, &rule->vlan);
	hash = hash_ranges(hash, &rule->ethertype);
	hash = hash_residual(hash, rule);
	hash = hash_limit(hash, &rule->limit);
	hash = sp_hash_mix(hash, (uint64_t)rule->max_sessions << 32 | rule->max_per_source);
	hash = sp_hash_mix(hash, (uint64_t)rule->timeout_sec << 16 | rule->mss);
	return rule->inspect >= 0 ? hash_profile(hash, &policy->profiles[rule->inspect]) : sp_hash_mix(hash, 0);
}
