/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * POST, GET and DELETE /v1/captures: what the request says is checked here, captures.c does the rest.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "mgmt/captures.h"
#include "mgmt/events.h"
#include "mgmt/pcapng.h"
#include "mgmt/problem.h"
#include "mgmt/res.h"
#include "mgmt/state.h"

/* --- the request ----------------------------------------------------------------------------------------------------------------- */

static bool bad(struct sp_call *call, const char *name, const char *what)
{
	sp_problem(&call->reply, 400, "bad-json", "/%.64s %s", name, what);
	return false;
}

static bool read_number(struct sp_call *call, const char *name, json_t *value, uint64_t lo, uint64_t hi, uint64_t *out)
{
	json_int_t n = json_integer_value(value);

	if (!json_is_integer(value) || n < 0 || (uint64_t)n < lo || (uint64_t)n > hi) {
		sp_problem(&call->reply, 400, "bad-json", "/%s must be a number from %" PRIu64 " to %" PRIu64, name, lo, hi);
		return false;
	}
	*out = (uint64_t)n;
	return true;
}

static uint8_t point_bit(const char *name)
{
	if (name == NULL)
		return 0;
	return strcmp(name, "rx") == 0     ? SP_CAPTURE_RX
	       : strcmp(name, "tx") == 0   ? SP_CAPTURE_TX
	       : strcmp(name, "drop") == 0 ? SP_CAPTURE_DROP
					   : 0;
}

static bool read_points(struct sp_call *call, json_t *value, uint8_t *points)
{
	json_t *point;
	size_t i;

	*points = 0;
	json_array_foreach (value, i, point) {
		uint8_t bit = point_bit(json_string_value(point));

		if (bit == 0)
			return bad(call, "points", "must be a list of rx, tx and drop");
		*points |= bit;
	}
	return *points != 0 || bad(call, "points", "must be a list of rx, tx and drop, at least one of them");
}

/* One member of the body; false with a problem. Strings belong to the JSON. */
static bool read_member(struct sp_call *call, const char *key, json_t *value, struct sp_captures_request *request)
{
	uint64_t n = 0;

	if (strcmp(key, "filter") == 0) {
		request->filter = json_string_value(value);
		return request->filter != NULL || json_is_null(value) ||
		       bad(call, key, "must be a string, a pcap-filter expression such as \"host 192.0.2.1 and tcp\"");
	}
	if (strcmp(key, "points") == 0)
		return read_points(call, value, &request->points);
	if (strcmp(key, "trace") == 0) {
		request->trace = json_is_true(value);
		return json_is_boolean(value) || bad(call, key, "must be true or false");
	}
	if (strcmp(key, "max_packets") == 0)
		return read_number(call, key, value, 1, SP_CAPTURES_PACKETS_MAX, &request->max_packets);
	if (strcmp(key, "max_bytes") == 0)
		return read_number(call, key, value, SP_CAPTURES_BYTES_MIN, SP_CAPTURES_BYTES_MAX, &request->max_bytes);
	if (strcmp(key, "snaplen") == 0) {
		if (!read_number(call, key, value, SP_CAPTURE_SNAPLEN_MIN, SP_CAPTURE_SNAPLEN_MAX, &n))
			return false;
		request->snaplen = (uint32_t)n;
		return true;
	}
	if (strcmp(key, "max_seconds") == 0) {
		if (!read_number(call, key, value, 1, SP_CAPTURES_SECONDS_MAX, &n))
			return false;
		request->max_seconds = (uint32_t)n;
		return true;
	}
	return bad(call, key, "is not known here: filter, points, trace, snaplen, max_packets, max_bytes, max_seconds are");
}

static bool read_request(struct sp_call *call, json_t *json, struct sp_captures_request *request)
{
	const char *key;
	json_t *value;

	*request = (struct sp_captures_request){
		.snaplen = SP_CAPTURES_SNAPLEN, .max_bytes = SP_CAPTURES_BYTES, .max_seconds = SP_CAPTURES_SECONDS};
	json_object_foreach (json, key, value)
		if (!read_member(call, key, value, request))
			return false;
	/* A trace is whole where the packet's way ends. */
	if (request->points == 0)
		request->points = request->trace ? SP_CAPTURE_TX | SP_CAPTURE_DROP : SP_CAPTURE_RX | SP_CAPTURE_TX | SP_CAPTURE_DROP;
	return true;
}

static void audit(struct sp_call *call, const char *action, uint32_t id, const char *filter)
{
	const struct sp_peer by = sp_call_peer(call);
	json_t *fields = json_object();

	json_object_set_new(fields, "action", json_string(action));
	json_object_set_new(fields, "capture", json_integer(id));
	json_object_set_new(fields, "by", sp_peer_json(&by));
	if (filter != NULL)
		json_object_set_new(fields, "filter", sp_json_text(filter));
	sp_events_audit(call->mgmt->events, fields);
}

/* --- the calls ------------------------------------------------------------------------------------------------------------------- */

static void refuse_create(struct sp_call *call, int rc, const char *why)
{
	switch (rc) {
	case -EINVAL:
		sp_problem(&call->reply, 422, "bad-filter", "%s", why);
		break;
	case -EAGAIN:
		sp_problem(&call->reply, 409, "too-many-captures", "%s", why);
		break;
	default:
		sp_problem(&call->reply, 503, "capture-file", "%s", why);
	}
}

void sp_res_captures_post(struct sp_call *call)
{
	json_t *json = sp_call_object(call, "{\"filter\": \"host 192.0.2.1\"}");
	struct sp_captures_request request;
	char why[768] = "";
	uint32_t id;
	int rc;

	if (json != NULL && read_request(call, json, &request)) {
		rc = sp_captures_create(call->mgmt->captures, &request, &id, why, sizeof(why));
		if (rc == 0) {
			audit(call, "start-capture", id, request.filter);
			sp_reply_json(&call->reply, 201, SP_TYPE_JSON, sp_captures_one_json(call->mgmt->captures, id));
		} else {
			refuse_create(call, rc, why);
		}
	}
	json_decref(json);
}

void sp_res_captures(struct sp_call *call)
{
	json_t *json = json_object();

	json_object_set_new(json, "captures", sp_captures_json(call->mgmt->captures));
	sp_reply_json(&call->reply, 200, SP_TYPE_JSON, json);
}

static bool read_id(struct sp_call *call, uint32_t *id)
{
	uint64_t n;

	if (sp_call_parse_number(call->argument, UINT32_MAX, &n) != 0) {
		sp_problem(&call->reply, 404, "no-such-capture", "a capture has a number, not \"%.32s\"", call->argument);
		return false;
	}
	*id = (uint32_t)n;
	return true;
}

static void refuse_unknown(struct sp_call *call, uint32_t id)
{
	sp_problem(&call->reply, 404, "no-such-capture", "there is no capture %u; GET /v1/captures lists them", id);
}

/* The file as it is at this moment. */
static void download(struct sp_call *call, uint32_t id)
{
	uint64_t bytes = 0;
	int fd = sp_captures_open(call->mgmt->captures, id, &bytes);

	if (fd == -ENOENT) {
		refuse_unknown(call, id);
		return;
	}
	if (fd < 0) {
		sp_problem(&call->reply, 503, "capture-file", "the file of capture %u cannot be read: %s", id, strerror(-fd));
		return;
	}
	call->stream = MHD_create_response_from_fd64(bytes, fd);
	if (call->stream == NULL) {
		close(fd);
		return;
	}
	(void)MHD_add_response_header(call->stream, MHD_HTTP_HEADER_CONTENT_TYPE, SP_PCAPNG_TYPE);
}

void sp_res_capture(struct sp_call *call)
{
	const char *accept = sp_call_header(call, MHD_HTTP_HEADER_ACCEPT);
	json_t *json;
	uint32_t id;

	if (!read_id(call, &id))
		return;
	if (accept == NULL || strstr(accept, SP_TYPE_JSON) == NULL) {
		download(call, id);
		return;
	}
	json = sp_captures_one_json(call->mgmt->captures, id);
	if (json != NULL)
		sp_reply_json(&call->reply, 200, SP_TYPE_JSON, json);
	else
		refuse_unknown(call, id);
}

void sp_res_capture_delete(struct sp_call *call)
{
	json_t *json;
	uint32_t id;
	int rc;

	if (!read_id(call, &id))
		return;
	rc = sp_captures_delete(call->mgmt->captures, id);
	if (rc == -ENOENT) {
		refuse_unknown(call, id);
		return;
	}
	audit(call, rc == 0 ? "stop-capture" : "remove-capture", id, NULL);
	json = json_object();
	json_object_set_new(json, "id", json_integer(id));
	json_object_set_new(json, "state", json_string(rc == 0 ? "stopping" : "removed"));
	sp_reply_json(&call->reply, 200, SP_TYPE_JSON, json);
}
