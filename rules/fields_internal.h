/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files fields*.c share among themselves; nobody else includes this.
 */
#ifndef SP_RULES_FIELDS_INTERNAL_H
#define SP_RULES_FIELDS_INTERNAL_H

#include "rules/fields.h"

/* One kind of number list: VLAN ids, ports, ICMP types. */
struct sp_list_kind {
	const char *field; /* for messages */
	const char *wants; /* "a VLAN id from 0 to 4094" */
	uint16_t max;
	bool port_sets; /* whether "@set" members are ports sets */
	/* One member that is not a range, to its numbers; 0 or -EINVAL. */
	int (*parse)(const char *text, size_t len, struct sp_range *out);
};

/* Adds an error at the place. Returns -EINVAL, so that callers can `return sp_place_error(...)`. */
int sp_place_error(const struct sp_place *place, struct sp_diags *diags, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Length of a value shown in messages. */
#define SP_SHOWN(len) ((int)((len) < 64 ? (len) : 64))

/*
 * Steps through "a, b,c": *item and *len get the next member without the blanks around it, length 0 for an empty one. False at
 * the end. *cursor starts at the text and is NULL past the last member.
 */
bool sp_list_next(const char **cursor, const char **item, size_t *len);

/* Whether the member reads like a name: a letter or underscore first, then letters, digits, '_' and '-'. */
bool sp_list_is_word(const char *item, size_t len);

/* The list with its members trimmed and joined by single commas, in the arena; NULL on ENOMEM. */
const char *sp_list_canonical(struct sp_policy *policy, const char *text);

/* Parses a list of numbers, names and ranges; sorted, merged, at most SP_RANGES_MAX. 0 or -EINVAL with diagnostics. */
int sp_list_parse(struct sp_policy *policy, const char *text, const struct sp_place *place, const struct sp_list_kind *kind,
	struct sp_rangelist *out, struct sp_diags *diags);

/* Whether the text is valid UTF-8 (RFC 3629) without control characters: it goes to logs and into JSON. */
bool sp_text_printable(const char *text);

/* "100/s burst 200 per src/24". 0, or -EINVAL with *why set to a static sentence fragment. */
int sp_limit_parse(const char *text, struct sp_limit *out, const char **why);

/* Mixing step of the hashes below: not for secrets, good enough that 64 bits do not collide by accident. */
static inline uint64_t sp_hash_mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
	hash ^= hash >> 29;
	return hash * 0xbf58476d1ce4e5b9u ^ hash >> 32;
}

#define SP_HASH_SEED_TEXT 0x5a11790752c0ffeeu
#define SP_HASH_SEED_SET  0x5a11790752badd1eu
#define SP_HASH_SEED_RULE 0x5a117907526a7e00u

uint64_t sp_hash_bytes(uint64_t hash, const void *bytes, size_t size);
uint64_t sp_hash_text(uint64_t hash, const char *text);

/* Hash over what the resolved rule means, independent of the order in which zones and sets happen to be numbered. */
uint64_t sp_rule_hash(const struct sp_policy *policy, const struct sp_rule *rule);

/* Hash over the ranges of a set. */
uint64_t sp_addrset_hash(const struct sp_addrset *set);

/* The same of an interned set, remembered since it was made. */
uint64_t sp_addrs_hash(const struct sp_policy *policy, int32_t index);

/* One rule on its way from texts to values. */
struct sp_resolver {
	struct sp_policy *policy;
	struct sp_rule *rule;
	struct sp_place place; /* of the value at hand */
	struct sp_diags *diags;
	uint64_t given;              /* bit f: the rule has field f */
	uint64_t bad;                /* bit f: its value was refused: conditions on it would only repeat that */
	int columns[SP_FIELD_COUNT]; /* where each value stands */
};

#define SP_FAIL(r, ...) sp_place_error(&(r)->place, (r)->diags, __VA_ARGS__)

/*
 * One setter a field: text, not empty and printable, to the members of r->rule. 0, or -EINVAL with a diagnostic. They run in the order
 * of enum sp_field, so that icmp_type finds the protocols set.
 */
int sp_set_id(struct sp_resolver *r, const char *text);
int sp_set_action(struct sp_resolver *r, const char *text);
int sp_set_proto(struct sp_resolver *r, const char *text);
int sp_set_from(struct sp_resolver *r, const char *text);
int sp_set_to(struct sp_resolver *r, const char *text);
int sp_set_src(struct sp_resolver *r, const char *text);
int sp_set_dst(struct sp_resolver *r, const char *text);
int sp_set_sport(struct sp_resolver *r, const char *text);
int sp_set_dport(struct sp_resolver *r, const char *text);
int sp_set_icmp_type(struct sp_resolver *r, const char *text);
int sp_set_icmp_code(struct sp_resolver *r, const char *text);
int sp_set_vlan(struct sp_resolver *r, const char *text);
int sp_set_ethertype(struct sp_resolver *r, const char *text);
int sp_set_length(struct sp_resolver *r, const char *text);
int sp_set_dscp(struct sp_resolver *r, const char *text);
int sp_set_tcp_flags(struct sp_resolver *r, const char *text);
int sp_set_src_mac(struct sp_resolver *r, const char *text);
int sp_set_bpf(struct sp_resolver *r, const char *text);
int sp_set_inspect(struct sp_resolver *r, const char *text);
int sp_set_log(struct sp_resolver *r, const char *text);
int sp_set_limit(struct sp_resolver *r, const char *text);
int sp_set_max_sessions(struct sp_resolver *r, const char *text);
int sp_set_max_per_source(struct sp_resolver *r, const char *text);
int sp_set_timeout(struct sp_resolver *r, const char *text);
int sp_set_mss(struct sp_resolver *r, const char *text);
int sp_set_stateless(struct sp_resolver *r, const char *text);
int sp_set_monitor(struct sp_resolver *r, const char *text);
int sp_set_enabled(struct sp_resolver *r, const char *text);
int sp_set_name(struct sp_resolver *r, const char *text);
int sp_set_comment(struct sp_resolver *r, const char *text);

#endif
