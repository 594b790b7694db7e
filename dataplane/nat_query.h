/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the translator has, for other threads: mappings and the ports of links' addresses by bounded requests that each worker runs between
 * two bursts; ports of named addresses and counters by relaxed loads.
 */
#ifndef SP_DATAPLANE_NAT_QUERY_H
#define SP_DATAPLANE_NAT_QUERY_H

#include "dataplane/mailbox.h"
#include "dataplane/nat.h"

#define SP_NAT_QUERY_ROWS  256
#define SP_NAT_QUERY_WALK  4096 /* entries of the table that one request looks at */
#define SP_NAT_QUERY_LINKS 256

struct sp_nat_mapping_row {
	struct sp_addr inside, outside;
	uint16_t inside_port, outside_port; /* host byte order */
	uint32_t entry;                     /* id */
	uint32_t sessions;
	uint32_t held_ms; /* without sessions: until it goes */
	uint8_t proto;    /* enum sp_nat_proto */
};

/* An external address, and how many of its ports are in use; of all workers, or of one. */
struct sp_nat_pool_row {
	uint32_t entry; /* id; 0: of a link */
	struct sp_addr address;
	uint32_t ports; /* of each protocol */
	uint32_t used[SP_NAT_PROTO_COUNT];
};

struct sp_nat_query {
	struct sp_request request; /* post this; run is set by sp_nat_query_init */
	uint64_t cursor;           /* 0 at first; where to go on. Any value is safe */
	uint32_t limit;            /* rows of one run, at most SP_NAT_QUERY_ROWS */
	struct sp_nat_mapping_row rows[SP_NAT_QUERY_ROWS];
	uint32_t n_rows;
	bool more; /* post again with the same cursor */
	struct sp_nat_pool_row links[SP_NAT_QUERY_LINKS];
	uint32_t n_links;
};

void sp_nat_query_init(struct sp_nat_query *query, uint64_t cursor, uint32_t limit);

/* One entry of the list in force. */
struct sp_nat_entry_row {
	uint32_t entry; /* id */
	uint8_t type;   /* enum sp_nat_type */
	uint64_t sessions, exhausted, refused;
};

struct sp_nat_sum {
	uint64_t mappings, hosts, blocks, made, exhausted, translated;
};

/*
 * All workers together. The functions with rows fill at most n from the `first`-th on and return how many there are in all. The caller
 * holds the published rules (sp_published_get) while it calls these two. Any thread but a worker.
 */
size_t sp_nat_entries(const struct sp_dataplane *dataplane, struct sp_nat_entry_row *rows, size_t first, size_t n);
size_t sp_nat_pools(const struct sp_dataplane *dataplane, struct sp_nat_pool_row *rows, size_t first, size_t n);
void sp_nat_sum(const struct sp_dataplane *dataplane, struct sp_nat_sum *out);

#endif
