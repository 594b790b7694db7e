/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory: what the configuration takes, against what there is of it, and of huge pages.
 */
#include <string.h>

#include "vnf/doctor.h"

#define HUGE_1G_KB  (1u << 20)
#define WORTH_1G_MB 4096
#define RESERVE_MB  192 /* that Linux and its services keep when pages are set aside */
#define PAGE_2M_KB  2048
#define PAGES_NOW   "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
#define PAGES_FILE  "/etc/tmpfiles.d/sallyport-pages.conf"

static uint32_t pages_for(uint32_t mb)
{
	/* Memory is taken in whole zones: some pages more than the bytes need. */
	return mb / 2 + 64;
}

static bool uses_uio(const struct sp_facts *facts)
{
	for (unsigned int i = 0; i < facts->n_nics; i++)
		if (sp_driver_is_uio(facts->nics[i].driver))
			return true;
	return false;
}

/* So many pages more than others hold; and of 2 MB, while vm.nr_hugepages counts those of the default size, which may be 1 GB. */
static void fix_pages(const struct sp_facts *facts, struct sp_finding *finding)
{
	uint64_t pages = pages_for(facts->conf.need_mb);

	for (unsigned int i = 0; i < facts->n_pages; i++)
		if (facts->pages[i].size_kb == PAGE_2M_KB)
			pages += facts->pages[i].total - facts->pages[i].free;
	sp_finding_fix(finding, "echo %llu >" PAGES_NOW " && echo 'w " PAGES_NOW " - - - - %llu' >" PAGES_FILE, (unsigned long long)pages,
		(unsigned long long)pages);
}

/* Pages are short: what that means depends on who needs them. */
static void tell_short(const struct sp_facts *facts, struct sp_findings *findings, uint64_t total, uint64_t free_mb)
{
	const struct sp_facts_config *conf = &facts->conf;
	bool must = (conf->config != NULL && conf->config->huge == SP_HUGE_YES) || uses_uio(facts);
	struct sp_finding *finding = sp_finding_add(findings, SP_TOPIC_MEMORY, must ? SP_LEVEL_ERROR : SP_LEVEL_WARNING, "huge-pages",
		"huge pages", "%llu MB are free of %llu, but the firewall takes %u%s", (unsigned long long)free_mb,
		(unsigned long long)total, conf->need_mb,
		must ? uses_uio(facts) ? "; a device without an IOMMU needs them" : "; memory.huge is true"
		     : ": it will use ordinary pages, which are slower");

	fix_pages(facts, finding);
}

static void check_pages(const struct sp_facts *facts, struct sp_findings *findings)
{
	uint64_t total = sp_facts_huge_mb(facts, false), free_mb = sp_facts_huge_mb(facts, true);
	const struct sp_facts_config *conf = &facts->conf;

	if (conf->config != NULL && conf->config->huge == SP_HUGE_NO) {
		sp_finding_add(
			findings, SP_TOPIC_MEMORY, SP_LEVEL_NOTE, "huge-pages", "huge pages", "memory.huge is false: they are not used");
		return;
	}
	if (conf->need_mb == 0 || facts->firewall_pid != 0) {
		if (total > 0)
			sp_finding_add(findings, SP_TOPIC_MEMORY, SP_LEVEL_OK, "huge-pages", "huge pages", "%llu MB, %llu of them free",
				(unsigned long long)total, (unsigned long long)free_mb);
		else if (conf->need_mb != 0)
			fix_pages(facts, sp_finding_add(findings, SP_TOPIC_MEMORY, SP_LEVEL_WARNING, "huge-pages", "huge pages",
						 "there are none: the firewall runs on ordinary pages, which are slower"));
		return;
	}
	if (free_mb < conf->need_mb)
		tell_short(facts, findings, total, free_mb);
	else
		sp_finding_add(findings, SP_TOPIC_MEMORY, SP_LEVEL_OK, "huge-pages", "huge pages",
			"%llu MB free of %llu; the firewall takes %u", (unsigned long long)free_mb, (unsigned long long)total,
			conf->need_mb);
}

static void check_enough(const struct sp_facts *facts, struct sp_findings *findings)
{
	const struct sp_facts_config *conf = &facts->conf;
	uint64_t memory_mb = facts->memory_kb / 1024;
	struct sp_finding *finding;

	if (conf->need_mb == 0 || conf->need_mb + RESERVE_MB <= memory_mb)
		return;
	finding = sp_finding_add(findings, SP_TOPIC_MEMORY, SP_LEVEL_ERROR, "memory", "memory",
		"%llu MB in all, but the firewall takes %u and Linux some %u", (unsigned long long)memory_mb, conf->need_mb, RESERVE_MB);
	sp_finding_fix(finding, "give the VM %u MB; or, in %s: sessions = { max = 32768; };%s",
		(conf->need_mb + RESERVE_MB + 511) / 512 * 512, conf->path,
		conf->config != NULL && conf->config->mode == SP_MODE_ROUTE ? " route = { max4 = 16384; max6 = 4096; };" : "");
}

static void check_nodes(const struct sp_facts *facts, struct sp_findings *findings)
{
	if (facts->n_nodes < 2 || facts->conf.need_mb == 0)
		return;
	for (unsigned int w = 0; w < facts->conf.n_workers; w++) {
		unsigned int cpu = facts->conf.workers[w];
		struct sp_finding *finding;
		uint64_t kb = 0;
		char about[16];
		int node;

		if (cpu >= SP_FACTS_CPUS || (node = facts->cpus[cpu].node) < 0)
			continue;
		for (unsigned int i = 0; i < facts->n_pages; i++)
			kb += (int)facts->pages[i].node == node ? facts->pages[i].total * facts->pages[i].size_kb : 0;
		if (kb > 0 || sp_facts_huge_mb(facts, false) == 0)
			continue;
		snprintf(about, sizeof(about), "node %d", node);
		finding = sp_finding_add(findings, SP_TOPIC_MEMORY, SP_LEVEL_WARNING, "huge-node", about,
			"has no huge pages, but worker %u runs there (CPU %u): its memory will be remote", w, cpu);
		sp_finding_fix(finding, "echo %u >/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/nr_hugepages",
			pages_for(facts->conf.need_mb), node);
		return;
	}
}

static void check_gigantic(const struct sp_facts *facts, struct sp_findings *findings)
{
	struct sp_finding *finding;
	char args[96];

	for (unsigned int i = 0; i < facts->n_pages; i++)
		if (facts->pages[i].size_kb == HUGE_1G_KB && facts->pages[i].total > 0)
			return;
	if (facts->conf.need_mb < WORTH_1G_MB || !facts->cpu_flags[SP_CPU_PDPE1GB] ||
		facts->memory_kb / 1024 < 2 * (uint64_t)facts->conf.need_mb)
		return;
	finding = sp_finding_add(findings, SP_TOPIC_MEMORY, SP_LEVEL_NOTE, "huge-1g", "huge pages",
		"of 1 GB would spare the workers TLB misses: the tables take %u MB", facts->conf.need_mb);
	snprintf(args, sizeof(args), "default_hugepagesz=1G hugepagesz=1G hugepages=%u", (facts->conf.need_mb + 1023) / 1024);
	sp_finding_fix_kernel(facts, finding, "hugepages", args);
}

void sp_doctor_check_memory(const struct sp_facts *facts, struct sp_findings *findings)
{
	struct sp_finding *finding;

	check_pages(facts, findings);
	check_enough(facts, findings);
	check_nodes(facts, findings);
	check_gigantic(facts, findings);
	if (facts->left_maps > 0 && facts->firewall_pid == 0) {
		finding = sp_finding_add(findings, SP_TOPIC_MEMORY, SP_LEVEL_NOTE, "left-maps", "huge pages",
			"%u file%s of a DPDK process that may be gone keep pages in use", facts->left_maps,
			facts->left_maps == 1 ? "" : "s");
		/* With what every Debian has; nothing is removed where the count cannot be made. */
		sp_finding_fix(
			finding, "[ \"$(cat /proc/[0-9]*/maps 2>/dev/null | grep -c /rtemap_)\" = 0 ] && rm /dev/hugepages/rtemap_*");
	}
	if (facts->conf.need_mb != 0 && strcmp(facts->thp, "always") == 0) {
		finding = sp_finding_add(findings, SP_TOPIC_MEMORY, SP_LEVEL_NOTE, "thp", "transparent",
			"huge pages for all: the kernel moves memory when it likes");
		sp_finding_fix(finding, "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled");
	}
	if (facts->conf.need_mb != 0 && facts->swap_kb > 0) {
		finding = sp_finding_add(findings, SP_TOPIC_MEMORY, SP_LEVEL_NOTE, "swap", "swap",
			"%llu MB: a firewall that swaps answers late", (unsigned long long)(facts->swap_kb / 1024));
		sp_finding_fix(finding, "swapoff -a && sed -i '/\\sswap\\s/s/^/#/' /etc/fstab");
	}
}
