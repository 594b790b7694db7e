/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An array of verdicts sorted by frame, of which the first is always an open one: without fragments nothing is ever stored. Open frames are
 * at most as many as fragments can wait, which is far fewer than there is room for.
 */
#include "vnf/replay_order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	struct sp_replay_verdict verdict;
	struct sp_match match;
	uint32_t signature[SP_SIGNATURES_MAX];
	bool open;
};

struct sp_replay_order {
	sp_replay_report_fn report;
	void *context;
	uint32_t first, end; /* those in use */
	struct entry entry[SP_REPLAY_ORDER_MAX];
};

struct sp_replay_order *sp_replay_order_create(sp_replay_report_fn report, void *context)
{
	struct sp_replay_order *order = malloc(sizeof(*order));

	if (order == NULL)
		return NULL;
	order->report = report;
	order->context = context;
	order->first = order->end = 0;
	return order;
}

void sp_replay_order_free(struct sp_replay_order *order)
{
	free(order);
}

static void set(struct entry *entry, const struct sp_replay_verdict *verdict)
{
	uint64_t ns = entry->verdict.ns;

	entry->verdict = *verdict;
	entry->verdict.ns = ns;
	if (verdict->match != NULL)
		entry->match = *verdict->match;
	if (verdict->n_signatures > 0)
		memcpy(entry->signature, verdict->signatures, verdict->n_signatures * sizeof(entry->signature[0]));
}

static void report(const struct sp_replay_order *order, const struct entry *entry)
{
	struct sp_replay_verdict verdict = entry->verdict;

	verdict.match = &entry->match;
	verdict.signatures = entry->signature;
	order->report(order->context, &verdict);
}

/* Reports those before the first open one. */
static void release(struct sp_replay_order *order)
{
	while (order->first < order->end && !order->entry[order->first].open)
		report(order, &order->entry[order->first++]);
	if (order->first == order->end)
		order->first = order->end = 0;
}

/* Makes room: reports all that are decided, and moves those that are not to the front. */
static void give_order_up(struct sp_replay_order *order)
{
	uint32_t kept = 0;

	for (uint32_t i = order->first; i < order->end; i++) {
		if (!order->entry[i].open)
			report(order, &order->entry[i]);
		else if (kept++ != i)
			order->entry[kept - 1] = order->entry[i];
	}
	order->first = 0;
	order->end = kept;
}

void sp_replay_order_put(struct sp_replay_order *order, const struct sp_replay_verdict *verdict, bool open)
{
	struct entry *entry;

	if (!open && order->end == 0) {
		order->report(order->context, verdict);
		return;
	}
	if (order->end == SP_REPLAY_ORDER_MAX)
		give_order_up(order);
	entry = &order->entry[order->end++];
	entry->open = open;
	entry->verdict.ns = verdict->ns;
	set(entry, verdict);
}

static int compare(const void *n, const void *entry)
{
	uint64_t a = *(const uint64_t *)n, b = ((const struct entry *)entry)->verdict.n;

	return (a > b) - (a < b);
}

void sp_replay_order_decide(struct sp_replay_order *order, const struct sp_replay_verdict *verdict)
{
	struct entry *entry =
		bsearch(&verdict->n, order->entry + order->first, order->end - order->first, sizeof(order->entry[0]), compare);

	if (entry == NULL || !entry->open)
		return;
	entry->open = false;
	set(entry, verdict);
	release(order);
}

bool sp_replay_order_is_done(const struct sp_replay_order *order)
{
	return order->end == 0;
}
