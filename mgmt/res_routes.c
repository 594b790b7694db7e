/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /v1/routes, /v1/neighbours: what Linux has and the workers go by, route mode only. The kernel thread's tables are copied in parts; a
 * listing stops at its limit, or when its time is up, with a cursor that says where to go on. Rows come in no order.
 */
#include <inttypes.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mgmt/kernel/kernel.h"
#include "mgmt/problem.h"
#include "mgmt/res.h"
#include "mgmt/state.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     1000
#define ANSWER_MS     700

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- parameters -------------------------------------------------------------------------------------------------------------------------
 */

/* False with a problem. */
static bool has_kernel(struct sp_call *call)
{
	if (call->mgmt->kernel != NULL)
		return true;
	sp_problem(&call->reply, 404, "not-routing", "the firewall runs in wire mode: it has no routes and no neighbours");
	return false;
}

static bool filter_family(struct sp_call *call, struct sp_kernel_filter *filter)
{
	const char *text = sp_call_param(call, "family");

	if (text == NULL)
		return true;
	if (strcmp(text, "4") != 0 && strcmp(text, "6") != 0) {
		sp_problem(&call->reply, 400, "bad-parameter", "family takes 4 or 6");
		return false;
	}
	filter->family = text[0] == '4' ? SP_FAMILY_IPV4 : SP_FAMILY_IPV6;
	return true;
}

/* `prefix`: a prefix; or, with `single`, one address. */
static bool filter_range(struct sp_call *call, const char *name, bool single, bool *has, struct sp_addr_range *range)
{
	const char *text = sp_call_param(call, name), *why = single ? "no address" : "no prefix";

	*has = text != NULL;
	if (text == NULL)
		return true;
	if (sp_addr_range_parse(text, strlen(text), range, &why) == 0 && sp_addr_range_prefix(range) >= 0 &&
		(!single || sp_addr_compare(&range->lo, &range->hi) == 0))
		return true;
	sp_problem(&call->reply, 400, "bad-parameter", single ? "%s takes an address: %s" : "%s takes a prefix, as in 192.0.2.0/24: %s",
		name, why);
	return false;
}

static bool filter_link(struct sp_call *call, struct sp_kernel_filter *filter)
{
	const struct sp_routing *routing = call->mgmt->dataplane->routing;
	const char *text = sp_call_param(call, "link");

	filter->link = SP_NO_LINK;
	if (text == NULL)
		return true;
	for (unsigned int i = 0; i < routing->n_links; i++)
		if (strcmp(routing->links[i].name, text) == 0) {
			filter->link = (uint16_t)i;
			return true;
		}
	sp_problem(&call->reply, 400, "bad-parameter", "link takes the name of a port or VLAN of the configuration");
	return false;
}

struct page {
	uint64_t limit, cursor;
	int64_t end_ms;
	json_t *rows;
};

/* The cursor in hexadecimal. False with a problem. */
static bool page_begin(struct sp_call *call, struct page *page)
{
	const char *text = sp_call_param(call, "cursor");
	char rest;

	*page = (struct page){.limit = LIMIT_DEFAULT, .end_ms = now_ms() + ANSWER_MS};
	if (!sp_call_number(call, "limit", 1, LIMIT_MAX, &page->limit))
		return false;
	if (text != NULL && (strlen(text) > 16 || strspn(text, "0123456789abcdef") != strlen(text) ||
				    sscanf(text, "%16" SCNx64 "%c", &page->cursor, &rest) != 1)) {
		sp_problem(&call->reply, 400, "bad-parameter", "cursor takes the `next` of an earlier answer");
		return false;
	}
	page->rows = json_array();
	return true;
}

static bool page_goes_on(const struct page *page)
{
	return page->cursor != UINT64_MAX && json_array_size(page->rows) < page->limit && now_ms() < page->end_ms;
}

static void page_end(struct sp_call *call, struct page *page, const char *name)
{
	json_t *json = json_object();
	char next[20];

	snprintf(next, sizeof(next), "%" PRIx64, page->cursor);
	json_object_set_new(json, name, page->rows);
	json_object_set_new(json, "next", page->cursor != UINT64_MAX ? json_string(next) : json_null());
	sp_reply_json(&call->reply, 200, SP_TYPE_JSON, json);
}

/* --- rows -------------------------------------------------------------------------------------------------------------------------------
 */

static json_t *address_json(uint8_t family, const uint8_t address[16])
{
	struct sp_addr it = {.family = family};
	char text[48];

	memcpy(it.b, address, sizeof(it.b));
	return json_string(sp_addr_format(&it, text, sizeof(text)));
}

static json_t *prefix_json(const struct sp_kroute_row *row)
{
	struct sp_addr it = {.family = row->family};
	char text[48], prefix[56];

	memcpy(it.b, row->address, sizeof(it.b));
	snprintf(prefix, sizeof(prefix), "%s/%u", sp_addr_format(&it, text, sizeof(text)), row->bits);
	return json_string(prefix);
}

/* The link's name; null for interfaces that are none of the firewall's. */
static json_t *link_json(const struct sp_routing *routing, uint16_t link)
{
	return link < routing->n_links ? sp_json_text(routing->links[link].name) : json_null();
}

/* The name of a number as `ip route` writes it, the number itself when it has none. */
static json_t *name_json(const char *const *names, size_t n, unsigned int number)
{
	char text[12];

	if (number < n && names[number] != NULL)
		return json_string(names[number]);
	snprintf(text, sizeof(text), "%u", number);
	return json_string(text);
}

static json_t *type_json(uint8_t type)
{
	static const char *const names[] = {[RTN_UNICAST] = "unicast",
		[RTN_LOCAL] = "local",
		[RTN_BROADCAST] = "broadcast",
		[RTN_ANYCAST] = "anycast",
		[RTN_BLACKHOLE] = "blackhole",
		[RTN_UNREACHABLE] = "unreachable",
		[RTN_PROHIBIT] = "prohibit"};

	return name_json(names, RTE_DIM(names), type);
}

static json_t *protocol_json(uint8_t protocol)
{
	static const char *const names[] = {[RTPROT_REDIRECT] = "redirect",
		[RTPROT_KERNEL] = "kernel",
		[RTPROT_BOOT] = "boot",
		[RTPROT_STATIC] = "static",
		[RTPROT_RA] = "ra",
		[RTPROT_ZEBRA] = "zebra",
		[RTPROT_BIRD] = "bird",
		[RTPROT_DHCP] = "dhcp",
		[RTPROT_KEEPALIVED] = "keepalived",
		[RTPROT_BABEL] = "babel",
		[RTPROT_BGP] = "bgp",
		[RTPROT_ISIS] = "isis",
		[RTPROT_OSPF] = "ospf",
		[RTPROT_RIP] = "rip",
		[RTPROT_EIGRP] = "eigrp"};

	return name_json(names, RTE_DIM(names), protocol);
}

static json_t *hops_json(const struct sp_routing *routing, const struct sp_kroute_row *row)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < row->n_hops && i < SP_KROUTE_HOPS; i++) {
		const struct sp_kroute_hop *hop = &row->hops[i];
		json_t *json = json_object();

		json_object_set_new(json, "gateway", hop->family != SP_FAMILY_NONE ? address_json(hop->family, hop->gateway) : json_null());
		json_object_set_new(json, "link", link_json(routing, hop->link));
		json_object_set_new(json, "weight", json_integer(hop->weight));
		json_object_set_new(json, "usable", json_boolean(hop->usable));
		json_array_append_new(array, json);
	}
	return array;
}

static json_t *route_json(const struct sp_routing *routing, const struct sp_kroute_row *row)
{
	json_t *json = json_object();

	json_object_set_new(json, "prefix", prefix_json(row));
	json_object_set_new(json, "type", type_json(row->type));
	json_object_set_new(json, "protocol", protocol_json(row->protocol));
	json_object_set_new(json, "table", json_string(row->local ? "local" : "main"));
	json_object_set_new(json, "metric", json_integer(row->metric));
	json_object_set_new(json, "used", json_boolean(row->used));
	json_object_set_new(json, "nexthop", row->nexthop_object != 0 ? json_integer(row->nexthop_object) : json_null());
	json_object_set_new(json, "n_hops", json_integer(row->n_hops));
	json_object_set_new(json, "hops", hops_json(routing, row));
	return json;
}

static const char *nud_name(uint16_t nud)
{
	switch (nud) {
	case NUD_INCOMPLETE:
		return "incomplete";
	case NUD_REACHABLE:
		return "reachable";
	case NUD_STALE:
		return "stale";
	case NUD_DELAY:
		return "delay";
	case NUD_PROBE:
		return "probe";
	case NUD_FAILED:
		return "failed";
	case NUD_NOARP:
		return "noarp";
	case NUD_PERMANENT:
		return "permanent";
	default:
		return NULL;
	}
}

static json_t *neighbour_json(const struct sp_routing *routing, const struct sp_kneighbour_row *row)
{
	json_t *json = json_object();
	char mac[18];

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", row->mac[0], row->mac[1], row->mac[2], row->mac[3], row->mac[4],
		row->mac[5]);
	json_object_set_new(json, "address", address_json(row->family, row->address));
	json_object_set_new(json, "link", link_json(routing, row->link));
	json_object_set_new(json, "state", json_string(sp_kneighbour_state_names[row->state]));
	json_object_set_new(json, "linux", sp_json_text(nud_name(row->nud)));
	json_object_set_new(json, "mac", row->state == SP_KNEIGHBOUR_RESOLVED ? json_string(mac) : json_null());
	json_object_set_new(json, "gateway", json_boolean(row->gateway));
	json_object_set_new(json, "used_sec", row->used_sec != UINT32_MAX ? json_integer(row->used_sec) : json_null());
	return json;
}

/* --- calls ------------------------------------------------------------------------------------------------------------------------------
 */

void sp_res_routes(struct sp_call *call)
{
	const struct sp_routing *routing = call->mgmt->dataplane->routing;
	struct sp_kernel_filter filter = {.link = SP_NO_LINK};
	struct sp_kroute_row *rows;
	struct page page;

	if (!has_kernel(call) || !filter_family(call, &filter) ||
		!filter_range(call, "prefix", false, &filter.has_within, &filter.within) ||
		!filter_range(call, "address", true, &filter.has_covers, &filter.covers) || !page_begin(call, &page))
		return;
	rows = calloc(page.limit, sizeof(*rows));
	while (rows != NULL && page_goes_on(&page)) {
		size_t n = sp_kernel_routes(call->mgmt->kernel, &filter, &page.cursor, rows, page.limit - json_array_size(page.rows));

		for (size_t i = 0; i < n; i++)
			json_array_append_new(page.rows, route_json(routing, &rows[i]));
	}
	if (rows != NULL)
		page_end(call, &page, "routes");
	else
		json_decref(page.rows);
	free(rows);
}

void sp_res_neighbours(struct sp_call *call)
{
	const struct sp_routing *routing = call->mgmt->dataplane->routing;
	struct sp_kernel_filter filter = {0};
	struct sp_kneighbour_row *rows;
	struct page page;

	if (!has_kernel(call) || !filter_family(call, &filter) || !filter_link(call, &filter) || !page_begin(call, &page))
		return;
	rows = calloc(page.limit, sizeof(*rows));
	while (rows != NULL && page_goes_on(&page)) {
		size_t n = sp_kernel_neighbours(call->mgmt->kernel, &filter, &page.cursor, rows, page.limit - json_array_size(page.rows));

		for (size_t i = 0; i < n; i++)
			json_array_append_new(page.rows, neighbour_json(routing, &rows[i]));
	}
	if (rows != NULL)
		page_end(call, &page, "neighbours");
	else
		json_decref(page.rows);
	free(rows);
}
