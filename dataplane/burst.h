/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One burst on its way through the stages: arrays of one entry a packet. Each stage is a function over the burst that looks only at
 * packets whose verdict is still SP_VERDICT_GOING.
 */
#ifndef SP_DATAPLANE_BURST_H
#define SP_DATAPLANE_BURST_H

#include <assert.h>
#include <rte_mbuf.h>
#include <stdint.h>

#include "dataplane/key.h"
#include "dataplane/verdict.h"

/* A reference to a session: bit 31 IPv6, bit 30 the direction whose tuple was found (1: reply), the rest the index in its pool. */
#define SP_SESSION_NONE  UINT32_MAX
#define SP_SESSION_GONE  (UINT32_MAX - 1) /* had one, which ended within this burst */
#define SP_SESSION_IPV6  0x80000000u
#define SP_SESSION_REPLY 0x40000000u
#define SP_SESSION_INDEX 0x3fffffffu

#define SP_BURST_MAX      32
#define SP_SLOT_NONE      UINT32_MAX
#define SP_SIGNATURES_MAX 8 /* pattern ids remembered for one packet */

enum sp_kind {
	SP_KIND_NON_IP,     /* no IP header: key.family is NONE */
	SP_KIND_FLOW,       /* may open or belong to a session by its key */
	SP_KIND_FRAGMENT,   /* a piece of a datagram that is not together yet: no ports; l4_off is where its data begins */
	SP_KIND_ICMP_ERROR, /* key is the quoted packet's: the error belongs to the session of that key, and travels against it */
};

/* What the parser found; one cache line. Offsets in bytes from the first byte of the frame. */
struct sp_packet {
	struct sp_key key;
	uint32_t hash;        /* low 32 bits choose bucket and tag; see session.h. The full 64-bit hash is not kept */
	uint16_t l4_off;      /* 0: none */
	uint16_t payload_off; /* first byte after TCP, UDP, SCTP or ICMP header */
	uint16_t payload_len; /* bytes of payload by the lengths in the headers; trailing padding is not payload */
	uint8_t l3_off;       /* 14, 18 or 22 */
	uint8_t tcp_flags;
	uint8_t kind; /* enum sp_kind */
	uint8_t dscp;
	uint8_t zone_from, zone_to; /* zone indexes or SP_MATCH_NO_ZONE */
};
static_assert(sizeof(struct sp_packet) == 64, "one line a packet");

struct sp_burst {
	uint64_t now;    /* TSC when the burst was taken */
	uint32_t now_ms; /* monotonic milliseconds since start, wraps after 49 days; compare by signed difference */
	uint16_t n;
	uint16_t port;      /* index of the ingress port of all of them */
	uint16_t queue;     /* of that port, where they come from it and not from another worker */
	uint16_t way;       /* back to where they came from, for answers: port, or in route mode SP_PORTS_MAX + link up to Linux */
	uint32_t fragments; /* bit i: packet i is of kind FRAGMENT; set by the parser */
	uint32_t datagrams; /* bit i: packet i is a reassembled datagram (fragment.h); set by the parser */
	struct rte_mbuf *mbuf[SP_BURST_MAX];
	struct sp_packet packet[SP_BURST_MAX];
	uint32_t session[SP_BURST_MAX]; /* reference (session.h) or SP_SESSION_NONE */
	uint8_t verdict[SP_BURST_MAX];  /* enum sp_verdict */
	uint8_t reason[SP_BURST_MAX];   /* enum sp_drop_reason; NONE unless dropped or rejected */
	uint32_t slot[SP_BURST_MAX]; /* rule table slot of the rule that decided (SP_RULE_SLOT_DEFAULT: the default); SP_SLOT_NONE: no rule
					had a say */
	uint32_t length[SP_BURST_MAX];  /* frame bytes as received, without FCS: still known when the mbuf is gone */
	uint16_t egress[SP_BURST_MAX];  /* index into dataplane ports; SP_NO_PORT; in route mode SP_PORTS_MAX + link: up to Linux there */
	uint16_t link[SP_BURST_MAX];    /* route mode: index of the link that it came by */
	uint32_t nexthop[SP_BURST_MAX]; /* route mode: where it goes; no group */
	uint32_t translated;            /* bit i: packet i leaves with other addresses or ports than it came with */
	struct sp_key leaves[SP_BURST_MAX]; /* where that bit is set: the key with which it leaves; of an ICMP error, that of the packet
					       which it quotes as it will be quoted (nat.h) */
	uint8_t n_signatures[SP_BURST_MAX];
	uint32_t signature[SP_BURST_MAX][SP_SIGNATURES_MAX]; /* pattern ids that matched */
};

/*
 * A session of this burst has ended: packets below `first` have passed the state stage with it and keep that verdict (SP_SESSION_GONE), the
 * others have not and become misses (SP_SESSION_NONE).
 */
static inline void sp_burst_forget(struct sp_burst *burst, uint32_t ref, unsigned int first)
{
	for (unsigned int i = 0; i < burst->n; i++)
		if (((burst->session[i] ^ ref) & ~SP_SESSION_REPLY) == 0)
			burst->session[i] = i < first ? SP_SESSION_GONE : SP_SESSION_NONE;
}

/* Whether packet i has a session that can be looked into. */
static inline bool sp_burst_has_session(const struct sp_burst *burst, unsigned int i)
{
	return burst->session[i] < SP_SESSION_GONE;
}

/* Whether the first segment's bytes are this mbuf's alone; what somebody else refers to must not change. */
static inline bool sp_mbuf_is_sole_owner(const struct rte_mbuf *mbuf)
{
	if (RTE_MBUF_CLONED(mbuf) || rte_mbuf_refcnt_read(mbuf) != 1)
		return false;
	return !RTE_MBUF_HAS_EXTBUF(mbuf) || rte_mbuf_ext_refcnt_read(mbuf->shinfo) == 1;
}

/* Notes the length of each frame, which outlives its mbuf here; returns their sum. */
static inline uint64_t sp_burst_measure(struct sp_burst *burst)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < burst->n; i++) {
		burst->length[i] = burst->mbuf[i]->pkt_len;
		bytes += burst->length[i];
	}
	return bytes;
}

/* Drops packet i under a reason. The one way to drop inside the stages: the last stage frees and counts. */
static inline void sp_burst_drop(struct sp_burst *burst, unsigned int i, enum sp_drop_reason reason)
{
	burst->verdict[i] = SP_VERDICT_DROP;
	burst->reason[i] = reason;
}

#endif
