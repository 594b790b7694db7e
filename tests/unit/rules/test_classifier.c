/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The compiled classifier against the linear oracle on random policies and packets, and the cases that chance would miss.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above. */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "rules/classifier.h"
#include "rules/match.h"
#include "rules/policy.h"
#include "tests/unit/support/eal.h"

#define SEED             UINT64_C(0x5a11f0a7)
#define PAIRS_PER_FAMILY 100000

static uint64_t state = SEED;

static uint32_t rnd(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state * UINT64_C(0x2545f4914f6cdd1d)) >> 32) % below;
}

static bool chance(uint32_t percent)
{
	return rnd(100) < percent;
}

/* --- random policies ----------------------------------------------------------------------------------------------------------- */

/* Addresses from a small world, so that rules and packets meet: differing bits at the top, in the middle and at the bottom. */
static struct sp_addr random_addr(uint8_t family)
{
	struct sp_addr a = {.family = family};

	if (family == SP_FAMILY_IPV4) {
		a.b[0] = chance(90) ? 10 : (uint8_t)rnd(256);
		a.b[1] = (uint8_t)rnd(3);
		a.b[2] = chance(50) ? 0 : (uint8_t)rnd(256);
		a.b[3] = (uint8_t)rnd(256);
	} else {
		memcpy(a.b, (const uint8_t[]){0x20, 0x01, 0x0d, 0xb8}, 4);
		if (chance(5))
			a.b[0] = (uint8_t)rnd(256);
		a.b[5] = (uint8_t)rnd(3);
		a.b[7] = (uint8_t)rnd(4);
		a.b[8] = chance(20) ? (uint8_t)rnd(256) : 0;
		a.b[14] = chance(30) ? (uint8_t)rnd(256) : 0;
		a.b[15] = (uint8_t)rnd(256);
	}
	return a;
}

static int width(uint8_t family)
{
	return family == SP_FAMILY_IPV4 ? 4 : 16;
}

static struct sp_addr_range random_range(uint8_t family)
{
	struct sp_addr_range r = {.lo = random_addr(family)};
	int bytes = width(family);

	if (chance(70)) { /* a prefix, any length, /0 and host included */
		int len = chance(5) ? 0 : chance(30) ? bytes * 8 : 8 + (int)rnd((uint32_t)bytes * 8 - 7);

		r.hi = r.lo;
		for (int bit = len; bit < bytes * 8; bit++) {
			r.lo.b[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
			r.hi.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
		}
	} else {
		r.hi = random_addr(family);
		if (memcmp(r.lo.b, r.hi.b, 16) > 0) {
			struct sp_addr swap = r.lo;

			r.lo = r.hi;
			r.hi = swap;
		}
	}
	return r;
}

static void random_set(struct sp_policy *policy, struct sp_addrset *out)
{
	struct sp_addrset made = {0}, *set = &made;
	uint32_t n = chance(75) ? 1 + rnd(2) : chance(80) ? 1 + rnd(12) : 1 + rnd(300);

	for (uint32_t i = 0; i < n; i++) {
		struct sp_addr_range r = random_range(chance(50) ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6);

		/* Large sets of wide members would be everything. */
		if (n > 2 && (r.lo.b[width(r.lo.family) - 2] != r.hi.b[width(r.lo.family) - 2]))
			r.hi = r.lo;
		assert_int_equal(sp_addrset_add(set, &r), 0);
	}
	sp_addrset_normalize(set);
	if (chance(20)) {
		struct sp_addrset all = {0};

		assert_int_equal(sp_addrset_all(&all), 0);
		assert_int_equal(sp_addrset_subtract(&all, set), 0);
		sp_addrset_free(set);
		*set = all;
	}
	/* The policy's arena owns the ranges. */
	*out = made;
	out->v = sp_policy_alloc(policy, made.n * sizeof(*made.v));
	assert_non_null(out->v);
	if (made.n > 0)
		memcpy(out->v, made.v, made.n * sizeof(*made.v));
	sp_addrset_free(&made);
}

static const uint16_t ports[] = {0, 1, 22, 53, 80, 443, 1023, 1024, 8000, 8080, 8100, 32768, 65534, 65535};

static struct sp_rangelist random_list(struct sp_policy *policy, uint32_t most, uint32_t limit, const uint16_t *few, uint32_t n_few)
{
	struct sp_rangelist list = {0};
	uint32_t n = chance(70) ? 1 : 1 + rnd(most), next = 0;

	list.v = sp_policy_alloc(policy, n * sizeof(*list.v));
	assert_non_null(list.v);
	for (uint32_t i = 0; i < n && next <= limit; i++) {
		uint32_t lo = chance(60) ? few[rnd(n_few)] : rnd(limit + 1), hi;

		if (lo < next)
			lo = next + rnd(limit - next + 1);
		hi = chance(60) ? lo : lo + rnd(limit - lo + 1);
		list.v[list.n++] = (struct sp_range){.lo = (uint16_t)lo, .hi = (uint16_t)hi};
		next = hi + 2;
	}
	return list;
}

static void set_proto(struct sp_rule *rule, uint8_t proto)
{
	rule->proto[proto >> 6] |= UINT64_C(1) << (proto & 63);
}

static void random_protos(struct sp_policy *policy, struct sp_rule *rule)
{
	static const uint8_t with_ports[] = {6, 17, 132};
	static const uint16_t types[] = {0, 3, 8, 11, 128, 129, 135, 136}, codes[] = {0, 1, 3, 4, 13};

	switch (rnd(6)) {
	case 0: /* any IP packet */
		break;
	case 1:
		set_proto(rule, chance(50) ? 1 : 58);
		if (chance(70))
			rule->icmp_type = random_list(policy, 3, 255, types, 8);
		if (chance(30))
			rule->icmp_code = random_list(policy, 2, 255, codes, 5);
		break;
	case 2: /* some by number, ICMP among them */
		for (uint32_t i = 1 + rnd(6); i > 0; i--)
			set_proto(rule, chance(50) ? (uint8_t)rnd(256) : (uint8_t)(chance(50) ? 1 : 58));
		break;
	default:
		for (uint32_t i = chance(70) ? 1 : 1 + rnd(3); i > 0; i--)
			set_proto(rule, with_ports[rnd(3)]);
		if (chance(80))
			rule->dport = random_list(policy, 4, 65535, ports, 14);
		if (chance(10))
			rule->sport = random_list(policy, 3, 65535, ports, 14);
	}
}

static uint32_t random_zones(void)
{
	uint32_t zones = 0;

	if (chance(40))
		return SP_ZONE_ANY;
	for (uint32_t i = chance(75) ? 1 : 1 + rnd(4); i > 0; i--)
		zones |= 1u << (chance(80) ? rnd(4) : rnd(SP_ZONES_MAX));
	if (chance(20)) /* named in neither: as rules look when one zone is the firewall itself */
		zones = SP_ZONE_ANY & ~(1u << rnd(4));
	return zones;
}

static void random_rule(struct sp_policy *policy, struct sp_rule *rule, uint32_t id, uint32_t passing_percent)
{
	static const uint16_t vlans[] = {0, 1, 10, 4094}, types[] = {0x0800, 0x0806, 0x86dd, 0x88cc};

	rule->id = id;
	rule->file = "random.rules";
	rule->line = (int)id;
	rule->enabled = !chance(5);
	rule->inspect = -1;
	rule->from = random_zones();
	rule->to = random_zones();
	rule->src = chance(60) ? (int32_t)rnd((uint32_t)policy->n_addrsets) : -1;
	rule->dst = chance(70) ? (int32_t)rnd((uint32_t)policy->n_addrsets) : -1;
	random_protos(policy, rule);
	if (chance(15))
		rule->vlan = random_list(policy, 3, 4095, vlans, 4);
	if (chance(8))
		rule->ethertype = random_list(policy, 3, 65535, types, 4);
	if (chance(passing_percent)) {
		rule->monitor = chance(50);
		rule->has_residual = !rule->monitor;
	}
	if (chance(5))
		rule->limit = (struct sp_limit){.unit = SP_LIMIT_OPENS, .rate = 1, .burst = 1};
}

static struct sp_policy *random_policy(size_t n_rules, size_t n_sets, uint32_t passing_percent)
{
	struct sp_policy *policy = sp_policy_new();

	assert_non_null(policy);
	policy->file = "random.rules";
	policy->zones.n = SP_ZONES_MAX;
	if (chance(70)) /* a router's, with the zone of the firewall itself wherever it came to stand */
		strcpy(policy->zones.name[chance(50) ? rnd(5) : rnd(SP_ZONES_MAX)], "self");
	policy->rules = sp_policy_alloc(policy, (n_rules + 1) * sizeof(*policy->rules));
	policy->addrsets = sp_policy_alloc(policy, n_sets * sizeof(*policy->addrsets));
	assert_true(policy->rules != NULL && policy->addrsets != NULL);
	policy->n_addrsets = n_sets;
	for (size_t i = 0; i < n_sets; i++)
		random_set(policy, &policy->addrsets[i]);
	policy->n_rules = n_rules;
	for (size_t i = 0; i < n_rules; i++)
		random_rule(policy, &policy->rules[i], (uint32_t)i + 1, passing_percent);
	return policy;
}

/* --- random packets --------------------------------------------------------------------------------------------------------------- */

/* On, or one beside, a bound of the set. */
static void addr_near(struct sp_addr *addr, const struct sp_addrset *set)
{
	const struct sp_addr_range *r;
	int step = (int)rnd(3) - 1;

	if (set->n == 0)
		return;
	r = &set->v[rnd((uint32_t)set->n)];
	if (r->lo.family != addr->family)
		return;
	*addr = chance(50) ? r->lo : r->hi;
	for (int i = width(addr->family) - 1; step != 0 && i >= 0; i--) {
		addr->b[i] = (uint8_t)(addr->b[i] + step);
		if (addr->b[i] != (step > 0 ? 0x00 : 0xff))
			break;
	}
}

static uint16_t value_near(const struct sp_rangelist *list, uint32_t limit)
{
	const struct sp_range *r;

	if (list->n == 0)
		return (uint16_t)(chance(50) ? ports[rnd(14)] & limit : rnd(limit + 1));
	r = &list->v[rnd((uint32_t)list->n)];
	return (uint16_t)(((chance(50) ? r->lo : r->hi) + rnd(3) - 1) & limit);
}

static uint8_t random_zone(uint32_t zones)
{
	if (chance(10))
		return SP_MATCH_NO_ZONE;
	if (zones == SP_ZONE_ANY || chance(20))
		return (uint8_t)rnd(chance(80) ? 5 : SP_ZONES_MAX);
	return (uint8_t)__builtin_ctz(zones);
}

static uint8_t random_proto(const struct sp_rule *rule)
{
	static const uint8_t common[] = {1, 6, 17, 58, 132, 47};

	for (uint32_t tries = 0; tries < 64 && chance(97); tries++) {
		uint8_t p = chance(60) ? common[rnd(6)] : (uint8_t)rnd(256);

		if (sp_rule_has_proto(rule, p))
			return p;
	}
	return chance(80) ? common[rnd(6)] : (uint8_t)rnd(256);
}

/* A packet made to meet one rule of the policy, more or less. */
static void random_match(const struct sp_policy *policy, uint8_t family, struct sp_match *match)
{
	static const struct sp_rule none = {.from = SP_ZONE_ANY, .to = SP_ZONE_ANY, .src = -1, .dst = -1};
	const struct sp_rule *rule = policy->n_rules > 0 ? &policy->rules[rnd((uint32_t)policy->n_rules)] : &none;
	bool icmp, has_ports;

	memset(match, 0, sizeof(*match));
	match->family = family;
	match->from = random_zone(rule->from);
	match->to = random_zone(rule->to);
	match->vlan = chance(70) && rule->vlan.n == 0 ? 0 : value_near(&rule->vlan, 4095);
	if (family == SP_FAMILY_NONE) {
		match->ethertype = chance(50) ? 0x0806 : value_near(&rule->ethertype, 65535);
		if (match->ethertype == 0x0800 || match->ethertype == 0x86dd)
			match->ethertype = 0x88cc;
		return;
	}
	match->ethertype = family == SP_FAMILY_IPV4 ? 0x0800 : 0x86dd;
	match->proto = random_proto(rule);
	match->src = random_addr(family);
	match->dst = random_addr(family);
	if (rule->src >= 0 && chance(90))
		addr_near(&match->src, &policy->addrsets[rule->src]);
	if (rule->dst >= 0 && chance(90))
		addr_near(&match->dst, &policy->addrsets[rule->dst]);
	icmp = match->proto == (family == SP_FAMILY_IPV4 ? 1 : 58);
	has_ports = match->proto == 6 || match->proto == 17 || match->proto == 132;
	if (icmp) {
		match->sport = value_near(&rule->icmp_type, 255);
		match->dport = value_near(&rule->icmp_code, 255);
	} else if (has_ports) {
		match->sport = value_near(&rule->sport, 65535);
		match->dport = value_near(&rule->dport, 65535);
	}
}

/* --- the comparison ------------------------------------------------------------------------------------------------------------- */

struct tally {
	uint64_t pairs, found;
};

static void say(const struct sp_policy *policy, const struct sp_match *m, uint32_t from, uint32_t got, uint32_t want)
{
	char src[48], dst[48];

	print_error("%zu rules: got %d, want %d from %u: family %u proto %u zones %u>%u vlan %u type %04x %s:%u > %s:%u\n", policy->n_rules,
		(int)got, (int)want, from, m->family, m->proto, m->from, m->to, m->vlan, m->ethertype,
		m->family ? sp_addr_format(&m->src, src, sizeof(src)) : "-", m->sport,
		m->family ? sp_addr_format(&m->dst, dst, sizeof(dst)) : "-", m->dport);
}

/* One lookup of n random packets; mixes families when family is NONE. */
static void compare_batch(
	const struct sp_policy *policy, const struct sp_classifier *classifier, uint8_t family, unsigned int n, struct tally *tally)
{
	static const uint8_t mix[] = {SP_FAMILY_IPV4, SP_FAMILY_IPV6, SP_FAMILY_NONE};
	struct sp_match matches[SP_CLASSIFY_MAX];
	const struct sp_match *keys[SP_CLASSIFY_MAX] = {NULL};
	uint32_t from[SP_CLASSIFY_MAX] = {0}, result[SP_CLASSIFY_MAX];

	for (unsigned int i = 0; i < n; i++) {
		random_match(policy, family == SP_FAMILY_NONE ? mix[rnd(3)] : family, &matches[i]);
		keys[i] = &matches[i];
		from[i] = chance(75) ? 0 : rnd((uint32_t)policy->n_rules + 2);
		result[i] = 0xabababab;
	}
	sp_classifier_lookup(classifier, keys, from, result, n);
	for (unsigned int i = 0; i < n; i++) {
		uint32_t want = sp_match_linear(policy, keys[i], from[i]);

		if (result[i] != want)
			say(policy, keys[i], from[i], result[i], want);
		assert_int_equal(result[i], want);
		tally->pairs++;
		tally->found += want != SP_RULE_NONE;
	}
}

/* Every rule that matches, one after the other, as a caller asks whose residuals all fail. */
static void compare_chain(const struct sp_policy *policy, const struct sp_classifier *classifier, uint8_t family)
{
	struct sp_match match;
	const struct sp_match *key = &match;
	uint32_t at = 0, want;

	random_match(policy, family, &match);
	do {
		want = sp_match_linear(policy, &match, at);
		sp_classifier_lookup(classifier, &key, &at, &at, 1); /* the result may be written over `from` */
		if (at != want)
			say(policy, &match, 0, at, want);
		assert_int_equal(at, want);
		at++;
	} while (want != SP_RULE_NONE);
}

static struct sp_classifier *build(const struct sp_policy *policy)
{
	struct sp_diags diags = {0};
	struct sp_classifier *classifier = sp_classifier_build(policy, &diags);

	if (classifier == NULL)
		sp_diags_print(&diags, stderr);
	assert_non_null(classifier);
	assert_int_equal(diags.errors, 0);
	assert_true(sp_classifier_bytes(classifier) > 0);
	return classifier;
}

static void compare_policy(size_t n_rules, size_t n_sets, uint32_t passing_percent, unsigned int pairs, struct tally tally[3])
{
	struct sp_policy *policy = random_policy(n_rules, n_sets, passing_percent);
	struct sp_classifier *classifier = build(policy);

	for (unsigned int done = 0; done < pairs;) {
		unsigned int n = chance(50) ? SP_CLASSIFY_MAX : 1 + rnd(SP_CLASSIFY_MAX);

		compare_batch(policy, classifier, SP_FAMILY_IPV4, n, &tally[0]);
		compare_batch(policy, classifier, SP_FAMILY_IPV6, n, &tally[1]);
		if (chance(20))
			compare_batch(policy, classifier, SP_FAMILY_NONE, n, &tally[2]);
		done += n;
	}
	for (unsigned int i = 0; i < 50; i++)
		compare_chain(policy, classifier, chance(50) ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6);
	sp_classifier_free(classifier);
	sp_policy_free(policy);
}

static void agrees_with_the_oracle(void **unused)
{
	static const struct {
		size_t rules, sets;
		uint32_t passing_percent;
		unsigned int policies;
	} shapes[] = {
		{1, 2, 20, 60},
		{2, 2, 20, 40},
		{5, 3, 20, 40},
		{12, 6, 0, 40},
		{12, 6, 30, 40},
		{40, 10, 5, 20},
		{100, 20, 100, 4},
		{200, 30, 2, 3},
		{500, 40, 10, 1},
		{1000, 60, 1, 1},
		{2000, 80, 1, 1},
	};
	struct tally tally[3] = {0};
	unsigned int policies = 0;

	(void)unused;
	print_message("seed 0x%llx\n", (unsigned long long)SEED);
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		policies += shapes[i].policies;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		for (unsigned int k = 0; k < shapes[i].policies; k++)
			compare_policy(shapes[i].rules, shapes[i].sets, shapes[i].passing_percent, PAIRS_PER_FAMILY / policies + 1, tally);
	for (int i = 0; i < 3; i++)
		print_message("%s: %llu pairs, %llu matched\n",
			i == 0   ? "IPv4"
			: i == 1 ? "IPv6"
				 : "mixed with non-IP",
			(unsigned long long)tally[i].pairs, (unsigned long long)tally[i].found);
	for (int i = 0; i < 2; i++) {
		assert_true(tally[i].pairs >= PAIRS_PER_FAMILY);
		/* A comparison of nothing but misses, or of nothing but hits, would prove little. */
		assert_true(tally[i].found > tally[i].pairs / 6 && tally[i].found < tally[i].pairs * 95 / 100);
	}
}

/* --- cases that chance would miss ---------------------------------------------------------------------------------------------- */

/* A policy of n rules that match everything of IP. */
static struct sp_policy *plain_policy(size_t n_rules, size_t n_sets)
{
	struct sp_policy *policy = sp_policy_new();

	assert_non_null(policy);
	policy->file = "plain.rules";
	policy->rules = sp_policy_alloc(policy, (n_rules + 1) * sizeof(*policy->rules));
	policy->addrsets = sp_policy_alloc(policy, (n_sets + 1) * sizeof(*policy->addrsets));
	assert_true(policy->rules != NULL && policy->addrsets != NULL);
	policy->n_addrsets = n_sets;
	policy->n_rules = n_rules;
	for (size_t i = 0; i < n_rules; i++)
		policy->rules[i] = (struct sp_rule){.id = (uint32_t)i + 1,
			.file = "plain.rules",
			.line = (int)i + 10,
			.enabled = true,
			.inspect = -1,
			.from = SP_ZONE_ANY,
			.to = SP_ZONE_ANY,
			.src = -1,
			.dst = -1};
	return policy;
}

static const struct sp_match tcp4 = {
	.family = SP_FAMILY_IPV4,
	.proto = 6,
	.from = 0,
	.to = 1,
	.ethertype = 0x0800,
	.sport = 40000,
	.dport = 443,
	.src = {.family = SP_FAMILY_IPV4, .b = {192, 0, 2, 1}},
	.dst = {.family = SP_FAMILY_IPV4, .b = {198, 51, 100, 1}},
};

static uint32_t lookup_one(const struct sp_classifier *classifier, const struct sp_match *match, uint32_t from)
{
	uint32_t result;

	sp_classifier_lookup(classifier, &match, &from, &result, 1);
	return result;
}

static void empty_policy_answers_none(void **unused)
{
	struct sp_policy *policy = plain_policy(0, 0);
	struct sp_classifier *classifier = build(policy);

	(void)unused;
	assert_int_equal(lookup_one(classifier, &tcp4, 0), SP_RULE_NONE);
	assert_int_equal(lookup_one(classifier, &tcp4, 7), SP_RULE_NONE);
	assert_int_equal(lookup_one(classifier, &tcp4, UINT32_MAX), SP_RULE_NONE);
	sp_classifier_free(classifier);
	sp_policy_free(policy);
	sp_classifier_free(NULL);
}

static void a_port_without_zone_meets_only_rules_without_zones(void **unused)
{
	struct sp_policy *policy = plain_policy(40, 0);
	struct sp_match match = tcp4;
	struct sp_classifier *classifier;

	(void)unused;
	for (size_t i = 0; i < 39; i++) { /* every zone is named on one side, then one on the other */
		policy->rules[i].from = i < 20 ? SP_ZONE_ANY & ~SP_ZONE_NONE : SP_ZONE_ANY & ~1u;
		policy->rules[i].to = i < 20 ? SP_ZONE_ANY : 1u << i % SP_ZONES_MAX;
	}
	classifier = build(policy);
	assert_int_equal(lookup_one(classifier, &match, 0), 0);
	match.from = match.to = SP_MATCH_NO_ZONE;
	assert_int_equal(lookup_one(classifier, &match, 0), 39);
	match.to = 30;
	assert_int_equal(lookup_one(classifier, &match, 0), 30);
	match.from = 0;
	match.to = SP_MATCH_NO_ZONE;
	assert_int_equal(lookup_one(classifier, &match, 0), 0);
	sp_classifier_free(classifier);
	sp_policy_free(policy);
}

static void ranges_fill(struct sp_policy *policy, struct sp_rangelist *list, size_t n, uint16_t first, uint16_t step)
{
	list->v = sp_policy_alloc(policy, n * sizeof(*list->v));
	assert_non_null(list->v);
	for (list->n = 0; list->n < n; list->n++)
		list->v[list->n].lo = list->v[list->n].hi = (uint16_t)(first + list->n * step);
}

/* 256 x 256 ports: far more than can be multiplied, between ordinary rules. */
static void a_rule_that_multiplies_beyond_measure_still_matches(void **unused)
{
	struct sp_policy *policy = plain_policy(30, 0);
	struct sp_match match = tcp4;
	struct sp_classifier *classifier;

	(void)unused;
	for (size_t i = 0; i < 30; i++) {
		struct sp_rule *rule = &policy->rules[i];

		set_proto(rule, 6);
		ranges_fill(policy, &rule->dport, i % 10 == 5 ? 256 : 1, (uint16_t)(1000 * i), 2);
		if (i % 10 == 5)
			ranges_fill(policy, &rule->sport, 256, 100, 2);
	}
	classifier = build(policy);
	for (uint16_t i = 0; i < 30; i++) {
		match.sport = 110;
		match.dport = (uint16_t)(1000 * i);
		assert_int_equal(lookup_one(classifier, &match, 0), i);
		assert_int_equal(lookup_one(classifier, &match, i), i);
		assert_int_equal(lookup_one(classifier, &match, i + 1), SP_RULE_NONE);
		match.sport = 111;
		assert_int_equal(lookup_one(classifier, &match, 0), i % 10 == 5 ? SP_RULE_NONE : i);
	}
	sp_classifier_free(classifier);
	sp_policy_free(policy);
}

/* Monitors and residual rules everywhere: many segments, each asked in turn. */
static void thousands_of_monitors_are_no_error(void **unused)
{
	const uint32_t n = 3000;
	struct sp_policy *policy = plain_policy(n, 0);
	struct sp_classifier *classifier;
	uint32_t at = 0;

	(void)unused;
	for (uint32_t i = 0; i < n; i++) {
		policy->rules[i].monitor = true;
		policy->rules[i].from = i % 3 == 0 ? 1u << 0 : 1u << 1;
	}
	classifier = build(policy);
	for (uint32_t i = 0; i < n; i += 3, at++) {
		at = lookup_one(classifier, &tcp4, at);
		assert_int_equal(at, i);
	}
	assert_int_equal(lookup_one(classifier, &tcp4, at), SP_RULE_NONE);
	sp_classifier_free(classifier);
	sp_policy_free(policy);
}

static void too_many_parts_are_an_error_with_its_line(void **unused)
{
	const uint32_t n = 20 * (SP_SEGMENTS_MAX + 1);
	struct sp_policy *policy = plain_policy(n, 0);
	struct sp_diags diags = {0};

	(void)unused;
	for (uint32_t i = 0; i < n; i++)
		policy->rules[i].monitor = true;
	assert_null(sp_classifier_build(policy, &diags));
	assert_int_equal(diags.errors, 1);
	assert_string_equal(diags.v[0].file, "plain.rules");
	assert_true(diags.v[0].line > 10);
	sp_diags_clear(&diags);
	sp_policy_free(policy);
}

/* 2^16 memberships of 16 of the sets do not fit a 16-bit class: set k holds the addresses with bit k. */
static void sets_that_overlap_in_too_many_ways_are_an_error(void **unused)
{
	struct sp_policy *policy = plain_policy(17, 17);
	struct sp_diags diags = {0};

	(void)unused;
	for (uint32_t k = 0; k < 17; k++) {
		struct sp_addrset *set = &policy->addrsets[k];

		set->n = set->n4 = 1u << (16 - k);
		set->v = sp_policy_alloc(policy, set->n * sizeof(*set->v));
		assert_non_null(set->v);
		for (uint32_t i = 0; i < set->n; i++) {
			uint32_t lo = (2 * i + 1) << k, hi = lo + (1u << k) - 1;

			set->v[i].lo = (struct sp_addr){.family = 4, .b = {10, (uint8_t)(lo >> 16), (uint8_t)(lo >> 8), (uint8_t)lo}};
			set->v[i].hi = (struct sp_addr){.family = 4, .b = {10, (uint8_t)(hi >> 16), (uint8_t)(hi >> 8), (uint8_t)hi}};
		}
		policy->rules[k].src = (int32_t)k;
		if (k > 12) /* few prefixes: the port lists make a class of the set all the same */
			ranges_fill(policy, &policy->rules[k].vlan, 100, 1, 2);
	}
	assert_null(sp_classifier_build(policy, &diags));
	assert_int_equal(diags.errors, 1);
	assert_non_null(strstr(diags.v[0].text, "overlap"));
	sp_diags_clear(&diags);
	sp_policy_free(policy);
}

/* Both ends of both address spaces belong to a set: nothing may wrap. */
static void the_ends_of_the_address_spaces(void **unused)
{
	struct sp_policy *policy = plain_policy(20, 20);
	struct sp_match match = tcp4;
	struct sp_classifier *classifier;

	(void)unused;
	for (size_t i = 0; i < 20; i++) {
		struct sp_addrset *set = &policy->addrsets[i];

		set->n = 20;
		set->n4 = 10;
		set->v = sp_policy_alloc(policy, set->n * sizeof(*set->v));
		assert_non_null(set->v);
		for (size_t k = 0; k < 20; k++) { /* scattered hosts, and the first or last address by the rule's parity */
			struct sp_addr a = {.family = k < 10 ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6};

			a.b[0] = (uint8_t)(10 + k);
			a.b[3] = (uint8_t)(2 * i + 1);
			if (k == 0 || k == 10)
				memset(a.b, i % 2 == 0 ? 0 : 0xff, k < 10 ? 4 : 16);
			set->v[k].lo = set->v[k].hi = a;
		}
		if (i % 2 == 1) { /* sorted: the last address stands last in its family */
			struct sp_addr_range first4 = set->v[0], first6 = set->v[10];

			memmove(&set->v[0], &set->v[1], 9 * sizeof(*set->v));
			memmove(&set->v[10], &set->v[11], 9 * sizeof(*set->v));
			set->v[9] = first4;
			set->v[19] = first6;
		}
		policy->rules[i].src = (int32_t)i;
	}
	classifier = build(policy);
	for (int v6 = 0; v6 < 2; v6++) {
		match.family = match.src.family = match.dst.family = v6 ? SP_FAMILY_IPV6 : SP_FAMILY_IPV4;
		match.ethertype = v6 ? 0x86dd : 0x0800;
		memset(match.src.b, 0, 16);
		assert_int_equal(lookup_one(classifier, &match, 0), 0);
		assert_int_equal(lookup_one(classifier, &match, 1), 2);
		memset(match.src.b, 0xff, v6 ? 16 : 4);
		assert_int_equal(lookup_one(classifier, &match, 0), 1);
		match.src.b[v6 ? 15 : 3] = 0xfe;
		assert_int_equal(lookup_one(classifier, &match, 0), SP_RULE_NONE);
	}
	sp_classifier_free(classifier);
	sp_policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_policy_answers_none),
		cmocka_unit_test(a_port_without_zone_meets_only_rules_without_zones),
		cmocka_unit_test(a_rule_that_multiplies_beyond_measure_still_matches),
		cmocka_unit_test(thousands_of_monitors_are_no_error),
		cmocka_unit_test(too_many_parts_are_an_error_with_its_line),
		cmocka_unit_test(sets_that_overlap_in_too_many_ways_are_an_error),
		cmocka_unit_test(the_ends_of_the_address_spaces),
		cmocka_unit_test(agrees_with_the_oracle),
	};

	sp_test_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
