/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"
#include "mgmt/ctl/table.h"

#define TIMEOUT_SEC 30

int sp_ctl_error(const char *fmt, ...)
{
	char text[2048];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fputs("sallyctl: ", stderr);
	sp_print_text(text, stderr);
	fputc('\n', stderr);
	return SP_CTL_FAILED;
}

int64_t sp_json_int(json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

double sp_json_number(json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

const char *sp_json_string(json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

bool sp_ctl_query(char *target, size_t size, const char *name, const char *value)
{
	size_t at = strlen(target);
	int n;

	if (!value)
		return true;
	n = snprintf(target + at, size - at, "%c%s=", strchr(target, '?') ? '&' : '?', name);
	if (n < 0 || (size_t)n >= size - at)
		return false;
	at += (size_t)n;
	for (; *value != '\0'; value++) {
		bool plain = isalnum((unsigned char)*value) || strchr("-._~:", *value) != NULL;

		if (size - at < 4)
			return false;
		at += (size_t)snprintf(target + at, size - at, plain ? "%c" : "%%%02X", (unsigned char)*value);
	}
	return true;
}

/* The last part of the path of the rule file in force: how the server names the rules that it was sent. NULL: unknown. */
static char *rules_name(const struct sp_ctl *ctl)
{
	const struct sp_http_request request = {.method = "GET", .target = "/v1/status", .timeout_sec = TIMEOUT_SEC};
	struct sp_http_answer answer;
	char why[256], *name = NULL;
	const char *path, *slash;
	json_t *json;

	if (sp_http_call(ctl->socket, &request, &answer, why, sizeof(why)) != 0)
		return NULL;
	json = json_loadb(answer.body, answer.size, 0, NULL);
	path = sp_json_string(json, "rules");
	slash = path ? strrchr(path, '/') : NULL;
	if (path)
		name = strdup(slash ? slash + 1 : path);
	json_decref(json);
	sp_http_clear(&answer);
	return name;
}

void sp_ctl_print_diags(const struct sp_ctl *ctl, json_t *array, const char *level, const char *file, FILE *out)
{
	char *sent = file && json_array_size(array) > 0 ? rules_name(ctl) : NULL;
	size_t i;
	json_t *diag;

	json_array_foreach (array, i, diag) {
		const char *where = sp_json_string(diag, "file"), *text = sp_json_string(diag, "message");
		int64_t line = sp_json_int(diag, "line"), column = sp_json_int(diag, "column");

		if (file && (!where || strcmp(where, "request") == 0 || (sent && strcmp(where, sent) == 0)))
			where = file;
		if (where) {
			sp_print_text(where, out);
			if (line > 0)
				fprintf(out, ":%lld", (long long)line);
			if (line > 0 && column > 0)
				fprintf(out, ":%lld", (long long)column);
			fputs(": ", out);
		}
		fprintf(out, "%s: ", level);
		sp_print_text(text ? text : "(no text)", out);
		fputc('\n', out);
	}
	free(sent);
}

/* What a problem's status means for the exit code: the firewall said no, or the call itself was wrong or could not be served. */
static int exit_code(int status)
{
	return status == 404 || status == 409 || status == 412 || status == 422 ? SP_CTL_NO : SP_CTL_FAILED;
}

static void print_problem(const struct sp_ctl *ctl, const struct sp_http_answer *answer, const char *file)
{
	json_t *json = json_loadb(answer->body, answer->size, 0, NULL);
	const char *detail = sp_json_string(json, "detail"), *title = sp_json_string(json, "title");

	sp_ctl_print_diags(ctl, json_object_get(json, "errors"), "error", file, stderr);
	if (detail || title)
		sp_ctl_error("%s", detail ? detail : title);
	else
		sp_ctl_error("the firewall answers %d and does not say why", answer->status);
	json_decref(json);
}

static void print_body(const struct sp_http_answer *answer)
{
	fwrite(answer->body, 1, answer->size, stdout);
	if (answer->size > 0 && answer->body[answer->size - 1] != '\n')
		fputc('\n', stdout);
}

int sp_ctl_refused(const struct sp_ctl *ctl, const struct sp_http_answer *answer, const char *file)
{
	if (ctl->json)
		print_body(answer);
	else
		print_problem(ctl, answer, file);
	return exit_code(answer->status);
}

int sp_ctl_call(const struct sp_ctl *ctl, const struct sp_http_request *request, const char *file, json_t **out)
{
	struct sp_http_request timed = *request;
	struct sp_http_answer answer;
	char why[512];
	int code = SP_CTL_GOOD;

	*out = NULL;
	if (timed.timeout_sec == 0)
		timed.timeout_sec = TIMEOUT_SEC;
	if (sp_http_call(ctl->socket, &timed, &answer, why, sizeof(why)) != 0)
		return sp_ctl_error("%s", why);
	if (answer.status / 100 != 2) {
		code = sp_ctl_refused(ctl, &answer, file);
	} else if (ctl->json) {
		print_body(&answer);
	} else {
		*out = json_loadb(answer.body, answer.size, 0, NULL);
		if (!*out)
			code = sp_ctl_error("what answers on %s is not the firewall's API", ctl->socket);
	}
	sp_http_clear(&answer);
	return code;
}

int sp_ctl_get(const struct sp_ctl *ctl, const char *target, json_t **out)
{
	const struct sp_http_request request = {.method = "GET", .target = target};

	return sp_ctl_call(ctl, &request, NULL, out);
}
