/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * EAL's arguments, and its output kept back. EAL prints to stderr on its own account, in part before any log level counts; so stderr is
 * turned into a memory file while it starts.
 */
#define _GNU_SOURCE 1
#include "vnf/eal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <rte_common.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGS_MAX 512 /* as many PCI devices as there may be, and some more */

struct args {
	char *v[ARGS_MAX + 1];
	int n;
};

/* --- what EAL prints ------------------------------------------------------------------------------------------------------------ */

void sp_eal_capture_begin(struct sp_eal_capture *capture)
{
	fflush(stderr);
	capture->saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	capture->file = memfd_create("stderr", MFD_CLOEXEC);
	if (capture->saved >= 0 && capture->file >= 0)
		dup2(capture->file, STDERR_FILENO);
}

/* With these EAL ends whatever the cause was, which stands before them. */
static bool tells_nothing(const char *line)
{
	static const char *const ends[] = {
		"EAL: Failed to attach device on primary process", "EAL: Driver cannot attach the device", "EAL: Requested device"};

	for (size_t i = 0; i < RTE_DIM(ends); i++)
		if (strncmp(line, ends[i], strlen(ends[i])) == 0)
			return true;
	return line[strspn(line, " \t\r")] == '\0';
}

/* The last line that says something, without the "EAL: " before it; of those that say little the first. */
static void last_line(char *text, char *out, size_t out_size)
{
	char *line = NULL, *first = NULL, *save = NULL;

	for (char *t = strtok_r(text, "\n", &save); t != NULL; t = strtok_r(NULL, "\n", &save)) {
		first = first == NULL ? t : first;
		if (!tells_nothing(t))
			line = t;
	}
	line = line == NULL ? first : line;
	if (line == NULL)
		return;
	if (strncmp(line, "EAL: ", 5) == 0)
		line += 5;
	snprintf(out, out_size, "%s", line);
	for (char *c = out; *c != '\0'; c++)
		if (iscntrl((unsigned char)*c))
			*c = ' ';
	for (size_t n = strlen(out); n > 0 && (out[n - 1] == ' ' || out[n - 1] == '.'); n--)
		out[n - 1] = '\0';
}

/* What other threads of ours said meanwhile is not lost. */
static void pass_on(const char *text)
{
	static const char ours[] = "sallyport: ";

	for (const char *line = text; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n')
		if (strncmp(line, ours, sizeof(ours) - 1) == 0)
			fprintf(stderr, "%.*s\n", (int)strcspn(line, "\n"), line);
}

void sp_eal_capture_end(struct sp_eal_capture *capture, char *said, size_t said_size)
{
	char text[8192];
	ssize_t n = -1;

	said[0] = '\0';
	fflush(stderr);
	if (capture->saved >= 0)
		dup2(capture->saved, STDERR_FILENO);
	if (capture->file >= 0) {
		off_t size = lseek(capture->file, 0, SEEK_END);

		n = pread(capture->file, text, sizeof(text) - 1, size > (off_t)sizeof(text) - 1 ? size - (off_t)sizeof(text) + 1 : 0);
		close(capture->file);
	}
	if (capture->saved >= 0)
		close(capture->saved);
	if (n > 0) {
		text[n] = '\0';
		pass_on(text);
		last_line(text, said, said_size);
	}
}

/* --- arguments ------------------------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void add(struct args *args, const char *fmt, ...)
{
	va_list list;

	if (args->n >= ARGS_MAX)
		return;
	va_start(list, fmt);
	if (vasprintf(&args->v[args->n], fmt, list) >= 0)
		args->n++;
	va_end(list);
}

unsigned int sp_eal_cpus(unsigned int *cpus, unsigned int max)
{
	cpu_set_t set;
	unsigned int n = 0;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 0;
	for (unsigned int cpu = 0; cpu < CPU_SETSIZE && n < max; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[n++] = cpu;
	return n;
}

static bool is_worker(const struct sp_eal_options *options, unsigned int cpu)
{
	for (unsigned int i = 0; i < options->n_workers; i++)
		if (options->workers[i] == cpu)
			return true;
	return false;
}

/* "0@(0,2,3),1@1": the main thread floats, each worker is alone on its CPU. */
static void add_lcores(struct args *args, const struct sp_eal_options *options)
{
	unsigned int cpus[RTE_MAX_LCORE], n = sp_eal_cpus(cpus, RTE_MAX_LCORE), mine = 0;
	char text[RTE_MAX_LCORE * 5 + SP_WORKERS_MAX * 10 + 16];
	size_t used;

	for (unsigned int i = 0; i < n; i++)
		mine += !is_worker(options, cpus[i]);
	used = (size_t)snprintf(text, sizeof(text), "0@(");
	for (unsigned int i = 0, listed = 0; i < n; i++)
		if (mine == 0 || !is_worker(options, cpus[i]))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%u", listed++ > 0 ? "," : "", cpus[i]);
	used += (size_t)snprintf(text + used, sizeof(text) - used, ")");
	for (unsigned int i = 0; i < options->n_workers; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, ",%u@%u", i + 1, options->workers[i]);
	add(args, "--lcores=%s", text);
	add(args, "--main-lcore=0");
}

static void add_memory(struct args *args, const struct sp_eal_options *options)
{
	if (options->huge) {
		/* Pages come from anonymous files: nothing stays on hugetlbfs when the process dies, and no mount is needed. */
		add(args, "--in-memory");
		if (options->memory_mb > 0)
			add(args, "-m%u", options->memory_mb);
		return;
	}
	add(args, "--no-huge");
	add(args, "--no-shconf");
	add(args, "-m%u", options->memory_mb);
}

static void add_devices(struct args *args, const struct sp_eal_options *options)
{
	if (options->n_pci == 0) {
		add(args, "--no-pci");
		add(args, "--iova-mode=va");
		return;
	}
	for (unsigned int i = 0; i < options->n_pci; i++)
		add(args, "-a%s", options->pci[i]);
}

static void add_all(struct args *args, const struct sp_eal_options *options)
{
	add(args, "sallyport");
	add(args, "--file-prefix=sallyport-%d", (int)getpid());
	add(args, "--no-telemetry");
	add(args, "--log-level=lib.*:error");
	add(args, "--log-level=pmd.*:error");
	/* rte_acl uses AVX-512 only when asked for it in so many words. */
	add(args, "--force-max-simd-bitwidth=512");
	add_lcores(args, options);
	add_memory(args, options);
	add_devices(args, options);
}

static void explain_failure(const struct sp_eal_options *options, int error, const char *said, char *why, size_t why_size)
{
	if (error == ENOMEM || strstr(said, "emory") != NULL || strstr(said, "hugepage") != NULL) {
		if (options->huge)
			snprintf(why, why_size,
				"cannot take %u MB of huge pages (%s); free some, add some as `sallyport doctor` says, or set memory.huge "
				"= "
				"false",
				options->memory_mb, said);
		else
			snprintf(why, why_size,
				"cannot take %u MB of memory (%s); free some, or give the machine more; `run` takes what memory.mb says",
				options->memory_mb, said);
	} else if (error == EACCES || error == EPERM) {
		snprintf(why, why_size, "no permission (%s); run as root, or give the process the capabilities of the systemd unit", said);
	} else {
		snprintf(why, why_size, "DPDK does not start: %s", said[0] != '\0' ? said : strerror(error));
	}
}

int sp_eal_start(const struct sp_eal_options *options, char *why, size_t why_size)
{
	struct sp_eal_capture capture;
	struct args args = {.n = 0};
	char *argv[ARGS_MAX + 1], said[256];
	int rc, error;

	add_all(&args, options);
	memcpy(argv, args.v, sizeof(argv)); /* EAL reorders its arguments */
	sp_eal_capture_begin(&capture);
	rc = rte_eal_init(args.n, argv);
	error = rte_errno;
	sp_eal_capture_end(&capture, said, sizeof(said));
	for (int i = 0; i < args.n; i++)
		free(args.v[i]);
	/* EAL makes a folder even when it is to share nothing; empty, it can go at once. */
	rmdir(rte_eal_get_runtime_dir());
	if (rc < 0) {
		explain_failure(options, error, said, why, why_size);
		return error != 0 ? -error : -EIO;
	}
	return 0;
}

int sp_eal_start_command(uint32_t memory_mb, char *why, size_t why_size)
{
	struct sp_eal_options options = {.memory_mb = memory_mb};
	uint64_t machine_mb = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) >> 20;

	/* The kernel refuses at once what the machine could never have, though little of it might be used. */
	if (options.memory_mb > machine_mb / 4 * 3)
		options.memory_mb = (uint32_t)(machine_mb / 4 * 3);
	return sp_eal_start(&options, why, why_size);
}

void sp_eal_stop(void)
{
	struct sp_eal_capture capture;
	char folder[256], said[256];

	snprintf(folder, sizeof(folder), "%s", rte_eal_get_runtime_dir());
	sp_eal_capture_begin(&capture);
	rte_eal_cleanup();
	sp_eal_capture_end(&capture, said, sizeof(said));
	rmdir(folder);
}

/* --- memory ---------------------------------------------------------------------------------------------------------------------- */

/* rte_acl takes up to 44 KB a rule on the worst ClassBench set while it builds. */
#define RULE_KB 48
#define BASE_MB 128

uint32_t sp_eal_rules_mb(size_t n_rules)
{
	return (uint32_t)(BASE_MB + n_rules * RULE_KB / 1024);
}

bool sp_eal_uses_physical(void)
{
	return rte_eal_iova_mode() == RTE_IOVA_PA;
}

uint64_t sp_eal_huge_free_mb(void)
{
	static const char root[] = "/sys/kernel/mm/hugepages";
	uint64_t kb = 0;
	DIR *folder = opendir(root);

	for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
		unsigned long long size, pages;
		char path[512];
		FILE *file;

		if (sscanf(entry->d_name, "hugepages-%llukB", &size) != 1)
			continue;
		snprintf(path, sizeof(path), "%s/%s/free_hugepages", root, entry->d_name);
		file = fopen(path, "re");
		if (file == NULL)
			continue;
		if (fscanf(file, "%llu", &pages) == 1)
			kb += size * pages;
		fclose(file);
	}
	if (folder != NULL)
		closedir(folder);
	return kb / 1024;
}
