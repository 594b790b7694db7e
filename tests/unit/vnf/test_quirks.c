/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of drivers: its rows, how they are found, and that the manual has the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_ethdev.h>

#include "tests/unit/support/eal.h"
#include "vnf/device.h"
#include "vnf/quirks.h"

#define MANUAL "images/man/sallyport.8"

static void test_rows_are_whole(void **state)
{
	unsigned int n = 0;

	(void)state;
	for (const struct sp_quirks *row; (row = sp_quirks_row(n)) != NULL; n++) {
		assert_ptr_equal(sp_quirks_find(row->driver), row);
		assert_true(row->kernel[0] == '-' || sp_quirks_of_kernel(row->kernel) == row);
		assert_true(row->bind < SP_BIND_COUNT && row->promiscuous < SP_PROMISC_COUNT && row->groups < SP_GROUPS_COUNT);
		assert_true(row->tags < SP_TAGS_COUNT && row->resets < SP_RESETS_COUNT && row->hash < SP_HASHES_COUNT);
		assert_true(row->tested < SP_TESTED_COUNT);
		assert_true(row->devices[0] != '\0' && row->source[0] != '\0' && row->note != NULL);
	}
	assert_true(n >= 20);
}

static void test_finding(void **state)
{
	(void)state;
	assert_int_equal(sp_quirks_find("net_e1000_igb_vf")->resets, SP_RESETS_LINK);
	assert_int_equal(sp_quirks_find("net_iavf")->tags, SP_TAGS_FILTER);
	/* what nobody knows is asked for little, and has no filter that keeps frames away */
	assert_string_equal(sp_quirks_find("net_new")->driver, "other");
	assert_int_equal(sp_quirks_find("net_new")->tags, SP_TAGS_OPEN);
	assert_string_equal(sp_quirks_find(NULL)->driver, "other");
	assert_int_equal(sp_quirks_of_kernel("mlx5_core")->bind, SP_BIND_KERNEL);
	assert_null(sp_quirks_of_kernel("-"));
	assert_null(sp_quirks_of_kernel("vfio-pci"));
}

/* The names are DPDK's: of those that open without a device each. */
static void test_names_are_dpdks(void **state)
{
	static const char *const devices[] = {"net_null7", "net_ring7"};

	(void)state;
	sp_test_eal();
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		struct rte_eth_dev_info info;
		struct sp_device device;
		char why[512];
		uint16_t ethdev;

		assert_int_equal(sp_device_parse(devices[i], &device, why, sizeof(why)), 0);
		if (sp_device_open(&device, &ethdev, why, sizeof(why)) != 0)
			fail_msg("%s", why);
		assert_int_equal(rte_eth_dev_info_get(ethdev, &info), 0);
		assert_string_equal(sp_quirks_find(info.driver_name)->driver, info.driver_name);
		rte_eth_dev_close(ethdev);
	}
}

static char *read_all(FILE *file)
{
	char *text = calloc(1, 1u << 20);

	assert_non_null(file);
	assert_non_null(text);
	assert_true(fread(text, 1, (1u << 20) - 1, file) > 0);
	fclose(file);
	return text;
}

static void test_manual_has_the_table(void **state)
{
	char *printed, *manual, *end, *at;
	FILE *file = tmpfile();

	(void)state;
	assert_non_null(file);
	sp_quirks_print(file);
	rewind(file);
	printed = read_all(file);
	end = strstr(printed, "\n\n");
	assert_non_null(end);
	end[1] = '\0';
	manual = read_all(fopen(MANUAL, "r"));
	at = strstr(manual, ".Bd -literal\nDRIVER");
	assert_non_null(at);
	at += strlen(".Bd -literal\n");
	end = strstr(at, ".Ed\n");
	assert_non_null(end);
	*end = '\0';
	assert_string_equal(at, printed);
	free(printed);
	free(manual);
}

static void test_lines_fit(void **state)
{
	FILE *file = tmpfile();
	char *line = NULL;
	size_t size = 0;

	(void)state;
	assert_non_null(file);
	sp_quirks_print(file);
	rewind(file);
	while (getline(&line, &size, file) > 0)
		if (strlen(line) > 80)
			fail_msg("%s", line);
	free(line);
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_are_whole),
		cmocka_unit_test(test_finding),
		cmocka_unit_test(test_names_are_dpdks),
		cmocka_unit_test(test_manual_has_the_table),
		cmocka_unit_test(test_lines_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
