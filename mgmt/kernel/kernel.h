/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel thread: Linux is the control plane of route mode. Each link has a TAP there; what is for the firewall itself goes up through
 * it, what Linux sends comes down. Links, addresses, routes and neighbours of Linux are followed over netlink and are what the workers
 * route by; a new start reads them anew, so nothing is kept here.
 *
 * The TAPs stay in Linux when the firewall ends, so that addresses, routes and the daemons that make them outlive a restart;
 * `ip link del NAME` removes one.
 */
#ifndef SP_MGMT_KERNEL_KERNEL_H
#define SP_MGMT_KERNEL_KERNEL_H

#include <rte_mempool.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/dataplane.h"
#include "dataplane/routing.h"
#include "rules/addr.h"

struct sp_kernel;

/*
 * Makes or takes over the TAPs of all links of dataplane->routing and opens the netlink sockets. `pool` has the mbufs of what Linux sends.
 * `namespace` is the path of the network namespace that they are in, NULL for the process's own. Main thread, with CAP_NET_ADMIN (and
 * CAP_SYS_ADMIN for another namespace), before privileges go. NULL with a one-line reason that says what to do in why (at least 256
 * bytes).
 */
struct sp_kernel *sp_kernel_create(
	struct sp_dataplane *dataplane, struct rte_mempool *pool, const char *namespace, char *why, size_t why_size);

/* Starts the thread, which reads all that Linux has: sp_kernel_synced tells when. It needs CAP_NET_ADMIN. 0 or -errno. */
int sp_kernel_start(struct sp_kernel *kernel);

/* Ends the thread and takes what is left in the rings, whose workers are gone; frees. `kernel` may be NULL. Before sp_routing_free. */
void sp_kernel_stop(struct sp_kernel *kernel);

/*
 * After a port's device has changed its MAC or its MTU: links of the port that had the old one follow, and so does Linux, which tells its
 * neighbours. What was chosen in Linux stays, and the device is told of it anew. Control thread, while the port is paused and its lock
 * (mgmt/ports.h) is not held; waits some milliseconds at most.
 */
void sp_kernel_port_changed(struct sp_kernel *kernel, const struct sp_port *port);

/* Whether the tables of Linux have been read once. Any thread. */
bool sp_kernel_synced(const struct sp_kernel *kernel);

/* Whether they are being read at this moment, because a message was lost or a link changed. Any thread. */
bool sp_kernel_resyncing(const struct sp_kernel *kernel);

/* Name of the first link whose TAP is gone, or was taken down in Linux; NULL when all are well. Any thread. */
const char *sp_kernel_tap_down(const struct sp_kernel *kernel);

#define SP_KERNEL_GROUPS_MAX    128
#define SP_KERNEL_ADDRESSES_MAX 8

/* What Linux listens to at layer 2 on the TAPs of a port; unused entries are zero, so that two can be compared as bytes. */
struct sp_kernel_groups {
	bool cut;           /* there were more groups */
	bool cut_addresses; /* there were more addresses */
	unsigned int n_groups, n_addresses;
	uint8_t groups[SP_KERNEL_GROUPS_MAX][6];       /* ascending, each once */
	uint8_t addresses[SP_KERNEL_ADDRESSES_MAX][6]; /* unicast, but the TAPs' own; the same */
};

/*
 * Asks Linux which groups it has joined on the TAPs of the links of a port, and which further MAC addresses its interfaces on them have. 0,
 * or -errno, and then *out holds nothing. One thread at a time, no worker; Linux answers at once, and is waited for a tenth of a second.
 */
int sp_kernel_groups(struct sp_kernel *kernel, uint16_t port, struct sp_kernel_groups *out);

enum sp_kneighbour_state { SP_KNEIGHBOUR_UNKNOWN, SP_KNEIGHBOUR_RESOLVED, SP_KNEIGHBOUR_FAILED, SP_KNEIGHBOUR_STATES };
extern const char *const sp_kneighbour_state_names[SP_KNEIGHBOUR_STATES];

struct sp_kernel_link_report {
	char name[16];
	bool up;  /* carries traffic: in Linux and on the wire */
	bool tap; /* Linux has its TAP */
	uint64_t to_kernel, from_kernel;
	uint64_t write_errors; /* packets that Linux did not take */
	uint64_t read_drops;   /* frames of Linux that were no frames, or longer than a buffer */
};

struct sp_kernel_report {
	unsigned int n_links;
	struct sp_kernel_link_report links[SP_LINKS_MAX];
	uint64_t messages;           /* of netlink */
	uint64_t malformed;          /* that lied about themselves, and were left alone */
	uint64_t overruns;           /* times that messages were lost */
	uint64_t resyncs;            /* times that all tables were read, the first time included */
	uint64_t asked, ask_errors;  /* neighbours that Linux was asked to find; what it refused */
	uint64_t refused_routes;     /* for which there was no room */
	uint64_t refused_neighbours; /* the same */
	uint64_t conflicts;          /* IPv6 addresses of ours that somebody else has (RFC 4862) */
	uint64_t routes4, routes6;   /* of Linux that are known */
	uint64_t fib4, fib6;         /* prefixes that workers route by, neighbours included */
	uint64_t nexthops;
	uint64_t neighbours[SP_KNEIGHBOUR_STATES];
};

/* Any thread but a worker. */
void sp_kernel_report(struct sp_kernel *kernel, struct sp_kernel_report *out);

/* --- listings: copies, a bounded number at a time ------------------------------------------------------------------------------------ */

#define SP_KROUTE_HOPS 16 /* of a row */

struct sp_kroute_hop {
	uint8_t family; /* SP_FAMILY_NONE: on the link itself */
	uint16_t link;  /* SP_NO_LINK: an interface that is none of the firewall's */
	uint16_t weight;
	bool usable;
	uint8_t gateway[16];
};

struct sp_kroute_row {
	uint8_t family, bits;
	uint8_t address[16];
	uint8_t type;     /* RTN_ */
	uint8_t protocol; /* RTPROT_ */
	bool local;       /* of the table of local addresses */
	bool used;        /* what workers route by; others wait for it to go */
	uint32_t metric, nexthop_object;
	unsigned int n_hops; /* may be more than are listed */
	struct sp_kroute_hop hops[SP_KROUTE_HOPS];
};

struct sp_kneighbour_row {
	uint8_t family;
	uint16_t link;
	uint8_t address[16];
	uint8_t state; /* enum sp_kneighbour_state */
	uint8_t mac[6];
	bool gateway;      /* of a route */
	uint16_t nud;      /* NUD_ of Linux; 0: not there */
	uint32_t used_sec; /* seconds since a worker sent to it; UINT32_MAX: never */
};

struct sp_kernel_filter {
	uint8_t family;              /* SP_FAMILY_NONE: both */
	bool has_within, has_covers; /* routes: prefixes within this one; those that cover its first address */
	struct sp_addr_range within, covers;
	uint16_t link; /* SP_NO_LINK: any */
};

/*
 * Copies up to n rows; *cursor (0 at first) is where to go on, and UINT64_MAX behind the last. A call walks a bounded part of the tables,
 * so it may give no row before the end. Returns how many. Any thread but a worker; waits some milliseconds at most.
 */
size_t sp_kernel_routes(
	struct sp_kernel *kernel, const struct sp_kernel_filter *filter, uint64_t *cursor, struct sp_kroute_row *rows, size_t n);
size_t sp_kernel_neighbours(
	struct sp_kernel *kernel, const struct sp_kernel_filter *filter, uint64_t *cursor, struct sp_kneighbour_row *rows, size_t n);

#endif
