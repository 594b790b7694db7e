/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was tried is handed to the process begun anew in its environment; an execve keeps process id, arguments and standard streams, so
 * that the service manager sees one start.
 */
#define _GNU_SOURCE 1 /* sched_setaffinity, close_range */
#include "vnf/start_closed.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rules/scan.h"
#include "vnf/commands.h"
#include "vnf/config_values.h"

#define ATTEMPT "SALLYPORT_ATTEMPT"
#define WHY     "SALLYPORT_ATTEMPT_WHY"

/* Tables of an attempt that makes do with little. */
#define SMALL_SESSIONS    16384
#define SMALL_ROUTES      16384
#define SMALL_NEIGHBOURS  1024
#define SMALL_SOURCES     4096
#define SMALL_DESCRIPTORS 512

void sp_closed_first(const struct sp_diags *diags, char *text, size_t size)
{
	size_t i = 0;

	while (i < diags->n && diags->v[i].level != SP_DIAG_ERROR)
		i++;
	if (i < diags->n && diags->v[i].file != NULL && diags->v[i].line > 0)
		snprintf(text, size, "%s:%d: %s", diags->v[i].file, diags->v[i].line, diags->v[i].text);
	else if (i < diags->n && diags->v[i].file != NULL)
		snprintf(text, size, "%s: %s", diags->v[i].file, diags->v[i].text);
	else
		snprintf(text, size, "%s", i < diags->n ? diags->v[i].text : "out of memory");
}

/* --- the configuration --------------------------------------------------------------------------------------------------------------- */

int sp_closed_config(struct sp_start *start, const struct sp_diags *diags)
{
	char first[SP_WHY_MAX], text[SP_WHY_MAX + 128], remedy[256];

	sp_closed_first(diags, first, sizeof(first));
	start->config = sp_config_rescue(start->config_path);
	if (start->config == NULL)
		return sp_start_fail(start, "no memory for a configuration");
	start->config->rules = NULL;
	snprintf(text, sizeof(text), "%s%s; the firewall has no ports until that is mended", first,
		diags->errors > 1 ? " (and more errors)" : "");
	snprintf(remedy, sizeof(remedy), "mend it (`sallyport check %.128s` says all that is wrong), then `systemctl restart sallyport`",
		start->config_path);
	sp_notes_add(&start->notes, "no-config", true, text, remedy);
	snprintf(start->closed, sizeof(start->closed), "the configuration does not read");
	fprintf(stderr, "sallyport: the configuration does not read: no ports are open until it is mended and the firewall started anew\n");
	return SP_EXIT_GOOD;
}

static void at_most(uint32_t *value, uint32_t most)
{
	*value = RTE_MIN(*value, most);
}

void sp_closed_shrink(struct sp_start *start)
{
	struct sp_config *config = start->config;

	if (start->attempt == SP_ATTEMPT_AS_CONFIGURED)
		return;
	config->huge = SP_HUGE_NO;
	config->memory_mb = config->buffers = 0;
	at_most(&config->sessions4, SMALL_SESSIONS);
	at_most(&config->sessions6, SMALL_SESSIONS / 2);
	at_most(&config->limit_sources, SMALL_SOURCES);
	at_most(&config->route.max4, SMALL_ROUTES);
	at_most(&config->route.max6, SMALL_ROUTES);
	at_most(&config->route.neighbours, SMALL_NEIGHBOURS);
	at_most(&config->fragments.datagrams, SP_FRAGMENT_DATAGRAMS_MIN);
	at_most(&config->fragments.buffers, SP_FRAGMENT_BUFFERS_MIN);
	at_most(&config->floods.embryonic_high, SMALL_SESSIONS / SP_FLOOD_EMBRYONIC_SHARE);
	config->floods.embryonic_low = config->floods.embryonic_high / 2;
	for (unsigned int i = 0; i < config->n_ports; i++)
		if (config->ports[i].descriptors == 0 || config->ports[i].descriptors > SMALL_DESCRIPTORS)
			config->ports[i].descriptors = SMALL_DESCRIPTORS;
	if (start->attempt == SP_ATTEMPT_BARE)
		config->n_ports = 0;
}

/* --- attempts ------------------------------------------------------------------------------------------------------------------------ */

void sp_closed_begin(struct sp_start *start)
{
	const char *attempt = getenv(ATTEMPT), *why = getenv(WHY);
	char text[SP_WHY_MAX + 128];

	start->n_cpus = sp_eal_cpus(start->cpus, SP_CPUS_MAX);
	start->attempt = attempt != NULL && start->fail_closed ? (unsigned int)strtoul(attempt, NULL, 10) : 0;
	if (start->attempt >= SP_ATTEMPTS)
		start->attempt = SP_ATTEMPT_BARE;
	if (start->attempt == SP_ATTEMPT_SMALL) {
		snprintf(text, sizeof(text), "%.*s; tables of sessions and routes are small, and memory is in ordinary pages", SP_WHY_MAX,
			why != NULL ? why : "the firewall did not start as configured");
		sp_notes_add(&start->notes, "less-memory", false, text,
			"give the machine more memory, or set a smaller sessions.max and a memory.mb that fits, then `systemctl restart "
			"sallyport`");
	} else if (start->attempt == SP_ATTEMPT_BARE) {
		snprintf(text, sizeof(text), "%.*s; the firewall has no ports until that is mended", SP_WHY_MAX,
			why != NULL ? why : "the firewall did not start as configured");
		sp_notes_add(&start->notes, "less-memory", true, text,
			"give the machine more memory (`sallyport doctor`), then `systemctl restart sallyport`");
	}
	unsetenv(ATTEMPT);
	unsetenv(WHY);
}

void sp_closed_again(const struct sp_start *start)
{
	cpu_set_t cpus;
	char attempt[16], path[] = "/proc/self/exe";
	char *argv[] = {(char *)(uintptr_t) "sallyport", (char *)(uintptr_t) "run", (char *)(uintptr_t) "--fail-closed",
		(char *)(uintptr_t) "-c", (char *)(uintptr_t)start->config_path, NULL};

	if (!start->fail_closed || start->attempt + 1 >= SP_ATTEMPTS)
		return;
	snprintf(attempt, sizeof(attempt), "%u", start->attempt + 1);
	if (setenv(ATTEMPT, attempt, 1) != 0 || setenv(WHY, start->why, 1) != 0)
		return;
	fprintf(stderr, "sallyport: starting anew with %s\n", start->attempt + 1 == SP_ATTEMPT_SMALL ? "less memory" : "no ports");
	fflush(NULL);
	/* DPDK leaves the main thread fewer. */
	CPU_ZERO(&cpus);
	for (unsigned int i = 0; i < start->n_cpus; i++)
		CPU_SET(start->cpus[i], &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	/* DPDK's descriptors of devices would keep these from being opened again. */
	close_range(STDERR_FILENO + 1, ~0u, 0);
	execv(path, argv);
}
