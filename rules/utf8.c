/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/utf8.h"

/* Only the second byte can make a form overlong, a surrogate, or too large: what it may be at the least and at the most. */
static unsigned char second_min(unsigned char first)
{
	return first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
}

static unsigned char second_max(unsigned char first)
{
	return first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
}

size_t sp_utf8_bytes(const unsigned char *s, size_t left)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

	if (n == 0 || n > left)
		return 0;
	if (n > 1 && (s[1] < second_min(s[0]) || s[1] > second_max(s[0])))
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}
