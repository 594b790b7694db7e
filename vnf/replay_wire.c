/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/replay_wire.h"

#include <errno.h>
#include <net/ethernet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules/match.h"

#define TAGS_MAX 2

/* --- zones by address ------------------------------------------------------------------------------------------------------------ */

static uint8_t common_bits(const struct sp_addr_range *range)
{
	uint8_t bits = 0, max = range->lo.family == SP_FAMILY_IPV4 ? 32 : 128;

	while (bits < max && ((range->lo.b[bits / 8] ^ range->hi.b[bits / 8]) >> (7 - bits % 8) & 1) == 0)
		bits++;
	return bits;
}

int sp_replay_zones_add(struct sp_replay_zones *zones, const char *text, char *why, size_t why_size)
{
	const char *equals = strchr(text, '='), *p;
	size_t name_len = equals == NULL ? 0 : (size_t)(equals - text);

	if (equals == NULL || name_len == 0 || name_len >= sizeof(zones->v[0].name)) {
		snprintf(why, why_size, "\"%.80s\" should be NAME=PREFIX[,PREFIX]...", text);
		return -EINVAL;
	}
	for (p = equals + 1;; p++) {
		size_t len = strcspn(p, ",");
		const char *fault;

		if (zones->n == SP_REPLAY_PREFIXES_MAX) {
			snprintf(why, why_size, "more than %d prefixes", SP_REPLAY_PREFIXES_MAX);
			return -EINVAL;
		}
		if (sp_addr_range_parse(p, len, &zones->v[zones->n].range, &fault) != 0) {
			snprintf(why, why_size, "\"%.*s\" of zone %.*s is no prefix: %s", (int)(len < 80 ? len : 80), p, (int)name_len,
				text, fault);
			return -EINVAL;
		}
		snprintf(zones->v[zones->n].name, sizeof(zones->v[0].name), "%.*s", (int)name_len, text);
		zones->v[zones->n].bits = common_bits(&zones->v[zones->n].range);
		zones->n++;
		p += len;
		if (*p == '\0')
			return 0;
	}
}

int sp_replay_zones_resolve(struct sp_replay_zones *zones, struct sp_zones *table, char *why, size_t why_size)
{
	for (unsigned int i = 0; i < zones->n; i++) {
		int index = sp_zone_index(table, zones->v[i].name, strlen(zones->v[i].name));

		if (index < 0) {
			snprintf(why, why_size, "zone \"%s\" %s", zones->v[i].name,
				index == -ENOENT   ? "is none of the configuration's"
				: index == -ENOSPC ? "is one too many"
						   : "has no name that a zone can have");
			return -EINVAL;
		}
		zones->v[i].zone = (uint8_t)index;
	}
	return 0;
}

static uint8_t zone_of(const struct sp_replay_zones *zones, const struct sp_addr *addr)
{
	uint8_t zone = SP_MATCH_NO_ZONE;
	int best = -1;

	for (unsigned int i = 0; i < zones->n; i++) {
		const struct sp_addr_range *range = &zones->v[i].range;

		if (range->lo.family != addr->family || zones->v[i].bits <= best || memcmp(addr->b, range->lo.b, 16) < 0 ||
			memcmp(addr->b, range->hi.b, 16) > 0)
			continue;
		best = zones->v[i].bits;
		zone = zones->v[i].zone;
	}
	return zone;
}

/* Source and destination of an IP packet, sender and target of an ARP message. False without either. */
static bool addresses(const struct sp_replay_frame *frame, struct sp_addr *src, struct sp_addr *dst)
{
	uint32_t off = 12;
	uint16_t type = 0;
	uint32_t at, bytes, gap;

	memset(src, 0, sizeof(*src));
	memset(dst, 0, sizeof(*dst));
	for (unsigned int tags = 0; tags <= TAGS_MAX; tags++, off += 4) {
		if (frame->len < off + 2)
			return false;
		type = (uint16_t)(frame->data[off] << 8 | frame->data[off + 1]);
		if (type != 0x8100 && type != 0x88a8 && type != 0x9100 && type != 0x9200 && type != 0x9300)
			break;
	}
	off += 2;
	if (type == ETHERTYPE_IP) {
		at = off + 12;
		bytes = gap = 4;
	} else if (type == ETHERTYPE_IPV6) {
		at = off + 8;
		bytes = gap = 16;
	} else if (type == ETHERTYPE_ARP) {
		at = off + 14;
		bytes = 4;
		gap = 10;
	} else {
		return false;
	}
	if (frame->len < at + gap + bytes)
		return false;
	src->family = dst->family = bytes == 16 ? SP_FAMILY_IPV6 : SP_FAMILY_IPV4;
	memcpy(src->b, frame->data + at, bytes);
	memcpy(dst->b, frame->data + at + gap, bytes);
	return true;
}

void sp_replay_zones_find(
	const struct sp_replay_zones *zones, const struct sp_replay_frame *frame, uint8_t *from, uint8_t *to, bool *reverse)
{
	struct sp_addr src, dst;

	*from = *to = SP_MATCH_NO_ZONE;
	*reverse = false;
	if (!addresses(frame, &src, &dst))
		return;
	*from = zone_of(zones, &src);
	*to = zone_of(zones, &dst);
	*reverse = memcmp(src.b, dst.b, sizeof(src.b)) > 0;
}

/* --- sides by MAC address --------------------------------------------------------------------------------------------------------- */

#define SLOTS  65536u /* of the table; three quarters are used, further addresses are judged by the other end alone */
#define FILLED (SLOTS / 4 * 3)

struct sp_replay_sides {
	unsigned int n;
	struct {
		uint8_t mac[6];
		uint8_t known, side;
	} v[SLOTS];
};

struct sp_replay_sides *sp_replay_sides_create(void)
{
	return calloc(1, sizeof(struct sp_replay_sides));
}

void sp_replay_sides_free(struct sp_replay_sides *sides)
{
	free(sides);
}

/* Where the address is, or would be. Ends, for the table is never full. */
static unsigned int slot_of(const struct sp_replay_sides *sides, const uint8_t mac[6])
{
	uint64_t hash = 0;
	unsigned int slot;

	memcpy(&hash, mac, 6);
	slot = (unsigned int)(hash * 0x9e3779b97f4a7c15u >> 48) % SLOTS;
	while (sides->v[slot].known && memcmp(sides->v[slot].mac, mac, 6) != 0)
		slot = (slot + 1) % SLOTS;
	return slot;
}

static void remember(struct sp_replay_sides *sides, unsigned int slot, const uint8_t mac[6], unsigned int side)
{
	if (sides->v[slot].known || sides->n == FILLED)
		return;
	memcpy(sides->v[slot].mac, mac, 6);
	sides->v[slot].known = 1;
	sides->v[slot].side = (uint8_t)side;
	sides->n++;
}

unsigned int sp_replay_sides_learn(struct sp_replay_sides *sides, const struct sp_replay_frame *frame)
{
	unsigned int src, dst, side = 0;
	bool unicast;

	if (frame->len < 12)
		return 0;
	unicast = (frame->data[0] & 1) == 0;
	src = slot_of(sides, frame->data + 6);
	dst = slot_of(sides, frame->data);
	if (sides->v[src].known)
		side = sides->v[src].side;
	else if (unicast && sides->v[dst].known)
		side = !sides->v[dst].side;
	remember(sides, src, frame->data + 6, side);
	/* Remembering one address may have taken the place that the other would have had. */
	if (unicast)
		remember(sides, slot_of(sides, frame->data), frame->data, !side);
	return side;
}
