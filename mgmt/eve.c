/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* localtime_r, tm_gmtoff */
#include "mgmt/eve.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "dataplane/defence.h"
#include "dataplane/nat.h"
#include "dataplane/session.h"
#include "dataplane/verdict.h"
#include "rules/utf8.h"

#define NS_PER_SEC ((uint64_t)1000 * 1000 * 1000)

/* A line under construction. What does not fit is left out; SP_EVE_LINE_MAX is chosen so that this does not happen. */
struct line {
	char *buf;
	size_t len;
};

static void add(struct line *line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *fmt, ...)
{
	size_t room = SP_EVE_LINE_MAX - line->len;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line->buf + line->len, room, fmt, args);
	va_end(args);
	if (n > 0 && (size_t)n < room)
		line->len += (size_t)n;
}

/* A JSON string, quotes included. Bytes that are no UTF-8 become U+FFFD. */
static void add_text(struct line *line, const char *text)
{
	const unsigned char *s = (const unsigned char *)text, *end = s + strlen(text);
	size_t start = line->len;

	add(line, "\"");
	while (s < end && line->len - start < SP_EVE_TEXT_MAX - 8) {
		size_t n = sp_utf8_bytes(s, (size_t)(end - s));

		if (n == 0)
			add(line, "\\ufffd");
		else if (*s == '"' || *s == '\\')
			add(line, "\\%c", *s);
		else if (*s < 0x20 || *s == 0x7f)
			add(line, "\\u%04x", *s);
		else
			add(line, "%.*s", (int)n, (const char *)s);
		s += n > 0 ? n : 1;
	}
	add(line, "\"");
}

char *sp_eve_time(uint64_t wall_ns, char *buf)
{
	time_t sec = (time_t)(wall_ns / NS_PER_SEC);
	char date[24], zone[8];
	struct tm tm;

	if (!localtime_r(&sec, &tm))
		memset(&tm, 0, sizeof(tm));
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	snprintf(buf, SP_EVE_TIME_SIZE, "%s.%06u%s", date, (unsigned int)(wall_ns % NS_PER_SEC / 1000), zone);
	return buf;
}

size_t sp_eve_lost(uint64_t n, const char *where, char *buf)
{
	char time[SP_EVE_TIME_SIZE];
	struct timespec now;
	int len;

	clock_gettime(CLOCK_REALTIME, &now);
	len = snprintf(buf, SP_EVE_LOST_MAX, "{\"timestamp\":\"%s\",\"event_type\":\"lost\",\"lost\":%" PRIu64 ",\"where\":\"%s\"}\n",
		sp_eve_time((uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec, time), n, where);
	return (size_t)len;
}

static void add_proto(struct line *line, uint8_t proto)
{
	static const struct {
		uint8_t number;
		const char *name;
	} names[] = {{IPPROTO_TCP, "TCP"}, {IPPROTO_UDP, "UDP"}, {IPPROTO_ICMP, "ICMP"}, {IPPROTO_ICMPV6, "IPv6-ICMP"},
		{IPPROTO_SCTP, "SCTP"}, {IPPROTO_GRE, "GRE"}, {IPPROTO_ESP, "ESP"}, {IPPROTO_AH, "AH"}, {IPPROTO_IGMP, "IGMP"},
		{IPPROTO_IPIP, "IPIP"}, {IPPROTO_IPV6, "IPv6"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == proto) {
			add(line, ",\"proto\":\"%s\"", names[i].name);
			return;
		}
	add(line, ",\"proto\":\"%03u\"", proto);
}

static void add_tuple(struct line *line, const struct sp_key *key)
{
	bool v6 = key->family == SP_FAMILY_IPV6, ports, icmp;
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN], id[32];

	if (key->vlan_inner != 0)
		add(line, ",\"vlan\":[%u,%u]", key->vlan, key->vlan_inner);
	else if (key->vlan != 0)
		add(line, ",\"vlan\":[%u]", key->vlan);
	if (key->family != SP_FAMILY_IPV4 && !v6)
		return;
	inet_ntop(v6 ? AF_INET6 : AF_INET, v6 ? (const void *)key->v6.src : &key->v4.src, src, sizeof(src));
	inet_ntop(v6 ? AF_INET6 : AF_INET, v6 ? (const void *)key->v6.dst : &key->v4.dst, dst, sizeof(dst));
	ports = key->proto == IPPROTO_TCP || key->proto == IPPROTO_UDP || key->proto == IPPROTO_SCTP;
	icmp = key->proto == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	add(line, ",\"src_ip\":\"%s\"", src);
	if (ports)
		add(line, ",\"src_port\":%u", ntohs(key->sport));
	add(line, ",\"dest_ip\":\"%s\"", dst);
	if (ports)
		add(line, ",\"dest_port\":%u", ntohs(key->dport));
	add_proto(line, key->proto);
	if (icmp)
		add(line, ",\"icmp_type\":%u,\"icmp_code\":%u", key->aux >> 8, key->aux & 0xff);
	add(line, ",\"community_id\":\"%s\"", sp_community_id(key, id));
}

static const char *verdict_name(uint8_t verdict)
{
	switch (verdict) {
	case SP_VERDICT_DROP:
		return "drop";
	case SP_VERDICT_REJECT:
		return "reject";
	default:
		return "allow";
	}
}

static void add_flow(struct line *line, const struct sp_event *event, uint64_t wall_ns)
{
	uint64_t age_ns = (uint64_t)event->age_ms * 1000 * 1000;
	char start[SP_EVE_TIME_SIZE], end[SP_EVE_TIME_SIZE];

	if (event->type == SP_EVENT_FLOW_START) {
		add(line, ",\"flow\":{\"event\":\"start\",\"start\":\"%s\",\"state\":\"new\"}", sp_eve_time(wall_ns, start));
		return;
	}
	add(line,
		",\"flow\":{\"event\":\"end\",\"pkts_toserver\":%u,\"pkts_toclient\":%u,\"bytes_toserver\":%" PRIu64
		",\"bytes_toclient\":%" PRIu64,
		event->packets[0], event->packets[1], event->bytes[0], event->bytes[1]);
	add(line, ",\"start\":\"%s\",\"end\":\"%s\",\"age\":%u", sp_eve_time(wall_ns > age_ns ? wall_ns - age_ns : 0, start),
		sp_eve_time(wall_ns, end), event->age_ms / 1000);
	add(line, ",\"state\":\"%s\",\"reason\":\"%s\"}", event->state < SP_STATE_COUNT ? sp_state_names[event->state] : "unknown",
		event->why < SP_END_COUNT ? sp_flow_end_names[event->why] : "unknown");
}

/* A monitor rule matched: it would have decided, and the packet went on to the next rule. */
static bool is_monitor(const struct sp_event *event)
{
	return event->type == SP_EVENT_DROP && event->verdict == SP_VERDICT_GOING;
}

static void add_drop(struct line *line, const struct sp_event *event)
{
	if (is_monitor(event)) {
		add(line, ",\"monitor\":{\"len\":%u}", event->length);
		return;
	}
	add(line, ",\"drop\":{\"len\":%u,\"reason\":\"%s\"},\"verdict\":{\"action\":\"%s\"}", event->length,
		event->reason < SP_DROP_COUNT ? sp_drop_texts[event->reason].name : "unknown", verdict_name(event->verdict));
}

static void add_alert(struct line *line, const struct sp_event *event, const struct sp_eve_signature *signature)
{
	bool blocked = event->verdict == SP_VERDICT_DROP || event->verdict == SP_VERDICT_REJECT;

	add(line, ",\"alert\":{\"action\":\"%s\",\"gid\":1,\"signature_id\":%u,\"signature\":", blocked ? "blocked" : "allowed",
		event->signature);
	add_text(line, signature && signature->msg ? signature->msg : "");
	add(line, ",\"category\":");
	add_text(line, signature && signature->category ? signature->category : "");
	add(line, "},\"verdict\":{\"action\":\"%s\"}", verdict_name(event->verdict));
}

/* Half-open connections and their threshold, or the share of their time-outs that sessions which yield have left. */
static void add_defence(struct line *line, const struct sp_event *event)
{
	add(line, ",\"defence\":{\"name\":\"%s\",\"engaged\":%s,\"worker\":%u",
		event->why < SP_DEFENCE_COUNT ? sp_defence_names[event->why] : "unknown", event->state != 0 ? "true" : "false",
		event->worker);
	if (event->why == SP_DEFENCE_SYN_PROXY)
		add(line, ",\"embryonic\":%" PRIu64 ",\"threshold\":%" PRIu64, event->bytes[0], event->bytes[1]);
	else
		add(line, ",\"timeouts_percent\":%" PRIu64, event->bytes[0]);
	add(line, "}}\n");
}

static void add_endpoint(struct line *line, const char *name, const struct sp_key *key, bool source)
{
	const bool v6 = key->family == SP_FAMILY_IPV6;
	char text[INET6_ADDRSTRLEN];

	if (v6)
		inet_ntop(AF_INET6, source ? key->v6.src : key->v6.dst, text, sizeof(text));
	else
		inet_ntop(AF_INET, source ? &key->v4.src : &key->v4.dst, text, sizeof(text));
	add(line, "\"%s_ip\":\"%s\"", name, text);
}

/* What a translated flow looks like behind the firewall: the tuple of its answers reversed. ICMP: its identifier there. */
static void add_translated(struct line *line, const struct sp_key *reply)
{
	add(line, ",\"nat\":{");
	add_endpoint(line, "src", reply, false);
	add(line, ",\"src_port\":%u,", ntohs(reply->dport));
	add_endpoint(line, "dest", reply, true);
	add(line, ",\"dest_port\":%u}", ntohs(reply->sport));
}

/* An inside end and its external one; a block has ports from `port` on. */
static void add_nat(struct line *line, const struct sp_event *event)
{
	const struct sp_key *key = &event->key;

	add(line, ",");
	add_endpoint(line, "src", key, true);
	if (key->sport != 0)
		add(line, ",\"src_port\":%u", ntohs(key->sport));
	if (key->proto != 0)
		add_proto(line, key->proto);
	add(line, ",\"nat\":{\"event\":\"%s\",\"entry\":%u,\"worker\":%u",
		event->why < SP_NAT_EVENT_COUNT ? sp_nat_event_names[event->why] : "unknown", event->rule, event->worker);
	if (event->why != SP_NAT_EVENT_EXHAUSTED) {
		add(line, ",");
		add_endpoint(line, "outside", key, false);
		add(line, ",\"outside_port\":%u", ntohs(key->dport));
	}
	if (event->bytes[0] != 0)
		add(line, ",\"ports\":%" PRIu64, event->bytes[0]);
	add(line, "}}\n");
}

/*
 * JSON readers keep numbers exactly up to 2^53, some refuse those over 2^63: the id is spread over 53 bits (Fibonacci hashing), equal ids
 * stay equal, and 0 stays "none".
 */
static uint64_t json_flow_id(uint64_t flow_id)
{
	uint64_t id = flow_id * 0x9e3779b97f4a7c15u >> 11;

	return id != 0 ? id : 1;
}

size_t sp_eve_format(const struct sp_event *event, const struct sp_eve_names *names, uint64_t wall_ns, char *buf)
{
	static const char *const types[] = {[SP_EVENT_FLOW_START] = "flow",
		[SP_EVENT_FLOW_END] = "flow",
		[SP_EVENT_DROP] = "drop",
		[SP_EVENT_ALERT] = "alert",
		[SP_EVENT_DEFENCE] = "defence",
		[SP_EVENT_NAT] = "nat"};
	struct line line = {.buf = buf};
	char time[SP_EVE_TIME_SIZE];

	add(&line, "{\"timestamp\":\"%s\"", sp_eve_time(wall_ns, time));
	if (event->flow_id != 0)
		add(&line, ",\"flow_id\":%" PRIu64, json_flow_id(event->flow_id));
	if (names->port) {
		add(&line, ",\"in_iface\":");
		add_text(&line, names->port);
	}
	add(&line, ",\"event_type\":\"%s\"",
		is_monitor(event)                                ? "monitor"
		: event->type < sizeof(types) / sizeof(types[0]) ? types[event->type]
								 : "unknown");
	if (event->type == SP_EVENT_DEFENCE) {
		add_defence(&line, event);
		return line.len;
	}
	if (event->type == SP_EVENT_NAT) {
		add_nat(&line, event);
		return line.len;
	}
	add_tuple(&line, &event->key);
	if (event->rule != 0)
		add(&line, ",\"rule\":%u", event->rule);
	else
		add(&line, ",\"rule\":null");
	if (event->suppressed != 0)
		add(&line, ",\"suppressed\":%u", event->suppressed);
	if (event->type == SP_EVENT_DROP)
		add_drop(&line, event);
	else if (event->type == SP_EVENT_ALERT)
		add_alert(&line, event, names->signature);
	else
		add_flow(&line, event, wall_ns);
	if (event->reply.family != SP_FAMILY_NONE)
		add_translated(&line, &event->reply);
	add(&line, "}\n");
	return line.len;
}
