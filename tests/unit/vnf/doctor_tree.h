/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files of machines, as sysfs and procfs have them, in a folder of their own: a table of lines, each "path" alone (a folder), "path=text"
 * (a file; end of line supplied), "path>target" (a symbolic link), or "-path" (what an earlier line made is taken away). `\n` in text are
 * lines.
 */
#ifndef SP_TEST_DOCTOR_TREE_H
#define SP_TEST_DOCTOR_TREE_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static inline void tree_folders(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
}

static inline int tree_drop(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static inline void tree_remove(const char *root)
{
	nftw(root, tree_drop, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void tree_line(const char *root, const char *line)
{
	size_t name = strcspn(line, "=>");
	char path[1024];

	if (line[0] == '-') {
		snprintf(path, sizeof(path), "%s%s", root, line + 1);
		tree_remove(path);
		return;
	}
	snprintf(path, sizeof(path), "%s%.*s", root, (int)name, line);
	tree_folders(path);
	if (line[name] == '>') {
		unlink(path);
		assert_int_equal(symlink(line + name + 1, path), 0);
	} else if (line[name] == '=') {
		FILE *file = fopen(path, "w");

		assert_non_null(file);
		fprintf(file, "%s\n", line + name + 1);
		assert_int_equal(fclose(file), 0);
	} else {
		mkdir(path, 0755);
	}
}

static inline void tree_lines(const char *root, const char *const *lines)
{
	for (; *lines != NULL; lines++)
		tree_line(root, *lines);
}

#endif
