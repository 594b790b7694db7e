/* SPDX-License-Identifier: BSD-3-Clause */
/* Events as JSON lines: every field by a JSON parser, Community ID by published vectors, and the writer with real rings and files. */
#include "dataplane/defence.h"
#include "dataplane/nat.h"
#include "mgmt/eve.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <rte_cycles.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/worker.h"
#include "mgmt/events.h"
#include "mgmt/sha1.h"
#include "tests/unit/support/eal.h"

#define WALL_NS ((uint64_t)1738324800 * 1000000000 + 123456789) /* 2025-01-31T12:00:00Z */

static struct sp_key key_of(const char *src, const char *dst, uint8_t proto, uint16_t sport, uint16_t dport)
{
	struct sp_key key = {.proto = proto, .family = strchr(src, ':') ? SP_FAMILY_IPV6 : SP_FAMILY_IPV4};
	int af = key.family == SP_FAMILY_IPV6 ? AF_INET6 : AF_INET;

	assert_int_equal(inet_pton(af, src, af == AF_INET6 ? (void *)key.v6.src : &key.v4.src), 1);
	assert_int_equal(inet_pton(af, dst, af == AF_INET6 ? (void *)key.v6.dst : &key.v4.dst), 1);
	if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6) {
		key.aux = (uint16_t)(sport << 8 | dport);
	} else {
		key.sport = htons(sport);
		key.dport = htons(dport);
	}
	return key;
}

static void sha1_of_rfc_3174(void **state)
{
	static const struct {
		const char *text;
		unsigned int times;
		uint8_t digest[SP_SHA1_BYTES];
	} cases[] = {
		{"abc", 1,
			{0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81, 0x6a, 0xba, 0x3e, 0x25, 0x71, 0x78, 0x50, 0xc2, 0x6c, 0x9c, 0xd0, 0xd8,
				0x9d}},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
			{0x84, 0x98, 0x3e, 0x44, 0x1c, 0x3b, 0xd2, 0x6e, 0xba, 0xae, 0x4a, 0xa1, 0xf9, 0x51, 0x29, 0xe5, 0xe5, 0x46, 0x70,
				0xf1}},
		{"a", 1000000,
			{0x34, 0xaa, 0x97, 0x3c, 0xd4, 0xc4, 0xda, 0xa4, 0xf6, 0x1e, 0xeb, 0x2b, 0xdb, 0xad, 0x27, 0x31, 0x65, 0x34, 0x01,
				0x6f}},
		{"0123456701234567012345670123456701234567012345670123456701234567", 10,
			{0xde, 0xa3, 0x56, 0xa2, 0xcd, 0xdd, 0x90, 0xc7, 0xa7, 0xec, 0xed, 0xc5, 0xeb, 0xb5, 0x63, 0x93, 0x4f, 0x46, 0x04,
				0x52}},
		{"", 1,
			{0xda, 0x39, 0xa3, 0xee, 0x5e, 0x6b, 0x4b, 0x0d, 0x32, 0x55, 0xbf, 0xef, 0x95, 0x60, 0x18, 0x90, 0xaf, 0xd8, 0x07,
				0x09}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t n = strlen(cases[i].text);
		char *text = malloc(n * cases[i].times + 1);
		uint8_t digest[SP_SHA1_BYTES];

		assert_non_null(text);
		for (unsigned int k = 0; k < cases[i].times; k++)
			memcpy(text + k * n, cases[i].text, n);
		sp_sha1(text, n * cases[i].times, digest);
		assert_memory_equal(digest, cases[i].digest, sizeof(digest));
		free(text);
	}
}

static void community_ids_of_the_specification(void **state)
{
	static const struct {
		const char *src, *dst;
		uint8_t proto;
		uint16_t sport, dport; /* ICMP: type and code */
		const char *id;
	} cases[] = {
		{"128.232.110.120", "66.35.250.204", IPPROTO_TCP, 34855, 80, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{"66.35.250.204", "128.232.110.120", IPPROTO_TCP, 80, 34855, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{"192.168.1.52", "8.8.8.8", IPPROTO_UDP, 54585, 53, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
		{"8.8.8.8", "192.168.1.52", IPPROTO_UDP, 53, 54585, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
		{"192.168.0.89", "192.168.0.1", IPPROTO_ICMP, 8, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
		{"192.168.0.1", "192.168.0.89", IPPROTO_ICMP, 0, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
		{"192.168.0.89", "192.168.0.1", IPPROTO_ICMP, 3, 1, "1:LXCfhMUFbYXe+CEMrQuZCbiLY3o="},
		{"fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", IPPROTO_ICMPV6, 135, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
		{"192.168.170.8", "192.168.170.56", IPPROTO_SCTP, 7, 80, "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ="},
		{"10.1.1.2", "10.1.1.1", IPPROTO_GRE, 0, 0, "1:6bVMFPWneS3bg49/6T1HieDmRMQ="},
		{"2001:db8::2", "2001:db8::1", IPPROTO_TCP, 40000, 443, "1:jn1M/64iWT+nYqxpE1jYHo+15rE="},
	};
	struct sp_key none = {0};
	char id[32];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_key key = key_of(cases[i].src, cases[i].dst, cases[i].proto, cases[i].sport, cases[i].dport);

		assert_string_equal(sp_community_id(&key, id), cases[i].id);
	}
	assert_string_equal(sp_community_id(&none, id), "");
}

/* Formats and parses; the line must be one JSON object, ended by the only newline. */
static json_t *parsed(const struct sp_event *event, const struct sp_eve_names *names)
{
	char line[SP_EVE_LINE_MAX];
	size_t len = sp_eve_format(event, names, WALL_NS, line);
	json_error_t error;
	json_t *json;

	assert_true(len > 1 && len < SP_EVE_LINE_MAX);
	assert_ptr_equal(memchr(line, '\n', len), line + len - 1);
	json = json_loadb(line, len - 1, JSON_REJECT_DUPLICATES, &error);
	assert_non_null(json);
	return json;
}

static const char *text_at(json_t *json, const char *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object ? json_object_get(json, object) : json, name));

	assert_non_null(text);
	return text;
}

static json_int_t number_at(json_t *json, const char *object, const char *name)
{
	json_t *number = json_object_get(object ? json_object_get(json, object) : json, name);

	assert_true(json_is_integer(number));
	return json_integer_value(number);
}

static void defences(void **state)
{
	struct sp_event event = {.type = SP_EVENT_DEFENCE, .why = SP_DEFENCE_SYN_PROXY, .state = 1, .worker = 3, .bytes = {4096, 4000}};
	struct sp_eve_names names = {0};
	json_t *json;

	(void)state;
	json = parsed(&event, &names);
	assert_string_equal(text_at(json, NULL, "event_type"), "defence");
	assert_string_equal(text_at(json, "defence", "name"), "syn_proxy");
	assert_true(json_is_true(json_object_get(json_object_get(json, "defence"), "engaged")));
	assert_int_equal(number_at(json, "defence", "worker"), 3);
	assert_int_equal(number_at(json, "defence", "embryonic"), 4096);
	assert_int_equal(number_at(json, "defence", "threshold"), 4000);
	assert_null(json_object_get(json, "rule"));
	json_decref(json);

	event = (struct sp_event){.type = SP_EVENT_DEFENCE, .why = SP_DEFENCE_PRESSURE, .bytes = {37, 100}};
	json = parsed(&event, &names);
	assert_string_equal(text_at(json, "defence", "name"), "pressure");
	assert_true(json_is_false(json_object_get(json_object_get(json, "defence"), "engaged")));
	assert_int_equal(number_at(json, "defence", "timeouts_percent"), 37);
	json_decref(json);
}

static void translations(void **state)
{
	struct sp_event event = {.type = SP_EVENT_NAT,
		.key = key_of("10.0.0.1", "203.0.113.1", IPPROTO_UDP, 40000, 2000),
		.rule = 4,
		.why = SP_NAT_EVENT_MAPPING,
		.worker = 1};
	struct sp_eve_names names = {0};
	json_t *json;

	(void)state;
	json = parsed(&event, &names);
	assert_string_equal(text_at(json, NULL, "event_type"), "nat");
	assert_string_equal(text_at(json, NULL, "src_ip"), "10.0.0.1");
	assert_int_equal(number_at(json, NULL, "src_port"), 40000);
	assert_string_equal(text_at(json, "nat", "event"), "mapping");
	assert_int_equal(number_at(json, "nat", "entry"), 4);
	assert_string_equal(text_at(json, "nat", "outside_ip"), "203.0.113.1");
	assert_int_equal(number_at(json, "nat", "outside_port"), 2000);
	json_decref(json);

	event.why = SP_NAT_EVENT_BLOCK;
	event.key = key_of("10.0.0.1", "203.0.113.1", 0, 0, 2048);
	event.bytes[0] = 512;
	json = parsed(&event, &names);
	assert_string_equal(text_at(json, "nat", "event"), "block");
	assert_int_equal(number_at(json, "nat", "ports"), 512);
	assert_null(json_object_get(json, "src_port"));
	json_decref(json);

	event.why = SP_NAT_EVENT_EXHAUSTED;
	json = parsed(&event, &names);
	assert_null(json_object_get(json_object_get(json, "nat"), "outside_ip"));
	json_decref(json);
}

/* What the far end of a translated flow sees: the tuple of its answers, reversed. */
static void a_translated_flow(void **state)
{
	struct sp_event event = {.type = SP_EVENT_FLOW_START,
		.key = key_of("10.0.0.1", "198.51.100.7", IPPROTO_TCP, 40000, 443),
		.reply = key_of("198.51.100.7", "203.0.113.1", IPPROTO_TCP, 443, 2000)};
	struct sp_eve_names names = {0};
	json_t *json;

	(void)state;
	json = parsed(&event, &names);
	assert_string_equal(text_at(json, NULL, "src_ip"), "10.0.0.1");
	assert_string_equal(text_at(json, "nat", "src_ip"), "203.0.113.1");
	assert_int_equal(number_at(json, "nat", "src_port"), 2000);
	assert_string_equal(text_at(json, "nat", "dest_ip"), "198.51.100.7");
	assert_int_equal(number_at(json, "nat", "dest_port"), 443);
	json_decref(json);
	event.reply = (struct sp_key){0};
	json = parsed(&event, &names);
	assert_null(json_object_get(json, "nat"));
	json_decref(json);
}

static void a_flow_end(void **state)
{
	struct sp_event event = {.type = SP_EVENT_FLOW_END,
		.key = key_of("10.0.0.1", "192.0.2.10", IPPROTO_TCP, 40000, 443),
		.flow_id = (uint64_t)1 << 53,
		.rule = 10,
		.bytes = {(uint64_t)5 << 32, 700},
		.packets = {5, 4000000000u},
		.age_ms = 90500,
		.why = SP_END_TCP,
		.state = SP_STATE_TCP_TIME_WAIT};
	struct sp_eve_names names = {.port = "in"};
	json_t *json;

	(void)state;
	event.key.vlan = 20;
	event.key.vlan_inner = 7;
	json = parsed(&event, &names);
	assert_string_equal(text_at(json, NULL, "timestamp"), "2025-01-31T12:00:00.123456+0000");
	assert_string_equal(text_at(json, NULL, "event_type"), "flow");
	assert_string_equal(text_at(json, NULL, "in_iface"), "in");
	assert_string_equal(text_at(json, NULL, "src_ip"), "10.0.0.1");
	assert_string_equal(text_at(json, NULL, "dest_ip"), "192.0.2.10");
	assert_string_equal(text_at(json, NULL, "proto"), "TCP");
	assert_int_equal(number_at(json, NULL, "src_port"), 40000);
	assert_int_equal(number_at(json, NULL, "dest_port"), 443);
	assert_in_range(number_at(json, NULL, "flow_id"), 1, ((json_int_t)1 << 53) - 1);
	assert_int_equal(number_at(json, NULL, "rule"), 10);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(json, "vlan"), 0)), 20);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(json, "vlan"), 1)), 7);
	assert_int_equal(number_at(json, "flow", "pkts_toserver"), 5);
	assert_int_equal(number_at(json, "flow", "pkts_toclient"), 4000000000);
	assert_int_equal(number_at(json, "flow", "bytes_toserver"), (json_int_t)5 << 32);
	assert_int_equal(number_at(json, "flow", "bytes_toclient"), 700);
	assert_int_equal(number_at(json, "flow", "age"), 90);
	assert_string_equal(text_at(json, "flow", "start"), "2025-01-31T11:58:29.623456+0000");
	assert_string_equal(text_at(json, "flow", "end"), "2025-01-31T12:00:00.123456+0000");
	assert_string_equal(text_at(json, "flow", "state"), "tcp_time_wait");
	assert_string_equal(text_at(json, "flow", "reason"), "tcp");
	assert_non_null(json_object_get(json, "community_id"));
	json_decref(json);
}

static void a_monitor_rule_is_no_drop(void **state)
{
	struct sp_event event = {.type = SP_EVENT_DROP,
		.verdict = SP_VERDICT_GOING,
		.rule = 7,
		.key = key_of("10.0.0.1", "192.0.2.10", IPPROTO_TCP, 40000, 443)};
	struct sp_eve_names names = {0};
	json_t *json = parsed(&event, &names);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(json, "event_type")), "monitor");
	assert_null(json_object_get(json, "drop"));
	json_decref(json);
}

static void flow_ids_stay_apart_and_exact(void **state)
{
	static const uint64_t ids[] = {1, 2, (uint64_t)1 << 32, (uint64_t)1 << 56, (uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 1};
	struct sp_event event = {.type = SP_EVENT_DROP, .key = key_of("10.0.0.1", "192.0.2.10", IPPROTO_TCP, 40000, 443)};
	struct sp_eve_names names = {0};
	json_int_t seen[sizeof(ids) / sizeof(ids[0])];

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		json_t *json;

		event.flow_id = ids[i];
		json = parsed(&event, &names);
		seen[i] = number_at(json, NULL, "flow_id");
		assert_in_range(seen[i], 1, ((json_int_t)1 << 53) - 1);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(seen[i], seen[k]);
		json_decref(json);
	}
}

static void drops_and_alerts(void **state)
{
	struct sp_event event = {.type = SP_EVENT_DROP,
		.key = key_of("2001:db8::1", "2001:db8::2", IPPROTO_ICMPV6, 128, 0),
		.reason = SP_DROP_RULE,
		.verdict = SP_VERDICT_REJECT,
		.length = 118};
	struct sp_eve_signature signature = {.id = 9000001, .msg = "SQL injection", .category = "web-attacks"};
	struct sp_eve_names names = {.port = "out", .signature = &signature};
	json_t *json = parsed(&event, &names);

	(void)state;
	assert_string_equal(text_at(json, NULL, "event_type"), "drop");
	assert_string_equal(text_at(json, "drop", "reason"), "rule");
	assert_int_equal(number_at(json, "drop", "len"), 118);
	assert_string_equal(text_at(json, "verdict", "action"), "reject");
	assert_string_equal(text_at(json, NULL, "src_ip"), "2001:db8::1");
	assert_string_equal(text_at(json, NULL, "proto"), "IPv6-ICMP");
	assert_int_equal(number_at(json, NULL, "icmp_type"), 128);
	assert_null(json_object_get(json, "src_port"));
	assert_null(json_object_get(json, "flow_id"));
	assert_true(json_is_null(json_object_get(json, "rule")));
	json_decref(json);

	event.type = SP_EVENT_ALERT;
	event.signature = 9000001;
	event.verdict = SP_VERDICT_DROP;
	json = parsed(&event, &names);
	assert_string_equal(text_at(json, NULL, "event_type"), "alert");
	assert_string_equal(text_at(json, "alert", "action"), "blocked");
	assert_int_equal(number_at(json, "alert", "signature_id"), 9000001);
	assert_string_equal(text_at(json, "alert", "signature"), "SQL injection");
	assert_string_equal(text_at(json, "alert", "category"), "web-attacks");
	json_decref(json);

	event.verdict = SP_VERDICT_ALLOW;
	names = (struct sp_eve_names){0};
	json = parsed(&event, &names);
	assert_string_equal(text_at(json, "alert", "action"), "allowed");
	assert_string_equal(text_at(json, "alert", "signature"), "");
	assert_null(json_object_get(json, "in_iface"));
	json_decref(json);
}

static void a_flow_start_and_what_was_withheld(void **state)
{
	struct sp_event event = {.type = SP_EVENT_FLOW_START, .key = key_of("10.0.0.1", "192.0.2.10", IPPROTO_UDP, 1, 2), .rule = 7};
	struct sp_eve_names names = {0};
	json_t *json = parsed(&event, &names);

	(void)state;
	assert_string_equal(text_at(json, NULL, "event_type"), "flow");
	assert_string_equal(text_at(json, "flow", "event"), "start");
	assert_string_equal(text_at(json, "flow", "state"), "new");
	assert_null(json_object_get(json, "suppressed"));
	json_decref(json);
	event.suppressed = UINT32_MAX;
	json = parsed(&event, &names);
	assert_int_equal(number_at(json, NULL, "suppressed"), UINT32_MAX);
	json_decref(json);
}

static void a_loss_is_a_line(void **state)
{
	char line[SP_EVE_LOST_MAX];
	size_t len = sp_eve_lost(UINT64_MAX / 2, "reader", line);
	json_t *json = json_loadb(line, len, 0, NULL);

	(void)state;
	assert_int_equal(line[len - 1], '\n');
	assert_string_equal(text_at(json, NULL, "event_type"), "lost");
	assert_int_equal(number_at(json, NULL, "lost"), INT64_MAX);
	assert_string_equal(text_at(json, NULL, "where"), "reader");
	json_decref(json);
}

static void names_cannot_break_a_line(void **state)
{
	static const struct {
		const char *msg, *want;
	} cases[] = {
		{"quote \" backslash \\ tab \t newline \n del \x7f", "quote \" backslash \\ tab \t newline \n del \x7f"},
		{"umlaut \xc3\xa4 euro \xe2\x82\xac", "umlaut \xc3\xa4 euro \xe2\x82\xac"},
		{"bad \xff\xc3(\xe2\x82", "bad \xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd"},
		{"overlong \xc0\xaf", "overlong \xef\xbf\xbd\xef\xbf\xbd"},
		{"surrogate \xed\xa0\x80", "surrogate \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	};
	struct sp_event event = {.type = SP_EVENT_ALERT, .key = key_of("10.0.0.1", "192.0.2.10", IPPROTO_UDP, 1, 2)};
	char longest[3 * SP_EVE_LINE_MAX];
	struct sp_eve_signature signature = {.id = 1, .category = "c"};
	struct sp_eve_names names = {.port = longest, .signature = &signature};

	(void)state;
	memset(longest, 0x01, sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *json;

		signature.msg = cases[i].msg;
		json = parsed(&event, &names);
		assert_string_equal(text_at(json, "alert", "signature"), cases[i].want);
		json_decref(json);
	}
	/* Everything at its longest. */
	signature.msg = signature.category = longest;
	memset(&event, 0xff, sizeof(event));
	event.bytes[0] = event.bytes[1] = INT64_MAX;
	event.type = SP_EVENT_ALERT;
	event.key.family = SP_FAMILY_IPV6;
	json_decref(parsed(&event, &names));
	event.type = SP_EVENT_FLOW_END;
	json_decref(parsed(&event, &names));
	event.type = SP_EVENT_DROP;
	json_decref(parsed(&event, &names));
	event.type = 0xff;
	event.key.family = SP_FAMILY_NONE;
	json_decref(parsed(&event, &names));
}

/* --- the writer -------------------------------------------------------------------------------------------------------------- */

static struct sp_dataplane *dataplane;
static char folder[] = "/tmp/sptest_eve_XXXXXX", path[64], rotated[64];

static int setup(void **state)
{
	(void)state;
	dataplane = calloc(1, sizeof(*dataplane));
	if (!dataplane)
		return -1;
	dataplane->tsc_hz = rte_get_tsc_hz();
	dataplane->tsc_start = rte_rdtsc();
	dataplane->wall_start_ns = (uint64_t)time(NULL) * 1000000000;
	dataplane->n_ports = 1;
	strcpy(dataplane->ports[0].name, "in");
	for (dataplane->n_workers = 0; dataplane->n_workers < 2; dataplane->n_workers++) {
		struct sp_worker *worker = aligned_alloc(64, (sizeof(*worker) + 63) / 64 * 64);

		if (!worker)
			return -1;
		memset(worker, 0, sizeof(*worker));
		if (sp_event_ring_init(&worker->events, dataplane->n_workers, SOCKET_ID_ANY) != 0)
			return -1;
		dataplane->workers[dataplane->n_workers] = worker;
	}
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/eve.json", folder);
	snprintf(rotated, sizeof(rotated), "%s/eve.json.1", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned int w = 0; w < dataplane->n_workers; w++) {
		sp_event_ring_free(&dataplane->workers[w]->events);
		free(dataplane->workers[w]);
	}
	free(dataplane);
	unlink(path);
	unlink(rotated);
	return rmdir(folder);
}

static struct sp_events *start(const char *file, unsigned int interval_sec)
{
	char why[256] = "";
	const struct sp_events_config config = {.path = file, .stats_interval_sec = interval_sec};
	struct sp_events *events = sp_events_start(dataplane, &config, why, sizeof(why));

	assert_string_equal(why, "");
	assert_non_null(events);
	return events;
}

static void post(unsigned int worker, uint8_t type, uint64_t flow_id, uint32_t signature)
{
	struct sp_event event = {.tsc = rte_rdtsc(),
		.type = type,
		.key = key_of("10.0.0.1", "192.0.2.10", IPPROTO_UDP, 1, 2),
		.flow_id = flow_id,
		.signature = signature};

	sp_event_post(&dataplane->workers[worker]->events, &event);
}

/* Counts the lines of a file, each of which must be JSON; calls `fn` for each when given. */
static unsigned int read_lines(const char *file, void (*fn)(json_t *json))
{
	FILE *in = fopen(file, "r");
	char line[65536];
	unsigned int n = 0;

	assert_non_null(in);
	while (fgets(line, sizeof(line), in)) {
		json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

		assert_non_null(json);
		if (fn)
			fn(json);
		json_decref(json);
		n++;
	}
	fclose(in);
	return n;
}

/* Waits until `counter` of the writer has reached `value`; a minute is as good as never. */
static void wait_for(struct sp_events *events, size_t counter, uint64_t value)
{
	static const struct timespec pause = {.tv_nsec = 1000000};
	struct sp_events_counters counters;

	for (int i = 0; i < 60000; i++) {
		sp_events_counters(events, &counters);
		if (*(uint64_t *)((char *)&counters + counter) >= value)
			return;
		nanosleep(&pause, NULL);
	}
	fail_msg("the writer did not come that far");
}

#define WAIT_FOR(events, counter, value) wait_for(events, offsetof(struct sp_events_counters, counter), value)

static void stop_writes_everything(void **state)
{
	struct sp_events *events = start(path, 0);
	const unsigned int n = 3000;
	struct stat st;

	(void)state;
	for (unsigned int i = 1; i <= n; i++)
		post(i % 2, SP_EVENT_FLOW_START, i, 0);
	sp_events_stop(events);
	assert_int_equal(read_lines(path, NULL), n);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0007, 0);
	assert_int_equal(dataplane->workers[0]->events.lost + dataplane->workers[1]->events.lost, 0);
}

static unsigned int known, unknown;

static void check_signature(json_t *json)
{
	const char *msg = text_at(json, "alert", "signature");

	if (number_at(json, "alert", "signature_id") == 77) {
		assert_string_equal(msg, "seventy-seven");
		assert_string_equal(text_at(json, "alert", "category"), "web");
		known++;
	} else {
		assert_string_equal(msg, "");
		unknown++;
	}
}

static void alerts_carry_the_message_of_their_ruleset(void **state)
{
	struct sp_pattern patterns[] = {{.id = 99, .msg = "ninety-nine"}, {.id = 77, .msg = "seventy-seven"}, {.id = 1, .msg = NULL}};
	struct sp_profile profile = {.name = "web", .patterns = patterns, .n_patterns = 3};
	struct sp_policy policy = {.profiles = &profile, .n_profiles = 1}, empty = {0};
	struct sp_ruleset ruleset = {.policy = &policy}, after = {.policy = &empty};
	struct sp_events *events = start(path, 0);

	(void)state;
	known = unknown = 0;
	assert_int_equal(sp_events_set_signatures(events, &ruleset), 0);
	assert_int_equal(sp_events_set_signatures(events, &after), 0); /* its alerts may still be in the ring */
	post(0, SP_EVENT_ALERT, 1, 77);
	post(0, SP_EVENT_ALERT, 1, 78);
	WAIT_FOR(events, written, 2);
	assert_int_equal(sp_events_set_signatures(events, &after), 0);
	sp_events_stop(events);
	assert_int_equal(read_lines(path, check_signature), 2);
	assert_int_equal(known, 1);
	assert_int_equal(unknown, 1);
}

static void a_rotated_file_is_left(void **state)
{
	struct sp_events *events = start(path, 0);
	static const struct timespec pause = {.tv_nsec = 1000000};

	(void)state;
	post(0, SP_EVENT_DROP, 1, 0);
	WAIT_FOR(events, written, 1);
	assert_int_equal(rename(path, rotated), 0);
	sp_events_reopen(events);
	for (int i = 0; access(path, F_OK) != 0 && i < 60000; i++)
		nanosleep(&pause, NULL);
	post(1, SP_EVENT_DROP, 2, 0);
	post(1, SP_EVENT_DROP, 3, 0);
	sp_events_stop(events);
	assert_int_equal(read_lines(rotated, NULL), 1);
	assert_int_equal(read_lines(path, NULL), 2);
}

static void check_audit(json_t *json)
{
	assert_string_equal(text_at(json, NULL, "event_type"), "audit");
	assert_string_equal(text_at(json, "audit", "call"), "PUT /v1/rules");
	assert_non_null(json_object_get(json, "timestamp"));
}

static void audit_lines_are_written_and_bounded(void **state)
{
	struct sp_events *events = start(path, 0);
	struct sp_events_counters counters;
	unsigned int n = 5000;

	(void)state;
	for (unsigned int i = 0; i < n; i++)
		sp_events_audit(events, json_pack("{s:s, s:i}", "call", "PUT /v1/rules", "n", i));
	sp_events_audit(events, NULL);
	sp_events_audit(NULL, json_object());
	WAIT_FOR(events, written, 1024);
	sp_events_counters(events, &counters);
	sp_events_stop(events);
	assert_int_equal(read_lines(path, check_audit) + counters.audit_lost, n);
}

/* sp_stats_json's part here: a body that is a JSON object. */
static json_t *stats_body(struct sp_mgmt *mgmt)
{
	assert_ptr_equal(mgmt, dataplane);
	return json_pack("{s:i}", "generation", 3);
}

static void check_stats(json_t *json)
{
	assert_string_equal(text_at(json, NULL, "event_type"), "stats");
	assert_int_equal(number_at(json, "stats", "generation"), 3);
}

static void statistics_come_at_their_interval(void **state)
{
	struct sp_events *events = start(path, 1);

	(void)state;
	sp_events_set_stats(events, stats_body, (struct sp_mgmt *)dataplane);
	WAIT_FOR(events, written, 2);
	sp_events_stop(events);
	assert_true(read_lines(path, check_stats) >= 2);
}

static void a_full_disk_is_counted_and_nothing_waits(void **state)
{
	struct sp_events *events = start("/dev/full", 0);
	struct sp_events_counters counters;

	(void)state;
	post(0, SP_EVENT_DROP, 1, 0);
	post(0, SP_EVENT_DROP, 2, 0);
	WAIT_FOR(events, unwritten, 2);
	sp_events_counters(events, &counters);
	assert_int_equal(counters.written, 0);
	assert_true(counters.write_errors >= 1);
	for (unsigned int i = 0; i < SP_EVENT_RING_SIZE / 2; i++)
		post(0, SP_EVENT_DROP, i, 0);
	WAIT_FOR(events, unwritten, 2 + SP_EVENT_RING_SIZE / 2);
	sp_events_stop(events);
}

static void a_reopen_that_fails_keeps_the_old_file(void **state)
{
	struct sp_events *events = start(path, 0);

	(void)state;
	/* A folder stands where the file was. */
	assert_int_equal(rename(path, rotated), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	sp_events_reopen(events);
	WAIT_FOR(events, write_errors, 1);
	post(0, SP_EVENT_DROP, 1, 0);
	sp_events_stop(events);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(read_lines(rotated, NULL), 1);
}

static void lost_events_are_told(void **state)
{
	struct sp_events *events;
	struct sp_events_counters counters;

	(void)state;
	for (unsigned int i = 0; i < SP_EVENT_RING_SIZE + 10; i++)
		post(1, SP_EVENT_DROP, i, 0);
	events = start(NULL, 0);
	WAIT_FOR(events, lost, 10);
	sp_events_counters(events, &counters);
	assert_int_equal(counters.lost, dataplane->workers[1]->events.lost);
	assert_int_equal(counters.written, 0);
	sp_events_stop(events);
	sp_events_stop(NULL);
	sp_events_reopen(NULL);
	sp_events_counters(NULL, &counters);
	assert_int_equal(counters.lost, 0);
}

static unsigned int lost_lines, other_lines;

static void check_lost(json_t *json)
{
	if (strcmp(text_at(json, NULL, "event_type"), "lost") != 0) {
		other_lines++;
		return;
	}
	assert_int_equal(number_at(json, NULL, "lost"), 11);
	assert_string_equal(text_at(json, NULL, "where"), "ring");
	lost_lines++;
}

static void lost_events_leave_a_line(void **state)
{
	struct sp_events *events;

	(void)state;
	lost_lines = other_lines = 0;
	for (unsigned int i = 0; i < SP_EVENT_RING_SIZE + 10; i++)
		post(1, SP_EVENT_DROP, i, 0);
	events = start(path, 0);
	sp_events_stop(events);
	read_lines(path, check_lost);
	assert_int_equal(lost_lines, 1);
	assert_int_equal(other_lines, SP_EVENT_RING_SIZE - 1);
}

static void a_path_that_cannot_be_opened_says_so(void **state)
{
	const struct sp_events_config missing = {.path = "/nonexistent/eve.json"}, no_file = {.path = folder};
	char why[256] = "";

	(void)state;
	assert_null(sp_events_start(dataplane, &missing, why, sizeof(why)));
	assert_non_null(strstr(why, "/nonexistent/eve.json"));
	assert_null(strchr(why, '\n'));
	assert_null(sp_events_start(dataplane, &no_file, why, sizeof(why)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha1_of_rfc_3174),
		cmocka_unit_test(community_ids_of_the_specification),
		cmocka_unit_test(defences),
		cmocka_unit_test(translations),
		cmocka_unit_test(a_translated_flow),
		cmocka_unit_test(a_flow_end),
		cmocka_unit_test(a_monitor_rule_is_no_drop),
		cmocka_unit_test(flow_ids_stay_apart_and_exact),
		cmocka_unit_test(drops_and_alerts),
		cmocka_unit_test(a_flow_start_and_what_was_withheld),
		cmocka_unit_test(a_loss_is_a_line),
		cmocka_unit_test(names_cannot_break_a_line),
		cmocka_unit_test_setup_teardown(stop_writes_everything, setup, teardown),
		cmocka_unit_test_setup_teardown(alerts_carry_the_message_of_their_ruleset, setup, teardown),
		cmocka_unit_test_setup_teardown(a_rotated_file_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(audit_lines_are_written_and_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(statistics_come_at_their_interval, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_is_counted_and_nothing_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reopen_that_fails_keeps_the_old_file, setup, teardown),
		cmocka_unit_test_setup_teardown(lost_events_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(lost_events_leave_a_line, setup, teardown),
		cmocka_unit_test_setup_teardown(a_path_that_cannot_be_opened_says_so, setup, teardown),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	sp_test_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
