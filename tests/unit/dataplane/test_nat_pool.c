/* SPDX-License-Identifier: BSD-3-Clause */
/* Ports: slices, blocks, bounds, exhaustion; who may come in; what a reload changes; backends. */
#include "tests/unit/dataplane/nat_fixture.h"

#define HOST "10.0.0.5"

static struct sp_frame_spec udp(const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	return (struct sp_frame_spec){.proto = IPPROTO_UDP, .src = src, .dst = dst, .sport = sport, .dport = dport};
}

static unsigned int nat_events(enum sp_nat_event what, struct sp_event *last)
{
	struct sp_event event;
	unsigned int n = 0;

	for (unsigned int w = 0; w < lab.dataplane->n_workers; w++)
		while (lab_event(w, &event))
			if (event.type == SP_EVENT_NAT && event.why == what) {
				n++;
				*last = event;
			}
	return n;
}

/* A host on the worker `w`. */
static const char *host_of(unsigned int w)
{
	static char text[INET_ADDRSTRLEN];

	for (unsigned int n = 1; n < 255; n++) {
		struct sp_addr addr = {.family = SP_FAMILY_IPV4, .b = {10, 0, 0, (uint8_t)n}};

		if (sp_nat_owner_of(lab.dataplane->nat, &addr) == w) {
			snprintf(text, sizeof(text), "10.0.0.%u", n);
			return text;
		}
	}
	fail();
	return NULL;
}

/* One host takes every port of its worker's slice, each once; then no more is to be had, and the neighbour's slice is untouched. */
static void slice_is_given_out_to_the_last_port(void **unused)
{
	static uint8_t seen_ports[65536];
	struct sp_event event;
	uint32_t slice;

	(void)unused;
	memset(seen_ports, 0, sizeof(seen_ports));
	lab_start(&(struct lab_options){.n_workers = 8, .max4 = 10000}, NAT_RULES(NAT_OUT("203.0.113.1", "")));
	slice = lab.dataplane->nat->slice_ports;
	assert_int_equal(slice, 8064);
	for (uint32_t n = 0; n < slice; n++) {
		struct sp_frame_spec out = udp(host_of(3), (uint16_t)(1000 + n), "198.51.100.7", 53);
		struct seen seen;

		nat_through(IN, &out, &seen);
		assert_in_range(seen.sport, 1024 + 3 * slice, 1024 + 4 * slice - 1);
		assert_int_equal(seen_ports[seen.sport]++, 0);
	}
	assert_int_equal(nat_events(SP_NAT_EVENT_EXHAUSTED, &event), 0);
	for (unsigned int n = 0; n < 10; n++) {
		struct sp_frame_spec out = udp(host_of(3), (uint16_t)(60000 + n), "198.51.100.7", 53);

		nat_dropped(IN, &out, SP_DROP_NAT_PORTS_EXHAUSTED);
	}
	assert_int_equal(nat_events(SP_NAT_EVENT_EXHAUSTED, &event), 1);
	assert_int_equal(event.rule, 1);
	{
		struct sp_frame_spec out = udp(host_of(4), 1000, "198.51.100.7", 53);
		struct seen seen;

		nat_through(IN, &out, &seen);
		out = (struct sp_frame_spec){.src = host_of(3), .dst = "198.51.100.7", .sport = 1, .dport = 80};
		nat_through(IN, &out, &seen); /* ports of TCP are others */
	}
	nat_stop();
}

static void ports_are_drawn_by_chance(void **unused)
{
	unsigned int ascending = 0, steps = 0;
	uint16_t last = 0;

	(void)unused;
	lab_start(&(struct lab_options){0}, NAT_RULES(NAT_OUT("203.0.113.1", "")));
	for (uint16_t n = 0; n < 200; n++) {
		struct sp_frame_spec out = udp(HOST, (uint16_t)(1000 + n), "198.51.100.7", 53);
		struct seen seen;

		nat_through(IN, &out, &seen);
		ascending += seen.sport > last;
		steps += seen.sport == last + 1;
		last = seen.sport;
	}
	assert_in_range(ascending, 60, 140);
	assert_in_range(steps, 0, 5);
	nat_stop();
}

static void max_per_source_bounds_a_host(void **unused)
{
	struct sp_frame_spec out;
	struct seen seen;

	(void)unused;
	lab_start(&(struct lab_options){0}, NAT_RULES(NAT_OUT("203.0.113.1", "max_per_source = 5;")));
	for (uint16_t n = 0; n < 5; n++) {
		out = udp(HOST, (uint16_t)(1000 + n), "198.51.100.7", 53);
		nat_through(IN, &out, &seen);
		out.dst = "198.51.100.8"; /* the same mapping */
		nat_through(IN, &out, &seen);
	}
	out = udp(HOST, 2000, "198.51.100.7", 53);
	nat_dropped(IN, &out, SP_DROP_NAT_MAX_PER_SOURCE);
	out.src = "10.0.0.6";
	nat_through(IN, &out, &seen);
	nat_stop();
}

/* RFC 6888: a host's ports come in blocks of its own, and only the blocks are told. */
static void blocks_belong_to_one_host(void **unused)
{
	uint32_t owner[1024] = {0}; /* of each 64 ports */
	struct sp_event event;
	struct seen seen;

	(void)unused;
	lab_start(&(struct lab_options){0}, NAT_RULES(NAT_OUT("203.0.113.1", "block_size = 64; log = \"both\";")));
	for (unsigned int n = 0; n < 600; n++) {
		char src[INET_ADDRSTRLEN];
		unsigned int host = n % 6;
		struct sp_frame_spec out;

		snprintf(src, sizeof(src), "10.0.1.%u", host + 1);
		out = udp(src, (uint16_t)(1000 + n), "198.51.100.7", 53);
		nat_through(IN, &out, &seen);
		if (owner[seen.sport / 64] == 0)
			owner[seen.sport / 64] = host + 1;
		assert_int_equal(owner[seen.sport / 64], host + 1);
	}
	assert_int_equal(lab.dataplane->nat->worker[0]->counters.blocks, 12);
	assert_int_equal(nat_events(SP_NAT_EVENT_BLOCK, &event), 12);
	assert_int_equal(event.bytes[0], 64);
	nat_stop();
}

static void mappings_are_told_when_the_entry_logs(void **unused)
{
	struct sp_frame_spec out = udp(HOST, 1000, "198.51.100.7", 53);
	struct sp_event event;
	struct seen seen;

	(void)unused;
	lab_start(&(struct lab_options){0}, NAT_RULES(NAT_OUT("203.0.113.1", "log = \"both\";")));
	nat_through(IN, &out, &seen);
	nat_through(IN, &out, &seen);
	assert_int_equal(nat_events(SP_NAT_EVENT_MAPPING, &event), 1);
	assert_int_equal(event.key.proto, IPPROTO_UDP);
	assert_int_equal(rte_be_to_cpu_16(event.key.sport), 1000);
	assert_int_equal(rte_be_to_cpu_16(event.key.dport), seen.sport);
	lab_pass(300);
	assert_int_equal(nat_events(SP_NAT_EVENT_MAPPING_END, &event), 1);
	assert_int_equal(rte_be_to_cpu_16(event.key.dport), seen.sport);
	nat_stop();
}

/* RFC 4787 5: who may come in by a mapping, when the rules allow it. */
static void filtering_decides_who_comes_in(void **unused)
{
	static const char *const filtering[] = {"session", "address", "endpoint"};

	(void)unused;
	for (unsigned int f = 0; f < RTE_DIM(filtering); f++) {
		char nat[512], text[1024];
		struct sp_frame_spec out = udp(HOST, 1000, "198.51.100.7", 53), in;
		struct seen seen, came;

		snprintf(nat, sizeof(nat),
			"{ id = 1; type = \"source\"; from = \"inside\"; to = \"outside\"; src = \"10.0.0.0/8\"; address = "
			"\"203.0.113.1\"; "
			"filtering = \"%s\"; }",
			filtering[f]);
		snprintf(text, sizeof(text),
			"version = 1; default = { action = \"drop\"; }; rules = (\"10 allow udp from inside\", \"11 allow udp from outside "
			"to "
			"inside 10.0.0.0/8\"); nat = (%s);",
			nat);
		lab_start(&(struct lab_options){0}, text);
		nat_through(IN, &out, &seen);
		in = udp("198.51.100.7", 9999, "203.0.113.1", seen.sport); /* another port of whom it sent to */
		if (f >= 1) {
			nat_through(OUT, &in, &came);
			assert_seen(&came, "198.51.100.7", 9999, HOST, 1000);
			in = seen_answer(&came);
			nat_through(IN, &in, &came);
			assert_seen(&came, "203.0.113.1", seen.sport, "198.51.100.7", 9999);
		} else {
			nat_dropped(OUT, &in, SP_DROP_DEFAULT);
		}
		in = udp("198.51.100.99", 9999, "203.0.113.1", seen.sport); /* a stranger */
		if (f == 2) {
			nat_through(OUT, &in, &came);
			assert_seen(&came, "198.51.100.99", 9999, HOST, 1000);
		} else {
			nat_dropped(OUT, &in, SP_DROP_DEFAULT);
		}
		assert_int_equal(nat_mappings(), 1);
		nat_stop();
	}
}

/* RFC 4787 REQ-9: two inside hosts by way of the outside of both. */
static void hairpin_shows_external_addresses(void **unused)
{
	struct sp_frame_spec out = udp(HOST, 1000, "198.51.100.7", 53), pin;
	struct seen first, second, seen;

	(void)unused;
	lab_start(&(struct lab_options){0},
		NAT_RULES("{ id = 1; type = \"source\"; from = \"inside\"; to = \"outside\"; src = \"10.0.0.0/8\"; "
			  "address = \"203.0.113.1\"; filtering = \"endpoint\"; }"));
	nat_through(IN, &out, &first);
	out.src = "10.0.0.6";
	nat_through(IN, &out, &second);
	pin = udp("10.0.0.6", 1000, "203.0.113.1", first.sport);
	nat_through(IN, &pin, &seen);
	assert_seen(&seen, "203.0.113.1", second.sport, HOST, 1000);
	nat_stop();
}

static void static_entries_work_both_ways(void **unused)
{
	struct sp_frame_spec out = udp("10.0.40.3", 1000, "198.51.100.7", 53), in = udp("198.51.100.9", 7, "203.0.113.68", 99);
	struct seen seen;

	(void)unused;
	lab_start(&(struct lab_options){0},
		NAT_RULES("{ id = 1; type = \"static\"; src = \"10.0.40.0/28\"; address = \"203.0.113.64/28\"; }"));
	nat_through(IN, &out, &seen);
	assert_seen(&seen, "203.0.113.67", 1000, "198.51.100.7", 53);
	out = seen_answer(&seen);
	nat_through(OUT, &out, &seen);
	assert_seen(&seen, "198.51.100.7", 53, "10.0.40.3", 1000);
	nat_through(OUT, &in, &seen);
	assert_seen(&seen, "198.51.100.9", 7, "10.0.40.4", 99);
	in = seen_answer(&seen);
	nat_through(IN, &in, &seen);
	assert_seen(&seen, "203.0.113.68", 99, "198.51.100.9", 7);
	/* what has no ports is as good */
	out = (struct sp_frame_spec){.proto = IPPROTO_SCTP, .src = "10.0.40.5", .dst = "198.51.100.7", .sport = 1, .dport = 2};
	nat_stop();
}

/* RFC 6296: another prefix, and no checksum above changes. */
static void prefix_is_checksum_neutral(void **unused)
{
	struct sp_frame_spec out = {.family = 6, .src = "fd00:1234:5678:1::5", .dst = "2001:db8:2::2", .sport = 1000, .dport = 80};
	struct sp_frame frame;
	struct seen seen;

	(void)unused;
	lab_start(&(struct lab_options){0},
		NAT_RULES("{ id = 1; type = \"prefix\"; src = \"fd00:1234:5678::/48\"; address = \"2001:db8:1::/48\"; }"));
	lab_build(&frame, &out);
	lab_send_frame(IN, 0, &frame);
	lab_run();
	assert_true(nat_see(OUT, &seen));
	assert_int_equal(strncmp(seen.src, "2001:db8:1:", 11), 0);
	assert_memory_equal(seen.bytes + seen.l4, frame.bytes + frame.l4, frame.len - frame.l4);
	out = seen_answer(&seen);
	nat_through(OUT, &out, &seen);
	assert_string_equal(seen.dst, "fd00:1234:5678:1::5");
	nat_stop();
}

/* IPv6 by a pool: addresses and ports. */
static void ipv6_has_pools_too(void **unused)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6};

	(void)unused;
	lab_start(&(struct lab_options){0}, NAT_RULES("{ id = 1; type = \"source\"; from = \"inside\"; to = \"outside\"; "
						      "address = \"2001:db8:1::10-2001:db8:1::1f\"; }"));
	for (size_t p = 0; p < RTE_DIM(protos); p++) {
		struct sp_frame_spec out = {.family = 6,
			.proto = protos[p],
			.src = "fd00::5",
			.dst = "2001:db8:2::2",
			.sport = 1000,
			.dport = 80,
			.icmp_id = 5000};
		struct sp_frame sent, error, about = {0};
		struct seen seen, back;

		if (protos[p] == IPPROTO_ICMPV6) {
			out.icmp_type = 128;
			out.sport = out.dport = 0;
		}
		out.payload_len = 40;
		lab_build(&sent, &out);
		lab_send_frame(IN, 0, &sent);
		lab_run();
		assert_true(nat_see(OUT, &seen));
		assert_int_equal(strncmp(seen.src, "2001:db8:1::1", 13), 0);
		about.len = seen.len;
		about.l3 = seen.l3;
		about.l4 = seen.l4;
		memcpy(about.bytes, seen.bytes, seen.len);
		sp_frame_build_error(&error, &about, 1, 4, 200);
		lab_send_frame(OUT, 0, &error);
		lab_run();
		assert_true(nat_see(IN, &back));
		assert_string_equal(back.dst, "fd00::5");
		assert_memory_equal(back.bytes + back.l4 + 8, sent.bytes + sent.l3, sent.len - sent.l3);
		out = seen_answer(&seen);
		nat_through(OUT, &out, &back);
		assert_string_equal(back.dst, "fd00::5");
		assert_int_equal(back.dport, protos[p] == IPPROTO_ICMPV6 ? 5000 : 1000);
	}
	nat_stop();
}

/* Sessions, and the mapping for new ones, stay through a reload; with another pool, new sessions start anew and old ones go on. */
static void reload_keeps_sessions_and_mappings(void **unused)
{
	struct sp_frame_spec out = udp(HOST, 1000, "198.51.100.7", 53), other = udp(HOST, 1000, "198.51.100.8", 53), back;
	struct seen first, seen;

	(void)unused;
	lab_start(&(struct lab_options){0}, NAT_RULES(NAT_OUT("203.0.113.1", "")));
	nat_through(IN, &out, &first);
	lab_rules(NAT_RULES(NAT_OUT("203.0.113.1-203.0.113.2", "")));
	nat_through(IN, &other, &seen);
	assert_seen(&seen, first.src, first.sport, "198.51.100.8", 53);
	lab_rules(NAT_RULES(NAT_OUT("203.0.113.9", "")));
	nat_through(IN, &out, &seen);
	assert_seen(&seen, first.src, first.sport, "198.51.100.7", 53);
	other.dst = "198.51.100.9";
	nat_through(IN, &other, &seen);
	assert_string_equal(seen.src, "203.0.113.9");
	lab_rules("version = 1; default = { action = \"allow\"; }; rules = ();");
	nat_through(IN, &out, &seen);
	assert_seen(&seen, first.src, first.sport, "198.51.100.7", 53);
	back = seen_answer(&first);
	nat_through(OUT, &back, &seen);
	assert_seen(&seen, "198.51.100.7", 53, HOST, 1000);
	out.dst = "198.51.100.77";
	nat_through(IN, &out, &seen);
	assert_seen(&seen, HOST, 1000, "198.51.100.77", 53);
	nat_stop();
}

static void backends_share_and_stick(void **unused)
{
	unsigned int per_backend[10] = {0}, moved = 0;
	char first[500][INET_ADDRSTRLEN];
	bool live[10];
	struct seen seen;
	unsigned int backend;

	(void)unused;
	lab_start(&(struct lab_options){.max4 = 4096},
		NAT_RULES("{ id = 7; type = \"destination\"; from = \"outside\"; proto = \"tcp\"; dst = "
			  "\"203.0.113.80\"; dport = 80; address = \"10.0.0.1-10.0.0.10\"; method = \"maglev\"; }"));
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int n = 0; n < 500; n++) {
			struct sp_frame_spec in = {
				.src = "198.51.100.7", .dst = "203.0.113.80", .sport = (uint16_t)(1000 + n + 500 * round), .dport = 80};

			nat_through(OUT, &in, &seen);
			assert_int_equal(sscanf(seen.dst, "10.0.0.%u", &backend), 1);
			assert_in_range(backend, 1, 10);
			if (round == 0)
				per_backend[backend - 1]++;
			else
				assert_int_not_equal(backend, 4);
			/* again: the same one */
			snprintf(first[n], sizeof(first[n]), "%.15s", seen.dst);
			nat_through(OUT, &in, &seen);
			assert_string_equal(seen.dst, first[n]);
		}
		memset(live, true, sizeof(live));
		live[3] = false;
		/* no worker runs that would have to be waited for */
		for (unsigned int b = 0; b < 10 && round == 0; b++)
			assert_in_range(per_backend[b], 20, 90);
		assert_int_equal(sp_nat_set_live(lab.dataplane, 7, live, 10), 0);
	}
	/* sessions stick: those on the dead backend, too */
	for (unsigned int n = 0; n < 500; n++) {
		struct sp_frame_spec in = {.src = "198.51.100.7", .dst = "203.0.113.80", .sport = (uint16_t)(1000 + n), .dport = 80};

		nat_through(OUT, &in, &seen);
		moved += strcmp(seen.dst, "10.0.0.4") == 0;
	}
	assert_int_equal(moved, per_backend[3]);
	memset(live, false, sizeof(live));
	assert_int_equal(sp_nat_set_live(lab.dataplane, 7, live, 10), 0);
	nat_dropped(OUT, &(struct sp_frame_spec){.src = "198.51.100.9", .dst = "203.0.113.80", .sport = 1, .dport = 80},
		SP_DROP_NAT_NO_BACKEND);
	/* what was said of health holds for rules to come */
	lab_rules(NAT_RULES("{ id = 7; type = \"destination\"; from = \"outside\"; proto = \"tcp\"; dst = \"203.0.113.81\"; dport = 80; "
			    "address = \"10.0.0.1-10.0.0.10\"; method = \"maglev\"; }"));
	nat_dropped(OUT, &(struct sp_frame_spec){.src = "198.51.100.9", .dst = "203.0.113.81", .sport = 1, .dport = 80},
		SP_DROP_NAT_NO_BACKEND);
	assert_int_equal(sp_nat_set_live(lab.dataplane, 8, live, 10), -ENOENT);
	nat_stop();
}

/* Ports of destination entries on an address of a pool are nobody's mapping. */
static void forwarded_ports_are_not_given_out(void **unused)
{
	(void)unused;
	lab_start(&(struct lab_options){.n_workers = 8, .max4 = 10000},
		NAT_RULES("{ id = 7; type = \"destination\"; from = \"outside\"; proto = \"udp\"; dst = \"203.0.113.1\"; dport = "
			  "\"25216-25247\"; "
			  "address = \"10.0.0.99\"; port = 53; }, " NAT_OUT("203.0.113.1", "")));
	for (uint32_t n = 0; n < 8064 - 32; n++) {
		struct sp_frame_spec out = udp(host_of(3), (uint16_t)(1000 + n), "198.51.100.7", 53);
		struct seen seen;

		lab_send(IN, &out);
		lab_run();
		if (!nat_see(OUT, &seen))
			fail_msg("no port for session %u", n);
		assert_false(seen.sport >= 25216 && seen.sport <= 25247);
	}
	nat_stop();
}

static void packets_without_ports_fail_closed(void **unused)
{
	(void)unused;
	lab_start(&(struct lab_options){0}, "version = 1; default = { action = \"allow\"; }; rules = (\"10 allow udp dport 99 stateless\", "
					    "\"11 allow icmp icmp_type 42\"); nat = (" NAT_OUT("203.0.113.1", "") ");");
	nat_dropped(IN, &(struct sp_frame_spec){.proto = IPPROTO_UDP, .src = HOST, .dst = "198.51.100.7", .dport = 99},
		SP_DROP_NAT_UNTRANSLATABLE);
	nat_dropped(IN, &(struct sp_frame_spec){.proto = 47, .src = HOST, .dst = "198.51.100.7"}, SP_DROP_NAT_UNTRANSLATABLE);
	nat_dropped(IN, &(struct sp_frame_spec){.proto = IPPROTO_ICMP, .icmp_type = 42, .src = HOST, .dst = "198.51.100.7"},
		SP_DROP_NAT_UNTRANSLATABLE);
	nat_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slice_is_given_out_to_the_last_port),
		cmocka_unit_test(ports_are_drawn_by_chance),
		cmocka_unit_test(max_per_source_bounds_a_host),
		cmocka_unit_test(blocks_belong_to_one_host),
		cmocka_unit_test(mappings_are_told_when_the_entry_logs),
		cmocka_unit_test(filtering_decides_who_comes_in),
		cmocka_unit_test(hairpin_shows_external_addresses),
		cmocka_unit_test(static_entries_work_both_ways),
		cmocka_unit_test(prefix_is_checksum_neutral),
		cmocka_unit_test(ipv6_has_pools_too),
		cmocka_unit_test(reload_keeps_sessions_and_mappings),
		cmocka_unit_test(backends_share_and_stick),
		cmocka_unit_test(forwarded_ports_are_not_given_out),
		cmocka_unit_test(packets_without_ports_fail_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
