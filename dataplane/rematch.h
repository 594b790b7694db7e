/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What becomes of live sessions when the rules change (enum sp_on_change). The packet path judges a session of older rules when its next
 * packet comes (sp_rematch_burst); `kill` judges all of them at once, by bounded requests to their owners.
 */
#ifndef SP_DATAPLANE_REMATCH_H
#define SP_DATAPLANE_REMATCH_H

#include "dataplane/mailbox.h"

/* Sessions that one request judges: a classification each, so that a worker is held for some tens of microseconds. */
#define SP_REMATCH_STEP 128

struct sp_rematch_walk {
	struct sp_request request; /* post this; run is set by sp_rematch_walk_init */
	uint64_t cursor;           /* 0 at first; where to go on */
	uint64_t judged, killed;   /* sums over all requests */
	bool more;                 /* post again */
};

/* Prepares a walk over one worker's sessions, to be posted after the publish until `more` is false. */
void sp_rematch_walk_init(struct sp_rematch_walk *walk);

#endif
