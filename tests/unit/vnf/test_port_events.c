/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events of real DPDK devices, raised as a driver raises them: a port is restarted once its worker has let go of it, again when that
 * fails; it is absent when its device is taken away, and until it has one that opens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <unistd.h>

#include "mgmt/port_state.h"
#include "tests/unit/support/eal.h"
#include "vnf/port_events.h"

/* Of DPDK's side for drivers, whose header is not installed. */
struct rte_eth_dev;
struct rte_eth_dev *rte_eth_dev_allocated(const char *name);
int rte_eth_dev_callback_process(struct rte_eth_dev *dev, enum rte_eth_event_type event, void *ret_param);

#define TURNS_MAX 100 /* of 50 ms: far more than the first waits of a port that does not start */

struct fixture {
	struct sp_config config;
	struct sp_config_port ports[2];
	struct sp_launch launch;
	struct sp_port_events *events;
	struct sp_port *port; /* the first */
};

static struct fixture fixture;

static int make_with(uint16_t mtu)
{
	static const char *const devices[] = {"net_null0", "net_null1"};
	static const uint32_t timeouts[SP_STATE_COUNT];
	struct sp_launch_options options = {.n_workers = 1, .timeout_sec = timeouts, .limit_sources = 64, .absent_ports = true};
	char why[SP_WHY_MAX] = "";

	sp_test_eal();
	memset(&fixture, 0, sizeof(fixture));
	for (unsigned int i = 0; i < 2; i++) {
		fixture.ports[i] = (struct sp_config_port){.peer = (int)(1 - i), .parent = -1};
		snprintf(fixture.ports[i].name, sizeof(fixture.ports[i].name), "p%u", i);
		assert_int_equal(sp_device_parse(devices[i], &fixture.ports[i].device, why, sizeof(why)), 0);
	}
	fixture.ports[0].mtu = mtu;
	fixture.config.ports = fixture.ports;
	fixture.config.n_ports = 2;
	assert_int_equal(sp_launch_begin(&fixture.launch, &options, why), 0);
	if (sp_launch_ports(&fixture.launch, &fixture.config, why) != 0)
		fail_msg("%s", why);
	fixture.port = &fixture.launch.dataplane->ports[0];
	fixture.events = sp_port_events_begin(&fixture.launch, &fixture.config, NULL);
	assert_non_null(fixture.events);
	rte_rcu_qsbr_thread_register(fixture.launch.dataplane->qsbr, 0);
	rte_rcu_qsbr_thread_online(fixture.launch.dataplane->qsbr, 0);
	return 0;
}

static int make(void **state)
{
	(void)state;
	return make_with(0);
}

/* No device takes such an MTU: the first port does not open. */
static int make_absent(void **state)
{
	(void)state;
	return make_with(20);
}

static int end(void **state)
{
	(void)state;
	sp_port_events_end(fixture.events);
	rte_rcu_qsbr_thread_offline(fixture.launch.dataplane->qsbr, 0);
	rte_rcu_qsbr_thread_unregister(fixture.launch.dataplane->qsbr, 0);
	sp_launch_end(&fixture.launch);
	rte_vdev_uninit("net_null0");
	rte_vdev_uninit("net_null1");
	return 0;
}

static void raise_event(enum rte_eth_event_type event)
{
	rte_eth_dev_callback_process(rte_eth_dev_allocated("net_null0"), event, NULL);
}

static void worker_ends_turn(void)
{
	rte_rcu_qsbr_quiescent(fixture.launch.dataplane->qsbr, 0);
}

/* Ticks, with a worker that works on, until the port is as wanted; whether it came to that. */
static bool tick_until(uint32_t paused)
{
	for (unsigned int i = 0; i < TURNS_MAX; i++) {
		worker_ends_turn();
		sp_port_events_tick(fixture.events);
		if (__atomic_load_n(&fixture.port->paused, __ATOMIC_RELAXED) == paused)
			return true;
		usleep(50000);
	}
	return false;
}

static bool device_runs(void)
{
	struct rte_eth_link link = {0};

	return rte_eth_link_get_nowait(fixture.port->ethdev, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

static void test_nothing_happens(void **state)
{
	(void)state;
	sp_port_events_tick(fixture.events);
	assert_int_equal(fixture.port->paused, 0);
	assert_true(device_runs());
}

static void test_reset_waits_for_workers(void **state)
{
	(void)state;
	/* as a VF is after its PF's reset: it neither receives nor sends */
	assert_int_equal(rte_eth_dev_stop(fixture.port->ethdev), 0);
	assert_false(device_runs());
	raise_event(RTE_ETH_EVENT_INTR_RESET);
	sp_port_events_tick(fixture.events);
	sp_port_events_tick(fixture.events);
	assert_int_equal(fixture.port->paused, 1);
	assert_int_equal(fixture.port->link_up, 0);
	assert_false(device_runs());

	worker_ends_turn();
	sp_port_events_tick(fixture.events);
	assert_int_equal(fixture.port->paused, 0);
	assert_int_equal(fixture.port->link_up, 1);
	assert_true(device_runs());
	/* the other port was left alone */
	assert_int_equal(fixture.launch.dataplane->ports[1].paused, 0);
}

static void test_restart_is_tried_again(void **state)
{
	(void)state;
	fixture.ports[0].mtu = 20; /* no device takes that */
	raise_event(RTE_ETH_EVENT_INTR_RESET);
	assert_true(tick_until(1));
	worker_ends_turn();
	sp_port_events_tick(fixture.events);
	assert_int_equal(fixture.port->paused, 1);
	assert_false(device_runs());

	fixture.ports[0].mtu = 0;
	assert_true(tick_until(0));
	assert_true(device_runs());
}

static void test_link_change_is_no_reset(void **state)
{
	(void)state;
	raise_event(RTE_ETH_EVENT_INTR_LSC);
	worker_ends_turn();
	sp_port_events_tick(fixture.events);
	assert_int_equal(fixture.port->paused, 0);
}

static enum sp_port_state state_of(const char *says)
{
	char why[SP_PORT_WHY_MAX];
	enum sp_port_state state = sp_port_state_why(fixture.port, why);

	if (strstr(why, says) == NULL || (why[0] == '\0') != (state == SP_PORT_RUNNING))
		fail_msg("the state's reason is \"%s\", without \"%s\"", why, says);
	return state;
}

static void assert_absent(void)
{
	uint16_t id;

	assert_int_equal(fixture.port->paused, 1);
	assert_int_equal(fixture.port->link_up, 0);
	assert_int_equal(fixture.port->ethdev, RTE_MAX_ETHPORTS);
	assert_int_not_equal(rte_eth_dev_get_port_by_name("net_null0", &id), 0);
	assert_int_equal(rte_eth_dev_get_port_by_name("net_null1", &id), 0);
	assert_int_equal(fixture.launch.dataplane->ports[1].paused, 0);
}

static void test_device_is_taken_away_and_comes_back(void **state)
{
	(void)state;
	raise_event(RTE_ETH_EVENT_INTR_RMV);
	sp_port_events_tick(fixture.events);
	assert_int_equal(fixture.port->paused, 1);
	assert_int_not_equal(fixture.port->ethdev, RTE_MAX_ETHPORTS);
	assert_int_equal(state_of(""), SP_PORT_RESTARTING);
	worker_ends_turn();
	sp_port_events_tick(fixture.events);
	assert_absent();
	assert_int_equal(state_of("taken away"), SP_PORT_ABSENT);

	/* the worker was not asked again: a port without a device is nobody's */
	sp_port_events_tick(fixture.events);
	assert_int_equal(fixture.port->paused, 0);
	assert_int_equal(state_of(""), SP_PORT_RUNNING);
	assert_true(device_runs());
	/* its events are heard again */
	raise_event(RTE_ETH_EVENT_INTR_RESET);
	assert_true(tick_until(1));
}

static void test_kernel_asks_for_device(void **state)
{
	(void)state;
	fixture.ports[0].mtu = 20;
	rte_dev_event_callback_process("net_null0", RTE_DEV_EVENT_REMOVE);
	sp_port_events_tick(fixture.events);
	worker_ends_turn();
	sp_port_events_tick(fixture.events);
	assert_absent();
	/* it does not open for now, which is told */
	sp_port_events_tick(fixture.events);
	assert_absent();
	assert_int_equal(state_of("mtu"), SP_PORT_ABSENT);

	fixture.ports[0].mtu = 0;
	assert_true(tick_until(0));
	assert_true(device_runs());
}

static void test_absent_from_the_start(void **state)
{
	(void)state;
	assert_absent();
	assert_int_equal(state_of("mtu"), SP_PORT_ABSENT);
	assert_true(fixture.launch.plans[0].buffers >= 2048);
	assert_string_equal(fixture.port->name, "p0");
	sp_port_events_tick(fixture.events);
	assert_absent();
	fixture.ports[0].mtu = 0;
	assert_true(tick_until(0));
	assert_int_equal(state_of(""), SP_PORT_RUNNING);
	assert_true(device_runs());
	assert_int_equal(fixture.port->n_queues, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_happens, make, end),
		cmocka_unit_test_setup_teardown(test_reset_waits_for_workers, make, end),
		cmocka_unit_test_setup_teardown(test_restart_is_tried_again, make, end),
		cmocka_unit_test_setup_teardown(test_link_change_is_no_reset, make, end),
		cmocka_unit_test_setup_teardown(test_device_is_taken_away_and_comes_back, make, end),
		cmocka_unit_test_setup_teardown(test_kernel_asks_for_device, make, end),
		cmocka_unit_test_setup_teardown(test_absent_from_the_start, make_absent, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
