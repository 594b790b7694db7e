/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dataplane as a whole: ports, workers, and what they share. vnf/launch builds it, mgmt/ reads it and publishes rulesets into it.
 */
#ifndef SP_DATAPLANE_DATAPLANE_H
#define SP_DATAPLANE_DATAPLANE_H

#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/defence.h"
#include "dataplane/limit.h"
#include "dataplane/mac.h"
#include "dataplane/parse.h"
#include "dataplane/rule_table.h"
#include "dataplane/stats.h"
#include "dataplane/tcp_challenge.h"
#include "rules/policy.h"
#include "rules/ruleset.h"

#define SP_NO_PORT   0xffff
#define SP_WAY_ROUTE 0xfffe /* route mode: wherever the destination is routed to (sp_tx_queue) */

enum sp_mode { SP_MODE_WIRE, SP_MODE_ROUTE };

/* Of a port that does not run, workers know no more than that it is paused. */
enum sp_port_state {
	SP_PORT_RUNNING,
	SP_PORT_RESTARTING, /* its device was reset, and is not yet back */
	SP_PORT_ABSENT,     /* it has no device: one that is missing, was taken away, or does not open */
	SP_PORT_STATES
};

#define SP_PORT_WHY_MAX 512

#define SP_PORT_MACS_MAX 8 /* besides its own */

#define SP_PORT_WARNINGS 16 /* that are remembered; a device has fewer to give cause for */

/* How a port's device spreads packets over its rx queues (vnf/rss.h). */
enum sp_rss {
	SP_RSS_NONE,       /* it does not: one queue, or not by a hash that is known */
	SP_RSS_UNVERIFIED, /* as it was asked to, it says */
	SP_RSS_SYMMETRIC,  /* live packets show: both directions of a flow have the same hash */
	SP_RSS_ASYMMETRIC, /* they show that it does something else */
	SP_RSS_STATES
};

/*
 * A port: written at start (link_up and paused also by the control thread), read by workers. In route mode Linux's side of each link, its
 * TAP, is one, too: what Linux sends comes in by it.
 */
struct sp_port {
	uint16_t ethdev;          /* DPDK port id */
	uint16_t index;           /* in dataplane->ports */
	uint16_t peer;            /* index of the other half of the wire pair; SP_NO_PORT */
	uint16_t domain;          /* wire pair number: same for both halves */
	uint16_t n_queues;        /* rx queues; see first_worker */
	uint16_t n_tx_queues;     /* n_workers, or 1: then tx_ring must be set by sp_port_share_tx */
	struct rte_ring *tx_ring; /* packets of workers without a tx queue here, for worker 0 to send; NULL when each has its own */
	uint8_t checksum;         /* enum sp_checksum_policy */
	bool pass_link;           /* wire mode: a peer whose link is down gets no packets */
	bool all_frames;          /* wire mode: frames for other MAC addresses are taken, too */
	uint32_t link_up;         /* 0 or 1; relaxed */
	uint32_t paused;          /* 0 or 1; atomic: the control thread has the device, workers neither take from it nor send */
	uint32_t state;           /* enum sp_port_state; mgmt/port_state.h has both this and `why` */
	char name[32];
	char device[128]; /* as configured, without secrets */
	union {
		uint8_t mac[6];    /* of the device; all zero while it is not known */
		uint64_t mac_word; /* atomic: how others than the control thread read it, by sp_mac_load */
	};
	uint16_t mtu;
	bool kernel;               /* Linux's side of a link: link[0]; index is that of the link's port */
	uint16_t first_worker;     /* queue q is polled by worker (q + first_worker) % n_workers */
	uint16_t vlan_apart;       /* bits of a VLAN id that do not belong to the session key: none in wire mode, all in route mode */
	uint16_t link[4096];       /* route mode: index of the link of frames with this VLAN id; SP_NO_LINK */
	uint8_t zone[4096];        /* zone index of frames with this outer VLAN id (0: untagged); SP_MATCH_NO_ZONE */
	char why[SP_PORT_WHY_MAX]; /* it does not run */
	uint64_t more_macs[SP_PORT_MACS_MAX]; /* atomic (mac.h): further addresses of Linux's on the TAPs, 0 none; written by the control
						 thread */
	bool filters_vlans;                   /* its device lets no VLAN in but those asked for, and the one that its PF keeps it in */
	uint64_t vlans[4096 / 64];            /* asked for; bit of the VLAN id */
	uint32_t starts;                      /* times that its device was started; the control thread adds while the port is paused */
	uint32_t rss;                         /* enum sp_rss; relaxed */
	uint32_t warnings[SP_PORT_WARNINGS];  /* hashes of those that were given; control thread */
	uint32_t next_warning;                /* and where the next goes */
};

/* Whether a tag that the device took off is one that frames here may have. */
static inline bool sp_port_has_vlan(const struct sp_port *port, uint16_t vlan)
{
	return !port->filters_vlans || (port->vlans[vlan / 64] >> vlan % 64 & 1) != 0;
}

/* What workers load once a burst: a ruleset and the scratch that its databases need, published and retired as one. */
struct sp_live {
	struct sp_ruleset *ruleset;            /* owned */
	hs_scratch_t *scratch[SP_WORKERS_MAX]; /* owned; NULL when the ruleset inspects nothing */
	unsigned int n_workers;
	uint32_t keep_from;       /* sessions of this generation and later stay as they are; older ones are judged (rematch.h) */
	bool strict;              /* only those stay whose rule is unchanged */
	struct sp_nat_rules *nat; /* owned: its nat list (nat.h); NULL when it translates nothing */
	uint32_t *rule_of_slot;   /* owned: rule table slot → index of the rule in this ruleset, SP_RULE_NONE when it is not in it */
	uint32_t n_slots;
};

/* The rule of a slot in this ruleset; NULL for the default and for slots of rules that are gone. */
static inline const struct sp_hot_rule *sp_live_rule(const struct sp_live *live, uint32_t slot)
{
	uint32_t index = slot < live->n_slots ? live->rule_of_slot[slot] : SP_RULE_NONE;

	return index == SP_RULE_NONE ? NULL : &live->ruleset->rules[index];
}

/*
 * Gives a ruleset that is about to go live the generation after `before`'s (NULL: it is the first), and says by its on_change what becomes
 * of the sessions of those before. Control thread.
 */
void sp_live_follow(struct sp_live *live, const struct sp_live *before);

/* After sp_rule_table_assign has set the slots. Takes ownership of ruleset on success. NULL with errno. Control thread. */
struct sp_live *sp_live_create(struct sp_ruleset *ruleset, unsigned int n_workers);
void sp_live_free(struct sp_live *live);

/*
 * For devices with one tx queue and several workers (af_packet, emulated VFs): makes the ring through which the others pass their packets
 * to worker 0. Undone with rte_ring_free(port->tx_ring). 0 or -errno. Control thread, before the workers run or while the port is paused.
 */
int sp_port_share_tx(struct sp_port *port, int socket);

struct sp_worker;
struct sp_capture_set;
struct sp_routing;
struct sp_nat;
struct sp_nat_rules;

struct sp_dataplane {
	struct sp_port ports[SP_PORTS_MAX];
	unsigned int n_ports;
	struct sp_routing *routing;   /* NULL in wire mode */
	struct sp_port *kernel_ports; /* route mode: Linux's side of each link, by its index */
	struct sp_nat *nat;           /* NULL until rules translate (nat.h) */
	uint8_t zone_self;            /* route mode: the zone of the firewall itself */
	struct sp_worker *workers[SP_WORKERS_MAX];
	unsigned int n_workers;
	struct sp_live *live;            /* workers load-acquire it once a burst; never NULL while they run */
	struct sp_capture_set *captures; /* loaded the same way; NULL when nobody captures. mgmt/captures swaps it */
	struct rte_rcu_qsbr *qsbr;       /* thread id = worker index */
	struct sp_rule_table rule_table;
	struct sp_limit_table *limits;
	struct sp_zones zones;         /* of the configuration: indexes are the same for ports, rules and sessions */
	uint64_t tsc_hz, tsc_start;    /* now_ms counts from tsc_start */
	uint64_t wall_start_ns;        /* CLOCK_REALTIME at tsc_start */
	struct sp_flood_config floods; /* set before the workers are made */
	uint32_t reject_rate;          /* answers a worker may build a second */
	uint32_t icmp_error_rate;      /* ICMP errors about one session that pass a second; 0: all */
	struct sp_tcp_config tcp;
	uint32_t log_rate;         /* events of one rule and kind that a worker posts a second; 0: all */
	bool adaptive;             /* workers sleep when idle (QSBR-offline), instead of polling at 100 % */
	uint32_t stop;             /* set to leave the loops; relaxed */
	uint32_t stopped, drained; /* workers that left their rx queues after `stop`, and whose rings are empty; atomic */
};

/* Names a port among all of them, Linux's sides of links included: its index, or SP_PORTS_MAX + link. Answers go that way, and packets that
 * one worker hands to another bear it in mbuf->port. */
static inline uint16_t sp_port_way(const struct sp_port *port)
{
	return port->kernel ? (uint16_t)(SP_PORTS_MAX + port->link[0]) : port->index;
}

/* In mbuf->port between workers, besides the way: it was handed on, and stays where it comes to. */
#define SP_WAY_ON 0x8000u

static inline const struct sp_port *sp_way_port(const struct sp_dataplane *dataplane, uint16_t way)
{
	return way < SP_PORTS_MAX ? &dataplane->ports[way] : &dataplane->kernel_ports[way - SP_PORTS_MAX];
}

/* Wall clock in ns since the epoch of a TSC value. Any thread. */
uint64_t sp_wall_ns(const struct sp_dataplane *dataplane, uint64_t tsc);

#endif
