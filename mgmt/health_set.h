/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backends that are watched, by entry, and whose turn it is. Plain data of health.c, under its lock.
 */
#ifndef SP_MGMT_HEALTH_SET_H
#define SP_MGMT_HEALTH_SET_H

#include "mgmt/health_check.h"

#define SP_HEALTH_NO_CHECK UINT32_MAX
#define SP_HEALTH_TOLD     INT64_MAX

struct sp_health_entry {
	uint32_t id;
	uint32_t first, n;           /* its backends in set->backends */
	uint16_t port;               /* that clients are sent to, 0: theirs */
	uint16_t asked_port;         /* 0: it is not checked */
	struct sp_nat_health health; /* its strings are owned */
	int64_t tell_ms;             /* CLOCK_MONOTONIC: when its backends are to be told of; SP_HEALTH_TOLD: they were */
};

struct sp_health_backend {
	struct sp_addr address;
	bool live, drained;
	uint8_t row;    /* answers in a row that speak against `live` */
	uint32_t entry; /* index in set->entries */
	uint32_t check; /* that is under way; SP_HEALTH_NO_CHECK: none, then it is in the queue when it is checked at all */
	int64_t due_ms; /* CLOCK_MONOTONIC: of the check under way, or the next one */
	int64_t since_ms;
	uint64_t asked, failed;
	struct sp_check_failure failure; /* of the last check */
};

struct sp_health_set {
	struct sp_health_entry *entries;
	struct sp_health_backend *backends;
	struct sp_health_key *keys; /* sorted, to find a backend again */
	uint32_t *queue;            /* a heap of indices, the earliest due first */
	uint32_t n_entries, n_backends, n_queue;
};

/* From the enabled destination entries that choose among addresses or have a check. 0, -ENOMEM, or -EINVAL for what no reader lets pass. */
int sp_health_set_make(const struct sp_nat_list *list, struct sp_health_set **out);
void sp_health_set_free(struct sp_health_set *set);

/*
 * Gives the backends of `set` the state that they had in `old` (NULL: none did) and queues them, new ones one after the other. A check that
 * is under way goes over: the caller tells it its new index. Whether a backend is drained depends on entry and address, the rest also on
 * what is asked.
 */
void sp_health_set_adopt(struct sp_health_set *set, struct sp_health_set *old, int64_t now_ms);

/* Queues a backend by its due_ms; the first one due; takes it out. */
void sp_health_queue_add(struct sp_health_set *set, uint32_t backend);
static inline struct sp_health_backend *sp_health_queue_first(const struct sp_health_set *set)
{
	return set->n_queue != 0 ? &set->backends[set->queue[0]] : NULL;
}
uint32_t sp_health_queue_take(struct sp_health_set *set);

#endif
