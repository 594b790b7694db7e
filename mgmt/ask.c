/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/ask.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "dataplane/worker.h"
#include "mgmt/problem.h"
#include "mgmt/state.h"

#define CALL_MS   900 /* what is left of a second then is for the next call */
#define SILENT_MS 500 /* a worker that does not answer for so long is said to be silent */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct sp_ask sp_ask_begin(struct sp_call *call)
{
	return (struct sp_ask){.call = call, .end_ms = now_ms() + CALL_MS};
}

enum sp_asked sp_ask_worker(const struct sp_ask *ask, unsigned int worker, struct sp_request *request)
{
	const struct sp_mgmt *mgmt = ask->call->mgmt;
	int64_t left = ask->end_ms - now_ms();

	if (left <= 0 || sp_control_quitting(&mgmt->control))
		return SP_ASKED_NO_TIME;
	if (sp_mailbox_call(&mgmt->dataplane->workers[worker]->mailbox, request, (unsigned int)left) == 0)
		return SP_ASKED_ANSWERED;
	if (left < SILENT_MS)
		return SP_ASKED_NO_TIME;
	sp_problem(&ask->call->reply, 503, "worker-silent", "worker %u did not answer within %u ms", worker, (unsigned int)left);
	ask->call->reply.retry_after = 1;
	return SP_ASKED_SILENT;
}

/* Its text is "WORKER.CURSOR", the cursor in hexadecimal. */
bool sp_page_place_read(struct sp_call *call, struct sp_page_place *place)
{
	const char *text = sp_call_param(call, "cursor");
	struct sp_page_place read;
	char rest;

	*place = (struct sp_page_place){0};
	if (text == NULL)
		return true;
	if (strlen(text) < 24 && strspn(text, "0123456789abcdef.") == strlen(text) &&
		sscanf(text, "%3u.%16" SCNx64 "%c", &read.worker, &read.cursor, &rest) == 2 &&
		read.worker < call->mgmt->dataplane->n_workers) {
		*place = read;
		return true;
	}
	sp_problem(&call->reply, 400, "bad-parameter", "cursor takes the `next` of an earlier answer");
	return false;
}

json_t *sp_page_place_json(const struct sp_call *call, const struct sp_page_place *place)
{
	char text[32];

	if (place->worker >= call->mgmt->dataplane->n_workers)
		return json_null();
	snprintf(text, sizeof(text), "%u.%" PRIx64, place->worker, place->cursor);
	return json_string(text);
}

void sp_page_place_advance(struct sp_page_place *place, bool more, uint64_t cursor)
{
	place->worker += !more;
	place->cursor = more ? cursor : 0;
}
