/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* vasprintf */
#include "rules/diag.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_COMPARED 64 /* longer names are never suggested: bounds the distance table */

/* Text comes from files of strangers and goes to terminals: control characters would let it speak for us. */
static void printable(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++) {
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
}

static bool append(struct sp_diags *diags, const struct sp_diag *diag)
{
	/* Capacity is implied: it doubles whenever n is a power of two. */
	if ((diags->n & (diags->n - 1)) == 0) {
		size_t capacity = diags->n ? diags->n * 2 : 1;
		struct sp_diag *v = realloc(diags->v, capacity * sizeof(*v));

		if (!v)
			return false;
		diags->v = v;
	}
	diags->v[diags->n++] = *diag;
	return true;
}

void sp_diag_add(
	struct sp_diags *diags, enum sp_diag_level level, const char *file, int line, int column, uint32_t rule, const char *fmt, ...)
{
	struct sp_diag diag = {.level = level, .line = line, .column = column, .rule = rule};
	va_list args;

	if (level == SP_DIAG_ERROR)
		diags->errors++;
	else
		diags->warnings++;
	if (diags->n >= SP_DIAGS_MAX)
		return;

	va_start(args, fmt);
	if (vasprintf(&diag.text, fmt, args) < 0)
		diag.text = NULL;
	va_end(args);
	if (!diag.text)
		return;
	printable(diag.text);
	if (file) {
		diag.file = strdup(file);
		if (diag.file)
			printable(diag.file);
	}
	if ((file && !diag.file) || !append(diags, &diag)) {
		free(diag.file);
		free(diag.text);
	}
}

void sp_diags_print(const struct sp_diags *diags, FILE *out)
{
	size_t total = diags->errors + diags->warnings;

	for (size_t i = 0; i < diags->n; i++) {
		const struct sp_diag *d = &diags->v[i];

		if (d->file)
			fprintf(out, "%s:", d->file);
		if (d->file && d->line > 0)
			fprintf(out, "%d:", d->line);
		fprintf(out, "%s%s: %s\n", d->file ? " " : "", d->level == SP_DIAG_ERROR ? "error" : "warning", d->text);
	}
	if (total > diags->n)
		fprintf(out, "%zu more not shown\n", total - diags->n);
}

void sp_diags_clear(struct sp_diags *diags)
{
	for (size_t i = 0; i < diags->n; i++) {
		free(diags->v[i].file);
		free(diags->v[i].text);
	}
	free(diags->v);
	memset(diags, 0, sizeof(*diags));
}

/* Edit distance with swaps of neighbours counted as one edit (optimal string alignment). */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	uint8_t rows[3][NAME_MAX_COMPARED + 1];
	uint8_t *before = rows[0], *last = rows[1], *now = rows[2];

	for (size_t j = 0; j <= b_len; j++)
		last[j] = (uint8_t)j;
	for (size_t i = 1; i <= a_len; i++) {
		uint8_t *spare = before;

		now[0] = (uint8_t)i;
		for (size_t j = 1; j <= b_len; j++) {
			bool same = a[i - 1] == b[j - 1];
			uint8_t best = last[j - 1] + !same;

			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[b_len];
}

const char *sp_diag_nearest(const char *name, size_t len, const char *const *names, size_t n)
{
	const char *nearest = NULL;
	size_t best = len <= 3 ? 2 : 3; /* a suggestion further off than this confuses more than it helps; exclusive */

	if (len == 0 || len > NAME_MAX_COMPARED)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t other = strlen(names[i]);

		if (other > NAME_MAX_COMPARED)
			continue;
		size_t d = distance(name, len, names[i], other);

		if (d < best) {
			best = d;
			nearest = names[i];
		}
	}
	return nearest;
}
