/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several workers: packets find the owner of their session, whatever queue they came by, and the way out of it.
 */
#include <pthread.h>
#include <unistd.h>

#include "dataplane/session_table.h"
#include "tests/unit/dataplane/worker_fixture.h"

#define FLOWS   64
#define PACKETS 20

static void flow_of(unsigned int flow, struct sp_frame_spec *spec)
{
	*spec = (struct sp_frame_spec){.proto = IPPROTO_UDP, .family = flow % 2 ? 6 : 4, .sport = (uint16_t)(10000 + flow)};
}

static void send_numbered(unsigned int port, unsigned int queue, unsigned int flow, unsigned int number)
{
	uint8_t payload[] = {(uint8_t)flow, (uint8_t)number};
	struct sp_frame_spec spec, back;
	struct sp_frame frame;

	flow_of(flow, &spec);
	back = lab_reply(&spec);
	if (port == OUT)
		spec = back;
	spec.payload = payload;
	spec.payload_len = sizeof(payload);
	sp_frame_build(&frame, &spec);
	lab_send_frame(port, queue, &frame);
}

/* Each flow's packets left by the port in the order of their numbers, all of them. */
static void assert_ordered(unsigned int port)
{
	unsigned int next[FLOWS] = {0};
	struct rte_mbuf *mbuf;

	while ((mbuf = lab_take(port)) != NULL) {
		const uint8_t *payload = rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, mbuf->pkt_len - 2);

		assert_in_range(payload[0], 0, FLOWS - 1);
		assert_int_equal(payload[1], next[payload[0]]);
		next[payload[0]]++;
		rte_pktmbuf_free(mbuf);
	}
	for (unsigned int flow = 0; flow < FLOWS; flow++)
		assert_int_equal(next[flow], PACKETS);
}

static void play(const struct lab_options *options)
{
	lab_start(options, RULES("\"10 allow udp from inside\""));
	for (unsigned int number = 0; number < PACKETS; number++) {
		for (unsigned int flow = 0; flow < FLOWS; flow++)
			send_numbered(IN, 0, flow, number);
		lab_run();
	}
	assert_ordered(OUT);
	for (unsigned int number = 0; number < PACKETS; number++) {
		for (unsigned int flow = 0; flow < FLOWS; flow++)
			send_numbered(OUT, 0, flow, number);
		lab_run();
	}
	assert_ordered(IN);
	assert_int_equal(lab_active(), FLOWS);
	assert_int_equal(lab_sessions().created, FLOWS);
	assert_int_equal(lab_stats().tx, 2 * FLOWS * PACKETS);
	/* a session lives with one worker; each has some */
	for (unsigned int w = 0; w < options->n_workers; w++) {
		const struct sp_sessions_counters *sessions = sp_sessions_counters(lab.dataplane->workers[w]->sessions);

		assert_in_range(sessions->active4 + sessions->active6, 1, FLOWS);
	}
	if (options->n_workers > 1) {
		assert_in_range(lab_stats().handed_out, 1, UINT32_MAX);
		assert_int_equal(lab_stats().handed_out, lab_stats().handed_in);
	}
	lab_balance(0);
	lab_stop();
}

static void all_traffic_on_one_queue_keeps_order_and_sessions(void **unused)
{
	(void)unused;
	for (unsigned int workers = 1; workers <= 3; workers++) {
		play(&(struct lab_options){.n_workers = workers});
		play(&(struct lab_options){.n_workers = workers, .n_queues = workers});
		play(&(struct lab_options){.n_workers = workers, .one_tx_queue = true});
	}
}

/* A hand-over ring that nobody empties fills up: what does not fit is dropped and counted, what fits waits, accounted for. */
static void full_handover_ring_drops_and_counts(void **unused)
{
	const unsigned int n = SP_HANDOVER_RING + 300;
	unsigned int flow = 0;

	(void)unused;
	lab_start(&(struct lab_options){.n_workers = 2}, RULES("\"10 allow udp\""));
	while (lab_stats().handed_out == 0) { /* until one is worker 1's */
		send_numbered(IN, 0, ++flow, 0);
		lab_turn(0);
	}
	for (unsigned int i = 0; i < n; i++)
		send_numbered(IN, 0, flow, i % 256);
	while (lab_turn(0) > 0)
		;
	assert_int_equal(lab_drops(SP_DROP_QUEUE_HANDOVER), n + 1 - (SP_HANDOVER_RING - 1));
	assert_int_equal(lab_stats().ports[IN].drops, lab_drops(SP_DROP_QUEUE_HANDOVER));
	lab_balance(SP_HANDOVER_RING - 1);
	lab_run();
	lab_balance(0);
	assert_int_equal(lab_stats().tx + lab_drops(SP_DROP_QUEUE_HANDOVER), lab_stats().rx);
	lab_stop();
}

/* A tag that the NIC took off is put back once, also in packets that are handed over and parsed twice. */
static void stripped_tag_is_restored_once(void **unused)
{
	struct sp_frame with, without;
	uint8_t bytes[SP_FRAME_MAX];

	(void)unused;
	for (unsigned int workers = 1; workers <= 3; workers++) {
		lab_start(&(struct lab_options){.n_workers = workers}, RULES("\"10 allow udp vlan 20\""));
		for (unsigned int flow = 0; flow < 20; flow++) {
			struct sp_frame_spec spec;
			struct rte_mbuf *mbuf;

			flow_of(flow, &spec);
			sp_frame_build(&without, &spec);
			spec.n_tags = 1;
			spec.tci[0] = 20;
			sp_frame_build(&with, &spec);
			mbuf = sp_frame_mbuf(lab_pool, without.bytes, without.len);
			mbuf->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
			mbuf->vlan_tci = 20;
			lab_send_mbuf(IN, 0, mbuf);
			lab_run();
			mbuf = lab_take(OUT);
			assert_non_null(mbuf);
			assert_int_equal(mbuf->pkt_len, with.len);
			assert_memory_equal(rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, bytes), with.bytes, with.len);
			rte_pktmbuf_free(mbuf);
		}
		lab_stop();
	}
}

/* Both ports of a worker bring what another owns, for long: the owner takes as much in a turn as comes in a turn. */
static void owner_keeps_up_with_all_ports(void **unused)
{
	unsigned int flow = 0, out = 0, in = 0;

	(void)unused;
	lab_start(&(struct lab_options){.n_workers = 2}, RULES("\"10 allow udp\""));
	while (lab_stats().handed_out == 0) {
		send_numbered(IN, 0, ++flow, 0);
		lab_turn(0);
	}
	lab_run();
	lab_count(OUT);
	/* less than a burst from each port, so that a burst from the ring holds packets of both */
	for (unsigned int turns = 0; turns < 80; turns++) {
		for (unsigned int i = 0; i < 24; i++) {
			send_numbered(IN, 0, flow, i);
			send_numbered(OUT, 0, flow, i);
		}
		lab_turn(0);
		lab_turn(1);
		out += lab_count(OUT);
		in += lab_count(IN);
	}
	assert_int_equal(lab_drops(SP_DROP_QUEUE_HANDOVER), 0);
	assert_in_range(lab_stats().handed_out - lab_stats().handed_in, 0, 2 * SP_BURST_MAX);
	lab_run();
	/* each went its own way */
	assert_int_equal(out + lab_count(OUT), 80 * 24);
	assert_int_equal(in + lab_count(IN), 80 * 24);
	lab_stop();
}

/* Workers without a tx queue pass packets to worker 0. When it does not come, their ring fills: counted as a full queue. */
static void shared_transmit_queue_drops_when_full(void **unused)
{
	(void)unused;
	lab_start(&(struct lab_options){.n_workers = 2, .n_queues = 2, .one_tx_queue = true}, RULES("\"10 allow ethertype 0x88cc\""));
	for (unsigned int i = 0; i < SP_HANDOVER_RING + 500; i++) {
		struct sp_frame frame;

		sp_frame_build_ether(&frame, 0x88cc, 46); /* no session, so no owner: worker 1 keeps what its queue brings */
		lab_send_frame(IN, 1, &frame);
	}
	while (lab_turn(1) > 0)
		;
	assert_int_equal(lab_drops(SP_DROP_QUEUE_TX), 501);
	assert_int_equal(lab_stats().tx, 0);
	lab_balance(SP_HANDOVER_RING - 1);
	lab_turn(0); /* one turn empties the ring, whatever the other workers put into it */
	assert_int_equal(lab_stats().tx, SP_HANDOVER_RING - 1);
	lab_balance(0);
	lab_stop();
}

/* Entries of a worker's index that are not in the bucket where a lookup looks first. */
static unsigned int moved_entries(const struct sp_sessions *sessions)
{
	unsigned int moved = 0;

	for (uint32_t b = 0; b < sessions->index.n; b++)
		for (unsigned int way = 0; way < SP_INDEX_WAYS; way++)
			moved += sessions->index.bucket[b].tag[way] != 0 && (sessions->index.bucket[b].ref[way] & SP_INDEX_MOVED);
	return moved;
}

/*
 * The part of the hash that names the owner says nothing about the place in the owner's table: else each table would crowd into a share of
 * its buckets.
 */
static void tables_of_several_workers_are_used_whole(void **unused)
{
	const uint32_t max = 512;
	const unsigned int n_workers = 8;
	struct sp_frame frame;

	(void)unused;
	lab_start(&(struct lab_options){.n_workers = n_workers, .max4 = max, .max6 = 64}, RULES("\"10 allow udp\""));
	for (unsigned int i = 0; i < 3 * n_workers * max; i++) {
		const struct sp_frame_spec spec = {.proto = IPPROTO_UDP, .sport = (uint16_t)(1024 + i)};

		if (i == n_workers * max / 2)
			for (unsigned int w = 0; w < n_workers; w++)
				assert_in_range(moved_entries(lab.dataplane->workers[w]->sessions), 0, max / 4);
		sp_frame_build(&frame, &spec);
		lab_send_frame(IN, 0, &frame);
		if (i % 512 == 511) {
			lab_run();
			lab_count(OUT);
		}
	}
	lab_run();
	for (unsigned int w = 0; w < n_workers; w++)
		assert_int_equal(sp_sessions_counters(lab.dataplane->workers[w]->sessions)->active4, max);
	assert_int_equal(lab_sessions().evicted, 2 * n_workers * max); /* nobody answered them: each made room for another */
	lab_balance(0);
	lab_stop();
}

/* --- workers on threads of their own ------------------------------------------------------------------------------------------------ */

static void *worker_thread(void *worker)
{
	sp_worker_run(worker);
	return NULL;
}

/* The loop itself, with packets that come while it runs and a stop while they are on their way: none is lost or left behind. */
static void threads_hand_over_reload_and_drain(void **unused)
{
	static const char *const rules[] = {RULES("\"10 allow udp\""), RULES("\"10 allow udp log\", \"11 drop tcp\"")};
	const unsigned int n_workers = 3;
	pthread_t threads[3];
	unsigned int sent = 0, left = 0;
	struct sp_sessions_counters sessions;
	struct sp_stats stats;
	uint64_t held;

	(void)unused;
	for (unsigned int one_tx = 0; one_tx < 2; one_tx++) {
		sent = left = 0;
		lab_start(&(struct lab_options){.n_workers = n_workers, .one_tx_queue = one_tx}, rules[0]);
		lab.dataplane->adaptive = true;
		for (unsigned int w = 0; w < n_workers; w++)
			assert_int_equal(pthread_create(&threads[w], NULL, worker_thread, lab.dataplane->workers[w]), 0);
		for (unsigned int round = 0; round < 60; round++) {
			struct sp_live *old = NULL;

			for (unsigned int flow = 0; flow < FLOWS; flow++, sent++)
				send_numbered(flow % 2 ? IN : OUT, 0, flow, round % 256);
			if (round % 10 == 9) {
				uint64_t token;

				old = lab_swap(rules[round / 10 % 2]);
				token = rte_rcu_qsbr_start(lab.dataplane->qsbr);
				while (rte_rcu_qsbr_check(lab.dataplane->qsbr, token, false) != 1)
					usleep(100);
				sp_live_free(old);
			}
			usleep(200);
			left += lab_count(IN) + lab_count(OUT);
		}
		__atomic_store_n(&lab.dataplane->stop, 1, __ATOMIC_RELAXED);
		for (unsigned int w = 0; w < n_workers; w++)
			pthread_join(threads[w], NULL);
		left += lab_count(IN) + lab_count(OUT);
		sp_stats_sum(lab.dataplane, &stats, &sessions, &held);
		assert_int_equal(held, 0);
		assert_int_equal(stats.handed_out, stats.handed_in);
		assert_int_equal(stats.tx, left);
		lab_balance(0);
		assert_int_equal(stats.rx + rte_ring_count(lab.rx[IN][0]) + rte_ring_count(lab.rx[OUT][0]), sent);
		assert_int_equal(lab_drops(SP_DROP_DEFAULT) + lab_drops(SP_DROP_RULE), 0);
		assert_int_equal(lab.dataplane->drained, n_workers);
		lab_stop();
	}
}

/* Workers stop with their rings full: what waits is carried out, to the last packet. */
static void full_rings_are_drained(void **unused)
{
	const unsigned int n_workers = 3;
	pthread_t threads[3];
	struct sp_stats stats;

	(void)unused;
	for (unsigned int one_tx = 0; one_tx < 2; one_tx++) {
		lab_start(&(struct lab_options){.n_workers = n_workers, .one_tx_queue = one_tx}, RULES("\"10 allow udp\""));
		for (unsigned int number = 0; number < 30; number++)
			for (unsigned int flow = 0; flow < FLOWS; flow++)
				send_numbered(IN, 0, flow, number);
		while (lab_turn(0) > 0)
			;
		/* worker 1 empties its ring into worker 0's tx ring; worker 2 leaves its own as it is */
		while (lab_turn(1) > 0)
			;
		stats = lab_stats();
		assert_in_range(stats.handed_out - stats.handed_in, 100, 2 * SP_HANDOVER_RING);
		__atomic_store_n(&lab.dataplane->stop, 1, __ATOMIC_RELAXED);
		for (unsigned int w = n_workers; w-- > 0;)
			assert_int_equal(pthread_create(&threads[w], NULL, worker_thread, lab.dataplane->workers[w]), 0);
		for (unsigned int w = 0; w < n_workers; w++)
			pthread_join(threads[w], NULL);
		lab_balance(0);
		assert_int_equal(lab_stats().handed_out, lab_stats().handed_in);
		lab_stop();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_traffic_on_one_queue_keeps_order_and_sessions),
		cmocka_unit_test(full_handover_ring_drops_and_counts),
		cmocka_unit_test(stripped_tag_is_restored_once),
		cmocka_unit_test(owner_keeps_up_with_all_ports),
		cmocka_unit_test(shared_transmit_queue_drops_when_full),
		cmocka_unit_test(tables_of_several_workers_are_used_whole),
		cmocka_unit_test(threads_hand_over_reload_and_drain),
		cmocka_unit_test(full_rings_are_drained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
