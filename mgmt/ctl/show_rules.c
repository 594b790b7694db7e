/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"
#include "mgmt/ctl/human.h"
#include "mgmt/ctl/table.h"

#define FILE_MAX ((size_t)64 * 1024 * 1024) /* of a rule file, as the server takes it */

static void add_counters(struct sp_table *table, json_t *rule)
{
	char buf[SP_HUMAN_SIZE];

	sp_table_add(table, sp_human_count(sp_json_int(rule, "hits"), buf));
	sp_table_add(table, sp_human_count(sp_json_int(rule, "packets"), buf));
	sp_table_add(table, sp_human_bytes(sp_json_number(rule, "bytes"), buf));
	sp_table_add(table, sp_human_count(sp_json_int(rule, "sessions"), buf));
	sp_table_add(table, json_object_get(rule, "last_hit") ? sp_human_ago(sp_json_string(rule, "last_hit"), buf) : "-");
}

/* The rule as written; its number stands in a column of its own. */
static const char *text_of(json_t *rule)
{
	const char *text = sp_json_string(rule, "text");

	if (!text)
		return sp_json_string(rule, "action");
	return text;
}

static void print_list(json_t *json)
{
	static const struct sp_column columns[] = {{"HITS", true, false}, {"PACKETS", true, false}, {"BYTES", true, false},
		{"SESSIONS", true, false}, {"LAST HIT", true, false}, {"RULE", false, true}};
	json_t *rule, *fallback = json_object_get(json, "default");
	const char *action = sp_json_string(fallback, "action");
	struct sp_table table;
	char text[64];
	size_t i;

	sp_table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
	json_array_foreach (json_object_get(json, "rules"), i, rule) {
		bool off = json_is_false(json_object_get(rule, "enabled"));
		const char *line = text_of(rule);
		char *marked = NULL;

		add_counters(&table, rule);
		if (off && line) {
			marked = malloc(strlen(line) + sizeof("(disabled) "));
			if (marked)
				sprintf(marked, "(disabled) %s", line);
		}
		sp_table_add(&table, marked ? marked : line);
		free(marked);
	}
	if (action) {
		add_counters(&table, fallback);
		snprintf(text, sizeof(text), "default %s", action);
		sp_table_add(&table, text);
	}
	sp_table_print(&table, sp_terminal_width(stdout), stdout);
	printf("%zu rules, generation %lld\n", json_array_size(json_object_get(json, "rules")), (long long)sp_json_int(json, "generation"));
}

static void print_line(const char *name, const char *text)
{
	printf("%-12s", name);
	sp_print_text(text ? text : "-", stdout);
	putchar('\n');
}

static void print_one(json_t *rule)
{
	char buf[SP_HUMAN_SIZE];
	const char *name;
	json_t *value;

	print_line("rule", text_of(rule));
	printf("%-12s", "where");
	sp_print_text(sp_json_string(rule, "file") ? sp_json_string(rule, "file") : "-", stdout);
	printf(":%lld\n", (long long)sp_json_int(rule, "line"));
	if (sp_json_string(rule, "group"))
		print_line("group", sp_json_string(rule, "group"));
	print_line("enabled", json_is_false(json_object_get(rule, "enabled")) ? "no" : "yes");
	print_line("hits", sp_human_count(sp_json_int(rule, "hits"), buf));
	print_line("packets", sp_human_count(sp_json_int(rule, "packets"), buf));
	print_line("bytes", sp_human_bytes(sp_json_number(rule, "bytes"), buf));
	print_line("sessions", sp_human_count(sp_json_int(rule, "sessions"), buf));
	print_line("first hit", sp_human_ago(sp_json_string(rule, "first_hit"), buf));
	print_line("last hit", sp_human_ago(sp_json_string(rule, "last_hit"), buf));
	puts("fields");
	json_object_foreach (json_object_get(rule, "fields"), name, value) {
		if (!json_is_string(value))
			continue;
		fputs("  ", stdout);
		sp_print_text(name, stdout);
		printf("%*s", (int)(strlen(name) < 16 ? 16 - strlen(name) : 1), "");
		sp_print_text(json_string_value(value), stdout);
		putchar('\n');
	}
}

int sp_ctl_rules(const struct sp_ctl *ctl)
{
	char target[64] = "/v1/rules";
	json_t *json;
	int code;

	if (ctl->n_args > 0 && strcmp(ctl->args[0], "put") == 0)
		return sp_ctl_rules_put(ctl);
	if (ctl->n_args > 1 || ctl->dry_run || ctl->force)
		return sp_ctl_error("rules takes one ID, or: rules put FILE [--dry-run] [--force]");
	if (ctl->n_args == 1) {
		if (ctl->args[0][0] == '\0' || strspn(ctl->args[0], "0123456789") != strlen(ctl->args[0]) || strlen(ctl->args[0]) > 10)
			return sp_ctl_error("rules: \"%s\" is no rule id; `rules put FILE` loads a file", ctl->args[0]);
		snprintf(target, sizeof(target), "/v1/rules/%s", ctl->args[0]);
	}
	code = sp_ctl_get(ctl, target, &json);
	if (!json)
		return code;
	if (ctl->n_args == 1)
		print_one(json);
	else
		print_list(json);
	json_decref(json);
	return code;
}

/* The whole file ("-": standard input), malloc'ed; NULL with a message. */
static char *read_file(const char *path, size_t *size)
{
	bool stdin_wanted = strcmp(path, "-") == 0;
	FILE *in = stdin_wanted ? stdin : fopen(path, "r");
	size_t room = 65536, n = 0, got;
	char *text = NULL, *bigger;
	int err = 0;

	if (!in) {
		sp_ctl_error("%s: %s", path, strerror(errno));
		return NULL;
	}
	do {
		room *= 2;
		bigger = realloc(text, room);
		if (!bigger) {
			err = ENOMEM;
			break;
		}
		text = bigger;
		got = fread(text + n, 1, room - n, in);
		n += got;
		if (ferror(in))
			err = errno;
	} while (err == 0 && n == room && n <= FILE_MAX);
	if (!stdin_wanted)
		fclose(in);
	if (err == 0 && n > FILE_MAX)
		err = EFBIG;
	if (err != 0) {
		sp_ctl_error("%s: %s", path, strerror(err));
		free(text);
		return NULL;
	}
	*size = n;
	return text;
}

static void print_put(const struct sp_ctl *ctl, json_t *json)
{
	const char *file = ctl->args[1];

	sp_ctl_print_diags(ctl, json_object_get(json, "warnings"), "warning", file, stderr);
	if (ctl->dry_run) {
		printf("%s: no errors; nothing was changed (--dry-run)\n", file);
		return;
	}
	printf("%s: generation %lld is in force", file, (long long)sp_json_int(json, "generation"));
	sp_ctl_print_sessions(json);
	if (json_is_false(json_object_get(json, "persistent")))
		sp_ctl_error("warning: the rule file could not be written: a restart brings the old rules back; see `sallyctl status`");
}

int sp_ctl_rules_put(const struct sp_ctl *ctl)
{
	char target[96] = "/v1/rules";
	struct sp_http_request request = {.method = "PUT", .target = target, .type = "text/plain", .timeout_sec = 300};
	char *text;
	json_t *json;
	int code;

	if (ctl->n_args != 2)
		return sp_ctl_error("rules put takes one FILE (- is standard input)");
	sp_ctl_query(target, sizeof(target), "dry-run", ctl->dry_run ? "1" : NULL);
	sp_ctl_query(target, sizeof(target), "force", ctl->force ? "1" : NULL);
	if (!sp_ctl_query(target, sizeof(target), "sessions", ctl->sessions))
		return sp_ctl_error("--sessions takes recheck, keep or kill");
	text = read_file(ctl->args[1], &request.size);
	if (!text)
		return SP_CTL_FAILED;
	if (request.size == 0) {
		free(text);
		return sp_ctl_error("%s: empty: a rule file has at least version, default and rules", ctl->args[1]);
	}
	request.body = text;
	code = sp_ctl_call(ctl, &request, ctl->args[1], &json);
	free(text);
	if (json)
		print_put(ctl, json);
	json_decref(json);
	return code;
}
