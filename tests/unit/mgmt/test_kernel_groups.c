/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Groups and further addresses of Linux on real TAPs, in a network namespace of the test's own; an ordinary user makes it in a user
 * namespace.
 */
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mgmt/kernel/kernel.h"
#include "tests/unit/mgmt/kernel_fixture.h"
#include "tests/unit/support/netns.h"

#define GROUP(n)                          \
	{                                 \
		0x33, 0x33, 0, 0, 0x77, n \
	}

static struct sp_kernel_groups groups;

/* "wan" and its VLAN "guest" are of port 0, "lan" of port 1. */
static int begin(void **state)
{
	const struct sp_route_config config = {.max4 = 1024, .max6 = 1024, .neighbours = 64};
	static const struct {
		const char *name;
		uint16_t port;
	} links[] = {{"wan", 0}, {"lan", 1}, {"guest", 0}};
	char why[256] = "";

	(void)state;
	sp_test_netns();
	sp_test_eal();
	dataplane.routing = sp_routing_create(&config, NULL, SOCKET_ID_ANY);
	assert_non_null(dataplane.routing);
	dataplane.n_ports = 2;
	for (unsigned int i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		struct sp_link link = {.mtu = 1500, .port = links[i].port, .vlan = i == 2 ? 20 : 0};

		snprintf(link.name, sizeof(link.name), "%s", links[i].name);
		memcpy(link.mac, mac, sizeof(mac));
		assert_int_equal(sp_routing_add_link(dataplane.routing, &link), 0);
	}
	kernel = sp_kernel_create(&dataplane, NULL, NULL, why, sizeof(why));
	if (kernel == NULL)
		fail_msg("%s", why);
	return 0;
}

static int end(void **state)
{
	(void)state;
	sp_kernel_free(kernel);
	sp_routing_free(dataplane.routing);
	return 0;
}

/* A group of layer 2, as a program that needs none of layer 3 joins it. */
static void join(const char *interface, const uint8_t group[6], bool leave)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	memcpy(request.ifr_hwaddr.sa_data, group, 6);
	assert_int_equal(ioctl(fd, leave ? SIOCDELMULTI : SIOCADDMULTI, &request), 0);
	close(fd);
}

static bool listens(uint16_t port, const uint8_t group[6])
{
	assert_int_equal(sp_kernel_groups(kernel, port, &groups), 0);
	for (unsigned int i = 0; i + 1 < groups.n_groups; i++)
		assert_true(memcmp(groups.groups[i], groups.groups[i + 1], 6) < 0);
	for (unsigned int i = 0; i < groups.n_groups; i++)
		if (memcmp(groups.groups[i], group, 6) == 0)
			return true;
	return false;
}

static void test_groups_of_a_port(void **state)
{
	static const uint8_t all_hosts[6] = {0x01, 0x00, 0x5e, 0, 0, 1};
	static const uint8_t first[6] = GROUP(1), second[6] = GROUP(2);

	(void)state;
	/* what Linux joins on every interface that is up */
	assert_true(listens(0, all_hosts));
	assert_false(groups.cut);
	assert_int_equal(groups.n_addresses, 0);
	join("wan", first, false);
	join("guest", second, false);
	assert_true(listens(0, first));
	assert_true(listens(0, second));
	assert_false(listens(1, first));
	join("wan", first, true);
	assert_false(listens(0, first));
	/* on both it is still one */
	join("wan", second, false);
	assert_true(listens(0, second));
	join("guest", second, true);
	assert_true(listens(0, second));
}

static void test_equal_questions_equal_answers(void **state)
{
	struct sp_kernel_groups before;

	(void)state;
	memset(&before, 0xa5, sizeof(before));
	memset(&groups, 0x5a, sizeof(groups));
	assert_int_equal(sp_kernel_groups(kernel, 0, &before), 0);
	assert_int_equal(sp_kernel_groups(kernel, 0, &groups), 0);
	assert_memory_equal(&before, &groups, sizeof(groups));
}

/* As VRRP's virtual router has one. */
static void test_addresses_of_interfaces_on_it(void **state)
{
	static const uint8_t virtual[6] = {0, 0, 0x5e, 0, 1, 7};

	(void)state;
	sp_test_sh("ip link add vrrp.7 link lan address 00:00:5e:00:01:07 type macvlan mode private && ip link set vrrp.7 up");
	assert_int_equal(sp_kernel_groups(kernel, 1, &groups), 0);
	assert_int_equal(groups.n_addresses, 1);
	assert_memory_equal(groups.addresses[0], virtual, 6);
	assert_int_equal(sp_kernel_groups(kernel, 0, &groups), 0);
	assert_int_equal(groups.n_addresses, 0);
	sp_test_sh("ip link del vrrp.7");
	assert_int_equal(sp_kernel_groups(kernel, 1, &groups), 0);
	assert_int_equal(groups.n_addresses, 0);
}

static void test_more_than_fit(void **state)
{
	uint8_t group[6] = {0x33, 0x33, 0, 1, 0, 0};

	(void)state;
	for (unsigned int i = 0; i < SP_KERNEL_GROUPS_MAX + 2; i++) {
		group[5] = (uint8_t)i;
		join("lan", group, false);
	}
	assert_int_equal(sp_kernel_groups(kernel, 1, &groups), 0);
	assert_true(groups.cut);
	assert_int_equal(groups.n_groups, SP_KERNEL_GROUPS_MAX);
	assert_false(groups.cut_addresses);
	sp_test_sh("for i in 1 2 3 4 5 6 7 8 9; do ip link add v$i link lan address 00:00:5e:00:01:0$i type macvlan mode private && "
		   "ip link set v$i up; done");
	assert_int_equal(sp_kernel_groups(kernel, 1, &groups), 0);
	assert_true(groups.cut_addresses);
	assert_int_equal(groups.n_addresses, SP_KERNEL_ADDRESSES_MAX);
}

static void test_interface_is_gone(void **state)
{
	(void)state;
	sp_test_sh("ip link del lan");
	assert_int_equal(sp_kernel_groups(kernel, 1, &groups), 0);
	assert_int_equal(groups.n_groups, 0);
	/* the others are as they were */
	assert_int_equal(sp_kernel_groups(kernel, 0, &groups), 0);
	assert_int_not_equal(groups.n_groups, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups_of_a_port),
		cmocka_unit_test(test_equal_questions_equal_answers),
		cmocka_unit_test(test_addresses_of_interfaces_on_it),
		cmocka_unit_test(test_more_than_fit),
		cmocka_unit_test(test_interface_is_gone),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
