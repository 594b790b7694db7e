/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device names, and virtual devices brought to life. The latter through EAL without huge pages, unprivileged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <rte_ethdev.h>

#include "vnf/device.h"
#include "vnf/eal.h"

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		enum sp_device_kind kind;
		const char *name, *args;
	} good[] = {
		{"0000:00:06.0", SP_DEVICE_PCI, "0000:00:06.0", ""},
		{"00:06.0", SP_DEVICE_PCI, "0000:00:06.0", ""},
		{"0001:AF:1f.7", SP_DEVICE_PCI, "0001:af:1f.7", ""},
		{"52:54:00:12:34:5a", SP_DEVICE_MAC, "52:54:00:12:34:5A", ""},
		{"net_af_packet0,iface=veth0", SP_DEVICE_VDEV, "net_af_packet0", "iface=veth0"},
		{"net_pcap12,rx_pcap=a.pcap,tx_pcap=b.pcap", SP_DEVICE_VDEV, "net_pcap12", "rx_pcap=a.pcap,tx_pcap=b.pcap"},
		{"net_null0", SP_DEVICE_VDEV, "net_null0", ""},
		{"net_null", SP_DEVICE_VDEV, "net_null", ""},
		{"net_memif0,", SP_DEVICE_VDEV, "net_memif0", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct sp_device device;
		char why[256];

		assert_int_equal(sp_device_parse(good[i].text, &device, why, sizeof(why)), 0);
		assert_int_equal(device.kind, good[i].kind);
		assert_string_equal(device.text, good[i].text);
		assert_string_equal(device.shown, good[i].text);
		assert_string_equal(device.name, good[i].name);
		assert_string_equal(device.args, good[i].args);
	}
}

static void test_refused(void **state)
{
	static const char *const bad[][2] = {
		{"", "neither"},
		{"eth0", "neither"},
		{"net_af_paket0,iface=x", "did you mean \"net_af_packet\""},
		{"00:00:00:00:00:00", "belongs to no device"},
		{"ff:ff:ff:ff:ff:ff", "belongs to no device"},
		{"01:00:5e:00:00:01", "belongs to no device"},
		{"0000:00:20.0", "neither"},
		{"net_null00000000000000000000000000000000000000000000000000000000000000", "63 are the most"},
	};
	char text[300], why[256];
	struct sp_device device = {.kind = SP_DEVICE_NONE};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (sp_device_parse(bad[i][0], &device, why, sizeof(why)) == 0)
			fail_msg("\"%s\" is accepted", bad[i][0]);
		if (strstr(why, bad[i][1]) == NULL)
			fail_msg("%s: \"%s\" is not in \"%s\"", bad[i][0], bad[i][1], why);
		assert_int_equal(device.kind, SP_DEVICE_NONE);
	}
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_true(sp_device_parse(text, &device, why, sizeof(why)) < 0);
}

static int open_text(const char *text, uint16_t *ethdev, char why[256])
{
	struct sp_device device;

	assert_int_equal(sp_device_parse(text, &device, why, 256), 0);
	return sp_device_open(&device, ethdev, why, 256);
}

static void test_open(void **state)
{
	struct rte_eth_dev_info info;
	uint16_t ethdev = RTE_MAX_ETHPORTS, other = RTE_MAX_ETHPORTS;
	char why[256];

	(void)state;
	assert_int_equal(open_text("net_null3", &ethdev, why), 0);
	assert_int_equal(rte_eth_dev_info_get(ethdev, &info), 0);
	assert_string_equal(info.driver_name, "net_null");
	assert_int_equal(open_text("net_null4,size=128", &other, why), 0);
	assert_int_not_equal(ethdev, other);
	rte_eth_dev_close(ethdev);
	rte_eth_dev_close(other);
}

static void test_missing(void **state)
{
	static const char *const missing[][2] = {
		{"net_af_packet0,iface=nosuchiface", "no network interface \"nosuchiface\""},
		{"net_pcap0,rx_pcap=/nonexistent.pcap", "net_pcap0 could not be opened"},
		{"0000:7f:1f.7", "no PCI network device 0000:7f:1f.7"},
		{"52:54:00:ee:ee:ee", "has the MAC address 52:54:00:EE:EE:EE"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
		uint16_t ethdev = RTE_MAX_ETHPORTS;
		char why[256];

		assert_true(open_text(missing[i][0], &ethdev, why) < 0);
		if (strstr(why, missing[i][1]) == NULL)
			fail_msg("%s: \"%s\" is not in \"%s\"", missing[i][0], missing[i][1], why);
	}
}

/* Whatever is told of a device is read by more people than its secret is for. */
static void test_secrets_are_not_told(void **state)
{
	static const char text[] = "net_memif0,secret=hunter2,role=nobody,secret=hunter3";
	uint16_t ethdev = RTE_MAX_ETHPORTS;
	struct sp_device device;
	char why[256];

	(void)state;
	assert_int_equal(sp_device_parse(text, &device, why, sizeof(why)), 0);
	assert_string_equal(device.shown, "net_memif0,secret=...,role=nobody,secret=...");
	assert_string_equal(device.text, text);
	assert_true(sp_device_open(&device, &ethdev, why, sizeof(why)) < 0);
	if (strstr(why, "role=nobody") == NULL || strstr(why, "hunter") != NULL)
		fail_msg("\"%s\"", why);
	assert_true(sp_device_parse("net_mimif0,secret=hunter2", &device, why, sizeof(why)) < 0);
	if (strstr(why, "net_mimif0") == NULL || strstr(why, "hunter") != NULL)
		fail_msg("\"%s\"", why);
}

static int start(void **state)
{
	char why[SP_WHY_MAX];

	(void)state;
	if (sp_eal_start_command(64, why, sizeof(why)) == 0)
		return 0;
	print_error("%s\n", why);
	return -1;
}

static int stop(void **state)
{
	(void)state;
	sp_eal_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_secrets_are_not_told),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
