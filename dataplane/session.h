/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The session table of one worker. Only its owner touches it: no locks, no atomics. Others ask through the mailbox (session_query.h).
 *
 * Two pools (IPv4, IPv6), each with a hot array (both tuples and what every packet needs), a cold array (counters, timer links) and
 * extension arrays (inspection, TCP), all allocated once. One index of cache-line buckets holds two entries a session: its original and its
 * reply tuple, which are independent of each other so that NAT fits. A key has two candidate buckets; a full pair is a counted refusal.
 *
 * Ageing is a timing wheel of lists through the cold array: a session is looked at when its slot comes up, and moved on when it was used
 * since. Sessions that yield (half open, not answered yet, or over) are on a wheel of their own: a full table evicts the one that is due
 * first, and refuses (reason table_sessions_full) only when there is none. From a filling on, their time-outs shrink (session_pressure.c).
 */
#ifndef SP_DATAPLANE_SESSION_H
#define SP_DATAPLANE_SESSION_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/burst.h"
#include "dataplane/event.h"
#include "dataplane/key.h"

/* Which of a session's time-outs runs; X(enumerator, name, default seconds). Protocol-independent so that one wheel serves all.
 * BLOCKED: inspection stopped it; every packet drops until none came for that long. */
#define SP_SESSION_STATES(X)                          \
	X(UDP_NEW, "udp_new", 30)                     \
	X(UDP_REPLIED, "udp_replied", 180)            \
	X(ICMP, "icmp", 30)                           \
	X(OTHER_NEW, "other_new", 60)                 \
	X(OTHER_REPLIED, "other_replied", 600)        \
	X(BLOCKED, "blocked", 60)                     \
	X(SCTP_INIT, "sctp_init", 30)                 \
	X(SCTP_INIT_ACK, "sctp_init_ack", 30)         \
	X(SCTP_COOKIE, "sctp_cookie", 30)             \
	X(SCTP_ESTABLISHED, "sctp_established", 600)  \
	X(SCTP_SHUTDOWN, "sctp_shutdown", 60)         \
	X(SCTP_SHUTDOWN_ACK, "sctp_shutdown_ack", 30) \
	X(SCTP_CLOSED, "sctp_closed", 10)             \
	X(TCP_SYN_SENT, "tcp_syn_sent", 30)           \
	X(TCP_SYN_RECEIVED, "tcp_syn_received", 60)   \
	X(TCP_ESTABLISHED, "tcp_established", 7440)   \
	X(TCP_FIN_WAIT, "tcp_fin_wait", 120)          \
	X(TCP_CLOSING, "tcp_closing", 60)             \
	X(TCP_TIME_WAIT, "tcp_time_wait", 60)         \
	X(TCP_CLOSED, "tcp_closed", 10)

enum sp_session_state_id {
#define X(e, n, s) SP_STATE_##e,
	SP_SESSION_STATES(X)
#undef X
		SP_STATE_COUNT
};

extern const char *const sp_state_names[SP_STATE_COUNT];
extern const uint32_t sp_state_default_sec[SP_STATE_COUNT];

#define SP_SESSION_INSPECT 0x01u /* the admitting rule inspects */
#define SP_SESSION_PROXY   0x02u /* TCP: the SYN proxy opened it, and translates its numbers (syn_proxy.h) */
#define SP_SESSION_LOG_END 0x04u
#define SP_SESSION_NAT     0x08u /* its tuples are not each other's reverse: packets are translated (nat.h) */
#define SP_SESSION_SOURCE  0x20u /* counted by its rule's max_per_source */
#define SP_SESSION_LIMITED 0x40  /* its rule limits every packet (pps, Mbit/s) */
#define SP_SESSION_MSS     0x80  /* its rule clamps the TCP MSS */

/* The part of the hot record that every packet reads and writes. */
struct sp_session_state {
	uint32_t last_ms;           /* burst->now_ms of the last packet */
	uint32_t generation;        /* of the ruleset that admitted or re-matched it */
	uint32_t slot;              /* of the admitting rule in the rule table */
	uint8_t state;              /* enum sp_session_state_id */
	uint8_t flags;              /* SP_SESSION_* */
	uint8_t zone_from, zone_to; /* of the opener */
};

struct sp_session4 {
	uint8_t original[SP_KEY4_BYTES], reply[SP_KEY4_BYTES];
	struct sp_session_state s;
};
static_assert(sizeof(struct sp_session4) == 64, "one line");

struct sp_session6 {
	uint8_t original[SP_KEY6_BYTES], reply[SP_KEY6_BYTES];
	struct sp_session_state s;
	uint8_t spare[16];
};
static_assert(sizeof(struct sp_session6) == 128, "two lines");

struct sp_session_cold {
	uint64_t bytes[2]; /* frame bytes; [0] original direction, [1] reply */
	uint32_t packets[2];
	uint32_t created_ms;
	uint32_t rule_hash;  /* low half of the admitting rule's content hash: "unchanged" at re-match */
	uint32_t prev, next; /* timer wheel; owned by session_age.c */
};
static_assert(sizeof(struct sp_session_cold) == 40, "cold record");

/* Inspection extension: payload bytes scanned so far, a direction. */
struct sp_session_inspect {
	uint32_t scanned_bytes[2];
};

/* TCP extension, of TCP and SCTP sessions alone; zeroed at insert and filled by sp_tcp_open; what its fields mean and who writes them:
 * session_tcp.h. Everything in host byte order; [0] is what the opener sent, [1] what was sent to it. */
struct sp_session_tcp {
	struct sp_tcp_peer {
		uint32_t end;        /* next number after everything it sent */
		uint32_t limit;      /* first number that its peer did not yet permit: acknowledgement and window */
		uint32_t ack;        /* highest number it acknowledged; meaningless before SP_TCP_ACKED */
		uint32_t max_window; /* largest window it offered, scaled; at least 1 */
	} peer[2];
	uint32_t reply_delta;   /* SYN proxy: added to sequence numbers of the reply direction towards the opener; 0: none. In TCP_SYN_SENT
				   its own (syn_proxy.c) */
	int8_t reply_shift : 6; /* SYN proxy: windows towards the opener are shifted right by this (negative: left); 0: none */
	uint8_t fins : 2;       /* a FIN was seen: bit 0 in the original direction, bit 1 in the reply direction */
	uint8_t scale;          /* window scales in force: low half of the opener, high half of its peer; 0..14 each */
	uint8_t flags;          /* SP_TCP_* */
	uint8_t challenged;     /* when the last challenge ACK was built, in ticks of 512 ms; with SP_TCP_CHALLENGED */
};
static_assert(sizeof(struct sp_session_tcp) == 40, "TCP extension");

/* SCTP keeps its verification tags in the same memory (session_sctp.c). Host byte order; [0] what packets of the original direction carry,
 * [1] of the reply; 0: none. */
struct sp_session_sctp {
	uint32_t tag[2], offered[2];
} __attribute__((may_alias));
static_assert(sizeof(struct sp_session_sctp) <= sizeof(struct sp_session_tcp), "SCTP takes the place of TCP");

/* Translation extension, of sessions with SP_SESSION_NAT; written and read by nat.c alone. */
struct sp_session_nat {
	uint32_t mapping[2]; /* of its source, and the one that it came in by; UINT32_MAX: none */
	uint32_t permit;     /* UINT32_MAX: none */
};

/* Longer time-outs act as this one (46 days): the 32-bit millisecond clock wraps after 49. */
#define SP_SESSION_TIMEOUT_CAP_SEC 4000000u

/*
 * From start_percent of a family's sessions on, the time-outs of sessions that yield shrink in proportion, to min_sec at end_percent
 * (time-outs that are shorter anyway stay). end_percent 0: never.
 */
struct sp_pressure_config {
	uint32_t start_percent, end_percent; /* 0 <= start < end <= 100 */
	uint32_t min_sec;                    /* 1..SP_SESSION_TIMEOUT_CAP_SEC */
};

struct sp_sessions_config {
	uint32_t max4, max6;                  /* sessions of each family, at least 64; memory is taken at once */
	uint32_t timeout_sec[SP_STATE_COUNT]; /* 1..31536000; above SP_SESSION_TIMEOUT_CAP_SEC they act like it */
	struct sp_pressure_config pressure;
	int socket; /* NUMA node, SOCKET_ID_ANY */
};

/* Protocols that sessions are counted by. */
enum sp_session_proto { SP_PROTO_TCP, SP_PROTO_UDP, SP_PROTO_ICMP, SP_PROTO_SCTP, SP_PROTO_OTHER, SP_SESSION_PROTO_COUNT };

extern const char *const sp_session_proto_names[SP_SESSION_PROTO_COUNT];

struct sp_sessions_counters { /* one writer; readers use relaxed loads */
	uint64_t created, expired, killed, refused;
	uint64_t active4, active6;                     /* gauges */
	uint64_t active_proto[SP_SESSION_PROTO_COUNT]; /* gauges; they sum up to the same */
	uint64_t active_state[SP_STATE_COUNT];         /* gauges; they sum up to the same */
	uint64_t evicted;                              /* ended for a new one when the table was full */
	uint64_t evicted_state[SP_STATE_COUNT];        /* the same, by the state they were in */
};

struct sp_sessions;

/* NULL with errno (ENOMEM, EINVAL). Control thread, before the worker starts. */
struct sp_sessions *sp_sessions_create(const struct sp_sessions_config *config);
void sp_sessions_free(struct sp_sessions *sessions);

/* Bytes taken by the table, extensions included, for /v1/status and the log. */
size_t sp_sessions_bytes(const struct sp_sessions *sessions);

const struct sp_sessions_counters *sp_sessions_counters(const struct sp_sessions *sessions);

/*
 * Fills burst->session[i] for every GOING packet of kind FLOW or ICMP_ERROR (SP_SESSION_NONE for others and misses), in passes: prefetch
 * buckets, prefetch records, compare. For ICMP_ERROR the reference's direction is the quoted packet's; the tuple that was found is the one
 * that answers it, for that one is as it was on the wire where the error was met, whatever is translated.
 */
void sp_sessions_lookup_burst(struct sp_sessions *sessions, struct sp_burst *burst);

/* One lookup; hash as in struct sp_packet. */
uint32_t sp_session_find(const struct sp_sessions *sessions, const struct sp_key *key, uint32_t hash);

/* The same for a parsed packet, as sp_sessions_lookup_burst does it. */
uint32_t sp_session_find_packet(const struct sp_sessions *sessions, const struct sp_packet *packet);

/*
 * Inserts a session opened by `original`, answered by `reply` (the hashes are the low 32 bits of sp_key_hash). State bytes are copied from
 * *init, last_ms is now_ms, cold and inspection counters start at zero. Returns the reference (direction original), or SP_SESSION_NONE,
 * counted as refused, when the pool or both buckets of either tuple are full, either tuple exists already, both are the same, or their
 * families differ.
 */
uint32_t sp_session_insert(struct sp_sessions *sessions, const struct sp_key *original, uint32_t hash, const struct sp_key *reply,
	uint32_t reply_hash, const struct sp_session_state *init, uint32_t rule_hash, uint32_t now_ms);

/* Calls the end hook, then takes the session out of index, wheel and pool; its reference is dead afterwards. Counts as expired (TIMEOUT,
 * TCP), evicted or killed. Nothing happens when the reference is dead already. */
void sp_session_remove(struct sp_sessions *sessions, uint32_t ref, enum sp_flow_end why);

/* Views into a live session; valid until it is removed. */
struct sp_session_state *sp_session_state(struct sp_sessions *sessions, uint32_t ref);
struct sp_session_cold *sp_session_cold(struct sp_sessions *sessions, uint32_t ref);
struct sp_session_inspect *sp_session_inspect(struct sp_sessions *sessions, uint32_t ref);
struct sp_session_tcp *sp_session_tcp(struct sp_sessions *sessions, uint32_t ref);
struct sp_session_sctp *sp_session_sctp(struct sp_sessions *sessions, uint32_t ref);
struct sp_session_nat *sp_session_nat(struct sp_sessions *sessions, uint32_t ref);

/* Copies the tuple of a live session into a full key (zero-extended). */
void sp_session_original(const struct sp_sessions *sessions, uint32_t ref, struct sp_key *out);
void sp_session_reply(const struct sp_sessions *sessions, uint32_t ref, struct sp_key *out);

/* Sets the state, with now_ms as the time of the last packet, and, when its time-out is shorter than the old state's, moves the session
 * forward on the wheel. */
void sp_session_set_state(struct sp_sessions *sessions, uint32_t ref, uint8_t state, uint32_t now_ms);

/* Whether a family's pool has no free entry. */
bool sp_sessions_full(const struct sp_sessions *sessions, uint8_t family);

/*
 * The session of a family that a full table gives up first: of those that yield (TCP half open, closed or in time-wait; any other that was
 * never answered) the one whose time-out ends first. SP_SESSION_NONE when there is none, or when SP_SESSION_VICTIM_TRIES that were looked
 * at had been answered since they were put on their wheel; the next call goes on behind those. Established and blocked sessions are never
 * named.
 */
#define SP_SESSION_VICTIM_TRIES 16
uint32_t sp_sessions_victim(struct sp_sessions *sessions, uint8_t family, uint32_t now_ms);

/* What pressure leaves of the time-outs of sessions that yield, of the family where it is less: SP_PRESSURE_NONE (all) to 0 (min_sec). */
#define SP_PRESSURE_NONE 256u
uint32_t sp_sessions_pressure(const struct sp_sessions *sessions);

/* Time-out of the session in ms: its rule's override when the state is an established or replied one, else the table's, shortened under
 * pressure when the session yields. */
uint32_t sp_session_timeout_ms(const struct sp_sessions *sessions, uint32_t ref);

/* Time-out of a state by the configuration, in ms. */
uint32_t sp_sessions_base_timeout_ms(const struct sp_sessions *sessions, uint8_t state);

/* Override per rule slot: rule_timeout_sec[slot] (0: none), shared, written by the control thread with relaxed stores; may be NULL. Live
 * sessions follow a longer one at once, a shorter one within 1,024 seconds. */
void sp_sessions_set_rule_timeouts(struct sp_sessions *sessions, const uint32_t *rule_timeout_sec);

/* The end hook, called before a session goes, whatever the reason: the worker posts its flow event and releases quotas. It may read the
 * session, and must not remove or insert any. */
typedef void (*sp_session_end_fn)(void *context, struct sp_sessions *sessions, uint32_t ref, enum sp_flow_end why);
void sp_sessions_on_end(struct sp_sessions *sessions, sp_session_end_fn fn, void *context);

/*
 * Advances the wheel to now_ms, looking at no more than `budget` sessions; the rest follows at the next call. Returns how many it looked
 * at. A session goes when it was idle for its time-out, not before, and at most two seconds later while the budget suffices. A clock that
 * steps back by less than a minute stands still; any other step is taken as one forward, up to the wrap at 49 days.
 */
unsigned int sp_sessions_age(struct sp_sessions *sessions, uint32_t now_ms, unsigned int budget);

/*
 * Walks live sessions from *cursor (0 at first; any value is safe), looking at no more than `budget` sessions (64 free entries in a row
 * count as one); calls fn for each, which may remove that session. False when the walk is over. Sessions made during a walk may be missed.
 */
bool sp_sessions_walk(
	struct sp_sessions *sessions, uint64_t *cursor, unsigned int budget, void (*fn)(void *context, uint32_t ref), void *context);

#endif
