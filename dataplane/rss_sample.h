/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which queue a device put a packet into: a few packets now and then, for the control thread to find out how the device chooses. Sampled
 * only from bursts that are looked at closely anyway (SP_STAGE_SAMPLE).
 *
 * A worker's samples have one writer at a time, told by `n`: below SP_RSS_SAMPLES the worker, which fills up to there; at it the control
 * thread, which reads them and sets n to 0 for more, or leaves it when it wants none.
 */
#ifndef SP_DATAPLANE_RSS_SAMPLE_H
#define SP_DATAPLANE_RSS_SAMPLE_H

#include <rte_byteorder.h>
#include <stdbool.h>
#include <stdint.h>

#define SP_RSS_SAMPLES 32

struct sp_rss_sample {
	uint16_t port;            /* index */
	uint16_t queue;           /* it arrived in */
	uint8_t family, proto;    /* TCP or UDP */
	bool hashed;              /* the device told its hash */
	uint8_t src[16], dst[16]; /* IPv4: the first four bytes */
	rte_be16_t sport, dport;
	uint32_t hash;
	uint32_t starts; /* of the port, then */
};

struct sp_rss_samples {
	uint32_t n; /* atomic */
	struct sp_rss_sample v[SP_RSS_SAMPLES];
};

struct sp_port;
struct sp_worker;

/* Takes one packet of the worker's burst, which is parsed and came from a queue of `port`, when there is one that tells something. */
void sp_rss_sample(struct sp_worker *worker, const struct sp_port *port, uint16_t queue);

#endif
