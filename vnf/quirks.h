/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is known of each DPDK driver, and no capability tells: what an untrusted VF may do, how a reset shows, what was tested. Constants;
 * any thread.
 */
#ifndef SP_VNF_QUIRKS_H
#define SP_VNF_QUIRKS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What has the device before DPDK may open it. */
enum sp_bind {
	SP_BIND_VFIO,   /* vfio-pci; uio_pci_generic or igb_uio where there is no IOMMU */
	SP_BIND_KERNEL, /* stays with its kernel driver, beside which DPDK works (bifurcated) */
	SP_BIND_VMBUS,  /* uio_hv_generic */
	SP_BIND_NONE,   /* nothing: made by DPDK */
	SP_BIND_COUNT
};

/* Whether frames for other MAC addresses come, when asked for: what wire mode needs. */
enum sp_promiscuity {
	SP_PROMISC_YES,
	SP_PROMISC_TRUST /* of the PF */,
	SP_PROMISC_HOST /* as its switch allows */,
	SP_PROMISC_NO,
	SP_PROMISC_COUNT
};

/* How groups are best asked for in route mode. What is refused is tried the other way. */
enum sp_grouping { SP_GROUPS_LIST, SP_GROUPS_ALL, SP_GROUPS_COUNT };

/* Tagged frames: FILTER keeps all away whose VLAN was not asked for. */
enum sp_tagging { SP_TAGS_FILTER, SP_TAGS_OPEN, SP_TAGS_HOST /* as its switch gives them */, SP_TAGS_COUNT };

/* How a reset by the PF or the host shows. */
enum sp_resetting {
	SP_RESETS_EVENT,
	SP_RESETS_LINK /* the link goes down and up, and nothing else tells */,
	SP_RESETS_NONE,
	SP_RESETS_COUNT
};

/* The hash that spreads packets over queues. */
enum sp_hashing {
	SP_HASHES_OWN,
	SP_HASHES_SHARED /* its key is the PF's */,
	SP_HASHES_FIXED /* its key cannot be set */,
	SP_HASHES_NONE,
	SP_HASHES_COUNT
};

/* Of this program with this driver. */
enum sp_tested { SP_TESTED_NO, SP_TESTED_EMULATED, SP_TESTED_YES /* software that is the device itself */, SP_TESTED_COUNT };

struct sp_quirks {
	const char *driver;  /* rte_eth_dev_info.driver_name; "other" for what the table does not have */
	const char *kernel;  /* Linux's driver for the same devices; "-": there is none */
	const char *devices; /* what they are */
	uint8_t bind;        /* enum sp_bind, and so on */
	uint8_t promiscuous;
	uint8_t groups;
	uint8_t tags;
	uint8_t resets;
	uint8_t hash;
	uint8_t tested;
	uint8_t groups_max; /* addresses that its list takes; more are cut off without a word, or refused. 0: not known */
	bool vf;            /* a virtual function, or may be one */
	bool mtu_at_start;  /* an MTU that the PF does not have is refused when the device starts, not before */
	bool key_unsized;   /* takes a key of 40 bytes, and says it takes none */
	const char *note;   /* one sentence, or "" */
	const char *source; /* where it was read */
};

/* What is known of a driver; never NULL: of one that is not in the table what one may expect of any. */
const struct sp_quirks *sp_quirks_find(const char *driver);

/* By the name of Linux's driver (mlx5_core); NULL when no row has it. */
const struct sp_quirks *sp_quirks_of_kernel(const char *kernel);

/* Row i of the table, from 0; NULL behind the last. */
const struct sp_quirks *sp_quirks_row(unsigned int i);

/* What each column says, for people and JSON. */
extern const char *const sp_bind_names[SP_BIND_COUNT];
extern const char *const sp_promiscuity_names[SP_PROMISC_COUNT];
extern const char *const sp_grouping_names[SP_GROUPS_COUNT];
extern const char *const sp_tagging_names[SP_TAGS_COUNT];
extern const char *const sp_resetting_names[SP_RESETS_COUNT];
extern const char *const sp_hashing_names[SP_HASHES_COUNT];
extern const char *const sp_tested_names[SP_TESTED_COUNT];

/* The table: a line a driver, then a line for each note with its source. sallyport.8 has the same. */
void sp_quirks_print(FILE *out);

#endif
