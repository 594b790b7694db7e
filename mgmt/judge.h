/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * After rules were published with `kill`: every session of older rules is judged at once, instead of when its next packet comes.
 */
#ifndef SP_MGMT_JUDGE_H
#define SP_MGMT_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

struct sp_mgmt;

struct sp_judged {
	uint64_t judged, killed; /* since sp_judge_begin, by the walk or by packets that came before it */
	bool complete;           /* false: a worker was silent, or time ran out; what is left is judged when its next packet comes */
};

/* Notes what was judged before the rules changed. Before the publish. */
void sp_judge_begin(const struct sp_mgmt *mgmt, struct sp_judged *judged);

/* Walks all workers' sessions, a bounded step after the other; at most ten seconds. Control thread; blocks. */
void sp_judge_sessions(const struct sp_mgmt *mgmt, struct sp_judged *judged);

#endif
