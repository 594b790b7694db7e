/* SPDX-License-Identifier: BSD-3-Clause */
/* Which entry of nat translates a packet, the addresses that translate both ways, and how explain and expect tell of it. */
#include "nat_of.h"

#include <jansson.h>

#include "rules/check.h"
#include "rules/explain.h"
#include "rules/nat.h"

static const char nat[] =
	"{ id = 1; type = \"destination\"; from = \"outside\"; proto = \"tcp\"; dst = \"interface\"; dport = 443; address = "
	"\"@web\"; port = 8443; method = \"maglev\"; },\n"
	"{ id = 2; type = \"destination\"; from = \"outside\"; dst = \"203.0.113.9\"; dport = \"7000-7009\"; address = "
	"\"10.0.0.9\"; port = \"17000-17009\"; },\n"
	"{ id = 3; type = \"destination\"; dst = \"203.0.113.0/24\"; proto = \"icmp\"; address = \"none\"; },\n"
	"{ id = 4; type = \"destination\"; dst = \"203.0.113.0/24\"; address = \"10.0.0.3\"; enabled = false; },\n"
	"{ id = 5; type = \"destination\"; dst = \"203.0.113.5\"; address = \"10.0.0.5\"; },\n"
	"{ id = 10; type = \"static\"; from = \"inside\"; to = \"outside\"; src = \"10.0.1.0/28\"; address = "
	"\"198.51.100.16/28\"; },\n"
	"{ id = 11; type = \"prefix\"; to = \"outside\"; src = \"fd01:203:405::/48\"; address = \"2001:db8:1::/48\"; },\n"
	"{ id = 20; type = \"source\"; to = \"outside\"; src = \"10.0.0.0/8\"; dst = \"198.51.100.0/24\"; address = \"none\"; },\n"
	"{ id = 21; type = \"source\"; to = \"outside\"; src = \"@lan\"; proto = \"udp\"; dport = 53; address = "
	"\"203.0.113.53\"; },\n"
	"{ id = 22; type = \"source\"; to = \"outside\"; src = \"@lan\"; address = \"203.0.113.64/28\"; },\n"
	"{ id = 23; type = \"source\"; from = \"self,guest\"; to = \"outside\"; address = \"interface\"; }";

static const char rules[] = "\"1 allow tcp from outside to dmz dport 8443\", \"2 allow tcp,udp from outside to inside 10.0.0.0/8\",\n"
			    "\"3 allow from inside to outside\", \"4 allow tcp to self dport 22 from inside\", \"5 drop udp from self\",\n"
			    "\"6 allow icmpv6 from outside to inside\", \"7 allow tcp from inside to inside\",\n"
			    "\"8 allow udp from guest to outside stateless\", \"9 allow udp from guest to inside stateless\"";

static uint32_t id_of(const struct sp_policy *policy, uint32_t index)
{
	return index == SP_NAT_NO_ENTRY ? 0 : policy->nat->v[index].id;
}

static void parse(const struct sp_policy *policy, const char *text, struct sp_packet_text *packet)
{
	char why[256];

	if (sp_packet_text_parse(text, &policy->zones, packet, why, sizeof(why)) != 0)
		fail_msg("%s: %s", text, why);
}

static void matches(void **state)
{
	static const struct {
		const char *packet;
		bool local;
		uint32_t destination, source;
	} cases[] = {
		{"tcp 198.51.100.1:1 > 203.0.113.1:443 from outside", true, 1, 0},
		{"tcp 198.51.100.1:1 > 203.0.113.1:443 from outside", false, 0, 0},
		{"tcp 198.51.100.1:1 > 203.0.113.1:443 from inside", true, 0, 0},
		{"tcp 198.51.100.1:1 > 203.0.113.1:444 from outside", true, 0, 0},
		{"udp 198.51.100.1:1 > 203.0.113.1:443 from outside", true, 0, 0},
		{"tcp [2001:db8::1]:1 > [2001:db8::2]:443 from outside", true, 0, 0}, /* the servers are IPv4 */
		{"udp 198.51.100.1:1 > 203.0.113.9:7003 from outside", false, 2, 0},
		{"icmp 198.51.100.1 > 203.0.113.5 from outside", false, 3, 0},
		{"tcp 198.51.100.1:1 > 203.0.113.5:9 from outside", false, 5, 0},
		{"tcp 198.51.100.1:1 > 203.0.113.6:9 from outside", false, 0, 0},
		{"tcp 10.0.1.3:1 > 192.0.2.1:9 from inside to outside", false, 0, 10},
		{"tcp 10.0.1.16:1 > 192.0.2.1:9 from inside to outside", false, 0, 22},
		{"tcp 10.0.1.3:1 > 192.0.2.1:9 from guest to outside", false, 0, 22},
		{"tcp 10.0.1.3:1 > 192.0.2.1:9 from inside to guest", false, 0, 0},
		{"tcp 198.51.100.1:1 > 198.51.100.31:9 from outside", false, 10, 0},
		{"tcp 198.51.100.1:1 > 198.51.100.31:9 from inside to outside", false, 0, 0}, /* its `to` is where the outside is */
		{"tcp 10.0.9.9:1 > 198.51.100.7:9 from inside to outside", false, 0, 20},
		{"udp 10.0.9.9:1 > 192.0.2.1:53 from inside to outside", false, 0, 21},
		{"tcp 10.0.9.9:1 > 192.0.2.1:53 from inside to outside", false, 0, 22},
		{"tcp [2001:db8:10::1]:1 > [2001:db8:9::1]:53 from inside to outside", false, 0, 0}, /* the pool is IPv4 */
		{"tcp [fd01:203:405:1::1]:1 > [2001:db8:9::1]:53 from inside to outside", false, 0, 11},
		{"tcp [2001:db8:9::1]:53 > [2001:db8:1:d550::1]:1 from outside", false, 11, 0},
		{"tcp 192.0.2.7:1 > 192.0.2.1:9 from guest to outside", false, 0, 23},
		{"tcp 192.0.2.7:1 > 192.0.2.1:9 from self to outside", false, 0, 23},
		{"tcp 10.0.0.7:1 > 192.0.2.1:9 from self to outside", false, 0, 23}, /* no zone is named in 22, so self is not meant */
		{"tcp 192.0.2.7:1 > 192.0.2.1:9 from inside to outside", false, 0, 0},
		{"arp from inside to outside", false, 0, 0},
	};
	struct sp_policy *policy = nat_good(nat, rules);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_packet_text packet;
		uint32_t destination, source;

		parse(policy, cases[i].packet, &packet);
		destination = id_of(policy, sp_nat_match(policy, &packet.match, true, cases[i].local, 0));
		source = id_of(policy, sp_nat_match(policy, &packet.match, false, cases[i].local, 0));
		if (destination != cases[i].destination || source != cases[i].source)
			fail_msg("%s: %u %u", cases[i].packet, destination, source);
	}
	sp_policy_free(policy);
}

static void goes_on_behind_an_entry(void **state)
{
	struct sp_policy *policy = nat_good(nat, rules);
	struct sp_packet_text packet;
	uint32_t index;

	(void)state;
	parse(policy, "udp 10.0.9.9:1 > 192.0.2.1:53 from inside to outside", &packet);
	index = sp_nat_match(policy, &packet.match, false, false, 0);
	assert_int_equal(id_of(policy, index), 21);
	index = sp_nat_match(policy, &packet.match, false, false, index + 1);
	assert_int_equal(id_of(policy, index), 22);
	assert_int_equal(sp_nat_match(policy, &packet.match, false, false, index + 1), SP_NAT_NO_ENTRY);
	sp_policy_free(policy);
	policy = nat_good("", "\"1 allow from inside to outside\"");
	assert_int_equal(sp_nat_match(policy, &packet.match, false, false, 0), SP_NAT_NO_ENTRY);
	sp_policy_free(policy);
}

/* --- both ways ------------------------------------------------------------------------------------------------------------------- */

static struct sp_addr addr(const char *text)
{
	struct sp_addr out;

	assert_int_equal(sp_addr_parse(text, strlen(text), &out), 0);
	return out;
}

/* The entry `{ type; src; address }`. */
static struct sp_policy *pair(const char *type, const char *inside, const char *outside)
{
	char text[256];

	snprintf(text, sizeof(text), "{ id = 1; type = \"%s\"; src = \"%s\"; address = \"%s\"; }", type, inside, outside);
	return nat_good(text, "\"1 allow\"");
}

static void counterparts(void **state)
{
	static const struct {
		const char *type, *inside, *outside, *address, *becomes; /* NULL: nothing */
	} cases[] = {
		{"static", "10.0.0.0/28", "192.0.2.16/28", "10.0.0.0", "192.0.2.16"},
		{"static", "10.0.0.0/28", "192.0.2.16/28", "10.0.0.15", "192.0.2.31"},
		{"static", "10.0.0.0/28", "192.0.2.16/28", "10.0.0.16", NULL},
		{"static", "10.0.0.250-10.0.1.5", "192.0.2.7-192.0.2.18", "10.0.1.0", "192.0.2.13"}, /* carries over a byte */
		{"static", "10.0.0.7", "192.0.2.9", "10.0.0.7", "192.0.2.9"},
		{"static", "10.0.0.7", "192.0.2.9", "::a00:7", NULL},
		{"static", "fd00::ff00/120", "2001:db8::1:0/120", "fd00::ff80", "2001:db8::1:80"},
		/* RFC 6296 2.1 and the sums of 3.1: the adjustment is 0xd54f */
		{"prefix", "fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405:1::1234", "2001:db8:1:d550::1234"},
		{"prefix", "fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405::1", "2001:db8:1:d54f::1"},
		{"prefix", "fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405:2ab0::1", "2001:db8:1::1"}, /* 0xffff is written 0 */
		{"prefix", "fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:405:ffff::1", NULL},            /* 3.4 */
		{"prefix", "fd01:203:405::/48", "2001:db8:1::/48", "fd01:203:406:1::1", NULL},
		/* shorter: what lies between the prefix and the word stays */
		{"prefix", "fd01:203::/32", "2001:db8::/32", "fd01:203:405:1::1", "2001:db8:405:d14c::1"},
		/* longer: the first word of the host part that is not 0xffff (3.5) */
		{"prefix", "fd01:203:405:a700::/56", "2001:db8:1:5a00::/56", "fd01:203:405:a701::1", "2001:db8:1:5a01:2250::1"},
		{"prefix", "fd01:203:405:a7::/64", "2001:db8:1:5a::/64", "fd01:203:405:a7:ffff::1", "2001:db8:1:5a:ffff:d59c:0:1"},
		{"prefix", "fd01:203:405:a7::/64", "2001:db8:1:5a::/64", "fd01:203:405:a7:ffff:ffff:ffff:1",
			"2001:db8:1:5a:ffff:ffff:ffff:d59d"},
		{"prefix", "fd01:203:405:a7::/64", "2001:db8:1:5a::/64", "fd01:203:405:a7:ffff:ffff:ffff:ffff", NULL},
		{"prefix", "fd00:1:2::/48", "fd00:1:3::/48", "fd00:1:2::", "fd00:1:3:fffe::"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_policy *policy = pair(cases[i].type, cases[i].inside, cases[i].outside);
		struct sp_addr in = addr(cases[i].address), out = in, back;
		bool has = sp_nat_counterpart(&policy->nat->v[0], &in, true, &out);
		char text[48] = "nothing";

		if (has)
			sp_addr_format(&out, text, sizeof(text));
		if (has != (cases[i].becomes != NULL) || (has && strcmp(text, cases[i].becomes) != 0))
			fail_msg("%s to %s: %s becomes %s", cases[i].inside, cases[i].outside, cases[i].address, text);
		if (!has)
			assert_int_equal(sp_addr_compare(&in, &out), 0);
		if (has) {
			assert_true(sp_nat_counterpart(&policy->nat->v[0], &out, false, &back));
			assert_int_equal(sp_addr_compare(&in, &back), 0);
			assert_false(sp_nat_counterpart(&policy->nat->v[0], &out, true, &back));
		}
		sp_policy_free(policy);
	}
}

/* Ones' complement sum of an address, 0xffff written 0: what a checksum sees of it. */
static uint32_t sum(const struct sp_addr *a)
{
	uint32_t sum = 0;

	for (int i = 0; i < 16; i += 2)
		sum += (uint32_t)a->b[i] << 8 | a->b[i + 1];
	return sum % 0xffff;
}

/* Whatever the lengths: no checksum changes, the host's bits stay but for one word, and the way back leads back. */
static void prefixes_are_neutral(void **state)
{
	uint64_t seed = 42;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct sp_nat_entry entry = {.type = SP_NAT_PREFIX};
		struct sp_addr in = {.family = SP_FAMILY_IPV6}, out, back;
		int changed = 0;

		entry.prefix_bits = (uint8_t)(1 + round % 64);
		entry.inside.lo.family = entry.inside.hi.family = entry.outside.lo.family = entry.outside.hi.family = SP_FAMILY_IPV6;
		for (int i = 0; i < 16; i++) {
			uint8_t mask = i * 8 >= entry.prefix_bits       ? 0
				       : i * 8 + 8 <= entry.prefix_bits ? 0xff
									: (uint8_t)(0xff00 >> entry.prefix_bits % 8);
			uint8_t b[3];

			for (int k = 0; k < 3; k++) {
				seed = seed * 6364136223846793005u + 1442695040888963407u;
				b[k] = seed >> 60 == 0 ? 0xff : (uint8_t)(seed >> 40);
			}
			entry.inside.lo.b[i] = b[0] & mask;
			entry.inside.hi.b[i] = (uint8_t)(entry.inside.lo.b[i] | ~mask);
			entry.outside.lo.b[i] = b[1] & mask;
			entry.outside.hi.b[i] = (uint8_t)(entry.outside.lo.b[i] | ~mask);
			in.b[i] = (uint8_t)(entry.inside.lo.b[i] | (b[2] & ~mask));
		}
		if (!sp_nat_counterpart(&entry, &in, true, &out))
			continue;
		assert_int_equal(sum(&in), sum(&out));
		assert_true(sp_nat_counterpart(&entry, &out, false, &back));
		assert_int_equal(sp_addr_compare(&in, &back), 0);
		for (int i = (entry.prefix_bits + 7) / 8; i < 16; i++)
			changed += in.b[i] != out.b[i];
		assert_true(changed <= 2);
	}
}

/* --- explain --------------------------------------------------------------------------------------------------------------------- */

static void explained(void **state)
{
	static const struct {
		const char *packet;
		int action;
		uint32_t rule, dnat, snat; /* ids, 0: none */
		const char *says;
	} cases[] = {
		{"tcp 198.51.100.1:1 > interface:443 from outside to dmz", SP_ACTION_ALLOW, 1, 1, 0,
			"nat      destination entry 1 (test.rules:4): the destination becomes 192.0.2.10:8443, or another of 4 servers"},
		{"tcp 198.51.100.1:1 > interface:443 from outside to dmz", SP_ACTION_ALLOW, 1, 1, 0,
			"packet   tcp 198.51.100.1:1 > interface:443 from outside to dmz"},
		{"tcp 198.51.100.1:1 > 203.0.113.1:443 from outside to dmz", SP_ACTION_DROP, 0, 0, 0,
			"note     nat entry 1 (test.rules:4) is for the firewall's own addresses: write '> interface:443' if this is one"},
		{"tcp 198.51.100.1:1 > 203.0.113.1:443 from outside to self", SP_ACTION_DROP, 0, 1, 0,
			"name the zone of the server instead"},
		{"udp 198.51.100.1:1 > 203.0.113.9:7003 from outside to inside", SP_ACTION_ALLOW, 2, 2, 0, "becomes 10.0.0.9:17003\n"},
		{"icmp 198.51.100.1 > 203.0.113.9 from outside to inside", SP_ACTION_DROP, 0, 3, 0,
			"entry 3 (test.rules:6): the destination stays"},
		{"tcp 198.51.100.1:1 > 198.51.100.19:7 from outside to inside", SP_ACTION_ALLOW, 2, 10, 0, "becomes 10.0.1.3:7\n"},
		{"tcp 10.0.1.3:1 > 192.0.2.1:9 from inside to outside", SP_ACTION_ALLOW, 3, 0, 10, "the source becomes 198.51.100.19\n"},
		{"tcp 10.0.9.9:1 > 198.51.100.7:9 from inside to outside", SP_ACTION_ALLOW, 3, 0, 20, "the source stays as it is"},
		{"tcp 10.0.9.9:1 > 192.0.2.7:9 from inside to outside", SP_ACTION_ALLOW, 3, 0, 22,
			"the source becomes one of 203.0.113.64/28\n"},
		{"udp 10.0.9.9:1 > 192.0.2.7:53 from inside to outside", SP_ACTION_ALLOW, 3, 0, 21, "the source becomes 203.0.113.53\n"},
		{"tcp 10.0.9.9:1 > 192.0.2.7:9 from inside to guest", SP_ACTION_DROP, 0, 0, 0,
			"drop: the default, because no rule matches"},
		{"tcp [fd01:203:405:1::1]:1 > [2001:db8:9::1]:53 from inside to outside", SP_ACTION_ALLOW, 3, 0, 11,
			"becomes 2001:db8:1:d550::1\n"},
		{"tcp [fd01:203:405:ffff::1]:1 > [2001:db8:9::1]:53 from inside to outside", SP_ACTION_DROP, 3, 0, 11,
			"drop: the address has none on the other side of a prefix entry (RFC 6296 3.4, 3.5) (nat_untranslatable)"},
		{"icmpv6 2001:db8:9::1 > 2001:db8:1:ffff::1 from outside to inside", SP_ACTION_DROP, 0, 11, 0,
			"the destination cannot be translated"},
		{"udp 198.51.100.1:1 > 203.0.113.70:7003 from outside to inside", SP_ACTION_DROP, 0, 0, 0,
			"note     nat entry 22 (test.rules:13) gives out ports of this address"},
		/* what cannot be translated */
		{"gre 10.0.9.9 > 192.0.2.1 from inside to outside", SP_ACTION_DROP, 3, 0, 22,
			"its protocol has no ports that a source entry"},
		{"icmp 10.0.9.9 > 192.0.2.1 from inside to outside", SP_ACTION_ALLOW, 3, 0, 22, "becomes one of 203.0.113.64/28"},
		{"icmp 10.0.9.9 > 192.0.2.1 from inside to outside type=destination-unreachable", SP_ACTION_DROP, 3, 0, 22,
			"drop: no session is kept that could translate the answers"},
		{"udp 10.0.9.9:1 > 192.0.2.1:9 from guest to outside", SP_ACTION_DROP, 8, 0, 22, "the source cannot be translated"},
		{"udp 10.0.9.9:1 > 203.0.113.5:9 from guest to inside", SP_ACTION_DROP, 9, 5, 0, "the destination cannot be translated"},
		{"udp [fd01:203:405:1::1]:1 > [2001:db8:9::1]:53 from guest to outside", SP_ACTION_ALLOW, 8, 0, 11,
			"becomes 2001:db8:1:d550::1\n"},
		/* a hairpin: by the entry that it would leave by */
		{"tcp 10.0.9.9:1 > 203.0.113.5:9 from inside to inside", SP_ACTION_ALLOW, 7, 5, 22, "becomes one of 203.0.113.64/28"},
		{"tcp 10.0.9.9:1 > 10.0.0.5:9 from inside to inside", SP_ACTION_ALLOW, 7, 0, 0, "allow: rule 7"},
		/* the firewall itself */
		{"tcp 10.0.0.1:1 > 10.0.0.2:22 from inside to self", SP_ACTION_ALLOW, 4, 0, 0, "allow: rule 4"},
		{"tcp 10.0.0.1:1 > 10.0.0.2:23 from inside to self", SP_ACTION_DROP, 0, 0, 0,
			"drop: the default of the firewall itself, because no rule that names self matches\n"},
		{"tcp 10.0.0.1:1 > interface:23 from inside", SP_ACTION_DROP, 0, 0, 0, "drop: the default of the firewall itself"},
		{"icmp 10.0.0.1 > 10.0.0.2 from inside to self", SP_ACTION_ALLOW, 0, 0, 0, "allow: the default of the firewall itself"},
		{"icmp 10.0.0.1 > 10.0.0.2 from inside to self type=timestamp-request", SP_ACTION_DROP, 0, 0, 0,
			"drop: the default of the firewall"},
		{"icmpv6 2001:db8::1 > 2001:db8::2 from inside to self", SP_ACTION_ALLOW, 0, 0, 0,
			"allow: the default of the firewall itself"},
		{"udp 10.0.0.1:67 > 10.0.0.2:68 from inside to self", SP_ACTION_DROP, 0, 0, 0,
			"and answers that its DHCP client waits for"},
		{"icmpv6 fe80::1 > fe80::2 from inside to self type=neighbour-solicitation", SP_ACTION_ALLOW, 0, 0, 0,
			"builtin nd, before the rules"},
		{"icmpv6 fe80::1 > fe80::2 from inside to self type=redirect", SP_ACTION_DROP, 0, 0, 0,
			"drop: the default of the firewall itself"},
		{"arp from inside to self", SP_ACTION_ALLOW, 0, 0, 0, "builtin arp, before the rules"},
		{"arp from inside to outside", SP_ACTION_ALLOW, 0, 0, 0, "builtin arp, because no rule names its ethertype"},
		{"udp 10.0.0.1:67 > 10.0.0.2:69 from inside to self", SP_ACTION_DROP, 0, 0, 0, "drop: the default of the firewall itself"},
		{"tcp 10.0.0.2:1 > 192.0.2.1:80 from self to outside", SP_ACTION_ALLOW, 0, 0, 23,
			"becomes the address of the port that it leaves by"},
		{"udp 10.0.0.2:1 > 192.0.2.1:80 from self to outside", SP_ACTION_DROP, 5, 0, 0, "drop: rule 5"},
		{"tcp 10.0.0.2:1 > 192.0.2.1:80 from self to outside flags=ack", SP_ACTION_DROP, 0, 0, 0,
			"it opens no session (tcp_no_session)"},
	};
	struct sp_policy *policy = nat_good(nat, rules);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_packet_text packet;
		struct sp_explain e;
		uint32_t rule;
		char *text = NULL;
		size_t size;
		FILE *out;

		parse(policy, cases[i].packet, &packet);
		sp_explain(policy, &packet, &e);
		rule = e.rule == SP_RULE_NONE ? 0 : policy->rules[e.rule].id;
		out = open_memstream(&text, &size);
		sp_explain_print(policy, &packet, &e, out);
		fclose(out);
		if (e.action != cases[i].action || rule != cases[i].rule || id_of(policy, e.dnat) != cases[i].dnat ||
			id_of(policy, e.snat) != cases[i].snat || strstr(text, cases[i].says) == NULL)
			fail_msg("%s: rule %u, nat %u %u\n%s", cases[i].packet, rule, id_of(policy, e.dnat), id_of(policy, e.snat), text);
		assert_true((e.reason == NULL) == (e.action == SP_ACTION_ALLOW));
		free(text);
	}
	sp_policy_free(policy);
}

/* The default of the policy is not that of the firewall itself, and without a zone `self` there is no such default. */
static void self_has_a_default_of_its_own(void **state)
{
	static const struct {
		const char *head, *rule, *packet;
		int action;
		bool self;
	} cases[] = {
		{"reject", "1 allow tcp to self dport 1", "tcp 10.0.0.1:1 > 10.0.0.2:2 from in to self", SP_ACTION_DROP, true},
		{"allow", "1 allow tcp to self dport 1", "tcp 10.0.0.1:1 > 10.0.0.2:2 from in to self", SP_ACTION_DROP, true},
		{"allow", "1 allow tcp to self dport 1", "tcp 10.0.0.1:1 > 10.0.0.2:2 from in to out", SP_ACTION_ALLOW, false},
		{"drop", "1 allow tcp to self dport 1", "tcp 10.0.0.1:1 > 10.0.0.2:2 from self to out", SP_ACTION_ALLOW, true},
		{"reject", "1 allow tcp dport 1", "tcp 10.0.0.1:1 > 10.0.0.2:2 from in to out", SP_ACTION_REJECT, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_read_options options = {.file = "t"};
		struct sp_diags diags = {0};
		struct sp_packet_text packet;
		struct sp_policy *policy;
		struct sp_explain e;
		char text[512];

		snprintf(text, sizeof(text),
			"version = 1; default = { action = \"%s\"; }; rules = ( \"%s\", \"9 allow tcp from in to out dport 99\" );",
			cases[i].head, cases[i].rule);
		policy = sp_policy_read(text, strlen(text), &options, &diags);
		assert_non_null(policy);
		parse(policy, cases[i].packet, &packet);
		sp_explain(policy, &packet, &e);
		if (e.action != cases[i].action || e.self != cases[i].self || e.rule != SP_RULE_NONE)
			fail_msg("%zu: %d %d", i, e.action, e.self);
		sp_policy_free(policy);
	}
}

static void told_as_json(void **state)
{
	struct sp_policy *policy = nat_good(nat, rules);
	struct sp_packet_text packet;
	struct sp_explain e;
	json_t *json, *part;

	(void)state;
	parse(policy, "tcp 198.51.100.1:1 > interface:443 from outside to dmz", &packet);
	sp_explain(policy, &packet, &e);
	json = sp_explain_json(policy, &packet, &e);
	part = json_object_get(json_object_get(json, "nat"), "destination");
	assert_int_equal(json_integer_value(json_object_get(part, "entry")), 1);
	assert_string_equal(json_string_value(json_object_get(part, "address")), "192.0.2.10");
	assert_int_equal(json_integer_value(json_object_get(part, "port")), 8443);
	assert_int_equal(json_integer_value(json_object_get(part, "servers")), 4);
	assert_true(json_is_null(json_object_get(json_object_get(json, "nat"), "source")));
	assert_true(json_is_false(json_object_get(json, "self")));
	json_decref(json);
	parse(policy, "tcp 10.0.9.9:1 > 198.51.100.7:9 from inside to outside", &packet);
	sp_explain(policy, &packet, &e);
	json = sp_explain_json(policy, &packet, &e);
	part = json_object_get(json_object_get(json, "nat"), "source");
	assert_int_equal(json_integer_value(json_object_get(part, "entry")), 20);
	assert_true(json_is_true(json_object_get(part, "exempt")));
	assert_true(json_is_null(json_object_get(part, "address")));
	json_decref(json);
	parse(policy, "tcp 192.0.2.7:1 > 192.0.2.1:9 from self to outside", &packet);
	sp_explain(policy, &packet, &e);
	json = sp_explain_json(policy, &packet, &e);
	part = json_object_get(json_object_get(json, "nat"), "source");
	assert_string_equal(json_string_value(json_object_get(part, "address")), "interface");
	assert_true(json_is_true(json_object_get(json, "self")));
	assert_true(json_is_true(json_object_get(json, "default")));
	assert_null(json_object_get(json, "line"));
	json_decref(json);
	sp_policy_free(policy);
}

/* A rule that knows only some of the servers: the answer hangs on which one is chosen, and an expectation must hold for all. */
static void servers_that_rules_tell_apart(void **state)
{
	static const char text[] =
		NAT_HEAD "nat = ( { id = 1; type = \"destination\"; dport = 443; address = \"@web\"; method = \"maglev\"; } );\n"
			 "rules = ( \"1 allow tcp to 192.0.2.10-192.0.2.12 dport 443\", \"2 allow udp to @web dport 443\" );\n"
			 "expect = ( \"allow 2: udp 198.51.100.1:1 > 203.0.113.1:443\",\n"
			 "\"allow 1: tcp 198.51.100.1:1 > 203.0.113.1:443\" );\n";
	struct sp_read_options options = {.file = "test.rules"};
	struct sp_diags diags = {0};
	struct sp_policy *policy = sp_policy_read(text, strlen(text), &options, &diags);
	struct sp_packet_text packet;
	struct sp_explain e;
	char *told = NULL;
	size_t size;
	FILE *out;

	(void)state;
	assert_non_null(policy);
	sp_policy_expect(policy, &diags);
	assert_int_equal(diags.errors, 1);
	assert_int_equal(diags.v[0].line, 6);
	assert_non_null(
		strstr(diags.v[0].text, "rule 1 decides for server 192.0.2.10 of nat entry 1, and the default for server 192.0.2.80"));
	sp_diags_clear(&diags);
	parse(policy, "tcp 198.51.100.1:1 > 203.0.113.1:443", &packet);
	sp_explain(policy, &packet, &e);
	assert_int_equal(e.other_server, 3);
	out = open_memstream(&told, &size);
	sp_explain_print(policy, &packet, &e, out);
	fclose(out);
	assert_non_null(strstr(told, "note     for 192.0.2.80, another of these servers, no rule decides"));
	free(told);
	sp_policy_free(policy);
}

/* expect lines give the destination as it comes in. */
static void expected(void **state)
{
	static const char text[] =
		NAT_HEAD "nat = ( { id = 1; type = \"destination\"; from = \"outside\"; dst = \"interface\"; dport = 443; "
			 "address = \"192.0.2.80\"; } );\nrules = ( \"1 allow tcp from outside to 192.0.2.80 dport 443\" );\n"
			 "expect = ( \"allow 1: tcp 198.51.100.1:1 > interface:443 from outside\",\n"
			 "\"drop default: tcp 198.51.100.1:1 > interface:80 from outside\",\n"
			 "\"allow 1: tcp 198.51.100.1:1 > interface:444 from outside\" );\n";
	struct sp_read_options options = {.file = "test.rules"};
	struct sp_diags diags = {0};
	struct sp_policy *policy = sp_policy_read(text, strlen(text), &options, &diags);

	(void)state;
	assert_non_null(policy);
	sp_policy_expect(policy, &diags);
	assert_int_equal(diags.errors, 1);
	assert_int_equal(diags.v[0].line, 7);
	sp_diags_clear(&diags);
	sp_policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matches),
		cmocka_unit_test(goes_on_behind_an_entry),
		cmocka_unit_test(counterparts),
		cmocka_unit_test(prefixes_are_neutral),
		cmocka_unit_test(explained),
		cmocka_unit_test(self_has_a_default_of_its_own),
		cmocka_unit_test(told_as_json),
		cmocka_unit_test(servers_that_rules_tell_apart),
		cmocka_unit_test(expected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
