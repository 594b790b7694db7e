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
#include <sys/resource.h>
#include <unistd.h>

#include "mgmt/port_state.h"
#include "mgmt/ports.h"
#include "tests/unit/support/eal.h"
#include "tests/unit/support/netns.h"
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

static const struct sp_quirks tells_by_link = {.driver = "tells_by_link", .resets = SP_RESETS_LINK};

static int make_with(const char *device, uint16_t mtu, bool by_mac)
{
	const char *const devices[] = {device, "net_null1"};
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
	/* one that is named by its MAC is not opened anew after a restart */
	if (by_mac)
		fixture.ports[0].device.kind = SP_DEVICE_MAC;
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
	return make_with("net_null0", 0, false);
}

static int make_by_mac(void **state)
{
	(void)state;
	return make_with("net_null0", 0, true);
}

static int make_on_interface(void **state)
{
	(void)state;
	return make_with("net_af_packet0,iface=d0", 0, false);
}

/* No device takes such an MTU: the first port does not open. */
static int make_absent(void **state)
{
	(void)state;
	return make_with("net_null0", 20, false);
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
	rte_vdev_uninit("net_af_packet0");
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

static enum sp_port_state state_of(const char *says)
{
	char why[SP_PORT_WHY_MAX];
	enum sp_port_state state = sp_port_state_why(fixture.port, why);

	if (strstr(why, says) == NULL || (why[0] == '\0') != (state == SP_PORT_RUNNING))
		fail_msg("the state's reason is \"%s\", without \"%s\"", why, says);
	return state;
}

static void tick(unsigned int times)
{
	for (unsigned int i = 0; i < times; i++) {
		worker_ends_turn();
		sp_port_events_tick(fixture.events);
	}
}

/* A driver may take long: what else the control thread is wanted for gets its turn between two ports. */
static void test_one_device_in_a_tick(void **state)
{
	struct sp_port *ports = fixture.launch.dataplane->ports;
	uint32_t starts[] = {ports[0].starts, ports[1].starts};

	(void)state;
	raise_event(RTE_ETH_EVENT_INTR_RESET);
	rte_eth_dev_callback_process(rte_eth_dev_allocated("net_null1"), RTE_ETH_EVENT_INTR_RESET, NULL);
	sp_port_events_tick(fixture.events);
	assert_true(ports[0].paused == 1 && ports[1].paused == 1);
	tick(1);
	assert_int_equal(ports[0].starts - starts[0] + ports[1].starts - starts[1], 1);
	tick(1);
	assert_int_equal(ports[0].starts - starts[0], 1);
	assert_int_equal(ports[1].starts - starts[1], 1);
	assert_true(ports[0].paused == 0 && ports[1].paused == 0);
}

/* Readers get what there is without the device that somebody holds, and all of the others. */
static void test_a_held_device_keeps_nobody_waiting(void **state)
{
	struct sp_dataplane *dataplane = fixture.launch.dataplane;
	struct sp_port_report report;

	(void)state;
	dataplane->n_workers = 0; /* that have counters */
	sp_port_lock(fixture.port);
	sp_port_report(dataplane, 0, &report);
	assert_false(report.has_device);
	assert_true(report.link_up);
	sp_port_report(dataplane, 1, &report);
	assert_true(report.has_device);
	dataplane->ports[1].link_up = 0;
	sp_ports_watch(dataplane);
	assert_int_equal(dataplane->ports[1].link_up, 1);
	sp_port_unlock(fixture.port);
	sp_port_report(dataplane, 0, &report);
	assert_true(report.has_device);
	dataplane->n_workers = 1;
}

static void ticks_longer_than_first_wait(void)
{
	for (unsigned int i = 0; i < 10; i++) {
		tick(1);
		usleep(50000);
	}
}

/* A link that a restart took down is no sign of another reset when it comes up; later it is. */
static void test_own_restart_is_no_reset(void **state)
{
	uint32_t starts = fixture.port->starts;

	(void)state;
	fixture.launch.plans[0].quirks = &tells_by_link;
	raise_event(RTE_ETH_EVENT_INTR_RESET);
	tick(2);
	assert_int_equal(fixture.port->starts, starts + 1);
	assert_int_equal(fixture.port->paused, 0);
	__atomic_store_n(&fixture.port->link_up, 0, __ATOMIC_RELAXED);
	tick(1);
	__atomic_store_n(&fixture.port->link_up, 1, __ATOMIC_RELAXED);
	ticks_longer_than_first_wait();
	assert_int_equal(fixture.port->starts, starts + 1);

	__atomic_store_n(&fixture.port->link_up, 0, __ATOMIC_RELAXED);
	tick(1);
	__atomic_store_n(&fixture.port->link_up, 1, __ATOMIC_RELAXED);
	ticks_longer_than_first_wait();
	assert_int_equal(fixture.port->starts, starts + 2);
}

/* Out of descriptors, nothing is known of a device: that is no reason to take it for gone. */
static void test_without_descriptors_a_device_stays(void **state)
{
	struct rlimit before, none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	tick(1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(fixture.port->paused, 0);
	/* what is so is still seen, at the next look */
	sp_test_sh("ip link del d0");
	assert_true(tick_until(1));
	tick(2);
	assert_int_equal(state_of("no network interface"), SP_PORT_ABSENT);
}

static void test_link_change_is_no_reset(void **state)
{
	(void)state;
	raise_event(RTE_ETH_EVENT_INTR_LSC);
	worker_ends_turn();
	sp_port_events_tick(fixture.events);
	assert_int_equal(fixture.port->paused, 0);
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
	/* as it would be after a restart that failed late */
	__atomic_store_n(&fixture.port->link_up, 1, __ATOMIC_RELAXED);
	/* workers read the zones of a paused port: they are written once */
	fixture.ports[0].zone = 7;
	worker_ends_turn();
	sp_port_events_tick(fixture.events);
	assert_absent();
	assert_int_equal(state_of("taken away"), SP_PORT_ABSENT);

	/* the worker was not asked again: a port without a device is nobody's */
	sp_port_events_tick(fixture.events);
	assert_int_equal(fixture.port->paused, 0);
	assert_int_equal(state_of(""), SP_PORT_RUNNING);
	assert_int_equal(fixture.port->zone[0], 0);
	assert_int_equal(fixture.port->zone[4095], 0);
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

/* Each net_null0 has another MAC: of one that does not start nothing is kept. */
static void test_device_that_does_not_start_leaves_the_mac(void **state)
{
	struct rte_mempool *pool = fixture.launch.pool;
	uint64_t mac = fixture.port->mac_word;

	(void)state;
	raise_event(RTE_ETH_EVENT_INTR_RMV);
	fixture.launch.pool = NULL;
	tick(3);
	fixture.launch.pool = pool;
	assert_absent();
	assert_int_equal(state_of("rx queue"), SP_PORT_ABSENT);
	assert_true(fixture.port->mac_word == mac);
	assert_true(tick_until(0));
	assert_true(fixture.port->mac_word != mac);
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

static int begin(void **state)
{
	(void)state;
	sp_test_netns();
	sp_test_sh("ip link add d0 type veth peer name d1 && ip link set d0 up");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_happens, make, end),
		cmocka_unit_test_setup_teardown(test_reset_waits_for_workers, make, end),
		cmocka_unit_test_setup_teardown(test_restart_is_tried_again, make, end),
		cmocka_unit_test_setup_teardown(test_one_device_in_a_tick, make, end),
		cmocka_unit_test_setup_teardown(test_a_held_device_keeps_nobody_waiting, make, end),
		cmocka_unit_test_setup_teardown(test_own_restart_is_no_reset, make_by_mac, end),
		cmocka_unit_test_setup_teardown(test_without_descriptors_a_device_stays, make_on_interface, end),
		cmocka_unit_test_setup_teardown(test_link_change_is_no_reset, make, end),
		cmocka_unit_test_setup_teardown(test_device_is_taken_away_and_comes_back, make, end),
		cmocka_unit_test_setup_teardown(test_kernel_asks_for_device, make, end),
		cmocka_unit_test_setup_teardown(test_device_that_does_not_start_leaves_the_mac, make, end),
		cmocka_unit_test_setup_teardown(test_absent_from_the_start, make_absent, end),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
