/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/router_error.h"

#include "dataplane/parse_internal.h"
#include "dataplane/reject.h"
#include "dataplane/routing.h"
#include "dataplane/worker.h"

#define SECOND_NS 1000000000ull

#define ICMP_UNREACHABLE 3
#define ICMP_EXCEEDED    11
#define ICMP_NET         0
#define ICMP_HOST        1
#define ICMP_TOO_BIG     4
#define ICMP_PROHIBITED  13

#define ICMP6_UNREACHABLE 1
#define ICMP6_TOO_BIG     2
#define ICMP6_EXCEEDED    3
#define ICMP6_NO_ROUTE    0
#define ICMP6_PROHIBITED  1
#define ICMP6_ADDRESS     3

/* --- how often -------------------------------------------------------------------------------------------------------------------- */

/* Whether a rate of one in step_ns, `depth` of them at once, permits one more now. */
static bool permits(uint64_t tat_ns, uint64_t step_ns, unsigned int depth, uint64_t now_ns)
{
	return tat_ns <= now_ns || tat_ns - now_ns <= step_ns * (depth - 1);
}

static uint64_t *host_of(struct sp_error_rate *rates, const struct sp_key *key)
{
	uint64_t host;

	if (key->family == SP_FAMILY_IPV4)
		host = key->v4.src;
	else
		memcpy(&host, key->v6.src, sizeof(host));
	return &rates->host_tat_ns[sp_key_fold(host ^ sp_key_secret.endpoint[0], sp_key_secret.factor) & (SP_ERROR_HOSTS - 1)];
}

bool sp_error_rate_take(
	struct sp_error_rate *rates, const struct sp_key *key, bool path_mtu, uint32_t rate, unsigned int n_workers, uint64_t now_ns)
{
	const uint64_t host_step_ns = SECOND_NS / SP_ERROR_HOST_RATE;
	uint64_t *host = host_of(rates, key), step_ns;
	unsigned int depth;

	if (rate == 0)
		return false;
	/* One second's worth at once, and in any case one; a quarter of it is kept for path-MTU discovery. */
	step_ns = SECOND_NS * n_workers / rate;
	depth = RTE_MAX(rate / n_workers, 1u);
	if (!permits(rates->tat_ns, step_ns, path_mtu ? depth : depth - depth / 4, now_ns))
		return false;
	if (!path_mtu) {
		if (!permits(*host, host_step_ns, SP_ERROR_HOST_RATE, now_ns))
			return false;
		*host = RTE_MAX(*host, now_ns) + host_step_ns;
	}
	rates->tat_ns = RTE_MAX(rates->tat_ns, now_ns) + step_ns;
	return true;
}

/* --- in whose name ---------------------------------------------------------------------------------------------------------------- */

static const uint8_t *key_src(const struct sp_key *key)
{
	return key->family == SP_FAMILY_IPV4 ? (const uint8_t *)&key->v4.src : key->v6.src;
}

static const uint8_t *key_dst(const struct sp_key *key)
{
	return key->family == SP_FAMILY_IPV4 ? (const uint8_t *)&key->v4.dst : key->v6.dst;
}

static bool is_link_local(const uint8_t *address)
{
	return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

/* An address of the router, or a broadcast address of one of its links: the FIB knows them alike. */
static bool is_self(const struct sp_routing *routing, uint8_t family, const uint8_t *address)
{
	return routing->nexthops[sp_route_lookup(routing, family, address)].kind == SP_NEXTHOP_SELF;
}

static bool link_has(const struct sp_link *link, uint8_t family, const uint8_t *address)
{
	const struct sp_link_addresses *has = sp_link_addresses(link);

	for (unsigned int a = 0; family == SP_FAMILY_IPV4 && a < has->n4; a++)
		if (memcmp(&has->v4[a], address, SP_IPV4_ADDRESS_BYTES) == 0)
			return true;
	for (unsigned int a = 0; family == SP_FAMILY_IPV6 && a < has->n6; a++)
		if (memcmp(has->v6[a], address, SP_IPV6_ADDRESS_BYTES) == 0)
			return true;
	return false;
}

static bool is_own(const struct sp_routing *routing, uint8_t family, const uint8_t *address)
{
	for (unsigned int l = 0; l < routing->n_links; l++)
		if (link_has(&routing->links[l], family, address))
			return true;
	return false;
}

/* The link's first address that may be seen beyond it. */
static const uint8_t *global_of(const struct sp_link *link, uint8_t family)
{
	const struct sp_link_addresses *has = sp_link_addresses(link);

	if (family == SP_FAMILY_IPV4)
		return has->n4 > 0 ? (const uint8_t *)&has->v4[0] : NULL;
	for (unsigned int a = 0; a < has->n6; a++)
		if (!is_link_local(has->v6[a]))
			return has->v6[a];
	return NULL;
}

/* RFC 1812 4.3.2.4, RFC 4443 2.2; NULL when there is no address to answer from. Stays while the worker is not quiescent. */
static const uint8_t *source_for(const struct sp_routing *routing, uint16_t link, const struct sp_key *key)
{
	static const uint8_t none[SP_IPV6_ADDRESS_BYTES];
	const struct sp_link_addresses *has = sp_link_addresses(&routing->links[link]);
	const uint8_t *source;

	if (is_own(routing, key->family, key_dst(key)))
		return key_dst(key);
	if (key->family == SP_FAMILY_IPV6 && is_link_local(key->v6.src) && memcmp(has->link_local, none, sizeof(none)) != 0)
		return has->link_local;
	source = global_of(&routing->links[link], key->family);
	for (unsigned int l = 0; source == NULL && l < routing->n_links; l++)
		source = global_of(&routing->links[l], key->family);
	return source;
}

bool sp_router_may_answer(const struct sp_worker *worker, const struct sp_key *key)
{
	const struct sp_routing *routing = worker->dataplane->routing;

	if (key->family != SP_FAMILY_IPV4 && key->family != SP_FAMILY_IPV6)
		return false;
	if (is_self(routing, key->family, key_src(key)))
		return false;
	return !is_self(routing, key->family, key_dst(key)) || is_own(routing, key->family, key_dst(key));
}

/* --- what ------------------------------------------------------------------------------------------------------------------------- */

static void name_error(enum sp_drop_reason reason, bool v4, struct sp_icmp_answer *answer)
{
	answer->type = v4 ? ICMP_UNREACHABLE : ICMP6_UNREACHABLE;
	switch (reason) {
	case SP_DROP_ROUTE_TTL:
		answer->type = v4 ? ICMP_EXCEEDED : ICMP6_EXCEEDED;
		answer->code = 0;
		break;
	case SP_DROP_ROUTE_UNREACHABLE:
		answer->code = v4 ? ICMP_NET : ICMP6_NO_ROUTE;
		break;
	case SP_DROP_ROUTE_NEIGHBOUR:
	case SP_DROP_ROUTE_LINK_DOWN:
		answer->code = v4 ? ICMP_HOST : ICMP6_ADDRESS;
		break;
	case SP_DROP_ROUTE_MTU:
		answer->type = v4 ? ICMP_UNREACHABLE : ICMP6_TOO_BIG;
		answer->code = v4 ? ICMP_TOO_BIG : 0;
		break;
	default:
		answer->code = v4 ? ICMP_PROHIBITED : ICMP6_PROHIBITED;
	}
}

struct rte_mbuf *sp_router_error_build(struct sp_worker *worker, const struct sp_refused *refused)
{
	const struct sp_key *key = &refused->packet->key;
	struct sp_icmp_answer answer = {.hops = refused->hops, .ether = refused->ether, .ether_len = refused->ether_len};

	if (!sp_router_may_answer(worker, key))
		return NULL;
	answer.source = source_for(worker->dataplane->routing, refused->link, key);
	if (answer.source == NULL)
		return NULL;
	name_error(refused->reason, key->family == SP_FAMILY_IPV4, &answer);
	if (refused->reason == SP_DROP_ROUTE_MTU)
		answer.mtu = refused->mtu;
	return sp_reject_build_error(worker->pool, refused->mbuf, refused->packet, &answer);
}

struct rte_mbuf *sp_router_error_of(struct sp_worker *worker, unsigned int i)
{
	const struct sp_burst *burst = &worker->burst;
	const struct sp_routing *routing = worker->dataplane->routing;
	struct sp_refused refused = {.mbuf = burst->mbuf[i],
		.packet = &burst->packet[i],
		.link = burst->link[i],
		.reason = (enum sp_drop_reason)burst->reason[i]};

	if (refused.reason == SP_DROP_ROUTE_MTU) {
		const struct sp_nexthop *nexthop = &routing->nexthops[burst->nexthop[i]];

		if (nexthop->link >= routing->n_links)
			return NULL;
		refused.mtu = __atomic_load_n(&routing->links[nexthop->link].mtu, __ATOMIC_RELAXED);
	}
	return sp_router_error_build(worker, &refused);
}
