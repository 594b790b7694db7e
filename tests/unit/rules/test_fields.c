/* SPDX-License-Identifier: BSD-3-Clause */
/* Every field with good and bad values. */
#include "policy_of.h"

#include <netinet/in.h>

#include "rules/fields.h"

/* A rule, and what one of its fields became, in a form that a table can hold. */
static const struct {
	const char *rule;
	int field;
	const char *became;
} goods[] = {
	{"1 allow", SP_FIELD_ID, "1"},
	{"2147483647 allow", SP_FIELD_ID, "2147483647"},
	{"1 allow", SP_FIELD_ACTION, "0"},
	{"1 drop", SP_FIELD_ACTION, "1"},
	{"1 reject", SP_FIELD_ACTION, "2"},
	{"1 allow tcp", SP_FIELD_PROTO, "6"},
	{"1 allow icmpv6,gre,255,0", SP_FIELD_PROTO, "0 47 58 255"},
	{"1 allow tcp,udp,sctp", SP_FIELD_PROTO, "6 17 132"},
	{"1 allow dport 53", SP_FIELD_PROTO, "6 17 132"},
	{"1 allow from inside", SP_FIELD_FROM, "1"},
	{"1 allow from inside to outside,inside,dmz", SP_FIELD_TO, "7"},
	{"1 allow from 192.0.2.1", SP_FIELD_SRC, "192.0.2.1"},
	{"1 allow from @lan", SP_FIELD_SRC, "10.0.0.0/8 2001:db8:10::/48"},
	{"1 allow from '@lan, !10.0.0.0/9'", SP_FIELD_SRC, "10.128.0.0/9 2001:db8:10::/48"},
	{"1 allow to !@lan,192.0.2.0/25,192.0.2.128/25", SP_FIELD_DST, "192.0.2.0/24"},
	{"1 allow to !128.0.0.0/1", SP_FIELD_DST, "0.0.0.0/1 ::/0"},
	{"1 allow to 192.0.2.5-192.0.2.7", SP_FIELD_DST, "192.0.2.5-192.0.2.7"},
	{"1 allow udp sport 68", SP_FIELD_SPORT, "68-68"},
	{"1 allow tcp dport 0,65535", SP_FIELD_DPORT, "0-0 65535-65535"},
	{"1 allow tcp dport '90-100, 80-89,95-110'", SP_FIELD_DPORT, "80-110"},
	{"1 allow tcp dport @ports,ssh,https", SP_FIELD_DPORT, "22-22 80-80 443-443"},
	{"1 allow tcp dport 0-65535", SP_FIELD_DPORT, "0-65535"},
	{"1 allow tcp dport 63-64,127-128", SP_FIELD_DPORT, "63-64 127-128"},
	{"1 allow icmp icmp_type echo-request,time-exceeded", SP_FIELD_ICMP_TYPE, "8-8 11-11"},
	{"1 allow icmpv6 icmp_type packet-too-big,133-137", SP_FIELD_ICMP_TYPE, "2-2 133-137"},
	{"1 allow icmp,icmpv6 icmp_type echo-request", SP_FIELD_ICMP_TYPE, "8-8 128-128"},
	{"1 allow icmp icmp_type 3 icmp_code 4", SP_FIELD_ICMP_CODE, "4-4"},
	{"1 allow tcp tcp_flags syn/syn,ack", SP_FIELD_TCP_FLAGS, "02/12"},
	{"1 drop tcp tcp_flags none/all", SP_FIELD_TCP_FLAGS, "00/ff"},
	{"1 drop tcp tcp_flags fin,psh,urg", SP_FIELD_TCP_FLAGS, "29/29"},
	{"1 allow vlan 0,10-20", SP_FIELD_VLAN, "0-0 10-20"},
	{"1 allow ethertype arp,0x88CC,pppoe", SP_FIELD_ETHERTYPE, "2054-2054 34916-34916 35020-35020"},
	{"1 allow ethertype llc", SP_FIELD_ETHERTYPE, "0-1535"},
	{"1 allow src_mac 02:00:5e:10:00:01,02-00-5E-10-00-02", SP_FIELD_SRC_MAC, "02005e100001 02005e100002"},
	{"1 drop length 0-63,1519-65535", SP_FIELD_LENGTH, "0-63 1519-65535"},
	{"1 allow dscp ef,0,cs6,af41", SP_FIELD_DSCP, "0-0 34-34 46-46 48-48"},
	{"1 allow bpf 'ip[8] < 5'", SP_FIELD_BPF, "program"},
	{"1 allow tcp inspect attacks", SP_FIELD_INSPECT, "0"},
	{"1 allow", SP_FIELD_INSPECT, "-1"},
	{"1 allow log", SP_FIELD_LOG, "2"},
	{"1 allow log start", SP_FIELD_LOG, "1"},
	{"1 allow log both", SP_FIELD_LOG, "3"},
	{"1 allow log false", SP_FIELD_LOG, "0"},
	{"1 allow limit 100/s", SP_FIELD_LIMIT, "unit 1 rate 100/1 burst 100 src 0 32 64"},
	{"1 allow limit 20/m", SP_FIELD_LIMIT, "unit 1 rate 20/60 burst 1 src 0 32 64"},
	{"1 allow limit 120/m", SP_FIELD_LIMIT, "unit 1 rate 120/60 burst 2 src 0 32 64"},
	{"1 allow limit 7200/h", SP_FIELD_LIMIT, "unit 1 rate 7200/3600 burst 2 src 0 32 64"},
	{"1 allow limit '100/s burst 200 per src/24'", SP_FIELD_LIMIT, "unit 1 rate 100/1 burst 200 src 1 24 64"},
	{"1 allow limit '100/s per src/56 burst 7'", SP_FIELD_LIMIT, "unit 1 rate 100/1 burst 7 src 1 32 56"},
	{"1 allow limit '100/s per src/24,48'", SP_FIELD_LIMIT, "unit 1 rate 100/1 burst 100 src 1 24 48"},
	{"1 allow limit '1000 pps'", SP_FIELD_LIMIT, "unit 2 rate 1000/1 burst 1000 src 0 32 64"},
	{"1 allow limit '10 Mbit/s burst 1 per src'", SP_FIELD_LIMIT, "unit 3 rate 10000000/1 burst 1000000 src 1 32 64"},
	{"1 allow limit 2Gbit/s", SP_FIELD_LIMIT, "unit 3 rate 2000000000/1 burst 2000000000 src 0 32 64"},
	{"1 allow limit '10 kbit/s'", SP_FIELD_LIMIT, "unit 3 rate 10000/1 burst 12144 src 0 32 64"},
	{"1 allow limit '12145 bit/s'", SP_FIELD_LIMIT, "unit 3 rate 12145/1 burst 12145 src 0 32 64"},
	{"1 allow max_sessions 1000", SP_FIELD_MAX_SESSIONS, "1000"},
	{"1 allow max_per_source 10", SP_FIELD_MAX_PER_SOURCE, "10"},
	{"1 allow timeout 8h", SP_FIELD_TIMEOUT, "28800"},
	{"1 allow tcp mss 1360", SP_FIELD_MSS, "1360"},
	{"1 allow mss 536", SP_FIELD_MSS, "536"},
	{"1 allow stateless", SP_FIELD_STATELESS, "1"},
	{"1 allow monitor", SP_FIELD_MONITOR, "1"},
	{"1 allow enabled false", SP_FIELD_ENABLED, "0"},
	{"1 allow", SP_FIELD_ENABLED, "1"},
	{"1 allow name 'caf\xc3\xa9'", SP_FIELD_NAME, "caf\xc3\xa9"},
	{"1 allow comment 'a b'", SP_FIELD_COMMENT, "a b"},
};

static char became[4096];

static void add(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void add(const char *fmt, ...)
{
	size_t len = strlen(became);
	va_list args;

	va_start(args, fmt);
	vsnprintf(became + len, sizeof(became) - len, fmt, args);
	va_end(args);
}

static void add_ranges(const struct sp_rangelist *list)
{
	for (size_t i = 0; i < list->n; i++)
		add("%s%u-%u", i != 0 ? " " : "", list->v[i].lo, list->v[i].hi);
}

static void add_addrs(const struct sp_policy *policy, int32_t index)
{
	char text[96];

	for (size_t i = 0; index >= 0 && i < policy->addrsets[index].n; i++)
		add("%s%s", i != 0 ? " " : "", sp_addr_range_format(&policy->addrsets[index].v[i], text, sizeof(text)));
}

static void add_limit(const struct sp_limit *l)
{
	add("unit %u rate %llu/%u burst %llu src %u %u %u", l->unit, (unsigned long long)l->rate, l->period_sec,
		(unsigned long long)l->burst, l->per_src, l->src_bits4, l->src_bits6);
}

static const char *describe(const struct sp_policy *policy, const struct sp_rule *rule, int field)
{
	became[0] = '\0';
	switch (field) {
	case SP_FIELD_ID:
		add("%u", rule->id);
		break;
	case SP_FIELD_ACTION:
		add("%u", rule->action);
		break;
	case SP_FIELD_PROTO:
		for (unsigned int p = 0; p < 256; p++)
			if (sp_rule_has_proto(rule, (uint8_t)p))
				add("%s%u", became[0] != '\0' ? " " : "", p);
		break;
	case SP_FIELD_FROM:
		add("%x", rule->from);
		break;
	case SP_FIELD_TO:
		add("%x", rule->to);
		break;
	case SP_FIELD_SRC:
		add_addrs(policy, rule->src);
		break;
	case SP_FIELD_DST:
		add_addrs(policy, rule->dst);
		break;
	case SP_FIELD_SPORT:
		add_ranges(&rule->sport);
		break;
	case SP_FIELD_DPORT:
		add_ranges(&rule->dport);
		break;
	case SP_FIELD_ICMP_TYPE:
		add_ranges(&rule->icmp_type);
		break;
	case SP_FIELD_ICMP_CODE:
		add_ranges(&rule->icmp_code);
		break;
	case SP_FIELD_TCP_FLAGS:
		assert_int_equal(rule->residual.n_tcp_flags, 1);
		add("%02x/%02x", rule->residual.tcp_flags[0].value, rule->residual.tcp_flags[0].mask);
		break;
	case SP_FIELD_VLAN:
		add_ranges(&rule->vlan);
		break;
	case SP_FIELD_ETHERTYPE:
		add_ranges(&rule->ethertype);
		break;
	case SP_FIELD_SRC_MAC:
		for (size_t i = 0; i < rule->residual.n_src_mac; i++) {
			const uint8_t *m = rule->residual.src_mac[i];

			add("%s%02x%02x%02x%02x%02x%02x", i != 0 ? " " : "", m[0], m[1], m[2], m[3], m[4], m[5]);
		}
		break;
	case SP_FIELD_LENGTH:
		add_ranges(&rule->residual.length);
		break;
	case SP_FIELD_DSCP:
		add_ranges(&rule->residual.dscp);
		break;
	case SP_FIELD_BPF:
		add("%s", rule->residual.bpf != NULL && rule->residual.bpf->bf_len > 0 ? "program" : "none");
		break;
	case SP_FIELD_INSPECT:
		add("%d", rule->inspect);
		break;
	case SP_FIELD_LOG:
		add("%u", rule->log);
		break;
	case SP_FIELD_LIMIT:
		add_limit(&rule->limit);
		break;
	case SP_FIELD_MAX_SESSIONS:
		add("%u", rule->max_sessions);
		break;
	case SP_FIELD_MAX_PER_SOURCE:
		add("%u", rule->max_per_source);
		break;
	case SP_FIELD_TIMEOUT:
		add("%u", rule->timeout_sec);
		break;
	case SP_FIELD_MSS:
		add("%u", rule->mss);
		break;
	case SP_FIELD_STATELESS:
		add("%u", rule->stateless);
		break;
	case SP_FIELD_MONITOR:
		add("%u", rule->monitor);
		break;
	case SP_FIELD_ENABLED:
		add("%u", rule->enabled);
		break;
	default:
		add("%s", rule->value[field]);
		break;
	}
	return became;
}

static bool residual_field(int field)
{
	return field == SP_FIELD_TCP_FLAGS || field == SP_FIELD_LENGTH || field == SP_FIELD_DSCP || field == SP_FIELD_SRC_MAC ||
	       field == SP_FIELD_BPF;
}

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
		struct sp_policy *policy = policy_of_rule(goods[i].rule);
		const char *text = describe(policy, &policy->rules[0], goods[i].field);

		if (strcmp(text, goods[i].became) != 0)
			fail_msg("'%s': %s became '%s' and not '%s'", goods[i].rule, sp_field_names[goods[i].field], text, goods[i].became);
		assert_int_equal(policy->rules[0].has_residual, residual_field(goods[i].field));
		sp_policy_free(policy);
	}
}

static const struct {
	const char *rule, *says;
} bads[] = {
	{"0 allow", "id: '0' is not"},
	{"2147483648 allow", "id: '2147483648' is not"},
	{"007 allow", "id: '007' is not"},
	{"1 permit", "written allow"},
	{"1 deny", "drop (silent) or reject"},
	{"1 tcp", "action: 'tcp'"},
	{"1 allow proto any", "leave it out"},
	{"1 allow ip", "no protocol over IP"},
	{"1 allow ipv6", "no protocol over IP"},
	{"1 allow icmp6", "written icmpv6"},
	{"1 allow 256", "proto: '256'"},
	{"1 allow tcp,bogus", "proto: 'bogus'"},
	{"1 allow tcp,", "proto: ''"},
	{"1 allow from any", "leave it out"},
	{"1 allow from inside,log", "is a field"},
	{"1 allow from ins$ide", "not a zone name"},
	{"1 allow from abcdefghijklmnopqrstuvwxyzabcdef", "not a zone name"},
	{"1 allow from !inside", "a zone stands behind from or to"},
	{"1 allow from inside,,outside", "not a zone name"},
	{"1 allow from 10.0.0.1/8", "'10.0.0.1/8': "},
	{"1 allow from 10.0.0.0/33", "prefix length over 32"},
	{"1 allow from 10.0.0.256", "'10.0.0.256': "},
	{"1 allow from 10.0.0.9-10.0.0.1", "ends before it begins"},
	{"1 allow from @nowhere", "unknown set '@nowhere'"},
	{"1 allow from @ports", "holds no addresses"},
	{"1 allow from @names", "holds no addresses"},
	{"1 allow from 10.0.0.0/8,", "an empty member"},
	{"1 allow from !!10.0.0.0/8", "one '!' is enough"},
	{"1 allow from interface", "'interface' stands alone, as dst or address in the nat list"},
	{"1 allow src outside", "a zone stands behind from"},
	{"1 allow tcp dport 70000", "'70000' is not a port"},
	{"1 allow tcp dport 65536", "'65536' is not a port"},
	{"1 allow tcp dport 90-80", "runs backwards"},
	{"1 allow tcp dport -80", "'-80' is not a port"},
	{"1 allow tcp dport 80-", "'80-' is not a port"},
	{"1 allow tcp dport 80,,81", "an empty member"},
	{"1 allow tcp dport httpd", "'httpd' is not a port"},
	{"1 allow tcp dport !80", "'!' negates addresses only"},
	{"1 allow tcp dport @lan", "holds no ports"},
	{"1 allow tcp dport @none", "unknown set '@none'"},
	{"1 allow icmp dport 80", "only tcp, udp and sctp have ports"},
	{"1 allow tcp,icmp sport 80", "only tcp, udp and sctp have ports"},
	{"1 allow icmp_type echo-request", "icmp_type needs proto icmp or icmpv6"},
	{"1 allow tcp icmp_type 8", "icmp_type needs proto"},
	{"1 allow tcp,icmp icmp_type 8", "icmp_type needs proto"},
	{"1 allow icmp icmp_type 256", "'256' is not an ICMP type"},
	{"1 allow icmp icmp_type packet-too-big", "'packet-too-big' is not an ICMP type"},
	{"1 allow icmpv6 icmp_type source-quench", "is not an ICMPv6 type"},
	{"1 allow icmp,icmpv6 icmp_type time-exceeded", "is 11 in ICMP and 3 in ICMPv6"},
	{"1 allow icmp,icmpv6 icmp_type packet-too-big", "that both icmp and icmpv6 know"},
	{"1 allow icmp_code 1", "icmp_code needs proto"},
	{"1 allow icmp icmp_code 300", "'300' is not a code"},
	{"1 allow icmp icmp_type @ports", "sets are for addresses and ports"},
	{"1 allow tcp_flags syn", "tcp_flags needs proto tcp"},
	{"1 allow tcp,udp tcp_flags syn", "tcp_flags needs proto tcp"},
	{"1 allow tcp tcp_flags synn", "is not FLAGS or FLAGS/MASK"},
	{"1 allow tcp tcp_flags syn/", "is not FLAGS or FLAGS/MASK"},
	{"1 allow tcp tcp_flags syn/ack", "can never match"},
	{"1 allow tcp tcp_flags none", "looks at no flag"},
	{"1 allow vlan 4095", "'4095' is not a VLAN id"},
	{"1 allow vlan blue", "'blue' is not a VLAN id"},
	{"1 allow ethertype 0x12345", "is not an EtherType"},
	{"1 allow ethertype frob", "is not an EtherType"},
	{"1 allow ethertype 0x8100", "write vlan"},
	{"1 allow tcp ethertype arp", "arp frames have no proto"},
	{"1 allow from 10.0.0.0/8 ethertype ipv4,arp", "arp frames have no src"},
	{"1 allow dscp ef ethertype lldp", "lldp frames have no dscp"},
	{"1 allow src_mac 02:00:5e:10:00", "is not a MAC address"},
	{"1 allow src_mac 02:00:5e:10:00:0g", "is not a MAC address"},
	{"1 allow src_mac 02:00-5e:10:00:01", "is not a MAC address"},
	{"1 allow length 65536", "is not a frame length"},
	{"1 allow dscp 64", "is not a DSCP"},
	{"1 allow dscp gold", "is not a DSCP"},
	{"1 allow bpf 'tcp portt 80'", "bpf: "},
	{"1 allow bpf 'tcp port'", "syntax error"},
	{"1 allow bpf 'host www.example.com'", "would be looked up in DNS"},
	{"1 allow bpf 'port http or example'", "unknown port"},
	{"1 allow bpf 'port 80 and www'", "would be looked up in DNS"},
	{"1 allow bpf 'host 3com.example'", "would be looked up in DNS"},
	{"1 allow bpf 'host 1.de'", "would be looked up in DNS"},
	{"1 allow bpf 'host 1-2'", "would be looked up in DNS"},
	{"1 allow bpf 'host 1.2.3.4.5'", "would be looked up in DNS"},
	{"1 allow bpf 'host cafe'", "would be looked up in DNS"},
	{"1 allow bpf 'host www:80'", "would be looked up in DNS"},
	{"1 allow bpf 'tcp and www.example.com'", "would be looked up in DNS"},
	{"1 allow bpf 'host \\\\www'", "would be looked up in DNS"},
	{"1 allow bpf 'ether host gw'", "would be looked up in DNS"},
	{"1 allow bpf 'net backbone'", "would be looked up in DNS"},
	{"1 allow inspect nothing", "unknown profile 'nothing'"},
	{"1 allow limit fast", "starts with a rate above 0"},
	{"1 allow limit 0/s", "starts with a rate above 0"},
	{"1 allow limit 10", "needs a unit"},
	{"1 allow limit 10/d", "needs a unit"},
	{"1 allow limit '10/s burst 0'", "burst wants a number"},
	{"1 allow limit '10/s burst 5 burst 6'", "each once"},
	{"1 allow limit '10/s per dst'", "per wants src"},
	{"1 allow limit '10/s per src/0'", "per wants src"},
	{"1 allow limit '10/s per src/129'", "per wants src"},
	{"1 allow limit '10/s per src/24,129'", "per wants src"},
	{"1 allow limit '10/s per src/24x'", "per wants src"},
	{"1 allow limit '10/s now'", "behind the rate"},
	{"1 allow max_sessions 0", "max_sessions: '0'"},
	{"1 allow max_per_source many", "max_per_source: 'many'"},
	{"1 allow timeout 0", "timeout: '0'"},
	{"1 allow timeout 366d", "timeout: '366d'"},
	{"1 allow timeout 5min", "timeout: '5min'"},
	{"1 allow tcp mss 535", "mss: '535'"},
	{"1 allow tcp mss 65496", "mss: '65496'"},
	{"1 allow udp mss 1400", "mss needs proto tcp"},
	{"1 allow stateless max_sessions 5", "no meaning with stateless"},
	{"1 allow stateless timeout 5s", "no meaning with stateless"},
	{"1 allow stateless limit 5/s", "opens no session to count"},
	{"1 allow enabled maybe", "enabled: 'maybe'"},
	{"1 allow name ''", "the value is empty"},
	{"1 allow name '\xff'", "not UTF-8"},
	{"1 allow name '\xc0\xaf'", "not UTF-8"},
	{"1 allow name '\xed\xa0\x80'", "not UTF-8"},
	{"1 allow app http", "app is not supported yet"},
	{"1 allow sni .example.com", "sni is not supported yet"},
	{"1 allow http_host .example.com", "http_host is not supported yet"},
	{"1 allow dns_query .example.com", "dns_query is not supported yet"},
	{"1 allow over", "over is not supported yet"},
	{"1 allow schedule opening", "schedule is not supported yet"},
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++)
		refuse_rule(bads[i].rule, bads[i].says);
}

/* Expressions that libpcap takes must not be mistaken for names that would be looked up. */
static const char *const expressions[] = {"tcp", "ip6", "arp or rarp", "tcp port 80", "tcp port http", "port http or https",
	"portrange 8000-8100", "not port 22", "! port 22", "host 192.0.2.1", "src host 192.0.2.1 and dst host 198.51.100.1",
	"net 192.0.2.0/24", "net 192.0.2.0 mask 255.255.255.0", "host 2001:db8::1", "net 2001:db8::/32", "ip6 src host fe80::1",
	"ether host 02:00:5e:10:00:01", "ether src 02:00:5e:10:00:01", "ether dst ff:ff:ff:ff:ff:ff", "ether proto 0x88cc",
	"ether proto \\\\arp", "ip proto 47", "ip proto \\\\tcp", "ip6 proto 58", "proto gre", "broadcast", "ether broadcast", "multicast",
	"ether multicast", "ip multicast", "ip6 multicast", "vlan", "vlan 20", "vlan 20 and tcp", "mpls", "pppoes", "less 100",
	"greater 1000", "len > 200", "len >= 60 and len <= 70", "ip[8] < 5", "ip[6:2] & 0x1fff != 0", "ip[2:2] - ((ip[0] & 0xf) << 2) > 40",
	"tcp[13] & 2 != 0", "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0", "tcp[tcpflags] == tcp-syn",
	"tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420", "icmp[icmptype] = icmp-echo",
	"icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply", "icmp6[icmp6type] == icmp6-echo", "udp[10:2] & 0x8000 = 0",
	"ether[0] & 1 = 0 and ip[16] >= 224", "sctp", "icmp6", "esp or ah", "igmp", "pim", "vrrp", "stp", "dst net 10", "src net 192.168",
	"tcp and (dst port 80 or dst port 443)", "ip host 192.0.2.1 and not tcp", "udp and src port 53 and len > 512", "geneve",
	"src or dst port 53"};

static void test_bpf_expressions(void **state)
{
	struct sp_diags diags = {0};
	char rule[512];

	(void)state;
	for (size_t i = 0; i < sizeof(expressions) / sizeof(expressions[0]); i++) {
		struct sp_policy *policy;

		snprintf(rule, sizeof(rule), "\"1 drop bpf '%s'\"", expressions[i]);
		policy = policy_of("", rule, NULL, &diags);
		sp_diags_print(&diags, stderr);
		if (policy == NULL)
			fail_msg("'%s' was refused", expressions[i]);
		sp_diags_clear(&diags);
		sp_policy_free(policy);
	}
}

/* Every fault of a rule is told, not the first one only. */
static void test_all_faults(void **state)
{
	struct sp_diags diags = {0};

	(void)state;
	assert_null(policy_of("", "\"1 allow tcp from @a dport 70000 mss 1 dscp 99\"", NULL, &diags));
	assert_int_equal(diags.errors, 4);
	assert_int_equal(diags.v[0].rule, 1);
	sp_diags_clear(&diags);
}

static void test_too_many_ranges(void **state)
{
	char rule[4096] = "1 allow tcp dport 1", number[8];

	(void)state;
	for (int i = 1; i < SP_RANGES_MAX; i++) {
		snprintf(number, sizeof(number), ",%d", 1 + 2 * i);
		strcat(rule, number);
	}
	sp_policy_free(policy_of_rule(rule));
	strcat(rule, ",1001");
	refuse_rule(rule, "257 separate ranges");
}

static void test_long_name(void **state)
{
	char rule[256] = "1 allow name ";

	(void)state;
	memset(rule + strlen(rule), 'x', 129);
	refuse_rule(rule, "longer than 128 bytes");
	rule[strlen("1 allow name ") + 128] = '\0';
	sp_policy_free(policy_of_rule(rule));
}

static void test_interning(void **state)
{
	struct sp_diags diags = {0};
	struct sp_policy *policy = policy_of(SETS,
		"\"1 allow from 10.0.0.0/8,192.0.2.0/24\", \"2 allow from 192.0.2.0/25,192.0.2.128/25,10.0.0.0/8\","
		"\"3 drop to 10.0.0.0/8,192.0.2.0/24\", \"4 drop to @lan\", \"5 drop from @lan to @web\"",
		NULL, &diags);

	(void)state;
	assert_non_null(policy);
	assert_int_equal(policy->rules[0].src, policy->rules[1].src);
	assert_int_equal(policy->rules[0].src, policy->rules[2].dst);
	assert_int_equal(policy->rules[3].dst, policy->rules[4].src);
	assert_int_not_equal(policy->rules[4].src, policy->rules[4].dst);
	assert_int_equal(policy->n_addrsets, 3);
	sp_policy_free(policy);
}

/* Many distinct sets: the table grows and still finds each. */
static void test_interning_grows(void **state)
{
	struct sp_policy *policy = sp_policy_new();
	struct sp_place place = {.file = "test.rules", .line = 1};
	struct sp_diags diags = {0};
	char text[32];

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 3000; i++) {
			int32_t index = -1;

			snprintf(text, sizeof(text), "10.%d.%d.0/24", i / 256, i % 256);
			assert_int_equal(sp_addrs_parse(policy, text, &place, &index, &diags), 0);
			assert_int_equal(index, i);
			assert_int_equal(policy->addrsets[index].v[0].lo.b[2], i % 256);
		}
	}
	assert_int_equal(policy->n_addrsets, 3000);
	sp_policy_free(policy);
}

static uint64_t hash_in(const char *head, const char *rules, size_t index)
{
	struct sp_diags diags = {0};
	struct sp_policy *policy = policy_of(head, rules, NULL, &diags);
	uint64_t hash;

	sp_diags_print(&diags, stderr);
	assert_non_null(policy);
	hash = policy->rules[index].content_hash;
	sp_policy_free(policy);
	sp_diags_clear(&diags);
	return hash;
}

#define LAN(x) "sets = { lan = [ " x " ]; }; "
#define PROFILE(x) \
	"inspect = { p = { mode = \"block\"; patterns = ( { id = 1; msg = \"m\"; pattern = \"" x "\"; action = \"drop\"; } ); }; }; "
#define BASE "1 allow tcp from a @lan to b dport 80 inspect p"

static void test_hash_same(void **state)
{
	static const char *const same[] = {"\"" BASE " log\"", "\"" BASE " name x comment y\"", "\"" BASE " enabled true\"",
		"\"1 allow tcp to b from a 10.0.0.0/9,10.128.0.0/9 inspect p dport http\"",
		"{ id = 1; action = \"allow\"; proto = 6; from = \"a\"; to = \"b\"; src = \"@lan\"; dport = 80; inspect = \"p\"; }"};
	uint64_t base = hash_in(LAN("\"10.0.0.0/8\"") PROFILE("x"), "\"" BASE "\"", 0);

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		if (hash_in(LAN("\"10.0.0.0/8\"") PROFILE("x"), same[i], 0) != base)
			fail_msg("%s hashes otherwise", same[i]);
	/* Zones are numbered in another order here. */
	assert_true(hash_in(LAN("\"10.0.0.0/8\"") PROFILE("x"), "\"2 drop from z to b\", \"" BASE "\"", 1) == base);
	assert_true(hash_in(LAN("\"10.0.0.0/9\", \"10.128.0.0/9\"") PROFILE("x"), "\"" BASE "\"", 0) == base);
}

static void test_hash_different(void **state)
{
	static const char *const other[] = {"2 allow tcp from a @lan to b dport 80 inspect p",
		"1 drop tcp from a @lan to b dport 80 inspect p", "1 allow udp from a @lan to b dport 80 inspect p",
		"1 allow tcp from b @lan to a dport 80 inspect p", "1 allow tcp from a to b dport 80 inspect p",
		"1 allow tcp from a @lan to c dport 80 inspect p", "1 allow tcp from a @lan dport 80 inspect p",
		"1 allow tcp from c @lan to b dport 80 inspect p", "1 allow tcp from @lan to b dport 80 inspect p",
		"1 allow tcp from a to b @lan dport 80 inspect p", "1 allow tcp from a @lan to b dport 81 inspect p",
		"1 allow tcp from a @lan to b sport 80 inspect p", "1 allow tcp from a @lan to b dport 80", BASE " stateless",
		BASE " monitor", BASE " enabled false", BASE " mss 1400", BASE " timeout 5s", BASE " max_sessions 5",
		BASE " max_per_source 5", BASE " limit 5/s", BASE " limit '5/s burst 6'", BASE " limit '5/s per src'", BASE " vlan 5",
		BASE " tcp_flags syn", BASE " tcp_flags ack", BASE " tcp_flags syn/syn,ack", BASE " length 5", BASE " dscp 5",
		BASE " src_mac 02:00:5e:10:00:01", BASE " src_mac 02:00:5e:10:00:02", BASE " bpf ip", BASE " bpf ip6",
		BASE " ethertype ipv4"};
	enum { N = sizeof(other) / sizeof(other[0]) };
	uint64_t hash[N + 3];
	char rule[256];

	(void)state;
	for (size_t i = 0; i < N; i++) {
		snprintf(rule, sizeof(rule), "\"%s\"", other[i]);
		hash[i] = hash_in(LAN("\"10.0.0.0/8\"") PROFILE("x"), rule, 0);
	}
	hash[N] = hash_in(LAN("\"10.0.0.0/8\"") PROFILE("x"), "\"" BASE "\"", 0);
	hash[N + 1] = hash_in(LAN("\"10.0.0.0/9\"") PROFILE("x"), "\"" BASE "\"", 0);
	hash[N + 2] = hash_in(LAN("\"10.0.0.0/8\"") PROFILE("y"), "\"" BASE "\"", 0);
	for (size_t i = 0; i < N + 3; i++)
		for (size_t k = 0; k < i; k++)
			if (hash[i] == hash[k])
				fail_msg("'%s' and '%s' hash alike", i < N ? other[i] : "base", other[k < N ? k : 0]);
}

/* What a group says counts where the rule is silent, and `own` tells which is which. */
static void test_group(void **state)
{
	struct sp_diags diags = {0};
	struct sp_policy *policy = policy_of(SETS,
		"{ group = \"g\"; from = \"a\"; log = true; src = \"@lan\"; rules = ( \"1 allow\", \"2 drop from b log false\" ); }", NULL,
		&diags);

	(void)state;
	sp_diags_print(&diags, stderr);
	assert_non_null(policy);
	assert_string_equal(policy->rules[0].value[SP_FIELD_FROM], "a");
	assert_string_equal(policy->rules[1].value[SP_FIELD_FROM], "b");
	assert_string_equal(policy->rules[1].value[SP_FIELD_SRC], "@lan");
	assert_int_equal(policy->rules[0].log, SP_LOG_END);
	assert_int_equal(policy->rules[1].log, SP_LOG_NONE);
	assert_int_equal(policy->rules[0].own, UINT64_C(1) << SP_FIELD_ID | UINT64_C(1) << SP_FIELD_ACTION);
	assert_true(policy->rules[1].own >> SP_FIELD_FROM & 1);
	assert_false(policy->rules[1].own >> SP_FIELD_SRC & 1);
	assert_string_equal(policy->rules[0].group, "g");
	sp_policy_free(policy);
}

static void test_closed_zones(void **state)
{
	struct sp_zones zones = {.name = {"inside", "outside"}, .n = 2, .closed = true};
	struct sp_policy *policy = sp_policy_new();
	struct sp_rule rule = {.file = "test.rules", .line = 3};
	struct sp_rule_value values[] = {{SP_FIELD_ID, "1", 0}, {SP_FIELD_ACTION, "drop", 0}, {SP_FIELD_FROM, "dmz", 0}};
	struct sp_diags diags = {0};

	(void)state;
	policy->zones = zones;
	assert_int_equal(sp_rule_resolve(policy, &rule, values, 3, 0, &diags), -22);
	assert_true(said(&diags, SP_DIAG_ERROR, "unknown zone 'dmz': the configuration has inside, outside"));
	sp_diags_clear(&diags);
	sp_policy_free(policy);
}

static void test_durations_and_sizes(void **state)
{
	uint32_t sec = 7;
	uint64_t bytes = 7;

	(void)state;
	assert_int_equal(sp_duration_parse("30s", &sec), 0);
	assert_int_equal(sec, 30);
	assert_int_equal(sp_duration_parse("45", &sec), 0);
	assert_int_equal(sec, 45);
	assert_int_equal(sp_duration_parse("365d", &sec), 0);
	assert_int_equal(sec, 31536000);
	for (size_t i = 0; i < 8; i++) {
		static const char *const bad[] = {"", "s", "0s", "-5s", "5 s", "1e3", "99999999999", "31536001"};

		assert_int_equal(sp_duration_parse(bad[i], &sec), -22);
	}
	assert_int_equal(sec, 31536000);
	assert_int_equal(sp_size_parse("64K", &bytes), 0);
	assert_int_equal(bytes, 65536);
	assert_int_equal(sp_size_parse("2G", &bytes), 0);
	assert_true(bytes == UINT64_C(2) << 30);
	assert_int_equal(sp_size_parse("0", &bytes), 0);
	for (size_t i = 0; i < 5; i++) {
		static const char *const bad[] = {"", "K", "64KB", "-1", "64 K"};

		assert_int_equal(sp_size_parse(bad[i], &bytes), -22);
	}
}

static void test_names(void **state)
{
	char buf[4];

	(void)state;
	for (int p = 0; p < 256; p++) {
		const char *name = sp_proto_name((uint8_t)p, buf);

		assert_int_equal(sp_proto_parse(name, strlen(name)), p);
	}
	assert_int_equal(sp_icmp_type_parse(false, "echo-request", 12), 8);
	assert_int_equal(sp_icmp_type_parse(true, "echo-request", 12), 128);
	assert_int_equal(sp_icmp_type_parse(true, "neighbour-solicitation", 22), 135);
	assert_int_equal(sp_port_parse("https", 5), 443);
	assert_int_equal(sp_port_parse("http", 3), -22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_bpf_expressions),
		cmocka_unit_test(test_all_faults),
		cmocka_unit_test(test_too_many_ranges),
		cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_interning),
		cmocka_unit_test(test_interning_grows),
		cmocka_unit_test(test_hash_same),
		cmocka_unit_test(test_hash_different),
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_closed_zones),
		cmocka_unit_test(test_durations_and_sizes),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
