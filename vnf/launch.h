/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dataplane, built up and taken down in order: memory, ports, tables, workers. Main thread.
 */
#ifndef SP_VNF_LAUNCH_H
#define SP_VNF_LAUNCH_H

#include <rte_mempool.h>

#include "dataplane/dataplane.h"
#include "dataplane/worker.h"
#include "vnf/config.h"
#include "vnf/eal.h"
#include "vnf/port.h"

/* What workers share and what each has, without ports: run and replay make the same. */
struct sp_launch {
	struct sp_dataplane *dataplane;
	struct rte_mempool *pool;
	struct sp_port_plan plans[SP_PORTS_MAX];
	bool absent_ports; /* as in the options */
};

/* Shares of a dataplane that do not depend on devices. */
struct sp_launch_options {
	unsigned int n_workers;
	uint32_t sessions4, sessions6;        /* of all workers together */
	const uint32_t *timeout_sec;          /* SP_STATE_COUNT of them */
	struct sp_fragments_config fragments; /* of all workers together */
	struct sp_flood_config floods;        /* the same */
	struct sp_pressure_config pressure;
	uint32_t limit_sources, reject_rate, log_rate, icmp_error_rate;
	struct sp_tcp_config tcp;
	bool adaptive;
	bool absent_ports; /* a port whose device does not open is absent (port_attach.h), instead of being an error */
	const struct sp_zones *zones;
};

/*
 * Makes an empty dataplane: no ports, no workers, no rules; time begins now. 0, or -errno with a sentence in why (SP_WHY_MAX); either
 * way sp_launch_end frees what there is.
 */
int sp_launch_begin(struct sp_launch *launch, const struct sp_launch_options *options, char *why);

/* Makes the pool of packet buffers: `buffers` for ports, and what workers hold, each of `frame_bytes`. */
int sp_launch_pool(struct sp_launch *launch, uint32_t buffers, uint32_t frame_bytes, char *why);

/* Opens and starts the configuration's ports; makes the pool between the two. */
int sp_launch_ports(struct sp_launch *launch, const struct sp_config *config, char *why);

/* Makes the workers' tables and buffers. After the pool. */
int sp_launch_workers(struct sp_launch *launch, const struct sp_launch_options *options, char *why);

/* Sends the workers to their lcores (1..n). Rules must be published. */
int sp_launch_go(struct sp_launch *launch, char *why);

/* Whether every worker has polled its ports at least once. Any thread. */
bool sp_launch_polls(const struct sp_launch *launch);

/* Tells the workers to leave, and waits for them. Safe to call when none runs. */
void sp_launch_halt(struct sp_launch *launch);

/* The same, but waits at most `ms`: whether all have drained and left. Any thread but a worker. */
bool sp_launch_halt_within(struct sp_launch *launch, unsigned int ms);

/* Frees workers, rules, ports and tables. No other thread may look at the dataplane any more. */
void sp_launch_end(struct sp_launch *launch);

/* MB of memory that begin, ports and workers will take for this configuration and policy size, an upper estimate. */
uint32_t sp_launch_need_mb(const struct sp_config *config, unsigned int n_workers, size_t n_rules);

#endif
