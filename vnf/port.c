/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port, from a device's name to packets. Everything a device may lack is masked by what it says it can do: a VF that lacks an offload or
 * a queue is used without it.
 */
#include "vnf/port.h"

#include <rte_ethdev.h>
#include <rte_ring.h>
#include <string.h>

#include "dataplane/worker.h"
#include "mgmt/ports.h"
#include "vnf/compat.h"
#include "vnf/port_configure.h"
#include "vnf/port_filters.h"

void sp_port_zones(struct sp_port *port, const struct sp_config *config, const struct sp_config_port *from)
{
	bool divided = false;

	for (unsigned int i = 0; i < config->n_ports; i++)
		divided |= config->ports[i].parent >= 0 && &config->ports[config->ports[i].parent] == from;
	/* On a port that is divided into VLANs, a tag that nobody defined must not lend a frame the zone of untagged ones. */
	memset(port->zone, divided ? SP_MATCH_NO_ZONE : from->zone, sizeof(port->zone));
	port->zone[0] = from->zone;
	for (unsigned int i = 0; i < config->n_ports; i++)
		if (config->ports[i].parent >= 0 && &config->ports[config->ports[i].parent] == from)
			port->zone[config->ports[i].vlan] = config->ports[i].zone;
}

void sp_port_describe(struct sp_port *port, const struct sp_config *config, const struct sp_config_port *from)
{
	snprintf(port->name, sizeof(port->name), "%s", from->name);
	snprintf(port->device, sizeof(port->device), "%.*s", (int)sizeof(port->device) - 1, from->device.shown);
	port->domain = from->domain;
	port->checksum = from->checksum;
	port->pass_link = port->all_frames = config->mode == SP_MODE_WIRE;
	sp_port_zones(port, config, from);
	port->ethdev = RTE_MAX_ETHPORTS;
}

/* Which VLANs the device is to let in, and whether it has to be asked for them. */
static int plan_filters(
	struct sp_port *port, const struct sp_config *config, const struct sp_config_port *from, struct sp_port_plan *plan, char *why)
{
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(port->ethdev, &info);
	bool divided = false;

	if (rc != 0)
		return sp_port_fail(port, rc, why, "the device does not answer: %s", strerror(-rc));
	plan->quirks = sp_quirks_find(info.driver_name);
	memset(plan->vlans, 0, sizeof(plan->vlans));
	for (unsigned int i = 0; i < config->n_ports; i++) {
		const struct sp_config_port *vlan = &config->ports[i];

		if (vlan->parent < 0 || &config->ports[vlan->parent] != from)
			continue;
		plan->vlans[vlan->vlan / 64] |= 1ull << vlan->vlan % 64;
		divided = true;
	}
	/*
	 * In wire mode an undivided port is to pass every VLAN: what its device holds back it would hold back all the same, and a filter
	 * would add to that.
	 */
	plan->filters_vlans = plan->quirks->tags == SP_TAGS_FILTER && (info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_FILTER) != 0 &&
			      (divided || config->mode == SP_MODE_ROUTE);
	/* In wire mode a VF with trust may be given more than it asked for. */
	port->filters_vlans = plan->filters_vlans && config->mode == SP_MODE_ROUTE;
	memcpy(port->vlans, plan->vlans, sizeof(port->vlans));
	port->vlans[0] |= 1;
	return 0;
}

static int plan_queues(struct sp_port *port, const struct sp_config_port *from, struct sp_port_plan *plan, char *why)
{
	int rc;

	plan->rx_descriptors = plan->tx_descriptors = from->descriptors != 0 ? from->descriptors : SP_PORT_DESCRIPTORS;
	rc = rte_eth_dev_adjust_nb_rx_tx_desc(port->ethdev, &plan->rx_descriptors, &plan->tx_descriptors);
	if (rc != 0)
		return sp_port_fail(port, rc, why, "the device names no queue length: %s", strerror(-rc));
	plan->buffers = (uint32_t)port->n_queues * plan->rx_descriptors + (uint32_t)port->n_tx_queues * plan->tx_descriptors;
	return 0;
}

static void read_mac(struct sp_port *port)
{
	struct rte_ether_addr mac;

	if (rte_eth_macaddr_get(port->ethdev, &mac) == 0)
		sp_mac_store(&port->mac_word, mac.addr_bytes);
}

int sp_port_open(struct sp_port *port, const struct sp_config *config, const struct sp_config_port *from, unsigned int n_workers,
	struct sp_port_plan *plan, char *why)
{
	char reason[SP_WHY_MAX - 200];
	int rc = sp_device_open(&from->device, &port->ethdev, reason, sizeof(reason));

	if (rc != 0)
		return sp_port_fail(port, rc, why, "%s", reason);
	rc = plan_filters(port, config, from, plan, why);
	if (rc == 0)
		rc = sp_port_configure(port, from, plan, n_workers, why);
	if (rc == 0)
		rc = plan_queues(port, from, plan, why);
	if (rc != 0)
		return rc;
	if (port->n_tx_queues < n_workers) {
		/* It has one already when its device comes back. */
		rc = port->tx_ring == NULL ? sp_port_share_tx(port, rte_eth_dev_socket_id(port->ethdev)) : 0;
		if (rc != 0)
			return sp_port_fail(port, rc, why, "no memory for the ring to its one tx queue; set a larger memory.mb");
		plan->buffers += SP_HANDOVER_RING;
	}
	read_mac(port);
	return 0;
}

static int setup_queues(struct sp_port *port, const struct sp_port_plan *plan, struct rte_mempool *pool, char *why)
{
	int socket = rte_eth_dev_socket_id(port->ethdev);
	unsigned int node = socket < 0 ? 0 : (unsigned int)socket;

	for (uint16_t q = 0; q < port->n_queues; q++) {
		int rc = rte_eth_rx_queue_setup(port->ethdev, q, plan->rx_descriptors, node, NULL, pool);

		if (rc != 0)
			return sp_port_fail(
				port, rc, why, "rx queue %u of %u descriptors is refused: %s", q, plan->rx_descriptors, strerror(-rc));
	}
	for (uint16_t q = 0; q < port->n_tx_queues; q++) {
		int rc = rte_eth_tx_queue_setup(port->ethdev, q, plan->tx_descriptors, node, NULL);

		if (rc != 0)
			return sp_port_fail(
				port, rc, why, "tx queue %u of %u descriptors is refused: %s", q, plan->tx_descriptors, strerror(-rc));
	}
	return 0;
}

static int start_device(struct sp_port *port, const struct sp_port_plan *plan, struct rte_mempool *pool, char *why)
{
	int rc = setup_queues(port, plan, pool, why);

	if (rc != 0)
		return rc;
	rc = rte_eth_dev_start(port->ethdev);
	return rc == 0 ? 0 : sp_port_fail(port, rc, why, "the device does not start: %s", strerror(-rc));
}

/* Some devices agree to an MTU, and then do not start with it: they are given lower ones. */
static int start_at_some_mtu(
	struct sp_port *port, const struct sp_config_port *from, const struct sp_port_plan *plan, struct rte_mempool *pool, char *why)
{
	int rc = start_device(port, plan, pool, why);
	char ignored[SP_WHY_MAX];

	while (rc != 0 && plan->quirks->mtu_at_start && sp_port_configure_lower(port, from, plan, ignored) == 0)
		if (start_device(port, plan, pool, ignored) == 0)
			rc = 0;
	return rc;
}

static void after_start(struct sp_port *port, const struct sp_port_plan *plan)
{
	port->starts++;
	read_mac(port);
	sp_port_filters_open(port, plan);
	sp_port_read_link(port);
}

int sp_port_start(
	struct sp_port *port, const struct sp_config_port *from, const struct sp_port_plan *plan, struct rte_mempool *pool, char *why)
{
	struct sp_eal_capture capture;
	uint16_t mtu = port->mtu;
	char said[160];
	int rc;

	sp_eal_capture_begin(&capture);
	rc = start_at_some_mtu(port, from, plan, pool, why);
	sp_eal_capture_end(&capture, said, sizeof(said));
	if (rc != 0) {
		if (said[0] != '\0')
			snprintf(why + strlen(why), SP_WHY_MAX - strlen(why), " (%s)", said);
		return rc;
	}
	if (port->mtu != mtu)
		sp_port_warn_once(port,
			"it does not start with mtu %u; %u is in force; on the host, `ip link set PF mtu %u`, or set a smaller \"mtu\" "
			"here",
			mtu, port->mtu, mtu);
	after_start(port, plan);
	return 0;
}

int sp_port_restart(
	struct sp_port *port, const struct sp_config_port *from, const struct sp_port_plan *plan, struct rte_mempool *pool, char *why)
{
	int rc;

	rte_eth_dev_stop(port->ethdev);
	/* Few drivers have more to reset than what stop and start do. */
	rc = rte_eth_dev_reset(port->ethdev);
	if (rc != 0 && rc != -ENOTSUP)
		return sp_port_fail(port, rc, why, "the device is not reset: %s", strerror(-rc));
	rc = sp_port_configure_again(port, from, plan, why);
	if (rc == 0)
		rc = start_at_some_mtu(port, from, plan, pool, why);
	if (rc != 0)
		return rc;
	after_start(port, plan);
	return 0;
}

void sp_port_print(const struct sp_port *port, FILE *out)
{
	struct rte_eth_dev_info info;
	char mac[RTE_ETHER_ADDR_FMT_SIZE];
	struct rte_ether_addr address;

	memcpy(address.addr_bytes, port->mac, sizeof(address.addr_bytes));
	rte_ether_format_addr(mac, sizeof(mac), &address);
	fprintf(out, "sallyport: port %s: device %s, driver %s, mac %s, mtu %u, %u rx and %u tx queues, link %s\n", port->name,
		port->device, rte_eth_dev_info_get(port->ethdev, &info) == 0 ? info.driver_name : "unknown", mac, port->mtu, port->n_queues,
		port->n_tx_queues, port->link_up ? "up" : "down");
}

void sp_port_detach(struct sp_port *port)
{
	struct rte_eth_dev_info info = {0};

	__atomic_store_n(&port->link_up, 0, __ATOMIC_RELAXED);
	if (!rte_eth_dev_is_valid_port(port->ethdev))
		return;
	/* A device that is gone may not answer any more; then there is nothing left to remove. */
	if (rte_eth_dev_info_get(port->ethdev, &info) != 0)
		info.device = NULL;
	rte_eth_dev_stop(port->ethdev);
	rte_eth_dev_close(port->ethdev);
	port->ethdev = RTE_MAX_ETHPORTS;
	if (info.device != NULL)
		rte_dev_remove(info.device);
}

void sp_port_close(struct sp_port *port)
{
	rte_ring_free(port->tx_ring);
	port->tx_ring = NULL;
	if (!rte_eth_dev_is_valid_port(port->ethdev))
		return;
	rte_eth_dev_stop(port->ethdev);
	rte_eth_dev_close(port->ethdev);
	port->ethdev = RTE_MAX_ETHPORTS;
}
