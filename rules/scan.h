/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One linear pass over a libconfig text before libconfig sees it: refuses what libconfig mishandles silently or in
 * quadratic time, and remembers the line of every string and group, which libconfig forgets for members of lists.
 * Needs O(size) time and no more memory than the marks; pure function of its input.
 */
#ifndef SP_RULES_SCAN_H
#define SP_RULES_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "rules/diag.h"

#define SP_SCAN_SIZE_MAX    (64u << 20) /* bytes of one file with its includes */
#define SP_SCAN_STRING_MAX  4096        /* bytes of one string */
#define SP_SCAN_NESTING_MAX 16
#define SP_SCAN_GROUP_MAX   4096 /* members of one { } */
/* Comparisons of names that libconfig makes: it is quadratic in the members of each group. One group of the largest kind and 100,000 rules
 * as groups stay below. */
#define SP_SCAN_COMPARISONS_MAX   (10u << 20)
#define SP_SCAN_SETTINGS_MAX      (3u << 18) /* members of all groups of one file with its includes: 131,072 rules with six fields each */
#define SP_SCAN_VALUES_MAX        (5u << 18) /* strings, numbers, groups, lists of one file with its includes */
#define SP_SCAN_INCLUDE_DEPTH_MAX 8
#define SP_SCAN_INCLUDES_MAX      1024 /* files spliced in, repetitions counted */

/* Limits of the text at hand. */
struct sp_scan_options {
	const char *file;        /* for messages */
	const char *include_dir; /* included files must lie below it after resolution, each named relative to the file that includes
				    it; NULL: `@include` is refused (API bodies) */
	/* Strings go to the marks, and libconfig reads empty ones in their place: it takes some 10 ns a byte for them. */
	bool strings_apart;
};

enum sp_mark_kind { SP_MARK_STRING, SP_MARK_GROUP, SP_MARK_LIST, SP_MARK_ARRAY, SP_MARK_SETTING };

/*
 * A place in the source: one for each value (a scalar that is no string is SP_MARK_SETTING), in the order in which libconfig's tree
 * lists values depth first, the root left out. `file` belongs to the scan.
 */
struct sp_mark {
	enum sp_mark_kind kind;
	const char *file;
	int line, column;
	const char *string; /* with strings_apart, of SP_MARK_STRING: its text without quotes and escapes; belongs to the scan. NULL
			       otherwise */
};

struct sp_scan {
	/* What libconfig may parse: includes spliced in, comments and trailing commas left out, last newline supplied, lines kept;
	 * NUL-terminated. Contains no `@include`, so libconfig opens no file. */
	char *text;
	size_t size; /* bytes of text without the NUL */
	struct sp_mark *marks;
	size_t n_marks;
	char *strings;  /* private: texts of the marks, in their order */
	void *line_map; /* private: line of `text` to file and line; owns the names of files */
};

/*
 * Scans `size` bytes at `bytes`. On success fills *scan, which the caller frees with sp_scan_free. Errors go to diags with
 * file, line and what to write instead. 0, -EINVAL (refused, diags say why), -ENOMEM. *scan is untouched on error.
 */
int sp_scan(const char *bytes, size_t size, const struct sp_scan_options *options, struct sp_scan *scan, struct sp_diags *diags);

/* File and line behind a line of scan->text, as libconfig counts it (from 1). */
void sp_scan_locate(const struct sp_scan *scan, int text_line, const char **file, int *line);

void sp_scan_free(struct sp_scan *scan);

/* Reads a whole regular file of at most SP_SCAN_SIZE_MAX bytes; a directory, a device, a missing or oversized file is a
 * diagnostic (line 0) and -errno. *bytes is malloc'ed, NUL-terminated past *size. */
int sp_file_read(const char *path, char **bytes, size_t *size, struct sp_diags *diags);

#endif
