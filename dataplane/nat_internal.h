/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the translator share (nat*.c only).
 *
 * Who writes what: struct sp_nat and everything of the rules is the control thread's, under sp_nat.lock, and immutable once in force but
 * for the maglev tables (swapped) and the counters of workers. struct sp_nat_worker is its worker's.
 */
#ifndef SP_DATAPLANE_NAT_INTERNAL_H
#define SP_DATAPLANE_NAT_INTERNAL_H

#include <pthread.h>

#include "dataplane/maglev.h"
#include "dataplane/nat.h"
#include "dataplane/routing.h"
#include "dataplane/worker.h"

#define SP_NAT_NONE UINT32_MAX

#define SP_NAT_PORTS 64512u /* from SP_NAT_PORT_FIRST to 65535 */
#define SP_NAT_WORD  64u    /* ports of a word of a bitmap */

/* A mapping without sessions is kept so long, that answers and later packets still find it (RFC 4787 REQ-5, RFC 5508 REQ-2; the sessions
 * themselves have waited before). TCP and SCTP know when they are over. */
#define SP_NAT_HOLD_UDP_MS  120000u
#define SP_NAT_HOLD_ICMP_MS 60000u

/* The ports of one external address that one worker gives out. That worker's, but for `address`. */
struct sp_nat_slice {
	struct sp_addr address;
	uint32_t first, n;                   /* its ports: n (a multiple of SP_NAT_WORD) from `first` on, host byte order */
	uint32_t refs;                       /* mappings and blocks of it; atomic */
	uint32_t used[SP_NAT_PROTO_COUNT];   /* atomic: read by others */
	uint64_t *taken[SP_NAT_PROTO_COUNT]; /* a bit a port */
	uint64_t *blocks;                    /* a bit a word of ports: part of a block */
	bool interface;                      /* of nat_worker.interface: an address that a link has now */
};

/* An external address that the rules name: its slices. On the list of struct sp_nat while anything refers to it. */
struct sp_nat_address {
	struct sp_nat_address *next;
	struct sp_addr address;
	bool wanted; /* by the rules in force, or those being made */
	struct sp_nat_slice *slice[SP_WORKERS_MAX];
};

/* What a range of addresses is to the translator. */
#define SP_NAT_SPAN_POOL    1u  /* external, of a source entry */
#define SP_NAT_SPAN_SOURCE  2u  /* may be translated as a source */
#define SP_NAT_SPAN_VIP     4u  /* of a destination entry's dst */
#define SP_NAT_SPAN_BACKEND 8u  /* of a destination entry's addresses */
#define SP_NAT_SPAN_OUTSIDE 16u /* outside of a static or prefix entry */

typedef unsigned __int128 sp_nat_number; /* an address in host byte order */

struct sp_nat_span {
	sp_nat_number lo, hi;
	uint32_t flags;
	uint32_t first, n; /* in sp_nat_rules.ref: the destination, static and prefix entries that have it */
};

struct sp_nat_ref {
	uint16_t entry;
	uint8_t flag; /* SP_NAT_SPAN_VIP, BACKEND or OUTSIDE */
};

struct sp_nat_entry_counters { /* of one worker; relaxed readers */
	uint64_t sessions;     /* opened */
	uint64_t exhausted;    /* refused for want of a port */
	uint64_t refused;      /* by max_per_source, or without a live backend */
	uint32_t logged_s;     /* second of the last event of exhaustion, of the worker's clock, plus 1 */
} __attribute__((aligned(64)));

/* One entry of the list, compiled. */
struct sp_nat_rule {
	const struct sp_nat_entry *entry; /* the policy's */
	struct sp_nat_address **pool;     /* SOURCE: n_pool addresses; owned array */
	uint32_t n_pool;
	struct sp_addr *backend; /* DESTINATION: entry->n_hosts addresses; owned */
	bool *live;              /* of each; under sp_nat.lock */
	struct sp_maglev *table; /* atomic; NULL: one backend, or none needed. Owned */
	bool dead;               /* atomic: the only backend does not live */
	struct sp_nat_entry_counters counters[SP_WORKERS_MAX];
};

struct sp_nat_rules {
	struct sp_nat_rules *next; /* of those that are in force, about to be, or not yet freed */
	struct sp_nat *nat;
	const struct sp_policy *policy;
	uint32_t generation;      /* counts the lists attached; 0 never */
	struct sp_nat_rule *rule; /* n: indexes as in policy->nat */
	uint32_t n;
	uint32_t *by_id;             /* n rule indexes, ascending ids */
	struct sp_nat_span *span[2]; /* IPv4, IPv6: sorted, disjoint */
	uint32_t n_spans[2];
	struct sp_nat_ref *ref;
	uint16_t *local; /* destination entries with dst = "interface" */
	uint32_t n_local;
	bool interface; /* links' addresses matter: a source entry, or a destination entry, says "interface" */
	bool pool_interface;
};

/* An inside address and port, and what they look like outside. */
struct sp_nat_mapping {
	struct sp_addr inside;
	uint8_t proto; /* enum sp_nat_proto */
	bool detached; /* not found by its inside end any more */
	rte_be16_t inside_port, port;
	uint32_t entry;      /* id */
	uint32_t generation; /* of the rules that found its address right */
	uint32_t refs;       /* sessions */
	uint32_t host;
	uint32_t next_inside, next_outside; /* in hash chains; next_outside of free ones */
	bool held;
	uint32_t held_prev, held_next, due_ms; /* while held: refs is 0 */
	struct sp_nat_slice *slice;            /* NULL: free */
};

/* An inside address of an entry: it has one external address, and its share of ports. */
struct sp_nat_host {
	struct sp_addr address;
	uint32_t entry; /* id */
	uint32_t refs;  /* mappings; 0: free */
	uint32_t next;  /* in its hash chain, or of free ones */
	uint32_t block; /* first of its blocks, or SP_NAT_NONE */
	uint32_t ports[SP_NAT_PROTO_COUNT];
	bool detached;
	struct sp_nat_slice *slice;
};

struct sp_nat_block {
	uint32_t next;
	uint32_t refs;  /* mappings in it */
	uint16_t first; /* port */
	uint16_t n;
};

/* A remote address that an inside end has sent to (filtering "address"). */
struct sp_nat_permit {
	struct sp_addr remote;
	uint32_t mapping;
	uint32_t refs; /* sessions */
	uint32_t next;
};

/* Mappings that no session uses, of one hold time: the first is due first. */
struct sp_nat_held {
	uint32_t first, last;
};

/* An address of one of the router's links, as of this turn. */
struct sp_nat_own {
	struct sp_addr address;     /* family NONE: free */
	struct sp_nat_slice *slice; /* of one that is, or was, the first address of its family on a link; else NULL */
};

#define SP_NAT_OWN_SLOTS 16384 /* half of them stay free */

struct sp_nat_counters {        /* relaxed readers */
	uint64_t mappings;      /* gauge */
	uint64_t hosts, blocks; /* gauges */
	uint64_t made;          /* mappings */
	uint64_t exhausted;     /* sessions refused for want of a port */
	uint64_t translated;    /* sessions opened with a translation */
};

/* What was chosen for a miss of the burst at hand. */
struct sp_nat_choice {
	uint32_t destination; /* index of the rule that changed the destination, or SP_NAT_NONE */
	uint32_t inbound;     /* mapping by which it did, or SP_NAT_NONE */
	uint32_t source;      /* index of the source rule, or SP_NAT_NONE */
	uint32_t mapping;     /* that sp_nat_open took, or SP_NAT_NONE */
	bool fresh;           /* it was made for this packet */
};

struct sp_nat_worker {
	struct sp_nat *nat;
	unsigned int index;
	uint64_t secret[2], drawn; /* random numbers */
	struct sp_nat_choice choice[SP_BURST_MAX];

	uint32_t max;  /* entries of each table below */
	uint32_t mask; /* of hash heads */
	struct sp_nat_mapping *mapping;
	struct sp_nat_host *host;
	struct sp_nat_block *block;
	struct sp_nat_permit *permit;
	uint32_t *inside, *outside, *hosts, *permits; /* heads of hash chains */
	uint32_t free_mapping, free_host, free_block, free_permit;
	uint32_t n_mappings, n_hosts, n_blocks, n_permits; /* entries that were ever used */
	struct sp_nat_held held[SP_NAT_PROTO_COUNT];

	/* Addresses of the router's links; ports of those that translate. */
	struct sp_nat_slice *interface; /* n_interface; NULL until rules want them */
	uint32_t n_interface;
	const struct sp_link_addresses *seen[SP_LINKS_MAX];
	struct sp_nat_own *own; /* open hash of SP_NAT_OWN_SLOTS; NULL until rules want it */
	bool purging;           /* sessions of addresses that are gone are being ended */
	uint64_t purge_cursor;

	struct sp_nat_counters counters;
} __attribute__((aligned(64)));

struct sp_nat_health_state {
	struct sp_nat_health_state *next;
	uint32_t entry;
	size_t n;
	bool live[];
};

struct sp_nat {
	struct sp_dataplane *dataplane;
	pthread_mutex_t lock;
	unsigned int n_workers;
	uint32_t generation;
	uint32_t slice_ports; /* of one worker: port 1024 + w * slice_ports + k is worker w's */
	struct sp_nat_address *addresses;
	struct sp_nat_rules *rules;
	struct sp_nat_health_state *health;
	size_t bytes;
	struct sp_nat_worker *worker[SP_WORKERS_MAX];
};

/* --- nat.c -----------------------------------------------------------------------------------------------------------------------------
 */

static inline struct sp_nat_worker *sp_nat_of(const struct sp_worker *worker)
{
	return worker->dataplane->nat->worker[worker->index];
}

/* Which of the protocols with ports a key is of; -1: none. */
int sp_nat_proto_of(const struct sp_key *key);

static inline struct sp_addr sp_nat_addr4(rte_be32_t address)
{
	struct sp_addr addr = {.family = SP_FAMILY_IPV4};

	memcpy(addr.b, &address, sizeof(address));
	return addr;
}

static inline struct sp_addr sp_nat_key_addr(const struct sp_key *key, bool source)
{
	struct sp_addr addr = {.family = key->family};

	if (key->family == SP_FAMILY_IPV4)
		memcpy(addr.b, source ? &key->v4.src : &key->v4.dst, 4);
	else
		memcpy(addr.b, source ? key->v6.src : key->v6.dst, 16);
	return addr;
}

static inline void sp_nat_set_addr(struct sp_key *key, bool source, const struct sp_addr *addr)
{
	if (key->family == SP_FAMILY_IPV4)
		memcpy(source ? &key->v4.src : &key->v4.dst, addr->b, 4);
	else
		memcpy(source ? key->v6.src : key->v6.dst, addr->b, 16);
}

static inline bool sp_nat_same_addr(const struct sp_addr *a, const struct sp_addr *b)
{
	return a->family == b->family && memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* --- nat_span.c ------------------------------------------------------------------------------------------------------------------------
 */

/* Fills span and ref from the policy. 0 or -ENOMEM. Control thread. */
int sp_nat_spans_compile(struct sp_nat_rules *rules);

/* The span of an address, or NULL. */
const struct sp_nat_span *sp_nat_span(const struct sp_nat_rules *rules, const struct sp_addr *addr);

/* --- nat_rules.c ------------------------------------------------------------------------------------------------------------------------
 */

/* The rule with this entry id, or NULL. */
struct sp_nat_rule *sp_nat_rule_by_id(const struct sp_nat_rules *rules, uint32_t id);

/* Whether new sessions of a mapping of this entry may still have the slice's address. */
bool sp_nat_rule_has(const struct sp_nat_rule *rule, const struct sp_nat_slice *slice);

/* --- nat_slice.c -------------------------------------------------------------------------------------------------------------------------
 */

/* Memory of a slice of `n` ports from `first` on. 0 or -ENOMEM. Control thread. */
int sp_nat_slice_init(struct sp_nat_slice *slice, uint32_t first, uint32_t n);
void sp_nat_slice_fini(struct sp_nat_slice *slice);
size_t sp_nat_slice_bytes(uint32_t n);

static inline bool sp_nat_slice_is_taken(const struct sp_nat_slice *slice, unsigned int proto, uint32_t k)
{
	return slice->taken[proto][k / 64] >> k % 64 & 1;
}

/*
 * A free port (its number k in the slice) of [lo, hi), the first at or after `start` (lo <= start < hi), going around once; UINT32_MAX
 * without one. lo and hi are multiples of SP_NAT_WORD. With `loose` words that belong to blocks are passed over.
 */
uint32_t sp_nat_slice_find(const struct sp_nat_slice *slice, unsigned int proto, uint32_t lo, uint32_t hi, uint32_t start, bool loose);

void sp_nat_slice_take(struct sp_nat_slice *slice, unsigned int proto, uint32_t k);
void sp_nat_slice_give(struct sp_nat_slice *slice, unsigned int proto, uint32_t k);

/* A run of `ports` (a multiple of SP_NAT_WORD) that nothing uses, the first at or after run number `start`; its first port's number in the
 * slice, marked as a block, or UINT32_MAX. */
uint32_t sp_nat_slice_take_block(struct sp_nat_slice *slice, uint32_t ports, uint32_t start);
void sp_nat_slice_give_block(struct sp_nat_slice *slice, uint32_t first, uint32_t ports);

/* --- nat_map.c -------------------------------------------------------------------------------------------------------------------------
 */

struct sp_nat_worker *sp_nat_worker_create(struct sp_nat *nat, unsigned int index, uint32_t max);
void sp_nat_worker_free(struct sp_nat_worker *nat);

/* A random number. */
uint64_t sp_nat_draw(struct sp_nat_worker *nat);

/* Who wants a mapping, and from whom. */
struct sp_nat_want {
	const struct sp_nat_rules *rules;
	struct sp_nat_rule *rule;
	struct sp_addr inside;
	rte_be16_t port;
	uint8_t proto;                  /* enum sp_nat_proto */
	struct sp_nat_slice *interface; /* "interface": the slice of the link's address; NULL: it has none */
};

/*
 * The mapping of an inside address and port, made when there is none: *fresh. No reference is taken: one that is fresh has none and waits
 * for sp_nat_mapping_take or sp_nat_mapping_drop. SP_DROP_NONE, NAT_PORTS_EXHAUSTED, NAT_MAX_PER_SOURCE or NAT_NO_ADDRESS.
 */
enum sp_drop_reason sp_nat_map(struct sp_worker *worker, const struct sp_nat_want *want, uint32_t *mapping, bool *fresh);

/* The mapping behind an external address and port, or SP_NAT_NONE. */
uint32_t sp_nat_mapping_at(const struct sp_nat_worker *nat, const struct sp_addr *address, rte_be16_t port, unsigned int proto);

void sp_nat_mapping_take(struct sp_worker *worker, uint32_t mapping);
void sp_nat_mapping_leave(struct sp_worker *worker, uint32_t mapping);
/* Ends a mapping that no session uses. */
void sp_nat_mapping_drop(struct sp_worker *worker, uint32_t mapping);

/* Mappings that were held long enough, at most `budget`. */
void sp_nat_mappings_age(struct sp_worker *worker, unsigned int budget);

/* The session's mapping has sent to this address; SP_NAT_NONE when the table is full. And: whether it has. And: one session less has. */
uint32_t sp_nat_permit_take(struct sp_nat_worker *nat, uint32_t mapping, const struct sp_addr *remote);
bool sp_nat_permitted(const struct sp_nat_worker *nat, uint32_t mapping, const struct sp_addr *remote);
void sp_nat_permit_leave(struct sp_nat_worker *nat, uint32_t permit);

/* --- nat_link.c -------------------------------------------------------------------------------------------------------------------------
 */

/* Room for the addresses of links. 0 or -ENOMEM. Control thread, before rules that want it are in force. */
int sp_nat_links_init(struct sp_nat_worker *nat, unsigned int n_links, uint32_t first, uint32_t n);
void sp_nat_links_fini(struct sp_nat_worker *nat);

/* Follows the addresses of links; cheap when none has changed. */
void sp_nat_links_turn(struct sp_worker *worker);

/* Whether the address is one of the router's own. */
bool sp_nat_is_own(const struct sp_nat_worker *nat, const struct sp_addr *addr);

/* The slice of the first address of a family of a link, and of an address that is the first of a link; or NULL. */
struct sp_nat_slice *sp_nat_link_slice(const struct sp_worker *worker, uint16_t link, uint8_t family);
struct sp_nat_slice *sp_nat_own_slice(const struct sp_nat_worker *nat, const struct sp_addr *addr);

/* --- nat_owner.c ------------------------------------------------------------------------------------------------------------------------
 */

/* The worker of an inside address. */
unsigned int sp_nat_owner_of(const struct sp_nat *nat, const struct sp_addr *addr);

/* Whether an external port is used by a destination entry, for any client. */
bool sp_nat_is_vip_port(
	const struct sp_nat_rules *rules, const struct sp_nat_worker *nat, const struct sp_addr *addr, uint8_t proto, uint16_t port);

/* --- nat_event.c -----------------------------------------------------------------------------------------------------------------------
 */

void sp_nat_tell_mapping(struct sp_worker *worker, const struct sp_nat_mapping *mapping, enum sp_nat_event what);
void sp_nat_tell_block(struct sp_worker *worker, const struct sp_nat_host *host, const struct sp_nat_block *block, enum sp_nat_event what);
void sp_nat_tell_exhausted(struct sp_worker *worker, struct sp_nat_rule *rule, const struct sp_nat_want *want);

#endif
