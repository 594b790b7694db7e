/* SPDX-License-Identifier: BSD-3-Clause */
#include "rules/lex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "rules/utf8.h"

#define NAME_BYTES_MAX 64
#define FAULTS_MAX     32 /* after so many the text is not worth more messages */
#define SHOWN_MAX      40 /* bytes of foreign text in a message */

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_name_byte(char c)
{
	return is_letter(c) || is_digit(c) || c == '_' || c == '-';
}

static int shown(size_t len)
{
	return len > SHOWN_MAX ? SHOWN_MAX : (int)len;
}

static int column_of(const struct sp_lex *lex, const char *p)
{
	ptrdiff_t column = p - lex->line_start + 1;

	return column > INT32_MAX ? INT32_MAX : (int)column;
}

#define lex_error(lex, at, ...) sp_diag_add((lex)->diags, SP_DIAG_ERROR, (lex)->file, (lex)->line, column_of(lex, at), 0, __VA_ARGS__)

void sp_lex_init(struct sp_lex *lex, const char *bytes, size_t size, const char *file, struct sp_diags *diags)
{
	memset(lex, 0, sizeof(*lex));
	lex->p = bytes;
	lex->end = bytes + size;
	lex->line_start = bytes;
	lex->file = file;
	lex->line = 1;
	lex->diags = diags;
}

static void newline(struct sp_lex *lex)
{
	lex->p++;
	lex->line++;
	lex->line_start = lex->p;
}

static int check_byte_order_mark(struct sp_lex *lex)
{
	size_t left = (size_t)(lex->end - lex->p);

	if (left >= 3 && memcmp(lex->p, "\xef\xbb\xbf", 3) == 0) {
		lex_error(lex, lex->p, "the file begins with a byte order mark: save it as UTF-8 without BOM");
		return -EINVAL;
	}
	if (left >= 2 && (memcmp(lex->p, "\xff\xfe", 2) == 0 || memcmp(lex->p, "\xfe\xff", 2) == 0)) {
		lex_error(lex, lex->p, "the file is UTF-16: save it as UTF-8");
		return -EINVAL;
	}
	return 0;
}

/* A byte that can begin no token. */
static int refuse_byte(struct sp_lex *lex)
{
	unsigned char c = (unsigned char)*lex->p;

	if (c == '\0')
		lex_error(lex, lex->p, "NUL byte: this is not a text file");
	else if (c < 0x20 || c >= 0x7f)
		lex_error(lex, lex->p, "byte 0x%02x outside of a string or comment: this is not a text file, or a quote is missing", c);
	else
		lex_error(lex, lex->p, "'%c' cannot stand here: values other than numbers, true and false are written in double quotes", c);
	return -EINVAL;
}

static int take_line_comment(struct sp_lex *lex, struct sp_token *token)
{
	const char *newline_at = memchr(lex->p, '\n', (size_t)(lex->end - lex->p));
	const char *end = newline_at ? newline_at : lex->end;
	const char *nul = memchr(lex->p, '\0', (size_t)(end - lex->p));

	if (nul) {
		lex_error(lex, nul, "NUL byte: this is not a text file");
		return -EINVAL;
	}
	token->kind = SP_TOKEN_COMMENT;
	lex->p = end;
	return 0;
}

static int take_block_comment(struct sp_lex *lex, struct sp_token *token)
{
	struct sp_lex start = *lex;

	lex->p += 2;
	while (lex->p < lex->end) {
		if (*lex->p == '\n') {
			newline(lex);
		} else if (*lex->p == '\0') {
			lex_error(lex, lex->p, "NUL byte: this is not a text file");
			return -EINVAL;
		} else if (*lex->p == '*' && lex->end - lex->p > 1 && lex->p[1] == '/') {
			lex->p += 2;
			token->kind = SP_TOKEN_COMMENT;
			return 0;
		} else {
			lex->p++;
		}
	}
	lex_error(&start, start.p, "the comment that begins here is never closed: end it with */");
	return -EINVAL;
}

/* At a backslash. libconfig 1.5 keeps an unknown escape as it is, 1.7 knows more of them: only those that both read alike pass. */
static int take_escape(struct sp_lex *lex)
{
	char c = lex->end - lex->p > 1 ? lex->p[1] : '\n';

	if (c == '\n' || c == '\r')
		return 0; /* the string is not closed: the caller says so */
	if (strchr("\\\"nrtf", c) && c != '\0') {
		lex->p += 2;
		return 0;
	}
	if (c == '\0') {
		lex_error(lex, lex->p + 1, "NUL byte: this is not a text file");
		return -EINVAL;
	}
	if (c == 'x' || c == 'X')
		lex_error(lex, lex->p, "\\x escapes are not read: write the character itself, or \\\\x in a pattern");
	else
		lex_error(lex, lex->p, "unknown escape \\%c: write \\\\%c for a backslash before it", c, c);
	lex->p++;
	return ++lex->faults > FAULTS_MAX ? -EINVAL : 0;
}

/* One byte or character of a string that is neither quote nor backslash. */
static int take_character(struct sp_lex *lex)
{
	unsigned char c = (unsigned char)*lex->p;
	size_t n = 1;

	if (c == '\0') {
		lex_error(lex, lex->p, "NUL byte: this is not a text file");
		return -EINVAL;
	}
	if ((c < 0x20 && c != '\t') || c == 0x7f) {
		lex_error(lex, lex->p, "control character 0x%02x in a string", c);
		return -EINVAL;
	}
	if (c >= 0x80) {
		n = sp_utf8_bytes((const unsigned char *)lex->p, (size_t)(lex->end - lex->p));
		if (n == 0) {
			lex_error(lex, lex->p, "byte 0x%02x in a string is not UTF-8: save the file as UTF-8", c);
			return -EINVAL;
		}
	}
	lex->p += n;
	return 0;
}

static int take_string(struct sp_lex *lex, struct sp_token *token)
{
	const char *start = lex->p++;

	while (lex->p < lex->end && *lex->p != '\n') {
		int rc;

		if (*lex->p == '"') {
			lex->p++;
			token->kind = SP_TOKEN_STRING;
			return 0;
		}
		if (lex->p - start > SP_SCAN_STRING_MAX) {
			lex_error(lex, start, "string of more than %d bytes: write a long list as [ \"…\", \"…\" ] or as a file: set",
				SP_SCAN_STRING_MAX);
			return -EINVAL;
		}
		if (*lex->p == '\\') {
			const char *at = lex->p;

			rc = take_escape(lex);
			if (!rc && lex->p == at)
				break;
		} else if (*lex->p == '\r' && (lex->end - lex->p == 1 || lex->p[1] == '\n')) {
			break;
		} else {
			rc = take_character(lex);
		}
		if (rc)
			return rc;
	}
	lex_error(lex, start, "the string that begins here is not closed on its line: end it with \" (a line break inside is written \\n)");
	return -EINVAL;
}

/* Everything that could be meant as one bare value, so that the message can show it whole. */
static size_t bare_length(const struct sp_lex *lex)
{
	const char *p = lex->p;

	while (p < lex->end && (is_name_byte(*p) || *p == '+' || *p == '.' || *p == '/' || *p == ':' || *p == '@')) {
		if (*p == '/' && lex->end - p > 1 && (p[1] == '*' || p[1] == '/'))
			break;
		p++;
	}
	return (size_t)(p - lex->p);
}

static bool integer_fits(const char *digits, size_t len, bool negative, unsigned int base)
{
	int64_t value = 0;

	for (size_t i = 0; i < len; i++) {
		char c = digits[i];

		value = value * base + (is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
		if (value > (int64_t)INT32_MAX + negative)
			return false;
	}
	return true;
}

static bool all_digits(const char *text, size_t len, bool hex)
{
	for (size_t i = 0; i < len; i++) {
		if (!is_digit(text[i]) && !(hex && (text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'f'))
			return false;
	}
	return len > 0;
}

static int take_number(struct sp_lex *lex, struct sp_token *token)
{
	size_t len = bare_length(lex);
	bool negative = *lex->p == '-';
	bool hex = len > 2 && lex->p[0] == '0' && (lex->p[1] | 0x20) == 'x';
	const char *digits = lex->p + (hex ? 2 : negative);
	size_t n = len - (size_t)(digits - lex->p);

	if (!all_digits(digits, n, hex)) {
		lex_error(lex, lex->p, "'%.*s' is not a whole number: put it in double quotes", shown(len), lex->p);
		return -EINVAL;
	}
	if (!hex && n > 1 && digits[0] == '0') { /* decimal to libconfig 1.5, octal to 1.7 */
		lex_error(lex, lex->p, "number '%.*s' begins with 0: write it without", shown(len), lex->p);
		lex->faults++;
	} else if (!integer_fits(digits, n, negative, hex ? 16 : 10)) {
		lex_error(lex, lex->p, "number '%.*s' does not fit in 32 bits: write at most 2147483647", shown(len), lex->p);
		lex->faults++;
	}
	token->kind = SP_TOKEN_INTEGER;
	lex->p += len;
	return lex->faults > FAULTS_MAX ? -EINVAL : 0;
}

static int take_name(struct sp_lex *lex, struct sp_token *token)
{
	const char *start = lex->p;
	size_t len;

	while (lex->p < lex->end && is_name_byte(*lex->p))
		lex->p++;
	len = (size_t)(lex->p - start);
	if (len > NAME_BYTES_MAX) {
		lex_error(lex, start, "name '%.*s…' of more than %d bytes", SHOWN_MAX, start, NAME_BYTES_MAX);
		return -EINVAL;
	}
	if ((len == 4 && strncasecmp(start, "true", 4) == 0) || (len == 5 && strncasecmp(start, "false", 5) == 0))
		token->kind = SP_TOKEN_BOOLEAN;
	else
		token->kind = SP_TOKEN_NAME;
	return 0;
}

static void skip_blanks_in_line(struct sp_lex *lex)
{
	while (lex->p < lex->end && (*lex->p == ' ' || *lex->p == '\t' || *lex->p == '\r'))
		lex->p++;
}

static int take_include(struct sp_lex *lex, struct sp_token *token)
{
	static const char word[] = "@include";
	const char *start = lex->p;
	struct sp_token path = {0};
	int rc;

	if ((size_t)(lex->end - lex->p) < sizeof(word) - 1 || memcmp(lex->p, word, sizeof(word) - 1) != 0) {
		lex_error(lex, start, "'@' cannot stand here: a set's name is written inside of a string, such as \"@lan\"");
		return -EINVAL;
	}
	lex->p += sizeof(word) - 1;
	skip_blanks_in_line(lex);
	if (lex->p >= lex->end || *lex->p != '"') {
		lex_error(lex, start, "@include needs a path in double quotes: @include \"more.inc\"");
		return -EINVAL;
	}
	path.text = lex->p;
	rc = take_string(lex, &path);
	if (rc)
		return rc;
	token->path = path.text + 1;
	token->path_len = (size_t)(lex->p - path.text) - 2;
	if (token->path_len == 0 || memchr(token->path, '\\', token->path_len)) {
		lex_error(lex, path.text, "@include needs a path without backslashes");
		return -EINVAL;
	}
	if (lex->last_line == lex->line) {
		lex_error(lex, start, "@include must stand alone on its line");
		return -EINVAL;
	}
	token->kind = SP_TOKEN_INCLUDE;
	lex->include_line = lex->line;
	return 0;
}

static bool at_comment(const struct sp_lex *lex, char second)
{
	return lex->end - lex->p > 1 && lex->p[0] == '/' && lex->p[1] == second;
}

static int take_token(struct sp_lex *lex, struct sp_token *token)
{
	char c = *lex->p;

	if (c == '#' || at_comment(lex, '/'))
		return take_line_comment(lex, token);
	if (at_comment(lex, '*'))
		return take_block_comment(lex, token);
	if (lex->include_line == lex->line) {
		lex_error(lex, lex->p, "@include must stand alone on its line");
		return -EINVAL;
	}
	if (c == '"')
		return take_string(lex, token);
	if (is_letter(c))
		return take_name(lex, token);
	if (is_digit(c) || c == '-' || c == '+' || c == '.')
		return take_number(lex, token);
	if (c == '@')
		return take_include(lex, token);
	switch (c) {
	case '{':
	case '(':
	case '[':
		token->kind = SP_TOKEN_OPEN;
		break;
	case '}':
	case ')':
	case ']':
		token->kind = SP_TOKEN_CLOSE;
		break;
	case ',':
		token->kind = SP_TOKEN_COMMA;
		break;
	case ';':
		token->kind = SP_TOKEN_SEMICOLON;
		break;
	case '=':
	case ':':
		token->kind = SP_TOKEN_ASSIGN;
		break;
	default:
		return refuse_byte(lex);
	}
	lex->p++;
	return 0;
}

int sp_lex_next(struct sp_lex *lex, struct sp_token *token)
{
	int rc;

	if (lex->line == 1 && lex->p == lex->line_start && check_byte_order_mark(lex))
		return -EINVAL;
	while (lex->p < lex->end) {
		if (*lex->p == '\n')
			newline(lex);
		else if (*lex->p == ' ' || *lex->p == '\t' || *lex->p == '\r' || *lex->p == '\f')
			lex->p++;
		else
			break;
	}
	*token = (struct sp_token){.text = lex->p, .line = lex->line, .end_line = lex->line, .column = column_of(lex, lex->p)};
	if (lex->p >= lex->end)
		return 0;
	rc = take_token(lex, token);
	if (rc)
		return rc;
	token->len = (size_t)(lex->p - token->text);
	token->end_line = lex->line;
	if (token->kind != SP_TOKEN_COMMENT)
		lex->last_line = lex->line;
	return 0;
}
