/* SPDX-License-Identifier: BSD-3-Clause */
/* Which zone a frame is of, by port and VLAN. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rules/match.h"
#include "vnf/port.h"

#define REST "rules = \"/etc/sallyport/rules.d/main.rules\";\n"

static void test_zones_of_vlans(void **state)
{
	static const char text[] = "mode = \"wire\";\n" REST "ports = (\n"
				   "  { name = \"a\"; device = \"net_null0\"; zone = \"x\"; peer = \"b\"; },\n"
				   "  { name = \"b\"; device = \"net_null1\"; zone = \"y\"; peer = \"a\"; },\n"
				   "  { name = \"guest\"; parent = \"a\"; vlan = 20; zone = \"guest\"; },\n"
				   "  { name = \"last\"; parent = \"a\"; vlan = 4094; zone = \"y\"; }\n"
				   ");\n";
	static struct sp_port port;
	struct sp_diags diags = {0};
	struct sp_config *config = sp_config_read(text, sizeof(text) - 1, "test.conf", &diags);

	(void)state;
	sp_diags_print(&diags, stderr);
	assert_non_null(config);
	/* divided: a tag that nobody defined has no zone */
	sp_port_zones(&port, config, &config->ports[0]);
	for (unsigned int vlan = 0; vlan < 4096; vlan++) {
		const char *want = vlan == 0 ? "x" : vlan == 20 ? "guest" : vlan == 4094 ? "y" : NULL;

		if (want == NULL)
			assert_int_equal(port.zone[vlan], SP_MATCH_NO_ZONE);
		else
			assert_string_equal(config->zones.name[port.zone[vlan]], want);
	}
	/* undivided: every frame is of the port's */
	sp_port_zones(&port, config, &config->ports[1]);
	for (unsigned int vlan = 0; vlan < 4096; vlan++)
		assert_int_equal(port.zone[vlan], config->ports[1].zone);
	sp_config_free(config);
	sp_diags_clear(&diags);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_zones_of_vlans)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
