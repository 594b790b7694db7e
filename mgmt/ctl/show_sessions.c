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
	       sp_ctl_query(target, TARGET_SIZE, "proto", ctl->proto) && sp_ctl_query(target, TARGET_SIZE, "rule", ctl->rule) &&
	       sp_ctl_query(target, TARGET_SIZE, "state", ctl->state) && sp_ctl_query(target, TARGET_SIZE, "zone", ctl->zone);
}

static bool has_filter(const struct sp_ctl *ctl)
{
	return ctl->ip || ctl->port || ctl->proto || ctl->rule || ctl->state || ctl->zone;
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

/* "10 lan to web", "default" */
static void add_rule(struct sp_table *table, json_t *session)
{
	const char *name = sp_json_string(session, "rule_name");
	char buf[128];

	if (json_is_integer(json_object_get(session, "rule")))
		snprintf(buf, sizeof(buf), "%lld%s%s", (long long)sp_json_int(session, "rule"), name ? " " : "", name ? name : "");
	else
		snprintf(buf, sizeof(buf), "default");
	sp_table_add(table, buf);
}

/* One letter a flag that this client knows. */
static void add_flags(struct sp_table *table, json_t *session)
{
	static const struct {
		const char *name;
		char letter;
	} letters[] = {{"inspect", 'i'}, {"log", 'l'}, {"per_source", 's'}, {"limited", 'p'}, {"mss", 'm'}, {"fin", 'f'},
		{"fin_reply", 'F'}, {"proxied", 'y'}};
	char buf[sizeof(letters) / sizeof(letters[0]) + 1];
	size_t n = 0, i;
	json_t *flag;

	for (size_t k = 0; k < sizeof(letters) / sizeof(letters[0]); k++)
		json_array_foreach (json_object_get(session, "flags"), i, flag)
			if (json_is_string(flag) && strcmp(json_string_value(flag), letters[k].name) == 0) {
				buf[n++] = letters[k].letter;
				break;
			}
	buf[n] = '\0';
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
	add_rule(table, session);
	add_pair(table, session, "packets", false);
	add_pair(table, session, "bytes", true);
	sp_table_add(table, sp_human_duration(sp_json_number(session, "age_sec"), buf));
	sp_table_add(table, sp_human_duration(sp_json_number(session, "idle_sec"), buf));
	left = sp_json_number(session, "timeout_sec") - sp_json_number(session, "idle_sec");
	sp_table_add(table, sp_human_duration(left, buf));
	snprintf(buf, sizeof(buf), "%lld", (long long)sp_json_int(session, "generation"));
	sp_table_add(table, buf);
	add_flags(table, session);
}

void sp_ctl_print_sessions(json_t *change)
{
	json_t *sessions = json_object_get(change, "sessions");
	char judged[SP_HUMAN_SIZE], killed[SP_HUMAN_SIZE];

	if (json_is_integer(json_object_get(sessions, "killed")))
		printf("; of %s sessions %s were ended%s", sp_human_count(sp_json_int(sessions, "judged"), judged),
			sp_human_count(sp_json_int(sessions, "killed"), killed),
			json_is_false(json_object_get(sessions, "complete")) ? ", others will be when their next packet comes" : "");
	putchar('\n');
}

static int kill_sessions(const struct sp_ctl *ctl)
{
	char target[TARGET_SIZE] = "/v1/sessions", buf[SP_HUMAN_SIZE];
	struct sp_http_request request = {.method = "DELETE", .target = target};
	json_t *json;
	int code;

	/* The server checks this, too; here it can be said in the words of the options. */
	if (ctl->all == has_filter(ctl))
		return sp_ctl_error(
			"sessions kill takes a filter (--ip, --port, --proto, --rule, --state, --zone), or --all for every session");
	if (ctl->limit)
		return sp_ctl_error("--limit is for listing");
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
		{"STATE", false, false}, {"RULE", false, true}, {"PACKETS", true, false}, {"BYTES", true, false}, {"AGE", true, false},
		{"IDLE", true, false}, {"EXPIRES IN", true, false}, {"GEN", true, false}, {"FLAGS", false, false}};
	struct sp_table table;
	bool more = false;
	int code;

	if (ctl->n_args == 1 && strcmp(ctl->args[0], "kill") != 0)
		return sp_ctl_error("sessions: \"%s\" is unknown: `sessions` lists, `sessions kill` ends them", ctl->args[0]);
	if (ctl->n_args == 1)
		return kill_sessions(ctl);
	if (ctl->all)
		return sp_ctl_error("--all goes with sessions kill");
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
