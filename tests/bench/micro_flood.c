/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a SYN flood leaves of a download: one worker between two ports of rings, in a time of its own.
 *
 * The worker's turns are timed. For as long as one took, packets come at the offered rates into rings of as many entries as a NIC has
 * descriptors, and what finds no room is lost, as at a NIC. So generating costs the worker nothing, and being put off the core by others
 * does not count; the figure is that of a core which has nothing else to do.
 */
#include <rte_cycles.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/stages.h"
#include "dataplane/tcp_frame.h"
#include "mgmt/publish.h"
#include "rules/read.h"
#include "tests/bench/micro.h"
#include "vnf/launch.h"

#define DESCRIPTORS 1024
#define BUFFERS     16384
#define CLIENTS     64 /* connections that download */

#define DATA_BYTES    1460
#define FRAME_BYTES   (14 + 20 + 20 + DATA_BYTES)
#define ACK_EVERY     2
#define RETRANSMIT_MS 10 /* a real sender waits 200 and sends faster afterwards */
#define WINDOW_BYTES  65535
#define PHASE_MS      40 /* short: the three phases of a sample meet the machine in one mood */
#define WARM_MS       100
#define FLOOD_SHARE   0.9 /* of what the worker answers alone */
#define EMBRYONIC     4096
#define TURN_MAX_US   500 /* a turn that took longer was put off the core */
#define CLIENT_FIRST  0xc0000201u
#define SERVER        0xc6336402u
#define SERVER_FIRST  5001u /* number of the first byte of a download */
#define CLIENT_NEXT   1001u

static const char rules[] = "version = 1; default = { action = \"drop\"; }; rules = ( \"10 allow tcp from inside to outside\" );";

struct stream { /* packets at a rate */
	double per_cycle, due;
	uint64_t offered, lost;
};

struct bench {
	struct sp_launch launch;
	struct sp_dataplane *dataplane;
	struct rte_ring *rx[2], *tx[2];
	uint64_t now; /* TSC of the worker's own time */
	struct stream flood, data;
	uint64_t random, delivered, clipped;
	uint32_t sent[CLIENTS], acked[CLIENTS]; /* bytes of each download */
	uint32_t before[CLIENTS];               /* acked, when retransmission was last looked at */
	uint32_t got[CLIENTS];                  /* segments */
	uint64_t retransmit_at;
	unsigned int turn_client;
};

static void make_port(struct bench *bench, unsigned int p)
{
	static const char *const rx_names[2] = {"flood_rx0", "flood_rx1"}, *const tx_names[2] = {"flood_tx0", "flood_tx1"},
				 *const names[2] = {"flood0", "flood1"};
	struct rte_eth_conf conf = {0};
	struct sp_port *port = &bench->dataplane->ports[p];
	int ethdev;

	bench->rx[p] = rte_ring_create(rx_names[p], DESCRIPTORS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	bench->tx[p] = rte_ring_create(tx_names[p], DESCRIPTORS * 4, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	ethdev = bench->rx[p] == NULL || bench->tx[p] == NULL
			 ? -1
			 : rte_eth_from_rings(names[p], &bench->rx[p], 1, &bench->tx[p], 1, SOCKET_ID_ANY);
	if (ethdev < 0 || rte_eth_dev_configure((uint16_t)ethdev, 1, 1, &conf) != 0 ||
		rte_eth_rx_queue_setup((uint16_t)ethdev, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL, bench->launch.pool) != 0 ||
		rte_eth_tx_queue_setup((uint16_t)ethdev, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL) != 0 ||
		rte_eth_dev_start((uint16_t)ethdev) != 0)
		micro_die("no ring ports");
	*port = (struct sp_port){.ethdev = (uint16_t)ethdev,
		.index = (uint16_t)p,
		.peer = (uint16_t)(p ^ 1),
		.n_queues = 1,
		.n_tx_queues = 1,
		.checksum = SP_CHECKSUM_OFF, /* as a NIC that verifies */
		.link_up = 1};
	memset(port->zone, (int)p, sizeof(port->zone));
	bench->dataplane->n_ports++;
}

static void publish(struct bench *bench)
{
	const struct sp_read_options options = {.file = "flood.rules", .zones = &bench->dataplane->zones};
	struct sp_diags diags = {0};
	struct sp_policy *policy = sp_policy_load(rules, strlen(rules), &options, &diags);
	struct sp_ruleset *ruleset = policy == NULL ? NULL : sp_ruleset_build(policy, &diags);

	if (ruleset == NULL || sp_publish(bench->dataplane, ruleset, &diags) != 0)
		micro_die("the rules cannot be put into force");
}

static void set_up(struct bench *bench)
{
	static struct sp_zones zones;
	struct sp_launch_options options = {.n_workers = 1,
		.sessions4 = 262144,
		.sessions6 = 1024,
		.timeout_sec = sp_state_default_sec,
		.limit_sources = 1024,
		.floods = {.syn_proxy = SP_SYN_PROXY_AUTO,
			.embryonic_high = EMBRYONIC,
			.embryonic_low = EMBRYONIC / 2,
			.calm_sec = 10,
			.mss4 = SP_FLOOD_MSS4,
			.mss6 = SP_FLOOD_MSS6,
			.wscale = SP_FLOOD_WSCALE},
		.pressure = {SP_FLOOD_PRESSURE_START, SP_FLOOD_PRESSURE_END, SP_FLOOD_PRESSURE_MIN_SEC},
		.zones = &zones};
	char why[SP_WHY_MAX] = "";

	sp_zone_index(&zones, "inside", 6);
	sp_zone_index(&zones, "outside", 7);
	zones.closed = true;
	if (sp_launch_begin(&bench->launch, &options, why) != 0 || sp_launch_pool(&bench->launch, BUFFERS, 2048, why) != 0)
		micro_die("%s", why);
	bench->dataplane = bench->launch.dataplane;
	for (unsigned int p = 0; p < 2; p++)
		make_port(bench, p);
	if (sp_launch_workers(&bench->launch, &options, why) != 0)
		micro_die("%s", why);
	publish(bench);
	bench->now = rte_rdtsc();
}

/* --- packets ---------------------------------------------------------------------------------------------------------------------- */

struct segment {
	uint32_t src, dst, seq, ack;
	uint16_t sport, dport;
	uint8_t flags;
	unsigned int payload;
};

static struct rte_mbuf *make(struct bench *bench, const struct segment *segment)
{
	struct sp_key key = {.family = SP_FAMILY_IPV4,
		.sport = rte_cpu_to_be_16(segment->sport),
		.dport = rte_cpu_to_be_16(segment->dport),
		.v4 = {rte_cpu_to_be_32(segment->src), rte_cpu_to_be_32(segment->dst)}};
	struct sp_tcp_frame frame = {.key = &key,
		.seq = segment->seq,
		.ack = segment->ack,
		.window = 65535,
		.flags = segment->flags,
		.ether_len = 14,
		.ether = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0}};
	uint8_t bytes[SP_TCP_FRAME_BYTES];
	unsigned int len = sp_tcp_frame_write(&frame, bytes);
	struct rte_mbuf *mbuf = sp_tcp_frame_mbuf(bench->launch.pool, bytes, len);
	uint16_t total = rte_cpu_to_be_16((uint16_t)(len - 14 + segment->payload));

	if (mbuf == NULL)
		micro_die("no packet buffer is left");
	if (segment->payload > 0) {
		rte_pktmbuf_append(mbuf, (uint16_t)segment->payload);
		memcpy(rte_pktmbuf_mtod_offset(mbuf, uint8_t *, 16), &total, sizeof(total));
	}
	return mbuf;
}

static bool offer(struct bench *bench, unsigned int port, const struct segment *segment)
{
	struct rte_mbuf *mbuf;

	if (rte_ring_full(bench->rx[port]))
		return false;
	mbuf = make(bench, segment);
	return rte_ring_sp_enqueue(bench->rx[port], mbuf) == 0;
}

static bool offer_syn(struct bench *bench)
{
	const uint64_t random = micro_random(&bench->random);

	return offer(bench, 0,
		&(struct segment){.src = 0x0a000000u | (uint32_t)(random & 0xffffff),
			.dst = SERVER,
			.sport = (uint16_t)(1024 + (random >> 24) % 60000),
			.dport = 80,
			.seq = (uint32_t)(random >> 32),
			.flags = 0x02});
}

/* The next segment of a download whose window is open. None is: the slot is lost, as for a sender that must wait. */
static bool offer_data(struct bench *bench)
{
	unsigned int c = bench->turn_client, tries = 0;

	do
		c = (c + 1) % CLIENTS;
	while (bench->sent[c] - bench->acked[c] + DATA_BYTES > WINDOW_BYTES && ++tries < CLIENTS);
	bench->turn_client = c;
	if (tries == CLIENTS)
		return false;
	if (!offer(bench, 1,
		    &(struct segment){.src = SERVER,
			    .dst = CLIENT_FIRST + c,
			    .sport = 80,
			    .dport = 40000,
			    .seq = SERVER_FIRST + bench->sent[c],
			    .ack = CLIENT_NEXT,
			    .flags = 0x10,
			    .payload = DATA_BYTES}))
		return false;
	bench->sent[c] += DATA_BYTES;
	return true;
}

static void offer_ack(struct bench *bench, unsigned int c)
{
	offer(bench, 0,
		&(struct segment){.src = CLIENT_FIRST + c,
			.dst = SERVER,
			.sport = 40000,
			.dport = 80,
			.seq = CLIENT_NEXT,
			.ack = SERVER_FIRST + bench->acked[c],
			.flags = 0x10});
}

/* A download that made no progress begins again behind what was acknowledged, and its client acknowledges that again. */
static void retransmit(struct bench *bench)
{
	if (bench->now < bench->retransmit_at)
		return;
	bench->retransmit_at = bench->now + rte_get_tsc_hz() / 1000 * RETRANSMIT_MS;
	for (unsigned int c = 0; c < CLIENTS; c++) {
		if (bench->acked[c] == bench->before[c] && bench->sent[c] != bench->acked[c]) {
			bench->sent[c] = bench->acked[c];
			offer_ack(bench, c);
		}
		bench->before[c] = bench->acked[c];
	}
}

/* The client acknowledges every second segment that comes in order. */
static void acknowledge(struct bench *bench, const struct rte_mbuf *mbuf)
{
	const uint8_t *bytes = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	uint32_t dst, seq;
	unsigned int c;

	memcpy(&dst, bytes + 30, sizeof(dst));
	memcpy(&seq, bytes + 38, sizeof(seq));
	c = (rte_be_to_cpu_32(dst) - CLIENT_FIRST) % CLIENTS;
	if (rte_be_to_cpu_32(seq) - SERVER_FIRST != bench->acked[c])
		return;
	bench->delivered++;
	bench->acked[c] += DATA_BYTES;
	if (bench->got[c]++ % ACK_EVERY == 0)
		offer_ack(bench, c);
}

static void arrive(struct bench *bench, struct stream *stream, uint64_t cycles, bool (*one)(struct bench *bench))
{
	stream->due += (double)cycles * stream->per_cycle;
	for (; stream->due >= 1; stream->due--) {
		stream->offered++;
		stream->lost += !one(bench);
	}
}

/* What left: downloads are counted by their size. */
static void take(struct bench *bench)
{
	struct rte_mbuf *mbufs[64];
	unsigned int n;

	for (unsigned int p = 0; p < 2; p++)
		while ((n = rte_ring_sc_dequeue_burst(bench->tx[p], (void **)mbufs, RTE_DIM(mbufs), NULL)) > 0) {
			for (unsigned int i = 0; i < n; i++)
				if (mbufs[i]->pkt_len == FRAME_BYTES)
					acknowledge(bench, mbufs[i]);
			rte_pktmbuf_free_bulk(mbufs, n);
		}
}

/* --- phases ------------------------------------------------------------------------------------------------------------------------- */

static uint64_t turn(struct bench *bench)
{
	const uint64_t begin = rte_rdtsc(), most = rte_get_tsc_hz() / 1000000 * TURN_MAX_US;
	uint64_t spent;

	sp_worker_turn(bench->dataplane->workers[0], bench->now,
		(uint32_t)((bench->now - bench->dataplane->tsc_start) / (rte_get_tsc_hz() / 1000)));
	spent = rte_rdtsc() - begin;
	if (spent > most) {
		bench->clipped++;
		spent = most / 100;
	}
	bench->now += spent;
	return spent;
}

static uint64_t handled(const struct bench *bench)
{
	return bench->dataplane->workers[0]->stats.rx;
}

/* Packets a cycle that the worker takes when its ring is never empty. */
static double capacity(struct bench *bench, bool (*one)(struct bench *bench), unsigned int ms)
{
	uint64_t end = bench->now + rte_get_tsc_hz() / 1000 * ms, begin = bench->now, before = handled(bench);

	while (bench->now < end) {
		while (one(bench))
			;
		turn(bench);
		take(bench);
	}
	return (double)(handled(bench) - before) / (double)(bench->now - begin);
}

/* Share of the download that arrives while the flood comes at a rate, both by the clock of the worker. */
static double run(struct bench *bench, double data_per_cycle, double flood_per_cycle, unsigned int ms)
{
	uint64_t end = bench->now + rte_get_tsc_hz() / 1000 * ms;

	bench->data = (struct stream){.per_cycle = data_per_cycle};
	bench->flood = (struct stream){.per_cycle = flood_per_cycle};
	bench->delivered = 0;
	while (bench->now < end) {
		uint64_t spent = turn(bench);

		arrive(bench, &bench->flood, spent, offer_syn);
		arrive(bench, &bench->data, spent, offer_data);
		take(bench);
		retransmit(bench);
	}
	while (turn(bench) != 0 && rte_ring_count(bench->rx[0]) + rte_ring_count(bench->rx[1]) > 0)
		take(bench);
	turn(bench);
	take(bench);
	return (double)bench->delivered / (double)bench->data.offered;
}

static void connect_clients(struct bench *bench)
{
	for (unsigned int c = 0; c < CLIENTS; c++) {
		struct segment syn = {.src = CLIENT_FIRST + c, .dst = SERVER, .sport = 40000, .dport = 80, .seq = 1000, .flags = 0x02};
		struct segment synack = {
			.src = SERVER, .dst = CLIENT_FIRST + c, .sport = 80, .dport = 40000, .seq = 5000, .ack = 1001, .flags = 0x12};
		struct segment ack = {
			.src = CLIENT_FIRST + c, .dst = SERVER, .sport = 40000, .dport = 80, .seq = 1001, .ack = 5001, .flags = 0x10};

		offer(bench, 0, &syn);
		turn(bench);
		offer(bench, 1, &synack);
		turn(bench);
		offer(bench, 0, &ack);
		turn(bench);
		take(bench);
	}
	if (sp_sessions_counters(bench->dataplane->workers[0]->sessions)->active_state[SP_STATE_TCP_ESTABLISHED] != CLIENTS)
		micro_die("the clients of the flood bench are not connected");
}

static double drained(const struct bench *bench)
{
	return (double)(bench->flood.offered - bench->flood.lost) / (double)RTE_MAX(bench->flood.offered, 1u);
}

/* One sample: the download alone, what the worker answers alone, both together. */
static json_t *sample(struct bench *bench, double gbit)
{
	const double hz = (double)rte_get_tsc_hz(), data = gbit * 1e9 / 8 / (FRAME_BYTES + 24) / hz;
	const struct sp_stats *stats = &bench->dataplane->workers[0]->stats;
	double alone = run(bench, data, 0, PHASE_MS), answers, both;

	answers = capacity(bench, offer_syn, PHASE_MS);
	both = run(bench, data, FLOOD_SHARE * answers, PHASE_MS);
	return json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I}", "name", "flood", "gbit", gbit, "answered_alone_mpps",
		answers * hz / 1e6, "flood_mpps", FLOOD_SHARE * answers * hz / 1e6, "goodput_alone", alone, "goodput_in_flood", both,
		"flood_taken", drained(bench), "engaged", (json_int_t)stats->defence.engaged[SP_DEFENCE_SYN_PROXY], "clipped_turns",
		(json_int_t)bench->clipped);
}

void micro_flood(json_t *out, const struct micro_options *options, int argc, char **argv)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	double gbit = strtod(argv[0], NULL);

	(void)argc;
	if (bench == NULL || !(gbit > 0 && gbit <= 100))
		micro_die("flood GBIT: what is downloaded, 0 to 100");
	set_up(bench);
	connect_clients(bench);
	capacity(bench, offer_syn, WARM_MS);
	for (unsigned int r = 0; r < options->repeats; r++)
		json_array_append_new(out, sample(bench, gbit));
	sp_launch_end(&bench->launch);
	free(bench);
}
