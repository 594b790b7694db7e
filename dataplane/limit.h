/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Limits over all workers together: rates (token buckets as GCRA: one 64-bit theoretical arrival time each, advanced by compare-and-swap)
 * and counts per source (max_per_source). Lock-free, bounded probing, no allocation after start.
 */
#ifndef SP_DATAPLANE_LIMIT_H
#define SP_DATAPLANE_LIMIT_H

#include "dataplane/rule_table.h"

struct sp_limit_table; /* per-source buckets and per-source session counts, shared by all workers */

/*
 * Room for `sources` sources with a rate and as many with a count (1..2^28, rounded up to a power of two): 128 bytes each, touched as they
 * are used. A bucket is free again as soon as it is full of tokens. NULL with errno (ENOMEM, EINVAL, or the kernel's when it gives no
 * secret).
 */
struct sp_limit_table *sp_limit_table_create(uint32_t sources);
void sp_limit_table_free(struct sp_limit_table *table);

/*
 * Takes `units` (1 for an open or a packet, bits for SP_LIMIT_BITS) from the rule's bucket, or its source's. Returns SP_DROP_NONE,
 * SP_DROP_LIMIT when there is too little, SP_DROP_TABLE_LIMITS_FULL when the source has no bucket and none is free (fails closed). `now_ns`
 * is monotonic and about the same on all workers.
 */
uint8_t sp_limit_take(struct sp_limit_table *table, struct sp_rule_shared *shared, uint32_t slot, const struct sp_limit *limit,
	const struct sp_addr *src, uint64_t units, uint64_t now_ns);

/* Counts one more session of a source under a rule: SP_DROP_NONE, SP_DROP_LIMIT at `max`, or SP_DROP_TABLE_LIMITS_FULL. A source is a /32
 * or a /64. */
uint8_t sp_source_acquire(struct sp_limit_table *table, uint32_t slot, const struct sp_addr *src, uint32_t max);

/* Gives one back; every successful acquire is followed by exactly one. */
void sp_source_release(struct sp_limit_table *table, uint32_t slot, const struct sp_addr *src);

#endif
