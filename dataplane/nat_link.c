/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses of the router's links, for `address = "interface"` and `dst = "interface"`. They come and go while the firewall runs: each
 * worker follows them by itself, between bursts, and keeps ports for as many addresses as links can have first ones.
 */
#include <errno.h>
#include <stdlib.h>

#include "dataplane/nat_internal.h"

/* Addresses that are gone while sessions still use their ports. */
#define SPARE 16

#define PURGE_BUDGET 64 /* sessions that a turn looks at when addresses are gone */

static_assert(SP_NAT_OWN_SLOTS >= 2 * SP_LINKS_MAX * 2 * SP_LINK_ADDRESSES, "half of the slots stay free");

int sp_nat_links_init(struct sp_nat_worker *nat, unsigned int n_links, uint32_t first, uint32_t n)
{
	uint32_t n_interface = 2 * n_links + SPARE;
	struct sp_nat_slice *slices;

	if (nat->own != NULL)
		return 0;
	slices = calloc(n_interface, sizeof(slices[0]));
	if (slices == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < n_interface; i++) {
		if (sp_nat_slice_init(&slices[i], first, n) != 0)
			goto err;
		slices[i].interface = true;
	}
	nat->interface = slices;
	nat->n_interface = n_interface;
	/* Last: the worker looks at this one. */
	__atomic_store_n(&nat->own, calloc(SP_NAT_OWN_SLOTS, sizeof(nat->own[0])), __ATOMIC_RELEASE);
	if (nat->own != NULL)
		return 0;
	nat->interface = NULL;
	nat->n_interface = 0;
err:
	for (uint32_t i = 0; i < n_interface; i++)
		sp_nat_slice_fini(&slices[i]);
	free(slices);
	return -ENOMEM;
}

void sp_nat_links_fini(struct sp_nat_worker *nat)
{
	for (uint32_t i = 0; i < nat->n_interface; i++)
		sp_nat_slice_fini(&nat->interface[i]);
	free(nat->interface);
	free(nat->own);
}

static uint32_t slot_of(const struct sp_addr *addr)
{
	uint64_t word[2];

	memcpy(word, addr->b, sizeof(word));
	return (uint32_t)(sp_key_fold(word[0] ^ sp_key_secret.endpoint[0], word[1] ^ sp_key_secret.factor) >> 20) % SP_NAT_OWN_SLOTS;
}

static struct sp_nat_own *find(const struct sp_nat_worker *nat, const struct sp_addr *addr)
{
	uint32_t slot = slot_of(addr);

	while (nat->own[slot].address.family != SP_FAMILY_NONE && !sp_nat_same_addr(&nat->own[slot].address, addr))
		slot = (slot + 1) % SP_NAT_OWN_SLOTS;
	return &nat->own[slot];
}

/* The ports that an address has; NULL: none yet. */
static struct sp_nat_slice *slice_of(struct sp_nat_worker *nat, const struct sp_addr *addr)
{
	for (uint32_t i = 0; i < nat->n_interface; i++)
		if (sp_nat_same_addr(&nat->interface[i].address, addr))
			return &nat->interface[i];
	return NULL;
}

/* Ports for an address that has none: those of one that no link has any more and no session uses. */
static struct sp_nat_slice *take_slice(struct sp_nat_worker *nat, const struct sp_addr *addr)
{
	for (uint32_t i = 0; i < nat->n_interface; i++) {
		struct sp_nat_slice *slice = &nat->interface[i];

		if (slice->refs == 0 && (slice->address.family == SP_FAMILY_NONE || !sp_nat_is_own(nat, &slice->address))) {
			slice->address = *addr;
			return slice;
		}
	}
	return NULL;
}

/* The n-th address of its family on a link. The first of all passes only notes that it is there. */
static void add(struct sp_nat_worker *nat, const struct sp_addr *addr, unsigned int n, unsigned int pass)
{
	struct sp_nat_own *own = find(nat, addr);

	own->address = *addr;
	if (pass == 0 || own->slice != NULL)
		return;
	/* One that was the first and is not any more still has its sessions. */
	own->slice = slice_of(nat, addr);
	if (own->slice == NULL && n == 0)
		own->slice = take_slice(nat, addr);
}

static void add_all(struct sp_nat_worker *nat, const struct sp_link_addresses *addresses, unsigned int pass)
{
	for (unsigned int i = 0; i < RTE_MIN(addresses->n4, (unsigned int)SP_LINK_ADDRESSES); i++) {
		struct sp_addr addr = sp_nat_addr4(addresses->v4[i]);

		add(nat, &addr, i, pass);
	}
	for (unsigned int i = 0; i < RTE_MIN(addresses->n6, (unsigned int)SP_LINK_ADDRESSES); i++) {
		struct sp_addr addr = {.family = SP_FAMILY_IPV6};

		memcpy(addr.b, addresses->v6[i], sizeof(addr.b));
		add(nat, &addr, i, pass);
	}
}

/* A session whose external address no link has any more: whoever repeats itself in it would never be answered again. */
static void visit(void *context, uint32_t ref)
{
	struct sp_worker *worker = context;
	const struct sp_nat_worker *nat = sp_nat_of(worker);
	const struct sp_nat_slice *slice;
	uint32_t mapping;

	if (!(sp_session_state(worker->sessions, ref)->flags & SP_SESSION_NAT))
		return;
	mapping = sp_session_nat(worker->sessions, ref)->mapping[0];
	if (mapping == SP_NAT_NONE)
		return;
	slice = nat->mapping[mapping].slice;
	if (slice->interface && !sp_nat_is_own(nat, &slice->address))
		sp_session_remove(worker->sessions, ref, SP_END_KILLED);
}

static bool has_orphans(const struct sp_nat_worker *nat)
{
	for (uint32_t i = 0; i < nat->n_interface; i++)
		if (nat->interface[i].refs != 0 && !sp_nat_is_own(nat, &nat->interface[i].address))
			return true;
	return false;
}

void sp_nat_links_turn(struct sp_worker *worker)
{
	const struct sp_routing *routing = worker->dataplane->routing;
	struct sp_nat_worker *nat = sp_nat_of(worker);
	bool changed = false;

	/* A set that was replaced is not freed before this worker has passed here: another one never stands at the same place unseen. */
	for (unsigned int l = 0; l < routing->n_links; l++) {
		const struct sp_link_addresses *addresses = sp_link_addresses(&routing->links[l]);

		changed |= addresses != nat->seen[l];
		nat->seen[l] = addresses;
	}
	if (nat->purging)
		nat->purging = sp_sessions_walk(worker->sessions, &nat->purge_cursor, PURGE_BUDGET, visit, worker);
	if (!changed)
		return;
	memset(nat->own, 0, SP_NAT_OWN_SLOTS * sizeof(nat->own[0]));
	/* All addresses first: ports are only taken from those that no link has any more. */
	for (unsigned int pass = 0; pass < 2; pass++)
		for (unsigned int l = 0; l < routing->n_links; l++)
			if (nat->seen[l] != NULL)
				add_all(nat, nat->seen[l], pass);
	nat->purging = has_orphans(nat);
	nat->purge_cursor = 0;
}

bool sp_nat_is_own(const struct sp_nat_worker *nat, const struct sp_addr *addr)
{
	return nat->own != NULL && find(nat, addr)->address.family != SP_FAMILY_NONE;
}

struct sp_nat_slice *sp_nat_own_slice(const struct sp_nat_worker *nat, const struct sp_addr *addr)
{
	return nat->own != NULL ? find(nat, addr)->slice : NULL;
}

struct sp_nat_slice *sp_nat_link_slice(const struct sp_worker *worker, uint16_t link, uint8_t family)
{
	const struct sp_nat_worker *nat = sp_nat_of(worker);
	const struct sp_link_addresses *addresses;
	struct sp_addr addr = {.family = family};

	if (nat->own == NULL || link >= worker->dataplane->routing->n_links)
		return NULL;
	addresses = nat->seen[link];
	if (addresses == NULL || (family == SP_FAMILY_IPV4 ? addresses->n4 : addresses->n6) == 0)
		return NULL;
	if (family == SP_FAMILY_IPV4)
		memcpy(addr.b, &addresses->v4[0], 4);
	else
		memcpy(addr.b, addresses->v6[0], 16);
	return sp_nat_own_slice(nat, &addr);
}
