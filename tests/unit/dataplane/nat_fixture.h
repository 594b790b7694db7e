/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Translation in a whole dataplane: what came out of it, read by a few lines of their own, and proofs that nothing of the translator's is
 * left over when all sessions are gone.
 */
#ifndef SP_TESTS_UNIT_DATAPLANE_NAT_FIXTURE_H
#define SP_TESTS_UNIT_DATAPLANE_NAT_FIXTURE_H

#include "tests/unit/dataplane/worker_fixture.h"

#include <arpa/inet.h>

#include "dataplane/nat_internal.h"

#define NAT_RULES(nat)       "version = 1; default = { action = \"allow\"; }; rules = (); nat = (" nat ");"
#define NAT_RULES_OF(r, nat) "version = 1; default = { action = \"drop\"; }; rules = (" r "); nat = (" nat ");"
#define NAT_OUT(address, more) \
	"{ id = 1; type = \"source\"; from = \"inside\"; to = \"outside\"; src = \"10.0.0.0/8\"; address = \"" address "\"; " more " }"

/* A packet as it left. Ports in host byte order; ICMP: the identifier in both. */
struct seen {
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
	uint16_t sport, dport;
	uint8_t proto, flags, icmp_type;
	size_t len, l3, l4;
	uint8_t bytes[2048];
};

static inline void seen_read(struct seen *seen, const uint8_t *bytes, size_t len)
{
	const uint8_t *ip, *l4;

	memset(seen, 0, sizeof(*seen));
	assert_in_range(len, 34, sizeof(seen->bytes));
	memcpy(seen->bytes, bytes, len);
	seen->len = len;
	seen->l3 = 14;
	ip = seen->bytes + seen->l3;
	if (ip[0] >> 4 == 4) {
		seen->proto = ip[9];
		seen->l4 = seen->l3 + (ip[0] & 15) * 4u;
		inet_ntop(AF_INET, ip + 12, seen->src, sizeof(seen->src));
		inet_ntop(AF_INET, ip + 16, seen->dst, sizeof(seen->dst));
	} else {
		seen->proto = ip[6];
		seen->l4 = seen->l3 + 40;
		inet_ntop(AF_INET6, ip + 8, seen->src, sizeof(seen->src));
		inet_ntop(AF_INET6, ip + 24, seen->dst, sizeof(seen->dst));
	}
	l4 = seen->bytes + seen->l4;
	if (seen->proto == IPPROTO_ICMP || seen->proto == IPPROTO_ICMPV6) {
		seen->icmp_type = l4[0];
		seen->sport = seen->dport = (uint16_t)(l4[4] << 8 | l4[5]);
	} else {
		seen->sport = (uint16_t)(l4[0] << 8 | l4[1]);
		seen->dport = (uint16_t)(l4[2] << 8 | l4[3]);
		if (seen->proto == IPPROTO_TCP)
			seen->flags = l4[13];
	}
}

/* The next packet that left by the port; false without one. Its checksums are right. */
static inline bool nat_see(unsigned int port, struct seen *seen)
{
	struct rte_mbuf *mbuf = lab_take(port);
	uint8_t copy[2048];

	if (mbuf == NULL)
		return false;
	assert_in_range(mbuf->pkt_len, 1, sizeof(copy));
	seen_read(seen, rte_pktmbuf_read(mbuf, 0, mbuf->pkt_len, copy), mbuf->pkt_len);
	rte_pktmbuf_free(mbuf);
	assert_true(sp_frame_checksums_ok(seen->bytes, seen->len));
	return true;
}

/* Sends, runs, and expects one packet out of the other port of the pair. */
static inline void nat_through(unsigned int port, const struct sp_frame_spec *spec, struct seen *seen)
{
	lab_send(port, spec);
	lab_run();
	assert_true(nat_see(port ^ 1, seen));
	assert_int_equal(lab_count(port ^ 1), 0);
}

/* Sends and runs; nothing comes out, for this reason. */
static inline void nat_dropped(unsigned int port, const struct sp_frame_spec *spec, enum sp_drop_reason reason)
{
	uint64_t before = lab_drops(reason);

	lab_send(port, spec);
	lab_run();
	assert_int_equal(lab_count(port ^ 1), 0);
	assert_int_equal(lab_drops(reason), before + 1);
}

/* The answer to a packet that was seen. */
static inline struct sp_frame_spec seen_answer(const struct seen *seen)
{
	struct sp_frame_spec spec = {.family = strchr(seen->src, ':') != NULL ? 6 : 4,
		.proto = seen->proto,
		.src = seen->dst,
		.dst = seen->src,
		.sport = seen->dport,
		.dport = seen->sport};

	if (seen->proto == IPPROTO_TCP) {
		const uint8_t *seq = seen->bytes + seen->l4 + 4;

		spec.tcp_flags = SYN | ACK;
		spec.seq = 9000;
		spec.ack = ((uint32_t)seq[0] << 24 | (uint32_t)seq[1] << 16 | (uint32_t)seq[2] << 8 | seq[3]) + 1;
	}
	if (seen->proto == IPPROTO_ICMP || seen->proto == IPPROTO_ICMPV6) {
		spec.icmp_type = seen->proto == IPPROTO_ICMP ? 0 : 129;
		spec.icmp_id = seen->sport;
		spec.sport = spec.dport = 0;
	}
	return spec;
}

#define assert_seen(seen, s, sp, d, dp)              \
	do {                                         \
		assert_string_equal((seen)->src, s); \
		assert_string_equal((seen)->dst, d); \
		assert_int_equal((seen)->sport, sp); \
		assert_int_equal((seen)->dport, dp); \
	} while (0)

static inline uint64_t nat_mappings(void)
{
	uint64_t n = 0;

	for (unsigned int w = 0; w < lab.dataplane->n_workers; w++)
		n += lab.dataplane->nat->worker[w]->counters.mappings;
	return n;
}

/* Nothing is taken any more; every entry of every table is on its free list. */
static inline void nat_assert_empty(void)
{
	const struct sp_nat *nat = lab.dataplane->nat;

	for (unsigned int w = 0; nat != NULL && w < nat->n_workers; w++) {
		const struct sp_nat_worker *worker = nat->worker[w];

		assert_int_equal(worker->counters.mappings, 0);
		assert_int_equal(worker->counters.hosts, 0);
		assert_int_equal(worker->counters.blocks, 0);
		for (uint32_t h = 0; h <= worker->mask; h++) {
			assert_int_equal(worker->inside[h], SP_NAT_NONE);
			assert_int_equal(worker->outside[h], SP_NAT_NONE);
			assert_int_equal(worker->hosts[h], SP_NAT_NONE);
			assert_int_equal(worker->permits[h], SP_NAT_NONE);
		}
		for (const struct sp_nat_address *a = nat->addresses; a != NULL; a = a->next) {
			assert_int_equal(a->slice[w]->refs, 0);
			for (unsigned int p = 0; p < SP_NAT_PROTO_COUNT; p++) {
				assert_int_equal(a->slice[w]->used[p], 0);
				for (uint32_t k = 0; k < a->slice[w]->n; k++)
					assert_false(sp_nat_slice_is_taken(a->slice[w], p, k));
			}
			for (uint32_t b = 0; b < (a->slice[w]->n / SP_NAT_WORD + 63) / 64; b++)
				assert_int_equal(a->slice[w]->blocks[b], 0);
		}
	}
}

/* Ends all sessions and holds, proves that nothing is left, and ends the dataplane. */
static inline void nat_stop(void)
{
	lab_run();
	lab.ms += 1000ull * 86400;
	lab_pass(4);
	assert_int_equal(lab_active(), 0);
	lab.ms += SP_NAT_HOLD_UDP_MS;
	for (unsigned int s = 0; s < 4096 && nat_mappings() != 0; s++)
		lab_pass(1);
	nat_assert_empty();
	lab_stop();
}

#endif
