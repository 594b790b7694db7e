/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What fuzz targets of the whole packet path share: a worker between two ports made of rings, its turns, and what must hold after each. The
 * target that includes this says what is special about it:
 *
 *   fuzz_rules()                its rule file
 *   fuzz_prepare()              after the ports are made, before the worker is
 *   fuzz_begin()                before each input
 *   fuzz_give(control, mbuf)    a frame is to come in: true when it took it, else it comes in by a port
 *   fuzz_turned()               after each turn
 *   fuzz_left(port, mbuf)       a frame has left by a port
 */
#ifndef SP_TESTS_FUZZ_WORKER_FUZZ_H
#define SP_TESTS_FUZZ_WORKER_FUZZ_H

#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/nat.h"
#include "dataplane/worker.h"
#include "rules/match.h"
#include "rules/read.h"
#include "tests/unit/support/eal.h"
#include "tests/unit/support/frames.h"

#define PORTS       2
#define RING_FRAMES 128
#define RECORD      4
#define FRAMES_MAX  96 /* of one input */
#define SESSIONS    128

/* Few, so that an input can fill the table. */
#define FRAGMENT_DATAGRAMS 16

#define CONTROL_PORT     0x01
#define CONTROL_STRIPPED 0x08
#define CONTROL_BAD      0x10
#define CONTROL_TURN     0x20

/* What the target says. */
static const char *fuzz_rules(void);
static void fuzz_prepare(void);
static void fuzz_begin(void);
static bool fuzz_give(uint8_t control, struct rte_mbuf *mbuf);
static void fuzz_turned(void);
static void fuzz_left(unsigned int port, const struct rte_mbuf *mbuf);

static struct rte_mempool *pool, *answers;
static struct sp_dataplane dataplane;
static struct rte_ring *to_port[PORTS], *from_port[PORTS];

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz: %s\n", what);
	abort();
}

static struct rte_ring *make_ring(const char *kind, unsigned int port)
{
	char name[RTE_RING_NAMESIZE];
	struct rte_ring *ring;

	snprintf(name, sizeof(name), "%s%u", kind, port);
	ring = rte_ring_create(name, RING_FRAMES * 4, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	must(ring != NULL, "no ring");
	return ring;
}

static void make_port(unsigned int i, const char *zone)
{
	struct sp_port *port = &dataplane.ports[i];
	struct rte_eth_conf conf = {0};
	int ethdev;

	to_port[i] = make_ring("to", i);
	from_port[i] = make_ring("from", i);
	snprintf(port->name, sizeof(port->name), "fuzz%u", i);
	ethdev = rte_eth_from_rings(port->name, &to_port[i], 1, &from_port[i], 1, 0);
	must(ethdev >= 0, "no ring port");
	port->ethdev = (uint16_t)ethdev;
	must(rte_eth_dev_configure(port->ethdev, 1, 1, &conf) == 0, "configure");
	must(rte_eth_rx_queue_setup(port->ethdev, 0, RING_FRAMES, SOCKET_ID_ANY, NULL, pool) == 0, "rx queue");
	must(rte_eth_tx_queue_setup(port->ethdev, 0, RING_FRAMES, SOCKET_ID_ANY, NULL) == 0, "tx queue");
	must(rte_eth_dev_start(port->ethdev) == 0, "start");
	port->index = (uint16_t)i;
	port->peer = (uint16_t)(1 - i);
	port->n_queues = port->n_tx_queues = 1;
	port->link_up = 1;
	port->checksum = SP_CHECKSUM_VERIFY;
	memset(port->zone, sp_zone_index(&dataplane.zones, zone, strlen(zone)), sizeof(port->zone));
}

static void make_rules(void)
{
	struct sp_read_options options = {.file = "fuzz.rules", .api_body = true, .zones = &dataplane.zones};
	struct sp_diags diags = {0};
	struct sp_policy *policy = sp_policy_load(fuzz_rules(), strlen(fuzz_rules()), &options, &diags);
	struct sp_ruleset *ruleset = policy != NULL ? sp_ruleset_build(policy, &diags) : NULL;

	sp_diags_print(&diags, stderr);
	must(ruleset != NULL, "the rules do not load");
	must(sp_rule_table_assign(&dataplane.rule_table, ruleset, &diags) == 0, "no slots");
	sp_diags_clear(&diags);
	ruleset->generation = 1;
	dataplane.live = sp_live_create(ruleset, 1);
	must(dataplane.live != NULL, "no live ruleset");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct sp_worker_config config = {.sessions = {.max4 = SESSIONS, .max6 = SESSIONS, .socket = SOCKET_ID_ANY},
		.fragments = {.datagrams = FRAGMENT_DATAGRAMS, .buffers = SP_FRAGMENT_BUFFERS_MIN, .per_source = 4},
		.socket = SOCKET_ID_ANY};

	(void)argc;
	(void)argv;
	sp_test_eal();
	pool = sp_frame_pool(65535);
	answers = sp_frame_pool(1023);
	memcpy(config.sessions.timeout_sec, sp_state_default_sec, sizeof(config.sessions.timeout_sec));
	dataplane.n_workers = 1;
	dataplane.reject_rate = 1000;
	dataplane.tcp.challenges = 1000;
	dataplane.tsc_hz = 1000000000;
	must(sp_rule_table_init(&dataplane.rule_table, 1) == 0, "no rule table");
	dataplane.limits = sp_limit_table_create(256);
	must(dataplane.limits != NULL, "no limits");
	make_port(0, "inside");
	make_port(1, "outside");
	dataplane.n_ports = PORTS;
	fuzz_prepare();
	dataplane.zones.closed = true;
	make_rules();
	dataplane.workers[0] = sp_worker_create(&dataplane, 0, answers, &config);
	must(dataplane.workers[0] != NULL, "no worker");
	must(sp_nat_attach(&dataplane, dataplane.live) == 0, "no NAT");
	return 0;
}

static struct rte_mbuf *make_mbuf(const uint8_t *frame, size_t len, uint8_t control)
{
	struct rte_mbuf *mbuf;

	switch (control >> 1 & 3) {
	case 0:
		mbuf = sp_frame_mbuf_exact(pool, frame, len, 0, 0);
		break;
	case 1:
		mbuf = sp_frame_mbuf_exact(pool, frame, len, 7, 11);
		break;
	case 2:
		mbuf = sp_frame_mbuf_exact(pool, frame, len, 54, 0);
		break;
	default:
		mbuf = sp_frame_mbuf(pool, frame, len);
	}
	if (control & CONTROL_STRIPPED) {
		mbuf->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
		mbuf->vlan_tci = 100;
	}
	if (control & CONTROL_BAD)
		mbuf->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_BAD;
	mbuf->port = control & CONTROL_PORT;
	return mbuf;
}

/* Takes what left by the ports; returns how many. */
static uint64_t collect(void)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < PORTS; i++) {
		const char *why;
		void *mbuf;

		while (rte_ring_dequeue(from_port[i], &mbuf) == 0) {
			must(rte_mbuf_check(mbuf, 1, &why) == 0, why);
			must(((struct rte_mbuf *)mbuf)->pkt_len >= 14, "a runt left");
			fuzz_left(i, mbuf);
			rte_pktmbuf_free(mbuf);
			n++;
		}
	}
	return n;
}

/* Returns what is held. */
static uint64_t check_equation(struct sp_stats *now)
{
	struct sp_sessions_counters sessions;
	uint64_t held, drops = 0;

	sp_stats_sum(&dataplane, now, &sessions, &held);
	for (unsigned int i = 0; i < SP_DROP_COUNT; i++)
		drops += now->drops[i];
	must(now->rx + now->from_kernel + now->built + (uint64_t)now->fragment_delta ==
			now->tx + now->to_kernel + now->consumed + drops + held,
		"the accounts do not balance");
	return held;
}

/* Turns the worker until both ports are empty; what remains in tx buffers is flushed by each turn. */
static uint64_t turn(uint32_t now_ms)
{
	struct sp_stats now;
	uint64_t left = 0;

	for (unsigned int i = 0; i == 0 || (rte_ring_count(to_port[0]) + rte_ring_count(to_port[1]) > 0 && i < FRAMES_MAX); i++) {
		sp_worker_turn(dataplane.workers[0], (uint64_t)now_ms * 1000000u, now_ms);
		left += collect();
		fuzz_turned();
	}
	check_equation(&now);
	return left;
}

static void drain_events(void)
{
	struct sp_event events[64];

	while (sp_event_take(&dataplane.workers[0]->events, events, RTE_DIM(events)) > 0)
		continue;
}

static void kill_session(void *context, uint32_t ref)
{
	(void)context;
	sp_session_remove(dataplane.workers[0]->sessions, ref, SP_END_KILLED);
}

/* Every input starts with an empty table, so that a crash comes again from its input alone. */
static void forget_sessions(void)
{
	uint64_t cursor = 0;

	while (sp_sessions_walk(dataplane.workers[0]->sessions, &cursor, SESSIONS, kill_session, NULL))
		continue;
	must(sp_sessions_counters(dataplane.workers[0]->sessions)->active4 == 0, "IPv4 sessions remain");
	must(sp_sessions_counters(dataplane.workers[0]->sessions)->active6 == 0, "IPv6 sessions remain");
}

static void check_accounts(uint64_t given, uint64_t left)
{
	static struct sp_stats before;
	struct sp_stats now;

	must(check_equation(&now) == 0, "something is held");
	must(now.rx - before.rx == given, "rx is not what came");
	must(now.tx - before.tx == left, "tx is not what left");
	must(now.drops[SP_DROP_NONE] == 0, "a drop without a reason");
	must(rte_mempool_in_use_count(pool) == 0 && rte_mempool_in_use_count(answers) == 0, "an mbuf is missing");
	before = now;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint32_t now_ms = 1000;
	uint64_t given = 0, left = 0;
	unsigned int frames = 0;
	size_t at = 0;

	fuzz_begin();
	dataplane.ports[0].checksum = size > 0 ? (data[0] >> 6) % 3 : SP_CHECKSUM_OFF;
	while (size - at >= RECORD && frames < FRAMES_MAX) {
		uint8_t control = data[at];
		size_t len = data[at + 2] | (size_t)data[at + 3] << 8;
		struct rte_mbuf *mbuf;

		len = RTE_MIN(RTE_MIN(len, size - at - RECORD), (size_t)1600);
		mbuf = make_mbuf(data + at + RECORD, len, control);
		if (!fuzz_give(control, mbuf)) {
			must(rte_ring_enqueue(to_port[control & CONTROL_PORT], mbuf) == 0, "ring full");
			given++;
		}
		frames++;
		if (control & CONTROL_TURN) {
			now_ms += data[at + 1] * 250u;
			left += turn(now_ms);
		}
		at += RECORD + len;
	}
	left += turn(now_ms);
	now_ms += SP_FRAGMENT_TIMEOUT_DEFAULT * 1000;
	left += turn(now_ms);
	/* what neighbours did not answer, and errors about it that wait themselves */
	for (unsigned int i = 0; i < 2; i++) {
		now_ms += 3000;
		left += turn(now_ms);
	}
	drain_events();
	forget_sessions();
	check_accounts(given, left);
	now_ms += 10000; /* limits are full again */
	return 0;
}

#endif
