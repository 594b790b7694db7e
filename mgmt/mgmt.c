/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Start and stop of the management side. Order at start: control (a queue that others may fill), event writer, captures, health, API; at
 * stop the reverse, so that nobody is left waiting for a job that nobody does.
 */
#include "mgmt/mgmt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/worker.h"
#include "mgmt/apply.h"
#include "mgmt/backends.h"
#include "mgmt/captures.h"
#include "mgmt/events.h"
#include "mgmt/health.h"
#include "mgmt/res.h"
#include "mgmt/state.h"
#include "rules/file.h"

#define SOCKET_MODE_DEFAULT 0660
#define WRITER_MS           80 /* that the event writer gets to empty the rings, when the process leaves in a hurry */
#define WRITER_LAST_MS      20

static bool copy(char **to, const char *from)
{
	*to = from != NULL ? strdup(from) : NULL;
	return from == NULL || *to != NULL;
}

static void release(struct sp_mgmt *mgmt)
{
	sp_health_stop(mgmt->health);
	sp_control_free(&mgmt->control);
	free(mgmt->rules_path);
	free(mgmt->rules_folder);
	free(mgmt->config_path);
	free(mgmt->mode);
	free(mgmt->no_rules);
	free(mgmt);
}

/* Everything that is no thread. NULL on ENOMEM or without a free descriptor. */
static struct sp_mgmt *make(struct sp_dataplane *dataplane, const struct sp_mgmt_config *config)
{
	struct sp_mgmt *mgmt = calloc(1, sizeof(*mgmt));

	if (mgmt == NULL || sp_control_init(&mgmt->control) != 0) {
		sp_health_stop(config->health);
		free(mgmt);
		return NULL;
	}
	mgmt->dataplane = dataplane;
	mgmt->on_change = config->on_change;
	mgmt->tick = config->tick;
	mgmt->working = config->working;
	mgmt->tick_context = config->tick_context;
	if (config->notes != NULL)
		mgmt->notes = *config->notes;
	mgmt->kernel = config->kernel;
	mgmt->health = config->health;
	if (!copy(&mgmt->rules_path, config->rules_path) || !copy(&mgmt->config_path, config->config_path) ||
		!copy(&mgmt->mode, config->mode) || !copy(&mgmt->no_rules, config->no_rules))
		goto err_release;
	sp_degraded_set(mgmt, SP_DEGRADED_NO_RULES, config->no_rules != NULL);
	if (config->rules_path != NULL && (mgmt->rules_folder = sp_file_folder(config->rules_path)) == NULL)
		goto err_release;
	return mgmt;

err_release:
	release(mgmt);
	return NULL;
}

/* It goes without something: the status tells of it as long as the process runs. */
static void go_without(struct sp_mgmt *mgmt, const char *code, const char *why, const char *remedy)
{
	fprintf(stderr, "sallyport: %s\n", why);
	sp_notes_add(&mgmt->notes, code, false, why, remedy);
}

static int start_events(struct sp_mgmt *mgmt, const struct sp_mgmt_config *config, char *why, size_t why_size)
{
	struct sp_events_config events = {.path = config->eve_path,
		.rotate_bytes = config->eve_rotate_bytes,
		.keep = config->eve_keep,
		.stats_interval_sec = config->stats_interval_sec};

	mgmt->events = sp_events_start(mgmt->dataplane, &events, why, why_size);
	if (mgmt->events == NULL && config->fail_closed && events.path != NULL) {
		go_without(mgmt, "no-event-file", why, "mend log.eve, then `systemctl restart sallyport`: no events are written");
		events.path = NULL;
		mgmt->events = sp_events_start(mgmt->dataplane, &events, why, why_size);
	}
	return mgmt->events != NULL ? 0 : -1;
}

static int start_api(struct sp_mgmt *mgmt, const struct sp_mgmt_config *config, char *why, size_t why_size)
{
	struct sp_api_config api = {.path = config->socket_path,
		.mode = config->socket_mode != 0 ? config->socket_mode : SOCKET_MODE_DEFAULT,
		.group = config->socket_group,
		.tls = config->tls,
		.fail_closed = config->fail_closed};
	char remedy[256];
	int rc;

	if (api.path == NULL)
		return 0;
	rc = sp_api_start(mgmt, &api, why, why_size);
	if (rc == 0 || !config->fail_closed || (api.group == NULL && strcmp(api.path, config->spare_socket) == 0))
		return rc;
	snprintf(remedy, sizeof(remedy), "mend api.socket and api.group, then `systemctl restart sallyport`; the socket is at %s",
		config->spare_socket);
	go_without(mgmt, "other-socket", why, remedy);
	api.path = config->spare_socket;
	api.group = NULL;
	return sp_api_start(mgmt, &api, why, why_size);
}

struct sp_mgmt *sp_mgmt_start(struct sp_dataplane *dataplane, const struct sp_mgmt_config *config, char *why, size_t why_size)
{
	struct sp_mgmt *mgmt = make(dataplane, config);

	if (mgmt == NULL) {
		snprintf(why, why_size, "no memory or no free descriptor for the management side");
		return NULL;
	}
	sp_apply_baseline(mgmt);
	if (start_events(mgmt, config, why, why_size) != 0)
		goto err_release;
	sp_events_set_stats(mgmt->events, sp_mgmt_stats_json, mgmt);
	sp_apply_signatures(mgmt);
	mgmt->captures =
		sp_captures_start(dataplane, config->captures_folder != NULL ? config->captures_folder : SP_CAPTURES_FOLDER, why, why_size);
	if (mgmt->captures == NULL)
		goto err_events;
	if (sp_backends_start(mgmt, why, why_size) != 0)
		goto err_captures;
	if (start_api(mgmt, config, why, why_size) != 0)
		goto err_captures;
	return mgmt;

err_captures:
	sp_captures_stop(mgmt->captures);
err_events:
	sp_events_stop(mgmt->events);
err_release:
	release(mgmt);
	return NULL;
}

bool sp_mgmt_workers_beat(const struct sp_mgmt *mgmt)
{
	for (unsigned int w = 0; w < mgmt->dataplane->n_workers; w++)
		if (!sp_pulse_beats(&mgmt->pulse, mgmt->dataplane, w))
			return false;
	return true;
}

void sp_mgmt_abandon(struct sp_mgmt *mgmt)
{
	static const struct timespec pause = {.tv_nsec = 1000000};
	const struct sp_dataplane *dataplane = mgmt->dataplane;

	if (mgmt->api != NULL)
		sp_api_abandon(mgmt->api);
	for (unsigned int w = 0, ms = 0; w < dataplane->n_workers; w++)
		for (; rte_ring_count(dataplane->workers[w]->events.ring) != 0 && ms < WRITER_MS; ms++)
			nanosleep(&pause, NULL);
	/* the ring is empty before its last event is a line */
	for (unsigned int ms = 0; ms < WRITER_LAST_MS; ms++)
		nanosleep(&pause, NULL);
}

void sp_mgmt_stop(struct sp_mgmt *mgmt)
{
	/* the API thread gives up what it is doing, and jobs that wait are answered */
	sp_mgmt_quit(mgmt);
	sp_control_close(&mgmt->control);
	sp_streams_close(sp_events_streams(mgmt->events));
	if (mgmt->api != NULL)
		sp_api_stop(mgmt->api);
	sp_captures_stop(mgmt->captures);
	sp_events_stop(mgmt->events);
	release(mgmt);
}
