/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"
#include "mgmt/ctl/human.h"
#include "mgmt/ctl/table.h"

/* A group of counters as "name  value" lines; members of other types are left out. */
static void print_counters(const char *title, json_t *object, bool bytes)
{
	const char *name;
	json_t *value;

	if (!json_is_object(object) || json_object_size(object) == 0)
		return;
	printf("%s\n", title);
	json_object_foreach (object, name, value) {
		char buf[SP_HUMAN_SIZE];
		bool size = bytes || strstr(name, "bytes") != NULL;

		if (!json_is_number(value))
			continue;
		fputs("  ", stdout);
		sp_print_text(name, stdout);
		printf("%*s%18s\n", (int)(strlen(name) < 22 ? 22 - strlen(name) : 1), "",
			size ? sp_human_bytes(json_number_value(value), buf) : sp_human_count(json_integer_value(value), buf));
	}
	putchar('\n');
}

struct drop {
	const char *reason;
	int64_t count;
};

static int compare_drops(const void *a, const void *b)
{
	const struct drop *x = a, *y = b;

	return (x->count < y->count) - (x->count > y->count);
}

/* Reasons that occurred, most frequent first. */
static void print_drops(json_t *object)
{
	struct drop *drops = calloc(json_object_size(object) + 1, sizeof(*drops));
	size_t n = 0;
	int64_t total = 0;
	const char *name;
	json_t *value;

	if (!drops)
		return;
	json_object_foreach (object, name, value) {
		if (json_integer_value(value) == 0)
			continue;
		drops[n++] = (struct drop){name, json_integer_value(value)};
		total += json_integer_value(value);
	}
	qsort(drops, n, sizeof(*drops), compare_drops);
	printf("drops%s\n", n == 0 ? ": none" : "");
	for (size_t i = 0; i < n; i++) {
		char buf[SP_HUMAN_SIZE];

		fputs("  ", stdout);
		sp_print_text(drops[i].reason, stdout);
		printf("%*s%18s  %5.1f %%\n", (int)(strlen(drops[i].reason) < 22 ? 22 - strlen(drops[i].reason) : 1), "",
			sp_human_count(drops[i].count, buf), 100.0 * (double)drops[i].count / (double)total);
	}
	putchar('\n');
	free(drops);
}

int sp_ctl_stats(const struct sp_ctl *ctl)
{
	json_t *json;
	int code = sp_ctl_get(ctl, "/v1/stats", &json);

	if (!json)
		return code;
	printf("generation %lld\n\n", (long long)sp_json_int(json, "generation"));
	print_counters("packets", json_object_get(json, "packets"), false);
	print_counters("bytes", json_object_get(json, "bytes"), true);
	print_drops(json_object_get(json, "drops"));
	print_counters("rejects", json_object_get(json, "rejects"), false);
	print_counters("ICMP errors", json_object_get(json, "icmp_errors"), false);
	print_counters("challenges", json_object_get(json, "challenges"), false);
	print_counters("sessions", json_object_get(json, "sessions"), false);
	print_counters("SYN proxy", json_object_get(json_object_get(json, "defences"), "syn_proxy"), false);
	print_counters("pressure", json_object_get(json_object_get(json, "defences"), "pressure"), false);
	print_counters("inspection", json_object_get(json, "inspection"), false);
	print_counters("events", json_object_get(json, "events"), false);
	json_decref(json);
	return code;
}

static void add_count(struct sp_table *table, json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);
	char buf[SP_HUMAN_SIZE];

	sp_table_add(table, json_is_number(value) ? sp_human_count(sp_json_int(object, name), buf) : "-");
}

static void add_bytes(struct sp_table *table, json_t *object, const char *name)
{
	char buf[SP_HUMAN_SIZE];

	sp_table_add(table, sp_human_bytes(sp_json_number(object, name), buf));
}

static void add_text(struct sp_table *table, json_t *object, const char *name)
{
	const char *text = sp_json_string(object, name);

	sp_table_add(table, text ? text : "-");
}

int sp_ctl_ports(const struct sp_ctl *ctl)
{
	static const struct sp_column columns[] = {{"PORT", false, false}, {"STATE", false, false}, {"LINK", false, false},
		{"ZONE", false, true}, {"PEER", false, false}, {"RX", true, false}, {"TX", true, false}, {"RX BYTES", true, false},
		{"TX BYTES", true, false}, {"DROPS", true, false}, {"MISSED", true, false}, {"NO MBUF", true, false},
		{"TX ERR", true, false}, {"MTU", true, false}, {"MAC", false, false}, {"DRIVER", false, true}, {"DEVICE", false, true}};
	struct sp_table table;
	json_t *json, *port;
	size_t i;
	int code = sp_ctl_get(ctl, "/v1/ports", &json);

	if (!json)
		return code;
	sp_table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
	json_array_foreach (json_object_get(json, "ports"), i, port) {
		add_text(&table, port, "name");
		add_text(&table, port, "state");
		add_text(&table, port, "link");
		add_text(&table, port, "zone");
		add_text(&table, port, "peer");
		add_count(&table, port, "rx");
		add_count(&table, port, "tx");
		add_bytes(&table, port, "rx_bytes");
		add_bytes(&table, port, "tx_bytes");
		add_count(&table, port, "drops");
		add_count(&table, port, "imissed");
		add_count(&table, port, "rx_nombuf");
		add_count(&table, port, "oerrors");
		add_count(&table, port, "mtu");
		add_text(&table, port, "mac");
		add_text(&table, port, "driver");
		add_text(&table, port, "device");
	}
	sp_table_print(&table, sp_terminal_width(stdout), stdout);
	json_decref(json);
	return code;
}

int sp_ctl_workers(const struct sp_ctl *ctl)
{
	static const struct sp_column columns[] = {{"WORKER", true, false}, {"CORE", true, false}, {"BUSY", true, false},
		{"CYCLES/PKT", true, false}, {"RX", true, false}, {"TX", true, false}, {"HANDED OUT", true, false},
		{"HANDED IN", true, false}, {"SESSIONS", true, false}};
	struct sp_table table;
	json_t *json, *worker;
	size_t i;
	int code = sp_ctl_get(ctl, "/v1/workers", &json);

	if (!json)
		return code;
	sp_table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
	json_array_foreach (json_object_get(json, "workers"), i, worker) {
		char buf[SP_HUMAN_SIZE];

		add_count(&table, worker, "index");
		add_count(&table, worker, "core");
		snprintf(buf, sizeof(buf), "%.1f %%", 100 * sp_json_number(worker, "busy_ratio"));
		sp_table_add(&table, buf);
		snprintf(buf, sizeof(buf), "%.0f", sp_json_number(worker, "cycles_per_packet"));
		sp_table_add(&table, buf);
		add_count(&table, worker, "rx");
		add_count(&table, worker, "tx");
		add_count(&table, worker, "handed_out");
		add_count(&table, worker, "handed_in");
		add_count(&table, worker, "sessions");
	}
	sp_table_print(&table, sp_terminal_width(stdout), stdout);
	json_decref(json);
	return code;
}
