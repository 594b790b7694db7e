/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state is the worker's; others read its counters.
 */
#include "dataplane/defence.h"

#include "dataplane/stages.h"
#include "dataplane/syn_proxy.h"

#define SECOND_MS 1000u

const char *const sp_syn_proxy_mode_names[SP_SYN_PROXY_MODES] = {
	[SP_SYN_PROXY_OFF] = "off", [SP_SYN_PROXY_AUTO] = "auto", [SP_SYN_PROXY_ALWAYS] = "always"};

const char *const sp_defence_names[SP_DEFENCE_COUNT] = {[SP_DEFENCE_SYN_PROXY] = "syn_proxy", [SP_DEFENCE_PRESSURE] = "pressure"};

struct sp_flood_config sp_flood_share(const struct sp_flood_config *all, unsigned int n_workers)
{
	struct sp_flood_config share = *all;

	share.embryonic_high = RTE_MAX(all->embryonic_high / n_workers, 1u);
	share.embryonic_low = RTE_MIN(all->embryonic_low / n_workers, share.embryonic_high - 1);
	return share;
}

uint64_t sp_defence_embryonic(const struct sp_worker *worker)
{
	const struct sp_sessions_counters *counters = sp_sessions_counters(worker->sessions);

	return counters->active_state[SP_STATE_TCP_SYN_SENT] + counters->active_state[SP_STATE_TCP_SYN_RECEIVED];
}

static void engage(struct sp_worker *worker, enum sp_defence defence, uint64_t value, uint64_t threshold)
{
	worker->defence.calm[defence] = 0;
	__atomic_store_n(&worker->stats.defence.engaged[defence], 1, __ATOMIC_RELAXED);
	sp_count(&worker->stats.defence.engagements[defence], 1);
	sp_notify_defence(worker, defence, true, value, threshold);
}

static void disengage(struct sp_worker *worker, enum sp_defence defence, uint64_t value, uint64_t threshold)
{
	__atomic_store_n(&worker->stats.defence.engaged[defence], 0, __ATOMIC_RELAXED);
	sp_notify_defence(worker, defence, false, value, threshold);
}

void sp_defence_init(struct sp_worker *worker)
{
	if (worker->dataplane->floods.syn_proxy != SP_SYN_PROXY_ALWAYS)
		return;
	worker->defence.proxying = true;
	worker->stats.defence.engaged[SP_DEFENCE_SYN_PROXY] = 1;
	worker->stats.defence.engagements[SP_DEFENCE_SYN_PROXY] = 1;
}

void sp_defence_opened(struct sp_worker *worker)
{
	const struct sp_flood_config *floods = &worker->dataplane->floods;
	const uint64_t embryonic = sp_defence_embryonic(worker);

	if (floods->syn_proxy != SP_SYN_PROXY_AUTO || worker->defence.proxying || embryonic < floods->embryonic_high)
		return;
	worker->defence.proxying = true;
	engage(worker, SP_DEFENCE_SYN_PROXY, embryonic, floods->embryonic_high);
}

/*
 * It is calm when, without the proxy, few connections would be half open: those that are, and those that this second's unanswered cookies
 * would have become while their time-out runs. So a flood that goes on keeps the proxy engaged, although it leaves nothing half open.
 */
static void watch_syns(struct sp_worker *worker)
{
	const struct sp_flood_config *floods = &worker->dataplane->floods;
	const struct sp_defence_counters *counters = &worker->stats.defence;
	struct sp_defence_state *state = &worker->defence;
	uint64_t sent = counters->cookies_sent - state->sent, valid = counters->cookies_valid - state->valid, embryonic;

	state->sent = counters->cookies_sent;
	state->valid = counters->cookies_valid;
	if (floods->syn_proxy != SP_SYN_PROXY_AUTO || !state->proxying)
		return;
	embryonic = sp_defence_embryonic(worker);
	if (sent > valid)
		embryonic += (sent - valid) * (sp_sessions_base_timeout_ms(worker->sessions, SP_STATE_TCP_SYN_SENT) / SECOND_MS);
	state->calm[SP_DEFENCE_SYN_PROXY] = embryonic < floods->embryonic_low ? state->calm[SP_DEFENCE_SYN_PROXY] + 1 : 0;
	if (state->calm[SP_DEFENCE_SYN_PROXY] < floods->calm_sec)
		return;
	state->proxying = false;
	disengage(worker, SP_DEFENCE_SYN_PROXY, embryonic, floods->embryonic_low);
}

static void watch_pressure(struct sp_worker *worker)
{
	const uint32_t left = sp_sessions_pressure(worker->sessions);
	const bool engaged = worker->stats.defence.engaged[SP_DEFENCE_PRESSURE] != 0;
	uint32_t *calm = &worker->defence.calm[SP_DEFENCE_PRESSURE];

	*calm = left == SP_PRESSURE_NONE ? *calm + 1 : 0;
	if (!engaged && left != SP_PRESSURE_NONE)
		engage(worker, SP_DEFENCE_PRESSURE, left * 100 / SP_PRESSURE_NONE, 100);
	else if (engaged && *calm >= RTE_MAX(worker->dataplane->floods.calm_sec, 1u))
		disengage(worker, SP_DEFENCE_PRESSURE, 100, 100);
}

void sp_defence_turn(struct sp_worker *worker, uint32_t now_ms)
{
	if (unlikely(worker->stats.defence.opening != 0))
		sp_syn_proxy_retry(worker, now_ms);
	if (likely(now_ms - worker->defence.second_ms < SECOND_MS))
		return;
	worker->defence.second_ms = now_ms;
	if (worker->defence.expecting && !sp_syn_proxy_expects(worker)) {
		worker->defence.expecting = false;
		sp_syn_proxy_begin(worker);
	}
	watch_syns(worker);
	watch_pressure(worker);
}
