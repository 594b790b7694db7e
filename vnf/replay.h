/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replay: frames go into the rx rings of ports made of rings, one worker turns on the capture's clock, and what it sent is taken from the
 * tx rings. The worker is the one of `run`; only the wires are different.
 *
 * One thread, the caller's. Frames are collected to bursts; their verdicts are reported in order when the burst has gone through, those of
 * fragments and of what comes after them when their datagram is decided (replay_order.h).
 */
#ifndef SP_VNF_REPLAY_H
#define SP_VNF_REPLAY_H

#include "dataplane/burst.h"
#include "dataplane/dataplane.h"
#include "rules/match.h"
#include "rules/ruleset.h"
#include "vnf/config.h"
#include "vnf/eal.h"
#include "vnf/replay_capture.h"
#include "vnf/replay_order.h"
#include "vnf/replay_wire.h"

struct sp_replay_options {
	const struct sp_config *config;      /* sessions, time-outs, limits; and the ports' zones, unless `zones` has any; NULL: defaults */
	const struct sp_replay_zones *zones; /* resolved; may be empty */
	const struct sp_zones *table;        /* that the ruleset's zone indexes are of */
	int checksum;                        /* enum sp_checksum_policy; -1: as configured, or trust-nic */
	unsigned int burst;                  /* frames put in at once, 1..SP_BURST_MAX */
	sp_replay_report_fn report;
	struct sp_replay_capture_writer *writer; /* gets what left by any port; NULL: nobody */
	void *context;
};

struct sp_replay;

/*
 * Makes a dataplane with one worker and puts the ruleset into force (owned on success). NULL with a sentence in why (SP_WHY_MAX). After
 * EAL start. `options` and what it points to must outlive it.
 */
struct sp_replay *sp_replay_create(const struct sp_replay_options *options, struct sp_ruleset *ruleset, char *why);

/* Puts in one frame; n counts from 1. 0, or -errno with a sentence in why: more zone pairs than there can be ports, a fault of ours. */
int sp_replay_frame(struct sp_replay *replay, const struct sp_replay_frame *frame, char *why);

/* Sends what is collected through, drains, and checks the accounting equation. 0, or -EPROTO with the figures in why. */
int sp_replay_finish(struct sp_replay *replay, char *why);

struct sp_dataplane *sp_replay_dataplane(struct sp_replay *replay);

void sp_replay_free(struct sp_replay *replay);

#endif
