/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing past U+10FFFF. The one validator of the process.
 */
#ifndef SP_RULES_UTF8_H
#define SP_RULES_UTF8_H

#include <stddef.h>

/* Bytes of the character at `s`, of which `left` (above 0) may be read: 1 to 4, or 0 when it is not one. Control characters are. */
size_t sp_utf8_bytes(const unsigned char *s, size_t left);

#endif
