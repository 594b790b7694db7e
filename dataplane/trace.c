/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/trace.h"

#include "dataplane/stages.h"
#include "dataplane/text.h"
#include "rules/fields.h"
#include "rules/names.h"

const char *const sp_stage_names[SP_STAGE_COUNT] = {
#define X(e, n) [SP_STAGE_##e] = n,
	SP_STAGES(X)
#undef X
};

/* --- on the worker ------------------------------------------------------------------------------------------------------------- */

static void append(struct sp_trace *trace, unsigned int i, enum sp_stage stage, enum sp_trace_kind kind, uint16_t small, uint32_t value)
{
	if (trace->n[i] < SP_TRACE_ITEMS)
		trace->item[i][trace->n[i]++] = (struct sp_trace_item){(uint8_t)stage, (uint8_t)kind, small, value};
}

/* Whether the packet's way had ended before this stage. */
static bool is_over(const struct sp_trace *trace, unsigned int i)
{
	uint8_t kind = trace->n[i] > 0 ? trace->item[i][trace->n[i] - 1].kind : SP_TRACE_PARSED;

	return kind == SP_TRACE_DROPPED || kind == SP_TRACE_REJECTED || kind == SP_TRACE_HANDED || kind == SP_TRACE_HELD ||
	       kind == SP_TRACE_SENT;
}

static uint32_t rule_id(const struct sp_worker *worker, uint32_t slot)
{
	return worker->dataplane->rule_table.ids[slot];
}

/* Whether the session stage, or the state stage after it, left the packet without a session. */
static bool was_miss(const struct sp_trace *trace, unsigned int i)
{
	for (unsigned int k = trace->n[i]; k-- > 0;) {
		uint8_t kind = trace->item[i][k].kind;

		if (kind == SP_TRACE_MISS || kind == SP_TRACE_ENDED)
			return true;
		if (kind == SP_TRACE_HIT || kind == SP_TRACE_HIT_REPLY)
			return false;
	}
	return true;
}

static void trace_session(struct sp_worker *worker, unsigned int i)
{
	uint32_t ref = worker->burst.session[i];
	const struct sp_session_state *state;

	if (!sp_burst_has_session(&worker->burst, i)) {
		append(&worker->trace, i, SP_STAGE_SESSION, SP_TRACE_MISS, 0, 0);
		return;
	}
	state = sp_session_state(worker->sessions, ref);
	append(&worker->trace, i, SP_STAGE_SESSION, ref & SP_SESSION_REPLY ? SP_TRACE_HIT_REPLY : SP_TRACE_HIT, state->state,
		rule_id(worker, state->slot));
}

static void trace_state(struct sp_worker *worker, unsigned int i)
{
	struct sp_trace *trace = &worker->trace;

	if (was_miss(trace, i))
		return;
	if (sp_burst_has_session(&worker->burst, i))
		append(trace, i, SP_STAGE_STATE, SP_TRACE_STATE, sp_session_state(worker->sessions, worker->burst.session[i])->state, 0);
	else
		append(trace, i, SP_STAGE_STATE, SP_TRACE_ENDED, 0, 0);
}

static void trace_classify(struct sp_worker *worker, unsigned int i)
{
	const struct sp_burst *burst = &worker->burst;
	struct sp_trace *trace = &worker->trace;

	if (!was_miss(trace, i))
		return;
	if (burst->slot[i] == SP_SLOT_NONE)
		append(trace, i, SP_STAGE_CLASSIFY, SP_TRACE_NO_RULE, 0, 0);
	else
		append(trace, i, SP_STAGE_CLASSIFY, SP_TRACE_RULE, 0, rule_id(worker, burst->slot[i]));
	if (sp_burst_has_session(burst, i))
		append(trace, i, SP_STAGE_CLASSIFY, SP_TRACE_OPENED, sp_session_state(worker->sessions, burst->session[i])->state, 0);
}

static void trace_inspect(struct sp_worker *worker, unsigned int i)
{
	const struct sp_burst *burst = &worker->burst;
	const struct sp_hot_rule *rule = burst->slot[i] == SP_SLOT_NONE ? NULL : sp_live_rule(worker->live, burst->slot[i]);

	if (burst->n_signatures[i] > 0 || (rule != NULL && rule->inspect >= 0 && burst->packet[i].payload_len > 0))
		append(&worker->trace, i, SP_STAGE_INSPECT, SP_TRACE_SCANNED, burst->n_signatures[i],
			burst->n_signatures[i] > 0 ? burst->signature[i][0] : 0);
}

static void trace_packet(struct sp_worker *worker, unsigned int i, enum sp_stage stage)
{
	const struct sp_burst *burst = &worker->burst;
	const struct sp_key *key = &burst->packet[i].key;
	struct sp_trace *trace = &worker->trace;

	switch (stage) {
	case SP_STAGE_PARSE:
		append(trace, i, stage, SP_TRACE_PARSED, key->family, key->family == SP_FAMILY_NONE ? key->aux : key->proto);
		break;
	case SP_STAGE_FRAGMENT:
		if (burst->verdict[i] == SP_VERDICT_HANDED)
			append(trace, i, stage, SP_TRACE_HANDED, 0, 0);
		else if (burst->verdict[i] == SP_VERDICT_HELD)
			append(trace, i, stage, SP_TRACE_HELD, 0, 0);
		else if (burst->datagrams >> i & 1)
			append(trace, i, stage, SP_TRACE_WHOLE, 0, burst->packet[i].payload_len);
		break;
	case SP_STAGE_OWNER:
		if (burst->verdict[i] == SP_VERDICT_HANDED)
			append(trace, i, stage, SP_TRACE_HANDED, 0, 0);
		break;
	case SP_STAGE_EGRESS:
		if ((burst->verdict[i] == SP_VERDICT_GOING || burst->verdict[i] == SP_VERDICT_SETTLED) && burst->egress[i] != SP_NO_PORT)
			append(trace, i, stage, SP_TRACE_EGRESS, burst->egress[i], 0);
		break;
	case SP_STAGE_SESSION:
		trace_session(worker, i);
		break;
	case SP_STAGE_STATE:
		trace_state(worker, i);
		break;
	case SP_STAGE_CLASSIFY:
		trace_classify(worker, i);
		break;
	case SP_STAGE_INSPECT:
		trace_inspect(worker, i);
		break;
	case SP_STAGE_FORWARD:
		if (burst->verdict[i] == SP_VERDICT_ALLOW)
			append(trace, i, stage, SP_TRACE_SENT, burst->egress[i], 0);
		break;
	default:
		break;
	}
	if (burst->verdict[i] == SP_VERDICT_DROP)
		append(trace, i, stage, SP_TRACE_DROPPED, burst->reason[i], 0);
	else if (burst->verdict[i] == SP_VERDICT_REJECT)
		append(trace, i, stage, SP_TRACE_REJECTED, burst->reason[i], 0);
}

void sp_trace_stage(struct sp_worker *worker, enum sp_stage stage)
{
	for (uint32_t left = worker->trace.packets; left != 0; left &= left - 1) {
		unsigned int i = (unsigned int)__builtin_ctz(left);

		if (!is_over(&worker->trace, i))
			trace_packet(worker, i, stage);
	}
}

/* --- as text ------------------------------------------------------------------------------------------------------------------- */

static void put_rule(struct sp_text *text, uint32_t id)
{
	if (id == 0)
		sp_text_put(text, "the default");
	else
		sp_text_put(text, "rule %u", id);
}

static const char *state_name(uint16_t state)
{
	return state < SP_STATE_COUNT ? sp_state_names[state] : "?";
}

static const char *port_name(const struct sp_dataplane *dataplane, uint16_t port)
{
	if (dataplane->routing != NULL && port >= SP_PORTS_MAX)
		return "Linux";
	return port < dataplane->n_ports ? dataplane->ports[port].name : "?";
}

static void put_parsed(struct sp_text *text, const struct sp_trace_item *item)
{
	char name[16];

	if (item->small == SP_FAMILY_NONE)
		sp_text_put(text, "no IP, %s", sp_ethertype_name((uint16_t)item->value, name));
	else
		sp_text_put(text, "ipv%u %s", item->small, sp_proto_name((uint8_t)item->value, name));
}

static void put_item(struct sp_text *text, const struct sp_dataplane *dataplane, const struct sp_trace_item *item)
{
	switch (item->kind) {
	case SP_TRACE_PARSED:
		put_parsed(text, item);
		break;
	case SP_TRACE_HANDED:
		sp_text_put(text, "handed to the worker that owns the %s", item->stage == SP_STAGE_FRAGMENT ? "datagram" : "session");
		break;
	case SP_TRACE_HELD:
		sp_text_put(text, "waits for the others");
		break;
	case SP_TRACE_WHOLE:
		sp_text_put(text, "together, payload %u", item->value);
		break;
	case SP_TRACE_EGRESS:
		sp_text_put(text, "by %s", port_name(dataplane, item->small));
		break;
	case SP_TRACE_HIT:
	case SP_TRACE_HIT_REPLY:
		sp_text_put(text, "hit%s (%s) of ", item->kind == SP_TRACE_HIT ? "" : " as reply", state_name(item->small));
		put_rule(text, item->value);
		break;
	case SP_TRACE_MISS:
		sp_text_put(text, "miss");
		break;
	case SP_TRACE_ENDED:
		sp_text_put(text, "session ended");
		break;
	case SP_TRACE_STATE:
		sp_text_put(text, "%s", state_name(item->small));
		break;
	case SP_TRACE_RULE:
		put_rule(text, item->value);
		break;
	case SP_TRACE_NO_RULE:
		sp_text_put(text, "builtin");
		break;
	case SP_TRACE_OPENED:
		sp_text_put(text, "session opened (%s)", state_name(item->small));
		break;
	case SP_TRACE_SCANNED:
		sp_text_put(text, "%u patterns", item->small);
		if (item->small > 0)
			sp_text_put(text, ", first %u", item->value);
		break;
	case SP_TRACE_SENT:
		sp_text_put(text, "sent by %s", port_name(dataplane, item->small));
		break;
	case SP_TRACE_DROPPED:
	case SP_TRACE_REJECTED:
		sp_text_put(text, "%s %s", item->kind == SP_TRACE_DROPPED ? "dropped" : "rejected",
			item->small < SP_DROP_COUNT ? sp_drop_texts[item->small].name : "?");
		break;
	default:
		break;
	}
}

size_t sp_trace_format(const struct sp_dataplane *dataplane, const struct sp_trace_item *items, unsigned int n, char *buf, size_t size)
{
	struct sp_text text = {buf, size, 0};

	buf[0] = '\0';
	for (unsigned int k = 0; k < n; k++) {
		if (items[k].stage >= SP_STAGE_COUNT)
			continue;
		/* what one stage says several things about is said after its name once */
		if (k > 0 && items[k].stage == items[k - 1].stage)
			sp_text_put(&text, ", ");
		else
			sp_text_put(&text, "%s%s: ", k > 0 ? "; " : "", sp_stage_names[items[k].stage]);
		put_item(&text, dataplane, &items[k]);
	}
	return text.n;
}
