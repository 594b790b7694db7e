/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CPUs: what they can do, and whether the workers have theirs for themselves. Pages and CPUs of a host without a configuration are its VMs'
 * affair: there only what every VM inherits is looked at.
 */
#include <string.h>

#include "vnf/doctor.h"

#define STEAL_PERMILLE 10 /* of all time: a vCPU that waits for its CPU this often loses packets */

static const char passthrough[] = "in the VM's XML on the host:\n<cpu mode='host-passthrough'/>";

static void check_flags(const struct sp_facts *facts, struct sp_findings *findings)
{
	const bool *has = facts->cpu_flags;
	bool guest = facts->hypervisor[0] != '\0';
	struct sp_finding *finding;

	if (!has[SP_CPU_SSSE3] || !has[SP_CPU_SSE4_2]) {
		finding = sp_finding_add(findings, SP_TOPIC_CPU, SP_LEVEL_ERROR, "cpu-flags", "instructions",
			"the CPU lacks %s: %s does not run", has[SP_CPU_SSSE3] ? "SSE4.2" : "SSSE3",
			has[SP_CPU_SSSE3] ? "DPDK" : "Hyperscan");
		sp_finding_fix(finding, "%s", guest ? passthrough : "use a CPU of 2009 or later");
	} else if (!has[SP_CPU_AVX2]) {
		finding = sp_finding_add(findings, SP_TOPIC_CPU, SP_LEVEL_WARNING, "cpu-flags", "instructions",
			"the CPU shows no AVX2: rules and inspection take about twice as long");
		sp_finding_fix(finding, "%s", guest ? passthrough : "use a CPU of 2015 or later");
	} else {
		sp_finding_add(findings, SP_TOPIC_CPU, SP_LEVEL_OK, "cpu-flags", "instructions", "SSE4.2, AVX2%s%s",
			has[SP_CPU_AVX512] ? ", AVX-512" : "", has[SP_CPU_AES] ? ", AES" : "");
	}
	if (!has[SP_CPU_CONSTANT_TSC] || !has[SP_CPU_NONSTOP_TSC]) {
		finding = sp_finding_add(findings, SP_TOPIC_CPU, guest ? SP_LEVEL_NOTE : SP_LEVEL_WARNING, "tsc", "clock",
			"the CPU does not promise a steady time stamp counter, by which workers measure time");
		if (guest)
			sp_finding_fix(finding, "in the VM's XML on the host:\n<cpu mode='host-passthrough' migratable='off'>\n"
						"  <feature policy='require' name='invtsc'/>\n</cpu>");
	}
}

static bool is_online(const struct sp_facts *facts, unsigned int cpu)
{
	return cpu < SP_FACTS_CPUS && facts->cpus[cpu].online;
}

static bool is_worker(const struct sp_facts *facts, unsigned int cpu)
{
	for (unsigned int w = 0; w < facts->conf.n_workers; w++)
		if (facts->conf.workers[w] == cpu)
			return true;
	return false;
}

/* A worker's CPU that Linux uses for other things, too. */
static bool is_disturbed(const void *context, unsigned int cpu)
{
	const struct sp_facts *facts = context;

	return is_online(facts, cpu) && is_worker(facts, cpu) && !facts->cpus[cpu].isolated;
}

static bool ticks(const void *context, unsigned int cpu)
{
	const struct sp_facts *facts = context;

	return is_online(facts, cpu) && is_worker(facts, cpu) && facts->cpus[cpu].isolated && !facts->cpus[cpu].nohz_full;
}

static bool is_interrupted(const void *context, unsigned int cpu)
{
	const struct sp_facts *facts = context;

	return is_online(facts, cpu) && is_worker(facts, cpu) && facts->cpus[cpu].irqs > 0;
}

static bool is_slowed(const void *context, unsigned int cpu)
{
	const struct sp_facts *facts = context;
	const char *governor = is_online(facts, cpu) ? facts->cpus[cpu].governor : "";

	return governor[0] != '\0' && strcmp(governor, "performance") != 0 && (facts->conf.config == NULL || is_worker(facts, cpu));
}

static bool is_any_worker(const void *context, unsigned int cpu)
{
	return is_worker(context, cpu);
}

/* Whether workers have anywhere to go but where everything else runs. */
static bool has_own_cpus(const struct sp_facts *facts)
{
	return facts->n_cpus > facts->conf.n_workers;
}

/* Where all but the workers belongs: the first CPU that is not theirs. CPU 0 never gets rid of it: false, with that as the remedy, where it
 * is a worker's. */
static bool find_house(const struct sp_facts *facts, struct sp_finding *finding, unsigned int *house)
{
	*house = 0;
	if (is_worker(facts, 0)) {
		sp_finding_fix(finding, "in %s: leave CPU 0 out of `workers`: Linux itself needs it", facts->conf.path);
		return false;
	}
	while (*house + 1 < SP_FACTS_CPUS && (!is_online(facts, *house) || is_worker(facts, *house)))
		++*house;
	return true;
}

static void check_workers(const struct sp_facts *facts, struct sp_findings *findings)
{
	struct sp_finding *finding;
	char list[64];

	for (unsigned int w = 0; w < facts->conf.n_workers; w++) {
		if (is_online(facts, facts->conf.workers[w]))
			continue;
		finding = sp_finding_add(findings, SP_TOPIC_CPU, SP_LEVEL_ERROR, "worker-cpu", "workers",
			"CPU %u is given to a worker, but this machine has %u", facts->conf.workers[w], facts->n_cpus);
		sp_finding_fix(finding, "in %s: remove `workers`, or list CPUs of /sys/devices/system/cpu/online", facts->conf.path);
		return;
	}
	sp_doctor_ranges(list, sizeof(list), SP_FACTS_CPUS, is_any_worker, facts);
	if (has_own_cpus(facts)) {
		sp_finding_add(findings, SP_TOPIC_CPU, SP_LEVEL_OK, "workers", "workers", "%u, on CPU %s of %u", facts->conf.n_workers,
			list, facts->n_cpus);
		return;
	}
	finding = sp_finding_add(findings, SP_TOPIC_CPU, SP_LEVEL_WARNING, "one-cpu", "workers", "%s: workers share CPUs with all else",
		facts->n_cpus == 1 ? "there is one CPU only" : "they take every CPU");
	if (facts->n_cpus == 1)
		sp_finding_fix(finding, "in the VM's XML on the host:\n<vcpu>2</vcpu>");
	else
		sp_finding_fix(finding, "in %s: leave CPU 0 out of `workers`", facts->conf.path);
}

static void check_isolation(const struct sp_facts *facts, struct sp_findings *findings)
{
	char list[64], all[64], args[300];
	struct sp_finding *finding;
	unsigned int house;
	bool disturbed;

	if (!has_own_cpus(facts))
		return;
	sp_doctor_ranges(all, sizeof(all), SP_FACTS_CPUS, is_any_worker, facts);
	sp_doctor_ranges(list, sizeof(list), SP_FACTS_CPUS, is_disturbed, facts);
	disturbed = list[0] != '\0';
	if (!disturbed)
		sp_doctor_ranges(list, sizeof(list), SP_FACTS_CPUS, ticks, facts);
	if (list[0] == '\0') {
		sp_finding_add(findings, SP_TOPIC_CPU, SP_LEVEL_OK, "isolation", "isolation", "CPU %s, without the timer's tick", all);
		return;
	}
	finding = sp_finding_add(findings, SP_TOPIC_CPU, disturbed ? SP_LEVEL_WARNING : SP_LEVEL_NOTE, "isolation", "isolation",
		"CPU %s: %s", list, disturbed ? "the scheduler runs other things there, too" : "isolated, but the timer ticks on");
	if (!find_house(facts, finding, &house))
		return;
	snprintf(args, sizeof(args), "isolcpus=managed_irq,domain,%s nohz_full=%s rcu_nocbs=%s irqaffinity=%u", all, all, all, house);
	sp_finding_fix_kernel(facts, finding, "isolation", args);
}

static void check_irqs(const struct sp_facts *facts, struct sp_findings *findings)
{
	struct sp_finding *finding;
	unsigned int n = 0, house;
	char list[64];

	for (unsigned int cpu = 0; cpu < SP_FACTS_CPUS; cpu++)
		n += is_interrupted(facts, cpu) ? facts->cpus[cpu].irqs : 0;
	if (n == 0 || !has_own_cpus(facts))
		return;
	sp_doctor_ranges(list, sizeof(list), SP_FACTS_CPUS, is_interrupted, facts);
	finding =
		sp_finding_add(findings, SP_TOPIC_CPU, SP_LEVEL_NOTE, "irqs", "interrupts", "%u go to CPU %s, where workers poll", n, list);
	if (find_house(facts, finding, &house))
		sp_finding_fix(finding,
			"systemctl disable --now irqbalance; for f in /proc/irq/*/smp_affinity_list; do echo %u >$f; done 2>/dev/null",
			house);
}

static void check_governor(const struct sp_facts *facts, struct sp_findings *findings)
{
	struct sp_finding *finding;
	const char *governor = "";
	char list[64];

	sp_doctor_ranges(list, sizeof(list), SP_FACTS_CPUS, is_slowed, facts);
	if (list[0] == '\0')
		return;
	for (unsigned int cpu = 0; cpu < SP_FACTS_CPUS && governor[0] == '\0'; cpu++)
		if (is_slowed(facts, cpu))
			governor = facts->cpus[cpu].governor;
	finding = sp_finding_add(findings, SP_TOPIC_CPU, facts->conf.config != NULL ? SP_LEVEL_WARNING : SP_LEVEL_NOTE, "governor",
		"governor", "\"%s\" on CPU %s: it slows them down between bursts", governor, list);
	sp_finding_fix(finding, "for g in /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor; do echo performance >$g; done");
}

/* --- NUMA -------------------------------------------------------------------------------------------------------------------------------
 */

struct on_node {
	const struct sp_facts *facts;
	int node;
	bool workers; /* only theirs */
};

static bool is_on_node(const void *context, unsigned int cpu)
{
	const struct on_node *on = context;

	return is_online(on->facts, cpu) && on->facts->cpus[cpu].node == on->node && (!on->workers || is_worker(on->facts, cpu));
}

static void check_numa(const struct sp_facts *facts, struct sp_findings *findings)
{
	for (unsigned int i = 0; i < facts->n_nics && facts->n_nodes > 1; i++) {
		const struct sp_nic *nic = &facts->nics[i];
		const struct sp_config_port *port = sp_doctor_port_of(facts, nic);
		struct on_node on = {facts, nic->numa, true};
		struct sp_finding *finding;
		char list[128];

		if (port == NULL || nic->numa < 0)
			continue;
		sp_doctor_ranges(list, sizeof(list), SP_FACTS_CPUS, is_on_node, &on);
		if (list[0] != '\0')
			continue;
		on.workers = false;
		sp_doctor_ranges(list, sizeof(list), SP_FACTS_CPUS, is_on_node, &on);
		finding = sp_finding_add(findings, SP_TOPIC_CPU, SP_LEVEL_WARNING, "numa", port->name,
			"%s is on NUMA node %d, where no worker runs: every packet crosses between nodes", nic->pci, nic->numa);
		sp_finding_fix(finding, "in %s: workers = [ ... ], of CPU %s", facts->conf.path, list);
	}
}

static void check_steal(const struct sp_facts *facts, struct sp_findings *findings)
{
	struct sp_finding *finding;

	if (facts->steal_permille < STEAL_PERMILLE)
		return;
	finding = sp_finding_add(findings, SP_TOPIC_CPU, SP_LEVEL_WARNING, "steal", "steal",
		"%u.%u %% of the time since boot the host ran others on this VM's CPUs: packets wait, and are lost",
		facts->steal_permille / 10, facts->steal_permille % 10);
	sp_finding_fix(finding, "in the VM's XML on the host, for each vCPU a CPU that nothing else has:\n<cputune>\n"
				"  <vcpupin vcpu='0' cpuset='2'/>\n</cputune>");
}

void sp_doctor_check_cpu(const struct sp_facts *facts, struct sp_findings *findings)
{
	check_flags(facts, findings);
	if (facts->hypervisor[0] != '\0')
		check_steal(facts, findings);
	check_governor(facts, findings);
	if (facts->conf.config == NULL && facts->host)
		return;
	check_workers(facts, findings);
	check_isolation(facts, findings);
	check_irqs(facts, findings);
	check_numa(facts, findings);
}
