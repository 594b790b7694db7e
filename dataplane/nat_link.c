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

/* The ports of an address: those that it had, or ones that nobody uses. */
static struct sp_nat_slice *slice_for(struct sp_nat_worker *nat, const struct sp_addr *addr)
{
	struct sp_nat_slice *unused = NULL;

	for (uint32_t i = 0; i < nat->n_interface; i++) {
		struct sp_nat_slice *slice = &nat->interface[i];

		if (sp_nat_same_addr(&slice->address, addr))
			return slice;
		if (unused == NULL && slice->refs == 0 &&
			(slice->address.family == SP_FAMILY_NONE || find(nat, &slice->address)->slice != slice))
			unused = slice;
	}
	if (unused != NULL)
		unused->address = *addr;
	return unused;
}

static void add(struct sp_nat_worker *nat, const struct sp_addr *addr, bool first)
{
	struct sp_nat_own *own = find(nat, addr);

	own->address = *addr;
	if (first && own->slice == NULL)
		own->slice = slice_for(nat, addr);
}

static void add_all(struct sp_nat_worker *nat, const struct sp_link_addresses *addresses, bool first)
{
	for (unsigned int i = 0; i < RTE_MIN(addresses->n4, (unsigned int)SP_LINK_ADDRESSES); i++) {
		struct sp_addr addr = sp_nat_addr4(addresses->v4[i]);

		if (!first || i == 0)
			add(nat, &addr, first);
	}
	for (unsigned int i = 0; i < RTE_MIN(addresses->n6, (unsigned int)SP_LINK_ADDRESSES); i++) {
		struct sp_addr addr = {.family = SP_FAMILY_IPV6};

		memcpy(addr.b, addresses->v6[i], sizeof(addr.b));
		if (!first || i == 0)
			add(nat, &addr, first);
	}
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
	if (!changed)
		return;
	memset(nat->own, 0, SP_NAT_OWN_SLOTS * sizeof(nat->own[0]));
	/* All addresses first: ports are only taken from those that no link has any more. */
	for (unsigned int pass = 0; pass < 2; pass++)
		for (unsigned int l = 0; l < routing->n_links; l++)
			if (nat->seen[l] != NULL)
				add_all(nat, nat->seen[l], pass == 1);
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
