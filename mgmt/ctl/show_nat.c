/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"
#include "mgmt/ctl/human.h"
#include "mgmt/ctl/table.h"

static void add_number(struct sp_table *table, json_t *object, const char *name)
{
	char human[SP_HUMAN_SIZE];

	sp_table_add(table, sp_human_count(sp_json_int(object, name), human));
}

/* "live", "dead", "drained", "dead, drained"; without a check "not checked" */
static const char *state_of(json_t *backend)
{
	bool drained = json_is_true(json_object_get(backend, "drained"));

	if (!json_is_true(json_object_get(backend, "live")))
		return drained ? "dead, drained" : "dead";
	if (drained)
		return "drained";
	return json_is_true(json_object_get(backend, "checked")) ? "live" : "not checked";
}

static void add_backend(struct sp_table *table, json_t *backend)
{
	const char *since = sp_json_string(backend, "since");
	char text[SP_HUMAN_SIZE];

	snprintf(text, sizeof(text), "%lld", (long long)sp_json_int(backend, "entry"));
	sp_table_add(table, text);
	sp_table_add(table, sp_json_string(backend, "address"));
	snprintf(text, sizeof(text), "%lld", (long long)sp_json_int(backend, "port"));
	sp_table_add(table, sp_json_int(backend, "port") != 0 ? text : "any");
	sp_table_add(table, state_of(backend));
	sp_table_add(table, since ? sp_human_ago(since, text) : "");
	add_number(table, backend, "asked");
	add_number(table, backend, "failed");
	sp_table_add(table, sp_json_string(backend, "why"));
}

static void print_backends(json_t *json)
{
	static const struct sp_column columns[] = {{.title = "ENTRY", .right = true}, {.title = "BACKEND"},
		{.title = "PORT", .right = true}, {.title = "STATE"}, {.title = "SINCE"}, {.title = "CHECKS", .right = true},
		{.title = "FAILED", .right = true}, {.title = "LAST FAILURE", .flex = true}};
	json_t *array = json_object_get(json, "backends"), *backend;
	struct sp_table table;
	size_t i;

	if (json_array_size(array) == 0) {
		puts("no entry spreads over backends");
		return;
	}
	sp_table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
	json_array_foreach (array, i, backend)
		add_backend(&table, backend);
	sp_table_print(&table, sp_terminal_width(stdout), stdout);
	if (sp_json_int(json, "backends_left_out") != 0)
		printf("and %lld more\n", (long long)sp_json_int(json, "backends_left_out"));
}

/* External addresses, and how many of their ports are in use. */
static void print_pools(json_t *json)
{
	static const struct sp_column columns[] = {{.title = "ENTRY", .right = true}, {.title = "EXTERNAL", .flex = true},
		{.title = "PORTS", .right = true}, {.title = "TCP", .right = true}, {.title = "UDP", .right = true},
		{.title = "ICMP", .right = true}, {.title = "SCTP", .right = true}};
	static const char *const protos[] = {"tcp", "udp", "icmp", "sctp"};
	json_t *array = json_object_get(json, "pools"), *pool;
	char text[SP_HUMAN_SIZE];
	struct sp_table table;
	size_t i;

	if (json_array_size(array) == 0)
		return;
	sp_table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
	json_array_foreach (array, i, pool) {
		snprintf(text, sizeof(text), "%lld", (long long)sp_json_int(pool, "entry"));
		sp_table_add(&table, json_is_integer(json_object_get(pool, "entry")) ? text : "link");
		sp_table_add(&table, sp_json_string(pool, "address"));
		add_number(&table, pool, "ports");
		for (size_t p = 0; p < sizeof(protos) / sizeof(protos[0]); p++)
			add_number(&table, json_object_get(pool, "used"), protos[p]);
	}
	sp_table_print(&table, sp_terminal_width(stdout), stdout);
	if (sp_json_int(json, "pools_left_out") != 0)
		printf("and %lld more\n", (long long)sp_json_int(json, "pools_left_out"));
	if (json_is_false(json_object_get(json, "complete")))
		puts("addresses of links: some workers had no time to answer, and their part is not counted; repeat the command");
	array = json_object_get(json, "counters");
	printf("%lld mappings of %lld addresses; %lld sessions refused for want of a port\n\n", (long long)sp_json_int(array, "mappings"),
		(long long)sp_json_int(array, "hosts"), (long long)sp_json_int(array, "exhausted"));
}

static int list(const struct sp_ctl *ctl)
{
	json_t *json;
	int code = sp_ctl_get(ctl, "/v1/nat", &json);

	if (!json)
		return code;
	print_pools(json);
	print_backends(json);
	json_decref(json);
	return SP_CTL_GOOD;
}

static int drain(const struct sp_ctl *ctl, const char *address)
{
	struct sp_http_request request = {.method = "POST", .target = "/v1/nat/backends", .type = "application/json"};
	json_t *body = json_object(), *json;
	long long changed;
	char *text;
	int code;

	json_object_set_new(body, "address", json_string(address));
	if (ctl->entry)
		json_object_set_new(body, "entry", json_integer(ctl->entry));
	json_object_set_new(body, "drain", json_boolean(!ctl->undo));
	text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	if (!text)
		return sp_ctl_error("out of memory");
	request.body = text;
	request.size = strlen(text);
	code = sp_ctl_call(ctl, &request, NULL, &json);
	free(text);
	if (!json)
		return code;
	changed = sp_json_int(json, "changed");
	if (changed == 0)
		printf(ctl->undo ? "%s was not drained\n" : "%s was drained already\n", address);
	else
		printf("%s %s new flows (%lld %s)\n", address, ctl->undo ? "takes" : "takes no", changed,
			changed == 1 ? "entry" : "entries");
	json_decref(json);
	return SP_CTL_GOOD;
}

int sp_ctl_nat(const struct sp_ctl *ctl)
{
	const char *verb = ctl->n_args > 0 ? ctl->args[0] : "list";
	struct in6_addr address;

	if (strcmp(verb, "list") == 0 && ctl->n_args <= 1 && ctl->entry == 0 && !ctl->undo)
		return list(ctl);
	if (strcmp(verb, "drain") != 0 || ctl->n_args != 2)
		return sp_ctl_error("nat takes: list, or drain ADDRESS [--entry=ID] [--undo]");
	if (inet_pton(AF_INET, ctl->args[1], &address) != 1 && inet_pton(AF_INET6, ctl->args[1], &address) != 1)
		return sp_ctl_error("nat drain takes the address of a backend, not \"%s\"", ctl->args[1]);
	return drain(ctl, ctl->args[1]);
}
