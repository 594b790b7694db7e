/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration of routed mode: what a good file gives, and that each fault is told with its line and what to do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rules/match.h"
#include "rules/scan.h"
#include "vnf/config.h"

#define PAIR                                                                                 \
	"ports = (\n"                                                                        \
	"  { name = \"in\"; device = \"net_null0\"; zone = \"inside\"; peer = \"out\"; },\n" \
	"  { name = \"out\"; device = \"net_null1\"; zone = \"outside\"; peer = \"in\"; }\n" \
	");\n"

static struct sp_config *read_text(const char *text, struct sp_diags *diags)
{
	return sp_config_read(text, strlen(text), "conf/test.conf", diags);
}

static struct sp_config *read_good(const char *text)
{
	struct sp_diags diags = {0};
	struct sp_config *config = read_text(text, &diags);

	if (config == NULL)
		sp_diags_print(&diags, stderr);
	assert_non_null(config);
	assert_int_equal(diags.errors, 0);
	sp_diags_clear(&diags);
	return config;
}

#define ROUTER(rest)                                                                            \
	"mode = \"route\";\nports = (\n"                                                        \
	"  { name = \"wan\"; device = \"net_null0\"; zone = \"outside\"; rpf = \"loose\"; },\n" \
	"  { name = \"lan\"; device = \"net_null1\"; },\n"                                      \
	"  { name = \"guest\"; parent = \"lan\"; vlan = 20; zone = \"guest\"; rpf = \"off\"; }\n" rest ");\n"

static void test_defaults(void **state)
{
	struct sp_config *config = read_good(ROUTER(""));

	(void)state;
	assert_int_equal(config->mode, SP_MODE_ROUTE);
	assert_int_equal(config->zones.n, 3);
	assert_int_equal(config->zone_self, 2);
	assert_string_equal(config->zones.name[config->zone_self], "self");
	assert_true(config->zones.closed);
	assert_int_equal(config->route.rpf, SP_RPF_STRICT);
	assert_int_equal(config->route.max4, 131072);
	assert_int_equal(config->route.max6, 32768);
	assert_int_equal(config->route.neighbours, 8192);
	assert_int_equal(config->route.queue, 16);
	assert_int_equal(config->route.waiting, 1024);
	assert_int_equal(config->route.self_rate[SP_SELF_ARP], 1000);
	assert_int_equal(config->route.self_rate[SP_SELF_DHCP], 100);
	assert_int_equal(config->route.self_rate[SP_SELF_OTHER], 10000);
	assert_int_equal(config->route.errors, 100);
	assert_null(config->netns);
	for (unsigned int i = 0; i < config->n_ports; i++) {
		assert_int_equal(config->ports[i].peer, -1);
		assert_int_equal(config->ports[i].domain, 0);
	}
	assert_int_equal(config->ports[0].rpf, SP_RPF_LOOSE);
	assert_int_equal(config->ports[1].rpf, SP_RPF_STRICT);
	assert_int_equal(config->ports[2].rpf, SP_RPF_OFF);
	assert_int_equal(config->ports[1].zone, SP_MATCH_NO_ZONE);
	assert_int_equal(config->ports[2].parent, 1);
	sp_config_free(config);

	/* A name that begins another is another; and in a namespace of their own interfaces may have any. */
	config = read_good(ROUTER(",{ name = \"eth\"; device = \"net_af_packet0,iface=eth0\"; }"));
	sp_config_free(config);
	config = read_good("route = { namespace = \"r\"; };" ROUTER(",{ name = \"eth0\"; device = \"net_af_packet0,iface=eth0\"; }"));
	sp_config_free(config);

	/* One port will do: a router on a stick. */
	config = read_good("mode = \"route\"; ports = ( { name = \"one\"; device = \"net_null0\"; } );\n");
	assert_int_equal(config->zone_self, 0);
	sp_config_free(config);
	config = read_good(PAIR);
	assert_int_equal(config->mode, SP_MODE_WIRE);
	assert_int_equal(config->zone_self, SP_MATCH_NO_ZONE);
	assert_int_equal(config->zones.n, 2);
	sp_config_free(config);
}

static void test_every_key(void **state)
{
	struct sp_config *config =
		read_good("route = { rpf = \"off\"; max4 = 1000000; max6 = 1024; neighbours = 64; queue = 3; waiting = 64; errors = 0;\n"
			  "self_rate = { arp = 1; nd = 2; icmp = 3; dhcp = 4; other = 0; }; namespace = \"edge\"; };\n" ROUTER(""));

	(void)state;
	assert_int_equal(config->route.rpf, SP_RPF_OFF);
	assert_int_equal(config->route.max4, 1000000);
	assert_int_equal(config->route.max6, 1024);
	assert_int_equal(config->route.neighbours, 64);
	assert_int_equal(config->route.queue, 3);
	assert_int_equal(config->route.waiting, 64);
	assert_int_equal(config->route.errors, 0);
	assert_int_equal(config->route.self_rate[SP_SELF_ARP], 1);
	assert_int_equal(config->route.self_rate[SP_SELF_ND], 2);
	assert_int_equal(config->route.self_rate[SP_SELF_ICMP], 3);
	assert_int_equal(config->route.self_rate[SP_SELF_DHCP], 4);
	assert_int_equal(config->route.self_rate[SP_SELF_OTHER], 0);
	assert_string_equal(config->netns, "/run/netns/edge");
	assert_int_equal(config->ports[0].rpf, SP_RPF_LOOSE);
	assert_int_equal(config->ports[1].rpf, SP_RPF_OFF);
	sp_config_free(config);
	config = read_good(ROUTER("") "route = { namespace = \"/proc/1/ns/net\"; };\n");
	assert_string_equal(config->netns, "/proc/1/ns/net");
	sp_config_free(config);
	config = read_good(ROUTER("") "route = { namespace = \"\"; };\n");
	assert_null(config->netns);
	sp_config_free(config);
}

static const struct {
	const char *text;
	int line;
	const char *says;
} bad[] = {
	{PAIR "route = { rpf = \"off\"; };\n", 5, "set mode = \"route\", or remove it"},
	{"ports = (\n { name = \"a\"; device = \"net_null0\"; peer = \"b\"; rpf = \"off\"; },\n"
	 " { name = \"b\"; device = \"net_null1\"; peer = \"a\"; } );\n",
		2, "in wire mode nothing is routed"},
	{"mode = \"route\";\n" PAIR, 3, "remove peer"},
	{"mode = \"route\";\n", 0, "no ports"},
	{ROUTER(",{ name = \"self\"; device = \"net_null2\"; zone = \"self\"; }"), 6, "the firewall itself"},
	{ROUTER(",{ name = \"wan\"; device = \"net_null2\"; }"), 6, "is taken at line 3"},
	{ROUTER(",{ name = \"x\"; device = \"net_null0\"; }"), 6, "same device"},
	{ROUTER(",{ name = \"abcdefghijklmnop\"; device = \"net_null2\"; }"), 6, "at most 15 characters"},
	{ROUTER(",{ name = \"lo\"; device = \"net_null2\"; }"), 6, "which Linux uses itself"},
	{ROUTER(",{ name = \"all\"; device = \"net_null2\"; }"), 6, "which Linux uses itself"},
	{ROUTER(",{ name = \"default\"; parent = \"wan\"; vlan = 3; zone = \"v\"; }"), 6, "which Linux uses itself"},
	{ROUTER(",{ name = \"eth0\"; device = \"net_af_packet0,iface=eth0,qpairs=1\"; }"), 6, "choose another"},
	{ROUTER(",{ name = \"x\"; device = \"net_tap0,iface=wan\"; }"), 3, "which the device net_tap0,iface=wan has taken"},
	{ROUTER(",{ name = \"a/b\"; device = \"net_null2\"; }"), 6, "is no name"},
	{ROUTER(",{ name = \"v\"; parent = \"wan\"; vlan = 3; }"), 6, "without a zone"},
	{ROUTER(",{ name = \"v\"; parent = \"wan\"; vlan = 3; zone = \"v\"; peer = \"lan\"; }"), 6, "give it only"},
	{ROUTER(",{ name = \"x\"; device = \"net_null2\"; rpf = \"on\"; }"), 6, "\"strict\" or \"loose\" or \"off\""},
	{ROUTER("") "route = 1;\n", 7, "must be a group"},
	{ROUTER("") "route = { rfp = \"off\"; };\n", 7, "did you mean \"rpf\""},
	{ROUTER("") "route = { rpf = true; };\n", 7, "must be a string"},
	{ROUTER("") "route = { max4 = 1023; };\n", 7, "from 1024 to 4000000, in routes"},
	{ROUTER("") "route = { max6 = 1000001; };\n", 7, "from 1024 to 1000000, in routes"},
	{ROUTER("") "route = { neighbours = 63; };\n", 7, "from 64 to 262144"},
	{ROUTER("") "route = { queue = 0; };\n", 7, "from 1 to 64"},
	{ROUTER("") "route = { waiting = 1; };\n", 7, "from 64 to 65536"},
	{ROUTER("") "route = { self_rate = 5; };\n", 7, "must be a group"},
	{ROUTER("") "route = { self_rate = { arp = -1; }; };\n", 7, "from 0 to 10000000, in packets a second"},
	{ROUTER("") "route = { self_rate = { bgp = 1; }; };\n", 7, "unknown key \"bgp\" in \"self_rate\""},
	{ROUTER("") "route = { errors = -1; };\n", 7, "ICMP errors a second"},
	{ROUTER("") "route = { namespace = \"a/b\"; };\n", 7, "is no network namespace"},
	{ROUTER("") "route = { namespace = \"..\"; };\n", 7, "is no network namespace"},
	{ROUTER("") "route = { namespace = 4; };\n", 7, "must be a string"},
};

static void test_faults(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sp_diags diags = {0};
		struct sp_config *config = read_text(bad[i].text, &diags);

		if (config != NULL || diags.errors == 0 || strstr(diags.v[0].text, bad[i].says) == NULL || diags.v[0].line != bad[i].line) {
			sp_diags_print(&diags, stderr);
			fail_msg("case %zu: expected line %d \"%s\" for:\n%s", i, bad[i].line, bad[i].says, bad[i].text);
		}
		sp_diags_clear(&diags);
	}
}

/* As many links as there may be, and one more; and one zone too many for "self" to fit. */
static void test_counts(void **state)
{
	static const struct {
		unsigned int vlans, zones;
		const char *says; /* NULL: good */
	} cases[] = {{SP_LINKS_MAX - 1, 1, NULL}, {SP_LINKS_MAX, 1, "256 are the most"}, {SP_ZONES_MAX - 1, SP_ZONES_MAX - 1, NULL},
		{SP_ZONES_MAX, SP_ZONES_MAX, "let ports share zones"}};
	char *text = malloc(65536);

	(void)state;
	assert_non_null(text);
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct sp_diags diags = {0};
		struct sp_config *config;
		size_t used = (size_t)sprintf(text, "mode = \"route\"; ports = ( { name = \"a\"; device = \"net_null0\"; }");

		for (unsigned int i = 0; i < cases[c].vlans; i++)
			used += (size_t)sprintf(text + used, ",\n{ name = \"v%u\"; parent = \"a\"; vlan = %u; zone = \"z%u\"; }", i, i + 1,
				i % cases[c].zones);
		sprintf(text + used, ");\n");
		config = read_text(text, &diags);
		if (cases[c].says == NULL)
			assert_non_null(config);
		else
			assert_non_null(strstr(diags.v[0].text, cases[c].says));
		assert_true((config == NULL) == (cases[c].says != NULL));
		sp_config_free(config);
		sp_diags_clear(&diags);
	}
	free(text);
}

/* Text with the comments that are settings ("# name = { ...", and lines that go on with it) made the settings that they are. */
static void uncomment(char *text)
{
	bool inside = false;

	for (char *line = text, *end; line != NULL; line = end != NULL ? end + 1 : NULL) {
		size_t name = strncmp(line, "# ", 2) == 0 ? strspn(line + 2, "abcdefghijklmnopqrstuvwxyz_") : 0;

		end = strchr(line, '\n');
		inside = (name > 0 && strncmp(line + 2 + name, " = { ", 5) == 0) || (inside && strncmp(line, "#  ", 3) == 0);
		if (inside)
			line[0] = ' ';
	}
}

/* The files that are installed are right as they stand, and the defaults that their comments show are the defaults. */
static void test_installed_files(void **state)
{
	static const char *const files[] = {"images/etc/router.conf", "images/etc/sallyport.conf"};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct sp_diags diags = {0};
		struct sp_config *config, *shown;
		char *bytes;
		size_t size;

		assert_int_equal(sp_file_read(files[i], &bytes, &size, &diags), 0);
		assert_true(sp_config_is(bytes, size));
		config = sp_config_read(bytes, size, files[i], &diags);
		sp_diags_print(&diags, stderr);
		assert_non_null(config);
		uncomment(bytes);
		shown = sp_config_read(bytes, size, files[i], &diags);
		if (config->mode == SP_MODE_ROUTE) {
			assert_non_null(shown);
			assert_memory_equal(&shown->route, &config->route, sizeof(config->route));
			assert_null(shown->netns);
		} else {
			/* The one group that does not belong, and nothing else. */
			assert_int_equal(diags.errors, 1);
			assert_non_null(strstr(diags.v[0].text, "\"route\" means nothing in wire mode"));
		}
		sp_config_free(shown);
		sp_config_free(config);
		sp_diags_clear(&diags);
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_installed_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
