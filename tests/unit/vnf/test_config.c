/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration reader: what a good file gives, and that each fault is told with its line and what to do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "rules/match.h"
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

static void test_defaults(void **state)
{
	struct sp_config *config = read_good(PAIR);

	(void)state;
	assert_int_equal(config->n_ports, 2);
	assert_int_equal(config->n_workers, 0);
	assert_int_equal(config->huge, SP_HUGE_AUTO);
	assert_int_equal(config->memory_mb, 0);
	assert_string_equal(config->rules, SP_CONFIG_DEFAULT_RULES);
	assert_string_equal(config->socket, SP_CONFIG_DEFAULT_SOCKET);
	assert_int_equal(config->socket_mode, 0660);
	assert_null(config->eve);
	assert_int_equal(config->rotate_mb, 256);
	assert_int_equal(config->keep, 4);
	assert_int_equal(config->log_rate, 1000);
	assert_int_equal(config->sessions4 + config->sessions6, SP_CONFIG_DEFAULT_SESSIONS);
	for (int i = 0; i < SP_STATE_COUNT; i++)
		assert_int_equal(config->timeout_sec[i], sp_state_default_sec[i]);
	assert_int_equal(config->icmp_error_rate, 10);
	assert_int_equal(config->on_change, SP_ON_CHANGE_RECHECK);
	assert_true(config->hardening);
	assert_false(config->adaptive);
	assert_true(config->zones.closed);
	assert_int_equal(config->ports[0].checksum, SP_CHECKSUM_TRUST_NIC);
	sp_config_free(config);
}

static void test_every_key(void **state)
{
	struct sp_config *config =
		read_good("mode = \"wire\"; workers = [ 3, 1 ]; poll = \"adaptive\"; reject_rate = 7; hardening = false;\n"
			  "memory = { huge = true; mb = 256; buffers = 5000; };\n" PAIR
			  "rules = \"r/main.rules\"; api = { socket = \"/run/x.sock\"; group = \"adm\"; mode = \"0600\"; };\n"
			  "log = { eve = \"/var/log/e.json\"; rotate_mb = 0; keep = 9; rate = 50; stats_interval = \"1m\"; };\n"
			  "sessions = { max4 = 1000; max6 = 500; icmp_errors = 3; on_change = \"kill\"; timeouts = { udp_new = 5; "
			  "tcp_established = \"2h\"; }; };\n"
			  "limits = { sources = 2048; };\n");

	(void)state;
	assert_int_equal(config->n_workers, 2);
	assert_int_equal(config->workers[0], 3);
	assert_int_equal(config->workers[1], 1);
	assert_true(config->adaptive);
	assert_int_equal(config->reject_rate, 7);
	assert_false(config->hardening);
	assert_int_equal(config->huge, SP_HUGE_YES);
	assert_int_equal(config->memory_mb, 256);
	assert_int_equal(config->buffers, 5000);
	assert_string_equal(config->rules, "conf/r/main.rules");
	assert_string_equal(config->socket, "/run/x.sock");
	assert_string_equal(config->group, "adm");
	assert_int_equal(config->socket_mode, 0600);
	assert_string_equal(config->eve, "/var/log/e.json");
	assert_int_equal(config->stats_interval_sec, 60);
	assert_int_equal(config->rotate_mb, 0);
	assert_int_equal(config->keep, 9);
	assert_int_equal(config->log_rate, 50);
	assert_int_equal(config->sessions4, 1000);
	assert_int_equal(config->sessions6, 500);
	assert_int_equal(config->timeout_sec[SP_STATE_UDP_NEW], 5);
	assert_int_equal(config->timeout_sec[SP_STATE_TCP_ESTABLISHED], 7200);
	assert_int_equal(config->timeout_sec[SP_STATE_ICMP], sp_state_default_sec[SP_STATE_ICMP]);
	assert_int_equal(config->icmp_error_rate, 3);
	assert_int_equal(config->on_change, SP_ON_CHANGE_KILL);
	assert_int_equal(config->limit_sources, 2048);
	sp_config_free(config);
}

static void test_tcp(void **state)
{
	struct sp_config *config = read_good(PAIR "tcp = { midstream = true; challenges = 5; };\n");

	(void)state;
	assert_true(config->tcp.midstream);
	assert_int_equal(config->tcp.challenges, 5);
	sp_config_free(config);
	config = read_good(PAIR);
	assert_false(config->tcp.midstream);
	assert_int_equal(config->tcp.challenges, SP_TCP_CHALLENGES);
	sp_config_free(config);
}

static void test_floods(void **state)
{
	struct sp_config *config = read_good(
		PAIR "floods = { syn_proxy = \"always\"; embryonic = 5000; embryonic_low = 100; calm = \"1m\"; mss = 1400; mss6 = 1380; "
		     "window_scale = 9; pressure_start = 10; pressure_end = 20; pressure_min = \"3s\"; };\n");

	(void)state;
	assert_int_equal(config->floods.syn_proxy, SP_SYN_PROXY_ALWAYS);
	assert_int_equal(config->floods.embryonic_high, 5000);
	assert_int_equal(config->floods.embryonic_low, 100);
	assert_int_equal(config->floods.calm_sec, 60);
	assert_int_equal(config->floods.mss4, 1400);
	assert_int_equal(config->floods.mss6, 1380);
	assert_int_equal(config->floods.wscale, 9);
	assert_int_equal(config->pressure.start_percent, 10);
	assert_int_equal(config->pressure.end_percent, 20);
	assert_int_equal(config->pressure.min_sec, 3);
	sp_config_free(config);

	/* What is not said follows from the number of sessions. */
	config = read_good(PAIR "sessions = { max = 80000; };\n");
	assert_int_equal(config->floods.syn_proxy, SP_SYN_PROXY_AUTO);
	assert_int_equal(config->floods.embryonic_high, 10000);
	assert_int_equal(config->floods.embryonic_low, 5000);
	assert_int_equal(config->pressure.end_percent, SP_FLOOD_PRESSURE_END);
	sp_config_free(config);
	config = read_good(PAIR "floods = { embryonic = 300; pressure_end = 0; };\n");
	assert_int_equal(config->floods.embryonic_low, 150);
	assert_int_equal(config->pressure.end_percent, 0);
	sp_config_free(config);
}

/* Each state's time-out by its name, and no other's. */
static void test_every_timeout(void **state)
{
	(void)state;
	for (int i = 0; i < SP_STATE_COUNT; i++) {
		char text[512];
		struct sp_config *config;

		snprintf(text, sizeof(text), PAIR "sessions = { timeouts = { %s = \"17m\"; }; };\n", sp_state_names[i]);
		config = read_good(text);
		for (int k = 0; k < SP_STATE_COUNT; k++)
			assert_int_equal(config->timeout_sec[k], k == i ? 1020 : sp_state_default_sec[k]);
		sp_config_free(config);
	}
}

/* One number for both families is split three to one. */
static void test_sessions_max(void **state)
{
	struct sp_config *config = read_good(PAIR "sessions = { max = 1001; };\n");

	(void)state;
	assert_int_equal(config->sessions4, 751);
	assert_int_equal(config->sessions6, 250);
	sp_config_free(config);
}

static void test_ports(void **state)
{
	struct sp_config *config =
		read_good("ports = (\n"
			  "  { name = \"a\"; device = \"0000:00:06.0\"; peer = \"d\"; queues = 2; mtu = 9000; checksum = \"verify\"; "
			  "descriptors = 512; },\n"
			  "  { name = \"b\"; device = \"net_tap0,iface=b0\"; zone = \"x\"; peer = \"c\"; },\n"
			  "  { name = \"c\"; device = \"52:54:00:00:00:02\"; zone = \"y\"; peer = \"b\"; checksum = \"off\"; },\n"
			  "  { name = \"guest\"; parent = \"b\"; vlan = 20; zone = \"guest\"; },\n"
			  "  { name = \"d\"; device = \"net_null0\"; peer = \"a\"; zone = \"x\"; }\n"
			  ");\n");
	const struct sp_config_port *p = config->ports;

	(void)state;
	assert_int_equal(config->n_ports, 5);
	assert_int_equal(config->zones.n, 3);
	assert_int_equal(p[0].peer, 4);
	assert_int_equal(p[4].peer, 0);
	assert_int_equal(p[1].peer, 2);
	assert_int_equal(p[0].domain, p[4].domain);
	assert_int_equal(p[1].domain, p[2].domain);
	assert_int_not_equal(p[0].domain, p[1].domain);
	assert_int_equal(p[0].zone, SP_MATCH_NO_ZONE);
	assert_int_equal(p[1].zone, p[4].zone);
	assert_int_equal(p[3].parent, 1);
	assert_int_equal(p[3].vlan, 20);
	assert_string_equal(config->zones.name[p[3].zone], "guest");
	assert_int_equal(p[0].queues, 2);
	assert_int_equal(p[0].mtu, 9000);
	assert_int_equal(p[0].descriptors, 512);
	assert_int_equal(p[0].checksum, SP_CHECKSUM_VERIFY);
	assert_int_equal(p[2].checksum, SP_CHECKSUM_OFF);
	assert_int_equal(p[0].device.kind, SP_DEVICE_PCI);
	assert_int_equal(p[1].device.kind, SP_DEVICE_VDEV);
	assert_int_equal(p[2].device.kind, SP_DEVICE_MAC);
	assert_int_equal(p[3].line, 5);
	sp_config_free(config);
}

static const struct {
	const char *text;
	int line;
	const char *says;
} bad[] = {
	{"", 0, "no ports"},
	{"mode = \"bridge\";\n" PAIR, 1, "must be \"wire\" or \"route\""},
	{"mode = 1;\n" PAIR, 1, "must be a string"},
	{PAIR "\npol = \"busy\";\n", 6, "did you mean \"poll\""},
	{PAIR "zzzzzzzz = 1;\n", 5, "unknown key"},
	{PAIR "memory = {\n  hugh = true;\n};\n", 6, "did you mean \"huge\""},
	{PAIR "memory = 512;\n", 5, "must be a group"},
	{PAIR "memory = { mb = 1; };\n", 5, "from 64 to"},
	{PAIR "memory = { mb = -5; };\n", 5, "from 64 to"},
	{PAIR "memory = { mb = \"512\"; };\n", 5, "must be a number"},
	{PAIR "memory = { huge = 1; };\n", 5, "true or false"},
	{PAIR "workers = 1;\n", 5, "list of CPU numbers"},
	{PAIR "workers = [ ];\n", 5, "list of CPU numbers"},
	{PAIR "workers = [ 1, 1 ];\n", 5, "named twice"},
	{PAIR "workers = [ -1 ];\n", 5, "CPU number"},
	{PAIR "workers = [ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, "
	      "31, 32, 33 ];",
		5, "32 are the most"},
	{PAIR "poll = \"lazy\";\n", 5, "\"busy\" or \"adaptive\""},
	{PAIR "reject_rate = -1;\n", 5, "from 0"},
	{PAIR "tcp = { challenges = -1; };\n", 5, "from 0"},
	{PAIR "tcp = { midstream = 1; };\n", 5, "true or false"},
	{PAIR "tcp = { pickup = true; };\n", 5, "pickup"},
	{PAIR "sessions = { icmp_errors = -1; };\n", 5, "from 0"},
	{PAIR "sessions = { on_change = \"flush\"; };\n", 5, "recheck"},
	{PAIR "sessions = { timeouts = { sctp_established = 0; }; };\n", 5, "sctp_established"},
	{PAIR "floods = { syn_proxy = \"on\"; };\n", 5, "\"off\" or \"auto\" or \"always\""},
	{PAIR "floods = { embrionic = 5; };\n", 5, "did you mean \"embryonic\""},
	{PAIR "floods = { embryonic = 1; };\n", 5, "from 2"},
	{PAIR "floods = {\n embryonic = 50;\n embryonic_low = 50; };\n", 5, "must be less than \"embryonic\""},
	{PAIR "floods = { embryonic_low = 99999; };\n", 0, "must be less than \"embryonic\""},
	{PAIR "floods = { window_scale = 15; };\n", 5, "from 0 to 14"},
	{PAIR "floods = { mss = 100; };\n", 5, "from 536"},
	{PAIR "floods = { pressure_start = 90; pressure_end = 90; };\n", 5, "must be less than \"pressure_end\""},
	{PAIR "floods = { pressure_min = 0; };\n", 5, "from 1"},
	{PAIR "log = { rotate_mb = -1; };\n", 5, "from 0 to 1048576, in MB"},
	{PAIR "log = { keep = 1001; };\n", 5, "from 0 to 1000, in files"},
	{PAIR "log = { rate = \"many\"; };\n", 5, "events a second"},
	{PAIR "log = { rotation = 1; };\n", 5, "rotation"},
	{PAIR "api = { mode = \"999\"; };\n", 5, "octal"},
	{PAIR "api = { socket = "
	      "\"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"; };",
		5, "107 are the most"},
	{PAIR "rules = \"\";\n", 5, "must name a rule file"},
	{PAIR "sessions = { max = 10; };\n", 5, "from 256"},
	{PAIR "sessions = { max = 1000; max4 = 500; };\n", 5, "excludes"},
	{PAIR "sessions = { timeouts = { udp_nev = 5; }; };\n", 5, "did you mean \"udp_new\""},
	{PAIR "sessions = { timeouts = { udp_new = \"5 parsecs\"; }; };\n", 5, "must be a duration"},
	{PAIR "sessions = { timeouts = { udp_new = 0; }; };\n", 5, "from 1"},
	{PAIR "limits = { sources = 3; };\n", 5, "from 1024"},
	{"ports = 3;\n", 1, "must be a list"},
	{"ports = ( 3 );\n", 1, "a port is a group"},
	{"ports = (\n { device = \"net_null0\"; peer = \"b\"; } );\n", 2, "without a name"},
	{"ports = (\n { name = \"9a\"; device = \"net_null0\"; peer = \"b\"; } );\n", 2, "is no name"},
	{"ports = (\n { name = \"a\"; peer = \"b\"; },\n { name = \"b\"; device = \"net_null1\"; peer = \"a\"; } );\n", 2, "has no device"},
	{"ports = (\n { name = \"a\"; device = \"net_null0\"; } );\n", 2, "has no peer"},
	{"ports = (\n { name = \"a\"; device = \"net_null0\"; peer = \"a\"; } );\n", 2, "its own peer"},
	{"ports = (\n { name = \"a\"; device = \"net_null0\"; peer = \"b\"; } );\n", 2, "there is no port \"b\""},
	{"ports = (\n { name = \"a\"; device = \"net_null0\"; peer = \"b\"; },\n { name = \"a\"; device = \"net_null1\"; peer = \"a\"; } "
	 ");\n",
		3, "is taken at line 2"},
	{"ports = (\n { name = \"a\"; device = \"net_null0\"; peer = \"b\"; },\n { name = \"b\"; device = \"net_null0\"; peer = \"a\"; } "
	 ");\n",
		3, "same device"},
	{"ports = (\n { name = \"a\"; device = \"net_null0\"; peer = \"b\"; },\n { name = \"b\"; device = \"net_null1\"; peer = \"c\"; },\n"
	 " { name = \"c\"; device = \"net_null2\"; peer = \"b\"; } );\n",
		2, "each other's"},
	{"ports = (\n { name = \"a\"; device = \"net_nul0\"; peer = \"b\"; } );\n", 2, "did you mean \"net_null\""},
	{"ports = (\n { name = \"a\"; device = \"net_null0\"; peer = \"b\"; vlan = 5; } );\n", 2, "no parent"},
	{"ports = (\n { name = \"a\"; device = \"net_null0\"; peer = \"b\"; colour = 5; } );\n", 2, "unknown key \"colour\""},
	{"ports = (\n { name = \"a\"; device = \"net_null0\"; peer = \"b\"; mtu = 70000; } );\n", 2, "from 576 to 9600"},
	{"ports = (\n { name = \"a\"; device = \"net_null0\"; peer = \"b\"; checksum = \"maybe\"; } );\n", 2, "\"trust-nic\" or"},
	{"ports = (\n { name = \"a\"; device = \"net_null0\"; peer = \"b\"; zone = \"tcp dport\"; } );\n", 2, "no zone name"},
	{PAIR "x = \"", 5, ""},
	{"ports = ( { name = \"a\"; ", 1, ""},
	{"mode \"wire\";\n", 1, ""},
	{"\xef\xbb\xbfmode = \"wire\";\n", 1, ""},
};

/* A machine whose VFs have not come yet. */
static void test_no_ports_is_a_warning(void **state)
{
	static const char *const texts[] = {"ports = ();", "mode = \"route\"; ports = ();"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct sp_diags diags = {0};
		struct sp_config *config = read_text(texts[i], &diags);

		assert_non_null(config);
		assert_int_equal(config->n_ports, 0);
		assert_int_equal(diags.n, 1);
		assert_int_equal(diags.v[0].level, SP_DIAG_WARNING);
		sp_config_free(config);
		sp_diags_clear(&diags);
	}
}

/* What is right in a file that does not read: where its socket is. */
static void test_rescue(void **state)
{
	static const struct {
		const char *text, *socket;
	} cases[] = {
		{"pole = 1; api = { socket = \"/tmp/x.sock\"; mode = \"0600\"; };", "/tmp/x.sock"},
		{"api = { socket = 5; group = \"g\"; };", SP_CONFIG_DEFAULT_SOCKET},
		{"api = { socket = \"/tmp/x.sock\"; ", SP_CONFIG_DEFAULT_SOCKET},
		{"api = 3;", SP_CONFIG_DEFAULT_SOCKET},
		{"", SP_CONFIG_DEFAULT_SOCKET},
	};
	char path[] = "/tmp/sallyport-rescue-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_config *config;

		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, cases[i].text, strlen(cases[i].text), 0), (ssize_t)strlen(cases[i].text));
		config = sp_config_rescue(path);
		assert_non_null(config);
		assert_string_equal(config->socket, cases[i].socket);
		assert_int_equal(config->n_ports, 0);
		assert_true(config->zones.closed);
		assert_null(config->tls.listen);
		if (i == 0)
			assert_int_equal(config->socket_mode, 0600);
		sp_config_free(config);
	}
	close(fd);
	unlink(path);
	sp_config_free(sp_config_rescue(path));
}

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
		assert_string_equal(diags.v[0].file, "conf/test.conf");
		sp_diags_clear(&diags);
	}
}

/* VLANs: what they may not have, and that two of the same number on a port are one too many. */
static void test_vlan_faults(void **state)
{
	static const char *const vlans[][2] = {
		{"{ name = \"v\"; parent = \"in\"; zone = \"g\"; }", "no vlan"},
		{"{ name = \"v\"; parent = \"in\"; vlan = 4095; zone = \"g\"; }", "from 1 to 4094"},
		{"{ name = \"v\"; parent = \"in\"; vlan = 7; }", "without a zone"},
		{"{ name = \"v\"; parent = \"nope\"; vlan = 7; zone = \"g\"; }", "no port with a device"},
		{"{ name = \"v\"; parent = \"v\"; vlan = 7; zone = \"g\"; }", "no port with a device"},
		{"{ name = \"v\"; parent = \"in\"; vlan = 7; zone = \"g\"; mtu = 1500; }", "only name, parent, vlan and zone"},
		{"{ name = \"v\"; parent = \"in\"; vlan = 7; zone = \"g\"; peer = \"out\"; }", "only name, parent, vlan and zone"},
		{"{ name = \"v\"; parent = \"in\"; vlan = 7; zone = \"g\"; }, { name = \"w\"; parent = \"in\"; vlan = 7; zone = \"h\"; }",
			"already port \"v\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(vlans) / sizeof(vlans[0]); i++) {
		struct sp_diags diags = {0};
		char text[1024];

		snprintf(text, sizeof(text), "%.*s,\n%s );\n", (int)(strlen(PAIR) - strlen("\n);\n")), PAIR, vlans[i][0]);
		assert_null(read_text(text, &diags));
		assert_true(diags.n > 0);
		if (strstr(diags.v[0].text, vlans[i][1]) == NULL)
			fail_msg("\"%s\" is not in \"%s\"", vlans[i][1], diags.v[0].text);
		assert_int_equal(diags.v[0].line, 4);
		sp_diags_clear(&diags);
	}
}

static void test_all_faults_are_told(void **state)
{
	struct sp_diags diags = {0};

	(void)state;
	assert_null(read_text("mode = 1;\npoll = 2;\nzap = 3;\n" PAIR, &diags));
	assert_int_equal(diags.errors, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(diags.v[i].line, i + 1);
	sp_diags_clear(&diags);
}

static void test_zone_count(void **state)
{
	struct sp_diags diags = {0};
	char *text = malloc(65536);
	size_t used;

	(void)state;
	assert_non_null(text);
	for (int zones = SP_ZONES_MAX; zones <= SP_ZONES_MAX + 1; zones++) {
		struct sp_config *config;

		used = (size_t)sprintf(text, "ports = ( { name = \"a\"; device = \"net_null0\"; peer = \"b\"; },\n"
					     "{ name = \"b\"; device = \"net_null1\"; peer = \"a\"; }");
		for (int i = 0; i < zones; i++)
			used += (size_t)sprintf(
				text + used, ",\n{ name = \"v%d\"; parent = \"a\"; vlan = %d; zone = \"z%d\"; }", i, i + 1, i);
		sprintf(text + used, ");\n");
		config = read_text(text, &diags);
		if (zones == SP_ZONES_MAX) {
			assert_non_null(config);
			assert_int_equal(config->zones.n, SP_ZONES_MAX);
		} else {
			assert_null(config);
			assert_non_null(strstr(diags.v[0].text, "let ports share zones"));
		}
		sp_config_free(config);
	}
	free(text);
	sp_diags_clear(&diags);
}

static void test_kind_of_file(void **state)
{
	static const struct {
		const char *text;
		bool config;
	} files[] = {
		{PAIR, true},
		{"mode = \"wire\";", true},
		{"route = { max4 = 2000; };", true},
		{"fragments = { };", true},
		{"captures = { };", true},
		{"rules = \"x.rules\"; ports = ();", true},
		{"# ports = 1\nversion = 1; rules = ();", false},
		{"rules = ( \"10 allow\" );", false},
		{"rules : ( \"10 allow\" );", false},
		{"sets = { ports = \"80\"; }; rules = ();", false},
		{"/* mode = */ default = {};", false},
		{"// mode\ndefault = {};", false},
		{"", false},
		{"\"mode\"", false},
		{"/* mode", false},
		{"\"\\", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (sp_config_is(files[i].text, strlen(files[i].text)) != files[i].config)
			fail_msg("%s: %s", files[i].text, files[i].config ? "is a configuration" : "is none");
}

static void test_files(void **state)
{
	struct sp_diags diags = {0};

	(void)state;
	assert_null(sp_config_read_file("/nonexistent/sallyport.conf", &diags));
	assert_null(sp_config_read_file("/", &diags));
	assert_int_equal(diags.errors, 2);
	sp_diags_clear(&diags);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_floods),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_every_timeout),
		cmocka_unit_test(test_sessions_max),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_no_ports_is_a_warning),
		cmocka_unit_test(test_rescue),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_vlan_faults),
		cmocka_unit_test(test_all_faults_are_told),
		cmocka_unit_test(test_zone_count),
		cmocka_unit_test(test_kind_of_file),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
