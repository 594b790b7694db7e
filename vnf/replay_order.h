/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Verdicts in the order of the frames. What becomes of a fragment is known when its datagram is together, or never will be; the verdicts
 * of later frames wait for it here. One thread, the caller's.
 */
#ifndef SP_VNF_REPLAY_ORDER_H
#define SP_VNF_REPLAY_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/burst.h"
#include "rules/match.h"

struct sp_replay_verdict {            /* what it points to is valid while it is reported */
	uint64_t n;                   /* of the frame, from 1 */
	uint64_t ns;                  /* its time, since the epoch */
	const struct sp_match *match; /* what rules saw; family NONE and ethertype 0 when the parser gave up before that */
	uint8_t verdict;              /* enum sp_verdict: ALLOW, DROP or REJECT */
	uint8_t reason;               /* enum sp_drop_reason */
	uint32_t rule;                /* id of the deciding rule; 0: the default, or none had a say */
	uint8_t n_signatures;
	const uint32_t *signatures;
};

typedef void (*sp_replay_report_fn)(void *context, const struct sp_replay_verdict *verdict);

/*
 * Verdicts that wait at most. A longer wait gives the order up, not the memory: what is decided is then reported at once, and what is not
 * when it is.
 */
#define SP_REPLAY_ORDER_MAX 65536u

struct sp_replay_order;

/* NULL with errno. */
struct sp_replay_order *sp_replay_order_create(sp_replay_report_fn report, void *context);

/* Frees what still waits without a report; NULL is fine. */
void sp_replay_order_free(struct sp_replay_order *order);

/* The next frame's verdict (n grows), which is copied; `open`: verdict, reason, rule and signatures come later. */
void sp_replay_order_put(struct sp_replay_order *order, const struct sp_replay_verdict *verdict, bool open);

/* The verdict of an open frame; ns is as it was put, and so is the match when this one is NULL. Unknown n: nothing happens. */
void sp_replay_order_decide(struct sp_replay_order *order, const struct sp_replay_verdict *verdict);

/* Whether every verdict was reported. */
bool sp_replay_order_is_done(const struct sp_replay_order *order);

#endif
