/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table. Paths in the last column are of DPDK's sources in releases 22.11 and 24.11, whose drivers are linked here.
 */
#include "vnf/quirks.h"

#include <string.h>

const char *const sp_bind_names[SP_BIND_COUNT] = {
	[SP_BIND_VFIO] = "vfio", [SP_BIND_KERNEL] = "kernel", [SP_BIND_VMBUS] = "hv_uio", [SP_BIND_NONE] = "-"};
const char *const sp_promiscuity_names[SP_PROMISC_COUNT] = {
	[SP_PROMISC_YES] = "yes", [SP_PROMISC_TRUST] = "trust", [SP_PROMISC_HOST] = "host", [SP_PROMISC_NO] = "no"};
const char *const sp_grouping_names[SP_GROUPS_COUNT] = {[SP_GROUPS_LIST] = "list", [SP_GROUPS_ALL] = "all"};
const char *const sp_tagging_names[SP_TAGS_COUNT] = {[SP_TAGS_FILTER] = "filter", [SP_TAGS_OPEN] = "open", [SP_TAGS_HOST] = "host"};
const char *const sp_resetting_names[SP_RESETS_COUNT] = {[SP_RESETS_EVENT] = "event", [SP_RESETS_LINK] = "link", [SP_RESETS_NONE] = "-"};
const char *const sp_hashing_names[SP_HASHES_COUNT] = {
	[SP_HASHES_OWN] = "own", [SP_HASHES_SHARED] = "shared", [SP_HASHES_FIXED] = "fixed", [SP_HASHES_NONE] = "none"};
const char *const sp_tested_names[SP_TESTED_COUNT] = {[SP_TESTED_NO] = "no", [SP_TESTED_EMULATED] = "emulated", [SP_TESTED_YES] = "yes"};

/* clang-format off */
#define VF(kernel_, devices_) .kernel = kernel_, .devices = devices_, .bind = SP_BIND_VFIO, .vf = true
#define PF(kernel_, devices_) .kernel = kernel_, .devices = devices_, .bind = SP_BIND_VFIO, .promiscuous = SP_PROMISC_YES, .tags = SP_TAGS_OPEN, \
	.resets = SP_RESETS_NONE
#define SOFTWARE(devices_, tested_) .kernel = "-", .devices = devices_, .bind = SP_BIND_NONE, .promiscuous = SP_PROMISC_YES, .groups = SP_GROUPS_ALL, \
	.tags = SP_TAGS_OPEN, .resets = SP_RESETS_NONE, .hash = SP_HASHES_NONE, .tested = tested_

static const struct sp_quirks rows[] = {
	{.driver = "net_e1000_igb_vf", VF("igbvf", "VFs of 82576, I350"), .promiscuous = SP_PROMISC_NO, .groups = SP_GROUPS_LIST, .groups_max = 30,
		.tags = SP_TAGS_FILTER, .resets = SP_RESETS_LINK, .hash = SP_HASHES_NONE, .tested = SP_TESTED_EMULATED,
		.note = "no unicast but its own even with trust; the MAC is random until the PF gives one; tags arrive stripped; 2 queues, no RSS",
		.source = "net/e1000/igb_ethdev.c, base/e1000_vf.c; QEMU 10 igb with Linux 6.12 igb"},
	{.driver = "net_ixgbe_vf", VF("ixgbevf", "VFs of 82599, X540, X550"), .promiscuous = SP_PROMISC_TRUST, .groups = SP_GROUPS_LIST,
		.groups_max = 30, .tags = SP_TAGS_FILTER, .resets = SP_RESETS_EVENT, .hash = SP_HASHES_SHARED,
		.note = "without trust the PF takes promiscuous and all-multicast for less, and does not say so; before X550 the RSS key is the PF's",
		.source = "net/ixgbe/ixgbe_ethdev.c; F-Stack/f-stack#517; mtcp-stack/mtcp#282"},
	{.driver = "net_iavf", VF("iavf", "VFs of X710, XL710, X722, E810"), .promiscuous = SP_PROMISC_TRUST, .groups = SP_GROUPS_LIST, .groups_max = 64,
		.tags = SP_TAGS_FILTER, .resets = SP_RESETS_EVENT, .hash = SP_HASHES_OWN, .mtu_at_start = true,
		.note = "a change of MAC, trust or VLAN by the PF resets it; on a VLAN of the PF's stripping cannot be changed; drives what net_i40e_vf did",
		.source = "net/iavf/iavf_ethdev.c; DPDK/grout#404, #464; DPDK/dpdk#64; FDio/vpp#3457; release notes 21.11"},
	{.driver = "mlx5_pci", .kernel = "mlx5_core", .devices = "ConnectX-4 and later, VFs too", .bind = SP_BIND_KERNEL, .vf = true,
		.promiscuous = SP_PROMISC_TRUST, .groups = SP_GROUPS_LIST, .groups_max = 128, .tags = SP_TAGS_OPEN, .resets = SP_RESETS_NONE,
		.hash = SP_HASHES_OWN,
		.note = "stays with mlx5_core, whose MTU is the PF's to raise; no event when the PF changes the MAC: it is polled",
		.source = "doc/guides/nics/mlx5.rst; net/mlx5/linux/mlx5_ethdev_os.c; DPDK/grout#464"},
	{.driver = "net_ena", VF("ena", "Amazon EC2"), .promiscuous = SP_PROMISC_NO, .groups = SP_GROUPS_ALL, .tags = SP_TAGS_HOST,
		.resets = SP_RESETS_EVENT, .hash = SP_HASHES_OWN,
		.note = "route mode only; older instances have a fixed RSS key; without write combining in vfio-pci slower",
		.source = "net/ena/ena_ethdev.c, ena_rss.c; amzn/amzn-drivers#172, #135"},
	{.driver = "net_virtio", VF("virtio-pci", "QEMU, KVM, cloud"), .promiscuous = SP_PROMISC_YES, .groups = SP_GROUPS_ALL,
		.tags = SP_TAGS_FILTER, .resets = SP_RESETS_NONE, .hash = SP_HASHES_OWN, .tested = SP_TESTED_EMULATED,
		.note = "takes no list of groups; RSS only with rss=on and several queues on the host; macvtap below needs trustGuestRxFilters",
		.source = "net/virtio/virtio_ethdev.c, virtio_ethdev.h"},
	{.driver = "net_vmxnet3", VF("vmxnet3", "VMware"), .promiscuous = SP_PROMISC_HOST, .groups = SP_GROUPS_ALL, .tags = SP_TAGS_OPEN,
		.resets = SP_RESETS_EVENT, .hash = SP_HASHES_OWN, .key_unsized = true,
		.note = "the port group must allow promiscuous mode, MAC changes and forged transmits for wire mode",
		.source = "net/vmxnet3/vmxnet3_ethdev.c, vmxnet3_rxtx.c; F-Stack/f-stack#1034"},
	{.driver = "net_netvsc", .kernel = "hv_netvsc", .devices = "Hyper-V, Azure", .bind = SP_BIND_VMBUS, .vf = true,
		.promiscuous = SP_PROMISC_HOST, .groups = SP_GROUPS_ALL, .tags = SP_TAGS_HOST, .resets = SP_RESETS_NONE, .hash = SP_HASHES_OWN,
		.note = "one MAC, no filters; MAC spoofing must be allowed for wire mode; tags arrive stripped; drives its accelerated VF itself",
		.source = "doc/guides/nics/netvsc.rst"},
	{.driver = "net_bnxt", VF("bnxt_en", "NetXtreme-C, NetXtreme-E, VFs too"), .promiscuous = SP_PROMISC_TRUST, .groups = SP_GROUPS_LIST,
		.groups_max = 16, .tags = SP_TAGS_OPEN, .resets = SP_RESETS_EVENT, .hash = SP_HASHES_OWN,
		.note = "recovers from firmware resets by itself, and says when it could not", .source = "net/bnxt/bnxt_ethdev.c, bnxt_cpr.c"},
	{.driver = "net_idpf", VF("idpf", "Intel IPU"), .promiscuous = SP_PROMISC_NO, .groups = SP_GROUPS_ALL, .tags = SP_TAGS_OPEN,
		.resets = SP_RESETS_NONE, .hash = SP_HASHES_OWN, .note = "the driver has neither filters nor promiscuous mode",
		.source = "net/idpf/idpf_ethdev.c"},
	{.driver = "net_e1000_igb", PF("igb", "82576, I350, I210"), .groups = SP_GROUPS_LIST, .groups_max = 128, .hash = SP_HASHES_OWN,
		.note = "", .source = "net/e1000/igb_ethdev.c"},
	{.driver = "net_e1000_em", PF("e1000e", "82574 and before, I219"), .groups = SP_GROUPS_LIST, .groups_max = 128, .hash = SP_HASHES_NONE,
		.note = "e1000 of hypervisors, too", .source = "net/e1000/em_ethdev.c"},
	{.driver = "net_igc", PF("igc", "I225, I226"), .groups = SP_GROUPS_LIST, .groups_max = 128, .hash = SP_HASHES_OWN, .note = "",
		.source = "net/igc/igc_ethdev.c"},
	{.driver = "net_ixgbe", PF("ixgbe", "82599, X540, X550"), .groups = SP_GROUPS_LIST, .groups_max = 128, .hash = SP_HASHES_OWN,
		.note = "UDP with checksum 0 is reported as bad: leave checksum = \"verify\"", .source = "doc/guides/nics/ixgbe.rst"},
	{.driver = "net_i40e", PF("i40e", "X710, XL710, X722"), .groups = SP_GROUPS_ALL, .hash = SP_HASHES_OWN, .note = "takes no list of groups",
		.source = "net/i40e/i40e_ethdev.c"},
	{.driver = "net_ice", PF("ice", "E810, E822"), .groups = SP_GROUPS_ALL, .hash = SP_HASHES_OWN,
		.note = "takes no list of groups; needs its package file (ice.pkg) for RSS", .source = "net/ice/ice_ethdev.c; doc/guides/nics/ice.rst"},
	{.driver = "net_af_packet", SOFTWARE("a network interface of Linux", SP_TESTED_YES), .note = "the interface stays Linux's; GRO, GSO, TSO and checksum offload off",
		.source = "net/af_packet"},
	{.driver = "net_af_xdp", SOFTWARE("the same, by AF_XDP", SP_TESTED_YES), .note = "", .source = "net/af_xdp"},
	{.driver = "net_tap", SOFTWARE("a TAP of its own", SP_TESTED_YES), .note = "several queues are chosen by Linux, and not by the flow's hash",
		.source = "net/tap/rte_eth_tap.c"},
	{.driver = "net_virtio_user", SOFTWARE("vhost of another process", SP_TESTED_NO), .note = "", .source = "net/virtio"},
	{.driver = "net_memif", SOFTWARE("memif of another process", SP_TESTED_YES), .note = "", .source = "net/memif"},
	{.driver = "net_pcap", SOFTWARE("captures", SP_TESTED_YES), .note = "", .source = "net/pcap"},
	{.driver = "net_ring", SOFTWARE("rings", SP_TESTED_YES), .note = "", .source = "net/ring"},
	{.driver = "net_null", SOFTWARE("nothing", SP_TESTED_YES), .note = "", .source = "net/null"},
};
/* clang-format on */

/* Asks for little, and leaves filters alone that could keep frames away. */
static const struct sp_quirks other = {.driver = "other",
	.kernel = "-",
	.devices = "what this table does not have",
	.bind = SP_BIND_VFIO,
	.promiscuous = SP_PROMISC_YES,
	.groups = SP_GROUPS_LIST,
	.tags = SP_TAGS_OPEN,
	.resets = SP_RESETS_EVENT,
	.hash = SP_HASHES_OWN,
	.tested = SP_TESTED_NO,
	.note = "",
	.source = ""};

#define WIDTH 78

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

const struct sp_quirks *sp_quirks_row(unsigned int i)
{
	return i < N_ROWS ? &rows[i] : NULL;
}

const struct sp_quirks *sp_quirks_find(const char *driver)
{
	for (size_t i = 0; driver != NULL && i < N_ROWS; i++)
		if (strcmp(rows[i].driver, driver) == 0)
			return &rows[i];
	return &other;
}

const struct sp_quirks *sp_quirks_of_kernel(const char *kernel)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (strcmp(rows[i].kernel, kernel) == 0 && kernel[0] != '-')
			return &rows[i];
	return NULL;
}

/* Words in lines of WIDTH, each behind an indent. */
static void print_words(FILE *out, const char *indent, const char *text)
{
	size_t used = 0;

	while (*text != '\0') {
		size_t n = strcspn(text, " ");

		if (used != 0 && used + 1 + n > WIDTH) {
			fputc('\n', out);
			used = 0;
		}
		used += (size_t)fprintf(out, "%s%.*s", used == 0 ? indent : " ", (int)n, text);
		text += n;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

void sp_quirks_print(FILE *out)
{
	static const char row[] = "%-16s %-10s %-6s %-7s %-6s %-6s %-5s %-6s %s\n";
	char text[512];

	fprintf(out, row, "DRIVER", "KERNEL", "BIND", "PROMISC", "GROUPS", "VLAN", "RESET", "RSS", "TESTED");
	for (size_t i = 0; i < N_ROWS; i++)
		fprintf(out, row, rows[i].driver, rows[i].kernel, sp_bind_names[rows[i].bind], sp_promiscuity_names[rows[i].promiscuous],
			sp_grouping_names[rows[i].groups], sp_tagging_names[rows[i].tags], sp_resetting_names[rows[i].resets],
			sp_hashing_names[rows[i].hash], sp_tested_names[rows[i].tested]);
	for (size_t i = 0; i < N_ROWS; i++) {
		fprintf(out, "\n%s\n", rows[i].driver);
		snprintf(text, sizeof(text), "%s%s%s. [%s]", rows[i].devices, rows[i].note[0] != '\0' ? "; " : "", rows[i].note,
			rows[i].source);
		print_words(out, "    ", text);
	}
}
