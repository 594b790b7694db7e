/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/names.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "rules/fields.h"

struct name {
	const char *name;
	uint16_t value;
};

/*
 * The first name of a number is the one that is printed. "ip", "ipv4" and "ipv6" are left out on purpose: someone who writes
 * `proto ipv6` means IPv6 packets, and tunnels (protocol 41) would be something else entirely.
 */
static const struct name protos[] = {
	{"icmp", 1},
	{"igmp", 2},
	{"ipip", 4},
	{"tcp", 6},
	{"egp", 8},
	{"udp", 17},
	{"dccp", 33},
	{"6in4", 41},
	{"rsvp", 46},
	{"gre", 47},
	{"esp", 50},
	{"ah", 51},
	{"icmpv6", 58},
	{"ipv6-icmp", 58},
	{"eigrp", 88},
	{"ospf", 89},
	{"pim", 103},
	{"vrrp", 112},
	{"carp", 112},
	{"l2tp", 115},
	{"sctp", 132},
	{"udplite", 136},
	{"mpls-in-ip", 137},
};

static const struct name ports[] = {
	{"ftp", 21},
	{"ssh", 22},
	{"telnet", 23},
	{"smtp", 25},
	{"domain", 53},
	{"dns", 53},
	{"bootps", 67},
	{"bootpc", 68},
	{"tftp", 69},
	{"http", 80},
	{"kerberos", 88},
	{"pop3", 110},
	{"sunrpc", 111},
	{"ntp", 123},
	{"netbios-ns", 137},
	{"netbios-dgm", 138},
	{"netbios-ssn", 139},
	{"imap", 143},
	{"snmp", 161},
	{"snmptrap", 162},
	{"bgp", 179},
	{"ldap", 389},
	{"https", 443},
	{"smb", 445},
	{"submissions", 465},
	{"isakmp", 500},
	{"modbus", 502},
	{"syslog", 514},
	{"rtsp", 554},
	{"submission", 587},
	{"ipp", 631},
	{"ldaps", 636},
	{"domain-s", 853},
	{"imaps", 993},
	{"pop3s", 995},
	{"openvpn", 1194},
	{"l2tp", 1701},
	{"pptp", 1723},
	{"radius", 1812},
	{"radius-acct", 1813},
	{"mqtt", 1883},
	{"nfs", 2049},
	{"dhcpv6-client", 546},
	{"dhcpv6-server", 547},
	{"mysql", 3306},
	{"rdp", 3389},
	{"ipsec-nat-t", 4500},
	{"opcua", 4840},
	{"sip", 5060},
	{"sips", 5061},
	{"mdns", 5353},
	{"postgresql", 5432},
	{"secure-mqtt", 8883},
	{"dnp3", 20000},
	{"ethernet-ip", 44818},
	{"wireguard", 51820},
};

/* RFC 792, 950, 1256, 6633; the names follow the IANA registry, shortened as nft and iptables do. */
static const struct name icmp4_types[] = {
	{"echo-reply", 0},
	{"destination-unreachable", 3},
	{"source-quench", 4},
	{"redirect", 5},
	{"echo-request", 8},
	{"router-advertisement", 9},
	{"router-solicitation", 10},
	{"time-exceeded", 11},
	{"parameter-problem", 12},
	{"timestamp-request", 13},
	{"timestamp-reply", 14},
	{"address-mask-request", 17},
	{"address-mask-reply", 18},
};

/* RFC 4443, 4861, 2710, 3810, 4620, 6275. */
static const struct name icmp6_types[] = {
	{"destination-unreachable", 1},
	{"packet-too-big", 2},
	{"time-exceeded", 3},
	{"parameter-problem", 4},
	{"echo-request", 128},
	{"echo-reply", 129},
	{"mld-listener-query", 130},
	{"mld-listener-report", 131},
	{"mld-listener-done", 132},
	{"router-solicitation", 133},
	{"router-advertisement", 134},
	{"neighbour-solicitation", 135},
	{"neighbor-solicitation", 135},
	{"neighbour-advertisement", 136},
	{"neighbor-advertisement", 136},
	{"redirect", 137},
	{"mld2-listener-report", 143},
};

static const struct name ethertypes[] = {
	{"ipv4", 0x0800},
	{"arp", 0x0806},
	{"wol", 0x0842},
	{"ipv6", 0x86dd},
	{"flow-control", 0x8808},
	{"lacp", 0x8809},
	{"mpls", 0x8847},
	{"pppoe-discovery", 0x8863},
	{"pppoe", 0x8864},
	{"eapol", 0x888e},
	{"profinet", 0x8892},
	{"ethercat", 0x88a4},
	{"goose", 0x88b8},
	{"sampled-values", 0x88ba},
	{"lldp", 0x88cc},
	{"macsec", 0x88e5},
	{"ptp", 0x88f7},
};

static const struct name dscps[] = {
	{"cs0", 0},
	{"be", 0},
	{"le", 1},
	{"cs1", 8},
	{"af11", 10},
	{"af12", 12},
	{"af13", 14},
	{"cs2", 16},
	{"af21", 18},
	{"af22", 20},
	{"af23", 22},
	{"cs3", 24},
	{"af31", 26},
	{"af32", 28},
	{"af33", 30},
	{"cs4", 32},
	{"af41", 34},
	{"af42", 36},
	{"af43", 38},
	{"cs5", 40},
	{"va", 44},
	{"ef", 46},
	{"cs6", 48},
	{"cs7", 56},
};

static const struct name tcp_flags[] = {
	{"fin", 0x01},
	{"syn", 0x02},
	{"rst", 0x04},
	{"psh", 0x08},
	{"ack", 0x10},
	{"urg", 0x20},
	{"ece", 0x40},
	{"cwr", 0x80},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int find_value(const struct name *names, size_t n, const char *text, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(names[i].name) == len && memcmp(names[i].name, text, len) == 0)
			return names[i].value;
	return -EINVAL;
}

static const char *find_name(const struct name *names, size_t n, uint16_t value)
{
	for (size_t i = 0; i < n; i++)
		if (names[i].value == value)
			return names[i].name;
	return NULL;
}

int64_t sp_number_parse(const char *text, size_t len, uint32_t max)
{
	uint64_t value = 0;

	if (len == 0 || len > 10 || (len > 1 && text[0] == '0'))
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		value = value * 10 + (uint64_t)(text[i] - '0');
	}
	return value <= max ? (int64_t)value : -EINVAL;
}

/* A name of the list, or a number up to max. */
static int name_or_number(const struct name *names, size_t n, uint32_t max, const char *text, size_t len)
{
	int value = find_value(names, n, text, len);

	return value >= 0 ? value : (int)sp_number_parse(text, len, max);
}

int sp_proto_parse(const char *text, size_t len)
{
	return name_or_number(protos, COUNT(protos), 255, text, len);
}

const char *sp_proto_name(uint8_t proto, char *buf)
{
	const char *name = find_name(protos, COUNT(protos), proto);

	if (name != NULL)
		return name;
	snprintf(buf, 4, "%u", proto);
	return buf;
}

bool sp_proto_has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

int sp_icmp_type_parse(bool v6, const char *text, size_t len)
{
	if (v6)
		return name_or_number(icmp6_types, COUNT(icmp6_types), 255, text, len);
	return name_or_number(icmp4_types, COUNT(icmp4_types), 255, text, len);
}

const char *sp_icmp_type_name(bool v6, uint8_t type)
{
	return v6 ? find_name(icmp6_types, COUNT(icmp6_types), type) : find_name(icmp4_types, COUNT(icmp4_types), type);
}

int sp_port_parse(const char *text, size_t len)
{
	return name_or_number(ports, COUNT(ports), 65535, text, len);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -EINVAL;
}

int sp_ethertype_parse(const char *text, size_t len, struct sp_range *out)
{
	int value = name_or_number(ethertypes, COUNT(ethertypes), 65535, text, len);

	if (len == 3 && memcmp(text, "llc", 3) == 0) {
		/* IEEE 802.3 clause 3.2.6: below 0x0600 the field is a length and LLC follows (spanning tree, IS-IS). */
		*out = (struct sp_range){0, 0x05ff};
		return 0;
	}
	if (value < 0 && len > 2 && len <= 6 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		value = 0;
		for (size_t i = 2; i < len && value >= 0; i++) {
			int digit = hex_digit(text[i]);

			value = digit < 0 ? -EINVAL : value * 16 + digit;
		}
	}
	if (value < 0)
		return -EINVAL;
	*out = (struct sp_range){(uint16_t)value, (uint16_t)value};
	return 0;
}

const char *sp_ethertype_name(uint16_t ethertype, char *buf)
{
	const char *name = find_name(ethertypes, COUNT(ethertypes), ethertype);

	if (name != NULL)
		return name;
	snprintf(buf, 7, "0x%04x", ethertype);
	return buf;
}

int sp_dscp_parse(const char *text, size_t len)
{
	return name_or_number(dscps, COUNT(dscps), 63, text, len);
}

int sp_tcp_flags_parse(const char *text, size_t len)
{
	const char *end = text + len;
	int flags = 0;

	if (len == 4 && memcmp(text, "none", 4) == 0)
		return 0;
	if (len == 3 && memcmp(text, "all", 3) == 0)
		return 0xff;
	for (;;) {
		const char *comma = memchr(text, ',', (size_t)(end - text));
		const char *stop = comma != NULL ? comma : end;
		int bit = find_value(tcp_flags, COUNT(tcp_flags), text, (size_t)(stop - text));

		if (bit < 0)
			return -EINVAL;
		flags |= bit;
		if (comma == NULL)
			return flags;
		text = comma + 1;
	}
}

char *sp_tcp_flags_format(uint8_t flags, char *buf, size_t size)
{
	size_t used = 0;

	snprintf(buf, size, "none");
	for (size_t i = 0; i < COUNT(tcp_flags); i++) {
		if ((flags & tcp_flags[i].value) == 0 || used >= size)
			continue;
		used += (size_t)snprintf(buf + used, size - used, "%s%s", used != 0 ? "," : "", tcp_flags[i].name);
	}
	return buf;
}

int sp_mac_parse(const char *text, size_t len, uint8_t out[6])
{
	uint8_t mac[6];

	if (len != 17)
		return -EINVAL;
	for (size_t i = 0; i < 6; i++) {
		int high = hex_digit(text[3 * i]), low = hex_digit(text[3 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		if (text[2] != ':' && text[2] != '-')
			return -EINVAL;
		if (i < 5 && text[3 * i + 2] != text[2])
			return -EINVAL;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(out, mac, 6);
	return 0;
}

static const char *const actions[] = {[SP_ACTION_ALLOW] = "allow", [SP_ACTION_DROP] = "drop", [SP_ACTION_REJECT] = "reject"};

const char *sp_action_name(uint8_t action)
{
	return action < COUNT(actions) ? actions[action] : "drop";
}

int sp_action_parse(const char *text, size_t len)
{
	for (size_t i = 0; i < COUNT(actions); i++)
		if (strlen(actions[i]) == len && memcmp(actions[i], text, len) == 0)
			return (int)i;
	return -EINVAL;
}
