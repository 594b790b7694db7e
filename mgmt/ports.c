/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/ports.h"

#include <pthread.h>
#include <rte_ethdev.h>
#include <string.h>

#include "dataplane/worker.h"

static pthread_mutex_t ethdev_lock = PTHREAD_MUTEX_INITIALIZER;

static void sum_counters(const struct sp_dataplane *dataplane, unsigned int port, struct sp_port_counters *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned int w = 0; w < dataplane->n_workers; w++) {
		const struct sp_port_counters *counters = &dataplane->workers[w]->stats.ports[port];

		out->rx += sp_read(&counters->rx);
		out->tx += sp_read(&counters->tx);
		out->rx_bytes += sp_read(&counters->rx_bytes);
		out->tx_bytes += sp_read(&counters->tx_bytes);
		out->drops += sp_read(&counters->drops);
	}
}

void sp_port_report(const struct sp_dataplane *dataplane, unsigned int index, struct sp_port_report *out)
{
	const struct sp_port *port = &dataplane->ports[index];
	struct rte_eth_stats stats = {0};

	memset(out, 0, sizeof(*out));
	sum_counters(dataplane, index, &out->counters);
	out->link_up = __atomic_load_n(&port->link_up, __ATOMIC_RELAXED) != 0;
	out->zone = port->zone[0] < dataplane->zones.n ? dataplane->zones.name[port->zone[0]] : NULL;
	pthread_mutex_lock(&ethdev_lock);
	out->has_device = rte_eth_dev_is_valid_port(port->ethdev) && rte_eth_stats_get(port->ethdev, &stats) == 0;
	pthread_mutex_unlock(&ethdev_lock);
	out->imissed = stats.imissed;
	out->rx_nombuf = stats.rx_nombuf;
	out->oerrors = stats.oerrors;
}

void sp_ports_watch(struct sp_dataplane *dataplane)
{
	for (unsigned int i = 0; i < dataplane->n_ports; i++) {
		struct sp_port *port = &dataplane->ports[i];
		struct rte_eth_link link = {0};
		int rc;

		pthread_mutex_lock(&ethdev_lock);
		rc = rte_eth_link_get_nowait(port->ethdev, &link);
		pthread_mutex_unlock(&ethdev_lock);
		if (rc == 0)
			__atomic_store_n(&port->link_up, link.link_status == RTE_ETH_LINK_UP ? 1u : 0u, __ATOMIC_RELAXED);
	}
}
