/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/reply.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

/* Length of the well-formed UTF-8 sequence at s (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF); 0 when there is none. */
static size_t utf8_length(const unsigned char *s)
{
	unsigned char lo = 0x80, hi = 0xbf;
	size_t more;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	more = s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
	if (s[0] == 0xe0)
		lo = 0xa0;
	else if (s[0] == 0xed)
		hi = 0x9f;
	else if (s[0] == 0xf0)
		lo = 0x90;
	else if (s[0] == 0xf4)
		hi = 0x8f;
	if (s[1] < lo || s[1] > hi)
		return 0;
	/* the terminating NUL is out of range, so no byte past it is looked at */
	for (size_t i = 2; i <= more; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return more + 1;
}

json_t *sp_json_text(const char *text)
{
	static const char replacement[] = "\xef\xbf\xbd";
	json_t *json;
	char *clean;
	size_t n = 0;

	if (text == NULL)
		return json_null();
	json = json_string(text);
	if (json != NULL)
		return json;
	clean = malloc(3 * strlen(text) + 1);
	if (clean == NULL)
		return NULL;
	for (const unsigned char *s = (const unsigned char *)text; *s != 0;) {
		size_t length = utf8_length(s);

		memcpy(clean + n, length != 0 ? (const char *)s : replacement, length != 0 ? length : 3);
		n += length != 0 ? length : 3;
		s += length != 0 ? length : 1;
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
