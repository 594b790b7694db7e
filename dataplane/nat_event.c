/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the translator tells: who has which external port (when the entry logs), and that ports ran out (at most once a second an entry and
 * worker).
 */
#include <netinet/in.h>
#include <string.h>

#include "dataplane/nat_internal.h"
#include "dataplane/stats.h"

const char *const sp_nat_event_names[SP_NAT_EVENT_COUNT] = {
#define X(e, n) [SP_NAT_EVENT_##e] = n,
	SP_NAT_EVENTS(X)
#undef X
};

const char *const sp_nat_proto_names[SP_NAT_PROTO_COUNT] = {
#define X(e, n) [SP_NAT_PROTO_##e] = n,
	SP_NAT_PROTOS(X)
#undef X
};

static uint8_t proto_number(unsigned int proto, uint8_t family)
{
	switch (proto) {
	case SP_NAT_PROTO_TCP:
		return IPPROTO_TCP;
	case SP_NAT_PROTO_UDP:
		return IPPROTO_UDP;
	case SP_NAT_PROTO_SCTP:
		return IPPROTO_SCTP;
	default:
		return family == SP_FAMILY_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	}
}

static void start(
	const struct sp_worker *worker, struct sp_event *event, uint32_t entry, enum sp_nat_event what, const struct sp_addr *inside)
{
	memset(event, 0, sizeof(*event));
	event->tsc = worker->burst.now;
	event->type = SP_EVENT_NAT;
	event->why = (uint8_t)what;
	event->rule = entry;
	event->worker = (uint8_t)worker->index;
	event->port = SP_NO_PORT;
	event->key.family = inside->family;
	sp_nat_set_addr(&event->key, true, inside);
}

/* Whether the entry, if the rules still have it, logs beginnings or ends. */
static bool logs(const struct sp_worker *worker, uint32_t entry, enum sp_nat_event what, bool blocks)
{
	const struct sp_nat_rules *rules = worker->live != NULL ? worker->live->nat : NULL;
	const struct sp_nat_rule *rule = rules != NULL ? sp_nat_rule_by_id(rules, entry) : NULL;
	uint8_t bit = what == SP_NAT_EVENT_MAPPING || what == SP_NAT_EVENT_BLOCK ? SP_LOG_START : SP_LOG_END;

	return rule != NULL && (rule->entry->log & bit) != 0 && (rule->entry->block_size != 0) == blocks;
}

void sp_nat_tell_mapping(struct sp_worker *worker, const struct sp_nat_mapping *mapping, enum sp_nat_event what)
{
	struct sp_event event;

	if (!logs(worker, mapping->entry, what, false))
		return;
	start(worker, &event, mapping->entry, what, &mapping->inside);
	event.key.proto = proto_number(mapping->proto, mapping->inside.family);
	event.key.sport = mapping->inside_port;
	event.key.dport = mapping->port;
	sp_nat_set_addr(&event.key, false, &mapping->slice->address);
	sp_event_post(&worker->events, &event);
}

void sp_nat_tell_block(struct sp_worker *worker, const struct sp_nat_host *host, const struct sp_nat_block *block, enum sp_nat_event what)
{
	struct sp_event event;

	if (!logs(worker, host->entry, what, true))
		return;
	start(worker, &event, host->entry, what, &host->address);
	event.key.dport = rte_cpu_to_be_16(block->first);
	event.bytes[0] = block->n;
	sp_nat_set_addr(&event.key, false, &host->slice->address);
	sp_event_post(&worker->events, &event);
}

void sp_nat_tell_exhausted(struct sp_worker *worker, struct sp_nat_rule *rule, const struct sp_nat_want *want)
{
	struct sp_nat_entry_counters *counters = &rule->counters[worker->index];
	const uint32_t second = worker->burst.now_ms / 1000 + 1;
	struct sp_event event;

	sp_count(&counters->exhausted, 1);
	sp_count(&sp_nat_of(worker)->counters.exhausted, 1);
	if (counters->logged_s == second)
		return;
	counters->logged_s = second;
	start(worker, &event, rule->entry->id, SP_NAT_EVENT_EXHAUSTED, &want->inside);
	event.key.proto = proto_number(want->proto, want->inside.family);
	event.key.sport = want->port;
	sp_event_post(&worker->events, &event);
}
