/* SPDX-License-Identifier: BSD-3-Clause */
#include "mgmt/ctl/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define GAP        2
#define FLEX_WIDTH 12 /* a flexible column is not cut below this */

static bool is_control(const unsigned char *s)
{
	/* C1 controls are two bytes in UTF-8: c2 80..9f. */
	return *s < 0x20 || *s == 0x7f || (s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f);
}

static void put_clean(char *out, const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s != '\0'; s++) {
		bool control = is_control(s);

		*out++ = control ? '?' : (char)*s;
		s += control && *s == 0xc2;
	}
	*out = '\0';
}

/* Characters, as far as a terminal shows each in one column. */
static size_t width_of(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* Bytes of the first n characters. */
static size_t bytes_of(const char *text, size_t n)
{
	size_t at = 0;

	while (text[at] != '\0') {
		if (((unsigned char)text[at] & 0xc0) != 0x80 && n-- == 0)
			break;
		at++;
	}
	return at;
}

void sp_table_init(struct sp_table *table, const struct sp_column *columns, size_t n_columns)
{
	*table = (struct sp_table){.columns = columns, .n_columns = n_columns};
}

void sp_table_add(struct sp_table *table, const char *text)
{
	char *cell;

	if (table->n_cells == table->room) {
		size_t room = table->room ? table->room * 2 : 64;
		char **cells = realloc(table->cells, room * sizeof(*cells));

		if (!cells) {
			table->failed = true;
			return;
		}
		table->cells = cells;
		table->room = room;
	}
	if (!text)
		text = "";
	cell = malloc(strlen(text) + 1);
	if (!cell) {
		table->failed = true;
		return;
	}
	put_clean(cell, text);
	table->cells[table->n_cells++] = cell;
}

static void fit(const struct sp_table *table, size_t *widths, unsigned int width)
{
	size_t total = 0, over;

	for (size_t c = 0; c < table->n_columns; c++) {
		widths[c] = strlen(table->columns[c].title);
		for (size_t i = c; i < table->n_cells; i += table->n_columns) {
			size_t w = width_of(table->cells[i]);

			widths[c] = w > widths[c] ? w : widths[c];
		}
		total += widths[c] + (c > 0 ? GAP : 0);
	}
	over = width > 0 && total > width ? total - width : 0;
	while (over > 0) {
		size_t widest = table->n_columns;

		for (size_t c = 0; c < table->n_columns; c++)
			if (table->columns[c].flex && widths[c] > FLEX_WIDTH && (widest == table->n_columns || widths[c] > widths[widest]))
				widest = c;
		if (widest == table->n_columns)
			break;
		widths[widest]--;
		over--;
	}
}

static void print_cell(const char *text, size_t width, bool right, bool last, FILE *out)
{
	size_t w = width_of(text);

	if (w > width) {
		fprintf(out, "%.*s…", (int)bytes_of(text, width - 1), text);
		return;
	}
	if (right)
		fprintf(out, "%*s", (int)(width - w), "");
	fputs(text, out);
	if (!right && !last)
		fprintf(out, "%*s", (int)(width - w), "");
}

static void print_row(const struct sp_table *table, const size_t *widths, char *const *cells, FILE *out)
{
	for (size_t c = 0; c < table->n_columns; c++) {
		bool last = c + 1 == table->n_columns;

		if (c > 0)
			fprintf(out, "%*s", GAP, "");
		print_cell(cells ? cells[c] : table->columns[c].title, widths[c], table->columns[c].right, last, out);
	}
	fputc('\n', out);
}

void sp_table_print(struct sp_table *table, unsigned int width, FILE *out)
{
	size_t *widths = calloc(table->n_columns, sizeof(*widths));

	if (widths) {
		fit(table, widths, width);
		print_row(table, widths, NULL, out);
		for (size_t i = 0; i + table->n_columns <= table->n_cells; i += table->n_columns)
			print_row(table, widths, table->cells + i, out);
		free(widths);
	}
	if (!widths || table->failed)
		fputs("(out of memory: rows are missing)\n", out);
	sp_table_clear(table);
}

void sp_table_clear(struct sp_table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct sp_table){0};
}

unsigned int sp_terminal_width(FILE *out)
{
	struct winsize size;

	if (!isatty(fileno(out)) || ioctl(fileno(out), TIOCGWINSZ, &size) != 0)
		return 0;
	return size.ws_col;
}

void sp_print_text(const char *text, FILE *out)
{
	for (const unsigned char *s = (const unsigned char *)text; *s != '\0'; s++) {
		bool control = is_control(s);

		fputc(control ? '?' : *s, out);
		s += control && *s == 0xc2;
	}
}
