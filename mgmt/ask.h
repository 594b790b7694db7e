/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asking worker after worker for what they have, within the time of one call, and the cursor with which a client goes on.
 */
#ifndef SP_MGMT_ASK_H
#define SP_MGMT_ASK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/mailbox.h"
#include "mgmt/api.h"

enum sp_asked { SP_ASKED_ANSWERED, SP_ASKED_NO_TIME, SP_ASKED_SILENT };

struct sp_ask {
	struct sp_call *call;
	int64_t end_ms; /* of CLOCK_MONOTONIC */
};

struct sp_page_place {
	unsigned int worker;
	uint64_t cursor; /* within it */
};

/* The time of a call begins: it is for all workers together, however many there are. */
struct sp_ask sp_ask_begin(struct sp_call *call);

/*
 * Has one worker run the request; waits for it. NO_TIME: it was not run, and the call should answer with what it has; SILENT: with a 503
 * problem as its answer. API thread.
 */
enum sp_asked sp_ask_worker(const struct sp_ask *ask, unsigned int worker, struct sp_request *request);

/* The parameter `cursor`; without one, the first place. False with a problem. */
bool sp_page_place_read(struct sp_call *call, struct sp_page_place *place);

/* The `next` of an answer: where to go on, JSON null behind the last worker. NULL on ENOMEM. */
json_t *sp_page_place_json(const struct sp_call *call, const struct sp_page_place *place);

/* Goes on behind a page: at `cursor` when the worker has more, else with the next one. */
void sp_page_place_advance(struct sp_page_place *place, bool more, uint64_t cursor);

#endif
