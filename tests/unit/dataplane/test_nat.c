/* SPDX-License-Identifier: BSD-3-Clause */
/* Translation through whole workers, one packet after the other. */
#include "tests/unit/dataplane/nat_fixture.h"

static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};

static struct sp_frame_spec spec_of(uint8_t proto, const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	struct sp_frame_spec spec = {.proto = proto, .src = src, .dst = dst, .sport = sport, .dport = dport};

	if (proto == IPPROTO_ICMP) {
		spec.icmp_type = 8;
		spec.icmp_id = sport;
		spec.sport = spec.dport = 0;
	}
	return spec;
}

/* Out by an external address and port of ours, and the answer back to who asked. */
static void source_goes_out_and_comes_back(void **unused)
{
	(void)unused;
	lab_start(&(struct lab_options){0}, NAT_RULES(NAT_OUT("203.0.113.1", "")));
	for (size_t p = 0; p < RTE_DIM(protos); p++) {
		struct sp_frame_spec out = spec_of(protos[p], "10.0.0.5", 5000, "198.51.100.7", 53), back;
		struct seen seen, answer;

		nat_through(IN, &out, &seen);
		assert_string_equal(seen.src, "203.0.113.1");
		assert_string_equal(seen.dst, "198.51.100.7");
		assert_in_range(seen.sport, 1024, 65535);
		if (protos[p] != IPPROTO_ICMP)
			assert_int_equal(seen.dport, 53);
		back = seen_answer(&seen);
		nat_through(OUT, &back, &answer);
		if (protos[p] == IPPROTO_ICMP)
			assert_seen(&answer, "198.51.100.7", 5000, "10.0.0.5", 5000);
		else
			assert_seen(&answer, "198.51.100.7", 53, "10.0.0.5", 5000);
	}
	assert_int_equal(lab_active(), 3);
	assert_int_equal(nat_mappings(), 3);
	nat_stop();
}

/* RFC 4787 REQ-1 and REQ-2, RFC 5382 REQ-1, RFC 5508 REQ-1. */
static void mapping_does_not_depend_on_the_remote_end(void **unused)
{
	char remote[INET_ADDRSTRLEN];
	char address[INET6_ADDRSTRLEN] = "";

	(void)unused;
	lab_start(&(struct lab_options){0}, NAT_RULES(NAT_OUT("203.0.113.1-203.0.113.9", "")));
	for (size_t p = 0; p < RTE_DIM(protos); p++) {
		uint16_t port = 0;

		for (unsigned int n = 0; n < 20; n++) {
			struct sp_frame_spec out;
			struct seen seen;

			snprintf(remote, sizeof(remote), "198.51.100.%u", n + 1);
			out = spec_of(protos[p], "10.0.0.5", 5000, remote, (uint16_t)(n + 1));
			nat_through(IN, &out, &seen);
			assert_true(port == 0 || port == seen.sport);
			port = seen.sport;
			assert_true(address[0] == '\0' || strcmp(address, seen.src) == 0);
			snprintf(address, sizeof(address), "%s", seen.src);
		}
	}
	for (unsigned int n = 0; n < 20; n++) { /* other ports of the same host: the same address */
		struct sp_frame_spec out = spec_of(IPPROTO_UDP, "10.0.0.5", (uint16_t)(6000 + n), "198.51.100.7", 53);
		struct seen seen;

		nat_through(IN, &out, &seen);
		assert_string_equal(seen.src, address);
	}
	assert_int_equal(nat_mappings(), 23);
	nat_stop();
}

static void destination_changes_address_and_port(void **unused)
{
	struct sp_frame_spec in = spec_of(IPPROTO_TCP, "198.51.100.7", 6000, "203.0.113.80", 80), back;
	struct seen seen;

	(void)unused;
	lab_start(&(struct lab_options){0},
		NAT_RULES_OF("\"10 allow tcp to 10.0.0.80 dport 8080\", \"11 allow udp to 10.0.0.81 dport 7000-7010\"",
			"{ id = 1; type = \"destination\"; from = \"outside\"; proto = \"tcp\"; dst = \"203.0.113.80\"; dport = 80; "
			"address = \"10.0.0.80\"; port = 8080; },"
			"{ id = 2; type = \"destination\"; from = \"outside\"; proto = \"udp\"; dst = \"203.0.113.80\"; dport = "
			"\"6000-6010\"; address = \"10.0.0.81\"; port = \"7000-7010\"; }"));
	nat_through(OUT, &in, &seen);
	assert_seen(&seen, "198.51.100.7", 6000, "10.0.0.80", 8080);
	back = seen_answer(&seen);
	nat_through(IN, &back, &seen);
	assert_seen(&seen, "203.0.113.80", 80, "198.51.100.7", 6000);
	for (uint16_t p = 0; p <= 10; p++) {
		in = spec_of(IPPROTO_UDP, "198.51.100.7", 6000, "203.0.113.80", 6000 + p);
		nat_through(OUT, &in, &seen);
		assert_seen(&seen, "198.51.100.7", 6000, "10.0.0.81", 7000 + p);
	}
	/* what no rule allows stays as it came */
	in = spec_of(IPPROTO_UDP, "198.51.100.7", 6000, "203.0.113.80", 6011);
	nat_dropped(OUT, &in, SP_DROP_DEFAULT);
	nat_stop();
}

/* A session that has been settled, and one that goes the long way, are translated alike. */
static void connection_lives_through_the_translation(void **unused)
{
	struct sp_frame_spec flow = {.src = "10.0.0.5", .dst = "198.51.100.7", .sport = 5000, .dport = 80};
	struct sp_frame_spec wire;
	struct seen seen;
	uint32_t in = 1000, out = 9000;

	(void)unused;
	lab_start(&(struct lab_options){0}, NAT_RULES(NAT_OUT("203.0.113.1", "")));
	flow.tcp_flags = SYN;
	flow.seq = in++;
	nat_through(IN, &flow, &seen);
	wire = seen_answer(&seen);
	wire.seq = out++;
	wire.ack = in;
	nat_through(OUT, &wire, &seen);
	flow.tcp_flags = ACK;
	for (unsigned int n = 0; n < 10; n++) {
		flow.seq = in;
		flow.ack = out;
		flow.payload = "hello";
		flow.payload_len = n == 0 ? 0 : 5;
		in += (uint32_t)flow.payload_len;
		nat_through(IN, &flow, &seen);
		assert_string_equal(seen.src, "203.0.113.1");
		wire.tcp_flags = ACK;
		wire.seq = out;
		wire.ack = in;
		nat_through(OUT, &wire, &seen);
		assert_seen(&seen, "198.51.100.7", 80, "10.0.0.5", 5000);
	}
	flow.tcp_flags = RST | ACK;
	flow.seq = in;
	flow.payload_len = 0;
	nat_through(IN, &flow, &seen);
	assert_int_equal(nat_mappings(), 1);
	lab_pass(30); /* closed sessions go soon, and TCP needs no hold */
	assert_int_equal(nat_mappings(), 0);
	nat_stop();
}

/* RFC 4787 REQ-5: two minutes after the last packet of UDP the mapping is still there, sessions or not. */
static void mapping_outlives_its_session(void **unused)
{
	struct sp_frame_spec out = spec_of(IPPROTO_UDP, "10.0.0.5", 5000, "198.51.100.7", 53);
	struct seen first, second;

	(void)unused;
	lab_start(&(struct lab_options){0}, NAT_RULES(NAT_OUT("203.0.113.1", "")));
	nat_through(IN, &out, &first);
	lab_pass(121);
	assert_int_equal(lab_active(), 0);
	assert_int_equal(nat_mappings(), 1);
	out.dst = "198.51.100.8";
	nat_through(IN, &out, &second);
	assert_int_equal(second.sport, first.sport);
	lab_pass(160);
	assert_int_equal(nat_mappings(), 0);
	nat_stop();
}

/* RFC 5508 REQ-4: the quoted packet is what the inside sent, the error goes there; all checksums follow. */
static void errors_from_outside_are_translated(void **unused)
{
	(void)unused;
	lab_start(&(struct lab_options){0}, NAT_RULES(NAT_OUT("203.0.113.9", "")));
	for (size_t p = 0; p < RTE_DIM(protos); p++)
		for (size_t quote = 28; quote <= 128; quote += 20) {
			struct sp_frame_spec out = spec_of(protos[p], "10.0.0.5", (uint16_t)(5000 + quote), "198.51.100.7", 53);
			struct sp_frame original, about, error;
			struct seen seen;

			out.payload_len = 64;
			lab_build(&original, &out);
			lab_send_frame(IN, 0, &original);
			lab_run();
			assert_true(nat_see(OUT, &seen));
			about = (struct sp_frame){.len = seen.len, .l3 = seen.l3, .l4 = seen.l4};
			memcpy(about.bytes, seen.bytes, seen.len);
			sp_frame_build_error(&error, &about, 3, 3, quote);
			lab_send_frame(OUT, 0, &error);
			lab_run();
			if (!nat_see(IN, &seen))
				fail_msg("protocol %u, %zu bytes quoted: no error", protos[p], quote);
			assert_string_equal(seen.dst, "10.0.0.5");
			assert_string_equal(seen.src, "203.0.113.1"); /* whoever sent the error */
			/* the quoted bytes are those that the inside sent */
			assert_memory_equal(
				seen.bytes + seen.l4 + 8, original.bytes + original.l3, RTE_MIN(quote, original.len - original.l3));
		}
	lab_stop();
}

/* RFC 5508 REQ-5: an error of an inside host about an answer comes from the external address. */
static void errors_from_inside_are_translated(void **unused)
{
	struct sp_frame_spec out = spec_of(IPPROTO_UDP, "10.0.0.5", 5000, "198.51.100.7", 53), back;
	struct sp_frame answer, error, about;
	struct seen seen;

	(void)unused;
	lab_start(&(struct lab_options){0}, NAT_RULES(NAT_OUT("203.0.113.9", "")));
	nat_through(IN, &out, &seen);
	back = seen_answer(&seen);
	back.payload_len = 50;
	sp_frame_build(&answer, &back);
	lab_send_frame(OUT, 0, &answer);
	lab_run();
	assert_true(nat_see(IN, &seen));
	about = (struct sp_frame){.len = seen.len, .l3 = seen.l3, .l4 = seen.l4};
	memcpy(about.bytes, seen.bytes, seen.len);
	sp_frame_build_error(&error, &about, 3, 3, 128);
	lab_send_frame(IN, 0, &error);
	lab_run();
	assert_true(nat_see(OUT, &seen));
	assert_string_equal(seen.src, "203.0.113.9");
	assert_string_equal(seen.dst, "198.51.100.7");
	assert_memory_equal(seen.bytes + seen.l4 + 8, answer.bytes + answer.l3, answer.len - answer.l3);
	lab_stop();
}

/* Packets of one burst: the second finds the session that the first has opened. */
static void one_burst_has_one_mapping(void **unused)
{
	struct sp_frame_spec out = spec_of(IPPROTO_UDP, "10.0.0.5", 5000, "198.51.100.7", 53);
	struct seen seen;
	uint16_t port = 0;

	(void)unused;
	lab_start(&(struct lab_options){0}, NAT_RULES(NAT_OUT("203.0.113.1", "")));
	for (unsigned int n = 0; n < 20; n++)
		lab_send(IN, &out);
	lab_run();
	for (unsigned int n = 0; n < 20; n++) {
		assert_true(nat_see(OUT, &seen));
		assert_true(port == 0 || seen.sport == port);
		port = seen.sport;
		assert_string_equal(seen.src, "203.0.113.1");
	}
	assert_int_equal(lab_active(), 1);
	nat_stop();
}

/* With `none` an entry exempts, and no later one is asked. */
static void exempt_stays_as_it_is(void **unused)
{
	struct sp_frame_spec out = spec_of(IPPROTO_UDP, "10.0.0.5", 5000, "198.51.100.7", 53);
	struct seen seen;

	(void)unused;
	lab_start(&(struct lab_options){0},
		NAT_RULES("{ id = 9; type = \"source\"; dst = \"198.51.100.0/28\"; address = \"none\"; }, " NAT_OUT("203.0.113.1", "")));
	nat_through(IN, &out, &seen);
	assert_seen(&seen, "10.0.0.5", 5000, "198.51.100.7", 53);
	out.dst = "198.51.100.200";
	nat_through(IN, &out, &seen);
	assert_string_equal(seen.src, "203.0.113.1");
	nat_stop();
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Each end of a proxied handshake, and of what follows, sees the addresses of its own side; a SYN that is sent again, too. */
static void proxied_connection_is_translated(void **unused)
{
	struct sp_frame_spec client = {
		.src = "198.51.100.7", .dst = "203.0.113.80", .sport = 6000, .dport = 80, .tcp_flags = SYN, .seq = 1000};
	struct sp_frame_spec server = {.dst = "198.51.100.7", .src = "10.0.0.80", .dport = 6000, .sport = 8080};
	struct seen seen;
	uint32_t cookie;

	(void)unused;
	lab_start(&(struct lab_options){.floods = {.syn_proxy = SP_SYN_PROXY_ALWAYS,
						.mss4 = 1460,
						.mss6 = 1440,
						.wscale = 7,
						.embryonic_high = 64,
						.embryonic_low = 32,
						.calm_sec = 3}},
		NAT_RULES("{ id = 1; type = \"destination\"; from = \"outside\"; proto = \"tcp\"; dst = \"203.0.113.80\"; dport = 80; "
			  "address = \"10.0.0.80\"; port = 8080; }"));
	lab_send(OUT, &client);
	lab_run();
	assert_true(nat_see(OUT, &seen));
	assert_seen(&seen, "203.0.113.80", 80, "198.51.100.7", 6000);
	assert_int_equal(seen.flags, SYN | ACK);
	cookie = be32(seen.bytes + seen.l4 + 4);
	client.tcp_flags = ACK;
	client.seq = 1001;
	client.ack = cookie + 1;
	nat_through(OUT, &client, &seen);
	for (unsigned int n = 0; n < 3; n++) {
		assert_int_equal(seen.flags, SYN);
		assert_seen(&seen, "198.51.100.7", 6000, "10.0.0.80", 8080);
		lab_pass(1u << n);
		assert_true(nat_see(IN, &seen));
	}
	server.tcp_flags = SYN | ACK;
	server.seq = 70000;
	server.ack = 1001;
	lab_send(IN, &server);
	lab_run();
	assert_true(nat_see(IN, &seen));
	assert_seen(&seen, "198.51.100.7", 6000, "10.0.0.80", 8080);
	assert_int_equal(seen.flags, ACK);
	assert_true(nat_see(OUT, &seen));
	assert_seen(&seen, "203.0.113.80", 80, "198.51.100.7", 6000);
	client.payload = "ask";
	client.payload_len = 3;
	nat_through(OUT, &client, &seen);
	assert_seen(&seen, "198.51.100.7", 6000, "10.0.0.80", 8080);
	assert_int_equal(be32(seen.bytes + seen.l4 + 8), 70001);
	server.tcp_flags = ACK;
	server.seq = 70001;
	server.ack = 1004;
	server.payload = "tell";
	server.payload_len = 4;
	nat_through(IN, &server, &seen);
	assert_seen(&seen, "203.0.113.80", 80, "198.51.100.7", 6000);
	assert_int_equal(be32(seen.bytes + seen.l4 + 4), cookie + 1);
	lab_stop();
}

/* An error of a server, or of a router before it, comes from the address that the client knows. */
static void errors_behind_a_destination_are_translated(void **unused)
{
	struct sp_frame_spec in = spec_of(IPPROTO_UDP, "198.51.100.7", 6000, "203.0.113.80", 53);
	struct sp_frame sent, about, error;
	struct seen seen;

	(void)unused;
	lab_start(&(struct lab_options){0}, NAT_RULES("{ id = 1; type = \"destination\"; from = \"outside\"; proto = \"udp\"; dst = "
						      "\"203.0.113.80\"; dport = 53; address = \"10.0.0.80\"; port = 5353; }"));
	in.payload_len = 30;
	lab_build(&sent, &in);
	lab_send_frame(OUT, 0, &sent);
	lab_run();
	assert_true(nat_see(IN, &seen));
	about = (struct sp_frame){.len = seen.len, .l3 = seen.l3, .l4 = seen.l4};
	memcpy(about.bytes, seen.bytes, seen.len);
	sp_frame_build_error(&error, &about, 3, 3, 128);
	lab_send_frame(IN, 0, &error);
	lab_run();
	assert_true(nat_see(OUT, &seen));
	assert_string_equal(seen.src, "203.0.113.80");
	assert_string_equal(seen.dst, "198.51.100.7");
	assert_memory_equal(seen.bytes + seen.l4 + 8, sent.bytes + sent.l3, sent.len - sent.l3);
	lab_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(source_goes_out_and_comes_back),
		cmocka_unit_test(mapping_does_not_depend_on_the_remote_end),
		cmocka_unit_test(destination_changes_address_and_port),
		cmocka_unit_test(connection_lives_through_the_translation),
		cmocka_unit_test(mapping_outlives_its_session),
		cmocka_unit_test(errors_from_outside_are_translated),
		cmocka_unit_test(errors_from_inside_are_translated),
		cmocka_unit_test(one_burst_has_one_mapping),
		cmocka_unit_test(proxied_connection_is_translated),
		cmocka_unit_test(errors_behind_a_destination_are_translated),
		cmocka_unit_test(exempt_stays_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
