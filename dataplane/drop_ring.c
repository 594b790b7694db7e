/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A record is written between an odd and an even value of its sequence; who reads it copies, then looks whether the sequence is still what
 * it was. The worker never waits, a reader that meets a writer leaves the record out.
 */
#include "dataplane/drop_ring.h"

#include <string.h>

#include "dataplane/prefix.h"
#include "dataplane/stages.h"
#include "rules/match.h"

static struct sp_drop_record *begin(struct sp_drop_ring *ring, enum sp_drop_reason reason)
{
	struct sp_drop_record *record = &ring->record[reason][ring->next[reason]++ & (SP_DROP_RING_DEPTH - 1)];

	__atomic_store_n(&record->sequence, record->sequence + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	return record;
}

static void end(struct sp_drop_record *record)
{
	uint32_t sequence = record->sequence + 1;

	/* 0 says that nothing was ever written */
	__atomic_store_n(&record->sequence, sequence != 0 ? sequence : 2, __ATOMIC_RELEASE);
}

static void set_frame(struct sp_drop_record *record, const struct rte_mbuf *mbuf)
{
	uint8_t buffer[SP_DROP_HEADER_BYTES];
	uint32_t have;
	const uint8_t *header = sp_prefix_read(mbuf, SP_DROP_HEADER_BYTES, buffer, &have);

	record->header_len = (uint16_t)have;
	memcpy(record->header, header, have);
}

void sp_drop_note(struct sp_worker *worker, unsigned int i)
{
	const struct sp_burst *burst = &worker->burst;
	const struct sp_packet *packet = &burst->packet[i];
	struct sp_drop_record *record = begin(worker->drops, burst->reason[i]);

	record->tsc = burst->now;
	record->length = burst->length[i];
	record->port = burst->port;
	record->reason = burst->reason[i];
	record->verdict = burst->verdict[i];
	record->has_rule = burst->slot[i] != SP_SLOT_NONE;
	record->rule = record->has_rule ? worker->dataplane->rule_table.ids[burst->slot[i]] : 0;
	record->zone_from = packet->zone_from;
	record->zone_to = packet->zone_to;
	record->tcp_flags = packet->tcp_flags;
	record->kind = packet->kind;
	record->key = packet->key;
	set_frame(record, burst->mbuf[i]);
	end(record);
}

void sp_drop_note_packet(
	struct sp_worker *worker, const struct rte_mbuf *mbuf, const struct sp_packet *packet, uint16_t port, enum sp_drop_reason reason)
{
	struct sp_drop_record *record = begin(worker->drops, reason);

	record->tsc = worker->burst.now;
	record->length = mbuf->pkt_len;
	record->port = port;
	record->reason = reason;
	record->verdict = SP_VERDICT_DROP;
	record->has_rule = false;
	record->rule = 0;
	record->zone_from = packet->zone_from;
	record->zone_to = packet->zone_to;
	record->tcp_flags = packet->tcp_flags;
	record->kind = packet->kind;
	record->key = packet->key;
	set_frame(record, mbuf);
	end(record);
}

void sp_drop_note_fragment(struct sp_worker *worker, const struct rte_mbuf *mbuf, const struct sp_key *key, uint8_t zone, uint16_t port,
	enum sp_drop_reason reason)
{
	const struct sp_packet packet = {.key = *key,
		.kind = key->family == SP_FAMILY_NONE ? SP_KIND_NON_IP : SP_KIND_FRAGMENT,
		.zone_from = zone,
		.zone_to = SP_MATCH_NO_ZONE};

	sp_drop_note_packet(worker, mbuf, &packet, port, reason);
}

void sp_drop_note_mbuf(struct sp_worker *worker, const struct rte_mbuf *mbuf, uint16_t port, enum sp_drop_reason reason)
{
	static const struct sp_key unknown;

	sp_drop_note_fragment(worker, mbuf, &unknown, SP_MATCH_NO_ZONE, port, reason);
}

bool sp_drop_read(const struct sp_drop_ring *ring, enum sp_drop_reason reason, unsigned int index, struct sp_drop_record *out)
{
	const struct sp_drop_record *record = &ring->record[reason][index];
	uint32_t sequence = __atomic_load_n(&record->sequence, __ATOMIC_ACQUIRE);

	if (sequence == 0 || sequence % 2 != 0)
		return false;
	memcpy(out, record, sizeof(*out));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&record->sequence, __ATOMIC_RELAXED) == sequence && out->header_len <= SP_DROP_HEADER_BYTES;
}
