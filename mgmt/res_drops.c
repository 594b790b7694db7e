/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /v1/drops: the last dropped packets of each reason, newest first, out of every worker's drop ring; JSON, or pcapng by Accept.
 */
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>

#include "dataplane/stages.h"
#include "mgmt/packet_file.h"
#include "mgmt/problem.h"
#include "mgmt/publish.h"
#include "mgmt/res.h"
#include "mgmt/state.h"
#include "rules/fields.h"
#include "rules/names.h"
#include "rules/packet_text.h"

#define FAMILY_BYTES(family) ((family) == SP_FAMILY_IPV6 ? 16u : 4u)

struct drop {
	unsigned int worker;
	struct sp_drop_record record;
};

struct filter {
	bool has_addr, has_port, has_reason;
	struct sp_addr_range addr;
	rte_be16_t port;
	enum sp_drop_reason reason;
};

/* --- the filter ------------------------------------------------------------------------------------------------------------------ */

static bool filter_reason(struct sp_call *call, struct filter *filter)
{
	const char *text = sp_call_param(call, "reason");

	if (text == NULL)
		return true;
	for (unsigned int r = SP_DROP_NONE + 1; r < SP_DROP_COUNT; r++) {
		if (strcmp(sp_drop_texts[r].name, text) == 0) {
			filter->has_reason = true;
			filter->reason = (enum sp_drop_reason)r;
			return true;
		}
	}
	sp_problem(&call->reply, 400, "bad-parameter", "there is no drop reason %.64s; /v1/stats lists them under drops", text);
	return false;
}

static bool filter_read(struct sp_call *call, struct filter *filter)
{
	uint64_t port = 0;

	memset(filter, 0, sizeof(*filter));
	if (!sp_call_address(call, &filter->has_addr, &filter->addr) || !sp_call_number(call, "port", 0, UINT16_MAX, &port))
		return false;
	filter->has_port = sp_call_param(call, "port") != NULL;
	filter->port = rte_cpu_to_be_16((uint16_t)port);
	return filter_reason(call, filter);
}

static bool in_range(const struct sp_addr_range *range, const struct sp_addr *addr)
{
	size_t n = FAMILY_BYTES(addr->family);

	return addr->family == range->lo.family && memcmp(addr->b, range->lo.b, n) >= 0 && memcmp(addr->b, range->hi.b, n) <= 0;
}

static bool passes(const struct filter *filter, const struct sp_drop_record *record)
{
	struct sp_match match;

	if (filter->has_port && record->key.sport != filter->port && record->key.dport != filter->port)
		return false;
	if (!filter->has_addr)
		return true;
	sp_match_from_key(&record->key, record->zone_from, record->zone_to, &match);
	return match.family != SP_FAMILY_NONE && (in_range(&filter->addr, &match.src) || in_range(&filter->addr, &match.dst));
}

/* --- collecting ------------------------------------------------------------------------------------------------------------------ */

static int newest_first(const void *a, const void *b)
{
	const struct drop *x = a, *y = b;

	return (x->record.tsc < y->record.tsc) - (x->record.tsc > y->record.tsc);
}

/* The drops that pass, malloc'ed; NULL without memory. */
static struct drop *collect(const struct sp_dataplane *dataplane, const struct filter *filter, size_t *n)
{
	size_t room = (size_t)dataplane->n_workers * SP_DROP_COUNT * SP_DROP_RING_DEPTH;
	struct drop *drops = aligned_alloc(64, RTE_ALIGN_CEIL((room + 1) * sizeof(*drops), (size_t)64));

	*n = 0;
	for (unsigned int w = 0; drops != NULL && w < dataplane->n_workers; w++) {
		for (unsigned int r = SP_DROP_NONE + 1; r < SP_DROP_COUNT; r++) {
			if (filter->has_reason && filter->reason != r)
				continue;
			for (unsigned int i = 0; i < SP_DROP_RING_DEPTH; i++) {
				drops[*n].worker = w;
				if (sp_drop_read(dataplane->workers[w]->drops, (enum sp_drop_reason)r, i, &drops[*n].record) &&
					passes(filter, &drops[*n].record))
					(*n)++;
			}
		}
	}
	if (drops != NULL)
		qsort(drops, *n, sizeof(*drops), newest_first);
	return drops;
}

/* --- JSON ------------------------------------------------------------------------------------------------------------------------ */

static json_t *name_of_port(const struct sp_dataplane *dataplane, uint16_t port)
{
	return port < dataplane->n_ports ? sp_json_text(dataplane->ports[port].name) : json_null();
}

static json_t *name_of_zone(const struct sp_dataplane *dataplane, uint8_t zone)
{
	return zone < dataplane->zones.n ? sp_json_text(dataplane->zones.name[zone]) : json_null();
}

static void set_rule(json_t *json, const struct sp_dataplane *dataplane, const struct sp_drop_record *record)
{
	const struct sp_rule *rule = record->has_rule ? sp_published_rule(dataplane, record->rule) : NULL;

	json_object_set_new(json, "rule",
		!record->has_rule   ? json_null()
		: record->rule == 0 ? json_string("default")
				    : json_integer(record->rule));
	json_object_set_new(json, "file", rule != NULL ? sp_json_text(rule->file) : json_null());
	json_object_set_new(json, "line", rule != NULL ? json_integer(rule->line) : json_null());
	json_object_set_new(json, "name", rule != NULL ? sp_json_text(rule->value[SP_FIELD_NAME]) : json_null());
}

/* The packet in the words of explain; null when it has none. */
static json_t *packet_text(const struct sp_dataplane *dataplane, const struct sp_drop_record *record, const struct sp_match *match)
{
	struct sp_packet_text packet = {.match = *match};
	char text[512];

	if (record->kind == SP_KIND_ICMP_ERROR || (match->family == SP_FAMILY_NONE && match->ethertype == 0))
		return json_null();
	if (match->family != SP_FAMILY_NONE && sp_proto_parse("tcp", 3) == match->proto) {
		packet.view.tcp_flags = record->tcp_flags;
		packet.view.known = SP_VIEW_TCP_FLAGS;
	}
	sp_packet_text_format(&packet, &dataplane->zones, text, sizeof(text));
	return json_string(text);
}

static void set_packet(json_t *json, const struct sp_dataplane *dataplane, const struct sp_drop_record *record)
{
	bool ports = sp_proto_has_ports(record->key.proto);
	struct sp_match match;
	char text[48];

	sp_match_from_key(&record->key, record->zone_from, record->zone_to, &match);
	if (match.family != SP_FAMILY_NONE) {
		json_object_set_new(json, "proto", json_string(sp_proto_name(match.proto, text)));
		json_object_set_new(json, "src", json_string(sp_addr_format(&match.src, text, sizeof(text))));
		json_object_set_new(json, "sport", ports ? json_integer(match.sport) : json_null());
		json_object_set_new(json, "dst", json_string(sp_addr_format(&match.dst, text, sizeof(text))));
		json_object_set_new(json, "dport", ports ? json_integer(match.dport) : json_null());
	}
	json_object_set_new(json, "icmp_error", json_boolean(record->kind == SP_KIND_ICMP_ERROR));
	json_object_set_new(json, "vlan", json_integer(record->key.vlan));
	json_object_set_new(json, "packet", packet_text(dataplane, record, &match));
}

static json_t *header_json(const struct sp_drop_record *record)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * SP_DROP_HEADER_BYTES];

	for (unsigned int i = 0; i < record->header_len; i++) {
		text[2 * i] = digits[record->header[i] >> 4];
		text[2 * i + 1] = digits[record->header[i] & 15];
	}
	return json_stringn(text, (size_t)record->header_len * 2);
}

static json_t *drop_json(const struct sp_dataplane *dataplane, const struct drop *drop)
{
	const struct sp_drop_record *record = &drop->record;
	const struct sp_drop_text *reason = &sp_drop_texts[record->reason];
	json_t *json = json_object();

	json_object_set_new(json, "time", sp_json_time(sp_wall_ns(dataplane, record->tsc)));
	json_object_set_new(json, "reason", json_string(reason->name));
	json_object_set_new(json, "meaning", json_string(reason->meaning));
	json_object_set_new(json, "cure", json_string(reason->cure));
	json_object_set_new(json, "verdict", json_string(record->verdict == SP_VERDICT_REJECT ? "reject" : "drop"));
	set_rule(json, dataplane, record);
	json_object_set_new(json, "port", name_of_port(dataplane, record->port));
	json_object_set_new(json, "zone_from", name_of_zone(dataplane, record->zone_from));
	json_object_set_new(json, "zone_to", name_of_zone(dataplane, record->zone_to));
	set_packet(json, dataplane, record);
	json_object_set_new(json, "length", json_integer(record->length));
	json_object_set_new(json, "header", header_json(record));
	json_object_set_new(json, "worker", json_integer(drop->worker));
	return json;
}

static void reply_json(struct sp_call *call, const struct drop *drops, size_t n)
{
	json_t *json = json_object(), *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, drop_json(call->mgmt->dataplane, &drops[i]));
	json_object_set_new(json, "drops", array);
	sp_reply_json(&call->reply, 200, SP_TYPE_JSON, json);
}

/* --- pcapng ---------------------------------------------------------------------------------------------------------------------- */

static size_t put_drop(const struct sp_dataplane *dataplane, const struct sp_drop_record *record, uint8_t *out, size_t room)
{
	const struct sp_capture_packet about = {.point = SP_CAPTURE_DROP,
		.reason = record->reason,
		.rejected = record->verdict == SP_VERDICT_REJECT,
		.has_rule = record->has_rule,
		.rule = record->rule};
	char comment[SP_PCAPNG_COMMENT_MAX + 1];
	const struct sp_pcapng_packet packet = {.interface = record->port,
		.time_ns = sp_wall_ns(dataplane, record->tsc),
		.data = record->header,
		.captured = record->header_len,
		.length = record->length,
		.direction = record->reason == SP_DROP_QUEUE_TX ? SP_PCAPNG_OUTBOUND : SP_PCAPNG_INBOUND,
		.comment = comment};

	sp_packet_file_comment(dataplane, &about, comment, sizeof(comment));
	return sp_pcapng_packet(out, room, &packet);
}

/* Oldest first, as in any capture. */
static void reply_pcapng(struct sp_call *call, const struct drop *drops, size_t n)
{
	const struct sp_dataplane *dataplane = call->mgmt->dataplane;
	size_t room = SP_PACKET_FILE_HEAD_MAX + n * (SP_DROP_HEADER_BYTES + SP_PCAPNG_PACKET_EXTRA), used;
	uint8_t *file = malloc(room);

	if (file != NULL) {
		used = sp_packet_file_head(dataplane, SP_DROP_HEADER_BYTES, NULL, file, room);
		for (size_t i = n; i-- > 0;)
			used += put_drop(dataplane, &drops[i].record, file + used, room - used);
		sp_reply_body(&call->reply, 200, SP_PCAPNG_TYPE, (char *)file, used);
	} else {
		sp_reply_body(&call->reply, 500, NULL, NULL, 0);
	}
}

void sp_res_drops(struct sp_call *call)
{
	const char *accept = sp_call_header(call, MHD_HTTP_HEADER_ACCEPT);
	struct filter filter;
	struct drop *drops;
	size_t n;

	if (!filter_read(call, &filter))
		return;
	drops = collect(call->mgmt->dataplane, &filter, &n);
	if (drops == NULL) {
		sp_reply_body(&call->reply, 500, NULL, NULL, 0);
		return;
	}
	sp_published_get(call->mgmt->dataplane);
	if (accept != NULL && strstr(accept, SP_PCAPNG_TYPE) != NULL)
		reply_pcapng(call, drops, n);
	else
		reply_json(call, drops, n);
	sp_published_put();
	free(drops);
}
