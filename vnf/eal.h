/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK's environment: started once a process, for a command that only computes, or for the firewall with devices and workers.
 *
 * What EAL and drivers print is kept back and shown only as the reason of a failure. Main thread only.
 */
#ifndef SP_VNF_EAL_H
#define SP_VNF_EAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/rule_table.h"

/* Room for the reason of a failure. */
#define SP_WHY_MAX 512

/* CPU numbers that EAL can be given. */
#define SP_CPUS_MAX RTE_MAX_LCORE

struct sp_eal_options {
	bool huge;                   /* huge pages; else ordinary memory, taken lazily */
	uint32_t memory_mb;          /* without huge pages: all there will be; with them: taken at start, 0: as needed */
	const char *const *pci;      /* PCI addresses to open */
	unsigned int n_pci;          /* with 0 the PCI bus is left alone */
	const unsigned int *workers; /* CPU of worker i, which becomes lcore i + 1 */
	unsigned int n_workers;
};

/*
 * Starts EAL. The main thread may use every CPU of the process that no worker has (all when none is left). 0, or -errno with a sentence
 * in why (SP_WHY_MAX) that says what to do. Can be called once in a process.
 */
int sp_eal_start(const struct sp_eal_options *options, char *why, size_t why_size);

/* Starts EAL for a command: no root, no huge pages, no devices, nothing shared. */
int sp_eal_start_command(uint32_t memory_mb, char *why, size_t why_size);

/* Undoes sp_eal_start. */
void sp_eal_stop(void);

/* MB of DPDK memory that compiling a policy of so many rules may take. Without huge pages only what is used becomes real memory. */
uint32_t sp_eal_rules_mb(size_t n_rules);

/* Whether devices are given physical addresses, because there is no IOMMU between. */
bool sp_eal_uses_physical(void);

/* MB of free huge pages of all sizes. */
uint64_t sp_eal_huge_free_mb(void);

/* CPUs this process may run on, ascending; returns how many, at most max. */
unsigned int sp_eal_cpus(unsigned int *cpus, unsigned int max);

/* Keeps back what is written to stderr from begin to end, but for the program's own lines ("sallyport: ..."), which come out at the end.
 * end returns the last line in `said` ("" when nothing was written). */
struct sp_eal_capture {
	int saved, file;
};

void sp_eal_capture_begin(struct sp_eal_capture *capture);
void sp_eal_capture_end(struct sp_eal_capture *capture, char *said, size_t said_size);

#endif
