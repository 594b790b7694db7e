/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Address expressions, and the table that lets equal ones share a set.
 *
 * policy->addrsets is grown here and nowhere else: the array is the tail of a block whose head leads to the table, so that ten
 * thousand rules find their sets without comparing them all. Everything lives in the policy's arena.
 */
#include "rules/fields_internal.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "rules/sets.h"

struct slot {
	uint64_t hash;
	const char *text; /* expression that led here; NULL: found by content */
	int32_t index;    /* into policy->addrsets; -1: free slot */
};

/* Open addressing, at most half full; one table for texts and contents, whose hashes start from different seeds. */
struct intern {
	struct slot *slots;
	size_t n_slots; /* a power of two */
	size_t used;
	size_t room;      /* sets that the block has room for */
	uint64_t *hashes; /* of each set's content: large sets are hashed once, not once a rule */
};

struct block {
	struct intern intern;
	alignas(max_align_t) struct sp_addrset sets[];
};

static struct block *block_of(const struct sp_policy *policy)
{
	return (struct block *)((char *)policy->addrsets - offsetof(struct block, sets));
}

static bool same_set(const struct sp_addrset *a, const struct sp_addrset *b)
{
	return a->n == b->n && (a->n == 0 || a->v == b->v || memcmp(a->v, b->v, a->n * sizeof(a->v[0])) == 0);
}

/* The slot that holds the text (or, with text NULL, an equal set), or the free one where it belongs. */
static struct slot *find_slot(const struct sp_policy *policy, uint64_t hash, const char *text, const struct sp_addrset *set)
{
	struct intern *intern = &block_of(policy)->intern;

	for (size_t i = hash & (intern->n_slots - 1);; i = (i + 1) & (intern->n_slots - 1)) {
		struct slot *slot = &intern->slots[i];

		if (slot->index < 0)
			return slot;
		if (slot->hash != hash || (slot->text == NULL) != (text == NULL))
			continue;
		if (text != NULL ? strcmp(slot->text, text) == 0 : same_set(&policy->addrsets[slot->index], set))
			return slot;
	}
}

static struct slot *new_slots(struct sp_policy *policy, size_t n)
{
	struct slot *slots = sp_policy_alloc(policy, n * sizeof(slots[0]));

	for (size_t i = 0; slots != NULL && i < n; i++)
		slots[i].index = -1;
	return slots;
}

/* Makes room for one more set and two more slots. */
static int reserve(struct sp_policy *policy)
{
	struct block *old = policy->addrsets != NULL ? block_of(policy) : NULL;
	size_t room = old != NULL ? old->intern.room : 0;
	struct block *block = old;
	uint64_t *hashes;

	if (policy->n_addrsets >= INT32_MAX)
		return -ENOMEM;
	if (policy->n_addrsets == room) {
		room = room != 0 ? room * 2 : 16;
		block = sp_policy_alloc(policy, sizeof(*block) + room * sizeof(block->sets[0]));
		if (block == NULL)
			return -ENOMEM;
		if (old != NULL)
			memcpy(block, old, sizeof(*block) + policy->n_addrsets * sizeof(block->sets[0]));
		hashes = sp_policy_alloc(policy, room * sizeof(hashes[0]));
		if (hashes == NULL)
			return -ENOMEM;
		if (old != NULL)
			memcpy(hashes, old->intern.hashes, policy->n_addrsets * sizeof(hashes[0]));
		block->intern.hashes = hashes;
		block->intern.room = room;
		policy->addrsets = block->sets;
	}
	if ((block->intern.used + 2) * 2 > block->intern.n_slots) {
		struct intern grown = block->intern;

		grown.n_slots = grown.n_slots != 0 ? grown.n_slots * 2 : 64;
		grown.slots = new_slots(policy, grown.n_slots);
		if (grown.slots == NULL)
			return -ENOMEM;
		for (size_t i = 0; i < block->intern.n_slots; i++) {
			const struct slot *slot = &block->intern.slots[i];
			size_t at = slot->hash & (grown.n_slots - 1);

			if (slot->index < 0)
				continue;
			while (grown.slots[at].index >= 0)
				at = (at + 1) & (grown.n_slots - 1);
			grown.slots[at] = *slot;
		}
		block->intern = grown;
	}
	return 0;
}

static void fill_slot(struct sp_policy *policy, struct slot *slot, uint64_t hash, const char *text, int32_t index)
{
	*slot = (struct slot){.hash = hash, .text = text, .index = index};
	block_of(policy)->intern.used++;
}

/* Index of the set, added when no equal one is there; -ENOMEM. Room must have been reserved. The set is copied. */
static int32_t intern_set(struct sp_policy *policy, const struct sp_addrset *set)
{
	uint64_t hash = sp_addrset_hash(set);
	struct slot *slot = find_slot(policy, hash, NULL, set);
	struct sp_addrset copy = *set;

	if (slot->index >= 0)
		return slot->index;
	copy.v = sp_policy_alloc(policy, set->n * sizeof(set->v[0]));
	if (copy.v == NULL)
		return -ENOMEM;
	if (set->n != 0)
		memcpy(copy.v, set->v, set->n * sizeof(set->v[0]));
	policy->addrsets[policy->n_addrsets] = copy;
	block_of(policy)->intern.hashes[policy->n_addrsets] = hash;
	fill_slot(policy, slot, hash, NULL, (int32_t)policy->n_addrsets);
	return (int32_t)policy->n_addrsets++;
}

uint64_t sp_addrs_hash(const struct sp_policy *policy, int32_t index)
{
	return block_of(policy)->intern.hashes[index];
}

/* What an expression adds up to while it is read: its members, and what `!` takes out of them. */
struct sum {
	struct sp_addrset plus, minus;
	bool any_plus;
};

static int add_all(struct sp_addrset *to, const struct sp_addrset *from)
{
	for (size_t i = 0; i < from->n; i++)
		if (sp_addrset_add(to, &from->v[i]) != 0)
			return -ENOMEM;
	return 0;
}

static int add_member(const struct sp_policy *policy, const char *item, size_t len, const struct sp_place *place, struct sp_addrset *to,
	struct sp_diags *diags)
{
	struct sp_addr_range range;
	const char *why = "not an address";

	if (len == 0)
		return sp_place_error(place, diags, "an empty member in the address list");
	if (item[0] == '@') {
		const struct sp_set *set = sp_set_find(policy, item + 1, len - 1);

		if (set == NULL)
			return sp_place_error(place, diags, "unknown set '%.*s': define it under sets = { }", SP_SHOWN(len), item);
		if (set->kind != SP_SET_ADDRESSES)
			return sp_place_error(place, diags, "set '%.*s' holds no addresses", SP_SHOWN(len), item);
		return add_all(to, &set->addrs) == 0 ? 0 : sp_place_error(place, diags, "out of memory");
	}
	if (len == 9 && memcmp(item, "interface", 9) == 0)
		return sp_place_error(place, diags,
			"'interface' stands alone, as dst or address in the nat list: in a rule write to self, or the address itself");
	if (sp_addr_range_parse(item, len, &range, &why) != 0)
		return sp_place_error(place, diags, "'%.*s': %s%s", SP_SHOWN(len), item, why,
			sp_list_is_word(item, len) ? " (a zone stands behind from or to, a set needs its @)" : "");
	return sp_addrset_add(to, &range) == 0 ? 0 : sp_place_error(place, diags, "out of memory");
}

static int add_members(
	const struct sp_policy *policy, const char *text, const struct sp_place *place, struct sum *sum, struct sp_diags *diags)
{
	const char *cursor = text, *item;
	int result = 0;
	size_t len;

	while (sp_list_next(&cursor, &item, &len)) {
		bool minus = len > 0 && item[0] == '!';

		sum->any_plus |= !minus;
		if (minus && len > 1 && item[1] == '!')
			result = sp_place_error(place, diags, "'%.*s': one '!' is enough", SP_SHOWN(len), item);
		else if (add_member(policy, item + minus, len - minus, place, minus ? &sum->minus : &sum->plus, diags) != 0)
			result = -EINVAL;
	}
	if (result == 0 && !sum->any_plus && sp_addrset_all(&sum->plus) != 0)
		result = sp_place_error(place, diags, "out of memory");
	if (result != 0)
		return result;
	sp_addrset_normalize(&sum->plus);
	sp_addrset_normalize(&sum->minus);
	if (sp_addrset_subtract(&sum->plus, &sum->minus) != 0)
		return sp_place_error(place, diags, "out of memory");
	return 0;
}

int sp_addrs_parse(struct sp_policy *policy, const char *text, const struct sp_place *place, int32_t *index, struct sp_diags *diags)
{
	uint64_t text_hash = SP_HASH_SEED_TEXT;
	struct sum sum = {0};
	struct slot *slot;
	int32_t found = -ENOMEM;

	if (reserve(policy) != 0)
		return sp_place_error(place, diags, "out of memory");
	text_hash = sp_hash_text(text_hash, text);
	slot = find_slot(policy, text_hash, text, NULL);
	if (slot->index >= 0) {
		*index = slot->index;
		return 0;
	}
	if (add_members(policy, text, place, &sum, diags) == 0) {
		const char *copy = sp_policy_strndup(policy, text, strlen(text));

		found = copy != NULL ? intern_set(policy, &sum.plus) : -ENOMEM;
		if (found >= 0)
			fill_slot(policy, find_slot(policy, text_hash, copy, NULL), text_hash, copy, found);
		else
			sp_place_error(place, diags, "out of memory");
	}
	sp_addrset_free(&sum.plus);
	sp_addrset_free(&sum.minus);
	if (found < 0)
		return -EINVAL;
	*index = found;
	return 0;
}
