/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is asked of devices, seen from Linux: ports on DPDK's TAPs and on a packet socket, and Linux's side of route mode, in a network
 * namespace of the test's own. An ordinary user makes it in a user namespace.
 */
#include <errno.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_bus_vdev.h>
#include <rte_ethdev.h>

#include "tests/unit/support/eal.h"
#include "tests/unit/support/netns.h"
#include "vnf/launch.h"
#include "vnf/port_attach.h"
#include "vnf/port_configure.h"
#include "vnf/port_filters.h"

#define REST "rules = \"/etc/sallyport/rules.d/main.rules\";\n"

static struct sp_launch launch;
static struct sp_config *config;
static char said[2048]; /* on stderr while it was listened to */

/* Flags of an interface, or its MTU. */
static int of_interface(const char *name, unsigned long what)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), rc;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	rc = ioctl(fd, what, &request);
	close(fd);
	if (rc != 0)
		fail_msg("%s: %s", name, strerror(errno));
	return what == SIOCGIFFLAGS ? request.ifr_flags : request.ifr_mtu;
}

static FILE *heard;
static int usual;

static void listen_to_stderr(void)
{
	heard = tmpfile();
	assert_non_null(heard);
	fflush(stderr);
	usual = dup(STDERR_FILENO);
	dup2(fileno(heard), STDERR_FILENO);
}

static void listen_no_more(void)
{
	fflush(stderr);
	dup2(usual, STDERR_FILENO);
	close(usual);
	rewind(heard);
	said[fread(said, 1, sizeof(said) - 1, heard)] = '\0';
	fclose(heard);
}

static void bring_up(const char *text, unsigned int n_workers)
{
	static const uint32_t timeouts[SP_STATE_COUNT];
	struct sp_launch_options options = {.n_workers = n_workers, .timeout_sec = timeouts, .limit_sources = 64};
	struct sp_diags diags = {0};
	char why[SP_WHY_MAX] = "";
	int rc;

	config = sp_config_read(text, strlen(text), "test.conf", &diags);
	sp_diags_print(&diags, stderr);
	sp_diags_clear(&diags);
	assert_non_null(config);
	assert_int_equal(sp_launch_begin(&launch, &options, why), 0);
	listen_to_stderr();
	rc = sp_launch_ports(&launch, config, why);
	listen_no_more();
	if (rc != 0)
		fail_msg("%s", why);
}

static int take_down(void **state)
{
	(void)state;
	sp_launch_end(&launch);
	for (unsigned int i = 0; i < config->n_ports; i++)
		rte_vdev_uninit(config->ports[i].device.name);
	sp_config_free(config);
	config = NULL;
	return 0;
}

static int begin(void **state)
{
	(void)state;
	sp_test_netns();
	sp_test_eal();
	return 0;
}

static void test_wire_mode_takes_all(void **state)
{
	(void)state;
	bring_up("mode = \"wire\";\n" REST "ports = ({ name = \"a\"; device = \"net_tap0,iface=ta\"; zone = \"x\"; peer = \"b\"; },\n"
		 "{ name = \"b\"; device = \"net_tap1,iface=tb\"; zone = \"y\"; peer = \"a\"; });\n",
		1);
	assert_true((of_interface("ta", SIOCGIFFLAGS) & IFF_PROMISC) != 0);
	assert_true((of_interface("tb", SIOCGIFFLAGS) & IFF_ALLMULTI) != 0);
	assert_string_equal(said, "");
}

static void test_route_mode_takes_its_own(void **state)
{
	(void)state;
	bring_up("mode = \"route\";\n" REST "ports = ({ name = \"a\"; device = \"net_tap0,iface=ta\"; zone = \"x\"; });\n", 1);
	assert_true((of_interface("ta", SIOCGIFFLAGS) & IFF_PROMISC) == 0);
	/* the driver's row says that it takes no list */
	assert_true((of_interface("ta", SIOCGIFFLAGS) & IFF_ALLMULTI) != 0);
}

/* A list while it fits, all groups while it does not. */
static void test_list_or_all(void **state)
{
	static const struct rte_ether_addr groups[3] = {{{0x33, 0x33, 0, 0, 0, 1}}, {{0x33, 0x33, 0, 0, 0, 2}}, {{0x33, 0x33, 0, 0, 0, 3}}};
	const struct sp_quirks two = {.driver = "two", .groups = SP_GROUPS_LIST, .groups_max = 2};
	const struct sp_port *port;

	(void)state;
	bring_up("mode = \"route\";\n" REST "ports = ({ name = \"a\"; device = \"net_tap0,iface=ta\"; zone = \"x\"; });\n", 1);
	port = &launch.dataplane->ports[0];
	assert_int_equal(sp_port_multicast(port, &two, groups, 2), 0);
	assert_true((of_interface("ta", SIOCGIFFLAGS) & IFF_ALLMULTI) == 0);
	assert_int_equal(sp_port_multicast(port, &two, groups, 3), 0);
	assert_true((of_interface("ta", SIOCGIFFLAGS) & IFF_ALLMULTI) != 0);
	assert_int_equal(sp_port_multicast(port, &two, groups, 1), 0);
	assert_true((of_interface("ta", SIOCGIFFLAGS) & IFF_ALLMULTI) == 0);
}

/* More than are listed are not named, whatever a device could take. */
static void test_more_groups_than_are_listed(void **state)
{
	static const struct rte_ether_addr groups[SP_PORT_GROUPS_MAX + 1];
	const struct sp_quirks many = {.driver = "many", .groups = SP_GROUPS_LIST, .groups_max = 200};
	const struct sp_port *port;

	(void)state;
	bring_up("mode = \"route\";\n" REST "ports = ({ name = \"a\"; device = \"net_tap0,iface=ta\"; zone = \"x\"; });\n", 1);
	port = &launch.dataplane->ports[0];
	assert_int_equal(sp_port_multicast(port, &many, groups, SP_PORT_GROUPS_MAX), 0);
	assert_true((of_interface("ta", SIOCGIFFLAGS) & IFF_ALLMULTI) == 0);
	assert_int_equal(sp_port_multicast(port, &many, groups, SP_PORT_GROUPS_MAX + 1), 0);
	assert_true((of_interface("ta", SIOCGIFFLAGS) & IFF_ALLMULTI) != 0);
}

/* A packet socket takes no frames longer than those of plain Ethernet. */
static void test_mtu_backs_off(void **state)
{
	char want[80], why[SP_WHY_MAX];
	struct sp_port *port;

	(void)state;
	sp_test_sh("ip link add d0 type veth peer name d1 && ip link set d0 up");
	bring_up("mode = \"route\";\n" REST
		 "ports = ({ name = \"a\"; device = \"net_af_packet0,iface=d0\"; zone = \"x\"; mtu = 9000; });\n",
		1);
	port = &launch.dataplane->ports[0];
	assert_int_equal(port->mtu, 1500);
	assert_int_equal(port->mtu, of_interface("d0", SIOCGIFMTU));
	/* Linux's end is as long */
	assert_int_equal(launch.dataplane->routing->links[0].mtu, port->mtu);
	snprintf(want, sizeof(want), "port a (net_af_packet0,iface=d0): mtu 9000 is refused; %u is in force", port->mtu);
	if (strstr(said, want) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", want, said);
	/* it is told once, however often the device is opened anew */
	sp_port_detach(port);
	listen_to_stderr();
	assert_int_equal(sp_port_attach(&launch, config, &config->ports[0], 0, why), 0);
	listen_no_more();
	assert_int_equal(port->mtu, 1500);
	assert_string_equal(said, "");
}

static void test_mtu_that_fits(void **state)
{
	(void)state;
	sp_test_sh("ip link set d0 mtu 1500");
	bring_up("mode = \"route\";\n" REST
		 "ports = ({ name = \"a\"; device = \"net_af_packet0,iface=d0\"; zone = \"x\"; mtu = 1400; });\n",
		1);
	assert_int_equal(launch.dataplane->ports[0].mtu, 1400);
	assert_int_equal(of_interface("d0", SIOCGIFMTU), 1400);
	assert_string_equal(said, "");
}

static void test_rungs(void **state)
{
	uint16_t mtu = 9216;
	unsigned int n = 0;

	(void)state;
	for (uint16_t next; (next = sp_port_lower_mtu(mtu)) != 0; mtu = next, n++)
		assert_true(next < mtu);
	assert_int_equal(mtu, 1500);
	assert_true(n > 4);
	assert_int_equal(sp_port_lower_mtu(0), 0);
	assert_int_equal(sp_port_lower_mtu(1280), 0);
}

/* One packet socket has one queue, whatever is wished. */
static void test_queues_are_masked(void **state)
{
	(void)state;
	bring_up("mode = \"route\";\n" REST
		 "ports = ({ name = \"a\"; device = \"net_af_packet0,iface=d0\"; zone = \"x\"; queues = 4; });\n",
		2);
	assert_int_equal(launch.dataplane->ports[0].n_queues, 1);
	assert_int_equal(launch.dataplane->ports[0].rss, SP_RSS_NONE);
	if (strstr(said, "warning: port a (net_af_packet0,iface=d0): net_af_packet has 1 rx queues") == NULL)
		fail_msg("\"%s\"", said);
}

static uint64_t word_of(const uint8_t mac[6])
{
	uint64_t word = 0;

	sp_mac_store(&word, mac);
	return sp_mac_load(&word);
}

/* An interface of Linux on the TAP, with a MAC address of its own: workers take frames to it, until it is gone. */
static void test_further_addresses(void **state)
{
	static const uint8_t virtual[6] = {0, 0, 0x5e, 0, 1, 7};
	struct sp_port_filters *filters;
	struct sp_kernel *kernel;
	struct sp_port *port;
	char why[256] = "";

	(void)state;
	bring_up("mode = \"route\";\n" REST "ports = ({ name = \"wan\"; device = \"net_null0\"; zone = \"x\"; });\n", 1);
	port = &launch.dataplane->ports[0];
	kernel = sp_kernel_create(launch.dataplane, launch.pool, NULL, why, sizeof(why));
	if (kernel == NULL)
		fail_msg("%s", why);
	filters = sp_port_filters_begin(&launch, kernel);
	sp_port_filters_tick(filters, NULL);
	assert_int_equal(port->more_macs[0], 0);
	sp_test_sh("ip link add vrrp.7 link wan address 00:00:5e:00:01:07 type macvlan mode private && ip link set vrrp.7 up");
	sp_port_filters_tick(filters, NULL);
	assert_true(sp_mac_load(&port->more_macs[0]) == word_of(virtual));
	assert_int_equal(port->more_macs[1], 0);
	sp_test_sh("ip link del vrrp.7");
	sp_port_filters_tick(filters, NULL);
	assert_int_equal(port->more_macs[0], 0);
	/* what does not fit is told */
	sp_test_sh("for i in 1 2 3 4 5 6 7 8 9; do ip link add v$i link wan address 00:00:5e:00:01:0$i type macvlan mode private && "
		   "ip link set v$i up; done");
	listen_to_stderr();
	sp_port_filters_tick(filters, NULL);
	sp_port_filters_tick(filters, NULL);
	listen_no_more();
	if (strstr(said, "more than 8 MAC addresses") == NULL || strstr(strstr(said, "more than 8") + 1, "more than 8") != NULL)
		fail_msg("\"%s\"", said);
	sp_test_sh("for i in 1 2 3 4 5 6 7 8 9; do ip link del v$i; done");
	sp_port_filters_end(filters);
	sp_kernel_stop(kernel);
	sp_test_sh("ip link del wan");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_wire_mode_takes_all, take_down),
		cmocka_unit_test_teardown(test_route_mode_takes_its_own, take_down),
		cmocka_unit_test_teardown(test_list_or_all, take_down),
		cmocka_unit_test_teardown(test_more_groups_than_are_listed, take_down),
		cmocka_unit_test_teardown(test_mtu_backs_off, take_down),
		cmocka_unit_test_teardown(test_mtu_that_fits, take_down),
		cmocka_unit_test(test_rungs),
		cmocka_unit_test_teardown(test_queues_are_masked, take_down),
		cmocka_unit_test_teardown(test_further_addresses, take_down),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
