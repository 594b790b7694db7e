/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rte_fib6 takes IPv6 addresses as arrays of bytes until DPDK 24.07, and as struct rte_ipv6_addr from 24.11 on.
 */
#ifndef SP_DATAPLANE_FIB_COMPAT_H
#define SP_DATAPLANE_FIB_COMPAT_H

#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_rib.h>
#include <rte_rib6.h>
#include <rte_version.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SP_FIB6_BULK 32 /* addresses that one lookup takes */

#if RTE_VERSION >= RTE_VERSION_NUM(24, 11, 0, 0)
#include <rte_ip6.h>

static inline int sp_fib6_add(struct rte_fib6 *fib, const uint8_t *address, uint8_t bits, uint64_t nexthop)
{
	struct rte_ipv6_addr ip;

	memcpy(ip.a, address, sizeof(ip.a));
	return rte_fib6_add(fib, &ip, bits, nexthop);
}

static inline int sp_fib6_delete(struct rte_fib6 *fib, const uint8_t *address, uint8_t bits)
{
	struct rte_ipv6_addr ip;

	memcpy(ip.a, address, sizeof(ip.a));
	return rte_fib6_delete(fib, &ip, bits);
}

static inline bool sp_fib6_has(struct rte_fib6 *fib, const uint8_t *address, uint8_t bits)
{
	struct rte_ipv6_addr ip;

	memcpy(ip.a, address, sizeof(ip.a));
	return rte_rib6_lookup_exact(rte_fib6_get_rib(fib), &ip, bits) != NULL;
}

static inline uint64_t sp_fib6_lookup(struct rte_fib6 *fib, const uint8_t *address)
{
	struct rte_ipv6_addr ip;
	uint64_t id = 0;

	memcpy(ip.a, address, sizeof(ip.a));
	rte_fib6_lookup_bulk(fib, &ip, &id, 1);
	return id;
}

/* n (up to SP_FIB6_BULK) addresses of 16 bytes each. */
static inline void sp_fib6_lookup_burst(struct rte_fib6 *fib, uint8_t (*addresses)[16], uint64_t *ids, unsigned int n)
{
	struct rte_ipv6_addr ips[SP_FIB6_BULK];

	memcpy(ips, addresses, n * sizeof(ips[0]));
	rte_fib6_lookup_bulk(fib, ips, ids, (int)n);
}
#else
static inline int sp_fib6_add(struct rte_fib6 *fib, const uint8_t *address, uint8_t bits, uint64_t nexthop)
{
	return rte_fib6_add(fib, address, bits, nexthop);
}

static inline int sp_fib6_delete(struct rte_fib6 *fib, const uint8_t *address, uint8_t bits)
{
	return rte_fib6_delete(fib, address, bits);
}

static inline bool sp_fib6_has(struct rte_fib6 *fib, const uint8_t *address, uint8_t bits)
{
	return rte_rib6_lookup_exact(rte_fib6_get_rib(fib), address, bits) != NULL;
}

static inline uint64_t sp_fib6_lookup(struct rte_fib6 *fib, const uint8_t *address)
{
	uint8_t ip[1][16];
	uint64_t id = 0;

	memcpy(ip[0], address, sizeof(ip[0]));
	rte_fib6_lookup_bulk(fib, ip, &id, 1);
	return id;
}

/* n (up to SP_FIB6_BULK) addresses of 16 bytes each. */
static inline void sp_fib6_lookup_burst(struct rte_fib6 *fib, uint8_t (*addresses)[16], uint64_t *ids, unsigned int n)
{
	rte_fib6_lookup_bulk(fib, addresses, ids, (int)n);
}
#endif

#endif
