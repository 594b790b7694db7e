/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/rss_sample.h"

#include <netinet/in.h>

#include "dataplane/worker.h"

static struct sp_rss_sample sample_of(const struct sp_packet *packet, const struct rte_mbuf *mbuf)
{
	const struct sp_key *key = &packet->key;
	struct sp_rss_sample sample = {.family = key->family, .proto = key->proto, .sport = key->sport, .dport = key->dport};

	if (key->family == SP_FAMILY_IPV4) {
		memcpy(sample.src, &key->v4.src, sizeof(key->v4.src));
		memcpy(sample.dst, &key->v4.dst, sizeof(key->v4.dst));
	} else {
		memcpy(sample.src, key->v6.src, sizeof(sample.src));
		memcpy(sample.dst, key->v6.dst, sizeof(sample.dst));
	}
	sample.hashed = (mbuf->ol_flags & RTE_MBUF_F_RX_RSS_HASH) != 0;
	sample.hash = sample.hashed ? mbuf->hash.rss : 0;
	return sample;
}

/* Devices hash fragments, tunnels and what else there is in ways of their own: TCP and UDP on Ethernet tell enough. */
static bool tells(const struct sp_burst *burst, unsigned int i)
{
	const struct sp_packet *packet = &burst->packet[i];

	return burst->verdict[i] == SP_VERDICT_GOING && packet->kind == SP_KIND_FLOW && (burst->datagrams >> i & 1) == 0 &&
	       (packet->key.proto == IPPROTO_TCP || packet->key.proto == IPPROTO_UDP);
}

void sp_rss_sample(struct sp_worker *worker, const struct sp_port *port, uint16_t queue)
{
	struct sp_rss_samples *samples = &worker->rss;
	const struct sp_burst *burst = &worker->burst;
	uint32_t n = __atomic_load_n(&samples->n, __ATOMIC_ACQUIRE);

	if (n >= SP_RSS_SAMPLES || port->n_queues < 2)
		return;
	for (unsigned int k = 0; k < burst->n; k++) {
		unsigned int i = ((unsigned int)burst->now + k) % burst->n;

		if (!tells(burst, i))
			continue;
		samples->v[n] = sample_of(&burst->packet[i], burst->mbuf[i]);
		samples->v[n].port = port->index;
		samples->v[n].queue = queue;
		samples->v[n].starts = port->starts;
		__atomic_store_n(&samples->n, n + 1, __ATOMIC_RELEASE);
		return;
	}
}
