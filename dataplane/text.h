/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text into a buffer of a fixed size: what does not fit is left out, and the text always ends with a NUL.
 */
#ifndef SP_DATAPLANE_TEXT_H
#define SP_DATAPLANE_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

struct sp_text {
	char *buf;
	size_t size, n; /* n < size: bytes written, without the NUL */
};

__attribute__((format(printf, 2, 3))) static inline void sp_text_put(struct sp_text *text, const char *fmt, ...)
{
	va_list args;
	int n;

	if (text->n + 1 >= text->size)
		return;
	va_start(args, fmt);
	n = vsnprintf(text->buf + text->n, text->size - text->n, fmt, args);
	va_end(args);
	if (n > 0)
		text->n = text->n + (size_t)n < text->size ? text->n + (size_t)n : text->size - 1;
}

#endif
