/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stages by name: cycle counters and traces are kept by them.
 */
#ifndef SP_DATAPLANE_STAGE_H
#define SP_DATAPLANE_STAGE_H

/* X(enumerator, name): in the order in which sp_worker_burst runs them. */
#define SP_STAGES(X)            \
	X(PARSE, "parse")       \
	X(FRAGMENT, "fragment") \
	X(OWNER, "owner")       \
	X(SESSION, "session")   \
	X(STATE, "state")       \
	X(EGRESS, "egress")     \
	X(CLASSIFY, "classify") \
	X(INSPECT, "inspect")   \
	X(FORWARD, "forward")   \
	X(FINISH, "finish")

enum sp_stage {
#define X(e, n) SP_STAGE_##e,
	SP_STAGES(X)
#undef X
		SP_STAGE_COUNT
};

extern const char *const sp_stage_names[SP_STAGE_COUNT];

/* One burst in so many has its stages timed: a prime, so that no pattern of ports keeps step with it. */
#define SP_STAGE_SAMPLE 13

#endif
