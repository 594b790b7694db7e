/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP errors of the router (RFC 1812 4.3, RFC 4443): what it says of a packet that it does not forward, in whose name, and how often.
 *
 * Of all errors a worker builds its share of route.errors a second. Of these one host (IPv6: one /64) gets few a second, so that it cannot
 * use up what the others need; hosts that fall into one class of a keyed hash share. What path-MTU discovery needs goes before: it does not
 * count for the host, and a flood of other errors does not use up what all together may have.
 */
#ifndef SP_DATAPLANE_ROUTER_ERROR_H
#define SP_DATAPLANE_ROUTER_ERROR_H

#include "dataplane/burst.h"

#define SP_ERROR_HOSTS     1024 /* classes; a power of two */
#define SP_ERROR_HOST_RATE 10   /* errors a second to one host, and as many at once */

/* A worker's rates: until when they are used up, in ns of its clock. All zero at first. */
struct sp_error_rate {
	uint64_t tat_ns;
	uint64_t host_tat_ns[SP_ERROR_HOSTS];
};

/*
 * Whether one more error may go to the source of `key` (IPv4 or IPv6); it is counted then. `rate`: errors a second of n_workers together,
 * 0: none. `path_mtu`: the host's own rate does not count.
 */
bool sp_error_rate_take(
	struct sp_error_rate *rates, const struct sp_key *key, bool path_mtu, uint32_t rate, unsigned int n_workers, uint64_t now_ns);

/* A packet that is not forwarded. */
struct sp_refused {
	const struct rte_mbuf *mbuf;
	const struct sp_packet *packet; /* as parsed from mbuf, and as it came: before any translation */
	uint16_t link;                  /* that it came by */
	enum sp_drop_reason reason;
	uint16_t mtu;         /* ROUTE_MTU: of the link that it does not fit */
	uint8_t hops;         /* by which its TTL or hop limit was lowered already */
	const uint8_t *ether; /* Ethernet header of the error, with its tags; NULL: the packet's own, addresses exchanged */
	uint8_t ether_len;
};

struct sp_worker;

/*
 * Builds the error about a packet, by its reason: ROUTE_TTL, _UNREACHABLE, _NEIGHBOUR, _LINK_DOWN, _PROHIBIT, _MTU, or administratively
 * prohibited. Its source is the packet's destination if that is the router's own, else an address of the link that the packet came by, else
 * of another link. NULL when there is no such address, when none may be sent (sp_reject_build_error; broadcasts of links), or no mbuf is
 * free. Rates are the caller's. Route mode, worker only.
 */
struct rte_mbuf *sp_router_error_build(struct sp_worker *worker, const struct sp_refused *refused);

/* The same for packet i of the burst, which a rule or a stage rejects; the reason is its own. */
struct rte_mbuf *sp_router_error_of(struct sp_worker *worker, unsigned int i);

/* Whether an answer to the packet's source may be sent at all: neither end is a broadcast address of a link, nor the source the router. */
bool sp_router_may_answer(const struct sp_worker *worker, const struct sp_key *key);

/* Whether such packets get an error of the router itself and not the policy's answer. */
static inline bool sp_is_router_error(enum sp_drop_reason reason)
{
	return reason == SP_DROP_ROUTE_TTL || reason == SP_DROP_ROUTE_UNREACHABLE || reason == SP_DROP_ROUTE_NEIGHBOUR ||
	       reason == SP_DROP_ROUTE_PROHIBIT || reason == SP_DROP_ROUTE_MTU || reason == SP_DROP_ROUTE_LINK_DOWN;
}

#endif
