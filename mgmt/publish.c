/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Owner: the control thread. Workers see only dataplane->live (release store here, acquire load there) and their QSBR entry. Threads of
 * the management side read the live ruleset under `lock`; a publish takes it for writing while it gives out slots and swaps, never while
 * it compiles or waits. An old ruleset goes on the retired list before anyone waits for it, so that a worker that never answers costs
 * memory and not the firewall.
 */
#include "mgmt/publish.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "dataplane/nat.h"

#define QUIESCENT_POLL_NS 500000 /* 0.5 ms */
#define QUIESCENT_WAIT_MS 5000
#define NS_PER_SEC        1000000000

struct retired {
	struct retired *next;
	struct sp_dataplane *dataplane;
	struct sp_live *live;
	uint64_t token; /* of rte_rcu_qsbr_start after the swap */
};

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct retired *retired_list; /* control thread */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool is_quiescent(const struct retired *retired)
{
	return retired->dataplane->qsbr == NULL || rte_rcu_qsbr_check(retired->dataplane->qsbr, retired->token, false) == 1;
}

unsigned int sp_publish_retire(const struct sp_dataplane *dataplane)
{
	unsigned int left = 0;

	for (struct retired **link = &retired_list; *link != NULL;) {
		struct retired *retired = *link;

		if (retired->dataplane != dataplane || !is_quiescent(retired)) {
			left += retired->dataplane == dataplane;
			link = &retired->next;
			continue;
		}
		*link = retired->next;
		sp_live_free(retired->live);
		free(retired);
	}
	return left;
}

static unsigned int retire_wait(const struct sp_dataplane *dataplane)
{
	const struct timespec pause = {.tv_nsec = QUIESCENT_POLL_NS};
	int64_t end = now_ms() + QUIESCENT_WAIT_MS;
	unsigned int left;

	while ((left = sp_publish_retire(dataplane)) != 0 && now_ms() < end)
		nanosleep(&pause, NULL);
	return left;
}

static int assign(struct sp_dataplane *dataplane, struct sp_ruleset *ruleset, struct sp_diags *diags)
{
	int rc;

	pthread_rwlock_wrlock(&lock);
	rc = sp_rule_table_assign(&dataplane->rule_table, ruleset, diags);
	pthread_rwlock_unlock(&lock);
	return rc;
}

/* Swaps; what was in force goes on the retired list by way of `retired` (unused for the first ruleset). */
static void swap(struct sp_dataplane *dataplane, struct sp_live *live, struct retired *retired)
{
	struct sp_live *old = dataplane->live;

	sp_live_follow(live, old);
	pthread_rwlock_wrlock(&lock);
	__atomic_store_n(&dataplane->live, live, __ATOMIC_RELEASE);
	pthread_rwlock_unlock(&lock);
	if (old != NULL) {
		retired->dataplane = dataplane;
		retired->live = old;
		retired->token = dataplane->qsbr != NULL ? rte_rcu_qsbr_start(dataplane->qsbr) : 0;
		retired->next = retired_list;
		retired_list = retired;
	}
}

int sp_publish(struct sp_dataplane *dataplane, struct sp_ruleset *ruleset, struct sp_diags *diags)
{
	struct retired *retired = NULL;
	struct sp_live *live;
	int rc;

	/* The rule table keeps slots for the ruleset in force and one before it: a third may not be made while both are held. */
	if (retire_wait(dataplane) != 0) {
		sp_diag_error(
			diags, NULL, 0, "a worker does not answer and still holds the rules before the current ones; restart the firewall");
		return -EBUSY;
	}
	if (dataplane->live != NULL && (retired = malloc(sizeof(*retired))) == NULL) {
		sp_diag_error(diags, NULL, 0, "out of memory");
		return -ENOMEM;
	}
	rc = assign(dataplane, ruleset, diags);
	if (rc != 0)
		goto err_free;
	live = sp_live_create(ruleset, dataplane->n_workers);
	if (live != NULL && sp_nat_attach(dataplane, live) != 0) {
		live->ruleset = NULL; /* the caller's again */
		sp_live_free(live);
		live = NULL;
	}
	if (live == NULL) {
		rc = -ENOMEM;
		sp_diag_error(diags, NULL, 0, "out of memory");
		/* the time-out overrides of the rules that stay in force come back; their slots are as they were */
		if (dataplane->live != NULL)
			assign(dataplane, dataplane->live->ruleset, diags);
		goto err_free;
	}
	swap(dataplane, live, retired);
	return retire_wait(dataplane) == 0 ? 0 : -ETIMEDOUT;

err_free:
	free(retired);
	return rc;
}

void sp_publish_end(struct sp_dataplane *dataplane)
{
	struct sp_live *live;

	pthread_rwlock_wrlock(&lock);
	live = dataplane->live;
	__atomic_store_n(&dataplane->live, NULL, __ATOMIC_RELEASE);
	pthread_rwlock_unlock(&lock);
	sp_live_free(live);
	for (struct retired **link = &retired_list; *link != NULL;) {
		struct retired *retired = *link;

		if (retired->dataplane != dataplane) {
			link = &retired->next;
			continue;
		}
		*link = retired->next;
		sp_live_free(retired->live);
		free(retired);
	}
}

const struct sp_ruleset *sp_published_get(const struct sp_dataplane *dataplane)
{
	const struct sp_live *live;

	pthread_rwlock_rdlock(&lock);
	live = __atomic_load_n(&dataplane->live, __ATOMIC_ACQUIRE);
	return live != NULL ? live->ruleset : NULL;
}

void sp_published_put(void)
{
	pthread_rwlock_unlock(&lock);
}

const struct sp_rule *sp_published_rule(const struct sp_dataplane *dataplane, uint32_t id)
{
	const struct sp_live *live = __atomic_load_n(&dataplane->live, __ATOMIC_ACQUIRE);
	uint32_t slot = id != 0 ? sp_rule_table_slot(&dataplane->rule_table, id) : UINT32_MAX;
	const struct sp_hot_rule *rule = live != NULL && slot != UINT32_MAX ? sp_live_rule(live, slot) : NULL;

	/* both arrays have the same order */
	return rule != NULL ? &live->ruleset->policy->rules[rule - live->ruleset->rules] : NULL;
}

uint32_t sp_published_generation(const struct sp_dataplane *dataplane)
{
	const struct sp_ruleset *ruleset = sp_published_get(dataplane);
	uint32_t generation = ruleset != NULL ? ruleset->generation : 0;

	sp_published_put();
	return generation;
}
