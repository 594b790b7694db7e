/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The secret of the key hash, and the key of the opposite direction. The secret is written once at start, before any worker runs, and is
 * read-only afterwards.
 */
#include "dataplane/key.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/random.h>

#define ICMP_ECHO_REPLY        0
#define ICMP_ECHO_REQUEST      8
#define ICMP_TIMESTAMP_REQUEST 13
#define ICMP_TIMESTAMP_REPLY   14
#define ICMP6_ECHO             128
#define ICMP6_ECHO_ANSWER      129

struct sp_key_secret sp_key_secret = {
	.endpoint = {0x9b97f4a7c15f39cc, 0x243f6a8885a308d3},
	.factor = 0xbf58476d1ce4e5b9,
	.port = 0x94d049bb133111eb,
	.sum = 0x13198a2e03707344,
	.meta = 0xa4093822299f31d0,
};

int sp_key_seed(void)
{
	struct sp_key_secret drawn;
	uint8_t *p = (uint8_t *)&drawn;
	size_t have = 0;

	while (have < sizeof(drawn)) {
		ssize_t got = getrandom(p + have, sizeof(drawn) - have, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		have += (size_t)got;
	}
	/* An even factor would lose the top bits of what it multiplies. */
	drawn.factor |= 1;
	drawn.port |= 1;
	sp_key_secret = drawn;
	return 0;
}

bool sp_icmp_is_query(uint8_t family, uint8_t type)
{
	if (family == SP_FAMILY_IPV4)
		return type == ICMP_ECHO_REQUEST || type == ICMP_TIMESTAMP_REQUEST;
	return family == SP_FAMILY_IPV6 && type == ICMP6_ECHO;
}

bool sp_icmp_is_reply(uint8_t family, uint8_t type)
{
	if (family == SP_FAMILY_IPV4)
		return type == ICMP_ECHO_REPLY || type == ICMP_TIMESTAMP_REPLY;
	return family == SP_FAMILY_IPV6 && type == ICMP6_ECHO_ANSWER;
}

/* The type that answers a query and is answered by none; others stay. */
static uint8_t reply_type(uint8_t family, uint8_t type)
{
	if (!sp_icmp_is_query(family, type))
		return type;
	if (family == SP_FAMILY_IPV6)
		return ICMP6_ECHO_ANSWER;
	return type == ICMP_ECHO_REQUEST ? ICMP_ECHO_REPLY : ICMP_TIMESTAMP_REPLY;
}

static bool is_icmp(const struct sp_key *key)
{
	return (key->family == SP_FAMILY_IPV4 && key->proto == IPPROTO_ICMP) ||
	       (key->family == SP_FAMILY_IPV6 && key->proto == IPPROTO_ICMPV6);
}

void sp_key_reverse(const struct sp_key *key, struct sp_key *out)
{
	struct sp_key reversed = *key;

	reversed.sport = key->dport;
	reversed.dport = key->sport;
	if (key->family == SP_FAMILY_IPV4) {
		reversed.v4.src = key->v4.dst;
		reversed.v4.dst = key->v4.src;
	} else {
		memcpy(reversed.v6.src, key->v6.dst, sizeof(reversed.v6.src));
		memcpy(reversed.v6.dst, key->v6.src, sizeof(reversed.v6.dst));
	}
	if (is_icmp(key))
		reversed.aux = (uint16_t)(reply_type(key->family, (uint8_t)(key->aux >> 8)) << 8 | (key->aux & 0xff));
	*out = reversed;
}

/* The type that a reply answers; others stay. */
static uint8_t query_type(uint8_t family, uint8_t type)
{
	if (!sp_icmp_is_reply(family, type))
		return type;
	if (family == SP_FAMILY_IPV6)
		return ICMP6_ECHO;
	return type == ICMP_ECHO_REPLY ? ICMP_ECHO_REQUEST : ICMP_TIMESTAMP_REQUEST;
}

void sp_key_answered(const struct sp_key *key, struct sp_key *out)
{
	const uint8_t type = (uint8_t)(key->aux >> 8);
	const bool reply = is_icmp(key) && sp_icmp_is_reply(key->family, type);
	const uint16_t aux = (uint16_t)(query_type(key->family, type) << 8 | (key->aux & 0xff));

	sp_key_reverse(key, out);
	if (reply)
		out->aux = aux;
}
