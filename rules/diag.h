/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is wrong with an input, where, and what to do: collected, never printed here.
 *
 * rules/ neither logs nor exits. Every function that reads outside input takes a `struct sp_diags` and adds to it; the caller
 * prints (`FILE:LINE: error: text`) or encodes it as JSON. Not thread-safe: one list belongs to one call chain.
 */
#ifndef SP_RULES_DIAG_H
#define SP_RULES_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Diagnostics kept; further ones are only counted, so that a hostile file cannot fill memory. */
#define SP_DIAGS_MAX 256

enum sp_diag_level { SP_DIAG_ERROR, SP_DIAG_WARNING };

struct sp_diag {
	enum sp_diag_level level;
	char *file;    /* as the user named it; NULL when there is no file */
	int line;      /* from 1; 0 unknown */
	int column;    /* from 1; 0 unknown */
	uint32_t rule; /* rule id; 0 none */
	char *text;    /* one sentence: what is wrong and what to do; no newline */
};

struct sp_diags {
	struct sp_diag *v;
	size_t n;        /* entries in v */
	size_t errors;   /* all errors, kept or not */
	size_t warnings; /* all warnings, kept or not */
};

/* Adds one diagnostic; file and text are copied, control characters in them become `?`. Out of memory only counts it, so `errors` is
 * always true. */
void sp_diag_add(struct sp_diags *diags, enum sp_diag_level level, const char *file, int line, int column, uint32_t rule, const char *fmt,
	...) __attribute__((format(printf, 7, 8)));

#define sp_diag_error(diags, file, line, ...)   sp_diag_add(diags, SP_DIAG_ERROR, file, line, 0, 0, __VA_ARGS__)
#define sp_diag_warning(diags, file, line, ...) sp_diag_add(diags, SP_DIAG_WARNING, file, line, 0, 0, __VA_ARGS__)

/* Prints every diagnostic as `FILE:LINE: error: text`, one a line, then how many were left out. */
void sp_diags_print(const struct sp_diags *diags, FILE *out);

/* Frees the entries and zeroes the list, which can then be used again. */
void sp_diags_clear(struct sp_diags *diags);

/* The one of n names that `name` (len bytes) was probably meant to be: within two edits of it. NULL when none is near. */
const char *sp_diag_nearest(const char *name, size_t len, const char *const *names, size_t n);

#endif
