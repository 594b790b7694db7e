/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/packet_text.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "rules/fields.h"
#include "rules/names.h"

#define TCP_FLAG_SYN       0x02
#define ETHERTYPE_ARP      0x0806
#define ETHERTYPE_IPV4     0x0800
#define ETHERTYPE_IPV6     0x86dd
#define ICMP_ECHO_REQUEST  8
#define ICMP6_ECHO_REQUEST 128

struct parser {
	const char *next;
	const char *word; /* the one at hand; len 0: the text has ended */
	size_t len;
	const struct sp_zones *zones;
	struct sp_packet_text *out;
	uint32_t given; /* bit k: key k of `keys` */
	bool from, to;
	char *why;
	size_t why_size;
};

static int fail(struct parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int fail(struct parser *p, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(p->why, p->why_size, fmt, args);
	va_end(args);
	return -EINVAL;
}

#define SHOWN(len) ((int)((len) < 48 ? (len) : 48))

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Words end at blanks; `>` is one by itself. */
static void advance(struct parser *p)
{
	while (blank(*p->next))
		p->next++;
	p->word = p->next;
	if (*p->next == '>')
		p->next++;
	else
		while (*p->next != '\0' && !blank(*p->next) && *p->next != '>')
			p->next++;
	p->len = (size_t)(p->next - p->word);
}

static bool word_is(const struct parser *p, const char *word)
{
	return p->len == strlen(word) && memcmp(p->word, word, p->len) == 0;
}

/* "192.0.2.1:80", "[2001:db8::1]:80", or without the port. */
static int parse_address(struct parser *p, struct sp_addr *addr, uint16_t *port, bool *has_port)
{
	const char *word = p->word, *end = word + p->len, *addr_end = end, *port_text = NULL;
	const char *colon = memchr(word, ':', p->len);
	int value;

	if (p->len == 0 || word_is(p, ">"))
		return fail(p, "an address is missing: PROTO SRC[:PORT] > DST[:PORT]");
	if (*word == '[') {
		addr_end = memchr(word, ']', p->len);
		if (addr_end == NULL || (addr_end + 1 != end && addr_end[1] != ':'))
			return fail(p, "'%.*s': after [ADDRESS] only :PORT may follow", SHOWN(p->len), word);
		port_text = addr_end + 1 != end ? addr_end + 2 : NULL;
		word++;
	} else if (colon != NULL && memchr(colon + 1, ':', (size_t)(end - colon - 1)) == NULL) {
		addr_end = colon;
		port_text = colon + 1;
	}
	if (sp_addr_parse(word, (size_t)(addr_end - word), addr) != 0)
		return fail(p, "'%.*s' is not an address (IPv6 with a port stands in brackets)", SHOWN(p->len), p->word);
	*has_port = port_text != NULL;
	if (port_text == NULL)
		return 0;
	value = sp_port_parse(port_text, (size_t)(end - port_text));
	if (value < 0)
		return fail(p, "'%.*s' is not a port from 0 to 65535", SHOWN((size_t)(end - port_text)), port_text);
	*port = (uint16_t)value;
	return 0;
}

/* As parse_address, and `interface`: whatever address the firewall has there. */
static int parse_destination(struct parser *p, bool *has_port)
{
	static const char word[] = "interface";
	struct sp_match *match = &p->out->match;
	const size_t len = sizeof(word) - 1;
	int value;

	if (p->len < len || memcmp(p->word, word, len) != 0 || (p->len > len && p->word[len] != ':'))
		return parse_address(p, &match->dst, &match->dport, has_port);
	p->out->local = true;
	match->dst.family = match->src.family;
	*has_port = p->len > len;
	if (!*has_port)
		return 0;
	value = sp_port_parse(p->word + len + 1, p->len - len - 1);
	if (value < 0)
		return fail(p, "'%.*s' is not a port from 0 to 65535", SHOWN(p->len - len - 1), p->word + len + 1);
	match->dport = (uint16_t)value;
	return 0;
}

static int parse_ends(struct parser *p)
{
	struct sp_match *match = &p->out->match;
	bool sport = false, dport = false;
	char name[4];

	if (parse_address(p, &match->src, &match->sport, &sport) != 0)
		return -EINVAL;
	advance(p);
	if (!word_is(p, ">"))
		return fail(p, "'>' is missing behind the source");
	advance(p);
	if (parse_destination(p, &dport) != 0)
		return -EINVAL;
	advance(p);
	if (match->src.family != match->dst.family)
		return fail(p, "source and destination are of different families");
	if ((sport || dport) && !sp_proto_has_ports(match->proto))
		return fail(p, "%s has no ports", sp_proto_name(match->proto, name));
	match->family = match->src.family;
	match->ethertype = match->family == SP_FAMILY_IPV4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
	if (match->proto == IPPROTO_ICMP && match->family == SP_FAMILY_IPV6)
		return fail(p, "icmp is ICMP over IPv4: write icmpv6 for these addresses");
	if (match->proto == IPPROTO_ICMPV6 && match->family == SP_FAMILY_IPV4)
		return fail(p, "icmpv6 is ICMP over IPv6: write icmp for these addresses");
	return 0;
}

/* What a description leaves out is what opens a session: a SYN, an echo request. */
static void fill_defaults(struct sp_packet_text *out)
{
	struct sp_match *match = &out->match;

	if (match->proto == IPPROTO_TCP) {
		out->view.tcp_flags = TCP_FLAG_SYN;
		out->view.known |= SP_VIEW_TCP_FLAGS;
	} else if (match->proto == IPPROTO_ICMP) {
		match->sport = ICMP_ECHO_REQUEST;
	} else if (match->proto == IPPROTO_ICMPV6) {
		match->sport = ICMP6_ECHO_REQUEST;
	}
}

static int parse_protocol(struct parser *p)
{
	struct sp_range ethertype;
	char name[8];
	int proto;

	if (p->len == 0)
		return fail(p, "the description is empty: PROTO SRC[:PORT] > DST[:PORT] [from ZONE] [to ZONE] [FIELD=VALUE ...]");
	if (word_is(p, "arp")) {
		p->out->match.ethertype = ETHERTYPE_ARP;
		advance(p);
		return 0;
	}
	if (p->len >= 10 && memcmp(p->word, "ethertype=", 10) == 0) {
		if (sp_ethertype_parse(p->word + 10, p->len - 10, &ethertype) != 0)
			return fail(p, "'%.*s' is not an EtherType", SHOWN(p->len - 10), p->word + 10);
		if (ethertype.lo == ETHERTYPE_IPV4 || ethertype.lo == ETHERTYPE_IPV6)
			return fail(p, "an %s packet is described by its protocol and addresses", sp_ethertype_name(ethertype.lo, name));
		p->out->match.ethertype = ethertype.lo;
		advance(p);
		return 0;
	}
	proto = sp_proto_parse(p->word, p->len);
	if (proto < 0)
		return fail(p, "'%.*s' is not a protocol: a name such as tcp, or a number from 0 to 255", SHOWN(p->len), p->word);
	p->out->match.proto = (uint8_t)proto;
	advance(p);
	if (parse_ends(p) != 0)
		return -EINVAL;
	fill_defaults(p->out);
	return 0;
}

static int parse_zone(struct parser *p, bool *given, uint8_t *out)
{
	const char *keyword = p->word;
	size_t keyword_len = p->len;

	if (*given)
		return fail(p, "'%.*s' is said twice", (int)keyword_len, keyword);
	*given = true;
	advance(p);
	if (p->len == 0)
		return fail(p, "'%.*s' needs a zone behind it", (int)keyword_len, keyword);
	for (unsigned int i = 0; p->zones != NULL && i < p->zones->n; i++) {
		if (!word_is(p, p->zones->name[i]))
			continue;
		*out = (uint8_t)i;
		advance(p);
		return 0;
	}
	return fail(
		p, "unknown zone '%.*s'%s", SHOWN(p->len), p->word, p->zones == NULL || p->zones->n == 0 ? ": the rules name no zone" : "");
}

static int number(struct parser *p, const char *key, const char *text, size_t len, uint32_t max, uint16_t *out)
{
	int64_t value = sp_number_parse(text, len, max);

	if (value < 0)
		return fail(p, "%s: '%.*s' is not a number from 0 to %u", key, SHOWN(len), text, max);
	*out = (uint16_t)value;
	return 0;
}

static int key_flags(struct parser *p, const char *text, size_t len)
{
	int flags = sp_tcp_flags_parse(text, len);

	if (p->out->match.family == SP_FAMILY_NONE || p->out->match.proto != IPPROTO_TCP)
		return fail(p, "flags: only tcp has them");
	if (flags < 0)
		return fail(p, "flags: '%.*s' is not a list of fin, syn, rst, psh, ack, urg, ece, cwr, or none", SHOWN(len), text);
	p->out->view.tcp_flags = (uint8_t)flags;
	return 0;
}

static int key_vlan(struct parser *p, const char *text, size_t len)
{
	return number(p, "vlan", text, len, 4094, &p->out->match.vlan);
}

static bool is_icmp(const struct sp_match *match)
{
	return match->family != SP_FAMILY_NONE && (match->proto == IPPROTO_ICMP || match->proto == IPPROTO_ICMPV6);
}

static int key_type(struct parser *p, const char *text, size_t len)
{
	int type = sp_icmp_type_parse(p->out->match.family == SP_FAMILY_IPV6, text, len);

	if (!is_icmp(&p->out->match))
		return fail(p, "type: only icmp and icmpv6 have it");
	if (type < 0)
		return fail(p, "type: '%.*s' is not an ICMP type", SHOWN(len), text);
	p->out->match.sport = (uint16_t)type;
	return 0;
}

static int key_code(struct parser *p, const char *text, size_t len)
{
	if (!is_icmp(&p->out->match))
		return fail(p, "code: only icmp and icmpv6 have it");
	return number(p, "code", text, len, 255, &p->out->match.dport);
}

static int key_length(struct parser *p, const char *text, size_t len)
{
	uint16_t length = 0;

	if (number(p, "length", text, len, 65535, &length) != 0)
		return -EINVAL;
	p->out->view.wire_len = length;
	p->out->view.known |= SP_VIEW_LENGTH;
	return 0;
}

static int key_dscp(struct parser *p, const char *text, size_t len)
{
	int dscp = sp_dscp_parse(text, len);

	if (p->out->match.family == SP_FAMILY_NONE)
		return fail(p, "dscp: only IP packets have it");
	if (dscp < 0)
		return fail(p, "dscp: '%.*s' is not a DSCP", SHOWN(len), text);
	p->out->view.dscp = (uint8_t)dscp;
	p->out->view.known |= SP_VIEW_DSCP;
	return 0;
}

static int key_src_mac(struct parser *p, const char *text, size_t len)
{
	if (sp_mac_parse(text, len, p->out->view.src_mac) != 0)
		return fail(p, "src_mac: '%.*s' is not a MAC address", SHOWN(len), text);
	p->out->view.known |= SP_VIEW_SRC_MAC;
	return 0;
}

static int key_late(struct parser *p, const char *text, size_t len)
{
	(void)text;
	(void)len;
	return fail(p, "'%.*s' is not supported yet: rules cannot ask for it", SHOWN(p->len), p->word);
}

static const struct {
	const char *name;
	int (*set)(struct parser *p, const char *text, size_t len);
} keys[] = {{"flags", key_flags}, {"vlan", key_vlan}, {"type", key_type}, {"code", key_code}, {"length", key_length}, {"dscp", key_dscp},
	{"src_mac", key_src_mac}, {"sni", key_late}, {"app", key_late}, {"http_host", key_late}, {"dns_query", key_late}};

static int parse_key(struct parser *p)
{
	const char *equals = memchr(p->word, '=', p->len);
	size_t name_len = equals != NULL ? (size_t)(equals - p->word) : 0;

	for (size_t i = 0; equals != NULL && i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strlen(keys[i].name) != name_len || memcmp(keys[i].name, p->word, name_len) != 0)
			continue;
		if (p->given >> i & 1)
			return fail(p, "%s is said twice", keys[i].name);
		p->given |= 1u << i;
		if (keys[i].set(p, equals + 1, p->len - name_len - 1) != 0)
			return -EINVAL;
		advance(p);
		return 0;
	}
	return fail(p, "unknown word '%.*s': from ZONE, to ZONE, and flags=, vlan=, type=, code=, length=, dscp=, src_mac= may follow",
		SHOWN(p->len), p->word);
}

int sp_packet_text_parse(const char *text, const struct sp_zones *zones, struct sp_packet_text *out, char *why, size_t why_size)
{
	struct sp_packet_text packet = {.match = {.from = SP_MATCH_NO_ZONE, .to = SP_MATCH_NO_ZONE}};
	struct parser p = {.next = text, .zones = zones, .out = &packet, .why = why, .why_size = why_size};
	int result;

	advance(&p);
	result = parse_protocol(&p);
	while (result == 0 && p.len != 0) {
		if (word_is(&p, "from"))
			result = parse_zone(&p, &p.from, &packet.match.from);
		else if (word_is(&p, "to"))
			result = parse_zone(&p, &p.to, &packet.match.to);
		else
			result = parse_key(&p);
	}
	if (result == 0)
		*out = packet;
	return result;
}

/* Appends to buf at *len, which counts on past the end. */
static void put(char *buf, size_t size, size_t *len, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void put(char *buf, size_t size, size_t *len, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(*len < size ? buf + *len : NULL, *len < size ? size - *len : 0, fmt, args);
	va_end(args);
	if (n > 0)
		*len += (size_t)n;
}

static void put_address(char *buf, size_t size, size_t *len, const struct sp_addr *addr, bool has_port, uint16_t port)
{
	char text[48];

	sp_addr_format(addr, text, sizeof(text));
	if (!has_port)
		put(buf, size, len, "%s", text);
	else if (addr->family == SP_FAMILY_IPV6)
		put(buf, size, len, "[%s]:%u", text, port);
	else
		put(buf, size, len, "%s:%u", text, port);
}

static void put_ip(char *buf, size_t size, size_t *len, const struct sp_match *match, bool local)
{
	bool has_ports = sp_proto_has_ports(match->proto);
	char name[4];

	put(buf, size, len, "%s ", sp_proto_name(match->proto, name));
	put_address(buf, size, len, &match->src, has_ports, match->sport);
	put(buf, size, len, " > ");
	if (!local)
		put_address(buf, size, len, &match->dst, has_ports, match->dport);
	else
		put(buf, size, len, has_ports ? "interface:%u" : "interface", match->dport);
}

static void put_icmp(char *buf, size_t size, size_t *len, const struct sp_match *match)
{
	const char *name = sp_icmp_type_name(match->family == SP_FAMILY_IPV6, (uint8_t)match->sport);

	if (name != NULL)
		put(buf, size, len, " type=%s", name);
	else
		put(buf, size, len, " type=%u", match->sport);
	if (match->dport != 0)
		put(buf, size, len, " code=%u", match->dport);
}

size_t sp_packet_text_format(const struct sp_packet_text *packet, const struct sp_zones *zones, char *buf, size_t size)
{
	const struct sp_match *match = &packet->match;
	const struct sp_packet_view *view = &packet->view;
	const uint8_t *mac = view->src_mac;
	size_t len = 0;
	char name[48];

	if (size != 0)
		buf[0] = '\0';
	if (match->family != SP_FAMILY_NONE)
		put_ip(buf, size, &len, match, packet->local);
	else if (match->ethertype == ETHERTYPE_ARP)
		put(buf, size, &len, "arp");
	else
		put(buf, size, &len, "ethertype=%s", sp_ethertype_name(match->ethertype, name));
	if (zones != NULL && match->from < zones->n)
		put(buf, size, &len, " from %s", zones->name[match->from]);
	if (zones != NULL && match->to < zones->n)
		put(buf, size, &len, " to %s", zones->name[match->to]);
	if (view->known & SP_VIEW_TCP_FLAGS)
		put(buf, size, &len, " flags=%s", sp_tcp_flags_format(view->tcp_flags, name, sizeof(name)));
	if (match->vlan != 0)
		put(buf, size, &len, " vlan=%u", match->vlan);
	if (is_icmp(match))
		put_icmp(buf, size, &len, match);
	if (view->known & SP_VIEW_LENGTH)
		put(buf, size, &len, " length=%u", view->wire_len);
	if (view->known & SP_VIEW_DSCP)
		put(buf, size, &len, " dscp=%u", view->dscp);
	if (view->known & SP_VIEW_SRC_MAC)
		put(buf, size, &len, " src_mac=%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return len;
}
