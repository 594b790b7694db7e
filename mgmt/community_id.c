/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Community ID: base64 of SHA-1 over seed, addresses, protocol and ports, the smaller endpoint first. For ICMP the ports are the type and
 * the type of its answer; a type that has no answer is one-way: type and code, in the order of the packet.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "mgmt/eve.h"
#include "mgmt/sha1.h"

/* Queries and their answers, as the specification pairs them. */
static const uint8_t icmp4_pairs[][2] = {{8, 0}, {10, 9}, {13, 14}, {15, 16}, {17, 18}};
static const uint8_t icmp6_pairs[][2] = {{128, 129}, {130, 131}, {133, 134}, {135, 136}, {139, 140}, {144, 145}};

static int icmp_counterpart(bool v6, uint8_t type)
{
	const uint8_t(*pairs)[2] = v6 ? icmp6_pairs : icmp4_pairs;
	size_t n = v6 ? sizeof(icmp6_pairs) / 2 : sizeof(icmp4_pairs) / 2;

	for (size_t i = 0; i < n; i++) {
		if (pairs[i][0] == type)
			return pairs[i][1];
		if (pairs[i][1] == type)
			return pairs[i][0];
	}
	return -1;
}

struct tuple {
	uint8_t addr[2][16];
	size_t addr_bytes;
	uint8_t port[2][2]; /* network byte order */
	bool has_ports, one_way;
};

static void put_port(uint8_t out[2], uint16_t port)
{
	out[0] = (uint8_t)(port >> 8);
	out[1] = (uint8_t)port;
}

static void icmp_ports(const struct sp_key *key, struct tuple *t)
{
	uint8_t type = (uint8_t)(key->aux >> 8);
	int other = icmp_counterpart(key->family == SP_FAMILY_IPV6, type);

	t->one_way = other < 0;
	put_port(t->port[0], type);
	put_port(t->port[1], t->one_way ? key->aux & 0xff : (uint16_t)other);
}

static void tuple_of(const struct sp_key *key, struct tuple *t)
{
	bool v6 = key->family == SP_FAMILY_IPV6;

	memset(t, 0, sizeof(*t));
	t->addr_bytes = v6 ? 16 : 4;
	memcpy(t->addr[0], v6 ? (const void *)key->v6.src : &key->v4.src, t->addr_bytes);
	memcpy(t->addr[1], v6 ? (const void *)key->v6.dst : &key->v4.dst, t->addr_bytes);
	t->has_ports = true;
	if (key->proto == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
		icmp_ports(key, t);
	} else if (key->proto == IPPROTO_TCP || key->proto == IPPROTO_UDP || key->proto == IPPROTO_SCTP) {
		memcpy(t->port[0], &key->sport, 2);
		memcpy(t->port[1], &key->dport, 2);
	} else {
		t->has_ports = false;
	}
}

static size_t base64(const uint8_t *in, size_t n, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t at = 0;

	for (size_t i = 0; i < n; i += 3) {
		uint32_t word = (uint32_t)in[i] << 16 | (i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0) | (i + 2 < n ? in[i + 2] : 0);

		out[at++] = digits[word >> 18];
		out[at++] = digits[word >> 12 & 63];
		out[at++] = i + 1 < n ? digits[word >> 6 & 63] : '=';
		out[at++] = i + 2 < n ? digits[word & 63] : '=';
	}
	return at;
}

char *sp_community_id(const struct sp_key *key, char *buf)
{
	uint8_t message[2 + 32 + 2 + 4] = {0}, digest[SP_SHA1_BYTES];
	struct tuple t;
	size_t at = 2; /* the seed: 0 */
	int order, first;

	buf[0] = '\0';
	if (key->family != SP_FAMILY_IPV4 && key->family != SP_FAMILY_IPV6)
		return buf;
	tuple_of(key, &t);
	order = memcmp(t.addr[0], t.addr[1], t.addr_bytes);
	if (order == 0)
		order = memcmp(t.port[0], t.port[1], 2);
	first = !t.one_way && order > 0;
	memcpy(message + at, t.addr[first], t.addr_bytes);
	at += t.addr_bytes;
	memcpy(message + at, t.addr[!first], t.addr_bytes);
	at += t.addr_bytes;
	message[at] = key->proto;
	at += 2;
	if (t.has_ports) {
		memcpy(message + at, t.port[first], 2);
		memcpy(message + at + 2, t.port[!first], 2);
		at += 4;
	}
	sp_sha1(message, at, digest);
	memcpy(buf, "1:", 2);
	buf[2 + base64(digest, sizeof(digest), buf + 2)] = '\0';
	return buf;
}
