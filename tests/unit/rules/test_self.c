/* SPDX-License-Identifier: BSD-3-Clause */
/* The zone of the firewall itself: only what names it is for it, and whoever judges a policy agrees. */
#include "policy_of.h"

#include <netinet/in.h>

#include "rules/acl.h"
#include "rules/check.h"
#include "rules/classifier.h"
#include "rules/cover.h"
#include "rules/explain.h"
#include "rules/nat.h"
#include "rules/self.h"
#include "tests/unit/support/eal.h"

static struct sp_policy *with_zones(const char *rules, const struct sp_zones *zones, struct sp_diags *diags)
{
	struct sp_read_options options = {.file = "test.rules", .zones = zones};
	char text[2048];

	snprintf(text, sizeof(text), "version = 1; default = { action = \"drop\"; };\nrules = (\n%s );\n", rules);
	return sp_policy_read(text, strlen(text), &options, diags);
}

static const struct sp_zones routed = {.name = {"self", "in", "out"}, .n = 3}, wire = {.name = {"in", "out"}, .n = 2};

/* The zone whichever way it comes into the table, and a packet without a zone. */
static void every_judge_agrees(void **state)
{
	static const char rules[] =
		"\"1 allow tcp dport 1\", \"2 allow tcp from in dport 1-2\", \"3 allow tcp to out dport 1-3\",\n"
		"\"4 allow tcp to self dport 1-4\", \"5 allow tcp from self dport 1-5\", \"6 allow tcp from in,self dport 1-6\",\n"
		"\"7 allow tcp from in to out,self dport 1-7\", \"8 allow from self to out\", \"9 drop tcp\"";
	static const struct {
		const char *from, *to; /* NULL: no zone */
		uint16_t dport;
		uint32_t rule; /* 0: none */
	} cases[] = {
		{"in", "out", 1, 1},
		{"in", "out", 2, 2},
		{"out", "out", 3, 3},
		{NULL, NULL, 1, 1},
		{NULL, NULL, 9, 9},
		{NULL, "out", 2, 3},
		{"in", "self", 1, 4},
		{"in", "self", 4, 4},
		{"out", "self", 2, 4},
		{NULL, "self", 2, 4},
		{"in", "self", 5, 7},
		{"in", "self", 7, 7},
		{"out", "self", 5, 0},
		{"in", "self", 8, 0},
		{"self", "out", 1, 5},
		{"self", "out", 5, 5},
		{"self", "out", 6, 6},
		{"self", "out", 7, 8},
		{"self", "in", 7, 0},
		{"self", NULL, 7, 0},
		{"self", "in", 6, 6},
	};

	for (int closed = 0; closed < 2; closed++) {
		struct sp_diags diags = {0};
		struct sp_policy *policy = with_zones(rules, closed ? &routed : NULL, &diags);
		struct sp_classifier *classifier;

		(void)state;
		assert_non_null(policy);
		classifier = sp_classifier_build(policy, &diags);
		assert_non_null(classifier);
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct sp_match match = {.family = SP_FAMILY_IPV4, .proto = IPPROTO_TCP, .ethertype = 0x0800, .sport = 9};
			const struct sp_match *key = &match;
			uint32_t linear, fast, first = 0;

			match.src.family = match.dst.family = SP_FAMILY_IPV4;
			match.dport = cases[i].dport;
			match.from = match.to = SP_MATCH_NO_ZONE;
			if (cases[i].from)
				match.from = (uint8_t)sp_zone_index(&policy->zones, cases[i].from, strlen(cases[i].from));
			if (cases[i].to)
				match.to = (uint8_t)sp_zone_index(&policy->zones, cases[i].to, strlen(cases[i].to));
			linear = sp_match_linear(policy, &match, 0);
			sp_classifier_lookup(classifier, &key, &first, &fast, 1);
			assert_int_equal(linear, fast);
			if ((linear == SP_RULE_NONE ? 0 : policy->rules[linear].id) != cases[i].rule)
				fail_msg("from %s to %s dport %u: %u", cases[i].from, cases[i].to, cases[i].dport, linear);
		}
		sp_classifier_free(classifier);
		sp_policy_free(policy);
		sp_diags_clear(&diags);
	}
}

/* All zones but one are one range for the classifier, wherever the one stands: no rule costs more because there is a zone `self`. */
static void it_costs_no_entries(void **state)
{
	(void)state;
	for (unsigned int self = 0; self < SP_ZONES_MAX; self++) {
		struct sp_zones zones = {.n = SP_ZONES_MAX};
		struct sp_diags diags = {0};
		struct sp_policy *policy;

		for (unsigned int i = 0; i < SP_ZONES_MAX; i++)
			snprintf(zones.name[i], sizeof(zones.name[i]), "z%u", i);
		strcpy(zones.name[self], "self");
		policy = with_zones("\"1 allow tcp from 10.0.0.0/8\", \"2 allow tcp to self\"", &zones, &diags);
		assert_non_null(policy);
		for (size_t i = 0; i < 2; i++) {
			struct sp_classifier classifier = {.policy = policy, .zone_shift = acl_zone_shift(policy)};

			assert_int_equal(acl_rule_entries(&classifier, &policy->rules[i], ACL_V4), 1);
		}
		sp_policy_free(policy);
	}
}

static void cover_knows(void **state)
{
	static const struct {
		const char *rules;
		bool hides;
	} cases[] = {
		{"\"1 allow tcp\", \"2 allow tcp to self\"", false},
		{"\"1 allow tcp\", \"2 allow tcp from in\"", true},
		{"\"1 allow tcp to self\", \"2 allow tcp to self dport 22\"", true},
		{"\"1 allow tcp from self,in\", \"2 allow tcp from in to out\"", true},
		{"\"1 allow tcp from in,out\", \"2 allow tcp\"", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sp_diags diags = {0};
		struct sp_policy *policy = with_zones(cases[i].rules, &routed, &diags);

		assert_non_null(policy);
		if (sp_rule_covers(policy, &policy->rules[0], &policy->rules[1]) != cases[i].hides)
			fail_msg("%s", cases[i].rules);
		sp_policy_free(policy);
	}
}

/* A rule that would match but for the firewall being an end is told as such. */
static void the_near_miss_says_so(void **state)
{
	struct sp_diags diags = {0};
	struct sp_policy *policy = with_zones("\"1 allow tcp dport 22\"", &routed, &diags);
	struct sp_packet_text packet;
	struct sp_explain e;
	char why[256], *text = NULL;
	size_t size;
	FILE *out;

	(void)state;
	assert_non_null(policy);
	assert_int_equal(
		sp_packet_text_parse("tcp 10.0.0.1:1 > 10.0.0.2:22 from in to self", &policy->zones, &packet, why, sizeof(why)), 0);
	sp_explain(policy, &packet, &e);
	out = open_memstream(&text, &size);
	sp_explain_print(policy, &packet, &e, out);
	fclose(out);
	assert_non_null(strstr(text, "would allow, but to wants any zone but self and the packet has self"));
	free(text);
	sp_policy_free(policy);
}

static void wire_mode_has_no_self(void **state)
{
	struct sp_diags diags = {0};

	(void)state;
	assert_null(with_zones("\"1 allow tcp to self\"", &wire, &diags));
	assert_true(said(&diags, SP_DIAG_ERROR, "zone 'self' is the firewall itself, which has no addresses in wire mode"));
	assert_int_equal(diags.v[0].line, 3);
	sp_diags_clear(&diags);
}

static void nat_of_interfaces_in_wire_mode(void **state)
{
	static const char text[] = "version = 1; default = { action = \"drop\"; }; rules = ( );\nnat = (\n"
				   "{ id = 1; type = \"source\"; address = \"interface\"; },\n"
				   "{ id = 2; type = \"destination\"; dst = \"interface\"; dport = 80; address = \"192.0.2.1\"; } );\n";
	const struct sp_zones *const zones[] = {NULL, &routed, &wire};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct sp_read_options options = {.file = "test.rules", .zones = zones[i]};
		struct sp_diags diags = {0};
		struct sp_policy *policy = sp_policy_read(text, strlen(text), &options, &diags);

		assert_non_null(policy);
		sp_policy_check(policy, &diags);
		assert_int_equal(diags.warnings, i == 2 ? 2 : 0);
		if (i == 2) {
			assert_int_equal(diags.v[0].line, 3);
			assert_non_null(strstr(diags.v[0].text, "ports have no addresses in wire mode, so what it matches is dropped"));
			assert_int_equal(diags.v[1].line, 4);
			assert_non_null(strstr(diags.v[1].text, "nat entry 2 can never match: ports have no addresses in wire mode"));
		}
		sp_diags_clear(&diags);
		sp_policy_free(policy);
	}
}

/* Whether there is the zone or not, an unchanged rule is unchanged: its sessions and counters stay. */
static void narrowing_changes_no_rule(void **state)
{
	struct sp_diags diags = {0};
	struct sp_policy *a = with_zones("\"1 allow tcp dport 22\"", &routed, &diags);
	struct sp_policy *b = with_zones("\"1 allow tcp dport 22\"", &wire, &diags);

	(void)state;
	assert_int_not_equal(a->rules[0].from, b->rules[0].from);
	assert_int_equal(b->rules[0].from, SP_ZONE_ANY);
	assert_true(a->rules[0].content_hash == b->rules[0].content_hash);
	sp_policy_free(a);
	sp_policy_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_judge_agrees),
		cmocka_unit_test(it_costs_no_entries),
		cmocka_unit_test(cover_knows),
		cmocka_unit_test(the_near_miss_says_so),
		cmocka_unit_test(wire_mode_has_no_self),
		cmocka_unit_test(nat_of_interfaces_in_wire_mode),
		cmocka_unit_test(narrowing_changes_no_rule),
	};

	sp_test_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
