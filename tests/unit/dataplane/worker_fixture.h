/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole dataplane for tests: ports made of rings, real workers turned one by one in the test's own thread and time, rules from text.
 * Frames go in as mbufs whose every byte outside the segment is poisoned; what comes out is looked at and freed. After each test every
 * packet is accounted for and every mbuf is back.
 */
#ifndef SP_TESTS_UNIT_DATAPLANE_WORKER_FIXTURE_H
#define SP_TESTS_UNIT_DATAPLANE_WORKER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/alloc.h"
#include "dataplane/kernel_way.h"
#include "dataplane/nat.h"
#include "dataplane/stages.h"
#include "rules/read.h"
#include "tests/unit/support/eal.h"
#include "tests/unit/support/frames.h"

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define PSH 0x08
#define ACK 0x10

#define IN  0 /* port 0, zone inside; 2 and 4 are halves of further pairs */
#define OUT 1

#define LAB_PORTS  4
#define LAB_QUEUES 8
#define LAB_RING   2048
#define LAB_MBUFS  8191
#define LAB_ENDS   65536

/* Every rule file of these tests. */
#define RULES(rules)         "version = 1; default = { action = \"drop\"; }; rules = (" rules ");"
#define RULES_LOGGED(rules)  "version = 1; default = { action = \"drop\"; log = true; }; rules = (" rules ");"
#define RULES_ALLOWED(rules) "version = 1; default = { action = \"allow\"; }; rules = (" rules ");"

struct lab_options {
	unsigned int n_workers, n_queues; /* 0: 1 */
	unsigned int n_ports;             /* 0: 2 */
	bool one_tx_queue;
	unsigned int tx_ring;                 /* entries of a NIC's tx queue, a power of two; 0: LAB_RING */
	uint32_t max4, max6;                  /* sessions a worker; 0: 1024 */
	uint32_t sources;                     /* of the limit table; 0: 1024 */
	uint32_t reject_rate;                 /* 0: 1000 */
	struct sp_fragments_config fragments; /* of all workers; zero: defaults */
	struct sp_flood_config floods;
	struct sp_pressure_config pressure;
	void (*prepare)(struct sp_dataplane *); /* when ports are there and workers are not: route mode (route_fixture.h) */
};

struct lab {
	struct sp_dataplane *dataplane;
	struct rte_ring *rx[LAB_PORTS][LAB_QUEUES], *tx[LAB_PORTS][LAB_QUEUES];
	char device[LAB_PORTS][64];
	unsigned int n_queues, n_tx_queues;
	uint64_t ms;
	uint8_t on_change;  /* of the rules that are put into force */
	unsigned int mbufs; /* in the pool at the start: a failed test may have lost some */
};

/* What each TCP end of this lab has sent, by a hash of its addresses and ports. */
static struct lab_end {
	uint64_t key;
	uint32_t first, next;
	bool closed; /* its FIN was the last number before `next` */
} lab_ends[LAB_ENDS];

static struct lab lab;
static struct rte_mempool *lab_pool;

/* --- rules ---------------------------------------------------------------------------------------------------------------------- */

static inline struct sp_ruleset *lab_compile(const char *text)
{
	const struct sp_read_options options = {.file = "test.rules", .zones = &lab.dataplane->zones};
	struct sp_diags diags = {0};
	struct sp_policy *policy = sp_policy_load(text, strlen(text), &options, &diags);
	struct sp_ruleset *ruleset = policy == NULL ? NULL : sp_ruleset_build(policy, &diags);

	if (ruleset == NULL)
		sp_diags_print(&diags, stderr);
	sp_diags_clear(&diags);
	assert_non_null(ruleset);
	return ruleset;
}

/* Puts rules into force as a publisher does; returns what was in force, which the caller frees when no worker can look at it. */
static inline struct sp_live *lab_swap(const char *text)
{
	struct sp_ruleset *ruleset = lab_compile(text);
	struct sp_live *old = lab.dataplane->live, *live;
	struct sp_diags diags = {0};

	assert_int_equal(sp_rule_table_assign(&lab.dataplane->rule_table, ruleset, &diags), 0);
	ruleset->on_change = lab.on_change;
	live = sp_live_create(ruleset, lab.dataplane->n_workers);
	assert_non_null(live);
	assert_int_equal(sp_nat_attach(lab.dataplane, live), 0);
	sp_live_follow(live, old);
	__atomic_store_n(&lab.dataplane->live, live, __ATOMIC_RELEASE);
	return old;
}

/* The same between turns, when nobody looks at the old ones. */
static inline void lab_rules(const char *text)
{
	sp_live_free(lab_swap(text));
}

static inline uint32_t lab_slot(uint32_t id)
{
	uint32_t slot = sp_rule_table_slot(&lab.dataplane->rule_table, id);

	assert_int_not_equal(slot, UINT32_MAX);
	return slot;
}

static inline struct sp_rule_counters lab_rule(uint32_t id)
{
	struct sp_rule_counters counters;

	sp_rule_table_sum(&lab.dataplane->rule_table, id == 0 ? SP_RULE_SLOT_DEFAULT : lab_slot(id), &counters);
	return counters;
}

/* Live sessions that count against a rule's quotas. Requests that a test ran between turns have told nothing yet. */
static inline uint32_t lab_quota(uint32_t id)
{
	for (unsigned int w = 0; w < lab.dataplane->n_workers; w++)
		sp_admit_settle(lab.dataplane->workers[w]);
	return lab.dataplane->rule_table.shared[id == 0 ? SP_RULE_SLOT_DEFAULT : lab_slot(id)].sessions;
}

/* --- life ----------------------------------------------------------------------------------------------------------------------- */

/* Frees everything without a proof, as after a failed test. */
static inline void lab_free(void)
{
	struct sp_dataplane *dataplane = lab.dataplane;
	void *mbuf;

	for (unsigned int p = 0; p < LAB_PORTS && lab.device[p][0] != '\0'; p++) {
		for (unsigned int q = 0; q < LAB_QUEUES; q++) {
			while (lab.tx[p][q] != NULL && rte_ring_dequeue(lab.tx[p][q], &mbuf) == 0)
				rte_pktmbuf_free(mbuf);
			while (lab.rx[p][q] != NULL && rte_ring_dequeue(lab.rx[p][q], &mbuf) == 0)
				rte_pktmbuf_free(mbuf);
		}
		rte_ring_free(dataplane->ports[p].tx_ring);
		rte_eth_dev_stop(dataplane->ports[p].ethdev);
		rte_eth_dev_close(dataplane->ports[p].ethdev);
		rte_vdev_uninit(lab.device[p]);
		for (unsigned int q = 0; q < LAB_QUEUES; q++) {
			rte_ring_free(lab.rx[p][q]);
			rte_ring_free(lab.tx[p][q]);
		}
	}
	for (unsigned int w = 0; w < dataplane->n_workers; w++)
		sp_worker_free(dataplane->workers[w]);
	sp_live_free(dataplane->live);
	sp_nat_free(dataplane->nat);
	sp_limit_table_free(dataplane->limits);
	sp_rule_table_free(&dataplane->rule_table);
	sp_kernel_ports_free(dataplane);
	sp_routing_free(dataplane->routing);
	sp_free(dataplane->qsbr);
	sp_free(dataplane);
	lab.dataplane = NULL;
}

static inline void lab_port(unsigned int p, unsigned int tx_ring)
{
	static unsigned int made;
	struct sp_port *port = &lab.dataplane->ports[p];
	struct rte_eth_conf conf = {0};
	char name[RTE_RING_NAMESIZE];
	int ethdev;

	for (unsigned int q = 0; q < lab.n_queues; q++) {
		snprintf(name, sizeof(name), "lab_rx%u_%u", p, q);
		lab.rx[p][q] = rte_ring_create(name, LAB_RING, SOCKET_ID_ANY, 0);
		assert_non_null(lab.rx[p][q]);
	}
	for (unsigned int q = 0; q < lab.n_tx_queues; q++) {
		snprintf(name, sizeof(name), "lab_tx%u_%u", p, q);
		lab.tx[p][q] = rte_ring_create(name, tx_ring, SOCKET_ID_ANY, 0);
		assert_non_null(lab.tx[p][q]);
	}
	snprintf(name, sizeof(name), "lab%u", made++);
	snprintf(lab.device[p], sizeof(lab.device[p]), "net_ring_%s", name);
	ethdev = rte_eth_from_rings(name, lab.rx[p], lab.n_queues, lab.tx[p], lab.n_tx_queues, 0);
	assert_true(ethdev >= 0);
	assert_int_equal(rte_eth_dev_configure((uint16_t)ethdev, lab.n_queues, lab.n_tx_queues, &conf), 0);
	for (uint16_t q = 0; q < lab.n_queues; q++)
		assert_int_equal(rte_eth_rx_queue_setup((uint16_t)ethdev, q, 64, 0, NULL, lab_pool), 0);
	for (uint16_t q = 0; q < lab.n_tx_queues; q++)
		assert_int_equal(rte_eth_tx_queue_setup((uint16_t)ethdev, q, 64, 0, NULL), 0);
	assert_int_equal(rte_eth_dev_start((uint16_t)ethdev), 0);
	*port = (struct sp_port){.ethdev = (uint16_t)ethdev,
		.index = (uint16_t)p,
		.peer = (uint16_t)(p ^ 1),
		.domain = (uint16_t)(p / 2),
		.n_queues = (uint16_t)lab.n_queues,
		.n_tx_queues = (uint16_t)lab.n_tx_queues,
		.checksum = SP_CHECKSUM_VERIFY,
		.pass_link = true,
		.link_up = 1};
	memset(port->zone, p % 2, sizeof(port->zone));
	if (lab.n_tx_queues < lab.dataplane->n_workers)
		assert_int_equal(sp_port_share_tx(port, SOCKET_ID_ANY), 0);
}

static inline void lab_workers(const struct lab_options *options)
{
	struct sp_worker_config config = {.socket = SOCKET_ID_ANY};

	config.sessions.max4 = options->max4 != 0 ? options->max4 : 1024;
	config.sessions.max6 = options->max6 != 0 ? options->max6 : 1024;
	config.sessions.socket = SOCKET_ID_ANY;
	config.sessions.pressure = options->pressure;
	config.fragments = sp_fragments_share(&options->fragments, lab.dataplane->n_workers);
	memcpy(config.sessions.timeout_sec, sp_state_default_sec, sizeof(config.sessions.timeout_sec));
	for (unsigned int w = 0; w < lab.dataplane->n_workers; w++) {
		lab.dataplane->workers[w] = sp_worker_create(lab.dataplane, w, lab_pool, &config);
		assert_non_null(lab.dataplane->workers[w]);
	}
}

static inline void lab_start(const struct lab_options *options, const char *rules)
{
	static const char *const zones[] = {"inside", "outside", "guest", "dmz"};
	struct sp_dataplane *dataplane;

	sp_test_eal();
	if (lab_pool == NULL)
		lab_pool = sp_frame_pool(LAB_MBUFS);
	if (lab.dataplane != NULL)
		lab_free();
	memset(&lab, 0, sizeof(lab));
	memset(lab_ends, 0, sizeof(lab_ends));
	lab.mbufs = rte_mempool_avail_count(lab_pool);
	lab.dataplane = dataplane = sp_alloc("dataplane", sizeof(*dataplane), RTE_CACHE_LINE_SIZE, SOCKET_ID_ANY);
	assert_non_null(dataplane);
	dataplane->n_workers = RTE_MAX(options->n_workers, 1u);
	dataplane->reject_rate = options->reject_rate != 0 ? options->reject_rate : 1000;
	dataplane->floods = options->floods;
	dataplane->log_rate = 1000000;
	dataplane->tsc_hz = rte_get_tsc_hz();
	dataplane->tsc_start = rte_rdtsc();
	dataplane->wall_start_ns = 1000000000;
	for (size_t z = 0; z < RTE_DIM(zones); z++)
		assert_int_equal(sp_zone_index(&dataplane->zones, zones[z], strlen(zones[z])), (int)z);
	dataplane->zones.closed = true;
	assert_int_equal(sp_key_seed(), 0);
	dataplane->qsbr = sp_alloc("qsbr", rte_rcu_qsbr_get_memsize(dataplane->n_workers), RTE_CACHE_LINE_SIZE, SOCKET_ID_ANY);
	assert_int_equal(rte_rcu_qsbr_init(dataplane->qsbr, dataplane->n_workers), 0);
	assert_int_equal(sp_rule_table_init(&dataplane->rule_table, dataplane->n_workers), 0);
	dataplane->limits = sp_limit_table_create(options->sources != 0 ? options->sources : 1024);
	assert_non_null(dataplane->limits);
	lab.n_queues = RTE_MAX(options->n_queues, 1u);
	lab.n_tx_queues = options->one_tx_queue ? 1 : dataplane->n_workers;
	dataplane->n_ports = options->n_ports != 0 ? options->n_ports : 2;
	for (unsigned int p = 0; p < dataplane->n_ports; p++)
		lab_port(p, options->tx_ring != 0 ? options->tx_ring : LAB_RING);
	if (options->prepare != NULL)
		options->prepare(dataplane);
	lab_workers(options);
	lab_rules(rules);
}

/* --- packets in ------------------------------------------------------------------------------------------------------------------- */

static inline void lab_send_mbuf(unsigned int port, unsigned int queue, struct rte_mbuf *mbuf)
{
	assert_int_equal(rte_ring_enqueue(lab.rx[port][queue], mbuf), 0);
}

/* One segment of exactly the frame's bytes. */
static inline void lab_send_frame(unsigned int port, unsigned int queue, const struct sp_frame *frame)
{
	lab_send_mbuf(port, queue, sp_frame_mbuf_exact(lab_pool, frame->bytes, frame->len, 0, 0));
}

static inline struct lab_end *lab_end_of(const struct sp_frame_spec *spec)
{
	const bool v6 = spec->family == 6;
	uint64_t key = 0xcbf29ce484222325;
	char text[160];

	snprintf(text, sizeof(text), "%s %s %u %u",
		spec->src != NULL ? spec->src
		: v6              ? "2001:db8:1::1"
				  : "192.0.2.1",
		spec->dst != NULL ? spec->dst
		: v6              ? "2001:db8:2::2"
				  : "198.51.100.2",
		spec->sport != 0 ? spec->sport : 40000, spec->dport != 0 ? spec->dport : 443);
	for (const char *c = text; *c != 0; c++)
		key = (key ^ (uint8_t)*c) * 0x100000001b3;
	for (uint64_t i = key; i < key + 16; i++) {
		struct lab_end *end = &lab_ends[i % LAB_ENDS];

		if (end->key == key || end->key == 0) {
			end->key = key;
			return end;
		}
	}
	/* A flood: the oldest ends are past. */
	lab_ends[key % LAB_ENDS] = (struct lab_end){.key = key};
	return &lab_ends[key % LAB_ENDS];
}

static inline struct sp_frame_spec lab_reply(const struct sp_frame_spec *spec);

/* A TCP segment without numbers gets those of an end that heard all that was sent before; the first SYN is
 * number 0, a SYN after a SYN repeats it. */
static inline struct sp_frame_spec lab_numbered(const struct sp_frame_spec *spec)
{
	struct sp_frame_spec numbered = *spec, back = lab_reply(spec);
	uint8_t flags = spec->tcp_flags != 0 ? spec->tcp_flags : SYN;
	struct lab_end *end;

	if ((spec->proto != 0 && spec->proto != IPPROTO_TCP) || spec->seq != 0 || spec->ack != 0)
		return numbered;
	end = lab_end_of(spec);
	numbered.seq = end->next;
	numbered.ack = flags & ACK ? lab_end_of(&back)->next : 0;
	/* After a FIN all is repetition. */
	if (flags & SYN) {
		if (end->next == end->first + 1 && !end->closed)
			numbered.seq = end->first;
		end->first = numbered.seq;
		end->closed = false;
	} else if (end->closed) {
		numbered.seq -= (flags & FIN) + (uint32_t)spec->payload_len + (spec->payload_len != 0 && !(flags & FIN));
	}
	if (end->closed)
		return numbered;
	end->next = numbered.seq + (uint32_t)spec->payload_len + (flags & FIN) + (flags & SYN ? 1 : 0);
	end->closed = flags & FIN;
	return numbered;
}

static inline void lab_build(struct sp_frame *frame, const struct sp_frame_spec *spec)
{
	const struct sp_frame_spec numbered = lab_numbered(spec);

	sp_frame_build(frame, &numbered);
}

static inline void lab_send(unsigned int port, const struct sp_frame_spec *spec)
{
	struct sp_frame frame;

	lab_build(&frame, spec);
	lab_send_frame(port, 0, &frame);
}

/* The same flow's packet on its way back. */
static inline struct sp_frame_spec lab_reply(const struct sp_frame_spec *spec)
{
	struct sp_frame_spec reply = *spec;
	bool v6 = spec->family == 6;

	reply.src = spec->dst != NULL ? spec->dst : v6 ? "2001:db8:2::2" : "198.51.100.2";
	reply.dst = spec->src != NULL ? spec->src : v6 ? "2001:db8:1::1" : "192.0.2.1";
	reply.sport = spec->dport != 0 ? spec->dport : 443;
	reply.dport = spec->sport != 0 ? spec->sport : 40000;
	return reply;
}

static inline void lab_send_tcp(unsigned int port, const struct sp_frame_spec *flow, uint8_t flags, const char *payload)
{
	struct sp_frame_spec spec = port == IN ? *flow : lab_reply(flow);

	spec.tcp_flags = flags;
	spec.payload = payload;
	spec.payload_len = payload == NULL ? 0 : strlen(payload);
	lab_send(port, &spec);
}

/* The session that a packet of this kind on port IN belongs to; there is one. */
static inline uint32_t lab_session_of(const struct sp_frame_spec *spec)
{
	struct sp_worker *worker = lab.dataplane->workers[0];
	struct sp_burst *burst = &worker->burst;
	struct sp_frame frame;
	uint32_t ref;

	sp_frame_build(&frame, spec);
	burst->mbuf[0] = sp_frame_mbuf(lab_pool, frame.bytes, frame.len);
	burst->verdict[0] = SP_VERDICT_GOING;
	sp_parse_packet(&lab.dataplane->ports[IN], burst, 0);
	rte_pktmbuf_free(burst->mbuf[0]);
	ref = sp_session_find(worker->sessions, &burst->packet[0].key, burst->packet[0].hash);
	assert_int_not_equal(ref, SP_SESSION_NONE);
	return ref;
}

/* --- time ------------------------------------------------------------------------------------------------------------------------- */

static inline unsigned int lab_turn(unsigned int worker)
{
	struct sp_dataplane *dataplane = lab.dataplane;
	uint64_t now = dataplane->tsc_start + (uint64_t)((__uint128_t)lab.ms * dataplane->tsc_hz / 1000);

	return sp_worker_turn(dataplane->workers[worker], now, (uint32_t)lab.ms);
}

/* Turns all workers until nothing is on its way any more. */
static inline void lab_run(void)
{
	unsigned int quiet = 0;

	for (unsigned int turns = 0; quiet < 2; turns++) {
		unsigned int handled = 0;

		assert_in_range(turns, 0, 10000);
		for (unsigned int w = 0; w < lab.dataplane->n_workers; w++)
			handled += lab_turn(w);
		quiet = handled == 0 ? quiet + 1 : 0;
	}
}

/* Lets time pass, in seconds, with every worker at work; ages whole tables. */
static inline void lab_pass(unsigned int sec)
{
	for (unsigned int s = 0; s < sec; s++) {
		lab.ms += 1000;
		for (unsigned int w = 0; w < lab.dataplane->n_workers; w++) {
			lab_turn(w);
			sp_sessions_age(lab.dataplane->workers[w]->sessions, (uint32_t)lab.ms, 1u << 20);
		}
	}
}

/* --- packets out ------------------------------------------------------------------------------------------------------------------ */

/* The next packet that left by the port, whatever queue; NULL without one. The caller frees it. */
static inline struct rte_mbuf *lab_take(unsigned int port)
{
	void *mbuf;

	for (unsigned int q = 0; q < lab.n_tx_queues; q++)
		if (rte_ring_dequeue(lab.tx[port][q], &mbuf) == 0)
			return mbuf;
	return NULL;
}

/* How many packets left by the port; they are freed. */
static inline unsigned int lab_count(unsigned int port)
{
	struct rte_mbuf *mbuf;
	unsigned int n = 0;

	while ((mbuf = lab_take(port)) != NULL) {
		rte_pktmbuf_free(mbuf);
		n++;
	}
	return n;
}

/* --- what must hold ---------------------------------------------------------------------------------------------------------------- */

static inline struct sp_stats lab_stats(void)
{
	struct sp_sessions_counters sessions;
	struct sp_stats stats;
	uint64_t held;

	sp_stats_sum(lab.dataplane, &stats, &sessions, &held);
	return stats;
}

static inline struct sp_sessions_counters lab_sessions(void)
{
	struct sp_sessions_counters sessions;
	struct sp_stats stats;
	uint64_t held;

	sp_stats_sum(lab.dataplane, &stats, &sessions, &held);
	return sessions;
}

static inline uint64_t lab_active(void)
{
	struct sp_sessions_counters sessions = lab_sessions();

	return sessions.active4 + sessions.active6;
}

static inline uint64_t lab_drops(enum sp_drop_reason reason)
{
	return lab_stats().drops[reason];
}

/* The accounting equation, exactly, with so many packets held. */
static inline void lab_balance(uint64_t expected_held)
{
	struct sp_sessions_counters sessions;
	struct sp_stats stats;
	uint64_t held, drops = 0, port_rx = 0, port_tx = 0;

	sp_stats_sum(lab.dataplane, &stats, &sessions, &held);
	for (unsigned int reason = 0; reason < SP_DROP_COUNT; reason++)
		drops += stats.drops[reason];
	assert_int_equal(stats.drops[SP_DROP_NONE], 0);
	assert_int_equal(held, expected_held);
	assert_int_equal(stats.rx + stats.from_kernel + stats.built + (uint64_t)stats.fragment_delta,
		stats.tx + stats.to_kernel + stats.consumed + drops + held);
	for (unsigned int p = 0; p < lab.dataplane->n_ports; p++) {
		port_rx += stats.ports[p].rx;
		port_tx += stats.ports[p].tx;
	}
	assert_int_equal(port_rx, stats.rx);
	assert_int_equal(port_tx, stats.tx);
	assert_int_equal(sessions.created - sessions.expired - sessions.killed - sessions.evicted, sessions.active4 + sessions.active6);
}

/* Ends every session, then the dataplane; proves the equation, the quotas and the pool. */
static inline void lab_stop(void)
{
	struct sp_dataplane *dataplane = lab.dataplane;

	lab_run();
	lab_balance(0);
	lab.ms += 1000ull * 86400;
	lab_pass(4);
	assert_int_equal(lab_active(), 0);
	for (uint32_t slot = 0; slot < SP_RULE_SLOTS_MAX && (slot == 0 || dataplane->rule_table.ids[slot] != 0); slot++)
		assert_int_equal(dataplane->rule_table.shared[slot].sessions, 0);
	for (unsigned int p = 0; p < dataplane->n_ports; p++)
		lab_count(p);
	assert_int_equal(rte_mempool_avail_count(lab_pool), lab.mbufs);
	lab_free();
}

/* --- events ------------------------------------------------------------------------------------------------------------------------ */

/* The next event of a worker; false without one. */
static inline bool lab_event(unsigned int worker, struct sp_event *event)
{
	return sp_event_take(&lab.dataplane->workers[worker]->events, event, 1) == 1;
}

#endif
