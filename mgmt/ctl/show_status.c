/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"
#include "mgmt/ctl/human.h"
#include "mgmt/ctl/table.h"

static void line(const char *name, const char *text)
{
	printf("%-12s", name);
	sp_print_text(text ? text : "-", stdout);
	putchar('\n');
}

static void print_notes(const char *name, json_t *array)
{
	size_t i;
	json_t *entry;

	json_array_foreach (array, i, entry) {
		const char *code = json_is_string(entry) ? json_string_value(entry) : sp_json_string(entry, "code");
		const char *text = sp_json_string(entry, "text"), *remedy = sp_json_string(entry, "remedy");

		printf("%-12s", i == 0 ? name : "");
		sp_print_text(code ? code : "", stdout);
		if (text) {
			fputs(": ", stdout);
			sp_print_text(text, stdout);
		}
		putchar('\n');
		/* a text may have its remedy at its end */
		if (remedy && (!text || strstr(text, remedy) == NULL)) {
			printf("%-12s  ", "");
			sp_print_text(remedy, stdout);
			putchar('\n');
		}
	}
}

int sp_ctl_status(const struct sp_ctl *ctl)
{
	char buf[SP_HUMAN_SIZE];
	json_t *json;
	bool ready;
	int code = sp_ctl_get(ctl, "/v1/status", &json);

	if (!json)
		return code;
	ready = json_is_true(json_object_get(json, "ready"));
	line("ready", ready ? "yes" : "no");
	line("version", sp_json_string(json, "version"));
	line("mode", sp_json_string(json, "mode"));
	line("up", sp_human_duration(sp_json_number(json, "uptime_sec"), buf));
	line("generation", sp_human_count(sp_json_int(json, "generation"), buf));
	if (sp_json_string(json, "rules"))
		line("rules", sp_json_string(json, "rules"));
	if (sp_json_string(json, "config"))
		line("config", sp_json_string(json, "config"));
	print_notes("degraded", json_object_get(json, "degraded"));
	print_notes("defending", json_object_get(json, "defending"));
	json_decref(json);
	return ready ? SP_CTL_GOOD : SP_CTL_NO;
}

int sp_ctl_reload(const struct sp_ctl *ctl)
{
	char target[64] = "/v1/reload";
	const struct sp_http_request request = {.method = "POST", .target = target, .timeout_sec = 300};
	json_t *json;
	int code;

	if (!sp_ctl_query(target, sizeof(target), "sessions", ctl->sessions))
		return sp_ctl_error("--sessions takes recheck, keep or kill");
	code = sp_ctl_call(ctl, &request, NULL, &json);
	if (!json)
		return code;
	sp_ctl_print_diags(ctl, json_object_get(json, "warnings"), "warning", NULL, stderr);
	printf("reloaded: generation %lld is in force", (long long)sp_json_int(json, "generation"));
	sp_ctl_print_sessions(json);
	json_decref(json);
	return code;
}
