/* SPDX-License-Identifier: BSD-3-Clause */
/* Durations, sizes and rates. */
#include "rules/fields_internal.h"

#include <errno.h>
#include <string.h>

#include "rules/names.h"

/* Leading decimal digits of the text: *end past them. -EINVAL without digits, with a leading zero, or above 2^31 - 1. */
static int64_t leading_number(const char *text, const char **end)
{
	size_t len = strspn(text, "0123456789");

	*end = text + len;
	return sp_number_parse(text, len, INT32_MAX);
}

int sp_duration_parse(const char *text, uint32_t *sec)
{
	static const struct {
		const char *unit;
		uint32_t sec;
	} units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
	const char *unit;
	int64_t value = leading_number(text, &unit);

	for (size_t i = 0; value > 0 && i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(unit, units[i].unit) != 0)
			continue;
		if (value * units[i].sec > 31536000)
			return -EINVAL;
		*sec = (uint32_t)value * units[i].sec;
		return 0;
	}
	return -EINVAL;
}

int sp_size_parse(const char *text, uint64_t *bytes)
{
	static const struct {
		const char *unit;
		unsigned int shift;
	} units[] = {{"", 0}, {"K", 10}, {"M", 20}, {"G", 30}};
	const char *unit;
	int64_t value = leading_number(text, &unit);

	for (size_t i = 0; value >= 0 && i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(unit, units[i].unit) != 0)
			continue;
		*bytes = (uint64_t)value << units[i].shift;
		return 0;
	}
	return -EINVAL;
}

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t");
}

/* Whether `*s` begins with the word, which then ends at a blank, '/' or the end; moves past it and the blanks behind it. */
static bool take_word(const char **s, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*s, word, len) != 0 || strchr(" \t/", (*s)[len]) == NULL)
		return false;
	*s = skip_blanks(*s + len);
	return true;
}

/* The unit behind a number: what is counted, how much one counts for, and in how many seconds. */
static int take_unit(const char **s, uint8_t *unit, uint64_t *scale, uint32_t *period_sec)
{
	static const struct {
		const char *text;
		uint8_t unit;
		uint32_t period_sec;
		uint64_t scale;
	} units[] = {
		{"/s", SP_LIMIT_OPENS, 1, 1},
		{"/m", SP_LIMIT_OPENS, 60, 1},
		{"/h", SP_LIMIT_OPENS, 3600, 1},
		{"pps", SP_LIMIT_PACKETS, 1, 1},
		{"kpps", SP_LIMIT_PACKETS, 1, 1000},
		{"Mpps", SP_LIMIT_PACKETS, 1, 1000000},
		{"bit/s", SP_LIMIT_BITS, 1, 1},
		{"kbit/s", SP_LIMIT_BITS, 1, 1000},
		{"Mbit/s", SP_LIMIT_BITS, 1, 1000000},
		{"Gbit/s", SP_LIMIT_BITS, 1, 1000000000},
	};

	*s = skip_blanks(*s);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!take_word(s, units[i].text))
			continue;
		*unit = units[i].unit;
		*scale = units[i].scale;
		*period_sec = units[i].period_sec;
		return 0;
	}
	return -EINVAL;
}

/* "src", "src/24", "src/56", "src/24,56": prefix lengths that name a source, IPv4's and IPv6's. */
static int take_source(const char **s, struct sp_limit *limit)
{
	int64_t bits;

	if (!take_word(s, "src"))
		return -EINVAL;
	limit->per_src = true;
	if (**s != '/')
		return 0;
	bits = leading_number(*s + 1, s);
	if (bits < 1 || bits > 128)
		return -EINVAL;
	if (bits > 32) { /* no IPv4 prefix is that long: the IPv6 length alone was given */
		limit->src_bits6 = (uint8_t)bits;
		return 0;
	}
	limit->src_bits4 = (uint8_t)bits;
	if (**s != ',')
		return 0;
	bits = leading_number(*s + 1, s);
	if (bits < 1 || bits > 128)
		return -EINVAL;
	limit->src_bits6 = (uint8_t)bits;
	return 0;
}

/* The part before "burst" and "per": "100/s". */
static int take_rate(const char **s, struct sp_limit *limit, uint64_t *scale, const char **why)
{
	int64_t rate = leading_number(*s, s);
	uint32_t period_sec;

	*why = "a limit starts with a rate above 0";
	if (rate <= 0)
		return -EINVAL;
	*why = "the rate needs a unit: /s, /m or /h counts what is opened, pps or Mbit/s every packet";
	if (take_unit(s, &limit->unit, scale, &period_sec) != 0)
		return -EINVAL;
	limit->period_sec = period_sec;
	limit->rate = (uint64_t)rate * *scale;
	limit->burst = limit->rate > period_sec ? limit->rate / period_sec : 1;
	if (limit->unit == SP_LIMIT_BITS && limit->burst < SP_LIMIT_FRAME_BITS)
		limit->burst = SP_LIMIT_FRAME_BITS;
	return 0;
}

int sp_limit_parse(const char *text, struct sp_limit *out, const char **why)
{
	struct sp_limit limit = {.src_bits4 = 32, .src_bits6 = 64};
	const char *s = skip_blanks(text);
	bool burst = false;
	uint64_t scale;

	if (take_rate(&s, &limit, &scale, why) != 0)
		return -EINVAL;
	while (*s != '\0') {
		if (!burst && take_word(&s, "burst")) {
			int64_t value = leading_number(s, &s);

			*why = "burst wants a number above 0, in the unit of the rate";
			if (value <= 0 || strchr(" \t", *s) == NULL)
				return -EINVAL;
			limit.burst = (uint64_t)value * scale;
			burst = true;
		} else if (!limit.per_src && take_word(&s, "per")) {
			*why = "per wants src, src/24 (IPv4), src/56 (IPv6) or src/24,56 (both)";
			if (take_source(&s, &limit) != 0 || strchr(" \t", *s) == NULL)
				return -EINVAL;
		} else {
			*why = "behind the rate stand burst N and per src, each once";
			return -EINVAL;
		}
		s = skip_blanks(s);
	}
	*out = limit;
	return 0;
}
