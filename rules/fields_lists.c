/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/fields_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "rules/names.h"
#include "rules/sets.h"
#include "rules/utf8.h"

int sp_place_error(const struct sp_place *place, struct sp_diags *diags, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	sp_diag_add(diags, SP_DIAG_ERROR, place->file, place->line, place->column, place->rule, "%s", text);
	return -EINVAL;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool sp_list_next(const char **cursor, const char **item, size_t *len)
{
	const char *start = *cursor, *end, *comma;

	if (start == NULL)
		return false;
	comma = strchr(start, ',');
	end = comma != NULL ? comma : start + strlen(start);
	*cursor = comma != NULL ? comma + 1 : NULL;
	while (start < end && blank(*start))
		start++;
	while (end > start && blank(end[-1]))
		end--;
	*item = start;
	*len = (size_t)(end - start);
	return true;
}

bool sp_list_is_word(const char *item, size_t len)
{
	if (len == 0 || (!isalpha((unsigned char)item[0]) && item[0] != '_'))
		return false;
	for (size_t i = 1; i < len; i++)
		if (!isalnum((unsigned char)item[i]) && item[i] != '_' && item[i] != '-')
			return false;
	return true;
}

const char *sp_list_canonical(struct sp_policy *policy, const char *text)
{
	char *out = sp_policy_alloc(policy, strlen(text) + 1), *end = out;
	const char *cursor = text, *item;
	size_t len;

	if (out == NULL)
		return NULL;
	while (sp_list_next(&cursor, &item, &len)) {
		if (end != out)
			*end++ = ',';
		memcpy(end, item, len);
		end += len;
	}
	return out;
}

/*
 * A list is gathered in a bitmap of all numbers: sorting and merging come for free, and no list, however long or overlapping,
 * costs more than the 8 KB.
 */
struct numbers {
	uint64_t w[65536 / 64];
};

static void numbers_add(struct numbers *numbers, uint32_t lo, uint32_t hi)
{
	uint32_t first = lo >> 6, last = hi >> 6;
	uint64_t from = UINT64_MAX << (lo & 63), to = UINT64_MAX >> (63 - (hi & 63));

	if (first == last) {
		numbers->w[first] |= from & to;
		return;
	}
	numbers->w[first] |= from;
	for (uint32_t i = first + 1; i < last; i++)
		numbers->w[i] = UINT64_MAX;
	numbers->w[last] |= to;
}

/* The next run of numbers at or after *next and up to max; false without one. */
static bool numbers_run(const struct numbers *numbers, uint32_t *next, uint32_t max, struct sp_range *run)
{
	uint32_t at = *next, end;

	while (at <= max && (numbers->w[at >> 6] >> (at & 63)) == 0)
		at = (at | 63) + 1;
	if (at > max)
		return false;
	at += (uint32_t)__builtin_ctzll(numbers->w[at >> 6] >> (at & 63));
	if (at > max)
		return false;
	end = at;
	while (end <= max) {
		uint64_t gaps = ~numbers->w[end >> 6] >> (end & 63);

		if (gaps != 0) {
			end += (uint32_t)__builtin_ctzll(gaps);
			break;
		}
		end = (end | 63) + 1;
	}
	if (end > max + 1)
		end = max + 1;
	*run = (struct sp_range){(uint16_t)at, (uint16_t)(end - 1)};
	*next = end;
	return true;
}

static int numbers_take(struct sp_policy *policy, const struct numbers *numbers, const struct sp_place *place,
	const struct sp_list_kind *kind, struct sp_rangelist *out, struct sp_diags *diags)
{
	struct sp_range run;
	uint32_t next = 0;
	size_t n = 0;

	while (numbers_run(numbers, &next, kind->max, &run))
		n++;
	if (n > SP_RANGES_MAX)
		return sp_place_error(place, diags, "%s: the list has %zu separate ranges, and a rule carries %d: write two rules",
			kind->field, n, SP_RANGES_MAX);
	out->v = sp_policy_alloc(policy, n * sizeof(out->v[0]));
	if (out->v == NULL)
		return sp_place_error(place, diags, "out of memory");
	out->n = n;
	next = 0;
	for (size_t i = 0; i < n; i++)
		numbers_run(numbers, &next, kind->max, &out->v[i]);
	return 0;
}

static int add_set(struct sp_policy *policy, const char *name, size_t len, const struct sp_place *place, const struct sp_list_kind *kind,
	struct numbers *numbers, struct sp_diags *diags)
{
	const struct sp_set *set = sp_set_find(policy, name, len);

	if (!kind->port_sets)
		return sp_place_error(place, diags, "%s: '@%.*s': sets are for addresses and ports only", kind->field, SP_SHOWN(len), name);
	if (set == NULL)
		return sp_place_error(
			place, diags, "%s: unknown set '@%.*s': define it under sets = { }", kind->field, SP_SHOWN(len), name);
	if (set->kind != SP_SET_PORTS)
		return sp_place_error(place, diags, "%s: set '@%s' holds no ports", kind->field, set->name);
	for (size_t i = 0; i < set->ports.n; i++)
		numbers_add(numbers, set->ports.v[i].lo, set->ports.v[i].hi);
	return 0;
}

/* One member: "@set", number, name, or "number-number". */
static int add_member(struct sp_policy *policy, const char *item, size_t len, const struct sp_place *place, const struct sp_list_kind *kind,
	struct numbers *numbers, struct sp_diags *diags)
{
	const char *dash = len > 0 && item[0] >= '0' && item[0] <= '9' ? memchr(item, '-', len) : NULL;
	struct sp_range lo, hi;

	if (len == 0)
		return sp_place_error(place, diags, "%s: an empty member in the list", kind->field);
	if (item[0] == '@')
		return add_set(policy, item + 1, len - 1, place, kind, numbers, diags);
	if (item[0] == '!')
		return sp_place_error(place, diags, "%s: '!' negates addresses only: write the ranges that are meant", kind->field);
	if (kind->parse(item, len, &lo) == 0) {
		hi = lo;
	} else if (dash == NULL || kind->parse(item, (size_t)(dash - item), &lo) != 0 ||
		   kind->parse(dash + 1, len - (size_t)(dash - item) - 1, &hi) != 0) {
		return sp_place_error(place, diags, "%s: '%.*s' is not %s", kind->field, SP_SHOWN(len), item, kind->wants);
	}
	if (lo.lo > hi.hi)
		return sp_place_error(place, diags, "%s: range '%.*s' runs backwards", kind->field, SP_SHOWN(len), item);
	numbers_add(numbers, lo.lo, hi.hi);
	return 0;
}

int sp_list_parse(struct sp_policy *policy, const char *text, const struct sp_place *place, const struct sp_list_kind *kind,
	struct sp_rangelist *out, struct sp_diags *diags)
{
	struct numbers numbers = {0};
	struct sp_rangelist list = {0};
	const char *cursor = text, *item;
	int result = 0;
	size_t len;

	while (sp_list_next(&cursor, &item, &len))
		if (add_member(policy, item, len, place, kind, &numbers, diags) != 0)
			result = -EINVAL;
	if (result == 0)
		result = numbers_take(policy, &numbers, place, kind, &list, diags);
	if (result == 0 && list.n == 0) /* n == 0 means "not asked": an empty set must not turn a rule into a wider one */
		result = sp_place_error(place, diags, "%s: '%.*s' holds no number at all", kind->field, SP_SHOWN(strlen(text)), text);
	if (result == 0)
		*out = list;
	return result;
}

static int port_member(const char *text, size_t len, struct sp_range *out)
{
	int port = sp_port_parse(text, len);

	if (port < 0)
		return -EINVAL;
	*out = (struct sp_range){(uint16_t)port, (uint16_t)port};
	return 0;
}

int sp_ports_parse(
	struct sp_policy *policy, const char *text, const struct sp_place *place, struct sp_rangelist *out, struct sp_diags *diags)
{
	static const struct sp_list_kind kind = {
		.field = "port",
		.wants = "a port: a number from 0 to 65535, a range such as 8000-8100, a name such as https, or an @set of ports",
		.max = 65535,
		.port_sets = true,
		.parse = port_member,
	};

	return sp_list_parse(policy, text, place, &kind, out, diags);
}

bool sp_text_printable(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	for (size_t left = strlen(text), len; left > 0; s += len, left -= len) {
		len = sp_utf8_bytes(s, left);
		if (len == 0 || *s < 0x20 || *s == 0x7f || (*s == 0xc2 && s[1] < 0xa0))
			return false;
	}
	return true;
}
