/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * POST /v1/explain: why a described packet would pass or not under the rules in force.
 */
#include <string.h>

#include "mgmt/problem.h"
#include "mgmt/publish.h"
#include "mgmt/res.h"
#include "mgmt/state.h"
#include "rules/explain.h"

/* The description inside a JSON body {"packet": "..."}; NULL with a problem in the reply. The string lives as long as *json. */
static const char *packet_of_json(struct sp_call *call, json_t **json)
{
	const char *key;
	json_error_t error;
	json_t *value;

	*json = json_loadb(call->body, call->size, JSON_REJECT_DUPLICATES, &error);
	if (*json == NULL) {
		sp_problem(&call->reply, 400, "bad-json", "the body is not JSON: line %d, column %d: %s", error.line, error.column,
			error.text);
		return NULL;
	}
	json_object_foreach (*json, key, value) {
		if (strcmp(key, "packet") == 0)
			continue;
		sp_problem(&call->reply, 400, "bad-json",
			"/%.64s is not known here: send {\"packet\": \"tcp 192.0.2.1:1024 > 192.0.2.2:80\"}", key);
		return NULL;
	}
	value = json_object_get(*json, "packet");
	if (!json_is_string(value)) {
		sp_problem(&call->reply, 400, "bad-json",
			"/packet must be a string: send {\"packet\": \"tcp 192.0.2.1:1024 > 192.0.2.2:80\"}");
		return NULL;
	}
	return json_string_value(value);
}

/* The description as plain text; blanks and newlines around it are shed. */
static const char *packet_of_text(struct sp_call *call)
{
	char *text = call->body;
	size_t n = strlen(text);

	if (n != call->size) {
		sp_problem(&call->reply, 400, "bad-packet", "the description contains a NUL");
		return NULL;
	}
	while (n != 0 && strchr(" \t\r\n", text[n - 1]) != NULL)
		text[--n] = '\0';
	return text + strspn(text, " \t\r\n");
}

static void explain(struct sp_call *call, const struct sp_ruleset *ruleset, const char *text)
{
	struct sp_packet_text packet;
	struct sp_explain result;
	char why[256];
	json_t *json;

	if (sp_packet_text_parse(text, &ruleset->policy->zones, &packet, why, sizeof(why)) != 0) {
		sp_problem(&call->reply, 400, "bad-packet", "%s", why);
		return;
	}
	sp_explain(ruleset->policy, &packet, &result);
	json = sp_explain_json(ruleset->policy, &packet, &result);
	if (json != NULL)
		json_object_set_new(json, "generation", json_integer(ruleset->generation));
	sp_reply_json(&call->reply, 200, SP_TYPE_JSON, json);
}

void sp_res_explain(struct sp_call *call)
{
	const struct sp_ruleset *ruleset;
	const char *text = NULL;
	json_t *json = NULL;
	char type[64];

	sp_call_type(call, type, sizeof(type));
	if (call->size == 0)
		sp_problem(
			&call->reply, 400, "bad-packet", "the body is empty: describe a packet, as in `tcp 192.0.2.1:1024 > 192.0.2.2:80`");
	else if (strcmp(type, "application/json") == 0)
		text = packet_of_json(call, &json);
	else if (type[0] == '\0' || strcmp(type, "text/plain") == 0 || strcmp(type, "application/x-www-form-urlencoded") == 0)
		text = packet_of_text(call); /* the form type is what `curl -d` says; a description has no newlines to lose */
	else
		sp_problem(&call->reply, 415, "content-type", "send the description as text/plain or application/json");
	if (text != NULL) {
		ruleset = sp_published_get(call->mgmt->dataplane);
		if (ruleset != NULL)
			explain(call, ruleset, text);
		sp_published_put();
		if (ruleset == NULL)
			sp_problem(&call->reply, 503, "no-rules", "no rules are in force");
	}
	json_decref(json);
}
