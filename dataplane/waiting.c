/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Neighbours are slots of an array, found by a keyed hash and listed by age. A neighbour that is looked after has at least one packet; when
 * its packets go it leaves the table first, so that what their fate sets off (an ICMP error may have to wait itself) meets a whole table.
 *
 * A next hop is remembered across turns, when the writer may give its record to another neighbour. So its MAC counts only if the record,
 * read after the MAC, still names this neighbour: a new one gets its MAC after its name.
 */
#include "dataplane/waiting.h"

#include <errno.h>
#include <rte_ether.h>
#include <string.h>

#include "dataplane/alloc.h"
#include "dataplane/output.h"
#include "dataplane/parse_internal.h"
#include "dataplane/reject.h"
#include "dataplane/router_error.h"
#include "dataplane/stages.h"

#define CHAINS      512 /* of the hash; a power of two */
#define TURN_BUDGET 32  /* neighbours that one turn looks at */
#define NONE        UINT16_MAX
#define NO_PACKET   UINT32_MAX

struct packet {
	struct rte_mbuf *mbuf;
	uint32_t next; /* of the same neighbour, or of those that are free */
	uint32_t l3_off;
	uint16_t ingress;
	uint16_t link; /* that it came by */
	bool known;    /* came_as is told */
	bool answer;   /* and its sender is to hear what became of it */
	struct sp_packet came_as;
};

struct neighbour {
	uint8_t address[16];
	uint32_t nexthop;
	uint32_t first, last; /* packets, oldest first */
	uint32_t since_ms, asked_ms;
	uint32_t n;
	uint16_t link;
	uint8_t family;
	bool asked;   /* the question has found room in the ring */
	bool gateway; /* packets wait that are not addressed to it */
	uint16_t chain, next_in_chain;
	uint16_t older, newer; /* newer: also of those that are free */
};

struct sp_waiting {
	unsigned int n; /* neighbours */
	bool closed;
	uint16_t oldest, newest, cursor, free; /* cursor: which the next turn looks at first */
	uint32_t n_packets, n_buffers, max;    /* max of both, together of all neighbours */
	uint32_t queue;                        /* packets of one neighbour */
	uint32_t free_packet;
	struct packet *packets;
	uint16_t chain[CHAINS];
	struct neighbour neighbour[SP_WAITING_NEIGHBOURS];
};

struct sp_waiting *sp_waiting_create(const struct sp_route_config *config, int socket)
{
	struct sp_waiting *waiting = sp_alloc("waiting", sizeof(*waiting), RTE_CACHE_LINE_SIZE, socket);

	if (waiting == NULL)
		goto err;
	waiting->max = RTE_MAX(config->waiting, 1u);
	waiting->queue = RTE_MAX(config->queue, 1u);
	waiting->packets = sp_alloc("waiting packets", waiting->max * sizeof(*waiting->packets), RTE_CACHE_LINE_SIZE, socket);
	if (waiting->packets == NULL)
		goto err;
	waiting->oldest = waiting->newest = waiting->cursor = NONE;
	memset(waiting->chain, 0xff, sizeof(waiting->chain));
	for (unsigned int n = 0; n < SP_WAITING_NEIGHBOURS; n++)
		waiting->neighbour[n].newer = n + 1 < SP_WAITING_NEIGHBOURS ? (uint16_t)(n + 1) : NONE;
	for (uint32_t p = 0; p < waiting->max; p++)
		waiting->packets[p].next = p + 1 < waiting->max ? p + 1 : NO_PACKET;
	return waiting;
err:
	sp_free(waiting);
	errno = ENOMEM;
	return NULL;
}

void sp_waiting_free(struct sp_waiting *waiting)
{
	if (waiting == NULL)
		return;
	for (uint16_t n = waiting->oldest; n != NONE; n = waiting->neighbour[n].newer)
		for (uint32_t p = waiting->neighbour[n].first; p != NO_PACKET; p = waiting->packets[p].next)
			rte_pktmbuf_free(waiting->packets[p].mbuf);
	sp_free(waiting->packets);
	sp_free(waiting);
}

size_t sp_waiting_bytes(const struct sp_route_config *config)
{
	return sizeof(struct sp_waiting) + config->waiting * sizeof(struct packet);
}

/* --- neighbours ------------------------------------------------------------------------------------------------------------------- */

static size_t address_bytes(uint8_t family)
{
	return family == SP_FAMILY_IPV4 ? SP_IPV4_ADDRESS_BYTES : SP_IPV6_ADDRESS_BYTES;
}

static uint16_t chain_of(uint16_t link, uint8_t family, const uint8_t *address)
{
	uint64_t word[2] = {0};

	memcpy(word, address, address_bytes(family));
	word[0] = sp_key_fold(word[0] ^ sp_key_secret.endpoint[0], word[1] ^ sp_key_secret.endpoint[1]);
	return sp_key_fold(word[0] ^ link, sp_key_secret.factor) & (CHAINS - 1);
}

static bool is_named(const struct neighbour *neighbour, uint16_t link, uint8_t family, const uint8_t *address)
{
	return neighbour->link == link && neighbour->family == family && memcmp(neighbour->address, address, address_bytes(family)) == 0;
}

static struct neighbour *find(struct sp_waiting *waiting, uint16_t link, uint8_t family, const uint8_t *address)
{
	for (uint16_t n = waiting->chain[chain_of(link, family, address)]; n != NONE; n = waiting->neighbour[n].next_in_chain)
		if (is_named(&waiting->neighbour[n], link, family, address))
			return &waiting->neighbour[n];
	return NULL;
}

/* There is a free slot. */
static struct neighbour *open_slot(struct sp_waiting *waiting, uint16_t link, uint8_t family, const uint8_t *address, uint32_t now_ms)
{
	uint16_t index = waiting->free;
	struct neighbour *neighbour = &waiting->neighbour[index];

	waiting->free = neighbour->newer;
	memset(neighbour, 0, sizeof(*neighbour));
	neighbour->link = link;
	neighbour->family = family;
	memcpy(neighbour->address, address, address_bytes(family));
	neighbour->first = neighbour->last = NO_PACKET;
	neighbour->since_ms = neighbour->asked_ms = now_ms;
	neighbour->chain = chain_of(link, family, address);
	neighbour->next_in_chain = waiting->chain[neighbour->chain];
	waiting->chain[neighbour->chain] = index;
	neighbour->newer = NONE;
	neighbour->older = waiting->newest;
	if (waiting->newest == NONE)
		waiting->oldest = index;
	else
		waiting->neighbour[waiting->newest].newer = index;
	waiting->newest = index;
	waiting->n++;
	return neighbour;
}

/* The slot leaves the table; its packets, from the one that is returned on, are the caller's. */
static uint32_t close_slot(struct sp_waiting *waiting, struct neighbour *neighbour)
{
	uint16_t index = (uint16_t)(neighbour - waiting->neighbour);
	uint16_t *at = &waiting->chain[neighbour->chain];

	while (*at != index)
		at = &waiting->neighbour[*at].next_in_chain;
	*at = neighbour->next_in_chain;
	if (neighbour->older == NONE)
		waiting->oldest = neighbour->newer;
	else
		waiting->neighbour[neighbour->older].newer = neighbour->newer;
	if (neighbour->newer == NONE)
		waiting->newest = neighbour->older;
	else
		waiting->neighbour[neighbour->newer].older = neighbour->older;
	if (waiting->cursor == index)
		waiting->cursor = neighbour->newer;
	neighbour->newer = waiting->free;
	waiting->free = index;
	waiting->n--;
	return neighbour->first;
}

/* --- packets ---------------------------------------------------------------------------------------------------------------------- */

/* Takes a packet out of its slot into *packet; returns the one behind it. Its mbuf is the caller's. */
static uint32_t take(struct sp_worker *worker, uint32_t index, struct packet *packet)
{
	struct sp_waiting *waiting = worker->waiting;

	*packet = waiting->packets[index];
	waiting->packets[index].next = waiting->free_packet;
	waiting->free_packet = index;
	waiting->n_packets--;
	waiting->n_buffers -= packet->mbuf->nb_segs;
	sp_count(&worker->stats.waiting_held, -UINT64_C(1));
	return packet->next;
}

static void drop(struct sp_worker *worker, const struct packet *packet, enum sp_drop_reason reason)
{
	sp_count(&worker->stats.drops[reason], 1);
	if (packet->ingress < SP_PORTS_MAX)
		sp_count(&worker->stats.ports[packet->ingress].drops, 1);
	if (packet->known)
		sp_drop_note_packet(worker, packet->mbuf, &packet->came_as, packet->ingress, reason);
	else
		sp_drop_note_mbuf(worker, packet->mbuf, packet->ingress, reason);
	if (worker->captures != NULL)
		sp_capture_mbuf(worker, packet->mbuf, SP_CAPTURE_DROP, packet->ingress, reason);
	rte_pktmbuf_free(packet->mbuf);
}

static void drop_all(struct sp_worker *worker, uint32_t first, enum sp_drop_reason reason)
{
	while (first != NO_PACKET) {
		struct packet packet;

		first = take(worker, first, &packet);
		drop(worker, &packet, reason);
	}
}

static void drop_first(struct sp_worker *worker, struct neighbour *neighbour)
{
	struct packet packet;

	neighbour->first = take(worker, neighbour->first, &packet);
	if (neighbour->first == NO_PACKET)
		neighbour->last = NO_PACKET;
	neighbour->n--;
	drop(worker, &packet, SP_DROP_ROUTE_WAITING_FULL);
}

static void append(struct sp_worker *worker, struct neighbour *neighbour, const struct packet *packet)
{
	struct sp_waiting *waiting = worker->waiting;
	uint32_t index = waiting->free_packet;

	waiting->free_packet = waiting->packets[index].next;
	waiting->packets[index] = *packet;
	waiting->packets[index].next = NO_PACKET;
	if (neighbour->last == NO_PACKET)
		neighbour->first = index;
	else
		waiting->packets[neighbour->last].next = index;
	neighbour->last = index;
	neighbour->n++;
	waiting->n_packets++;
	waiting->n_buffers += packet->mbuf->nb_segs;
	sp_count(&worker->stats.waiting_held, 1);
}

/* Whether the IP header is that of the packet of this key: not translated, and no error, whose key is another packet's. */
static bool is_as_it_came(const struct rte_mbuf *mbuf, uint32_t l3_off, const struct sp_packet *packet)
{
	uint8_t copy[SP_IPV6_BYTES];
	const struct sp_key *key = &packet->key;
	const uint8_t *ip;

	if (key->family == SP_FAMILY_IPV4) {
		ip = rte_pktmbuf_read(mbuf, l3_off, SP_IPV4_BYTES, copy);
		return ip != NULL && ip[0] >> 4 == 4 && memcmp(ip + SP_IPV4_SRC_OFFSET, &key->v4, 2 * SP_IPV4_ADDRESS_BYTES) == 0;
	}
	ip = rte_pktmbuf_read(mbuf, l3_off, SP_IPV6_BYTES, copy);
	return ip != NULL && ip[0] >> 4 == 6 && memcmp(ip + SP_IPV6_SRC_OFFSET, &key->v6, 2 * SP_IPV6_ADDRESS_BYTES) == 0;
}

/* Whether an IPv6 packet is a fragment other than the first of its datagram; one that cannot be told is. */
static bool is_later_fragment(const struct rte_mbuf *mbuf, uint32_t l3_off)
{
	uint8_t gathered[SP_PARSE_GATHER_BYTES];
	struct sp_parse parse = {.frame = rte_pktmbuf_mtod(mbuf, const uint8_t *),
		.have = mbuf->data_len,
		.end = mbuf->pkt_len,
		.mbuf = mbuf,
		.gathered = gathered};
	struct sp_extensions chain;
	const uint8_t *ip = sp_parse_at(&parse, l3_off, SP_IPV6_BYTES);

	return ip == NULL || sp_parse_extensions(&parse, l3_off + SP_IPV6_BYTES, ip[SP_IPV6_NEXT_OFFSET], &chain) != SP_DROP_NONE ||
	       chain.later;
}

/* What is known of a packet of the burst; what the worker made is not in it. */
static void remember(const struct sp_worker *worker, struct packet *packet)
{
	const struct sp_burst *burst = &worker->burst;

	for (unsigned int i = 0; i < burst->n; i++) {
		if (burst->mbuf[i] != packet->mbuf || burst->verdict[i] != SP_VERDICT_ALLOW)
			continue;
		packet->known = true;
		packet->came_as = burst->packet[i];
		packet->link = burst->link[i];
		packet->answer = burst->way == burst->port && !(burst->translated >> i & 1) &&
				 is_as_it_came(packet->mbuf, packet->l3_off, &burst->packet[i]);
		if (burst->datagrams >> i & 1 && burst->packet[i].key.family == SP_FAMILY_IPV6)
			packet->answer = packet->answer && !is_later_fragment(packet->mbuf, packet->l3_off);
		return;
	}
}

/* --- questions -------------------------------------------------------------------------------------------------------------------- */

static bool is_its(const struct sp_nexthop *nexthop, const struct neighbour *neighbour)
{
	return nexthop->kind == SP_NEXTHOP_NEIGHBOUR && is_named(neighbour, nexthop->link, nexthop->family, nexthop->address);
}

/* MAC and state of a next hop if it is this neighbour; else 0. The order of the two looks matters: see above. */
static uint64_t mac_of(const struct sp_routing *routing, uint32_t id, const struct neighbour *neighbour)
{
	uint64_t mac = __atomic_load_n(&routing->nexthops[id].mac, __ATOMIC_ACQUIRE);

	return is_its(&routing->nexthops[id], neighbour) ? mac : 0;
}

/* By the FIB, which knows neighbours of connected prefixes; or, for those that only gateways name, by the gateway's next hop. */
static uint64_t look_up(const struct sp_routing *routing, const struct neighbour *neighbour)
{
	uint64_t mac = mac_of(routing, sp_route_lookup(routing, neighbour->family, neighbour->address), neighbour);

	return mac != 0 ? mac : mac_of(routing, neighbour->nexthop, neighbour);
}

static void ask(const struct sp_routing *routing, struct neighbour *neighbour, uint32_t now_ms)
{
	struct sp_resolve question = {.nexthop = SP_NEXTHOP_ID_UNREACHABLE, .link = neighbour->link, .family = neighbour->family};

	if (is_its(&routing->nexthops[neighbour->nexthop], neighbour))
		question.nexthop = neighbour->nexthop;
	memcpy(question.address, neighbour->address, address_bytes(neighbour->family));
	/* a full ring: again with the next look */
	neighbour->asked = rte_ring_mp_enqueue_elem(routing->resolve, &question, sizeof(question)) == 0;
	neighbour->asked_ms = now_ms;
}

/* --- the way in ------------------------------------------------------------------------------------------------------------------- */

/* Whether the packet's destination is another than the neighbour. */
static bool is_for_gateway(const struct rte_mbuf *mbuf, uint32_t l3_off, uint8_t family, const uint8_t *address)
{
	uint8_t copy[SP_IPV6_ADDRESS_BYTES];
	bool v4 = family == SP_FAMILY_IPV4;
	uint32_t off = l3_off + (v4 ? SP_IPV4_SRC_OFFSET + SP_IPV4_ADDRESS_BYTES : SP_IPV6_DST_OFFSET);
	const void *destination = rte_pktmbuf_read(mbuf, off, (uint32_t)address_bytes(family), copy);

	return destination != NULL && memcmp(destination, address, address_bytes(family)) != 0;
}

/* Who has to make room for a neighbour: whoever has waited longest, but a gateway only for another one. NULL: nobody. */
static struct neighbour *victim_for(struct sp_waiting *waiting, const struct neighbour *neighbour, bool gateway)
{
	struct neighbour *oldest = NULL;

	for (uint16_t n = waiting->oldest; n != NONE; n = waiting->neighbour[n].newer) {
		struct neighbour *victim = &waiting->neighbour[n];

		if (victim->n == 0)
			continue; /* the new one itself */
		if (!victim->gateway)
			return victim;
		if (oldest == NULL && (gateway || victim == neighbour))
			oldest = victim;
	}
	return oldest;
}

static struct neighbour *find_or_open(struct sp_worker *worker, uint16_t link, uint8_t family, const uint8_t *address, bool gateway)
{
	struct sp_waiting *waiting = worker->waiting;
	struct neighbour *neighbour = find(waiting, link, family, address), *victim;

	if (neighbour == NULL && waiting->free == NONE) {
		victim = victim_for(waiting, NULL, gateway);
		if (victim == NULL)
			return NULL;
		drop_all(worker, close_slot(waiting, victim), SP_DROP_ROUTE_WAITING_FULL);
	}
	if (neighbour == NULL)
		neighbour = open_slot(waiting, link, family, address, worker->burst.now_ms);
	neighbour->gateway = neighbour->gateway || gateway;
	return neighbour;
}

/* Room for a packet of so many buffers; false when there is none for this neighbour. */
static bool make_room(struct sp_worker *worker, struct neighbour *neighbour, uint32_t buffers)
{
	struct sp_waiting *waiting = worker->waiting;

	while (neighbour->n >= waiting->queue)
		drop_first(worker, neighbour);
	while (waiting->n_buffers + buffers > waiting->max) {
		struct neighbour *victim = victim_for(waiting, neighbour, neighbour->gateway);

		if (victim == NULL)
			return false;
		drop_first(worker, victim);
		if (victim->n == 0 && victim != neighbour)
			close_slot(waiting, victim);
	}
	return true;
}

void sp_waiting_add(struct sp_worker *worker, struct rte_mbuf *mbuf, uint32_t l3_off, uint32_t nexthop, uint16_t link, uint8_t family,
	const uint8_t *address, uint16_t ingress)
{
	struct sp_waiting *waiting = worker->waiting;
	struct packet packet = {.mbuf = mbuf, .l3_off = l3_off, .ingress = ingress};
	struct neighbour *neighbour = NULL;

	remember(worker, &packet);
	if (!waiting->closed && mbuf->nb_segs <= waiting->max)
		neighbour = find_or_open(worker, link, family, address, is_for_gateway(mbuf, l3_off, family, address));
	if (neighbour != NULL && !make_room(worker, neighbour, mbuf->nb_segs)) {
		if (neighbour->n == 0)
			close_slot(waiting, neighbour);
		neighbour = NULL;
	}
	if (neighbour == NULL) {
		drop(worker, &packet, SP_DROP_ROUTE_WAITING_FULL);
		return;
	}
	neighbour->nexthop = nexthop;
	append(worker, neighbour, &packet);
	if (!neighbour->asked)
		ask(worker->dataplane->routing, neighbour, worker->burst.now_ms);
}

/* --- the way out ------------------------------------------------------------------------------------------------------------------ */

static void send_on(struct sp_worker *worker, struct neighbour *neighbour, uint64_t mac)
{
	const struct sp_link *link = &worker->dataplane->routing->links[neighbour->link];
	uint32_t first = close_slot(worker->waiting, neighbour);

	while (first != NO_PACKET) {
		struct packet packet;

		first = take(worker, first, &packet);
		sp_count(&worker->stats.waited, 1);
		sp_output_frame(worker, packet.mbuf, packet.l3_off, link, mac);
	}
}

static struct rte_mbuf *build_error(struct sp_worker *worker, const struct packet *packet)
{
	const struct sp_dataplane *dataplane = worker->dataplane;
	const bool v4 = packet->came_as.key.family == SP_FAMILY_IPV4;
	const rte_be16_t type = v4 ? RTE_BE16(RTE_ETHER_TYPE_IPV4) : RTE_BE16(RTE_ETHER_TYPE_IPV6);
	uint8_t ether[SP_ETHER_BYTES] = {0};
	struct sp_packet came_as = packet->came_as;
	struct sp_refused refused = {.mbuf = packet->mbuf,
		.packet = &came_as,
		.link = packet->link,
		.reason = SP_DROP_ROUTE_NEIGHBOUR,
		.hops = 1,
		.ether = ether,
		.ether_len = sizeof(ether)};

	if (!sp_reject_is_answerable(&came_as) || !sp_error_rate_take(&worker->error_rate, &came_as.key, false,
							  dataplane->routing->config.errors, dataplane->n_workers, sp_burst_ns(worker)))
		return NULL;
	memcpy(ether + SP_ETHER_TYPE_OFFSET, &type, sizeof(type));
	came_as.l3_off = (uint8_t)packet->l3_off;
	return sp_router_error_build(worker, &refused);
}

/* Host unreachable. The way back is a route's: the frame that it came in is no more. */
static void report(struct sp_worker *worker, const struct packet *packet)
{
	struct rte_mbuf *built;

	if (!packet->answer)
		return;
	built = build_error(worker, packet);
	if (built == NULL) {
		sp_count(&worker->stats.errors_suppressed, 1);
		return;
	}
	sp_count(&worker->stats.built, 1);
	sp_count(&worker->stats.errors_built, 1);
	sp_output_built(worker, built);
}

static void give_up(struct sp_worker *worker, struct neighbour *neighbour)
{
	uint32_t first = close_slot(worker->waiting, neighbour);

	while (first != NO_PACKET) {
		struct packet packet;

		first = take(worker, first, &packet);
		report(worker, &packet);
		drop(worker, &packet, SP_DROP_ROUTE_NEIGHBOUR);
	}
}

static void look_after(struct sp_worker *worker, struct neighbour *neighbour, uint32_t now_ms)
{
	const struct sp_routing *routing = worker->dataplane->routing;
	uint64_t mac = look_up(routing, neighbour);
	uint32_t age_ms = now_ms - neighbour->since_ms;

	if (mac & SP_NEIGHBOUR_RESOLVED)
		send_on(worker, neighbour, mac);
	else if (age_ms >= SP_WAITING_MS || (mac & SP_NEIGHBOUR_FAILED && age_ms >= SP_WAITING_ASK_MS))
		give_up(worker, neighbour);
	else if (!neighbour->asked || now_ms - neighbour->asked_ms >= SP_WAITING_ASK_MS)
		ask(routing, neighbour, now_ms);
}

void sp_waiting_turn(struct sp_worker *worker, uint32_t now_ms)
{
	struct sp_waiting *waiting = worker->waiting;

	if (waiting == NULL || likely(waiting->n == 0))
		return;
	for (unsigned int left = RTE_MIN(waiting->n, (unsigned int)TURN_BUDGET); left > 0 && waiting->n > 0; left--) {
		struct neighbour *neighbour;

		if (waiting->cursor == NONE)
			waiting->cursor = waiting->oldest;
		neighbour = &waiting->neighbour[waiting->cursor];
		waiting->cursor = neighbour->newer;
		look_after(worker, neighbour, now_ms);
	}
}

void sp_waiting_close(struct sp_worker *worker)
{
	struct sp_waiting *waiting = worker->waiting;

	if (waiting == NULL)
		return;
	waiting->closed = true;
	while (waiting->oldest != NONE)
		drop_all(worker, close_slot(waiting, &waiting->neighbour[waiting->oldest]), SP_DROP_ROUTE_NEIGHBOUR);
}
