/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MAC and MTU of links: what the device has, what Linux was given, and which of them wins.
 */
#include <linux/if.h>

#include "mgmt/ports.h"
#include "tests/unit/mgmt/kernel_fixture.h"

static const uint8_t first[6] = {2, 0, 0, 0, 0, 1}, second[6] = {2, 0, 0, 0, 0, 2}, chosen[6] = {2, 0, 0, 0, 0, 9};

static const struct sp_link *link_of(unsigned int i)
{
	return &dataplane.routing->links[i];
}

/* Linux says what an interface has. */
static void linux_says(int ifindex, const uint8_t *its_mac, uint32_t mtu)
{
	struct nlmsghdr *header = make_link(&message, RTM_NEWLINK, ifindex, ifindex == WAN ? "wan" : "lan", IFF_UP | IFF_RUNNING);

	mnl_attr_put(header, IFLA_ADDRESS, 6, its_mac);
	mnl_attr_put_u32(header, IFLA_MTU, mtu);
	take(header, 0);
}

static void device_has(const uint8_t *its_mac, uint16_t mtu)
{
	sp_mac_store(&dataplane.ports[0].mac_word, its_mac);
	dataplane.ports[0].mtu = mtu;
	sp_kernel_port_changed(kernel, &dataplane.ports[0]);
}

static int setup_links(void **state)
{
	setup(state);
	sp_mac_store(&dataplane.ports[0].mac_word, first);
	for (unsigned int i = 0; i < 2; i++)
		sp_mac_store(&dataplane.routing->links[i].mac_word, first);
	return 0;
}

static void test_links_follow_the_device(void **state)
{
	(void)state;
	device_has(second, 1500);
	for (unsigned int i = 0; i < 2; i++)
		assert_memory_equal(link_of(i)->mac, second, 6);
	/* what Linux said before it heard of the change is no wish of its own */
	linux_says(WAN, first, 1500);
	assert_memory_equal(link_of(0)->mac, second, 6);
	linux_says(WAN, second, 1500);
	assert_memory_equal(link_of(0)->mac, second, 6);
	/* once it has heard, the same MAC is a wish */
	linux_says(WAN, first, 1500);
	assert_memory_equal(link_of(0)->mac, first, 6);
	device_has(chosen, 1500);
	assert_memory_equal(link_of(0)->mac, first, 6);
	assert_memory_equal(link_of(1)->mac, chosen, 6);
}

static void test_a_mac_of_linux_stays(void **state)
{
	(void)state;
	linux_says(WAN, chosen, 1500);
	assert_memory_equal(link_of(0)->mac, chosen, 6);
	device_has(second, 1500);
	assert_memory_equal(link_of(0)->mac, chosen, 6);
	assert_memory_equal(link_of(1)->mac, second, 6);
	/* back to the device's: from now on it follows again */
	linux_says(WAN, second, 1500);
	device_has(first, 1500);
	assert_memory_equal(link_of(0)->mac, first, 6);
}

/* A device that is being restarted holds up no TAPs: its MAC is taken over, and asked for once it runs. */
static void test_a_mac_while_the_device_is_held(void **state)
{
	(void)state;
	sp_port_lock(&dataplane.ports[0]);
	linux_says(WAN, chosen, 1500);
	sp_port_unlock(&dataplane.ports[0]);
	assert_memory_equal(link_of(0)->mac, chosen, 6);
	device_has(second, 1500);
	assert_memory_equal(link_of(0)->mac, chosen, 6);
}

static void test_mtu(void **state)
{
	(void)state;
	linux_says(WAN, first, 1400);
	linux_says(LAN, first, 1500);
	assert_int_equal(link_of(0)->mtu, 1400);
	device_has(first, 9000);
	assert_int_equal(link_of(0)->mtu, 1400);
	assert_int_equal(link_of(1)->mtu, 9000);
	device_has(first, 1300);
	assert_int_equal(link_of(0)->mtu, 1300);
	assert_int_equal(link_of(1)->mtu, 1300);
	device_has(first, 1500);
	assert_int_equal(link_of(0)->mtu, 1500);
	/* Linux may say more than the port takes */
	linux_says(WAN, first, 9000);
	assert_int_equal(link_of(0)->mtu, 1500);
}

/* A port that never had a device: its links have what Linux gave them, until it gets one. */
static void test_first_device(void **state)
{
	(void)state;
	dataplane.ports[0].mac_word = 0;
	sp_kernel_port_changed(kernel, &dataplane.ports[0]);
	assert_memory_equal(link_of(0)->mac, first, 6);
	device_has(second, 1500);
	assert_memory_equal(link_of(0)->mac, second, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_links_follow_the_device, setup_links, teardown),
		cmocka_unit_test_setup_teardown(test_a_mac_of_linux_stays, setup_links, teardown),
		cmocka_unit_test_setup_teardown(test_a_mac_while_the_device_is_held, setup_links, teardown),
		cmocka_unit_test_setup_teardown(test_mtu, setup_links, teardown),
		cmocka_unit_test_setup_teardown(test_first_device, setup_links, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
