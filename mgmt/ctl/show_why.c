/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sallyctl why: the last drops of an address out of the drop ring, like ones together, each with what it means, what to do, and what the
 * rules now in force say to such a packet.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"
#include "mgmt/ctl/human.h"
#include "mgmt/ctl/table.h"

#define GROUPS_MAX 12 /* told one by one; the rest is counted */

static void put(const char *text)
{
	sp_print_text(text ? text : "?", stdout);
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80" into target's parameters. */
static bool add_endpoint(char *target, size_t size, const char *text)
{
	char addr[64];
	const char *colon = strrchr(text, ':'), *port = NULL;
	size_t n = strlen(text);

	if (text[0] == '[') {
		const char *end = strchr(text, ']');

		if (!end || (end[1] != '\0' && end[1] != ':'))
			return false;
		port = end[1] == ':' ? end + 2 : NULL;
		text++;
		n = (size_t)(end - text);
	} else if (colon && strchr(text, ':') == colon) {
		port = colon + 1;
		n = (size_t)(colon - text);
	}
	if (n == 0 || n >= sizeof(addr))
		return false;
	memcpy(addr, text, n);
	addr[n] = '\0';
	return sp_ctl_query(target, size, "ip", addr) && sp_ctl_query(target, size, "port", port);
}

/* Drops that differ in time and source port only are one finding. */
static bool alike(json_t *a, json_t *b)
{
	static const char *const members[] = {"reason", "rule", "proto", "src", "dst", "dport", "zone_from", "zone_to", "vlan"};

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (!json_equal(json_object_get(a, members[i]), json_object_get(b, members[i])))
			return false;
	return true;
}

static void print_packet(json_t *drop)
{
	const char *packet = sp_json_string(drop, "packet"), *port = sp_json_string(drop, "port");

	if (packet) {
		put(packet);
	} else if (sp_json_string(drop, "src")) {
		put(sp_json_string(drop, "proto"));
		putchar(' ');
		put(sp_json_string(drop, "src"));
		fputs(" > ", stdout);
		put(sp_json_string(drop, "dst"));
		if (json_is_true(json_object_get(drop, "icmp_error")))
			fputs(" (quoted by an ICMP error)", stdout);
	} else {
		fputs("a frame", stdout);
	}
	if (port) {
		fputs(", port ", stdout);
		put(port);
	}
	putchar('\n');
}

static void print_rule(json_t *drop)
{
	json_t *rule = json_object_get(drop, "rule");
	const char *file = sp_json_string(drop, "file"), *name = sp_json_string(drop, "name");

	if (json_is_integer(rule)) {
		printf("  rule %lld", (long long)json_integer_value(rule));
		if (file) {
			fputs(" at ", stdout);
			put(file);
			printf(":%lld", (long long)sp_json_int(drop, "line"));
		} else {
			fputs(", which is not in force any more", stdout);
		}
		if (name) {
			fputs(" (", stdout);
			put(name);
			fputs(")", stdout);
		}
		putchar('\n');
	} else if (json_is_string(rule)) {
		puts("  the default decided: no rule matched");
	}
}

/* What explain says to such a packet now: only its nearest miss is news to somebody who saw it dropped. */
static void print_explain(const struct sp_ctl *ctl, json_t *drop)
{
	struct sp_http_request request = {.method = "POST", .target = "/v1/explain", .type = "text/plain", .timeout_sec = 10};
	const char *reason = sp_json_string(drop, "reason"), *verdict;
	struct sp_http_answer answer;
	json_t *json, *miss;
	char why[256];

	request.body = sp_json_string(drop, "packet");
	if (!request.body || !reason || (strcmp(reason, "default") != 0 && strcmp(reason, "rule") != 0))
		return;
	request.size = strlen(request.body);
	if (sp_http_call(ctl->socket, &request, &answer, why, sizeof(why)) != 0)
		return;
	json = answer.status == 200 ? json_loadb(answer.body, answer.size, 0, NULL) : NULL;
	miss = json_object_get(json, "near_miss");
	verdict = sp_json_string(json, "verdict");
	if (verdict && strcmp(verdict, "allow") == 0)
		puts("  the rules in force now would allow it");
	if (json_is_object(miss)) {
		printf("  nearest miss: rule %lld", (long long)sp_json_int(miss, "rule"));
		if (sp_json_string(miss, "file")) {
			fputs(" at ", stdout);
			put(sp_json_string(miss, "file"));
			printf(":%lld", (long long)sp_json_int(miss, "line"));
		}
		fputs(" would ", stdout);
		put(sp_json_string(miss, "action"));
		if (sp_json_string(miss, "field")) {
			fputs(", but ", stdout);
			put(sp_json_string(miss, "field"));
			fputs(" wants ", stdout);
			put(sp_json_string(miss, "wanted"));
			fputs(" and the packet has ", stdout);
			put(sp_json_string(miss, "got"));
		}
		putchar('\n');
	}
	json_decref(json);
	sp_http_clear(&answer);
}

static void print_group(const struct sp_ctl *ctl, json_t *drop, unsigned int n)
{
	char buf[SP_HUMAN_SIZE];

	printf("%s  ", sp_human_ago(sp_json_string(drop, "time"), buf));
	put(sp_json_string(drop, "reason"));
	if (n > 1)
		printf(" (%u like it)", n);
	fputs(": ", stdout);
	print_packet(drop);
	fputs("  ", stdout);
	put(sp_json_string(drop, "meaning"));
	fputs("; ", stdout);
	put(sp_json_string(drop, "cure"));
	putchar('\n');
	print_rule(drop);
	print_explain(ctl, drop);
}

static void print_drops(const struct sp_ctl *ctl, json_t *drops)
{
	json_t *first[GROUPS_MAX];
	unsigned int n[GROUPS_MAX] = {0}, n_groups = 0, more = 0;
	json_t *drop;
	size_t i;

	json_array_foreach (drops, i, drop) {
		unsigned int g = 0;

		while (g < n_groups && !alike(first[g], drop))
			g++;
		if (g == GROUPS_MAX) {
			more++;
			continue;
		}
		if (g == n_groups)
			first[n_groups++] = drop;
		n[g]++;
	}
	for (unsigned int g = 0; g < n_groups; g++)
		print_group(ctl, first[g], n[g]);
	if (more > 0)
		printf("and %u more of other kinds; name a port, or see `-j`\n", more);
}

int sp_ctl_why(const struct sp_ctl *ctl)
{
	char target[256] = "/v1/drops";
	json_t *json, *drops;
	int code;

	if (ctl->n_args != 1 || !add_endpoint(target, sizeof(target), ctl->args[0]))
		return sp_ctl_error("why takes ADDRESS or ADDRESS:PORT, as in: why 192.0.2.10:443, or why [2001:db8::10]:443");
	code = sp_ctl_get(ctl, target, &json);
	if (!json)
		return code;
	drops = json_object_get(json, "drops");
	if (json_array_size(drops) > 0)
		print_drops(ctl, drops);
	else
		puts("nothing of it was dropped, as far as the drop ring goes back (the last 16 packets of each reason and worker)");
	json_decref(json);
	return SP_CTL_GOOD;
}
