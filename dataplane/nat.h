/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Address translation on the packet path.
 *
 * A session's two tuples hold the translation: a packet that was found by one leaves with the other one reversed. So an established session
 * costs the bytes that change, and nothing is looked up. What a miss becomes is chosen here, by the `nat` list of the live rules and by the
 * mappings of this worker: its destination before the route is looked up (sp_nat_burst), its source when the rules have allowed it
 * (sp_nat_open). Bytes change last of all (sp_nat_rewrite_burst): what is dropped or answered still stands as it came.
 *
 * A source entry gives an inside address and port the same external address and port whatever they speak to (RFC 4787 REQ-1, RFC 5382
 * REQ-1, RFC 5508 REQ-1), and an inside address the same external address for all its ports (REQ-2). Each worker owns a slice of the ports
 * of every external address: the port of an answer names the worker that has its session. Mappings are that worker's alone: no locks.
 *
 * struct sp_nat outlives rules; struct sp_nat_rules belongs to one struct sp_live. Nothing exists until a policy translates.
 */
#ifndef SP_DATAPLANE_NAT_H
#define SP_DATAPLANE_NAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/burst.h"
#include "dataplane/event.h"
#include "dataplane/session.h"
#include "rules/nat.h"

struct sp_dataplane;
struct sp_live;
struct sp_nat;
struct sp_nat_rules;
struct sp_port;
struct sp_worker;

/* Protocols that have ports, or identifiers that serve as such; X(enumerator, name). */
#define SP_NAT_PROTOS(X) \
	X(TCP, "tcp")    \
	X(UDP, "udp")    \
	X(ICMP, "icmp")  \
	X(SCTP, "sctp")

enum sp_nat_proto {
#define X(e, n) SP_NAT_PROTO_##e,
	SP_NAT_PROTOS(X)
#undef X
		SP_NAT_PROTO_COUNT
};

extern const char *const sp_nat_proto_names[SP_NAT_PROTO_COUNT];

/* What a `nat` event tells; X(enumerator, name). */
#define SP_NAT_EVENTS(X)                                                                         \
	X(EXHAUSTED, "exhausted")     /* a session was refused for want of a port */             \
	X(MAPPING, "mapping")         /* an inside address and port got an external one */       \
	X(MAPPING_END, "mapping_end") /* it gave it back */                                      \
	X(BLOCK, "block")             /* an inside address got a block of ports (RFC 6888 4.) */ \
	X(BLOCK_END, "block_end")

enum sp_nat_event {
#define X(e, n) SP_NAT_EVENT_##e,
	SP_NAT_EVENTS(X)
#undef X
		SP_NAT_EVENT_COUNT
};

extern const char *const sp_nat_event_names[SP_NAT_EVENT_COUNT];

/* --- rules: control thread -------------------------------------------------------------------------------------------------------------
 */

/*
 * Compiles the nat list of live->ruleset's policy into live->nat (NULL when it translates nothing), with the ports of its external
 * addresses; makes dataplane->nat when there is none yet. After the workers were made, before live is put into force. 0 or -ENOMEM, and
 * nothing has changed for live. Control thread.
 */
int sp_nat_attach(struct sp_dataplane *dataplane, struct sp_live *live);

/* When no worker can look at it. NULL is fine. sp_live_free does it. */
void sp_nat_rules_free(struct sp_nat_rules *rules);

/* After all rules were freed; NULL is fine. */
void sp_nat_free(struct sp_nat *nat);

/*
 * Says which backends of a destination entry (its id) take new flows: live[k] of the k-th address in file order, ranges expanded. Kept for
 * rules to come. Builds the entry's table anew, swaps it and waits until no worker looks at the old one. 0; -ENOENT: no rule in force has
 * such an entry with n addresses (the state is kept); -ENOMEM; -ETIMEDOUT: a worker does not answer. Any thread but a worker; blocks.
 */
int sp_nat_set_live(struct sp_dataplane *dataplane, uint32_t entry, const bool *live, size_t n);

/* Bytes taken by tables of ports and mappings. Any thread. */
size_t sp_nat_bytes(const struct sp_dataplane *dataplane);

/* --- stages: workers -------------------------------------------------------------------------------------------------------------------
 */

/* The other stages of the path are in stages.h: sp_nat_burst, sp_nat_source_burst, sp_nat_rewrite_burst. */

/* Packet i, a miss until now, has the session burst->session[i] after all: it leaves as that says. */
void sp_nat_hit(struct sp_worker *worker, unsigned int i);

/*
 * The rules allow packet i to open a session: chooses its source and completes burst->leaves[i], where it is translated. SP_DROP_NONE or
 * why it may not open one. What was chosen is kept by sp_nat_opened, or given back by sp_nat_refused.
 */
enum sp_drop_reason sp_nat_open(struct sp_worker *worker, unsigned int i);
void sp_nat_opened(struct sp_worker *worker, unsigned int i, uint32_t ref);

/* The session could not be entered. True: the choice was at fault, and another one may do. */
bool sp_nat_refused(struct sp_worker *worker, unsigned int i);

/* The same for a packet that passes without a session: only what translates without state can be done. */
enum sp_drop_reason sp_nat_stateless(struct sp_worker *worker, unsigned int i);

/* A session with SP_SESSION_NAT ends. */
void sp_nat_ended(struct sp_worker *worker, struct sp_sessions *sessions, uint32_t ref);

/* Before the bursts of a turn: addresses of links are followed, mappings that were held long enough go. */
void sp_nat_turn(struct sp_worker *worker);

/* The worker that owns the session of a packet (kind FLOW or ICMP_ERROR), when live->nat is not NULL. */
unsigned int sp_nat_owner(const struct sp_worker *worker, const struct sp_packet *packet);

/* --- bytes -----------------------------------------------------------------------------------------------------------------------------
 */

/* The piece of reassembled datagram i that stands in burst->mbuf[i] gets the addresses of burst->leaves[i]. */
void sp_nat_rewrite_piece(struct sp_worker *worker, unsigned int i);

/*
 * Translates a whole TCP frame without IP options or extension headers in contiguous memory from one key to the other, checksums
 * included. For frames that the SYN proxy keeps.
 */
void sp_nat_rewrite_tcp(uint8_t *frame, unsigned int l3_off, const struct sp_key *from, const struct sp_key *to);

/* --- inline: sessions ------------------------------------------------------------------------------------------------------------------
 */

/* The key with which a packet leaves that was found by the other tuple of its session: `tuple` (SP_KEY4_BYTES) reversed, for rewriting. */
static inline void sp_nat_leave4(const uint8_t *tuple, struct sp_key *out)
{
	uint64_t meta, addresses;
	uint32_t ports, aux;

	memcpy(&ports, tuple, sizeof(ports));
	memcpy(&meta, tuple + SP_KEY_META_OFFSET, sizeof(meta));
	memcpy(&aux, tuple + offsetof(struct sp_key, aux), sizeof(aux));
	memcpy(&addresses, tuple + offsetof(struct sp_key, v4), sizeof(addresses));
	ports = ports << 16 | ports >> 16;
	addresses = addresses << 32 | addresses >> 32;
	memcpy(out, &ports, sizeof(ports));
	memcpy((uint8_t *)out + SP_KEY_META_OFFSET, &meta, sizeof(meta));
	memcpy((uint8_t *)out + offsetof(struct sp_key, aux), &aux, sizeof(aux));
	memcpy((uint8_t *)out + offsetof(struct sp_key, v4), &addresses, sizeof(addresses));
}

static inline void sp_nat_leave6(const uint8_t *tuple, struct sp_key *out)
{
	const struct sp_key *key = (const struct sp_key *)(const void *)tuple;

	out->sport = key->dport;
	out->dport = key->sport;
	memcpy((uint8_t *)out + SP_KEY_META_OFFSET, tuple + SP_KEY_META_OFFSET, offsetof(struct sp_key, v6) - SP_KEY_META_OFFSET);
	memcpy(out->v6.src, key->v6.dst, sizeof(out->v6.src));
	memcpy(out->v6.dst, key->v6.src, sizeof(out->v6.dst));
}

#endif
