/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small files of sysfs and procfs, below a root that may be another than /. What cannot be read is as if it were not there. Texts are cut
 * to their buffer, and every byte that is no printable ASCII becomes `?`.
 */
#ifndef SP_VNF_DOCTOR_READ_H
#define SP_VNF_DOCTOR_READ_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The path is made of root and the format. out is "" when these give false. */
bool sp_read_line(const char *root, char *out, size_t size, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
bool sp_read_link(const char *root, char *out, size_t size, const char *fmt, ...) __attribute__((format(printf, 4, 5))); /* last part */
bool sp_read_exists(const char *root, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A number in decimal or, with 0x, in hexadecimal; `otherwise` when there is none. */
int64_t sp_read_number(const char *root, int64_t otherwise, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* NULL when it cannot be opened. */
DIR *sp_read_folder(const char *root, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
FILE *sp_read_open(const char *root, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* At most max bytes of a file, with a NUL behind them; freed by the caller. NULL when it cannot be read. */
char *sp_read_all(const char *root, size_t max, size_t *size, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Whether a folder's entry is one (and not . or ..) and its name fits. */
bool sp_read_entry(const struct dirent *entry, size_t max);

/* Makes a text safe for a terminal and for JSON, in place. */
void sp_read_clean(char *text);

/* Calls take for each number of a list as the kernel writes it ("0-3,8"), below max. */
void sp_read_list(const char *text, unsigned int max, void (*take)(void *context, unsigned int number), void *context);

#endif
