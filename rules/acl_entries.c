/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A rule as rte_acl entries: the product of the alternatives of each field, every alternative a range or a prefix.
 */
#include "rules/acl.h"

#include <assert.h>
#include <netinet/in.h>
#include <string.h>

#include "rules/names.h"
#include "rules/self.h"

typedef unsigned __int128 u128;

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd

/*
 * Index of each field in an entry. rte_acl sorts the rules by how wild their fields are in this order and splits them there, and walks a
 * key in this order; a group of four bytes that no rule of a trie asks is left out by rte_acl itself. Zones and classes first: measured to
 * need half the memory of addresses first where rules overlap a lot, and the same for ClassBench's sets.
 */
struct layout {
	uint8_t words; /* of an address */
	uint8_t from, to, vlan, src_class, dst_class, src, dst, sport, dport;
	uint8_t count;
};

static const struct layout layouts[ACL_FAMILIES] = {
	[ACL_V4] = {.words = 1,
		.from = 1,
		.to = 2,
		.vlan = 3,
		.src_class = 4,
		.dst_class = 5,
		.src = 6,
		.dst = 7,
		.sport = 8,
		.dport = 9,
		.count = 10},
	[ACL_V6] = {.words = 4,
		.from = 1,
		.to = 2,
		.vlan = 3,
		.src_class = 4,
		.dst_class = 5,
		.src = 6,
		.dst = 10,
		.sport = 14,
		.dport = 15,
		.count = 16},
};
_Static_assert(ACL_FIELDS_MAX == 16, "an entry has room for the fields of IPv6");

/* rte_acl reads groups of four bytes, the first field included. */
_Static_assert(offsetof(struct acl_key, dport) + 2 == sizeof(struct acl_key), "no field ends past the key");
_Static_assert(offsetof(struct acl_key, dport) == offsetof(struct acl_key, sport) + 2, "one group");

struct prefix {
	uint8_t b[16];
	uint8_t len;
};

/* Alternatives of one side's address: prefixes of the address itself, or ranges of its class. */
struct side {
	struct prefix prefixes[ACL_DIRECT_PREFIXES];
	struct sp_rangelist classes; /* n == 0: prefixes are used */
	uint32_t n;
};

#define ZONE_RANGES_MAX  ((SP_ZONES_MAX + 1) / 2)
#define PROTO_RANGES_MAX 128

struct factors {
	struct sp_range protos[PROTO_RANGES_MAX];
	struct sp_range from[ZONE_RANGES_MAX], to[ZONE_RANGES_MAX];
	uint32_t n_protos, n_from, n_to;
	struct sp_rangelist sport, dport; /* or ICMP type and code */
	struct sp_rangelist vlan;
	struct side src, dst;
};

static void def(struct rte_acl_field_def *defs, uint8_t index, uint8_t type, uint8_t size, size_t offset)
{
	defs[index] = (struct rte_acl_field_def){.type = type, .size = size, .field_index = index, .offset = (uint32_t)offset};
}

uint32_t acl_field_defs(enum acl_family family, struct rte_acl_field_def defs[ACL_FIELDS_MAX])
{
	const struct layout *l = &layouts[family];
	const uint8_t range = RTE_ACL_FIELD_TYPE_RANGE;

	def(defs, 0, range, 1, offsetof(struct acl_key, proto));
	def(defs, l->from, range, 1, offsetof(struct acl_key, from));
	def(defs, l->to, range, 1, offsetof(struct acl_key, to));
	def(defs, l->vlan, range, 2, offsetof(struct acl_key, vlan));
	def(defs, l->src_class, range, 2, offsetof(struct acl_key, src_class));
	def(defs, l->dst_class, range, 2, offsetof(struct acl_key, dst_class));
	def(defs, l->sport, range, 2, offsetof(struct acl_key, sport));
	def(defs, l->dport, range, 2, offsetof(struct acl_key, dport));
	for (uint8_t w = 0; w < l->words; w++) {
		def(defs, l->src + w, RTE_ACL_FIELD_TYPE_MASK, 4, offsetof(struct acl_key, src) + 4u * w);
		def(defs, l->dst + w, RTE_ACL_FIELD_TYPE_MASK, 4, offsetof(struct acl_key, dst) + 4u * w);
	}
	/* Fields of one group of four bytes of the key are read at once; the first byte is a group of its own. */
	for (uint8_t i = 1; i < l->count; i++)
		defs[i].input_index = defs[i - 1].input_index + (i == 1 || defs[i].offset / 4 != defs[i - 1].offset / 4);
	return l->count;
}

/* --- address ranges to prefixes ------------------------------------------------------------------------------------------------ */

static u128 value_of(const uint8_t *b, int bytes)
{
	u128 value = 0;

	for (int i = 0; i < bytes; i++)
		value = value << 8 | b[i];
	return value;
}

/* Splits lo..hi of `bits` wide addresses into prefixes; returns how many, stores the first `room` of them from out[n]. */
static uint32_t split_range(u128 lo, u128 hi, int bits, struct prefix *out, uint32_t n, uint32_t room)
{
	for (;;) {
		int free_bits = 0;
		u128 last;

		while (free_bits < bits && (lo >> free_bits & 1) == 0 && lo + ((((u128)1 << free_bits) << 1) - 1) <= hi &&
			lo + ((((u128)1 << free_bits) << 1) - 1) >= lo)
			free_bits++;
		if (n < room) {
			memset(&out[n], 0, sizeof(out[n]));
			for (int i = 0; i < bits / 8; i++)
				out[n].b[i] = (uint8_t)(lo >> (bits - 8 - 8 * i));
			out[n].len = (uint8_t)(bits - free_bits);
		}
		n++;
		last = lo + (free_bits == 128 ? ~(u128)0 : ((u128)1 << free_bits) - 1);
		if (last >= hi)
			return n;
		lo = last + 1;
	}
}

/* Prefixes of a set in one family; counts on to at most ACL_DIRECT_PREFIXES + 1. */
static uint32_t set_prefixes(const struct sp_addrset *set, enum acl_family family, struct prefix out[ACL_DIRECT_PREFIXES])
{
	size_t first = family == ACL_V4 ? 0 : set->n4, end = family == ACL_V4 ? set->n4 : set->n;
	int bytes = family == ACL_V4 ? 4 : 16;
	uint32_t n = 0;

	for (size_t i = first; i < end && n <= ACL_DIRECT_PREFIXES; i++)
		n = split_range(value_of(set->v[i].lo.b, bytes), value_of(set->v[i].hi.b, bytes), bytes * 8, out, n, ACL_DIRECT_PREFIXES);
	return n <= ACL_DIRECT_PREFIXES ? n : ACL_DIRECT_PREFIXES + 1;
}

static bool set_has_family(const struct sp_addrset *set, enum acl_family family)
{
	return family == ACL_V4 ? set->n4 > 0 : set->n > set->n4;
}

/* --- factors ---------------------------------------------------------------------------------------------------------------------- */

uint8_t acl_zone_shift(const struct sp_policy *policy)
{
	return (uint8_t)(sp_self_zone(&policy->zones) + 1);
}

/* In the order of their places. The last bit of a mask is for all that is no zone's index, as sp_match_zone has it. */
static uint32_t zone_ranges(const struct sp_classifier *classifier, uint32_t zones, struct sp_range out[ZONE_RANGES_MAX])
{
	uint32_t n = 0;

	for (unsigned int k = 0; k <= SP_ZONES_MAX; k++) {
		uint8_t zone = (uint8_t)((classifier->zone_shift + k) % (SP_ZONES_MAX + 1));
		uint16_t lo = acl_zone_place(classifier, zone), hi = acl_zone_place(classifier, zone < SP_ZONES_MAX ? zone : UINT8_MAX);

		if ((zones >> zone & 1) == 0)
			continue;
		if (n > 0 && out[n - 1].hi + 1 == lo)
			out[n - 1].hi = hi;
		else
			out[n++] = (struct sp_range){.lo = lo, .hi = hi};
	}
	return n;
}

static void add_proto(struct factors *f, uint16_t proto)
{
	if (f->n_protos > 0 && f->protos[f->n_protos - 1].hi + 1 == proto)
		f->protos[f->n_protos - 1].hi = proto;
	else
		f->protos[f->n_protos++] = (struct sp_range){.lo = proto, .hi = proto};
}

/* Protocols and what stands in the port slots, as match_linear.c defines them. */
static void protos_fill(const struct sp_rule *rule, enum acl_family family, struct factors *f)
{
	const uint8_t icmp = family == ACL_V4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, foreign = family == ACL_V4 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	bool ports = rule->sport.n > 0 || rule->dport.n > 0, types = rule->icmp_type.n > 0 || rule->icmp_code.n > 0;
	bool any = sp_rule_any_proto(rule);

	for (uint16_t p = 0; p <= UINT8_MAX; p++) {
		if (!any && (p == foreign || !sp_rule_has_proto(rule, (uint8_t)p)))
			continue;
		if ((ports && !sp_proto_has_ports((uint8_t)p)) || (types && p != icmp))
			continue;
		add_proto(f, p);
	}
	f->sport = types ? rule->icmp_type : rule->sport;
	f->dport = types ? rule->icmp_code : rule->dport;
}

static void side_fill(
	struct side *side, const struct sp_policy *policy, int32_t set, const struct acl_classes *classes, enum acl_family family)
{
	if (set < 0) {
		side->prefixes[0] = (struct prefix){.len = 0};
		side->n = 1;
		return;
	}
	side->n = set_prefixes(&policy->addrsets[set], family, side->prefixes);
	if (classes->ranges == NULL || classes->ranges[set].n == 0)
		return;
	if (side->n > ACL_DIRECT_PREFIXES || classes->ranges[set].n <= side->n) {
		side->classes = (struct sp_rangelist){.v = classes->ranges[set].v, .n = classes->ranges[set].n};
		side->n = (uint32_t)classes->ranges[set].n;
	}
}

static void factors_fill(const struct sp_classifier *classifier, const struct sp_rule *rule, enum acl_family family, struct factors *f)
{
	memset(f, 0, sizeof(*f));
	protos_fill(rule, family, f);
	f->n_from = zone_ranges(classifier, rule->from, f->from);
	f->n_to = zone_ranges(classifier, rule->to, f->to);
	f->vlan = rule->vlan;
	side_fill(&f->src, classifier->policy, rule->src, &classifier->src[family], family);
	side_fill(&f->dst, classifier->policy, rule->dst, &classifier->dst[family], family);
}

static bool ethertype_allows(const struct sp_rule *rule, uint16_t type)
{
	if (rule->ethertype.n == 0)
		return true;
	for (size_t i = 0; i < rule->ethertype.n; i++)
		if (rule->ethertype.v[i].lo <= type && type <= rule->ethertype.v[i].hi)
			return true;
	return false;
}

bool acl_rule_concerns(const struct sp_classifier *classifier, const struct sp_rule *rule, enum acl_family family)
{
	const struct sp_addrset *sets = classifier->policy->addrsets;

	return rule->enabled && rule->from != 0 && rule->to != 0 &&
	       ethertype_allows(rule, family == ACL_V4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6) &&
	       (rule->src < 0 || set_has_family(&sets[rule->src], family)) && (rule->dst < 0 || set_has_family(&sets[rule->dst], family));
}

static uint64_t at_least_one(size_t n)
{
	return n == 0 ? 1 : n;
}

/* Product of all factors but the addresses: at most 2^7 * 2^4 * 2^4 * 2^8 * 2^8 * 2^8 = 2^39. */
static uint64_t base_entries(const struct factors *f)
{
	return at_least_one(f->sport.n) * at_least_one(f->dport.n) * at_least_one(f->vlan.n) * f->n_protos * f->n_from * f->n_to;
}

uint32_t acl_rule_entries(const struct sp_classifier *classifier, const struct sp_rule *rule, enum acl_family family)
{
	struct factors f;
	uint64_t n;

	if (!acl_rule_concerns(classifier, rule, family))
		return 0;
	factors_fill(classifier, rule, family, &f);
	n = base_entries(&f) * f.src.n;
	n = n < UINT32_MAX ? n * f.dst.n : UINT32_MAX;
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

void acl_choose_classes(const struct sp_policy *policy, enum acl_family family, bool *src_wanted, bool *dst_wanted)
{
	struct sp_classifier none = {.policy = policy, .zone_shift = acl_zone_shift(policy)};
	struct factors f;

	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct sp_rule *rule = &policy->rules[i];
		uint64_t n;

		if (!acl_rule_concerns(&none, rule, family))
			continue;
		factors_fill(&none, rule, family, &f);
		if (rule->src >= 0 && f.src.n > ACL_DIRECT_PREFIXES)
			src_wanted[rule->src] = true;
		if (rule->dst >= 0 && f.dst.n > ACL_DIRECT_PREFIXES)
			dst_wanted[rule->dst] = true;
		n = base_entries(&f);
		n *= rule->src >= 0 && src_wanted[rule->src] ? 1 : f.src.n;
		n *= rule->dst >= 0 && dst_wanted[rule->dst] ? 1 : f.dst.n;
		if (n <= ACL_RULE_ENTRIES_AIM)
			continue;
		if (f.src.n > 1)
			src_wanted[rule->src] = true;
		if (f.dst.n > 1)
			dst_wanted[rule->dst] = true;
	}
}

/* --- the product ------------------------------------------------------------------------------------------------------------------- */

struct emitter {
	const struct factors *f;
	enum acl_family family;
	struct acl_entry *entry;
	int (*emit)(const struct acl_entry *entry, void *data);
	void *data;
};

static void set_range(struct acl_entry *entry, int field, uint32_t lo, uint32_t hi)
{
	entry->field[field].value.u64 = lo;
	entry->field[field].mask_range.u64 = hi;
}

static void set_prefix(struct acl_entry *entry, int field, const struct prefix *prefix, enum acl_family family)
{
	for (int w = 0; w < layouts[family].words; w++) {
		int len = prefix->len - 32 * w;

		entry->field[field + w].value.u64 = (uint32_t)value_of(prefix->b + 4 * w, 4);
		entry->field[field + w].mask_range.u64 = (uint64_t)(len < 0 ? 0 : len > 32 ? 32 : len);
	}
}

static void set_side(struct acl_entry *entry, int address, int class, const struct side *side, uint32_t i, enum acl_family family)
{
	static const struct prefix any;

	if (side->classes.n > 0) {
		set_range(entry, class, side->classes.v[i].lo, side->classes.v[i].hi);
		set_prefix(entry, address, &any, family);
	} else {
		assert(i < ACL_DIRECT_PREFIXES);
		set_range(entry, class, 0, UINT16_MAX);
		set_prefix(entry, address, &side->prefixes[i], family);
	}
}

static int emit_sides(const struct emitter *e)
{
	const struct layout *l = &layouts[e->family];

	for (uint32_t s = 0; s < e->f->src.n; s++) {
		set_side(e->entry, l->src, l->src_class, &e->f->src, s, e->family);
		for (uint32_t d = 0; d < e->f->dst.n; d++) {
			int rc;

			set_side(e->entry, l->dst, l->dst_class, &e->f->dst, d, e->family);
			rc = e->emit(e->entry, e->data);
			if (rc != 0)
				return rc;
		}
	}
	return 0;
}

/* The range fields, one a level; n == 0 means any. */
static int emit_level(const struct emitter *e, int level)
{
	const struct layout *l = &layouts[e->family];
	const struct {
		int field;
		const struct sp_range *v;
		size_t n;
		uint16_t any;
	} levels[] = {
		{0, e->f->protos, e->f->n_protos, UINT8_MAX},
		{l->from, e->f->from, e->f->n_from, UINT8_MAX},
		{l->to, e->f->to, e->f->n_to, UINT8_MAX},
		{l->vlan, e->f->vlan.v, e->f->vlan.n, UINT16_MAX},
		{l->sport, e->f->sport.v, e->f->sport.n, UINT16_MAX},
		{l->dport, e->f->dport.v, e->f->dport.n, UINT16_MAX},
	};
	int rc = 0;

	if (level == (int)RTE_DIM(levels))
		return emit_sides(e);
	if (levels[level].n == 0) {
		set_range(e->entry, levels[level].field, 0, levels[level].any);
		return emit_level(e, level + 1);
	}
	for (size_t i = 0; i < levels[level].n && rc == 0; i++) {
		set_range(e->entry, levels[level].field, levels[level].v[i].lo, levels[level].v[i].hi);
		rc = emit_level(e, level + 1);
	}
	return rc;
}

int acl_rule_emit(const struct sp_classifier *classifier, const struct sp_rule *rule, enum acl_family family, struct acl_entry *entry,
	int (*emit)(const struct acl_entry *entry, void *data), void *data)
{
	struct factors f;
	struct emitter e = {.f = &f, .family = family, .entry = entry, .emit = emit, .data = data};

	if (!acl_rule_concerns(classifier, rule, family))
		return 0;
	factors_fill(classifier, rule, family, &f);
	return f.n_protos == 0 ? 0 : emit_level(&e, 0);
}
