/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of the classifier: segments.c, address_class.c, acl_build.c and acl_lookup.c share this; nobody else includes it.
 *
 * Everything here is made by one thread in sp_classifier_build and only read afterwards.
 */
#ifndef SP_RULES_ACL_H
#define SP_RULES_ACL_H

#include <rte_acl.h>
#include <rte_byteorder.h>

#include "rules/classifier.h"

/* A set of more prefixes than this is looked up first and becomes a class range; a smaller one is multiplied into entries. */
#define ACL_DIRECT_PREFIXES 8
/* A rule of more entries than this gives up multiplying its address sets, largest first. */
#define ACL_RULE_ENTRIES_AIM 64
/* A rule of more entries than this, whatever was done, stands in a linear segment. */
#define ACL_RULE_ENTRIES_MAX 1024
/* Entries of one context: bounds the memory and time of one build. */
#define ACL_SEGMENT_ENTRIES_MAX 32768
/* A match on a rule that may pass on continues linearly to the segment's end: at most this many rules follow the first such rule. */
#define ACL_TAIL_RULES 16
/* Such a segment has at most this many rules. */
#define ACL_HEAVY_RULES 8
/* Tries to build halves of what rte_acl refused, before the policy is refused. */
#define ACL_SPLITS_MAX 64

enum acl_family { ACL_V4, ACL_V6, ACL_FAMILIES };

static inline uint8_t acl_family_wire(enum acl_family family)
{
	return family == ACL_V4 ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6;
}

/* What rte_acl reads: after the first byte groups of four bytes, multi-byte members in network byte order. */
struct acl_key {
	uint8_t proto;
	uint8_t reserved[3];
	uint8_t from, to; /* acl_zone_place of the zone */
	rte_be16_t vlan;
	rte_be16_t src_class, dst_class;
	uint8_t src[16], dst[16]; /* IPv4: the first four bytes */
	rte_be16_t sport, dport;  /* ICMP: type, code */
};

/* --- address_class.c: address to class ------------------------------------------------------------------------------------- */

/* Classes as ranges, for one list: what a rule that names the list matches. */
struct acl_class_ranges {
	struct sp_range *v; /* sorted, disjoint, not adjacent; n == 0 when the set has no address of this family */
	size_t n;
};

/*
 * Partition of one family's addresses by which of the wanted sets hold them. Equal membership is one class; class 0 is in none. Classes are
 * numbered so that most sets are one range of them.
 */
struct acl_classes {
	size_t n; /* intervals; 0: no set is wanted and every address is class 0 */
	uint16_t *class_of;
	uint32_t *lo4;                   /* first address of interval i, host byte order; lo4[0] is 0 */
	unsigned __int128 *lo6;          /* the same for IPv6 */
	unsigned __int128 *sample6;      /* every 64th of lo6, so that a search touches few cache lines */
	uint32_t *top4;                  /* 65,537 entries: last interval that begins at or before each /16; NULL when n is small */
	struct acl_class_ranges *ranges; /* by index into policy->addrsets; NULL members of sets that are not wanted */
	size_t n_ranges;
	size_t bytes;
};

/* Fills *out from the sets with wanted[i]. 0, -ENOMEM, or -E2BIG: the sets overlap in more than 65,535 ways. *out is empty on error. */
int acl_classes_build(struct acl_classes *out, const struct sp_addrset *sets, size_t n_sets, const bool *wanted, enum acl_family family);

uint16_t acl_classes_lookup(const struct acl_classes *classes, enum acl_family family, const uint8_t address[16]);

void acl_classes_free(struct acl_classes *classes);

/* --- segments.c: where the rules are cut ------------------------------------------------------------------------------------- */

struct acl_segment {
	uint32_t first, last; /* indexes into policy->rules, both included */
	bool linear;          /* walked: its rules multiply beyond measure. Others never are, for rte_acl is faster even with one rule. */
	struct rte_acl_ctx *context[ACL_FAMILIES]; /* NULL: no rule for this family */
};

struct sp_classifier {
	const struct sp_policy *policy;
	struct acl_segment *segments; /* cover all rules in order without a gap */
	size_t n_segments;
	struct acl_classes src[ACL_FAMILIES], dst[ACL_FAMILIES];
	uint32_t *non_ip; /* indexes of enabled rules that a frame other than IP can match, ascending */
	size_t n_non_ip;
	size_t bytes;
	uint8_t zone_shift; /* acl_zone_place */
};

/* Zones turned in a circle of 256 such that the firewall itself is the last one: most rules are for all but it, which then is one range and
 * not two. */
static inline uint8_t acl_zone_place(const struct sp_classifier *classifier, uint8_t zone)
{
	return (uint8_t)(zone - classifier->zone_shift);
}

/* The zone_shift of a policy. */
uint8_t acl_zone_shift(const struct sp_policy *policy);

/* The rule can let a packet go on to later rules although its indexed fields matched. */
bool acl_rule_passes_on(const struct sp_rule *rule);

/* Cuts the rules, given the entries of each for its costlier family (above ACL_RULE_ENTRIES_MAX: not for rte_acl). Fills segments and
 * n_segments. 0, -ENOMEM, or -E2BIG (over SP_SEGMENTS_MAX). */
int acl_segments_cut(struct sp_classifier *classifier, const uint16_t *entries);

/* Replaces segment i, which has no contexts, by its two halves. 0, -ENOMEM, or -E2BIG: one rule only, or SP_SEGMENTS_MAX reached. */
int acl_segment_split(struct sp_classifier *classifier, size_t i);

/* --- acl_entries.c: a rule as rte_acl entries ------------------------------------------------------------------------------- */

#define ACL_FIELDS_MAX 16

RTE_ACL_RULE_DEF(acl_entry, ACL_FIELDS_MAX);

/* Whether packets of this family can match the rule at all. */
bool acl_rule_concerns(const struct sp_classifier *classifier, const struct sp_rule *rule, enum acl_family family);

/* Number of entries the rule needs, 0 when the family does not concern it; saturates at UINT32_MAX. */
uint32_t acl_rule_entries(const struct sp_classifier *classifier, const struct sp_rule *rule, enum acl_family family);

/* Marks the sets that shall be classes, for src and dst of one family. */
void acl_choose_classes(const struct sp_policy *policy, enum acl_family family, bool *src_wanted, bool *dst_wanted);

/* Calls emit for every entry of the rule, stops at the first that returns non-zero and returns that. */
int acl_rule_emit(const struct sp_classifier *classifier, const struct sp_rule *rule, enum acl_family family, struct acl_entry *entry,
	int (*emit)(const struct acl_entry *entry, void *data), void *data);

/* Field definitions of a family; returns their number. */
uint32_t acl_field_defs(enum acl_family family, struct rte_acl_field_def defs[ACL_FIELDS_MAX]);

#endif
