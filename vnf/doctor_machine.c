/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Facts of the machine: IOMMU, modules, memory, CPUs, cloud-init.
 */
#include <cpuid.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vnf/doctor_facts.h"
#include "vnf/doctor_read.h"

#define CPUINFO_MAX (1u << 16) /* of which the first CPU's part is enough */
#define GROUPS_MAX  65536
#define NODES_MAX   256
#define IRQS_MAX    65536
#define JSON_MAX    (1u << 18)
#define LINES_MAX   100000                /* of modules.dep */
#define NO_INSTANCE "iid-datasource-none" /* cloud-init's, where it ran without a seed */

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

const char *const sp_module_names[SP_MODULES] = {
	[SP_MODULE_VFIO_PCI] = "vfio-pci",
	[SP_MODULE_VFIO_TYPE1] = "vfio_iommu_type1",
	[SP_MODULE_UIO_GENERIC] = "uio_pci_generic",
	[SP_MODULE_IGB_UIO] = "igb_uio",
};

/* --- which machine ---------------------------------------------------------------------------------------------------------------- */

/* The hypervisor's signature (leaf 0x40000000), or what the firmware calls the machine. */
static void read_hypervisor(struct sp_facts *facts, const char *root)
{
	static const struct {
		const char *sign, *name;
	} known[] = {{"KVMKVMKVM", "KVM"}, {"TCGTCGTCGTCG", "QEMU without KVM"}, {"Microsoft Hv", "Hyper-V"}, {"VMwareVMware", "VMware"},
		{"XenVMMXenVMM", "Xen"}, {"bhyve bhyve ", "bhyve"}};
	char sign[16] = "", vendor[32];
	unsigned int leaf;

	if (!facts->cpu_flags[SP_CPU_HYPERVISOR])
		return;
	snprintf(facts->hypervisor, sizeof(facts->hypervisor), "a hypervisor");
	if (facts->live) {
		unsigned int b, c, d;

		__cpuid(0x40000000, leaf, b, c, d);
		memcpy(sign, &b, 4);
		memcpy(sign + 4, &c, 4);
		memcpy(sign + 8, &d, 4);
	} else if (sp_read_line(root, vendor, sizeof(vendor), "/sys/class/dmi/id/sys_vendor")) {
		snprintf(sign, sizeof(sign), "%.12s",
			strcmp(vendor, "QEMU") == 0                    ? "KVMKVMKVM"
			: strcmp(vendor, "VMware, Inc.") == 0          ? "VMwareVMware"
			: strcmp(vendor, "Microsoft Corporation") == 0 ? "Microsoft Hv"
			: strcmp(vendor, "Xen") == 0                   ? "XenVMMXenVMM"
								       : "");
	}
	for (size_t i = 0; i < LENGTH(known); i++)
		if (strcmp(sign, known[i].sign) == 0)
			snprintf(facts->hypervisor, sizeof(facts->hypervisor), "%s", known[i].name);
}

static void read_product(struct sp_facts *facts, const char *root)
{
	sp_read_line(root, facts->product, sizeof(facts->product), "/sys/class/dmi/id/product_name");
	sp_read_line(root, facts->release, sizeof(facts->release), "/proc/sys/kernel/osrelease");
	sp_read_line(root, facts->cmdline, sizeof(facts->cmdline), "/proc/cmdline");
	facts->update_grub = sp_read_exists(root, "/usr/sbin/update-grub");
	facts->grub_cfg = sp_read_exists(root, "/boot/grub/grub.cfg");
}

/* --- IOMMU and modules -------------------------------------------------------------------------------------------------------------- */

static void read_iommu(struct sp_facts *facts, const char *root)
{
	DIR *folder = sp_read_folder(root, "/sys/class/iommu");
	char line[512];
	FILE *file;

	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL && facts->n_iommus < GROUPS_MAX;) {
		size_t used = strlen(facts->iommus);

		if (!sp_read_entry(entry, 32))
			continue;
		facts->n_iommus++;
		snprintf(facts->iommus + used, sizeof(facts->iommus) - used, "%s%s", used > 0 ? "," : "", entry->d_name);
	}
	if (folder != NULL)
		closedir(folder);
	sp_read_clean(facts->iommus);
	folder = sp_read_folder(root, "/sys/kernel/iommu_groups");
	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL && facts->n_groups < GROUPS_MAX;)
		facts->n_groups += sp_read_entry(entry, 16);
	if (folder != NULL)
		closedir(folder);
	facts->acpi_dmar = sp_read_exists(root, "/sys/firmware/acpi/tables/DMAR");
	facts->acpi_ivrs = sp_read_exists(root, "/sys/firmware/acpi/tables/IVRS");
	/* Linux names its interrupt controllers IR-… while interrupts are remapped. */
	file = sp_read_open(root, "/proc/interrupts");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		facts->remapping |= strstr(line, " IR-") != NULL;
	if (file != NULL)
		fclose(file);
	facts->remapping |= facts->acpi_ivrs && facts->n_iommus > 0 && strstr(facts->cmdline, "amd_iommu_intr=legacy") == NULL &&
			    strstr(facts->cmdline, "intremap=off") == NULL;
}

/* Whether a line of modules.dep or modules.builtin is about the module, in whose name - and _ are the same. */
static bool is_module(const char *line, const char *name)
{
	size_t len = strlen(name), path = strcspn(line, ":\n");
	const char *base = line;

	for (const char *c = line; c < line + path; c++)
		if (*c == '/')
			base = c + 1;
	for (size_t i = 0; i < len; i++)
		if (base[i] != name[i] && !((base[i] == '-' || base[i] == '_') && (name[i] == '-' || name[i] == '_')))
			return false;
	return strncmp(base + len, ".ko", 3) == 0;
}

static void find_modules(struct sp_facts *facts, const char *root, const char *list, enum sp_module_state state)
{
	FILE *file = sp_read_open(root, "/lib/modules/%s/%s", facts->release, list);
	char line[4096];

	for (unsigned int n = 0; file != NULL && n < LINES_MAX && fgets(line, sizeof(line), file) != NULL; n++)
		for (unsigned int m = 0; m < SP_MODULES; m++)
			if (is_module(line, sp_module_names[m]) && facts->modules[m] < state)
				facts->modules[m] = state;
	if (file != NULL)
		fclose(file);
}

static bool is_yes(const char *root, const char *path)
{
	char line[8];

	return sp_read_line(root, line, sizeof(line), "%s", path) && (line[0] == 'Y' || line[0] == '1');
}

static void read_modules(struct sp_facts *facts, const char *root)
{
	static const char *const loaded[SP_MODULES][2] = {
		[SP_MODULE_VFIO_PCI] = {"/sys/module/vfio_pci", "/sys/bus/pci/drivers/vfio-pci"},
		[SP_MODULE_VFIO_TYPE1] = {"/sys/module/vfio_iommu_type1", "/sys/module/vfio_iommu_type1"},
		[SP_MODULE_UIO_GENERIC] = {"/sys/module/uio_pci_generic", "/sys/bus/pci/drivers/uio_pci_generic"},
		[SP_MODULE_IGB_UIO] = {"/sys/module/igb_uio", "/sys/bus/pci/drivers/igb_uio"},
	};
	static const char noiommu[] = "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode";
	char line[64];
	const char *open;

	find_modules(facts, root, "modules.dep", SP_MODULE_AVAILABLE);
	find_modules(facts, root, "modules.builtin", SP_MODULE_LOADED);
	for (unsigned int m = 0; m < SP_MODULES; m++)
		if (sp_read_exists(root, "%s", loaded[m][0]) || sp_read_exists(root, "%s", loaded[m][1]))
			facts->modules[m] = SP_MODULE_LOADED;
	facts->noiommu = is_yes(root, noiommu);
	facts->unsafe_interrupts = is_yes(root, "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts");
	if (sp_read_line(root, line, sizeof(line), "/sys/kernel/security/lockdown") && (open = strchr(line, '[')) != NULL)
		snprintf(facts->lockdown, sizeof(facts->lockdown), "%.*s", (int)strcspn(open + 1, "]"), open + 1);
}

/* --- memory ------------------------------------------------------------------------------------------------------------------------- */

static void read_meminfo(struct sp_facts *facts, const char *root)
{
	FILE *file = sp_read_open(root, "/proc/meminfo");
	char line[128];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		unsigned long long kb;

		if (sscanf(line, "MemTotal: %llu", &kb) == 1)
			facts->memory_kb = kb;
		else if (sscanf(line, "MemAvailable: %llu", &kb) == 1)
			facts->available_kb = kb;
		else if (sscanf(line, "SwapTotal: %llu", &kb) == 1)
			facts->swap_kb = kb;
	}
	if (file != NULL)
		fclose(file);
}

static void read_pages(struct sp_facts *facts, const char *root, unsigned int node, const char *folder_path)
{
	DIR *folder = sp_read_folder(root, "%s", folder_path);

	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL && facts->n_pages < SP_FACTS_PAGES;) {
		struct sp_facts_pages *pages = &facts->pages[facts->n_pages];
		unsigned int kb;

		if (!sp_read_entry(entry, 40) || sscanf(entry->d_name, "hugepages-%ukB", &kb) != 1 || kb == 0)
			continue;
		pages->node = node;
		pages->size_kb = kb;
		pages->total = (uint64_t)sp_read_number(root, 0, "%s/%s/nr_hugepages", folder_path, entry->d_name);
		pages->free = (uint64_t)sp_read_number(root, 0, "%s/%s/free_hugepages", folder_path, entry->d_name);
		/* What no machine has would only overflow sums. */
		if (pages->total <= UINT32_MAX && pages->free <= pages->total)
			facts->n_pages++;
	}
	if (folder != NULL)
		closedir(folder);
}

static void read_memory(struct sp_facts *facts, const char *root)
{
	char line[64], path[96];
	const char *open;
	DIR *folder;

	read_meminfo(facts, root);
	for (unsigned int node = 0; node < NODES_MAX; node++) {
		if (!sp_read_exists(root, "/sys/devices/system/node/node%u", node))
			continue;
		facts->n_nodes++;
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/hugepages", node);
		read_pages(facts, root, node, path);
	}
	if (facts->n_pages == 0)
		read_pages(facts, root, 0, "/sys/kernel/mm/hugepages");
	if (sp_read_line(root, line, sizeof(line), "/sys/kernel/mm/transparent_hugepage/enabled") && (open = strchr(line, '[')) != NULL)
		snprintf(facts->thp, sizeof(facts->thp), "%.*s", (int)strcspn(open + 1, "]"), open + 1);
	folder = sp_read_folder(root, "/dev/hugepages");
	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
		facts->left_maps += strncmp(entry->d_name, "rtemap_", 7) == 0;
	if (folder != NULL)
		closedir(folder);
}

uint64_t sp_facts_huge_mb(const struct sp_facts *facts, bool only_free)
{
	uint64_t kb = 0;

	for (unsigned int i = 0; i < facts->n_pages; i++)
		kb += facts->pages[i].size_kb * (only_free ? facts->pages[i].free : facts->pages[i].total);
	return kb / 1024;
}

/* --- CPUs --------------------------------------------------------------------------------------------------------------------------- */

static void read_cpu_flags(struct sp_facts *facts, const char *root)
{
	static const char *const names[SP_CPU_FLAGS] = {[SP_CPU_SSSE3] = " ssse3 ",
		[SP_CPU_SSE4_2] = " sse4_2 ",
		[SP_CPU_AVX2] = " avx2 ",
		[SP_CPU_AVX512] = " avx512bw ",
		[SP_CPU_AES] = " aes ",
		[SP_CPU_CONSTANT_TSC] = " constant_tsc ",
		[SP_CPU_NONSTOP_TSC] = " nonstop_tsc ",
		[SP_CPU_PDPE1GB] = " pdpe1gb ",
		[SP_CPU_HYPERVISOR] = " hypervisor "};
	size_t size;
	char *text = sp_read_all(root, CPUINFO_MAX, &size, "/proc/cpuinfo"), *flags, *model;

	if (text == NULL)
		return;
	model = strstr(text, "model name");
	if (model != NULL && (model = strchr(model, ':')) != NULL) {
		model += model[1] == ' ' ? 2 : 1;
		snprintf(facts->cpu_model, sizeof(facts->cpu_model), "%.*s", (int)strcspn(model, "\n"), model);
		sp_read_clean(facts->cpu_model);
	}
	flags = strstr(text, "\nflags");
	if (flags != NULL && flags[1] != '\0') {
		char *end = strchr(flags + 1, '\n');

		if (end != NULL)
			*end = ' ';
		if (end != NULL && end[1] != '\0')
			end[1] = '\0';
		for (unsigned int i = 0; i < SP_CPU_FLAGS; i++)
			facts->cpu_flags[i] = strstr(flags, names[i]) != NULL;
	}
	free(text);
}

static void set_online(void *context, unsigned int cpu)
{
	struct sp_facts *facts = context;

	facts->n_cpus += !facts->cpus[cpu].online;
	facts->cpus[cpu].online = true;
}

static void set_isolated(void *context, unsigned int cpu)
{
	((struct sp_facts *)context)->cpus[cpu].isolated = true;
}

static void set_nohz(void *context, unsigned int cpu)
{
	((struct sp_facts *)context)->cpus[cpu].nohz_full = true;
}

static void count_irq(void *context, unsigned int cpu)
{
	((struct sp_facts *)context)->cpus[cpu].irqs++;
}

struct on_node {
	struct sp_facts *facts;
	unsigned int node;
};

static void set_node(void *context, unsigned int cpu)
{
	struct on_node *on = context;

	on->facts->cpus[cpu].node = (int)on->node;
}

static void read_cpu_list(struct sp_facts *facts, const char *root, const char *path, void (*take)(void *, unsigned int))
{
	char line[4096];

	if (sp_read_line(root, line, sizeof(line), "%s", path))
		sp_read_list(line, SP_FACTS_CPUS, take, facts);
}

/* An interrupt counts where somebody handles it, but for those of devices that are given away: they are their owner's wish. */
static bool is_handled(const char *root, const char *irq)
{
	DIR *folder = sp_read_folder(root, "/proc/irq/%s", irq);
	bool handled = false;

	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
		handled |= entry->d_type == DT_DIR && entry->d_name[0] != '.' && strncmp(entry->d_name, "vfio", 4) != 0;
	if (folder != NULL)
		closedir(folder);
	return handled;
}

static void read_irqs(struct sp_facts *facts, const char *root)
{
	DIR *folder = sp_read_folder(root, "/proc/irq");
	unsigned int n = 0;

	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL && n < IRQS_MAX;) {
		char line[4096];

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || !sp_read_entry(entry, 12))
			continue;
		n++;
		if (is_handled(root, entry->d_name) &&
			sp_read_line(root, line, sizeof(line), "/proc/irq/%s/effective_affinity_list", entry->d_name))
			sp_read_list(line, SP_FACTS_CPUS, count_irq, facts);
	}
	if (folder != NULL)
		closedir(folder);
}

static void read_steal(struct sp_facts *facts, const char *root)
{
	unsigned long long t[8] = {0}, sum = 0;
	FILE *file = sp_read_open(root, "/proc/stat");

	if (file == NULL)
		return;
	if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) == 8)
		for (unsigned int i = 0; i < 8; i++)
			sum += t[i];
	if (sum > 0)
		facts->steal_permille = (unsigned int)((double)t[7] * 1000 / (double)sum);
	fclose(file);
}

static void read_cpus(struct sp_facts *facts, const char *root)
{
	for (unsigned int cpu = 0; cpu < SP_FACTS_CPUS; cpu++)
		facts->cpus[cpu].node = -1;
	read_cpu_list(facts, root, "/sys/devices/system/cpu/online", set_online);
	read_cpu_list(facts, root, "/sys/devices/system/cpu/isolated", set_isolated);
	read_cpu_list(facts, root, "/sys/devices/system/cpu/nohz_full", set_nohz);
	for (unsigned int node = 0; node < NODES_MAX; node++) {
		struct on_node on = {facts, node};
		char line[4096];

		if (sp_read_line(root, line, sizeof(line), "/sys/devices/system/node/node%u/cpulist", node))
			sp_read_list(line, SP_FACTS_CPUS, set_node, &on);
	}
	for (unsigned int cpu = 0; cpu < SP_FACTS_CPUS; cpu++)
		if (facts->cpus[cpu].online)
			sp_read_line(root, facts->cpus[cpu].governor, sizeof(facts->cpus[cpu].governor),
				"/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor", cpu);
	read_irqs(facts, root);
	read_steal(facts, root);
}

void sp_facts_machine(struct sp_facts *facts, const char *root)
{
	facts->live = root[0] == '\0';
	facts->root = !facts->live || geteuid() == 0;
	read_cpu_flags(facts, root);
	read_product(facts, root);
	read_hypervisor(facts, root);
	read_iommu(facts, root);
	read_modules(facts, root);
	read_memory(facts, root);
	read_cpus(facts, root);
}

/* --- cloud-init --------------------------------------------------------------------------------------------------------------------- */

/* The text of a list's member, on one line. */
static void take_first(const json_t *list, unsigned int *n, char *out, size_t size)
{
	if (*n == 0 && json_array_size(list) > 0) {
		const char *text = json_string_value(json_array_get(list, 0));

		snprintf(out, size, "%s", text != NULL ? text : "");
		sp_read_clean(out);
	}
	*n += (unsigned int)json_array_size(list);
}

static json_t *read_json(const char *root, const char *path)
{
	size_t size;
	char *text = sp_read_all(root, JSON_MAX, &size, "%s", path);
	json_t *json = text != NULL ? json_loadb(text, size, 0, NULL) : NULL;

	free(text);
	return json;
}

/* What went wrong but did not stop it is in the status, by stage and level of the log. */
static void take_warnings(struct sp_facts_cloud *cloud, const json_t *status)
{
	static const char *const stages[] = {"init-local", "init", "modules-config", "modules-final"};
	static const char *const levels[] = {"CRITICAL", "ERROR", "WARNING"};

	for (size_t i = 0; i < LENGTH(stages); i++) {
		const json_t *kept = json_object_get(json_object_get(status, stages[i]), "recoverable_errors");

		for (size_t l = 0; l < LENGTH(levels); l++)
			take_first(json_object_get(kept, levels[l]), &cloud->n_warnings, cloud->warning, sizeof(cloud->warning));
	}
}

static void read_notes(struct sp_facts_cloud *cloud, const char *root)
{
	FILE *file = sp_read_open(root, "/run/sallyport-boot/notes");
	unsigned int n = 0;
	char line[512];

	while (file != NULL && n < LENGTH(cloud->notes) && fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		sp_read_clean(line);
		snprintf(cloud->notes[n], sizeof(cloud->notes[n]), "%.159s", line);
		n += line[0] != '\0';
	}
	if (file != NULL)
		fclose(file);
}

void sp_facts_cloud(struct sp_facts *facts, const char *root)
{
	struct sp_facts_cloud *cloud = &facts->cloud;
	json_t *result = read_json(root, "/run/cloud-init/result.json"), *status = read_json(root, "/run/cloud-init/status.json");
	const json_t *v1 = json_object_get(result, "v1");
	const char *source = json_string_value(json_object_get(v1, "datasource"));
	char instance[64];

	cloud->there = sp_read_exists(root, "/run/cloud-init/status.json");
	cloud->done = v1 != NULL;
	cloud->disabled = sp_read_exists(root, "/run/cloud-init/disabled");
	cloud->seeded = sp_read_link(root, instance, sizeof(instance), "/var/lib/cloud/instance") && strcmp(instance, NO_INSTANCE) != 0;
	if (source == NULL)
		source = json_string_value(json_object_get(json_object_get(status, "v1"), "datasource"));
	if (source != NULL)
		snprintf(cloud->datasource, sizeof(cloud->datasource), "%s", source);
	sp_read_clean(cloud->datasource);
	take_first(json_object_get(v1, "errors"), &cloud->n_errors, cloud->error, sizeof(cloud->error));
	take_warnings(cloud, json_object_get(status, "v1"));
	read_notes(cloud, root);
	json_decref(result);
	json_decref(status);
}
