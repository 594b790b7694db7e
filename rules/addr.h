/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses, ranges of them, and flattened sets: the one form in which rules speak of addresses.
 * Pure data; any thread may read a set that is no longer being built.
 */
#ifndef SP_RULES_ADDR_H
#define SP_RULES_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sp_family { SP_FAMILY_NONE = 0, SP_FAMILY_IPV4 = 4, SP_FAMILY_IPV6 = 6 };

/* An address in network byte order; IPv4 uses b[0..3] and leaves the rest zero. */
struct sp_addr {
	uint8_t family; /* enum sp_family */
	uint8_t b[16];
};

/* lo <= hi bytewise, both of the same family, both ends included. */
struct sp_addr_range {
	struct sp_addr lo, hi;
};

/*
 * A flattened set: sorted, disjoint, non-adjacent ranges, IPv4 before IPv6. `n4` of the `n` ranges are IPv4.
 * An empty set matches nothing.
 */
struct sp_addrset {
	struct sp_addr_range *v;
	size_t n, n4;
};

/* Parses an address, "ADDR/LEN" prefix (host bits must be zero) or "ADDR-ADDR" range of exactly `len` characters.
 * 0, or -EINVAL with *why set to a static sentence fragment such as "prefix length over 32". */
int sp_addr_range_parse(const char *text, size_t len, struct sp_addr_range *out, const char **why);

/* Parses one bare address. 0 or -EINVAL. */
int sp_addr_parse(const char *text, size_t len, struct sp_addr *out);

/* Formats into buf (at least 48 bytes); returns buf. */
char *sp_addr_format(const struct sp_addr *addr, char *buf, size_t size);

/* Formats a range in its shortest form: address, prefix when it is one, or lo-hi (buf at least 96 bytes). */
char *sp_addr_range_format(const struct sp_addr_range *range, char *buf, size_t size);

/* Length of the prefix that the range is, or -1. */
int sp_addr_range_prefix(const struct sp_addr_range *range);

/* Order: IPv4 first, then by bytes. */
int sp_addr_compare(const struct sp_addr *a, const struct sp_addr *b);

/* Adds a range, order does not matter until sp_addrset_normalize. 0 or -ENOMEM. */
int sp_addrset_add(struct sp_addrset *set, const struct sp_addr_range *range);

/* Sorts, merges overlapping and adjacent ranges, counts n4. Required before any function below. */
void sp_addrset_normalize(struct sp_addrset *set);

/* Takes `minus` out of `set`; both normalized; the result is normalized. 0 or -ENOMEM (set untouched). */
int sp_addrset_subtract(struct sp_addrset *set, const struct sp_addrset *minus);

/* Fills `set` (empty before) with everything of both families. 0 or -ENOMEM. */
int sp_addrset_all(struct sp_addrset *set);

bool sp_addrset_contains(const struct sp_addrset *set, const struct sp_addr *addr);

/* Whether every address of `inner` is in `outer`; both normalized. */
bool sp_addrset_covers(const struct sp_addrset *outer, const struct sp_addrset *inner);

void sp_addrset_free(struct sp_addrset *set);

#endif
