/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether a device spreads packets over its queues as it was asked to: by the Toeplitz hash with the symmetric key, which is the same for
 * both directions of a flow. Found out on live packets, since what drivers say is not what VFs do: some share the PF's key. Owners of
 * sessions do not depend on it; what it saves is the hand-over between workers.
 */
#ifndef SP_VNF_RSS_H
#define SP_VNF_RSS_H

#include <rte_ethdev.h>

#include "dataplane/dataplane.h"
#include "dataplane/rss_sample.h"

#define SP_RSS_RETA_MAX RTE_ETH_RSS_RETA_SIZE_512
#define SP_RSS_FLOWS    64 /* different ones that a verdict is of; chance passes half of them at best */

/* One round: what was seen of one port until there is a verdict. */
struct sp_rss_round {
	uint16_t reta[SP_RSS_RETA_MAX]; /* queue by the hash's lower bits */
	uint16_t reta_size;             /* 0: the device does not tell */
	unsigned int n_flows;
	uint32_t flows[SP_RSS_FLOWS]; /* symmetric hashes of those seen */
	/* By family and protocol, which devices may treat differently: flows, and those that went where addresses and ports, or addresses
	   alone, send them. */
	struct {
		unsigned int n, by_ports, by_addresses;
	} kind[2][2];
};

/* The Toeplitz hash by the symmetric key of addresses, and ports where they are not 0. */
uint32_t sp_rss_hash(const struct sp_rss_sample *sample, bool ports);

/* Counts a sample, unless its flow was counted before, or it tells nothing. */
void sp_rss_count(struct sp_rss_round *round, const struct sp_rss_sample *sample);

/* SP_RSS_UNVERIFIED until there are enough flows, then SP_RSS_SYMMETRIC or SP_RSS_ASYMMETRIC. */
enum sp_rss sp_rss_judge(const struct sp_rss_round *round);

struct sp_rss_watch;

/* Watches the ports of a dataplane, which must outlive it. NULL without memory. Main thread. */
struct sp_rss_watch *sp_rss_begin(struct sp_dataplane *dataplane);

/*
 * Reads what workers have sampled and sets port->rss; says so on stderr when a verdict is other than the last. A port that was started anew
 * is unverified again; each verdict is looked at again from time to time. Control thread, some times a second; costs nothing while there is
 * no port with several queues.
 */
void sp_rss_tick(struct sp_rss_watch *watch);

/* NULL is nothing. */
void sp_rss_end(struct sp_rss_watch *watch);

#endif
