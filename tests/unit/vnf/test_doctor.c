/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The doctor on machines that are made of files: a guest and a host in good health, and for each finding the least that brings it about.
 */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "doctor_tree.h"

#include <jansson.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "vnf/doctor.h"
#include "vnf/doctor_read.h"

static char root[64];

#define DEVICE "/sys/bus/pci/devices/"
#define FLAGS  "flags\t\t: fpu ssse3 sse4_2 aes avx2 avx512bw constant_tsc nonstop_tsc pdpe1gb"

/* A guest: KVM, vIOMMU, 4 CPUs, a virtio NIC, two VFs that vfio-pci has, and a firewall that runs on them. */
static const char *const guest[] = {"/proc/cpuinfo=processor\t: 0\nmodel name\t: Test CPU\n" FLAGS " hypervisor\n",
	"/usr/sbin/update-grub=", "/proc/cmdline=root=/dev/vda1 intel_iommu=on iommu=pt isolcpus=managed_irq,domain,1-3 nohz_full=1-3",
	"/proc/sys/kernel/osrelease=6.12.48+deb13-amd64", "/proc/interrupts= 24:  1 0  IR-PCI-MSI-0000:00:03.0 0-edge virtio0\n",
	"/proc/meminfo=MemTotal:        4000000 kB\nMemAvailable:    3000000 kB\nSwapTotal:             0 kB\n",
	"/proc/stat=cpu  100 0 100 9800 0 0 0 0 0 0\n", "/proc/irq/24/virtio0", "/proc/irq/24/effective_affinity_list=0",
	"/proc/irq/25/vfio-msix[0](0000:00:05.0)", "/proc/irq/25/effective_affinity_list=2",
	"/proc/net/route=Iface\tDestination\tGateway\neth0\t00000000\t0100000A\n", "/proc/700/comm=sallyport", "/proc/700/fd/9>/dev/vfio/7",
	"/proc/700/fd/10>/dev/vfio/8", "/sys/class/dmi/id/sys_vendor=QEMU", "/sys/class/dmi/id/product_name=Standard PC (Q35 + ICH9, 2009)",
	"/sys/class/iommu/dmar0>../../devices/virtual/iommu/dmar0", "/sys/firmware/acpi/tables/DMAR=DMAR", "/sys/module/vfio_pci",
	"/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts=N", "/sys/devices/system/cpu/online=0-3",
	"/sys/devices/system/cpu/isolated=1-3", "/sys/devices/system/cpu/nohz_full=1-3", "/sys/devices/system/node/node0/cpulist=0-3",
	"/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages=1000",
	"/sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages=400",
	"/sys/kernel/mm/transparent_hugepage/enabled=always [madvise] never",
	/* management */
	DEVICE "0000:00:03.0/class=0x020000", DEVICE "0000:00:03.0/vendor=0x1af4", DEVICE "0000:00:03.0/device=0x1041",
	DEVICE "0000:00:03.0/numa_node=-1", DEVICE "0000:00:03.0/driver>../../../bus/pci/drivers/virtio-pci",
	DEVICE "0000:00:03.0/virtio0/net/eth0/address=52:54:00:00:00:03", DEVICE "0000:00:03.0/virtio0/net/eth0/flags=0x1003",
	DEVICE "0000:00:03.0/virtio0/net/eth0/carrier=1", DEVICE "0000:00:03.0/virtio0/net/eth0/addr_assign_type=0",
	/* VFs */
	DEVICE "0000:00:05.0/class=0x020000", DEVICE "0000:00:05.0/vendor=0x8086", DEVICE "0000:00:05.0/device=0x154c",
	DEVICE "0000:00:05.0/numa_node=0", DEVICE "0000:00:05.0/driver>../../../bus/pci/drivers/vfio-pci",
	DEVICE "0000:00:05.0/driver_override=vfio-pci", DEVICE "0000:00:05.0/iommu_group>../../../kernel/iommu_groups/7",
	"/sys/kernel/iommu_groups/7/devices/0000:00:05.0=", DEVICE "0000:00:06.0/class=0x020000", DEVICE "0000:00:06.0/vendor=0x8086",
	DEVICE "0000:00:06.0/device=0x154c", DEVICE "0000:00:06.0/numa_node=0",
	DEVICE "0000:00:06.0/driver>../../../bus/pci/drivers/vfio-pci", DEVICE "0000:00:06.0/driver_override=(null)",
	DEVICE "0000:00:06.0/iommu_group>../../../kernel/iommu_groups/8",
	"/sys/kernel/iommu_groups/8/devices/0000:00:06.0=", DEVICE "0000:00:1f.2/class=0x010601", /* a disk: no concern */
	"/etc/sallyport/sallyport.conf=mode = \"route\";\nports = (\n  { name = \"wan\"; device = \"0000:00:05.0\"; zone = \"outside\"; "
	"},\n"
	"  { name = \"lan\"; device = \"0000:00:06.0\"; zone = \"inside\"; }\n);\n",
	"/etc/sallyport/rules.d/main.rules=version = 1;\ndefault = { action = \"drop\"; };\nrules = ( \"10 allow from inside to outside\" "
	");",
	"/run/cloud-init/status.json={\"v1\": {\"stage\": null}}",
	"/run/cloud-init/result.json={\"v1\": {\"datasource\": \"DataSourceNoCloud [seed=/dev/sr0]\", \"errors\": []}}", NULL};

/* A host: bare metal, AMD, a PF with three VFs, one of them for Linux itself, and the netlink answer that goes with them. */
static const char *const host[] = {"/proc/cpuinfo=processor\t: 0\nmodel name\t: AMD Test CPU\n" FLAGS "\n", "/proc/cmdline=root=/dev/sda1",
	"/proc/sys/kernel/osrelease=6.12.48+deb13-amd64", "/proc/interrupts= 24:  1 0  IR-PCI-MSI-0000:00:03.0 0-edge ahci\n",
	"/proc/meminfo=MemTotal:       64000000 kB\nMemAvailable:   60000000 kB\nSwapTotal:       1000000 kB\n",
	"/proc/net/ipv6_route=00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 "
	"00000400 "
	"00000001 00000000 00000003 eno1\n",
	"/proc/900/comm=qemu-system-x86", "/proc/900/fd/30>/dev/vfio/21", "/sys/class/iommu/ivhd0>../../devices/virtual/iommu/ivhd0",
	"/sys/firmware/acpi/tables/IVRS=IVRS", "/sys/module/vfio_pci", "/sys/module/vfio_iommu_type1", "/sys/devices/system/cpu/online=0-7",
	"/sys/devices/system/node/node0/cpulist=0-3", "/sys/devices/system/node/node1/cpulist=4-7", DEVICE "0000:00:04.0/class=0x020000",
	DEVICE "0000:00:04.0/vendor=0x14e4", DEVICE "0000:00:04.0/device=0x165f", DEVICE "0000:00:04.0/driver>../../../bus/pci/drivers/tg3",
	DEVICE "0000:00:04.0/net/eno1/address=02:00:00:00:00:04", DEVICE "0000:00:04.0/net/eno1/flags=0x1003",
	DEVICE "0000:00:04.0/net/eno1/carrier=1", DEVICE "0000:41:00.0/class=0x020000", DEVICE "0000:41:00.0/vendor=0x8086",
	DEVICE "0000:41:00.0/device=0x1572", DEVICE "0000:41:00.0/numa_node=1", DEVICE "0000:41:00.0/driver>../../../bus/pci/drivers/i40e",
	DEVICE "0000:41:00.0/sriov_totalvfs=64", DEVICE "0000:41:00.0/sriov_numvfs=3", DEVICE "0000:41:00.0/virtfn0>../0000:41:02.0",
	DEVICE "0000:41:00.0/virtfn1>../0000:41:02.1", DEVICE "0000:41:00.0/virtfn2>../0000:41:02.2",
	DEVICE "0000:41:00.0/net/ens1f0/address=02:00:00:00:00:41", DEVICE "0000:41:00.0/net/ens1f0/flags=0x1003",
	DEVICE "0000:41:00.0/net/ens1f0/carrier=1", DEVICE "0000:41:00.0/iommu_group>../../../kernel/iommu_groups/20",
	"/sys/kernel/iommu_groups/20/devices/0000:41:00.0=",
#define HOST_VF(n, group, driver_name)                                                                                                 \
	DEVICE "0000:41:02." #n "/class=0x020000", DEVICE "0000:41:02." #n "/vendor=0x8086", DEVICE "0000:41:02." #n "/device=0x154c", \
		DEVICE "0000:41:02." #n "/numa_node=1", DEVICE "0000:41:02." #n "/physfn>../0000:41:00.0",                             \
		DEVICE "0000:41:02." #n "/driver>../../../bus/pci/drivers/" driver_name,                                               \
		DEVICE "0000:41:02." #n "/iommu_group>../../../kernel/iommu_groups/" #group,                                           \
		"/sys/kernel/iommu_groups/" #group "/devices/0000:41:02." #n "="
	HOST_VF(0, 21, "vfio-pci"), HOST_VF(1, 22, "vfio-pci"), HOST_VF(2, 23, "vfio-pci"), NULL};

/* --- netlink ------------------------------------------------------------------------------------------------------------------------- */

struct vf_row {
	uint8_t mac_end; /* 0: all zeros */
	uint32_t trust, spoofchk, vlan, link, rate;
};

/* The message about a PF's interface, as the kernel has it. */
static size_t make_link(char *buffer, const char *name, const struct vf_row *vfs, unsigned int n)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nlattr *list, *info;

	message->nlmsg_type = RTM_NEWLINK;
	mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(message, IFLA_IFNAME, name);
	mnl_attr_put_u32(message, IFLA_NUM_VF, n);
	list = mnl_attr_nest_start(message, IFLA_VFINFO_LIST);
	for (uint32_t v = 0; v < n; v++) {
		struct ifla_vf_mac mac = {.vf = v, .mac = {0}};
		struct ifla_vf_vlan vlan = {.vf = v, .vlan = vfs[v].vlan};
		struct ifla_vf_spoofchk spoofchk = {.vf = v, .setting = vfs[v].spoofchk};
		struct ifla_vf_trust trust = {.vf = v, .setting = vfs[v].trust};
		struct ifla_vf_link_state link = {.vf = v, .link_state = vfs[v].link};
		struct ifla_vf_rate rate = {.vf = v, .max_tx_rate = vfs[v].rate};

		if (vfs[v].mac_end != 0)
			memcpy(mac.mac, (uint8_t[]){2, 0, 0, 0, 1, vfs[v].mac_end}, 6);
		info = mnl_attr_nest_start(message, IFLA_VF_INFO);
		mnl_attr_put(message, IFLA_VF_MAC, sizeof(mac), &mac);
		mnl_attr_put(message, IFLA_VF_VLAN, sizeof(vlan), &vlan);
		mnl_attr_put(message, IFLA_VF_SPOOFCHK, sizeof(spoofchk), &spoofchk);
		mnl_attr_put(message, IFLA_VF_TRUST, sizeof(trust), &trust);
		mnl_attr_put(message, IFLA_VF_LINK_STATE, sizeof(link), &link);
		mnl_attr_put(message, IFLA_VF_RATE, sizeof(rate), &rate);
		mnl_attr_nest_end(message, info);
	}
	mnl_attr_nest_end(message, list);
	return message->nlmsg_len;
}

static const struct vf_row well[3] = {{.mac_end = 1, .trust = 1}, {.mac_end = 2, .trust = 1}, {.mac_end = 3, .trust = 1}};

static void write_links(const struct vf_row *vfs)
{
	static char buffer[16384];
	size_t n = make_link(buffer, "ens1f0", vfs, 3);
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/netlink", root);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(buffer, 1, n, file), n);
	assert_int_equal(fclose(file), 0);
}

/* --- machines --------------------------------------------------------------------------------------------------------------------------
 */

static void make(const char *const *machine, const char *const *changes)
{
	snprintf(root, sizeof(root), "/tmp/sp-doctor-XXXXXX");
	assert_non_null(mkdtemp(root));
	tree_lines(root, machine);
	if (machine == guest) {
		char path[128];
		FILE *file;

		snprintf(path, sizeof(path), "%s/proc/700/cmdline", root);
		file = fopen(path, "w");
		assert_non_null(file);
		fwrite("sallyport\0run\0--fail-closed", 1, 28, file);
		assert_int_equal(fclose(file), 0);
	} else {
		write_links(well);
	}
	if (changes != NULL)
		tree_lines(root, changes);
}

static struct sp_facts *examine(void)
{
	struct sp_facts *facts = sp_facts_gather(root, NULL);

	assert_non_null(facts);
	return facts;
}

static const struct sp_finding *find(const struct sp_findings *findings, const char *id, enum sp_level level)
{
	for (unsigned int i = 0; i < findings->n; i++)
		if (strcmp(findings->v[i].id, id) == 0 && findings->v[i].level == level)
			return &findings->v[i];
	return NULL;
}

static void show(const struct sp_findings *findings)
{
	for (unsigned int i = 0; i < findings->n; i++)
		print_message("  %s %s: %s: %s\n    %s\n", findings->v[i].id, sp_level_names[findings->v[i].level], findings->v[i].about,
			findings->v[i].text, findings->v[i].fix);
}

static void check_health(const char *const *machine, const char *const *wanted)
{
	struct sp_facts *facts;
	struct sp_findings *findings;

	make(machine, NULL);
	facts = examine();
	findings = sp_doctor_check(facts);
	assert_non_null(findings);
	if (findings->count[SP_LEVEL_ERROR] + findings->count[SP_LEVEL_WARNING] + findings->count[SP_LEVEL_NOTE] > 0) {
		show(findings);
		fail_msg("a machine in good health has findings");
	}
	for (; *wanted != NULL; wanted++)
		if (find(findings, *wanted, SP_LEVEL_OK) == NULL)
			fail_msg("nothing is said of %s", *wanted);
	free(findings);
	sp_facts_free(facts);
	tree_remove(root);
}

static void test_healthy_guest(void **state)
{
	static const char *const wanted[] = {"config", "device", "running", "vfs", "iommu", "remapping", "module", "groups", "huge-pages",
		"cpu-flags", "workers", "isolation", "seed", NULL};

	(void)state;
	check_health(guest, wanted);
}

static void test_healthy_host(void **state)
{
	static const char *const wanted[] = {"pf", "iommu", "remapping", "module", "groups", "cpu-flags", NULL};

	(void)state;
	check_health(host, wanted);
}

/* --- findings --------------------------------------------------------------------------------------------------------------------------
 */

#define CONF(text) "/etc/sallyport/sallyport.conf=" text
#define PORTS(a, b)                                                                                              \
	"ports = ( { name = \"wan\"; device = \"" a "\"; zone = \"outside\"; }, { name = \"lan\"; device = \"" b \
	"\"; zone = \"inside\"; } );"
#define STOPPED           "-/proc/700"
#define NO_IOMMU          "-/sys/class/iommu", "-/sys/firmware", "-" DEVICE "0000:00:05.0/iommu_group", "-" DEVICE "0000:00:06.0/iommu_group"
#define DRIVER(pci, name) "-" DEVICE pci "/driver", DEVICE pci "/driver>../../../bus/pci/drivers/" name
#define UIO_BOTH \
	DRIVER("0000:00:05.0", "uio_pci_generic"), DRIVER("0000:00:06.0", "uio_pci_generic"), "-" DEVICE "0000:00:05.0/driver_override"

#define IN_GROUP_8(pci, name)                                                                                     \
	"/sys/kernel/iommu_groups/8/devices/" pci "=", DEVICE pci "/class=0x020000", DEVICE pci "/vendor=0x8086", \
		DEVICE pci "/device=0x10d3", DEVICE pci "/driver>../../../bus/pci/drivers/" name,                 \
		DEVICE pci "/net/eth7/address=02:00:00:00:00:77"

struct ill {
	const char *name;
	const char *const *machine;
	const char *changes[12];
	struct vf_row vfs[3]; /* of a host; all zeros: well */
	const char *id;
	enum sp_level level;
	const char *about, *text, *fix; /* parts of them; "" of fix: there is none */
};

static const struct ill ills[] = {
	/* configuration */
	{"no configuration", guest, {"-/etc/sallyport/sallyport.conf"}, {{0}}, "no-config", SP_LEVEL_ERROR, "files", "no ports",
		"sallyport doctor --conf >"},
	{"bad configuration", guest, {CONF("mode = \"rout\";\n" PORTS("0000:00:05.0", "0000:00:06.0"))}, {{0}}, "config", SP_LEVEL_ERROR,
		"sallyport.conf:1", "rout", "sallyport check /"},
	{"no rules", guest, {"-/etc/sallyport/rules.d/main.rules"}, {{0}}, "no-rules", SP_LEVEL_ERROR, "rules", "main.rules",
		"rules = ( );\\n' >/tmp/"},
	{"no rules, with examples that a shell leaves alone", guest, {"-/etc/sallyport/rules.d/main.rules"}, {{0}}, "no-rules",
		SP_LEVEL_ERROR, "rules", "main.rules", "systemctl restart sallyport # examples: /usr/share/doc"},
	{"bad rules", guest, {"/etc/sallyport/rules.d/main.rules=version = 1;\ndefault = { action = \"drop\"; };\nrules = ( \"1 alow\" );"},
		{{0}}, "rules", SP_LEVEL_ERROR, "main.rules:3", "alow", "systemctl restart sallyport"},
	{"stopped", guest, {STOPPED}, {{0}}, "not-running", SP_LEVEL_WARNING, "firewall", "does not run", "systemctl restart sallyport"},
	{"interface down", guest, {"/sys/class/net/lan/flags=0x1002", "/sys/class/net/wan/flags=0x1003"}, {{0}}, "interface-down",
		SP_LEVEL_WARNING, "lan", "carries nothing", "ip link set lan up"},
	{"device missing", guest, {CONF("mode = \"route\"; " PORTS("0000:00:05.0", "0000:00:07.0"))}, {{0}}, "no-device", SP_LEVEL_ERROR,
		"lan", "0000:00:07.0", "device = \"0000:00:06.0\";"},
	{"MAC missing", guest,
		{CONF("mode = \"route\"; " PORTS("0000:00:05.0", "02:00:00:00:00:77")), DRIVER("0000:00:06.0", "iavf"),
			DEVICE "0000:00:06.0/net/eth1/address=02:00:00:00:00:66"},
		{{0}}, "no-device", SP_LEVEL_ERROR, "lan", "02:00:00:00:00:77", "0000:00:06.0"},
	{"MAC hidden", guest, {CONF("mode = \"route\"; " PORTS("0000:00:05.0", "02:00:00:00:00:77"))}, {{0}}, "mac-hidden", SP_LEVEL_NOTE,
		"lan", "only to the firewall", ""},
	{"more MACs missing than can be hidden", guest,
		{CONF("mode = \"route\"; " PORTS("02:00:00:00:00:66", "02:00:00:00:00:77")), DRIVER("0000:00:06.0", "iavf")}, {{0}},
		"no-device", SP_LEVEL_ERROR, "lan", "02:00:00:00:00:77", "device = \"0000:00:0"},
	{"not bound", guest, {DRIVER("0000:00:06.0", "iavf"), "-" DEVICE "0000:00:06.0/driver_override"}, {{0}}, "not-bound",
		SP_LEVEL_ERROR, "lan", "held by the kernel's iavf",
		"modprobe vfio-pci && echo vfio-pci >/sys/bus/pci/devices/0000:00:06.0/driver_override"},
	{"not bound by MAC", guest,
		{CONF("mode = \"route\"; " PORTS("0000:00:05.0", "02:00:00:00:00:66")), DRIVER("0000:00:06.0", "iavf"),
			DEVICE "0000:00:06.0/net/eth1/address=02:00:00:00:00:66"},
		{{0}}, "not-bound", SP_LEVEL_ERROR, "lan", "0000:00:06.0 is held", "/sys/bus/pci/devices/0000:00:06.0/driver/unbind"},
	{"no driver", guest, {"-" DEVICE "0000:00:06.0/driver"}, {{0}}, "not-bound", SP_LEVEL_ERROR, "lan", "without a driver",
		"modprobe vfio-pci"},
	{"mlx5 taken from its driver", guest, {DEVICE "0000:00:06.0/vendor=0x15b3", DEVICE "0000:00:06.0/device=0x101e"}, {{0}},
		"not-bound", SP_LEVEL_ERROR, "lan", "bound to mlx5_core", "modprobe mlx5_core"},
	{"held by another", guest, {"/proc/800/comm=dpdk-testpmd", "/proc/800/fd/7>/dev/vfio/8", "-/proc/700/fd/10"}, {{0}}, "held",
		SP_LEVEL_ERROR, "lan", "dpdk-testpmd (800)", "kill 800"},
	{"held through a cdev", guest,
		{"/proc/800/comm=qemu", "/proc/800/fd/7>/dev/vfio/devices/vfio3", "-/proc/700", DEVICE "0000:00:06.0/vfio-dev/vfio3"},
		{{0}}, "held", SP_LEVEL_ERROR, "lan", "qemu (800)", "kill 800"},
	{"vfio without an IOMMU", guest, {NO_IOMMU}, {{0}}, "vfio-without-iommu", SP_LEVEL_ERROR, "wan", "without an IOMMU",
		"modprobe uio_pci_generic"},
	{"wire on a VF that is deaf", guest,
		{CONF("mode = \"wire\"; ports = ( { name = \"a\"; device = \"0000:00:05.0\"; peer = \"b\"; }, "
		      "{ name = \"b\"; device = \"0000:00:06.0\"; peer = \"a\"; } );"),
			DEVICE "0000:00:05.0/device=0x10ca"},
		{{0}}, "wire-deaf", SP_LEVEL_WARNING, "a", "igbvf", "mode = \"route\""},
	/* devices of a guest */
	{"no VF", guest, {"-" DEVICE "0000:00:05.0", "-" DEVICE "0000:00:06.0"}, {{0}}, "no-vf", SP_LEVEL_ERROR, "VFs", "no VF",
		"sallyport-vf create PF 2"},
	{"one VF", guest,
		{"-" DEVICE "0000:00:06.0", CONF("mode = \"route\"; ports = ( { name = \"wan\"; device = \"0000:00:05.0\"; } );")}, {{0}},
		"one-vf", SP_LEVEL_WARNING, "VFs", "one device only", "sallyport-vf show PF --libvirt"},
	{"no management", guest, {"-" DEVICE "0000:00:03.0"}, {{0}}, "no-management", SP_LEVEL_NOTE, "management", "SSH",
		"<model type='virtio'/>"},
	{"wire in a guest", guest,
		{CONF("mode = \"wire\"; ports = ( { name = \"a\"; device = \"0000:00:05.0\"; peer = \"b\"; }, "
		      "{ name = \"b\"; device = \"0000:00:06.0\"; peer = \"a\"; } );")},
		{{0}}, "wire-needs-trust", SP_LEVEL_NOTE, "wire mode", "trusts", "trust on spoofchk off"},
	{"random MAC", guest,
		{DRIVER("0000:00:06.0", "iavf"), DEVICE "0000:00:06.0/net/eth1/address=fe:00:00:00:00:66",
			DEVICE "0000:00:06.0/net/eth1/addr_assign_type=1"},
		{{0}}, "random-mac", SP_LEVEL_WARNING, "eth1", "another random one", "mac fe:00:00:00:00:66"},
	{"override without effect", guest, {DRIVER("0000:00:05.0", "iavf")}, {{0}}, "override", SP_LEVEL_WARNING, "0000:00:05.0",
		"to be bound to vfio-pci, but iavf", "drivers/iavf/unbind"},
	/* a host */
	{"no SR-IOV", host, {"-" DEVICE "0000:41:00.0", "-" DEVICE "0000:41:02.0", "-" DEVICE "0000:41:02.1", "-" DEVICE "0000:41:02.2"},
		{{0}}, "no-sriov", SP_LEVEL_WARNING, "SR-IOV", "no network device", "lspci"},
	{"no VFs yet", host, {DEVICE "0000:41:00.0/sriov_numvfs=0"}, {{0}}, "pf-no-vfs", SP_LEVEL_NOTE, "ens1f0", "of 64 possible",
		"sallyport-vf create ens1f0 2"},
	{"no VFs, default route", host,
		{DEVICE "0000:41:00.0/sriov_numvfs=0", "/proc/net/route=Iface\tDestination\nens1f0\t00000000\t0100000A"}, {{0}},
		"pf-no-vfs", SP_LEVEL_NOTE, "ens1f0", "default route", "sallyport-vf create ens1f0 2"},
	{"PF without a driver", host, {"-" DEVICE "0000:41:00.0/driver"}, {{0}}, "pf-no-driver", SP_LEVEL_WARNING, "ens1f0", "no driver",
		"0000:41:00.0/modalias"},
	{"PF down", host, {DEVICE "0000:41:00.0/net/ens1f0/flags=0x1002"}, {{0}}, "pf-down", SP_LEVEL_WARNING, "ens1f0", "down",
		"ip link set ens1f0 up"},
	{"no cable", host, {DEVICE "0000:41:00.0/net/ens1f0/carrier=0"}, {{0}}, "pf-no-carrier", SP_LEVEL_WARNING, "ens1f0", "carrier",
		"ethtool"},
	{"no MAC", host, {NULL}, {{.trust = 1}, {.mac_end = 2, .trust = 1}, {.trust = 1}}, "vf-no-mac", SP_LEVEL_WARNING, "ens1f0",
		"VF 0,2 ", "for v in 0 2; do ip link set ens1f0 vf $v mac 02:00:00:00:41:$(printf %02x $v); done"},
	{"same MAC", host, {NULL}, {{.mac_end = 1, .trust = 1}, {.mac_end = 2, .trust = 1}, {.mac_end = 1, .trust = 1}}, "vf-same-mac",
		SP_LEVEL_ERROR, "ens1f0", "VF 0,2 ", "mac 02:00:00:00:41:"},
	{"untrusted", host, {NULL}, {{.mac_end = 1, .trust = 1}, {.mac_end = 2}, {.mac_end = 3, .trust = 1}}, "vf-untrusted", SP_LEVEL_NOTE,
		"ens1f0", "VF 1 ", "ip link set ens1f0 vf 1 trust on"},
	{"spoof check", host, {NULL},
		{{.mac_end = 1, .trust = 1, .spoofchk = 1}, {.mac_end = 2, .trust = 1, .spoofchk = 1},
			{.mac_end = 3, .trust = 1, .spoofchk = 1}},
		"vf-spoofchk", SP_LEVEL_NOTE, "ens1f0", "VF 0-2 ", "for v in $(seq 0 2); do ip link set ens1f0 vf $v spoofchk off; done"},
	{"trust is not known", host, {NULL}, {{.mac_end = 1, .trust = UINT32_MAX}, {.mac_end = 2, .trust = UINT32_MAX}, {.mac_end = 3}},
		"vf-untrusted", SP_LEVEL_NOTE, "ens1f0", "VF 2 ", "vf 2 trust on"},
	{"VLAN", host, {NULL}, {{.mac_end = 1, .trust = 1, .vlan = 20}, {.mac_end = 2, .trust = 1}, {.mac_end = 3, .trust = 1}}, "vf-vlan",
		SP_LEVEL_NOTE, "ens1f0", "VF 0 ", ""},
	{"rate", host, {NULL}, {{.mac_end = 1, .trust = 1, .rate = 100}, {.mac_end = 2, .trust = 1}, {.mac_end = 3, .trust = 1}}, "vf-rate",
		SP_LEVEL_NOTE, "ens1f0", "VF 0 ", ""},
	{"link off", host, {NULL},
		{{.mac_end = 1, .trust = 1, .link = IFLA_VF_LINK_STATE_DISABLE}, {.mac_end = 2, .trust = 1}, {.mac_end = 3, .trust = 1}},
		"vf-link-off", SP_LEVEL_WARNING, "ens1f0", "VF 0 ", "ip link set ens1f0 vf 0 state auto"},
	{"wire on a spoof-checked VF", host,
		{CONF("mode = \"wire\"; ports = ( { name = \"a\"; device = \"0000:41:02.0\"; peer = \"b\"; }, "
		      "{ name = \"b\"; device = \"0000:41:02.1\"; peer = \"a\"; } );")},
		{{.mac_end = 1, .trust = 1}, {.mac_end = 2, .trust = 1, .spoofchk = 1}, {.mac_end = 3}}, "vf-spoofchk", SP_LEVEL_ERROR,
		"ens1f0", "VF 1 ", "spoofchk off"},
	{"VF in Linux", host, {DRIVER("0000:41:02.1", "iavf")}, {{0}}, "vf-in-kernel", SP_LEVEL_NOTE, "ens1f0", "VF 1 ",
		"for v in 1; do sallyport-vf bind ens1f0/$v; done"},
	/* IOMMU and VFIO */
	{"IOMMU not switched on", guest, {"-/sys/class/iommu", "/proc/cmdline=quiet"}, {{0}}, "iommu-off", SP_LEVEL_ERROR, "IOMMU", "DMAR",
		"$GRUB_CMDLINE_LINUX intel_iommu=on iommu=pt"},
	{"AMD not switched on", host, {"-/sys/class/iommu"}, {{0}}, "iommu-off", SP_LEVEL_ERROR, "IOMMU", "IVRS",
		"amd_iommu=force_enable iommu=pt"},
	{"AMD taken for faulty", host, {"-/sys/class/iommu"}, {{0}}, "iommu-off", SP_LEVEL_ERROR, "IOMMU", "newer firmware may mend it",
		"amd_iommu=force_enable iommu=pt"},
	{"IOMMU not switched on in the appliance", guest,
		{"-/sys/class/iommu", "/proc/cmdline=quiet", "-/usr/sbin/update-grub", "/boot/grub/grub.cfg="}, {{0}}, "iommu-off",
		SP_LEVEL_ERROR, "IOMMU", "DMAR", "linux /s/$/ intel_iommu=on iommu=pt/' /boot/grub/grub.cfg"},
	{"IOMMU not switched on, without GRUB", guest, {"-/sys/class/iommu", "/proc/cmdline=quiet", "-/usr/sbin/update-grub"}, {{0}},
		"iommu-off", SP_LEVEL_ERROR, "IOMMU", "DMAR", "command line and boot anew: intel_iommu=on"},
	{"IOMMU switched off", guest, {"-/sys/class/iommu", "/proc/cmdline=quiet intel_iommu=off"}, {{0}}, "iommu-off", SP_LEVEL_ERROR,
		"IOMMU", "by intel_iommu=off", "take intel_iommu=off out"},
	{"no IOMMU in a guest", guest, {NO_IOMMU}, {{0}}, "no-iommu", SP_LEVEL_WARNING, "IOMMU", "uio_pci_generic",
		"<iommu model='intel'>"},
	{"no IOMMU on a host", host, {"-/sys/class/iommu", "-/sys/firmware"}, {{0}}, "no-iommu", SP_LEVEL_ERROR, "IOMMU", "firmware",
		"AMD-Vi"},
	{"no interrupt remapping", guest, {"/proc/interrupts= 24:  1 0  PCI-MSI-0000:00:03.0 0-edge virtio0"}, {{0}}, "no-remapping",
		SP_LEVEL_ERROR, "interrupts", "VFIO opens no device", "intremap='on'"},
	{"unsafe interrupts", guest,
		{"/proc/interrupts= 24:  1 0  PCI-MSI-0000:00:03.0 0-edge virtio0",
			"/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts=Y"},
		{{0}}, "no-remapping", SP_LEVEL_WARNING, "interrupts", "allow_unsafe_interrupts", "intremap='on'"},
	{"unsafe for nothing", guest, {"/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts=Y"}, {{0}}, "remapping",
		SP_LEVEL_NOTE, "interrupts", "need not", "echo N >"},
	{"VFIO not loaded", guest,
		{"-/sys/module/vfio_pci",
			"/lib/modules/6.12.48+deb13-amd64/modules.dep=kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/x.ko"},
		{{0}}, "module", SP_LEVEL_ERROR, "vfio-pci", "not loaded", "modprobe vfio-pci"},
	{"VFIO missing", guest, {"-/sys/module/vfio_pci"}, {{0}}, "module", SP_LEVEL_ERROR, "vfio-pci", "6.12.48+deb13-amd64",
		"apt install linux-image-amd64"},
	{"no-IOMMU mode", guest, {NO_IOMMU, "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode=Y"}, {{0}}, "noiommu", SP_LEVEL_WARNING,
		"VFIO", "all memory", "<iommu model='intel'>"},
	{"lockdown", guest, {NO_IOMMU, UIO_BOTH, "/sys/kernel/security/lockdown=none [integrity] confidentiality"}, {{0}}, "lockdown",
		SP_LEVEL_ERROR, "0000:00:05.0", "integrity", "Secure Boot"},
	{"group shared with Linux", guest, {"/sys/kernel/iommu_groups/8/devices/0000:00:1f.2=", DRIVER("0000:00:1f.2", "ahci")}, {{0}},
		"group-shared", SP_LEVEL_ERROR, "0000:00:06.0", "0000:00:1f.2, which the kernel uses", "pcie-root-port"},
	{"group shared with an idle NIC", guest, {IN_GROUP_8("0000:00:07.0", "e1000e")}, {{0}}, "group-shared", SP_LEVEL_ERROR,
		"0000:00:06.0", "0000:00:07.0, which the kernel uses",
		"or here:\nmodprobe vfio-pci && echo vfio-pci >/sys/bus/pci/devices/0000:00:07.0/driver_override && "
		"echo 0000:00:07.0 >/sys/bus/pci/devices/0000:00:07.0/driver/unbind && echo 0000:00:07.0 >/sys/bus/pci/drivers_probe"},
	{"group shared on a host", host, {"/sys/kernel/iommu_groups/21/devices/0000:41:02.1="}, {{0}}, "group-shared", SP_LEVEL_NOTE,
		"0000:41:02.0", "one VM or process only", ""},
	/* memory */
	{"no huge pages", guest, {STOPPED, "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages=10"}, {{0}},
		"huge-pages", SP_LEVEL_WARNING, "huge pages", "20 MB are free of 2000",
		">/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages && echo 'w /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages "
		"- "},
	{"huge pages that others hold", guest,
		{STOPPED, "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages=250",
			"/sys/devices/system/node/node0/hugepages/hugepages-1048576kB/nr_hugepages=3",
			"/sys/devices/system/node/node0/hugepages/hugepages-1048576kB/free_hugepages=0",
			CONF("mode = \"route\"; memory = { mb = 800; }; " PORTS("0000:00:05.0", "0000:00:06.0"))},
		{{0}}, "huge-pages", SP_LEVEL_WARNING, "huge pages", "500 MB are free of 5072", "echo 1214 >/sys/kernel/mm/hugepages"},
	{"huge pages demanded", guest,
		{STOPPED, "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages=10",
			CONF("mode = \"route\"; memory = { huge = true; }; " PORTS("0000:00:05.0", "0000:00:06.0"))},
		{{0}}, "huge-pages", SP_LEVEL_ERROR, "huge pages", "memory.huge is true", "/etc/tmpfiles.d/"},
	{"uio without huge pages", guest,
		{STOPPED, NO_IOMMU, UIO_BOTH, "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages=10"}, {{0}},
		"huge-pages", SP_LEVEL_ERROR, "huge pages", "without an IOMMU needs them", "/etc/tmpfiles.d/"},
	{"too small", guest, {"/proc/meminfo=MemTotal:     524288 kB"}, {{0}}, "memory", SP_LEVEL_ERROR, "memory", "512 MB in all",
		"give the VM 1024 MB; or, in /"},
	{"too small for routes", guest, {"/proc/meminfo=MemTotal:     524288 kB"}, {{0}}, "memory", SP_LEVEL_ERROR, "memory",
		"512 MB in all", "sessions = { max = 32768; }; route = { max4 = 16384;"},
	{"left-over maps", guest, {STOPPED, "/dev/hugepages/rtemap_0=", "/dev/hugepages/rtemap_1="}, {{0}}, "left-maps", SP_LEVEL_NOTE,
		"huge pages", "2 files", " = 0 ] && rm /dev/hugepages/rtemap_*"},
	{"transparent huge pages", guest, {"/sys/kernel/mm/transparent_hugepage/enabled=[always] madvise never"}, {{0}}, "thp",
		SP_LEVEL_NOTE, "transparent", "moves memory", "echo madvise"},
	{"swap", guest, {"/proc/meminfo=MemTotal: 4000000 kB\nSwapTotal: 1048576 kB"}, {{0}}, "swap", SP_LEVEL_NOTE, "swap", "1024 MB",
		"swapoff"},
	{"pages on the wrong node", guest,
		{"/sys/devices/system/node/node0/cpulist=0", "/sys/devices/system/node/node1/cpulist=1-3",
			"/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages=0"},
		{{0}}, "huge-node", SP_LEVEL_WARNING, "node 1", "worker 0", "node1/hugepages/hugepages-2048kB/nr_hugepages"},
	{"pages of 1 GB", guest,
		{"/proc/meminfo=MemTotal: 64000000 kB",
			CONF("mode = \"route\"; memory = { mb = 8192; }; " PORTS("0000:00:05.0", "0000:00:06.0"))},
		{{0}}, "huge-1g", SP_LEVEL_NOTE, "huge pages", "1 GB", "hugepagesz=1G hugepages=8"},
	/* CPUs */
	{"no SSSE3", guest, {"/proc/cpuinfo=processor\t: 0\nflags\t\t: fpu sse4_2 constant_tsc nonstop_tsc hypervisor\n"}, {{0}},
		"cpu-flags", SP_LEVEL_ERROR, "instructions", "SSSE3: Hyperscan", "host-passthrough"},
	{"no AVX2", guest, {"/proc/cpuinfo=processor\t: 0\nflags\t\t: fpu ssse3 sse4_2 constant_tsc nonstop_tsc hypervisor\n"}, {{0}},
		"cpu-flags", SP_LEVEL_WARNING, "instructions", "AVX2", "host-passthrough"},
	{"no steady clock", guest, {"/proc/cpuinfo=processor\t: 0\nflags\t\t: ssse3 sse4_2 avx2 constant_tsc hypervisor\n"}, {{0}}, "tsc",
		SP_LEVEL_NOTE, "clock", "time stamp counter", "invtsc"},
	{"a worker's CPU is missing", guest, {CONF("mode = \"route\"; workers = [ 9 ]; " PORTS("0000:00:05.0", "0000:00:06.0"))}, {{0}},
		"worker-cpu", SP_LEVEL_ERROR, "workers", "CPU 9", "remove `workers`"},
	{"one CPU", guest, {"/sys/devices/system/cpu/online=0"}, {{0}}, "one-cpu", SP_LEVEL_WARNING, "workers", "one CPU only",
		"<vcpu>2</vcpu>"},
	{"not isolated", guest, {"/sys/devices/system/cpu/isolated="}, {{0}}, "isolation", SP_LEVEL_WARNING, "isolation", "CPU 1-3",
		"isolcpus=managed_irq,domain,1-3 nohz_full=1-3 rcu_nocbs=1-3 irqaffinity=0"},
	{"not isolated, CPU 0 among them", guest,
		{"/sys/devices/system/cpu/isolated=", CONF("mode = \"route\"; workers = [ 0, 1 ]; " PORTS("0000:00:05.0", "0000:00:06.0"))},
		{{0}}, "isolation", SP_LEVEL_WARNING, "isolation", "CPU 0-1", "leave CPU 0 out of `workers`"},
	{"not isolated, CPU 0 off", guest,
		{"/sys/devices/system/cpu/isolated=", "/sys/devices/system/cpu/online=1-3",
			CONF("mode = \"route\"; workers = [ 1, 3 ]; " PORTS("0000:00:05.0", "0000:00:06.0"))},
		{{0}}, "isolation", SP_LEVEL_WARNING, "isolation", "CPU 1,3", "irqaffinity=2"},
	{"ticking", guest, {"/sys/devices/system/cpu/nohz_full=(null)"}, {{0}}, "isolation", SP_LEVEL_NOTE, "isolation", "ticks",
		"nohz_full=1-3"},
	{"interrupted", guest, {"/proc/irq/24/effective_affinity_list=2"}, {{0}}, "irqs", SP_LEVEL_NOTE, "interrupts", "1 go to CPU 2",
		"do echo 0 >$f"},
	{"interrupted, CPU 0 off", guest,
		{"/proc/irq/24/effective_affinity_list=2", "/sys/devices/system/cpu/online=1-3",
			CONF("mode = \"route\"; workers = [ 2, 3 ]; " PORTS("0000:00:05.0", "0000:00:06.0"))},
		{{0}}, "irqs", SP_LEVEL_NOTE, "interrupts", "1 go to CPU 2", "do echo 1 >$f"},
	{"interrupted on CPU 0", guest, {CONF("mode = \"route\"; workers = [ 0, 1 ]; " PORTS("0000:00:05.0", "0000:00:06.0"))}, {{0}},
		"irqs", SP_LEVEL_NOTE, "interrupts", "1 go to CPU 0", "leave CPU 0 out of `workers`"},
	{"slow governor", guest, {"/sys/devices/system/cpu/cpu2/cpufreq/scaling_governor=powersave"}, {{0}}, "governor", SP_LEVEL_WARNING,
		"governor", "\"powersave\" on CPU 2", "echo performance"},
	{"far device", guest,
		{"/sys/devices/system/node/node0/cpulist=0", "/sys/devices/system/node/node1/cpulist=1-3",
			DEVICE "0000:00:06.0/numa_node=0"},
		{{0}}, "numa", SP_LEVEL_WARNING, "wan", "NUMA node 0", "of CPU 0"},
	{"stolen time", guest, {"/proc/stat=cpu  100 0 100 9500 0 0 0 300 0 0"}, {{0}}, "steal", SP_LEVEL_WARNING, "steal", "3.0 %",
		"vcpupin"},
	/* first boot */
	{"seed with errors", guest,
		{"/run/cloud-init/result.json={\"v1\": {\"datasource\": \"DataSourceNoCloud\", \"errors\": [\"(runcmd) failed\"]}}"}, {{0}},
		"seed", SP_LEVEL_ERROR, "cloud-init", "1 error: (runcmd) failed", "cloud-init schema --system"},
	{"broken seed", guest,
		{"/run/cloud-init/status.json={\"v1\": {\"init\": {\"recoverable_errors\": {\"WARNING\": [\"Failed loading yaml blob\", "
		 "\"b\"]}}}}"},
		{{0}}, "seed", SP_LEVEL_WARNING, "cloud-init", "2 complaints: Failed loading yaml blob", "cloud-init schema --system"},
	{"no seed", guest, {"/run/cloud-init/result.json={\"v1\": {\"datasource\": \"DataSourceNone\", \"errors\": []}}"}, {{0}}, "no-seed",
		SP_LEVEL_NOTE, "cloud-init", "no seed", "cidata"},
	{"cloud-init had nothing to do", guest, {"-/run/cloud-init", "/run/cloud-init/disabled="}, {{0}}, "no-seed", SP_LEVEL_NOTE,
		"cloud-init", "no seed", "cidata"},
	{"cloud-init ran without a seed before, too", guest,
		{"-/run/cloud-init", "/run/cloud-init/disabled=", "/var/lib/cloud/instance>/var/lib/cloud/instances/iid-datasource-none"},
		{{0}}, "no-seed", SP_LEVEL_NOTE, "cloud-init", "no seed", "cidata"},
	{"seed of an earlier boot", guest,
		{"-/run/cloud-init", "/run/cloud-init/disabled=", "/var/lib/cloud/instance>/var/lib/cloud/instances/sallyport-1"}, {{0}},
		"seed", SP_LEVEL_OK, "cloud-init", "earlier boot", ""},
	{"seed at work", guest, {"-/run/cloud-init/result.json"}, {{0}}, "seed", SP_LEVEL_NOTE, "cloud-init", "at work", ""},
	{"what the boot said", guest, {"/run/sallyport-boot/notes=first\nno kernel module \033[31m"}, {{0}}, "boot", SP_LEVEL_NOTE, "boot",
		"first", ""},
};

static void check_ill(const struct ill *ill)
{
	static const struct vf_row none[3];
	const struct sp_finding *finding;
	struct sp_findings *findings;
	struct sp_facts *facts;

	make(ill->machine, ill->changes);
	if (memcmp(ill->vfs, none, sizeof(none)) != 0)
		write_links(ill->vfs);
	facts = examine();
	findings = sp_doctor_check(facts);
	assert_non_null(findings);
	finding = find(findings, ill->id, ill->level);
	if (finding == NULL || strcmp(finding->about, ill->about) != 0 || strstr(finding->text, ill->text) == NULL ||
		(ill->fix[0] == '\0' ? finding->fix[0] != '\0' : strstr(finding->fix, ill->fix) == NULL)) {
		show(findings);
		fail_msg("%s: no %s \"%s\" about %s with \"%s\" and \"%s\"", ill->name, sp_level_names[ill->level], ill->id, ill->about,
			ill->text, ill->fix);
	}
	free(findings);
	sp_facts_free(facts);
	tree_remove(root);
}

static void test_ills(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ills) / sizeof(ills[0]); i++)
		check_ill(&ills[i]);
}

/* What must not be said: a finding, or a word in its remedy. */
struct silence {
	const char *name;
	const char *const *machine;
	const char *changes[12];
	const char *id, *word; /* NULL: the finding itself */
};

#define ROUTE_BY(name) "/proc/net/route=Iface\tDestination\n" name "\t00000000\t0100000A"

static const struct silence silences[] = {
	{"a VF that the host lives on", host,
		{DRIVER("0000:41:02.1", "iavf"), DEVICE "0000:41:02.1/net/eth1/address=02:00:00:00:01:02", ROUTE_BY("eth1")},
		"vf-in-kernel", NULL},
	{"a VF in a bridge", host,
		{DRIVER("0000:41:02.1", "iavf"), DEVICE "0000:41:02.1/net/eth1/address=02:00:00:00:01:02",
			DEVICE "0000:41:02.1/net/eth1/master>../../../br0"},
		"vf-in-kernel", NULL},
	{"twice yes for the host's own PF", host, {DEVICE "0000:41:00.0/sriov_numvfs=0", ROUTE_BY("ens1f0")}, "pf-no-vfs", "--yes"},
	{"routes of a wire", guest,
		{"/proc/meminfo=MemTotal:     262144 kB",
			CONF("mode = \"wire\"; ports = ( { name = \"a\"; device = \"0000:00:05.0\"; peer = \"b\"; }, "
			     "{ name = \"b\"; device = \"0000:00:06.0\"; peer = \"a\"; } );")},
		"memory", "route ="},
	{"a disk for user space", guest, {"/sys/kernel/iommu_groups/8/devices/0000:00:1f.2=", DRIVER("0000:00:1f.2", "ahci")},
		"group-shared", "driver_override"},
	{"a NIC that Linux uses for user space", guest, {IN_GROUP_8("0000:00:07.0", "e1000e"), ROUTE_BY("eth7")}, "group-shared",
		"driver_override"},
	{"no way in, beside Hyper-V's own interface", guest,
		{"-" DEVICE "0000:00:03.0", "/sys/class/net/eth0/device/subsystem>../../../../bus/vmbus"}, "no-management", NULL},
	{"no seed, after it was detached", guest,
		{"-/run/cloud-init", "/run/cloud-init/disabled=", "/var/lib/cloud/instance>/var/lib/cloud/instances/sallyport-1"},
		"no-seed", NULL},
};

static void check_silence(const struct silence *silence)
{
	struct sp_findings *findings;
	struct sp_facts *facts;
	unsigned int n = 0;

	make(silence->machine, silence->changes);
	facts = examine();
	findings = sp_doctor_check(facts);
	assert_non_null(findings);
	for (unsigned int i = 0; i < findings->n; i++) {
		if (strcmp(findings->v[i].id, silence->id) != 0)
			continue;
		n++;
		if (silence->word == NULL || strstr(findings->v[i].fix, silence->word) != NULL) {
			show(findings);
			fail_msg("%s: \"%s\"", silence->name, findings->v[i].fix);
		}
	}
	if (silence->word != NULL && n == 0)
		fail_msg("%s: nothing at all is said", silence->name);
	free(findings);
	sp_facts_free(facts);
	tree_remove(root);
}

static void test_silences(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(silences) / sizeof(silences[0]); i++)
		check_silence(&silences[i]);
}

/* An error or a warning without a word on what to do is half a finding. */
static void test_all_can_be_mended(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ills) / sizeof(ills[0]); i++)
		if (ills[i].level >= SP_LEVEL_WARNING && ills[i].fix[0] == '\0')
			fail_msg("%s has no remedy", ills[i].name);
}

/* --- facts -----------------------------------------------------------------------------------------------------------------------------
 */

static void test_host_facts(void **state)
{
	struct sp_facts *facts;
	const struct sp_nic *vf;

	(void)state;
	make(host, NULL);
	write_links((struct vf_row[]){{.mac_end = 1, .vlan = 20, .spoofchk = 1}, {.mac_end = 2, .trust = 1, .rate = 500}, {0}});
	facts = examine();
	assert_true(facts->host);
	assert_int_equal(facts->n_nics, 5);
	vf = sp_facts_nic(facts, "0000:41:02.0");
	assert_non_null(vf);
	assert_int_equal(vf->kind, SP_NIC_VF);
	assert_string_equal(vf->pf, "0000:41:00.0");
	assert_int_equal(vf->vf, 0);
	assert_int_equal(vf->numa, 1);
	assert_int_equal(vf->group, 21);
	assert_int_equal(vf->state.vlan, 20);
	assert_true(vf->state.spoofchk && !vf->state.trust);
	assert_int_equal(vf->holder_pid, 900);
	assert_string_equal(vf->holder, "qemu-system-x86");
	vf = sp_facts_nic_of_mac(facts, (uint8_t[]){2, 0, 0, 0, 1, 2});
	assert_non_null(vf);
	assert_string_equal(vf->pci, "0000:41:02.1");
	assert_int_equal(vf->state.rate, 500);
	assert_true(sp_facts_nic(facts, "0000:00:04.0")->default_route);
	assert_int_equal(sp_facts_nic(facts, "0000:41:00.0")->kind, SP_NIC_PF);
	sp_facts_free(facts);
	tree_remove(root);
}

/* Every way in which a message can be cut or lie: nothing is read beyond it (ASan watches), and nothing hangs. */
static void test_hostile_netlink(void **state)
{
	static char sound[16384];
	size_t n = make_link(sound, "ens1f0", well, 3);
	struct sp_facts *facts;

	(void)state;
	make(host, NULL);
	facts = examine();
	for (size_t cut = 0; cut <= n; cut++) {
		char *copy = malloc(cut > 0 ? cut : 1);

		memcpy(copy, sound, cut);
		sp_facts_take_links(facts, copy, cut);
		free(copy);
	}
	for (size_t at = 0; at < n; at++) {
		char *copy = malloc(n);

		memcpy(copy, sound, n);
		copy[at] = (char)0xff;
		sp_facts_take_links(facts, copy, n);
		copy[at] = 0;
		sp_facts_take_links(facts, copy, n);
		free(copy);
	}
	sp_facts_free(facts);
	tree_remove(root);
}

/* Names and texts far too long, numbers that are none, control characters. */
static void test_hostile_files(void **state)
{
	static char huge[1 << 16], line[(1 << 16) + 200];
	static const char *const files[] = {"/proc/cmdline", "/proc/cpuinfo", "/proc/stat", "/proc/meminfo", "/proc/interrupts",
		"/proc/net/route", "/proc/net/ipv6_route", "/proc/sys/kernel/osrelease", "/proc/700/comm", "/sys/devices/system/cpu/online",
		"/sys/devices/system/cpu/isolated", "/sys/devices/system/cpu/nohz_full", "/sys/devices/system/node/node0/cpulist",
		"/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/security/lockdown", "/run/cloud-init/status.json",
		"/run/cloud-init/result.json", "/run/sallyport-boot/notes", DEVICE "0000:00:05.0/class", DEVICE "0000:00:05.0/vendor",
		DEVICE "0000:00:05.0/numa_node", DEVICE "0000:00:05.0/driver_override", DEVICE "0000:00:05.0/sriov_totalvfs",
		DEVICE "0000:00:05.0/sriov_numvfs", DEVICE "0000:00:03.0/virtio0/net/eth0/address", "/netlink",
		"/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages"};
	static const char *const fills[] = {"9", "a", "\033[2J", "0-", "0-4294967295,", "\x80\xff", "[", "{\"v1\":", "-1 ", "0x"};

	(void)state;
	make(guest, NULL);
	for (size_t f = 0; f < sizeof(files) / sizeof(files[0]); f++) {
		for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]); i++) {
			struct sp_findings *findings;
			struct sp_facts *facts;
			FILE *out = fopen("/dev/null", "w");

			huge[0] = '\0';
			for (size_t used = 0; used + 32 < sizeof(huge); used += strlen(fills[i]))
				memcpy(huge + used, fills[i], strlen(fills[i]) + 1);
			snprintf(line, sizeof(line), "%s=%s", files[f], huge);
			tree_line(root, line);
			facts = examine();
			findings = sp_doctor_check(facts);
			assert_non_null(findings);
			assert_int_equal(sp_doctor_print_json(facts, findings, out), 0);
			sp_doctor_print(facts, findings, &(struct sp_doctor_style){.colour = true, .width = 80}, out);
			fclose(out);
			free(findings);
			sp_facts_free(facts);
		}
	}
	tree_remove(root);
}

static bool is_in(const void *context, unsigned int i)
{
	return ((const char *)context)[i] == 'x';
}

static void test_ranges(void **state)
{
	static const char *const rows[][2] = {{"", ""}, {"x", "0"}, {"xxx", "0-2"}, {"x.x", "0,2"}, {".xx.x", "1-2,4"}};
	char out[12];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sp_doctor_ranges(out, sizeof(out), (unsigned int)strlen(rows[i][0]), is_in, rows[i][0]);
		assert_string_equal(out, rows[i][1]);
	}
	sp_doctor_ranges(out, sizeof(out), 20, is_in, "x.x.x.x.x.x.x.x.x.x.");
	assert_true(strlen(out) < sizeof(out));
	assert_non_null(strstr(out, ",..."));
}

/* --- output ----------------------------------------------------------------------------------------------------------------------------
 */

static char *print(const struct sp_facts *facts, const struct sp_findings *findings, int how, unsigned int width)
{
	const struct sp_doctor_style style = {.width = width};
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	if (how == 'j')
		assert_int_equal(sp_doctor_print_json(facts, findings, out), 0);
	else if (how == 'b')
		sp_doctor_print_brief(findings, &style, out);
	else
		sp_doctor_print(facts, findings, &style, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void test_output(void **state)
{
	static const char *const changes[] = {"-/sys/class/iommu", "/proc/cmdline=quiet", "/sys/devices/system/cpu/isolated=", NULL};
	struct sp_findings *findings;
	struct sp_facts *facts;
	char *text;
	json_t *json;

	(void)state;
	make(guest, changes);
	facts = examine();
	findings = sp_doctor_check(facts);
	assert_non_null(findings);
	text = print(facts, findings, 't', 0);
	assert_non_null(strstr(text, "guest on KVM (Standard PC (Q35 + ICH9, 2009)), 4 CPUs, 3906 MB"));
	assert_non_null(strstr(text, "0000:00:05.0 VF     vfio-pci"));
	assert_non_null(strstr(text, "52:54:00:00:00:03"));
	if (strstr(text, "1 error, 1 warning") == NULL)
		fail_msg("%s", text + strlen(text) / 2);
	assert_null(strchr(text, '\033'));
	free(text);
	text = print(facts, findings, 't', 60);
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
		if (strncmp(line, "  error ", 8) == 0 || strncmp(line, "  ok ", 5) == 0)
			assert_true(strlen(line) <= 60);
	free(text);
	text = print(facts, findings, 'b', 0);
	assert_memory_equal(text, "error: IOMMU: ", 14);
	assert_non_null(strstr(text, "\nwarning: isolation: "));
	assert_null(strstr(text, "\nok"));
	free(text);
	text = print(facts, findings, 'j', 0);
	json = json_loads(text, 0, NULL);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "place")), "guest");
	assert_int_equal(json_array_size(json_object_get(json, "findings")), findings->n);
	assert_int_equal(json_array_size(json_object_get(json, "devices")), 3);
	json_decref(json);
	free(text);
	free(findings);
	sp_facts_free(facts);
	tree_remove(root);
}

/* --- a first configuration ------------------------------------------------------------------------------------------------------------ */

static struct sp_config *first(const char *const *machine, const char *const *changes, unsigned int n_ports)
{
	struct sp_diags diags = {0};
	struct sp_config *config;
	struct sp_facts *facts;
	unsigned int n;
	char *text;

	make(machine, changes);
	facts = examine();
	text = sp_doctor_conf(facts, &n);
	assert_non_null(text);
	assert_int_equal(n, n_ports);
	config = sp_config_read(text, strlen(text), "first.conf", &diags);
	if (config == NULL)
		sp_diags_print(&diags, stderr);
	assert_non_null(config);
	assert_int_equal(diags.n, n_ports > 0 ? 0 : 1); /* a firewall without ports: a warning */
	if (n_ports > 0)
		assert_true(sp_doctor_conf_need(facts, text) <= facts->memory_kb / 1024);
	sp_diags_clear(&diags);
	free(text);
	sp_facts_free(facts);
	tree_remove(root);
	return config;
}

static void test_conf(void **state)
{
	static const char *const by_mac[] = {"-/etc", DRIVER("0000:00:05.0", "iavf"), DRIVER("0000:00:06.0", "iavf"),
		DEVICE "0000:00:05.0/net/eth1/address=02:00:00:00:00:55", DEVICE "0000:00:06.0/net/eth2/address=02:00:00:00:00:66",
		DEVICE "0000:00:06.0/net/eth2/addr_assign_type=1", NULL};
	static const char *const one[] = {"-" DEVICE "0000:00:06.0", NULL};
	static const char *const none[] = {"-" DEVICE "0000:00:05.0", "-" DEVICE "0000:00:06.0", NULL};
#define WHOLE_NIC                                                                                                       \
	DEVICE "0000:00:07.0/class=0x020000", DEVICE "0000:00:07.0/vendor=0x8086", DEVICE "0000:00:07.0/device=0x10c9", \
		DEVICE "0000:00:07.0/sriov_totalvfs=7", DEVICE "0000:00:07.0/sriov_numvfs=0",                           \
		DEVICE "0000:00:07.0/driver>../../../bus/pci/drivers/igb", DEVICE "0000:00:07.0/net/eth7/address=02:00:00:00:00:77"
	static const char *const whole[] = {"-/etc", WHOLE_NIC, NULL}, *const hypervisor[] = {
									       "-/etc", WHOLE_NIC, "/usr/sbin/sallyport-vf=", NULL};
	static const char *const busy[] = {"-/etc", WHOLE_NIC, DEVICE "0000:00:07.0/net/eth7/master>../../br0", NULL};
	static const char *const small[] = {"/proc/meminfo=MemTotal: 786432 kB", NULL};
	struct sp_config *config;
	uint32_t sessions;

	(void)state;
	config = first(guest, NULL, 2);
	assert_int_equal(config->mode, SP_MODE_ROUTE);
	assert_string_equal(config->ports[0].name, "wan");
	assert_string_equal(config->ports[0].device.name, "0000:00:05.0");
	assert_string_equal(config->ports[1].name, "lan");
	assert_string_equal(config->rules, SP_CONFIG_DEFAULT_RULES);
	sessions = config->sessions4 + config->sessions6;
	sp_config_free(config);

	/* an address that is another at the next start names nothing */
	config = first(guest, by_mac, 2);
	assert_int_equal(config->ports[0].device.kind, SP_DEVICE_MAC);
	assert_string_equal(config->ports[0].device.text, "02:00:00:00:00:55");
	assert_string_equal(config->ports[1].device.text, "0000:00:06.0");
	sp_config_free(config);

	config = first(guest, small, 2);
	assert_true(config->sessions4 + config->sessions6 < sessions);
	sp_config_free(config);

	config = first(guest, one, 1);
	sp_config_free(config);
	sp_config_free(first(guest, none, 0));

	/* a NIC that could have VFs is a port where it has none, unless VFs are made here */
	config = first(guest, whole, 3);
	assert_string_equal(config->ports[2].device.text, "02:00:00:00:00:77");
	sp_config_free(config);
	sp_config_free(first(guest, hypervisor, 2));
	sp_config_free(first(guest, busy, 2));

	config = first(host, NULL, 3);
	assert_string_equal(config->ports[0].device.text, "02:00:00:00:01:01");
	assert_string_equal(config->ports[2].name, "dmz1");
	assert_int_equal(config->n_workers, 4); /* of the VFs' node */
	assert_int_equal(config->workers[0], 4);
	sp_config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_healthy_guest),
		cmocka_unit_test(test_healthy_host),
		cmocka_unit_test(test_ills),
		cmocka_unit_test(test_silences),
		cmocka_unit_test(test_all_can_be_mended),
		cmocka_unit_test(test_host_facts),
		cmocka_unit_test(test_hostile_netlink),
		cmocka_unit_test(test_hostile_files),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_conf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
