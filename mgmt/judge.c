/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/judge.h"

#include <time.h>

#include "dataplane/rematch.h"
#include "dataplane/worker.h"
#include "mgmt/control.h"
#include "mgmt/state.h"

#define WALK_MS 10000
#define STEP_MS 1000 /* that a worker may take to come to one request */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sp_judge_begin(const struct sp_mgmt *mgmt, struct sp_judged *judged)
{
	struct sp_sessions_counters sessions;
	struct sp_stats stats;
	uint64_t held;

	sp_stats_sum(mgmt->dataplane, &stats, &sessions, &held);
	judged->judged = stats.rematched + stats.rematch_killed;
	judged->killed = stats.rematch_killed;
}

void sp_judge_sessions(const struct sp_mgmt *mgmt, struct sp_judged *judged)
{
	const struct sp_dataplane *dataplane = mgmt->dataplane;
	const int64_t end = now_ms() + WALK_MS;
	struct sp_judged now;

	judged->complete = true;
	for (unsigned int w = 0; w < dataplane->n_workers; w++) {
		struct sp_rematch_walk walk;

		sp_rematch_walk_init(&walk);
		while (walk.more && !sp_control_quitting(&mgmt->control) && now_ms() < end)
			if (sp_mailbox_call(&dataplane->workers[w]->mailbox, &walk.request, STEP_MS) != 0)
				break;
		judged->complete = judged->complete && !walk.more;
	}
	sp_judge_begin(mgmt, &now);
	judged->judged = now.judged - judged->judged;
	judged->killed = now.killed - judged->killed;
}
