/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The `nat` list of a policy: which packets get other addresses. First match wins, separately for the destination and for the source.
 * Destinations are translated before the rules see a packet, sources after: a rule sees the original source and the translated
 * destination, and so does a source entry.
 *
 * Pure data, built with the policy and immutable with it. What lives longer (ports in use, mappings, health) is keyed by address and by
 * entry id in dataplane/nat.h.
 */
#ifndef SP_RULES_NAT_H
#define SP_RULES_NAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rules/addr.h"
#include "rules/match.h"
#include "rules/policy.h"

#define SP_NAT_MAX          1024 /* entries of one policy */
#define SP_NAT_BACKENDS_MAX 1024 /* addresses that one destination entry spreads over */
#define SP_NAT_POOL_MAX     4096 /* addresses of one source entry: each has ports in use */
#define SP_NAT_PORT_FIRST   1024 /* the first port that a source entry gives out; the last is 65535 */

/* X(enumerator, name). SOURCE and DESTINATION open sessions of one direction, STATIC and PREFIX translate both ways. */
#define SP_NAT_TYPES(X)               \
	X(SOURCE, "source")           \
	X(DESTINATION, "destination") \
	X(STATIC, "static")           \
	X(PREFIX, "prefix")

enum sp_nat_type {
#define X(e, n) SP_NAT_##e,
	SP_NAT_TYPES(X)
#undef X
		SP_NAT_TYPE_COUNT
};

extern const char *const sp_nat_type_names[SP_NAT_TYPE_COUNT];

/* Who may open a session to a mapping of a source entry, after the rules allowed it (RFC 4787 5); X(enumerator, name). */
#define SP_NAT_FILTERINGS(X)                                                                    \
	X(SESSION, "session")   /* nobody: only answers come in (address and port dependent) */ \
	X(ADDRESS, "address")   /* an outside address that the mapping has sent to */           \
	X(ENDPOINT, "endpoint") /* anybody (endpoint independent) */

enum sp_nat_filtering {
#define X(e, n) SP_NAT_FILTERING_##e,
	SP_NAT_FILTERINGS(X)
#undef X
		SP_NAT_FILTERING_COUNT
};

extern const char *const sp_nat_filtering_names[SP_NAT_FILTERING_COUNT];

/* Every key of an entry, by its name in a file: X(enumerator, name). The order is that in which they are read and shown. */
#define SP_NAT_KEYS(X)                      \
	X(ID, "id")                         \
	X(TYPE, "type")                     \
	X(FROM, "from")                     \
	X(TO, "to")                         \
	X(PROTO, "proto")                   \
	X(SRC, "src")                       \
	X(SPORT, "sport")                   \
	X(DST, "dst")                       \
	X(DPORT, "dport")                   \
	X(ADDRESS, "address")               \
	X(PORT, "port")                     \
	X(METHOD, "method")                 \
	X(FILTERING, "filtering")           \
	X(BLOCK_SIZE, "block_size")         \
	X(MAX_PER_SOURCE, "max_per_source") \
	X(HEALTH, "health")                 \
	X(LOG, "log")                       \
	X(ENABLED, "enabled")               \
	X(NAME, "name")                     \
	X(COMMENT, "comment")

enum sp_nat_key {
#define X(e, n) SP_NAT_KEY_##e,
	SP_NAT_KEYS(X)
#undef X
		SP_NAT_KEY_COUNT
};

extern const char *const sp_nat_key_names[SP_NAT_KEY_COUNT];

/* How a destination entry chooses among several addresses. */
enum sp_nat_method { SP_NAT_METHOD_NONE, SP_NAT_METHOD_MAGLEV };

enum sp_health_type { SP_HEALTH_NONE, SP_HEALTH_TCP, SP_HEALTH_HTTP };

/* What tells whether a backend lives. Every time in milliseconds. */
struct sp_nat_health {
	uint8_t type;         /* enum sp_health_type */
	uint8_t up, down;     /* good (bad) answers in a row that make a backend live (dead): 1..10 */
	uint16_t port;        /* host byte order; 0: the port that its clients are sent to */
	uint16_t status;      /* HTTP: the status that is good; 0: any from 200 to 399 */
	uint32_t interval_ms; /* 100..3600000 */
	uint32_t timeout_ms;  /* 50..60000, at most the interval */
	const char *path;     /* HTTP: begins with '/'; the policy's */
	const char *host;     /* HTTP: the Host field; NULL: the backend's address */
};

struct sp_nat_entry {
	uint32_t id; /* unique in the list, 1..2^31-1 */
	const char *file;
	int line;
	const char *name, *comment; /* NULL: none */
	bool enabled;
	uint8_t type;      /* enum sp_nat_type */
	uint8_t filtering; /* enum sp_nat_filtering; SOURCE */
	uint8_t method;    /* enum sp_nat_method; DESTINATION */
	uint8_t log;       /* enum sp_log: START logs a mapping (or block of ports) made, END its end; SOURCE */

	/* what is translated */
	uint32_t from, to;  /* zones as in struct sp_rule, seen from inside; `to` is not asked of DESTINATION */
	int32_t src, dst;   /* index into policy->addrsets, -1: any */
	bool dst_interface; /* `dst = "interface"`: the addresses of the link that the packet came in by (all of the router's) */
	uint64_t proto[4];  /* as in struct sp_rule; all zero: any */
	struct sp_rangelist sport, dport;

	/* into what */
	bool none;                     /* `address = "none"`: exempt, and no later entry of that direction is asked */
	bool interface;                /* `address = "interface"`: of the link that the packet leaves by; SOURCE */
	struct sp_addr_range *address; /* in file order, disjoint, all of one family; SOURCE: the pool, DESTINATION: the servers */
	size_t n_address;
	uint32_t n_hosts;         /* addresses in these ranges: at most SP_NAT_POOL_MAX or SP_NAT_BACKENDS_MAX; STATIC, PREFIX: 0 */
	struct sp_rangelist port; /* DESTINATION: one port, or a range as long as dport's, in step with it; n == 0: as it was */
	uint16_t block_size;      /* SOURCE: ports that an inside address takes at a time, a power of two 64..4096; 0: single ports */
	uint32_t max_per_source;  /* SOURCE: ports of one inside address and protocol; 0: no bound */
	struct sp_nat_health health;
	/* STATIC: src is one range and address[0] one as long: the n-th address becomes the n-th. PREFIX: an IPv6 prefix each. Disjoint. */
	struct sp_addr_range inside, outside;
	uint8_t prefix_bits; /* PREFIX: of both, 1..64 (RFC 6296 3.) */

	const char *value[SP_NAT_KEY_COUNT]; /* canonical text of each key that was given but health; NULL: not given */
};

struct sp_nat_list {
	struct sp_nat_entry *v; /* in file order; the policy's arena */
	size_t n;
};

/*
 * The first enabled entry at or after `first` of DESTINATION kind (destination true: DESTINATION, and STATIC or PREFIX whose outside holds
 * the destination, for which `from` and `to` change places), or of SOURCE kind (SOURCE, and STATIC or PREFIX whose inside holds the
 * source), that matches; SP_NAT_NO_ENTRY without one. `local` says whether match->dst is an address of the firewall's own (for
 * dst_interface). Exempting entries are returned, too. An entry with addresses matches packets of their family only. Any thread; reads the
 * policy only.
 */
#define SP_NAT_NO_ENTRY UINT32_MAX
uint32_t sp_nat_match(const struct sp_policy *policy, const struct sp_match *match, bool destination, bool local, uint32_t first);

/*
 * The other address of a STATIC or PREFIX entry: of an inside address the outside one (outward), or back. Host part kept; PREFIX is
 * checksum-neutral (RFC 6296 3.1 to 3.5). False, *out untouched, when the address is not of that side, or has no translation (RFC 6296 3.4,
 * 3.5: 0xffff words).
 */
bool sp_nat_counterpart(const struct sp_nat_entry *entry, const struct sp_addr *address, bool outward, struct sp_addr *out);

/* The k-th address of the entry, ranges expanded in file order; k below n_hosts. */
struct sp_addr sp_nat_host(const struct sp_nat_entry *entry, uint32_t k);

/* Family of what the entry translates to, SP_FAMILY_NONE: both (interface, none). */
static inline uint8_t sp_nat_family(const struct sp_nat_entry *entry)
{
	return entry->n_address != 0 ? entry->address[0].lo.family : SP_FAMILY_NONE;
}

struct json_t;

/* An entry as JSON: what it was given as `fields`, with its place; the caller owns it. NULL on ENOMEM. */
struct json_t *sp_nat_entry_json(const struct sp_nat_entry *entry);

/* Warnings: entries that never match, that others hide, addresses that two entries give out. Part of sp_policy_check. */
void sp_nat_check(const struct sp_policy *policy, struct sp_diags *diags);

#endif
