/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /v1/rules, /v1/rules/ID; PUT /v1/rules and POST /v1/reload, which only become jobs here. A large policy makes a large answer: it is
 * written rule by rule, so that no more than one rule's JSON tree exists at a time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/rule_table.h"
#include "mgmt/problem.h"
#include "mgmt/publish.h"
#include "mgmt/res.h"
#include "mgmt/state.h"
#include "rules/explain.h"
#include "rules/names.h"
#include "rules/nat.h"

static json_t *log_json(uint8_t log)
{
	switch (log) {
	case SP_LOG_NONE:
		return json_false();
	case SP_LOG_END:
		return json_true();
	case SP_LOG_START:
		return json_string("start");
	default:
		return json_string("both");
	}
}

static json_t *fields_json(const struct sp_rule *rule)
{
	json_t *json = json_object();

	for (unsigned int f = 0; f < SP_FIELD_COUNT; f++)
		if (rule->value[f] != NULL)
			json_object_set_new(json, sp_field_names[f], sp_json_text(rule->value[f]));
	return json;
}

static void set_counters(json_t *json, const struct sp_dataplane *dataplane, uint32_t slot, bool times)
{
	struct sp_rule_counters sum = {0};

	if (slot < SP_RULE_SLOTS_MAX)
		sp_rule_table_sum(&dataplane->rule_table, slot, &sum);
	json_object_set_new(json, "hits", sp_json_u64(sum.hits));
	json_object_set_new(json, "packets", sp_json_u64(sum.packets));
	json_object_set_new(json, "bytes", sp_json_u64(sum.bytes));
	json_object_set_new(json, "events_suppressed", sp_json_u64(sp_rule_table_suppressed(&dataplane->rule_table, slot)));
	if (!times)
		return;
	json_object_set_new(json, "sessions",
		json_integer(
			slot < SP_RULE_SLOTS_MAX ? __atomic_load_n(&dataplane->rule_table.shared[slot].sessions, __ATOMIC_RELAXED) : 0));
	json_object_set_new(json, "first_hit", sp_json_time(sum.first_ns));
	json_object_set_new(json, "last_hit", sp_json_time(sum.last_ns));
}

static json_t *rule_json(const struct sp_dataplane *dataplane, const struct sp_ruleset *ruleset, uint32_t i)
{
	const struct sp_rule *rule = &ruleset->policy->rules[i];
	json_t *json = json_object();

	json_object_set_new(json, "id", json_integer(rule->id));
	json_object_set_new(json, "text", sp_rule_text_json(rule));
	json_object_set_new(json, "action", json_string(sp_action_name(rule->action)));
	json_object_set_new(json, "file", sp_json_text(rule->file));
	json_object_set_new(json, "line", json_integer(rule->line));
	json_object_set_new(json, "group", sp_json_text(rule->group));
	json_object_set_new(json, "enabled", json_boolean(rule->enabled));
	json_object_set_new(json, "name", sp_json_text(rule->value[SP_FIELD_NAME]));
	json_object_set_new(json, "fields", fields_json(rule));
	set_counters(json, dataplane, ruleset->rules[i].slot, true);
	return json;
}

static json_t *default_json(const struct sp_dataplane *dataplane, const struct sp_ruleset *ruleset)
{
	json_t *json = json_object();

	json_object_set_new(json, "action", json_string(sp_action_name(ruleset->default_action)));
	json_object_set_new(json, "log", log_json(ruleset->default_log));
	set_counters(json, dataplane, SP_RULE_SLOT_DEFAULT, false);
	return json;
}

static json_t *builtin_json(const struct sp_ruleset *ruleset)
{
	json_t *json = json_object();

	json_object_set_new(json, "arp", json_boolean(ruleset->builtin_arp));
	json_object_set_new(json, "nd", json_boolean(ruleset->builtin_nd));
	return json;
}

/* Writes the value and drops its reference; false on ENOMEM. */
static bool dump(json_t *json, FILE *out)
{
	bool good = json != NULL && json_dumpf(json, out, SP_JSON_FLAGS) == 0;

	json_decref(json);
	return good;
}

static bool write_rules(const struct sp_dataplane *dataplane, const struct sp_ruleset *ruleset, FILE *out)
{
	const struct sp_nat_list *nat = ruleset->policy->nat;
	bool good;

	fprintf(out, "{\"generation\":%u,\"default\":", ruleset->generation);
	good = dump(default_json(dataplane, ruleset), out);
	fputs(",\"builtin\":", out);
	good = dump(builtin_json(ruleset), out) && good;
	fputs(",\"rules\":[", out);
	for (uint32_t i = 0; good && i < ruleset->n_rules; i++) {
		if (i != 0)
			fputc(',', out);
		good = dump(rule_json(dataplane, ruleset, i), out);
	}
	fputs("],\"nat\":[", out);
	for (size_t i = 0; good && nat != NULL && i < nat->n; i++) {
		if (i != 0)
			fputc(',', out);
		good = dump(sp_nat_entry_json(&nat->v[i]), out);
	}
	fputs("]}\n", out);
	return good && ferror(out) == 0;
}

static void reply_rules(struct sp_call *call, const struct sp_ruleset *ruleset)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	bool good = out != NULL && write_rules(call->mgmt->dataplane, ruleset, out);

	if (out != NULL && fclose(out) != 0)
		good = false;
	if (!good) {
		free(text);
		text = NULL;
	}
	sp_reply_body(&call->reply, 200, SP_TYPE_JSON, text, size);
}

static void reply_source(struct sp_call *call, const struct sp_ruleset *ruleset)
{
	char *text;

	if (ruleset->source == NULL) {
		sp_problem(&call->reply, 404, "no-source", "these rules were not loaded from a text");
		return;
	}
	text = malloc(ruleset->source_size + 1);
	if (text != NULL)
		memcpy(text, ruleset->source, ruleset->source_size);
	sp_reply_body(&call->reply, 200, SP_TYPE_TEXT, text, ruleset->source_size);
}

/* Runs `reply` on the rules in force. */
static void with_ruleset(struct sp_call *call, void (*reply)(struct sp_call *call, const struct sp_ruleset *ruleset))
{
	const struct sp_ruleset *ruleset = sp_published_get(call->mgmt->dataplane);

	if (ruleset != NULL) {
		reply(call, ruleset);
		if (call->reply.status == 200)
			call->reply.etag = ruleset->generation;
	}
	sp_published_put();
	if (ruleset == NULL)
		sp_problem(&call->reply, 503, "no-rules", "no rules are in force");
}

void sp_res_rules(struct sp_call *call)
{
	with_ruleset(call, sp_call_wants_text(call) ? reply_source : reply_rules);
}

static void reply_rule(struct sp_call *call, const struct sp_ruleset *ruleset)
{
	uint64_t id;

	if (sp_call_parse_number(call->argument, INT32_MAX, &id) == 0)
		for (uint32_t i = 0; i < ruleset->n_rules; i++)
			if (ruleset->policy->rules[i].id == id) {
				sp_reply_json(&call->reply, 200, SP_TYPE_JSON, rule_json(call->mgmt->dataplane, ruleset, i));
				return;
			}
	sp_problem(&call->reply, 404, "no-such-rule", "no rule has the id %.32s", call->argument);
}

void sp_res_rule(struct sp_call *call)
{
	with_ruleset(call, reply_rule);
}

/* If-Match: `"5"`, `5` or `*`. False with a problem. */
static bool read_if_match(struct sp_call *call)
{
	const char *text = sp_call_header(call, MHD_HTTP_HEADER_IF_MATCH);
	size_t n = text != NULL ? strlen(text) : 0;
	char number[16];
	uint64_t value;

	if (text == NULL || strcmp(text, "*") == 0)
		return true;
	if (n >= 2 && text[0] == '"' && text[n - 1] == '"') {
		text++;
		n -= 2;
	}
	snprintf(number, sizeof(number), "%.*s", (int)RTE_MIN(n, sizeof(number) - 1), text);
	if (n >= sizeof(number) || sp_call_parse_number(number, UINT32_MAX, &value) != 0) {
		sp_problem(&call->reply, 400, "bad-request", "If-Match takes a generation, as in If-Match: \"5\"");
		return false;
	}
	call->job.has_generation = true;
	call->job.generation = (uint32_t)value;
	return true;
}

/* `sessions`: what becomes of them. False with a problem. */
static bool read_on_change(struct sp_call *call)
{
	const char *text = sp_call_param(call, "sessions");
	int value;

	if (text == NULL)
		return true;
	value = sp_on_change_parse(text);
	if (value < 0) {
		sp_problem(&call->reply, 400, "bad-parameter", "sessions takes recheck, keep or kill");
		return false;
	}
	call->job.has_on_change = true;
	call->job.on_change = (uint8_t)value;
	return true;
}

static bool check_type(struct sp_call *call)
{
	char type[64];

	sp_call_type(call, type, sizeof(type));
	if (type[0] == '\0' || strcmp(type, "text/plain") == 0 || strcmp(type, "application/octet-stream") == 0)
		return true;
	if (strcmp(type, "application/x-www-form-urlencoded") == 0)
		sp_problem(&call->reply, 415, "content-type",
			"`curl -d` strips newlines and sends a form: use `curl -T FILE`, or `curl -X PUT -H 'Content-Type: text/plain' "
			"--data-binary @FILE`");
	else
		sp_problem(&call->reply, 415, "content-type", "send the rule file as text/plain: `curl -T FILE`");
	return false;
}

void sp_res_rules_put(struct sp_call *call)
{
	struct sp_job *job = &call->job;

	if (!check_type(call) || !sp_call_bool(call, "dry-run", &job->dry_run) || !sp_call_bool(call, "force", &job->force) ||
		!read_if_match(call) || !read_on_change(call))
		return;
	if (sp_call_param(call, "confirm") != NULL) {
		sp_problem(&call->reply, 501, "not-supported", "confirm is not supported yet: nothing was changed");
		return;
	}
	if (call->size == 0) {
		sp_problem(&call->reply, 400, "empty-body", "the body is empty: send a rule file, as in `curl -T FILE`");
		return;
	}
	job->body = call->body;
	job->size = call->size;
	job->kind = SP_JOB_PUT_RULES;
}

void sp_res_reload(struct sp_call *call)
{
	if (read_on_change(call))
		call->job.kind = SP_JOB_RELOAD;
}
