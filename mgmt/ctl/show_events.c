/* SPDX-License-Identifier: BSD-3-Clause */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/ctl/ctl.h"
#include "mgmt/ctl/human.h"
#include "mgmt/ctl/table.h"

#define TARGET_SIZE 512
#define ANSWER_SEC  30

static volatile sig_atomic_t leaving;

static void on_signal(int number)
{
	(void)number;
	leaving = 1;
}

static json_t *inside(json_t *event, const char *object, const char *name)
{
	return json_object_get(json_object_get(event, object), name);
}

static void print_word(const char *text)
{
	sp_print_text(text ? text : "-", stdout);
}

/* "13:00:44.285": the date of something that happens now is known. */
static void print_time(json_t *event)
{
	const char *time = sp_json_string(event, "timestamp"), *clock = time ? strchr(time, 'T') : NULL;
	char text[16];

	snprintf(text, sizeof(text), "%.12s", clock ? clock + 1 : "-");
	print_word(text);
}

static void print_endpoint(json_t *event, const char *addr, const char *port)
{
	const char *text = sp_json_string(event, addr);
	json_t *number = json_object_get(event, port);
	bool v6 = text && strchr(text, ':') != NULL;

	if (json_is_integer(number) && v6)
		putchar('[');
	print_word(text);
	if (json_is_integer(number))
		printf("%s:%lld", v6 ? "]" : "", (long long)json_integer_value(number));
}

static void print_packet(json_t *event)
{
	json_t *rule = json_object_get(event, "rule");

	if (sp_json_string(event, "src_ip")) {
		print_word(sp_json_string(event, "proto"));
		putchar(' ');
		print_endpoint(event, "src_ip", "src_port");
		fputs(" > ", stdout);
		print_endpoint(event, "dest_ip", "dest_port");
	} else {
		fputs("frame without an IP header", stdout);
	}
	if (sp_json_string(event, "in_iface")) {
		fputs(" on ", stdout);
		print_word(sp_json_string(event, "in_iface"));
	}
	if (json_is_integer(rule))
		printf(" rule %lld", (long long)json_integer_value(rule));
	else
		fputs(" default", stdout);
}

static void print_flow(json_t *event)
{
	json_t *flow = json_object_get(event, "flow");
	char to[SP_HUMAN_SIZE], from[SP_HUMAN_SIZE];

	print_packet(event);
	if (strcmp(sp_json_string(flow, "event") ? sp_json_string(flow, "event") : "", "start") == 0) {
		fputs(": start", stdout);
		return;
	}
	printf(": end (");
	print_word(sp_json_string(flow, "reason"));
	printf(") after %s, ", sp_human_duration(sp_json_number(flow, "age"), to));
	printf("%s / %s packets, ", sp_human_count(sp_json_int(flow, "pkts_toserver"), to),
		sp_human_count(sp_json_int(flow, "pkts_toclient"), from));
	printf("%s / %s", sp_human_bytes(sp_json_number(flow, "bytes_toserver"), to),
		sp_human_bytes(sp_json_number(flow, "bytes_toclient"), from));
}

static void print_drop(json_t *event)
{
	print_packet(event);
	fputs(": ", stdout);
	print_word(json_string_value(inside(event, "verdict", "action")));
	fputs(" (", stdout);
	print_word(json_string_value(inside(event, "drop", "reason")));
	printf("), %lld bytes", (long long)json_integer_value(inside(event, "drop", "len")));
}

static void print_alert(json_t *event)
{
	json_t *alert = json_object_get(event, "alert");

	print_packet(event);
	fputs(": ", stdout);
	print_word(sp_json_string(alert, "action"));
	printf(" [%lld] ", (long long)sp_json_int(alert, "signature_id"));
	print_word(sp_json_string(alert, "signature"));
}

static void print_stats(json_t *event)
{
	json_t *stats = json_object_get(event, "stats"), *count;
	char a[SP_HUMAN_SIZE], b[SP_HUMAN_SIZE], c[SP_HUMAN_SIZE], d[SP_HUMAN_SIZE];
	json_int_t drops = 0;
	const char *reason;

	json_object_foreach (json_object_get(stats, "drops"), reason, count)
		drops += json_integer_value(count);
	printf("generation %lld, %s packets received, %s sent, %s dropped, %s sessions", (long long)sp_json_int(stats, "generation"),
		sp_human_count(json_integer_value(inside(stats, "packets", "rx")), a),
		sp_human_count(json_integer_value(inside(stats, "packets", "tx")), b), sp_human_count(drops, c),
		sp_human_count(json_integer_value(inside(stats, "sessions", "active")), d));
}

static void print_audit(json_t *event)
{
	json_t *audit = json_object_get(event, "audit"), *by = json_object_get(audit, "by"), *value;
	const char *name;
	char *text;

	print_word(sp_json_string(audit, "action"));
	if (json_is_object(by))
		printf(" by uid %lld, pid %lld", (long long)sp_json_int(by, "uid"), (long long)sp_json_int(by, "pid"));
	else if (json_is_string(by))
		print_word(" by signal");
	json_object_foreach (audit, name, value) {
		if (strcmp(name, "action") == 0 || strcmp(name, "by") == 0)
			continue;
		text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
		fputs(", ", stdout);
		print_word(name);
		putchar(' ');
		print_word(text);
		free(text);
	}
}

static void print_defence(json_t *event)
{
	json_t *defence = json_object_get(event, "defence"), *value;
	const char *name;

	print_word(sp_json_string(defence, "name"));
	fputs(json_is_true(json_object_get(defence, "engaged")) ? " engaged" : " disengaged", stdout);
	json_object_foreach (defence, name, value)
		if (json_is_integer(value)) {
			fputs(", ", stdout);
			print_word(name);
			printf(" %lld", (long long)json_integer_value(value));
		}
}

static void print_port(json_t *event)
{
	const char *reason = json_string_value(inside(event, "port", "reason"));

	print_word(json_string_value(inside(event, "port", "name")));
	fputs(" (", stdout);
	print_word(json_string_value(inside(event, "port", "device")));
	fputs(") ", stdout);
	print_word(json_string_value(inside(event, "port", "what")));
	if (reason) {
		fputs(": ", stdout);
		print_word(reason);
	}
}

static void print_lost(json_t *event)
{
	char count[SP_HUMAN_SIZE];

	printf("%s lines lost (", sp_human_count(sp_json_int(event, "lost"), count));
	print_word(sp_json_string(event, "where"));
	putchar(')');
}

static void print_event(json_t *event)
{
	static const struct {
		const char *type;
		void (*print)(json_t *event);
	} printers[] = {{"flow", print_flow}, {"drop", print_drop}, {"monitor", print_packet}, {"alert", print_alert},
		{"stats", print_stats}, {"audit", print_audit}, {"defence", print_defence}, {"port", print_port}, {"lost", print_lost}};
	const char *type = sp_json_string(event, "event_type");
	int64_t suppressed = sp_json_int(event, "suppressed");

	print_time(event);
	fputs("  ", stdout);
	print_word(type);
	/* widest but for "defence": "alert", "stats", "audit" */
	printf("%*s", type && strlen(type) < 5 ? (int)(7 - strlen(type)) : 2, "");
	for (size_t i = 0; type && i < sizeof(printers) / sizeof(printers[0]); i++)
		if (strcmp(printers[i].type, type) == 0)
			printers[i].print(event);
	if (suppressed > 0)
		printf("; %lld like it were not logged", (long long)suppressed);
	putchar('\n');
}

/* Each line is out before the next is waited for: somebody looks on, or a pipe does. */
static int on_line(void *context, const char *line, size_t len)
{
	const struct sp_ctl *ctl = context;
	json_t *event;

	if (ctl->json) {
		fwrite(line, 1, len, stdout);
		putchar('\n');
	} else {
		event = json_loadb(line, len, 0, NULL);
		if (event)
			print_event(event);
		json_decref(event);
	}
	return fflush(stdout) != 0 || leaving ? 1 : 0;
}

/* Ctrl-C and SIGTERM are caught, but only while it waits: no line is cut, and none of them is missed. */
static void catch_signals(sigset_t *before)
{
	const struct sigaction action = {.sa_handler = on_signal};
	sigset_t both;

	sigemptyset(&both);
	sigaddset(&both, SIGINT);
	sigaddset(&both, SIGTERM);
	sigprocmask(SIG_BLOCK, &both, before);
	sigdelset(before, SIGINT);
	sigdelset(before, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

int sp_ctl_events(const struct sp_ctl *ctl)
{
	char target[TARGET_SIZE] = "/v1/events", why[512];
	const struct sp_http_request request = {.method = "GET", .target = target, .timeout_sec = ANSWER_SEC};
	struct sp_ctl settings = *ctl;
	sigset_t before;
	const struct sp_http_follower follower = {.line = on_line, .context = &settings, .mask = &before};
	struct sp_http_answer answer;
	int rc, code = SP_CTL_GOOD;

	if (!sp_ctl_query(target, sizeof(target), "type", ctl->type) || !sp_ctl_query(target, sizeof(target), "rule", ctl->rule) ||
		!sp_ctl_query(target, sizeof(target), "ip", ctl->ip))
		return sp_ctl_error("the filter is too long");
	catch_signals(&before);
	rc = sp_http_follow(ctl->socket, &request, &follower, &answer, why, sizeof(why));
	if (leaving || rc > 0)
		code = SP_CTL_GOOD;
	else if (rc < 0)
		code = sp_ctl_error("%s", why);
	else if (answer.status != 200)
		code = sp_ctl_refused(ctl, &answer, NULL);
	sp_http_clear(&answer);
	return code;
}
