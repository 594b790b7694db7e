/* SPDX-License-Identifier: BSD-3-Clause */
/* What each field matches, indexed and residual. */
#include "policy_of.h"

#include "rules/match.h"
#include "rules/miss.h"
#include "rules/packet_text.h"

#define ALL (-1)

static struct sp_packet_text packet_of(const struct sp_policy *policy, const char *text)
{
	struct sp_packet_text packet;
	char why[160];

	if (sp_packet_text_parse(text, &policy->zones, &packet, why, sizeof(why)) != 0)
		fail_msg("'%s': %s", text, why);
	return packet;
}

/* Each rule against a packet: the field that fails, ALL when the indexed fields match. */
static const struct {
	const char *rule, *packet;
	int failed;
} rows[] = {
	{"1 drop", "tcp 192.0.2.1 > 192.0.2.2", ALL},
	{"1 drop", "47 2001:db8::1 > 2001:db8::2", ALL},
	{"1 drop", "arp", SP_FIELD_ETHERTYPE},
	{"1 drop from inside", "arp from inside", SP_FIELD_ETHERTYPE},
	{"1 drop vlan 5", "arp vlan=5", SP_FIELD_ETHERTYPE},
	{"1 drop ethertype arp", "arp", ALL},
	{"1 drop ethertype arp from inside", "arp from inside", ALL},
	{"1 drop ethertype arp from inside", "arp", SP_FIELD_FROM},
	{"1 drop ethertype arp", "ethertype=lldp", SP_FIELD_ETHERTYPE},
	{"1 drop ethertype arp", "tcp 192.0.2.1 > 192.0.2.2", SP_FIELD_ETHERTYPE},
	{"1 drop ethertype ipv4", "tcp 192.0.2.1 > 192.0.2.2", ALL},
	{"1 drop ethertype ipv4 ", "tcp 2001:db8::1 > 2001:db8::2", SP_FIELD_ETHERTYPE},
	{"1 drop tcp ethertype ipv4", "tcp 192.0.2.1 > 192.0.2.2", ALL},
	{"1 drop ethertype llc", "ethertype=llc", ALL},
	{"1 drop tcp", "tcp 192.0.2.1 > 192.0.2.2", ALL},
	{"1 drop tcp", "udp 192.0.2.1 > 192.0.2.2", SP_FIELD_PROTO},
	{"1 drop tcp,udp", "udp 192.0.2.1 > 192.0.2.2", ALL},
	{"1 drop 255", "255 192.0.2.1 > 192.0.2.2", ALL},
	{"1 drop icmp", "icmp 192.0.2.1 > 192.0.2.2", ALL},
	{"1 drop icmp", "icmpv6 2001:db8::1 > 2001:db8::2", SP_FIELD_PROTO},
	{"1 drop icmpv6", "icmpv6 2001:db8::1 > 2001:db8::2", ALL},
	{"1 drop icmp icmp_type 8", "icmp 192.0.2.1 > 192.0.2.2", ALL},
	{"1 drop icmp icmp_type 0", "icmp 192.0.2.1 > 192.0.2.2", SP_FIELD_ICMP_TYPE},
	{"1 drop icmp icmp_type 3 icmp_code 4", "icmp 192.0.2.1 > 192.0.2.2 type=3 code=4", ALL},
	{"1 drop icmp icmp_type 3 icmp_code 4", "icmp 192.0.2.1 > 192.0.2.2 type=3 code=5", SP_FIELD_ICMP_CODE},
	{"1 drop icmp,icmpv6 icmp_type echo-request", "icmpv6 2001:db8::1 > 2001:db8::2", ALL},
	{"1 drop dport 53", "tcp 192.0.2.1 > 192.0.2.2:53", ALL},
	{"1 drop dport 53", "sctp 192.0.2.1 > 192.0.2.2:53", ALL},
	{"1 drop dport 53", "17 192.0.2.1 > 192.0.2.2:53", ALL},
	{"1 drop dport 8", "icmp 192.0.2.1 > 192.0.2.2 code=8", SP_FIELD_PROTO},
	{"1 drop dport 53", "udp 192.0.2.1:53 > 192.0.2.2:54", SP_FIELD_DPORT},
	{"1 drop sport 53", "udp 192.0.2.1:53 > 192.0.2.2:54", ALL},
	{"1 drop udp sport 50-60,70", "udp 192.0.2.1:61 > 192.0.2.2", SP_FIELD_SPORT},
	{"1 drop udp sport 50-60,70", "udp 192.0.2.1:70 > 192.0.2.2", ALL},
	{"1 drop from inside", "tcp 192.0.2.1 > 192.0.2.2", SP_FIELD_FROM},
	{"1 drop from inside", "tcp 192.0.2.1 > 192.0.2.2 from inside", ALL},
	{"1 drop from inside to outside", "tcp 192.0.2.1 > 192.0.2.2 from outside", SP_FIELD_FROM},
	{"1 drop from inside to outside,dmz", "tcp 192.0.2.1 > 192.0.2.2 from inside to dmz", ALL},
	{"1 drop from inside to outside,dmz", "tcp 192.0.2.1 > 192.0.2.2 from inside to inside", SP_FIELD_TO},
	{"1 drop from 192.0.2.0/24", "tcp 192.0.2.255 > 192.0.2.2", ALL},
	{"1 drop from 192.0.2.0/24", "tcp 192.0.3.0 > 192.0.2.2", SP_FIELD_SRC},
	{"1 drop from 192.0.2.0/24", "tcp 2001:db8::1 > 2001:db8::2", SP_FIELD_SRC},
	{"1 drop from 0.0.0.0/0", "tcp 2001:db8::1 > 2001:db8::2", SP_FIELD_SRC},
	{"1 drop to ::/0", "tcp 2001:db8::1 > 2001:db8::2", ALL},
	{"1 drop to @lan", "tcp 192.0.2.1 > 10.255.255.255", ALL},
	{"1 drop to @lan,!10.1.0.0/16", "tcp 192.0.2.1 > 10.1.2.3", SP_FIELD_DST},
	{"1 drop to !@lan", "tcp 192.0.2.1 > 192.0.2.2", ALL},
	{"1 drop vlan 0", "tcp 192.0.2.1 > 192.0.2.2", ALL},
	{"1 drop vlan 0", "tcp 192.0.2.1 > 192.0.2.2 vlan=7", SP_FIELD_VLAN},
	{"1 drop vlan 5-9", "tcp 192.0.2.1 > 192.0.2.2 vlan=7", ALL},
};

static void test_indexed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sp_policy *policy = policy_of_rule(rows[i].rule);
		struct sp_packet_text packet = packet_of(policy, rows[i].packet);
		int failed = ALL;
		bool yes = sp_rule_match_indexed(policy, &policy->rules[0], &packet.match, &failed);
		uint64_t misses = sp_rule_misses(policy, &policy->rules[0], &packet.match);

		if (yes != (rows[i].failed == ALL) || failed != rows[i].failed)
			fail_msg("'%s' and '%s': %s", rows[i].rule, rows[i].packet, failed == ALL ? "match" : sp_field_names[failed]);
		assert_int_equal(yes, misses == 0);
		assert_true(yes || (misses >> failed & 1));
		assert_int_equal(sp_match_linear(policy, &packet.match, 0), yes ? 0 : SP_RULE_NONE);
		sp_policy_free(policy);
	}
}

/* ICMP's number in the other family is some unknown protocol, not ICMP: a packet that no description can tell. */
static void test_icmp_of_other_family(void **state)
{
	struct sp_policy *policy = policy_of_rule("1 allow icmp,icmpv6");
	struct sp_packet_text packet = packet_of(policy, "tcp 2001:db8::1 > 2001:db8::2");

	(void)state;
	packet.match.proto = 1;
	assert_int_equal(sp_match_linear(policy, &packet.match, 0), SP_RULE_NONE);
	packet.match.proto = 58;
	assert_int_equal(sp_match_linear(policy, &packet.match, 0), 0);
	sp_policy_free(policy);
}

static void test_first_at_or_after(void **state)
{
	struct sp_diags diags = {0};
	struct sp_policy *policy =
		policy_of("", "\"10 drop tcp\", \"20 allow udp\", \"30 allow tcp enabled false\", \"40 reject tcp dport 80\", \"50 allow\"",
			NULL, &diags);
	struct sp_packet_text packet;

	(void)state;
	assert_non_null(policy);
	packet = packet_of(policy, "tcp 192.0.2.1 > 192.0.2.2:80");
	assert_int_equal(sp_match_linear(policy, &packet.match, 0), 0);
	assert_int_equal(sp_match_linear(policy, &packet.match, 1), 3);
	assert_int_equal(sp_match_linear(policy, &packet.match, 4), 4);
	assert_int_equal(sp_match_linear(policy, &packet.match, 5), SP_RULE_NONE);
	assert_int_equal(sp_match_linear(policy, &packet.match, SP_RULE_NONE), SP_RULE_NONE);
	sp_policy_free(policy);
}

/* Ethernet, VLAN 20, IPv4 with TTL 4, TCP 1024 > 80, SYN. */
static const uint8_t frame[] = {2, 0, 0x5e, 0x10, 0, 2, 2, 0, 0x5e, 0x10, 0, 1, 0x81, 0, 0, 20, 8, 0, 0x45, 0, 0, 40, 0, 1, 0, 0, 4, 6, 0,
	0, 192, 0, 2, 1, 192, 0, 2, 2, 4, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 255, 255, 0, 0, 0, 0};

static const struct {
	const char *rule;
	uint8_t known;
	enum sp_answer answer;
} residuals[] = {
	{"1 drop tcp tcp_flags syn", SP_VIEW_TCP_FLAGS, SP_YES},
	{"1 drop tcp tcp_flags syn/syn,ack", SP_VIEW_TCP_FLAGS, SP_YES},
	{"1 drop tcp tcp_flags ack/syn,ack", SP_VIEW_TCP_FLAGS, SP_NO},
	{"1 drop tcp tcp_flags none/all", SP_VIEW_TCP_FLAGS, SP_NO},
	{"1 drop tcp tcp_flags syn", 0, SP_UNKNOWN},
	{"1 drop length 60-70,100", SP_VIEW_LENGTH, SP_YES},
	{"1 drop length 0-57", SP_VIEW_LENGTH, SP_NO},
	{"1 drop length 60-70", 0, SP_UNKNOWN},
	{"1 drop dscp ef", SP_VIEW_DSCP, SP_YES},
	{"1 drop dscp 0-45", SP_VIEW_DSCP, SP_NO},
	{"1 drop dscp ef", 0, SP_UNKNOWN},
	{"1 drop src_mac 02:00:5e:10:00:07,02:00:5e:10:00:01", SP_VIEW_SRC_MAC, SP_YES},
	{"1 drop src_mac 02:00:5e:10:00:02", SP_VIEW_SRC_MAC, SP_NO},
	{"1 drop src_mac 02:00:5e:10:00:02", 0, SP_UNKNOWN},
	{"1 drop bpf 'vlan 20 and tcp dst port 80'", SP_VIEW_FRAME, SP_YES},
	{"1 drop bpf 'vlan 21'", SP_VIEW_FRAME, SP_NO},
	{"1 drop bpf 'vlan and ip[8] < 5'", SP_VIEW_FRAME, SP_YES},
	{"1 drop bpf 'vlan and ip[8] < 4'", SP_VIEW_FRAME, SP_NO},
	{"1 drop bpf 'vlan and ip[2000] = 0'", SP_VIEW_FRAME, SP_NO},
	{"1 drop bpf 'greater 60'", SP_VIEW_FRAME | SP_VIEW_LENGTH, SP_YES},
	{"1 drop bpf 'greater 65'", SP_VIEW_FRAME | SP_VIEW_LENGTH, SP_NO},
	{"1 drop bpf 'vlan 20'", 0, SP_UNKNOWN},
	{"1 drop bpf 'vlan 20'", SP_VIEW_LENGTH, SP_UNKNOWN},
	/* One that fails settles it, whatever is unknown. */
	{"1 drop length 0-57 bpf 'vlan 20'", SP_VIEW_LENGTH, SP_NO},
	{"1 drop tcp tcp_flags syn length 64 dscp 46 bpf 'vlan 20'", 0xff, SP_YES},
	{"1 drop tcp tcp_flags syn length 64 dscp 47 bpf 'vlan 20'", 0xff, SP_NO},
};

static void test_residual(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(residuals) / sizeof(residuals[0]); i++) {
		struct sp_packet_view view = {.frame = frame,
			.frame_len = sizeof(frame),
			.wire_len = 64,
			.tcp_flags = 2,
			.dscp = 46,
			.src_mac = {2, 0, 0x5e, 0x10, 0, 1},
			.known = residuals[i].known};
		struct sp_policy *policy = policy_of_rule(residuals[i].rule);
		enum sp_answer answer = sp_residual_match(&policy->rules[0].residual, &view);

		assert_true(policy->rules[0].has_residual);
		if (answer != residuals[i].answer)
			fail_msg("'%s' with %x known: %d", residuals[i].rule, residuals[i].known, answer);
		view.frame = NULL;
		if (policy->rules[0].residual.bpf != NULL)
			assert_int_not_equal(sp_residual_match(&policy->rules[0].residual, &view), SP_YES);
		sp_policy_free(policy);
	}
}

/* A program never reads past the bytes that are there: each prefix lives in a block of its own size, which ASan guards. */
static void test_bpf_short_frame(void **state)
{
	struct sp_policy *policy = policy_of_rule("1 drop bpf 'vlan 20 and tcp dst port 80'");

	(void)state;
	for (uint32_t len = 0; len < sizeof(frame); len++) {
		uint8_t *part = malloc(len + 1);
		uint8_t *exact = realloc(part, len != 0 ? len : 1);
		struct sp_packet_view view = {.frame = exact, .frame_len = len, .wire_len = 64, .known = SP_VIEW_FRAME | SP_VIEW_LENGTH};

		assert_non_null(exact);
		memcpy(exact, frame, len);
		assert_int_equal(sp_residual_match(&policy->rules[0].residual, &view), len >= 42 ? SP_YES : SP_NO);
		free(exact);
	}
	sp_policy_free(policy);
}

static void test_builtin(void **state)
{
	static const struct {
		const char *packet;
		bool arp, nd;
	} cases[] = {{"arp", true, false}, {"ethertype=lldp", false, false}, {"icmpv6 fe80::1 > ff02::1 type=133", false, true},
		{"icmpv6 fe80::1 > ff02::1 type=136", false, true}, {"icmpv6 fe80::1 > ff02::1 type=137", false, false},
		{"icmpv6 fe80::1 > ff02::1 type=132", false, false}, {"icmpv6 fe80::1 > ff02::1 type=138", false, false},
		{"icmpv6 fe80::1 > ff02::1 type=135 code=1", false, false}, {"udp [fe80::1]:135 > ff02::1", false, false},
		{"icmp 192.0.2.1 > 192.0.2.2 type=135", false, false}};
	struct sp_policy *policy = policy_of_rule("1 drop");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_packet_text packet = packet_of(policy, cases[i].packet);

		for (int on = 0; on < 4; on++) {
			policy->builtin_arp = on & 1;
			policy->builtin_nd = on >> 1;
			assert_int_equal(sp_match_builtin(policy, &packet.match),
				(cases[i].arp && policy->builtin_arp) || (cases[i].nd && policy->builtin_nd));
		}
	}
	sp_policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_indexed),
		cmocka_unit_test(test_icmp_of_other_family),
		cmocka_unit_test(test_first_at_or_after),
		cmocka_unit_test(test_residual),
		cmocka_unit_test(test_bpf_short_frame),
		cmocka_unit_test(test_builtin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
