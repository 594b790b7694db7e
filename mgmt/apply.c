/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "What is in force is what the rule file says." The order that keeps this true: compile, write the new text beside the file, publish, and
 * only then rename. A crash before the rename restarts with the old rules, of which nobody was told that they were replaced; a text that
 * cannot be written is said in the answer and in the status.
 */
#include "mgmt/apply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/backends.h"
#include "mgmt/events.h"
#include "mgmt/judge.h"
#include "mgmt/problem.h"
#include "mgmt/publish.h"
#include "mgmt/replace.h"
#include "mgmt/state.h"
#include "rules/read.h"
#include "rules/scan.h"

/* FNV-1a: tells an edited file from an untouched one; it guards against mistakes, not against an attacker who can write the file. */
static uint64_t text_hash(const char *bytes, size_t size)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
	return hash;
}

static void baseline_set(struct sp_mgmt *mgmt, const char *bytes, size_t size)
{
	mgmt->baseline.known = true;
	mgmt->baseline.size = size;
	mgmt->baseline.hash = text_hash(bytes, size);
}

/* Whether the rule file still holds what was loaded from it, or written to it. */
static bool baseline_holds(const struct sp_mgmt *mgmt)
{
	struct sp_diags ignored = {0};
	char *bytes;
	size_t size;
	bool same;

	if (!mgmt->baseline.known)
		return true;
	if (sp_file_read(mgmt->rules_path, &bytes, &size, &ignored) != 0) {
		sp_diags_clear(&ignored);
		return false;
	}
	same = size == mgmt->baseline.size && text_hash(bytes, size) == mgmt->baseline.hash;
	free(bytes);
	return same;
}

void sp_apply_baseline(struct sp_mgmt *mgmt)
{
	const struct sp_ruleset *ruleset = sp_published_get(mgmt->dataplane);
	bool known = ruleset != NULL && ruleset->source != NULL;

	if (known && mgmt->rules_path != NULL)
		baseline_set(mgmt, ruleset->source, ruleset->source_size);
	sp_published_put();
}

void sp_apply_signatures(struct sp_mgmt *mgmt)
{
	const struct sp_ruleset *ruleset = sp_published_get(mgmt->dataplane);

	/* without memory alerts show ids without their texts until the next publish */
	if (ruleset != NULL)
		(void)sp_events_set_signatures(mgmt->events, ruleset);
	sp_published_put();
}

/* Leaves a trace of a change in the event file and in the log. */
static void audit(struct sp_mgmt *mgmt, const char *action, const struct sp_peer *by, bool persistent, json_t *sessions)
{
	uint32_t generation = sp_published_generation(mgmt->dataplane);
	json_t *fields = json_object();

	json_object_set_new(fields, "action", json_string(action));
	json_object_set_new(fields, "by", by != NULL ? sp_peer_json(by) : json_string("signal"));
	json_object_set_new(fields, "generation", json_integer(generation));
	json_object_set_new(fields, "persistent", json_boolean(persistent));
	json_object_set_new(fields, "sessions", json_deep_copy(sessions)); /* its own: another thread writes it */
	sp_events_audit(mgmt->events, fields);
	fprintf(stderr, "sallyport: rules: generation %u in force (%s)%s\n", generation, action,
		persistent ? "" : "; not saved to the rule file");
}

/* Compiles the text; the ruleset keeps a copy of it. NULL with diagnostics. */
static struct sp_ruleset *compile(const char *bytes, size_t size, const struct sp_read_options *options, struct sp_diags *diags)
{
	struct sp_policy *policy = sp_policy_load(bytes, size, options, diags);
	struct sp_ruleset *ruleset;

	if (policy == NULL)
		return NULL;
	ruleset = sp_ruleset_build(policy, diags);
	if (ruleset == NULL) {
		sp_policy_free(policy);
		return NULL;
	}
	ruleset->source = malloc(size + 1);
	if (ruleset->source == NULL) {
		sp_diag_error(diags, options->file, 0, "out of memory");
		sp_ruleset_free(ruleset);
		return NULL;
	}
	memcpy(ruleset->source, bytes, size);
	ruleset->source[size] = '\0';
	ruleset->source_size = size;
	return ruleset;
}

/* Publishes and says in the reply why not. The ruleset is gone either way. */
static bool publish(struct sp_mgmt *mgmt, struct sp_ruleset *ruleset, struct sp_diags *diags, struct sp_reply *reply)
{
	int rc = sp_publish(mgmt->dataplane, ruleset, diags);

	if (rc != 0 && rc != -ETIMEDOUT) {
		sp_ruleset_free(ruleset);
		sp_problem_diags(reply, 503, "not-published", diags, mgmt->rules_path,
			"the rules are right but could not be put into force; the running rules are unchanged");
		return false;
	}
	sp_degraded_set(mgmt, SP_DEGRADED_NOT_RETIRED, rc == -ETIMEDOUT);
	sp_degraded_set(mgmt, SP_DEGRADED_NO_RULES, false);
	sp_apply_signatures(mgmt);
	sp_backends_watch(mgmt);
	return true;
}

/* What becomes of the sessions; with `kill` it happens here. `judged` as before the publish. */
static json_t *judge_sessions(const struct sp_mgmt *mgmt, uint8_t on_change, struct sp_judged *judged)
{
	json_t *json = json_object();

	json_object_set_new(json, "policy", json_string(sp_on_change_names[on_change]));
	if (on_change == SP_ON_CHANGE_KILL) {
		sp_judge_sessions(mgmt, judged);
		json_object_set_new(json, "judged", sp_json_u64(judged->judged));
		json_object_set_new(json, "killed", sp_json_u64(judged->killed));
		json_object_set_new(json, "complete", json_boolean(judged->complete));
	}
	return json;
}

/* `sessions`: what became of them (the reference passes), NULL: nothing. */
static void success(
	struct sp_mgmt *mgmt, const struct sp_diags *diags, bool persistent, bool dry_run, json_t *sessions, struct sp_reply *reply)
{
	uint32_t now = sp_published_generation(mgmt->dataplane);
	json_t *json = json_object();

	json_object_set_new(json, "generation", json_integer(now));
	if (dry_run)
		json_object_set_new(json, "dry_run", json_true());
	json_object_set_new(json, "revision", json_null());
	json_object_set_new(json, "persistent", json_boolean(persistent));
	json_object_set_new(json, "confirm_by", json_null());
	json_object_set_new(json, "sessions", sessions != NULL ? sessions : json_null());
	json_object_set_new(json, "warnings", sp_diags_json(diags, SP_DIAG_WARNING, mgmt->rules_path));
	sp_reply_json(reply, 200, SP_TYPE_JSON, json);
	reply->etag = now;
}

/* Whether the job may replace the rule file: nobody edited it, or it is told not to care. False with a problem. */
static bool unchanged_file(struct sp_mgmt *mgmt, struct sp_job *job)
{
	if (job->force || baseline_holds(mgmt))
		return true;
	sp_problem(&job->reply, 409, "rules-changed",
		"%s was changed since it was loaded: reload it to use it, or add ?force=1 to replace it", mgmt->rules_path);
	return false;
}

/* Publishes the compiled body and makes it the rule file. */
static void put_for_real(struct sp_mgmt *mgmt, struct sp_job *job, struct sp_ruleset *ruleset, struct sp_diags *diags)
{
	struct sp_replace replace;
	int rc = mgmt->rules_path != NULL ? sp_replace_prepare(&replace, mgmt->rules_path, job->body, job->size) : -ENOENT;
	bool kept = unchanged_file(mgmt, job);
	uint8_t on_change = job->has_on_change ? job->on_change : mgmt->on_change;
	struct sp_judged judged;
	json_t *sessions;

	ruleset->on_change = on_change;
	sp_judge_begin(mgmt, &judged);
	/* again, for compiling may have taken seconds in which somebody saved the file */
	if (!kept)
		sp_ruleset_free(ruleset);
	if (!kept || !publish(mgmt, ruleset, diags, &job->reply)) {
		if (rc == 0)
			sp_replace_abort(&replace);
		return;
	}
	if (rc == 0)
		rc = sp_replace_commit(&replace);
	if (rc == 0)
		baseline_set(mgmt, job->body, job->size);
	else if (mgmt->rules_path != NULL)
		sp_diag_warning(diags, mgmt->rules_path, 0,
			"in force, but the file could not be written (%s): a restart brings the old rules back", strerror(-rc));
	sp_degraded_set(mgmt, SP_DEGRADED_NOT_SAVED, rc != 0);
	sp_degraded_set(mgmt, SP_DEGRADED_RELOAD_FAILED, false);
	sessions = judge_sessions(mgmt, on_change, &judged);
	audit(mgmt, "put-rules", &job->by, rc == 0, sessions);
	success(mgmt, diags, rc == 0, false, sessions, &job->reply);
}

void sp_apply_put(struct sp_mgmt *mgmt, struct sp_job *job)
{
	const struct sp_read_options options = {.file = mgmt->rules_path != NULL ? mgmt->rules_path : "request",
		.folder = mgmt->rules_folder,
		.api_body = true,
		.zones = &mgmt->dataplane->zones};
	struct sp_diags diags = {0};
	struct sp_ruleset *ruleset;
	uint32_t now = sp_published_generation(mgmt->dataplane);

	if (job->has_generation && job->generation != now) {
		sp_problem(&job->reply, 412, "stale-generation", "generation %u is in force, not %u: read the rules again", now,
			job->generation);
		return;
	}
	if (!job->dry_run && !unchanged_file(mgmt, job))
		return;
	ruleset = compile(job->body, job->size, &options, &diags);
	if (ruleset == NULL) {
		sp_problem_diags(&job->reply, 422, "invalid-rules", &diags, options.file,
			"%zu error%s in the rules; the running rules are unchanged", diags.errors, diags.errors == 1 ? "" : "s");
	} else if (job->dry_run) {
		sp_ruleset_free(ruleset);
		success(mgmt, &diags, false, true, NULL, &job->reply);
	} else {
		put_for_real(mgmt, job, ruleset, &diags);
	}
	sp_diags_clear(&diags);
}

void sp_apply_reload(struct sp_mgmt *mgmt, const struct sp_peer *by, uint8_t on_change, struct sp_reply *reply)
{
	const struct sp_read_options options = {.file = mgmt->rules_path, .zones = &mgmt->dataplane->zones};
	struct sp_diags diags = {0};
	struct sp_ruleset *ruleset = NULL;
	struct sp_judged judged;
	json_t *sessions;
	char *bytes = NULL;
	size_t size;

	if (mgmt->rules_path == NULL) {
		sp_problem(reply, 409, "no-rule-file", "the configuration names no rule file to reload; use PUT /v1/rules");
		return;
	}
	if (sp_file_read(mgmt->rules_path, &bytes, &size, &diags) == 0)
		ruleset = compile(bytes, size, &options, &diags);
	if (ruleset != NULL)
		ruleset->on_change = on_change;
	sp_judge_begin(mgmt, &judged);
	if (ruleset == NULL) {
		sp_problem_diags(reply, 422, "invalid-rules", &diags, NULL, "%s has %zu error%s; the running rules are unchanged",
			mgmt->rules_path, diags.errors, diags.errors == 1 ? "" : "s");
		sp_degraded_set(mgmt, SP_DEGRADED_RELOAD_FAILED, true);
	} else if (publish(mgmt, ruleset, &diags, reply)) {
		baseline_set(mgmt, bytes, size);
		sp_degraded_set(mgmt, SP_DEGRADED_NOT_SAVED, false);
		sp_degraded_set(mgmt, SP_DEGRADED_RELOAD_FAILED, false);
		sessions = judge_sessions(mgmt, on_change, &judged);
		audit(mgmt, "reload", by, true, sessions);
		success(mgmt, &diags, true, false, sessions, reply);
	}
	sp_diags_print(&diags, stderr);
	sp_diags_clear(&diags);
	free(bytes);
}
