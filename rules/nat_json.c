/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/nat.h"

#include <jansson.h>

#include "rules/explain_internal.h"

static int set_text(json_t *object, const char *name, const char *text)
{
	return json_object_set_new(object, name, sp_explain_text_json(text));
}

static json_t *health_json(const struct sp_nat_health *health)
{
	bool http = health->type == SP_HEALTH_HTTP;
	json_t *object = json_object();
	int result = set_text(object, "type", http ? "http" : "tcp");

	if (http) {
		result |= set_text(object, "path", health->path);
		result |= set_text(object, "host", health->host);
		result |= json_object_set_new(object, "status", health->status != 0 ? json_integer(health->status) : json_null());
	}
	result |= json_object_set_new(object, "port", health->port != 0 ? json_integer(health->port) : json_null());
	result |= json_object_set_new(object, "interval_ms", json_integer(health->interval_ms));
	result |= json_object_set_new(object, "timeout_ms", json_integer(health->timeout_ms));
	result |= json_object_set_new(object, "up", json_integer(health->up));
	result |= json_object_set_new(object, "down", json_integer(health->down));
	if (result == 0)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *fields_json(const struct sp_nat_entry *entry)
{
	json_t *object = json_object();
	int result = 0;

	for (int key = 0; key < SP_NAT_KEY_COUNT; key++)
		if (entry->value[key] != NULL)
			result |= set_text(object, sp_nat_key_names[key], entry->value[key]);
	if (entry->health.type != SP_HEALTH_NONE)
		result |= json_object_set_new(object, sp_nat_key_names[SP_NAT_KEY_HEALTH], health_json(&entry->health));
	if (result == 0)
		return object;
	json_decref(object);
	return NULL;
}

json_t *sp_nat_entry_json(const struct sp_nat_entry *entry)
{
	json_t *object = json_object();
	int result = json_object_set_new(object, "id", json_integer(entry->id));

	result |= set_text(object, "type", sp_nat_type_names[entry->type]);
	result |= set_text(object, "file", entry->file);
	result |= json_object_set_new(object, "line", json_integer(entry->line));
	result |= json_object_set_new(object, "enabled", json_boolean(entry->enabled));
	result |= set_text(object, "name", entry->name);
	result |= json_object_set_new(object, "fields", fields_json(entry));
	if (result == 0)
		return object;
	json_decref(object);
	return NULL;
}
