/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The start of the firewall, in steps that cmd_run.c takes one after the other. Main thread.
 *
 *   start_files.c    configuration and rules: read, compile, publish
 *   start_machine.c  CPUs, memory, ports, privileges, management
 *   start_closed.c   --fail-closed: what is done without what is missing
 */
#ifndef SP_VNF_START_H
#define SP_VNF_START_H

#include <stdbool.h>
#include <stddef.h>

#include "mgmt/mgmt.h"
#include "rules/policy.h"
#include "rules/ruleset.h"
#include "vnf/config.h"
#include "vnf/launch.h"
#include "vnf/notify.h"

struct sp_health;
struct sp_kernel;
struct sp_port_events;

struct sp_start {
	const char *config_path;
	struct sp_config *config;
	struct sp_policy *policy;   /* until it is compiled */
	struct sp_ruleset *ruleset; /* until it is published */
	char *source;               /* text of the rule file, until it is the ruleset's */
	size_t source_size;
	unsigned int cpus[SP_CPUS_MAX], n_cpus; /* that the process was begun on */
	unsigned int workers[SP_WORKERS_MAX], n_workers;
	struct sp_launch launch;
	struct sp_kernel *kernel; /* NULL in wire mode */
	struct sp_health *health; /* until management takes it over; NULL: management starts its own */
	struct sp_port_events *port_events;
	struct sp_mgmt *mgmt;
	struct sp_watchdog watchdog;
	bool eal, launched;
	bool fail_closed;
	unsigned int attempt;    /* of start_closed.h: how often the process has begun anew with less */
	struct sp_notes notes;   /* what it does without */
	size_t rule_lines;       /* of a rule file that does not load: memory for it is set aside all the same */
	char closed[SP_WHY_MAX]; /* why all is dropped instead of the rule file being in force; "" when it is not so */
	char why[SP_WHY_MAX];    /* what the step that failed said */
};

/* Each returns an exit code (commands.h); one that is not SP_EXIT_GOOD was told on stderr, and is in start->why. */
int sp_start_read(struct sp_start *start);
int sp_start_cpus(struct sp_start *start);
int sp_start_eal(struct sp_start *start);
int sp_start_compile(struct sp_start *start);
int sp_start_build(struct sp_start *start);
int sp_start_publish(struct sp_start *start);
int sp_start_harden(struct sp_start *start);
int sp_start_print(struct sp_start *start);
int sp_start_management(struct sp_start *start);
int sp_start_go(struct sp_start *start);

/* What the control loop calls between jobs and around them. The context is a struct sp_start. */
void sp_start_tick(void *start);
void sp_start_working(void *start, bool begins);

/* Keeps the reason in start->why, prints it, and returns SP_EXIT_UNRUN. */
int sp_start_fail(struct sp_start *start, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
