/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of the kernel thread, for the files of this folder only. All of it is the thread's; others may read the tables under `lock`,
 * and counters relaxed.
 *
 *   prefix --> routes of Linux to it, best first --> hop set (shared by all routes with the same hops)
 *                                                --> object (what Linux calls a nexthop) --> hop set
 *   hop set --> neighbours (its gateways), and a next hop of the workers
 *   prefix --> hop set that the FIB leads to: held until it leads elsewhere
 */
#ifndef SP_MGMT_KERNEL_INTERNAL_H
#define SP_MGMT_KERNEL_INTERNAL_H

#include <pthread.h>

#include "mgmt/kernel/kernel.h"
#include "mgmt/kernel/map.h"
#include "mgmt/kernel/netlink_parse.h"

#define SP_NO_NEXTHOP         UINT32_MAX
#define SP_KLINK_SLOTS        1024 /* ifindex to link: four times SP_LINKS_MAX */
#define SP_KADDRESSES_MAX     64   /* of one link, both families */
#define SP_KOBJECTS_MAX       65536
#define SP_KOBJECT_CHAINS     4096 /* all are walked whenever one changes */
#define SP_KCONNECTED_MAX     1024
#define SP_NETLINK_BUFFER     65536
#define SP_MS_PER_SEC         1000
#define SP_FAMILY_INDEX(f)    ((f) == SP_FAMILY_IPV6)
#define SP_FAMILY_BITS(f)     ((f) == SP_FAMILY_IPV4 ? 32 : 128)
#define SP_CONTAINER(p, t, m) ((t *)(void *)((char *)(p)-offsetof(t, m)))

struct sp_hopset {
	struct sp_map_node node;
	uint32_t refs;
	uint32_t nexthop; /* of the workers; SP_NO_NEXTHOP: nothing of it can be used */
	uint8_t family;   /* of its routes */
	bool own;         /* the next hop is a group made for it */
	unsigned int n_hops, n_gateways;
	struct sp_kneighbour *gateways[SP_NL_HOPS_MAX]; /* held */
	struct sp_nl_hop hops[];
};

/* A nexthop of Linux. */
struct sp_kobject {
	struct sp_map_node node;
	uint32_t id;
	uint32_t epoch;
	bool known;   /* false: routes name it, Linux has not yet told of it */
	bool orphan;  /* Linux has removed it, and the routes with it */
	bool changed; /* since groups were last put together */
	bool blackhole;
	struct sp_nl_hop hop;
	unsigned int n_members;
	struct sp_nl_member *members; /* owned */
	struct sp_hopset *sets[2];    /* by family of routes; NULL: nothing to use, or no such route */
	struct sp_kroute *routes;     /* that go by it */
};

struct sp_kroute {
	struct sp_kroute *next; /* of the same prefix, best first */
	struct sp_kprefix *prefix;
	struct sp_hopset *set;     /* NULL with an object, and for types that have no hops */
	struct sp_kobject *object; /* NULL: none */
	struct sp_kroute *object_next, **object_at;
	uint32_t metric, epoch;
	uint8_t type, protocol, preference;
	bool local; /* of the table of local addresses, which comes first */
};

struct sp_kprefix {
	struct sp_map_node node;
	uint8_t family, bits;
	bool queued; /* in kernel->dirty */
	uint8_t address[16];
	struct sp_kroute *routes;
	struct sp_kroute *used;      /* what `best` is of */
	struct sp_kneighbour *host;  /* the address is a neighbour's */
	struct sp_hopset *installed; /* what the FIB leads to; NULL: none that is held */
	uint32_t best;               /* next hop of the best route that can be used, or SP_NO_NEXTHOP */
	uint32_t fib;                /* what the FIB has, or SP_NO_NEXTHOP */
	struct sp_kprefix *dirty_next;
};

struct sp_kneighbour {
	struct sp_map_node node;
	uint16_t link;
	uint8_t family;
	uint8_t state; /* enum sp_kneighbour_state */
	uint8_t address[16];
	uint8_t mac[6];
	uint16_t nud;     /* of Linux; 0: Linux has none */
	uint32_t nexthop; /* of the workers */
	uint32_t refs;    /* hop sets that it is a gateway of */
	uint32_t epoch;
	uint32_t stale_sec;         /* of the dataplane's clock: when Linux last took it for stale */
	int64_t asked_ms, since_ms; /* 0: never; when it came to its state */
	struct sp_kprefix *host;    /* its address's prefix, which leads to it; NULL: none */
};

struct sp_kaddress {
	uint8_t family, bits, scope;
	uint8_t address[16];
	uint32_t flags, epoch;
};

struct sp_klink {
	struct sp_link *link; /* of the workers */
	int fd;               /* of the TAP; -1: it is gone */
	uint32_t ifindex;     /* 0: gone */
	uint32_t flags;       /* IFF_, as Linux said last */
	uint32_t epoch;
	uint32_t tap_up;     /* IFF_UP; atomic */
	bool carrier;        /* as Linux was told */
	bool readable;       /* the TAP may have frames */
	bool own_mac;        /* Linux chose it, and it does not follow the port's */
	bool own_mtu;        /* the same */
	uint64_t mac_before; /* what the firewall changed it from, until Linux has said that it changed; 0: nothing is under way */
	bool announce;       /* the MAC changed: Linux is to tell its neighbours as soon as it sends */
	uint32_t glean[2];
	struct sp_kaddress addresses[SP_KADDRESSES_MAX];
	unsigned int n_addresses;
	uint64_t to_kernel, from_kernel, write_errors, read_drops;
};

enum sp_kstep {
	SP_KSTEP_IDLE,
	SP_KSTEP_LINKS,
	SP_KSTEP_ADDRESSES,
	SP_KSTEP_NEXTHOPS,
	SP_KSTEP_ROUTES4,
	SP_KSTEP_ROUTES6,
	SP_KSTEP_NEIGHBOURS,
	SP_KSTEP_END
};

struct mnl_socket;

struct sp_knetlink {
	struct mnl_socket *events, *neighbours, *dump, *asks;
	enum sp_kstep step;
	bool sweeping;    /* the step's dump is in, what it did not have goes */
	bool lossy;       /* messages were lost: those in the socket are to be thrown away */
	bool interrupted; /* Linux's table changed under the dump: it may lack something */
	unsigned int tries;
	uint64_t cursor;                      /* of the sweep */
	uint32_t sequence, sequences;         /* of the dump under way (0: none); the last one given out */
	int64_t wanted_ms;                    /* when to read all again; INT64_MAX: not wanted */
	int64_t begun_ms, heard_ms, ended_ms; /* of the last one */
	char buffer[SP_NETLINK_BUFFER] __attribute__((aligned(16)));
};

struct sp_kernel_counters { /* relaxed readers */
	uint64_t messages, malformed, overruns, resyncs, asked, ask_errors, refused_routes, refused_neighbours, conflicts;
};

struct sp_kernel {
	struct sp_dataplane *dataplane;
	struct sp_routing *routing;
	struct rte_mempool *pool;
	pthread_t thread;
	bool started;
	uint32_t stop, synced, resyncing; /* atomic */
	pthread_mutex_t lock;             /* the thread holds it while it changes tables */
	uint32_t waiting;                 /* others that wait for it; atomic */

	struct sp_klink *links; /* as routing->links */
	unsigned int n_links;
	uint16_t slots[SP_KLINK_SLOTS]; /* links by ifindex, open addressing; SP_NO_LINK */
	struct sp_map prefixes, hopsets, objects, neighbours;
	uint32_t n_routes[2], n_neighbours[SP_KNEIGHBOUR_STATES];
	uint32_t lengths[2][129]; /* prefixes of each length */
	struct sp_kprefix *connected[SP_KCONNECTED_MAX];
	unsigned int n_connected;
	bool connected_lost;  /* there were more */
	bool hosts_dirty;     /* which neighbours have a route of their own is to be looked at anew */
	bool objects_changed; /* groups are to be put together anew */
	struct sp_kprefix *dirty, **dirty_end;
	uint64_t hosts_cursor, tick_cursor;
	uint32_t epoch;
	int64_t now_ms, tick_ms;
	unsigned int next_link; /* whose TAP is read first */
	bool blocked;           /* no room in the ring, or no buffer: frames stay in the TAPs */
	int64_t log_ms;
	unsigned int log_lines;
	struct sp_knetlink netlink;
	struct mnl_socket *groups; /* of sp_kernel_groups alone, and the number of its last question */
	uint32_t groups_sequence;
	struct sp_kernel_counters counters;
};

/* --- kernel.c ---------------------------------------------------------------------------------------------------------------------- */

/* A kernel without TAPs and sockets, whose links have no ifindex yet. NULL with errno. */
struct sp_kernel *sp_kernel_make(struct sp_dataplane *dataplane, struct rte_mempool *pool);
void sp_kernel_free(struct sp_kernel *kernel);

/* A line for the log; some a second at most. */
void sp_klog(struct sp_kernel *kernel, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Second of the dataplane's clock, as next hops say when they were used. */
uint32_t sp_kclock_sec(const struct sp_kernel *kernel);

/* --- tap.c ------------------------------------------------------------------------------------------------------------------------- */

/* Opens the TAP of a link, in the namespace of the calling thread. 0, or -1 with a reason. */
int sp_ktap_open(struct sp_kernel *kernel, struct sp_klink *link, char *why, size_t why_size);
void sp_ktap_close(struct sp_klink *link);

/* Tells Linux whether there is a carrier. */
void sp_ktap_carrier(struct sp_klink *link, bool up);

/*
 * Gives Linux's end a MAC, in whatever namespace it is; Linux tells its neighbours if it may send, also when the MAC is what it was. 0 or
 * -errno.
 */
int sp_ktap_mac(struct sp_klink *link, const uint8_t mac[6]);

/* Moves what waits, a bounded number of packets. Whether there was something. */
bool sp_ktap_write(struct sp_kernel *kernel);
bool sp_ktap_read(struct sp_kernel *kernel);

/* --- netlink.c --------------------------------------------------------------------------------------------------------------------- */

int sp_knetlink_open(struct sp_kernel *kernel, char *why, size_t why_size);
void sp_knetlink_close(struct sp_kernel *kernel);

/* A bounded part of what Linux says, or of reading everything. Whether there was something. */
bool sp_knetlink_turn(struct sp_kernel *kernel);

/* Everything is to be read again in so many ms. */
void sp_knetlink_want(struct sp_kernel *kernel, int64_t in_ms);

/* Gives Linux's end of a link an MTU. */
void sp_knetlink_mtu(struct sp_kernel *kernel, const struct sp_klink *link, uint16_t mtu);

/* Has Linux find a neighbour, or make sure of it. */
void sp_knetlink_ask(struct sp_kernel *kernel, struct sp_kneighbour *neighbour);

/* One message; flags are nlmsg_flags. */
void sp_knetlink_take(struct sp_kernel *kernel, const struct nlmsghdr *message);

/* --- groups.c ---------------------------------------------------------------------------------------------------------------------- */

int sp_kgroups_open(struct sp_kernel *kernel, char *why, size_t why_size);
void sp_kgroups_close(struct sp_kernel *kernel);

/* --- links.c ----------------------------------------------------------------------------------------------------------------------- */

/* The link of an interface, or NULL. */
struct sp_klink *sp_klink_of(const struct sp_kernel *kernel, uint32_t ifindex);

/* After an ifindex has changed. */
void sp_klinks_index(struct sp_kernel *kernel);
void sp_klinks_take(struct sp_kernel *kernel, const struct sp_nl_link *it);
void sp_kaddresses_take(struct sp_kernel *kernel, const struct sp_nl_address *it);

/* What this epoch has not seen is gone. */
void sp_klinks_sweep(struct sp_kernel *kernel);
void sp_kaddresses_sweep(struct sp_kernel *kernel);

/* Follows the carriers of ports. */
void sp_klinks_tick(struct sp_kernel *kernel);

/* --- hopsets.c --------------------------------------------------------------------------------------------------------------------- */

/* The set with these hops (of routes of the family), held once more. NULL without memory, or when n is 0. */
struct sp_hopset *sp_hopset_get(struct sp_kernel *kernel, uint8_t family, const struct sp_nl_hop *hops, unsigned int n);
void sp_hopset_put(struct sp_kernel *kernel, struct sp_hopset *set);

/* --- objects.c --------------------------------------------------------------------------------------------------------------------- */

void sp_kobjects_take(struct sp_kernel *kernel, const struct sp_nl_nexthop *it);

/* The object, made unknown when it is new. NULL: there are too many. */
struct sp_kobject *sp_kobject_get(struct sp_kernel *kernel, uint32_t id);

/* Has the route go by it, or no more; an object without use and unknown to Linux is freed. */
void sp_kobject_link(struct sp_kobject *object, struct sp_kroute *route);
void sp_kobject_unlink(struct sp_kernel *kernel, struct sp_kroute *route);

/* Hops of an object for routes of a family; NULL: none that are known. */
struct sp_hopset *sp_kobject_set(struct sp_kernel *kernel, struct sp_kobject *object, uint8_t family);

/* Puts groups together whose members have changed. */
void sp_kobjects_settle(struct sp_kernel *kernel);

/* True at the end. */
bool sp_kobjects_sweep(struct sp_kernel *kernel, uint64_t *cursor);

void sp_kobject_free(struct sp_kernel *kernel, struct sp_kobject *object);

/* --- routes.c ---------------------------------------------------------------------------------------------------------------------- */

/* flags: of the message, NLM_F_. */
void sp_kroutes_take(struct sp_kernel *kernel, const struct sp_nl_route *it, unsigned int flags);
bool sp_kroutes_sweep(struct sp_kernel *kernel, uint8_t family, uint64_t *cursor);

/* Takes those routes out whose object Linux has removed: it removes them with it, and does not say so. */
void sp_kroutes_drop_orphans(struct sp_kernel *kernel, struct sp_kprefix *prefix);

/* Frees all of a prefix's, without a look at the FIB. */
void sp_kroutes_free(struct sp_kernel *kernel, struct sp_kprefix *prefix);

/* --- prefixes.c -------------------------------------------------------------------------------------------------------------------- */

struct sp_kprefix *sp_kprefix_find(const struct sp_kernel *kernel, uint8_t family, const uint8_t *address, uint8_t bits);

/* The prefix, made when it is new. NULL without memory. */
struct sp_kprefix *sp_kprefix_get(struct sp_kernel *kernel, uint8_t family, const uint8_t *address, uint8_t bits);

/* Brings the FIB in line with the prefix's routes and neighbour. It may be freed when it has neither. */
void sp_kprefix_settle(struct sp_kernel *kernel, struct sp_kprefix *prefix);

/* The same, later. */
void sp_kprefix_queue(struct sp_kernel *kernel, struct sp_kprefix *prefix);
bool sp_kprefixes_turn(struct sp_kernel *kernel);

/* The longest one with a route that covers the address; NULL: none. */
struct sp_kprefix *sp_kprefix_lookup(const struct sp_kernel *kernel, uint8_t family, const uint8_t *address);

/* --- neighbours.c ------------------------------------------------------------------------------------------------------------------ */

void sp_kneighbours_take(struct sp_kernel *kernel, const struct sp_nl_neighbour *it);

/* The neighbour, made when it is new. NULL: there are too many. */
struct sp_kneighbour *sp_kneighbour_get(struct sp_kernel *kernel, uint16_t link, uint8_t family, const uint8_t *address);

/* It is one gateway less. */
void sp_kneighbour_put(struct sp_kernel *kernel, struct sp_kneighbour *neighbour);

/* What workers ask for. Whether there was something. */
bool sp_kneighbours_resolve(struct sp_kernel *kernel);

/* Looks at which have routes of their own, if that may have changed. Whether there was something. */
bool sp_kneighbours_hosts(struct sp_kernel *kernel);

/* A tenth of them, ten times a second: what takes too long, what is used. */
void sp_kneighbours_tick(struct sp_kernel *kernel);
bool sp_kneighbours_sweep(struct sp_kernel *kernel, uint64_t *cursor);
void sp_kneighbour_free(struct sp_kernel *kernel, struct sp_kneighbour *neighbour);

#endif
