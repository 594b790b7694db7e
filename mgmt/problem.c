/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* vasprintf */
#include "mgmt/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *sp_problem_title(unsigned int status)
{
	static const struct {
		unsigned int status;
		const char *title;
	} titles[] = {{400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"},
		{409, "Conflict"}, {412, "Precondition Failed"}, {413, "Content Too Large"}, {415, "Unsupported Media Type"},
		{422, "Unprocessable Content"}, {500, "Internal Server Error"}, {501, "Not Implemented"}, {503, "Service Unavailable"}};

	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		if (titles[i].status == status)
			return titles[i].title;
	return "Error";
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static json_t *known_or_null(int64_t value)
{
	return value > 0 ? json_integer(value) : json_null();
}

json_t *sp_diags_json(const struct sp_diags *diags, enum sp_diag_level level, const char *path)
{
	json_t *array = json_array();

	for (size_t i = 0; array != NULL && i < diags->n; i++) {
		const struct sp_diag *diag = &diags->v[i];
		const char *file = diag->file;
		json_t *entry;

		if (diag->level != level)
			continue;
		if (file != NULL && path != NULL && strcmp(file, path) == 0)
			file = last_part(path);
		entry = json_object();
		json_object_set_new(entry, "file", sp_json_text(file));
		json_object_set_new(entry, "line", known_or_null(diag->line));
		json_object_set_new(entry, "column", known_or_null(diag->column));
		json_object_set_new(entry, "rule", known_or_null(diag->rule));
		json_object_set_new(entry, "message", sp_json_text(diag->text));
		if (json_object_size(entry) != 5 || json_array_append_new(array, entry) != 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *problem_json(unsigned int status, const char *code, const char *fmt, va_list args)
{
	json_t *json = json_object();
	char *detail = NULL;
	char type[96];

	snprintf(type, sizeof(type), "urn:sallyport:problem:%s", code);
	if (vasprintf(&detail, fmt, args) < 0)
		detail = NULL;
	json_object_set_new(json, "type", json_string(type));
	json_object_set_new(json, "title", json_string(sp_problem_title(status)));
	json_object_set_new(json, "status", json_integer(status));
	json_object_set_new(json, "detail", sp_json_text(detail));
	free(detail);
	return json;
}

void sp_problem(struct sp_reply *reply, unsigned int status, const char *code, const char *fmt, ...)
{
	va_list args;
	json_t *json;

	va_start(args, fmt);
	json = problem_json(status, code, fmt, args);
	va_end(args);
	sp_reply_json(reply, status, SP_TYPE_PROBLEM, json);
}

void sp_problem_diags(
	struct sp_reply *reply, unsigned int status, const char *code, const struct sp_diags *diags, const char *path, const char *fmt, ...)
{
	json_t *json, *errors = sp_diags_json(diags, SP_DIAG_ERROR, path);
	size_t listed = json_array_size(errors);
	va_list args;

	va_start(args, fmt);
	json = problem_json(status, code, fmt, args);
	va_end(args);
	json_object_set_new(json, "errors", errors);
	if (diags->errors > listed)
		json_object_set_new(json, "errors_left_out", sp_json_u64(diags->errors - listed));
	sp_reply_json(reply, status, SP_TYPE_PROBLEM, json);
}
