/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a router's configuration becomes: a link for each port and VLAN, Linux's side of each, and memory enough for all by the estimate.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_mempool.h>

#include "dataplane/routing.h"
#include "mgmt/publish.h"
#include "rules/match.h"
#include "rules/read.h"
#include "vnf/launch.h"

#define WORKERS  2
#define HANG_SEC 60 /* a test that takes longer has hung */

static const char router[] = "mode = \"route\";\n"
			     "ports = (\n"
			     "  { name = \"wan\"; device = \"net_null0\"; zone = \"outside\"; rpf = \"loose\"; queues = 1; },\n"
			     "  { name = \"guest\"; parent = \"lan\"; vlan = 20; zone = \"guest\"; },\n"
			     "  { name = \"lan\"; device = \"net_null1\"; zone = \"inside\"; queues = 1; },\n"
			     "  { name = \"dmz\"; device = \"net_null2\"; }\n"
			     ");\n"
			     "sessions = { max = 4096; };\n"
			     "route = { max4 = 2048; max6 = 1024; neighbours = 64; waiting = 500; };\n";

static struct sp_config *config;
static struct sp_launch launch; /* one for all tests, which run in this order: a virtual device is made once in a process */

static struct sp_link *link_of(struct sp_dataplane *dataplane, const char *name)
{
	for (unsigned int l = 0; l < dataplane->routing->n_links; l++)
		if (strcmp(dataplane->routing->links[l].name, name) == 0)
			return &dataplane->routing->links[l];
	fail_msg("there is no link %s", name);
	return NULL;
}

static int begin(void **state)
{
	struct sp_launch_options options = {.n_workers = WORKERS,
		.sessions4 = config->sessions4,
		.sessions6 = config->sessions6,
		.timeout_sec = config->timeout_sec,
		.limit_sources = config->limit_sources,
		.fragments = config->fragments,
		.adaptive = true,
		.zones = &config->zones};
	static const char text[] = "version = 1;\ndefault = { action = \"drop\"; };\nrules = ( \"1 allow from inside to self\" );\n";
	const struct sp_read_options read = {.file = "test.rules", .zones = &config->zones};
	struct sp_diags diags = {0};
	struct sp_policy *policy;
	struct sp_ruleset *ruleset;
	char why[SP_WHY_MAX] = "";

	(void)state;
	alarm(HANG_SEC);
	if (sp_launch_begin(&launch, &options, why) != 0 || sp_launch_ports(&launch, config, why) != 0 ||
		sp_launch_workers(&launch, &options, why) != 0)
		fail_msg("%s", why);
	policy = sp_policy_load(text, sizeof(text) - 1, &read, &diags);
	sp_diags_print(&diags, stderr);
	assert_non_null(policy);
	ruleset = sp_ruleset_build(policy, &diags);
	assert_non_null(ruleset);
	assert_int_equal(sp_publish(launch.dataplane, ruleset, &diags), 0);
	sp_diags_clear(&diags);
	return 0;
}

static int end(void **state)
{
	(void)state;
	sp_launch_end(&launch);
	return 0;
}

static void test_links(void **state)
{
	struct sp_dataplane *dataplane = launch.dataplane;
	const struct sp_link *link;

	(void)state;
	assert_non_null(dataplane->routing);
	assert_int_equal(dataplane->n_ports, 3);
	assert_int_equal(dataplane->routing->n_links, 4);
	assert_string_equal(dataplane->zones.name[dataplane->zone_self], "self");
	for (unsigned int p = 0; p < dataplane->n_ports; p++) {
		assert_int_equal(dataplane->ports[p].peer, SP_NO_PORT);
		assert_int_equal(dataplane->ports[p].domain, 0);
		assert_false(dataplane->ports[p].pass_link);
		assert_false(dataplane->ports[p].all_frames);
	}
	link = link_of(dataplane, "wan");
	assert_int_equal(link->port, 0);
	assert_int_equal(link->vlan, 0);
	assert_int_equal(link->rpf, SP_RPF_LOOSE);
	assert_string_equal(dataplane->zones.name[link->zone], "outside");
	assert_int_equal(link->mtu, dataplane->ports[0].mtu);
	assert_memory_equal(link->mac, dataplane->ports[0].mac, 6);
	/* The VLAN stands before its parent, and is no device. */
	link = link_of(dataplane, "guest");
	assert_int_equal(link->port, 1);
	assert_int_equal(link->vlan, 20);
	assert_int_equal(link->rpf, SP_RPF_STRICT);
	assert_string_equal(dataplane->zones.name[link->zone], "guest");
	assert_int_equal(dataplane->ports[1].link[20], link->index);
	assert_int_equal(dataplane->ports[1].link[0], link_of(dataplane, "lan")->index);
	assert_int_equal(dataplane->ports[1].link[21], SP_NO_LINK);
	assert_int_equal(dataplane->ports[0].link[20], SP_NO_LINK);
	assert_int_equal(link_of(dataplane, "dmz")->zone, SP_MATCH_NO_ZONE);
}

/* Linux's side: what comes from there is of the firewall's own zone, and of that link whatever its tag. */
static void test_linux_side(void **state)
{
	struct sp_dataplane *dataplane = launch.dataplane;

	(void)state;
	for (uint16_t l = 0; l < dataplane->routing->n_links; l++) {
		const struct sp_port *port = &dataplane->kernel_ports[l];

		assert_true(port->kernel);
		assert_int_equal(port->index, dataplane->routing->links[l].port);
		assert_string_equal(port->name, dataplane->routing->links[l].name);
		assert_int_equal(port->zone[0], dataplane->zone_self);
		assert_int_equal(port->link[0], l);
		assert_int_equal(port->link[77], l);
	}
}

/* Workers that route start, poll and leave. */
static void test_workers(void **state)
{
	char why[SP_WHY_MAX] = "";

	(void)state;
	/* Those that wait for neighbours have buffers of their own. */
	assert_true(launch.pool->size >= WORKERS * config->route.waiting + 2 * SP_KERNEL_RING);
	assert_int_equal(sp_launch_go(&launch, why), 0);
	while (!sp_launch_polls(&launch))
		usleep(1000);
	assert_true(sp_launch_halt_within(&launch, HANG_SEC * 1000));
	sp_launch_halt(&launch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_links), cmocka_unit_test(test_linux_side), cmocka_unit_test(test_workers)};
	unsigned int cpus[SP_CPUS_MAX], n = sp_eal_cpus(cpus, SP_CPUS_MAX);
	const unsigned int workers[] = {cpus[0], cpus[n > 1 ? 1 : 0]};
	struct sp_eal_options options = {.workers = workers, .n_workers = WORKERS};
	struct sp_diags diags = {0};
	char why[SP_WHY_MAX];
	int failed;

	config = sp_config_read(router, sizeof(router) - 1, "test.conf", &diags);
	sp_diags_print(&diags, stderr);
	sp_diags_clear(&diags);
	if (config == NULL)
		return 1;
	/* What run would take: too little fails here. */
	options.memory_mb = sp_launch_need_mb(config, WORKERS, 1);
	if (sp_eal_start(&options, why, sizeof(why)) != 0) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	failed = cmocka_run_group_tests(tests, begin, end);
	sp_config_free(config);
	return failed;
}
