/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of datagrams that wait for pieces, for fragment.c: finding one, opening one, which one has to go. It owns indexes, not packets:
 * whoever closes a datagram has taken its pieces out before.
 */
#ifndef SP_DATAPLANE_FRAGMENT_TABLE_H
#define SP_DATAPLANE_FRAGMENT_TABLE_H

#include "dataplane/fragment.h"
#include "dataplane/key.h"
#include "dataplane/verdict.h"

#define SP_DATAGRAM_NONE UINT32_MAX

/* A piece: the copy of its frame, and which bytes of the datagram's data it holds. */
struct sp_piece {
	struct rte_mbuf *mbuf;
	uint16_t start, bytes;
};

/* What the pieces of a datagram have in common. `key` holds no ports; its domain is the ingress port, so that all come from there; in
 * route mode its VLAN is the link, and the inner one whether they came from Linux. */
struct sp_datagram_key {
	struct sp_key key;
	uint32_t id; /* as in the header */
};

struct sp_datagram {
	struct sp_datagram_key name;
	uint32_t deadline_ms;
	uint32_t hash_next;
	uint32_t older, newer; /* of all: the order of deadlines */
	uint32_t source, source_older, source_newer;
	uint32_t bytes;                            /* of data that are here */
	uint32_t end;                              /* of the data; 0: the last piece is not here */
	uint16_t n;                                /* pieces */
	uint8_t zone;                              /* that they came from */
	uint8_t refused;                           /* enum sp_drop_reason: no piece of it passes any more; NONE */
	struct sp_piece piece[SP_FRAGMENT_PIECES]; /* by `start` */
};

/* Unfinished datagrams of one address. */
struct sp_fragment_source {
	uint64_t address; /* IPv4, or the first half of IPv6 */
	uint16_t port;
	uint8_t family;
	uint32_t n, oldest, newest;
	uint32_t hash_next;
};

struct sp_fragments {
	struct sp_fragments_config config;
	uint32_t timeout_ms;
	uint32_t buffers; /* that pieces take now */
	uint32_t oldest, newest;
	struct sp_datagram *datagram;
	struct sp_fragment_source *source;
	uint32_t *hash_head, *source_head; /* `mask` + 1 of each */
	uint32_t *free_datagram, *free_source;
	uint32_t n_free_datagrams, n_free_sources;
	uint32_t mask;
	bool closed;
	size_t size;
	sp_fragment_fate_fn fate;
	void *fate_context;
};

/* Keyed; all 64 bits. */
uint64_t sp_datagram_hash(const struct sp_datagram_key *name);

/* Index of the datagram, or SP_DATAGRAM_NONE. */
uint32_t sp_datagram_find(const struct sp_fragments *fragments, const struct sp_datagram_key *name, uint64_t hash);

/*
 * The datagram that has to go before one of this name can be opened: the oldest of its source when that has its share, or the oldest of
 * all when there is no room; *reason says which. SP_DATAGRAM_NONE when there is room.
 */
uint32_t sp_datagram_victim(const struct sp_fragments *fragments, const struct sp_datagram_key *name, uint8_t *reason);

/* Opens a datagram that is not there; there must be room. Empty, but for name, deadline and zone. */
uint32_t sp_datagram_open(struct sp_fragments *fragments, const struct sp_datagram_key *name, uint64_t hash, uint32_t now_ms, uint8_t zone);

/* Forgets a datagram. */
void sp_datagram_close(struct sp_fragments *fragments, uint32_t index);

#endif
