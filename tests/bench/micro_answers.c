/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers to sessions: which address and port a translation chose is known only when the session is open, so no capture that was made
 * before can hold them.
 */
#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/routing.h"
#include "tests/bench/micro.h"
#include "vnf/launch.h"
#include "vnf/port.h"

#define PAYLOAD 18 /* bytes: a frame of 64 with its FCS, as in the captures */

struct frame {
	struct rte_ether_hdr ether;
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
	uint8_t payload[PAYLOAD];
};
static_assert(sizeof(struct frame) == 60, "a smallest frame");

/* The third device of net_pcap in a process has this MAC. */
static const struct rte_ether_addr port_mac = {{0x02, 'p', 'c', 'a', 'p', 2}};
static const struct rte_ether_addr server_mac = {{0x02, 0, 0, 0, 0, 0x02}};

static void build(const struct sp_key *key, struct frame *frame)
{
	memset(frame, 0, sizeof(*frame));
	frame->ether.dst_addr = port_mac;
	frame->ether.src_addr = server_mac;
	frame->ether.ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	frame->ip.version_ihl = 0x45;
	frame->ip.total_length = rte_cpu_to_be_16(sizeof(*frame) - sizeof(frame->ether));
	frame->ip.time_to_live = 64;
	frame->ip.next_proto_id = IPPROTO_UDP;
	frame->ip.src_addr = key->v4.src;
	frame->ip.dst_addr = key->v4.dst;
	frame->udp.src_port = key->sport;
	frame->udp.dst_port = key->dport;
	frame->udp.dgram_len = rte_cpu_to_be_16(sizeof(frame->udp) + PAYLOAD);
	frame->ip.hdr_checksum = rte_ipv4_cksum(&frame->ip);
	frame->udp.dgram_cksum = rte_ipv4_udptcp_cksum(&frame->ip, &frame->udp);
}

static void write_capture(const char *path, const struct sp_key *keys, size_t n)
{
	const uint32_t head[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 1};
	const uint32_t record[4] = {0, 0, sizeof(struct frame), sizeof(struct frame)};
	FILE *file = fopen(path, "w");
	bool good;

	if (file == NULL)
		micro_die("%s: cannot be written", path);
	good = fwrite(head, sizeof(head), 1, file) == 1;
	for (size_t i = 0; i < n && good; i++) {
		struct frame frame;

		if (keys[i].family != SP_FAMILY_IPV4 || keys[i].proto != IPPROTO_UDP)
			micro_die("answers are made to UDP over IPv4 only");
		build(&keys[i], &frame);
		good = fwrite(record, sizeof(record), 1, file) == 1 && fwrite(&frame, sizeof(frame), 1, file) == 1;
	}
	if (fclose(file) != 0 || !good)
		micro_die("%s: cannot be written", path);
}

/* The device of the second port gives way to one with this capture. */
static void swap_device(struct sp_launch *launch, const struct sp_config *config, const char *capture)
{
	struct sp_port *port = &launch->dataplane->ports[1];
	struct sp_config_port *from = malloc(sizeof(*from));
	char text[256], why[SP_WHY_MAX];

	if (from == NULL)
		micro_die("no memory");
	*from = config->ports[1];
	snprintf(text, sizeof(text), "net_pcap2,rx_pcap=%s,infinite_rx=1", capture);
	sp_port_close(port);
	if (sp_device_parse(text, &from->device, why, sizeof(why)) != 0)
		micro_die("%s", why);
	sp_port_describe(port, config, from);
	if (sp_port_open(port, config, from, 1, &launch->plans[1], why) != 0 ||
		sp_port_start(port, from, &launch->plans[1], launch->pool, why) != 0)
		micro_die("%s", why);
	free(from);
	if (memcmp(port->mac, &port_mac, sizeof(port_mac)) != 0)
		micro_die("the second port has another MAC than its capture is for");
}

void micro_answers(struct sp_launch *launch, const struct sp_config *config, const char *config_path, const struct sp_key *keys, size_t n)
{
	char path[200];

	if (n == 0 || keys == NULL || launch->dataplane->n_ports != 2)
		micro_die("answers: two ports, and sessions of the first one");
	if ((size_t)snprintf(path, sizeof(path), "%s.answers.pcap", config_path) >= sizeof(path))
		micro_die("%s: too long a name", config_path);
	write_capture(path, keys, n);
	swap_device(launch, config, path);
	if (launch->dataplane->routing != NULL)
		memcpy(launch->dataplane->routing->links[1].mac, &port_mac, sizeof(port_mac));
}
