/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet's way through one worker: rx, every stage, tx or a counted drop.
 */
#include "tests/unit/dataplane/worker_fixture.h"

static const struct sp_frame_spec web, web6 = {.family = 6}, dns = {.proto = IPPROTO_UDP, .dport = 53}, telnet = {.dport = 23};

static void start(unsigned int n_workers, const char *rules)
{
	lab_start(&(struct lab_options){.n_workers = n_workers}, rules);
}

static void allowed_flow_passes_both_ways_and_is_counted(void **unused)
{
	const struct sp_frame_spec *const flows[] = {&web, &web6};
	struct sp_frame sent;
	struct rte_mbuf *mbuf;
	uint8_t bytes[SP_FRAME_MAX];

	(void)unused;
	start(1, RULES("\"10 allow tcp from inside to outside dport 443\""));
	for (size_t f = 0; f < RTE_DIM(flows); f++) {
		lab_build(&sent, flows[f]);
		lab_send_frame(IN, 0, &sent);
		lab_run();
		mbuf = lab_take(OUT);
		assert_non_null(mbuf);
		assert_int_equal(mbuf->pkt_len, sent.len);
		assert_memory_equal(rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, bytes), sent.bytes, sent.len);
		rte_pktmbuf_free(mbuf);
		lab_send_tcp(OUT, flows[f], SYN | ACK, NULL);
		lab_run();
		lab_send_tcp(IN, flows[f], ACK, NULL);
		lab_run();
		assert_int_equal(lab_count(IN), 1);
		assert_int_equal(lab_count(OUT), 1);
	}
	assert_int_equal(lab_active(), 2);
	assert_int_equal(lab_rule(10).hits, 2);
	assert_int_equal(lab_rule(10).packets, 6);
	assert_int_equal(lab_stats().tx_bytes, lab_stats().rx_bytes);
	assert_int_equal(lab_rule(10).bytes, lab_stats().rx_bytes);
	/* what the outside opens, no rule allows */
	lab_send(OUT, &telnet);
	lab_send(OUT, &dns);
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_DEFAULT), 2);
	assert_int_equal(lab_rule(0).hits, 2);
	assert_int_equal(lab_stats().ports[OUT].drops, 2);
	lab_balance(0);
	lab_stop();
}

static void reject_is_answered_to_the_sender(void **unused)
{
	struct rte_mbuf *mbuf;
	uint8_t bytes[SP_FRAME_MAX];

	(void)unused;
	start(1, RULES("\"20 reject tcp,udp dport 23,53\""));
	lab_send(IN, &telnet);
	lab_send(IN, &dns);
	lab_run();
	for (unsigned int n = 0; n < 2; n++) {
		mbuf = lab_take(IN);
		assert_non_null(mbuf);
		assert_true(sp_frame_checksums_ok(rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, bytes), mbuf->pkt_len));
		rte_pktmbuf_free(mbuf);
	}
	assert_int_equal(lab_count(OUT), 0);
	assert_int_equal(lab_drops(SP_DROP_RULE), 2);
	assert_int_equal(lab_stats().built, 2);
	assert_int_equal(lab_stats().rejects_built, 2);
	lab_balance(0);
	lab_stop();
}

static void answers_are_as_many_as_the_rate_says(void **unused)
{
	(void)unused;
	lab_start(&(struct lab_options){.reject_rate = 7}, RULES("\"20 reject tcp dport 23\""));
	for (unsigned int n = 0; n < 40; n++)
		lab_send(IN, &telnet);
	lab_run();
	assert_int_equal(lab_count(IN), 7);
	assert_int_equal(lab_stats().rejects_suppressed, 33);
	/* a second later as many again, whatever was asked meanwhile */
	lab.ms += 1000;
	for (unsigned int n = 0; n < 40; n++)
		lab_send(IN, &telnet);
	lab_run();
	assert_int_equal(lab_count(IN), 7);
	assert_int_equal(lab_drops(SP_DROP_RULE), 80);
	lab_balance(0);
	/* no answers at all */
	lab.dataplane->reject_rate = 0;
	lab.ms += 5000;
	lab_send(IN, &telnet);
	lab_run();
	assert_int_equal(lab_count(IN), 0);
	lab_stop();
}

static void port_without_peer_and_port_without_link_drop(void **unused)
{
	(void)unused;
	start(1, RULES("\"10 allow tcp,udp\""));
	lab.dataplane->ports[IN].peer = SP_NO_PORT;
	lab_send(IN, &web);
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_ROUTE_NO_EGRESS), 1);
	lab.dataplane->ports[IN].peer = OUT;
	lab.dataplane->ports[OUT].link_up = 0;
	lab_send(IN, &dns);
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_ROUTE_LINK_DOWN), 1);
	lab.dataplane->ports[OUT].pass_link = false;
	lab_send(IN, &dns);
	lab_run();
	assert_int_equal(lab_count(OUT), 1);
	lab_balance(0);
	lab_stop();
}

static void full_transmit_queue_drops_and_counts(void **unused)
{
	(void)unused;
	lab_start(&(struct lab_options){.tx_ring = 32}, RULES("\"10 allow udp\""));
	for (unsigned int n = 0; n < 100; n++)
		lab_send(IN, &dns);
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_QUEUE_TX), 100 - 31);
	assert_int_equal(lab_stats().tx, 31);
	assert_int_equal(lab_stats().tx_bytes * 100, lab_stats().rx_bytes * 31);
	assert_int_equal(lab_count(OUT), 31);
	lab_balance(0);
	lab_stop();
}

/* What a tx buffer holds is neither sent nor lost: it is held. */
static void transmit_buffer_is_accounted_for(void **unused)
{
	struct sp_worker *worker;
	struct sp_frame frame;

	(void)unused;
	start(1, RULES("\"10 allow udp\""));
	worker = lab.dataplane->workers[0];
	sp_frame_build(&frame, &dns);
	for (unsigned int n = 1; n <= SP_TX_BUFFER + 1; n++) {
		sp_count(&worker->stats.built, 1);
		sp_tx_queue(worker, OUT, sp_frame_mbuf(lab_pool, frame.bytes, frame.len));
		lab_balance(n <= SP_TX_BUFFER ? n : 1); /* a full buffer is sent to make room */
	}
	sp_tx_flush(worker, OUT);
	lab_balance(0);
	assert_int_equal(lab_stats().tx_bytes, (SP_TX_BUFFER + 1) * frame.len);
	assert_int_equal(lab_count(OUT), SP_TX_BUFFER + 1);
	lab_stop();
}

/* Every sample frame, whole and cut into segments of odd sizes, comes out as it went in. */
static void segments_pass_through_every_stage(void **unused)
{
	static const size_t cuts[][2] = {{1, 1}, {13, 7}, {14, 20}, {15, 3}, {34, 1}, {40, 0}};
	struct sp_frame frame;
	struct rte_mbuf *mbuf;
	uint8_t bytes[SP_FRAME_MAX];
	const char *name;
	unsigned int passed = 0;

	(void)unused;
	for (size_t c = 0; c < RTE_DIM(cuts); c++) {
		start(1, "version = 1; default = { action = \"allow\"; }; inspect = { all = { mode = \"block\"; patterns = ( { id = 1; "
			 "msg = \"m\"; pattern = \"never there\"; action = \"drop\"; } ); }; }; rules = ( \"1 allow udp inspect all\", \"2 "
			 "allow "
			 "tcp inspect all\", \"3 drop bpf 'ether[0] = 0xaa'\", \"4 allow ethertype 0x88cc\" );");
		for (unsigned int i = 0; sp_frame_sample(i, &frame, &name); i++) {
			lab_send_mbuf(IN, 0, sp_frame_mbuf_exact(lab_pool, frame.bytes, frame.len, cuts[c][0], cuts[c][1]));
			lab_run();
			while ((mbuf = lab_take(OUT)) != NULL) {
				assert_int_equal(mbuf->pkt_len, frame.len);
				assert_memory_equal(rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, bytes), frame.bytes, frame.len);
				rte_pktmbuf_free(mbuf);
				passed++;
			}
			lab_balance(0);
		}
		lab_stop();
	}
	assert_in_range(passed, 10 * RTE_DIM(cuts), UINT32_MAX);
}

static void frames_without_ip_meet_builtin_ethertype_and_default(void **unused)
{
	struct sp_frame arp, lldp, other;

	(void)unused;
	sp_frame_build_ether(&arp, 0x0806, 46);
	sp_frame_build_ether(&lldp, 0x88cc, 46);
	sp_frame_build_ether(&other, 0x88b5, 46);
	start(2, RULES("\"10 allow ethertype 0x88cc\""));
	lab_send_frame(IN, 0, &arp);
	lab_send_frame(IN, 0, &lldp);
	lab_send_frame(IN, 0, &other);
	lab_run();
	assert_int_equal(lab_count(OUT), 2);
	assert_int_equal(lab_drops(SP_DROP_ROUTE_NON_IP), 1);
	assert_int_equal(lab_active(), 0);
	lab_rules(RULES("\"10 drop ethertype 0x0806\""));
	lab_send_frame(IN, 0, &arp);
	lab_run();
	assert_int_equal(lab_count(OUT), 0);
	assert_int_equal(lab_drops(SP_DROP_RULE), 1);
	lab_balance(0);
	lab_stop();
}

/* Neighbour discovery passes before the rules when it comes from the link itself: hop limit 255. */
static void neighbour_discovery_passes_from_the_link_only(void **unused)
{
	struct sp_frame_spec solicit = {.family = 6, .proto = IPPROTO_ICMPV6, .icmp_type = 135, .ttl = 255, .payload_len = 16};

	(void)unused;
	start(1, RULES("\"10 drop icmpv6\""));
	lab_send(IN, &solicit);
	lab_run();
	assert_int_equal(lab_count(OUT), 1);
	solicit.ttl = 254;
	lab_send(IN, &solicit);
	lab_run();
	assert_int_equal(lab_count(OUT), 0);
	assert_int_equal(lab_drops(SP_DROP_RULE), 1);
	lab_stop();
}

/* A VLAN has a zone of its own on each port; a VLAN without one has the port's. */
static void zones_come_from_port_and_vlan(void **unused)
{
	struct sp_frame_spec tagged = dns;

	(void)unused;
	start(1, RULES("\"10 allow udp from inside to outside\", \"20 allow udp from guest to dmz\", \"30 drop udp from guest\""));
	lab.dataplane->ports[IN].zone[20] = 2;
	lab.dataplane->ports[OUT].zone[20] = 3;
	lab.dataplane->ports[IN].zone[30] = 2;
	tagged.n_tags = 1;
	tagged.tci[0] = 20 | 5 << 13; /* priority bits are no part of the id */
	lab_send(IN, &tagged);
	lab_run();
	assert_int_equal(lab_count(OUT), 1);
	assert_int_equal(lab_rule(20).hits, 1);
	tagged.tci[0] = 30; /* guest to outside */
	lab_send(IN, &tagged);
	lab_run();
	assert_int_equal(lab_rule(30).hits, 1);
	tagged.tci[0] = 40; /* the ports' own zones */
	lab_send(IN, &tagged);
	lab_send(IN, &dns);
	lab_run();
	assert_int_equal(lab_rule(10).hits, 2);
	assert_int_equal(lab_count(OUT), 2);
	/* the outer tag of two says the zone, and the same addresses on another inner tag are another session */
	tagged.n_tags = 2;
	tagged.tpid[0] = 0x88a8;
	tagged.tci[0] = 20;
	tagged.tci[1] = 40;
	lab_send(IN, &tagged);
	tagged.tci[1] = 41;
	lab_send(IN, &tagged);
	lab_run();
	assert_int_equal(lab_rule(20).hits, 3);
	assert_int_equal(lab_count(OUT), 2);
	assert_int_equal(lab_active(), 5);
	lab_balance(0);
	lab_stop();
}

/* Two wire pairs are two domains: the same addresses are other sessions, and nothing crosses over. */
static void pairs_do_not_see_each_other(void **unused)
{
	(void)unused;
	lab_start(&(struct lab_options){.n_ports = 4, .n_workers = 2}, RULES("\"10 allow tcp from inside\""));
	lab_send(IN, &web);
	lab_run();
	lab_send_tcp(3, &web, SYN | ACK, NULL); /* the reply, on the other pair */
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_DEFAULT), 1);
	lab_send_tcp(1, &web, SYN | ACK, NULL);
	lab_run();
	assert_int_equal(lab_count(0), 1);
	assert_int_equal(lab_count(1), 1);
	assert_int_equal(lab_count(2) + lab_count(3), 0);
	lab_balance(0);
	lab_stop();
}

/* An ICMP error passes with the session it is about, from either side; one that quotes a stranger does not. */
static void icmp_errors_belong_to_their_sessions(void **unused)
{
	const uint8_t types[][2] = {{3, 4}, {1, 2}}; /* IPv4: unreachable, any code; IPv6: packet too big */
	struct sp_frame about, error;

	(void)unused;
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		struct sp_frame_spec flow = {.family = v6 ? 6 : 4, .proto = IPPROTO_UDP}, back = lab_reply(&flow);

		for (unsigned int workers = 1; workers <= 3; workers++) {
			start(workers, RULES("\"10 allow udp from inside\""));
			lab_send(IN, &flow);
			lab_run();
			assert_int_equal(lab_count(OUT), 1);
			sp_frame_build(&about, &flow);
			sp_frame_build_error(&error, &about, types[v6][0], types[v6][1] > 3 ? 1 : 0, 48 + 8);
			lab_send_frame(OUT, 0, &error); /* about what the inside sent */
			lab_run();
			assert_int_equal(lab_count(IN), 1);
			sp_frame_build(&about, &back);
			sp_frame_build_error(&error, &about, types[v6][0], 0, 48 + 8);
			lab_send_frame(IN, 0, &error); /* about what came back */
			lab_run();
			assert_int_equal(lab_count(OUT), 1);
			assert_int_equal(lab_rule(10).packets, 3);
			flow.sport = 1234;
			sp_frame_build(&about, &flow);
			sp_frame_build_error(&error, &about, types[v6][0], 0, 48 + 8);
			lab_send_frame(OUT, 0, &error);
			lab_run();
			assert_int_equal(lab_count(IN), 0);
			assert_int_equal(lab_drops(SP_DROP_ICMP_NO_SESSION), 1);
			assert_int_equal(lab_active(), 1);
			flow.sport = 0;
			lab_balance(0);
			lab_stop();
		}
	}
}

/* Who claims to be the other end of a session, but sends from the wrong side, is dropped, and changes nothing. */
static void ends_of_a_session_stay_on_their_sides(void **unused)
{
	struct sp_frame_spec back = lab_reply(&web);

	(void)unused;
	start(1, RULES("\"10 allow tcp from inside\""));
	lab_send(IN, &web);
	lab_run();
	back.tcp_flags = RST | ACK;
	lab_send(IN, &back);
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_ROUTE_WRONG_ZONE), 1);
	lab_send_tcp(OUT, &web, SYN | ACK, NULL);
	lab_run();
	assert_int_equal(lab_count(IN), 1);
	assert_int_equal(lab_count(OUT), 1);
	lab_balance(0);
	lab_stop();
}

static void packets_without_a_session_are_told_apart(void **unused)
{
	struct sp_frame_spec echo_reply = {.proto = IPPROTO_ICMP, .icmp_type = 0, .icmp_id = 7};

	(void)unused;
	start(1, RULES("\"10 allow tcp,icmp\""));
	lab_send_tcp(IN, &web, ACK, "data");
	lab_send_tcp(IN, &web, SYN | ACK, NULL);
	lab_send_tcp(IN, &web, RST, NULL);
	lab_send_tcp(IN, &web, SYN | FIN, NULL);
	lab_send(IN, &echo_reply);
	lab_run();
	assert_int_equal(lab_drops(SP_DROP_TCP_NO_SESSION), 3);
	assert_int_equal(lab_drops(SP_DROP_TCP_FLAGS), 1);
	assert_int_equal(lab_drops(SP_DROP_ICMP_NO_SESSION), 1);
	assert_int_equal(lab_active(), 0);
	/* a stateless rule asks for no opening, and opens nothing */
	lab_rules(RULES("\"10 allow tcp stateless\""));
	lab_send_tcp(IN, &web, ACK, "data");
	lab_run();
	assert_int_equal(lab_count(OUT), 1);
	lab_send_tcp(OUT, &web, ACK, "data");
	lab_run();
	assert_int_equal(lab_count(IN), 1);
	assert_int_equal(lab_active(), 0);
	assert_int_equal(lab_rule(10).hits, 4 + 2);
	lab_stop();
}

static void stages_agree_on_an_unknown_protocol(void **unused)
{
	struct sp_frame_spec gre = {.proto = IPPROTO_GRE, .payload_len = 40}, back = lab_reply(&gre);

	(void)unused;
	start(1, RULES("\"10 allow gre from inside\""));
	lab_send(OUT, &back);
	lab_run();
	lab_send(IN, &gre);
	lab_run();
	assert_int_equal(lab_count(OUT), 1);
	lab_send(OUT, &back);
	lab_run();
	assert_int_equal(lab_count(IN), 1);
	assert_int_equal(lab_drops(SP_DROP_DEFAULT), 1);
	lab_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allowed_flow_passes_both_ways_and_is_counted),
		cmocka_unit_test(reject_is_answered_to_the_sender),
		cmocka_unit_test(answers_are_as_many_as_the_rate_says),
		cmocka_unit_test(port_without_peer_and_port_without_link_drop),
		cmocka_unit_test(full_transmit_queue_drops_and_counts),
		cmocka_unit_test(transmit_buffer_is_accounted_for),
		cmocka_unit_test(segments_pass_through_every_stage),
		cmocka_unit_test(frames_without_ip_meet_builtin_ethertype_and_default),
		cmocka_unit_test(neighbour_discovery_passes_from_the_link_only),
		cmocka_unit_test(zones_come_from_port_and_vlan),
		cmocka_unit_test(pairs_do_not_see_each_other),
		cmocka_unit_test(icmp_errors_belong_to_their_sessions),
		cmocka_unit_test(ends_of_a_session_stay_on_their_sides),
		cmocka_unit_test(packets_without_a_session_are_told_apart),
		cmocka_unit_test(stages_agree_on_an_unknown_protocol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
