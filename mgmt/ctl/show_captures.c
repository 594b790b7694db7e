/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"
#include "mgmt/ctl/human.h"
#include "mgmt/ctl/table.h"

/* "rx,tx" */
static void join(json_t *array, char *buf, size_t size)
{
	json_t *value;
	size_t i, n = 0;

	buf[0] = '\0';
	json_array_foreach (array, i, value) {
		const char *text = json_string_value(value);

		if (text != NULL && n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", n > 0 ? "," : "", text);
	}
}

static void add_row(struct sp_table *table, json_t *capture)
{
	const char *why = sp_json_string(capture, "why"), *state = sp_json_string(capture, "state");
	char text[128], human[SP_HUMAN_SIZE];

	snprintf(text, sizeof(text), "%lld", (long long)sp_json_int(capture, "id"));
	sp_table_add(table, text);
	snprintf(text, sizeof(text), "%s%s%s", state ? state : "?", why ? ": " : "", why ? why : "");
	sp_table_add(table, text);
	sp_table_add(table, sp_human_count(sp_json_int(capture, "packets"), human));
	sp_table_add(table, sp_human_bytes(sp_json_number(capture, "bytes"), human));
	sp_table_add(table, sp_human_count(sp_json_int(capture, "lost"), human));
	join(json_object_get(capture, "points"), text, sizeof(text));
	sp_table_add(table, text);
	sp_table_add(table, sp_json_string(capture, "filter"));
	sp_table_add(table, sp_json_string(capture, "file"));
}

static int list(const struct sp_ctl *ctl)
{
	static const struct sp_column columns[] = {{.title = "ID", .right = true}, {.title = "STATE"}, {.title = "PACKETS", .right = true},
		{.title = "SIZE", .right = true}, {.title = "LOST", .right = true}, {.title = "POINTS"}, {.title = "FILTER", .flex = true},
		{.title = "FILE", .flex = true}};
	struct sp_table table;
	json_t *json, *capture;
	size_t i;
	int code = sp_ctl_get(ctl, "/v1/captures", &json);

	if (!json)
		return code;
	sp_table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
	json_array_foreach (json_object_get(json, "captures"), i, capture)
		add_row(&table, capture);
	sp_table_print(&table, sp_terminal_width(stdout), stdout);
	json_decref(json);
	return SP_CTL_GOOD;
}

/* The list "rx,drop" as an array; what is in it the firewall judges. */
static json_t *split(const char *text)
{
	json_t *array = json_array();

	for (;;) {
		size_t n = strcspn(text, ",");

		json_array_append_new(array, json_stringn(text, n));
		if (text[n] == '\0')
			return array;
		text += n + 1;
	}
}

static int start(const struct sp_ctl *ctl, const char *filter)
{
	struct sp_http_request request = {.method = "POST", .target = "/v1/captures", .type = "application/json"};
	json_t *body = json_object(), *json;
	char *text;
	int code;

	if (filter)
		json_object_set_new(body, "filter", json_string(filter));
	if (ctl->points)
		json_object_set_new(body, "points", split(ctl->points));
	if (ctl->trace)
		json_object_set_new(body, "trace", json_true());
	if (ctl->snaplen)
		json_object_set_new(body, "snaplen", json_integer(ctl->snaplen));
	if (ctl->packets)
		json_object_set_new(body, "max_packets", json_integer(ctl->packets));
	if (ctl->seconds)
		json_object_set_new(body, "max_seconds", json_integer(ctl->seconds));
	if (ctl->megabytes)
		json_object_set_new(body, "max_bytes", json_integer((json_int_t)ctl->megabytes << 20));
	text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	if (!text)
		return sp_ctl_error("out of memory, or the filter is no UTF-8");
	request.body = text;
	request.size = strlen(text);
	code = sp_ctl_call(ctl, &request, NULL, &json);
	free(text);
	if (!json)
		return code;
	printf("capture %lld runs for at most %lld s, into ", (long long)sp_json_int(json, "id"),
		(long long)sp_json_int(json, "max_seconds"));
	sp_print_text(sp_json_string(json, "file") ? sp_json_string(json, "file") : "?", stdout);
	putchar('\n');
	json_decref(json);
	return SP_CTL_GOOD;
}

static bool target_of(const char *id, char *target, size_t size)
{
	int n = snprintf(target, size, "/v1/captures/%s", id);

	return id[0] != '\0' && strspn(id, "0123456789") == strlen(id) && n > 0 && (size_t)n < size;
}

static int stop(const struct sp_ctl *ctl, const char *target, const char *id)
{
	const struct sp_http_request request = {.method = "DELETE", .target = target};
	json_t *json;
	int code = sp_ctl_call(ctl, &request, NULL, &json);

	if (!json)
		return code;
	printf("capture %s: ", id);
	sp_print_text(sp_json_string(json, "state") ? sp_json_string(json, "state") : "?", stdout);
	putchar('\n');
	json_decref(json);
	return SP_CTL_GOOD;
}

static int save(const char *path, const struct sp_http_answer *answer)
{
	FILE *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "wb");
	bool bad;

	if (!out)
		return sp_ctl_error("%s: %s", path, strerror(errno));
	bad = fwrite(answer->body, 1, answer->size, out) != answer->size;
	if (out != stdout)
		bad = fclose(out) != 0 || bad;
	return bad ? sp_ctl_error("%s: %s", path, strerror(errno)) : SP_CTL_GOOD;
}

static int get(const struct sp_ctl *ctl, const char *target, const char *path)
{
	const struct sp_http_request request = {.method = "GET", .target = target, .timeout_sec = 300};
	struct sp_http_answer answer;
	char why[512];
	json_t *json;
	int code;

	if (sp_http_call(ctl->socket, &request, &answer, why, sizeof(why)) != 0)
		return sp_ctl_error("%s", why);
	if (answer.status == 200) {
		code = save(path, &answer);
	} else {
		json = json_loadb(answer.body, answer.size, 0, NULL);
		sp_ctl_error("%s", sp_json_string(json, "detail") ? sp_json_string(json, "detail") : "the firewall refuses");
		json_decref(json);
		code = answer.status == 404 ? SP_CTL_NO : SP_CTL_FAILED;
	}
	sp_http_clear(&answer);
	return code;
}

int sp_ctl_capture(const struct sp_ctl *ctl)
{
	const char *verb = ctl->n_args > 0 ? ctl->args[0] : "list";
	char target[64];

	if (strcmp(verb, "list") == 0 && ctl->n_args <= 1)
		return list(ctl);
	if (strcmp(verb, "start") == 0 && ctl->n_args <= 2)
		return start(ctl, ctl->n_args == 2 ? ctl->args[1] : NULL);
	if (ctl->n_args > 1 && !target_of(ctl->args[1], target, sizeof(target)))
		return sp_ctl_error("capture %s takes the number of a capture, not \"%s\"", verb, ctl->args[1]);
	if ((strcmp(verb, "stop") == 0 || strcmp(verb, "rm") == 0) && ctl->n_args == 2)
		return stop(ctl, target, ctl->args[1]);
	if (strcmp(verb, "get") == 0 && ctl->n_args == 3)
		return get(ctl, target, ctl->args[2]);
	return sp_ctl_error("capture takes: list, start [FILTER], get ID FILE, stop ID, or rm ID");
}
