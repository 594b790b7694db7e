/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One scan of one packet. Everything here belongs to the calling worker; the database is shared and immutable.
 */
#include "dataplane/inspect.h"

#include <rte_mbuf.h>
#include <string.h>

#include "dataplane/stats.h"

static_assert(SP_INSPECT_BUFFER_BYTES > UINT16_MAX, "any payload fits the buffer");

struct scan {
	const struct sp_profile *profile;
	struct sp_inspect_result *result;
	uint32_t matches; /* patterns, each once as far as the result remembers them */
	uint32_t alerts;
};

/* Remembers an id; false when it was known or there is no room. */
static bool remember(struct sp_inspect_result *result, uint32_t id)
{
	for (unsigned int i = 0; i < result->n; i++)
		if (result->signature[i] == id)
			return false;
	if (result->n == SP_SIGNATURES_MAX)
		return false;
	result->signature[result->n++] = id;
	return true;
}

/*
 * Goes on while a match could still change the result: a full list of alerts must not hide a pattern that drops. That pattern then takes
 * the place of the last alert, so that the event names what blocked the session.
 */
static int on_match(unsigned int id, unsigned long long from, unsigned long long to, unsigned int flags, void *context)
{
	struct scan *scan = context;
	struct sp_inspect_result *result = scan->result;
	const struct sp_pattern *pattern;
	bool drops, fresh;

	(void)from;
	(void)to;
	(void)flags;
	if (id >= scan->profile->n_patterns)
		return 0;
	pattern = &scan->profile->patterns[id];
	drops = scan->profile->block && pattern->action == SP_PATTERN_DROP;
	fresh = remember(result, pattern->id);
	if (drops && !result->drop && !fresh && result->n == SP_SIGNATURES_MAX)
		result->signature[SP_SIGNATURES_MAX - 1] = pattern->id;
	result->drop |= drops;
	scan->matches += fresh;
	scan->alerts += fresh && !drops;
	return result->n == SP_SIGNATURES_MAX && (result->drop || !scan->profile->block);
}

/* How many of `len` bytes lie within the direction's depth. */
static uint32_t within_depth(const struct sp_profile *profile, uint32_t scanned, uint32_t len)
{
	uint32_t left;

	if (profile->depth_bytes == 0)
		return len;
	left = scanned < profile->depth_bytes ? profile->depth_bytes - scanned : 0;
	return len < left ? len : left;
}

static void fail(struct sp_inspect_counters *counters, struct sp_inspect_result *result)
{
	sp_count(&counters->errors, 1);
	result->error = true;
}

void sp_inspect_packet(const struct sp_inspector *inspector, hs_scratch_t *scratch, uint8_t *buffer, const struct rte_mbuf *mbuf,
	const struct sp_packet *packet, struct sp_session_inspect *ext, unsigned int direction, struct sp_inspect_counters *counters,
	struct sp_inspect_result *result)
{
	struct scan scan = {.profile = inspector->profile, .result = result};
	uint32_t *scanned = &ext->scanned_bytes[direction];
	uint32_t len;
	const void *payload;
	hs_error_t err;

	memset(result, 0, sizeof(*result));
	if (packet->payload_len == 0 || scan.profile->n_patterns == 0)
		return;
	len = within_depth(scan.profile, *scanned, packet->payload_len);
	if (len == 0) {
		sp_count(&counters->past_depth, 1);
		return;
	}
	payload = rte_pktmbuf_read(mbuf, packet->payload_off, len, buffer);
	if (!payload || !inspector->database || !scratch) {
		fail(counters, result);
		return;
	}
	err = hs_scan(inspector->database, payload, len, 0, scratch, on_match, &scan);
	if (err != HS_SUCCESS && err != HS_SCAN_TERMINATED) {
		fail(counters, result);
		return;
	}
	*scanned = len > UINT32_MAX - *scanned ? UINT32_MAX : *scanned + len;
	sp_count(&counters->packets, 1);
	sp_count(&counters->bytes, len);
	sp_count(&counters->matches, scan.matches);
	sp_count(&counters->alerts, scan.alerts);
	sp_count(&counters->drops, result->drop);
}
