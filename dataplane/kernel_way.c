/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/kernel_way.h"

#include <errno.h>
#include <rte_ether.h>
#include <stdio.h>

#include "dataplane/alloc.h"
#include "dataplane/parse_internal.h"
#include "dataplane/stages.h"
#include "rules/match.h"

#define SECOND_NS 1000000000ull

enum sp_drop_reason sp_kernel_admit(struct sp_worker *worker, enum sp_self_class class)
{
	const struct sp_dataplane *dataplane = worker->dataplane;
	uint64_t rate = dataplane->routing->config.self_rate[class], now_ns = sp_burst_ns(worker), tat_ns, step_ns;

	if (rate == 0)
		return SP_DROP_ROUTE_SELF_RATE;
	step_ns = SECOND_NS * dataplane->n_workers / rate;
	tat_ns = RTE_MAX(worker->self_tat_ns[class], now_ns);
	/* A tenth of a second's worth may come at once, and one packet in any case. */
	if (tat_ns - now_ns > SECOND_NS / 10)
		return SP_DROP_ROUTE_SELF_RATE;
	worker->self_tat_ns[class] = tat_ns + step_ns;
	return SP_DROP_NONE;
}

static bool is_tag(const uint8_t *frame)
{
	uint16_t type = sp_read_be16(frame + SP_ETHER_TYPE_OFFSET);

	return type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ;
}

static void strip_tags(struct rte_mbuf *mbuf)
{
	for (unsigned int tags = 0; tags < SP_VLAN_TAGS_MAX && mbuf->data_len >= SP_ETHER_BYTES + SP_VLAN_BYTES; tags++) {
		uint8_t *frame = rte_pktmbuf_mtod(mbuf, uint8_t *);

		if (!is_tag(frame))
			return;
		memmove(frame + SP_VLAN_BYTES, frame, SP_ETHER_TYPE_OFFSET);
		rte_pktmbuf_adj(mbuf, SP_VLAN_BYTES);
	}
}

void sp_kernel_send_up(struct sp_worker *worker, uint16_t link, struct rte_mbuf *mbuf)
{
	const struct sp_routing *routing = worker->dataplane->routing;

	strip_tags(mbuf);
	mbuf->port = link;
	if (rte_ring_mp_enqueue(routing->to_kernel, mbuf) == 0) {
		sp_count(&worker->stats.to_kernel, 1);
		return;
	}
	sp_drop_note_mbuf(worker, mbuf, routing->links[link].port, SP_DROP_QUEUE_KERNEL);
	if (worker->captures != NULL)
		sp_capture_mbuf(worker, mbuf, SP_CAPTURE_DROP, routing->links[link].port, SP_DROP_QUEUE_KERNEL);
	rte_pktmbuf_free(mbuf);
	sp_count(&worker->stats.drops[SP_DROP_QUEUE_KERNEL], 1);
}

unsigned int sp_kernel_poll(struct sp_worker *worker)
{
	return sp_worker_take(worker, worker->dataplane->routing->from_kernel, &worker->stats.from_kernel, false);
}

int sp_kernel_ports_make(struct sp_dataplane *dataplane)
{
	const struct sp_routing *routing = dataplane->routing;

	dataplane->kernel_ports = sp_alloc("kernel ports", (routing->n_links + 1) * sizeof(*dataplane->kernel_ports), 64, SOCKET_ID_ANY);
	if (dataplane->kernel_ports == NULL)
		return -ENOMEM;
	for (unsigned int l = 0; l < routing->n_links; l++) {
		struct sp_port *port = &dataplane->kernel_ports[l];

		port->kernel = true;
		port->index = routing->links[l].port;
		port->vlan_apart = UINT16_MAX;
		port->peer = SP_NO_PORT;
		port->checksum = SP_CHECKSUM_OFF; /* Linux's own, over memory */
		port->link_up = 1;
		snprintf(port->name, sizeof(port->name), "%s", routing->links[l].name);
		memcpy(port->mac, routing->links[l].mac, sizeof(port->mac));
		memset(port->zone, dataplane->zone_self, sizeof(port->zone));
		for (unsigned int vlan = 0; vlan < 4096; vlan++)
			port->link[vlan] = (uint16_t)l;
	}
	return 0;
}

void sp_kernel_ports_free(struct sp_dataplane *dataplane)
{
	sp_free(dataplane->kernel_ports);
	dataplane->kernel_ports = NULL;
}
