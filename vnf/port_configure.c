/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/port_configure.h"

#include <errno.h>
#include <rte_ethdev.h>
#include <rte_jhash.h>
#include <stdarg.h>
#include <string.h>

/* Repeating 0x6d5a makes the Toeplitz hash the same for both directions of a flow (Woo and Park, 2012). */
#define KEY8 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a
const uint8_t sp_rss_key[SP_RSS_KEY_MAX] = {KEY8, KEY8, KEY8, KEY8, KEY8, KEY8, KEY8, KEY8};

#define RSS_WISHED (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP)

enum rss { RSS_OFF, RSS_PLAIN /* with the device's own key */, RSS_SYMMETRIC };

struct wish {
	uint16_t n_rx, n_tx;
	uint16_t mtu; /* 0: as the device has it */
	enum rss rss;
};

int sp_port_fail(const struct sp_port *port, int rc, char *why, const char *fmt, ...)
{
	char text[SP_WHY_MAX - 200];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	snprintf(why, SP_WHY_MAX, "port %s (%s): %s", port->name, port->device, text);
	return rc < 0 ? rc : -EIO;
}

static void warn(const struct sp_port *port, const char *text)
{
	fprintf(stderr, "sallyport: warning: port %s (%s): %s\n", port->name, port->device, text);
}

void sp_port_warn(const struct sp_port *port, const char *fmt, ...)
{
	char text[SP_WHY_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	warn(port, text);
}

void sp_port_warn_once(struct sp_port *port, const char *fmt, ...)
{
	char text[SP_WHY_MAX];
	uint32_t hash;
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	hash = rte_jhash(text, (uint32_t)strlen(text), 0) | 1; /* 0: none */
	for (unsigned int i = 0; i < SP_PORT_WARNINGS; i++)
		if (port->warnings[i] == hash)
			return;
	port->warnings[port->next_warning++ % SP_PORT_WARNINGS] = hash;
	warn(port, text);
}

/* --- one wish -------------------------------------------------------------------------------------------------------------------- */

static void fill_rss(struct rte_eth_conf *conf, const struct rte_eth_dev_info *info, const struct sp_quirks *quirks, enum rss rss)
{
	struct rte_eth_rss_conf *rss_conf = &conf->rx_adv_conf.rss_conf;

	if (rss == RSS_OFF)
		return;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	rss_conf->rss_hf = info->flow_type_rss_offloads & RSS_WISHED;
	if (rss == RSS_SYMMETRIC) {
		/* DPDK does not write to it. A driver that says it has no key must be told a length of 0, and reads 40 bytes. */
		rss_conf->rss_key = (uint8_t *)(uintptr_t)sp_rss_key;
		rss_conf->rss_key_len = quirks->key_unsized ? 0 : info->hash_key_size;
	}
}

/* Configuring notes an MTU, and few drivers do more about it. One that has no call for it takes what was noted when it starts. */
static int set_mtu(const struct sp_port *port, uint16_t mtu)
{
	int rc = mtu == 0 ? 0 : rte_eth_dev_set_mtu(port->ethdev, mtu);

	return rc == -ENOTSUP ? 0 : rc;
}

static int ask(const struct sp_port *port, const struct sp_config_port *from, const struct sp_port_plan *plan,
	const struct rte_eth_dev_info *info, const struct wish *wish)
{
	struct rte_eth_conf conf = {.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE, .txmode.mq_mode = RTE_ETH_MQ_TX_NONE};
	int rc;

	fill_rss(&conf, info, plan->quirks, wish->rss);
	if (from->checksum == SP_CHECKSUM_TRUST_NIC)
		conf.rxmode.offloads = info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_CHECKSUM;
	if (plan->filters_vlans)
		conf.rxmode.offloads |= info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_FILTER;
	if (wish->n_rx > 1)
		conf.rxmode.offloads |= info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH;
	conf.txmode.offloads = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (wish->mtu != 0)
		conf.rxmode.mtu = wish->mtu;
	/* A driver that interrupts for its link is not polled for it. */
	conf.intr_conf.lsc = (*info->dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
	conf.intr_conf.rmv = (*info->dev_flags & RTE_ETH_DEV_INTR_RMV) != 0;
	rc = rte_eth_dev_configure(port->ethdev, wish->n_rx, wish->n_tx, &conf);
	return rc == 0 ? set_mtu(port, wish->mtu) : rc;
}

/* --- what the device says it lacks ------------------------------------------------------------------------------------------------- */

static enum rss choose_rss(const struct rte_eth_dev_info *info, const struct sp_quirks *quirks, uint16_t n_queues)
{
	if (n_queues < 2 || (info->flow_type_rss_offloads & RSS_WISHED) == 0)
		return RSS_OFF;
	if (quirks->key_unsized || (info->hash_key_size > 0 && info->hash_key_size <= SP_RSS_KEY_MAX))
		return RSS_SYMMETRIC;
	return RSS_PLAIN;
}

static void choose_queues(struct sp_port *port, const struct sp_config_port *from, const struct sp_quirks *quirks,
	const struct rte_eth_dev_info *info, unsigned int n_workers)
{
	uint16_t wished = from->queues != 0 ? from->queues : (uint16_t)n_workers;
	uint16_t most = RTE_MAX(info->max_rx_queues, 1);

	/* Hardware without RSS leaves all queues but the first empty. Software, and hosts behind virtio, have their own ways to spread. */
	if (quirks->hash == SP_HASHES_NONE && quirks->bind != SP_BIND_NONE)
		most = 1;
	port->n_queues = RTE_MIN(wished, most);
	port->n_tx_queues = info->max_tx_queues >= n_workers ? n_workers : 1;
	if (from->queues > most)
		sp_port_warn_once(port,
			"%s has %u rx queues for this program, and not %u; other workers get their packets from those that poll",
			info->driver_name, most, from->queues);
}

static void warn_of_rss(struct sp_port *port, const struct rte_eth_dev_info *info, enum rss rss)
{
	static const struct {
		uint64_t type;
		const char *name;
	} types[] = {{RTE_ETH_RSS_NONFRAG_IPV4_TCP, "TCP over IPv4"}, {RTE_ETH_RSS_NONFRAG_IPV6_TCP, "TCP over IPv6"},
		{RTE_ETH_RSS_NONFRAG_IPV4_UDP, "UDP over IPv4"}, {RTE_ETH_RSS_NONFRAG_IPV6_UDP, "UDP over IPv6"}};
	char lacking[128] = "";

	if (rss == RSS_OFF)
		return;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if ((info->flow_type_rss_offloads & types[i].type) == 0)
			snprintf(lacking + strlen(lacking), sizeof(lacking) - strlen(lacking), "%s%s", lacking[0] != '\0' ? ", " : "",
				types[i].name);
	if (lacking[0] != '\0')
		sp_port_warn_once(
			port, "%s does not spread %s by ports: flows between two hosts share a queue", info->driver_name, lacking);
	if (rss == RSS_PLAIN)
		sp_port_warn_once(port,
			"%s takes no RSS key: the two directions of a flow may arrive in different queues, and are brought together by "
			"software",
			info->driver_name);
}

/* --- asking for less --------------------------------------------------------------------------------------------------------------- */

uint16_t sp_port_lower_mtu(uint16_t mtu)
{
	static const uint16_t rungs[] = {9000, 8000, 6000, 4000, 2000, 1600, RTE_ETHER_MTU};

	for (size_t i = 0; i < sizeof(rungs) / sizeof(rungs[0]); i++)
		if (rungs[i] < mtu)
			return rungs[i];
	return 0;
}

static void warn_of_mtu(struct sp_port *port, const struct sp_config_port *from, const struct sp_quirks *quirks, uint16_t mtu)
{
	sp_port_warn_once(port, "mtu %u is refused; %u is in force%s", from->mtu, mtu,
		quirks->vf ? "; a VF has no more than its PF: on the host, `ip link set PF mtu ...`, or set a smaller \"mtu\" here" : "");
}

/* Asks for less of one thing at a time, and the rest as wished. What was agreed on is in *wish; 0, or what was said to the last one. */
static int ask_for_less(const struct sp_port *port, const struct sp_config_port *from, const struct sp_port_plan *plan,
	const struct rte_eth_dev_info *info, struct wish *wish, bool fewer_queues)
{
	const struct wish wished = *wish;
	int rc = -EINVAL;

	while (rc != 0 && (wish->mtu = sp_port_lower_mtu(wish->mtu)) != 0)
		rc = ask(port, from, plan, info, wish);
	if (rc == 0)
		return 0;
	*wish = wished;
	while (rc != 0 && wish->rss != RSS_OFF) {
		wish->rss--;
		rc = ask(port, from, plan, info, wish);
	}
	if (rc == 0)
		return 0;
	*wish = wished;
	while (rc != 0 && fewer_queues && (wish->n_rx > 1 || wish->n_tx > 1)) {
		wish->n_rx = RTE_MAX(wish->n_rx / 2, 1);
		wish->n_tx = wish->n_rx < wish->n_tx ? 1 : wish->n_tx;
		wish->rss = wish->n_rx > 1 ? wish->rss : RSS_OFF;
		rc = ask(port, from, plan, info, wish);
	}
	return rc;
}

static void warn_of_less(struct sp_port *port, const struct sp_config_port *from, const struct sp_quirks *quirks, const struct wish *wished,
	const struct wish *got)
{
	if (got->mtu != wished->mtu)
		warn_of_mtu(port, from, quirks, got->mtu);
	if (got->n_rx != wished->n_rx || got->n_tx != wished->n_tx)
		sp_port_warn_once(
			port, "%u rx and %u tx queues are refused; %u and %u are in use", wished->n_rx, wished->n_tx, got->n_rx, got->n_tx);
	else if (got->rss != wished->rss)
		sp_port_warn_once(port, "%s is refused; flows are brought together by software",
			got->rss == RSS_OFF ? "spreading packets over queues (RSS)" : "the symmetric RSS key");
}

static int configure(
	struct sp_port *port, const struct sp_config_port *from, const struct sp_port_plan *plan, struct wish *wish, bool first, char *why)
{
	const struct wish wished = *wish;
	struct rte_eth_dev_info info;
	struct sp_eal_capture capture;
	char said[160] = "";
	int rc = rte_eth_dev_info_get(port->ethdev, &info), less = 0;

	if (rc != 0)
		return sp_port_fail(port, rc, why, "the device does not answer: %s", strerror(-rc));
	if (first)
		sp_eal_capture_begin(&capture);
	rc = ask(port, from, plan, &info, wish);
	if (rc != 0)
		less = ask_for_less(port, from, plan, &info, wish, first);
	if (first)
		sp_eal_capture_end(&capture, said, sizeof(said));
	if (rc != 0 && less != 0)
		return sp_port_fail(port, rc, why, "%s refuses %u rx and %u tx queues%s: %s%s%s; set a smaller \"queues\" or \"mtu\"",
			info.driver_name, wished.n_rx, wished.n_tx, from->mtu != 0 ? " with this mtu" : "", strerror(-rc),
			said[0] != '\0' ? ": " : "", said);
	if (rc != 0 && first)
		warn_of_less(port, from, plan->quirks, &wished, wish);
	port->n_queues = wish->n_rx;
	port->n_tx_queues = wish->n_tx;
	rte_eth_dev_get_mtu(port->ethdev, &port->mtu);
	return 0;
}

static uint16_t wished_mtu(
	struct sp_port *port, const struct sp_config_port *from, const struct rte_eth_dev_info *info, const struct sp_quirks *quirks)
{
	if (from->mtu <= RTE_ETHER_MTU || info->max_mtu == 0 || info->max_mtu >= from->mtu)
		return from->mtu;
	warn_of_mtu(port, from, quirks, info->max_mtu);
	return info->max_mtu;
}

int sp_port_configure(
	struct sp_port *port, const struct sp_config_port *from, const struct sp_port_plan *plan, unsigned int n_workers, char *why)
{
	struct rte_eth_dev_info info;
	struct wish wish;
	int rc = rte_eth_dev_info_get(port->ethdev, &info);

	if (rc != 0)
		return sp_port_fail(port, rc, why, "the device does not answer: %s", strerror(-rc));
	choose_queues(port, from, plan->quirks, &info, n_workers);
	wish = (struct wish){.n_rx = port->n_queues, .n_tx = port->n_tx_queues, .mtu = wished_mtu(port, from, &info, plan->quirks)};
	wish.rss = choose_rss(&info, plan->quirks, wish.n_rx);
	warn_of_rss(port, &info, wish.rss);
	rc = configure(port, from, plan, &wish, true, why);
	if (rc == 0)
		port->rss = wish.rss == RSS_OFF ? SP_RSS_NONE : SP_RSS_UNVERIFIED;
	return rc;
}

static int configure_with(struct sp_port *port, const struct sp_config_port *from, const struct sp_port_plan *plan, uint16_t mtu, char *why)
{
	struct rte_eth_dev_info info;
	struct wish wish = {.n_rx = port->n_queues, .n_tx = port->n_tx_queues, .mtu = mtu};
	int rc = rte_eth_dev_info_get(port->ethdev, &info);

	if (rc != 0)
		return sp_port_fail(port, rc, why, "the device does not answer: %s", strerror(-rc));
	if (mtu == from->mtu)
		wish.mtu = wished_mtu(port, from, &info, plan->quirks);
	wish.rss = choose_rss(&info, plan->quirks, wish.n_rx);
	return configure(port, from, plan, &wish, false, why);
}

int sp_port_configure_again(struct sp_port *port, const struct sp_config_port *from, const struct sp_port_plan *plan, char *why)
{
	return configure_with(port, from, plan, from->mtu, why);
}

int sp_port_configure_lower(struct sp_port *port, const struct sp_config_port *from, const struct sp_port_plan *plan, char *why)
{
	uint16_t mtu = sp_port_lower_mtu(port->mtu);

	return mtu == 0 ? -ERANGE : configure_with(port, from, plan, mtu, why);
}
