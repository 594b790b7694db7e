/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers that do not all start, and workers that do not leave. One process can start EAL once and the dataplane is made for two workers,
 * so the tests run in this order on one launch each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "mgmt/publish.h"
#include "rules/read.h"
#include "vnf/launch.h"

#define HANG_SEC 60 /* a test that takes longer has hung */

static uint32_t held; /* while it is 1, the occupant stays */

static int occupy(void *arg)
{
	(void)arg;
	while (__atomic_load_n(&held, __ATOMIC_ACQUIRE) != 0)
		usleep(1000);
	return 0;
}

static void publish(struct sp_dataplane *dataplane)
{
	static const char text[] = "version = 1;\ndefault = { action = \"drop\"; };\nrules = ( );\n";
	const struct sp_read_options options = {.file = "test.rules", .zones = &dataplane->zones};
	struct sp_diags diags = {0};
	struct sp_policy *policy = sp_policy_load(text, sizeof(text) - 1, &options, &diags);
	struct sp_ruleset *ruleset;

	assert_non_null(policy);
	ruleset = sp_ruleset_build(policy, &diags);
	assert_non_null(ruleset);
	assert_int_equal(sp_publish(dataplane, ruleset, &diags), 0);
	sp_diags_clear(&diags);
}

static void begin(struct sp_launch *launch)
{
	struct sp_launch_options options = {.n_workers = 2,
		.sessions4 = 1024,
		.sessions6 = 1024,
		.timeout_sec = sp_state_default_sec,
		.limit_sources = 1024,
		.adaptive = true};
	char why[SP_WHY_MAX] = "";

	assert_int_equal(sp_launch_begin(launch, &options, why), 0);
	assert_int_equal(sp_launch_pool(launch, 1024, 2048, why), 0);
	assert_int_equal(sp_launch_workers(launch, &options, why), 0);
	publish(launch->dataplane);
}

/* The second worker's lcore is taken: the first, which runs, must not wait for the second when it leaves. */
static void test_a_worker_that_does_not_start(void **state)
{
	struct sp_launch launch;
	char why[SP_WHY_MAX] = "";

	(void)state;
	alarm(HANG_SEC);
	begin(&launch);
	held = 1;
	assert_int_equal(rte_eal_remote_launch(occupy, NULL, 2), 0);
	assert_int_not_equal(sp_launch_go(&launch, why), 0);
	assert_non_null(strstr(why, "worker 1"));
	__atomic_store_n(&launch.dataplane->stop, 1, __ATOMIC_RELEASE);
	assert_int_equal(rte_eal_wait_lcore(1), 0);
	__atomic_store_n(&held, 0, __ATOMIC_RELEASE);
	sp_launch_halt(&launch);
	sp_launch_end(&launch);
}

static void test_halt_waits_no_longer_than_told(void **state)
{
	struct sp_launch launch;
	char why[SP_WHY_MAX] = "";

	(void)state;
	alarm(HANG_SEC);
	begin(&launch);
	assert_false(sp_launch_polls(&launch));
	assert_int_equal(sp_launch_go(&launch, why), 0);
	while (!sp_launch_polls(&launch))
		usleep(1000);
	assert_true(sp_launch_halt_within(&launch, HANG_SEC * 1000));
	sp_launch_halt(&launch);
	/* something that does not look at `stop` */
	held = 1;
	assert_int_equal(rte_eal_remote_launch(occupy, NULL, 2), 0);
	assert_false(sp_launch_halt_within(&launch, 20));
	__atomic_store_n(&held, 0, __ATOMIC_RELEASE);
	sp_launch_halt(&launch);
	sp_launch_end(&launch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_worker_that_does_not_start), cmocka_unit_test(test_halt_waits_no_longer_than_told)};
	unsigned int cpus[SP_CPUS_MAX], n = sp_eal_cpus(cpus, SP_CPUS_MAX);
	const unsigned int workers[] = {cpus[0], cpus[n > 1 ? 1 : 0]};
	struct sp_eal_options options = {.memory_mb = 256, .workers = workers, .n_workers = 2};
	char why[SP_WHY_MAX];

	if (sp_eal_start(&options, why, sizeof(why)) != 0) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
