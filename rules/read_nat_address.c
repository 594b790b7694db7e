/* SPDX-License-Identifier: BSD-3-Clause */
/* What an entry of `nat` translates to. */
#include "rules/read_nat.h"

#include <errno.h>
#include <string.h>

#include "rules/sets.h"

#define COUNT_MAX UINT32_C(0x10000) /* more than any entry may have */

typedef unsigned __int128 u128;

static u128 value_of(const struct sp_addr *addr)
{
	u128 value = 0;

	for (int i = 0; i < (addr->family == SP_FAMILY_IPV4 ? 4 : 16); i++)
		value = value << 8 | addr->b[i];
	return value;
}

/* How far the last address of a range is from the first. */
static u128 span(const struct sp_addr_range *range)
{
	return value_of(&range->hi) - value_of(&range->lo);
}

static bool overlap(const struct sp_addr_range *a, const struct sp_addr_range *b)
{
	return a->lo.family == b->lo.family && sp_addr_compare(&a->lo, &b->hi) <= 0 && sp_addr_compare(&b->lo, &a->hi) <= 0;
}

/* Addresses that no host has: packets sent there would go to nobody, or to everybody. */
static const char *no_host(const struct sp_addr_range *range)
{
	static const struct {
		const char *range, *what;
	} kinds[] = {{"0.0.0.0/8", "of this network (0.0.0.0/8)"}, {"127.0.0.0/8", "loopback (127.0.0.0/8)"},
		{"224.0.0.0/4", "multicast (224.0.0.0/4)"}, {"240.0.0.0/4", "reserved (240.0.0.0/4)"},
		{"::-::1", "unspecified or loopback"}, {"fe80::/10", "link-local (fe80::/10)"}, {"ff00::/8", "multicast (ff00::/8)"}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct sp_addr_range kind;
		const char *why;

		if (sp_addr_range_parse(kinds[i].range, strlen(kinds[i].range), &kind, &why) == 0 && overlap(range, &kind))
			return kinds[i].what;
	}
	return NULL;
}

static int add_range(struct sp_nat_reader *r, struct sp_addrset *all, const struct sp_addr_range *range, const char *item, size_t len)
{
	const char *what = no_host(range);

	if (what != NULL)
		return SP_FAIL(&r->r, "address: '%.*s' is %s: write addresses that hosts have", SP_SHOWN(len), item, what);
	if (all->n == SP_NAT_POOL_MAX)
		return SP_FAIL(&r->r, "address: more than %d ranges of addresses: write prefixes", SP_NAT_POOL_MAX);
	if (all->n != 0 && all->v[0].lo.family != range->lo.family)
		return SP_FAIL(&r->r, "address: an entry translates to one family: write one entry for IPv4 and one for IPv6");
	return sp_addrset_add(all, range) == 0 ? 0 : SP_FAIL(&r->r, "out of memory");
}

static int add_set(struct sp_nat_reader *r, struct sp_addrset *all, const char *item, size_t len)
{
	const struct sp_set *set = sp_set_find(r->r.policy, item + 1, len - 1);

	if (set == NULL)
		return SP_FAIL(&r->r, "address: unknown set '%.*s': define it under sets = { }", SP_SHOWN(len), item);
	if (set->kind != SP_SET_ADDRESSES)
		return SP_FAIL(&r->r, "address: set '%.*s' holds no addresses", SP_SHOWN(len), item);
	for (size_t i = 0; i < set->addrs.n; i++)
		if (add_range(r, all, &set->addrs.v[i], item, len) != 0)
			return -EINVAL;
	return 0;
}

static int add_member(struct sp_nat_reader *r, struct sp_addrset *all, const char *item, size_t len)
{
	struct sp_addr_range range;
	const char *why = "not an address";

	if (len == 0)
		return SP_FAIL(&r->r, "address: an empty member in the list");
	if (item[0] == '@')
		return add_set(r, all, item, len);
	if (item[0] == '!')
		return SP_FAIL(&r->r, "address: '!' has no meaning here: write the addresses that are meant");
	if ((len == 9 && memcmp(item, "interface", 9) == 0) || (len == 4 && memcmp(item, "none", 4) == 0))
		return SP_FAIL(&r->r, "address: '%.*s' stands alone: write an entry for it", (int)len, item);
	if (sp_addr_range_parse(item, len, &range, &why) != 0)
		return SP_FAIL(
			&r->r, "address: '%.*s': %s%s", SP_SHOWN(len), item, why, sp_list_is_word(item, len) ? " (a set needs its @)" : "");
	return add_range(r, all, &range, item, len);
}

/* Number of addresses, at most COUNT_MAX. */
static uint32_t count_hosts(const struct sp_addrset *set)
{
	u128 sum = 0;

	for (size_t i = 0; i < set->n && sum < COUNT_MAX; i++) {
		u128 more = span(&set->v[i]);

		sum = more >= COUNT_MAX ? COUNT_MAX : sum + more + 1;
	}
	return sum >= COUNT_MAX ? COUNT_MAX : (uint32_t)sum;
}

/* A server that stood there twice would get twice its share, and a pool address would give each port out twice. */
static int check_twice(struct sp_nat_reader *r, const struct sp_addrset *all)
{
	struct sp_addrset sorted = {0};
	char text[96];
	int result = 0;

	for (size_t i = 0; i < all->n && result == 0; i++)
		if (sp_addrset_add(&sorted, &all->v[i]) != 0)
			result = SP_FAIL(&r->r, "out of memory");
	sp_addrset_normalize(&sorted);
	if (result == 0 && count_hosts(&sorted) != count_hosts(all))
		for (size_t i = 1; i < all->n && result == 0; i++)
			for (size_t k = 0; k < i && result == 0; k++)
				if (overlap(&all->v[i], &all->v[k]))
					result = SP_FAIL(&r->r, "address: %s is in the list before: name each address once",
						sp_addr_range_format(&all->v[i], text, sizeof(text)));
	sp_addrset_free(&sorted);
	return result;
}

static int take(struct sp_nat_reader *r, const struct sp_addrset *all)
{
	struct sp_nat_entry *entry = r->entry;

	if (all->n == 0)
		return SP_FAIL(&r->r, "address: holds no address at all: put some into the set, or write address = \"none\"");
	if (check_twice(r, all) != 0)
		return -EINVAL;
	entry->address = sp_policy_alloc(r->r.policy, all->n * sizeof(entry->address[0]));
	if (entry->address == NULL)
		return SP_FAIL(&r->r, "out of memory");
	memcpy(entry->address, all->v, all->n * sizeof(entry->address[0]));
	entry->n_address = all->n;
	entry->n_hosts = count_hosts(all);
	return 0;
}

int sp_nat_set_address(struct sp_nat_reader *r, const char *text)
{
	struct sp_addrset all = {0};
	const char *cursor = text, *item;
	int result = 0;
	size_t len;

	r->entry->none = strcmp(text, "none") == 0;
	r->entry->interface = strcmp(text, "interface") == 0;
	if (r->entry->none || r->entry->interface)
		return 0;
	while (sp_list_next(&cursor, &item, &len) && result == 0)
		result = add_member(r, &all, item, len);
	if (result == 0)
		result = take(r, &all);
	sp_addrset_free(&all);
	return result;
}

static void check_prefixes(struct sp_nat_reader *r)
{
	struct sp_nat_entry *entry = r->entry;
	int inside = sp_addr_range_prefix(&entry->inside), outside = sp_addr_range_prefix(&entry->outside);

	if (inside < 1 || inside > 64) {
		sp_nat_stand_at(r, SP_NAT_KEY_SRC);
		SP_FAIL(&r->r, "src: prefix needs an IPv6 prefix of at most 64 bits (RFC 6296), such as fd00:1:2::/48");
	} else if (outside != inside) {
		SP_FAIL(&r->r, "address: prefix needs prefixes of equal length: src has %d bits", inside);
	} else {
		entry->prefix_bits = (uint8_t)inside;
	}
}

void sp_nat_check_pair(struct sp_nat_reader *r)
{
	const struct sp_nat_entry *entry = r->entry;

	sp_nat_stand_at(r, SP_NAT_KEY_ADDRESS);
	if (entry->inside.lo.family != entry->outside.lo.family)
		SP_FAIL(&r->r, "address: src and address are of different families: both sides are IPv4, or both IPv6");
	else if (entry->type == SP_NAT_PREFIX && entry->inside.lo.family != SP_FAMILY_IPV6)
		SP_FAIL(&r->r, "address: prefix translates IPv6: write type = \"static\" for IPv4");
	else if (overlap(&entry->inside, &entry->outside))
		SP_FAIL(&r->r, "address: src and address overlap: each address is of one side");
	else if (entry->type == SP_NAT_PREFIX)
		check_prefixes(r);
	else if (span(&entry->inside) != span(&entry->outside))
		SP_FAIL(&r->r,
			"address: static needs as many addresses as src has, because the n-th becomes the n-th: make both equally long");
}
