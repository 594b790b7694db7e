/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * top: two snapshots of the counters, a second apart, and what happened between them. A page is written to memory first and shown at once,
 * so that it does not flicker; a counter that went back (the firewall was restarted) shows as a rate of 0.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mgmt/ctl/ctl.h"
#include "mgmt/ctl/human.h"
#include "mgmt/ctl/screen.h"
#include "mgmt/ctl/table.h"

#define INTERVAL_MS     1000
#define TIMEOUT_SEC     10
#define TOP_ROWS        10
#define RULES_BYTES_MAX ((size_t)4 * 1024 * 1024) /* a longer list of rules is not fetched every second */

struct snapshot {
	struct timespec when;
	json_t *stats, *rules; /* rules: NULL when left out */
};

static void snapshot_free(struct snapshot *s)
{
	json_decref(s->stats);
	json_decref(s->rules);
	*s = (struct snapshot){0};
}

static json_t *fetch(const struct sp_ctl *ctl, const char *target, size_t *size, char *why, size_t why_size)
{
	const struct sp_http_request request = {.method = "GET", .target = target, .timeout_sec = TIMEOUT_SEC};
	struct sp_http_answer answer;
	json_t *json;

	if (sp_http_call(ctl->socket, &request, &answer, why, why_size) != 0)
		return NULL;
	json = answer.status == 200 ? json_loadb(answer.body, answer.size, 0, NULL) : NULL;
	if (!json)
		snprintf(why, why_size, "%s: answers %d", target, answer.status);
	if (size)
		*size = answer.size;
	sp_http_clear(&answer);
	return json;
}

static bool take(const struct sp_ctl *ctl, struct snapshot *out, bool *with_rules, char *why, size_t why_size)
{
	char ignored[256];
	size_t size = 0;

	*out = (struct snapshot){0};
	clock_gettime(CLOCK_MONOTONIC, &out->when);
	out->stats = fetch(ctl, "/v1/stats", NULL, why, why_size);
	if (out->stats && *with_rules) {
		out->rules = fetch(ctl, "/v1/rules", &size, ignored, sizeof(ignored));
		*with_rules = size <= RULES_BYTES_MAX;
	}
	return out->stats != NULL;
}

static double seconds_between(const struct timespec *a, const struct timespec *b)
{
	double sec = (double)(b->tv_sec - a->tv_sec) + (double)(b->tv_nsec - a->tv_nsec) / 1e9;

	return sec > 0.001 ? sec : 0.001;
}

static double rate_of(json_t *before, json_t *now, const char *name, double sec)
{
	double delta = sp_json_number(now, name) - sp_json_number(before, name);

	return delta > 0 ? delta / sec : 0;
}

/* The member of an array whose `name` (a string) or `id` (an integer) is that of `like`. */
static json_t *same_in(json_t *array, json_t *like, const char *key)
{
	json_t *entry;
	size_t i;

	json_array_foreach (array, i, entry)
		if (json_equal(json_object_get(entry, key), json_object_get(like, key)))
			return entry;
	return NULL;
}

static void add_rate(struct sp_table *table, double rate, const char *unit)
{
	char buf[SP_HUMAN_SIZE];

	sp_table_add(table, sp_human_rate(rate, unit, buf));
}

static void print_summary(const struct snapshot *a, const struct snapshot *b, double sec, FILE *out)
{
	json_t *packets[2] = {json_object_get(a->stats, "packets"), json_object_get(b->stats, "packets")};
	json_t *bytes[2] = {json_object_get(a->stats, "bytes"), json_object_get(b->stats, "bytes")};
	json_t *sessions[2] = {json_object_get(a->stats, "sessions"), json_object_get(b->stats, "sessions")};
	char rx[SP_HUMAN_SIZE], tx[SP_HUMAN_SIZE], rx_bits[SP_HUMAN_SIZE], tx_bits[SP_HUMAN_SIZE], active[SP_HUMAN_SIZE],
		opened[SP_HUMAN_SIZE];
	char clock[16] = "";
	time_t now = time(NULL);
	struct tm tm;

	if (localtime_r(&now, &tm))
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	fprintf(out, "sallyport %s  generation %lld\n", clock, (long long)sp_json_int(b->stats, "generation"));
	fprintf(out, "rx %s %s  tx %s %s  sessions %s, %s new/s\n\n", sp_human_rate(rate_of(packets[0], packets[1], "rx", sec), "pps", rx),
		sp_human_rate(8 * rate_of(bytes[0], bytes[1], "rx", sec), "bit/s", rx_bits),
		sp_human_rate(rate_of(packets[0], packets[1], "tx", sec), "pps", tx),
		sp_human_rate(8 * rate_of(bytes[0], bytes[1], "tx", sec), "bit/s", tx_bits),
		sp_human_count(sp_json_int(sessions[1], "active"), active),
		sp_human_rate(rate_of(sessions[0], sessions[1], "created", sec), "", opened));
}

static void print_ports(const struct snapshot *a, const struct snapshot *b, double sec, unsigned int width, FILE *out)
{
	static const struct sp_column columns[] = {{"PORT", false, true}, {"LINK", false, false}, {"RX PPS", true, false},
		{"RX BIT/S", true, false}, {"TX PPS", true, false}, {"TX BIT/S", true, false}, {"DROPS/S", true, false},
		{"MISSED/S", true, false}};
	json_t *port, *ports = json_object_get(a->stats, "ports");
	struct sp_table table;
	size_t i;

	sp_table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
	json_array_foreach (json_object_get(b->stats, "ports"), i, port) {
		json_t *was = same_in(ports, port, "name");

		sp_table_add(&table, sp_json_string(port, "name"));
		sp_table_add(&table, sp_json_string(port, "link"));
		add_rate(&table, rate_of(was, port, "rx", sec), "");
		add_rate(&table, 8 * rate_of(was, port, "rx_bytes", sec), "");
		add_rate(&table, rate_of(was, port, "tx", sec), "");
		add_rate(&table, 8 * rate_of(was, port, "tx_bytes", sec), "");
		add_rate(&table, rate_of(was, port, "drops", sec), "");
		add_rate(&table, rate_of(was, port, "imissed", sec), "");
	}
	sp_table_print(&table, width, out);
	fputc('\n', out);
}

static void print_workers(const struct snapshot *a, const struct snapshot *b, double sec, unsigned int width, FILE *out)
{
	static const struct sp_column columns[] = {{"WORKER", true, false}, {"CORE", true, false}, {"BUSY", true, false},
		{"RX PPS", true, false}, {"CYCLES/PKT", true, false}, {"SESSIONS", true, false}};
	json_t *worker, *workers = json_object_get(a->stats, "workers");
	struct sp_table table;
	size_t i;

	sp_table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
	json_array_foreach (json_object_get(b->stats, "workers"), i, worker) {
		json_t *was = same_in(workers, worker, "index");
		double busy = rate_of(was, worker, "busy_cycles", sec), idle = rate_of(was, worker, "idle_cycles", sec);
		double packets = rate_of(was, worker, "rx", sec) + rate_of(was, worker, "handed_in", sec);
		char buf[SP_HUMAN_SIZE];

		sp_table_add(&table, sp_human_count(sp_json_int(worker, "index"), buf));
		sp_table_add(&table, sp_human_count(sp_json_int(worker, "core"), buf));
		snprintf(buf, sizeof(buf), "%.1f %%", busy + idle > 0 ? 100 * busy / (busy + idle) : 0);
		sp_table_add(&table, buf);
		add_rate(&table, rate_of(was, worker, "rx", sec), "");
		snprintf(buf, sizeof(buf), "%.0f", packets > 0 ? busy / packets : 0);
		sp_table_add(&table, buf);
		sp_table_add(&table, sp_human_count(sp_json_int(worker, "sessions"), buf));
	}
	sp_table_print(&table, width, out);
	fputc('\n', out);
}

struct ranked {
	const char *name;
	json_t *json;
	double rate, total;
};

static int compare_ranked(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->rate != y->rate)
		return x->rate < y->rate ? 1 : -1;
	return (x->total < y->total) - (x->total > y->total);
}

static void print_drops(const struct snapshot *a, const struct snapshot *b, double sec, unsigned int width, FILE *out)
{
	static const struct sp_column columns[] = {{"DROPS BY REASON", false, true}, {"PER SECOND", true, false}, {"TOTAL", true, false}};
	json_t *before = json_object_get(a->stats, "drops"), *now = json_object_get(b->stats, "drops"), *value;
	struct ranked *ranked = calloc(json_object_size(now) + 1, sizeof(*ranked));
	struct sp_table table;
	const char *name;
	size_t n = 0;

	if (!ranked)
		return;
	json_object_foreach (now, name, value)
		if (json_number_value(value) > 0)
			ranked[n++] = (struct ranked){name, NULL, rate_of(before, now, name, sec), json_number_value(value)};
	qsort(ranked, n, sizeof(*ranked), compare_ranked);
	sp_table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < n && i < TOP_ROWS; i++) {
		char buf[SP_HUMAN_SIZE];

		sp_table_add(&table, ranked[i].name);
		add_rate(&table, ranked[i].rate, "");
		sp_table_add(&table, sp_human_count((int64_t)ranked[i].total, buf));
	}
	sp_table_print(&table, width, out);
	fputc('\n', out);
	free(ranked);
}

/* Rules of both lists are in file order, and mostly at the same place: the search starts there. */
static json_t *rule_before(json_t *rules, json_t *rule, size_t i)
{
	json_t *candidate = json_array_get(rules, i);

	if (candidate && sp_json_int(candidate, "id") == sp_json_int(rule, "id"))
		return candidate;
	return json_array_size(rules) <= 4096 ? same_in(rules, rule, "id") : NULL;
}

static void print_rules(const struct snapshot *a, const struct snapshot *b, double sec, unsigned int width, FILE *out)
{
	static const struct sp_column columns[] = {{"PPS", true, false}, {"BIT/S", true, false}, {"HITS/S", true, false},
		{"SESSIONS", true, false}, {"TOP RULES", false, true}};
	json_t *before = json_object_get(a->rules, "rules"), *now = json_object_get(b->rules, "rules"), *rule;
	struct ranked *ranked = calloc(json_array_size(now) + 1, sizeof(*ranked));
	struct sp_table table;
	size_t i, n = 0;

	if (!ranked)
		return;
	json_array_foreach (now, i, rule)
		if (sp_json_number(rule, "packets") > 0)
			ranked[n++] = (struct ranked){sp_json_string(rule, "text"), rule,
				rate_of(rule_before(before, rule, i), rule, "packets", sec), sp_json_number(rule, "packets")};
	qsort(ranked, n, sizeof(*ranked), compare_ranked);
	sp_table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
	for (i = 0; i < n && i < TOP_ROWS; i++) {
		json_t *was = same_in(before, ranked[i].json, "id");
		char buf[SP_HUMAN_SIZE];

		add_rate(&table, ranked[i].rate, "");
		add_rate(&table, 8 * rate_of(was, ranked[i].json, "bytes", sec), "");
		add_rate(&table, rate_of(was, ranked[i].json, "hits", sec), "");
		sp_table_add(&table, sp_human_count(sp_json_int(ranked[i].json, "sessions"), buf));
		sp_table_add(&table, ranked[i].name);
	}
	sp_table_print(&table, width, out);
	free(ranked);
}

/* The page as text, malloc'ed; NULL without memory. */
static char *make_page(const struct snapshot *a, const struct snapshot *b, unsigned int width)
{
	double sec = seconds_between(&a->when, &b->when);
	char *page = NULL;
	size_t size;
	FILE *out = open_memstream(&page, &size);

	if (!out)
		return NULL;
	print_summary(a, b, sec, out);
	print_ports(a, b, sec, width, out);
	print_workers(a, b, sec, width, out);
	print_drops(a, b, sec, width, out);
	if (a->rules && b->rules)
		print_rules(a, b, sec, width, out);
	else
		fputs("top rules are left out: there are too many to fetch every second\n", out);
	fclose(out);
	return page;
}

/* Shows as many lines as the window has. */
static void show_on_screen(const char *page, unsigned int rows)
{
	fputs("\x1b[H", stdout);
	for (unsigned int row = 0; *page != '\0' && (rows == 0 || row + 1 < rows); row++) {
		const char *end = strchr(page, '\n');
		int len = end ? (int)(end - page) : (int)strlen(page);

		printf("%.*s\x1b[K\n", len, page);
		page += len + (end != NULL);
	}
	fputs("\x1b[J", stdout);
	fflush(stdout);
}

static void show(const struct snapshot *a, const struct snapshot *b, bool screen)
{
	unsigned int rows = 0, columns = 0;
	char *page;

	if (screen)
		sp_screen_size(&rows, &columns);
	page = make_page(a, b, columns);
	if (!page)
		return;
	if (screen)
		show_on_screen(page, rows);
	else
		puts(page);
	fflush(stdout);
	free(page);
}

/* On a terminal a firewall that restarts is waited for; elsewhere, and at the start, it is an error. */
static int run(const struct sp_ctl *ctl, uint32_t iterations, bool screen, struct snapshot *before)
{
	bool with_rules = true;

	for (uint32_t i = 0; iterations == 0 || i < iterations; i++) {
		struct snapshot now;
		char why[512];

		if (sp_screen_wait(INTERVAL_MS))
			return SP_CTL_GOOD;
		if (!take(ctl, &now, &with_rules, why, sizeof(why))) {
			if (!screen)
				return sp_ctl_error("%s", why);
			printf("\x1b[H");
			sp_print_text(why, stdout);
			printf("\x1b[K\n");
			fflush(stdout);
			continue;
		}
		show(before, &now, screen);
		snapshot_free(before);
		*before = now;
	}
	return SP_CTL_GOOD;
}

int sp_ctl_top(const struct sp_ctl *ctl)
{
	struct snapshot before;
	bool screen, with_rules = true;
	uint32_t iterations = ctl->iterations;
	char why[512];
	int code;

	if (ctl->json)
		return sp_ctl_error("top has no JSON; use `sallyctl -j stats`");
	if (!take(ctl, &before, &with_rules, why, sizeof(why)))
		return sp_ctl_error("%s", why);
	screen = sp_screen_open();
	if (screen) {
		fputs("\x1b[Hmeasuring for a second; q leaves\x1b[J", stdout);
		fflush(stdout);
	}
	if (!screen && iterations == 0)
		iterations = 1;
	code = run(ctl, iterations, screen, &before);
	sp_screen_close();
	snapshot_free(&before);
	return code;
}
