/* SPDX-License-Identifier: BSD-3-Clause */
/* The nat list as it is read and refused, and what `check` says of it. */
#include "policy_of.h"

#include <jansson.h>

#include "nat_of.h"
#include "rules/check.h"
#include "rules/fmt.h"
#include "rules/nat.h"

#define SOURCE      "{ id = 1; type = \"source\"; from = \"inside\"; to = \"outside\"; src = \"@lan\"; "
#define DESTINATION "{ id = 1; type = \"destination\"; from = \"outside\"; "
#define STATIC      "{ id = 1; type = \"static\"; "
#define PREFIX      "{ id = 1; type = \"prefix\"; "

static const char every_key[] =
	"{ id = 7; type = \"source\"; enabled = false; name = \"out\"; comment = \"c\"; from = \"inside\"; to = \"outside\"; "
	"proto = [ \"tcp\", \"udp\" ]; src = \"@lan\"; sport = \"1000-2000\"; dst = \"!192.0.2.0/24\"; dport = \"@ports, 8080\";\n"
	"  address = [ \"198.51.100.8/30\", \"198.51.100.1\" ]; filtering = \"endpoint\"; block_size = 512; max_per_source = 2048; "
	"log = \"both\"; },\n"
	"{ id = 8; type = \"destination\"; dst = \"interface\"; dport = \"8000-8009\"; address = \"@web\"; port = \"9000-9009\"; method = "
	"\"maglev\"; health = { type = \"http\"; path = \"/up\"; host = \"www\"; status = 204; port = 81; interval = \"10s\"; timeout = "
	"\"500ms\"; up = 1; down = 5; }; },\n"
	"{ id = 9; type = \"static\"; src = \"10.0.0.16/28\"; address = \"203.0.113.16-203.0.113.31\"; },\n"
	"{ id = 10; type = \"prefix\"; to = \"outside\"; src = \"fd00:1:2::/48\"; address = \"2001:db8:1::/48\"; },\n"
	"{ id = 11; type = \"source\"; address = \"interface\"; },\n"
	"{ id = 12; type = \"destination\"; proto = \"udp\"; address = \"none\"; },\n"
	"{ id = 13; type = \"destination\"; dport = 443; address = \"@one\"; method = \"maglev\"; health = { type = \"tcp\"; interval = 1; "
	"}; }";

static void source_with_every_key(void **state)
{
	struct sp_policy *policy = nat_good(every_key, "\"1 allow from outside\"");
	const struct sp_nat_entry *entry = &policy->nat->v[0];

	(void)state;
	assert_int_equal(policy->nat->n, 7);
	assert_int_equal(entry->id, 7);
	assert_string_equal(entry->file, "test.rules");
	assert_int_equal(entry->line, 4);
	assert_int_equal(entry->type, SP_NAT_SOURCE);
	assert_false(entry->enabled);
	assert_string_equal(entry->name, "out");
	assert_string_equal(entry->comment, "c");
	assert_int_equal(entry->from, 1u << sp_zone_index(&policy->zones, "inside", 6));
	assert_int_equal(entry->to, 1u << sp_zone_index(&policy->zones, "outside", 7));
	assert_true(entry->proto[0] == (UINT64_C(1) << 6 | UINT64_C(1) << 17));
	assert_true(entry->src >= 0 && entry->dst >= 0);
	assert_int_equal(entry->sport.v[0].hi, 2000);
	assert_int_equal(entry->dport.n, 3);
	assert_int_equal(entry->n_address, 2);
	assert_int_equal(entry->n_hosts, 5);
	assert_int_equal(entry->address[1].lo.b[3], 1); /* in file order */
	assert_int_equal(sp_nat_host(entry, 0).b[3], 8);
	assert_int_equal(sp_nat_host(entry, 3).b[3], 11);
	assert_int_equal(sp_nat_host(entry, 4).b[3], 1);
	assert_int_equal(sp_nat_host(entry, 5).family, SP_FAMILY_NONE);
	assert_int_equal(entry->filtering, SP_NAT_FILTERING_ENDPOINT);
	assert_int_equal(entry->block_size, 512);
	assert_int_equal(entry->max_per_source, 2048);
	assert_int_equal(entry->log, SP_LOG_BOTH);
	assert_string_equal(entry->value[SP_NAT_KEY_ADDRESS], "198.51.100.8/30,198.51.100.1");
	sp_policy_free(policy);
}

static void destination_with_every_key(void **state)
{
	struct sp_policy *policy = nat_good(every_key, "\"1 allow\"");
	const struct sp_nat_entry *entry = &policy->nat->v[1];

	(void)state;
	assert_int_equal(entry->type, SP_NAT_DESTINATION);
	assert_true(entry->enabled && entry->dst_interface);
	assert_int_equal(entry->dst, -1);
	assert_int_equal(entry->method, SP_NAT_METHOD_MAGLEV);
	assert_int_equal(entry->n_hosts, 4);
	assert_int_equal(entry->port.v[0].lo, 9000);
	assert_int_equal(entry->dport.v[0].hi, 8009);
	assert_true(entry->proto[0] == (UINT64_C(1) << 6 | UINT64_C(1) << 17) && entry->proto[2] == UINT64_C(1) << (132 - 128));
	assert_int_equal(entry->health.type, SP_HEALTH_HTTP);
	assert_string_equal(entry->health.path, "/up");
	assert_string_equal(entry->health.host, "www");
	assert_int_equal(entry->health.status, 204);
	assert_int_equal(entry->health.port, 81);
	assert_int_equal(entry->health.interval_ms, 10000);
	assert_int_equal(entry->health.timeout_ms, 500);
	assert_int_equal(entry->health.up, 1);
	assert_int_equal(entry->health.down, 5);
	entry = &policy->nat->v[6]; /* what is left out */
	assert_int_equal(entry->health.type, SP_HEALTH_TCP);
	assert_int_equal(entry->health.port, 0);
	assert_int_equal(entry->health.interval_ms, 1000);
	assert_int_equal(entry->health.timeout_ms, 1000);
	assert_int_equal(entry->health.up, 2);
	assert_int_equal(entry->health.down, 3);
	sp_policy_free(policy);
}

static void the_other_kinds(void **state)
{
	struct sp_policy *policy = nat_good(every_key, "\"1 allow\"");
	const struct sp_nat_entry *v = policy->nat->v;

	(void)state;
	assert_int_equal(v[2].inside.lo.b[3], 16);
	assert_int_equal(v[2].outside.hi.b[3], 31);
	assert_int_equal(v[2].n_hosts, 0);
	assert_int_equal(v[3].prefix_bits, 48);
	assert_int_equal(v[3].inside.lo.b[0], 0xfd);
	assert_true(v[4].interface && !v[4].none);
	assert_int_equal(v[4].from, SP_ZONE_ANY);
	assert_true(v[5].none && !v[5].interface);
	assert_int_equal(v[5].n_address, 0);
	sp_policy_free(policy);
}

/* As the contract has it: both families behind one entry, a set behind another. */
static void the_contract(void **state)
{
	static const char text[] =
		"version = 1;\n"
		"sets = { lan = [ \"10.0.0.0/8\", \"2001:db8:10::/48\" ]; web = [ \"192.0.2.10-192.0.2.20\", \"192.0.2.80\" ]; };\n"
		"default = { action = \"drop\"; log = true; };\n"
		"rules = ( \"10 allow tcp from inside @lan to outside dport 443\", \"20 allow tcp from outside to dmz @web dport 443\" );\n"
		"nat = (\n"
		"  { id = 1; type = \"source\"; from = \"inside\"; to = \"outside\"; src = \"@lan\"; address = \"interface\"; },\n"
		"  { id = 2; type = \"destination\"; from = \"outside\"; proto = \"tcp\"; dst = \"interface\"; dport = 443; address = "
		"\"@web\"; method = \"maglev\"; }\n"
		");\n"
		"expect = ( \"allow 10: tcp 10.1.2.3:40000 > 203.0.113.10:443 from inside to outside\",\n"
		"  \"allow 20: tcp 203.0.113.3:40000 > interface:443 from outside to dmz\" );\n";
	struct sp_read_options options = {.file = "test.rules"};
	struct sp_diags diags = {0};
	struct sp_policy *policy = sp_policy_load(text, strlen(text), &options, &diags);

	(void)state;
	if (policy == NULL || diags.warnings != 0) {
		sp_diags_print(&diags, stderr);
		fail();
	}
	assert_int_equal(policy->nat->n, 2);
	assert_int_equal(policy->nat->v[1].n_hosts, 12);
	sp_policy_free(policy);
}

static void an_empty_list_is_none(void **state)
{
	struct sp_policy *policy = nat_good("", "\"1 allow\"");

	(void)state;
	assert_null(policy->nat);
	sp_policy_free(policy);
}

static void refuses(void **state)
{
	static const struct {
		const char *nat;
		int line;
		const char *why;
	} cases[] = {
		{"\"source\"", 4, "an entry of nat is a group { }"},
		{SOURCE "adress = \"interface\"; }", 4, "unknown name 'adress': did you mean 'address'?"},
		{"{ type = \"source\"; address = \"interface\"; }", 4, "the entry has no id"},
		{"{ id = 0; type = \"source\"; address = \"interface\"; }", 4, "is not a number from 1"},
		{"{ id = 1; address = \"interface\"; }", 4, "the entry has no type: source, destination, static or prefix"},
		{"{ id = 1;\n type = \"dnat\"; address = \"192.0.2.1\"; }", 5, "'dnat' is written destination here"},
		{"{ id = 1;\n type = \"bidi\"; address = \"192.0.2.1\"; }", 5, "'bidi' is not source, destination, static or prefix"},
		{SOURCE "\n}", 4, "the entry has no address to translate to"},
		{DESTINATION "dport = 80; }", 4, "the entry has no address to translate to"},
		{SOURCE "address = \"interface\"; },\n" DESTINATION "dport = 80; address = \"192.0.2.1\"; }", 5,
			"nat id 1 is already used at test.rules:4"},
		{SOURCE "address = \"interface\";\n enabled = 1; }", 5, "enabled: '1' is not true or false"},
		{SOURCE "address = \"interface\";\n name = \"a\xc2\x85\"; }", 5, "name: the value has control characters"},
		/* zones, sets, addresses */
		{"{ id = 1; type = \"source\"; address = \"interface\";\n from = \"!inside\"; }", 5, "'!' negates addresses only"},
		{"{ id = 1; type = \"source\"; address = \"interface\";\n src = \"@nowhere\"; }", 5, "unknown set '@nowhere'"},
		{"{ id = 1; type = \"source\"; address = \"interface\";\n src = \"@ports\"; }", 5, "holds no addresses"},
		{"{ id = 1; type = \"source\"; address = \"interface\";\n src = \"interface\"; }", 5, "'interface' stands alone"},
		{"{ id = 1; type = \"source\"; address = \"interface\";\n dst = \"interface\"; }", 5,
			"dst: interface is for destination entries"},
		{SOURCE "\n address = \"@nowhere\"; }", 5, "address: unknown set '@nowhere': define it under sets"},
		{SOURCE "\n address = \"@ports\"; }", 5, "address: set '@ports' holds no addresses"},
		{SOURCE "\n address = \"@void\"; }", 5, "address: holds no address at all"},
		{SOURCE "\n address = \"@mixed\"; }", 5, "address: an entry translates to one family"},
		{SOURCE "\n address = \"!192.0.2.1\"; }", 5, "address: '!' has no meaning here"},
		{SOURCE "\n address = \"192.0.2.1,,192.0.2.2\"; }", 5, "address: an empty member"},
		{SOURCE "\n address = \"192.0.2.1,interface\"; }", 5, "'interface' stands alone"},
		{SOURCE "\n address = \"none,192.0.2.1\"; }", 5, "'none' stands alone"},
		{SOURCE "\n address = \"lan\"; }", 5, "a set needs its @"},
		{SOURCE "\n address = \"192.0.2.1/24\"; }", 5, "bits are set after the prefix length"},
		{SOURCE "\n address = \"192.0.2.0/24,192.0.2.7\"; }", 5, "192.0.2.7 is in the list before"},
		{SOURCE "\n address = \"224.0.0.1\"; }", 5, "multicast (224.0.0.0/4)"},
		{SOURCE "\n address = \"126.0.0.0-128.0.0.0\"; }", 5, "loopback (127.0.0.0/8)"},
		{SOURCE "\n address = \"::1\"; }", 5, "unspecified or loopback"},
		{SOURCE "\n address = \"fe80::1\"; }", 5, "link-local"},
		{SOURCE "\n address = \"198.18.0.0/19\"; }", 5, "more than 4096 addresses"},
		{DESTINATION "dport = 80; method = \"maglev\";\n address = \"10.0.0.0/21\"; }", 5, "more than 1024 servers"},
		{DESTINATION "dport = 80; method = \"maglev\";\n address = \"2001:db8::/32\"; }", 5, "more than 1024 servers"},
		/* what belongs to which type */
		{DESTINATION "dport = 80; address = \"192.0.2.1\";\n to = \"inside\"; }", 5,
			"to: a destination entry decides where its packets go"},
		{DESTINATION "dport = 80;\n address = \"interface\"; }", 5, "address: interface is for source entries"},
		{SOURCE "address = \"interface\"; proto = \"tcp\";\n port = 80; }", 5, "port: a source entry chooses ports itself"},
		{SOURCE "address = \"interface\";\n method = \"maglev\"; }", 5, "method: only destination entries choose among servers"},
		{SOURCE "address = \"interface\";\n health = { type = \"tcp\"; }; }", 5, "health: only destination entries"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\";\n filtering = \"endpoint\"; }", 5, "filtering: only source entries"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\";\n block_size = 64; }", 5, "block_size: only source entries"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\";\n max_per_source = 64; }", 5, "max_per_source: only source entries"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\";\n log = true; }", 5, "log: only source entries"},
		{STATIC "src = \"10.0.0.1\"; address = \"192.0.2.1\";\n dport = 80; }", 5,
			"dport: static and prefix entries translate whole"},
		{STATIC "src = \"10.0.0.1\"; address = \"192.0.2.1\";\n proto = \"tcp\"; }", 5, "proto: static and prefix entries"},
		{STATIC "src = \"10.0.0.1\"; address = \"192.0.2.1\";\n port = 80; }", 5, "port: static and prefix entries"},
		{STATIC "src = \"10.0.0.1\"; address = \"192.0.2.1\";\n dst = \"192.0.2.9\"; }", 5, "dst: static and prefix entries"},
		{SOURCE "address = \"none\";\n filtering = \"address\"; }", 5, "filtering: address = \"none\" translates nothing"},
		{DESTINATION "dport = 80; address = \"none\";\n port = 81; }", 5, "port: address = \"none\" translates nothing"},
		{DESTINATION "dport = 80; address = \"none\";\n health = { type = \"tcp\"; }; }", 5,
			"health: address = \"none\" translates"},
		/* the firewall itself */
		{"{ id = 1; type = \"source\"; address = \"interface\";\n to = \"self\"; }", 5,
			"to: what the firewall itself receives keeps"},
		{"{ id = 1; type = \"destination\"; dport = 80; address = \"192.0.2.1\";\n from = \"self,inside\"; }", 5,
			"from: what the firewall itself sends is translated by source entries only"},
		/* ports */
		{SOURCE "address = \"interface\"; proto = \"icmp\";\n dport = 80; }", 5, "dport: only tcp, udp and sctp have ports"},
		{DESTINATION "dst = \"192.0.2.9\"; address = \"192.0.2.1\";\n port = 80; }", 5,
			"port: only tcp, udp and sctp have ports: write proto"},
		{DESTINATION "dst = \"192.0.2.9\"; proto = \"tcp,gre\"; address = \"192.0.2.1\";\n port = 80; }", 5,
			"port: only tcp, udp and sctp"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\";\n port = 0; }", 5, "port: nothing can be sent to port 0"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\";\n port = \"80,90\"; }", 5, "is neither one port nor one range"},
		{DESTINATION "dport = \"80-89\"; address = \"192.0.2.1\";\n port = \"8080-8088\"; }", 5,
			"port: 9 ports for the 10 of dport"},
		{DESTINATION "dport = \"80,443\"; address = \"192.0.2.1\";\n port = \"8080-8081\"; }", 5, "needs dport to be one range"},
		{DESTINATION "proto = \"tcp\"; address = \"192.0.2.1\";\n port = \"8080-8081\"; }", 5, "needs dport to be one range"},
		/* source */
		{SOURCE "address = \"interface\";\n filtering = \"cone\"; }", 5, "filtering: 'cone' is not session, address or endpoint"},
		{SOURCE "address = \"interface\";\n block_size = 100; }", 5, "block_size: '100' is not a power of two from 64 to 4096"},
		{SOURCE "address = \"interface\";\n block_size = 8192; }", 5, "is not a power of two from 64 to 4096"},
		{SOURCE "address = \"interface\";\n block_size = 32; }", 5, "is not a power of two from 64 to 4096"},
		{SOURCE "address = \"interface\";\n max_per_source = 70000; }", 5, "is not a number of ports from 1 to 64512"},
		{SOURCE "address = \"interface\"; block_size = 512;\n max_per_source = 500; }", 5, "max_per_source: below block_size"},
		{SOURCE "address = \"interface\";\n log = \"all\"; }", 5, "log: 'all' is not"},
		/* servers */
		{DESTINATION "dport = 80;\n address = \"@web\"; }", 5, "address: there are 4 servers: write method = \"maglev\""},
		{DESTINATION "dport = 80; address = \"192.0.2.1\";\n method = \"maglev\"; }", 5, "method: there is one server only"},
		{DESTINATION "dport = 80; address = \"@web\";\n method = \"random\"; }", 5, "method: 'random' is not maglev"},
		{DESTINATION "dport = \"80,443\"; address = \"192.0.2.1\";\n health = { type = \"tcp\"; }; }", 5,
			"health: clients are not sent to one port"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\";\n health = true; }", 5, "'health' must be a group"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\"; health = {\n }; }", 4, "'health' needs type = \"tcp\" or \"http\""},
		{DESTINATION "dport = 80; address = \"192.0.2.1\"; health = { type = \"tcp\";\n path = \"/\"; }; }", 5,
			"'path' needs type = \"http\""},
		{DESTINATION "dport = 80; address = \"192.0.2.1\"; health = { type = \"http\";\n path = \"up\"; }; }", 5,
			"'path' must begin with /"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\"; health = { type = \"http\";\n path = \"/a\\r\\nX: y\"; }; }", 5,
			"'path' must begin with / and have no blanks"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\"; health = { type = \"http\";\n host = \"a b\"; }; }", 5,
			"'host' must be a name"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\"; health = { type = \"http\";\n status = 99; }; }", 5,
			"'status' must be a number"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\"; health = { type = \"http\";\n port = 0; }; }", 5,
			"'port' must be a number from 1"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\"; health = { type = \"tcp\";\n up = 11; }; }", 5,
			"'up' must be a number from 1 to 10"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\"; health = { type = \"tcp\";\n interval = \"99ms\"; }; }", 5,
			"'interval' must be"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\"; health = { type = \"tcp\";\n interval = \"2h\"; }; }", 5,
			"'interval' must be"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\"; health = { type = \"tcp\";\n timeout = \"x\"; }; }", 5,
			"'timeout' must be"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\"; health = { type = \"tcp\"; interval = \"1s\";\n timeout = \"2s\"; }; }",
			5, "'timeout' is longer than interval"},
		{DESTINATION "dport = 80; address = \"192.0.2.1\"; health = { type = \"tcp\";\n intervall = 1; }; }", 5,
			"did you mean 'interval'"},
		/* both ways */
		{STATIC "address = \"192.0.2.1\"; }", 4, "static needs src: the inside addresses"},
		{STATIC "src = \"10.0.0.1\";\n address = \"interface\"; }", 5,
			"static has a fixed address for each inside one: write a range"},
		{PREFIX "src = \"fd00::/48\";\n address = \"none\"; }", 5,
			"prefix has a fixed address for each inside one: write a prefix"},
		{STATIC "address = \"192.0.2.1\";\n src = \"10.0.0.1,10.0.0.3\"; }", 5,
			"src: static translates one range or prefix to another"},
		{STATIC "src = \"10.0.0.1\";\n address = \"192.0.2.1,192.0.2.3\"; }", 5, "address: static translates one range or prefix"},
		{STATIC "src = \"10.0.0.0/29\";\n address = \"192.0.2.1-192.0.2.7\"; }", 5, "static needs as many addresses as src has"},
		{STATIC "src = \"10.0.0.1\";\n address = \"2001:db8::1\"; }", 5, "src and address are of different families"},
		{STATIC "src = \"192.0.2.0/29\";\n address = \"192.0.2.4-192.0.2.11\"; }", 5, "src and address overlap"},
		{PREFIX "src = \"10.0.0.0/24\";\n address = \"192.0.2.0/24\"; }", 5, "prefix translates IPv6: write type = \"static\""},
		{PREFIX "src = \"fd00::/48\";\n address = \"2001:db8::/56\"; }", 5,
			"prefix needs prefixes of equal length: src has 48 bits"},
		{PREFIX "address = \"2001:db8::/65\";\n src = \"fd00::/65\"; }", 5, "of at most 64 bits"},
		{PREFIX "address = \"2001:db8::/64\";\n src = \"fd00::1-fd00::9\"; }", 5, "of at most 64 bits"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_diags diags = {0};

		if (nat_of(cases[i].nat, "\"1 allow\"", &diags) != NULL)
			fail_msg("%s\nwas taken", cases[i].nat);
		if (diags.errors != 1 || diags.v[0].line != cases[i].line || strstr(diags.v[0].text, cases[i].why) == NULL) {
			sp_diags_print(&diags, stderr);
			fail_msg("%s\nline %d: %s", cases[i].nat, cases[i].line, cases[i].why);
		}
		assert_string_equal(diags.v[0].file, "test.rules");
		sp_diags_clear(&diags);
	}
}

static void a_list_has_a_bound(void **state)
{
	char *text = malloc(SP_NAT_MAX * 80 + 200), *p = text;
	struct sp_diags diags = {0};
	struct sp_policy *policy;

	(void)state;
	for (int i = 1; i <= SP_NAT_MAX; i++)
		p += sprintf(p, "%s{ id = %d; type = \"source\"; address = \"192.0.2.1\"; }", i > 1 ? ",\n" : "", i);
	policy = nat_good(text, "\"1 allow\"");
	assert_int_equal(policy->nat->n, SP_NAT_MAX);
	sp_policy_free(policy);
	sprintf(p, ", { id = %d; type = \"source\"; address = \"192.0.2.1\"; }", SP_NAT_MAX + 1);
	assert_null(nat_of(text, "\"1 allow\"", &diags));
	assert_non_null(strstr(diags.v[0].text, "nat has 1025 entries, and a policy at most 1024"));
	sp_diags_clear(&diags);
	free(text);
}

/* More ranges than a pool may have addresses: told before they are looked at one by one. */
static void a_pool_has_a_bound(void **state)
{
	enum { RANGES = SP_NAT_POOL_MAX + 1 };
	char *text = malloc(RANGES * 24 + 400), *p = text;
	struct sp_read_options options = {.file = "test.rules"};
	struct sp_diags diags = {0};

	(void)state;
	p += sprintf(p, "version = 1; default = { action = \"drop\"; }; rules = ( );\nsets = { pool = [ ");
	for (int i = 0; i < RANGES; i++)
		p += sprintf(p, "%s\"11.%d.%d.1\"", i ? ", " : "", i >> 8, i & 255);
	sprintf(p, " ]; };\nnat = ( { id = 1; type = \"source\";\naddress = \"@pool\"; } );\n");
	assert_null(sp_policy_read(text, strlen(text), &options, &diags));
	assert_int_equal(diags.errors, 1);
	assert_int_equal(diags.v[0].line, 4);
	assert_non_null(strstr(diags.v[0].text, "address: more than 4096 ranges of addresses: write prefixes"));
	sp_diags_clear(&diags);
	free(text);
}

static void warns(void **state)
{
	static const struct {
		const char *nat;
		int line;
		const char *why; /* NULL: no warning */
	} cases[] = {
		{SOURCE "address = \"interface\"; },\n{ id = 2; type = \"source\"; from = \"inside\"; to = \"outside\"; src = "
			"\"10.1.0.0/16\"; "
			"address = \"192.0.2.1\"; }",
			5, "nat entry 2 can never match: entry 1 (test.rules:4), before it"},
		{SOURCE "address = \"192.0.2.1\"; },\n{ id = 2; type = \"source\"; from = \"inside\"; to = \"outside\"; src = \"@lan\"; "
			"address = \"2001:db8::1\"; }",
			0, NULL},
		{SOURCE "address = \"interface\"; enabled = false; },\n{ id = 2; type = \"source\"; src = \"10.1.0.0/16\"; address = "
			"\"192.0.2.1\"; }",
			0, NULL},
		{SOURCE "address = \"interface\"; },\n{ id = 2; type = \"destination\"; dport = 80; address = \"192.0.2.1\"; }", 0, NULL},
		{"{ id = 1; type = \"destination\"; dst = \"192.0.2.9\"; dport = 80; address = \"192.0.2.1\"; },\n"
		 "{ id = 2; type = \"destination\"; dst = \"interface\"; dport = 80; address = \"192.0.2.1\"; }",
			0, NULL},
		{"{ id = 1; type = \"destination\"; dst = \"interface\"; dport = 80; address = \"192.0.2.1\"; },\n"
		 "{ id = 2; type = \"destination\"; dst = \"192.0.2.9\"; dport = 80; address = \"192.0.2.1\"; }",
			0, NULL},
		{"{ id = 1; type = \"destination\"; dst = \"interface\"; dport = \"80-90\"; address = \"192.0.2.1\"; },\n"
		 "{ id = 2; type = \"destination\"; dst = \"interface\"; dport = 80; address = \"192.0.2.1\"; }",
			5, "nat entry 2 can never match"},
		{"{ id = 1; type = \"source\"; src = \"10.0.0.0/8\"; address = \"interface\"; },\n"
		 "{ id = 2; type = \"static\"; src = \"10.0.0.1\"; address = \"192.0.2.1\"; }",
			5, "nat entry 2 translates no source: entry 1"},
		{"{ id = 1; type = \"source\"; src = \"@void\"; address = \"interface\"; }", 4, "nat entry 1 can never match"},
		{"{ id = 1; type = \"source\"; src = \"10.0.0.0/8\"; address = \"2001:db8::1\"; }", 4, "nat entry 1 can never match"},
		{DESTINATION "address = \"192.0.2.1\"; }", 4, "nat entry 1 sends every packet of its zones to its address"},
		{SOURCE "address = \"none\"; }", 4, "nat entry 1 exempts from nothing: no source entry"},
		{SOURCE "address = \"none\"; },\n{ id = 2; type = \"source\"; address = \"interface\"; }", 0, NULL},
		{"{ id = 1; type = \"source\"; src = \"10.1.0.0/16\"; address = \"192.0.2.0/24\"; },\n"
		 "{ id = 2; type = \"static\"; src = \"10.0.0.1\"; address = \"192.0.2.7\"; }",
			5, "nat entry 2 and entry 1 (test.rules:4) both give out addresses of 192.0.2.0/24"},
		{"{ id = 1; type = \"static\"; src = \"10.0.0.1\"; address = \"192.0.2.7\"; },\n"
		 "{ id = 2; type = \"static\"; src = \"10.0.0.2\"; address = \"192.0.2.7\"; }",
			5, "both give out addresses of 192.0.2.7"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_policy *policy = nat_good(cases[i].nat, "\"1 allow from @lan,@web,@one,@mixed,@void dport @ports\"");
		struct sp_diags diags = {0};

		sp_policy_check(policy, &diags);
		if (diags.errors != 0 || diags.warnings != (cases[i].why != NULL) ||
			(cases[i].why != NULL && (diags.v[0].line != cases[i].line || strstr(diags.v[0].text, cases[i].why) == NULL))) {
			sp_diags_print(&diags, stderr);
			fail_msg("%s\nline %d: %s", cases[i].nat, cases[i].line, cases[i].why ? cases[i].why : "no warning");
		}
		sp_diags_clear(&diags);
		sp_policy_free(policy);
	}
}

/* A rule that names what clients write, and not the server. */
static void rules_behind_the_translation(void **state)
{
	static const struct {
		const char *nat, *rule;
		bool warned;
	} cases[] = {
		{"{ id = 1; type = \"destination\"; dst = \"203.0.113.80\"; dport = 443; address = \"192.0.2.80\"; }",
			"1 allow tcp to 203.0.113.80 dport 443", true},
		{"{ id = 1; type = \"destination\"; dst = \"203.0.113.80\"; dport = 443; address = \"192.0.2.80\"; }",
			"1 allow tcp to 192.0.2.80 dport 443", false},
		{"{ id = 1; type = \"destination\"; dst = \"203.0.113.80\"; dport = 443; address = \"192.0.2.80\"; }",
			"1 allow tcp to 203.0.113.80 dport 80", false},
		{"{ id = 1; type = \"destination\"; dst = \"203.0.113.80\"; dport = 443; address = \"192.0.2.80\"; }",
			"1 allow tcp to 203.0.113.80-203.0.113.81 dport 443", false},
		{"{ id = 1; type = \"destination\"; dst = \"203.0.113.80\"; dport = 443; address = \"192.0.2.80\"; enabled = false; }",
			"1 allow tcp to 203.0.113.80 dport 443", false},
		{"{ id = 1; type = \"destination\"; dst = \"203.0.113.80\"; dport = 80; address = \"203.0.113.80\"; port = 443; },\n"
		 "{ id = 2; type = \"destination\"; dst = \"203.0.113.80\"; dport = 443; address = \"192.0.2.80\"; }",
			"1 allow tcp to 203.0.113.80 dport 443", false},
		{"{ id = 1; type = \"destination\"; src = \"10.0.0.1\"; dst = \"203.0.113.80\"; address = \"none\"; },\n"
		 "{ id = 2; type = \"destination\"; dst = \"203.0.113.80\"; dport = 443; address = \"192.0.2.80\"; }",
			"1 allow tcp to 203.0.113.80 dport 443", false},
		{"{ id = 1; type = \"source\"; dst = \"203.0.113.80\"; dport = 443; address = \"192.0.2.80\"; }",
			"1 allow tcp to 203.0.113.80 dport 443", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char rules[256];
		struct sp_policy *policy;
		struct sp_diags diags = {0};

		snprintf(rules, sizeof(rules), "\"%s\"", cases[i].rule);
		policy = nat_good(cases[i].nat, rules);
		sp_policy_check(policy, &diags);
		if (said(&diags, SP_DIAG_WARNING, "translates its dst 203.0.113.80 before: write the server's address") != cases[i].warned)
			fail_msg("%s\n%s", cases[i].nat, cases[i].rule);
		sp_diags_clear(&diags);
		sp_policy_free(policy);
	}
}

/* A set that only nat names is used. */
static void sets_of_nat_are_used(void **state)
{
	struct sp_policy *policy =
		nat_good("{ id = 1; type = \"destination\"; src = \"!@lan\"; dst = \"interface\"; dport = \"@ports\"; address = \"@web\"; "
			 "method = \"maglev\"; }",
			"\"1 allow\"");
	struct sp_diags diags = {0};

	(void)state;
	sp_policy_check(policy, &diags);
	assert_false(said(&diags, SP_DIAG_WARNING, "'lan'"));
	assert_false(said(&diags, SP_DIAG_WARNING, "'ports'"));
	assert_false(said(&diags, SP_DIAG_WARNING, "'web'"));
	sp_diags_clear(&diags);
	sp_policy_free(policy);
	policy = nat_good("{ id = 1; type = \"source\"; address = \"interface\"; name = \"@ports\"; }", "\"1 allow\"");
	sp_policy_check(policy, &diags);
	assert_true(said(&diags, SP_DIAG_WARNING, "set 'ports' is used by no"));
	sp_diags_clear(&diags);
	sp_policy_free(policy);
}

/* fmt keeps comments and meaning, one entry a line, and is its own format. */
static void formatted(void **state)
{
	static const char text[] = NAT_HEAD "nat=(\n# why\n{id=1;type=\"source\",address=\"interface\"}  # because\n,{ id = 2;\n type = "
					    "\"destination\"; dport = 80;\n address = \"192.0.2.1\"; health = { type = \"tcp\"; }; } );\n"
					    "rules = ( \"1 allow\" );\n";
	static const char want[] =
		"nat = (\n    # why\n    { id = 1; type = \"source\"; address = \"interface\"; },  # because\n"
		"    { id = 2; type = \"destination\"; dport = 80; address = \"192.0.2.1\"; health = { type = \"tcp\"; }; }\n);\n";
	static const char plain[] = NAT_HEAD "nat = ( { id = 1; type = \"source\"; address = \"interface\"; } ); rules = ( );\n";
	struct sp_diags diags = {0};
	char *once = sp_fmt(text, strlen(text), "t", &diags), *twice;

	(void)state;
	assert_non_null(once);
	if (strstr(once, want) == NULL)
		fail_msg("%s", once);
	twice = sp_fmt(once, strlen(once), "t", &diags);
	assert_string_equal(once, twice);
	free(once);
	free(twice);
	once = sp_fmt(plain, strlen(plain), "t", &diags); /* an entry has its line without a comment, too */
	assert_non_null(once);
	assert_non_null(strstr(once, "nat = (\n    { id = 1; type = \"source\"; address = \"interface\"; }\n);\n"));
	free(once);
}

static void as_json(void **state)
{
	struct sp_policy *policy = nat_good(every_key, "\"1 allow\"");
	json_t *json = sp_nat_entry_json(&policy->nat->v[0]), *fields = json_object_get(json, "fields"), *health;

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(json, "id")), 7);
	assert_string_equal(json_string_value(json_object_get(json, "type")), "source");
	assert_string_equal(json_string_value(json_object_get(json, "file")), "test.rules");
	assert_int_equal(json_integer_value(json_object_get(json, "line")), 4);
	assert_true(json_is_false(json_object_get(json, "enabled")));
	assert_string_equal(json_string_value(json_object_get(json, "name")), "out");
	assert_int_equal(json_object_size(fields), 17);
	assert_string_equal(json_string_value(json_object_get(fields, "src")), "@lan");
	assert_string_equal(json_string_value(json_object_get(fields, "proto")), "tcp,udp");
	assert_string_equal(json_string_value(json_object_get(fields, "dport")), "@ports,8080");
	json_decref(json);
	json = sp_nat_entry_json(&policy->nat->v[1]);
	health = json_object_get(json_object_get(json, "fields"), "health");
	assert_string_equal(json_string_value(json_object_get(health, "path")), "/up");
	assert_int_equal(json_integer_value(json_object_get(health, "timeout_ms")), 500);
	assert_true(json_is_null(json_object_get(json, "name")));
	json_decref(json);
	sp_policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(source_with_every_key),
		cmocka_unit_test(destination_with_every_key),
		cmocka_unit_test(the_other_kinds),
		cmocka_unit_test(the_contract),
		cmocka_unit_test(an_empty_list_is_none),
		cmocka_unit_test(refuses),
		cmocka_unit_test(a_list_has_a_bound),
		cmocka_unit_test(a_pool_has_a_bound),
		cmocka_unit_test(warns),
		cmocka_unit_test(rules_behind_the_translation),
		cmocka_unit_test(sets_of_nat_are_used),
		cmocka_unit_test(formatted),
		cmocka_unit_test(as_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
