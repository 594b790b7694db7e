/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/syn_cookie.h"

#include <errno.h>
#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <string.h>
#include <sys/random.h>

#include "dataplane/siphash.h"

#define OPTION_END    0
#define OPTION_NOP    1
#define OPTION_MSS    2
#define OPTION_WSCALE 3
#define OPTION_SACK   4

#define MSS_DEFAULT4 536
#define MSS_DEFAULT6 1220

#define SACK_BIT     0x08u
#define WSCALE_SHIFT 4

/* What hosts on Ethernet, in tunnels and on jumbo frames announce. */
static const uint16_t mss_table[8] = {216, 536, 1220, 1360, 1400, 1440, 1460, 8940};

int sp_syn_cookies_init(struct sp_syn_cookies *cookies)
{
	uint8_t *p = (uint8_t *)cookies->secret;
	size_t have = 0;

	while (have < sizeof(cookies->secret)) {
		ssize_t got = getrandom(p + have, sizeof(cookies->secret) - have, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		have += (size_t)got;
	}
	cookies->slot = UINT64_MAX;
	return 0;
}

static void derive(struct sp_syn_cookies *cookies, uint64_t slot)
{
	for (uint64_t half = 0; half < 2; half++) {
		const uint64_t words[2] = {slot, half};

		cookies->key[slot & 1][half] = sp_siphash(cookies->secret, words, RTE_DIM(words));
	}
}

/* Brings the keys up to the time slot. */
static void advance(struct sp_syn_cookies *cookies, uint64_t slot)
{
	if (likely(slot == cookies->slot))
		return;
	derive(cookies, slot);
	derive(cookies, slot - 1);
	cookies->slot = slot;
}

static uint64_t mac(const struct sp_syn_cookies *cookies, const struct sp_key *key, uint32_t isn, uint64_t slot)
{
	uint64_t words[SP_KEY6_BYTES / 8 + 1];
	const size_t n = (key->family == SP_FAMILY_IPV6 ? SP_KEY6_BYTES : SP_KEY4_BYTES) / 8;

	memcpy(words, key, n * sizeof(words[0]));
	words[n] = isn;
	return sp_siphash(cookies->key[slot & 1], words, n + 1);
}

static uint8_t pack(const struct sp_syn_options *options)
{
	unsigned int mss = RTE_DIM(mss_table) - 1;

	while (mss > 0 && mss_table[mss] > options->mss)
		mss--;
	return (uint8_t)(mss | (options->sack ? SACK_BIT : 0) | (unsigned int)options->wscale << WSCALE_SHIFT);
}

static void unpack(uint8_t bits, struct sp_syn_options *options)
{
	options->mss = mss_table[bits % RTE_DIM(mss_table)];
	options->sack = bits & SACK_BIT;
	options->wscale = bits >> WSCALE_SHIFT;
}

uint32_t sp_syn_cookie_make(
	struct sp_syn_cookies *cookies, const struct sp_key *key, uint32_t isn, const struct sp_syn_options *options, uint64_t now_ns)
{
	const uint64_t slot = now_ns >> SP_SYN_COOKIE_SLOT_BITS;
	uint64_t sum;

	advance(cookies, slot);
	sum = mac(cookies, key, isn, slot);
	return (uint32_t)sum ^ pack(options);
}

bool sp_syn_cookie_check(struct sp_syn_cookies *cookies, const struct sp_key *key, uint32_t isn, uint32_t cookie, uint64_t now_ns,
	struct sp_syn_options *options)
{
	const uint64_t slot = now_ns >> SP_SYN_COOKIE_SLOT_BITS;

	advance(cookies, slot);
	for (uint64_t age = 0; age < 2; age++) {
		uint32_t differ = (uint32_t)mac(cookies, key, isn, slot - age) ^ cookie;

		if (differ >> 8 == 0) {
			unpack((uint8_t)differ, options);
			return true;
		}
	}
	return false;
}

void sp_syn_options_read(const uint8_t *bytes, unsigned int len, uint8_t family, struct sp_syn_options *options)
{
	*options = (struct sp_syn_options){.mss = family == SP_FAMILY_IPV6 ? MSS_DEFAULT6 : MSS_DEFAULT4, .wscale = SP_SYN_NO_WSCALE};
	for (unsigned int at = 0; at < len && bytes[at] != OPTION_END;) {
		unsigned int size;

		if (bytes[at] == OPTION_NOP) {
			at++;
			continue;
		}
		if (at + 1 >= len || bytes[at + 1] < 2 || bytes[at + 1] > len - at)
			return;
		size = bytes[at + 1];
		if (bytes[at] == OPTION_MSS && size == 4)
			options->mss = (uint16_t)(bytes[at + 2] << 8 | bytes[at + 3]);
		else if (bytes[at] == OPTION_WSCALE && size == 3)
			options->wscale = RTE_MIN(bytes[at + 2], SP_SYN_WSCALE_MAX);
		else if (bytes[at] == OPTION_SACK && size == 2)
			options->sack = true;
		at += size;
	}
}

unsigned int sp_syn_options_write(const struct sp_syn_options *options, uint8_t *bytes)
{
	unsigned int n = 0;

	bytes[n++] = OPTION_MSS;
	bytes[n++] = 4;
	bytes[n++] = (uint8_t)(options->mss >> 8);
	bytes[n++] = (uint8_t)options->mss;
	if (options->sack) {
		bytes[n++] = OPTION_NOP;
		bytes[n++] = OPTION_NOP;
		bytes[n++] = OPTION_SACK;
		bytes[n++] = 2;
	}
	if (options->wscale != SP_SYN_NO_WSCALE) {
		bytes[n++] = OPTION_NOP;
		bytes[n++] = OPTION_WSCALE;
		bytes[n++] = 3;
		bytes[n++] = options->wscale;
	}
	return n;
}
