/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the doctor looks at: this machine as sysfs, procfs, netlink, cloud-init and the configuration tell it. Gathered once, then only
 * read; what is a fault and how it is mended is judged elsewhere, by pure functions (doctor_check_*.c).
 *
 * Every text comes from outside: it is cut to its member's size, and what is no printable ASCII became `?`.
 */
#ifndef SP_VNF_DOCTOR_FACTS_H
#define SP_VNF_DOCTOR_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rules/diag.h"
#include "vnf/config.h"

#define SP_FACTS_NICS  1024 /* further ones are counted only */
#define SP_FACTS_CPUS  1024
#define SP_FACTS_PAGES 128 /* pairs of a NUMA node and a size of huge pages */

/* --- network devices ------------------------------------------------------------------------------------------------------------ */

enum sp_nic_kind { SP_NIC_PF, SP_NIC_VF, SP_NIC_NIC, SP_NIC_VIRTIO, SP_NIC_KINDS };

/* What a PF says of one of its VFs. */
struct sp_vf_state {
	bool known; /* the PF's driver said anything at all */
	bool has_spoofchk, spoofchk, has_trust, trust;
	uint8_t mac[6]; /* zeros: none set */
	uint16_t vlan;  /* 0: none */
	uint8_t link;   /* IFLA_VF_LINK_STATE_ */
	uint32_t rate;  /* Mbit/s that it may send; 0: no limit */
};

struct sp_nic {
	enum sp_nic_kind kind;
	char pci[16]; /* 0000:01:10.0 */
	uint16_t vendor, device;
	char driver[32];                 /* "": none */
	char kernel[32];                 /* Linux's own driver of such a device, "" where it is not known */
	char override[32];               /* driver_override, "": none */
	char netdev[16];                 /* its interface in Linux, "": none */
	char master[16];                 /* the interface's VRF, bridge or bond, "": none */
	bool up, carrier, default_route; /* of the interface */
	bool has_mac, random_mac;        /* of the interface; made up by Linux, since the device has none */
	uint8_t mac[6];
	int numa, group;             /* -1: none */
	unsigned int strangers;      /* others of its group that are neither bridges nor given to user space */
	unsigned int companions;     /* others of its group that are no bridges */
	char stranger[16];           /* PCI address of the first of those, or else of the first companion */
	unsigned int vfs, total_vfs; /* of a PF: made, possible */
	char pf[16];                 /* of a VF that has its PF here: the PF's PCI address, else "" */
	int vf;                      /* its number then, else -1 */
	struct sp_vf_state state;
	int holder_pid; /* process that has it open, 0: none seen */
	char holder[32];
};

/* --- the machine ------------------------------------------------------------------------------------------------------------------ */

enum sp_module { SP_MODULE_VFIO_PCI, SP_MODULE_VFIO_TYPE1, SP_MODULE_UIO_GENERIC, SP_MODULE_IGB_UIO, SP_MODULES };
enum sp_module_state { SP_MODULE_ABSENT, SP_MODULE_AVAILABLE, SP_MODULE_LOADED };

extern const char *const sp_module_names[SP_MODULES]; /* as modprobe has them */

enum sp_cpu_flag {
	SP_CPU_SSSE3,
	SP_CPU_SSE4_2,
	SP_CPU_AVX2,
	SP_CPU_AVX512,
	SP_CPU_AES,
	SP_CPU_CONSTANT_TSC,
	SP_CPU_NONSTOP_TSC,
	SP_CPU_PDPE1GB,
	SP_CPU_HYPERVISOR,
	SP_CPU_FLAGS
};

struct sp_facts_cpu {
	bool online, isolated, nohz_full;
	int node;          /* -1: unknown */
	char governor[24]; /* "": no frequency scaling here */
	unsigned int irqs; /* interrupts with a handler that are routed to it */
};

struct sp_facts_pages {
	unsigned int node;
	uint32_t size_kb;
	uint64_t total, free;
};

struct sp_facts_cloud {
	bool there, done; /* cloud-init ran or runs; it has ended */
	char datasource[96];
	unsigned int n_errors, n_warnings;
	char error[256], warning[256]; /* the first of each */
	bool disabled;                 /* it found nothing to do */
	bool seeded;                   /* an earlier boot had a seed, which lasts */
	char notes[8][160];            /* what the appliance's boot had to say, "" behind the last */
};

struct sp_facts_config {
	char path[512];           /* as the user has to name it */
	bool there;               /* the file exists */
	bool has_rules;           /* the rule file exists */
	bool default_rules;       /* the one of the default path does */
	char rules[512];          /* its path */
	struct sp_config *config; /* NULL: does not read */
	struct sp_diags diags, rule_diags;
	size_t n_rules;
	unsigned int workers[SP_WORKERS_MAX], n_workers; /* CPUs; of the default configuration where there is none */
	unsigned int n_down;                             /* ports whose interface in Linux (route mode) was taken down */
	char down[32];                                   /* the first of them */
	uint32_t need_mb;                                /* memory that it takes; 0: unknown */
};

struct sp_facts {
	bool live;           /* this machine, and not a copy of another one's files */
	bool root;           /* may see everything */
	bool host;           /* VFs are made here, or are to be; else the machine is given them, or whole NICs */
	char hypervisor[32]; /* "": none */
	char product[64], release[64], cpu_model[64];
	char cmdline[4096];
	bool update_grub, grub_cfg; /* GRUB has its command for new arguments; a file of ours has them */

	unsigned int n_iommus, n_groups;
	char iommus[96];           /* names, by comma */
	bool acpi_dmar, acpi_ivrs; /* the firmware describes an Intel, an AMD one */
	bool remapping;            /* of interrupts */
	enum sp_module_state modules[SP_MODULES];
	bool unsafe_interrupts; /* of vfio_iommu_type1 */
	bool noiommu;           /* VFIO's mode without one is on */
	char lockdown[16];      /* "none", "integrity", "confidentiality"; "": the kernel has none */

	uint64_t memory_kb, available_kb, swap_kb;
	struct sp_facts_pages pages[SP_FACTS_PAGES];
	unsigned int n_pages;
	unsigned int left_maps; /* files of huge pages that a DPDK process left */
	char thp[16];           /* "always", "madvise", "never", "": none */

	bool cpu_flags[SP_CPU_FLAGS];
	unsigned int n_cpus, n_nodes; /* online */
	unsigned int steal_permille;  /* of all time since boot */
	struct sp_facts_cpu cpus[SP_FACTS_CPUS];

	struct sp_nic *nics; /* ascending by PCI address */
	unsigned int n_nics, more_nics;
	unsigned int other_interfaces; /* of devices that are not on the PCI bus: Hyper-V's and Xen's own, USB */

	int firewall_pid; /* of `sallyport run`, 0: does not run */
	struct sp_facts_cloud cloud;
	struct sp_facts_config conf;
};

/*
 * Reads everything. `root` is a folder that stands for /, "" is this machine itself; a copy's netlink answers (RTM_NEWLINK messages as
 * they came) are in ROOT/netlink. `config` is the path of the configuration, NULL for the default one (below the root). Starts EAL to
 * compile the rules when they read, so once a process. NULL without memory. Blocks on files; changes nothing.
 */
struct sp_facts *sp_facts_gather(const char *root, const char *config);
void sp_facts_free(struct sp_facts *facts);

/* Parts of the above, in this order. */
void sp_facts_machine(struct sp_facts *facts, const char *root);
int sp_facts_nics(struct sp_facts *facts, const char *root); /* 0 or -ENOMEM */
void sp_facts_links(struct sp_facts *facts, const char *root);
void sp_facts_processes(struct sp_facts *facts, const char *root);
void sp_facts_cloud(struct sp_facts *facts, const char *root);
void sp_facts_config(struct sp_facts *facts, const char *root, const char *path);

/* Takes what PFs say of their VFs from n bytes of netlink messages, which need not be sound. Whether an end, or an error, was among them.
 */
bool sp_facts_take_links(struct sp_facts *facts, const void *messages, size_t n);

/* The device of that PCI address, NULL when there is none. */
struct sp_nic *sp_facts_nic(const struct sp_facts *facts, const char *pci);

/* The device of that MAC address (of its interface, or as its PF set it), NULL when none shows it. */
struct sp_nic *sp_facts_nic_of_mac(const struct sp_facts *facts, const uint8_t mac[6]);

/* Whether a driver gives a device to processes: vfio-pci (and its variants), uio_pci_generic, igb_uio. */
bool sp_driver_is_vfio(const char *driver);
bool sp_driver_is_uio(const char *driver);

/* Whether the device stays with its kernel driver while DPDK uses it (mlx5). */
bool sp_nic_is_bifurcated(const struct sp_nic *nic);

/* Whether Linux uses it for itself: an interface with a default route, or in a VRF, bridge or bond. */
bool sp_nic_is_busy(const struct sp_nic *nic);

/* MB of huge pages. */
uint64_t sp_facts_huge_mb(const struct sp_facts *facts, bool only_free);

#endif
