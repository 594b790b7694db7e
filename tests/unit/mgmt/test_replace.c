/* SPDX-License-Identifier: BSD-3-Clause */
/* Replacing a file as a whole. */
#include "mgmt/replace.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], file[96], other[96];

static void write_text(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
}

static void holds(const char *path, const char *text)
{
	char read[256] = "";
	FILE *in = fopen(path, "r");

	assert_non_null(in);
	read[fread(read, 1, sizeof(read) - 1, in)] = '\0';
	fclose(in);
	assert_string_equal(read, text);
}

/* Files in the folder: what a failed or finished replacement leaves shows here. */
static unsigned int count(void)
{
	DIR *dir = opendir(folder);
	unsigned int n = 0;

	assert_non_null(dir);
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
		n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(dir);
	return n;
}

static int setup(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/sptestXXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/main.rules", folder);
	snprintf(other, sizeof(other), "%s/other", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(file);
	unlink(other);
	return rmdir(folder);
}

static void nothing_changes_before_the_commit(void **state)
{
	struct sp_replace replace;
	struct stat st;

	(void)state;
	write_text(file, "old");
	assert_int_equal(chmod(file, 0604), 0);
	assert_int_equal(sp_replace_prepare(&replace, file, "new", 3), 0);
	holds(file, "old");
	assert_int_equal(count(), 2);
	sp_replace_abort(&replace);
	holds(file, "old");
	assert_int_equal(count(), 1);
	assert_int_equal(sp_replace_prepare(&replace, file, "new", 3), 0);
	assert_int_equal(sp_replace_commit(&replace), 0);
	holds(file, "new");
	assert_int_equal(count(), 1);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0604);
}

static void a_new_file_is_not_for_everybody(void **state)
{
	struct sp_replace replace;
	struct stat st;

	(void)state;
	assert_int_equal(sp_replace_prepare(&replace, file, "new", 3), 0);
	assert_int_equal(sp_replace_commit(&replace), 0);
	holds(file, "new");
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
}

static void a_symbolic_link_stays_one(void **state)
{
	struct sp_replace replace;
	struct stat st;

	(void)state;
	write_text(other, "old");
	assert_int_equal(symlink("other", file), 0);
	assert_int_equal(sp_replace_prepare(&replace, file, "new", 3), 0);
	assert_int_equal(sp_replace_commit(&replace), 0);
	holds(other, "new");
	assert_int_equal(lstat(file, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(count(), 2);
}

static void what_fails_leaves_nothing(void **state)
{
	struct sp_replace replace;
	char deep[160];

	(void)state;
	assert_int_equal(mkdir(file, 0700), 0);
	assert_int_equal(sp_replace_prepare(&replace, file, "new", 3), -EINVAL);
	assert_int_equal(count(), 1);
	assert_int_equal(rmdir(file), 0);
	snprintf(deep, sizeof(deep), "%s/none/main.rules", folder);
	assert_int_equal(sp_replace_prepare(&replace, deep, "new", 3), -ENOENT);
	/* the target turns into a folder between the two steps */
	assert_int_equal(sp_replace_prepare(&replace, file, "new", 3), 0);
	assert_int_equal(mkdir(file, 0700), 0);
	assert_int_equal(sp_replace_commit(&replace), -EISDIR);
	assert_int_equal(count(), 1);
	assert_int_equal(rmdir(file), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_changes_before_the_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_file_is_not_for_everybody, setup, teardown),
		cmocka_unit_test_setup_teardown(a_symbolic_link_stays_one, setup, teardown),
		cmocka_unit_test_setup_teardown(what_fails_leaves_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
