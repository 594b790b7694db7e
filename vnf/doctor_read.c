/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/doctor_read.h"

#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whether the path fits. */
__attribute__((format(printf, 3, 0))) static bool make_path(char path[PATH_MAX], const char *root, const char *fmt, va_list args)
{
	int used = snprintf(path, PATH_MAX, "%s", root), more;

	if (used < 0 || used >= PATH_MAX)
		return false;
	more = vsnprintf(path + used, (size_t)(PATH_MAX - used), fmt, args);
	return more >= 0 && more < PATH_MAX - used;
}

/* va_start to va_end around make_path, for functions that end in `fmt, ...`. */
#define MAKE_PATH(fits, path)                            \
	do {                                             \
		va_list args;                            \
		va_start(args, fmt);                     \
		fits = make_path(path, root, fmt, args); \
		va_end(args);                            \
	} while (0)

void sp_read_clean(char *text)
{
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
			*c = *c == '\t' ? ' ' : '?';
}

static bool first_line(const char *path, char *out, size_t size)
{
	FILE *file = fopen(path, "re");
	bool good;

	out[0] = '\0';
	if (file == NULL)
		return false;
	good = fgets(out, (int)size, file) != NULL;
	fclose(file);
	if (!good)
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	sp_read_clean(out);
	for (size_t n = strlen(out); n > 0 && out[n - 1] == ' '; n--)
		out[n - 1] = '\0';
	return good;
}

bool sp_read_line(const char *root, char *out, size_t size, const char *fmt, ...)
{
	char path[PATH_MAX];
	bool fits;

	out[0] = '\0';
	MAKE_PATH(fits, path);
	return fits && first_line(path, out, size);
}

bool sp_read_link(const char *root, char *out, size_t size, const char *fmt, ...)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *slash;
	ssize_t n = -1;
	bool fits;

	out[0] = '\0';
	MAKE_PATH(fits, path);
	if (fits)
		n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	slash = strrchr(target, '/');
	snprintf(out, size, "%s", slash == NULL ? target : slash + 1);
	sp_read_clean(out);
	return true;
}

bool sp_read_exists(const char *root, const char *fmt, ...)
{
	char path[PATH_MAX];
	bool fits;

	MAKE_PATH(fits, path);
	return fits && access(path, F_OK) == 0;
}

int64_t sp_read_number(const char *root, int64_t otherwise, const char *fmt, ...)
{
	char path[PATH_MAX], line[64], *end;
	long long number;
	bool fits;

	MAKE_PATH(fits, path);
	if (!fits || !first_line(path, line, sizeof(line)))
		return otherwise;
	number = strtoll(line, &end, strncmp(line, "0x", 2) == 0 ? 16 : 10);
	return end == line ? otherwise : number;
}

DIR *sp_read_folder(const char *root, const char *fmt, ...)
{
	char path[PATH_MAX];
	bool fits;

	MAKE_PATH(fits, path);
	return fits ? opendir(path) : NULL;
}

FILE *sp_read_open(const char *root, const char *fmt, ...)
{
	char path[PATH_MAX];
	bool fits;

	MAKE_PATH(fits, path);
	return fits ? fopen(path, "re") : NULL;
}

char *sp_read_all(const char *root, size_t max, size_t *size, const char *fmt, ...)
{
	char path[PATH_MAX], *bytes;
	FILE *file;
	bool fits;

	MAKE_PATH(fits, path);
	file = fits ? fopen(path, "re") : NULL;
	if (file == NULL)
		return NULL;
	bytes = malloc(max + 1);
	if (bytes != NULL) {
		*size = fread(bytes, 1, max, file);
		bytes[*size] = '\0';
	}
	fclose(file);
	return bytes;
}

bool sp_read_entry(const struct dirent *entry, size_t max)
{
	return entry->d_name[0] != '.' && strlen(entry->d_name) < max;
}

void sp_read_list(const char *text, unsigned int max, void (*take)(void *context, unsigned int number), void *context)
{
	const char *at = text;

	while (isdigit((unsigned char)*at)) {
		char *end;
		unsigned long first = strtoul(at, &end, 10), last = first;

		if (*end == '-' && isdigit((unsigned char)end[1]))
			last = strtoul(end + 1, &end, 10);
		for (unsigned long i = first; i <= last && i < max; i++)
			take(context, (unsigned int)i);
		at = *end == ',' ? end + 1 : end;
	}
}
