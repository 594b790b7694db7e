/* SPDX-License-Identifier: BSD-3-Clause */
/* Which entry translates a packet, and the addresses that translate both ways. */
#include "rules/nat.h"

#include "rules/miss.h"

typedef unsigned __int128 u128;

const char *const sp_nat_type_names[SP_NAT_TYPE_COUNT] = {
#define X(e, n) [SP_NAT_##e] = n,
	SP_NAT_TYPES(X)
#undef X
};

const char *const sp_nat_filtering_names[SP_NAT_FILTERING_COUNT] = {
#define X(e, n) [SP_NAT_FILTERING_##e] = n,
	SP_NAT_FILTERINGS(X)
#undef X
};

const char *const sp_nat_key_names[SP_NAT_KEY_COUNT] = {
#define X(e, n) [SP_NAT_KEY_##e] = n,
	SP_NAT_KEYS(X)
#undef X
};

static int bytes_of(uint8_t family)
{
	return family == SP_FAMILY_IPV4 ? 4 : 16;
}

static u128 value_of(const struct sp_addr *addr)
{
	u128 value = 0;

	for (int i = 0; i < bytes_of(addr->family); i++)
		value = value << 8 | addr->b[i];
	return value;
}

static struct sp_addr addr_of(uint8_t family, u128 value)
{
	struct sp_addr addr = {.family = family};

	for (int i = bytes_of(family) - 1; i >= 0; i--, value >>= 8)
		addr.b[i] = (uint8_t)value;
	return addr;
}

static bool range_holds(const struct sp_addr_range *range, const struct sp_addr *addr)
{
	return addr->family == range->lo.family && sp_addr_compare(&range->lo, addr) <= 0 && sp_addr_compare(addr, &range->hi) <= 0;
}

struct sp_addr sp_nat_host(const struct sp_nat_entry *entry, uint32_t k)
{
	struct sp_addr none = {0};

	for (size_t i = 0; i < entry->n_address; i++) {
		const struct sp_addr_range *range = &entry->address[i];
		u128 first = value_of(&range->lo), size = value_of(&range->hi) - first + 1;

		if (k < size)
			return addr_of(range->lo.family, first + k);
		k -= (uint32_t)size;
	}
	return none;
}

/* --- matching ------------------------------------------------------------------------------------------------------------------------ */

static bool common_matches(const struct sp_policy *policy, const struct sp_nat_entry *entry, const struct sp_match *match)
{
	uint8_t family = sp_nat_family(entry);

	return (family == SP_FAMILY_NONE || family == match->family) && sp_match_proto(entry->proto, match) &&
	       sp_match_ports(&entry->sport, match, match->sport) && sp_match_ports(&entry->dport, match, match->dport) &&
	       sp_match_address(policy, entry->src, match, &match->src) && sp_match_address(policy, entry->dst, match, &match->dst);
}

static bool destination_matches(const struct sp_policy *policy, const struct sp_nat_entry *entry, const struct sp_match *match, bool local)
{
	switch (entry->type) {
	case SP_NAT_DESTINATION:
		return sp_match_zone(entry->from, match->from) && (!entry->dst_interface || local) && common_matches(policy, entry, match);
	case SP_NAT_STATIC:
	case SP_NAT_PREFIX:
		return sp_match_zone(entry->to, match->from) && range_holds(&entry->outside, &match->dst);
	default:
		return false;
	}
}

static bool source_matches(const struct sp_policy *policy, const struct sp_nat_entry *entry, const struct sp_match *match)
{
	if (!sp_match_zone(entry->from, match->from) || !sp_match_zone(entry->to, match->to))
		return false;
	switch (entry->type) {
	case SP_NAT_SOURCE:
		return common_matches(policy, entry, match);
	case SP_NAT_STATIC:
	case SP_NAT_PREFIX:
		return range_holds(&entry->inside, &match->src);
	default:
		return false;
	}
}

uint32_t sp_nat_match(const struct sp_policy *policy, const struct sp_match *match, bool destination, bool local, uint32_t first)
{
	const struct sp_nat_list *list = policy->nat;

	if (list == NULL || match->family == SP_FAMILY_NONE)
		return SP_NAT_NO_ENTRY;
	for (size_t i = first; i < list->n; i++) {
		const struct sp_nat_entry *entry = &list->v[i];

		if (!entry->enabled)
			continue;
		if (destination ? destination_matches(policy, entry, match, local) : source_matches(policy, entry, match))
			return (uint32_t)i;
	}
	return SP_NAT_NO_ENTRY;
}

/* --- both ways ----------------------------------------------------------------------------------------------------------------------- */

/* Ones' complement: 0xffff and 0 are one number, which is written 0. */
static uint16_t ones_add(uint32_t a, uint32_t b)
{
	uint32_t sum = a + b;

	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff ? 0 : (uint16_t)sum;
}

static uint16_t word_at(const struct sp_addr *addr, int word)
{
	return (uint16_t)(addr->b[word * 2] << 8 | addr->b[word * 2 + 1]);
}

/* Sum of the words of a prefix; the bits behind it are zero. */
static uint16_t prefix_sum(const struct sp_addr *prefix)
{
	uint16_t sum = 0;

	for (int word = 0; word < 8; word++)
		sum = ones_add(sum, word_at(prefix, word));
	return sum;
}

/* The word that makes up for the other prefix: that of the subnet behind a /48, else the first of the host part that can (RFC 6296 3.4,
 * 3.5). The choice is the same for both addresses: a word that is adjusted is never 0xffff. -1: none. */
static int adjusted_word(const struct sp_addr *addr, uint8_t prefix_bits)
{
	for (int word = prefix_bits <= 48 ? 3 : 4; word < (prefix_bits <= 48 ? 4 : 8); word++)
		if (word_at(addr, word) != 0xffff)
			return word;
	return -1;
}

static bool prefix_counterpart(const struct sp_addr_range *from, const struct sp_addr_range *to, uint8_t bits, struct sp_addr *addr)
{
	u128 host = bits == 0 ? ~(u128)0 : ~(u128)0 >> bits;
	int word = adjusted_word(addr, bits);
	uint16_t adjusted;

	if (word < 0)
		return false;
	adjusted = ones_add(ones_add(word_at(addr, word), prefix_sum(&from->lo)), (uint16_t)~prefix_sum(&to->lo));
	*addr = addr_of(SP_FAMILY_IPV6, (value_of(&to->lo) & ~host) | (value_of(addr) & host));
	addr->b[word * 2] = (uint8_t)(adjusted >> 8);
	addr->b[word * 2 + 1] = (uint8_t)adjusted;
	return true;
}

bool sp_nat_counterpart(const struct sp_nat_entry *entry, const struct sp_addr *address, bool outward, struct sp_addr *out)
{
	const struct sp_addr_range *from = outward ? &entry->inside : &entry->outside, *to = outward ? &entry->outside : &entry->inside;
	struct sp_addr addr = *address;

	if (!range_holds(from, address))
		return false;
	if (entry->type == SP_NAT_PREFIX) {
		if (!prefix_counterpart(from, to, entry->prefix_bits, &addr))
			return false;
	} else {
		addr = addr_of(to->lo.family, value_of(&to->lo) + (value_of(address) - value_of(&from->lo)));
	}
	*out = addr;
	return true;
}
