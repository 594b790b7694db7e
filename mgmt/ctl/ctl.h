/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sallyctl: one command, one or few calls of the API, a table. Single-threaded; knows the API's JSON and nothing else of the firewall.
 * Clients ignore unknown members, and missing ones read as 0 or empty.
 */
#ifndef SP_MGMT_CTL_CTL_H
#define SP_MGMT_CTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mgmt/ctl/http.h"

#define SP_CTL_GOOD   0
#define SP_CTL_NO     1 /* the firewall says no: rules with errors, no such rule, not ready */
#define SP_CTL_FAILED 2 /* could not run: no socket, wrong usage */

struct sp_ctl {
	const char *socket;
	bool json; /* -j: print what the socket returns */
	bool dry_run, force, all;
	const char *ip, *port, *proto, *rule, *type, *state, *zone;
	const char *sessions; /* what becomes of them when rules change */
	uint32_t limit;       /* 0: not given */
	const char *points;   /* of a capture, by comma */
	bool trace;
	uint32_t snaplen, packets, seconds, megabytes; /* bounds of a capture; 0: not given */
	uint32_t entry;                                /* of the nat list; 0: not given */
	bool undo;
	const char *family;  /* 4 or 6; NULL: not given */
	uint32_t iterations; /* of top; 0: not given */
	char *const *args;   /* behind the command's name */
	int n_args;
};

/* Commands: each prints and returns an exit code. */
int sp_ctl_status(const struct sp_ctl *ctl);
int sp_ctl_stats(const struct sp_ctl *ctl);
int sp_ctl_ports(const struct sp_ctl *ctl);
int sp_ctl_workers(const struct sp_ctl *ctl);
int sp_ctl_rules(const struct sp_ctl *ctl);
int sp_ctl_rules_put(const struct sp_ctl *ctl);
int sp_ctl_sessions(const struct sp_ctl *ctl);
int sp_ctl_explain(const struct sp_ctl *ctl);
int sp_ctl_events(const struct sp_ctl *ctl);
int sp_ctl_why(const struct sp_ctl *ctl);
int sp_ctl_capture(const struct sp_ctl *ctl);
int sp_ctl_routes(const struct sp_ctl *ctl);
int sp_ctl_neighbours(const struct sp_ctl *ctl);
int sp_ctl_nat(const struct sp_ctl *ctl);
int sp_ctl_reload(const struct sp_ctl *ctl);
int sp_ctl_top(const struct sp_ctl *ctl);

/* Prints "sallyctl: text" to stderr; control characters in it become `?`. Returns SP_CTL_FAILED. */
int sp_ctl_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Makes a call. When it succeeds (2xx) and -j was not given, *out gets the JSON (the caller's reference); with -j the body is printed and
 * *out is NULL. Anything else is told to the user, and the exit code says which. `file` (may be NULL) stands in diagnostics for the rule
 * file that the server names.
 */
int sp_ctl_call(const struct sp_ctl *ctl, const struct sp_http_request *request, const char *file, json_t **out);
int sp_ctl_get(const struct sp_ctl *ctl, const char *target, json_t **out);

/* Tells the user what an answer that is not 2xx says (with -j its body, on standard output), and returns the exit code. */
int sp_ctl_refused(const struct sp_ctl *ctl, const struct sp_http_answer *answer, const char *file);

/* Prints the array of {file, line, column, rule, message} as FILE:LINE: level: text to out. */
void sp_ctl_print_diags(const struct sp_ctl *ctl, json_t *array, const char *level, const char *file, FILE *out);

/* Adds "?name=value" or "&name=value" to the target, percent-encoded; NULL value: nothing. False when it does not fit. */
bool sp_ctl_query(char *target, size_t size, const char *name, const char *value);

/* Ends the line that told of a change of rules: what it says of sessions. */
void sp_ctl_print_sessions(json_t *change);

/* Members: 0 or NULL when missing or of another type. */
int64_t sp_json_int(json_t *object, const char *name);
double sp_json_number(json_t *object, const char *name);
const char *sp_json_string(json_t *object, const char *name);

#endif
