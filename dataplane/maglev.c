/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each backend has a permutation of the table's slots, made of two numbers of its hash. They take turns, in the order of their addresses:
 * each takes the first slot of its permutation that is still free, until none is. So shares differ by one slot at most.
 */
#define _GNU_SOURCE 1 /* htole64 */
#include "dataplane/maglev.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/siphash.h"

/* No secret, and the same everywhere: whoever knows the backends may know the table, and by the hash of flows (nat.c) who gets which. */
static const uint64_t hash_key[2] = {0x53616c6c79706f72u, 0x74206d61676c6576u};

/* One live backend while the table is filled. */
struct turn {
	uint64_t words[3]; /* what is hashed, and what the order goes by */
	uint16_t index;    /* in the caller's array */
	uint32_t next;     /* the slot of its permutation that it looks at */
	uint32_t skip;     /* 1..SP_MAGLEV_SLOTS - 1: as that is prime, every slot comes once */
};

static int compare(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	for (unsigned int i = 0; i < 3; i++)
		if (x->words[i] != y->words[i])
			return x->words[i] < y->words[i] ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

static void prepare(struct turn *turn, const struct sp_maglev_backend *backend, uint16_t index)
{
	uint64_t half[2], hash;

	memcpy(half, backend->address.b, sizeof(half));
	turn->words[0] = (uint64_t)backend->address.family << 16 | backend->port;
	turn->words[1] = le64toh(half[0]);
	turn->words[2] = le64toh(half[1]);
	hash = sp_siphash(hash_key, turn->words, 3);
	turn->index = index;
	turn->next = (uint32_t)hash % SP_MAGLEV_SLOTS;
	turn->skip = (uint32_t)(hash >> 32) % (SP_MAGLEV_SLOTS - 1) + 1;
}

/* Moves the turn to its first free slot, which there must be, and takes it. */
static void take(struct sp_maglev *table, struct turn *turn)
{
	while (table->slot[turn->next] != SP_MAGLEV_NONE) {
		turn->next += turn->skip;
		if (turn->next >= SP_MAGLEV_SLOTS)
			turn->next -= SP_MAGLEV_SLOTS;
	}
	table->slot[turn->next] = turn->index;
}

int sp_maglev_build(struct sp_maglev *table, const struct sp_maglev_backend *backends, unsigned int n)
{
	struct turn *turns = calloc(n, sizeof(*turns));
	unsigned int live = 0;

	if (turns == NULL && n != 0)
		return -ENOMEM;
	for (unsigned int i = 0; i < n; i++)
		if (backends[i].live)
			prepare(&turns[live++], &backends[i], (uint16_t)i);
	if (live != 0)
		qsort(turns, live, sizeof(*turns), compare);
	for (unsigned int s = 0; s < SP_MAGLEV_SLOTS; s++)
		table->slot[s] = SP_MAGLEV_NONE;
	for (unsigned int s = 0; live != 0 && s < SP_MAGLEV_SLOTS; s++)
		take(table, &turns[s % live]);
	free(turns);
	return 0;
}
