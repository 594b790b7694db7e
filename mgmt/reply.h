/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The answer to one API call, and the JSON helpers that every resource shares. Pure data: any thread, one at a time.
 */
#ifndef SP_MGMT_REPLY_H
#define SP_MGMT_REPLY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sp_reply {
	unsigned int status; /* HTTP status; 0: none yet */
	const char *type;    /* media type, static */
	char *body;          /* malloc'ed, owned; NULL with `fixed` */
	const char *fixed;   /* bytes that outlive the process's API, not owned */
	size_t size;
	uint32_t etag;            /* generation for the ETag header; 0: none */
	char allow[40];           /* Allow header of a 405; "": none */
	unsigned int retry_after; /* seconds for a 503; 0: none */
	bool authenticate;        /* a 401 says how */
};

/* Dump flags of every JSON text that leaves: members in the order they were set, reals short. */
#define SP_JSON_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(12))

#define SP_TYPE_JSON    "application/json"
#define SP_TYPE_PROBLEM "application/problem+json"
#define SP_TYPE_TEXT    "text/plain; charset=utf-8"

/* Frees what the reply owns and zeroes it. */
void sp_reply_clear(struct sp_reply *reply);

/* Encodes `json` (its reference is taken, NULL means that there was no memory to make it) as the body, with a newline. Without memory the
 * reply is a bare 500. */
void sp_reply_json(struct sp_reply *reply, unsigned int status, const char *type, json_t *json);

/* Takes malloc'ed `body` of `size` bytes; NULL makes a bare 500. */
void sp_reply_body(struct sp_reply *reply, unsigned int status, const char *type, char *body, size_t size);

/* A JSON string of any bytes: what is no UTF-8 becomes U+FFFD. JSON null for NULL. NULL on ENOMEM. */
json_t *sp_json_text(const char *text);

/* RFC 3339 UTC with milliseconds of ns since the epoch; JSON null for 0. NULL on ENOMEM. */
json_t *sp_json_time(uint64_t wall_ns);

/* A counter: jansson's integers are signed, so a value past 2^63 - 1 stays there. */
json_t *sp_json_u64(uint64_t value);

#endif
