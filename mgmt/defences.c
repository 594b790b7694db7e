/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/defences.h"

#include <stdio.h>

#include "mgmt/reply.h"

static void set_u64(json_t *object, const char *name, uint64_t value)
{
	json_object_set_new(object, name, sp_json_u64(value));
}

json_t *sp_states_json(const uint64_t counters[SP_STATE_COUNT])
{
	json_t *json = json_object();

	for (unsigned int state = 0; state < SP_STATE_COUNT; state++)
		set_u64(json, sp_state_names[state], counters[state]);
	return json;
}

uint64_t sp_defences_embryonic(const struct sp_sessions_counters *sessions)
{
	return sessions->active_state[SP_STATE_TCP_SYN_SENT] + sessions->active_state[SP_STATE_TCP_SYN_RECEIVED];
}

json_t *sp_defences_json(const struct sp_dataplane *dataplane, const struct sp_stats *stats, const struct sp_sessions_counters *sessions)
{
	const struct sp_flood_config *floods = &dataplane->floods;
	const struct sp_defence_counters *counters = &stats->defence;
	json_t *json = json_object(), *proxy = json_object(), *pressure = json_object();

	json_object_set_new(proxy, "mode", json_string(sp_syn_proxy_mode_names[floods->syn_proxy]));
	set_u64(proxy, "engaged", counters->engaged[SP_DEFENCE_SYN_PROXY]);
	set_u64(proxy, "engagements", counters->engagements[SP_DEFENCE_SYN_PROXY]);
	set_u64(proxy, "embryonic", sp_defences_embryonic(sessions));
	set_u64(proxy, "threshold", (uint64_t)floods->embryonic_high * dataplane->n_workers);
	set_u64(proxy, "cookies_sent", counters->cookies_sent);
	set_u64(proxy, "cookies_valid", counters->cookies_valid);
	set_u64(proxy, "cookies_invalid", counters->cookies_invalid);
	set_u64(proxy, "opening", counters->opening);
	set_u64(proxy, "opened", counters->opened);
	set_u64(proxy, "refused", counters->refused);
	set_u64(proxy, "unanswered", counters->unanswered);
	set_u64(proxy, "syn_retries", counters->syn_retries);
	set_u64(pressure, "engaged", counters->engaged[SP_DEFENCE_PRESSURE]);
	set_u64(pressure, "engagements", counters->engagements[SP_DEFENCE_PRESSURE]);
	json_object_set_new(json, sp_defence_names[SP_DEFENCE_SYN_PROXY], proxy);
	json_object_set_new(json, sp_defence_names[SP_DEFENCE_PRESSURE], pressure);
	return json;
}

static void add(json_t *array, enum sp_defence defence, const char *text)
{
	json_t *entry = json_object();

	json_object_set_new(entry, "code", json_string(sp_defence_names[defence]));
	json_object_set_new(entry, "text", json_string(text));
	json_array_append_new(array, entry);
}

json_t *sp_defending_json(const struct sp_dataplane *dataplane)
{
	struct sp_sessions_counters sessions;
	json_t *array = json_array();
	struct sp_stats stats;
	char text[160];
	uint64_t held;

	sp_stats_sum(dataplane, &stats, &sessions, &held);
	if (stats.defence.engaged[SP_DEFENCE_SYN_PROXY] != 0) {
		snprintf(text, sizeof(text), "%llu of %u workers answer SYNs by cookies; %llu connections are half open",
			(unsigned long long)stats.defence.engaged[SP_DEFENCE_SYN_PROXY], dataplane->n_workers,
			(unsigned long long)sp_defences_embryonic(&sessions));
		add(array, SP_DEFENCE_SYN_PROXY, text);
	}
	if (stats.defence.engaged[SP_DEFENCE_PRESSURE] != 0) {
		snprintf(text, sizeof(text), "%llu of %u workers shorten time-outs; %llu sessions are live",
			(unsigned long long)stats.defence.engaged[SP_DEFENCE_PRESSURE], dataplane->n_workers,
			(unsigned long long)(sessions.active4 + sessions.active6));
		add(array, SP_DEFENCE_PRESSURE, text);
	}
	return array;
}
