/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"
#include "mgmt/ctl/human.h"
#include "mgmt/ctl/table.h"

#define LIMIT_DEFAULT 1000
#define PAGE_MAX      1000 /* sessions of one call */
#define TARGET_SIZE   512

static bool add_filter(const struct sp_ctl *ctl, char *target)
{
	return sp_ctl_query(target, TARGET_SIZE, "ip", ctl->ip) && sp_ctl_query(target, TARGET_SIZE, "port", ctl->port) &&
	       sp_ctl_query(target, TARGET_SIZE, "proto", ctl->proto) && sp_ctl_query(target, TARGET_SIZE, "rule", ctl->rule);
}

static void add_endpoint(struct sp_table *table, json_t *object, const char *addr, const char *port)
{
	const char *text = sp_json_string(object, addr);
	int64_t number = sp_json_int(object, port);
	char buf[96];

	if (!text)
		text = "-";
	if (number == 0)
		snprintf(buf, sizeof(buf), "%s", text);
	else
		snprintf(buf, sizeof(buf), strchr(text, ':') ? "[%s]:%lld" : "%s:%lld", text, (long long)number);
	sp_table_add(table, buf);
}

static void add_pair(struct sp_table *table, json_t *session, const char *name, bool bytes)
{
	json_t *pair = json_object_get(session, name);
	double original = json_number_value(json_array_get(pair, 0)), reply = json_number_value(json_array_get(pair, 1));
	char a[SP_HUMAN_SIZE], b[SP_HUMAN_SIZE], buf[2 * SP_HUMAN_SIZE + 3];

	if (bytes)
		snprintf(buf, sizeof(buf), "%s / %s", sp_human_bytes(original, a), sp_human_bytes(reply, b));
	else
		snprintf(buf, sizeof(buf), "%s / %s", sp_human_count((int64_t)original, a), sp_human_count((int64_t)reply, b));
	sp_table_add(table, buf);
}

static void add_session(struct sp_table *table, json_t *session)
{
	char buf[SP_HUMAN_SIZE];
	double left;

	sp_table_add(table, sp_json_string(session, "proto"));
	add_endpoint(table, session, "src", "sport");
	add_endpoint(table, session, "dst", "dport");
	sp_table_add(table, sp_json_string(session, "state"));
	if (json_is_integer(json_object_get(session, "rule")))
		snprintf(buf, sizeof(buf), "%lld", (long long)sp_json_int(session, "rule"));
	else
		snprintf(buf, sizeof(buf), "default");
	sp_table_add(table, buf);
	add_pair(table, session, "packets", false);
	add_pair(table, session, "bytes", true);
	sp_table_add(table, sp_human_duration(sp_json_number(session, "age_sec"), buf));
	left = sp_json_number(session, "timeout_sec") - sp_json_number(session, "idle_sec");
	sp_table_add(table, sp_human_duration(left, buf));
}

static int kill_sessions(const struct sp_ctl *ctl)
{
	char target[TARGET_SIZE] = "/v1/sessions", buf[SP_HUMAN_SIZE];
	struct sp_http_request request = {.method = "DELETE", .target = target};
	json_t *json;
	int code;

	/* The server checks this, too; here it can be said in the words of the options. */
	if (ctl->all == (ctl->ip || ctl->port || ctl->proto || ctl->rule))
		return sp_ctl_error("--kill takes a filter (--ip, --port, --proto, --rule), or --all for every session");
	if (!add_filter(ctl, target) || !sp_ctl_query(target, sizeof(target), "all", ctl->all ? "1" : NULL))
		return sp_ctl_error("the filter is too long");
	code = sp_ctl_call(ctl, &request, NULL, &json);
	if (!json)
		return code;
	printf("%s sessions killed%s\n", sp_human_count(sp_json_int(json, "killed"), buf),
		json_is_false(json_object_get(json, "complete")) ? "; the walk was cut short: repeat the command" : "");
	json_decref(json);
	return code;
}

/* Fetches page after page until there are `limit` sessions; with -j only the first. */
static int list_sessions(const struct sp_ctl *ctl, struct sp_table *table, bool *more)
{
	uint32_t left = ctl->limit ? ctl->limit : LIMIT_DEFAULT;
	char cursor[64] = "";

	do {
		char target[TARGET_SIZE] = "/v1/sessions", number[16];
		json_t *json, *session;
		const char *next;
		size_t i;
		int code;

		snprintf(number, sizeof(number), "%u", ctl->json || left < PAGE_MAX ? left : PAGE_MAX);
		if (!add_filter(ctl, target) || !sp_ctl_query(target, sizeof(target), "limit", number) ||
			!sp_ctl_query(target, sizeof(target), "cursor", cursor[0] ? cursor : NULL))
			return sp_ctl_error("the filter is too long");
		code = sp_ctl_get(ctl, target, &json);
		if (!json)
			return code;
		json_array_foreach (json_object_get(json, "sessions"), i, session)
			add_session(table, session);
		left -= i < left ? (uint32_t)i : left;
		next = sp_json_string(json, "next");
		/* A cursor that does not move would never end. */
		*more = next && strlen(next) < sizeof(cursor) && strcmp(next, cursor) != 0;
		if (*more)
			strcpy(cursor, next);
		json_decref(json);
	} while (*more && left > 0);
	return SP_CTL_GOOD;
}

int sp_ctl_sessions(const struct sp_ctl *ctl)
{
	static const struct sp_column columns[] = {{"PROTO", false, false}, {"SOURCE", false, true}, {"DESTINATION", false, true},
		{"STATE", false, false}, {"RULE", true, false}, {"PACKETS", true, false}, {"BYTES", true, false}, {"AGE", true, false},
		{"EXPIRES IN", true, false}};
	struct sp_table table;
	bool more = false;
	int code;

	if (ctl->kill)
		return kill_sessions(ctl);
	if (ctl->all)
		return sp_ctl_error("--all goes with --kill");
	sp_table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
	code = list_sessions(ctl, &table, &more);
	if (!ctl->json && code == SP_CTL_GOOD) {
		size_t n = table.n_cells / table.n_columns;
		char buf[SP_HUMAN_SIZE];

		sp_table_print(&table, sp_terminal_width(stdout), stdout);
		printf("%s sessions%s\n", sp_human_count((int64_t)n, buf), more ? "; there are more: raise --limit or filter" : "");
	} else {
		sp_table_clear(&table);
	}
	return code;
}
