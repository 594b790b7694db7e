/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Consistent hashing over backends (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, 3.4): every
 * backend gets an even share of a table of prime length, and when one goes few of the others' places move.
 *
 * The table depends on nothing but the backends' addresses, ports and weights: two firewalls, or one before and after a restart, send a
 * flow to the same backend.
 */
#ifndef SP_DATAPLANE_MAGLEV_H
#define SP_DATAPLANE_MAGLEV_H

#include <stdbool.h>
#include <stdint.h>

#include "rules/addr.h"

#define SP_MAGLEV_SLOTS 65537      /* prime; 100 times the backends that may be (SP_NAT_BACKENDS_MAX is less) */
#define SP_MAGLEV_NONE  UINT16_MAX /* no backend lives */

struct sp_maglev_backend {
	struct sp_addr address;
	uint16_t port; /* host byte order; 0: none */
	bool live;     /* takes new flows */
};

struct sp_maglev {
	uint16_t slot[SP_MAGLEV_SLOTS]; /* index of the backend, SP_MAGLEV_NONE */
};

/* Fills the table from n backends (1..65534). 0, or -ENOMEM with the table untouched. Any thread; takes milliseconds. */
int sp_maglev_build(struct sp_maglev *table, const struct sp_maglev_backend *backends, unsigned int n);

/* The backend of a flow; hash: any well-mixed 32 bits that are the same for each packet of the flow. Workers. */
static inline uint16_t sp_maglev_choose(const struct sp_maglev *table, uint32_t hash)
{
	return table->slot[((uint64_t)hash * SP_MAGLEV_SLOTS) >> 32];
}

#endif
