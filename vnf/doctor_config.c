/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Facts of the configuration and its rule file, read by the functions that `check` and `run` read them with; and the list of all facts.
 */
#define _GNU_SOURCE 1
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "rules/read.h"
#include "vnf/doctor.h"
#include "vnf/doctor_facts.h"
#include "vnf/doctor_read.h"
#include "vnf/eal.h"
#include "vnf/launch.h"

/* Workers as `run` chooses them: those of the configuration, or all CPUs but the first. */
static void choose_workers(struct sp_facts *facts)
{
	struct sp_facts_config *conf = &facts->conf;
	unsigned int seen = 0;

	if (conf->config != NULL && conf->config->n_workers > 0) {
		conf->n_workers = conf->config->n_workers;
		memcpy(conf->workers, conf->config->workers, sizeof(conf->workers));
		return;
	}
	for (unsigned int cpu = 0; cpu < SP_FACTS_CPUS && conf->n_workers < SP_WORKERS_MAX; cpu++)
		if (facts->cpus[cpu].online && (seen++ > 0 || facts->n_cpus == 1))
			conf->workers[conf->n_workers++] = cpu;
	/* A machine that shows no CPU has one all the same. */
	conf->n_workers += conf->n_workers == 0;
}

/* Compiles the policy, which is the ruleset's then, or freed. */
static void compile(struct sp_facts_config *conf, struct sp_policy *policy)
{
	static bool started; /* EAL starts once in a process */
	struct sp_ruleset *ruleset;
	char why[SP_WHY_MAX];

	conf->n_rules = policy->n_rules;
	if (!started && sp_eal_start_command(sp_eal_rules_mb(policy->n_rules), why, sizeof(why)) != 0) {
		sp_diag_warning(&conf->rule_diags, conf->rules, 0, "the rules were read but not compiled: %s", why);
		sp_policy_free(policy);
		return;
	}
	started = true;
	ruleset = sp_ruleset_build(policy, &conf->rule_diags);
	if (ruleset == NULL)
		sp_policy_free(policy);
	sp_ruleset_free(ruleset);
}

/* In a copy of another machine's files, its paths are below the root. */
static void place_rules(struct sp_facts_config *conf, const char *root)
{
	size_t n = strlen(root);
	bool below = strncmp(conf->config->rules, root, n) == 0 && conf->config->rules[n] == '/';

	snprintf(conf->rules, sizeof(conf->rules), "%s%s", below ? "" : root, conf->config->rules);
}

static void read_rules(struct sp_facts_config *conf, const char *root)
{
	struct sp_policy *policy;

	place_rules(conf, root);
	conf->has_rules = sp_read_exists("", "%s", conf->rules);
	if (!conf->has_rules)
		return;
	policy = sp_policy_load_file(conf->rules, &conf->config->zones, &conf->rule_diags);
	if (policy != NULL)
		compile(conf, policy);
}

/* A guest that is not configured will need what its first configuration takes. */
static void estimate(struct sp_facts *facts)
{
	unsigned int n_ports;
	char *text = facts->host ? NULL : sp_doctor_conf(facts, &n_ports);

	if (text != NULL)
		facts->conf.need_mb = sp_doctor_conf_need(facts, text);
	free(text);
}

/* In route mode a port carries traffic while its interface in Linux is up. */
static void read_interfaces(struct sp_facts_config *conf, const char *root)
{
	const struct sp_config *config = conf->config;

	for (unsigned int i = 0; config->mode == SP_MODE_ROUTE && config->netns == NULL && i < config->n_ports; i++) {
		const char *name = config->ports[i].name;
		int64_t flags = sp_read_number(root, IFF_UP, "/sys/class/net/%s/flags", name);

		if ((flags & IFF_UP) != 0)
			continue;
		if (conf->n_down++ == 0)
			snprintf(conf->down, sizeof(conf->down), "%s", name);
	}
}

void sp_facts_config(struct sp_facts *facts, const char *root, const char *path)
{
	struct sp_facts_config *conf = &facts->conf;

	snprintf(conf->path, sizeof(conf->path), "%s%s", path == NULL ? root : "", path == NULL ? SP_CONFIG_DEFAULT_PATH : path);
	conf->default_rules = sp_read_exists(root, SP_CONFIG_DEFAULT_RULES);
	conf->there = sp_read_exists("", "%s", conf->path);
	if (conf->there || path != NULL)
		conf->config = sp_config_read_file(conf->path, &conf->diags);
	choose_workers(facts);
	if (conf->config == NULL) {
		estimate(facts);
		return;
	}
	read_rules(conf, root);
	read_interfaces(conf, root);
	conf->need_mb =
		conf->config->memory_mb != 0 ? conf->config->memory_mb : sp_launch_need_mb(conf->config, conf->n_workers, conf->n_rules);
}

struct sp_facts *sp_facts_gather(const char *root, const char *config)
{
	struct sp_facts *facts = calloc(1, sizeof(*facts));

	if (facts == NULL)
		return NULL;
	sp_facts_machine(facts, root);
	if (sp_facts_nics(facts, root) != 0) {
		free(facts);
		return NULL;
	}
	sp_facts_links(facts, root);
	sp_facts_processes(facts, root);
	sp_facts_cloud(facts, root);
	sp_facts_config(facts, root, config);
	return facts;
}

void sp_facts_free(struct sp_facts *facts)
{
	if (facts == NULL)
		return;
	sp_config_free(facts->conf.config);
	sp_diags_clear(&facts->conf.diags);
	sp_diags_clear(&facts->conf.rule_diags);
	free(facts->nics);
	free(facts);
}
