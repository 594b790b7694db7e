/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Routes and neighbours. The socket gives them in no order; here they are sorted by address.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"
#include "mgmt/ctl/human.h"
#include "mgmt/ctl/table.h"

#define LIMIT_DEFAULT 1000
#define PAGE_MAX      1000 /* rows of one call */
#define TARGET_SIZE   512

/* --- fetching ----------------------------------------------------------------------------------------------------------------------------
 */

/* How rows compare: family, address, length of the prefix. What is no address comes last. */
struct order {
	uint8_t bytes[18];
};

static struct order order_of(json_t *row, const char *name)
{
	struct order order = {{0}};
	const char *text = sp_json_string(row, name);
	char address[64];
	char *slash;

	snprintf(address, sizeof(address), "%s", text != NULL ? text : "");
	slash = strchr(address, '/');
	if (slash != NULL) {
		*slash = '\0';
		order.bytes[17] = (uint8_t)atoi(slash + 1);
	}
	if (inet_pton(AF_INET, address, &order.bytes[1]) == 1)
		order.bytes[0] = 4;
	else if (inet_pton(AF_INET6, address, &order.bytes[1]) == 1)
		order.bytes[0] = 6;
	else
		order.bytes[0] = UINT8_MAX;
	return order;
}

static const char *order_name; /* member that the rows are sorted by; for qsort */

static int compare(const void *a, const void *b)
{
	const struct order x = order_of(*(json_t *const *)a, order_name), y = order_of(*(json_t *const *)b, order_name);

	return memcmp(&x, &y, sizeof(x));
}

struct rows {
	json_t **v; /* held */
	size_t n, room;
	bool more;
};

static bool keep(struct rows *rows, json_t *array)
{
	json_t *row;
	size_t i;

	json_array_foreach (array, i, row) {
		if (rows->n == rows->room) {
			size_t room = rows->room != 0 ? rows->room * 2 : 256;
			json_t **v = realloc(rows->v, room * sizeof(json_t *));

			if (v == NULL)
				return false;
			rows->v = v;
			rows->room = room;
		}
		rows->v[rows->n++] = json_incref(row);
	}
	return true;
}

static void release(struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		json_decref(rows->v[i]);
	free(rows->v);
}

/* Page after page until there are `limit` rows; with -j only the first. `filter` is a target with its query. */
static int fetch(const struct sp_ctl *ctl, const char *filter, const char *name, struct rows *rows)
{
	uint32_t limit = ctl->limit ? ctl->limit : LIMIT_DEFAULT;
	char cursor[64] = "";

	do {
		char target[TARGET_SIZE], number[16];
		uint32_t left = limit - (uint32_t)rows->n;
		const char *next;
		json_t *json;
		int code;

		snprintf(target, sizeof(target), "%s", filter);
		snprintf(number, sizeof(number), "%u", left < PAGE_MAX ? left : PAGE_MAX);
		if (!sp_ctl_query(target, sizeof(target), "limit", number) ||
			!sp_ctl_query(target, sizeof(target), "cursor", cursor[0] ? cursor : NULL))
			return sp_ctl_error("the filter is too long");
		code = sp_ctl_get(ctl, target, &json);
		if (json == NULL)
			return code;
		if (!keep(rows, json_object_get(json, name))) {
			json_decref(json);
			return sp_ctl_error("out of memory");
		}
		next = sp_json_string(json, "next");
		/* a cursor that does not move would never end */
		rows->more = next != NULL && strlen(next) < sizeof(cursor) && strcmp(next, cursor) != 0;
		if (rows->more)
			strcpy(cursor, next);
		json_decref(json);
	} while (rows->more && rows->n < limit);
	return SP_CTL_GOOD;
}

static int show(const struct sp_ctl *ctl, const char *filter, const char *name, const char *by, const struct sp_column *columns,
	size_t n_columns, void (*add)(struct sp_table *table, json_t *row))
{
	struct rows rows = {0};
	int code = fetch(ctl, filter, name, &rows);
	struct sp_table table;
	char buf[SP_HUMAN_SIZE];

	if (code == SP_CTL_GOOD && !ctl->json) {
		order_name = by;
		if (rows.n > 0)
			qsort(rows.v, rows.n, sizeof(json_t *), compare);
		sp_table_init(&table, columns, n_columns);
		for (size_t i = 0; i < rows.n; i++)
			add(&table, rows.v[i]);
		sp_table_print(&table, sp_terminal_width(stdout), stdout);
		printf("%s %s%s\n", sp_human_count((int64_t)rows.n, buf), name,
			rows.more ? "; there are more: raise --limit or filter" : "");
	}
	release(&rows);
	return code;
}

/* --- routes ------------------------------------------------------------------------------------------------------------------------------
 */

/* "192.0.2.1 wan, 192.0.2.2 wan x3, (192.0.2.3 lan)": those in parentheses cannot be used. */
static void add_hops(struct sp_table *table, json_t *row)
{
	json_t *hop;
	char buf[512];
	size_t i, n = 0;

	buf[0] = '\0';
	json_array_foreach (json_object_get(row, "hops"), i, hop) {
		const char *gateway = sp_json_string(hop, "gateway"), *link = sp_json_string(hop, "link");
		bool usable = json_is_true(json_object_get(hop, "usable"));
		char weight[16] = "";
		int len;

		if (sp_json_int(hop, "weight") > 1)
			snprintf(weight, sizeof(weight), " x%lld", (long long)sp_json_int(hop, "weight"));
		len = snprintf(buf + n, sizeof(buf) - n, "%s%s%s%s%s%s%s", i > 0 ? ", " : "", usable ? "" : "(",
			gateway != NULL ? gateway : "", gateway != NULL ? " " : "", link != NULL ? link : "elsewhere", weight,
			usable ? "" : ")");
		if (len < 0 || (size_t)len >= sizeof(buf) - n)
			break;
		n += (size_t)len;
	}
	sp_table_add(table, buf);
}

static void add_route(struct sp_table *table, json_t *row)
{
	const char *type = sp_json_string(row, "type");
	char buf[24];

	sp_table_add(table, json_is_true(json_object_get(row, "used")) ? "*" : "");
	sp_table_add(table, sp_json_string(row, "prefix"));
	sp_table_add(table, type);
	add_hops(table, row);
	sp_table_add(table, sp_json_string(row, "protocol"));
	snprintf(buf, sizeof(buf), "%lld", (long long)sp_json_int(row, "metric"));
	sp_table_add(table, buf);
}

int sp_ctl_routes(const struct sp_ctl *ctl)
{
	static const struct sp_column columns[] = {{"", false, false}, {"PREFIX", false, false}, {"TYPE", false, false},
		{"NEXT HOPS", false, true}, {"PROTOCOL", false, false}, {"METRIC", true, false}};
	const char *where = ctl->n_args == 1 ? ctl->args[0] : NULL;
	char target[TARGET_SIZE] = "/v1/routes";

	if (!sp_ctl_query(target, sizeof(target), "family", ctl->family) ||
		!sp_ctl_query(target, sizeof(target), where != NULL && strchr(where, '/') != NULL ? "prefix" : "address", where))
		return sp_ctl_error("the filter is too long");
	return show(ctl, target, "routes", "prefix", columns, sizeof(columns) / sizeof(columns[0]), add_route);
}

/* --- neighbours --------------------------------------------------------------------------------------------------------------------------
 */

static void add_neighbour(struct sp_table *table, json_t *row)
{
	json_t *used = json_object_get(row, "used_sec");
	char buf[SP_HUMAN_SIZE];

	sp_table_add(table, sp_json_string(row, "address"));
	sp_table_add(table, sp_json_string(row, "link"));
	sp_table_add(table, sp_json_string(row, "mac"));
	sp_table_add(table, sp_json_string(row, "state"));
	sp_table_add(table, sp_json_string(row, "linux"));
	sp_table_add(table, json_is_true(json_object_get(row, "gateway")) ? "gateway" : "");
	sp_table_add(table, json_is_integer(used) ? sp_human_duration((double)json_integer_value(used), buf) : "never");
}

int sp_ctl_neighbours(const struct sp_ctl *ctl)
{
	static const struct sp_column columns[] = {{"ADDRESS", false, false}, {"LINK", false, false}, {"MAC", false, false},
		{"STATE", false, false}, {"LINUX", false, false}, {"ROLE", false, false}, {"LAST USED", true, false}};
	char target[TARGET_SIZE] = "/v1/neighbours";

	if (!sp_ctl_query(target, sizeof(target), "family", ctl->family) ||
		!sp_ctl_query(target, sizeof(target), "link", ctl->n_args == 1 ? ctl->args[0] : NULL))
		return sp_ctl_error("the filter is too long");
	return show(ctl, target, "neighbours", "address", columns, sizeof(columns) / sizeof(columns[0]), add_neighbour);
}
