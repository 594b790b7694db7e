/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port, from a device's name to packets. Everything a device may lack is masked by what it says it can do: a VF that lacks an offload or
 * a queue is used without it.
 */
#include "vnf/port.h"

#include <errno.h>
#include <rte_ethdev.h>
#include <rte_ring.h>
#include <stdarg.h>
#include <string.h>

#include "dataplane/worker.h"
#include "mgmt/ports.h"
#include "vnf/compat.h"

#define DESCRIPTORS 1024
#define RSS_KEY_MAX 64

/* Repeating 0x6d5a makes the Toeplitz hash the same for both directions of a flow (Woo and Park, 2012). */
static uint8_t symmetric_key[RSS_KEY_MAX];

__attribute__((format(printf, 4, 5))) static int fail(const struct sp_port *port, int rc, char *why, const char *fmt, ...)
{
	char text[SP_WHY_MAX - 200];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	snprintf(why, SP_WHY_MAX, "port %s (%s): %s", port->name, port->device, text);
	return rc < 0 ? rc : -EIO;
}

/* The device's text without what must not reach a log: memif's secret. */
static void copy_device(char *out, size_t size, const char *text)
{
	const char *secret = strstr(text, "secret=");
	int n = secret == NULL ? (int)strlen(text) : (int)(secret - text);

	snprintf(out, size, "%.*s%s%s", RTE_MIN(n, (int)size - 1), text, secret == NULL ? "" : "secret=...",
		secret == NULL ? "" : secret + strcspn(secret, ","));
}

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

static void set_rss(struct rte_eth_conf *conf, const struct rte_eth_dev_info *info, uint16_t n_queues)
{
	uint64_t wanted = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP;

	if (n_queues < 2 || (info->flow_type_rss_offloads & wanted) == 0)
		return;
	for (size_t i = 0; i < sizeof(symmetric_key); i++)
		symmetric_key[i] = i % 2 == 0 ? 0x6d : 0x5a;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads & wanted;
	if (info->hash_key_size > 0 && info->hash_key_size <= sizeof(symmetric_key)) {
		conf->rx_adv_conf.rss_conf.rss_key = symmetric_key;
		conf->rx_adv_conf.rss_conf.rss_key_len = info->hash_key_size;
	}
}

static int choose_queues(struct sp_port *port, const struct sp_config_port *from, unsigned int n_workers, char *why)
{
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(port->ethdev, &info);

	if (rc != 0)
		return fail(port, rc, why, "the device does not answer: %s", strerror(-rc));
	port->n_queues = from->queues != 0 ? from->queues : n_workers;
	port->n_queues = RTE_MIN(port->n_queues, RTE_MAX(info.max_rx_queues, 1));
	port->n_tx_queues = info.max_tx_queues >= n_workers ? n_workers : 1;
	return 0;
}

/* With the queues that the port has. */
static int configure(struct sp_port *port, const struct sp_config_port *from, char *why)
{
	struct rte_eth_conf conf = {.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE, .txmode.mq_mode = RTE_ETH_MQ_TX_NONE};
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(port->ethdev, &info);

	if (rc != 0)
		return fail(port, rc, why, "the device does not answer: %s", strerror(-rc));
	set_rss(&conf, &info, port->n_queues);
	if (from->checksum == SP_CHECKSUM_TRUST_NIC)
		conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_CHECKSUM;
	conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (from->mtu != 0)
		conf.rxmode.mtu = from->mtu;
	/* A driver that interrupts for its link is not polled for it. */
	conf.intr_conf.lsc = (*info.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
	conf.intr_conf.rmv = (*info.dev_flags & RTE_ETH_DEV_INTR_RMV) != 0;
	rc = rte_eth_dev_configure(port->ethdev, port->n_queues, port->n_tx_queues, &conf);
	if (rc != 0)
		return fail(port, rc, why, "%s refuses %u rx and %u tx queues%s: %s; set a smaller \"queues\" or \"mtu\"", info.driver_name,
			port->n_queues, port->n_tx_queues, from->mtu != 0 ? " with this mtu" : "", strerror(-rc));
	return 0;
}

static int plan_queues(struct sp_port *port, const struct sp_config_port *from, struct sp_port_plan *plan, char *why)
{
	int rc;

	plan->rx_descriptors = plan->tx_descriptors = from->descriptors != 0 ? from->descriptors : DESCRIPTORS;
	rc = rte_eth_dev_adjust_nb_rx_tx_desc(port->ethdev, &plan->rx_descriptors, &plan->tx_descriptors);
	if (rc != 0)
		return fail(port, rc, why, "the device names no queue length: %s", strerror(-rc));
	plan->buffers = (uint32_t)port->n_queues * plan->rx_descriptors + (uint32_t)port->n_tx_queues * plan->tx_descriptors;
	return 0;
}

static int set_mtu(struct sp_port *port, const struct sp_config_port *from, char *why)
{
	uint16_t mtu = 0;
	int rc;

	rte_eth_dev_get_mtu(port->ethdev, &mtu);
	if (from->mtu != 0 && mtu != from->mtu) {
		rc = rte_eth_dev_set_mtu(port->ethdev, from->mtu);
		if (rc != 0)
			return fail(
				port, rc, why, "mtu %u is refused: %s; set one the device has, or leave it out", from->mtu, strerror(-rc));
		mtu = from->mtu;
	}
	port->mtu = mtu;
	return 0;
}

static void read_mac(struct sp_port *port)
{
	struct rte_ether_addr mac;

	if (rte_eth_macaddr_get(port->ethdev, &mac) == 0)
		memcpy(port->mac, mac.addr_bytes, sizeof(port->mac));
}

int sp_port_open(struct sp_port *port, const struct sp_config *config, const struct sp_config_port *from, unsigned int n_workers,
	struct sp_port_plan *plan, char *why)
{
	char reason[SP_WHY_MAX - 200];
	int rc;

	snprintf(port->name, sizeof(port->name), "%s", from->name);
	copy_device(port->device, sizeof(port->device), from->device.text);
	port->domain = from->domain;
	port->checksum = from->checksum;
	port->pass_link = port->all_frames = config->mode == SP_MODE_WIRE;
	sp_port_zones(port, config, from);
	port->ethdev = RTE_MAX_ETHPORTS;
	rc = sp_device_open(&from->device, &port->ethdev, reason, sizeof(reason));
	if (rc != 0)
		return fail(port, rc, why, "%s", reason);
	rc = choose_queues(port, from, n_workers, why);
	if (rc == 0)
		rc = configure(port, from, why);
	if (rc == 0)
		rc = plan_queues(port, from, plan, why);
	if (rc == 0)
		rc = set_mtu(port, from, why);
	if (rc != 0)
		return rc;
	if (port->n_tx_queues < n_workers) {
		rc = sp_port_share_tx(port, rte_eth_dev_socket_id(port->ethdev));
		if (rc != 0)
			return fail(port, rc, why, "no memory for the ring to its one tx queue; set a larger memory.mb");
		plan->buffers += SP_HANDOVER_RING;
	}
	read_mac(port);
	return 0;
}

/*
 * In wire mode a port takes frames that are for others, in either mode those for all groups. A device that cannot is warned of: the traffic
 * would silently stay away.
 */
static void open_filters(const struct sp_port *port)
{
	int rc = port->all_frames ? rte_eth_promiscuous_enable(port->ethdev) : 0;

	if (rc != 0 && rc != -ENOTSUP)
		fprintf(stderr,
			"sallyport: warning: port %s (%s): promiscuous mode is refused (%s): frames to other MAC addresses will not "
			"arrive; on "
			"a VF, `ip link set PF vf N trust on` on the host\n",
			port->name, port->device, strerror(-rc));
	rc = rte_eth_allmulticast_enable(port->ethdev);
	if (rc != 0 && rc != -ENOTSUP)
		fprintf(stderr, "sallyport: warning: port %s (%s): all-multicast mode is refused (%s): ND and VRRP may not pass\n",
			port->name, port->device, strerror(-rc));
}

static int setup_queues(struct sp_port *port, const struct sp_port_plan *plan, struct rte_mempool *pool, char *why)
{
	int socket = rte_eth_dev_socket_id(port->ethdev);
	unsigned int node = socket < 0 ? 0 : (unsigned int)socket;

	for (uint16_t q = 0; q < port->n_queues; q++) {
		int rc = rte_eth_rx_queue_setup(port->ethdev, q, plan->rx_descriptors, node, NULL, pool);

		if (rc != 0)
			return fail(port, rc, why, "rx queue %u of %u descriptors is refused: %s", q, plan->rx_descriptors, strerror(-rc));
	}
	for (uint16_t q = 0; q < port->n_tx_queues; q++) {
		int rc = rte_eth_tx_queue_setup(port->ethdev, q, plan->tx_descriptors, node, NULL);

		if (rc != 0)
			return fail(port, rc, why, "tx queue %u of %u descriptors is refused: %s", q, plan->tx_descriptors, strerror(-rc));
	}
	return 0;
}

static int start_device(struct sp_port *port, const struct sp_port_plan *plan, struct rte_mempool *pool, char *why)
{
	int rc = setup_queues(port, plan, pool, why);

	if (rc != 0)
		return rc;
	rc = rte_eth_dev_start(port->ethdev);
	return rc == 0 ? 0 : fail(port, rc, why, "the device does not start: %s", strerror(-rc));
}

int sp_port_start(struct sp_port *port, const struct sp_port_plan *plan, struct rte_mempool *pool, char *why)
{
	struct sp_eal_capture capture;
	char said[160];
	int rc;

	sp_eal_capture_begin(&capture);
	rc = start_device(port, plan, pool, why);
	sp_eal_capture_end(&capture, said, sizeof(said));
	if (rc != 0) {
		if (said[0] != '\0')
			snprintf(why + strlen(why), SP_WHY_MAX - strlen(why), " (%s)", said);
		return rc;
	}
	open_filters(port);
	sp_port_read_link(port);
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
		return fail(port, rc, why, "the device is not reset: %s", strerror(-rc));
	rc = configure(port, from, why);
	if (rc == 0)
		rc = set_mtu(port, from, why);
	if (rc == 0)
		rc = start_device(port, plan, pool, why);
	if (rc != 0)
		return rc;
	read_mac(port);
	open_filters(port);
	sp_port_read_link(port);
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
