/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /v1/nat, and POST /v1/nat/backends. Each member of the answer is made by the module that knows it.
 */
#include <string.h>

#include "mgmt/backends.h"
#include "mgmt/events.h"
#include "mgmt/health.h"
#include "mgmt/nat_json.h"
#include "mgmt/problem.h"
#include "mgmt/res.h"
#include "mgmt/state.h"

static void set_backends(struct sp_call *call, json_t *json)
{
	size_t left_out;

	json_object_set_new(json, "backends", sp_backends_json(call->mgmt, &left_out));
	json_object_set_new(json, "backends_left_out", sp_json_u64(left_out));
}

void sp_res_nat(struct sp_call *call)
{
	json_t *json = json_object();

	if (!sp_nat_json(call, json)) {
		json_decref(json);
		return;
	}
	set_backends(call, json);
	sp_reply_json(&call->reply, 200, SP_TYPE_JSON, json);
}

/* --- draining ------------------------------------------------------------------------------------------------------------------- */

struct drain {
	const char *text; /* the JSON's */
	struct sp_addr address;
	uint32_t entry; /* 0: every one */
	bool drain, has_drain;
};

static bool bad(struct sp_call *call, const char *name, const char *what)
{
	sp_problem(&call->reply, 400, "bad-json", "/%.64s %s", name, what);
	return false;
}

/* One member of the body; false with a problem. */
static bool read_member(struct sp_call *call, const char *key, json_t *value, struct drain *drain)
{
	if (strcmp(key, "address") == 0) {
		drain->text = json_string_value(value);
		return (drain->text != NULL && sp_addr_parse(drain->text, strlen(drain->text), &drain->address) == 0) ||
		       bad(call, key, "must be the address of a backend, such as \"192.0.2.10\"");
	}
	if (strcmp(key, "entry") == 0) {
		json_int_t id = json_integer_value(value);

		if (!json_is_integer(value) || id < 1 || id > INT32_MAX)
			return bad(call, key, "must be the id of a nat entry; without it the backend is meant wherever it stands");
		drain->entry = (uint32_t)id;
		return true;
	}
	if (strcmp(key, "drain") == 0) {
		drain->drain = json_is_true(value);
		drain->has_drain = json_is_boolean(value);
		return drain->has_drain || bad(call, key, "must be true or false");
	}
	return bad(call, key, "is not known here: address, entry and drain are");
}

static bool read_drain(struct sp_call *call, json_t *json, struct drain *drain)
{
	const char *key;
	json_t *value;

	*drain = (struct drain){0};
	json_object_foreach (json, key, value)
		if (!read_member(call, key, value, drain))
			return false;
	if (drain->text == NULL)
		return bad(call, "address", "is missing: which backend?");
	return drain->has_drain || bad(call, "drain", "is missing: true lets no new flows go there, false takes that back");
}

static void audit(struct sp_call *call, const struct drain *drain, unsigned int changed)
{
	const struct sp_peer by = sp_call_peer(call);
	json_t *fields = json_object();

	json_object_set_new(fields, "action", json_string(drain->drain ? "drain-backend" : "take-backend-back"));
	json_object_set_new(fields, "by", sp_peer_json(&by));
	json_object_set_new(fields, "address", json_string(drain->text));
	json_object_set_new(fields, "entry", drain->entry != 0 ? json_integer(drain->entry) : json_null());
	json_object_set_new(fields, "changed", json_integer(changed));
	sp_events_audit(call->mgmt->events, fields);
}

void sp_res_nat_backends_post(struct sp_call *call)
{
	json_t *json = sp_call_object(call, "{\"address\": \"192.0.2.10\", \"drain\": true}"), *answer;
	unsigned int changed, found;
	struct drain drain;

	if (json != NULL && read_drain(call, json, &drain)) {
		changed = sp_health_drain(call->mgmt->health, drain.entry, &drain.address, drain.drain, &found);
		if (found != 0) {
			if (changed != 0)
				audit(call, &drain, changed);
			answer = json_object();
			json_object_set_new(answer, "changed", json_integer(changed));
			sp_reply_json(&call->reply, 200, SP_TYPE_JSON, answer);
		} else {
			sp_problem(&call->reply, 404, "no-such-backend", "%.64s is no backend of %s; GET /v1/nat lists them", drain.text,
				drain.entry != 0 ? "that entry" : "any entry");
		}
	}
	json_decref(json);
}
