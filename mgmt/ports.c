/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE 1 /* pthread_mutex_clocklock */
#include "mgmt/ports.h"

#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <rte_ethdev.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "dataplane/worker.h"
#include "mgmt/interface.h"

#define SOON_NS 20000000 /* another who only asks the device is done by then */

static pthread_mutex_t locks[SP_PORTS_MAX] = {[0 ... SP_PORTS_MAX - 1] = PTHREAD_MUTEX_INITIALIZER};

void sp_port_lock(const struct sp_port *port)
{
	pthread_mutex_lock(&locks[port->index]);
}

bool sp_port_lock_soon(const struct sp_port *port)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += SOON_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	return pthread_mutex_clocklock(&locks[port->index], CLOCK_MONOTONIC, &until) == 0;
}

void sp_port_unlock(const struct sp_port *port)
{
	pthread_mutex_unlock(&locks[port->index]);
}

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
	struct rte_eth_dev_info info;

	memset(out, 0, sizeof(*out));
	sum_counters(dataplane, index, &out->counters);
	out->link_up = __atomic_load_n(&port->link_up, __ATOMIC_RELAXED) != 0;
	out->zone = port->zone[0] < dataplane->zones.n ? dataplane->zones.name[port->zone[0]] : NULL;
	if (__atomic_load_n(&port->paused, __ATOMIC_RELAXED) || !sp_port_lock_soon(port))
		return;
	out->has_device = rte_eth_dev_is_valid_port(port->ethdev) && rte_eth_stats_get(port->ethdev, &stats) == 0;
	if (out->has_device && rte_eth_dev_info_get(port->ethdev, &info) == 0)
		out->driver = info.driver_name;
	sp_port_unlock(port);
	out->imissed = stats.imissed;
	out->rx_nombuf = stats.rx_nombuf;
	out->oerrors = stats.oerrors;
}

/* Whether the kernel's interface is up and has a carrier. An interface that is gone, or was moved to another namespace, is down. */
static bool interface_is_running(unsigned int index)
{
	struct ifreq request;
	int rc = sp_interface_ask(index, SIOCGIFFLAGS, &request);

	if (rc != 0)
		return rc != -ENODEV; /* not known: no reason to stop traffic */
	return (request.ifr_flags & IFF_RUNNING) != 0;
}

/* The drivers of kernel interfaces that always say "up". */
static bool driver_hides_link(const char *driver)
{
	return strcmp(driver, "net_af_packet") == 0 || strcmp(driver, "net_af_xdp") == 0;
}

/* 1 up, 0 down, -1 not known. */
static int link_state(uint16_t ethdev)
{
	struct rte_eth_dev_info info = {0};
	struct rte_eth_link link = {0};

	if (rte_eth_link_get_nowait(ethdev, &link) != 0)
		return -1;
	if (link.link_status == RTE_ETH_LINK_UP && rte_eth_dev_info_get(ethdev, &info) == 0 && driver_hides_link(info.driver_name))
		return interface_is_running(info.if_index);
	return link.link_status == RTE_ETH_LINK_UP;
}

void sp_port_read_link(struct sp_port *port)
{
	int up = link_state(port->ethdev);

	if (up >= 0)
		__atomic_store_n(&port->link_up, (uint32_t)up, __ATOMIC_RELAXED);
}

void sp_ports_watch(struct sp_dataplane *dataplane)
{
	for (unsigned int i = 0; i < dataplane->n_ports; i++) {
		struct sp_port *port = &dataplane->ports[i];

		if (__atomic_load_n(&port->paused, __ATOMIC_RELAXED) || !sp_port_lock_soon(port))
			continue;
		sp_port_read_link(port);
		sp_port_unlock(port);
	}
}
