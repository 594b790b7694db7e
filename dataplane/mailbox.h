/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests from other threads to a worker: a bounded ring that the worker empties between bursts, one a loop.
 */
#ifndef SP_DATAPLANE_MAILBOX_H
#define SP_DATAPLANE_MAILBOX_H

#include <rte_ring.h>
#include <stdbool.h>
#include <stdint.h>

struct sp_worker;

/* Embed it as the first member of what the request carries in and out. Memory of the caller. */
struct sp_request {
	void (*run)(struct sp_worker *worker, struct sp_request *request); /* on the worker; bounded, no syscall */
};

struct sp_mailbox_slot;

struct sp_mailbox {
	struct rte_ring *ring;         /* of pointers to slots; many producers, one consumer */
	struct sp_mailbox_slot *slots; /* SP_MAILBOX_SIZE */
};

#define SP_MAILBOX_SIZE 64

/* 0 or -errno. Control thread. */
int sp_mailbox_init(struct sp_mailbox *mailbox, unsigned int worker, int socket);

/* When neither the worker nor any caller uses it. */
void sp_mailbox_free(struct sp_mailbox *mailbox);

/*
 * Posts the request and waits until the worker ran it, at most timeout_ms (sleeping, never spinning). 0: it ran, and what it wrote can be
 * read; -EBUSY: SP_MAILBOX_SIZE requests wait already, it was not posted; -ETIMEDOUT: the worker did not come to it, and never will.
 * Whatever is returned, the memory is the caller's again and nobody reads it any more. A request that began to run in time is waited for to
 * its end. Any thread but a worker; blocks.
 */
int sp_mailbox_call(struct sp_mailbox *mailbox, struct sp_request *request, unsigned int timeout_ms);

/* Runs at most one posted request. Worker only. */
void sp_mailbox_poll(struct sp_mailbox *mailbox, struct sp_worker *worker);

#endif
