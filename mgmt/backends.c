/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/backends.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/nat.h"
#include "mgmt/health.h"
#include "mgmt/publish.h"
#include "mgmt/reply.h"
#include "mgmt/state.h"

#define REPORTS     128   /* taken at a time, so that the health thread does not wait for JSON */
#define REPORTS_MAX 16384 /* told in one answer */
#define NS_PER_MS   1000000

/* On the health thread. An entry that the rules in force do not have will be told of when they do. */
static bool changed(void *context, uint32_t entry, const bool *live, size_t n)
{
	struct sp_mgmt *mgmt = context;
	int rc = sp_nat_set_live(mgmt->dataplane, entry, live, n);

	if (rc != 0 && rc != -ENOENT)
		fprintf(stderr, "sallyport: nat entry %u: which backends live could not be put into force: %s\n", entry, strerror(-rc));
	return rc != -ENOMEM;
}

int sp_backends_start(struct sp_mgmt *mgmt, char *why, size_t why_size)
{
	if (mgmt->health == NULL && (mgmt->health = sp_health_start(NULL, why, why_size)) == NULL)
		return -1;
	sp_health_connect(mgmt->health, changed, mgmt);
	sp_backends_watch(mgmt);
	return 0;
}

void sp_backends_watch(struct sp_mgmt *mgmt)
{
	const struct sp_ruleset *ruleset = sp_published_get(mgmt->dataplane);
	int rc = sp_health_watch(mgmt->health, ruleset != NULL ? ruleset->policy->nat : NULL);

	sp_published_put();
	if (rc != 0)
		fprintf(stderr, "sallyport: nat: the backends of the new rules are not asked (%s): those of the old ones still are\n",
			strerror(-rc));
}

static json_t *report_json(const struct sp_health_report *report)
{
	json_t *json = json_object();
	char address[48];

	json_object_set_new(json, "entry", json_integer(report->entry));
	json_object_set_new(json, "address", json_string(sp_addr_format(&report->address, address, sizeof(address))));
	json_object_set_new(json, "port", report->port != 0 ? json_integer(report->port) : json_null());
	json_object_set_new(json, "checked", json_boolean(report->checked));
	json_object_set_new(json, "live", json_boolean(report->live));
	json_object_set_new(json, "drained", json_boolean(report->drained));
	json_object_set_new(json, "asked", sp_json_u64(report->asked));
	json_object_set_new(json, "failed", sp_json_u64(report->failed));
	json_object_set_new(json, "since", sp_json_time((uint64_t)report->since_ms * NS_PER_MS));
	json_object_set_new(json, "why", report->why[0] != '\0' ? sp_json_text(report->why) : json_null());
	return json;
}

json_t *sp_backends_json(struct sp_mgmt *mgmt, size_t *left_out)
{
	struct sp_health_report reports[REPORTS];
	json_t *array = json_array();
	size_t first = 0, n;

	*left_out = 0;
	if (array == NULL)
		return NULL;
	while ((n = sp_health_reports(mgmt->health, first, reports, REPORTS)) != 0) {
		for (size_t i = 0; i < n && first + i < REPORTS_MAX; i++)
			json_array_append_new(array, report_json(&reports[i]));
		first += n;
	}
	if (first > REPORTS_MAX)
		*left_out = first - REPORTS_MAX;
	return array;
}
