/* SPDX-License-Identifier: BSD-3-Clause */
/* Rules that can never match, contradictions, things without use, and expectations. */
#include "policy_of.h"

#include "rules/check.h"
#include "rules/cover.h"
#include "rules/rule_text.h"

/* Two rules, and whether the first hides the second. */
static const struct {
	const char *first, *second;
	bool hides;
} pairs[] = {
	{"1 drop", "2 allow tcp", true},
	{"1 drop tcp", "2 allow", false},
	{"1 drop tcp", "2 allow tcp,udp", false},
	{"1 drop tcp,udp", "2 allow udp dport 53", true},
	{"1 drop", "2 allow", true},
	{"1 drop enabled false", "2 allow", false},
	{"1 drop monitor", "2 allow", false},
	{"1 drop", "2 allow monitor", true},
	{"1 drop limit 5/s", "2 allow", true},
	{"1 drop from inside", "2 allow", false},
	{"1 drop", "2 allow from inside", true},
	{"1 drop from inside,dmz", "2 allow from dmz to outside", true},
	{"1 drop from inside,dmz", "2 allow from dmz,outside", false},
	{"1 drop to outside", "2 allow from outside", false},
	{"1 drop from 10.0.0.0/8", "2 allow from 10.1.0.0/16 to 192.0.2.1", true},
	{"1 drop from 10.1.0.0/16", "2 allow from 10.0.0.0/8", false},
	{"1 drop from 10.0.0.0/9,10.128.0.0/9", "2 allow from 10.0.0.0/8", true},
	{"1 drop from 10.0.0.0/8", "2 allow", false},
	{"1 drop from 0.0.0.0/0", "2 allow", false},
	{"1 drop from 0.0.0.0/0,::/0", "2 allow", true},
	{"1 drop from 0.0.0.0/0", "2 allow icmp", true},
	{"1 drop from 0.0.0.0/0", "2 allow to 192.0.2.1", true},
	{"1 drop from ::/0", "2 allow to 192.0.2.1", false},
	{"1 drop from 10.0.0.0/8", "2 allow from @lan to 192.0.2.1", true},
	{"1 drop from 10.0.0.0/8", "2 allow from @lan", false},
	{"1 drop from @lan,!10.5.0.0/16", "2 allow from 10.5.1.0/24", false},
	{"1 drop from @lan,!10.5.0.0/16", "2 allow from 10.6.1.0/24", true},
	{"1 drop to 2001:db8::/32", "2 allow to 2001:db8::1", true},
	{"1 drop to 2001:db8::/96", "2 allow to 2001:db8::1:0:0:1", false},
	{"1 drop tcp dport 1-1024", "2 allow tcp dport 22,80-90", true},
	{"1 drop tcp dport 1-1024", "2 allow tcp dport 22,1025", false},
	{"1 drop tcp dport 20-30,80-90", "2 allow tcp dport 22,40,85", false},
	{"1 drop tcp dport 0-65535", "2 allow tcp", true},
	{"1 drop dport 0-65535", "2 allow tcp", true},
	{"1 drop dport 0-65535", "2 allow tcp,icmp", false},
	{"1 drop tcp sport 5", "2 allow tcp dport 5", false},
	{"1 drop icmp icmp_type 8", "2 allow icmp icmp_type echo-request icmp_code 0", true},
	{"1 drop icmp icmp_type 8", "2 allow icmp", false},
	{"1 drop icmp icmp_type 0-255", "2 allow icmp", true},
	{"1 drop vlan 5", "2 allow tcp vlan 5", true},
	{"1 drop vlan 5", "2 allow tcp", false},
	{"1 drop vlan 0-4094", "2 allow tcp", false},
	{"1 drop", "2 allow ethertype arp", false},
	{"1 drop", "2 allow ethertype ipv4", true},
	{"1 drop", "2 allow ethertype ipv4,arp", false},
	{"1 drop ethertype ipv4", "2 allow icmp", true},
	{"1 drop ethertype ipv4", "2 allow tcp", false},
	{"1 drop ethertype ipv4,ipv6", "2 allow tcp", true},
	{"1 drop ethertype 0-65535", "2 allow ethertype arp,lldp", true},
	{"1 drop ethertype lldp", "2 allow ethertype arp,lldp", false},
	{"1 drop tcp tcp_flags syn", "2 allow tcp", false},
	{"1 drop tcp", "2 allow tcp tcp_flags syn", true},
	{"1 drop tcp tcp_flags syn", "2 allow tcp tcp_flags syn/syn,ack", true},
	{"1 drop tcp tcp_flags syn/syn,ack", "2 allow tcp tcp_flags syn", false},
	{"1 drop length 0-100", "2 allow length 50", true},
	{"1 drop length 0-100", "2 allow", false},
	{"1 drop length 0-65535", "2 allow dscp 5", true},
	{"1 drop length 0-100", "2 allow dscp 5", false},
	{"1 drop dscp ef", "2 allow dscp 46 length 9", true},
	{"1 drop src_mac 02:00:5e:10:00:01", "2 allow src_mac 02:00:5e:10:00:01", true},
	{"1 drop src_mac 02:00:5e:10:00:01", "2 allow src_mac 02:00:5e:10:00:01,02:00:5e:10:00:02", false},
	{"1 drop bpf 'ip[8] < 5'", "2 allow tcp bpf 'ip[8] < 5'", true},
	{"1 drop bpf 'ip[8] < 5'", "2 allow tcp bpf 'ip[8] < 4'", false},
	{"1 drop bpf 'ip[8] < 5'", "2 allow tcp", false},
};

static void test_hidden(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct sp_diags diags = {0};
		struct sp_policy *policy;
		char rules[512];

		snprintf(rules, sizeof(rules), "\"%s\",\n\"%s\"", pairs[i].first, pairs[i].second);
		policy = policy_of("sets = { lan = [ \"10.0.0.0/8\", \"2001:db8:10::/48\" ]; };", rules, NULL, &diags);
		sp_diags_print(&diags, stderr);
		assert_non_null(policy);
		sp_policy_check(policy, &diags);
		if (said(&diags, SP_DIAG_WARNING, "rule 2 can never match: rule 1 (line 4)") != pairs[i].hides)
			fail_msg("'%s', '%s'", pairs[i].first, pairs[i].second);
		assert_int_equal(diags.errors, 0);
		sp_diags_clear(&diags);
		sp_policy_free(policy);
	}
}

static const struct {
	const char *rules, *says; /* says NULL: no warning at all */
} singles[] = {
	{"\"1 allow tcp from 192.0.2.1 to 192.0.2.2\"", NULL},
	{"\"1 allow from 192.0.2.1 to 2001:db8::1\"", "have no address family in common"},
	{"\"1 allow icmpv6 from 192.0.2.1\"", "proto icmpv6 does not occur in the family"},
	{"\"1 allow icmp to 2001:db8::1\"", "proto icmp does not occur in the family"},
	{"\"1 allow icmp,icmpv6 to 2001:db8::1\"", NULL},
	{"\"1 allow from 10.0.0.0/8,!10.0.0.0/7\"", "src 10.0.0.0/8,!10.0.0.0/7 holds no address"},
	{"\"1 allow from 192.0.2.1 ethertype ipv6\"", "ethertype ipv6 is not the family"},
	{"\"1 allow icmpv6 from 192.0.2.1 enabled false\"", NULL},
	{"\"1 drop tcp mss 1400\"", "mss has no effect in rule 1"},
	{"\"1 reject tcp timeout 5s max_sessions 5\"", "timeout has no effect in rule 1"},
	{"\"1 reject tcp limit 5/s\"", NULL},
	{"\"1 allow limit '10 kbit/s'\"", NULL},
	{"\"1 allow limit '10 kbit/s burst 13'\"", NULL},
	{"\"1 allow limit '10 Mbit/s burst 1'\"", NULL},
	{"\"1 allow limit '10 kbit/s burst 12'\"", "never lets a frame of 1,518 bytes pass"},
	{"\"1 allow limit '5 pps burst 1'\"", NULL},
	{"{ group = \"g\"; timeout = \"5s\"; rules = ( \"1 allow tcp\", \"2 drop\" ); }", NULL},
	{"\"1 drop\", \"2 drop\"", "and does the same (drop)"},
	{"\"1 drop\", \"2 allow\"", "and says drop instead of allow"},
};

static void test_single(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(singles) / sizeof(singles[0]); i++) {
		struct sp_diags diags = {0};
		struct sp_policy *policy = policy_of("", singles[i].rules, NULL, &diags);

		sp_diags_print(&diags, stderr);
		assert_non_null(policy);
		sp_policy_check(policy, &diags);
		if (singles[i].says == NULL ? diags.n != 0 : !said(&diags, SP_DIAG_WARNING, singles[i].says)) {
			sp_diags_print(&diags, stderr);
			fail_msg("%s", singles[i].rules);
		}
		assert_true(diags.n == 0 || (diags.v[0].line >= 4 && diags.v[0].rule >= 1));
		sp_diags_clear(&diags);
		sp_policy_free(policy);
	}
}

static void test_unused(void **state)
{
	struct sp_diags diags = {0};
	struct sp_policy *policy =
		policy_of("sets = { all = [ \"@part\", \"192.0.2.0/24\", \"!@out\" ]; part = \"198.51.100.0/24\"; out = \"192.0.2.7\";\n"
			  "lost = \"203.0.113.0/24\"; p = \"80\"; q = \"81\"; };" INSPECT,
			"\"1 allow tcp from @all dport @p\"", NULL, &diags);

	(void)state;
	sp_diags_print(&diags, stderr);
	assert_non_null(policy);
	sp_policy_check(policy, &diags);
	assert_true(said(&diags, SP_DIAG_WARNING, "set 'lost' is used by no rule"));
	assert_true(said(&diags, SP_DIAG_WARNING, "set 'q' is used by no rule"));
	assert_true(said(&diags, SP_DIAG_WARNING, "profile 'attacks' is used by no rule"));
	assert_int_equal(diags.warnings, 3);
	sp_diags_clear(&diags);
	sp_policy_free(policy);
}

/*
 * Covering is exact: rules from a small universe against every kind of packet that could tell two of them apart. A rule covers another
 * if and only if it matches each of these packets that the other matches.
 */
enum { RULES = 400, PACKETS_MAX = 4096 };

static struct sp_match packets[PACKETS_MAX];
static size_t n_packets;
static uint64_t matched[RULES][PACKETS_MAX / 64];

static void add_packets(const struct sp_match *ip)
{
	static const uint8_t zones[] = {0, 1, SP_MATCH_NO_ZONE};
	static const uint16_t vlans[] = {0, 5, 4095}, ports[] = {80, 81, 90};

	for (size_t i = 0; i < 27; i++) {
		struct sp_match *m = &packets[n_packets++];

		assert_true(n_packets < PACKETS_MAX);
		*m = *ip;
		m->from = zones[i % 3];
		m->to = SP_MATCH_NO_ZONE;
		m->vlan = vlans[i / 3 % 3];
		m->sport = m->dport = ports[i / 9];
	}
}

static void make_packets(void)
{
	static const char *const addrs[] = {"10.1.0.1", "10.2.0.1", "192.0.2.1", "2001:db8::1", "2001:db9::1"};
	static const uint8_t protos[] = {1, 6, 17, 132, 58, 47};
	static const uint16_t types[] = {0x0806, 0x88cc};

	for (size_t i = 0; i < 2; i++)
		add_packets(&(struct sp_match){.ethertype = types[i]});
	for (size_t i = 0; i < 5 * 5 * 6; i++) {
		struct sp_match ip = {.proto = protos[i / 25]};

		sp_addr_parse(addrs[i % 5], strlen(addrs[i % 5]), &ip.src);
		sp_addr_parse(addrs[i / 5 % 5], strlen(addrs[i / 5 % 5]), &ip.dst);
		ip.family = ip.src.family;
		ip.ethertype = ip.family == SP_FAMILY_IPV4 ? 0x0800 : 0x86dd;
		if (ip.src.family == ip.dst.family)
			add_packets(&ip);
	}
}

static const char *pick(unsigned int *seed, const char *const *from, size_t n)
{
	*seed = *seed * 1103515245u + 12345u;
	return from[(*seed >> 16) % n];
}

static void random_rule(unsigned int *seed, int id, char *text, size_t size)
{
	static const char *const protos[] = {"", "", "tcp", "udp", "tcp,udp", "tcp,udp,sctp", "icmp", "icmpv6", "icmp,icmpv6"};
	static const char *const addrs[] = {"", "", "10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "::/0", "0.0.0.0/0,::/0", "2001:db8::/32",
		"10.1.0.0/16,2001:db8::/32", "!10.1.0.0/16"};
	static const char *const froms[] = {"", "inside", "outside", "inside,outside"};
	static const char *const ports[] = {"", "", " dport 80", " dport 80-81", " dport 0-65535"};
	static const char *const vlans[] = {"", "", " vlan 5", " vlan 0-4094"};
	static const char *const types[] = {"", "", "", " ethertype ipv4", " ethertype ipv6", " ethertype ipv4,ipv6"};
	static const char *const frames[] = {" ethertype arp", " ethertype lldp", " ethertype 0-65535", " ethertype ipv4,arp"};
	const char *proto = pick(seed, protos, 9), *from = pick(seed, froms, 4), *src = pick(seed, addrs, 10), *dst = pick(seed, addrs, 10);
	const char *port = proto[0] == 'i' ? "" : pick(seed, ports, 5), *type = pick(seed, types, 6);

	if (id % 8 == 0)
		snprintf(text, size, "%d allow%s%s%s%s", id, *from ? " from " : "", from, pick(seed, vlans, 4), pick(seed, frames, 4));
	else
		snprintf(text, size, "%d allow %s%s%s%s%s%s%s%s%s%s", id, proto, *from ? " from " : "", from, *src ? " src " : "", src,
			*dst ? " dst " : "", dst, port, pick(seed, vlans, 4), type);
}

static void fail_pair(const struct sp_rule *outer, const struct sp_rule *inner)
{
	char a[256], b[256];

	sp_rule_text_format(outer, false, a, sizeof(a));
	sp_rule_text_format(inner, false, b, sizeof(b));
	fail_msg("'%s' and '%s'", a, b);
}

static void test_cover_exact(void **state)
{
	char *rules = malloc(RULES * 256), *end = rules;
	struct sp_diags diags = {0};
	struct sp_policy *policy;
	struct sp_cover_index *index;
	unsigned int seed = 1;
	size_t covered = 0;

	(void)state;
	make_packets();
	for (int i = 1; i <= RULES; i++) {
		char text[240];

		random_rule(&seed, i, text, sizeof(text));
		end += sprintf(end, "%s\"%s\"", i > 1 ? ",\n" : "", text);
	}
	policy = policy_of("", rules, NULL, &diags);
	sp_diags_print(&diags, stderr);
	assert_non_null(policy);
	for (size_t i = 0; i < RULES; i++)
		for (size_t k = 0; k < n_packets; k++)
			if (sp_rule_match_indexed(policy, &policy->rules[i], &packets[k], NULL))
				matched[i][k / 64] |= UINT64_C(1) << (k & 63);
	for (size_t i = 0; i < RULES; i++) {
		for (size_t k = 0; k < RULES; k++) {
			uint64_t any = 0, left = 0;

			for (size_t w = 0; w < PACKETS_MAX / 64; w++) {
				any |= matched[k][w];
				left |= matched[k][w] & ~matched[i][w];
			}
			assert_int_equal(any != 0, sp_rule_families(policy, &policy->rules[k]) != 0);
			if (any == 0)
				continue;
			covered += left == 0;
			if (sp_rule_covers(policy, &policy->rules[i], &policy->rules[k]) != (left == 0))
				fail_pair(&policy->rules[i], &policy->rules[k]);
		}
	}
	assert_true(covered > 2 * RULES);
	/* The search that skips most comparisons finds what comparing all of them finds. */
	index = sp_cover_index_new(policy);
	assert_non_null(index);
	for (uint32_t k = 0; k < RULES; k++) {
		uint32_t first = 0;

		while (first < k && (sp_rule_families(policy, &policy->rules[first]) == 0 ||
					    !sp_rule_covers(policy, &policy->rules[first], &policy->rules[k])))
			first++;
		if (sp_rule_families(policy, &policy->rules[k]) != 0)
			assert_int_equal(sp_cover_find(index, 0, k), first < k ? first : SP_RULE_NONE);
	}
	sp_cover_index_free(index);
	sp_policy_free(policy);
	free(rules);
}

/* Above the bound, only the nearest are compared, and that is said. */
static void test_bounded(void **state)
{
	enum { N = 20002 };
	char *rules = malloc(N * 48), *end = rules;
	struct sp_diags diags = {0};
	struct sp_policy *policy;

	(void)state;
	for (int i = 1; i <= N; i++) {
		const char *rule = "allow tcp to 10.%d.%d.1";
		char text[40];

		snprintf(text, sizeof(text), rule, i / 256, i % 256);
		/* The first hides the last, out of reach; the one in the middle hides the next. */
		end += sprintf(end, "%s\"%d %s\"", i > 1 ? "," : "", i,
			i == N      ? "allow tcp to 10.0.1.1"
			: i == 5001 ? "allow tcp to 10.19.136.1"
				    : text);
	}
	policy = policy_of("", rules, NULL, &diags);
	assert_non_null(policy);
	sp_policy_check(policy, &diags);
	assert_true(said(&diags, SP_DIAG_WARNING, "rule 5001 can never match: rule 5000"));
	/* That the others were compared with the nearest only is nothing to mend, so no warning. */
	assert_int_equal(diags.warnings, 1);
	sp_diags_clear(&diags);
	sp_policy_free(policy);
	free(rules);
}

/* Each rule that may pass packets on costs every new flow a look: said once, when they are many. */
static void test_passing_on(void **state)
{
	static const struct {
		const char *fields;
		int n, warnings;
	} cases[] = {{"dscp ef", 256, 0}, {"dscp ef", 257, 1}, {"monitor", 257, 1}, {"bpf 'udp port 53'", 257, 1}, {"length 100", 257, 1},
		{"src_mac 02:00:5e:10:00:01", 257, 1}, {"dscp ef enabled false", 300, 0}, {"log", 300, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *rules = malloc(300 * 96), *end = rules;
		struct sp_diags diags = {0};
		struct sp_policy *policy;

		for (int k = 1; k <= cases[i].n; k++)
			end += sprintf(end, "%s\"%d drop udp to 10.0.%d.%d %s\"", k > 1 ? ",\n" : "", k, k / 256, k % 256, cases[i].fields);
		policy = policy_of("", rules, NULL, &diags);
		assert_non_null(policy);
		sp_policy_check(policy, &diags);
		assert_int_equal(diags.warnings, cases[i].warnings);
		if (cases[i].warnings) {
			assert_true(said(&diags, SP_DIAG_WARNING, "257 rules"));
			assert_int_equal(diags.v[0].line, 4 + 256);
		}
		sp_diags_clear(&diags);
		sp_policy_free(policy);
		free(rules);
	}
}

#define EXPECT_RULES \
	"\"10 allow tcp from inside to outside dport 80\", \"20 allow dscp ef\", \"30 reject tcp\", \"40 allow udp enabled false\""

static const struct {
	const char *expect, *says; /* says NULL: holds */
} expects[] = {
	{"allow 10: tcp 192.0.2.1 > 192.0.2.2:80 from inside to outside dscp=0", NULL},
	{"allow: tcp 192.0.2.1 > 192.0.2.2:80 from inside to outside dscp=0", NULL},
	{"  allow  10 : tcp 192.0.2.1 > 192.0.2.2:80 from inside to outside", NULL},
	{"reject: tcp 192.0.2.1 > 192.0.2.2:81 dscp=0", NULL},
	{"drop default: udp 192.0.2.1 > 192.0.2.2 dscp=0", NULL},
	{"drop: udp 192.0.2.1 > 192.0.2.2 dscp=0", NULL},
	{"allow 20: udp 192.0.2.1 > 192.0.2.2 dscp=ef", NULL},
	{"allow builtin: arp", NULL},
	{"drop: ethertype=lldp", NULL},
	{"drop: tcp 192.0.2.1 > 192.0.2.2:80 from inside to outside", "rule 10 (test.rules:4) allows it"},
	{"allow 30: tcp 192.0.2.1 > 192.0.2.2:80 from inside to outside", "rule 10 (test.rules:4) allows it"},
	{"allow 10: tcp 192.0.2.1 > 192.0.2.2:81 from inside to outside dscp=0",
		"rule 30 (test.rules:4) rejects it; rule 10 would allow it, but dport wants 80 and the packet has 81"},
	{"allow: udp 192.0.2.1 > 192.0.2.2", "rule 20 (test.rules:4) asks dscp, which the description does not tell"},
	{"reject default: udp 192.0.2.1 > 192.0.2.2 dscp=0",
		"no rule matches and the default drops it; rule 20 would allow it, but dscp wants ef and the packet has 0"},
	{"allow 99: tcp 192.0.2.1 > 192.0.2.2:80 from inside to outside", "there is no rule 99"},
	{"drop: arp", "a builtin allows it"},
	{"allow default: arp", "builtin allows it"},
	{"allow 10: tcp 192.0.2.1 > 192.0.2.2:80 from inside to outside flags=ack",
		"rule 10 (test.rules:4) would allow it, but it opens no session (tcp_no_session): only a SYN does"},
	{"drop 10: tcp 192.0.2.1 > 192.0.2.2:80 from inside to outside flags=ack", NULL},
	{"drop default: tcp 192.0.2.1 > 192.0.2.2 flags=fin",
		"no stack sends these TCP flags (tcp_flags), so it is dropped before the rules"},
	{"drop: tcp 192.0.2.1 > 192.0.2.2 flags=fin", NULL},
	{"permit: arp", "starts with allow, drop or reject"},
	{"allow ten: arp", "stands a rule's id, default or builtin"},
	{"allow 10 arp", "a colon separates"},
	{"allow 10:", "description is empty"},
	{"allow: tcp 192.0.2.1 > 192.0.2.2 from lan", "unknown zone 'lan'"},
};

static void test_expect(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(expects) / sizeof(expects[0]); i++) {
		struct sp_diags diags = {0};
		struct sp_policy *policy;
		char text[512];

		snprintf(text, sizeof(text), "\"%s\"", expects[i].expect);
		policy = policy_of("", EXPECT_RULES, text, &diags);
		assert_non_null(policy);
		policy->builtin_arp = true;
		sp_policy_expect(policy, &diags);
		if (expects[i].says == NULL ? diags.n != 0 : diags.n != 1 || !said(&diags, SP_DIAG_ERROR, expects[i].says)) {
			sp_diags_print(&diags, stderr);
			fail_msg("'%s'", expects[i].expect);
		}
		assert_true(diags.n == 0 || diags.v[0].line == 7);
		sp_diags_clear(&diags);
		sp_policy_free(policy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_single),
		cmocka_unit_test(test_unused),
		cmocka_unit_test(test_cover_exact),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_passing_on),
		cmocka_unit_test(test_expect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
