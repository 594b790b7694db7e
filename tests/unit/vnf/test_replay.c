/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The replay engine: the right port and zone for a frame, the capture's clock, verdicts in order whatever the burst. What packets deserve
 * is tests/packet's business.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "rules/read.h"
#include "vnf/eal.h"
#include "vnf/replay.h"

#define SEC UINT64_C(1000000000)

#define RULES                                                        \
	"version = 1; default = { action = \"drop\"; }; rules = (\n" \
	"\"1 allow udp from inside to outside\", \"2 drop udp from guest\", \"3 reject udp from outside to inside dport 9\" );\n"

#define CONFIG                                                                                       \
	"ports = ( { name = \"in\"; device = \"net_null0\"; zone = \"inside\"; peer = \"out\"; },\n" \
	"{ name = \"out\"; device = \"net_null1\"; zone = \"outside\"; peer = \"in\"; },\n"          \
	"{ name = \"guest\"; parent = \"in\"; vlan = 20; zone = \"guest\"; } );\n"

struct seen {
	struct sp_replay_verdict verdict[128];
	unsigned int n;
};

static void report(void *context, const struct sp_replay_verdict *verdict)
{
	struct seen *seen = context;

	assert_true(seen->n < 128);
	assert_int_equal(verdict->n, seen->n + 1);
	seen->verdict[seen->n++] = *verdict;
}

/* A UDP datagram of zero bytes without checksum. The last bytes of the MAC addresses are those of the addresses. */
static struct sp_replay_frame udp(
	uint8_t bytes[64], const char *src, const char *dst, uint16_t sport, uint16_t dport, unsigned int vlan, uint64_t ns)
{
	uint8_t *ip = bytes + (vlan != 0 ? 18 : 14);
	uint32_t sum = 0;

	memset(bytes, 0, 64);
	bytes[0] = bytes[6] = 2;
	memcpy(bytes + 12, vlan != 0 ? "\x81\0" : "\x08\0", 2);
	if (vlan != 0) {
		bytes[14] = (uint8_t)(vlan >> 8);
		bytes[15] = (uint8_t)vlan;
		memcpy(bytes + 16, "\x08\0", 2);
	}
	memcpy(ip, "\x45\0\0\x1c\0\0\0\0\x40\x11", 10);
	inet_pton(AF_INET, src, ip + 12);
	inet_pton(AF_INET, dst, ip + 16);
	memcpy(bytes + 2, ip + 16, 4);
	memcpy(bytes + 8, ip + 12, 4);
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	ip[10] = (uint8_t)(~sum >> 8);
	ip[11] = (uint8_t)~sum;
	memcpy(ip + 20, (uint8_t[]){(uint8_t)(sport >> 8), (uint8_t)sport, (uint8_t)(dport >> 8), (uint8_t)dport, 0, 8}, 6);
	return (struct sp_replay_frame){.data = bytes, .len = (uint32_t)(ip - bytes) + 28, .ns = 1000 * SEC + ns};
}

struct fixture {
	struct sp_config *config;
	struct sp_replay_zones zones;
	struct sp_zones table;
	struct sp_replay_options options;
	struct sp_replay *replay;
	struct seen seen;
};

static void begin(struct fixture *f, const char *config, const char *zones[], unsigned int burst)
{
	struct sp_read_options options = {.file = "test.rules"};
	struct sp_diags diags = {0};
	struct sp_policy *policy;
	struct sp_ruleset *ruleset;
	char why[SP_WHY_MAX];

	memset(f, 0, sizeof(*f));
	if (config != NULL) {
		f->config = sp_config_read(config, strlen(config), "test.conf", &diags);
		assert_non_null(f->config);
		options.zones = &f->config->zones;
	}
	policy = sp_policy_load(RULES, strlen(RULES), &options, &diags);
	if (policy == NULL)
		sp_diags_print(&diags, stderr);
	assert_non_null(policy);
	f->table = policy->zones;
	for (unsigned int i = 0; zones != NULL && zones[i] != NULL; i++)
		assert_int_equal(sp_replay_zones_add(&f->zones, zones[i], why, sizeof(why)), 0);
	assert_int_equal(sp_replay_zones_resolve(&f->zones, &f->table, why, sizeof(why)), 0);
	ruleset = sp_ruleset_build(policy, &diags);
	assert_non_null(ruleset);
	f->options = (struct sp_replay_options){.config = f->config,
		.zones = &f->zones,
		.table = &f->table,
		.checksum = -1,
		.burst = burst,
		.report = report,
		.context = &f->seen};
	f->replay = sp_replay_create(&f->options, ruleset, why);
	if (f->replay == NULL)
		fail_msg("%s", why);
	sp_diags_clear(&diags);
}

static void put(struct fixture *f, const char *src, const char *dst, uint16_t sport, uint16_t dport, unsigned int vlan, uint64_t ns)
{
	uint8_t bytes[64];
	char why[SP_WHY_MAX];
	struct sp_replay_frame frame = udp(bytes, src, dst, sport, dport, vlan, ns);

	if (sp_replay_frame(f->replay, &frame, why) != 0)
		fail_msg("%s", why);
}

static void end(struct fixture *f)
{
	char why[SP_WHY_MAX];

	if (sp_replay_finish(f->replay, why) != 0)
		fail_msg("%s", why);
	sp_replay_free(f->replay);
	sp_config_free(f->config);
}

static void expect(const struct fixture *f, unsigned int n, uint8_t verdict, uint8_t reason, uint32_t rule)
{
	assert_true(n <= f->seen.n);
	if (f->seen.verdict[n - 1].verdict != verdict || f->seen.verdict[n - 1].reason != reason || f->seen.verdict[n - 1].rule != rule)
		fail_msg("packet %u: verdict %u, reason %s, rule %u", n, f->seen.verdict[n - 1].verdict,
			sp_drop_texts[f->seen.verdict[n - 1].reason].name, f->seen.verdict[n - 1].rule);
}

static void test_zones_by_address(void **state)
{
	const char *zones[] = {"inside=10.0.0.0/8", "outside=0.0.0.0/0", "guest=10.7.0.0/16", NULL};
	struct fixture f;

	(void)state;
	begin(&f, NULL, zones, 1);
	put(&f, "10.0.0.1", "192.0.2.1", 1000, 53, 0, 0);
	put(&f, "192.0.2.1", "10.0.0.1", 53, 1000, 0, SEC);
	put(&f, "10.7.0.1", "192.0.2.1", 1000, 53, 0, 2 * SEC);
	put(&f, "192.0.2.1", "10.0.0.1", 54, 1000, 0, 3 * SEC);
	put(&f, "192.0.2.1", "10.0.0.1", 54, 9, 0, 4 * SEC);
	end(&f);
	assert_int_equal(f.seen.n, 5);
	expect(&f, 1, SP_VERDICT_ALLOW, SP_DROP_NONE, 1);
	expect(&f, 2, SP_VERDICT_ALLOW, SP_DROP_NONE, 1);
	expect(&f, 3, SP_VERDICT_DROP, SP_DROP_RULE, 2);
	expect(&f, 4, SP_VERDICT_DROP, SP_DROP_DEFAULT, 0);
	expect(&f, 5, SP_VERDICT_REJECT, SP_DROP_RULE, 3);
}

/* The configuration's ports: the first sender is inside; a VLAN of its port has a zone of its own. */
static void test_zones_by_port(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, CONFIG, NULL, 1);
	put(&f, "10.0.0.1", "192.0.2.1", 1000, 53, 0, 0);
	put(&f, "192.0.2.1", "10.0.0.1", 53, 1000, 0, SEC);
	put(&f, "192.0.2.1", "10.0.0.1", 54, 9, 0, SEC);
	put(&f, "10.0.0.1", "192.0.2.1", 1000, 53, 20, 2 * SEC);
	put(&f, "10.0.0.1", "192.0.2.1", 1000, 53, 21, 2 * SEC);
	end(&f);
	expect(&f, 1, SP_VERDICT_ALLOW, SP_DROP_NONE, 1);
	expect(&f, 2, SP_VERDICT_ALLOW, SP_DROP_NONE, 1);
	expect(&f, 3, SP_VERDICT_REJECT, SP_DROP_RULE, 3);
	expect(&f, 4, SP_VERDICT_DROP, SP_DROP_RULE, 2);
	expect(&f, 5, SP_VERDICT_DROP, SP_DROP_DEFAULT, 0); /* nobody defined VLAN 21 */
}

/* A reply after the session's time-out belongs to none; one before it does, and a clock that steps back changes nothing. */
static void test_clock(void **state)
{
	const char *zones[] = {"inside=10.0.0.0/8", "outside=0.0.0.0/0", NULL};
	uint64_t wrap = (UINT64_C(1) << 32) * (SEC / 1000); /* as far as a clock of milliseconds counts */
	struct fixture f;

	(void)state;
	begin(&f, NULL, zones, 1);
	put(&f, "10.0.0.1", "192.0.2.1", 1000, 53, 0, 10 * SEC);
	put(&f, "192.0.2.1", "10.0.0.1", 53, 1000, 0, 38 * SEC);
	put(&f, "10.0.0.2", "192.0.2.1", 1000, 53, 0, 40 * SEC);
	put(&f, "192.0.2.1", "10.0.0.2", 53, 1000, 0, 75 * SEC);
	put(&f, "10.0.0.3", "192.0.2.1", 1000, 53, 0, 76 * SEC);
	put(&f, "10.0.0.4", "192.0.2.1", 1000, 53, 0, 20 * SEC);
	put(&f, "192.0.2.1", "10.0.0.3", 53, 1000, 0, 77 * SEC);
	put(&f, "192.0.2.1", "10.0.0.3", 53, 1000, 0, 77 * SEC + wrap);
	end(&f);
	expect(&f, 2, SP_VERDICT_ALLOW, SP_DROP_NONE, 1);
	expect(&f, 4, SP_VERDICT_DROP, SP_DROP_DEFAULT, 0);
	expect(&f, 7, SP_VERDICT_ALLOW, SP_DROP_NONE, 1);
	expect(&f, 8, SP_VERDICT_DROP, SP_DROP_DEFAULT, 0);
}

/* Bursts of any size give the same answers in the same order. */
static void test_bursts(void **state)
{
	const char *zones[] = {"inside=10.0.0.0/8", "outside=0.0.0.0/0", NULL};
	struct fixture one, many;

	(void)state;
	for (unsigned int burst = 2; burst <= SP_BURST_MAX; burst += 15) {
		struct fixture *both[] = {&one, &many};

		for (int b = 0; b < 2; b++) {
			begin(both[b], NULL, zones, b == 0 ? 1 : burst);
			for (unsigned int i = 0; i < 100; i++) {
				if (i % 10 == 9)
					put(both[b], "192.0.2.1", "10.0.0.1", 53, (uint16_t)(1000 + i % 7), 0, i);
				else
					put(both[b], "10.0.0.1", i % 4 == 3 ? "10.0.0.9" : "192.0.2.1", (uint16_t)(1000 + i % 7), 53, 0, i);
			}
			end(both[b]);
			assert_int_equal(both[b]->seen.n, 100);
		}
		for (unsigned int i = 0; i < 100; i++) {
			assert_int_equal(one.seen.verdict[i].verdict, many.seen.verdict[i].verdict);
			assert_int_equal(one.seen.verdict[i].rule, many.seen.verdict[i].rule);
			assert_int_equal(one.seen.verdict[i].ns, many.seen.verdict[i].ns);
		}
	}
}

/* Each pair of zones needs a pair of ports; there is room for sixteen. */
static void test_too_many_pairs(void **state)
{
	const char *zones[] = {"a=10.0.0.0/16", "b=10.1.0.0/16", "c=10.2.0.0/16", "d=10.3.0.0/16", "e=10.4.0.0/16", "f=10.5.0.0/16", NULL};
	unsigned int pairs = 0;
	struct fixture f;

	(void)state;
	begin(&f, NULL, zones, 1);
	for (unsigned int from = 0; from < 6; from++)
		for (unsigned int to = from; to < 6; to++) {
			char src[16], dst[16], why[SP_WHY_MAX] = "";
			uint8_t bytes[64];
			struct sp_replay_frame frame;
			int rc;

			snprintf(src, sizeof(src), "10.%u.0.1", from);
			snprintf(dst, sizeof(dst), "10.%u.0.2", to);
			frame = udp(bytes, src, dst, 1, 2, 0, pairs);
			rc = sp_replay_frame(f.replay, &frame, why);
			if (pairs++ < 16)
				assert_int_equal(rc, 0);
			else
				assert_non_null(strstr(why, "more than 16 pairs of zones"));
			frame = udp(bytes, dst, src, 2, 1, 0, pairs);
			if (rc == 0)
				assert_int_equal(sp_replay_frame(f.replay, &frame, why), 0);
		}
	assert_int_equal(f.seen.n, 32);
	end(&f);
}

static int start(void **state)
{
	char why[SP_WHY_MAX];

	(void)state;
	if (sp_eal_start_command(512, why, sizeof(why)) == 0)
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
		cmocka_unit_test(test_zones_by_address),
		cmocka_unit_test(test_zones_by_port),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_bursts),
		cmocka_unit_test(test_too_many_pairs),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
