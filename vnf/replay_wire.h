/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which port a frame of a capture came in by. A capture does not say; so it follows from zones by address, or, with one pair of ports,
 * from which side each MAC address was seen on, as a bridge learns it.
 */
#ifndef SP_VNF_REPLAY_WIRE_H
#define SP_VNF_REPLAY_WIRE_H

#include <stdbool.h>

#include "rules/addr.h"
#include "rules/policy.h"
#include "vnf/replay_capture.h"

#define SP_REPLAY_PREFIXES_MAX 256

/* `--zone NAME=PREFIX[,PREFIX]...`, all of them. */
struct sp_replay_zones {
	struct {
		char name[32];
		struct sp_addr_range range;
		uint8_t bits; /* leading bits that all addresses of the range share: the longest is the best match */
		uint8_t zone; /* index, once sp_replay_zones_resolve gave it */
	} v[SP_REPLAY_PREFIXES_MAX];
	unsigned int n;
};

/* Adds one option's text. 0, or -EINVAL with a sentence in why. */
int sp_replay_zones_add(struct sp_replay_zones *zones, const char *text, char *why, size_t why_size);

/* Gives every name its index in `table`, adding it when that is open. 0, or -EINVAL with a sentence in why. */
int sp_replay_zones_resolve(struct sp_replay_zones *zones, struct sp_zones *table, char *why, size_t why_size);

/* Zones of a frame's source and destination, SP_MATCH_NO_ZONE where no prefix holds the address or the frame is neither IP nor ARP.
 * *reverse orders two ends of the same zone, the same for both directions. */
void sp_replay_zones_find(
	const struct sp_replay_zones *zones, const struct sp_replay_frame *frame, uint8_t *from, uint8_t *to, bool *reverse);

/* What MAC addresses were seen where. */
struct sp_replay_sides;

struct sp_replay_sides *sp_replay_sides_create(void);
void sp_replay_sides_free(struct sp_replay_sides *sides);

/* Side 0 or 1 that the frame comes from: its sender's, if known; else the one that its receiver is not on; else 0. Remembers both. */
unsigned int sp_replay_sides_learn(struct sp_replay_sides *sides, const struct sp_replay_frame *frame);

#endif
