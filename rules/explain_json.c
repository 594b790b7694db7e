/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "rules/explain_internal.h"
#include "rules/names.h"
#include "rules/rule_text.h"

json_t *sp_explain_text_json(const char *text)
{
	json_t *json = text != NULL ? json_string(text) : json_null();
	char *copy;

	if (json != NULL)
		return json;
	copy = strdup(text);
	if (copy == NULL)
		return NULL;
	for (char *s = copy; *s != '\0'; s++)
		if ((unsigned char)*s >= 0x80)
			*s = '?';
	json = json_string(copy);
	free(copy);
	return json;
}

json_t *sp_rule_text_json(const struct sp_rule *rule)
{
	size_t size = sp_rule_text_format(rule, false, NULL, 0) + 1;
	char *text = malloc(size);
	json_t *json;

	if (text == NULL)
		return NULL;
	sp_rule_text_format(rule, false, text, size);
	json = sp_explain_text_json(text);
	free(text);
	return json;
}

/* Members that name a rule, added to the object. 0 or -1, as jansson says it. */
static int add_rule(json_t *object, const struct sp_rule *rule)
{
	return json_object_set_new(object, "rule", json_integer(rule->id)) |
	       json_object_set_new(object, "file", sp_explain_text_json(rule->file)) |
	       json_object_set_new(object, "line", json_integer(rule->line)) |
	       json_object_set_new(object, "name", sp_explain_text_json(rule->value[SP_FIELD_NAME]));
}

static int add_field(json_t *object, const struct sp_policy *policy, const struct sp_packet_text *packet, const struct sp_rule *rule,
	int field, bool known)
{
	char got[96];
	int result = json_object_set_new(object, "field", sp_explain_text_json(sp_field_names[field]));

	if (field == SP_FIELD_ENABLED)
		return result;
	result |= json_object_set_new(object, "wanted", sp_explain_text_json(sp_explain_wanted(rule, field)));
	if (!known || field == SP_FIELD_BPF)
		return result | json_object_set_new(object, "got", json_null());
	sp_explain_got(policy, packet, field, got, sizeof(got));
	return result | json_object_set_new(object, "got", sp_explain_text_json(got));
}

static json_t *step_json(const struct sp_policy *policy, const struct sp_packet_text *packet, const struct sp_explain_step *step)
{
	static const char *const results[] = {[SP_NO] = "no", [SP_YES] = "monitored", [SP_UNKNOWN] = "unknown"};
	const struct sp_rule *rule = &policy->rules[step->rule];
	json_t *object = json_object();
	int result = add_rule(object, rule);

	result |= json_object_set_new(object, "result", sp_explain_text_json(results[step->answer]));
	result |= json_object_set_new(object, "action", sp_explain_text_json(sp_action_name(rule->action)));
	if (step->field >= 0)
		result |= add_field(object, policy, packet, rule, step->field, step->answer != SP_UNKNOWN);
	if (result == 0)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *near_miss_json(const struct sp_policy *policy, const struct sp_packet_text *packet, const struct sp_explain *explain)
{
	const struct sp_rule *rule;
	json_t *object;
	int result;

	if (explain->near_miss == SP_RULE_NONE)
		return json_null();
	rule = &policy->rules[explain->near_miss];
	object = json_object();
	result = add_rule(object, rule);
	result |= json_object_set_new(object, "action", sp_explain_text_json(sp_action_name(rule->action)));
	result |= add_field(object, policy, packet, rule, explain->near_field, true);
	if (result == 0)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *steps_json(const struct sp_policy *policy, const struct sp_packet_text *packet, const struct sp_explain *explain)
{
	json_t *array = json_array();

	for (size_t i = 0; i < explain->n_steps; i++) {
		if (json_array_append_new(array, step_json(policy, packet, &explain->steps[i])) == 0)
			continue;
		json_decref(array);
		return NULL;
	}
	return array;
}

/* Who decided: a rule, the default, or a builtin. */
static int add_decider(
	json_t *object, const struct sp_policy *policy, const struct sp_packet_text *packet, const struct sp_explain *explain)
{
	const char *builtin = packet->match.family == SP_FAMILY_NONE ? "arp" : "nd";
	bool by_default = explain->rule == SP_RULE_NONE && !explain->builtin && !explain->invalid && explain->untranslatable == NULL;
	int result = 0;

	if (explain->rule != SP_RULE_NONE) {
		result |= add_rule(object, &policy->rules[explain->rule]);
		result |= json_object_set_new(object, "text", sp_rule_text_json(&policy->rules[explain->rule]));
	} else {
		result |= json_object_set_new(object, "rule", json_null());
		if (by_default && !explain->self) {
			result |= json_object_set_new(object, "file", sp_explain_text_json(policy->file));
			result |= json_object_set_new(object, "line", json_integer(policy->default_line));
		}
	}
	result |= json_object_set_new(object, "default", json_boolean(by_default));
	result |= json_object_set_new(object, "self", json_boolean(explain->self));
	return result | json_object_set_new(object, "builtin", explain->builtin ? json_string(builtin) : json_null());
}

json_t *sp_explain_json(const struct sp_policy *policy, const struct sp_packet_text *packet, const struct sp_explain *explain)
{
	json_t *object = json_object();
	char text[512];
	int result;

	sp_packet_text_format(packet, &policy->zones, text, sizeof(text));
	result = json_object_set_new(object, "verdict", sp_explain_text_json(sp_action_name(explain->action)));
	result |= json_object_set_new(object, "reason", sp_explain_text_json(explain->reason));
	result |= json_object_set_new(object, "pending", json_boolean(explain->pending));
	result |= json_object_set_new(object, "packet", sp_explain_text_json(text));
	result |= json_object_set_new(object, "nat", sp_explain_nat_json(policy, explain));
	result |= add_decider(object, policy, &explain->seen, explain);
	result |= json_object_set_new(object, "steps", steps_json(policy, &explain->seen, explain));
	result |= json_object_set_new(object, "near_miss", near_miss_json(policy, &explain->seen, explain));
	if (result == 0)
		return object;
	json_decref(object);
	return NULL;
}
