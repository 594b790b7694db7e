/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports come in pairs and are made when the first frame needs one. With zones by address all pairs are one domain: the firewall between
 * those zones is one, and an ICMP error may arrive from another zone than the flow's.
 */
#include "vnf/replay.h"

#include <errno.h>
#include <netinet/in.h>
#include <rte_bus_vdev.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf_dyn.h>
#include <rte_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/stages.h"
#include "mgmt/publish.h"
#include "vnf/launch.h"

#define RING_SIZE   4096 /* a burst, each packet the last fragment of a datagram, and an answer to each fit */
#define BUFFERS     8192
#define FRAME_BYTES 2048           /* of one mbuf: longer frames are chains, as a NIC's would be */
#define PORT_NAME   "sp_replay_%u" /* of an ethdev; its driver puts net_ring_ before it */
#define PAIRS_MAX   (SP_PORTS_MAX / 2)

#define NS_PER_MS 1000000u
/* Frames further apart do not arrive in one burst on any wire. */
#define BURST_SPAN_NS (10u * NS_PER_MS)
/* The firewall's clock of 32 bits counts milliseconds; a capture's pause may be longer than it can, and counts as this long. */
#define PAUSE_MAX_NS (UINT64_C(10) * 24 * 3600 * 1000 * NS_PER_MS)
/* After how much time the whole session table is aged, and not as far as one turn's budget reaches. */
#define AGE_AFTER_NS (100u * NS_PER_MS)
#define AGE_BUDGET   65536u

/* Kept of each frame: more than the headers that the parser walks to an ICMP header. */
#define HEAD_BYTES 1024

struct pair {
	uint8_t zone[2]; /* of port 0 and port 1; only with zones by address */
	struct rte_ring *rx[2], *tx[2];
};

/* What a fragment's verdict is before its turn has come to be reported. */
struct fate {
	bool known, seen;
	struct sp_replay_verdict verdict;
	struct sp_match match; /* when seen */
	uint32_t signature[SP_SIGNATURES_MAX];
};

struct sp_replay {
	const struct sp_replay_options *options;
	struct sp_launch launch;
	struct sp_dataplane *dataplane;
	struct sp_worker *worker;
	struct sp_replay_sides *sides;
	struct pair pairs[PAIRS_MAX];
	unsigned int n_pairs;
	int field;            /* offset of the frame's number in mbufs that came from the capture */
	uint64_t flag;        /* ol_flags bit that says the field is set */
	uint64_t now_ns;      /* of the firewall's clock, since the first frame; never goes back */
	uint64_t last_ns;     /* the capture's latest time */
	uint64_t aged_ns;     /* now_ns when the table was aged */
	uint64_t n;           /* frames so far, those waiting included */
	unsigned int waiting; /* frames in `batch` */
	unsigned int port;    /* that they came in by */
	uint64_t batch_now_ns;
	struct rte_mbuf *batch[SP_BURST_MAX];
	uint64_t batch_ns[SP_BURST_MAX];
	uint8_t batch_head[SP_BURST_MAX][HEAD_BYTES];
	struct fate batch_fate[SP_BURST_MAX];
	struct sp_replay_order *order;
	uint8_t bytes[SP_CAPTURED_MAX];
};

/* --- ports ----------------------------------------------------------------------------------------------------------------------- */

static int start_ethdev(uint16_t ethdev, struct rte_mempool *pool)
{
	struct rte_eth_conf conf = {0};
	int rc = rte_eth_dev_configure(ethdev, 1, 1, &conf);

	if (rc == 0)
		rc = rte_eth_rx_queue_setup(ethdev, 0, RING_SIZE, 0, NULL, pool);
	if (rc == 0)
		rc = rte_eth_tx_queue_setup(ethdev, 0, RING_SIZE, 0, NULL);
	return rc == 0 ? rte_eth_dev_start(ethdev) : rc;
}

static int make_port(struct sp_replay *replay, struct pair *pair, unsigned int index)
{
	struct sp_port *port = &replay->dataplane->ports[index];
	unsigned int side = index % 2;
	char name[RTE_RING_NAMESIZE];
	int ethdev;

	snprintf(name, sizeof(name), "sp_rx_%u", index);
	pair->rx[side] = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	snprintf(name, sizeof(name), "sp_tx_%u", index);
	pair->tx[side] = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (pair->rx[side] == NULL || pair->tx[side] == NULL)
		return -rte_errno;
	snprintf(name, sizeof(name), PORT_NAME, index);
	ethdev = rte_eth_from_rings(name, &pair->rx[side], 1, &pair->tx[side], 1, 0);
	if (ethdev < 0)
		return -EIO;
	port->ethdev = (uint16_t)ethdev;
	port->index = (uint16_t)index;
	port->peer = (uint16_t)(index ^ 1);
	port->domain = 0;
	port->n_queues = port->n_tx_queues = 1;
	port->checksum = replay->options->checksum < 0 ? SP_CHECKSUM_TRUST_NIC : (uint8_t)replay->options->checksum;
	port->link_up = 1;
	snprintf(port->name, sizeof(port->name), "side%u", index);
	snprintf(port->device, sizeof(port->device), "net_ring_%s", name);
	memset(port->zone, pair->zone[side], sizeof(port->zone));
	return start_ethdev(port->ethdev, replay->launch.pool);
}

/* Takes name, zones and checksum policy from the configuration's first pair. */
static void dress_ports(struct sp_replay *replay)
{
	const struct sp_config *config = replay->options->config;
	const struct sp_config_port *from = NULL;

	for (unsigned int i = 0; i < config->n_ports && from == NULL; i++)
		if (config->ports[i].parent < 0)
			from = &config->ports[i];
	for (unsigned int side = 0; from != NULL && side < 2; side++) {
		struct sp_port *port = &replay->dataplane->ports[side];
		const struct sp_config_port *end = side == 0 ? from : &config->ports[from->peer];

		snprintf(port->name, sizeof(port->name), "%s", end->name);
		if (replay->options->checksum < 0)
			port->checksum = end->checksum;
		sp_port_zones(port, config, end);
	}
}

static int make_pair(struct sp_replay *replay, uint8_t zone0, uint8_t zone1, char *why)
{
	struct pair *pair = &replay->pairs[replay->n_pairs];
	unsigned int first = replay->n_pairs * 2;
	struct sp_eal_capture capture;
	char said[160];
	int rc;

	if (replay->n_pairs == PAIRS_MAX) {
		snprintf(why, SP_WHY_MAX, "packets between more than %d pairs of zones; give fewer or larger --zone prefixes", PAIRS_MAX);
		return -ENOSPC;
	}
	pair->zone[0] = zone0;
	pair->zone[1] = zone1;
	sp_eal_capture_begin(&capture);
	rc = make_port(replay, pair, first);
	if (rc == 0)
		rc = make_port(replay, pair, first + 1);
	sp_eal_capture_end(&capture, said, sizeof(said));
	if (rc != 0) {
		snprintf(why, SP_WHY_MAX, "cannot make ports of rings: %s", said[0] != '\0' ? said : strerror(-rc));
		return rc;
	}
	replay->n_pairs++;
	replay->dataplane->n_ports = replay->n_pairs * 2;
	return 0;
}

/* Index of the port that the frame came in by, or -errno. */
static int choose_port(struct sp_replay *replay, const struct sp_replay_frame *frame, char *why)
{
	uint8_t from, to;
	bool reverse;
	int rc;

	if (replay->options->zones->n == 0)
		return (int)sp_replay_sides_learn(replay->sides, frame);
	sp_replay_zones_find(replay->options->zones, frame, &from, &to, &reverse);
	for (unsigned int i = 0; i < replay->n_pairs; i++) {
		const uint8_t *zone = replay->pairs[i].zone;

		if (from == to && zone[0] == from && zone[1] == from)
			return (int)(2 * i + reverse);
		if (from != to && zone[0] == from && zone[1] == to)
			return (int)(2 * i);
		if (from != to && zone[0] == to && zone[1] == from)
			return (int)(2 * i + 1);
	}
	rc = make_pair(replay, from, to, why);
	return rc != 0 ? rc : (int)(2 * (replay->n_pairs - 1) + (from == to && reverse));
}

/* --- life ------------------------------------------------------------------------------------------------------------------------ */

static int register_field(struct sp_replay *replay)
{
	static const struct rte_mbuf_dynfield field = {
		.name = "sallyport_replay_number", .size = sizeof(uint64_t), .align = __alignof__(uint64_t)};
	static const struct rte_mbuf_dynflag flag = {.name = "sallyport_replay_number"};
	int bit = rte_mbuf_dynflag_register(&flag);

	replay->field = rte_mbuf_dynfield_register(&field);
	if (bit < 0 || replay->field < 0)
		return -rte_errno;
	replay->flag = UINT64_C(1) << bit;
	return 0;
}

static uint64_t *number_of(const struct sp_replay *replay, const struct rte_mbuf *mbuf)
{
	return RTE_MBUF_DYNFIELD((uintptr_t)mbuf, replay->field, uint64_t *);
}

/* Without number, time and match. */
static struct sp_replay_verdict read_verdict(const struct sp_replay *replay, const struct sp_burst *burst, unsigned int i)
{
	uint32_t slot = burst->slot[i];

	return (struct sp_replay_verdict){.verdict = burst->verdict[i],
		.reason = burst->reason[i],
		.rule = slot == SP_SLOT_NONE || slot == SP_RULE_SLOT_DEFAULT ? 0 : replay->dataplane->rule_table.ids[slot],
		.n_signatures = burst->n_signatures[i],
		.signatures = burst->signature[i]};
}

/* A fragment that waited is decided: with its datagram, packet i of the burst, or alone. It came in an earlier burst, or in this one. */
static void know_fate(void *context, const struct rte_mbuf *piece, const struct sp_burst *burst, unsigned int i, uint8_t reason)
{
	struct sp_replay *replay = context;
	uint64_t first = replay->n - replay->waiting + 1, number = *number_of(replay, piece);
	struct sp_replay_verdict verdict = {.verdict = SP_VERDICT_DROP, .reason = reason};
	struct sp_match match;
	struct fate *fate;

	if (burst != NULL) {
		verdict = read_verdict(replay, burst, i);
		sp_match_from_packet(burst, i, &match);
		verdict.match = &match;
	}
	verdict.n = number;
	if (number < first) {
		sp_replay_order_decide(replay->order, &verdict);
		return;
	}
	fate = &replay->batch_fate[number - first];
	fate->known = true;
	fate->verdict = verdict;
	fate->seen = burst != NULL;
	if (fate->seen)
		fate->match = match;
	if (verdict.n_signatures > 0)
		memcpy(fate->signature, verdict.signatures, verdict.n_signatures * sizeof(fate->signature[0]));
}

static int build(struct sp_replay *replay, char *why)
{
	const struct sp_config *config = replay->options->config;
	struct sp_launch_options options = {.n_workers = 1,
		.sessions4 = SP_CONFIG_DEFAULT_SESSIONS - SP_CONFIG_DEFAULT_SESSIONS / 4,
		.sessions6 = SP_CONFIG_DEFAULT_SESSIONS / 4,
		.timeout_sec = sp_state_default_sec,
		.limit_sources = SP_CONFIG_DEFAULT_SOURCES,
		.reject_rate = SP_CONFIG_DEFAULT_REJECTS,
		.tcp = {.challenges = SP_TCP_CHALLENGES},
		.icmp_error_rate = SP_CONFIG_DEFAULT_ICMP_ERRORS,
		.pressure = {SP_FLOOD_PRESSURE_START, SP_FLOOD_PRESSURE_END, SP_FLOOD_PRESSURE_MIN_SEC},
		.zones = replay->options->table};
	int rc;

	if (config != NULL) {
		options.sessions4 = config->sessions4;
		options.sessions6 = config->sessions6;
		options.timeout_sec = config->timeout_sec;
		options.limit_sources = config->limit_sources;
		options.reject_rate = config->reject_rate;
		options.tcp = config->tcp;
		options.icmp_error_rate = config->icmp_error_rate;
		options.fragments = config->fragments;
		/* No SYN proxy: the clients of a capture do not answer its cookies. */
		options.pressure = config->pressure;
	}
	/* No more may wait than can be kept in order. */
	if (options.fragments.buffers > SP_REPLAY_ORDER_MAX / 2)
		options.fragments.buffers = SP_REPLAY_ORDER_MAX / 2;
	rc = sp_launch_begin(&replay->launch, &options, why);
	replay->dataplane = replay->launch.dataplane;
	if (rc == 0)
		rc = sp_launch_pool(&replay->launch, BUFFERS + sp_fragments_share(&options.fragments, 1).buffers, FRAME_BYTES, why);
	if (rc == 0)
		rc = sp_launch_workers(&replay->launch, &options, why);
	if (rc != 0)
		return rc;
	replay->worker = replay->dataplane->workers[0];
	sp_fragments_watch(replay->worker->fragments, know_fate, replay);
	if (replay->options->zones->n > 0)
		return 0;
	rc = make_pair(replay, SP_MATCH_NO_ZONE, SP_MATCH_NO_ZONE, why);
	if (rc == 0 && config != NULL)
		dress_ports(replay);
	return rc;
}

struct sp_replay *sp_replay_create(const struct sp_replay_options *options, struct sp_ruleset *ruleset, char *why)
{
	struct sp_replay *replay = calloc(1, sizeof(*replay));
	struct sp_diags diags = {0};
	int rc;

	if (replay == NULL || (replay->sides = sp_replay_sides_create()) == NULL ||
		(replay->order = sp_replay_order_create(options->report, options->context)) == NULL) {
		snprintf(why, SP_WHY_MAX, "out of memory");
		if (replay != NULL)
			sp_replay_sides_free(replay->sides);
		free(replay);
		return NULL;
	}
	replay->options = options;
	rc = build(replay, why);
	if (rc == 0) {
		rc = register_field(replay);
		if (rc != 0)
			snprintf(why, SP_WHY_MAX, "no room for a field in packet buffers: %s", strerror(-rc));
	}
	if (rc == 0) {
		rc = sp_publish(replay->dataplane, ruleset, &diags);
		if (rc != 0)
			snprintf(why, SP_WHY_MAX, "the rules cannot be put into force: %s", diags.n > 0 ? diags.v[0].text : strerror(-rc));
		sp_diags_clear(&diags);
	}
	if (rc == 0)
		return replay;
	sp_replay_free(replay);
	return NULL;
}

struct sp_dataplane *sp_replay_dataplane(struct sp_replay *replay)
{
	return replay->dataplane;
}

void sp_replay_free(struct sp_replay *replay)
{
	if (replay == NULL)
		return;
	rte_pktmbuf_free_bulk(replay->batch, replay->waiting);
	sp_launch_end(&replay->launch);
	for (unsigned int i = 0; i < PAIRS_MAX; i++)
		for (unsigned int side = 0; side < 2; side++) {
			char name[64];

			if (replay->pairs[i].rx[side] == NULL)
				continue;
			snprintf(name, sizeof(name), "net_ring_" PORT_NAME, 2 * i + side);
			rte_vdev_uninit(name);
			rte_ring_free(replay->pairs[i].rx[side]);
			rte_ring_free(replay->pairs[i].tx[side]);
		}
	sp_replay_sides_free(replay->sides);
	sp_replay_order_free(replay->order);
	free(replay);
}

/* --- one burst ------------------------------------------------------------------------------------------------------------------- */

/* What the report shows of packet i, whose buffer may be gone by now: an ICMP error's own header is read from the bytes kept of it. */
static void see(const struct sp_replay *replay, unsigned int i, struct sp_match *match)
{
	const struct sp_packet *packet = &replay->worker->burst.packet[i];
	bool v6 = packet->key.family == SP_FAMILY_IPV6;
	const uint8_t *head = replay->batch_head[i], *addresses = head + packet->l3_off + (v6 ? 8 : 12);
	size_t bytes = v6 ? 16 : 4;

	sp_match_from_key(&packet->key, packet->zone_from, packet->zone_to, match);
	if (packet->kind != SP_KIND_ICMP_ERROR)
		return;
	match->proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	match->sport = head[packet->l4_off];
	match->dport = head[packet->l4_off + 1];
	memcpy(match->src.b, addresses, bytes);
	memcpy(match->dst.b, addresses + bytes, bytes);
}

static void report_one(const struct sp_replay *replay, unsigned int i)
{
	const struct fate *fate = &replay->batch_fate[i];
	struct sp_match match;
	struct sp_replay_verdict verdict = read_verdict(replay, &replay->worker->burst, i);
	bool held = verdict.verdict == SP_VERDICT_HELD;

	see(replay, i, &match);
	verdict.match = &match;
	if (held && fate->known) {
		verdict = fate->verdict;
		verdict.match = fate->seen ? &fate->match : &match;
		verdict.signatures = fate->signature;
	}
	verdict.n = replay->n - replay->waiting + i + 1;
	verdict.ns = replay->batch_ns[i];
	sp_replay_order_put(replay->order, &verdict, held && !fate->known);
}

static void write_out(struct sp_replay *replay, struct rte_mbuf *mbuf, uint64_t ns)
{
	struct sp_replay_frame frame = {.len = RTE_MIN(mbuf->pkt_len, (uint32_t)SP_CAPTURED_MAX), .ns = ns};

	frame.data = rte_pktmbuf_read(mbuf, 0, frame.len, replay->bytes);
	if (replay->options->writer != NULL && frame.data != NULL)
		sp_replay_capture_write(replay->options->writer, &frame);
	rte_pktmbuf_free(mbuf);
}

/*
 * Writes what left: frames of the capture in their order and with their times, then the answers with the time of the last frame. Fragments
 * leave together, those of earlier bursts with the time of the frame before them.
 */
static void collect(struct sp_replay *replay)
{
	struct rte_mbuf *built[RING_SIZE], *mbufs[RING_SIZE];
	uint64_t first = replay->n - replay->waiting + 1, ns = replay->batch_ns[0];
	unsigned int n_built = 0;

	for (unsigned int p = 0; p < replay->dataplane->n_ports; p++) {
		unsigned int n = rte_ring_sc_dequeue_burst(replay->pairs[p / 2].tx[p % 2], (void **)mbufs, RING_SIZE, NULL);

		for (unsigned int i = 0; i < n; i++) {
			uint64_t number = *number_of(replay, mbufs[i]);

			if (!(mbufs[i]->ol_flags & replay->flag)) {
				if (n_built < RING_SIZE)
					built[n_built++] = mbufs[i];
				continue;
			}
			if (number >= first && number - first < SP_BURST_MAX)
				ns = replay->batch_ns[number - first];
			write_out(replay, mbufs[i], ns);
		}
	}
	for (unsigned int i = 0; i < n_built; i++)
		write_out(replay, built[i], replay->last_ns);
}

static unsigned int turn(struct sp_replay *replay, uint64_t ns)
{
	const struct sp_dataplane *dataplane = replay->dataplane;
	uint64_t now = dataplane->tsc_start + (uint64_t)((__uint128_t)ns * dataplane->tsc_hz / 1000000000u);
	unsigned int handled = sp_worker_turn(replay->worker, now, (uint32_t)(ns / NS_PER_MS));

	/* A turn ages as much as a worker can spare between bursts. A capture leaps over hours: then the rest is aged before the next. */
	if (ns - replay->aged_ns >= AGE_AFTER_NS) {
		while (sp_sessions_age(replay->worker->sessions, (uint32_t)(ns / NS_PER_MS), AGE_BUDGET) == AGE_BUDGET)
			;
		sp_fragments_age(replay->worker, UINT32_MAX);
		replay->aged_ns = ns;
	}
	return handled;
}

static int flush(struct sp_replay *replay, char *why)
{
	struct rte_ring *rx = replay->pairs[replay->port / 2].rx[replay->port % 2];
	struct sp_burst *burst = &replay->worker->burst;
	unsigned int n = replay->waiting;

	if (n == 0)
		return 0;
	/* What the parser does not reach must not be shown as the packet's. */
	memset(burst->packet, 0, n * sizeof(burst->packet[0]));
	for (unsigned int i = 0; i < n; i++)
		replay->batch_fate[i].known = false;
	if (replay->batch_now_ns - replay->aged_ns >= AGE_AFTER_NS)
		turn(replay, replay->batch_now_ns);
	if (rte_ring_sp_enqueue_bulk(rx, (void **)replay->batch, n, NULL) != n || turn(replay, replay->batch_now_ns) != n) {
		replay->waiting = 0;
		snprintf(why, SP_WHY_MAX, "the worker did not take frames %llu to %llu whole; please report this with the capture",
			(unsigned long long)(replay->n - n + 1), (unsigned long long)replay->n);
		return -EPROTO;
	}
	for (unsigned int i = 0; i < n; i++)
		report_one(replay, i);
	collect(replay);
	replay->waiting = 0;
	return 0;
}

/* --- one frame ------------------------------------------------------------------------------------------------------------------- */

#ifdef SP_ASAN
static void free_exact(void *data, void *info)
{
	free(data);
	free(info);
}

/* AddressSanitizer does not know packet buffers: here each segment's data is an allocation of its own, so that a read past it, or after the
 * packet's end, is seen. */
static bool fill(struct rte_mbuf *mbuf, const uint8_t *data, uint16_t len)
{
	struct rte_mbuf_ext_shared_info *info = malloc(sizeof(*info));
	uint8_t *exact = malloc(len);

	if (info == NULL || exact == NULL) {
		free_exact(exact, info);
		return false;
	}
	info->free_cb = free_exact;
	info->fcb_opaque = info;
	rte_mbuf_ext_refcnt_set(info, 1);
	memcpy(exact, data, len);
	rte_pktmbuf_attach_extbuf(mbuf, exact, RTE_BAD_IOVA, len, info);
	mbuf->data_off = 0;
	mbuf->data_len = len;
	mbuf->pkt_len = len;
	return true;
}
#else
static bool fill(struct rte_mbuf *mbuf, const uint8_t *data, uint16_t len)
{
	memcpy(rte_pktmbuf_append(mbuf, len), data, len);
	return true;
}
#endif

static struct rte_mbuf *make_mbuf(struct rte_mempool *pool, const struct sp_replay_frame *frame)
{
	struct rte_mbuf *head = NULL;
	uint32_t done = 0;

	do {
		struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
		uint32_t len;

		if (mbuf == NULL)
			goto err;
		len = RTE_MIN(frame->len - done, (uint32_t)rte_pktmbuf_tailroom(mbuf));
		if (!fill(mbuf, frame->data + done, (uint16_t)len)) {
			rte_pktmbuf_free(mbuf);
			goto err;
		}
		done += len;
		if (head == NULL) {
			head = mbuf;
		} else if (rte_pktmbuf_chain(head, mbuf) != 0) {
			rte_pktmbuf_free(mbuf);
			goto err;
		}
	} while (done < frame->len);
	return head;

err:
	rte_pktmbuf_free(head);
	return NULL;
}

/* Moves the firewall's clock to the frame's time: forward only, and not by more than it can count at once. */
static void advance(struct sp_replay *replay, const struct sp_replay_frame *frame)
{
	if (replay->n == 0) {
		replay->last_ns = frame->ns;
		replay->dataplane->wall_start_ns = frame->ns;
	}
	if (frame->ns <= replay->last_ns)
		return;
	replay->now_ns += RTE_MIN(frame->ns - replay->last_ns, PAUSE_MAX_NS);
	replay->last_ns = frame->ns;
}

int sp_replay_frame(struct sp_replay *replay, const struct sp_replay_frame *frame, char *why)
{
	uint64_t now_ns;
	struct rte_mbuf *mbuf;
	int port = choose_port(replay, frame, why), rc;

	if (port < 0)
		return port;
	now_ns = replay->now_ns + (frame->ns > replay->last_ns ? RTE_MIN(frame->ns - replay->last_ns, PAUSE_MAX_NS) : 0);
	if (replay->waiting > 0 && ((unsigned int)port != replay->port || now_ns - replay->batch_now_ns > BURST_SPAN_NS)) {
		rc = flush(replay, why);
		if (rc != 0)
			return rc;
	}
	advance(replay, frame);
	mbuf = make_mbuf(replay->launch.pool, frame);
	if (mbuf == NULL) {
		snprintf(why, SP_WHY_MAX, "frame %llu found no packet buffer; please report this with the capture",
			(unsigned long long)replay->n + 1);
		return -ENOMEM;
	}
	mbuf->ol_flags |= replay->flag;
	*number_of(replay, mbuf) = replay->n + 1;
	if (replay->waiting == 0)
		replay->batch_now_ns = replay->now_ns;
	replay->port = (unsigned int)port;
	replay->batch_ns[replay->waiting] = frame->ns;
	memcpy(replay->batch_head[replay->waiting], frame->data, RTE_MIN(frame->len, (uint32_t)HEAD_BYTES));
	replay->batch[replay->waiting++] = mbuf;
	replay->n++;
	return replay->waiting == replay->options->burst ? flush(replay, why) : 0;
}

int sp_replay_finish(struct sp_replay *replay, char *why)
{
	struct sp_sessions_counters sessions;
	struct sp_stats stats;
	uint64_t held, in, out;
	int rc = flush(replay, why);

	if (rc != 0)
		return rc;
	sp_fragments_close(replay->worker);
	sp_stats_sum(replay->dataplane, &stats, &sessions, &held);
	in = stats.rx + stats.from_kernel + stats.built + (uint64_t)stats.fragment_delta;
	out = stats.tx + stats.to_kernel + stats.consumed + held;
	for (unsigned int reason = 0; reason < SP_DROP_COUNT; reason++)
		out += stats.drops[reason];
	if (in == out && stats.rx == replay->n && sp_replay_order_is_done(replay->order))
		return 0;
	snprintf(why, SP_WHY_MAX, "packets are not accounted for: %llu frames, %llu in, %llu out; please report this with the capture",
		(unsigned long long)replay->n, (unsigned long long)in, (unsigned long long)out);
	return -EPROTO;
}
