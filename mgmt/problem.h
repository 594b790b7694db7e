/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Refusals as RFC 9457 problem details: {"type","title","status","detail","errors":[{file,line,column,rule,message}]}.
 */
#ifndef SP_MGMT_PROBLEM_H
#define SP_MGMT_PROBLEM_H

#include "mgmt/reply.h"
#include "rules/diag.h"

/* Makes the reply a problem. `code` is the stable last part of its type ("urn:sallyport:problem:CODE"), the text says what is wrong and
 * what to do. */
void sp_problem(struct sp_reply *reply, unsigned int status, const char *code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/*
 * The same with the diagnostics of one level as `errors`, and how many more there were as `errors_left_out`. Diagnostics whose file is
 * `path` name only its last part, as the sender of that file knows it; path may be NULL.
 */
void sp_problem_diags(struct sp_reply *reply, unsigned int status, const char *code, const struct sp_diags *diags, const char *path,
	const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* Diagnostics of one level as a JSON array of {file,line,column,rule,message}; what is unknown is null. NULL on ENOMEM. */
json_t *sp_diags_json(const struct sp_diags *diags, enum sp_diag_level level, const char *path);

/* The reason phrase of a status that this API uses. */
const char *sp_problem_title(unsigned int status);

#endif
