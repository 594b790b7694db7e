/* SPDX-License-Identifier: BSD-3-Clause */
/* Packet descriptions: what they become, what is refused, and that the canonical text reads back as itself. */
#include "policy_of.h"

#include "rules/packet_text.h"

static const struct sp_zones zones = {.name = {"inside", "outside", "dmz"}, .n = 3};

static const struct {
	const char *text, *canonical; /* canonical NULL: the text itself */
	struct sp_match match;        /* addresses are compared by the canonical text */
	uint8_t known, flags;
} goods[] = {
	{"tcp 10.1.2.3:40000 > 192.0.2.10:443 from inside to outside",
		"tcp 10.1.2.3:40000 > 192.0.2.10:443 from inside to outside flags=syn",
		{.family = 4, .proto = 6, .from = 0, .to = 1, .ethertype = 0x800, .sport = 40000, .dport = 443}, SP_VIEW_TCP_FLAGS, 2},
	{"tcp 10.1.2.3>192.0.2.10", "tcp 10.1.2.3:0 > 192.0.2.10:0 flags=syn",
		{.family = 4, .proto = 6, .from = 255, .to = 255, .ethertype = 0x800}, SP_VIEW_TCP_FLAGS, 2},
	{"udp [2001:db8::1]:53 > [2001:db8::2]:5353 to dmz", NULL,
		{.family = 6, .proto = 17, .from = 255, .to = 2, .ethertype = 0x86dd, .sport = 53, .dport = 5353}, 0, 0},
	{"sctp 2001:db8::1 > [2001:db8::2]:https", "sctp [2001:db8::1]:0 > [2001:db8::2]:443",
		{.family = 6, .proto = 132, .from = 255, .to = 255, .ethertype = 0x86dd, .dport = 443}, 0, 0},
	{"icmp 192.0.2.1 > 192.0.2.2", "icmp 192.0.2.1 > 192.0.2.2 type=echo-request",
		{.family = 4, .proto = 1, .from = 255, .to = 255, .ethertype = 0x800, .sport = 8}, 0, 0},
	{"icmp 192.0.2.1 > 192.0.2.2 type=3 code=4", "icmp 192.0.2.1 > 192.0.2.2 type=destination-unreachable code=4",
		{.family = 4, .proto = 1, .from = 255, .to = 255, .ethertype = 0x800, .sport = 3, .dport = 4}, 0, 0},
	{"icmpv6 fe80::1 > ff02::1 type=router-advertisement", NULL,
		{.family = 6, .proto = 58, .from = 255, .to = 255, .ethertype = 0x86dd, .sport = 134}, 0, 0},
	{"icmpv6 fe80::1 > ff02::1", "icmpv6 fe80::1 > ff02::1 type=echo-request",
		{.family = 6, .proto = 58, .from = 255, .to = 255, .ethertype = 0x86dd, .sport = 128}, 0, 0},
	{"gre 192.0.2.1 > 192.0.2.2 vlan=20", NULL, {.family = 4, .proto = 47, .from = 255, .to = 255, .vlan = 20, .ethertype = 0x800}, 0,
		0},
	{"253 192.0.2.1 > 192.0.2.2", NULL, {.family = 4, .proto = 253, .from = 255, .to = 255, .ethertype = 0x800}, 0, 0},
	{"tcp 192.0.2.1:1 > 192.0.2.2:2 flags=syn,ack length=64 dscp=ef src_mac=02:00:5E:10:00:01",
		"tcp 192.0.2.1:1 > 192.0.2.2:2 flags=syn,ack length=64 dscp=46 src_mac=02:00:5e:10:00:01",
		{.family = 4, .proto = 6, .from = 255, .to = 255, .ethertype = 0x800, .sport = 1, .dport = 2},
		SP_VIEW_TCP_FLAGS | SP_VIEW_LENGTH | SP_VIEW_DSCP | SP_VIEW_SRC_MAC, 0x12},
	{"tcp 192.0.2.1:1 > 192.0.2.2:2 flags=none", NULL,
		{.family = 4, .proto = 6, .from = 255, .to = 255, .ethertype = 0x800, .sport = 1, .dport = 2}, SP_VIEW_TCP_FLAGS, 0},
	{"tcp 192.0.2.1:1 > interface:443 from outside", "tcp 192.0.2.1:1 > interface:443 from outside flags=syn",
		{.family = 4, .proto = 6, .from = 1, .to = 255, .ethertype = 0x800, .sport = 1, .dport = 443}, SP_VIEW_TCP_FLAGS, 2},
	{"icmpv6 2001:db8::1 > interface", "icmpv6 2001:db8::1 > interface type=echo-request",
		{.family = 6, .proto = 58, .from = 255, .to = 255, .ethertype = 0x86dd, .sport = 128}, 0, 0},
	{"arp from inside to outside vlan=5", NULL, {.from = 0, .to = 1, .vlan = 5, .ethertype = 0x806}, 0, 0},
	{"ethertype=0x88cc", "ethertype=lldp", {.from = 255, .to = 255, .ethertype = 0x88cc}, 0, 0},
	{"ethertype=0x1234 from inside", NULL, {.from = 0, .to = 255, .ethertype = 0x1234}, 0, 0},
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
		const char *canonical = goods[i].canonical != NULL ? goods[i].canonical : goods[i].text;
		struct sp_packet_text packet, again;
		char why[160] = "", text[512];
		struct sp_match match;
		size_t needed;

		if (sp_packet_text_parse(goods[i].text, &zones, &packet, why, sizeof(why)) != 0)
			fail_msg("'%s': %s", goods[i].text, why);
		needed = sp_packet_text_format(&packet, &zones, text, sizeof(text));
		assert_string_equal(text, canonical);
		assert_int_equal(needed, strlen(text));
		match = packet.match;
		memset(&match.src, 0, sizeof(match.src));
		memset(&match.dst, 0, sizeof(match.dst));
		assert_memory_equal(&match, &goods[i].match, sizeof(match));
		assert_int_equal(packet.view.known, goods[i].known);
		assert_int_equal(packet.view.tcp_flags, goods[i].flags);
		assert_null(packet.view.frame);
		assert_int_equal(sp_packet_text_parse(text, &zones, &again, why, sizeof(why)), 0);
		assert_memory_equal(&again, &packet, sizeof(packet));
	}
}

static const struct {
	const char *text, *says;
} bads[] = {
	{"", "description is empty"},
	{"http 192.0.2.1 > 192.0.2.2", "'http' is not a protocol"},
	{"tcp", "an address is missing"},
	{"tcp interface:1 > 192.0.2.1:2", "'interface:1' is not an address"},
	{"tcp 192.0.2.1:1 > interfaces:2", "'interfaces:2' is not an address"},
	{"tcp 192.0.2.1:1 > interface:70000", "'70000' is not a port"},
	{"icmp 192.0.2.1 > interface:7", "icmp has no ports"},
	{"tcp 192.0.2.1", "'>' is missing"},
	{"tcp 192.0.2.1 192.0.2.2", "'>' is missing"},
	{"tcp 192.0.2.1 >", "an address is missing"},
	{"tcp > 192.0.2.1", "an address is missing"},
	{"tcp 192.0.2.300 > 192.0.2.1", "'192.0.2.300' is not an address"},
	{"tcp 192.0.2.1:70000 > 192.0.2.1", "'70000' is not a port"},
	{"tcp 192.0.2.1: > 192.0.2.1", "'' is not a port"},
	{"tcp [2001:db8::1 > 2001:db8::2", "only :PORT may follow"},
	{"tcp [2001:db8::1]80 > 2001:db8::2", "only :PORT may follow"},
	{"tcp 192.0.2.1 > 2001:db8::2", "different families"},
	{"icmp 192.0.2.1:8 > 192.0.2.2", "icmp has no ports"},
	{"gre 192.0.2.1 > 192.0.2.2:80", "gre has no ports"},
	{"icmp 2001:db8::1 > 2001:db8::2", "write icmpv6"},
	{"icmpv6 192.0.2.1 > 192.0.2.2", "write icmp"},
	{"tcp 192.0.2.1 > 192.0.2.2 from", "'from' needs a zone"},
	{"tcp 192.0.2.1 > 192.0.2.2 from lan", "unknown zone 'lan'"},
	{"tcp 192.0.2.1 > 192.0.2.2 from inside from inside", "'from' is said twice"},
	{"tcp 192.0.2.1 > 192.0.2.2 vlan=4095", "vlan: '4095'"},
	{"tcp 192.0.2.1 > 192.0.2.2 vlan=1 vlan=1", "vlan is said twice"},
	{"tcp 192.0.2.1 > 192.0.2.2 type=8", "only icmp and icmpv6"},
	{"icmp 192.0.2.1 > 192.0.2.2 type=packet-too-big", "is not an ICMP type"},
	{"icmp 192.0.2.1 > 192.0.2.2 code=256", "code: '256'"},
	{"udp 192.0.2.1 > 192.0.2.2 flags=syn", "only tcp"},
	{"tcp 192.0.2.1 > 192.0.2.2 flags=sin", "is not a list of fin"},
	{"tcp 192.0.2.1 > 192.0.2.2 length=", "length: ''"},
	{"arp dscp=ef", "only IP packets"},
	{"tcp 192.0.2.1 > 192.0.2.2 dscp=64", "is not a DSCP"},
	{"arp src_mac=02", "is not a MAC"},
	{"tcp 192.0.2.1 > 192.0.2.2 sni=example.com", "not supported yet"},
	{"tcp 192.0.2.1 > 192.0.2.2 colour=blue", "unknown word 'colour=blue'"},
	{"tcp 192.0.2.1 > 192.0.2.2 > 192.0.2.3", "unknown word '>'"},
	{"ethertype=0x800", "described by its protocol"},
	{"ethertype=", "'' is not an EtherType"},
	{"arp 192.0.2.1 > 192.0.2.2", "unknown word '192.0.2.1'"},
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
		struct sp_packet_text packet = {.match.vlan = 77};
		char why[160] = "";

		if (sp_packet_text_parse(bads[i].text, &zones, &packet, why, sizeof(why)) == 0)
			fail_msg("'%s' was taken", bads[i].text);
		if (strstr(why, bads[i].says) == NULL)
			fail_msg("'%s': %s", bads[i].text, why);
		assert_int_equal(packet.match.vlan, 77);
	}
}

static void test_no_zones(void **state)
{
	struct sp_packet_text packet;
	char why[160];

	(void)state;
	assert_int_equal(sp_packet_text_parse("arp from inside", NULL, &packet, why, sizeof(why)), -22);
	assert_non_null(strstr(why, "the rules name no zone"));
	assert_int_equal(sp_packet_text_parse("arp", NULL, &packet, why, sizeof(why)), 0);
}

/* A message about a very long word stays inside its buffer, and a short text buffer is cut and terminated. */
static void test_bounds(void **state)
{
	struct sp_packet_text packet;
	char text[4000], why[160], small[6] = "xxxxx";

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(sp_packet_text_parse(text, &zones, &packet, why, sizeof(why)), -22);
	assert_true(strlen(why) < sizeof(why));
	assert_int_equal(sp_packet_text_parse("arp from inside", &zones, &packet, why, sizeof(why)), 0);
	assert_int_equal(sp_packet_text_format(&packet, &zones, small, sizeof(small)), 15);
	assert_string_equal(small, "arp f");
	assert_int_equal(sp_packet_text_format(&packet, &zones, NULL, 0), 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_no_zones),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
