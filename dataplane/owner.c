/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which worker owns a packet's session, and the way there. The key's hash is symmetric, so both directions of an untranslated flow have one
 * owner whatever queue the NIC chose; so have ICMP errors, whose key is the quoted packet's. With translation: nat_owner.c.
 */
#include "dataplane/nat.h"
#include "dataplane/stages.h"

/*
 * The session table chooses a bucket by the upper bits of the hash. They are mixed with the others first: owners by the same bits would
 * leave each table only a share of its buckets to look into at first.
 */
unsigned int sp_owner_by_hash(uint32_t hash, unsigned int n_workers)
{
	uint32_t mixed = hash * 0x9e3779b1u;

	return (unsigned int)(((uint64_t)mixed * n_workers) >> 32);
}

void sp_owner_hand_over(struct sp_worker *worker, const struct sp_port *port, unsigned int i, unsigned int owner, bool on)
{
	struct sp_burst *burst = &worker->burst;

	/* Some drivers (net_ring) leave mbuf->port alone; from here to the owner it is our name of the ingress port. */
	burst->mbuf[i]->port = (uint16_t)(sp_port_way(port) | (on ? SP_WAY_ON : 0));
	if (rte_ring_sp_enqueue(worker->dataplane->workers[owner]->handover[worker->index], burst->mbuf[i]) != 0) {
		sp_burst_drop(burst, i, SP_DROP_QUEUE_HANDOVER);
		return;
	}
	burst->verdict[i] = SP_VERDICT_HANDED;
	sp_count(&worker->stats.handed_out, 1);
}

void sp_owner_burst(struct sp_worker *worker, const struct sp_port *port, uint32_t among)
{
	struct sp_burst *burst = &worker->burst;
	unsigned int n_workers = worker->dataplane->n_workers;

	for (unsigned int i = 0; i < burst->n; i++) {
		unsigned int owner;

		if (burst->verdict[i] != SP_VERDICT_GOING || burst->packet[i].kind == SP_KIND_NON_IP || !(among >> i & 1))
			continue;
		if (unlikely(worker->live->nat != NULL))
			owner = sp_nat_owner(worker, &burst->packet[i]);
		else
			owner = sp_owner_by_hash(burst->packet[i].hash, n_workers);
		if (owner != worker->index)
			sp_owner_hand_over(worker, port, i, owner, false);
	}
}
