/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Route mode through whole workers: which packets are forwarded and how they leave, which go up to Linux, and which end here and why.
 */
#include "tests/unit/dataplane/route_fixture.h"

/* Where a packet ends. */
enum where { LOST, UP, BY_IN, BY_OUT, BY_GUEST };

struct row {
	const char *name;
	struct sp_frame_spec spec;
	uint16_t port;
	const char *mac; /* that it is sent to, and the one that it is from where there are two; NULL: to the port's */
	enum where where;
	enum sp_drop_reason reason;
};

static int setup(void **unused)
{
	(void)unused;
	route_defaults();
	return 0;
}

static int cleanup(void **unused)
{
	(void)unused;
	if (lab.dataplane != NULL)
		lab_free();
	return 0;
}

static void start(const char *rules)
{
	route_start(&(struct lab_options){0}, rules);
	route_neighbour(LINK_GUEST, "203.0.113.7", 7);
	route_set("10.2.0.0", 16, SP_NEXTHOP_ID_BLACKHOLE);
}

static void build(struct sp_frame *frame, const struct row *row)
{
	lab_build(frame, &row->spec);
	for (unsigned int i = 0; row->mac != NULL && 3 * i < strlen(row->mac); i++)
		frame->bytes[i] = (uint8_t)strtoul(row->mac + 3 * i, NULL, 16);
}

static enum where find(struct rte_mbuf **mbuf)
{
	*mbuf = lab_take(OUT);
	if (*mbuf != NULL)
		return BY_OUT;
	*mbuf = lab_take(IN);
	if (*mbuf != NULL)
		return sp_read_be16(route_bytes(*mbuf) + 12) == 0x8100 ? BY_GUEST : BY_IN;
	*mbuf = route_take_up();
	return *mbuf != NULL ? UP : LOST;
}

/* A forwarded frame: a header of the link's, one hop less, and nothing else changed. */
static void check_forwarded(const struct row *row, const struct sp_frame *frame, const struct rte_mbuf *mbuf)
{
	const uint8_t *bytes = route_bytes(mbuf);
	size_t l3 = row->where == BY_GUEST ? 18 : 14, n = frame->len - frame->l3, header;
	bool v6 = bytes[l3] >> 4 == 6;
	uint8_t expected[SP_FRAME_MAX];

	header = v6 ? 40 : (bytes[l3] & 0xfu) * 4;
	assert_memory_equal(bytes + 6, route_mac, 6);
	assert_int_equal(bytes[4], 0x99);
	assert_int_equal(sp_read_be16(bytes + l3 - 2), v6 ? 0x86dd : 0x0800);
	if (row->where == BY_GUEST)
		assert_int_equal(sp_read_be16(bytes + 14), 20);
	assert_int_equal(mbuf->pkt_len, l3 + n);
	memcpy(expected, frame->bytes + frame->l3, n);
	expected[v6 ? 7 : 8]--;
	if (!v6) {
		assert_int_equal(sp_checksum_fold(sp_checksum_add(0, bytes + l3, header)), 0xffff);
		memcpy(expected + 10, bytes + l3 + 10, 2);
	}
	assert_memory_equal(bytes + l3, expected, n);
}

/* In two segments when `first` is not 0, with room before and behind, as NICs leave it. */
static struct rte_mbuf *make(const struct sp_frame *frame, bool room, size_t first)
{
	struct rte_mbuf *mbuf;

	if (first == 0)
		return room ? sp_frame_mbuf(lab_pool, frame->bytes, frame->len)
			    : sp_frame_mbuf_exact(lab_pool, frame->bytes, frame->len, 0, 0);
	mbuf = sp_frame_mbuf(lab_pool, frame->bytes, first);
	assert_int_equal(rte_pktmbuf_chain(mbuf, sp_frame_mbuf(lab_pool, frame->bytes + first, frame->len - first)), 0);
	return mbuf;
}

static void run_row(const struct row *row, size_t first)
{
	struct sp_stats before = lab_stats(), after;
	struct sp_frame frame;
	struct rte_mbuf *mbuf;
	enum where where;

	build(&frame, row);
	/* a tag needs room */
	lab_send_mbuf(row->port, 0, make(&frame, row->where == BY_GUEST, first));
	lab_run();
	after = lab_stats();
	where = find(&mbuf);
	for (unsigned int r = 0; r < SP_DROP_COUNT; r++)
		if (after.drops[r] - before.drops[r] != (r == row->reason && r != SP_DROP_NONE))
			fail_msg("%s: %s is %lu more", row->name, sp_drop_texts[r].name, (unsigned long)(after.drops[r] - before.drops[r]));
	if (row->where == LOST) {
		/* an error may have been built */
		if (mbuf != NULL)
			rte_pktmbuf_free(mbuf);
		assert_int_equal(where == BY_OUT || where == UP, false);
		return;
	}
	if (where != row->where)
		fail_msg("%s: went %d", row->name, where);
	if (where != UP)
		check_forwarded(row, &frame, mbuf);
	rte_pktmbuf_free(mbuf);
	assert_null(lab_take(OUT));
	assert_null(lab_take(IN));
	assert_null(route_take_up());
	lab_balance(0);
}

static void run_table(const struct row *table, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		lab.ms += 1000;
		run_row(&table[i], 0);
	}
}

#define UDP       .proto = IPPROTO_UDP
#define GUEST_TAG .n_tags = 1, .tci = {20}

static void links(void **unused)
{
	static const struct row table[] = {
		{"untagged", {UDP}, IN, NULL, BY_OUT, 0},
		{"priority tag", {UDP, .n_tags = 1, .tci = {0xe000}}, IN, NULL, BY_OUT, 0},
		{"vlan", {UDP, .src = "203.0.113.7", GUEST_TAG}, IN, NULL, BY_OUT, 0},
		{"vlan behind priority tag", {UDP, .src = "203.0.113.7", .n_tags = 2, .tci = {0xe000, 20}}, IN, NULL, BY_OUT, 0},
		{"to a vlan", {UDP, .dst = "203.0.113.7"}, IN, NULL, BY_GUEST, 0},
		{"vlan that is no link", {UDP, .n_tags = 1, .tci = {21}}, IN, NULL, LOST, SP_DROP_ROUTE_NO_LINK},
		{"vlan of the other port", {UDP, GUEST_TAG}, OUT, NULL, LOST, SP_DROP_ROUTE_NO_LINK},
		{"vlan in vlan", {UDP, .src = "203.0.113.7", .n_tags = 2, .tci = {20, 30}}, IN, NULL, LOST, SP_DROP_ROUTE_NO_LINK},
		{"vlan in a vlan that is none", {UDP, .src = "203.0.113.7", .n_tags = 2, .tci = {30, 20}}, IN, NULL, LOST,
			SP_DROP_ROUTE_NO_LINK},
		{"vlan in the same vlan", {UDP, .src = "203.0.113.7", .n_tags = 2, .tci = {20, 20}}, IN, NULL, LOST, SP_DROP_ROUTE_NO_LINK},
		{"other mac", {UDP, .sport = 1}, IN, "02:00:00:00:00:09", LOST, SP_DROP_ROUTE_NOT_OURS},
		{"group mac", {UDP, .sport = 2}, IN, "01:00:5e:00:00:01", LOST, SP_DROP_ROUTE_MULTICAST},
		{"broadcast mac", {UDP, .sport = 3}, IN, "ff:ff:ff:ff:ff:ff", LOST, SP_DROP_ROUTE_MULTICAST},
	};

	(void)unused;
	start(ROUTE_ALL);
	run_table(table, RTE_DIM(table));
	lab_stop();
}

static void routes(void **unused)
{
	static const struct row table[] = {
		{"udp", {UDP}, IN, NULL, BY_OUT, 0},
		{"udp6", {UDP, .family = 6}, IN, NULL, BY_OUT, 0},
		{"tcp back", {.src = "198.51.100.2", .dst = "192.0.2.1"}, OUT, NULL, BY_IN, 0},
		{"unknown protocol", {.proto = 99, .payload_len = 20}, IN, NULL, BY_OUT, 0},
		{"echo", {.proto = IPPROTO_ICMP, .icmp_type = 8}, IN, NULL, BY_OUT, 0},
		{"the last hop but one", {UDP, .ttl = 2}, IN, NULL, BY_OUT, 0},
		{"the last hop", {UDP, .ttl = 1}, IN, NULL, LOST, SP_DROP_ROUTE_TTL},
		{"the last hop, IPv6", {UDP, .ttl = 1, .family = 6}, IN, NULL, LOST, SP_DROP_ROUTE_TTL},
		{"no route", {UDP, .dst = "10.9.9.9"}, IN, NULL, LOST, SP_DROP_ROUTE_UNREACHABLE},
		{"no route, IPv6", {UDP, .dst = "2001:db8:9::9", .family = 6}, IN, NULL, LOST, SP_DROP_ROUTE_UNREACHABLE},
		{"blackhole", {UDP, .dst = "10.2.9.9"}, IN, NULL, LOST, SP_DROP_ROUTE_BLACKHOLE},
		{"back where it came from", {UDP, .sport = 9, .dst = "192.0.2.1", .src = "192.0.2.9"}, IN, NULL, BY_IN, 0},
		{"this network", {UDP, .src = "0.1.2.3"}, IN, NULL, LOST, SP_DROP_PARSE_ADDRESS},
		{"our own address", {UDP, .src = "192.0.2.254"}, IN, NULL, LOST, SP_DROP_ROUTE_MARTIAN},
		{"our own address elsewhere", {UDP, .src = "198.51.100.254"}, IN, NULL, LOST, SP_DROP_ROUTE_MARTIAN},
		{"our own address, IPv6", {UDP, .src = "2001:db8:2::fe", .family = 6}, IN, NULL, LOST, SP_DROP_ROUTE_MARTIAN},
		{"a broadcast address", {UDP, .src = "192.0.2.255"}, IN, NULL, LOST, SP_DROP_ROUTE_MARTIAN},
		{"link-local source", {UDP, .src = "169.254.1.1"}, IN, NULL, LOST, SP_DROP_ROUTE_LINK_LOCAL},
		{"link-local source, IPv6", {UDP, .src = "fe80::1", .family = 6}, IN, NULL, LOST, SP_DROP_ROUTE_LINK_LOCAL},
		{"link-local destination", {UDP, .dst = "169.254.1.1"}, IN, NULL, LOST, SP_DROP_ROUTE_LINK_LOCAL},
		{"link-local destination, IPv6", {UDP, .dst = "fe80::1", .family = 6}, IN, NULL, LOST, SP_DROP_ROUTE_LINK_LOCAL},
	};

	(void)unused;
	start(ROUTE_ALL);
	run_table(table, RTE_DIM(table));
	/* headers in pieces, as a NIC may split them */
	for (size_t first = 1; first < 80; first++) {
		run_row(&(struct row){"split", {UDP, .sport = (uint16_t)(9000 + first), .payload_len = 60}, IN, NULL, BY_OUT, 0}, first);
		run_row(&(struct row){"split, IPv6", {UDP, .family = 6, .sport = (uint16_t)(9000 + first), .payload_len = 60}, IN, NULL,
				BY_OUT, 0},
			first);
	}
	lab_stop();
}

static void reverse_path(void **unused)
{
	static const enum sp_drop_reason expected[3][4] = {
		/* a source of the other link, one without a route, the same two of IPv6 */
		[SP_RPF_STRICT] = {SP_DROP_ROUTE_RPF, SP_DROP_ROUTE_RPF, SP_DROP_ROUTE_RPF, SP_DROP_ROUTE_RPF},
		[SP_RPF_LOOSE] = {SP_DROP_NONE, SP_DROP_ROUTE_RPF, SP_DROP_NONE, SP_DROP_ROUTE_RPF},
		[SP_RPF_OFF] = {SP_DROP_NONE, SP_DROP_NONE, SP_DROP_NONE, SP_DROP_NONE},
	};

	(void)unused;
	for (unsigned int rpf = SP_RPF_STRICT; rpf <= SP_RPF_OFF; rpf++) {
		struct row table[] = {
			{"other link", {UDP, .src = "203.0.113.9"}, IN, NULL, BY_OUT, 0},
			{"no route", {UDP, .src = "10.9.9.9"}, IN, NULL, BY_OUT, 0},
			{"other link, IPv6", {UDP, .src = "2001:db8:2::9", .family = 6}, IN, NULL, BY_OUT, 0},
			{"no route, IPv6", {UDP, .src = "2001:db8:9::9", .family = 6}, IN, NULL, BY_OUT, 0},
			{"right link", {UDP}, IN, NULL, BY_OUT, 0},
			{"blackhole", {UDP, .src = "10.2.1.1"}, IN, NULL, rpf == SP_RPF_OFF ? BY_OUT : LOST, 0},
		};

		route_defaults();
		route_config.rpf = (uint8_t)rpf;
		start(ROUTE_ALL);
		for (unsigned int i = 0; i < 4; i++) {
			table[i].reason = expected[rpf][i];
			table[i].where = expected[rpf][i] == SP_DROP_NONE ? BY_OUT : LOST;
		}
		table[5].reason = rpf == SP_RPF_OFF ? SP_DROP_NONE : SP_DROP_ROUTE_RPF;
		run_table(table, RTE_DIM(table));
		lab_stop();
	}
}

/* An ICMP error that no session asked for is judged by its own source, not by that of the packet which it quotes. */
static void reverse_path_of_errors(void **unused)
{
	static const struct {
		const char *router; /* that claims to have sent it */
		enum sp_drop_reason reason;
	} table[] = {
		{"192.0.2.77", SP_DROP_NONE},
		{"203.0.113.77", SP_DROP_ROUTE_RPF},
		{"10.9.9.9", SP_DROP_ROUTE_RPF},
		{"198.51.100.254", SP_DROP_ROUTE_MARTIAN},
	};

	(void)unused;
	start(RULES("\"10 allow icmp\""));
	for (size_t t = 0; t < RTE_DIM(table); t++) {
		struct sp_frame about, error;
		uint8_t source[16];

		sp_frame_build(&about, &(struct sp_frame_spec){.src = "198.51.100.2", .dst = "192.0.2.1", .sport = (uint16_t)(t + 1)});
		sp_frame_build_error(&error, &about, 3, 1, 64);
		route_parse(table[t].router, source);
		memcpy(error.bytes + 26, source, 4);
		sp_frame_checksums(&error);
		lab_send_frame(IN, 0, &error);
		lab_run();
		assert_int_equal(lab_count(OUT), table[t].reason == SP_DROP_NONE);
		if (table[t].reason != SP_DROP_NONE)
			assert_int_not_equal(lab_drops(table[t].reason), 0);
	}
	lab_stop();
}

/* A source that several links lead to may come by each of them. */
static void reverse_path_of_groups(void **unused)
{
	uint32_t members[2], group;

	(void)unused;
	start(ROUTE_ALL);
	members[0] = route_neighbour(LINK_IN, "192.0.2.30", 1);
	members[1] = route_neighbour(LINK_GUEST, "203.0.113.30", 2);
	assert_int_equal(sp_nexthop_group(lab.dataplane->routing, members, 2, &group), 0);
	route_set("10.7.0.0", 16, group);
	run_row(&(struct row){"by the one", {UDP, .src = "10.7.1.1"}, IN, NULL, BY_OUT, 0}, 0);
	run_row(&(struct row){"by the other", {UDP, .src = "10.7.1.2", GUEST_TAG}, IN, NULL, BY_OUT, 0}, 0);
	run_row(&(struct row){"by neither", {UDP, .src = "10.7.1.3"}, OUT, NULL, LOST, SP_DROP_ROUTE_RPF}, 0);
	lab_stop();
}

/* A group's flows spread over its members, as their weights say; each flow stays with one. */
static void groups(void **unused)
{
	uint32_t members[3], group;
	unsigned int n[3] = {0};

	(void)unused;
	start(ROUTE_ALL);
	members[0] = route_neighbour(LINK_OUT, "198.51.100.30", 0x30);
	members[1] = members[2] = route_neighbour(LINK_OUT, "198.51.100.31", 0x31);
	assert_int_equal(sp_nexthop_group(lab.dataplane->routing, members, 3, &group), 0);
	route_set("10.7.0.0", 16, group);
	route_set("2001:db8:7::", 48, group);
	for (unsigned int i = 0; i < 600; i++) {
		struct sp_frame_spec spec = {UDP, .dst = "10.7.1.1", .sport = (uint16_t)(1000 + i / 2)};
		static uint8_t last;
		struct rte_mbuf *mbuf;

		lab_send(IN, &spec);
		lab_run();
		mbuf = lab_take(OUT);
		assert_non_null(mbuf);
		if (i % 2 == 1)
			assert_int_equal(route_bytes(mbuf)[5], last);
		last = route_bytes(mbuf)[5];
		assert_in_range(last, 0x30, 0x31);
		n[last - 0x30]++;
		rte_pktmbuf_free(mbuf);
	}
	assert_in_range(n[0], 140, 260);
	assert_in_range(n[1], 340, 460);
	lab_stop();
}

/* --- the firewall itself ---------------------------------------------------------------------------------------------------------- */

static void self_without_rules(void **unused)
{
	static const struct row table[] = {
		{"echo", {.proto = IPPROTO_ICMP, .icmp_type = 8, .dst = "192.0.2.254"}, IN, NULL, UP, 0},
		{"echo to another link", {.proto = IPPROTO_ICMP, .icmp_type = 8, .dst = "198.51.100.254"}, IN, NULL, UP, 0},
		{"echo6", {.proto = IPPROTO_ICMPV6, .icmp_type = 128, .dst = "2001:db8:1::fe", .family = 6}, IN, NULL, UP, 0},
		{"echo with one hop", {.proto = IPPROTO_ICMP, .icmp_type = 8, .icmp_id = 5, .dst = "192.0.2.254", .ttl = 1}, IN, NULL, UP,
			0},
		{"timestamp", {.proto = IPPROTO_ICMP, .icmp_type = 13, .dst = "192.0.2.254"}, IN, NULL, LOST, SP_DROP_DEFAULT},
		{"udp", {UDP, .dst = "192.0.2.254"}, IN, NULL, LOST, SP_DROP_DEFAULT},
		{"tcp", {.dst = "192.0.2.254", .dport = 22}, IN, NULL, LOST, SP_DROP_DEFAULT},
		{"broadcast", {UDP, .dst = "192.0.2.255"}, IN, NULL, LOST, SP_DROP_DEFAULT},
		{"multicast", {UDP, .dst = "224.0.0.5"}, IN, "01:00:5e:00:00:05", LOST, SP_DROP_DEFAULT},
		{"spoofed echo", {.proto = IPPROTO_ICMP, .icmp_type = 8, .dst = "192.0.2.254", .src = "203.0.113.9"}, IN, NULL, LOST,
			SP_DROP_ROUTE_RPF},
		{"ourselves", {.proto = IPPROTO_ICMP, .icmp_type = 8, .dst = "192.0.2.254", .src = "198.51.100.254"}, IN, NULL, LOST,
			SP_DROP_ROUTE_MARTIAN},
	};

	(void)unused;
	start(ROUTE_ALL);
	run_table(table, RTE_DIM(table));
	lab_stop();
}

static void self_by_rules(void **unused)
{
	static const struct row table[] = {
		{"ssh", {.dst = "192.0.2.254", .dport = 22}, IN, NULL, UP, 0},
		{"from elsewhere", {.src = "198.51.100.2", .dst = "198.51.100.254", .dport = 22}, OUT, NULL, LOST, SP_DROP_DEFAULT},
		{"ospf", {.proto = 89, .dst = "224.0.0.5", .payload_len = 24, .ttl = 1}, IN, "01:00:5e:00:00:05", UP, 0},
		{"own ospf", {.proto = 89, .dst = "224.0.0.5", .payload_len = 24, .ttl = 1}, IN, "01:00:5e:00:00:05 02:00:00:00:00:02",
			LOST, SP_DROP_ROUTE_OWN},
		{"bgp6", {.family = 6, .dst = "2001:db8:1::fe", .dport = 179}, IN, NULL, UP, 0},
		{"no rule for the firewall itself", {UDP, .dst = "192.0.2.254", .dport = 53}, IN, NULL, LOST, SP_DROP_DEFAULT},
		{"but for what is behind", {UDP, .dport = 53}, IN, NULL, BY_OUT, 0},
	};

	(void)unused;
	start(RULES("\"10 allow tcp from inside to self dport 22,179\", \"11 allow ospf to self\", \"12 allow udp dport 53\""));
	run_table(table, RTE_DIM(table));
	assert_int_equal(lab_rule(10).hits, 2);
	lab_stop();
}

/* What Linux opens, and what answers it. */
static void linux_speaks(void **unused)
{
	struct sp_frame_spec out = {.src = "198.51.100.254", .dst = "198.51.100.2", .dport = 80}, back = lab_reply(&out);
	struct sp_frame frame;
	struct rte_mbuf *mbuf;

	(void)unused;
	start(RULES(""));
	lab_build(&frame, &out);
	route_send_down(LINK_OUT, &frame);
	lab_run();
	mbuf = lab_take(OUT);
	assert_non_null(mbuf);
	assert_int_equal(mbuf->pkt_len, frame.len);
	assert_memory_equal(route_bytes(mbuf), frame.bytes, frame.len); /* Linux has made it all, TTL included */
	rte_pktmbuf_free(mbuf);
	back.tcp_flags = SYN | ACK;
	lab_send(OUT, &back);
	lab_run();
	mbuf = route_take_up();
	assert_non_null(mbuf);
	assert_int_equal(mbuf->port, LINK_OUT);
	rte_pktmbuf_free(mbuf);
	assert_int_equal(lab_stats().from_kernel, 1);
	assert_int_equal(lab_stats().to_kernel, 1);
	/* not from another link */
	lab_send(IN, &back);
	lab_run();
	assert_null(route_take_up());
	lab_balance(0);
	lab_stop();
}

/* By a VLAN's TAP it leaves with the tag, and comes up without. */
static void linux_on_a_vlan(void **unused)
{
	struct sp_frame_spec out = {.proto = IPPROTO_ICMP, .icmp_type = 8, .src = "203.0.113.254", .dst = "203.0.113.7"};
	struct sp_frame_spec back = {
		.proto = IPPROTO_ICMP, .icmp_type = 0, .src = "203.0.113.7", .dst = "203.0.113.254", .n_tags = 1, .tci = {20}};
	struct sp_frame frame;
	struct rte_mbuf *mbuf;

	(void)unused;
	start(RULES(""));
	sp_frame_build(&frame, &out);
	route_send_down(LINK_GUEST, &frame);
	lab_run();
	mbuf = lab_take(IN);
	assert_non_null(mbuf);
	assert_int_equal(mbuf->pkt_len, frame.len + 4);
	assert_memory_equal(route_bytes(mbuf), frame.bytes, 12);
	assert_int_equal(sp_read_be32(route_bytes(mbuf) + 12), 0x81000014);
	assert_memory_equal(route_bytes(mbuf) + 16, frame.bytes + 12, frame.len - 12);
	rte_pktmbuf_free(mbuf);
	sp_frame_build(&frame, &back);
	lab_send_frame(IN, 0, &frame);
	lab_run();
	mbuf = route_take_up();
	assert_non_null(mbuf);
	assert_int_equal(mbuf->port, LINK_GUEST);
	assert_int_equal(mbuf->pkt_len, frame.len - 4);
	assert_memory_equal(route_bytes(mbuf) + 12, frame.bytes + 16, frame.len - 16);
	rte_pktmbuf_free(mbuf);
	lab_stop();
}

/* Frames by their classes, each with its rate. */
static void rates_to_linux(void **unused)
{
	struct sp_frame arp, echo, udp;

	(void)unused;
	memset(route_config.self_rate, 0, sizeof(route_config.self_rate));
	route_config.self_rate[SP_SELF_ARP] = 100;
	route_config.self_rate[SP_SELF_ICMP] = 50;
	start(RULES("\"10 allow udp to self\", \"11 allow icmp to self\""));
	lab.ms = 5000;
	sp_frame_build_ether(&arp, 0x0806, 46);
	sp_frame_build(&echo, &(struct sp_frame_spec){.proto = IPPROTO_ICMP, .icmp_type = 8, .dst = "192.0.2.254"});
	sp_frame_build(&udp, &(struct sp_frame_spec){.proto = IPPROTO_UDP, .dst = "192.0.2.254"});
	for (unsigned int i = 0; i < 100; i++) {
		lab_send_frame(IN, 0, &arp);
		lab_send_frame(IN, 0, &echo);
		lab_send_frame(IN, 0, &udp);
	}
	lab_run();
	assert_in_range(lab_stats().to_kernel, 10 + 5, 12 + 7);
	assert_int_equal(lab_drops(SP_DROP_ROUTE_SELF_RATE), 300 - lab_stats().to_kernel);
	assert_int_equal(route_count_up(), lab_stats().to_kernel);
	lab_balance(0);
	lab_stop();
}

/* A full ring to Linux drops, and the accounts know. */
static void a_full_ring_to_linux(void **unused)
{
	struct sp_frame arp;

	(void)unused;
	route_config.self_rate[SP_SELF_ARP] = 1000000;
	start(RULES(""));
	sp_frame_build_ether(&arp, 0x0806, 46);
	for (unsigned int i = 0; i < SP_KERNEL_RING + 100; i++)
		lab_send_frame(IN, 0, &arp);
	lab_run();
	assert_int_equal(lab_stats().to_kernel, SP_KERNEL_RING - 1);
	assert_int_equal(lab_drops(SP_DROP_QUEUE_KERNEL), 101);
	lab_balance(0);
	route_count_up();
	lab_stop();
}

/* --- sessions --------------------------------------------------------------------------------------------------------------------- */

static void rules_see_the_zone_of_the_route(void **unused)
{
	static const struct row table[] = {
		{"to outside", {UDP}, IN, NULL, BY_OUT, 0},
		{"to guest", {UDP, .dst = "203.0.113.7"}, IN, NULL, LOST, SP_DROP_DEFAULT},
		{"from guest", {UDP, .src = "203.0.113.7", .dst = "192.0.2.1", GUEST_TAG}, IN, NULL, BY_IN, 0},
		{"and back", {UDP, .src = "192.0.2.1", .dst = "203.0.113.7", .sport = 443, .dport = 40000}, IN, NULL, BY_GUEST, 0},
		{"from outside", {UDP, .src = "198.51.100.2", .dst = "192.0.2.1", .sport = 7}, OUT, NULL, LOST, SP_DROP_DEFAULT},
	};

	(void)unused;
	start(RULES("\"10 allow udp from inside to outside\", \"11 allow udp from guest to inside\""));
	run_table(table, RTE_DIM(table));
	lab_stop();
}

/* A session goes where its rule let it go: not into another zone when its route changes. */
static void a_route_changes(void **unused)
{
	const struct row to_out = {"to outside", {UDP, .dst = "10.7.1.1"}, IN, NULL, BY_OUT, 0};
	const struct row lost = {"to guest", {UDP, .dst = "10.7.1.1"}, IN, NULL, LOST, SP_DROP_ROUTE_ZONE_CHANGED};
	const struct row back = {"back", {UDP, .src = "10.7.1.1", .dst = "192.0.2.1", .sport = 443, .dport = 40000}, OUT, NULL, BY_IN, 0};
	uint32_t out, guest;

	(void)unused;
	start(RULES("\"10 allow udp from inside to outside\""));
	out = route_neighbour(LINK_OUT, "198.51.100.30", 1);
	guest = route_neighbour(LINK_GUEST, "203.0.113.30", 2);
	route_set("10.7.0.0", 16, out);
	run_row(&to_out, 0);
	run_row(&back, 0);
	route_set("10.7.0.0", 16, guest);
	run_row(&lost, 0);
	/* and not in from there, either */
	run_row(&(struct row){"reply from guest", {UDP, .src = "10.7.1.1", .dst = "192.0.2.1", .sport = 443, .dport = 40000, GUEST_TAG}, IN,
			NULL, LOST, SP_DROP_ROUTE_WRONG_ZONE},
		0);
	route_set("10.7.0.0", 16, out);
	run_row(&to_out, 0);
	lab_stop();
}

/* Packets of one burst that leave by the same port in different ways: each once, and those of a flow in order. */
static void a_mixed_burst(void **unused)
{
	(void)unused;
	start(ROUTE_ALL);
	for (unsigned int first = 0; first < 6; first++) {
		unsigned int n = 0;
		struct rte_mbuf *mbuf;

		for (unsigned int i = 0; i < 30; i++) {
			struct sp_frame_spec spec = {.proto = IPPROTO_UDP, .sport = (uint16_t)(100 + i)};
			struct sp_frame whole, fragment;

			switch ((i + first) % 6) {
			case 0: /* a tag that goes */
				spec.n_tags = 1;
				spec.tci[0] = 0x2000;
				break;
			case 1:
				break;
			case 2:
				spec.family = 6;
				break;
			case 3: /* by another port */
				spec.dst = "203.0.113.7";
				break;
			case 4:
				spec.payload_len = 64;
				break;
			default:
				spec.payload_len = 200;
			}
			sp_frame_build(&whole, &spec);
			if (spec.payload_len != 200) {
				lab_send_mbuf(IN, 0, make(&whole, true, 0));
				continue;
			}
			sp_frame_cut(&fragment, &whole, i, 0, 104, false);
			lab_send_mbuf(IN, 0, make(&fragment, true, 0));
			sp_frame_cut(&fragment, &whole, i, 104, 104, false);
			lab_send_mbuf(IN, 0, make(&fragment, true, 0));
		}
		lab_run();
		lab_balance(0);
		while ((mbuf = lab_take(OUT)) != NULL) {
			assert_int_equal(rte_mbuf_check(mbuf, 1, &(const char *){NULL}), 0);
			rte_pktmbuf_free(mbuf);
			n++;
		}
		assert_int_equal(n, 30);
		assert_int_equal(lab_count(IN), 5);
	}
	lab_stop();
}

/* Every packet meets its worker, whatever queue it came by. */
static void several_workers(void **unused)
{
	(void)unused;
	for (unsigned int n = 2; n <= 4; n++) {
		route_start(&(struct lab_options){.n_workers = n, .n_queues = 4}, RULES("\"10 allow tcp from inside to outside\""));
		for (unsigned int i = 0; i < 60; i++) {
			struct sp_frame_spec spec = {.sport = (uint16_t)(5000 + i)}, back = lab_reply(&spec);
			struct sp_frame frame;

			lab_build(&frame, &spec);
			lab_send_frame(IN, i % 4, &frame);
			lab_run();
			assert_int_equal(lab_count(OUT), 1);
			back.tcp_flags = SYN | ACK;
			lab_build(&frame, &back);
			lab_send_frame(OUT, (i + 1 + i / 4) % 4, &frame);
			lab_run();
			assert_int_equal(lab_count(IN), 1);
			lab_balance(0);
		}
		assert_int_equal(lab_active(), 60);
		lab_stop();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(links, setup, cleanup),
		cmocka_unit_test_setup_teardown(routes, setup, cleanup),
		cmocka_unit_test_setup_teardown(reverse_path, setup, cleanup),
		cmocka_unit_test_setup_teardown(reverse_path_of_errors, setup, cleanup),
		cmocka_unit_test_setup_teardown(reverse_path_of_groups, setup, cleanup),
		cmocka_unit_test_setup_teardown(groups, setup, cleanup),
		cmocka_unit_test_setup_teardown(self_without_rules, setup, cleanup),
		cmocka_unit_test_setup_teardown(self_by_rules, setup, cleanup),
		cmocka_unit_test_setup_teardown(linux_speaks, setup, cleanup),
		cmocka_unit_test_setup_teardown(linux_on_a_vlan, setup, cleanup),
		cmocka_unit_test_setup_teardown(rates_to_linux, setup, cleanup),
		cmocka_unit_test_setup_teardown(a_full_ring_to_linux, setup, cleanup),
		cmocka_unit_test_setup_teardown(rules_see_the_zone_of_the_route, setup, cleanup),
		cmocka_unit_test_setup_teardown(a_route_changes, setup, cleanup),
		cmocka_unit_test_setup_teardown(a_mixed_burst, setup, cleanup),
		cmocka_unit_test_setup_teardown(several_workers, setup, cleanup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
