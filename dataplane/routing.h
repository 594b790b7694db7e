/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the router knows: links, next hops, and the two FIBs whose values are indexes of next hops. Absent (dataplane->routing NULL) in wire
 * mode.
 *
 * One thread writes, the kernel thread (mgmt/kernel), which mirrors Linux; workers only read. What workers may hold (a next hop, a group,
 * the addresses of a link) is not used again before they all have passed a quiescent state. MAC and state of a neighbour change in place,
 * in one word.
 */
#ifndef SP_DATAPLANE_ROUTING_H
#define SP_DATAPLANE_ROUTING_H

#include <assert.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/mac.h"
#include "rules/addr.h"

#define SP_LINKS_MAX          256
#define SP_NO_LINK            0xffff
#define SP_GROUP_MAX          64   /* members of an ECMP group, each as often as its weight says */
#define SP_KERNEL_RING        1024 /* packets on their way to Linux, and from it */
#define SP_NEXTHOP_GROUPS_MAX 4096 /* ECMP groups at a time */
#define SP_RESOLVE_RING       1024 /* neighbours that workers ask for */
#define SP_LINK_ADDRESSES     16   /* of each family that a link remembers as its own, the first being its primary one */

enum sp_rpf { SP_RPF_STRICT, SP_RPF_LOOSE, SP_RPF_OFF };

/* Packets a second that go up to Linux, all workers together; X(enumerator, name, default). */
#define SP_SELF_CLASSES(X)    \
	X(ARP, "arp", 1000)   \
	X(ND, "nd", 1000)     \
	X(ICMP, "icmp", 1000) \
	X(DHCP, "dhcp", 100)  \
	X(OTHER, "other", 10000)

enum sp_self_class {
#define X(e, n, d) SP_SELF_##e,
	SP_SELF_CLASSES(X)
#undef X
		SP_SELF_CLASS_COUNT
};

struct sp_route_config {
	uint8_t rpf;                             /* enum sp_rpf: of links that do not say */
	uint32_t max4, max6;                     /* routes; neighbours of connected prefixes come on top */
	uint32_t neighbours;                     /* of both families */
	uint32_t queue;                          /* packets that wait for one neighbour */
	uint32_t waiting;                        /* packets that wait for any, of each worker */
	uint32_t self_rate[SP_SELF_CLASS_COUNT]; /* packets a second, all workers together; 0: none pass */
	uint32_t errors;                         /* ICMP errors built a second, all workers together */
};

enum sp_nexthop_kind {
	SP_NEXTHOP_UNREACHABLE, /* no route */
	SP_NEXTHOP_BLACKHOLE,
	SP_NEXTHOP_PROHIBIT,
	SP_NEXTHOP_SELF,      /* an address of the firewall's own, or a broadcast address of one of its links */
	SP_NEXTHOP_GLEAN,     /* on this link: the destination is a neighbour to be found */
	SP_NEXTHOP_NEIGHBOUR, /* has an address on a link, and a MAC when it is known */
	SP_NEXTHOP_GROUP,     /* several of the others: ECMP */
};

/* Next hops that are always there, in this order. No route leads to LINUX: Linux chose link and neighbour, the frame leaves as it is. */
enum {
	SP_NEXTHOP_ID_UNREACHABLE,
	SP_NEXTHOP_ID_BLACKHOLE,
	SP_NEXTHOP_ID_PROHIBIT,
	SP_NEXTHOP_ID_SELF,
	SP_NEXTHOP_ID_LINUX,
	SP_NEXTHOP_ID_FIRST
};
#define SP_NEXTHOP_ID_NONE UINT32_MAX /* not known yet */

/* In the upper bits of sp_nexthop.mac. */
#define SP_NEIGHBOUR_RESOLVED (1ull << 48) /* the lower 48 bits are its MAC, first byte lowest */
#define SP_NEIGHBOUR_FAILED   (1ull << 49) /* it did not answer */

struct sp_nexthop {
	uint64_t mac;  /* atomic: see above */
	uint16_t link; /* index; of GLEAN and NEIGHBOUR */
	uint8_t kind;  /* enum sp_nexthop_kind */
	uint8_t family;
	uint32_t used;       /* atomic: the second of the dataplane's clock in which a worker last sent to it */
	uint8_t address[16]; /* NEIGHBOUR: its own, network byte order */
	uint16_t n;          /* GROUP: members */
	uint16_t pad;
	uint32_t *members; /* GROUP: ids of NEIGHBOUR and GLEAN next hops; owned */
} __attribute__((aligned(64)));
static_assert(sizeof(struct sp_nexthop) == 64, "one line");

/* Addresses of a link; immutable, replaced as a whole. */
struct sp_link_addresses {
	unsigned int n4, n6;
	rte_be32_t v4[SP_LINK_ADDRESSES];
	uint8_t v6[SP_LINK_ADDRESSES][16]; /* global ones first */
	uint8_t link_local[16];            /* all zero: none */
};

struct sp_link {
	char name[16]; /* of the TAP */
	uint16_t index;
	uint16_t port; /* index into dataplane ports */
	uint16_t vlan; /* 0: untagged */
	uint8_t zone;  /* index, or SP_MATCH_NO_ZONE */
	uint8_t rpf;   /* enum sp_rpf */
	union {
		uint8_t mac[6];
		uint64_t mac_word; /* atomic (mac.h): it changes while workers use it */
	};
	uint16_t mtu;                        /* of layer 3; atomic */
	uint32_t up;                         /* 0 or 1, atomic: Linux has the TAP up, and the port has a carrier */
	uint32_t dhcp_ms[2];                 /* atomic: now_ms | 1 when Linux last asked by DHCP (0: never), IPv4 and IPv6 */
	struct sp_link_addresses *addresses; /* atomic; never NULL */
};

/* A neighbour that a worker has packets for. */
struct sp_resolve {
	uint32_t nexthop; /* of kind NEIGHBOUR; SP_NEXTHOP_ID_UNREACHABLE: address is a new one on a link */
	uint16_t link;
	uint8_t family;
	uint8_t pad;
	uint8_t address[16];
};
static_assert(sizeof(struct sp_resolve) == 24, "elements of a ring are words");

struct rte_fib;
struct rte_fib6;

struct sp_routing {
	struct rte_fib *fib4;
	struct rte_fib6 *fib6;
	struct sp_nexthop *nexthops; /* n_nexthops */
	uint32_t n_nexthops;
	struct sp_link links[SP_LINKS_MAX];
	unsigned int n_links;
	struct rte_ring *to_kernel;   /* mbufs, mbuf->port = link; workers in, kernel thread out */
	struct rte_ring *from_kernel; /* the way back, for worker 0; mbuf->port = SP_PORTS_MAX + link, the way of the link's kernel port */
	struct rte_ring *resolve;     /* elements of struct sp_resolve; workers in, kernel thread out */
	struct sp_route_config config;
	struct sp_routing_private *writer; /* the kernel thread's (routing.c) */
};

/* --- made and changed by one thread: at start by main, later by the kernel thread ------------------------------------------------ */

/* NULL with errno. qsbr: what is taken back waits for its threads. `socket`: NUMA node. */
struct sp_routing *sp_routing_create(const struct sp_route_config *config, struct rte_rcu_qsbr *qsbr, int socket);
void sp_routing_free(struct sp_routing *routing);

/* Bytes taken by FIBs and next hops. Any thread. */
size_t sp_routing_bytes(const struct sp_routing *routing);

/* Bytes of DPDK memory that sp_routing_create will ask for. */
size_t sp_routing_need(const struct sp_route_config *config);

/* Adds a link (before workers run); copies it, gives it its index and no addresses. -ENOSPC. */
int sp_routing_add_link(struct sp_routing *routing, const struct sp_link *link);

/* Replaces a link's addresses. -ENOMEM with the old ones in place. */
int sp_link_set_addresses(struct sp_routing *routing, uint16_t link, const struct sp_link_addresses *addresses);

/* A next hop of kind GLEAN (address NULL) or NEIGHBOUR on a link. 0, or -ENOSPC. */
int sp_nexthop_create(struct sp_routing *routing, uint16_t link, uint8_t family, const uint8_t *address, uint32_t *id);

/* A group of n (1..SP_GROUP_MAX) next hops that stay the caller's. 0, -ENOSPC, -ENOMEM, -EINVAL. */
int sp_nexthop_group(struct sp_routing *routing, const uint32_t *members, unsigned int n, uint32_t *id);

/* Gives it back; no route may lead to it any more. It is used again only after a grace period, for which nobody waits here. */
void sp_nexthop_retire(struct sp_routing *routing, uint32_t id);

/* A neighbour is found at a MAC; did not answer; is to be asked for anew. */
void sp_nexthop_resolved(struct sp_routing *routing, uint32_t id, const uint8_t mac[6]);
void sp_nexthop_failed(struct sp_routing *routing, uint32_t id);
void sp_nexthop_unknown(struct sp_routing *routing, uint32_t id);

/*
 * A route: `address` of the family, of which `bits` count (host bits must be zero), leads to a next hop; an existing one is changed in
 * place. 0; -ENOSPC when the FIB is full (counted in sp_routing_counters.refused), -EINVAL. Blocks for a grace period at times.
 */
int sp_route_set(struct sp_routing *routing, uint8_t family, const uint8_t *address, uint8_t bits, uint32_t nexthop);

/* 0 or -ENOENT. */
int sp_route_delete(struct sp_routing *routing, uint8_t family, const uint8_t *address, uint8_t bits);

struct sp_routing_counters { /* one writer; relaxed */
	uint64_t routes4, routes6, nexthops, refused;
};
const struct sp_routing_counters *sp_routing_counters(const struct sp_routing *routing);

/* --- read by workers (and by anybody that the writer waits for) ------------------------------------------------------------------ */

/* The next hop of one address: the id that the FIB has, groups not resolved. */
uint32_t sp_route_lookup(const struct sp_routing *routing, uint8_t family, const uint8_t *address);

/* The same for n IPv4 addresses, host byte order. */
void sp_route_lookup4_burst(const struct sp_routing *routing, uint32_t *addresses, uint64_t *ids, unsigned int n);

/* The member of a group for a flow; id itself when it is no group. */
static inline uint32_t sp_nexthop_of_flow(const struct sp_routing *routing, uint32_t id, uint32_t hash)
{
	const struct sp_nexthop *nexthop = &routing->nexthops[id];

	if (__builtin_expect(nexthop->kind != SP_NEXTHOP_GROUP, 1))
		return id;
	return nexthop->members[((uint64_t)(hash * 0x85ebca6bu) * nexthop->n) >> 32];
}

static inline const struct sp_link_addresses *sp_link_addresses(const struct sp_link *link)
{
	return __atomic_load_n(&link->addresses, __ATOMIC_ACQUIRE);
}

#endif
