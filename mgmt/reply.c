/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/reply.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rules/utf8.h"

void sp_reply_clear(struct sp_reply *reply)
{
	free(reply->body);
	memset(reply, 0, sizeof(*reply));
}

void sp_reply_body(struct sp_reply *reply, unsigned int status, const char *type, char *body, size_t size)
{
	sp_reply_clear(reply);
	if (body == NULL) {
		reply->status = 500;
		reply->type = SP_TYPE_PROBLEM;
		reply->fixed = "{\"type\":\"urn:sallyport:problem:out-of-memory\",\"title\":\"Internal Server Error\",\"status\":500,"
			       "\"detail\":\"no memory for the answer\"}\n";
		reply->size = strlen(reply->fixed);
		return;
	}
	reply->status = status;
	reply->type = type;
	reply->body = body;
	reply->size = size;
}

void sp_reply_json(struct sp_reply *reply, unsigned int status, const char *type, json_t *json)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = json != NULL ? open_memstream(&text, &size) : NULL;

	if (out != NULL) {
		bool bad = json_dumpf(json, out, SP_JSON_FLAGS) != 0 || fputc('\n', out) == EOF;

		if (fclose(out) != 0 || bad) {
			free(text);
			text = NULL;
		}
	}
	json_decref(json);
	sp_reply_body(reply, status, type, text, size);
}

json_t *sp_json_text(const char *text)
{
	static const char replacement[] = "\xef\xbf\xbd";
	json_t *json;
	char *clean;
	size_t n = 0, left;

	if (text == NULL)
		return json_null();
	json = json_string(text);
	if (json != NULL)
		return json;
	left = strlen(text);
	clean = malloc(3 * left + 1);
	if (clean == NULL)
		return NULL;
	for (size_t step; left != 0; left -= step, text += step) {
		size_t length = sp_utf8_bytes((const unsigned char *)text, left);

		memcpy(clean + n, length != 0 ? text : replacement, length != 0 ? length : 3);
		n += length != 0 ? length : 3;
		step = length != 0 ? length : 1;
	}
	json = json_stringn(clean, n);
	free(clean);
	return json;
}

json_t *sp_json_time(uint64_t wall_ns)
{
	char text[64];
	time_t sec = (time_t)(wall_ns / 1000000000u);
	struct tm tm;
	size_t n;

	if (wall_ns == 0 || gmtime_r(&sec, &tm) == NULL)
		return json_null();
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03uZ", (unsigned int)(wall_ns / 1000000u % 1000u));
	return json_string(text);
}

json_t *sp_json_u64(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}
