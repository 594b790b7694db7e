/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"
#include "mgmt/ctl/table.h"

static void put(const char *text)
{
	sp_print_text(text ? text : "?", stdout);
}

/* "10 at main.rules:14 ('lan to web')" */
static void print_rule(json_t *rule)
{
	const char *file = sp_json_string(rule, "file"), *name = sp_json_string(rule, "name");

	printf("%lld", (long long)sp_json_int(rule, "rule"));
	if (file) {
		fputs(" at ", stdout);
		put(file);
		printf(":%lld", (long long)sp_json_int(rule, "line"));
	}
	if (name) {
		fputs(" (", stdout);
		put(name);
		fputs(")", stdout);
	}
}

static void print_field(json_t *step)
{
	const char *field = sp_json_string(step, "field"), *wanted = sp_json_string(step, "wanted"), *got = sp_json_string(step, "got");

	if (!field)
		return;
	fputs(": ", stdout);
	put(field);
	if (wanted) {
		fputs(" wants ", stdout);
		put(wanted);
	}
	if (got) {
		fputs(", the packet has ", stdout);
		put(got);
	}
}

static void print_steps(json_t *steps)
{
	json_t *step;
	size_t i;

	json_array_foreach (steps, i, step) {
		const char *result = sp_json_string(step, "result");

		fputs("  before it, rule ", stdout);
		print_rule(step);
		if (result && strcmp(result, "monitored") == 0)
			fputs(" (monitor) would ", stdout);
		else
			fputs(result && strcmp(result, "unknown") == 0 ? " cannot be told, would " : " does not match, would ", stdout);
		put(sp_json_string(step, "action"));
		print_field(step);
		putchar('\n');
	}
}

/* What the nat list does to the packet's destination, or source; nothing without an entry. */
static void print_nat(json_t *nat, const char *end)
{
	const char *text = sp_json_string(json_object_get(nat, end), "text");

	if (!text)
		return;
	fputs("  nat: ", stdout);
	put(text);
	putchar('\n');
}

static void print_explain(json_t *json, const char *verdict)
{
	json_t *miss = json_object_get(json, "near_miss");
	const char *text = sp_json_string(json, "text"), *builtin = sp_json_string(json, "builtin");

	put(verdict);
	if (json_is_integer(json_object_get(json, "rule"))) {
		fputs(" by rule ", stdout);
		print_rule(json);
		putchar('\n');
		if (text) {
			fputs("  ", stdout);
			put(text);
			putchar('\n');
		}
	} else if (builtin) {
		fputs(" by builtin ", stdout);
		put(builtin);
		putchar('\n');
	} else if (!json_is_true(json_object_get(json, "default"))) {
		fputs(" before any rule: ", stdout);
		put(sp_json_string(json, "reason"));
		putchar('\n');
	} else if (json_is_true(json_object_get(json, "self"))) {
		puts(" by the default of the firewall itself: no rule that names self matches");
	} else {
		puts(" by the default: no rule matches");
	}
	print_nat(json_object_get(json, "nat"), "destination");
	if (json_is_true(json_object_get(json, "pending")))
		puts("  pending: this holds if what the description leaves open matches, too");
	print_steps(json_object_get(json, "steps"));
	if (json_is_object(miss)) {
		fputs("  nearest miss: rule ", stdout);
		print_rule(miss);
		fputs(" would ", stdout);
		put(sp_json_string(miss, "action"));
		print_field(miss);
		putchar('\n');
	}
	print_nat(json_object_get(json, "nat"), "source");
}

int sp_ctl_explain(const struct sp_ctl *ctl)
{
	struct sp_http_request request = {.method = "POST", .target = "/v1/explain", .type = "text/plain"};
	const char *verdict;
	json_t *json;
	int code;

	if (ctl->n_args != 1)
		return sp_ctl_error("explain takes one packet in quotes, as in: explain \"tcp 10.0.0.1:40000 > 192.0.2.10:443\"");
	request.body = ctl->args[0];
	request.size = strlen(ctl->args[0]);
	code = sp_ctl_call(ctl, &request, NULL, &json);
	if (!json)
		return code;
	verdict = sp_json_string(json, "verdict");
	if (!verdict)
		verdict = sp_json_string(json, "action");
	print_explain(json, verdict);
	code = verdict && strcmp(verdict, "allow") == 0 ? SP_CTL_GOOD : SP_CTL_NO;
	json_decref(json);
	return code;
}
