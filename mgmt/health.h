/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Health of the backends that destination entries of the `nat` list spread over: a thread of its own asks each backend at its interval, by
 * sockets of the kernel (never blocking: one epoll loop), and tells when one has come to life or died. A backend that an operator drains
 * gets no new flows, and is asked on.
 *
 * Watched are the enabled destination entries with a method, and those of one address that have a health check.
 */
#ifndef SP_MGMT_HEALTH_H
#define SP_MGMT_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rules/nat.h"

#define SP_HEALTH_CHECKS_MAX 256 /* under way at once: each is a socket; who is due beyond that waits for its turn */

struct sp_health;

struct sp_health_report {
	uint32_t entry; /* id of the nat entry */
	struct sp_addr address;
	uint16_t port; /* that clients are sent to, host byte order; 0: theirs */
	bool checked;  /* the entry has a health check; without one a backend lives */
	bool live, drained;
	uint64_t asked, failed; /* checks made, and failed */
	int64_t since_ms;       /* CLOCK_REALTIME of the last change of live or drained; 0: none yet */
	char why[96];           /* of the last failure; "" after a success */
};

/*
 * Called on the health thread, without locks held, whenever which backends of an entry take new flows has changed, and once after each
 * sp_health_watch. live[k] is for the k-th address of the entry in file order, ranges expanded. May block: checks wait meanwhile. False: it
 * could not be done, and is to be told again in a second.
 */
typedef bool (*sp_health_changed_fn)(void *context, uint32_t entry, const bool *live, size_t n);

/*
 * Starts the thread, with nothing to watch. It asks from the network namespace whose path is given (NULL: the caller's own); to enter
 * another one takes CAP_SYS_ADMIN, so this may be called before privileges are given up (vnf/harden.h), and the thread then gives up its
 * own as others do. NULL with a one-line reason that says what to do in why (at least 256 bytes).
 */
struct sp_health *sp_health_start(const char *netns, char *why, size_t why_size);

/* NULL is fine. Ends the thread: no call of `changed` comes afterwards. */
void sp_health_stop(struct sp_health *health);

/* Says whom to tell. Before the first sp_health_watch, which nobody may do without. */
void sp_health_connect(struct sp_health *health, sp_health_changed_fn changed, void *context);

/*
 * From now on the backends of these entries (NULL: none) are asked; copies what it needs. Backends that were watched before keep their
 * state (same entry id, address and check) and stay drained (same entry id and address); new ones live until the first `down` failures in
 * a row, so that a start does not refuse everybody. 0; -ENOMEM, or -EINVAL for a list beyond the bounds of rules/nat.h or a path or host
 * that cannot stand in a request (then the old ones stay). Any thread.
 */
int sp_health_watch(struct sp_health *health, const struct sp_nat_list *list);

/* Drains a backend (all ports of the address, of every entry when `entry` is 0), or takes it back. Returns how many backends were changed,
 * and in *found how many have that address. Any thread. */
unsigned int sp_health_drain(struct sp_health *health, uint32_t entry, const struct sp_addr *address, bool drained, unsigned int *found);

/* Copies up to n reports into out, beginning with the `first`-th, in the order of the list; returns how many. Any thread. */
size_t sp_health_reports(struct sp_health *health, size_t first, struct sp_health_report *out, size_t n);

/* The backends of one entry together. */
struct sp_health_sum {
	uint32_t entry; /* id */
	uint32_t live, dead, drained;
	uint64_t asked, failed;
};

/* Sums of the first n entries that have backends, in the order of the list; returns how many. Any thread. */
size_t sp_health_sums(struct sp_health *health, struct sp_health_sum *out, size_t n);

#endif
