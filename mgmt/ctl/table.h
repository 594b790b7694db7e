/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables of text, fitted to the terminal: columns as wide as their content; when that is too wide, the flexible ones are cut.
 */
#ifndef SP_MGMT_CTL_TABLE_H
#define SP_MGMT_CTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct sp_column {
	const char *title;
	bool right; /* numbers */
	bool flex;  /* may be cut to fit, with an ellipsis */
};

struct sp_table {
	const struct sp_column *columns;
	size_t n_columns;
	char **cells; /* row after row; owned */
	size_t n_cells, room;
	bool failed; /* out of memory: rows are missing */
};

void sp_table_init(struct sp_table *table, const struct sp_column *columns, size_t n_columns);

/* Adds the next cell, row by row; the text is copied, control characters in it become `?`. NULL is an empty cell. */
void sp_table_add(struct sp_table *table, const char *text);

/* Prints titles and rows; `width` 0: as wide as it is. Frees the cells. */
void sp_table_print(struct sp_table *table, unsigned int width, FILE *out);

/* Frees the cells without printing them. */
void sp_table_clear(struct sp_table *table);

/* Columns of the terminal that out writes to; 0 when it is none. */
unsigned int sp_terminal_width(FILE *out);

/* Prints text with control characters as `?`: what comes from the socket cannot drive the terminal. */
void sp_print_text(const char *text, FILE *out);

#endif
