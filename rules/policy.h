/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A policy: the editable, fully resolved form of a rule file. read.c makes it, check.c judges it, ruleset.c compiles it,
 * match_linear.c answers from it directly (the oracle).
 *
 * Built by one thread, then immutable; freed with sp_policy_free. Strings belong to the policy.
 */
#ifndef SP_RULES_POLICY_H
#define SP_RULES_POLICY_H

#include <pcap/pcap.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rules/addr.h"
#include "rules/diag.h"

#define SP_ZONES_MAX    31     /* a zone list is one 32-bit word, whose last bit stands for a port without a zone */
#define SP_RULES_MAX    131072 /* rules of one policy */
#define SP_RANGES_MAX   256    /* members of one port, length, DSCP or VLAN list of a rule */
#define SP_PROFILES_MAX 64     /* inspect profiles of one policy */
#define SP_ZONE_ANY     UINT32_MAX
#define SP_ZONE_NONE    (UINT32_C(1) << SP_ZONES_MAX)

enum sp_action { SP_ACTION_ALLOW, SP_ACTION_DROP, SP_ACTION_REJECT };

/*
 * Every field of a rule, by its name in a file: X(enumerator, name). The order is that of the canonical one-line form.
 * The one table of names: rule_text, read, fmt, JSON and errors all use it.
 */
#define SP_FIELDS(X)                        \
	X(ID, "id")                         \
	X(ACTION, "action")                 \
	X(PROTO, "proto")                   \
	X(FROM, "from")                     \
	X(SRC, "src")                       \
	X(TO, "to")                         \
	X(DST, "dst")                       \
	X(SPORT, "sport")                   \
	X(DPORT, "dport")                   \
	X(ICMP_TYPE, "icmp_type")           \
	X(ICMP_CODE, "icmp_code")           \
	X(TCP_FLAGS, "tcp_flags")           \
	X(VLAN, "vlan")                     \
	X(ETHERTYPE, "ethertype")           \
	X(SRC_MAC, "src_mac")               \
	X(LENGTH, "length")                 \
	X(DSCP, "dscp")                     \
	X(BPF, "bpf")                       \
	X(APP, "app")                       \
	X(SNI, "sni")                       \
	X(HTTP_HOST, "http_host")           \
	X(DNS_QUERY, "dns_query")           \
	X(INSPECT, "inspect")               \
	X(LOG, "log")                       \
	X(LIMIT, "limit")                   \
	X(OVER, "over")                     \
	X(MAX_SESSIONS, "max_sessions")     \
	X(MAX_PER_SOURCE, "max_per_source") \
	X(TIMEOUT, "timeout")               \
	X(MSS, "mss")                       \
	X(STATELESS, "stateless")           \
	X(MONITOR, "monitor")               \
	X(SCHEDULE, "schedule")             \
	X(ENABLED, "enabled")               \
	X(NAME, "name")                     \
	X(COMMENT, "comment")

enum sp_field {
#define X(e, n) SP_FIELD_##e,
	SP_FIELDS(X)
#undef X
		SP_FIELD_COUNT
};

/* Name of a field as files write it; index enum sp_field. */
extern const char *const sp_field_names[SP_FIELD_COUNT];

/* Field of that name, or -1. */
int sp_field_by_name(const char *name, size_t len);

struct sp_range {
	uint16_t lo, hi; /* host byte order, both included */
};

struct sp_rangelist {
	struct sp_range *v; /* sorted, disjoint; n == 0: the field was not given, everything matches */
	size_t n;
};

struct sp_tcp_flags {
	uint8_t value, mask; /* matches when (flags & mask) == value */
};

enum sp_limit_unit { SP_LIMIT_NONE, SP_LIMIT_OPENS, SP_LIMIT_PACKETS, SP_LIMIT_BITS };

struct sp_limit {
	uint8_t unit; /* enum sp_limit_unit; NONE: no limit */
	bool per_src;
	uint8_t src_bits4; /* prefix length that names a source, 32 and 64 by default */
	uint8_t src_bits6;
	uint32_t period_sec; /* of the rate: 1, 60 or 3600; 0 is 1 */
	uint64_t rate;       /* units per period, above 0 */
	/* units, above 0; when the file says nothing one second's worth, at least 1, and of BITS at least SP_LIMIT_FRAME_BITS */
	uint64_t burst;
};

/* An Ethernet frame of full length, with its VLAN tag: a burst below that never lets one pass. */
#define SP_LIMIT_FRAME_BITS (1518 * 8)

enum sp_log { SP_LOG_NONE = 0, SP_LOG_START = 1, SP_LOG_END = 2, SP_LOG_BOTH = 3 }; /* END also logs denials: `log` alone */

/* Fields that only the packet at hand can answer: checked after the index said "match", in this order. */
struct sp_residual {
	struct sp_tcp_flags *tcp_flags; /* any of them; NULL: not asked */
	size_t n_tcp_flags;
	struct sp_rangelist length; /* frame bytes without FCS */
	struct sp_rangelist dscp;   /* 0..63 */
	uint8_t (*src_mac)[6];
	size_t n_src_mac;
	struct bpf_program *bpf; /* for DLT_EN10MB, VLAN tag restored; NULL: not asked */
};

struct sp_rule {
	uint32_t id;      /* unique in the policy, 1..2^31-1 */
	const char *file; /* where it stands; the policy's string */
	int line;
	bool enabled;
	bool monitor; /* counts, logs and goes on to the next rule */
	bool stateless;
	uint8_t action;    /* enum sp_action */
	uint8_t log;       /* enum sp_log */
	bool has_residual; /* anything in `residual` is asked */
	uint16_t mss;      /* clamp TCP MSS to this; 0: no */
	int16_t inspect;   /* index into policy->profiles, -1: none */

	/* indexed fields */
	uint32_t from, to;                /* bit i: zone i of policy->zones; all but self (rules/self.h) when not given */
	int32_t src, dst;                 /* index into policy->addrsets, -1: any */
	uint64_t proto[4];                /* bit p of the 256-bit map: IP protocol p; all zero: any IP packet (and non-IP by `ethertype`) */
	struct sp_rangelist sport, dport; /* only with TCP, UDP, SCTP in proto */
	struct sp_rangelist icmp_type;    /* 0..255, only with icmp or icmpv6 */
	struct sp_rangelist icmp_code;
	struct sp_rangelist vlan;      /* outer VLAN id, 0: untagged */
	struct sp_rangelist ethertype; /* given: the rule is for these frames; IP frames included when 0x0800 or 0x86dd is named */

	struct sp_residual residual;

	struct sp_limit limit;
	uint32_t max_sessions;   /* 0: no bound */
	uint32_t max_per_source; /* 0: no bound */
	uint32_t timeout_sec;    /* overrides the established or replied time-out; 0: default */

	uint64_t content_hash;             /* over every field but name, comment and log: equal means "unchanged" */
	const char *value[SP_FIELD_COUNT]; /* canonical text of each field the rule has (its own or its group's); NULL: not given */
	uint64_t own;                      /* bit f: field f was written in the rule itself, not taken from its group */
	const char *group;                 /* name of its group, NULL outside groups */
};

struct sp_zones {
	char name[SP_ZONES_MAX][32];
	unsigned int n;
	bool closed; /* true: names come from a configuration and an unknown one is an error; false: names are added as they appear */
};

struct sp_set { /* a named set as written, kept for messages and GET /v1/sets */
	const char *name;
	int line;
	enum { SP_SET_ADDRESSES, SP_SET_PORTS, SP_SET_NAMES } kind;
	struct sp_addrset addrs;
	struct sp_rangelist ports;
};

enum sp_pattern_action { SP_PATTERN_ALERT, SP_PATTERN_DROP };

struct sp_pattern {
	uint32_t id;
	int line;
	const char *msg;
	const char *pattern; /* as written, without delimiters */
	unsigned int flags;  /* HS_FLAG_… */
	uint8_t action;      /* enum sp_pattern_action; in a "detect" profile every action is alert */
};

struct sp_profile {
	const char *name;
	int line;
	bool block;           /* mode = "block" */
	uint32_t depth_bytes; /* per direction; 0: no bound */
	struct sp_pattern *patterns;
	size_t n_patterns;
};

struct sp_expect {
	const char *text;
	int line;
};

struct sp_nat_list; /* rules/nat.h */

struct sp_policy {
	const char *file;      /* the main file as named */
	struct sp_rule *rules; /* in file order, disabled ones included */
	size_t n_rules;
	struct sp_addrset *addrsets; /* interned: equal expressions share one */
	size_t n_addrsets;
	struct sp_set *sets;
	size_t n_sets;
	struct sp_profile *profiles;
	size_t n_profiles;
	struct sp_expect *expects;
	size_t n_expects;
	struct sp_nat_list *nat; /* NULL: nothing is translated */
	struct sp_zones zones;
	uint8_t default_action; /* enum sp_action, DROP or REJECT or ALLOW */
	uint8_t default_log;    /* enum sp_log */
	int default_line;
	bool builtin_arp, builtin_nd; /* wire mode passes ND (not redirects) before the rules, and ARP that no rule decides */
	void *arena;                  /* owns every string and array above, ranges of address sets included; see sp_policy_alloc */
	void *addrs_index;            /* private to fields.c: finds equal address sets; in the arena */
	void *sets_index;             /* private to sets.c: finds a set by name; in the arena */
};

/* An empty policy with its arena, or NULL (errno ENOMEM). */
struct sp_policy *sp_policy_new(void);

/* Zeroed memory, aligned for any type, that lives as long as the policy; NULL on ENOMEM. A few bytes of overhead per call. */
void *sp_policy_alloc(struct sp_policy *policy, size_t size);
char *sp_policy_strndup(struct sp_policy *policy, const char *s, size_t len);

/* Frees everything the policy owns, the compiled bpf programs of rules[0..n_rules) included. NULL is fine. */
void sp_policy_free(struct sp_policy *policy);

/* Index of the zone, adding it when the table is open. -ENOENT (closed and unknown), -ENOSPC (SP_ZONES_MAX), -EINVAL (not a name). */
int sp_zone_index(struct sp_zones *zones, const char *name, size_t len);

static inline bool sp_rule_has_proto(const struct sp_rule *rule, uint8_t proto)
{
	return (rule->proto[proto >> 6] >> (proto & 63)) & 1;
}

static inline bool sp_rule_any_proto(const struct sp_rule *rule)
{
	return (rule->proto[0] | rule->proto[1] | rule->proto[2] | rule->proto[3]) == 0;
}

#endif
