/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/nd.h"

#include <netinet/in.h>

#define ROUTER_SOLICITATION    133
#define ROUTER_ADVERTISEMENT   134
#define NEIGHBOR_SOLICITATION  135
#define NEIGHBOR_ADVERTISEMENT 136
#define REDIRECT               137

#define HOP_LIMIT_OFFSET 7 /* in the IPv6 header */
#define HOP_LIMIT        255
#define TARGET_OFFSET    8 /* in the message; a redirect's destination follows it */
#define ADDRESS_BYTES    16
#define FLAG_SOLICITED   0x40u
#define MESSAGE_BYTES    40 /* the longest of the fixed parts */

#define OPTION_BYTES          8 /* the unit of an option's length, and its least */
#define OPTION_SOURCE_ADDRESS 1
#define OPTIONS_MAX           64

bool sp_nd_is(const struct sp_packet *packet)
{
	uint8_t type = (uint8_t)(packet->key.aux >> 8);

	return packet->kind == SP_KIND_FLOW && packet->key.family == SP_FAMILY_IPV6 && packet->key.proto == IPPROTO_ICMPV6 &&
	       type >= ROUTER_SOLICITATION && type <= REDIRECT;
}

static bool is_unspecified(const uint8_t *address)
{
	static const uint8_t zero[ADDRESS_BYTES];

	return memcmp(address, zero, sizeof(zero)) == 0;
}

static bool is_link_local(const uint8_t *address)
{
	return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

static bool is_multicast(const uint8_t *address)
{
	return address[0] == 0xff;
}

/* ff02::1:ffXX:XXXX */
static bool is_solicited_node(const uint8_t *address)
{
	static const uint8_t prefix[13] = {0xff, 0x02, [11] = 0x01, [12] = 0xff};

	return memcmp(address, prefix, sizeof(prefix)) == 0;
}

static uint32_t fixed_bytes(uint8_t type)
{
	switch (type) {
	case ROUTER_SOLICITATION:
		return 8;
	case ROUTER_ADVERTISEMENT:
		return 16;
	case REDIRECT:
		return 40;
	default:
		return 24;
	}
}

/* What a type asks of addresses and flags; `message` is its fixed part. */
static bool fields_ok(uint8_t type, const struct sp_key *key, const uint8_t *message)
{
	const uint8_t *target = message + TARGET_OFFSET, *destination = target + ADDRESS_BYTES;

	switch (type) {
	case ROUTER_SOLICITATION:
		return true;
	case ROUTER_ADVERTISEMENT:
		return is_link_local(key->v6.src);
	case NEIGHBOR_SOLICITATION:
		return !is_multicast(target) && (!is_unspecified(key->v6.src) || is_solicited_node(key->v6.dst));
	case NEIGHBOR_ADVERTISEMENT:
		return !is_multicast(target) && (!is_multicast(key->v6.dst) || (message[4] & FLAG_SOLICITED) == 0);
	default:
		return is_link_local(key->v6.src) && !is_multicast(destination) &&
		       (is_link_local(target) || memcmp(target, destination, ADDRESS_BYTES) == 0);
	}
}

/* Every option has a length, and fits; a host without an address says no link-layer address (6.1.1, 7.1.1). */
static bool options_ok(const struct rte_mbuf *mbuf, uint32_t off, uint32_t end, bool unspecified)
{
	for (unsigned int n = 0; off < end; n++) {
		uint8_t buf[2];
		const uint8_t *option;

		if (n == OPTIONS_MAX || end - off < OPTION_BYTES)
			return false;
		option = rte_pktmbuf_read(mbuf, off, sizeof(buf), buf);
		if (option == NULL || option[1] == 0 || option[1] * (uint32_t)OPTION_BYTES > end - off)
			return false;
		if (unspecified && option[0] == OPTION_SOURCE_ADDRESS)
			return false;
		off += option[1] * (uint32_t)OPTION_BYTES;
	}
	return true;
}

bool sp_nd_valid(const struct rte_mbuf *mbuf, const struct sp_packet *packet)
{
	const uint8_t type = (uint8_t)(packet->key.aux >> 8), code = (uint8_t)packet->key.aux;
	const uint32_t fixed = fixed_bytes(type), end = (uint32_t)packet->payload_off + packet->payload_len;
	uint8_t buf[MESSAGE_BYTES], hop_limit_buf;
	const uint8_t *hop_limit = rte_pktmbuf_read(mbuf, packet->l3_off + HOP_LIMIT_OFFSET, 1, &hop_limit_buf), *message;

	if (hop_limit == NULL || *hop_limit != HOP_LIMIT || code != 0 || end < packet->l4_off + fixed)
		return false;
	message = rte_pktmbuf_read(mbuf, packet->l4_off, fixed, buf);
	return message != NULL && fields_ok(type, &packet->key, message) &&
	       options_ok(mbuf, packet->l4_off + fixed, end, is_unspecified(packet->key.v6.src));
}
