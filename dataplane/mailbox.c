/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What travels in the ring are slots of the mailbox, not the callers' requests: a request that timed out may be gone from memory while its
 * slot still waits for the worker.
 *
 * A slot goes FREE → CLAIMED (caller) → POSTED (caller) → RUNNING (worker) → DONE (worker) → FREE (caller), or, when the caller's time is
 * over before the worker came, POSTED → CANCELLED (caller) → FREE (worker, at its turn in the ring). Both ways out of POSTED are
 * compare-and-swap, so exactly one happens, and the request is read only by who holds the slot in RUNNING.
 */
#include "dataplane/mailbox.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "dataplane/alloc.h"

/* How long a waiting caller sleeps between two looks: doubled from first to last. */
#define NAP_FIRST_NS 20000
#define NAP_LAST_NS  1000000

enum phase { SLOT_FREE, SLOT_CLAIMED, SLOT_POSTED, SLOT_RUNNING, SLOT_DONE, SLOT_CANCELLED };

struct sp_mailbox_slot {
	struct sp_request *request;
	uint32_t phase; /* enum phase, atomic */
};

static bool change(struct sp_mailbox_slot *slot, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&slot->phase, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

int sp_mailbox_init(struct sp_mailbox *mailbox, unsigned int worker, int socket)
{
	/* A ring of n elements holds n - 1: twice the slots, so that a claimed slot always finds room. */
	const unsigned int elements = 2 * SP_MAILBOX_SIZE;
	ssize_t bytes = rte_ring_get_memsize(elements);
	char name[RTE_RING_NAMESIZE];
	int rc;

	if (bytes < 0)
		return (int)bytes;
	mailbox->slots = sp_alloc("mailbox_slots", SP_MAILBOX_SIZE * sizeof(mailbox->slots[0]), 64, socket);
	mailbox->ring = sp_alloc("mailbox_ring", (size_t)bytes, RTE_CACHE_LINE_SIZE, socket);
	snprintf(name, sizeof(name), "mailbox_%u", worker);
	rc = mailbox->slots == NULL || mailbox->ring == NULL ? -ENOMEM : rte_ring_init(mailbox->ring, name, elements, RING_F_SC_DEQ);
	if (rc < 0)
		sp_mailbox_free(mailbox);
	return rc;
}

void sp_mailbox_free(struct sp_mailbox *mailbox)
{
	sp_free(mailbox->ring);
	sp_free(mailbox->slots);
	mailbox->ring = NULL;
	mailbox->slots = NULL;
}

static struct sp_mailbox_slot *claim(struct sp_mailbox *mailbox)
{
	for (unsigned int i = 0; i < SP_MAILBOX_SIZE; i++)
		if (change(&mailbox->slots[i], SLOT_FREE, SLOT_CLAIMED))
			return &mailbox->slots[i];
	return NULL;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool done(const struct sp_mailbox_slot *slot)
{
	return __atomic_load_n(&slot->phase, __ATOMIC_ACQUIRE) == SLOT_DONE;
}

int sp_mailbox_call(struct sp_mailbox *mailbox, struct sp_request *request, unsigned int timeout_ms)
{
	const uint64_t deadline = now_ns() + (uint64_t)timeout_ms * 1000000u;
	struct sp_mailbox_slot *slot = claim(mailbox);
	long nap_ns = NAP_FIRST_NS;

	if (slot == NULL)
		return -EBUSY;
	slot->request = request;
	__atomic_store_n(&slot->phase, SLOT_POSTED, __ATOMIC_RELEASE);
	if (rte_ring_mp_enqueue(mailbox->ring, slot) != 0) {
		__atomic_store_n(&slot->phase, SLOT_FREE, __ATOMIC_RELEASE);
		return -EBUSY;
	}
	while (!done(slot)) {
		struct timespec nap = {.tv_nsec = nap_ns};

		/* A request that runs already is bounded: it is waited for, past the deadline if need be. */
		if (now_ns() >= deadline && change(slot, SLOT_POSTED, SLOT_CANCELLED))
			return -ETIMEDOUT;
		nanosleep(&nap, NULL);
		nap_ns = 2 * nap_ns < NAP_LAST_NS ? 2 * nap_ns : NAP_LAST_NS;
	}
	__atomic_store_n(&slot->phase, SLOT_FREE, __ATOMIC_RELEASE);
	return 0;
}

void sp_mailbox_poll(struct sp_mailbox *mailbox, struct sp_worker *worker)
{
	struct sp_mailbox_slot *slot;
	void *element;

	if (rte_ring_sc_dequeue(mailbox->ring, &element) != 0)
		return;
	slot = element;
	if (!change(slot, SLOT_POSTED, SLOT_RUNNING)) {
		/* Cancelled; nobody but us knows the slot any more. */
		__atomic_store_n(&slot->phase, SLOT_FREE, __ATOMIC_RELEASE);
		return;
	}
	slot->request->run(worker, slot->request);
	__atomic_store_n(&slot->phase, SLOT_DONE, __ATOMIC_RELEASE);
}
