/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_ether.h>
#include <string.h>

#include "dataplane/stages.h"

#define PROTO_ICMP   1
#define PROTO_ICMPV6 58

static void set_addrs(const struct sp_key *key, struct sp_match *match)
{
	memset(&match->src, 0, sizeof(match->src));
	memset(&match->dst, 0, sizeof(match->dst));
	match->src.family = match->dst.family = key->family;
	if (key->family == SP_FAMILY_IPV4) {
		memcpy(match->src.b, &key->v4.src, 4);
		memcpy(match->dst.b, &key->v4.dst, 4);
	} else if (key->family == SP_FAMILY_IPV6) {
		memcpy(match->src.b, key->v6.src, 16);
		memcpy(match->dst.b, key->v6.dst, 16);
	}
}

void sp_match_from_key(const struct sp_key *key, uint8_t zone_from, uint8_t zone_to, struct sp_match *match)
{
	match->family = key->family;
	match->proto = key->proto;
	match->from = zone_from;
	match->to = zone_to;
	match->vlan = key->vlan;
	set_addrs(key, match);
	if (key->family == SP_FAMILY_NONE)
		match->ethertype = key->aux;
	else
		match->ethertype = key->family == SP_FAMILY_IPV4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6;
	if (key->proto == PROTO_ICMP || key->proto == PROTO_ICMPV6) {
		match->sport = key->aux >> 8;
		match->dport = key->aux & 0xff;
	} else {
		match->sport = rte_be_to_cpu_16(key->sport);
		match->dport = rte_be_to_cpu_16(key->dport);
	}
}

/* An ICMP error is judged by its own header, not by the packet it quotes. The parser has checked that the header is there. */
static void from_error(const struct sp_burst *burst, unsigned int i, struct sp_match *match)
{
	const struct sp_packet *packet = &burst->packet[i];
	bool v6 = packet->key.family == SP_FAMILY_IPV6;
	unsigned int addr_bytes = v6 ? 16 : 4;
	uint8_t type_code_buf[2], addr_buf[32];
	const uint8_t *type_code = rte_pktmbuf_read(burst->mbuf[i], packet->l4_off, sizeof(type_code_buf), type_code_buf);
	const uint8_t *addrs = rte_pktmbuf_read(burst->mbuf[i], packet->l3_off + (v6 ? 8 : 12), 2 * addr_bytes, addr_buf);

	sp_match_from_key(&packet->key, packet->zone_from, packet->zone_to, match);
	match->proto = v6 ? PROTO_ICMPV6 : PROTO_ICMP;
	if (type_code == NULL || addrs == NULL)
		return;
	match->sport = type_code[0];
	match->dport = type_code[1];
	memcpy(match->src.b, addrs, addr_bytes);
	memcpy(match->dst.b, addrs + addr_bytes, addr_bytes);
}

/* Rules see the translated destination: `leaves` is the key with which a packet of the opener leaves. */
static void to_server(const struct sp_key *leaves, struct sp_match *match)
{
	if (leaves->family == SP_FAMILY_IPV4)
		memcpy(match->dst.b, &leaves->v4.dst, 4);
	else
		memcpy(match->dst.b, leaves->v6.dst, 16);
	if (leaves->proto != PROTO_ICMP && leaves->proto != PROTO_ICMPV6)
		match->dport = rte_be_to_cpu_16(leaves->dport);
}

void sp_match_from_packet(const struct sp_burst *burst, unsigned int i, struct sp_match *match)
{
	const struct sp_packet *packet = &burst->packet[i];

	if (packet->kind == SP_KIND_ICMP_ERROR) {
		from_error(burst, i, match);
		return;
	}
	sp_match_from_key(&packet->key, packet->zone_from, packet->zone_to, match);
	if (unlikely(burst->translated >> i & 1))
		to_server(&burst->leaves[i], match);
}

void sp_match_from_session(const struct sp_sessions *sessions, uint32_t ref, struct sp_match *match)
{
	const struct sp_session_state *state = sp_session_state((struct sp_sessions *)(uintptr_t)sessions, ref);
	struct sp_key key, leaves;

	sp_session_original(sessions, ref, &key);
	sp_match_from_key(&key, state->zone_from, state->zone_to, match);
	if (likely(!(state->flags & SP_SESSION_NAT)))
		return;
	sp_session_reply(sessions, ref, &key);
	sp_key_reverse(&key, &leaves);
	to_server(&leaves, match);
}
