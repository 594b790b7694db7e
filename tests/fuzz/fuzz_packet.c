/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libFuzzer target of the whole packet path: frames into the two ports of a wire pair (net_ring), through sp_worker_turn under a rule set
 * that uses every kind of rule, and out again. After every turn the accounting equation must hold exactly; at the end, when the time of
 * fragments that wait is up, nothing may be held and no mbuf may be missing.
 *
 * Input: records of a control byte, a time byte, a little-endian length and a frame. Control: bit 0 port; bits 1 and 2 segmentation; bit 3
 * one VLAN tag stripped by hardware; bit 4 the NIC found the checksum bad; bit 5 a turn of the worker behind this frame. Time: seconds / 4
 * that pass before that turn. Bits 6 and 7 of the first control byte are the checksum policy of port 0; port 1 verifies.
 */
#include "tests/fuzz/worker_fuzz.h"

static const char rules[] = "version = 1;\n"
			    "inspect = { web = { mode = \"block\"; depth = 4096; patterns = (\n"
			    "  { id = 1; msg = \"attack\"; pattern = \"attack\"; action = \"drop\"; },\n"
			    "  { id = 2; msg = \"abc\"; pattern = \"ab+c\"; action = \"alert\"; } ); }; };\n"
			    "default = { action = \"drop\"; log = true; };\n"
			    "rules = (\n"
			    "  \"5 drop tcp tcp_flags syn/syn bpf 'tcp[14:2] = 0'\",\n"
			    "  \"10 allow tcp from inside to outside dport 443 inspect web log\",\n"
			    "  \"11 allow tcp from inside dport 80 mss 1200\",\n"
			    "  \"12 reject tcp dport 23,25\",\n"
			    "  \"13 allow udp dport 443,53 limit '100/s burst 200 per src'\",\n"
			    "  \"14 allow icmp icmp_type echo-request max_per_source 4\",\n"
			    "  \"15 allow icmpv6 from inside\",\n"
			    "  \"16 reject udp from outside\",\n"
			    "  \"17 allow sctp,gre max_sessions 8\",\n"
			    "  \"18 allow udp from inside stateless length 60-1500\",\n"
			    "  \"19 allow vlan 100\",\n"
			    "  \"20 drop ethertype lldp\",\n"
			    "  \"21 allow src 2001:db8::/32 dst 2001:db8::/32 monitor\",\n"
			    "  \"22 reject src 192.0.2.0/24\"\n"
			    ");\n";

static const char *fuzz_rules(void)
{
	return rules;
}

static void fuzz_prepare(void)
{
}

static void fuzz_begin(void)
{
}

static bool fuzz_give(uint8_t control, struct rte_mbuf *mbuf)
{
	(void)control;
	(void)mbuf;
	return false;
}

static void fuzz_turned(void)
{
}

static void fuzz_left(unsigned int port, const struct rte_mbuf *mbuf)
{
	(void)port;
	(void)mbuf;
}
